//! Which forward proxy a request goes through, if any, and who said so.
//!
//! With `proxy` not set, the usual environment variables decide (and the system's settings on Windows and macOS), by the
//! rules that curl and reqwest share; `no_proxy` adds to `NO_PROXY`. A proxy from the option serves every host but those
//! of `no_proxy`, whatever the environment says.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::HeaderValue;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use url::Url;
use zeroize::Zeroizing;

use crate::error::{Code, Error, Result};
use crate::options::{ProxyChoice, TransportSettings};
use crate::secret::Secret;

/// Where the way out of the network came from, for diagnostics. Never holds the proxy's user or password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyOrigin {
    /// `option proxy`, `option no_proxy`, `environment HTTPS_PROXY` (or its like), `system` or `none`.
    pub source: &'static str,
    /// The proxy as `scheme://host:port`; `None` when the server is reached directly.
    pub proxy: Option<String>,
}

impl fmt::Display for ProxyOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.proxy {
            Some(proxy) => write!(f, "{proxy} ({})", self.source),
            None => write!(f, "direct ({})", self.source),
        }
    }
}

/// Says which proxy a request to `url` goes through and who decided it, by the environment as it is now.
#[must_use]
pub fn proxy_origin(settings: &TransportSettings, url: &Url) -> ProxyOrigin {
    ProxyRules::new(settings).origin(url)
}

/// A proxy that a request goes through.
#[derive(Clone)]
pub(super) struct ProxyRoute {
    /// With user and password; not for showing.
    pub(super) url: Url,
    /// The same as the value of `Proxy-Authorization`.
    pub(super) basic: Option<HeaderValue>,
    pub(super) source: &'static str,
}

impl ProxyRoute {
    /// Host without brackets, and port.
    pub(super) fn address(&self) -> (String, u16) {
        host_and_port(&self.url)
    }

    /// User and password, as they are.
    pub(super) fn login(&self) -> Option<(String, Secret)> {
        self.basic.as_ref().and_then(login)
    }

    /// `scheme://host:port`.
    pub(super) fn shown(&self) -> String {
        format!("{}://{}", self.url.scheme(), place(&self.url))
    }
}

/// The proxy rules of one transport, read once so that messages and connections agree.
pub(super) struct ProxyRules {
    proxies: Option<Matcher>,
    /// Meets every host that `no_proxy` does not name.
    outside: Matcher,
    /// Who decides: for http, for https.
    sources: [&'static str; 2],
}

impl ProxyRules {
    pub(super) fn new(settings: &TransportSettings) -> ProxyRules {
        let (proxies, sources) = match &settings.proxy {
            ProxyChoice::Direct => (None, ["option proxy"; 2]),
            ProxyChoice::Url(url) => (
                Some(Matcher::builder().all(url.expose().to_owned()).build()),
                ["option proxy"; 2],
            ),
            ProxyChoice::System => (
                Some(Matcher::from_system()),
                [environment_source("http"), environment_source("https")],
            ),
        };
        ProxyRules {
            proxies,
            outside: Matcher::builder()
                .all("http://any.invalid".to_owned())
                .no(settings.no_proxy.join(","))
                .build(),
            sources,
        }
    }

    /// The proxy for `url`, of whatever scheme; `None` when the server is reached directly.
    pub(super) fn route(&self, url: &Url) -> Option<ProxyRoute> {
        let proxies = self.proxies.as_ref()?;
        let uri = target(url)?;
        self.outside.intercept(&uri)?;
        let intercept = proxies.intercept(&uri)?;
        Some(ProxyRoute {
            url: with_userinfo(&intercept)?,
            basic: intercept.basic_auth().cloned(),
            source: self.sources[usize::from(url.scheme() == "https")],
        })
    }

