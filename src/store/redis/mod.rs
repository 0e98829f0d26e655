//! The Redis store: one token for a fleet.
//!
//! Keys, all beginning with `p21auth:1:` — `salt`; and for each name `{NAME}:token` and `{NAME}:denied` (sealed entries that
//! expire by themselves), `{NAME}:lease` (who may ask the server, for 6 s at a time) and `{NAME}:fence` (the number of the
//! last lease). A lease that its holder does not renew ends, so a machine that dies or stops holds nobody up for long; and
//! a holder that wakes after its lease has passed on has a smaller number than the new holder and cannot overwrite what
//! that one publishes. Works on Redis from 5 and on Valkey; not on a cluster whose keys live on several servers.

mod connection;

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use redis::{IntoConnectionInfo as _, RedisError, cmd};
use url::Url;

use super::seal::Salt;
use super::{Attempt, Change, Fault, Lease, Loaded, Published, Sealed, Store};
use crate::error::{Code, Error, Result};
use crate::fork::{self, Guarded};
use crate::http;
use crate::options::{StoreChoice, TlsTrust};
use crate::secret::{Scrubber, Secret, hex};
use connection::{Connection, Target};

const PREFIX: &str = "p21auth:1:";
const DEFAULT_PORT: u16 = 6379;

/// A lease that is not renewed ends after this.
const LEASE_MS: u64 = 6_000;
/// How often it is renewed while the server is asked.
const RENEW: Duration = Duration::from_secs(2);
/// A fence outlives any holder that might still wake.
const FENCE_MS: u64 = 7 * 24 * 3_600_000;
/// Idle connections that are kept.
const MAX_IDLE: usize = 4;

/// KEYS lease, fence. ARGV owner, lease ms, fence ms. Answers the fence's number, or nothing when another has the lease.
/// The number comes from the clock, so that it also grows when the server has lost the last one, and is never less than
/// that one plus 1, so that it also grows when the clock is set back.
const ACQUIRE: &str = "
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return false end
local time = redis.call('TIME')
local fence = tonumber(time[1]) * 1000000 + tonumber(time[2])
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
if fence <= last then fence = last + 1 end
local text = string.format('%.0f', fence)
redis.call('SET', KEYS[2], text, 'PX', ARGV[3])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return text";

/// KEYS lease, fence, token. ARGV owner, lease ms, fence, fence ms. A server that has lost everything is told again who holds
/// the lease; where only the lease is missing, it was given back or ran out, and where a token is there and the fence is not,
/// the fence was evicted and the token may be a later holder's.
const RENEW_LEASE: &str = "
local holder = redis.call('GET', KEYS[1])
if holder ~= ARGV[1] then
  if holder or redis.call('EXISTS', KEYS[2], KEYS[3]) > 0 then return 0 end
  redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1";

/// KEYS lease. ARGV owner.
const RELEASE: &str = "
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1";

/// KEYS lease, fence, token, denied. ARGV owner, fence, token, its ms, denied, its ms; an entry without text stays as it
/// is, one with 0 ms goes. Writes all of it, unless a later lease was given out or, the fence and the lease being evicted, may
/// have been; and gives the lease back.
const PUBLISH: &str = "
local last = redis.call('GET', KEYS[2])
if last and tonumber(last) > tonumber(ARGV[2]) then return 0 end
if not last and redis.call('GET', KEYS[1]) ~= ARGV[1] and redis.call('EXISTS', KEYS[3]) == 1 then return 0 end
for i = 3, 5, 2 do
  local key = KEYS[(i + 3) / 2]
  if ARGV[i + 1] == '0' then redis.call('DEL', key)
  elseif ARGV[i] ~= '' then redis.call('SET', key, ARGV[i], 'PX', ARGV[i + 1]) end
end
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1";

/// KEYS salt. ARGV proposed salt.
const SALT: &str = "
local salt = redis.call('GET', KEYS[1])
if salt and #salt == 16 then return salt end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]";

/// What a key holds, if it is there.
type Bytes = Option<Vec<u8>>;

pub(super) struct RedisStore(Arc<Server>);

/// The server, and connections to it that nobody is using.
struct Server {
    url: Secret,
    timeout: Duration,
    tls: TlsTrust,
    idle: Guarded<Idle>,
}

struct Idle {
    /// The process that made them: a forked child leaves its parent's alone.
    epoch: u64,
    connections: Vec<Connection>,
}

