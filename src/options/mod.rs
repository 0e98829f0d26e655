//! Configuration: one table of options, the textual [`Config`] that a caller fills, and the typed [`Settings`] made of it.

mod base_url;
mod config;
mod dotenv;
mod resolve;
mod settings;
mod table;

pub use base_url::BaseUrl;
pub use config::Config;
pub(crate) use config::refuse_if_set_uid;
pub use dotenv::parse as parse_dotenv;
#[cfg(feature = "store-file")]
pub(crate) use settings::file_url;
pub use settings::{AuthMode, Pin, ProxyChoice, Resolve, TlsTrust, TransportSettings};
pub(crate) use settings::{ConsumerHeaders, Credential, Settings, StoreChoice, StoreSettings};
pub use table::{Kind, OPTIONS, OptionRow};
pub(crate) use table::{near_misses, options_json};
