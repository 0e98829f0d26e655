//! The one option table. The parser, `p21_options_json`, the CLI's help, the bindings' tests and the documentation read it.

use serde_json::json;

use crate::error::{Code, Error, Result};

/// What kind of text an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// An http or https URL.
    Url,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `1/0/true/false/yes/no/on/off`, in any case.
    Bool,
    /// A whole number within these bounds.
    Int {
        /// Smallest value allowed.
        min: u64,
        /// Largest value allowed.
        max: u64,
    },
    /// A path to a file.
    Path,
    /// Several values, separated by commas or blanks.
    List,
}

impl Kind {
    /// The name that `p21_options_json` and the documentation use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Url => "url",
            Kind::Choice(_) => "choice",
            Kind::Bool => "bool",
            Kind::Int { .. } => "int",
            Kind::Path => "path",
            Kind::List => "list",
        }
    }
}

/// What an option belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Part of the identity: clients that differ in it never share a token.
    Identity,
    /// Belongs to the one client: others of the same identity may have another value.
    Caller,
    /// Belongs to the shared slot: the first client that opens an identity decides, a mismatch shows in the stats.
    Slot,
}

impl Scope {
    /// The name that `p21_options_json` and the documentation use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Scope::Identity => "identity",
            Scope::Caller => "caller",
            Scope::Slot => "slot",
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct OptionRow {
    /// Name in [`crate::Config::set`]; the environment variable is `P21_` and the name in upper case.
    pub name: &'static str,
    /// What text it takes.
    pub kind: Kind,
    /// Default as text; empty: not set.
    pub default: &'static str,
    /// Unit of a number: `s`, `ms`, `bytes`, or empty.
    pub unit: &'static str,
    /// Whether the value is a secret.
    pub secret: bool,
    /// What it belongs to.
    pub scope: Scope,
    /// What it does, in a sentence or two.
    pub text: &'static str,
}

const MS: Kind = Kind::Int {
    min: 1,
    max: 3_600_000,
};
/// A hundred years: more is a typing error.
const SECONDS: Kind = Kind::Int {
    min: 0,
    max: 3_155_760_000,
};

macro_rules! options {
    ($($name:ident: $kind:expr, $scope:ident $(, default $default:literal)? $(, unit $unit:literal)? $(, secret $secret:literal)?;
        $text:literal;)+) => {
        /// Every option, in the order in which people need them.
        pub const OPTIONS: &[OptionRow] = &[$(OptionRow {
            name: stringify!($name),
            kind: $kind,
            default: concat!($($default)?),
            unit: concat!($($unit)?),
            secret: false $(|| $secret)?,
            scope: Scope::$scope,
            text: $text,
        }),+];
    };
}

options! {
    base_url: Kind::Url, Identity;
        "Address of the P21 middleware, such as https://p21.example.com or https://play.example.com:3443. Without a scheme, https is meant; a trailing /api is dropped.";
    auth_mode: Kind::Choice(&["v2_password", "v2_consumer", "v1_password", "v1_consumer", "v1_query", "token"]), Identity;
        "How to request a token. Default: v2_password with a username and password, v2_consumer with a consumer key, token with an access token. The v1 modes are for old servers, and are used only if you set them here.";
    username: Kind::Text, Identity;
        "P21 user. Optional with a consumer key, where it names a P21 user for auditing; the Interactive API requires it.";
    password: Kind::Text, Identity, secret true;
        "Password of the P21 user.";
    password_file: Kind::Path, Identity;
        "File that contains the password. It is read again before each token request, so a changed file is picked up. One line break at its end is dropped.";
    password_from: Kind::Text, Identity;
        "Where the password is kept: file:PATH, env:NAME, systemd:NAME, command:LINE, keyring:SERVICE/ACCOUNT or wincred:TARGET. Read again before each token request, env: when a client is opened or updated. docs/secrets.md tells how.";
    consumer_key: Kind::Text, Identity, secret true;
        "Consumer key from SOA Admin.";
    consumer_key_file: Kind::Path, Identity;
        "File that contains the consumer key. It is read again before each token request. One line break at its end is dropped.";
    consumer_key_from: Kind::Text, Identity;
        "Where the consumer key is kept, in the same forms as password_from.";
    access_token: Kind::Text, Identity, secret true;
        "An access token of your own (auth_mode=token); a leading 'Bearer ' is dropped. No token request is ever made.";
    access_token_file: Kind::Path, Identity;
        "File that contains an access token. It is read at the start, and again after the token has expired or was reported.";
    access_token_from: Kind::Text, Identity;
        "Where an access token is kept, in the same forms as password_from. It is read at the start, and again after the token has expired or was reported.";
    v1_consumer_headers: Kind::Choice(&["client_secret", "consumer_key", "appkey"]), Identity, default "client_secret";
        "Header that carries the consumer key with auth_mode=v1_consumer.";
    allowed_hosts: Kind::List, Caller;
        "Additional hosts to which the bindings' HTTP helpers may send the token, besides the hosts of base_url and the UI server.";
    max_token_age_s: SECONDS, Caller, default "86400", unit "s";
        "A token older than this is replaced even if it has not expired, so that changed scopes and revocations take effect. 0: only its lifetime counts.";
    refresh_margin_s: SECONDS, Caller, default "300", unit "s";
        "A token is refreshed in the background this long before it expires, but at most a tenth of its lifetime before.";
    min_refresh_interval_s: SECONDS, Slot, default "5", unit "s";
        "Forced refreshes and rejected tokens cause at most one token request in this time.";
    default_lifetime_s: Kind::Int { min: 1, max: 3_155_760_000 }, Slot, default "3000", unit "s";
        "Lifetime of a token if the response states none.";
    bad_credentials_cooldown_s: SECONDS, Slot, default "60", unit "s";
        "After the server rejected the credentials, no request is sent for this long, then for 10 times, then for 30 times as long, so that no P21 account gets locked. 0: off.";
    timeout_ms: MS, Caller, default "30000", unit "ms";
        "Longest time for a whole call, retries included.";
    connect_timeout_ms: MS, Identity, default "10000", unit "ms";
        "Longest time to connect to the server.";
    max_retries: Kind::Int { min: 0, max: 10 }, Slot, default "2";
        "Retries after a transient failure (connection, 408, 429, 5xx), within timeout_ms.";
    max_response_bytes: Kind::Int { min: 1024, max: 64 * 1024 * 1024 }, Slot, default "1048576", unit "bytes";
        "Largest response that is read.";
    allow_http: Kind::Bool, Identity, default "0";
        "Allow plain http to other machines. Credentials and tokens then cross the network unprotected.";
    tls_verify: Kind::Bool, Identity, default "1";
        "0: accept any certificate, for development only. Affects only this client.";
    ca_file: Kind::Path, Identity;
        "PEM file with additional certificate authorities to trust, besides those of the operating system.";
    tls_pin_sha256: Kind::List, Identity;
        "SHA-256 of the server's certificate, in hex, with or without colons; several during a renewal. Only these certificates are then accepted, from any issuer.";
    proxy: Kind::Text, Identity;
        "URL of a forward proxy, or 'direct' for none. If not set: HTTPS_PROXY, HTTP_PROXY and NO_PROXY, or the system's settings on Windows and macOS.";
    no_proxy: Kind::List, Identity;
        "Hosts that are reached without the proxy.";
    resolve: Kind::List, Identity;
        "host:port:address, to connect to this address instead of the one in DNS; several are allowed.";
    user_agent: Kind::Text, Slot;
        "User-Agent header. Default: libp21auth and its version.";
    store: Kind::Text, Identity, default "memory";
        "Where tokens are shared: memory (this process), file or file:///folder (all processes of one user on a machine), redis://host:port/db or rediss://host:port/db (several machines).";
    store_required: Kind::Bool, Identity, default "0";
        "1: fail if the store cannot be used. 0: continue with the next narrower store, and report it in the stats.";
    store_timeout_ms: MS, Identity, default "500", unit "ms";
        "Longest time for one command of the store.";
    store_key: Kind::Text, Identity, secret true;
        "Additional secret for the store's encryption, so that a stolen store cannot be attacked by guessing the password.";
    store_key_file: Kind::Path, Identity;
        "File that contains the store key. One line break at its end is dropped.";
    store_key_from: Kind::Text, Identity;
        "Where the store key is kept, in the same forms as password_from.";
}

/// Options, and the names that users of other libraries try first for each.
const ALIASES: &[(&str, &[&str])] = &[
    (
        "tls_verify",
        &[
            "verify",
            "verify_ssl",
            "ssl_verify",
            "insecure",
            "verify_tls",
        ],
    ),
    ("ca_file", &["ca_bundle", "cafile", "cert"]),
    ("timeout_ms", &["timeout", "timeout_s"]),
    ("connect_timeout_ms", &["connect_timeout"]),
    (
        "consumer_key",
        &["client_secret", "client_id", "api_key", "apikey", "appkey"],
    ),
    ("username", &["consumer_username", "user", "user_name"]),
    ("password", &["pass", "passwd", "pwd"]),
    ("access_token", &["token", "bearer"]),
    ("base_url", &["url", "server", "host", "endpoint"]),
    ("max_retries", &["retries"]),
    ("proxy", &["proxies", "http_proxy", "https_proxy"]),
    ("tls_pin_sha256", &["fingerprint", "pin"]),
    ("auth_mode", &["grant_type", "auth"]),
    ("store", &["cache", "redis"]),
];

/// The row of an option, by its exact name.
#[must_use]
pub(crate) fn option(name: &str) -> Option<&'static OptionRow> {
    OPTIONS.iter().find(|row| row.name == name)
}

