//! Which TLS an old server would take: one hello that offers the versions and cipher suites of its time.
//!
//! The TLS library here speaks 1.2 and 1.3 with modern suites alone, so of a server that has none of them it learns nothing
//! but *no*. This hello is never answered further: the connection ends with the server's choice.

use std::io::Read as _;

use rustls::ProtocolVersion;

use super::super::stream::Stream;

/// TLS 1.2, the newest offered; a server that has only 1.1 or 1.0 answers with that.
const NEWEST: u16 = 0x0303;

/// What Windows Server 2008 to 2012 R2 have, the better first; the TLS library knows the names of its own suites alone.
const SUITES: [(u16, &str); 22] = [
    (0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    (0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
    (0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
    (0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
    (0xc024, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384"),
    (0xc023, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"),
    (0xc028, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384"),
    (0xc027, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256"),
    (0xc00a, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"),
    (0xc009, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"),
    (0xc014, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"),
    (0xc013, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"),
    (0x009f, "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384"),
    (0x009e, "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"),
    (0x009d, "TLS_RSA_WITH_AES_256_GCM_SHA384"),
    (0x009c, "TLS_RSA_WITH_AES_128_GCM_SHA256"),
    (0x003d, "TLS_RSA_WITH_AES_256_CBC_SHA256"),
    (0x003c, "TLS_RSA_WITH_AES_128_CBC_SHA256"),
    (0x0035, "TLS_RSA_WITH_AES_256_CBC_SHA"),
    (0x002f, "TLS_RSA_WITH_AES_128_CBC_SHA"),
    (0x000a, "TLS_RSA_WITH_3DES_EDE_CBC_SHA"),
    (0x0005, "TLS_RSA_WITH_RC4_128_SHA"),
];

/// Curves P-256, P-384 and P-521.
const GROUPS: [u16; 3] = [23, 24, 25];

/// RSA and ECDSA with SHA-256, SHA-384, SHA-512 and SHA-1.
const SIGNATURES: [u16; 8] = [
    0x0401, 0x0501, 0x0601, 0x0201, 0x0403, 0x0503, 0x0603, 0x0203,
];

/// Longest answer that is looked at, in bytes; the choice is at its start.
const MAX_ANSWER: usize = 512;

/// The version and cipher suite that the server chooses, by name; `None` if it chooses none.
pub(super) fn ask(mut stream: Stream, host: &str) -> Option<(String, String)> {
    stream.send(&hello(host)).ok()?;
    let mut answer = Vec::new();
    let mut piece = [0; 256];
    loop {
        let got = stream.read(&mut piece).ok()?;
        answer.extend_from_slice(&piece[..got]);
        if let Some((version, suite)) = choice(&answer) {
            let version = ProtocolVersion::from(version);
            let known = SUITES.iter().find(|(number, _)| *number == suite);
            let suite = known.map_or_else(
                || format!("suite {suite:#06x}"),
                |(_, name)| (*name).to_owned(),
            );
            return Some((format!("{version:?}"), suite));
        }
        if got == 0 || answer.len() > MAX_ANSWER {
            return None;
        }
    }
}

/// Whether the server answers a hello that it can only refuse: the refusal is a packet of a few bytes, where the answer to
/// any other hello has the certificates in it.
pub(super) fn is_answered(mut stream: Stream, host: &str) -> bool {
    // A suite that is no suite but a signal.
    let hello = hello_with(host, &[0x5600]);
    stream.send(&hello).is_ok() && stream.read(&mut [0; 8]).is_ok_and(|got| got > 0)
}

fn u16s(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_be_bytes()).collect()
}

/// `bytes` after their length in this many bytes. What is sent here is far shorter than a length can say.
fn counted(width: usize, bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(0).to_be_bytes();
    [&length[4 - width..], bytes].concat()
}

fn extension(number: u16, content: &[u8]) -> Vec<u8> {
    [number.to_be_bytes().to_vec(), counted(2, content)].concat()
}

fn hello(host: &str) -> Vec<u8> {
    hello_with(host, &SUITES.map(|(number, _)| number))
}

/// A `ClientHello` in its record. The random part is fixed: no secret will ever be made with it.
fn hello_with(host: &str, suites: &[u16]) -> Vec<u8> {
    let mut extensions = Vec::new();
    // An address is no server name.
    if host.parse::<std::net::IpAddr>().is_err() {
        let name = [vec![0], counted(2, host.as_bytes())].concat();
        extensions.extend(extension(0, &counted(2, &name)));
    }
    extensions.extend(extension(10, &counted(2, &u16s(&GROUPS))));
    // Uncompressed points.
    extensions.extend(extension(11, &counted(1, &[0])));
    extensions.extend(extension(13, &counted(2, &u16s(&SIGNATURES))));
    // No renegotiation is under way.
    extensions.extend(extension(0xff01, &counted(1, &[])));
    let body = [
        NEWEST.to_be_bytes().to_vec(),
        b"p21auth doctor: which TLS, then?".to_vec(),
        counted(1, &[]),
        counted(2, &u16s(suites)),
        // No compression.
        counted(1, &[0]),
        counted(2, &extensions),
    ]
    .concat();
    let message = [vec![1], counted(3, &body)].concat();
    [vec![22, 3, 1], counted(2, &message)].concat()
}

/// Version and suite in the `ServerHello` at the start of `answer`; `None` while it is incomplete, or if it is none.
fn choice(answer: &[u8]) -> Option<(u16, u16)> {
    // Record: type, version, length; message: type, length; then version, 32 random bytes, a session, the suite.
    let u16_at = |at: usize| Some(u16::from_be_bytes([*answer.get(at)?, *answer.get(at + 1)?]));
    if answer.first() != Some(&22) || answer.get(5) != Some(&2) {
        return None;
    }
    let version = u16_at(9)?;
    let session = usize::from(*answer.get(43)?);
    Some((version, u16_at(44 + session)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server's hello with a session of this many bytes.
    fn answer(version: u16, session: u8, suite: u16) -> Vec<u8> {
        let mut body = version.to_be_bytes().to_vec();
        body.extend([7; 32]);
        body.extend(counted(1, &vec![9; usize::from(session)]));
        body.extend(suite.to_be_bytes());
        body.push(0);
        let message = [vec![2], counted(3, &body)].concat();
        [vec![22, 3, 1], counted(2, &message)].concat()
    }

    #[test]
    fn a_choice_is_read_once_it_is_there() {
        for session in [0, 32] {
            let whole = answer(0x0301, session, 0x002f);
            let enough = whole.len() - 1;
            assert_eq!(choice(&whole[..enough]), Some((0x0301, 0x002f)));
            for cut in 0..enough {
                assert_eq!(choice(&whole[..cut]), None, "{cut}");
            }
        }
    }

    #[test]
    fn alerts_and_other_protocols_are_no_choice() {
        for other in [
            &b"\x15\x03\x01\x00\x02\x02\x28"[..],
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"",
        ] {
            assert_eq!(choice(other), None);
        }
    }

    #[test]
    fn lengths_fit_and_only_names_are_named() {
        for (host, named) in [
            ("p21.example.com", true),
            ("10.1.2.3", false),
            ("::1", false),
        ] {
            let hello = hello(host);
            let record = usize::from(u16::from_be_bytes([hello[3], hello[4]]));
            assert_eq!(record + 5, hello.len());
            let message = usize::from(u16::from_be_bytes([hello[7], hello[8]]));
            assert_eq!(message + 9, hello.len());
            let text = host.as_bytes();
            assert_eq!(hello.windows(text.len()).any(|part| part == text), named);
        }
    }
}
