//! How bytes reach the server. Only this module knows reqwest and rustls.

use std::time::Duration;

use crate::error::Result;
use crate::wire::{Request, Response};

/// Sends one request and reads the whole response. It follows no redirect and tries nothing twice.
pub trait Transport: Send + Sync {
    /// Sends `request` and reads at most `max_body` bytes of the response's body, all within `limit`, which is a total
    /// deadline: a server that drips bytes does not extend it.
    ///
    /// # Errors
    ///
    /// `Dns`, `Connect`, `Tls`, `Timeout`, `Io`, `Proxy` or `TooLarge`. Any HTTP status is a response, not an error.
    fn send(&self, request: &Request, limit: Duration, max_body: usize) -> Result<Response>;
}
