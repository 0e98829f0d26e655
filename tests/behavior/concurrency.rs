//! Many threads, one token request: real threads, real sockets, the emulator's counters.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use p21_emulator::{Action, Fault};
use p21auth::Verdict;
use p21auth::{Client, Code, TokenOptions};
use test_support::{PATIENCE, client, client_with, config, emulator, together};

#[test]
fn a_thousand_threads_at_a_cold_start_send_one_request() {
    let emulator = emulator();
    emulator.control().hold();
    let client = client(&emulator);
    let release = {
        let control = emulator.control();
        std::thread::spawn(move || {
            assert!(control.wait_for("held", 1, PATIENCE));
            control.release();
        })
    };
    let tokens = together(1_000, move |_| {
        client
            .token()
            .map(|token| token.value().to_owned())
            .expect("a token")
    });
    release.join().expect("released");
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    assert_eq!(emulator.control().counter("token.requests"), 1);
}

#[test]
fn refused_credentials_are_shared_by_everyone_who_waits_and_by_who_comes_later() {
    let emulator = emulator();
    let client = client_with(&emulator, &[("password", "wrong")]);
    let codes = {
        let client = client.clone();
        together(200, move |_| client.token().expect_err("refused").code())
    };
    assert!(codes.iter().all(|code| *code == Code::Unauthorized));
    let later = client.token().expect_err("still refused");
    assert!(
        later.retry_after() > Some(Duration::from_secs(50)),
        "{later:?}"
    );
    assert_eq!(emulator.control().counter("token.requests"), 1);
}

#[test]
fn a_caller_that_gives_up_takes_nothing_down_with_it() {
    let emulator = emulator();
    emulator.control().hold();
    let client = client(&emulator);
    let patient = {
        let client = client.clone();
        std::thread::spawn(move || client.token())
    };
    assert!(emulator.control().wait_for("held", 1, PATIENCE));
    let impatient = TokenOptions {
        wait: Some(Duration::from_millis(20)),
        ..TokenOptions::default()
    };
    let error = client.token_with(&impatient).expect_err("no token yet");
    assert_eq!(
        (error.code(), error.retry_after()),
        (Code::Timeout, Some(Duration::ZERO))
    );
    emulator.control().release();
    patient.join().expect("no panic").expect("a token");
    client.token_with(&impatient).expect("a cached token");
    assert_eq!(emulator.control().counter("token.requests"), 1);
}

#[test]
fn a_client_in_a_hurry_does_not_shorten_a_patient_ones_flight() {
    let emulator = emulator();
    emulator.control().hold();
    let patient = client_with(&emulator, &[("timeout_ms", "60000")]);
    let hurried = client_with(&emulator, &[("timeout_ms", "30")]);
    assert_eq!(hurried.token().expect_err("too slow").code(), Code::Timeout);
    let waiting = {
        let patient = patient.clone();
        std::thread::spawn(move || patient.token())
    };
    assert!(emulator.control().wait_for("held", 1, PATIENCE));
    emulator.control().release();
    waiting.join().expect("no panic").expect("a token");
    assert_eq!(emulator.control().counter("token.requests"), 1);
}

#[test]
fn no_wait_is_pending_until_the_token_is_there() {
    let emulator = emulator();
    emulator.control().hold();
    let client = client(&emulator);
    let no_wait = TokenOptions {
        no_wait: true,
        ..TokenOptions::default()
    };
    assert_eq!(
        client.token_with(&no_wait).expect_err("not yet").code(),
        Code::Pending
    );
    assert!(emulator.control().wait_for("held", 1, PATIENCE));
    assert_eq!(
        client.token_with(&no_wait).expect_err("not yet").code(),
        Code::Pending
    );
    emulator.control().release();
    let token = client.token().expect("a token");
    assert_eq!(
        client.token_with(&no_wait).expect("cached").value(),
        token.value()
    );
    assert_eq!(emulator.control().counter("token.requests"), 1);
}

