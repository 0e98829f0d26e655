//! Asks a proxy by hand why it refuses a tunnel.
//!
//! The HTTP stack says only that a `CONNECT` failed. What a person needs is in the answer's status and in
//! `Proxy-Authenticate`, so after such a failure one more `CONNECT` is made to read them. It is a diagnosis: whatever
//! goes wrong with it merely leaves the error less specific.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use zeroize::Zeroizing;

use super::proxy::ProxyRoute;

/// The question is not worth more time than this.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Longest answer head that is looked at, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// What a proxy answers to `CONNECT`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Authentication schemes that it offers, in lower case.
    pub(super) schemes: Vec<String>,
}

impl Answer {
    pub(super) fn offers(&self, scheme: &str) -> bool {
        self.schemes.iter().any(|offered| offered == scheme)
    }
}

/// Asks `route` for a tunnel to `target` (`host:port`), with its user and password only if `with_user`.
pub(super) fn ask(
    route: &ProxyRoute,
    addresses: Vec<SocketAddr>,
    target: String,
    with_user: bool,
    tls: Option<Arc<ClientConfig>>,
    limit: Duration,
) -> Option<Answer> {
    let (route, limit) = (route.clone(), limit.min(MAX_WAIT));
    let (sender, receiver) = mpsc::channel();
    // On a thread of its own, because a name look-up knows no deadline.
    std::thread::Builder::new()
        .name("p21auth-proxy".to_owned())
        .spawn(move || {
            let answer = converse(&route, &addresses, &target, with_user, tls, limit);
            let _ = sender.send(answer.ok());
        })
        .ok()?;
    receiver.recv_timeout(limit).ok()?
}

fn converse(
    route: &ProxyRoute,
    addresses: &[SocketAddr],
    target: &str,
    with_user: bool,
    tls: Option<Arc<ClientConfig>>,
    limit: Duration,
) -> io::Result<Answer> {
    let (host, port) = route.address();
    let address = match addresses.first() {
        Some(address) => *address,
        None => (host.as_str(), port)
            .to_socket_addrs()?
            .next()
            .ok_or(io::ErrorKind::NotFound)?,
    };
    let stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    match tls {
        None => tunnel(stream, route, target, with_user),
        Some(config) => tunnel(secured(stream, config, host)?, route, target, with_user),
    }
}

/// TLS over `stream`; the handshake comes with the first use.
pub(super) fn secured<S: Read + Write>(
    stream: S,
    config: Arc<ClientConfig>,
    host: String,
) -> io::Result<StreamOwned<ClientConnection, S>> {
    let name = ServerName::try_from(host).map_err(io::Error::other)?;
    let session = ClientConnection::new(config, name).map_err(io::Error::other)?;
    Ok(StreamOwned::new(session, stream))
}

/// Asks the proxy at the other end of `stream` for a tunnel to `target`.
pub(super) fn tunnel(
    mut stream: impl Read + Write,
    route: &ProxyRoute,
    target: &str,
    with_user: bool,
) -> io::Result<Answer> {
    let user = route
        .basic
        .as_ref()
        .filter(|_| with_user)
        .and_then(|value| value.to_str().ok());
    let request = Zeroizing::new(match user {
        Some(user) => format!(
            "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: {user}\r\n\r\n"
        ),
        None => format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"),
    });
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    loop {
        let got = stream.read(&mut piece)?;
        head.extend_from_slice(&piece[..got]);
        let complete = head.windows(4).any(|four| four == b"\r\n\r\n");
        if complete || got == 0 || head.len() > MAX_HEAD {
            return parse(&head).ok_or_else(|| io::ErrorKind::InvalidData.into());
        }
    }
}

fn parse(head: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n").take_while(|line| !line.is_empty());
    let status = lines.next()?.strip_prefix("HTTP/1.")?.get(2..5)?;
    let schemes = lines
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| name.eq_ignore_ascii_case("proxy-authenticate"))
        .flat_map(|(_, value)| schemes(value))
        .collect();
    Some(Answer {
        status: status.parse().ok()?,
        schemes,
    })
}

/// The schemes in a `Proxy-Authenticate` value: the words that are not a parameter (`realm="x, y"`) nor a token68.
pub(super) fn schemes(value: &str) -> Vec<String> {
    const KNOWN: [&str; 5] = ["basic", "digest", "ntlm", "negotiate", "kerberos"];
    value
        .split(',')
        .filter_map(|part| part.split_whitespace().next())
        .map(str::to_ascii_lowercase)
        .filter(|word| KNOWN.contains(&word.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_are_found_in_one_header_or_several() {
        let head = b"HTTP/1.1 407 Proxy Authentication Required\r\nServer: x\r\nProxy-Authenticate: Negotiate\r\nproxy-authenticate: NTLM\r\nContent-Length: 0\r\n\r\nProxy-Authenticate: Basic\r\n";
        let answer = parse(head).expect("an answer");
        assert_eq!(answer.status, 407);
        assert_eq!(answer.schemes, ["negotiate", "ntlm"]);
        assert_eq!(
            schemes("Negotiate, Basic realm=\"a, b\", NTLM"),
            ["negotiate", "basic", "ntlm"]
        );
        assert!(schemes("Bearer realm=\"basic\"").is_empty());
    }

    #[test]
    fn what_is_not_http_is_no_answer() {
        for head in [
            b"".as_slice(),
            b"SSH-2.0-x\r\n\r\n",
            b"HTTP/1.1 abc\r\n\r\n",
            b"HTTP/1.1 4",
        ] {
            assert_eq!(parse(head), None);
        }
    }
}
