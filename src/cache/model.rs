//! Model checks of the gate: flight, slot and pulse under every order of events that a scheduler of shuttle thinks of.
//!
//! `tests/tools/model.sh` runs them in a build of their own (`--cfg shuttle`), in which the locks of `crate::sync` are
//! shuttle's; ordinary tests run them too, a few times each, on real threads in whatever order these come. With shuttle a wait with a timeout never times out, so a wake-up that is lost is a deadlock, which shuttle reports
//! with the order that led to it. Time stands still: nothing here comes right because somebody waited long enough.
//!
//! That the checks find faults was seen by planting these, one at a time; each made at least one check fail:
//! `seen` read after looking at the result in `ride`; `seen` of a hold read when the gate is free again; `notify_one` for
//! `notify_all`; no beat on landing, on closing, on `invalidate`; `gate.flight` left in place by a landing; `reject`
//! without comparing; the flight put into the gate in a second section after deciding; a landing that a dropped job does
//! not bring about.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use order::{Condvar, Mutex, explore, thread};

use super::decide::{Windows, Wish};
use super::flight::Spawn;
use super::slot::{Caller, Fetch, Fetched, Presence, Routed, Slot, SlotInfo, SlotOptions, Waited};
use crate::clock::{Clock, Now};
use crate::error::{Code, Error, Result};
use crate::options::AuthMode;
use crate::secret::Secret;
use crate::store::seal::{Keys, Salt};
use crate::token::{Life, Reply, Token};

#[cfg(shuttle)]
mod order {
    pub use shuttle::sync::{Condvar, Mutex};
    pub use shuttle::thread;

    use shuttle::scheduler::{PctScheduler, RandomScheduler};
    use shuttle::{Config, Runner};

    /// Orders tried by each of the two schedulers.
    const ORDERS: usize = 2_000;

