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
mod report;
mod store;
mod tls;
mod token;
mod watch;

use std::ops::ControlFlow::{self, Continue};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::client::{Client, Runtime, TokenOptions, USE_STORE_KEY};
use crate::clock::{Clock as _, SystemClock};
use crate::error::{Error, Result};
use crate::fork::Guarded;
use crate::http::stages::Stages;
use crate::http::{Transport, pooled};
use crate::options::{Config, Settings, StoreChoice, TransportSettings};
use crate::token::Token;
pub use report::{FIELDS, Outcome, Report, Step};
#[doc(hidden)]
pub use report::{report_of, span, step_of};
use store::Stored;
use token::{Lifetime, Source};
use watch::{Watch, Watched};

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
    /// An examination of `config`. It tries nothing twice, whatever `max_retries` is.
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
        let started = Instant::now();
        let mut run = Run {
            examination: self,
            follow,
            watch: Arc::default(),
            requests: 0,
            steps: Vec::new(),
            started,
            begun: started,
        };
        let _ = run.all();
        let requests = run.watch.token_requests() + run.requests;
        Report::new(run.steps, requests)
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
            steps.push(Step::new(id, Outcome::Fail, saw).advise("Give the examination more time."));
            Ok(Report::new(steps, 0))
        }
        Err(error) => Err(Error::of_thread("the examination", &error)),
        Ok(report) => Ok(report),
    }
}

/// Handshakes of several kinds need some of it.
const STACK_BYTES: usize = 1024 * 1024;

/// One run of an examination.
struct Run<'a, F> {
    examination: Examination<'a>,
    follow: F,
    watch: Arc<Watch>,
    /// Token requests that did not pass by the watch.
    requests: u32,
    steps: Vec<Step>,
    started: Instant,
    /// When the step under way began.
    begun: Instant,
}

/// What the options came to.
struct Opened {
    config: Config,
    patient: Patient,
}

/// What has been found to work, for the steps that need it.
struct Patient {
    client: Client,
    settings: Arc<Settings>,
}

/// Goes on with a value, or ends because nobody follows any more.
type Flow<T> = ControlFlow<(), T>;

