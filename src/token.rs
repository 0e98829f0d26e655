//! A token: what the server's reply said, how long it lives, and the claims inside it.

use std::fmt;

use serde_json::{Map, Value};

use crate::clock::Now;
use crate::secret::Secret;

/// What a token reply said, before anybody asked what time it is. Absent, empty and null are all `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The access token; never empty, never holds blanks or control characters.
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

/// The payload of a JWT. Read, never verified: the server does that.
#[derive(Clone, PartialEq, Eq)]
pub struct Claims(pub Map<String, Value>);

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Claims({} names)", self.0.len())
    }
}

/// When a token was asked for and how long it lives from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// When the try that succeeded was sent.
    pub sent: Now,
    /// Milliseconds from `sent` to the effective expiry; `i64::MAX` for a token that is valid until replaced.
    pub lifetime_ms: i64,
}

impl Life {
    /// Milliseconds since it was asked for, by the clock that counted more; never negative.
    #[must_use]
    pub fn age_ms(&self, now: Now) -> i64 {
        now.since(self.sent).max(0)
    }

    /// Milliseconds left; 0 or less: expired.
    #[must_use]
    pub fn left_ms(&self, now: Now) -> i64 {
        self.lifetime_ms.saturating_sub(self.age_ms(now))
    }

    /// Expiry in Unix seconds, by the wall clock at sending.
    #[must_use]
    pub fn expires_at(&self) -> i64 {
        self.sent
            .wall
            .saturating_add(self.lifetime_ms)
            .div_euclid(1000)
    }
}
