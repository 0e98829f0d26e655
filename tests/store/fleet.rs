//! What a fleet costs: on a server that is dying, while it waits, and with an account that lacks a right.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::processes::{Process, ask_all, hold_request_of, home, requests, tell_all, token_in};
use p21_emulator::{Action, Emulator, Fault};
use redis::cmd;
use test_support::redis::RedisServer;
use test_support::{PATIENCE, emulator};

fn start(emulator: &Emulator, home: &Path, store: &str) -> Process {
    let options = [
        ("store", store),
        ("store_timeout_ms", "3000"),
        ("min_refresh_interval_s", "0"),
        // No stretching of passwords: many processes share two cores here.
        ("auth_mode", "v2_consumer"),
        ("consumer_key", test_support::KEY),
    ];
    Process::start(emulator, home, &options)
}

fn down(emulator: &Emulator, retry_after_s: u32) {
    let answer = Action::Answer {
        status: 503,
        headers: BTreeMap::from([("Retry-After".to_owned(), retry_after_s.to_string())]),
        body: String::new(),
    };
    let fault = Fault::on("/api/security/token", answer).times(0);
    emulator.control().fault(fault);
}

fn a_dying_server_is_asked_once(store: &str) {
    let (emulator, homes) = (emulator(), [home(), home()]);
    let machines = if store == "file" { 1 } else { 2 };
    let mut fleet: Vec<Process> = (0..12)
        .map(|number| start(&emulator, homes[number % machines].path(), store))
        .collect();
    down(&emulator, 25);
    for _ in 0..2 {
        for answer in ask_all(&mut fleet, "token") {
            assert!(answer.starts_with("err P21_E_SERVER"), "{answer}");
        }
        assert_eq!(requests(&emulator), 1, "in the backoff of the first");
    }
    // A process that starts later keeps to it as well.
    let late = start(&emulator, homes[0].path(), store).ask("token");
    assert!(late.starts_with("err P21_E_SERVER"), "{late}");
    assert_eq!(requests(&emulator), 1);

    // The server recovers, and one process is told so: those who are still in the backoff take its token.
    emulator.control().clear_faults();
    fleet[0].ask("invalidate");
    let token = fleet[0].token();
    for process in &mut fleet {
        // The last reading of the store is older than a moment.
        process.ask("advance 300");
        assert_eq!(token_in(&process.ask("token")), token);
    }
    assert_eq!(requests(&emulator), 2);
}

#[test]
fn a_dying_server_is_asked_once_by_a_machine() {
    a_dying_server_is_asked_once("file");
}

#[test]
fn a_dying_server_is_asked_once_by_a_fleet() {
    a_dying_server_is_asked_once(&RedisServer::start().url());
}

#[test]
fn when_its_backoff_is_over_a_fleet_asks_once_more() {
    let (emulator, redis, home) = (emulator(), RedisServer::start(), home());
    let mut fleet: Vec<Process> = (0..6)
        .map(|_| start(&emulator, home.path(), &redis.url()))
        .collect();
    down(&emulator, 25);
    ask_all(&mut fleet, "token");
    for round in 2..4 {
        // The server's clock cannot be moved: what ends by it is removed.
        let failed: Vec<String> = redis.query(cmd("KEYS").arg("*:failed"));
        assert_eq!(failed.len(), 1);
        let left: i64 = redis.query(cmd("PTTL").arg(&failed[0]));
        assert!((1..=25_000).contains(&left), "{left} ms");
        redis.query::<u64>(cmd("DEL").arg(failed));
        ask_all(&mut fleet, "advance 25001");
        for answer in ask_all(&mut fleet, "token") {
            assert!(answer.starts_with("err P21_E_SERVER"), "{answer}");
        }
        assert_eq!(requests(&emulator), round);
    }
}

/// Commands that the server has run since its counts were reset, those of scripts included.
fn commands(redis: &RedisServer) -> BTreeMap<String, u64> {
    let info: String = redis.query(cmd("INFO").arg("commandstats"));
    info.lines()
        .filter_map(|line| {
            let (name, counts) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let calls = counts.split(',').next()?.parse().ok()?;
            let ours = !matches!(name, "info" | "config|resetstat" | "client|setinfo");
            ours.then(|| (name.to_owned(), calls))
        })
        .collect()
}

