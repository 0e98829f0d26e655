//! The real transport against small servers on loopback that misbehave in every way that servers in the field do.

mod identity;
mod network;
mod pool;
mod proxy;
mod server;
mod tls;

use std::time::Duration;

use p21auth::error::{Code, Error};
use p21auth::http::{HttpTransport, Transport};
use p21auth::options::{ProxyChoice, TlsTrust, TransportSettings};
use p21auth::secret::Secret;
use p21auth::wire::{Method, Request, Response};
use url::Url;

/// Stands in each request as its password, and must stand in no error.
const PASSWORD: &str = "hunter22-hunter22";

/// Long enough for a loopback exchange on a busy machine; a test that meets it has failed.
const LONG: Duration = Duration::from_secs(20);

/// Short, for tests in which the time has to run out.
const SHORT: Duration = Duration::from_millis(400);

const MAX_BODY: usize = 64 * 1024;

fn settings() -> TransportSettings {
    TransportSettings {
        connect_timeout_ms: 10_000,
        tls: TlsTrust {
            verify: true,
            ca_file: None,
            pins: Vec::new(),
        },
        proxy: ProxyChoice::Direct,
        no_proxy: Vec::new(),
        resolve: Vec::new(),
    }
}

/// A token request as `v1_query` sends it, the password in the query, in a header and in the body.
fn request(base: &str) -> Request {
    Request {
        method: Method::Post,
        url: Url::parse(&format!(
            "{base}/api/security/token/?username=u&password={PASSWORD}"
        ))
        .expect("URL"),
        headers: vec![
            ("Accept", Secret::new("application/json")),
            ("password", Secret::new(PASSWORD)),
        ],
        body: Some(Secret::new(PASSWORD)),
    }
}

fn send(settings: &TransportSettings, base: &str) -> Result<Response, Error> {
    send_within(settings, base, LONG)
}

fn send_within(
    settings: &TransportSettings,
    base: &str,
    limit: Duration,
) -> Result<Response, Error> {
    HttpTransport::new(settings)?.send(&request(base), limit, MAX_BODY)
}

/// The error of a request that fails with `code`, its message holding each of `message` and its hint each of `hint`.
#[track_caller]
fn fails(outcome: Result<Response, Error>, code: Code, message: &[&str], hint: &[&str]) -> Error {
    let error = outcome.expect_err("the request fails");
    assert_eq!(error.code(), code, "{error}");
    for part in message {
        assert!(error.message().contains(part), "no {part:?} in: {error}");
    }
    for part in hint {
        assert!(
            error.hint().contains(part),
            "no {part:?} in the hint: {error}"
        );
    }
    let all = format!("{error} {error:?}");
    for secret in [PASSWORD, "username=", "token/"] {
        assert!(!all.contains(secret), "{secret} in: {all}");
    }
    error
}

/// Runs the calling test once more in a process of its own with these variables. True inside that process.
fn in_child(test: &str, variables: &[(&str, &str)]) -> bool {
    const MARK: &str = "P21AUTH_TEST_CHILD";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let mut command = std::process::Command::new(std::env::current_exe().expect("this test"));
    command
        .args(["--exact", test, "--nocapture"])
        .env(MARK, "1");
    for name in [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
        "REQUESTS_CA_BUNDLE",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    ] {
        command.env_remove(name);
    }
    let output = command
        .envs(variables.iter().copied())
        .output()
        .expect("the child runs");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && printed.contains("1 passed"),
        "{printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    false
}
