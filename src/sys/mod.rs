//! What std and rustix have nothing for: pinning the library in memory, threads that forks don't harm, and what Windows has
//! functions of its own for.
#![allow(
    unsafe_code,
    reason = "this module and fork.rs are where the system is asked directly"
)]

#[cfg(unix)]
mod process;
#[cfg(windows)]
mod windows;
#[cfg(all(windows, feature = "store-file"))]
mod windows_files;
#[cfg(windows)]
mod windows_secrets;
#[cfg(unix)]
pub(crate) use process::{Exit, spawn};
#[cfg(windows)]
pub(crate) use windows::*;
#[cfg(all(windows, feature = "store-file"))]
pub(crate) use windows_files::*;
#[cfg(windows)]
pub(crate) use windows_secrets::{Job, read_credential};
#[cfg(windows)]
pub use windows_secrets::{Unseen, delete_credential, write_credential};

/// The coarse monotonic clock in milliseconds: no system call, about 5 ns.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline]
pub(crate) fn coarse_mono() -> i64 {
    ms(rustix::time::clock_gettime(
        rustix::time::ClockId::MonotonicCoarse,
    ))
}

/// The wall clock in milliseconds, as [`coarse_mono`].
#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline]
pub(crate) fn coarse_wall() -> i64 {
    ms(rustix::time::clock_gettime(
        rustix::time::ClockId::RealtimeCoarse,
    ))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline]
fn ms(time: rustix::time::Timespec) -> i64 {
    time.tv_sec
        .saturating_mul(1000)
        .saturating_add(time.tv_nsec / 1_000_000)
}

/// Whether the program runs with rights that its caller does not have: set-uid, set-gid, or by file capabilities. What the
/// caller can set, the environment, must then decide nothing.
pub(crate) fn is_set_uid() -> bool {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // SAFETY: it only reads the auxiliary vector, which the process has from its start.
    let is_secure = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    #[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
    let is_secure = {
        use rustix::process::{getegid, geteuid, getgid, getuid};
        getuid() != geteuid() || getgid() != getegid()
    };
    #[cfg(not(unix))]
    let is_secure = false;
    is_secure
}

/// Whether the system refused for want of descriptors or memory.
pub(crate) fn is_exhausted(error: &std::io::Error) -> bool {
    #[cfg(unix)]
    let codes = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS];
    #[cfg(not(unix))]
    // ERROR_TOO_MANY_OPEN_FILES, ERROR_NOT_ENOUGH_MEMORY, ERROR_OUTOFMEMORY, ERROR_NO_SYSTEM_RESOURCES, WSAEMFILE,
    // WSAENOBUFS.
    let codes = [4, 8, 14, 1450, 10024, 10055];
    let code = error.raw_os_error();
    error.kind() == std::io::ErrorKind::OutOfMemory
        || code.is_some_and(|code| codes.contains(&code))
}

/// Why no file or socket can be opened at this moment, if that is so.
pub(crate) fn lack_of_descriptors() -> Option<String> {
    let nothing = if cfg!(windows) { "NUL" } else { "/dev/null" };
    let error = std::fs::File::open(nothing).err()?;
    is_exhausted(&error).then(|| error.to_string())
}

/// Keeps the code of this library in memory from now on: a thread of ours may still run when the last user unloads it. The
/// shared library is linked with `-z nodelete` as well; this serves the static one inside someone's plugin.
#[cfg(unix)]
pub(crate) fn pin_library() {
    use std::sync::atomic::{AtomicBool, Ordering};
    static PINNED: AtomicBool = AtomicBool::new(false);
    if PINNED.swap(true, Ordering::Relaxed) {
        return;
    }
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: dladdr only reads the address and fills `info`; the name it returns stays valid while the object is loaded,
    // which it is, since this code runs. RTLD_NOLOAD loads nothing, RTLD_NODELETE only marks. In a plain executable the
    // call fails or changes nothing.
    unsafe {
        if libc::dladdr(pin_library as *const libc::c_void, info.as_mut_ptr()) != 0 {
            let name = info.assume_init().dli_fname;
            if !name.is_null() {
                libc::dlopen(
                    name,
                    libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE,
                );
            }
        }
    }
}

