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

use crate::{LONG, MAX_BODY, SHORT, fails, in_child, request, send, send_within, settings};
use test_support::identity::{Ca, Identity};
use test_support::server::{OK, Server, until_closed};

fn pinned(identity: &Identity) -> TransportSettings {
    let mut settings = settings();
    settings.tls.pins = vec![Pin([0; 32]), identity.pin()];
    settings
}

fn unverified() -> TransportSettings {
    let mut settings = settings();
    settings.tls.verify = false;
    settings
}

fn trusting(pem: &str) -> (TransportSettings, tempfile::NamedTempFile) {
    let mut file = tempfile::NamedTempFile::new().expect("file");
    file.write_all(pem.as_bytes()).expect("written");
    let mut settings = settings();
    settings.tls.ca_file = Some(file.path().to_owned());
    (settings, file)
}

#[track_caller]
fn answers(settings: &TransportSettings, server: &Server) {
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
        &["authority's own"],
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

#[test]
fn without_authorities_on_the_machine_only_https_by_issuer_fails() {
    if !in_child(
        "tls::without_authorities_on_the_machine_only_https_by_issuer_fails",
        &[
            ("SSL_CERT_FILE", "/nonexistent/bundle.pem"),
            ("SSL_CERT_DIR", "/nonexistent"),
        ],
    ) {
        return;
    }
    let identity = Identity::self_signed(&["127.0.0.1"]);
    let server = Server::tls(identity.config());
    fails(
        send(&settings(), &server.url("https")),
        Code::Tls,
        &[
            "no certificate authorities were found on this machine",
            &identity.sha256(),
        ],
        &["ca-certificates", "ca_file", "SSL_CERT_FILE is set"],
    );
    answers(&trusting(&identity.pem).0, &server);
    answers(&pinned(&identity), &server);
    answers(&unverified(), &server);
    let plain = Server::answering(OK);
    send(&settings(), &plain.url("http")).expect("plain http needs no authority");
}

#[test]
fn bundles_of_other_programs_are_mentioned() {
    if !in_child(
        "tls::bundles_of_other_programs_are_mentioned",
        &[("REQUESTS_CA_BUNDLE", "/etc/company.pem")],
    ) {
        return;
    }
    let server = Server::tls(Identity::self_signed(&["127.0.0.1"]).config());
    let error = fails(
        send(&settings(), &server.url("https")),
        Code::Tls,
        &[],
        &["REQUESTS_CA_BUNDLE is set but not used", "ca_file"],
    );
    assert!(!error.hint().contains("SSL_CERT"), "{error}");
    let (settings, _file) = trusting(&Identity::self_signed(&["x"]).pem);
    let error = send(&settings, &server.url("https")).expect_err("another authority");
    assert!(error.hint().contains("REQUESTS_CA_BUNDLE"), "{error}");
}

#[test]
fn a_bundle_that_is_in_use_is_not_mentioned() {
    let folder = tempfile::tempdir().expect("folder");
    let bundle = folder.path().join("bundle.pem");
    std::fs::write(&bundle, Ca::new().pem).expect("written");
    let path = bundle.to_str().expect("UTF-8");
    if !in_child(
        "tls::a_bundle_that_is_in_use_is_not_mentioned",
        &[("REQUESTS_CA_BUNDLE", path), ("SSL_CERT_FILE", path)],
    ) {
        return;
    }
    let server = Server::tls(Identity::self_signed(&["127.0.0.1"]).config());
    let error = fails(
        send(&settings(), &server.url("https")),
        Code::Tls,
        &["is self-signed"],
        &["SSL_CERT_FILE is set: authorities were read from there"],
    );
    assert!(!error.hint().contains("REQUESTS_CA_BUNDLE"), "{error}");
}

/// A certificate by an authority of its own, and a server that shows it.
fn renewed() -> (Ca, Server) {
    let ca = Ca::new();
    let identity = Identity::new(&["127.0.0.1"], |_| (), Some(&ca));
    let server = Server::tls(identity.config());
    (ca, server)
}

/// How an administrator renews a file.
fn write_in_place(path: &Path, pem: &str) {
    std::fs::write(path, pem).expect("written");
}

fn rename_over(path: &Path, pem: &str) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, pem).expect("written");
    std::fs::rename(&beside, path).expect("renamed");
}

#[cfg(unix)]
fn switch_a_link(path: &Path, pem: &str) {
    let folder = tempfile::tempdir_in(path.parent().expect("a folder")).expect("a folder");
    let folder = folder.keep();
    let target = folder.join("ca.pem");
    std::fs::write(&target, pem).expect("written");
    let beside = path.with_extension("link");
    std::os::unix::fs::symlink(&target, &beside).expect("a link");
    std::fs::rename(&beside, path).expect("renamed");
}

