//! The client against parts that stand between it and P21 in the field: nginx before the middleware, squid on the way out,
//! IPv6, names that resolve to somewhere else, servers that break off. The tests start what they need on loopback, with
//! folders and ports of their own, and end it.
//!
//! A test that misses a program or an address fails and says which Debian package or setting brings it.
#![cfg(unix)]

mod network;
mod through_nginx;
mod through_squid;

use std::path::{Path, PathBuf};

use p21auth::Code;
use p21auth::{Client, Config, Error, TokenOptions};
use tempfile::TempDir;

use test_support::{PASSWORD, USER};

/// A new token although the one at hand is good.
const FORCE: TokenOptions = TokenOptions {
    force_refresh: true,
    cached_only: false,
    no_wait: false,
    wait: None,
    min_valid: std::time::Duration::ZERO,
};

/// The emulator's default user at this base URL, without a proxy or a pause between refreshes unless `options` say so.
fn client(base_url: &str, options: &[(&str, &str)]) -> Client {
    let mut config = Config::new();
    let defaults = [
        ("base_url", base_url),
        ("proxy", "direct"),
        ("min_refresh_interval_s", "0"),
    ];
    let own = options
        .iter()
        .any(|(name, _)| matches!(*name, "consumer_key" | "username"));
    let user: &[_] = if own {
        &[]
    } else {
        &[("username", USER), ("password", PASSWORD)]
    };
    for (name, value) in defaults.iter().chain(user).chain(options) {
        config.set(name, Some(value)).expect("valid");
    }
    Client::open(&config).expect("a client")
}

/// The error of a client that gets no token: its code, what its message and its hint hold. Never a secret.
#[track_caller]
fn refused(client: &Client, code: Code, message: &[&str], hint: &[&str]) -> Error {
    let error = client.token().expect_err("no token");
    check(&error, code, message, hint);
    error
}

#[track_caller]
fn check(error: &Error, code: Code, message: &[&str], hint: &[&str]) {
    let secrets = [PASSWORD, test_support::KEY];
    test_support::error_is(error, code, message, hint, &secrets);
}

fn stats(client: &Client) -> serde_json::Value {
    serde_json::from_str(&client.stats().expect("open")).expect("JSON")
}

/// Writes a file into this folder and returns its path.
fn put(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("written");
    path
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}
