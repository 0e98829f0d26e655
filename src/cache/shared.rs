//! What a flight does with a shared store: look, take the lease, look again, ask the server, publish, give the lease back.
//!
//! The order is the guarantee. The lease is held *across* the request, so of all processes that need a token one asks the
//! server while the others wait for what it publishes; and what came of it, a refusal included, is published before the
//! lease is given back and before any waiter of this process is released.

mod link;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use link::{FoundToken, StoreView};
use link::{StoreLink, read, refuse, seal};

use super::commit::Pace;
use super::slot::{Fetch, Fetched};
use crate::clock::{Clock, Now, duration, millis};
use crate::error::{Code, Error, Result};
use crate::store::record::Record;
use crate::store::seal::{Keys, Which};
use crate::store::{Attempt, Change, Fault, Lease, Place, Published};
use crate::token::Life;

/// How a flight result.
pub enum Outcome {
    /// The server issued a token.
    Fetched(Fetched),
    /// Another process had one.
    Adopted(FoundToken),
    /// Another process has been refused, and credentials may not be tried for a while.
    Refused {
        /// What the server said.
        error: Error,
        /// For so long.
        left_ms: i64,
        /// Refusals in a row.
        denials: u32,
    },
}

/// A flight: what it needs, and what it knows of its slot.
pub struct FlightContext<'a> {
    /// The way to the server and to the keys.
    pub fetch: &'a dyn Fetch,
    /// The slot's clock.
    pub clock: &'a dyn Clock,
    /// Uniform chance.
    pub random: fn(u64) -> u64,
    /// Time for the whole flight.
    pub limit: Duration,
    /// Whether a token from the store is what the flight was started for.
    pub adoptable: &'a dyn Fn(&FoundToken, Now) -> bool,
    /// Refusals in a row, as far as this process knows.
    pub denials: u32,
    /// A refusal in the store is overridden once.
    pub lifted: bool,
    /// How long refusals hold.
    pub pace: Pace,
    /// `min_refresh_interval_s`, in milliseconds.
    pub min_interval_ms: i64,
    /// Counts requests.
    pub on_try: &'a dyn Fn(),
}

/// The result, and how many refusals in a row there were before it, as the store knows.
pub struct FlightResult {
    /// What the flight brought.
    pub result: Result<Outcome>,
    /// At least so many refusals came before.
    pub denials: u32,
}

/// One identity's share in the stores.
pub struct SharedTokens {
    /// The widest first. Beyond the last there is the process alone.
    links: Vec<StoreLink>,
    required: bool,
    /// Tokens taken over from a store.
    pub adoptions: AtomicU64,
}

/// How the stores fare, for the stats.
pub struct Health {
    /// The store in use: `redis`, `file` or `memory`.
    pub active: &'static str,
    /// Which one.
    pub shown: String,
    /// Why those before it are not in use.
    pub reason: Option<String>,
}

impl SharedTokens {
    /// A share in these stores; `None` when there are none.
    #[must_use]
    pub fn new(places: Vec<Arc<Place>>, required: bool) -> Option<SharedTokens> {
        let links: Vec<StoreLink> = places.into_iter().map(StoreLink::new).collect();
        (!links.is_empty()).then_some(SharedTokens {
            links,
            required,
            adoptions: AtomicU64::new(0),
        })
    }

    /// The store that was asked for.
    #[must_use]
    pub fn place(&self) -> &Arc<Place> {
        &self.first().place
    }

    /// The identity's keys in that store.
    ///
    /// # Errors
    ///
    /// A [`Fault`] when the store cannot be used.
    pub fn keys(&self, fetch: &dyn Fetch) -> Result<Arc<Keys>, Fault> {
        self.first().derive(fetch)
    }

    /// There is one: [`SharedTokens::new`] makes no share in nothing.
    fn first(&self) -> &StoreLink {
        &self.links[0]
    }

