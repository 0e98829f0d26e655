use super::*;
use crate::options::AuthMode;

fn env<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
    move |name| {
        pairs
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, value)| OsString::from(*value))
    }
}

#[test]
fn an_unknown_option_is_remembered_with_its_near_misses() {
    let mut config = Config::new();
    let error = config
        .set("verify_ssl", Some("0"))
        .expect_err("not an option");
    assert_eq!(error.code(), Code::UnknownOption);
    assert!(error.hint().contains("tls_verify"), "{error}");
    assert_eq!(
        config.settings().expect_err("remembered").code(),
        Code::UnknownOption
    );
}

#[test]
fn a_bad_value_is_forgotten_once_it_is_mended() {
    let mut config = Config::new();
    config
        .set("base_url", Some("https://p21.example.com"))
        .expect("valid");
    config.set("access_token", Some("x")).expect("valid");
    assert_eq!(
        config
            .set("timeout_ms", Some("0"))
            .expect_err("out of range")
            .code(),
        Code::Config
    );
    assert!(config.settings().is_err());
    config.set("timeout_ms", Some("1000")).expect("valid");
    assert_eq!(config.settings().expect("fixed").timeout_ms, 1000);
    config.set("timeout_ms", None).expect("default");
    assert_eq!(config.settings().expect("default").timeout_ms, 30_000);
}

#[test]
fn the_environment_is_read_under_any_prefix() {
    let mut config = Config::new();
    let vars = [
        ("P21_PLAY_BASE_URL", "https://play.example.com"),
        ("P21_PLAY_USERNAME", "u"),
        ("P21_PLAY_PASSWORD", "p"),
        ("P21_PLAY_VERIFY_SSL", "False"),
        ("P21_PLAY_SOMETHING_ELSE", "x"),
        ("P21_BASE_URL", "https://production.example.com"),
    ];
    config.load_from("P21_PLAY_", env(&vars)).expect("valid");
    let settings = config.settings().expect("complete");
    assert_eq!(settings.base_url.as_str(), "https://play.example.com");
    assert!(!settings.transport.tls.verify);
}

#[test]
fn the_options_own_variable_beats_its_alias_and_empty_is_not_set() {
    let mut config = Config::new();
    config
        .load_from(
            "P21_",
            env(&[
                ("P21_VERIFY_SSL", "0"),
                ("P21_TLS_VERIFY", "1"),
                ("P21_PROXY", ""),
            ]),
        )
        .expect("valid");
    assert_eq!(config.get("tls_verify"), Some("1"));
    assert_eq!(config.get("proxy"), None);
}

#[test]
fn the_consumer_username_counts_only_with_a_consumer_key() {
    let both = [
        ("P21_BASE_URL", "h"),
        ("P21_USERNAME", "u"),
        ("P21_CONSUMER_USERNAME", "c"),
        ("P21_PASSWORD", "p"),
    ];
    let mut config = Config::new();
    config.load_from("P21_", env(&both)).expect("valid");
    assert_eq!(
        config.settings().expect("complete").username.as_deref(),
        Some("u")
    );
    config.set("password", None).expect("valid");
    config.set("consumer_key", Some("key")).expect("valid");
    let settings = config.settings().expect("complete");
    assert_eq!(
        (settings.auth_mode, settings.username.as_deref()),
        (AuthMode::V2Consumer, Some("c"))
    );
    config.set("username", Some("later")).expect("valid");
    assert_eq!(
        config.settings().expect("complete").username.as_deref(),
        Some("later")
    );
}

#[test]
fn a_file_takes_both_ways_to_write_a_name() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(
        file.path(),
        "P21_BASE_URL=https://p21.example.com\nusername = 'u'\nP21_PASSWORD=\"p#\\\"\"\nOTHER=1\n",
    )
    .expect("written");
    let mut config = Config::new();
    config.load_file(file.path()).expect("valid");
    assert_eq!(config.get("password"), Some("p#\""));
    assert_eq!(
        config.settings().expect("complete").username.as_deref(),
        Some("u")
    );
}

#[test]
fn a_missing_file_is_reported_now_and_later() {
    let mut config = Config::new();
    assert_eq!(
        config
            .load_file(Path::new("/no/such/file"))
            .expect_err("missing")
            .code(),
        Code::Config
    );
    assert!(
        config
            .settings()
            .expect_err("remembered")
            .message()
            .contains("/no/such/file")
    );
}

/// A configuration folder with this text in it.
fn with_profiles(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let own = folder.path().join("p21auth");
    std::fs::create_dir(&own).expect("made");
    std::fs::write(own.join("profiles.toml"), text).expect("written");
    folder
}

