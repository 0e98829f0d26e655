//! Answers of one's own for any path: what the emulator does not know, or shall say differently.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Call;
use crate::message::{Reply, Request};
use crate::state::Shared;

/// An answer for a method and path, in the place of what the emulator says there.
///
/// Reads from JSON: `{"method": "GET", "path": "/api/x", "status": 200, "headers": {}, "body": …}`, of which only `path` is
/// needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The method; empty: any.
    #[serde(default)]
    pub method: String,
    /// The path with its prefix and without its query, without regard to case; `*` at its end stands for anything.
    pub path: String,
    /// HTTP status.
    #[serde(default = "ok")]
    pub status: u16,
    /// Headers; `Content-Length` and `Date` are added, and `Content-Type` if it is not here.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A string is sent as it stands, anything else as JSON; null is no body.
    #[serde(default)]
    pub body: Value,
    /// Checks the token first, as everywhere.
    #[serde(default = "yes")]
    pub needs_token: bool,
}

fn ok() -> u16 {
    200
}

fn yes() -> bool {
    true
}

impl Answer {
    /// # Errors
    /// Where the status is none.
    pub(crate) fn check(&self) -> Result<(), String> {
        if (100..=599).contains(&self.status) {
            Ok(())
        } else {
            Err("an answer's status must be between 100 and 599".into())
        }
    }

    pub(crate) fn replaces(&self, other: &Self) -> bool {
        self.method.eq_ignore_ascii_case(&other.method)
            && self.path.eq_ignore_ascii_case(&other.path)
    }

    fn fits(&self, method: &str, path: &str) -> bool {
        let own = self.path.to_ascii_lowercase();
        (self.method.is_empty() || self.method.eq_ignore_ascii_case(method))
            && match own.strip_suffix('*') {
                Some(start) => path.starts_with(start),
                None => path.trim_end_matches('/') == own.trim_end_matches('/'),
            }
    }

    /// The answer to a request, if one is there for it. `path` is in lower case.
    pub(crate) fn find(answers: &[Self], method: &str, path: &str) -> Option<Self> {
        answers
            .iter()
            .find(|answer| answer.fits(method, path))
            .cloned()
    }

    /// What is sent: the refusal of the token, or this.
    pub(crate) fn reply(&self, request: &Request, shared: &Shared) -> Reply {
        if self.needs_token
            && let Err(refused) = Call::admit(request, shared)
        {
            return refused;
        }
        let (kind, body) = match &self.body {
            Value::Null => ("text/plain", String::new()),
            Value::String(text) => ("text/plain; charset=utf-8", text.clone()),
            other => ("application/json; charset=utf-8", other.to_string()),
        };
        let mut headers: Vec<_> = self.headers.clone().into_iter().collect();
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        {
            headers.push(("Content-Type".into(), kind.into()));
        }
        Reply {
            status: self.status,
            headers,
            body: body.into_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_fit_with_and_without_a_star() {
        let answer = |text: &str| serde_json::from_str::<Answer>(text).unwrap();
        let exact = answer(r#"{"path": "/api/X"}"#);
        assert!(exact.fits("GET", "/api/x/") && !exact.fits("GET", "/api/x/y"));
        let open = answer(r#"{"method": "post", "path": "/api/x/*"}"#);
        assert!(open.fits("POST", "/api/x/y") && !open.fits("GET", "/api/x/y"));
        assert!(serde_json::from_str::<Answer>(r#"{"path": "/x", "sttus": 1}"#).is_err());
    }
}
