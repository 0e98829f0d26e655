//! What std and rustix have nothing for: pinning the library in memory, and what Windows has functions of its own for.
#![allow(
    unsafe_code,
    reason = "this module and fork.rs are where the system is asked directly"
)]

#[cfg(not(windows))]
use crate::clock::Now;

#[cfg(windows)]
mod windows;
#[cfg(all(windows, feature = "store-file"))]
mod windows_files;
#[cfg(windows)]
pub(crate) use windows::*;
#[cfg(all(windows, feature = "store-file"))]
pub(crate) use windows_files::*;

/// Both clocks, the coarse ones where the system has them: no system call, about 5 ns.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline]
pub(crate) fn coarse_now() -> Now {
    use rustix::time::{ClockId, clock_gettime};
    Now {
        mono: ms(clock_gettime(ClockId::MonotonicCoarse)),
        wall: ms(clock_gettime(ClockId::RealtimeCoarse)),
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline]
fn ms(time: rustix::time::Timespec) -> i64 {
    time.tv_sec
        .saturating_mul(1000)
        .saturating_add(time.tv_nsec / 1_000_000)
}

/// Both clocks by way of std, where there are no coarse ones to ask.
#[cfg(not(any(target_os = "linux", target_os = "android", windows)))]
pub(crate) fn coarse_now() -> Now {
    use std::sync::OnceLock;
    use std::time::{Instant, SystemTime, UNIX_EPOCH};
    static START: OnceLock<Instant> = OnceLock::new();
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, crate::clock::millis);
    Now {
        mono: crate::clock::millis(START.get_or_init(Instant::now).elapsed()),
        wall,
    }
}

/// Keeps the code of this library in memory from now on: a thread of ours may still run when the last user unloads it. The
/// shared library is linked with `-z nodelete` as well; this serves the static one inside somebody's plugin.
#[cfg(unix)]
pub(crate) fn pin_library() {
    use std::sync::atomic::{AtomicBool, Ordering};
    static PINNED: AtomicBool = AtomicBool::new(false);
    if PINNED.swap(true, Ordering::Relaxed) {
        return;
    }
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: dladdr only reads the address and fills `info`; the name it gives stays valid while the object is loaded,
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

/// In a forked child: closes a descriptor whose owner was a thread of the parent and does not exist here.
#[cfg(all(unix, feature = "store-file"))]
pub(crate) fn close_inherited(descriptor: std::os::fd::RawFd) {
    // SAFETY: the descriptor was open in the parent at the fork, and what owned it lies on the stack of a thread that this
    // process does not have, so nothing here will use or close it again.
    unsafe { libc::close(descriptor) };
}
