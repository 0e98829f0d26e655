//! From textual options to typed settings: every check and every default, in one place.

use std::collections::BTreeMap;
use std::path::PathBuf;

use url::Url;

use super::base_url::BaseUrl;
use super::settings::{
    AuthMode, ConsumerHeaders, Credential, Pin, ProxyChoice, Resolve, Settings, StoreChoice,
    StoreSettings, TlsTrust, TransportSettings,
};
use super::table::{Kind, OptionRow, option};
use crate::error::{Code, Error, Result};
use crate::secret::Secret;

/// Checks one value by itself.
pub(super) fn check_value(row: &OptionRow, value: &str) -> Result<()> {
    if value.contains('\0') {
        return Err(fault(
            row.name,
            "holds a NUL character",
            "Remove it: no value may hold one.",
        ));
    }
    match row.kind {
        Kind::Int { min, max } => {
            let number: Option<u64> = value.trim().parse().ok();
            if number.is_none_or(|number| !(min..=max).contains(&number)) {
                let unit = if row.unit.is_empty() {
                    String::new()
                } else {
                    format!(" {}", row.unit)
                };
                return Err(fault(
                    row.name,
                    &format!("must be a whole number from {min} to {max}{unit}"),
                    "Write digits alone, or remove the option for its default.",
                )
                .with_hint(format!("The default is {}.", row.default)));
            }
        }
        Kind::Bool => {
            if parse_bool(value).is_none() {
                return Err(fault(
                    row.name,
                    "must be one of 1, 0, true, false, yes, no, on, off",
                    "Set it to 1 or 0, or remove it for its default.",
                ));
            }
        }
        Kind::Choice(words) => {
            if !words.contains(&value.trim()) {
                return Err(fault(
                    row.name,
                    &format!("must be one of {}", words.join(", ")),
                    "Write one of these words in lower case, or remove the option for its default.",
                ));
            }
        }
        Kind::Url => {
            BaseUrl::parse(value, true)?;
        }
        Kind::Path => {
            if value.trim().is_empty() {
                return Err(fault(
                    row.name,
                    "is an empty path",
                    "Name a file, or remove the option.",
                ));
            }
        }
        Kind::Text if row.name == "proxy" => {
            parse_proxy(value)?;
        }
        Kind::Text if row.name == "store" => {
            parse_store(value)?;
        }
        Kind::Text if row.name == "user_agent" => {
            if value.chars().any(|c| !matches!(c, ' '..='~')) {
                return Err(fault(
                    row.name,
                    "must be printable ASCII",
                    "Use letters, digits, blanks and punctuation, such as my-program/1.0.",
                ));
            }
        }
        Kind::List if row.name == "tls_pin_sha256" => {
            parse_pins(value)?;
        }
        Kind::List if row.name == "resolve" => {
            parse_resolve(value)?;
        }
        Kind::Text | Kind::List => {}
    }
    Ok(())
}

