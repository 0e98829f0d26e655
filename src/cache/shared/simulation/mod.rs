//! A fleet by events instead of threads: thousands of processes on a hundred hosts, over the decisions of the product
//! ([`decide`], [`commit`], [`Course`]) and stores that behave as the scripts do and take as long as was measured. What it
//! counts is the table in docs/fleet.md.

#![allow(clippy::cast_precision_loss, reason = "figures for a table")]

mod actions;
mod store;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use super::step::{Action, Course, Event as Happened, Reading};
use crate::cache::commit::{Event as Commit, Pace, commit, wait_ms};
use crate::cache::decide::{Call, Decision, Entry, Rules, Windows, Wish, decide};
use crate::cache::flight::{Ending, Flight};
use crate::cache::slot::Presence;
use crate::clock::{Now, duration};
use crate::error::{Code, Error};
use crate::store::{Mark, Wake};
use crate::token::{Life, Reply, Token};
use store::{
    ACCEPT_US, ACQUIRE_COMMANDS, ACQUIRE_US, BLOCK_US, BUSY_COMMANDS, BUSY_US, FILE_US, LEASE_MS,
    LOOK_COMMANDS, LOOK_US, MAX_BLOCK_MS, PUBLISH_COMMANDS, PUBLISH_US, REST_US, STORE_TIMEOUT_US,
    StoreModel, TRIP_US, WAKE_US,
};

const HOSTS: usize = 100;
const TIMEOUT_MS: i64 = 30_000;
const REPLY_US: i64 = 1_000_000;
/// A server that fails does so at once; with its two retries a flight takes so long.
const FAILS_US: i64 = 3_000_000;
/// A caller that got an error asks again after this.
const AGAIN_US: i64 = 1_000_000;
const LIFE_MS: i64 = 86_400_000;

const WINDOWS: Windows = Windows {
    refresh_margin_ms: 300_000,
    max_token_age_ms: 86_400_000,
};
const RULES: Rules = Rules {
    min_refresh_interval_ms: 5_000,
    own: false,
};
const PACE: Pace = Pace {
    cooldown_ms: 60_000,
};

/// When the server and Redis are away, in microseconds.
#[derive(Clone, Copy, Default)]
struct Outages {
    server: (i64, i64),
    redis: (i64, i64),
}

fn within((from, until): (i64, i64), at: i64) -> bool {
    (from..until).contains(&at)
}

struct Process {
    host: usize,
    entry: Entry,
    flight: Option<Arc<Flight>>,
    course: Option<Course>,
    /// Which store its flight uses.
    store: usize,
    redis_rests_until: i64,
    /// Grows with each wait, so that a timer knows whether it is still meant.
    wait: u64,
    mark: Mark,
    fence: Option<u64>,
    own: Option<Result<Life, Error>>,
    /// What the last reading showed.
    seen: (Option<Life>, i64),
    got: Option<i64>,
    errors: u32,
}

enum Due {
    Call(usize),
    Next(usize, Happened),
    Timer(usize, u64),
    /// A look at the store while a failure holds the process back.
    Polled(usize),
}

struct Fleet {
    now: i64,
    due: BinaryHeap<Reverse<(i64, u64)>>,
    events: BTreeMap<u64, Due>,
    number: u64,
    processes: Vec<Process>,
    /// Redis, then a file store for each host.
    stores: Vec<StoreModel>,
    outages: Outages,
    requests: u32,
    replied: i64,
    chance: u64,
}

/// What came of a fleet.
struct Figures {
    requests: u32,
    commands: u64,
    peak: u64,
    connections: usize,
    last_ms: i64,
    errors: u32,
}

impl Fleet {
    fn new(count: usize, outages: Outages) -> Fleet {
        let mut fleet = Fleet {
            now: 0,
            due: BinaryHeap::new(),
            events: BTreeMap::new(),
            number: 0,
            processes: Vec::new(),
            stores: (0..=HOSTS).map(|_| StoreModel::default()).collect(),
            outages,
            requests: 0,
            replied: 0,
            chance: 1,
        };
        fleet.stores[0].is_redis = true;
        for number in 0..count {
            fleet.processes.push(Process {
                host: number % HOSTS,
                entry: Entry::default(),
                flight: None,
                course: None,
                store: 0,
                redis_rests_until: 0,
                wait: 0,
                mark: Mark::default(),
                fence: None,
                own: None,
                seen: (None, 0),
                got: None,
                errors: 0,
            });
            // All at once, as after a deployment: within a tenth of a second.
            let start = fleet.below(100_000);
            fleet.at(start, Due::Call(number));
        }
        fleet
    }

    fn below(&mut self, end: u64) -> i64 {
        self.chance = self
            .chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((self.chance >> 33) % end).expect("small")
    }

    fn at(&mut self, time: i64, due: Due) {
        self.number += 1;
        self.due.push(Reverse((time.max(self.now), self.number)));
        self.events.insert(self.number, due);
    }

    fn clock(&self) -> Now {
        Now::default().plus(self.now / 1_000)
    }