const PROFILES: &str = "[play]\nbase_url = \"https://play\"\nusername = \"player\"\npassword_file = \"/play\"\n\
                            [keyed]\nconsumer_key_file = \"/key\"\ntimeout_ms = 7000\nstore_timeout_ms = 70\n";

#[test]
fn what_comes_first_is_the_same_in_any_order_of_calls() {
    let folder = with_profiles(PROFILES);
    let config_home = folder.path().to_str().expect("UTF-8");
    let vars = [
        (
            if cfg!(windows) {
                "APPDATA"
            } else {
                "XDG_CONFIG_HOME"
            },
            config_home,
        ),
        ("P21_BASE_URL", "https://production"),
        ("P21_CONSUMER_KEY", "production"),
        ("P21_AUTH_MODE", "v1_consumer"),
        ("P21_CONSUMER_USERNAME", "producer"),
        ("P21_TIMEOUT_MS", "5000"),
        ("P21_MAX_RETRIES", "bad"),
        ("P21_PROFILE", "keyed"),
    ];
    let file = profiles::profiles_file(env(&vars));
    let steps: [&dyn Fn(&mut Config); 3] = [
        &|config| drop(config.load_from("P21_", env(&vars))),
        &|config| {
            let named = config.read_profile(Rank::Profile, "play", file.clone());
            named.expect("a profile");
        },
        &|config| config.set("max_retries", Some("1")).expect("valid"),
    ];
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let mut config = Config::new();
        for step in order {
            steps[step](&mut config);
        }
        let settings = config.settings().expect("play alone");
        assert_eq!(settings.auth_mode, AuthMode::V2Password);
        assert_eq!(settings.username.as_deref(), Some("player"));
        assert_eq!(settings.base_url.as_str(), "https://play");
        // Of the environment, as the profile does not say; that of P21_PROFILE is left out.
        assert_eq!((settings.timeout_ms, settings.max_retries), (5000, 1));
        assert_eq!(settings.store.timeout_ms, 500);
        let origins = config.origins();
        let of = |name: &str| {
            origins
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, origin)| origin.as_str())
        };
        assert!(of("username").is_some_and(|origin| origin.starts_with("profile play in ")));
        assert_eq!(of("timeout_ms"), Some("environment P21_TIMEOUT_MS"));
        assert_eq!(of("max_retries"), None);
    }
}

#[test]
fn the_profile_of_a_variable_comes_last_and_a_key_is_for_no_other_user() {
    let folder = with_profiles(PROFILES);
    let config_home = folder.path().to_str().expect("UTF-8");
    let home = (
        if cfg!(windows) {
            "APPDATA"
        } else {
            "XDG_CONFIG_HOME"
        },
        config_home,
    );
    let mut config = Config::new();
    let vars = [
        home,
        ("P21_PROFILE", "keyed"),
        ("P21_BASE_URL", "h"),
        ("P21_TIMEOUT_MS", "5"),
    ];
    config.load_from("P21_", env(&vars)).expect("valid");
    let settings = config.settings().expect("complete");
    assert_eq!(
        (settings.auth_mode, settings.timeout_ms),
        (AuthMode::V2Consumer, 5)
    );
    assert_eq!(settings.store.timeout_ms, 70);
    let vars = [home, ("P21_PROFILE", "play"), ("P21_CONSUMER_KEY", "key")];
    let mut config = Config::new();
    config.load_from("P21_", env(&vars)).expect("valid");
    let settings = config.settings().expect("complete");
    assert_eq!(
        (settings.auth_mode, settings.username),
        (AuthMode::V2Consumer, None)
    );
    // A password alone is for the user of the profile.
    let vars = [home, ("P21_PROFILE", "play"), ("P21_PASSWORD", "p")];
    let mut config = Config::new();
    config.load_from("P21_", env(&vars)).expect("valid");
    assert_eq!(
        config.settings().expect("complete").username.as_deref(),
        Some("player")
    );
    let vars = [
        home,
        ("P21_PROFILE", "none"),
        ("P21_BASE_URL", "h"),
        ("P21_CONSUMER_KEY", "key"),
    ];
    let error = Config::new()
        .load_from("P21_", env(&vars))
        .expect_err("no such profile");
    assert!(error.message().contains("no profile 'none'"), "{error}");
}

#[test]
fn errors_and_debug_never_show_a_secret() {
    let mut config = Config::new();
    config
        .set("password", Some("hunter2hunter2"))
        .expect("valid");
    config
        .set("proxy", Some("http://u:hunter2hunter2@"))
        .expect_err("not a proxy");
    let shown = format!("{config:?} {:?}", config.settings());
    assert!(!shown.contains("hunter2"), "{shown}");
}
