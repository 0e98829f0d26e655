//! What a process on the clients' side does: this, until its parent goes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use p21auth::doctor::Examination;
use p21auth::{Client, Config, Error, Result, TokenOptions};
use serde_json::{Value, json};

use crate::client::MARK;
use crate::day;

#[test]
#[ignore = "the other tests run it, as a process of its own"]
fn child() {
    let mut clients = BTreeMap::new();
    for line in std::io::stdin().lines() {
        let command: Value = serde_json::from_str(&line.expect("readable")).expect("JSON");
        let answer = obey(&mut clients, &command);
        println!("{MARK}{answer}");
    }
}

/// The usual configuration of a client, and what goes over it.
pub fn config(options: &Value) -> Config {
    let mut config = Config::new();
    for (name, value) in [
        ("base_url", "http://p21.test:3443"),
        ("allow_http", "1"),
        ("username", "demo"),
        ("password", "demo-password"),
        ("proxy", "direct"),
        ("tls_verify", "0"),
        ("max_retries", "0"),
        ("min_refresh_interval_s", "0"),
        ("timeout_ms", "3000"),
    ] {
        config.set(name, Some(value)).expect("an option");
    }
    for pair in options.as_array().expect("pairs") {
        let text = |at: usize| pair[at].as_str().expect("text");
        config.set(text(0), Some(text(1))).expect("an option");
    }
    config
}

fn obey(clients: &mut BTreeMap<String, Client>, command: &Value) -> Value {
    let name = command["name"].as_str().unwrap_or_default();
    match command["do"].as_str().expect("a command") {
        "open" => {
            let client = Client::open(&config(&command["options"])).expect("a client");
            clients.insert(name.to_owned(), client);
            json!({})
        }
        "token" => call(&clients[name], TokenOptions::default()),
        "force" => call(
            &clients[name],
            TokenOptions {
                force_refresh: true,
                ..TokenOptions::default()
            },
        ),
        "stats" => {
            let stats = clients[name].stats().expect("open");
            json!({"stats": serde_json::from_str::<Value>(&stats).expect("JSON")})
        }
        // As many users, whose flights are all under way when this returns.
        "crowd" => {
            let count = command["count"].as_u64().expect("a number");
            for number in 0..count {
                let mut config = config(&command["options"]);
                let user = format!("user-{number}");
                config.set("username", Some(&user)).expect("an option");
                let client = Client::open(&config).expect("a client");
                let pending = client.token_with(&TokenOptions {
                    no_wait: true,
                    ..TokenOptions::default()
                });
                assert!(pending.is_err(), "it cannot be there yet");
                clients.insert(user, client);
            }
            json!({})
        }
        "threads" => json!({"lookups": threads("p21auth-lookup")}),
        "doctor" => {
            let config = config(&command["options"]);
            let report = Examination::of(&config)
                .allow_token_request()
                .within(Duration::from_secs(10))
                .run();
            report.to_json()
        }
        "day" => day::live(&command["clients"], command["ms"].as_u64().expect("a time")),
        other => panic!("no command {other}"),
    }
}

fn call(client: &Client, options: TokenOptions) -> Value {
    let started = Instant::now();
    let result = client.token_with(&options);
    let mut said = told(result.map(|token| token.value().to_owned()));
    said["ms"] = json!(u64::try_from(started.elapsed().as_millis()).expect("short"));
    said
}

/// A result as the parent reads it.
pub fn told(result: Result<String>) -> Value {
    match result {
        Ok(token) => json!({"token": token}),
        Err(error) => failed(&error),
    }
}

fn failed(error: &Error) -> Value {
    json!({
        "code": error.code().name(),
        "message": error.message(),
        "hint": error.hint(),
        "retryable": error.is_retryable(),
        "retry_after_ms": error.retry_after().map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
    })
}

/// The threads of this process that have this name.
fn threads(name: &str) -> usize {
    std::fs::read_dir("/proc/self/task")
        .expect("tasks")
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .filter(|comm| comm.trim_end() == &name[..name.len().min(15)])
        .count()
}
