//! One identity: its current token, the gate that lets one flight at a time through, and its waiters.
//!
//! The current token is read without a lock. Everything else lives behind the gate, a [`Guarded`] that is
//! only taken for a moment: deciding, starting a flight, landing one.

mod answers;
mod landing;
mod sharing;
mod tokens;
mod types;
mod ui;
mod uncached;
mod waiting;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use super::classify::{Ask, Decision, Entry, Held, classify};
use super::commit::{Outcome, Pace, commit};
use super::flight::{Flight, Pulse, Spawn};
use super::issued::Issued;
use super::share::Share;
use crate::clock::{Clock, Now};
use crate::error::{Code, Error, Result};
use crate::fork::Guarded;
use crate::log::{self, Level};
use crate::token::Token;
use answers::{not_cached, replay};
use landing::Job;
use sharing::{Shared, Wanted};
pub use types::*;
use ui::Ui;
use waiting::Step;

/// A client that is open on the slot.
struct Open {
    word: &'static AtomicU64,
    timeout: Duration,
}

struct Gate {
    entry: Entry,
    flight: Option<Arc<Flight<Arc<Token>>>>,
    ui: Ui,
    pulse: Arc<Pulse>,
    open: Vec<Open>,
    failures: HashMap<&'static str, u64>,
    last_error: Option<(Error, Now)>,
    shared: Shared,
}

/// One identity in the process.
pub struct Slot {
    current: ArcSwapOption<Token>,
    gate: Guarded<Gate>,
    clock: Arc<dyn Clock>,
    spawn: Arc<dyn Spawn>,
    random: fn(u64) -> u64,
    /// What the first opener chose.
    pub options: SlotOptions,
    /// What may be said of it.
    pub info: SlotInfo,
    /// What happened so far.
    pub counters: Counters,
    skew_s: AtomicI64,
    share: Option<Share>,
    issued: Arc<Issued>,
    /// Monotonic milliseconds at which a hit looks at the shared store; never, without one.
    next_look: AtomicI64,
}

