//! Named values, as JSON and XML have them alike, and what a body can be.

use crate::secret::Secret;

/// More named values than any reply has; keeps a hostile body from filling memory.
pub(super) const MAX_FIELDS: usize = 1000;

/// Nesting beyond any reply.
pub(super) const MAX_DEPTH: usize = 64;

/// A named value of a JSON object or XML document.
#[derive(Debug)]
pub(super) struct Field {
    /// The name in the form that [`plain_name`] returns.
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
    /// Nothing that can be read; how it is compressed, where that is known.
    Binary(Option<&'static str>),
}

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
