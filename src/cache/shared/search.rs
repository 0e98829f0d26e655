//! Every order of events of three flights that share a store: the real [`Course`] over the store's scripts in small, with
//! processes that crash or stand still past their lease, keys that are evicted, and wake-ups that are lost.
//!
//! All states that can be reached are visited. In none of them
//!
//! - has the server been asked more than once, and once more for each fault (a wake-up that is lost costs nothing);
//! - is a token replaced by one of an earlier lease;
//! - does a flight end with a token that its process knows to be dead;
//! - is a flight left from which no way leads to an end.
//!
//! Waits end with the lease that they wait for; where nothing goes wrong, all must end without that too, by being woken.
//!
//! That the search finds faults was seen by planting these, one at a time; each made a test fail: the store not read again
//! under the lease; a lease given back, or a result published, without telling; a place in the stream that is taken behind the
//! end of a lease that is still held; a publication that ignores the fence.

#![allow(
    clippy::option_option,
    clippy::struct_excessive_bools,
    reason = "a state of the search is what it is"
)]

use std::collections::{HashMap, VecDeque};

use super::step::{Action, Course, Event, Reading};
use crate::store::Wake;

const COUNT: usize = 3;

/// What goes wrong, at most so often.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Faults {
    crashes: u8,
    pauses: u8,
    evictions: u8,
    /// Wake-ups that are lost.
    lost: u8,
    /// Answers of the server that are failures.
    failures: u8,
    /// Clocks that run apart: a wait that ends while the lease is held, by the clock of the process that waits; or a lease
    /// that ends by the server's clock while its holder believes that it has renewed it in time.
    early: u8,
    expired: u8,
    /// Requests that fail for a reason which only their own machine has: the others are told nothing.
    local: u8,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Process {
    course: Course,
    next: Action,
    mark: (u8, u8),
    lease: Option<u8>,
    asks: bool,
    own: Option<Option<u8>>,
    /// It ended, with this token or with a failure.
    end: Option<Option<u8>>,
    gone: bool,
    paused: bool,
    /// The first token is dead, and this process knows.
    knows: bool,
}

/// To whom an entry of the stream speaks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum To {
    All,
    One(usize),
    /// The lease was taken.
    Held,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct World {
    processes: [Process; COUNT],
    lease: Option<(usize, u8)>,
    fence: Option<u8>,
    /// Which token, and of which lease.
    token: Option<(u8, u8)>,
    failed: bool,
    stream: Vec<((u8, u8), To)>,
    turn: Option<usize>,
    clock: u8,
    tokens: u8,
    requests: u8,
    faults: u8,
    left: Faults,
    /// Waits end by themselves.
    times_out: bool,
}

impl World {
    fn new(left: Faults, dead: Option<[bool; COUNT]>, times_out: bool) -> World {
        let processes = std::array::from_fn(|at| {
            let mut course = Course::new(i64::MAX);
            Process {
                next: course.step(Event::Started, 0),
                course,
                mark: (0, 0),
                lease: None,
                asks: false,
                own: None,
                end: None,
                gone: false,
                paused: false,
                knows: dead.is_some_and(|knows| knows[at]),
            }
        });
        World {
            processes,
            lease: None,
            fence: None,
            token: dead.map(|_| (0, 0)),
            failed: false,
            stream: Vec::new(),
            turn: None,
            clock: 0,
            tokens: 0,
            requests: 0,
            faults: 0,
            left,
            times_out,
        }
    }

    fn tell(&mut self, mark: (u8, u8), to: To) {
        let mark = match self.stream.last() {
            Some((last, _)) if *last >= mark => (last.0, last.1 + 1),
            _ => mark,
        };
        self.stream.push((mark, to));
        // As the stream is cut.
        if self.stream.len() > 4 {
            self.stream.remove(0);
        }
    }

    fn give_back(&mut self, at: usize) {
        if let Some(fence) = self.processes[at].lease.take()
            && self.lease == Some((at, fence))
        {
            self.lease = None;
            let to = self.turn.take().map_or(To::All, To::One);
            self.tell((fence, 1), to);
        }
    }

