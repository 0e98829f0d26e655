//! Who gets a token, in which shape, and until when.

use p21_emulator::{ConsumerKey, NEVER_S, Refusal, ReplyFormat, User};
use serde_json::{Value, json};

use crate::wire::Client;
use crate::{DEMO, ROUTER, TABLE, V1, V2, key, start};

#[test]
fn a_password_buys_a_token_that_opens_an_api() {
    let (emulator, mut client) = start();
    let answer = client.ask(DEMO);
    let reply = answer.json();
    assert_eq!(answer.status, 200);
    assert!(answer.header("date").is_some());
    assert_eq!(reply["ExpiresInSeconds"], 86_400);
    assert_eq!(reply["UserName"], "demo");
    assert!(reply["AppKey"].is_null());
    assert!(!reply["RefreshToken"].as_str().unwrap().is_empty());
    assert_eq!(client.get(TABLE, &answer.token()).status, 200);

    let counters = emulator.control().counters();
    for name in [
        "token.requests",
        "token.issued",
        "token.dialect.v2_password",
        "token.user.demo",
    ] {
        assert_eq!(counters[name], 1, "{name}");
    }
    assert_eq!(counters["odata.requests"], 1);
    assert_eq!(
        (counters["connections.used"], counters["tokens.live"]),
        (1, 1)
    );
}

#[test]
fn every_dialect_gets_a_token() {
    let (emulator, mut client) = start();
    let key = key(1);
    let json = ("Accept", "application/json");
    let grant = ("grant_type", "client_credentials");
    let v1 = |client: &mut Client, headers: &[(&str, &str)]| {
        let answer = client.call("POST", V1, headers, Some(""));
        assert_eq!(answer.status, 200, "{headers:?}");
        answer.token()
    };
    v1(
        &mut client,
        &[json, ("username", "demo"), ("password", "demo-password")],
    );
    v1(&mut client, &[json, ("client_secret", &key), grant]);
    v1(
        &mut client,
        &[json, ("consumer_key", &key), grant, ("username", "demo")],
    );
    v1(&mut client, &[json, ("appkey", &key)]);
    assert_eq!(client.ask_with_key(&key, None).status, 200);
    let query = format!("{V1}/?username=demo&password=demo%2Dpassword");
    let bare = client.call("POST", &query, &[json], Some(""));
    assert_eq!(bare.text().split('.').count(), 3);
    assert_eq!(client.get(ROUTER, bare.text()).status, 200);

    let counters = emulator.control().counters();
    assert_eq!(counters["token.issued"], 6);
    for (name, n) in [
        ("v1_password", 1),
        ("v1_consumer", 3),
        ("v2_consumer", 1),
        ("v1_query", 1),
    ] {
        assert_eq!(counters[&format!("token.dialect.{name}")], n, "{name}");
    }
    assert_eq!(counters["token.profile.appkey"], 1);
    assert_eq!(counters["token.key.1"], 4);
}

#[test]
fn replies_come_in_every_shape() {
    let (emulator, mut client) = start();
    let xml = client.call("POST", V2, &[], Some(DEMO));
    assert!(
        xml.header("content-type")
            .unwrap()
            .starts_with("application/xml")
    );
    assert!(
        xml.text()
            .contains("<act:Token xmlns:act=\"http://distributionsuite.activant.com\"")
    );
    assert!(xml.text().contains("<AccessToken>ey"));
    assert_eq!(emulator.control().counter("token.without_accept"), 1);

    let control = emulator.control();
    let mut shaped = |format| {
        let mut settings = control.settings();
        settings.reply = format;
        control.set_settings(settings);
        client.ask(DEMO)
    };
    assert!(
        shaped(ReplyFormat::TokenResponse)
            .text()
            .contains("<TokenResponse ")
    );
    assert!(shaped(ReplyFormat::Bare).text().starts_with("ey"));
    assert!(
        shaped(ReplyFormat::BareJson)
            .json()
            .as_str()
            .unwrap()
            .starts_with("ey")
    );
    assert!(shaped(ReplyFormat::Json).json().is_object());
}

#[test]
fn lifetimes_can_be_stated_in_every_way() {
    let (emulator, mut client) = start();
    let control = emulator.control();
    let mut reply = |patch: Value| {
        control.reset();
        control.configure(patch.as_object().unwrap()).unwrap();
        client.ask(DEMO).json()
    };
    let odd = reply(json!({"lifetime_s": 60, "lifetime_as_string": true,
        "lifetime_fields": ["expires_in", "ExpiresIn"], "token_field": "access_token"}));
    assert_eq!(
        (&odd["expires_in"], &odd["ExpiresIn"]),
        (&json!("60"), &json!("60"))
    );
    assert!(odd["access_token"].is_string() && odd["AccessToken"].is_null());
    assert!(
        reply(json!({"lifetime_fields": []}))
            .get("ExpiresInSeconds")
            .is_none()
    );
    assert_eq!(
        reply(json!({"stated_lifetime": -1}))["ExpiresInSeconds"],
        -1
    );
    let opaque = reply(json!({"token_kind": "opaque", "extra_fields": {"ExpiresIn": 5}}));
    assert!(!opaque["AccessToken"].as_str().unwrap().contains('.'));
    assert_eq!(opaque["ExpiresIn"], 5);
    control.reset();
    let never = client.ask_with_key(&key(2), None).json();
    assert_eq!(never["ExpiresIn"], NEVER_S);
}

