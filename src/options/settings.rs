//! Typed settings: a complete, checked configuration.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use url::Url;

use super::base_url::BaseUrl;
use crate::error::Result;
use crate::secret::Secret;
use crate::sources::{self, Source};

/// How to ask for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthMode {
    /// User and password as JSON, the recommended way.
    V2Password,
    /// Consumer key as JSON.
    V2Consumer,
    /// User and password in headers, for old servers.
    V1Password,
    /// Consumer key in headers, for old servers.
    V1Consumer,
    /// User and password in the URL, for very old servers.
    V1Query,
    /// The caller brings a token; no request is ever made.
    Token,
}

impl AuthMode {
    /// The option's text.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            AuthMode::V2Password => "v2_password",
            AuthMode::V2Consumer => "v2_consumer",
            AuthMode::V1Password => "v1_password",
            AuthMode::V1Consumer => "v1_consumer",
            AuthMode::V1Query => "v1_query",
            AuthMode::Token => "token",
        }
    }

    /// Whether a consumer key is used, and not a password.
    #[must_use]
    pub(crate) const fn uses_consumer_key(self) -> bool {
        matches!(self, AuthMode::V2Consumer | AuthMode::V1Consumer)
    }

    /// The option of the secret that it needs.
    pub(super) const fn needs(self) -> &'static str {
        match self {
            AuthMode::Token => "access_token",
            mode if mode.uses_consumer_key() => "consumer_key",
            _ => "password",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<AuthMode> {
        use AuthMode::{Token, V1Consumer, V1Password, V1Query, V2Consumer, V2Password};
        [
            V2Password, V2Consumer, V1Password, V1Consumer, V1Query, Token,
        ]
        .into_iter()
        .find(|mode| mode.name() == name)
    }
}

/// Which header carries the consumer key with `auth_mode=v1_consumer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConsumerHeaders {
    /// `client_secret` and `grant_type`: what the vendor's own code sends.
    ClientSecret,
    /// `consumer_key` and `grant_type`.
    ConsumerKey,
    /// `appkey`.
    AppKey,
}

impl ConsumerHeaders {
    /// The option's text.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            ConsumerHeaders::ClientSecret => "client_secret",
            ConsumerHeaders::ConsumerKey => "consumer_key",
            ConsumerHeaders::AppKey => "appkey",
        }
    }
}

/// A secret, or where it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Credential {
    /// The secret itself.
    Value(Secret),
    /// Its source, read again each time; the option's name, for errors.
    From(&'static str, Source),
}

impl Credential {
    /// The secret as it is now, read by the deadline.
    ///
    /// # Errors
    ///
    /// As [`Source::read`]. The error names option and source, never the content.
    pub(crate) fn read(&self, deadline: Instant) -> Result<Secret> {
        match self {
            Credential::Value(secret) => Ok(secret.clone()),
            Credential::From(option, source) => source.read(option, deadline),
        }
    }

    /// Option and source, when the secret is not in the settings themselves.
    pub(crate) fn source(&self) -> Option<String> {
        match self {
            Credential::Value(_) => None,
            Credential::From(option, source) => Some(source.named(option)),
        }
    }

    fn file(&self) -> Option<(&'static str, &Path)> {
        match self {
            Credential::From(option, Source::File(path)) => Some((option, path)),
            _ => None,
        }
    }

    /// Whether the secret may change under the same settings.
    #[must_use]
    pub(crate) fn may_change(&self) -> bool {
        matches!(self, Credential::From(..))
    }

    /// Whether each look at the secret runs a program.
    #[must_use]
    pub(crate) fn is_command(&self) -> bool {
        matches!(self, Credential::From(_, source) if source.is_command())
    }
}

/// SHA-256 of a certificate's DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pin(pub [u8; 32]);

/// Whom to trust over TLS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsTrust {
    /// False: any certificate, for development.
    pub verify: bool,
    /// PEM file with further certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// Exactly these certificates, sorted; empty: by their issuer.
    pub pins: Vec<Pin>,
}

/// How to find the way out.
#[derive(Clone, PartialEq, Eq)]
pub enum ProxyChoice {
    /// By the environment or the system.
    System,
    /// No proxy.
    Direct,
    /// This URL; may hold a password.
    Url(Secret),
}