    /// How the stores fare.
    #[must_use]
    pub fn health(&self) -> Health {
        let reasons: Vec<String> = self
            .links
            .iter()
            .map_while(|link| link.place.fault())
            .collect();
        let active = self.links.get(reasons.len());
        Health {
            active: active.map_or("memory", |link| link.place.store.kind()),
            shown: active.map_or_else(|| "memory".to_owned(), |link| link.place.store.shown()),
            reason: (!reasons.is_empty()).then(|| reasons.join("; ")),
        }
    }

    /// A whole flight. Waits for other processes, for at most the flight's limit.
    pub fn run_flight(&self, context: &FlightContext<'_>) -> FlightResult {
        let end = context
            .clock
            .now()
            .mono
            .saturating_add(millis(context.limit));
        let mut reasons = Vec::new();
        for (at, link) in self.links.iter().enumerate() {
            if let Some(fault) = link.place.resting(context.clock.now()) {
                reasons.push(fault.0);
                continue;
            }
            match self.run_on(at, context, end) {
                Ok(result) => return result,
                Err(fault) => {
                    reasons.push(fault.0.clone());
                    link.failed(fault, context.clock.now());
                }
            }
        }
        let result = if self.required {
            Err(Error::new(
                Code::Store,
                format!("the shared store cannot be used: {}", reasons.join("; ")),
            )
            .with_hint("Mend the store, or allow to go on without it by store_required=0."))
        } else {
            let left = left(context, end);
            context
                .fetch
                .token(left, context.on_try)
                .map(Outcome::Fetched)
        };
        FlightResult { result, denials: 0 }
    }

    fn run_on(
        &self,
        at: usize,
        context: &FlightContext<'_>,
        end: i64,
    ) -> Result<FlightResult, Fault> {
        let link = &self.links[at];
        let store = &link.place.store;
        let (first, most) = store.patience();
        let mut pause = first;
        let mut keys = link.derive(context.fetch)?;
        let mut denials = context.denials;
        let mut lease = loop {
            let seen = link.read_store(&mut keys, context.fetch, context.clock)?;
            link.place.well();
            denials = denials.max(seen.denied.as_ref().map_or(0, |(_, _, denials)| *denials));
            if let Some(result) = self.settled(&seen, context, denials) {
                return Ok(result);
            }
            // A token that was rejected elsewhere is replaced no sooner than one that was rejected here.
            let now = context.clock.now();
            let since = seen
                .rejected
                .and_then(|(_, sent)| sent)
                .map_or(i64::MAX, |sent| now.since(sent).max(0));
            let hold = context.min_interval_ms.saturating_sub(since);
            let rest = left(context, end);
            if hold > 0 && !context.lifted && !rest.is_zero() {
                context.clock.sleep(duration(hold).min(rest));
                continue;
            }
            match store.try_lease(keys.name())? {
                Attempt::Got(lease) => {
                    // Whoever had it before us may have published since we looked.
                    let seen = link.read_store(&mut keys, context.fetch, context.clock)?;
                    if let Some(result) = self.settled(&seen, context, denials) {
                        return Ok(result);
                    }
                    break lease;
                }
                Attempt::Busy(holder) if rest.is_zero() => {
                    return Ok(FlightResult {
                        result: Err(busy(holder.as_deref(), context.limit)),
                        denials,
                    });
                }
                Attempt::Busy(_) => {
                    // A little chance, so that many waiters do not come back in step.
                    let whole = u64::try_from(pause.as_millis()).unwrap_or(0).max(2);
                    let chance = Duration::from_millis((context.random)(whole / 2));
                    context
                        .clock
                        .sleep(pause.saturating_sub(chance).max(first).min(rest));
                    pause = pause.mul_f32(1.5).min(most);
                }
            }
        };
        lease.keep();
        let fetched = context.fetch.token(left(context, end), context.on_try);
        let result = self.publish_result(at, context, &keys, &*lease, denials, fetched);
        drop(lease);
        Ok(FlightResult { result, denials })
    }

