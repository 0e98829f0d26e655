//! How bytes reach the server. Only this module knows reqwest and rustls.

#[cfg(windows)]
mod authorities_windows;
mod certificate;
mod failure;
mod pool;
mod probe;
mod proxy;
#[doc(hidden)]
pub mod stages;
mod tls_failure;
mod trust;

use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::blocking::{Client, RequestBuilder};
use reqwest::header::{HeaderName, HeaderValue};
use zeroize::Zeroizing;

use crate::error::{Code, Error, Result};
use crate::fork::{self, Guarded};
use crate::options::TransportSettings;
use crate::secret::Secret;
use crate::wire::{Method, Request, Response};

use failure::{Failure, RequestContext};
use probe::Answer;
use proxy::{ProxyRoute, ProxyRules};

#[doc(hidden)]
pub use certificate::Certificate;
pub use pool::transport_for;
pub use proxy::{ProxyOrigin, proxy_origin};
#[cfg(feature = "store-redis")]
pub(crate) use trust::client_config as tls_config;

/// How long an unused connection is kept: shorter than IIS and the usual load balancers do, so that a request seldom
/// meets a connection that the other side is just closing.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// Unused connections kept per host; a burst of identities may use more at once.
const POOL_MAX_IDLE: usize = 8;

/// Bytes of a body read at a time.
const PIECE: usize = 8 * 1024;

/// Sends one request and reads the whole response. It follows no redirect and tries nothing twice.
pub trait Transport: Send + Sync {
    /// Sends `request` and reads at most `max_body` bytes of the response's body, all within `limit`, which is a total
    /// deadline: a server that drips bytes does not extend it.
    ///
    /// # Errors
    ///
    /// `Dns`, `Connect`, `Tls`, `Timeout`, `Io`, `Proxy` or `TooLarge`. Any HTTP status is a response, not an error.
    fn send(&self, request: &Request, limit: Duration, max_body: usize) -> Result<Response>;

    /// User and password that a proxy on the way to `url` gets, wherever they come from: its answers may tell them.
    fn proxy_login(&self, url: &url::Url) -> Option<(String, Secret)> {
        let _ = url;
        None
    }
}

/// The real transport: HTTP/1.1 by reqwest, TLS by rustls. No redirects, cookies, referer or decompression.
///
/// Cheap until the first [`send`](Transport::send), which makes the HTTP client with its thread. That client is never
/// dropped, because dropping joins its thread, and a name look-up that hangs would hang whoever drops. Call `send` from
/// a thread that is not inside an asynchronous runtime.
pub struct HttpTransport {
    settings: TransportSettings,
    rules: Arc<ProxyRules>,
    clients: Guarded<Clients>,
}

/// HTTP clients by the port that they connect to. `resolve` is about a host *and* a port, while an HTTP client overrides
/// a host on every port; so with `resolve` each port has its own client, without it all share that of port 0.
struct Clients {
    /// The process that made them; a forked child leaves them alone and makes its own.
    epoch: u64,
    by_port: Vec<(u16, Arc<ClientCell>)>,
}

/// Filled outside of any lock or section, for that takes a while; a forked child that finds it half filled throws it away.
#[expect(clippy::disallowed_types, reason = "see above")]
type ClientCell = once_cell::sync::OnceCell<Client>;

impl HttpTransport {
    /// A transport outside of the pool; [`transport_for`] shares them. Reads the proxy variables.
    ///
    /// # Errors
    ///
    /// `Config` when `ca_file` cannot be used.
    pub fn new(settings: &TransportSettings) -> Result<HttpTransport> {
        if let Some(path) = settings.tls.ca_file.as_deref() {
            trust::read_ca_file(path)?;
        }
        Ok(HttpTransport {
            settings: settings.clone(),
            rules: Arc::new(ProxyRules::new(settings)),
            clients: Guarded::new(Clients {
                epoch: fork::epoch(),
                by_port: Vec::new(),
            }),
        })
    }

    /// Which proxy a request to `url` goes through, and who decided it.
    #[must_use]
    pub fn proxy_origin(&self, url: &url::Url) -> ProxyOrigin {
        self.rules.origin(url)
    }

    /// The client for connections to `port`. The lock covers the look-up alone; a client is built outside of it, by one
    /// thread while the others that need it wait.
    fn client(&self, port: u16) -> Result<Client> {
        let port = if self.settings.resolve.is_empty() {
            0
        } else {
            port
        };
        let cell = self.clients.with(|clients| {
            if clients.epoch != fork::epoch() {
                std::mem::forget(std::mem::take(&mut clients.by_port));
                clients.epoch = fork::epoch();
            }
            let found = clients.by_port.iter().find(|(of, _)| *of == port);
            if let Some((_, cell)) = found {
                Arc::clone(cell)
            } else {
                let cell = Arc::new(ClientCell::new());
                clients.by_port.push((port, Arc::clone(&cell)));
                cell
            }
        });
        cell.get_or_try_init(|| self.build(port)).cloned()
    }

