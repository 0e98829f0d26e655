//! TLS: the certificates that the server shows, what it agreed to, and what an old IIS lacks.

use std::net::SocketAddr;

use crate::http::Certificate;
use crate::http::stages::Handshake;
use crate::options::{BaseUrl, TlsTrust};
use crate::secret::hex;

use super::report::Step;

/// A certificate that ends sooner is worth a warning.
const SOON_DAYS: i64 = 30;

const DAY_S: i64 = 86_400;

const LOWER_MTU: &str = "Lower the MTU of this machine's interface (ip link set dev NAME mtu 1280; on Windows netsh interface ipv4 set subinterface NAME mtu=1280), and have the VPN or firewall on the way let ICMP \"fragmentation needed\" through.";

/// Without TLS.
pub(super) fn plain(base: &BaseUrl) -> Step {
    if base.is_loopback() {
        return Step::ok("tls", "none: base_url is plain http to this machine");
    }
    Step::warn(
        "tls",
        "none: base_url is plain http, so credentials and tokens cross the network unprotected",
    )
    .advise("Use https.")
}

/// What the handshake says. `prefix` is that of the environment variables.
pub(super) fn judge(seen: &Handshake, trust: &TlsTrust, prefix: &str, now_unix: i64) -> Step {
    if let Some(error) = &seen.error {
        let mut step = Step::failed("tls", error);
        for line in seen.chain.iter().skip(1).map(link) {
            step = step.also(line);
        }
        if seen.loses_large_packets {
            return step
                .also("it responds to a small packet at once, so large packets are lost on the way")
                .advise(LOWER_MTU);
        }
        if let Some(old) = &seen.old {
            return old_server(step, old);
        }
        // Only where the library itself offers it: not where the server has not proven to be the certificate's owner.
        let leaf = seen.chain.first();
        step.copy = leaf
            .filter(|leaf| error.hint().contains(&leaf.sha256))
            .map(|leaf| pin_line(leaf, trust, prefix));
        return step;
    }
    let (version, suite) = seen.agreed.clone().unwrap_or_default();
    let mut step = Step::ok("tls", format!("{} with {suite}", version_name(&version)));
    let Some(leaf) = seen.chain.first() else {
        return step;
    };
    let left = leaf.expires_unix.saturating_sub(now_unix);
    let ends = if left < 0 {
        "it has expired".to_owned()
    } else {
        format!("{} days left", left / DAY_S)
    };
    step = step.also(format!("{leaf}; {ends}"));
    for line in seen.chain.iter().skip(1).map(link) {
        step = step.also(line);
    }
    step = if !trust.verify {
        step.also("not verified (tls_verify=0)")
            .worth_a_warning()
            .advise(
                "Accepting any certificate is for development only: pin this one, or name its authority in ca_file.",
            )
    } else if trust.pins.is_empty() {
        step.also("trusted by its authority")
    } else {
        step.also("trusted by tls_pin_sha256")
    };
    if !trust.verify {
        step.copy = Some(pin_line(leaf, trust, prefix));
    }
    if left < SOON_DAYS * DAY_S {
        step = step.worth_a_warning().advise(
            "Renew the certificate on the server; a program that pinned it needs the new one's SHA-256.",
        );
    }
    step
}

/// Adds at which addresses no handshake came about; `elsewhere`: at another one it did.
pub(super) fn at(mut step: Step, silent: &[SocketAddr], elsewhere: bool) -> Step {
    for address in silent {
        step = step.also(format!("no TLS handshake with {address}"));
    }
    if silent.is_empty() || !elsewhere {
        return step;
    }
    step.worth_a_warning()
        .advise("Connections that try such an address first lose time: remove it from DNS, or check the server or load balancer there.")
}

/// What the server answers to a hello of its own time, and what it needs.
fn old_server(step: Step, (version, suite): &(String, String)) -> Step {
    let name = version_name(version);
    let step = step.also(format!(
        "to an older client the server offers {name} and {suite}"
    ));
    if matches!(version.as_str(), "SSLv3" | "TLSv1_0" | "TLSv1_1") {
        step.advise(format!(
            "{name} is the newest version that it has: enable TLS 1.2 on the server, on Windows under HKLM\\SYSTEM\\CurrentControlSet\\Control\\SecurityProviders\\SCHANNEL\\Protocols\\TLS 1.2\\Server (Enabled=1, DisabledByDefault=0), and restart it."
        ))
    } else if !(suite.starts_with("TLS_ECDHE_") && suite.contains("_GCM_")) {
        step.advise(
            "TLS 1.2 is there, but no cipher suite of ECDHE with AES-GCM: enable one, such as TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384. Windows Server 2012 R2 and older have them for ECDSA certificates only: use such a certificate, a newer Windows, or a reverse proxy before the server.",
        )
    } else {
        step
    }
}

