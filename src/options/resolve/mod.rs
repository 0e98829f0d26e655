//! From textual options to typed settings: every check and every default, in one place.

use std::collections::BTreeMap;
use std::path::PathBuf;

use url::Url;

use super::base_url::{BaseUrl, NO_ZONE, ZONE, has_zone};
use super::list;
use super::proxy::{NoProxy, read_proxy};
use super::settings::{
    AuthMode, ConsumerHeaders, Credential, Pin, ProxyChoice, Resolve, Settings, StoreChoice,
    StoreSettings, TlsTrust, TransportSettings,
};
use super::table::{Kind, OptionRow, option, secret_options};
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use crate::sources::{Named, Source};

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
        Kind::Text if row.name.ends_with("_from") => Source::check(row.name, value)?,
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
        Kind::List if row.name == "no_proxy" => {
            parse_no_proxy(value)?;
        }
        Kind::Text | Kind::List => {}
    }
    Ok(())
}

/// Makes settings of values that [`check_value`] has let through. `prefix`: that of the variables that were read, if any were.
pub(super) fn resolve(
    values: &BTreeMap<&'static str, Secret>,
    consumer_username: Option<&Secret>,
    prefix: Option<&str>,
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
    let base_url = BaseUrl::parse(text("base_url"), flag("allow_http"))?;
    let proxy = parse_proxy(text("proxy"))?;
    let resolve = parse_resolve(text("resolve"))?;
    if !flag("allow_http") {
        stays_here(&base_url, &proxy, text("no_proxy"), &resolve)?;
    }
    Ok(Settings {
        base_url,
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
            proxy,
            no_proxy,
            resolve,
        },
        store: StoreSettings {
            choice: parse_store(text("store"))?,
            required: flag("store_required"),
            timeout_ms: int("store_timeout_ms")?,
            key: credential_of(values, "store_key")
                .map_err(|both| both_set(both).with_hint(remove_one(both, prefix)))?
                .transpose()?,
        },
    })
}

/// Each kind of credential: the option, and the mode that follows from it.
const CREDENTIALS: [(&str, AuthMode); 3] = [
    ("password", AuthMode::V2Password),
    ("consumer_key", AuthMode::V2Consumer),
    ("access_token", AuthMode::Token),
];

