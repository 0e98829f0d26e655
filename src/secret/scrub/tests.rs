#![allow(clippy::format_collect, reason = "these texts are short")]

use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;

use super::*;

const SECRET: &str = "Zq7\"Kä/w<9>&Yt+4'Lm 8%Xv😀\\n";

fn each(write: impl Fn(char) -> String) -> String {
    SECRET.chars().map(write).collect()
}

fn units(c: char, escape: &str) -> String {
    let mut units = [0; 2];
    let units = c.encode_utf16(&mut units).iter();
    units.map(|unit| format!("{escape}{unit:04x}")).collect()
}

fn bytes(c: char, escape: &str) -> String {
    let mut bytes = [0; 4];
    let bytes = c.encode_utf8(&mut bytes).bytes();
    bytes.map(|byte| format!("{escape}{byte:02X}")).collect()
}

fn only_signs(escape: impl Fn(char) -> String) -> impl Fn(char) -> String {
    move |c| {
        if c.is_ascii_alphanumeric() {
            c.to_string()
        } else {
            escape(c)
        }
    }
}

/// Every way that the secret is spelled by someone.
fn spellings() -> Vec<String> {
    let json = serde_json::to_string(SECRET).expect("JSON");
    let json = json[1..json.len() - 1].to_owned();
    let form: String = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
    let html = SECRET
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;");
    vec![
        SECRET.to_owned(),
        json.replace('/', "\\/"),
        json,
        form.to_ascii_lowercase(),
        form,
        html.replace('ä', "&auml;").replace(' ', "&nbsp;"),
        html,
        each(|c| units(c, "\\u")),
        each(|c| units(c, "\\u")).to_ascii_uppercase(),
        each(|c| units(c, "%u")),
        each(|c| bytes(c, "%")),
        each(|c| bytes(c, "\\x")).to_ascii_lowercase(),
        each(|c| format!("&#{};", u32::from(c))),
        each(|c| format!("&#x{:X};", u32::from(c))),
        each(only_signs(|c| units(c, "\\u"))),
        each(only_signs(|c| bytes(c, "%"))),
        each(only_signs(|c| format!("&#{};", u32::from(c)))),
        each(|c| format!("{c}\0")),
        SECRET.replace('ä', "%E4"),
        SECRET.replace(' ', "\r\n\t "),
        hex(SECRET.as_bytes()).to_ascii_uppercase(),
        BASE64_STANDARD.encode(SECRET),
        BASE64_STANDARD.encode(format!("user:{SECRET}")),
        BASE64_STANDARD.encode(format!("{{\"p\":\"{SECRET}\"}}")),
        base64::prelude::BASE64_URL_SAFE.encode(format!("??>>ÿÿ:{SECRET}")),
    ]
}

#[test]
fn a_secret_is_masked_however_it_is_spelled() {
    let scrubber = Scrubber::new([&Secret::new(SECRET)]);
    for form in spellings() {
        let masked = scrubber.scrub(&format!("<{form}>"));
        assert_eq!(masked, format!("<{MASK}>"), "{form}");
    }
}

#[test]
fn a_spelling_inside_another_is_masked() {
    let scrubber = Scrubber::new([&Secret::new(SECRET)]);
    for form in spellings() {
        let json = serde_json::to_string(&form).expect("JSON");
        let percent: String = url::form_urlencoded::byte_serialize(form.as_bytes()).collect();
        let html = form.replace('&', "&amp;").replace('<', "&lt;");
        let twice: String = url::form_urlencoded::byte_serialize(percent.as_bytes()).collect();
        let twice = serde_json::to_string(&twice)
            .expect("JSON")
            .replace('%', "\\u0025");
        for (name, text, left) in [
            ("JSON", json, "\"\""),
            ("percent", percent, ""),
            ("HTML", html, ""),
            ("three times", twice, "\"\""),
        ] {
            let masked = scrubber.scrub(&text);
            assert_eq!(masked.replace(MASK, ""), left, "{name} {form}: {text}");
        }
    }
}

