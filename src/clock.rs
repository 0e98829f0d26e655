//! The two clocks that decide whether a token is still good, and one that a test sets by hand.
//!
//! A lifetime is measured on both: the monotonic clock, which no one can set, and the wall clock, which goes on while a
//! machine sleeps. Whichever says *expired* first wins, so neither a suspended laptop nor a wall clock that was set back
//! revives a dead token.

use std::time::Duration;

use crate::fork::Guarded;

/// A moment on both clocks, in milliseconds. All arithmetic saturates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Now {
    /// Milliseconds on the monotonic clock, from an arbitrary start.
    pub mono: i64,
    /// Milliseconds since 1970-01-01T00:00:00Z on the wall clock.
    pub wall: i64,
}

impl Now {
    /// This moment moved by `ms` on both clocks.
    #[must_use]
    pub const fn plus(self, ms: i64) -> Now {
        Now {
            mono: self.mono.saturating_add(ms),
            wall: self.wall.saturating_add(ms),
        }
    }

    /// Milliseconds from `earlier` to this moment, by the clock that counted more.
    #[must_use]
    pub fn since(self, earlier: Now) -> i64 {
        self.mono
            .saturating_sub(earlier.mono)
            .max(self.wall.saturating_sub(earlier.wall))
    }

    /// Wall clock in whole Unix seconds.
    #[must_use]
    pub const fn unix(self) -> i64 {
        self.wall.div_euclid(1000)
    }
}

/// Where the time comes from. Everything that waits or compares times asks this, so that every rule is tested without
/// sleeping.
pub trait Clock: Send + Sync {
    /// The time, to about 4 ms: cheap enough for every call.
    fn now(&self) -> Now;

    /// Waits for `duration`; a hand-set clock jumps instead.
    fn sleep(&self, duration: Duration);

    /// On a hand-set clock, moves the time by `duration` and answers true: a thread that was about to wait need not.
    fn jump(&self, duration: Duration) -> bool {
        let _ = duration;
        false
    }
}

#[cfg(any(target_os = "linux", target_os = "android", windows))]
use crate::sys::{coarse_mono, coarse_wall};

/// By way of std, where there is no coarse clock to ask.
#[cfg(not(any(target_os = "linux", target_os = "android", windows)))]
fn coarse_mono() -> i64 {
    use std::time::Instant;
    static START: crate::fork::Once<Instant> = crate::fork::Once::new();
    millis(START.get_or_init(Instant::now).elapsed())
}

/// As [`coarse_mono`].
#[cfg(not(any(target_os = "linux", target_os = "android", windows)))]
fn coarse_wall() -> i64 {
    use std::time::{SystemTime, UNIX_EPOCH};
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, millis)
}

/// The system's coarse clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// [`Now::mono`] alone.
    #[inline]
    pub(crate) fn mono() -> i64 {
        coarse_mono()
    }

    /// [`Now::wall`] alone.
    #[inline]
    pub(crate) fn wall() -> i64 {
        coarse_wall()
    }
}

impl Clock for SystemClock {
    #[inline]
    fn now(&self) -> Now {
        Now {
            mono: SystemClock::mono(),
            wall: SystemClock::wall(),
        }
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// A clock that stands still until it is told otherwise. Waiting on it moves it.
#[derive(Debug)]
pub struct ManualClock(Guarded<Now>);

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn new(now: Now) -> ManualClock {
        ManualClock(Guarded::new(now))
    }

    /// Moves both clocks by `ms`, which may be negative.
    pub fn advance(&self, ms: i64) {
        self.0.with(|now| *now = now.plus(ms));
    }

    /// Moves the wall clock alone: suspend (forward), or someone set it.
    pub fn advance_wall(&self, ms: i64) {
        self.0.with(|now| now.wall = now.wall.saturating_add(ms));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        self.0.with(|now| *now)
    }

    fn sleep(&self, duration: Duration) {
        self.advance(millis(duration));
    }

    fn jump(&self, duration: Duration) -> bool {
        self.advance(millis(duration));
        true
    }
}

/// A duration in whole milliseconds, rounded up, saturating.
#[must_use]
pub(crate) fn millis(duration: Duration) -> i64 {
    // Every hit comes by here: no 128-bit division.
    let whole = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    let rest = duration.subsec_nanos().div_ceil(1_000_000);
    whole.saturating_mul(1000).saturating_add(rest.into())
}

/// Milliseconds as a duration; nothing below zero.
#[must_use]
pub(crate) fn duration(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_that_counted_more_wins() {
        let start = Now {
            mono: 1_000,
            wall: 50_000,
        };
        assert_eq!(
            Now {
                mono: 2_000,
                wall: 90_000
            }
            .since(start),
            40_000,
            "suspend"
        );
        assert_eq!(
            Now {
                mono: 2_000,
                wall: 10_000
            }
            .since(start),
            1_000,
            "wall set back"
        );
    }

    #[test]
    fn arithmetic_saturates() {
        let end = Now {
            mono: i64::MAX,
            wall: i64::MAX,
        };
        assert_eq!(end.plus(i64::MAX), end);
        assert_eq!(
            end.since(Now {
                mono: i64::MIN,
                wall: i64::MIN
            }),
            i64::MAX
        );
        assert_eq!(millis(Duration::MAX), i64::MAX);
        assert_eq!(duration(-5), Duration::ZERO);
    }

    #[test]
    fn the_system_clock_goes_on() {
        let clock = SystemClock;
        let before = clock.now();
        clock.sleep(Duration::from_millis(20));
        assert!(clock.now().mono > before.mono);
        assert!(clock.now().unix() > 1_700_000_000);
    }

    #[test]
    fn a_hand_set_clock_moves_when_told() {
        let clock = ManualClock::new(Now::default());
        clock.sleep(Duration::from_secs(1));
        assert!(clock.jump(Duration::from_secs(1)));
        clock.advance_wall(-500);
        assert_eq!(
            clock.now(),
            Now {
                mono: 2_000,
                wall: 1_500
            }
        );
    }
}
