//! A report acts in the process at once and never waits for a store, which is told in the background.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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

/// 64 threads report the same dead token and ask for another; `meanwhile` happens once they are at it.
fn storm(store: &str, timeout_ms: &str, hang: impl FnOnce(), meanwhile: impl FnOnce(&Client)) {
    let emulator = emulator();
    let client = Arc::new(open(&emulator, store, timeout_ms));
    let dead = client.token().expect("a token").value().to_owned();
    hang();
    let reported = Arc::new(AtomicUsize::new(0));
    let (same, counter) = (Arc::clone(&client), Arc::clone(&reported));
    let threads = std::thread::spawn(move || {
        together(64, move |_| {
            same.report(&dead, 401, DEAD).expect("a verdict");
            counter.fetch_add(1, Ordering::Relaxed);
            let token = same.token().expect("a token").value().to_owned();
            assert_ne!(token, dead);
            token
        })
    });
    let end = Instant::now() + PATIENCE;
    while reported.load(Ordering::Relaxed) < 64 {
        assert!(
            Instant::now() < end,
            "{store}: a report waits for the store"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    meanwhile(&client);
    let tokens = threads.join().expect("no panic");
    assert!(tokens.iter().all(|token| *token == tokens[0]), "{store}");
    assert_eq!(requests(&emulator), 2, "{store}");
}

#[test]
fn a_rejected_token_in_a_storm_costs_one_request_no_matter_what_the_store() {
    let (redis, folder) = (RedisServer::start(), tempfile::tempdir().expect("a folder"));
    for store in [
        "memory".to_owned(),
        format!("file://{}", folder.path().display()),
        redis.url(),
    ] {
        storm(&store, "3000", || (), |_| ());
    }
}

#[test]
fn a_rejected_token_in_a_storm_costs_one_request_while_the_store_hangs() {
    let stuck = RedisServer::start();
    storm(&stuck.url(), "200", || stuck.hang(), |_| ());
    stuck.go_on();

    // A file store hangs when another process keeps its lock.
    let folder = tempfile::tempdir().expect("a folder");
    let locks = std::cell::RefCell::new(Vec::new());
    let lock_all = || {
        for entry in std::fs::read_dir(folder.path()).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|ending| ending == "lock") {
                let file = std::fs::File::open(path).expect("a lock");
                file.lock().expect("locked");
                locks.borrow_mut().push(file);
            }
        }
        assert!(!locks.borrow().is_empty(), "a file store has locks");
    };
    let store = format!("file://{}", folder.path().display());
    storm(&store, "3000", lock_all, |_| locks.borrow_mut().clear());
}
