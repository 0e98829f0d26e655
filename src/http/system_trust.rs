//! The authorities of the operating system: files on Linux and its like, a service of the system on Windows and macOS.

#[cfg(not(windows))]
pub(super) use imp::Authorities;
pub(super) use imp::place;

#[cfg(all(unix, not(target_vendor = "apple"), not(target_os = "android")))]
mod imp {
    use std::env;
    use std::path::PathBuf;
    use std::sync::Arc;

    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::{ServerCertVerified, ServerCertVerifier as _};
    use rustls::crypto::CryptoProvider;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{Error, OtherError, RootCertStore};

    use crate::http::bundle::Place;

    /// Where distributions have the bundle of all authorities; the first that exists is read.
    const FILES: [&str; 9] = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/pki/tls/cacert.pem",
        "/etc/ssl/cert.pem",
        "/opt/etc/ssl/certs/ca-certificates.crt",
        "/usr/local/etc/ssl/cert.pem",
        "/usr/local/share/certs/ca-root-nss.crt",
    ];

    /// Where they have a file for each; all are read.
    const FOLDERS: [&str; 4] = [
        "/etc/ssl/certs",
        "/etc/pki/tls/certs",
        "/usr/local/share/certs",
        "/etc/openssl/certs",
    ];

    /// By `SSL_CERT_FILE` and `SSL_CERT_DIR`, unless the program is set-uid; else where distributions have them.
    #[allow(clippy::unnecessary_wraps, reason = "other systems have none")]
    pub(in super::super) fn place() -> Option<Place> {
        let is_ours = !crate::sys::is_set_uid();
        let variable = |name| env::var_os(name).filter(|value| is_ours && !value.is_empty());
        let file = variable("SSL_CERT_FILE").map(PathBuf::from);
        let folders: Vec<PathBuf> = variable("SSL_CERT_DIR")
            .iter()
            .flat_map(env::split_paths)
            .filter(|path| !path.as_os_str().is_empty())
            .collect();
        let is_named = file.is_some() || !folders.is_empty();
        Some(if is_named {
            Place::System {
                files: file.into_iter().collect(),
                folders,
                is_named,
            }
        } else {
            Place::System {
                files: FILES.map(PathBuf::from).to_vec(),
                folders: FOLDERS.map(PathBuf::from).to_vec(),
                is_named,
            }
        })
    }

    /// Judges by certificates that were read.
    #[derive(Debug)]
    pub(in super::super) struct Authorities(Arc<WebPkiServerVerifier>);

    impl Authorities {
        /// By all of `certificates`, as far as they can be used.
        pub(in super::super) fn new_with_extra_roots(
            certificates: Vec<CertificateDer<'static>>,
            provider: Arc<CryptoProvider>,
        ) -> Result<Self, Error> {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates);
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map(Authorities)
                .map_err(|error| Error::Other(OtherError(Arc::new(error))))
        }

        /// As rustls' function of this name.
        pub(in super::super) fn verify_server_cert(
            &self,
            end_entity: &CertificateDer<'_>,
            intermediates: &[CertificateDer<'_>],
            name: &ServerName<'_>,
            ocsp: &[u8],
            now: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            self.0
                .verify_server_cert(end_entity, intermediates, name, ocsp, now)
        }
    }
}

#[cfg(not(all(unix, not(target_vendor = "apple"), not(target_os = "android"))))]
mod imp {
    #[cfg(not(windows))]
    pub(in super::super) use rustls_platform_verifier::Verifier as Authorities;

    use crate::http::bundle::Place;

    /// In no file.
    pub(in super::super) fn place() -> Option<Place> {
        None
    }
}
