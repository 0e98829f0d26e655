//! A look into the shared store, for people: whose entries are in it, and how long they matter.

use std::sync::Arc;

use super::Client;
use crate::cache::SharedTokens;
use crate::error::{Code, Error, Result};
use crate::secret::fingerprint;
use crate::store::record::Record;
use crate::store::seal;
use crate::store::{Fault, MonitoredStore, Ticket};

/// An entry of a shared store. Without the credential that it was sealed with, only this much can be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreEntry {
    /// 8 hex digits that tell it apart from others.
    pub name: String,
    /// `token`, which may also be the note that a token was rejected; `denied`: refused credentials; or `failed`: another
    /// failure.
    pub kind: &'static str,
    /// Whole seconds for which it still matters; 0: it is over. `None`: it is no entry of this version.
    pub left_s: Option<i64>,
    /// It is sealed by what may be a weak password; whether a `store_key` is mixed in does not show.
    pub by_password: bool,
    /// What it says, when it is this client's own.
    pub own: Option<OwnEntry>,
}

/// What an entry says to a process that has its credential. No secret is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnEntry {
    /// A token: its fingerprint and whole seconds left.
    Token(String, i64),
    /// The last token was rejected or invalidated; the next call asks for a new one.
    Rejected,
    /// The server refused the credentials this many times in a row; whole seconds until the next try.
    Denied(u32, i64),
    /// The last requests failed in another way, this many in a row; whole seconds until the next try.
    Failed(u32, i64),
    /// It cannot be understood: it will be ignored and replaced.
    Unreadable,
}

impl Client {
    /// Whether the entries of this client are sealed by a password alone.
    pub(crate) fn is_sealed_by_password(&self) -> bool {
        let binding = self.0.binding();
        binding.is_ok_and(|binding| binding.sealed_with() == Some("password"))
    }

    /// Whether the shared store can be used for sharing: takes the lock and releases it. Then as
    /// [`Client::store_entries`].
    ///
    /// # Errors
    ///
    /// As [`Client::store_entries`].
    pub(crate) fn check_store(&self) -> Result<(String, Vec<StoreEntry>)> {
        let binding = self.0.binding()?;
        let (share, monitored) = shared(binding.slot.shared())?;
        let keys = share
            .keys(&*binding.fetch(&self.0.runtime))
            .map_err(|fault| unusable(&fault))?;
        let ticket = Ticket::new().map_err(|fault| unusable(&fault))?;
        let attempt = monitored.store.try_lease(keys.name(), &ticket);
        drop(attempt.map_err(|fault| unusable(&fault))?);
        self.store_entries()
    }

    /// Which shared store this client uses, and what is in it, of any identity. Asks no P21 server.
    ///
    /// # Errors
    ///
    /// `Config` for a client without a shared store; `Store` when the store cannot be used; `Closed`.
    #[doc(hidden)]
    pub fn store_entries(&self) -> Result<(String, Vec<StoreEntry>)> {
        let binding = self.0.binding()?;
        let (share, monitored) = shared(binding.slot.shared())?;
        let listed = monitored.store.list().map_err(|fault| unusable(&fault))?;
        let shown = monitored.store.shown();
        if listed.is_empty() {
            return Ok((shown, Vec::new()));
        }
        let keys = share
            .keys(&*binding.fetch(&self.0.runtime))
            .map_err(|fault| unusable(&fault))?;
        let now = self.0.runtime.clock.now();
        let entries = listed.into_iter().map(|(name, kind, sealed)| {
            let header = seal::header(&sealed.bytes);
            let by_password = header.is_some_and(seal::Header::is_stretched);
            let left_ms = header.map(|header| {
                let by_clock = header.expiry_ms.saturating_sub(now.wall);
                sealed.left_ms.unwrap_or(by_clock).max(0)
            });
            let own = (name == keys.name()).then(|| {
                let record = keys
                    .unseal(kind, &sealed.bytes)
                    .and_then(|record| Record::decode(&record, sealed.left_ms, now));
                match record {
                    Some(Record::Token(reply, life)) => OwnEntry::Token(
                        fingerprint(reply.access_token.expose().as_bytes()),
                        life.left_ms(now).max(0) / 1000,
                    ),
                    Some(Record::Rejected { .. }) => OwnEntry::Rejected,
                    Some(Record::Denied {
                        left_ms, denials, ..
                    }) => OwnEntry::Denied(denials, left_ms.max(0) / 1000),
                    Some(Record::Failed {
                        left_ms, failures, ..
                    }) => OwnEntry::Failed(failures, left_ms.max(0) / 1000),
                    None => OwnEntry::Unreadable,
                }
            });
            StoreEntry {
                name: name.chars().take(8).collect(),
                kind: kind.name(),
                left_s: left_ms.map(|ms| ms / 1000),
                by_password,
                own,
            }
        });
        Ok((shown, entries.collect()))
    }

    /// Removes every entry of the shared store, of any identity, and answers which store and how many. Processes that
    /// run keep the tokens they have.
    ///
    /// # Errors
    ///
    /// As [`Client::store_entries`].
    #[doc(hidden)]
    pub fn clear_store(&self) -> Result<(String, usize)> {
        self.clear_before(None)
    }

    /// As [`Client::clear_store`], but only entries whose time is over, and what is left of their names.
    ///
    /// # Errors
    ///
    /// As [`Client::store_entries`].
    pub fn clear_expired(&self) -> Result<(String, usize)> {
        self.clear_before(Some(self.0.runtime.clock.now().wall))
    }

    fn clear_before(&self, before: Option<i64>) -> Result<(String, usize)> {
        let binding = self.0.binding()?;
        let (_, monitored) = shared(binding.slot.shared())?;
        let count = monitored.store.clear(before);
        let count = count.map_err(|fault| unusable(&fault))?;
        Ok((monitored.store.shown(), count))
    }
}

fn shared(share: Option<&SharedTokens>) -> Result<(&SharedTokens, &Arc<MonitoredStore>)> {
    share
        .map(|share| (share, share.monitored()))
        .ok_or_else(|| {
            Error::new(Code::Config, "tokens stay in this process: store is memory")
                .with_hint("Set store to file, or to redis://host:port.")
        })
}

fn unusable(fault: &Fault) -> Error {
    Error::new(
        Code::Store,
        format!("the shared store cannot be used: {}", fault.0),
    )
}