#[test]
fn refusals_come_in_every_spelling() {
    let (emulator, mut client) = start();
    let control = emulator.control();
    let wrong = r#"{"username":"demo","password":"no"}"#;
    for (refusal, status, text) in [
        (Refusal::P21, 401, r#""Error":"invalid_grant""#),
        (Refusal::Oauth, 401, r#"{"error":"invalid_grant"}"#),
        (Refusal::TokenError, 401, "<TokenError "),
        (Refusal::ResourceError, 401, "<ResourceError "),
        (Refusal::TokenError200, 200, "<TokenError "),
        (Refusal::ResourceError200, 200, "<ResourceError "),
        (Refusal::ErrorMessage200, 200, r#""ErrorMessage":"#),
    ] {
        let mut settings = control.settings();
        settings.refusal = refusal;
        control.set_settings(settings);
        let answer = client.ask(wrong);
        assert_eq!(answer.status, status, "{refusal:?}");
        assert!(answer.text().contains(text), "{}", answer.text());
    }
    assert_eq!(control.counter("token.refused"), 7);
    control.reset();
    assert_eq!(client.ask_with_key(&key(5), None).status, 401);
    assert_eq!(client.ask_with_key("unknown", None).status, 401);
}

#[test]
fn mistakes_meet_what_servers_answer() {
    let (_emulator, mut client) = start();
    let headers = [("username", "demo"), ("password", "demo-password")];
    let wrong_dialect = client.call("POST", V2, &headers, Some(""));
    assert_eq!(wrong_dialect.status, 500);
    assert!(wrong_dialect.text().contains("NullReferenceException"));
    assert_eq!(client.call("POST", V1, &headers, None).status, 411);
    assert_eq!(client.call("GET", V2, &[], None).status, 405);
    let missing = client.call("GET", "/nope", &[], None);
    assert_eq!(missing.status, 404);
    assert!(missing.text().contains("Server Error"));
    for page in ["/", "/Prophet21/"] {
        let page = client.call("GET", page, &[], None);
        assert_eq!(
            (page.status, page.header("content-type")),
            (200, Some("text/html"))
        );
    }
    let no_grant = client.ask(&json!({"ClientSecret": key(1)}).to_string());
    assert_eq!(no_grant.status, 400);
}

#[test]
fn tokens_end_by_time_revocation_and_newer_tokens() {
    let (emulator, mut client) = start();
    let control = emulator.control();
    let token = client.ask(DEMO).token();
    control.advance(86_399 - 60);
    assert_eq!(client.get(TABLE, &token).status, 200);
    control.advance(62);
    assert_eq!(client.get(TABLE, &token).status, 401);

    let token = client.ask(DEMO).token();
    assert!(control.revoke(&token));
    assert!(!control.revoke(&token));
    assert_eq!(client.get(TABLE, &token).status, 401);
    client.ask(DEMO);
    // The expired one is still on the books, so at least the newest is counted.
    assert!(control.revoke_all() >= 1);
    assert_eq!(control.counter("tokens.live"), 0);

    let patch = json!({"single_session": true, "jwt_lifetime_s": 10});
    control.configure(patch.as_object().unwrap()).unwrap();
    let old = client.ask(DEMO).token();
    let new = client.ask(DEMO);
    assert_eq!(new.json()["ExpiresInSeconds"], 86_400);
    assert_eq!(client.get(TABLE, &old).status, 401);
    assert_eq!(client.get(TABLE, &new.token()).status, 200);
    control.advance(11);
    assert_eq!(client.get(TABLE, &new.token()).status, 401);
}

#[test]
fn users_and_keys_change_while_it_runs() {
    let (emulator, mut client) = start();
    let control = emulator.control();
    control.set_user(User::new("demo", "pä\"ss#=ü"));
    assert_eq!(client.ask(DEMO).status, 401);
    assert_eq!(
        client
            .ask(r#"{"username":"demo","password":"pä\"ss#=ü"}"#)
            .status,
        200
    );
    let mut key = ConsumerKey::new("k", "9");
    control.set_key(key.clone());
    assert_eq!(client.ask_with_key("k", None).status, 200);
    key.disabled = true;
    control.set_key(key);
    assert_eq!(client.ask_with_key("k", None).status, 401);
}
