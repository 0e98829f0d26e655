//! A runtime of its own with a hand-set clock, flights on the caller's thread and a server that is a function.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use p21auth::internal::cache::Spawn;
use p21auth::internal::client::Runtime;
use p21auth::internal::clock::{Clock, ManualClock, Now};
use p21auth::internal::http::{Limits, Transport};
use p21auth::internal::wire::{Request, Response};
use p21auth::{Client, Config, Result};

/// What the server does with its `n`th request, from 1 on.
pub trait Answers: Fn(u64, &Request) -> Result<Response> + Send + Sync + 'static {}
impl<F: Fn(u64, &Request) -> Result<Response> + Send + Sync + 'static> Answers for F {}

/// Counts the requests and answers them.
pub struct Server {
    requests: AtomicU64,
    answer: Box<dyn Answers>,
}

impl Server {
    pub fn new(answer: impl Answers) -> Arc<Server> {
        Arc::new(Server {
            requests: AtomicU64::new(0),
            answer: Box::new(answer),
        })
    }

    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Transport for Server {
    fn send(&self, request: &Request, _: &Limits) -> Result<Response> {
        (self.answer)(self.requests.fetch_add(1, Ordering::SeqCst) + 1, request)
    }
}

/// Runs a flight here and now.
pub struct Inline;

impl Spawn for Inline {
    fn spawn(&self, job: Box<dyn FnOnce() + Send>) -> Result<()> {
        job();
        Ok(())
    }
}

/// Some day in 2030.
pub fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Now {
        mono: 1_000_000,
        wall: 1_900_000_000_000,
    }))
}

/// The longest that chance can make a wait.
pub fn most(below: u64) -> u64 {
    below - 1
}

/// Evenly spread, the same in every run.
pub fn even(below: u64) -> u64 {
    static STATE: AtomicU64 = AtomicU64::new(7);
    let mut x = STATE.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (x ^ (x >> 31)) % below
}

/// Stands still like a hand-set clock, but a call that waits on it really waits.
pub struct Standing(ManualClock);

impl Standing {
    pub fn new() -> Arc<Standing> {
        Arc::new(Standing(ManualClock::new(Now {
            mono: 1_000_000,
            wall: 1_900_000_000_000,
        })))
    }

    pub fn advance(&self, ms: i64) {
        self.0.advance(ms);
    }
}

impl Clock for Standing {
    fn now(&self) -> Now {
        self.0.now()
    }

    fn sleep(&self, duration: Duration) {
        self.0.sleep(duration);
    }
}

pub fn runtime(
    clock: &Arc<impl Clock + 'static>,
    spawn: impl Spawn + 'static,
    random: fn(u64) -> u64,
    server: &Arc<Server>,
) -> Arc<Runtime> {
    let server = Arc::clone(server);
    Runtime::new(
        Arc::clone(clock) as Arc<dyn Clock>,
        Arc::new(spawn),
        random,
        Box::new(move |_| Ok(Arc::clone(&server) as Arc<dyn Transport>)),
    )
}

/// A client of `user` with `options` over no retries.
pub fn open(runtime: &Arc<Runtime>, options: &[(&str, &str)]) -> Client {
    let mut config = Config::new();
    let base = [
        ("base_url", "https://p21.example.com"),
        ("username", "user"),
        ("password", "secret-password"),
        ("max_retries", "0"),
    ];
    for (name, value) in base.iter().chain(options) {
        config.set(name, Some(value)).expect("valid");
    }
    Client::open_in(runtime, &config).expect("a client")
}

pub fn response(status: u16, body: &str) -> Response {
    Response {
        status,
        headers: Vec::new(),
        body: body.as_bytes().to_vec().into(),
    }
}

/// A token reply; without a lifetime it states none.
pub fn token(name: &str, lifetime_s: Option<i64>) -> Response {
    let lifetime = lifetime_s.map_or_else(String::new, |s| format!(r#","ExpiresInSeconds":{s}"#));
    response(200, &format!(r#"{{"AccessToken":"{name}"{lifetime}}}"#))
}
