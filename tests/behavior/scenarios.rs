//! Runs the behavior scenarios of `tests/scenarios/*.json` with a hand-set clock and a scripted server.
//!
//! The files are language-neutral: `tests/scenarios/README.md` says what is in them. Here a flight runs on the caller's
//! thread, so every step is exact; the C, Python and C# suites run those without steps of time against the emulator.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use p21auth::internal::cache::Spawn;
use p21auth::internal::client::Runtime;
use p21auth::internal::clock::{Clock, ManualClock, Now};
use p21auth::internal::http::{Limits, Transport};
use p21auth::internal::wire::{Request, Response};
use p21auth::{Client, Code, Config, Error, Result, TokenOptions};
use serde_json::Value;

/// The scripted server: one answer for each token request.
struct Script {
    answers: Mutex<VecDeque<Value>>,
    requests: Mutex<(u64, u64)>,
    issued: Mutex<u64>,
    clock: Arc<ManualClock>,
}

impl Transport for Script {
    fn send(&self, request: &Request, limits: &Limits) -> Result<Response> {
        let router = request.url.path().contains("/ui/router");
        let mut requests = self.requests.lock().expect("unpoisoned");
        *(if router {
            &mut requests.1
        } else {
            &mut requests.0
        }) += 1;
        drop(requests);
        let mut answers = self.answers.lock().expect("unpoisoned");
        let at = answers
            .iter()
            .position(|answer| (answer["router"] == true) == router);
        let answer = at
            .and_then(|at| answers.remove(at))
            .unwrap_or_else(|| panic!("an unexpected request: {request:?}"));
        if let Some(seconds) = answer["takes"].as_f64() {
            let took = Duration::from_secs_f64(seconds);
            self.clock.sleep(took.min(limits.total));
            if took > limits.total {
                return Err(Error::new(
                    Code::Timeout,
                    "the server did not answer in time",
                ));
            }
        }
        self.answer(&answer)
    }
}

