//! What a fault costs: for each one, how many token requests the server saw, and how many the design allows. The table is in
//! docs/sharing-tokens.md.
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::processes::{Process, answers, ask_all, home, one_token, requests, tell_all, token_in};
use p21_emulator::{Action, Emulator, Fault};
use redis::cmd;
use test_support::redis::{Balancer, RedisServer};
use test_support::{PATIENCE, emulator};

/// Two machines with two processes each, on one Redis.
struct Fleet {
    emulator: Emulator,
    redis: RedisServer,
    processes: Vec<Process>,
    homes: [tempfile::TempDir; 2],
}

fn start(emulator: &Emulator, home: &Path, store: &str, more: &[(&str, &str)]) -> Process {
    let mut options = vec![
        ("store", store),
        ("store_timeout_ms", "2000"),
        ("min_refresh_interval_s", "0"),
        ("auth_mode", "v2_consumer"),
        ("consumer_key", test_support::KEY),
    ];
    options.extend(more);
    Process::start(emulator, home, &options)
}

impl Fleet {
    fn new() -> Fleet {
        let redis = RedisServer::start();
        let url = redis.url();
        Fleet::on(redis, &url)
    }

    fn on(redis: RedisServer, store: &str) -> Fleet {
        let (emulator, homes) = (emulator(), [home(), home()]);
        let processes = (0..4)
            .map(|number| start(&emulator, homes[number / 2].path(), store, &[]))
            .collect();
        Fleet {
            emulator,
            redis,
            processes,
            homes,
        }
    }

