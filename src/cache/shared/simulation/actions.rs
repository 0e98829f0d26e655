//! What a flight does with its store and the server, and how long that takes.

use super::*;

impl Fleet {
    /// When a command is done and its answer is there. `None`: the store is away, and the process turns to the next one.
    pub(super) fn command(&mut self, who: usize, us: i64, commands: u64) -> Option<(i64, i64)> {
        let store = self.processes[who].store;
        if store > 0 {
            let done = self.now + FILE_US;
            return Some((done, done));
        }
        if within(self.outages.redis, self.now) {
            self.processes[who].redis_rests_until = self.now + STORE_TIMEOUT_US + REST_US;
            return None;
        }
        let done = self.stores[0].serve(self.now + TRIP_US / 2, us, commands);
        Some((done, done + TRIP_US / 2))
    }

    /// The flight goes on with the machine's own store, from the beginning; what it has brought it keeps.
    pub(super) fn degrade(&mut self, who: usize) {
        let later = self.now + STORE_TIMEOUT_US;
        let process = &mut self.processes[who];
        process.store = 1 + process.host;
        (process.fence, process.mark) = (None, Mark::default());
        process.course = Some(Course::new(self.now / 1_000 + TIMEOUT_MS));
        self.at(later, Due::Next(who, Happened::Started));
    }

    pub(super) fn look(&mut self, who: usize) {
        let Some((done, answered)) = self.command(who, LOOK_US, LOOK_COMMANDS) else {
            return self.degrade(who);
        };
        let process = &mut self.processes[who];
        let store = &self.stores[process.store];
        process.seen = (store.token, store.failed_until);
        if store.fence > 0 {
            let ended = u64::from(store.holder(done).is_none());
            process.mark = process.mark.max(Mark(store.fence, ended));
        }
        let is_settled =
            store.token.is_some() || (process.own.is_none() && done < store.failed_until);
        let reading = if is_settled {
            Reading::Settled
        } else {
            Reading::Nothing
        };
        self.at(answered, Due::Next(who, Happened::Read(reading)));
    }

    pub(super) fn acquire(&mut self, who: usize) {
        let store = self.processes[who].store;
        let is_free = self.stores[store].holder(self.now).is_none();
        let (us, commands) = if is_free {
            (ACQUIRE_US, ACQUIRE_COMMANDS)
        } else {
            (BUSY_US, BUSY_COMMANDS)
        };
        let Some((done, answered)) = self.command(who, us, commands) else {
            return self.degrade(who);
        };
        let store = &mut self.stores[store];
        let happened = if store.holder(done).is_some() {
            store.turn.get_or_insert(who);
            let left = store.lease_ends.max(done + 4_000_000) - done;
            Happened::Busy(left / 1_000)
        } else {
            store.fence += 1;
            store.lease = Some((who, store.fence));
            (store.lease_ends, store.is_kept) = (done + LEASE_MS * 1_000, false);
            store.mark = Mark(store.fence, 0);
            self.processes[who].fence = Some(store.fence);
            Happened::Leased
        };
        self.at(answered, Due::Next(who, happened));
    }

    pub(super) fn wait(&mut self, who: usize, ms: i64) {
        let is_redis = self.processes[who].store == 0;
        let us = BLOCK_US + ACCEPT_US;
        let Some((done, answered)) = self.command(who, us, 1) else {
            return self.at(
                self.now + 50_000,
                Due::Next(who, Happened::Woken(Wake::Nothing)),
            );
        };
        let process = &mut self.processes[who];
        let store = &mut self.stores[process.store];
        if store.mark > process.mark {
            process.mark = store.mark;
            let wake = if store.mark.1 == 0 {
                Wake::Held
            } else {
                Wake::News
            };
            return self.at(answered, Due::Next(who, Happened::Woken(wake)));
        }
        process.wait += 1;
        let wait = process.wait;
        store.waiting.push((who, wait));
        if is_redis {
            store.connections += 1;
            // One that waits, and one at rest.
            store.most_connections = store.most_connections.max(2 * store.connections);
        }
        let mut end = done + ms.min(MAX_BLOCK_MS) * 1_000;
        let (from, until) = self.outages.redis;
        if is_redis && (done..end).contains(&from) && until > from {
            end = from;
        }
        self.at(end, Due::Timer(who, wait));
    }

    pub(super) fn stop_waiting(&mut self, who: usize) {
        let process = &mut self.processes[who];
        process.wait += 1;
        let store = &mut self.stores[process.store];
        store.waiting.retain(|(waiting, _)| *waiting != who);
        store.connections = store.connections.saturating_sub(1);
    }

