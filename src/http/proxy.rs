//! Which forward proxy a request goes through, if any, and who said so.
//!
//! With `proxy` not set, the usual environment variables decide (and the system's settings on Windows and macOS); `no_proxy`
//! adds to `NO_PROXY`. A proxy from the option serves every host but those of `no_proxy`, regardless of the environment. A
//! proxy that is named is used or refused, never passed over; plain http to this machine stays here.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::HeaderValue;
use percent_encoding::percent_decode_str;
use url::Url;
use zeroize::Zeroizing;

use crate::error::{Code, Error, Result};
use crate::options::{NoProxy, ProxyChoice, TransportSettings, is_loopback, read_proxy};
use crate::secret::Secret;

/// Where the way out of the network came from, for diagnostics. Never holds the proxy's user or password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyOrigin {
    /// `option proxy`, `option no_proxy`, `environment HTTPS_PROXY` (or its like), `system` or `none`.
    pub source: &'static str,
    /// The proxy as `scheme://host:port`; `None` when the server is reached directly.
    pub proxy: Option<String>,
    /// Entries of `NO_PROXY` that are not understood.
    pub ignored: Vec<String>,
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
    /// The option's, or the environment's.
    by_option: bool,
    /// For http, for https.
    named: [Named; 2],
    /// The option's; it counts for proxies of the environment too.
    no_proxy: NoProxy,
    no_proxy_of_environment: NoProxy,
    /// Entries of `NO_PROXY` that are not understood.
    pub(super) ignored: Vec<String>,
    #[cfg(any(windows, target_vendor = "apple"))]
    system: Option<system::Matcher>,
}

