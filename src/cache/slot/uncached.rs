//! A slot and the requests that are made past its cache: they keep to its cool-down, and begin one.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::remote::POLL_MS;
use super::{Fetch, Slot};
use crate::cache::answers::replay;
use crate::cache::commit::{Event, commit};
use crate::error::{Code, Error};

impl Slot {
    /// The failure in force, here or in a shared store, as callers get it; `None` when a request may be made.
    #[must_use]
    pub(crate) fn held_back(self: &Arc<Slot>, fetch: &dyn Fetch) -> Option<Error> {
        let (own, poll, lifted, before) = self.gate(|gate| {
            let now = self.clock.now();
            let own = gate.entry.held_back(now);
            let own = own.map(|(failure, left_ms)| replay(failure, left_ms, now));
            // Another process may have fared better meanwhile.
            let poll = own
                .as_ref()
                .and_then(|_| self.poll_store(gate, POLL_MS, now));
            let lifted = own.is_none() && std::mem::take(&mut gate.tombstones.lifted);
            (own, poll, lifted, gate.revision)
        });
        if let Some(job) = poll {
            self.launch(job);
        }
        if own.is_some() {
            return own;
        }
        let (error, left_ms, denials) = self.shared.as_ref()?.refused(fetch, &*self.clock)?;
        self.gate(|gate| {
            let now = self.clock.now();
            gate.entry.denials = gate.entry.denials.max(denials);
            // A token that came, or an invalidation, while the store was read counts for more.
            if lifted || left_ms <= 0 || gate.revision != before {
                return None;
            }
            let event = Event::Refused(error, left_ms, denials);
            commit(&mut gate.entry, event, self.pace(), now, &self.random);
            self.publish_hits(gate);
            let failure = gate.entry.failure.as_ref()?;
            Some(replay(failure, left_ms, now))
        })
    }

    /// Counts a token request.
    pub(crate) fn count_request(&self) {
        self.counters.token_requests.fetch_add(1, Ordering::Relaxed);
    }

    /// An error that a request outside of flights met: refused credentials count like a flight's, in a shared store too.
    /// Answers what to tell.
    #[must_use]
    pub(crate) fn note_refusal(&self, error: Error) -> Error {
        if error.code() != Code::Unauthorized {
            return error;
        }
        let now = self.clock.now();
        let (told, before) = self.gate(|gate| {
            let before = gate.entry.denials;
            gate.note_failure(&error, now);
            let event = Event::Failed(error.clone());
            commit(&mut gate.entry, event, self.pace(), now, &self.random);
            self.publish_hits(gate);
            let failure = gate.entry.failure.as_ref();
            (failure.map(|failure| failure.error.clone()), before)
        });
        if let Some(shared) = &self.shared {
            shared.tell_refused(&error, before, self.pace(), &*self.clock);
        }
        told.unwrap_or(error)
    }
}
