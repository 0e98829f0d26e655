//! A token: what the server's reply said, how long it lives, and the claims inside it.

mod claims;
mod fields;
mod life;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::clock::{Clock as _, Now, SystemClock};
use crate::error::{Code, Error, Result};
use crate::secret::{Secret, fingerprint};

pub use claims::{Claims, is_jwt, jwt_claims};
pub(crate) use fields::{into_text, push_quoted, quoted_len, reply_json};
pub use life::Life;
pub(crate) use life::{effective_life, skew_s, stated_lifetime_s};

/// What stands before the token in an `Authorization` header.
const SCHEME: &str = "Bearer ";

/// What a token reply said, before anyone asked what time it is. Absent, empty and null are all `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The access token: never empty, visible ASCII only.
    pub access_token: Secret,
    /// Opaque and unused: no refresh endpoint is known.
    pub refresh_token: Option<Secret>,
    /// Usually `Bearer`.
    pub token_type: Option<String>,
    /// The smaller of the stated lifetimes, in seconds; `None` when missing, zero, negative, not a number or absurd.
    pub stated_lifetime_s: Option<i64>,
    /// P21 user.
    pub user_name: Option<String>,
    /// Scope as the reply states it.
    pub scope: Option<String>,
    /// Middleware session.
    pub session_id: Option<String>,
    /// Consumer.
    pub consumer_uid: Option<String>,
    /// Application key; usually null.
    pub app_key: Option<String>,
}

/// A token ready for use. It never changes; a caller that needs it for longer shares it.
pub struct Token {
    /// `Bearer <token>` and a NUL, so that every way to hand it out is a slice of one zeroizing buffer.
    buffer: Zeroizing<String>,
    /// The rest of the reply; its access token is in `buffer` alone.
    rest: Reply,
    /// When it was asked for and how long it lives.
    #[doc(hidden)]
    pub life: Life,
    /// Which one it is; larger is newer.
    pub generation: u64,
    /// How much its refresh windows shrink, in thousandths: 0 to 100.
    pub(crate) jitter_permille: u16,
    /// Its claims, when it is a JWT.
    pub(crate) claims: Option<Claims>,
}

impl Token {
    /// A token made of a server's reply. `jitter_permille` above 100 counts as 100.
    #[must_use]
    #[doc(hidden)]
    pub fn new(mut reply: Reply, life: Life, generation: u64, jitter_permille: u16) -> Token {
        let access = std::mem::take(&mut reply.access_token);
        let access = access.expose();
        let mut buffer = Zeroizing::new(String::with_capacity(SCHEME.len() + access.len() + 1));
        buffer.push_str(SCHEME);
        buffer.push_str(access);
        buffer.push('\0');
        Token {
            claims: jwt_claims(access),
            buffer,
            rest: reply,
            life,
            generation,
            jitter_permille: jitter_permille.min(100),
        }
    }

    /// The caller's own token (`auth_mode=token`), as pasted: surrounding blanks and a `Bearer ` in any case are dropped.
    /// It lives until the JWT's `exp` by this machine's wall clock, or until replaced when it has none.
    ///
    /// # Errors
    ///
    /// `Config` when nothing is left, or when what is left cannot stand in a header. An expired token is no error here.
    #[doc(hidden)]
    pub fn own(access: &Secret, now: Now) -> Result<Token> {
        let token = without_scheme(access.expose());
        if token.is_empty() {
            return Err(Error::new(Code::Config, "access_token is blank").with_hint(
                "Set access_token to the token itself, with or without 'Bearer ' before it.",
            ));
        }
        if !is_header_token(token) {
            return Err(Error::new(
                Code::Config,
                "access_token contains blanks, control characters or letters beyond ASCII, so it is not a token",
            )
            .with_hint("Paste only the value of AccessToken, on one line, without quotation marks."));
        }
        let lifetime_ms = jwt_claims(token)
            .and_then(|claims| claims.exp())
            .map_or(i64::MAX, |exp| {
                exp.saturating_mul(1000).saturating_sub(now.wall)
            });
        let reply = Reply {
            access_token: Secret::new(token),
            ..Reply::default()
        };
        let life = Life {
            sent: now,
            lifetime_ms,
        };
        Ok(Token::new(reply, life, 0, 0))
    }

    /// The access token.
    #[inline]
    #[must_use]
    pub fn value(&self) -> &str {
        &self.buffer[SCHEME.len()..self.buffer.len() - 1]
    }

