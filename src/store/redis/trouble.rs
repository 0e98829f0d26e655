//! What went wrong with the server, in words that lead on.

use std::time::Duration;

use redis::RedisError;

/// What is known of the connection on which something went wrong.
#[derive(Clone, Copy)]
pub(super) struct Circumstances {
    pub(super) timeout: Duration,
    pub(super) is_tls: bool,
    /// Nothing has ever been answered on it.
    pub(super) is_first: bool,
    /// It says of itself that it is a Sentinel.
    pub(super) is_sentinel: bool,
}

/// What the server says, or a part of it, and what to do about it.
const HINTS: [(&str, &str); 14] = [
    (
        "READONLY",
        "this is a replica: name the primary, or an address that follows it",
    ),
    (
        "MASTERDOWN",
        "this is a replica: name the primary, or an address that follows it",
    ),
    (
        "CROSSSLOT",
        "this is a cluster, which is not supported: name a server of its own, or one primary",
    ),
    (
        "CLUSTERDOWN",
        "this is a cluster, which is not supported: name a server of its own, or one primary",
    ),
    (
        "MOVED",
        "this is a cluster, which is not supported: name a server of its own, or one primary",
    ),
    (
        "not allowed in cluster mode",
        "this is a cluster, which is not supported: name a server of its own, or one primary",
    ),
    (
        "OOM",
        "the server is full: raise its maxmemory, or let it evict (maxmemory-policy allkeys-lru)",
    ),
    (
        "MISCONF",
        "the server cannot save to its disk and takes no writes: free the disk, or switch persistence off",
    ),
    (
        "NOAUTH",
        "the server wants a password: redis://user:password@host",
    ),
    (
        "without any password",
        "the server has no password for the default user: leave it out of the URL",
    ),
    ("WRONGPASS", "user or password in the URL are wrong"),
    (
        "NOPERM",
        "the account may not do that: docs/sharing-tokens.md has the line that it needs",
    ),
    (
        "DENIED",
        "the server runs in protected mode: set a password, or protected-mode no",
    ),
    (
        "DB index is out of range",
        "the server has no such database: name another, redis://host/0",
    ),
];

const SENTINEL: &str =
    "this is a Sentinel and no Redis server: name the primary, or an address that follows it";
const NEEDS_TLS: &str = "does this port expect TLS? then name it rediss://";
/// A server without TLS waits for the end of what it takes for a command.
const MAYBE_NO_TLS: &str = "if this port speaks no TLS, name it redis://";
const NO_TLS: &str = "this port speaks no TLS: name it redis://, or the port that does";

/// What an error means. Text of the server's is in it as it is.
pub(super) fn explain(error: &RedisError, about: Circumstances) -> String {
    let io =
        std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    if error.is_timeout() || io.is_some_and(|io| io.kind() == std::io::ErrorKind::TimedOut) {
        let text = format!("no answer within {} ms", about.timeout.as_millis());
        return if about.is_tls && about.is_first {
            format!("{text}: {MAYBE_NO_TLS}")
        } else {
            text
        };
    }
    let not_tls = io
        .and_then(|io| io.get_ref()?.downcast_ref::<rustls::Error>())
        .is_some_and(|tls| matches!(tls, rustls::Error::InvalidMessage(_)));
    // Of an error without a code of its own, the crate's text has a word of the crate's in front.
    let text = match (error.code(), error.detail()) {
        (Some("ERR"), Some(detail)) => detail.to_owned(),
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    };
    let known = HINTS.iter().find(|(part, _)| text.contains(part));
    let hint = if about.is_sentinel {
        SENTINEL
    } else if not_tls {
        NO_TLS
    } else if let Some((_, hint)) = known {
        hint
    } else if about.is_first && !about.is_tls && error.is_connection_dropped() {
        NEEDS_TLS
    } else {
        return text;
    };
    format!("{text}: {hint}")
}
