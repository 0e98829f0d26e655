//! The UI server's URL: asked for once in each generation of the token, with flights and backoff of its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::acquire::Deadline;
use super::completion::{CompletionGuard, Job, unpanicked};
use super::{Caller, Fetch, Gate, Need, Presence, Routed, Slot, Waited};
use crate::cache::answers::{closed, not_cached, pending, replay, timed_out};
use crate::cache::commit::{Event, Pace, commit};
use crate::cache::decide::{Entry, Windows, Wish};
use crate::cache::flight::{Ending, Flight, Share};
use crate::clock::{Now, millis};
use crate::error::{Error, Result};

#[derive(Default)]
pub(super) struct Ui {
    /// URL and the generation of the token it was asked with.
    pub(super) url: Option<(u64, Arc<str>)>,
    pub(super) asked: Option<Now>,
    pub(super) flight: Option<Arc<Flight>>,
    pub(super) entry: Entry,
}

/// All there is to do for a call that wants the URL.
enum Decision {
    Serve(Arc<str>),
    /// First it needs a token.
    NeedToken,
    Join(Arc<Flight>),
    Start,
    Moved,
    Fail(Error),
}

/// One call at the moment of a decision.
struct Call<'a> {
    wish: Wish,
    no_wait: bool,
    presence: Presence,
    left_ms: i64,
    awaited: Option<&'a Arc<Flight>>,
}

/// Decides, with the generation of the current token if that is valid. Only a URL that it was asked with will do.
fn decide(
    ui: &Ui,
    generation: Option<u64>,
    call: &Call<'_>,
    min_refresh_interval_ms: i64,
    now: Now,
) -> Decision {
    match call.presence {
        Presence::Here => {}
        Presence::Moved => return Decision::Moved,
        Presence::Closed => return Decision::Fail(closed()),
    }
    let mut force = call.wish.force;
    match call.awaited.map(|flight| (flight, flight.ending())) {
        None => {}
        Some((flight, None)) => return join(flight, call),
        Some((_, Some(Ending::Moved))) => return Decision::Moved,
        Some((_, Some(Ending::Failed(error)))) => return Decision::Fail(error.clone()),
        Some((_, Some(Ending::Landed))) => force = false,
    }
    let Some(generation) = generation else {
        return Decision::NeedToken;
    };
    let recent = ui
        .asked
        .is_some_and(|asked| now.since(asked) < min_refresh_interval_ms);
    match ui.url.as_ref().filter(|(with, _)| *with == generation) {
        Some((_, url)) if !force || recent => return Decision::Serve(Arc::clone(url)),
        None if call.wish.cached_only => return Decision::Fail(not_cached("no UI server URL")),
        _ => {}
    }
    if let Some(flight) = &ui.flight {
        join(flight, call)
    } else if let Some((failure, left_ms)) = ui.entry.held_back(now) {
        Decision::Fail(replay(failure, left_ms, now))
    } else if call.left_ms <= 0 && call.awaited.is_some() {
        Decision::Fail(timed_out(Need::UiUrl))
    } else {
        Decision::Start
    }
}

fn join(flight: &Arc<Flight>, call: &Call<'_>) -> Decision {
    if call.no_wait {
        Decision::Fail(pending())
    } else if call.left_ms <= 0 {
        Decision::Fail(timed_out(Need::UiUrl))
    } else {
        Decision::Join(Arc::clone(flight))
    }
}