/// Makes settings of values that [`check_value`] has let through. `prefix` is that of the variables that hints name.
pub(super) fn resolve(
    values: &BTreeMap<&'static str, Secret>,
    consumer_username: Option<&Secret>,
    prefix: &str,
) -> Result<Settings> {
    let text = |name: &str| {
        let default = option(name).map_or("", |row| row.default);
        values.get(name).map_or(default, Secret::expose).trim()
    };
    let int = |name: &str| {
        text(name)
            .parse::<u64>()
            .map_err(|_| fault(name, "is not a number", "Write digits alone."))
    };
    let ms = |name: &str| {
        int(name).map(|seconds| {
            i64::try_from(seconds)
                .unwrap_or(i64::MAX)
                .saturating_mul(1000)
        })
    };
    let flag = |name: &str| parse_bool(text(name)).unwrap_or(false);
    let path = |name: &str| values.get(name).map(|value| PathBuf::from(value.expose()));

    let (auth_mode, credential) = authentication(values, text("auth_mode"), prefix)?;
    let username = values.get("username").filter(|name| !name.is_empty());
    let username = consumer_username
        .filter(|_| auth_mode.uses_consumer_key())
        .or(username)
        .map(|name| name.expose().to_owned());
    let verify = flag("tls_verify");
    let mut pins = parse_pins(text("tls_pin_sha256"))?;
    pins.sort_unstable();
    pins.dedup();
    if !verify && !pins.is_empty() {
        return Err(Error::new(
            Code::Config,
            "tls_pin_sha256 and tls_verify=0 contradict each other",
        )
        .with_hint("Remove tls_verify=0: a pinned certificate is accepted whoever issued it."));
    }
    let mut no_proxy = list(text("no_proxy"));
    no_proxy.sort_unstable();
    let user_agent = match text("user_agent") {
        "" => concat!("libp21auth/", env!("CARGO_PKG_VERSION")).to_owned(),
        agent => agent.to_owned(),
    };
    Ok(Settings {
        base_url: BaseUrl::parse(text("base_url"), flag("allow_http"))?,
        auth_mode,
        username,
        credential,
        v1_consumer_headers: match text("v1_consumer_headers") {
            "consumer_key" => ConsumerHeaders::ConsumerKey,
            "appkey" => ConsumerHeaders::AppKey,
            _ => ConsumerHeaders::ClientSecret,
        },
        allowed_hosts: list(text("allowed_hosts"))
            .into_iter()
            .map(|host| host.to_ascii_lowercase())
            .collect(),
        max_token_age_ms: ms("max_token_age_s")?,
        refresh_margin_ms: ms("refresh_margin_s")?,
        min_refresh_interval_ms: ms("min_refresh_interval_s")?,
        default_lifetime_ms: ms("default_lifetime_s")?,
        bad_credentials_cooldown_ms: ms("bad_credentials_cooldown_s")?,
        timeout_ms: int("timeout_ms")?,
        max_retries: u32::try_from(int("max_retries")?).unwrap_or(0),
        max_response_bytes: usize::try_from(int("max_response_bytes")?).unwrap_or(1 << 20),
        user_agent,
        transport: TransportSettings {
            connect_timeout_ms: int("connect_timeout_ms")?,
            tls: TlsTrust {
                verify,
                ca_file: path("ca_file"),
                pins,
            },
            proxy: parse_proxy(text("proxy"))?,
            no_proxy,
            resolve: parse_resolve(text("resolve"))?,
        },
        store: StoreSettings {
            choice: parse_store(text("store"))?,
            required: flag("store_required"),
            timeout_ms: int("store_timeout_ms")?,
            key: secret_of(values, "store_key", "store_key_file")?,
        },
    })
}

/// How to ask, and with what: by `auth_mode`, or by which credentials are there.
fn authentication(
    values: &BTreeMap<&'static str, Secret>,
    mode: &str,
    prefix: &str,
) -> Result<(AuthMode, Credential)> {
    let password = secret_of(values, "password", "password_file")?;
    let consumer_key = secret_of(values, "consumer_key", "consumer_key_file")?;
    let access_token = secret_of(values, "access_token", "access_token_file")?;
    let username = values.get("username").filter(|name| !name.is_empty());

    let mut missing = Vec::new();
    if !values.contains_key("base_url") {
        missing.push("base_url");
    }
    let auth_mode = match mode {
        "" => match (&password, &consumer_key, &access_token) {
            (Some(_), None, None) => Some(AuthMode::V2Password),
            (None, Some(_), None) => Some(AuthMode::V2Consumer),
            (None, None, Some(_)) => Some(AuthMode::Token),
            (None, None, None) => None,
            _ => {
                let set: Vec<&str> = [
                    ("password", &password),
                    ("consumer_key", &consumer_key),
                    ("access_token", &access_token),
                ]
                .into_iter()
                .filter_map(|(name, value)| value.is_some().then_some(name))
                .collect();
                return Err(Error::new(Code::Config, format!("{} are both set, so it is not clear which one to use", set.join(" and ")))
                    .with_hint("Set auth_mode to v2_password, v2_consumer or token, or remove the one that is not meant."));
            }
        },
        name => AuthMode::from_name(name),
    };
    let credential = match auth_mode {
        Some(AuthMode::V2Password | AuthMode::V1Password | AuthMode::V1Query) => {
            if username.is_none() {
                missing.push("username");
            }
            password.or_else(|| push_none(&mut missing, "password"))
        }
        Some(AuthMode::V2Consumer | AuthMode::V1Consumer) => {
            consumer_key.or_else(|| push_none(&mut missing, "consumer_key"))
        }
        Some(AuthMode::Token) => access_token.or_else(|| push_none(&mut missing, "access_token")),
        None if username.is_some() => push_none(&mut missing, "password"),
        None => push_none(&mut missing, "username and password, or consumer_key"),
    };
    let (Some(auth_mode), Some(credential), true) = (auth_mode, credential, missing.is_empty())
    else {
        return Err(missing_error(&missing, prefix));
    };
    Ok((auth_mode, credential))
}

