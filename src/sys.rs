//! What std and rustix have nothing for: the coarse clocks off Linux, and pinning the library in memory.
#![allow(
    unsafe_code,
    reason = "this module and fork.rs are where the system is asked directly"
)]

use crate::clock::Now;

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
#[cfg(not(any(target_os = "linux", target_os = "android")))]
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
