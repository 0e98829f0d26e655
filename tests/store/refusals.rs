//! Refused credentials are tried once by all processes together, and then by the schedule: no account gets locked.

use std::path::Path;

use super::processes::{Process, home, requests, tell_all, token_in};
use p21_emulator::{Action, Emulator, Fault, User};
use redis::cmd;
use test_support::redis::RedisServer;
use test_support::{PATIENCE, emulator};

/// A process with a wrong password.
fn start(emulator: &Emulator, home: &Path, store: &str) -> Process {
    let options = [
        ("store", store),
        ("store_timeout_ms", "3000"),
        ("password", "wrong-password"),
    ];
    Process::start(emulator, home, &options)
}

/// The refusal and the milliseconds that it still holds.
fn refused(answer: &str) -> i64 {
    let rest = answer.strip_prefix("err P21_E_UNAUTHORIZED ");
    let rest = rest.unwrap_or_else(|| panic!("not refused: {answer}"));
    let ms = rest.split(' ').next().and_then(|ms| ms.parse().ok());
    ms.unwrap_or_else(|| panic!("no time: {answer}"))
}

fn sixteen_send_one_request(store: &str) {
    let (emulator, homes) = (emulator(), [home(), home()]);
    let control = emulator.control();
    // With the file store a home is a machine.
    let machines = if store == "file" { 1 } else { 2 };
    let mut processes: Vec<Process> = (0..16)
        .map(|number| start(&emulator, homes[number % machines].path(), store))
        .collect();
    control.hold();
    tell_all(&mut processes, "token");
    assert!(control.wait_for("held", 1, PATIENCE));
    control.release();
    for process in &mut processes {
        let left = refused(&process.answer());
        assert!((1..=60_000).contains(&left), "{left} ms");
    }
    assert_eq!(requests(&emulator), 1);
    // Another password is another identity: it is not held up.
    let right = [("store", store), ("store_timeout_ms", "3000")];
    Process::start(&emulator, homes[0].path(), &right).token();
    assert_eq!(requests(&emulator), 2);
}

#[test]
fn sixteen_processes_of_a_machine_send_one_request() {
    sixteen_send_one_request("file");
}

#[test]
fn sixteen_processes_of_a_fleet_send_one_request() {
    sixteen_send_one_request(&RedisServer::start().url());
}

/// A task that starts again each minute; answers the minutes at which it asked the server. `pass` makes minutes pass.
fn each_minute(store: &str, pass: impl Fn(&mut Process, u64)) -> Vec<u64> {
    let (emulator, home) = (emulator(), home());
    let mut asked = Vec::new();
    for minute in 0..45 {
        let mut task = start(&emulator, home.path(), store);
        pass(&mut task, minute);
        let before = requests(&emulator);
        refused(&task.ask("token"));
        if requests(&emulator) > before {
            asked.push(minute);
        }
    }
    asked
}

/// 1, then 10, then 30 minutes apart; a minute's granularity may add one to each.
fn assert_schedule(asked: &[u64]) {
    let gaps: Vec<u64> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(asked[0], 0);
    assert!(
        matches!(gaps[..], [1..=2, 10..=11, 30..=31]),
        "requests at the minutes {asked:?}"
    );
}

#[test]
fn a_task_that_starts_anew_each_minute_keeps_to_the_cool_downs() {
    let asked = each_minute("file", |task, minute| {
        task.ask(&format!(
            "advance {}",
            minute * 60_000 + 1_000 * minute.min(1)
        ));
    });
    assert_schedule(&asked);
}

#[test]
fn such_a_task_keeps_to_them_by_the_count_of_the_redis_server() {
    let redis = RedisServer::start();
    let asked = each_minute(&redis.url(), |_, minute| {
        // The server's clock cannot be moved: its entries get older instead. Tasks stay on their own clock.
        let keys: Vec<String> = redis.query(cmd("KEYS").arg("*:denied"));
        assert_eq!(keys.len(), usize::from(minute > 0));
        for key in keys {
            let left: i64 = redis.query(cmd("PTTL").arg(&key));
            redis.query::<()>(cmd("PEXPIRE").arg(&key).arg(left - 60_000));
        }
    });
    assert_schedule(&asked);
}

/// IIS or a proxy may have refused them in P21's place: what the processes share does not grow either.
#[test]
fn a_refusal_that_may_not_be_about_the_credentials_keeps_to_the_first_step() {
    let (emulator, home) = (emulator(), home());
    let page = "<html><title>401 - Unauthorized</title></html>";
    let login = Action::answer_with(401, ("WWW-Authenticate", "Negotiate"), page);
    emulator
        .control()
        .fault(Fault::on("/api/security/token", login).times(0));
    for ask in ["token", "uncached"] {
        for minute in 0..4_u64 {
            let before = requests(&emulator);
            let mut task = start(&emulator, home.path(), "file");
            let passed = if ask == "token" { minute } else { minute + 4 };
            task.ask(&format!("advance {}", passed * 61_000));
            let left = refused(&task.ask(ask));
            assert!((1..=60_000).contains(&left), "{left} ms");
            assert_eq!(requests(&emulator), before + 1, "{ask}, minute {minute}");
        }
    }
}

fn requests_past_the_cache_keep_to_it(store: &str) {
    let (emulator, home) = (emulator(), home());
    let start = || start(&emulator, home.path(), store);
    // A flight's refusal holds for those who ask past the cache,
    refused(&start().ask("token"));
    let mut past = start();
    let left = refused(&past.ask("uncached"));
    assert!((1..=60_000).contains(&left), "{left} ms");
    assert_eq!(requests(&emulator), 1);
    // until someone says that it may be tried again; theirs then holds for all others, and longer.
    past.ask("invalidate");
    let left = refused(&past.ask("uncached"));
    assert!((60_001..=600_000).contains(&left), "{left} ms");
    assert_eq!(requests(&emulator), 2);
    for ask in ["token", "uncached"] {
        let left = refused(&start().ask(ask));
        assert!((60_001..=600_000).contains(&left), "{ask}: {left} ms");
    }
    assert_eq!(requests(&emulator), 2);
    // The account is fixed, and one process told so: its token ends the refusal for everyone.
    emulator
        .control()
        .set_user(User::new("demo", "wrong-password"));
    past.ask("invalidate");
    past.token();
    let answer = start().ask("uncached");
    assert!(answer.starts_with("ok "), "{answer}");
    token_in(&start().ask("token"));
    assert_eq!(requests(&emulator), 4);
}

#[test]
fn requests_past_the_cache_keep_to_the_refusals_of_a_machine() {
    requests_past_the_cache_keep_to_it("file");
}

#[test]
fn requests_past_the_cache_keep_to_the_refusals_of_a_fleet() {
    requests_past_the_cache_keep_to_it(&RedisServer::start().url());
}

#[test]
fn a_store_that_cannot_be_used_keeps_no_one_from_asking_past_the_cache() {
    let (emulator, home) = (emulator(), home());
    let mut process = start(&emulator, home.path(), "file:///proc/p21auth");
    refused(&process.ask("uncached"));
    refused(&process.ask("uncached"));
    assert_eq!(
        requests(&emulator),
        1,
        "within the process the refusal holds"
    );
    let right = [("store", "file:///proc/p21auth")];
    let answer = Process::start(&emulator, home.path(), &right).ask("uncached");
    assert!(answer.starts_with("ok "), "{answer}");
}
