//! A Redis server that evicts, is full, slow or hung: it costs requests, and never a call.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use super::processes::{
    MovedClock, Process, ask_all, hold_request_of, home, requests, runtime, tell_all, token_in,
};
use p21_emulator::Emulator;
use p21auth::{Client, Config};
use redis::cmd;
use test_support::redis::{Balancer, RedisServer, Tap};
use test_support::{PATIENCE, emulator};

/// A debug build on a busy machine is given more time for a command than the default.
fn start(emulator: &Emulator, home: &Path, url: &str) -> Process {
    let options = [
        ("store", url),
        ("store_timeout_ms", "3000"),
        ("min_refresh_interval_s", "0"),
    ];
    Process::start(emulator, home, &options)
}

/// The one key of this kind, if it is there.
fn key(redis: &RedisServer, kind: &str) -> Option<String> {
    let keys: Vec<String> = redis.query(cmd("KEYS").arg(format!("p21auth:1:*:{kind}")));
    assert!(keys.len() <= 1, "{keys:?}");
    keys.into_iter().next()
}

/// Leaves the server this many bytes beyond what it uses now; it evicts what was used least lately.
fn narrow(redis: &RedisServer, bytes: u64) {
    let most = redis.info("used_memory") + bytes;
    for (name, value) in [
        ("maxmemory-policy", "allkeys-lru".to_owned()),
        ("maxmemory-samples", "10".to_owned()),
        ("maxmemory", most.to_string()),
    ] {
        redis.query::<()>(cmd("CONFIG").arg("SET").arg(name).arg(value));
    }
}

/// Writes values of no use until `enough`.
fn crowd_out(redis: &RedisServer, enough: impl Fn() -> bool) {
    let client = redis::Client::open(redis.url()).expect("a URL");
    let mut connection = client.get_connection().expect("a connection");
    let end = Instant::now() + PATIENCE;
    for number in 0_u64.. {
        if number % 50 == 0 && enough() {
            return;
        }
        let mut set = cmd("SET");
        set.arg(format!("others:{number}")).arg(vec![b'x'; 2_000]);
        set.exec(&mut connection).expect("room is made");
        assert!(Instant::now() < end, "nothing is evicted");
    }
}

#[test]
fn evicted_entries_fail_no_caller_and_cost_a_request_each_at_most() {
    let (emulator, redis) = (emulator(), RedisServer::start());
    let homes = [home(), home()];
    let mut fleet: Vec<Process> = (0..4)
        .map(|number| start(&emulator, homes[number / 2].path(), &redis.url()))
        .collect();
    let token = token_in(&fleet[0].ask("token"));
    assert!(
        ask_all(&mut fleet, "token")
            .iter()
            .all(|answer| token_in(answer) == token)
    );
    assert_eq!(requests(&emulator), 1);

    // All of ours goes, the salt included.
    narrow(&redis, 2_000_000);
    crowd_out(&redis, || {
        redis
            .query::<Vec<String>>(cmd("KEYS").arg("p21auth:*"))
            .is_empty()
    });
    assert!(redis.info("evicted_keys") > 0);
    assert!(
        ask_all(&mut fleet, "token")
            .iter()
            .all(|answer| token_in(answer) == token)
    );
    assert_eq!(requests(&emulator), 1, "what a process has it keeps");
    // No one tells a newcomer of that token any more.
    let mut late = start(&emulator, homes[0].path(), &redis.url());
    let fresh = late.token();
    assert_ne!(fresh, token);
    assert_eq!(requests(&emulator), 2);
    assert_eq!(late.stats()["store"]["active"], "redis");
    fleet.push(late);

    // Refreshes under pressure: leases, fences and entries go while they are in use.
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let pressing = scope.spawn(|| crowd_out(&redis, || over.load(Ordering::Relaxed)));
        for _ in 0..3 {
            let before = requests(&emulator);
            // Into the mandatory window: callers wait, and the token is still valid.
            ask_all(&mut fleet, "advance 86375000");
            emulator.control().hold();
            tell_all(&mut fleet, "token");
            assert!(emulator.control().wait_for("held", 1, PATIENCE));
            emulator.control().release();
            for process in &mut fleet {
                token_in(&process.answer());
            }
            let sent = requests(&emulator) - before;
            assert!(sent <= 5, "{sent} requests of 5 processes");
            // All begin the next round with a token of the same age.
            for answer in ask_all(&mut fleet, "force") {
                token_in(&answer);
            }
        }
        over.store(true, Ordering::Relaxed);
        pressing.join().expect("it wrote");
    });

    // With room again the fleet is one again.
    redis.query::<()>(&cmd("FLUSHALL"));
    let before = requests(&emulator);
    ask_all(&mut fleet, "advance 86400000");
    let answers = ask_all(&mut fleet, "token");
    let token = token_in(&answers[0]);
    assert!(
        answers.iter().all(|answer| token_in(answer) == token),
        "{answers:?}"
    );
    assert_eq!(requests(&emulator), before + 1);
}