fn link(certificate: &Certificate) -> String {
    format!(
        "then \"{}\", issued by \"{}\", valid to {}",
        certificate.subject, certificate.issuer, certificate.not_after
    )
}

/// `TLSv1_2` as people write it.
fn version_name(version: &str) -> String {
    version.replacen("TLSv", "TLS ", 1).replace('_', ".")
}

/// Keeps the pins that are there: the others of a renewal.
fn pin_line(leaf: &Certificate, trust: &TlsTrust, prefix: &str) -> String {
    let mut pins: Vec<String> = trust.pins.iter().map(|pin| hex(&pin.0)).collect();
    pins.push(leaf.sha256.clone());
    format!("{prefix}TLS_PIN_SHA256={}", pins.join(","))
}

#[cfg(test)]
mod tests {
    use super::super::report::Outcome;
    use super::*;
    use crate::error::{Code, Error};
    use crate::options::Pin;

    const SHA: &str = "aa11";

    fn trust(verify: bool, pins: &[Pin]) -> TlsTrust {
        TlsTrust {
            verify,
            ca_file: None,
            pins: pins.to_vec(),
        }
    }

    fn certificate(expires_unix: i64) -> Certificate {
        Certificate {
            subject: "CN=p21".to_owned(),
            issuer: "CN=ca".to_owned(),
            not_before: "2026-01-01".to_owned(),
            not_after: "2027-01-01".to_owned(),
            sha256: SHA.to_owned(),
            expires_unix,
            ..Certificate::default()
        }
    }

    fn well(expires_unix: i64) -> Handshake {
        Handshake {
            chain: vec![certificate(expires_unix), certificate(0)],
            agreed: Some(("TLSv1_3".to_owned(), "SUITE".to_owned())),
            ..Handshake::default()
        }
    }

    #[test]
    fn a_certificate_with_time_left_is_ok_and_one_without_is_not() {
        for (days, outcome, says) in [
            (31, Outcome::Ok, "31 days left"),
            (29, Outcome::Warn, "29 days left"),
            (-1, Outcome::Warn, "it has expired"),
        ] {
            let step = judge(&well(days * DAY_S), &trust(true, &[]), "P21_", 0);
            assert_eq!(step.outcome, outcome, "{days}");
            assert_eq!(step.saw[0], "TLS 1.3 with SUITE");
            assert!(step.saw[1].ends_with(says), "{step:?}");
            assert!(step.saw[2].starts_with("then \"CN=p21\""), "{step:?}");
            assert_eq!(step.copy, None);
        }
    }

    #[test]
    fn what_is_not_verified_is_worth_a_warning_and_a_pin() {
        let step = judge(&well(99 * DAY_S), &trust(false, &[]), "P21_PLAY_", 0);
        assert_eq!(step.outcome, Outcome::Warn);
        assert_eq!(step.copy.as_deref(), Some("P21_PLAY_TLS_PIN_SHA256=aa11"));
    }

    #[test]
    fn a_pin_is_offered_only_where_the_library_does() {
        for (hint, copy) in [
            ("set tls_pin_sha256=aa11", true),
            ("No option accepts that.", false),
        ] {
            let seen = Handshake {
                error: Some(Error::new(Code::Tls, "refused").with_hint(hint)),
                ..well(0)
            };
            let step = judge(&seen, &trust(true, &[Pin([0; 32])]), "P21_", 0);
            assert_eq!(step.outcome, Outcome::Fail);
            let zeros = "0".repeat(64);
            let line = format!("P21_TLS_PIN_SHA256={zeros},aa11");
            assert_eq!(step.copy, copy.then_some(line));
        }
    }

    #[test]
    fn an_old_server_is_told_what_it_lacks() {
        for (version, suite, says) in [
            ("TLSv1_0", "TLS_RSA_WITH_AES_128_CBC_SHA", "enable TLS 1.2"),
            (
                "TLSv1_2",
                "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384",
                "2012 R2 and older",
            ),
            (
                "TLSv1_2",
                "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384",
                "2012 R2 and older",
            ),
            ("TLSv1_2", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", ""),
        ] {
            let seen = Handshake {
                error: Some(Error::new(Code::Tls, "nothing in common")),
                old: Some((version.to_owned(), suite.to_owned())),
                ..Handshake::default()
            };
            let step = judge(&seen, &trust(true, &[]), "P21_", 0);
            assert!(step.saw[1].contains(suite), "{step:?}");
            assert!(step.advice.concat().contains(says), "{step:?}");
            assert_eq!(step.advice.is_empty(), says.is_empty());
        }
    }
}
