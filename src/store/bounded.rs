//! A store on storage that may stop answering: each command runs on a thread of the library and has so much time. While one is
//! stuck no other is begun, so that a store that hangs costs one thread, and what uses it goes on without it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::seal::Salt;
use super::{
    Attempt, Change, Edit, EntryKind, Fault, Keep, Lease, Loaded, Published, Sealed, Store, Ticket,
    Wake,
};
use crate::fork::{self, Guarded};
use crate::sys;

/// Files are read and sorted on it.
const STACK_BYTES: usize = 256 * 1024;

/// A disk that is busy, and not away, answers within this.
const LEAST: Duration = Duration::from_secs(5);

pub(super) struct Bounded<S> {
    store: Arc<S>,
    limit: Arc<Limit>,
}

/// How long a command may take, and how many have taken longer and not ended yet.
struct Limit {
    time: Duration,
    stuck: Guarded<Stuck>,
    /// Which storage, for messages.
    shown: String,
}

#[derive(Default)]
struct Stuck {
    /// The process whose threads they are.
    epoch: u64,
    count: usize,
    /// A forked child has none of its parent's threads, but most likely the same storage: it leaves that alone for a while. A
    /// child that only wants to go on, or to end, would be kept by a thread that is stuck in the kernel.
    not_before: Option<Instant>,
}

impl Limit {
    fn stuck<R>(&self, work: impl FnOnce(&mut Stuck) -> R) -> R {
        self.stuck.with(|stuck| {
            if stuck.epoch != fork::epoch() {
                *stuck = Stuck {
                    epoch: fork::epoch(),
                    count: 0,
                    not_before: (stuck.count > 0).then(|| Instant::now() + self.time),
                };
            }
            work(stuck)
        })
    }

    /// How many commands are stuck, more by `by`.
    fn count(&self, by: isize) {
        self.stuck(|stuck| stuck.count = stuck.count.saturating_add_signed(by));
    }

    fn is_stuck(&self) -> bool {
        let is_early = |at: Option<Instant>| at.is_some_and(|at| Instant::now() < at);
        self.stuck(|stuck| stuck.count > 0 || is_early(stuck.not_before))
    }

    fn late(&self) -> Fault {
        let ms = self.time.as_millis();
        Fault::new(format!(
            "{}: the storage does not respond within {ms} ms",
            self.shown
        ))
    }

    fn run<T: Send + 'static>(
        self: &Arc<Limit>,
        work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        if self.is_stuck() {
            return Err(self.late());
        }
        // Set by whichever is over first, the command or its time.
        let is_over = Arc::new(AtomicBool::new(false));
        let (limit, flag) = (Arc::clone(self), Arc::clone(&is_over));
        let job = move || {
            let result = work();
            if flag.swap(true, Ordering::SeqCst) {
                limit.count(-1);
            }
            result
        };
        sys::pin_library();
        match sys::run_apart(c"p21auth-store", STACK_BYTES, self.time, job) {
            Ok(result) => result,
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                self.count(1);
                if is_over.swap(true, Ordering::SeqCst) {
                    self.count(-1);
                }
                Err(self.late())
            }
            Err(error) => Err(Fault::new(format!("{}: no thread: {error}", self.shown))),
        }
    }
}

impl<S: Store + 'static> Bounded<S> {
    /// `timeout`: for a command, if that is more than a slow disk needs.
    pub(super) fn new(store: S, timeout: Duration) -> Bounded<S> {
        let limit = Limit {
            time: timeout.max(LEAST),
            stuck: Guarded::default(),
            shown: store.shown(),
        };
        Bounded {
            store: Arc::new(store),
            limit: Arc::new(limit),
        }
    }

    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&S) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let store = Arc::clone(&self.store);
        self.limit.run(move || work(&store))
    }
}

