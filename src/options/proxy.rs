//! What names a proxy and what is exempt from it: one parser for the options and for the environment, for checking and for
//! using.

use std::net::IpAddr;

use url::{Host, Url};

use super::base_url::{NO_ZONE, ZONE, has_zone};
use super::list;
use crate::error::{Code, Error, Result};

/// The special characters of a URL's user and password, and what stands for them.
const ENCODING: &str =
    "Percent-encode it: \\ is %5C, @ is %40, : is %3A, / is %2F, ? is %3F, # is %23, % is %25.";

/// Reads the URL of a proxy, with its user and password. Without a scheme, http is meant. `name` is what names it, for errors.
///
/// # Errors
///
/// `Config`, with a hint, for anything but an http, https or SOCKS URL that is understood to the last character.
pub(crate) fn read_proxy(name: &str, text: &str) -> Result<Url> {
    let fault = |what: &str, hint: &str| {
        Err(Error::new(Code::Config, format!("{name} {what}")).with_hint(hint))
    };
    let text = text.trim();
    let full = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let rest = full.split_once("://").map_or("", |(_, rest)| rest);
    // What parsers make of such a user or password differs, so a part of it could pass for the host.
    let login = rest.rsplit_once('@').map_or("", |(login, _)| login);
    if rest.contains('\\') || login.contains(['@', '/', '?', '#']) {
        return fault("has a special character in its user or password", ENCODING);
    }
    if full.contains(|c: char| c.is_control()) {
        return fault(
            "contains a line break or another control character",
            "Write it on one line; in a user or password, percent-encode it (a line break is %0A).",
        );
    }
    if has_zone(&full) {
        return fault(ZONE, NO_ZONE);
    }
    let lower = full.to_ascii_lowercase();
    let url = Url::parse(&full).ok().filter(Url::has_host);
    let path = url.as_ref().map_or("", |url| url.path());
    if lower.starts_with("pac+") || lower.starts_with("file:") || !matches!(path, "" | "/") {
        return fault(
            "names a file, such as a PAC file, and not a proxy",
            "A PAC file is a program that names a proxy: open it, look for PROXY host:port, and set proxy=http://host:port.",
        );
    }
    match url {
        Some(url)
            if (matches!(url.scheme(), "http" | "https") || url.scheme().starts_with("socks"))
                && url.query().is_none()
                && url.fragment().is_none() =>
        {
            Ok(url)
        }
        _ => fault(
            "is not an http or https URL such as http://proxy.example.com:3128",
            "Write it as http://host:port, with user and password as http://user:password@host:port, without quotation marks; proxy=direct uses none.",
        ),
    }
}

/// Hosts that are reached without a proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NoProxy(Vec<Exempt>);

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Exempt {
    Everything,
    /// A name and all below it.
    Domain(String, Option<u16>),
    /// The addresses whose first bits are these: all of them for a single one.
    Network(IpAddr, u8, Option<u16>),
}

impl NoProxy {
    /// Reads a list, and returns what of it is not understood.
    pub(crate) fn read(text: &str) -> (NoProxy, Vec<String>) {
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for item in list(text) {
            match entry(&item) {
                Some(entry) => known.push(entry),
                None => unknown.push(item),
            }
        }
        (NoProxy(known), unknown)
    }

    /// Whether the server of `url` is reached without a proxy.
    pub(crate) fn exempts(&self, url: &Url) -> bool {
        let port = url.port_or_known_default();
        let at = |wanted: &Option<u16>| wanted.is_none() || *wanted == port;
        let address = match url.host() {
            Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip).to_canonical()),
            _ => None,
        };
        let name = url.host_str().unwrap_or_default();
        let name = name.strip_suffix('.').unwrap_or(name);
        self.0.iter().any(|exempt| match exempt {
            Exempt::Everything => true,
            Exempt::Domain(domain, port) => {
                let below = name.strip_suffix(domain.as_str());
                at(port) && below.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            Exempt::Network(network, bits, port) => {
                at(port)
                    && address
                        .is_some_and(|ip| first_bits(ip, *bits) == first_bits(*network, *bits))
            }
        })
    }
}

