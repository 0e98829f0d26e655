//! The way to the server below TLS: proxy, name, connection.

use std::net::{IpAddr, SocketAddr};

use crate::error::{Error, Result};
use crate::http::ProxyOrigin;
use crate::http::stages::{Addresses, Connected};

use super::report::Step;

/// More addresses are counted only.
const MAX_SHOWN: usize = 8;

pub(super) fn proxy(origin: &ProxyOrigin, usable: &Result<()>) -> Step {
    let step = match (usable, &origin.proxy) {
        (Err(error), _) => return Step::failed("proxy", error),
        (Ok(()), Some(proxy)) => Step::ok("proxy", format!("{proxy}, from {}", origin.source)),
        (Ok(()), None) if origin.source == "none" => Step::ok(
            "proxy",
            "none: neither an option nor the environment names one",
        ),
        (Ok(()), None) => Step::ok("proxy", format!("none, by {}", origin.source)),
    };
    if origin.ignored.is_empty() {
        return step;
    }
    step.also(format!("not understood in NO_PROXY: {}", origin.ignored.join(", ")))
        .advise("Write names (corp.local and all below it), host:port, addresses, networks such as 10.0.0.0/8, or * for all, with commas between them.")
        .worth_a_warning()
}

pub(super) fn dns(host: &str, found: &Result<Addresses>) -> Step {
    match found {
        Err(error) => Step::failed("dns", error),
        Ok(Addresses::Literal(address)) => {
            Step::ok("dns", format!("{}: needs no look-up", named(address.ip())))
        }
        Ok(Addresses::Override(all)) => {
            Step::ok("dns", format!("{host} is {}, by option resolve", list(all)))
        }
        Ok(Addresses::Resolved(all)) => Step::ok("dns", format!("{host} is {}", list(all))),
    }
}

pub(super) fn tcp(addresses: &[SocketAddr], by_proxy: bool, connected: &Result<Connected>) -> Step {
    match connected {
        Ok(connected) => {
            let took = connected.took.as_millis();
            let whom = if by_proxy { "the proxy at " } else { "" };
            let mut step = Step::ok(
                "tcp",
                format!("connected to {whom}{} in {took} ms", connected.address),
            );
            let is_v6_dead = connected.address.is_ipv4()
                && !connected.in_vain.is_empty()
                && connected.in_vain.iter().all(|(dead, _)| dead.is_ipv6());
            for (address, why) in &connected.in_vain {
                step = step
                    .also(format!("{address} did not answer: {why}"))
                    .worth_a_warning();
            }
            if connected.in_vain.is_empty() {
                step
            } else if is_v6_dead {
                step.advise("IPv6 does not reach the server from here: repair its route, or take the name's AAAA records out of DNS. It delays each new connection by up to a quarter of a second.")
            } else {
                step.advise("Each new connection may try these first and lose time: fix DNS, or name the right address with the option resolve.")
            }
        }
        Err(error) => refused(addresses, error),
    }
}

fn refused(addresses: &[SocketAddr], error: &Error) -> Step {
    let step = Step::failed("tcp", error);
    let private: Vec<String> = addresses
        .iter()
        .map(SocketAddr::ip)
        .filter(|ip| is_private(*ip))
        .map(|ip| ip.to_string())
        .collect();
    if private.is_empty() {
        return step;
    }
    step.advise(format!(
        "{} is an address of a private network: this machine must be in it, or in its VPN. From outside, use the server's public name.",
        private.join(", ")
    ))
}

