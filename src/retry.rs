//! Tries over any transport and clock.

use std::time::Duration;

use crate::clock::{Clock, Now};
use crate::error::Result;
use crate::http::Transport;
use crate::wire::{Request, Response};

/// How often to try, and how much to read.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Further tries after a transient failure.
    pub max_retries: u32,
    /// Largest body.
    pub max_body: usize,
}

/// A response, and when its request was sent.
#[derive(Debug)]
pub struct Exchange {
    /// The last response.
    pub response: Response,
    /// When the try that brought it was sent.
    pub sent: Now,
    /// When the response was complete.
    pub received: Now,
    /// Requests that went out.
    pub tries: u32,
}

/// Sends the request once; tries follow.
///
/// # Errors
///
/// The transport's.
pub fn exchange(
    transport: &dyn Transport,
    clock: &dyn Clock,
    request: &Request,
    policy: &Policy,
    limit: Duration,
    _random: &dyn Fn(u64) -> u64,
    on_try: &dyn Fn(),
) -> Result<Exchange> {
    on_try();
    let sent = clock.now();
    let response = transport.send(request, limit, policy.max_body)?;
    Ok(Exchange {
        response,
        sent,
        received: clock.now(),
        tries: 1,
    })
}
