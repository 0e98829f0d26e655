//! Planted secrets, echoed by the server in every way it can, through everything that leaves the library: none is found.

use std::sync::Arc;

use p21auth::clock::Clock;
use p21auth::http::{Transport, transport_for};
use p21auth::mock::{Action, Emulator, Fault, Options, Settings};
use p21auth::secret::Secret;
use p21auth::wire::{self, Request};
use p21auth::{Client, Config, Error, Runtime, TokenOptions};

use crate::scripted::{Inline, clock, most};

/// Letters that JSON, XML, HTML and URLs each write differently.
const PASSWORD: &str = "Zq7\"Kä/w<9>&Yt+4'Lm 8%Xv";
/// What a header may hold.
const HEADER_PASSWORD: &str = "Qw5\"Jr/x<3>&Vb+2'Nc=6%Hd";
const KEY: &str = "8d0c57a1-3fb2-4e96-9c4a-61d2e07f5b38";
const REFRESH: &str = "rT6\"uPs/k<1>&Gf+7'Mw=9%Zx";
const OWN_TOKEN: &str = "oWn.7hQz-4kVb_9sXd~2/mJ+Lp=";
const PROXY_PASSWORD: &str = "pXy8vN3qLw6tRb1z";

/// Every way a server may write a text back.
fn forms(secret: &str) -> Vec<String> {
    let json = serde_json::to_string(secret).expect("JSON");
    let json = json[1..json.len() - 1].to_owned();
    let unicode: String = secret
        .encode_utf16()
        .map(|unit| match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii_alphanumeric() || byte == b' ' => {
                char::from(byte).to_string()
            }
            _ => format!("\\u{unit:04X}"),
        })
        .collect();
    let percent: String = secret
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect();
    let xml = secret
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    vec![
        secret.to_owned(),
        json.replace('/', "\\/"),
        json,
        unicode,
        percent.to_ascii_lowercase(),
        percent.replace("%20", "+"),
        percent,
        xml.replace('"', "&quot;").replace('\'', "&apos;"),
        xml.replace('"', "&quot;").replace('\'', "&#39;"),
        xml,
    ]
}

/// What must not be found: each form, and what is recognisable of the plain one.
struct Needles(Vec<String>);

impl Needles {
    fn of(secrets: &[&str]) -> Needles {
        let mut needles: Vec<String> = secrets.iter().flat_map(|secret| forms(secret)).collect();
        for secret in secrets {
            let letters: Vec<char> = secret.chars().collect();
            needles.extend(letters.windows(10).map(|part| part.iter().collect()));
        }
        Needles(needles)
    }

    fn check(&self, place: &str, output: &str) {
        for needle in &self.0 {
            assert!(
                !output.contains(needle.as_str()),
                "{place}: '{needle}' is in {output}"
            );
        }
    }

    fn check_error(&self, place: &str, error: &Error) {
        self.check(place, &format!("{error} {error:?} {}", error.hint()));
        assert!(!error.message().contains('\n'), "{place}");
    }
}

