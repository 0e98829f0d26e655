//! A crowd: many users in one process, many threads, and callers inside an asynchronous runtime.

use p21auth::{Client, TokenOptions};

use test_support::scripted::{Inline, Server, clock, even, open, runtime, token};
use test_support::{client, client_with, emulator};

/// As many users as `MAX_IDLE` slots are kept.
const MANY: usize = 10_000;

fn user(number: usize) -> String {
    format!("user-{number}")
}

#[test]
fn closed_clients_leave_at_most_ten_thousand_slots_the_oldest_closing_first() {
    let (clock, server) = (
        clock(),
        Server::new(|number, _| Ok(token(&format!("token-{number}"), Some(3600)))),
    );
    let runtime = runtime(&clock, Inline, even, &server);
    let as_user = |number| open(&runtime, &[("username", &user(number))]);
    for number in 0..MANY + 50 {
        as_user(number).token().expect("a token");
    }
    assert_eq!(runtime.identities(), MANY);
    assert_eq!(server.requests(), MANY as u64 + 50);
    as_user(50).token().expect("kept");
    as_user(MANY + 49).token().expect("kept");
    assert_eq!(server.requests(), MANY as u64 + 50);
    as_user(49).token().expect("a new one");
    assert_eq!(server.requests(), MANY as u64 + 51);
}

/// A program that opens a client for each of its requests must not push other identities out.
#[test]
fn a_client_opened_and_closed_all_day_counts_as_one_idle_slot() {
    let (clock, server) = (
        clock(),
        Server::new(|number, _| Ok(token(&format!("token-{number}"), Some(86_400)))),
    );
    let runtime = runtime(&clock, Inline, even, &server);
    open(&runtime, &[]).token().expect("a token");
    for _ in 0..MANY + 10 {
        open(&runtime, &[("username", "busy")])
            .token()
            .expect("a token");
    }
    assert_eq!((runtime.identities(), server.requests()), (2, 2));
    open(&runtime, &[]).token().expect("still there");
    assert_eq!(server.requests(), 2);
}

#[test]
fn slots_whose_tokens_have_expired_go_as_others_open() {
    let (clock, server) = (
        clock(),
        Server::new(|number, _| Ok(token(&format!("token-{number}"), Some(3600)))),
    );
    let runtime = runtime(&clock, Inline, even, &server);
    for number in 0..1_000 {
        open(&runtime, &[("username", &user(number))])
            .token()
            .expect("a token");
    }
    assert_eq!(runtime.identities(), 1_000);
    clock.advance(3_600_000);
    let living: Vec<Client> = (0..500)
        .map(|number| open(&runtime, &[("username", &user(5_000 + number))]))
        .collect();
    assert_eq!(runtime.identities(), 500);
    drop(living);
    assert_eq!(runtime.identities(), 0, "nothing in them was worth keeping");
}

/// Names of the threads of this process, as the kernel cuts them: 15 characters.
#[cfg(target_os = "linux")]
fn threads(prefix: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("procfs");
    tasks
        .filter_map(|task| {
            // A thread may end while we look.
            std::fs::read_to_string(task.ok()?.path().join("comm")).ok()
        })
        .filter(|name| name.starts_with(prefix))
        .count()
}

#[cfg(target_os = "linux")]
#[test]
fn ten_thousand_users_share_one_http_client() {
    use p21_emulator::{Emulator, Options, User};
    use p21auth::Config;
    use std::sync::Arc;
    use test_support::child::in_child;
    use test_support::together;

    // The threads of this test alone are counted.
    if !in_child("crowd::ten_thousand_users_share_one_http_client", &[]) {
        return;
    }
    let users = (0..200).map(|number| User::new(&user(number), "pass-word"));
    let emulator = Emulator::start(Options {
        users: users.collect(),
        ..Options::default()
    })
    .expect("the emulator starts");
    let base_url = emulator.base_url().to_owned();
    let clients: Arc<Vec<Client>> = Arc::new(
        (0..MANY)
            .map(|number| {
                let mut config = Config::new();
                for (name, value) in [
                    ("base_url", base_url.as_str()),
                    ("username", &user(number)),
                    ("password", "pass-word"),
                    ("proxy", "direct"),
                    // Flights that begin late have less time to connect, and an HTTP client of that limit; not below this one.
                    ("connect_timeout_ms", "2000"),
                ] {
                    config.set(name, Some(value)).expect("valid");
                }
                Client::open(&config).expect("a client")
            })
            .collect(),
    );
    assert_eq!(threads("reqwest"), 0, "no thread before a request");
    let asked = Arc::clone(&clients);
    let tokens = together(200, move |number| {
        asked[number]
            .token()
            .map(|token| token.value().to_owned())
            .expect("a token")
    });
    let unique: std::collections::HashSet<&String> = tokens.iter().collect();
    assert_eq!(unique.len(), 200);
    assert_eq!(threads("reqwest"), 1);
}

/// reqwest's blocking client panics on a thread that drives a runtime; ours must not.
#[test]
fn calls_from_inside_an_asynchronous_runtime_work() {
    let emulator = emulator();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let address = emulator.base_url().to_owned();
    runtime.block_on(async move {
        let opened = client_with(&emulator, &[("min_refresh_interval_s", "0")]);
        let first = opened.token().expect("a token").value().to_owned();
        let force = TokenOptions {
            force_refresh: true,
            ..TokenOptions::default()
        };
        let second = opened
            .token_with(&force)
            .expect("a token")
            .value()
            .to_owned();
        assert_ne!(first, second);
        assert!(opened.ui_url().expect("a URL").starts_with(&address));
        let json = opened.request_uncached().expect("a token of its own");
        assert!(json.contains("AccessToken"));
        let other = client(&emulator);
        assert_eq!(other.token().expect("shared").value(), second);
        drop((opened, other));
        // A client of a runtime's blocking pool, as users of `spawn_blocking` have it.
        let pooled = client(&emulator);
        let pooled = tokio::task::spawn_blocking(move || {
            pooled
                .token_with(&force)
                .map(|token| token.value().to_owned())
        });
        assert_ne!(pooled.await.expect("no panic").expect("a token"), second);
    });
}
