//! How bytes reach the server. Only this module knows reqwest, and only it and the Redis store know rustls.

#[cfg(windows)]
mod authorities_windows;
mod bundle;
mod certificate;
mod chain;
mod client;
mod connect;
mod failure;
mod lookup;
mod pool;
mod progress;
mod proxy;
mod race;
mod refusal;
pub(crate) mod stages;
mod stream;
mod system_trust;
mod tls_failure;
mod trust;
mod tunnel;

use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::blocking::{Client, RequestBuilder};
use reqwest::header::{HeaderName, HeaderValue};
use zeroize::Zeroizing;

use crate::error::{Code, Error, Result};
use crate::log::{self, Level};
use crate::options::TransportSettings;
use crate::secret::Secret;
use crate::sources;
use crate::wire::{Method, Request, Response};

use client::{Clients, HttpClient};
use connect::Connector;
use failure::{Fault, RequestContext};
use proxy::ProxyRules;
#[cfg(not(feature = "store-redis"))]
use trust::Trust;
use tunnel::Answer;

pub(crate) use certificate::Certificate;
pub(crate) use pool::pooled;
pub use pool::transport_for;
pub(crate) use proxy::ProxyOrigin;
pub use proxy::proxy_origin;
#[cfg(test)]
pub(crate) use race::addresses;
#[cfg(feature = "store-redis")]
pub(crate) use {
    lookup::{Unresolved, look_up},
    race::{Attempt, Lost, race},
    stream::Stream,
    tls_failure::explain as explain_tls,
    trust::{Trust, client_config as tls_config},
};

/// Bytes of a body read at a time.
const PIECE: usize = 8 * 1024;

/// What one request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Until the response is complete: a server that drips bytes does not extend it.
    pub total: Duration,
    /// Until the request can be written: look-up, connection, tunnel and TLS together.
    pub connect: Duration,
    /// Largest body, in bytes.
    pub max_body: usize,
}

impl Limits {
    /// `total` for all of it, a connection included.
    #[must_use]
    pub fn new(total: Duration, max_body: usize) -> Limits {
        Limits {
            total,
            connect: total,
            max_body,
        }
    }
}

/// Sends one request and reads the whole response. It follows no redirect and tries nothing twice.
pub trait Transport: Send + Sync {
    /// Sends `request` and reads the response, within `limits`.
    ///
    /// # Errors
    ///
    /// Before the request was written: `Dns`, `Connect`, `Proxy` or `Tls`; after that `Timeout`, `Io` or `TooLarge`. Any
    /// HTTP status is a response, not an error.
    fn send(&self, request: &Request, limits: &Limits) -> Result<Response>;

    /// Says what keeps any request to `url` from being sent, before one is.
    ///
    /// # Errors
    ///
    /// `Config` when the proxy on the way to it cannot be understood.
    fn check(&self, url: &url::Url) -> Result<()> {
        let _ = url;
        Ok(())
    }

    /// Reads by the deadline what the transport is given to trust, and says what is wrong with it before anything is sent.
    ///
    /// # Errors
    ///
    /// `Config` when `ca_file` cannot be used; `Timeout` when it cannot be read by the deadline.
    fn prepare(&self, deadline: Instant) -> Result<()> {
        let _ = deadline;
        Ok(())
    }

    /// User and password that a proxy on the way to `url` gets, wherever they come from: its answers may tell them.
    fn proxy_login(&self, url: &url::Url) -> Option<(String, Secret)> {
        let _ = url;
        None
    }
}

/// The real transport: HTTP/1.1 by reqwest, TLS by rustls, a new connection for each request. No redirects, cookies, referer
/// or decompression.
///
/// Cheap until the first [`send`](Transport::send), which makes the HTTP client with its thread. Call `send` from a thread
/// that is not inside an asynchronous runtime.
pub struct HttpTransport {
    settings: TransportSettings,
    rules: Arc<ProxyRules>,
    trust: Arc<Trust>,
    clients: Clients,
}

