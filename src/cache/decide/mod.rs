//! The decision: what a caller gets and what is started for it. One pure function of what the slot holds, the flight under
//! way, what the call wants and what it has waited for, and the time. A caller that takes the gate asks it once and acts.
//!
//! Order of precedence: cool-down, then backoff, then the floor between two refreshes, then the wish. An unexpired token
//! hides failure, backoff and cool-down from every call but a forced refresh.
//!
//! A call that has waited is decided again: nothing that it saw before its wait is used after it.

use std::sync::Arc;

use super::answers::{closed, not_cached, own_expired, pending, replay, source_late, timed_out};
use super::flight::{Ending, Flight};
use super::slot::{Need, Presence};
use crate::clock::{Now, duration};
use crate::error::Error;
use crate::token::{Life, Token};

/// When a token was asked for, how long it lives, and by how much its refresh windows shrink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TokenTimes {
    /// When it was asked for and how long it lives.
    pub(crate) life: Life,
    /// Thousandths by which the refresh margin is shrunk, so that hosts do not refresh in step; 0 … 100.
    pub(crate) jitter_permille: u16,
}

impl TokenTimes {
    /// Those of a token.
    #[inline]
    #[must_use]
    pub(crate) fn of(token: &Token) -> TokenTimes {
        TokenTimes {
            life: token.life,
            jitter_permille: token.jitter_permille,
        }
    }
}

/// Why nothing may be sent for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The server refused the credentials.
    CoolDown,
    /// Something else failed, or new tokens were rejected as fast as they came.
    Backoff,
}

/// The last failure, and how long it holds requests back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LastFailure {
    /// What callers get meanwhile.
    pub(crate) error: Error,
    /// What kind of wait follows.
    pub(crate) wait: Wait,
    /// When it happened.
    pub(crate) at: Now,
    /// Milliseconds from then on without a request.
    pub(crate) wait_ms: i64,
}

impl LastFailure {
    /// Milliseconds until a request may be made again; 0: now.
    #[must_use]
    pub(crate) fn left_ms(&self, now: Now) -> i64 {
        self.wait_ms
            .saturating_sub(now.since(self.at).max(0))
            .max(0)
    }
}

/// What a slot knows about one identity.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    /// The current token, expired or not.
    pub(crate) token: Option<Arc<Token>>,
    /// The last failure since the last success.
    pub(crate) failure: Option<LastFailure>,
    /// When the last successful token request was sent.
    pub(crate) last_success: Option<Now>,
    /// The token was dropped because it was rejected, not because it expired.
    pub(crate) emptied: bool,
    /// Failures in a row that were not refused credentials.
    pub(crate) failures: u32,
    /// Refusals of the credentials in a row.
    pub(crate) denials: u32,
    /// Tokens in a row that were rejected while younger than [`YOUNG_MS`].
    pub(crate) young_rejections: u32,
}

impl Entry {
    /// The current token, if it has not expired.
    #[must_use]
    pub(crate) fn live(&self, now: Now) -> Option<&Arc<Token>> {
        self.token
            .as_ref()
            .filter(|token| token.life.left_ms(now) > 0)
    }

    /// The failure that holds requests back, and for how many milliseconds more.
    #[must_use]
    pub(crate) fn held_back(&self, now: Now) -> Option<(&LastFailure, i64)> {
        self.failure
            .as_ref()
            .map(|failure| (failure, failure.left_ms(now)))
            .filter(|(_, left_ms)| *left_ms > 0)
    }
}

/// What the options of one client say about its windows. Milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Windows {
    /// `refresh_margin_s`.
    pub(crate) refresh_margin_ms: i64,
    /// `max_token_age_s`; 0: by the lifetime alone.
    pub(crate) max_token_age_ms: i64,
}

/// What the slot's options say about requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// `min_refresh_interval_s`, in milliseconds.
    pub(crate) min_refresh_interval_ms: i64,
    /// The token is the caller's own (`auth_mode=token`): no other is ever asked for.
    pub(crate) own: bool,
}

/// What one call asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    /// A new token, although the current one is still valid.
    pub(crate) force: bool,
    /// Nothing but what is cached.
    pub(crate) cached_only: bool,
    /// Milliseconds that the token must still live.
    pub(crate) min_valid_ms: i64,
}

/// One call at the moment of a decision.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    /// What it asks for.
    pub(crate) wish: Wish,
    /// Its client's windows.
    pub(crate) windows: Windows,
    /// Whether it returns `Pending` instead of waiting.
    pub(crate) no_wait: bool,
    /// Where its client is.
    pub(crate) presence: Presence,
    /// Milliseconds that it may still wait.
    pub(crate) left_ms: i64,
    /// The flight that it started or joined.
    pub(crate) awaited: Option<&'a Arc<Flight>>,
}

