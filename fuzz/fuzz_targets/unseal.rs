//! Bytes that stand where a store keeps its entries: whoever put them there, they are understood or ignored.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use p21auth::secret::Secret;
use p21auth::store::{seal, understand};

static KEYS: LazyLock<seal::Keys> = LazyLock::new(|| {
    let key = Secret::new("00000000-0000-4000-8000-00000000000A");
    seal::Keys::derive(&[7; 16], "https://p21.example.com", &key, &Secret::default()).expect("keys")
});

fuzz_target!(|bytes: &[u8]| {
    for which in [seal::Which::Token, seal::Which::Denial] {
        understand(&KEYS, which, bytes);
        // What is sealed and opened again is a record of any bytes.
        if let Ok(entry) = KEYS.seal(which, 0, bytes) {
            understand(&KEYS, which, &entry);
        }
    }
});
