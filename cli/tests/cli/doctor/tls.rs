//! Certificates that are not trusted, and servers that speak what IIS spoke ten years ago.

use std::path::Path;
use std::process::Command;

use p21_emulator::Certificate;
use tempfile::TempDir;

use super::{Report, Setup};
use crate::tool::Tool;
use test_support::identity::Identity;
use test_support::nginx::{self, Nginx};
use test_support::program::Program;
use test_support::server::{Server, until_closed};

/// What `copy` offers, taken at its word.
fn copied(setup: Setup, report: &Report) -> Setup {
    let step = report.step("tls");
    let line = step.copy().expect("a line to copy");
    let (name, value) = line.split_once('=').expect("NAME=value");
    assert_eq!(name, "P21_TLS_PIN_SHA256");
    setup.set("P21_CA_FILE", "").set(name, value)
}

#[test]
fn an_unknown_authority_and_the_line_that_helps() {
    let setup = Setup::new().set("P21_CA_FILE", "");
    let report = setup.report(&["--yes"]);
    let pin = setup.emulator.leaf_sha256().expect("TLS").to_owned();
    report.fails(
        4,
        "tls",
        &[
            "issuer that is not trusted",
            "CN=P21 emulator CA",
            "localhost",
            &pin,
        ],
        &["ca_file", &pin],
    );
    report.skips(&["server", "token"]);
    assert_eq!(setup.emulator.control().counter("requests"), 0);
    let setup = copied(setup, &report);
    let report = setup.report(&["--yes"]);
    report.is_well();
    report
        .step("tls")
        .is("ok", &["trusted by tls_pin_sha256"], &[]);
}

#[test]
fn certificates_that_are_wrong_in_one_way_each() {
    for (kind, seen, advice) in [
        (Certificate::SelfSigned, "is self-signed", "ca_file"),
        (Certificate::Expired, "has expired", "Renew"),
        (
            Certificate::WrongHost,
            "is not for the host 127.0.0.1",
            "p21.example.invalid",
        ),
    ] {
        let setup = Setup::certificate(kind);
        let report = setup.report(&["--yes"]);
        report.fails(4, "tls", &[seen], &[advice]);
        assert_eq!(report.token_requests(), 0);
        let setup = copied(setup, &report);
        let report = setup.report(&["--yes"]);
        report.is_well();
        let outcome = if kind == Certificate::Expired {
            "warn"
        } else {
            "ok"
        };
        report
            .step("tls")
            .is(outcome, &["trusted by tls_pin_sha256"], &[]);
    }
}

#[test]
fn a_renewed_certificate_keeps_the_pin_that_was_there() {
    let old = "ab".repeat(32);
    let setup = Setup::new()
        .set("P21_CA_FILE", "")
        .set("P21_TLS_PIN_SHA256", &old);
    let report = setup.report(&["--yes"]);
    report.fails(
        4,
        "tls",
        &["none of those in tls_pin_sha256"],
        &["do not guess"],
    );
    let setup = copied(setup, &report);
    setup.report(&["--yes"]).is_well();
}

#[test]
fn a_chain_is_shown_and_verification_that_is_off_is_noticed() {
    let setup = Setup::new()
        .set("P21_CA_FILE", "")
        .set("P21_VERIFY_SSL", "false");
    let report = setup.report(&["--yes"]);
    report.is_well();
    report.step("configuration").is(
        "ok",
        &["tls_verify = false, from environment P21_VERIFY_SSL"],
        &[],
    );
    report
        .step("tls")
        .is("warn", &["not verified (tls_verify=0)"], &["pin this one"]);
    let setup = copied(setup, &report).set("P21_VERIFY_SSL", "");
    setup.report(&["--yes"]).is_well();
}

#[test]
fn plain_http_where_tls_is_expected() {
    let emulator = test_support::emulator();
    let base = emulator.base_url().replacen("http:", "https:", 1);
    let report = Report::of(&Tool::for_server(&base), &["--yes"]);
    report.fails(4, "tls", &["responds, but not in TLS"], &["Check the port"]);
    assert_eq!(report.token_requests(), 0);
}

