//! What a forked child inherits, and how it is kept usable.
//!
//! `fork` copies every lock in the state that another thread left it in. So the locks of this library that a child can
//! reach are [`Guarded`]: they are only ever held inside a [`section`], which holds one process-wide lock for reading, and
//! the `pthread_atfork` prepare handler takes that lock for writing. At the moment of a fork no thread is inside a section,
//! and everything that sections guard is free and whole in the child. Sections are short: nothing waits for the network, a
//! file or a condition in one. What a child must do besides (close a descriptor, forget a flight), the module that knows
//! it registers with [`on_child`].
//!
//! Locks that are no `Guarded` do not compile (`disallowed_types` in clippy.toml), except two kinds that never meet a child:
//!
//! - `Pulse`, the condition that callers of a slot wait on: a child throws it away and makes a new one.
//! - `OnceLock` and `OnceCell` inside an object that a child throws away (a flight's result, an HTTP client), or that are
//!   set by [`Once`], inside a section.
//!
//! vfork and `posix_spawn` run no handlers and need none: they do not run this library in the child before exec.
#![allow(unsafe_code, reason = "pthread_atfork has no safe form")]
#![expect(clippy::disallowed_types, reason = "what Guarded and Once are made of")]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sync::Lock;

/// How many forks lie between the first process and this one. What belongs to threads (HTTP clients) remembers the epoch
/// it was made in and is forgotten, not dropped, when that has passed.
static EPOCH: AtomicU64 = AtomicU64::new(0);

static FORKS: AtomicU64 = AtomicU64::new(0);

/// The number of forks between the first process and this one.
pub(crate) fn epoch() -> u64 {
    EPOCH.load(Ordering::Relaxed)
}

/// How many times this process has begun to fork. Asked in a [`section`]: none is under way then.
#[cfg_attr(
    not(feature = "store-file"),
    expect(dead_code, reason = "only its locks ask")
)]
pub(crate) fn forks() -> u64 {
    FORKS.load(Ordering::Relaxed)
}

/// Runs `work` with no fork in between. May be nested; must not wait for anything but other sections' locks.
pub(crate) fn section<R>(work: impl FnOnce() -> R) -> R {
    // A model checker runs all its threads on one, where the lock would be of no use and the depth wrong.
    if cfg!(all(test, shuttle)) {
        work()
    } else {
        imp::section(work)
    }
}

/// A value behind a lock that is only taken inside a [`section`], so a forked child always finds it free and whole. A panic
/// in `with` does not poison it: code that changes the value leaves it usable at every step.
#[derive(Default)]
pub(crate) struct Guarded<T>(Lock<T>);

impl<T> Guarded<T> {
    pub(crate) const fn new(value: T) -> Guarded<T> {
        Guarded(Lock::new(value))
    }

    /// For a static; the same but in model checks.
    pub(crate) const fn new_static(value: T) -> Guarded<T> {
        Guarded(Lock::new_static(value))
    }

    /// Runs `work` on the value; other threads and forks wait. Not to be nested on one value.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        section(|| self.0.with(work))
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for Guarded<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.with(|value| value.fmt(f))
    }
}

/// A value that belongs to the threads of one process. A forked child, which has none of them, begins with another and forgets
/// its parent's: to drop that might wait for a thread.
pub(crate) struct PerProcess<T>(Guarded<(u64, T)>);

impl<T: Default> Default for PerProcess<T> {
    fn default() -> PerProcess<T> {
        PerProcess(Guarded::new((epoch(), T::default())))
    }
}

impl<T> PerProcess<T> {
    /// For a static.
    pub(crate) const fn new_static(empty: T) -> PerProcess<T> {
        PerProcess(Guarded::new_static((0, empty)))
    }

    /// As [`Guarded::with`].
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R
    where
        T: Default,
    {
        self.0.with(|(of, value)| {
            if *of != epoch() {
                std::mem::forget(std::mem::take(value));
                *of = epoch();
            }
            work(value)
        })
    }

