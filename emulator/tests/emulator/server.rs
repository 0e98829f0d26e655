//! The server itself: connections, certificates, control, log, its end.

use std::io::{self, Read as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread;

use p21_emulator::{Action, Certificate, Emulator, Fault, Log, Options};
use serde_json::{Value, json};

use crate::wire::Client;
use crate::{DEMO, LONG, ROUTER, TABLE, V1, V2, key, start};

#[test]
fn a_thousand_connections_are_held_at_once() {
    let (emulator, _) = start();
    let control = emulator.control();
    control.hold();
    let mut clients: Vec<Client> = (0..1000).map(|_| Client::new(&emulator)).collect();
    for client in &mut clients {
        client.send("POST", V2, &[("Accept", "application/json")], Some(DEMO));
    }
    assert!(control.wait_for("held", 1000, LONG));
    assert_eq!(control.counter("token.issued"), 0);
    control.release_some(1);
    assert!(control.wait_for("token.issued", 1, LONG));
    control.release();
    for client in &mut clients {
        assert_eq!(client.answer().unwrap().status, 200);
    }
    assert_eq!(control.counter("token.issued"), 1000);
}

#[test]
fn a_stop_ends_everything() {
    let (mut emulator, mut idle) = start();
    let control = emulator.control();
    idle.ask(DEMO);
    control.hold();
    let mut held = Client::new(&emulator);
    held.send("POST", V2, &[], Some(DEMO));
    assert!(control.wait_for("held", 1, LONG));
    control.fault(Fault::on("/flood", Action::Flood));
    let mut flooded = Client::new(&emulator);
    flooded.send("GET", "/flood", &[], None);
    flooded.head().unwrap();
    emulator.stop();
    assert_eq!(control.counter("connections.open"), 0);
    assert!(TcpStream::connect(emulator.address()).is_err());
    // What was under way may end in good order or not, but it ends.
    let _ = idle.0.read_to_end(&mut Vec::new());
    let _ = held.0.read_to_end(&mut Vec::new());
}

#[test]
fn tls_with_each_kind_of_certificate() {
    for kind in [
        Certificate::Good,
        Certificate::SelfSigned,
        Certificate::Expired,
        Certificate::WrongHost,
    ] {
        let emulator = Emulator::start(Options {
            tls: Some(kind),
            ..Options::default()
        })
        .unwrap();
        assert!(emulator.base_url().starts_with("https://127.0.0.1:"));
        match Client::tls(&emulator) {
            Ok((mut client, leaf)) => {
                assert_eq!(kind, Certificate::Good);
                assert_eq!(Some(leaf.as_str()), emulator.leaf_sha256());
                let token = client.ask(DEMO).token();
                assert_eq!(client.get(TABLE, &token).status, 200);
            }
            Err(error) => {
                let expected = match kind {
                    Certificate::Good => panic!("{error}"),
                    Certificate::SelfSigned => "UnknownIssuer",
                    Certificate::Expired => "expired",
                    Certificate::WrongHost => "not valid for name",
                };
                assert!(error.to_string().contains(expected), "{kind:?}: {error}");
                assert!(
                    emulator
                        .control()
                        .wait_for("connections.tls_failed", 1, LONG)
                );
            }
        }
    }
}

#[test]
fn the_ca_is_written_to_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let emulator = Emulator::start(Options::tls()).unwrap();
    emulator.write_ca(&path).unwrap();
    assert_eq!(
        Some(std::fs::read_to_string(&path).unwrap().as_str()),
        emulator.ca_pem()
    );
    let plain = Emulator::start(Options::default()).unwrap();
    assert_eq!(
        plain.write_ca(&path).unwrap_err().kind(),
        io::ErrorKind::Unsupported
    );
}

