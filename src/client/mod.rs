//! The client: one identity's tokens, for any number of threads.

mod binding;
mod cell;
mod default;
mod examine;
mod fetch;
mod inner;
#[cfg(test)]
mod model;
mod runtime;
mod stats;
mod store;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

pub(crate) use cell::ClientCell;
pub use default::default_client;
pub(crate) use default::{update_default, with_default};
pub use examine::{ApiCall, Asked};
pub use runtime::Runtime;
pub use stats::FIELDS;
pub(crate) use stats::USE_STORE_KEY;
pub use store::{OwnEntry, StoreEntry};

use zeroize::Zeroizing;

use crate::cache::decide::{TokenTimes, Windows, Wish, fresh_for_ms};
use crate::cache::{Slot, dead_on_arrival};
use crate::clock::millis;
use crate::error::{Code, Error, Result};
use crate::options::{Config, Settings};
use crate::token::{Token, without_scheme};
use crate::wire::{self, Rejection, Verdict};
use inner::{ClientInner, own_expired};

/// For the one thread of a request past the cache.
const STACK_BYTES: usize = 512 * 1024;

/// Options of one call. By default it returns a valid token, and waits at most the client's `timeout_ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenOptions {
    /// Fetch a new token even if the current one is still valid, at most once per `min_refresh_interval_s`.
    pub force_refresh: bool,
    /// Return only a cached token: never waits, never sends a request.
    pub cached_only: bool,
    /// Return `Pending` instead of waiting.
    pub no_wait: bool,
    /// The longest this call may wait; `None`: the client's `timeout_ms`.
    pub wait: Option<Duration>,
    /// How long the token must stay valid, if the server's tokens live that long.
    pub min_valid: Duration,
}

impl TokenOptions {
    pub(crate) fn check(&self) -> Result<()> {
        if self.force_refresh && (self.cached_only || self.no_wait)
            || self.cached_only && self.no_wait
        {
            return Err(Error::new(
                Code::InvalidArgument,
                "force refresh, cached only and no wait exclude each other",
            ));
        }
        Ok(())
    }

    /// How long the call may wait, of a client with this `timeout_ms`.
    fn wait_or(&self, timeout_ms: u64) -> Duration {
        let own = self.wait.filter(|wait| !wait.is_zero());
        own.unwrap_or(Duration::from_millis(timeout_ms))
    }

    fn wish(&self) -> Wish {
        Wish {
            force: self.force_refresh,
            cached_only: self.cached_only,
            min_valid_ms: millis(self.min_valid),
        }
    }
}

/// A client of one P21 server under one identity. Cheap to clone; all clones are the same client, and all clients of the
/// same identity in a process share one token.
///
/// ```no_run
/// use p21auth::{Client, Config};
///
/// let mut config = Config::new();
/// config.set("base_url", Some("https://p21.example.com"))?;
/// config.set("consumer_key", Some("the key from SOA Admin"))?;
/// let client = Client::open(&config)?;
/// let token = client.token()?; // asks the server once
/// let again = client.token()?; // a few nanoseconds
/// assert_eq!(token.value(), again.value());
/// # Ok::<(), p21auth::Error>(())
/// ```
#[derive(Clone)]
pub struct Client(Arc<ClientInner>);

impl Client {
    /// Opens a client. Nothing is sent before the first call that needs a token.
    ///
    /// # Errors
    ///
    /// `UnknownOption` or `Config`, with a hint: what is missing, contradictory or malformed.
    pub fn open(config: &Config) -> Result<Client> {
        Client::open_in(Runtime::global(), config)
    }

    /// Opens a client from the environment variables `P21_BASE_URL`, `P21_USERNAME`, … or those under another prefix.
    ///
    /// # Errors
    ///
    /// As [`Client::open`]; the error names what is missing.
    pub fn from_env(prefix: &str) -> Result<Client> {
        let mut config = Config::new();
        config.load_env(prefix)?;
        Client::open(&config)
    }

    /// Opens a client from a profile only: see [`Config::load_profile`].
    ///
    /// # Errors
    ///
    /// As [`Client::open`] and [`Config::load_profile`].
    pub fn from_profile(name: &str) -> Result<Client> {
        let mut config = Config::new();
        config.load_profile(name)?;
        Client::open(&config)
    }

    /// Opens a client from a `.env` file.
    ///
    /// # Errors
    ///
    /// As [`Client::open`], and `Config` if the file cannot be read or parsed.
    pub fn from_file(path: &Path) -> Result<Client> {
        let mut config = Config::new();
        config.load_file(path)?;
        Client::open(&config)
    }

    /// Opens a client in a runtime of its own, for tests.
    ///
    /// # Errors
    ///
    /// As [`Client::open`].
    #[doc(hidden)]
    pub fn open_in(runtime: &Arc<Runtime>, config: &Config) -> Result<Client> {
        let settings = config.settings()?;
        let deadline = Instant::now() + Duration::from_millis(settings.timeout_ms);
        Client::open_by(runtime, settings, deadline)
    }