impl<F: FnMut(Event<'_>) -> Flow<()>> Run<'_, F> {
    fn begin(&mut self, id: &'static str) -> Flow<()> {
        self.begun = Instant::now();
        (self.follow)(Event::Begun(id))
    }

    /// Reports a step. Returns whether what needs it can go on.
    fn end(&mut self, step: Step) -> Flow<bool> {
        let took = self.begun.elapsed();
        self.report(step.took(took))
    }

    fn report(&mut self, step: Step) -> Flow<bool> {
        let goes_on = !step.blocks();
        (self.follow)(Event::Ended(&step))?;
        self.begun = Instant::now();
        self.steps.push(step);
        Continue(goes_on)
    }

    fn skip(&mut self, ids: &[&'static str], why: &str) -> Flow<()> {
        for id in ids {
            self.report(Step::skipped(id, why))?;
        }
        Continue(())
    }

    /// Whether the time is used up.
    fn is_late(&self) -> bool {
        let limit = self.examination.limit;
        limit.is_some_and(|limit| self.started.elapsed() >= limit)
    }

    fn all(&mut self) -> Flow<()> {
        const AFTER_CONFIGURATION: &[&str] = &[
            "store", "proxy", "dns", "tcp", "tls", "server", "token", "reply", "clock", "lifetime",
            "scope",
        ];
        self.begin("configuration")?;
        let opened = self
            .examination
            .config
            .clone()
            .and_then(|config| open(config, self.examination.limit, &self.watch));
        let (step, patient) = configuration::judge(
            opened,
            &self.examination.origins,
            &self.examination.prefix,
            &self.examination.variables,
        );
        self.end(step)?;
        let Some(patient) = patient else {
            let why = "because configuration failed";
            self.skip(AFTER_CONFIGURATION, why)?;
            return self.skip_apis(why);
        };
        let stored = self.store(&patient)?;
        let reached = self.network(&patient.settings)?;
        let reached = reached && self.server(&patient)?;
        let token = self.token(&patient, stored, reached)?;
        self.apis(&patient, token.as_ref(), reached)
    }

    fn store(&mut self, patient: &Patient) -> Flow<Stored> {
        self.begin("store")?;
        let store = &patient.settings.store;
        if token::is_own(&patient.settings) {
            self.end(Step::ok("store", "not used: the token is your own"))?;
            return Continue(Stored::Nothing);
        }
        let checked = (store.choice != StoreChoice::Memory).then(|| patient.client.check_store());
        let (mut step, stored) = store::judge(&store.choice, store.required, checked);
        if patient.client.is_sealed_by_password() {
            step = step.advise(USE_STORE_KEY);
        }
        self.end(step)?;
        Continue(stored)
    }

    /// Proxy, look-up, connection, TLS. Returns whether the server can be reached.
    fn network(&mut self, settings: &Settings) -> Flow<bool> {
        let (transport, base) = (&settings.transport, &settings.base_url);
        let stages = Stages::new(transport, base.url());
        let (by_proxy, tls) = (
            stages.origin().proxy.is_some(),
            base.url().scheme() == "https",
        );
        let rest: &[&'static str] = if by_proxy && tls {
            &["dns", "tcp", "tunnel", "tls", "server"]
        } else {
            &["dns", "tcp", "tls", "server"]
        };
        self.begin("proxy")?;
        if !self.end(network::proxy(&stages.origin(), &stages.check_proxy()))? {
            self.skip(rest, "because proxy failed")?;
            return Continue(false);
        }
        if self.skip_if_late(rest)? {
            return Continue(false);
        }
        self.begin("dns")?;
        let found = stages.look_up();
        self.end(network::dns(&stages.target().0, &found))?;
        let Ok(addresses) = found else {
            self.skip(&rest[1..], "because dns failed")?;
            return Continue(false);
        };
        if self.skip_if_late(&rest[1..])? {
            return Continue(false);
        }
        self.begin("tcp")?;
        let connected = stages.connect(addresses.all());
        self.end(network::tcp(addresses.all(), by_proxy, &connected))?;
        let Ok(connected) = connected else {
            self.skip(&rest[2..], "because tcp failed")?;
            return Continue(false);
        };
        if self.skip_if_late(&rest[2..])? {
            return Continue(false);
        }
        if !tls {
            self.begin("tls")?;
            return self.end(tls::plain(base));
        }
        if by_proxy {
            self.begin("tunnel")?;
        }
        let stream = match stages.tunnel(connected.stream) {
            Ok(stream) => stream,
            Err(error) => {
                self.end(Step::failed("tunnel", &error))?;
                self.skip(&["tls", "server"], "because tunnel failed")?;
                return Continue(false);
            }
        };
        if by_proxy {
            self.end(Step::ok("tunnel", "the proxy opens one to the server"))?;
        }
        self.begin("tls")?;
        let mut seen = stages.handshake(stream);
        let mut silent = Vec::new();
        if seen.chain.is_empty() {
            silent.push(connected.address);
            // Another address may do better; those of a proxy lead to the same server.
            let others = addresses.all().iter().filter(|_| !by_proxy);
            for other in others.filter(|address| **address != connected.address) {
                if self.is_late() {
                    break;
                }
                let Ok(connected) = stages.connect(&[*other]) else {
                    continue;
                };
                let next = stages.handshake(connected.stream);
                if !next.chain.is_empty() {
                    seen = next;
                    break;
                }
                silent.push(*other);
            }
        }
        let now = SystemClock.now().unix();
        let step = tls::judge(&seen, &transport.tls, &self.examination.prefix, now);
        let step = tls::at(step, &silent, !seen.chain.is_empty());
        let trusted = self.end(step)?;
        if !trusted {
            self.skip(&["server"], "because tls failed")?;
        }
        Continue(trusted && !self.skip_if_late(&["server"])?)
    }

    fn server(&mut self, patient: &Patient) -> Flow<bool> {
        self.begin("server")?;
        self.end(apis::server(&patient.client, &patient.settings))
    }

    /// Gets a token without or with a request, as is allowed, and judges it.
    fn token(
        &mut self,
        patient: &Patient,
        stored: Stored,
        reached: bool,
    ) -> Flow<Option<(Arc<Token>, Source)>> {
        let settings = &patient.settings;
        let got = match self.cached() {
            Some(token) => Ok((token, Source::Process)),
            None => self.get(patient, stored, reached)?,
        };
        let (token, source) = match got {
            Ok(got) => got,
            Err(step) => {
                let why = format!("because token {}", past(&step));
                self.end(step)?;
                self.skip(&["reply"], &why)?;
                self.end(token::clock(&self.watch.answers()))?;
                self.skip(&["lifetime", "scope"], &why)?;
                return Continue(None);
            }
        };
        self.end(token::got(&token, source, settings))?;
        let answers = self.watch.answers();
        self.end(token::reply(&answers))?;
        self.end(token::clock(&answers))?;
        let left = token.expires_in_s(SystemClock.now());
        self.end(Lifetime::of(&token, settings, source, left).judge())?;
        self.end(token::scope(token.claims.as_ref(), settings))?;
        Continue(Some((token, source)))
    }

    /// The token that the process' own client has.
    fn cached(&self) -> Option<Arc<Token>> {
        let cached = TokenOptions {
            cached_only: true,
            ..TokenOptions::default()
        };
        let client = self.examination.client.as_ref()?;
        client.token_with(&cached).ok()
    }

    fn get(
        &mut self,
        patient: &Patient,
        stored: Stored,
        reached: bool,
    ) -> Flow<std::result::Result<(Arc<Token>, Source), Step>> {
        let own = token::is_own(&patient.settings);
        // A stored token, or the error of a cool-down, comes without a request.
        if !own && stored == Stored::Nothing {
            if !reached {
                let why = "because the server cannot be reached";
                return Continue(Err(Step::skipped("token", why)));
            }
            if self.is_late() {
                return Continue(Err(Step::skipped("token", LATE)));
            }
            if let Err(refusal) = (self.examination.consent)() {
                let step = Step::skipped("token", refusal.why).advise(refusal.advice);
                return Continue(Err(step));
            }
            if let Some(client) = self.examination.client.clone() {
                self.begin("token")?;
                self.requests += 1;
                let got = client.token();
                return Continue(match got {
                    Ok(token) => Ok((token, Source::Asked)),
                    Err(error) => Err(Step::failed("token", &error)),
                });
            }
            self.watch.allow_one();
        }
        self.begin("token")?;
        Continue(match patient.client.token() {
            Err(error) => Err(Step::failed("token", &error)),
            Ok(token) => {
                let source = match self.watch.token_requests() {
                    _ if own => Source::Own,
                    0 => Source::Stored,
                    _ => Source::Asked,
                };
                Ok((token, source))
            }
        })
    }

    fn apis(
        &mut self,
        patient: &Patient,
        token: Option<&(Arc<Token>, Source)>,
        reached: bool,
    ) -> Flow<()> {
        let (client, settings) = (&patient.client, &patient.settings);
        let Some((token, source)) = token else {
            return self.skip_apis("because there is no token");
        };
        if !reached {
            return self.skip_apis("because the server cannot be reached");
        }
        let asked = self.examination.apis.clone();
        let mut ui_server = None;
        // The Interactive API lives where the router says.
        let routed = asked.contains(&Api::Router) || asked.contains(&Api::Interactive);
        if routed && !self.skip_if_late(&["router"])? {
            self.begin("router")?;
            let (step, url) = apis::router(client, token, settings, *source);
            self.end(step)?;
            ui_server = url;
        }
        if asked.contains(&Api::Odata) && !self.skip_if_late(&["odata"])? {
            self.begin("odata")?;
            let table = self.examination.odata_table.clone();
            let table = table.unwrap_or_else(|| token::odata_table(token.claims.as_ref()));
            self.end(apis::odata(client, token, settings, &table, *source))?;
        }
        if asked.contains(&Api::Entity) && !self.skip_if_late(&["entity"])? {
            self.begin("entity")?;
            self.end(apis::entity(client, token, settings, *source))?;
        }
        if asked.contains(&Api::Interactive) && !self.skip_if_late(&["interactive"])? {
            match ui_server {
                Some(url) => {
                    self.begin("interactive")?;
                    self.end(apis::interactive(client, token, settings, &url, *source))?;
                }
                None => self.skip(&["interactive"], "because router failed")?,
            }
        }
        Continue(())
    }

    fn skip_apis(&mut self, why: &str) -> Flow<()> {
        let ids = self.examination.apis.iter().map(|api| api.id());
        let ids: Vec<&'static str> = ids.collect();
        self.skip(&ids, why)
    }

    /// Skips these steps if the time is used up.
    fn skip_if_late(&mut self, ids: &[&'static str]) -> Flow<bool> {
        let late = self.is_late();
        if late {
            self.skip(ids, LATE)?;
        }
        Continue(late)
    }
}

const LATE: &str = "because the time for the examination is used up";

fn past(step: &Step) -> &'static str {
    if step.outcome == Outcome::Fail {
        "failed"
    } else {
        "was skipped"
    }
}

/// A client whose way to the server is watched. It tries nothing twice, and waits no longer than `limit`.
fn open(mut config: Config, limit: Option<Duration>, watch: &Arc<Watch>) -> Result<Opened> {
    config.set("max_retries", Some("0"))?;
    let settings = config.settings()?;
    if let Some(limit) = limit {
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).max(1);
        for (name, own) in [
            ("timeout_ms", settings.timeout_ms),
            ("connect_timeout_ms", settings.transport.connect_timeout_ms),
        ] {
            config.set(name, Some(&own.min(limit).to_string()))?;
        }
    }
    let watch = Arc::clone(watch);
    let runtime = Runtime::over(Box::new(move |settings: &TransportSettings| {
        Ok(Arc::new(Watched {
            inner: pooled(settings),
            watch: Arc::clone(&watch),
        }) as Arc<dyn Transport>)
    }));
    let client = Client::open_in(&runtime, &config)?;
    let settings = client.settings()?;
    Ok(Opened {
        config,
        patient: Patient { client, settings },
    })
}
