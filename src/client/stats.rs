//! What a client says of itself, as JSON and without secrets.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::binding::{Binding, slot_options};
use crate::cache::Status;
use crate::cache::decide::Wait;
use crate::http;
use crate::options::Settings;
use crate::secret::hex;

/// Version of the layout; grows when a name changes its meaning, not when one is added.
const SCHEMA: u32 = 1;

/// Every field: its path and what it says. `null` stands where there is nothing to say. The documentation's table is made
/// of this.
pub const FIELDS: [(&str, &str); 52] = rows! {
    "schema" => "Version of this layout; grows if a name changes its meaning, not if one is added.";
    "identity" => "Fingerprint of server, user and mode, the same in every process; the secret is not in it.";
    "base_url" => "The server's address as the library uses it.";
    "auth_mode" => "How it asks for a token.";
    "open_clients" => "Clients of this process that share the token.";
    "refreshing" => "Whether a token request is in progress.";
    "token" => "The current token; null if there is none.";
    "token.fingerprint" => "First 8 hex digits of its SHA-256.";
    "token.age_s" => "Seconds since it was requested.";
    "token.expires_in_s" => "Seconds left now.";
    "token.expires_at" => "Expiry in Unix seconds.";
    "token.generation" => "Which token it is; a later one has a larger number.";
    "counters.token_requests" => "Token requests sent, retries included.";
    "counters.refreshes" => "Tokens that the server issued.";
    "counters.shared_waits" => "Calls that waited for the request of another call.";
    "counters.adoptions" => "Tokens of other processes, taken from the shared store.";
    "counters.rejections" => "Rejected tokens that were dropped.";
    "counters.ui_requests" => "Requests for the UI server's URL.";
    "counters.failures" => "Failures by the name of their status.";
    "hold" => "Why nothing is sent for a while; null if something may be.";
    "hold.kind" => "`cool-down` after refused credentials, else `backoff`.";
    "hold.left_ms" => "Milliseconds until the next request may be sent.";
    "last_error" => "The last failure, also if a later request succeeded; null if there was none.";
    "last_error.code" => "Its status, such as `P21_E_UNAUTHORIZED`.";
    "last_error.http_status" => "HTTP status of the response; 0 if there was none.";
    "last_error.message" => "What happened.";
    "last_error.hint" => "What to do next.";
    "last_error.age_s" => "Seconds since then.";
    "clock_skew_s" => "The server's clock minus this machine's; 0 below 30 s.";
    "tls_verify" => "Whether certificates are verified.";
    "options.allowed_hosts" => "The option `allowed_hosts`.";
    "options.timeout_ms" => "The option `timeout_ms`.";
    "options.refresh_margin_s" => "The option `refresh_margin_s`.";
    "options.ca_file" => "The option `ca_file`.";
    "options.tls_pin_sha256" => "The option `tls_pin_sha256`.";
    "options.tls_verify" => "The option `tls_verify`.";
    "proxy.from" => "Where the proxy comes from: the option, a variable, the system.";
    "proxy.url" => "The proxy without its login; null if there is none.";
    "proxy.ignored" => "Entries of `NO_PROXY` that are not understood; left out if there are none.";
    "store.kind" => "The configured store.";
    "store.active" => "The store in use.";
    "store.place" => "Where that is.";
    "store.health" => "`ok`, or `degraded` if a lower store is in use.";
    "store.reason" => "Why it is degraded.";
    "store.pending" => "How many dropped tokens the store has not been told of yet; that is done in the background.";
    "store.sealed_with" => "What protects the entries: `consumer key`, `password and store_key`, or `password`; null without a shared store.";
    "store.hint" => "How to protect them better; null if there is nothing to do.";
    "store.required" => "The option `store_required`.";
    "ui_url" => "The UI server's URL as last seen; null if it was not requested.";
    "ui_url.url" => "The URL, scrubbed.";
    "ui_url.other_host" => "Whether its host differs from that of `base_url`.";
    "options_of_first_opener" => "Options that another client of the identity decided, because it was opened first.";
};

/// Where nothing but a password protects the entries.
pub(crate) const USE_STORE_KEY: &str = "The entries are protected only by the password, so a stolen store can be searched for a weak one: set store_key or store_key_file, the same on all machines.";