    /// Runs a scenario under many orders of events: random ones, and ones with few but cruel switches.
    pub fn explore(scenario: impl Fn() + Send + Sync + Clone + 'static) {
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
mod order {
    pub use std::sync::{Condvar, Mutex};
    pub use std::thread;

    /// Runs a scenario a few times, on threads that the system switches.
    pub fn explore(scenario: impl Fn() + Send + Sync + Clone + 'static) {
        for _ in 0..20 {
            scenario();
        }
    }
}

/// Time stands still.
struct Still;

impl Clock for Still {
    fn now(&self) -> Now {
        Now {
            mono: 1_000_000,
            wall: 1_900_000_000_000,
        }
    }

    fn sleep(&self, _: Duration) {
        thread::yield_now();
    }
}

/// A thread for each flight, as in life.
struct Threads;

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

/// Gives a thread that ends before it has done anything.
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
    /// Tokens up to this number are refused by the router.
    dead: u64,
}

impl Server {
    fn new(answer: impl Fn(u64) -> Result<()> + Send + Sync + 'static) -> Arc<Server> {
        Arc::new(Server {
            requests: AtomicU64::new(0),
            routed: AtomicU64::new(0),
            answer: Box::new(answer),
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
    fn token(&self, _: Duration, on_try: &dyn Fn()) -> Result<Fetched> {
        on_try();
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        thread::yield_now();
        (self.answer)(number)?;
        Ok(Fetched {
            reply: Reply {
                access_token: Secret::new(format!("token-{number}")),
                ..Reply::default()
            },
            life: Life {
                sent: Still.now(),
                lifetime_ms: 3_600_000,
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

fn slot(spawn: impl Spawn + 'static, interval_ms: i64) -> Arc<Slot> {
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
    let (clock, spawn) = (Arc::new(Still), Arc::new(spawn));
    Slot::new(options, info, None, clock, spawn, |below| below - 1)
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
    work: impl FnOnce(&Caller<'_>) -> Result<Waited<T>>,
) -> Result<T> {
    let fetch = || Arc::clone(server) as Arc<dyn Fetch>;
    let caller = Caller {
        windows: WINDOWS,
        wait: Duration::from_mins(1),
        no_wait,
        presence,
        fetch: &fetch,
    };
    match work(&caller)? {
        Waited::Got(value) => Ok(value),
        Waited::Moved => panic!("nobody has moved"),
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

/// Runs `work` on so many threads and collects what they answer.
fn together<T: Send + 'static>(
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

fn word() -> &'static AtomicU64 {
    static WORD: AtomicU64 = AtomicU64::new(0);
    &WORD
}

#[test]
fn callers_that_meet_share_one_request() {
    explore(|| {
        let (slot, server) = (slot(Threads, 5_000), Server::good());
        let (same, asked) = (Arc::clone(&slot), Arc::clone(&server));
        let tokens = together(3, move |_| token(&same, &asked, false));
        assert!(tokens.iter().all(|got| *got == Ok("token-1".to_owned())));
        assert_eq!(server.requests(), 1);
        assert!(!slot.status().refreshing);
    });
}

#[test]
fn forced_refreshes_that_meet_share_one_request() {
    explore(|| {
        let (slot, server) = (slot(Threads, 5_000), Server::good());
        let (same, asked) = (Arc::clone(&slot), Arc::clone(&server));
        let tokens = together(3, move |number| token(&same, &asked, number > 0));
        assert!(tokens.iter().all(|got| *got == Ok("token-1".to_owned())));
        assert_eq!(server.requests(), 1);
    });
}

/// What everybody gets from a flight that ends badly, and that the next one may start.
fn ends_badly(spawn: fn() -> Arc<Slot>, server: fn() -> Arc<Server>, code: Code, requests: u64) {
    explore(move || {
        let (slot, server) = (spawn(), server());
        let (same, asked) = (Arc::clone(&slot), Arc::clone(&server));
        let codes = together(3, move |_| {
            token(&same, &asked, false).map_err(|error| error.code())
        });
        assert_eq!(codes, vec![Err(code); 3]);
        assert_eq!(server.requests(), requests);
        assert!(!slot.status().refreshing, "the gate is open again");
        if requests > 0 {
            slot.invalidate();
            assert_eq!(token(&slot, &server, false), Ok("token-2".to_owned()));
        }
    });
}

#[test]
fn a_failure_is_shared_and_opens_the_gate() {
    let fails_once = || {
        Server::new(|number| match number {
            1 => Err(Error::new(Code::Connect, "refused")),
            _ => Ok(()),
        })
    };
    ends_badly(|| slot(Threads, 5_000), fails_once, Code::Connect, 1);
}

#[test]
fn a_panic_is_shared_and_opens_the_gate() {
    let panics_once = || {
        Server::new(|number| match number {
            // Without the hook: it would print thousands of times.
            1 => std::panic::resume_unwind(Box::new("planted")),
            _ => Ok(()),
        })
    };
    ends_badly(|| slot(Threads, 5_000), panics_once, Code::Panic, 1);
}

#[test]
fn a_flight_without_a_thread_opens_the_gate() {
    ends_badly(|| slot(NoThreads, 5_000), Server::good, Code::NoMemory, 0);
}

#[test]
fn a_thread_that_dies_before_it_begins_opens_the_gate() {
    ends_badly(|| slot(Stillborn, 5_000), Server::good, Code::NoMemory, 0);
}

#[test]
fn closing_wakes_those_who_wait_although_the_flight_goes_on() {
    explore(|| {
        let held = Arc::new((Mutex::new(true), Condvar::new()));
        let server = {
            let held = Arc::clone(&held);
            Server::new(move |_| {
                let mut shut = held.0.lock().expect("unpoisoned");
                while *shut {
                    shut = held.1.wait(shut).expect("unpoisoned");
                }
                Ok(())
            })
        };
        let slot = slot(Threads, 5_000);
        slot.attach(word(), Duration::from_secs(30));
        let open = Arc::new(Mutex::new(true));
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let (slot, server, open) =
                    (Arc::clone(&slot), Arc::clone(&server), Arc::clone(&open));
                thread::spawn(move || {
                    let presence = || {
                        if *open.lock().expect("unpoisoned") {
                            Presence::Here
                        } else {
                            Presence::Closed
                        }
                    };
                    call(&server, &presence, false, |caller| {
                        slot.acquire(Wish::default(), caller)
                    })
                    .map(|_| ())
                    .map_err(|error| error.code())
                })
            })
            .collect();
        *open.lock().expect("unpoisoned") = false;
        assert_eq!(slot.detach(word()), 0);
        for waiter in waiters {
            assert_eq!(waiter.join().expect("no panic"), Err(Code::Closed));
        }
        *held.0.lock().expect("unpoisoned") = false;
        held.1.notify_all();
    });
}

#[test]
fn a_late_report_never_takes_the_new_token() {
    explore(|| {
        let (slot, server) = (slot(Threads, 0), Server::good());
        assert_eq!(token(&slot, &server, false), Ok("token-1".to_owned()));
        let (same, asked) = (Arc::clone(&slot), Arc::clone(&server));
        let tokens = together(3, move |number| {
            if number == 0 {
                token(&same, &asked, true)
            } else {
                same.reject("token-1");
                Ok("token-2".to_owned())
            }
        });
        assert!(tokens.iter().all(|got| *got == Ok("token-2".to_owned())));
        assert_eq!(token(&slot, &server, false), Ok("token-2".to_owned()));
        assert_eq!(server.requests(), 2);
        assert!(slot.counters.rejections.load(Ordering::Relaxed) <= 1);
    });
}

#[test]
fn reports_of_one_dead_token_cost_one_request() {
    explore(|| {
        let (slot, server) = (slot(Threads, 0), Server::good());
        assert_eq!(token(&slot, &server, false), Ok("token-1".to_owned()));
        let (same, asked) = (Arc::clone(&slot), Arc::clone(&server));
        let tokens = together(3, move |_| {
            same.reject("token-1");
            token(&same, &asked, false)
        });
        assert!(tokens.iter().all(|got| *got == Ok("token-2".to_owned())));
        assert_eq!(server.requests(), 2);
        assert_eq!(slot.counters.rejections.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn lifting_a_hold_wakes_those_who_wait_it_out() {
    explore(|| {
        let (slot, server) = (slot(Threads, 5_000), Server::good());
        assert_eq!(token(&slot, &server, false), Ok("token-1".to_owned()));
        slot.reject("token-1");
        // Time stands still, so the interval of five seconds never ends by itself.
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let (slot, server) = (Arc::clone(&slot), Arc::clone(&server));
                thread::spawn(move || token(&slot, &server, false))
            })
            .collect();
        slot.invalidate();
        for waiter in waiters {
            assert_eq!(waiter.join().expect("no panic"), Ok("token-2".to_owned()));
        }
        assert_eq!(server.requests(), 2);
    });
}

#[test]
fn who_does_not_wait_starts_the_flight_that_others_ride() {
    explore(|| {
        let (slot, server) = (slot(Threads, 5_000), Server::good());
        let (same, asked) = (Arc::clone(&slot), Arc::clone(&server));
        let results = together(3, move |number| {
            call(&asked, &|| Presence::Here, number == 0, |caller| {
                same.acquire(Wish::default(), caller)
            })
            .map(|token| token.value().to_owned())
            .map_err(|error| error.code())
        });
        assert!(
            matches!(&results[0], Ok(token) if token == "token-1")
                || results[0] == Err(Code::Pending)
        );
        assert!(
            results[1..]
                .iter()
                .all(|got| *got == Ok("token-1".to_owned()))
        );
        assert_eq!(server.requests(), 1);
    });
}

#[test]
fn the_ui_url_is_one_request_and_one_repair_however_many_ask() {
    for dead in [0, 1] {
        explore(move || {
            let mut server = Server::good();
            Arc::get_mut(&mut server).expect("not shared yet").dead = dead;
            let slot = slot(Threads, 0);
            let (same, asked) = (Arc::clone(&slot), Arc::clone(&server));
            let urls = together(2, move |_| {
                call(&asked, &|| Presence::Here, false, |caller| {
                    same.ui_url(Wish::default(), caller)
                })
            });
            let wanted = format!("https://p21.example.com/token-{}", dead + 1);
            assert!(
                urls.iter().all(|url| url.as_deref() == Ok(&*wanted)),
                "{urls:?}"
            );
            assert_eq!(server.requests(), dead + 1);
            assert_eq!(server.routed.load(Ordering::Relaxed), dead + 1);
        });
    }
}

#[test]
fn a_ui_url_is_never_older_than_the_token_that_is_there() {
    explore(|| {
        let (slot, server) = (slot(Threads, 0), Server::good());
        assert_eq!(token(&slot, &server, false), Ok("token-1".to_owned()));
        let (same, asked) = (Arc::clone(&slot), Arc::clone(&server));
        let urls = together(2, move |number| {
            // Between the other caller's token and its question, or while the router is asked.
            if number == 1 {
                same.reject("token-1");
            }
            call(&asked, &|| Presence::Here, false, |caller| {
                same.ui_url(Wish::default(), caller)
            })
            .expect("a URL")
        });
        assert!(urls[1].ends_with("/token-2"), "{urls:?}");
        assert!(server.routed.load(Ordering::Relaxed) <= 2);
    });
}
