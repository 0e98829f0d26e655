//! The emulator, driven over raw sockets: whatever other tests believe of it is shown here.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use p21auth::mock::{
    Action, Certificate, ConsumerKey, Emulator, Fault, Log, NEVER_S, Options, Refusal, ReplyFormat,
    User,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};

/// For waits that end by an event; only a failing test lasts this long.
const LONG: Duration = Duration::from_mins(1);
const DEMO: &str = r#"{"username":"demo","password":"demo-password"}"#;
const V2: &str = "/api/security/token/v2";
const V1: &str = "/api/security/token";
const ROUTER: &str = "/api/ui/router/v1/?urlType=external";
const TABLE: &str = "/odataservice/odata/table/customer";
const SESSIONS: &str = "/api/ui/interactive/sessions/";

fn key(n: u32) -> String {
    format!("00000000-0000-4000-8000-{n:012}")
}

trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

/// One connection to an emulator.
struct Client(BufReader<Box<dyn Wire>>);

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, v)| v.as_str())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    fn token(&self) -> String {
        self.json()["AccessToken"].as_str().unwrap().to_owned()
    }
}

impl Client {
    fn new(emulator: &Emulator) -> Self {
        let socket = TcpStream::connect(emulator.address()).unwrap();
        Self(BufReader::new(Box::new(socket)))
    }

    fn tls(emulator: &Emulator) -> io::Result<(Self, String)> {
        use sha2::{Digest, Sha256};
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(emulator.ca_pem().unwrap().as_bytes()).unwrap();
        roots.add(ca).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::from(emulator.address().ip());
        let mut session = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut socket = TcpStream::connect(emulator.address())?;
        while session.is_handshaking() {
            session.complete_io(&mut socket)?;
        }
        let leaf = Sha256::digest(&session.peer_certificates().unwrap()[0]);
        let leaf = leaf
            .iter()
            .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        let stream = StreamOwned::new(session, socket);
        Ok((Self(BufReader::new(Box::new(stream))), leaf))
    }

    fn send(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: Option<&str>) {
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: p21\r\n");
        for (name, value) in headers {
            text += &[name, ": ", value, "\r\n"].concat();
        }
        if let Some(body) = body {
            text += &["Content-Length: ", &body.len().to_string(), "\r\n"].concat();
        }
        text += "\r\n";
        text += body.unwrap_or_default();
        let stream = self.0.get_mut();
        stream.write_all(text.as_bytes()).unwrap();
        stream.flush().unwrap();
    }

    fn head(&mut self) -> io::Result<Answer> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            line.clear();
            self.0.read_line(&mut line)?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) => headers.push((name.to_owned(), value.to_owned())),
                None => {
                    return Ok(Answer {
                        status,
                        headers,
                        body: Vec::new(),
                    });
                }
            }
        }
    }

    fn answer(&mut self) -> io::Result<Answer> {
        let mut answer = self.head()?;
        let length = answer.header("content-length").unwrap().parse().unwrap();
        answer.body = vec![0; length];
        self.0.read_exact(&mut answer.body)?;
        Ok(answer)
    }

    fn call(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Answer {
        self.send(method, target, headers, body);
        self.answer().unwrap()
    }

    /// A V2 request for JSON.
    fn ask(&mut self, body: &str) -> Answer {
        let headers = [
            ("Accept", "application/json"),
            ("Content-Type", "application/json"),
        ];
        self.call("POST", V2, &headers, Some(body))
    }

    fn ask_with_key(&mut self, key: &str, user: Option<&str>) -> Answer {
        let mut body = json!({"ClientSecret": key, "GrantType": "client_credentials"});
        if let Some(user) = user {
            body["username"] = json!(user);
        }
        self.ask(&body.to_string())
    }

    fn api(&mut self, method: &str, target: &str, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("Accept", "application/json"),
            ("Authorization", bearer.as_str()),
        ];
        let body = (method == "POST").then_some("{}");
        self.call(method, target, &headers, body)
    }

    fn get(&mut self, target: &str, token: &str) -> Answer {
        self.api("GET", target, token)
    }
}

fn start() -> (Emulator, Client) {
    let emulator = Emulator::start(Options::default()).unwrap();
    let client = Client::new(&emulator);
    (emulator, client)
}

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

#[test]
fn too_many_requests_are_told_when_to_come_back() {
    let (emulator, mut client) = start();
    let control = emulator.control();
    let patch = json!({"throttle_max": 1, "throttle_window_s": 100});
    control.configure(patch.as_object().unwrap()).unwrap();
    assert_eq!(client.ask(DEMO).status, 200);
    let answer = client.ask(DEMO);
    let wait: u32 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!(answer.status == 429 && (1..=100).contains(&wait));
    control
        .configure(json!({"retry_after": "date"}).as_object().unwrap())
        .unwrap();
    let answer = client.ask(DEMO);
    assert!(answer.header("retry-after").unwrap().ends_with("GMT"));
    assert_eq!(control.counter("token.throttled"), 2);
}

