//! The token endpoints' answers: a token in any shape, a refusal in any spelling, throttling.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::dialect::{Asked, Secret};
use super::message::{Reply, Request};
use super::settings::{Refusal, ReplyFormat, RetryAfter, Settings, TokenKind};
use super::state::{Issued, Owner, Shared, State, shift};
use super::text::{self, xml_escape};

/// JWT times are 32-bit on real servers: a token that "never expires" ends in January 2038.
const LAST_EXP: i64 = 2_147_483_647;

/// At this many tokens the expired ones are forgotten, or the older half.
const MANY_TOKENS: usize = 50_000;

impl Asked {
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
            forget(&mut state.tokens, now);
        }
        let consumer = owner.key.is_some();
        let user = owner.user.clone();
        let session = None;
        state.tokens.insert(
            token.clone(),
            Issued {
                fingerprint: text::fingerprint(&token),
                owner,
                since: now,
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

fn forget(tokens: &mut HashMap<String, Issued>, now: i64) {
    tokens.retain(|_, other| now < other.expires);
    if tokens.len() > MANY_TOKENS / 2 {
        let mut times: Vec<i64> = tokens.values().map(|issued| issued.since).collect();
        times.sort_unstable();
        let middle = times[times.len() / 2];
        let mut excess = tokens.len() / 2;
        tokens.retain(|_, issued| {
            let old = issued.since <= middle && excess > 0;
            excess -= usize::from(old);
            !old
        });
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
    let children: String = fields
        .iter()
        .map(|(name, value)| element(name, value))
        .collect();
    Reply::xml(
        200,
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
             <{root}{namespace} xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\
             {children}</{root}>"
        ),
    )
}

fn element(name: &str, value: &Value) -> String {
    let text = match value {
        Value::Null => return format!("<{name} xsi:nil=\"true\" />"),
        Value::String(text) if text.is_empty() => return format!("<{name} />"),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    format!("<{name}>{}</{name}>", xml_escape(&text))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use crate::settings::NEVER_S;

    fn shared() -> Shared {
        Shared::new(Options::default(), String::new(), String::new())
    }

    fn ask(shared: &Shared, body: &str) -> (u16, Value) {
        let request = Request {
            headers: vec![("Accept".into(), "application/json".into())],
            body: body.into(),
            ..Request::default()
        };
        let reply = Asked::read(&request, true, false).answer(&request, shared);
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