#[test]
fn a_waiting_process_costs_few_commands_and_has_the_token_at_once() {
    let (emulator, redis, home) = (emulator(), RedisServer::start(), home());
    // A lease and a salt are there already, as at every refresh but the first.
    start(&emulator, home.path(), &redis.url()).token();
    let mut holder = start(&emulator, home.path(), &redis.url());
    let mut fleet: Vec<Process> = (0..20)
        .map(|_| start(&emulator, home.path(), &redis.url()))
        .collect();
    redis.query::<()>(cmd("CONFIG").arg("RESETSTAT"));
    let tokens: Vec<String> = redis.query(cmd("KEYS").arg("*:token"));
    redis.query::<u64>(cmd("DEL").arg(tokens));
    hold_request_of(&emulator, &mut holder);
    redis.query::<()>(cmd("CONFIG").arg("RESETSTAT"));
    tell_all(&mut fleet, "token");
    let waiting = || redis.info("blocked_clients");
    let end = Instant::now() + PATIENCE;
    while waiting() < 20 {
        assert!(Instant::now() < end, "{} wait", waiting());
        std::thread::sleep(Duration::from_millis(10));
    }
    emulator.control().release();
    let released = Instant::now();
    let token = token_in(&holder.answer());
    for process in &mut fleet {
        assert_eq!(token_in(&process.answer()), token);
    }
    let took = released.elapsed();
    let all = commands(&redis);
    let count: u64 = all.values().sum();
    println!("{took:?} to the last of 20, {count} commands: {all:?}");
    assert!(count <= 20 * 20, "{count} commands: {all:?}");
    assert_eq!(requests(&emulator), 2);
}

/// Unix microseconds, as the processes tell them.
fn told_us(answer: &str) -> u64 {
    let (us, rest) = answer.split_once(' ').expect("a time");
    token_in(rest);
    us.parse().expect("a number")
}

/// `tests/tools/fleet.sh` runs it.
#[test]
#[ignore = "starts 200 processes"]
fn two_hundred_processes_start_cold_on_one_redis() {
    const COUNT: usize = 200;
    let (emulator, redis, home) = (emulator(), RedisServer::start(), home());
    let mut fleet: Vec<Process> = (0..COUNT)
        .map(|_| start(&emulator, home.path(), &redis.url()))
        .collect();
    // All are up.
    ask_all(&mut fleet, "stats");
    redis.query::<()>(cmd("CONFIG").arg("RESETSTAT"));
    emulator.control().hold();
    tell_all(&mut fleet, "timed");
    let end = Instant::now() + PATIENCE;
    while redis.info("blocked_clients") < COUNT as u64 - 1 {
        assert!(Instant::now() < end, "not all of them wait");
        std::thread::sleep(Duration::from_millis(10));
    }
    let replied = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    emulator.control().release();
    let mut times: Vec<u64> = fleet
        .iter_mut()
        .map(|process| told_us(&process.answer()))
        .collect();
    times.sort_unstable();
    let all = commands(&redis);
    let each = all.values().sum::<u64>().div_ceil(COUNT as u64);
    let after = |at: usize| Duration::from_micros(times[at]).saturating_sub(replied);
    println!(
        "== seen: {COUNT} cold processes: {} token requests, at most {each} Redis commands each; after the server replied the first \
         one has its token {:.1?} later, the median {:.1?}, the last {:.1?}",
        requests(&emulator),
        after(0),
        after(COUNT / 2),
        after(COUNT - 1),
    );
    println!("{all:?}");
    let info: String = redis.query(cmd("INFO").arg("commandstats"));
    for line in info
        .lines()
        .filter(|line| line.contains("eval") || line.contains("xread"))
    {
        println!("{line}");
    }
    assert_eq!(requests(&emulator), 1);
    assert!(each <= 20, "{each} commands: {all:?}");
}

/// The rights of an account as the page states them.
fn documented() -> Vec<String> {
    let page = include_str!("../../docs/sharing-tokens.md");
    let line = page.lines().find(|line| line.starts_with("ACL SETUSER"));
    let line = line.expect("the page has it");
    line.split(' ')
        .filter(|word| word.starts_with(['+', '~']))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_documented_account_is_enough_and_an_older_one_will_do() {
    const OLDER: &str =
        "~p21auth:* +get +set +del +pttl +exists +time +eval +multi +exec +select +scan";
    let older: Vec<String> = OLDER.split(' ').map(str::to_owned).collect();
    for (rights, is_woken) in [(documented(), true), (older, false)] {
        let mut options = vec!["--user", "p21", "on", ">secret"];
        options.extend(rights.iter().map(String::as_str));
        let (emulator, home, redis) = (emulator(), home(), RedisServer::start_with(&options));
        let url = format!("redis://p21:secret@127.0.0.1:{}", redis.port());
        let mut pair = [(); 2].map(|()| start(&emulator, home.path(), &url));
        emulator.control().hold();
        pair[0].tell("token");
        assert!(emulator.control().wait_for("held", 1, PATIENCE));
        pair[1].tell("token");
        if is_woken {
            let end = Instant::now() + PATIENCE;
            while redis.info("blocked_clients") == 0 {
                assert!(Instant::now() < end, "no one waits");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        emulator.control().release();
        let tokens = pair.each_mut().map(|process| token_in(&process.answer()));
        assert_eq!(tokens[0], tokens[1]);
        assert_eq!(requests(&emulator), 1);
        for process in &mut pair {
            let store = process.stats()["store"].clone();
            assert_eq!(store["active"], "redis", "{store}");
        }
    }
}
