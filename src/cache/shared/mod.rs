//! An identity's tokens in shared stores: the thread that drives a flight through [`step`], and what the slot tells and asks
//! the stores besides.

mod drive;
mod link;
#[cfg(all(test, not(shuttle)))]
mod search;
#[cfg(all(test, not(shuttle)))]
mod simulation;
mod step;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use drive::Drive;
pub(crate) use link::{FoundToken, StoreView};
use link::{StoreLink, read, refuse};

use super::commit::Pace;
use super::slot::{Fetch, Fetched};
use crate::clock::{Clock, Now, duration, millis};
use crate::error::{Code, Error, Result};
use crate::store::seal::Keys;
use crate::store::{Attempt, Fault, MonitoredStore, Ticket};
use crate::token::Life;

/// How a flight result.
pub(crate) enum Outcome {
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
pub(crate) struct FlightContext<'a> {
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
    /// Refusals and other failures in a row, as far as this process knows.
    pub denials: u32,
    /// See there.
    pub failures: u32,
    /// A refusal or failure in the store is overridden once.
    pub lifted: bool,
    /// How long refusals hold.
    pub pace: Pace,
    /// `min_refresh_interval_s`, in milliseconds.
    pub min_interval_ms: i64,
    /// Counts requests.
    pub on_try: &'a dyn Fn(),
}

/// The result, and what the store knows of the time before it.
pub(crate) struct FlightResult {
    /// What the flight brought.
    pub result: Result<Outcome>,
    /// At least this many refusals in a row came before.
    pub denials: u32,
    /// At least this many other failures in a row.
    pub failures: u32,
}

impl FlightResult {
    /// A result, and nothing that the store knows.
    #[must_use]
    pub(crate) fn of(result: Result<Outcome>) -> FlightResult {
        FlightResult {
            result,
            denials: 0,
            failures: 0,
        }
    }
}

/// One identity's share in the stores.
pub(crate) struct SharedTokens {
    /// The widest first. Beyond the last there is the process alone.
    links: Vec<StoreLink>,
    required: bool,
    /// Tokens taken over from a store.
    pub adoptions: AtomicU64,
}

/// How the stores fare, for the stats.
pub(crate) struct Health {
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
    pub(crate) fn new(stores: Vec<Arc<MonitoredStore>>, required: bool) -> Option<SharedTokens> {
        let links: Vec<StoreLink> = stores.into_iter().map(StoreLink::new).collect();
        (!links.is_empty()).then_some(SharedTokens {
            links,
            required,
            adoptions: AtomicU64::new(0),
        })
    }

    /// The configured store.
    #[must_use]
    pub(crate) fn monitored(&self) -> &Arc<MonitoredStore> {
        &self.first().monitored
    }

    /// The identity's keys in that store.
    ///
    /// # Errors
    ///
    /// A [`Fault`] when the store cannot be used.
    pub(crate) fn keys(&self, fetch: &dyn Fetch) -> Result<Arc<Keys>, Fault> {
        self.first().derive(fetch)
    }

    /// There is one: [`SharedTokens::new`] makes no share in nothing.
    fn first(&self) -> &StoreLink {
        &self.links[0]
    }

    /// How the stores fare.
    #[must_use]
    pub(crate) fn health(&self) -> Health {
        let reasons: Vec<String> = self
            .links
            .iter()
            .map_while(|link| link.monitored.fault())
            .collect();
        let active = self.links.get(reasons.len());
        Health {
            active: active.map_or("memory", |link| link.monitored.store.kind()),
            shown: active.map_or_else(|| "memory".to_owned(), |link| link.monitored.store.shown()),
            reason: (!reasons.is_empty()).then(|| reasons.join("; ")),
        }
    }

    /// A whole flight. Waits for other processes, for at most the flight's limit.
    pub(crate) fn run_flight(&self, context: &FlightContext<'_>) -> FlightResult {
        let end = context
            .clock
            .now()
            .mono
            .saturating_add(millis(context.limit));
        let mut reasons = Vec::new();
        for (at, link) in self.links.iter().enumerate() {
            if let Some(fault) = link.monitored.resting(context.clock.now()) {
                reasons.push(fault.0);
                continue;
            }
            match Drive::new(self, at, context, end).and_then(Drive::run) {
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
            .with_hint("Fix the store, or set store_required=0 to continue without it."))
        } else {
            let left = duration(end.saturating_sub(context.clock.now().mono));
            context
                .fetch
                .token(left, context.on_try)
                .map(Outcome::Fetched)
        };
        FlightResult::of(result)
    }

    /// A look without a lease: what the widest store that answers says now. `None`: nothing can be said.
    pub(crate) fn poll(&self, clock: &dyn Clock) -> Option<StoreView> {
        for link in &self.links {
            let Some((salt, keys)) = link.known() else {
                continue;
            };
            match link.monitored.store.load(keys.name()) {
                Ok(loaded) => {
                    link.monitored.well();
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
    pub(crate) fn refused(
        &self,
        fetch: &dyn Fetch,
        clock: &dyn Clock,
    ) -> Option<(Error, i64, u32)> {
        self.on_widest(clock, |link| {
            let mut keys = link.derive(fetch)?;
            Ok(link.read_store(&mut keys, None, fetch, clock)?.denied)
        })
    }

    /// Says that the server refused the credentials, this many times in a row before.
    pub(crate) fn tell_refused(&self, error: &Error, denials: u32, pace: Pace, clock: &dyn Clock) {
        if pace.cooldown_ms == 0 {
            return;
        }
        self.on_widest(clock, |link| {
            let Some((_, keys)) = link.known() else {
                return Ok(None);
            };
            // Someone who holds the lease is being told the same.
            if let Attempt::Got(lease) = link
                .monitored
                .store
                .try_lease(keys.name(), &Ticket::new()?)?
            {
                refuse(&keys, &*lease, error, denials, pace, clock.now())?;
            }
            Ok(Some(()))
        });
    }

    /// Says that the token with this hash is dead, unless the store has another one by now. `sent`: when it was asked for,
    /// if the next one is not to follow at once. `lifted`: a refusal no longer holds either.
    pub(crate) fn tell_dropped(
        &self,
        dropped: Option<([u8; 32], Life)>,
        lifted: bool,
        clock: &dyn Clock,
    ) {
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
            if link.monitored.resting(clock.now()).is_some() {
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

#[cfg(all(test, feature = "shared-store"))]
mod tests;
