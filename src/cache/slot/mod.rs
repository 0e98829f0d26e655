//! One identity: its current token, the gate that lets one flight at a time through, and its waiters.
//!
//! The current token is read without a lock. Everything else lives behind the gate, a [`Guarded`] that is
//! only taken for a moment: deciding, starting a flight, landing one.

mod acquire;
mod completion;
mod flights;
mod remote;
mod tellings;
mod types;
mod ui;
mod uncached;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::commit::{Event, Pace, commit};
use super::decide::{Entry, Rules, Windows, serve_for_ms};
use super::flight::{Flight, Pulse, Spawn};
use super::hold::{Hit, Hold};
use super::issued::Issued;
use super::shared::SharedTokens;
use crate::clock::{Clock, Now};
use crate::error::{Code, Error};
use crate::fork::Guarded;
use crate::log::{self, Level};
use crate::options::AuthMode;
use crate::token::Token;
use completion::Job;
use remote::Tombstones;
use tellings::Tellings;
pub(crate) use types::*;
use ui::Ui;

struct Gate {
    entry: Entry,
    flight: Option<Arc<Flight>>,
    ui: Ui,
    pulse: Arc<Pulse>,
    /// The clients that are open on the slot.
    open: Vec<Arc<Hold>>,
    failures: HashMap<&'static str, u64>,
    last_error: Option<(Error, Now)>,
    tombstones: Tombstones,
    tellings: Tellings,
    /// Grows with every change of the token, so that news from a store can tell whether it is old by now.
    revision: u64,
    /// The shared store is being polled; the pulse beats when that is done.
    polling: bool,
    /// Monotonic milliseconds at which a call polls the shared store; never, without one.
    next_poll: i64,
}

/// One identity in the process.
pub(crate) struct Slot {
    gate: Guarded<Gate>,
    clock: Arc<dyn Clock>,
    spawn: Arc<dyn Spawn>,
    random: fn(u64) -> u64,
    /// What the first opener chose.
    pub(crate) options: SlotOptions,
    /// What may be said of it.
    pub(crate) info: SlotInfo,
    /// What happened so far.
    pub(crate) counters: Counters,
    skew_s: AtomicI64,
    shared: Option<SharedTokens>,
    issued: Arc<Issued>,
}

