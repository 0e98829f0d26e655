//! The control endpoint: the powers of [`Control`] as JSON over HTTP, for tests in any language.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::control::Control;
use super::fault::Fault;
use super::message::{Reply, Request};
use super::state::{Counters, Shared};

const DEFAULT_WAIT_MS: u64 = 10_000;

/// The answer to a control request; `None` if it isn't one.
pub(super) fn answer(request: &Request, shared: &Arc<Shared>) -> Option<Reply> {
    let path = request.path.to_ascii_lowercase();
    let path = path.strip_prefix(&shared.prefix).unwrap_or(&path);
    let call = path.strip_prefix("/_control/")?.trim_end_matches('/');
    if !shared.control {
        return None;
    }
    let control = Control(shared.clone());
    Some(match run(&control, &request.method, call, request) {
        Ok(value) => Reply::json(200, &value),
        Err((status, message)) => Reply::json(status, &json!({ "error": message })),
    })
}

type Outcome = Result<Value, (u16, String)>;

fn run(control: &Control, method: &str, call: &str, request: &Request) -> Outcome {
    match (method, call) {
        ("GET", "counters") => Ok(json!(control.counters())),
        ("GET", "last") => Ok(control.last_requests()),
        ("GET", "config") => Ok(control.config()),
        ("GET", "wait") => wait(control, request),
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
            let revoked = match text_field(&object(request)?, "token")? {
                None => control.revoke_all(),
                Some(token) => usize::from(control.revoke(&token)),
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
        _ => return Err(bad("give either 'advance_s' or 'offset_s'")),
    }
    let state = control.0.lock();
    Ok(json!({"offset_s": state.offset_s, "now": state.now()}))
}

/// One fault or a list of them.
fn faults(control: &Control, request: &Request) -> Outcome {
    let body: Value = serde_json::from_slice(&request.body).map_err(|e| bad(e.to_string()))?;
    let list = match body {
        Value::Array(list) => list,
        one => vec![one],
    };
    let faults: Vec<Fault> = list
        .into_iter()
        .map(serde_json::from_value)
        .collect::<Result<_, _>>()
        .map_err(|e| bad(e.to_string()))?;
    for fault in faults {
        control.fault(fault);
    }
    Ok(json!({"pending": control.counter("faults.pending")}))
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
