//! Every row of the protocol page, and properties of what reads a server's bytes.

mod properties;
mod replies;
mod requests;
mod statuses;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::{Method, Request, Response};
use crate::options::{Config, Settings};
use crate::secret::Secret;

/// Settings for `https://p21.example.com` and these options besides.
fn settings(options: &[(&str, &str)]) -> Settings {
    let mut config = Config::new();
    config
        .set("base_url", Some("https://p21.example.com"))
        .expect("valid");
    for (name, value) in options {
        config.set(name, Some(value)).expect(name);
    }
    config.settings().expect("complete")
}

/// A response with these headers.
fn response(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Response {
    Response {
        status,
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        body: Zeroizing::new(body.as_ref().to_vec()),
    }
}

/// A POST to this URL.
fn post(url: &str) -> Request {
    Request {
        method: Method::Post,
        url: url.parse().expect("a URL"),
        headers: vec![("Accept", Secret::new("application/json"))],
        body: Some(Secret::new("body")),
    }
}

/// A JWT with this payload.
fn jwt(payload: &str) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!(
        "{}.{}.c2ln",
        part(r#"{"alg":"HS256","typ":"JWT"}"#),
        part(payload)
    )
}
