//! From identity to slot: clients of one identity share one, others never do.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::slot::Slot;
use crate::fork;

/// HMAC of everything that makes an identity, under a random key of the process: equal for equal identities, and telling
/// nothing about the secret in it.
pub type SlotKey = [u8; 32];

/// Slots without an open client that are kept at most, so that a program which opens a client for each request still
/// shares its token, and one that has a million users does not fill the memory.
pub const MAX_IDLE: usize = 10_000;

#[derive(Default)]
struct Slots {
    by_key: HashMap<SlotKey, Entry>,
    /// Closed slots, oldest closing first; an entry counts only while its ticket is the slot's.
    idle: VecDeque<(SlotKey, u64)>,
    tickets: u64,
}

struct Entry {
    slot: Arc<Slot>,
    /// Of the last closing; 0 while a client is open.
    ticket: u64,
}

/// All slots of a process.
#[derive(Default)]
pub struct Registry {
    slots: Mutex<Slots>,
}

impl Registry {
    fn with<R>(&self, work: impl FnOnce(&mut Slots) -> R) -> R {
        fork::section(|| work(&mut self.slots.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// The slot of an identity, made if there is none, with one more client open on it.
    pub fn open(
        &self,
        key: SlotKey,
        word: &'static AtomicU64,
        timeout: Duration,
        make: impl FnOnce() -> Arc<Slot>,
    ) -> Arc<Slot> {
        self.with(|slots| {
            slots.sweep();
            let entry = slots.by_key.entry(key).or_insert_with(|| Entry {
                slot: make(),
                ticket: 0,
            });
            entry.ticket = 0;
            entry.slot.attach(word, timeout);
            Arc::clone(&entry.slot)
        })
    }

    /// One client less. The last one leaves the slot idle while there is something in it worth keeping.
    pub fn close(&self, key: &SlotKey, slot: &Slot, word: &'static AtomicU64) {
        self.with(|slots| {
            if slot.detach(word) > 0 {
                return;
            }
            if !slot.worth_keeping() {
                slots.by_key.remove(key);
                return;
            }
            slots.tickets += 1;
            let ticket = slots.tickets;
            if let Some(entry) = slots.by_key.get_mut(key) {
                entry.ticket = ticket;
                slots.idle.push_back((*key, ticket));
            }
            while slots.idle.len() > MAX_IDLE {
                slots.drop_oldest();
            }
        });
    }

    /// Number of slots, idle ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.with(|slots| slots.by_key.len())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// In a forked child: every slot gives up what its threads held.
    #[cfg(unix)]
    pub(crate) fn after_fork(&self) {
        self.with(|slots| {
            slots
                .by_key
                .values()
                .for_each(|entry| entry.slot.after_fork());
        });
    }
}

impl Slots {
    /// Lets go of what has expired, a few at a time, so that opening a client stays O(1).
    fn sweep(&mut self) {
        for _ in 0..2 {
            let Some((key, ticket)) = self.idle.front() else {
                return;
            };
            match self.by_key.get(key) {
                Some(entry) if entry.ticket == *ticket && entry.slot.worth_keeping() => return,
                _ => self.drop_oldest(),
            }
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((key, ticket)) = self.idle.pop_front()
            && self
                .by_key
                .get(&key)
                .is_some_and(|entry| entry.ticket == ticket)
        {
            self.by_key.remove(&key);
        }
    }
}
