//! Host names to addresses: one look-up for each name, shared by all who wait for it.
//!
//! The system's resolver takes no deadline and cannot be stopped, so it runs on a thread of its own. A name server that
//! does not answer would otherwise collect one stuck thread for each identity; here a name never has more than two. What
//! a look-up found is not kept: a name that moved is noticed by the next connection.

use std::collections::BTreeMap;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::fork::PerProcess;
use crate::sys;

/// A look-up that takes longer gets company: its question or the answer may have been lost.
const SECOND_AFTER: Duration = Duration::from_secs(5);

/// What runs at the same time for one name.
const MAX_RUNNING: usize = 2;

/// The resolver of glibc and its modules need some of it.
const STACK_BYTES: usize = 256 * 1024;

/// Why a name has no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unresolved {
    /// No answer by the deadline.
    TimedOut,
    /// The system's own words.
    Failed(String),
    /// This process is at a limit, in the system's words.
    Exhausted(String),
}

type Answer = Result<Vec<IpAddr>, Unresolved>;

static SYSTEM: LookUps = LookUps::new(ask_system, SECOND_AFTER);

/// The addresses of `host`, as the system finds them, by the deadline.
pub(crate) fn look_up(host: &str, deadline: Instant) -> Answer {
    SYSTEM.look_up(host, deadline)
}

fn ask_system(host: &str) -> Answer {
    match (host, 0).to_socket_addrs() {
        Ok(found) => Ok(found.map(|address| address.ip()).collect()),
        Err(error) => {
            let text = error.to_string();
            let text = text
                .rsplit_once("address information: ")
                .map_or(&*text, |(_, why)| why);
            // The resolver often hides that it could open neither its files nor a socket.
            Err(if sys::is_exhausted(&error) {
                Unresolved::Exhausted(text.to_owned())
            } else if let Some(why) = sys::lack_of_descriptors() {
                Unresolved::Exhausted(why)
            } else {
                Unresolved::Failed(text.to_owned())
            })
        }
    }
}

/// All look-ups of the process.
struct LookUps {
    /// A forked child has none of the threads.
    state: PerProcess<State>,
    resolve: fn(&str) -> Answer,
    second_after: Duration,
}

#[derive(Default)]
struct State {
    names: BTreeMap<String, Name>,
    next_id: u64,
}

/// A name that is being looked up.
#[derive(Default)]
struct Name {
    /// Look-ups under way, oldest first.
    running: Vec<(u64, Instant)>,
    waiting: Vec<(u64, mpsc::Sender<Answer>)>,
}

impl LookUps {
    const fn new(resolve: fn(&str) -> Answer, second_after: Duration) -> LookUps {
        LookUps {
            state: PerProcess::new_static(State {
                names: BTreeMap::new(),
                next_id: 0,
            }),
            resolve,
            second_after,
        }
    }

    fn look_up(&'static self, host: &str, deadline: Instant) -> Answer {
        let (sender, answer) = mpsc::channel();
        let me = self.state.with(|state| {
            let id = state.next_id;
            state.next_id += 1;
            let name = state.names.entry(host.to_owned()).or_default();
            name.waiting.push((id, sender));
            id
        });
        loop {
            let next_start = self.start_if_due(host);
            let wake = next_start.map_or(deadline, |start| start.min(deadline));
            match answer.recv_timeout(wake.saturating_duration_since(Instant::now())) {
                Ok(answer) => return answer,
                Err(_) if Instant::now() >= deadline => {
                    self.state.with(|state| state.leave(host, me));
                    return Err(Unresolved::TimedOut);
                }
                Err(_) => {}
            }
        }
    }

