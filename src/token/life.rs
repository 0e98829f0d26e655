//! How long a token lives: pure arithmetic in i64 that saturates.

use super::{Claims, Reply};
use crate::clock::Now;

/// Lifetimes above 100 years are absurd and count as unknown. Seconds.
pub(crate) const MAX_LIFETIME_S: i64 = 36_525 * 86_400;

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
pub(crate) fn skew_s(sent: Now, received: Now, server_date_unix: Option<i64>) -> i64 {
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
pub(crate) fn effective_life(
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
pub(crate) fn stated_lifetime_s(text: &str) -> Option<i64> {
    whole_seconds(text).filter(|seconds| (1..=MAX_LIFETIME_S).contains(seconds))
}

/// A number of seconds, no matter what way it is written; fractions are cut off, what is too large saturates.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// 2026-01-01T00:00:00Z.
    const UNIX: i64 = 1_767_225_600;
    const DEFAULT_MS: i64 = 3_000_000;

    fn at(unix_ms: i64) -> Now {
        Now {
            mono: unix_ms - UNIX * 1000 + 5_000,
            wall: unix_ms,
        }
    }

    fn claims(exp: Option<i64>) -> Option<Claims> {
        match json!({ "exp": exp }) {
            serde_json::Value::Object(map) => Some(Claims(map)),
            _ => None,
        }
    }

    /// Effective lifetime in seconds of a token asked for at `UNIX` and received two seconds later.
    fn life_s(stated: Option<i64>, exp: Option<i64>, date: Option<i64>) -> i64 {
        let reply = Reply {
            stated_lifetime_s: stated,
            ..Reply::default()
        };
        let (sent, received) = (at(UNIX * 1000), at(UNIX * 1000 + 2_000));
        let claims = exp.and_then(|exp| claims(Some(exp)));
        let life = effective_life(&reply, claims.as_ref(), sent, received, date, DEFAULT_MS);
        assert_eq!(life.sent, sent);
        assert_eq!(life.lifetime_ms % 1000, 0);
        life.lifetime_ms / 1000
    }

    #[test]
    #[allow(clippy::too_many_lines, reason = "a table")]
    fn the_earlier_of_what_is_stated_and_what_the_jwt_says() {
        let never = 630_720_000;
        let year_2038 = 2_147_483_647;
        for (stated, exp, date, seconds, why) in [
            (Some(86_400), None, None, 86_400, "not a JWT"),
            (
                Some(86_400),
                Some(UNIX + 86_400),
                None,
                86_400,
                "both agree",
            ),
            (
                Some(86_400),
                Some(UNIX + 3600),
                None,
                3600,
                "the JWT dies first",
            ),
            (
                Some(3600),
                Some(UNIX + 86_400),
                None,
                3600,
                "the response is stricter",
            ),
            (
                Some(never),
                Some(year_2038),
                None,
                year_2038 - UNIX,
                "2038 comes before 2046",
            ),
            (None, Some(UNIX + 600), None, 600, "only the JWT knows"),
            (None, None, None, 3000, "no one knows"),
            (
                Some(3600),
                Some(UNIX - 5),
                None,
                3600,
                "past though stated positive: a skewed clock",
            ),
            (
                Some(3600),
                Some(UNIX + 2),
                None,
                3600,
                "past on arrival: the same",
            ),
            (
                Some(3600),
                Some(UNIX + 3),
                None,
                3,
                "not yet past on arrival",
            ),
            (None, Some(UNIX - 5), None, -5, "dead on arrival"),
            (None, Some(UNIX), None, 0, "dead on arrival"),
            (
                Some(3600),
                Some(UNIX + 3600 + 600),
                Some(UNIX + 601),
                3600,
                "server 600 s ahead: exp is corrected",
            ),
            (
                Some(7200),
                Some(UNIX + 3600 + 600),
                Some(UNIX + 601),
                3600,
                "server 600 s ahead: exp is corrected",
            ),
            (
                None,
                Some(UNIX + 3600 - 600),
                Some(UNIX - 599),
                3600,
                "server 600 s behind",
            ),
            (
                None,
                Some(UNIX - 100),
                Some(UNIX - 599),
                500,
                "past by our clock alone",
            ),
            (
                None,
                Some(UNIX + 3600),
                Some(UNIX + 30),
                3600,
                "29 s are none",
            ),
            (
                None,
                Some(UNIX + 3600),
                Some(UNIX + 31),
                3570,
                "30 s are some",
            ),
            (Some(0), None, None, 3000, "zero is unknown"),
            (Some(-1), Some(UNIX + 600), None, 600, "negative is unknown"),
            (
                Some(MAX_LIFETIME_S),
                None,
                None,
                MAX_LIFETIME_S,
                "just not absurd",
            ),
            (
                Some(MAX_LIFETIME_S + 1),
                None,
                None,
                3000,
                "absurd is unknown",
            ),
            (None, Some(i64::MAX), None, 3000, "an absurd exp is unknown"),
            (
                Some(600),
                Some(i64::MAX),
                None,
                600,
                "an absurd exp is unknown",
            ),
            (
                Some(600),
                Some(i64::MIN),
                Some(i64::MAX),
                600,
                "nonsense saturates",
            ),
        ] {
            assert_eq!(life_s(stated, exp, date), seconds, "{why}");
        }
    }

    #[test]
    fn a_jwt_without_exp_knows_nothing() {
        let now = at(UNIX * 1000);
        let life = effective_life(&Reply::default(), claims(None).as_ref(), now, now, None, 5);
        assert_eq!(life.lifetime_ms, 5);
        let life = effective_life(&Reply::default(), None, now, now, None, -5);
        assert_eq!(life.lifetime_ms, 1, "a default is never dead");
    }

    #[test]
    fn skew_is_measured_from_the_middle_of_the_try() {
        let sent = at(UNIX * 1000);
        let received = at((UNIX + 40) * 1000);
        for (date, skew) in [
            (None, 0),
            (Some(UNIX + 20), 0),
            (Some(UNIX + 49), 0),
            (Some(UNIX + 50), 30),
            (Some(UNIX - 9), 0),
            (Some(UNIX - 10), -30),
            (Some(UNIX + 20 + 3600), 3600),
        ] {
            assert_eq!(skew_s(sent, received, date), skew, "{date:?}");
        }
        // Someone set the wall clock back by an hour while the try was under way: the monotonic clock knows its length.
        let set_back = Now {
            wall: received.wall - 3_600_000,
            ..received
        };
        assert_eq!(skew_s(sent, set_back, Some(UNIX + 20)), 0);
    }

    #[test]
    fn ages_and_expiry() {
        let life = Life {
            sent: at(UNIX * 1000),
            lifetime_ms: 3_600_000,
        };
        assert_eq!(life.expires_at(), UNIX + 3600);
        assert_eq!(life.left_ms(at(UNIX * 1000 + 1500)), 3_598_500);
        assert_eq!(life.age_ms(at(UNIX * 1000 - 1500)), 0, "never negative");
        let endless = Life {
            lifetime_ms: i64::MAX,
            ..life
        };
        assert_eq!(endless.expires_at(), END_OF_DATES);
        assert!(endless.left_ms(at(UNIX * 2000)) > MAX_LIFETIME_S * 1000);
    }

    proptest! {
        #[test]
        fn lifetimes_stay_within_bounds(
            stated in proptest::option::of(any::<i64>()),
            exp in proptest::option::of(prop_oneof![any::<i64>(), (UNIX - 100_000)..(UNIX + 100_000)]),
            date in proptest::option::of(prop_oneof![any::<i64>(), (UNIX - 100_000)..(UNIX + 100_000)]),
            sent in prop_oneof![any::<(i64, i64)>(), Just((7, UNIX * 1000))],
            took in prop_oneof![any::<(i64, i64)>(), Just((900, 900))],
            default_ms in any::<i64>(),
        ) {
            let sent = Now { mono: sent.0, wall: sent.1 };
            let received = Now { mono: sent.mono.saturating_add(took.0), wall: sent.wall.saturating_add(took.1) };
            let reply = Reply { stated_lifetime_s: stated, ..Reply::default() };
            let claims = exp.and_then(|exp| claims(Some(exp)));
            let life = effective_life(&reply, claims.as_ref(), sent, received, date, default_ms);
            let stated = stated.filter(|stated| (1..=MAX_LIFETIME_S).contains(stated));
            prop_assert!(life.lifetime_ms <= MAX_LIFETIME_S * 1000);
            if let Some(stated) = stated {
                prop_assert!(life.lifetime_ms > 0 && life.lifetime_ms <= stated * 1000);
            }
            if let Some(exp) = exp {
                let dies = exp.saturating_sub(skew_s(sent, received, date)).saturating_mul(1000).saturating_sub(sent.wall);
                let past = dies <= received.since(sent).max(0);
                let absurd = dies > MAX_LIFETIME_S * 1000;
                prop_assert!(life.lifetime_ms <= dies || (past && stated.is_some()) || absurd);
            } else {
                prop_assert!(life.lifetime_ms > 0);
            }
            let _ = (life.expires_at(), life.left_ms(received), life.age_ms(received));
        }

        #[test]
        fn numbers_never_panic(text in "\\PC{0,30}", number in any::<f64>()) {
            for text in [text, number.to_string(), format!("{number:e}")] {
                if let Some(seconds) = stated_lifetime_s(&text) {
                    prop_assert!((1..=MAX_LIFETIME_S).contains(&seconds));
                }
            }
        }
    }
}
