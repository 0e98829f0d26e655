//! The Redis store: one token for a fleet.
//!
//! Keys, all beginning with `p21auth:1:` — `salt`; and for each name `{NAME}:token`, `{NAME}:denied` and `{NAME}:failed`
//! (sealed entries that expire by themselves), `{NAME}:lease` (who may ask the server, for 6 s at a time), `{NAME}:fence`
//! (the number of the last lease), `{NAME}:wake` (a stream that those who wait read) and `{NAME}:next` (who of them takes
//! over from a holder without a result). A lease that its holder does not renew ends, so a machine that dies or stops holds
//! the others up for 6 s at most; and a holder that wakes after its lease has passed on has a smaller number than the new
//! holder and cannot overwrite what that one publishes. Works on Redis from 5 and on Valkey; not on a cluster whose keys
//! live on several servers.

mod connection;
mod lease;
mod scripts;
mod server;
mod target;
mod trouble;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Value, cmd};

use super::seal::Salt;
use super::seal::is_over;
use super::{Attempt, EntryKind, Fault, Loaded, Mark, Sealed, Store, Ticket, Wake};
use crate::error::{Code, Error, Result};
use crate::options::TlsTrust;
use crate::secret::Secret;
use lease::RedisLease;
use server::Server;

const PREFIX: &str = "p21auth:1:";

/// A lease that is not renewed ends after this.
const LEASE_MS: &[u8] = b"6000";
/// A lease with more time left is not ours, and neither would it be a later version's.
const MAX_LEASE_MS: &[u8] = b"60000";
/// A fence outlives any holder that might still wake: seven days.
const FENCE_MS: &[u8] = b"604800000";
/// Longer values are not entries.
const MAX_ENTRY: &[u8] = b"1048576";

/// What a key holds, if it is there.
type Bytes = Option<Vec<u8>>;

pub(super) struct RedisStore(Arc<Server>);

fn key(name: &str, kind: &str) -> String {
    format!("{PREFIX}{{{name}}}:{kind}")
}

fn salt_key() -> String {
    format!("{PREFIX}salt")
}

/// What a look at a name answers: salt, fence, lease, then each entry and the milliseconds that are left of it.
type Found = (
    Bytes,
    Bytes,
    Bytes,
    Bytes,
    Option<i64>,
    Bytes,
    Option<i64>,
    Bytes,
    Option<i64>,
);

fn look(name: &str) -> Cmd {
    let [fence, lease, token, denied, failed] =
        ["fence", "lease", "token", "denied", "failed"].map(|kind| key(name, kind));
    let keys = [salt_key(), fence, lease, token, denied, failed];
    scripts::command(scripts::LOOK, &keys, &[MAX_ENTRY])
}

fn loaded(found: Found) -> Loaded {
    let (salt, fence, lease, token, token_ms, denial, denial_ms, failure, failure_ms) = found;
    let fence = fence.and_then(|fence| String::from_utf8(fence).ok()?.parse().ok());
    Loaded {
        salt: salt.and_then(|salt| salt.try_into().ok()),
        token: sealed(token, token_ms),
        denial: sealed(denial, denial_ms),
        failure: sealed(failure, failure_ms),
        // Of a lease that is over the end has been told, or never will be.
        mark: fence.map_or_else(Mark::default, |fence| {
            Mark(fence, u64::from(lease.is_none()))
        }),
    }
}

fn sealed(bytes: Bytes, ms: Option<i64>) -> Option<Sealed> {
    Some(Sealed {
        bytes: bytes?,
        // -1: someone took its end away; -2: it ended this very moment.
        left_ms: ms.filter(|ms| *ms != -1).map(|ms| ms.max(0)),
    })
}

impl RedisStore {
    /// The store on the server at `url`. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// `Config` when the URL is not one of a Redis server.
    pub(super) fn new(url: &Secret, timeout: Duration, tls: &TlsTrust) -> Result<RedisStore> {
        let server = Server::new(url, timeout, tls).map_err(|what| {
            Error::new(Code::Config, format!("store: {what}"))
                .with_hint("It looks like redis://user:password@host:6379/0, or rediss:// for TLS; special characters in user and password are percent-encoded.")
        })?;
        Ok(RedisStore(Arc::new(server)))
    }

