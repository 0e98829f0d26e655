//! The client: one identity's tokens, for any number of threads.

mod default;
#[cfg(feature = "cli")]
mod examine;
mod fetch;
mod runtime;
mod seat;
mod stats;
mod store;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

pub use default::{update_default, with_default};
pub use runtime::Runtime;
pub(crate) use seat::Seat;
pub use store::{OwnEntry, StoreEntry};

use zeroize::Zeroizing;

use crate::cache::classify::{Ask, Windows, fresh_for_ms};
use crate::cache::{
    Caller, Fetch, Need, Presence, Share, Slot, SlotInfo, SlotKey, SlotOptions, Waited, held,
};
use crate::clock::millis;
use crate::error::{Code, Error, Result};
use crate::fork;
use crate::log::{self, Level};
use crate::options::{AuthMode, Config, Settings};
use crate::secret::Secret;
use crate::token::{Token, without_scheme};
use crate::wire::{self, Rejection, Verdict};
use fetch::ServerFetch;

/// What one call asks for. The default is a token that is good now, waiting as long as the client's `timeout_ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenOptions {
    /// A new token although the current one is good, at most one in `min_refresh_interval_s`.
    pub force_refresh: bool,
    /// Only what is cached: never waits, never asks the server.
    pub cached_only: bool,
    /// `Pending` instead of waiting.
    pub no_wait: bool,
    /// The longest this call may wait; `None`: the client's `timeout_ms`.
    pub wait: Option<Duration>,
    /// How long the token must still live; what the server's tokens cannot reach is not insisted on.
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

    fn ask(&self) -> Ask {
        Ask {
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
pub struct Client(Arc<Shared>);

struct Shared {
    runtime: Arc<Runtime>,
    seat: &'static Seat,
    /// Held while the client moves from slot to slot, so that two moves do not cross.
    moving: Mutex<()>,
    /// Monotonic milliseconds of the last look at `access_token_file`.
    looked: AtomicI64,
}

/// A client's place: its settings, its secret as it was read, and its slot.
struct Opened {
    settings: Arc<Settings>,
    key: SlotKey,
    slot: Arc<Slot>,
    windows: Windows,
    secret: Secret,
    fetch: OnceLock<Arc<ServerFetch>>,
    /// `access_token_file` was reported: look at it before the next answer.
    look_again: AtomicBool,
}

/// A file is looked at no more often than this.
const LOOK_MS: i64 = 1_000;

impl Client {
    /// Opens a client. Nothing is sent before the first token is asked for.
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
    /// As [`Client::open`]; what is missing is named.
    pub fn from_env(prefix: &str) -> Result<Client> {
        let mut config = Config::new();
        config.load_env(prefix)?;
        Client::open(&config)
    }

    /// Opens a client from a `.env` file.
    ///
    /// # Errors
    ///
    /// As [`Client::open`], and `Config` when the file cannot be read or understood.
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
    pub fn open_in(runtime: &Arc<Runtime>, config: &Config) -> Result<Client> {
        let settings = config.settings()?;
        let secret = settings.credential.read()?;
        let shared = Shared {
            runtime: Arc::clone(runtime),
            seat: runtime.take_seat(),
            moving: Mutex::new(()),
            looked: AtomicI64::new(i64::MIN),
        };
        let opened = Opened::new(runtime, settings, secret, &shared.seat.word)?;
        shared.seat.state.store(Some(Arc::new(opened)));
        Ok(Client(Arc::new(shared)))
    }

    /// A token that is good now.
    ///
    /// # Errors
    ///
    /// The token endpoint's error, at once while a cool-down or backoff lasts; `Timeout` when `timeout_ms` is over.
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
        if let Some(token) = self.0.seat.hit(options, || true, Arc::clone) {
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
        if let Some(Some(seen)) = self.0.seat.hit(options, || true, &mut once) {
            return Ok(seen);
        }
        let token = self.0.acquire(options)?;
        once(&token).ok_or_else(|| Error::new(Code::Internal, "a token was looked at twice"))
    }

    /// Sorts an API's rejection and drops the token if it is to blame. `token` may begin with `Bearer `.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for an HTTP status outside 100 … 599; `Closed`.
    pub fn report(&self, token: &str, http_status: i32, body: &[u8]) -> Result<Verdict> {
        let opened = self.0.opened()?;
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
            Rejection::TokenDead | Rejection::Unknown401 if opened.is_own() => {
                self.0.look_again(&opened);
                Verdict::GiveUp
            }
            Rejection::TokenDead | Rejection::Unknown401 => {
                if opened.slot.reject(without_scheme(token)).given_up {
                    Verdict::GiveUp
                } else {
                    Verdict::Retry
                }
            }
            other => other.verdict(),
        })
    }

    /// Drops `token` if it is still the current one; `None`: whatever is cached, and any cool-down: "I unlocked the account,
    /// try now". A token of your own (`auth_mode=token`) stays; its file is read again.
    ///
    /// # Errors
    ///
    /// `Closed`.
    pub fn invalidate(&self, token: Option<&str>) -> Result<()> {
        let opened = self.0.opened()?;
        match token {
            _ if opened.is_own() => self.0.look_again(&opened),
            Some(token) => {
                opened.slot.reject(without_scheme(token));
            }
            None => opened.slot.invalidate(),
        }
        Ok(())
    }

    /// The UI server's URL, without a trailing slash; asked for once for each token.
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
            .ask(options, |slot, caller| slot.ui_url(&options.ask(), caller))
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
        let opened = self.0.opened()?;
        let (slot, now) = (&opened.slot, || self.0.runtime.clock.now());
        if opened.is_own() {
            let token = slot.current();
            let live = token.as_ref().filter(|token| token.life.left_ms(now()) > 0);
            let token = live.ok_or_else(|| own_expired(&opened))?;
            return Ok(token.to_json(now()));
        }
        crate::sys::pin_library();
        let limit = Duration::from_millis(opened.settings.timeout_ms);
        let fetch = opened.fetch(&self.0.runtime);
        if let Some(error) = slot.held_back(&*fetch) {
            return Err(error);
        }
        // On a thread of its own: the caller's may belong to an async runtime, where a blocking request must not be made.
        let fetched = std::thread::scope(|scope| {
            scope
                .spawn(|| fetch.token(limit, &|| slot.count_request()))
                .join()
        })
        .unwrap_or_else(|_| {
            Err(Error::new(
                Code::Panic,
                "the token request failed inside the library",
            ))
        })
        .map_err(|error| slot.note_refusal(error))?;
        slot.issued().remember(&fetched.reply);
        Ok(Token::new(fetched.reply, fetched.life, 0, 0).to_json(now()))
    }

    /// Gives the client other credentials or settings; whoever waits for the old ones waits for the new.
    ///
    /// # Errors
    ///
    /// As [`Client::open`]; the client then stays as it was. `Closed`.
    pub fn update(&self, config: &Config) -> Result<()> {
        let settings = config.settings()?;
        let secret = settings.credential.read()?;
        self.0.move_to(settings, secret)
    }

    /// Closes the client, and with it all its clones: calls that wait return at once with `Closed`.
    pub fn close(&self) {
        self.0.close();
    }

    /// What is going on, as a JSON object; its `schema` says which version of the layout. No secret is in it.
    ///
    /// # Errors
    ///
    /// `Closed`.
    pub fn stats(&self) -> Result<String> {
        let opened = self.0.opened()?;
        Ok(stats::json(&opened))
    }

    /// A word that changes whenever the token that a caller would get may have changed. Its values never repeat in a
    /// process; it says nothing about time. The address stays valid for the life of the process.
    #[must_use]
    pub fn generation(&self) -> &'static AtomicU64 {
        &self.0.seat.word
    }

    /// Where the client lives, for whoever knows by other means how long that is.
    pub(crate) fn seat(&self) -> &'static Seat {
        self.0.seat
    }

    /// The settings in use.
    ///
    /// # Errors
    ///
    /// `Closed`.
    pub fn settings(&self) -> Result<Arc<Settings>> {
        Ok(Arc::clone(&self.0.opened()?.settings))
    }

    /// How long a caller may use `token` again without asking, while [`Client::generation`] does not change: at most 60 s,
    /// 1 s with a shared store, nothing inside the refresh windows or within `min_valid` of expiry.
    #[must_use]
    pub fn reuse_for(&self, token: &Token, min_valid: Duration) -> Duration {
        let Ok(opened) = self.0.opened() else {
            return Duration::ZERO;
        };
        opened.reuse().left(token, min_valid)
    }

    /// What [`Client::reuse_for`] needs to know, to be asked later and without the client.
    ///
    /// # Errors
    ///
    /// `Closed`.
    pub fn reuse(&self) -> Result<Reuse> {
        Ok(self.0.opened()?.reuse())
    }
}

