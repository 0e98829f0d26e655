//! Text that must never be seen: zeroising strings, fingerprints, and the scrubbing of server text.

use std::fmt::{self, Write as _};

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// A password, consumer key, access token or refresh token. Zeroised when dropped; `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes ownership of `text`.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(Zeroizing::new(text.into()))
    }

    /// The text itself. Whoever calls this answers for where it goes.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Secret {
        Secret::new(text)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret::new(text)
    }
}

/// The first 8 hex digits of the SHA-256 of `bytes`: enough to tell two tokens apart in a log, too little to use one.
/// For tokens and identities only; of a password even this would say too much.
#[must_use]
pub fn fingerprint(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes)[..4])
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Longest text from a server that enters an error, in characters.
pub const MAX_SERVER_TEXT: usize = 200;

/// What stands in the place of a secret.
const MASK: &str = "[redacted]";

/// Removes known secrets, and whatever looks like a JWT, from text that a server sent.
///
/// Secrets shorter than 4 characters are left alone: masking every `a` would tell more than it hides.
#[derive(Clone, Default)]
pub struct Scrubber {
    needles: Vec<Secret>,
}

impl Scrubber {
    /// A scrubber that knows these secrets, each in plain, JSON-escaped and percent-encoded form.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Scrubber {
        let mut scrubber = Scrubber::default();
        for secret in secrets {
            scrubber.add(secret);
        }
        scrubber
    }

    /// Makes one more secret known.
    pub fn add(&mut self, secret: &Secret) {
        let plain = secret.expose();
        if plain.chars().count() < 4 {
            return;
        }
        let mut forms = vec![Secret::new(plain)];
        forms.extend(json_forms(plain));
        forms.extend(percent_forms(plain));
        forms.extend(xml_forms(plain));
        let words: Vec<Secret> = forms
            .iter()
            .map(|form| {
                Secret::new(
                    form.expose()
                        .split_whitespace()
                        .collect::<Vec<_>>()
                        .join(" "),
                )
            })
            .collect();
        forms.extend(
            words
                .into_iter()
                .filter(|form| form.expose().chars().count() >= 4),
        );
        self.needles.extend(forms);
        self.needles.sort_by(|a, b| {
            b.expose()
                .len()
                .cmp(&a.expose().len())
                .then(a.expose().cmp(b.expose()))
        });
        self.needles.dedup();
    }

    /// `text` without secrets, on one line, at most [`MAX_SERVER_TEXT`] characters long.
    #[must_use]
    pub fn scrub(&self, text: &str) -> String {
        // Far more than will be shown, and a bound on the work that a server can cause.
        let text = &text[..text.floor_char_boundary(64 * 1024)];
        // Twice: joining the words of a text onto one line can complete a secret that has blanks in it.
        let masked = self.mask(text);
        let mut line = String::new();
        for word in masked
            .split(|c: char| c.is_whitespace() || c.is_control())
            .filter(|word| !word.is_empty())
        {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        let mut line = self.mask(&line).to_string();
        if let Some((end, _)) = line.char_indices().nth(MAX_SERVER_TEXT) {
            line.truncate(end);
            line.push('…');
        }
        line
    }

    /// The text, or, when a secret shows only once its escapes are undone, the text with its escapes undone: writers of
    /// JSON, URLs and XML escape more or less as they like, so not every spelling can be listed beforehand.
    fn readable(&self, text: &str) -> Zeroizing<String> {
        let mut shown = Zeroizing::new(text.to_owned());
        for undo in [undo_json, undo_percent, undo_entities] {
            let undone = Zeroizing::new(undo(&shown));
            if self
                .needles
                .iter()
                .any(|needle| occurs(&undone, needle.expose()))
            {
                shown = undone;
            }
        }
        shown
    }

    /// `text` at its whole length without the secrets of 8 characters or more: for text that is mostly our own, where masking
    /// a short password that is a common word would tell it.
    #[must_use]
    pub fn hide(&self, text: &str) -> String {
        let long = |needle: &&Secret| needle.expose().len() >= 8;
        let masked = self
            .needles
            .iter()
            .filter(long)
            .fold(text.to_owned(), |text, needle| {
                replace_ignoring_ascii_case(&text, needle.expose(), MASK)
            });
        mask_jwts(&masked)
    }

    fn mask(&self, text: &str) -> Zeroizing<String> {
        let mut work = self.readable(text);
        for needle in &self.needles {
            work = Zeroizing::new(replace_ignoring_ascii_case(&work, needle.expose(), MASK));
        }
        Zeroizing::new(mask_jwts(&work))
    }
}

impl fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scrubber({} forms)", self.needles.len())
    }
}

