//! What a token opens: router, data, transactions, sessions.

use p21_emulator::{Data, Emulator, Options};
use serde_json::json;

use crate::{DEMO, ROUTER, SESSIONS, TABLE, V1, key, set, start};

#[test]
fn the_router_may_want_its_slash() {
    let (emulator, mut client) = start();
    let token = client.ask(DEMO).token();
    let without_slash = "/api/ui/router/v1?urlType=external";
    assert_eq!(client.get(without_slash, &token).status, 200);
    set(&emulator, &json!({"router_redirect": true}));
    let trap = client.get(without_slash, &token);
    assert_eq!(trap.status, 307);
    let base = emulator.base_url();
    assert_eq!(trap.header("location").unwrap(), format!("{base}{ROUTER}"));
    let url = client.get(ROUTER, &token).json();
    assert_eq!(url["Url"], format!("{base}/uiserver0/"));
    let counters = emulator.control().counters();
    assert_eq!(
        (counters["router.requests"], counters["router.redirected"]),
        (3, 1)
    );
}

#[test]
fn odata_pages_through_all_rows() {
    let (emulator, mut client) = start();
    set(&emulator, &json!({"odata_page": 10}));
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
    assert_eq!((counters["entity.requests"], counters["api.scope"]), (5, 1));
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

#[test]
fn every_api_checks_the_token_before_anything_else() {
    let (emulator, mut client) = start();
    let readonly = r#"{"username":"readonly","password":"readonly-password"}"#;
    let (demo, readonly) = (client.ask(DEMO).token(), client.ask(readonly).token());
    let odata_key = client.ask_with_key(&key(3), None).token();
    let ui_key = client.ask_with_key(&key(4), None).token();
    let (allowed, denied, scope) = (200, 401, 403);
    for (target, of_readonly, of_odata, of_ui) in [
        (ROUTER, allowed, scope, allowed),
        (TABLE, denied, allowed, scope),
        (
            "/odataservice/odata/view/p21_view_oe_hdr",
            denied,
            scope,
            scope,
        ),
        ("/api/sales/customers", allowed, scope, scope),
        ("/api/inventory/v2/parts/FILTER%2D10", allowed, scope, scope),
        ("/uiserver0/api/v2/services", allowed, scope, allowed),
        (SESSIONS, allowed, scope, 500),
    ] {
        let before = emulator.control().counters();
        assert_eq!(
            client.call("GET", target, &[], None).status,
            401,
            "{target}"
        );
        assert!(
            client
                .get(target, "nonsense")
                .text()
                .starts_with("<TokenError ")
        );
        let after = emulator.control().counters();
        for cause in ["api.header_lost", "api.token_rejected"] {
            assert_eq!(after[cause] - before[cause], 1, "{target} {cause}");
        }
        for (token, status) in [
            (&demo, allowed),
            (&readonly, of_readonly),
            (&odata_key, of_odata),
            (&ui_key, of_ui),
        ] {
            assert_eq!(client.get(target, token).status, status, "{target}");
        }
    }
}

#[test]
fn what_odata_does_not_understand_is_named() {
    let (_emulator, mut client) = start();
    let token = client.ask(DEMO).token();
    for (query, named) in [
        ("$filter=customer_id+eq", "ends too early"),
        ("$filter=due+ge+now()", "'now'"),
        ("$filter=nope+eq+1", "'nope'"),
        ("$select=nope", "'nope'"),
        ("$expand=orders", "'$expand'"),
        ("top=5", "'top'"),
        ("=5", "single quotes"),
    ] {
        let answer = client.get(&format!("{TABLE}?{query}"), &token);
        let message = answer.json()["error"]["message"].to_string();
        assert!(
            answer.status == 400 && message.contains(named),
            "{query}: {message}"
        );
    }
    let missing = client.get("/odataservice/odata/table/nope", &token);
    assert_eq!(
        missing.json()["error"]["message"],
        "Resource not found: table/nope"
    );
}

#[test]
fn entities_are_added_changed_and_removed() {
    let (_emulator, mut client) = start();
    let token = client.ask(DEMO).token();
    let bearer = format!("Bearer {token}");
    let headers = [
        ("Accept", "application/json"),
        ("Authorization", bearer.as_str()),
    ];
    let list = "/api/sales/customers";
    let mut post = |body: &serde_json::Value| {
        let answer = client.call("POST", list, &headers, Some(&body.to_string()));
        (answer.status, answer.json())
    };
    let (status, added) = post(&json!({"CustomerName": "New Customer Inc", "CreditLimit": "750"}));
    let code = added["CustomerCode"].as_u64().unwrap();
    assert_eq!((status, &added["CreditLimit"]), (200, &json!(750)));
    let (status, changed) = post(&json!({"CustomerCode": code, "CreditLimit": 900}));
    assert_eq!(
        (status, &changed["CustomerName"]),
        (200, &json!("New Customer Inc"))
    );
    for (body, says) in [
        (json!({"CreditLimit": 1}), "CustomerName is required"),
        (
            json!({"CustomerName": "x", "Nope": 1}),
            "Nope is not a field",
        ),
        (
            json!({"CustomerName": "x", "CreditLimit": "much"}),
            "Invalid value for credit_limit",
        ),
    ] {
        let (status, refused) = post(&body);
        assert_eq!(status, 400);
        assert!(refused["Errors"].to_string().contains(says), "{refused}");
    }
    assert_eq!(post(&json!({"CustomerCode": 1})).0, 404);
    let one = format!("{list}/ACME_{code}");
    assert_eq!(client.get(&one, &token).json()["CreditLimit"], 900);
    let row = format!("{TABLE}?$filter=customer_id+eq+{code}");
    assert_eq!(
        client.get(&row, &token).json()["value"][0]["credit_limit"],
        900
    );
    assert_eq!(client.call("DELETE", &one, &headers, None).status, 200);
    assert_eq!(client.get(&one, &token).status, 404);
    assert_eq!(
        client.get(&format!("{list}?$filter=x+eq+1"), &token).status,
        400
    );
    assert_eq!(client.get("/api/sales/nothing", &token).status, 404);
}

#[test]
fn transactions_fail_one_by_one_with_their_reasons() {
    let (_emulator, mut client) = start();
    let token = client.ask(DEMO).token();
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str())];
    let customer = |name: &str, value: &str| {
        let edits =
            json!([{"Name": name, "Value": value}, {"Name": "company_id", "Value": "ACME"}]);
        let element =
            json!({"Name": "TABPAGE_1.customer", "Type": "Form", "Rows": [{"Edits": edits}]});
        json!({"Status": "New", "DataElements": [element]})
    };
    let set = |transactions: serde_json::Value| {
        json!({"Name": "Customer", "UseCodeValues": false, "Transactions": transactions})
            .to_string()
    };
    let body = set(json!([
        customer("customer_name", "A"),
        customer("credit_limit", "5"),
        customer("nope", "5"),
        {"Status": "Old"},
    ]));
    let path = "/uiserver0/api/v2/transaction";
    let answer = client.call("POST", path, &headers, Some(&body)).json();
    assert_eq!(
        answer["Summary"],
        json!({"Succeeded": 1, "Failed": 3, "Other": 0})
    );
    let messages = answer["Messages"].as_array().unwrap();
    for (message, says) in messages.iter().zip([
        "1:: ",
        "customer_name is required",
        "'nope'",
        "Status must be New",
    ]) {
        assert!(message.as_str().unwrap().contains(says), "{message}");
    }
    let body = set(json!([customer("nope", "5")]));
    let answer = client.call("POST", path, &headers, Some(&body)).json();
    assert!(answer["Results"].is_null());
    for (method, path, body, status) in [
        ("POST", path, "[]", 400),
        ("POST", path, "{", 400),
        (
            "POST",
            "/uiserver0/api/v2/transaction/async/callback",
            "{}",
            400,
        ),
        ("GET", "/uiserver0/api/v2/definition/Nope", "", 404),
        ("GET", "/uiserver0/api/v2/nope", "", 404),
        ("GET", "/uiserver0/api/v2/transaction/async?id=1", "", 404),
    ] {
        let body = Some(body).filter(|body| !body.is_empty());
        assert_eq!(
            client.call(method, path, &headers, body).status,
            status,
            "{path}"
        );
    }
}