impl RedisStore {
    /// The store on the server at `url`. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// `Config` when the URL is not one of a Redis server.
    pub(super) fn new(url: &Secret, timeout: Duration, tls: &TlsTrust) -> Result<RedisStore> {
        let server = Server {
            url: url.clone(),
            timeout,
            tls: tls.clone(),
            idle: Guarded::new(Idle {
                epoch: fork::epoch(),
                connections: Vec::new(),
            }),
        };
        // Only whether it can be understood: certificates are read when they are needed.
        server.parse().map_err(|what| {
            Error::new(Code::Config, format!("store: {what}"))
                .with_hint("It looks like redis://user:password@host:6379/0, or rediss:// for TLS; special characters in user and password are percent-encoded.")
        })?;
        Ok(RedisStore(Arc::new(server)))
    }
}

fn key(name: &str, kind: &str) -> String {
    format!("{PREFIX}{{{name}}}:{kind}")
}

impl Server {
    /// Where the server is, without TLS, and whether it is wanted.
    fn parse(&self) -> Result<(Target, bool), String> {
        let mut url = Url::parse(self.url.expose()).map_err(|error| error.to_string())?;
        let tls = url.scheme() == "rediss";
        // The crate refuses what needs its own TLS; all else of the URL means the same.
        let _ = url.set_scheme("redis");
        let host = url.host_str().unwrap_or_default().to_owned();
        let port = url.port().unwrap_or(DEFAULT_PORT);
        let info = url
            .into_connection_info()
            .map_err(|error| error.to_string())?;
        let who = info.redis_settings();
        let target = Target {
            host,
            port,
            tls: None,
            username: who.username().map(str::to_owned),
            password: who.password().map(Secret::new),
            db: who.db(),
        };
        Ok((target, tls))
    }

    fn connect(&self, deadline: Instant) -> Result<Connection, Fault> {
        let (mut target, tls) = self.parse().map_err(Fault::new)?;
        if tls {
            let config =
                http::tls_config(&self.tls).map_err(|error| Fault::new(error.message()))?;
            target.tls = Some(Arc::new(config));
        }
        Connection::open(&target, deadline).map_err(|error| self.fault(&error))
    }

    fn with_idle<R>(&self, work: impl FnOnce(&mut Vec<Connection>) -> R) -> R {
        self.idle.with(|idle| {
            if idle.epoch != fork::epoch() {
                std::mem::forget(std::mem::take(&mut idle.connections));
                idle.epoch = fork::epoch();
            }
            work(&mut idle.connections)
        })
    }

    /// Runs commands within the time of one: on a connection at hand, or, if that turns out to be dead, on a new one. So
    /// `work` may run twice, and all scripts come to the same the second time.
    fn run<T>(&self, work: impl Fn(&mut Connection) -> Result<T, RedisError>) -> Result<T, Fault> {
        let deadline = Instant::now() + self.timeout;
        if let Some(mut connection) = self.with_idle(Vec::pop) {
            connection.until(deadline);
            match work(&mut connection) {
                Err(error) if error.is_io_error() && !error.is_timeout() => {
                    // Most likely the server ended them all.
                    drop(self.with_idle(std::mem::take));
                }
                result => return self.done(connection, result),
            }
        }
        let mut connection = self.connect(deadline)?;
        let result = work(&mut connection);
        self.done(connection, result)
    }

    fn done<T>(&self, connection: Connection, result: Result<T, RedisError>) -> Result<T, Fault> {
        if redis::ConnectionLike::is_open(&connection) {
            let spare = self.with_idle(|idle| {
                if idle.len() < MAX_IDLE {
                    idle.push(connection);
                    None
                } else {
                    Some(connection)
                }
            });
            drop(spare);
        }
        result.map_err(|error| self.fault(&error))
    }

    fn script<T: redis::FromRedisValue>(
        &self,
        text: &str,
        keys: &[String],
        arguments: &[&[u8]],
    ) -> Result<T, Fault> {
        let mut command = cmd("EVAL");
        command.arg(text).arg(keys.len());
        for key in keys {
            command.arg(key);
        }
        for argument in arguments {
            command.arg(*argument);
        }
        self.run(|connection| command.query(connection))
    }

