//! The stages of a connection one by one, for a diagnosis: look-up, connection, tunnel, TLS.
//!
//! When a request fails, only the last thing that went wrong is known. Here each stage reports what it saw, also where all
//! is well. Rules, trust and the words of errors are those of the transport.

mod old_tls;

use std::error::Error as StdError;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConnection, DigitallySignedStruct, SignatureScheme};
use url::Url;

use super::certificate::Certificate;
use super::failure::RequestContext;
use super::proxy::{self, ProxyOrigin, ProxyRoute, ProxyRules};
use super::trust::{self, Verifier};
use super::{overrides, probe, tls_failure};
use crate::error::{Code, Error, Result};
use crate::fork::Guarded;
use crate::options::TransportSettings;

/// A connection, whatever is between.
pub trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

/// The stages of a connection to one URL.
pub struct Stages<'a> {
    settings: &'a TransportSettings,
    url: &'a Url,
    rules: ProxyRules,
    route: Option<ProxyRoute>,
}

/// Where the addresses of a host come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Addresses {
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
    pub fn all(&self) -> &[SocketAddr] {
        match self {
            Addresses::Literal(address) => std::slice::from_ref(address),
            Addresses::Override(all) | Addresses::Resolved(all) => all,
        }
    }
}

/// A connection that stands, and how it came to be.
pub struct Connected {
    pub stream: TcpStream,
    pub address: SocketAddr,
    pub took: Duration,
    /// Addresses that were tried before in vain, and why.
    pub in_vain: Vec<(SocketAddr, String)>,
}

/// What a TLS handshake showed.
#[derive(Debug, Default)]
pub struct Handshake {
    /// The server's certificate and what it sent after it; there although it was refused.
    pub chain: Vec<Certificate>,
    /// Version and cipher suite agreed, such as `TLSv1_3` and `TLS13_AES_256_GCM_SHA384`.
    pub agreed: Option<(String, String)>,
    /// Why it failed.
    pub error: Option<Error>,
    /// Version and cipher suite that the server takes from a client that offers old ones, looked for after a handshake
    /// that failed for want of a common one.
    pub old: Option<(String, String)>,
}

