//! JSON bodies, read straight into named values: nothing that isn't asked for is kept, and what is kept is zeroized.

use std::fmt;

use serde::Deserialize as _;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::fields::{Body, Field, Fields, MAX_DEPTH, MAX_FIELDS, plain_name};
use crate::secret::Secret;

/// Reads a body that begins like JSON.
pub(super) fn read(text: &str) -> Body {
    let mut fields = Fields::default();
    let mut reader = serde_json::Deserializer::from_str(text);
    let top = Collector {
        fields: &mut fields,
        name: "",
        depth: 0,
    };
    let result = top
        .deserialize(&mut reader)
        .and_then(|top| reader.end().map(|()| top));
    match result {
        Ok(Top::Object) => Body::Json(fields),
        Ok(Top::Text(text)) => match text.expose().trim() {
            "" => Body::Empty,
            trimmed => Body::Text(Secret::new(trimmed)),
        },
        Ok(Top::Other) => Body::Scalar,
        Err(error) => Body::Broken(format!(
            "it is not well-formed JSON at line {} column {}",
            error.line(),
            error.column()
        )),
    }
}

/// What the outermost value is.
enum Top {
    Object,
    Text(Secret),
    Other,
}

struct Collector<'a> {
    fields: &'a mut Fields,
    name: &'a str,
    depth: usize,
}

impl Collector<'_> {
    fn keep<E: Error>(self, text: Secret, is_text: bool) -> Result<Top, E> {
        if self.depth == 0 {
            return Ok(if is_text { Top::Text(text) } else { Top::Other });
        }
        if self.fields.0.len() >= MAX_FIELDS {
            return Err(E::custom("too many values"));
        }
        self.fields.0.push(Field {
            name: self.name.to_owned(),
            text,
            direct: self.depth == 1,
            is_text,
        });
        Ok(Top::Other)
    }

    fn deeper<E: Error>(&self) -> Result<usize, E> {
        if self.depth < MAX_DEPTH {
            Ok(self.depth + 1)
        } else {
            Err(E::custom("too deep"))
        }
    }
}

impl<'de> DeserializeSeed<'de> for Collector<'_> {
    type Value = Top;

    /// Takes a value as it is written: `serde_json` would undo the escapes of a text in a buffer that no one
    /// zeroizes.
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Top, D::Error> {
        let written = <&RawValue>::deserialize(deserializer)?.get();
        match written.as_bytes() {
            [b'{' | b'[', ..] => {
                let mut inner = serde_json::Deserializer::from_str(written);
                inner.deserialize_any(self).map_err(D::Error::custom)
            }
            [b'"', ..] => match unescaped(written) {
                Some(text) => self.keep(text, true),
                None => Err(D::Error::custom("half a character")),
            },
            b"null" => Ok(Top::Other),
            _ => self.keep(Secret::new(written), false),
        }
    }
}

/// A well-formed JSON string without quotation marks and escapes; `None` when an escape is half of a surrogate pair.
fn unescaped(quoted: &str) -> Option<Secret> {
    let mut rest = quoted.strip_prefix('"')?.strip_suffix('"')?;
    // No escape is shorter than what it stands for.
    let mut text = Zeroizing::new(String::with_capacity(rest.len()));
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let escape = &rest[at..];
        let unit = |at: usize| {
            let digits = escape.get(at..)?.strip_prefix("\\u")?.get(..4)?;
            u16::from_str_radix(digits, 16).ok()
        };
        let (c, length) = match *escape.as_bytes().get(1)? {
            b'b' => ('\u{8}', 2),
            b'f' => ('\u{c}', 2),
            b'n' => ('\n', 2),
            b'r' => ('\r', 2),
            b't' => ('\t', 2),
            b'u' => {
                let units = [unit(0), unit(6)].into_iter().map_while(|unit| unit);
                let c = char::decode_utf16(units).next()?.ok()?;
                (c, 6 * c.len_utf16())
            }
            other => (char::from(other), 2),
        };
        text.push(c);
        rest = &escape[length..];
    }
    text.push_str(rest);
    Some(Secret::new(std::mem::take(&mut *text)))
}

impl<'de> Visitor<'de> for Collector<'_> {
    type Value = Top;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Top, A::Error> {
        // Not direct: a list of tokens is no token.
        let depth = self.deeper::<A::Error>()?.max(2);
        while items
            .next_element_seed(Collector {
                fields: &mut *self.fields,
                name: self.name,
                depth,
            })?
            .is_some()
        {}
        Ok(Top::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Top, A::Error> {
        let depth = self.deeper::<A::Error>()?;
        while let Some(name) = members.next_key::<String>()? {
            members.next_value_seed(Collector {
                fields: &mut *self.fields,
                name: &plain_name(&name),
                depth,
            })?;
        }
        Ok(if self.depth == 0 {
            Top::Object
        } else {
            Top::Other
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_are_undone() {
        for (quoted, text) in [
            (r#""""#, Some("")),
            (r#""plain ä""#, Some("plain ä")),
            (r#""\"\\\/\b\f\n\r\t""#, Some("\"\\/\u{8}\u{c}\n\r\t")),
            (r#""\u00e4\u0041\uD83D\ude00x""#, Some("äA😀x")),
            (r#""\ud83d""#, None),
            (r#""\ud83dx""#, None),
            (r#""\ud83d\u0041""#, None),
            (r#""\ude00\ud83d""#, None),
        ] {
            let read = unescaped(quoted);
            assert_eq!(read.as_ref().map(Secret::expose), text, "{quoted}");
        }
    }

    proptest! {
        #[test]
        fn what_serde_json_writes_is_read(text in "(\\PC|[\\x00-\\x1f\"\\\\/]){0,40}") {
            let quoted = serde_json::to_string(&text).expect("JSON");
            prop_assert_eq!(unescaped(&quoted), Some(Secret::new(text)));
        }
    }
}
