//! What the emulator knows: users, tokens, counters, faults, the gate and the time.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::{Condvar, Mutex, MutexGuard};
use serde_json::Value;

use super::apis::{Answer, Session};
use super::calls::Calls;
use super::data::Data;
use super::fault::Queue;
use super::message::Request;
use super::options::{ConsumerKey, Log, Options, User};
use super::settings::Settings;
use super::text;

/// Every counter by its dotted name, such as `token.requests`.
pub type Counters = BTreeMap<String, u64>;

/// Counters that are always there, if only as 0; those with a user's name or a key's uid in them come on top.
pub(super) const COUNTERS: [&str; 34] = [
    "requests",
    "token.requests",
    "token.issued",
    "token.refused",
    "token.throttled",
    "token.dialect.v1_consumer",
    "token.dialect.v1_form",
    "token.dialect.v1_password",
    "token.dialect.v1_query",
    "token.dialect.v2_consumer",
    "token.dialect.v2_password",
    "token.dialect.unknown",
    "token.profile.appkey",
    "token.profile.client_secret",
    "token.profile.consumer_key",
    "token.with_authorization",
    "token.without_accept",
    "router.requests",
    "router.redirected",
    "odata.requests",
    "entity.requests",
    "transaction.requests",
    "interactive.requests",
    "answers.requests",
    "api.header_lost",
    "api.token_rejected",
    "api.permission",
    "api.scope",
    "connections.accepted",
    "connections.open",
    "connections.used",
    "connections.tls_failed",
    "faults.fired",
    "held",
];

/// Caps waits, so that a deadline can always be computed.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// A token that was given out.
#[derive(Debug)]
pub(super) struct Issued {
    pub fingerprint: String,
    pub owner: Owner,
    /// Unix time when it was issued.
    pub since: i64,
    /// Unix time from which API calls refuse it.
    pub expires: i64,
    /// The one Interactive session it may have open.
    pub session: Option<Session>,
}

/// Whose token it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    /// P21 username as the request had it.
    pub user: Option<String>,
    /// Uid and scope of the consumer key, if it came from one.
    pub key: Option<(String, String)>,
}

impl Owner {
    /// In words that hold no secret: a known user's name, a key's uid.
    pub fn shown(&self, state: &State) -> String {
        let user = self
            .user
            .as_deref()
            .map(|name| state.user(name).map_or("?", |u| u.name.as_str()));
        match (&self.key, user) {
            (Some((uid, _)), Some(user)) => format!("key={uid} user={user}"),
            (Some((uid, _)), None) => format!("key={uid}"),
            (None, user) => format!("user={}", user.unwrap_or("?")),
        }
    }
}

/// Requests that are held back.
struct Gate {
    path: String,
    permits: u64,
}

pub(super) struct State {
    pub settings: Settings,
    pub users: Vec<User>,
    pub keys: Vec<ConsumerKey>,
    pub counters: Counters,
    /// The last request of each route.
    pub last: BTreeMap<String, Arc<Request>>,
    pub faults: Queue,
    pub answers: Vec<Answer>,
    pub data: Data,
    /// What asynchronous transactions came to, by id.
    pub results: HashMap<String, Value>,
    pub calls: Calls,
    /// Counts changes, for observers.
    pub version: u64,
    pub tokens: HashMap<String, Issued>,
    /// Times of the token requests in the throttling window.
    pub recent: VecDeque<i64>,
    /// The emulator's clock minus the machine's, in seconds.
    pub offset_s: i64,
    gate: Option<Gate>,
    /// Counts releases: a thread that hangs goes on when it changes.
    releases: u64,
}

impl State {
    fn new(initial: Initial) -> Self {
        Self {
            settings: initial.settings,
            users: initial.users,
            keys: initial.keys,
            answers: initial.answers,
            data: initial.data,
            results: HashMap::new(),
            calls: Calls::default(),
            version: 0,
            counters: COUNTERS
                .iter()
                .map(|name| ((*name).to_owned(), 0))
                .collect(),
            last: BTreeMap::new(),
            faults: Queue::default(),
            tokens: HashMap::new(),
            recent: VecDeque::new(),
            offset_s: 0,
            gate: None,
            releases: 0,
        }
    }

    /// The emulator's time.
    pub fn clock(&self) -> SystemTime {
        shift(SystemTime::now(), self.offset_s)
    }

    /// The emulator's time as Unix seconds.
    pub fn now(&self) -> i64 {
        unix(self.clock())
    }

    pub fn user(&self, name: &str) -> Option<&User> {
        self.users
            .iter()
            .find(|u| u.name.eq_ignore_ascii_case(name))
    }

    /// The path whose requests are held back.
    pub fn held_path(&self) -> Option<&str> {
        self.gate.as_ref().map(|gate| gate.path.as_str())
    }

