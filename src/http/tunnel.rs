//! Asks a proxy for a tunnel by hand and reads what it answers: its status and the schemes in `Proxy-Authenticate`.
//!
//! The HTTP stack says only that a `CONNECT` failed, so after such a failure one more is made to tell a person why. The
//! doctor does the same.

use std::io::{self, Read as _};

use zeroize::Zeroizing;

use super::proxy::ProxyRoute;
use super::stream::Stream;

/// Longest head of an answer that is looked at, in bytes.
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

/// Asks the proxy at the other end of `stream` for a tunnel to `target` (`host:port`), with its user and password only if
/// `with_user`. What is not HTTP is `InvalidData`.
pub(super) fn open(
    stream: &mut Stream,
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
    stream.send(request.as_bytes())?;
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    loop {
        let got = stream.read(&mut piece)?;
        if got == 0 && head.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
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