/// How long a token of a client may be used again without asking.
#[derive(Clone)]
pub struct Reuse {
    slot: Arc<Slot>,
    windows: Windows,
    most_ms: i64,
}

impl Reuse {
    /// See [`Client::reuse_for`].
    #[must_use]
    pub fn left(&self, token: &Token, min_valid: Duration) -> Duration {
        let now = self.slot.clock().now();
        crate::clock::duration(
            fresh_for_ms(&held(token), &self.windows, millis(min_valid), now).min(self.most_ms),
        )
    }

    /// The moment, on the clock that the token's life is measured with.
    #[must_use]
    pub fn now(&self) -> crate::clock::Now {
        self.slot.clock().now()
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.opened() {
            Ok(opened) => write!(
                f,
                "Client({}, {})",
                opened.settings.base_url, opened.slot.info.fingerprint
            ),
            Err(_) => f.write_str("Client(closed)"),
        }
    }
}

impl Opened {
    fn new(
        runtime: &Arc<Runtime>,
        mut settings: Settings,
        secret: Secret,
        word: &'static AtomicU64,
    ) -> Result<Opened> {
        let own = settings.auth_mode == AuthMode::Token;
        if own {
            // A token is valid until it expires: no windows.
            (settings.refresh_margin_ms, settings.max_token_age_ms) = (0, 0);
        } else {
            // What can never be sent is better said now than at the first call.
            wire::token_request(&settings, &secret)?;
        }
        (runtime.transports)(&settings.transport)?;
        if !settings.transport.tls.verify {
            let message = format!(
                "{}: tls_verify=0, any certificate is accepted: for development only",
                settings.base_url
            );
            log::record(Level::Warn, "tls.unverified", &message);
        }
        let token = if own {
            Some(Token::own(&secret, runtime.clock.now())?)
        } else {
            None
        };
        let places = if own {
            Vec::new()
        } else {
            runtime.places.open(&settings)?
        };
        let identity = runtime.identity(&settings, &secret);
        let slot = runtime.registry.open(
            identity.key,
            word,
            Duration::from_millis(settings.timeout_ms),
            || {
                let info = SlotInfo {
                    base_url: settings.base_url.to_string(),
                    auth_mode: settings.auth_mode,
                    fingerprint: identity.fingerprint,
                };
                Slot::new(
                    slot_options(&settings),
                    info,
                    Share::new(places, settings.store.required),
                    Arc::clone(&runtime.clock),
                    Arc::clone(&runtime.spawn),
                    runtime.random,
                )
            },
        );
        if let Some(token) = token {
            slot.hold(token);
        }
        Ok(Opened {
            windows: Windows {
                refresh_margin_ms: settings.refresh_margin_ms,
                max_token_age_ms: settings.max_token_age_ms,
            },
            settings: Arc::new(settings),
            key: identity.key,
            slot,
            secret,
            fetch: OnceLock::new(),
            look_again: AtomicBool::new(false),
        })
    }

