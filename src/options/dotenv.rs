//! `.env` files: `NAME=value` lines, among which may be those of other programs.

use crate::error::{Code, Error, Result};
use crate::secret::Secret;

/// Longest quoted value: a chain of certificates has some 150 lines.
const MAX_LINES: usize = 500;

/// What a `.env` file holds.
#[derive(Debug, Default)]
pub struct Dotenv {
    /// Names and values, in order.
    pub pairs: Vec<(String, Secret)>,
    /// Lines of other programs that cannot be read: their numbers, and why.
    pub unread: Vec<(usize, &'static str)>,
}

/// Reads a `.env` file. `where_from` names the file in errors; `is_ours` tells names that matter from those of other programs.
///
/// Blank lines and lines that begin with `#` are skipped, a leading `export ` is dropped. An unquoted value ends at ` #`
/// and is trimmed, and is otherwise taken as it stands, so `pa$s#w=rd` needs no quotes. In single quotes nothing is
/// special; in double quotes `\\`, `\"`, `\n`, `\r` and `\t` are understood. A quoted value may go on over several lines, but
/// not past a line that sets a name of ours. Nothing is ever expanded: a `$` is a dollar.
///
/// # Errors
///
/// `Config`, with the line's number, for a line of ours without `=`, with blanks in its name, or with a quote that does not end.
pub fn parse(bytes: &[u8], where_from: &str, is_ours: &dyn Fn(&str) -> bool) -> Result<Dotenv> {
    let foreign = |what: &str| {
        Error::new(Code::Config, format!("{where_from} {what}"))
            .with_hint("Save the file as UTF-8.")
    };
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(foreign("cannot be read: it is UTF-16 and not UTF-8"));
    }
    let mut buffer = zeroize::Zeroizing::default();
    let text = std::str::from_utf8(bytes).unwrap_or_else(|_| {
        *buffer = String::from_utf8_lossy(bytes).into_owned();
        &buffer
    });
    let is_lossy = text.as_bytes() != bytes;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Dotenv::default();
    let mut at = 0;
    while let Some(line) = lines.get(at).map(|line| assignment(line)) {
        at += 1;
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        let name = name.trim();
        let read = if !line.contains('=') {
            Err("no '='")
        } else if name.is_empty() || name.contains(char::is_whitespace) {
            Err("the name before '=' is empty or contains blanks")
        } else {
            read_value(value.trim_start(), &lines[at..], is_ours)
                .ok_or("the quoted value does not end, or something follows the closing quote")
        };
        match read {
            Ok((value, _)) if is_lossy && is_ours(name) && value.expose().contains('\u{fffd}') => {
                return Err(foreign(&format!(
                    "cannot be read at line {at}: it is not UTF-8"
                )));
            }
            Ok((value, more)) => {
                found.pairs.push((name.to_owned(), value));
                at += more;
            }
            Err(what) if is_ours(name.split_whitespace().next().unwrap_or_default()) => {
                let hint = if what.contains("quote") {
                    "Quote with '…' if the value contains double quotes or backslashes."
                } else {
                    "Write NAME=value, one on each line."
                };
                let message = format!("{where_from}, line {at}: {what}");
                return Err(Error::new(Code::Config, message).with_hint(hint));
            }
            Err(what) => found.unread.push((at, what)),
        }
    }
    Ok(found)
}

/// A line without the blanks before it and without `export`.
fn assignment(line: &str) -> &str {
    let line = line.trim_start();
    let line = line
        .strip_prefix("export")
        .filter(|rest| rest.starts_with(char::is_whitespace))
        .map_or(line, str::trim_start);
    if line.trim_end().is_empty() { "" } else { line }
}

