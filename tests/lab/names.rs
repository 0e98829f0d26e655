//! A name server, which answers what the test says at that moment.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

/// What it says of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// These addresses.
    At(Vec<IpAddr>),
    /// Not a word.
    Nothing,
    /// That it failed.
    Failed,
    /// That there is no such name.
    Unknown,
}

/// The server, on 10.99.0.53.
#[derive(Clone)]
pub struct Names(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    names: BTreeMap<String, Says>,
    /// Instead of all names.
    all: Option<Says>,
    asked: BTreeMap<String, usize>,
}

impl Names {
    pub fn start() -> Names {
        let socket = UdpSocket::bind("10.99.0.53:53").expect("the network is this test's own");
        let names = Names(Arc::default());
        let state = names.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 1500];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                state.answer(&socket, &buffer[..length], peer);
            }
        });
        names
    }

    fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on it says this of that name.
    pub fn say(&self, name: &str, says: Says) {
        self.with(|state| state.names.insert(name.to_owned(), says));
    }

    /// The name has these addresses.
    pub fn at(&self, name: &str, addresses: &[&str]) {
        let parsed = addresses
            .iter()
            .map(|text| text.parse().expect("an address"));
        self.say(name, Says::At(parsed.collect()));
    }

    /// From now on it says this of every name; `None`: what it said before.
    pub fn say_of_all(&self, says: Option<Says>) {
        self.with(|state| state.all = says);
    }

    /// How often the IPv4 addresses of this name were asked for.
    pub fn asked(&self, name: &str) -> usize {
        self.with(|state| state.asked.get(name).copied().unwrap_or(0))
    }

    fn answer(&self, socket: &UdpSocket, query: &[u8], peer: SocketAddr) {
        let Some((name, kind, end)) = question(query) else {
            return;
        };
        let says = self.with(|state| {
            if kind == A {
                *state.asked.entry(name.clone()).or_default() += 1;
            }
            let known = state.all.as_ref().or_else(|| state.names.get(&name));
            known.cloned().unwrap_or(Says::Unknown)
        });
        let (code, addresses) = match says {
            Says::At(addresses) => (0, addresses),
            Says::Nothing => return,
            Says::Failed => (2, Vec::new()),
            Says::Unknown => (3, Vec::new()),
        };
        let records: Vec<Vec<u8>> = addresses
            .iter()
            .filter_map(|address| match (address, kind) {
                (IpAddr::V4(address), A) => Some(address.octets().to_vec()),
                (IpAddr::V6(address), AAAA) => Some(address.octets().to_vec()),
                _ => None,
            })
            .collect();
        let mut reply = query[..2].to_vec();
        reply.extend([0x81, 0x80 | code, 0, 1, 0]);
        reply.push(u8::try_from(records.len()).expect("few"));
        reply.extend([0; 4]);
        reply.extend(&query[12..end]);
        for record in records {
            reply.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 0, 0]);
            reply.push(u8::try_from(record.len()).expect("an address"));
            reply.extend(record);
        }
        let _ = socket.send_to(&reply, peer);
    }
}

const A: u8 = 1;
const AAAA: u8 = 28;

/// The name that is asked for, the kind of record, and where the question ends.
fn question(query: &[u8]) -> Option<(String, u8, usize)> {
    let (mut at, mut labels) = (12, Vec::new());
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        let label = query.get(at..at + length)?;
        labels.push(String::from_utf8_lossy(label).to_lowercase());
        at += length;
    }
    Some((labels.join("."), *query.get(at + 1)?, at + 4))
}
