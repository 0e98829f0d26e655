//! A certificate that was refused, in words: what is wrong with it, and what to do.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::tls;
use crate::error::Error;
use crate::http::certificate::Certificate;
use crate::http::refusal::{Refusal, Why, words_of};

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

const REISSUE: &str = "Have the certificate reissued without that";

/// What else can be wrong with a certificate: as the TLS stack names it (or as its text begins), what that is, and what to do.
const DEFECTS: [(&[&str], &str, &str); 18] = rows! {
    &["NameConstraintViolation"] =>
        "has a name that its issuer may not certify (name constraints)",
        "Have the certificate issued by an authority that may certify this host, or use a host name that the issuer allows";
    &["PathLenConstraintViolated"] =>
        "comes through more intermediate authorities than one of them allows (path length)",
        "Have the certificate issued by an authority further up, or name the intermediate authority that issued it in ca_file";
    &["EndEntityUsedAsCa"] =>
        "was issued with a certificate that is not an authority's",
        "Have the certificate issued by an authority: one whose own certificate has CA:TRUE in its basic constraints";
    &["InvalidPurpose", "certificate had invalid extensions"] => NOT_FOR_SERVERS, FOR_SERVERS;
    &["EmptyEkuExtension"] => "has an empty extended key usage", FOR_SERVERS;
    &["UnknownRevocationStatus", "ExpiredRevocationList", "InvalidOcspResponse"] =>
        NOT_CHECKED,
        REACH_LIST;
    &["UnhandledCriticalExtension", "UnsupportedCriticalExtension"] =>
        "has a critical extension that is not known here",
        REISSUE;
    &["UnsupportedCertVersion"] =>
        "is an X.509 version 1 certificate, which has no host names",
        "Have the certificate reissued as version 3 with the host name in subjectAltName";
    &["UnsupportedKey"] =>
        "was signed with a key of a kind that is not supported, such as P-521",
        "Use an authority with an RSA key of at least 2048 bits, or a P-256 or P-384 key";
    &["MaximumPath", "MaximumSignatureChecksExceeded"] =>
        "comes with too many certificates to be checked",
        "Have the server send its own certificate, then the intermediate ones, and nothing else";
    &["MaximumNameConstraintComparisonsExceeded"] => "has too many names to be checked", REISSUE;
    &["BadEncoding", "BadDer"] => "is not well-formed", MALFORMED;
    &["MalformedDnsIdentifier"] => "has a malformed host name", MALFORMED;
    &["MalformedExtensions"] => "has malformed extensions", MALFORMED;
    &["ExtensionValueInvalid"] => "has a malformed extension", MALFORMED;
    &["InvalidSerialNumber"] => "has a malformed serial number", MALFORMED;
    &["SignatureAlgorithmMismatch"] =>
        "contradicts itself about the algorithm of its signature",
        MALFORMED;
    &["MalformedNameConstraint", "InvalidNetworkMaskConstraint"] =>
        "comes from an issuer with malformed name constraints",
        MALFORMED;
};

const NOT_FOR_SERVERS: &str =
    "is not for servers (its extended key usage, or its issuer's, lacks serverAuth)";
const FOR_SERVERS: &str =
    "Have the certificate reissued for server authentication (in AD CS by the template Web Server)";
const NOT_CHECKED: &str = "cannot be checked for revocation";
const REACH_LIST: &str = "Let this machine reach the revocation lists that the certificate names, and have the issuer keep them current";
const MALFORMED: &str = "Have the certificate reissued with other software";

fn defect(name: &str) -> Option<(&'static str, &'static str)> {
    let is_meant = |names: &[&str]| names.iter().any(|start| name.starts_with(start));
    let known = DEFECTS.iter().find(|(names, ..)| is_meant(names));
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

pub(super) fn refused(refusal: &Refusal, place: &str) -> Error {
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
            "is a certificate authority's certificate, which a server cannot use".to_owned()
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
            "The server's own certificate is not the cause: have its authority renew the intermediate one and the server send the new one, or set ca_file to a PEM file with a current certificate of \"{issuer}\"; {pin} accepts exactly the server's certificate, from any issuer."
        ),
        Why::Expired => format!(
            "Renew the certificate on the server; until then {pin} accepts exactly this one."
        ),
        Why::NotYetValid => {
            let begin = refusal.culprit.as_ref().map_or(not_before, |issuer| &issuer.not_before);
            format!(
                "Check this machine's date; the certificate begins on {begin}. {pin} accepts the server's certificate now."
            )
        }
        Why::Algorithm(_) | Why::ShortKey(_) => {
            let whose = if refusal.culprit.is_some() {
                "the intermediate certificate"
            } else {
                "the certificate"
            };
            format!(
                "Have {whose} reissued with SHA-256 and an RSA key of at least 2048 bits, or a P-256 or P-384 key (AD CS: certutil -setreg ca\\csp\\CNGHashAlgorithm SHA256, then renew). Until then {pin} accepts exactly the server's certificate."
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
            "If the server's certificate was renewed (ask its administrator, do not guess), add {sha256} to tls_pin_sha256; otherwise someone may be intercepting the connection to the server."
        ),
        Why::NoAuthorities => format!(
            "Install the system's certificate authorities (package ca-certificates), or set ca_file, or {pin} to trust exactly this certificate."
        ),
        Why::Unproven(_) if (1..2048).contains(&refusal.certificate.rsa_bits) => {
            "Have the certificate reissued with an RSA key of at least 2048 bits, or a P-256 or P-384 key. No option accepts such a short key.".to_owned()
        }
        Why::Unproven(_) => "The server does not have the key of the certificate that it shows: it is not the real server, or its certificate and key do not match. No option accepts that.".to_owned(),
        Why::Other(name) if name.starts_with("Revoked") => {
            "Its issuer revoked it, perhaps because its key was exposed: replace the certificate on the server.".to_owned()
        }
        Why::Other(_) if *is_authority => format!(
            "If this is your server's certificate, set {pin} to trust exactly it, or issue a certificate for the server that is not an authority's."
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
    use rustls::{CertificateError, Error as E, OtherError};

    use super::super::tests::in_plain_words;
    use super::*;

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
        let defects = DEFECTS
            .iter()
            .flat_map(|(names, what, _)| names.iter().map(|name| (*name, *what)));
        for (name, says) in defects.chain([
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
    }

    #[test]
    fn a_key_that_is_too_short_to_prove_anything_is_named() {
        let mut short = refusal(CertificateError::Revoked);
        (short.why, short.certificate.rsa_bits) = (Why::Unproven(String::new()), 1024);
        let error = refused(&short, "p21.example:443");
        assert!(
            error.message().contains("has an RSA key of 1024 bits"),
            "{error}"
        );
        assert!(error.hint().contains("at least 2048 bits"), "{error}");
    }
}
