//! Forward proxies: tunnels, refusals and their reasons, exceptions.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use p21auth::Code;
use p21auth::internal::http::proxy_origin;
use p21auth::internal::options::{ProxyChoice, TransportSettings};
use p21auth::internal::secret::Secret;
use url::Url;

use crate::{fails, in_child, send, settings};
use test_support::identity::Identity;
use test_support::server::{OK, Server, closed_port};

const PROXY_PASSWORD: &str = "proxy-hunter22";

fn through(proxy: &str) -> TransportSettings {
    let mut settings = settings();
    settings.proxy = ProxyChoice::Url(Secret::new(proxy));
    settings
}

/// With a user, in the URL of this proxy.
fn with_user(proxy: &Server) -> String {
    format!("http://user:{PROXY_PASSWORD}@{}", proxy.address)
}

/// Makes tunnels to wherever it is asked.
fn tunnelling() -> Server {
    Server::raw(|mut near, heads| {
        if !heads.read(&mut near) {
            return;
        }
        let head = heads.last();
        let target = head.split(' ').nth(1).expect("a target").to_owned();
        let mut far = TcpStream::connect(target).expect("the target");
        near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
            .expect("written");
        let (mut from_far, mut to_near) = (
            far.try_clone().expect("clone"),
            near.try_clone().expect("clone"),
        );
        let back = std::thread::spawn(move || {
            let _ = std::io::copy(&mut from_far, &mut to_near);
            let _ = to_near.shutdown(std::net::Shutdown::Both);
        });
        let _ = std::io::copy(&mut near, &mut far);
        let _ = far.shutdown(std::net::Shutdown::Both);
        let _ = back.join();
    })
}

#[track_caller]
fn refused(proxy: &str, target: &str, message: &[&str], hint: &[&str]) -> p21auth::Error {
    let error = fails(send(&through(proxy), target), Code::Proxy, message, hint);
    assert!(!format!("{error:?}").contains(PROXY_PASSWORD), "{error:?}");
    error
}

#[test]
fn https_goes_through_a_tunnel_and_plain_http_does_not() {
    let identity = Identity::self_signed(&["127.0.0.1"]);
    let server = Server::tls(identity.config());
    let proxy = tunnelling();
    let mut settings = through(&with_user(&proxy));
    settings.tls.pins = vec![identity.pin()];
    send(&settings, &server.url("https")).expect("a response");
    let head = proxy.heads().remove(0);
    assert!(
        head.starts_with(&format!("CONNECT {} HTTP/1.1", server.address)),
        "{head}"
    );
    assert!(
        head.contains("Proxy-Authorization: Basic dXNlcjpwcm94eS1odW50ZXIyMg=="),
        "{head}"
    );
    assert!(!head.contains("hunter22-hunter22"), "{head}");

    let proxy = Server::answering(OK);
    send(&through(&proxy.url("http")), "http://p21.invalid:81").expect("a response");
    assert!(
        proxy.heads()[0].starts_with("POST http://p21.invalid:81/api/"),
        "{:?}",
        proxy.heads()
    );
}

#[test]
fn the_certificate_behind_a_tunnel_is_the_servers() {
    let identity = Identity::self_signed(&["127.0.0.1"]);
    let server = Server::tls(identity.config());
    let proxy = tunnelling();
    fails(
        send(&through(&proxy.url("http")), &server.url("https")),
        Code::Tls,
        &[
            &format!("certificate of {}", server.address),
            &identity.sha256(),
        ],
        &["tls_pin_sha256="],
    );
}

#[test]
fn a_proxy_that_wants_basic_says_how_to_give_it() {
    let proxy = Server::answering(
        "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: Basic realm=\"corp\"\r\nContent-Length: 0\r\n\r\n",
    );
    let at = proxy.address.to_string();
    for target in ["https://p21.example:3443", "http://p21.example:81"] {
        let error = refused(
            &proxy.url("http"),
            target,
            &[&at, "option proxy", "asks for a user and password", "407"],
            &[&format!("proxy=http://user:password@{at}")],
        );
        assert!(!error.is_retryable());
        assert_eq!(error.http_status(), 407);
        refused(
            &with_user(&proxy),
            target,
            &[&at, "rejects its user and password"],
            &["option proxy", "percent-encoded"],
        );
    }
    let asked_again: Vec<_> = proxy
        .heads()
        .into_iter()
        .filter(|head| head.starts_with("CONNECT") && head.contains("Proxy-Authorization"))
        .collect();
    assert_eq!(asked_again.len(), 1, "a refused password is not sent twice");
}