    /// All counters, with those that are counted only when asked for.
    pub fn snapshot(&self) -> Counters {
        let now = self.now();
        let live = || self.tokens.values().filter(|t| now < t.expires);
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let mut counters = self.counters.clone();
        counters.insert("faults.pending".into(), count(self.faults.len()));
        counters.insert("tokens.live".into(), count(live().count()));
        counters.insert(
            "sessions.open".into(),
            count(live().filter(|t| t.session.is_some()).count()),
        );
        counters
    }
}

/// What a reset goes back to.
#[derive(Clone)]
struct Initial {
    settings: Settings,
    users: Vec<User>,
    keys: Vec<ConsumerKey>,
    answers: Vec<Answer>,
    data: Data,
}

/// The state, shared by all connections, and what never changes.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Something countable happened.
    changed: Condvar,
    /// The gate opened, a hanging request may go on, or the emulator stops.
    released: Condvar,
    stopping: AtomicBool,
    initial: Initial,
    pub base_url: String,
    pub prefix: String,
    pub control: bool,
    /// What control calls must carry, if anything.
    pub control_token: Option<String>,
    pub signing_key: [u8; 64],
    log: Option<Log>,
}

impl Shared {
    pub fn new(options: Options, base_url: String, prefix: String) -> Self {
        let initial = Initial {
            settings: options.settings,
            users: options.users,
            keys: options.keys,
            answers: options.answers,
            data: options.data,
        };
        Self {
            state: Mutex::new(State::new(initial.clone())),
            changed: Condvar::new(),
            released: Condvar::new(),
            stopping: AtomicBool::new(false),
            initial,
            base_url,
            prefix,
            control: options.control,
            control_token: options.control_token,
            signing_key: text::random(),
            log: options.log,
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub fn log(&self, line: impl FnOnce() -> String) {
        if let Some(log) = &self.log {
            log.line(&line());
        }
    }

    /// Changes the state and wakes every call that waits for counters.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock();
        state.version += 1;
        let result = change(&mut state);
        drop(state);
        self.changed.notify_all();
        result
    }

    pub fn bump(&self, name: &str) {
        self.change(|s| s.bump(name));
    }

    pub fn drop_one(&self, name: &str) {
        self.change(|s| {
            if let Some(n) = s.counters.get_mut(name) {
                *n = n.saturating_sub(1);
            }
        });
    }

    /// Waits until the counters fulfil `done`; false after `timeout` or once the emulator stops.
    pub fn wait_until(&self, timeout: Duration, done: impl Fn(&Counters) -> bool) -> bool {
        let deadline = Instant::now() + timeout.min(LONGEST_WAIT);
        let mut state = self.state.lock();
        loop {
            if done(&state.snapshot()) {
                return true;
            }
            if self.stopping() || self.changed.wait_until(&mut state, deadline).timed_out() {
                return done(&state.snapshot());
            }
        }
    }

    /// Waits for a change after `version`; false after `timeout` or once the emulator stops.
    pub fn wait_change(&self, version: u64, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout.min(LONGEST_WAIT);
        let mut state = self.state.lock();
        while state.version == version {
            if self.stopping() || self.changed.wait_until(&mut state, deadline).timed_out() {
                return state.version != version;
            }
        }
        true
    }

    /// Holds requests whose path contains `path` back.
    pub fn hold(&self, path: &str) {
        self.change(|s| {
            s.gate = Some(Gate {
                path: path.to_ascii_lowercase(),
                permits: 0,
            });
        });
    }

    /// Opens the gate and lets hanging requests go on; or only lets `n` held requests pass.
    pub fn release(&self, n: Option<u64>) {
        self.change(|s| match (n, &mut s.gate) {
            (Some(n), Some(gate)) => gate.permits += n,
            (Some(_), None) => {}
            (None, gate) => {
                *gate = None;
                s.releases += 1;
            }
        });
        self.released.notify_all();
    }

    /// Waits at the gate, if it holds this path.
    pub fn pass_gate(&self, path: &str) {
        let path = path.to_ascii_lowercase();
        let mut state = self.state.lock();
        let mut waited = false;
        while let Some(gate) = state.gate.as_mut().filter(|g| path.contains(&g.path)) {
            if gate.permits > 0 {
                gate.permits -= 1;
                break;
            }
            if self.stopping() {
                break;
            }
            if !waited {
                waited = true;
                state.bump("held");
                self.changed.notify_all();
            }
            self.released.wait(&mut state);
        }
        drop(state);
        if waited {
            self.drop_one("held");
        }
    }

    /// Waits for the next release (a `hang` fault).
    pub fn hang(&self) {
        let mut state = self.state.lock();
        let seen = state.releases;
        state.bump("held");
        self.changed.notify_all();
        while state.releases == seen && !self.stopping() {
            self.released.wait(&mut state);
        }
        drop(state);
        self.drop_one("held");
    }

    /// Lets time go by, unless the emulator stops; true if it stops.
    pub fn pause(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time.min(LONGEST_WAIT);
        let mut state = self.state.lock();
        while !self.stopping() && !self.released.wait_until(&mut state, deadline).timed_out() {}
        self.stopping()
    }

    /// Everything as at the start: settings, users, keys, time, counters; no token, fault or gate is left.
    pub fn reset(&self) {
        self.change(|s| {
            let mut new = State::new(self.initial.clone());
            new.calls = std::mem::take(&mut s.calls);
            new.calls.clear();
            new.version = s.version;
            new.releases = s.releases + 1;
            new.keep_gauges(&s.counters);
            *s = new;
        });
        self.released.notify_all();
    }

    /// Counters back to 0 and nothing else.
    pub fn reset_counters(&self) {
        self.change(|s| {
            let old = std::mem::take(&mut s.counters);
            s.counters = COUNTERS
                .iter()
                .map(|name| ((*name).to_owned(), 0))
                .collect();
            s.keep_gauges(&old);
            s.last.clear();
            s.calls.clear();
        });
    }

    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        // A thread that looked at the flag before is waiting by the time the lock is free again.
        drop(self.state.lock());
        self.changed.notify_all();
        self.released.notify_all();
    }

