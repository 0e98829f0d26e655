//! The emulator, driven over raw sockets: what other tests assume about it is shown here.

mod apis;
mod faults;
mod guide;
mod server;
mod tokens;
mod wire;

use std::time::Duration;

use p21_emulator::{Emulator, Options};
use serde_json::Value;

use wire::Client;

/// For waits that end by an event; only a failing test lasts this long.
const LONG: Duration = Duration::from_mins(1);
const DEMO: &str = r#"{"username":"demo","password":"demo-password"}"#;
const V2: &str = "/api/security/token/v2";
const V1: &str = "/api/security/token";
const ROUTER: &str = "/api/ui/router/v1/?urlType=external";
const TABLE: &str = "/odataservice/odata/table/customer";
const SESSIONS: &str = "/api/ui/interactive/sessions/";

fn key(n: u32) -> String {
    format!("00000000-0000-4000-8000-{n:012}")
}

fn start() -> (Emulator, Client) {
    let emulator = Emulator::start(Options::default()).unwrap();
    let client = Client::new(&emulator);
    (emulator, client)
}

fn set(emulator: &Emulator, settings: &Value) {
    let settings = settings.as_object().unwrap();
    emulator.control().configure(settings).unwrap();
}
