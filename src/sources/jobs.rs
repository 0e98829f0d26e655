//! Work that may block for any time, off the callers' threads: at most one thread for each name, shared by all who ask for
//! that name meanwhile. A thread that is stuck is never doubled, and a forked child forgets it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::sync::mpsc;
use std::time::Instant;

use crate::fork::PerProcess;
use crate::sys;

/// Reading and parsing a bundle of certificates needs some of it.
const STACK_BYTES: usize = 256 * 1024;

/// Why a job has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// It did not end by the deadline.
    Late,
    /// No thread could be started, in the system's words.
    NoThread(String),
    /// It panicked.
    Panicked,
}

/// The jobs of one kind. `T` is the result of one, of which each caller gets a copy.
pub(crate) struct Jobs<T>(PerProcess<State<T>>);

struct State<T> {
    next_id: u64,
    running: BTreeMap<OsString, Running<T>>,
}

impl<T> Default for State<T> {
    fn default() -> State<T> {
        State {
            next_id: 0,
            running: BTreeMap::new(),
        }
    }
}

struct Running<T> {
    id: u64,
    /// The latest deadline of all who have asked.
    until: Instant,
    waiting: Vec<(u64, mpsc::Sender<Result<T, Lost>>)>,
}

/// Removes a job no matter what becomes of its thread.
struct Ending<T: Clone + Send + 'static> {
    jobs: &'static Jobs<T>,
    name: OsString,
    id: u64,
    result: Result<T, Lost>,
}

impl<T: Clone + Send + 'static> Jobs<T> {
    /// For a static.
    pub(crate) const fn new() -> Jobs<T> {
        Jobs(PerProcess::new_static(State {
            next_id: 0,
            running: BTreeMap::new(),
        }))
    }

    /// Whether the job called `name` is under way.
    pub(crate) fn is_running(&self, name: &OsStr) -> bool {
        self.0.with(|state| state.running.contains_key(name))
    }

    /// The result of the job called `name`: of the one that is under way, or of `work` on a new thread. `work` is told until
    /// when someone waits, and may return `None` once that is over: it then runs again if someone else waits by then.
    ///
    /// # Errors
    ///
    /// [`Lost`].
    pub(crate) fn run(
        &'static self,
        name: &OsStr,
        deadline: Instant,
        work: impl Fn(&dyn Fn() -> Instant) -> Option<T> + Send + 'static,
    ) -> Result<T, Lost> {
        let (sender, result) = mpsc::channel();
        let (me, new) = self.0.with(|state| {
            let me = state.next_id;
            state.next_id += 1;
            let is_new = !state.running.contains_key(name);
            let job = state
                .running
                .entry(name.to_owned())
                .or_insert_with(|| Running {
                    id: me,
                    until: deadline,
                    waiting: Vec::new(),
                });
            job.until = job.until.max(deadline);
            job.waiting.push((me, sender));
            (me, is_new)
        });
        if new {
            self.start(name, me, work);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        result.recv_timeout(left).unwrap_or_else(|_| {
            self.0.with(|state| {
                if let Some(job) = state.running.get_mut(name) {
                    job.waiting.retain(|(waiting, _)| *waiting != me);
                }
            });
            Err(Lost::Late)
        })
    }

    fn start(
        &'static self,
        name: &OsStr,
        id: u64,
        work: impl Fn(&dyn Fn() -> Instant) -> Option<T> + Send + 'static,
    ) {
        let of = name.to_owned();
        let job = move || {
            // Made here: a job that gets no thread is dropped, and not ended by that.
            let mut ending = Ending {
                jobs: self,
                name: of.clone(),
                id,
                result: Err(Lost::Panicked),
            };
            let until = || self.until(&of, id);
            loop {
                if let Some(result) = work(&until) {
                    ending.result = Ok(result);
                    return;
                }
                if self.give_up(&of, id) {
                    return;
                }
            }
        };
        sys::pin_library();
        if let Err(error) = sys::start_thread(c"p21auth-reader", STACK_BYTES, Box::new(job)) {
            self.end(name, id, &Err(Lost::NoThread(error.to_string())));
        }
    }

    /// Until when someone waits for this job.
    fn until(&self, name: &OsStr, id: u64) -> Instant {
        self.0.with(|state| match state.running.get(name) {
            Some(job) if job.id == id => job.until,
            _ => Instant::now(),
        })
    }

    /// Ends a job for which no call waits any more. Returns whether that is so.
    fn give_up(&self, name: &OsStr, id: u64) -> bool {
        self.0.with(|state| match state.running.get(name) {
            Some(job) if job.id == id && job.until > Instant::now() => false,
            Some(job) if job.id == id => {
                state.running.remove(name);
                true
            }
            _ => true,
        })
    }

    fn end(&self, name: &OsStr, id: u64, result: &Result<T, Lost>) {
        let told = self.0.with(|state| {
            if state.running.get(name).is_some_and(|job| job.id == id) {
                state.running.remove(name)
            } else {
                None
            }
        });
        for (_, waiting) in told.into_iter().flat_map(|job| job.waiting) {
            let _ = waiting.send(result.clone());
        }
    }
}