impl<'a> Stages<'a> {
    /// Reads the proxy rules; sends nothing.
    #[must_use]
    pub fn new(settings: &'a TransportSettings, url: &'a Url) -> Stages<'a> {
        let rules = ProxyRules::new(settings);
        let route = rules.route(url);
        Stages {
            settings,
            url,
            rules,
            route,
        }
    }

    /// Which proxy, and who said so.
    pub fn origin(&self) -> ProxyOrigin {
        self.rules.origin(self.url)
    }

    /// Refuses a proxy of a kind that is not supported.
    pub fn check_proxy(&self) -> Result<()> {
        self.route.as_ref().map_or(Ok(()), proxy::check_usable)
    }

    /// Host and port that this machine connects to: the proxy's where there is one.
    pub fn target(&self) -> (String, u16) {
        self.route
            .as_ref()
            .map_or_else(|| proxy::host_and_port(self.url), ProxyRoute::address)
    }

    fn limit(&self) -> Duration {
        Duration::from_millis(self.settings.connect_timeout_ms)
    }

    fn context(&self) -> RequestContext<'_> {
        RequestContext {
            url: self.url,
            route: self.route.as_ref(),
            connect_timeout: self.limit(),
            limit: self.limit(),
        }
    }

    /// The addresses of [`Stages::target`].
    pub fn look_up(&self) -> Result<Addresses> {
        let (host, port) = self.target();
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(Addresses::Literal(SocketAddr::new(address, port)));
        }
        let named = overrides(self.settings, &host, port);
        if !named.is_empty() {
            return Ok(Addresses::Override(named));
        }
        // On a thread of its own, because a look-up knows no deadline.
        let (sender, receiver) = mpsc::channel();
        std::thread::Builder::new()
            .name("p21auth-dns".to_owned())
            .spawn(move || {
                let found = (host.as_str(), port)
                    .to_socket_addrs()
                    .map(Iterator::collect::<Vec<_>>);
                let _ = sender.send(found);
            })
            .map_err(|error| Error::new(Code::NoMemory, format!("no thread: {error}")))?;
        match receiver.recv_timeout(self.limit()) {
            Ok(Ok(found)) if !found.is_empty() => Ok(Addresses::Resolved(found)),
            Ok(Ok(_)) => Err(self.context().dns()),
            Ok(Err(error)) => Err(self.context().dns().with_note(&error.to_string())),
            Err(_) => {
                let note = format!("no answer within {} ms", self.limit().as_millis());
                Err(self.context().dns().with_note(&note))
            }
        }
    }

    /// Connects to the first of `addresses` that answers.
    pub fn connect(&self, addresses: &[SocketAddr]) -> Result<Connected> {
        let started = Instant::now();
        let mut in_vain = Vec::new();
        let mut last = Some("no address".to_owned());
        for address in addresses {
            match TcpStream::connect_timeout(address, self.limit()) {
                Ok(stream) => {
                    let bounded = stream
                        .set_read_timeout(Some(self.limit()))
                        .and_then(|()| stream.set_write_timeout(Some(self.limit())));
                    bounded.map_err(|error| self.lost(self.route.as_ref(), &error))?;
                    return Ok(Connected {
                        stream,
                        address: *address,
                        took: started.elapsed(),
                        in_vain,
                    });
                }
                Err(error) => {
                    last = (error.kind() != io::ErrorKind::TimedOut).then(|| error.to_string());
                    let why = last.clone().unwrap_or_else(|| "no answer".to_owned());
                    in_vain.push((*address, why));
                }
            }
        }
        Err(self
            .context()
            .no_connection(self.route.as_ref(), last.as_deref()))
    }

    /// A tunnel through the proxy, where the route leads through one; else the connection itself.
    pub fn tunnel(&self, stream: TcpStream) -> Result<Box<dyn Stream>> {
        let stream = Until {
            stream,
            end: Instant::now() + self.limit(),
        };
        let Some(route) = &self.route else {
            return Ok(Box::new(stream));
        };
        let context = self.context();
        let mut stream: Box<dyn Stream> = if route.url.scheme() == "https" {
            let config = Arc::new(trust::client_config(&self.settings.tls)?);
            let secured = probe::secured(stream, config, route.address().0);
            Box::new(secured.map_err(|error| self.lost(Some(route), &error))?)
        } else {
            Box::new(stream)
        };
        let answer =
            probe::tunnel(&mut stream, route, &proxy::place(self.url), true).map_err(|error| {
                match inner::<rustls::Error>(&error) {
                    Some(tls) => tls_failure::explain(tls, &context.place(Some(route))),
                    None => self.lost(Some(route), &error),
                }
            })?;
        if (200..300).contains(&answer.status) {
            Ok(stream)
        } else {
            Err(context.proxy_refusal(route, &answer))
        }
    }

    /// The TLS handshake with the server, over a connection from [`Stages::tunnel`]. The signature over it is verified
    /// whatever is trusted, and nothing is sent after it.
    pub fn handshake(&self, mut stream: Box<dyn Stream>) -> Handshake {
        let chain = Arc::new(Guarded::default());
        let result = self.shake(&mut stream, &chain);
        let read = |der: &CertificateDer<'_>| Certificate::read(der);
        let mut seen = Handshake {
            chain: chain.with(|chain: &mut Vec<_>| chain.iter().map(read).collect()),
            ..Handshake::default()
        };
        match result {
            Ok(agreed) => seen.agreed = Some(agreed),
            Err(error) => {
                // Whoever says nothing at all says no more to another hello.
                if seen.chain.is_empty() && error.code() != Code::Connect {
                    seen.old = self.old_tls();
                }
                seen.error = Some(error);
            }
        }
        seen
    }

    fn shake(
        &self,
        stream: &mut dyn Stream,
        chain: &Arc<Guarded<Vec<CertificateDer<'static>>>>,
    ) -> Result<(String, String)> {
        let config = trust::config_with(&self.settings.tls, |verifier| {
            Arc::new(Recorder {
                verifier,
                chain: Arc::clone(chain),
            })
        })?;
        let context = self.context();
        let (host, _) = proxy::host_and_port(self.url);
        let internal = |what: &dyn std::fmt::Display| {
            Error::new(Code::Tls, format!("the TLS handshake cannot begin: {what}"))
        };
        let name = ServerName::try_from(host).map_err(|error| internal(&error))?;
        let mut session =
            ClientConnection::new(Arc::new(config), name).map_err(|error| internal(&error))?;
        let mut stream = stream;
        while session.is_handshaking() {
            session.complete_io(&mut stream).map_err(|error| {
                match inner::<rustls::Error>(&error) {
                    Some(tls) => tls_failure::explain(tls, &context.place(None)),
                    None if timed_out(&error) => self.lost(None, &error),
                    None => context.handshake_cut(&error.to_string()),
                }
            })?;
        }
        let version = session
            .protocol_version()
            .map(|version| format!("{version:?}"));
        let suite = session
            .negotiated_cipher_suite()
            .map(|suite| format!("{:?}", suite.suite()));
        Ok((version.unwrap_or_default(), suite.unwrap_or_default()))
    }

    /// Asks once more with the hello of an old client. It is a diagnosis: whatever goes wrong with it merely leaves the error less specific.
    fn old_tls(&self) -> Option<(String, String)> {
        let addresses = self.look_up().ok()?;
        let stream = self.connect(addresses.all()).ok()?.stream;
        let stream = self.tunnel(stream).ok()?;
        old_tls::ask(stream, &proxy::host_and_port(self.url).0)
    }

    /// The connection broke or fell silent, on the way to the proxy `near` or to the server.
    fn lost(&self, near: Option<&ProxyRoute>, error: &io::Error) -> Error {
        let cause = (!timed_out(error)).then(|| error.to_string());
        self.context().no_connection(near, cause.as_deref())
    }
}

/// A connection that ends with its time, however slowly the other end sends.
struct Until {
    stream: TcpStream,
    end: Instant,
}

impl Read for Until {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if Instant::now() > self.end {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.read(buffer)
    }
}

impl Write for Until {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn timed_out(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

fn inner<T: StdError + 'static>(error: &io::Error) -> Option<&T> {
    error.get_ref()?.downcast_ref()
}

/// Keeps what the server shows, then lets the real verifier judge it.
#[derive(Debug)]
struct Recorder {
    verifier: Verifier,
    chain: Arc<Guarded<Vec<CertificateDer<'static>>>>,
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let shown = std::iter::once(end_entity)
            .chain(intermediates)
            .map(|der| der.clone().into_owned())
            .collect();
        self.chain.with(|chain| *chain = shown);
        self.verifier
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