impl fmt::Debug for ProxyChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl ProxyChoice {
    /// Without user and password.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            ProxyChoice::System => "system".to_owned(),
            ProxyChoice::Direct => "direct".to_owned(),
            ProxyChoice::Url(url) => without_userinfo(url.expose()),
        }
    }
}

/// A DNS answer that is overridden.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resolve {
    /// Host name, lower case.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Address to connect to.
    pub address: IpAddr,
}

/// Everything that decides how bytes reach the server. Clients that agree in it share one HTTP client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportSettings {
    /// Milliseconds to connect.
    pub connect_timeout_ms: u64,
    /// Whom to trust.
    pub tls: TlsTrust,
    /// The way out.
    pub proxy: ProxyChoice,
    /// Hosts reached without the proxy, sorted.
    pub no_proxy: Vec<String>,
    /// DNS overrides, in the order given.
    pub resolve: Vec<Resolve>,
}

/// Where tokens are shared.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreChoice {
    /// This process.
    Memory,
    /// A folder of this user on this machine; `None`: the user's cache folder.
    File(Option<PathBuf>),
    /// A Redis server; the URL may hold a password.
    Redis(Secret),
}

impl fmt::Debug for StoreChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl StoreChoice {
    /// Without user and password.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            StoreChoice::Memory => "memory".to_owned(),
            StoreChoice::File(None) => "file".to_owned(),
            StoreChoice::File(Some(folder)) => file_url(folder),
            StoreChoice::Redis(url) => without_userinfo(url.expose()),
        }
    }
}

/// A folder as it is written in `store`.
pub(crate) fn file_url(folder: &Path) -> String {
    let path = folder.display();
    if cfg!(windows) {
        format!("file:///{}", path.to_string().replace('\\', "/"))
    } else {
        format!("file://{path}")
    }
}

/// The store and how to use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// Where.
    pub choice: StoreChoice,
    /// Whether to fail when it cannot be used.
    pub required: bool,
    /// Milliseconds for one command.
    pub timeout_ms: u64,
    /// Mixed into the encryption.
    pub(crate) key: Option<Credential>,
}

/// A complete, checked configuration. Times are whole milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the server is.
    pub base_url: BaseUrl,
    /// How to ask.
    pub auth_mode: AuthMode,
    /// P21 user; never empty.
    pub username: Option<String>,
    /// Password, consumer key or access token, as `auth_mode` needs it.
    pub(crate) credential: Credential,
    /// Header profile of `v1_consumer`.
    pub v1_consumer_headers: ConsumerHeaders,
    /// Further hosts that may get the token, lower case.
    pub allowed_hosts: Vec<String>,
    /// Age from which a token is replaced; 0: by its lifetime alone.
    pub max_token_age_ms: i64,
    /// Advisory refresh window.
    pub refresh_margin_ms: i64,
    /// Floor for forced refreshes and rejected tokens.
    pub min_refresh_interval_ms: i64,
    /// Lifetime of a token that states none.
    pub default_lifetime_ms: i64,
    /// First cool-down after refused credentials; 0: off.
    pub bad_credentials_cooldown_ms: i64,
    /// Longest time for a whole call.
    pub timeout_ms: u64,
    /// Further tries after transient failures.
    pub max_retries: u32,
    /// Largest reply.
    pub max_response_bytes: usize,
    /// User-Agent header.
    pub user_agent: String,
    /// How bytes reach the server.
    pub transport: TransportSettings,
    /// Where tokens are shared.
    pub store: StoreSettings,
}

impl Settings {
    /// Files that they name and that every user of the machine could change when they were read last, each as a sentence.
    pub(crate) fn exposures(&self) -> Vec<String> {
        let key = self.store.key.as_ref();
        let ca_file = self.transport.tls.ca_file.as_deref();
        let named = [
            self.credential.file(),
            key.and_then(Credential::file),
            ca_file.map(|path| ("ca_file", path)),
        ];
        let named = named.into_iter().flatten();
        named
            .filter(|(_, path)| sources::is_exposed(path))
            .map(|(option, path)| exposure(option, path))
            .collect()
    }
}

/// What is wrong with a file that every user of the machine can change.
pub(super) fn exposure(what: &str, path: &Path) -> String {
    let path = path.display();
    format!("{what}: {path} can be changed by every user of this machine")
}

fn without_userinfo(url: &str) -> String {
    match Url::parse(url) {
        Ok(mut url) => {
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.set_query(None);
            url.to_string()
        }
        Err(_) => "(not a URL)".to_owned(),
    }
}
