//! The server: where it is, the connections to it, and how a command reaches it in time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{ConnectionLike as _, FromRedisValue, RedisError, cmd};

use super::connection::Connection;
use super::scripts;
use super::target::Target;
use super::trouble::{self, Circumstances, Reached};
use super::wait::Waits;
use crate::fork::PerProcess;
use crate::http::{self, Trust};
use crate::options::{StoreChoice, TlsTrust};
use crate::secret::{Scrubber, Secret};
use crate::store::Fault;

/// Idle connections that are kept.
const MAX_IDLE: usize = 4;
/// A load balancer or a NAT may forget a connection that is idle, and tells neither end.
const MAX_IDLE_TIME: Duration = Duration::from_secs(5);
/// So that a name which has moved is followed.
const MAX_AGE: Duration = Duration::from_mins(1);

/// The server, and connections to it that are in no use.
pub(super) struct Server {
    url: Secret,
    target: Target,
    pub(super) timeout: Duration,
    trust: Arc<Trust>,
    /// A forked child leaves its parent's alone.
    idle: PerProcess<Vec<Rested>>,
    pub(super) waits: PerProcess<Waits>,
}

struct Rested {
    connection: Connection,
    since: Instant,
}

impl Rested {
    /// `None`: it is of no more use.
    fn new(connection: Connection) -> Option<Rested> {
        let is_good = connection.is_open() && connection.made().elapsed() < MAX_AGE;
        is_good.then(|| Rested {
            connection,
            since: Instant::now(),
        })
    }
}

impl Server {
    /// Nothing is connected yet, and no certificate is read.
    ///
    /// # Errors
    ///
    /// What is wrong with the URL.
    pub(super) fn new(url: &Secret, timeout: Duration, tls: &TlsTrust) -> Result<Server, String> {
        Ok(Server {
            url: url.clone(),
            target: Target::parse(url.expose())?,
            timeout,
            trust: Trust::new(tls),
            idle: PerProcess::default(),
            waits: PerProcess::default(),
        })
    }

    /// Without user and password.
    pub(super) fn shown(&self) -> String {
        StoreChoice::Redis(self.url.clone()).shown()
    }

    fn connect(&self, deadline: Instant) -> Result<Connection, Fault> {
        let mut target = self.target.clone();
        if target.is_tls {
            let config = self
                .trust
                .refresh(deadline)
                .and_then(|_| http::tls_config(&self.trust))
                .map_err(|error| Fault::new(error.message()))?;
            target.tls = Some(Arc::new(config));
        }
        Connection::open(&target, deadline)
            .map_err(|(error, reached)| self.fault(&error, reached, true, false))
    }

    /// A new connection, logged in.
    pub(super) fn connected(&self, deadline: Instant) -> Result<Connection, Fault> {
        let mut connection = self.connect(deadline)?;
        match connection.log_in(&self.target) {
            Ok(()) => Ok(connection),
            Err(error) => self.done(connection, Err(error)),
        }
    }

    /// The connection that was used last, unless it has been idle for too long, and then so have all others.
    fn take(&self) -> Option<Connection> {
        let (taken, spare) = self.idle.with(|idle| match idle.pop() {
            Some(rested) if rested.since.elapsed() < MAX_IDLE_TIME => (Some(rested), Vec::new()),
            _ => (None, std::mem::take(idle)),
        });
        drop(spare);
        Some(taken?.connection)
    }

    fn give_back(&self, connection: Connection) {
        let Some(rested) = Rested::new(connection) else {
            return;
        };
        let spare = self.idle.with(|idle| {
            if idle.len() < MAX_IDLE {
                idle.push(rested);
                None
            } else {
                Some(rested)
            }
        });
        drop(spare);
    }

    /// Runs commands within the time of one: on a connection at hand, which gets half of it, or, if that turns out to be
    /// dead, on a new one. So `work` may run twice, and all scripts come to the same the second time.
    fn run<T>(&self, work: impl Fn(&mut Connection) -> Result<T, RedisError>) -> Result<T, Fault> {
        let deadline = Instant::now() + self.timeout;
        if let Some(mut connection) = self.take() {
            connection.until(Instant::now() + self.timeout / 2);
            match work(&mut connection) {
                Err(error) if error.is_io_error() => {
                    // Most likely none of them is any good.
                    drop(self.idle.with(std::mem::take));
                }
                result => return self.done(connection, result),
            }
        }
        let mut connection = self.connect(deadline)?;
        let result = connection
            .log_in(&self.target)
            .and_then(|()| work(&mut connection));
        self.done(connection, result)
    }

    fn done<T>(
        &self,
        mut connection: Connection,
        result: Result<T, RedisError>,
    ) -> Result<T, Fault> {
        let fault = result.map_err(|error| {
            let is_first = connection.is_first();
            let is_unknown = error
                .detail()
                .is_some_and(|text| text.contains("unknown command"));
            let is_sentinel = is_unknown && is_sentinel(&mut connection);
            self.fault(&error, Reached::Commands, is_first, is_sentinel)
        });
        self.give_back(connection);
        fault
    }

    pub(super) fn script<T: FromRedisValue>(
        &self,
        text: &str,
        keys: &[String],
        arguments: &[&[u8]],
    ) -> Result<T, Fault> {
        self.query(&scripts::command(text, keys, arguments))
    }

    pub(super) fn query<T: FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, Fault> {
        self.run(|connection| command.query(connection))
    }

    fn fault(
        &self,
        error: &RedisError,
        reached: Reached,
        is_first: bool,
        is_sentinel: bool,
    ) -> Fault {
        let about = Circumstances {
            timeout: self.timeout,
            reached,
            is_tls: self.target.is_tls,
            is_first,
            is_sentinel,
        };
        let what = trouble::explain(error, about);
        if !what.is_quoted {
            return Fault::new(format!("{}: {}", self.shown(), what.text));
        }
        // A server that does not know a command repeats its arguments, those of AUTH too.
        let mut scrubber = Scrubber::default();
        if let Some(password) = &self.target.password {
            scrubber.add_login(
                self.target.username.as_deref().unwrap_or_default(),
                password,
            );
        }
        Fault::new(format!("{}: {}", self.shown(), scrubber.scrub(&what.text)))
    }
}

/// Whether what is at the other end watches servers and is none.
fn is_sentinel(connection: &mut Connection) -> bool {
    let role: Result<Vec<redis::Value>, RedisError> = cmd("ROLE").query(connection);
    role.is_ok_and(
        |role| matches!(role.first(), Some(redis::Value::BulkString(text)) if text == b"sentinel"),
    )
}