#[test]
fn a_prefix_moves_the_middleware_but_not_the_web_client() {
    let options = Options {
        prefix: "P21APIService/".into(),
        ..Options::default()
    };
    let emulator = Emulator::start(options).unwrap();
    assert!(emulator.base_url().ends_with("/P21APIService"));
    let mut client = Client::new(&emulator);
    assert_eq!(client.ask(DEMO).status, 404);
    let body = Some(DEMO);
    let json = [("Accept", "application/json")];
    let token = client
        .call("POST", &format!("/P21APIService{V2}"), &json, body)
        .token();
    let router = format!("/p21apiservice{ROUTER}");
    let url = client.get(&router, &token).json();
    assert_eq!(url["Url"], format!("{}/uiserver0/", emulator.base_url()));
    assert_eq!(client.call("GET", "/Prophet21/", &[], None).status, 200);
    let prefixed = client.call("GET", "/P21APIService/_control/counters", &[], None);
    assert_eq!(prefixed.json()["token.issued"], 1);
    let control = format!("http://{}/_control/", emulator.address());
    assert_eq!(emulator.control_url(), Some(control));
}

#[test]
fn it_listens_on_ipv6_where_there_is_one() {
    let options = Options {
        bind: "::1".parse().unwrap(),
        ..Options::default()
    };
    match Emulator::start(options) {
        Ok(emulator) => {
            assert!(emulator.base_url().starts_with("http://[::1]:"));
            assert_eq!(Client::new(&emulator).ask(DEMO).status, 200);
        }
        Err(error) => assert!(
            std::net::TcpListener::bind("[::1]:0").is_err(),
            "IPv6 is there but: {error}"
        ),
    }
}

#[test]
fn the_control_endpoint_has_the_same_powers() {
    let (emulator, mut client) = start();
    let mut control = Client::new(&emulator);
    let mut post = |call: &str, body: Value| {
        let answer = control.call(
            "POST",
            &format!("/_control/{call}"),
            &[],
            Some(&body.to_string()),
        );
        assert_eq!(answer.status, 200, "{call}: {}", answer.text());
        answer.json()
    };
    post("hold", json!({}));
    let mut observer = Client::new(&emulator);
    observer.send("GET", "/_control/wait?held=1&timeout_ms=60000", &[], None);
    client.send("POST", V2, &[("Accept", "application/json")], Some(DEMO));
    let waited = observer.answer().unwrap();
    assert_eq!((waited.status, &waited.json()["held"]), (200, &json!(1)));
    post("release", json!({}));
    let token = client.answer().unwrap().token();

    post("time", json!({"advance_s": 90_000}));
    assert_eq!(client.get(TABLE, &token).status, 401);
    post("time", json!({"offset_s": 0}));
    assert_eq!(client.get(TABLE, &token).status, 200);
    assert_eq!(post("revoke", json!({"token": token}))["revoked"], 1);
    assert_eq!(client.get(TABLE, &token).status, 401);
    post(
        "faults",
        json!({"path": "/token", "action": {"answer": {"status": 503}}}),
    );
    assert_eq!(client.ask(DEMO).status, 503);
    post(
        "config",
        json!({"lifetime_s": 5, "users": [{"name": "demo", "password": "new"}]}),
    );
    assert_eq!(client.ask(DEMO).status, 401);
    let new = r#"{"username":"demo","password":"new"}"#;
    assert_eq!(client.ask(new).json()["ExpiresInSeconds"], 5);

    let last = observer.call("GET", "/_control/last", &[], None);
    assert_eq!(
        last.json()[format!("POST {V2}")]["body"]["username"],
        "demo"
    );
    assert!(last.json()[format!("GET {TABLE}")]["headers"]["authorization"].is_string());
    assert!(!last.text().contains(&token));
    let config = observer.call("GET", "/_control/config", &[], None);
    assert_eq!(config.json()["settings"]["lifetime_s"], 5);

    post("reset", json!({"only": "counters"}));
    assert_eq!(client.ask(new).status, 200);
    post("reset", json!({}));
    assert_eq!(client.ask(DEMO).status, 200);
    assert_eq!(emulator.control().counter("token.requests"), 1);
    // curl's `-X POST` without data has no Content-Length.
    assert_eq!(
        observer.call("POST", "/_control/reset", &[], None).status,
        200
    );
}

