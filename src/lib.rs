//! Access tokens for the Epicor Prophet 21 APIs: fetched once, shared by all threads, renewed before they expire.
//!
//! Prophet 21 (P21) serves its APIs behind Bearer tokens. Each token request opens a middleware session on the server and may
//! end others, so a client should send few of them. A [`Client`] of this crate fetches a token when it is first needed, returns
//! it to every thread in a few nanoseconds, and refreshes it in the background before it expires. It sends one request no
//! matter how many threads wait, and one per cool-down if the credentials are wrong.
//!
//! ```no_run
//! // P21_BASE_URL and P21_USERNAME, P21_PASSWORD (or P21_CONSUMER_KEY) are set in the environment.
//! let client = p21auth::default_client()?;
//! let token = client.token()?;
//! let header = token.with_scheme(); // "Bearer …", for the Authorization header
//! # let _ = header;
//! # Ok::<(), p21auth::Error>(())
//! ```
//!
//! When an API rejects the token, report it to the client, which knows whether another token can help.
//!
//! ```no_run
//! # let client = p21auth::default_client()?;
//! # let (status, body) = (401, b"");
//! use p21auth::Verdict;
//!
//! let token = client.token()?;
//! // … the API returned `status` and `body` for a call with this token …
//! match client.report(token.value(), status, body)? {
//!     Verdict::Retry => { /* client.token() again, then the call once more */ }
//!     verdict => eprintln!("{}", verdict.hint()),
//! }
//! # Ok::<(), p21auth::Error>(())
//! ```
//!
//! To find out why something does not work, see [`doctor`].
//!
//! The C interface (`include/p21auth.h`) has the same functions behind checked handles. The command line tool and the emulator
//! of a P21 server are separate crates, `cli` and `emulator`.
//!
//! # Threads, forks and async
//!
//! A [`Client`] may be shared between threads. Requests run on the library's own threads, so it may be used inside an async
//! runtime: a hit never blocks, and a call that would block can be made with [`TokenOptions::no_wait`]. After `fork` a child
//! keeps the cached tokens and can fetch new ones.
//!
//! This project is not affiliated with Epicor Software Corporation.

#![warn(unreachable_pub)]
#![cfg_attr(not(test), deny(clippy::disallowed_types))]

/// A table of tuples, however long its texts are.
macro_rules! rows {
    ($($first:expr => $($more:expr),+;)+) => { [$(($first, $($more),+)),+] };
}

mod cache;
mod capi;
mod client;
mod clock;
pub mod doctor;
mod error;
mod fork;
mod http;
pub mod log;
mod options;
mod retry;
mod secret;
mod sources;
#[cfg_attr(
    not(all(feature = "store-file", feature = "store-redis")),
    allow(dead_code, reason = "each store uses its part")
)]
mod store;
mod sync;
mod sys;
mod token;
mod wire;

pub use client::{Client, TokenOptions, default_client};
pub use error::{Code, Error, Result};
pub use options::Config;
pub use token::Token;
pub use wire::Verdict;

/// For the command line tool, tests, fuzzers and benchmarks of this project. Not part of the API: anything here may change in
/// any release.
#[doc(hidden)]
pub mod internal {
    pub use crate::doctor::{report_of, span, step_of};

    pub mod cache {
        pub use crate::cache::{Spawn, ThreadSpawner};
    }
    pub mod capi {
        pub use crate::capi::*;
    }
    pub mod client {
        pub use crate::client::{ApiCall, Asked, FIELDS, OwnEntry, Runtime, StoreEntry};
    }
    pub mod clock {
        pub use crate::clock::{Clock, ManualClock, Now, SystemClock};
    }
    pub mod http {
        pub use crate::http::{HttpTransport, Limits, Transport, proxy_origin, transport_for};
    }
    pub mod options {
        pub use crate::options::{
            AuthMode, BaseUrl, Dotenv, Kind, OPTIONS, OptionRow, Pin, Profile, ProxyChoice,
            Resolve, TlsTrust, TransportSettings, parse_dotenv, parse_profiles, profiles_file,
        };
    }
    pub mod secret {
        pub use crate::secret::{Scrubber, Secret, fingerprint, hex};
    }
    pub mod sources {
        pub use crate::sources::{read_named, shown};
    }
    pub mod store {
        pub use crate::store::{EntryKind, seal, understand};
    }
    pub mod token {
        pub use crate::token::{Claims, Life, is_header_token, is_jwt, jwt_claims, without_scheme};
    }
    #[cfg(windows)]
    pub mod windows {
        pub use crate::sys::{Unseen, delete_credential, write_credential};
    }
    pub mod wire {
        pub use crate::wire::{
            Method, Rejection, Request, Response, classify_rejection, is_transient,
            parse_response_json, parse_token_body, redirect, token_reply, token_request,
            ui_url_reply,
        };
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
