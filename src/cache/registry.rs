//! From identity to slot: clients of one identity share one, others never do.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::hold::Hold;
use super::slot::Slot;
use crate::fork::Guarded;

/// HMAC of everything that makes an identity, under a random key of the process: equal for equal identities, and telling
/// nothing about the secret in it.
pub(crate) type SlotKey = [u8; 32];

/// Slots without an open client that are kept at most, so that a program which opens a client for each request still
/// shares its token, and one that has a million users does not fill the memory.
pub(crate) const MAX_IDLE: usize = 10_000;

#[derive(Default)]
struct Slots {
    by_key: HashMap<SlotKey, Entry>,
    /// Closed slots by the ticket of their closing, so the oldest closing first. One entry for each: a client that is opened
    /// and closed all day must not push others out.
    idle: BTreeMap<u64, SlotKey>,
    tickets: u64,
}

struct Entry {
    slot: Arc<Slot>,
    /// Its ticket among the idle; 0 while a client is open.
    ticket: u64,
}

/// All slots of a process.
#[derive(Default)]
pub(crate) struct Registry {
    slots: Guarded<Slots>,
}

impl Registry {
    /// The slot of an identity, made if there is none, with one more client open on it.
    pub(crate) fn open(
        &self,
        key: SlotKey,
        hold: &Arc<Hold>,
        make: impl FnOnce() -> Arc<Slot>,
    ) -> Arc<Slot> {
        self.slots.with(|slots| {
            slots.sweep();
            let entry = slots.by_key.entry(key).or_insert_with(|| Entry {
                slot: make(),
                ticket: 0,
            });
            slots.idle.remove(&std::mem::take(&mut entry.ticket));
            entry.slot.attach(hold);
            Arc::clone(&entry.slot)
        })
    }

    /// One client less. The last one leaves the slot idle while there is something in it worth keeping.
    pub(crate) fn close(&self, key: &SlotKey, slot: &Slot, hold: &Arc<Hold>) {
        self.slots.with(|slots| {
            if slot.detach(hold) > 0 {
                return;
            }
            let Some(entry) = slots.by_key.get_mut(key) else {
                return;
            };
            slots.idle.remove(&entry.ticket);
            if !slot.worth_keeping() {
                slots.by_key.remove(key);
                return;
            }
            slots.tickets += 1;
            entry.ticket = slots.tickets;
            slots.idle.insert(slots.tickets, *key);
            if slots.idle.len() > MAX_IDLE {
                slots.drop_oldest();
            }
        });
    }

    /// Number of slots, idle ones included.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.slots.with(|slots| slots.by_key.len())
    }

    /// In a forked child: every slot gives up what its threads held.
    #[cfg(unix)]
    pub(crate) fn after_fork(&self) {
        self.slots.with(|slots| {
            slots
                .by_key
                .values()
                .for_each(|entry| entry.slot.after_fork());
        });
    }
}

impl Slots {
    /// Lets go of what has expired, a few at a time, so that opening a client stays cheap.
    fn sweep(&mut self) {
        for _ in 0..2 {
            let Some((_, key)) = self.idle.first_key_value() else {
                return;
            };
            if self
                .by_key
                .get(key)
                .is_some_and(|entry| entry.slot.worth_keeping())
            {
                return;
            }
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, key)) = self.idle.pop_first() {
            self.by_key.remove(&key);
        }
    }
}
