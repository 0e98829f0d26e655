//! How a call gets a token: it asks for the decision under the gate, acts on it, and asks again after each wait.

use std::sync::Arc;
use std::time::Duration;

use super::remote::{HELD_BACK_POLL_MS, POLL_MS};
use super::{Caller, Gate, Slot, Waited};
use crate::cache::decide::{Call, Decision, Wish, decide};
use crate::cache::flight::{Pulse, Share};
use crate::clock::{Clock, Now, duration, millis};
use crate::error::Result;
use crate::token::Token;

/// A caller's own time.
#[derive(Clone, Copy)]
pub(super) struct Deadline(i64);

impl Deadline {
    pub(super) fn after(wait: Duration, clock: &dyn Clock) -> Deadline {
        Deadline(clock.now().mono.saturating_add(millis(wait)))
    }

    pub(super) fn left(self, clock: &dyn Clock) -> Duration {
        duration(self.left_ms(clock))
    }

    pub(super) fn left_ms(self, clock: &dyn Clock) -> i64 {
        self.0.saturating_sub(clock.now().mono)
    }
}

/// A place in the queue for news of a slot, taken under the gate: nothing that happens after that is missed.
pub(super) struct Ticket {
    pulse: Arc<Pulse>,
    seen: u64,
}

impl Ticket {
    pub(super) fn wait(&self, most: Duration, clock: &dyn Clock) {
        self.pulse.wait(self.seen, most, |most| clock.jump(most));
    }
}

impl Gate {
    pub(super) fn ticket(&self) -> Ticket {
        Ticket {
            pulse: Arc::clone(&self.pulse),
            seen: self.pulse.seen(),
        }
    }
}

impl Slot {
    fn wait_for_poll(&self, mut ticket: Ticket, deadline: Deadline) {
        let clock = self.clock();
        loop {
            ticket.wait(deadline.left(clock), clock);
            let (polling, next) = self.gate(|gate| (gate.polling, gate.ticket()));
            if !polling || deadline.left_ms(clock) <= 0 {
                return;
            }
            ticket = next;
        }
    }

    /// A call that came because its client's hit was over lets the next ones hit again.
    fn renew_hit(&self, gate: &Gate, caller: &Caller<'_>, now: Now) {
        if let Some(hold) = caller.hold
            && !hold.hit().as_ref().is_some_and(|hit| hit.is_fresh(now))
        {
            hold.publish(self.hit_for(gate, &hold.windows, now));
        }
    }

    /// A token by the rules of [`decide`]; waits within the caller's time.
    ///
    /// # Errors
    ///
    /// The flight's error or its replay; `Timeout`, `Pending`, `NoCachedToken`, `Closed`.
    pub(crate) fn acquire(
        self: &Arc<Slot>,
        wish: Wish,
        caller: &Caller<'_>,
    ) -> Result<Waited<Arc<Token>>> {
        let clock = self.clock();
        let deadline = Deadline::after(caller.wait, clock);
        let counter = &self.counters.shared_waits;
        let mut awaited: Option<Share<'_>> = None;
        let mut has_polled = false;
        loop {
            // Client and time are looked at under the gate too: what a call gets is valid when it leaves the gate, and a
            // client that goes later beats the pulse later.
            let (decision, started, job, is_polled, ticket) = self.gate(|gate| {
                let presence = (caller.presence)();
                let now = clock.now();
                let call = Call {
                    wish,
                    windows: caller.windows,
                    no_wait: caller.no_wait,
                    presence,
                    left_ms: deadline.left_ms(clock),
                    awaited: awaited.as_ref().map(|share| &share.flight),
                };
                let flight = gate.flight.as_ref();
                let decision = decide(&gate.entry, flight, &call, self.rules(), now);
                let mut started = None;
                let mut job = None;
                match &decision {
                    Decision::Start | Decision::ServeAndStart(_) => {
                        let (flight, flies) = self.start_flight(gate, wish, caller);
                        (started, job) = (Some(flight), Some(flies));
                    }
                    Decision::Serve(_) => {
                        job = self.poll_store(gate, POLL_MS, now);
                        self.renew_hit(gate, caller, now);
                    }
                    Decision::HeldBack(_) if !has_polled => {
                        job = self.poll_store(gate, HELD_BACK_POLL_MS, now);
                    }
                    _ => {}
                }
                let is_polled = gate.polling && !has_polled;
                (decision, started, job, is_polled, gate.ticket())
            });
            if let Some(job) = job {
                self.launch(job);
            }
            match decision {
                Decision::Serve(token) => return Ok(Waited::Got(token)),
                Decision::ServeAndStart(token) => {
                    // To start a thread may have taken a while.
                    if token.life.left_ms(clock.now()) > 0 {
                        return Ok(Waited::Got(token));
                    }
                }
                Decision::Start => awaited = started.map(|flight| Share::own(flight, counter)),
                Decision::Join(flight) => {
                    if !awaited
                        .as_ref()
                        .is_some_and(|awaited| Arc::ptr_eq(&awaited.flight, &flight))
                    {
                        awaited = Some(Share::join(flight, counter));
                    }
                    ticket.wait(deadline.left(clock), clock);
                }
                Decision::Wait(ms) => ticket.wait(deadline.left(clock).min(duration(ms)), clock),
                Decision::Moved => return Ok(Waited::Moved),
                // The store may have a token by now; a call that must not wait learns of it from the next call.
                Decision::HeldBack(error) => {
                    if caller.no_wait || !is_polled {
                        return Err(error);
                    }
                    has_polled = true;
                    self.wait_for_poll(ticket, deadline);
                }
                Decision::Fail(error) => return Err(error),
            }
        }
    }
}