/// Generations and the values of generation words: one counter for the process, so none ever repeats.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// A number that no generation and no generation word has had before.
#[must_use]
pub(crate) fn next_number() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Slot {
    /// An empty slot.
    #[must_use]
    pub(crate) fn new(
        options: SlotOptions,
        info: SlotInfo,
        shared: Option<SharedTokens>,
        clock: Arc<dyn Clock>,
        spawn: Arc<dyn Spawn>,
        random: fn(u64) -> u64,
    ) -> Arc<Slot> {
        Arc::new(Slot {
            gate: Guarded::new(Gate {
                entry: Entry::default(),
                flight: None,
                ui: Ui::default(),
                pulse: Arc::default(),
                open: Vec::new(),
                failures: HashMap::new(),
                last_error: None,
                tombstones: Tombstones::default(),
                tellings: Tellings::default(),
                revision: 0,
                polling: false,
                next_poll: i64::MAX,
            }),
            clock,
            spawn,
            random,
            options,
            info,
            counters: Counters::default(),
            skew_s: AtomicI64::new(0),
            shared,
            issued: Arc::default(),
        })
    }

    /// Puts in a token that the caller brought (`auth_mode=token`), unless it is there already. No other is ever asked for.
    pub(crate) fn install_own(&self, token: Token) {
        self.gate(|gate| {
            if gate.entry.token.is_none() {
                self.issued.remember(&token.to_reply());
                gate.entry.token = Some(Arc::new(token));
                self.publish(gate);
            }
        });
    }

    /// The current token, expired or not.
    #[must_use]
    pub(crate) fn current(&self) -> Option<Arc<Token>> {
        self.gate(|gate| gate.entry.token.clone())
    }

    /// The identity's tokens in the stores; `None` where tokens stay in the process.
    #[must_use]
    pub(crate) fn shared(&self) -> Option<&SharedTokens> {
        self.shared.as_ref()
    }

    /// The identity's latest tokens, for code that has to recognize them.
    #[must_use]
    pub(crate) fn issued(&self) -> &Arc<Issued> {
        &self.issued
    }

    /// The slot's clock.
    #[inline]
    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    fn gate<R>(&self, work: impl FnOnce(&mut Gate) -> R) -> R {
        self.gate.with(work)
    }

    /// Tells every client that its token may have changed, its hits first. After each change of the token.
    fn publish(&self, gate: &mut Gate) {
        gate.revision += 1;
        self.publish_hits(gate);
        gate.open.iter().for_each(|hold| hold.tell());
    }

    /// Lets hits know what the gate holds. After each change of token, failure or flight.
    fn publish_hits(&self, gate: &Gate) {
        let now = self.clock.now();
        // Clients with the same windows share one.
        let mut last: Option<(Windows, Option<Arc<Hit>>)> = None;
        for hold in &gate.open {
            let hit = match last {
                Some((windows, hit)) if windows == hold.windows => hit,
                _ => self.hit_for(gate, &hold.windows, now),
            };
            hold.publish(hit.clone());
            last = Some((hold.windows, hit));
        }
    }

    /// What a client with these windows may hand out without asking.
    fn hit_for(&self, gate: &Gate, windows: &Windows, now: Now) -> Option<Arc<Hit>> {
        let token = gate.entry.live(now)?;
        let flight = gate.flight.as_deref();
        let for_ms = serve_for_ms(&gate.entry, flight, windows, self.rules(), now);
        let mut until = now.plus(for_ms);
        // Each second a call goes by the gate and polls the shared store.
        until.mono = until.mono.min(gate.next_poll);
        (now.mono < until.mono).then(|| Arc::new(Hit::new(Arc::clone(token), until)))
    }

    fn rules(&self) -> Rules {
        Rules {
            min_refresh_interval_ms: self.options.min_refresh_interval_ms,
            own: self.info.auth_mode == AuthMode::Token,
        }
    }

    fn pace(&self) -> Pace {
        Pace {
            cooldown_ms: self.options.cooldown_ms,
        }
    }

    fn launch(&self, job: Job) {
        // A job that gets no thread is dropped; its landing then says so to everyone who waits.
        if let Err(error) = self.spawn.spawn(job) {
            log::record(Level::Error, "flight.no_thread", error.message());
        }
    }

    /// Drops the token if it is still the current one: compare first, so that late reports do no harm. A shared store is
    /// told in the background, so that no other process goes on with it.
    pub(crate) fn reject(self: &Arc<Slot>, token: &str) -> Rejected {
        let (rejected, job) = self.gate(|gate| {
            let now = self.clock.now();
            let current = gate.entry.token.as_ref();
            let is_current = current.is_some_and(|current| same_secret(current.value(), token));
            let dropped = is_current.then(|| self.drop_current(gate, now)).flatten();
            let given_up = gate
                .entry
                .held_back(now)
                .is_some_and(|(failure, _)| failure.error.code() == Code::Rejected);
            let rejected = Rejected {
                dropped: is_current,
                given_up,
            };
            (rejected, self.tell_store(gate, dropped, false))
        });
        if let Some(job) = job {
            self.launch(job);
        }
        rejected
    }

    /// Drops the cached token, here and in a shared store, and lifts cool-down, backoff and floor once.
    pub(crate) fn invalidate(self: &Arc<Slot>) {
        let job = self.gate(|gate| {
            let now = self.clock.now();
            let dropped = self.bury_current(gate);
            let (pace, random) = (self.pace(), &self.random);
            commit(&mut gate.entry, Event::Lifted, pace, now, random);
            gate.ui = Ui {
                flight: gate.ui.flight.take(),
                ..Ui::default()
            };
            gate.tombstones.not_before = Some(now);
            gate.tombstones.lifted = true;
            self.publish(gate);
            gate.pulse.beat();
            self.tell_store(gate, dropped, true)
        });
        if let Some(job) = job {
            self.launch(job);
        }
    }

    /// A client opens: it is told of changes from now on.
    pub(crate) fn attach(&self, hold: &Arc<Hold>) {
        self.gate(|gate| {
            gate.open.push(Arc::clone(hold));
            hold.publish(self.hit_for(gate, &hold.windows, self.clock.now()));
            hold.tell();
        });
    }

    /// A client closes or moves. Wakes waiters, so that those of a closed client see it. Answers how many remain.
    pub(crate) fn detach(&self, hold: &Arc<Hold>) -> usize {
        self.gate(|gate| {
            if let Some(at) = gate.open.iter().position(|open| open.is_of(hold)) {
                gate.open.swap_remove(at);
            }
            hold.publish(None);
            hold.tell();
            gate.pulse.beat();
            gate.open.len()
        })
    }

    /// The client is on this slot from now on: its hits are what is published here.
    pub(crate) fn activate(&self, hold: &Hold) {
        self.gate(|_| hold.activate());
    }

    /// The client is about to leave: it has no hits of this slot any more.
    pub(crate) fn deactivate(&self, hold: &Hold) {
        self.gate(|_| hold.deactivate());
    }

    /// See [`Hold::block`].
    pub(crate) fn block(&self, hold: &Hold) {
        self.gate(|_| hold.block());
    }

    /// Whether there is something worth keeping without an open client: an unexpired token or a wait in force.
    #[must_use]
    pub(crate) fn worth_keeping(&self) -> bool {
        let now = self.clock.now();
        self.gate(|gate| {
            !gate.open.is_empty()
                || gate.flight.is_some()
                || gate.entry.live(now).is_some()
                || gate.entry.held_back(now).is_some()
        })
    }

    /// In a forked child: no flight survived, and what its waiters used is created again. Tokens stay.
    #[cfg(unix)]
    pub(crate) fn after_fork(&self) {
        self.gate(|gate| {
            // The threads that held these are gone; nothing of theirs is dropped, for it may be half written.
            std::mem::forget(gate.flight.take());
            std::mem::forget(gate.ui.flight.take());
            std::mem::forget(std::mem::take(&mut gate.pulse));
            gate.polling = false;
            // The parent tells.
            gate.tellings = Tellings::default();
            self.publish(gate);
        });
    }

    /// What the stats show.
    #[must_use]
    pub(crate) fn status(&self) -> Status {
        let now = self.clock.now();
        self.gate(|gate| Status {
            token: gate.entry.token.clone(),
            now,
            failure: gate
                .entry
                .held_back(now)
                .map(|(failure, _)| failure.clone()),
            failures: gate
                .failures
                .iter()
                .map(|(name, count)| (*name, *count))
                .collect(),
            last_error: gate.last_error.clone(),
            ui_url: gate.ui.url.as_ref().map(|(_, url)| Arc::clone(url)),
            skew_s: self.skew_s.load(Ordering::Relaxed),
            open_clients: gate.open.len(),
            refreshing: gate.flight.is_some(),
            tellings: gate.tellings.pending(),
            store: self.shared.as_ref().map(SharedTokens::health),
            adoptions: self
                .shared
                .as_ref()
                .map_or(0, |shared| shared.adoptions.load(Ordering::Relaxed)),
        })
    }
}

impl Gate {
    /// What a flight that starts now may take: the longest `timeout_ms` of the open clients, less a little, so that those who
    /// wait as long learn what went wrong and not only that time ran out.
    fn flight_limit(&self, own: Duration) -> Duration {
        let longest = self
            .open
            .iter()
            .map(|open| open.timeout)
            .max()
            .unwrap_or(own);
        longest.saturating_sub((longest / 20).min(Duration::from_millis(200)))
    }

    fn note_failure(&mut self, error: &Error, now: Now) {
        *self.failures.entry(error.code().name()).or_default() += 1;
        self.last_error = Some((error.clone(), now));
    }
}

/// Equal in a time that does not depend on where they differ.
fn same_secret(a: &str, b: &str) -> bool {
    a.len() == b.len()
        && a.bytes()
            .zip(b.bytes())
            .fold(0, |difference, (x, y)| difference | (x ^ y))
            == 0
}
