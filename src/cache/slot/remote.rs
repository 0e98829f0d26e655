//! A slot and its shared store: which of the store's tokens it takes over, and how news from other processes arrives.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::completion::{CompletionGuard, Job, unpanicked};
use super::{Gate, Slot};
use crate::cache::decide::{Windows, worth_adopting};
use crate::cache::shared::{FoundToken, StoreView};
use crate::clock::Now;
use crate::error::Result;
use crate::store::record::token_hash;

/// A call polls the shared store in the background when the last poll is older than this.
pub(super) const POLL_MS: i64 = 1_000;

/// A call that a failure holds back waits for a poll, unless the store was read less than this before.
pub(super) const HELD_BACK_POLL_MS: i64 = 250;

/// Older ones will hardly turn up again.
const MAX_GONE: usize = 64;

/// What only matters with a shared store: which of its tokens are not to be taken over.
#[derive(Default)]
pub(super) struct Tombstones {
    /// SHA-256 of tokens that this process has had or that were rejected, newest last: none of them ever comes back.
    pub(super) gone: VecDeque<[u8; 32]>,
    /// Everything was invalidated then: tokens asked for earlier stay out until a new one has come.
    pub(super) not_before: Option<Now>,
    /// The next flight may override a refusal in the store.
    pub(super) lifted: bool,
}

impl Tombstones {
    /// This token never comes back.
    pub(super) fn bury(&mut self, hash: [u8; 32]) {
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
    pub(super) failures: u32,
    pub(super) lifted: bool,
}

impl Gate {
    /// Whether this process has never had the token, nor heard of its rejection.
    pub(super) fn is_new(&self, found: &FoundToken, now: Now) -> bool {
        let current = self.entry.token.as_ref();
        let current = current.map(|token| token_hash(token.value()));
        let invalidated = self
            .tombstones
            .not_before
            .is_some_and(|then| found.life.age_ms(now) >= now.since(then));
        current != Some(found.hash) && !self.tombstones.gone.contains(&found.hash) && !invalidated
    }
}

impl Slot {
    /// Whether a token from the store is as good as one from the server to a flight that was started for `wanted`.
    pub(super) fn is_wanted(&self, found: &FoundToken, wanted: &Wanted, now: Now) -> bool {
        if wanted.force && found.life.age_ms(now) >= self.options.min_refresh_interval_ms {
            return false;
        }
        // Where the server's tokens live shorter than is asked for, there is nothing better to be had.
        let least = wanted
            .min_valid_ms
            .min(found.life.lifetime_ms.saturating_sub(1));
        found.life.left_ms(now) >= least
            && worth_adopting(found.life, &wanted.windows, now)
            && self.gate(|gate| gate.is_new(found, now))
    }

    /// The shared store has just been read.
    pub(super) fn polled(&self, gate: &mut Gate, now: Now) {
        if self.shared.is_some() {
            gate.next_poll = now.mono.saturating_add(POLL_MS);
        }
    }

    /// What reads the shared store in the background, if the last reading is as old as that: what another process has
    /// fetched or dropped arrives within two seconds of use. The slot's pulse beats when it is done.
    pub(super) fn poll_store(
        self: &Arc<Slot>,
        gate: &mut Gate,
        older_than_ms: i64,
        now: Now,
    ) -> Option<Job> {
        let due = gate.next_poll.saturating_sub(POLL_MS - older_than_ms);
        if now.mono < due {
            return None;
        }
        // Also while a slow store is being read, or every call would come by here.
        self.polled(gate, now);
        if std::mem::replace(&mut gate.polling, true) {
            return None;
        }
        let before = gate.revision;
        let slot = Arc::clone(self);
        let guard = CompletionGuard::new(move |_: Result<()>| {
            slot.gate(|gate| {
                gate.polling = false;
                gate.pulse.beat();
            });
        });
        let slot = Arc::clone(self);
        Some(Box::new(move || {
            guard.complete(unpanicked(|| {
                let shared = slot.shared.as_ref();
                if let Some(view) = shared.and_then(|shared| shared.poll(&*slot.clock)) {
                    slot.apply_remote(view, before);
                }
                Ok(())
            }));
        }))
    }

    /// What another process did to the identity is done here too. `before`: the slot's revision when the store was read.
    fn apply_remote(&self, view: StoreView, before: u64) {
        const BY_LIFE: Windows = Windows {
            refresh_margin_ms: 0,
            max_token_age_ms: 0,
        };
        self.gate(|gate| {
            let now = self.clock.now();
            // A flight reads the store for itself, and what it brought meanwhile may be newer than what was read here.
            let is_recent = gate.flight.is_none() && gate.revision == before;
            if let Some((hash, _)) = view.rejected {
                let current = gate.entry.token.as_ref();
                if current.is_some_and(|token| token_hash(token.value()) == hash) {
                    self.drop_current(gate, now);
                }
                gate.tombstones.bury(hash);
            }
            let Some(found) = view.token.filter(|found| {
                is_recent && worth_adopting(found.life, &BY_LIFE, now) && gate.is_new(found, now)
            }) else {
                return;
            };
            if let (Ok(token), Some(shared)) =
                (self.new_token(found.reply, found.life, now), &self.shared)
            {
                self.install(gate, &token, now);
                shared.adoptions.fetch_add(1, Ordering::Relaxed);
                self.note_token(true, &token, now, None);
            }
        });
    }
}
