//! What a forked child inherits, and how it is kept usable.
//!
//! `fork` copies every lock in whatever state another thread had it. So every lock of this library that a child can reach
//! is only ever held inside a [`section`], which holds one process-wide lock for reading; the `pthread_atfork` prepare
//! handler takes that lock for writing. At the moment of a fork nobody is inside a section, and everything that sections
//! guard is free and whole in the child. Sections are short: nothing waits for the network, a file or a condition in one.
//! What does wait (a caller for a flight) uses objects that the child throws away and makes new.
//!
//! vfork and `posix_spawn` run no handlers and need none: they do not run this library in the child before exec.
#![allow(unsafe_code, reason = "pthread_atfork has no safe form")]

use std::sync::atomic::{AtomicU64, Ordering};

/// How many forks lie between the first process and this one. What belongs to threads (HTTP clients) remembers the epoch
/// it was made in and is forgotten, not dropped, when that has passed.
static EPOCH: AtomicU64 = AtomicU64::new(0);

/// The number of forks between the first process and this one.
pub(crate) fn epoch() -> u64 {
    EPOCH.load(Ordering::Relaxed)
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

#[cfg(unix)]
mod imp {
    use super::EPOCH;
    use std::cell::{Cell, UnsafeCell};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

    static LOCK: RwLock<()> = RwLock::new(());
    static INSTALLED: AtomicBool = AtomicBool::new(false);

    thread_local! {
        /// How deep this thread is in sections: only the outermost takes the lock, or a waiting fork would part the two.
        static DEPTH: Cell<u32> = const { Cell::new(0) };
    }

    /// Leaves the section, also when the work panics.
    struct Leave(
        #[allow(dead_code, reason = "held, not read")] Option<RwLockReadGuard<'static, ()>>,
    );

    impl Drop for Leave {
        fn drop(&mut self) {
            let _ = DEPTH.try_with(|depth| depth.set(depth.get() - 1));
        }
    }

    pub(super) fn section<R>(work: impl FnOnce() -> R) -> R {
        install();
        // A thread whose locals are gone (it is ending) takes the lock each time; it nests no sections.
        let outermost = DEPTH
            .try_with(|depth| depth.replace(depth.get() + 1) == 0)
            .unwrap_or(true);
        let _leave = Leave(outermost.then(|| {
            LOCK.read()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
        }));
        work()
    }

    /// Not a `Once`: a fork in the middle of one would leave it running for ever in the child.
    fn install() {
        if !INSTALLED.load(Ordering::Relaxed) && !INSTALLED.swap(true, Ordering::Relaxed) {
            // SAFETY: the three handlers are plain functions that stay loaded (the library pins itself).
            unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
        }
    }

    /// The write guard between prepare and the end of the fork. Only the forking thread touches it, and only while it
    /// holds the lock for writing.
    struct Held(UnsafeCell<Option<RwLockWriteGuard<'static, ()>>>);
    // SAFETY: see above: access is serialised by the very lock whose guard it holds.
    unsafe impl Sync for Held {}
    static HELD: Held = Held(UnsafeCell::new(None));

    extern "C" fn prepare() {
        let guard = LOCK
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        // SAFETY: the lock is held for writing, so no other thread is between its prepare and its parent/child handler.
        unsafe { *HELD.0.get() = Some(guard) };
    }

    extern "C" fn parent() {
        release();
    }

    extern "C" fn child() {
        EPOCH.fetch_add(1, Ordering::Relaxed);
        release();
        crate::store::after_fork();
        crate::client::after_fork();
    }

    fn release() {
        // SAFETY: this is the thread that ran `prepare`, or its copy in the child, and still holds the lock.
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
