//! `p21auth doctor`: why it does not work, step by step.
//!
//! Each step is a judgement, a pure function of what was seen, in a file of its own; this one looks, in order, and leaves
//! out what cannot work after a failure. The library does the looking: it is the library's way that is to be diagnosed.

mod apis;
mod configuration;
mod network;
mod report;
mod store;
mod tls;
mod token;
mod watch;

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::sync::Arc;

use p21auth::client::{Client, Runtime};
use p21auth::clock::{Clock as _, SystemClock};
use p21auth::http::stages::Stages;
use p21auth::http::{Transport, transport_for};
use p21auth::options::{Config, Settings, StoreChoice, TransportSettings};
use p21auth::token::Token;

use super::args::{Api, DoctorArgs};
use super::failure::Failure;
use super::output;
use report::Step;
use store::Stored;
use token::{Lifetime, Source};
use watch::{Watch, Watched};

/// Examines and reports.
pub(super) fn doctor(args: &DoctorArgs) -> Result<(), Failure> {
    let mut run = Run {
        args,
        watch: Arc::default(),
        steps: Vec::new(),
        progress: !args.json && io::stdout().is_terminal(),
    };
    run.all()?;
    let requests = run.watch.token_requests();
    if args.json {
        output::value(&report::as_json(&run.steps, requests).to_string())?;
    } else {
        output::line("")?;
        output::line(&report::summary(&run.steps, requests))?;
    }
    match report::exit_status(&run.steps) {
        0 => Ok(()),
        status => Err(Failure::Told(status)),
    }
}

/// One examination.
struct Run<'a> {
    args: &'a DoctorArgs,
    watch: Arc<Watch>,
    steps: Vec<Step>,
    progress: bool,
}

/// What has been found to work, for the steps that need it.
struct Patient {
    client: Client,
    settings: Arc<Settings>,
}