#[test]
fn nothing_else_is_masked() {
    let scrubber = Scrubber::new([&Secret::new("hunter22"), &Secret::new("a b+c")]);
    for text in [
        "100 % of \\u00e4 &amp; C:\\new\\table",
        "hunter21 Hunter 22 aGVsbG8gd29ybGQ=",
        "%68unter2 HTTP+JSON",
    ] {
        assert_eq!(scrubber.scrub(text), text);
        assert_eq!(scrubber.hide(text), text);
    }
    assert_eq!(
        scrubber.scrub("x HUNTER22y A  B c"),
        format!("x {MASK}y {MASK}")
    );
    assert_eq!(scrubber.hide("hunter22 a b c"), format!("{MASK} a b c"));
}

#[test]
fn a_login_is_masked_even_with_a_short_password() {
    let mut scrubber = Scrubber::default();
    scrubber.add_login("demo", &Secret::new("pw"));
    let basic = BASE64_STANDARD.encode("demo:pw");
    assert_eq!(
        scrubber.scrub(&format!("Basic {basic} of demo:pw@host")),
        format!("Basic {MASK} of {MASK}@host")
    );
}

#[test]
fn a_guid_is_masked_without_its_hyphens() {
    let scrubber = Scrubber::new([&Secret::new("8d0c57a1-3fb2-4e96-9c4a-61d2e07f5b38")]);
    for form in [
        "{8D0C57A1-3FB2-4E96-9C4A-61D2E07F5B38}",
        "{8d0c57a13fb24e969c4a61d2e07f5b38}",
    ] {
        assert_eq!(scrubber.scrub(form), format!("{{{MASK}}}"));
    }
}

