//! How a text reads once its escapes are undone. Writers of JSON, URLs, XML and HTML escape more or less as they like, and one
//! inside the other, so the ways to spell a secret cannot be listed; they can be undone.

use zeroize::Zeroizing;

use super::is_invisible;

/// Stands for a letter beyond ASCII of which nothing more is known, such as `&uuml;`.
pub(super) const SOME_LETTER: char = '\u{fffd}';

/// Escapes within escapes are undone this often; no one writes more.
const MAX_DEPTH: usize = 8;

/// Characters, and where in the text each of them stands.
pub(super) struct Reading {
    pub(super) chars: Zeroizing<Vec<char>>,
    /// The same for comparing: without case, every blank (and `+`, which may be one) a space.
    pub(super) folded: Zeroizing<Vec<char>>,
    /// From and to, in bytes.
    pub(super) places: Vec<(usize, usize)>,
}

impl Reading {
    /// A reading of at most `most` characters: it never grows, so no copy is left behind.
    fn with_capacity(most: usize) -> Reading {
        Reading {
            chars: Zeroizing::new(Vec::with_capacity(most)),
            folded: Zeroizing::new(Vec::with_capacity(most)),
            places: Vec::with_capacity(most),
        }
    }

    fn push(&mut self, c: char, place: (usize, usize)) {
        // A NUL between all letters is UTF-16 that was taken for something else; what shows nothing divides nothing.
        if (c.is_control() && !c.is_whitespace()) || is_invisible(c) {
            if let Some(last) = self.places.last_mut() {
                last.1 = place.1;
            }
            return;
        }
        self.chars.push(c);
        self.folded.push(fold(c));
        self.places.push(place);
    }

    /// The text as it stands.
    pub(super) fn of(text: &str) -> Reading {
        let mut reading = Reading::with_capacity(text.len());
        for (at, c) in text.char_indices() {
            reading.push(c, (at, at + c.len_utf8()));
        }
        reading
    }

    /// With one layer of the escapes undone that begin with one of `marks`; `None` when there is none.
    fn undone(&self, marks: &[char]) -> Option<Reading> {
        let mut reading = Reading::with_capacity(self.chars.len());
        let (mut at, mut found) = (0, false);
        while at < self.chars.len() {
            let rest = &self.chars[at..];
            let known = marks.contains(&rest[0]).then(|| escape(rest)).flatten();
            let (c, length) = known.unwrap_or((rest[0], 1));
            found |= length > 1;
            let end = at + length;
            reading.push(c, (self.places[at].0, self.places[end - 1].1));
            at = end;
        }
        found.then_some(reading)
    }
}

/// What an escape begins with.
const MARKS: [char; 3] = ['\\', '%', '&'];

/// The text as it stands, then with ever more escapes undone, the last one with all.
pub(super) fn layers(text: &str) -> Vec<Reading> {
    let mut all = vec![Reading::of(text)];
    while all.len() < MAX_DEPTH
        && let Some(next) = all.last().and_then(|last| last.undone(&MARKS))
    {
        all.push(next);
    }
    all
}

/// The [`layers`] of a text, and what one writer's escapes alone make of it: in `a\"b%00` the text of JSON ends as `%00`, which
/// is no escape there.
pub(super) fn readings(text: &str) -> Vec<Reading> {
    let mut all = layers(text);
    let alone = MARKS.iter().filter_map(|mark| all[0].undone(&[*mark]));
    let alone: Vec<Reading> = alone.collect();
    all.extend(alone);
    all
}

fn fold(c: char) -> char {
    if c == '+' || c.is_whitespace() {
        ' '
    } else {
        c.to_lowercase().next().unwrap_or(c)
    }
}

/// The character that the escape at the start of `rest` stands for, and the length of the escape.
fn escape(rest: &[char]) -> Option<(char, usize)> {
    match rest {
        ['\\', 'u' | 'U', ..] => units(rest).or(Some((rest[1], 2))),
        ['\\', 'x' | 'X', ..] => bytes(rest, 2).or(Some((rest[1], 2))),
        ['\\', 'n' | 'r' | 't' | 'f' | 'b', ..] => Some((' ', 2)),
        ['\\', c, ..] => Some((*c, 2)),
        ['%', 'u' | 'U', ..] => units(rest),
        ['%', ..] => bytes(rest, 1),
        ['&', ..] => entity(rest),
        _ => None,
    }
}

