//! How a call waits: it looks at the gate, starts or joins a flight, and waits for it within its own time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::answers::{closed, pending, timed_out};
use super::{Caller, Fetch, Need, Presence, Slot, Waited};
use crate::cache::flight::{Flight, Pulse};
use crate::clock::{duration, millis};
use crate::error::{Error, Result};

/// What one look at the gate led to.
pub(super) enum Step<T> {
    Have(T),
    Wait {
        flight: Arc<Flight<T>>,
        pulse: Arc<Pulse>,
        fallback: Option<T>,
        started: bool,
    },
    /// Nothing may be sent for so long; nothing is under way.
    Hold {
        pulse: Arc<Pulse>,
        seen: u64,
        left_ms: i64,
    },
    Fail(Error),
    /// A flight is needed and the caller has not said how yet.
    NeedFetch,
}

impl Slot {
    /// The loop that tokens and UI URLs share: look at the gate, start or join a flight, wait, look again.
    pub(super) fn wait_for<T: Clone>(
        &self,
        caller: &Caller<'_>,
        force: bool,
        step: impl Fn(Option<Arc<dyn Fetch>>) -> Step<T>,
        need: Need,
    ) -> Result<Waited<T>> {
        let deadline = self.clock.now().mono.saturating_add(millis(caller.wait));
        let left = || duration(deadline.saturating_sub(self.clock.now().mono));
        let mut fetch = None;
        loop {
            match (caller.presence)() {
                Presence::Here => {}
                Presence::Moved => return Ok(Waited::Moved),
                Presence::Closed => return Err(closed()),
            }
            match step(fetch.take()) {
                Step::Have(value) => return Ok(Waited::Got(value)),
                Step::Fail(error) => return Err(error),
                Step::NeedFetch => match (caller.fetch)(need)? {
                    Some(how) => fetch = Some(how),
                    None => return Ok(Waited::Moved),
                },
                Step::Hold {
                    pulse,
                    seen,
                    left_ms,
                } => {
                    let wait = duration(left_ms);
                    if caller.no_wait {
                        return Err(pending().with_retry_after(wait));
                    }
                    let most = left();
                    if most.is_zero() {
                        return Err(timed_out(need).with_retry_after(wait));
                    }
                    pulse.wait(seen, most.min(wait), &*self.clock);
                }
                Step::Wait {
                    flight,
                    pulse,
                    fallback,
                    started,
                } => {
                    if !started {
                        self.counters.shared_waits.fetch_add(1, Ordering::Relaxed);
                    }
                    return self.ride(
                        &flight,
                        &pulse,
                        fallback.filter(|_| !force),
                        caller,
                        deadline,
                        need,
                    );
                }
            }
        }
    }

    /// Waits for a flight within the caller's time.
    pub(super) fn ride<T: Clone>(
        &self,
        flight: &Flight<T>,
        pulse: &Pulse,
        fallback: Option<T>,
        caller: &Caller<'_>,
        deadline: i64,
        need: Need,
    ) -> Result<Waited<T>> {
        loop {
            let seen = pulse.seen();
            if let Some(result) = flight.result() {
                return match (result, fallback) {
                    (Ok(value), _) | (Err(_), Some(value)) => Ok(Waited::Got(value)),
                    (Err(error), None) => Err(error),
                };
            }
            match (caller.presence)() {
                Presence::Here => {}
                Presence::Moved => return Ok(Waited::Moved),
                Presence::Closed => return Err(closed()),
            }
            if caller.no_wait {
                return fallback.map(Waited::Got).ok_or_else(pending);
            }
            let left = duration(deadline.saturating_sub(self.clock.now().mono));
            if left.is_zero() {
                return fallback
                    .map(Waited::Got)
                    .ok_or_else(|| timed_out(need).with_retry_after(Duration::ZERO));
            }
            pulse.wait(seen, left, &*self.clock);
        }
    }
}
