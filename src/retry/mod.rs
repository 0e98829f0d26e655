//! Tries over any transport and clock: when to send the same request again, and when not to.
//!
//! A *try* is a request with the redirects that it leads to. A try that failed in a way that may pass (a broken
//! connection, a transient status) is followed by another one after a pause: a random time below a ceiling that starts
//! at [`BASE`] and doubles up to [`CAP`], so that many machines which lost a server at the same moment do not come back at
//! the same moment. A server that says `Retry-After` gets at least that pause, or no further try at all.
//!
//! A request that was written may have opened a session on the server, whether or not its reply came. One that is still
//! unanswered when its time ends is not sent again; one whose connection broke is sent again once.

use std::time::Duration;

use crate::clock::{Clock, Now, duration, millis};
use crate::error::{Code, Result};
use crate::http::{Limits, Transport};
use crate::wire::{Request, Response, is_transient, redirect, retry_after};

/// Ceiling of the first pause.
pub(crate) const BASE: Duration = Duration::from_millis(250);

/// Ceiling of the longest pause.
pub(crate) const CAP: Duration = Duration::from_secs(5);

/// A further try is made only if this much time is left for it. With less it would most likely end as a timeout, and
/// that would hide the answer that the try before it got.
pub(crate) const LEAST_TRY: Duration = Duration::from_millis(500);

/// A try that ends with less than this left was ended by the limit.
const NO_TIME: Duration = Duration::from_millis(10);

/// How often to try, and how much to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// Retries after a transient failure.
    pub max_retries: u32,
    /// Largest body, in bytes.
    pub max_body: usize,
}

/// A response, and when its request was sent.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// The last response; its status may be any.
    pub response: Response,
    /// When the request that it answers was sent: that of the last try, after its redirects.
    pub sent: Now,
    /// When the response was complete.
    pub received: Now,
    /// Tries that were made, at least 1.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "only the tests of retries count")
    )]
    pub tries: u32,
}

/// Sends `request`, again if need be, all within `limit`. Look-up, connection, tunnel and TLS of one try get at most a
/// third of it, so that one dead end leaves time for others; a request that is written gets all the time that remains.
/// `on_try` is called before each try; `random(n)` is uniform below `n`. A transient status of the last try is a result,
/// for the wire to turn into an error.
///
/// # Errors
///
/// The transport's, and `Redirect` for a redirect that must not be followed.
pub(crate) fn exchange(
    transport: &dyn Transport,
    clock: &dyn Clock,
    request: &Request,
    policy: &Policy,
    limit: Duration,
    random: &dyn Fn(u64) -> u64,
    on_try: &dyn Fn(),
) -> Result<Exchange> {
    // By the monotonic clock alone: someone who sets the wall clock must not cut a request short.
    let started = clock.now().mono;
    let remaining = || {
        let spent = clock.now().mono.saturating_sub(started);
        duration(millis(limit).saturating_sub(spent))
    };
    let connect = limit / 3;
    let limits = || Limits {
        total: remaining(),
        connect,
        max_body: policy.max_body,
    };
    let mut tries = 0;
    let mut cut = 0;
    let mut before = None;
    loop {
        tries += 1;
        on_try();
        let given = remaining();
        let mut outcome = one_try(transport, clock, request, &limits);
        if outcome.is_err()
            && given < connect
            && remaining() < NO_TIME
            && let Some(before) = before.take()
        {
            // It was cut short, so the one before it says more.
            outcome = before;
        }
        let (transient, asked) = match &outcome {
            Ok(exchange) => (
                is_transient(&exchange.response),
                retry_after(&exchange.response, exchange.received.unix()),
            ),
            Err(error) => {
                cut += u32::from(error.code() == Code::Io);
                let again = error.is_retryable() && error.code() != Code::Timeout && cut <= 1;
                (again, error.retry_after())
            }
        };
        let pause = if transient && tries <= policy.max_retries {
            pause_after(tries, asked, remaining(), random)
        } else {
            None
        };
        match (pause, outcome) {
            (Some(pause), outcome) => {
                before = Some(outcome);
                clock.sleep(pause);
            }
            (None, Ok(exchange)) => return Ok(Exchange { tries, ..exchange }),
            (None, Err(error)) if tries > 1 => {
                return Err(error.with_note(&format!("after {tries} tries")));
            }
            (None, Err(error)) => return Err(error),
        }
    }
}

/// How long to wait after the `tries`th try, with `remaining` time left for waiting and trying; `None`: give up.
fn pause_after(
    tries: u32,
    asked: Option<Duration>,
    remaining: Duration,
    random: &dyn Fn(u64) -> u64,
) -> Option<Duration> {
    let doubled = BASE.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1)));
    let ceiling = u64::try_from(doubled.min(CAP).as_millis()).unwrap_or(u64::MAX - 1);
    let backoff = Duration::from_millis(random(ceiling + 1));
    let pause = backoff.max(asked.unwrap_or_default());
    (pause.saturating_add(LEAST_TRY) <= remaining).then_some(pause)
}

fn one_try(
    transport: &dyn Transport,
    clock: &dyn Clock,
    request: &Request,
    limits: &dyn Fn() -> Limits,
) -> Result<Exchange> {
    let mut elsewhere: Option<Request> = None;
    let mut hop = 0;
    loop {
        let request = elsewhere.as_ref().unwrap_or(request);
        let sent = clock.now();
        let response = transport.send(request, &limits())?;
        match redirect(request, &response, hop)? {
            Some(next) => elsewhere = Some(next),
            None => {
                return Ok(Exchange {
                    response,
                    sent,
                    received: clock.now(),
                    tries: 0,
                });
            }
        }
        hop += 1;
    }
}

#[cfg(test)]
mod tests;