#[test]
fn a_lease_that_was_evicted_costs_one_request_and_all_end_with_one_token() {
    let (emulator, redis) = (emulator(), RedisServer::start());
    let homes = [home(), home()];
    let mut holder = start(&emulator, homes[0].path(), &redis.url());
    hold_request_of(&emulator, &mut holder);
    let lease = key(&redis, "lease").expect("held");
    redis.query::<()>(cmd("DEL").arg(&lease));
    let mut other = start(&emulator, homes[1].path(), &redis.url());
    other.tell("token");
    assert!(emulator.control().wait_for("held", 2, PATIENCE));
    emulator.control().release();
    let answers = [token_in(&holder.answer()), token_in(&other.answer())];
    assert_eq!(requests(&emulator), 2);
    let shared = start(&emulator, home().path(), &redis.url()).token();
    assert_eq!(answers[1], shared, "the later lease decides");
    assert!(answers.contains(&shared));
    assert_eq!(requests(&emulator), 2);
}

#[test]
fn a_late_holder_cannot_overwrite_a_newer_token_although_its_fence_was_evicted() {
    let (emulator, redis) = (emulator(), RedisServer::start());
    let homes = [home(), home(), home()];
    let mut holder = start(&emulator, homes[0].path(), &redis.url());
    hold_request_of(&emulator, &mut holder);
    holder.stop();
    emulator.control().release();
    redis.query::<()>(cmd("DEL").arg(key(&redis, "lease").expect("held")));
    let newer = start(&emulator, homes[1].path(), &redis.url()).token();
    redis.query::<()>(cmd("DEL").arg(key(&redis, "fence").expect("given out")));
    assert!(key(&redis, "lease").is_none(), "given back");
    holder.go_on();
    assert_eq!(token_in(&holder.answer()), newer);
    assert_eq!(
        start(&emulator, homes[2].path(), &redis.url()).token(),
        newer
    );
    assert_eq!(requests(&emulator), 2);
}

#[test]
fn a_full_server_that_evicts_nothing_leaves_it_to_the_machine() {
    let (emulator, redis, home) = (emulator(), RedisServer::start(), home());
    redis.query::<()>(cmd("CONFIG").arg("SET").arg("maxmemory").arg(1));
    let mut first = start(&emulator, home.path(), &redis.url());
    let token = first.token();
    let store = first.stats()["store"].clone();
    assert_eq!(store["active"], "file", "{store}");
    assert!(
        store["reason"]
            .as_str()
            .is_some_and(|why| why.contains("OOM")),
        "{store}"
    );
    assert_eq!(start(&emulator, home.path(), &redis.url()).token(), token);
    assert_eq!(requests(&emulator), 1);
}

