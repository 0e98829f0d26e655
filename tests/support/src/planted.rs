//! A planted secret in every form that a server may write it back in, and the search for it.
#![allow(clippy::format_collect, reason = "these texts are short")]

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use p21_emulator::Action;
use p21auth::Error;

/// Letters that JSON, XML, HTML and URLs each write differently.
pub const PASSWORD: &str = "Zq7\"Kä/w<9>&Yt+4'Lm 8%Xv";

/// Every way a server may write a text back. The numbered ones are used by their place below.
pub fn forms(secret: &str) -> Vec<String> {
    let json = serde_json::to_string(secret).expect("JSON");
    let json = json[1..json.len() - 1].to_owned();
    let each = |keep: fn(char) -> bool, write: &dyn Fn(char) -> String| -> String {
        let piece = |c: char| if keep(c) { c.to_string() } else { write(c) };
        secret.chars().map(piece).collect()
    };
    let none = |_| false;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.~".contains(c);
    let units = |c: char| {
        let mut units = [0; 2];
        let units = c.encode_utf16(&mut units).iter();
        units.map(|unit| format!("\\u{unit:04X}")).collect()
    };
    let bytes = |c: char| {
        let bytes = c.to_string().into_bytes().into_iter();
        bytes.map(|byte| format!("%{byte:02X}")).collect()
    };
    let percent = each(plain, &bytes);
    let xml = secret
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    vec![
        secret.to_owned(),
        json.replace('/', "\\/"),
        json,
        each(plain, &units),
        percent.to_ascii_lowercase(),
        percent.replace("%20", "+"),
        percent.clone(),
        each(none, &units),
        each(none, &units).to_ascii_lowercase(),
        each(none, &bytes),
        each(none, &bytes).to_ascii_lowercase(),
        percent.replace('%', "%25"),
        each(none, &|c| format!("&#{};", u32::from(c))),
        each(none, &|c| format!("&#x{:X};", u32::from(c))),
        each(plain, &units).replace('\\', "\\\\"),
        BASE64_STANDARD.encode(secret),
        BASE64_STANDARD.encode(format!("u:{secret}")),
        BASE64_STANDARD.encode(format!("{{\"password\":\"{secret}\"}}")),
        xml.replace('"', "&quot;").replace('\'', "&apos;"),
        xml.replace('"', "&quot;").replace('\'', "&#39;"),
        xml,
        // Characters that show nothing, plain and escaped.
        each(none, &|c| format!("{c}\u{200b}")),
        format!("\u{202e}{}", each(none, &|c| format!("\u{ad}{c}"))),
        each(none, &|c| format!("{c}%E2%80%8D")),
        each(none, &|c| format!("&#x2066;{c}")),
    ]
}

/// What must not be found: each form, and what is recognizable of the plain one.
pub struct Needles(Vec<String>);

impl Needles {
    pub fn of(secrets: &[&str]) -> Needles {
        let mut needles: Vec<String> = secrets.iter().flat_map(|secret| forms(secret)).collect();
        for secret in secrets {
            for form in [secret, BASE64_STANDARD.encode(secret).as_str()] {
                let letters: Vec<char> = form.chars().collect();
                needles.extend(letters.windows(10).map(|part| part.iter().collect()));
            }
        }
        Needles(needles)
    }

    pub fn check(&self, place: &str, output: &str) {
        for needle in &self.0 {
            assert!(
                !output.contains(needle.as_str()),
                "{place}: '{needle}' is in {output}"
            );
        }
    }

    pub fn check_error(&self, place: &str, error: &Error) {
        self.check(place, &format!("{error} {error:?} {}", error.hint()));
        assert!(!error.message().contains('\n'), "{place}");
    }
}

/// Everything that a server can say with `text` in it.
pub fn echoes(text: &str) -> Vec<Action> {
    let all = forms(text);
    let quoted = |form: &str| serde_json::to_string(form).expect("JSON");
    let mut bodies = Vec::new();
    for form in &all {
        bodies.push(format!("no one knows {form} here"));
        bodies.push(form.clone());
        bodies.push(format!(
            "<html><head><title>Login as {form}</title></head>{form}</html>"
        ));
        bodies.push(format!(
            "<TokenError><Message>{form}</Message></TokenError>"
        ));
    }
    // In JSON a form that is already escaped stands as it is, any other is escaped once more.
    let inner = [
        quoted(text),
        format!("\"{}\"", all[1]),
        format!("\"{}\"", all[3]),
        format!("\"{}\"", all[7]),
        quoted(&all[6]),
        quoted(&all[6]).replace('%', "\\u0025"),
        quoted(&all[10]),
        quoted(&all[12]),
        quoted(&all[16]),
    ];
    for value in inner {
        bodies.push(format!(
            r#"{{"ErrorMessage":{value},"ErrorType":"System.Exception"}}"#
        ));
        bodies.push(format!(
            r#"{{"error":"invalid_grant","error_description":{value}}}"#
        ));
        bodies.push(format!(
            r#"{{"Message":"no","Detail":{{"Title":{value}}}}}"#
        ));
        bodies.push(format!(r#"{{"error":{value}}}"#));
        bodies.push(value);
    }
    // Long enough to be cut in the middle of it.
    bodies.push(format!("{} {text}", "x".repeat(190)));
    let mut actions = Vec::new();
    for (number, body) in bodies.iter().enumerate() {
        let status = [400, 401, 403, 404, 418, 429, 500, 503][number % 8];
        actions.push(Action::answer(status, body));
        actions.push(Action::answer(200, body));
    }
    let percent = &all[6];
    for name in [
        "Server",
        "WWW-Authenticate",
        "Retry-After",
        "X-Error",
        "Content-Type",
    ] {
        actions.push(Action::answer_with(429, (name, percent), ""));
        actions.push(Action::answer_with(
            401,
            (name, &format!("Bearer realm=\"{percent}\"")),
            "",
        ));
    }
    for place in [
        format!("https://elsewhere.example/{percent}"),
        format!("http://{}.example/", &percent.replace('%', "x")),
        format!("https://user:{percent}@elsewhere.example/"),
        format!("/login?password={percent}"),
        format!("ftp://x/{percent}"),
        percent.clone(),
    ] {
        for status in [301, 302, 307] {
            actions.push(Action::Redirect {
                location: place.clone(),
                status,
            });
        }
    }
    actions.extend([
        Action::Close,
        Action::Reset,
        Action::Truncate { bytes: 60 },
        Action::Empty,
        Action::Html,
    ]);
    actions
}
