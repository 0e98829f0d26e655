//! The stages of a connection one by one, for a diagnosis: look-up, connection, tunnel, TLS.
//!
//! When a request fails, only the last thing that went wrong is known. Here each stage reports what it saw, also where all
//! is well. Rules, trust and the words of errors are those of the transport.

mod old_tls;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use url::Url;

use super::certificate::Certificate;
use super::connect::{Connector, Failed, furthest};
use super::failure::{Fault, Phase, RequestContext};
use super::overrides;
use super::proxy::{self, ProxyOrigin, ProxyRules};
use super::race::{Attempt, Lost, race};
use super::stream::Stream;
use super::trust::{self, Shown, Trust};
use crate::error::{Code, Error, Result};
use crate::options::TransportSettings;

/// The stages of a connection to one URL.
pub(crate) struct Stages<'a> {
    settings: &'a TransportSettings,
    url: &'a Url,
    rules: ProxyRules,
    trust: Arc<Trust>,
    refused: Option<Error>,
    context: Arc<RequestContext>,
}

/// Where the addresses of a host come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Addresses {
    /// The host is an address itself.
    Literal(SocketAddr),
    /// The option `resolve` names them.
    Override(Vec<SocketAddr>),
    /// The system looked the name up.
    Resolved(Vec<SocketAddr>),
}

impl Addresses {
    /// All of them, in the order in which they are tried.
    #[must_use]
    pub(crate) fn all(&self) -> &[SocketAddr] {
        match self {
            Addresses::Literal(address) => std::slice::from_ref(address),
            Addresses::Override(all) | Addresses::Resolved(all) => all,
        }
    }
}

/// A connection that stands, and how it came to be.
pub(crate) struct Connected {
    pub stream: Stream,
    pub address: SocketAddr,
    pub took: Duration,
    /// Addresses that were tried before in vain, and why.
    pub in_vain: Vec<(SocketAddr, String)>,
}

/// What a TLS handshake showed.
#[derive(Debug, Default)]
pub(crate) struct Handshake {
    /// The server's certificate and what it sent after it; there although it was refused.
    pub chain: Vec<Certificate>,
    /// Version and cipher suite agreed, such as `TLSv1_3` and `TLS13_AES_256_GCM_SHA384`.
    pub agreed: Option<(String, String)>,
    /// Why it failed.
    pub error: Option<Error>,
    /// It is silent after a hello of ordinary size and answers a small one, whose answer is small as well.
    pub loses_large_packets: bool,
    /// Version and cipher suite that the server takes from a client that offers old ones, looked for after a handshake
    /// that failed for want of a common one.
    pub old: Option<(String, String)>,
}