    /// Opens a client; what the settings name is read by the deadline.
    fn open_by(runtime: &Arc<Runtime>, settings: Settings, deadline: Instant) -> Result<Client> {
        let inner = ClientInner::open(runtime, settings, deadline)?;
        Ok(Client(Arc::new(inner)))
    }

    /// A valid token.
    ///
    /// # Errors
    ///
    /// The token endpoint's error, at once during a cool-down or backoff; `Timeout` after `timeout_ms`.
    pub fn token(&self) -> Result<Arc<Token>> {
        self.token_with(&TokenOptions::default())
    }

    /// A token, as `options` say.
    ///
    /// # Errors
    ///
    /// As [`Client::token`]; `InvalidArgument` for options that exclude each other; `NoCachedToken`, `Pending`, `Closed`.
    pub fn token_with(&self, options: &TokenOptions) -> Result<Arc<Token>> {
        options.check()?;
        if let Some(token) = self.0.hit(options, Arc::clone) {
            Ok(token)
        } else {
            self.0.acquire(options)
        }
    }

    /// Hands a token to `look` without taking a share in it: a hit writes to no memory that other threads use.
    ///
    /// # Errors
    ///
    /// As [`Client::token_with`].
    #[inline]
    pub fn with_token<R>(
        &self,
        options: &TokenOptions,
        look: impl FnOnce(&Token) -> R,
    ) -> Result<R> {
        options.check()?;
        let mut look = Some(look);
        let mut once = |token: &Arc<Token>| look.take().map(|look| look(token));
        if let Some(Some(seen)) = self.0.hit(options, &mut once) {
            return Ok(seen);
        }
        let token = self.0.acquire(options)?;
        once(&token).ok_or_else(|| Error::new(Code::Internal, "a token was looked at twice"))
    }

    /// Reports an API's rejection, and drops the token if it is the cause. `token` may begin with `Bearer `.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for an HTTP status outside 100 … 599; `Closed`.
    pub fn report(&self, token: &str, http_status: i32, body: &[u8]) -> Result<Verdict> {
        let binding = self.0.binding()?;
        let status = u16::try_from(http_status)
            .ok()
            .filter(|status| (100..600).contains(status))
            .ok_or_else(|| {
                Error::new(
                    Code::InvalidArgument,
                    format!("{http_status} is not an HTTP status"),
                )
                .with_hint("Pass the status of the API's response, such as 401.")
            })?;
        Ok(match wire::classify_rejection(status, body) {
            Rejection::TokenDead | Rejection::Unknown401 if binding.is_own() => {
                binding.reload_before_next();
                Verdict::GiveUp
            }
            Rejection::TokenDead | Rejection::Unknown401 => {
                if binding.slot.reject(without_scheme(token)).given_up {
                    Verdict::GiveUp
                } else {
                    Verdict::Retry
                }
            }
            other => other.verdict(),
        })
    }

    /// Drops `token` if it is still the current one; `None` drops the cached token and ends any cool-down, for example after
    /// an account was unlocked. A token of your own (`auth_mode=token`) stays; its file is read again.
    ///
    /// # Errors
    ///
    /// `Closed`.
    pub fn invalidate(&self, token: Option<&str>) -> Result<()> {
        let binding = self.0.binding()?;
        match token {
            _ if binding.is_own() => binding.reload_before_next(),
            Some(token) => {
                binding.slot.reject(without_scheme(token));
            }
            None => binding.slot.invalidate(),
        }
        Ok(())
    }

    /// The UI server's URL, without a trailing slash; requested once per token.
    ///
    /// # Errors
    ///
    /// As [`Client::token`], `NoUrl`, and the router's own errors.
    pub fn ui_url(&self) -> Result<Arc<str>> {
        self.ui_url_with(&TokenOptions::default())
    }

    /// As [`Client::ui_url`]; `force_refresh` asks the router again, not the token endpoint.
    ///
    /// # Errors
    ///
    /// As [`Client::ui_url`]; `InvalidArgument` for options that exclude each other.
    pub fn ui_url_with(&self, options: &TokenOptions) -> Result<Arc<str>> {
        options.check()?;
        self.0
            .ask(options, |slot, caller| slot.ui_url(options.wish(), caller))
    }

    /// A token of its own from the server, past the cache, as JSON in the guide's names. It is asked for on the calling
    /// thread, within `timeout_ms`, and never replaces the cached one. A cool-down or backoff of the identity holds here
    /// too, and refused credentials begin one, in a shared store as well. With `auth_mode=token`: the caller's token,
    /// without a request.
    ///
    /// # Errors
    ///
    /// As [`Client::token`].
    pub fn request_uncached(&self) -> Result<Zeroizing<String>> {
        let timeout_ms = self.0.binding()?.settings.timeout_ms;
        self.request_by(Instant::now() + Duration::from_millis(timeout_ms))
    }

