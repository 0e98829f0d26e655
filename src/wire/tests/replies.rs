//! Section 2: the three families of replies, and what is not a token.

use super::super::{parse_response_json, parse_token_body};
use super::jwt;
use crate::error::{Code, Error};
use crate::secret::{Scrubber, Secret};
use crate::token::Reply;

fn parsed(body: impl AsRef<[u8]>) -> Result<Reply, Error> {
    parse_token_body(body.as_ref(), &Scrubber::default())
}

fn reply(body: impl AsRef<[u8]>) -> Reply {
    parsed(body.as_ref()).unwrap_or_else(|error| {
        panic!("{}: {error}", String::from_utf8_lossy(body.as_ref()));
    })
}

#[test]
fn json_with_every_field() {
    let found = reply(
        r#"{"AccessToken":"tok","ExpiresInSeconds":86400,"TokenType":"Bearer","RefreshToken":"ref","UserName":"u",
        "Scope":"/api;/p21sdk","SessionId":"s","ConsumerUid":"17","AppKey":null,"Extra":[{"AccessToken":"no"}]}"#,
    );
    assert_eq!(
        found,
        Reply {
            access_token: Secret::new("tok"),
            refresh_token: Some(Secret::new("ref")),
            token_type: Some("Bearer".to_owned()),
            stated_lifetime_s: Some(86_400),
            user_name: Some("u".to_owned()),
            scope: Some("/api;/p21sdk".to_owned()),
            session_id: Some("s".to_owned()),
            consumer_uid: Some("17".to_owned()),
            app_key: None,
        }
    );
}

