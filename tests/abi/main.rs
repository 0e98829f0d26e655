//! The C API, called as C calls it, from Rust.
#![allow(unsafe_code, reason = "these are C's functions")]
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "what each call is given stands right above it"
)]

#[cfg(target_os = "linux")]
mod c_programs;
mod default_client;
mod flow;
#[cfg(unix)]
mod fork;
mod integers;
#[cfg(target_os = "linux")]
mod limits;
mod misuse;
#[cfg(target_os = "linux")]
mod shared_library;
mod waiting;
