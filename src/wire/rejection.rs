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
    /// Someone must grant a permission; no token helps.
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
                "Grant the permission: for a user, tick User Maintenance → Application Security → Allow OData API Service and give the user's role the Dataservice Permission; for a consumer key, which usually gets a 403, check its API scope in SOA Admin. A new token would be rejected in the same way."
            }
            Verdict::HeaderLost => {
                "The Authorization header did not reach P21: end the URL's path as the server expects (a missing slash causes a redirect, on which HTTP clients drop the header), and check the proxies on the way. A new token would not help."
            }
            Verdict::GiveUp => {
                "The token is not known to be the cause. If tokens are rejected as soon as they are issued, another program may be requesting tokens with the same credentials: use separate credentials for each, or share tokens (option store)."
            }
        }
    }
}

/// What an API's rejection is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// The token is bad or expired, explicitly.
    TokenDead,
    /// A 401 that says nothing known: like a dead token, but at most once per token.
    Unknown401,
    /// The user, role or consumer key lacks a permission, explicitly.
    Permission,
    /// Any other 403: most often outside the consumer key's API scope.
    Scope,
    /// The `Authorization` header got lost on the way.
    HeaderLost,
    /// A 403 that is a web page: a firewall's, a proxy's or IIS's own, and not P21's.
    BlockPage,
    /// Not about authorization.
    Other,
}

impl Rejection {
    /// What it comes to, as long as the token's own history says nothing else.
    #[must_use]
    pub const fn verdict(self) -> Verdict {
        match self {
            Rejection::TokenDead | Rejection::Unknown401 => Verdict::Retry,
            Rejection::Permission | Rejection::Scope => Verdict::Permission,
            Rejection::HeaderLost => Verdict::HeaderLost,
            Rejection::BlockPage | Rejection::Other => Verdict::GiveUp,
        }
    }

    /// The next thing to do; more exact than the verdict's, which must do for every permission.
    #[must_use]
    pub(crate) const fn hint(self) -> &'static str {
        match self {
            Rejection::Scope => {
                "Check the consumer key's API scope in SOA Admin (API Console); without a consumer key, whether the user may use this API. A firewall in front of the server can return 403 as well. A new token would be rejected in the same way."
            }
            Rejection::BlockPage => {
                "The response is a web page that does not come from P21: ask the administrator of the web application firewall, load balancer or IIS in front of the server to let the call through; its log contains the request. A new token would be rejected in the same way."
            }
            other => other.verdict().hint(),
        }
    }
}

/// Sorts an API's answer by status and the first 64 KiB of its body, which may be JSON, XML, text or anything else. A 403
/// is about permissions unless it says that the header is missing, or is a web page.
#[must_use]
pub fn classify_rejection(http_status: u16, body: &[u8]) -> Rejection {
    if !matches!(http_status, 401 | 403) {
        return Rejection::Other;
    }
    let mut buffer = Zeroizing::default();
    let text = decode(&body[..body.len().min(LOOK)], &mut buffer).unwrap_or_default();
    let says = |words: &str| contains_ignoring_case(text, words);
    // The words avoid quotation marks, which each format escapes in its own way.
    if says("You are not authorized to access API") {
        Rejection::Permission
    } else if says("Authorization header was not present") {
        Rejection::HeaderLost
    } else if http_status == 403 && is_page(text) {
        Rejection::BlockPage
    } else if http_status == 403 {
        Rejection::Scope
    } else if says("TokenError") {
        Rejection::TokenDead
    } else {
        Rejection::Unknown401
    }
}

