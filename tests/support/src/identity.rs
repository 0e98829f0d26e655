//! Certificates made for one test.

use std::sync::Arc;

use p21auth::internal::options::Pin;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion};
use sha2::{Digest as _, Sha256};

/// A certificate with its key.
pub struct Identity {
    pub der: CertificateDer<'static>,
    pub pem: String,
    pub key: KeyPair,
}

impl Identity {
    pub fn new(
        names: &[&str],
        adjust: impl FnOnce(&mut CertificateParams),
        ca: Option<&Ca>,
    ) -> Identity {
        let key = KeyPair::generate().expect("key");
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params
            .distinguished_name
            .push(DnType::CommonName, "P21 middleware");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_after = date_time_ymd(2040, 12, 31);
        adjust(&mut params);
        let certificate = match ca {
            Some(ca) => params.signed_by(&key, &ca.issuer),
            None => params.self_signed(&key),
        }
        .expect("certificate");
        Identity {
            der: certificate.der().clone(),
            pem: certificate.pem(),
            key,
        }
    }

    pub fn self_signed(names: &[&str]) -> Identity {
        Identity::new(names, |_| (), None)
    }

    pub fn sha256(&self) -> String {
        p21auth::internal::secret::hex(&Sha256::digest(&self.der))
    }

    pub fn pin(&self) -> Pin {
        Pin(Sha256::digest(&self.der).into())
    }

    pub fn config(&self) -> ServerConfig {
        self.config_with(&self.key, rustls::ALL_VERSIONS)
    }

    /// Shows this certificate but signs with `key`.
    pub fn config_with(
        &self,
        key: &KeyPair,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ServerConfig {
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("key");
        config_of(vec![self.der.clone()], &key, versions)
    }
}

/// Shows these certificates, the server's own first, and signs with `key`.
///
/// # Panics
///
/// If the key cannot be used.
pub fn config_of(
    chain: Vec<CertificateDer<'static>>,
    key: &PrivateKeyDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
) -> ServerConfig {
    let key = rustls::crypto::ring::sign::any_supported_type(key).expect("key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Always(Arc::new(CertifiedKey::new(chain, key)))))
}

/// Shows its certificate to everyone, whether or not it fits the key.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl rustls::server::ResolvesServerCert for Always {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// A certificate authority.
pub struct Ca {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    pub fn new() -> Ca {
        Ca::with(KeyPair::generate().expect("key"))
    }

    pub fn with(key: KeyPair) -> Ca {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "Company Root");
        let pem = params.self_signed(&key).expect("certificate").pem();
        Ca {
            pem,
            issuer: Issuer::new(params, key),
        }
    }
}