impl<S: Store + 'static> Store for Bounded<S> {
    fn kind(&self) -> &'static str {
        self.store.kind()
    }

    fn shown(&self) -> String {
        self.store.shown()
    }

    fn salt(&self, proposed: &Salt) -> Result<Salt, Fault> {
        let proposed = *proposed;
        self.run(move |store| store.salt(&proposed))
    }

    fn load(&self, name: &str) -> Result<Loaded, Fault> {
        let name = name.to_owned();
        self.run(move |store| store.load(&name))
    }

    fn try_lease(&self, name: &str, ticket: &Ticket) -> Result<Attempt, Fault> {
        let (name, ticket) = (name.to_owned(), ticket.clone());
        let attempt = self.run(move |store| store.try_lease(&name, &ticket))?;
        Ok(match attempt {
            Attempt::Got(lease) => Attempt::Got(Box::new(BoundedLease {
                lease: Guarded::new(Some(lease)),
                limit: Arc::clone(&self.limit),
            })),
            busy @ Attempt::Busy { .. } => busy,
        })
    }

    /// Waits on a thread of its own anyway.
    fn wait(&self, name: &str, ticket: &mut Ticket, most: Duration) -> Wake {
        self.store.wait(name, ticket, most)
    }

    fn list(&self) -> Result<Vec<(String, EntryKind, Sealed)>, Fault> {
        self.run(S::list)
    }

    fn clear(&self, before: Option<i64>) -> Result<usize, Fault> {
        self.run(move |store| store.clear(before))
    }

    fn tidy(&self, now: i64) {
        let _ = self.run(move |store| {
            store.tidy(now);
            Ok(())
        });
    }
}

struct BoundedLease {
    /// Gone while a command has it, and for good once one is stuck with it.
    lease: Guarded<Option<Box<dyn Lease>>>,
    limit: Arc<Limit>,
}

impl Lease for BoundedLease {
    /// The lock is ours until we let go of it.
    fn keep(&mut self) {}

    fn publish(&self, change: &Change<'_>) -> Result<Published, Fault> {
        let Some(lease) = self.lease.with(Option::take) else {
            return Err(self.limit.late());
        };
        let edits = [change.token, change.denial, change.failure].map(OwnedEdit::of);
        let (lease, result) = self.limit.run(move || {
            let [token, denial, failure] = edits.each_ref().map(OwnedEdit::edit);
            let result = lease.publish(&Change {
                token,
                denial,
                failure,
            });
            Ok((lease, result))
        })?;
        self.lease.with(|kept| *kept = Some(lease));
        result
    }
}

impl Drop for BoundedLease {
    /// To let go of a lock may hang as well.
    fn drop(&mut self) {
        let Some(lease) = self.lease.with(Option::take) else {
            return;
        };
        let last = move || drop(lease);
        if self.limit.is_stuck() {
            let _ = sys::start_thread(c"p21auth-store", STACK_BYTES, Box::new(last));
        } else {
            let _ = self.limit.run(move || {
                last();
                Ok(())
            });
        }
    }
}

enum OwnedEdit {
    Leave,
    Remove,
    Put(Vec<u8>, i64),
}

impl OwnedEdit {
    fn of(edit: Edit<'_>) -> OwnedEdit {
        match edit {
            Edit::Leave => OwnedEdit::Leave,
            Edit::Remove => OwnedEdit::Remove,
            Edit::Put(keep) => OwnedEdit::Put(keep.bytes.to_owned(), keep.keep_ms),
        }
    }

