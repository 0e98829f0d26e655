//! Whom to trust over TLS: the rustls configuration and the verifier in it.
//!
//! No matter what is trusted, the signature over the handshake is always verified: a certificate is public, so accepting one
//! without proof of its key would let anyone who has seen it pose as the server.
//!
//! Authorities are renewed while a process runs. Each flight compares the files that name them ([`Trust::refresh`]), and the
//! verifier, which lives as long as the HTTP client, judges by what was read last.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, Tls12Resumption};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, SignatureScheme};
use sha2::{Digest as _, Sha256};

#[cfg(windows)]
use super::authorities_windows::Authorities;
use super::bundle::{self, Bundle, Place};
use super::certificate::Certificate;
use super::progress::{self, NoSessions};
use super::refusal::{Refusal, Why, in_words, name_of};
use super::system_trust;
#[cfg(not(windows))]
use super::system_trust::Authorities;
use crate::error::{Code, Error, Result};
use crate::fork::Guarded;
use crate::log::{self, Level};
use crate::options::{Pin, TlsTrust};

/// A flight that has authorities already waits no longer than this for a file to be compared.
const COMPARE_LIMIT: Duration = Duration::from_secs(1);

/// Whom one transport, or one store, trusts.
pub(crate) struct Trust {
    tls: TlsTrust,
    provider: Arc<CryptoProvider>,
    places: Vec<Place>,
    current: ArcSwapOption<Judged>,
    /// Certificates refused for lack of an authority.
    lacks: AtomicU64,
    /// As many as there were when the files were read last.
    answered: AtomicU64,
}

/// A judge, and what it was made of.
#[derive(Debug)]
struct Judged {
    judge: Judge,
    bundles: Vec<Arc<Bundle>>,
}

impl Trust {
    /// The trust of these settings. Reads the variables that name authorities, and no file yet.
    pub(crate) fn new(tls: &TlsTrust) -> Arc<Trust> {
        let mut places = Vec::new();
        if tls.verify && tls.pins.is_empty() {
            places.extend(tls.ca_file.clone().map(Place::File));
            places.extend(system_trust::place());
        }
        Arc::new(Trust {
            tls: tls.clone(),
            provider: Arc::new(rustls::crypto::ring::default_provider()),
            places,
            current: ArcSwapOption::empty(),
            lacks: AtomicU64::new(0),
            answered: AtomicU64::new(0),
        })
    }

    /// Says what is wrong with `ca_file`, whether or not it will be needed.
    ///
    /// # Errors
    ///
    /// `Config` when it cannot be used; `Timeout` when it cannot be read by the deadline.
    pub(super) fn check(&self, deadline: Instant) -> Result<()> {
        let Some(path) = &self.tls.ca_file else {
            return Ok(());
        };
        let place = Place::File(path.clone());
        bundle::load(&place, false, deadline)
            .map(drop)
            .map_err(|unusable| unusable.error(&place))
    }

    /// Whether a certificate was refused for lack of an authority since the files were read last.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.lacks.load(Ordering::Relaxed) != self.answered.load(Ordering::Relaxed)
    }

    /// Reads the authorities if there are none yet, if their files have changed, or if one was lacking since they were read.
    /// Returns whether others are trusted now. A machine without authorities is no error here: plain http needs none, and
    /// the first certificate that meets it says so.
    ///
    /// # Errors
    ///
    /// While there are none yet: `Config` when `ca_file` cannot be used, `Timeout` when a file cannot be read by the deadline.
    pub(crate) fn refresh(&self, deadline: Instant) -> Result<bool> {
        let lacks = self.lacks.load(Ordering::Relaxed);
        let again = self.answered.swap(lacks, Ordering::Relaxed) != lacks;
        let old = self.current.load_full();
        let deadline = match &old {
            Some(_) if self.places.is_empty() => return Ok(false),
            Some(_) => deadline.min(Instant::now() + COMPARE_LIMIT),
            None => deadline,
        };
        let mut bundles = Vec::new();
        for (at, place) in self.places.iter().enumerate() {
            let bundle = match (bundle::load(place, again, deadline), &old) {
                (Ok(bundle), _) => bundle,
                (Err(unusable), None) => return Err(unusable.error(place)),
                // Someone may be writing it just now.
                (Err(unusable), Some(old)) => {
                    let error = unusable.error(place);
                    log::record(Level::Warn, "tls.authorities", error.message());
                    Arc::clone(&old.bundles[at])
                }
            };
            bundles.push(bundle);
        }
        let is_same = |old: &Arc<Judged>| {
            let pairs = old.bundles.iter().zip(&bundles);
            pairs.into_iter().all(|(old, new)| Arc::ptr_eq(old, new))
        };
        if old.as_ref().is_some_and(is_same) {
            return Ok(false);
        }
        let judge = self.judge(&bundles);
        self.current
            .store(Some(Arc::new(Judged { judge, bundles })));
        Ok(true)
    }

    fn judge(&self, bundles: &[Arc<Bundle>]) -> Judge {
        if !self.tls.verify {
            return Judge::Anything;
        }
        if !self.tls.pins.is_empty() {
            return Judge::Pins(self.tls.pins.clone());
        }
        let certificates = bundles.iter().flat_map(|bundle| &bundle.certificates);
        let certificates = certificates.cloned().collect();
        match Authorities::new_with_extra_roots(certificates, Arc::clone(&self.provider)) {
            Ok(authorities) => Judge::Authorities(authorities),
            Err(_) => Judge::NoAuthorities,
        }
    }
}

