//! Sharing tokens beyond the process: a file store for the processes of a user on a machine, a Redis store for a fleet.
//!
//! A [`Store`] moves sealed bytes and lends the right to ask the server; it understands neither. What the bytes mean is in
//! [`seal`] and [`record`]; what a flight does with them is in [`crate::cache`].

#[cfg(feature = "store-file")]
mod file;
mod places;
pub mod record;
#[cfg(feature = "store-redis")]
mod redis;
#[cfg(feature = "shared-store")]
pub mod seal;
#[cfg(not(feature = "shared-store"))]
#[path = "seal_off.rs"]
pub mod seal;

use std::time::Duration;

pub use places::{Place, Places};
use seal::Salt;

/// Why a store cannot be used: one line, no secret. The next narrower store takes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(pub String);

impl Fault {
    /// A fault with this reason.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Fault {
        Fault(reason.into())
    }
}

/// An entry as the store keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// As [`seal`] describes them.
    pub bytes: Vec<u8>,
    /// How much longer the store keeps it, by its own clock; `None`: this store doesn't count.
    pub left_ms: Option<i64>,
}

/// What the store holds for a name. A missing entry says nothing: stores are flushed and evict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The store's salt; another than before means that names and keys have changed.
    pub salt: Option<Salt>,
    /// The token's entry, or that of its rejection.
    pub token: Option<Sealed>,
    /// The refusal's entry.
    pub denial: Option<Sealed>,
}

/// An entry to be written, of interest for so many milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Keep<'a> {
    /// The sealed entry.
    pub bytes: &'a [u8],
    /// For how long.
    pub keep_ms: i64,
}

/// What is written, all at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change<'a> {
    /// The token's entry, when it changes.
    pub token: Option<Keep<'a>>,
    /// The refusal's entry, when it changes; `Some(None)`: there is none any more.
    pub denial: Option<Option<Keep<'a>>>,
}

/// Whether a change was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// It is there for everybody.
    Stored,
    /// The lease had run out and another process holds a later one: nothing was written.
    Fenced,
}

/// The right to ask the server for the token of one name, and to say what came of it. Given back when dropped.
pub trait Lease {
    /// Keeps the right for as long as this lives, however long the server takes.
    fn keep(&mut self);

    /// Writes what came of it.
    ///
    /// # Errors
    ///
    /// A [`Fault`] when the store is down, full or read-only.
    fn publish(&self, change: &Change<'_>) -> Result<Published, Fault>;
}

/// An attempt to get the right.
pub enum Attempt {
    /// It is ours.
    Got(Box<dyn Lease>),
    /// Another has it: who, as far as that is known.
    Busy(Option<String>),
}

/// Where tokens are shared. Every call is bounded (`store_timeout_ms` for each command over a network); none waits for
/// another process.
pub trait Store: Send + Sync {
    /// `file` or `redis`, for the stats.
    fn kind(&self) -> &'static str;

    /// Which one, without user and password.
    fn shown(&self) -> String;

    /// The store's salt, which is `proposed` if there was none.
    ///
    /// # Errors
    ///
    /// A [`Fault`] when the store cannot be used.
    fn salt(&self, proposed: &Salt) -> Result<Salt, Fault>;

    /// What is there now.
    ///
    /// # Errors
    ///
    /// A [`Fault`] when the store cannot be used.
    fn load(&self, name: &str) -> Result<Loaded, Fault>;

    /// Tries once to get the right to ask the server.
    ///
    /// # Errors
    ///
    /// A [`Fault`] when the store cannot be used.
    fn try_lease(&self, name: &str) -> Result<Attempt, Fault>;

    /// How soon to try again after a first failure, and at most.
    fn patience(&self) -> (Duration, Duration);

    /// All entries of this version, whosever they are: name, `token` or `denied`, the sealed entry.
    ///
    /// # Errors
    ///
    /// A [`Fault`] when the store cannot be used.
    fn list(&self) -> Result<Vec<(String, &'static str, Sealed)>, Fault>;

    /// Removes all entries, and answers how many there were. Locks and leases of others stay.
    ///
    /// # Errors
    ///
    /// A [`Fault`] when the store cannot be used.
    fn clear(&self) -> Result<usize, Fault>;
}

/// What an entry of any bytes comes to, and the same bytes taken as a record: what fuzzing runs.
#[doc(hidden)]
pub fn understand(keys: &seal::Keys, which: seal::Which, bytes: &[u8]) {
    let now = crate::clock::Now::default();
    let _ = seal::header(bytes);
    if let Some(record) = keys.unseal(which, bytes) {
        let _ = record::Record::decode(&record, None, now);
    }
    let _ = record::Record::decode(bytes, Some(0), now);
}
