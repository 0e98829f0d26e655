//! Section 4: what each status and body of the token endpoint means.

use std::time::Duration;

use super::super::{Response, is_transient, retry_after, server_date_unix, token_reply};
use super::{post, response};
use crate::error::{Code, Error};
use crate::options::AuthMode;
use crate::secret::{Scrubber, Secret};

const V2: &str = "https://p21.example.com/api/security/token/v2";
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const DATE_UNIX: i64 = 784_111_777;

fn failed(response: &Response, mode: AuthMode) -> Error {
    token_reply(&post(V2), response, mode, &Scrubber::default(), 0).expect_err("no token")
}

#[test]
fn a_token_comes_with_any_success() {
    for status in [200, 201] {
        let response = response(
            status,
            &[("content-type", "text/html")],
            r#"{"token":"tok"}"#,
        );
        let reply = token_reply(
            &post(V2),
            &response,
            AuthMode::V2Password,
            &Scrubber::default(),
            0,
        );
        assert_eq!(reply.expect("a token").access_token.expose(), "tok");
    }
    assert_eq!(
        failed(&response(204, &[], ""), AuthMode::V2Password).code(),
        Code::NoAccessToken
    );
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn every_row_of_the_error_table() {
    let grant = r#"{"error":"invalid_grant","error_description":"Wrong."}"#;
    let null_reference = r#"{"Message":"Object reference not set to an instance of an object.","ExceptionType":"System.NullReferenceException"}"#;
    for (status, body, code, retryable, says) in [
        (
            401,
            "",
            Code::Unauthorized,
            false,
            "rejects the username or password (HTTP 401)",
        ),
        (
            401,
            "<html><title>401 - Unauthorized</title>",
            Code::Unauthorized,
            false,
            "401 - Unauthorized",
        ),
        (
            401,
            r#"{"Message":"no"}"#,
            Code::Unauthorized,
            false,
            "the server says: no",
        ),
        (
            400,
            grant,
            Code::Unauthorized,
            false,
            "invalid_grant: Wrong.",
        ),
        (
            403,
            r#"{"Error":"invalid_client","Description":"Unknown."}"#,
            Code::Unauthorized,
            false,
            "invalid_client: Unknown.",
        ),
        (
            400,
            "error=invalid_grant",
            Code::Unauthorized,
            false,
            "invalid_grant",
        ),
        (
            400,
            r#"{"ErrorType":"InvalidGrant"}"#,
            Code::Unauthorized,
            false,
            "InvalidGrant",
        ),
        (
            400,
            "<TokenError/>",
            Code::Unauthorized,
            false,
            "username or password",
        ),
        (
            403,
            "<x:ResourceError xmlns:x=\"urn:x\"><Message>No.</Message></x:ResourceError>",
            Code::Unauthorized,
            false,
            "No.",
        ),
        (
            200,
            "<ResourceError><Message>No.</Message></ResourceError>",
            Code::Unauthorized,
            false,
            "No.",
        ),
        (
            200,
            "<a><TokenError Message=\"No.\"/></a>",
            Code::Unauthorized,
            false,
            "No.",
        ),
        (200, grant, Code::Unauthorized, false, "Wrong."),
        (500, grant, Code::Unauthorized, false, "Wrong."),
        (
            400,
            r#"{"ErrorMessage":"Bad scope","ErrorType":"X"}"#,
            Code::Http,
            false,
            "Bad scope: X",
        ),
        (
            400,
            r#"{"ErrorMessage":null,"ErrorType":null,"TokenError":""}"#,
            Code::Http,
            false,
            "was refused (HTTP 400)",
        ),
        (
            403,
            "Forbidden",
            Code::Forbidden,
            false,
            "the server says: Forbidden",
        ),
        (
            404,
            "<!DOCTYPE html><title>Not here</title>",
            Code::NotFound,
            false,
            "there is no P21 API at https://p21.example.com/api/security/token/v2 (HTTP 404); the server says: Not here",
        ),
        (405, "", Code::Http, false, "HTTP 405"),
        (408, "", Code::Http, true, "HTTP 408"),
        (411, "", Code::Http, false, "Content-Length"),
        (418, "teapot", Code::Http, false, "teapot"),
        (429, "", Code::RateLimited, true, "throttles"),
        (500, "", Code::Server, true, "HTTP 500"),
        (
            500,
            r#"{"ErrorMessage":"Database down","ErrorType":"Sql"}"#,
            Code::Server,
            true,
            "Database down: Sql",
        ),
        (500, null_reference, Code::Server, false, "wrong dialect"),
        (
            500,
            "System.NullReferenceException: Object reference",
            Code::Server,
            false,
            "wrong dialect",
        ),
        (
            500,
            "<Error><ExceptionType>System.NullReferenceException</ExceptionType></Error>",
            Code::Server,
            false,
            "wrong dialect",
        ),
        (501, "", Code::Server, false, "HTTP 501"),
        (
            502,
            "<html><title>Bad Gateway</title>",
            Code::Server,
            true,
            "Bad Gateway",
        ),
        (
            503,
            "Service Unavailable",
            Code::Server,
            true,
            "Service Unavailable",
        ),
        (504, "", Code::Server, true, "HTTP 504"),
        (304, "", Code::Redirect, false, "HTTP 304"),
        (
            200,
            "<!DOCTYPE html><title>P21</title>",
            Code::Parse,
            false,
            "web page",
        ),
        (
            200,
            r#"{"ErrorMessage":"No.","ErrorType":null}"#,
            Code::NoAccessToken,
            false,
            "says: No.",
        ),
        (200, "{", Code::Parse, false, V2),
    ] {
        let response = response(status, &[], body);
        let error = failed(&response, AuthMode::V2Password);
        assert_eq!(error.code(), code, "{status} {body}: {error}");
        assert_eq!(error.http_status(), status, "{body}");
        assert_eq!(error.is_retryable(), retryable, "{status} {body}: {error}");
        assert_eq!(is_transient(&response), retryable, "{status} {body}");
        assert!(error.message().contains(says), "{status} {body}: {error}");
        // People search for "401".
        let number = format!("(HTTP {status})");
        assert!(
            status == 200 || error.message().contains(&number),
            "{error}"
        );
        assert!(
            !error.hint().is_empty() || matches!(status, 408),
            "{status} {body}"
        );
        assert_eq!(error.retry_after(), None);
    }
}

#[test]
fn a_challenge_without_a_word_of_p21_has_two_causes() {
    let iis = "<!DOCTYPE html><html><head><title>401 - Unauthorized: Access is denied due to invalid credentials.</title></head></html>";
    for (challenge, body, says) in [
        ("Negotiate", iis, "(Negotiate)"),
        ("NTLM", "", "(NTLM)"),
        ("Basic realm=\"proxy\"", "<html>login</html>", "(Basic)"),
        ("Bearer", "Unauthorized", "(Bearer)"),
        (
            "X-Custom",
            "{\"Message\":\"Authorization has been denied\"}",
            "login of its own,",
        ),
        ("Negotiate", "\x1f\u{0}", "(Negotiate)"),
    ] {
        for mode in [AuthMode::V2Password, AuthMode::V2Consumer] {
            let error = failed(
                &response(401, &[("www-authenticate", challenge)], body),
                mode,
            );
            assert_eq!(
                (error.code(), error.http_status()),
                (Code::Unauthorized, 401)
            );
            assert!(error.has_two_causes(), "{error}");
            assert!(error.message().contains(says), "{challenge}: {error}");
            assert!(
                error.message().contains("IIS or a proxy in front of P21"),
                "{error}"
            );
            assert!(error.message().contains("(HTTP 401)"), "{error}");
            let secret = if mode == AuthMode::V2Consumer {
                "consumer key"
            } else {
                "username or password"
            };
            assert!(
                error.message().contains(secret) && error.hint().contains(secret),
                "{error}"
            );
            assert!(error.hint().contains("Anonymous Authentication"), "{error}");
        }
    }
    // The body decides first.
    for (status, headers, body) in [
        (
            401,
            &[("www-authenticate", "Negotiate")][..],
            r#"{"error":"invalid_grant"}"#,
        ),
        (
            401,
            &[("www-authenticate", "NTLM")],
            "<TokenError><Message>No.</Message></TokenError>",
        ),
        (
            401,
            &[("www-authenticate", "Bearer")],
            r#"{"ErrorMessage":"No such user","ErrorType":null}"#,
        ),
        (
            401,
            &[("www-authenticate", "Basic")],
            "\"{\\\"Error\\\":\\\"invalid_client\\\"}\"",
        ),
        (
            400,
            &[("www-authenticate", "Negotiate")],
            r#"{"error":"invalid_client"}"#,
        ),
        (
            403,
            &[("www-authenticate", "Negotiate")],
            "<ResourceError/>",
        ),
        (401, &[], iis),
        (401, &[], ""),
    ] {
        let error = failed(&response(status, headers, body), AuthMode::V2Password);
        assert_eq!(error.code(), Code::Unauthorized);
        assert!(!error.has_two_causes(), "{body}: {error}");
        assert!(
            error.message().contains("rejects the username or password"),
            "{error}"
        );
    }
}

#[test]
fn a_firewalls_page_is_not_p21s_answer() {
    for page in [
        "<html><head><title>Request Rejected</title></head><body>Support ID: 17</body></html>",
        "<!DOCTYPE html><title>403 Forbidden</title>",
        "<HTML><HEAD><TITLE>Access Denied</TITLE></HEAD></HTML>",
        "<html><body>blocked</body></html>",
    ] {
        let error = failed(&response(403, &[], page), AuthMode::V2Password);
        assert_eq!((error.code(), error.http_status()), (Code::Forbidden, 403));
        assert!(
            error
                .message()
                .starts_with("a firewall or proxy in front of the server"),
            "{error}"
        );
        assert!(error.message().contains("(HTTP 403)"), "{error}");
        assert!(
            error.hint().contains("POST /api/security/token/v2"),
            "{error}"
        );
    }
    for body in [
        "",
        "Forbidden",
        r#"{"Message":"no"}"#,
        "<E><Message>no</Message></E>",
    ] {
        let error = failed(&response(403, &[], body), AuthMode::V2Password);
        assert!(error.message().starts_with("the server forbids"), "{error}");
    }
}

#[test]
fn a_compressed_reply_is_named_by_its_header_where_its_bytes_do_not_tell() {
    let garbage = "\u{8}planted\u{3}";
    for (encoding, body, says) in [
        ("br", garbage, "compressed (br)"),
        ("BR, identity", garbage, "compressed (br)"),
        (
            "deflate",
            "planted text that was never compressed",
            "compressed (deflate)",
        ),
        ("gzip", "{planted", "compressed (gzip)"),
        ("x-unknown", garbage, "binary data"),
        ("identity", garbage, "binary data"),
    ] {
        for status in [200, 401, 403, 500] {
            let response = response(status, &[("content-encoding", encoding)], body);
            let error = failed(&response, AuthMode::V2Password);
            assert!(!error.to_string().contains("planted"), "{error}");
            if says.contains("compressed") {
                assert!(error.message().contains(says), "{encoding}: {error}");
            }
            if status == 200 {
                assert!(error.message().contains(says), "{encoding}: {error}");
                assert_eq!(error.code(), Code::Parse);
            }
        }
    }
    // Some say so of what they have not compressed.
    let token = super::jwt(r#"{"sub":"u"}"#);
    for body in [
        r#"{"AccessToken":"tok"}"#,
        "<t><AccessToken>tok</AccessToken></t>",
        &token,
    ] {
        let response = response(200, &[("content-encoding", "gzip")], body);
        let scrub = Scrubber::default();
        token_reply(&post(V2), &response, AuthMode::V2Password, &scrub, 0).expect("a token");
    }
}

#[test]
fn hints_name_what_to_check() {
    let refused = response(401, &[], "");
    for (mode, hint) in [
        (AuthMode::V2Password, "Check username and password"),
        (AuthMode::V1Query, "Check username and password"),
        (AuthMode::V2Consumer, "SOA Admin"),
    ] {
        let error = failed(&refused, mode);
        assert!(error.hint().contains(hint), "{error}");
        assert!(!error.hint().contains("underscores"), "{error}");
    }
    let mut request = post("https://p21.example.com/api/security/token");
    request.headers.push(("client_secret", Secret::new("key")));
    let error = token_reply(
        &request,
        &refused,
        AuthMode::V1Consumer,
        &Scrubber::default(),
        0,
    )
    .expect_err("refused");
    assert!(error.hint().contains("underscores_in_headers"), "{error}");
    for body in [
        "Client sent an HTTP request to an HTTPS server.",
        "<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>",
    ] {
        let error = failed(&response(400, &[], body), AuthMode::V2Password);
        assert!(error.hint().contains("https in base_url"), "{error}");
    }
    for (mode, hint) in [
        (AuthMode::V2Password, "v1_password"),
        (AuthMode::V2Consumer, "v1_consumer"),
    ] {
        let error = failed(&response(500, &[], "NullReferenceException"), mode);
        assert!(error.hint().contains(hint), "{error}");
    }
    let error = failed(&response(403, &[], ""), AuthMode::V2Consumer);
    assert!(error.hint().contains("consumer key's API scope"), "{error}");
}

#[test]
fn a_proxy_that_wants_a_login() {
    for (offers, says) in [
        (vec!["NTLM"], "not supported"),
        (vec!["Negotiate", "NTLM"], "not supported"),
        (vec!["Basic realm=\"x\""], "requires a login"),
        (vec!["Negotiate", "Basic realm=\"x\""], "requires a login"),
        (vec![], "requires a login"),
    ] {
        let headers: Vec<_> = offers
            .iter()
            .map(|offer| ("proxy-authenticate", *offer))
            .collect();
        let error = failed(
            &response(407, &headers, "<TokenError/>"),
            AuthMode::V2Password,
        );
        assert_eq!((error.code(), error.http_status()), (Code::Proxy, 407));
        assert!(error.message().contains(says), "{offers:?}: {error}");
        assert!(!error.is_retryable() && !error.hint().is_empty());
    }
}

#[test]
fn retry_after_in_both_forms() {
    let later = "Sun, 06 Nov 1994 08:50:37 GMT";
    let rfc850 = "Sunday, 06-Nov-94 08:50:37 GMT";
    let asctime = "Sun Nov  6 08:50:37 1994";
    let day_off = "Sat, 05 Nov 1994 08:50:37 GMT";
    for (value, date, now, seconds) in [
        ("120", None, 0, Some(120)),
        (" 0 ", None, 0, Some(0)),
        ("99999999999999999999", None, 0, Some(u64::from(u32::MAX))),
        (later, Some(DATE), 0, Some(60)),
        (rfc850, Some(DATE), 0, Some(60)),
        (asctime, Some(DATE), 0, Some(60)),
        (later, None, DATE_UNIX + 10, Some(50)),
        (later, Some("nonsense"), DATE_UNIX, Some(60)),
        (later, Some(day_off), DATE_UNIX, Some(86_400)),
        (DATE, Some(later), 0, Some(0)),
        (DATE, None, i64::MAX, Some(0)),
        ("-5", None, 0, None),
        ("1.5", None, 0, None),
        ("soon", None, 0, None),
        ("", None, 0, None),
    ] {
        let mut headers = vec![("retry-after", value)];
        headers.extend(date.map(|date| ("date", date)));
        let response = response(429, &headers, "");
        let wait = seconds.map(Duration::from_secs);
        assert_eq!(retry_after(&response, now), wait, "{value} {date:?}");
        let error = token_reply(
            &post(V2),
            &response,
            AuthMode::V2Password,
            &Scrubber::default(),
            now,
        )
        .expect_err("throttled");
        assert_eq!(error.retry_after(), wait, "{value}");
    }
    assert_eq!(retry_after(&response(503, &[], ""), 0), None);
    let response = response(200, &[("date", DATE)], "");
    assert_eq!(server_date_unix(&response), Some(DATE_UNIX));
}

#[test]
fn nothing_that_the_server_echoes_is_shown() {
    let secret = Secret::new("hunter22 & \"co\"");
    let scrub = Scrubber::new([&secret]);
    let token = super::jwt(r#"{"sub":"u"}"#);
    let json =
        serde_json::json!({ "Message": format!("bad {} {token}", secret.expose()) }).to_string();
    let spelled = json.replace('h', "\\u0068");
    let xml = "<E><Message>bad &#104;unter22 &amp; &quot;co&quot;</Message></E>".to_owned();
    let html = "<html><title>bad &#x68;unter22 &amp; \"co\"</title>".to_owned();
    let text = "bad hunter22+%26+%22co%22".to_owned();
    for body in [json, spelled, xml, html, text] {
        for status in [200, 400, 401, 403, 404, 429, 500] {
            let response = response(status, &[], &body);
            let error = token_reply(&post(V2), &response, AuthMode::V2Password, &scrub, 0)
                .expect_err("no token");
            let shown = format!("{error} {error:?}");
            assert!(
                !shown.contains("unter22") && !shown.contains("eyJ"),
                "{shown}"
            );
            assert!(
                error.message().contains("bad [redacted]"),
                "{status} {body}: {shown}"
            );
        }
    }
}