pub(super) fn json(binding: &Binding) -> String {
    let (slot, settings) = (&binding.slot, &binding.settings);
    let status = slot.status();
    let now = status.now;
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let proxy = http::proxy_origin(&settings.transport, settings.base_url.url());
    let token = status.token.as_ref().map(|token| {
        json!({
            "fingerprint": token.fingerprint(),
            "age_s": token.life.age_ms(now) / 1000,
            "expires_in_s": token.expires_in_s(now),
            "expires_at": token.life.expires_at(),
            "generation": token.generation,
        })
    });
    let hold = status.failure.as_ref().map(|failure| {
        json!({
            "kind": match failure.wait { Wait::CoolDown => "cool-down", Wait::Backoff => "backoff" },
            "left_ms": failure.left_ms(now),
        })
    });
    let last_error = status.last_error.as_ref().map(|(error, at)| {
        json!({
            "code": error.code().name(),
            "http_status": error.http_status(),
            "message": error.message(),
            "hint": error.hint(),
            "age_s": now.since(*at).max(0) / 1000,
        })
    });
    let ui_url = status.ui_url.as_ref().map(|url| {
        let host = |text: &str| {
            url::Url::parse(text)
                .ok()
                .and_then(|url| url.host_str().map(str::to_owned))
        };
        // The router may have written a token into it.
        let shown = slot.issued().scrubber().hide(url);
        json!({ "url": shown, "other_host": host(url) != host(settings.base_url.as_str()) })
    });
    let failures: serde_json::Map<String, Value> = status
        .failures
        .iter()
        .map(|(name, count)| ((*name).to_owned(), json!(count)))
        .collect();
    json!({
        "schema": SCHEMA,
        "identity": slot.info.fingerprint,
        "base_url": settings.base_url.as_str(),
        "auth_mode": settings.auth_mode.name(),
        "open_clients": status.open_clients,
        "refreshing": status.refreshing,
        "token": token,
        "counters": {
            "token_requests": count(&slot.counters.token_requests),
            "refreshes": count(&slot.counters.refreshes),
            "shared_waits": count(&slot.counters.shared_waits),
            "adoptions": status.adoptions,
            "rejections": count(&slot.counters.rejections),
            "ui_requests": count(&slot.counters.ui_requests),
            "failures": failures,
        },
        "hold": hold,
        "last_error": last_error,
        "clock_skew_s": status.skew_s,
        "tls_verify": settings.transport.tls.verify,
        "options": options_json(settings),
        "proxy": proxy_json(&proxy),
        "store": store_json(binding, &status),
        "ui_url": ui_url,
        "options_of_first_opener": mismatches(binding),
    })
    .to_string()
}

/// What the bindings need to know of the options in use, wherever these came from.
fn options_json(settings: &Settings) -> Value {
    let tls = &settings.transport.tls;
    let pins: Vec<String> = tls.pins.iter().map(|pin| hex(&pin.0)).collect();
    json!({
        "allowed_hosts": settings.allowed_hosts,
        "timeout_ms": settings.timeout_ms,
        "refresh_margin_s": settings.refresh_margin_ms / 1000,
        "ca_file": tls.ca_file,
        "tls_pin_sha256": pins,
        "tls_verify": tls.verify,
    })
}

/// The store that was asked for, the one in use, and why they differ.
fn store_json(binding: &Binding, status: &Status) -> Value {
    let health = status.store.as_ref();
    let active = health.map_or("memory", |health| health.active);
    let reason = health.and_then(|health| health.reason.as_deref());
    json!({
        "kind": binding.settings.store.choice.shown(),
        "active": active,
        "place": health.map_or("memory", |health| &health.shown),
        "health": if reason.is_some() { "degraded" } else { "ok" },
        "reason": reason,
        "pending": status.tellings,
        "sealed_with": binding.sealed_with(),
        "hint": (binding.sealed_with() == Some("password")).then_some(USE_STORE_KEY),
        "required": binding.settings.store.required,
    })
}

fn proxy_json(proxy: &http::ProxyOrigin) -> Value {
    if proxy.ignored.is_empty() {
        return json!({ "from": proxy.source, "url": proxy.proxy });
    }
    json!({ "from": proxy.source, "url": proxy.proxy, "ignored": proxy.ignored })
}

/// Options of this client that do not count because another client binding the identity first.
fn mismatches(binding: &Binding) -> Vec<&'static str> {
    let (mine, chosen) = (slot_options(&binding.settings), &binding.slot.options);
    [
        (
            "min_refresh_interval_s",
            mine.min_refresh_interval_ms != chosen.min_refresh_interval_ms,
        ),
        (
            "bad_credentials_cooldown_s",
            mine.cooldown_ms != chosen.cooldown_ms,
        ),
        (
            "default_lifetime_s",
            mine.default_lifetime_ms != chosen.default_lifetime_ms,
        ),
        ("max_retries", mine.max_retries != chosen.max_retries),
        (
            "max_response_bytes",
            mine.max_response_bytes != chosen.max_response_bytes,
        ),
        ("user_agent", mine.user_agent != chosen.user_agent),
    ]
    .into_iter()
    .filter_map(|(name, differs)| differs.then_some(name))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paths of all values that a program may find.
    fn paths(value: &Value, path: &str, found: &mut Vec<String>) {
        match value {
            // The names of statuses, not of fields.
            Value::Object(fields) if path != "counters.failures" => {
                for (name, value) in fields {
                    let path = if path.is_empty() {
                        name.clone()
                    } else {
                        format!("{path}.{name}")
                    };
                    paths(value, &path, found);
                }
            }
            _ => found.push(path.to_owned()),
        }
    }

    #[test]
    fn every_field_is_described() {
        let mut config = crate::options::Config::new();
        for (name, value) in [
            ("base_url", "http://127.0.0.1:9"),
            ("username", "u"),
            ("password", "secret"),
        ] {
            config.set(name, Some(value)).expect("an option");
        }
        let client = crate::client::Client::open(&config).expect("a client");
        let stats: Value = serde_json::from_str(&client.stats().expect("open")).expect("JSON");
        let mut found = Vec::new();
        paths(&stats, "", &mut found);
        for path in &found {
            assert!(
                FIELDS.iter().any(|(name, _)| name == path),
                "{path} is not described"
            );
        }
        // What is null here is an object at another time; its fields are told apart by their path.
        let source = include_str!("stats.rs");
        for (path, _) in FIELDS {
            let name = path.rsplit('.').next().unwrap_or_default();
            assert!(
                source.contains(&format!("\"{name}\": ")),
                "{path} is described and not there"
            );
        }
    }
}
