//! Where a P21 server lives: the base URL in one normal form, no matter what was pasted.

use url::{Host, Url};

use crate::error::{Code, Error, Result};
use crate::secret::{is_invisible, is_quotation_mark};

/// A normalized base URL: http or https, lower-case host, no default port, query, fragment, trailing slash or trailing
/// `/api`. Another path prefix, such as `/P21APIService`, is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    url: Url,
    allow_http: bool,
}

impl BaseUrl {
    /// Normalizes what a user configured. Without a scheme, https is meant.
    ///
    /// # Errors
    ///
    /// `Config` with a hint: not a URL, a scheme other than http and https, a user or password in it, a path of the web
    /// client such as `/Prophet21`, or plain http to another machine without `allow_http`.
    pub fn parse(text: &str, allow_http: bool) -> Result<BaseUrl> {
        let text = text.trim();
        check_characters(text)?;
        let has_scheme = text.split_once("://").is_some_and(|(scheme, _)| {
            scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        });
        let full = if has_scheme {
            text.to_owned()
        } else {
            format!("https://{text}")
        };
        // A URL parser makes a host out of anything that stands behind such a beginning.
        let authority = full.split_once("://").map_or("", |(_, rest)| rest);
        let cut = ["http:", "https:"]
            .iter()
            .any(|scheme| starts_ignoring_case(authority, scheme));
        if cut || authority.starts_with(['/', '\\', '?', '#']) {
            return Err(fault("names no host", EXAMPLE));
        }
        if has_zone(&full) {
            return Err(fault(ZONE, NO_ZONE));
        }
        let mut url = Url::parse(&full)
            .map_err(|error| fault(&format!("is not a URL ({error})"), EXAMPLE))?;
        // A host's wide or accented characters may become such ones.
        check_characters(url.as_str())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(fault(
                &format!("has the scheme '{}'", url.scheme()),
                "Only https (and http to this machine) can be used.",
            ));
        }
        if !url.username().is_empty() || url.password().is_some() || authority_has_at(&full) {
            return Err(fault(
                "contains a user or password",
                "Set username and password as options of their own.",
            ));
        }
        // The same host: the dot only keeps a resolver from trying search domains.
        if let Some(host) = url.host_str().filter(|host| host.ends_with('.')) {
            let host = host.trim_end_matches('.').to_owned();
            if host.is_empty() || url.set_host(Some(&host)).is_err() {
                return Err(fault("names no host", EXAMPLE));
            }
        }
        url.set_query(None);
        url.set_fragment(None);
        let mut path = url.path().trim_end_matches('/').to_owned();
        while path.to_ascii_lowercase().ends_with("/api") {
            path.truncate(path.len() - 4);
            path.truncate(path.trim_end_matches('/').len());
        }
        if let Some(segment) = path
            .rsplit('/')
            .next()
            .filter(|s| s.eq_ignore_ascii_case("prophet21") || s.eq_ignore_ascii_case("login"))
        {
            return Err(fault(
                &format!("ends in /{segment}, which is the web client"),
                "The APIs are next to the web client: remove that part of the path, or ask your P21 administrator for the middleware (SOA) URL.",
            ));
        }
        url.set_path(&path);
        let base = BaseUrl { url, allow_http };
        if base.url.scheme() == "http" && !allow_http && !base.is_loopback() {
            return Err(fault(
                "is plain http to another machine, so credentials would cross the network unprotected",
                "Use https, or set allow_http=1 if you alone control the network.",
            ));
        }
        Ok(base)
    }

    /// The normalized text, without a trailing slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// The URL of a path under it. `path` begins with a slash and may hold a query.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` when the result is no URL or leaves this server.
    pub fn join(&self, path: &str) -> Result<Url> {
        let fault = || {
            Error::new(
                Code::InvalidArgument,
                "the path does not make a URL of this server",
            )
        };
        let url = Url::parse(&format!("{}{path}", self.as_str())).map_err(|_| fault())?;
        if path.starts_with('/') && url.origin() == self.url.origin() {
            Ok(url)
        } else {
            Err(fault())
        }
    }

    /// The parsed URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Whether the token may go to `url` as far as its encryption goes: over https, or over plain http where this is plain http
    /// too and `url` is on this machine or `allow_http` is set.
    pub(crate) fn may_send_to(&self, url: &Url) -> bool {
        let may = self.url.scheme() == "http" && (self.allow_http || is_loopback(url));
        url.scheme() == "https" || may
    }

    /// Whether it names this very machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.url)
    }
}

/// Whether a URL names this very machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.to_canonical().is_loopback(),
        None => false,
    }
}

impl std::fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

pub(super) const ZONE: &str = "names an IPv6 address with a zone, which is not supported";
pub(super) const NO_ZONE: &str =
    "Use a host name, or an address that needs no zone (not one of fe80::).";

/// Whether the host of a URL is an IPv6 address with a zone, such as `[fe80::1%25eth0]`.
pub(super) fn has_zone(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = host.split(']').next().unwrap_or_default();
    host.starts_with('[') && host.contains('%')
}

const EXAMPLE: &str = "Write it like https://p21.example.com or https://p21.example.com:3443.";

fn fault(what: &str, hint: &str) -> Error {
    Error::new(Code::Config, format!("base_url: {what}")).with_hint(hint)
}

