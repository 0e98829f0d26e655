//! A token as JSON in the guide's names.

use serde_json::Value;
use zeroize::Zeroizing;

use super::{Claims, Reply};
use crate::secret::Secret;

/// The type of a token whose reply states none: all of P21's are bearer tokens.
const DEFAULT_TYPE: &str = "Bearer";

/// A field of the reply other than the access token, by the guide's name.
pub(super) fn text_of<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    match name {
        "TokenType" => Some(reply.token_type.as_deref().unwrap_or(DEFAULT_TYPE)),
        "RefreshToken" => reply.refresh_token.as_ref().map(Secret::expose),
        "UserName" => reply.user_name.as_deref(),
        "Scope" => reply.scope.as_deref(),
        "SessionId" => reply.session_id.as_deref(),
        "ConsumerUid" => reply.consumer_uid.as_deref(),
        "AppKey" => reply.app_key.as_deref(),
        _ => None,
    }
}

/// A reply as one JSON object in the guide's names. Every name is always there, null where the server sent nothing;
/// `ExpiresIn` and `ExpiresInSeconds` are `expires_in_s`; `Claims` is there when the token is a JWT.
#[must_use]
pub(crate) fn reply_json(
    access_token: &str,
    reply: &Reply,
    expires_in_s: Option<i64>,
    claims: Option<&Claims>,
) -> Zeroizing<String> {
    let texts = [
        "TokenType",
        "RefreshToken",
        "UserName",
        "Scope",
        "SessionId",
        "ConsumerUid",
        "AppKey",
    ]
    .map(|name| (name, text_of(reply, name)));
    let claims = claims.map_or_else(String::new, |claims| {
        Value::Object(claims.0.clone()).to_string()
    });
    let seconds = expires_in_s.map_or_else(|| "null".to_owned(), |seconds| seconds.to_string());
    let lengths = texts.iter().map(|(name, text)| {
        let length = text.map_or(4, quoted_len);
        name.len() + length + 4
    });
    let bound = 128 + quoted_len(access_token) + lengths.sum::<usize>() + claims.len();
    // Never grows, so that no copy is left behind.
    let mut out = Zeroizing::new(Vec::with_capacity(bound));
    out.extend_from_slice(b"{\"AccessToken\":");
    push_quoted(&mut out, access_token);
    for name in ["ExpiresIn", "ExpiresInSeconds"] {
        push_name(&mut out, name);
        out.extend_from_slice(seconds.as_bytes());
    }
    for (name, text) in texts {
        push_name(&mut out, name);
        match text {
            Some(text) => push_quoted(&mut out, text),
            None => out.extend_from_slice(b"null"),
        }
    }
    if !claims.is_empty() {
        push_name(&mut out, "Claims");
        out.extend_from_slice(claims.as_bytes());
    }
    out.push(b'}');
    into_text(out)
}

fn push_name(out: &mut Vec<u8>, name: &str) {
    out.push(b',');
    push_quoted(out, name);
    out.push(b':');
}

/// Appends `text` as a JSON string.
pub(crate) fn push_quoted(out: &mut Vec<u8>, text: &str) {
    // Writing a string into memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

/// The most bytes that [`push_quoted`] can append: six (`\u0000`) for each byte, and the quotation marks.
pub(crate) fn quoted_len(text: &str) -> usize {
    text.len().saturating_mul(6).saturating_add(2)
}

/// The bytes as text, without copying them. They are UTF-8: a caller has put them together from such.
pub(crate) fn into_text(mut bytes: Zeroizing<Vec<u8>>) -> Zeroizing<String> {
    Zeroizing::new(String::from_utf8(std::mem::take(&mut *bytes)).unwrap_or_default())
}
