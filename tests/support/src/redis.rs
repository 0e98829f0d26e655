//! A real Redis server for a test, on a port of its own, and a wire tap before it.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use redis::{Cmd, FromRedisValue};

/// A server that ends with its owner and leaves nothing behind.
pub struct RedisServer {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
    options: Vec<String>,
}

impl RedisServer {
    pub fn start() -> RedisServer {
        RedisServer::start_with(&[])
    }

    /// With further options of the server, such as `["--requirepass", "secret"]`.
    pub fn start_with(options: &[&str]) -> RedisServer {
        let folder = tempfile::tempdir().expect("a folder");
        let options: Vec<String> = options.iter().map(|text| (*text).to_owned()).collect();
        // The server takes no port 0; should another process be faster with this one, the next is tried.
        for _ in 0..20 {
            let free = TcpListener::bind("127.0.0.1:0").expect("a port");
            let port = free.local_addr().expect("an address").port();
            drop(free);
            if let Some(child) = launch(port, folder.path(), &options) {
                return RedisServer {
                    child,
                    port,
                    folder,
                    options,
                };
            }
        }
        panic!("redis-server does not start");
    }

    /// One that speaks TLS alone, with a certificate for 127.0.0.1, and the file of the authority that signed it, in `folder`.
    pub fn start_tls(folder: &Path) -> (RedisServer, String) {
        let [ca, certificate, key] = certificates(folder);
        let options = [
            ["--tls-port", "TLS_PORT"],
            ["--tls-cert-file", &certificate],
            ["--tls-key-file", &key],
            ["--tls-ca-cert-file", &ca],
            ["--tls-auth-clients", "no"],
        ];
        (RedisServer::start_with(options.as_flattened()), ca)
    }

    /// One that watches another and keeps nothing itself.
    pub fn sentinel(of: &RedisServer) -> RedisServer {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sentinel.conf");
        let text = format!("sentinel monitor main 127.0.0.1 {} 1\n", of.port);
        std::fs::write(&path, text).expect("written");
        let path = path.to_str().expect("UTF-8");
        RedisServer::start_with(&["CONFIG", path, "--sentinel"])
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it at once; what it held is lost.
    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }

    /// Starts it again, empty, on the same port.
    pub fn restart(&mut self) {
        self.child = launch(self.port, self.folder.path(), &self.options).expect("it starts again");
    }

