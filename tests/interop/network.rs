//! The network itself, as a client's caller meets it: IPv6, names that resolve elsewhere, servers and lines that break off,
//! drip, flood, hang or ask to come back later.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use p21_emulator::{Action, Certificate, Emulator, Fault, Options, RetryAfter};
use p21auth::Code;
use p21auth::TokenOptions;
use tempfile::TempDir;

use crate::{FORCE, check, client, refused, text};
use test_support::emulator;
use test_support::server::{Server, closed_port, until_closed};

const TOKEN: &str = "/api/security/token";

/// A reply as P21 sends it.
const REPLY: &str = r#"{"AccessToken":"opaque-token-1","ExpiresInSeconds":86400}"#;

fn ipv6(tls: Option<Certificate>) -> Emulator {
    let options = Options {
        bind: std::net::Ipv6Addr::LOCALHOST.into(),
        tls,
        ..Options::default()
    };
    Emulator::start(options).unwrap_or_else(|error| {
        panic!("this machine has no IPv6 loopback address ::1 ({error}): sysctl net.ipv6.conf.lo.disable_ipv6=0")
    })
}

#[test]
fn an_ipv6_address_in_the_base_url_works_with_and_without_tls() {
    let plain = ipv6(None);
    assert!(plain.base_url().starts_with("http://[::1]:"));
    client(plain.base_url(), &[]).token().expect("a token");

    let secure = ipv6(Some(Certificate::Good));
    let folder = TempDir::new().expect("a folder");
    let ca = folder.path().join("ca.pem");
    secure.write_ca(&ca).expect("written");
    let client = client(secure.base_url(), &[("ca_file", text(&ca))]);
    client.token().expect("a token");
    assert!(
        client
            .ui_url()
            .expect("a URL")
            .starts_with("https://[::1]:")
    );
    assert_eq!(secure.control().counter("token.requests"), 1);
    let place = secure.address().to_string();
    refused(
        &crate::client(secure.base_url(), &[]),
        Code::Tls,
        &[&place, "issuer that is not trusted"],
        &["ca_file"],
    );
}

#[test]
fn resolve_overrides_the_address_and_neither_the_name_nor_other_ports() {
    let options = Options {
        tls: Some(Certificate::WrongHost),
        ..Options::default()
    };
    let emulator = Emulator::start(options).expect("the emulator starts");
    let folder = TempDir::new().expect("a folder");
    let ca = folder.path().join("ca.pem");
    emulator.write_ca(&ca).expect("written");
    // The certificate is for this name, which exists nowhere.
    let host = "p21.example.invalid";
    let port = emulator.address().port();
    let url = format!("https://{host}:{port}");
    let trust = ("ca_file", text(&ca));
    let here = format!("{host}:{port}:127.0.0.1");
    client(&url, &[trust, ("resolve", &here)])
        .token()
        .expect("a token");
    assert_eq!(emulator.control().counter("token.requests"), 1);

    let elsewhere = format!("{host}:{}:127.0.0.1", port ^ 1);
    for options in [&[trust][..], &[trust, ("resolve", &elsewhere)]] {
        let mut options = options.to_vec();
        options.push(("max_retries", "0"));
        let error = refused(
            &client(&url, &options),
            Code::Dns,
            &[host, "cannot be resolved"],
            &["base_url", &format!("resolve={host}:{port}:ADDRESS")],
        );
        assert!(error.is_retryable());
    }
    assert_eq!(emulator.control().counter("token.requests"), 1);
}

#[test]
fn a_port_without_a_server_is_told_and_tried_again() {
    let (_socket, closed) = closed_port();
    let error = refused(
        &client(&format!("http://{closed}"), &[]),
        Code::Connect,
        &[&closed.to_string(), "refused", "after 3 tries"],
        &["Check host and port in base_url"],
    );
    assert!(error.is_retryable());
}

/// Ways to break off after the request was sent, each of which counts as one request.
fn broken() -> Vec<(Action, &'static str)> {
    vec![
        (Action::Close, "broke"),
        (Action::Reset, "broke"),
        (Action::ResetAfterHeaders, "broke"),
        (Action::Truncate { bytes: 10 }, "broke"),
        (Action::Truncate { bytes: 0 }, "broke"),
    ]
}

