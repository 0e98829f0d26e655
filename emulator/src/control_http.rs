//! The control endpoint: the powers of [`Control`] as JSON over HTTP, for tests in any language.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::apis::Answer;
use super::control::Control;
use super::fault::Fault;
use super::message::{Reply, Request};
use super::state::{Counters, Shared};

const PAGE: &str = include_str!("page.html");

/// The page loads nothing from anywhere, talks to its own host, and cannot be put into another page.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
     img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const DEFAULT_WAIT_MS: u64 = 10_000;

/// The answer to a control request; `None` if it isn't one.
pub(super) fn answer(request: &Request, shared: &Arc<Shared>) -> Option<Reply> {
    let path = request.path.to_ascii_lowercase();
    let path = path.strip_prefix(&shared.prefix).unwrap_or(&path);
    let call = path.strip_prefix("/_control")?;
    if !shared.control || !matches!(call.as_bytes().first(), None | Some(b'/')) {
        return None;
    }
    if call.is_empty() {
        return Some(Reply::html(302, String::new()).with("Location", "/_control/"));
    }
    let call = call.trim_matches('/');
    if call.is_empty() && matches!(request.method.as_str(), "GET" | "HEAD") {
        return Some(page());
    }
    if let Err((status, message)) = admit(request, shared) {
        return Some(Reply::json(status, &json!({ "error": message })));
    }
    let control = Control(shared.clone());
    Some(match run(&control, &request.method, call, request) {
        Ok(value) => Reply::json(200, &value),
        Err((status, message)) => Reply::json(status, &json!({ "error": message })),
    })
}

/// The page. It holds no data of its own, so that it needs no token.
fn page() -> Reply {
    Reply::new(200, "text/html; charset=utf-8", PAGE)
        .with("Cache-Control", "no-store")
        .with("X-Frame-Options", "DENY")
        .with("Content-Security-Policy", POLICY)
}

/// Refuses web pages that are not ours, and callers without the token where there is one.
///
/// A browser names the page that sends a request in `Origin`, but for reads from the page's own host. So a host name that
/// anyone can register is refused, too: it may be made to lead here.
fn admit(request: &Request, shared: &Shared) -> Result<(), (u16, String)> {
    let host = request.header("host").unwrap_or_default();
    if let Some(origin) = request.header("origin") {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        if !authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host)) {
            return Err((403, "this web page may not control the emulator".into()));
        }
    }
    match &shared.control_token {
        Some(token) if request.bearer() == Some(token) => Ok(()),
        Some(_) => Err((
            401,
            "the control token is needed: Authorization: Bearer …".into(),
        )),
        None if is_local(host) => Ok(()),
        None => Err((
            403,
            format!(
                "the host name '{}' may lead here from any web page: use the address, or start with a control token",
                host.escape_debug()
            ),
        )),
    }
}

/// An address, or a name that no one can register.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => {
            let parts = rest.split_once(']');
            return parts.is_some_and(|(ip, port)| {
                ip.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || port.starts_with(':'))
            });
        }
        None => host.split(':').next().unwrap_or_default(),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let reserved = ["localhost", "test", "example", "invalid"];
    let last = name.rsplit('.').next().unwrap_or_default();
    name.parse::<Ipv4Addr>().is_ok() || !name.contains('.') || reserved.contains(&last)
}

type Outcome = Result<Value, (u16, String)>;

fn run(control: &Control, method: &str, call: &str, request: &Request) -> Outcome {
    match (method, call) {
        ("GET", "counters") => Ok(json!(control.counters())),
        ("GET", "last") => Ok(control.last_requests()),
        ("GET", "config") => Ok(control.config()),
        ("GET", "wait") => wait(control, request),
        ("GET", "calls") => {
            let after = query_number(request, "after")?.unwrap_or(0);
            Ok(json!({"calls": control.calls(after), "last": control.0.lock().calls.last()}))
        }
        ("GET", "watch") => {
            let number = |name| query_number(request, name);
            let wait = number("wait_ms")?.unwrap_or(0);
            let (version, after) = (
                number("version")?.unwrap_or(0),
                number("after")?.unwrap_or(0),
            );
            Ok(control.watch(version, after, Duration::from_millis(wait)))
        }
        ("GET", "answers") => Ok(json!(control.0.lock().answers)),
        ("POST", "answers") => {
            let answers: Vec<Answer> = one_or_list(request)?;
            answers.iter().try_for_each(Answer::check).map_err(bad)?;
            for answer in answers {
                control.answer(answer).map_err(bad)?;
            }
            Ok(json!(control.0.lock().answers))
        }
        ("DELETE", "answers") => {
            control.clear_answers();
            Ok(done())
        }
        ("POST", "config") => {
            control.configure(&object(request)?).map_err(bad)?;
            Ok(control.config())
        }
        ("POST", "reset") => {
            match text_field(&object(request)?, "only")?.as_deref() {
                None => control.reset(),
                Some("counters") => control.reset_counters(),
                Some(_) => return Err(bad("'only' can be \"counters\"")),
            }
            Ok(done())
        }
        ("POST", "time") => time(control, &object(request)?),
        ("POST", "faults") => faults(control, request),
        ("DELETE", "faults") => {
            control.clear_faults();
            Ok(done())
        }
        ("POST", "hold") => {
            match text_field(&object(request)?, "path")? {
                None => control.hold(),
                Some(path) => control.hold_path(&path),
            }
            Ok(done())
        }
        ("POST", "release") => {
            match number(&object(request)?, "count")? {
                None => control.release(),
                Some(n) => {
                    let n = u64::try_from(n).map_err(|_| bad("'count' is negative"))?;
                    control.release_some(n);
                }
            }
            Ok(done())
        }
        ("POST", "revoke") => {
            let fields = object(request)?;
            let revoked = match (
                text_field(&fields, "token")?,
                text_field(&fields, "fingerprint")?,
            ) {
                (None, None) => control.revoke_all(),
                (Some(token), None) => usize::from(control.revoke(&token)),
                (None, Some(print)) => control.revoke_fingerprint(&print),
                _ => return Err(bad("pass either 'token' or 'fingerprint'")),
            };
            Ok(json!({ "revoked": revoked }))
        }
        _ => Err((404, format!("no control call {method} {call}"))),
    }
}

