//! What failed, where, and what to do about it. Code, message and hint follow the phase in which a try failed.
//!
//! The HTTP stack's own texts never get through, only those of the innermost cause: the outer ones quote the URL, whose
//! query may be a password.
//!
//! `P21_E_TIMEOUT` and `P21_E_IO` mean that the request was written, so the server may have opened a session for it;
//! every other code means that it was not. `retry` relies on that.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use url::Url;

use super::chain::{Chain, Tunnel, in_short};
use super::lookup::Unresolved;
use super::progress::{NotConnected, Reached};
use super::proxy::{ProxyRoute, host_and_port, place};
use super::tls_failure;
use super::tunnel::Answer;
use crate::error::{Code, Error};

/// Where on its way a try failed, in the order of time, once an address is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Connect,
    /// A proxy opens a tunnel.
    Tunnel,
    Tls,
    /// The request, once there is a connection, and its reply.
    Reply,
}

/// What ended a phase.
#[derive(Debug)]
pub(super) enum Fault<'a> {
    /// Its time ran out; how much it had.
    TimedOut(Duration),
    /// Something on the way or at its other end, in the system's words.
    Broken(String),
    /// This process is at a limit, in the system's words.
    Exhausted(String),
    Tls(&'a rustls::Error),
}

impl<'a> Fault<'a> {
    /// `limit` is the time that the phase had.
    pub(super) fn of(error: &'a io::Error, limit: Duration) -> Fault<'a> {
        if error.kind() == io::ErrorKind::TimedOut {
            return Fault::TimedOut(limit);
        }
        let chain = Chain::of(error);
        match chain.find() {
            Some(tls) => Fault::Tls(tls),
            None => chain.exhausted().map_or_else(
                || Fault::Broken(in_short(&error.to_string())),
                Fault::Exhausted,
            ),
        }
    }
}

/// A failure of the HTTP stack, as far as it is understood without asking the proxy.
pub(super) enum Failure {
    Known(Error),
    /// The proxy wants a user and password for the tunnel.
    TunnelUser,
    /// The proxy refused the tunnel for some other reason.
    TunnelRefused,
    /// The proxy did not answer in time: either no connection, or no tunnel.
    NoTunnel,
}

/// What a request is about to reach, and through which proxy.
#[derive(Clone)]
pub(super) struct RequestContext {
    pub(super) https: bool,
    /// Without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// `host:port`.
    pub(super) place: String,
    pub(super) route: Option<ProxyRoute>,
}

impl RequestContext {
    pub(super) fn new(url: &Url, route: Option<ProxyRoute>) -> RequestContext {
        let (host, port) = host_and_port(url);
        RequestContext {
            https: url.scheme() == "https",
            host,
            port,
            place: place(url),
            route,
        }
    }

    /// Host and port that this machine connects to.
    pub(super) fn target(&self) -> (String, u16) {
        self.route
            .as_ref()
            .map_or_else(|| (self.host.clone(), self.port), ProxyRoute::address)
    }

