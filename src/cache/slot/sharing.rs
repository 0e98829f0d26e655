//! A slot and its shared store: which of the store's tokens it takes over, and how news from other processes arrives.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Gate, Slot};
use crate::cache::classify::{Ask, Decision, Entry, Held, Windows, classify};
use crate::cache::share::{Found, Seen};
use crate::clock::Now;
use crate::store::record::token_hash;

/// A hit looks at the shared store in the background when the last look is older than this.
const LOOK_MS: i64 = 1_000;

/// Older ones will hardly turn up again.
const MAX_GONE: usize = 64;

/// What only matters with a shared store: which of its tokens are not to be taken over.
#[derive(Default)]
pub(super) struct Shared {
    /// SHA-256 of tokens that this process has had or that were rejected, newest last: none of them ever comes back.
    pub(super) gone: VecDeque<[u8; 32]>,
    /// Everything was invalidated then: tokens asked for earlier stay out until a new one has come.
    pub(super) not_before: Option<Now>,
    /// The next flight may override a refusal in the store.
    pub(super) lifted: bool,
}

impl Shared {
    /// This token never comes back.
    pub(super) fn part_with(&mut self, hash: [u8; 32]) {
        if !self.gone.contains(&hash) {
            if self.gone.len() >= MAX_GONE {
                self.gone.pop_front();
            }
            self.gone.push_back(hash);
        }
    }
}

/// What a flight was started for.
pub(super) struct Wanted {
    pub(super) windows: Windows,
    pub(super) min_valid_ms: i64,
    pub(super) force: bool,
    pub(super) denials: u32,
    pub(super) lifted: bool,
}

impl Slot {
    /// Whether a token from the store is as good as one from the server to a flight that was started for `wanted`.
    pub(super) fn is_wanted(&self, found: &Found, wanted: &Wanted, now: Now) -> bool {
        if wanted.force && found.life.age_ms(now) >= self.options.min_refresh_interval_ms {
            return false;
        }
        // Where the server's tokens live shorter than is asked for, there is nothing better to be had.
        let least = wanted
            .min_valid_ms
            .min(found.life.lifetime_ms.saturating_sub(1));
        found.life.left_ms(now) >= least
            && is_alive(found, &wanted.windows, now)
            && self.gate(|gate| self.is_new(gate, found, now))
    }

    /// Whether this process has never had the token, nor heard of its rejection.
    fn is_new(&self, gate: &Gate, found: &Found, now: Now) -> bool {
        let current = self.current.load();
        let current = current.as_ref().map(|token| token_hash(token.value()));
        let invalidated = gate
            .shared
            .not_before
            .is_some_and(|then| found.life.age_ms(now) >= now.since(then));
        current != Some(found.hash) && !gate.shared.gone.contains(&found.hash) && !invalidated
    }

    /// When a hit is to look at the shared store, in monotonic milliseconds.
    #[inline]
    pub fn next_look_ms(&self) -> i64 {
        self.next_look.load(Ordering::Relaxed)
    }

    /// The shared store has just been looked at.
    pub(super) fn looked(&self, now: Now) {
        if self.share.is_some() {
            let next = now.mono.saturating_add(LOOK_MS);
            self.next_look.store(next, Ordering::Relaxed);
        }
    }

    /// Starts a look at the shared store in the background, if one is due: what another process has fetched or dropped
    /// arrives within two seconds of use.
    #[cold]
    pub fn look(self: &Arc<Slot>, now: Now) {
        let due = self.next_look.load(Ordering::Relaxed);
        let next = now.mono.saturating_add(LOOK_MS);
        if now.mono < due
            || self
                .next_look
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            return;
        }
        let slot = Arc::clone(self);
        self.launch(Box::new(move || {
            let seen = slot
                .share
                .as_ref()
                .and_then(|share| share.look(&*slot.clock));
            if let Some(seen) = seen {
                slot.heed(seen);
            }
        }));
    }

    /// What another process did to the identity is done here too.
    fn heed(&self, seen: Seen) {
        let now = self.clock.now();
        if let Some((hash, _)) = seen.rejected {
            self.gate(|gate| {
                let current = self.current.load_full();
                if current.is_some_and(|token| token_hash(token.value()) == hash) {
                    self.drop_current(gate, now);
                }
                gate.shared.part_with(hash);
            });
        }
        if let Some(found) = seen.token {
            const BY_LIFE: Windows = Windows {
                refresh_margin_ms: 0,
                max_token_age_ms: 0,
            };
            let adopted = self.gate(|gate| {
                // A flight looks for itself.
                if gate.flight.is_some()
                    || !is_alive(&found, &BY_LIFE, now)
                    || !self.is_new(gate, &found, now)
                {
                    return None;
                }
                let token = self.new_token(found.reply, found.life, now).ok()?;
                self.take_over(gate, Arc::clone(&token), now);
                Some(token)
            });
            if let (Some(token), Some(share)) = (adopted, &self.share) {
                share.adoptions.fetch_add(1, Ordering::Relaxed);
                self.note_token(true, &token, now);
            }
        }
    }
}

/// Whether a token from the store is not so near its end that it would be replaced at once.
fn is_alive(found: &Found, windows: &Windows, now: Now) -> bool {
    let entry = Entry {
        token: Some(Held {
            life: found.life,
            jitter_permille: 0,
        }),
        ..Entry::default()
    };
    matches!(
        classify(&entry, &Ask::default(), windows, 0, now),
        Decision::Fresh | Decision::RefreshDue
    )
}