fn push_none(missing: &mut Vec<&'static str>, name: &'static str) -> Option<Credential> {
    missing.push(name);
    None
}

fn missing_error(missing: &[&str], prefix: &str) -> Error {
    let names = missing.join(", ");
    let variables: Vec<String> = missing
        .iter()
        .flat_map(|name| name.split(", or ").flat_map(|part| part.split(" and ")))
        .map(|name| format!("{prefix}{}", name.to_ascii_uppercase()))
        .collect();
    Error::new(Code::Config, format!("not configured: {names}")).with_hint(format!(
        "Set it as an option, or as an environment variable: {}.",
        variables.join(", ")
    ))
}

/// No error of a configuration is without a next step.
fn fault(name: &str, what: &str, hint: &str) -> Error {
    Error::new(Code::Config, format!("{name} {what}")).with_hint(hint)
}

fn secret_of(
    values: &BTreeMap<&'static str, Secret>,
    plain: &'static str,
    file: &'static str,
) -> Result<Option<Credential>> {
    match (
        values.get(plain).filter(|value| !value.is_empty()),
        values.get(file),
    ) {
        (Some(_), Some(_)) => Err(Error::new(
            Code::Config,
            format!("{plain} and {file} are both set"),
        )
        .with_hint("Keep one of them.")),
        (Some(value), None) => Ok(Some(Credential::Value(value.clone()))),
        (None, Some(path)) => Ok(Some(Credential::File(file, PathBuf::from(path.expose())))),
        (None, None) => Ok(None),
    }
}

fn parse_bool(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(|c: char| c == ',' || c == ';' || c.is_whitespace())
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

fn parse_pins(text: &str) -> Result<Vec<Pin>> {
    list(text)
        .iter()
        .map(|item| {
            let digits: String = item.chars().filter(|c| *c != ':').collect();
            let mut pin = [0; 32];
            let valid = digits.len() == 64
                && digits.is_ascii()
                && pin.iter_mut().enumerate().all(|(i, byte)| {
                    u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).is_ok_and(|value| {
                        *byte = value;
                        !digits[2 * i..].starts_with('+')
                    })
                });
            valid.then_some(Pin(pin)).ok_or_else(|| {
                fault("tls_pin_sha256", "must be 64 hex digits, with or without colons", "It is the SHA-256 of the server's certificate; the error of an untrusted certificate shows it, ready to copy.")
            })
        })
        .collect()
}

fn parse_resolve(text: &str) -> Result<Vec<Resolve>> {
    list(text)
        .iter()
        .map(|item| {
            let parse = || {
                let (host, rest) = item.split_once(':')?;
                let (port, address) = rest.split_once(':')?;
                let address = address
                    .strip_prefix('[')
                    .and_then(|a| a.strip_suffix(']'))
                    .unwrap_or(address);
                let resolve = Resolve {
                    host: host.to_ascii_lowercase(),
                    port: port.parse().ok()?,
                    address: address.parse().ok()?,
                };
                (!resolve.host.is_empty()).then_some(resolve)
            };
            parse().ok_or_else(|| {
                fault(
                    "resolve",
                    "must be host:port:address, such as p21.example.com:443:10.1.2.3",
                    "The address is an IPv4 or IPv6 address without a zone (%eth0), not a name.",
                )
            })
        })
        .collect()
}