    /// Stands in for a fork.
    #[cfg(all(test, unix))]
    pub(crate) fn pass_to_child(&self) {
        self.0.with(|(of, _)| *of = u64::MAX);
    }
}

/// A value that is made once, inside a [`section`], so that a forked child never finds it half made.
pub(crate) struct Once<T>(OnceLock<T>);

impl<T> Once<T> {
    pub(crate) const fn new() -> Once<T> {
        Once(OnceLock::new())
    }

    pub(crate) fn get(&self) -> Option<&T> {
        self.0.get()
    }

    /// The value; `make` must be as short as a section.
    pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        self.get()
            .unwrap_or_else(|| section(|| self.0.get_or_init(make)))
    }
}

#[cfg(unix)]
pub(crate) use imp::on_child;

#[cfg(unix)]
mod imp {
    use super::{EPOCH, FORKS, Guarded};
    use std::cell::{Cell, UnsafeCell};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

    static LOCK: RwLock<()> = RwLock::new(());
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    static ON_CHILD: Guarded<Vec<fn()>> = Guarded::new_static(Vec::new());

    thread_local! {
        /// How deep this thread is in sections and forks: only the outermost takes the lock, or a waiting fork would part
        /// two sections, and a section in another library's fork handler would wait for its own thread.
        static DEPTH: Cell<u32> = const { Cell::new(0) };
    }

    /// Has `handler` run in every child that is forked from now on, also by children. Handlers know nothing of each other
    /// and run in any order; each finds all locks free. Safe while another thread forks: that child has it or has it not.
    pub(crate) fn on_child(handler: fn()) {
        ON_CHILD.with(|handlers| handlers.push(handler));
    }

    /// Leaves the section, also when the work panics.
    struct Leave(
        #[allow(dead_code, reason = "held, not read")] Option<RwLockReadGuard<'static, ()>>,
    );

    impl Drop for Leave {
        fn drop(&mut self) {
            leave();
        }
    }

    /// Whether this thread was neither in a section nor in a fork.
    fn enter() -> bool {
        DEPTH.with(|depth| depth.replace(depth.get() + 1) == 0)
    }

    /// Whether it is in neither any more.
    fn leave() -> bool {
        DEPTH.with(|depth| {
            depth.set(depth.get().saturating_sub(1));
            depth.get() == 0
        })
    }

    pub(super) fn section<R>(work: impl FnOnce() -> R) -> R {
        if !INSTALLED.load(Ordering::Relaxed) {
            install();
        }
        let guard = enter().then(|| LOCK.read().unwrap_or_else(PoisonError::into_inner));
        let _leave = Leave(guard);
        work()
    }

    /// Not a `Once`: a fork in the middle of one would leave it running indefinitely in the child. Two threads may both come
    /// here, and a child again; handlers that are installed twice do their work once.
    #[cold]
    fn install() {
        // SAFETY: the handlers have the signature that pthread_atfork takes, neither unwind nor need their arguments, and
        // stay loaded until the process ends, for the library is linked not to be unloaded and pins itself.
        unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
        INSTALLED.store(true, Ordering::Relaxed);
    }

