//! The UI server's URL: asked for once in each generation of the token, with flights and backoff of its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::answers::replay;
use super::landing::{Job, Landing, unpanicked};
use super::{Caller, Fetch, Need, Presence, Routed, Slot, Step, Waited};
use crate::cache::classify::{Ask, Entry, Windows};
use crate::cache::commit::{Outcome, Pace, commit};
use crate::cache::flight::Flight;
use crate::clock::{Now, duration, millis};
use crate::error::{Code, Error, Result};
use crate::token::Token;

#[derive(Default)]
pub(super) struct Ui {
    /// URL and the generation of the token it was asked with.
    pub(super) url: Option<(u64, Arc<str>)>,
    pub(super) asked: Option<Now>,
    pub(super) flight: Option<Arc<Flight<Arc<str>>>>,
    pub(super) entry: Entry,
}

impl Slot {
    /// The UI server's URL for the current token, asked for once in each generation.
    ///
    /// # Errors
    ///
    /// As [`Slot::acquire`], and the router's own errors.
    pub fn ui_url(self: &Arc<Slot>, ask: &Ask, caller: &Caller<'_>) -> Result<Waited<Arc<str>>> {
        let started = self.clock.now();
        let plain = Ask {
            force: false,
            ..*ask
        };
        let token = match self.acquire(&plain, caller)? {
            Waited::Got(token) => token,
            Waited::Moved => return Ok(Waited::Moved),
        };
        let spent = duration(self.clock.now().mono.saturating_sub(started.mono));
        let caller = Caller {
            wait: caller.wait.saturating_sub(spent),
            ..*caller
        };
        let step = |fetch: Option<Arc<dyn Fetch>>| self.ui_step(ask, &caller, &token, fetch);
        self.wait_for(&caller, ask.force, step, Need::UiUrl)
    }

    fn ui_step(
        self: &Arc<Slot>,
        ask: &Ask,
        caller: &Caller<'_>,
        token: &Arc<Token>,
        fetch: Option<Arc<dyn Fetch>>,
    ) -> Step<Arc<str>> {
        let now = self.clock.now();
        let (step, job) = self.gate(|gate| {
            let ui = &gate.ui;
            let cached = ui
                .url
                .as_ref()
                // A newer one's will do: somebody's flight replaced the token since this caller got it.
                .filter(|(generation, _)| *generation >= token.generation)
                .map(|(_, url)| Arc::clone(url));
            let recent = ui
                .asked
                .is_some_and(|asked| now.since(asked) < self.options.min_refresh_interval_ms);
            match cached {
                Some(url) if !ask.force || recent => return (Step::Have(url), None),
                None if ask.cached_only => {
                    let error = Error::new(Code::NoCachedToken, "no UI server URL is cached")
                        .with_hint("Ask without P21_CACHED_ONLY.");
                    return (Step::Fail(error), None);
                }
                _ => {}
            }
            if let Some(flight) = &ui.flight {
                return (
                    Step::Wait {
                        flight: Arc::clone(flight),
                        pulse: Arc::clone(&gate.pulse),
                        fallback: None,
                        started: false,
                    },
                    None,
                );
            }
            if let Some(failure) = ui
                .entry
                .failure
                .as_ref()
                .filter(|failure| failure.left_ms(now) > 0)
            {
                return (Step::Fail(replay(failure, failure.left_ms(now), now)), None);
            }
            let Some(fetch) = fetch else {
                return (Step::NeedFetch, None);
            };
            let flight = Flight::new();
            let limit = gate.flight_limit(caller.wait);
            let job = self.ui_job(
                Arc::clone(&flight),
                fetch,
                Arc::clone(token),
                caller.windows,
                limit,
            );
            gate.ui.flight = Some(Arc::clone(&flight));
            (
                Step::Wait {
                    flight,
                    pulse: Arc::clone(&gate.pulse),
                    fallback: None,
                    started: true,
                },
                Some(job),
            )
        });
        if let Some(job) = job {
            self.launch(job);
        }
        step
    }

    /// Asks the router; a rejected token is reported, replaced and tried once more.
    fn ui_job(
        self: &Arc<Slot>,
        flight: Arc<Flight<Arc<str>>>,
        fetch: Arc<dyn Fetch>,
        token: Arc<Token>,
        windows: Windows,
        limit: Duration,
    ) -> Job {
        let slot = Arc::clone(self);
        let landing =
            Landing::new(move |result: Result<(u64, Arc<str>)>| slot.land_ui(&flight, result));
        let slot = Arc::clone(self);
        Box::new(move || {
            let count = || {
                slot.counters.ui_requests.fetch_add(1, Ordering::Relaxed);
            };
            let end = slot.clock.now().mono.saturating_add(millis(limit));
            let left = || duration(end.saturating_sub(slot.clock.now().mono));
            landing.land(unpanicked(|| {
                match fetch.ui_url(&token, left(), &count)? {
                    Routed::Url(url) => return Ok((token.generation, Arc::from(url))),
                    Routed::Rejected(_) => slot.reject(token.value()),
                };
                let how = |_| Ok(Some(Arc::clone(&fetch)));
                let caller = Caller {
                    windows,
                    wait: left(),
                    no_wait: false,
                    presence: &|| Presence::Here,
                    fetch: &how,
                };
                let Waited::Got(token) = slot.acquire(&Ask::default(), &caller)? else {
                    return Err(Error::new(
                        Code::Internal,
                        "a flight's credentials cannot change",
                    ));
                };
                match fetch.ui_url(&token, left(), &count)? {
                    Routed::Url(url) => Ok((token.generation, Arc::from(url))),
                    Routed::Rejected(error) => Err(error),
                }
            }));
        })
    }

    fn land_ui(&self, flight: &Arc<Flight<Arc<str>>>, result: Result<(u64, Arc<str>)>) {
        let now = self.clock.now();
        self.gate(|gate| {
            let told = match result {
                Ok((generation, url)) => {
                    gate.ui.entry = Entry::default();
                    gate.ui.url = Some((generation, Arc::clone(&url)));
                    gate.ui.asked = Some(now);
                    Ok(url)
                }
                Err(error) => {
                    gate.note_failure(&error, now);
                    commit(
                        &mut gate.ui.entry,
                        Outcome::Failed(error.clone()),
                        Pace { cooldown_ms: 0 },
                        now,
                        &self.random,
                    );
                    Err(gate
                        .ui
                        .entry
                        .failure
                        .as_ref()
                        .map_or(error, |failure| failure.error.clone()))
                }
            };
            gate.ui.flight = None;
            flight.finish(told);
            gate.pulse.beat();
        });
    }
}
