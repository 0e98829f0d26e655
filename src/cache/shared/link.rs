//! One identity in one store: its keys, what it reads there, and what it writes.

use std::sync::Arc;

use crate::cache::commit::{Pace, cool_down};
use crate::cache::slot::{Fetch, Fetched};
use crate::clock::{Clock, Now};
use crate::error::{Error, Result};
use crate::fork::Guarded;
use crate::log::{self, Level};
use crate::store::record::{Record, token_hash};
use crate::store::seal::{Keys, Salt};
use crate::store::{
    Attempt, Change, Edit, EntryKind, Fault, Keep, Lease, Loaded, Mark, MonitoredStore, Published,
    Sealed, Ticket,
};
use crate::token::{Life, Reply};

/// A refusal is remembered for so long after its cool-down, so that the next one in a row waits longer, also in a process
/// that was not there for the first.
const REMEMBER_DENIAL_MS: i64 = 24 * 3_600_000;

/// A token from the store.
#[derive(Clone, Debug)]
pub(crate) struct FoundToken {
    /// What the reply said that brought it.
    pub reply: Reply,
    /// Its life, counted on this process' clocks.
    pub life: Life,
    /// SHA-256 of the access token.
    pub hash: [u8; 32],
}

/// What the store says of an identity.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoreView {
    /// An unexpired token.
    pub token: Option<FoundToken>,
    /// The token with this hash is dead; when it was asked for, unless the next may follow at once.
    pub rejected: Option<([u8; 32], Option<Now>)>,
    /// The server refused the credentials: what it said, milliseconds left, refusals in a row.
    pub denied: Option<(Error, i64, u32)>,
    /// A request failed in another way: what came of it, milliseconds left, failures in a row.
    pub failed: Option<(Error, i64, u32)>,
    /// What has been said to waiters so far.
    pub(super) mark: Mark,
}

/// The keys of an identity in one store.
pub(super) struct StoreLink {
    pub(super) monitored: Arc<MonitoredStore>,
    keys: Guarded<Option<(Salt, Arc<Keys>)>>,
}

impl StoreLink {
    pub(super) fn new(monitored: Arc<MonitoredStore>) -> StoreLink {
        StoreLink {
            monitored,
            keys: Guarded::default(),
        }
    }

    pub(super) fn known(&self) -> Option<(Salt, Arc<Keys>)> {
        self.keys.with(|keys| keys.clone())
    }

    pub(super) fn failed(&self, fault: Fault, now: Now) {
        let message = fault.0.clone();
        if self.monitored.failed(fault, now) {
            log::record(Level::Warn, "store.degraded", &message);
        }
    }

    pub(super) fn drop_token(
        &self,
        keys: &Keys,
        dropped: Option<([u8; 32], Life)>,
        lifted: bool,
        clock: &dyn Clock,
    ) -> Result<(), Fault> {
        // Someone who holds the lease is about to replace the token anyway.
        let Attempt::Got(lease) = self
            .monitored
            .store
            .try_lease(keys.name(), &Ticket::new()?)?
        else {
            return Ok(());
        };
        let now = clock.now();
        let seen = read(keys, &self.monitored.store.load(keys.name())?, now);
        let token = match (seen.token, dropped) {
            (Some(found), Some((hash, _))) if found.hash == hash => Some(found),
            (Some(found), None) if lifted => Some(found),
            _ => None,
        };
        let token = token
            .map(|found| {
                let record = Record::Rejected {
                    sha256: found.hash,
                    sent: (!lifted).then_some(found.life.sent),
                };
                seal(
                    keys,
                    EntryKind::Token,
                    &record,
                    found.life.left_ms(now).max(60_000),
                    now,
                )
            })
            .transpose()?;
        let denial = seen
            .denied
            .filter(|(_, left_ms, _)| lifted && *left_ms > 0)
            .map(|(error, _, denials)| {
                let record = Record::Denied {
                    error,
                    left_ms: 0,
                    denials,
                };
                seal(keys, EntryKind::Denial, &record, REMEMBER_DENIAL_MS, now)
            })
            .transpose()?;
        let is_failed = lifted && seen.failed.is_some();
        if token.is_some() || denial.is_some() || is_failed {
            lease.publish(&Change {
                token: token.as_ref().map_or(Edit::Leave, Fresh::put),
                denial: denial.as_ref().map_or(Edit::Leave, Fresh::put),
                failure: if is_failed { Edit::Remove } else { Edit::Leave },
            })?;
        }
        Ok(())
    }

    /// The keys, made once: of the store's salt, which is made too if there is none.
    pub(super) fn derive(&self, fetch: &dyn Fetch) -> Result<Arc<Keys>, Fault> {
        match self.known() {
            Some((_, keys)) => Ok(keys),
            None => self.derive_anew(fetch),
        }
    }

