//! Requests, deadlines, sizes and broken connections, without TLS.

use std::time::Instant;

use p21auth::Code;
use p21auth::internal::http::{HttpTransport, Limits, Transport as _};
use p21auth::internal::options::Resolve;
use p21auth::internal::secret::Secret;
use p21auth::internal::wire::Method;

use crate::{LONG, MAX_BODY, SHORT, fails, request, send, send_within, settings};
use test_support::server::{OK, Server, closed_port, until_closed};

#[test]
fn a_request_goes_out_as_given_and_nothing_is_added() {
    let server = Server::answering(OK);
    let mut request = request(&server.url("http"));
    request.headers.push(("client_secret", Secret::new("clé")));
    request.body = Some(Secret::new(""));
    let transport = HttpTransport::new(&settings()).expect("transport");
    let response = transport
        .send(&request, &Limits::new(LONG, MAX_BODY))
        .expect("a response");
    assert_eq!(
        (response.status, response.body.as_slice()),
        (200, b"ok".as_slice())
    );
    assert_eq!(response.header("x-test"), Some("yes"));
    let head = server.heads().remove(0);
    let mut lines: Vec<&str> = head.trim_end().lines().collect();
    assert!(
        lines
            .remove(0)
            .starts_with("POST /api/security/token/?username=u&"),
        "{head}"
    );
    lines.sort_unstable();
    let host = format!("host: {}", server.address);
    assert_eq!(
        lines,
        [
            "accept: application/json",
            "client_secret: clé",
            "content-length: 0",
            &host,
            "password: hunter22-hunter22",
        ]
    );
}

#[test]
fn a_get_has_no_body() {
    let server = Server::answering(OK);
    let mut request = request(&server.url("http"));
    (request.method, request.body) = (Method::Get, None);
    let transport = HttpTransport::new(&settings()).expect("transport");
    transport
        .send(&request, &Limits::new(LONG, MAX_BODY))
        .expect("a response");
    let head = server.heads().remove(0);
    assert!(
        head.starts_with("GET ") && !head.contains("content-length"),
        "{head}"
    );
}

#[test]
fn a_header_that_cannot_be_sent_is_refused_before_sending() {
    let transport = HttpTransport::new(&settings()).expect("transport");
    for value in ["a\nb", "€uro-secret"] {
        let mut request = request("http://127.0.0.1:9");
        request.headers.push(("client_secret", Secret::new(value)));
        let error = fails(
            transport.send(&request, &Limits::new(LONG, MAX_BODY)),
            Code::Config,
            &["client_secret"],
            &["v2"],
        );
        assert!(!error.to_string().contains("secret-"), "{error}");
    }
}

