//! Trust: what is accepted, what is refused, and what a refusal says.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use p21auth::Code;
use p21auth::internal::http::{HttpTransport, Limits, Transport as _};
use p21auth::internal::options::{Pin, TransportSettings};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::server::ResolvesServerCertUsingSni;

use crate::{LONG, MAX_BODY, fails, request, send, settings};
use test_support::identity::{Ca, Identity};
use test_support::server::{Server, until_closed};

pub(super) fn pinned(identity: &Identity) -> TransportSettings {
    let mut settings = settings();
    settings.tls.pins = vec![Pin([0; 32]), identity.pin()];
    settings
}

pub(super) fn unverified() -> TransportSettings {
    let mut settings = settings();
    settings.tls.verify = false;
    settings
}

pub(super) fn trusting(pem: &str) -> (TransportSettings, tempfile::NamedTempFile) {
    let mut file = tempfile::NamedTempFile::new().expect("file");
    file.write_all(pem.as_bytes()).expect("written");
    let mut settings = settings();
    settings.tls.ca_file = Some(file.path().to_owned());
    (settings, file)
}

#[track_caller]
pub(super) fn answers(settings: &TransportSettings, server: &Server) {
    let response = send(settings, &server.url("https")).expect("a response");
    assert_eq!(response.status, 200);
}

#[test]
fn a_private_authority_is_refused_with_the_way_to_trust_it() {
    let ca = Ca::new();
    let identity = Identity::new(&["127.0.0.1", "p21.example"], |_| (), Some(&ca));
    let server = Server::tls(identity.config());
    let place = server.address.to_string();
    let error = fails(
        send(&settings(), &server.url("https")),
        Code::Tls,
        &[
            &place,
            "issuer that is not trusted",
            "CN=P21 middleware",
            "CN=Company Root",
            "127.0.0.1",
            "p21.example",
            "to 2040-12-31",
            &identity.sha256(),
        ],
        &[
            "ca_file",
            "CN=Company Root",
            &format!("tls_pin_sha256={}", identity.sha256()),
        ],
    );
    assert!(!error.is_retryable());
    answers(&trusting(&ca.pem).0, &server);
    answers(&pinned(&identity), &server);
    answers(&unverified(), &server);
}

#[test]
fn a_self_signed_certificate_is_told_and_can_be_trusted_by_either_option() {
    let identity = Identity::self_signed(&["127.0.0.1"]);
    let server = Server::tls(identity.config());
    fails(
        send(&settings(), &server.url("https")),
        Code::Tls,
        &["is self-signed", &identity.sha256()],
        &["tls_pin_sha256=", "ca_file"],
    );
    answers(&trusting(&identity.pem).0, &server);
    answers(&pinned(&identity), &server);
}

#[test]
fn an_authority_renewed_under_its_old_name_is_told() {
    let identity = Identity::new(&["127.0.0.1"], |_| (), Some(&Ca::new()));
    let server = Server::tls(identity.config());
    // With a key of the same kind, and of another.
    let other_kind = KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("key");
    for old in [Ca::new(), Ca::with(other_kind)] {
        fails(
            send(&trusting(&old.pem).0, &server.url("https")),
            Code::Tls,
            &["not signed by the authority of its issuer's name"],
            &["renewed", "CN=Company Root", "ca_file", &identity.sha256()],
        );
    }
}

#[test]
fn a_self_signed_certificate_with_the_name_of_an_authority_is_told_as_what_it_is() {
    let rename = |params: &mut CertificateParams| {
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "Company Root");
    };
    let identity = Identity::new(&["127.0.0.1"], rename, None);
    let server = Server::tls(identity.config());
    for ca in [
        Ca::new(),
        Ca::with(KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("key")),
    ] {
        fails(
            send(&trusting(&ca.pem).0, &server.url("https")),
            Code::Tls,
            &["is self-signed", &identity.sha256()],
            &["tls_pin_sha256=", "ca_file"],
        );
    }
}

#[test]
fn an_expired_certificate_says_since_when() {
    let ca = Ca::new();
    let expire = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2019, 1, 2);
        params.not_after = date_time_ymd(2020, 3, 4);
    };
    let identity = Identity::new(&["127.0.0.1"], expire, Some(&ca));
    let server = Server::tls(identity.config());
    fails(
        send(&trusting(&ca.pem).0, &server.url("https")),
        Code::Tls,
        &["has expired", "from 2019-01-02 to 2020-03-04"],
        &["Renew", &identity.sha256()],
    );
    answers(&pinned(&identity), &server);
}

#[test]
fn a_certificate_from_the_future_points_at_the_clock() {
    let ca = Ca::new();
    let future = |params: &mut CertificateParams| params.not_before = date_time_ymd(2039, 5, 6);
    let identity = Identity::new(&["127.0.0.1"], future, Some(&ca));
    let server = Server::tls(identity.config());
    fails(
        send(&trusting(&ca.pem).0, &server.url("https")),
        Code::Tls,
        &["not valid yet"],
        &["date", "2039-05-06"],
    );
}

#[test]
fn a_certificate_for_another_host_lists_its_names() {
    let ca = Ca::new();
    let identity = Identity::new(&["p21.example", "10.9.8.7"], |_| (), Some(&ca));
    let server = Server::tls(identity.config());
    fails(
        send(&trusting(&ca.pem).0, &server.url("https")),
        Code::Tls,
        &["not for the host 127.0.0.1", "p21.example, 10.9.8.7"],
        &["base_url", "p21.example, 10.9.8.7", &identity.sha256()],
    );
    answers(&pinned(&identity), &server);
}

