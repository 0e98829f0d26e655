//! A P21 middleware to test against: tokens in every dialect, the APIs that need them, and faults.
//!
//! No one can be asked to try things on a production ERP, and few have a play server. The emulator
//! speaks the wire protocol as servers in the field do, with their oddities, on a loopback port. It
//! knows nothing of the library `p21auth`, so that each checks the other.
//!
//! ```
//! use p21_emulator::{Action, Emulator, Fault, Options};
//! use std::time::Duration;
//!
//! let emulator = Emulator::start(Options::default())?;
//! let control = emulator.control();
//! control.fault(Fault::on("/token", Action::answer(503, "down")).times(2));
//! // … let a client ask emulator.base_url() for a token …
//! assert_eq!(control.counter("token.requests"), 0);
//! assert!(!control.wait_for("token.requests", 1, Duration::ZERO));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! A thread serves each connection with blocking reads and writes: that is what makes resets, cut
//! bodies and slow drips simple. `docs/emulator.md` lists endpoints, options and control calls.

#![allow(clippy::doc_markdown)] // OData is a name, not code

mod apis;
mod calls;
mod certs;
mod control;
mod control_http;
mod data;
mod dialect;
mod fault;
mod message;
mod odata;
mod options;
mod redact;
mod server;
mod settings;
mod state;
mod stream;
mod text;
mod thread;
mod token;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use socket2::{Domain, Socket, Type};

pub use apis::Answer;
pub use control::Control;
pub use data::Data;
pub use fault::{Action, Fault};
pub use options::{Certificate, ConsumerKey, Log, Options, User};
pub use settings::{NEVER_S, Permission, Refusal, ReplyFormat, RetryAfter, Settings, TokenKind};
pub use state::Counters;

use certs::Identity;
use state::Shared;

/// Connections that may wait to be accepted: a thousand clients at once must not meet a full queue.
const BACKLOG: i32 = 4096;

/// Room for a TLS handshake in a debug build; a thousand of these are only address space.
const STACK: usize = 512 * 1024;

/// Longest time that [`Emulator::stop`] lets connections take to notice.
const STOP_WAIT: Duration = Duration::from_secs(10);

/// A running emulator. Dropping it stops it.
pub struct Emulator {
    shared: Arc<Shared>,
    connections: Arc<Connections>,
    address: SocketAddr,
    control_address: Option<SocketAddr>,
    identity: Option<Identity>,
    acceptors: Vec<(SocketAddr, JoinHandle<()>)>,
}

impl Emulator {
    /// Starts an emulator; when this returns it accepts connections.
    ///
    /// # Errors
    /// Where the address can't be had, the prefix isn't a path, an answer has no status, or no certificate can be made.
    pub fn start(mut options: Options) -> io::Result<Self> {
        for answer in &options.answers {
            let wrong = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
            answer.check().map_err(wrong)?;
        }
        if options.control && options.control_token.is_none() && !options.bind.is_loopback() {
            options.control_token = Some(text::opaque());
        }
        let prefix = clean_prefix(&options.prefix)?;
        let identity = options.tls.map(Identity::make).transpose()?;
        let listener = listen(SocketAddr::new(options.bind, options.port))?;
        let address = listener.local_addr()?;
        // No browser trusts the emulator's own CA, so the page is on a port without TLS, too.
        let control_listener = (options.control && identity.is_some())
            .then(|| {
                listen(SocketAddr::new(
                    Ipv4Addr::LOCALHOST.into(),
                    options.control_port,
                ))
            })
            .transpose()?;
        let scheme = if identity.is_some() { "https" } else { "http" };
        let base_url = format!("{scheme}://{}{prefix}", reachable(address));
        let control_address = match &control_listener {
            Some(listener) => Some(listener.local_addr()?),
            None => options.control.then(|| reachable(address)),
        };
        let shared = Arc::new(Shared::new(options, base_url, prefix.to_ascii_lowercase()));
        let connections = Arc::new(Connections::default());
        let tls = identity.as_ref().map(|i| i.config.clone());
        let mut emulator = Self {
            shared,
            connections,
            address,
            control_address,
            identity,
            acceptors: Vec::new(),
        };
        let door = Door {
            tls,
            control_alone: false,
        };
        emulator.accept(listener, door)?;
        if let Some(listener) = control_listener {
            let door = Door {
                tls: None,
                control_alone: true,
            };
            emulator.accept(listener, door)?;
        }
        Ok(emulator)
    }

    fn accept(&mut self, listener: TcpListener, door: Door) -> io::Result<()> {
        let address = listener.local_addr()?;
        let (shared, connections) = (self.shared.clone(), self.connections.clone());
        let run = move || accept(&listener, &door, &shared, &connections);
        let acceptor = std::thread::Builder::new()
            .name("p21-emulator".into())
            .spawn(run)?;
        self.acceptors.push((address, acceptor));
        Ok(())
    }

    /// The base URL for a client, prefix included, without a slash at the end.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.shared.base_url
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The page and control endpoint, such as `http://127.0.0.1:8021/_control/`; `None` if it has none. With TLS it is on
    /// another port, by plain http and on loopback.
    #[must_use]
    pub fn control_url(&self) -> Option<String> {
        let address = self.control_address?;
        Some(format!("http://{address}/_control/"))
    }

    /// What control calls must carry as their Bearer token; `None`: nothing.
    #[must_use]
    pub fn control_token(&self) -> Option<&str> {
        self.shared.control_token.as_deref()
    }