#[test]
fn closing_a_client_wakes_everyone_who_waits_on_it() {
    let emulator = emulator();
    emulator.control().hold();
    let client = client(&emulator);
    let waiters: Vec<_> = (0..50)
        .map(|_| {
            let client = client.clone();
            std::thread::spawn(move || client.token())
        })
        .collect();
    assert!(emulator.control().wait_for("held", 1, PATIENCE));
    let start = Instant::now();
    client.close();
    for waiter in waiters {
        assert_eq!(
            waiter.join().expect("no panic").expect_err("closed").code(),
            Code::Closed
        );
    }
    assert!(
        start.elapsed() < PATIENCE / 2,
        "the server never answered, so no one waited for it"
    );
    assert_eq!(client.token().expect_err("closed").code(), Code::Closed);
}

#[test]
fn updating_a_client_takes_its_waiters_along() {
    let (slow, quick) = (emulator(), emulator());
    slow.control().hold();
    let client = client(&slow);
    let waiting = {
        let client = client.clone();
        std::thread::spawn(move || client.token())
    };
    assert!(slow.control().wait_for("held", 1, PATIENCE));
    client.update(&config(&quick)).expect("valid");
    waiting
        .join()
        .expect("no panic")
        .expect("a token of the other server");
    assert_eq!(quick.control().counter("token.requests"), 1);
}

#[test]
fn a_hanging_identity_delays_no_other() {
    let (hanging, healthy) = (emulator(), emulator());
    hanging.control().hold();
    let stuck = client(&hanging);
    let waiting = {
        let stuck = stuck.clone();
        std::thread::spawn(move || stuck.token())
    };
    assert!(hanging.control().wait_for("held", 1, PATIENCE));
    client(&healthy).token().expect("a token");
    stuck.close();
    waiting.join().expect("no panic").expect_err("closed");
}

#[test]
fn a_rejected_token_reported_by_64_threads_costs_one_request() {
    let emulator = emulator();
    let client = client_with(&emulator, &[("min_refresh_interval_s", "0")]);
    let dead = client.token().expect("a token").value().to_owned();
    let reporting = client.clone();
    let tokens = together(64, move |_| {
        let verdict = reporting
            .report(
                &format!("Bearer {dead}"),
                401,
                b"<TokenError>x</TokenError>",
            )
            .expect("a verdict");
        assert_eq!(verdict, Verdict::Retry);
        reporting.token().expect("a token").value().to_owned()
    });
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    assert_eq!(emulator.control().counter("token.requests"), 2);
}

#[test]
fn permission_costs_nothing() {
    let emulator = emulator();
    let client = client(&emulator);
    let token = client.token().expect("a token").value().to_owned();
    let reporting = client.clone();
    let verdicts = together(64, move |_| {
        reporting
            .report(&token, 401, b"\"You are not authorized to access API\"")
            .expect("a verdict")
    });
    assert!(
        verdicts
            .iter()
            .all(|verdict| *verdict == Verdict::Permission)
    );
    client.token().expect("still good");
    assert_eq!(emulator.control().counter("token.requests"), 1);
}

#[test]
fn hits_go_on_during_a_refresh_and_none_fails() {
    let emulator = emulator();
    let client = client_with(&emulator, &[("min_refresh_interval_s", "0")]);
    let first = client.token().expect("a token").value().to_owned();
    let done = Arc::new(AtomicBool::new(false));
    let hitters: Vec<_> = (0..2)
        .map(|_| {
            let (client, done) = (client.clone(), Arc::clone(&done));
            std::thread::spawn(move || {
                let mut hits = 0_u64;
                while !done.load(Ordering::Relaxed) {
                    client
                        .with_token(&TokenOptions::default(), |token| {
                            assert!(!token.value().is_empty());
                        })
                        .expect("a token");
                    hits += 1;
                }
                hits
            })
        })
        .collect();
    emulator.control().hold();
    let force = TokenOptions {
        force_refresh: true,
        ..TokenOptions::default()
    };
    let refresh = {
        let client = client.clone();
        std::thread::spawn(move || client.token_with(&force))
    };
    assert!(emulator.control().wait_for("held", 1, PATIENCE));
    emulator.control().release();
    let second = refresh
        .join()
        .expect("no panic")
        .expect("a new token")
        .value()
        .to_owned();
    done.store(true, Ordering::Relaxed);
    for hitter in hitters {
        assert!(hitter.join().expect("no failed hit") > 0);
    }
    assert_ne!(first, second);
    assert_eq!(client.token().expect("a token").value(), second);
}

