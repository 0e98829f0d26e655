//! A client's hold on its slot: the word that tells of changes, and what the client's hits read.
//!
//! All that a hit has to know is worked out when it is published, under the slot's gate: a token, and the moments until
//! which this client is served it without anything else to be done. A hit loads it, compares the clocks, and copies.
//!
//! Hits are read from the client's [`Board`]. During an update a client is open on two slots; only the hold that is *active*
//! writes to the board. A hold becomes active, and stops being active, under the gate of its own slot, under which that
//! slot publishes too. So the slot that a client has left cannot overwrite what the new one publishes.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::decide::Windows;
use super::slot::next_number;
use crate::clock::Now;
use crate::sync::Published;
use crate::token::Token;

/// What a hit needs. Never changed, only replaced.
#[derive(Debug)]
pub(crate) struct Hit {
    /// The current token.
    pub(crate) token: Arc<Token>,
    until: Now,
    /// The monotonic millisecond in which the wall clock was last compared.
    checked: AtomicI64,
}

impl Hit {
    pub(super) fn new(token: Arc<Token>, until: Now) -> Hit {
        Hit {
            token,
            until,
            checked: AtomicI64::new(i64::MIN),
        }
    }

    /// Whether the token may be handed out at this moment with nothing else to be done.
    #[inline]
    #[must_use]
    pub(crate) fn is_fresh(&self, now: Now) -> bool {
        now.mono < self.until.mono && now.wall < self.until.wall
    }

    /// As [`Hit::is_fresh`], for clocks that advance together, in ticks: the wall clock is read once in each tick of the
    /// monotonic clock. What it says is late by a tick at most, as with any coarse clock.
    #[inline]
    #[must_use]
    pub(crate) fn is_fresh_by_ticks(&self, mono: i64, wall: impl FnOnce() -> i64) -> bool {
        if mono >= self.until.mono {
            return false;
        }
        if self.checked.load(Ordering::Relaxed) == mono {
            return true;
        }
        let fresh = wall() < self.until.wall;
        if fresh {
            self.checked.store(mono, Ordering::Relaxed);
        }
        fresh
    }
}

/// What a client's hits read, and the word that tells of changes: one of each for a client, wherever it moves.
pub(crate) struct Board {
    hit: Published<Hit>,
    /// See `Client::generation`.
    pub(crate) word: AtomicU64,
}

impl Board {
    /// A board with nothing on it.
    pub(crate) fn new() -> Board {
        Board {
            hit: Published::empty(),
            word: AtomicU64::new(0),
        }
    }

    /// What the active hold published last.
    #[inline]
    pub(crate) fn hit(&self) -> impl Deref<Target = Option<Arc<Hit>>> {
        self.hit.load()
    }
}

/// One client that is open on a slot.
pub(crate) struct Hold {
    /// What the slot published to it.
    hit: Published<Hit>,
    board: &'static Board,
    /// What is published goes to the board too. Changed under the gate.
    active: AtomicBool,
    /// The client's windows.
    pub(crate) windows: Windows,
    /// Its `timeout_ms`, which counts for flights.
    pub(crate) timeout: Duration,
    /// Something is to be done before the next call: there are no hits.
    blocked: AtomicBool,
}

impl Hold {
    /// A hold that nothing has been published to.
    #[must_use]
    pub(crate) fn new(board: &'static Board, windows: Windows, timeout: Duration) -> Arc<Hold> {
        Arc::new(Hold {
            hit: Published::empty(),
            board,
            active: AtomicBool::new(false),
            windows,
            timeout,
            blocked: AtomicBool::new(false),
        })
    }

    /// What was published last, whether or not the hold is active.
    pub(super) fn hit(&self) -> impl Deref<Target = Option<Arc<Hit>>> {
        self.hit.load()
    }

    /// Where its client's hits are read.
    #[cfg(test)]
    pub(super) fn board(&self) -> &'static Board {
        self.board
    }

    /// Ends the hits for good: each call is decided, and its client looks at [`Hold::is_blocked`] first. Under the gate.
    pub(super) fn block(&self) {
        self.blocked.store(true, Ordering::SeqCst);
        self.publish(None);
        self.tell();
    }

    /// Whether [`Hold::block`] was called.
    #[must_use]
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::SeqCst)
    }

    /// Under the gate.
    pub(super) fn publish(&self, hit: Option<Arc<Hit>>) {
        let hit = hit.filter(|_| !self.is_blocked());
        if self.active.load(Ordering::Relaxed) {
            self.board.hit.store(hit.clone());
        }
        self.hit.store(hit);
    }

    /// The client is on this slot from now on: its hits are what the slot publishes. Under the gate.
    pub(super) fn activate(&self) {
        self.active.store(true, Ordering::Relaxed);
        self.board.hit.store(self.hit.load_full());
    }

    /// The client leaves: the slot puts nothing on its board any more. Under the gate.
    pub(super) fn deactivate(&self) {
        self.active.store(false, Ordering::Relaxed);
        self.board.hit.store(None);
    }

    /// The token that the client would get may have changed. After what hits read: a token that is read after the word is
    /// then never older than the word.
    pub(super) fn tell(&self) {
        self.board.word.store(next_number(), Ordering::Release);
    }

    pub(super) fn is_of(&self, other: &Arc<Hold>) -> bool {
        std::ptr::eq(self, Arc::as_ptr(other))
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use crate::token::{Life, Reply};

    fn hit(until: Now) -> Hit {
        let reply = Reply {
            access_token: Secret::new("token".to_owned()),
            ..Reply::default()
        };
        let life = Life {
            sent: Now::default(),
            lifetime_ms: 3_600_000,
        };
        Hit::new(Arc::new(Token::new(reply, life, 1, 0)), until)
    }

    #[test]
    fn in_ticks_a_hit_ends_by_whichever_clock_says_so_first_and_at_most_a_tick_late() {
        let until = Now {
            mono: 1_000,
            wall: 50_000,
        };
        let fresh = |hit: &Hit, mono, wall| hit.is_fresh_by_ticks(mono, || wall);
        let by_mono = hit(until);
        assert!(fresh(&by_mono, 999, 49_000));
        assert!(
            !fresh(&by_mono, 1_000, 49_000),
            "no matter what the wall says"
        );
        // A wall clock that was set back revives nothing.
        assert!(!fresh(&by_mono, 1_001, 0));

        let by_wall = hit(until);
        assert!(fresh(&by_wall, 500, 49_999));
        // A machine that slept: the monotonic clock goes on where it stopped.
        assert!(!fresh(&by_wall, 501, 50_000), "seen with the next tick");
        assert!(!fresh(&by_wall, 501, 50_000), "and not forgotten");
        let ticks = hit(until);
        assert!(fresh(&ticks, 500, 0));
        assert!(ticks.is_fresh_by_ticks(500, || panic!("the wall was read in this tick")));
    }
}
