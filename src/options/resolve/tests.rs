use super::*;
use crate::options::settings::{AuthMode, Credential};
use crate::options::{Config, OPTIONS};
use std::net::IpAddr;

fn settings(pairs: &[(&str, &str)]) -> Result<Settings> {
    let mut config = Config::new();
    for (name, value) in pairs {
        config.set(name, Some(value))?;
    }
    config.settings()
}

const USER: [(&str, &str); 3] = [
    ("base_url", "h.example"),
    ("username", "u"),
    ("password", "secret pw"),
];

fn with<'a>(extra: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    USER.iter().copied().chain(extra.iter().copied()).collect()
}

#[test]
fn the_mode_follows_from_the_credentials() {
    for (extra, mode) in [
        (
            vec![("username", "u"), ("password", "p")],
            AuthMode::V2Password,
        ),
        (vec![("consumer_key", "k")], AuthMode::V2Consumer),
        (
            vec![("consumer_key", "k"), ("username", "u")],
            AuthMode::V2Consumer,
        ),
        (vec![("access_token", "t")], AuthMode::Token),
        (
            vec![("consumer_key", "k"), ("auth_mode", "v1_consumer")],
            AuthMode::V1Consumer,
        ),
        (
            vec![
                ("username", "u"),
                ("password", "p"),
                ("auth_mode", "v1_query"),
            ],
            AuthMode::V1Query,
        ),
        (
            vec![
                ("username", "u"),
                ("password", "p"),
                ("consumer_key", "k"),
                ("auth_mode", "v2_password"),
            ],
            AuthMode::V2Password,
        ),
    ] {
        let pairs: Vec<_> = std::iter::once(("base_url", "h.example"))
            .chain(extra)
            .collect();
        assert_eq!(
            settings(&pairs).expect("complete").auth_mode,
            mode,
            "{pairs:?}"
        );
    }
}

#[test]
fn what_is_missing_or_contradictory_is_named() {
    for (pairs, words) in [
        (vec![], "base_url, username and password, or consumer_key"),
        (vec![("base_url", "h"), ("username", "u")], "password"),
        (vec![("base_url", "h"), ("password", "p")], "username"),
        (vec![("username", "u"), ("password", "p")], "base_url"),
        (
            vec![("base_url", "h"), ("auth_mode", "token")],
            "access_token",
        ),
        (
            with(&[("consumer_key", "k")]),
            "password and consumer_key are both set",
        ),
        (
            with(&[("password_file", "/x")]),
            "password and password_file",
        ),
        (
            with(&[("tls_verify", "0"), ("tls_pin_sha256", &"ab".repeat(32))]),
            "contradict",
        ),
    ] {
        let error = settings(&pairs).expect_err(words);
        assert_eq!(error.code(), Code::Config);
        assert!(error.message().contains(words), "{error}");
        assert!(!error.hint().is_empty());
    }
    let hint = settings(&[]).expect_err("nothing set").hint().to_owned();
    for variable in [
        "P21_BASE_URL",
        "P21_USERNAME",
        "P21_PASSWORD",
        "P21_CONSUMER_KEY",
    ] {
        assert!(hint.contains(variable), "{hint}");
    }
    let mut play = Config::new();
    play.load_from("P21_PLAY_", |_| None)
        .expect("nothing to read");
    let hint = play.settings().expect_err("nothing set").hint().to_owned();
    assert!(
        hint.contains("P21_PLAY_BASE_URL") && !hint.contains(" P21_B"),
        "{hint}"
    );
}

