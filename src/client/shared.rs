//! What all clones of a client share: where it is now, and how it moves when its secret or settings change.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::place::Opened;
use super::{Runtime, Seat, TokenOptions};
use crate::cache::{Caller, Fetch, Need, Presence, Slot, Waited};
use crate::error::{Code, Error, Result};
use crate::fork::Guarded;
use crate::options::{AuthMode, Settings};
use crate::secret::Secret;
use crate::token::Token;

/// A file is looked at no more often than this.
const LOOK_MS: i64 = 1_000;

/// One client. It is closed when the last clone goes.
pub struct Shared {
    pub(super) runtime: Arc<Runtime>,
    pub(super) seat: &'static Seat,
    /// Held while the client moves from slot to slot, so that two moves do not cross.
    moving: Guarded<()>,
    /// Monotonic milliseconds of the last look at `access_token_file`.
    looked: AtomicI64,
}

impl Shared {
    pub(super) fn open(
        runtime: &Arc<Runtime>,
        settings: Settings,
        secret: Secret,
    ) -> Result<Shared> {
        let shared = Shared {
            runtime: Arc::clone(runtime),
            seat: runtime.take_seat(),
            moving: Guarded::default(),
            looked: AtomicI64::new(i64::MIN),
        };
        let opened = Opened::new(runtime, settings, secret, &shared.seat.word)?;
        shared.seat.state.store(Some(Arc::new(opened)));
        Ok(shared)
    }

    pub(super) fn opened(&self) -> Result<Arc<Opened>> {
        self.seat.state.load_full().ok_or_else(closed)
    }

    #[cold]
    pub(super) fn acquire(&self, options: &TokenOptions) -> Result<Arc<Token>> {
        self.ask(options, |slot, caller| {
            let mut ask = options.ask();
            if slot.info.auth_mode == AuthMode::Token {
                // Nobody issues a newer one: there is only what the caller supplied.
                (ask.force, ask.min_valid_ms) = (false, 0);
            }
            slot.acquire(&ask, caller)
        })
    }

