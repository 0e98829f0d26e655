//! A client's hold on its slot: the word that tells of changes, and what the client's hits read.
//!
//! All that a hit has to know is worked out when it is published, under the slot's gate: a token, and the moments until
//! which this client is served it without anything else to be done. A hit loads it, compares two clocks, and copies. A
//! client that moves leaves its old hold behind, so the slot that it left cannot overwrite what the new one publishes.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
}

impl Hit {
    pub(super) fn new(token: Arc<Token>, until: Now) -> Hit {
        Hit { token, until }
    }

    /// Whether the token may be handed out at this moment with nothing else to be done.
    #[inline]
    #[must_use]
    pub(crate) fn is_fresh(&self, now: Now) -> bool {
        now.mono < self.until.mono && now.wall < self.until.wall
    }
}

/// One client that is open on a slot.
pub(crate) struct Hold {
    hit: Published<Hit>,
    word: &'static AtomicU64,
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
    pub(crate) fn new(word: &'static AtomicU64, windows: Windows, timeout: Duration) -> Arc<Hold> {
        Arc::new(Hold {
            hit: Published::empty(),
            word,
            windows,
            timeout,
            blocked: AtomicBool::new(false),
        })
    }

    /// What was published last.
    #[inline]
    pub(crate) fn hit(&self) -> impl Deref<Target = Option<Arc<Hit>>> {
        self.hit.load()
    }

    /// Ends the hits for good: each call is decided, and its client looks at [`Hold::is_blocked`] first.
    pub(crate) fn block(&self) {
        self.blocked.store(true, Ordering::SeqCst);
        self.hit.store(None);
        self.tell();
    }

    /// Whether [`Hold::block`] was called.
    #[must_use]
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::SeqCst)
    }

    /// Under the gate.
    pub(super) fn publish(&self, hit: Option<Arc<Hit>>) {
        self.hit.store(hit);
        // Not before: whoever blocks in between finds this hit and takes it away.
        if self.is_blocked() {
            self.hit.store(None);
        }
    }

    /// The token that the client would get may have changed. After what hits read: a token that is read after the word is
    /// then never older than the word.
    pub(super) fn tell(&self) {
        self.word.store(next_number(), Ordering::Release);
    }

    pub(super) fn is_of(&self, other: &Arc<Hold>) -> bool {
        std::ptr::eq(self, Arc::as_ptr(other))
    }
}