/// Refuses what no URL holds and what shows that the value was damaged on its way.
fn check_characters(text: &str) -> Result<()> {
    if text.is_empty() {
        return Err(fault("is empty", EXAMPLE));
    }
    if text.contains(is_quotation_mark) {
        return Err(fault(
            "contains quotation marks",
            "Remove them: docker --env-file and some services treat them as a part of the value.",
        ));
    }
    if text.contains("${") || text.contains("{{") {
        return Err(fault(
            "contains a placeholder that was not replaced",
            "Write the address itself: neither this library nor docker --env-file replaces ${NAME} with a value.",
        ));
    }
    if let Some(c) = text.chars().find(|c| is_invisible(*c)) {
        return Err(fault(
            &format!("contains an invisible character (U+{:04X})", u32::from(c)),
            "Type it again: such characters come along when text is copied from a document or a chat.",
        ));
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(fault("contains blanks or control characters", EXAMPLE));
    }
    Ok(())
}

fn starts_ignoring_case(text: &str, start: &str) -> bool {
    text.get(..start.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(start))
}

fn authority_has_at(full: &str) -> bool {
    let rest = full.split_once("://").map_or(full, |(_, rest)| rest);
    rest.split(['/', '?', '#', '\\'])
        .next()
        .is_some_and(|authority| authority.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_people_paste_becomes_one_form() {
        for (pasted, normal) in [
            ("https://P21.Example.com/", "https://p21.example.com"),
            ("p21.example.com", "https://p21.example.com"),
            ("p21.example.com:3443", "https://p21.example.com:3443"),
            ("localhost:8443", "https://localhost:8443"),
            ("https://p21.example.com:443", "https://p21.example.com"),
            ("https://p21.example.com/api", "https://p21.example.com"),
            ("https://p21.example.com/API/", "https://p21.example.com"),
            (
                "https://p21.example.com/P21APIService/api/",
                "https://p21.example.com/P21APIService",
            ),
            (
                "https://p21.example.com/P21APIService//",
                "https://p21.example.com/P21APIService",
            ),
            (
                "https://p21.example.com/?x=1#/login",
                "https://p21.example.com",
            ),
            ("  https://10.1.2.3:3443/  ", "https://10.1.2.3:3443"),
            ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"),
            ("http://localhost:8080/", "http://localhost:8080"),
            ("https://P21.test./x", "https://p21.test/x"),
            ("https://p21.test../", "https://p21.test"),
            ("p21.test.:8443", "https://p21.test:8443"),
            ("http://127.0.0.1", "http://127.0.0.1"),
            ("http://[::1]:80", "http://[::1]"),
        ] {
            assert_eq!(
                BaseUrl::parse(pasted, false).expect(pasted).as_str(),
                normal,
                "{pasted}"
            );
        }
    }

    #[test]
    fn what_cannot_work_is_refused_with_a_hint() {
        for (pasted, word) in [
            ("", "empty"),
            ("https://", "not a URL"),
            ("/api", "no host"),
            ("https:///api", "no host"),
            ("https://./", "no host"),
            ("https://[fe80::1%25eth0]:8443", "a zone"),
            ("[fe80::1%eth0]", "a zone"),
            ("https://\\p21.example.com", "no host"),
            ("https:/p21.example.com", "no host"),
            ("HTTPS:\\\\p21.example.com\\api", "no host"),
            ("?x", "no host"),
            ("/@p21://p21.example.com", "no host"),
            ("https://https://p21.example.com", "no host"),
            ("https://a b", "blanks"),
            ("https://p21.example\u{a0}.com", "blanks"),
            ("\"https://p21.example.com\"", "quotation marks"),
            ("'p21.example.com:3443'", "quotation marks"),
            ("\u{1fef}p21.example.com", "quotation marks"),
            ("p21.example.com\u{ff02}", "quotation marks"),
            ("“https://p21.example.com”", "quotation marks"),
            ("https://\"p21.example.com\"/api", "quotation marks"),
            ("https://${P21_HOST}", "placeholder"),
            ("${P21_URL}/api", "placeholder"),
            ("https://{{ host }}", "placeholder"),
            ("\u{feff}https://p21.example.com", "(U+FEFF)"),
            ("https://p21.example.com\u{200b}", "(U+200B)"),
            ("https://p21\u{ad}.example.com", "(U+00AD)"),
            ("ftp://p21.example.com", "scheme 'ftp'"),
            ("https://user:pw@p21.example.com", "user or password"),
            ("https://@p21.example.com", "user or password"),
            ("https://p21.example.com/Prophet21/#/login", "web client"),
            ("https://p21.example.com/prophet21", "web client"),
            ("http://p21.example.com", "plain http"),
        ] {
            let error = BaseUrl::parse(pasted, false).expect_err(pasted);
            assert_eq!(error.code(), Code::Config);
            assert!(error.message().contains(word), "{pasted}: {error}");
            assert!(!error.hint().is_empty(), "{pasted}");
            assert!(!error.to_string().contains("pw"), "{error}");
        }
        assert!(BaseUrl::parse("http://p21.example.com", true).is_ok());
    }

    #[test]
    fn paths_join_below_the_prefix() {
        let base = BaseUrl::parse("https://p21.example.com/P21APIService", false).expect("valid");
        assert_eq!(
            base.join("/api/security/token/v2").expect("valid").as_str(),
            "https://p21.example.com/P21APIService/api/security/token/v2"
        );
        assert!(base.join("@evil.example/").is_err());
        assert!(
            BaseUrl::parse("https://p21.example.com", false)
                .expect("valid")
                .join(".evil.example/")
                .is_err()
        );
    }

    proptest! {
        #[test]
        fn normalizing_never_panics_and_is_stable(text in "\\PC{0,60}", allow in any::<bool>()) {
            if let Ok(base) = BaseUrl::parse(&text, allow) {
                let again = BaseUrl::parse(base.as_str(), allow);
                prop_assert_eq!(again.as_ref().map(BaseUrl::as_str), Ok(base.as_str()));
            }
        }
    }
}
