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
            &[&at, "refuses the user and password"],
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
    // Nothing listens at the proxy, so a response proves that NO_PROXY was heeded.
    let server = Server::answering(OK);
    let local = format!("http://localhost:{}", server.port());
    send(&settings, &local).expect("a response");
    fails(
        send(&settings, "http://127.0.0.1:10"),
        Code::Proxy,
        &["the proxy http://127.0.0.1:9 (environment all_proxy)"],
        &["environment all_proxy"],
    );
    // The option adds to NO_PROXY.
    settings.no_proxy = vec!["127.0.0.1".to_owned()];
    send(&settings, &local).expect("a response");
    send(&settings, &server.url("http")).expect("a response");
    assert_eq!(
        origin(&settings, "http://127.0.0.1/"),
        "direct (option no_proxy)"
    );
}
