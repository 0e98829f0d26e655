//! The C API, called as C calls it, from Rust.
#![allow(unsafe_code, reason = "these are C's functions")]

mod flow;
mod support;
