//! What a person needs to know of a server's certificate to decide whether to trust it.

use std::fmt;

use sha2::{Digest as _, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::secret::hex;

/// Longest name shown, in characters: a certificate comes from whoever answered and may hold anything.
const MAX_NAME: usize = 120;

/// Most host names shown.
const MAX_NAMES: usize = 8;

/// The parts of a certificate that go into an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Certificate {
    pub(crate) subject: String,
    pub(crate) issuer: String,
    /// DNS names and IP addresses that it is for.
    pub(crate) names: Vec<String>,
    /// First day, as `2026-01-31`.
    pub(crate) not_before: String,
    /// Last day.
    pub(crate) not_after: String,
    /// End of its validity in Unix seconds.
    pub(crate) expires_unix: i64,
    /// SHA-256 of its DER in lower-case hex, as `tls_pin_sha256` takes it.
    pub(crate) sha256: String,
    /// Issuer and subject are the same.
    pub(crate) self_signed: bool,
    /// It says that it is a certificate authority's.
    pub(crate) is_authority: bool,
}

impl Certificate {
    /// Reads what can be read; the SHA-256 is always there.
    pub(crate) fn read(der: &[u8]) -> Certificate {
        let sha256 = hex(&Sha256::digest(der));
        let Ok((_, parsed)) = X509Certificate::from_der(der) else {
            return Certificate {
                sha256,
                ..Certificate::default()
            };
        };
        let names = parsed
            .subject_alternative_name()
            .ok()
            .flatten()
            .map(|extension| {
                extension
                    .value
                    .general_names
                    .iter()
                    .filter_map(host_name)
                    .collect()
            })
            .unwrap_or_default();
        let day = |time: x509_parser::time::ASN1Time| {
            let time = time.to_datetime();
            format!(
                "{:04}-{:02}-{:02}",
                time.year(),
                u8::from(time.month()),
                time.day()
            )
        };
        Certificate {
            subject: shown(&parsed.subject().to_string()),
            issuer: shown(&parsed.issuer().to_string()),
            names,
            not_before: day(parsed.validity().not_before),
            not_after: day(parsed.validity().not_after),
            expires_unix: parsed.validity().not_after.timestamp(),
            sha256,
            self_signed: parsed.subject().as_raw() == parsed.issuer().as_raw(),
            is_authority: parsed.is_ca(),
        }
    }

    /// Its host names in one list.
    pub(crate) fn names_shown(&self) -> String {
        match self.names.len() {
            0 => "no host name".to_owned(),
            count if count > MAX_NAMES => format!(
                "{} and {} more",
                self.names[..MAX_NAMES].join(", "),
                count - MAX_NAMES
            ),
            _ => self.names.join(", "),
        }
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.not_after.is_empty() {
            return write!(f, "unreadable certificate, SHA-256 {}", self.sha256);
        }
        write!(
            f,
            "certificate of \"{}\", issued by \"{}\", for {}, valid from {} to {}, SHA-256 {}",
            self.subject,
            self.issuer,
            self.names_shown(),
            self.not_before,
            self.not_after,
            self.sha256
        )
    }
}

fn host_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(shown(name)),
        GeneralName::IPAddress(bytes) => {
            if let Ok(v4) = <[u8; 4]>::try_from(*bytes) {
                Some(std::net::Ipv4Addr::from(v4).to_string())
            } else {
                let v6 = <[u8; 16]>::try_from(*bytes).ok()?;
                Some(std::net::Ipv6Addr::from(v6).to_string())
            }
        }
        _ => None,
    }
}

fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(MAX_NAME).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_still_has_a_fingerprint() {
        let certificate = Certificate::read(b"abc");
        assert_eq!(
            certificate.to_string(),
            "unreadable certificate, SHA-256 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(certificate.names_shown(), "no host name");
    }

    #[test]
    fn long_lists_are_cut() {
        let certificate = Certificate {
            names: (0..10).map(|n| format!("h{n}")).collect(),
            ..Certificate::default()
        };
        assert!(certificate.names_shown().ends_with("h7 and 2 more"));
        assert_eq!(shown(&"x".repeat(200)).chars().count(), MAX_NAME + 1);
    }
}