    fn run(mut self) -> Figures {
        while let Some(Reverse((time, number))) = self.due.pop() {
            self.now = time;
            match self.events.remove(&number) {
                Some(Due::Call(who)) => self.call(who),
                Some(Due::Next(who, happened)) => self.next(who, happened),
                Some(Due::Timer(who, wait)) if self.processes[who].wait == wait => {
                    self.stop_waiting(who);
                    self.next(who, Happened::Woken(Wake::Nothing));
                }
                Some(Due::Polled(who)) => self.polled(who),
                _ => {}
            }
        }
        let last = self.processes.iter().map(|process| process.got);
        let last = last
            .map(|got| got.expect("each process gets a token"))
            .max();
        // From the moment on from which a token was to be had.
        let since = self.replied;
        Figures {
            requests: self.requests,
            commands: self.stores[0].commands,
            peak: self.stores[0].load.values().copied().max().unwrap_or(0) * 10,
            connections: self.stores[0].most_connections,
            last_ms: (last.unwrap_or(0) - since) / 1_000,
            errors: self.processes.iter().map(|process| process.errors).sum(),
        }
    }

    /// A caller asks for a token.
    fn call(&mut self, who: usize) {
        let now = self.clock();
        let process = &self.processes[who];
        let call = Call {
            wish: Wish::default(),
            windows: WINDOWS,
            no_wait: false,
            presence: Presence::Here,
            left_ms: TIMEOUT_MS,
            awaited: process.flight.as_ref(),
        };
        match decide(&process.entry, None, &call, RULES, now) {
            Decision::Serve(_) | Decision::ServeAndStart(_) => {
                let now = self.now;
                self.processes[who].got.get_or_insert(now);
            }
            Decision::Start => self.start(who),
            Decision::Wait(ms) => self.at(self.now + ms * 1_000, Due::Call(who)),
            Decision::HeldBack(_) => self.poll(who),
            Decision::Fail(_) => self.failed(who),
            other => panic!("nothing leads to {other:?}"),
        }
    }

    fn failed(&mut self, who: usize) {
        let process = &mut self.processes[who];
        process.errors += 1;
        process.flight = None;
        let pause = AGAIN_US + self.below(100_000);
        self.at(self.now + pause, Due::Call(who));
    }

    fn start(&mut self, who: usize) {
        let now = self.clock();
        let process = &mut self.processes[who];
        process.flight = Some(Flight::new(now.plus(TIMEOUT_MS)));
        process.course = Some(Course::new(now.mono + TIMEOUT_MS));
        process.own = None;
        let rests = self.now < process.redis_rests_until;
        process.store = if rests { 1 + process.host } else { 0 };
        self.next(who, Happened::Started);
    }

    fn next(&mut self, who: usize, happened: Happened) {
        let now_ms = self.clock().mono;
        let Some(course) = &mut self.processes[who].course else {
            return;
        };
        match course.step(happened, now_ms) {
            Action::Read => self.look(who),
            Action::Acquire => self.acquire(who),
            Action::Wait(ms) => self.wait(who, ms),
            Action::Pause(ms) => self.at(
                self.now + ms * 1_000,
                Due::Next(who, Happened::Woken(Wake::Nothing)),
            ),
            Action::Release => {
                self.release(who);
                self.at(self.now + TRIP_US, Due::Next(who, Happened::Released));
            }
            Action::Ask => self.ask(who),
            Action::Publish => self.publish(who),
            Action::EndWithRead => self.end_with_read(who),
            Action::EndWithOwn => {
                let own = self.processes[who].own.take().expect("it asked");
                self.end(who, own);
            }
            Action::EndLate => self.end(who, Err(Error::new(Code::Store, "late"))),
        }
    }
}

const S: i64 = 1_000_000;

fn table() -> String {
    let mut text = "| Processes | | Token requests | Redis commands a process | Most in a second | Connections | The last has its token after | Errors a process |\n|---|---|---|---|---|---|---|---|\n".to_owned();
    for count in [200, 1_000, 5_000, 10_000] {
        for (what, outages) in [
            ("all is well", Outages::default()),
            (
                "the server fails for half a minute",
                Outages {
                    server: (0, 30 * S),
                    ..Outages::default()
                },
            ),
            (
                "Redis is away",
                Outages {
                    redis: (0, 600 * S),
                    ..Outages::default()
                },
            ),
            (
                "Redis goes while they wait",
                Outages {
                    redis: (S / 2, 600 * S),
                    ..Outages::default()
                },
            ),
        ] {
            let figures = Fleet::new(count, outages).run();
            let each = figures.commands / count as u64;
            writeln!(
                text,
                "| {count} | {what} | {} | {each} | {} | {} | {} ms | {:.1} |",
                figures.requests,
                figures.peak,
                figures.connections,
                figures.last_ms,
                f64::from(figures.errors) / count as f64,
            )
            .expect("memory");
        }
    }
    text
}

#[test]
fn the_table_of_fleets_is_what_the_simulation_counts() {
    for count in [200, 1_000] {
        let well = Fleet::new(count, Outages::default()).run();
        assert_eq!(well.requests, 1, "{count}");
        assert!(well.commands <= 20 * count as u64, "{}", well.commands);
        let outages = Outages {
            redis: (0, 600 * S),
            ..Outages::default()
        };
        let alone = Fleet::new(count, outages).run();
        assert!(alone.requests as usize <= HOSTS, "{}", alone.requests);
    }
    let table = table();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/fleet.md");
    let page = std::fs::read_to_string(&path).expect("the page");
    let (begin, end) = ("<!-- fleets: begin -->\n", "<!-- fleets: end -->");
    let (before, rest) = page.split_once(begin).expect("it begins");
    let (_, after) = rest.split_once(end).expect("it ends");
    let current = format!("{before}{begin}{table}{end}{after}");
    if std::env::var_os("P21AUTH_REFRESH").is_some() {
        std::fs::write(&path, &current).expect("written");
    } else {
        assert!(current == page, "out of date: P21AUTH_REFRESH=1\n{table}");
    }
}