fn list(addresses: &[SocketAddr]) -> String {
    let mut texts: Vec<String> = Vec::new();
    for address in addresses {
        let text = named(address.ip());
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    let rest = texts.len().saturating_sub(MAX_SHOWN);
    texts.truncate(MAX_SHOWN);
    let shown = texts.join(", ");
    match rest {
        0 => shown,
        rest => format!("{shown} and {rest} more"),
    }
}

/// An address, and what kind of place it is.
fn named(ip: IpAddr) -> String {
    let ip = ip.to_canonical();
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    if ip.is_loopback() {
        format!("{ip} (this machine)")
    } else if is_private(ip) {
        format!("{ip} (a private network's)")
    } else if link_local {
        format!("{ip} (of this cable alone)")
    } else {
        ip.to_string()
    }
}

/// RFC 1918, the carriers' 100.64.0.0/10 that many VPNs use, and `fc00::/7`.
fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            ip.is_private() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Outcome;
    use super::*;
    use crate::error::Code;
    use crate::http::addresses;

    #[test]
    fn addresses_say_where_they_are() {
        for (ip, says) in [
            ("127.0.0.1", "127.0.0.1 (this machine)"),
            ("::1", "::1 (this machine)"),
            ("10.1.2.3", "10.1.2.3 (a private network's)"),
            ("172.31.0.1", "172.31.0.1 (a private network's)"),
            ("172.32.0.1", "172.32.0.1"),
            ("192.168.0.9", "192.168.0.9 (a private network's)"),
            ("100.64.0.1", "100.64.0.1 (a private network's)"),
            ("100.128.0.1", "100.128.0.1"),
            ("fd00::1", "fd00::1 (a private network's)"),
            ("::ffff:10.1.2.3", "10.1.2.3 (a private network's)"),
            ("169.254.1.1", "169.254.1.1 (of this cable alone)"),
            ("fe80::1", "fe80::1 (of this cable alone)"),
            ("192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(named(ip.parse().expect("an address")), says);
        }
    }

    #[test]
    fn a_look_up_shows_every_address_once() {
        let found = Ok(Addresses::Resolved(addresses(&[
            "10.1.2.3", "10.1.2.3", "::1",
        ])));
        let step = dns("p21.example.com", &found);
        assert_eq!(
            step.saw,
            ["p21.example.com is 10.1.2.3 (a private network's), ::1 (this machine)"]
        );
        let named = Ok(Addresses::Override(addresses(&["192.0.2.1"])));
        assert!(dns("h", &named).saw[0].ends_with("by option resolve"));
        let many: Vec<String> = (1..=10).map(|n| format!("192.0.2.{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let step = dns("h", &Ok(Addresses::Resolved(addresses(&many))));
        assert!(step.saw[0].ends_with("192.0.2.8 and 2 more"), "{step:?}");
    }

    #[test]
    fn a_private_address_that_does_not_answer_is_explained() {
        let error = Error::new(Code::Connect, "no connection").with_hint("check");
        let step = refused(&addresses(&["10.1.2.3"]), &error);
        assert_eq!(step.outcome, Outcome::Fail);
        assert!(step.advice[1].contains("10.1.2.3") && step.advice[1].contains("VPN"));
        assert_eq!(refused(&addresses(&["192.0.2.1"]), &error).advice.len(), 1);
    }

    #[test]
    fn a_proxy_says_who_chose_it() {
        let origin = |source, proxy: Option<&str>| ProxyOrigin {
            source,
            proxy: proxy.map(str::to_owned),
            ignored: Vec::new(),
        };
        for (origin, says) in [
            (
                origin("environment HTTPS_PROXY", Some("http://proxy:3128")),
                "http://proxy:3128, from environment HTTPS_PROXY",
            ),
            (origin("option no_proxy", None), "none, by option no_proxy"),
            (origin("none", None), "none: neither"),
        ] {
            let mut origin = origin;
            let step = proxy(&origin, &Ok(()));
            assert!(step.saw[0].starts_with(says), "{step:?}");
            origin.ignored = vec!["10.*".to_owned(), "https://x".to_owned()];
            let step = proxy(&origin, &Ok(()));
            assert_eq!(step.saw[1], "not understood in NO_PROXY: 10.*, https://x");
            assert_eq!((step.outcome, step.advice.len()), (Outcome::Warn, 1));
        }
    }
}