    /// Starts a look-up where none runs, or the only one has been running for long. When the next may start, if one may.
    fn start_if_due(&'static self, host: &str) -> Option<Instant> {
        let now = Instant::now();
        let (next, id) = self.state.with(|state| {
            let id = state.next_id;
            // The caller may have its answer by now.
            let waited_for = |name: &&mut Name| !name.waiting.is_empty();
            let Some(name) = state.names.get_mut(host).filter(waited_for) else {
                return (None, None);
            };
            let due = name
                .running
                .last()
                .map(|(_, started)| *started + self.second_after);
            if name.running.len() == MAX_RUNNING || due.is_some_and(|due| due > now) {
                let next = due.filter(|_| name.running.len() < MAX_RUNNING);
                return (next, None);
            }
            name.running.push((id, now));
            state.next_id += 1;
            let again = name.running.len() < MAX_RUNNING;
            (again.then_some(now + self.second_after), Some(id))
        });
        if let Some(id) = id {
            let asked = host.to_owned();
            let job = Box::new(move || self.finish(&asked, id, &(self.resolve)(&asked)));
            sys::pin_library();
            if let Err(error) = sys::start_thread(c"p21auth-lookup", STACK_BYTES, job) {
                let why = Unresolved::Exhausted(format!("no thread for it: {error}"));
                self.finish(host, id, &Err(why));
            }
        }
        next
    }

    /// Hands an answer to everyone who waits. A failure counts only while no later look-up is under way.
    fn finish(&self, host: &str, id: u64, answer: &Answer) {
        let told = self.state.with(|state| {
            let Some(name) = state.names.get_mut(host) else {
                return Vec::new();
            };
            name.running.retain(|(running, _)| *running != id);
            let later = name.running.iter().any(|(running, _)| *running > id);
            let told = if answer.is_err() && later {
                Vec::new()
            } else {
                std::mem::take(&mut name.waiting)
            };
            state.tidy(host);
            told
        });
        for (_, waiting) in told {
            let _ = waiting.send(answer.clone());
        }
    }
}

impl State {
    fn leave(&mut self, host: &str, id: u64) {
        if let Some(name) = self.names.get_mut(host) {
            name.waiting.retain(|(waiting, _)| *waiting != id);
        }
        self.tidy(host);
    }

