//! A token on its way: its flight, its landing, and how it becomes the current one or stops being that.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::answers::dead_on_arrival;
use super::landing::{Job, Landing, unpanicked};
use super::sharing::Wanted;
use super::{Fetch, Gate, Slot, held, next_number};
use crate::cache::commit::{Outcome, commit};
use crate::cache::flight::Flight;
use crate::cache::share::{Ended, Flying, Landed};
use crate::clock::Now;
use crate::error::{Code, Error, Result};
use crate::log::{self, Level};
use crate::store::record::token_hash;
use crate::token::{Life, Reply, Token};

impl Slot {
    /// Everything that a flight does, and that it lands whatever happens.
    pub(super) fn token_job(
        self: &Arc<Slot>,
        flight: Arc<Flight<Arc<Token>>>,
        fetch: Arc<dyn Fetch>,
        limit: Duration,
        wanted: Wanted,
    ) -> Job {
        let slot = Arc::clone(self);
        let landing = Landing::new(move |result: Result<Ended>| {
            let ended = result.unwrap_or_else(|error| Ended {
                result: Err(error),
                denials: 0,
            });
            slot.land_token(&flight, ended);
        });
        let slot = Arc::clone(self);
        Box::new(move || {
            let count = || {
                slot.counters.token_requests.fetch_add(1, Ordering::Relaxed);
            };
            landing.land(unpanicked(|| {
                let Some(share) = &slot.share else {
                    let result = fetch.token(limit, &count).map(Landed::Fetched);
                    return Ok(Ended { result, denials: 0 });
                };
                Ok(share.fly(&Flying {
                    fetch: &*fetch,
                    clock: &*slot.clock,
                    random: slot.random,
                    limit,
                    adoptable: &|found, now| slot.is_wanted(found, &wanted, now),
                    denials: wanted.denials,
                    lifted: wanted.lifted,
                    pace: slot.pace(),
                    min_interval_ms: slot.options.min_refresh_interval_ms,
                    on_try: &count,
                }))
            }));
        })
    }

    fn land_token(&self, flight: &Arc<Flight<Arc<Token>>>, ended: Ended) {
        let now = self.clock.now();
        let adopted = matches!(ended.result, Ok(Landed::Adopted(_)));
        let result = match ended.result {
            Ok(Landed::Fetched(fetched)) => {
                self.skew_s.store(fetched.skew_s, Ordering::Relaxed);
                self.new_token(fetched.reply, fetched.life, now)
                    .map_err(Outcome::Failed)
            }
            Ok(Landed::Adopted(found)) => self
                .new_token(found.reply, found.life, now)
                .map_err(Outcome::Failed),
            Ok(Landed::Refused {
                error,
                left_ms,
                denials,
            }) => Err(Outcome::Refused(error, left_ms, denials)),
            Err(error) => Err(Outcome::Failed(error)),
        };
        self.gate(|gate| {
            gate.entry.denials = gate.entry.denials.max(ended.denials);
            let told = result.map_err(|outcome| {
                commit(&mut gate.entry, outcome, self.pace(), now, &self.random);
                let error = gate.entry.failure.as_ref().map_or_else(
                    || Error::new(Code::Internal, "a failure left no trace"),
                    |failure| failure.error.clone(),
                );
                gate.note_failure(&error, now);
                error
            });
            if let Ok(token) = &told {
                self.take_over(gate, Arc::clone(token), now);
                if !adopted {
                    self.counters.refreshes.fetch_add(1, Ordering::Relaxed);
                }
            }
            if gate
                .flight
                .as_ref()
                .is_some_and(|under_way| Arc::ptr_eq(under_way, flight))
            {
                gate.flight = None;
            }
            // Before anybody is woken: whoever has the token finds the event.
            match &told {
                Ok(token) => self.note_token(adopted, token, now),
                Err(error) => {
                    let (url, code) = (&self.info.base_url, error.code().name());
                    let message = format!("{url}: {code} {}", error.message());
                    log::record(Level::Error, "token.failed", &message);
                }
            }
            flight.finish(told);
            gate.pulse.beat();
        });
        self.looked(now);
    }

    pub(super) fn new_token(&self, reply: Reply, life: Life, now: Now) -> Result<Arc<Token>> {
        self.issued.remember(&reply);
        if life.left_ms(now) <= 0 {
            return Err(dead_on_arrival(life, now));
        }
        let jitter = u16::try_from((self.random)(101)).unwrap_or(0);
        Ok(Arc::new(Token::new(reply, life, next_number(), jitter)))
    }

    /// Makes `token` the current one.
    pub(super) fn take_over(&self, gate: &mut Gate, token: Arc<Token>, now: Now) {
        let outcome = Outcome::Token(held(&token));
        commit(&mut gate.entry, outcome, self.pace(), now, &self.random);
        self.part_with_current(gate);
        self.current.store(Some(token));
        gate.shared.not_before = None;
        gate.announce();
    }

    /// The current token is no longer that, and must never come back from a store. Answers what it was.
    pub(super) fn part_with_current(&self, gate: &mut Gate) -> Option<([u8; 32], Life)> {
        let old = self.current.swap(None)?;
        self.share.as_ref()?;
        let hash = token_hash(old.value());
        gate.shared.part_with(hash);
        Some((hash, old.life))
    }

    pub(super) fn note_token(&self, adopted: bool, token: &Token, now: Now) {
        let (event, what) = if adopted {
            ("token.adopted", "token of another process,")
        } else {
            ("token.refreshed", "new token")
        };
        let left = token.life.left_ms(now) / 1000;
        let (url, print) = (&self.info.base_url, token.fingerprint());
        let message = format!("{url}: {what} {print}, {left} s to live");
        log::record(Level::Info, event, &message);
    }

    /// The current token was rejected.
    pub(super) fn drop_current(&self, gate: &mut Gate, now: Now) -> Option<([u8; 32], Life)> {
        let dropped = self.part_with_current(gate);
        commit(
            &mut gate.entry,
            Outcome::Rejected,
            self.pace(),
            now,
            &self.random,
        );
        self.counters.rejections.fetch_add(1, Ordering::Relaxed);
        gate.announce();
        let message = format!(
            "{}: the current token was rejected and dropped",
            self.info.base_url
        );
        log::record(Level::Info, "token.rejected", &message);
        dropped
    }
}