    fn is_own(&self) -> bool {
        self.settings.auth_mode == AuthMode::Token
    }

    /// The way to the server, with what the slot's first opener chose.
    fn fetch(&self, runtime: &Arc<Runtime>) -> Arc<dyn Fetch> {
        self.server(runtime)
    }

    fn server(&self, runtime: &Arc<Runtime>) -> Arc<ServerFetch> {
        let fetch = self.fetch.get_or_init(|| {
            let mut settings = Arc::clone(&self.settings);
            if slot_options(&settings) != self.slot.options {
                let chosen = &self.slot.options;
                settings = Arc::new(Settings {
                    default_lifetime_ms: chosen.default_lifetime_ms,
                    max_retries: chosen.max_retries,
                    max_response_bytes: chosen.max_response_bytes,
                    user_agent: chosen.user_agent.clone(),
                    ..(*settings).clone()
                });
            }
            Arc::new(ServerFetch {
                runtime: Arc::clone(runtime),
                settings,
                secret: self.secret.clone(),
                issued: Arc::clone(self.slot.issued()),
            })
        });
        Arc::clone(fetch)
    }

    fn reuse(&self) -> Reuse {
        let shared = self.settings.store.choice != crate::options::StoreChoice::Memory;
        Reuse {
            slot: Arc::clone(&self.slot),
            windows: self.windows,
            most_ms: if shared { 1_000 } else { 60_000 },
        }
    }
}