/// The value, and how many of the lines after its own it takes.
fn read_value(
    value: &str,
    after: &[&str],
    is_ours: &dyn Fn(&str) -> bool,
) -> Option<(Secret, usize)> {
    let sets_ours = |line: &&&str| {
        let name = assignment(line)
            .split_once('=')
            .map(|(name, _)| name.trim());
        name.is_some_and(is_ours)
    };
    let most = after
        .iter()
        .take(MAX_LINES)
        .take_while(|line| !sets_ours(line))
        .count();
    let mut whole = zeroize::Zeroizing::new(value.to_owned());
    let mut more = after[..most].iter();
    loop {
        match unquote(&whole) {
            Quoted::Ends(value) => return Some((value, most - more.len())),
            Quoted::GoesOn => {
                let longer = format!("{}\n{}", *whole, more.next()?);
                whole = zeroize::Zeroizing::new(longer);
            }
            Quoted::Broken => return None,
        }
    }
}

enum Quoted {
    Ends(Secret),
    /// No closing quote so far.
    GoesOn,
    Broken,
}

fn unquote(value: &str) -> Quoted {
    let ends = |inner: &str, after: &str| {
        if only_comment(after) {
            Quoted::Ends(Secret::new(inner))
        } else {
            Quoted::Broken
        }
    };
    if let Some(rest) = value.strip_prefix('\'') {
        return match rest.split_once('\'') {
            Some((inner, after)) => ends(inner, after),
            None => Quoted::GoesOn,
        };
    }
    if let Some(rest) = value.strip_prefix('"') {
        let mut inner = zeroize::Zeroizing::new(String::with_capacity(rest.len()));
        let mut chars = rest.chars();
        while let Some(c) = chars.next() {
            match c {
                '"' => return ends(&inner, chars.as_str()),
                '\\' => match chars.next() {
                    None => return Quoted::GoesOn,
                    Some('n') => inner.push('\n'),
                    Some('r') => inner.push('\r'),
                    Some('t') => inner.push('\t'),
                    Some(c @ ('\\' | '"' | '$')) => inner.push(c),
                    // A Windows path or an unescaped password: the backslash is meant.
                    Some(c) => inner.extend(['\\', c]),
                },
                c => inner.push(c),
            }
        }
        return Quoted::GoesOn;
    }
    let end = value
        .char_indices()
        .find(|(at, c)| {
            *c == '#'
                && value[..*at]
                    .chars()
                    .next_back()
                    .is_none_or(char::is_whitespace)
        })
        .map_or(value.len(), |(at, _)| at);
    Quoted::Ends(Secret::new(value[..end].trim_end()))
}

