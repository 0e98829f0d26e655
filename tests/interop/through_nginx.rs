//! nginx before the middleware: certificates, headers that it drops, its own error pages, its redirects.

use p21auth::Code;
use p21auth::TokenOptions;
use rcgen::{CertificateParams, date_time_ymd};
use tempfile::TempDir;

use crate::{FORCE, check, client, put, refused, text};
use test_support::KEY;
use test_support::identity::{Ca, Identity};
use test_support::nginx::{Nginx, Setup};

fn tls(identity: &Identity) -> Nginx {
    Nginx::start(Setup {
        identity: Some(identity),
        ..Setup::default()
    })
}

#[test]
fn a_private_authority_is_explained_and_then_trusted() {
    let ca = Ca::new();
    let identity = Identity::new(&["127.0.0.1"], |_| (), Some(&ca));
    let nginx = tls(&identity);
    let pin = format!("tls_pin_sha256={}", identity.sha256());
    let error = refused(
        &client(&nginx.base_url, &[]),
        Code::Tls,
        &[
            "issuer that is not trusted",
            "CN=P21 middleware",
            "CN=Company Root",
        ],
        &["ca_file", "CN=Company Root", &pin],
    );
    assert!(!error.is_retryable(), "{error}");
    let control = nginx.emulator.control();
    assert_eq!(control.counter("requests"), 0);

    let folder = TempDir::new().expect("a folder");
    let ca_file = put(&folder, "ca.pem", &ca.pem);
    let trusting = client(&nginx.base_url, &[("ca_file", text(&ca_file))]);
    let first = trusting.token().expect("a token");
    assert_eq!(first.field("Claims.sub").as_deref(), Some("demo"));
    let url = trusting.ui_url().expect("a URL");
    assert_eq!(*url, format!("{}/uiserver0", nginx.base_url));
    let second = trusting.token_with(&FORCE).expect("another");
    assert_ne!(first.value(), second.value());
    assert_eq!(
        (
            control.counter("token.requests"),
            control.counter("router.requests")
        ),
        (2, 1)
    );
}

/// What is wrong with a certificate, and what the message and the hint say of it.
struct Wrong {
    identity: Identity,
    trusted: bool,
    message: &'static str,
    hint: &'static str,
}

#[test]
fn bad_certificates_are_told_apart_and_can_be_pinned() {
    let ca = Ca::new();
    let expire = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2019, 1, 2);
        params.not_after = date_time_ymd(2020, 3, 4);
    };
    let folder = TempDir::new().expect("a folder");
    let ca_file = put(&folder, "ca.pem", &ca.pem);
    for wrong in [
        Wrong {
            identity: Identity::self_signed(&["127.0.0.1"]),
            trusted: false,
            message: "is self-signed",
            hint: "ca_file",
        },
        Wrong {
            identity: Identity::new(&["127.0.0.1"], expire, Some(&ca)),
            trusted: true,
            message: "has expired",
            hint: "Renew",
        },
        Wrong {
            identity: Identity::new(&["p21.example.com"], |_| (), Some(&ca)),
            trusted: true,
            message: "not for the host 127.0.0.1",
            hint: "p21.example.com",
        },
    ] {
        let nginx = tls(&wrong.identity);
        let trust = [("ca_file", text(&ca_file))];
        let trust = if wrong.trusted { &trust[..] } else { &[] };
        let sha256 = wrong.identity.sha256();
        refused(
            &client(&nginx.base_url, trust),
            Code::Tls,
            &[wrong.message, &sha256],
            &[wrong.hint, &sha256],
        );
        assert_eq!(nginx.emulator.control().counter("requests"), 0);
        client(&nginx.base_url, &[("tls_pin_sha256", &sha256)])
            .token()
            .expect("a pinned certificate is accepted");
        client(&nginx.base_url, &[("tls_verify", "0")])
            .token()
            .expect("or any, where that was asked for");
    }
}