    /// The holder is done, with a result or without.
    pub(super) fn tell(&mut self, store: usize, fence: u64, to: Option<usize>, done: i64) {
        let store = &mut self.stores[store];
        store.mark = Mark(fence, 1);
        let waiting = std::mem::take(&mut store.waiting);
        store.connections = 0;
        let mut wakes = Vec::new();
        for (who, wait) in waiting {
            let wake = match to {
                None => Wake::News,
                Some(one) if one == who => Wake::Yours,
                Some(_) => Wake::Others,
            };
            let at = if store.is_redis {
                store.serve(done, WAKE_US, 0) + TRIP_US / 2
            } else {
                done
            };
            wakes.push((who, wait, wake, at));
        }
        for (who, wait, wake, at) in wakes {
            let process = &mut self.processes[who];
            if process.wait == wait {
                process.wait += 1;
                process.mark = Mark(fence, 1);
                self.at(at, Due::Next(who, Happened::Woken(wake)));
            }
        }
    }

    pub(super) fn release(&mut self, who: usize) {
        let Some(fence) = self.processes[who].fence.take() else {
            return;
        };
        let Some((done, _)) = self.command(who, ACQUIRE_US, ACQUIRE_COMMANDS) else {
            return;
        };
        let at = self.processes[who].store;
        let store = &mut self.stores[at];
        if store.lease == Some((who, fence)) {
            store.lease = None;
            let to = store.turn.take();
            self.tell(at, fence, to, done);
        }
    }

    pub(super) fn ask(&mut self, who: usize) {
        let process = &mut self.processes[who];
        self.stores[process.store].is_kept = true;
        let fails = within(self.outages.server, self.now);
        let (took, own) = if fails {
            self.requests += 3;
            (FAILS_US, Err(Error::new(Code::Server, "503")))
        } else {
            self.requests += 1;
            let life = Life {
                sent: Now::default().plus(self.now / 1_000),
                lifetime_ms: LIFE_MS,
            };
            (REPLY_US, Ok(life))
        };
        process.own = Some(own);
        self.at(self.now + took, Due::Next(who, Happened::Asked));
    }

    pub(super) fn publish(&mut self, who: usize) {
        if matches!(self.processes[who].own, Some(Ok(_))) && self.replied == 0 {
            self.replied = self.now;
        }
        let Some((done, answered)) = self.command(who, PUBLISH_US, PUBLISH_COMMANDS) else {
            // The machine's own store gets it.
            let process = &mut self.processes[who];
            process.store = 1 + process.host;
            if let Some(Ok(life)) = process.own {
                self.stores[process.store].token = Some(life);
            }
            let later = self.now + STORE_TIMEOUT_US;
            return self.at(later, Due::Next(who, Happened::Published));
        };
        let process = &mut self.processes[who];
        let at = process.store;
        let store = &mut self.stores[at];
        let fence = process.fence.take().unwrap_or(0);
        if store.fence > fence {
            return self.at(answered, Due::Next(who, Happened::Fenced));
        }
        match process.own.take().expect("it asked") {
            Ok(life) => {
                (store.token, store.failed_until) = (Some(life), 0);
                process.own = Some(Ok(life));
            }
            Err(error) => {
                let failures = process.entry.failures.saturating_add(1);
                let mut chance = self.chance;
                let wait = wait_ms(&error, failures, &|below| (chance >> 33) % below.max(1));
                chance = chance.wrapping_add(1);
                self.chance = chance.wrapping_mul(6_364_136_223_846_793_005);
                store.failed_until = done + wait.min(30_000) * 1_000;
                process.own = Some(Err(error.with_retry_after(duration(wait))));
            }
        }
        (store.lease, store.is_kept, store.turn) = (None, false, None);
        self.tell(at, fence, None, done);
        self.at(answered, Due::Next(who, Happened::Published));
    }

    pub(super) fn end_with_read(&mut self, who: usize) {
        let (token, failed_until) = self.processes[who].seen;
        self.release(who);
        let result = token.ok_or_else(|| {
            let left = (failed_until - self.now).max(1_000) / 1_000;
            Error::new(Code::Server, "503").with_retry_after(duration(left))
        });
        self.end(who, result);
    }

    pub(super) fn end(&mut self, who: usize, result: Result<Life, Error>) {
        let now = self.clock();
        let (event, ending) = match result {
            Ok(life) => {
                let token = Token::new(Reply::default(), life, 1, 0);
                (Commit::Token(Arc::new(token)), Ending::Landed)
            }
            Err(error) => (Commit::Failed(error.clone()), Ending::Failed(error)),
        };
        let process = &mut self.processes[who];
        commit(&mut process.entry, event, PACE, now, &|below| below / 2);
        process.course = None;
        if let Some(flight) = &process.flight {
            flight.end(ending);
        }
        self.call(who);
    }

    /// A failure holds the process back: it looks at the store before it says so.
    pub(super) fn poll(&mut self, who: usize) {
        let away = within(self.outages.redis, self.now);
        let process = &mut self.processes[who];
        process.store = if away { 1 + process.host } else { 0 };
        match self.command(who, LOOK_US, LOOK_COMMANDS) {
            Some((_, answered)) => self.at(answered, Due::Polled(who)),
            None => self.failed(who),
        }
    }

    pub(super) fn polled(&mut self, who: usize) {
        let store = self.processes[who].store;
        match self.stores[store].token {
            Some(life) => self.end(who, Ok(life)),
            None => self.failed(who),
        }
    }
}
