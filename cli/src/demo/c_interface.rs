//! The C interface as a C program calls it, wrapped just far enough for the command line tool's demo to be readable.
//!
//! What is shown is what users of every language get, handles and owned strings included.
#![allow(unsafe_code, reason = "C functions are called here")]

use std::ffi::{CStr, CString, c_char};
use std::ptr::null_mut;

use p21auth::internal::capi::{
    P21_OK, p21_client, p21_client_free, p21_client_new, p21_config_free, p21_config_new,
    p21_config_set, p21_error, p21_error_code, p21_error_free, p21_error_message,
    p21_error_retry_after_ms, p21_free, p21_status_name, p21_token_get, p21_token_report,
};
use p21auth::internal::secret::Secret;

/// What a C program learns of a failure.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CError {
    /// `P21_E_UNAUTHORIZED` and the like.
    pub name: String,
    pub message: String,
    pub retry_after_ms: i64,
}

/// A client handle.
pub(crate) struct CClient(*mut p21_client);

// SAFETY: the pointer is a key that the library looks up and never follows, so it means the same on every thread.
unsafe impl Send for CClient {}
// SAFETY: the functions that take the handle by reference here take a const p21_client *, which any number of threads may
// use at once.
unsafe impl Sync for CClient {}

impl CClient {
    /// `p21_config_set` for each pair, then `p21_client_new`.
    pub fn open<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<CClient, CError> {
        let mut config = null_mut();
        let mut client = null_mut();
        let mut error = null_mut();
        // SAFETY: the out pointers are those of locals, and each text outlives the one call that it is passed to.
        unsafe {
            // A failure leaves NULL, which p21_client_new explains; so does a bad option.
            p21_config_new(&raw mut config, null_mut());
            for (name, value) in pairs {
                let (name, value) = (c_text(name), c_text(value));
                p21_config_set(config, name.as_ptr(), value.as_ptr(), null_mut());
            }
            let status = p21_client_new(config, &raw mut client, &raw mut error);
            p21_config_free(config);
            result(status, error, || CClient(client))
        }
    }

    /// `p21_token_get` and `p21_free`.
    pub fn token(&self) -> Result<Secret, CError> {
        let mut token: *mut c_char = null_mut();
        let mut error = null_mut();
        // SAFETY: the out pointers are those of locals; a token that came is ours, is read first and then freed once.
        unsafe {
            let status = p21_token_get(self.0, 0, 0, &raw mut token, &raw mut error);
            result(status, error, || {
                let secret = Secret::new(read(token));
                p21_free(token.cast());
                secret
            })
        }
    }

    /// `p21_token_report`: the verdict's number.
    pub fn report(&self, token: &Secret, http_status: u16, body: &[u8]) -> Result<i32, CError> {
        let token = c_text(token.expose());
        let mut verdict = 0;
        let mut error = null_mut();
        // SAFETY: `token` and `body` outlive the call, `body.len()` is the body's, and the out pointers are those of
        // locals.
        unsafe {
            let status = p21_token_report(
                self.0,
                token.as_ptr(),
                http_status.into(),
                body.as_ptr(),
                body.len(),
                &raw mut verdict,
                &raw mut error,
            );
            result(status, error, || verdict)
        }
    }
}

impl Drop for CClient {
    fn drop(&mut self) {
        p21_client_free(self.0);
    }
}

/// Takes the error over, if there is one.
fn result<T>(status: i32, error: *mut p21_error, value: impl FnOnce() -> T) -> Result<T, CError> {
    if status == P21_OK {
        return Ok(value());
    }
    debug_assert_eq!(p21_error_code(error), status);
    let failure = CError {
        name: read(p21_status_name(status)),
        message: read(p21_error_message(error)),
        retry_after_ms: p21_error_retry_after_ms(error),
    };
    p21_error_free(error);
    Err(failure)
}

fn read(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not NULL, so it came from the interface above, whose strings end with a NUL and live until they or their
    // owner are freed, which the callers do after this.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

fn c_text(text: &str) -> CString {
    CString::new(text).expect("the demo's texts hold no NUL")
}
