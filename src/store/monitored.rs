//! The stores that a process uses, each one once, and how they fare.

use std::sync::Arc;
use std::time::Duration;

use super::{Fault, Store};
use crate::clock::Now;
use crate::error::{Code, Error, Result};
use crate::fork::Guarded;
use crate::options::{Settings, StoreChoice, StoreSettings, TlsTrust, refuse_if_set_uid};

/// A store that failed is not asked again by a flight for so long; the look in the background, once a second, is.
const REST_MS: i64 = 1_000;

/// One store, and how it fares.
pub(crate) struct MonitoredStore {
    /// The store.
    pub store: Box<dyn Store>,
    fault: Guarded<Option<(String, Now)>>,
}

impl MonitoredStore {
    /// A store that has not failed yet.
    pub(crate) fn new(store: Box<dyn Store>) -> Arc<MonitoredStore> {
        Arc::new(MonitoredStore {
            store,
            fault: Guarded::default(),
        })
    }

    /// The store answered.
    pub(crate) fn well(&self) {
        self.fault.with(|fault| *fault = None);
    }

    /// The store failed. Answers whether it was well before.
    pub(crate) fn failed(&self, fault: Fault, now: Now) -> bool {
        self.fault
            .with(|state| state.replace((fault.0, now)).is_none())
    }

    /// Why it last failed, unless it has answered since.
    #[must_use]
    pub(crate) fn fault(&self) -> Option<String> {
        self.fault
            .with(|fault| fault.as_ref().map(|(reason, _)| reason.clone()))
    }

    /// Why it is not to be asked just now.
    #[must_use]
    pub(crate) fn resting(&self, now: Now) -> Option<Fault> {
        self.fault.with(|fault| {
            let (reason, at) = fault.as_ref()?;
            (now.since(*at) < REST_MS).then(|| Fault::new(reason.clone()))
        })
    }
}

/// What tells one store of a process from another.
#[derive(PartialEq)]
struct StoreKey {
    choice: StoreChoice,
    timeout_ms: u64,
    tls: TlsTrust,
}

/// The stores of a process. Slots that name the same one share it, and with it its connections.
#[derive(Default)]
pub(crate) struct StoreRegistry(Guarded<Vec<(StoreKey, Arc<MonitoredStore>)>>);

impl StoreRegistry {
    /// The stores that these settings name, the widest first; none for `memory`. Nothing is touched or connected yet.
    ///
    /// # Errors
    ///
    /// `Config` for a URL that is not one of a store, or a store that this build leaves out.
    pub(crate) fn open(&self, settings: &Settings) -> Result<Vec<Arc<MonitoredStore>>> {
        let choices = match &settings.store.choice {
            StoreChoice::Memory => return Ok(Vec::new()),
            StoreChoice::File(None) => {
                refuse_if_set_uid("the folder that store=file takes from the environment")?;
                vec![StoreChoice::File(None)]
            }
            choice @ StoreChoice::Redis(_) if crate::sys::is_set_uid() => vec![choice.clone()],
            // A fleet without its server is still this many machines with a file store each.
            choice @ StoreChoice::Redis(_) if cfg!(feature = "store-file") => {
                vec![choice.clone(), StoreChoice::File(None)]
            }
            choice => vec![choice.clone()],
        };
        // A store that is required has no stand-in.
        let count = if settings.store.required {
            1
        } else {
            choices.len()
        };
        let tls = &settings.transport.tls;
        choices
            .into_iter()
            .take(count)
            .map(|choice| self.monitored(choice, &settings.store, tls))
            .collect()
    }

    fn monitored(
        &self,
        choice: StoreChoice,
        how: &StoreSettings,
        tls: &TlsTrust,
    ) -> Result<Arc<MonitoredStore>> {
        let which = StoreKey {
            choice,
            timeout_ms: how.timeout_ms,
            tls: tls.clone(),
        };
        let made = MonitoredStore::new(make(&which)?);
        Ok(self.0.with(|stores| {
            if let Some((_, store)) = stores.iter().find(|(known, _)| *known == which) {
                return Arc::clone(store);
            }
            stores.push((which, Arc::clone(&made)));
            made
        }))
    }
}

fn make(which: &StoreKey) -> Result<Box<dyn Store>> {
    let timeout = Duration::from_millis(which.timeout_ms);
    match &which.choice {
        #[cfg(feature = "store-file")]
        StoreChoice::File(folder) => {
            let store = super::file::FileStore::new(folder.as_deref(), timeout);
            Ok(Box::new(super::bounded::Bounded::new(store, timeout)))
        }
        #[cfg(feature = "store-redis")]
        StoreChoice::Redis(url) => Ok(Box::new(super::redis::RedisStore::new(
            url, timeout, &which.tls,
        )?)),
        #[allow(unreachable_patterns, reason = "reached in builds without all stores")]
        other => {
            let _ = timeout;
            Err(Error::new(
                Code::Config,
                format!("this build of the library has no store {}", other.shown()),
            )
            .with_hint("Build it with the features store-file and store-redis."))
        }
    }
}
