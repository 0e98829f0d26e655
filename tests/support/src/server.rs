//! Servers for one test: each connection runs the test's own function; dropping the server ends it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

pub const OK: &str =
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\nX-Test: yes\r\n\r\nok";

pub trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// A server on loopback.
pub struct Server {
    pub address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Calls `serve` with each connection, on a thread of its own.
    pub fn raw(serve: impl Fn(TcpStream, &Heads) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let heads = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, stopped, serve) = (
            Heads(Arc::clone(&heads)),
            Arc::clone(&stop),
            Arc::new(serve),
        );
        let thread = std::thread::spawn(move || {
            let mut connections = Vec::new();
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                // A connection that a test forgot ends all the same.
                let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
                let (serve, seen) = (Arc::clone(&serve), seen.clone());
                connections.push(std::thread::spawn(move || serve(stream, &seen)));
            }
            for connection in connections {
                let _ = connection.join();
            }
        });
        Server {
            address,
            heads,
            stop,
            thread: Some(thread),
        }
    }

    /// Reads a request from each connection, then calls `answer`.
    pub fn http(answer: impl Fn(&mut dyn Stream) + Send + Sync + 'static) -> Server {
        Server::raw(move |mut stream, heads| {
            if heads.read(&mut stream) {
                answer(&mut stream);
            }
        })
    }

    /// Sends this to each request.
    pub fn answering(text: &'static str) -> Server {
        Server::http(move |stream| drop(stream.write_all(text.as_bytes())))
    }

    /// Answers `OK` over TLS.
    pub fn tls(config: ServerConfig) -> Server {
        Server::tls_answering(config, OK)
    }

    /// Sends this to each request, over TLS.
    pub fn tls_answering(config: ServerConfig, text: &'static str) -> Server {
        let config = Arc::new(config);
        Server::raw(move |stream, heads| {
            let session = ServerConnection::new(Arc::clone(&config)).expect("a session");
            let mut stream = StreamOwned::new(session, stream);
            if heads.read(&mut stream) {
                let _ = stream.write_all(text.as_bytes());
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        })
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }

    /// The heads of the requests met so far.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("heads").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Collects the heads of requests.
#[derive(Clone)]
pub struct Heads(Arc<Mutex<Vec<String>>>);

impl Heads {
    /// The head met last.
    pub fn last(&self) -> String {
        let heads = self.0.lock().expect("heads");
        heads.last().cloned().unwrap_or_default()
    }

    /// Reads one request, its body included. False when the connection ends before.
    pub fn read(&self, stream: &mut impl Read) -> bool {
        let mut bytes = Vec::new();
        let mut one = [0];
        while !bytes.ends_with(b"\r\n\r\n") {
            match stream.read(&mut one) {
                Ok(1) => bytes.push(one[0]),
                _ => return false,
            }
        }
        // Byte by byte as Latin-1, which header values are.
        let head: String = bytes.iter().map(|&byte| char::from(byte)).collect();
        let length = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, value)| value.parse().expect("a number"));
        let mut body = vec![0; length];
        if stream.read_exact(&mut body).is_err() {
            return false;
        }
        self.0.lock().expect("heads").push(head);
        true
    }
}

/// Waits until the other side closes.
pub fn until_closed(stream: &mut dyn Stream) {
    let mut sink = [0; 1024];
    while stream.read(&mut sink).is_ok_and(|got| got > 0) {}
}

/// A port at which connections are refused for as long as the socket lives: bound, but no one listens.
pub fn closed_port() -> (socket2::Socket, SocketAddr) {
    let socket =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).expect("a port");
    let address = socket.local_addr().expect("an address");
    (socket, address.as_socket().expect("an address"))
}
