//! What the status of a response means: the error table of the protocol, for the token endpoint and the router.

use std::time::{Duration, SystemTime};

use super::body::{Body, contains_ignoring_case};
use super::rejection::{Rejection, classify_rejection};
use super::request::TOKEN_V2;
use super::response::{BASE_URL_HINT, reply_of, with_words};
use super::{Request, Response};
use crate::error::{Code, Error, Result};
use crate::options::AuthMode;
use crate::secret::Scrubber;
use crate::token::Reply;

/// What the token endpoint answered. `now_unix` is the time in Unix seconds, for a `Retry-After` that is a date in a
/// response without a `Date`.
///
/// # Errors
///
/// Every status that is no success, and every success without a usable token, has its own error: status, hint in P21's
/// terms, `retry_after` where the server stated one, and whether trying again can help. `Unauthorized` is the code of
/// wrong credentials, in any spelling and status they come, and of nothing else.
pub fn token_reply(
    request: &Request,
    response: &Response,
    mode: AuthMode,
    scrub: &Scrubber,
    now_unix: i64,
) -> Result<Reply> {
    let body = Body::of(response);
    let status = response.status;
    let error = if (200..300).contains(&status) {
        match reply_of(&body, scrub) {
            Ok(reply) => return Ok(reply),
            Err(error) if error.code() == Code::Unauthorized => {
                bad_credentials(mode, status, &body, scrub)
            }
            Err(error) => error.while_doing(&request.shown_url()),
        }
    } else if status >= 400 && status != 407 && body.is_bad_credentials() {
        bad_credentials(mode, status, &body, scrub)
    } else if status == 401 && !body.is_p21s_error() && has_challenge(response) {
        asks_for_login(mode, response, &body, scrub)
    } else if status == 401 {
        bad_credentials(mode, status, &body, scrub)
    } else if status == 500 && body.is_null_reference() {
        wrong_dialect(request, mode, &body, scrub)
    } else if status == 403 && matches!(body, Body::Html(_)) {
        Error::new(
            Code::Forbidden,
            with_words("a firewall or proxy in front of the server blocks token requests with its own page (HTTP 403)", &body, scrub),
        )
        .with_hint(format!(
            "P21 itself returns JSON or XML. Ask the administrator of the web application firewall, load balancer or IIS to let POST {} through from this machine; its log contains the request.",
            request.url.path()
        ))
    } else if status == 403 {
        Error::new(
            Code::Forbidden,
            with_words("the server forbids token requests (HTTP 403)", &body, scrub),
        )
        .with_hint(if mode.uses_consumer_key() {
            "Check the consumer key's API scope in SOA Admin (API Console)."
        } else {
            "Check that the user may use the API: User Maintenance → Application Security. A firewall in front of the server can return 403 as well."
        })
    } else {
        failed(&request.shown_url(), response, &body, scrub, now_unix)
    };
    let error = hint_at_lost_headers(error, request, status);
    Err(finish(error, response, now_unix))
}

/// Whether the same request may succeed when it is sent again soon: 408, 429, 500, 502, 503 and 504, unless the body says
/// that the credentials are wrong or were sent in the wrong dialect.
#[must_use]
pub fn is_transient(response: &Response) -> bool {
    if !matches!(response.status, 408 | 429 | 500 | 502 | 503 | 504) {
        return false;
    }
    let body = Body::read(&response.body);
    !(body.is_bad_credentials() || (response.status == 500 && body.is_null_reference()))
}

/// How long the server asks to wait: `Retry-After` in seconds, or as a date, which is taken relative to the response's own
/// `Date` (the server's clock) or else to `now_unix`. A date that is past means no wait.
#[must_use]
pub(crate) fn retry_after(response: &Response, now_unix: i64) -> Option<Duration> {
    let value = response.header("retry-after")?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = value.parse().map_or(u32::MAX, |seconds: u32| seconds);
        return Some(Duration::from_secs(u64::from(seconds)));
    }
    let until = unix_of(value)?;
    let seconds = until.saturating_sub(server_date_unix(response).unwrap_or(now_unix));
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// The response's `Date` in Unix seconds.
#[must_use]
pub(crate) fn server_date_unix(response: &Response) -> Option<i64> {
    unix_of(response.header("date")?.trim())
}