    /// The write guard between prepare and the end of the fork.
    struct Held(UnsafeCell<Option<RwLockWriteGuard<'static, ()>>>);
    // SAFETY: the cell is only reached by the thread that has just taken `LOCK` for writing or is about to release it, so
    // never by two threads; and the guard leaves on the thread that took it, or on that thread's copy in the child.
    unsafe impl Sync for Held {}
    static HELD: Held = Held(UnsafeCell::new(None));

    pub(super) extern "C" fn prepare() {
        if enter() {
            let guard = LOCK.write().unwrap_or_else(PoisonError::into_inner);
            FORKS.fetch_add(1, Ordering::Relaxed);
            // SAFETY: this thread holds `LOCK` for writing, as all do that reach the cell, so no other is here or in
            // `release`; the reference ends with the statement.
            unsafe { *HELD.0.get() = Some(guard) };
        }
    }

    pub(super) extern "C" fn parent() {
        if leave() {
            release();
        }
    }

    pub(super) extern "C" fn child() {
        if leave() {
            EPOCH.fetch_add(1, Ordering::Relaxed);
            release();
            // A copy: a handler may register another.
            for handler in ON_CHILD.with(|handlers| handlers.clone()) {
                handler();
            }
        }
    }

    fn release() {
        // SAFETY: only the outermost handler of a fork comes here, on the thread that took `LOCK` for writing in `prepare`
        // (or on its copy in the child, which is alone) and still holds it, so no other thread reaches the cell.
        let guard = unsafe { (*HELD.0.get()).take() };
        drop(guard);
    }
}

#[cfg(not(unix))]
mod imp {
    /// There is no fork here.
    pub(super) fn section<R>(work: impl FnOnce() -> R) -> R {
        work()
    }
}

#[cfg(all(test, unix, not(shuttle)))]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    /// What a child says by its exit status; it runs `work` alone.
    fn in_child(work: impl FnOnce() -> bool) -> bool {
        // SAFETY: the child only runs `work`, which uses this module alone, and leaves by _exit without unwinding.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork");
        if pid == 0 {
            let good = work();
            // SAFETY: it ends the child at once, whose memory is a copy.
            unsafe { libc::_exit(i32::from(!good)) };
        }
        let mut status = 0;
        // SAFETY: `pid` is the child made above, which is waited for once, and `status` is a local.
        let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
        waited == pid && libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
    }

    #[test]
    fn a_child_finds_every_lock_free_and_every_value_whole() {
        static PAIR: Guarded<(u64, u64)> = Guarded::new_static((0, 0));
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        PAIR.with(|pair| {
                            pair.0 += 1;
                            std::thread::yield_now();
                            pair.1 += 1;
                        });
                    }
                });
            }
            let whole = (0..50).all(|_| in_child(|| PAIR.with(|pair| pair.0 == pair.1)));
            over.store(true, Ordering::Relaxed);
            assert!(whole);
        });
    }

    #[test]
    fn every_child_runs_every_handler_once_whenever_it_was_registered() {
        static RUNS: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];
        fn run<const AT: usize>() {
            RUNS[AT].fetch_add(1, Ordering::Relaxed);
        }
        let all_are = |count| {
            RUNS.iter()
                .all(|runs| runs.load(Ordering::Relaxed) == count)
        };
        // In the middle of a section, as a module does that has just made what its handler is about; then while others fork.
        section(|| on_child(run::<0>));
        std::thread::scope(|scope| {
            scope.spawn(|| assert!((0..20).all(|_| in_child(|| true))));
            on_child(run::<1>);
            on_child(run::<2>);
        });
        let epoch = epoch();
        assert!(in_child(|| {
            // And a child's child.
            all_are(1) && super::epoch() == epoch + 1 && in_child(|| all_are(2))
        }));
        assert!(all_are(0), "not in the parent");
    }

    #[test]
    fn handlers_that_are_installed_twice_work_once() {
        section(|| ());
        // SAFETY: as in `install`; this is the race of two threads in it.
        unsafe { libc::pthread_atfork(Some(imp::prepare), Some(imp::parent), Some(imp::child)) };
        let before = epoch();
        assert!(in_child(|| epoch() == before + 1 && section(|| true)));
        assert!(section(|| true), "the parent's lock is free again");
    }

    #[test]
    fn a_panic_leaves_the_value_usable() {
        let value = Guarded::new(1);
        let work = std::panic::AssertUnwindSafe(|| {
            value.with(|_| std::panic::resume_unwind(Box::new(())))
        });
        assert!(std::panic::catch_unwind(work).is_err() && value.with(|value| *value == 1));
        assert!(in_child(|| true), "the section was left");
    }
}
