//! Flights against a store that changes between their steps, which real ones do only now and then.

use std::sync::{Mutex, PoisonError};

use super::link::seal;
use super::*;
use crate::cache::slot::Routed;
use crate::clock::ManualClock;
use crate::secret::Secret;
use crate::store::record::Record;
use crate::store::seal::Salt;
use crate::store::{Change, Edit, EntryKind, Lease, Loaded, Published, Sealed, Store, Wake};
use crate::token::{Reply, Token};

const SALT: Salt = [7; 16];
const DAY_MS: i64 = 86_400_000;

fn clock() -> ManualClock {
    ManualClock::new(Now {
        mono: 0,
        wall: 1_800_000_000_000,
    })
}

/// What happened, in order.
type Log = Arc<Mutex<Vec<&'static str>>>;

fn note(log: &Log, what: &'static str) {
    log.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(what);
}

/// Each look finds the next of these, then the last one for good.
struct Scripted {
    loads: Mutex<Vec<Loaded>>,
    publishes: Result<Published, Fault>,
    log: Log,
}

impl Store for Scripted {
    fn kind(&self) -> &'static str {
        "scripted"
    }

    fn shown(&self) -> String {
        "scripted".to_owned()
    }

    fn salt(&self, _: &Salt) -> Result<Salt, Fault> {
        Ok(SALT)
    }

    fn load(&self, _: &str) -> Result<Loaded, Fault> {
        note(&self.log, "look");
        let mut loads = self.loads.lock().expect("unpoisoned");
        let next = if loads.len() > 1 {
            loads.remove(0)
        } else {
            loads[0].clone()
        };
        Ok(Loaded {
            salt: Some(SALT),
            ..next
        })
    }

    fn try_lease(&self, _: &str, _: &Ticket) -> Result<Attempt, Fault> {
        note(&self.log, "lease");
        Ok(Attempt::Got(Box::new(Right {
            publishes: self.publishes.clone(),
            log: Arc::clone(&self.log),
        })))
    }

    fn wait(&self, _: &str, _: &mut Ticket, _: Duration) -> Wake {
        Wake::News
    }

    fn list(&self) -> Result<Vec<(String, EntryKind, Sealed)>, Fault> {
        Ok(Vec::new())
    }

    fn clear(&self, _: Option<i64>) -> Result<usize, Fault> {
        Ok(0)
    }
}

struct Right {
    publishes: Result<Published, Fault>,
    log: Log,
}

impl Lease for Right {
    fn keep(&mut self) {
        note(&self.log, "keep");
    }

    fn publish(&self, change: &Change<'_>) -> Result<Published, Fault> {
        note(
            &self.log,
            match (change.token, change.denial, change.failure) {
                (Edit::Put(_), Edit::Remove, Edit::Remove) => "publish token",
                (Edit::Leave, Edit::Put(_), Edit::Remove) => "publish refusal",
                (Edit::Leave, Edit::Leave, Edit::Put(_)) => "publish failure",
                _ => "publish something else",
            },
        );
        self.publishes.clone()
    }
}

impl Drop for Right {
    fn drop(&mut self) {
        note(&self.log, "give back");
    }
}

/// A server that issues a token, or says no in this way.
struct Server {
    issues: Result<&'static str, Code>,
    clock: Arc<ManualClock>,
    log: Log,
}

fn reply(token: &str) -> Reply {
    Reply {
        access_token: Secret::new(token),
        ..Reply::default()
    }
}

impl Fetch for Server {
    fn token(&self, _: Duration, _: &dyn Fn()) -> Result<Fetched> {
        note(&self.log, "ask");
        let token = self.issues.map_err(|code| Error::new(code, "no"))?;
        Ok(Fetched {
            reply: reply(token),
            life: Life {
                sent: self.clock.now(),
                lifetime_ms: DAY_MS,
            },
            skew_s: 0,
        })
    }

    fn ui_url(&self, _: &Token, _: Duration, _: &dyn Fn()) -> Result<Routed> {
        Err(Error::new(Code::Internal, "no one asks"))
    }

    fn store_keys(&self, salt: &Salt) -> Result<Keys> {
        let key = Secret::new("00000000-0000-4000-8000-000000000001");
        Keys::derive(salt, "identity", &key, &Secret::default())
    }
}

fn refusal() -> Error {
    Error::new(Code::Unauthorized, "no")
}

/// What a look finds when another process has published this record.
fn found(record: &Record) -> Loaded {
    let server = Server {
        issues: Ok(""),
        clock: Arc::new(clock()),
        log: Log::default(),
    };
    let which = match record {
        Record::Denied { .. } => EntryKind::Denial,
        Record::Failed { .. } => EntryKind::Failure,
        _ => EntryKind::Token,
    };
    let keys = server.store_keys(&SALT).expect("keys");
    let fresh = seal(&keys, which, record, DAY_MS, clock().now()).expect("sealed");
    let sealed = Some(Sealed {
        bytes: match fresh.put() {
            Edit::Put(keep) => keep.bytes.to_vec(),
            edit => panic!("{edit:?}"),
        },
        left_ms: Some(DAY_MS),
    });
    match which {
        EntryKind::Token => Loaded {
            token: sealed,
            ..Loaded::default()
        },
        EntryKind::Failure => Loaded {
            failure: sealed,
            ..Loaded::default()
        },
        EntryKind::Denial => Loaded {
            denial: sealed,
            ..Loaded::default()
        },
    }
}

fn token_of_another() -> Loaded {
    let life = Life {
        sent: clock().now(),
        lifetime_ms: DAY_MS,
    };
    found(&Record::Token(reply("theirs"), life))
}

