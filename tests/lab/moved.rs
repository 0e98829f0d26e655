//! Connections to Redis that are open and lead nowhere: idle for long, old, to a name that has moved. These take
//! their time, so `tests/tools/fleet.sh` runs them.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::Process;
use crate::names::Names;
use crate::net::enter;
use crate::peers::{forward, requests, server};

/// A command that met a dead connection took half of this before it went on.
use test_support::redis::RedisServer;

const STORE_TIMEOUT_MS: &str = "4000";
const HALF_MS: u64 = 2_000;

fn open(process: &mut Process, name: &str) {
    let options = [
        ("store", "redis://redis.test:6400"),
        ("store_timeout_ms", STORE_TIMEOUT_MS),
        ("timeout_ms", "30000"),
        // No stretching of passwords: what is measured is the network.
        ("auth_mode", "v2_consumer"),
        ("consumer_key", "00000000-0000-4000-8000-000000000001"),
    ];
    process.open(name, &options);
}

fn store(process: &mut Process) -> Value {
    let stats = process.ask(&serde_json::json!({"do": "stats", "name": "p21"}));
    stats["stats"]["store"].clone()
}

#[test]
#[ignore = "waits for 20 s"]
fn an_idle_connection_that_was_forgotten_is_never_used() {
    let Some(mut net) = enter("moved::an_idle_connection_that_was_forgotten_is_never_used") else {
        return;
    };
    let names = Names::start();
    names.at("p21.test", &["10.99.0.2"]);
    names.at("redis.test", &["10.99.0.2"]);
    let (server, redis) = (server(), RedisServer::start());
    forward("10.99.0.2:6400", redis.port());
    let mut process = Process::start(&net);
    open(&mut process, "p21");
    process.token("p21").ok();
    let mut most = 0;
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(5_500));
        net.forget();
        let said = process.force("p21");
        said.ok();
        most = most.max(said.ms());
        assert_eq!(store(&mut process)["active"], "redis");
    }
    println!(
        "== seen: a forced refresh over a forgotten connection, idle for 5.5 s: {most} ms at most"
    );
    assert!(most < HALF_MS, "{most} ms");
    // One that was in use a moment ago is found out: half the time, then a new one, and no request more.
    net.forget();
    let said = process.force("p21");
    said.ok();
    println!("== seen: the same, idle for no time: {} ms", said.ms());
    assert_eq!(requests(&server), 5);
    assert_eq!(store(&mut process)["active"], "redis");
}

#[test]
#[ignore = "waits for a minute"]
fn a_name_that_moved_is_followed_within_a_minute() {
    let Some(net) = enter("moved::a_name_that_moved_is_followed_within_a_minute") else {
        return;
    };
    let names = Names::start();
    names.at("p21.test", &["10.99.0.2"]);
    names.at("redis.test", &["10.99.0.2"]);
    let (_server, old, new) = (server(), RedisServer::start(), RedisServer::start());
    forward("10.99.0.2:6400", old.port());
    forward("10.99.0.3:6400", new.port());
    let mut process = Process::start(&net);
    open(&mut process, "p21");
    process.token("p21").ok();
    // The old server stays well, and its connection is in use all the time.
    names.at("redis.test", &["10.99.0.3"]);
    let moved = Instant::now();
    let is_there = || {
        !new.query::<Vec<String>>(redis::cmd("KEYS").arg("p21auth:*"))
            .is_empty()
    };
    while !is_there() {
        assert!(
            moved.elapsed() < Duration::from_secs(90),
            "it stays with the old one"
        );
        process.force("p21").ok();
        std::thread::sleep(Duration::from_millis(300));
    }
    let took = moved.elapsed();
    println!(
        "== seen: a name that moved was followed after {} s",
        took.as_secs()
    );
    assert!(took > Duration::from_secs(10), "it was in use: {took:?}");
    assert_eq!(store(&mut process)["active"], "redis");
}
