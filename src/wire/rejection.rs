//! A P21 API said no: is the token to blame, or would the next one fail the same?

use zeroize::Zeroizing;

use super::body::{contains_ignoring_case, decode};

/// How much of a body is looked at; what tells is at its start.
const LOOK: usize = 64 * 1024;

/// What to do about a rejected call. Numbers as in the C header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Verdict {
    /// Get a token and send the call once more.
    Retry = 1,
    /// Somebody must grant a permission; no token helps.
    Permission = 2,
    /// The `Authorization` header did not arrive; no token helps.
    HeaderLost = 3,
    /// The answer is about something else, or tokens are rejected as fast as they come.
    GiveUp = 4,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Verdict; 4] = [
        Verdict::Retry,
        Verdict::Permission,
        Verdict::HeaderLost,
        Verdict::GiveUp,
    ];

    /// The stable number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// The verdict of this number.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Verdict> {
        Verdict::ALL
            .into_iter()
            .find(|verdict| verdict.number() == number)
    }

    /// The next thing to do, in P21's terms.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Verdict::Retry => "Get a token again and send the call once more.",
            Verdict::Permission => {
                "Grant the permission: for a user, tick User Maintenance → Application Security → Allow OData API Service and give the user's role the Dataservice Permission; for a consumer key, extend its API scope in SOA Admin. A new token would be refused the same way."
            }
            Verdict::HeaderLost => {
                "The Authorization header did not reach P21: end the URL's path as the server expects (a missing slash causes a redirect, on which HTTP clients drop the header) and check proxies on the way. A new token would not help."
            }
            Verdict::GiveUp => {
                "The token is not known to be the reason. If tokens are rejected as soon as they are issued, another program may be asking for tokens with the same credentials: give each its own, or share them (option store)."
            }
        }
    }
}

/// What an API's rejection is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// The token is bad or expired, in so many words.
    TokenDead,
    /// A 401 that says nothing known: like a dead token, but at most once per token.
    Unknown401,
    /// The user, role or consumer key lacks a permission.
    Permission,
    /// The `Authorization` header got lost on the way.
    HeaderLost,
    /// Not about authorisation.
    Other,
}

impl Rejection {
    /// What it comes to, as long as the token's own history says nothing else.
    #[must_use]
    pub const fn verdict(self) -> Verdict {
        match self {
            Rejection::TokenDead | Rejection::Unknown401 => Verdict::Retry,
            Rejection::Permission => Verdict::Permission,
            Rejection::HeaderLost => Verdict::HeaderLost,
            Rejection::Other => Verdict::GiveUp,
        }
    }
}

/// Sorts an API's answer by status and the first 64 KiB of its body, which may be JSON, XML, text or anything else. A 403
/// is about permissions unless it says that the header is missing.
#[must_use]
pub fn classify_rejection(http_status: u16, body: &[u8]) -> Rejection {
    if !matches!(http_status, 401 | 403) {
        return Rejection::Other;
    }
    let mut buffer = Zeroizing::default();
    let text = decode(&body[..body.len().min(LOOK)], &mut buffer);
    let says = |words: &str| contains_ignoring_case(text, words);
    // The words avoid quotation marks, which each format escapes in its own way.
    if says("You are not authorized to access API") {
        Rejection::Permission
    } else if says("Authorization header was not present") {
        Rejection::HeaderLost
    } else if http_status == 403 {
        Rejection::Permission
    } else if says("TokenError") {
        Rejection::TokenDead
    } else {
        Rejection::Unknown401
    }
}
