//! One token for a fleet, on a real Redis server that comes and goes.

use std::path::Path;
use std::time::{Duration, Instant};

use super::processes::{
    Process, answers, ask_all, hold_request_of, home, is_sealed, one_token, requests, tell_all,
    token_in,
};
use p21_emulator::Emulator;
use redis::cmd;
use test_support::redis::{RedisServer, Tap, silent_server};
use test_support::{PATIENCE, emulator};

fn start(emulator: &Emulator, home: &Path, url: &str) -> Process {
    start_with(emulator, home, url, &[])
}

/// A debug build on a busy machine is given more time for a command than the default.
fn start_with(emulator: &Emulator, home: &Path, url: &str, more: &[(&str, &str)]) -> Process {
    let mut options = vec![("store", url), ("store_timeout_ms", "3000")];
    options.extend_from_slice(more);
    Process::start(emulator, home, &options)
}

#[test]
fn three_machines_of_eight_processes_send_one_request_and_one_more_when_it_is_rejected() {
    let (emulator, redis) = (emulator(), RedisServer::start());
    let homes = [home(), home(), home()];
    let mut fleet: Vec<Process> = (0..24)
        .map(|number| start(&emulator, homes[number / 8].path(), &redis.url()))
        .collect();
    emulator.control().hold();
    tell_all(&mut fleet, "token");
    assert!(emulator.control().wait_for("held", 1, PATIENCE));
    emulator.control().release();
    let answers = answers(&mut fleet);
    let token = one_token(&answers);
    assert_eq!(requests(&emulator), 1);
    assert_eq!(fleet[0].stats()["store"]["active"], "redis");

    // One process hears that the token is dead; the others learn it from the store.
    assert_eq!(fleet[23].ask(&format!("report {token}")), "Retry");
    for process in &mut fleet[..23] {
        process.ask(&format!("spin {token}"));
    }
    let fresh = one_token(&ask_all(&mut fleet, "token"));
    assert_ne!(fresh, token);
    assert_eq!(requests(&emulator), 2);
}

#[test]
fn an_invalidation_reaches_a_hitting_process_on_another_machine_within_two_seconds() {
    let (emulator, redis) = (emulator(), RedisServer::start());
    let homes = [home(), home()];
    let mut pair = homes
        .each_ref()
        .map(|home| start(&emulator, home.path(), &redis.url()));
    let token = one_token(&ask_all(&mut pair, "token"));
    pair[1].tell(&format!("spin {token}"));
    pair[0].ask("invalidate");
    let answer = pair[1].answer();
    let ms: u64 = answer
        .split(' ')
        .next()
        .and_then(|ms| ms.parse().ok())
        .expect("milliseconds");
    assert!(ms < 2_000, "{answer}");
    assert_ne!(one_token(&ask_all(&mut pair, "token")), token);
    assert_eq!(requests(&emulator), 2);
}

#[test]
fn a_lease_is_renewed_for_as_long_as_the_server_takes() {
    let (emulator, redis) = (emulator(), RedisServer::start());
    let homes = [home(), home()];
    let mut pair = homes
        .each_ref()
        .map(|home| start(&emulator, home.path(), &redis.url()));
    hold_request_of(&emulator, &mut pair[0]);
    pair[1].tell("token");
    let keys: Vec<String> = redis.query(cmd("KEYS").arg("*:lease"));
    let held = Instant::now();
    let mut renewals = 0;
    let mut before: i64 = redis.query(cmd("PTTL").arg(&keys[0]));
    while renewals < 3 {
        std::thread::sleep(Duration::from_millis(50));
        let left: i64 = redis.query(cmd("PTTL").arg(&keys[0]));
        assert!(left > 0, "the lease ended after {:?}", held.elapsed());
        renewals += u32::from(left > before);
        before = left;
    }
    emulator.control().release();
    let answers = answers(&mut pair);
    one_token(&answers);
    assert_eq!(requests(&emulator), 1);
}