#[test]
fn an_authoritys_certificate_on_a_server_can_only_be_pinned() {
    let authority = |params: &mut CertificateParams| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    };
    let identity = Identity::new(&["127.0.0.1"], authority, None);
    let server = Server::tls(identity.config());
    fails(
        send(&trusting(&identity.pem).0, &server.url("https")),
        Code::Tls,
        &["authority's certificate"],
        &[&format!("tls_pin_sha256={}", identity.sha256())],
    );
    answers(&pinned(&identity), &server);
}

#[test]
fn a_pinned_client_accepts_nothing_else() {
    let ca = Ca::new();
    let identity = Identity::new(&["127.0.0.1"], |_| (), Some(&ca));
    let server = Server::tls(identity.config());
    let mut settings = trusting(&ca.pem).0;
    settings.tls.ca_file = None;
    settings.tls.pins = vec![Pin([7; 32])];
    fails(
        send(&settings, &server.url("https")),
        Code::Tls,
        &["none of those in tls_pin_sha256", &identity.sha256()],
        &["renewed", &identity.sha256()],
    );
}

#[test]
fn a_replayed_certificate_is_never_accepted() {
    let identity = Identity::self_signed(&["127.0.0.1"]);
    let thief = KeyPair::generate().expect("key");
    for versions in [&[&rustls::version::TLS12], &[&rustls::version::TLS13]] {
        let server = Server::tls(identity.config_with(&thief, versions));
        let (by_file, _file) = trusting(&identity.pem);
        for settings in [pinned(&identity), unverified(), by_file] {
            fails(
                send(&settings, &server.url("https")),
                Code::Tls,
                &["not proven", &identity.sha256()],
                &["No option accepts that"],
            );
            assert!(server.heads().is_empty(), "no request was sent");
        }
        // The same server with its own key is fine: it is the signature that was refused.
        answers(
            &pinned(&identity),
            &Server::tls(identity.config_with(&identity.key, versions)),
        );
    }
}

#[test]
fn a_ca_file_that_cannot_be_used_fails_at_once() {
    let mut settings = settings();
    settings.tls.ca_file = Some(Path::new("/nonexistent/p21-ca.pem").to_owned());
    fails(
        send(&settings, "https://127.0.0.1:9"),
        Code::Config,
        &["ca_file", "/nonexistent/p21-ca.pem"],
        &["PEM"],
    );
}

#[test]
fn connections_at_the_same_time_show_their_own_certificate() {
    let identities: Vec<Identity> = (0..6)
        .map(|_| Identity::self_signed(&["127.0.0.1"]))
        .collect();
    let servers: Vec<Server> = identities
        .iter()
        .map(|identity| Server::tls(identity.config()))
        .collect();
    let transport = HttpTransport::new(&settings()).expect("transport");
    std::thread::scope(|scope| {
        for (identity, server) in identities.iter().zip(&servers) {
            let transport = &transport;
            scope.spawn(move || {
                for _ in 0..5 {
                    let outcome = transport
                        .send(&request(&server.url("https")), &Limits::new(LONG, MAX_BODY));
                    let place = server.address.to_string();
                    fails(
                        outcome,
                        Code::Tls,
                        &[&place, &identity.sha256()],
                        &[&identity.sha256()],
                    );
                }
            });
        }
    });
}

#[test]
fn plain_http_on_the_https_port_is_told() {
    let server = Server::raw(|mut stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        until_closed(&mut stream);
    });
    fails(
        send(&settings(), &server.url("https")),
        Code::Tls,
        &["not in TLS"],
        &["Check the port", "allow_http=1"],
    );
}

#[test]
fn https_on_the_http_port_is_told() {
    let server = Server::tls(Identity::self_signed(&["127.0.0.1"]).config());
    let error = send(&settings(), &server.url("http")).expect_err("no http there");
    assert_eq!(error.code(), Code::Io, "{error}");
    assert!(error.hint().contains("https"), "{error}");
}

#[test]
fn servers_with_old_tls_are_told() {
    // The fatal alerts protocol_version and handshake_failure.
    for alert in [
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"\x15\x03\x03\x00\x02\x02\x28",
    ] {
        let server = Server::raw(move |mut stream, _| {
            let _ = stream.write_all(alert);
            until_closed(&mut stream);
        });
        fails(
            send(&settings(), &server.url("https")),
            Code::Tls,
            &["no common TLS version"],
            &["old TLS", "Windows Server"],
        );
    }
}

#[test]
fn a_handshake_that_is_cut_is_told() {
    let server = Server::raw(|mut stream, _| {
        let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
    });
    let error = fails(
        send(&settings(), &server.url("https")),
        Code::Tls,
        &["broke the connection during the TLS handshake"],
        &["old TLS", "firewall"],
    );
    assert!(error.is_retryable());
}

#[test]
fn a_handshake_that_hangs_ends_with_the_connect_timeout() {
    let server = Server::raw(|mut stream, _| until_closed(&mut stream));
    let mut settings = settings();
    settings.connect_timeout_ms = 300;
    let error = fails(
        send(&settings, &server.url("https")),
        Code::Tls,
        &["does not complete a TLS handshake", "within 300 ms"],
        &["may not speak TLS", "firewall", "MTU"],
    );
    assert!(error.is_retryable());
}

#[test]
fn a_host_that_is_not_served_is_told() {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()));
    let server = Server::tls(config);
    fails(
        send(&settings(), &server.url("https")),
        Code::Tls,
        &[&server.address.to_string()],
        &[],
    );
}
