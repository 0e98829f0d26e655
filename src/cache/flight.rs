//! A flight: one request under way, and everybody who waits for it.
//!
//! A flight runs on a library thread of its own, so a hanging identity delays no other, and no caller that gives up takes
//! the request down with it. What callers wait on is one [`Pulse`] for each slot: a forked child throws it away with all
//! flights and makes it new, so no child inherits a condition variable that a thread of the parent was using.
#![expect(
    clippy::disallowed_types,
    reason = "a forked child throws away every pulse and every flight"
)]

use std::sync::{Arc, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::sync::{Condvar, Mutex, MutexGuard};

/// How a flight ended. What it brought is in the slot: a call that comes late finds there what is valid by then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It brought what it was started for.
    Landed,
    /// It failed.
    Failed(Error),
    /// The secret of the client that started it has changed: nothing was sent, and each call asks again where its client
    /// now is.
    Moved,
}

/// One request under way.
#[derive(Debug, Default)]
pub struct Flight {
    ending: OnceLock<Ending>,
}

impl Flight {
    /// A flight that has just begun.
    #[must_use]
    pub fn new() -> Arc<Flight> {
        Arc::default()
    }

    /// How it ended, once it has: every waiter gets the same.
    #[must_use]
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.get()
    }

    /// Sets the ending; only the first counts.
    pub fn end(&self, ending: Ending) {
        let _ = self.ending.set(ending);
    }
}

/// Something on which any number of threads wait until it beats.
#[derive(Default)]
pub struct Pulse {
    beats: Mutex<u64>,
    changed: Condvar,
}

impl Pulse {
    fn lock(&self) -> MutexGuard<'_, u64> {
        self.beats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The count to hand to [`Pulse::wait`]. Read it before you look at what you wait for, or a beat may be missed.
    #[must_use]
    pub fn seen(&self) -> u64 {
        *self.lock()
    }

    /// Wakes everybody.
    pub fn beat(&self) {
        *self.lock() += 1;
        self.changed.notify_all();
    }

    /// Waits until the count is no longer `seen`, or for `most`. A hand-set clock jumps instead of waiting.
    pub fn wait(&self, seen: u64, most: Duration, clock: &dyn Clock) {
        let guard = self.lock();
        if *guard != seen {
            return;
        }
        if clock.jump(most) {
            return;
        }
        // The whole wait in one go: a thread woken for nothing would otherwise wait longer than it was told.
        let end = Instant::now() + most;
        let mut guard = guard;
        while *guard == seen {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            guard = self
                .changed
                .wait_timeout(guard, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// How flights get off the caller's thread.
pub trait Spawn: Send + Sync {
    /// Runs `job` elsewhere; a test may run it here and now.
    ///
    /// # Errors
    ///
    /// `NoMemory` when the system gives no thread; the job is then dropped.
    fn spawn(&self, job: Box<dyn FnOnce() + Send>) -> Result<()>;
}

/// A thread for each flight, with a small stack.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadSpawner;

/// TLS handshakes and XML need some of it; a whole default stack for each identity would be waste.
const STACK_BYTES: usize = 512 * 1024;

impl Spawn for ThreadSpawner {
    fn spawn(&self, job: Box<dyn FnOnce() + Send>) -> Result<()> {
        crate::sys::pin_library();
        crate::sys::start_thread(c"p21auth-flight", STACK_BYTES, job).map_err(|error| {
            Error::new(
                Code::NoMemory,
                format!("no thread for the token request: {error}"),
            )
            .with_hint("The process has reached its limit of threads or memory.")
        })
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, Now, SystemClock};

    #[test]
    fn the_first_ending_counts_for_everybody() {
        let flight = Flight::new();
        assert!(flight.ending().is_none());
        flight.end(Ending::Landed);
        flight.end(Ending::Moved);
        assert_eq!(flight.ending(), Some(&Ending::Landed));
    }

    #[test]
    fn a_beat_between_looking_and_waiting_is_not_missed() {
        let pulse = Pulse::default();
        let seen = pulse.seen();
        pulse.beat();
        pulse.wait(seen, Duration::from_hours(1), &SystemClock);
    }

    #[test]
    fn a_beat_wakes_all() {
        let pulse = Arc::new(Pulse::default());
        let seen = pulse.seen();
        let waiters: Vec<_> = (0..8)
            .map(|_| {
                let pulse = Arc::clone(&pulse);
                std::thread::spawn(move || {
                    pulse.wait(seen, Duration::from_hours(1), &SystemClock);
                })
            })
            .collect();
        pulse.beat();
        for waiter in waiters {
            waiter.join().expect("woken");
        }
    }

    #[test]
    fn a_hand_set_clock_jumps() {
        let clock = ManualClock::new(Now::default());
        let pulse = Pulse::default();
        pulse.wait(pulse.seen(), Duration::from_secs(5), &clock);
        assert_eq!(clock.now().mono, 5_000);
    }
}
