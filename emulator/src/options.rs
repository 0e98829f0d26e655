//! What the emulator is started with.

use std::fmt;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;

use super::apis::Answer;
use super::data::Data;
use super::settings::{NEVER_S, Settings};

/// What an [`crate::Emulator`] is started with; `Options::default()` is a plain HTTP server on a free
/// loopback port with the users and keys of [`User::defaults`] and [`ConsumerKey::defaults`].
///
/// Reads from JSON too (all fields but `log`), for configuration files.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Address to listen on.
    pub bind: IpAddr,
    /// Port to listen on; 0 picks a free one.
    pub port: u16,
    /// Serve https with such a certificate; unset: plain http.
    pub tls: Option<Certificate>,
    /// Path in front of everything the middleware serves, such as `/P21APIService`; empty: none.
    pub prefix: String,
    /// The P21 users.
    pub users: Vec<User>,
    /// The consumer keys of SOA Admin.
    pub keys: Vec<ConsumerKey>,
    /// Behavior that may change later.
    pub settings: Settings,
    /// The rows behind the APIs; unset: a built-in sample.
    pub data: Data,
    /// Answers of your own by method and path.
    pub answers: Vec<Answer>,
    /// Serve the control endpoint `/_control/`.
    pub control: bool,
    /// What control calls must carry as their Bearer token. Unset: nothing on loopback; elsewhere one is made at the start.
    pub control_token: Option<String>,
    /// With `tls`: port of the second listener, on loopback, that serves the control endpoint by plain http; 0: a free one.
    pub control_port: u16,
    /// Receives one line per request, without secrets.
    #[serde(skip)]
    pub log: Option<Log>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            tls: None,
            prefix: String::new(),
            users: User::defaults(),
            keys: ConsumerKey::defaults(),
            settings: Settings::default(),
            data: Data::default(),
            answers: Vec::new(),
            control: true,
            control_token: None,
            control_port: 0,
            log: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("bind", &self.bind)
            .field("port", &self.port)
            .field("tls", &self.tls)
            .field("prefix", &self.prefix)
            .field("users", &self.users)
            .field("keys", &self.keys)
            .field("settings", &self.settings)
            .field("data", &self.data)
            .field("control", &self.control)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// The defaults, but https with a good certificate.
    #[must_use]
    pub fn tls() -> Self {
        Self {
            tls: Some(Certificate::Good),
            ..Self::default()
        }
    }
}

/// The kinds of server certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certificate {
    /// Signed by the emulator's own CA, for `localhost`, `127.0.0.1` and `::1`.
    Good,
    /// The same names, signed by itself; the CA file doesn't help.
    SelfSigned,
    /// Signed by the CA, expired years ago.
    Expired,
    /// Signed by the CA, for another host's name.
    WrongHost,
}

impl FromStr for Certificate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "good" => Ok(Self::Good),
            "self-signed" => Ok(Self::SelfSigned),
            "expired" => Ok(Self::Expired),
            "wrong-host" => Ok(Self::WrongHost),
            _ => Err(format!(
                "unknown certificate kind '{text}'; known are good, self-signed, expired, wrong-host"
            )),
        }
    }
}

/// A P21 user.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Login name; compared without regard to case, as SQL Server does.
    pub name: String,
    /// Password; compared exactly.
    pub password: String,
    /// Has "Allow OData API Service" and the role's "Dataservice Permission".
    #[serde(default = "yes")]
    pub odata: bool,
    /// Locked or deleted: every login is refused; tokens already issued stay valid.
    #[serde(default)]
    pub disabled: bool,
}

impl User {
    /// A user who may do everything.
    #[must_use]
    pub fn new(name: &str, password: &str) -> Self {
        Self {
            name: name.to_owned(),
            password: password.to_owned(),
            odata: true,
            disabled: false,
        }
    }