#[test]
fn no_web_page_but_our_own_controls_it() {
    let (emulator, mut client) = start();
    let host = emulator.address().to_string();
    let own = format!("http://{host}");
    let mut reset = |host: &str, origin: Option<&str>| {
        let mut headers = vec![("Host", host)];
        headers.extend(origin.map(|origin| ("Origin", origin)));
        client.send_as("POST", "/_control/reset", &headers, Some("{}"));
        client.answer().unwrap().status
    };
    assert_eq!(reset(&host, None), 200);
    assert_eq!(reset(&host, Some(&own)), 200);
    for origin in ["https://evil.com", "null", "http://127.0.0.1:1"] {
        assert_eq!(reset(&host, Some(origin)), 403, "{origin}");
    }
    assert_eq!(reset("evil.com", Some("http://evil.com")), 403);
    let page = client.call("GET", "/_control/", &[], None);
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.contains("frame-ancestors 'none'") && page.text().starts_with("<!DOCTYPE html>")
    );
    assert_eq!(client.call("GET", "/_control", &[], None).status, 302);
}

#[test]
fn beyond_loopback_control_wants_its_token() {
    let emulator = Emulator::start(Options {
        bind: "0.0.0.0".parse().unwrap(),
        ..Options::default()
    })
    .unwrap();
    let mut client = Client::new(&emulator);
    let token = emulator.control_token().unwrap();
    assert!(token.len() > 40);
    let bearer = format!("Bearer {token}");
    for (headers, status) in [
        (vec![], 401),
        (vec![("Authorization", "Bearer x")], 401),
        (vec![("Authorization", bearer.as_str())], 200),
    ] {
        let answer = client.call("GET", "/_control/counters", &headers, None);
        assert_eq!(answer.status, status);
    }
    assert_eq!(
        client.call("GET", "/_control/", &[], None).status,
        200,
        "the page holds nothing"
    );
    assert_eq!(client.ask(DEMO).status, 200);
    assert!(start().0.control_token().is_none());
    let chosen = Emulator::start(Options {
        control_token: Some("mine".into()),
        ..Options::default()
    })
    .unwrap();
    assert_eq!(chosen.control_token(), Some("mine"));
    let mut client = Client::new(&chosen);
    assert_eq!(
        client.call("GET", "/_control/counters", &[], None).status,
        401
    );
}

#[test]
fn with_tls_the_page_is_on_a_plain_port_of_its_own() {
    let emulator = Emulator::start(Options::tls()).unwrap();
    let url = emulator.control_url().unwrap();
    let address = url
        .strip_prefix("http://")
        .and_then(|rest| rest.strip_suffix("/_control/"));
    let mut plain = Client::at(address.unwrap().parse().unwrap());
    assert_eq!(
        plain.call("GET", "/_control/counters", &[], None).json()["requests"],
        0
    );
    assert_eq!(plain.call("GET", "/_control/", &[], None).status, 200);
    assert_eq!(plain.call("POST", V2, &[], Some(DEMO)).status, 404);
    assert_eq!(emulator.control().counter("requests"), 0);
    let (mut secure, _) = Client::tls(&emulator).unwrap();
    assert_eq!(
        secure.call("GET", "/_control/counters", &[], None).status,
        200
    );
}

