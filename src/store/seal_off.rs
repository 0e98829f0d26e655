//! Stands in for the sealing of entries in a build without any shared store: there are no keys, so nothing is ever sealed.

use zeroize::Zeroizing;

use super::EntryKind;
use crate::error::{Code, Error, Result};
use crate::secret::Secret;

/// Random bytes that tell one store from another.
pub type Salt = [u8; 16];

/// Of these there are none.
#[derive(Debug)]
pub enum Keys {}

#[allow(clippy::missing_errors_doc, reason = "none is ever called")]
impl Keys {
    /// Always fails.
    pub fn derive(_: &Salt, _: &str, _: &Secret, _: &Secret) -> Result<Keys> {
        Err(Error::new(
            Code::Config,
            "this build of the library has no shared stores",
        )
        .with_hint("Build it with the features store-file and store-redis."))
    }

    /// Cannot be called.
    #[must_use]
    pub fn name(&self) -> &str {
        match *self {}
    }

    /// Cannot be called.
    pub fn seal(&self, _: EntryKind, _: i64, _: &[u8]) -> Result<Vec<u8>> {
        match *self {}
    }

    /// Cannot be called.
    #[must_use]
    pub fn unseal(&self, _: EntryKind, _: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        match *self {}
    }
}

/// The clear part of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// When it stops to matter, Unix milliseconds.
    pub expiry_ms: i64,
}

impl Header {
    /// Nothing is an entry here.
    #[must_use]
    pub fn is_stretched(self) -> bool {
        false
    }
}

/// Nothing is sealed here.
#[must_use]
pub(crate) fn is_random(_: &Secret) -> bool {
    true
}

/// Nothing is an entry here.
#[must_use]
pub fn is_over(_: &[u8], _: i64) -> bool {
    false
}

/// Nothing is an entry here.
#[must_use]
pub fn header(_: &[u8]) -> Option<Header> {
    None
}
