//! What a body is, told by looking at it and never by `Content-Type`: JSON, XML, an HTML page, text, or nothing.
//!
//! JSON and XML become the same flat list of named texts, so that one rule reads both.

use std::collections::TryReserveError;

use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use super::fields::plain_name;
pub(super) use super::fields::{Body, Field, Fields, contains_ignoring_case};
use super::{Response, json, xml};
use crate::secret::{Scrubber, Secret};
use crate::token::is_jwt;

impl Body {
    /// Looks at the body of `response`. Its headers count only where the body cannot be read: some servers say that it is
    /// compressed when it is not.
    pub(crate) fn of(response: &Response) -> Body {
        let body = Body::read(&response.body);
        let readable = match &body {
            Body::Text(text) => is_jwt(text.expose()),
            Body::Broken(_) | Body::Binary(_) => false,
            _ => true,
        };
        match response.header("content-encoding") {
            Some(named) if !readable && !named.trim().eq_ignore_ascii_case("identity") => {
                let is_named = |name: &&&str| contains_ignoring_case(named, name);
                Body::Binary(COMPRESSIONS.iter().find(is_named).copied())
            }
            _ => body,
        }
    }

    /// Looks at `bytes`.
    pub(crate) fn read(bytes: &[u8]) -> Body {
        if let Some(name) = compression(bytes) {
            return Body::Binary(Some(name));
        }
        let mut buffer = Zeroizing::default();
        let Ok(text) = decode(bytes, &mut buffer) else {
            return Body::Broken("there is no memory left to read it".to_owned());
        };
        let body = Body::read_text(text.trim());
        // A reply that was wrapped once more, as a JSON string or in an XML element.
        if let Body::Text(inner) = &body
            && inner.expose().starts_with(['{', '<', '"'])
            && let inner @ (Body::Json(_) | Body::Xml(_)) = Body::read_text(inner.expose())
        {
            return inner;
        }
        body
    }

    fn read_text(text: &str) -> Body {
        match text.chars().next() {
            None => Body::Empty,
            Some('<') => xml::read(text),
            Some('{' | '[' | '"') => json::read(text),
            Some(_) if text.contains(|c: char| c < ' ' && !c.is_whitespace()) => Body::Binary(None),
            // `true`, `null` and numbers are JSON too, and as little a token as any other text.
            Some(_) if serde_json::from_str::<IgnoredAny>(text).is_ok() => Body::Scalar,
            Some(_) => Body::Text(Secret::new(text)),
        }
    }

    /// The named values, of which other bodies have none.
    pub(crate) fn fields(&self) -> &[Field] {
        match self {
            Body::Json(fields) | Body::Xml(fields) => &fields.0,
            _ => &[],
        }
    }

    /// Whether it says that user, password or consumer key are wrong, in any of the spellings met.
    pub(crate) fn is_bad_credentials(&self) -> bool {
        let says = |text: &str| {
            ["invalid_grant", "invalid_client"]
                .iter()
                .any(|word| contains_ignoring_case(text, word))
        };
        match self {
            Body::Text(text) => says(text.expose()),
            _ => self.fields().iter().any(|field| {
                let named = matches!(field.name.as_str(), "tokenerror" | "resourceerror");
                // An element says it by being there, a member of a JSON object may be there and empty.
                (named && (matches!(self, Body::Xml(_)) || !field.text.is_empty()))
                    || says(field.text.expose())
                    || (field.name.starts_with("error")
                        && matches!(
                            plain_name(field.text.expose()).as_str(),
                            "invalidgrant" | "invalidclient"
                        ))
            }),
        }
    }

    /// Whether it is the envelope in which P21's services report errors.
    pub(crate) fn is_p21s_error(&self) -> bool {
        self.fields().iter().any(|field| {
            matches!(field.name.as_str(), "errormessage" | "errortype") && !field.text.is_empty()
        })
    }

    /// Whether it reports a .NET `NullReferenceException`, by name or by its message.
    pub(crate) fn is_null_reference(&self) -> bool {
        let says = |text: &str| {
            contains_ignoring_case(text, "NullReferenceException")
                || contains_ignoring_case(text, "Object reference not set to an instance")
        };
        match self {
            Body::Text(text) => says(text.expose()),
            Body::Html(title) => says(title.expose()),
            _ => self.fields().iter().any(|field| says(field.text.expose())),
        }
    }

    /// What the server has to say, scrubbed, or an empty text. Of JSON and XML only what is meant to be a message: other
    /// values may hold a token that no one knows yet.
    pub(crate) fn words(&self, scrub: &Scrubber) -> String {
        match self {
            Body::Text(text) => scrub.scrub(text.expose()),
            Body::Html(title) => scrub.scrub(title.expose()),
            Body::Binary(_) => String::new(),
            _ => {
                let mut scrub = scrub.clone();
                for field in self.fields() {
                    if TOKEN_NAMES.contains(&field.name.as_str()) {
                        scrub.add(&field.text);
                    }
                }
                let mut words: Vec<&str> = Vec::new();
                for name in MESSAGE_NAMES {
                    for field in self.fields().iter().filter(|field| field.name == *name) {
                        let text = field.text.expose().trim();
                        if !text.is_empty() && !words.contains(&text) {
                            words.push(text);
                        }
                    }
                }
                scrub.scrub(&Zeroizing::new(words.join(": ")))
            }
        }
    }
}

/// Ways to compress a body, as `Content-Encoding` names them.
const COMPRESSIONS: &[&str] = &["gzip", "deflate", "br", "zstd", "compress"];

/// How a body is compressed, told by its first bytes.
fn compression(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x1f, 0x8b, 8, ..] => Some("gzip"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("zstd"),
        // The two bytes are a multiple of 31, and what follows is no text.
        [0x78, second @ (0x01 | 0x5e | 0x9c | 0xda), ..]
            if std::str::from_utf8(bytes).is_err() || *second == 1 =>
        {
            Some("deflate")
        }
        _ => None,
    }
}

/// Where tokens stand that may be repeated in a message beside them.
const TOKEN_NAMES: &[&str] = &["accesstoken", "token", "refreshtoken", "idtoken"];

/// Where servers put messages, the most telling first.
const MESSAGE_NAMES: &[&str] = &[
    "errormessage",
    "errortype",
    "error",
    "errorcode",
    "errordescription",
    "description",
    "message",
    "messagedetail",
    "exceptionmessage",
    "exceptiontype",
    "title",
    "detail",
    "reason",
    "tokenerror",
    "resourceerror",
];

/// Bytes as text: by a byte order mark where there is one, else UTF-8, else Latin-1, in which every byte is something.
/// `buffer` holds what had to be converted; it is made large enough at once, so that no copy is left behind by growing.
pub(super) fn decode<'a>(
    bytes: &'a [u8],
    buffer: &'a mut Zeroizing<String>,
) -> Result<&'a str, TryReserveError> {
    let (rest, unit): (_, fn([u8; 2]) -> u16) = match bytes {
        [0xff, 0xfe, rest @ ..] => (rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => (rest, u16::from_be_bytes),
        _ => {
            let rest = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
            if let Ok(text) = std::str::from_utf8(rest) {
                return Ok(text);
            }
            buffer.try_reserve_exact(rest.len().saturating_mul(2))?;
            buffer.extend(rest.iter().map(|byte| char::from(*byte)));
            return Ok(buffer);
        }
    };
    let units = rest.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    buffer.try_reserve_exact(rest.len().saturating_mul(3) / 2)?;
    buffer.extend(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)));
    Ok(buffer)
}
