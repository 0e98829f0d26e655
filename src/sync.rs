//! The locks that `fork::Guarded` and `Pulse` are made of: std's, and `parking_lot`'s where there is no fork. In a build for
//! model checking (`--cfg shuttle`) they are shuttle's, which tries one order of events after another; see
//! `cache/model.rs`. A release has nothing of that.
#![allow(
    clippy::disallowed_types,
    reason = "for `Guarded` and `Pulse`; see fork.rs"
)]

#[cfg(not(all(test, shuttle)))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

#[cfg(all(test, shuttle))]
pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard};

pub(crate) use lock::Lock;

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
        Modelled(shuttle::sync::Mutex<T>),
        Static(std::sync::Mutex<T>),
    }

    impl<T> Lock<T> {
        pub(crate) const fn new(value: T) -> Lock<T> {
            Lock::Modelled(shuttle::sync::Mutex::new(value))
        }

        pub(crate) const fn new_static(value: T) -> Lock<T> {
            Lock::Static(std::sync::Mutex::new(value))
        }

        pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
            match self {
                Lock::Modelled(lock) => {
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
