//! Sharing tokens beyond the process: a file store for the processes of a user on a machine, a Redis store for a fleet.
//!
//! A [`Store`] moves sealed bytes and lends the right to ask the server; it understands neither. What the bytes mean is in
//! [`seal`] and [`record`]; what a flight does with them is in [`crate::cache`].

#[cfg(feature = "store-file")]
mod bounded;
#[cfg(feature = "store-file")]
mod file;
mod monitored;
pub(crate) mod record;
#[cfg(feature = "store-redis")]
mod redis;
#[cfg(feature = "shared-store")]
pub mod seal;
#[cfg(not(feature = "shared-store"))]
#[path = "seal_off.rs"]
pub mod seal;

use std::time::Duration;

pub(crate) use monitored::{MonitoredStore, StoreRegistry};
use seal::Salt;

/// Why a store cannot be used: one line, no secret. The next narrower store takes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault(pub String);

impl Fault {
    /// A fault with this reason.
    #[must_use]
    pub(crate) fn new(reason: impl Into<String>) -> Fault {
        Fault(reason.into())
    }
}

/// The entries of a name; each is sealed under a key of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// A token, or the note that it was rejected.
    Token,
    /// Refused credentials.
    Denial,
    /// Another failure.
    Failure,
}

impl EntryKind {
    /// Every kind.
    pub const ALL: [EntryKind; 3] = [EntryKind::Token, EntryKind::Denial, EntryKind::Failure];

    /// What it is called in a store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            EntryKind::Token => "token",
            EntryKind::Denial => "denied",
            EntryKind::Failure => "failed",
        }
    }
}

/// An entry as the store keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sealed {
    /// As [`seal`] describes them.
    pub bytes: Vec<u8>,
    /// How much longer the store keeps it, by its own clock; `None`: this store doesn't count.
    pub left_ms: Option<i64>,
}

/// What the store holds for a name. A missing entry says nothing: stores are flushed and evict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Loaded {
    /// The store's salt; another than before means that names and keys have changed.
    pub salt: Option<Salt>,
    /// The token's entry, or that of its rejection.
    pub token: Option<Sealed>,
    /// The refusal's entry.
    pub denial: Option<Sealed>,
    /// The entry of another failure, which holds for as long as it is there.
    pub failure: Option<Sealed>,
    /// What has been said to waiters so far.
    pub mark: Mark,
}

/// A place in what a store says to those who wait: a wait that begins behind it misses nothing that comes later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark(pub u64, pub u64);

/// A flight, as the store knows it.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    /// Random, so that no one else has it.
    pub owner: String,
    /// What it has heard.
    pub mark: Mark,
    /// Waits in a row that brought nothing.
    pub vain: u32,
    /// Whether the holder that it waits for is one that wakes.
    pub wakes: bool,
    /// What the store held when the last wait ended, if the store read it then.
    pub looked: Option<Loaded>,
}

impl Ticket {
    /// A new one.
    ///
    /// # Errors
    ///
    /// A [`Fault`] when the operating system returns no random bytes.
    pub(crate) fn new() -> Result<Ticket, Fault> {
        let mut owner = [0; 16];
        getrandom::fill(&mut owner)
            .map_err(|_| Fault::new("the operating system returns no random bytes"))?;
        Ok(Ticket {
            owner: crate::secret::hex(&owner),
            mark: Mark::default(),
            vain: 0,
            wakes: false,
            looked: None,
        })
    }
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Wake {
    /// Something was published, or may have been.
    News,
    /// The lease was given back without a result, and it is this flight's turn.
    Yours,
    /// As [`Wake::Yours`], to another flight.
    Others,
    /// Someone has just taken the lease.
    Held,
    /// The time was over.
    Nothing,
}

/// An entry to be written, of interest for this many milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep<'a> {
    /// The sealed entry.
    pub bytes: &'a [u8],
    /// For how long.
    pub keep_ms: i64,
}

/// What becomes of an entry.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Edit<'a> {
    /// It stays as it is.
    #[default]
    Leave,
    /// There is none any more.
    Remove,
    /// This takes its place.
    Put(Keep<'a>),
}

/// What is written, all at once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Change<'a> {
    /// To the token's entry.
    pub token: Edit<'a>,
    /// To the refusal's entry.
    pub denial: Edit<'a>,
    /// To that of another failure.
    pub failure: Edit<'a>,
}

/// Whether a change was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Published {
    /// It is there for everyone.
    Stored,
    /// The lease had run out and another process holds a later one: nothing was written.
    Fenced,
}

/// The right to ask the server for the token of one name, and to say what came of it. Given back when dropped.
pub(crate) trait Lease: Send {
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
pub(crate) enum Attempt {
    /// It is ours.
    Got(Box<dyn Lease>),
    /// Another has it.
    Busy {
        /// Who, as far as that is known.
        holder: Option<String>,
        /// Milliseconds until its lease ends, if it is not renewed; `None`: when it releases it.
        left_ms: Option<i64>,
        /// Whether it wakes those who wait.
        wakes: bool,
    },
}

/// Where tokens are shared. Every call is bounded (`store_timeout_ms` for each command over a network); none but
/// [`Store::wait`] waits for another process.
pub(crate) trait Store: Send + Sync {
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
    fn try_lease(&self, name: &str, ticket: &Ticket) -> Result<Attempt, Fault>;

    /// Waits for what others do about this name, at most so long. A wait may end sooner than that for no reason. A store that
    /// reads while it wakes leaves what it read in the ticket, which spares a [`Store::load`].
    fn wait(&self, name: &str, ticket: &mut Ticket, most: Duration) -> Wake;

    /// All entries of this version, of any owner: name, kind, the sealed entry.
    ///
    /// # Errors
    ///
    /// A [`Fault`] when the store cannot be used.
    fn list(&self) -> Result<Vec<(String, EntryKind, Sealed)>, Fault>;

    /// Removes the entries whose time was over at `before` (Unix milliseconds), or all, and answers how many there were. Locks
    /// and leases of others stay.
    ///
    /// # Errors
    ///
    /// A [`Fault`] when the store cannot be used.
    fn clear(&self, before: Option<i64>) -> Result<usize, Fault>;

    /// Anyone who has published something removes what is over, some of it at least; `now` in Unix milliseconds.
    fn tidy(&self, now: i64) {
        let _ = now;
    }
}

/// What an entry of any bytes comes to, and the same bytes taken as a record: what fuzzing runs.
#[doc(hidden)]
pub fn understand(keys: &seal::Keys, which: EntryKind, bytes: &[u8]) {
    let now = crate::clock::Now::default();
    let _ = seal::header(bytes);
    if let Some(record) = keys.unseal(which, bytes) {
        let _ = record::Record::decode(&record, None, now);
    }
    let _ = record::Record::decode(bytes, Some(0), now);
}
