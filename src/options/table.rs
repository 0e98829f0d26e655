//! The one option table. The parser, `p21_options_json`, the CLI's help, the bindings' tests and the documentation read it.

use serde_json::json;

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

const fn row(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    unit: &'static str,
    scope: Scope,
    text: &'static str,
) -> OptionRow {
    OptionRow {
        name,
        kind,
        default,
        unit,
        secret: false,
        scope,
        text,
    }
}

const fn secret(name: &'static str, scope: Scope, text: &'static str) -> OptionRow {
    OptionRow {
        name,
        kind: Kind::Text,
        default: "",
        unit: "",
        secret: true,
        scope,
        text,
    }
}

/// Every option, in the order in which people need them.
pub const OPTIONS: &[OptionRow] = &[
    row(
        "base_url",
        Kind::Url,
        "",
        "",
        Scope::Identity,
        "Address of the P21 middleware, such as https://p21.example.com or https://play.example.com:3443. Without a scheme, https is meant; a trailing /api is dropped.",
    ),
    row(
        "auth_mode",
        Kind::Choice(&[
            "v2_password",
            "v2_consumer",
            "v1_password",
            "v1_consumer",
            "v1_query",
            "token",
        ]),
        "",
        "",
        Scope::Identity,
        "How to ask for a token. Default: v2_password with a username and password, v2_consumer with a consumer key, token with an access token. The v1 modes are for old servers and only used when named here.",
    ),
    row(
        "username",
        Kind::Text,
        "",
        "",
        Scope::Identity,
        "P21 user. With a consumer key it is optional: it attaches a P21 user for audit and is needed by the Interactive API.",
    ),
    secret("password", Scope::Identity, "Password of the P21 user."),
    row(
        "password_file",
        Kind::Path,
        "",
        "",
        Scope::Identity,
        "File that holds the password; read again before each token request, so a changed file is picked up. One final line break is dropped.",
    ),
    row(
        "password_from",
        Kind::Text,
        "",
        "",
        Scope::Identity,
        "Where the password is kept: file:PATH, env:NAME, systemd:NAME, command:LINE or wincred:TARGET. Read again before each token request, env: when a client is opened or updated. docs/secrets.md tells how.",
    ),
    secret(
        "consumer_key",
        Scope::Identity,
        "Consumer key from SOA Admin.",
    ),
    row(
        "consumer_key_file",
        Kind::Path,
        "",
        "",
        Scope::Identity,
        "File that holds the consumer key; read again before each token request. One final line break is dropped.",
    ),
    row(
        "consumer_key_from",
        Kind::Text,
        "",
        "",
        Scope::Identity,
        "Where the consumer key is kept; forms as for password_from.",
    ),
    secret(
        "access_token",
        Scope::Identity,
        "An access token of your own (auth_mode=token); a leading 'Bearer ' is dropped. No token request is ever made.",
    ),
    row(
        "access_token_file",
        Kind::Path,
        "",
        "",
        Scope::Identity,
        "File that holds an access token; read at the start and again once the token has expired or was reported.",
    ),
    row(
        "access_token_from",
        Kind::Text,
        "",
        "",
        Scope::Identity,
        "Where an access token is kept; forms as for password_from. Read at the start and again once the token has expired or was reported.",
    ),
    row(
        "v1_consumer_headers",
        Kind::Choice(&["client_secret", "consumer_key", "appkey"]),
        "client_secret",
        "",
        Scope::Identity,
        "Header that carries the consumer key with auth_mode=v1_consumer.",
    ),
    row(
        "allowed_hosts",
        Kind::List,
        "",
        "",
        Scope::Caller,
        "Further hosts to which the bindings' HTTP helpers may send the token, besides those of base_url and the UI server.",
    ),
    row(
        "max_token_age_s",
        SECONDS,
        "86400",
        "s",
        Scope::Caller,
        "A token older than this is replaced although it has not expired, so that changed scopes and revocations arrive. 0: by its lifetime alone.",
    ),
    row(
        "refresh_margin_s",
        SECONDS,
        "300",
        "s",
        Scope::Caller,
        "A token is refreshed in the background this long before it expires, but at most a tenth of its lifetime before.",
    ),
    row(
        "min_refresh_interval_s",
        SECONDS,
        "5",
        "s",
        Scope::Slot,
        "Forced refreshes and rejected tokens cause at most one token request in this time.",
    ),
    row(
        "default_lifetime_s",
        Kind::Int {
            min: 1,
            max: 3_155_760_000,
        },
        "3000",
        "s",
        Scope::Slot,
        "Lifetime of a token whose reply states none.",
    ),
    row(
        "bad_credentials_cooldown_s",
        SECONDS,
        "60",
        "s",
        Scope::Slot,
        "After the server refused the credentials, no request for this long, then 10 times, then 30 times as long; this keeps P21 accounts from being locked. 0: off.",
    ),
    row(
        "timeout_ms",
        MS,
        "30000",
        "ms",
        Scope::Caller,
        "Longest time for a whole call, retries included.",
    ),
    row(
        "connect_timeout_ms",
        MS,
        "10000",
        "ms",
        Scope::Identity,
        "Longest time to connect to the server.",
    ),
    row(
        "max_retries",
        Kind::Int { min: 0, max: 10 },
        "2",
        "",
        Scope::Slot,
        "Further tries after a transient failure (connection, 408, 429, 5xx), within timeout_ms.",
    ),
    row(
        "max_response_bytes",
        Kind::Int {
            min: 1024,
            max: 64 * 1024 * 1024,
        },
        "1048576",
        "bytes",
        Scope::Slot,
        "Largest reply that is read.",
    ),
    row(
        "allow_http",
        Kind::Bool,
        "0",
        "",
        Scope::Identity,
        "Allow plain http to other machines. Credentials and tokens then cross the network unprotected.",
    ),
    row(
        "tls_verify",
        Kind::Bool,
        "1",
        "",
        Scope::Identity,
        "0: accept any certificate, for development only; this client alone is affected.",
    ),
    row(
        "ca_file",
        Kind::Path,
        "",
        "",
        Scope::Identity,
        "PEM file with further certificate authorities to trust, besides those of the operating system.",
    ),
    row(
        "tls_pin_sha256",
        Kind::List,
        "",
        "",
        Scope::Identity,
        "SHA-256 of the server's certificate, in hex, with or without colons; several during a renewal. Exactly these certificates are then accepted, whoever issued them.",
    ),
    row(
        "proxy",
        Kind::Text,
        "",
        "",
        Scope::Identity,
        "URL of a forward proxy, or 'direct' for none. Not set: HTTPS_PROXY, HTTP_PROXY and NO_PROXY, or the system's settings on Windows and macOS.",
    ),
    row(
        "no_proxy",
        Kind::List,
        "",
        "",
        Scope::Identity,
        "Hosts that are reached without the proxy.",
    ),
    row(
        "resolve",
        Kind::List,
        "",
        "",
        Scope::Identity,
        "host:port:address, to connect to this address whatever DNS says; several are allowed.",
    ),
    row(
        "user_agent",
        Kind::Text,
        "",
        "",
        Scope::Slot,
        "User-Agent header. Default: libp21auth and its version.",
    ),
    row(
        "store",
        Kind::Text,
        "memory",
        "",
        Scope::Identity,
        "Where tokens are shared: memory (this process), file or file:///folder (the processes of a user on a machine), redis://host:port/db or rediss://host:port/db (several machines).",
    ),
    row(
        "store_required",
        Kind::Bool,
        "0",
        "",
        Scope::Identity,
        "1: fail when the store cannot be used. 0: go on with the next narrower one and say so in the stats.",
    ),
    row(
        "store_timeout_ms",
        MS,
        "500",
        "ms",
        Scope::Identity,
        "Longest time for one command of the store.",
    ),
    secret(
        "store_key",
        Scope::Identity,
        "Further secret that is mixed into the store's encryption, so that a stolen store cannot be attacked by guessing the password.",
    ),
    row(
        "store_key_file",
        Kind::Path,
        "",
        "",
        Scope::Identity,
        "File that holds the store key. One final line break is dropped.",
    ),
    row(
        "store_key_from",
        Kind::Text,
        "",
        "",
        Scope::Identity,
        "Where the store key is kept; forms as for password_from.",
    ),
];

