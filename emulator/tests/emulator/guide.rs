//! What the programs of the community's guide ask for (mrwuss/p21-api-documentation, commit 7a21ace), call by call. All of them
//! end well against the emulator as they stand; `guide.json` has their requests, made again.
//!
//! A step is method and target, body, and what the answer holds by JSON pointer: a value, `"*"` for any but null, or `"@name"`
//! to keep it and put it in the place of `{name}` from there on. Where no `status` is named it is 200.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{DEMO, ROUTER, V1, set, start};

type Kept = BTreeMap<String, String>;

fn check(answer: &Value, expected: &Map<String, Value>, kept: &mut Kept, what: &str) {
    for (pointer, expected) in expected.iter().filter(|(name, _)| *name != "status") {
        let found = answer.pointer(pointer);
        let found = found.unwrap_or_else(|| panic!("{what}: no {pointer} in {answer}"));
        match expected.as_str() {
            Some("*") => assert!(!found.is_null(), "{what}: {pointer} in {answer}"),
            Some(name) if name.starts_with('@') => {
                let text = found
                    .as_str()
                    .map_or_else(|| found.to_string(), str::to_owned);
                kept.insert(format!("{{{}}}", &name[1..]), text);
            }
            _ => assert_eq!(found, expected, "{what}: {pointer} in {answer}"),
        }
    }
}

fn run(name: &str, steps: &[Value], mut kept: Kept) {
    let (emulator, mut client) = start();
    let accept = ("Accept", "application/json");
    let login = [("username", "demo"), ("password", "demo-password"), accept];
    let token = client.call("POST", V1, &login, Some("")).token();
    let router = ROUTER.replace("v1/?", "v1?");
    assert!(client.get(&router, &token).json()["Url"].is_string());
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str()), accept];
    for step in steps {
        let fill = |text: &str| {
            kept.iter().fold(text.to_owned(), |text, (name, value)| {
                text.replace(name, value)
            })
        };
        let target = fill(step[0].as_str().unwrap());
        let body = match &step[1] {
            Value::Null => None,
            Value::String(text) if text.starts_with("{price_page") => Some(fill(text)),
            body => Some(fill(&body.to_string())),
        };
        let (method, path) = target.split_once(' ').unwrap();
        let answer = client.call(method, path, &headers, body.as_deref());
        let expected = step[2].as_object().unwrap();
        let status = expected
            .get("status")
            .map_or(200, |status| status.as_u64().unwrap());
        let what = format!("{name}: {target}");
        assert_eq!(
            u64::from(answer.status),
            status,
            "{what}: {}",
            answer.text()
        );
        check(&answer.json(), expected, &mut kept, &what);
    }
    assert_eq!(emulator.control().counter("token.issued"), 1);
}

#[test]
fn the_programs_of_the_guide_find_all_they_ask_for() {
    let mut programs: Map<String, Value> =
        serde_json::from_str(include_str!("guide.json")).unwrap();
    let page = programs.remove("price_page").unwrap();
    let mut pages = page.clone();
    pages["Transactions"] = json!([
        page["Transactions"][0],
        page["Transactions"][0],
        page["Transactions"][0]
    ]);
    let kept = Kept::from([
        ("{price_page}".to_owned(), page.to_string()),
        ("{price_pages}".to_owned(), pages.to_string()),
    ]);
    assert_eq!(programs.len(), 22);
    for (name, steps) in &programs {
        run(name, steps.as_array().unwrap(), kept.clone());
    }
}

#[test]
fn pages_by_the_server_lose_no_row() {
    let (emulator, mut client) = start();
    let token = client.ask(DEMO).token();
    for page in [None, Some(1), Some(7), Some(1000)] {
        set(&emulator, &json!({"odata_page": page}));
        for (target, rows) in [
            ("table/customer?$top=1000", 25),
            ("table/customer?$top=9&$skip=20", 5),
            (
                "view/p21_view_price_page?$filter=row_status_flag+eq+704&$orderby=description&$select=description",
                10,
            ),
        ] {
            let mut target = format!("/odataservice/odata/{target}");
            let mut found = 0;
            loop {
                let page = client.get(&target, &token).json();
                found += page["value"].as_array().unwrap().len();
                let Some(next) = page["@odata.nextLink"].as_str() else {
                    break;
                };
                target = next.strip_prefix(emulator.base_url()).unwrap().into();
            }
            assert_eq!(found, rows, "{page:?} {target}");
        }
    }
}
