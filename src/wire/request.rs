//! From settings to the requests that the library sends: a token, and the UI server's URL.

use url::Url;
use zeroize::Zeroizing;

use super::{Method, Request};
use crate::error::{Code, Error, Result};
use crate::options::{AuthMode, ConsumerHeaders, Settings};
use crate::secret::Secret;
use crate::token::{into_text, is_header_token, push_quoted, quoted_len};

/// Where V2 token requests go, below the base URL.
pub(super) const TOKEN_V2: &str = "/api/security/token/v2";
/// Where V1 token requests go.
pub(super) const TOKEN_V1: &str = "/api/security/token";
/// With the slash before `?`: without it the server answers 307, and clients that drop `Authorization` on a redirect
/// then meet a 401.
pub(super) const UI_ROUTER: &str = "/api/ui/router/v1/?urlType=external";

/// The request that asks for a token in the dialect of `settings.auth_mode`. `secret` is the password or consumer key.
///
/// # Errors
///
/// `Config` when a V1 header cannot carry a value; `Internal` with `auth_mode=token`, which never asks.
pub fn token_request(settings: &Settings, secret: &Secret) -> Result<Request> {
    let base = &settings.base_url;
    let username = settings.username.as_deref().unwrap_or_default();
    let mut headers = common_headers(settings);
    let (url, body) = match settings.auth_mode {
        AuthMode::V2Password => {
            headers.push(json_content());
            let body = json_body(&[("username", username), ("password", secret.expose())]);
            (base.join(TOKEN_V2)?, body)
        }
        AuthMode::V2Consumer => {
            headers.push(json_content());
            let mut members = vec![
                ("ClientSecret", secret.expose()),
                ("GrantType", "client_credentials"),
            ];
            // Only when there is one: the server takes "" and null for a user of that name.
            if !username.is_empty() {
                members.push(("username", username));
            }
            (base.join(TOKEN_V2)?, json_body(&members))
        }
        AuthMode::V1Password => {
            headers.push(json_content());
            headers.push(v1_header("username", "username", username, settings)?);
            headers.push(v1_header(
                "password",
                "password",
                secret.expose(),
                settings,
            )?);
            (base.join(TOKEN_V1)?, Secret::default())
        }
        AuthMode::V1Consumer => {
            headers.push(json_content());
            let profile = settings.v1_consumer_headers;
            headers.push(v1_header(
                profile.name(),
                "consumer_key",
                secret.expose(),
                settings,
            )?);
            if profile != ConsumerHeaders::AppKey {
                headers.push(("grant_type", Secret::new("client_credentials")));
            }
            if !username.is_empty() {
                headers.push(v1_header("username", "username", username, settings)?);
            }
            (base.join(TOKEN_V1)?, Secret::default())
        }
        AuthMode::V1Query => {
            let url = query_url(
                base.as_str(),
                &[("username", username), ("password", secret.expose())],
            )?;
            (url, Secret::default())
        }
        AuthMode::Token => {
            return Err(Error::new(
                Code::Internal,
                "a token request was made with auth_mode=token",
            ));
        }
    };
    Ok(Request {
        method: Method::Post,
        url,
        headers,
        body: Some(body),
    })
}

/// The request for the UI server's URL.
///
/// # Errors
///
/// `InvalidArgument` when `token` cannot stand in a header.
pub(crate) fn ui_router_request(settings: &Settings, token: &Secret) -> Result<Request> {
    api_request(settings, settings.base_url.join(UI_ROUTER)?, token)
}

/// The request that reads `url`, of this server or its UI server, with `token`.
///
/// # Errors
///
/// As [`ui_router_request`].
pub(crate) fn api_request(settings: &Settings, url: Url, token: &Secret) -> Result<Request> {
    if !is_header_token(token.expose()) {
        return Err(Error::new(
            Code::InvalidArgument,
            "the access token is empty or contains characters that a header cannot carry",
        ));
    }
    let mut value = Zeroizing::new(String::with_capacity(7 + token.expose().len()));
    value.push_str("Bearer ");
    value.push_str(token.expose());
    let mut headers = common_headers(settings);
    headers.push(("Authorization", Secret::new(std::mem::take(&mut *value))));
    Ok(Request {
        method: Method::Get,
        url,
        headers,
        body: None,
    })
}

/// What every request carries. Clients that forget `Accept` get XML.
#[must_use]
pub(crate) fn common_headers(settings: &Settings) -> Vec<(&'static str, Secret)> {
    vec![
        ("Accept", Secret::new("application/json")),
        ("User-Agent", Secret::new(settings.user_agent.as_str())),
    ]
}

fn json_content() -> (&'static str, Secret) {
    ("Content-Type", Secret::new("application/json"))
}

/// A JSON object of strings, in this order, written once into a buffer that never grows.
fn json_body(members: &[(&str, &str)]) -> Secret {
    let bound = members
        .iter()
        .map(|(name, value)| quoted_len(name) + quoted_len(value) + 2)
        .sum::<usize>();
    let mut body = Zeroizing::new(Vec::with_capacity(bound + 2));
    for (index, (name, value)) in members.iter().enumerate() {
        body.push(if index == 0 { b'{' } else { b',' });
        push_quoted(&mut body, name);
        body.push(b':');
        push_quoted(&mut body, value);
    }
    body.push(b'}');
    Secret::new(std::mem::take(&mut *into_text(body)))
}

/// A header of the V1 dialects. HTTP headers carry Latin-1, and servers cut blanks off both ends.
fn v1_header(
    name: &'static str,
    option: &str,
    value: &str,
    settings: &Settings,
) -> Result<(&'static str, Secret)> {
    let carried = |c: char| matches!(c, ' '..='~' | '\u{a0}'..='\u{ff}');
    let v2 = if settings.auth_mode.uses_consumer_key() {
        AuthMode::V2Consumer
    } else {
        AuthMode::V2Password
    };
    let fault = |what: &str| {
        Err(Error::new(
            Code::Config,
            format!(
                "{option} {what}, which the headers of auth_mode={} cannot carry",
                settings.auth_mode.name()
            ),
        )
        .with_hint(format!(
            "Use auth_mode={}: its JSON body carries any text.",
            v2.name()
        )))
    };
    if value.is_empty() {
        return fault("is empty");
    }
    if !value.chars().all(carried) {
        return fault("contains control characters or letters beyond Latin-1");
    }
    if value.starts_with([' ', '\u{a0}']) || value.ends_with([' ', '\u{a0}']) {
        return fault("begins or ends with a blank");
    }
    Ok((name, Secret::new(value)))
}

/// The V1 URL with credentials in its query: everything but unreserved characters is percent-encoded, so that `+`, `&`
/// and blanks mean themselves no matter what the server's reader of queries does.
fn query_url(base: &str, members: &[(&str, &str)]) -> Result<Url> {
    let bound = members
        .iter()
        .map(|(name, value)| name.len() + 3 * value.len() + 2)
        .sum::<usize>();
    let mut text = Zeroizing::new(String::with_capacity(
        base.len() + TOKEN_V1.len() + 1 + bound,
    ));
    text.push_str(base);
    text.push_str(TOKEN_V1);
    text.push('/');
    for (index, (name, value)) in members.iter().enumerate() {
        text.push(if index == 0 { '?' } else { '&' });
        text.push_str(name);
        text.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                text.push(char::from(byte));
            } else {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                text.push('%');
                text.push(char::from(HEX[usize::from(byte >> 4)]));
                text.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
    // The parser's own message would not show the URL, but its kind says nothing to a user either.
    Url::parse(&text).map_err(|_| Error::new(Code::Internal, "the V1 URL is not a URL"))
}