fn parse_proxy(text: &str) -> Result<ProxyChoice> {
    let text = text.trim();
    if text.is_empty() && crate::sys::is_set_uid() {
        // The variables are those of whoever started it.
        return Ok(ProxyChoice::Direct);
    }
    if text.is_empty() {
        return Ok(ProxyChoice::System);
    }
    if text.eq_ignore_ascii_case("direct") {
        return Ok(ProxyChoice::Direct);
    }
    let full = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let rest = full.split_once("://").map_or("", |(_, rest)| rest);
    // What parsers make of such a user or password differs, so a part of it could pass for the host.
    let login = rest.rsplit_once('@').map_or("", |(login, _)| login);
    if rest.contains('\\') || login.contains(['@', '/', '?', '#']) {
        return Err(fault(
            "proxy",
            "has a special character in its user or password",
            "Percent-encode it: \\ is %5C, @ is %40, : is %3A, / is %2F, ? is %3F, # is %23, % is %25.",
        ));
    }
    let lower = full.to_ascii_lowercase();
    if lower.starts_with("socks") {
        return Err(fault(
            "proxy",
            "names a SOCKS proxy, which is not supported",
            "Name an http proxy, as http://host:port; a local one such as privoxy can pass requests on to a SOCKS proxy. proxy=direct uses none.",
        ));
    }
    let url = Url::parse(&full).ok().filter(Url::has_host);
    let path = url.as_ref().map_or("", |url| url.path());
    if lower.starts_with("pac+") || lower.starts_with("file:") || !matches!(path, "" | "/") {
        return Err(fault(
            "proxy",
            "names a file, such as a PAC file, and not a proxy",
            "A PAC file is a program that names a proxy: open it, look for PROXY host:port, and set proxy=http://host:port.",
        ));
    }
    match url {
        Some(url) if matches!(url.scheme(), "http" | "https") => {
            Ok(ProxyChoice::Url(Secret::new(full)))
        }
        _ => Err(fault(
            "proxy",
            "must be 'direct' or an http or https URL such as http://proxy.example.com:3128",
            "Write it as http://host:port, with user and password as http://user:password@host:port.",
        )),
    }
}

