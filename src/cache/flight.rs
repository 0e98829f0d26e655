//! A flight: one request under way, and everyone who waits for it.
//!
//! A flight runs on a library thread of its own, so a hanging identity delays no other, and no caller that gives up takes
//! the request down with it. What callers wait on is one [`Pulse`] for each slot: a forked child throws it away with all
//! flights and makes it new, so no child inherits a condition variable that a thread of the parent was using.
#![expect(
    clippy::disallowed_types,
    reason = "a forked child throws away every flight"
)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::clock::Now;
use crate::error::{Error, Result};
use crate::fork::Guarded;
pub(crate) use crate::sync::Pulse;

/// How a flight ended. What it brought is in the slot: a call that comes late finds there what is valid by then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It brought what it was started for.
    Landed,
    /// It failed.
    Failed(Error),
    /// The secret of the client that started it has changed: nothing was sent, and each call asks again where its client
    /// now is.
    Moved,
}

/// One request under way.
#[derive(Debug)]
pub(crate) struct Flight {
    ending: OnceLock<Ending>,
    /// The option and the path that it reads before it asks.
    reading: Guarded<Option<String>>,
    /// When it is to have ended.
    pub(crate) limit: Now,
    /// The call that counts as its own has gone, because its time was over.
    abandoned: AtomicBool,
}

impl Flight {
    /// A flight that has just begun.
    #[must_use]
    pub(crate) fn new(limit: Now) -> Arc<Flight> {
        Arc::new(Flight {
            ending: OnceLock::new(),
            reading: Guarded::default(),
            limit,
            abandoned: AtomicBool::new(false),
        })
    }

    /// What it is reading just now, before anything is sent: an option and a path.
    #[must_use]
    pub(crate) fn reading(&self) -> Option<String> {
        self.reading.with(|reading| reading.clone())
    }

    /// Says what it reads from now on.
    pub(crate) fn read(&self, what: Option<String>) {
        self.reading.with(|reading| *reading = what);
    }

    /// How it ended, once it has: every waiter gets the same.
    #[must_use]
    pub(crate) fn ending(&self) -> Option<&Ending> {
        self.ending.get()
    }

    /// Sets the ending; only the first counts.
    pub(crate) fn end(&self, ending: Ending) {
        let _ = self.ending.set(ending);
    }
}

/// A call that waits for a flight, and how that counts: each call but one is a shared wait. A call whose time is over no
/// longer counts, so a caller that waits in slices is one and not as many as its slices.
pub(crate) struct Share<'a> {
    /// What it waits for.
    pub(crate) flight: Arc<Flight>,
    counter: &'a AtomicU64,
    is_counted: bool,
}

impl<'a> Share<'a> {
    /// That of the call that started the flight.
    #[must_use]
    pub(crate) fn own(flight: Arc<Flight>, counter: &'a AtomicU64) -> Share<'a> {
        Share {
            flight,
            counter,
            is_counted: false,
        }
    }

    /// That of another call; it takes the place of the first one if that has gone.
    #[must_use]
    pub(crate) fn join(flight: Arc<Flight>, counter: &'a AtomicU64) -> Share<'a> {
        let is_counted = !flight.abandoned.swap(false, Ordering::Relaxed);
        if is_counted {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        Share {
            flight,
            counter,
            is_counted,
        }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        if self.flight.ending().is_some() {
            return;
        }
        if self.is_counted {
            self.counter.fetch_sub(1, Ordering::Relaxed);
        } else {
            self.flight.abandoned.store(true, Ordering::Relaxed);
        }
    }
}

/// How flights get off the caller's thread.
pub trait Spawn: Send + Sync {
    /// Runs `job` elsewhere; a test may run it here and now.
    ///
    /// # Errors
    ///
    /// `NoMemory` if the system provides no thread; the job is then dropped.
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
        crate::sys::start_thread(c"p21auth-flight", STACK_BYTES, job)
            .map_err(|error| Error::of_thread("the token request", &error))
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn the_first_ending_counts_for_every_caller() {
        let flight = Flight::new(Now::default());
        assert!(flight.ending().is_none());
        flight.end(Ending::Landed);
        flight.end(Ending::Moved);
        assert_eq!(flight.ending(), Some(&Ending::Landed));
    }

    #[test]
    fn a_caller_that_waits_in_slices_counts_once() {
        let counter = AtomicU64::new(0);
        let count = || counter.load(Ordering::Relaxed);
        let flight = Flight::new(Now::default());
        // The one that started it comes back twice, another one four times.
        drop(Share::own(Arc::clone(&flight), &counter));
        let mine = Share::join(Arc::clone(&flight), &counter);
        for _ in 0..3 {
            let other = Share::join(Arc::clone(&flight), &counter);
            assert_eq!(count(), 1);
            drop(other);
            assert_eq!(count(), 0);
        }
        let other = Share::join(Arc::clone(&flight), &counter);
        drop(mine);
        let mine = Share::join(Arc::clone(&flight), &counter);
        flight.end(Ending::Landed);
        drop((mine, other));
        assert_eq!(count(), 1);
    }
}