    fn reading(&self, at: usize) -> Reading {
        let process = &self.processes[at];
        let adoptable = |token| !(process.knows && token == 0);
        let settled = self.token.is_some_and(|(token, _)| adoptable(token))
            || (self.failed && process.own.is_none());
        if settled {
            Reading::Settled
        } else {
            Reading::Nothing
        }
    }

    /// What a waiting process hears, if it hears anything.
    fn heard(&self, at: usize) -> Option<(Wake, (u8, u8))> {
        let news = self
            .stream
            .iter()
            .filter(|(mark, _)| *mark > self.processes[at].mark);
        let mut heard = None;
        for (mark, to) in news {
            let wake = match (to, heard) {
                (_, Some((Wake::News, _))) | (To::All, _) => Wake::News,
                (To::Held, _) => Wake::Held,
                (To::One(one), _) if *one == at => Wake::Yours,
                (To::One(_), _) => Wake::Others,
            };
            heard = Some((wake, *mark));
        }
        heard
    }

    /// What the process does now; `None`: it waits. More than one outcome where the server decides.
    fn act(&self, at: usize) -> Vec<World> {
        let mut world = self.clone();
        let process = &mut world.processes[at];
        let event = match process.next {
            Action::Read => {
                let mark = (world.fence.unwrap_or(0), u8::from(world.lease.is_none()));
                if world.fence.is_some() {
                    process.mark = process.mark.max(mark);
                }
                Event::Read(self.reading(at))
            }
            Action::Acquire => match world.lease {
                Some((holder, _)) if holder != at => {
                    world.turn = world.turn.or(Some(at));
                    Event::Busy(1)
                }
                _ => {
                    world.clock += 1;
                    let fence = world.clock.max(world.fence.map_or(0, |fence| fence + 1));
                    (world.fence, world.lease) = (Some(fence), Some((at, fence)));
                    process.lease = Some(fence);
                    world.tell((fence, 0), To::Held);
                    Event::Leased
                }
            },
            Action::Wait(_) => match self.heard(at) {
                Some((wake, mark)) => {
                    process.mark = mark;
                    Event::Woken(wake)
                }
                None => return Vec::new(),
            },
            Action::Pause(_) => Event::Woken(Wake::Nothing),
            Action::Release => {
                world.give_back(at);
                Event::Released
            }
            Action::Ask if !process.asks => {
                process.asks = true;
                world.requests += 1;
                return vec![world];
            }
            Action::Ask => {
                let mut worlds = Vec::new();
                if world.left.failures > 0 {
                    let mut fails = world.clone();
                    fails.left.failures -= 1;
                    fails.processes[at].own = Some(None);
                    fails.go_on(at, Event::Asked);
                    worlds.push(fails);
                }
                if world.left.local > 0 {
                    let mut fails = world.clone();
                    fails.left.local -= 1;
                    fails.faults += 1;
                    let process = &mut fails.processes[at];
                    process.own = Some(None);
                    process.course.step(Event::Asked, 0);
                    process.next = Action::EndWithOwn;
                    worlds.push(fails);
                }
                world.tokens += 1;
                world.processes[at].own = Some(Some(world.tokens));
                world.go_on(at, Event::Asked);
                worlds.push(world);
                return worlds;
            }
            Action::Publish => world.publish(at),
            Action::EndWithRead => {
                let token = world.token.map(|(token, _)| token);
                process.end = Some(token.filter(|token| !(process.knows && *token == 0)));
                world.give_back(at);
                return vec![world];
            }
            Action::EndWithOwn => {
                process.end = process.own;
                world.give_back(at);
                return vec![world];
            }
            Action::EndLate => panic!("there is time without end"),
        };
        world.go_on(at, event);
        vec![world]
    }

    fn go_on(&mut self, at: usize, event: Event) {
        let process = &mut self.processes[at];
        process.next = process.course.step(event, 0);
    }

    fn publish(&mut self, at: usize) -> Event {
        let process = &self.processes[at];
        let (Some(fence), Some(own)) = (process.lease, process.own) else {
            return Event::Published;
        };
        let is_ours = self.lease == Some((at, fence));
        let later = self.fence.is_some_and(|last| last > fence);
        if later || (self.fence.is_none() && !is_ours && self.token.is_some()) {
            return Event::Fenced;
        }
        match own {
            Some(token) => {
                if let Some((_, old)) = self.token {
                    assert!(old <= fence, "an older token over a newer: {self:?}");
                }
                (self.token, self.failed) = (Some((token, fence)), false);
            }
            None => self.failed = true,
        }
        self.processes[at].lease = None;
        if is_ours {
            (self.lease, self.turn) = (None, None);
        }
        self.tell((fence, 1), To::All);
        Event::Published
    }

