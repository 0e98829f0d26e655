//! What went wrong with the server, in words that lead on: one line, what happened before the colon and what to do behind it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use redis::{ErrorKind, RedisError};

use crate::http;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// It is not there yet: look-up and connection.
    Nothing,
    /// The TLS handshake is not over.
    Handshake,
    /// It carries commands.
    Commands,
}

/// What is known of the connection on which something went wrong.
#[derive(Clone, Copy)]
pub(super) struct Circumstances {
    pub(super) timeout: Duration,
    pub(super) reached: Reached,
    pub(super) is_tls: bool,
    /// Nothing has ever been answered on it.
    pub(super) is_first: bool,
    /// It says of itself that it is a Sentinel.
    pub(super) is_sentinel: bool,
}

const REPLICA: &str = "this is a replica: name the primary, or an address that follows it";
const CLUSTER: &str =
    "this is a cluster, which is not supported: name a standalone server, or one primary";

/// What the server says, or a part of it, and what to do about it.
const HINTS: [(&str, &str); 21] = rows! {
    "READONLY" => REPLICA;
    "MASTERDOWN" => REPLICA;
    "CROSSSLOT" => CLUSTER;
    "CLUSTERDOWN" => CLUSTER;
    "MOVED " => CLUSTER;
    "ASK " => CLUSTER;
    "TRYAGAIN" => CLUSTER;
    "not allowed in cluster mode" => CLUSTER;
    "OOM" => "the server is full: raise its maxmemory, or let it evict (maxmemory-policy allkeys-lru)";
    "MISCONF" => "the server cannot save to its disk and accepts no writes: free disk space, or turn persistence off";
    "NOREPLICAS" => "the server accepts no writes while its replicas are away: bring them back, or set min-replicas-to-write 0";
    "LOADING" => "the server is reading its data from disk: it will be used once that is done";
    "BUSY" => "another program's script keeps the server busy: SCRIPT KILL ends it";
    "max number of clients reached" => "the server accepts no more connections: raise its maxclients, or find the program that leaves them open";
    "NOAUTH" => "the server requires a password: redis://user:password@host";
    "without any password" => "the server has no password for the default user: leave it out of the URL";
    "WRONGPASS" => "user or password in the URL are wrong";
    "invalid password" => "the password in the URL is wrong";
    "DENIED" => "the server runs in protected mode: set a password, or protected-mode no";
    "DB index is out of range" => "the server has no such database: name another, redis://host/0";
    "unknown command" => "the server does not have this command: a hosted one may turn it off, and scripts (EVAL) are needed";
};

const SENTINEL: &str =
    "this is a Sentinel, not a Redis server: name the primary, or an address that follows it";
const NEEDS_TLS: &str = "does this port expect TLS? then name it rediss://";
/// A server without TLS waits for the end of what it takes for a command.
const MAYBE_NO_TLS: &str = "if this port speaks no TLS, name it redis://";
const NO_TLS: &str = "this port speaks no TLS: name it redis://, or the port that does";
const NO_REDIS: &str =
    "what listens there is not a Redis server: check host and port in the option store";
const NO_NAME: &str =
    "check the host in the option store; a name inside a company network may need its VPN or DNS";
const NO_CONNECTION: &str =
    "check host and port in the option store, and that the Redis server runs there";
const SILENCE: &str = "check host and port in the option store; a firewall may swallow the packets, or the VPN may be down";

/// What an error means.
pub(super) struct Explained {
    pub(super) text: String,
    /// Words of the server's are in it as they are.
    pub(super) is_quoted: bool,
}

pub(super) fn explain(error: &RedisError, about: Circumstances) -> Explained {
    let own = on_the_way(error, about);
    Explained {
        is_quoted: own.is_none(),
        text: own.unwrap_or_else(|| said(error, about)),
    }
}

/// What the server said, and what to do about it.
fn said(error: &RedisError, about: Circumstances) -> String {
    // Of an error without a code of its own, the crate's text has a word of the crate's in front.
    let text = match (error.code(), error.detail()) {
        (Some("ERR"), Some(detail)) => detail.to_owned(),
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    };
    // A server that does not know a command repeats all of its arguments.
    let text = match text.split_once(", with args beginning with") {
        Some((before, _)) => before.to_owned(),
        None => text,
    };
    if about.is_sentinel {
        return format!("{text}: {SENTINEL}");
    }
    if let Some(hint) = not_permitted(&text) {
        return format!("{}: {hint}", without_place(&text));
    }
    if let Some((_, hint)) = HINTS.iter().find(|(part, _)| text.contains(part)) {
        return format!("{text}: {hint}");
    }
    if error.kind() == ErrorKind::Parse && about.is_first {
        return format!("{text}: {NO_REDIS}");
    }
    if about.is_first && !about.is_tls && error.is_connection_dropped() {
        return format!("{text}: {NEEDS_TLS}");
    }
    text
}

/// Failures of network and TLS.
fn on_the_way(error: &RedisError, about: Circumstances) -> Option<String> {
    let error = std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<Arc<dyn std::error::Error + Send + Sync>>())
        .and_then(|inner| inner.downcast_ref::<io::Error>())?;
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if let Some(tls) = tls {
        if matches!(tls, rustls::Error::InvalidMessage(_)) {
            return Some(format!("{tls}: {NO_TLS}"));
        }
        let refused = http::explain_tls(tls, "the server");
        let hint = refused.hint().replace("base_url", "the option store");
        return Some(match &*hint {
            "" => refused.message().to_owned(),
            hint => format!("{}: {hint}", refused.message()),
        });
    }
    let is_late = error.kind() == io::ErrorKind::TimedOut;
    match (about.reached, error.kind()) {
        (Reached::Nothing, io::ErrorKind::NotFound) => Some(format!("{error}: {NO_NAME}")),
        (Reached::Nothing, _) if is_late && error.get_ref().is_some() => {
            Some(format!("{error}: {NO_NAME}"))
        }
        (Reached::Nothing, _) if !is_late => {
            Some(format!("no connection: {error}: {NO_CONNECTION}"))
        }
        _ if is_late => Some(silence(about)),
        (Reached::Handshake, _) => Some(format!(
            "the connection broke during the TLS handshake ({error}): {MAYBE_NO_TLS}"
        )),
        _ => None,
    }
}