    /// The first asks the server, which does not answer yet; the others wait.
    fn hold(&mut self) {
        self.emulator.control().hold();
        self.processes[0].tell("token");
        assert!(self.emulator.control().wait_for("held", 1, PATIENCE));
        tell_all(&mut self.processes[1..], "token");
        let end = Instant::now() + PATIENCE;
        while self.redis.info("blocked_clients") < 3 {
            assert!(Instant::now() < end, "no process waits");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn drop_keys(&self, kind: &str) {
        let keys: Vec<String> = self
            .redis
            .query(cmd("KEYS").arg(format!("p21auth:1:*:{kind}")));
        for key in keys {
            self.redis.query::<u64>(cmd("DEL").arg(key));
        }
    }

    /// Lets the server go on; the answers of those that are still there.
    fn release(&mut self) -> Vec<String> {
        self.emulator.control().release();
        answers(&mut self.processes)
    }

    fn requests(&self) -> u64 {
        requests(&self.emulator)
    }
}

fn nothing() -> u64 {
    let mut fleet = Fleet::new();
    one_token(&ask_all(&mut fleet.processes, "token"));
    fleet.requests()
}

fn holder_is_killed() -> u64 {
    let mut fleet = Fleet::new();
    fleet.hold();
    let mut holder = fleet.processes.remove(0);
    holder.kill();
    // Its lease ends, and the next one takes it.
    assert!(
        fleet
            .emulator
            .control()
            .wait_for("token.requests", 2, PATIENCE)
    );
    one_token(&fleet.release());
    fleet.requests()
}

fn holder_stands_still() -> u64 {
    let mut fleet = Fleet::new();
    fleet.hold();
    fleet.processes[0].stop();
    assert!(
        fleet
            .emulator
            .control()
            .wait_for("token.requests", 2, PATIENCE)
    );
    fleet.emulator.control().release();
    let answers = answers(&mut fleet.processes[1..]);
    one_token(&answers);
    // It wakes behind its lease, and takes over what is there.
    fleet.processes[0].go_on();
    let late = fleet.processes[0].answer();
    assert_eq!(token_in(&late), token_in(&answers[0]));
    fleet.requests()
}

fn lease_is_evicted() -> u64 {
    let mut fleet = Fleet::new();
    fleet.hold();
    fleet.drop_keys("lease");
    // Another process comes before the holder renews it.
    let mut late = start(
        &fleet.emulator,
        fleet.homes[1].path(),
        &fleet.redis.url(),
        &[],
    );
    late.tell("token");
    fleet.processes.push(late);
    assert!(
        fleet
            .emulator
            .control()
            .wait_for("token.requests", 2, PATIENCE)
    );
    for answer in fleet.release() {
        token_in(&answer);
    }
    fleet.requests()
}

fn token_is_evicted() -> u64 {
    let mut fleet = Fleet::new();
    one_token(&ask_all(&mut fleet.processes, "token"));
    fleet.drop_keys("token");
    one_token(&ask_all(&mut fleet.processes, "token"));
    let late = start(
        &fleet.emulator,
        fleet.homes[0].path(),
        &fleet.redis.url(),
        &[],
    )
    .token();
    let later = start(
        &fleet.emulator,
        fleet.homes[1].path(),
        &fleet.redis.url(),
        &[],
    )
    .token();
    assert_eq!(late, later);
    fleet.requests()
}

fn all_is_flushed() -> u64 {
    let mut fleet = Fleet::new();
    fleet.hold();
    fleet.redis.query::<()>(&cmd("FLUSHALL"));
    let answers = fleet.release();
    for answer in &answers {
        token_in(answer);
    }
    fleet.requests()
}

fn wake_up_is_lost() -> u64 {
    let mut fleet = Fleet::new();
    fleet.hold();
    fleet.drop_keys("wake");
    one_token(&fleet.release());
    fleet.requests()
}

fn redis_is_killed() -> u64 {
    let mut fleet = Fleet::new();
    fleet.hold();
    fleet.redis.kill();
    for answer in fleet.release() {
        token_in(&answer);
    }
    fleet.requests()
}

fn redis_hangs() -> u64 {
    let mut fleet = Fleet::new();
    fleet.redis.hang();
    for answer in ask_all(&mut fleet.processes, "token") {
        token_in(&answer);
    }
    fleet.requests()
}

fn redis_is_full() -> u64 {
    let mut fleet = Fleet::new();
    fleet
        .redis
        .query::<()>(cmd("CONFIG").arg("SET").arg("maxmemory").arg(1));
    for answer in ask_all(&mut fleet.processes, "token") {
        token_in(&answer);
    }
    fleet.requests()
}

fn connections_are_forgotten() -> u64 {
    let redis = RedisServer::start();
    let balancer = Balancer::before(&redis);
    let mut fleet = Fleet::on(redis, &balancer.url.clone());
    one_token(&ask_all(&mut fleet.processes, "token"));
    balancer.forget();
    // Into the mandatory window: one asks, the others wait for it.
    ask_all(&mut fleet.processes, "advance 86390000");
    one_token(&ask_all(&mut fleet.processes, "token"));
    fleet.requests() - 1
}

fn server_fails() -> u64 {
    let mut fleet = Fleet::new();
    let answer = Action::answer_with(503, ("Retry-After", "25"), "");
    fleet
        .emulator
        .control()
        .fault(Fault::on("/token", answer).times(0));
    for _ in 0..2 {
        for answer in ask_all(&mut fleet.processes, "token") {
            assert!(answer.starts_with("err P21_E_SERVER"), "{answer}");
        }
    }
    fleet.requests()
}

fn credentials_are_refused() -> u64 {
    let redis = RedisServer::start();
    let (emulator, homes) = (emulator(), [home(), home()]);
    let wrong = [("consumer_key", "11111111-0000-4000-8000-000000000001")];
    let mut processes: Vec<Process> = (0..4)
        .map(|number| start(&emulator, homes[number / 2].path(), &redis.url(), &wrong))
        .collect();
    for _ in 0..2 {
        for answer in ask_all(&mut processes, "token") {
            assert!(answer.starts_with("err P21_E_UNAUTHORIZED"), "{answer}");
        }
    }
    requests(&emulator)
}

fn a_token_is_reported_by_all() -> u64 {
    let mut fleet = Fleet::new();
    let answers = ask_all(&mut fleet.processes, "token");
    one_token(&answers);
    let report = format!("report {}", token_in(&answers[0]));
    ask_all(&mut fleet.processes, &report);
    one_token(&ask_all(&mut fleet.processes, "token"));
    fleet.requests()
}

fn no_streams() -> u64 {
    let redis = RedisServer::start_with(&[
        "--user",
        "p21",
        "on",
        ">secret",
        "~p21auth:*",
        "+get",
        "+set",
        "+del",
        "+pttl",
        "+time",
        "+eval",
        "+select",
        "+scan",
    ]);
    let url = format!("redis://p21:secret@127.0.0.1:{}", redis.port());
    let mut fleet = Fleet::on(redis, &url);
    one_token(&ask_all(&mut fleet.processes, "token"));
    fleet.requests()
}

/// What happens, what is seen, how many requests the design allows.
type Row = (&'static str, fn() -> u64, std::ops::RangeInclusive<u64>);

#[test]
fn the_table_of_faults_is_what_the_server_saw() {
    let rows: [Row; 15] = [
        (
            "nothing: four processes on two machines ask at once",
            nothing,
            1..=1,
        ),
        (
            "the process that asks the server is killed",
            holder_is_killed,
            2..=2,
        ),
        (
            "it is suspended for longer than its lease, and continues later",
            holder_stands_still,
            2..=2,
        ),
        ("its lease is evicted", lease_is_evicted, 2..=2),
        (
            "the token is evicted, and two processes start later",
            token_is_evicted,
            2..=2,
        ),
        (
            "everything is flushed while the others wait",
            all_is_flushed,
            1..=2,
        ),
        ("the stream that wakes is lost", wake_up_is_lost, 1..=1),
        ("the account may not use streams", no_streams, 1..=1),
        (
            "Redis is killed while the others wait",
            redis_is_killed,
            1..=3,
        ),
        ("Redis hangs", redis_hangs, 2..=2),
        ("Redis is full and evicts nothing", redis_is_full, 2..=2),
        (
            "a balancer forgets all connections before a refresh",
            connections_are_forgotten,
            1..=1,
        ),
        ("the server fails; all ask twice", server_fails, 1..=1),
        (
            "the credentials are refused; all ask twice",
            credentials_are_refused,
            1..=1,
        ),
        (
            "all report the first token as dead",
            a_token_is_reported_by_all,
            2..=2,
        ),
    ];
    let mut text = "| What happens | Token requests | Allowed |\n|---|---|---|\n".to_owned();
    for pair in rows.chunks(3) {
        let seen: Vec<u64> = std::thread::scope(|scope| {
            let running: Vec<_> = pair.iter().map(|(_, run, _)| scope.spawn(run)).collect();
            running
                .into_iter()
                .zip(pair)
                .map(|(run, (what, ..))| run.join().unwrap_or_else(|_| panic!("{what}")))
                .collect()
        });
        for ((what, _, allowed), seen) in pair.iter().zip(seen) {
            println!("{what}: {seen}");
            assert!(allowed.contains(&seen), "{what}: {seen} requests");
            let most = allowed.end();
            // What depends on who was faster is not written down.
            let shown = if allowed.start() == most {
                seen.to_string()
            } else {
                format!("{} to {most}", allowed.start())
            };
            writeln!(text, "| {what} | {shown} | {most} |").expect("memory");
        }
    }
    test_support::pages::keep_table("docs/sharing-tokens.md", "costs", &text);
}