/// Where a diagnosis finds the certificates that a server showed.
pub(super) type Shown = Arc<Guarded<Vec<CertificateDer<'static>>>>;

/// The configuration for this trust, which is to be [refreshed](Trust::refresh) before a connection.
///
/// # Errors
///
/// `Internal`.
pub(crate) fn client_config(trust: &Arc<Trust>) -> Result<ClientConfig> {
    config_with(trust, None)
}

/// The same; what the server shows is kept in `shown`, no matter what is said of it.
///
/// # Errors
///
/// As [`client_config`].
pub(super) fn config_with(trust: &Arc<Trust>, shown: Option<Shown>) -> Result<ClientConfig> {
    let provider = Arc::clone(&trust.provider);
    let verifier = Arc::new(Verifier {
        trust: Arc::clone(trust),
        algorithms: provider.signature_verification_algorithms,
        shown,
    });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(Code::Internal, format!("TLS cannot be set up: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    // A session that was resumed would not be judged again.
    config.resumption =
        Resumption::store(Arc::new(NoSessions)).tls12_resumption(Tls12Resumption::Disabled);
    Ok(config)
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
struct Verifier {
    trust: Arc<Trust>,
    algorithms: WebPkiSupportedAlgorithms,
    shown: Option<Shown>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({:?})", self.trust.tls)
    }
}

impl Verifier {
    fn refusal(
        &self,
        der: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: Option<&ServerName<'_>>,
        why: impl FnOnce(&Certificate, &[Certificate]) -> (Why, Option<Certificate>),
    ) -> rustls::Error {
        let certificate = Certificate::read(der);
        let issuers: Vec<_> = intermediates
            .iter()
            .map(|der| Certificate::read(der))
            .collect();
        let (why, culprit) = why(&certificate, &issuers);
        let refusal = Refusal {
            certificate,
            why,
            culprit,
            // Its key must be read to verify the handshake, no matter what is trusted.
            is_usable: ParsedCertificate::try_from(der).is_ok(),
            has_intermediates: !intermediates.is_empty(),
            host: host.map(|name| name.to_str().into_owned()),
            ca_file: self.trust.tls.ca_file.clone(),
        };
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refusal))))
    }

    /// The signature over the handshake does not fit, or cannot be verified with such a certificate.
    fn unproven(&self, der: &CertificateDer<'_>, error: &rustls::Error) -> rustls::Error {
        let why = if ParsedCertificate::try_from(der).is_ok() {
            Why::Unproven(in_words(error))
        } else {
            Why::Other(name_of(error))
        };
        self.refusal(der, &[], None, |_, _| (why, None))
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
        if let Some(shown) = &self.shown {
            let chain = std::iter::once(end_entity).chain(intermediates);
            let chain = chain.map(|der| der.clone().into_owned()).collect();
            shown.with(|shown| *shown = chain);
        }
        let refuse = |why: Blame<'_>| {
            let noted = |own: &Certificate, issuers: &[Certificate]| {
                let (why, culprit) = why(own, issuers);
                if matches!(why, Why::UnknownIssuer | Why::OtherKey | Why::NoAuthorities) {
                    self.trust.lacks.fetch_add(1, Ordering::Relaxed);
                }
                (why, culprit)
            };
            Err(self.refusal(end_entity, intermediates, Some(server_name), noted))
        };
        let current = self.trust.current.load();
        let judge = current.as_ref().map(|judged| &judged.judge);
        match judge.unwrap_or(&Judge::NoAuthorities) {
            Judge::Anything => Ok(ServerCertVerified::assertion()),
            Judge::Pins(pins) => {
                let met = Pin(Sha256::digest(end_entity).into());
                if pins.contains(&met) {
                    return Ok(ServerCertVerified::assertion());
                }
                refuse(&|_, _| (Why::NotPinned, None))
            }
            Judge::NoAuthorities => refuse(&|_, _| (Why::NoAuthorities, None)),
            Judge::Authorities(authorities) => {
                let verdict = authorities.verify_server_cert(
                    end_entity,
                    intermediates,
                    server_name,
                    ocsp_response,
                    now,
                );
                verdict.or_else(|error| refuse(&|own, issuers| Why::of(&error, own, issuers)))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
            .map_err(|error| self.unproven(cert, &error))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
            .map_err(|error| self.unproven(cert, &error))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// From the server's certificate and its issuers' to why they are refused, and which issuer's is to blame.
type Blame<'a> = &'a dyn Fn(&Certificate, &[Certificate]) -> (Why, Option<Certificate>);
