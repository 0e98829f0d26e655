//! What callers are told, from the bytes of a server to the words of an error: refusals, damaged credentials, odd replies.

use std::sync::Arc;

use p21auth::internal::client::Runtime;
use p21auth::internal::clock::ManualClock;
use p21auth::internal::wire::Response;
use p21auth::{Client, Code, Config, Error, TokenOptions, Verdict};
use serde_json::Value;
use test_support::scripted::{Inline, Server, clock, even, open, response, runtime, token};

/// A server that returns this response to all, and what a client of it needs.
struct Refusing {
    clock: Arc<ManualClock>,
    server: Arc<Server>,
    runtime: Arc<Runtime>,
}

impl Refusing {
    fn new(answer: Response) -> Refusing {
        let clock = clock();
        let server = Server::new(move |_, _| Ok(answer.clone()));
        let runtime = runtime(&clock, Inline, even, &server);
        Refusing {
            clock,
            server,
            runtime,
        }
    }

    fn error(&self, options: &[(&str, &str)]) -> Error {
        open(&self.runtime, options).token().expect_err("refused")
    }
}

fn with_header(mut response: Response, name: &str, value: &str) -> Response {
    response.headers.push((name.to_owned(), value.to_owned()));
    response
}

#[test]
fn a_refusal_names_what_is_odd_about_the_credentials_and_shows_none_of_them() {
    let refused = r#"{"error":"invalid_grant"}"#;
    for (options, says) in [
        (
            [("password", "\"hunter22\""), ("username", "u")],
            "the password is in quotation marks",
        ),
        (
            [("password", "hunter22\n"), ("username", "u")],
            "the password begins or ends with a line break",
        ),
        (
            [("password", " hunter22"), ("username", "u")],
            "the password begins or ends with a blank",
        ),
        (
            [("password", "\u{feff}hunter22"), ("username", "u")],
            "the password begins with a byte order mark",
        ),
        (
            [("password", "“hunter22”"), ("username", "u")],
            "the password contains typographic",
        ),
        (
            [("password", "${HUNTER22}"), ("username", "u")],
            "the password looks like a placeholder",
        ),
        (
            [("password", "hunter22"), ("username", "'u'")],
            "the username is in quotation marks",
        ),
        (
            [("password", "hunter22"), ("username", "u ")],
            "the username begins or ends with a blank",
        ),
    ] {
        let error = Refusing::new(response(400, refused)).error(&options);
        assert_eq!(error.code(), Code::Unauthorized);
        assert!(error.message().contains(says), "{error}");
        assert!(error.hint().starts_with("The "), "{error}");
        let shown = format!("{error} {error:?}").to_lowercase();
        assert!(!shown.contains("hunter"), "{shown}");
    }
    let key = [
        ("consumer_key", "'0000-key'"),
        ("auth_mode", "v2_consumer"),
        ("username", ""),
    ];
    let error = Refusing::new(response(401, "")).error(&key);
    assert!(
        error
            .message()
            .contains("the consumer key is in quotation marks"),
        "{error}"
    );
    // Sound credentials are refused without such words, and damaged ones that are accepted are no one's business.
    let error = Refusing::new(response(401, refused)).error(&[("password", "it's \"fine\"")]);
    assert!(!error.message().contains("quotation marks"), "{error}");
    let fine = Refusing::new(token("tok", Some(60)));
    let quoted = open(&fine.runtime, &[("password", "\"hunter22\"")]);
    assert_eq!(quoted.token().expect("sent as it is").value(), "tok");
}

/// The seconds until the next try, after as many refusals as there are.
fn waits(refusing: &Refusing, times: usize) -> Vec<u64> {
    let client = open(&refusing.runtime, &[]);
    (1..=times)
        .map(|number| {
            let error = client.token().expect_err("refused");
            assert_eq!(error.code(), Code::Unauthorized, "{error}");
            assert_eq!(refusing.server.requests(), number as u64);
            // Nothing is sent meanwhile.
            client.token().expect_err("cool-down");
            assert_eq!(refusing.server.requests(), number as u64);
            let wait = error.retry_after().expect("a cool-down");
            refusing
                .clock
                .advance(i64::try_from(wait.as_millis()).expect("short"));
            wait.as_secs()
        })
        .collect()
}