#[test]
fn calls_are_listed_for_those_who_look() {
    let (emulator, mut client) = start();
    let token = client.ask(DEMO).token();
    client.get(&format!("{TABLE}?$top=1"), &token);
    client.get(TABLE, "hunter2");
    emulator.control().fault(Fault::on("/token", Action::Reset));
    Client::new(&emulator).send("POST", V2, &[], Some(DEMO));
    assert!(emulator.control().wait_for("faults.fired", 1, LONG));
    let mut observer = Client::new(&emulator);
    let mut look = |target: &str| {
        observer
            .call("GET", &format!("/_control/{target}"), &[], None)
            .json()
    };
    let seen = look("calls");
    let calls = seen["calls"].as_array().unwrap();
    let told = |n: usize, name: &str| calls[n][name].clone();
    assert_eq!((seen["last"].as_u64(), calls.len()), (Some(4), 4));
    assert_eq!(
        (told(0, "dialect"), told(0, "who"), told(0, "status")),
        (json!("v2_password"), json!("user=demo"), json!(200))
    );
    assert_eq!(
        (told(1, "query"), told(1, "who")),
        (json!({"$top": "1"}), json!("user=demo"))
    );
    assert_eq!((told(2, "who"), told(2, "status")), (json!(""), json!(401)));
    assert_eq!(told(3, "n"), 4);
    assert_ne!(told(1, "token"), told(2, "token"));
    assert!(!seen.to_string().contains("hunter2") && !seen.to_string().contains(&token));
    assert_eq!(look("calls?after=3")["calls"].as_array().unwrap().len(), 1);

    let all = look("watch");
    assert_eq!(all["counters"]["token.requests"], 2);
    assert_eq!(all["tokens"][0]["token"], told(1, "token"));
    assert_eq!(
        all["token_requests"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| s[1].as_u64().unwrap())
            .sum::<u64>(),
        2
    );
    let version = all["version"].as_u64().unwrap();
    let mut waiting = Client::new(&emulator);
    // The connection itself is a change.
    let version = version.max(look("watch")["version"].as_u64().unwrap());
    waiting.send(
        "GET",
        &format!("/_control/watch?version={version}&after=4&wait_ms=60000"),
        &[],
        None,
    );
    client.get(TABLE, &token);
    let woken = waiting.answer().unwrap().json();
    assert!(woken["version"].as_u64() > Some(version));
    let revoke = json!({"fingerprint": told(1, "token")}).to_string();
    let revoked = client
        .call("POST", "/_control/revoke", &[], Some(&revoke))
        .json();
    assert_eq!(revoked["revoked"], 1);
    assert_eq!(client.get(TABLE, &token).status, 401);
}

#[test]
fn the_control_endpoint_can_be_absent() {
    let emulator = Emulator::start(Options {
        control: false,
        ..Options::default()
    })
    .unwrap();
    let mut client = Client::new(&emulator);
    assert_eq!(
        client.call("GET", "/_control/counters", &[], None).status,
        404
    );
}

#[test]
fn log_lines_tell_the_story_without_secrets() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let seen = lines.clone();
    let log = Log::call(move |line| seen.lock().unwrap().push(line.to_owned()));
    let mut emulator = Emulator::start(Options {
        log: Some(log),
        ..Options::default()
    })
    .unwrap();
    let mut client = Client::new(&emulator);
    let token = client.ask(DEMO).token();
    client.get(TABLE, &token);
    client.ask_with_key(&key(1), None);
    client.ask_with_key("unknown-key", Some("unknown-user"));
    client.call(
        "POST",
        &format!("{V1}?username=demo&password=demo-password"),
        &[],
        Some(""),
    );
    emulator.stop();
    let lines = lines.lock().unwrap();
    let stories = [
        "POST /api/security/token/v2 200 v2_password user=demo",
        "GET /odataservice/odata/table/customer 200",
        "POST /api/security/token/v2 200 v2_consumer key=1",
        "POST /api/security/token/v2 401 v2_consumer key=? user=?",
        "POST /api/security/token?… 200 v1_query user=demo",
    ];
    assert_eq!(lines.len(), stories.len());
    for (line, story) in lines.iter().zip(stories) {
        assert!(line.starts_with(story), "{line}");
    }
    for secret in ["demo-password", &token, &key(1), "unknown"] {
        assert!(!lines.iter().any(|line| line.contains(secret)));
    }
}

#[test]
fn many_threads_share_one_emulator() {
    let (emulator, _) = start();
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                let mut client = Client::new(&emulator);
                for _ in 0..10 {
                    let token = client.ask(DEMO).token();
                    assert_eq!(client.get(ROUTER, &token).status, 200);
                }
            });
        }
    });
    let counters = emulator.control().counters();
    assert_eq!(
        (counters["token.issued"], counters["router.requests"]),
        (200, 200)
    );
    assert_eq!(counters["connections.used"], 20);
}

#[test]
fn the_documentation_names_every_setting_and_counter() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/emulator.md");
    let text = std::fs::read_to_string(path).unwrap();
    let settings = serde_json::to_value(p21_emulator::Settings::default()).unwrap();
    let (emulator, _) = start();
    let counters = emulator.control().counters();
    for name in settings.as_object().unwrap().keys().chain(counters.keys()) {
        assert!(
            text.contains(&format!("`{name}`")),
            "{name} is not documented"
        );
    }
}
