//! What makes sure that a flight lands.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Code, Error, Result};

pub(super) type Job = Box<dyn FnOnce() + Send>;

/// Lands a flight exactly once: with its result, or, if the job is dropped unrun or its thread dies, with an error. So a
/// gate never stays shut.
pub(super) struct Landing<T, F: FnOnce(Result<T>)> {
    land: Option<F>,
    result: std::marker::PhantomData<fn(T)>,
}

impl<T, F: FnOnce(Result<T>)> Landing<T, F> {
    pub(super) fn new(land: F) -> Landing<T, F> {
        Landing {
            land: Some(land),
            result: std::marker::PhantomData,
        }
    }

    pub(super) fn land(mut self, result: Result<T>) {
        if let Some(land) = self.land.take() {
            land(result);
        }
    }
}

impl<T, F: FnOnce(Result<T>)> Drop for Landing<T, F> {
    fn drop(&mut self) {
        if let Some(land) = self.land.take() {
            let error = if std::thread::panicking() {
                Error::new(Code::Panic, "the token request failed inside the library")
            } else {
                Error::new(
                    Code::NoMemory,
                    "no thread could be started for the token request",
                )
                .with_hint("The process has reached its limit of threads or memory.")
            };
            land(Err(error));
        }
    }
}

pub(super) fn unpanicked<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(
            Error::new(Code::Panic, "the request failed inside the library")
                .with_hint("Please report it; the next call starts afresh."),
        )
    })
}
