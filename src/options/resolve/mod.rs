//! From textual options to typed settings: every check and every default, in one place.

mod authentication;

use std::collections::BTreeMap;
use std::path::PathBuf;

use url::Url;

use super::base_url::{BaseUrl, NO_ZONE, ZONE, has_zone};
use super::list;
use super::proxy::{NoProxy, read_proxy};
use super::settings::{
    ConsumerHeaders, Pin, ProxyChoice, Resolve, Settings, StoreChoice, StoreSettings, TlsTrust,
    TransportSettings,
};
use super::table::{Kind, OptionRow, option};
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use crate::sources::Source;
use authentication::{authentication, both_set, credential_of, remove_one};

/// Checks one value by itself.
pub(super) fn check_value(row: &OptionRow, value: &str) -> Result<()> {
    let wrong = |what: &str, hint: &str| Err(fault(row.name, what, hint));
    if value.contains('\0') {
        return wrong(
            "contains a NUL character",
            "Remove it: no value may contain one.",
        );
    }
    match row.kind {
        Kind::Int { min, max } => {
            let number: Option<u64> = value.trim().parse().ok();
            if number.is_none_or(|number| !(min..=max).contains(&number)) {
                let range = format!("must be a whole number from {min} to {max} {}", row.unit);
                let default = format!("The default is {}.", row.default);
                return wrong(range.trim_end(), &default);
            }
        }
        Kind::Bool if parse_bool(value).is_none() => {
            return wrong(
                "must be one of 1, 0, true, false, yes, no, on, off",
                "Set it to 1 or 0, or remove it for its default.",
            );
        }
        Kind::Choice(words) if !words.contains(&value.trim()) => {
            return wrong(
                &format!("must be one of {}", words.join(", ")),
                "Write one of these words in lower case, or remove the option for its default.",
            );
        }
        Kind::Path if value.trim().is_empty() => {
            return wrong("is an empty path", "Name a file, or remove the option.");
        }
        Kind::Bool | Kind::Choice(_) | Kind::Path => {}
        Kind::Url => drop(BaseUrl::parse(value, true)?),
        Kind::Text | Kind::List => match row.name {
            "proxy" => drop(parse_proxy(value)?),
            "store" => drop(parse_store(value)?),
            "tls_pin_sha256" => drop(parse_pins(value)?),
            "resolve" => drop(parse_resolve(value)?),
            "no_proxy" => drop(parse_no_proxy(value)?),
            "user_agent" if value.chars().any(|c| !matches!(c, ' '..='~')) => {
                return wrong(
                    "must be printable ASCII",
                    "Use letters, digits, blanks and punctuation, such as my-program/1.0.",
                );
            }
            name if name.ends_with("_from") => Source::check(name, value)?,
            _ => {}
        },
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
            .map_err(|_| fault(name, "is not a number", "Write only digits."))
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
        .with_hint("Remove tls_verify=0: a pinned certificate is accepted from any issuer."));
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
        "Use https, or remove {detour}, or set allow_http=1 if you alone control the network."
    )))
}

/// No error of a configuration is without a next step.
fn fault(name: &str, what: &str, hint: &str) -> Error {
    Error::new(Code::Config, format!("{name} {what}")).with_hint(hint)
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
        // The variables are those of the user who started it.
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
