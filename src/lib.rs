//! Access tokens for Epicor Prophet 21 APIs: fetched once, shared by every thread, always valid.
//!
//! Prophet 21 (P21) serves its APIs behind Bearer tokens. Each token request opens a middleware session on the server and may
//! end others, so the first duty of a client is to ask once. This crate does: a [`Client`] fetches a token when one is first
//! needed, hands it to every thread at the cost of a few nanoseconds, refreshes it in the background before it expires, and
//! asks the server once however many threads wait, and once for each cool-down when the credentials are wrong.
//!
//! ```no_run
//! // P21_BASE_URL and P21_USERNAME, P21_PASSWORD (or P21_CONSUMER_KEY) are set in the environment.
//! let client = p21auth::Client::from_env("P21_")?;
//! let token = client.token()?;
//! let header = token.with_scheme(); // "Bearer …", for the Authorization header
//! # let _ = header;
//! # Ok::<(), p21auth::Error>(())
//! ```
//!
//! When an API rejects the token, tell the client: it knows whether another token can help.
//!
//! ```no_run
//! # let client = p21auth::Client::from_env("P21_")?;
//! # let (status, body) = (401, b"");
//! use p21auth::Verdict;
//!
//! let token = client.token()?;
//! // … the API answered `status` and `body` to a call with this token …
//! match client.report(token.value(), status, body)? {
//!     Verdict::Retry => { /* client.token() again, then the call once more */ }
//!     verdict => eprintln!("{}", verdict.hint()),
//! }
//! # Ok::<(), p21auth::Error>(())
//! ```
//!
//! # Where things are
//!
//! | Module | What it does |
//! |---|---|
//! | [`options`] | the option table, textual [`Config`], typed settings |
//! | [`wire`] | the protocol as pure functions: settings to request, bytes to token, rejection to verdict |
//! | [`http`], [`retry`] | how bytes reach the server, and how often that is tried |
//! | [`cache`] | slots and flights; [`cache::decide`] has the whole decision, a pure function |
//! | [`client`] | ties them together |
//! | [`token`], [`secret`], [`clock`], [`error`], [`log`] | what they all speak of |
//!
//! The C interface (`include/p21auth.h`) is these same functions behind checked handles. The command line tool and the emulator
//! of a P21 server are crates of their own, `cli` and `emulator`.
//!
//! # Threads, forks and async
//!
//! A [`Client`] is shared freely between threads. Requests run on threads of the library's own, so it may be used inside an
//! async runtime: a hit never blocks, and a call that would block can be made with [`TokenOptions::no_wait`]. After `fork` a
//! child keeps the cached tokens and can fetch new ones.
//!
//! This project is not affiliated with Epicor Software Corporation.

#![cfg_attr(not(test), deny(clippy::disallowed_types))]

pub mod cache;
pub mod capi;
pub mod client;
pub mod clock;
pub mod doctor;
pub mod error;
mod fork;
pub mod http;
pub mod log;
pub mod options;
pub mod retry;
pub mod secret;
pub mod store;
mod sync;
mod sys;
pub mod token;
pub mod wire;

pub use client::{Client, Runtime, TokenOptions};
pub use error::{Code, Error, Result};
pub use options::Config;
pub use token::Token;
pub use wire::Verdict;

/// For the command line tool, tests, fuzzers and benchmarks of this project. Not part of the API: anything here may change in
/// any release.
#[doc(hidden)]
pub mod internal {
    use crate::doctor::{Outcome, Report, Step};

    /// `23 h 59 min`: the two largest units.
    #[must_use]
    pub fn span(seconds: i64) -> String {
        crate::doctor::span(seconds)
    }

    /// A step as an examination makes it.
    #[must_use]
    pub fn step_of(id: &'static str, outcome: Outcome, saw: &str) -> Step {
        Step::new(id, outcome, saw)
    }

    /// A report as an examination makes it.
    #[must_use]
    pub fn report_of(steps: Vec<Step>, token_requests: u32) -> Report {
        Report::new(steps, token_requests)
    }
}

/// The Rust blocks of the pages, compiled as doc tests.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/errors.md")]
    struct Errors;
    #[doc = include_str!("../docs/fork-threads-unload.md")]
    struct ForkThreadsUnload;
}