#[test]
fn a_server_that_says_nothing_and_one_that_hangs_up() {
    let setup = |server: &Server| {
        Tool::for_server(&server.url("https")).with("P21_CONNECT_TIMEOUT_MS", "500")
    };
    let silent = Server::raw(|mut stream, _| until_closed(&mut stream));
    let report = Report::of(&setup(&silent), &["--yes"]);
    report.fails(4, "tls", &["no response within 500 ms"], &["firewall"]);
    report.skips(&["server", "token"]);

    let rude = Server::raw(|stream, _| drop(stream));
    let report = Report::of(&setup(&rude), &["--yes"]);
    report.fails(
        4,
        "tls",
        &["broke the connection during the TLS handshake"],
        &["Schannel"],
    );
}

/// `openssl s_server` with an RSA certificate, as old servers have, and these options.
fn old_server(options: &[&str]) -> Program {
    let folder = TempDir::new().expect("a folder");
    let made = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        ])
        .args(["-subj", "/CN=old", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder.path())
        .output()
        .unwrap_or_else(|error| panic!("openssl ({error}): apt-get install openssl"));
    assert!(made.status.success(), "{made:?}");
    Program::start("openssl", "openssl", folder, |command, port, _: &Path| {
        command
            .args([
                "s_server", "-quiet", "-cert", "cert.pem", "-key", "key.pem", "-accept",
            ])
            .arg(format!("127.0.0.1:{port}"))
            .args(options);
    })
}

#[test]
fn a_server_that_has_old_tls_alone() {
    for (options, seen, advice) in [
        (
            &["-tls1", "-cipher", "AES128-SHA:@SECLEVEL=0"][..],
            &["TLS 1.0 and TLS_RSA_WITH_AES_128_CBC_SHA"][..],
            &["TLS 1.0 is the newest", "enable TLS 1.2", "SCHANNEL"][..],
        ),
        (
            &["-tls1_1", "-cipher", "ECDHE-RSA-AES256-SHA:@SECLEVEL=0"],
            &["TLS 1.1 and TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"],
            &["TLS 1.1 is the newest", "enable TLS 1.2"],
        ),
        (
            &["-tls1_2", "-cipher", "AES256-SHA256:AES128-GCM-SHA256"],
            &["TLS 1.2 and TLS_RSA_WITH_AES_"],
            &[
                "no cipher suite of ECDHE with AES-GCM",
                "Windows Server 2012 R2",
            ],
        ),
        (
            &["-tls1_2", "-cipher", "ECDHE-RSA-AES256-SHA384"],
            &["TLS 1.2 and TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384"],
            &[
                "no cipher suite of ECDHE with AES-GCM",
                "ECDSA certificates only",
            ],
        ),
    ] {
        let server = old_server(options);
        let base = format!("https://127.0.0.1:{}", server.port);
        let report = Report::of(&Tool::for_server(&base), &["--yes"]);
        report.fails(4, "tls", seen, advice);
        report.step("tls").is(
            "fail",
            &["no common TLS version and cipher suite"],
            &["Schannel"],
        );
        assert_eq!(report.step("tls").copy(), None);
        report.skips(&["server", "token"]);
    }
}

#[test]
fn an_nginx_with_suites_of_its_own() {
    let identity = Identity::self_signed(&["127.0.0.1"]);
    let nginx = Nginx::start(nginx::Setup {
        identity: Some(&identity),
        server: "ssl_protocols TLSv1.2; ssl_ciphers ECDHE-ECDSA-AES256-SHA384;",
        ..nginx::Setup::default()
    });
    let report = Report::of(&Tool::for_server(&nginx.base_url), &["--yes"]);
    report.fails(
        4,
        "tls",
        &["TLS 1.2 and TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384"],
        &["no cipher suite of ECDHE with AES-GCM"],
    );
    assert_eq!(nginx.emulator.control().counter("requests"), 0);
}