impl HttpTransport {
    /// A transport outside of the pool; [`transport_for`] shares them. Reads the proxy variables.
    ///
    /// # Errors
    ///
    /// `Config` when `ca_file` cannot be used.
    pub fn new(settings: &TransportSettings) -> Result<HttpTransport> {
        let transport = HttpTransport::unread(settings);
        transport.prepare(Instant::now() + Duration::from_millis(settings.connect_timeout_ms))?;
        Ok(transport)
    }

    /// A transport that has read the variables, and no file yet.
    fn unread(settings: &TransportSettings) -> HttpTransport {
        let rules = ProxyRules::new(settings);
        if !rules.ignored.is_empty() {
            let entries = rules.ignored.join(", ");
            let message = format!("NO_PROXY has entries that are not understood: {entries}");
            log::record(Level::Warn, "proxy.ignored", &message);
        }
        HttpTransport {
            settings: settings.clone(),
            rules: Arc::new(rules),
            trust: Trust::new(&settings.tls),
            clients: Clients::default(),
        }
    }

    /// Which proxy a request to `url` goes through, and who decided it.
    #[must_use]
    pub fn proxy_origin(&self, url: &url::Url) -> ProxyOrigin {
        self.rules.origin(url)
    }

    /// An HTTP client that connects where it should, and the address that this is.
    fn client(
        &self,
        connector: &Connector,
        deadline: Instant,
    ) -> Result<(Arc<HttpClient>, SocketAddr)> {
        let (host, port) = connector.context.target();
        let named = overrides(&self.settings, &host, port);
        let key = (!self.settings.resolve.is_empty()).then_some(port);
        let client = self
            .clients
            .client((key, connector.limit), &self.trust, &self.rules)?;
        // From here on, not from where the client was made.
        let deadline = deadline.min(Instant::now() + connector.limit);
        let addresses = connector.addresses(named, deadline)?;
        let left = deadline.saturating_duration_since(Instant::now());
        let address = match addresses[..] {
            // The client allows the whole time to connect, so what is left after a slow look-up is held to here.
            [only] if left > connector.limit * 9 / 10 => only,
            _ => connector.choose(&addresses, deadline)?,
        };
        client.choose(&host, address.ip());
        Ok((client, address))
    }
}

impl Transport for HttpTransport {
    fn send(&self, request: &Request, limits: &Limits) -> Result<Response> {
        let deadline = Instant::now() + limits.total;
        let result = self.attempt(request, limits, deadline);
        // Nothing was sent yet, and the authority that was lacking may be there by now.
        if result.is_err() && self.trust.is_in_doubt() && self.trust.refresh(deadline)? {
            return self.attempt(request, limits, deadline);
        }
        result
    }

    fn prepare(&self, deadline: Instant) -> Result<()> {
        self.trust.check(deadline)
    }

    fn check(&self, url: &url::Url) -> Result<()> {
        self.rules.route(url).map(drop)
    }

    fn proxy_login(&self, url: &url::Url) -> Option<(String, Secret)> {
        self.rules.route(url).ok()??.login()
    }
}

