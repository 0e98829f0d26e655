//! Configuration: one table of options, the textual [`Config`] that a caller fills, and the typed [`Settings`] made of it.

mod base_url;
mod config;
mod dotenv;
mod layers;
mod profiles;
mod proxy;
mod resolve;
mod settings;
mod table;

pub use base_url::BaseUrl;
pub(crate) use base_url::is_loopback;
pub use config::Config;
pub(crate) use config::refuse_if_set_uid;
pub use dotenv::{Dotenv, parse as parse_dotenv};
pub use profiles::{Profile, parse_profiles, profiles_file};
pub(crate) use proxy::{NoProxy, read_proxy};
#[cfg(feature = "store-file")]
pub(crate) use settings::file_url;
pub use settings::{AuthMode, Pin, ProxyChoice, Resolve, TlsTrust, TransportSettings};
pub(crate) use settings::{ConsumerHeaders, Credential, Settings, StoreChoice, StoreSettings};
pub use table::{Kind, OPTIONS, OptionRow};
pub(crate) use table::{near_misses, options_json};

/// The items of a list: commas, semicolons and blanks divide them.
fn list(text: &str) -> Vec<String> {
    text.split(|c: char| c == ',' || c == ';' || c.is_whitespace())
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}
