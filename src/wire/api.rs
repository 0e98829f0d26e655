//! The APIs that a token is for: where one harmless question to each goes, and what the answer means.

use url::Url;

use super::Response;
use super::body::{Body, contains_ignoring_case};
use super::request::{TOKEN_V1, TOKEN_V2, UI_ROUTER};
use super::response::{BASE_URL_HINT, with_plain_words};
use super::status::api_failure;
use crate::error::{Code, Error, Result};
use crate::options::{AuthMode, BaseUrl};
use crate::secret::Scrubber;

/// Where the token endpoint of this mode answers: the URL without what `v1_query` adds.
///
/// # Errors
///
/// As [`ui_router_url`].
pub(crate) fn token_url(base: &BaseUrl, mode: AuthMode) -> Result<Url> {
    match mode {
        AuthMode::V1Password | AuthMode::V1Consumer | AuthMode::V1Query => base.join(TOKEN_V1),
        AuthMode::V2Password | AuthMode::V2Consumer | AuthMode::Token => base.join(TOKEN_V2),
    }
}

/// Where the UI router answers.
///
/// # Errors
///
/// `InvalidArgument`, which a base URL that was parsed never causes.
pub(crate) fn ui_router_url(base: &BaseUrl) -> Result<Url> {
    base.join(UI_ROUTER)
}

/// One row of a table by the `OData` service: reading changes nothing and needs no session.
///
/// # Errors
///
/// `InvalidArgument` for a table whose name is not made of letters, digits and underscores.
pub(crate) fn odata_url(base: &BaseUrl, table: &str) -> Result<Url> {
    let named = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if table.is_empty() || !table.chars().all(named) {
        return Err(Error::new(
            Code::InvalidArgument,
            "a table's name is made of letters, digits and underscores",
        ));
    }
    base.join(&format!("/odataservice/odata/table/{table}?$top=1"))
}

/// The Entity API's own health check, which reads no record.
///
/// # Errors
///
/// As [`ui_router_url`].
pub(crate) fn entity_url(base: &BaseUrl) -> Result<Url> {
    base.join("/api/entity/customers/ping")
}

/// The token's own Interactive sessions: a GET lists them and opens none.
///
/// # Errors
///
/// `InvalidArgument` when the UI server's URL is none.
pub(crate) fn interactive_url(ui_server: &str) -> Result<Url> {
    Url::parse(&format!("{ui_server}/api/ui/interactive/sessions/"))
        .map_err(|_| Error::new(Code::InvalidArgument, "the UI server's URL is not a URL"))
}

/// What an API that was asked at `url` with a token answered; `name` is what to call it. Success is any answer that is a
/// success and no web page.
///
/// # Errors
///
/// `Forbidden` for a missing permission or scope, `Unauthorized` for a token that is not accepted or a header that got
/// lost, by [`super::classify_rejection`] and with its hint; `Parse` for a web page; every other status as for tokens.
pub(crate) fn api_reply(
    name: &str,
    url: &Url,
    response: &Response,
    scrub: &Scrubber,
    now_unix: i64,
) -> Result<()> {
    let body = Body::of(response);
    match (response.status, &body) {
        (200..300, Body::Html(_)) => Err(Error::new(
            Code::Parse,
            with_plain_words(&format!("the {name} returns a web page"), &body, scrub),
        )
        .with_hint(BASE_URL_HINT)
        .with_http_status(response.status)),
        (200..300, _) => Ok(()),
        _ => {
            let shown = &url[..url::Position::AfterPath];
            Err(api_failure(name, shown, response, &body, scrub, now_unix))
        }
    }
}

/// Whether the Interactive API says that the user it was asked as is no P21 user, as it does for a consumer key without a
/// username.
#[must_use]
pub(crate) fn refuses_user(response: &Response) -> bool {
    let body = Body::read(&response.body);
    response.status >= 400
        && body.fields().iter().any(|field| {
            contains_ignoring_case(field.text.expose(), "Error retrieving/validating user")
        })
}

