//! A report acts in the process at once and never waits for a store, which is told in the background.

use std::sync::Arc;
use std::time::{Duration, Instant};

use p21_emulator::Emulator;
use p21auth::Verdict;
use p21auth::{Client, Code, TokenOptions};
use test_support::redis::RedisServer;
use test_support::{PATIENCE, client_with, emulator, together};

const DEAD: &[u8] = b"<TokenError>x</TokenError>";

fn open(emulator: &Emulator, store: &str, timeout_ms: &str) -> Client {
    let options = [
        ("store", store),
        ("store_timeout_ms", timeout_ms),
        ("min_refresh_interval_s", "0"),
    ];
    client_with(emulator, &options)
}

/// The same identity as another process would have it.
fn elsewhere(emulator: &Emulator, store: &str) -> Client {
    let options = [
        ("store", store),
        ("store_timeout_ms", "3001"),
        ("min_refresh_interval_s", "0"),
    ];
    client_with(emulator, &options)
}

fn stats(client: &Client) -> serde_json::Value {
    serde_json::from_str(&client.stats().expect("open")).expect("JSON")
}

fn wait_until_told(client: &Client) {
    let end = Instant::now() + PATIENCE;
    while stats(client)["store"]["pending"] != 0 {
        assert!(Instant::now() < end, "the store is never told");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn requests(emulator: &Emulator) -> u64 {
    emulator.control().counter("token.requests")
}

#[test]
fn a_report_returns_while_the_store_hangs_and_its_token_is_not_handed_out() {
    let (emulator, redis) = (emulator(), RedisServer::start());
    let client = open(&emulator, &redis.url(), "60000");
    let dead = client.token().expect("a token").value().to_owned();
    redis.hang();
    assert_eq!(client.report(&dead, 401, DEAD), Ok(Verdict::Retry));
    assert_eq!(stats(&client)["store"]["pending"], 1, "and it has returned");
    let cached = TokenOptions {
        cached_only: true,
        ..TokenOptions::default()
    };
    let none = client.token_with(&cached).expect_err("dropped");
    assert_eq!(none.code(), Code::NoCachedToken);
    redis.go_on();
    wait_until_told(&client);
    let other = elsewhere(&emulator, &redis.url());
    assert_ne!(other.token().expect("a token").value(), dead);
    assert_eq!(requests(&emulator), 2);
}

#[test]
fn who_closes_right_after_a_report_has_told_the_store() {
    let emulator = emulator();
    let (redis, folder) = (RedisServer::start(), tempfile::tempdir().expect("a folder"));
    for store in [redis.url(), format!("file://{}", folder.path().display())] {
        let before = requests(&emulator);
        let client = open(&emulator, &store, "60000");
        let dead = client.token().expect("a token").value().to_owned();
        client.report(&dead, 401, DEAD).expect("a verdict");
        client.close();
        let other = elsewhere(&emulator, &store);
        assert_ne!(other.token().expect("a token").value(), dead, "{store}");
        assert_eq!(requests(&emulator), before + 2);
    }
}

#[test]
fn reports_are_told_in_order() {
    let (emulator, redis) = (emulator(), RedisServer::start());
    let client = open(&emulator, &redis.url(), "60000");
    let first = client.token().expect("a token").value().to_owned();
    redis.hang();
    client.report(&first, 401, DEAD).expect("a verdict");
    client.invalidate(None).expect("open");
    assert_eq!(stats(&client)["store"]["pending"], 2);
    redis.go_on();
    let second = client.token().expect("another").value().to_owned();
    wait_until_told(&client);
    // Neither the report of the first nor the invalidation has taken the second from the store.
    assert_ne!(first, second);
    let other = elsewhere(&emulator, &redis.url());
    assert_eq!(other.token().expect("a token").value(), second);
}

#[test]
fn a_client_that_is_freed_while_the_store_hangs_is_freed_nevertheless() {
    let (emulator, redis) = (emulator(), RedisServer::start());
    let client = open(&emulator, &redis.url(), "100");
    let dead = client.token().expect("a token").value().to_owned();
    redis.hang();
    client.report(&dead, 401, DEAD).expect("a verdict");
    drop(client);
    redis.go_on();
}

#[test]
fn a_rejected_token_in_a_storm_costs_one_request_whatever_the_store() {
    let (redis, folder) = (RedisServer::start(), tempfile::tempdir().expect("a folder"));
    let stuck = RedisServer::start();
    for (store, hangs) in [
        (redis.url(), false),
        (format!("file://{}", folder.path().display()), false),
        (stuck.url(), true),
    ] {
        let emulator = emulator();
        let client = Arc::new(open(&emulator, &store, if hangs { "200" } else { "3000" }));
        let dead = client.token().expect("a token").value().to_owned();
        if hangs {
            stuck.hang();
        }
        let tokens = together(64, move |_| {
            client.report(&dead, 401, DEAD).expect("a verdict");
            client.token().expect("a token").value().to_owned()
        });
        assert!(tokens.iter().all(|token| *token == tokens[0]), "{store}");
        assert_eq!(requests(&emulator), 2, "{store}");
        if hangs {
            stuck.go_on();
        }
    }
}
