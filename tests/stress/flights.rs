//! Flights that end badly: a panic inside, no thread to be had, a job that is dropped. The gate opens again, every time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use p21auth::internal::cache::{Spawn, ThreadSpawner};
use p21auth::{Code, Error, Result, TokenOptions};

use test_support::scripted::{Inline, Server, Standing, most, open, runtime, token};
use test_support::together;

/// Anyone who is not woken waits this long, and the test with it: far longer than a test may take.
const PATIENT: (&str, &str) = ("timeout_ms", "3600000");

/// Holds flights until someone opens it.
#[derive(Default)]
struct Door(Mutex<bool>, Condvar);

impl Door {
    fn open(&self) {
        *self.0.lock().expect("unpoisoned") = true;
        self.1.notify_all();
    }

    fn pass(&self) {
        let mut open = self.0.lock().expect("unpoisoned");
        while !*open {
            open = self.1.wait(open).expect("unpoisoned");
        }
    }
}

#[test]
fn a_panic_inside_the_flight_is_every_callers_error_and_the_next_call_works() {
    let clock = Standing::new();
    let server = Server::new(|number, _| {
        assert!(number != 1, "planted: secret-password");
        Ok(token("good", Some(3600)))
    });
    // A thread of its own: a panic on the caller's would prove nothing.
    let client = open(&runtime(&clock, ThreadSpawner, most, &server), &[PATIENT]);
    let asking = client.clone();
    let errors = together(20, move |_| asking.token().expect_err("it panicked"));
    for error in &errors {
        assert_eq!(error.code(), Code::Panic);
        assert!(!format!("{error:?}").contains("secret-password"));
    }
    assert_eq!(
        server.requests(),
        1,
        "shared, and a backoff like any failure"
    );
    clock.advance(1_000);
    assert_eq!(client.token().expect("it works").value(), "good");
}

#[test]
fn a_panic_keeps_the_token_that_there_is() {
    let clock = Standing::new();
    let server = Server::new(|number, _| {
        assert!(number == 1, "planted");
        Ok(token("good", Some(3600)))
    });
    let client = open(&runtime(&clock, ThreadSpawner, most, &server), &[PATIENT]);
    client.token().expect("a token");
    clock.advance(3_599_000);
    assert_eq!(client.token().expect("the old one").value(), "good");
    let force = TokenOptions {
        force_refresh: true,
        ..TokenOptions::default()
    };
    clock.advance(500);
    assert_eq!(
        client.token_with(&force).expect_err("told").code(),
        Code::Panic
    );
}

/// Refuses while told to, as a system at its limit of threads does.
struct Refusing(Arc<AtomicBool>);

impl Spawn for Refusing {
    fn spawn(&self, job: Box<dyn FnOnce() + Send>) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            return Err(Error::new(
                Code::NoMemory,
                "no thread for the token request",
            ));
        }
        Inline.spawn(job)
    }
}

#[test]
fn a_thread_that_cannot_be_had_is_an_error_and_the_next_call_works() {
    let (clock, refuse) = (Standing::new(), Arc::new(AtomicBool::new(true)));
    let server = Server::new(|number, _| Ok(token(&format!("token-{number}"), Some(3600))));
    let client = open(
        &runtime(&clock, Refusing(Arc::clone(&refuse)), most, &server),
        &[PATIENT],
    );
    let asking = client.clone();
    for error in together(20, move |_| asking.token().expect_err("no thread")) {
        assert_eq!(error.code(), Code::NoMemory);
        assert!(!error.hint().is_empty() && error.is_retryable());
    }
    assert_eq!(server.requests(), 0);
    refuse.store(false, Ordering::Relaxed);
    clock.advance(1_000);
    assert_eq!(client.token().expect("a thread again").value(), "token-1");
    // With a token in hand no one notices.
    refuse.store(true, Ordering::Relaxed);
    clock.advance(3_400_000);
    assert_eq!(client.token().expect("the old one").value(), "token-1");
    assert_eq!(
        client.ui_url().expect_err("no thread").code(),
        Code::NoMemory
    );
}

/// Returns a thread that ends before it begins.
struct Stillborn;

impl Spawn for Stillborn {
    fn spawn(&self, job: Box<dyn FnOnce() + Send>) -> Result<()> {
        std::thread::spawn(move || drop(job));
        Ok(())
    }
}

#[test]
fn a_thread_that_dies_before_it_begins_leaves_no_one_waiting() {
    let (clock, server) = (
        Standing::new(),
        Server::new(|_, _| Ok(token("none", Some(3600)))),
    );
    let client = open(&runtime(&clock, Stillborn, most, &server), &[PATIENT]);
    for error in together(20, move |_| client.token().expect_err("no flight")) {
        assert_eq!(error.code(), Code::NoMemory);
    }
    assert_eq!(server.requests(), 0);
}

#[test]
fn a_flight_that_outlives_its_client_lands_in_the_slot() {
    let (clock, door) = (Standing::new(), Arc::new(Door::default()));
    let server = {
        let door = Arc::clone(&door);
        Server::new(move |number, _| {
            door.pass();
            Ok(token(&format!("token-{number}"), Some(3600)))
        })
    };
    let runtime = runtime(&clock, ThreadSpawner, most, &server);
    let first = open(&runtime, &[PATIENT]);
    let no_wait = TokenOptions {
        no_wait: true,
        ..TokenOptions::default()
    };
    assert_eq!(
        first.token_with(&no_wait).expect_err("not yet").code(),
        Code::Pending
    );
    drop(first);
    // The next client of the identity rides the same flight.
    let second = open(&runtime, &[PATIENT]);
    let waiting = std::thread::spawn(move || second.token().map(|token| token.value().to_owned()));
    door.open();
    assert_eq!(
        waiting.join().expect("no panic").expect("a token"),
        "token-1"
    );
    assert_eq!(server.requests(), 1);
}