#[test]
fn ntlm_and_negotiate_are_an_error_of_their_own() {
    let proxy = Server::answering(
        "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n",
    );
    for target in ["https://p21.example:3443", "http://p21.example:81"] {
        for via in [proxy.url("http"), with_user(&proxy)] {
            refused(
                &via,
                target,
                &[
                    "asks for Negotiate or NTLM authentication",
                    "not supported",
                    &proxy.address.to_string(),
                ],
                &[
                    "allow list",
                    target.split("//").nth(1).expect("a place"),
                    "px, cntlm",
                    "proxy=http://127.0.0.1:3128",
                ],
            );
        }
    }
}

#[test]
fn a_tunnel_that_is_refused_says_what_to_ask_for() {
    let proxy = Server::answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    let error = refused(
        &proxy.url("http"),
        "https://p21.example:3443",
        &["refuses to connect to p21.example:3443", "HTTP 403"],
        &["allow list", "port 443", "no_proxy=p21.example"],
    );
    assert!(!error.is_retryable());

    let proxy = Server::answering("HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n");
    let error = refused(
        &proxy.url("http"),
        "https://p21.example:3443",
        &["cannot reach p21.example:3443", "HTTP 503"],
        &["base_url", "no_proxy=p21.example"],
    );
    assert!(error.is_retryable());
}

#[test]
fn a_proxy_that_answers_once_only_is_still_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let once = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        drop(listener);
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 407 x\r\nContent-Length: 0\r\n\r\n");
    });
    refused(
        &format!("http://{address}"),
        "https://p21.example",
        &["asks for a user and password", "407"],
        &["proxy=http://user:password@"],
    );
    once.join().expect("served");
}

#[test]
fn a_proxy_that_is_not_there_is_named() {
    let (_socket, address) = closed_port();
    for target in ["https://p21.example", "http://p21.example"] {
        let error = refused(
            &format!("http://user:{PROXY_PASSWORD}@{address}"),
            target,
            &[
                &format!("the proxy http://{address} (option proxy)"),
                "refused",
            ],
            &["proxy=direct"],
        );
        assert!(error.is_retryable());
    }
    fails(
        send(&through("http://proxy.invalid:3128"), "https://p21.example"),
        Code::Dns,
        &["http://proxy.invalid:3128"],
        &["proxy=direct"],
    );
}

#[test]
fn an_https_proxy_is_verified_too() {
    let identity = Identity::self_signed(&["127.0.0.1"]);
    let proxy = Server::tls(identity.config());
    fails(
        send(&through(&proxy.url("https")), "https://p21.example"),
        Code::Tls,
        &[
            &format!("the proxy https://{}", proxy.address),
            &identity.sha256(),
        ],
        &["tls_pin_sha256="],
    );
}

#[test]
fn an_https_proxy_is_asked_for_its_reason_too() {
    let identity = Identity::self_signed(&["127.0.0.1"]);
    let proxy = Server::tls_answering(
        identity.config(),
        "HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n",
    );
    let mut settings = through(&proxy.url("https"));
    settings.tls.pins = vec![identity.pin()];
    fails(
        send(&settings, "https://p21.example"),
        Code::Proxy,
        &["NTLM", "not supported"],
        &["p21.example:443"],
    );
}

#[test]
fn no_proxy_makes_exceptions() {
    let server = Server::answering(OK);
    let mut settings = through("http://127.0.0.1:9");
    settings.no_proxy = vec!["127.0.0.0/8".to_owned()];
    send(&settings, &server.url("http")).expect("a response");
}

#[test]
fn the_environment_decides_where_no_option_does() {
    if !in_child(
        "proxy::the_environment_decides_where_no_option_does",
        &[
            (
                "HTTPS_PROXY",
                "http://user:proxy-hunter22@proxy.example:3128",
            ),
            ("all_proxy", "http://127.0.0.1:9"),
            ("NO_PROXY", "localhost, .corp.example"),
        ],
    ) {
        return;
    }
    let mut settings = settings();
    settings.proxy = ProxyChoice::System;
    let origin = |settings: &TransportSettings, url: &str| {
        proxy_origin(settings, &Url::parse(url).expect("URL")).to_string()
    };
    for (url, says) in [
        (
            "https://p21.example/",
            "http://proxy.example:3128 (environment HTTPS_PROXY)",
        ),
        (
            "http://p21.example/",
            "http://127.0.0.1:9 (environment all_proxy)",
        ),
        ("https://p21.corp.example/", "direct (none)"),
    ] {
        assert_eq!(origin(&settings, url), says);
    }
    // Nothing listens at the proxy, so a response proves that NO_PROXY was obeyed.
    let server = Server::answering(OK);
    let local = format!("http://localhost:{}", server.port());
    send(&settings, &local).expect("a response");
    fails(
        send(&settings, "http://192.0.2.1:10"),
        Code::Proxy,
        &["the proxy http://127.0.0.1:9 (environment all_proxy)"],
        &["environment all_proxy"],
    );
    // Plain http to this machine stays here.
    assert_eq!(origin(&settings, "http://127.0.0.1:10/"), "direct (none)");
    assert_eq!(origin(&settings, "http://[::1]:10/"), "direct (none)");
    send(&settings, &server.url("http")).expect("a response");
    // The option adds to NO_PROXY.
    settings.no_proxy = vec!["127.0.0.1".to_owned()];
    send(&settings, &local).expect("a response");
    send(&settings, &server.url("http")).expect("a response");
    assert_eq!(
        origin(&settings, "http://127.0.0.1/"),
        "direct (option no_proxy)"
    );
}

