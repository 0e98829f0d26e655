//! What went wrong with the server, in words that lead on.

use std::time::Duration;

use redis::RedisError;

/// What an error means. Text of the server's is in it as it is.
pub(super) fn explain(error: &RedisError, timeout: Duration) -> String {
    let timed_out = error.is_timeout()
        || std::error::Error::source(error)
            .and_then(|source| source.downcast_ref::<std::io::Error>())
            .is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut);
    if timed_out {
        return format!("no answer within {} ms", timeout.as_millis());
    }
    error.to_string()
}
