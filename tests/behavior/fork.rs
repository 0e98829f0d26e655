//! What a forked child can do: take the cached token at once, fetch a new one, free what it inherited. It never hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use p21auth::TokenOptions;
use test_support::fork::in_child;
use test_support::{PATIENCE, client, client_with, emulator};

const FORCE: TokenOptions = TokenOptions {
    force_refresh: true,
    cached_only: false,
    no_wait: false,
    wait: None,
    min_valid: Duration::ZERO,
};

#[test]
fn a_child_has_its_token_at_once_and_can_fetch_anew() {
    let emulator = emulator();
    let client = client_with(&emulator, &[("min_refresh_interval_s", "0")]);
    let parents = client.token().expect("a token").value().to_owned();
    let inherited = client.clone();
    assert!(in_child(move || {
        let same = inherited
            .token()
            .is_ok_and(|token| token.value() == parents);
        let other = inherited
            .token_with(&FORCE)
            .is_ok_and(|token| token.value() != parents);
        drop(inherited);
        same && other
    }));
    assert_eq!(emulator.control().counter("token.requests"), 2);
    client.token_with(&FORCE).expect("the parent goes on");
}

#[test]
fn a_child_that_is_forked_during_a_flight_starts_its_own() {
    let emulator = emulator();
    let client = client(&emulator);
    emulator.control().hold();
    let waiting = {
        let client = client.clone();
        std::thread::spawn(move || client.token())
    };
    assert!(emulator.control().wait_for("held", 1, PATIENCE));
    let control = emulator.control();
    let releaser = std::thread::spawn(move || {
        assert!(control.wait_for("token.requests", 2, PATIENCE));
        control.release();
    });
    assert!(in_child(|| client.token().is_ok()));
    releaser.join().expect("released");
    waiting
        .join()
        .expect("no panic")
        .expect("the parent's flight goes on");
    assert_eq!(emulator.control().counter("token.requests"), 2);
}

#[test]
fn a_childs_generation_word_has_changed() {
    let emulator = emulator();
    let client = client(&emulator);
    client.token().expect("a token");
    let before = client.generation().load(Ordering::Acquire);
    assert!(in_child(
        || client.generation().load(Ordering::Acquire) != before
    ));
    assert_eq!(client.generation().load(Ordering::Acquire), before);
}

#[test]
fn no_child_hangs_no_matter_what_other_threads_are_at() {
    let emulator = emulator();
    let client = client_with(&emulator, &[("min_refresh_interval_s", "0")]);
    client.token().expect("a token");
    let done = Arc::new(AtomicBool::new(false));
    let busy: Vec<_> = (0..4)
        .map(|number| {
            let (client, done) = (client.clone(), Arc::clone(&done));
            std::thread::spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    match number {
                        0 => drop(client.token_with(&FORCE)),
                        1 => drop(client.stats()),
                        2 => drop(client.invalidate(None)),
                        _ => drop(client.token()),
                    }
                }
            })
        })
        .collect();
    for round in 0..60 {
        assert!(
            in_child(|| client.token().is_ok() && client.token_with(&FORCE).is_ok()),
            "round {round}"
        );
    }
    done.store(true, Ordering::Relaxed);
    for thread in busy {
        thread.join().expect("no panic");
    }
}
