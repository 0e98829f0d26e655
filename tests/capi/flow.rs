//! The ordinary way of a program: configuration, client, token, report, error.

use std::ptr;

use p21auth::capi::*;

use crate::support::*;

#[test]
fn a_token_is_asked_for_once_and_comes_with_or_without_its_scheme() {
    let emulator = emulator();
    let client = Client::demo(&emulator);
    let token = client.get(0).expect("a token");
    assert_eq!(client.get(0).expect("cached"), token);
    let header = client.get(P21_WITH_SCHEME).expect("cached");
    assert_eq!(header, format!("Bearer {token}"));
    assert_eq!(emulator.control().counter("token.requests"), 1);
    assert_eq!(client.stats()["counters"]["token_requests"], 1);
}
