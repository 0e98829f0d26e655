//! A fleet by events instead of threads: thousands of processes on a hundred hosts, over the decisions of the product
//! ([`decide`], [`commit`], [`Course`]) and stores that behave as the scripts do and take as long as was measured. What it
//! counts is the table in docs/fleet.md.

#![allow(clippy::cast_precision_loss, reason = "figures for a table")]

mod store;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use super::step::{Action, Course, Event as Happened, Reading};
use crate::cache::commit::{Event as Commit, Pace, commit, wait_ms};
use crate::cache::decide::{Call, Decision, Entry, Rules, Windows, Wish, decide};
use crate::cache::flight::{Ending, Flight};
use crate::cache::slot::Presence;
use crate::clock::{Now, duration};
use crate::error::{Code, Error};
use crate::store::{Mark, Wake};
use crate::token::{Life, Reply, Token};
use store::{
    ACCEPT_US, ACQUIRE_COMMANDS, ACQUIRE_US, BLOCK_US, BUSY_COMMANDS, BUSY_US, FILE_US, LEASE_MS,
    LOOK_COMMANDS, LOOK_US, MAX_BLOCK_MS, PUBLISH_COMMANDS, PUBLISH_US, REST_US, STORE_TIMEOUT_US,
    StoreModel, TRIP_US, WAKE_US,
};

const HOSTS: usize = 100;
const TIMEOUT_MS: i64 = 30_000;
const REPLY_US: i64 = 1_000_000;
/// A server that fails does so at once; with its two retries a flight takes so long.
const FAILS_US: i64 = 3_000_000;
/// A caller that got an error asks again after this.
const AGAIN_US: i64 = 1_000_000;
const LIFE_MS: i64 = 86_400_000;

const WINDOWS: Windows = Windows {
    refresh_margin_ms: 300_000,
    max_token_age_ms: 86_400_000,
};
const RULES: Rules = Rules {
    min_refresh_interval_ms: 5_000,
    own: false,
};
const PACE: Pace = Pace {
    cooldown_ms: 60_000,
};

/// When the server and Redis are away, in microseconds.
#[derive(Clone, Copy, Default)]
struct Outages {
    server: (i64, i64),
    redis: (i64, i64),
}

fn within((from, until): (i64, i64), at: i64) -> bool {
    (from..until).contains(&at)
}

struct Process {
    host: usize,
    entry: Entry,
    flight: Option<Arc<Flight>>,
    course: Option<Course>,
    /// Which store its flight uses.
    store: usize,
    redis_rests_until: i64,
    /// Grows with each wait, so that a timer knows whether it is still meant.
    wait: u64,
    mark: Mark,
    fence: Option<u64>,
    own: Option<Result<Life, Error>>,
    /// What the last reading showed.
    seen: (Option<Life>, i64),
    got: Option<i64>,
    errors: u32,
}

enum Due {
    Call(usize),
    Next(usize, Happened),
    Timer(usize, u64),
    /// A look at the store while a failure holds the process back.
    Polled(usize),
}

struct Fleet {
    now: i64,
    due: BinaryHeap<Reverse<(i64, u64)>>,
    events: BTreeMap<u64, Due>,
    number: u64,
    processes: Vec<Process>,
    /// Redis, then a file store for each host.
    stores: Vec<StoreModel>,
    outages: Outages,
    requests: u32,
    replied: i64,
    chance: u64,
}

/// What came of a fleet.
struct Figures {
    requests: u32,
    commands: u64,
    peak: u64,
    connections: usize,
    last_ms: i64,
    errors: u32,
}

impl Fleet {
    fn new(count: usize, outages: Outages) -> Fleet {
        let mut fleet = Fleet {
            now: 0,
            due: BinaryHeap::new(),
            events: BTreeMap::new(),
            number: 0,
            processes: Vec::new(),
            stores: (0..=HOSTS).map(|_| StoreModel::default()).collect(),
            outages,
            requests: 0,
            replied: 0,
            chance: 1,
        };
        fleet.stores[0].is_redis = true;
        for number in 0..count {
            fleet.processes.push(Process {
                host: number % HOSTS,
                entry: Entry::default(),
                flight: None,
                course: None,
                store: 0,
                redis_rests_until: 0,
                wait: 0,
                mark: Mark::default(),
                fence: None,
                own: None,
                seen: (None, 0),
                got: None,
                errors: 0,
            });
            // All at once, as after a deployment: within a tenth of a second.
            let start = fleet.below(100_000);
            fleet.at(start, Due::Call(number));
        }
        fleet
    }

