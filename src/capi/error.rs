//! Errors
//!
//! An error belongs to the caller that received it, not to a thread. Its text is borrowed: it is valid until
//! p21_error_free. An error never contains a password, a key or a token. For NULL and for invalid handles the functions
//! below return 0, NULL or -1; p21_error_code tells which of the two it is.

use std::ffi::c_char;

use super::objects::Failure;
use super::status::{P21_E_INVALID_HANDLE, P21_OK};
use super::types::{p21_error, p21_status};
use super::{guard, handle};

/// Returns the status of the failed call. Returns P21_OK for NULL (no error), and P21_E_INVALID_HANDLE for a handle that
/// was freed or is not an error.
#[unsafe(no_mangle)]
pub extern "C" fn p21_error_code(error: *const p21_error) -> p21_status {
    let neutral = if error.is_null() {
        P21_OK
    } else {
        P21_E_INVALID_HANDLE
    };
    guard::value("p21_error_code", neutral, || {
        handle::get(error, |failure: &Failure| Some(failure.code))
    })
}

/// Returns the HTTP status of the server's response, or 0 if there was none.
#[unsafe(no_mangle)]
pub extern "C" fn p21_error_http_status(error: *const p21_error) -> i32 {
    guard::value("p21_error_http_status", 0, || {
        handle::get(error, |failure: &Failure| Some(failure.http_status))
    })
}

/// Returns one line that says what happened.
#[unsafe(no_mangle)]
pub extern "C" fn p21_error_message(error: *const p21_error) -> *const c_char {
    guard::value("p21_error_message", std::ptr::null(), || {
        handle::get(error, |failure: &Failure| Some(failure.message.as_ptr()))
    })
}

/// Returns one line that says what to do next, in P21's terms, or "" if the message says it all.
#[unsafe(no_mangle)]
pub extern "C" fn p21_error_hint(error: *const p21_error) -> *const c_char {
    guard::value("p21_error_hint", std::ptr::null(), || {
        handle::get(error, |failure: &Failure| Some(failure.hint.as_ptr()))
    })
}

/// Returns the milliseconds until the next attempt, counted from the failed call, or -1 if unknown. 0 with P21_E_TIMEOUT
/// means that the request continues: call again.
#[unsafe(no_mangle)]
pub extern "C" fn p21_error_retry_after_ms(error: *const p21_error) -> i64 {
    guard::value("p21_error_retry_after_ms", -1, || {
        handle::get(error, |failure: &Failure| Some(failure.retry_after_ms))
    })
}

/// Returns 1 if the same call may succeed later with no changes, otherwise 0.
#[unsafe(no_mangle)]
pub extern "C" fn p21_error_is_retryable(error: *const p21_error) -> i32 {
    guard::value("p21_error_is_retryable", 0, || {
        handle::get(error, |failure: &Failure| Some(failure.retryable.into()))
    })
}

/// Frees an error. Ignores NULL and handles already freed.
#[unsafe(no_mangle)]
pub extern "C" fn p21_error_free(error: *mut p21_error) {
    guard::value("p21_error_free", (), || {
        handle::remove::<Failure>(error, |_| {});
        None
    });
}
