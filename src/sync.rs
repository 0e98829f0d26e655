//! The locks on which threads of the cache meet: std's. In a build for model checking (`--cfg shuttle`) they are shuttle's,
//! which tries one order of events after another; see `cache/model.rs`. A release has nothing of it.

#[cfg(not(all(test, shuttle)))]
#[allow(
    clippy::disallowed_types,
    reason = "for `Guarded` and `Pulse`; see fork.rs"
)]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

#[cfg(all(test, shuttle))]
pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard};
