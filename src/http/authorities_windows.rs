//! The operating system's authorities together with those of `ca_file`, on Windows.
//!
//! There the system takes roots alone as further authorities; `ca_file` often holds the issuing authority of a company,
//! which another one signed. And it looks for what it does not know on the network, which takes long where there is none.
//! So the file's authorities judge first, by the rules that hold on Linux, and the system after them.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{ServerCertVerified, ServerCertVerifier as _};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, Error, RootCertStore};
use rustls_platform_verifier::Verifier;
use windows_sys::Win32::Foundation::CERT_E_CHAINING;

#[derive(Debug)]
pub(super) struct Authorities {
    system: Verifier,
    file: Option<Arc<WebPkiServerVerifier>>,
}

impl Authorities {
    /// As the platform verifier's function of this name.
    pub(super) fn new_with_extra_roots(
        extra: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        for certificate in extra {
            roots.add(certificate)?;
        }
        let file = if roots.is_empty() {
            None
        } else {
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map(Some)
                .map_err(|error| Error::General(error.to_string()))?
        };
        let system = Verifier::new(provider)?;
        Ok(Self { system, file })
    }

    /// As rustls' function of this name.
    pub(super) fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let by_file = self.file.as_ref().map_or(Err(unknown.clone()), |file| {
            file.verify_server_cert(end_entity, intermediates, name, ocsp, now)
        });
        by_file.or_else(|by_file| {
            self.system
                .verify_server_cert(end_entity, intermediates, name, ocsp, now)
                .map_err(|by_system| {
                    if by_file != unknown {
                        by_file
                    } else if leads_nowhere(&by_system) {
                        unknown
                    } else {
                        by_system
                    }
                })
        })
    }
}

/// Whether no known authority was found at the end of the chain. The platform verifier has a value of its own for a root
/// that is not trusted, but only the system's text for one that was not even sent.
fn leads_nowhere(error: &Error) -> bool {
    error
        .to_string()
        .contains(&format!("(os error {CERT_E_CHAINING})"))
}