    /// Forgets a name that nothing happens to.
    fn tidy(&mut self, host: &str) {
        let idle = |name: &Name| name.running.is_empty() && name.waiting.is_empty();
        if self.names.get(host).is_some_and(idle) {
            self.names.remove(host);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Condvar, Mutex};

    use super::*;

    const LONG: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(50);

    /// A resolver that answers when it is told to: once for each permit, with what the permit says.
    struct Resolver {
        permits: Mutex<Vec<Answer>>,
        given: Condvar,
        asked: AtomicUsize,
    }

    impl Resolver {
        const fn new() -> Resolver {
            Resolver {
                permits: Mutex::new(Vec::new()),
                given: Condvar::new(),
                asked: AtomicUsize::new(0),
            }
        }

        fn resolve(&self) -> Answer {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let guard = self.permits.lock().expect("permits");
            let mut permits = self
                .given
                .wait_while(guard, |permits| permits.is_empty())
                .expect("permits");
            permits.remove(0)
        }

        fn permit(&self, answer: Answer) {
            self.permits.lock().expect("permits").push(answer);
            self.given.notify_one();
        }

        /// Waits until this many look-ups have started.
        fn reached(&self, count: usize) {
            while self.asked.load(Ordering::SeqCst) < count {
                std::thread::yield_now();
            }
        }
    }

    #[allow(clippy::unnecessary_wraps, reason = "an answer")]
    fn found() -> Answer {
        Ok(vec![IpAddr::from([192, 0, 2, 1])])
    }

    fn failed() -> Answer {
        Err(Unresolved::Failed("no such name".to_owned()))
    }

    fn waiting(look_ups: &LookUps, host: &str) -> usize {
        look_ups
            .state
            .with(|state| state.names.get(host).map_or(0, |name| name.waiting.len()))
    }

    fn until(met: impl Fn() -> bool) {
        while !met() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn many_who_wait_share_one_and_other_names_are_free() {
        static RESOLVER: Resolver = Resolver::new();
        fn resolve(host: &str) -> Answer {
            if host == "good" {
                found()
            } else {
                RESOLVER.resolve()
            }
        }
        static LOOK_UPS: LookUps = LookUps::new(resolve, LONG);
        std::thread::scope(|scope| {
            let waiters: Vec<_> = (0..16)
                .map(|_| scope.spawn(|| LOOK_UPS.look_up("hangs", Instant::now() + LONG)))
                .collect();
            until(|| waiting(&LOOK_UPS, "hangs") == 16);
            assert_eq!(LOOK_UPS.look_up("good", Instant::now() + LONG), found());
            RESOLVER.permit(found());
            for waiter in waiters {
                assert_eq!(waiter.join().expect("no panic"), found());
            }
        });
        assert_eq!(RESOLVER.asked.load(Ordering::SeqCst), 1);
        assert!(LOOK_UPS.state.with(|state| state.names.is_empty()));
    }

    #[test]
    fn a_slow_one_gets_a_second_and_never_a_third() {
        static RESOLVER: Resolver = Resolver::new();
        static LOOK_UPS: LookUps = LookUps::new(|_| RESOLVER.resolve(), SHORT);
        for _ in 0..4 {
            let answer = LOOK_UPS.look_up("h", Instant::now() + 2 * SHORT);
            assert_eq!(answer, Err(Unresolved::TimedOut));
        }
        RESOLVER.reached(2);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| LOOK_UPS.look_up("h", Instant::now() + LONG));
            until(|| waiting(&LOOK_UPS, "h") == 1);
            // Whichever of the two comes first.
            RESOLVER.permit(found());
            assert_eq!(waiter.join().expect("no panic"), found());
        });
        assert_eq!(RESOLVER.asked.load(Ordering::SeqCst), 2);
        RESOLVER.permit(found());
        until(|| LOOK_UPS.state.with(|state| state.names.is_empty()));
    }

    #[test]
    fn a_failure_of_the_first_waits_for_the_second_and_that_of_the_second_counts() {
        static FIRST: Resolver = Resolver::new();
        static SECOND: Resolver = Resolver::new();
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        fn resolve(_: &str) -> Answer {
            match ASKED.fetch_add(1, Ordering::SeqCst) % 2 {
                0 => FIRST.resolve(),
                _ => SECOND.resolve(),
            }
        }
        static LOOK_UPS: LookUps = LookUps::new(resolve, SHORT);
        let look_up = || LOOK_UPS.look_up("h", Instant::now() + LONG);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(look_up);
            SECOND.reached(1);
            FIRST.permit(failed());
            until(|| {
                LOOK_UPS
                    .state
                    .with(|state| state.names["h"].running.len() == 1)
            });
            assert_eq!(waiting(&LOOK_UPS, "h"), 1);
            SECOND.permit(found());
            assert_eq!(waiter.join().expect("no panic"), found());

            let waiter = scope.spawn(look_up);
            SECOND.reached(2);
            SECOND.permit(failed());
            assert_eq!(waiter.join().expect("no panic"), failed());
            FIRST.permit(found());
        });
    }

    #[cfg(unix)]
    #[test]
    fn a_forked_child_starts_empty() {
        // The epoch stands in for a fork: the real one is in tests/behavior.
        static RESOLVER: Resolver = Resolver::new();
        static LOOK_UPS: LookUps = LookUps::new(|_| RESOLVER.resolve(), LONG);
        assert_eq!(
            LOOK_UPS.look_up("h", Instant::now() + SHORT),
            Err(Unresolved::TimedOut)
        );
        LOOK_UPS.state.pass_to_child();
        RESOLVER.permit(found());
        RESOLVER.permit(found());
        assert_eq!(LOOK_UPS.look_up("h", Instant::now() + LONG), found());
    }

    #[test]
    fn addresses_of_this_machine_need_no_network() {
        let found = look_up("localhost", Instant::now() + LONG).expect("an address");
        assert!(found.iter().all(IpAddr::is_loopback), "{found:?}");
    }
}