/// A flight; answers the token or the error, and what happened.
fn run_flight(
    loads: Vec<Loaded>,
    publishes: Result<Published, Fault>,
    issues: Result<&'static str, Code>,
) -> (String, Vec<&'static str>) {
    let (clock, log) = (Arc::new(clock()), Log::default());
    let store = Scripted {
        loads: Mutex::new(loads),
        publishes,
        log: Arc::clone(&log),
    };
    let server = Server {
        issues,
        clock: Arc::clone(&clock),
        log: Arc::clone(&log),
    };
    let share =
        SharedTokens::new(vec![MonitoredStore::new(Box::new(store))], false).expect("a share");
    let result = share.run_flight(&FlightContext {
        fetch: &server,
        clock: &*clock,
        random: |_| 0,
        limit: Duration::from_secs(30),
        adoptable: &|_, _| true,
        denials: 0,
        failures: 0,
        lifted: false,
        pace: Pace {
            cooldown_ms: 60_000,
        },
        min_interval_ms: 5_000,
        on_try: &|| {},
    });
    let what = match result.result {
        Ok(Outcome::Fetched(fetched)) => fetched.reply.access_token.expose().to_owned(),
        Ok(Outcome::Adopted(found)) => found.reply.access_token.expose().to_owned(),
        Ok(Outcome::Refused { left_ms, .. }) => format!("refused for {left_ms} ms"),
        Err(error) => error.code().name().to_owned(),
    };
    let log = log.lock().expect("unpoisoned").clone();
    (what, log)
}

const STORED: Result<Published, Fault> = Ok(Published::Stored);

#[test]
fn what_came_is_published_before_the_right_is_given_back() {
    let (what, log) = run_flight(vec![Loaded::default()], STORED, Ok("ours"));
    assert_eq!(what, "ours");
    let right = ["look", "lease", "look", "keep", "ask"];
    assert_eq!(log, [&right[..], &["publish token", "give back"]].concat());
    let (what, log) = run_flight(vec![Loaded::default()], STORED, Err(Code::Unauthorized));
    assert_eq!(what, "P21_E_UNAUTHORIZED");
    assert_eq!(
        log,
        [&right[..], &["publish refusal", "give back"]].concat()
    );
}

#[test]
fn what_was_published_between_look_and_lease_is_taken_over() {
    let loads = vec![Loaded::default(), token_of_another()];
    let (what, log) = run_flight(loads, STORED, Ok("ours"));
    assert_eq!(what, "theirs");
    assert_eq!(log, ["look", "lease", "look", "give back"]);
    let denied = found(&Record::Denied {
        error: refusal(),
        left_ms: 60_000,
        denials: 1,
    });
    let (what, log) = run_flight(vec![Loaded::default(), denied], STORED, Ok("ours"));
    assert_eq!(what, "refused for 60000 ms");
    assert_eq!(log, ["look", "lease", "look", "give back"]);
}

#[test]
fn who_is_fenced_off_takes_the_newer_token() {
    let loads = vec![Loaded::default(), Loaded::default(), token_of_another()];
    let (what, _) = run_flight(loads, Ok(Published::Fenced), Ok("ours"));
    assert_eq!(what, "theirs");
    // Evicted meanwhile: one's own is as good as any.
    let (what, _) = run_flight(vec![Loaded::default()], Ok(Published::Fenced), Ok("ours"));
    assert_eq!(what, "ours");
}

#[test]
fn a_store_that_cannot_take_the_token_costs_no_one_the_token() {
    let full = || Err(Fault::new("full"));
    let (what, _) = run_flight(vec![Loaded::default()], full(), Ok("ours"));
    assert_eq!(what, "ours");
    let (what, _) = run_flight(vec![Loaded::default()], full(), Err(Code::Unauthorized));
    assert_eq!(what, "P21_E_UNAUTHORIZED");
}

#[test]
fn a_failure_that_another_machine_would_meet_too_is_published_with_its_wait() {
    use Code::{
        Config, Connect, Dns, Http, Io, NoMemory, Proxy, RateLimited, Server, Timeout, Tls,
    };
    for code in [Connect, Io, Timeout, Http, Server, RateLimited] {
        let (what, log) = run_flight(vec![Loaded::default()], STORED, Err(code));
        assert_eq!(what, code.name());
        assert_eq!(log[5..], ["publish failure", "give back"], "{what}");
    }
    for code in [Config, NoMemory, Dns, Proxy, Tls] {
        let (what, log) = run_flight(vec![Loaded::default()], STORED, Err(code));
        assert_eq!(what, code.name());
        assert_eq!(log[5..], ["give back"], "{what}");
    }
}

#[test]
fn a_failure_of_another_process_is_shared_until_its_wait_is_over() {
    let failed = |left_ms| {
        found(&Record::Failed {
            error: Error::new(Code::Server, "down"),
            left_ms,
            failures: 3,
        })
    };
    let (what, log) = run_flight(vec![failed(1)], STORED, Ok("ours"));
    assert_eq!((what.as_str(), log), ("P21_E_SERVER", vec!["look"]));
    let (what, log) = run_flight(vec![failed(0)], STORED, Ok("ours"));
    assert_eq!((what.as_str(), log.len()), ("ours", 7));
    let loads = vec![Loaded::default(), failed(1)];
    let (what, log) = run_flight(loads, STORED, Ok("ours"));
    assert_eq!(what, "P21_E_SERVER");
    assert_eq!(log, ["look", "lease", "look", "give back"]);
}
