//! The decision: what a caller gets and whether a token request is made. A pure function of what the slot holds, what the
//! caller asks for and the time.
//!
//! Order of precedence: cool-down, then backoff, then the floor between two refreshes, then the wish. An unexpired token
//! hides failure, backoff and cool-down from everybody but a forced refresh.

use crate::clock::Now;
use crate::error::Error;
use crate::token::Life;

/// The current token, as far as the decision is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// When it was asked for and how long it lives.
    pub life: Life,
    /// Thousandths by which the refresh margin is shrunk, so that hosts do not refresh in step; 0 … 100.
    pub jitter_permille: u16,
}

/// Why nothing may be sent for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The server refused the credentials.
    CoolDown,
    /// Something else failed, or new tokens were rejected as fast as they came.
    Backoff,
}

/// The last failure, and how long it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What callers get meanwhile.
    pub error: Error,
    /// What kind of wait follows.
    pub hold: Hold,
    /// When it happened.
    pub at: Now,
    /// Milliseconds from then on without a request.
    pub wait_ms: i64,
}

impl Failure {
    /// Milliseconds until a request may be made again; 0: now.
    #[must_use]
    pub fn left_ms(&self, now: Now) -> i64 {
        self.wait_ms
            .saturating_sub(now.since(self.at).max(0))
            .max(0)
    }
}

/// What a slot knows about one identity.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// The current token.
    pub token: Option<Held>,
    /// The last failure since the last success.
    pub failure: Option<Failure>,
    /// When the last successful token request was sent.
    pub last_success: Option<Now>,
    /// The token was dropped because it was rejected, not because it expired.
    pub emptied: bool,
    /// Failures in a row that were not refused credentials.
    pub failures: u32,
    /// Refusals of the credentials in a row.
    pub denials: u32,
    /// Tokens in a row that were rejected while younger than [`YOUNG_MS`].
    pub young_rejections: u32,
}

/// What the options of one client say about its windows. Milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// `refresh_margin_s`.
    pub refresh_margin_ms: i64,
    /// `max_token_age_s`; 0: by the lifetime alone.
    pub max_token_age_ms: i64,
}

/// What one call asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// A new token, although the current one is good.
    pub force: bool,
    /// Nothing but what is cached.
    pub cached_only: bool,
    /// Milliseconds that the token must still live.
    pub min_valid_ms: i64,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The caller gets the current token; no request.
    Fresh,
    /// The caller gets the current token; one flight starts in the background.
    RefreshDue,
    /// The caller waits for a flight and falls back on the current token if it fails. A forced refresh does not fall back.
    MustRefresh,
    /// There is no token: the caller waits for a flight, which may start in so many milliseconds.
    Empty {
        /// 0: at once.
        start_in_ms: i64,
    },
    /// The caller gets the last failure; no request for so many milliseconds.
    Backoff {
        /// Until a request may be made.
        left_ms: i64,
    },
    /// The caller gets the refusal of its credentials; no request for so many milliseconds.
    Denied {
        /// Until a request may be made.
        left_ms: i64,
    },
    /// Only a cached token was wanted and there is none.
    NotCached,
}

/// A token that is rejected before this age counts towards giving up.
pub const YOUNG_MS: i64 = 60_000;
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
pub fn fresh_for_ms(held: &Held, windows: &Windows, min_valid_ms: i64, now: Now) -> i64 {
    let counted = counted_ms(&held.life, windows);
    let age = held.life.age_ms(now);
    let margin = advisory_ms(counted, windows, held.jitter_permille).max(mandatory_ms(counted));
    let by_window = counted.saturating_sub(margin).saturating_sub(age);
    let by_life = held
        .life
        .lifetime_ms
        .saturating_sub(age)
        .saturating_sub(min_valid_ms.max(0));
    by_window.min(by_life)
}

/// How soon after the last refresh the clock may ask for another.
fn clock_floor_ms(counted_ms: i64) -> i64 {
    FLOOR_MS.min(counted_ms / 2)
}