fn slot_options(settings: &Settings) -> SlotOptions {
    SlotOptions {
        min_refresh_interval_ms: settings.min_refresh_interval_ms,
        cooldown_ms: settings.bad_credentials_cooldown_ms,
        default_lifetime_ms: settings.default_lifetime_ms,
        max_retries: settings.max_retries,
        max_response_bytes: settings.max_response_bytes,
        user_agent: settings.user_agent.clone(),
    }
}

impl Shared {
    fn opened(&self) -> Result<Arc<Opened>> {
        self.seat.state.load_full().ok_or_else(closed)
    }

    #[cold]
    fn acquire(&self, options: &TokenOptions) -> Result<Arc<Token>> {
        self.ask(options, |slot, caller| {
            let mut ask = options.ask();
            if slot.info.auth_mode == AuthMode::Token {
                // Nobody issues a newer one: there is only what the caller supplied.
                (ask.force, ask.min_valid_ms) = (false, 0);
            }
            slot.acquire(&ask, caller)
        })
    }

    /// Asks the slot on which the client is, and the next one if it moves meanwhile.
    fn ask<T>(
        &self,
        options: &TokenOptions,
        work: impl Fn(&Arc<Slot>, &Caller<'_>) -> Result<Waited<T>>,
    ) -> Result<T> {
        let clock = &self.runtime.clock;
        let start = clock.now().mono;
        let mut reread = false;
        loop {
            let opened = self.seat.state.load_full().ok_or_else(closed)?;
            if opened.look_again.load(Ordering::Relaxed) && self.look_at_file(&opened)? {
                continue;
            }
            let whole = options
                .wait
                .filter(|wait| !wait.is_zero())
                .unwrap_or(Duration::from_millis(opened.settings.timeout_ms));
            let spent = crate::clock::duration(clock.now().mono.saturating_sub(start));
            let fetch = |need| self.fetch_for(&opened, need);
            let presence = || self.presence(&opened);
            let caller = Caller {
                windows: opened.windows,
                wait: whole.saturating_sub(spent),
                no_wait: options.no_wait,
                presence: &presence,
                fetch: &fetch,
            };
            match work(&opened.slot, &caller) {
                Ok(Waited::Got(value)) => return Ok(value),
                Ok(Waited::Moved) => {}
                // Refused, but perhaps the file holds another secret by now.
                Err(error)
                    if error.code() == Code::Unauthorized
                        && !reread
                        && opened.settings.credential.is_file() =>
                {
                    reread = true;
                    if !self.reread(&opened).unwrap_or(false) {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn presence(&self, opened: &Arc<Opened>) -> Presence {
        match self.seat.state.load().as_ref() {
            None => Presence::Closed,
            Some(now) if Arc::ptr_eq(now, opened) => Presence::Here,
            Some(_) => Presence::Moved,
        }
    }

    /// How to send what is needed; `None` when a secret file has changed and the client has moved.
    fn fetch_for(&self, opened: &Arc<Opened>, need: Need) -> Result<Option<Arc<dyn Fetch>>> {
        if need == Need::Token {
            if opened.is_own() {
                return if self.look_at_file(opened)? {
                    Ok(None)
                } else {
                    Err(own_expired(opened))
                };
            }
            if opened.settings.credential.is_file() && self.reread(opened)? {
                return Ok(None);
            }
        }
        Ok(Some(opened.fetch(&self.runtime)))
    }

    /// Reads `access_token_file` again, at most once a second. Answers whether the client has moved.
    fn look_at_file(&self, opened: &Arc<Opened>) -> Result<bool> {
        let now = self.runtime.clock.now().mono;
        let last = self.looked.load(Ordering::Relaxed);
        let due = now.saturating_sub(last) >= LOOK_MS;
        if !opened.settings.credential.is_file()
            || !due
            || self
                .looked
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            return Ok(false);
        }
        match self.reread(opened) {
            // A file that cannot be read matters only once the token in hand is dead.
            Err(error)
                if opened
                    .slot
                    .current()
                    .as_ref()
                    .is_none_or(|token| token.life.left_ms(self.runtime.clock.now()) <= 0) =>
            {
                Err(error)
            }
            result => Ok(result.unwrap_or(false)),
        }
    }

    /// Reads a secret file; a changed secret is another identity. Answers whether the client has moved.
    fn reread(&self, opened: &Arc<Opened>) -> Result<bool> {
        let secret = opened.settings.credential.read()?;
        if secret == opened.secret {
            return Ok(false);
        }
        self.move_if(Some(opened), (*opened.settings).clone(), secret)?;
        Ok(true)
    }

    fn move_to(&self, settings: Settings, secret: Secret) -> Result<()> {
        self.move_if(None, settings, secret)
    }

    /// Opens the new place, then leaves the old one; not if somebody else moved the client away from `from` meanwhile.
    fn move_if(
        &self,
        from: Option<&Arc<Opened>>,
        settings: Settings,
        secret: Secret,
    ) -> Result<()> {
        let new = Opened::new(&self.runtime, settings, secret, &self.seat.word)?;
        fork::section(|| {
            let _moving = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
            let leave = |place: &Opened| {
                self.runtime
                    .registry
                    .close(&place.key, &place.slot, &self.seat.word);
            };
            let Some(old) = self.seat.state.load_full() else {
                leave(&new);
                return Err(closed());
            };
            if from.is_some_and(|from| !Arc::ptr_eq(from, &old)) {
                leave(&new);
                return Ok(());
            }
            self.seat.state.store(Some(Arc::new(new)));
            leave(&old);
            Ok(())
        })
    }

    /// A token of one's own was reported: only its file can bring another.
    fn look_again(&self, opened: &Opened) {
        if opened.settings.credential.is_file() {
            opened.look_again.store(true, Ordering::Relaxed);
            self.seat
                .word
                .store(crate::cache::next_number(), Ordering::Release);
        }
    }

    fn close(&self) {
        fork::section(|| {
            let _moving = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(old) = self.seat.state.swap(None) {
                self.runtime
                    .registry
                    .close(&old.key, &old.slot, &self.seat.word);
            }
        });
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.close();
        // Not sooner: a clone of a closed client must not find another client in it.
        self.runtime.give_back_seat(self.seat);
    }
}

fn closed() -> Error {
    Error::new(Code::Closed, "the client is closed")
}

fn own_expired(opened: &Opened) -> Error {
    let hint = if opened.settings.credential.is_file() {
        "Put a new token into access_token_file; it is read again by itself."
    } else {
        "Supply a new token: update the client (p21_client_update) with another access_token."
    };
    Error::new(
        Code::TokenExpired,
        "the access token that was supplied has expired",
    )
    .with_hint(hint)
}

/// In a forked child: the process' slots let go of what their threads held.
#[cfg(unix)]
pub(crate) fn after_fork() {
    if let Some(runtime) = Runtime::existing() {
        runtime.after_fork();
    }
}