#[test]
fn a_login_that_iis_asks_for_keeps_to_the_first_step_of_the_cool_down() {
    let page = "<!DOCTYPE html><html><title>401 - Unauthorized: Access is denied due to invalid credentials.</title></html>";
    for (body, challenge) in [
        (page, "Negotiate"),
        ("", "NTLM"),
        ("Unauthorized", "Basic realm=\"x\""),
    ] {
        let refusing = Refusing::new(with_header(
            response(401, body),
            "www-authenticate",
            challenge,
        ));
        let error = refusing.error(&[("username", "another")]);
        assert!(
            error
                .message()
                .contains("IIS or a proxy in front of P21 asks for a login"),
            "{error}"
        );
        assert!(
            error.message().contains("rejects the username or password"),
            "{error}"
        );
        let refusing = Refusing::new(with_header(
            response(401, body),
            "www-authenticate",
            challenge,
        ));
        assert_eq!(waits(&refusing, 4), [60, 60, 60, 60]);
    }
    // P21's own rejection, no matter what the headers say.
    for body in [
        r#"{"error":"invalid_grant"}"#,
        "<TokenError/>",
        r#"{"ErrorMessage":"No","ErrorType":"X"}"#,
    ] {
        let answer = with_header(response(401, body), "www-authenticate", "Negotiate");
        assert_eq!(waits(&Refusing::new(answer), 4), [60, 600, 1800, 1800]);
    }
    assert_eq!(
        waits(&Refusing::new(response(401, page)), 3),
        [60, 600, 1800]
    );
}

#[test]
fn a_firewalls_page_is_reported_to_no_avail() {
    let fine = Refusing::new(token("tok", Some(3600)));
    let client = open(&fine.runtime, &[]);
    client.token().expect("a token");
    for (page, verdict) in [
        (
            "<html><head><title>Request Rejected</title></head></html>",
            Verdict::GiveUp,
        ),
        ("<!DOCTYPE html><h1>403</h1>", Verdict::GiveUp),
        ("<HTML><BODY>Access Denied", Verdict::GiveUp),
        ("", Verdict::Permission),
        (
            r#"{"Message":"You are not authorized to access API"}"#,
            Verdict::Permission,
        ),
        (
            "<Error><Message>scope</Message></Error>",
            Verdict::Permission,
        ),
    ] {
        let given = client.report("tok", 403, page.as_bytes()).expect("open");
        assert_eq!(given, verdict, "{page}");
    }
    assert_eq!(client.token().expect("still there").value(), "tok");
    assert_eq!(fine.server.requests(), 1);
}