#[test]
fn secrets_of_odd_letters_are_masked() {
    for text in [
        "\"abc\"", "\"\"\"\"", "ab\\\"", "++++", "a  b", "&lt;", "%41%42", "\\\\\\\\",
    ] {
        let secret = Secret::new(text);
        let json = serde_json::json!({ "echo": text }).to_string();
        let form: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        for spelled in [text, json.as_str(), form.as_str()] {
            let scrubbed = Scrubber::new([&secret]).scrub(&format!("x{spelled}x"));
            assert!(scrubbed.contains(MASK), "{text}: {scrubbed}");
        }
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
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln";
    assert_eq!(
        scrubber.scrub(&format!("bad {jwt}, ok")),
        "bad [redacted], ok"
    );
    let escaped: String = jwt.bytes().map(|byte| format!("%{byte:02x}")).collect();
    assert_eq!(scrubber.scrub(&escaped), MASK);
    assert_eq!(scrubber.scrub("heyJude"), "heyJude");
}

#[test]
fn text_is_one_short_line() {
    let scrubbed = Scrubber::default().scrub(&"wörd\r\n\u{7}".repeat(100));
    assert_eq!(scrubbed.chars().count(), MAX_SERVER_TEXT + 1);
    assert!(!scrubbed.chars().any(char::is_control));
}

/// Plain characters that show nothing, and their escapes.
const HIDDEN: [&str; 12] = [
    "\u{202e}",
    "\u{200b}",
    "\u{feff}",
    "\u{ad}",
    "\u{2066}",
    "\u{e0041}",
    "\u{fe0f}",
    "\u{34f}",
    "\\u202e",
    "%E2%80%8B",
    "&#8203;",
    "&amp;#x200B;",
];

#[test]
fn characters_that_show_nothing_are_gone_and_hide_nothing() {
    let scrubber = Scrubber::new([&Secret::new("hunter22")]);
    for hidden in HIDDEN {
        let text = format!("a{hidden} hun{hidden}ter2{hidden}2 z");
        for shown in [scrubber.scrub(&text), scrubber.hide(&text)] {
            assert!(shown.contains(&format!(" {MASK} z")), "{hidden:?}: {shown}");
            assert!(!shown.chars().any(is_invisible), "{shown:?}");
        }
        // A secret that holds one, with it and without.
        let secret = format!("hun{hidden}ter23");
        let scrubber = Scrubber::new([&Secret::new(secret.as_str())]);
        for text in [secret.as_str(), "hunter23"] {
            assert_eq!(scrubber.scrub(text), MASK, "{hidden:?}");
        }
    }
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln";
    let parted: String = jwt.chars().flat_map(|c| [c, '\u{200b}']).collect();
    assert_eq!(scrubber.scrub(&parted), MASK);
}

proptest! {
    #[test]
    fn a_planted_secret_is_not_hidden_by_what_shows_nothing(
        secret in "[!-~äöüß]{8,20}",
        parts in proptest::collection::vec(0..HIDDEN.len() + 4, 20),
        before in "[a-z\u{202e}\u{200d} ]{0,8}",
    ) {
        let scrubber = Scrubber::new([&Secret::new(secret.as_str())]);
        let parted: String = secret
            .chars()
            .zip(parts)
            .map(|(c, part)| format!("{c}{}", HIDDEN.get(part).unwrap_or(&"")))
            .collect();
        for text in [format!("{before}{parted}"), serde_json::json!({ "x": parted }).to_string()] {
            for shown in [scrubber.scrub(&text), scrubber.hide(&text)] {
                prop_assert!(!shown.contains(&secret), "{text:?}: {shown:?}");
                prop_assert!(!shown.chars().any(is_invisible), "{shown:?}");
            }
        }
    }

    #[test]
    fn what_is_scrubbed_stays_scrubbed(
        secret in "[^\\p{C}\\s\\[\\]]{4,20}",
        before in ".{0,30}",
        after in ".{0,30}",
        ways in proptest::collection::vec(0_u8..5, 20),
    ) {
        prop_assume!(!MASK.to_lowercase().contains(&secret.to_lowercase()));
        // Characters that show nothing do not make a secret longer.
        prop_assume!(Reading::of(&secret).folded.len() >= MIN_SECRET);
        let spelled: String = secret
            .chars()
            .zip(ways)
            .map(|(c, way)| match way {
                0 => c.to_string(),
                1 => units(c, "\\u"),
                2 => bytes(c, "%"),
                3 => format!("&#{};", u32::from(c)),
                _ => format!("&#x{:x};", u32::from(c)),
            })
            .collect();
        let scrubber = Scrubber::new([&Secret::new(secret.as_str())]);
        let plain = format!("{before}{secret}{after}");
        for text in [
            serde_json::json!({ "x": plain }).to_string(),
            plain,
            format!("<{spelled}>"),
        ] {
            let scrubbed = scrubber.scrub(&text);
            for reading in readings(&scrubbed) {
                let shown: String = reading.folded.iter().collect();
                let secret: String = Reading::of(&secret).folded.iter().collect();
                prop_assert!(!shown.contains(&secret), "{text}: {scrubbed}");
            }
            prop_assert!(scrubbed.chars().count() <= MAX_SERVER_TEXT + 1);
        }
    }
}

#[test]
fn a_secret_whose_own_escapes_change_as_they_are_undone_is_found() {
    let scrubber = Scrubber::new([&Secret::new("ß\\X%0000Q")]);
    for text in ["ß\\X%0000Q", "ß\\\\X%0000Q", "{\"x\":\"ß\\\\X%0000Q\"}"] {
        let shown = scrubber.scrub(text);
        assert!(
            shown.contains("[redacted]") && !shown.contains("00Q"),
            "{shown}"
        );
    }
}

#[test]
fn what_follows_a_secret_does_not_complete_its_last_escape() {
    let scrubber = Scrubber::new([&Secret::new("!\"0%"), &Secret::new("a&b\\")]);
    for text in [
        "{\"x\":\"!\\\"0%00\"}",
        "{\"x\":\"!\\\"0%0\u{7f}0\"}",
        "{\"x\":\"!\\u00220%41\"}",
        "!&quot;0%41",
        "a&amp;b\\n",
    ] {
        let shown = scrubber.scrub(text);
        assert!(shown.contains("[redacted]"), "{text}: {shown}");
    }
}