#[test]
fn a_snapshot_stays_as_it_is_over_a_refresh() {
    let emulator = emulator();
    let client = client_with(&emulator, &[("min_refresh_interval_s", "0")]);
    let snapshot = client.token().expect("a token");
    let text = snapshot.value().to_owned();
    client.invalidate(None).expect("open");
    let newer = client.token().expect("another");
    assert_eq!(snapshot.value(), text);
    assert_ne!(newer.value(), text);
    assert!(newer.generation > snapshot.generation);
}

#[test]
fn the_generation_word_changes_when_the_token_may_have() {
    let emulator = emulator();
    let client = client(&emulator);
    let word = client.generation();
    let mut seen = vec![word.load(Ordering::Acquire)];
    let mut changed = |what: &str| {
        let now = word.load(Ordering::Acquire);
        assert!(!seen.contains(&now), "{what}");
        seen.push(now);
    };
    let token = client.token().expect("a token").value().to_owned();
    changed("fetched");
    client.token().expect("a hit");
    client.invalidate(Some(&token)).expect("open");
    changed("invalidated");
    client.invalidate(None).expect("open");
    client.token().expect("a token");
    changed("fetched again");
    client.update(&config(&emulator)).expect("valid");
    changed("updated");
    client.close();
    changed("closed");
}

#[test]
fn a_hit_changes_no_word() {
    let emulator = emulator();
    let client = client(&emulator);
    client.token().expect("a token");
    let before = client.generation().load(Ordering::Acquire);
    for _ in 0..100 {
        client.token().expect("a hit");
    }
    assert_eq!(client.generation().load(Ordering::Acquire), before);
}

#[test]
fn the_ui_url_is_asked_for_once_by_many_threads() {
    let emulator = emulator();
    let client = client(&emulator);
    let urls = together(100, move |_| client.ui_url().expect("a URL"));
    assert!(
        urls.iter()
            .all(|url| *url == urls[0] && !url.ends_with('/'))
    );
    assert_eq!(
        (
            emulator.control().counter("token.requests"),
            emulator.control().counter("router.requests")
        ),
        (1, 1)
    );
}

#[test]
fn a_failing_server_is_asked_once_for_each_backoff_however_many_call() {
    let emulator = emulator();
    emulator
        .control()
        .fault(Fault::on("/api/security/token", Action::answer(503, "down")).times(0));
    let client = client_with(&emulator, &[("max_retries", "0")]);
    let codes = together(100, move |_| client.token().expect_err("down").code());
    assert!(codes.iter().all(|code| *code == Code::Server));
    // A thread that was late may have come after the backoff of at most a second: then there was one more.
    assert!(emulator.control().counter("token.requests") <= 2);
}

#[test]
fn opening_many_clients_makes_no_request_and_shares_one_slot() {
    let emulator = emulator();
    let clients: Vec<Client> = (0..100).map(|_| client(&emulator)).collect();
    assert_eq!(emulator.control().counter("connections.accepted"), 0);
    let tokens = clients
        .iter()
        .map(|client| client.token().expect("a token").value().to_owned());
    let mut tokens: Vec<String> = tokens.collect();
    tokens.dedup();
    assert_eq!(tokens.len(), 1);
    let stats: serde_json::Value =
        serde_json::from_str(&clients[0].stats().expect("open")).expect("JSON");
    assert_eq!(
        (&stats["open_clients"], &stats["counters"]["token_requests"]),
        (&100.into(), &1.into())
    );
}