impl<'a> Stages<'a> {
    /// Reads the proxy rules; sends nothing.
    #[must_use]
    pub(crate) fn new(settings: &'a TransportSettings, url: &'a Url) -> Stages<'a> {
        let rules = ProxyRules::new(settings);
        let (route, refused) = match rules.route(url) {
            Ok(route) => (route, None),
            Err(error) => (None, Some(error)),
        };
        Stages {
            settings,
            url,
            rules,
            trust: Trust::new(&settings.tls),
            refused,
            context: Arc::new(RequestContext::new(url, route)),
        }
    }

    /// Which proxy, and who said so.
    pub(crate) fn origin(&self) -> ProxyOrigin {
        self.rules.origin(self.url)
    }

    /// Refuses a proxy that is not understood, or of a kind that is not supported.
    pub(crate) fn check_proxy(&self) -> Result<()> {
        if let Some(error) = &self.refused {
            return Err(error.clone());
        }
        self.context
            .route
            .as_ref()
            .map_or(Ok(()), proxy::check_usable)
    }

    /// Host and port that this machine connects to: the proxy's where there is one.
    pub(crate) fn target(&self) -> (String, u16) {
        self.context.target()
    }

    fn limit(&self) -> Duration {
        Duration::from_millis(self.settings.connect_timeout_ms)
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.limit()
    }

    fn connector(&self, tls: Option<ClientConfig>) -> Connector {
        Connector {
            context: Arc::clone(&self.context),
            tls: tls.map(Arc::new),
            limit: self.limit(),
        }
    }

    fn tls(&self) -> Result<ClientConfig> {
        self.trust.refresh(self.deadline())?;
        trust::client_config(&self.trust)
    }

    /// The addresses of [`Stages::target`].
    pub(crate) fn look_up(&self) -> Result<Addresses> {
        let (host, port) = self.target();
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(Addresses::Literal(SocketAddr::new(address, port)));
        }
        let named = overrides(self.settings, &host, port);
        if !named.is_empty() {
            return Ok(Addresses::Override(named));
        }
        let connector = self.connector(None);
        let found = connector.addresses(Vec::new(), self.deadline())?;
        Ok(Addresses::Resolved(found))
    }

    /// Connects to the first of `addresses` that answers.
    pub(crate) fn connect(&self, addresses: &[SocketAddr]) -> Result<Connected> {
        let started = Instant::now();
        let (context, limit) = (Arc::clone(&self.context), self.limit());
        let attempt: Attempt<Stream, (Failed, String)> = Arc::new(move |address, deadline| {
            Stream::connect(address, deadline).map_err(|error| {
                let fault = Fault::of(&error, limit);
                let why = match &fault {
                    Fault::TimedOut(_) => "no answer".to_owned(),
                    _ => error.to_string(),
                };
                let error = context.failed(Phase::Connect, true, &fault);
                Lost {
                    error: ((Phase::Connect, error), why),
                    end: false,
                }
            })
        });
        let race = race(addresses, self.deadline(), &attempt);
        let (failed, in_vain): (Vec<_>, Vec<(SocketAddr, String)>) = race
            .lost
            .into_iter()
            .map(|(address, (failed, why))| (failed, (address, why)))
            .unzip();
        let silent = race.silent.into_iter();
        let silent = silent.map(|address| (address, "nothing yet".to_owned()));
        let in_vain = in_vain.into_iter().chain(silent).collect();
        match race.won {
            Some((address, stream)) => Ok(Connected {
                stream,
                address,
                took: started.elapsed(),
                in_vain,
            }),
            None => Err(furthest(failed.into_iter()).unwrap_or_else(|| {
                let fault = Fault::TimedOut(limit);
                self.context.failed(Phase::Connect, true, &fault)
            })),
        }
    }

    /// A tunnel through the proxy, where the route leads through one; else the connection itself.
    pub(crate) fn tunnel(&self, stream: Stream) -> Result<Stream> {
        self.connector(Some(self.tls()?))
            .tunnel(stream, self.deadline())
            .map_err(|lost| lost.error.1)
    }

    /// The TLS handshake with the server, over a connection from [`Stages::tunnel`]. The signature over it is verified
    /// no matter what is trusted, and nothing is sent after it.
    pub(crate) fn handshake(&self, stream: Stream) -> Handshake {
        let chain = Shown::default();
        let result = self.shake(stream, &chain);
        let read = |der: &CertificateDer<'_>| Certificate::read(der);
        let mut seen = Handshake {
            chain: chain.with(|chain| chain.iter().map(read).collect()),
            ..Handshake::default()
        };
        match result {
            Ok(agreed) => seen.agreed = Some(agreed),
            Err((error, silent)) => {
                if seen.chain.is_empty() && silent {
                    seen.loses_large_packets = self.hello(old_tls::is_answered) == Some(true);
                } else if seen.chain.is_empty() {
                    seen.old = self.hello(old_tls::ask).flatten();
                }
                seen.error = Some(error);
            }
        }
        seen
    }

    /// Version and cipher suite, or the error and whether it is silence.
    fn shake(
        &self,
        mut stream: Stream,
        chain: &Shown,
    ) -> std::result::Result<(String, String), (Error, bool)> {
        let config = self
            .trust
            .refresh(self.deadline())
            .and_then(|_| trust::config_with(&self.trust, Some(Arc::clone(chain))))
            .map_err(|error| (error, false))?;
        stream.until(self.deadline());
        let stream = stream
            .secure(Arc::new(config), &self.context.host)
            .map_err(|error| {
                let fault = Fault::of(&error, self.limit());
                let silent = matches!(fault, Fault::TimedOut(_));
                (self.context.failed(Phase::Tls, false, &fault), silent)
            })?;
        let Some(session) = stream.session() else {
            return Err((Error::new(Code::Internal, "no TLS session"), false));
        };
        let version = session
            .protocol_version()
            .map(|version| format!("{version:?}"));
        let suite = session
            .negotiated_cipher_suite()
            .map(|suite| format!("{:?}", suite.suite()));
        Ok((version.unwrap_or_default(), suite.unwrap_or_default()))
    }

    /// Asks once more with another hello. It is a diagnosis: a failure merely leaves the error less specific.
    fn hello<T>(&self, ask: fn(Stream, &str) -> T) -> Option<T> {
        let addresses = self.look_up().ok()?;
        let stream = self.connect(addresses.all()).ok()?.stream;
        let mut stream = self.tunnel(stream).ok()?;
        stream.until(self.deadline());
        Some(ask(stream, &self.context.host))
    }
}
