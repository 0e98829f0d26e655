//! What a flight does next with a shared store. Pure: a thread drives it in the product, events drive it in the model and in
//! the simulation.
//!
//! The order is the guarantee. The lease is held *across* the request, so of all processes that need a token one asks the
//! server while the others wait for what it publishes; the store is read again under the lease, because its last holder may
//! have published since; and what came of the request is published before the lease is given back and before any waiter of
//! this process is released.

use crate::store::Wake;

/// A holder that is heard to take the lease is waited for as long as an unrenewed lease lasts.
const HELD_MS: i64 = 6_000;
/// A lease that was given back to a waiter who does not take it is free for all after this.
const TURN_MS: i64 = 1_000;

/// What a reading of the store means for a flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reading {
    /// It ends the flight: a token that will do, or a failure that holds for this process too.
    Settled,
    /// The next token may not be asked for yet, for this many milliseconds.
    TooSoon(i64),
    /// Someone has to ask the server.
    Nothing,
}

/// What has happened to a flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    /// It begins.
    Started,
    /// The store was read.
    Read(Reading),
    /// The lease is ours.
    Leased,
    /// Another has the lease, for this many milliseconds unless it is renewed or given back.
    Busy(i64),
    /// A wait ended.
    Woken(Wake),
    /// The lease was given back.
    Released,
    /// The server answered, in any way.
    Asked,
    /// The result is in the store.
    Published,
    /// A later lease was given out meanwhile: the result was not taken.
    Fenced,
}

/// What a flight does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// Reads the store.
    Read,
    /// Tries to get the lease.
    Acquire,
    /// Waits for the store's news, at most this many milliseconds.
    Wait(i64),
    /// Does nothing for this many milliseconds: no news would change that.
    Pause(i64),
    /// Releases the lease.
    Release,
    /// Asks the server, under the lease.
    Ask,
    /// Publishes what came.
    Publish,
    /// Ends with what was read, and releases the lease if it has it.
    EndWithRead,
    /// Ends with its own result.
    EndWithOwn,
    /// Ends without any: its time is over.
    EndLate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    Free,
    Leased,
    /// Releases the lease, to wait for that long.
    Leaving(i64),
    Asking,
    Fenced,
}

/// A flight, as far as its course depends on what has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Course {
    /// Monotonic milliseconds at which its time is over.
    end_ms: i64,
    state: State,
}

impl Course {
    /// A flight that has until then.
    #[must_use]
    pub(crate) fn new(end_ms: i64) -> Course {
        Course {
            end_ms,
            state: State::Free,
        }
    }

    /// What comes next after `event`, at `now_ms`.
    pub(crate) fn step(&mut self, event: Event, now_ms: i64) -> Action {
        let rest = self.end_ms.saturating_sub(now_ms);
        let within = |action: fn(i64) -> Action, ms: i64| {
            if rest > 0 {
                action(ms.clamp(1, rest))
            } else {
                Action::EndLate
            }
        };
        match (self.state, event) {
            (State::Free, Event::Read(Reading::Nothing)) => Action::Acquire,
            (State::Free, Event::Read(Reading::TooSoon(ms))) => within(Action::Pause, ms),
            (State::Free, Event::Busy(ms)) => within(Action::Wait, ms),
            (State::Free, Event::Woken(Wake::Held)) if rest > 0 => within(Action::Wait, HELD_MS),
            (State::Free, Event::Woken(Wake::Others)) if rest > 0 => within(Action::Wait, TURN_MS),
            (State::Free, Event::Leased) => {
                self.state = State::Leased;
                Action::Read
            }
            (State::Leased, Event::Read(Reading::Nothing)) => {
                self.state = State::Asking;
                Action::Ask
            }
            (State::Leased, Event::Read(Reading::TooSoon(ms))) => {
                self.state = State::Leaving(ms);
                Action::Release
            }
            (State::Leaving(ms), _) => {
                self.state = State::Free;
                within(Action::Pause, ms)
            }
            (_, Event::Read(Reading::Settled)) => Action::EndWithRead,
            (State::Asking, Event::Asked) => Action::Publish,
            (State::Asking, Event::Fenced) => {
                self.state = State::Fenced;
                Action::Read
            }
            (State::Asking | State::Fenced, _) => Action::EndWithOwn,
            _ => Action::Read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The actions that these events lead to, each a second after the other; the flight has ten.
    fn course(events: &[Event]) -> Vec<Action> {
        let mut course = Course::new(10_000);
        (0..)
            .zip(events)
            .map(|(second, event)| course.step(*event, second * 1_000))
            .collect()
    }

    #[test]
    fn a_flight_alone_reads_twice_and_asks_once() {
        use Reading::Nothing;
        let events = [
            Event::Started,
            Event::Read(Nothing),
            Event::Leased,
            Event::Read(Nothing),
            Event::Asked,
            Event::Published,
        ];
        let actions = [
            Action::Read,
            Action::Acquire,
            Action::Read,
            Action::Ask,
            Action::Publish,
            Action::EndWithOwn,
        ];
        assert_eq!(course(&events), actions);
    }

    #[test]
    fn waits_end_with_the_lease_and_with_the_flights_time() {
        for (at, busy_ms, wait) in [
            (0, 4_000, Action::Wait(4_000)),
            (8_000, 4_000, Action::Wait(2_000)),
            (0, 0, Action::Wait(1)),
            (10_000, 4_000, Action::EndLate),
        ] {
            let mut course = Course::new(10_000);
            assert_eq!(course.step(Event::Started, at), Action::Read);
            assert_eq!(
                course.step(Event::Read(Reading::Nothing), at),
                Action::Acquire
            );
            assert_eq!(course.step(Event::Busy(busy_ms), at), wait);
        }
    }

    #[test]
    fn who_is_woken_reads_unless_another_is_meant() {
        for (wake, action) in [
            (Wake::News, Action::Read),
            (Wake::Yours, Action::Read),
            (Wake::Nothing, Action::Read),
            (Wake::Held, Action::Wait(HELD_MS)),
            (Wake::Others, Action::Wait(TURN_MS)),
        ] {
            let mut course = Course::new(10_000);
            assert_eq!(course.step(Event::Woken(wake), 0), action, "{wake:?}");
        }
    }

    #[test]
    fn a_token_that_was_dropped_under_the_lease_is_not_replaced_too_soon() {
        let events = [
            Event::Leased,
            Event::Read(Reading::TooSoon(3_000)),
            Event::Released,
            Event::Woken(Wake::Nothing),
        ];
        let actions = [
            Action::Read,
            Action::Release,
            Action::Pause(3_000),
            Action::Read,
        ];
        assert_eq!(course(&events), actions);
    }

    #[test]
    fn who_is_fenced_off_takes_what_is_there_or_keeps_its_own() {
        for (reading, action) in [
            (Reading::Settled, Action::EndWithRead),
            (Reading::Nothing, Action::EndWithOwn),
            (Reading::TooSoon(1), Action::EndWithOwn),
        ] {
            let mut course = Course::new(10_000);
            course.step(Event::Leased, 0);
            course.step(Event::Read(Reading::Nothing), 0);
            assert_eq!(course.step(Event::Asked, 0), Action::Publish);
            assert_eq!(course.step(Event::Fenced, 0), Action::Read);
            assert_eq!(course.step(Event::Read(reading), 0), action);
        }
    }
}