/// What a body is, in a word or two, told by looking at it.
#[must_use]
pub(crate) fn body_kind(bytes: &[u8]) -> &'static str {
    match Body::read(bytes) {
        Body::Empty => "nothing",
        Body::Json(_) => "a JSON object",
        Body::Xml(_) => "XML",
        Body::Text(_) => "bare text",
        Body::Scalar => "a JSON value",
        Body::Html(_) => "a web page",
        Body::Broken(_) | Body::Binary(_) => "something unreadable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    fn response(status: u16, body: &str) -> Response {
        Response {
            status,
            body: Zeroizing::new(body.as_bytes().to_vec()),
            ..Response::default()
        }
    }

    #[test]
    fn questions_stay_below_the_prefix() {
        let base = BaseUrl::parse("https://p21.example.com/P21APIService", false).expect("valid");
        for (url, text) in [
            (ui_router_url(&base), "/api/ui/router/v1/?urlType=external"),
            (
                odata_url(&base, "customer"),
                "/odataservice/odata/table/customer?$top=1",
            ),
            (entity_url(&base), "/api/entity/customers/ping"),
            (
                interactive_url("https://p21.example.com/P21APIService/uiserver0"),
                "/uiserver0/api/ui/interactive/sessions/",
            ),
        ] {
            assert_eq!(
                url.expect("a URL").as_str(),
                format!("https://p21.example.com/P21APIService{text}")
            );
        }
        for table in ["", "a b", "../x", "a?b", "a/b", "a%2f"] {
            assert!(odata_url(&base, table).is_err(), "{table}");
        }
        assert!(interactive_url("nonsense").is_err());
    }

    #[test]
    fn answers_mean_what_they_mean_to_the_library() {
        let url = Url::parse("https://p21.example.com/odata?x=hunter22").expect("a URL");
        let reply = |status, body: &str| {
            api_reply(
                "OData service",
                &url,
                &response(status, body),
                &Scrubber::default(),
                0,
            )
        };
        for (status, body) in [(200, "{}"), (200, ""), (204, ""), (200, "<a/>")] {
            assert!(reply(status, body).is_ok(), "{status} {body}");
        }
        for (status, body, code, says, hint) in [
            (
                401,
                "\"You are not authorized to access API\"",
                Code::Forbidden,
                "the OData service forbids it",
                "Allow OData API Service",
            ),
            (403, "{}", Code::Forbidden, "forbids it", "API scope"),
            (
                401,
                "<TokenError/>",
                Code::Unauthorized,
                "does not accept the token",
                "Get a token again",
            ),
            (
                401,
                r#"{"Description":"Authorization header was not present"}"#,
                Code::Unauthorized,
                "not present",
                "did not reach P21",
            ),
            (404, "", Code::NotFound, "https://p21.example.com/odata", ""),
            (500, "", Code::Server, "HTTP 500", ""),
            (
                200,
                "<!DOCTYPE html><title>P21</title>",
                Code::Parse,
                "web page",
                "base_url",
            ),
        ] {
            let error = reply(status, body).expect_err(body);
            assert_eq!((error.code(), error.http_status()), (code, status));
            assert!(error.message().contains(says), "{error}");
            assert!(error.hint().contains(hint), "{error}");
            assert!(!error.to_string().contains("hunter22"), "{error}");
        }
    }

    #[test]
    fn the_interactive_api_refuses_who_is_no_user() {
        let body = r#"{"ErrorMessage":"Error retrieving/validating user","ErrorType":null}"#;
        assert!(refuses_user(&response(500, body)));
        assert!(!refuses_user(&response(200, body)));
        assert!(!refuses_user(&response(500, r#"{"ErrorMessage":"down"}"#)));
    }

    #[test]
    fn bodies_have_names() {
        for (body, kind) in [
            ("", "nothing"),
            ("{}", "a JSON object"),
            ("<a><b/></a>", "XML"),
            ("a.b.c", "bare text"),
            ("7", "a JSON value"),
            ("<!DOCTYPE html>", "a web page"),
            ("{", "something unreadable"),
        ] {
            assert_eq!(body_kind(body.as_bytes()), kind, "{body}");
        }
    }
}
