//! What the shared store is told of dropped tokens, in order and in the background: a report acts in the process at once
//! and never waits for a store. Until the store has been told, the tombstones keep the dead token from coming back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::acquire::Deadline;
use super::completion::Job;
use super::{Gate, Slot};
use crate::token::Life;

/// A token by its hash, and its life.
pub(super) type Dropped = ([u8; 32], Life);

/// One thing to tell.
#[derive(Clone, Copy)]
struct Telling {
    /// This token is dead.
    dropped: Option<Dropped>,
    /// The cached token is out of date, and a refusal no longer holds.
    lifted: bool,
}

/// Those that the store has not been told yet, oldest first; the first is there until it has been.
#[derive(Default)]
pub(super) struct Tellings {
    queue: VecDeque<Telling>,
    /// There is a thread that tells.
    under_way: bool,
}

impl Tellings {
    /// How many the store has not been told yet.
    pub(super) fn pending(&self) -> usize {
        self.queue.len()
    }
}

/// The one thread that tells. Another may follow when it is gone, also when it never began.
struct Teller(Arc<Slot>);

impl Teller {
    /// The one to tell now; `None`: there is none, and no thread any more.
    fn first(&self) -> Option<Telling> {
        self.0.gate(|gate| {
            let first = gate.tellings.queue.front().copied();
            gate.tellings.under_way = first.is_some();
            first
        })
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.0.gate(|gate| {
            gate.tellings.under_way = false;
            gate.pulse.beat();
        });
    }
}

impl Slot {
    /// Has the store told. Answers the job that does it, to be launched when the gate is free.
    pub(super) fn tell_store(
        self: &Arc<Slot>,
        gate: &mut Gate,
        dropped: Option<Dropped>,
        lifted: bool,
    ) -> Option<Job> {
        self.shared.as_ref()?;
        if dropped.is_none() && !lifted {
            return None;
        }
        gate.tellings.queue.push_back(Telling { dropped, lifted });
        self.start_telling(gate)
    }

    fn start_telling(self: &Arc<Slot>, gate: &mut Gate) -> Option<Job> {
        if gate.tellings.under_way || gate.tellings.queue.is_empty() {
            return None;
        }
        gate.tellings.under_way = true;
        let teller = Teller(Arc::clone(self));
        Some(Box::new(move || {
            while let Some(Telling { dropped, lifted }) = teller.first() {
                let slot = &teller.0;
                if let Some(shared) = &slot.shared {
                    shared.tell_dropped(dropped, lifted, &*slot.clock);
                }
                slot.gate(|gate| gate.tellings.queue.pop_front());
            }
        }))
    }

    /// Waits until the store has been told all, but no longer than `most`: a process may end right after a report.
    pub(crate) fn finish_telling(self: &Arc<Slot>, most: Duration) {
        let clock = self.clock();
        let deadline = Deadline::after(most, clock);
        loop {
            let (pending, job, ticket) = self.gate(|gate| {
                let job = self.start_telling(gate);
                (gate.tellings.pending(), job, gate.ticket())
            });
            if let Some(job) = job {
                self.launch(job);
            } else if pending == 0 || deadline.left_ms(clock) <= 0 {
                return;
            } else {
                ticket.wait(deadline.left(clock), clock);
            }
        }
    }
}
