//! A flight: one request under way, and everybody who waits for it.
//!
//! A flight runs on a library thread of its own, so a hanging identity delays no other, and no caller that gives up takes
//! the request down with it. What callers wait on is one [`Pulse`] for each slot: a forked child throws it away with all
//! flights and makes it new, so no child inherits a condition variable that a thread of the parent was using.
#![expect(
    clippy::disallowed_types,
    reason = "a forked child throws away every flight"
)]

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
}

impl Flight {
    /// A flight that has just begun.
    #[must_use]
    pub(crate) fn new(limit: Now) -> Arc<Flight> {
        Arc::new(Flight {
            ending: OnceLock::new(),
            reading: Guarded::default(),
            limit,
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
        crate::sys::start_thread(c"p21auth-flight", STACK_BYTES, job)
            .map_err(|error| Error::of_thread("the token request", &error))
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn the_first_ending_counts_for_everybody() {
        let flight = Flight::new(Now::default());
        assert!(flight.ending().is_none());
        flight.end(Ending::Landed);
        flight.end(Ending::Moved);
        assert_eq!(flight.ending(), Some(&Ending::Landed));
    }
}