    /// `Bearer <token>`: the value of an `Authorization` header.
    #[inline]
    #[must_use]
    pub fn with_scheme(&self) -> &str {
        &self.buffer[..self.buffer.len() - 1]
    }

    /// The same bytes, with the scheme or without, ended by a NUL that is part of the slice.
    #[inline]
    #[must_use]
    pub(crate) fn value_with_nul(&self, with_scheme: bool) -> &[u8] {
        let start = if with_scheme { 0 } else { SCHEME.len() };
        &self.buffer.as_bytes()[start..]
    }

    /// Eight hex digits that tell it apart from others.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(self.value().as_bytes())
    }

    /// The reply it was made of, complete, for a store.
    #[must_use]
    #[doc(hidden)]
    pub fn to_reply(&self) -> Reply {
        Reply {
            access_token: Secret::new(self.value()),
            ..self.rest.clone()
        }
    }

    /// Time left now; zero when expired.
    #[must_use]
    pub fn expires_in(&self) -> Duration {
        crate::clock::duration(self.life.left_ms(SystemClock.now()))
    }

    /// Whole seconds left; 0 when expired, and at most 2³¹−1 (68 years), because code written after the guide reads it
    /// into a 32-bit integer.
    #[must_use]
    #[doc(hidden)]
    pub fn expires_in_s(&self, now: Now) -> i64 {
        (self.life.left_ms(now) / 1000).clamp(0, i64::from(i32::MAX))
    }

    /// A field by the guide's name, or `Claims.` and the exact name of a claim. No matter what depends on the time is not here.
    /// `None` when the server did not send it. A claim that is no string comes as JSON text.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        if let Some(claim) = name.strip_prefix("Claims.") {
            return self.claims.as_ref()?.text(claim);
        }
        if name == "AccessToken" {
            return Some(Cow::Borrowed(self.value()));
        }
        fields::text_of(&self.rest, name).map(Cow::Borrowed)
    }

    /// The token in the guide's names, every name always present.
    #[must_use]
    #[doc(hidden)]
    pub fn to_json(&self, now: Now) -> Zeroizing<String> {
        reply_json(
            self.value(),
            &self.rest,
            Some(self.expires_in_s(now)),
            self.claims.as_ref(),
        )
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("fingerprint", &self.fingerprint())
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}

/// Whether `token` may stand in an `Authorization` header: visible ASCII, nothing else, and not nothing.
#[must_use]
pub fn is_header_token(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())
}