#[test]
fn a_server_that_hangs_fails_no_caller_and_is_used_again_when_it_goes_on() {
    let (emulator, redis, home) = (emulator(), RedisServer::start(), home());
    let options = [
        ("store", redis.url()),
        ("store_timeout_ms", "300".to_owned()),
        ("min_refresh_interval_s", "0".to_owned()),
    ];
    let options: Vec<(&str, &str)> = options.iter().map(|(a, b)| (*a, b.as_str())).collect();
    let mut process = Process::start(&emulator, home.path(), &options);
    let token = process.token();
    redis.hang();
    // A hit never waits for it, nor does a call in the mandatory window wait for more than a command.
    assert_eq!(process.token(), token);
    process.ask("advance 86375000");
    let asked = Instant::now();
    let second = process.token();
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
    assert_ne!(second, token);
    let store = process.stats()["store"].clone();
    assert_eq!(store["active"], "file", "{store}");
    assert!(
        store["reason"]
            .as_str()
            .is_some_and(|why| why.contains("no response within 300 ms")),
        "{store}"
    );
    redis.go_on();
    redis.query::<()>(&cmd("FLUSHALL"));
    // A store that failed rests for a second.
    process.ask("advance 1001");
    let third = token_in(&process.ask("force"));
    assert_eq!(process.stats()["store"]["active"], "redis");
    assert_eq!(start(&emulator, home.path(), &redis.url()).token(), third);
    assert_eq!(requests(&emulator), 3);
}

#[test]
fn a_slow_server_is_used_as_long_as_each_command_ends_in_time() {
    let (emulator, redis) = (emulator(), RedisServer::start());
    let tap = Tap::slow(&redis, Duration::from_millis(200));
    for (timeout, active) in [("5000", "redis"), ("100", "file")] {
        let home = home();
        let options = [("store", tap.url.as_str()), ("store_timeout_ms", timeout)];
        let mut process = Process::start(&emulator, home.path(), &options);
        process.token();
        let store = process.stats()["store"].clone();
        assert_eq!(store["active"], active, "{timeout}: {store}");
    }
    // The one that had no patience could not learn of the other's token.
    assert_eq!(requests(&emulator), 2);
}

/// A client as in a process of its own, whose store key no other test can meet.
fn client_on(emulator: &Emulator, url: &str, more: &[(&str, &str)]) -> Client {
    let mut config = Config::new();
    let options = [
        ("base_url", emulator.base_url()),
        ("auth_mode", "v2_consumer"),
        ("consumer_key", test_support::KEY),
        ("store", url),
        ("store_timeout_ms", "3000"),
        ("store_required", "1"),
    ];
    for (name, value) in options.iter().chain(more) {
        config.set(name, Some(value)).expect("an option");
    }
    let clock = Arc::new(MovedClock(AtomicI64::new(0)));
    Client::open_in(&runtime(&clock), &config).expect("a client")
}

#[test]
fn what_is_not_ours_is_replaced_in_every_key() {
    let (emulator, redis) = (emulator(), RedisServer::start());
    let value = |client: &Client| client.token().expect("a token").value().to_owned();
    value(&client_on(&emulator, &redis.url(), &[]));
    let token = key(&redis, "token").expect("published");
    let key = |kind: &str| match kind {
        "salt" => "p21auth:1:salt".to_owned(),
        kind => token.replace(":token", &format!(":{kind}")),
    };
    let salt: Vec<u8> = redis.query(cmd("GET").arg(key("salt")));
    let mut large = cmd("SET");
    large.arg(key("token")).arg(vec![b'x'; 20 << 20]);
    let mut foreign = vec![("token", large)];
    for (kind, contents) in [
        (
            "lease",
            &["SET x", "SET x PX 3600000", "RPUSH x", "HSET x y"][..],
        ),
        (
            "fence",
            &[
                "SET x",
                "SET -5",
                "SET 1e300",
                "SET nan",
                "SET 99999999999999999999",
                "SADD x",
            ],
        ),
        (
            "token",
            &[
                "SET x",
                "SET P21S",
                "RPUSH x",
                "HSET x y",
                "ZADD 1 x",
                "XADD * a b",
            ],
        ),
        ("denied", &["SET x", "RPUSH x"]),
        ("failed", &["SET x", "RPUSH x"]),
        (
            "wake",
            &["SET x", "RPUSH x", "XADD 99999999999999999-0 a b"],
        ),
        ("next", &["SET x", "RPUSH x"]),
        ("salt", &["SET x", "RPUSH x"]),
    ] {
        for content in contents {
            let mut words = content.split(' ');
            let mut command = cmd(words.next().expect("a command"));
            command.arg(key(kind));
            words.for_each(|word| {
                command.arg(word);
            });
            foreign.push((kind, command));
        }
    }
    for (kind, command) in foreign {
        let shown = String::from_utf8_lossy(&command.get_packed_command())
            .chars()
            .take(160)
            .collect::<String>();
        let base = requests(&emulator);
        redis.query::<()>(&cmd("FLUSHALL"));
        redis.query::<()>(cmd("SET").arg(key("salt")).arg(&salt));
        redis.query::<()>(cmd("DEL").arg(key(kind)));
        redis.query::<redis::Value>(&command);
        let first = value(&client_on(&emulator, &redis.url(), &[]));
        let second = value(&client_on(&emulator, &redis.url(), &[]));
        assert_eq!(first, second, "shared: {shown}");
        assert_eq!(requests(&emulator), base + 1, "{shown}");
    }
}