#[test]
fn headers_with_underscores_do_not_arrive_and_the_error_says_so() {
    let nginx = Nginx::start(Setup::default());
    let through = |url: &str, profile| {
        client(
            url,
            &[
                ("consumer_key", KEY),
                ("auth_mode", "v1_consumer"),
                ("v1_consumer_headers", profile),
            ],
        )
    };
    for profile in ["client_secret", "consumer_key"] {
        refused(
            &through(&nginx.base_url, profile),
            Code::Unauthorized,
            &["the server rejects the consumer key"],
            &[
                "nginx",
                "underscores_in_headers on;",
                "auth_mode=v2_consumer",
            ],
        );
    }
    let control = nginx.emulator.control();
    assert_eq!(
        (
            control.counter("token.dialect.unknown"),
            control.counter("token.dialect.v1_consumer")
        ),
        (2, 0)
    );
    // What the hint says helps, and so does the profile without an underscore.
    through(&nginx.base_url, "appkey")
        .token()
        .expect("a token by the header appkey");
    client(&nginx.base_url, &[("consumer_key", KEY)])
        .token()
        .expect("a token by v2_consumer");
    let fixed = Nginx::start(Setup {
        server: "underscores_in_headers on;",
        ..Setup::default()
    });
    for profile in ["client_secret", "consumer_key"] {
        through(&fixed.base_url, profile)
            .token()
            .expect("headers with underscores now pass");
    }
    assert_eq!(
        fixed
            .emulator
            .control()
            .counter("token.dialect.v1_consumer"),
        2
    );
}

#[test]
fn every_answer_to_lost_headers_hints_at_them() {
    for (answer, code) in [
        ("return 400 'Bad Request';", Code::Http),
        ("return 403;", Code::Forbidden),
        ("return 500 'System.NullReferenceException';", Code::Server),
    ] {
        let nginx = Nginx::start(Setup {
            location: Some(answer),
            ..Setup::default()
        });
        let v1 = client(
            &nginx.base_url,
            &[("consumer_key", KEY), ("auth_mode", "v1_consumer")],
        );
        refused(&v1, code, &[], &["underscores_in_headers on;"]);
        let error = client(&nginx.base_url, &[]).token().expect_err("no token");
        assert!(!error.hint().contains("underscores"), "{error}");
    }
}

#[test]
fn a_middleware_that_is_down_is_a_502_and_tried_again() {
    let mut nginx = Nginx::start(Setup::default());
    nginx.emulator.stop();
    let error = refused(
        &client(&nginx.base_url, &[]),
        Code::Server,
        &["HTTP 502", "502 Bad Gateway"],
        &["The middleware behind the proxy or load balancer is down"],
    );
    assert_eq!(error.http_status(), 502);
    assert!(error.is_retryable());
    assert_eq!(nginx.answered(502), 3, "one try and max_retries more");
}

#[test]
fn a_middleware_that_hangs_is_a_504() {
    let nginx = Nginx::start(Setup {
        server: "proxy_read_timeout 100ms;",
        ..Setup::default()
    });
    nginx.emulator.control().hold();
    let error = refused(
        &client(&nginx.base_url, &[("max_retries", "1")]),
        Code::Server,
        &["HTTP 504", "504 Gateway Time-out"],
        &["down, starting or overloaded"],
    );
    assert_eq!(error.http_status(), 504);
    assert_eq!(nginx.answered(504), 2);
    nginx.emulator.control().release();
}

#[test]
fn pages_of_its_own_are_told_by_status_and_title_and_tried_once() {
    for (setup, status, code, message, hint) in [
        (
            "client_max_body_size 8;",
            413,
            Code::Http,
            "413 Request Entity Too Large",
            "base_url",
        ),
        (
            "return 404;",
            404,
            Code::NotFound,
            "404 Not Found",
            "middleware (SOA) address",
        ),
        (
            "deny all;",
            403,
            Code::Forbidden,
            "403 Forbidden",
            "firewall",
        ),
        (
            "return 401;",
            401,
            Code::Unauthorized,
            "401 Authorization Required",
            "Check username and password",
        ),
        (
            "default_type text/html; return 200 '<html><head><title>Welcome to nginx!</title></head></html>';",
            200,
            Code::Parse,
            "a web page, not a token; the server says: Welcome to nginx!",
            "middleware (SOA) address",
        ),
        (
            "return 204;",
            204,
            Code::NoAccessToken,
            "the response is empty",
            "proxy",
        ),
    ] {
        let nginx = Nginx::start(Setup {
            server: setup,
            ..Setup::default()
        });
        let error = refused(&client(&nginx.base_url, &[]), code, &[message], &[hint]);
        assert_eq!(error.http_status(), status, "{error}");
        assert!(!error.is_retryable(), "{error}");
        assert_eq!(nginx.answered(status), 1, "{setup}");
        assert_eq!(nginx.emulator.control().counter("requests"), 0);
    }
}

