//! A slot and the requests that are made past its cache: they keep to its cool-down, and begin one.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::answers::replay;
use super::{Fetch, Slot};
use crate::cache::commit::{Outcome, commit};
use crate::error::{Code, Error};

impl Slot {
    /// The failure in force, here or in a shared store, as callers get it; `None` when a request may be made.
    #[must_use]
    pub fn held_back(self: &Arc<Slot>, fetch: &dyn Fetch) -> Option<Error> {
        let now = self.clock.now();
        let (own, lifted) = self.gate(|gate| {
            let own = gate.entry.failure.as_ref().and_then(|failure| {
                let left_ms = failure.left_ms(now);
                (left_ms > 0).then(|| replay(failure, left_ms, now))
            });
            let lifted = own.is_none() && std::mem::take(&mut gate.shared.lifted);
            (own, lifted)
        });
        if own.is_some() {
            // Another process may have fared better meanwhile.
            self.look(now);
            return own;
        }
        let (error, left_ms, denials) = self.share.as_ref()?.refused(fetch, &*self.clock)?;
        let now = self.clock.now();
        self.gate(|gate| {
            gate.entry.denials = gate.entry.denials.max(denials);
            if lifted || left_ms <= 0 {
                return None;
            }
            let outcome = Outcome::Refused(error, left_ms, denials);
            commit(&mut gate.entry, outcome, self.pace(), now, &self.random);
            let failure = gate.entry.failure.as_ref()?;
            Some(replay(failure, left_ms, now))
        })
    }

    /// Counts a token request.
    pub fn count_request(&self) {
        self.counters.token_requests.fetch_add(1, Ordering::Relaxed);
    }

    /// An error that a request outside of flights met: refused credentials count like a flight's, in a shared store too.
    /// Answers what to tell.
    #[must_use]
    pub fn note_refusal(&self, error: Error) -> Error {
        if error.code() != Code::Unauthorized {
            return error;
        }
        let now = self.clock.now();
        let (told, before) = self.gate(|gate| {
            let before = gate.entry.denials;
            gate.note_failure(&error, now);
            let outcome = Outcome::Failed(error.clone());
            commit(&mut gate.entry, outcome, self.pace(), now, &self.random);
            let failure = gate.entry.failure.as_ref();
            (failure.map(|failure| failure.error.clone()), before)
        });
        if let Some(share) = &self.share {
            share.tell_refused(&error, before, self.pace(), &*self.clock);
        }
        told.unwrap_or(error)
    }
}
