//! The thread that takes a flight through its steps on one store.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::link::{StoreLink, StoreView, publish_failure, publish_token, refuse};
use super::step::{Action, Course, Event, Reading};
use super::{FlightContext, FlightResult, Outcome, SharedTokens};
use crate::cache::answers::dead_on_arrival;
use crate::cache::commit::wait_ms;
use crate::cache::slot::Fetched;
use crate::clock::{Now, duration};
use crate::error::{Code, Error, Result};
use crate::store::seal::Keys;
use crate::store::{Attempt, Fault, Lease, Published, Ticket, Wake};

/// A failure holds the others up for no longer than this, no matter what its own process waits for.
const MAX_SHARED_MS: i64 = 30_000;

/// A flight on one store.
pub(super) struct Drive<'a> {
    shared: &'a SharedTokens,
    /// Which of its links.
    at: usize,
    context: &'a FlightContext<'a>,
    /// Monotonic milliseconds at which its time is over.
    end: i64,
    keys: Arc<Keys>,
    ticket: Ticket,
    view: StoreView,
    lease: Option<Box<dyn Lease>>,
    holder: Option<String>,
    /// What the server said to this flight.
    own: Option<Result<Outcome>>,
    has_asked: bool,
    /// Refusals and other failures in a row before this flight.
    denials: u32,
    failures: u32,
    /// Milliseconds that a test's clock jumped over; the store, which has a clock of its own, knows nothing of them.
    jumped_ms: i64,
}