/// `text` without surrounding blanks and without a leading `Bearer` in any case: callers hand in either form.
#[must_use]
pub fn without_scheme(text: &str) -> &str {
    let text = text.trim();
    let scheme = SCHEME.trim_end();
    match text.get(..scheme.len()) {
        Some(start) if start.eq_ignore_ascii_case(scheme) => {
            let rest = &text[scheme.len()..];
            // `BearerX` is a token of that name.
            if rest.is_empty() || rest.starts_with(char::is_whitespace) {
                rest.trim_start()
            } else {
                text
            }
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    const NOW: Now = Now {
        mono: 5_000,
        wall: 1_767_225_600_000,
    };

    fn jwt(payload: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.c2ln", part(&json!({"alg": "x"})), part(payload))
    }

    fn token(access: &str) -> Token {
        let reply = Reply {
            access_token: Secret::new(access),
            refresh_token: Some(Secret::new("refresh-secret\n\"")),
            user_name: Some("api.user".to_owned()),
            session_id: Some("s1".to_owned()),
            ..Reply::default()
        };
        let life = Life {
            sent: NOW,
            lifetime_ms: 60_000,
        };
        Token::new(reply, life, 7, 250)
    }

    #[test]
    fn one_buffer_in_every_form() {
        let token = token("tok");
        assert_eq!(token.value(), "tok");
        assert_eq!(token.with_scheme(), "Bearer tok");
        assert_eq!(token.value_with_nul(false), b"tok\0");
        assert_eq!(token.value_with_nul(true), b"Bearer tok\0");
        assert_eq!(token.fingerprint(), fingerprint(b"tok"));
        assert_eq!((token.generation, token.jitter_permille), (7, 100));
        assert_eq!(token.to_reply().access_token.expose(), "tok");
        assert_eq!(token.to_reply().user_name.as_deref(), Some("api.user"));
    }

    #[test]
    fn debug_shows_no_secret() {
        let token = token("very-secret-token");
        let shown = format!("{token:?} {:?}", token.to_reply());
        assert!(
            shown.contains(&token.fingerprint()) && !shown.contains("secret-"),
            "{shown}"
        );
        assert!(!shown.contains("refresh-"), "{shown}");
    }

    #[test]
    fn fields_by_the_guides_names() {
        let access = jwt(&json!({"sub": "", "exp": 5, "P21.SessionId": "s2", "x": null, "a": [1]}));
        let token = token(&access);
        for (name, text) in [
            ("AccessToken", Some(access.as_str())),
            ("TokenType", Some("Bearer")),
            ("RefreshToken", Some("refresh-secret\n\"")),
            ("UserName", Some("api.user")),
            ("SessionId", Some("s1")),
            ("Scope", None),
            ("ConsumerUid", None),
            ("AppKey", None),
            ("ExpiresInSeconds", None),
            ("ExpiresIn", None),
            ("accesstoken", None),
            ("", None),
            ("Claims", None),
            ("Claims.", None),
            ("Claims.sub", Some("")),
            ("Claims.exp", Some("5")),
            ("Claims.P21.SessionId", Some("s2")),
            ("Claims.x", None),
            ("Claims.a", Some("[1]")),
            ("Claims.SUB", None),
        ] {
            assert_eq!(token.field(name).as_deref(), text, "{name}");
        }
        assert_eq!(self::token("opaque").field("Claims.sub"), None);
    }

    #[test]
    fn json_counts_from_now() {
        let access = jwt(&json!({"sub": "u"}));
        let token = token(&access);
        let read = |ms| serde_json::from_str::<Value>(&token.to_json(NOW.plus(ms))).expect("JSON");
        let expected = |left: i64| {
            json!({
                "AccessToken": access, "TokenType": "Bearer", "RefreshToken": "refresh-secret\n\"", "UserName": "api.user",
                "ExpiresIn": left, "ExpiresInSeconds": left, "Scope": null, "SessionId": "s1", "ConsumerUid": null,
                "AppKey": null, "Claims": { "sub": "u" },
            })
        };
        assert_eq!(read(0), expected(60));
        assert_eq!(read(1), expected(59));
        assert_eq!(read(60_000), expected(0));
        assert_eq!(read(i64::MAX), expected(0));
        let opaque = self::token("opaque").to_json(NOW);
        assert!(!opaque.contains("Claims"), "{}", *opaque);
    }

    #[test]
    fn json_never_outgrows_its_buffer() {
        let control = "\u{1}".repeat(500);
        let reply = Reply {
            access_token: Secret::new("tok"),
            refresh_token: Some(Secret::new(control.as_str())),
            scope: Some(control.clone()),
            ..Reply::default()
        };
        let json = reply_json("tok", &reply, Some(i64::MIN), None);
        assert_eq!(
            serde_json::from_str::<Value>(&json).expect("JSON")["RefreshToken"],
            control
        );
        let bound = 128
            + [3, 500, 500, 6]
                .map(|length| 6 * length + 2)
                .iter()
                .sum::<usize>();
        assert!(json.capacity() < bound + 300, "{}", json.capacity());
    }

    #[test]
    fn own_tokens_as_they_are_pasted() {
        let access = jwt(&json!({"exp": NOW.unix() + 600}));
        for pasted in [
            access.clone(),
            format!("Bearer {access}"),
            format!(" \tbEARER \t{access}\r\n"),
        ] {
            let token = Token::own(&Secret::new(pasted), NOW).expect("a token");
            assert_eq!(token.value(), access);
            assert_eq!(token.life.lifetime_ms, 600_000);
            assert_eq!(token.expires_in_s(NOW), 600);
        }
        let expired = jwt(&json!({"exp": NOW.unix() - 5}));
        let token = Token::own(&Secret::new(expired), NOW).expect("expired is no error here");
        assert!(token.life.left_ms(NOW) < 0);
        assert_eq!(token.expires_in_s(NOW), 0);
        for unlimited in ["opaque", "BearerX", &jwt(&json!({"sub": "u"}))] {
            let token = Token::own(&Secret::new(unlimited), NOW).expect("a token");
            assert_eq!(token.value(), unlimited);
            assert_eq!(token.life.lifetime_ms, i64::MAX);
            assert_eq!(token.expires_in_s(NOW), i64::from(i32::MAX));
        }
    }

    #[test]
    fn own_tokens_that_are_none() {
        for bad in [
            "",
            "  ",
            "Bearer",
            "bearer \n",
            "Bearer a b",
            "a\nb",
            "a\0b",
            "tök",
        ] {
            let error = Token::own(&Secret::new(bad), NOW).expect_err(bad);
            assert_eq!(error.code(), Code::Config);
            assert!(!error.hint().is_empty());
        }
    }
}
