//! A connection on which nothing is waited for beyond a deadline: a socket, and TLS over it, as often as needed.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// A connection. What is read and written after the deadline is `TimedOut`, however slowly the other end sends.
pub(crate) enum Stream {
    Plain(Socket),
    Tls(Box<StreamOwned<ClientConnection, Stream>>),
}

/// A socket with a deadline.
pub(crate) struct Socket {
    inner: TcpStream,
    deadline: Instant,
}

impl Stream {
    /// Connects by the deadline.
    pub(crate) fn connect(address: SocketAddr, deadline: Instant) -> io::Result<Stream> {
        let inner = TcpStream::connect_timeout(&address, left(deadline)?)?;
        inner.set_nodelay(true)?;
        Ok(Stream::Plain(Socket { inner, deadline }))
    }

    /// Completes a TLS handshake with `host`, a name or an address without brackets. A failure of TLS itself is a
    /// `rustls::Error` inside the error.
    pub(crate) fn secure(mut self, config: Arc<ClientConfig>, host: &str) -> io::Result<Stream> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let mut session = ClientConnection::new(config, name).map_err(io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut self)?;
        }
        Ok(Stream::Tls(Box::new(StreamOwned::new(session, self))))
    }

    /// Sets when all that follows must be done.
    pub(crate) fn until(&mut self, deadline: Instant) {
        match self {
            Stream::Plain(socket) => socket.deadline = deadline,
            Stream::Tls(tls) => tls.sock.until(deadline),
        }
    }

    /// What it all goes through.
    #[cfg(feature = "store-redis")]
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Stream::Plain(socket) => &socket.inner,
            Stream::Tls(tls) => tls.sock.socket(),
        }
    }

    /// The outermost TLS session.
    pub(crate) fn session(&self) -> Option<&ClientConnection> {
        match self {
            Stream::Plain(_) => None,
            Stream::Tls(tls) => Some(&tls.conn),
        }
    }

    /// Writes all of it, out of every buffer on the way.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)?;
        self.flush()
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(buffer),
            Stream::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.write(bytes),
            Stream::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(_) => Ok(()),
            Stream::Tls(tls) => tls.flush(),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        uninterrupted(|| {
            self.inner.set_read_timeout(Some(left(self.deadline)?))?;
            self.inner.read(buffer)
        })
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        uninterrupted(|| {
            self.inner.set_write_timeout(Some(left(self.deadline)?))?;
            self.inner.write(bytes)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The time that is left, at least the millisecond that the system counts in; `TimedOut` when there is none.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        Err(io::ErrorKind::TimedOut.into())
    } else {
        Ok(left.max(Duration::from_millis(1)))
    }
}

/// Repeats what a signal interrupted. A socket whose time is over says `WouldBlock` on Unix.
fn uninterrupted(mut transfer: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match transfer() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            result => return result,
        }
    }
}
