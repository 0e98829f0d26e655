//! A P21 middleware to test against: tokens in every dialect, the APIs that need them, and faults.
//!
//! Nobody can be asked to try things on a production ERP, and few have a play server. The emulator
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

mod api;
mod certs;
mod control;
mod control_http;
mod dialect;
mod fault;
mod message;
mod options;
mod redact;
mod server;
mod settings;
mod sock;
mod state;
mod text;
mod thread;
mod token;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use socket2::{Domain, Socket, Type};

pub use control::Control;
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

/// Most time that [`Emulator::stop`] gives connections to notice.
const STOP_WAIT: Duration = Duration::from_secs(10);

/// A running emulator. Dropping it stops it.
pub struct Emulator {
    shared: Arc<Shared>,
    connections: Arc<Connections>,
    address: SocketAddr,
    identity: Option<Identity>,
    acceptor: Option<JoinHandle<()>>,
}

impl Emulator {
    /// Starts an emulator; when this returns it accepts connections.
    ///
    /// # Errors
    /// Where the address can't be had, the prefix isn't a path, or no certificate can be made.
    pub fn start(options: Options) -> io::Result<Self> {
        let prefix = clean_prefix(&options.prefix)?;
        let identity = options.tls.map(Identity::make).transpose()?;
        let listener = listen(SocketAddr::new(options.bind, options.port))?;
        let address = listener.local_addr()?;
        let scheme = if identity.is_some() { "https" } else { "http" };
        let base_url = format!("{scheme}://{}{prefix}", reachable(address));
        let shared = Arc::new(Shared::new(options, base_url, prefix.to_ascii_lowercase()));
        let connections = Arc::new(Connections::default());
        let tls = identity.as_ref().map(|i| i.config.clone());
        let acceptor = std::thread::Builder::new()
            .name("p21-emulator".into())
            .spawn({
                let (shared, connections) = (shared.clone(), connections.clone());
                move || accept(&listener, tls.as_ref(), &shared, &connections)
            })?;
        Ok(Self {
            shared,
            connections,
            address,
            identity,
            acceptor: Some(acceptor),
        })
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

    /// Stops: no connection is accepted any more, open ones are cut, whatever was held ends, and the
    /// threads are gone when this returns. A second call does nothing.
    pub fn stop(&mut self) {
        let Some(acceptor) = self.acceptor.take() else {
            return;
        };
        self.shared.stop();
        // The acceptor sits in accept(): a connection makes it look at the flag.
        let _ = TcpStream::connect_timeout(&reachable(self.address), Duration::from_secs(1));
        let _ = acceptor.join();
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
    all_gone: Condvar,
}

impl Connections {
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

fn accept(
    listener: &TcpListener,
    tls: Option<&Arc<rustls::ServerConfig>>,
    shared: &Arc<Shared>,
    connections: &Arc<Connections>,
) {
    for id in 0.. {
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
        let (shared, connections, tls) = (shared.clone(), connections.clone(), tls.cloned());
        let job = {
            let (shared, connections) = (shared.clone(), connections.clone());
            move || {
                let _listed = Listed {
                    id,
                    connections: &connections,
                    shared: &shared,
                };
                server::serve(socket, tls, &shared);
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
