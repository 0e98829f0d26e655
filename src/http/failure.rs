//! From the HTTP stack's errors to ours: what failed, where, and what to do about it.
//!
//! The stack's own texts never get through, only those of the innermost cause: the outer ones quote the URL, whose query
//! may be a password.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use url::Url;

use super::probe::Answer;
use super::proxy::{ProxyRoute, host_and_port, place};
use super::tls_failure;
use crate::error::{Code, Error};

/// What was being done when it failed.
pub(super) struct RequestContext<'a> {
    pub(super) url: &'a Url,
    pub(super) route: Option<&'a ProxyRoute>,
    pub(super) connect_timeout: Duration,
    pub(super) limit: Duration,
}

/// A failure, as far as it is understood without asking the proxy.
pub(super) enum Failure {
    /// Understood.
    Known(Error),
    /// The proxy wants a user and password for the tunnel.
    TunnelUser,
    /// The proxy refused the tunnel for some other reason.
    TunnelRefused,
}

impl RequestContext<'_> {
    /// Sorts a failure of the HTTP stack.
    pub(super) fn failure(&self, error: &(dyn StdError + 'static)) -> Failure {
        let chain = Chain::of(error);
        let tunnel = chain.tunnel();
        // What happens before a tunnel stands, or with http at all, happens between us and the proxy.
        let near = self
            .route
            .filter(|_| tunnel.is_some() || self.url.scheme() == "http");
        if let Some(tls) = chain.find::<rustls::Error>() {
            return Failure::Known(tls_failure::explain(tls, &self.place(near)));
        }
        if chain.reqwest().is_some_and(reqwest::Error::is_dns) {
            return Failure::Known(self.dns());
        }
        match tunnel {
            Some(Tunnel::UserNeeded) => return Failure::TunnelUser,
            Some(Tunnel::Refused) => return Failure::TunnelRefused,
            Some(Tunnel::Broken | Tunnel::NoProxy) | None => {}
        }
        let connecting = chain.reqwest().is_some_and(reqwest::Error::is_connect);
        if chain.reqwest().is_some_and(reqwest::Error::is_timeout) {
            return Failure::Known(if connecting {
                self.no_connection(near, None)
            } else {
                self.timeout()
            });
        }
        let cause = chain.innermost();
        let broken_off = chain.find::<io::Error>().is_some_and(|io| {
            matches!(
                io.kind(),
                io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe
            )
        });
        Failure::Known(if connecting && broken_off && near.is_none() {
            self.handshake_cut(&cause)
        } else if connecting {
            self.no_connection(near, Some(&cause))
        } else {
            self.broken(&chain, &cause)
        })
    }

    /// The overall time ran out.
    pub(super) fn timeout(&self) -> Error {
        Error::new(
            Code::Timeout,
            format!(
                "no complete reply from {}{} within {} ms",
                place(self.url),
                self.through(),
                self.limit.as_millis()
            ),
        )
        .with_hint("Raise timeout_ms if the server is merely slow; otherwise check that the P21 middleware (IIS) is well.")
    }

    /// The reply is larger than allowed.
    pub(super) fn too_large(&self, max_body: usize) -> Error {
        Error::new(
            Code::TooLarge,
            format!(
                "the reply of {} is larger than {max_body} bytes",
                place(self.url)
            ),
        )
        .with_hint("A token reply has a few kilobytes: check base_url; if the reply is right, raise max_response_bytes.")
    }

    /// The proxy refused; `answer` is what it says when asked again.
    pub(super) fn proxy_refusal(&self, route: &ProxyRoute, answer: &Answer) -> Error {
        let target = place(self.url);
        let proxy = in_words(route);
        let known_user = route.basic.is_some();
        let error = |text: String| Error::new(Code::Proxy, text).with_http_status(answer.status);
        match answer.status {
            407 if answer.schemes.is_empty() || answer.offers("basic") => {
                if known_user {
                    error(format!("{proxy} refuses the user and password given for it (HTTP 407)"))
                        .with_hint(format!("Check them in {}; special characters must be percent-encoded.", route.source))
                } else {
                    let (url, scheme) = (place(&route.url), route.url.scheme());
                    error(format!("{proxy} asks for a user and password (HTTP 407)"))
                        .with_hint(format!("Set proxy={scheme}://user:password@{url} (special characters percent-encoded)."))
                }
            }
            407 => error(format!(
                "{proxy} asks for {} authentication (HTTP 407), which is not supported",
                scheme_names(&answer.schemes)
            ))
            .with_hint(format!(
                "Ask for an entry in the proxy's allow list that lets {target} through without authentication, or run a local proxy that logs in for you (px, cntlm) and set proxy=http://127.0.0.1:3128."
            )),
            502..=504 => error(format!(
                "{proxy} cannot reach {target} (HTTP {})",
                answer.status
            ))
            .with_hint(format!(
                "Check host and port in base_url. If the server is inside your network, set no_proxy={} or proxy=direct.",
                host_and_port(self.url).0
            ))
            .with_retryable(true),
            status => {
                let status = if status == 0 || status == 200 {
                    String::new()
                } else {
                    format!(" (HTTP {status})")
                };
                error(format!("{proxy} refuses to connect to {target}{status}"))
                    .with_hint(format!(
                        "Ask for an entry in the proxy's allow list for {target} (many allow port 443 alone). If the server is inside your network, set no_proxy={} or proxy=direct.",
                        host_and_port(self.url).0
                    ))
            }
        }
    }

    /// A name cannot be resolved: the proxy's where there is one, else the server's.
    pub(super) fn dns(&self) -> Error {
        // With a proxy it is the proxy's name that this machine looks up.
        if let Some(route) = self.route {
            return Error::new(
                Code::Dns,
                format!("the host name of {} cannot be resolved", in_words(route)),
            )
            .with_hint(format!(
                "Check the proxy in {}, or set proxy=direct.",
                route.source
            ));
        }
        let (host, port) = host_and_port(self.url);
        Error::new(
            Code::Dns,
            format!("the host name {host} (port {port}) cannot be resolved"),
        )
        .with_hint(format!("Check the host in base_url; a name inside a company network may need its VPN or DNS. resolve={host}:{port}:ADDRESS names an address by hand."))
    }

    /// Connecting failed with `cause`, or took too long.
    pub(super) fn no_connection(&self, near: Option<&ProxyRoute>, cause: Option<&str>) -> Error {
        let what = cause.map_or_else(
            || format!("no answer within {} ms", self.connect_timeout.as_millis()),
            ToOwned::to_owned,
        );
        let message = format!("no connection to {}: {what}", self.place(near));
        if let Some(route) = near {
            return Error::new(Code::Proxy, message)
                .with_hint(format!("Check the proxy in {}, or set proxy=direct (or no_proxy={}) if the server is reached without one.", route.source, host_and_port(self.url).0))
                .with_retryable(true);
        }
        Error::new(Code::Connect, message).with_hint(match cause {
            Some(_) => "Check host and port in base_url and that the P21 middleware (IIS) runs there; a firewall may refuse too.",
            None => "Check host and port in base_url; a firewall may swallow the packets, or a proxy may be needed (option proxy).",
        })
    }

    /// The other end broke off in the middle of the TLS handshake.
    pub(super) fn handshake_cut(&self, cause: &str) -> Error {
        Error::new(
            Code::Io,
            format!(
                "{}{} broke the connection during the TLS handshake: {cause}",
                place(self.url),
                self.through()
            ),
        )
        .with_hint(format!(
            "{} A firewall that inspects TLS, or plain http on that port, looks the same.",
            tls_failure::OLD_TLS
        ))
    }

    fn broken(&self, chain: &Chain<'_>, cause: &str) -> Error {
        let place = place(self.url);
        let hyper = chain.find::<hyper::Error>();
        if hyper.is_some_and(hyper::Error::is_parse) {
            let hint = if self.url.scheme() == "http" {
                "The port may speak TLS: try https in base_url, and check the port."
            } else {
                "Check host and port in base_url: something else answers there."
            };
            return Error::new(
                Code::Io,
                format!("{place} answers, but not in HTTP: {cause}"),
            )
            .with_hint(hint)
            .with_retryable(false);
        }
        let hint = if self.url.scheme() == "http"
            && hyper.is_some_and(hyper::Error::is_incomplete_message)
        {
            "If the port speaks TLS, use https in base_url; otherwise the server or something in between broke off."
        } else {
            "The server or something in between (load balancer, firewall) broke off; see the server's log if it happens again."
        };
        Error::new(
            Code::Io,
            format!("the connection to {place}{} broke: {cause}", self.through()),
        )
        .with_hint(hint)
    }

    /// Where it failed, in words; `near`: on the way to this proxy.
    pub(super) fn place(&self, near: Option<&ProxyRoute>) -> String {
        match near {
            Some(route) => in_words(route),
            None => format!("{}{}", place(self.url), self.through()),
        }
    }

    fn through(&self) -> String {
        self.route
            .map(|route| format!(" through {}", in_words(route)))
            .unwrap_or_default()
    }
}

