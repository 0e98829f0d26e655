//! TLS failures in words: which certificate was met, and which option would trust it.

use std::fmt::Write as _;
use std::path::PathBuf;

use rustls::{AlertDescription, CertificateError, InvalidMessage, OtherError};

use super::certificate::Certificate;
use super::trust::{Refusal, Why};
use crate::error::{Code, Error};

/// The error for a failed handshake with `place` (`host:port`, or the proxy in words).
pub(crate) fn explain(error: &rustls::Error, place: &str) -> Error {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => {
            match inner.downcast_ref::<Refusal>() {
                Some(refusal) => refused(refusal, place),
                None => other(error, place),
            }
        }
        rustls::Error::AlertReceived(
            AlertDescription::ProtocolVersion
            | AlertDescription::HandshakeFailure
            | AlertDescription::InsufficientSecurity,
        )
        | rustls::Error::PeerIncompatible(_) => tls(format!(
            "{place} and this library found no common TLS version and cipher suite ({error})"
        ))
        .with_hint(OLD_TLS),
        rustls::Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => tls(format!("{place} answers, but not in TLS"))
            .with_hint("Check the port: plain http seems to be spoken there, and https needs a port of its own (443, 3443, 8443). With no https at all, base_url=http://… needs allow_http=1."),
        rustls::Error::AlertReceived(AlertDescription::UnrecognisedName) => tls(format!(
            "{place} answers, but does not serve this host name"
        ))
        .with_hint("Check the host name in base_url; the server's administrator sees it in the site's bindings in IIS."),
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => tls(format!(
            "{place} wants a client certificate, which is not supported"
        ))
        .with_hint("Set the site's SSL settings in IIS to ignore client certificates."),
        _ => other(error, place),
    }
}

/// For servers that offer no TLS that this library accepts.
pub(super) const OLD_TLS: &str = "The server may offer only old TLS: on Windows Server enable TLS 1.2 or 1.3 in Schannel, with an ECDHE cipher suite with AES-GCM.";

fn tls(message: String) -> Error {
    Error::new(Code::Tls, message)
}

fn other(error: &rustls::Error, place: &str) -> Error {
    tls(format!("the TLS handshake with {place} failed: {error}"))
}

fn refused(refusal: &Refusal, place: &str) -> Error {
    let certificate = &refusal.certificate;
    let what = match &refusal.why {
        // It may have a trusted authority's name: "localhost" is a popular one.
        Why::UnknownIssuer | Why::OtherKey if certificate.self_signed => {
            "is self-signed".to_owned()
        }
        Why::UnknownIssuer => "comes from an issuer that is not trusted here".to_owned(),
        Why::OtherKey => {
            "is not signed by the authority of its issuer's name that is trusted here".to_owned()
        }
        Why::Expired => "has expired".to_owned(),
        Why::NotYetValid => "is not valid yet".to_owned(),
        Why::WrongName => format!(
            "is not for the host {}",
            refusal.host.as_deref().unwrap_or("asked for")
        ),
        Why::NotPinned => "is none of those in tls_pin_sha256".to_owned(),
        Why::NoAuthorities => {
            "cannot be checked: no certificate authorities were found on this machine".to_owned()
        }
        Why::Unproven(detail) => format!("is not proven to be the server's own ({detail})"),
        Why::Other(_) if certificate.is_authority => {
            "is a certificate authority's own and not fit for a server".to_owned()
        }
        Why::Other(detail) => format!("was not accepted ({detail})"),
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
        Why::Expired => format!(
            "Renew the certificate on the server; until then {pin} accepts exactly this one."
        ),
        Why::NotYetValid => format!(
            "Check this machine's date; the certificate begins on {not_before}. {pin} accepts it already."
        ),
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
        Why::Unproven(_) => "Whoever answered shows a certificate without having its key: this is not the server, or its certificate and key do not fit together. No option accepts that.".to_owned(),
        Why::Other(_) if *is_authority => format!(
            "If this is your server's certificate, set {pin} to trust exactly it, or issue one for the server that is no authority's."
        ),
        Why::Other(_) => format!(
            "If this is your server's certificate, {pin} accepts exactly it."
        ),
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
