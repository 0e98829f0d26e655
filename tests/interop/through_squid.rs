//! squid on the way out: tunnels, credentials, refusals and their reasons, exceptions, and who chose the proxy.

use p21_emulator::{Emulator, Options};
use p21auth::Code;
use p21auth::{Client, Config};

use crate::{FORCE, client, refused, stats};
use test_support::child::in_child;
use test_support::server::closed_port;
use test_support::squid::{Access, PASSWORD, Squid, USER};
use test_support::{PASSWORD as P21_PASSWORD, USER as P21_USER};

fn secure() -> Emulator {
    Emulator::start(Options::tls()).expect("the emulator starts")
}

/// A client of `emulator`, over TLS and through `proxy`.
fn through(emulator: &Emulator, proxy: &str, options: &[(&str, &str)]) -> Client {
    let pin = emulator.leaf_sha256().expect("TLS");
    let mut all = vec![("proxy", proxy), ("tls_pin_sha256", pin)];
    all.extend(options);
    client(emulator.base_url(), &all)
}

#[test]
fn tokens_come_through_a_tunnel_and_the_proxy_sees_no_secret() {
    let (emulator, squid) = (secure(), Squid::start(Access::Open));
    let client = through(&emulator, &squid.url(), &[("auth_mode", "v1_query")]);
    client.token().expect("a token");
    client.token_with(&FORCE).expect("another");
    let url = client.ui_url().expect("a URL");
    assert!(url.starts_with(emulator.base_url()), "{url}");
    let control = emulator.control();
    assert_eq!(control.counter("token.requests"), 2);
    assert_eq!(
        stats(&client)["proxy"],
        serde_json::json!({ "from": "option proxy", "url": squid.url() })
    );
    // Squid logs a tunnel when it ends.
    drop(emulator);
    let tunnel = format!("CONNECT {} 200", address(&url));
    let log = wait_for_log(&squid, 1);
    assert!(log.iter().all(|line| *line == tunnel), "{log:?}");
}

#[test]
fn plain_http_is_passed_on_by_the_proxy_itself() {
    let (emulator, squid) = (test_support::emulator(), Squid::start(Access::Basic));
    let proxy = squid.url_with(USER, PASSWORD);
    client(
        emulator.base_url(),
        &[("proxy", &proxy), ("allow_http", "1")],
    )
    .token()
    .expect("a token");
    assert_eq!(emulator.control().counter("token.requests"), 1);
    let log = wait_for_log(&squid, 1);
    let line = format!("POST {}/api/security/token/v2 200", emulator.base_url());
    assert_eq!(log, [line]);
    // The same without them: now the 407 is an answer to the request and not to a CONNECT.
    let error = refused(
        &client(
            emulator.base_url(),
            &[("proxy", &squid.url()), ("allow_http", "1")],
        ),
        Code::Proxy,
        &["asks for a user and password (HTTP 407)"],
        &["Set proxy=http://user:password@"],
    );
    assert_eq!(error.http_status(), 407);
    assert_eq!(emulator.control().counter("token.requests"), 1);
}