fn only_comment(rest: &str) -> bool {
    let rest = rest.trim_start();
    rest.is_empty() || rest.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_as_people_write_them() {
        for (line, value) in [
            ("A=plain", "plain"),
            ("  export A = spaced out  ", "spaced out"),
            ("A=pa$s#w=rd", "pa$s#w=rd"),
            ("A=value # comment", "value"),
            ("A=", ""),
            ("A=#nothing", ""),
            ("A='sin#gle \"$x\\n'  # c", "sin#gle \"$x\\n"),
            ("A=\"dou\\\"ble\\\\ \\n$x #\"", "dou\"ble\\ \n$x #"),
            ("A=\"C:\\p21\\ca.pem\"", "C:\\p21\\ca.pem"),
            ("A=pässwörd", "pässwörd"),
            ("\u{feff}A=bom", "bom"),
        ] {
            let pairs = parse(line.as_bytes(), ".env", &|_| true).expect(line).pairs;
            assert_eq!(pairs.len(), 1, "{line}");
            assert_eq!(
                (pairs[0].0.as_str(), pairs[0].1.expose()),
                ("A", value),
                "{line}"
            );
        }
        assert!(
            parse(b"# only\n\n   \r\n", ".env", &|_| true)
                .expect("comments")
                .pairs
                .is_empty()
        );
    }

    #[test]
    fn faults_name_the_line_and_never_the_value() {
        for text in [
            "ok=1\nhunter2",
            "ok=1\nA='hunter2",
            "ok=1\nA=\"hunter2\" hunter2",
            "ok=1\nA B=hunter2",
            "ok=1\n=hunter2",
        ] {
            let error = parse(text.as_bytes(), "play.env", &|_| true).expect_err(text);
            assert_eq!(error.code(), Code::Config);
            assert!(error.message().contains("play.env, line 2"), "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn what_belongs_to_other_programs_does_no_harm() {
        let ours = |name: &str| name.starts_with("P21_");
        for (text, value, unread) in [
            ("KEY=\"-----BEGIN\nabc=\n-----END\"\nP21_A=x", "x", &[][..]),
            ("KEY='one\ntwo' # c\nP21_A=x", "x", &[]),
            ("KEY=\"a\\\nb\"\r\nP21_A=x", "x", &[]),
            ("BARE\nP21_A=x\nexport BARE\n", "x", &[1, 3]),
            ("  export\tOTHER='x'\nexport P21_A=x", "x", &[]),
            ("name: value\nset A B=c\n=d\nP21_A=x", "x", &[1, 2, 3]),
            ("A='tis\nP21_A='x'", "x", &[1]),
            ("A=\"open\nB=y\nP21_A=x\nC=\"", "x", &[1, 4]),
            ("A='x' y\nP21_A=x", "x", &[1]),
            ("-----BEGIN\nMIIB+/=\nP21_A=x", "x", &[1]),
            ("P21_A='over\ntwo lines'\nB=c", "over\ntwo lines", &[]),
            ("P21_A=\"  x \n y\"", "  x \n y", &[]),
            (
                "source ./other.env\nP21_A=x\n. b\n[section]",
                "x",
                &[1, 3, 4],
            ),
        ] {
            let found = parse(text.as_bytes(), ".env", &ours).expect(text);
            let value_of = |wanted: &str| {
                let pair = found.pairs.iter().rev().find(|(name, _)| name == wanted);
                pair.map(|(_, value)| value.expose())
            };
            assert_eq!(value_of("P21_A"), Some(value), "{text}");
            let lines: Vec<usize> = found.unread.iter().map(|(line, _)| *line).collect();
            assert_eq!(lines, unread, "{text}");
        }
        for (text, line) in [
            ("BARE\nP21_PASSWORD", 2),
            ("export P21_PASSWORD\n", 1),
            ("A=b\nP21_A='open\nP21_B=x", 2),
            ("P21_A=\"x\" y", 1),
            ("#\nP21_A B=c", 2),
        ] {
            let error = parse(text.as_bytes(), "a.env", &ours).expect_err(text);
            let says = format!("a.env, line {line}: ");
            assert!(error.message().starts_with(&says), "{error}");
            assert!(!error.hint().is_empty());
        }
    }

    #[test]
    fn other_encodings_harm_only_what_is_ours() {
        let ours = |name: &str| name.starts_with("P21_");
        let shared = b"# Caf\xe9\nGREETING=Gr\xfc\xdfe\nP21_A=x\xc3\xa4";
        let found = parse(shared, ".env", &ours).expect("readable");
        assert_eq!(found.pairs[1].1.expose(), "xä");
        for bytes in [
            &b"A=b\nP21_A=Gr\xfc\xdfe"[..],
            b"\xff\xfeP\x002\x001\x00_\x00A\x00=\x00x\x00",
            b"\xfe\xff\x00P",
        ] {
            let error = parse(bytes, "a.env", &ours).expect_err("not UTF-8");
            assert!(
                error.message().starts_with("a.env cannot be read"),
                "{error}"
            );
            assert!(error.message().contains("not UTF-8") && !error.hint().is_empty());
            assert!(!error.to_string().contains("Gr"), "{error}");
        }
        let plain = "P21_A=\u{fffd}".as_bytes();
        assert_eq!(parse(plain, ".env", &ours).expect("UTF-8").pairs.len(), 1);
    }
}