impl Run<'_> {
    /// Says that a step is under way, where somebody watches.
    fn begin(&self, name: &str) -> io::Result<()> {
        if self.progress {
            let mut out = anstream::stdout().lock();
            write!(out, "{}\r", report::progress(name))?;
            out.flush()?;
        }
        Ok(())
    }

    /// Reports a step. Answers whether what needs it can go on.
    fn end(&mut self, step: Step) -> io::Result<bool> {
        if !self.args.json {
            output::line(&step.text())?;
        }
        let goes_on = !step.blocks();
        self.steps.push(step);
        Ok(goes_on)
    }

    fn skip(&mut self, names: &[&'static str], why: &str) -> io::Result<()> {
        for name in names {
            self.end(Step::skipped(name, why))?;
        }
        Ok(())
    }

    fn all(&mut self) -> io::Result<()> {
        const AFTER_CONFIGURATION: &[&str] = &[
            "store", "proxy", "dns", "tcp", "tls", "server", "token", "reply", "clock", "lifetime",
            "scope",
        ];
        self.begin("configuration")?;
        let (step, client) = configuration::check(
            &self.args.connection,
            std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()),
            |config| open(config, &self.watch),
        );
        self.end(step)?;
        let patient = client.and_then(|client| {
            let settings = client.settings().ok()?;
            Some(Patient { client, settings })
        });
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

    fn store(&mut self, patient: &Patient) -> io::Result<Stored> {
        self.begin("store")?;
        let store = &patient.settings.store;
        if token::is_own(&patient.settings) {
            self.end(Step::ok("store", "not used: the token is your own"))?;
            return Ok(Stored::Nothing);
        }
        let checked = (store.choice != StoreChoice::Memory).then(|| patient.client.check_store());
        let (step, stored) = store::judge(&store.choice, store.required, checked);
        self.end(step)?;
        Ok(stored)
    }

    /// Proxy, look-up, connection, TLS. Answers whether the server can be reached.
    fn network(&mut self, settings: &Settings) -> io::Result<bool> {
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
        if !self.end(network::proxy(&stages.origin(), &stages.check_proxy()))? {
            self.skip(rest, "because proxy failed")?;
            return Ok(false);
        }
        self.begin("dns")?;
        let found = stages.look_up();
        self.end(network::dns(&stages.target().0, &found))?;
        let Ok(addresses) = found else {
            self.skip(&rest[1..], "because dns failed")?;
            return Ok(false);
        };
        self.begin("tcp")?;
        let connected = stages.connect(addresses.all());
        self.end(network::tcp(addresses.all(), by_proxy, &connected))?;
        let Ok(connected) = connected else {
            self.skip(&rest[2..], "because tcp failed")?;
            return Ok(false);
        };
        if !tls {
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
                return Ok(false);
            }
        };
        if by_proxy {
            self.end(Step::ok("tunnel", "the proxy opens one to the server"))?;
        }
        self.begin("tls")?;
        let seen = stages.handshake(stream);
        let prefix = self.args.connection.prefix();
        let now = SystemClock.now().unix();
        let trusted = self.end(tls::judge(&seen, &transport.tls, prefix, now))?;
        if !trusted {
            self.skip(&["server"], "because tls failed")?;
        }
        Ok(trusted)
    }

    fn server(&mut self, patient: &Patient) -> io::Result<bool> {
        self.begin("server")?;
        self.end(apis::server(&patient.client, &patient.settings))
    }

    /// Gets a token without or with a request, as is allowed, and judges it.
    fn token(
        &mut self,
        patient: &Patient,
        stored: Stored,
        reached: bool,
    ) -> io::Result<Option<(Arc<Token>, Source)>> {
        let settings = &patient.settings;
        let own = token::is_own(settings);
        // Whoever has a token, or is in a cool-down, gets it or its error without a request.
        let hindrance = if own || stored != Stored::Nothing {
            None
        } else if reached {
            self.leave()?
        } else {
            let why = "because the server cannot be reached";
            Some(Step::skipped("token", why))
        };
        let got = match hindrance {
            Some(step) => Err(step),
            None => self.get(patient)?,
        };
        let token = match got {
            Ok(token) => token,
            Err(step) => {
                let why = format!("because token {}", past(&step));
                self.end(step)?;
                self.skip(&["reply"], &why)?;
                self.end(token::clock(&self.watch.answers()))?;
                self.skip(&["lifetime", "scope"], &why)?;
                return Ok(None);
            }
        };
        let source = match self.watch.token_requests() {
            _ if own => Source::Own,
            0 => Source::Stored,
            _ => Source::Asked,
        };
        self.end(token::got(&token, source, settings))?;
        let answers = self.watch.answers();
        self.end(token::reply(&answers))?;
        self.end(token::clock(&answers))?;
        let left = token.expires_in_s(SystemClock.now());
        self.end(Lifetime::of(&token, settings, source, left).judge())?;
        self.end(token::scope(token.claims.as_ref(), settings))?;
        Ok(Some((token, source)))
    }

    fn get(&self, patient: &Patient) -> io::Result<Result<Arc<Token>, Step>> {
        self.begin("token")?;
        Ok(patient.client.token().map_err(|error| {
            let error = self.args.connection.in_our_words(&error);
            Step::failed("token", &error)
        }))
    }

    /// Allows one token request, if the user does. Otherwise the step that says why there is none.
    fn leave(&self) -> io::Result<Option<Step>> {
        let refused = |why: &str| Ok(Some(Step::skipped("token", why)));
        let allowed = if self.args.yes {
            true
        } else if self.args.no_token_request {
            return refused(
                "there is no stored token, and --no-token-request forbids to ask for one",
            );
        } else if io::stdin().is_terminal() && io::stderr().is_terminal() {
            consent()?
        } else {
            return Ok(Some(
                Step::skipped(
                    "token",
                    "there is no stored token, and nobody to ask whether one may be requested",
                )
                .advise("Pass --yes to allow one token request."),
            ));
        };
        if !allowed {
            return refused("you did not want one to be asked for");
        }
        self.watch.allow_one();
        Ok(None)
    }

    fn apis(
        &mut self,
        patient: &Patient,
        token: Option<&(Arc<Token>, Source)>,
        reached: bool,
    ) -> io::Result<()> {
        let (client, settings) = (&patient.client, &patient.settings);
        let Some((token, source)) = token else {
            return self.skip_apis("because there is no token");
        };
        if !reached {
            return self.skip_apis("because the server cannot be reached");
        }
        let asked = self.args.apis.clone();
        let mut ui_server = None;
        // The Interactive API lives where the router says.
        if asked.contains(&Api::Router) || asked.contains(&Api::Interactive) {
            self.begin("router")?;
            let (step, url) = apis::router(client, token, settings, *source);
            self.end(step)?;
            ui_server = url;
        }
        if asked.contains(&Api::Odata) {
            self.begin("odata")?;
            let table = self.args.odata_table.clone();
            let table = table.unwrap_or_else(|| token::odata_table(token.claims.as_ref()));
            self.end(apis::odata(client, token, settings, &table, *source))?;
        }
        if asked.contains(&Api::Entity) {
            self.begin("entity")?;
            self.end(apis::entity(client, token, settings, *source))?;
        }
        if asked.contains(&Api::Interactive) {
            self.begin("interactive")?;
            match ui_server {
                Some(url) => {
                    self.end(apis::interactive(client, token, settings, &url, *source))?;
                }
                None => self.skip(&["interactive"], "because router failed")?,
            }
        }
        Ok(())
    }

    fn skip_apis(&mut self, why: &str) -> io::Result<()> {
        let names = self.args.apis.iter().map(|api| api.name());
        let names: Vec<&'static str> = names.collect();
        self.skip(&names, why)
    }
}

fn past(step: &Step) -> &'static str {
    if step.outcome == report::Outcome::Fail {
        "failed"
    } else {
        "was skipped"
    }
}

/// A client whose way to the server is watched. It tries nothing twice.
fn open(config: &Config, watch: &Arc<Watch>) -> p21auth::error::Result<Client> {
    let watch = Arc::clone(watch);
    let runtime = Runtime::over(Box::new(move |settings: &TransportSettings| {
        Ok(Arc::new(Watched {
            inner: transport_for(settings)?,
            watch: Arc::clone(&watch),
        }) as Arc<dyn Transport>)
    }));
    let mut config = config.clone();
    config.set("max_retries", Some("0"))?;
    Client::open_in(&runtime, &config)
}

/// Asks on the terminal. Anything but a yes is a no.
fn consent() -> io::Result<bool> {
    let mut err = anstream::stderr().lock();
    write!(
        err,
        "Ask the server for a token now? It opens a middleware session; a wrong password counts as a failed login. [y/N] "
    )?;
    err.flush()?;
    drop(err);
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(
        answer.trim().to_ascii_lowercase().as_str(),
        "y" | "yes"
    ))
}