/// Every way to do what a hint says, by its words alone: options and their values. The credentials in `set` may be removed.
fn followed(hint: &str, prefix: &str) -> Vec<Vec<(String, Option<String>)>> {
    let option = |text: &str| {
        let (name, value) = text.split_once('=').unwrap_or((text, "h.example"));
        let name = name
            .strip_prefix(prefix)
            .expect("the prefix")
            .to_ascii_lowercase();
        (name, Some(value.to_owned()))
    };
    let options = |text: &str| -> Vec<_> {
        text.replace(" and ", ", ")
            .split(", ")
            .map(option)
            .collect()
    };
    let mut all = vec![Vec::new()];
    for sentence in hint.split_inclusive('.').map(str::trim) {
        let sentence = sentence.strip_suffix('.').expect("a sentence");
        let choices: Vec<Vec<_>> = if let Some(names) = sentence.strip_prefix("Remove ") {
            let names = names.split(" or ").map(|name| (option(name).0, None));
            names.map(|name| vec![name]).collect()
        } else if let Some(rest) = sentence.strip_prefix("Set ") {
            let (always, either) = rest.split_once(" and either ").unwrap_or(("", rest));
            either
                .split(", or ")
                .map(|way| [always, way].into_iter().filter(|text| !text.is_empty()))
                .map(|way| way.flat_map(options).collect())
                .collect()
        } else {
            assert_eq!(sentence, "Or keep only the one that you mean");
            continue;
        };
        all = all
            .iter()
            .flat_map(|way| {
                choices
                    .iter()
                    .map(move |choice| [&way[..], choice].concat())
            })
            .collect();
    }
    all
}

#[test]
fn following_the_hint_leads_to_a_working_configuration() {
    const NAMES: [&str; 8] = [
        "base_url",
        "username",
        "password",
        "password_file",
        "consumer_key",
        "consumer_key_file",
        "access_token",
        "access_token_file",
    ];
    const MODES: [&str; 7] = [
        "",
        "v2_password",
        "v2_consumer",
        "v1_password",
        "v1_consumer",
        "v1_query",
        "token",
    ];
    let mut hints = std::collections::BTreeSet::new();
    for (bits, mode) in (0..256).flat_map(|bits| MODES.map(|mode| (bits, mode))) {
        for prefix in ["", "P21_PLAY_"] {
            let mut config = Config::new();
            let set = |name: &str| {
                let at = NAMES.iter().position(|known| *known == name);
                let is_mode = name == "auth_mode" && !mode.is_empty();
                match at {
                    Some(at) if bits >> at & 1 == 1 => Some("h.example"),
                    None if is_mode => Some(mode),
                    _ => None,
                }
            };
            if prefix.is_empty() {
                for name in NAMES.into_iter().chain(["auth_mode"]) {
                    config.set(name, set(name)).expect("valid");
                }
            } else {
                let lookup = |name: &str| {
                    let name = name
                        .strip_prefix(prefix)
                        .expect("prefix")
                        .to_ascii_lowercase();
                    set(&name).map(std::ffi::OsString::from)
                };
                config.load_from(prefix, lookup).expect("valid");
            }
            let Err(error) = config.settings() else {
                continue;
            };
            let mut hint = error.hint().to_owned();
            if let Some((before, rest)) = error.hint().split_once(" (in the environment: ") {
                let (variables, rest) = rest.split_once(").").expect("the end");
                let (_, options) = before.split_once("Set ").expect("a sentence");
                assert_eq!(
                    followed(&format!("Set {options}."), ""),
                    followed(&format!("Set {variables}."), "P21_")
                );
                hint = format!("{before}.{rest}");
            }
            for way in followed(&hint, prefix) {
                let mut config = config.clone();
                for (name, value) in &way {
                    config.set(name, value.as_deref()).expect("an option");
                }
                let result = config.settings();
                assert!(
                    result.is_ok(),
                    "{bits:08b} {mode}: {error}, then {way:?}: {result:?}"
                );
            }
            hints.insert(error.hint().to_owned());
        }
    }
    for hint in [
        "Set P21_PLAY_BASE_URL and either P21_PLAY_USERNAME and P21_PLAY_PASSWORD, or P21_PLAY_CONSUMER_KEY.",
        "Set P21_PLAY_PASSWORD, or P21_PLAY_CONSUMER_KEY.",
        "Set P21_PLAY_AUTH_MODE=v2_password, or P21_PLAY_AUTH_MODE=v2_consumer. Or keep only the one that you mean.",
        "Set P21_PLAY_BASE_URL, P21_PLAY_USERNAME and P21_PLAY_PASSWORD.",
        "Remove P21_PLAY_PASSWORD or P21_PLAY_PASSWORD_FILE. Set P21_PLAY_USERNAME.",
        "Remove password or password_file.",
        "Set base_url and either username and password, or consumer_key (in the environment: P21_BASE_URL and either P21_USERNAME and P21_PASSWORD, or P21_CONSUMER_KEY).",
    ] {
        assert!(hints.contains(hint), "{hint} is none of {hints:#?}");
    }
}