/// As JSON writers put it: with the two-character escapes, with every non-ASCII character as `\uXXXX`, with `/` as `\/`.
fn json_forms(plain: &str) -> Vec<Secret> {
    let quoted = serde_json::to_string(plain).unwrap_or_default();
    let inner = quoted
        .trim_start_matches('"')
        .strip_suffix('"')
        .unwrap_or(&quoted);
    let inner = if plain.starts_with('"') {
        &quoted[1..quoted.len() - 1]
    } else {
        inner
    };
    let mut ascii = String::new();
    let mut careful = String::new();
    for c in inner.chars() {
        let mut units = [0; 2];
        if c.is_ascii() {
            ascii.push(c);
        } else {
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(ascii, "\\u{unit:04x}");
            }
        }
        // .NET's default encoder also escapes what could matter in HTML.
        if c.is_ascii() && !matches!(c, '<' | '>' | '&' | '\'' | '+' | '`') {
            careful.push(c);
        } else {
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(careful, "\\u{unit:04x}");
            }
        }
    }
    let forms = [
        inner.to_owned(),
        inner.replace('/', "\\/"),
        ascii.replace('/', "\\/"),
        ascii,
        careful.replace("\\\"", "\\u0022"),
        careful,
    ];
    forms.into_iter().map(Secret::new).collect()
}

fn percent_forms(plain: &str) -> Vec<Secret> {
    let all: String = plain.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    });
    let form: String = url::form_urlencoded::byte_serialize(plain.as_bytes()).collect();
    [all, form].into_iter().map(Secret::new).collect()
}

fn xml_forms(plain: &str) -> Vec<Secret> {
    let full = plain
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let attribute = full.replace('"', "&quot;").replace('\'', "&apos;");
    let html = full.replace('"', "&quot;").replace('\'', "&#39;");
    [full, attribute, html]
        .into_iter()
        .map(Secret::new)
        .collect()
}

fn occurs(text: &str, needle: &str) -> bool {
    let (text, needle) = (text.as_bytes(), needle.as_bytes());
    !needle.is_empty()
        && text
            .windows(needle.len())
            .any(|part| part.eq_ignore_ascii_case(needle))
}

/// Undoes `\uXXXX` (surrogate pairs too) and the two-character escapes of JSON.
fn undo_json(text: &str) -> String {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    let mut buffer = [0; 2];
    while let Some(c) = chars.next() {
        let rest = chars.as_str();
        if c != '\\' {
            units.extend_from_slice(c.encode_utf16(&mut buffer));
        } else if let Some(unit) = rest
            .strip_prefix(['u', 'U'])
            .and_then(|hex| hex.get(..4))
            .and_then(|hex| u16::from_str_radix(hex, 16).ok())
        {
            units.push(unit);
            chars = rest[5..].chars();
        } else {
            match chars.next() {
                Some(next) => units.extend_from_slice(next.encode_utf16(&mut buffer)),
                None => units.push(u16::from(b'\\')),
            }
        }
    }
    String::from_utf16_lossy(&units)
}

fn undo_percent(text: &str) -> String {
    percent_decoded(text.as_bytes())
}

/// Bytes with `%XX` undone, as text.
pub(crate) fn percent_decoded(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes
            .get(at + 1..at + 3)
            .and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if bytes[at] == b'%' => {
                out.push(byte);
                at += 3;
            }
            _ => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    let text = String::from_utf8_lossy(&out).into_owned();
    zeroize::Zeroize::zeroize(&mut out);
    text
}

/// Undoes numeric and the five named entities of XML and HTML.
fn undo_entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let entity = rest
            .find(';')
            .filter(|end| *end <= 10)
            .map(|end| &rest[1..end]);
        let decoded = entity.and_then(|name| match name {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => {
                let number = name.strip_prefix('#')?;
                let code = match number.strip_prefix(['x', 'X']) {
                    Some(hex) => u32::from_str_radix(hex, 16).ok(),
                    None => number.parse().ok(),
                };
                code.and_then(char::from_u32)
            }
        });
        if let (Some(c), Some(name)) = (decoded, entity) {
            out.push(c);
            rest = &rest[name.len() + 2..];
        } else {
            out.push('&');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    out
}

/// ASCII case is ignored because percent and `\u` escapes are written in either case, and IIS upper-cases user text.
fn replace_ignoring_ascii_case(text: &str, needle: &str, with: &str) -> String {
    if needle.is_empty() || text.len() < needle.len() {
        return text.to_owned();
    }
    let (bytes, wanted) = (text.as_bytes(), needle.as_bytes());
    let mut out = String::with_capacity(text.len());
    let (mut copied, mut at) = (0, 0);
    while at + wanted.len() <= bytes.len() {
        // Needles are whole UTF-8 strings, so a match can only begin and end on a character boundary.
        if bytes[at..at + wanted.len()].eq_ignore_ascii_case(wanted) {
            out.push_str(&text[copied..at]);
            out.push_str(with);
            at += wanted.len();
            copied = at;
        } else {
            at += 1;
        }
    }
    out.push_str(&text[copied..]);
    out
}

fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

