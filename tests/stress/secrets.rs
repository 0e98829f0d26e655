//! Planted secrets, echoed by the server in every way it can, through everything that leaves the library: none is found.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use p21_emulator::{Action, Emulator, Fault, Options, Settings};
use p21auth::internal::client::Runtime;
use p21auth::internal::clock::Clock;
use p21auth::internal::http::{Transport, transport_for};
use p21auth::internal::secret::Secret;
use p21auth::internal::wire::{self, Request};
use p21auth::{Client, Config, TokenOptions};

use test_support::child::in_child;
use test_support::planted::{Needles, PASSWORD, echoes, forms};
use test_support::scripted::{Inline, Server, clock, even, most, open, response, runtime, token};

/// What a header may hold.
const HEADER_PASSWORD: &str = "Qw5\"Jr/x<3>&Vb+2'Nc=6%Hd";
const KEY: &str = "8d0c57a1-3fb2-4e96-9c4a-61d2e07f5b38";
const REFRESH: &str = "rT6\"uPs/k<1>&Gf+7'Mw=9%Zx";
const OWN_TOKEN: &str = "oWn.7hQz-4kVb_9sXd~2/mJ+Lp=";
const PROXY_PASSWORD: &str = "pXy8vN3qLw6tRb1z";
const STORE_PASSWORD: &str = "sTr5\"cJw/q<7>&Hn+3=Dz";
const STORE_KEY: &str = "kEy4rVm8xTq2wLp6zNs1";

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

/// The log since the last time, or from its start.
fn log(cursor: &mut u64) -> String {
    p21auth::log::read(cursor, 5).unwrap_or_default()
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
        needles.check(mode, &log(&mut 0));
    }
}

/// An emulator whose tokens are no JWTs, so nothing but knowing them helps, and that sends refresh tokens.
fn with_refresh_tokens() -> Emulator {
    let mut settings = Settings::default();
    settings.set("token_kind", "opaque").expect("valid");
    settings.lifetime_s = p21_emulator::NEVER_S;
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
    let mut cursor = 0;
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
                    &format!("{token:?} {:?} {}", token.to_reply(), log(&mut cursor)),
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
    let needles = Needles::of(&[OWN_TOKEN]);
    // However it was pasted, a server repeats the token alone.
    for pasted in [OWN_TOKEN.to_owned(), format!("Bearer {OWN_TOKEN}")] {
        let config = config(&emulator, &[("access_token", &pasted)]);
        let client = Client::open(&config).expect("a client");
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
    }
    needles.check("the log", &log(&mut 0));
}

/// No matter what a proxy writes, to plain http (its pages look like the server's) and to a tunnel.
fn check_proxy(proxy: Option<&str>, emulator: &Emulator) {
    let needles = Needles::of(&[PROXY_PASSWORD, PASSWORD]);
    for base_url in ["http://p21.invalid:9/", "https://p21.example.com/"] {
        let mut config = Config::new();
        for (name, value) in [
            ("base_url", base_url),
            ("username", "u"),
            ("password", PASSWORD),
            ("max_retries", "0"),
            ("allow_http", "1"),
        ] {
            config.set(name, Some(value)).expect("valid");
        }
        config.set("proxy", proxy).expect("valid");
        let client = Client::open(&config).expect("a client");
        let login = BASE64_STANDARD.encode(format!("proxy-user:{PROXY_PASSWORD}"));
        let basic = Action::answer(403, &format!("Proxy-Authorization: Basic {login}"));
        let mut answers = 0;
        for action in echoes(PROXY_PASSWORD).into_iter().chain([basic]) {
            let place = format!("{base_url}, {action:?}");
            emulator.control().fault(Fault::on("", action));
            let error = client.token().expect_err(&place);
            answers += u32::from(error.message().contains("redacted"));
            needles.check_error(&place, &error);
            client.invalidate(None).expect("open");
            check_outputs(&needles, &place, &client, &config);
            emulator.control().clear_faults();
        }
        // Through a tunnel no one hears what the proxy writes.
        assert_eq!(answers > 10, base_url.starts_with("http:"), "{answers}");
    }
    needles.check("the log", &log(&mut 0));
}

#[test]
fn no_proxy_password_is_in_anything() {
    let emulator = Emulator::start(Options::default()).expect("the emulator starts");
    let address = emulator.address();
    let proxy = format!("http://proxy-user:{PROXY_PASSWORD}@{address}");
    check_proxy(Some(&proxy), &emulator);
}