/// The options that bring the secret `plain`: itself, its file, its source.
pub(crate) fn secret_options(plain: &str) -> impl Iterator<Item = &'static OptionRow> {
    OPTIONS.iter().filter(move |row| {
        let rest = row.name.strip_prefix(plain);
        matches!(rest, Some("" | "_file" | "_from"))
    })
}

/// Options that someone who wrote `name` may have meant, best first, at most three.
#[must_use]
pub(crate) fn near_misses(name: &str) -> Vec<&'static str> {
    let plain = name
        .trim()
        .to_ascii_lowercase()
        .replace(['-', '.', ' '], "_");
    let plain = plain.strip_prefix("p21_").unwrap_or(&plain);
    let squeezed = |text: &str| text.replace('_', "");
    let names = OPTIONS.iter().map(|row| (row.name, row.name, 0.0));
    let aliases = ALIASES.iter().flat_map(|(option, aliases)| {
        let aliases = aliases.iter();
        aliases.map(|alias| (*alias, *option, 0.02))
    });
    let all: Vec<(&str, &'static str, f64)> = names.chain(aliases).collect();
    let exact = all
        .iter()
        .filter(|(name, ..)| squeezed(name) == squeezed(plain));
    let mut found: Vec<&'static str> = exact.map(|(_, option, _)| *option).collect();
    let mut scored: Vec<(f64, &'static str)> = all
        .iter()
        .map(|(name, option, less)| (strsim::jaro_winkler(plain, name) - less, *option))
        .filter(|(score, _)| *score > 0.85)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (_, name) in scored {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found.truncate(3);
    found
}

/// As [`option`].
///
/// # Errors
///
/// `UnknownOption`, with near misses.
pub(super) fn known(name: &str) -> Result<&'static OptionRow> {
    option(name).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Error {
    let shown: String = name.chars().take(60).collect();
    let near = near_misses(name);
    let hint = if near.is_empty() {
        "p21_options_json and docs/options.md list every option.".to_owned()
    } else {
        format!("Did you mean {}?", near.join(" or "))
    };
    Error::new(Code::UnknownOption, format!("there is no option '{shown}'")).with_hint(hint)
}

/// The table as a JSON array: name, type, default, unit, secret, scope, text, and range or choices where there are some.
#[must_use]
pub(crate) fn options_json() -> String {
    let rows: Vec<_> = OPTIONS
        .iter()
        .map(|row| {
            let mut object = json!({
                "name": row.name, "type": row.kind.name(), "default": row.default, "unit": row.unit,
                "secret": row.secret, "scope": row.scope.name(), "text": row.text,
            });
            match row.kind {
                Kind::Int { min, max } => {
                    object["min"] = json!(min);
                    object["max"] = json!(max);
                }
                Kind::Choice(words) => object["choices"] = json!(words),
                _ => {}
            }
            object
        })
        .collect();
    json!(rows).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_defaults_are_in_range() {
        for (i, row) in OPTIONS.iter().enumerate() {
            assert!(
                OPTIONS[i + 1..].iter().all(|other| other.name != row.name),
                "{}",
                row.name
            );
            assert!(row.text.ends_with('.'), "{}", row.name);
            if let Kind::Int { min, max } = row.kind {
                let value: u64 = row.default.parse().expect("a number");
                assert!((min..=max).contains(&value), "{}", row.name);
            }
        }
        assert_eq!(OPTIONS.len(), 37);
    }

    #[test]
    fn aliases_lead_to_real_options() {
        for (name, aliases) in ALIASES {
            assert!(option(name).is_some(), "{name}");
            for alias in *aliases {
                assert!(option(alias).is_none(), "{alias} is an option of its own");
                assert_eq!(near_misses(alias)[0], *name, "{alias}");
            }
        }
    }

    #[test]
    fn near_misses_are_near() {
        for (typed, meant) in [
            ("usrname", "username"),
            ("P21_BASE_URL", "base_url"),
            ("baseurl", "base_url"),
            ("verify_ssl", "tls_verify"),
            ("Consumer-Key", "consumer_key"),
            ("timeout_sm", "timeout_ms"),
            ("refresh_margin", "refresh_margin_s"),
        ] {
            assert_eq!(near_misses(typed).first(), Some(&meant), "{typed}");
        }
        assert!(near_misses("qqqq").is_empty());
    }

    #[test]
    fn the_json_has_every_row() {
        let rows: serde_json::Value = serde_json::from_str(&options_json()).expect("valid JSON");
        assert_eq!(rows.as_array().expect("an array").len(), OPTIONS.len());
        assert_eq!(rows[0]["name"], "base_url");
        assert_eq!(rows[1]["choices"][5], "token");
    }
}