/// Starts a thread that no one waits for, with a stack of this many bytes. `name` has at most 15 characters.
///
/// The thread blocks every signal that can be meant for the program, and so do threads that it starts: a program that waits
/// for its signals in one thread of its own must not be ended because one of ours took them.
///
/// std's threads won't do where the program itself is written in Rust: there each of them enters and leaves a list, whose
/// lock a fork copies as it is. A child that was forked at such a moment could never start a thread of std's again.
#[cfg(unix)]
pub(crate) fn start_thread(
    name: &'static std::ffi::CStr,
    stack: usize,
    job: Box<dyn FnOnce() + Send>,
) -> std::io::Result<()> {
    use std::mem::MaybeUninit;
    struct Start {
        name: &'static std::ffi::CStr,
        job: Box<dyn FnOnce() + Send>,
    }
    extern "C" fn run(start: *mut libc::c_void) -> *mut libc::c_void {
        // SAFETY: `start` is the box that was given away below, and each thread has one of its own.
        let Start { name, job } = *unsafe { Box::from_raw(start.cast::<Start>()) };
        #[cfg(any(target_os = "linux", target_os = "android"))]
        // SAFETY: the handle is that of the running thread; the name is a C string of at most 15 characters.
        unsafe {
            libc::pthread_setname_np(libc::pthread_self(), name.as_ptr());
        }
        #[cfg(target_vendor = "apple")]
        // SAFETY: it names the running thread; the name is a C string.
        unsafe {
            libc::pthread_setname_np(name.as_ptr());
        }
        let _ = name;
        // Nothing may unwind into C.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
        std::ptr::null_mut()
    }
    let checked = |status| match status {
        0 => Ok(()),
        error => Err(std::io::Error::from_raw_os_error(error)),
    };
    let mut attributes = MaybeUninit::uninit();
    // SAFETY: `attributes` is room for the attributes, which this call makes.
    checked(unsafe { libc::pthread_attr_init(attributes.as_mut_ptr()) })?;
    let mut usual = 0;
    // A size that the system does not like leaves its own.
    // SAFETY: `pthread_attr_init` succeeded above, and no other thread knows of the attributes.
    let detached = unsafe {
        libc::pthread_attr_getstacksize(attributes.as_ptr(), &raw mut usual);
        libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), stack);
        libc::pthread_attr_setdetachstate(attributes.as_mut_ptr(), libc::PTHREAD_CREATE_DETACHED)
    };
    let start = Box::into_raw(Box::new(Start { name, job }));
    let mut thread = MaybeUninit::uninit();
    let started = checked(detached).and_then(|()| {
        with_signals_blocked(|| {
            // SAFETY: `thread` is room for a handle, the attributes were made above, `run` has the signature asked for and
            // takes over `start`, which no one else uses unless no thread is started.
            let mut create = |attributes| unsafe {
                libc::pthread_create(thread.as_mut_ptr(), attributes, run, start.cast())
            };
            let mut status = create(attributes.as_ptr());
            // A system may find a stack too small only now: glibc on arm64 does.
            if status == libc::EINVAL {
                // SAFETY: as above; no thread was started.
                unsafe { libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), usual) };
                status = create(attributes.as_ptr());
            }
            checked(status)
        })
    });
    // SAFETY: they were made above, are destroyed once and not used again; the thread has its own copy.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    if started.is_err() {
        // SAFETY: it is the box from above, and no thread was started that could have taken it.
        drop(unsafe { Box::from_raw(start) });
    }
    started
}