#[test]
fn no_proxy_password_from_the_environment_is_in_anything() {
    let test = "secrets::no_proxy_password_from_the_environment_is_in_anything";
    if in_child(test, &[]) {
        let emulator = Emulator::start(Options::default()).expect("the emulator starts");
        let proxy = format!("http://proxy-user:{PROXY_PASSWORD}@{}", emulator.address());
        for name in ["HTTPS_PROXY", "http_proxy"] {
            // SAFETY: this process runs this test alone, and the emulator's threads read no variables.
            unsafe { std::env::set_var(name, &proxy) };
        }
        check_proxy(None, &emulator);
    }
}

/// Tokens that came long ago, or to another client of the identity.
#[test]
fn no_earlier_token_is_in_anything() {
    let clock = clock();
    let server = Server::new(|number, request| {
        if request.url.path().contains("router") {
            let page = format!("no: earlier-{} or refresh-{}", number - 3, number - 3);
            Ok(response(500, &page))
        } else if number % 5 == 4 {
            let echo = format!(
                "earlier-{}, refresh-{}, earlier-{}",
                number - 1,
                number - 2,
                number - 3
            );
            Ok(response(418, &echo))
        } else {
            let body = format!(
                r#"{{"AccessToken":"earlier-{number}","RefreshToken":"refresh-{number}","ExpiresInSeconds":3600}}"#
            );
            Ok(response(200, &body))
        }
    });
    let runtime = runtime(&clock, Inline, even, &server);
    let force = TokenOptions {
        force_refresh: true,
        ..TokenOptions::default()
    };
    for _ in 0..20 {
        let mut texts = Vec::new();
        for _ in 0..3 {
            // Each by a client of its own.
            let token = open(&runtime, &[]).token_with(&force).expect("a token");
            assert!(token.value().starts_with("earlier-"));
            clock.advance(5_000);
        }
        let last = open(&runtime, &[]);
        let error = last.token_with(&force).expect_err("418");
        assert!(error.message().contains("redacted"), "{error}");
        texts.push(format!("{error} {error:?}"));
        texts.push(format!("{}", last.ui_url().expect_err("500")));
        texts.push(last.stats().expect("open"));
        for text in texts {
            assert!(
                !text.contains("earlier-") && !text.contains("refresh-"),
                "{text}"
            );
        }
        clock.advance(3_600_000);
    }
}

/// A router may write a token into the URL that it states. The caller gets that URL; the stats don't show it.
#[test]
fn no_token_in_the_ui_url_is_in_the_stats() {
    let clock = clock();
    let server = Server::new(|_, request| {
        Ok(if request.url.path().contains("router") {
            response(
                200,
                r#"{"Url":"https://p21.example.com/ui/tok%65n-in-url?t=token-in-url"}"#,
            )
        } else {
            token("token-in-url", Some(3600))
        })
    });
    let client = open(&runtime(&clock, Inline, even, &server), &[]);
    assert!(client.ui_url().expect("a URL").ends_with("token-in-url"));
    let stats = client.stats().expect("open");
    assert!(!stats.contains("in-url"), "{stats}");
    assert!(stats.contains("https://p21.example.com/ui/"), "{stats}");
}

/// A Redis server that does not know a command repeats its arguments.
#[test]
fn no_redis_password_is_in_what_its_server_says() {
    let needles = Needles::of(&[STORE_PASSWORD, STORE_KEY]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("accepted");
            let mut asked = [0; 4096];
            while stream.read(&mut asked).is_ok_and(|got| got > 0) {
                let echo = format!(
                    "-ERR unknown command 'AUTH', with args beginning with: 'u' '{STORE_PASSWORD}' {}\r\n",
                    forms(STORE_PASSWORD)[10]
                );
                if stream.write_all(echo.as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
    let emulator = Emulator::start(Options::default()).expect("the emulator starts");
    let escaped = &forms(STORE_PASSWORD)[6];
    for required in ["0", "1"] {
        let config = config(
            &emulator,
            &[
                ("username", "demo"),
                ("password", "demo-password"),
                ("store", &format!("redis://u:{escaped}@{address}")),
                ("store_key", STORE_KEY),
                ("store_required", required),
            ],
        );
        let client = Client::open(&config).expect("a client");
        match client.token() {
            Ok(_) => assert_eq!(required, "0"),
            Err(error) => needles.check_error("store", &error),
        }
        check_outputs(&needles, "store", &client, &config);
        let stats = client.stats().expect("open");
        assert!(stats.contains("unknown command"), "it was asked: {stats}");
    }
    needles.check("the log", &log(&mut 0));
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
                format!(r#"{{"Result":{{"token":"{text}"}},"Message":"Use {text}"}}"#),
                format!("Your token is {text}"),
                format!("\u{1}{form} {text}"),
                form.clone(),
            ] {
                if let Err(error) = wire::parse_response_json(body.as_bytes()) {
                    needles.check_error(&body, &error);
                }
            }
        }
    }
}