/// Decides. See the module's text for the order.
#[must_use]
pub fn classify(
    entry: &Entry,
    ask: &Ask,
    windows: &Windows,
    min_refresh_interval_ms: i64,
    now: Now,
) -> Decision {
    let token = entry.token.filter(|held| held.life.left_ms(now) > 0);
    if ask.cached_only {
        return if token.is_some() {
            Decision::Fresh
        } else {
            Decision::NotCached
        };
    }
    let wish = token.map_or(Decision::Empty { start_in_ms: 0 }, |held| {
        wish(&held, ask, windows, now)
    });
    if wish == Decision::Fresh && !ask.force {
        return Decision::Fresh;
    }
    if let Some(failure) = &entry.failure {
        let left_ms = failure.left_ms(now);
        if left_ms > 0 {
            return match failure.hold {
                _ if token.is_some() && !ask.force => Decision::Fresh,
                Hold::CoolDown => Decision::Denied { left_ms },
                Hold::Backoff => Decision::Backoff { left_ms },
            };
        }
    }
    let since = entry
        .last_success
        .map_or(i64::MAX, |last| now.since(last).max(0));
    let by_interval = min_refresh_interval_ms.saturating_sub(since).max(0);
    match token {
        None => Decision::Empty {
            start_in_ms: if entry.emptied { by_interval } else { 0 },
        },
        Some(held) => {
            let by_clock = since >= clock_floor_ms(counted_ms(&held.life, windows));
            match wish {
                _ if ask.force && by_interval == 0 => Decision::MustRefresh,
                Decision::RefreshDue | Decision::MustRefresh if by_clock => wish,
                _ => Decision::Fresh,
            }
        }
    }
}