    fn below(&mut self, end: u64) -> i64 {
        self.chance = self
            .chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((self.chance >> 33) % end).expect("small")
    }

    fn at(&mut self, time: i64, due: Due) {
        self.number += 1;
        self.due.push(Reverse((time.max(self.now), self.number)));
        self.events.insert(self.number, due);
    }

    fn clock(&self) -> Now {
        Now::default().plus(self.now / 1_000)
    }

    fn run(mut self) -> Figures {
        while let Some(Reverse((time, number))) = self.due.pop() {
            self.now = time;
            match self.events.remove(&number) {
                Some(Due::Call(who)) => self.call(who),
                Some(Due::Next(who, happened)) => self.next(who, happened),
                Some(Due::Timer(who, wait)) if self.processes[who].wait == wait => {
                    self.stop_waiting(who);
                    self.next(who, Happened::Woken(Wake::Nothing));
                }
                Some(Due::Polled(who)) => self.polled(who),
                _ => {}
            }
        }
        let last = self.processes.iter().map(|process| process.got);
        let last = last
            .map(|got| got.expect("each process gets a token"))
            .max();
        // From the moment on from which a token was to be had.
        let since = self.replied;
        Figures {
            requests: self.requests,
            commands: self.stores[0].commands,
            peak: self.stores[0].load.values().copied().max().unwrap_or(0) * 10,
            connections: self.stores[0].most_connections,
            last_ms: (last.unwrap_or(0) - since) / 1_000,
            errors: self.processes.iter().map(|process| process.errors).sum(),
        }
    }

    /// A caller asks for a token.
    fn call(&mut self, who: usize) {
        let now = self.clock();
        let process = &self.processes[who];
        let call = Call {
            wish: Wish::default(),
            windows: WINDOWS,
            no_wait: false,
            presence: Presence::Here,
            left_ms: TIMEOUT_MS,
            awaited: process.flight.as_ref(),
        };
        match decide(&process.entry, None, &call, RULES, now) {
            Decision::Serve(_) | Decision::ServeAndStart(_) => {
                let now = self.now;
                self.processes[who].got.get_or_insert(now);
            }
            Decision::Start => self.start(who),
            Decision::Wait(ms) => self.at(self.now + ms * 1_000, Due::Call(who)),
            Decision::HeldBack(_) => self.poll(who),
            Decision::Fail(_) => self.failed(who),
            other => panic!("nothing leads to {other:?}"),
        }
    }

    fn failed(&mut self, who: usize) {
        let process = &mut self.processes[who];
        process.errors += 1;
        process.flight = None;
        let pause = AGAIN_US + self.below(100_000);
        self.at(self.now + pause, Due::Call(who));
    }

    fn start(&mut self, who: usize) {
        let now = self.clock();
        let process = &mut self.processes[who];
        process.flight = Some(Flight::new(now.plus(TIMEOUT_MS)));
        process.course = Some(Course::new(now.mono + TIMEOUT_MS));
        process.own = None;
        let rests = self.now < process.redis_rests_until;
        process.store = if rests { 1 + process.host } else { 0 };
        self.next(who, Happened::Started);
    }

    fn next(&mut self, who: usize, happened: Happened) {
        let now_ms = self.clock().mono;
        let Some(course) = &mut self.processes[who].course else {
            return;
        };
        match course.step(happened, now_ms) {
            Action::Read => self.look(who),
            Action::Acquire => self.acquire(who),
            Action::Wait(ms) => self.wait(who, ms),
            Action::Pause(ms) => self.at(
                self.now + ms * 1_000,
                Due::Next(who, Happened::Woken(Wake::Nothing)),
            ),
            Action::Release => {
                self.release(who);
                self.at(self.now + TRIP_US, Due::Next(who, Happened::Released));
            }
            Action::Ask => self.ask(who),
            Action::Publish => self.publish(who),
            Action::EndWithRead => self.end_with_read(who),
            Action::EndWithOwn => {
                let own = self.processes[who].own.take().expect("it asked");
                self.end(who, own);
            }
            Action::EndLate => self.end(who, Err(Error::new(Code::Store, "late"))),
        }
    }

