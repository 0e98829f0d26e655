//! One connection to a Redis server on which a command ends by a deadline, no matter what the server does.
//!
//! The `redis` crate speaks the protocol; its own connections are not used, because they take no certificate verifier
//! (`ca_file`, `tls_pin_sha256` and `tls_verify` are to hold here as well) and bound each read instead of the whole command,
//! so that a server which drips would never time out.

use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use redis::{Cmd, ConnectionLike, Parser, RedisError, RedisResult, Value, cmd};

use super::target::Target;
use super::trouble::Reached;
use crate::http::{Attempt, Lost, Stream, Unresolved, look_up, race};

pub(super) struct Connection {
    stream: Stream,
    parser: Parser,
    /// Bytes that still may come for the commands that were sent last.
    room: usize,
    db: i64,
    made: Instant,
    /// Nothing has been answered on it yet.
    first: bool,
    /// A command was sent whose reply has not come whole: nothing that is read from now on can be understood.
    broken: bool,
}

/// Replies are smaller: what a script answers has a limit, and lists come in pieces.
const MAX_REPLY: usize = 16 << 20;

/// What still may come for the commands that were sent last.
struct Reply<'a> {
    stream: &'a mut Stream,
    room: &'a mut usize,
}

impl Read for Reply<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        *self.room = self
            .room
            .checked_sub(read)
            .ok_or_else(|| io::Error::other("the reply is too large"))?;
        Ok(read)
    }
}

/// Ends what another thread does on a connection, which is of no more use then.
#[derive(Clone)]
pub(super) struct Interrupt {
    socket: Arc<TcpStream>,
    done: Arc<AtomicBool>,
}

impl Interrupt {
    pub(super) fn now(&self) {
        self.done.store(true, Ordering::SeqCst);
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    pub(super) fn is_done(&self) -> bool {
        self.done.load(Ordering::SeqCst)
    }
}

impl Connection {
    /// Connects by the deadline. A failure says how far it came.
    pub(super) fn open(
        target: &Target,
        deadline: Instant,
    ) -> Result<Connection, (RedisError, Reached)> {
        let mut stream = connect(&target.host, target.port, deadline)
            .map_err(|error| (error.into(), Reached::Nothing))?;
        if let Some(config) = &target.tls {
            let host = target.host.trim_matches(['[', ']']);
            stream = stream
                .secure(Arc::clone(config), host)
                .map_err(|error| (error.into(), Reached::Handshake))?;
        }
        Ok(Connection {
            stream,
            parser: Parser::new(),
            room: 0,
            db: i64::from(target.db),
            made: Instant::now(),
            first: true,
            broken: false,
        })
    }

    /// Says who we are, and which database is meant.
    pub(super) fn log_in(&mut self, target: &Target) -> RedisResult<()> {
        if let Some(password) = &target.password {
            let mut auth = cmd("AUTH");
            if let Some(username) = &target.username {
                auth.arg(username);
            }
            auth.arg(password.expose()).exec(self)?;
        }
        if target.db != 0 {
            cmd("SELECT").arg(target.db).exec(self)?;
        }
        Ok(())
    }

    /// What another thread may interrupt it by.
    pub(super) fn interrupt(&self) -> io::Result<Interrupt> {
        Ok(Interrupt {
            socket: Arc::new(self.stream.socket().try_clone()?),
            done: Arc::default(),
        })
    }

    /// Whether nothing has been answered on it yet.
    pub(super) fn is_first(&self) -> bool {
        self.first
    }

    /// When it was made.
    pub(super) fn made(&self) -> Instant {
        self.made
    }

    /// Sets when the next commands must be done.
    pub(super) fn until(&mut self, deadline: Instant) {
        self.stream.until(deadline);
    }

    fn send(&mut self, commands: &[u8]) -> io::Result<()> {
        self.room = MAX_REPLY;
        self.stream.send(commands)
    }

    fn receive(&mut self) -> RedisResult<Value> {
        self.parser.parse_value(Reply {
            stream: &mut self.stream,
            room: &mut self.room,
        })
    }

    /// Runs `work`; if it fails on the way, the connection is of no more use.
    fn whole<T>(&mut self, work: impl FnOnce(&mut Connection) -> RedisResult<T>) -> RedisResult<T> {
        self.broken = true;
        let result = work(self)?;
        (self.broken, self.first) = (false, false);
        Ok(result)
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command(&mut self, command: &[u8]) -> RedisResult<Value> {
        self.whole(|connection| {
            connection.send(command)?;
            connection.receive()
        })
    }

    fn req_packed_commands(
        &mut self,
        commands: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        self.whole(|connection| {
            connection.send(commands)?;
            // Replies before `offset` only acknowledge; an error among them comes again in the one that counts.
            for _ in 0..offset {
                connection.receive()?;
            }
            (0..count).map(|_| connection.receive()).collect()
        })
    }

    fn req_command(&mut self, command: &Cmd) -> RedisResult<Value> {
        self.req_packed_command(&command.get_packed_command())
    }

    fn get_db(&self) -> i64 {
        self.db
    }

    fn check_connection(&mut self) -> bool {
        cmd("PING").exec(self).is_ok()
    }

    fn is_open(&self) -> bool {
        !self.broken
    }
}

/// Connects to the first address that answers; they are tried with staggered starts.
fn connect(host: &str, port: u16, deadline: Instant) -> io::Result<Stream> {
    let addresses = resolve(host, port, deadline)?;
    let attempt: Attempt<Stream, io::Error> = Arc::new(|address, deadline| {
        Stream::connect(address, deadline).map_err(|error| Lost { error, end: false })
    });
    let race = race(&addresses, deadline, &attempt);
    if let Some((_, stream)) = race.won {
        return Ok(stream);
    }
    let failed = race.lost.into_iter().next_back();
    Err(failed.map_or_else(|| io::ErrorKind::TimedOut.into(), |(_, error)| error))
}

/// The host's addresses.
fn resolve(host: &str, port: u16, deadline: Instant) -> io::Result<Vec<SocketAddr>> {
    let host = host.trim_matches(['[', ']']);
    if let Ok(address) = host.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let found = look_up(host, deadline).map_err(|why| match why {
        Unresolved::TimedOut => io::Error::new(
            io::ErrorKind::TimedOut,
            format!("{host} cannot be resolved: the name server does not respond"),
        ),
        Unresolved::Failed(cause) | Unresolved::Exhausted(cause) => io::Error::new(
            io::ErrorKind::NotFound,
            format!("{host} cannot be resolved: {cause}"),
        ),
    })?;
    Ok(found
        .into_iter()
        .map(|ip| SocketAddr::new(ip, port))
        .collect())
}