#[test]
fn json_names_in_every_spelling() {
    for name in [
        "AccessToken",
        "access_token",
        "accessToken",
        "token",
        "ACCESSTOKEN",
    ] {
        assert_eq!(
            reply(format!(r#"{{"{name}":"tok"}}"#))
                .access_token
                .expose(),
            "tok"
        );
    }
    let found = reply(r#"{"token":"other","AccessToken":"tok","refresh_token":"","username":""}"#);
    assert_eq!(found.access_token.expose(), "tok");
    assert_eq!(
        (found.refresh_token, found.user_name.as_deref()),
        (Some(Secret::default()), Some(""))
    );
    let found =
        reply(r#"{"AccessToken":"tok","Scope":"","scope":"/api","TokenType":"","AppKey":null}"#);
    assert_eq!(
        (found.scope.as_deref(), found.token_type, found.app_key),
        (Some("/api"), None, None)
    );
    let found = reply(r#"{"AccessToken":null,"access_token":"","token":"tok","ConsumerUid":17}"#);
    assert_eq!(found.access_token.expose(), "tok");
    assert_eq!(found.consumer_uid.as_deref(), Some("17"));
}

#[test]
fn lifetimes_as_stated() {
    for (members, seconds) in [
        (r#""ExpiresInSeconds":86400"#, Some(86_400)),
        (r#""ExpiresIn":"3600""#, Some(3600)),
        (r#""expires_in":3600.9"#, Some(3600)),
        (r#""expires_in":"3.6e3""#, Some(3600)),
        (r#""ExpiresInSeconds":7200,"ExpiresIn":3600"#, Some(3600)),
        (r#""ExpiresInSeconds":60,"expires_in":"3600""#, Some(60)),
        (r#""ExpiresInSeconds":0,"ExpiresIn":3600"#, Some(3600)),
        (r#""ExpiresInSeconds":630720000"#, Some(630_720_000)),
        (r#""ExpiresInSeconds":0"#, None),
        (r#""ExpiresInSeconds":-5"#, None),
        (r#""ExpiresInSeconds":"soon""#, None),
        (r#""ExpiresInSeconds":true"#, None),
        (r#""ExpiresInSeconds":[60]"#, None),
        (r#""ExpiresInSeconds":"inf""#, None),
        (r#""ExpiresInSeconds":"NaN""#, None),
        (r#""ExpiresInSeconds":null"#, None),
        (r#""ExpiresInSeconds":"""#, None),
        (r#""ExpiresInSeconds":3155760001"#, None),
        (r#""ExpiresInSeconds":99999999999999999999999"#, None),
        (r#""Scope":"x""#, None),
    ] {
        let body = format!(r#"{{"AccessToken":"tok",{members}}}"#);
        assert_eq!(reply(&body).stated_lifetime_s, seconds, "{members}");
    }
}

#[test]
fn xml_as_the_server_and_the_guide_write_it() {
    for body in [
        r#"<?xml version="1.0" encoding="utf-8"?><act:Token xmlns:act="http://distributionsuite.activant.com" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
            <AccessToken>tok&amp;1</AccessToken><ExpiresInSeconds>86400</ExpiresInSeconds><RefreshToken /><AppKey xsi:nil="true"/>
            <UserName>O&#39;Neil &#x26; S&#246;hne</UserName></act:Token>"#,
        r#"<TokenResponse xmlns="urn:x"><!-- c --><Inner><p:AccessToken xmlns:p="urn:y"><![CDATA[tok&1]]></p:AccessToken></Inner>
            <ExpiresIn> 86400 </ExpiresIn><RefreshToken></RefreshToken><username>O&apos;Neil <![CDATA[&]]> Söhne</username></TokenResponse>"#,
    ] {
        let found = reply(body);
        assert_eq!(found.access_token.expose(), "tok&1");
        assert_eq!(found.stated_lifetime_s, Some(86_400));
        assert_eq!(found.user_name.as_deref(), Some("O'Neil & Söhne"));
        assert_eq!((found.refresh_token, found.app_key), (None, None));
    }
}

#[test]
fn bare_tokens() {
    let token = jwt(r#"{"sub":"u"}"#);
    for body in [
        token.clone(),
        format!("\r\n {token}\n"),
        format!("\"{token}\""),
        format!("\u{feff}{token}"),
        format!(
            r#"<string xmlns="http://schemas.microsoft.com/2003/10/Serialization/">{token}</string>"#
        ),
    ] {
        assert_eq!(
            reply(&body),
            Reply {
                access_token: Secret::new(token.as_str()),
                ..Reply::default()
            }
        );
    }
}

#[test]
fn byte_order_marks_and_other_encodings() {
    let text = r#"{"AccessToken":"tok","UserName":"Söhne"}"#;
    let utf16 = |bytes: fn(u16) -> [u8; 2]| {
        "\u{feff}"
            .encode_utf16()
            .chain(text.encode_utf16())
            .flat_map(bytes)
            .collect::<Vec<u8>>()
    };
    let latin1 = text.chars().map(|c| c as u8).collect();
    let bom = format!("\u{feff}\n {text}").into_bytes();
    for body in [
        utf16(u16::to_le_bytes),
        utf16(u16::to_be_bytes),
        latin1,
        bom,
    ] {
        let found = reply(&body);
        assert_eq!(found.access_token.expose(), "tok");
        assert_eq!(found.user_name.as_deref(), Some("Söhne"));
    }
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn what_is_not_a_token_has_its_own_error() {
    let deep_json = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_xml = "<a>".repeat(100_000);
    let wide_xml = format!("<a>{}</a>", "<b/>".repeat(100_000));
    let unsigned = format!(
        "{}.",
        jwt("{}").trim_end_matches("c2ln").trim_end_matches('.')
    );
    for (body, code, says) in [
        ("", Code::NoAccessToken, "empty"),
        (" \r\n", Code::NoAccessToken, "empty"),
        ("\u{feff}", Code::NoAccessToken, "empty"),
        ("\"\"", Code::NoAccessToken, "empty"),
        (
            "<!DOCTYPE html><html><head><title>P21 &amp; more</title></head><br></html>",
            Code::Parse,
            "web page, not a token; the server says: P21 & more",
        ),
        ("<!-- x --><HTML><body>", Code::Parse, "web page"),
        (
            "<?xml version=\"1.0\"?><!DOCTYPE html PUBLIC \"x\" \"y\"><html/>",
            Code::Parse,
            "web page",
        ),
        (
            r#"{"ErrorMessage":"Session limit reached","ErrorType":null}"#,
            Code::NoAccessToken,
            "the server says: Session limit reached",
        ),
        ("{}", Code::NoAccessToken, "contains no access token"),
        (
            r#"{"Data":{"AccessToken":"tok"}}"#,
            Code::NoAccessToken,
            "contains no access token",
        ),
        (
            r#"{"AccessToken":["tok"]}"#,
            Code::NoAccessToken,
            "contains no access token",
        ),
        (
            r#"{"AccessToken":12345}"#,
            Code::NoAccessToken,
            "access token is a JSON number",
        ),
        (
            r#"{"token":17,"expires_in":60}"#,
            Code::NoAccessToken,
            "access token is a JSON number",
        ),
        (
            r#"{"access_token":"","token":1.5}"#,
            Code::NoAccessToken,
            "access token is a JSON number",
        ),
        (r#"{"AccessToken":"Bearer"}"#, Code::NoAccessToken, "Bearer"),
        (
            r#"{"AccessToken":true}"#,
            Code::NoAccessToken,
            "access token",
        ),
        (
            r#"{"AccessToken":null}"#,
            Code::NoAccessToken,
            "contains no access token",
        ),
        (r#"{"AccessToken":""}"#, Code::NoAccessToken, "is empty"),
        (r#"{"AccessToken":"  "}"#, Code::NoAccessToken, "is blank"),
        (
            r#"{"AccessToken":"to k"}"#,
            Code::NoAccessToken,
            "contains blanks",
        ),
        (
            r#"{"AccessToken":"tok\r\nX: y"}"#,
            Code::NoAccessToken,
            "control characters",
        ),
        (
            r#"{"AccessToken":"tok\u0000"}"#,
            Code::NoAccessToken,
            "control characters",
        ),
        (
            r#"{"AccessToken":"tök"}"#,
            Code::NoAccessToken,
            "beyond ASCII",
        ),
        (
            "<t><AccessToken>a b</AccessToken></t>",
            Code::NoAccessToken,
            "contains blanks",
        ),
        ("<t><AccessToken/></t>", Code::NoAccessToken, "is empty"),
        (
            "<t><AccessToken><x>tok</x></AccessToken></t>",
            Code::NoAccessToken,
            "access token",
        ),
        (
            "<t AccessToken=\"tok\"/>",
            Code::NoAccessToken,
            "contains no access token",
        ),
        ("<AccessToken>tok</AccessToken>", Code::Parse, "plain text"),
        (
            "12345",
            Code::NoAccessToken,
            "neither an object nor a token",
        ),
        ("true", Code::NoAccessToken, "neither an object nor a token"),
        ("null", Code::NoAccessToken, "neither an object nor a token"),
        ("[]", Code::NoAccessToken, "neither an object nor a token"),
        (
            "Service Unavailable",
            Code::Parse,
            "the server says: Service Unavailable",
        ),
        (
            "opaque-and-perhaps-a-token",
            Code::Parse,
            "plain text, not a token",
        ),
        ("a.b.c", Code::Parse, "plain text"),
        (unsigned.as_str(), Code::Parse, "plain text"),
        (
            r#"{"AccessToken":"tok""#,
            Code::Parse,
            "not well-formed JSON at line 1 column",
        ),
        (
            r#"{"AccessToken":"tok"} x"#,
            Code::Parse,
            "not well-formed JSON",
        ),
        ("<t><AccessToken>tok</AccessToken>", Code::Parse, "cut off"),
        (
            "<t><AccessToken>tok</t>",
            Code::Parse,
            "not well-formed XML",
        ),
        ("<t>&unknown;</t>", Code::Parse, "not defined"),
        ("<t/><t/>", Code::Parse, "two XML roots"),
        ("<t/>x", Code::Parse, "outside its XML root"),
        (
            "<!DOCTYPE t [<!ENTITY a \"b\">]><t><AccessToken>&a;</AccessToken></t>",
            Code::Parse,
            "DTD",
        ),
        (deep_json.as_str(), Code::Parse, "JSON"),
        (deep_xml.as_str(), Code::Parse, "nested too deeply"),
        (wide_xml.as_str(), Code::Parse, "more XML elements"),
        (
            r#"{"error":"invalid_grant","error_description":"The user name or password is incorrect."}"#,
            Code::Unauthorized,
            "password is incorrect",
        ),
        (
            r#"{"Error":"invalid_client","Description":"no"}"#,
            Code::Unauthorized,
            "invalid_client: no",
        ),
        (
            "<TokenError><Message>Denied</Message></TokenError>",
            Code::Unauthorized,
            "Denied",
        ),
        (
            "<a:TokenError xmlns:a=\"urn:x\">Access denied</a:TokenError>",
            Code::Unauthorized,
            "Access denied",
        ),
        (
            "<ResourceError Message=\"no such key\"/>",
            Code::Unauthorized,
            "no such key",
        ),
    ] {
        let error = parsed(body).expect_err(body);
        assert_eq!(error.code(), code, "{body:.60}: {error}");
        assert!(error.message().contains(says), "{body:.60}: {error}");
        assert!(!error.hint().is_empty(), "{body:.60}");
        assert!(!error.is_retryable(), "{body:.60}");
        assert!(!error.to_string().contains("perhaps"), "{error}");
        assert!(!error.to_string().contains("tok\""), "{error}");
    }
}

#[test]
fn a_scheme_before_the_token_is_dropped() {
    let token = jwt(r#"{"sub":"u"}"#);
    for (body, token) in [
        (r#"{"AccessToken":"Bearer tok"}"#.to_owned(), "tok"),
        (r#"{"access_token":"bearer  tok "}"#.to_owned(), "tok"),
        (r#"{"token":"BEARER\ttok"}"#.to_owned(), "tok"),
        (
            "<t><AccessToken>Bearer tok</AccessToken></t>".to_owned(),
            "tok",
        ),
        (format!("Bearer {token}\r\n"), token.as_str()),
        (format!("\"Bearer {token}\""), &token),
        (r#"{"AccessToken":"Bearertok"}"#.to_owned(), "Bearertok"),
    ] {
        assert_eq!(reply(&body).access_token.expose(), token, "{body}");
    }
}

#[test]
fn a_reply_that_was_wrapped_once_more_is_read() {
    let json = r#"{"AccessToken":"tok","ExpiresInSeconds":60,"UserName":"\"ü"}"#;
    let quoted = serde_json::to_string(json).expect("JSON");
    let xml =
        "<t><AccessToken>tok</AccessToken><ExpiresIn>60</ExpiresIn><UserName>\"ü</UserName></t>";
    for body in [
        quoted.clone(),
        format!("\u{feff} {quoted}\n"),
        serde_json::to_string(&format!(" {json}\r\n")).expect("JSON"),
        serde_json::to_string(xml).expect("JSON"),
        format!("<string xmlns=\"urn:x\">{json}</string>"),
        format!("<string><![CDATA[{xml}]]></string>"),
    ] {
        let found = reply(&body);
        assert_eq!(found.access_token.expose(), "tok", "{body}");
        assert_eq!(
            (found.stated_lifetime_s, found.user_name.as_deref()),
            (Some(60), Some("\"ü"))
        );
    }
    let refused = serde_json::to_string(r#"{"error":"invalid_grant","error_description":"No."}"#);
    let error = parsed(refused.expect("JSON")).expect_err("refused");
    assert_eq!(error.code(), Code::Unauthorized);
    assert!(error.message().contains("invalid_grant: No."), "{error}");
}

#[test]
fn binary_data_is_named_and_never_quoted() {
    let gzip =
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff{\"AccessToken\": \"opaque planted token\"}";
    let deflate = b"\x78\x9c\x01\x20\x00\xdf\xffopaque planted token {}";
    let stored = b"\x78\x01\x01\x20\x00\xdf\xffopaque planted token {}";
    let zstd = b"\x28\xb5\x2f\xfd opaque planted token";
    for (body, says) in [
        (&gzip[..], "compressed (gzip)"),
        (&deflate[..], "compressed (deflate)"),
        (&stored[..], "compressed (deflate)"),
        (&zstd[..], "compressed (zstd)"),
        (b"opaque planted token \x00\x01\xfe", "binary data"),
        (b"PK\x03\x04 opaque planted token", "binary data"),
    ] {
        let error = parsed(body).expect_err("unreadable");
        assert_eq!(error.code(), Code::Parse);
        assert!(error.message().contains(says), "{error}");
        assert!(
            !error.hint().is_empty() && !error.to_string().contains("planted"),
            "{error}"
        );
    }
    for text in ["x^2 + y", "xÚ", "x\u{1}"] {
        let error = parsed(text).expect_err("no token");
        assert!(
            !error.message().contains("compressed") || text.ends_with('\u{1}'),
            "{error}"
        );
    }
}

#[test]
fn what_may_be_a_token_is_not_quoted() {
    for token in [
        "opaque-1",
        "0a1b2c",
        "Zm9vYmFyYmF6",
        "8d0c57a1-3fb2-4e96-9c4a-61d2e07f5b38",
        "abcdefghijklmnopqrstuvwxyzabcdef",
        "tok_tok.tok",
    ] {
        for body in [
            format!("token {token}"),
            format!("Your token: '{token}'."),
            format!("access_token={token} expires_in=3600"),
            format!("AccessToken:{token} ok"),
            format!("<html><title>Token {token}</title></html>"),
            format!(r#"{{"Data":{{"AccessToken":"{token}"}},"Message":"Take {token} now"}}"#),
            format!(r#"{{"AccessToken":["{token}"],"Message":"{token}"}}"#),
            format!("<a><b><Token><x/>{token}</Token></b></a>"),
        ] {
            let Err(error) = parsed(&body) else {
                continue;
            };
            assert!(
                !format!("{error} {error:?}").contains(token),
                "{body}: {error}"
            );
        }
    }
    let error = parsed("It's 503: The service isn't available (node n7).").expect_err("text");
    assert!(
        error
            .message()
            .contains("It's 503: The service isn't available (node n7)."),
        "{error}"
    );
}

#[test]
fn a_jwt_states_its_own_lifetime() {
    for (body, seconds) in [
        (jwt(r#"{"iat":1000,"exp":4600}"#), Some(3600)),
        (jwt(r#"{"nbf":1000,"exp":1060}"#), Some(60)),
        (jwt(r#"{"iat":"1000","nbf":1,"exp":"1060.9"}"#), Some(60)),
        (jwt(r#"{"exp":4600}"#), None),
        (jwt(r#"{"iat":4600,"exp":4600}"#), None),
        (
            jwt(r#"{"iat":-9223372036854775808,"exp":9223372036854775807}"#),
            None,
        ),
        (
            "{\"access_token\":\"JWT\"}".replace("JWT", &jwt(r#"{"iat":1,"exp":61}"#)),
            Some(60),
        ),
        (
            "{\"access_token\":\"JWT\",\"expires_in\":30}"
                .replace("JWT", &jwt(r#"{"iat":1,"exp":61}"#)),
            Some(30),
        ),
    ] {
        let json = parse_response_json(body.as_bytes()).expect("a token");
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(json["ExpiresInSeconds"].as_i64(), seconds, "{json}");
        assert_eq!(json["ExpiresIn"], json["ExpiresInSeconds"]);
    }
}

#[test]
fn a_reply_as_json_has_every_name() {
    let token = jwt(r#"{"sub":"u"}"#);
    let body = format!(r#"{{"access_token":"{token}","expires_in":"3600","UserName":"\"ü"}}"#);
    let json = parse_response_json(body.as_bytes()).expect("a token");
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&json).expect("JSON"),
        serde_json::json!({
            "AccessToken": token, "TokenType": "Bearer", "RefreshToken": null, "ExpiresIn": 3600, "ExpiresInSeconds": 3600,
            "UserName": "\"ü", "Scope": null, "SessionId": null, "ConsumerUid": null, "AppKey": null,
            "Claims": { "sub": "u" },
        })
    );
    let json = parse_response_json(br#"{"token":"opaque"}"#).expect("a token");
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["ExpiresInSeconds"], serde_json::Value::Null);
    assert_eq!(json.get("Claims"), None);
}