    /// `demo` / `demo-password`, and `readonly` / `readonly-password` who may not use OData.
    #[must_use]
    pub fn defaults() -> Vec<Self> {
        let mut readonly = Self::new("readonly", "readonly-password");
        readonly.odata = false;
        vec![Self::new("demo", "demo-password"), readonly]
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .field("odata", &self.odata)
            .field("disabled", &self.disabled)
            .finish_non_exhaustive()
    }
}

/// A consumer key as SOA Admin keeps it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsumerKey {
    /// The key itself, a GUID on real servers.
    pub key: String,
    /// Its number, shown as `ConsumerUid` and used wherever the key must not show.
    pub uid: String,
    /// API scope: `;`-separated, such as `/api;/p21sdk`, `/odata:customer` or `/uiserver0`.
    #[serde(default = "api_scope")]
    pub scope: String,
    /// Lifetime of its tokens in seconds, [`NEVER_S`] for "never"; unset: that of the settings.
    #[serde(default)]
    pub lifetime_s: Option<i64>,
    /// Refused from now on; tokens already issued stay valid.
    #[serde(default)]
    pub disabled: bool,
}

impl ConsumerKey {
    /// A key of full scope with the settings' lifetime.
    #[must_use]
    pub fn new(key: &str, uid: &str) -> Self {
        Self {
            key: key.to_owned(),
            uid: uid.to_owned(),
            scope: api_scope(),
            lifetime_s: None,
            disabled: false,
        }
    }

    /// Five keys, `00000000-0000-4000-8000-00000000000N` with the uid `N`: 1 full scope, 2 full scope
    /// that never expires, 3 `/odata:customer`, 4 `/uiserver0`, 5 disabled.
    #[must_use]
    pub fn defaults() -> Vec<Self> {
        let mut keys: Vec<Self> = (1..=5)
            .map(|n| Self::new(&format!("00000000-0000-4000-8000-{n:012}"), &n.to_string()))
            .collect();
        keys[1].lifetime_s = Some(NEVER_S);
        keys[2].scope = "/odata:customer".into();
        keys[3].scope = "/uiserver0".into();
        keys[4].disabled = true;
        keys
    }
}

impl fmt::Debug for ConsumerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerKey")
            .field("uid", &self.uid)
            .field("scope", &self.scope)
            .field("lifetime_s", &self.lifetime_s)
            .field("disabled", &self.disabled)
            .finish_non_exhaustive()
    }
}

fn yes() -> bool {
    true
}

fn api_scope() -> String {
    "/api;/p21sdk".into()
}

/// Where log lines go. A line never holds a password, key or token.
#[derive(Clone)]
pub struct Log(Arc<dyn Fn(&str) + Send + Sync>);

impl Log {
    /// Calls `line` with every line, from any thread.
    pub fn call(line: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(line))
    }

    /// Writes every line to `out`; a failing write is ignored.
    pub fn write(out: impl Write + Send + 'static) -> Self {
        let out = Mutex::new(out);
        Self::call(move |line| {
            let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        })
    }

    pub(super) fn line(&self, line: &str) {
        (self.0)(line);
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let text = format!("{:?}", Options::default());
        assert!(text.contains("demo") && text.contains("/uiserver0"));
        assert!(!text.contains("demo-password") && !text.contains("4000-8000"));
    }

    #[test]
    fn options_read_from_json() {
        let options: Options = serde_json::from_str(
            r#"{"tls":"self-signed","prefix":"/P21APIService","bind":"::1",
                "users":[{"name":"a","password":"b"}],"settings":{"lifetime_s":5}}"#,
        )
        .unwrap();
        assert_eq!(options.tls, Some(Certificate::SelfSigned));
        assert_eq!(options.users, [User::new("a", "b")]);
        assert_eq!(options.settings.lifetime_s, 5);
        assert_eq!(options.keys.len(), 5);
        assert!(serde_json::from_str::<Options>(r#"{"prot":1}"#).is_err());
    }

    #[test]
    fn certificate_kinds_read_from_text() {
        assert_eq!("wrong-host".parse(), Ok(Certificate::WrongHost));
        assert!("bad".parse::<Certificate>().unwrap_err().contains("good"));
    }
}