fn hex(digits: &[char]) -> Option<u32> {
    digits.iter().try_fold(0, |value: u32, digit| {
        value.checked_mul(16)?.checked_add(digit.to_digit(16)?)
    })
}

/// `\uXXXX` of JSON, `%uXXXX` of old JavaScript; two of them for a surrogate pair.
fn units(rest: &[char]) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let part = rest.get(at..at + 6)?;
        let same = part[0] == rest[0] && part[1].eq_ignore_ascii_case(&'u');
        same.then(|| hex(&part[2..]))?
    };
    let first = unit(0)?;
    if let (0xd800..=0xdbff, Some(second @ 0xdc00..=0xdfff)) = (first, unit(6)) {
        let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return Some((char::from_u32(code)?, 12));
    }
    Some((char::from_u32(first).unwrap_or(SOME_LETTER), 6))
}

/// `%XX` of URLs, `\xXX` of program text: UTF-8, or else Latin-1. `mark` is the length of what stands before the digits.
fn bytes(rest: &[char], mark: usize) -> Option<(char, usize)> {
    let width = mark + 2;
    let byte = |at: usize| {
        let part = rest.get(at * width..(at + 1) * width)?;
        let same = part[0] == rest[0] && (mark == 1 || part[1].eq_ignore_ascii_case(&'x'));
        let value = same.then(|| hex(&part[mark..]))??;
        u8::try_from(value).ok()
    };
    let first = byte(0)?;
    let count = match first {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    let mut utf8 = [0; 4];
    for (at, slot) in utf8[..count].iter_mut().enumerate() {
        *slot = byte(at).unwrap_or_default();
    }
    match std::str::from_utf8(&utf8[..count]) {
        Ok(text) => Some((text.chars().next()?, count * width)),
        Err(_) => Some((char::from(first), width)),
    }
}

/// `&amp;`, `&#38;`, `&#x26;` and the like.
fn entity(rest: &[char]) -> Option<(char, usize)> {
    let end = rest.iter().take(12).position(|c| *c == ';')?;
    let c = match &rest[1..end] {
        ['#', 'x' | 'X', digits @ ..] => hex(digits).and_then(char::from_u32)?,
        ['#'] => return None,
        ['#', digits @ ..] => {
            let code = digits.iter().try_fold(0_u32, |value, digit| {
                value.checked_mul(10)?.checked_add(digit.to_digit(10)?)
            });
            code.and_then(char::from_u32)?
        }
        name => {
            let name: String = name.iter().map(char::to_ascii_lowercase).collect();
            match name.as_str() {
                "amp" => '&',
                "lt" => '<',
                "gt" => '>',
                "quot" => '"',
                "apos" => '\'',
                "nbsp" => ' ',
                _ if name.len() > 1 && name.bytes().all(|c| c.is_ascii_alphanumeric()) => {
                    SOME_LETTER
                }
                _ => return None,
            }
        }
    };
    Some((c, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(text: &str) -> String {
        layers(text)
            .last()
            .map(|reading| reading.chars.iter().collect())
            .unwrap_or_default()
    }

    #[test]
    fn every_escape_is_undone() {
        for (text, reads) in [
            ("plain + text", "plain + text"),
            ("\\u0041\\U00e4\\\"\\/\\\\x", "Aä\"/x"),
            ("\\uD83D\\uDE00\\ud83d", "😀\u{fffd}"),
            ("%41%c3%A4%E4%u00e4%F0%9f%98%80", "Aää\u{e4}😀"),
            ("%zz 100% %", "%zz 100% %"),
            ("\\xc3\\XA4\\x41\\xg", "äAxg"),
            (
                "&amp;&#65;&#x42;&LT;&uuml;&;&a b;&#;",
                "&AB<\u{fffd}&;&a b;&#;",
            ),
            ("a\\nb\0c", "a bc"),
            ("%255C%2575%30041", "A"),
            ("&amp;amp;#x41;", "A"),
            ("\\", "\\"),
        ] {
            assert_eq!(last(text), reads, "{text}");
        }
    }

    #[test]
    fn places_are_those_of_the_text() {
        let all = layers("xä%41%C3%A4y");
        assert_eq!(all.len(), 2);
        assert_eq!(all[1].places, [(0, 1), (1, 3), (3, 6), (6, 12), (12, 13)]);
    }

    #[test]
    fn nesting_has_an_end() {
        assert_eq!(
            layers(&format!("%{}41", "25".repeat(1_000))).len(),
            MAX_DEPTH
        );
    }
}