    /// What goes wrong next.
    fn faults(&self) -> Vec<World> {
        let mut worlds = Vec::new();
        let mut fault = |change: &dyn Fn(&mut World), counts: bool| {
            let mut world = self.clone();
            change(&mut world);
            if world != *self {
                world.faults += u8::from(counts);
                worlds.push(world);
            }
        };
        for at in 0..COUNT {
            let process = &self.processes[at];
            if process.end.is_some() || process.gone {
                continue;
            }
            if self.left.crashes > 0 {
                fault(
                    &|world| {
                        world.left.crashes -= 1;
                        world.processes[at].gone = true;
                    },
                    true,
                );
            }
            if self.left.pauses > 0 && !process.paused {
                fault(
                    &|world| {
                        world.left.pauses -= 1;
                        world.processes[at].paused = true;
                    },
                    true,
                );
            }
        }
        if self.left.evictions > 0 {
            let evictions: [&dyn Fn(&mut World); 4] = [
                &|world| world.lease = None,
                &|world| world.fence = None,
                &|world| world.token = None,
                &|world| world.turn = None,
            ];
            for evict in evictions {
                let mut world = self.clone();
                evict(&mut world);
                if world != *self {
                    fault(
                        &|world| {
                            evict(world);
                            world.left.evictions -= 1;
                        },
                        true,
                    );
                }
            }
        }
        if self.left.expired > 0 && self.lease.is_some() {
            fault(
                &|world| {
                    world.lease = None;
                    world.left.expired -= 1;
                },
                true,
            );
        }
        for at in 0..COUNT {
            let process = &self.processes[at];
            let waits = matches!(process.next, Action::Wait(_)) && process.end.is_none();
            if self.left.early > 0 && waits && !process.gone && !process.paused {
                fault(
                    &|world| {
                        world.left.early -= 1;
                        world.go_on(at, Event::Woken(Wake::Nothing));
                    },
                    false,
                );
            }
        }
        if self.left.lost > 0 && !self.stream.is_empty() {
            fault(
                &|world| {
                    world.stream.clear();
                    world.left.lost -= 1;
                },
                false,
            );
        }
        worlds
    }

    /// What comes by itself, with time.
    fn passes(&self) -> Vec<World> {
        let mut worlds = Vec::new();
        if let Some((holder, _)) = self.lease {
            let process = &self.processes[holder];
            if process.gone || process.paused || process.end.is_some() {
                let mut world = self.clone();
                world.lease = None;
                worlds.push(world);
            }
        }
        for (at, process) in self.processes.iter().enumerate() {
            if process.paused {
                let mut world = self.clone();
                world.processes[at].paused = false;
                worlds.push(world);
            }
            let is_waiting =
                self.times_out && matches!(process.next, Action::Wait(_)) && process.end.is_none();
            // Its time ends with the lease that it waits for.
            if is_waiting && !process.gone && !process.paused && self.lease.is_none() {
                let mut world = self.clone();
                world.go_on(at, Event::Woken(Wake::Nothing));
                worlds.push(world);
            }
        }
        worlds
    }

    fn nexts(&self) -> Vec<World> {
        let mut worlds = self.passes();
        for at in 0..COUNT {
            let process = &self.processes[at];
            if process.end.is_none() && !process.gone && !process.paused {
                worlds.extend(self.act(at));
            }
        }
        worlds.extend(self.faults());
        worlds
    }

    fn is_over(&self) -> bool {
        self.processes
            .iter()
            .all(|process| process.gone || process.end.is_some())
    }

    fn check(&self) {
        assert!(
            self.requests <= 1 + self.faults,
            "{} requests after {} faults: {self:?}",
            self.requests,
            self.faults
        );
        for process in &self.processes {
            let dead = process.knows && process.end == Some(Some(0));
            assert!(!dead, "a token known to be dead was adopted: {self:?}");
        }
    }
}

