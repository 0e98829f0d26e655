//! The C boundary: one file per concept, each exported function as `include/p21auth.h` declares it.
//!
//! The header is generated from this module: doc comments on exported items are its prose, the text at the head of each
//! file is the introduction of its section. So they speak to someone who writes C.
//!
//! What a caller hands over is checked as far as C allows: handles are looked up and never followed, NULL is refused,
//! text must be UTF-8. What remains is the caller's promise and the safety condition of every function here: a pointer
//! that is not NULL and not a handle points to memory of the stated size that no one else writes to during the call, and
//! text ends with a NUL.
#![allow(unsafe_code, reason = "this is where C's pointers come in and go out")]
#![allow(
    rustdoc::bare_urls,
    reason = "the doc comments are the C header's, which knows no Markdown"
)]
#![allow(non_camel_case_types, reason = "the names are those of the C header")]
#![allow(
    clippy::missing_safety_doc,
    reason = "the doc comments are the C header's; the condition is the same everywhere and stands in the module's text"
)]
#![allow(
    clippy::doc_markdown,
    reason = "C comments have no markup; backticks would stay in the header"
)]

mod arena;
mod args;
mod client;
mod config;
mod doctor;
mod error;
mod flags;
mod guard;
mod handle;
mod library;
mod log;
mod objects;
#[cfg(test)]
mod panics;
mod snapshot;
mod status;
mod string;
mod token;
mod types;

pub use client::*;
pub use config::*;
pub use doctor::*;
pub use error::*;
pub use flags::*;
pub use library::*;
pub use log::*;
pub use snapshot::*;
pub use status::*;
pub use token::*;
pub use types::*;

#[cfg(feature = "panic-injection")]
pub use guard::p21_test_panic;
