//! Model checks of the gate: flight, slot and pulse under every order of events that a scheduler of shuttle thinks of.
//!
//! `tests/tools/model.sh` runs them in a build of their own (`--cfg shuttle`), in which the locks of `crate::sync` are
//! shuttle's; ordinary tests run them too, a few times each, on real threads in any order these come. With shuttle a
//! wait with a timeout never times out, so a wake-up that is lost is a deadlock, which shuttle reports with the order that
//! led to it. Time moves only where a check moves it: nothing here comes right because someone waited long enough.
//!
//! Faults of these kinds were planted in an earlier form of the gate, one at a time, and each made at least one check fail: a
//! ticket taken after looking at the result, `notify_one` for `notify_all`, no beat on landing, on closing or on `invalidate`,
//! `gate.flight` left in place by a landing, `reject` without comparing, the flight put into the gate in a second section
//! after deciding, a landing that a dropped job does not bring about.
//!
//! Faults in what is published for hits, and the check of `hits` that each made fail: a forked child keeps its parent's flight,
//! or publishes nothing (`a_forked_child_asks_itself…`); it forgets the backoff (`a_forked_child_keeps…`); an update or a detach
//! leaves the old hold active, or every hold writes to the board (`client::model`, `a_client_that_was_updated…`); `reject` or
//! `invalidate` publishes nothing (`a_token_that_was_dropped…`); nor does a landing (`after_a_failure…`); a blocked hold has hits
//! (`a_client_that_must_look_first…`). A close that leaves its hold active is no fault: `detach` empties the board.

mod gate;
mod hits;
mod life;
mod ui;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use order::{Condvar, Mutex, explore, thread};

use super::decide::{Windows, Wish};
use super::flight::Spawn;
use super::hold::{Board, Hold};
use super::slot::{
    Caller, Fetch, Fetched, Presence, Reloaded, Routed, Slot, SlotInfo, SlotOptions, Waited,
};
use crate::clock::{Clock, Now};
use crate::error::{Code, Error, Result};
use crate::options::AuthMode;
use crate::secret::Secret;
use crate::store::seal::{Keys, Salt};
use crate::token::{Life, Reply, Token};

#[cfg(shuttle)]
pub(crate) mod order {
    pub(crate) use shuttle::sync::{Condvar, Mutex};
    pub(crate) use shuttle::thread;

    use shuttle::scheduler::{PctScheduler, RandomScheduler};
    use shuttle::{Config, Runner};

    /// Orders tried by each of the two schedulers.
    const ORDERS: usize = 2_000;

    /// Runs a scenario under many orders of events: random ones, and ones with few but cruel switches.
    pub(crate) fn explore(scenario: impl Fn() + Send + Sync + Clone + 'static) {
        let config = || {
            let mut config = Config::new();
            // Messages are formatted on these stacks.
            config.stack_size = 256 * 1024;
            config
        };
        Runner::new(RandomScheduler::new(ORDERS), config()).run(scenario.clone());
        Runner::new(PctScheduler::new(3, ORDERS), config()).run(scenario);
    }
}

#[cfg(not(shuttle))]
pub(crate) mod order {
    pub(crate) use std::sync::{Condvar, Mutex};
    pub(crate) use std::thread;

    /// Runs a scenario a few times, on threads that the system switches.
    pub(crate) fn explore(scenario: impl Fn() + Send + Sync + Clone + 'static) {
        for _ in 0..20 {
            scenario();
        }
    }
}

/// Time stands still until a check moves it.
#[derive(Default)]
pub(crate) struct Still(AtomicI64);

