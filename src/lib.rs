//! Access tokens for Epicor Prophet 21 APIs: fetched once, shared by every thread, always valid.

pub mod cache;
pub mod client;
pub mod clock;
pub mod error;
mod fork;
pub mod http;
pub mod log;
#[cfg(feature = "mock")]
pub mod mock;
pub mod options;
pub mod retry;
pub mod secret;
mod sys;
pub mod token;
pub mod wire;

pub use client::{Client, Runtime, TokenOptions};
pub use error::{Code, Error, Result};
pub use options::Config;