/// All there is to do for a call.
#[derive(Clone, Debug)]
pub(crate) enum Decision {
    /// It gets this token.
    Serve(Arc<Token>),
    /// It gets this token, and a flight starts in the background.
    ServeAndStart(Arc<Token>),
    /// It waits for this flight, which is under way.
    Join(Arc<Flight>),
    /// A flight starts; the call then waits for it.
    Start,
    /// Nothing is under way and nothing may start for this many milliseconds: it waits.
    Wait(i64),
    /// Its client is, or may be, on another slot by now: it asks there.
    Moved,
    /// It fails with the last failure. Another process may have fared better: the shared store is looked at.
    HeldBack(Error),
    /// It fails.
    Fail(Error),
}

/// A token that is rejected before this age counts toward giving up.
pub(crate) const YOUNG_MS: i64 = 60_000;
/// Upper bound of the floor between two refreshes that the clock asks for.
const FLOOR_MS: i64 = 60_000;
/// Upper bound of the mandatory window.
const MANDATORY_MS: i64 = 30_000;

/// The lifetime that windows and floor count with.
#[inline]
fn counted_ms(life: &Life, windows: &Windows) -> i64 {
    if windows.max_token_age_ms > 0 {
        life.lifetime_ms.min(windows.max_token_age_ms)
    } else {
        life.lifetime_ms
    }
}

/// The advisory window before the end of a counted lifetime: the margin, at most a tenth of the lifetime, shrunk by the
/// token's jitter. None for a token that is valid until replaced.
#[inline]
fn advisory_ms(counted_ms: i64, windows: &Windows, jitter_permille: u16) -> i64 {
    if counted_ms == i64::MAX {
        return 0;
    }
    let margin = windows.refresh_margin_ms.min(counted_ms / 10);
    margin.saturating_sub(margin.saturating_mul(i64::from(jitter_permille)) / 1000)
}

/// The mandatory window before the end of a counted lifetime.
#[inline]
fn mandatory_ms(counted_ms: i64) -> i64 {
    if counted_ms == i64::MAX {
        0
    } else {
        MANDATORY_MS.min(counted_ms / 50)
    }
}

/// Milliseconds for which the token is fresh to a caller with these windows and this least life; 0 or less: not fresh.
/// This is the whole decision of a hit.
#[inline]
#[must_use]
pub(crate) fn fresh_for_ms(
    times: &TokenTimes,
    windows: &Windows,
    min_valid_ms: i64,
    now: Now,
) -> i64 {
    let counted = counted_ms(&times.life, windows);
    let age = times.life.age_ms(now);
    let margin = advisory_ms(counted, windows, times.jitter_permille).max(mandatory_ms(counted));
    let by_window = counted.saturating_sub(margin).saturating_sub(age);
    let by_life = times
        .life
        .lifetime_ms
        .saturating_sub(age)
        .saturating_sub(min_valid_ms.max(0));
    by_window.min(by_life)
}

/// A flight that has not ended when it should have: hits ask again after so long.
const OVERDUE_MS: i64 = 1_000;

/// Milliseconds for which each plain call with these windows is served the current token and nothing else is to be done,
/// as long as the slot does not change; 0 or less: a call must be decided. This is what a hit knows of the decision.
#[must_use]
pub(crate) fn serve_for_ms(
    entry: &Entry,
    flight: Option<&Flight>,
    windows: &Windows,
    rules: Rules,
    now: Now,
) -> i64 {
    let Some(token) = entry.live(now) else {
        return 0;
    };
    let times = TokenTimes::of(token);
    let dies = times.life.left_ms(now);
    if rules.own {
        return dies;
    }
    let counted = counted_ms(&times.life, windows);
    let left = counted.saturating_sub(times.life.age_ms(now));
    let mandatory = left.saturating_sub(mandatory_ms(counted));
    let advisory = left.saturating_sub(advisory_ms(counted, windows, times.jitter_permille));
    if advisory.min(mandatory) > 0 {
        return advisory.min(mandatory).min(dies);
    }
    // In a window: for as long as anything keeps a flight from starting.
    let held_back = entry.held_back(now).map_or(0, |(_, left_ms)| left_ms);
    let floor = entry.last_success.map_or(0, |last| {
        clock_floor_ms(counted).saturating_sub(now.since(last).max(0))
    });
    let under_way = flight.map_or(0, |flight| {
        let left = flight.limit.mono.saturating_sub(now.mono);
        let left = left.min(flight.limit.wall.saturating_sub(now.wall));
        let left = if left > 0 { left } else { OVERDUE_MS };
        left.min(mandatory)
    });
    held_back.max(floor).max(under_way).min(dies)
}

/// How soon after the last refresh the clock may ask for another.
fn clock_floor_ms(counted_ms: i64) -> i64 {
    FLOOR_MS.min(counted_ms / 2)
}