    /// Sorts a failure of the HTTP stack, which had so much time to connect and in all.
    pub(super) fn failure(
        &self,
        error: &(dyn StdError + 'static),
        connect: Duration,
        total: Duration,
    ) -> Failure {
        let chain = Chain::of(error);
        if let Some(why) = chain.exhausted() {
            let fault = Fault::Exhausted(why);
            return Failure::Known(self.failed(Phase::Connect, true, &fault));
        }
        let Some(unconnected) = chain.find::<NotConnected>() else {
            return Failure::Known(self.after_connecting(&chain, total));
        };
        let (phase, near) = self.phase(unconnected.reached);
        if let Some(tls) = chain.find::<rustls::Error>() {
            return Failure::Known(self.failed(phase, near, &Fault::Tls(tls)));
        }
        let fault = if unconnected.timed_out() {
            if phase == Phase::Connect && self.tunnelled() {
                return Failure::NoTunnel;
            }
            Fault::TimedOut(connect)
        } else {
            Fault::Broken(chain.innermost())
        };
        let phase = match chain.tunnel() {
            Some(Tunnel::UserNeeded) => return Failure::TunnelUser,
            Some(Tunnel::Refused) => return Failure::TunnelRefused,
            Some(Tunnel::Broken) => Phase::Tunnel,
            Some(Tunnel::NoProxy) | None => phase,
        };
        Failure::Known(self.failed(phase, near, &fault))
    }

    /// The request was written, or was about to be.
    fn after_connecting(&self, chain: &Chain<'_>, total: Duration) -> Error {
        if let Some(tls) = chain.find::<rustls::Error>() {
            return self.failed(Phase::Reply, false, &Fault::Tls(tls));
        }
        if chain.reqwest().is_some_and(reqwest::Error::is_timeout) {
            return self.no_reply(&Fault::TimedOut(total), false);
        }
        if chain
            .find::<hyper::Error>()
            .is_some_and(hyper::Error::is_parse)
        {
            return self.not_http(&chain.innermost());
        }
        self.failed(Phase::Reply, false, &Fault::Broken(chain.innermost()))
    }

    /// Where the HTTP stack stopped, and whether that was on the way to the proxy.
    fn phase(&self, reached: Reached) -> (Phase, bool) {
        let secured = self
            .route
            .as_ref()
            .is_some_and(|route| route.url.scheme() == "https");
        match (reached.handshakes, secured) {
            (0, _) => (Phase::Connect, true),
            (1, true) if self.https && reached.certificates > 0 => (Phase::Tunnel, true),
            (1, true) => (Phase::Tls, true),
            _ => (Phase::Tls, false),
        }
    }

    /// Whether any part of the way is by TLS.
    pub(super) fn speaks_tls(&self) -> bool {
        let proxy = self.route.as_ref();
        self.https || proxy.is_some_and(|route| route.url.scheme() == "https")
    }

    pub(super) fn tunnelled(&self) -> bool {
        self.https && self.route.is_some()
    }

    /// The error for `fault` in `phase`; `near`: on the way to the proxy.
    pub(super) fn failed(&self, phase: Phase, near: bool, fault: &Fault<'_>) -> Error {
        if let Fault::Tls(error) = fault {
            return tls_failure::explain(error, &self.subject(near));
        }
        if let Fault::Exhausted(why) = fault {
            return Error::exhausted(&format!("no connection to {}", self.subject(near)), why);
        }
        match phase {
            Phase::Connect => self.unconnected(fault),
            Phase::Tunnel => self.no_tunnel(fault),
            Phase::Tls => self.no_handshake(near, fault),
            Phase::Reply => self.no_reply(fault, false),
        }
    }

    /// A name cannot be resolved: the proxy's where there is one, else the server's.
    pub(super) fn unresolved(&self, why: &Unresolved) -> Error {
        let (host, port) = (&self.host, self.port);
        let (why, silent) = match why {
            Unresolved::TimedOut => ("the name server does not respond", true),
            Unresolved::Failed(cause) => (cause.as_str(), false),
            Unresolved::Exhausted(cause) => {
                return Error::exhausted("a host name cannot be resolved", cause);
            }
        };
        if let Some(route) = &self.route {
            let hint = format!("Check the proxy in {}, or set proxy=direct.", route.source);
            let message = format!(
                "the host name of {} cannot be resolved: {why}",
                in_words(route)
            );
            return Error::new(Code::Dns, message).with_hint(hint);
        }
        let hint = if silent {
            "Check this machine's DNS settings, and its VPN for a name inside a company network."
        } else {
            "Check the host in base_url; a name inside a company network may need its VPN or DNS."
        };
        Error::new(
            Code::Dns,
            format!("the host name {host} (port {port}) cannot be resolved: {why}"),
        )
        .with_hint(format!(
            "{hint} resolve={host}:{port}:ADDRESS sets the address by hand."
        ))
    }

    /// No connection to the server, or to the proxy where there is one.
    fn unconnected(&self, fault: &Fault<'_>) -> Error {
        let (cause, silent) = match fault {
            Fault::Broken(cause) | Fault::Exhausted(cause) => (cause.clone(), false),
            Fault::TimedOut(limit) => {
                (format!("no response within {} ms", limit.as_millis()), true)
            }
            Fault::Tls(error) => (error.to_string(), false),
        };
        let message = format!("no connection to {}: {cause}", self.subject(true));
        if let Some(route) = &self.route {
            return Error::new(Code::Proxy, message)
                .with_hint(format!("Check the proxy in {}, or set proxy=direct (or no_proxy={}) if the server can be reached without one.", route.source, self.host))
                .with_retryable(true);
        }
        Error::new(Code::Connect, message).with_hint(if silent {
            "Check host and port in base_url; a firewall may swallow the packets, the VPN may be down, or a proxy may be needed (option proxy)."
        } else {
            "Check host and port in base_url and that the P21 middleware (IIS) runs there; a firewall may refuse too."
        })
    }

    /// The proxy was reached but says nothing useful about a tunnel.
    fn no_tunnel(&self, fault: &Fault<'_>) -> Error {
        let (proxy, place) = (self.subject(true), &self.place);
        let (message, hint) = match fault {
            Fault::TimedOut(limit) => (
                format!(
                    "{proxy} does not open a tunnel to {place}: no response within {} ms",
                    limit.as_millis()
                ),
                "The proxy may be waiting for a server that it cannot reach: check host and port in base_url.",
            ),
            Fault::Broken(cause) => (
                format!(
                    "{proxy} closed the connection when asked for a tunnel to {place}: {cause}"
                ),
                "Check that an http proxy listens there.",
            ),
            Fault::Tls(error) => (error.to_string(), ""),
            Fault::Exhausted(cause) => (cause.clone(), ""),
        };
        Error::new(Code::Proxy, message)
            .with_hint(format!(
                "{hint} If the server is inside your network, set no_proxy={} or proxy=direct.",
                self.host
            ))
            .with_retryable(true)
    }

    /// Connected, but the other end does not finish the TLS handshake, or ends it without a reason.
    pub(super) fn no_handshake(&self, near: bool, fault: &Fault<'_>) -> Error {
        let subject = self.subject(near);
        let (message, hint) = match fault {
            Fault::TimedOut(limit) => (
                format!(
                    "{subject} accepts connections but does not complete a TLS handshake: no response within {} ms",
                    limit.as_millis()
                ),
                "The port may not speak TLS, a firewall or load balancer may respond for a server that is down, or the network loses large packets (common in VPNs: lower the MTU of this machine's interface).".to_owned(),
            ),
            Fault::Broken(cause) | Fault::Exhausted(cause) => (
                format!("{subject} broke the connection during the TLS handshake: {cause}"),
                format!(
                    "{} A firewall that inspects TLS, or plain http on that port, looks the same.",
                    tls_failure::OLD_TLS
                ),
            ),
            Fault::Tls(error) => return tls_failure::explain(error, &subject),
        };
        Error::new(Code::Tls, message)
            .with_hint(hint)
            .with_retryable(true)
    }

    /// The request was written. `begun`: a part of the reply has come.
    pub(super) fn no_reply(&self, fault: &Fault<'_>, begun: bool) -> Error {
        let Fault::TimedOut(limit) = fault else {
            return self.cut(fault);
        };
        let what = if begun {
            "no complete response"
        } else {
            "no response to the request"
        };
        Error::new(
            Code::Timeout,
            format!(
                "{what} from {} within {} ms",
                self.subject(false),
                limit.as_millis()
            ),
        )
        .with_hint("The request was sent, so name, network and TLS are right: raise timeout_ms if the server is merely slow; otherwise check that the P21 middleware (IIS) works.")
    }

    fn cut(&self, fault: &Fault<'_>) -> Error {
        let cause = match fault {
            Fault::Broken(cause) => cause.as_str(),
            _ => "unknown cause",
        };
        let hint = if self.https {
            "The server or something in between (load balancer, firewall) closed the connection; see the server's log if it happens again."
        } else {
            "If the port speaks TLS, use https in base_url; otherwise the server or something in between closed the connection."
        };
        let message = format!("the connection to {} broke: {cause}", self.subject(false));
        Error::new(Code::Io, message).with_hint(hint)
    }

    /// Reading the body failed.
    pub(super) fn reply_lost(&self, error: &(dyn StdError + 'static), total: Duration) -> Error {
        let chain = Chain::of(error);
        if chain.reqwest().is_some_and(reqwest::Error::is_timeout) {
            return self.no_reply(&Fault::TimedOut(total), true);
        }
        self.after_connecting(&chain, total)
    }

    /// What came in the place of a reply is another protocol.
    pub(super) fn not_http(&self, why: &str) -> Error {
        let hint = if self.https {
            "Check host and port in base_url: something else responds there."
        } else {
            "The port may speak TLS: try https in base_url, and check the port."
        };
        Error::new(
            Code::Io,
            format!("{} responds, but not in HTTP: {why}", self.subject(false)),
        )
        .with_hint(hint)
        .with_retryable(false)
    }

    /// The reply is larger than allowed.
    pub(super) fn too_large(&self, max_body: usize) -> Error {
        Error::new(
            Code::TooLarge,
            format!(
                "the response from {} is larger than {max_body} bytes",
                self.place
            ),
        )
        .with_hint("A token response has a few kilobytes: check base_url; if the response is right, raise max_response_bytes.")
    }

    /// The proxy refused, and said how.
    pub(super) fn refusal(&self, route: &ProxyRoute, answer: &Answer) -> Error {
        let target = &self.place;
        let proxy = in_words(route);
        let error = |text: String| Error::new(Code::Proxy, text).with_http_status(answer.status);
        match answer.status {
            407 if answer.schemes.is_empty() || answer.offers("basic") => {
                if route.basic.is_some() {
                    error(format!("{proxy} rejects its user and password (HTTP 407)"))
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
                self.host
            ))
            .with_retryable(true),
            0 => error(format!("{proxy} refuses to connect to {target}")).with_hint(format!(
                "Ask the proxy's administrator why. If the server is inside your network, set no_proxy={} or proxy=direct.",
                self.host
            )),
            status => error(format!("{proxy} refuses to connect to {target} (HTTP {status})"))
                .with_hint(format!(
                    "Ask for an entry in the proxy's allow list for {target} (many allow only port 443). If the server is inside your network, set no_proxy={} or proxy=direct.",
                    self.host
                )),
        }
    }

    /// What failed, in words; `near`: the proxy, where there is one.
    pub(super) fn subject(&self, near: bool) -> String {
        match &self.route {
            Some(route) if near => in_words(route),
            Some(route) => format!("{} through {}", self.place, in_words(route)),
            None => self.place.clone(),
        }
    }
}

/// What was taken for a proxy speaks another protocol.
pub(super) fn not_a_proxy(route: &ProxyRoute) -> Error {
    Error::new(
        Code::Proxy,
        format!("{} answers, but not in HTTP", in_words(route)),
    )
    .with_hint(format!(
        "Check host, port and scheme of the proxy in {}: an http proxy must listen there.",
        route.source
    ))
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

/// Why the HTTP stack's own client could not be made.
pub(super) fn not_made(error: &(dyn StdError + 'static)) -> Error {
    let chain = Chain::of(error);
    let (what, why) = ("the HTTP client cannot be made", chain.innermost());
    // It asks the system for a thread and two descriptors, and for nothing else.
    if chain.find::<io::Error>().is_some() {
        Error::exhausted(what, &why)
    } else {
        Error::new(Code::Internal, format!("{what}: {why}"))
    }
}