impl HttpTransport {
    fn attempt(&self, request: &Request, limits: &Limits, deadline: Instant) -> Result<Response> {
        let total = limits.total;
        let remaining = || deadline.saturating_duration_since(Instant::now());
        let route = self.rules.route(&request.url)?;
        let context = Arc::new(RequestContext::new(&request.url, route));
        if let Some(route) = &context.route {
            proxy::check_usable(route)?;
        }
        if total.is_zero() {
            return Err(context.no_reply(&Fault::TimedOut(total), false));
        }
        if context.speaks_tls() {
            self.trust
                .refresh(deadline.min(Instant::now() + limits.connect))?;
        }
        let connect_timeout = Duration::from_millis(self.settings.connect_timeout_ms);
        let connector = Connector {
            context: Arc::clone(&context),
            tls: Some(self.clients.config(&self.trust)?),
            limit: rounded(limits.connect.min(connect_timeout)),
        };
        let (client, address) = self.client(&connector, deadline)?;
        let mut reply = outgoing(&client.http, request)?
            .timeout(remaining())
            .send()
            .map_err(|error| connector.explain(&error, address, total, deadline))?;
        let status = reply.status().as_u16();
        let headers = text_headers(reply.headers());
        // Plain http goes to the proxy itself, so this status is its own.
        if let (407, Some(route), false) = (status, &context.route, context.https) {
            let schemes = headers
                .iter()
                .filter(|(name, _)| name == "proxy-authenticate")
                .flat_map(|(_, value)| tunnel::schemes(value))
                .collect();
            return Err(context.refusal(route, &Answer { status, schemes }));
        }
        if reply
            .content_length()
            .is_some_and(|length| length > limits.max_body as u64)
        {
            return Err(context.too_large(limits.max_body));
        }
        let mut body = Zeroizing::new(Vec::new());
        let mut piece = Zeroizing::new([0; PIECE]);
        loop {
            let got = match reply.read(&mut piece[..]) {
                Ok(got) => got,
                Err(error) => return Err(context.reply_lost(&error, total)),
            };
            if got == 0 {
                break;
            }
            if body.len() + got > limits.max_body {
                return Err(context.too_large(limits.max_body));
            }
            append(&mut body, &piece[..got])?;
            if remaining().is_zero() {
                return Err(context.no_reply(&Fault::TimedOut(total), true));
            }
        }
        Ok(Response {
            status,
            headers,
            body,
        })
    }
}

/// Down to two digits, so that the different limits of many flights share an HTTP client.
fn rounded(limit: Duration) -> Duration {
    let ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    let unit = 10_u64.pow(ms.max(1).ilog10().saturating_sub(1));
    Duration::from_millis(ms / unit * unit)
}

/// The addresses that `resolve` names for this host and port.
fn overrides(settings: &TransportSettings, host: &str, port: u16) -> Vec<SocketAddr> {
    settings
        .resolve
        .iter()
        .filter(|resolve| resolve.host == host && resolve.port == port)
        .map(|resolve| SocketAddr::new(resolve.address, port))
        .collect()
}

fn outgoing(client: &Client, request: &Request) -> Result<RequestBuilder> {
    let method = match request.method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Patch => reqwest::Method::PATCH,
        Method::Delete => reqwest::Method::DELETE,
        Method::Head => reqwest::Method::HEAD,
    };
    let mut builder = client.request(method, request.url.clone());
    // An empty body still sends a Content-Length, without which IIS answers 411.
    let has_body = matches!(request.method, Method::Post | Method::Put | Method::Patch);
    if has_body || request.body.is_some() {
        let body = request.body.as_ref().map_or("", |body| body.expose());
        builder = builder.body(body.to_owned());
    }
    for (name, value) in &request.headers {
        let bad = || {
            Error::new(
                Code::Config,
                format!(
                    "the value for the header {name} contains characters that a header cannot carry"
                ),
            )
            .with_hint("Use an auth_mode of v2, which sends JSON.")
        };
        // Header values are Latin-1 on the wire.
        let mut latin1 = Zeroizing::new(Vec::with_capacity(value.expose().len()));
        for c in value.expose().chars() {
            latin1.push(u8::try_from(c).map_err(|_| bad())?);
        }
        let mut header = HeaderValue::from_bytes(&latin1).map_err(|_| bad())?;
        header.set_sensitive(true);
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
        builder = builder.header(name, header);
    }
    Ok(builder)
}

fn text_headers(headers: &reqwest::header::HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| {
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), text)
        })
        .collect()
}

/// Appends without leaving a copy behind when the buffer grows.
fn append(buffer: &mut Zeroizing<Vec<u8>>, piece: &[u8]) -> Result<()> {
    sources::reserve(buffer, piece.len())
        .map_err(|why| Error::exhausted("no memory for the server's response", why))?;
    buffer.extend_from_slice(piece);
    Ok(())
}
