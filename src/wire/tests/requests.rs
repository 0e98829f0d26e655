//! Section 1: each dialect's request.

use super::super::{Method, Request, token_request, ui_router_request};
use super::settings;
use crate::error::Code;
use crate::secret::Secret;

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let mut found = request
        .headers
        .iter()
        .filter(|(n, _)| n.eq_ignore_ascii_case(name));
    let value = found.next().map(|(_, value)| value.expose());
    assert!(found.next().is_none(), "{name} twice");
    value
}

fn body(request: &Request) -> &str {
    request.body.as_ref().expect("a POST has a body").expose()
}

fn asked(options: &[(&str, &str)], secret: &str) -> Request {
    let request = token_request(&settings(options), &Secret::new(secret)).expect("a request");
    assert_eq!(request.method, Method::Post);
    assert_eq!(header(&request, "Accept"), Some("application/json"));
    let agent = concat!("libp21auth/", env!("CARGO_PKG_VERSION"));
    assert_eq!(header(&request, "User-Agent"), Some(agent));
    assert_eq!(header(&request, "Authorization"), None);
    request
}

#[test]
fn v2_password() {
    let password = "p\"w\\#=\u{1}ä€😀";
    let request = asked(&[("username", "api.user"), ("password", "x")], password);
    assert_eq!(
        request.url.as_str(),
        "https://p21.example.com/api/security/token/v2"
    );
    assert_eq!(header(&request, "Content-Type"), Some("application/json"));
    assert_eq!(header(&request, "username"), None);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(body(&request)).expect("JSON"),
        serde_json::json!({ "username": "api.user", "password": password })
    );
}

#[test]
fn v2_consumer_with_and_without_a_user() {
    let request = asked(&[("consumer_key", "x")], "key");
    assert_eq!(
        body(&request),
        r#"{"ClientSecret":"key","GrantType":"client_credentials"}"#
    );
    let request = asked(&[("consumer_key", "x"), ("username", "")], "key");
    assert!(!body(&request).contains("username"));
    let request = asked(&[("consumer_key", "x"), ("username", "u")], "key");
    assert_eq!(
        body(&request),
        r#"{"ClientSecret":"key","GrantType":"client_credentials","username":"u"}"#
    );
    assert_eq!(request.url.path(), "/api/security/token/v2");
}

#[test]
fn v1_password() {
    let request = asked(
        &[
            ("username", "api.user"),
            ("password", "x"),
            ("auth_mode", "v1_password"),
        ],
        "pä ß~",
    );
    assert_eq!(
        request.url.as_str(),
        "https://p21.example.com/api/security/token"
    );
    assert_eq!(header(&request, "username"), Some("api.user"));
    assert_eq!(header(&request, "password"), Some("pä ß~"));
    assert_eq!(header(&request, "Content-Type"), Some("application/json"));
    assert_eq!(body(&request), "");
}

#[test]
fn v1_consumer_in_its_three_profiles() {
    for (profile, name, grant) in [
        ("client_secret", "client_secret", Some("client_credentials")),
        ("consumer_key", "consumer_key", Some("client_credentials")),
        ("appkey", "appkey", None),
    ] {
        for user in ["", "u"] {
            let request = asked(
                &[
                    ("consumer_key", "x"),
                    ("auth_mode", "v1_consumer"),
                    ("v1_consumer_headers", profile),
                    ("username", user),
                ],
                "key",
            );
            assert_eq!(request.url.path(), "/api/security/token");
            assert_eq!(header(&request, name), Some("key"), "{profile}");
            assert_eq!(header(&request, "grant_type"), grant, "{profile}");
            assert_eq!(
                header(&request, "username"),
                Some(user).filter(|user| !user.is_empty())
            );
            assert_eq!(body(&request), "");
        }
    }
}

#[test]
fn v1_query_encodes_everything_and_shows_nothing() {
    let request = asked(
        &[
            ("username", "a b"),
            ("password", "x"),
            ("auth_mode", "v1_query"),
        ],
        "p+&=%#'/ä~",
    );
    assert_eq!(
        request.url.as_str(),
        "https://p21.example.com/api/security/token/?username=a%20b&password=p%2B%26%3D%25%23%27%2F%C3%A4~"
    );
    assert_eq!(body(&request), "");
    let shown = "https://p21.example.com/api/security/token/";
    assert_eq!(request.shown_url(), shown);
    assert!(format!("{request:?}").contains(shown));
    assert!(!format!("{request:?}").contains("password"));
}

#[test]
fn v1_headers_refuse_what_they_cannot_carry_and_name_v2() {
    for bad in ["p€w", "p\nw", "p\u{7f}w", "p\u{85}w", " pw", "pw ", ""] {
        for (options, v2) in [
            (
                [
                    ("username", "u"),
                    ("password", "x"),
                    ("auth_mode", "v1_password"),
                ],
                "v2_password",
            ),
            (
                [
                    ("username", "u"),
                    ("consumer_key", "x"),
                    ("auth_mode", "v1_consumer"),
                ],
                "v2_consumer",
            ),
        ] {
            let error = token_request(&settings(&options), &Secret::new(bad)).expect_err(bad);
            assert_eq!(error.code(), Code::Config);
            assert!(error.hint().contains(v2), "{error}");
            assert!(
                bad.is_empty() || !error.to_string().contains(bad.trim()),
                "{error}"
            );
        }
    }
    let error = token_request(
        &settings(&[
            ("username", "ü€"),
            ("password", "x"),
            ("auth_mode", "v1_password"),
        ]),
        &Secret::new("pw"),
    )
    .expect_err("the user name is refused too");
    assert!(error.message().contains("username"), "{error}");
}

#[test]
fn an_own_token_is_never_asked_for() {
    let error = token_request(&settings(&[("access_token", "x")]), &Secret::new("x"))
        .expect_err("no request");
    assert_eq!(error.code(), Code::Internal);
}

#[test]
fn the_router_is_asked_with_the_slash() {
    let settings = settings(&[("username", "u"), ("password", "x")]);
    let request = ui_router_request(&settings, &Secret::new("tok")).expect("a request");
    assert_eq!(request.method, Method::Get);
    assert_eq!(
        request.url.as_str(),
        "https://p21.example.com/api/ui/router/v1/?urlType=external"
    );
    assert_eq!(header(&request, "Authorization"), Some("Bearer tok"));
    assert_eq!(header(&request, "Accept"), Some("application/json"));
    assert_eq!(request.body, None);
    for bad in ["", "a b", "a\r\nX: y", "ä"] {
        let error = ui_router_request(&settings, &Secret::new(bad)).expect_err(bad);
        assert_eq!(error.code(), Code::InvalidArgument);
    }
}
