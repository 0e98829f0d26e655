//! One run of an examination: which steps are taken, in which order, and what is left out after a failure.

use std::ops::ControlFlow::{self, Continue};
use std::sync::Arc;
use std::time::Instant;

use super::patient::{Patient, open};
use super::report::{Outcome, Report, Step};
use super::store::Stored;
use super::token::{Lifetime, Source};
use super::watch::Watch;
use super::{Api, Event, Examination, apis, configuration, network, store, tls, token};
use crate::client::{TokenOptions, USE_STORE_KEY};
use crate::clock::{Clock as _, SystemClock};
use crate::http::stages::Stages;
use crate::options::{Settings, StoreChoice};
use crate::token::Token;

/// One run of an examination.
pub(super) struct Run<'a, F> {
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

/// Goes on with a value, or ends because no one follows any more.
type Flow<T> = ControlFlow<(), T>;

impl<'a, F: FnMut(Event<'_>) -> Flow<()>> Run<'a, F> {
    pub(super) fn new(examination: Examination<'a>, follow: F) -> Run<'a, F> {
        let started = Instant::now();
        Run {
            examination,
            follow,
            watch: Arc::default(),
            requests: 0,
            steps: Vec::new(),
            started,
            begun: started,
        }
    }

    /// Takes all steps.
    pub(super) fn report(mut self) -> Report {
        let _ = self.all();
        let requests = self.watch.token_requests() + self.requests;
        Report::new(self.steps, requests)
    }

    fn begin(&mut self, id: &'static str) -> Flow<()> {
        self.begun = Instant::now();
        (self.follow)(Event::Begun(id))
    }

    /// Reports a step. Returns whether what needs it can go on.
    fn end(&mut self, step: Step) -> Flow<bool> {
        let took = self.begun.elapsed();
        self.add(step.took(took))
    }

    fn add(&mut self, step: Step) -> Flow<bool> {
        let goes_on = !step.blocks();
        (self.follow)(Event::Ended(&step))?;
        self.begun = Instant::now();
        self.steps.push(step);
        Continue(goes_on)
    }

    fn skip(&mut self, ids: &[&'static str], why: &str) -> Flow<()> {
        for id in ids {
            self.add(Step::skipped(id, why))?;
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

    /// Reports a step on the way to the server. Returns whether the next can be taken; if not, `rest` was skipped.
    fn pass(&mut self, step: Step, rest: &[&'static str]) -> Flow<bool> {
        let id = step.id;
        if !self.end(step)? {
            self.skip(rest, &format!("because {id} failed"))?;
            return Continue(false);
        }
        Continue(!self.skip_if_late(rest)?)
    }

    /// Proxy, look-up, connection, TLS. Returns whether the server can be reached.
    fn network(&mut self, settings: &Settings) -> Flow<bool> {
        let (transport, base) = (&settings.transport, &settings.base_url);
        let stages = Stages::new(transport, base.url());
        let by_proxy = stages.origin().proxy.is_some();
        let tls = base.url().scheme() == "https";
        let rest: &[&'static str] = if by_proxy && tls {
            &["dns", "tcp", "tunnel", "tls", "server"]
        } else {
            &["dns", "tcp", "tls", "server"]
        };
        self.begin("proxy")?;
        let step = network::proxy(&stages.origin(), &stages.check_proxy());
        if !self.pass(step, rest)? {
            return Continue(false);
        }
        self.begin("dns")?;
        let found = stages.look_up();
        let step = network::dns(&stages.target().0, &found);
        let (true, Ok(addresses)) = (self.pass(step, &rest[1..])?, found) else {
            return Continue(false);
        };
        self.begin("tcp")?;
        let connected = stages.connect(addresses.all());
        let step = network::tcp(addresses.all(), by_proxy, &connected);
        let (true, Ok(connected)) = (self.pass(step, &rest[2..])?, connected) else {
            return Continue(false);
        };
        if !tls {
            self.begin("tls")?;
            return self.end(tls::plain(base));
        }
        if by_proxy {
            self.begin("tunnel")?;
        }
        let stream = match stages.tunnel(connected.stream) {
            Ok(stream) => stream,
            Err(error) => return self.pass(Step::failed("tunnel", &error), &["tls", "server"]),
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
        self.pass(step, &["server"])
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
        for api in Api::ALL {
            // The Interactive API lives where the router says.
            let needed = api == Api::Router && asked.contains(&Api::Interactive);
            let id = api.id();
            if !(needed || asked.contains(&api)) || self.skip_if_late(&[id])? {
                continue;
            }
            if api == Api::Interactive && ui_server.is_none() {
                self.skip(&[id], "because router failed")?;
                continue;
            }
            self.begin(id)?;
            let step = match api {
                Api::Router => {
                    let (step, url) = apis::router(client, token, settings, *source);
                    ui_server = url;
                    step
                }
                Api::Odata => {
                    let table = self.examination.odata_table.clone();
                    let table = table.unwrap_or_else(|| token::odata_table(token.claims.as_ref()));
                    apis::odata(client, token, settings, &table, *source)
                }
                Api::Entity => apis::entity(client, token, settings, *source),
                Api::Interactive => {
                    let server = ui_server.as_deref().unwrap_or_default();
                    apis::interactive(client, token, settings, server, *source)
                }
            };
            self.end(step)?;
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