#[cfg(unix)]
#[test]
fn a_ca_file_that_is_renewed_is_read_by_the_next_request_of_the_same_client() {
    for renew in [write_in_place, rename_over, switch_a_link] {
        let (old, first) = renewed();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ca.pem");
        renew(&path, &old.pem);
        let mut settings = settings();
        settings.tls.ca_file = Some(path.clone());
        let transport = HttpTransport::new(&settings).expect("a transport");
        let ask = |server: &Server| {
            transport.send(&request(&server.url("https")), &Limits::new(LONG, MAX_BODY))
        };
        assert_eq!(ask(&first).expect("a response").status, 200);
        for _ in 0..2 {
            let (new, server) = renewed();
            fails(
                ask(&server),
                Code::Tls,
                &["not signed by the authority"],
                &[],
            );
            renew(&path, &new.pem);
            assert_eq!(ask(&server).expect("a response").status, 200);
            // What is no longer named is no longer trusted.
            fails(
                ask(&first),
                Code::Tls,
                &["not signed by the authority"],
                &[],
            );
        }
        // Half a file, or none, leaves what there was.
        let (last, server) = renewed();
        renew(&path, &last.pem);
        assert_eq!(ask(&server).expect("a response").status, 200);
        write_in_place(&path, "-----BEGIN CERTIFICATE-----\nMII");
        assert_eq!(ask(&server).expect("a response").status, 200);
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(ask(&server).expect("a response").status, 200);
    }
}

/// The authority appears when the server has already been asked for its certificate.
#[test]
fn an_authority_that_is_lacking_is_looked_for_once_more_in_the_same_request() {
    let (old, _) = renewed();
    let (by_file, file) = trusting(&old.pem);
    let ca = Ca::new();
    let identity = Identity::new(&["127.0.0.1"], |_| (), Some(&ca));
    let (path, pem) = (file.path().to_owned(), ca.pem);
    let config = Arc::new(identity.config());
    let connections = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let server = Server::raw(move |stream, heads| {
        if count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
            write_in_place(&path, &pem);
        }
        let session = rustls::ServerConnection::new(Arc::clone(&config)).expect("a session");
        let mut stream = rustls::StreamOwned::new(session, stream);
        if heads.read(&mut stream) {
            let _ = stream.write_all(OK.as_bytes());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    answers(&by_file, &server);
    let seen = || connections.load(std::sync::atomic::Ordering::SeqCst);
    assert_eq!(seen(), 2);
    // Where nothing has changed there is no second look.
    let (other, _file) = trusting(&old.pem);
    fails(
        send(&other, &server.url("https")),
        Code::Tls,
        &["not signed by the authority"],
        &[],
    );
    assert_eq!(seen(), 3);
}

#[cfg(target_os = "linux")]
#[test]
fn the_systems_authorities_are_read_again_too() {
    const TEST: &str = "tls::the_systems_authorities_are_read_again_too";
    for variable in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("ca.pem");
        let value = match variable {
            "SSL_CERT_FILE" => &file,
            _ => folder.path(),
        };
        let value = value.to_str().expect("UTF-8");
        let file = file.to_str().expect("UTF-8");
        if !in_child(TEST, &[(variable, value), ("TEST_CA", file)]) {
            continue;
        }
        let path = std::env::var_os("TEST_CA").expect("set");
        let path = Path::new(&path);
        let transport = HttpTransport::new(&settings()).expect("a transport");
        for _ in 0..3 {
            let (ca, server) = renewed();
            let ask =
                || transport.send(&request(&server.url("https")), &Limits::new(LONG, MAX_BODY));
            assert!(ask().is_err());
            write_in_place(path, &ca.pem);
            assert_eq!(ask().expect("a response").status, 200);
        }
        return;
    }
}

/// An endless file ends, and says so in the log; one that does not answer takes no longer than the request may.
#[cfg(target_os = "linux")]
#[test]
fn bundles_without_end_or_answer_end_with_the_request() {
    const TEST: &str = "tls::bundles_without_end_or_answer_end_with_the_request";
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = folder.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.expect("mkfifo").success());
    let fifo = fifo.to_str().expect("UTF-8");
    for value in ["/dev/zero", fifo] {
        if !in_child(TEST, &[("SSL_CERT_FILE", value)]) {
            continue;
        }
        let value = std::env::var("SSL_CERT_FILE").expect("set");
        // Sixteen million bytes take their time where nothing is optimised.
        let (code, limit) = match &*value {
            "/dev/zero" => (Code::Tls, LONG),
            _ => (Code::Timeout, SHORT),
        };
        let server = Server::tls(Identity::self_signed(&["127.0.0.1"]).config());
        let says: &[&str] = if code == Code::Timeout {
            &["SSL_CERT_FILE: ", "could not be read within"]
        } else {
            &["no certificate authorities"]
        };
        fails(
            send_within(&settings(), &server.url("https"), limit),
            code,
            says,
            &[],
        );
        if code == Code::Tls {
            let (mut cursor, mut lines) = (0, String::new());
            while let Some(more) = p21auth::log::read(&mut cursor, 2) {
                lines += &more;
            }
            assert!(lines.contains("more than 16 MiB"), "{lines}");
        }
        return;
    }
}
