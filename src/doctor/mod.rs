//! Why it does not work, step by step, as data.
//!
//! An [`Examination`] goes the way that a token goes: configuration, store, network, server, token, APIs. It reports each
//! [`Step`] as it ends and returns all of them in a [`Report`]. Each step is a judgment, a pure function of what was seen, in
//! a file of its own; this one looks, in order, and leaves out what cannot work after a failure. It looks with the library's
//! own transport, store and client, because their way is the one to be examined.
//!
//! ```no_run
//! use p21auth::doctor::Examination;
//!
//! let mut config = p21auth::Config::new();
//! config.load_env("P21_")?;
//! let report = Examination::of(&config).run();
//! println!("{}", report.to_json());
//! # Ok::<(), p21auth::Error>(())
//! ```

mod apis;
mod configuration;
mod network;
mod patient;
mod report;
mod run;
mod store;
mod tls;
mod token;
mod watch;

use std::ops::ControlFlow::{self, Continue};
use std::sync::Arc;
use std::time::Duration;

use crate::client::Client;
use crate::error::{Error, Result};
use crate::fork::Guarded;
use crate::options::Config;
pub use report::{FIELDS, Outcome, Report, Step};
#[doc(hidden)]
pub use report::{report_of, span, step_of};
use run::Run;

/// An API to ask one harmless question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Api {
    /// Where the UI server is.
    Router,
    /// A row of a table.
    Odata,
    /// The health check.
    Entity,
    /// The list of the token's own sessions.
    Interactive,
}

impl Api {
    /// All of them, in the order in which they are asked.
    pub const ALL: [Api; 4] = [Api::Router, Api::Odata, Api::Entity, Api::Interactive];

    /// The id of its step.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Api::Router => "router",
            Api::Odata => "odata",
            Api::Entity => "entity",
            Api::Interactive => "interactive",
        }
    }
}

/// What happens during an examination.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The step with this id begins.
    Begun(&'static str),
    /// A step has ended, or was skipped.
    Ended(&'a Step),
}

/// Why no token may be requested: what is shown as seen, and what to do, which may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why not.
    pub why: String,
    /// What to do; may be empty.
    pub advice: String,
}

type Consent<'a> = Box<dyn FnMut() -> std::result::Result<(), Refusal> + 'a>;

/// An examination to be run: of which configuration, and how far it may go. By itself it requests no token.
pub struct Examination<'a> {
    config: Result<Config>,
    origins: Vec<(&'static str, String)>,
    prefix: String,
    variables: Vec<String>,
    client: Option<Client>,
    consent: Consent<'a>,
    apis: Vec<Api>,
    odata_table: Option<String>,
    limit: Option<Duration>,
}

