//! The real transport against small servers on loopback that misbehave in every way that servers in the field do.

mod authorities;
mod network;
mod pool;
mod proxy;
mod refusals;
mod tls;

use std::time::Duration;

use p21auth::internal::http::{HttpTransport, Limits, Transport};
use p21auth::internal::options::{ProxyChoice, TlsTrust, TransportSettings};
use p21auth::internal::secret::Secret;
use p21auth::internal::wire::{Method, Request, Response};
use p21auth::{Code, Error};
use url::Url;

use test_support::child::in_child;

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
    HttpTransport::new(settings)?.send(&request(base), &Limits::new(limit, MAX_BODY))
}

/// The error of a request that fails with `code`, its message holding each of `message` and its hint each of `hint`.
#[track_caller]
fn fails(outcome: Result<Response, Error>, code: Code, message: &[&str], hint: &[&str]) -> Error {
    let error = outcome.expect_err("the request fails");
    let secrets = [PASSWORD, "username=", "token/"];
    test_support::error_is(&error, code, message, hint, &secrets);
    error
}
