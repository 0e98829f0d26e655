//! XML bodies: by local names, no matter what the root, the prefixes and the namespaces. No DTD, no entities of one's own.

use quick_xml::Reader;
use quick_xml::escape::{resolve_predefined_entity, unescape};
use quick_xml::events::{BytesStart, Event};
use zeroize::Zeroizing;

use super::fields::{Body, Field, Fields, MAX_DEPTH, MAX_FIELDS, find_ignoring_case, plain_name};
use crate::secret::Secret;

/// Reads a body that begins with `<`.
pub(super) fn read(text: &str) -> Body {
    let mut document = Document::new(text.len());
    let mut reader = Reader::from_str(text);
    loop {
        let step = match reader.read_event() {
            Ok(Event::Eof) => break,
            Ok(event) => document.take(&event),
            Err(_) => Err(Stop::Broken("it is not well-formed XML")),
        };
        match step {
            Ok(()) => {}
            Err(Stop::Html) => return Body::Html(html_title(text)),
            Err(Stop::Broken(what)) => {
                return Body::Broken(format!("{what} (byte {})", reader.buffer_position()));
            }
        }
    }
    document.finish()
}

/// Why reading ends before the document does.
enum Stop {
    Html,
    Broken(&'static str),
}

struct Document {
    fields: Fields,
    /// For each open element, its field; those of the innermost last.
    open: Vec<usize>,
    /// Text of the innermost element so far. As large as the body, which no text in it can exceed: it never grows, so no
    /// copy of a token is left behind.
    text: Zeroizing<String>,
    seen_root: bool,
}

impl Document {
    fn new(body_len: usize) -> Document {
        Document {
            fields: Fields::default(),
            open: Vec::new(),
            text: Zeroizing::new(String::with_capacity(body_len)),
            seen_root: false,
        }
    }

    fn take(&mut self, event: &Event<'_>) -> Result<(), Stop> {
        match event {
            Event::Start(start) => self.start(start),
            Event::Empty(start) => {
                self.start(start)?;
                self.end();
                Ok(())
            }
            Event::End(_) => {
                self.end();
                Ok(())
            }
            Event::Text(text) => self.text(&text.xml10_content()),
            Event::CData(text) => self.text(&text.xml10_content()),
            Event::GeneralRef(reference) => match reference.resolve_char_ref() {
                Ok(Some(c)) => self.text(c.encode_utf8(&mut [0; 4])),
                Ok(None) => match resolve_predefined_entity(reference) {
                    Some(text) => self.text(text),
                    None => Err(Stop::Broken("it uses an XML entity that is not defined")),
                },
                Err(_) => Err(Stop::Broken("it is not well-formed XML")),
            },
            Event::DocType(doctype) => {
                let name = doctype.trim_start();
                if name
                    .get(..4)
                    .is_some_and(|name| name.eq_ignore_ascii_case("html"))
                {
                    Err(Stop::Html)
                } else {
                    Err(Stop::Broken("it contains a DTD, which is not allowed"))
                }
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::Eof => Ok(()),
        }
    }

    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), Stop> {
        let name = plain_name(start.local_name().as_ref());
        match self.open.last() {
            None if name == "html" => return Err(Stop::Html),
            None if self.seen_root => return Err(Stop::Broken("it has two XML roots")),
            // What has children has no value.
            Some(parent) => self.fields.0[*parent].is_text = false,
            None => {}
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(Stop::Broken("its XML is nested too deeply"));
        }
        self.open.push(self.fields.0.len());
        self.push(name, Secret::default(), self.seen_root)?;
        self.seen_root = true;
        self.text.clear();
        for attribute in start.attributes().with_checks(false).flatten() {
            let name = plain_name(attribute.key.local_name().as_ref());
            let text = unescape(&attribute.value)
                .map_or_else(|_| Secret::default(), |text| Secret::new(text.into_owned()));
            self.push(name, text, false)?;
        }
        Ok(())
    }

    fn push(&mut self, name: String, text: Secret, direct: bool) -> Result<(), Stop> {
        if self.fields.0.len() >= MAX_FIELDS {
            return Err(Stop::Broken("it has more XML elements than any response"));
        }
        self.fields.0.push(Field {
            name,
            text,
            direct,
            is_text: true,
        });
        Ok(())
    }

    fn end(&mut self) {
        if let Some(field) = self.open.pop().map(|index| &mut self.fields.0[index]) {
            if field.is_text {
                field.text = Secret::new(self.text.trim());
            }
            field.direct &= field.is_text;
        }
        self.text.clear();
    }

    fn text(&mut self, text: &str) -> Result<(), Stop> {
        if self.open.is_empty() {
            return if text.trim().is_empty() {
                Ok(())
            } else {
                Err(Stop::Broken("it has text outside its XML root"))
            };
        }
        self.text.push_str(text);
        Ok(())
    }

    fn finish(mut self) -> Body {
        if !self.seen_root || !self.open.is_empty() {
            return Body::Broken("its XML is cut off".to_owned());
        }
        let root = &mut self.fields.0[0];
        let is_error = matches!(root.name.as_str(), "tokenerror" | "resourceerror");
        if root.is_text && !root.text.is_empty() && !is_error {
            return Body::Text(std::mem::take(&mut root.text));
        }
        Body::Xml(self.fields)
    }
}

/// The title of a web page, or an empty text.
fn html_title(page: &str) -> Secret {
    let title = find_ignoring_case(page, "<title").and_then(|at| {
        let start = at + page[at..].find('>')? + 1;
        let end = start + find_ignoring_case(&page[start..], "</title")?;
        Some(&page[start..end])
    });
    let title = title.unwrap_or_default();
    unescape(title).map_or_else(|_| Secret::default(), |text| Secret::new(text.into_owned()))
}