    pub fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}

impl State {
    pub fn bump(&mut self, name: &str) {
        match self.counters.get_mut(name) {
            Some(n) => *n += 1,
            None => {
                self.counters.insert(name.to_owned(), 1);
            }
        }
    }

    /// What counts the present, not the past, survives a reset.
    fn keep_gauges(&mut self, old: &Counters) {
        for name in ["connections.open", "held"] {
            if let Some(n) = old.get(name) {
                self.counters.insert(name.into(), *n);
            }
        }
    }
}

pub(super) fn shift(time: SystemTime, seconds: i64) -> SystemTime {
    let by = Duration::from_secs(seconds.unsigned_abs());
    let shifted = if seconds < 0 {
        time.checked_sub(by)
    } else {
        time.checked_add(by)
    };
    // HTTP dates and 64-bit Unix seconds end somewhere; a nonsense shift is none.
    shifted
        .filter(|t| *t >= UNIX_EPOCH && unix(*t) < 253_402_300_800)
        .unwrap_or(time)
}

pub(super) fn unix(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const LONG: Duration = Duration::from_mins(1);

    fn shared() -> Arc<Shared> {
        Arc::new(Shared::new(
            Options::default(),
            String::new(),
            String::new(),
        ))
    }

    fn held(n: u64) -> impl Fn(&Counters) -> bool {
        move |c| c["held"] == n
    }

    #[test]
    fn the_gate_holds_only_its_path_and_opens_bit_by_bit() {
        let shared = shared();
        shared.hold("/Token");
        shared.pass_gate("/odata");
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || shared.pass_gate("/api/TOKEN"))
            })
            .collect();
        assert!(shared.wait_until(LONG, held(3)));
        shared.release(Some(1));
        assert!(shared.wait_until(LONG, held(2)));
        shared.release(None);
        assert!(shared.wait_until(LONG, held(0)));
        for thread in threads {
            thread.join().unwrap();
        }
    }

    #[test]
    fn a_stop_frees_every_waiting_call() {
        let shared = shared();
        let threads: Vec<_> = (0..2)
            .map(|n| {
                let shared = shared.clone();
                thread::spawn(move || match n {
                    0 => shared.hang(),
                    _ => assert!(!shared.wait_until(LONG, |c| c["requests"] > 0)),
                })
            })
            .collect();
        assert!(shared.wait_until(LONG, held(1)));
        shared.stop();
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(shared.pause(LONG));
    }

    #[test]
    fn a_reset_restores_the_start() {
        let shared = shared();
        shared.change(|s| {
            s.settings.lifetime_s = 1;
            s.users.clear();
            s.offset_s = 9;
            s.bump("token.user.demo");
            s.bump("connections.open");
        });
        shared.reset();
        let state = shared.lock();
        assert_eq!(state.settings, Settings::default());
        assert_eq!((state.users.len(), state.offset_s), (2, 0));
        assert!(!state.counters.contains_key("token.user.demo"));
        assert_eq!(state.counters["connections.open"], 1);
    }

    #[test]
    fn time_shifts_both_ways_and_never_overflows() {
        let t = UNIX_EPOCH + Duration::from_secs(1000);
        assert_eq!(unix(shift(t, 5)), 1005);
        assert_eq!(unix(shift(t, -5)), 995);
        assert_eq!(shift(t, i64::MIN), t);
        assert_eq!(shift(t, i64::MAX), t);
    }
}
