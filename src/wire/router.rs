//! The UI server's URL, as the router states it.

use url::Url;

use super::Response;
use super::body::Body;
use super::rejection::{Rejection, classify_rejection};
use super::request::UI_ROUTER;
use super::response::{BASE_URL_HINT, with_words};
use super::status::failed;
use crate::error::{Code, Error, Result};
use crate::options::BaseUrl;
use crate::secret::Scrubber;

/// The UI server's URL without trailing slashes, such as `https://p21.example.com/uiserver0`. It may be on another host
/// than `base`; the diagnostics tell. `now_unix` serves `Retry-After` as in [`super::token_reply`].
///
/// # Errors
///
/// `NoUrl` when the reply holds none, or one that is not http(s), goes down from https to http, or has a user in it;
/// `Parse` when the reply could not be understood; a status that is no success as for tokens, a 401 or 403 by
/// [`classify_rejection`].
pub fn ui_url_reply(
    base: &BaseUrl,
    response: &Response,
    scrub: &Scrubber,
    now_unix: i64,
) -> Result<String> {
    let body = Body::read(&response.body);
    let status = response.status;
    let result = match (status, &body) {
        (200..300, Body::Json(fields) | Body::Xml(fields)) => match fields.text(&["url"]) {
            Some(text) => checked(base, text.expose()),
            None => Err(Error::new(
                Code::NoUrl,
                with_words("the router's reply holds no Url", &body, scrub),
            )
            .with_hint("The consumer key's scope or the user must allow the UI server.")),
        },
        (200..300, Body::Empty | Body::Scalar) => {
            Err(Error::new(Code::NoUrl, "the router's reply holds no Url"))
        }
        (200..300, Body::Broken(what)) => Err(Error::new(
            Code::Parse,
            format!("the router's reply cannot be read: {what}"),
        )),
        (200..300, Body::Html(_) | Body::Text(_)) => Err(Error::new(
            Code::Parse,
            with_words("the router's reply is a page or plain text", &body, scrub),
        )
        .with_hint(BASE_URL_HINT)),
        (401 | 403, _) => {
            let rejection = classify_rejection(status, &response.body);
            let (code, what) = match rejection {
                Rejection::Permission => (Code::Forbidden, "the router forbids it"),
                _ => (Code::Unauthorized, "the router does not accept the token"),
            };
            Err(Error::new(code, with_words(what, &body, scrub))
                .with_hint(rejection.verdict().hint()))
        }
        _ => {
            let (path, _) = UI_ROUTER.split_once('?').unwrap_or((UI_ROUTER, ""));
            return Err(failed(
                &format!("{base}{path}"),
                response,
                &body,
                scrub,
                now_unix,
            ));
        }
    };
    result.map_err(|error| error.with_http_status(status))
}

fn checked(base: &BaseUrl, text: &str) -> Result<String> {
    let fault = |what: &str| {
        Err(
            Error::new(Code::NoUrl, format!("the router's Url {what}")).with_hint(
                "Check the external UI server URL in the P21 middleware's configuration (SOA Admin).",
            ),
        )
    };
    let text = text.trim();
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return fault("holds blanks or control characters");
    }
    let Ok(url) = Url::parse(text) else {
        return fault("is not a URL");
    };
    match url.scheme() {
        "https" => {}
        "http" if base.url().scheme() == "http" => {}
        "http" => {
            return fault(
                "is http although base_url is https, so the token would travel unprotected",
            );
        }
        _ => return fault("is neither https nor http"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return fault("has a user or password in it");
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}
