//! The process-wide default client, opened from the `P21_*` environment variables at first use.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use super::binding::Secrets;
use super::{Client, Runtime, TokenOptions};
use crate::error::{Code, Error, Result};
use crate::fork::{self, Guarded};
use crate::options::{Config, Credential, Settings};

static DEFAULT: ArcSwapOption<Client> = ArcSwapOption::const_empty();

/// The default client that is being opened in the background, for calls that must not wait.
static OPENING: Guarded<Opening> = Guarded::new_static(Opening {
    by: None,
    failed: None,
});

/// The last failure to open, where a command has a part in it: it is not run again at every call.
static FAILED: Guarded<Option<Failed>> = Guarded::new_static(None);

struct Failed {
    credentials: Vec<Credential>,
    error: Error,
    failures: u32,
    until: Instant,
}

/// Pauses between runs of a command: the first, and the longest.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

struct Opening {
    /// The epoch of the process that is opening it: a forked child has no such thread.
    by: Option<u64>,
    /// Why it could not be opened; the next call that must not wait is told.
    failed: Option<Error>,
}

/// The process-wide client of the `P21_*` environment variables, opened at the first call, and again after a failure to open.
/// It is the client that the C functions use when they are given NULL.
///
/// # Errors
///
/// As [`Client::from_env`], the missing variables named.
pub fn default_client() -> Result<Client> {
    with_default(&TokenOptions::default(), |client, _| Ok(client.clone()))
}

/// Hands the default client to `work`, opening it first if need be, and again after a failure to open. The time that this
/// takes is taken from that of the call with these options.
///
/// # Errors
///
/// As [`Client::from_env`], the missing variables named; `Pending` for a call that must not wait; no matter what `work` answers.
pub(crate) fn with_default<R>(
    options: &TokenOptions,
    work: impl FnOnce(&Client, &TokenOptions) -> Result<R>,
) -> Result<R> {
    if let Some(client) = &*DEFAULT.load() {
        return work(client, options);
    }
    let began = Instant::now();
    let mut config = Config::new();
    config.load_variables("P21_")?;
    // Opened here and now, where that opens no file.
    let must_not_wait = options.no_wait || options.cached_only;
    if must_not_wait && (config.is_pending() || names_files(&config.settings()?)) {
        let told = open_apart(config);
        return Err(match told.code() {
            Code::Pending if options.cached_only => {
                Error::new(Code::NoCachedToken, told.message()).with_hint(told.hint())
            }
            _ => told,
        });
    }
    config.load_pending()?;
    let settings = config.settings()?;
    let wait = options.wait_or(settings.timeout_ms);
    let client = open(settings, began + wait)?;
    let left = wait.saturating_sub(began.elapsed());
    let rest = TokenOptions {
        wait: Some(left.max(Duration::from_millis(1))),
        ..*options
    };
    work(&client, &rest)
}

fn names_files(settings: &Settings) -> bool {
    Secrets::may_change(settings) || settings.transport.tls.ca_file.is_some()
}

/// What is got by running a command.
fn commands(settings: &Settings) -> Vec<Credential> {
    let all = [Some(&settings.credential), settings.store.key.as_ref()];
    let all = all.into_iter().flatten();
    all.filter(|one| one.is_command()).cloned().collect()
}

/// The failure of the same commands whose pause is not over.
fn held_back(credentials: &[Credential]) -> Option<Error> {
    FAILED.with(|failed| {
        let failed = failed.as_ref()?;
        let left = failed.until.checked_duration_since(Instant::now())?;
        (failed.credentials == credentials && !left.is_zero())
            .then(|| failed.error.clone().with_retry_after(left))
    })
}

fn hold_back(credentials: Vec<Credential>, error: &Error) {
    FAILED.with(|failed| {
        let before = failed.as_ref();
        let before = before.filter(|failed| failed.credentials == credentials);
        let failures = before.map_or(0, |failed| failed.failures);
        let pause = PAUSE.saturating_mul(1 << failures.min(5));
        *failed = Some(Failed {
            credentials,
            error: error.clone(),
            failures: failures + 1,
            until: Instant::now() + pause.min(LONGEST_PAUSE),
        });
    });
}

fn open(settings: Settings, deadline: Instant) -> Result<Arc<Client>> {
    let credentials = commands(&settings);
    if let Some(error) = held_back(&credentials).filter(|_| !credentials.is_empty()) {
        return Err(error);
    }
    let opened = Client::open_by(Runtime::global(), settings, deadline);
    match &opened {
        Err(error) if !credentials.is_empty() => hold_back(credentials, error),
        _ => FAILED.with(|failed| *failed = None),
    }
    let opened = Arc::new(opened?);
    // The first one wins; another that is opened meanwhile shares its slot anyway.
    let before = DEFAULT.compare_and_swap(&None::<Arc<Client>>, Some(Arc::clone(&opened)));
    Ok(before.as_ref().map_or(opened, Arc::clone))
}

/// Opens it on a thread of the library, unless that is under way. Returns what the call is told.
fn open_apart(mut config: Config) -> Error {
    let pending = || {
        Error::new(Code::Pending, "the default client is being opened")
            .with_hint("Call again in a moment, or without P21_NO_WAIT to wait for it.")
    };
    let told = OPENING.with(|opening| {
        if opening.by == Some(fork::epoch()) {
            return Some(pending());
        }
        let failed = opening.failed.take();
        if failed.is_none() {
            opening.by = Some(fork::epoch());
        }
        failed
    });
    if let Some(told) = told {
        return told;
    }
    let guard = Done;
    let job = move || {
        let settings = config.load_pending().and_then(|()| config.settings());
        let result = settings.and_then(|settings| {
            let limit = Duration::from_millis(settings.timeout_ms);
            open(settings, Instant::now() + limit)
        });
        OPENING.with(|opening| opening.failed = result.err());
        drop(guard);
    };
    match Runtime::global().spawn.spawn(Box::new(job)) {
        Ok(()) => pending(),
        Err(error) => error,
    }
}

/// Ends the opening no matter what becomes of its thread.
struct Done;

impl Drop for Done {
    fn drop(&mut self) {
        OPENING.with(|opening| opening.by = None);
    }
}

/// Opens the default client anew from the environment; one that is in use moves and wakes its waiters.
///
/// # Errors
///
/// As [`Client::from_env`]; the client then stays as it was.
pub(crate) fn update_default() -> Result<()> {
    let mut config = Config::new();
    config.load_env("P21_")?;
    if let Some(client) = &*DEFAULT.load() {
        return client.update(&config);
    }
    let settings = config.settings()?;
    let deadline = Instant::now() + Duration::from_millis(settings.timeout_ms);
    // Asked for by the program, so now.
    FAILED.with(|failed| *failed = None);
    let client = open(settings, deadline)?;
    drop(client);
    Ok(())
}