/// Generations and the values of generation words: one counter for the process, so none ever repeats.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// A number that no generation and no generation word has had before.
#[must_use]
pub fn next_number() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Slot {
    /// An empty slot.
    #[must_use]
    pub fn new(
        options: SlotOptions,
        info: SlotInfo,
        share: Option<Share>,
        clock: Arc<dyn Clock>,
        spawn: Arc<dyn Spawn>,
        random: fn(u64) -> u64,
    ) -> Arc<Slot> {
        Arc::new(Slot {
            current: ArcSwapOption::empty(),
            gate: Guarded::new(Gate {
                entry: Entry::default(),
                flight: None,
                ui: Ui::default(),
                pulse: Arc::default(),
                open: Vec::new(),
                failures: HashMap::new(),
                last_error: None,
                shared: Shared::default(),
            }),
            clock,
            spawn,
            random,
            options,
            info,
            counters: Counters::default(),
            skew_s: AtomicI64::new(0),
            next_look: AtomicI64::new(i64::MAX),
            share,
            issued: Arc::default(),
        })
    }

    /// Puts in a token that the caller brought (`auth_mode=token`), unless it is there already. No other is ever asked for.
    pub fn hold(&self, token: Token) {
        self.gate(|gate| {
            if gate.entry.token.is_none() {
                self.issued.remember(&token.to_reply());
                gate.entry.token = Some(held(&token));
                self.current.store(Some(Arc::new(token)));
            }
        });
    }

    /// The current token, expired or not, without a lock or a write to shared memory.
    #[inline]
    pub fn current(&self) -> arc_swap::Guard<Option<Arc<Token>>> {
        self.current.load()
    }

    /// The identity's share in the stores; `None` where tokens stay in the process.
    #[must_use]
    pub fn share(&self) -> Option<&Share> {
        self.share.as_ref()
    }

    /// The identity's latest tokens, for whoever has to recognise them.
    #[must_use]
    pub fn issued(&self) -> &Arc<Issued> {
        &self.issued
    }

    /// The slot's clock.
    #[inline]
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    fn gate<R>(&self, work: impl FnOnce(&mut Gate) -> R) -> R {
        self.gate.with(work)
    }

    /// A token by the rules of [`classify`]; waits within the caller's time.
    ///
    /// # Errors
    ///
    /// The flight's error or its replay; `Timeout`, `Pending`, `NoCachedToken`, `Closed`.
    pub fn acquire(self: &Arc<Slot>, ask: &Ask, caller: &Caller<'_>) -> Result<Waited<Arc<Token>>> {
        let step = |fetch: Option<Arc<dyn Fetch>>| self.token_step(ask, caller, fetch);
        let result = self.wait_for(caller, ask.force, step, Need::Token);
        // While the current token lives, failures show only to those who insist on a new one.
        match &result {
            Err(error) if error.code() != Code::Closed && !ask.force => {
                let now = self.clock.now();
                let token = self
                    .current
                    .load_full()
                    .filter(|token| token.life.left_ms(now) > 0);
                token.map_or(result, |token| Ok(Waited::Got(token)))
            }
            _ => result,
        }
    }

    fn token_step(
        self: &Arc<Slot>,
        ask: &Ask,
        caller: &Caller<'_>,
        fetch: Option<Arc<dyn Fetch>>,
    ) -> Step<Arc<Token>> {
        let now = self.clock.now();
        let mut look = false;
        let (step, job) = self.gate(|gate| {
            let token = self
                .current
                .load_full()
                .filter(|token| token.life.left_ms(now) > 0);
            let decision = classify(
                &gate.entry,
                ask,
                &caller.windows,
                self.options.min_refresh_interval_ms,
                now,
            );
            let wait = |flight: &Arc<Flight<Arc<Token>>>, started| Step::Wait {
                flight: Arc::clone(flight),
                pulse: Arc::clone(&gate.pulse),
                fallback: token.clone(),
                started,
            };
            let start_in_ms = match decision {
                Decision::NotCached => return (Step::Fail(not_cached()), None),
                // A forced refresh joins a flight under way, whatever the floor says.
                Decision::Fresh if !ask.force || gate.flight.is_none() => {
                    return (
                        token.map_or_else(|| Step::Fail(not_cached()), Step::Have),
                        None,
                    );
                }
                Decision::RefreshDue if gate.flight.is_some() && !ask.force => {
                    return (
                        token.map_or_else(|| Step::Fail(not_cached()), Step::Have),
                        None,
                    );
                }
                Decision::Empty { start_in_ms } => start_in_ms,
                _ => 0,
            };
            if let Some(flight) = &gate.flight {
                return (wait(flight, false), None);
            }
            if let (Decision::Backoff { left_ms } | Decision::Denied { left_ms }, Some(failure)) =
                (decision, &gate.entry.failure)
            {
                // Another process may have fared better meanwhile.
                look = true;
                return (Step::Fail(replay(failure, left_ms, now)), None);
            }
            if start_in_ms > 0 {
                return (
                    Step::Hold {
                        pulse: Arc::clone(&gate.pulse),
                        seen: gate.pulse.seen(),
                        left_ms: start_in_ms,
                    },
                    None,
                );
            }
            let Some(fetch) = fetch else {
                return (Step::NeedFetch, None);
            };
            let flight = Flight::new();
            let limit = gate.flight_limit(caller.wait);
            let wanted = Wanted {
                windows: caller.windows,
                min_valid_ms: ask.min_valid_ms,
                force: ask.force,
                denials: gate.entry.denials,
                lifted: std::mem::take(&mut gate.shared.lifted),
            };
            let job = self.token_job(Arc::clone(&flight), fetch, limit, wanted);
            let step = match (decision, &token) {
                (Decision::RefreshDue, Some(token)) => Step::Have(Arc::clone(token)),
                _ => wait(&flight, true),
            };
            gate.flight = Some(flight);
            (step, Some(job))
        });
        if let Some(job) = job {
            self.launch(job);
        } else if look {
            self.look(now);
        }
        step
    }

    fn pace(&self) -> Pace {
        Pace {
            cooldown_ms: self.options.cooldown_ms,
        }
    }

    fn launch(&self, job: Job) {
        // A job that gets no thread is dropped; its landing then says so to everybody who waits.
        if let Err(error) = self.spawn.spawn(job) {
            log::record(Level::Error, "flight.no_thread", error.message());
        }
    }

    /// Drops the token if it is still the current one: compare first, so that late reports do no harm. A shared store is
    /// told, so that no other process goes on with it.
    pub fn reject(&self, token: &str) -> Rejected {
        let now = self.clock.now();
        let mut told = None;
        let rejected = self.gate(|gate| {
            let current = self.current.load();
            let dropped = current
                .as_ref()
                .is_some_and(|current| same_secret(current.value(), token));
            if dropped {
                told = self.drop_current(gate, now);
            }
            let given_up = gate
                .entry
                .failure
                .as_ref()
                .is_some_and(|f| f.error.code() == Code::Rejected && f.left_ms(now) > 0);
            Rejected { dropped, given_up }
        });
        if let (Some(share), Some(_)) = (&self.share, told) {
            share.tell_dropped(told, false, &*self.clock);
        }
        rejected
    }

    /// Drops whatever is cached, here and in a shared store, and lifts cool-down, backoff and floor once.
    pub fn invalidate(&self) {
        let now = self.clock.now();
        let dropped = self.gate(|gate| {
            let dropped = self.part_with_current(gate);
            commit(
                &mut gate.entry,
                Outcome::Lifted,
                self.pace(),
                now,
                &self.random,
            );
            gate.ui = Ui {
                flight: gate.ui.flight.take(),
                ..Ui::default()
            };
            gate.shared.not_before = Some(now);
            gate.shared.lifted = true;
            gate.announce();
            gate.pulse.beat();
            dropped
        });
        if let Some(share) = &self.share {
            share.tell_dropped(dropped, true, &*self.clock);
        }
    }

    /// A client opens: its generation word is told of changes, and its timeout counts for flights.
    pub fn attach(&self, word: &'static AtomicU64, timeout: Duration) {
        self.gate(|gate| {
            gate.open.push(Open { word, timeout });
            word.store(next_number(), Ordering::Release);
        });
    }

    /// A client closes or moves. Wakes waiters, so that those of a closed client see it. Answers how many remain.
    pub fn detach(&self, word: &'static AtomicU64) -> usize {
        self.gate(|gate| {
            if let Some(at) = gate
                .open
                .iter()
                .position(|open| std::ptr::eq(open.word, word))
            {
                gate.open.swap_remove(at);
            }
            word.store(next_number(), Ordering::Release);
            gate.pulse.beat();
            gate.open.len()
        })
    }

    /// Whether there is something worth keeping without an open client: an unexpired token or a wait in force.
    #[must_use]
    pub fn worth_keeping(&self) -> bool {
        let now = self.clock.now();
        self.gate(|gate| {
            !gate.open.is_empty()
                || gate.flight.is_some()
                || gate
                    .entry
                    .token
                    .is_some_and(|held| held.life.left_ms(now) > 0)
                || gate
                    .entry
                    .failure
                    .as_ref()
                    .is_some_and(|failure| failure.left_ms(now) > 0)
        })
    }

    /// In a forked child: no flight survived, and whatever its waiters used is made new. Tokens stay.
    #[cfg(unix)]
    pub(crate) fn after_fork(&self) {
        self.gate(|gate| {
            // The threads that held these are gone; nothing of theirs is dropped, for it may be half written.
            std::mem::forget(gate.flight.take());
            std::mem::forget(gate.ui.flight.take());
            std::mem::forget(std::mem::take(&mut gate.pulse));
            gate.announce();
        });
    }

    /// What the stats show.
    #[must_use]
    pub fn status(&self) -> Status {
        let now = self.clock.now();
        self.gate(|gate| Status {
            token: self.current.load_full(),
            now,
            failure: gate
                .entry
                .failure
                .clone()
                .filter(|failure| failure.left_ms(now) > 0),
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
            store: self.share.as_ref().map(Share::health),
            adoptions: self
                .share
                .as_ref()
                .map_or(0, |share| share.adoptions.load(Ordering::Relaxed)),
        })
    }
}

impl Gate {
    /// The token that a caller would get may have changed: every word of the slot's clients changes.
    fn announce(&self) {
        for open in &self.open {
            open.word.store(next_number(), Ordering::Release);
        }
    }

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

/// What the decision needs of a token.
#[inline]
#[must_use]
pub fn held(token: &Token) -> Held {
    Held {
        life: token.life,
        jitter_permille: token.jitter_permille,
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