/// Status and answer of an Interactive call.
fn interactive(
    client: &mut crate::wire::Client,
    token: &str,
    method: &str,
    path: &str,
    body: &str,
) -> (u16, serde_json::Value) {
    let bearer = format!("Bearer {token}");
    let headers = [
        ("Accept", "application/json"),
        ("Authorization", bearer.as_str()),
    ];
    let path = format!("/uiserver0/api/ui/interactive/{path}");
    let answer = client.call(method, &path, &headers, Some(body));
    (answer.status, answer.json())
}

#[test]
fn the_two_versions_of_the_interactive_api_take_their_own_shapes() {
    let (_emulator, mut client) = start();
    let token = client.ask(DEMO).token();
    let mut call =
        |method: &str, path: &str, body: &str| interactive(&mut client, &token, method, path, body);
    assert_eq!(
        call("POST", "v2/window", r#"{"ServiceName":"Order"}"#).0,
        400,
        "no session"
    );
    call("POST", "sessions", "{}");
    assert_eq!(
        call("POST", "v2/window", r#"{"ServiceName":"Nope"}"#).0,
        404
    );
    let (_, window) = call("POST", "v2/window", r#"{"Title":"Order Entry"}"#);
    let id = window["WindowId"].as_str().unwrap().to_owned();
    for (method, path, body, status) in [
        (
            "PUT",
            "v2/change",
            json!({"WindowId": id, "ChangeRequests": []}),
            422,
        ),
        ("PUT", "v1/change", json!({"WindowId": id, "List": []}), 422),
        (
            "PUT",
            "v2/change",
            json!({"WindowId": id, "List": [{"FieldName": "po_no", "Value": "1"}]}),
            422,
        ),
        (
            "PUT",
            "v2/change",
            json!({"WindowId": id, "List": [{"TabName": "TABPAGE_1", "FieldName": "nope"}]}),
            400,
        ),
        (
            "PUT",
            "v2/tab",
            json!({"WindowId": id, "PagePath": {"PageName": "TP_ITEMS"}}),
            500,
        ),
        (
            "PUT",
            "v2/tab",
            json!({"WindowId": id, "PageName": "NOPE"}),
            400,
        ),
        ("PUT", "v2/data", json!({"WindowId": id}), 422),
        ("PUT", "v1/data", json!(id), 422),
        ("PUT", "v2/data", json!("nope"), 404),
        ("GET", "v3/window", json!(null), 404),
    ] {
        assert_eq!(
            call(method, path, &body.to_string()).0,
            status,
            "{method} {path} {body}"
        );
    }
}

#[test]
fn an_order_is_entered_in_its_window() {
    let (_emulator, mut client) = start();
    let token = client.ask(DEMO).token();
    let mut call =
        |method: &str, path: &str, body: &str| interactive(&mut client, &token, method, path, body);
    call("POST", "sessions", "{}");
    let (_, window) = call("POST", "v2/window", r#"{"ServiceName":"Order"}"#);
    let id = window["WindowId"].as_str().unwrap().to_owned();
    let (_, failed) = call("PUT", "v2/data", &json!(id).to_string());
    assert_eq!(
        failed,
        json!({"Status": 2, "Events": [], "Messages": ["customer_id is required"]})
    );
    for (path, body) in [
        (
            "v2/change",
            json!({"WindowId": id, "List": [{"TabName": "TABPAGE_1", "FieldName": "customer_id", "Value": "100001"}]}),
        ),
        ("v2/tab", json!({"WindowId": id, "PageName": "TP_ITEMS"})),
    ] {
        assert_eq!(
            call("PUT", path, &body.to_string()).1["Status"],
            1,
            "{path}"
        );
    }
    for item in ["FW-38", "BV-100"] {
        let row = json!({"WindowId": id, "DatawindowName": "items"});
        assert_eq!(call("POST", "v2/row", &row.to_string()).0, 200);
        let fields = [("oe_order_item_id", item), ("unit_quantity", "3")];
        let list: Vec<_> = fields
            .iter()
            .map(
                |(field, value)| json!({"TabName": "TP_ITEMS", "FieldName": field, "Value": value}),
            )
            .collect();
        let change = json!({"WindowId": id, "List": list});
        assert_eq!(call("PUT", "v2/change", &change.to_string()).1["Status"], 1);
    }
    // Saved twice, it is one order with two lines.
    for _ in 0..2 {
        assert_eq!(
            call("PUT", "v2/data", &json!(id).to_string()).1["Status"],
            1
        );
    }
    let (_, data) = call("GET", &format!("v2/data?id={id}"), "");
    let order = data[0]["Rows"][0]["Edits"][0]["Value"]
        .as_str()
        .unwrap()
        .to_owned();
    let lines = client.get(
        &format!("/api/sales/orders/{order}?extendedproperties=Lines"),
        &token,
    );
    let lines = lines.json()["Lines"].as_array().unwrap().clone();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        (&lines[1]["ItemId"], &lines[1]["LineNumber"]),
        (&json!("BV-100"), &json!(2))
    );
}

#[test]
fn habits_of_installations_are_settings() {
    let (emulator, mut client) = start();
    let (first, second) = (client.ask(DEMO).token(), client.ask(DEMO).token());
    let bearer = format!("Bearer {first}");
    let without_accept = [("Authorization", bearer.as_str())];
    assert_eq!(
        client.call("GET", SESSIONS, &without_accept, None).status,
        200
    );
    let form = "grant_type=password&username=demo&password=demo-password";
    let kind = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Accept", "application/json"),
    ];
    assert_eq!(client.call("POST", V1, &kind, Some(form)).status, 401);
    client.api("POST", SESSIONS, &first);
    client.api("POST", SESSIONS, &second);
    assert_eq!(emulator.control().counter("sessions.open"), 2);
    client.api("DELETE", SESSIONS, &second);

    let settings =
        json!({"interactive_needs_accept": true, "session_ends_others": true, "v1_form": true});
    set(&emulator, &settings);
    assert_eq!(
        client.call("GET", SESSIONS, &without_accept, None).status,
        500
    );
    assert!(
        !client
            .call("POST", V1, &kind, Some(form))
            .token()
            .is_empty()
    );
    assert_eq!(emulator.control().counter("token.dialect.v1_form"), 1);
    client.api("POST", SESSIONS, &second);
    assert_eq!(client.get(SESSIONS, &first).json(), json!([]));
}

#[test]
fn answers_of_your_own_take_the_place_of_any() {
    let emulator = Emulator::start(Options {
        answers: vec![
            serde_json::from_value(json!({"path": "/api/custom/*", "body": {"Ok": true}})).unwrap(),
        ],
        ..Options::default()
    })
    .unwrap();
    let mut client = crate::wire::Client::new(&emulator);
    let token = client.ask(DEMO).token();
    assert_eq!(
        client.get("/API/custom/thing?x=1", &token).json(),
        json!({"Ok": true})
    );
    assert_eq!(
        client.call("GET", "/api/custom/thing", &[], None).status,
        401
    );
    let answers = json!([
        {"method": "GET", "path": TABLE, "status": 418, "headers": {"X-Own": "1"}, "body": "short and stout"},
        {"path": "/open", "needs_token": false},
    ]);
    let mut post = |body: &serde_json::Value| {
        client
            .call("POST", "/_control/answers", &[], Some(&body.to_string()))
            .status
    };
    assert_eq!(post(&answers), 200);
    assert_eq!(post(&json!({"path": "/x", "status": 99})), 400);
    let own = client.get(TABLE, &token);
    assert_eq!(
        (own.status, own.text(), own.header("x-own")),
        (418, "short and stout", Some("1"))
    );
    assert_eq!(client.call("POST", "/open", &[], Some("")).status, 200);
    assert_eq!(emulator.control().counter("answers.requests"), 4);
    let kept = client.call("GET", "/_control/answers", &[], None).json();
    assert_eq!(kept.as_array().unwrap().len(), 3);
    client.call("DELETE", "/_control/answers", &[], None);
    assert_eq!(client.get(TABLE, &token).status, 200);
    emulator.control().reset();
    let token = client.ask(DEMO).token();
    assert_eq!(
        client.get("/api/custom/thing", &token).status,
        200,
        "as at the start"
    );
}

#[test]
fn rows_may_be_your_own() {
    let data = r#"{"tables": {"Thing": [{"id": 1, "name": "a"}]}, "views": {"v": [{"id": 2}]}}"#;
    let emulator = Emulator::start(Options {
        data: Data::from_json(data).unwrap(),
        ..Options::default()
    })
    .unwrap();
    let mut client = crate::wire::Client::new(&emulator);
    let token = client.ask(DEMO).token();
    let things = client.get(
        "/odataservice/odata/table/thing?$filter=name+eq+'A'",
        &token,
    );
    assert_eq!(things.json()["value"], json!([{"id": 1, "name": "a"}]));
    assert_eq!(
        client.get("/odataservice/odata/view/V", &token).json()["value"][0]["id"],
        2
    );
    for gone in [TABLE, "/api/sales/customers"] {
        assert_eq!(client.get(gone, &token).status, 404, "{gone}");
    }
}
