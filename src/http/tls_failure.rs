//! TLS failures in words: which certificate was met, and which option would trust it.

use std::fmt::Write as _;
use std::path::PathBuf;

use rustls::{AlertDescription, CertificateError, InvalidMessage, OtherError};

use super::certificate::Certificate;
use super::trust::{Refusal, Why, in_words, words_of};
use crate::error::{Code, Error};

/// The error for a failed handshake with `place` (`host:port`, or the proxy in words).
pub(crate) fn explain(error: &rustls::Error, place: &str) -> Error {
    use rustls::Error as E;
    let (what, hint) = match error {
        E::InvalidCertificate(CertificateError::Other(OtherError(inner))) => {
            if let Some(refusal) = inner.downcast_ref::<Refusal>() {
                return refused(refusal, place);
            }
            (failed(place, error), ODD_TLS)
        }
        E::AlertReceived(
            AlertDescription::ProtocolVersion
            | AlertDescription::HandshakeFailure
            | AlertDescription::InsufficientSecurity,
        )
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
            format!("{place} answers, but not in TLS"),
            "Check the port: plain http seems to be spoken there, and https needs a port of its own (443, 3443, 8443). With no https at all, base_url=http://… needs allow_http=1.",
        ),
        E::AlertReceived(AlertDescription::UnrecognisedName) => (
            format!("{place} answers, but does not serve this host name"),
            "Check the host name in base_url; the server's administrator sees it in the site's bindings in IIS.",
        ),
        E::AlertReceived(AlertDescription::CertificateRequired) => (
            format!("{place} wants a client certificate, which is not supported"),
            CLIENT_CERTIFICATE,
        ),
        E::AlertReceived(
            AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied,
        ) => (
            format!(
                "{place} refuses this client in the TLS handshake ({}), perhaps because it wants a client certificate, which is not supported",
                in_words(error)
            ),
            CLIENT_CERTIFICATE,
        ),
        E::AlertReceived(AlertDescription::InternalError) => (
            format!("{place} failed inside during the TLS handshake"),
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

/// Algorithms of signatures that are not accepted, by object identifier.
const ALGORITHMS: &[(&str, &str)] = &[
    ("1.2.840.113549.1.1.2", "MD2 with RSA"),
    ("1.2.840.113549.1.1.4", "MD5 with RSA"),
    ("1.2.840.113549.1.1.5", "SHA-1 with RSA"),
    ("1.3.14.3.2.29", "SHA-1 with RSA"),
    ("1.2.840.113549.1.1.14", "SHA-224 with RSA"),
    ("1.2.840.113549.1.1.10", "RSASSA-PSS in an uncommon variant"),
    ("1.2.840.10045.4.1", "SHA-1 with ECDSA"),
    ("1.2.840.10045.4.3.1", "SHA-224 with ECDSA"),
    ("1.2.840.10045.4.3.4", "SHA-512 with ECDSA"),
    ("1.2.840.10040.4.3", "SHA-1 with DSA"),
    ("2.16.840.1.101.3.4.3.2", "SHA-256 with DSA"),
    ("1.3.101.113", "Ed448"),
];

const REISSUE: &str = "Have the certificate issued anew without that";

/// What else can be wrong with a certificate: as the TLS stack names it (or as its text begins), what that is, and what to do.
const DEFECTS: &[(&str, &str, &str)] = &[
    (
        "NameConstraintViolation",
        "has a name that its issuer may not certify (name constraints)",
        "Have the certificate issued by an authority that may certify this host, or use a host name that the issuer allows",
    ),
    (
        "PathLenConstraintViolated",
        "comes through more intermediate authorities than one of them allows (path length)",
        "Have the certificate issued by an authority further up, or name the intermediate authority that issued it in ca_file",
    ),
    (
        "EndEntityUsedAsCa",
        "was issued with a certificate that is no authority's",
        "Have the certificate issued by an authority: one whose own certificate has CA:TRUE in its basic constraints",
    ),
    ("InvalidPurpose", NOT_FOR_SERVERS, FOR_SERVERS),
    (
        "certificate had invalid extensions",
        NOT_FOR_SERVERS,
        FOR_SERVERS,
    ),
    (
        "EmptyEkuExtension",
        "has an extended key usage with nothing in it",
        FOR_SERVERS,
    ),
    ("UnknownRevocationStatus", NOT_CHECKED, REACH_LIST),
    ("ExpiredRevocationList", NOT_CHECKED, REACH_LIST),
    ("InvalidOcspResponse", NOT_CHECKED, REACH_LIST),
    (
        "UnhandledCriticalExtension",
        "has a critical extension that is not known here",
        REISSUE,
    ),
    (
        "UnsupportedCriticalExtension",
        "has a critical extension that is not known here",
        REISSUE,
    ),
    (
        "UnsupportedCertVersion",
        "is of X.509 version 1, which has no host names",
        "Have the certificate issued anew, as version 3 with the host name in subjectAltName",
    ),
    (
        "UnsupportedKey",
        "was signed with a key of a kind that is not supported, such as P-521",
        "Use an authority with an RSA key of at least 2048 bits, or a P-256 or P-384 key",
    ),
    (
        "MaximumPath",
        "comes with too many certificates to be checked",
        "Have the server send its own certificate, then the intermediate ones, and nothing else",
    ),
    (
        "MaximumSignatureChecksExceeded",
        "comes with too many certificates to be checked",
        "Have the server send its own certificate, then the intermediate ones, and nothing else",
    ),
    (
        "MaximumNameConstraintComparisonsExceeded",
        "has too many names to be checked",
        REISSUE,
    ),
    ("BadEncoding", "is not well-formed", MALFORMED),
    ("BadDer", "is not well-formed", MALFORMED),
    (
        "MalformedDnsIdentifier",
        "has a malformed host name",
        MALFORMED,
    ),
    ("MalformedExtensions", "has malformed extensions", MALFORMED),
    (
        "ExtensionValueInvalid",
        "has a malformed extension",
        MALFORMED,
    ),
    (
        "InvalidSerialNumber",
        "has a malformed serial number",
        MALFORMED,
    ),
    (
        "SignatureAlgorithmMismatch",
        "contradicts itself about the algorithm of its signature",
        MALFORMED,
    ),
    (
        "MalformedNameConstraint",
        "comes from an issuer with malformed name constraints",
        MALFORMED,
    ),
    (
        "InvalidNetworkMaskConstraint",
        "comes from an issuer with malformed name constraints",
        MALFORMED,
    ),
];

const NOT_FOR_SERVERS: &str =
    "is not for servers (its extended key usage, or its issuer's, lacks serverAuth)";
const FOR_SERVERS: &str = "Have the certificate issued anew for server authentication (in AD CS by the template Web Server)";
const NOT_CHECKED: &str = "cannot be checked for revocation";
const REACH_LIST: &str = "Let this machine reach the revocation lists that the certificate names, and have the issuer keep them current";
const MALFORMED: &str = "Have the certificate issued anew, with other software";

fn defect(name: &str) -> Option<(&'static str, &'static str)> {
    let known = DEFECTS.iter().find(|(start, ..)| name.starts_with(start));
    known.map(|(_, what, step)| (*what, *step))
}

/// What is wrong with one certificate, where that may be the server's or an issuer's.
fn fault(why: &Why) -> Option<String> {
    Some(match why {
        Why::Expired => "has expired".to_owned(),
        Why::NotYetValid => "is not valid yet".to_owned(),
        Why::ShortKey(bits) => {
            format!("was signed with an RSA key of {bits} bits, and less than 2048 is not accepted")
        }
        Why::Algorithm(id) => {
            let known = ALGORITHMS.iter().find(|(known, _)| known == id);
            let name = known.map_or(id.as_str(), |(_, name)| name);
            format!("is signed with {name}, which is not accepted")
        }
        _ => return None,
    })
}

fn refused(refusal: &Refusal, place: &str) -> Error {
    let certificate = &refusal.certificate;
    let short = (1..2048).contains(&certificate.rsa_bits);
    let what = match &refusal.why {
        // It may have a trusted authority's name: "localhost" is a popular one.
        Why::UnknownIssuer | Why::OtherKey if certificate.self_signed => {
            "is self-signed".to_owned()
        }
        Why::UnknownIssuer => "comes from an issuer that is not trusted here".to_owned(),
        Why::OtherKey => {
            "is not signed by the authority of its issuer's name that is trusted here".to_owned()
        }
        Why::WrongName => format!(
            "is not for the host {}",
            refusal.host.as_deref().unwrap_or("asked for")
        ),
        Why::NotPinned => "is none of those in tls_pin_sha256".to_owned(),
        Why::NoAuthorities => {
            "cannot be checked: no certificate authorities were found on this machine".to_owned()
        }
        Why::Unproven(_) if short => format!(
            "has an RSA key of {} bits, and less than 2048 is not accepted",
            certificate.rsa_bits
        ),
        Why::Unproven(detail) => format!("is not proven to be the server's own ({detail})"),
        Why::Other(name) if name.starts_with("Revoked") => "has been revoked".to_owned(),
        Why::Other(_) if certificate.is_authority => {
            "is a certificate authority's own and not fit for a server".to_owned()
        }
        Why::Other(name) => match defect(name) {
            Some((what, _)) => what.to_owned(),
            None => format!("was not accepted ({})", words_of(name)),
        },
        why => fault(why).unwrap_or_default(),
    };
    let what = match &refusal.culprit {
        Some(issuer) => format!(
            "depends on an intermediate certificate that {what} (that of \"{}\", valid from {} to {})",
            issuer.subject, issuer.not_before, issuer.not_after
        ),
        None => what,
    };
    tls(format!(
        "the TLS certificate of {place} {what}: {certificate}"
    ))
    .with_hint(advice(refusal) + &bundle_note(refusal))
}

/// The exact option to trust it, where trusting it can be right.
fn advice(refusal: &Refusal) -> String {
    let Certificate {
        issuer,
        sha256,
        not_before,
        is_authority,
        ..
    } = &refusal.certificate;
    let pin = format!("tls_pin_sha256={sha256}");
    match &refusal.why {
        Why::UnknownIssuer | Why::OtherKey if refusal.certificate.self_signed => format!(
            "If this is your server's certificate, set {pin} to trust exactly it, or save it as PEM and name that file in ca_file."
        ),
        Why::UnknownIssuer => {
            let chain = if refusal.has_intermediates {
                ""
            } else {
                " The server sent no intermediate certificate; if the issuer is a public one, the server's chain is incomplete."
            };
            format!(
                "Set ca_file to a PEM file with the certificate of \"{issuer}\", or {pin} to trust exactly this certificate.{chain}"
            )
        }
        Why::OtherKey => format!(
            "The issuer was probably renewed under the same name: name the new certificate of \"{issuer}\" in ca_file, or set {pin} to trust exactly this certificate."
        ),
        Why::Expired if refusal.culprit.is_some() => format!(
            "The server's own certificate is not the cause: have its authority renew the intermediate one and the server send the new one, or set ca_file to a PEM file with a current certificate of \"{issuer}\"; {pin} accepts exactly the server's, no matter who issued it."
        ),
        Why::Expired => format!(
            "Renew the certificate on the server; until then {pin} accepts exactly this one."
        ),
        Why::NotYetValid => {
            let begin = refusal.culprit.as_ref().map_or(not_before, |issuer| &issuer.not_before);
            format!(
                "Check this machine's date; the certificate begins on {begin}. {pin} accepts the server's already."
            )
        }
        Why::Algorithm(_) | Why::ShortKey(_) => {
            let whose = if refusal.culprit.is_some() {
                "the intermediate certificate"
            } else {
                "the certificate"
            };
            format!(
                "Have {whose} issued anew with SHA-256 and an RSA key of at least 2048 bits, or a P-256 or P-384 key (AD CS: certutil -setreg ca\\csp\\CNGHashAlgorithm SHA256, then renew). Until then {pin} accepts exactly the server's certificate."
            )
        }
        Why::WrongName if refusal.certificate.names.is_empty() => {
            format!("The certificate names no host; {pin} accepts exactly it under any name.")
        }
        Why::WrongName => format!(
            "Use one of its names in base_url ({}), or set {pin} to accept exactly this certificate under any name.",
            refusal.certificate.names_shown()
        ),
        Why::NotPinned => format!(
            "If the server's certificate was renewed (ask its administrator, do not guess), add {sha256} to tls_pin_sha256; otherwise somebody may be between you and the server."
        ),
        Why::NoAuthorities => format!(
            "Install the system's certificate authorities (package ca-certificates), or set ca_file, or {pin} to trust exactly this certificate."
        ),
        Why::Unproven(_) if (1..2048).contains(&refusal.certificate.rsa_bits) => {
            "Have the certificate issued anew with an RSA key of at least 2048 bits, or a P-256 or P-384 key. No option accepts so short a key.".to_owned()
        }
        Why::Unproven(_) => "Whoever answered shows a certificate without having its key: this is not the server, or its certificate and key do not fit together. No option accepts that.".to_owned(),
        Why::Other(name) if name.starts_with("Revoked") => {
            "Its issuer took it back, perhaps because its key is known to others: replace the certificate on the server.".to_owned()
        }
        Why::Other(_) if *is_authority => format!(
            "If this is your server's certificate, set {pin} to trust exactly it, or issue one for the server that is no authority's."
        ),
        Why::Other(name) => {
            let step = defect(name).map_or(String::new(), |(_, step)| format!("{step}. "));
            if refusal.is_usable {
                format!("{step}If this is your server's certificate, {pin} accepts exactly it.")
            } else {
                format!("{step}No option accepts such a certificate.")
            }
        }
    }
}

/// People who set a bundle for another program expect it to count here.
fn bundle_note(refusal: &Refusal) -> String {
    if !matches!(
        refusal.why,
        Why::UnknownIssuer | Why::OtherKey | Why::NoAuthorities
    ) {
        return String::new();
    }
    let set = |name: &str| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty());
        value.filter(|_| !crate::sys::is_set_uid())
    };
    // Windows and macOS have stores of their own, which the SSL_CERT variables do not touch.
    let read_here = cfg!(all(unix, not(target_vendor = "apple")));
    let mut used: Vec<PathBuf> = refusal.ca_file.iter().cloned().collect();
    let mut note = String::new();
    for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        match set(name) {
            Some(path) if read_here => {
                used.push(path.into());
                let _ = write!(note, " {name} is set: authorities were read from there.");
            }
            Some(_) => {
                let _ = write!(note, " {name} is set but not used on this system.");
            }
            None => {}
        }
    }
    if let Some(path) = set("REQUESTS_CA_BUNDLE")
        && !used.contains(&path.into())
    {
        note.push_str(
            " REQUESTS_CA_BUNDLE is set but not used by this library: name its file in ca_file.",
        );
    }
    note
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::UnixTime;
    use rustls::{CertRevocationListError, Error as E, PeerIncompatible, PeerMisbehaved};

    use super::*;

    /// Everything that the stack can refuse is said in words, with a next step.
    #[track_caller]
    fn in_plain_words(error: &Error) {
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

    fn refusal(error: CertificateError) -> Refusal {
        let certificate = Certificate {
            subject: "CN=p21".to_owned(),
            not_after: "2027-01-01".to_owned(),
            sha256: "aa11".to_owned(),
            ..Certificate::default()
        };
        let (why, culprit) = Why::of(&E::InvalidCertificate(error), &certificate, &[]);
        Refusal {
            certificate,
            why,
            culprit,
            is_usable: true,
            has_intermediates: false,
            host: Some("p21.example".to_owned()),
            ca_file: None,
        }
    }

    #[test]
    fn each_refusal_of_a_certificate_is_in_words() {
        use CertificateError as C;
        let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1));
        for (error, says) in [
            (C::BadEncoding, "is not well-formed"),
            (C::Expired, "has expired"),
            (
                C::ExpiredContext {
                    time,
                    not_after: time,
                },
                "has expired",
            ),
            (C::NotValidYet, "is not valid yet"),
            (
                C::NotValidYetContext {
                    time,
                    not_before: time,
                },
                "is not valid yet",
            ),
            (C::Revoked, "has been revoked"),
            (C::UnhandledCriticalExtension, "critical extension"),
            (C::UnknownIssuer, "not trusted here"),
            (C::UnknownRevocationStatus, "checked for revocation"),
            (C::ExpiredRevocationList, "checked for revocation"),
            (
                C::ExpiredRevocationListContext {
                    time,
                    next_update: time,
                },
                "checked for revocation",
            ),
            (C::BadSignature, "not signed by the authority"),
            (
                C::UnsupportedSignatureAlgorithmContext {
                    signature_algorithm_id: vec![6, 3, 0x2b, 0x65, 0x71],
                    supported_algorithms: Vec::new(),
                },
                "signed with Ed448",
            ),
            (
                C::UnsupportedSignatureAlgorithmContext {
                    signature_algorithm_id: vec![6, 3, 0x2b, 0x65, 0x01],
                    supported_algorithms: Vec::new(),
                },
                "signed with 1.3.101.1",
            ),
            (C::NotValidForName, "is not for the host p21.example"),
            (C::InvalidPurpose, "not for servers"),
            (C::InvalidOcspResponse, "checked for revocation"),
            (
                C::ApplicationVerificationFailure,
                "application verification failure",
            ),
        ] {
            let error = refused(&refusal(error), "p21.example:443");
            in_plain_words(&error);
            assert!(error.message().contains(says), "{says}: {error}");
        }
        // As the verifier below rustls names them, and the systems' own words.
        for (name, says) in DEFECTS.iter().map(|(name, what, _)| (*name, *what)).chain([
            ("MaximumPathDepthExceeded", "too many certificates"),
            ("CertDistrusted", "was not accepted (cert distrusted)"),
            (
                "TrailingData(Certificate)",
                "was not accepted (TrailingData",
            ),
            (
                "A certificate chain could not be built (os error 1)",
                "could not be built",
            ),
        ]) {
            let inner = OtherError(std::sync::Arc::from(Box::from(name)));
            let error = refused(&refusal(CertificateError::Other(inner)), "p21.example:443");
            assert!(error.message().contains(says), "{says}: {error}");
            assert!(!error.hint().is_empty(), "{error}");
        }
        for (why, says) in [
            (Why::ShortKey(1024), "an RSA key of 1024 bits"),
            (
                Why::Algorithm("1.2.840.113549.1.1.5".to_owned()),
                "SHA-1 with RSA",
            ),
            (Why::Unproven("bad signature".to_owned()), "not proven"),
        ] {
            let mut refusal = refusal(CertificateError::Revoked);
            refusal.why = why;
            let error = refused(&refusal, "p21.example:443");
            in_plain_words(&error);
            assert!(error.message().contains(says), "{says}: {error}");
        }
        let mut short = refusal(CertificateError::Revoked);
        (short.why, short.certificate.rsa_bits) = (Why::Unproven(String::new()), 1024);
        let error = refused(&short, "p21.example:443");
        assert!(
            error.message().contains("has an RSA key of 1024 bits"),
            "{error}"
        );
        assert!(error.hint().contains("at least 2048 bits"), "{error}");
    }

    #[test]
    fn each_failure_of_a_handshake_is_in_words() {
        for error in [
            E::AlertReceived(AlertDescription::HandshakeFailure),
            E::AlertReceived(AlertDescription::UnrecognisedName),
            E::AlertReceived(AlertDescription::Unknown(77)),
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
