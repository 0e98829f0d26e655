//! Where trust comes from: bundles of authorities, and how they are renewed under a running client.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use p21auth::Code;
use p21auth::internal::http::{HttpTransport, Limits, Transport as _};

use crate::tls::{answers, pinned, trusting, unverified};
use crate::{LONG, MAX_BODY, SHORT, fails, in_child, request, send, send_within, settings};
use test_support::identity::{Ca, Identity};
use test_support::server::{OK, Server};

#[test]
fn without_authorities_on_the_machine_only_https_by_issuer_fails() {
    if !in_child(
        "authorities::without_authorities_on_the_machine_only_https_by_issuer_fails",
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
        "authorities::bundles_of_other_programs_are_mentioned",
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
        "authorities::a_bundle_that_is_in_use_is_not_mentioned",
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
    const TEST: &str = "authorities::the_systems_authorities_are_read_again_too";
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
    const TEST: &str = "authorities::bundles_without_end_or_answer_end_with_the_request";
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
