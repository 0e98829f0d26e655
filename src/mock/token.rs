//! The token endpoints: which dialect a request speaks, who it is, and the reply in any shape.

use serde_json::{Map, Value, json};

use super::message::{Reply, Request};
use super::settings::{NEVER_S, Refusal, ReplyFormat, RetryAfter, Settings, TokenKind};
use super::state::{Issued, Owner, Shared, State, shift};
use super::text::{self, xml_escape};

/// JWT times are 32-bit on real servers: a token that "never expires" ends in January 2038.
const LAST_EXP: i64 = 2_147_483_647;

/// Above this many tokens the expired ones are forgotten.
const MANY_TOKENS: usize = 4096;

/// What a request to a token endpoint asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// Name of the dialect as counted and logged.
    pub dialect: &'static str,
    /// Which of the V1 header profiles carried the key.
    pub profile: Option<&'static str>,
    user: Option<String>,
    secret: Secret,
}

#[derive(PartialEq, Eq)]
enum Secret {
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
    pub fn read(request: &Request, v2: bool) -> Self {
        if v2 {
            Self::v2(request)
        } else {
            Self::v1(request)
        }
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

    /// Counts the request, whatever becomes of it.
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

    /// The server's answer.
    pub fn answer(&self, request: &Request, shared: &Shared) -> Reply {
        shared.change(|state| {
            if let Some(reply) = throttle(state) {
                return reply;
            }
            let (owner, lifetime) = match self.check(state) {
                Ok(granted) => granted,
                Err(reply) => {
                    state.bump("token.refused");
                    return reply;
                }
            };
            self.issue(owner, lifetime, request, shared, state)
        })
    }

    /// Whose token this becomes and how long it lives, or the refusal.
    fn check(&self, state: &State) -> Result<(Owner, i64), Reply> {
        let refusal = state.settings.refusal;
        match &self.secret {
            Secret::Password(password) => state
                .user(self.user.as_deref().unwrap_or_default())
                .filter(|u| !u.disabled && u.password == *password)
                .map(|u| {
                    let owner = Owner {
                        user: Some(u.name.clone()),
                        key: None,
                    };
                    (owner, state.settings.lifetime_s)
                })
                .ok_or_else(|| refuse(refusal, "The username or password is incorrect.")),
            Secret::Key(key) => state
                .keys
                .iter()
                .find(|k| !k.disabled && k.key == *key)
                .map(|k| {
                    // Any username goes at this point; only the Interactive API looks at it.
                    let owner = Owner {
                        user: self.user.clone(),
                        key: Some((k.uid.clone(), k.scope.clone())),
                    };
                    (owner, k.lifetime_s.unwrap_or(state.settings.lifetime_s))
                })
                .ok_or_else(|| refuse(refusal, "The consumer key is not valid.")),
            Secret::KeyWithoutGrant => Err(Reply::json(
                400,
                &json!({"error": "unsupported_grant_type"}),
            )),
            Secret::Missing => Err(refuse(refusal, "No credentials were supplied.")),
            Secret::WrongDialect => Err(Reply::json(
                500,
                &json!({
                    "ErrorMessage": "System.NullReferenceException: Object reference not set to an instance of an object.",
                    "ErrorType": "System.NullReferenceException",
                }),
            )),
        }
    }

    fn issue(
        &self,
        owner: Owner,
        lifetime: i64,
        request: &Request,
        shared: &Shared,
        state: &mut State,
    ) -> Reply {
        let now = state.now();
        let settings = state.settings.clone();
        let session_id = text::guid();
        let lived = settings.jwt_lifetime_s.unwrap_or(lifetime);
        let mut expires = now.saturating_add(lived);
        let (uid, scope) = owner.key.clone().unzip();
        let token = match settings.token_kind {
            TokenKind::Opaque => text::opaque(),
            TokenKind::Jwt => {
                expires = expires.min(LAST_EXP);
                let claims = json!({
                    "sub": owner.user.as_deref().unwrap_or_default(),
                    "aud": scope.as_deref().unwrap_or_default(),
                    "iss": "P21.Soa",
                    "exp": expires,
                    "nbf": now,
                    "iat": now,
                    "P21.ConsumerUid": uid.as_deref().unwrap_or_default(),
                    "P21.SessionId": session_id,
                });
                text::jwt(&claims, &shared.signing_key)
            }
        };
        if settings.single_session {
            state.tokens.retain(|_, other| other.owner != owner);
        }
        if state.tokens.len() >= MANY_TOKENS {
            state.tokens.retain(|_, other| now < other.expires);
        }
        let consumer = owner.key.is_some();
        let user = owner.user.clone();
        let session = None;
        state.tokens.insert(
            token.clone(),
            Issued {
                owner,
                expires,
                session,
            },
        );
        state.bump("token.issued");

        let format = match settings.reply {
            ReplyFormat::Auto if self.dialect == "v1_query" => ReplyFormat::Bare,
            ReplyFormat::Auto if request.accepts_json() => ReplyFormat::Json,
            ReplyFormat::Auto => ReplyFormat::Xml,
            forced => forced,
        };
        let mut fields = Map::new();
        fields.insert(settings.token_field.clone(), json!(token));
        fields.insert("TokenType".into(), json!("Bearer"));
        fields.insert("UserName".into(), json!(user.unwrap_or_default()));
        add_lifetime(&mut fields, &settings, lifetime, consumer);
        let refresh = if consumer {
            String::new()
        } else {
            text::opaque()
        };
        fields.insert("RefreshToken".into(), json!(refresh));
        fields.insert("Scope".into(), json!(scope.unwrap_or_default()));
        fields.insert("SessionId".into(), json!(session_id));
        fields.insert("ConsumerUid".into(), json!(uid.unwrap_or_default()));
        fields.insert("AppKey".into(), Value::Null);
        fields.extend(settings.extra_fields);
        render(format, &fields, &token)
    }
}

fn add_lifetime(
    fields: &mut Map<String, Value>,
    settings: &Settings,
    lifetime: i64,
    consumer: bool,
) {
    let stated = settings.stated_lifetime.clone().unwrap_or(json!(lifetime));
    let stated = match stated {
        Value::Number(n) if settings.lifetime_as_string => json!(n.to_string()),
        other => other,
    };
    let own = [if consumer {
        "ExpiresIn"
    } else {
        "ExpiresInSeconds"
    }
    .to_owned()];
    for name in settings.lifetime_fields.as_deref().unwrap_or(&own) {
        fields.insert(name.clone(), stated.clone());
    }
}

fn render(format: ReplyFormat, fields: &Map<String, Value>, token: &str) -> Reply {
    match format {
        ReplyFormat::Auto | ReplyFormat::Json => Reply::json(200, &Value::Object(fields.clone())),
        ReplyFormat::Xml => xml(
            "act:Token",
            " xmlns:act=\"http://distributionsuite.activant.com\"",
            fields,
        ),
        ReplyFormat::TokenResponse => xml("TokenResponse", "", fields),
        ReplyFormat::Bare => Reply::text(200, token),
        ReplyFormat::BareJson => Reply::json(200, &json!(token)),
    }
}

fn xml(root: &str, namespace: &str, fields: &Map<String, Value>) -> Reply {
    let mut body = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
         <{root}{namespace} xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">"
    );
    for (name, value) in fields {
        let text = match value {
            Value::Null => {
                body += &format!("<{name} xsi:nil=\"true\" />");
                continue;
            }
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        body += &if text.is_empty() {
            format!("<{name} />")
        } else {
            format!("<{name}>{}</{name}>", xml_escape(&text))
        };
    }
    Reply::xml(200, format!("{body}</{root}>"))
}

fn refuse(style: Refusal, why: &str) -> Reply {
    let p21 = json!({"Error": "invalid_grant", "Description": why, "Uri": ""});
    match style {
        Refusal::P21 => Reply::json(401, &p21),
        Refusal::Oauth => Reply::json(401, &json!({"error": "invalid_grant"})),
        Refusal::TokenError => Reply::xml_error(401, "TokenError", "invalid_grant", why),
        Refusal::ResourceError => Reply::xml_error(401, "ResourceError", "invalid_grant", why),
        Refusal::TokenError200 => Reply::xml_error(200, "TokenError", "invalid_grant", why),
        Refusal::ResourceError200 => Reply::xml_error(200, "ResourceError", "invalid_grant", why),
        Refusal::ErrorMessage200 => {
            Reply::json(200, &json!({"ErrorMessage": why, "ErrorType": null}))
        }
    }
}

/// The 429, if this request is one too many.
fn throttle(state: &mut State) -> Option<Reply> {
    let max = usize::try_from(state.settings.throttle_max?).unwrap_or(usize::MAX);
    let window = state.settings.throttle_window_s;
    let now = state.now();
    state.recent.retain(|t| now.saturating_sub(*t) < window);
    if state.recent.len() < max {
        state.recent.push_back(now);
        return None;
    }
    state.bump("token.throttled");
    let oldest = state.recent.front().copied().unwrap_or(now);
    let wait = oldest.saturating_add(window).saturating_sub(now).max(1);
    let reply = Reply::json(429, &json!({"Message": "Too many token requests."}));
    Some(match state.settings.retry_after {
        RetryAfter::Seconds => reply.with("Retry-After", &wait.to_string()),
        RetryAfter::Date => {
            let date = httpdate::fmt_http_date(shift(state.clock(), wait));
            reply.with("Retry-After", &date)
        }
        RetryAfter::None => reply,
    })
}

const _: () = assert!(NEVER_S == 20 * 365 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::options::Options;

    fn shared() -> Shared {
        Shared::new(Options::default(), String::new(), String::new())
    }

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
            let asked = Asked::read(&request, v2);
            assert_eq!(
                (asked.dialect, asked.profile),
                (dialect, profile),
                "{request:?}"
            );
        }
    }

    #[test]
    fn who_asks_is_named_without_secrets() {
        let shared = shared();
        let state = shared.lock();
        let who = |r: &Request, v2| Asked::read(r, v2).who(&state);
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

    fn ask(shared: &Shared, body: &str) -> (u16, Value) {
        let request = post(&[("Accept", "application/json")], None, body);
        let reply = Asked::read(&request, true).answer(&request, shared);
        (reply.status, serde_json::from_slice(&reply.body).unwrap())
    }

    #[test]
    fn a_key_that_never_expires_has_a_jwt_that_does() {
        use base64::Engine as _;
        let shared = shared();
        let body = r#"{"ClientSecret":"00000000-0000-4000-8000-000000000002","GrantType":"client_credentials"}"#;
        let (status, reply) = ask(&shared, body);
        assert_eq!((status, reply["ExpiresIn"].as_i64()), (200, Some(NEVER_S)));
        assert_eq!(reply["RefreshToken"], "");
        let token = reply["AccessToken"].as_str().unwrap();
        let payload = token.split('.').nth(1).unwrap();
        let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(payload)
            .unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["exp"], LAST_EXP);
        assert_eq!(claims["aud"], "/api;/p21sdk");
        assert_eq!(claims["P21.ConsumerUid"], "2");
        assert_eq!(claims["P21.SessionId"], reply["SessionId"]);
    }

    #[test]
    fn single_session_ends_the_same_owners_tokens_only() {
        let shared = shared();
        shared.change(|s| s.settings.single_session = true);
        let demo = r#"{"username":"demo","password":"demo-password"}"#;
        ask(&shared, demo);
        ask(
            &shared,
            r#"{"username":"readonly","password":"readonly-password"}"#,
        );
        let (_, second) = ask(&shared, demo);
        let state = shared.lock();
        assert_eq!(state.tokens.len(), 2);
        assert!(
            state
                .tokens
                .contains_key(second["AccessToken"].as_str().unwrap())
        );
    }

    #[test]
    fn throttling_counts_within_its_window() {
        let shared = shared();
        shared.change(|s| s.settings.throttle_max = Some(1));
        let demo = r#"{"username":"demo","password":"demo-password"}"#;
        assert_eq!(ask(&shared, demo).0, 200);
        assert_eq!(ask(&shared, demo).0, 429);
        shared.change(|s| s.offset_s = 61);
        assert_eq!(ask(&shared, demo).0, 200);
    }

    #[test]
    fn xml_writes_null_and_empty_as_servers_do() {
        let fields = Map::from_iter([
            ("A".to_owned(), json!("x&y")),
            ("B".to_owned(), Value::Null),
            ("C".to_owned(), json!("")),
            ("D".to_owned(), json!(7)),
        ]);
        let reply = render(ReplyFormat::Xml, &fields, "t");
        let text = String::from_utf8(reply.body).unwrap();
        assert!(text.contains("<act:Token xmlns:act=\"http://distributionsuite.activant.com\""));
        assert!(text.ends_with("<A>x&amp;y</A><B xsi:nil=\"true\" /><C /><D>7</D></act:Token>"));
    }
}
