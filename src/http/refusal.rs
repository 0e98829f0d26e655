//! A certificate that was not accepted: why, and which one in the chain is to blame.

use std::fmt;
use std::path::PathBuf;

use rustls::pki_types::UnixTime;
use rustls::{CertificateError, OtherError};

use super::certificate::{Certificate, first_id};

/// Why a certificate was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    UnknownIssuer,
    /// An authority of the issuer's name is trusted, but it did not sign this.
    OtherKey,
    Expired,
    NotYetValid,
    WrongName,
    NotPinned,
    NoAuthorities,
    /// The algorithm of its signature, as an object identifier.
    Algorithm(String),
    /// The RSA key that signed it is so short, in bits.
    ShortKey(usize),
    /// The server did not prove that it has the certificate's key.
    Unproven(String),
    /// As the TLS stack calls it.
    Other(String),
}

impl Why {
    /// Why the chain was refused, and which of the issuers' certificates in it is to blame; `None`: the server's own.
    pub(super) fn of(
        error: &rustls::Error,
        own: &Certificate,
        issuers: &[Certificate],
    ) -> (Why, Option<Certificate>) {
        let rustls::Error::InvalidCertificate(error) = error else {
            return (Why::Other(in_words(error)), None);
        };
        let culprit = |is: &dyn Fn(&Certificate) -> bool| {
            issuers
                .iter()
                .find(|issuer| !is(own) && is(issuer))
                .cloned()
        };
        let seconds = |time: &UnixTime| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        match error {
            CertificateError::UnknownIssuer => (Why::UnknownIssuer, None),
            CertificateError::BadSignature => match short_key(own, issuers) {
                Some((bits, culprit)) => (Why::ShortKey(bits), culprit),
                None => (Why::OtherKey, None),
            },
            CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
                signature_algorithm_id,
                public_key_algorithm_id,
            } => {
                // An RSA signature where the issuer's key is for ECDSA, or the other way round, is not that issuer's.
                let ids = [signature_algorithm_id, public_key_algorithm_id];
                let is_rsa = ids
                    .map(|id| first_id(id).is_some_and(|id| id.starts_with("1.2.840.113549.1.1.")));
                let is_ec =
                    ids.map(|id| first_id(id).is_some_and(|id| id.starts_with("1.2.840.10045.")));
                if is_rsa == [true; 2] || is_ec == [true; 2] {
                    (Why::Other("UnsupportedKey".to_owned()), None)
                } else {
                    (Why::OtherKey, None)
                }
            }
            CertificateError::UnsupportedSignatureAlgorithmContext {
                signature_algorithm_id,
                ..
            } => {
                let id = first_id(signature_algorithm_id).unwrap_or_default();
                let culprit = culprit(&|certificate| certificate.signature.0 == id);
                (Why::Algorithm(id), culprit)
            }
            CertificateError::Expired => (Why::Expired, None),
            CertificateError::ExpiredContext { not_after, .. } => {
                let end = seconds(not_after);
                (
                    Why::Expired,
                    culprit(&|certificate| certificate.expires_unix == end),
                )
            }
            CertificateError::NotValidYet => (Why::NotYetValid, None),
            CertificateError::NotValidYetContext { not_before, .. } => {
                let begin = seconds(not_before);
                (
                    Why::NotYetValid,
                    culprit(&|certificate| certificate.begins_unix == begin),
                )
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                (Why::WrongName, None)
            }
            // In its own words: rustls shows it as Rust code.
            CertificateError::Other(OtherError(inner)) => (Why::Other(inner.to_string()), None),
            other => (Why::Other(name_of(other)), None),
        }
    }
}

/// Signatures by RSA keys of less than 2048 bits are never verified, and fail as if they were wrong.
fn short_key(own: &Certificate, issuers: &[Certificate]) -> Option<(usize, Option<Certificate>)> {
    let is_short = |certificate: &Certificate| {
        let (id, bits) = &certificate.signature;
        id.starts_with("1.2.840.113549.1.1.") && (1..2048).contains(bits)
    };
    if is_short(own) {
        return Some((own.signature.1, None));
    }
    let culprit = issuers.iter().find(|issuer| is_short(issuer))?;
    Some((culprit.signature.1, Some(culprit.clone())))
}

/// The innermost name in what Rust shows of an error: `AlertReceived(HandshakeFailure)` is `HandshakeFailure`.
pub(super) fn name_of(error: &dyn fmt::Debug) -> String {
    let shown = format!("{error:?}");
    let names = shown.split([' ', '{', '"', '[']).next().unwrap_or_default();
    let name = names.trim_end_matches(')').rsplit('(').next();
    name.unwrap_or_default().to_owned()
}

/// The same as words: `handshake failure`.
pub(super) fn in_words(error: &dyn fmt::Debug) -> String {
    words_of(&name_of(error))
}

/// `HandshakeFailure` as words; what is no such name stays as it is, up to a length.
pub(super) fn words_of(name: &str) -> String {
    let is_name = name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_alphanumeric());
    let (mut words, mut after_capital) = (String::new(), false);
    for c in name.chars().take(120) {
        let begins = c.is_ascii_uppercase() && !after_capital;
        after_capital = c.is_ascii_uppercase();
        if is_name && begins && !words.is_empty() {
            words.push(' ');
        }
        words.push(if is_name { c.to_ascii_lowercase() } else { c });
    }
    if words.is_empty() {
        words.push_str("no reason was given");
    }
    words
}

/// A certificate that was not accepted. It travels inside the connection's own error, so that connections made at the
/// same time never show each other's certificate.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) certificate: Certificate,
    pub(super) why: Why,
    /// The issuer's certificate that is to blame, if it is not the server's own.
    pub(super) culprit: Option<Certificate>,
    /// Whether the TLS stack can read it, as it must if it is pinned.
    pub(super) is_usable: bool,
    /// Whether the server sent further certificates after its own.
    pub(super) has_intermediates: bool,
    /// The host that was asked for, where known.
    pub(super) host: Option<String>,
    /// The file whose authorities were trusted too.
    pub(super) ca_file: Option<PathBuf>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.why, self.certificate)
    }
}

impl std::error::Error for Refusal {}