/// The family, and the first `bits` of the address.
fn first_bits(ip: IpAddr, bits: u8) -> (bool, u128) {
    let (value, width) = match ip {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()), 32),
        IpAddr::V6(ip) => (ip.to_bits(), 128),
    };
    let shift = u32::from(width - bits.min(width));
    (ip.is_ipv4(), value.checked_shr(shift).unwrap_or(0))
}

/// `*`, `x`, `.x`, `*.x`, an address, a network as `10.0.0.0/8`; all but the first and the last also with `:port`. IPv6
/// addresses may stand in brackets, and must where a port follows.
fn entry(item: &str) -> Option<Exempt> {
    if item == "*" {
        return Some(Exempt::Everything);
    }
    let bare = |text: &str| {
        let inner = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        inner
            .unwrap_or(text)
            .parse::<IpAddr>()
            .ok()
            .map(|ip| ip.to_canonical())
    };
    let single = |ip: IpAddr, port| {
        let bits = if ip.is_ipv4() { 32 } else { 128 };
        Some(Exempt::Network(ip, bits, port))
    };
    if let Some((network, bits)) = item.split_once('/') {
        let (ip, bits) = (bare(network)?, bits.parse().ok()?);
        let most = if ip.is_ipv4() { 32 } else { 128 };
        return (bits <= most).then_some(Exempt::Network(ip, bits, None));
    }
    if let Some(ip) = bare(item) {
        return single(ip, None);
    }
    let (host, port) = match item.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (item, None),
    };
    if let Some(ip) = bare(host) {
        // Without brackets, the last group of an IPv6 address and a port cannot be told apart.
        return (ip.is_ipv4() || host.starts_with('[')).then(|| single(ip, port))?;
    }
    let name = host.strip_prefix('*').unwrap_or(host);
    let name = match name.strip_prefix('.') {
        Some(name) => name,
        None if name.len() < host.len() => return None,
        None => name,
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    // A pattern, a part of an address, or a URL.
    let is_name = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    if !name.chars().all(is_name) || name.split('.').any(str::is_empty) {
        return None;
    }
    match Host::parse(name).ok()? {
        Host::Domain(name) => Some(Exempt::Domain(name, port)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_understood_to_the_last_character_or_refused() {
        for (text, url) in [
            ("proxy:8080", "http://proxy:8080/"),
            (" http://proxy.example ", "http://proxy.example/"),
            ("https://proxy.example:8443/", "https://proxy.example:8443/"),
            (
                "http://CORP%5Cjohn:pw@proxy:8080",
                "http://CORP%5Cjohn:pw@proxy:8080/",
            ),
            ("http://john:p%40ss1@proxy", "http://john:p%40ss1@proxy/"),
            ("john:p:w@proxy:80", "http://john:p%3Aw@proxy/"),
            ("http://[2001:db8::1]:3128", "http://[2001:db8::1]:3128/"),
            ("socks5://proxy:1080", "socks5://proxy:1080"),
        ] {
            assert_eq!(read_proxy("proxy", text).expect(text).as_str(), url);
        }
        let name = "the environment variable HTTPS_PROXY";
        for (text, says) in [
            ("http://CORP\\john:pw@proxy:8080", "%5C"),
            ("CORP\\john:pw@proxy:8080", "%5C"),
            ("http://john:p@ss1@proxy", "%40"),
            ("http://john:p/w1@proxy", "%2F"),
            ("http://john:p#w1@proxy", "%23"),
            ("http://john:p?w1@proxy", "%3F"),
            ("http://john:p\nw1@proxy", "%0A"),
            ("http://proxy/proxy.pac", "PAC"),
            ("ftp://proxy", "http://host:port"),
            ("\"http://proxy:3128\"", "quotation marks"),
            ("http://proxy:99999", "http://host:port"),
            ("http://proxy:3128?x", "http://host:port"),
            ("http://", "http://host:port"),
            ("http://[fe80::1%25eth0]:3128", "no zone"),
            ("[fe80::1%eth0]:3128", "no zone"),
            ("http://john:w1@[fe80::1%2]", "no zone"),
        ] {
            let error = read_proxy(name, text).expect_err(text);
            assert_eq!(error.code(), Code::Config);
            assert!(error.message().starts_with(name), "{error}");
            assert!(error.hint().contains(says), "{text}: {error}");
            for secret in ["ss1", "w1"] {
                assert!(!error.to_string().contains(secret), "{error}");
            }
        }
    }

    #[test]
    fn exemptions_in_every_form() {
        for (entries, exempt, not) in [
            ("*", &["https://x/", "http://10.1.2.3/"][..], &[][..]),
            (
                "corp.local",
                &[
                    "https://corp.local/",
                    "https://a.b.CORP.local./",
                    "https://corp.local:81/",
                ],
                &["https://xcorp.local/", "https://corp.local.x/"],
            ),
            (
                ".Corp.Local",
                &["https://a.corp.local/", "https://corp.local/"],
                &["https://xcorp.local/"],
            ),
            (
                "*.corp.local",
                &["https://a.corp.local/", "https://a.b.corp.local/"],
                &["https://xcorp.local/"],
            ),
            ("corp.local.", &["https://corp.local/"], &["https://local/"]),
            (
                "p21.corp.local:3443",
                &["https://p21.corp.local:3443/"],
                &["https://p21.corp.local/"],
            ),
            (
                "p21:443",
                &["https://p21/"],
                &["http://p21/", "https://p21:444/"],
            ),
            (
                "10.1.2.3",
                &["https://10.1.2.3/", "https://[::ffff:10.1.2.3]/"],
                &["https://10.1.2.4/", "https://x.10.1.2.example/"],
            ),
            (
                "10.1.2.3:81",
                &["http://10.1.2.3:81/"],
                &["http://10.1.2.3/"],
            ),
            (
                "10.0.0.0/8;192.168.7.9/16",
                &["https://10.255.1.1/", "https://192.168.1.1/"],
                &["https://11.0.0.1/", "https://[::a00:1]/"],
            ),
            (
                "0.0.0.0/0",
                &["https://1.2.3.4/"],
                &["https://[::1]/", "https://x/"],
            ),
            (
                "2001:DB8::1",
                &["https://[2001:db8::1]/"],
                &["https://[2001:db8::2]/"],
            ),
            (
                "[2001:db8::1]:8443",
                &["https://[2001:db8::1]:8443/"],
                &["https://[2001:db8::1]/"],
            ),
            (
                "fd00::/8 [::1]",
                &["https://[fd12::1]/", "https://[::1]:1/"],
                &["https://[fe12::1]/"],
            ),
            (
                "bücher.example",
                &["https://xn--bcher-kva.example/"],
                &["https://x/"],
            ),
        ] {
            let (rules, unknown) = NoProxy::read(entries);
            assert!(unknown.is_empty(), "{entries}: {unknown:?}");
            for (urls, is) in [(exempt, true), (not, false)] {
                for url in urls {
                    let url = Url::parse(url).expect(url);
                    assert_eq!(rules.exempts(&url), is, "{entries}: {url}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_exemption_is_named() {
        for text in [
            "https://p21.corp.local",
            "p21.corp.local/api",
            "10.1.*",
            "192.168.",
            "p*.corp.local",
            "*corp.local",
            "10.0.0.0/33",
            "fd00::/129",
            "10.0.0.0/8:80",
            "p21:port",
            "p21:70000",
            "a..b",
            "..",
            "<local>",
            "\"p21\"",
            "[::1",
            "fe80::1%eth0",
        ] {
            let (rules, unknown) = NoProxy::read(&format!("a.example,{text}"));
            assert_eq!(unknown, [text]);
            assert_eq!(rules, NoProxy::read("a.example").0);
        }
        let none = (NoProxy::default(), Vec::new());
        assert_eq!(NoProxy::read(" ,; "), none);
    }
}