    /// Opens a client and does as [`Client::request_uncached`], both within one `timeout_ms`.
    ///
    /// # Errors
    ///
    /// As [`Client::open`] and [`Client::request_uncached`].
    pub(crate) fn request_once(config: &Config) -> Result<Zeroizing<String>> {
        let settings = config.settings()?;
        let deadline = Instant::now() + Duration::from_millis(settings.timeout_ms);
        Client::open_by(Runtime::global(), settings, deadline)?.request_by(deadline)
    }

    fn request_by(&self, deadline: Instant) -> Result<Zeroizing<String>> {
        let binding = self.0.binding()?;
        let (slot, now) = (&binding.slot, || self.0.runtime.clock.now());
        if binding.is_own() {
            let token = slot.current();
            let live = token.filter(|token| token.life.left_ms(now()) > 0);
            let token = live.ok_or_else(|| own_expired(&binding))?;
            return Ok(token.to_json(now()));
        }
        crate::sys::pin_library();
        let limit = deadline.saturating_duration_since(Instant::now());
        let fetch = binding.fetch(&self.0.runtime);
        // On a thread of its own: the caller's may belong to an async runtime, where a blocking request must not be made, and
        // must not wait for a store that does not answer.
        let asked = Arc::clone(slot);
        let request = move || {
            if let Some(error) = asked.held_back(&*fetch) {
                return Err(error);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let fetched = fetch.token(left, &|| asked.count_request());
            fetched.map_err(|error| asked.note_refusal(error))
        };
        // The request keeps to the limit; the rest is for a thread that starts late.
        let patience = limit + limit / 10;
        let fetched = crate::sys::run_apart(c"p21auth-request", STACK_BYTES, patience, request)
            .unwrap_or_else(|error| Err(Error::of_thread("the token request", &error)))?;
        slot.issued().remember(&fetched.reply);
        if fetched.life.left_ms(now()) <= 0 {
            return Err(dead_on_arrival(fetched.life, now()));
        }
        Ok(Token::new(fetched.reply, fetched.life, 0, 0).to_json(now()))
    }

    /// Changes the client's credentials or settings; a call that waits for the old ones waits for the new.
    ///
    /// # Errors
    ///
    /// As [`Client::open`]; the client then does not change. `Closed`.
    pub fn update(&self, config: &Config) -> Result<()> {
        let settings = config.settings()?;
        let deadline = Instant::now() + Duration::from_millis(settings.timeout_ms);
        self.0.move_to(settings, deadline)
    }

    /// Closes the client, and with it all its clones: calls that wait return at once with `Closed`.
    pub fn close(&self) {
        self.0.close();
    }

    /// The client's state as a JSON object; `schema` is the version of its layout. It contains no secret.
    ///
    /// # Errors
    ///
    /// `Closed`.
    pub fn stats(&self) -> Result<String> {
        let binding = self.0.binding()?;
        Ok(stats::json(&binding))
    }

    /// A number that changes whenever the client's token may have changed. Its values never repeat in a process, and it does
    /// not change when time passes. The address stays valid for the life of the process.
    #[must_use]
    pub fn generation(&self) -> &'static AtomicU64 {
        &self.0.cell.board.word
    }

    /// Where the client lives, for code that knows by other means how long that is.
    pub(crate) fn cell(&self) -> &'static ClientCell {
        self.0.cell
    }

    /// The settings in use.
    ///
    /// # Errors
    ///
    /// `Closed`.
    #[doc(hidden)]
    pub fn settings(&self) -> Result<Arc<Settings>> {
        Ok(Arc::clone(&self.0.binding()?.settings))
    }

    /// How long a token may be reused without another call, while [`Client::generation`] does not change: at most 60 s, 1 s
    /// with a shared store, nothing inside the refresh windows. To be asked later and without the client.
    ///
    /// # Errors
    ///
    /// `Closed`.
    pub(crate) fn reuse(&self) -> Result<Reuse> {
        Ok(self.0.binding()?.reuse())
    }
}

/// How long a token of a client may be used again without asking.
#[derive(Clone)]
pub(crate) struct Reuse {
    slot: Arc<Slot>,
    windows: Windows,
    most_ms: i64,
}

impl Reuse {
    /// See [`Client::reuse_for`].
    #[must_use]
    pub(crate) fn left(&self, token: &Token, min_valid: Duration) -> Duration {
        let now = self.slot.clock().now();
        crate::clock::duration(
            fresh_for_ms(
                &TokenTimes::of(token),
                &self.windows,
                millis(min_valid),
                now,
            )
            .min(self.most_ms),
        )
    }

    /// The moment, on the clock that the token's life is measured with.
    #[must_use]
    pub(crate) fn now(&self) -> crate::clock::Now {
        self.slot.clock().now()
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.binding() {
            Ok(binding) => write!(
                f,
                "Client({}, {})",
                binding.settings.base_url, binding.slot.info.fingerprint
            ),
            Err(_) => f.write_str("Client(closed)"),
        }
    }
}
