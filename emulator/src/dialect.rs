//! Which dialect a token request speaks, and who asks.

use serde_json::Value;

use super::message::Request;
use super::state::State;

/// What a request to a token endpoint asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// Name of the dialect as counted and logged.
    pub dialect: &'static str,
    /// Which of the V1 header profiles carried the key.
    pub profile: Option<&'static str>,
    /// The username, if it isn't empty.
    pub user: Option<String>,
    pub secret: Secret,
}

/// What proves who asks.
#[derive(PartialEq, Eq)]
pub(super) enum Secret {
    Password(String),
    Key(String),
    /// A key without `grant_type` where one is needed.
    KeyWithoutGrant,
    /// V1 without credentials that it understands.
    Missing,
    /// Something that makes the V2 code fall over.
    WrongDialect,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Asked {
    /// Reads the dialect off a POST to `/api/security/token` or, with `v2`, to `…/token/v2`.
    /// With `form` the latter takes a form, too.
    pub fn read(request: &Request, v2: bool, form: bool) -> Self {
        match v2 {
            true => Self::v2(request),
            false if form => Self::form(request).unwrap_or_else(|| Self::v1(request)),
            false => Self::v1(request),
        }
    }

    /// User and password of a form, as one public client sends them.
    fn form(request: &Request) -> Option<Self> {
        let kind = request.header("content-type")?;
        if !kind
            .to_ascii_lowercase()
            .starts_with("application/x-www-form-urlencoded")
        {
            return None;
        }
        let field = |name: &str| {
            url::form_urlencoded::parse(&request.body)
                .find(|(n, _)| n.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.into_owned())
        };
        Some(Self {
            dialect: "v1_form",
            profile: None,
            user: Some(field("username")?),
            secret: Secret::Password(field("password")?),
        })
    }

    fn unknown(secret: Secret) -> Self {
        Self {
            dialect: "unknown",
            profile: None,
            user: None,
            secret,
        }
    }

    fn v2(request: &Request) -> Self {
        let Ok(Value::Object(fields)) = serde_json::from_slice(&request.body) else {
            return Self::unknown(Secret::WrongDialect);
        };
        let field = |name: &str| {
            fields
                .iter()
                .find(|(n, _)| n.eq_ignore_ascii_case(name))
                .and_then(|(_, value)| value.as_str())
                .map(str::to_owned)
        };
        let user = field("username");
        if let Some(key) = field("ClientSecret") {
            let granted = field("GrantType").as_deref() == Some("client_credentials");
            return Self {
                dialect: "v2_consumer",
                profile: None,
                user: user.filter(|u| !u.is_empty()),
                secret: if granted {
                    Secret::Key(key)
                } else {
                    Secret::KeyWithoutGrant
                },
            };
        }
        match (user, field("password")) {
            (Some(user), Some(password)) => Self {
                dialect: "v2_password",
                profile: None,
                user: Some(user),
                secret: Secret::Password(password),
            },
            _ => Self::unknown(Secret::WrongDialect),
        }
    }

    fn v1(request: &Request) -> Self {
        let header = |name: &str| request.header(name).map(str::to_owned);
        let user = header("username").filter(|u| !u.is_empty());
        for profile in ["client_secret", "consumer_key", "appkey"] {
            if let Some(key) = header(profile) {
                let granted = profile == "appkey"
                    || request.header("grant_type") == Some("client_credentials");
                return Self {
                    dialect: "v1_consumer",
                    profile: Some(profile),
                    user,
                    secret: if granted {
                        Secret::Key(key)
                    } else {
                        Secret::KeyWithoutGrant
                    },
                };
            }
        }
        let (dialect, user, password) = match (user, header("password")) {
            (Some(user), Some(password)) => ("v1_password", user, password),
            _ => match (
                request.query_value("username"),
                request.query_value("password"),
            ) {
                (Some(user), Some(password)) => ("v1_query", user, password),
                _ => return Self::unknown(Secret::Missing),
            },
        };
        Self {
            dialect,
            profile: None,
            user: Some(user),
            secret: Secret::Password(password),
        }
    }

    /// Who asks, in words that hold no secret: a known user's name, a known key's uid.
    pub fn who(&self, state: &State) -> String {
        let user = || {
            let known = self.user.as_deref().and_then(|name| state.user(name));
            known.map_or("?", |u| u.name.as_str())
        };
        match &self.secret {
            Secret::Key(key) => {
                let uid = state
                    .keys
                    .iter()
                    .find(|k| k.key == *key)
                    .map_or("?", |k| &k.uid);
                match self.user {
                    Some(_) => format!("key={uid} user={}", user()),
                    None => format!("key={uid}"),
                }
            }
            _ => format!("user={}", user()),
        }
    }

    /// Counts the request, no matter what becomes of it.
    pub fn count(&self, request: &Request, state: &mut State) {
        state.bump("token.requests");
        state.bump(&format!("token.dialect.{}", self.dialect));
        if let Some(profile) = self.profile {
            state.bump(&format!("token.profile.{profile}"));
        }
        for part in self.who(state).split(' ') {
            state.bump(&format!("token.{}", part.replacen('=', ".", 1)));
        }
        if request.header("authorization").is_some() {
            state.bump("token.with_authorization");
        }
        if request.header("accept").is_none() {
            state.bump("token.without_accept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use crate::state::Shared;

    fn post(headers: &[(&str, &str)], query: Option<&str>, body: &str) -> Request {
        let own = |(n, v): &(&str, &str)| ((*n).to_owned(), (*v).to_owned());
        Request {
            headers: headers.iter().map(own).collect(),
            query: query.map(str::to_owned),
            body: body.into(),
            ..Request::default()
        }
    }

    const KEY: &str = "00000000-0000-4000-8000-000000000001";

    #[test]
    fn every_dialect_is_told_from_the_others() {
        let grant = ("grant_type", "client_credentials");
        for (request, v2, dialect, profile) in [
            (
                post(&[], None, r#"{"username":"a","password":"b"}"#),
                true,
                "v2_password",
                None,
            ),
            (
                post(
                    &[],
                    None,
                    r#"{"ClientSecret":"a","GrantType":"client_credentials"}"#,
                ),
                true,
                "v2_consumer",
                None,
            ),
            (
                post(&[("username", "a"), ("password", "b")], None, ""),
                true,
                "unknown",
                None,
            ),
            (
                post(&[], None, "username=a&password=b"),
                true,
                "unknown",
                None,
            ),
            (
                post(&[("username", "a"), ("password", "b")], None, ""),
                false,
                "v1_password",
                None,
            ),
            (
                post(&[("client_secret", "a"), grant], None, ""),
                false,
                "v1_consumer",
                Some("client_secret"),
            ),
            (
                post(&[("consumer_key", "a"), grant], None, ""),
                false,
                "v1_consumer",
                Some("consumer_key"),
            ),
            (
                post(&[("appkey", "a")], None, ""),
                false,
                "v1_consumer",
                Some("appkey"),
            ),
            (
                post(&[], Some("username=a&password=b%23"), ""),
                false,
                "v1_query",
                None,
            ),
            (post(&[], None, ""), false, "unknown", None),
        ] {
            let asked = Asked::read(&request, v2, false);
            assert_eq!(
                (asked.dialect, asked.profile),
                (dialect, profile),
                "{request:?}"
            );
        }
    }

    #[test]
    fn a_form_is_taken_only_by_the_setting() {
        let kind = (
            "Content-Type",
            "application/x-www-form-urlencoded; charset=UTF-8",
        );
        let request = post(
            &[kind],
            None,
            "grant_type=password&username=a&password=b%23",
        );
        assert_eq!(Asked::read(&request, false, false).dialect, "unknown");
        let asked = Asked::read(&request, false, true);
        assert_eq!(
            (asked.dialect, asked.secret),
            ("v1_form", Secret::Password("b#".into()))
        );
        assert_eq!(Asked::read(&request, true, true).dialect, "unknown");
    }

    #[test]
    fn who_asks_is_named_without_secrets() {
        let shared = Shared::new(Options::default(), String::new(), String::new());
        let state = shared.lock();
        let who = |r: &Request, v2| Asked::read(r, v2, false).who(&state);
        let body = r#"{"username":"DEMO","password":"hunter2"}"#;
        assert_eq!(who(&post(&[], None, body), true), "user=demo");
        let body = r#"{"username":"hunter2","password":"demo"}"#;
        assert_eq!(who(&post(&[], None, body), true), "user=?");
        assert_eq!(
            who(
                &post(&[("appkey", KEY), ("username", "demo")], None, ""),
                false
            ),
            "key=1 user=demo"
        );
        assert_eq!(
            who(&post(&[("appkey", "hunter2")], None, ""), false),
            "key=?"
        );
    }
}
