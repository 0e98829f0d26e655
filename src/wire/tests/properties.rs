//! No matter what a server sends: nothing panics, nothing grows beyond measure, and no secret comes out again.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::super::body::Body;
use super::super::fields::MAX_FIELDS;
use super::super::{
    Method, Verdict, classify_rejection, is_transient, parse_token_body, redirect, retry_after,
    token_reply, ui_url_reply,
};
use super::{jwt, post, response, settings};
use crate::options::AuthMode;
use crate::secret::{Scrubber, Secret};
use crate::token::is_header_token;

/// Bodies that resemble replies closely enough to reach deep into the parsers.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let snippet = prop_oneof![
        Just("{\"AccessToken\":\"tok\","),
        Just("\"ExpiresIn\":"),
        Just("\"error\":\"invalid_grant\""),
        Just("<TokenError>"),
        Just("</TokenError>"),
        Just("<AccessToken>"),
        Just("</AccessToken>"),
        Just("<a b='c'/>"),
        Just("<![CDATA["),
        Just("]]>"),
        Just("<!--"),
        Just("-->"),
        Just("<!DOCTYPE"),
        Just("<?xml version='1.0'?>"),
        Just("&amp;"),
        Just("&#x41;"),
        Just("&"),
        Just("\u{feff}"),
        Just("1e999"),
        Just("\"\\ud800\""),
        Just("null"),
        Just("["),
        Just("]"),
        Just("}"),
        Just(","),
        Just("<html><title>"),
        Just("</title>"),
    ];
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        proptest::collection::vec(snippet, 0..12).prop_map(|parts| parts.concat().into_bytes()),
        "\\PC{0,80}".prop_map(String::into_bytes),
        "\\PC{0,80}".prop_map(|text| {
            "\u{feff}"
                .encode_utf16()
                .chain(text.encode_utf16())
                .flat_map(u16::to_le_bytes)
                .collect()
        }),
    ]
}

/// The ways in which servers echo a text.
fn echoes(text: &str) -> Vec<String> {
    let json = serde_json::json!({ "Message": text, "ErrorMessage": { "x": text } }).to_string();
    let (mut spelled, mut references) = (String::new(), String::new());
    for c in text.chars() {
        let _ = write!(references, "&#{};", u32::from(c));
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(spelled, "\\u{unit:04x}");
        }
    }
    let form: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    let xml = quick_xml::escape::escape(text).into_owned();
    vec![
        text.to_owned(),
        format!("Login failed for {text}."),
        json.clone(),
        serde_json::json!({ "Message": json }).to_string(),
        format!("{{\"error\":\"{spelled}\"}}"),
        format!("<E><Message>{xml}</Message></E>"),
        format!("<TokenError Description=\"{references}\"/>"),
        format!(
            "<E><Message><![CDATA[{}]]></Message></E>",
            text.replace("]]>", "")
        ),
        format!("<html><title>{references}</title>"),
        format!("{{\"Message\":\"?password={form}\"}}"),
        format!("GET /?password={form} failed"),
    ]
}

proptest! {
    #[test]
    fn replies_never_panic_and_tokens_are_safe(body in body(), status in 100u16..600, date in "\\PC{0,20}", now in any::<i64>()) {
        let scrub = Scrubber::default();
        let response = response(status, &[("retry-after", &date), ("date", &date)], &body);
        for reply in [
            parse_token_body(&body, &scrub),
            token_reply(&post("https://p21.example.com/x"), &response, AuthMode::V2Consumer, &scrub, now),
        ] {
            match reply {
                Ok(reply) => prop_assert!(is_header_token(reply.access_token.expose())),
                Err(error) => prop_assert!(error.message().chars().count() < 600 && !error.message().is_empty()),
            }
        }
        let base = settings(&[("username", "u"), ("password", "x")]).base_url;
        if let Ok(url) = ui_url_reply(&base, &response, &scrub, now) {
            prop_assert!(url.starts_with("https://") && !url.ends_with('/'));
        }
        let _ = (is_transient(&response), retry_after(&response, now));
        prop_assert!(Body::read(&body).fields().len() <= MAX_FIELDS);
    }

    #[test]
    fn verdicts_never_panic_and_a_403_never_asks_for_a_token(body in body(), status in any::<u16>()) {
        let verdict = classify_rejection(status, &body).verdict();
        prop_assert!(status == 401 || verdict != Verdict::Retry);
        prop_assert!(matches!(status, 401 | 403) || verdict == Verdict::GiveUp);
    }

    #[test]
    fn redirects_never_leave_the_origin(location in prop_oneof!["\\PC{0,40}", "(https?:)?[/\\\\]{0,3}[a-z.:@0-9]{0,20}/[a-z?#]{0,5}"], status in 300u16..310, hop in any::<u32>(), get in any::<bool>()) {
        let mut request = post("https://p21.example.com/api/x");
        if get {
            request.method = Method::Get;
        }
        let response = response(status, &[("location", &location)], "");
        if let Ok(Some(next)) = redirect(&request, &response, hop) {
            prop_assert_eq!(next.url.origin(), request.url.origin());
            prop_assert!(next.url.username().is_empty() && next.url.password().is_none());
            prop_assert!(hop < 5);
            prop_assert_eq!((next.method, &next.headers, &next.body), (request.method, &request.headers, &request.body));
        }
    }

    #[test]
    fn waits_never_panic(value in "\\PC{0,40}", seconds in any::<u64>(), date in "\\PC{0,40}", now in any::<i64>()) {
        for value in [value, seconds.to_string()] {
            let _ = retry_after(&response(503, &[("retry-after", &value), ("date", &date)], ""), now);
        }
    }

    #[test]
    fn no_echo_of_a_secret_is_shown(
        // Words of our own messages would be no leak.
        secret in "[A-Za-z0-9äß€😀<>&\"'%+/\\\\= #]{3,12}[0-9]{4}[QX!]",
        status in prop_oneof![Just(200u16), Just(400), Just(401), Just(403), Just(404), Just(429), Just(500), Just(503)],
    ) {
        let token = jwt("{}");
        let secret = Secret::new(secret);
        let scrub = Scrubber::new([&secret]);
        for echo in echoes(secret.expose()) {
            let response = response(status, &[], &echo);
            let request = post("https://p21.example.com/api/security/token/v2");
            let base = settings(&[("username", "u"), ("password", "x")]).base_url;
            let errors = [
                token_reply(&request, &response, AuthMode::V2Password, &scrub, 0).err(),
                ui_url_reply(&base, &response, &scrub, 0).err(),
            ];
            for error in errors.into_iter().flatten() {
                let shown = format!("{error} {error:?}");
                prop_assert!(!shown.contains(secret.expose()), "{}", shown);
                let tail = &secret.expose()[secret.expose().len() - 5..];
                prop_assert!(!shown.contains(tail), "{} in {}", tail, shown);
            }
        }
        let echo = format!("<E><Message>{token} refused</Message></E>");
        let error = token_reply(&post("https://p21.example.com/x"), &response(status, &[], &echo), AuthMode::V2Password, &scrub, 0);
        prop_assert!(!error.expect_err("no token").to_string().contains("eyJ"));
    }
}