/// Masks every run that is shaped like a JWT or the start of one (`eyJ`, a JSON object in base64url, and what follows), and
/// every long run that looks random, as tokens of other kinds do: 40 characters or more, letters and digits mixed.
fn mask_jwts(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(is_token_char) {
        let run = &rest[at..];
        let end = run
            .find(|c: char| !(is_token_char(c) || c == '.'))
            .unwrap_or(run.len());
        let (run, after) = run.split_at(end);
        out.push_str(&rest[..at]);
        let jwt = run.find("eyJ").filter(|begin| run.len() - begin >= 16);
        let random = run.split('.').any(|part| {
            let count = |kind: fn(&u8) -> bool| part.bytes().filter(kind).count();
            part.len() >= 40
                && count(u8::is_ascii_alphabetic) >= 4
                && count(u8::is_ascii_digit) >= 4
        });
        match jwt {
            _ if random => out.push_str(MASK),
            Some(begin) => {
                out.push_str(&run[..begin]);
                out.push_str(MASK);
            }
            None => out.push_str(run),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn debug_shows_nothing() {
        let secret = Secret::new("hunter22");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert!(!format!("{:?}", Scrubber::new([&secret])).contains("hunter"));
    }

    #[test]
    fn each_form_of_a_secret_is_masked() {
        let secret = Secret::new("pä\"s/<&+w rd");
        let scrubber = Scrubber::new([&secret]);
        for form in [
            "pä\"s/<&+w rd",
            "pä\\\"s/<&+w rd",
            "pä\\\"s\\/<&+w rd",
            "p\\u00e4\\\"s/<&+w rd",
            "p\\u00E4\\\"s/\\u003c\\u0026\\u002bw rd",
            "p\\u00E4\\u0022s/\\u003C\\u0026\\u002Bw rd",
            "p%C3%A4%22s%2F%3C%26%2Bw%20rd",
            "p%c3%a4%22s%2f%3c%26%2bw+rd",
            "pä\"s/&lt;&amp;+w rd",
            "pä&quot;s/&lt;&amp;+w rd",
        ] {
            assert_eq!(
                scrubber.scrub(&format!("<{form}>")),
                format!("<{MASK}>"),
                "{form}"
            );
        }
    }

    #[test]
    fn a_secret_is_masked_however_much_of_it_is_escaped() {
        let secret = Secret::new("Zq7\"K/w<9>&+4' 8%Xv");
        let scrubber = Scrubber::new([&secret]);
        let every =
            |write: fn(char) -> String| secret.expose().chars().map(write).collect::<String>();
        for form in [
            every(|c| format!("\\u{:04X}", u32::from(c))),
            every(|c| {
                if c.is_ascii_alphanumeric() {
                    c.to_string()
                } else {
                    format!("\\u{:04x}", u32::from(c))
                }
            }),
            every(|c| format!("%{:02x}", u32::from(c))),
            every(|c| format!("&#{};", u32::from(c))),
            every(|c| format!("&#x{:X};", u32::from(c))),
        ] {
            assert_eq!(
                scrubber.scrub(&format!("<{form}>")),
                format!("<{MASK}>"),
                "{form}"
            );
        }
    }

    #[test]
    fn a_secret_that_begins_or_ends_with_quotes_is_masked() {
        for text in ["\"abc\"", "\"\"\"\"", "ab\\\""] {
            let secret = Secret::new(text);
            let json = serde_json::json!({ "echo": text }).to_string();
            let scrubbed = Scrubber::new([&secret]).scrub(&json);
            assert!(scrubbed.contains(MASK), "{text}: {scrubbed}");
        }
    }

    #[test]
    fn short_secrets_are_left_alone() {
        assert_eq!(
            Scrubber::new([&Secret::new("abc")]).scrub("abcabc"),
            "abcabc"
        );
    }

    #[test]
    fn jwts_go_and_words_stay() {
        let scrubber = Scrubber::default();
        assert_eq!(
            scrubber.scrub("bad eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln, ok"),
            "bad [redacted], ok"
        );
        assert_eq!(scrubber.scrub("heyJude"), "heyJude");
    }

    #[test]
    fn text_is_one_short_line() {
        let scrubbed = Scrubber::default().scrub(&"wörd\r\n\u{7}".repeat(100));
        assert_eq!(scrubbed.chars().count(), MAX_SERVER_TEXT + 1);
        assert!(!scrubbed.chars().any(char::is_control));
    }

    #[test]
    fn fingerprints_are_short() {
        assert_eq!(fingerprint(b"abc"), "ba7816bf");
    }

    proptest! {
        #[test]
        fn what_is_scrubbed_stays_scrubbed(secret in "[^\\p{C}\\s\\[\\]]{4,20}", before in ".{0,30}", after in ".{0,30}") {
            prop_assume!(!MASK.to_ascii_lowercase().contains(&secret.to_ascii_lowercase()));
            let secret = Secret::new(secret);
            let scrubber = Scrubber::new([&secret]);
            for text in [
                format!("{before}{}{after}", secret.expose()),
                serde_json::json!({ "x": format!("{before}{}{after}", secret.expose()) }).to_string(),
                format!("{before}{}{after}", percent_forms(secret.expose())[0].expose()),
            ] {
                let scrubbed = scrubber.scrub(&text);
                for needle in &scrubber.needles {
                    prop_assert!(!scrubbed.to_ascii_lowercase().contains(&needle.expose().to_ascii_lowercase()), "{scrubbed}");
                }
                prop_assert!(scrubbed.chars().count() <= MAX_SERVER_TEXT + 1);
            }
        }
    }
}
