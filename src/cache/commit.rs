//! What an event does to the entry: the one place where backoff, cool-down and rejections are counted. Pure.

use std::sync::Arc;
use std::time::Duration;

use super::decide::{Entry, LastFailure, Wait, YOUNG_MS};
use crate::clock::{self, Now};
use crate::error::{Code, Error};
use crate::token::Token;

/// First and longest backoff.
const BACKOFF_MS: i64 = 1_000;
const MAX_BACKOFF_MS: i64 = 30_000;
/// Longest `Retry-After` that is believed.
const MAX_RETRY_AFTER_MS: i64 = 3_600_000;
/// The cool-down's schedule, as multiples of its first step.
const COOL_DOWN_STEPS: [i64; 3] = [1, 10, 30];
/// Young tokens rejected in a row from which on the library gives up for a while.
const GIVE_UP_AFTER: u32 = 3;

/// Something that happened to a slot.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A new token.
    Token(Arc<Token>),
    /// A flight failed; the server refused the credentials if the code is `Unauthorized`.
    Failed(Error),
    /// The server refused the credentials, and another process was told so: what it said, milliseconds until they may be
    /// tried again, refusals in a row.
    Refused(Error, i64, u32),
    /// The current token was rejected by an API, or invalidated by the caller.
    Rejected,
    /// The caller says that everything may be tried again.
    Lifted,
}

/// What the slot's options say about waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// `bad_credentials_cooldown_s`; 0: off.
    pub(crate) cooldown_ms: i64,
}

/// Applies an event. `random(n)` is uniform in `0..n`.
pub(crate) fn commit(
    entry: &mut Entry,
    event: Event,
    pace: Pace,
    now: Now,
    random: &dyn Fn(u64) -> u64,
) {
    match event {
        Event::Token(token) => {
            if entry
                .token
                .as_ref()
                .is_some_and(|old| old.life.age_ms(now) >= YOUNG_MS)
            {
                entry.young_rejections = 0;
            }
            *entry = Entry {
                last_success: Some(token.life.sent),
                token: Some(token),
                young_rejections: entry.young_rejections,
                ..Entry::default()
            };
        }
        Event::Failed(error) => entry.failure = Some(failed(entry, error, pace, now, random)),
        Event::Refused(error, wait_ms, denials) => {
            entry.denials = entry.denials.max(denials);
            entry.failure = Some(LastFailure {
                error: error.with_retry_after(clock::duration(wait_ms)),
                wait: Wait::CoolDown,
                at: now,
                wait_ms,
            });
        }
        Event::Rejected => rejected(entry, now, random),
        Event::Lifted => {
            *entry = Entry {
                denials: entry.denials,
                failures: entry.failures,
                ..Entry::default()
            };
        }
    }
}

/// How long nothing is sent after this refusal, the next after this many in a row, and how many those are now. One that may not
/// be about the credentials does not count.
#[must_use]
pub(crate) fn cool_down(error: &Error, denials: u32, pace: Pace) -> (i64, u32) {
    if error.has_two_causes() {
        (cool_down_ms(0, pace), denials)
    } else {
        (cool_down_ms(denials, pace), denials.saturating_add(1))
    }
}

/// How long refused credentials are left alone after this many refusals in a row before this one.
#[must_use]
fn cool_down_ms(denials: u32, pace: Pace) -> i64 {
    let step = usize::try_from(denials).unwrap_or(usize::MAX);
    let step = COOL_DOWN_STEPS[step.min(COOL_DOWN_STEPS.len() - 1)];
    pace.cooldown_ms.saturating_mul(step)
}

fn failed(
    entry: &mut Entry,
    error: Error,
    pace: Pace,
    now: Now,
    random: &dyn Fn(u64) -> u64,
) -> LastFailure {
    let (wait, wait_ms, error) = if error.code() == Code::Unauthorized && pace.cooldown_ms > 0 {
        let (wait_ms, denials) = cool_down(&error, entry.denials, pace);
        entry.denials = denials;
        (Wait::CoolDown, wait_ms, error)
    } else {
        entry.failures = entry.failures.saturating_add(1);
        let wait_ms = wait_ms(&error, entry.failures, random);
        (Wait::Backoff, wait_ms, error)
    };
    LastFailure {
        error: error.with_retry_after(clock::duration(wait_ms)),
        wait,
        at: now,
        wait_ms,
    }
}