fn unix_of(http_date: &str) -> Option<i64> {
    let time = httpdate::parse_http_date(http_date).ok()?;
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

/// The error of a status that means the same at every endpoint. `url` is what was tried, without secrets.
pub(super) fn failed(
    url: &str,
    response: &Response,
    body: &Body,
    scrub: &Scrubber,
    now_unix: i64,
) -> Error {
    let status = response.status;
    let (code, what, hint) = match status {
        300..=399 => (
            Code::Redirect,
            "the server redirects".to_owned(),
            BASE_URL_HINT,
        ),
        400 if meets_tls(body, scrub) => (
            Code::Http,
            format!("{url} was refused"),
            "The port speaks TLS: write https in base_url.",
        ),
        404 => (
            Code::NotFound,
            format!("there is no P21 API at {url}"),
            BASE_URL_HINT,
        ),
        407 => return proxy_refused(response),
        408 => (
            Code::Http,
            "the server gave up waiting for the request".to_owned(),
            "",
        ),
        411 => (
            Code::Http,
            "the server did not get the Content-Length of an empty POST, which this library sends"
                .to_owned(),
            "A proxy in front of the server drops it.",
        ),
        429 => (
            Code::RateLimited,
            "the server throttles requests".to_owned(),
            "Share tokens between programs (option store) so that fewer are requested.",
        ),
        500..=599 => (
            Code::Server,
            "the server failed".to_owned(),
            match status {
                502..=504 => {
                    "The middleware behind the proxy or load balancer is down, starting or overloaded."
                }
                _ => "The middleware's own log says why.",
            },
        ),
        _ => (Code::Http, format!("{url} was refused"), BASE_URL_HINT),
    };
    let error = Error::new(
        code,
        with_words(&format!("{what} (HTTP {status})"), body, scrub),
    )
    .with_hint(hint)
    .with_retryable(is_transient(response));
    finish(error, response, now_unix)
}

/// The error of an API's answer that is no success.
pub(super) fn api_failure(
    name: &str,
    url: &str,
    response: &Response,
    body: &Body,
    scrub: &Scrubber,
    now_unix: i64,
) -> Error {
    if !matches!(response.status, 401 | 403) {
        return failed(url, response, body, scrub, now_unix);
    }
    let rejection = classify_rejection(response.status, &response.body);
    let (code, what) = match rejection {
        Rejection::BlockPage => (
            Code::Forbidden,
            format!("a firewall or proxy in front of the {name} blocks it with its own page"),
        ),
        Rejection::Permission | Rejection::Scope => {
            (Code::Forbidden, format!("the {name} forbids it"))
        }
        _ => (
            Code::Unauthorized,
            format!("the {name} does not accept the token"),
        ),
    };
    let what = format!("{what} (HTTP {})", response.status);
    Error::new(code, with_words(&what, body, scrub))
        .with_hint(rejection.hint())
        .with_http_status(response.status)
}

fn finish(error: Error, response: &Response, now_unix: i64) -> Error {
    let error = error.with_http_status(response.status);
    match retry_after(response, now_unix) {
        Some(wait) if response.status >= 400 => error.with_retry_after(wait),
        _ => error,
    }
}

fn bad_credentials(mode: AuthMode, status: u16, body: &Body, scrub: &Scrubber) -> Error {
    let (what, hint) = if mode.uses_consumer_key() {
        (
            "the server rejects the consumer key",
            "Verify the key in SOA Admin (API Console): it must be complete, enabled and not expired; a username sent with it must be a P21 user.",
        )
    } else {
        (
            "the server rejects the username or password",
            "Check username and password by logging in to P21 with them; the user must be enabled and not locked (User Maintenance).",
        )
    };
    // With the number, as people search for "401".
    let what = format!("{what} (HTTP {status})");
    Error::new(Code::Unauthorized, with_words(&what, body, scrub)).with_hint(hint)
}

fn has_challenge(response: &Response) -> bool {
    response.header("www-authenticate").is_some()
}

/// A 401 with a challenge and without a word of P21: IIS, or a proxy in front, requires a login of its own, or the credentials
/// are wrong all the same.
fn asks_for_login(mode: AuthMode, response: &Response, body: &Body, scrub: &Scrubber) -> Error {
    let offered = |scheme: &&&str| {
        response
            .headers
            .iter()
            .filter(|(name, _)| name == "www-authenticate")
            .any(|(_, value)| contains_ignoring_case(value, scheme))
    };
    let schemes: Vec<&str> = ["Negotiate", "NTLM", "Basic", "Digest", "Bearer"]
        .iter()
        .filter(offered)
        .copied()
        .collect();
    let asks = match &schemes[..] {
        [] => "a login of its own".to_owned(),
        schemes => format!("a login of its own ({})", schemes.join(", ")),
    };
    let (what, check) = if mode.uses_consumer_key() {
        ("consumer key", "verify the key in SOA Admin")
    } else {
        ("username or password", "log in to P21 with them")
    };
    let message = format!(
        "IIS or a proxy in front of P21 asks for {asks}, or the server rejects the {what} (HTTP 401)"
    );
    Error::new(Code::Unauthorized, with_words(&message, body, scrub))
        .with_hint(format!(
            "The response does not come from P21, so either may be the cause. In IIS, the site of the P21 middleware needs Anonymous Authentication on and Windows Authentication off; a proxy in front must not ask for a login. If they are set that way, check the {what}: {check}."
        ))
        .with_two_causes()
}

/// A server that gets V1 credentials without their headers may answer in any of these ways.
fn hint_at_lost_headers(error: Error, request: &Request, status: u16) -> Error {
    let may_be = matches!(status, 400 | 401 | 403 | 500) || error.code() == Code::Unauthorized;
    if !may_be || !request.headers.iter().any(|(name, _)| name.contains('_')) {
        return error;
    }
    let hint = format!(
        "{} If all of that is right: a reverse proxy such as nginx drops headers with underscores in their names (underscores_in_headers on; lets them pass), or use auth_mode=v2_consumer.",
        error.hint()
    );
    error.with_hint(hint)
}

/// Whether a server that speaks TLS says that it was spoken to without: nginx by a page's title, Go programs by text.
fn meets_tls(body: &Body, scrub: &Scrubber) -> bool {
    let words = body.words(scrub);
    [
        "plain HTTP request was sent to HTTPS port",
        "HTTP request to an HTTPS server",
    ]
    .iter()
    .any(|sentence| contains_ignoring_case(&words, sentence))
}

fn wrong_dialect(request: &Request, mode: AuthMode, body: &Body, scrub: &Scrubber) -> Error {
    let what = if request.url.path().ends_with(TOKEN_V2) {
        "the server failed with a NullReferenceException (HTTP 500), as it does when credentials come in the wrong dialect"
    } else {
        "the server failed with a NullReferenceException (HTTP 500)"
    };
    let hint = match mode {
        AuthMode::V2Consumer => {
            "Check that this is a consumer key and not a password; a server without V2 for consumer keys needs auth_mode=v1_consumer."
        }
        AuthMode::V2Password => {
            "Check that these are a username and password and not a consumer key; a server without V2 needs auth_mode=v1_password."
        }
        AuthMode::V1Consumer => {
            "Try auth_mode=v2_consumer, or another profile of v1_consumer_headers."
        }
        AuthMode::V1Password | AuthMode::V1Query | AuthMode::Token => "Try auth_mode=v2_password.",
    };
    Error::new(Code::Server, with_words(what, body, scrub))
        .with_hint(hint)
        .with_retryable(false)
}

fn proxy_refused(response: &Response) -> Error {
    let offers = |scheme: &str| {
        response
            .headers
            .iter()
            .filter(|(name, _)| name == "proxy-authenticate")
            .any(|(_, value)| contains_ignoring_case(value, scheme))
    };
    let windows = offers("ntlm") || offers("negotiate");
    let error = if windows && !offers("basic") {
        Error::new(
            Code::Proxy,
            "the forward proxy requires NTLM or Negotiate, which is not supported (HTTP 407)",
        )
        .with_hint("Let the proxy accept this program or the P21 host without a login, run a local relay such as px or cntlm and set proxy to it, or set proxy=direct.")
    } else {
        Error::new(Code::Proxy, "the forward proxy requires a login (HTTP 407)")
            .with_hint("Set proxy=http://user:password@host:port.")
    };
    error.with_http_status(407)
}
