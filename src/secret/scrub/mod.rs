//! Removes secrets from text that a server sent, however they are spelled there.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::spelling::{Reading, SOME_LETTER, layers, readings};
use super::{Secret, hex, is_invisible};

/// Longest text from a server that enters an error, in characters.
pub(crate) const MAX_SERVER_TEXT: usize = 200;

/// What stands in the place of a secret.
const MASK: &str = "[redacted]";

/// Shorter secrets are left alone: masking every `a` would tell more than it hides.
const MIN_SECRET: usize = 4;

/// Removes known secrets, and anything that looks like a token, from text that a server sent.
///
/// A secret is recognized plain, escaped in the ways of JSON, URLs, XML and HTML (one inside the other too), in any case, in
/// hexadecimal, and in base64, also as a part of what was encoded. Secrets shorter than 4 characters are left alone.
#[derive(Clone, Default)]
pub struct Scrubber {
    needles: Vec<Needle>,
}

/// What to look for.
#[derive(Clone, PartialEq)]
struct Needle {
    /// Folded like what it is compared with.
    chars: Zeroizing<Vec<char>>,
    /// It is part of an encoded run, whose other parts tell the rest of the secret.
    in_run: bool,
}

impl Scrubber {
    /// A scrubber that knows these secrets.
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
        if plain.chars().count() < MIN_SECRET {
            return;
        }
        let all = layers(plain);
        // As it is, and as it reads with its own escapes undone, which is what undoing the text's may leave of it.
        for reading in [all.first(), all.last()].into_iter().flatten() {
            self.look_for(&reading.folded, false);
        }
        // Where a writer doubled its backslashes, each undoing turns up something else of it: `\\X%00` ends as a NUL.
        if plain.contains('\\') {
            let mut doubled = Zeroizing::new(String::with_capacity(plain.len() * 2));
            for c in plain.chars() {
                if c == '\\' {
                    doubled.push(c);
                }
                doubled.push(c);
            }
            for reading in layers(&doubled) {
                self.look_for(&reading.folded, false);
            }
        }
        for form in encoded(plain) {
            self.look_for(&Reading::of(&form).folded, true);
        }
    }

    /// Makes a password known, and the `user:password` of HTTP's Basic scheme.
    pub(crate) fn add_login(&mut self, user: &str, password: &Secret) {
        self.add(password);
        let mut pair = String::with_capacity(user.len() + 1 + password.expose().len());
        pair.push_str(user);
        pair.push(':');
        pair.push_str(password.expose());
        self.add(&Secret::new(pair));
    }

    /// Blanks count as one, and those at the ends are left out: so it is in XML, in HTML, and on one line. Unless hardly
    /// anything is left then.
    fn look_for(&mut self, folded: &[char], in_run: bool) {
        let mut chars = Zeroizing::new(Vec::with_capacity(folded.len()));
        for c in folded {
            if *c != ' ' || chars.last() != Some(&' ') {
                chars.push(*c);
            }
        }
        let trimmed = chars.strip_prefix(&[' ']).unwrap_or(&chars);
        let trimmed = trimmed.strip_suffix(&[' ']).unwrap_or(trimmed);
        for chars in [folded, &chars, trimmed] {
            let needle = Needle {
                chars: Zeroizing::new(chars.to_vec()),
                in_run,
            };
            if chars.len() >= MIN_SECRET && !self.needles.contains(&needle) {
                self.needles.push(needle);
            }
        }
    }

    /// `text` without secrets and without characters that show nothing, on one line, at most [`MAX_SERVER_TEXT`] characters long.
    #[must_use]
    pub fn scrub(&self, text: &str) -> String {
        // Far more than will be shown, and a bound on the work that a server can cause.
        let text = &text[..text.floor_char_boundary(64 * 1024)];
        let masked = self.mask(&visible(text), MIN_SECRET);
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
        if let Some((end, _)) = line.char_indices().nth(MAX_SERVER_TEXT) {
            line.truncate(end);
            line.push('…');
        }
        line
    }

    /// `text` at its whole length without the secrets of 8 characters or more: for text that is mostly our own, where masking
    /// a short password that is a common word would tell it.
    #[must_use]
    pub fn hide(&self, text: &str) -> String {
        self.mask(&visible(text), 8)
    }

    fn mask(&self, text: &str, least: usize) -> String {
        let mut places = Vec::new();
        for reading in readings(text) {
            let mut found = token_like(&reading.chars);
            let needles = self.needles.iter();
            for needle in needles.filter(|needle| needle.chars.len() >= least) {
                needle.find(&reading, &mut found);
            }
            places.extend(
                found
                    .into_iter()
                    .map(|(from, to)| (reading.places[from].0, reading.places[to - 1].1)),
            );
        }
        places.sort_unstable();
        let mut out = String::with_capacity(text.len());
        let mut done = None;
        for (from, to) in places {
            if done.is_none_or(|done| done < from) {
                out.push_str(&text[done.unwrap_or(0)..from]);
                out.push_str(MASK);
            }
            done = done.max(Some(to));
        }
        out.push_str(&text[done.unwrap_or(0)..]);
        out
    }
}

