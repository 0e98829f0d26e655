//! JSON bodies, read straight into named values: nothing that isn't asked for is kept, and what is kept is zeroised.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::body::{Body, Field, Fields, MAX_DEPTH, MAX_FIELDS, plain_name};
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
    fn keep<E: Error>(self, text: &str, is_text: bool) -> Result<Top, E> {
        if self.depth == 0 {
            return Ok(if is_text {
                Top::Text(Secret::new(text))
            } else {
                Top::Other
            });
        }
        if self.fields.0.len() >= MAX_FIELDS {
            return Err(E::custom("too many values"));
        }
        self.fields.0.push(Field {
            name: self.name.to_owned(),
            text: Secret::new(text),
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

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Top, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Collector<'_> {
    type Value = Top;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Top, E> {
        Ok(Top::Other)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Top, E> {
        self.keep(if value { "true" } else { "false" }, false)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Top, E> {
        self.keep(&value.to_string(), false)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Top, E> {
        self.keep(&value.to_string(), false)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Top, E> {
        self.keep(&value.to_string(), false)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Top, E> {
        self.keep(value, true)
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