#[test]
fn a_line_that_breaks_once_costs_one_more_request_and_no_call() {
    for (action, _) in broken() {
        let emulator = emulator();
        let control = emulator.control();
        control.fault(Fault::on(TOKEN, action.clone()).times(1));
        client(emulator.base_url(), &[])
            .token()
            .unwrap_or_else(|error| panic!("{action:?}: {error}"));
        assert_eq!(control.counter("token.requests"), 2, "{action:?}");
    }
}

#[test]
fn a_line_that_keeps_breaking_gets_two_requests_and_is_left_alone_for_a_while() {
    for (action, word) in broken() {
        let emulator = emulator();
        let control = emulator.control();
        control.fault(Fault::on(TOKEN, action.clone()).times(0));
        let client = client(emulator.base_url(), &[("max_retries", "5")]);
        let place = emulator.address().to_string();
        let error = refused(
            &client,
            Code::Io,
            &[&place, word, "after 2 tries"],
            &["closed the connection"],
        );
        assert!(error.is_retryable(), "{error}");
        assert_eq!(control.counter("token.requests"), 2, "{action:?}");
        // It works again: asked for at once, as someone who fixed the line would.
        control.clear_faults();
        client.invalidate(None).expect("open");
        client.token().expect("a token");
        assert_eq!(control.counter("token.requests"), 3, "{action:?}");
    }
}

#[test]
fn a_refresh_that_breaks_off_leaves_the_good_token() {
    for (action, _) in broken() {
        let emulator = emulator();
        let client = client(emulator.base_url(), &[("max_retries", "0")]);
        let first = client.token().expect("a token");
        emulator.control().fault(Fault::on(TOKEN, action));
        check(
            &client.token_with(&FORCE).expect_err("broken off"),
            Code::Io,
            &["broke"],
            &[],
        );
        assert_eq!(client.token().expect("still good").value(), first.value());
        assert_eq!(emulator.control().counter("token.requests"), 2);
    }
}

#[test]
fn a_drip_ends_with_the_time_of_the_call() {
    let emulator = emulator();
    let control = emulator.control();
    control.fault(Fault::on(TOKEN, Action::Drip { bytes_per_s: 20 }));
    let error = refused(
        &client(emulator.base_url(), &[("timeout_ms", "700")]),
        Code::Timeout,
        &[],
        &[],
    );
    assert!(error.is_retryable(), "{error}");
    assert_eq!(control.counter("token.requests"), 1);
}

#[test]
fn a_flood_ends_with_the_size_of_a_reply() {
    let emulator = emulator();
    let control = emulator.control();
    control.fault(Fault::on(TOKEN, Action::Flood).times(0));
    let error = refused(
        &client(emulator.base_url(), &[("max_response_bytes", "4096")]),
        Code::TooLarge,
        &["larger than 4096 bytes"],
        &["check base_url", "raise max_response_bytes"],
    );
    assert!(!error.is_retryable(), "{error}");
    assert_eq!(
        control.counter("token.requests"),
        1,
        "once more would be the same"
    );
}

#[test]
fn half_closed_connections() {
    // The server says that it will send no more, before it has sent anything: as good as closed.
    let mute = Server::raw(|mut stream, heads| {
        if heads.read(&mut stream) {
            stream.shutdown(Shutdown::Write).expect("open");
            until_closed(&mut stream);
        }
    });
    refused(
        &client(&mute.url("http"), &[("max_retries", "1")]),
        Code::Io,
        &["broke", "after 2 tries"],
        &[],
    );
    assert_eq!(mute.heads().len(), 2);

    // A whole reply whose end is the end of the stream; the server goes on listening.
    let whole = Server::raw(|mut stream, heads| {
        if heads.read(&mut stream) {
            let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
            stream
                .write_all(format!("{head}{REPLY}").as_bytes())
                .expect("written");
            stream.shutdown(Shutdown::Write).expect("open");
            until_closed(&mut stream);
        }
    });
    let token = client(&whole.url("http"), &[]).token().expect("a token");
    assert_eq!(token.value(), "opaque-token-1");
    assert_eq!(whole.heads().len(), 1);

    // A server that reads no more and never answers: nothing breaks, so the time of the call ends it.
    let deaf = Server::raw(|mut stream, heads| {
        if heads.read(&mut stream) {
            stream.shutdown(Shutdown::Read).expect("open");
            let (mut other, mut byte) = (stream, [0]);
            while other.read(&mut byte).is_ok_and(|got| got > 0) {}
            std::thread::park_timeout(Duration::from_secs(2));
        }
    });
    refused(
        &client(
            &deaf.url("http"),
            &[("timeout_ms", "500"), ("max_retries", "0")],
        ),
        Code::Timeout,
        &[],
        &[],
    );
    assert_eq!(deaf.heads().len(), 1);
}