    /// Whether what the store says ends the flight. A token counts more than a refusal.
    fn settled(
        &self,
        seen: &StoreView,
        context: &FlightContext<'_>,
        denials: u32,
    ) -> Option<FlightResult> {
        let now = context.clock.now();
        let landed = match (&seen.token, &seen.denied) {
            (Some(found), _) if (context.adoptable)(found, now) => {
                self.adoptions.fetch_add(1, Ordering::Relaxed);
                Outcome::Adopted(found.clone())
            }
            (_, Some((error, left_ms, denials))) if *left_ms > 0 && !context.lifted => {
                Outcome::Refused {
                    error: error.clone(),
                    left_ms: *left_ms,
                    denials: *denials,
                }
            }
            _ => return None,
        };
        Some(FlightResult {
            result: Ok(landed),
            denials,
        })
    }

    /// Publishes a token or a refusal under the lease. A store that cannot take it costs nobody the token.
    fn publish_result(
        &self,
        at: usize,
        context: &FlightContext<'_>,
        keys: &Keys,
        lease: &dyn Lease,
        denials: u32,
        fetched: Result<Fetched>,
    ) -> Result<Outcome> {
        let now = context.clock.now();
        let link = &self.links[at];
        match fetched {
            Ok(fetched) if fetched.life.left_ms(now) > 0 => {
                let record = Record::Token(fetched.reply.clone(), fetched.life);
                let published = seal(keys, Which::Token, &record, fetched.life.left_ms(now), now)
                    .and_then(|sealed| {
                        lease.publish(&Change {
                            token: Some(sealed.keep()),
                            denial: Some(None),
                        })
                    });
                match published {
                    Ok(Published::Stored) => Ok(Outcome::Fetched(fetched)),
                    // While we hung, another process took over: all go on with its token.
                    Ok(Published::Fenced) => Ok(self
                        .adopt_published(link, context, keys)
                        .unwrap_or(Outcome::Fetched(fetched))),
                    Err(fault) => {
                        link.failed(fault, now);
                        Ok(self.fall_back(at + 1, context, fetched))
                    }
                }
            }
            Err(error) if error.code() == Code::Unauthorized && context.pace.cooldown_ms > 0 => {
                let published = refuse(keys, lease, &error, denials, context.pace, now);
                if let Err(fault) = published {
                    link.failed(fault, now);
                }
                Err(error)
            }
            other => other.map(Outcome::Fetched),
        }
    }

    /// The token that another process published while this one was fenced off.
    fn adopt_published(
        &self,
        link: &StoreLink,
        context: &FlightContext<'_>,
        keys: &Keys,
    ) -> Option<Outcome> {
        let now = context.clock.now();
        let loaded = link.place.store.load(keys.name()).ok()?;
        let found = read(keys, &loaded, now).token?;
        (context.adoptable)(&found, now).then(|| {
            self.adoptions.fetch_add(1, Ordering::Relaxed);
            Outcome::Adopted(found)
        })
    }

    /// The store failed while the server was being asked: the narrower ones get the token, unless they have another by now,
    /// which those who share them already use.
    fn fall_back(&self, from: usize, context: &FlightContext<'_>, fetched: Fetched) -> Outcome {
        for link in &self.links[from..] {
            let now = context.clock.now();
            match self.put(link, context, &fetched) {
                Ok(Some(other)) => return other,
                Ok(None) => return Outcome::Fetched(fetched),
                Err(fault) => link.failed(fault, now),
            }
        }
        Outcome::Fetched(fetched)
    }