#[test]
fn a_login_is_asked_for_refused_and_accepted() {
    let (emulator, squid) = (secure(), Squid::start(Access::Basic));
    let place = squid.place();
    let error = refused(
        &through(&emulator, &squid.url(), &[]),
        Code::Proxy,
        &[
            &place,
            "(option proxy)",
            "asks for a user and password (HTTP 407)",
        ],
        &[&format!("Set proxy=http://user:password@{place}")],
    );
    assert_eq!((error.http_status(), error.is_retryable()), (407, false));
    let wrong = through(&emulator, &squid.url_with(USER, "wrong-hunter22"), &[]);
    let error = refused(
        &wrong,
        Code::Proxy,
        &["rejects its user and password (HTTP 407)"],
        &["Check them in option proxy", "percent-encoded"],
    );
    let shown = format!("{error:?} {}", stats(&wrong));
    assert!(
        !shown.contains("hunter22") && !shown.contains("corp"),
        "{shown}"
    );
    assert_eq!(emulator.control().counter("connections.accepted"), 0);

    let right = through(&emulator, &squid.url_with(USER, PASSWORD), &[]);
    right.token().expect("a token");
    let shown = stats(&right).to_string();
    for secret in ["ss:w", "p%40ss", "corp"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert_eq!(emulator.control().counter("token.requests"), 1);
}

#[test]
fn a_login_of_the_windows_domain_is_not_supported_and_the_error_says_what_to_do() {
    let (emulator, squid) = (secure(), Squid::start(Access::Negotiate));
    for proxy in [squid.url(), squid.url_with(USER, PASSWORD)] {
        let error = refused(
            &through(&emulator, &proxy, &[]),
            Code::Proxy,
            &["Negotiate", "NTLM", "(HTTP 407), which is not supported"],
            &["allow list", "px, cntlm", "proxy=http://127.0.0.1:3128"],
        );
        assert_eq!((error.http_status(), error.is_retryable()), (407, false));
    }
    let plain = test_support::emulator();
    refused(
        &client(
            plain.base_url(),
            &[("proxy", &squid.url()), ("allow_http", "1")],
        ),
        Code::Proxy,
        &["Negotiate", "not supported"],
        &["px, cntlm"],
    );
    assert_eq!(plain.control().counter("connections.accepted"), 0);
    assert_eq!(emulator.control().counter("connections.accepted"), 0);
}

#[test]
fn a_port_that_the_proxy_does_not_allow_is_told() {
    let (emulator, squid) = (secure(), Squid::start(Access::Port443));
    let place = address(emulator.base_url()).to_owned();
    let error = refused(
        &through(&emulator, &squid.url(), &[]),
        Code::Proxy,
        &[&format!("refuses to connect to {place} (HTTP 403)")],
        &["allow list", "only port 443", "no_proxy=127.0.0.1"],
    );
    assert_eq!((error.http_status(), error.is_retryable()), (403, false));
    assert_eq!(emulator.control().counter("connections.accepted"), 0);
}

#[test]
fn a_server_that_the_proxy_cannot_reach_is_told() {
    let squid = Squid::start(Access::Open);
    let (_socket, closed) = closed_port();
    let unreachable = client(
        &format!("https://{closed}"),
        &[("proxy", &squid.url()), ("max_retries", "0")],
    );
    let error = refused(
        &unreachable,
        Code::Proxy,
        &[&format!("cannot reach {closed} (HTTP 503)")],
        &["Check host and port in base_url"],
    );
    assert!(error.is_retryable(), "{error}");
}

#[test]
fn a_proxy_that_is_down_is_told_and_not_taken_for_the_server() {
    let emulator = secure();
    let (_socket, closed) = closed_port();
    let error = refused(
        &through(
            &emulator,
            &format!("http://{closed}"),
            &[("max_retries", "1")],
        ),
        Code::Proxy,
        &["no connection to the proxy", &closed.to_string()],
        &["Check the proxy in option proxy", "proxy=direct"],
    );
    assert!(error.message().contains("after 2 tries"), "{error}");
}

#[test]
fn no_proxy_names_who_is_reached_without_it() {
    let emulator = secure();
    let (_socket, closed) = closed_port();
    let exempt = through(
        &emulator,
        &format!("http://{closed}"),
        &[("no_proxy", "p21.example.com,127.0.0.0/8")],
    );
    exempt.token().expect("a token");
    assert_eq!(
        stats(&exempt)["proxy"],
        serde_json::json!({ "from": "option no_proxy", "url": null })
    );
}

#[test]
fn the_environment_names_a_proxy_exceptions_to_it_and_direct_beats_both() {
    const TEST: &str =
        "through_squid::the_environment_names_a_proxy_exceptions_to_it_and_direct_beats_both";
    if std::env::var_os("P21_BASE_URL").is_none() {
        let (emulator, squid) = (secure(), Squid::start(Access::Basic));
        let proxy = squid.url_with(USER, PASSWORD);
        let pin = emulator.leaf_sha256().expect("TLS");
        let common = [
            ("P21_BASE_URL", emulator.base_url()),
            ("P21_USERNAME", P21_USER),
            ("P21_PASSWORD", P21_PASSWORD),
            ("P21_TLS_PIN_SHA256", pin),
        ];
        let (_socket, closed) = closed_port();
        let nowhere = format!("http://{closed}");
        let place = squid.url();
        for (variables, from, url) in [
            (
                vec![("HTTPS_PROXY", proxy.as_str())],
                "environment HTTPS_PROXY",
                Some(place.as_str()),
            ),
            (
                vec![("all_proxy", proxy.as_str()), ("HTTP_PROXY", &nowhere)],
                "environment all_proxy",
                Some(&place),
            ),
            (
                vec![
                    ("https_proxy", &nowhere),
                    ("NO_PROXY", "localhost,127.0.0.1"),
                ],
                "none",
                None,
            ),
            (
                vec![("HTTPS_PROXY", &nowhere), ("P21_PROXY", "direct")],
                "option proxy",
                None,
            ),
            (
                vec![("HTTPS_PROXY", &nowhere), ("P21_PROXY", &proxy)],
                "option proxy",
                Some(&place),
            ),
            (
                vec![("HTTPS_PROXY", &nowhere), ("P21_NO_PROXY", "127.0.0.1")],
                "option no_proxy",
                None,
            ),
        ] {
            let expected = serde_json::json!({ "from": from, "url": url }).to_string();
            let mut all = common.to_vec();
            all.extend(variables);
            all.push(("EXPECTED", &expected));
            assert!(!in_child(TEST, &all));
        }
        assert_eq!(emulator.control().counter("token.issued"), 6);
        assert_eq!(wait_for_log(&squid, 3).len(), 3, "three went through it");
        return;
    }
    let mut config = Config::new();
    config.load_env("P21_").expect("valid");
    let client = Client::open(&config).expect("a client");
    client.token().expect("a token");
    let expected = std::env::var("EXPECTED").expect("set above");
    assert_eq!(stats(&client)["proxy"].to_string(), expected);
}

fn address(url: &str) -> &str {
    let rest = url.split_once("://").expect("a URL").1;
    rest.split('/').next().expect("a host")
}

/// The log once it has `lines` lines: squid writes them a moment after the client has its answer.
fn wait_for_log(squid: &Squid, lines: usize) -> Vec<String> {
    let end = std::time::Instant::now() + test_support::PATIENCE;
    loop {
        let log = squid.log();
        if log.len() >= lines || std::time::Instant::now() > end {
            return log;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
