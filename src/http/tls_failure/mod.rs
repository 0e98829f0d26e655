//! TLS failures in words: which certificate was met, and which option would trust it.

mod certificate;

use rustls::{AlertDescription as A, CertificateError, InvalidMessage, OtherError};

use super::refusal::{Refusal, in_words};
use crate::error::{Code, Error};

/// The error for a failed handshake with `place` (`host:port`, or the proxy in words).
pub(crate) fn explain(error: &rustls::Error, place: &str) -> Error {
    use rustls::Error as E;
    let (what, hint) = match error {
        E::InvalidCertificate(CertificateError::Other(OtherError(inner))) => {
            if let Some(refusal) = inner.downcast_ref::<Refusal>() {
                return certificate::refused(refusal, place);
            }
            (failed(place, error), ODD_TLS)
        }
        E::AlertReceived(A::ProtocolVersion | A::HandshakeFailure | A::InsufficientSecurity)
        | E::PeerIncompatible(_) => (
            format!(
                "{place} and this library found no common TLS version and cipher suite ({})",
                in_words(error)
            ),
            OLD_TLS,
        ),
        E::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => (
            format!("{place} responds, but not in TLS"),
            "Check the port: it seems to be a plain http port, and https has its own (443, 3443, 8443). With no https at all, base_url=http://… needs allow_http=1.",
        ),
        E::AlertReceived(A::UnrecognisedName) => (
            format!("{place} responds, but does not serve this host name"),
            "Check the host name in base_url; the server's administrator sees it in the site's bindings in IIS.",
        ),
        E::AlertReceived(A::CertificateRequired) => (
            format!("{place} requires a client certificate, which is not supported"),
            CLIENT_CERTIFICATE,
        ),
        E::AlertReceived(
            A::NoCertificate
            | A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateUnknown
            | A::UnknownCA
            | A::AccessDenied,
        ) => (
            format!(
                "{place} refuses this client in the TLS handshake ({}), perhaps because it requires a client certificate, which is not supported",
                in_words(error)
            ),
            CLIENT_CERTIFICATE,
        ),
        E::AlertReceived(A::InternalError) => (
            format!("{place} failed internally during the TLS handshake"),
            "Its own log says why, on Windows the System event log (Schannel): often the service may not read the private key of its certificate.",
        ),
        E::AlertReceived(_) => (
            format!("{place} ended the TLS handshake ({})", in_words(error)),
            "Its own log says why, on Windows the System event log (Schannel); a firewall that inspects TLS can end it too.",
        ),
        E::NoCertificatesPresented => (
            format!("{place} shows no TLS certificate"),
            "Bind a certificate to the site in IIS.",
        ),
        _ => (failed(place, error), ODD_TLS),
    };
    tls(what).with_hint(hint)
}

/// For servers that offer no TLS that this library accepts.
pub(super) const OLD_TLS: &str = "The server may offer only old TLS: on Windows Server enable TLS 1.2 or 1.3 in Schannel, with an ECDHE cipher suite with AES-GCM.";

/// For handshakes that end in a way that no server ends them.
const ODD_TLS: &str = "Something on the way may change the connection, such as a firewall that inspects TLS, or the port speaks another protocol: check host and port in base_url, and see the server's own log.";

const CLIENT_CERTIFICATE: &str =
    "Set the site's SSL settings in IIS to ignore client certificates.";

fn tls(message: String) -> Error {
    Error::new(Code::Tls, message)
}

fn failed(place: &str, error: &rustls::Error) -> String {
    format!("the TLS handshake with {place} failed: {}", in_words(error))
}

#[cfg(test)]
mod tests {
    use rustls::{CertRevocationListError, Error as E, PeerIncompatible, PeerMisbehaved};

    use super::*;

    /// Everything that the stack can refuse is said in words, with a next step.
    #[track_caller]
    pub(super) fn in_plain_words(error: &Error) {
        assert_eq!(error.code(), Code::Tls);
        assert!(
            !error.hint().is_empty() && error.message().len() < 400,
            "{error}"
        );
        let text = error.message().replace("SHA-256", "").replace("X.509", "");
        for word in text.split(|c: char| !c.is_ascii_alphanumeric()) {
            let inner = word.chars().skip(1).any(|c| c.is_ascii_uppercase());
            let known = [
                "TLS",
                "RSA",
                "CA",
                "CN",
                "MD5",
                "serverAuth",
                "P21",
                "IIS",
                "OCSP",
                "SHA",
                "ECDSA",
            ];
            assert!(!inner || known.contains(&word), "{word}: {error}");
        }
        assert!(!error.to_string().contains(['{', '[']), "{error}");
    }

    #[test]
    fn each_failure_of_a_handshake_is_in_words() {
        for error in [
            E::AlertReceived(A::HandshakeFailure),
            E::AlertReceived(A::UnrecognisedName),
            E::AlertReceived(A::Unknown(77)),
            E::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
            E::PeerMisbehaved(PeerMisbehaved::IllegalMiddleboxChangeCipherSpec),
            E::InvalidMessage(InvalidMessage::InvalidContentType),
            E::InvalidMessage(InvalidMessage::MessageTooLarge),
            E::InvalidCertificate(CertificateError::BadEncoding),
            E::InvalidCertRevocationList(CertRevocationListError::ParseError),
            E::NoCertificatesPresented,
            E::UnsupportedNameType,
            E::DecryptError,
            E::EncryptError,
            E::General("something odd".to_owned()),
            E::FailedToGetCurrentTime,
            E::FailedToGetRandomBytes,
            E::HandshakeNotComplete,
            E::PeerSentOversizedRecord,
            E::NoApplicationProtocol,
            E::BadMaxFragmentSize,
        ] {
            let error = explain(&error, "p21.example:443");
            in_plain_words(&error);
            assert!(error.message().contains("p21.example:443"), "{error}");
        }
    }
}