/// `text` without characters that show nothing: they turn the rest around, or hide a secret from those who look for it.
fn visible(text: &str) -> Zeroizing<String> {
    let mut shown = Zeroizing::new(String::with_capacity(text.len()));
    shown.extend(text.chars().filter(|c| !is_invisible(*c)));
    shown
}

impl fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scrubber({} forms)", self.needles.len())
    }
}

impl Needle {
    fn find(&self, reading: &Reading, found: &mut Vec<(usize, usize)>) {
        let mut at = 0;
        while at < reading.folded.len() {
            let Some(mut end) = self.end(&reading.folded, at) else {
                at += 1;
                continue;
            };
            let mut from = at;
            if self.in_run {
                let in_run = |c: &char| is_token_char(*c) || matches!(c, '+' | '/');
                let before = reading.chars[..at].iter().rev().take_while(|c| in_run(c));
                from -= before.count();
                let after = reading.chars[end..].iter();
                end += after.take_while(|c| in_run(c) || **c == '=').count();
            }
            found.push((from, end));
            at = end;
        }
    }

    /// Where it ends if it begins at `at`.
    fn end(&self, text: &[char], mut at: usize) -> Option<usize> {
        for (number, wanted) in self.chars.iter().enumerate() {
            let c = *text.get(at)?;
            let may_be = c == SOME_LETTER && !wanted.is_ascii();
            if c != *wanted && !may_be {
                return None;
            }
            at += 1;
            if *wanted == ' ' && self.chars.get(number + 1) != Some(&' ') {
                at += text[at..].iter().take_while(|c| **c == ' ').count();
            }
        }
        Some(at)
    }
}

/// What programs make of a secret that no undoing of escapes turns back: hexadecimal, a GUID without hyphens, and base64, with
/// what stands around the secret unknown: of each of the three ways to begin, the letters that depend on the secret alone.
fn encoded(plain: &str) -> Vec<Zeroizing<String>> {
    let mut forms = vec![Zeroizing::new(hex(plain.as_bytes()))];
    if plain.len() == 36 && plain.matches('-').count() == 4 {
        forms.push(Zeroizing::new(plain.replace('-', "")));
    }
    for before in 0..3 {
        let mut bytes = Zeroizing::new(Vec::with_capacity(before + plain.len()));
        bytes.resize(before, 0);
        bytes.extend_from_slice(plain.as_bytes());
        let letters = (before * 8).div_ceil(6)..bytes.len() * 8 / 6;
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let whole = Zeroizing::new(engine.encode(&bytes));
            forms.push(Zeroizing::new(whole[letters.clone()].to_owned()));
        }
    }
    forms
}

fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

/// Finds every run that is shaped like a JWT or the start of one (`eyJ`, a JSON object in base64url, and what follows), and
/// every long run that looks random, as tokens of other kinds do: 40 characters or more, letters and digits mixed.
fn token_like(chars: &[char]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let in_run = |c: &&char| is_token_char(**c) || **c == '.';
        let length = chars[at..].iter().take_while(in_run).count();
        let run = &chars[at..at + length];
        let random = run.split(|c| *c == '.').any(|part| {
            let count = |kind: fn(&char) -> bool| part.iter().filter(|c| kind(c)).count();
            part.len() >= 40
                && count(char::is_ascii_alphabetic) >= 4
                && count(char::is_ascii_digit) >= 4
        });
        let jwt = run
            .windows(3)
            .position(|start| start == ['e', 'y', 'J'])
            .filter(|begin| run.len() - begin >= 16);
        if random {
            found.push((at, at + length));
        } else if let Some(begin) = jwt {
            found.push((at + begin, at + length));
        }
        at += length + 1;
    }
    found
}

#[cfg(test)]
mod tests;
