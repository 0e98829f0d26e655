//! A client's seat: memory that outlives it, so that the C boundary can look at a client without taking a share in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;

use super::TokenOptions;
use super::place::Opened;
use crate::cache::classify::fresh_for_ms;
use crate::cache::held;
use crate::clock::millis;
use crate::token::Token;

/// What of a client is never freed: another client takes the seat over when it is gone.
#[repr(align(64))]
pub(crate) struct Seat {
    /// What the client is open on; `None` once it is closed.
    pub(super) state: ArcSwapOption<Opened>,
    /// See [`super::Client::generation`].
    pub(super) word: AtomicU64,
}

impl Seat {
    pub(super) fn new() -> Seat {
        Seat {
            state: ArcSwapOption::empty(),
            word: AtomicU64::new(0),
        }
    }

    /// The whole way of a hit: seat → slot → token → two clocks. No lock, no allocation, no write to shared memory.
    ///
    /// Whoever has no share in the client looks through `is_taken`, once the state is safe from being dropped, whether the
    /// seat is still that client's. If it is, so is the state.
    #[inline]
    pub(crate) fn hit<R>(
        &self,
        options: &TokenOptions,
        is_taken: impl FnOnce() -> bool,
        look: impl FnOnce(&Arc<Token>) -> R,
    ) -> Option<R> {
        let state = self.state.load();
        if !is_taken() {
            return None;
        }
        let opened = state.as_ref()?;
        if options.force_refresh || opened.look_again.load(Ordering::Relaxed) {
            return None;
        }
        let current = opened.slot.current();
        let token = current.as_ref()?;
        let now = opened.slot.clock().now();
        if now.mono >= opened.slot.next_look_ms() {
            opened.slot.look(now);
        }
        (fresh_for_ms(
            &held(token),
            &opened.windows,
            millis(options.min_valid),
            now,
        ) > 0)
            .then(|| look(token))
    }
}