    fn build(&self, port: u16) -> Result<Client> {
        let mut builder = Client::builder()
            .tls_backend_preconfigured(trust::client_config(&self.settings.tls)?)
            // A client-wide limit would start anew at each read; the limit of each request is a total one.
            .timeout(None)
            .connect_timeout(self.connect_timeout())
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(POOL_MAX_IDLE)
            .no_proxy();
        let rules = Arc::clone(&self.rules);
        builder = builder.proxy(reqwest::Proxy::custom(move |url| {
            rules.route(url).map(|route| route.url)
        }));
        for resolve in &self.settings.resolve {
            let addresses = overrides(&self.settings, &resolve.host, port);
            if !addresses.is_empty() {
                builder = builder.resolve_to_addrs(&resolve.host, &addresses);
            }
        }
        builder.build().map_err(|error| {
            Error::new(
                Code::Internal,
                format!(
                    "the HTTP client cannot be made: {}",
                    failure::innermost(&error)
                ),
            )
        })
    }

    fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.settings.connect_timeout_ms)
    }

    /// Turns a failure of the HTTP stack into an error, asking the proxy for its reason where it has one.
    fn explain(
        &self,
        error: &(dyn std::error::Error + 'static),
        context: &RequestContext<'_>,
        remaining: Duration,
    ) -> Error {
        let (with_user, assumed) = match context.failure(error) {
            Failure::Known(error) => return error,
            // Without the user: the schemes are listed all the same, and a wrong password is not counted twice.
            Failure::TunnelUser => (false, 407),
            Failure::TunnelRefused => (true, 0),
        };
        let Some(route) = context.route else {
            return Error::new(Code::Proxy, "a proxy refused the connection");
        };
        let (host, port) = route.address();
        let tls = (route.url.scheme() == "https")
            .then(|| trust::client_config(&self.settings.tls).ok().map(Arc::new))
            .flatten();
        let answer = probe::ask(
            route,
            overrides(&self.settings, &host, port),
            proxy::place(context.url),
            with_user,
            tls,
            remaining,
        );
        let answer = match answer {
            // The second answer may differ from the first; what is certain is the first.
            Some(answer) if assumed == 0 || answer.status == assumed => answer,
            _ => Answer {
                status: assumed,
                schemes: Vec::new(),
            },
        };
        context.proxy_refusal(route, &answer)
    }
}

impl Transport for HttpTransport {
    fn send(&self, request: &Request, limit: Duration, max_body: usize) -> Result<Response> {
        let started = Instant::now();
        let remaining = || limit.saturating_sub(started.elapsed());
        let route = self.rules.route(&request.url);
        if let Some(route) = &route {
            proxy::check_usable(route)?;
        }
        let context = RequestContext {
            url: &request.url,
            route: route.as_ref(),
            connect_timeout: self.connect_timeout(),
            limit,
        };
        let target = route
            .as_ref()
            .map_or_else(|| proxy::host_and_port(&request.url), ProxyRoute::address);
        let client = self.client(target.1)?;
        if remaining().is_zero() {
            return Err(context.timeout());
        }
        let mut reply = outgoing(&client, request)?
            .timeout(remaining())
            .send()
            .map_err(|error| self.explain(&error, &context, remaining()))?;
        let status = reply.status().as_u16();
        let headers = text_headers(reply.headers());
        // Plain http goes to the proxy itself, so this status is its own.
        if let (407, Some(route), "http") = (status, &route, request.url.scheme()) {
            let schemes = headers
                .iter()
                .filter(|(name, _)| name == "proxy-authenticate")
                .flat_map(|(_, value)| probe::schemes(value))
                .collect();
            return Err(context.proxy_refusal(route, &Answer { status, schemes }));
        }
        if reply
            .content_length()
            .is_some_and(|length| length > max_body as u64)
        {
            return Err(context.too_large(max_body));
        }
        let mut body = Zeroizing::new(Vec::new());
        let mut piece = Zeroizing::new([0; PIECE]);
        loop {
            let got = reply
                .read(&mut piece[..])
                .map_err(|error| self.explain(&error, &context, remaining()))?;
            if got == 0 {
                break;
            }
            if body.len() + got > max_body {
                return Err(context.too_large(max_body));
            }
            append(&mut body, &piece[..got]);
            if remaining().is_zero() {
                return Err(context.timeout());
            }
        }
        Ok(Response {
            status,
            headers,
            body,
        })
    }

    fn proxy_login(&self, url: &url::Url) -> Option<(String, Secret)> {
        self.rules.route(url)?.login()
    }
}

impl Drop for HttpTransport {
    fn drop(&mut self) {
        // See the type: HTTP clients are left behind.
        self.clients
            .with(|clients| std::mem::forget(std::mem::take(&mut clients.by_port)));
    }
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
    let mut builder = match request.method {
        Method::Get => client.get(request.url.clone()),
        Method::Post => {
            // An empty body still sends a Content-Length, without which IIS answers 411.
            let body = request.body.as_ref().map_or("", |body| body.expose());
            client.post(request.url.clone()).body(body.to_owned())
        }
    };
    for (name, value) in &request.headers {
        let bad = || {
            Error::new(
                Code::Config,
                format!(
                    "the value for the header {name} holds characters that a header cannot carry"
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
fn append(buffer: &mut Zeroizing<Vec<u8>>, piece: &[u8]) {
    let needed = buffer.len() + piece.len();
    if needed > buffer.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(buffer.capacity() * 2)));
        larger.extend_from_slice(buffer);
        *buffer = larger;
    }
    buffer.extend_from_slice(piece);
}