#[test]
fn what_is_not_supported_says_so_and_what_to_do() {
    let (emulator, home) = (emulator(), home());
    let plain = RedisServer::start();
    let secret = RedisServer::start_with(&["--requirepass", "planted-secret"]);
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &plain.port().to_string()]);
    let (empty, cluster) = (
        RedisServer::start_with(&["--cluster-enabled", "yes"]),
        RedisServer::start_with(&["--cluster-enabled", "yes"]),
    );
    let mut slots = cmd("CLUSTER");
    slots.arg("ADDSLOTSRANGE").arg(0).arg(16_383);
    cluster.query::<()>(&slots);
    let serves = || {
        cluster
            .query::<String>(cmd("CLUSTER").arg("INFO"))
            .contains("state:ok")
    };
    let end = Instant::now() + PATIENCE;
    while !serves() {
        assert!(Instant::now() < end, "the cluster never serves");
        std::thread::sleep(Duration::from_millis(20));
    }
    let full = RedisServer::start_with(&["--maxmemory", "1"]);
    let sentinel = RedisServer::sentinel(&plain);
    let (secure, _) = RedisServer::start_tls(home.path());
    let at = |server: &RedisServer, rest: &str| format!("{}{rest}", server.url());
    let with_login =
        |server: &RedisServer, login: &str| format!("redis://{login}@127.0.0.1:{}", server.port());
    for (url, what) in [
        (at(&replica, ""), "this is a replica: name the primary"),
        (at(&empty, ""), "this is a cluster, which is not supported"),
        (
            at(&cluster, ""),
            "this is a cluster, which is not supported",
        ),
        (
            at(&cluster, "/3"),
            "this is a cluster, which is not supported",
        ),
        (at(&sentinel, ""), "this is a Sentinel"),
        (at(&sentinel, "/3"), "this is a Sentinel"),
        (at(&secure, ""), "name it rediss://"),
        (
            at(&plain, "").replace("redis:", "rediss:"),
            "no response within 3000 ms: if this port speaks no TLS",
        ),
        (at(&secret, ""), "requires a password"),
        (
            with_login(&secret, ":planted-wrong"),
            "user or password in the URL are wrong",
        ),
        (
            with_login(&plain, ":planted-wrong"),
            "has no password for the default user",
        ),
        (at(&plain, "/99"), "has no such database"),
        (
            at(&full, ""),
            "OOM command not allowed when used memory > 'maxmemory'",
        ),
    ] {
        let client = client_on(&emulator, &url, &[]);
        let error = client.token().expect_err("it is required");
        assert!(
            error.message().contains(what) && !error.message().contains("planted"),
            "{url}: {error}"
        );
    }
    assert_eq!(requests(&emulator), 0);
}

/// What an account may do that lacks these rights of the documented ones.
fn account_without(lacking: &[&str]) -> RedisServer {
    let mut options = vec!["--user", "p21", "on", ">planted-secret"];
    let rights =
        "~p21auth:* +get +mget +set +del +pttl +pexpire +time +eval +select +scan +xadd +xread";
    options.extend(rights.split(' ').filter(|right| !lacking.contains(right)));
    RedisServer::start_with(&options)
}