/// Decides. See the module's text for the order.
#[must_use]
pub(crate) fn decide(
    entry: &Entry,
    flight: Option<&Arc<Flight>>,
    call: &Call<'_>,
    rules: Rules,
    now: Now,
) -> Decision {
    match call.presence {
        Presence::Here => {}
        Presence::Moved => return Decision::Moved,
        Presence::Closed => return Decision::Fail(closed()),
    }
    let token = entry.live(now);
    if call.wish.cached_only {
        return live_or(token, false, || not_cached("no unexpired token"));
    }
    if rules.own {
        return live_or(token, false, own_expired);
    }
    let mut force = call.wish.force;
    if let Some(awaited) = call.awaited {
        match awaited.ending() {
            None => return join(token, force, awaited, call),
            Some(Ending::Moved) => return Decision::Moved,
            Some(Ending::Failed(error)) => return live_or(token, force, || error.clone()),
            // It brought a token, which may have expired or been dropped since: then the call wants any other.
            Some(Ending::Landed) if call.left_ms <= 0 => {
                return live_or(token, false, || timed_out(Need::Token));
            }
            Some(Ending::Landed) => match token {
                Some(token) => return Decision::Serve(Arc::clone(token)),
                None => force = false,
            },
        }
    }
    let held_back = entry.held_back(now);
    let since = entry
        .last_success
        .map_or(i64::MAX, |last| now.since(last).max(0));
    let by_interval = rules.min_refresh_interval_ms.saturating_sub(since).max(0);
    match (token, flight, held_back) {
        (None, Some(flight), _) => join(token, force, flight, call),
        (Some(_), Some(flight), _) if force => join(token, force, flight, call),
        (None, None, Some((failure, left_ms))) => Decision::HeldBack(replay(failure, left_ms, now)),
        (Some(_), None, Some((failure, left_ms))) if force => {
            Decision::HeldBack(replay(failure, left_ms, now))
        }
        (None, None, None) if entry.emptied && by_interval > 0 => wait(by_interval, call),
        (None, None, None) => Decision::Start,
        (Some(_), None, None) if force && by_interval == 0 => Decision::Start,
        (Some(token), flight, held_back) => {
            let times = TokenTimes::of(token);
            let floor = clock_floor_ms(counted_ms(&times.life, &call.windows));
            match due(&times, &call.wish, &call.windows, now) {
                Due::Now | Due::Soon if held_back.is_some() || since < floor => {
                    Decision::Serve(Arc::clone(token))
                }
                Due::Later => Decision::Serve(Arc::clone(token)),
                Due::Soon if flight.is_some() => Decision::Serve(Arc::clone(token)),
                Due::Soon => Decision::ServeAndStart(Arc::clone(token)),
                Due::Now => flight.map_or(Decision::Start, |flight| {
                    join(Some(token), force, flight, call)
                }),
            }
        }
    }
}

/// Here alone stands that an unexpired token hides a failure, and from whom.
fn live_or(token: Option<&Arc<Token>>, force: bool, error: impl FnOnce() -> Error) -> Decision {
    match token {
        Some(token) if !force => Decision::Serve(Arc::clone(token)),
        _ => Decision::Fail(error()),
    }
}

/// Waits for a flight, if the call has the time.
fn join(
    token: Option<&Arc<Token>>,
    force: bool,
    flight: &Arc<Flight>,
    call: &Call<'_>,
) -> Decision {
    if call.no_wait {
        live_or(token, force, pending)
    } else if call.left_ms <= 0 {
        live_or(token, force, || {
            flight
                .reading()
                .map_or_else(|| timed_out(Need::Token), |what| source_late(&what))
        })
    } else {
        Decision::Join(Arc::clone(flight))
    }
}

/// Waits until a flight may start, if the call has the time. There is no token.
fn wait(ms: i64, call: &Call<'_>) -> Decision {
    if call.no_wait {
        Decision::Fail(pending().with_retry_after(duration(ms)))
    } else if call.left_ms <= 0 {
        Decision::Fail(timed_out(Need::Token).with_retry_after(duration(ms)))
    } else {
        Decision::Wait(ms)
    }
}

/// When a token is to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Later,
    /// In the advisory window: in the background.
    Soon,
    /// In the mandatory window, or with less life than is asked for: the caller waits for it.
    Now,
}

/// What the clock and the least life alone would have, with an unexpired token.
fn due(times: &TokenTimes, wish: &Wish, windows: &Windows, now: Now) -> Due {
    let counted = counted_ms(&times.life, windows);
    let left = counted.saturating_sub(times.life.age_ms(now));
    if left <= mandatory_ms(counted) || times.life.left_ms(now) < wish.min_valid_ms {
        Due::Now
    } else if left <= advisory_ms(counted, windows, times.jitter_permille) {
        Due::Soon
    } else {
        Due::Later
    }
}

/// Whether a token that another process fetched is not so near its end that it would be replaced at once.
#[must_use]
pub(crate) fn worth_adopting(life: Life, windows: &Windows, now: Now) -> bool {
    let times = TokenTimes {
        life,
        jitter_permille: 0,
    };
    life.left_ms(now) > 0 && due(&times, &Wish::default(), windows, now) != Due::Now
}

#[cfg(test)]
mod tests;