    pub(super) fn derive_anew(&self, fetch: &dyn Fetch) -> Result<Arc<Keys>, Fault> {
        // A store that lost its salt gets it back from the first one, so that a fleet goes on agreeing on names.
        let mut proposed = Salt::default();
        match self.known() {
            Some((salt, _)) => proposed = salt,
            None => getrandom::fill(&mut proposed)
                .map_err(|_| Fault::new("the operating system returns no random bytes"))?,
        }
        let salt = self.monitored.store.salt(&proposed)?;
        if let Some((known, keys)) = self.known()
            && known == salt
        {
            return Ok(keys);
        }
        let keys = fetch
            .store_keys(&salt)
            .map_err(|error| Fault::new(error.message()))?;
        let keys = Arc::new(keys);
        self.keys
            .with(|known| *known = Some((salt, Arc::clone(&keys))));
        Ok(keys)
    }

    /// What the store holds now, unless that has just been read; should its salt be another one than ours, ours are not its
    /// keys any more.
    pub(super) fn read_store(
        &self,
        keys: &mut Arc<Keys>,
        looked: Option<Loaded>,
        fetch: &dyn Fetch,
        clock: &dyn Clock,
    ) -> Result<StoreView, Fault> {
        let mut loaded = looked.map_or_else(|| self.monitored.store.load(keys.name()), Ok)?;
        let known = self.known().map(|(salt, _)| salt);
        if loaded.salt.is_none() || loaded.salt != known {
            *keys = self.derive_anew(fetch)?;
            loaded = self.monitored.store.load(keys.name())?;
        }
        Ok(read(keys, &loaded, clock.now()))
    }
}

/// Understands what was loaded; what it cannot understand is not there.
pub(super) fn read(keys: &Keys, loaded: &Loaded, now: Now) -> StoreView {
    let open = |which, sealed: &Option<Sealed>| {
        let sealed = sealed.as_ref()?;
        Record::decode(&keys.unseal(which, &sealed.bytes)?, sealed.left_ms, now)
    };
    let mut seen = StoreView {
        mark: loaded.mark,
        ..StoreView::default()
    };
    match open(EntryKind::Token, &loaded.token) {
        Some(Record::Token(reply, life)) if life.left_ms(now) > 0 => {
            let hash = token_hash(reply.access_token.expose());
            seen.token = Some(FoundToken { reply, life, hash });
        }
        Some(Record::Rejected { sha256, sent }) => seen.rejected = Some((sha256, sent)),
        _ => {}
    }
    if let Some(Record::Denied {
        error,
        left_ms,
        denials,
    }) = open(EntryKind::Denial, &loaded.denial)
    {
        seen.denied = Some((error, left_ms, denials));
    }
    if let Some(Record::Failed {
        error,
        left_ms,
        failures,
    }) = open(EntryKind::Failure, &loaded.failure)
    {
        seen.failed = Some((error, left_ms, failures));
    }
    seen
}

/// A sealed entry that is about to be written.
pub(super) struct Fresh {
    bytes: Vec<u8>,
    keep_ms: i64,
}

impl Fresh {
    pub(super) fn put(&self) -> Edit<'_> {
        Edit::Put(Keep {
            bytes: &self.bytes,
            keep_ms: self.keep_ms,
        })
    }
}

/// Seals a record that matters for so long.
pub(super) fn seal(
    keys: &Keys,
    which: EntryKind,
    record: &Record,
    keep_ms: i64,
    now: Now,
) -> Result<Fresh, Fault> {
    let bytes = keys
        .seal(
            which,
            now.wall.saturating_add(keep_ms),
            &record.encode(now, keep_ms),
        )
        .map_err(|error| Fault::new(error.message()))?;
    Ok(Fresh { bytes, keep_ms })
}

/// Publishes a refusal, this many in a row coming before it.
pub(super) fn refuse(
    keys: &Keys,
    lease: &dyn Lease,
    error: &Error,
    denials: u32,
    pace: Pace,
    now: Now,
) -> Result<Published, Fault> {
    let (left_ms, denials) = cool_down(error, denials, pace);
    let record = Record::Denied {
        error: error.clone(),
        left_ms,
        denials,
    };
    let keep = left_ms.saturating_add(REMEMBER_DENIAL_MS);
    let sealed = seal(keys, EntryKind::Denial, &record, keep, now)?;
    lease.publish(&Change {
        denial: sealed.put(),
        failure: Edit::Remove,
        ..Change::default()
    })
}

/// Publishes a token; earlier failures are over.
pub(super) fn publish_token(
    keys: &Keys,
    lease: &dyn Lease,
    fetched: &Fetched,
    now: Now,
) -> Result<Published, Fault> {
    let record = Record::Token(fetched.reply.clone(), fetched.life);
    let sealed = seal(
        keys,
        EntryKind::Token,
        &record,
        fetched.life.left_ms(now),
        now,
    )?;
    lease.publish(&Change {
        token: sealed.put(),
        denial: Edit::Remove,
        failure: Edit::Remove,
    })
}

/// Publishes that a request failed, this many times in a row, and that there is to be no other for so long.
pub(super) fn publish_failure(
    keys: &Keys,
    lease: &dyn Lease,
    error: &Error,
    left_ms: i64,
    failures: u32,
    now: Now,
) -> Result<Published, Fault> {
    let record = Record::Failed {
        error: error.clone(),
        left_ms,
        failures,
    };
    let sealed = seal(keys, EntryKind::Failure, &record, left_ms, now)?;
    lease.publish(&Change {
        failure: sealed.put(),
        ..Change::default()
    })
}