#[test]
fn faults_hit_the_next_requests_in_order() {
    let (emulator, mut client) = start();
    let control = emulator.control();
    let down = Action::answer_with(503, ("Retry-After", "7"), "down");
    control.fault(Fault::on("/token", down).times(2));
    control.fault(Fault::on("/token", Action::Empty));
    control.fault(Fault::on("/token", Action::Html));
    let elsewhere = "https://elsewhere.invalid/".to_owned();
    control.fault(Fault::on(
        "/token",
        Action::Redirect {
            location: elsewhere,
            status: 302,
        },
    ));
    control.fault(Fault::on(
        "/token",
        Action::Drip {
            bytes_per_s: 100_000,
        },
    ));
    for _ in 0..2 {
        let answer = client.ask(DEMO);
        assert_eq!((answer.status, answer.text()), (503, "down"));
        assert_eq!(answer.header("retry-after"), Some("7"));
    }
    assert!(client.ask(DEMO).body.is_empty());
    assert!(client.ask(DEMO).text().starts_with("<!DOCTYPE html>"));
    let redirect = client.ask(DEMO);
    assert_eq!(redirect.status, 302);
    assert_eq!(
        redirect.header("location"),
        Some("https://elsewhere.invalid/")
    );
    assert_eq!(client.ask(DEMO).status, 200, "a drip ends");
    let counters = control.counters();
    assert_eq!(
        (counters["faults.fired"], counters["faults.pending"]),
        (6, 0)
    );
    assert_eq!(
        (counters["token.requests"], counters["token.issued"]),
        (6, 1)
    );
}

#[test]
fn connections_break_on_request() {
    let (emulator, _) = start();
    let control = emulator.control();
    let broken = |action: Action| {
        control.fault(Fault::on("/token", action));
        let mut client = Client::new(&emulator);
        client.send("POST", V2, &[("Accept", "application/json")], Some(DEMO));
        client
    };
    let kind = |result: io::Result<Answer>| result.err().map(|e| e.kind());
    let reset = Some(io::ErrorKind::ConnectionReset);
    let ended = Some(io::ErrorKind::UnexpectedEof);
    assert_eq!(kind(broken(Action::Close).answer()), ended);
    assert_eq!(kind(broken(Action::Reset).answer()), reset);
    let mut client = broken(Action::ResetAfterHeaders);
    assert_eq!(client.head().unwrap().status, 200);
    assert_eq!(
        client.0.read(&mut [0]).unwrap_err().kind(),
        io::ErrorKind::ConnectionReset
    );
    let mut client = broken(Action::Truncate { bytes: 10 });
    let head = client.head().unwrap();
    assert!(
        head.header("content-length")
            .unwrap()
            .parse::<usize>()
            .unwrap()
            > 10
    );
    let mut part = Vec::new();
    client.0.read_to_end(&mut part).unwrap();
    assert_eq!(part.len(), 10);

    let mut client = broken(Action::Flood);
    assert_eq!(client.head().unwrap().header("content-length"), None);
    client.0.read_exact(&mut vec![0; 4 << 20]).unwrap();
    drop(client);
    assert!(control.wait_until(LONG, |c| c["connections.open"] <= 1));
}

#[test]
fn a_hanging_request_waits_for_its_release() {
    let (emulator, mut client) = start();
    let control = emulator.control();
    control.fault(Fault {
        hang: true,
        ..Fault::on("/token", Action::Pass)
    });
    client.send("POST", V2, &[("Accept", "application/json")], Some(DEMO));
    assert!(control.wait_for("held", 1, LONG));
    assert_eq!(control.counter("token.issued"), 0);
    control.release();
    assert_eq!(client.answer().unwrap().status, 200);
}

#[test]
fn the_date_can_lie_alone() {
    let (emulator, mut client) = start();
    let date = |answer: &Answer| httpdate::parse_http_date(answer.header("date").unwrap()).unwrap();
    emulator
        .control()
        .fault(Fault::on("", Action::SkewDate { seconds: -86_400 }));
    let lying = date(&client.ask(DEMO));
    let true_one = date(&client.ask(DEMO));
    assert!(true_one.duration_since(lying).unwrap() >= Duration::from_hours(24));
}

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
fn tls_connections_break_too() {
    let emulator = Emulator::start(Options::tls()).unwrap();
    let control = emulator.control();
    for (action, kind) in [
        (Action::Reset, io::ErrorKind::ConnectionReset),
        (Action::Truncate { bytes: 3 }, io::ErrorKind::UnexpectedEof),
    ] {
        control.fault(Fault::on("", action));
        let (mut client, _) = Client::tls(&emulator).unwrap();
        client.send("POST", V2, &[], Some(DEMO));
        assert_eq!(client.answer().err().map(|e| e.kind()), Some(kind));
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
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/emulator.md");
    let text = std::fs::read_to_string(path).unwrap();
    let settings = serde_json::to_value(p21auth::mock::Settings::default()).unwrap();
    let (emulator, _) = start();
    let counters = emulator.control().counters();
    for name in settings.as_object().unwrap().keys().chain(counters.keys()) {
        assert!(
            text.contains(&format!("`{name}`")),
            "{name} is not documented"
        );
    }
}
