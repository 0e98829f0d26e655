//! What a slot is told and what it answers.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crate::cache::decide::{LastFailure, Windows};
use crate::cache::hold::Hold;
use crate::cache::shared::Health;
use crate::clock::Now;
use crate::error::{Error, Result};
use crate::options::AuthMode;
use crate::store::seal::{Keys, Salt};
use crate::token::{Life, Reply, Token};

/// What a token request brought.
pub(crate) struct Fetched {
    /// What the reply said.
    pub(crate) reply: Reply,
    /// Its effective life.
    pub(crate) life: Life,
    /// Server clock minus ours, in seconds; 0 below 30 s.
    pub(crate) skew_s: i64,
}

/// What the router said.
pub(crate) enum Routed {
    /// The UI server's URL.
    Url(String),
    /// It rejected the token as bad or expired; the error is what a caller gets if a new one fares no better.
    Rejected(Error),
}

/// How a slot reaches the server. One for each client, since the slot itself keeps no secret.
pub(crate) trait Fetch: Send + Sync {
    /// Reads again what the credentials are read from, before each flight and on its thread, within `limit`. `reading` is
    /// told which of them is being read, and when none is any more.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or a secret in it that cannot be used.
    fn reload(&self, limit: Duration, reading: &dyn Fn(Option<String>)) -> Result<Reloaded> {
        let _ = (limit, reading);
        Ok(Reloaded::Same)
    }

    /// Asks for a token, retries included, within `limit`. `on_try` is called for each request that goes out.
    ///
    /// # Errors
    ///
    /// A failure or rejection from the server or the network.
    fn token(&self, limit: Duration, on_try: &dyn Fn()) -> Result<Fetched>;

    /// Asks the router for the UI server's URL.
    ///
    /// # Errors
    ///
    /// A failure or rejection from the server or the network, except a rejected token.
    fn ui_url(&self, token: &Token, limit: Duration, on_try: &dyn Fn()) -> Result<Routed>;

    /// The keys of the identity's entries in the shared store with this salt: takes some 40 ms for a password.
    ///
    /// # Errors
    ///
    /// `NoMemory`.
    fn store_keys(&self, salt: &Salt) -> Result<Keys>;
}

/// What belongs to the slot: the first client that opens an identity decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlotOptions {
    /// `min_refresh_interval_s` in milliseconds.
    pub(crate) min_refresh_interval_ms: i64,
    /// `bad_credentials_cooldown_s` in milliseconds.
    pub(crate) cooldown_ms: i64,
    /// `default_lifetime_s` in milliseconds.
    pub(crate) default_lifetime_ms: i64,
    /// `max_retries`.
    pub(crate) max_retries: u32,
    /// `max_response_bytes`.
    pub(crate) max_response_bytes: usize,
    /// `user_agent`.
    pub(crate) user_agent: String,
}

/// What may be said of an identity in public.
#[derive(Clone, Debug)]
pub(crate) struct SlotInfo {
    /// Normalized base URL.
    pub(crate) base_url: String,
    /// How it asks.
    pub(crate) auth_mode: AuthMode,
    /// First 8 hex digits of a hash that leaves the secret out.
    pub(crate) fingerprint: String,
}

/// What happened so far. Hits are not counted.
#[derive(Default)]
pub(crate) struct Counters {
    /// Token requests that went out, retries included.
    pub(crate) token_requests: AtomicU64,
    /// Tokens that came.
    pub(crate) refreshes: AtomicU64,
    /// Calls that waited for a flight which another call had started.
    pub(crate) shared_waits: AtomicU64,
    /// Rejected tokens that were dropped.
    pub(crate) rejections: AtomicU64,
    /// Requests to the router.
    pub(crate) ui_requests: AtomicU64,
}

/// What a call brings along.
pub(crate) struct Caller<'a> {
    /// Its client's windows.
    pub(crate) windows: Windows,
    /// Its client's hold on the slot; `None`: no client's call, but a flight's.
    pub(crate) hold: Option<&'a Arc<Hold>>,
    /// How long it may wait.
    pub(crate) wait: Duration,
    /// Whether it returns `Pending` instead of waiting.
    pub(crate) no_wait: bool,
    /// Whether its client is still open, and on this slot. Called under the gate.
    pub(crate) presence: &'a dyn Fn() -> Presence,
    /// How to ask the server, once that is needed. Called under the gate.
    pub(crate) fetch: &'a dyn Fn() -> Arc<dyn Fetch>,
}

/// What became of credentials that were read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reloaded {
    /// They are the same.
    Same,
    /// They have changed, and the client has moved.
    Moved,
}

/// Where a waiting call's client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Open on this slot.
    Here,
    /// Updated: on another slot now.
    Moved,
    /// Freed.
    Closed,
}

/// What a request is to be sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// A token.
    Token,
    /// The UI server's URL, with a token at hand.
    UiUrl,
}

/// How a call ended.
pub(crate) enum Waited<T> {
    /// With what it wanted.
    Got(T),
    /// Its client is, or may be, on another slot by now: ask there.
    Moved,
}

/// What [`super::Slot::reject`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rejected {
    /// It was the current token and is gone.
    pub(crate) dropped: bool,
    /// Too many young tokens were rejected; no request for a while.
    pub(crate) given_up: bool,
}

/// A slot at one moment, for the stats.
pub(crate) struct Status {
    /// The current token.
    pub(crate) token: Option<Arc<Token>>,
    /// The moment.
    pub(crate) now: Now,
    /// A cool-down or backoff in force.
    pub(crate) failure: Option<LastFailure>,
    /// Failures so far, by the name of their code.
    pub(crate) failures: Vec<(&'static str, u64)>,
    /// The last one, and when.
    pub(crate) last_error: Option<(Error, Now)>,
    /// The UI server's URL last seen.
    pub(crate) ui_url: Option<Arc<str>>,
    /// Server clock minus ours.
    pub(crate) skew_s: i64,
    /// Clients that share the slot.
    pub(crate) open_clients: usize,
    /// Whether a flight is under way.
    pub(crate) refreshing: bool,
    /// Dropped tokens that the shared store has not been told of yet.
    pub(crate) tellings: usize,
    /// How the shared store fares; `None` without one.
    pub(crate) store: Option<Health>,
    /// Tokens taken over from other processes.
    pub(crate) adoptions: u64,
}
