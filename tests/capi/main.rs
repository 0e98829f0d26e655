//! The C API, called as C calls it, from Rust.
#![allow(unsafe_code, reason = "these are C's functions")]
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "what each call is given stands right above it"
)]

#[path = "../common/mod.rs"]
mod common;

mod flow;
#[cfg(unix)]
mod fork;
mod integers;
mod misuse;
mod support;
mod waiting;