#[test]
fn a_holder_that_was_stopped_past_its_lease_cannot_overwrite_a_newer_token() {
    let (emulator, redis) = (emulator(), RedisServer::start());
    let homes = [home(), home(), home()];
    let mut holder = start(&emulator, homes[0].path(), &redis.url());
    hold_request_of(&emulator, &mut holder);
    holder.stop();
    emulator.control().release();
    let mut other = start(&emulator, homes[1].path(), &redis.url());
    let newer = other.token();
    assert_eq!(requests(&emulator), 2, "the lease has ended by itself");
    holder.go_on();
    assert_eq!(
        token_in(&holder.answer()),
        newer,
        "the late holder takes the newer token"
    );
    assert_eq!(
        start(&emulator, homes[2].path(), &redis.url()).token(),
        newer
    );
    assert_eq!(requests(&emulator), 2);
}

#[test]
fn a_server_that_dies_and_returns_during_a_refresh_fails_no_caller() {
    let emulator = emulator();
    let mut redis = RedisServer::start();
    let homes = [home(), home(), home()];
    let mut fleet: Vec<Process> = (0..6)
        .map(|number| start(&emulator, homes[number / 2].path(), &redis.url()))
        .collect();
    let first = one_token(&ask_all(&mut fleet, "token"));
    assert_eq!(requests(&emulator), 1);
    // Into the mandatory window: callers wait, and the token is still valid.
    ask_all(&mut fleet, "advance 86375000");
    emulator.control().hold();
    tell_all(&mut fleet, "token");
    assert!(emulator.control().wait_for("held", 1, PATIENCE));
    redis.kill();
    // On each machine one process asks now that the fleet's lease is gone.
    assert!(emulator.control().wait_for("held", 3, PATIENCE));
    redis.restart();
    emulator.control().release();
    let answers = answers(&mut fleet);
    assert!(
        answers.iter().all(|answer| answer.starts_with("ok ")),
        "{answers:?}"
    );
    assert!(
        answers.iter().all(|answer| !answer.contains(&first)),
        "all have a new one"
    );
    assert!(
        requests(&emulator) <= 1 + 1 + 3,
        "{} requests",
        requests(&emulator)
    );
    let again = ask_all(&mut fleet, "token");
    assert!(
        again.iter().all(|answer| answer.starts_with("ok ")),
        "{again:?}"
    );
    // The fleet is together again from the next refresh on. The server's own clock cannot be moved, so what would have
    // expired in it by then is removed.
    let before = requests(&emulator);
    redis.query::<()>(&cmd("FLUSHALL"));
    ask_all(&mut fleet, "advance 86400000");
    one_token(&ask_all(&mut fleet, "token"));
    assert_eq!(requests(&emulator), before + 1);
}

#[test]
fn a_flush_fails_no_caller_and_the_fleet_goes_on_sharing() {
    let (emulator, redis) = (emulator(), RedisServer::start());
    let homes = [home(), home()];
    let options = [("min_refresh_interval_s", "0")];
    let mut old = start_with(&emulator, homes[0].path(), &redis.url(), &options);
    let token = old.token();
    redis.query::<()>(&cmd("FLUSHALL"));
    assert_eq!(old.token(), token);
    let fresh = token_in(&old.ask("force"));
    let mut late = start_with(&emulator, homes[1].path(), &redis.url(), &options);
    assert_eq!(
        late.token(),
        fresh,
        "the same salt is back, so the same names"
    );
    // Here the newcomer is faster, with a salt of its own.
    redis.query::<()>(&cmd("FLUSHALL"));
    let third = start_with(&emulator, home().path(), &redis.url(), &options).token();
    let fourth = token_in(&old.ask("force"));
    assert_eq!(requests(&emulator), 4);
    assert_ne!(third, fourth);
    let mut fifth = start_with(&emulator, home().path(), &redis.url(), &options);
    assert_eq!(
        fifth.token(),
        fourth,
        "the old process has learnt the new salt"
    );
}

#[test]
fn a_silent_server_costs_one_command_and_no_token() {
    let (emulator, home) = (emulator(), home());
    let (url, _listener) = silent_server();
    let mut process = Process::start(
        &emulator,
        home.path(),
        &[("store", &url), ("store_timeout_ms", "300")],
    );
    let asked = Instant::now();
    process.token();
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
    let store = process.stats()["store"].clone();
    assert_eq!(store["active"], "file", "{store}");
    assert!(
        store["reason"]
            .as_str()
            .is_some_and(|why| why.contains("no response within 300 ms")),
        "{store}"
    );
    // The machine's file store stands in: a second process sends no request.
    let mut second = Process::start(
        &emulator,
        home.path(),
        &[("store", &url), ("store_timeout_ms", "300")],
    );
    second.token();
    assert_eq!(requests(&emulator), 1);
}