    /// The certificate of its CA as PEM; `None` for plain http.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.identity.as_ref().map(|i| i.ca_pem.as_str())
    }

    /// SHA-256 of the server certificate's DER, 64 lower-case hex digits; `None` for plain http.
    #[must_use]
    pub fn leaf_sha256(&self) -> Option<&str> {
        self.identity.as_ref().map(|i| i.leaf_sha256.as_str())
    }

    /// Writes the CA's certificate to a PEM file.
    ///
    /// # Errors
    /// Those of writing; `Unsupported` for plain http.
    pub fn write_ca(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let pem = self.ca_pem().ok_or_else(|| {
            io::Error::new(io::ErrorKind::Unsupported, "plain http has no CA to write")
        })?;
        std::fs::write(path, pem)
    }

    /// The control object; it may outlive the emulator.
    #[must_use]
    pub fn control(&self) -> Control {
        Control(self.shared.clone())
    }

    /// Stops: no connection is accepted any more, open ones are cut, anything that was held ends, and the
    /// threads are gone when this returns. A second call does nothing.
    pub fn stop(&mut self) {
        if self.acceptors.is_empty() {
            return;
        }
        self.shared.stop();
        for (address, acceptor) in self.acceptors.drain(..) {
            // The acceptor sits in accept(): a connection makes it look at the flag.
            let _ = TcpStream::connect_timeout(&reachable(address), Duration::from_secs(1));
            let _ = acceptor.join();
        }
        self.connections.end();
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for Emulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Emulator")
            .field("base_url", &self.shared.base_url)
            .finish_non_exhaustive()
    }
}

/// The open connections, so that a stop can end them and wait for their threads.
#[derive(Default)]
struct Connections {
    open: Mutex<HashMap<u64, Arc<TcpStream>>>,
    last_id: AtomicU64,
    all_gone: Condvar,
}

impl Connections {
    fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed)
    }

    fn add(&self, id: u64, socket: Arc<TcpStream>) {
        self.open.lock().insert(id, socket);
    }

    fn remove(&self, id: u64) {
        let mut open = self.open.lock();
        open.remove(&id);
        if open.is_empty() {
            self.all_gone.notify_all();
        }
    }

    fn end(&self) {
        let mut open = self.open.lock();
        for socket in open.values() {
            let _ = socket.shutdown(Shutdown::Both);
        }
        while !open.is_empty() {
            if self.all_gone.wait_for(&mut open, STOP_WAIT).timed_out() {
                return;
            }
        }
    }
}

/// Takes a connection off the list even where its thread panics.
struct Listed<'a> {
    id: u64,
    connections: &'a Connections,
    shared: &'a Shared,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.shared.drop_one("connections.open");
        self.connections.remove(self.id);
    }
}

/// How connections of a listener are served.
struct Door {
    tls: Option<Arc<rustls::ServerConfig>>,
    control_alone: bool,
}

fn accept(
    listener: &TcpListener,
    door: &Door,
    shared: &Arc<Shared>,
    connections: &Arc<Connections>,
) {
    loop {
        let id = connections.next_id();
        let accepted = listener.accept();
        if shared.stopping() {
            return;
        }
        let Ok((socket, _)) = accepted else {
            // Out of descriptors, most likely: let others close some.
            shared.pause(Duration::from_millis(10));
            continue;
        };
        let socket = Arc::new(socket);
        shared.change(|s| {
            s.bump("connections.accepted");
            s.bump("connections.open");
        });
        connections.add(id, socket.clone());
        let (shared, connections, tls) = (shared.clone(), connections.clone(), door.tls.clone());
        let control_alone = door.control_alone;
        let job = {
            let (shared, connections) = (shared.clone(), connections.clone());
            move || {
                let _listed = Listed {
                    id,
                    connections: &connections,
                    shared: &shared,
                };
                server::serve(socket, tls, control_alone, &shared);
            }
        };
        if thread::start(STACK, Box::new(job)).is_err() {
            drop(Listed {
                id,
                connections: &connections,
                shared: &shared,
            });
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // On Windows this option would let two servers share a port.
    if cfg!(unix) {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// An address that a client on this machine can connect to.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    SocketAddr::new(ip, address.port())
}

/// `/P21APIService` from any spelling with or without slashes at its ends.
fn clean_prefix(prefix: &str) -> io::Result<String> {
    let inner = prefix.trim_matches('/');
    if inner.contains(['?', '#']) || inner.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("the prefix '{}' is not a path", prefix.escape_debug()),
        ));
    }
    Ok(if inner.is_empty() {
        String::new()
    } else {
        format!("/{inner}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_cleaned_or_refused() {
        assert_eq!(clean_prefix("").unwrap(), "");
        assert_eq!(clean_prefix("/").unwrap(), "");
        assert_eq!(clean_prefix("P21APIService/").unwrap(), "/P21APIService");
        assert!(clean_prefix("/a?b").is_err());
        assert!(clean_prefix("/a b").is_err());
    }

    #[test]
    fn a_wildcard_address_is_reached_by_loopback() {
        let any: SocketAddr = "0.0.0.0:80".parse().unwrap();
        assert_eq!(reachable(any).to_string(), "127.0.0.1:80");
        let own: SocketAddr = "[::1]:80".parse().unwrap();
        assert_eq!(reachable(own), own);
    }

    #[test]
    fn stopping_twice_is_harmless() {
        let mut emulator = Emulator::start(Options::default()).unwrap();
        emulator.stop();
        emulator.stop();
        assert!(TcpStream::connect(emulator.address()).is_err());
    }
}