    /// See [`proxy_origin`].
    pub(super) fn origin(&self, url: &Url) -> ProxyOrigin {
        if let Some(route) = self.route(url) {
            return ProxyOrigin {
                source: route.source,
                proxy: Some(route.shown()),
            };
        }
        let exempt = target(url).is_some_and(|uri| self.outside.intercept(&uri).is_none());
        ProxyOrigin {
            source: match &self.proxies {
                None => "option proxy",
                Some(_) if exempt => "option no_proxy",
                Some(_) => "none",
            },
            proxy: None,
        }
    }
}

/// Refuses the one kind of proxy that the environment can name and this library cannot use.
///
/// # Errors
///
/// `Proxy` for a SOCKS proxy.
pub(super) fn check_usable(route: &ProxyRoute) -> Result<()> {
    if matches!(route.url.scheme(), "http" | "https") {
        return Ok(());
    }
    Err(Error::new(
        Code::Proxy,
        format!(
            "the proxy {} ({}) is a SOCKS proxy, which is not supported",
            route.shown(),
            route.source
        ),
    )
    .with_hint("Name an http proxy in the option proxy, or set proxy=direct."))
}

/// `host:port` of a URL, the port always there, an IPv6 address in brackets.
pub(super) fn place(url: &Url) -> String {
    let port = host_and_port(url).1;
    format!("{}:{port}", url.host_str().unwrap_or_default())
}

/// Host without brackets, and port.
pub(super) fn host_and_port(url: &Url) -> (String, u16) {
    let host = url.host_str().unwrap_or_default();
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    (host.to_owned(), url.port_or_known_default().unwrap_or(1080))
}

/// What the proxy rules look at: neither path nor query, which may hold a password.
fn target(url: &Url) -> Option<http::Uri> {
    format!("{}://{}/", url.scheme(), place(url)).parse().ok()
}

/// The variable that names the proxy for this scheme, found as the matcher finds it.
fn environment_source(scheme: &str) -> &'static str {
    const HTTP: [&str; 2] = ["environment HTTP_PROXY", "environment http_proxy"];
    const HTTPS: [&str; 2] = ["environment HTTPS_PROXY", "environment https_proxy"];
    const ALL: [&str; 2] = ["environment ALL_PROXY", "environment all_proxy"];
    let uri = http::Uri::try_from(format!("{scheme}://any.invalid/")).unwrap_or_default();
    for pair in [if scheme == "https" { HTTPS } else { HTTP }, ALL] {
        // Of a pair the first that is set counts, even when it is empty.
        let set = pair.into_iter().find_map(|source| {
            let name = source.rsplit(' ').next()?;
            Some((source, std::env::var(name).ok()?))
        });
        if let Some((source, value)) = set
            && Matcher::builder()
                .all(value)
                .build()
                .intercept(&uri)
                .is_some()
        {
            return source;
        }
    }
    "system"
}

/// The matcher keeps user and password as a header; reqwest wants them in the URL.
fn with_userinfo(intercept: &Intercept) -> Option<Url> {
    let mut url = Url::parse(&intercept.uri().to_string()).ok()?;
    if let Some((user, password)) = intercept.basic_auth().and_then(login) {
        url.set_username(&user).ok()?;
        url.set_password(Some(password.expose())).ok()?;
    }
    Some(url)
}

/// What a `Proxy-Authorization` of the Basic scheme says.
fn login(basic: &HeaderValue) -> Option<(String, Secret)> {
    let encoded = basic.to_str().ok()?.strip_prefix("Basic ")?;
    let decoded = Zeroizing::new(BASE64_STANDARD.decode(encoded).ok()?);
    let text = std::str::from_utf8(&decoded).ok()?;
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    Some((user.to_owned(), Secret::new(password)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::TlsTrust;

    fn settings(proxy: ProxyChoice, no_proxy: &[&str]) -> TransportSettings {
        TransportSettings {
            connect_timeout_ms: 1_000,
            tls: TlsTrust {
                verify: true,
                ca_file: None,
                pins: Vec::new(),
            },
            proxy,
            no_proxy: no_proxy.iter().map(|&host| host.to_owned()).collect(),
            resolve: Vec::new(),
        }
    }

    fn url(text: &str) -> Url {
        Url::parse(text).expect("URL")
    }

    #[test]
    fn the_option_decides_and_hides_its_password() {
        let choice = ProxyChoice::Url(Secret::new("http://us%40er:p%3Aw%2F1@proxy.example:3128/"));
        let rules = ProxyRules::new(&settings(
            choice,
            &["direct.example", "10.0.0.0/8", ".corp.example"],
        ));
        let route = rules
            .route(&url("https://p21.example/x?password=hunter22"))
            .expect("proxy");
        assert_eq!(route.address(), ("proxy.example".to_owned(), 3128));
        assert!(route.basic.is_some());
        assert_eq!(
            route.url.as_str(),
            "http://us%40er:p%3Aw%2F1@proxy.example:3128/"
        );
        let origin = rules.origin(&url("https://p21.example/"));
        assert_eq!(
            origin.to_string(),
            "http://proxy.example:3128 (option proxy)"
        );
        for exempt in [
            "https://direct.example/",
            "https://10.1.2.3:3443/",
            "http://a.corp.example/",
        ] {
            assert!(rules.route(&url(exempt)).is_none(), "{exempt}");
            assert_eq!(
                rules.origin(&url(exempt)).to_string(),
                "direct (option no_proxy)"
            );
        }
    }

    #[test]
    fn direct_is_direct() {
        let origin = proxy_origin(
            &settings(ProxyChoice::Direct, &[]),
            &url("https://p21.example/"),
        );
        assert_eq!(
            origin,
            ProxyOrigin {
                source: "option proxy",
                proxy: None
            }
        );
    }

    #[test]
    fn default_ports_are_shown_and_socks_is_refused() {
        let route = |text: &str| ProxyRoute {
            url: url(text),
            basic: None,
            source: "option proxy",
        };
        assert_eq!(route("http://[::1]/").shown(), "http://[::1]:80");
        assert_eq!(route("https://[::1]/").address(), ("::1".to_owned(), 443));
        assert!(check_usable(&route("https://p/")).is_ok());
        let error = check_usable(&route("socks5://u:hunter22@p:1080")).expect_err("SOCKS");
        assert_eq!(error.code(), Code::Proxy);
        assert!(
            error.message().contains("socks5://p:1080") && !error.to_string().contains("hunter"),
            "{error}"
        );
    }
}