#[test]
fn redirects_and_errors_are_responses() {
    for (status, answer) in [
        (
            307,
            "HTTP/1.1 307 x\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ),
        (
            302,
            "HTTP/1.1 302 x\r\nLocation: /y\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ),
        (
            407,
            "HTTP/1.1 407 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ),
        (
            503,
            "HTTP/1.1 503 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ),
    ] {
        let server = Server::answering(answer);
        let response = send(&settings(), &server.url("http")).expect("a response");
        assert_eq!(response.status, status);
        assert_eq!(server.heads().len(), 1);
    }
}

#[test]
fn a_drip_does_not_extend_the_deadline() {
    let server = Server::http(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        while stream.write_all(b"x").and_then(|()| stream.flush()).is_ok() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    });
    let started = Instant::now();
    let outcome = send_within(&settings(), &server.url("http"), SHORT);
    let place = server.address.to_string();
    fails(
        outcome,
        Code::Timeout,
        &["no complete response", &place, "within 400 ms"],
        &["timeout_ms"],
    );
    assert!(started.elapsed() < LONG, "{:?}", started.elapsed());
}

#[test]
fn a_server_that_never_answers_ends_at_the_deadline() {
    let server = Server::http(|stream| until_closed(stream));
    let outcome = send_within(&settings(), &server.url("http"), SHORT);
    let error = fails(
        outcome,
        Code::Timeout,
        &["no response to the request"],
        &["timeout_ms", "was sent"],
    );
    assert!(error.is_retryable());
}

#[test]
fn no_time_is_a_timeout() {
    let outcome = send_within(&settings(), "http://127.0.0.1:9", std::time::Duration::ZERO);
    fails(outcome, Code::Timeout, &["127.0.0.1:9"], &[]);
}

#[test]
fn an_endless_reply_ends_at_the_size_limit() {
    let server = Server::http(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
        while stream.write_all(chunk.as_bytes()).is_ok() {}
    });
    let outcome = send(&settings(), &server.url("http"));
    let error = fails(
        outcome,
        Code::TooLarge,
        &["larger than 65536 bytes"],
        &["max_response_bytes"],
    );
    assert!(!error.is_retryable());
}

#[test]
fn a_length_beyond_the_limit_is_refused_unread() {
    let server = Server::http(|stream| {
        let _ =
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000000000000000\r\n\r\nx");
        until_closed(stream);
    });
    fails(
        send(&settings(), &server.url("http")),
        Code::TooLarge,
        &[],
        &["base_url"],
    );
}

#[test]
fn a_reply_of_just_the_limit_passes() {
    let server = Server::http(|stream| {
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {MAX_BODY}\r\nConnection: close\r\n\r\n");
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(&vec![b'x'; MAX_BODY]);
    });
    let response = send(&settings(), &server.url("http")).expect("a response");
    assert_eq!(response.body.len(), MAX_BODY);
}

#[test]
fn heads_that_other_programs_read_are_read() {
    for line in [
        "X-Powered-By : ASP.NET",
        "Content-Type \t: application/json",
        "X-Folded: one\r\n  two",
        "X-Latin: S\u{f6}hne",
        "no header at all",
        "X Powered By: ASP.NET",
        ": nothing",
        "X-Empty:",
    ] {
        let text = format!("HTTP/1.1 200 OK\r\n{line}\r\nContent-Length: 2\r\n\r\nok");
        let server = Server::http(move |stream| {
            // Latin-1.
            let bytes: Vec<u8> = text
                .chars()
                .map(|c| u8::try_from(c).expect("Latin-1"))
                .collect();
            let _ = stream.write_all(&bytes);
        });
        let response = send(&settings(), &server.url("http")).expect(line);
        assert_eq!(response.body.as_slice(), b"ok", "{line}");
        if line.starts_with("X-Powered") {
            assert_eq!(response.header("x-powered-by"), Some("ASP.NET"));
        }
    }
}

#[test]
fn truncated_replies_are_no_replies() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"AccessToken\"",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "",
    ] {
        let server = Server::answering(answer);
        let place = server.address.to_string();
        let error = fails(
            send(&settings(), &server.url("http")),
            Code::Io,
            &[&place, "broke"],
            &["closed the connection"],
        );
        assert!(error.is_retryable(), "{error}");
    }
}

#[test]
fn a_reset_is_told() {
    // Closing with unread data makes the kernel send a reset.
    let server = Server::raw(|stream, _| drop(stream.peek(&mut [0; 1])));
    let error = fails(
        send(&settings(), &server.url("http")),
        Code::Io,
        &["broke"],
        &[],
    );
    assert!(error.is_retryable(), "{error}");
}

#[test]
fn what_is_not_http_is_told_and_not_tried_again() {
    let server = Server::answering("SSH-2.0-OpenSSH_9.2\r\n\r\n");
    let error = fails(
        send(&settings(), &server.url("http")),
        Code::Io,
        &["not in HTTP"],
        &["https"],
    );
    assert!(!error.is_retryable(), "{error}");
}

#[test]
fn a_closed_port_names_itself() {
    let (_socket, address) = closed_port();
    let outcome = send(&settings(), &format!("http://{address}"));
    let error = fails(
        outcome,
        Code::Connect,
        &[&address.to_string(), "refused"],
        &["base_url", "IIS"],
    );
    assert!(error.is_retryable());
}

#[test]
fn an_unknown_host_is_named() {
    let error = fails(
        send(&settings(), "http://p21.invalid:3443"),
        Code::Dns,
        &["p21.invalid", "3443"],
        &["VPN", "resolve=p21.invalid:3443:ADDRESS"],
    );
    assert!(error.is_retryable());
}

#[test]
fn resolve_overrides_this_host_on_this_port() {
    let server = Server::answering(OK);
    let mut settings = settings();
    settings.resolve = vec![Resolve {
        host: "p21.invalid".to_owned(),
        port: server.port(),
        address: server.address.ip(),
    }];
    let transport = HttpTransport::new(&settings).expect("transport");
    let to = |port: u16| {
        transport.send(
            &request(&format!("http://p21.invalid:{port}")),
            &Limits::new(LONG, MAX_BODY),
        )
    };
    assert_eq!(to(server.port()).expect("a response").status, 200);
    assert!(server.heads()[0].contains(&format!("host: p21.invalid:{}", server.port())));
    let other = server.port().checked_add(1).unwrap_or(1024);
    fails(to(other), Code::Dns, &["p21.invalid"], &[]);
}
