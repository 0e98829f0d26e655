//! A thread for a connection.
//!
//! Not one of std's on Unix: each of those enters and leaves a list, whose lock a fork copies as it is. Tests fork with an
//! emulator in their process, and a child that found the lock taken could never start a thread.
#![allow(unsafe_code, reason = "pthreads have no safe form")]

use std::io;

/// Starts a thread that is not joined, with a stack of this many bytes.
#[cfg(unix)]
pub(super) fn start(stack: usize, job: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    use std::mem::MaybeUninit;
    extern "C" fn run(job: *mut libc::c_void) -> *mut libc::c_void {
        // SAFETY: `job` is the box that `start` released to this thread alone.
        let job = unsafe { Box::from_raw(job.cast::<Box<dyn FnOnce() + Send>>()) };
        #[cfg(target_os = "linux")]
        // SAFETY: the thread names itself, by a name that ends with a NUL.
        unsafe {
            libc::pthread_setname_np(libc::pthread_self(), c"p21-emulator".as_ptr());
        }
        // Nothing may unwind into C.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
        std::ptr::null_mut()
    }
    let job = Box::into_raw(Box::new(job));
    let mut attributes = MaybeUninit::uninit();
    let mut thread = MaybeUninit::uninit();
    // SAFETY: the attributes are initialized before they are used and destroyed after that; `run` takes over `job`, which
    // nothing else uses once the thread has started.
    let status = unsafe {
        let mut status = libc::pthread_attr_init(attributes.as_mut_ptr());
        if status == 0 {
            // A size that the system does not like leaves its own.
            libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), stack);
            libc::pthread_attr_setdetachstate(
                attributes.as_mut_ptr(),
                libc::PTHREAD_CREATE_DETACHED,
            );
            status =
                libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), run, job.cast());
            libc::pthread_attr_destroy(attributes.as_mut_ptr());
        }
        status
    };
    if status == 0 {
        return Ok(());
    }
    // SAFETY: no thread was started that could have taken it.
    drop(unsafe { Box::from_raw(job) });
    Err(io::Error::from_raw_os_error(status))
}

/// Starts a thread that is not joined, with a stack of this many bytes.
#[cfg(not(unix))]
pub(super) fn start(stack: usize, job: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    std::thread::Builder::new()
        .name("p21-emulator".to_owned())
        .stack_size(stack)
        .spawn(job)
        .map(drop)
}