impl Slot {
    /// The UI server's URL for the current token, asked for once in each generation.
    ///
    /// # Errors
    ///
    /// As [`Slot::acquire`], and the router's own errors.
    pub(crate) fn ui_url(
        self: &Arc<Slot>,
        wish: Wish,
        caller: &Caller<'_>,
    ) -> Result<Waited<Arc<str>>> {
        let clock = self.clock();
        let deadline = Deadline::after(caller.wait, clock);
        let counter = &self.counters.shared_waits;
        let mut awaited: Option<Share<'_>> = None;
        let mut need_token = true;
        loop {
            if need_token {
                let wish = Wish {
                    force: false,
                    ..wish
                };
                let caller = Caller {
                    wait: deadline.left(clock),
                    ..*caller
                };
                match self.acquire(wish, &caller)? {
                    Waited::Got(_) => need_token = false,
                    Waited::Moved => return Ok(Waited::Moved),
                }
            }
            let (decision, started, ticket) = self.gate(|gate| {
                let now = clock.now();
                let call = Call {
                    wish,
                    no_wait: caller.no_wait,
                    presence: (caller.presence)(),
                    left_ms: deadline.left_ms(clock),
                    awaited: awaited.as_ref().map(|share| &share.flight),
                };
                let generation = gate.entry.live(now).map(|token| token.generation);
                let interval = self.options.min_refresh_interval_ms;
                let decision = decide(&gate.ui, generation, &call, interval, now);
                let started = matches!(decision, Decision::Start)
                    .then(|| self.start_ui_flight(gate, caller, deadline.left(clock)));
                (decision, started, gate.ticket())
            });
            let started = started.map(|(flight, job)| {
                self.launch(job);
                flight
            });
            match decision {
                Decision::Serve(url) => return Ok(Waited::Got(url)),
                Decision::NeedToken => need_token = true,
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
                Decision::Moved => return Ok(Waited::Moved),
                Decision::Fail(error) => return Err(error),
            }
        }
    }

    fn start_ui_flight(
        self: &Arc<Slot>,
        gate: &mut Gate,
        caller: &Caller<'_>,
        wait: Duration,
    ) -> (Arc<Flight>, Job) {
        let limit = gate.flight_limit(wait);
        let flight = Flight::new(self.clock.now().plus(millis(limit)));
        gate.ui.flight = Some(Arc::clone(&flight));
        let ended = Arc::clone(&flight);
        let slot = Arc::clone(self);
        let guard = CompletionGuard::new(move |result| slot.land_ui(&ended, result));
        let slot = Arc::clone(self);
        let (fetch, windows) = ((caller.fetch)(), caller.windows);
        let job = Box::new(move || {
            guard.complete(unpanicked(|| slot.ask_router(&fetch, windows, limit)));
        });
        (flight, job)
    }

    /// Asks the router with a valid token; one that it rejects is reported, replaced and tried once more. `None`: the client
    /// that started the flight has moved.
    fn ask_router(
        self: &Arc<Slot>,
        fetch: &Arc<dyn Fetch>,
        windows: Windows,
        limit: Duration,
    ) -> Result<Option<(u64, Arc<str>)>> {
        let clock = self.clock();
        let deadline = Deadline::after(limit, clock);
        let count = || {
            self.counters.ui_requests.fetch_add(1, Ordering::Relaxed);
        };
        let mut again = false;
        loop {
            let caller = Caller {
                windows,
                hold: None,
                wait: deadline.left(clock),
                no_wait: false,
                presence: &|| Presence::Here,
                fetch: &|| Arc::clone(fetch),
            };
            let token = match self.acquire(Wish::default(), &caller)? {
                Waited::Got(token) => token,
                Waited::Moved => return Ok(None),
            };
            match fetch.ui_url(&token, deadline.left(clock), &count)? {
                Routed::Url(url) => return Ok(Some((token.generation, Arc::from(url)))),
                Routed::Rejected(error) if again => return Err(error),
                Routed::Rejected(_) => self.reject(token.value()),
            };
            again = true;
        }
    }

    fn land_ui(&self, flight: &Arc<Flight>, result: Result<Option<(u64, Arc<str>)>>) {
        self.gate(|gate| {
            let now = self.clock.now();
            let ending = match result {
                Ok(Some((generation, url))) => {
                    gate.ui.entry = Entry::default();
                    gate.ui.url = Some((generation, url));
                    gate.ui.asked = Some(now);
                    Ending::Landed
                }
                Ok(None) => Ending::Moved,
                Err(error) => {
                    gate.note_failure(&error, now);
                    let pace = Pace { cooldown_ms: 0 };
                    let event = Event::Failed(error.clone());
                    commit(&mut gate.ui.entry, event, pace, now, &self.random);
                    let failure = gate.ui.entry.failure.as_ref();
                    Ending::Failed(failure.map_or(error, |failure| failure.error.clone()))
                }
            };
            gate.ui.flight = None;
            flight.end(ending);
            gate.pulse.beat();
        });
    }
}