    /// Asks the slot on which the client is, and the next one if it moves meanwhile.
    pub(super) fn ask<T>(
        &self,
        options: &TokenOptions,
        work: impl Fn(&Arc<Slot>, &Caller<'_>) -> Result<Waited<T>>,
    ) -> Result<T> {
        let clock = &self.runtime.clock;
        let start = clock.now().mono;
        let mut reread = false;
        loop {
            let opened = self.seat.state.load_full().ok_or_else(closed)?;
            if opened.look_again.load(Ordering::Relaxed) && self.look_at_file(&opened)? {
                continue;
            }
            let whole = options
                .wait
                .filter(|wait| !wait.is_zero())
                .unwrap_or(Duration::from_millis(opened.settings.timeout_ms));
            let spent = crate::clock::duration(clock.now().mono.saturating_sub(start));
            let fetch = |need| self.fetch_for(&opened, need);
            let presence = || self.presence(&opened);
            let caller = Caller {
                windows: opened.windows,
                wait: whole.saturating_sub(spent),
                no_wait: options.no_wait,
                presence: &presence,
                fetch: &fetch,
            };
            match work(&opened.slot, &caller) {
                Ok(Waited::Got(value)) => return Ok(value),
                Ok(Waited::Moved) => {}
                // Refused, but perhaps the file holds another secret by now.
                Err(error)
                    if error.code() == Code::Unauthorized
                        && !reread
                        && opened.settings.credential.is_file() =>
                {
                    reread = true;
                    if !self.reread(&opened).unwrap_or(false) {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn presence(&self, opened: &Arc<Opened>) -> Presence {
        match self.seat.state.load().as_ref() {
            None => Presence::Closed,
            Some(now) if Arc::ptr_eq(now, opened) => Presence::Here,
            Some(_) => Presence::Moved,
        }
    }

    /// How to send what is needed; `None` when a secret file has changed and the client has moved.
    pub(super) fn fetch_for(
        &self,
        opened: &Arc<Opened>,
        need: Need,
    ) -> Result<Option<Arc<dyn Fetch>>> {
        if need == Need::Token {
            if opened.is_own() {
                return if self.look_at_file(opened)? {
                    Ok(None)
                } else {
                    Err(own_expired(opened))
                };
            }
            if opened.settings.credential.is_file() && self.reread(opened)? {
                return Ok(None);
            }
        }
        Ok(Some(opened.fetch(&self.runtime)))
    }

    /// Reads `access_token_file` again, at most once a second. Answers whether the client has moved.
    pub(super) fn look_at_file(&self, opened: &Arc<Opened>) -> Result<bool> {
        let now = self.runtime.clock.now().mono;
        let last = self.looked.load(Ordering::Relaxed);
        let due = now.saturating_sub(last) >= LOOK_MS;
        if !opened.settings.credential.is_file()
            || !due
            || self
                .looked
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            return Ok(false);
        }
        match self.reread(opened) {
            // A file that cannot be read matters only once the token in hand is dead.
            Err(error)
                if opened
                    .slot
                    .current()
                    .as_ref()
                    .is_none_or(|token| token.life.left_ms(self.runtime.clock.now()) <= 0) =>
            {
                Err(error)
            }
            result => Ok(result.unwrap_or(false)),
        }
    }

    /// Reads a secret file; a changed secret is another identity. Answers whether the client has moved.
    pub(super) fn reread(&self, opened: &Arc<Opened>) -> Result<bool> {
        let secret = opened.settings.credential.read()?;
        if secret == opened.secret {
            return Ok(false);
        }
        self.move_if(Some(opened), (*opened.settings).clone(), secret)?;
        Ok(true)
    }

    pub(super) fn move_to(&self, settings: Settings, secret: Secret) -> Result<()> {
        self.move_if(None, settings, secret)
    }

    /// Opens the new place, then leaves the old one; not if somebody else moved the client away from `from` meanwhile.
    pub(super) fn move_if(
        &self,
        from: Option<&Arc<Opened>>,
        settings: Settings,
        secret: Secret,
    ) -> Result<()> {
        let new = Opened::new(&self.runtime, settings, secret, &self.seat.word)?;
        self.moving.with(|()| {
            let leave = |place: &Opened| {
                self.runtime
                    .registry
                    .close(&place.key, &place.slot, &self.seat.word);
            };
            let Some(old) = self.seat.state.load_full() else {
                leave(&new);
                return Err(closed());
            };
            if from.is_some_and(|from| !Arc::ptr_eq(from, &old)) {
                leave(&new);
                return Ok(());
            }
            self.seat.state.store(Some(Arc::new(new)));
            leave(&old);
            Ok(())
        })
    }

    /// A token of one's own was reported: only its file can bring another.
    pub(super) fn look_again(&self, opened: &Opened) {
        if opened.settings.credential.is_file() {
            opened.look_again.store(true, Ordering::Relaxed);
            self.seat
                .word
                .store(crate::cache::next_number(), Ordering::Release);
        }
    }

    pub(super) fn close(&self) {
        self.moving.with(|()| {
            if let Some(old) = self.seat.state.swap(None) {
                self.runtime
                    .registry
                    .close(&old.key, &old.slot, &self.seat.word);
            }
        });
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.close();
        // Not sooner: a clone of a closed client must not find another client in it.
        self.runtime.give_back_seat(self.seat);
    }
}

fn closed() -> Error {
    Error::new(Code::Closed, "the client is closed")
}

/// Nobody but the caller can bring another token.
pub fn own_expired(opened: &Opened) -> Error {
    let hint = if opened.settings.credential.is_file() {
        "Put a new token into access_token_file; it is read again by itself."
    } else {
        "Supply a new token: update the client (p21_client_update) with another access_token."
    };
    Error::new(
        Code::TokenExpired,
        "the access token that was supplied has expired",
    )
    .with_hint(hint)
}