    /// What is in one key. What cannot be read is an entry too: it is in the way until it is replaced.
    fn entry(&self, key: &str) -> Result<Sealed, Fault> {
        let keys = [salt_key(), salt_key(), salt_key(), key.to_owned()];
        let (_, _, _, bytes, ms): (Bytes, Bytes, Bytes, Bytes, Option<i64>) =
            self.0.script(scripts::LOOK, &keys, &[MAX_ENTRY])?;
        Ok(sealed(bytes, ms).unwrap_or_default())
    }

    /// The keys of all entries.
    fn keys(&self) -> Result<Vec<(String, EntryKind)>, Fault> {
        let mut found = Vec::new();
        for kind in EntryKind::ALL {
            let mut cursor = 0_u64;
            loop {
                let (next, keys): (u64, Vec<String>) = self.0.query(
                    cmd("SCAN")
                        .arg(cursor)
                        .arg("MATCH")
                        .arg(format!("{PREFIX}{{*}}:{}", kind.name()))
                        .arg("COUNT")
                        .arg(500),
                )?;
                found.extend(keys.into_iter().map(|key| (key, kind)));
                cursor = next;
                if cursor == 0 {
                    break;
                }
            }
        }
        found.sort();
        found.dedup();
        Ok(found)
    }
}

impl Store for RedisStore {
    fn kind(&self) -> &'static str {
        "redis"
    }

    fn shown(&self) -> String {
        self.0.shown()
    }

    fn salt(&self, proposed: &Salt) -> Result<Salt, Fault> {
        let salt: Vec<u8> = self.0.script(scripts::SALT, &[salt_key()], &[proposed])?;
        salt.try_into()
            .map_err(|_| Fault::new(format!("{}: its salt is not one", self.shown())))
    }

    fn load(&self, name: &str) -> Result<Loaded, Fault> {
        Ok(loaded(self.0.query(&look(name))?))
    }

    fn try_lease(&self, name: &str, ticket: &Ticket) -> Result<Attempt, Fault> {
        let (first, tells): (Value, bool) = self.0.script(
            scripts::ACQUIRE,
            &["lease", "fence", "wake", "next"].map(|kind| key(name, kind)),
            &[ticket.owner.as_bytes(), LEASE_MS, FENCE_MS, MAX_LEASE_MS],
        )?;
        Ok(match first {
            Value::Int(left_ms) => Attempt::Busy {
                holder: Some("a process on this or another machine".to_owned()),
                left_ms: Some(left_ms),
                wakes: tells,
            },
            fence => {
                let fence = redis::from_redis_value(fence)
                    .map_err(|_| Fault::new(format!("{}: its fence is not one", self.shown())))?;
                let mark = if tells { "w" } else { "" };
                let owner = format!("{mark}{}", ticket.owner);
                Attempt::Got(Box::new(RedisLease::new(&self.0, name, owner, fence)))
            }
        })
    }

    fn wait(&self, name: &str, ticket: &mut Ticket, most: Duration) -> Wake {
        let (wake, looked) = self.0.wait(&key(name, "wake"), look(name), ticket, most);
        ticket.looked = looked.and_then(|found| Some(loaded(redis::from_redis_value(found).ok()?)));
        wake
    }

    fn list(&self) -> Result<Vec<(String, EntryKind, Sealed)>, Fault> {
        let mut found = Vec::new();
        for (key, kind) in self.keys()? {
            let entry = self.entry(&key)?;
            let name = key.trim_start_matches(PREFIX).trim_start_matches('{');
            let name = name.split('}').next().unwrap_or_default().to_owned();
            found.push((name, kind, entry));
        }
        Ok(found)
    }

    fn clear(&self, before: Option<i64>) -> Result<usize, Fault> {
        let mut count = 0;
        for (key, _) in self.keys()? {
            let is_meant = match before {
                None => true,
                // What is over goes by itself, unless someone took its end away.
                Some(before) => is_over(&self.entry(&key)?.bytes, before),
            };
            if is_meant {
                self.0.query::<()>(cmd("DEL").arg(&key))?;
                count += 1;
            }
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_never_shows_user_or_password() {
        let tls = TlsTrust {
            verify: true,
            ca_file: None,
            pins: Vec::new(),
        };
        let url = Secret::new("redis://user:hunter2@r.example/x");
        let error = RedisStore::new(&url, Duration::ZERO, &tls)
            .err()
            .expect("not a database");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