/// What the page says of Redis' reasons is what a caller is told.
#[test]
fn what_redis_refuses_is_explained() {
    let (emulator, home) = (emulator(), home());
    let (secure, ca) = RedisServer::start_tls(home.path());
    let busy = RedisServer::start_with(&["--maxclients", "1"]);
    let taken = std::net::TcpStream::connect(("127.0.0.1", busy.port())).expect("the only one");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed_url = format!("redis://{}", closed.local_addr().expect("an address"));
    drop(closed);
    let accounts: Vec<(&str, RedisServer)> = [
        ("EVAL", account_without(&["+eval"])),
        ("GET", account_without(&["+get", "+mget"])),
        ("SET", account_without(&["+set"])),
        ("TIME", account_without(&["+time"])),
        ("~p21auth:*", account_without(&["~p21auth:*"])),
    ]
    .into();
    let tls = secure.url().replace("redis:", "rediss:");
    let pin = "00".repeat(32);
    let mut rows = vec![
        (
            "nothing listens there",
            closed_url,
            vec![],
            "the Redis server runs there",
        ),
        (
            "a web server listens there",
            emulator.base_url().replace("http:", "redis:"),
            vec![],
            "not a Redis server",
        ),
        (
            "the certificate is not trusted",
            tls.clone(),
            vec![],
            "tls_pin_sha256=",
        ),
        (
            "the certificate is another than the pinned one",
            tls.clone(),
            vec![("tls_pin_sha256", pin.as_str())],
            "is none of those in tls_pin_sha256",
        ),
        ("too many connections", busy.url(), vec![], "maxclients"),
    ];
    for (right, server) in &accounts {
        let url = format!("redis://p21:planted-secret@127.0.0.1:{}", server.port());
        let what = match *right {
            "EVAL" => "the account lacks `+eval`",
            "GET" => "the account lacks `+get`",
            "SET" => "the account lacks `+set`",
            "TIME" => "the account lacks `+time`",
            _ => "the account lacks `~p21auth:*`",
        };
        rows.push((what, url, vec![], right));
    }
    for (what, url, options, says) in &rows {
        let client = client_on(&emulator, url, options);
        let error = client.token().expect_err("it is required");
        assert_eq!(error.code(), p21auth::Code::Store, "{what}");
        assert!(
            error.message().contains(says) && !error.message().contains("planted"),
            "{what}: {error}"
        );
        println!("{what}: {}", error.message());
    }
    drop(taken);
    // Trusted by its authority it is a store like any.
    client_on(&emulator, &tls, &[("ca_file", &ca)])
        .token()
        .expect("a token");
    assert_eq!(requests(&emulator), 1);
}

#[test]
fn a_connection_that_is_forgotten_on_its_way_costs_a_new_one_and_no_request() {
    let (emulator, redis) = (emulator(), RedisServer::start());
    let balancer = Balancer::before(&redis);
    let homes = [home(), home()];
    let options = [
        ("store", balancer.url.as_str()),
        ("store_timeout_ms", "2000"),
        ("min_refresh_interval_s", "0"),
    ];
    let mut pair: Vec<Process> = homes
        .iter()
        .map(|home| Process::start(&emulator, home.path(), &options))
        .collect();
    ask_all(&mut pair, "token");
    assert_eq!(requests(&emulator), 1);
    for round in 2..5 {
        let made = balancer.made();
        balancer.forget();
        let asked = Instant::now();
        // Into the mandatory window: both wait for the one that asks.
        ask_all(&mut pair, "advance 86390000");
        let answers = ask_all(&mut pair, "token");
        let took = asked.elapsed();
        assert_eq!(token_in(&answers[0]), token_in(&answers[1]));
        assert_eq!(requests(&emulator), round);
        assert!(balancer.made() > made, "on new connections");
        assert!(took < Duration::from_secs(3), "{took:?}");
        for process in &mut pair {
            assert_eq!(process.stats()["store"]["active"], "redis");
        }
    }
}