impl<'a> Examination<'a> {
    /// An examination of `config`. It tries nothing twice, no matter what `max_retries` is.
    #[must_use]
    pub fn of(config: &Config) -> Examination<'a> {
        Examination::of_result(Ok(config.clone()))
    }

    /// As [`Examination::of`], for options that may not make a configuration at all; the first step says why.
    #[must_use]
    pub fn of_result(config: Result<Config>) -> Examination<'a> {
        let origins = config.as_ref().map(Config::origins).unwrap_or_default();
        Examination {
            config,
            origins,
            prefix: "P21_".to_owned(),
            variables: Vec::new(),
            client: None,
            consent: Box::new(|| {
                Err(Refusal {
                    why: "no token request is allowed in this examination".to_owned(),
                    advice: String::new(),
                })
            }),
            apis: Api::ALL.to_vec(),
            odata_table: None,
            limit: None,
        }
    }

    /// Where options come from, by name, in words such as `environment P21_BASE_URL`.
    #[must_use]
    pub fn origins(mut self, origins: Vec<(&'static str, String)>) -> Self {
        self.origins = origins;
        self
    }

    /// The prefix of environment variables, and the names of all that are set, to find misspelt ones.
    #[must_use]
    pub fn variables(mut self, prefix: &str, names: impl IntoIterator<Item = String>) -> Self {
        prefix.clone_into(&mut self.prefix);
        self.variables = names.into_iter().collect();
        self
    }

    /// Takes the token that this client of the process has, and requests one by this client if it has none: its slot keeps
    /// that token, so no second session is opened.
    #[must_use]
    pub fn client(mut self, client: &Client) -> Self {
        self.client = Some(client.clone());
        self
    }

    /// Allows one token request.
    #[must_use]
    pub fn allow_token_request(self) -> Self {
        self.ask_before_token_request(|| Ok(()))
    }

    /// Asks `consent` once, and only if there is no token without a request, whether one may be requested.
    #[must_use]
    pub fn ask_before_token_request(
        mut self,
        consent: impl FnMut() -> std::result::Result<(), Refusal> + 'a,
    ) -> Self {
        self.consent = Box::new(consent);
        self
    }

    /// The APIs to ask; all of them if this is not called.
    #[must_use]
    pub fn apis(mut self, apis: &[Api]) -> Self {
        self.apis = apis.to_vec();
        self
    }

    /// The table to ask the `OData` service for; one that the token's scope names if this is not called.
    #[must_use]
    pub fn odata_table(mut self, table: Option<String>) -> Self {
        self.odata_table = table;
        self
    }

    /// Begins no step after this time, and lets none wait longer than it.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Runs all of it.
    #[must_use]
    pub fn run(self) -> Report {
        self.follow(|_| Continue(()))
    }

    /// Runs it and tells `follow` of each step as it begins and ends. A `Break` ends the examination there.
    pub fn follow(self, follow: impl FnMut(Event<'_>) -> ControlFlow<()>) -> Report {
        Run::new(self, follow).report()
    }
}

/// Examines `config` on a thread of the library, for callers whose own thread may have a small stack or belong to an async
/// runtime. `client`: opens the client whose token may be used or requested; `None`: no token. `wait`: for all of it; `None`:
/// the option `timeout_ms`.
///
/// # Errors
///
/// `NoMemory` if there is no thread; `Panic`.
pub(crate) fn examine_apart(
    config: Result<Config>,
    client: Option<impl FnOnce() -> Result<Client> + Send + 'static>,
    wait: Option<Duration>,
) -> Result<Report> {
    let settings = config
        .as_ref()
        .ok()
        .and_then(|config| config.settings().ok());
    let own = settings.map_or(30_000, |settings| settings.timeout_ms);
    let limit = wait.unwrap_or(Duration::from_millis(own));
    let steps: Arc<Guarded<(Vec<Step>, &'static str)>> = Arc::default();
    let seen = Arc::clone(&steps);
    let examine = move || {
        let mut examination = Examination::of_result(config).within(limit);
        // A client that cannot be opened is what the first steps tell about.
        if let Some(Ok(client)) = client.map(|open| open()) {
            examination = examination.client(&client).allow_token_request();
        }
        examination.follow(|event| {
            seen.with(|(steps, under_way)| match event {
                Event::Begun(id) => *under_way = id,
                Event::Ended(step) => steps.push(step.clone()),
            });
            Continue(())
        })
    };
    // What waits in it is bounded by the limit; the rest is for steps that end late.
    let patience = limit + limit / 10;
    crate::sys::pin_library();
    match crate::sys::run_apart(c"p21auth-doctor", STACK_BYTES, patience, examine) {
        Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            let (mut steps, id) = steps.with(std::mem::take);
            let saw = format!("no result within {} ms", limit.as_millis());
            steps.push(
                Step::new(id, Outcome::Fail, saw).advise("Allow more time for the examination."),
            );
            Ok(Report::new(steps, 0))
        }
        Err(error) => Err(Error::of_thread("the examination", &error)),
        Ok(report) => Ok(report),
    }
}

/// Handshakes of several kinds need some of it.
const STACK_BYTES: usize = 1024 * 1024;