    /// Stops it: it still takes connections and says no word.
    pub fn hang(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    /// Lets it go on after [`RedisServer::hang`].
    pub fn go_on(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
        rustix::process::kill_process(pid, signal).expect("signalled");
    }

    /// A figure of its `INFO`.
    pub fn info(&self, name: &str) -> u64 {
        let info: String = self.query(&redis::cmd("INFO"));
        info.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or_else(|| panic!("no {name} in {info}"))
    }

    /// Asks it something.
    pub fn query<T: FromRedisValue>(&self, command: &Cmd) -> T {
        let client = redis::Client::open(self.url()).expect("a URL");
        let mut connection = client.get_connection().expect("a connection");
        command.query(&mut connection).expect("an answer")
    }

    /// What it would leave on the disk.
    pub fn dump(&self) -> Vec<u8> {
        self.query::<()>(&redis::cmd("SAVE"));
        std::fs::read(self.folder.path().join("dump.rdb")).expect("the dump")
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server, once it answers; `None` if it ended before.
fn launch(port: u16, folder: &Path, options: &[String]) -> Option<Child> {
    let tls = options.iter().any(|option| option == "--tls-port");
    let (plain, secure) = if tls { (0, port) } else { (port, 0) };
    // Another one that speaks the same: Valkey.
    let program = std::env::var_os("P21AUTH_TEST_REDIS").unwrap_or_else(|| "redis-server".into());
    let mut command = Command::new(program);
    // A file comes before all options.
    let options = match options {
        [mark, path, rest @ ..] if mark == "CONFIG" => {
            command.arg(path);
            rest
        }
        all => all,
    };
    command
        .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(["--port", &plain.to_string(), "--dir"])
        .arg(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    for option in options {
        command.arg(if option == "TLS_PORT" {
            secure.to_string()
        } else {
            option.clone()
        });
    }
    let mut child = command.spawn().unwrap_or_else(|error| {
        panic!("redis-server cannot be started ({error}): install it (Debian: apt-get install redis-server; make test does)")
    });
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        if child.try_wait().expect("its state").is_some() {
            return None;
        }
        if answers(port, tls) {
            return Some(child);
        }
        assert!(Instant::now() < end, "redis-server does not answer");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn answers(port: u16, tls: bool) -> bool {
    let Ok(mut socket) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    if tls {
        return true;
    }
    let mut reply = [0; 1];
    socket.write_all(b"PING\r\n").is_ok() && socket.read_exact(&mut reply).is_ok()
}

/// Takes connections for a server and hands `carry`, on a thread each, both directions of each: its number, whether it is that
/// of the answers, from where and to where. Returns the URL.
fn relay(
    server: &RedisServer,
    carry: impl Fn(usize, bool, TcpStream, TcpStream) + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("redis://{}", listener.local_addr().expect("an address"));
    let (port, carry) = (server.port(), Arc::new(carry));
    std::thread::spawn(move || {
        for (number, client) in listener.incoming().flatten().enumerate() {
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else {
                return;
            };
            let (from, to) = (
                client.try_clone().expect("a copy"),
                server.try_clone().expect("a copy"),
            );
            let (there, back) = (Arc::clone(&carry), Arc::clone(&carry));
            std::thread::spawn(move || there(number, false, from, to));
            std::thread::spawn(move || back(number, true, server, client));
        }
    });
    url
}

/// A proxy before a server that keeps all bytes of both directions.
pub struct Tap {
    pub url: String,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    pub fn before(server: &RedisServer) -> Tap {
        Tap::slow(server, Duration::ZERO)
    }

    /// Each answer takes so much longer.
    pub fn slow(server: &RedisServer, delay: Duration) -> Tap {
        let seen: Arc<Mutex<Vec<u8>>> = Arc::default();
        let kept = Arc::clone(&seen);
        let url = relay(server, move |_, is_answer, from, to| {
            copy(
                from,
                to,
                &kept,
                if is_answer { delay } else { Duration::ZERO },
            );
        });
        Tap { url, seen }
    }

    pub fn seen(&self) -> Vec<u8> {
        self.seen.lock().expect("unpoisoned").clone()
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, kept: &Mutex<Vec<u8>>, delay: Duration) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        kept.lock()
            .expect("unpoisoned")
            .extend_from_slice(&buffer[..length]);
        std::thread::sleep(delay);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// A balancer before a server, which may forget all connections that there are without telling either end.
pub struct Balancer {
    pub url: String,
    /// Connections made so far, and how many of them are forgotten.
    made: Arc<AtomicUsize>,
    forgotten: Arc<AtomicUsize>,
}

impl Balancer {
    pub fn before(server: &RedisServer) -> Balancer {
        let (made, forgotten) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (count, before) = (Arc::clone(&made), Arc::clone(&forgotten));
        let url = relay(server, move |number, _, from, to| {
            count.fetch_max(number + 1, Ordering::SeqCst);
            carry(from, to, number, &before);
        });
        Balancer {
            url,
            made,
            forgotten,
        }
    }

    pub fn made(&self) -> usize {
        self.made.load(Ordering::SeqCst)
    }

    /// From now on nothing goes through the connections that there are.
    pub fn forget(&self) {
        self.forgotten.store(self.made(), Ordering::SeqCst);
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, number: usize, forgotten: &AtomicUsize) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if number >= forgotten.load(Ordering::SeqCst) && to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    if number >= forgotten.load(Ordering::SeqCst) {
        let _ = to.shutdown(Shutdown::Both);
    }
}

/// A server that takes connections and never says a word.
pub fn silent_server() -> (String, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("redis://{}", listener.local_addr().expect("an address"));
    (url, listener)
}

/// PEM files of a CA and of a server certificate for 127.0.0.1 that it signed: CA, certificate, key.
fn certificates(folder: &Path) -> [String; 3] {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let key = KeyPair::generate().expect("a key");
    let mut ca = CertificateParams::new(Vec::new()).expect("parameters");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&key).expect("a CA").pem();
    let issuer = Issuer::from_params(&ca, &key);
    let leaf_key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()])
        .expect("parameters")
        .signed_by(&leaf_key, &issuer)
        .expect("a certificate");
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    [
        write("ca.pem", &ca_pem),
        write("leaf.pem", &leaf.pem()),
        write("leaf.key", &leaf_key.serialize_pem()),
    ]
}
