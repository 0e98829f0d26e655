//! Whom to trust over TLS: the rustls configuration and the verifier in it.
//!
//! Whatever is trusted, the signature over the handshake is always verified: a certificate is public, so accepting one
//! without proof of its key would let anybody who has seen it pose as the server.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, Tls12Resumption};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
};
#[cfg(not(windows))]
use rustls_platform_verifier::Verifier as Authorities;
use sha2::{Digest as _, Sha256};

#[cfg(windows)]
use super::authorities_windows::Authorities;
use super::certificate::Certificate;
use super::progress::{self, NoSessions};
use crate::error::{Code, Error, Result};
use crate::options::{Pin, TlsTrust};

/// The configuration for these settings. A machine without certificate authorities is no error here: plain http needs
/// none, and the first certificate that meets it says so.
///
/// # Errors
///
/// `Config` when `ca_file` cannot be used.
pub(crate) fn client_config(trust: &TlsTrust) -> Result<ClientConfig> {
    config_with(trust, |verifier| Arc::new(verifier))
}

/// The same with a verifier of the caller's around the one that judges.
///
/// # Errors
///
/// As [`client_config`].
pub(super) fn config_with(
    trust: &TlsTrust,
    around: impl FnOnce(Verifier) -> Arc<dyn ServerCertVerifier>,
) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = around(Verifier {
        judge: judge(trust, &provider)?,
        ca_file: trust.ca_file.clone(),
        algorithms: provider.signature_verification_algorithms,
    });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(Code::Internal, format!("TLS cannot be set up: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.resumption =
        Resumption::store(Arc::new(NoSessions)).tls12_resumption(Tls12Resumption::Disabled);
    Ok(config)
}

/// The certificates in a PEM file, each fit to be an authority.
///
/// # Errors
///
/// `Config`, naming `ca_file`, when it cannot be read, holds no certificate or one that cannot be understood.
pub(super) fn read_ca_file(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let fault = |what: String| {
        Error::new(Code::Config, format!("ca_file: {} {what}", path.display()))
            .with_hint("ca_file is a PEM file: base64 text between BEGIN CERTIFICATE and END CERTIFICATE. A DER file (.cer) becomes one by: openssl x509 -inform der -in file.cer -out file.pem")
    };
    let bytes = std::fs::read(path).map_err(|error| fault(format!("cannot be read: {error}")))?;
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(text)
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| fault(format!("is not well-formed PEM: {error}")))?;
    if certificates.is_empty() {
        return Err(fault("holds no certificate".to_owned()));
    }
    for (index, certificate) in certificates.iter().enumerate() {
        RootCertStore::empty()
            .add(certificate.clone())
            .map_err(|error| {
                fault(format!(
                    "holds a certificate (number {}) that cannot be used: {error}",
                    index + 1
                ))
            })?;
    }
    Ok(certificates)
}

fn judge(trust: &TlsTrust, provider: &Arc<CryptoProvider>) -> Result<Judge> {
    if !trust.verify {
        return Ok(Judge::Anything);
    }
    if !trust.pins.is_empty() {
        return Ok(Judge::Pins(trust.pins.clone()));
    }
    let extra = match &trust.ca_file {
        Some(path) => read_ca_file(path)?,
        None => Vec::new(),
    };
    Ok(
        match Authorities::new_with_extra_roots(extra, Arc::clone(provider)) {
            Ok(authorities) => Judge::Authorities(authorities),
            Err(_) => Judge::NoAuthorities,
        },
    )
}

/// How a server's certificate is judged.
#[derive(Debug)]
enum Judge {
    /// By the operating system's authorities and those of `ca_file`.
    Authorities(Authorities),
    /// The operating system has none.
    NoAuthorities,
    /// By its SHA-256 alone.
    Pins(Vec<Pin>),
    /// Any will do.
    Anything,
}