impl<'a> Drive<'a> {
    pub(super) fn new(
        shared: &'a SharedTokens,
        at: usize,
        context: &'a FlightContext<'a>,
        end: i64,
    ) -> Result<Drive<'a>, Fault> {
        Ok(Drive {
            shared,
            at,
            context,
            end,
            keys: shared.links[at].derive(context.fetch)?,
            ticket: Ticket::new()?,
            view: StoreView::default(),
            lease: None,
            holder: None,
            own: None,
            has_asked: false,
            denials: context.denials,
            failures: context.failures,
            jumped_ms: 0,
        })
    }

    fn link(&self) -> &'a StoreLink {
        &self.shared.links[self.at]
    }

    /// All of it. Waits for other processes, but not beyond its end.
    pub(super) fn run(mut self) -> Result<FlightResult, Fault> {
        let (clock, store) = (self.context.clock, &self.link().monitored.store);
        let mut course = Course::new(self.end);
        let mut event = Event::Started;
        loop {
            event = match course.step(event, clock.now().mono) {
                Action::Read => Event::Read(self.read()?),
                Action::Acquire => match store.try_lease(self.keys.name(), &self.ticket)? {
                    Attempt::Got(lease) => {
                        self.lease = Some(lease);
                        Event::Leased
                    }
                    Attempt::Busy {
                        holder,
                        left_ms,
                        wakes,
                    } => {
                        (self.holder, self.ticket.wakes) = (holder, wakes);
                        Event::Busy(left_ms.unwrap_or(i64::MAX))
                    }
                },
                Action::Wait(ms) => Event::Woken(if clock.jump(duration(ms)) {
                    Wake::Nothing
                } else {
                    store.wait(self.keys.name(), &mut self.ticket, duration(ms))
                }),
                Action::Pause(ms) => {
                    if clock.jump(duration(ms)) {
                        self.jumped_ms += ms;
                    } else {
                        clock.sleep(duration(ms));
                    }
                    Event::Woken(Wake::Nothing)
                }
                Action::Release => {
                    self.lease = None;
                    Event::Released
                }
                Action::Ask => {
                    if let Some(lease) = &mut self.lease {
                        lease.keep();
                    }
                    let asked = self.context.fetch.token(self.left(), self.context.on_try);
                    self.own = Some(asked.map(Outcome::Fetched));
                    self.has_asked = true;
                    Event::Asked
                }
                Action::Publish => match self.publish() {
                    Published::Stored => Event::Published,
                    Published::Fenced => Event::Fenced,
                },
                Action::EndWithRead => return Ok(self.end_with_read()),
                Action::EndWithOwn => {
                    let own = self.own.take();
                    return Ok(self.end(own.unwrap_or_else(|| Err(lost()))));
                }
                Action::EndLate => {
                    let error = busy(self.holder.as_deref(), self.context.limit);
                    return Ok(self.end(Err(error)));
                }
            };
        }
    }

    fn left(&self) -> Duration {
        duration(self.end.saturating_sub(self.context.clock.now().mono))
    }

    fn end(self, result: Result<Outcome>) -> FlightResult {
        if self.has_asked {
            drop(self.lease);
            let now = self.context.clock.now().wall;
            self.shared.links[self.at].monitored.store.tidy(now);
        }
        FlightResult {
            result,
            denials: self.denials,
            failures: self.failures,
        }
    }

    /// Reads the store, and says what that means for the flight.
    fn read(&mut self) -> Result<Reading, Fault> {
        let (link, context) = (self.link(), self.context);
        let looked = self.ticket.looked.take();
        let view = link.read_store(&mut self.keys, looked, context.fetch, context.clock);
        let view = match view {
            Ok(view) => view,
            // What the server said is not lost with the store.
            Err(fault) if self.own.is_some() => {
                link.failed(fault, context.clock.now());
                return Ok(Reading::Nothing);
            }
            Err(fault) => return Err(fault),
        };
        link.monitored.well();
        self.ticket.mark = self.ticket.mark.max(view.mark);
        let count = |known: &Option<(Error, i64, u32)>| known.as_ref().map_or(0, |known| known.2);
        self.denials = self.denials.max(count(&view.denied));
        self.failures = self.failures.max(count(&view.failed));
        self.view = view;
        let now = context.clock.now();
        if self.adoptable(now) || (self.own.is_none() && self.held_back().is_some()) {
            return Ok(Reading::Settled);
        }
        // A token that was rejected elsewhere is replaced no sooner than one that was rejected here.
        let since = self
            .view
            .rejected
            .and_then(|(_, sent)| sent)
            .map_or(i64::MAX, |sent| now.since(sent).max(0))
            .saturating_add(self.jumped_ms);
        let hold = context.min_interval_ms.saturating_sub(since);
        Ok(if hold > 0 && !context.lifted {
            Reading::TooSoon(hold)
        } else {
            Reading::Nothing
        })
    }

    fn adoptable(&self, now: Now) -> bool {
        let found = self.view.token.as_ref();
        found.is_some_and(|found| (self.context.adoptable)(found, now))
    }

    /// The failure in the store that holds for this process too. A refusal counts more than another failure.
    fn held_back(&self) -> Option<Result<Outcome>> {
        let in_force = |known: &Option<(Error, i64, u32)>| {
            let lifted = self.context.lifted;
            known
                .clone()
                .filter(|(_, left_ms, _)| *left_ms > 0 && !lifted)
        };
        if let Some((error, left_ms, denials)) = in_force(&self.view.denied) {
            return Some(Ok(Outcome::Refused {
                error,
                left_ms,
                denials,
            }));
        }
        in_force(&self.view.failed)
            .map(|(error, left_ms, _)| Err(error.with_retry_after(duration(left_ms))))
    }

    fn end_with_read(mut self) -> FlightResult {
        let adopted = self.adoptable(self.context.clock.now());
        let result = match (adopted, self.view.token.take()) {
            (true, Some(found)) => {
                self.shared.adoptions.fetch_add(1, Ordering::Relaxed);
                Some(Ok(Outcome::Adopted(found)))
            }
            _ => self.held_back().inspect(|held_back| {
                // It is counted when it is told.
                self.failures -= u32::from(held_back.is_err());
            }),
        };
        // What was to be adopted has died this very moment.
        self.end(result.unwrap_or_else(|| Err(lost())))
    }

    /// Publishes what the server said, under the lease. A store that cannot take it costs no one the token.
    fn publish(&mut self) -> Published {
        let now = self.context.clock.now();
        let (Some(own), Some(lease)) = (self.own.take(), &self.lease) else {
            return Published::Stored;
        };
        let (keys, pace) = (&self.keys, self.context.pace);
        match own {
            Ok(Outcome::Fetched(fetched)) if fetched.life.left_ms(now) > 0 => {
                let published = publish_token(keys, &**lease, &fetched, now);
                match published {
                    Ok(published) => {
                        self.own = Some(Ok(Outcome::Fetched(fetched)));
                        return published;
                    }
                    Err(fault) => {
                        self.link().failed(fault, now);
                        self.own = Some(Ok(self.fall_back(fetched)));
                    }
                }
            }
            // To the others it is a failure like any.
            Ok(Outcome::Fetched(fetched)) => {
                self.publish_failure(dead_on_arrival(fetched.life, now), now);
                self.own = Some(Ok(Outcome::Fetched(fetched)));
            }
            Err(error) if error.code() == Code::Unauthorized => {
                if pace.cooldown_ms > 0
                    && let Err(fault) = refuse(keys, &**lease, &error, self.denials, pace, now)
                {
                    self.link().failed(fault, now);
                }
                self.own = Some(Err(error));
            }
            Err(error) => self.own = Some(Err(self.publish_failure(error, now))),
            other => self.own = Some(other),
        }
        Published::Stored
    }

    /// Publishes a failure that is not this machine's own; answers it with its wait, which is then that of all.
    fn publish_failure(&mut self, error: Error, now: Now) -> Error {
        let (Some(lease), false) = (&self.lease, is_local(error.code())) else {
            return error;
        };
        let failures = self.failures.saturating_add(1);
        let wait = wait_ms(&error, failures, &self.context.random);
        let error = error.with_retry_after(duration(wait));
        let shared = wait.min(MAX_SHARED_MS);
        if let Err(fault) = publish_failure(&self.keys, &**lease, &error, shared, failures, now) {
            self.link().failed(fault, now);
        }
        error
    }

    /// The store failed while the server was being asked: the narrower ones get the token, unless they have another by now,
    /// which those who share them already use.
    fn fall_back(&self, fetched: Fetched) -> Outcome {
        for link in &self.shared.links[self.at + 1..] {
            match self.put(link, &fetched) {
                Ok(Some(other)) => return other,
                Ok(None) => break,
                Err(fault) => link.failed(fault, self.context.clock.now()),
            }
        }
        Outcome::Fetched(fetched)
    }

    fn put(&self, link: &StoreLink, fetched: &Fetched) -> Result<Option<Outcome>, Fault> {
        let context = self.context;
        let mut keys = link.derive(context.fetch)?;
        let attempt = link.monitored.store.try_lease(keys.name(), &self.ticket)?;
        let Attempt::Got(lease) = attempt else {
            // Someone is asking the server this very moment; what comes of that will be found by the next look.
            return Ok(None);
        };
        let view = link.read_store(&mut keys, None, context.fetch, context.clock)?;
        let now = context.clock.now();
        if let Some(found) = view.token.filter(|found| (context.adoptable)(found, now)) {
            self.shared.adoptions.fetch_add(1, Ordering::Relaxed);
            return Ok(Some(Outcome::Adopted(found)));
        }
        publish_token(&keys, &*lease, fetched, now)?;
        Ok(None)
    }
}

/// Whether another machine may well fare better: such a failure is no one else's.
fn is_local(code: Code) -> bool {
    matches!(
        code,
        Code::Config
            | Code::NoMemory
            | Code::Panic
            | Code::Internal
            | Code::Store
            | Code::Closed
            | Code::Dns
            | Code::Proxy
            | Code::Tls
    )
}

fn lost() -> Error {
    Error::new(
        Code::Timeout,
        "the token that another process fetched expired before it could be used",
    )
}

fn busy(holder: Option<&str>, limit: Duration) -> Error {
    let holder = holder.unwrap_or("another process");
    Error::new(
        Code::Store,
        format!(
            "{holder} is requesting this token and has not finished within {} s",
            limit.as_secs_f32()
        ),
    )
    .with_hint("If that process hangs, end it: that releases its lock.")
}