    fn put(
        &self,
        link: &StoreLink,
        context: &FlightContext<'_>,
        fetched: &Fetched,
    ) -> Result<Option<Outcome>, Fault> {
        let keys = link.derive(context.fetch)?;
        let Attempt::Got(lease) = link.place.store.try_lease(keys.name())? else {
            // Somebody is asking the server this very moment; what comes of that will be found by the next look.
            return Ok(None);
        };
        if let Some(other) = self.adopt_published(link, context, &keys) {
            return Ok(Some(other));
        }
        let now = context.clock.now();
        let record = Record::Token(fetched.reply.clone(), fetched.life);
        let sealed = seal(&keys, Which::Token, &record, fetched.life.left_ms(now), now)?;
        lease.publish(&Change {
            token: Some(sealed.keep()),
            denial: Some(None),
        })?;
        Ok(None)
    }

    /// A look without a lease: what the widest store that answers says now. `None`: nothing can be said.
    pub fn poll(&self, clock: &dyn Clock) -> Option<StoreView> {
        for link in &self.links {
            let Some((salt, keys)) = link.known() else {
                continue;
            };
            match link.place.store.load(keys.name()) {
                Ok(loaded) => {
                    link.place.well();
                    // Keys of another salt are the next flight's business.
                    let same = loaded.salt.is_none_or(|found| found == salt);
                    return same.then(|| read(&keys, &loaded, clock.now()));
                }
                Err(fault) => link.failed(fault, clock.now()),
            }
        }
        None
    }

    /// What the widest store that answers says of refused credentials: the error, milliseconds left, refusals in a row.
    pub fn refused(&self, fetch: &dyn Fetch, clock: &dyn Clock) -> Option<(Error, i64, u32)> {
        self.on_widest(clock, |link| {
            let mut keys = link.derive(fetch)?;
            Ok(link.read_store(&mut keys, fetch, clock)?.denied)
        })
    }

    /// Says that the server refused the credentials, so many times in a row before.
    pub fn tell_refused(&self, error: &Error, denials: u32, pace: Pace, clock: &dyn Clock) {
        if pace.cooldown_ms == 0 {
            return;
        }
        self.on_widest(clock, |link| {
            let Some((_, keys)) = link.known() else {
                return Ok(None);
            };
            // Somebody who holds the lease is being told the same.
            if let Attempt::Got(lease) = link.place.store.try_lease(keys.name())? {
                refuse(&keys, &*lease, error, denials, pace, clock.now())?;
            }
            Ok(Some(()))
        });
    }

    /// Says that the token with this hash is dead, unless the store has another one by now. `sent`: when it was asked for,
    /// if the next one is not to follow at once. `lifted`: a refusal no longer holds either.
    pub fn tell_dropped(&self, dropped: Option<([u8; 32], Life)>, lifted: bool, clock: &dyn Clock) {
        self.on_widest(clock, |link| {
            let Some((_, keys)) = link.known() else {
                return Ok(None);
            };
            link.drop_token(&keys, dropped, lifted, clock).map(Some)
        });
    }

    /// Does `work` in the widest store that can be used and in which there is something to be done.
    fn on_widest<T>(
        &self,
        clock: &dyn Clock,
        work: impl Fn(&StoreLink) -> Result<Option<T>, Fault>,
    ) -> Option<T> {
        for link in &self.links {
            if link.place.resting(clock.now()).is_some() {
                continue;
            }
            match work(link) {
                Ok(Some(done)) => return Some(done),
                Ok(None) => {}
                Err(fault) => link.failed(fault, clock.now()),
            }
        }
        None
    }
}

fn left(context: &FlightContext<'_>, end: i64) -> Duration {
    duration(end.saturating_sub(context.clock.now().mono))
}

fn busy(holder: Option<&str>, limit: Duration) -> Error {
    let holder = holder.unwrap_or("another process");
    Error::new(
        Code::Store,
        format!(
            "{holder} is asking for this token and has not finished within {} s",
            limit.as_secs_f32()
        ),
    )
    .with_hint("Should that process hang, end it: its hold on the token ends with it.")
}

#[cfg(all(test, feature = "shared-store"))]
mod tests;
