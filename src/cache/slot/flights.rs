//! A token's flight: what it does, how it lands, and how a token becomes the current one or stops being that.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::completion::{CompletionGuard, Job, unpanicked};
use super::remote::Wanted;
use super::tellings::Dropped;
use super::{Caller, Fetch, Gate, Reloaded, Slot, next_number};
use crate::cache::answers::dead_on_arrival;
use crate::cache::commit::{Event, commit};
use crate::cache::decide::Wish;
use crate::cache::flight::{Ending, Flight};
use crate::cache::shared::{FlightContext, FlightResult, Outcome};
use crate::clock::{Now, duration, millis};
use crate::error::{Code, Error, Result};
use crate::log::{self, Level};
use crate::store::record::token_hash;
use crate::token::{Life, Reply, Token};

/// What a flight comes back with.
enum Arrival {
    /// It asked, a shared store or the server.
    Asked(FlightResult),
    /// It could not read the secret: nothing was sent, so nothing is held back.
    Unsent(Error),
    /// The secret has changed, and the client that started it has moved.
    Moved,
}

impl Slot {
    /// Puts a flight into the gate; the caller launches its job when the gate is free.
    pub(super) fn start_flight(
        self: &Arc<Slot>,
        gate: &mut Gate,
        wish: Wish,
        caller: &Caller<'_>,
    ) -> (Arc<Flight>, Job) {
        let limit = gate.flight_limit(caller.wait);
        let flight = Flight::new(self.clock.now().plus(millis(limit)));
        let wanted = Wanted {
            windows: caller.windows,
            min_valid_ms: wish.min_valid_ms,
            force: wish.force,
            denials: gate.entry.denials,
            failures: gate.entry.failures,
            lifted: std::mem::take(&mut gate.tombstones.lifted),
        };
        gate.flight = Some(Arc::clone(&flight));
        self.publish_hits(gate);
        let job = self.token_job(Arc::clone(&flight), (caller.fetch)(), limit, wanted);
        (flight, job)
    }

    /// Everything that a flight does, and that it ends no matter what happens.
    fn token_job(
        self: &Arc<Slot>,
        flight: Arc<Flight>,
        fetch: Arc<dyn Fetch>,
        limit: Duration,
        wanted: Wanted,
    ) -> Job {
        let slot = Arc::clone(self);
        let under_way = Arc::clone(&flight);
        let (lifted, began) = (wanted.lifted, self.clock.now());
        let guard = CompletionGuard::new(move |result: Result<Arrival>| {
            let arrival =
                result.unwrap_or_else(|error| Arrival::Asked(FlightResult::of(Err(error))));
            slot.land(&flight, arrival, lifted, began);
        });
        let slot = Arc::clone(self);
        Box::new(move || {
            guard.complete(unpanicked(|| {
                let reloaded = fetch.reload(limit, &|what| under_way.read(what));
                let spent = slot.clock.now().mono.saturating_sub(began.mono);
                let left = limit.saturating_sub(duration(spent));
                Ok(match reloaded {
                    Ok(Reloaded::Same) => Arrival::Asked(slot.ask(&*fetch, left, &wanted)),
                    Ok(Reloaded::Moved) => Arrival::Moved,
                    Err(error) => Arrival::Unsent(error),
                })
            }));
        })
    }

    fn ask(&self, fetch: &dyn Fetch, limit: Duration, wanted: &Wanted) -> FlightResult {
        let Some(shared) = &self.shared else {
            let fetched = fetch.token(limit, &|| self.count_request());
            return FlightResult::of(fetched.map(Outcome::Fetched));
        };
        shared.run_flight(&FlightContext {
            fetch,
            clock: &*self.clock,
            random: self.random,
            limit,
            adoptable: &|found, now| self.is_wanted(found, wanted, now),
            denials: wanted.denials,
            failures: wanted.failures,
            lifted: wanted.lifted,
            pace: self.pace(),
            min_interval_ms: self.options.min_refresh_interval_ms,
            on_try: &|| self.count_request(),
        })
    }

    fn land(&self, flight: &Arc<Flight>, arrival: Arrival, lifted: bool, began: Now) {
        self.gate(|gate| {
            let ending = match arrival {
                Arrival::Asked(result) => self.land_result(gate, result, began),
                Arrival::Unsent(error) => {
                    gate.tombstones.lifted |= lifted;
                    self.note_failed(gate, &error, began);
                    Ending::Failed(error)
                }
                Arrival::Moved => {
                    gate.tombstones.lifted |= lifted;
                    Ending::Moved
                }
            };
            if let Some(under_way) = &gate.flight
                && Arc::ptr_eq(under_way, flight)
            {
                gate.flight = None;
            }
            self.publish_hits(gate);
            flight.end(ending);
            gate.pulse.beat();
        });
    }