#[test]
fn plain_http_at_its_tls_port_is_told() {
    let identity = Identity::self_signed(&["127.0.0.1"]);
    let nginx = tls(&identity);
    let error = refused(
        &client(&format!("http://127.0.0.1:{}", nginx.program.port), &[]),
        Code::Http,
        &["The plain HTTP request was sent to HTTPS port"],
        &["The port speaks TLS: write https in base_url"],
    );
    assert_eq!(error.http_status(), 400);
    assert_eq!(nginx.answered(400), 1);
}

#[test]
fn a_redirect_to_https_names_the_address_to_use_and_carries_no_credentials() {
    let identity = Identity::self_signed(&["127.0.0.1"]);
    let secure = tls(&identity);
    for (status, options) in [
        (301, &[("consumer_key", KEY)][..]),
        (302, &[]),
        (
            307,
            &[("consumer_key", KEY), ("auth_mode", "v1_consumer")][..],
        ),
        (308, &[("auth_mode", "v1_query")][..]),
    ] {
        let location = format!("return {status} {}$request_uri;", secure.base_url);
        let plain = Nginx::start(Setup {
            location: Some(&location),
            ..Setup::default()
        });
        let place = format!("redirects to {}, where", secure.base_url);
        let hint = "set base_url to it";
        let error = refused(
            &client(&plain.base_url, options),
            Code::Redirect,
            &[&place],
            &[&secure.base_url, hint],
        );
        assert_eq!(error.http_status(), status);
        assert!(!error.is_retryable(), "{error}");
        assert_eq!(plain.answered(status), 1);
    }
    assert_eq!(secure.program.log("access.log").len(), 0);
    let sha256 = identity.sha256();
    client(&secure.base_url, &[("tls_pin_sha256", &sha256)])
        .token()
        .expect("where the error pointed");
}

#[test]
fn connections_that_it_closes_in_between_cost_no_call() {
    let identity = Identity::self_signed(&["127.0.0.1"]);
    let nginx = Nginx::start(Setup {
        identity: Some(&identity),
        // Each connection ends with its second request, whether or not the client wants to go on.
        server: "keepalive_requests 2;",
        ..Setup::default()
    });
    let sha256 = identity.sha256();
    let client = client(&nginx.base_url, &[("tls_pin_sha256", &sha256)]);
    for _ in 0..10 {
        client.token_with(&FORCE).expect("a token");
    }
    assert_eq!(nginx.emulator.control().counter("token.requests"), 10);
}

#[test]
fn a_limit_of_requests_is_told_as_throttling() {
    let nginx = Nginx::start(Setup {
        http: "limit_req_zone $binary_remote_addr zone=z:64k rate=1r/m;",
        server: "limit_req zone=z; limit_req_status 429;",
        ..Setup::default()
    });
    let client = client(&nginx.base_url, &[("max_retries", "0")]);
    let first = client.token().expect("the first one passes");
    let error = client.token_with(&FORCE).expect_err("throttled");
    check(
        &error,
        Code::RateLimited,
        &["HTTP 429", "429 Too Many Requests"],
        &["store"],
    );
    let cached = client.token_with(&TokenOptions::default());
    assert_eq!(cached.expect("still good").value(), first.value());
    assert_eq!(nginx.emulator.control().counter("token.requests"), 1);
}