#[test]
fn an_answer_before_the_request_is_read_counts() {
    let hasty = Server::raw(|mut stream, heads| {
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{REPLY}",
            REPLY.len()
        );
        stream.write_all(answer.as_bytes()).expect("written");
        heads.read(&mut stream);
        until_closed(&mut stream);
    });
    let outcome = client(&hasty.url("http"), &[("max_retries", "0")]).token();
    match outcome {
        Ok(token) => assert_eq!(token.value(), "opaque-token-1"),
        // The HTTP stack may take an answer that no one asked for yet as a fault of the line.
        Err(error) => check(&error, Code::Io, &[], &[]),
    }
}

#[test]
fn a_tls_handshake_that_never_ends_is_told() {
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let slow = Server::raw(move |mut stream, _| {
        count.fetch_add(1, Ordering::SeqCst);
        // The first bytes of a handshake record, then nothing.
        let _ = stream.write_all(b"\x16\x03\x03");
        until_closed(&mut stream);
    });
    let error = refused(
        &client(
            &slow.url("https"),
            &[("connect_timeout_ms", "300"), ("max_retries", "1")],
        ),
        Code::Tls,
        &[
            &slow.address.to_string(),
            "does not complete a TLS handshake",
            "no response within 300 ms",
            "after 2 tries",
        ],
        &["firewall", "MTU"],
    );
    assert!(error.is_retryable());
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[test]
fn a_pause_that_fits_is_waited_for_in_either_form() {
    for form in [RetryAfter::Seconds, RetryAfter::Date] {
        let emulator = emulator();
        let control = emulator.control();
        let mut settings = control.settings();
        settings.throttle_max = Some(1);
        settings.throttle_window_s = 2;
        settings.retry_after = form;
        control.set_settings(settings);
        let client = client(emulator.base_url(), &[]);
        client.token().expect("the first one passes");
        let asked = Instant::now();
        client.token_with(&FORCE).expect("after a pause");
        assert!(
            control.counter("token.throttled") >= 1,
            "the window was over before the second request"
        );
        // The pause is at least a second, or what is left of one with dates, which know no less.
        assert!(
            asked.elapsed() > Duration::from_millis(500) || form == RetryAfter::Date,
            "{:?}",
            asked.elapsed()
        );
        assert!(control.counter("token.requests") <= 4, "{form:?}");
        assert_eq!(control.counter("token.issued"), 2);
    }
}

#[test]
fn a_pause_that_does_not_fit_fails_at_once_and_is_kept_by_everyone() {
    for form in [RetryAfter::Seconds, RetryAfter::Date] {
        let emulator = emulator();
        let control = emulator.control();
        let mut settings = control.settings();
        settings.throttle_max = Some(0);
        settings.throttle_window_s = 600;
        settings.retry_after = form;
        control.set_settings(settings);
        let client = client(emulator.base_url(), &[]);
        let error = refused(&client, Code::RateLimited, &["HTTP 429"], &["store"]);
        let wait = error.retry_after().expect("a time");
        assert!(
            wait > Duration::from_mins(9) && wait <= Duration::from_mins(10),
            "{form:?}: {wait:?}"
        );
        for options in [FORCE, TokenOptions::default()] {
            let error = client.token_with(&options).expect_err("still throttled");
            check(&error, Code::RateLimited, &[], &[]);
            assert!(error.retry_after().expect("a time") <= wait);
        }
        assert_eq!(control.counter("token.requests"), 1, "{form:?}");
        assert_eq!(
            crate::stats(&client)["hold"]["kind"],
            serde_json::json!("backoff")
        );
    }
}