    fn land_result(&self, gate: &mut Gate, result: FlightResult, began: Now) -> Ending {
        let now = self.clock.now();
        let took_ms = Some(now.since(began).max(0));
        gate.entry.denials = gate.entry.denials.max(result.denials);
        gate.entry.failures = gate.entry.failures.max(result.failures);
        let event = match result.result {
            Ok(Outcome::Fetched(fetched)) => {
                self.skew_s.store(fetched.skew_s, Ordering::Relaxed);
                self.new_token(fetched.reply, fetched.life, now)
                    .map(|token| {
                        self.install(gate, &token, now);
                        self.counters.refreshes.fetch_add(1, Ordering::Relaxed);
                        self.note_token(false, &token, now, took_ms);
                    })
                    .map_err(Event::Failed)
            }
            // Rejected while it was on its way: calls ask again.
            Ok(Outcome::Adopted(found)) if !gate.is_new(&found, now) => Ok(()),
            Ok(Outcome::Adopted(found)) => self
                .new_token(found.reply, found.life, now)
                .map(|token| {
                    self.install(gate, &token, now);
                    self.note_token(true, &token, now, None);
                })
                .map_err(Event::Failed),
            Ok(Outcome::Refused {
                error,
                left_ms,
                denials,
            }) => Err(Event::Refused(error, left_ms, denials)),
            Err(error) => Err(Event::Failed(error)),
        };
        self.polled(gate, now);
        let Err(event) = event else {
            return Ending::Landed;
        };
        commit(&mut gate.entry, event, self.pace(), now, &self.random);
        let error = gate.entry.failure.as_ref().map_or_else(
            || Error::new(Code::Internal, "a failure left no trace"),
            |failure| failure.error.clone(),
        );
        self.note_failed(gate, &error, began);
        Ending::Failed(error)
    }

    /// For stats and log: a flight that began then has failed.
    fn note_failed(&self, gate: &mut Gate, error: &Error, began: Now) {
        let now = self.clock.now();
        gate.note_failure(error, now);
        let (url, code) = (&self.info.base_url, error.code().name());
        let message = format!("{url}: {code} {}", error.message());
        let took_ms = Some(now.since(began).max(0));
        log::record_timed(Level::Error, "token.failed", &message, took_ms);
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
    pub(super) fn install(&self, gate: &mut Gate, token: &Arc<Token>, now: Now) {
        self.bury_current(gate);
        let event = Event::Token(Arc::clone(token));
        commit(&mut gate.entry, event, self.pace(), now, &self.random);
        gate.tombstones.not_before = None;
        self.publish(gate);
    }

    /// The current token is about to be that no more, and must never come back from a store. Answers what it is.
    pub(super) fn bury_current(&self, gate: &mut Gate) -> Option<Dropped> {
        let current = gate.entry.token.as_ref()?;
        self.shared.as_ref()?;
        let hash = token_hash(current.value());
        gate.tombstones.bury(hash);
        Some((hash, current.life))
    }

    pub(super) fn note_token(&self, adopted: bool, token: &Token, now: Now, took_ms: Option<i64>) {
        let (event, what) = if adopted {
            ("token.adopted", "token of another process,")
        } else {
            ("token.refreshed", "new token")
        };
        let left = token.life.left_ms(now) / 1000;
        let (url, print) = (&self.info.base_url, token.fingerprint());
        let message = format!("{url}: {what} {print}, {left} s to live");
        log::record_timed(Level::Info, event, &message, took_ms);
    }

    /// The current token was rejected.
    pub(super) fn drop_current(&self, gate: &mut Gate, now: Now) -> Option<Dropped> {
        let dropped = self.bury_current(gate);
        let (pace, random) = (self.pace(), &self.random);
        commit(&mut gate.entry, Event::Rejected, pace, now, random);
        self.publish(gate);
        self.counters.rejections.fetch_add(1, Ordering::Relaxed);
        let message = format!(
            "{}: the current token was rejected and dropped",
            self.info.base_url
        );
        log::record(Level::Info, "token.rejected", &message);
        dropped
    }
}
