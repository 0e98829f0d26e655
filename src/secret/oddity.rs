//! Characters that cannot be seen or are not meant: in secrets that were damaged on their way, and in text from a server.

/// Characters that show nothing: Unicode's format characters (Cf) and what else is to be ignored in display. In pairs, from
/// and to.
const INVISIBLE: &[(char, char)] = &[
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Whether `c` shows nothing, and is neither a blank nor a control character.
pub(crate) fn is_invisible(c: char) -> bool {
    !c.is_ascii()
        && INVISIBLE
            .iter()
            .any(|(from, to)| (*from..=*to).contains(&c))
}

/// Quotation marks, straight and typographic.
pub(crate) fn is_quotation_mark(c: char) -> bool {
    matches!(c, '"' | '\'' | '`') || is_typographic(c)
}

fn is_typographic(c: char) -> bool {
    matches!(c, '\u{2018}'..='\u{201f}' | '«' | '»' | '‹' | '›')
}

/// What looks damaged, if anything does: what it is, and what to do. Neither tells anything
/// else of the secret.
pub(crate) fn oddity(secret: &str) -> Option<(&'static str, &'static str)> {
    const COPIED: &str = "It may come from a document or a chat: type it again.";
    let ends = |is: fn(char) -> bool| secret.starts_with(is) || secret.ends_with(is);
    let around = |open: char, close: char| {
        secret.len() > 1 && secret.starts_with(open) && secret.ends_with(close)
    };
    if secret.starts_with('\u{feff}') {
        Some((
            "begins with a byte order mark",
            "Save it without one (UTF-8 without BOM).",
        ))
    } else if ends(|c| matches!(c, '\n' | '\r')) {
        Some((
            "begins or ends with a line break",
            "Remove it if it is not meant (printf writes none, echo writes one).",
        ))
    } else if ends(char::is_whitespace) {
        Some((
            "begins or ends with a blank",
            "Remove it if it is not meant.",
        ))
    } else if ['"', '\'', '`'].into_iter().any(|mark| around(mark, mark)) {
        Some((
            "is in quotation marks, which were sent with it",
            "Remove them if they are not intended: docker --env-file and some services treat them as a part of the value.",
        ))
    } else if secret.chars().any(is_typographic) {
        Some(("contains typographic quotation marks", COPIED))
    } else if secret.chars().any(is_invisible) {
        Some(("contains an invisible character", COPIED))
    } else if (secret.contains("${") || secret.contains("$(")) && secret.contains(['}', ')'])
        || secret.contains("{{") && secret.contains("}}")
        || secret.len() > 2 && around('%', '%')
    {
        Some((
            "looks like a placeholder that was not replaced",
            "Set the value itself, or let the launcher of the program replace it: this library replaces nothing.",
        ))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_named() {
        for (secret, says) in [
            ("\"hunter22\"", "in quotation marks"),
            ("'hunter22'", "in quotation marks"),
            ("`hunter22`", "in quotation marks"),
            ("“hunter22”", "typographic"),
            ("hunter’22", "typographic"),
            ("«hunter22»", "typographic"),
            ("hunter22\n", "a line break"),
            ("hunter22\r\n", "a line break"),
            ("\nhunter22", "a line break"),
            (" hunter22", "a blank"),
            ("hunter22\t", "a blank"),
            ("hunter22\u{a0}", "a blank"),
            ("\u{feff}hunter22", "byte order mark"),
            ("hunter\u{200b}22", "invisible"),
            ("hunter22\u{202e}", "invisible"),
            ("${P21_PASSWORD}", "placeholder"),
            ("x${P21_PASSWORD}y", "placeholder"),
            ("$(cat /run/secrets/p21)", "placeholder"),
            ("{{ p21_password }}", "placeholder"),
            ("%P21_PASSWORD%", "placeholder"),
        ] {
            let (what, advice) = oddity(secret).expect(secret);
            assert!(what.contains(says), "{secret}: {what}");
            assert!(advice.ends_with('.') && !advice.contains("hunter"));
        }
        for secret in [
            "hunter22",
            "",
            "\"",
            "'",
            "%%",
            "%",
            "it's",
            "\"x",
            "a$b{c",
            "$P21",
            "pässwörd",
            "a b",
            "100%",
            "{a}",
            "😀",
        ] {
            assert_eq!(oddity(secret), None, "{secret}");
        }
    }

    #[test]
    fn ranges_are_in_order() {
        assert!(INVISIBLE.iter().all(|(from, to)| from <= to));
        assert!(INVISIBLE.windows(2).all(|two| two[0].1 < two[1].0));
        for c in [
            '\u{202e}',
            '\u{200d}',
            '\u{2066}',
            '\u{e0041}',
            '\u{fe0f}',
            '\u{feff}',
        ] {
            assert!(is_invisible(c) && !c.is_whitespace());
        }
        for c in ['a', ' ', '\u{2028}', 'ä', '\u{fffd}', '😀', '\u{301}'] {
            assert!(!is_invisible(c), "{c:?}");
        }
    }
}