/// Names that users of other libraries try first, and the option that each of them means.
const ALIASES: &[(&str, &str)] = &[
    ("verify", "tls_verify"),
    ("verify_ssl", "tls_verify"),
    ("ssl_verify", "tls_verify"),
    ("insecure", "tls_verify"),
    ("verify_tls", "tls_verify"),
    ("ca_bundle", "ca_file"),
    ("cafile", "ca_file"),
    ("cert", "ca_file"),
    ("timeout", "timeout_ms"),
    ("timeout_s", "timeout_ms"),
    ("connect_timeout", "connect_timeout_ms"),
    ("client_secret", "consumer_key"),
    ("client_id", "consumer_key"),
    ("api_key", "consumer_key"),
    ("apikey", "consumer_key"),
    ("appkey", "consumer_key"),
    ("consumer_username", "username"),
    ("user", "username"),
    ("user_name", "username"),
    ("pass", "password"),
    ("passwd", "password"),
    ("pwd", "password"),
    ("token", "access_token"),
    ("bearer", "access_token"),
    ("url", "base_url"),
    ("server", "base_url"),
    ("host", "base_url"),
    ("endpoint", "base_url"),
    ("retries", "max_retries"),
    ("proxies", "proxy"),
    ("http_proxy", "proxy"),
    ("https_proxy", "proxy"),
    ("fingerprint", "tls_pin_sha256"),
    ("pin", "tls_pin_sha256"),
    ("grant_type", "auth_mode"),
    ("auth", "auth_mode"),
    ("cache", "store"),
    ("redis", "store"),
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

/// Options that somebody who wrote `name` may have meant, best first, at most three.
#[must_use]
pub(crate) fn near_misses(name: &str) -> Vec<&'static str> {
    let plain = name
        .trim()
        .to_ascii_lowercase()
        .replace(['-', '.', ' '], "_");
    let plain = plain.strip_prefix("p21_").unwrap_or(&plain);
    let squeezed = |text: &str| text.replace('_', "");
    let mut found: Vec<&'static str> = Vec::new();
    found.extend(
        OPTIONS
            .iter()
            .filter(|row| squeezed(row.name) == squeezed(plain))
            .map(|row| row.name),
    );
    found.extend(
        ALIASES
            .iter()
            .filter(|(alias, _)| squeezed(alias) == squeezed(plain))
            .map(|(_, option)| *option),
    );
    let mut scored: Vec<(f64, &'static str)> = OPTIONS
        .iter()
        .map(|row| (strsim::jaro_winkler(plain, row.name), row.name))
        .chain(
            ALIASES
                .iter()
                .map(|(alias, option)| (strsim::jaro_winkler(plain, alias) - 0.02, *option)),
        )
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
        for (alias, name) in ALIASES {
            assert!(option(name).is_some(), "{name}");
            assert!(option(alias).is_none(), "{alias} is an option of its own");
            assert_eq!(near_misses(alias)[0], *name, "{alias}");
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