#[test]
fn plain_http_does_not_leave_this_machine_by_a_detour() {
    let base = |url, extra: &[(&'static str, &'static str)]| {
        let mut pairs = vec![("base_url", url), ("access_token", "t")];
        pairs.extend_from_slice(extra);
        settings(&pairs)
    };
    for (url, extra, detour) in [
        (
            "http://localhost:8080",
            ("proxy", "http://proxy.example:3128"),
            "proxy",
        ),
        (
            "http://127.0.0.1",
            ("proxy", "http://127.0.0.1:3128"),
            "proxy",
        ),
        (
            "http://[::1]:81",
            ("proxy", "https://proxy.example"),
            "proxy",
        ),
        (
            "http://localhost:8080",
            ("resolve", "localhost:8080:192.0.2.1"),
            "resolve",
        ),
        (
            "http://localhost",
            ("resolve", "LOCALHOST:80:[2001:db8::1]"),
            "resolve",
        ),
        (
            "http://127.0.0.1:9",
            ("resolve", "127.0.0.1:9:192.0.2.1"),
            "resolve",
        ),
    ] {
        let error = base(url, &[extra]).expect_err(url);
        assert_eq!(error.code(), Code::Config);
        assert!(error.message().contains("plain http"), "{error}");
        assert!(
            error.hint().contains(&format!("remove {detour}")),
            "{error}"
        );
        assert!(base(url, &[extra, ("allow_http", "1")]).is_ok());
    }
    for (url, extra) in [
        ("http://localhost:8080", ("proxy", "direct")),
        (
            "http://localhost:8080",
            ("resolve", "localhost:8081:192.0.2.1"),
        ),
        (
            "http://localhost:8080",
            ("resolve", "localhost:8080:127.0.0.2"),
        ),
        (
            "https://localhost:8080",
            ("proxy", "http://proxy.example:3128"),
        ),
    ] {
        base(url, &[extra]).expect(url);
    }
    let exempt = [
        ("proxy", "http://proxy.example:3128"),
        ("no_proxy", "localhost"),
    ];
    base("http://localhost:8080", &exempt).expect("not by the proxy");
}

#[test]
fn values_out_of_range_are_refused() {
    for (name, value) in [
        ("timeout_ms", "0"),
        ("timeout_ms", "3600001"),
        ("timeout_ms", "-1"),
        ("timeout_ms", "1.5"),
        ("default_lifetime_s", "0"),
        ("max_retries", "11"),
        ("max_response_bytes", "1023"),
        ("max_response_bytes", "67108865"),
        ("tls_verify", "maybe"),
        ("auth_mode", "v3"),
        ("v1_consumer_headers", "x"),
        ("tls_pin_sha256", "abcd"),
        (
            "tls_pin_sha256",
            "+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a",
        ),
        ("resolve", "host:443"),
        ("resolve", "host:443:not-an-address"),
        ("proxy", "socks9://x"),
        ("proxy", "socks5h://user:pw@x:1080"),
        ("proxy", "ftp://x"),
        ("proxy", "http://"),
        ("proxy", "pac+http://x/proxy.pac"),
        ("proxy", "http://x/proxy.pac"),
        ("proxy", "x/wpad.dat"),
        ("proxy", "file:///etc/proxy.pac"),
        ("proxy", "http://CORP\\john:pw@proxy:8080"),
        ("proxy", "http://john:p@ss1@proxy:8080"),
        ("proxy", "john:p/w@proxy:8080"),
        ("proxy", "http://john:p#w@proxy:8080"),
        ("proxy", "http://john:p?w@proxy:8080"),
        ("no_proxy", "p21.example, https://x.example"),
        ("no_proxy", "10.1.*"),
        ("no_proxy", "10.0.0.0/33"),
        ("no_proxy", "p*.example"),
        ("store", "mysql://x"),
        ("store", "redis://u:pw@[fe80::1%25eth0]:6379"),
        ("user_agent", "a\r\nb"),
        ("password", "a\0b"),
        ("ca_file", ""),
    ] {
        let error = settings(&with(&[(name, value)])).expect_err(name);
        assert_eq!(error.code(), Code::Config, "{name}={value}: {error}");
        assert!(error.message().starts_with(name), "{error}");
        assert!(!error.hint().is_empty(), "{error}");
    }
}