/// Visits all that can be reached; answers how many states there are.
fn search(left: Faults, dead: Option<[bool; COUNT]>, times_out: bool) -> usize {
    let start = World::new(left, dead, times_out);
    let mut number = HashMap::from([(start.clone(), 0_usize)]);
    let mut todo = VecDeque::from([start]);
    // By state: from which it is reached; whether it is an end.
    let (mut before, mut over): (Vec<Vec<usize>>, Vec<bool>) = (vec![Vec::new()], vec![false]);
    while let Some(world) = todo.pop_front() {
        world.check();
        let own = number[&world];
        over[own] = world.is_over();
        for next in world.nexts() {
            let count = number.len();
            let at = *number.entry(next.clone()).or_insert(count);
            if at == count {
                before.push(Vec::new());
                over.push(false);
                todo.push_back(next);
            }
            before[at].push(own);
        }
    }
    // Backwards from the ends: what is not met has no way to one.
    let mut todo: Vec<usize> = (0..over.len()).filter(|at| over[*at]).collect();
    let mut meets = over;
    while let Some(at) = todo.pop() {
        for earlier in std::mem::take(&mut before[at]) {
            if !std::mem::replace(&mut meets[earlier], true) {
                todo.push(earlier);
            }
        }
    }
    let stuck = number.iter().find(|(_, at)| !meets[**at]);
    assert!(stuck.is_none(), "no way to an end: {stuck:?}");
    number.len()
}

const NONE: Faults = Faults {
    crashes: 0,
    pauses: 0,
    evictions: 0,
    lost: 0,
    failures: 0,
    early: 0,
    expired: 0,
    local: 0,
};

/// Which processes know that the token in the store is dead.
const KNOWN: [Option<[bool; COUNT]>; 3] =
    [None, Some([true, true, true]), Some([true, true, false])];

#[test]
fn without_faults_three_flights_ask_once_and_all_are_woken() {
    for dead in KNOWN {
        for (failures, local) in [(0, 0), (1, 0), (0, 2)] {
            let left = Faults {
                failures,
                local,
                ..NONE
            };
            for times_out in [false, true] {
                let states = search(left, dead, times_out);
                println!("{left:?} {dead:?} {times_out}: {states} states");
            }
        }
    }
}

#[test]
fn one_fault_costs_one_request_at_most_and_ends_no_callers_way() {
    let crash = Faults { crashes: 1, ..NONE };
    let pause = Faults { pauses: 1, ..NONE };
    let lost = Faults { lost: 1, ..NONE };
    let eviction = Faults {
        evictions: 1,
        ..NONE
    };
    for (left, dead) in [
        (crash, KNOWN[0]),
        (lost, KNOWN[0]),
        (crash, KNOWN[2]),
        (pause, KNOWN[2]),
        (eviction, KNOWN[2]),
    ] {
        let states = search(left, dead, true);
        println!("{left:?} {dead:?}: {states} states");
    }
}

#[test]
fn clocks_that_run_apart_cost_a_request_for_each_lease_that_ends_early() {
    let early = Faults { early: 2, ..NONE };
    let expired = Faults {
        early: 1,
        expired: 1,
        ..NONE
    };
    for (left, dead) in [(early, KNOWN[0]), (early, KNOWN[2]), (expired, KNOWN[0])] {
        let states = search(left, dead, true);
        println!("{left:?} {dead:?}: {states} states");
    }
}

/// `make test-deep` runs it.
#[test]
#[ignore = "takes minutes"]
fn several_faults_cost_a_request_each_at_most() {
    for dead in [KNOWN[0], KNOWN[2]] {
        for left in [
            Faults { pauses: 1, ..NONE },
            Faults {
                evictions: 1,
                ..NONE
            },
            Faults {
                crashes: 1,
                pauses: 1,
                ..NONE
            },
            Faults {
                crashes: 1,
                evictions: 1,
                lost: 1,
                ..NONE
            },
            Faults {
                pauses: 1,
                evictions: 1,
                ..NONE
            },
            Faults {
                pauses: 1,
                failures: 1,
                local: 1,
                lost: 1,
                ..NONE
            },
        ] {
            let states = search(left, dead, true);
            println!("{left:?} {dead:?}: {states} states");
        }
    }
}
