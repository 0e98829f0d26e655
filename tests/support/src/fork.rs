//! What a forked child can do.
#![allow(unsafe_code, reason = "fork and waitpid have no safe form")]

use std::time::{Duration, Instant};

use crate::PATIENCE;

/// Runs `work` in a forked child; true if it said so within [`PATIENCE`]. A child that hangs is killed and counts as false.
pub fn in_child(work: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child runs `work` alone and leaves by _exit, so no destructor of the parent's runs twice.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork");
    if pid == 0 {
        let good = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or(false);
        // SAFETY: leaves the child without running anything else.
        unsafe { libc::_exit(i32::from(!good)) };
    }
    let end = Instant::now() + PATIENCE;
    loop {
        let mut status = 0;
        // SAFETY: `pid` is a child of this process and `status` a valid out pointer.
        let done = unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) };
        if done == pid {
            return libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0;
        }
        if Instant::now() > end {
            // SAFETY: as above.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            // SAFETY: as above.
            unsafe { libc::waitpid(pid, &raw mut status, 0) };
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
