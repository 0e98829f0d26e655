//! A certificate authority of the emulator's own, made again at each start.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::options::Certificate;
use super::text::sha256_hex;

/// The server's side of TLS and what a client needs to trust or pin it.
pub(super) struct Identity {
    pub config: Arc<ServerConfig>,
    pub ca_pem: String,
    pub leaf_sha256: String,
}

impl Identity {
    pub fn make(kind: Certificate) -> io::Result<Self> {
        build(kind).map_err(io::Error::other)
    }
}

fn build(kind: Certificate) -> Result<Identity, Box<dyn std::error::Error + Send + Sync>> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.distinguished_name
        .push(DnType::CommonName, "P21 emulator CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    validity(&mut ca);
    let ca_pem = ca.self_signed(&ca_key)?.pem();

    let leaf_key = KeyPair::generate()?;
    let names: &[&str] = match kind {
        Certificate::WrongHost => &["p21.example.invalid"],
        _ => &["localhost", "127.0.0.1", "::1"],
    };
    let mut leaf =
        CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>())?;
    leaf.distinguished_name.push(DnType::CommonName, names[0]);
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    validity(&mut leaf);
    if kind == Certificate::Expired {
        leaf.not_before = date_time_ymd(2020, 1, 1);
        leaf.not_after = date_time_ymd(2021, 1, 1);
    }
    let leaf = if kind == Certificate::SelfSigned {
        leaf.self_signed(&leaf_key)?
    } else {
        // Strict verifiers (Python 3.13) insist on an authority key identifier.
        leaf.use_authority_key_identifier_extension = true;
        leaf.signed_by(&leaf_key, &Issuer::new(ca, ca_key))?
    };

    let leaf_sha256 = sha256_hex(leaf.der());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
    let mut config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Identity {
        config: Arc::new(config),
        ca_pem,
        leaf_sha256,
    })
}

/// A day back for clocks that differ, and a year ahead: some verifiers refuse longer ones.
fn validity(params: &mut CertificateParams) {
    const DAY: Duration = Duration::from_hours(24);
    let now = SystemTime::now();
    params.not_before = (now - DAY).into();
    params.not_after = (now + 365 * DAY).into();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_can_be_made() {
        for kind in [
            Certificate::Good,
            Certificate::SelfSigned,
            Certificate::Expired,
            Certificate::WrongHost,
        ] {
            let identity = Identity::make(kind).unwrap();
            assert!(identity.ca_pem.starts_with("-----BEGIN CERTIFICATE-----"));
            assert_eq!(identity.leaf_sha256.len(), 64);
        }
    }
}