/// What the clock and the least life alone would have, with an unexpired token.
fn wish(held: &Held, ask: &Ask, windows: &Windows, now: Now) -> Decision {
    let counted = counted_ms(&held.life, windows);
    let age = held.life.age_ms(now);
    let left = counted.saturating_sub(age);
    if left <= mandatory_ms(counted) || held.life.left_ms(now) < ask.min_valid_ms {
        Decision::MustRefresh
    } else if left <= advisory_ms(counted, windows, held.jitter_permille) {
        Decision::RefreshDue
    } else {
        Decision::Fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use proptest::prelude::*;

    const WINDOWS: Windows = Windows {
        refresh_margin_ms: 300_000,
        max_token_age_ms: 86_400_000,
    };

    fn at(ms: i64) -> Now {
        Now { mono: ms, wall: ms }
    }

    fn entry(lifetime_ms: i64) -> Entry {
        let life = Life {
            sent: at(0),
            lifetime_ms,
        };
        Entry {
            token: Some(Held {
                life,
                jitter_permille: 0,
            }),
            last_success: Some(at(0)),
            ..Entry::default()
        }
    }

    fn decide(entry: &Entry, ask: Ask, ms: i64) -> Decision {
        classify(entry, &ask, &WINDOWS, 5_000, at(ms))
    }

    #[test]
    fn windows_begin_where_they_should() {
        let entry = entry(3_600_000);
        for (ms, decision) in [
            (0, Decision::Fresh),
            (3_299_999, Decision::Fresh),
            (3_300_000, Decision::RefreshDue),
            (3_569_999, Decision::RefreshDue),
            (3_570_000, Decision::MustRefresh),
            (3_599_999, Decision::MustRefresh),
            (3_600_000, Decision::Empty { start_in_ms: 0 }),
        ] {
            assert_eq!(decide(&entry, Ask::default(), ms), decision, "{ms}");
        }
    }

    #[test]
    fn jitter_shrinks_the_margin_by_up_to_a_tenth() {
        let mut entry = entry(3_600_000);
        entry.token.as_mut().expect("a token").jitter_permille = 100;
        assert_eq!(decide(&entry, Ask::default(), 3_329_999), Decision::Fresh);
        assert_eq!(
            decide(&entry, Ask::default(), 3_330_000),
            Decision::RefreshDue
        );
    }

    #[test]
    fn precedence_is_cool_down_then_backoff_then_floor_then_wish() {
        let mut held = entry(3_600_000);
        let force = Ask {
            force: true,
            ..Ask::default()
        };
        assert_eq!(decide(&held, force, 4_999), Decision::Fresh, "floor");
        assert_eq!(decide(&held, force, 5_000), Decision::MustRefresh);
        for (hold, decision) in [
            (Hold::CoolDown, Decision::Denied { left_ms: 1_000 }),
            (Hold::Backoff, Decision::Backoff { left_ms: 1_000 }),
        ] {
            held.failure = Some(Failure {
                error: Error::new(Code::Server, "x"),
                hold,
                at: at(0),
                wait_ms: 7_000,
            });
            assert_eq!(decide(&held, force, 6_000), decision);
            assert_eq!(
                decide(&held, Ask::default(), 6_000),
                Decision::Fresh,
                "a live token hides it"
            );
            assert_eq!(
                decide(&held, force, 7_000),
                Decision::MustRefresh,
                "it has passed"
            );
        }
    }

    #[test]
    fn an_emptied_slot_waits_for_the_interval_and_an_expired_one_does_not() {
        let mut emptied = entry(3_600_000);
        (emptied.token, emptied.emptied) = (None, true);
        assert_eq!(
            decide(&emptied, Ask::default(), 2_000),
            Decision::Empty { start_in_ms: 3_000 }
        );
        assert_eq!(
            decide(&entry(1_000), Ask::default(), 1_000),
            Decision::Empty { start_in_ms: 0 }
        );
    }

    proptest! {
        #[test]
        fn the_hit_agrees_with_the_decision(
            lifetime in prop_oneof![1_i64..5_000_000, Just(i64::MAX), any::<i64>()], mono in any::<i64>(), wall in any::<i64>(),
            margin in 0_i64..10_000_000, age in 0_i64..1_000_000_000, jitter in 0_u16..=100, min_valid in 0_i64..5_000_000,
        ) {
            let held = Held { life: Life { sent: at(0), lifetime_ms: lifetime }, jitter_permille: jitter };
            let entry = Entry { token: Some(held), ..Entry::default() };
            let windows = Windows { refresh_margin_ms: margin, max_token_age_ms: age };
            let (now, ask) = (Now { mono, wall }, Ask { min_valid_ms: min_valid, ..Ask::default() });
            if fresh_for_ms(&held, &windows, min_valid, now) > 0 {
                prop_assert_eq!(classify(&entry, &ask, &windows, 5_000, now), Decision::Fresh);
            }
        }

        #[test]
        fn two_refreshes_are_never_closer_than_the_floor(
            lifetime in 1_i64..100_000_000, since in 0_i64..100_000_000, margin in 0_i64..100_000_000, min_valid in 0_i64..100_000_000,
        ) {
            prop_assume!(since < lifetime);
            let windows = Windows { refresh_margin_ms: margin, max_token_age_ms: 0 };
            let ask = Ask { min_valid_ms: min_valid, ..Ask::default() };
            let decision = classify(&entry(lifetime), &ask, &windows, 5_000, at(since));
            if since < FLOOR_MS.min(lifetime / 2) {
                prop_assert_eq!(decision, Decision::Fresh);
            }
        }

        #[test]
        fn no_state_is_without_a_decision(
            token in any::<Option<(i64, i64)>>(), failure in any::<Option<(i64, i64, bool)>>(), last in any::<Option<i64>>(),
            emptied in any::<bool>(), force in any::<bool>(), cached_only in any::<bool>(), mono in any::<i64>(), wall in any::<i64>(),
        ) {
            let entry = Entry {
                token: token.map(|(sent, lifetime_ms)| Held { life: Life { sent: at(sent), lifetime_ms }, jitter_permille: 50 }),
                failure: failure.map(|(when, wait_ms, cool)| Failure {
                    error: Error::new(Code::Server, "x"), hold: if cool { Hold::CoolDown } else { Hold::Backoff }, at: at(when), wait_ms,
                }),
                last_success: last.map(at),
                emptied,
                ..Entry::default()
            };
            let now = Now { mono, wall };
            let live = entry.token.is_some_and(|held| held.life.left_ms(now) > 0);
            match classify(&entry, &Ask { force, cached_only, min_valid_ms: 0 }, &WINDOWS, 5_000, now) {
                Decision::Fresh | Decision::RefreshDue => prop_assert!(live),
                Decision::Empty { start_in_ms } => prop_assert!(!live && (0..=5_000).contains(&start_in_ms)),
                Decision::Backoff { left_ms } | Decision::Denied { left_ms } => prop_assert!(left_ms > 0 && (force || !live)),
                Decision::MustRefresh => prop_assert!(live),
                Decision::NotCached => prop_assert!(cached_only && !live),
            }
        }
    }
}
