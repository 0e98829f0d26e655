//! Access tokens for Epicor Prophet 21 APIs: fetched once, shared by every thread, always valid.

pub mod clock;
pub mod error;
pub mod http;
#[cfg(feature = "mock")]
pub mod mock;
pub mod options;
pub mod secret;
mod sys;
pub mod token;
pub mod wire;

pub use error::{Code, Error, Result};
pub use options::Config;
