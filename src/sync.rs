//! The locks that `fork::Guarded` and `Pulse` are made of: std's, and `parking_lot`'s where there is no fork. In a build for
//! model checking (`--cfg shuttle`) they are shuttle's, which tries one order of events after another; see
//! `cache/model`. A release has nothing of that.
#![allow(
    clippy::disallowed_types,
    reason = "for `Guarded` and `Pulse`; see fork.rs"
)]

#[cfg(not(all(test, shuttle)))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

#[cfg(all(test, shuttle))]
pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard};

use std::sync::PoisonError;
use std::time::{Duration, Instant};

pub(crate) use lock::Lock;

/// Something on which any number of threads wait until it beats. Its lock is taken outside of sections, so a forked child
/// throws it away and makes a new one.
#[derive(Default)]
pub(crate) struct Pulse {
    beats: Mutex<u64>,
    changed: Condvar,
}

impl Pulse {
    fn lock(&self) -> MutexGuard<'_, u64> {
        self.beats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The count to hand to [`Pulse::wait`]. Read it before you look at what you wait for, or a beat may be missed.
    #[must_use]
    pub(crate) fn seen(&self) -> u64 {
        *self.lock()
    }

    /// Wakes everyone.
    pub(crate) fn beat(&self) {
        *self.lock() += 1;
        self.changed.notify_all();
    }

    /// Waits until the count is no longer `seen`, or for `most`. `jump` may take the place of a wait: a hand-set clock's.
    pub(crate) fn wait(&self, seen: u64, most: Duration, jump: impl FnOnce(Duration) -> bool) {
        let guard = self.lock();
        if *guard != seen {
            return;
        }
        if jump(most) {
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

#[cfg(not(all(test, shuttle)))]
mod lock {
    #[cfg(not(unix))]
    use parking_lot::Mutex;
    #[cfg(unix)]
    use std::sync::Mutex;

    /// A lock that a panic does not poison.
    #[derive(Default)]
    pub(crate) struct Lock<T>(Mutex<T>);

    impl<T> Lock<T> {
        pub(crate) const fn new(value: T) -> Lock<T> {
            Lock(Mutex::new(value))
        }

        pub(crate) const fn new_static(value: T) -> Lock<T> {
            Lock::new(value)
        }

        #[cfg(unix)]
        pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
            work(
                &mut self
                    .0
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner),
            )
        }

        #[cfg(not(unix))]
        pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
            work(&mut self.0.lock())
        }
    }
}

#[cfg(all(test, shuttle))]
mod lock {
    use std::sync::PoisonError;

    /// Shuttle's locks belong to one run of a scenario, so a static has std's, in which no switch may happen.
    pub(crate) enum Lock<T> {
        Modeled(shuttle::sync::Mutex<T>),
        Static(std::sync::Mutex<T>),
    }

    impl<T> Lock<T> {
        pub(crate) const fn new(value: T) -> Lock<T> {
            Lock::Modeled(shuttle::sync::Mutex::new(value))
        }

        pub(crate) const fn new_static(value: T) -> Lock<T> {
            Lock::Static(std::sync::Mutex::new(value))
        }

        pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
            match self {
                Lock::Modeled(lock) => {
                    work(&mut lock.lock().unwrap_or_else(PoisonError::into_inner))
                }
                Lock::Static(lock) => {
                    work(&mut lock.lock().unwrap_or_else(PoisonError::into_inner))
                }
            }
        }
    }

    impl<T: Default> Default for Lock<T> {
        fn default() -> Lock<T> {
            Lock::new(T::default())
        }
    }
}

/// A value that is read without a lock and replaced whole.
#[cfg(not(all(test, shuttle)))]
pub(crate) type Published<T> = arc_swap::ArcSwapOption<T>;

#[cfg(all(test, shuttle))]
pub(crate) use published::Published;

#[cfg(all(test, shuttle))]
mod published {
    use std::sync::Arc;

    use super::Lock;

    /// As arc-swap's guard.
    pub(crate) struct Loaded<T>(Option<Arc<T>>);

    impl<T> std::ops::Deref for Loaded<T> {
        type Target = Option<Arc<T>>;

        fn deref(&self) -> &Option<Arc<T>> {
            &self.0
        }
    }

    /// As arc-swap's, with a switch at each reading and replacing.
    pub(crate) struct Published<T>(Lock<Option<Arc<T>>>);

    impl<T> Published<T> {
        pub(crate) const fn empty() -> Published<T> {
            Published(Lock::new(None))
        }

        pub(crate) fn load(&self) -> Loaded<T> {
            Loaded(self.load_full())
        }

        pub(crate) fn load_full(&self) -> Option<Arc<T>> {
            self.0.with(|value| value.clone())
        }

        pub(crate) fn store(&self, value: Option<Arc<T>>) {
            self.swap(value);
        }

        pub(crate) fn swap(&self, value: Option<Arc<T>>) -> Option<Arc<T>> {
            self.0.with(|held| std::mem::replace(held, value))
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_beat_between_looking_and_waiting_is_not_missed() {
        let pulse = Pulse::default();
        let seen = pulse.seen();
        pulse.beat();
        pulse.wait(seen, Duration::from_hours(1), |_| false);
    }

    #[test]
    fn a_beat_wakes_all() {
        let pulse = Arc::new(Pulse::default());
        let seen = pulse.seen();
        let waiters: Vec<_> = (0..8)
            .map(|_| {
                let pulse = Arc::clone(&pulse);
                std::thread::spawn(move || {
                    pulse.wait(seen, Duration::from_hours(1), |_| false);
                })
            })
            .collect();
        pulse.beat();
        for waiter in waiters {
            waiter.join().expect("woken");
        }
    }

    #[test]
    fn a_jump_takes_the_place_of_a_wait() {
        let pulse = Pulse::default();
        let mut jumped = Duration::ZERO;
        pulse.wait(pulse.seen(), Duration::from_secs(5), |most| {
            jumped = most;
            true
        });
        assert_eq!(jumped, Duration::from_secs(5));
    }
}
