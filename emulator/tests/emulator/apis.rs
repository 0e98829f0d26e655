//! What a token opens: router, data, transactions, sessions.

use serde_json::json;

use crate::{DEMO, ROUTER, SESSIONS, TABLE, key, start};

#[test]
fn the_router_wants_its_slash() {
    let (emulator, mut client) = start();
    let token = client.ask(DEMO).token();
    let trap = client.get("/api/ui/router/v1?urlType=external", &token);
    assert_eq!(trap.status, 307);
    let base = emulator.base_url();
    assert_eq!(trap.header("location").unwrap(), format!("{base}{ROUTER}"));
    let url = client.get(ROUTER, &token).json();
    assert_eq!(url["Url"], format!("{base}/uiserver0/"));
    let counters = emulator.control().counters();
    assert_eq!(
        (counters["router.requests"], counters["router.redirected"]),
        (2, 1)
    );
}

#[test]
fn odata_pages_through_all_rows() {
    let (emulator, mut client) = start();
    let token = client.ask(DEMO).token();
    let mut target = format!("{TABLE}?$top=22&$skip=1&$count=true");
    let mut ids = Vec::new();
    loop {
        let page = client.get(&target, &token).json();
        let rows = page["value"].as_array().unwrap();
        ids.extend(rows.iter().map(|row| row["customer_id"].as_u64().unwrap()));
        match page["@odata.nextLink"].as_str() {
            Some(next) => target = next.strip_prefix(emulator.base_url()).unwrap().to_owned(),
            None => break,
        }
    }
    assert_eq!(ids, (100_002..100_024).collect::<Vec<u64>>());
    assert_eq!(client.get(&format!("{TABLE}?$top=x"), &token).status, 400);
    assert_eq!(
        client.get("/odataservice/odata/table/nope", &token).status,
        404
    );
}

#[test]
fn each_401_and_403_has_its_cause() {
    let (emulator, mut client) = start();
    let lost = client.call("GET", TABLE, &[], None);
    assert_eq!(
        (lost.status, &lost.json()["Error"]),
        (401, &json!("invalid_request"))
    );
    let bad = client.get(TABLE, "nonsense");
    assert_eq!(bad.status, 401);
    assert!(bad.text().starts_with("<TokenError "));
    let body = r#"{"username":"readonly","password":"readonly-password"}"#;
    let readonly = client.ask(body).token();
    let denied = client.get(TABLE, &readonly);
    assert_eq!(
        (denied.status, denied.json()),
        (401, json!("You are not authorized to access API"))
    );
    assert_eq!(client.get(ROUTER, &readonly).status, 200);

    let odata_key = client.ask_with_key(&key(3), Some("readonly")).token();
    assert_eq!(
        client.get(TABLE, &odata_key).status,
        200,
        "a key's username doesn't count for OData"
    );
    assert_eq!(client.get(ROUTER, &odata_key).status, 403);
    let ui_key = client.ask_with_key(&key(4), None).token();
    assert_eq!(client.get(TABLE, &ui_key).status, 403);
    assert_eq!(client.get(ROUTER, &ui_key).status, 200);

    let counters = emulator.control().counters();
    for (name, n) in [
        ("header_lost", 1),
        ("token_rejected", 1),
        ("permission", 1),
        ("scope", 2),
    ] {
        assert_eq!(counters[&format!("api.{name}")], n, "{name}");
    }
}

#[test]
fn the_entity_api_is_well_within_full_scope() {
    const PING: &str = "/api/entity/vendors/ping";
    let (emulator, mut client) = start();
    let token = client.ask(DEMO).token();
    let bearer = format!("Bearer {token}");
    let json = [("Accept", "application/json"), ("Authorization", &bearer)];
    let ping = client.call("GET", PING, &json, None);
    assert_eq!(
        (ping.status, ping.json()),
        (200, json!({"ResponseMessage": "success"}))
    );
    let xml = client.call("GET", PING, &json[1..], None);
    assert!(xml.text().starts_with("<PingResponse>"), "{}", xml.text());
    assert_eq!(client.get("/api/entity/parts/ping", &token).status, 404);
    let odata_key = client.ask_with_key(&key(3), None).token();
    assert_eq!(client.get(PING, &odata_key).status, 403);
    assert_eq!(client.call("GET", PING, &[], None).status, 401);
    let counters = emulator.control().counters();
    assert_eq!((counters["entity.requests"], counters["api.scope"]), (4, 1));
}

#[test]
fn an_interactive_session_belongs_to_its_token() {
    let (emulator, mut client) = start();
    let first = client.ask(DEMO).token();
    let second = client.ask(DEMO).token();
    assert_eq!(client.api("POST", SESSIONS, &first).status, 200);
    assert_eq!(client.api("POST", SESSIONS, &first).status, 409);
    assert_eq!(emulator.control().counter("sessions.open"), 1);
    assert_eq!(
        client
            .get(SESSIONS, &first)
            .json()
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let foreign = client.api("DELETE", SESSIONS, &second);
    assert_eq!(
        (foreign.status, &foreign.json()["ErrorMessage"]),
        (400, &json!("Invalid session"))
    );
    let on_ui_server = format!("/uiserver0{SESSIONS}");
    assert_eq!(client.api("DELETE", &on_ui_server, &first).status, 200);
    assert_eq!(emulator.control().counter("sessions.open"), 0);

    for user in [None, Some("nobody")] {
        let token = client.ask_with_key(&key(1), user).token();
        let failed = client.api("POST", SESSIONS, &token);
        assert_eq!(
            failed.json()["ErrorMessage"],
            "Error retrieving/validating user"
        );
    }
    let token = client.ask_with_key(&key(1), Some("demo")).token();
    assert_eq!(client.api("POST", SESSIONS, &token).status, 200);
}