    fn edit(&self) -> Edit<'_> {
        match self {
            OwnedEdit::Leave => Edit::Leave,
            OwnedEdit::Remove => Edit::Remove,
            OwnedEdit::Put(bytes, keep_ms) => Edit::Put(Keep {
                bytes,
                keep_ms: *keep_ms,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Condvar, Mutex};

    /// A store whose commands wait while it is shut.
    #[derive(Default)]
    struct Slow {
        shut: Mutex<bool>,
        changed: Condvar,
        begun: Mutex<usize>,
    }

    impl Slow {
        fn set(&self, shut: bool) {
            *self.shut.lock().expect("shut") = shut;
            self.changed.notify_all();
        }

        fn pass(&self) {
            *self.begun.lock().expect("begun") += 1;
            let shut = self.shut.lock().expect("shut");
            drop(self.changed.wait_while(shut, |shut| *shut).expect("shut"));
        }
    }

    impl Store for Arc<Slow> {
        fn kind(&self) -> &'static str {
            "slow"
        }

        fn shown(&self) -> String {
            "slow:".to_owned()
        }

        fn salt(&self, proposed: &Salt) -> Result<Salt, Fault> {
            self.pass();
            Ok(*proposed)
        }

        fn load(&self, _: &str) -> Result<Loaded, Fault> {
            self.pass();
            Ok(Loaded::default())
        }

        fn try_lease(&self, _: &str, _: &Ticket) -> Result<Attempt, Fault> {
            self.pass();
            Ok(Attempt::Got(Box::new(SlowLease(Arc::clone(self)))))
        }

        fn wait(&self, _: &str, _: &mut Ticket, _: Duration) -> Wake {
            Wake::Nothing
        }

        fn list(&self) -> Result<Vec<(String, EntryKind, Sealed)>, Fault> {
            self.pass();
            Ok(Vec::new())
        }

        fn clear(&self, _: Option<i64>) -> Result<usize, Fault> {
            self.pass();
            Ok(0)
        }
    }

    struct SlowLease(Arc<Slow>);

    impl Lease for SlowLease {
        fn keep(&mut self) {}

        fn publish(&self, _: &Change<'_>) -> Result<Published, Fault> {
            self.0.pass();
            Ok(Published::Stored)
        }
    }

    impl Drop for SlowLease {
        fn drop(&mut self) {
            self.0.pass();
        }
    }

    fn bounded(slow: &Arc<Slow>) -> Bounded<Arc<Slow>> {
        let mut bounded = Bounded::new(Arc::clone(slow), Duration::ZERO);
        assert_eq!(bounded.limit.time, LEAST);
        let limit = Arc::get_mut(&mut bounded.limit).expect("no one else's");
        limit.time = Duration::from_millis(50);
        bounded
    }

    /// Whether a command fails.
    type Fails<'a> = &'a dyn Fn(&Bounded<Arc<Slow>>) -> bool;

    fn until(met: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !met() {
            assert!(Instant::now() < end);
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_store_that_hangs_costs_one_thread_and_is_used_again_when_it_answers() {
        let slow = Arc::new(Slow::default());
        let bounded = bounded(&slow);
        assert!(bounded.load("n").is_ok());
        slow.set(true);
        for _ in 0..5 {
            let fault = bounded.load("n").expect_err("it hangs");
            assert_eq!(fault.0, "slow:: the storage does not respond within 50 ms");
        }
        assert_eq!(*slow.begun.lock().expect("begun"), 2);
        slow.set(false);
        until(|| !bounded.limit.is_stuck());
        assert!(bounded.load("n").is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_forked_child_leaves_it_alone_for_a_while() {
        // The epoch stands in for a fork.
        let slow = Arc::new(Slow::default());
        let bounded = bounded(&slow);
        slow.set(true);
        assert!(bounded.load("n").is_err());
        bounded.limit.stuck.with(|stuck| stuck.epoch = u64::MAX);
        slow.set(false);
        assert!(bounded.load("n").is_err());
        assert_eq!(*slow.begun.lock().expect("begun"), 1);
        until(|| bounded.load("n").is_ok());
    }

    #[test]
    fn every_command_is_bounded_and_so_is_the_end_of_a_lease() {
        let slow = Arc::new(Slow::default());
        let ticket = Ticket::new().expect("chance");
        let commands: [Fails<'_>; 5] = [
            &|store| store.salt(&Salt::default()).is_err(),
            &|store| store.load("n").is_err(),
            &|store| store.try_lease("n", &ticket).is_err(),
            &|store| store.list().is_err(),
            &|store| store.clear(None).is_err(),
        ];
        for fails in commands {
            let bounded = bounded(&slow);
            slow.set(true);
            assert!(fails(&bounded));
            slow.set(false);
            until(|| !bounded.limit.is_stuck());
            assert!(!fails(&bounded));
        }
        let bounded = bounded(&slow);
        let Ok(Attempt::Got(lease)) = bounded.try_lease("n", &ticket) else {
            panic!("a lease");
        };
        assert_eq!(lease.publish(&Change::default()), Ok(Published::Stored));
        slow.set(true);
        assert!(lease.publish(&Change::default()).is_err());
        assert!(lease.publish(&Change::default()).is_err());
        drop(lease);
        slow.set(false);
        let Ok(Attempt::Got(lease)) = ({
            until(|| !bounded.limit.is_stuck());
            bounded.try_lease("n", &ticket)
        }) else {
            panic!("a lease");
        };
        slow.set(true);
        // Its end hangs, and no one waits for that.
        drop(lease);
        slow.set(false);
    }
}
