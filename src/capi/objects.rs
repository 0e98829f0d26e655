//! What a handle of a snapshot or of an error stands for.

use std::ffi::{CStr, CString, c_char};
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::args::Ask;
use super::types::p21_status;
use crate::client::Reuse;
use crate::error::Error;
use crate::fork::Guarded;
use crate::token::Token;

/// An error as C sees it.
pub(super) struct Failure {
    pub(super) code: p21_status,
    pub(super) http_status: i32,
    pub(super) message: CString,
    pub(super) hint: CString,
    pub(super) retry_after_ms: i64,
    pub(super) retryable: bool,
}

impl Failure {
    pub(super) fn new(error: &Error) -> Failure {
        // An error's text holds no control characters, so no NUL either.
        let text = |text: &str| CString::new(text).unwrap_or_default();
        Failure {
            code: error.code().number(),
            http_status: error.http_status().into(),
            message: text(error.message()),
            hint: text(error.hint()),
            retry_after_ms: error.retry_after().map_or(-1, crate::clock::millis),
            retryable: error.is_retryable(),
        }
    }
}

/// A token, and what is needed to say how long it may be used again.
pub(super) struct Snapshot {
    pub(super) token: Arc<Token>,
    pub(super) reuse: Reuse,
    pub(super) min_valid: Duration,
    pub(super) with_scheme: bool,
    /// Fields that were asked for, by name. They are never changed or moved.
    fields: Guarded<Vec<(Box<str>, Field)>>,
}

/// Text with a NUL at its end.
type Field = Zeroizing<Box<[u8]>>;

impl Snapshot {
    pub(super) fn new(token: Arc<Token>, reuse: Reuse, ask: &Ask) -> Snapshot {
        Snapshot {
            token,
            reuse,
            min_valid: ask.options.min_valid,
            with_scheme: ask.with_scheme,
            fields: Guarded::default(),
        }
    }

    /// `None` when the token has no such field, or one that holds a NUL and so cannot be shown to C.
    pub(super) fn field(&self, name: &str) -> Option<*const c_char> {
        self.fields.with(|fields| {
            if let Some((_, text)) = fields.iter().find(|(known, _)| **known == *name) {
                return Some(text.as_ptr().cast());
            }
            let text = Zeroizing::new(self.token.field(name)?.into_owned());
            // Made at its full size, so that no copy is left behind.
            let mut bytes = Vec::with_capacity(text.len() + 1);
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(0);
            let bytes = Zeroizing::new(bytes.into_boxed_slice());
            let pointer = CStr::from_bytes_with_nul(&bytes).ok()?.as_ptr();
            fields.push((name.into(), bytes));
            Some(pointer)
        })
    }
}