fn silence(about: Circumstances) -> String {
    let text = format!("no response within {} ms", about.timeout.as_millis());
    match about.reached {
        Reached::Nothing => format!("{text}: {SILENCE}"),
        Reached::Handshake => format!("{text}: {MAYBE_NO_TLS}"),
        Reached::Commands => text,
    }
}

/// What the account lacks, where that is the trouble.
fn not_permitted(text: &str) -> Option<String> {
    const ALL: &str = "docs/sharing-tokens.md lists all that it needs";
    let refused = [
        "NOPERM",
        "ACL failure",
        "no permissions",
        "can't run this command",
        "can't access at least one of the keys",
    ];
    if !refused.iter().any(|part| text.contains(part)) {
        return None;
    }
    // "… no permissions to run the 'xadd' command", or our own "XADD: …"
    let quoted = text
        .split_once("run the '")
        .and_then(|(_, rest)| rest.split_once('\''));
    let named = text
        .split_once(": ")
        .filter(|(name, _)| name.bytes().all(|byte| byte.is_ascii_uppercase()));
    let command = quoted
        .or(named.filter(|_| !text.contains("keys")))
        .map(|(command, _)| command.to_lowercase());
    Some(match command {
        Some(command) => format!(
            "the account may not run {}: ACL SETUSER … +{command} grants it, and {ALL}",
            command.to_uppercase()
        ),
        None if text.contains("key") => {
            format!(
                "the account may not use our keys: ACL SETUSER … ~p21auth:* grants it, and {ALL}"
            )
        }
        None => format!("the account may not do that: {ALL}"),
    })
}

/// Without the place in a script that a server adds.
fn without_place(text: &str) -> &str {
    match text.rsplit_once(" script: ") {
        Some((before, place)) if place.contains(", on @") => before,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_that_is_missing_is_named() {
        for (text, names) in [
            (
                "NOPERM User p21 has no permissions to run the 'eval' command",
                "may not run EVAL: ACL SETUSER … +eval",
            ),
            (
                "NOPERM this user has no permissions to run the 'config|set' command or its subcommand",
                "may not run CONFIG|SET: ACL SETUSER … +config|set",
            ),
            (
                "ACL failure in script: User p21 has no permissions to run the 'pttl' command script: 1f, on @user_script:5.",
                "may not run PTTL",
            ),
            (
                "NOPERM No permissions to access a key",
                "ACL SETUSER … ~p21auth:*",
            ),
            (
                "PTTL: ERR The user executing the script can't run this command or subcommand",
                "may not run PTTL: ACL SETUSER … +pttl",
            ),
            (
                "The user executing the script can't run this command or subcommand",
                "the account may not do that",
            ),
        ] {
            let hint = not_permitted(text).unwrap_or_default();
            assert!(hint.contains(names), "{text}: {hint}");
        }
        assert_eq!(not_permitted("OOM command not allowed"), None);
        assert_eq!(
            without_place(
                "ACL failure in script: no permissions to run the 'x' command script: 1f, on @user_script:5."
            ),
            "ACL failure in script: no permissions to run the 'x' command"
        );
    }

    #[test]
    fn each_way_to_fail_has_a_hint() {
        let about = |reached, is_tls| Circumstances {
            timeout: Duration::from_millis(300),
            reached,
            is_tls,
            is_first: true,
            is_sentinel: false,
        };
        let nothing = about(Reached::Nothing, false);
        for (error, about, says) in [
            (
                io::Error::new(io::ErrorKind::NotFound, "r cannot be resolved: unknown"),
                nothing,
                NO_NAME,
            ),
            (
                io::Error::new(io::ErrorKind::TimedOut, "r cannot be resolved: no answer"),
                nothing,
                NO_NAME,
            ),
            (io::ErrorKind::TimedOut.into(), nothing, SILENCE),
            (
                io::ErrorKind::ConnectionRefused.into(),
                nothing,
                NO_CONNECTION,
            ),
            (
                io::ErrorKind::HostUnreachable.into(),
                nothing,
                NO_CONNECTION,
            ),
            (
                io::ErrorKind::TimedOut.into(),
                about(Reached::Handshake, true),
                MAYBE_NO_TLS,
            ),
            (
                io::ErrorKind::ConnectionReset.into(),
                about(Reached::Handshake, true),
                MAYBE_NO_TLS,
            ),
            (
                io::ErrorKind::ConnectionReset.into(),
                about(Reached::Commands, false),
                NEEDS_TLS,
            ),
            (
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType),
                ),
                about(Reached::Handshake, true),
                NO_TLS,
            ),
        ] {
            let shown = error.to_string();
            let text = explain(&RedisError::from(error), about).text;
            assert!(text.contains(says), "{shown}: {text}");
        }
        let silent = io::Error::from(io::ErrorKind::TimedOut);
        let text = explain(&RedisError::from(silent), about(Reached::Commands, false)).text;
        assert_eq!(text, "no response within 300 ms");
    }
}
