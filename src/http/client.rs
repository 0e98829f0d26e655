//! The HTTP clients of one transport: made at the first request that needs them, with a thread each, and kept.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::blocking::{Client, ClientBuilder};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::ClientConfig;

use super::failure;
use super::progress::Watched;
use super::proxy::ProxyRules;
use super::trust::{self, Trust};
use crate::error::Result;
use crate::fork::{Guarded, PerProcess};

/// An HTTP client that connects to the addresses that it is told.
pub(super) struct HttpClient {
    pub(super) http: Client,
    chosen: Arc<Chosen>,
}

/// Clients by what distinguishes them; a forked child leaves its parent's alone and makes its own.
#[derive(Default)]
pub(super) struct Clients(PerProcess<Arc<Made>>);

#[derive(Default)]
struct Made {
    config: Cell<Arc<ClientConfig>>,
    clients: Guarded<Vec<(Key, ClientCell)>>,
}

/// Filled outside of any lock or section, for that takes a while; a forked child that finds it half filled throws it away.
#[expect(clippy::disallowed_types, reason = "see above")]
type Cell<T> = once_cell::sync::OnceCell<T>;

type ClientCell = Arc<Cell<Arc<HttpClient>>>;

/// The port, where addresses are named for a host *and* a port (an HTTP client is told those of a host), and the time to
/// connect.
pub(super) type Key = (Option<u16>, Duration);

impl Clients {
    fn made(&self) -> Arc<Made> {
        self.0.with(|made| Arc::clone(made))
    }

    /// The TLS configuration, made once.
    pub(super) fn config(&self, trust: &Arc<Trust>) -> Result<Arc<ClientConfig>> {
        let made = self.made();
        let config = made
            .config
            .get_or_try_init(|| trust::client_config(trust).map(Arc::new))?;
        Ok(Arc::clone(config))
    }

    /// The client for `key`, made by one thread while others wait.
    pub(super) fn client(
        &self,
        key: Key,
        trust: &Arc<Trust>,
        rules: &Arc<ProxyRules>,
    ) -> Result<Arc<HttpClient>> {
        let config = self.config(trust)?;
        let cell = self.made().clients.with(|clients| {
            if let Some((_, cell)) = clients.iter().find(|(of, _)| *of == key) {
                return Arc::clone(cell);
            }
            let cell = Arc::default();
            clients.push((key, Arc::clone(&cell)));
            cell
        });
        let client = cell.get_or_try_init(|| build(&config, key.1, rules).map(Arc::new))?;
        Ok(Arc::clone(client))
    }
}

impl Drop for Clients {
    /// Dropping an HTTP client joins its thread, so all are left behind.
    fn drop(&mut self) {
        std::mem::forget(self.made());
    }
}

fn build(config: &ClientConfig, connect: Duration, rules: &Arc<ProxyRules>) -> Result<HttpClient> {
    let chosen = Arc::new(Chosen::default());
    let rules = Arc::clone(rules);
    // As curl and .NET read them: a blank before the colon, a value over two lines, a line that is no header.
    let lenient = reqwest::Client::builder()
        .http1_allow_spaces_after_header_name_in_responses(true)
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http1_ignore_invalid_headers_in_responses(true);
    let http = ClientBuilder::from(lenient)
        .tls_backend_preconfigured(config.clone())
        // A client-wide limit would start again at each read; the limit of each request is a total one.
        .timeout(None)
        .connector_layer(Watched { limit: connect })
        .dns_resolver(Arc::clone(&chosen))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .http1_only()
        // A token request is rare and a handshake cheap, while a kept connection may lead to a node that is sick, through a
        // NAT that has forgotten it, or into the moment at which the server closes it.
        .pool_max_idle_per_host(0)
        .no_proxy()
        .proxy(reqwest::Proxy::custom(move |url| {
            // What cannot be understood was refused before.
            rules.route(url).ok().flatten().map(|route| route.url)
        }))
        .build();
    match http {
        Ok(http) => Ok(HttpClient { http, chosen }),
        Err(error) => Err(failure::not_made(&error)),
    }
}

impl HttpClient {
    /// Connections to `host` go to `address` from now on. Where two requests choose at the same time, either will do.
    pub(super) fn choose(&self, host: &str, address: IpAddr) {
        self.chosen.0.with(|chosen| {
            chosen.insert(host.to_owned(), address);
        });
    }
}

/// Takes the place of the stack's own look-ups: names are looked up before a request is sent.
#[derive(Default)]
struct Chosen(Guarded<BTreeMap<String, IpAddr>>);

impl Resolve for Chosen {
    fn resolve(&self, name: Name) -> Resolving {
        let address = self.0.with(|chosen| chosen.get(name.as_str()).copied());
        let answer = match address {
            Some(address) => Ok(Box::new(std::iter::once(SocketAddr::new(address, 0))) as Addrs),
            None => Err(format!("no address was chosen for {}", name.as_str()).into()),
        };
        Box::pin(std::future::ready(answer))
    }
}
