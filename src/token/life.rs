//! How long a token lives: pure arithmetic in i64 that saturates.

use super::{Claims, Reply};
use crate::clock::Now;

/// Lifetimes above 100 years are absurd and count as unknown. Seconds.
pub const MAX_LIFETIME_S: i64 = 36_525 * 86_400;

/// Differences between our clock and the server's below this are taken as none. Milliseconds.
const MIN_SKEW_MS: i64 = 30_000;

/// The last second of the year 9999, in Unix seconds: what date types in other languages can still hold.
const END_OF_DATES: i64 = 253_402_300_799;

/// When a token was asked for and how long it lives from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// When the try that succeeded was sent.
    pub sent: Now,
    /// Milliseconds from `sent` to the effective expiry; `i64::MAX` for a token that is valid until replaced.
    pub lifetime_ms: i64,
}

impl Life {
    /// Milliseconds since it was asked for, by the clock that counted more; never negative.
    #[must_use]
    pub fn age_ms(&self, now: Now) -> i64 {
        now.since(self.sent).max(0)
    }

    /// Milliseconds left; 0 or less: expired.
    #[must_use]
    pub fn left_ms(&self, now: Now) -> i64 {
        self.lifetime_ms.saturating_sub(self.age_ms(now))
    }

    /// Expiry in Unix seconds, by the wall clock at sending; never later than the year 9999.
    #[must_use]
    pub fn expires_at(&self) -> i64 {
        self.sent
            .wall
            .saturating_add(self.lifetime_ms)
            .div_euclid(1000)
            .min(END_OF_DATES)
    }
}

/// How far the server's clock is ahead of ours, in seconds: its `Date` minus the midpoint of the try, and 0 when they
/// differ by less than 30 s, which covers a `Date` of whole seconds and a slow network.
#[must_use]
pub fn skew_s(sent: Now, received: Now, server_date_unix: Option<i64>) -> i64 {
    let Some(date) = server_date_unix else {
        return 0;
    };
    let midpoint = sent.wall.saturating_add(received.since(sent).max(0) / 2);
    let skew_ms = date.saturating_mul(1000).saturating_sub(midpoint);
    if skew_ms.saturating_abs() < MIN_SKEW_MS {
        0
    } else {
        skew_ms / 1000
    }
}

/// The effective lifetime of a reply's token, counted from the sending of its request.
///
/// It is the earlier of the stated lifetime and the JWT's `exp`, the latter moved by [`skew_s`] onto our clock. What is
/// missing or absurd doesn't count; when nothing is known, `default_lifetime_ms` does. An `exp` that is already past on
/// arrival is a skewed clock when the reply states a lifetime, and a dead token (0 or less) when it states none.
#[must_use]
pub fn effective_life(
    reply: &Reply,
    claims: Option<&Claims>,
    sent: Now,
    received: Now,
    server_date_unix: Option<i64>,
    default_lifetime_ms: i64,
) -> Life {
    let max_ms = MAX_LIFETIME_S * 1000;
    let stated = reply
        .stated_lifetime_s
        .filter(|seconds| (1..=MAX_LIFETIME_S).contains(seconds))
        .map(|seconds| seconds * 1000);
    let by_jwt = claims
        .and_then(Claims::exp)
        .map(|exp| {
            exp.saturating_sub(skew_s(sent, received, server_date_unix))
                .saturating_mul(1000)
                .saturating_sub(sent.wall)
        })
        .filter(|ms| *ms <= max_ms);
    let lifetime_ms = match (stated, by_jwt) {
        (Some(stated), Some(jwt)) if jwt > received.since(sent).max(0) => stated.min(jwt),
        (Some(stated), _) => stated,
        (None, Some(jwt)) => jwt,
        (None, None) => default_lifetime_ms.clamp(1, max_ms),
    };
    Life { sent, lifetime_ms }
}

/// A lifetime as a reply states it, in whole seconds; `None` when it is zero, negative, not a number or above 100 years.
#[must_use]
pub fn stated_lifetime_s(text: &str) -> Option<i64> {
    whole_seconds(text).filter(|seconds| (1..=MAX_LIFETIME_S).contains(seconds))
}

/// A number of seconds, whatever way it is written; fractions are cut off, what is too large saturates.
pub(super) fn whole_seconds(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    // `inf` and `nan` are numbers to Rust only.
    let looks_numeric = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let number: f64 = looks_numeric.then(|| text.parse().ok()).flatten()?;
    // The cast saturates, which is what is wanted.
    #[allow(clippy::cast_possible_truncation)]
    Some(number as i64)
}