    fn fault(&self, error: &RedisError) -> Fault {
        let timed_out = error.is_timeout()
            || std::error::Error::source(error)
                .and_then(|source| source.downcast_ref::<std::io::Error>())
                .is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut);
        let shown = StoreChoice::Redis(self.url.clone()).shown();
        Fault::new(if timed_out {
            format!("{shown}: no answer within {} ms", self.timeout.as_millis())
        } else {
            // A server that does not know a command repeats its arguments, those of AUTH too.
            let mut scrubber = Scrubber::default();
            if let Ok((target, _)) = self.parse()
                && let Some(password) = target.password
            {
                scrubber.add_login(&target.username.unwrap_or_default(), &password);
            }
            format!("{shown}: {}", scrubber.scrub(&error.to_string()))
        })
    }
}

impl Store for RedisStore {
    fn kind(&self) -> &'static str {
        "redis"
    }

    fn shown(&self) -> String {
        StoreChoice::Redis(self.0.url.clone()).shown()
    }

    fn salt(&self, proposed: &Salt) -> Result<Salt, Fault> {
        let salt: Vec<u8> = self
            .0
            .script(SALT, &[format!("{PREFIX}salt")], &[proposed])?;
        salt.try_into()
            .map_err(|_| Fault::new(format!("{}: its salt is not one", self.shown())))
    }

    fn load(&self, name: &str) -> Result<Loaded, Fault> {
        // At once, so that a life counted down belongs to the entry that was read.
        let mut all = redis::pipe();
        all.atomic().cmd("GET").arg(format!("{PREFIX}salt"));
        for kind in ["token", "denied"] {
            let key = key(name, kind);
            all.cmd("GET").arg(&key).cmd("PTTL").arg(&key);
        }
        let (salt, token, token_ms, denial, denial_ms): (Bytes, Bytes, i64, Bytes, i64) =
            self.0.run(|connection| all.query(connection))?;
        let sealed = |bytes: Bytes, ms: i64| {
            Some(Sealed {
                bytes: bytes?,
                // -1: somebody took its end away; -2: it ended this very moment.
                left_ms: (ms != -1).then_some(ms.max(0)),
            })
        };
        Ok(Loaded {
            salt: salt.and_then(|salt| salt.try_into().ok()),
            token: sealed(token, token_ms),
            denial: sealed(denial, denial_ms),
        })
    }

    fn try_lease(&self, name: &str) -> Result<Attempt, Fault> {
        let mut owner = [0; 16];
        getrandom::fill(&mut owner)
            .map_err(|_| Fault::new("the operating system gives no random bytes"))?;
        let owner = hex(&owner);
        let fence: Option<String> = self.0.script(
            ACQUIRE,
            &[key(name, "lease"), key(name, "fence")],
            &[
                owner.as_bytes(),
                LEASE_MS.to_string().as_bytes(),
                FENCE_MS.to_string().as_bytes(),
            ],
        )?;
        Ok(match fence {
            Some(fence) => Attempt::Got(Box::new(RedisLease {
                server: Arc::clone(&self.0),
                name: name.to_owned(),
                owner,
                fence,
                over: false.into(),
                renewing: None,
            })),
            None => Attempt::Busy(Some("a process on this or another machine".to_owned())),
        })
    }

    fn patience(&self) -> (Duration, Duration) {
        (Duration::from_millis(20), Duration::from_millis(250))
    }

    fn list(&self) -> Result<Vec<(String, &'static str, Sealed)>, Fault> {
        let mut found = Vec::new();
        for (key, kind) in self.keys()? {
            let mut both = redis::pipe();
            both.atomic().cmd("GET").arg(&key).cmd("PTTL").arg(&key);
            let (bytes, ms): (Option<Vec<u8>>, i64) =
                self.0.run(|connection| both.query(connection))?;
            if let Some(bytes) = bytes {
                let left_ms = (ms >= 0).then_some(ms);
                let name = key.trim_start_matches(PREFIX).trim_start_matches('{');
                let name = name.split('}').next().unwrap_or_default().to_owned();
                found.push((name, kind, Sealed { bytes, left_ms }));
            }
        }
        Ok(found)
    }

    fn clear(&self) -> Result<usize, Fault> {
        let keys = self.keys()?;
        for (key, _) in &keys {
            let removed: Result<(), Fault> = self
                .0
                .run(|connection| cmd("DEL").arg(key).exec(connection));
            removed?;
        }
        Ok(keys.len())
    }
}