/// How long nothing is sent after an error, the last of this many failures in a row.
#[must_use]
pub(crate) fn wait_ms(error: &Error, failures: u32, random: &dyn Fn(u64) -> u64) -> i64 {
    match error.retry_after() {
        // Jitter only shrinks, and never what the server asked for.
        Some(after) if !after.is_zero() => clock::millis(after).min(MAX_RETRY_AFTER_MS),
        _ => backoff_ms(failures, random),
    }
}

/// Full jitter: uniform up to 1 s doubling to 30 s, and at least 1 ms.
fn backoff_ms(failures: u32, random: &dyn Fn(u64) -> u64) -> i64 {
    let cap = BACKOFF_MS
        .saturating_mul(1 << failures.saturating_sub(1).min(10))
        .min(MAX_BACKOFF_MS);
    i64::try_from(random(cap.unsigned_abs())).unwrap_or(0) + 1
}

fn rejected(entry: &mut Entry, now: Now, random: &dyn Fn(u64) -> u64) {
    let Some(token) = entry.token.take() else {
        return;
    };
    let young = token.life.age_ms(now) < YOUNG_MS;
    entry.young_rejections = if young {
        entry.young_rejections.saturating_add(1)
    } else {
        0
    };
    entry.emptied = true;
    if entry.young_rejections >= GIVE_UP_AFTER {
        let wait_ms = backoff_ms(entry.young_rejections - GIVE_UP_AFTER + 1, random);
        let error = Error::new(
            Code::Rejected,
            format!("the server issues tokens, but its APIs rejected the last {} while they were new", entry.young_rejections),
        )
        .with_hint(
            "Another program that logs in with the same credentials may be ending this program's middleware sessions: use a separate user \
             or consumer key for each, or share tokens (option store). If calls go through a load balancer, its nodes may not accept each \
             other's tokens: configure the same machine key on all of them, or turn on sticky sessions. If only one API rejects the token, \
             check the consumer key's API scope in SOA Admin.",
        )
        .with_retry_after(Duration::from_millis(wait_ms.unsigned_abs()));
        entry.failure = Some(LastFailure {
            error,
            wait: Wait::Backoff,
            at: now,
            wait_ms,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Life, Reply};
    use proptest::prelude::*;

    const PACE: Pace = Pace {
        cooldown_ms: 60_000,
    };

    fn at(ms: i64) -> Now {
        Now { mono: ms, wall: ms }
    }

    fn most(n: u64) -> u64 {
        n - 1
    }

    fn token(ms: i64) -> Event {
        let life = Life {
            sent: at(ms),
            lifetime_ms: 3_600_000,
        };
        Event::Token(Arc::new(Token::new(Reply::default(), life, 0, 0)))
    }

    fn fail(entry: &mut Entry, code: Code) {
        let event = Event::Failed(Error::new(code, "no"));
        commit(entry, event, PACE, at(0), &most);
    }

    fn wait(entry: &Entry) -> (Wait, i64) {
        let failure = entry.failure.as_ref().expect("a failure");
        assert_eq!(
            failure.error.retry_after(),
            Some(clock::duration(failure.wait_ms))
        );
        (failure.wait, failure.wait_ms)
    }

    #[test]
    fn refused_credentials_cool_down_for_one_then_ten_then_thirty_minutes() {
        let mut entry = Entry::default();
        for minutes in [1, 10, 30, 30] {
            fail(&mut entry, Code::Unauthorized);
            assert_eq!(wait(&entry), (Wait::CoolDown, minutes * 60_000));
        }
        commit(&mut entry, token(0), PACE, at(0), &most);
        assert!(entry.failure.is_none());
        fail(&mut entry, Code::Unauthorized);
        assert_eq!(
            wait(&entry),
            (Wait::CoolDown, 60_000),
            "a success resets the schedule"
        );
    }

    #[test]
    fn a_refusal_that_may_not_be_about_the_credentials_keeps_to_the_first_step() {
        let mut entry = Entry::default();
        let refused = |two_causes: bool| {
            let error = Error::new(Code::Unauthorized, "no");
            Event::Failed(if two_causes {
                error.with_two_causes()
            } else {
                error
            })
        };
        for (two_causes, minutes) in [
            (true, 1),
            (true, 1),
            (false, 1),
            (true, 1),
            (false, 10),
            (true, 1),
            (false, 30),
        ] {
            commit(&mut entry, refused(two_causes), PACE, at(0), &most);
            assert_eq!(wait(&entry), (Wait::CoolDown, minutes * 60_000));
        }
    }

    #[test]
    fn without_a_cool_down_refused_credentials_back_off_like_any_failure() {
        let mut entry = Entry::default();
        commit(
            &mut entry,
            Event::Failed(Error::new(Code::Unauthorized, "no")),
            Pace { cooldown_ms: 0 },
            at(0),
            &most,
        );
        assert_eq!(wait(&entry), (Wait::Backoff, 1_000));
    }

    #[test]
    fn backoff_doubles_to_thirty_seconds_and_a_success_resets_it() {
        let mut entry = Entry::default();
        for seconds in [1, 2, 4, 8, 16, 30, 30, 30] {
            fail(&mut entry, Code::Connect);
            assert_eq!(wait(&entry), (Wait::Backoff, seconds * 1_000));
        }
        commit(&mut entry, token(0), PACE, at(0), &most);
        commit(
            &mut entry,
            Event::Failed(Error::new(Code::Connect, "no")),
            PACE,
            at(0),
            &|_| 0,
        );
        assert_eq!(
            wait(&entry),
            (Wait::Backoff, 1),
            "full jitter, at least a millisecond"
        );
    }

    #[test]
    fn retry_after_is_taken_as_it_is_up_to_an_hour() {
        for (asked, taken) in [(7_000, 7_000), (7_200_000, 3_600_000)] {
            let mut entry = Entry::default();
            let error = Error::new(Code::RateLimited, "slow down")
                .with_retry_after(Duration::from_millis(asked));
            commit(&mut entry, Event::Failed(error), PACE, at(0), &|_| 0);
            assert_eq!(wait(&entry), (Wait::Backoff, taken));
        }
    }

    #[test]
    fn the_third_young_rejection_in_a_row_gives_up() {
        let mut entry = Entry::default();
        for round in 1..=5_i64 {
            commit(
                &mut entry,
                token(round * 5_000),
                PACE,
                at(round * 5_000),
                &most,
            );
            commit(
                &mut entry,
                Event::Rejected,
                PACE,
                at(round * 5_000 + 100),
                &most,
            );
            assert!(entry.token.is_none() && entry.emptied);
            match round {
                1 | 2 => assert!(entry.failure.is_none()),
                3 => assert_eq!(wait(&entry).1, 1_000),
                4 => assert_eq!(wait(&entry).1, 2_000),
                _ => assert_eq!(wait(&entry).1, 4_000),
            }
        }
        assert_eq!(entry.failure.expect("gave up").error.code(), Code::Rejected);
    }

    #[test]
    fn a_token_that_lived_a_minute_ends_the_count() {
        let mut entry = Entry::default();
        for _ in 0..2 {
            commit(&mut entry, token(0), PACE, at(0), &most);
            commit(&mut entry, Event::Rejected, PACE, at(1), &most);
        }
        commit(&mut entry, token(0), PACE, at(0), &most);
        commit(&mut entry, token(60_000), PACE, at(60_000), &most);
        commit(&mut entry, Event::Rejected, PACE, at(60_001), &most);
        assert_eq!((entry.young_rejections, entry.failure), (1, None));
    }

    #[test]
    fn a_rejection_of_nothing_changes_nothing() {
        let mut entry = Entry::default();
        commit(&mut entry, Event::Rejected, PACE, at(0), &most);
        assert!(!entry.emptied && entry.young_rejections == 0);
    }

    #[test]
    fn lifting_keeps_the_schedule_but_not_the_wait() {
        let mut entry = Entry::default();
        fail(&mut entry, Code::Unauthorized);
        commit(&mut entry, Event::Lifted, PACE, at(1), &most);
        assert!(entry.failure.is_none());
        commit(
            &mut entry,
            Event::Failed(Error::new(Code::Unauthorized, "no")),
            PACE,
            at(2),
            &most,
        );
        assert_eq!(
            wait(&entry).1,
            600_000,
            "one try was allowed; the next cool-down is the longer one"
        );
    }

    proptest! {
        #[test]
        fn backoff_stays_in_its_bounds(failures in any::<u32>(), seed in any::<u64>()) {
            let wait = backoff_ms(failures, &|n| seed % n);
            prop_assert!((1..=MAX_BACKOFF_MS).contains(&wait));
        }
    }
}