impl Still {
    fn pass(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for Still {
    fn now(&self) -> Now {
        let passed = self.0.load(Ordering::Relaxed);
        Now {
            mono: 1_000_000 + passed,
            wall: 1_900_000_000_000 + passed,
        }
    }

    fn sleep(&self, _: Duration) {
        thread::yield_now();
    }
}

/// A thread for each flight, as in life.
pub(crate) struct Threads;

impl Spawn for Threads {
    fn spawn(&self, job: Box<dyn FnOnce() + Send>) -> Result<()> {
        thread::spawn(job);
        Ok(())
    }
}

/// Says no.
struct NoThreads;

impl Spawn for NoThreads {
    fn spawn(&self, _: Box<dyn FnOnce() + Send>) -> Result<()> {
        Err(Error::new(Code::NoMemory, "no thread"))
    }
}

/// Returns a thread that ends before it has done anything.
struct Stillborn;

impl Spawn for Stillborn {
    fn spawn(&self, job: Box<dyn FnOnce() + Send>) -> Result<()> {
        thread::spawn(move || drop(job));
        Ok(())
    }
}

/// Answers the `n`th request, from 1 on.
type Answer = Box<dyn Fn(u64) -> Result<()> + Send + Sync>;

/// The server, whose tokens are called `token-1`, `token-2`, …
struct Server {
    requests: AtomicU64,
    routed: AtomicU64,
    answer: Answer,
    /// What comes of reading the secret again, before each flight.
    reloaded: Box<dyn Fn() -> Result<Reloaded> + Send + Sync>,
    clock: Arc<Still>,
    lifetime_ms: i64,
    /// Tokens up to this number are refused by the router.
    dead: u64,
}

impl Server {
    fn new(answer: impl Fn(u64) -> Result<()> + Send + Sync + 'static) -> Arc<Server> {
        Arc::new(Server {
            requests: AtomicU64::new(0),
            routed: AtomicU64::new(0),
            answer: Box::new(answer),
            reloaded: Box::new(|| Ok(Reloaded::Same)),
            clock: Arc::default(),
            lifetime_ms: 3_600_000,
            dead: 0,
        })
    }

    fn good() -> Arc<Server> {
        Server::new(|_| Ok(()))
    }

    fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Fetch for Server {
    fn reload(&self, _: Duration, _: &dyn Fn(Option<String>)) -> Result<Reloaded> {
        thread::yield_now();
        (self.reloaded)()
    }

    fn token(&self, _: Duration, on_try: &dyn Fn()) -> Result<Fetched> {
        on_try();
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let sent = self.clock.now();
        thread::yield_now();
        (self.answer)(number)?;
        Ok(Fetched {
            reply: Reply {
                access_token: Secret::new(format!("token-{number}")),
                ..Reply::default()
            },
            life: Life {
                sent,
                lifetime_ms: self.lifetime_ms,
            },
            skew_s: 0,
        })
    }

    fn store_keys(&self, _: &Salt) -> Result<Keys> {
        unreachable!("nothing is shared here")
    }

    fn ui_url(&self, token: &Token, _: Duration, on_try: &dyn Fn()) -> Result<Routed> {
        on_try();
        self.routed.fetch_add(1, Ordering::Relaxed);
        thread::yield_now();
        let number: u64 = token.value()["token-".len()..].parse().expect("a number");
        Ok(if number <= self.dead {
            Routed::Rejected(Error::new(Code::Unauthorized, "dead"))
        } else {
            Routed::Url(format!("https://p21.example.com/{}", token.value()))
        })
    }
}

/// A slot whose time stands still.
fn slot(spawn: impl Spawn + 'static, interval_ms: i64) -> Arc<Slot> {
    slot_at(Arc::default(), spawn, interval_ms)
}

fn slot_at(clock: Arc<Still>, spawn: impl Spawn + 'static, interval_ms: i64) -> Arc<Slot> {
    let options = SlotOptions {
        min_refresh_interval_ms: interval_ms,
        cooldown_ms: 60_000,
        default_lifetime_ms: 3_000_000,
        max_retries: 0,
        max_response_bytes: 1 << 20,
        user_agent: String::new(),
    };
    let info = SlotInfo {
        base_url: "https://p21.example.com".to_owned(),
        auth_mode: AuthMode::V2Password,
        fingerprint: String::new(),
    };
    Slot::new(options, info, None, clock, Arc::new(spawn), |below| {
        below - 1
    })
}

const WINDOWS: Windows = Windows {
    refresh_margin_ms: 300_000,
    max_token_age_ms: 86_400_000,
};

/// Calls `work` with a caller of `server` that may wait a minute.
fn call<T>(
    server: &Arc<Server>,
    presence: &dyn Fn() -> Presence,
    no_wait: bool,
    work: impl Fn(&Caller<'_>) -> Result<Waited<T>>,
) -> Result<T> {
    let fetch = || Arc::clone(server) as Arc<dyn Fetch>;
    let caller = Caller {
        windows: WINDOWS,
        hold: None,
        wait: Duration::from_mins(1),
        no_wait,
        presence,
        fetch: &fetch,
    };
    loop {
        match work(&caller)? {
            Waited::Got(value) => return Ok(value),
            // Its client is where it was: another's has moved.
            Waited::Moved => {}
        }
    }
}

/// Asks as an open client; answers the number of the token.
fn token(slot: &Arc<Slot>, server: &Arc<Server>, force: bool) -> Result<String> {
    let wish = Wish {
        force,
        ..Wish::default()
    };
    // A switch between looking at the result and waiting, where a careless wait would miss the beat.
    let presence = || {
        thread::yield_now();
        Presence::Here
    };
    call(server, &presence, false, |caller| {
        slot.acquire(wish, caller)
    })
    .map(|token| token.value().to_owned())
}

/// Runs `work` on this many threads and collects what they answer.
pub(crate) fn together<T: Send + 'static>(
    count: usize,
    work: impl Fn(usize) -> T + Send + Sync + 'static,
) -> Vec<T> {
    let work = Arc::new(work);
    let threads: Vec<_> = (0..count)
        .map(|number| {
            let work = Arc::clone(&work);
            thread::spawn(move || work(number))
        })
        .collect();
    threads
        .into_iter()
        .map(|thread| thread.join().expect("no panic"))
        .collect()
}

/// A client's hold, on a board of its own.
fn hold() -> Arc<Hold> {
    hold_on(board())
}

fn board() -> &'static Board {
    // A client's board is never freed.
    Box::leak(Box::new(Board::new()))
}

fn hold_on(board: &'static Board) -> Arc<Hold> {
    Hold::new(board, WINDOWS, Duration::from_secs(30))
}
