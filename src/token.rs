//! A token: what the server's reply said, how long it lives, and the claims inside it.

mod claims;
mod fields;
mod life;

use std::borrow::Cow;
use std::fmt;

use zeroize::Zeroizing;

use crate::clock::Now;
use crate::error::{Code, Error, Result};
use crate::secret::{Secret, fingerprint};

pub use claims::{Claims, is_jwt, jwt_claims};
pub(crate) use fields::{into_text, push_quoted, quoted_len, reply_json};
pub use life::{Life, MAX_LIFETIME_S, effective_life, skew_s, stated_lifetime_s};

/// What stands before the token in an `Authorization` header.
const SCHEME: &str = "Bearer ";

/// What a token reply said, before anybody asked what time it is. Absent, empty and null are all `None`.
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

/// A token ready for use. It never changes; whoever needs it for longer shares it.
pub struct Token {
    /// `Bearer <token>` and a NUL, so that every way to hand it out is a slice of one zeroising buffer.
    buffer: Zeroizing<String>,
    /// The rest of the reply; its access token is in `buffer` alone.
    rest: Reply,
    /// When it was asked for and how long it lives.
    pub life: Life,
    /// Which one it is; larger is newer.
    pub generation: u64,
    /// How much its refresh windows shrink, in thousandths: 0 to 100.
    pub jitter_permille: u16,
    /// Its claims, when it is a JWT.
    pub claims: Option<Claims>,
}

impl Token {
    /// A token made of a server's reply. `jitter_permille` above 100 counts as 100.
    #[must_use]
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
                "access_token holds blanks, control characters or letters beyond ASCII, so it is no token",
            )
            .with_hint("Paste the value of AccessToken alone, on one line, without quotation marks."));
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
    pub fn value_with_nul(&self, with_scheme: bool) -> &[u8] {
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
    pub fn to_reply(&self) -> Reply {
        Reply {
            access_token: Secret::new(self.value()),
            ..self.rest.clone()
        }
    }

    /// Whole seconds left; 0 when expired, and at most 2³¹−1 (68 years), because code written after the guide reads it
    /// into a 32-bit integer.
    #[must_use]
    pub fn expires_in_s(&self, now: Now) -> i64 {
        (self.life.left_ms(now) / 1000).clamp(0, i64::from(i32::MAX))
    }

    /// A field by the guide's name, or `Claims.` and the exact name of a claim. Whatever depends on the time is not here.
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

    /// The token in the guide's names, every name always present: see [`reply_json`].
    #[must_use]
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