impl<T: Clone + Send + 'static> Drop for Ending<T> {
    fn drop(&mut self) {
        let result = std::mem::replace(&mut self.result, Err(Lost::Panicked));
        self.jobs.end(&self.name, self.id, &result);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Condvar, Mutex};
    use std::time::Duration;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(30);

    /// Shut until it is opened.
    struct Door(Mutex<bool>, Condvar);

    impl Door {
        const fn new() -> Door {
            Door(Mutex::new(false), Condvar::new())
        }

        fn open(&self) {
            *self.0.lock().expect("door") = true;
            self.1.notify_all();
        }

        fn pass(&self) {
            let shut = self.0.lock().expect("door");
            drop(self.1.wait_while(shut, |open| !*open).expect("door"));
        }
    }

    fn soon(after: Duration) -> Instant {
        Instant::now() + after
    }

    fn until(met: impl Fn() -> bool) {
        while !met() {
            std::thread::yield_now();
        }
    }

    fn waiting<T>(jobs: &Jobs<T>, name: &str) -> usize {
        jobs.0.with(|state| {
            let job = state.running.get(OsStr::new(name));
            job.map_or(0, |job| job.waiting.len())
        })
    }

    #[test]
    fn many_share_one_and_other_names_are_free() {
        static JOBS: Jobs<usize> = Jobs::new();
        static DOOR: Door = Door::new();
        static RUN: AtomicUsize = AtomicUsize::new(0);
        let ask = || {
            JOBS.run(OsStr::new("stuck"), soon(LONG), |_| {
                DOOR.pass();
                Some(RUN.fetch_add(1, Ordering::SeqCst))
            })
        };
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
            until(|| waiting(&JOBS, "stuck") == 16);
            assert_eq!(JOBS.run(OsStr::new("free"), soon(LONG), |_| Some(7)), Ok(7));
            DOOR.open();
            for one in all {
                assert_eq!(one.join().expect("no panic"), Ok(0));
            }
        });
        assert_eq!(RUN.load(Ordering::SeqCst), 1);
        until(|| JOBS.0.with(|state| state.running.is_empty()));
    }

    #[test]
    fn one_that_is_stuck_is_never_doubled_and_serves_who_waits_when_it_ends() {
        static JOBS: Jobs<()> = Jobs::new();
        static DOOR: Door = Door::new();
        static RUN: AtomicUsize = AtomicUsize::new(0);
        let ask = |after| {
            JOBS.run(OsStr::new("stuck"), soon(after), |_| {
                RUN.fetch_add(1, Ordering::SeqCst);
                DOOR.pass();
                Some(())
            })
        };
        for _ in 0..5 {
            assert_eq!(ask(SHORT), Err(Lost::Late));
        }
        std::thread::scope(|scope| {
            let last = scope.spawn(|| ask(LONG));
            until(|| waiting(&JOBS, "stuck") == 1);
            DOOR.open();
            assert_eq!(last.join().expect("no panic"), Ok(()));
        });
        assert_eq!(RUN.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn one_that_can_stop_goes_on_while_anyone_waits() {
        static JOBS: Jobs<()> = Jobs::new();
        static RUN: AtomicUsize = AtomicUsize::new(0);
        let ask = |after| {
            JOBS.run(
                OsStr::new("waits"),
                soon(after),
                |until: &dyn Fn() -> Instant| {
                    RUN.fetch_add(1, Ordering::SeqCst);
                    std::thread::sleep(until().saturating_duration_since(Instant::now()));
                    None
                },
            )
        };
        std::thread::scope(|scope| {
            let long = scope.spawn(|| ask(10 * SHORT));
            until(|| waiting(&JOBS, "waits") == 1);
            assert_eq!(ask(SHORT), Err(Lost::Late));
            assert_eq!(long.join().expect("no panic"), Err(Lost::Late));
        });
        until(|| JOBS.0.with(|state| state.running.is_empty()));
        assert_eq!(ask(SHORT), Err(Lost::Late));
        assert!(RUN.load(Ordering::SeqCst) >= 2, "it starts again");
    }

    #[test]
    fn a_panic_is_told_and_the_next_starts_anew() {
        static JOBS: Jobs<u8> = Jobs::new();
        let panics = JOBS.run(OsStr::new("p"), soon(LONG), |_| {
            std::panic::resume_unwind(Box::new(()))
        });
        assert_eq!(panics, Err(Lost::Panicked));
        assert_eq!(JOBS.run(OsStr::new("p"), soon(LONG), |_| Some(1)), Ok(1));
    }

    #[cfg(unix)]
    #[test]
    fn a_forked_child_forgets_those_of_its_parent() {
        // The epoch stands in for a fork: the real one is among the tests of processes.
        static JOBS: Jobs<u8> = Jobs::new();
        static DOOR: Door = Door::new();
        let stuck = JOBS.run(OsStr::new("stuck"), soon(SHORT), |_| {
            DOOR.pass();
            Some(1)
        });
        assert_eq!(stuck, Err(Lost::Late));
        JOBS.0.pass_to_child();
        assert_eq!(
            JOBS.run(OsStr::new("stuck"), soon(LONG), |_| Some(2)),
            Ok(2)
        );
        DOOR.open();
    }
}