#[test]
fn a_proxy_of_the_environment_is_used_or_refused() {
    let test = "proxy::a_proxy_of_the_environment_is_used_or_refused";
    let target = ("https://p21.example", "http://p21.example");
    let cases = [
        (
            "HTTPS_PROXY",
            "http://CORP\\john:pw-hunter22@proxy:8080",
            target.0,
            "%5C",
        ),
        (
            "https_proxy",
            "http://john:pw-hunter22@ss1@proxy",
            target.0,
            "%40",
        ),
        (
            "HTTP_PROXY",
            "http://john:pw/hunter22@proxy",
            target.1,
            "%2F",
        ),
        ("http_proxy", "john:pw#hunter22@proxy", target.1, "%23"),
        (
            "ALL_PROXY",
            "\"http://proxy:8080\"",
            target.0,
            "quotation marks",
        ),
        ("all_proxy", "http://proxy/proxy.pac", target.1, "PAC"),
    ];
    let Ok(number) = std::env::var("P21AUTH_TEST_CASE") else {
        for (number, (name, value, ..)) in cases.iter().enumerate() {
            let number = number.to_string();
            let environment = [(*name, *value), ("P21AUTH_TEST_CASE", &number)];
            assert!(!in_child(test, &environment));
        }
        return;
    };
    let (name, _, target, hint) = cases[number.parse::<usize>().expect("a number")];
    let mut settings = settings();
    settings.proxy = ProxyChoice::System;
    // Windows has one variable for both spellings, and the message may name either.
    let spelled = if cfg!(windows) {
        String::new()
    } else {
        format!("{name} ")
    };
    let message = format!("the environment variable {spelled}");
    let error = fails(send(&settings, target), Code::Config, &[&message], &[hint]);
    assert!(!error.to_string().contains("hunter22"), "{error}");
    // A client says so when it is opened, unless it needs no proxy.
    let open = |base_url: &str| {
        let mut config = p21auth::Config::new();
        for (name, value) in [
            ("base_url", base_url),
            ("consumer_key", "k"),
            ("allow_http", "1"),
        ] {
            config.set(name, Some(value)).expect("valid");
        }
        p21auth::Client::open(&config)
    };
    assert_eq!(open(target).expect_err("refused").code(), Code::Config);
    open("http://127.0.0.1:9").expect("plain http to this machine needs none");
    let server = Server::answering(OK);
    send(&settings, &server.url("http")).expect("a response");
}

#[test]
fn entries_of_no_proxy_that_are_not_understood_are_a_warning() {
    let test = "proxy::entries_of_no_proxy_that_are_not_understood_are_a_warning";
    let list = "*.corp.local,p21.example:3443 10.*,https://x.example";
    let environment = [("HTTPS_PROXY", "http://127.0.0.1:9"), ("NO_PROXY", list)];
    if !in_child(test, &environment) {
        return;
    }
    let mut config = p21auth::Config::new();
    for (name, value) in [
        ("base_url", "https://p21.example:3443"),
        ("consumer_key", "k"),
    ] {
        config.set(name, Some(value)).expect("valid");
    }
    let client = p21auth::Client::open(&config).expect("a client");
    let stats = client.stats().expect("open");
    assert!(
        stats.contains(
            r#""proxy":{"from":"none","ignored":["10.*","https://x.example"],"url":null}"#
        ),
        "{stats}"
    );
    let mut cursor = 0;
    let log = p21auth::log::read(&mut cursor, p21auth::log::Level::Warn as i32).expect("events");
    assert!(
        log.contains("proxy.ignored") && log.contains("10.*, https://x.example"),
        "{log}"
    );
    let mut settings = settings();
    settings.proxy = ProxyChoice::System;
    for (url, direct) in [
        ("https://a.corp.local/", true),
        ("https://p21.example:3443/", true),
        ("https://p21.example/", false),
        ("https://10.1.2.3/", false),
    ] {
        let origin = proxy_origin(&settings, &Url::parse(url).expect("URL"));
        assert_eq!(origin.proxy.is_none(), direct, "{url}: {origin}");
    }
}