/// Judges certificates, and puts what it saw into the error of the one connection that failed.
#[derive(Debug)]
pub(super) struct Verifier {
    judge: Judge,
    ca_file: Option<PathBuf>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    fn refusal(
        &self,
        der: &CertificateDer<'_>,
        has_intermediates: bool,
        host: Option<&ServerName<'_>>,
        why: Why,
    ) -> rustls::Error {
        let refusal = Refusal {
            certificate: Certificate::read(der),
            why,
            has_intermediates,
            host: host.map(|name| name.to_str().into_owned()),
            ca_file: self.ca_file.clone(),
        };
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refusal))))
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        progress::certificate_came();
        let why = match &self.judge {
            Judge::Anything => return Ok(ServerCertVerified::assertion()),
            Judge::Pins(pins) => {
                let met = Pin(Sha256::digest(end_entity).into());
                if pins.contains(&met) {
                    return Ok(ServerCertVerified::assertion());
                }
                Why::NotPinned
            }
            Judge::NoAuthorities => Why::NoAuthorities,
            Judge::Authorities(authorities) => {
                match authorities.verify_server_cert(
                    end_entity,
                    intermediates,
                    server_name,
                    ocsp_response,
                    now,
                ) {
                    Ok(verified) => return Ok(verified),
                    Err(error) => Why::of(&error),
                }
            }
        };
        Err(self.refusal(
            end_entity,
            !intermediates.is_empty(),
            Some(server_name),
            why,
        ))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
            .map_err(|error| self.refusal(cert, true, None, Why::Unproven(error.to_string())))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
            .map_err(|error| self.refusal(cert, true, None, Why::Unproven(error.to_string())))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

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
    /// The server did not prove that it has the certificate's key.
    Unproven(String),
    Other(String),
}

impl Why {
    fn of(error: &rustls::Error) -> Why {
        let rustls::Error::InvalidCertificate(error) = error else {
            return Why::Other(error.to_string());
        };
        match error {
            CertificateError::UnknownIssuer => Why::UnknownIssuer,
            // The second when the key is of another kind, such as RSA where the signature is by ECDSA.
            CertificateError::BadSignature
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                Why::OtherKey
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Why::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Why::NotYetValid
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Why::WrongName
            }
            // In its own words: rustls shows it as Rust code.
            CertificateError::Other(OtherError(inner)) => Why::Other(inner.to_string()),
            other => Why::Other(other.to_string()),
        }
    }
}

/// A certificate that was not accepted. It travels inside the connection's own error, so that connections made at the
/// same time never show each other's certificate.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) certificate: Certificate,
    pub(super) why: Why,
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn ca_file(content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("temporary file");
        file.write_all(content).expect("written");
        file
    }

    #[test]
    fn a_ca_file_without_a_certificate_says_so() {
        for (content, says) in [
            (b"".as_slice(), "holds no certificate"),
            (b"\x30\x82\x01\x02", "holds no certificate"),
            (
                b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "number 1",
            ),
            (
                b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
                "not well-formed PEM",
            ),
        ] {
            let file = ca_file(content);
            let error = read_ca_file(file.path()).expect_err("no certificate");
            assert_eq!(error.code(), Code::Config);
            assert!(error.message().starts_with("ca_file: "), "{error}");
            assert!(error.message().contains(says), "{error}");
            assert!(error.hint().contains("openssl x509"), "{error}");
        }
    }

    #[test]
    fn a_missing_ca_file_is_named() {
        let error = read_ca_file(Path::new("/nonexistent/ca.pem")).expect_err("missing");
        assert!(
            error
                .message()
                .contains("/nonexistent/ca.pem cannot be read"),
            "{error}"
        );
    }

    #[test]
    fn a_byte_order_mark_does_not_matter() {
        let certified =
            rcgen::generate_simple_self_signed(["p21.example".to_owned()]).expect("certificate");
        let pem = format!("\u{feff}# our CA\n{}", certified.cert.pem());
        let read = read_ca_file(ca_file(pem.as_bytes()).path()).expect("read");
        assert_eq!(read, [certified.cert.der().clone()]);
    }
}