fn parse_store(text: &str) -> Result<StoreChoice> {
    let text = text.trim();
    let bad = || {
        fault(
            "store",
            "must be memory, file, file:///folder, redis://host:port/db or rediss://host:port/db",
            "Other stores are not supported: file shares tokens on one machine, redis (or rediss, with TLS; Valkey too) among several.",
        )
    };
    match text {
        "" | "memory" => return Ok(StoreChoice::Memory),
        "file" => return Ok(StoreChoice::File(None)),
        _ => {}
    }
    let url = Url::parse(text).map_err(|_| bad())?;
    match url.scheme() {
        "file" => url
            .to_file_path()
            .map(|folder| StoreChoice::File(Some(folder)))
            .map_err(|()| bad()),
        "redis" | "rediss" if url.has_host() => Ok(StoreChoice::Redis(Secret::new(text))),
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Config, OPTIONS};
    use std::net::IpAddr;

    fn settings(pairs: &[(&str, &str)]) -> Result<Settings> {
        let mut config = Config::new();
        for (name, value) in pairs {
            config.set(name, Some(value))?;
        }
        config.settings()
    }

    const USER: [(&str, &str); 3] = [
        ("base_url", "h.example"),
        ("username", "u"),
        ("password", "secret pw"),
    ];

    fn with<'a>(extra: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        USER.iter().copied().chain(extra.iter().copied()).collect()
    }

    #[test]
    fn the_mode_follows_from_the_credentials() {
        for (extra, mode) in [
            (
                vec![("username", "u"), ("password", "p")],
                AuthMode::V2Password,
            ),
            (vec![("consumer_key", "k")], AuthMode::V2Consumer),
            (
                vec![("consumer_key", "k"), ("username", "u")],
                AuthMode::V2Consumer,
            ),
            (vec![("access_token", "t")], AuthMode::Token),
            (
                vec![("consumer_key", "k"), ("auth_mode", "v1_consumer")],
                AuthMode::V1Consumer,
            ),
            (
                vec![
                    ("username", "u"),
                    ("password", "p"),
                    ("auth_mode", "v1_query"),
                ],
                AuthMode::V1Query,
            ),
            (
                vec![
                    ("username", "u"),
                    ("password", "p"),
                    ("consumer_key", "k"),
                    ("auth_mode", "v2_password"),
                ],
                AuthMode::V2Password,
            ),
        ] {
            let pairs: Vec<_> = std::iter::once(("base_url", "h.example"))
                .chain(extra)
                .collect();
            assert_eq!(
                settings(&pairs).expect("complete").auth_mode,
                mode,
                "{pairs:?}"
            );
        }
    }

    #[test]
    fn what_is_missing_or_contradictory_is_named() {
        for (pairs, words) in [
            (vec![], "base_url, username and password, or consumer_key"),
            (vec![("base_url", "h"), ("username", "u")], "password"),
            (vec![("base_url", "h"), ("password", "p")], "username"),
            (vec![("username", "u"), ("password", "p")], "base_url"),
            (
                vec![("base_url", "h"), ("auth_mode", "token")],
                "access_token",
            ),
            (
                with(&[("consumer_key", "k")]),
                "password and consumer_key are both set",
            ),
            (
                with(&[("password_file", "/x")]),
                "password and password_file",
            ),
            (
                with(&[("tls_verify", "0"), ("tls_pin_sha256", &"ab".repeat(32))]),
                "contradict",
            ),
        ] {
            let error = settings(&pairs).expect_err(words);
            assert_eq!(error.code(), Code::Config);
            assert!(error.message().contains(words), "{error}");
            assert!(!error.hint().is_empty());
        }
        let hint = settings(&[]).expect_err("nothing set").hint().to_owned();
        for variable in [
            "P21_BASE_URL",
            "P21_USERNAME",
            "P21_PASSWORD",
            "P21_CONSUMER_KEY",
        ] {
            assert!(hint.contains(variable), "{hint}");
        }
        let mut play = Config::new();
        play.load_from("P21_PLAY_", |_| None)
            .expect("nothing to read");
        let hint = play.settings().expect_err("nothing set").hint().to_owned();
        assert!(
            hint.contains("P21_PLAY_BASE_URL") && !hint.contains(" P21_B"),
            "{hint}"
        );
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for (name, value) in [
            ("timeout_ms", "0"),
            ("timeout_ms", "3600001"),
            ("timeout_ms", "-1"),
            ("timeout_ms", "1.5"),
            ("default_lifetime_s", "0"),
            ("max_retries", "11"),
            ("max_response_bytes", "1023"),
            ("max_response_bytes", "67108865"),
            ("tls_verify", "maybe"),
            ("auth_mode", "v3"),
            ("v1_consumer_headers", "x"),
            ("tls_pin_sha256", "abcd"),
            (
                "tls_pin_sha256",
                "+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a",
            ),
            ("resolve", "host:443"),
            ("resolve", "host:443:not-an-address"),
            ("proxy", "socks9://x"),
            ("proxy", "socks5h://user:pw@x:1080"),
            ("proxy", "ftp://x"),
            ("proxy", "http://"),
            ("proxy", "pac+http://x/proxy.pac"),
            ("proxy", "http://x/proxy.pac"),
            ("proxy", "x/wpad.dat"),
            ("proxy", "file:///etc/proxy.pac"),
            ("proxy", "http://CORP\\john:pw@proxy:8080"),
            ("proxy", "http://john:p@ss1@proxy:8080"),
            ("proxy", "john:p/w@proxy:8080"),
            ("proxy", "http://john:p#w@proxy:8080"),
            ("proxy", "http://john:p?w@proxy:8080"),
            ("store", "mysql://x"),
            ("user_agent", "a\r\nb"),
            ("password", "a\0b"),
            ("ca_file", ""),
        ] {
            let error = settings(&with(&[(name, value)])).expect_err(name);
            assert_eq!(error.code(), Code::Config, "{name}={value}: {error}");
            assert!(error.message().starts_with(name), "{error}");
            assert!(!error.hint().is_empty(), "{error}");
        }
    }

    #[test]
    fn lists_and_urls_are_understood() {
        let colons = "AB:".repeat(32);
        let pins = format!("{}, {}", colons.trim_end_matches(':'), "cd".repeat(32));
        let made = settings(&with(&[
            ("tls_pin_sha256", &pins),
            ("resolve", "H.example:443:10.0.0.1 h.example:8443:[::1]"),
            ("proxy", "proxy.example:3128"),
            ("no_proxy", "b.example, a.example"),
            ("allowed_hosts", "API.example"),
            ("store", "redis://user:pw@r.example:6379/2"),
            ("tls_verify", " True "),
        ]))
        .expect("valid");
        assert_eq!(made.transport.tls.pins, [Pin([0xab; 32]), Pin([0xcd; 32])]);
        assert_eq!(
            made.transport.resolve[0],
            Resolve {
                host: "h.example".into(),
                port: 443,
                address: "10.0.0.1".parse().expect("ip")
            }
        );
        assert_eq!(
            made.transport.resolve[1].address,
            "::1".parse::<IpAddr>().expect("ip")
        );
        assert_eq!(made.transport.no_proxy, ["a.example", "b.example"]);
        assert_eq!(made.allowed_hosts, ["api.example"]);
        assert_eq!(made.store.choice.shown(), "redis://r.example:6379/2");
        assert!(!format!("{made:?}").contains("pw"), "{made:?}");
        let (url, folder) = if cfg!(windows) {
            ("file:///C:/var/x", r"C:\var\x")
        } else {
            ("file:///var/x", "/var/x")
        };
        let choice = settings(&with(&[("store", url)]))
            .expect("valid")
            .store
            .choice;
        assert_eq!(choice, StoreChoice::File(Some(folder.into())));
        assert_eq!(choice.shown(), url);
    }

    #[test]
    fn every_row_of_the_table_is_accepted() {
        for row in OPTIONS {
            let value = match (row.name, row.kind) {
                ("resolve", _) => "h:1:1.2.3.4".to_owned(),
                ("tls_pin_sha256", _) => "ab".repeat(32),
                ("proxy", _) => "direct".to_owned(),
                ("store", _) => "file".to_owned(),
                (_, Kind::Choice(words)) => words[0].to_owned(),
                (_, Kind::Bool) => "on".to_owned(),
                (_, Kind::Int { max, .. }) => max.to_string(),
                _ => "h.example".to_owned(),
            };
            Config::new().set(row.name, Some(&value)).expect(row.name);
        }
    }

    fn soon() -> std::time::Instant {
        std::time::Instant::now() + std::time::Duration::from_secs(20)
    }

    #[test]
    fn a_secret_file_loses_one_line_break_and_nothing_else() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let credential = Credential::File("password_file", file.path().into());
        for (content, secret) in [
            ("pw", "pw"),
            ("pw\n", "pw"),
            ("pw\r\n", "pw"),
            (" pw \n\n", " pw \n"),
            ("p\rw\r", "p\rw\r"),
        ] {
            std::fs::write(file.path(), content).expect("written");
            assert_eq!(
                credential.read(soon()).expect("readable").expose(),
                secret,
                "{content:?}"
            );
        }
        for content in [&b""[..], b"\n", b"\xff\xfe"] {
            std::fs::write(file.path(), content).expect("written");
            assert_eq!(
                credential.read(soon()).expect_err("refused").code(),
                Code::Config
            );
        }
        let missing = Credential::File("password_file", "/no/such/file".into())
            .read(soon())
            .expect_err("missing");
        assert!(
            missing.message().contains("password_file: /no/such/file"),
            "{missing}"
        );
    }
}