fn done() -> Value {
    json!({"ok": true})
}

fn bad(message: impl Into<String>) -> (u16, String) {
    (400, message.into())
}

/// The body as a JSON object; an empty body is an empty object.
fn object(request: &Request) -> Result<Map<String, Value>, (u16, String)> {
    if request.body.is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(&request.body) {
        Ok(Value::Object(fields)) => Ok(fields),
        _ => Err(bad("the body must be a JSON object")),
    }
}

fn text_field(fields: &Map<String, Value>, name: &str) -> Result<Option<String>, (u16, String)> {
    match fields.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(bad(format!("'{name}' must be a string"))),
    }
}

fn number(fields: &Map<String, Value>, name: &str) -> Result<Option<i64>, (u16, String)> {
    match fields.get(name) {
        None => Ok(None),
        Some(value) => value
            .as_i64()
            .map(Some)
            .ok_or_else(|| bad(format!("'{name}' must be a whole number"))),
    }
}

fn time(control: &Control, fields: &Map<String, Value>) -> Outcome {
    match (number(fields, "advance_s")?, number(fields, "offset_s")?) {
        (Some(seconds), None) => control.advance(seconds),
        (None, Some(seconds)) => control.set_clock_offset(seconds),
        _ => return Err(bad("pass either 'advance_s' or 'offset_s'")),
    }
    let state = control.0.lock();
    Ok(json!({"offset_s": state.offset_s, "now": state.now()}))
}

/// One fault or a list of them.
fn faults(control: &Control, request: &Request) -> Outcome {
    for fault in one_or_list::<Fault>(request)? {
        control.fault(fault);
    }
    Ok(json!({"pending": control.counter("faults.pending")}))
}

/// The body as one object or a list of them.
fn one_or_list<T: DeserializeOwned>(request: &Request) -> Result<Vec<T>, (u16, String)> {
    let body: Value = serde_json::from_slice(&request.body).map_err(|e| bad(e.to_string()))?;
    let list = match body {
        Value::Array(list) => list,
        one => vec![one],
    };
    list.into_iter()
        .map(|one| serde_json::from_value(one).map_err(|e| bad(e.to_string())))
        .collect()
}

fn query_number(request: &Request, name: &str) -> Result<Option<u64>, (u16, String)> {
    let value = request.query_value(name);
    value
        .map(|value| {
            value
                .parse()
                .map_err(|_| bad(format!("'{name}' must be a whole number")))
        })
        .transpose()
}