impl RedisStore {
    /// The keys of all entries.
    fn keys(&self) -> Result<Vec<(String, &'static str)>, Fault> {
        let mut found = Vec::new();
        for kind in ["token", "denied"] {
            let mut cursor = 0_u64;
            loop {
                let (next, keys): (u64, Vec<String>) = self.0.run(|connection| {
                    cmd("SCAN")
                        .arg(cursor)
                        .arg("MATCH")
                        .arg(format!("{PREFIX}{{*}}:{kind}"))
                        .arg("COUNT")
                        .arg(500)
                        .query(connection)
                })?;
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

struct RedisLease {
    server: Arc<Server>,
    name: String,
    owner: String,
    fence: String,
    /// Given back, or nothing is left to give back to.
    over: std::cell::Cell<bool>,
    /// The renewing thread ends when this is dropped.
    renewing: Option<mpsc::Sender<()>>,
}

impl Lease for RedisLease {
    fn keep(&mut self) {
        crate::sys::pin_library();
        let (stop, stopped) = mpsc::channel();
        let server = Arc::clone(&self.server);
        let keys = ["lease", "fence", "token"].map(|kind| key(&self.name, kind));
        let (owner, fence) = (self.owner.clone(), self.fence.clone());
        let (lease_ms, fence_ms) = (LEASE_MS.to_string(), FENCE_MS.to_string());
        let renew = move || {
            while let Err(mpsc::RecvTimeoutError::Timeout) = stopped.recv_timeout(RENEW) {
                let arguments = [&owner, &lease_ms, &fence, &fence_ms].map(String::as_bytes);
                if server.script::<bool>(RENEW_LEASE, &keys, &arguments) == Ok(false) {
                    return;
                }
            }
        };
        // Without a thread the lease lasts 6 s, which is enough for most requests; the fence guards the rest.
        let started = crate::sys::start_thread(c"p21auth-lease", 256 * 1024, Box::new(renew));
        self.renewing = started.is_ok().then_some(stop);
    }

    fn publish(&self, change: &Change<'_>) -> Result<Published, Fault> {
        let put = |entry: Option<super::Keep<'_>>| match entry {
            Some(keep) => (keep.bytes.to_vec(), keep.keep_ms.max(1).to_string()),
            None => (Vec::new(), "1".to_owned()),
        };
        let (token, token_ms) = put(change.token);
        let (denial, denial_ms) = match change.denial {
            Some(None) => (Vec::new(), "0".to_owned()),
            other => put(other.flatten()),
        };
        self.over.set(true);
        let stored = self.server.script::<bool>(
            PUBLISH,
            &["lease", "fence", "token", "denied"].map(|kind| key(&self.name, kind)),
            &[
                self.owner.as_bytes(),
                self.fence.as_bytes(),
                &token,
                token_ms.as_bytes(),
                &denial,
                denial_ms.as_bytes(),
            ],
        )?;
        Ok(if stored {
            Published::Stored
        } else {
            Published::Fenced
        })
    }
}

impl Drop for RedisLease {
    fn drop(&mut self) {
        self.renewing = None;
        if !self.over.get() {
            let lease = [key(&self.name, "lease")];
            // Should the server not hear it, the lease ends by itself.
            let _ = self
                .server
                .script::<bool>(RELEASE, &lease, &[self.owner.as_bytes()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Server {
        Server {
            url: Secret::new(url),
            timeout: Duration::from_millis(1),
            tls: TlsTrust {
                verify: true,
                ca_file: None,
                pins: Vec::new(),
            },
            idle: Guarded::new(Idle {
                epoch: 0,
                connections: Vec::new(),
            }),
        }
    }

    #[test]
    fn urls_are_understood() {
        let (target, tls) = server("rediss://us%20er:p%40ss@r.example:6380/3")
            .parse()
            .expect("valid");
        assert!(tls);
        assert_eq!(
            (target.host.as_str(), target.port, target.db),
            ("r.example", 6380, 3)
        );
        assert_eq!(target.username.as_deref(), Some("us er"));
        assert_eq!(target.password, Some(Secret::new("p@ss")));
        let (target, tls) = server("redis://:secret@[::1]").parse().expect("valid");
        assert!(!tls && target.username.is_none());
        assert_eq!(
            (target.host.as_str(), target.port, target.db),
            ("[::1]", 6379, 0)
        );
        assert!(server("redis://r.example/database").parse().is_err());
    }

    #[test]
    fn an_error_never_shows_user_or_password() {
        let error = RedisStore::new(
            &Secret::new("redis://user:hunter2@r.example/x"),
            Duration::ZERO,
            &server("redis://x").tls,
        )
        .err()
        .expect("not a database");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
