//! What the tests share: the emulator and a client for it, and, in modules, the other parts that tests start for real.
#![allow(
    missing_docs,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::not_unsafe_ptr_arg_deref,
    clippy::wildcard_imports,
    clippy::must_use_candidate,
    clippy::new_without_default,
    reason = "for tests alone"
)]

pub mod capi;
pub mod child;
#[cfg(unix)]
pub mod fork;
pub mod identity;
#[cfg(unix)]
pub mod nginx;
pub mod pages;
pub mod planted;
#[cfg(unix)]
pub mod program;
#[cfg(target_os = "linux")]
pub mod programs;
#[cfg(unix)]
pub mod redis;
pub mod scripted;
pub mod server;
#[cfg(unix)]
pub mod squid;

use std::sync::Arc;
use std::time::Duration;

use p21_emulator::{Emulator, Options};
use p21auth::{Client, Code, Config, Error};

/// Long enough for any event on a busy machine; nothing is ever slowed down by it.
pub const PATIENCE: Duration = Duration::from_mins(1);

pub const USER: &str = "demo";
pub const PASSWORD: &str = "demo-password";
/// The first of its consumer keys.
pub const KEY: &str = "00000000-0000-4000-8000-000000000001";

/// An emulator over plain http on a port of its own.
pub fn emulator() -> Emulator {
    Emulator::start(Options::default()).expect("the emulator starts")
}

/// The configuration of its default user. Each emulator has its own port, so no two tests share an identity.
pub fn config(emulator: &Emulator) -> Config {
    let mut config = Config::new();
    config
        .set("base_url", Some(emulator.base_url()))
        .expect("valid");
    config.set("username", Some(USER)).expect("valid");
    config.set("password", Some(PASSWORD)).expect("valid");
    config.set("proxy", Some("direct")).expect("valid");
    config
}

pub fn client(emulator: &Emulator) -> Client {
    Client::open(&config(emulator)).expect("a client")
}

pub fn client_with(emulator: &Emulator, options: &[(&str, &str)]) -> Client {
    let mut config = config(emulator);
    for (name, value) in options {
        config.set(name, Some(value)).expect("valid");
    }
    Client::open(&config).expect("a client")
}

/// Runs `work` on `count` threads that begin together, and collects what they answer.
pub fn together<T: Send + 'static>(
    count: usize,
    work: impl Fn(usize) -> T + Send + Sync + 'static,
) -> Vec<T> {
    let barrier = Arc::new(std::sync::Barrier::new(count));
    let work = Arc::new(work);
    let threads: Vec<_> = (0..count)
        .map(|number| {
            let (barrier, work) = (Arc::clone(&barrier), Arc::clone(&work));
            let thread = std::thread::Builder::new().stack_size(256 * 1024);
            let run = move || {
                barrier.wait();
                work(number)
            };
            thread.spawn(run).expect("a thread")
        })
        .collect();
    threads
        .into_iter()
        .map(|thread| thread.join().expect("no panic"))
        .collect()
}

/// The code of an error, parts of its message and of its hint, and what must stand in none of it.
#[track_caller]
pub fn error_is(error: &Error, code: Code, message: &[&str], hint: &[&str], secrets: &[&str]) {
    assert_eq!(error.code(), code, "{error}");
    for part in message {
        assert!(error.message().contains(part), "no {part:?} in: {error}");
    }
    for part in hint {
        let is_there = error.hint().contains(part);
        assert!(is_there, "no {part:?} in the hint: {error}");
    }
    let all = format!("{error} {error:?}");
    for secret in secrets {
        assert!(!all.contains(secret), "{secret} in: {all}");
    }
}
