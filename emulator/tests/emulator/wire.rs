//! A client of one connection, as simple as can be.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use p21_emulator::Emulator;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};

use crate::V2;

pub trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

/// One connection to an emulator.
pub struct Client(pub BufReader<Box<dyn Wire>>);

pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, v)| v.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub fn token(&self) -> String {
        self.json()["AccessToken"].as_str().unwrap().to_owned()
    }
}

impl Client {
    pub fn new(emulator: &Emulator) -> Self {
        Self::at(emulator.address())
    }

    pub fn at(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        Self(BufReader::new(Box::new(socket)))
    }

    pub fn tls(emulator: &Emulator) -> io::Result<(Self, String)> {
        use sha2::{Digest, Sha256};
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(emulator.ca_pem().unwrap().as_bytes()).unwrap();
        roots.add(ca).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::from(emulator.address().ip());
        let mut session = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut socket = TcpStream::connect(emulator.address())?;
        while session.is_handshaking() {
            session.complete_io(&mut socket)?;
        }
        let leaf = Sha256::digest(&session.peer_certificates().unwrap()[0]);
        let leaf = leaf
            .iter()
            .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        let stream = StreamOwned::new(session, socket);
        Ok((Self(BufReader::new(Box::new(stream))), leaf))
    }

    pub fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) {
        let mut all = vec![("Host", "p21")];
        all.extend(headers);
        self.send_as(method, target, &all, body);
    }

    /// With a `Host` header of one's own.
    pub fn send_as(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) {
        let mut text = format!("{method} {target} HTTP/1.1\r\n");
        for (name, value) in headers {
            text += &[name, ": ", value, "\r\n"].concat();
        }
        if let Some(body) = body {
            text += &["Content-Length: ", &body.len().to_string(), "\r\n"].concat();
        }
        text += "\r\n";
        text += body.unwrap_or_default();
        let stream = self.0.get_mut();
        stream.write_all(text.as_bytes()).unwrap();
        stream.flush().unwrap();
    }

    pub fn head(&mut self) -> io::Result<Answer> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            line.clear();
            self.0.read_line(&mut line)?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) => headers.push((name.to_owned(), value.to_owned())),
                None => {
                    return Ok(Answer {
                        status,
                        headers,
                        body: Vec::new(),
                    });
                }
            }
        }
    }

    pub fn answer(&mut self) -> io::Result<Answer> {
        let mut answer = self.head()?;
        let length = answer.header("content-length").unwrap().parse().unwrap();
        answer.body = vec![0; length];
        self.0.read_exact(&mut answer.body)?;
        Ok(answer)
    }

    pub fn call(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Answer {
        self.send(method, target, headers, body);
        self.answer().unwrap()
    }

    /// A V2 request for JSON.
    pub fn ask(&mut self, body: &str) -> Answer {
        let headers = [
            ("Accept", "application/json"),
            ("Content-Type", "application/json"),
        ];
        self.call("POST", V2, &headers, Some(body))
    }

    pub fn ask_with_key(&mut self, key: &str, user: Option<&str>) -> Answer {
        let mut body = json!({"ClientSecret": key, "GrantType": "client_credentials"});
        if let Some(user) = user {
            body["username"] = json!(user);
        }
        self.ask(&body.to_string())
    }

    pub fn api(&mut self, method: &str, target: &str, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("Accept", "application/json"),
            ("Authorization", bearer.as_str()),
        ];
        let body = (method == "POST").then_some("{}");
        self.call(method, target, &headers, body)
    }

    pub fn get(&mut self, target: &str, token: &str) -> Answer {
        self.api("GET", target, token)
    }
}
