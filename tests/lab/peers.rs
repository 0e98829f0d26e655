//! What stands at the other end, or in between: servers that say nothing, balancers, proxies.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use p21_emulator::{Emulator, Options};

/// Where the server is.
pub const SERVER: &str = "10.99.0.2";
pub const PORT: u16 = 3443;

/// A P21 server over plain http, at [`SERVER`].
pub fn server() -> Emulator {
    start(Options::default())
}

/// The same over TLS.
pub fn tls_server() -> Emulator {
    start(Options::tls())
}

/// A server with these options.
pub fn start(mut options: Options) -> Emulator {
    options.bind = SERVER.parse().expect("an address");
    options.port = PORT;
    Emulator::start(options).expect("the emulator starts")
}

/// Token requests that reached it.
pub fn requests(emulator: &Emulator) -> u64 {
    emulator.control().counter("token.requests")
}

/// Accepts connections there and never says a word.
pub fn mute(address: &str) -> Mute {
    let listener = TcpListener::bind(address).expect("free");
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::SeqCst);
            kept.push(stream);
        }
    });
    Mute(accepted)
}

/// A server that never says a word.
pub struct Mute(Arc<AtomicUsize>);

impl Mute {
    /// Connections so far.
    pub fn accepted(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Sends this to each client after its first bytes, and closes; with nothing to send it resets the connection.
pub fn answering(address: &str, text: &'static [u8]) {
    let listener = TcpListener::bind(address).expect("free");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                // Unread data makes the kernel send a reset when this is closed.
                let _ = stream.peek(&mut buffer);
                if !text.is_empty() {
                    let _ = stream.read(&mut buffer);
                    let _ = stream.write_all(text);
                    let _ = stream.shutdown(Shutdown::Write);
                    while matches!(stream.read(&mut buffer), Ok(1..)) {}
                }
            });
        }
    });
}

/// A balancer before the server. A connection that it has kept for a request leads to a sick node from then on.
pub fn balancer(address: &str) {
    const SICK: &[u8] =
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n";
    let listener = TcpListener::bind(address).expect("free");
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect((SERVER, PORT)) else {
                return;
            };
            std::thread::spawn(move || {
                let (mut buffer, mut upstream) = ([0; 8192], Some(server));
                while let Ok(length @ 1..) = client.read(&mut buffer) {
                    let done = match upstream.take() {
                        Some(mut server) => {
                            let _ = server.write_all(&buffer[..length]);
                            let mut reply = vec![0; 65536];
                            let got = server.read(&mut reply).unwrap_or(0);
                            client.write_all(&reply[..got])
                        }
                        None => client.write_all(SICK),
                    };
                    if done.is_err() {
                        return;
                    }
                }
            });
        }
    });
}

/// A forward proxy that opens tunnels, as long as it is well.
pub struct Proxy {
    mute: Arc<AtomicBool>,
}

impl Proxy {
    pub fn start(address: &str) -> Proxy {
        let listener = TcpListener::bind(address).expect("free");
        let mute = Arc::new(AtomicBool::new(false));
        let is_mute = Arc::clone(&mute);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let mute = is_mute.load(Ordering::SeqCst);
                std::thread::spawn(move || serve(client, mute));
            }
        });
        Proxy { mute }
    }

    /// From now on it takes connections and says nothing, or is well again.
    pub fn is_mute(&self, mute: bool) {
        self.mute.store(mute, Ordering::SeqCst);
    }
}

/// Opens a tunnel to the server, for any name: the proxy has a name server of its own.
fn serve(mut client: TcpStream, mute: bool) {
    let (mut head, mut byte) = (Vec::new(), [0; 1]);
    while !head.ends_with(b"\r\n\r\n") {
        match client.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    if mute {
        while matches!(client.read(&mut byte), Ok(1)) {}
        return;
    }
    let Ok(mut server) = TcpStream::connect((SERVER, PORT)) else {
        let _ = client.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
        return;
    };
    if client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").is_err() {
        return;
    }
    let (mut from, mut to) = (
        client.try_clone().expect("a copy"),
        server.try_clone().expect("a copy"),
    );
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let _ = std::io::copy(&mut server, &mut client);
    let _ = client.shutdown(Shutdown::Write);
}

/// Carries connections to that address on to a port of this machine.
pub fn forward(address: &str, port: u16) {
    let listener = TcpListener::bind(address).expect("free");
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else {
                continue;
            };
            for (mut from, mut to) in [
                (
                    client.try_clone().expect("a copy"),
                    server.try_clone().expect("a copy"),
                ),
                (server, client),
            ] {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
            }
        }
    });
}