/// Whether it begins like a web page, be it cut off or malformed.
fn is_page(text: &str) -> bool {
    let start = text.trim_start();
    let start = &start[..start.floor_char_boundary(2048)];
    start.starts_with('<')
        && ["<html", "<!doctype html", "<head", "<body", "<title"]
            .iter()
            .any(|tag| contains_ignoring_case(start, tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOT_AUTHORIZED: &str = "You are not authorized to access API";
    const LOST: &str = r#"{"Error":"invalid_request","Description":"Authorization header was not present or \u0027Bearer\u0027 was missing.","Uri":""}"#;

    #[test]
    fn every_row_of_the_table() {
        let utf16 = |text: &str| -> Vec<u8> {
            "\u{feff}"
                .encode_utf16()
                .chain(text.encode_utf16())
                .flat_map(u16::to_le_bytes)
                .collect()
        };
        let huge = |text: &str, at: usize| -> Vec<u8> {
            let mut body = vec![b' '; at];
            body.extend_from_slice(text.as_bytes());
            body.resize(10 << 20, b'x');
            body
        };
        let dead = r#"<TokenError xmlns="urn:x"><Message>Token expired</Message></TokenError>"#;
        for (status, body, rejection) in [
            (401, dead.into(), Rejection::TokenDead),
            (
                401,
                "<a:TokenError xmlns:a='urn:x' Message='x'/>".into(),
                Rejection::TokenDead,
            ),
            (401, utf16(dead), Rejection::TokenDead),
            (401, LOST.into(), Rejection::HeaderLost),
            (403, LOST.into(), Rejection::HeaderLost),
            (401, NOT_AUTHORIZED.into(), Rejection::Permission),
            (
                401,
                format!("\"{NOT_AUTHORIZED}\"").into(),
                Rejection::Permission,
            ),
            (
                401,
                format!("\u{feff}{{\"Message\":\"{NOT_AUTHORIZED} x.\"}}").into(),
                Rejection::Permission,
            ),
            (
                401,
                format!(
                    "<E><Message>{}</Message></E>",
                    NOT_AUTHORIZED.to_uppercase()
                )
                .into(),
                Rejection::Permission,
            ),
            (401, utf16(NOT_AUTHORIZED), Rejection::Permission),
            (403, NOT_AUTHORIZED.into(), Rejection::Permission),
            (403, Vec::new(), Rejection::Scope),
            (403, dead.into(), Rejection::Scope),
            (
                403,
                "<html><head><title>Request Rejected</title></head><body>Support ID: 17".into(),
                Rejection::BlockPage,
            ),
            (
                403,
                utf16("<!DOCTYPE html PUBLIC \"x\"><HTML>403 - Forbidden: Access is denied."),
                Rejection::BlockPage,
            ),
            (
                403,
                "\r\n<!-- cloud --><HEAD><TITLE>Access Denied</TITLE></HEAD>".into(),
                Rejection::BlockPage,
            ),
            (
                403,
                format!("<html><body>{NOT_AUTHORIZED}</body></html>").into(),
                Rejection::Permission,
            ),
            (
                403,
                "<E><Message>html</Message></E>".into(),
                Rejection::Scope,
            ),
            (403, "Forbidden <html>".into(), Rejection::Scope),
            (403, vec![0xff, 0xfe, 0x00], Rejection::Scope),
            (401, Vec::new(), Rejection::Unknown401),
            (
                401,
                "<html><title>401</title>".into(),
                Rejection::Unknown401,
            ),
            (401, vec![0xff, 0xfe, 0x00, 0xd8], Rejection::Unknown401),
            (401, huge(dead, 1000), Rejection::TokenDead),
            (401, huge(dead, LOOK), Rejection::Unknown401),
            (200, dead.into(), Rejection::Other),
            (400, NOT_AUTHORIZED.into(), Rejection::Other),
            (404, Vec::new(), Rejection::Other),
            (407, Vec::new(), Rejection::Other),
            (500, dead.into(), Rejection::Other),
            (0, Vec::new(), Rejection::Other),
        ] {
            let body: Vec<u8> = body;
            let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
            assert_eq!(
                classify_rejection(status, &body),
                rejection,
                "{status} {shown}"
            );
        }
    }

    #[test]
    fn verdicts_have_stable_numbers_and_hints() {
        for (rejection, verdict, number, hint) in [
            (Rejection::TokenDead, Verdict::Retry, 1, "once more"),
            (Rejection::Unknown401, Verdict::Retry, 1, "once more"),
            (
                Rejection::Permission,
                Verdict::Permission,
                2,
                "User Maintenance → Application Security → Allow OData API Service",
            ),
            (Rejection::Scope, Verdict::Permission, 2, "API scope"),
            (Rejection::HeaderLost, Verdict::HeaderLost, 3, "redirect"),
            (Rejection::BlockPage, Verdict::GiveUp, 4, ""),
            (
                Rejection::Other,
                Verdict::GiveUp,
                4,
                "not known to be the cause",
            ),
        ] {
            assert_eq!(rejection.verdict(), verdict);
            assert_eq!(verdict.number(), number);
            assert_eq!(Verdict::from_number(number), Some(verdict));
            assert!(verdict.hint().contains(hint), "{verdict:?}");
            assert!(rejection.hint().contains(hint), "{rejection:?}");
        }
        let scope = Rejection::Scope.hint();
        assert!(scope.starts_with("Check the consumer key's API scope in SOA Admin"));
        assert!(!scope.contains("OData"), "{scope}");
        assert_eq!(Verdict::from_number(0), None);
        assert_eq!(Verdict::from_number(5), None);
    }
}