fn in_words(route: &ProxyRoute) -> String {
    format!("the proxy {} ({})", route.shown(), route.source)
}

fn scheme_names(schemes: &[String]) -> String {
    let names: Vec<_> = schemes
        .iter()
        .map(|scheme| match scheme.as_str() {
            "ntlm" => "NTLM",
            "negotiate" => "Negotiate",
            "kerberos" => "Kerberos",
            "digest" => "Digest",
            _ => "another",
        })
        .collect();
    names.join(" or ")
}

/// How setting up a tunnel failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tunnel {
    UserNeeded,
    Refused,
    /// The connection to the proxy failed or broke.
    NoProxy,
    Broken,
}

/// An error and its causes, outermost first.
struct Chain<'a>(Vec<&'a (dyn StdError + 'static)>);

impl<'a> Chain<'a> {
    fn of(error: &'a (dyn StdError + 'static)) -> Chain<'a> {
        Chain(std::iter::successors(Some(error), |error| inner(*error)).collect())
    }

    fn find<T: StdError + 'static>(&self) -> Option<&'a T> {
        self.0.iter().rev().find_map(|error| error.downcast_ref())
    }

    fn reqwest(&self) -> Option<&'a reqwest::Error> {
        self.0.iter().find_map(|error| error.downcast_ref())
    }

    /// The type of this error is private, so its text is all there is; the tests in `tests/http.rs` notice a change.
    fn tunnel(&self) -> Option<Tunnel> {
        self.0.iter().find_map(|error| {
            let text = error.to_string();
            Some(match text.strip_prefix("tunnel error: ")? {
                "proxy authorization required" => Tunnel::UserNeeded,
                "unsuccessful" | "proxy response headers too long" => Tunnel::Refused,
                "failed to create underlying connection" => Tunnel::NoProxy,
                _ => Tunnel::Broken,
            })
        })
    }

    fn innermost(&self) -> String {
        match self.0.last() {
            Some(error) if !error.is::<reqwest::Error>() => error.to_string(),
            _ => "unknown cause".to_owned(),
        }
    }
}

/// The text of the innermost cause: the only one that quotes no URL.
pub(super) fn innermost(error: &(dyn StdError + 'static)) -> String {
    Chain::of(error).innermost()
}

/// The next cause. An `io::Error` answers for its content's cause but not for its content.
fn inner<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>() {
        Some(io) => io.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
        None => error.source(),
    }
}
