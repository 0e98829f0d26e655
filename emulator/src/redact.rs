//! A request as the control endpoint shows it: secrets replaced by their SHA-256, so that a test can
//! compare them without anyone reading them.

use serde::{Serialize as _, Serializer};
use serde_json::{Map, Value, json};

use super::message::Request;
use super::text::sha256_hex;

const SECRET_HEADERS: [&str; 8] = [
    "authorization",
    "proxy-authorization",
    "password",
    "client_secret",
    "consumer_key",
    "appkey",
    "cookie",
    "x-api-key",
];

pub(super) fn request(request: &Request) -> Value {
    let mut headers = Map::new();
    for (name, value) in &request.headers {
        let name = name.to_ascii_lowercase();
        let shown = if SECRET_HEADERS.contains(&name.as_str()) {
            hashed_after_scheme(value)
        } else {
            value.clone()
        };
        headers.insert(name, json!(shown));
    }
    json!({
        "method": request.method,
        "path": request.path,
        "query": query(request.query.as_deref().unwrap_or_default()),
        "headers": headers,
        "body_bytes": request.body.len(),
        "body": body(&request.body),
    })
}

/// A query for a list of calls.
pub(super) fn shown_query<T: AsRef<str>, S: Serializer>(
    text: &T,
    out: S,
) -> Result<S::Ok, S::Error> {
    query(text.as_ref()).serialize(out)
}

/// A query's values by name, secrets replaced.
fn query(query: &str) -> Map<String, Value> {
    url::form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| (name.to_string(), shown_value(&name, &value)))
        .collect()
}

/// The fields of a JSON object; of any other body nothing.
fn body(bytes: &[u8]) -> Value {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(fields)) => fields
            .into_iter()
            .map(|(name, value)| {
                let shown = match value {
                    Value::String(text) => shown_value(&name, &text),
                    Value::Null => Value::Null,
                    other => json!(hashed(&other.to_string())),
                };
                (name, shown)
            })
            .collect(),
        _ => Value::Null,
    }
}

/// Only values that are known to be harmless show.
fn shown_value(name: &str, value: &str) -> Value {
    const HARMLESS: [&str; 16] = [
        "username",
        "granttype",
        "urltype",
        "$top",
        "$skip",
        "$count",
        "$filter",
        "$select",
        "$orderby",
        "$query",
        "extendedproperties",
        "id",
        "windowid",
        "servicename",
        "title",
        "responsewindowhandlingenabled",
    ];
    if HARMLESS.contains(&name.to_ascii_lowercase().as_str()) {
        json!(value)
    } else {
        json!(hashed(value))
    }
}

fn hashed(value: &str) -> String {
    format!("sha256:{}", sha256_hex(value.as_bytes()))
}

/// `Bearer xyz` keeps its scheme: whether it was sent is what tests ask.
fn hashed_after_scheme(value: &str) -> String {
    match value.split_once(' ') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => {
            format!("{scheme} {}", hashed(rest))
        }
        _ => hashed(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_shows_but_its_hash_does() {
        let shown = super::request(&Request {
            method: "POST".into(),
            path: "/api/security/token".into(),
            query: Some("username=demo&password=hunter2".into()),
            headers: vec![
                ("Authorization".into(), "Bearer hunter2".into()),
                ("Client_Secret".into(), "hunter2".into()),
                ("Accept".into(), "*/*".into()),
            ],
            body: br#"{"username":"demo","Password":"hunter2","x":{"y":"hunter2"}}"#.to_vec(),
            ..Request::default()
        });
        let hash = format!("sha256:{}", sha256_hex(b"hunter2"));
        assert_eq!(shown["headers"]["authorization"], format!("Bearer {hash}"));
        assert_eq!(shown["headers"]["client_secret"], hash);
        assert_eq!(shown["headers"]["accept"], "*/*");
        assert_eq!(shown["query"]["username"], "demo");
        assert_eq!(shown["query"]["password"], hash);
        assert_eq!(shown["body"]["Password"], hash);
        assert!(!shown.to_string().contains("hunter2"));
    }
}
