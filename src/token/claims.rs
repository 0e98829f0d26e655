//! The claims of a JWT. Read, never verified: the server does that.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::life::{stated_lifetime_s, whole_seconds};

/// Longer tokens are used but not read. P21's are about 900 bytes.
const MAX_JWT: usize = 64 * 1024;

/// Base64url without padding. The standard alphabet must not be taken: a public client that did read no `exp` in some
/// tokens and so kept them indefinitely. Stray bits at the end are an encoder's sloppiness and harm no one.
const BASE64URL: GeneralPurpose =
    GeneralPurpose::new(&URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));

/// The payload of a JWT.
#[derive(Clone, PartialEq, Eq)]
pub struct Claims(pub Map<String, Value>);

impl Claims {
    /// Expiry in Unix seconds by the server's clock; `None` when it is missing or not a number.
    #[must_use]
    pub fn exp(&self) -> Option<i64> {
        self.seconds("exp")
    }

    /// From its issue (or the start of its validity) to its expiry, in seconds; `None` when either is missing or that is
    /// nothing that a token can live.
    pub(crate) fn lifetime_s(&self) -> Option<i64> {
        let from = self.seconds("iat").or_else(|| self.seconds("nbf"))?;
        let lifetime = self.exp()?.checked_sub(from)?;
        stated_lifetime_s(&lifetime.to_string())
    }

    fn seconds(&self, name: &str) -> Option<i64> {
        match self.0.get(name)? {
            Value::Number(number) => number
                .as_i64()
                .or_else(|| whole_seconds(&number.to_string())),
            Value::String(text) => whole_seconds(text),
            _ => None,
        }
    }

    /// A claim by its exact name: a string as it is, anything else as JSON text. `None` when absent or null.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        match self.0.get(name)? {
            Value::Null => None,
            Value::String(text) => Some(Cow::Borrowed(text)),
            other => Some(Cow::Owned(other.to_string())),
        }
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Claims({} names)", self.0.len())
    }
}

/// The claims of `token`, or `None` when it is not a JWT, is larger than 64 KiB, or its payload is no JSON object.
#[must_use]
pub fn jwt_claims(token: &str) -> Option<Claims> {
    let (head, payload) = parts(token)?;
    json_object(head)?;
    json_object(payload).map(Claims)
}

/// Whether `text` is shaped like a JWT: three parts, the first a JSON object in base64url.
#[must_use]
pub fn is_jwt(text: &str) -> bool {
    parts(text).is_some_and(|(head, _)| json_object(head).is_some())
}

/// First and second of exactly three non-empty base64url parts. The third, the signature, is never decoded.
fn parts(token: &str) -> Option<(&str, &str)> {
    if token.len() > MAX_JWT {
        return None;
    }
    let is_part = |part: &&str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let mut parts = token.split('.');
    let head = parts.next().filter(is_part)?;
    let payload = parts.next().filter(is_part)?;
    parts.next().filter(is_part)?;
    parts.next().is_none().then_some((head, payload))
}

fn json_object(part: &str) -> Option<Map<String, Value>> {
    let bytes = Zeroizing::new(BASE64URL.decode(part).ok()?);
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn part(json: &str) -> String {
        BASE64URL.encode(json)
    }

    #[test]
    fn a_payload_is_read() {
        let payload = r#"{"sub":"api.user","exp":2147483647,"P21.SessionId":"ab","nbf":1.5,"aud":"","x":null,"roles":["a"]}"#;
        let token = format!("{}.{}.sig", part(r#"{"alg":"HS256"}"#), part(payload));
        let claims = jwt_claims(&token).expect("a JWT");
        assert_eq!(claims.exp(), Some(2_147_483_647));
        for (name, text) in [
            ("sub", Some("api.user")),
            ("exp", Some("2147483647")),
            ("P21.SessionId", Some("ab")),
            ("nbf", Some("1.5")),
            ("aud", Some("")),
            ("x", None),
            ("Sub", None),
            ("roles", Some(r#"["a"]"#)),
        ] {
            assert_eq!(claims.text(name).as_deref(), text, "{name}");
        }
        assert_eq!(format!("{claims:?}"), "Claims(7 names)");
    }

    #[test]
    fn base64url_letters_are_understood_and_the_standard_alphabet_is_not() {
        // 0xfb 0xff in the payload: `-` and `_` in base64url, `+` and `/` in the standard alphabet.
        let payload = part(r#"{"sub":"û>>??~~","exp":7}"#);
        assert!(payload.contains(['-', '_']), "{payload}");
        let head = part("{}");
        assert_eq!(
            jwt_claims(&format!("{head}.{payload}.s")).and_then(|c| c.exp()),
            Some(7)
        );
        let standard = payload.replace('-', "+").replace('_', "/");
        assert_eq!(jwt_claims(&format!("{head}.{standard}.s")), None);
    }

    #[test]
    fn the_signature_is_never_decoded() {
        // One character is no base64 at all.
        assert!(jwt_claims(&format!("{}.{}.A", part("{}"), part("{}"))).is_some());
    }

    #[test]
    fn what_is_no_jwt_has_no_claims() {
        let (head, payload) = (part("{}"), part("{}"));
        for token in [
            String::new(),
            "12345".to_owned(),
            "a.b.c".to_owned(),
            "..".to_owned(),
            format!("{head}.{payload}"),
            format!("{head}.{payload}."),
            format!("{head}.{payload}.s.t"),
            format!("{head}=.{payload}.s"),
            format!("{head}.{payload}.s\n"),
            format!("{}.{payload}.s", part("[]")),
            format!("{head}.{}.s", part("[]")),
            format!("{head}.{}.s", part("\"x\"")),
            format!("{head}.{payload}.{}", "s".repeat(MAX_JWT)),
        ] {
            assert_eq!(jwt_claims(&token), None, "{token:.40}");
        }
        assert!(is_jwt(&format!("{head}.{}.s", part("[]"))), "shape alone");
    }

    #[test]
    fn exp_in_odd_forms() {
        for (json, exp) in [
            (r#"{"exp":"1700000000"}"#, Some(1_700_000_000)),
            (r#"{"exp":1700000000.9}"#, Some(1_700_000_000)),
            (r#"{"exp":1e30}"#, Some(i64::MAX)),
            (r#"{"exp":18446744073709551615}"#, Some(i64::MAX)),
            (r#"{"exp":-5}"#, Some(-5)),
            (r#"{"exp":null}"#, None),
            (r#"{"exp":"soon"}"#, None),
            (r#"{"exp":true}"#, None),
            ("{}", None),
        ] {
            let token = format!("{}.{}.s", part("{}"), part(json));
            assert_eq!(jwt_claims(&token).expect("a JWT").exp(), exp, "{json}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(token in "\\PC{0,80}", json in "\\PC{0,60}") {
            let _ = jwt_claims(&token);
            let _ = jwt_claims(&format!("{}.{}.s", part("{}"), part(&json)));
        }
    }
}