impl Script {
    fn answer(&self, answer: &Value) -> Result<Response> {
        let response = |status: u64, body: String| Response {
            status: u16::try_from(status).expect("a status"),
            headers: match answer["retry_after"].as_u64() {
                Some(seconds) => vec![("retry-after".to_owned(), seconds.to_string())],
                None => Vec::new(),
            },
            body: body.into_bytes().into(),
        };
        match answer["answer"].as_str().expect("an answer") {
            "token" => {
                let mut issued = self.issued.lock().expect("unpoisoned");
                *issued += 1;
                let lifetime = &answer["lifetime"];
                Ok(response(
                    200,
                    format!(r#"{{"AccessToken":"token-{issued}","ExpiresInSeconds":{lifetime}}}"#),
                ))
            }
            "refused" => Ok(response(401, r#"{"error":"invalid_grant"}"#.to_owned())),
            "status" => Ok(response(
                answer["status"].as_u64().expect("a status"),
                String::new(),
            )),
            "html" => Ok(response(
                200,
                "<!DOCTYPE html><html><body>Prophet 21</body></html>".to_owned(),
            )),
            "empty" => Ok(response(200, String::new())),
            "unreachable" => Err(Error::new(Code::Connect, "connection refused")),
            "url" => Ok(response(200, format!(r#"{{"Url":{}}}"#, answer["url"]))),
            "dead" => Ok(response(401, "<TokenError>expired</TokenError>".to_owned())),
            other => panic!("no answer '{other}'"),
        }
    }
}

/// Runs a flight here and now.
struct Inline;

impl Spawn for Inline {
    fn spawn(&self, job: Box<dyn FnOnce() + Send>) -> Result<()> {
        job();
        Ok(())
    }
}

fn most(below: u64) -> u64 {
    below - 1
}

fn config(options: &Value, base: &[(&str, &str)]) -> Config {
    let mut config = Config::new();
    for (name, value) in base {
        config.set(name, Some(value)).expect("valid");
    }
    for (name, value) in options.as_object().into_iter().flatten() {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        config
            .set(name, (!value.is_null()).then_some(&text))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    config
}

const BASE: [(&str, &str); 4] = [
    ("base_url", "https://p21.example.com"),
    ("username", "user"),
    ("password", "secret"),
    ("max_retries", "0"),
];

fn token_options(step: &Value) -> TokenOptions {
    let mut options = TokenOptions::default();
    for flag in step["flags"].as_array().into_iter().flatten() {
        match flag.as_str() {
            Some("FORCE_REFRESH") => options.force_refresh = true,
            Some("CACHED_ONLY") => options.cached_only = true,
            Some("NO_WAIT") => options.no_wait = true,
            _ => panic!("no flag {flag}"),
        }
    }
    options.wait = step["wait_ms"].as_u64().map(Duration::from_millis);
    options.min_valid = Duration::from_secs(step["min_valid_s"].as_u64().unwrap_or(0));
    options
}

/// What a call came to, in the words of the files.
fn outcome<T: AsRef<str>>(result: Result<T>) -> Value {
    match result {
        Ok(text) => text.as_ref().strip_prefix("token-").map_or_else(
            || text.as_ref().into(),
            |n| n.parse::<u64>().expect("a number").into(),
        ),
        Err(error) => {
            let mut value =
                serde_json::json!({ "error": error.code().name().trim_start_matches("P21_E_") });
            if let Some(wait) = error.retry_after() {
                value["retry_after_s"] = serde_json::json!(wait.as_secs_f64());
            }
            value
        }
    }
}

/// `expected` may leave `retry_after_s` away.
fn matches(expected: &Value, got: &Value) -> bool {
    match (expected.as_object(), got.as_object()) {
        (Some(expected), Some(got)) => expected.iter().all(|(name, value)| {
            got.get(name).is_some_and(|found| {
                value == found
                    || value
                        .as_f64()
                        .is_some_and(|v| found.as_f64().is_some_and(|f| (v - f).abs() < 0.01))
            })
        }),
        _ => expected == got,
    }
}

/// Runs a file's scenarios and answers what failed, so that one broken rule shows everywhere it matters.
fn run(file: &Path, store: Option<&str>, fits: &dyn Fn(&Value) -> bool) -> Vec<String> {
    let text = std::fs::read_to_string(file).expect("readable");
    let scenarios: Vec<Value> =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let failed = scenarios
        .iter()
        .filter(|scenario| fits(scenario))
        .filter_map(|scenario| {
            let name = format!(
                "{}: {}",
                file.file_stem().expect("a name").display(),
                scenario["name"]
            );
            std::panic::catch_unwind(|| run_one(scenario, &name, store))
                .err()
                .map(|cause| {
                    let said = cause.downcast_ref::<String>().cloned();
                    said.unwrap_or_else(|| {
                        cause
                            .downcast_ref::<&str>()
                            .map_or_else(|| name.clone(), |text| (*text).to_owned())
                    })
                })
        });
    failed.collect()
}

#[allow(clippy::too_many_lines, reason = "one arm for each step")]
fn run_one(scenario: &Value, name: &str, store: Option<&str>) {
    let mut base = BASE.to_vec();
    if let Some(store) = store {
        // All scenarios are about the same user; another store key keeps each one's entries to itself.
        base.extend([
            ("store", store),
            ("store_key", name),
            ("store_required", "1"),
            ("store_timeout_ms", "3000"),
        ]);
    }
    let clock = Arc::new(ManualClock::new(Now {
        mono: 1_000_000,
        wall: 1_900_000_000_000,
    }));
    let script = Arc::new(Script {
        answers: Mutex::new(
            scenario["server"]
                .as_array()
                .cloned()
                .unwrap_or_default()
                .into(),
        ),
        requests: Mutex::default(),
        issued: Mutex::default(),
        clock: Arc::clone(&clock),
    });
    let transport = Arc::clone(&script);
    let runtime = Runtime::new(
        Arc::clone(&clock) as Arc<dyn Clock>,
        Arc::new(Inline),
        most,
        Box::new(move |_| Ok(Arc::clone(&transport) as Arc<dyn Transport>)),
    );
    let open = |options: &Value| {
        Client::open_in(&runtime, &config(options, &base))
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let mut clients = vec![open(&scenario["options"])];
    for (number, step) in scenario["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .enumerate()
    {
        let place = format!("{name}, step {}: {step}", number + 1);
        let client =
            &clients[usize::try_from(step["client"].as_u64().unwrap_or(0)).expect("small")];
        let token = step["token"].as_u64().map(|n| format!("token-{n}"));
        let got = match step["do"]
            .as_str()
            .unwrap_or_else(|| panic!("{place}: nothing to do"))
        {
            "token" => outcome(
                client
                    .token_with(&token_options(step))
                    .map(|token| token.value().to_owned()),
            ),
            "ui_url" => outcome(client.ui_url_with(&token_options(step))),
            "report" => {
                let body = match step["body"].as_str().expect("a body") {
                    "token_error" => "<TokenError>bad</TokenError>",
                    "permission" => r#"{"Message":"You are not authorized to access API"}"#,
                    "header_lost" => {
                        r#"{"Error":"invalid_request","Description":"Authorization header was not present or 'Bearer' was missing.","Uri":""}"#
                    }
                    "unknown" => "?",
                    other => other,
                };
                let status = i32::try_from(step["status"].as_i64().unwrap_or(401)).expect("small");
                let verdict = client
                    .report(&token.unwrap_or_default(), status, body.as_bytes())
                    .expect("a verdict");
                let words = ["RETRY", "PERMISSION", "HEADER_LOST", "GIVE_UP"];
                words[usize::try_from(verdict.number() - 1).expect("small")].into()
            }
            "invalidate" => {
                client.invalidate(token.as_deref()).expect("open");
                Value::Null
            }
            "update" => {
                client
                    .update(&config(&step["options"], &base))
                    .expect("valid");
                Value::Null
            }
            "open" => {
                let opened = open(&step["options"]);
                clients.push(opened);
                Value::Null
            }
            "close" => {
                client.close();
                Value::Null
            }
            "advance" => {
                clock.advance(milliseconds(&step["seconds"]));
                Value::Null
            }
            "advance_wall" => {
                clock.advance_wall(milliseconds(&step["seconds"]));
                Value::Null
            }
            other => panic!("{place}: nothing called '{other}'"),
        };
        if let Some(expected) = step.get("expect") {
            assert!(matches(expected, &got), "{place}\n     got {got}");
        }
        let (requests, routed) = *script.requests.lock().expect("unpoisoned");
        if let Some(expected) = step["requests"].as_u64() {
            assert_eq!(requests, expected, "{place}: token requests so far");
        }
        if let Some(expected) = step["router_requests"].as_u64() {
            assert_eq!(routed, expected, "{place}: requests to the router so far");
        }
    }
    let left = script.answers.lock().expect("unpoisoned");
    assert!(
        left.is_empty(),
        "{name}: the server was not asked for {left:?}"
    );
}

#[allow(clippy::cast_possible_truncation, reason = "seconds of a scenario")]
fn milliseconds(seconds: &Value) -> i64 {
    (seconds.as_f64().expect("seconds") * 1000.0) as i64
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let entries = std::fs::read_dir(folder)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    files.sort();
    files
}

#[test]
fn every_scenario_holds() {
    run_all(None, &|_| true);
}

fn run_all(store: Option<&str>, fits: &dyn Fn(&Value) -> bool) {
    let files = files();
    assert!(!files.is_empty());
    let failed: Vec<String> = files
        .iter()
        .flat_map(|file| run(file, store, fits))
        .collect();
    assert!(
        failed.is_empty(),
        "{} scenarios do not hold:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

/// What a client sees does not depend on where tokens are kept.
#[test]
fn every_scenario_holds_on_a_file_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = format!("file://{}", folder.path().display());
    run_all(Some(&store), &|_| true);
}

/// The server counts lives down by its own clock, which no scenario can move.
#[cfg(unix)]
#[test]
fn every_scenario_without_steps_of_time_holds_on_a_redis_store() {
    let redis = test_support::redis::RedisServer::start();
    run_all(Some(&redis.url()), &|scenario| !has_steps_of_time(scenario));
}

fn has_steps_of_time(scenario: &Value) -> bool {
    scenario["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .any(|step| {
            step["do"]
                .as_str()
                .is_some_and(|what| what.starts_with("advance"))
        })
}

#[test]
fn there_are_scenarios_for_every_row_and_enough_without_time() {
    let all: Vec<Value> = files()
        .iter()
        .flat_map(|file| {
            serde_json::from_str::<Vec<Value>>(&std::fs::read_to_string(file).expect("readable"))
                .expect("JSON")
        })
        .collect();
    let timeless = all.iter().filter(|scenario| !has_steps_of_time(scenario));
    assert!(all.len() >= 60, "{} scenarios", all.len());
    assert!(timeless.count() >= 15);
    let mut names: Vec<&str> = all
        .iter()
        .map(|scenario| scenario["name"].as_str().expect("a name"))
        .collect();
    names.sort_unstable();
    let unique = names.len();
    names.dedup();
    assert_eq!(names.len(), unique, "two scenarios have the same name");
}
