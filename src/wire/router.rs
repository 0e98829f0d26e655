//! The UI server's URL, as the router states it.

use url::Url;

use super::Response;
use super::body::Body;
use super::request::UI_ROUTER;
use super::response::{BASE_URL_HINT, unreadable, with_plain_words, with_words};
use super::status::api_failure;
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
/// [`super::classify_rejection`].
pub fn ui_url_reply(
    base: &BaseUrl,
    response: &Response,
    scrub: &Scrubber,
    now_unix: i64,
) -> Result<String> {
    let body = Body::of(response);
    let status = response.status;
    let result = match (status, &body) {
        (200..300, Body::Json(fields) | Body::Xml(fields)) => match fields.text(&["url"]) {
            Some(text) => checked(base, text.expose()),
            None => Err(Error::new(
                Code::NoUrl,
                with_words("the router's response contains no Url", &body, scrub),
            )
            .with_hint("The consumer key's scope or the user must allow the UI server.")),
        },
        (200..300, Body::Empty | Body::Scalar) => Err(Error::new(
            Code::NoUrl,
            "the router's response contains no Url",
        )),
        (200..300, Body::Broken(what)) => Err(Error::new(
            Code::Parse,
            format!("the router's response cannot be read: {what}"),
        )),
        (200..300, Body::Binary(compression)) => {
            Err(unreadable("the router's response", *compression))
        }
        (200..300, Body::Html(_) | Body::Text(_)) => Err(Error::new(
            Code::Parse,
            with_plain_words(
                "the router's response is a web page or plain text",
                &body,
                scrub,
            ),
        )
        .with_hint(BASE_URL_HINT)),
        _ => {
            let (path, _) = UI_ROUTER.split_once('?').unwrap_or((UI_ROUTER, ""));
            let url = format!("{base}{path}");
            return Err(api_failure(
                "router", &url, response, &body, scrub, now_unix,
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
        return fault("contains blanks or control characters");
    }
    let Ok(url) = Url::parse(text) else {
        return fault("is not a URL");
    };
    match url.scheme() {
        "https" => {}
        "http" if base.may_send_to(&url) => {}
        "http" if base.url().scheme() == "http" => {
            return fault(
                "is plain http to another machine, so the token would travel unprotected (without allow_http)",
            );
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    fn asked(base: &str, status: u16, body: &str) -> Result<String> {
        let base = BaseUrl::parse(base, true).expect("valid");
        let response = Response {
            status,
            headers: vec![("retry-after".to_owned(), "7".to_owned())],
            body: Zeroizing::new(body.as_bytes().to_vec()),
        };
        ui_url_reply(&base, &response, &Scrubber::default(), 0)
    }

    #[test]
    fn the_url_in_every_form() {
        for body in [
            r#"{"Url":"https://ui.example.com/uiserver0/"}"#,
            r#"{"url":" https://ui.example.com:443/uiserver0// "}"#,
            "\u{feff}{\"URL\":\"https:\\/\\/UI.example.com\\/uiserver0\"}",
            r#"<UiRouter xmlns="urn:x"><p:url xmlns:p="urn:y">https://ui.example.com/uiserver0/</p:url></UiRouter>"#,
        ] {
            let url = asked("https://p21.example.com", 200, body);
            assert_eq!(
                url.as_deref(),
                Ok("https://ui.example.com/uiserver0"),
                "{body}"
            );
        }
        for body in [
            r#"{"Url":"http://localhost:9/ui/"}"#,
            r#"{"Url":"https://localhost:9/ui/"}"#,
        ] {
            assert!(asked("http://localhost:9", 200, body).is_ok(), "{body}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for (body, code, says) in [
            ("", Code::NoUrl, "no Url"),
            ("{}", Code::NoUrl, "no Url"),
            ("null", Code::NoUrl, "no Url"),
            (r#"{"Url":null}"#, Code::NoUrl, "no Url"),
            (r#"{"Url":""}"#, Code::NoUrl, "no Url"),
            (r#"{"Url":7}"#, Code::NoUrl, "no Url"),
            (
                r#"{"ErrorMessage":"No UI server"}"#,
                Code::NoUrl,
                "No UI server",
            ),
            (r#"{"Url":"/uiserver0"}"#, Code::NoUrl, "not a URL"),
            (
                r#"{"Url":"http://p21.example.com/uiserver0"}"#,
                Code::NoUrl,
                "unprotected",
            ),
            (
                r#"{"Url":"javascript:alert(1)"}"#,
                Code::NoUrl,
                "neither https nor http",
            ),
            (
                r#"{"Url":"https://u:hunter22@ui.example.com/"}"#,
                Code::NoUrl,
                "user or password",
            ),
            (
                r#"{"Url":"https://ui.example.com/\r\nX: y"}"#,
                Code::NoUrl,
                "control characters",
            ),
            (
                "<!DOCTYPE html><title>P21</title>",
                Code::Parse,
                "the server says: P21",
            ),
            ("https://ui.example.com/", Code::Parse, "plain text"),
            ("{", Code::Parse, "not well-formed JSON"),
        ] {
            let error = asked("https://p21.example.com", 200, body).expect_err(body);
            assert_eq!(error.code(), code, "{body}: {error}");
            assert_eq!(error.http_status(), 200);
            assert!(error.message().contains(says), "{body}: {error}");
            assert!(!error.to_string().contains("hunter22"), "{error}");
        }
    }

    #[test]
    fn statuses_mean_what_they_mean_elsewhere() {
        for (status, body, code, says, hint) in [
            (
                401,
                "",
                Code::Unauthorized,
                "does not accept the token (HTTP 401)",
                "Get a token again",
            ),
            (
                401,
                "You are not authorized to access API",
                Code::Forbidden,
                "forbids",
                "Allow OData API Service",
            ),
            (
                401,
                r#"{"Description":"Authorization header was not present"}"#,
                Code::Unauthorized,
                "not present",
                "did not reach P21",
            ),
            (
                403,
                "",
                Code::Forbidden,
                "forbids it (HTTP 403)",
                "Check the consumer key's API scope",
            ),
            (
                404,
                "",
                Code::NotFound,
                "no P21 API at https://p21.example.com/api/ui/router/v1/ (HTTP 404)",
                "base_url",
            ),
            (429, "", Code::RateLimited, "throttles", "store"),
            (503, "", Code::Server, "HTTP 503", "down"),
        ] {
            let error = asked("https://p21.example.com", status, body).expect_err("no URL");
            assert_eq!((error.code(), error.http_status()), (code, status));
            assert!(error.message().contains(says), "{error}");
            assert!(error.hint().contains(hint), "{error}");
        }
        let error = asked("https://p21.example.com", 503, "").expect_err("no URL");
        assert_eq!(error.retry_after(), Some(std::time::Duration::from_secs(7)));
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        let asked = |base: &str, allow_http: bool, url: &str| {
            let base = BaseUrl::parse(base, allow_http).expect("valid");
            let mut response = Response {
                status: 200,
                ..Response::default()
            };
            response.body = Zeroizing::new(format!(r#"{{"Url":"{url}"}}"#).into_bytes());
            ui_url_reply(&base, &response, &Scrubber::default(), 0)
        };
        for url in [
            "http://p21.example.com/ui",
            "http://192.0.2.1/",
            "http://localhost.example/",
        ] {
            let error = asked("http://localhost:8080", false, url).expect_err(url);
            assert_eq!(error.code(), Code::NoUrl);
            assert!(
                error.message().contains("plain http to another machine"),
                "{error}"
            );
            asked("http://localhost:8080", true, url).expect(url);
        }
        for url in [
            "http://127.0.0.1:81/ui",
            "http://[::1]/",
            "https://p21.example.com/ui",
        ] {
            asked("http://localhost:8080", false, url).expect(url);
        }
    }
}
