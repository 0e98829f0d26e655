//! Calls that wait: within their own time, while the client is freed or updated, or not at all.

use std::time::{Duration, Instant};

use p21auth::internal::capi::*;

use test_support::capi::*;
use test_support::{PATIENCE, emulator, together};

/// A handle on its way to another thread: what C programs do without asking.
#[derive(Clone, Copy)]
struct Sent(*mut p21_client);
unsafe impl Send for Sent {}
unsafe impl Sync for Sent {}

impl Sent {
    fn get(self, flags: u32, wait_ms: u32) -> Result<String, p21_status> {
        let client = std::mem::ManuallyDrop::new(Client(self.0));
        client
            .get_within(flags, wait_ms)
            .map_err(|failure| failure.code())
    }
}

#[test]
fn a_caller_whose_time_is_over_leaves_the_request_to_go_on() {
    let emulator = emulator();
    let control = emulator.control();
    control.hold();
    let client = Client::demo(&emulator);
    let failure = client.get_within(0, 20).expect_err("held back");
    assert_eq!(failure.code(), P21_E_TIMEOUT);
    assert_eq!(failure.retry_after_ms(), 0);
    assert_eq!(p21_error_is_retryable(failure.0), 1);
    control.release();
    client.get(0).expect("the same request's token");
    assert_eq!(control.counter("token.requests"), 1);
}

#[test]
fn an_event_loop_is_told_to_come_back() {
    let emulator = emulator();
    let control = emulator.control();
    control.hold();
    let client = Client::demo(&emulator);
    for _ in 0..3 {
        let failure = client.get(P21_NO_WAIT).expect_err("before it arrived");
        assert_eq!(failure.code(), P21_E_PENDING);
    }
    assert!(control.wait_for("held", 1, PATIENCE));
    control.release();
    let end = Instant::now() + PATIENCE;
    while client.get(P21_NO_WAIT).is_err() {
        assert!(Instant::now() < end);
        std::thread::yield_now();
    }
    assert_eq!(control.counter("token.requests"), 1);
}

#[test]
fn many_threads_on_a_cold_client_make_one_request() {
    let emulator = emulator();
    let client = Client::demo(&emulator);
    let sent = Sent(client.0);
    let tokens = together(64, move |_| sent.get(0, 0).expect("a token"));
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    assert_eq!(emulator.control().counter("token.requests"), 1);
}

#[test]
fn those_who_wait_on_a_client_that_is_freed_return_at_once() {
    let emulator = emulator();
    let control = emulator.control();
    control.hold();
    let client = Client::demo(&emulator);
    let sent = Sent(client.0);
    let waiting: Vec<_> = (0..50)
        .map(|_| std::thread::spawn(move || sent.get(0, 3_600_000)))
        .collect();
    assert!(control.wait_for("held", 1, PATIENCE));
    drop(client);
    for thread in waiting {
        let status = thread.join().expect("no panic").expect_err("freed");
        assert!(
            [P21_E_CLOSED, P21_E_INVALID_HANDLE].contains(&status),
            "{status}: inside when it was freed, or too late"
        );
    }
    control.release();
}

#[test]
fn those_who_wait_on_a_client_that_is_updated_get_the_new_identitys_token() {
    let emulator = emulator();
    let control = emulator.control();
    control.hold();
    let client = Client::demo(&emulator);
    let sent = Sent(client.0);
    let waiting = std::thread::spawn(move || sent.get(0, 0));
    assert!(control.wait_for("held", 1, PATIENCE));
    let other = Config::demo(&emulator);
    other.set("username", "readonly");
    other.set("password", "readonly-password");
    let status = unsafe { p21_client_update(client.0, other.0, std::ptr::null_mut()) };
    assert_eq!(status, P21_OK);
    assert!(control.wait_for("held", 2, PATIENCE));
    control.release();
    let token = waiting.join().expect("no panic").expect("a token");
    let snapshot = client.snapshot(0, 0);
    assert_eq!(snapshot.value(), token);
    assert_eq!(snapshot.field("Claims.sub").as_deref(), Some("readonly"));
}

#[test]
fn clients_come_and_go_while_others_use_them() {
    let emulator = emulator();
    let config = Config::demo(&emulator);
    let client = config.open();
    let first = client.get(0).expect("a token");
    let sent = Sent(client.0);
    let expected = first.clone();
    let users: Vec<_> = (0..3)
        .map(|_| {
            let expected = expected.clone();
            std::thread::spawn(move || {
                loop {
                    match sent.get(P21_CACHED_ONLY, 0) {
                        Ok(token) => assert_eq!(token, expected),
                        Err(status) => return status,
                    }
                }
            })
        })
        .collect();
    let end = Instant::now() + Duration::from_millis(200);
    while Instant::now() < end {
        let other = config.open();
        assert_eq!(other.get(P21_CACHED_ONLY).expect("shared"), first);
        let _ = other.snapshot(0, 0);
    }
    drop(client);
    for user in users {
        let status = user.join().expect("no panic");
        assert!([P21_E_CLOSED, P21_E_INVALID_HANDLE].contains(&status));
    }
}

/// What a client leaves behind is used again by the next one; anyone who still holds the old handle must not notice.
#[test]
fn a_freed_handle_never_answers_with_the_token_of_the_client_that_follows() {
    let emulator = emulator();
    let ours = Config::demo(&emulator);
    let theirs = Config::demo(&emulator);
    theirs.set("username", "readonly");
    theirs.set("password", "readonly-password");
    // Both identities keep their tokens while no client is open.
    let token = ours.open().get(0).expect("a token");
    theirs.open().get(0).expect("a token");
    for _ in 0..300 {
        let client = ours.open();
        let sent = Sent(client.0);
        let token = token.clone();
        let user = std::thread::spawn(move || {
            while let Ok(seen) = sent.get(P21_CACHED_ONLY, 0) {
                assert_eq!(seen, token);
            }
        });
        drop(client);
        let other = theirs.open();
        user.join().expect("only its own token");
        drop(other);
    }
}
