//! `.env` files: `NAME=value` lines.

use crate::error::{Code, Error, Result};
use crate::secret::Secret;

/// The pairs of a `.env` file, in order. `where_from` names the file in errors.
///
/// Blank lines and lines that begin with `#` are skipped, a leading `export ` is dropped. An unquoted value ends at ` #`
/// and is trimmed, and is otherwise taken as it stands, so `pa$s#w=rd` needs no quotes. In single quotes nothing is
/// special; in double quotes `\\`, `\"`, `\n`, `\r` and `\t` are understood. Nothing is ever expanded: a `$` is a dollar.
///
/// # Errors
///
/// `Config`, with the line's number, for a line without `=`, a name with blanks, or a quote that does not end.
pub fn parse(text: &str, where_from: &str) -> Result<Vec<(String, Secret)>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut pairs = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").map_or(line, str::trim_start);
        let fault = |what: &str| {
            Error::new(
                Code::Config,
                format!("{where_from}, line {}: {what}", index + 1),
            )
        };
        let Some((name, value)) = line.split_once('=') else {
            return Err(fault("no '='").with_hint("Write NAME=value, one on each line."));
        };
        let name = name.trim();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(fault("the name before '=' is empty or holds blanks")
                .with_hint("Write NAME=value, one on each line."));
        }
        let value = unquote(value.trim()).ok_or_else(|| {
            fault("the quoted value does not end on this line, or something follows the closing quote")
                .with_hint("Quote with '…' when the value holds double quotes or backslashes.")
        })?;
        pairs.push((name.to_owned(), value));
    }
    Ok(pairs)
}

fn unquote(value: &str) -> Option<Secret> {
    if let Some(rest) = value.strip_prefix('\'') {
        let (inner, after) = rest.split_once('\'')?;
        return only_comment(after).then(|| Secret::new(inner));
    }
    if let Some(rest) = value.strip_prefix('"') {
        let mut inner = String::new();
        let mut chars = rest.chars();
        loop {
            match chars.next()? {
                '"' => return only_comment(chars.as_str()).then(|| Secret::new(inner)),
                '\\' => match chars.next()? {
                    'n' => inner.push('\n'),
                    'r' => inner.push('\r'),
                    't' => inner.push('\t'),
                    c @ ('\\' | '"' | '$') => inner.push(c),
                    // A Windows path or an unescaped password: the backslash is meant.
                    c => inner.extend(['\\', c]),
                },
                c => inner.push(c),
            }
        }
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
    Some(Secret::new(value[..end].trim_end()))
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
            let pairs = parse(line, ".env").expect(line);
            assert_eq!(pairs.len(), 1, "{line}");
            assert_eq!(
                (pairs[0].0.as_str(), pairs[0].1.expose()),
                ("A", value),
                "{line}"
            );
        }
        assert!(
            parse("# only\n\n   \r\n", ".env")
                .expect("comments")
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
            let error = parse(text, "play.env").expect_err(text);
            assert_eq!(error.code(), Code::Config);
            assert!(error.message().contains("play.env, line 2"), "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