/// The proxy for a scheme and what names it; an error where that cannot be understood.
type Named = Result<Option<(Url, &'static str)>>;

impl ProxyRules {
    pub(super) fn new(settings: &TransportSettings) -> ProxyRules {
        let by_environment = matches!(settings.proxy, ProxyChoice::System);
        let named = match &settings.proxy {
            ProxyChoice::Direct => [Ok(None), Ok(None)],
            ProxyChoice::Url(text) => {
                let url = read_proxy("proxy", text.expose());
                let named = url.map(|url| Some((url, "option proxy")));
                [named.clone(), named]
            }
            ProxyChoice::System => [environment_proxy(&HTTP), environment_proxy(&HTTPS)],
        };
        let except = match first_set(&NO_PROXY) {
            Some((_, text)) if by_environment => text.to_string_lossy().into_owned(),
            _ => String::new(),
        };
        let (no_proxy_of_environment, ignored) = NoProxy::read(&except);
        ProxyRules {
            by_option: !by_environment,
            named,
            no_proxy: NoProxy::read(&settings.no_proxy.join(",")).0,
            no_proxy_of_environment,
            ignored,
            #[cfg(any(windows, target_vendor = "apple"))]
            system: by_environment.then(system::Matcher::from_system),
        }
    }

    /// The proxy for `url`, of any scheme; `None` when the server is reached directly.
    ///
    /// # Errors
    ///
    /// `Config` when what names the proxy cannot be understood.
    pub(super) fn route(&self, url: &Url) -> Result<Option<ProxyRoute>> {
        // Over plain http, a proxy would get the credentials in clear that are meant for this machine.
        let stays_here = !self.by_option && url.scheme() == "http" && is_loopback(url);
        if stays_here || self.no_proxy.exempts(url) || self.no_proxy_of_environment.exempts(url) {
            return Ok(None);
        }
        let named = match &self.named[usize::from(url.scheme() == "https")] {
            Ok(Some((url, source))) => Some((url.clone(), *source)),
            Ok(None) => self.by_system(url),
            Err(error) => return Err(error.clone()),
        };
        Ok(named.map(|(url, source)| ProxyRoute {
            basic: basic(&url),
            url,
            source,
        }))
    }

    /// What the system's settings name, which are read like variables.
    #[cfg(any(windows, target_vendor = "apple"))]
    fn by_system(&self, url: &Url) -> Option<(Url, &'static str)> {
        let uri = format!("{}://{}/", url.scheme(), place(url)).parse().ok()?;
        let found = self.system.as_ref()?.intercept(&uri)?;
        Some((Url::parse(&found.uri().to_string()).ok()?, "system"))
    }

    #[cfg(not(any(windows, target_vendor = "apple")))]
    #[expect(clippy::unused_self, reason = "there are settings elsewhere")]
    fn by_system(&self, _: &Url) -> Option<(Url, &'static str)> {
        None
    }

    /// See [`proxy_origin`].
    pub(super) fn origin(&self, url: &Url) -> ProxyOrigin {
        let origin = |source, proxy| ProxyOrigin {
            source,
            proxy,
            ignored: self.ignored.clone(),
        };
        match self.route(url) {
            Ok(Some(route)) => origin(route.source, Some(route.shown())),
            Ok(None) if self.no_proxy.exempts(url) && self.named_at_all() => {
                origin("option no_proxy", None)
            }
            Ok(None) if self.by_option => origin("option proxy", None),
            Ok(None) | Err(_) => origin("none", None),
        }
    }

    /// Whether there is a proxy from which something could be exempt: everything but the option's `direct`.
    fn named_at_all(&self) -> bool {
        !self.by_option || !matches!(self.named[0], Ok(None))
    }
}

#[cfg(any(windows, target_vendor = "apple"))]
mod system {
    pub(super) use hyper_util::client::proxy::matcher::Matcher;
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

/// The variables that name a proxy: that of a scheme, then the one for all. Of a pair the first that is set counts, even when
/// it is empty.
type Variables = [[&'static str; 2]; 2];

const HTTP: Variables = [
    ["environment HTTP_PROXY", "environment http_proxy"],
    ["environment ALL_PROXY", "environment all_proxy"],
];
const HTTPS: Variables = [
    ["environment HTTPS_PROXY", "environment https_proxy"],
    ["environment ALL_PROXY", "environment all_proxy"],
];
const NO_PROXY: [&str; 2] = ["environment NO_PROXY", "environment no_proxy"];

/// What names a variable, and its value.
fn first_set(pair: &[&'static str; 2]) -> Option<(&'static str, std::ffi::OsString)> {
    pair.iter().find_map(|source| {
        let name = source.rsplit(' ').next()?;
        // In a CGI program, HTTP_PROXY is a header of the request that it serves.
        let foreign = name == "HTTP_PROXY" && std::env::var_os("REQUEST_METHOD").is_some();
        let value = std::env::var_os(name).filter(|_| !foreign)?;
        Some((*source, value))
    })
}

fn environment_proxy(variables: &Variables) -> Named {
    for pair in variables {
        let Some((source, value)) = first_set(pair) else {
            continue;
        };
        let name = format!("the {}", source.replacen(' ', " variable ", 1));
        let Some(text) = value.to_str() else {
            return Err(Error::new(Code::Config, format!("{name} is not valid UTF-8"))
                .with_hint("Percent-encode its characters that are not ASCII, or name the proxy in the option proxy."));
        };
        if !text.trim().is_empty() {
            return read_proxy(&name, text).map(|url| Some((url, source)));
        }
    }
    Ok(None)
}

/// The user and password of a URL as the value of `Proxy-Authorization`.
fn basic(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = |text: &str| Zeroizing::new(percent_decode_str(text).collect::<Vec<u8>>());
    let (user, password) = (
        decoded(url.username()),
        decoded(url.password().unwrap_or_default()),
    );
    let pair = Zeroizing::new([&user[..], b":", &password[..]].concat());
    let text = Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(&*pair)));
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
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
            .expect("understood")
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
            assert!(matches!(rules.route(&url(exempt)), Ok(None)), "{exempt}");
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
                proxy: None,
                ignored: Vec::new(),
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