#[test]
fn what_cannot_be_read_is_never_quoted() {
    const TOKEN: &str = "opaque-17-token";
    let gzip = |text: &str| {
        let length = u16::try_from(text.len()).expect("short").to_le_bytes();
        let mut body = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x01".to_vec();
        body.extend(length);
        body.extend(length.map(|byte| !byte));
        body.extend(text.as_bytes());
        body
    };
    let json = format!(r#"{{"AccessToken": "{TOKEN}", "ExpiresIn": 60}}"#);
    for (body, header, says) in [
        (gzip(&json), "gzip", "compressed (gzip)"),
        (gzip(&json), "", "compressed (gzip)"),
        (
            gzip(&json)[10..].to_vec(),
            "deflate",
            "compressed (deflate)",
        ),
        (
            format!("\u{3}{TOKEN} x").into_bytes(),
            "br",
            "compressed (br)",
        ),
        (
            format!("token {TOKEN} for you").into_bytes(),
            "",
            "plain text",
        ),
        (
            format!("access_token={TOKEN} expires_in=60").into_bytes(),
            "",
            "plain text",
        ),
        (
            format!("<html><title>{TOKEN} x</title></html>").into_bytes(),
            "",
            "web page",
        ),
        (
            format!(r#"{{"Result":{{"token":"{TOKEN}"}},"Message":"Use {TOKEN} now"}}"#)
                .into_bytes(),
            "",
            "no access token",
        ),
    ] {
        for status in [200, 401, 403, 500] {
            let mut answer = response(status, "");
            answer.body = body.clone().into();
            if !header.is_empty() {
                answer = with_header(answer, "content-encoding", header);
            }
            let refusing = Refusing::new(answer);
            let client = open(&refusing.runtime, &[]);
            let error = client.token().expect_err("no token");
            // Only what should have held a token may hold one.
            if status == 200 {
                assert!(error.message().contains(says), "{error}");
                let stats = client.stats().expect("open");
                assert!(!format!("{error:?} {stats}").contains(TOKEN), "{error}");
            }
        }
    }
}

#[test]
fn opaque_tokens_are_scrubbed_from_what_the_server_says_later() {
    for hidden in ["", "\u{200b}", "\u{202e}", "\u{ad}"] {
        let clock = clock();
        let server = Server::new(move |number, request| {
            if number == 1 {
                return Ok(token("opaque-17-token", Some(60)));
            }
            let (parts, path) = (["opa", "que-17", "-token"].join(hidden), request.url.path());
            Ok(response(
                500,
                &format!(r#"{{"ErrorMessage":"bad {parts} of {path}"}}"#),
            ))
        });
        let client = open(&runtime(&clock, Inline, even, &server), &[]);
        client.token().expect("a token");
        let force = TokenOptions {
            force_refresh: true,
            ..TokenOptions::default()
        };
        clock.advance(6_000);
        for error in [
            client.token_with(&force).expect_err("500"),
            client.ui_url().expect_err("500"),
        ] {
            assert!(
                error.message().contains("bad [redacted] of /api/"),
                "{error}"
            );
        }
    }
    // A token of one's own, with the scheme and without.
    for pasted in ["opaque-17-token", "Bearer opaque-17-token"] {
        let refusing = Refusing::new(response(500, "no opaque-17-token here"));
        let client = open(
            &refusing.runtime,
            &[("access_token", pasted), ("auth_mode", "token")],
        );
        let error = client.ui_url().expect_err("500");
        assert!(error.message().contains("no [redacted] here"), "{error}");
    }
}

/// Two nodes behind a balancer without a machine key of their own: whichever one the API call meets, the token is the other's.
#[test]
fn nodes_that_reject_each_others_tokens_are_named() {
    for rejection in ["<TokenError><Message>bad</Message></TokenError>", ""] {
        let clock = clock();
        let server = Server::new(|number, _| {
            let node = if number % 2 == 0 { "a" } else { "b" };
            Ok(token(&format!("of-node-{node}-{number}"), Some(3600)))
        });
        let client = open(&runtime(&clock, Inline, even, &server), &[]);
        let mut verdicts = Vec::new();
        for round in 0..3 {
            clock.advance(5_000 * round);
            let token = client.token().expect("a token");
            verdicts.push(
                client
                    .report(token.value(), 401, rejection.as_bytes())
                    .expect("open"),
            );
        }
        assert_eq!(verdicts, [Verdict::Retry, Verdict::Retry, Verdict::GiveUp]);
        let error = client
            .token()
            .expect_err("they are rejected as fast as they come");
        assert_eq!(error.code(), Code::Rejected);
        assert!(error.message().contains("rejected the last 3"), "{error}");
        for words in [
            "load balancer",
            "nodes",
            "each other's tokens",
            "machine key",
            "sticky sessions",
        ] {
            assert!(error.hint().contains(words), "{words}: {error}");
        }
        assert!(error.is_retryable() && error.retry_after().is_some());
        assert_eq!(server.requests(), 3);
        let stats: Value = serde_json::from_str(&client.stats().expect("open")).expect("JSON");
        assert_eq!(stats["hold"]["kind"], "backoff");
    }
}

#[test]
fn a_shared_env_file_gives_what_is_ours_and_names_the_rest() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let shared = "# of another program\nKEY=\"-----BEGIN KEY-----\nMIIB\n-----END KEY-----\"\nNODE_ENV\nP21_BASE_URL=https://p21.example.com\nexport P21_USERNAME='u'\nwhat is this = x\nP21_PASSWORD=hunter22\n";
    std::fs::write(file.path(), shared).expect("written");
    let mut cursor = 0;
    let _ = p21auth::log::read(&mut cursor, 5);
    let mut config = Config::new();
    config.load_file(file.path()).expect("readable");
    assert_eq!(config.get("password"), Some("hunter22"));
    Client::open(&config).expect("complete");
    let log = p21auth::log::read(&mut cursor, 5).unwrap_or_default();
    let line = log
        .lines()
        .find(|line| line.contains("config.unread"))
        .expect("a warning");
    assert!(
        line.contains("line 5 (no '=')") && line.contains("line 8 ("),
        "{line}"
    );
    assert!(
        !log.contains("hunter22") && !log.contains("MIIB") && !log.contains("NODE_ENV"),
        "{log}"
    );
}