/// How to ask, and with what: by `auth_mode`, or by which credentials are there.
fn authentication(
    values: &BTreeMap<&'static str, Secret>,
    mode: &str,
    prefix: Option<&str>,
) -> Result<(AuthMode, Credential)> {
    let is_set = |name: &str| values.get(name).is_some_and(|value| !value.is_empty());
    let (mut found, mut doubled) = (Vec::new(), Vec::new());
    for (name, mode) in CREDENTIALS {
        match credential_of(values, name) {
            Ok(Some(credential)) => found.push((name, mode, Some(credential))),
            Ok(None) => {}
            Err(both) => {
                doubled.push(both);
                found.push((name, mode, None));
            }
        }
    }
    // What this mode would still need.
    let missing = |mode: AuthMode| {
        let own = mode.needs();
        let user = (own == "password" && !is_set("username")).then_some("username");
        let secret = (!found.iter().any(|(name, ..)| *name == own)).then_some(own);
        user.into_iter()
            .chain(secret)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (modes, several) = match (AuthMode::from_name(mode), &found[..]) {
        (Some(mode), _) => (vec![mode], false),
        (None, []) => (vec![AuthMode::V2Password, AuthMode::V2Consumer], false),
        (None, [(_, mode, _)]) => (vec![*mode], false),
        (None, all) => (all.iter().map(|(_, mode, _)| *mode).collect(), true),
    };
    let ways: Vec<Vec<String>> = modes
        .iter()
        .map(|mode| {
            let named = several.then(|| format!("auth_mode={}", mode.name()));
            named.into_iter().chain(missing(*mode)).collect()
        })
        .collect();
    let always: &[&str] = if values.contains_key("base_url") {
        &[]
    } else {
        &["base_url"]
    };
    if let ([mode], [way], [], []) = (&modes[..], &ways[..], always, &doubled[..])
        && way.is_empty()
    {
        let matches = |of: AuthMode| match mode {
            AuthMode::Token => of == AuthMode::Token,
            mode => of != AuthMode::Token && of.uses_consumer_key() == mode.uses_consumer_key(),
        };
        let credential = found.iter().find(|(_, of, _)| matches(*of));
        if let Some((_, _, Some(credential))) = credential {
            return Ok((*mode, credential.clone()?));
        }
    }
    let error = if let [both, ..] = doubled[..] {
        both_set(both)
    } else if several {
        let names: Vec<&str> = found.iter().map(|(name, ..)| *name).collect();
        let how_many = if names.len() == 2 { "both" } else { "all" };
        let names = in_words(&names);
        Error::new(
            Code::Config,
            format!("{names} are {how_many} set, so it is not clear which one to use"),
        )
    } else {
        let ways: Vec<String> = ways.iter().map(|way| in_words(way)).collect();
        let ways = Some(ways.join(", or ")).filter(|ways| !ways.is_empty());
        let names: Vec<String> = always
            .iter()
            .map(|&name| name.to_owned())
            .chain(ways)
            .collect();
        Error::new(
            Code::Config,
            format!("not configured: {}", names.join(", ")),
        )
    };
    let mut hint: Vec<String> = doubled
        .iter()
        .map(|both| remove_one(*both, prefix))
        .collect();
    hint.extend(what_to_set(always, &ways, prefix));
    if several && doubled.is_empty() && always.is_empty() && ways.iter().all(|way| way.len() == 1) {
        hint.push("Or keep only the one that is meant.".to_owned());
    }
    Err(error.with_hint(hint.join(" ")))
}

/// The sentence that says what to set: all of `always`, and all of one of `ways`.
fn what_to_set(always: &[&str], ways: &[Vec<String>], prefix: Option<&str>) -> Option<String> {
    let sentence = |spell: &dyn Fn(&str) -> String| {
        let always: Vec<String> = always.iter().map(|name| spell(name)).collect();
        let ways: Vec<Vec<String>> = ways
            .iter()
            .map(|way| way.iter().map(|name| spell(name)).collect())
            .collect();
        if let [way] = &ways[..] {
            return in_words(&[&always[..], way].concat());
        }
        let ways: Vec<String> = ways.iter().map(|way| in_words(way)).collect();
        let either = ways.join(", or ");
        if always.is_empty() {
            either
        } else {
            format!("{} and either {either}", in_words(&always))
        }
    };
    let variable = |name: &str| spelled(name, Some(prefix.unwrap_or("P21_")));
    let of_options = sentence(&|name| spelled(name, prefix));
    match prefix {
        _ if of_options.is_empty() => None,
        Some(_) => Some(format!("Set {of_options}.")),
        None => Some(format!(
            "Set {of_options} (in the environment: {}).",
            sentence(&variable)
        )),
    }
}

/// An option, or `option=value`, as it is written in code, or in the environment under this prefix.
fn spelled(name: &str, prefix: Option<&str>) -> String {
    let Some(prefix) = prefix else {
        return name.to_owned();
    };
    let (name, value) = name.split_at(name.find('=').unwrap_or(name.len()));
    format!("{prefix}{}{value}", name.to_ascii_uppercase())
}

/// `A`, `A and B`, `A, B and C`.
fn in_words<T: AsRef<str>>(items: &[T]) -> String {
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    match items[..] {
        [ref all @ .., before, last] => {
            let before = [all, &[before]].concat().join(", ");
            format!("{before} and {last}")
        }
        _ => items.concat(),
    }
}

fn both_set([plain, file]: [&str; 2]) -> Error {
    Error::new(Code::Config, format!("{plain} and {file} are both set"))
}

fn remove_one(names: [&str; 2], prefix: Option<&str>) -> String {
    let [plain, file] = names.map(|name| spelled(name, prefix));
    format!("Remove {plain} or {file}.")
}

/// Plain http to this machine must not leave it by a detour.
fn stays_here(
    base_url: &BaseUrl,
    proxy: &ProxyChoice,
    no_proxy: &str,
    resolve: &[Resolve],
) -> Result<()> {
    let url = base_url.url();
    if url.scheme() != "http" || !base_url.is_loopback() {
        return Ok(());
    }
    let name = url.host_str().unwrap_or_default();
    let elsewhere = |resolve: &&Resolve| {
        resolve.host == name
            && Some(resolve.port) == url.port_or_known_default()
            && !resolve.address.to_canonical().is_loopback()
    };
    let detour = if matches!(proxy, ProxyChoice::Url(_)) && !NoProxy::read(no_proxy).0.exempts(url)
    {
        "proxy"
    } else if resolve.iter().any(|resolve| elsewhere(&resolve)) {
        "resolve"
    } else {
        return Ok(());
    };
    Err(Error::new(
        Code::Config,
        format!("base_url is plain http, and {detour} leads away from this machine, so credentials would cross the network unprotected"),
    )
    .with_hint(format!(
        "Use https, or remove {detour}, or set allow_http=1 if the network is yours alone."
    )))
}

/// No error of a configuration is without a next step.
fn fault(name: &str, what: &str, hint: &str) -> Error {
    Error::new(Code::Config, format!("{name} {what}")).with_hint(hint)
}

/// The credential that is set, or the names of two options that exclude each other.
fn credential_of(
    values: &BTreeMap<&'static str, Secret>,
    plain: &str,
) -> std::result::Result<Option<Result<Credential>>, [&'static str; 2]> {
    let mut set = secret_options(plain).filter_map(|row| {
        let value = values.get(row.name).filter(|value| !value.is_empty())?;
        Some((row.name, value))
    });
    let Some((name, value)) = set.next() else {
        return Ok(None);
    };
    if let Some((other, _)) = set.next() {
        return Err([name, other]);
    }
    let source = if name == plain {
        Ok(Named::Value(value.clone()))
    } else if name.ends_with("_file") {
        Ok(Named::Source(Source::File(PathBuf::from(value.expose()))))
    } else {
        Source::resolve(name, value.expose())
    };
    Ok(Some(source.map(|named| match named {
        Named::Source(source) => Credential::From(name, source),
        Named::Value(secret) => Credential::Value(secret),
    })))
}

fn parse_bool(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
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
    let url = read_proxy("proxy", text)?;
    if url.scheme().starts_with("socks") {
        return Err(fault(
            "proxy",
            "names a SOCKS proxy, which is not supported",
            "Name an http proxy, as http://host:port; a local one such as privoxy can pass requests on to a SOCKS proxy. proxy=direct uses none.",
        ));
    }
    Ok(ProxyChoice::Url(Secret::new(String::from(url))))
}

fn parse_no_proxy(text: &str) -> Result<NoProxy> {
    let (known, unknown) = NoProxy::read(text);
    match unknown.first() {
        None => Ok(known),
        Some(entry) => Err(fault(
            "no_proxy",
            &format!("has an entry that is not understood: {entry}"),
            "Write names (corp.local and all below it), host:port, addresses, networks such as 10.0.0.0/8, or * for all, with commas between them.",
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
    if has_zone(text) {
        return Err(fault("store", ZONE, NO_ZONE));
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
mod tests;