    /// When a command is done and its answer is there. `None`: the store is away, and the process turns to the next one.
    fn command(&mut self, who: usize, us: i64, commands: u64) -> Option<(i64, i64)> {
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
    fn degrade(&mut self, who: usize) {
        let later = self.now + STORE_TIMEOUT_US;
        let process = &mut self.processes[who];
        process.store = 1 + process.host;
        (process.fence, process.mark) = (None, Mark::default());
        process.course = Some(Course::new(self.now / 1_000 + TIMEOUT_MS));
        self.at(later, Due::Next(who, Happened::Started));
    }

    fn look(&mut self, who: usize) {
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

    fn acquire(&mut self, who: usize) {
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

    fn wait(&mut self, who: usize, ms: i64) {
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

    fn stop_waiting(&mut self, who: usize) {
        let process = &mut self.processes[who];
        process.wait += 1;
        let store = &mut self.stores[process.store];
        store.waiting.retain(|(waiting, _)| *waiting != who);
        store.connections = store.connections.saturating_sub(1);
    }

    /// The holder is done, with a result or without.
    fn tell(&mut self, store: usize, fence: u64, to: Option<usize>, done: i64) {
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

    fn release(&mut self, who: usize) {
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

    fn ask(&mut self, who: usize) {
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

    fn publish(&mut self, who: usize) {
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

    fn end_with_read(&mut self, who: usize) {
        let (token, failed_until) = self.processes[who].seen;
        self.release(who);
        let result = token.ok_or_else(|| {
            let left = (failed_until - self.now).max(1_000) / 1_000;
            Error::new(Code::Server, "503").with_retry_after(duration(left))
        });
        self.end(who, result);
    }

    fn end(&mut self, who: usize, result: Result<Life, Error>) {
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
    fn poll(&mut self, who: usize) {
        let away = within(self.outages.redis, self.now);
        let process = &mut self.processes[who];
        process.store = if away { 1 + process.host } else { 0 };
        match self.command(who, LOOK_US, LOOK_COMMANDS) {
            Some((_, answered)) => self.at(answered, Due::Polled(who)),
            None => self.failed(who),
        }
    }

    fn polled(&mut self, who: usize) {
        let store = self.processes[who].store;
        match self.stores[store].token {
            Some(life) => self.end(who, Ok(life)),
            None => self.failed(who),
        }
    }
}

const S: i64 = 1_000_000;

fn table() -> String {
    let mut text = "| Processes | | Token requests | Redis commands a process | Most in a second | Connections | The last has its token after | Errors a process |\n|---|---|---|---|---|---|---|---|\n".to_owned();
    for count in [200, 1_000, 5_000, 10_000] {
        for (what, outages) in [
            ("all is well", Outages::default()),
            (
                "the server fails for half a minute",
                Outages {
                    server: (0, 30 * S),
                    ..Outages::default()
                },
            ),
            (
                "Redis is away",
                Outages {
                    redis: (0, 600 * S),
                    ..Outages::default()
                },
            ),
            (
                "Redis goes while they wait",
                Outages {
                    redis: (S / 2, 600 * S),
                    ..Outages::default()
                },
            ),
        ] {
            let figures = Fleet::new(count, outages).run();
            let each = figures.commands / count as u64;
            writeln!(
                text,
                "| {count} | {what} | {} | {each} | {} | {} | {} ms | {:.1} |",
                figures.requests,
                figures.peak,
                figures.connections,
                figures.last_ms,
                f64::from(figures.errors) / count as f64,
            )
            .expect("memory");
        }
    }
    text
}

#[test]
fn the_table_of_fleets_is_what_the_simulation_counts() {
    for count in [200, 1_000] {
        let well = Fleet::new(count, Outages::default()).run();
        assert_eq!(well.requests, 1, "{count}");
        assert!(well.commands <= 20 * count as u64, "{}", well.commands);
        let outages = Outages {
            redis: (0, 600 * S),
            ..Outages::default()
        };
        let alone = Fleet::new(count, outages).run();
        assert!(alone.requests as usize <= HOSTS, "{}", alone.requests);
    }
    let table = table();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/fleet.md");
    let page = std::fs::read_to_string(&path).expect("the page");
    let (begin, end) = ("<!-- fleets: begin -->\n", "<!-- fleets: end -->");
    let (before, rest) = page.split_once(begin).expect("it begins");
    let (_, after) = rest.split_once(end).expect("it ends");
    let current = format!("{before}{begin}{table}{end}{after}");
    if std::env::var_os("P21AUTH_REFRESH").is_some() {
        std::fs::write(&path, &current).expect("written");
    } else {
        assert!(current == page, "out of date: P21AUTH_REFRESH=1\n{table}");
    }
}
