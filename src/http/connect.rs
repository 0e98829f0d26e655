//! What is done by hand before the HTTP stack connects, and after it failed: look-ups, the choice among several addresses,
//! and a tunnel to learn why there is none.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use super::failure::{Failure, Fault, Phase, RequestContext, not_a_proxy};
use super::lookup::{Unresolved, look_up};
use super::race::{Attempt, Lost, race};
use super::stream::Stream;
use super::tunnel::{self, Answer};
use crate::error::{Code, Error, Result};

/// Asking a proxy why it refuses is not worth more time than this.
const ASK_PROXY: Duration = Duration::from_secs(5);

/// The phase in which an attempt failed, and the error.
pub(super) type Failed = (Phase, Error);

/// Everything that an attempt at one address needs.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) context: Arc<RequestContext>,
    /// There where TLS is spoken to the server or the proxy.
    pub(super) tls: Option<Arc<ClientConfig>>,
    /// The time that is allowed, for messages.
    pub(super) limit: Duration,
}

impl Connector {
    /// Of several addresses the first that comes up whole: that of a server with its TLS, that of a proxy without the
    /// tunnel, which costs a log-in. The connection itself is thrown away; the HTTP stack makes its own.
    pub(super) fn choose(&self, addresses: &[SocketAddr], deadline: Instant) -> Result<SocketAddr> {
        let this = self.clone();
        let attempt: Attempt<(), Failed> =
            Arc::new(move |address, deadline| this.attempt(address, deadline).map(drop));
        let race = race(addresses, deadline, &attempt);
        if let Some((address, ())) = race.won {
            return Ok(address);
        }
        let lost = race.lost.into_iter().map(|(_, failed)| failed);
        let error = furthest(lost).unwrap_or_else(|| {
            let fault = Fault::TimedOut(self.limit);
            self.context.failed(Phase::Connect, true, &fault)
        });
        Err(match addresses.len() {
            1 => error,
            count => error.with_note(&format!("{count} addresses")),
        })
    }

    /// The addresses that this machine connects to.
    pub(super) fn addresses(
        &self,
        named: Vec<SocketAddr>,
        deadline: Instant,
    ) -> Result<Vec<SocketAddr>> {
        if !named.is_empty() {
            return Ok(named);
        }
        let (host, port) = self.context.target();
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let found = look_up(&host, deadline).and_then(|found| {
            if found.is_empty() {
                Err(Unresolved::Failed("it has no address".to_owned()))
            } else {
                Ok(found)
            }
        });
        match found {
            Ok(found) => Ok(found
                .into_iter()
                .map(|address| SocketAddr::new(address, port))
                .collect()),
            Err(why) => Err(self.context.unresolved(&why)),
        }
    }

    fn attempt(
        &self,
        address: SocketAddr,
        deadline: Instant,
    ) -> std::result::Result<Stream, Lost<Failed>> {
        let stream = Stream::connect(address, deadline)
            .map_err(|error| self.lost(Phase::Connect, true, &error))?;
        if self.context.route.is_some() {
            return self.secure_proxy(stream);
        }
        if !self.context.https {
            return Ok(stream);
        }
        stream
            .secure(self.tls()?, &self.context.host)
            .map_err(|error| self.lost(Phase::Tls, false, &error))
    }

    /// TLS with the proxy, if it wants it.
    fn secure_proxy(&self, stream: Stream) -> std::result::Result<Stream, Lost<Failed>> {
        match &self.context.route {
            Some(route) if route.url.scheme() == "https" => stream
                .secure(self.tls()?, &route.address().0)
                .map_err(|error| self.lost(Phase::Tls, true, &error)),
            _ => Ok(stream),
        }
    }

    /// A tunnel through the proxy, where the route needs one; else the connection itself.
    pub(super) fn tunnel(
        &self,
        mut stream: Stream,
        deadline: Instant,
    ) -> std::result::Result<Stream, Lost<Failed>> {
        let Some(route) = &self.context.route else {
            return Ok(stream);
        };
        stream.until(deadline);
        let mut stream = self.secure_proxy(stream)?;
        if !self.context.https {
            return Ok(stream);
        }
        let answer = tunnel::open(&mut stream, route, &self.context.place, true).map_err(
            |error| match error.kind() {
                io::ErrorKind::InvalidData => Lost {
                    error: (Phase::Tunnel, not_a_proxy(route)),
                    end: false,
                },
                _ => self.lost(Phase::Tunnel, true, &error),
            },
        )?;
        if (200..300).contains(&answer.status) {
            return Ok(stream);
        }
        Err(Lost {
            error: (Phase::Tunnel, self.context.refusal(route, &answer)),
            end: true,
        })
    }

    /// Turns a failure of the HTTP stack into an error, asking the proxy for its reason where it has one. The stack was
    /// connecting to `address` and had `total` time, which ends at `deadline`.
    pub(super) fn explain(
        &self,
        error: &reqwest::Error,
        address: SocketAddr,
        total: Duration,
        deadline: Instant,
    ) -> Error {
        let context = &self.context;
        let ask_until = deadline.min(Instant::now() + ASK_PROXY);
        let (with_user, assumed) = match context.failure(error, self.limit, total) {
            Failure::Known(error) => return error,
            // Without the user: the schemes are listed all the same, and a wrong password is not counted twice.
            Failure::TunnelUser => (false, 407),
            Failure::TunnelRefused => (true, 0),
            Failure::NoTunnel => {
                let phase = match Stream::connect(address, ask_until) {
                    Ok(_) => Phase::Tunnel,
                    Err(_) => Phase::Connect,
                };
                return context.failed(phase, true, &Fault::TimedOut(self.limit));
            }
        };
        let Some(route) = &context.route else {
            return Error::new(Code::Proxy, "a proxy refused the connection");
        };
        let answer = match self.ask_proxy(address, with_user, ask_until) {
            // The second answer may differ from the first; what is certain is the first.
            Ok(answer) if assumed == 0 || answer.status == assumed => answer,
            Err(error) if assumed == 0 && error.kind() == io::ErrorKind::InvalidData => {
                return not_a_proxy(route);
            }
            _ => Answer {
                status: assumed,
                schemes: Vec::new(),
            },
        };
        context.refusal(route, &answer)
    }

    /// What the proxy answers when it is asked for a tunnel once more.
    fn ask_proxy(
        &self,
        address: SocketAddr,
        with_user: bool,
        deadline: Instant,
    ) -> io::Result<Answer> {
        let Some(route) = &self.context.route else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let stream = Stream::connect(address, deadline)?;
        let mut stream = self
            .secure_proxy(stream)
            .map_err(|_| io::ErrorKind::NotConnected)?;
        tunnel::open(&mut stream, route, &self.context.place, with_user)
    }

    fn lost(&self, phase: Phase, near: bool, error: &io::Error) -> Lost<Failed> {
        let fault = Fault::of(error, self.limit);
        Lost {
            error: (phase, self.context.failed(phase, near, &fault)),
            end: false,
        }
    }

    fn tls(&self) -> std::result::Result<Arc<ClientConfig>, Lost<Failed>> {
        self.tls.clone().ok_or_else(|| {
            let error = Error::new(Code::Internal, "TLS is needed and was not set up");
            Lost {
                error: (Phase::Tls, error),
                end: true,
            }
        })
    }
}

/// Of several failures the one that got furthest, of equals the first.
pub(super) fn furthest(failures: impl Iterator<Item = Failed>) -> Option<Error> {
    failures
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, error)| error)
}