#[test]
fn a_required_server_that_is_down_is_an_error_unless_a_token_is_valid() {
    let emulator = emulator();
    let mut redis = RedisServer::start();
    let (home, required) = (
        home(),
        [("store_required", "1"), ("min_refresh_interval_s", "0")],
    );
    let mut process = start_with(&emulator, home.path(), &redis.url(), &required);
    let token = process.token();
    redis.kill();
    ask_all(std::slice::from_mut(&mut process), "advance 86375000");
    assert_eq!(process.token(), token, "valid, so it is handed out");
    let mut cold = start_with(&emulator, home.path(), &redis.url(), &required);
    let answer = cold.ask("token");
    assert!(answer.starts_with("err P21_E_STORE"), "{answer}");
    assert_eq!(requests(&emulator), 1);
}

#[test]
fn users_passwords_and_databases_of_the_url_count() {
    let (emulator, home) = (emulator(), home());
    let redis = RedisServer::start_with(&[
        "--user",
        "p21",
        "on",
        ">planted-redis-password",
        "~p21auth:*",
        "+get",
        "+set",
        "+del",
        "+pttl",
        "+exists",
        "+time",
        "+eval",
        "+multi",
        "+exec",
        "+select",
    ]);
    let port = redis.port();
    let good = format!("redis://p21:planted-redis-password@127.0.0.1:{port}/3");
    let mut process = start(&emulator, home.path(), &good);
    process.token();
    let stats = process.ask("stats");
    assert!(
        stats.contains("\"active\":\"redis\"") && !stats.contains("planted"),
        "{stats}"
    );
    let keys: u64 = redis.query(&cmd("DBSIZE"));
    assert_eq!(keys, 0, "nothing in database 0");
    let bad = format!("redis://p21:planted-wrong@127.0.0.1:{port}");
    let mut process = start(&emulator, home.path(), &bad);
    process.token();
    let stats = process.ask("stats");
    assert!(
        stats.contains("WRONGPASS") && !stats.contains("planted"),
        "{stats}"
    );
    assert!(stats.contains("\"active\":\"file\""), "{stats}");
}

#[test]
fn tls_trusts_what_the_client_trusts() {
    let (emulator, home) = (emulator(), home());
    let (redis, ca) = RedisServer::start_tls(home.path());
    let url = format!("rediss://127.0.0.1:{}", redis.port());
    for (option, value, active) in [
        ("ca_file", ca, "redis"),
        ("tls_verify", "0".to_owned(), "redis"),
        ("tls_verify", "1".to_owned(), "file"),
    ] {
        let mut process = start_with(&emulator, home.path(), &url, &[(option, &value)]);
        process.token();
        let store = process.stats()["store"].clone();
        assert_eq!(store["active"], active, "{option}={value}: {store}");
    }
}

#[test]
fn neither_dump_nor_traffic_can_be_read_without_the_credential() {
    let (emulator, redis, home) = (emulator(), RedisServer::start(), home());
    let tap = Tap::before(&redis);
    let wrong = [("password", "planted-wrong-password")];
    let refused = start_with(&emulator, home.path(), &tap.url, &wrong).ask("token");
    assert!(refused.starts_with("err P21_E_UNAUTHORIZED"), "{refused}");
    let token = start(&emulator, home.path(), &tap.url).token();
    let (dump, traffic) = (redis.dump(), tap.seen());
    assert!(
        traffic.windows(4).any(|part| part == b"P21S"),
        "an entry went by"
    );
    is_sealed("the dump", &dump, &token, &emulator);
    is_sealed("the traffic", &traffic, &token, &emulator);
}

#[test]
fn a_forked_child_and_its_parent_each_go_on_with_connections_of_their_own() {
    let (emulator, redis, home) = (emulator(), RedisServer::start(), home());
    let mut parent = start_with(
        &emulator,
        home.path(),
        &redis.url(),
        &[("min_refresh_interval_s", "0")],
    );
    let first = parent.token();
    let from_child = token_in(&parent.ask("fork_and_force"));
    let from_parent = token_in(&parent.answer());
    assert!(first != from_child && from_child != from_parent);
    assert_eq!(parent.stats()["store"]["active"], "redis");
    assert_eq!(requests(&emulator), 3);
}