/// Runs `job` on a thread of the library and waits for its result, at most for `limit`; the thread goes on if that is over.
///
/// # Errors
///
/// `TimedOut`; `Other` if the job panicked; that of the system if there is no thread.
pub(crate) fn run_apart<T: Send + 'static>(
    name: &'static std::ffi::CStr,
    stack: usize,
    limit: std::time::Duration,
    job: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<T> {
    use std::io::{Error, ErrorKind};
    use std::sync::mpsc::{RecvTimeoutError, sync_channel};
    let (sender, receiver) = sync_channel(1);
    // A caller that has gone no longer receives.
    start_thread(name, stack, Box::new(move || drop(sender.send(job()))))?;
    receiver.recv_timeout(limit).map_err(|error| match error {
        RecvTimeoutError::Timeout => Error::from(ErrorKind::TimedOut),
        RecvTimeoutError::Disconnected => Error::other("the thread panicked"),
    })
}

/// Runs `work` with all signals blocked but those that a fault of this very thread raises.
#[cfg(unix)]
fn with_signals_blocked<R>(work: impl FnOnce() -> R) -> R {
    use std::mem::MaybeUninit;
    let mut blocked = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset makes the set that the other calls read, and SIG_SETMASK fills `before`.
    unsafe {
        libc::sigfillset(blocked.as_mut_ptr());
        for fault in [
            libc::SIGSEGV,
            libc::SIGBUS,
            libc::SIGFPE,
            libc::SIGILL,
            libc::SIGTRAP,
            libc::SIGABRT,
            libc::SIGSYS,
        ] {
            libc::sigdelset(blocked.as_mut_ptr(), fault);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, blocked.as_ptr(), before.as_mut_ptr());
    }
    let result = work();
    // SAFETY: `before` was filled by the call above, which can fail only for another first argument.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    result
}

/// Runs `work` with the cancellation of this thread put off: `pthread_cancel` unwinds in a way that Rust's frames abort on.
/// It takes effect at the program's next cancellation point after the call.
#[cfg(all(unix, not(target_os = "android")))]
pub(crate) fn uncancelled<R>(work: impl FnOnce() -> R) -> R {
    // The libc crate has these for few systems.
    const PTHREAD_CANCEL_DISABLE: libc::c_int = if cfg!(target_vendor = "apple") { 0 } else { 1 };
    unsafe extern "C" {
        fn pthread_setcancelstate(state: libc::c_int, before: *mut libc::c_int) -> libc::c_int;
    }
    /// Puts it back, also when the work panics.
    struct Restore(libc::c_int);
    impl Drop for Restore {
        fn drop(&mut self) {
            let mut ignored = 0;
            // SAFETY: the state is one that the same function returned; the pointer is that of a local.
            unsafe { pthread_setcancelstate(self.0, &raw mut ignored) };
        }
    }
    let mut before = 0;
    // SAFETY: the state is one of the two that POSIX has; the pointer is that of a local.
    unsafe { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &raw mut before) };
    let _restore = Restore(before);
    work()
}

/// Threads are not canceled here.
#[cfg(not(all(unix, not(target_os = "android"))))]
pub(crate) fn uncancelled<R>(work: impl FnOnce() -> R) -> R {
    work()
}

/// Starts a thread that no one waits for, with a stack of this many bytes.
#[cfg(not(unix))]
pub(crate) fn start_thread(
    name: &'static std::ffi::CStr,
    stack: usize,
    job: Box<dyn FnOnce() + Send>,
) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name(name.to_string_lossy().into_owned())
        .stack_size(stack)
        .spawn(job)
        .map(drop)
}

/// In a forked child: closes a descriptor whose owner was a thread of the parent and does not exist here.
#[cfg(all(unix, feature = "store-file"))]
pub(crate) fn close_inherited(descriptor: std::os::fd::RawFd) {
    // SAFETY: the descriptor was open in the parent at the fork, and what owned it lies on the stack of a thread that this
    // process does not have, so nothing here will use or close it again.
    unsafe { libc::close(descriptor) };
}
