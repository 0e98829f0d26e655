//! What makes sure that a flight ends.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Code, Error, Result};

pub(super) type Job = Box<dyn FnOnce() + Send>;

/// Completes a flight exactly once: with its result, or, if the job is dropped unrun or its thread dies, with an error. So a
/// gate never stays shut.
pub(super) struct CompletionGuard<T, F: FnOnce(Result<T>)> {
    complete: Option<F>,
    result: std::marker::PhantomData<fn(T)>,
}

impl<T, F: FnOnce(Result<T>)> CompletionGuard<T, F> {
    pub(super) fn new(complete: F) -> CompletionGuard<T, F> {
        CompletionGuard {
            complete: Some(complete),
            result: std::marker::PhantomData,
        }
    }

    pub(super) fn complete(mut self, result: Result<T>) {
        if let Some(complete) = self.complete.take() {
            complete(result);
        }
    }
}

impl<T, F: FnOnce(Result<T>)> Drop for CompletionGuard<T, F> {
    fn drop(&mut self) {
        if let Some(complete) = self.complete.take() {
            let error = if std::thread::panicking() {
                Error::new(Code::Panic, "the token request failed inside the library")
            } else {
                Error::new(
                    Code::NoMemory,
                    "no thread could be started for the token request",
                )
                .with_hint("The process has reached its limit of threads or memory.")
            };
            complete(Err(error));
        }
    }
}

pub(super) fn unpanicked<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(
            Error::new(Code::Panic, "the request failed inside the library")
                .with_hint("Please report it. The next call starts over."),
        )
    })
}
