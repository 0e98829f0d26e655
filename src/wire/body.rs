//! What a body is, told by looking at it and never by `Content-Type`: JSON, XML, an HTML page, text, or nothing.
//!
//! JSON and XML become the same flat list of named texts, so that one rule reads both.

use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use super::{json, xml};
use crate::secret::{Scrubber, Secret};

/// More named values than any reply has; keeps a hostile body from filling memory.
pub(super) const MAX_FIELDS: usize = 1000;

/// Nesting beyond any reply.
pub(super) const MAX_DEPTH: usize = 64;

/// A named value of a JSON object or XML document.
#[derive(Debug)]
pub(super) struct Field {
    /// The name in the form that [`plain_name`] gives.
    pub name: String,
    /// The value as text; empty for an XML element with children.
    pub text: Secret,
    /// Whether it is a place where a value of a reply may stand: a member of the outermost JSON object, or an XML element
    /// below the root without children.
    pub direct: bool,
    /// Whether it is a text, and not a JSON number or boolean.
    pub is_text: bool,
}

/// The named values of a body.
#[derive(Debug, Default)]
pub(super) struct Fields(pub Vec<Field>);

impl Fields {
    /// The first text that is not empty under the first of `names` (plain) that has one.
    pub(crate) fn text(&self, names: &[&str]) -> Option<&Secret> {
        names.iter().find_map(|name| {
            self.direct(name)
                .find(|field| field.is_text && !field.text.is_empty())
                .map(|field| &field.text)
        })
    }

    /// All values of this name where a value of a reply may stand, numbers included.
    pub(crate) fn direct<'a, 'n>(
        &'a self,
        name: &'n str,
    ) -> impl Iterator<Item = &'a Field> + use<'a, 'n> {
        self.0
            .iter()
            .filter(move |field| field.direct && field.name == name)
    }
}

/// A body, looked at.
#[derive(Debug)]
pub(super) enum Body {
    /// Nothing, or blanks.
    Empty,
    /// A JSON object.
    Json(Fields),
    /// An XML document.
    Xml(Fields),
    /// Bare text, a JSON string, or XML whose root holds nothing but text; trimmed.
    Text(Secret),
    /// JSON that is neither an object nor a string.
    Scalar,
    /// A web page; its title.
    Html(Secret),
    /// Begins like JSON or XML and isn't, or is unreasonable; what is wrong, without any of its text.
    Broken(String),
}

impl Body {
    /// Looks at `bytes`.
    pub(crate) fn read(bytes: &[u8]) -> Body {
        let mut buffer = Zeroizing::default();
        let text = decode(bytes, &mut buffer).trim();
        match text.chars().next() {
            None => Body::Empty,
            Some('<') => xml::read(text),
            Some('{' | '[' | '"') => json::read(text),
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
    /// values may hold a token that nobody knows yet.
    pub(crate) fn words(&self, scrub: &Scrubber) -> String {
        match self {
            Body::Text(text) => scrub.scrub(text.expose()),
            Body::Html(title) => scrub.scrub(title.expose()),
            _ => {
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

/// A name without case and underscores: `access_token`, `accessToken` and `AccessToken` are one.
pub(super) fn plain_name(name: &str) -> String {
    name.chars()
        .filter(|c| *c != '_')
        .flat_map(char::to_lowercase)
        .collect()
}

/// Whether `text` holds `word` (ASCII), ignoring the case of ASCII letters.
pub(super) fn contains_ignoring_case(text: &str, word: &str) -> bool {
    find_ignoring_case(text, word).is_some()
}

/// Where `word` (ASCII) is in `text`, ignoring the case of ASCII letters.
pub(super) fn find_ignoring_case(text: &str, word: &str) -> Option<usize> {
    text.as_bytes()
        .windows(word.len())
        .position(|window| window.eq_ignore_ascii_case(word.as_bytes()))
}

/// Bytes as text: by a byte order mark where there is one, else UTF-8, else Latin-1, in which every byte is something.
/// `buffer` holds what had to be converted; it is made large enough at once, so that no copy is left behind by growing.
pub(super) fn decode<'a>(bytes: &'a [u8], buffer: &'a mut Zeroizing<String>) -> &'a str {
    let (rest, unit): (_, fn([u8; 2]) -> u16) = match bytes {
        [0xff, 0xfe, rest @ ..] => (rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => (rest, u16::from_be_bytes),
        _ => {
            let rest = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
            return std::str::from_utf8(rest).unwrap_or_else(|_| {
                **buffer = String::with_capacity(rest.len().saturating_mul(2));
                buffer.extend(rest.iter().map(|byte| char::from(*byte)));
                buffer
            });
        }
    };
    let units = rest.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    **buffer = String::with_capacity(rest.len().saturating_mul(3) / 2);
    buffer.extend(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)));
    buffer
}