#[test]
fn lists_and_urls_are_understood() {
    let colons = "AB:".repeat(32);
    let pins = format!("{}, {}", colons.trim_end_matches(':'), "cd".repeat(32));
    let made = settings(&with(&[
        ("tls_pin_sha256", &pins),
        ("resolve", "H.example:443:10.0.0.1 h.example:8443:[::1]"),
        ("proxy", "proxy.example:3128"),
        ("no_proxy", "b.example, a.example"),
        ("allowed_hosts", "API.example"),
        ("store", "redis://user:pw@r.example:6379/2"),
        ("tls_verify", " True "),
    ]))
    .expect("valid");
    assert_eq!(made.transport.tls.pins, [Pin([0xab; 32]), Pin([0xcd; 32])]);
    assert_eq!(
        made.transport.resolve[0],
        Resolve {
            host: "h.example".into(),
            port: 443,
            address: "10.0.0.1".parse().expect("ip")
        }
    );
    assert_eq!(
        made.transport.resolve[1].address,
        "::1".parse::<IpAddr>().expect("ip")
    );
    assert_eq!(made.transport.no_proxy, ["a.example", "b.example"]);
    assert_eq!(made.allowed_hosts, ["api.example"]);
    assert_eq!(made.store.choice.shown(), "redis://r.example:6379/2");
    assert!(!format!("{made:?}").contains("pw"), "{made:?}");
    let (url, folder) = if cfg!(windows) {
        ("file:///C:/var/x", r"C:\var\x")
    } else {
        ("file:///var/x", "/var/x")
    };
    let choice = settings(&with(&[("store", url)]))
        .expect("valid")
        .store
        .choice;
    assert_eq!(choice, StoreChoice::File(Some(folder.into())));
    assert_eq!(choice.shown(), url);
}

#[test]
fn every_row_of_the_table_is_accepted() {
    for row in OPTIONS {
        let value = match (row.name, row.kind) {
            ("resolve", _) => "h:1:1.2.3.4".to_owned(),
            ("tls_pin_sha256", _) => "ab".repeat(32),
            ("proxy", _) => "direct".to_owned(),
            ("store", _) => "file".to_owned(),
            (name, _) if name.ends_with("_from") => "file:/x".to_owned(),
            (_, Kind::Choice(words)) => words[0].to_owned(),
            (_, Kind::Bool) => "on".to_owned(),
            (_, Kind::Int { max, .. }) => max.to_string(),
            _ => "h.example".to_owned(),
        };
        Config::new().set(row.name, Some(&value)).expect(row.name);
    }
}

fn soon() -> std::time::Instant {
    std::time::Instant::now() + std::time::Duration::from_secs(20)
}

#[test]
fn a_secret_file_loses_one_line_break_and_nothing_else() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let credential = Credential::From("password_file", Source::File(file.path().into()));
    for (content, secret) in [
        ("pw", "pw"),
        ("pw\n", "pw"),
        ("pw\r\n", "pw"),
        (" pw \n\n", " pw \n"),
        ("\u{feff}pw\r\n", "pw"),
        ("\u{feff}\u{feff}pw", "\u{feff}pw"),
        ("p\u{feff}w", "p\u{feff}w"),
        ("p\rw\r", "p\rw\r"),
    ] {
        std::fs::write(file.path(), content).expect("written");
        assert_eq!(
            credential.read(soon()).expect("readable").expose(),
            secret,
            "{content:?}"
        );
    }
    for content in [&b""[..], b"\n", b"\xff\xfe"] {
        std::fs::write(file.path(), content).expect("written");
        assert_eq!(
            credential.read(soon()).expect_err("refused").code(),
            Code::Config
        );
    }
    let missing = Credential::From("password_file", Source::File("/no/such/file".into()))
        .read(soon())
        .expect_err("missing");
    assert!(
        missing.message().contains("password_file: /no/such/file"),
        "{missing}"
    );
}