/// Everything that a server can say with `text` in it.
fn echoes(text: &str) -> Vec<Action> {
    let all = forms(text);
    let quoted = |form: &str| serde_json::to_string(form).expect("JSON");
    let mut bodies = Vec::new();
    for form in &all {
        bodies.push(format!("nobody knows {form} here"));
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
        quoted(&all[6]),
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

fn config(emulator: &Emulator, options: &[(&str, &str)]) -> Config {
    let mut config = Config::new();
    let base = [
        ("base_url", emulator.base_url()),
        ("proxy", "direct"),
        ("max_retries", "0"),
        ("min_refresh_interval_s", "0"),
        ("max_response_bytes", "65536"),
    ];
    for (name, value) in base.iter().chain(options) {
        config.set(name, Some(value)).expect("valid");
    }
    config
}

fn log() -> String {
    let mut cursor = 0;
    p21auth::log::read(&mut cursor, 5).unwrap_or_default()
}

/// Debug output and stats of everything that a client consists of.
fn check_outputs(needles: &Needles, place: &str, client: &Client, config: &Config) {
    needles.check(place, &client.stats().expect("open"));
    let settings = client.settings().expect("open");
    needles.check(
        place,
        &format!(
            "{client:?} {config:?} {settings:?} {:#?}",
            settings.transport
        ),
    );
}

#[test]
fn no_credential_is_in_anything_that_a_refused_request_leaves_behind() {
    let emulator = Emulator::start(Options::default()).expect("the emulator starts");
    for options in [
        &[
            ("auth_mode", "v2_password"),
            ("username", "u"),
            ("password", PASSWORD),
        ][..],
        &[("auth_mode", "v2_consumer"), ("consumer_key", KEY)],
        &[
            ("auth_mode", "v1_password"),
            ("username", "u"),
            ("password", HEADER_PASSWORD),
        ],
        &[("auth_mode", "v1_consumer"), ("consumer_key", KEY)],
        &[
            ("auth_mode", "v1_query"),
            ("username", "u"),
            ("password", PASSWORD),
        ],
    ] {
        let (mode, secret) = (options[0].1, options[options.len() - 1].1);
        let needles = Needles::of(&[secret]);
        let config = config(&emulator, options);
        let client = Client::open(&config).expect("a client");
        for action in echoes(secret) {
            let place = format!("{mode}, {action:?}");
            emulator
                .control()
                .fault(Fault::on("/api/security/token", action));
            let error = client.token().expect_err(&place);
            needles.check_error(&place, &error);
            needles.check_error(&place, &client.token().expect_err("held back"));
            client.invalidate(None).expect("open");
            check_outputs(&needles, &place, &client, &config);
            emulator.control().clear_faults();
        }
        let settings = client.settings().expect("open");
        let request = wire::token_request(&settings, &Secret::new(secret)).expect("a request");
        needles.check(
            mode,
            &format!("{request:?} {}", Request::shown_url(&request)),
        );
        needles.check(mode, &log());
    }
}

/// An emulator whose tokens are no JWTs, so nothing but knowing them helps, and that sends refresh tokens.
fn with_refresh_tokens() -> Emulator {
    let mut settings = Settings::default();
    settings.set("token_kind", "opaque").expect("valid");
    settings.lifetime_s = p21auth::mock::NEVER_S;
    settings
        .extra_fields
        .insert("RefreshToken".to_owned(), REFRESH.into());
    Emulator::start(Options {
        settings,
        ..Options::default()
    })
    .expect("the emulator starts")
}

#[test]
fn no_token_is_in_anything_that_a_later_failure_leaves_behind() {
    let emulator = with_refresh_tokens();
    let clock = clock();
    let runtime = Runtime::new(
        Arc::clone(&clock) as Arc<dyn Clock>,
        Arc::new(Inline),
        most,
        Box::new(|settings| Ok(transport_for(settings)? as Arc<dyn Transport>)),
    );
    let config = config(
        &emulator,
        &[
            ("username", "demo"),
            ("password", "demo-password"),
            ("max_token_age_s", "0"),
        ],
    );
    let client = Client::open_in(&runtime, &config).expect("a client");
    let force = TokenOptions {
        force_refresh: true,
        ..TokenOptions::default()
    };
    for path in ["/api/ui/router", "/api/security/token"] {
        for refresh in [false, true] {
            for number in 0..echoes("count").len() {
                client.invalidate(None).expect("open");
                let token = client.token().expect("a token");
                assert_eq!(token.field("RefreshToken").as_deref(), Some(REFRESH));
                let needles = Needles::of(&[token.value(), REFRESH]);
                let text = if refresh { REFRESH } else { token.value() };
                let action = echoes(text).swap_remove(number);
                let place = format!("{path}, {action:?}");
                emulator.control().fault(Fault::on(path, action).times(2));
                if path.contains("router") {
                    match client.ui_url_with(&force) {
                        Err(error) => needles.check_error(&place, &error),
                        // A dead token was replaced meanwhile.
                        Ok(url) => needles.check(&place, &url),
                    }
                } else {
                    let error = client.token_with(&force).expect_err(&place);
                    needles.check_error(&place, &error);
                }
                check_outputs(&needles, &place, &client, &config);
                needles.check(
                    &place,
                    &format!("{token:?} {:?} {}", token.to_reply(), log()),
                );
                emulator.control().clear_faults();
                clock.advance(3_600_000);
            }
        }
    }
}

#[test]
fn no_token_of_the_callers_own_is_in_anything() {
    let emulator = Emulator::start(Options::default()).expect("the emulator starts");
    let config = config(&emulator, &[("access_token", OWN_TOKEN)]);
    let client = Client::open(&config).expect("a client");
    let needles = Needles::of(&[OWN_TOKEN]);
    for action in echoes(OWN_TOKEN) {
        let place = format!("{action:?}");
        emulator
            .control()
            .fault(Fault::on("/api/ui/router", action));
        if let Err(error) = client.ui_url() {
            needles.check_error(&place, &error);
        }
        client.invalidate(None).expect("open");
        check_outputs(&needles, &place, &client, &config);
        emulator.control().clear_faults();
    }
    needles.check("the log", &log());
}

#[test]
fn no_proxy_password_is_in_anything() {
    let emulator = Emulator::start(Options::default()).expect("the emulator starts");
    let needles = Needles::of(&[PROXY_PASSWORD, PASSWORD]);
    let address = emulator.address();
    let proxy = format!("http://proxy-user:{PROXY_PASSWORD}@{address}");
    for base_url in ["http://127.0.0.1:9/", "https://p21.example.com/"] {
        let mut config = Config::new();
        for (name, value) in [
            ("base_url", base_url),
            ("username", "u"),
            ("password", PASSWORD),
            ("proxy", &proxy),
            ("no_proxy", ""),
            ("max_retries", "0"),
        ] {
            config.set(name, Some(value)).expect("valid");
        }
        let client = Client::open(&config).expect("a client");
        for action in echoes(PROXY_PASSWORD) {
            let place = format!("{base_url}, {action:?}");
            emulator.control().fault(Fault::on("", action));
            let error = client.token().expect_err(&place);
            needles.check_error(&place, &error);
            client.invalidate(None).expect("open");
            check_outputs(&needles, &place, &client, &config);
            emulator.control().clear_faults();
        }
    }
    needles.check("the log", &log());
}

#[test]
fn no_secret_is_in_what_a_bad_option_is_told() {
    let needles = Needles::of(&[PASSWORD, KEY, OWN_TOKEN]);
    let mut config = Config::new();
    for (name, value) in [
        ("base_url", format!("https://user:{KEY}@p21.example.com")),
        ("proxy", format!("ftp://user:{KEY}@p21.example.com")),
        ("store", format!("redis:/x:{KEY}@p21.example.com")),
        ("auth_mode", PASSWORD.to_owned()),
        ("timeout_ms", KEY.to_owned()),
        ("pasword", PASSWORD.to_owned()),
        ("password", format!("{PASSWORD}\0{KEY}")),
        ("consumer_key", format!("{KEY}\n{KEY}")),
        ("access_token", format!("{OWN_TOKEN} {OWN_TOKEN}\u{1}")),
        ("tls_pin_sha256", KEY.to_owned()),
    ] {
        if let Err(error) = config.set(name, Some(&value)) {
            needles.check_error(name, &error);
        }
        needles.check(name, &format!("{config:?}"));
        if let Err(error) = Client::open(&config) {
            needles.check_error(name, &error);
        }
        config = Config::new();
        config
            .set("base_url", Some("https://p21.example.com"))
            .expect("valid");
    }
}

#[test]
fn no_secret_is_in_what_a_body_that_cannot_be_read_is_told() {
    let needles = Needles::of(&[REFRESH, OWN_TOKEN]);
    for text in [REFRESH, OWN_TOKEN] {
        for form in forms(text) {
            for body in [
                format!(r#"{{"AccessToken":"{form}"#),
                format!(r#"{{"AccessToken":["{form}"]}}"#),
                format!(r#"{{"RefreshToken":"{form}"}}"#),
                format!("<Token><RefreshToken>{form}</RefreshToken></Token>"),
                format!("<Token><AccessToken>{form}"),
                format!(r#"{{"{form}":1}}"#),
                form.clone(),
            ] {
                if let Err(error) = wire::parse_response_json(body.as_bytes()) {
                    needles.check_error(&body, &error);
                }
            }
        }
    }
}