/// Long poll: 200 with the counters once all conditions hold, 408 with them after `timeout_ms`.
fn wait(control: &Control, request: &Request) -> Outcome {
    let query = request.query.as_deref().unwrap_or_default();
    let mut timeout = DEFAULT_WAIT_MS;
    let mut conditions = Vec::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let wrong = || {
            bad(format!(
                "'{name}' needs a whole number, as 3 (at least) or ..3 (at most)"
            ))
        };
        if name == "timeout_ms" {
            timeout = value.parse().map_err(|_| wrong())?;
        } else if let Some(most) = value.strip_prefix("..") {
            conditions.push((name.to_string(), 0, most.parse().map_err(|_| wrong())?));
        } else {
            conditions.push((
                name.to_string(),
                value.parse().map_err(|_| wrong())?,
                u64::MAX,
            ));
        }
    }
    let met = |counters: &Counters| {
        conditions.iter().all(|(name, least, most)| {
            let n = counters.get(name).copied().unwrap_or(0);
            (*least..=*most).contains(&n)
        })
    };
    if control.wait_until(Duration::from_millis(timeout), met) {
        Ok(json!(control.counters()))
    } else {
        Err((
            408,
            format!("not reached in time: {}", json!(control.counters())),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    fn call(shared: &Arc<Shared>, method: &str, target: &str, body: &str) -> (u16, Value) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let request = Request {
            method: method.into(),
            path: path.into(),
            query: Some(query.into()),
            body: body.into(),
            ..Request::default()
        };
        let reply = answer(&request, shared).unwrap();
        (reply.status, serde_json::from_slice(&reply.body).unwrap())
    }

    #[test]
    fn every_call_answers_in_json() {
        let shared = Arc::new(Shared::new(Options::default(), String::new(), "/p".into()));
        assert_eq!(
            call(&shared, "GET", "/_control/counters", "").1["token.requests"],
            0
        );
        assert_eq!(call(&shared, "GET", "/p/_control/last", "").1, json!({}));
        assert_eq!(
            call(&shared, "POST", "/_control/config", r#"{"lifetime_s":7}"#).1["settings"]["lifetime_s"],
            7
        );
        assert_eq!(
            call(&shared, "POST", "/_control/time", r#"{"advance_s":60}"#).1["offset_s"],
            60
        );
        assert_eq!(
            call(
                &shared,
                "POST",
                "/_control/faults",
                r#"[{"action":"reset"},{}]"#
            )
            .1["pending"],
            2
        );
        assert_eq!(call(&shared, "DELETE", "/_control/faults", "").0, 200);
        assert_eq!(call(&shared, "POST", "/_control/hold", "").0, 200);
        assert_eq!(
            call(&shared, "POST", "/_control/release", r#"{"count":1}"#).0,
            200
        );
        assert_eq!(
            call(&shared, "POST", "/_control/revoke", "").1["revoked"],
            0
        );
        assert_eq!(
            call(&shared, "GET", "/_control/wait?held=..0&requests=0", "").0,
            200
        );
        assert_eq!(
            call(&shared, "GET", "/_control/wait?held=1&timeout_ms=1", "").0,
            408
        );
        assert_eq!(call(&shared, "POST", "/_control/reset", "").0, 200);
        assert_eq!(Control(shared).config()["clock_offset_s"], 0);
    }

    #[test]
    fn only_our_own_page_and_clients_without_one_come_in() {
        let free = Shared::new(Options::default(), String::new(), String::new());
        let guarded = Options {
            control_token: Some("hunter2".into()),
            ..Options::default()
        };
        let guarded = Shared::new(guarded, String::new(), String::new());
        let status = |shared: &Shared, host: &str, origin: &str, bearer: &str| {
            let mut headers = vec![("Host".to_owned(), host.to_owned())];
            for (name, value) in [("Origin", origin), ("Authorization", bearer)] {
                if !value.is_empty() {
                    headers.push((name.to_owned(), value.to_owned()));
                }
            }
            let request = Request {
                headers,
                ..Request::default()
            };
            admit(&request, shared)
                .err()
                .map_or(200, |(status, _)| status)
        };
        for (host, origin, expected) in [
            ("127.0.0.1:80", "", 200),
            ("[::1]:80", "", 200),
            ("localhost", "", 200),
            ("p21", "", 200),
            ("p21.test:80", "", 200),
            ("", "", 200),
            ("127.0.0.1:80", "http://127.0.0.1:80", 200),
            ("localhost:80", "http://LOCALHOST:80", 200),
            ("127.0.0.1:80", "http://127.0.0.1:81", 403),
            ("127.0.0.1:80", "https://evil.com", 403),
            ("127.0.0.1:80", "null", 403),
            // A name that was made to lead here.
            ("evil.com:80", "", 403),
            ("evil.com:80", "http://evil.com:80", 403),
            ("127.0.0.1.evil.com:80", "", 403),
            ("[::1].evil.com", "", 403),
        ] {
            assert_eq!(status(&free, host, origin, ""), expected, "{host} {origin}");
        }
        assert_eq!(status(&guarded, "127.0.0.1", "", ""), 401);
        assert_eq!(status(&guarded, "127.0.0.1", "", "Bearer hunter3"), 401);
        assert_eq!(
            status(&guarded, "p21.example.com", "", "Bearer hunter2"),
            200
        );
        assert_eq!(
            status(&guarded, "a.com", "http://b.com", "Bearer hunter2"),
            403
        );
    }

    #[test]
    fn mistakes_are_answered_with_a_reason() {
        let shared = Arc::new(Shared::new(
            Options::default(),
            String::new(),
            String::new(),
        ));
        for (method, target, body) in [
            ("POST", "/_control/config", "[]"),
            ("POST", "/_control/config", r#"{"nope":1}"#),
            ("POST", "/_control/time", "{}"),
            ("POST", "/_control/faults", "{"),
            ("POST", "/_control/faults", r#"{"action":"nope"}"#),
            ("POST", "/_control/release", r#"{"count":-1}"#),
            ("GET", "/_control/wait?held=x", ""),
        ] {
            let (status, reply) = call(&shared, method, target, body);
            assert_eq!(status, 400, "{target} {body}");
            assert!(reply["error"].is_string());
        }
        assert_eq!(call(&shared, "GET", "/_control/nope", "").0, 404);
    }
}
