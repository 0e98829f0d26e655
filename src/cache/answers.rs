//! What callers are told when there is no token for them.

use super::decide::LastFailure;
use super::slot::Need;
use crate::clock::{Now, duration};
use crate::error::{Code, Error};
use crate::sources::late_hint;
use crate::token::Life;

/// The last moment that an HTTP date can tell, in Unix milliseconds: the end of the year 9998.
const LAST_DATE_MS: i64 = 253_370_764_799_000;

/// The failure again, with the time that is left.
pub(super) fn replay(failure: &LastFailure, left_ms: i64, now: Now) -> Error {
    let at = now.wall.saturating_add(left_ms).min(LAST_DATE_MS);
    let at = std::time::UNIX_EPOCH + duration(at);
    failure
        .error
        .clone()
        .with_note(&format!(
            "next try in {} s, at {}",
            (left_ms.saturating_add(999)) / 1000,
            httpdate::fmt_http_date(at)
        ))
        .with_retry_after(duration(left_ms))
}

pub(super) fn closed() -> Error {
    Error::new(
        Code::Closed,
        "the client was freed while this call was using it",
    )
}

pub(super) fn pending() -> Error {
    Error::new(Code::Pending, "the token is being fetched")
        .with_hint("Call again in a moment, or without P21_NO_WAIT to wait for it.")
}

/// `what` is what would have been needed.
pub(super) fn not_cached(what: &str) -> Error {
    Error::new(Code::NoCachedToken, format!("{what} is cached"))
        .with_hint("Call without P21_CACHED_ONLY to fetch one.")
}

/// The token that the caller brought is dead; how to bring another is for its client to say.
pub(crate) fn own_expired() -> Error {
    Error::new(Code::TokenExpired, "the supplied access token has expired")
}

pub(super) fn timed_out(need: Need) -> Error {
    let what = match need {
        Need::Token => "the access token",
        Need::UiUrl => "the UI server's URL",
    };
    Error::new(
        Code::Timeout,
        format!("{what} did not arrive within the time allowed for this call"),
    )
    .with_hint(
        "The request continues in the background: call again, or wait longer (timeout_ms, wait_ms).",
    )
    .with_retry_after(std::time::Duration::ZERO)
}

/// The flight has not read its credentials yet; `what` names the option and the path.
pub(super) fn source_late(what: &str) -> Error {
    Error::new(
        Code::Timeout,
        format!("{what} could not be read within the time allowed for this call"),
    )
    .with_hint(late_hint(what))
    .with_retry_after(std::time::Duration::ZERO)
}

/// A token that no one can use, for one of two reasons.
pub(crate) fn dead_on_arrival(life: Life, now: Now) -> Error {
    let (what, hint) = if life.lifetime_ms > 0 {
        let (lives, took) = (life.lifetime_ms / 1000, (life.age_ms(now) + 500) / 1000);
        (
            format!(
                "the access token expired before it arrived: it lives {lives} s, and the server took {took} s to respond"
            ),
            "Raise the token lifetime of the consumer key in SOA Admin, and find out what slows down the P21 server or the proxy in front of it.",
        )
    } else {
        (
            "the server sent a token that had already expired when it arrived".to_owned(),
            "Compare the clocks of this machine and of the P21 server, and check the token lifetime of the consumer key in SOA Admin.",
        )
    };
    Error::new(Code::NoAccessToken, what)
        .with_hint(hint)
        .with_retryable(true)
}
