//! The ordinary way of a program: configuration, client, token, report, error.

use std::ffi::c_char;
use std::ptr;

use p21_emulator::NEVER_S;
use p21auth::internal::capi::*;
use serde_json::Value;

use test_support::capi::*;
use test_support::emulator;

/// What a buffer holds before a call.
const FILLER: c_char = 120;

#[test]
fn a_token_is_asked_for_once_and_comes_with_or_without_its_scheme() {
    let emulator = emulator();
    let client = Client::demo(&emulator);
    let token = client.get(0).expect("a token");
    assert_eq!(client.get(0).expect("cached"), token);
    let header = client.get(P21_WITH_SCHEME).expect("cached");
    assert_eq!(header, format!("Bearer {token}"));
    assert_eq!(emulator.control().counter("token.requests"), 1);
    assert_eq!(client.stats()["counters"]["token_requests"], 1);
}

#[test]
fn a_copy_needs_room_for_the_nul_and_says_how_much() {
    let emulator = emulator();
    let client = Client::demo(&emulator);
    let token = client.get(0).expect("a token");
    let copy = |flags: u32, buf: *mut c_char, cap: usize| {
        let mut len = usize::MAX;
        let err = ptr::null_mut();
        let status = unsafe { p21_token_copy(client.0, flags, 0, buf, cap, &raw mut len, err) };
        (status, len)
    };
    let needed = token.len();
    assert_eq!(
        copy(0, ptr::null_mut(), 0),
        (P21_E_BUFFER_TOO_SMALL, needed)
    );
    let mut room = vec![FILLER; needed + 20];
    let buf = room.as_mut_ptr();
    for cap in [1, needed] {
        assert_eq!(copy(0, buf, cap), (P21_E_BUFFER_TOO_SMALL, needed));
        assert_eq!(room[0], 0, "nothing to be mistaken for a token");
        assert_eq!(room[1], FILLER, "nothing written beyond");
    }
    assert_eq!(copy(0, buf, needed + 1), (P21_OK, needed));
    assert_eq!(text(room.as_ptr()), token);
    assert_eq!(room[needed + 1], FILLER);
    assert_eq!(
        copy(P21_WITH_SCHEME, buf, needed + 1),
        (P21_E_BUFFER_TOO_SMALL, needed + 7)
    );
    assert_eq!(copy(P21_WITH_SCHEME, buf, needed + 8), (P21_OK, needed + 7));
    assert_eq!(text(room.as_ptr()), format!("Bearer {token}"));
}

#[test]
fn a_snapshot_shows_its_token_no_matter_what_the_cache_does() {
    let emulator = emulator();
    let client = Client::demo(&emulator);
    let snapshot = client.snapshot(P21_WITH_SCHEME, 60);
    let header = snapshot.value();
    assert_eq!(snapshot.field("TokenType").as_deref(), Some("Bearer"));
    assert_eq!(
        snapshot.field("AccessToken").as_deref(),
        header.strip_prefix("Bearer ")
    );
    assert_eq!(snapshot.field("Claims.sub").as_deref(), Some("demo"));
    assert_eq!(snapshot.field("Claims.none"), None);
    let name = c("Scope");
    let once = unsafe { p21_token_field(snapshot.0, name.as_ptr()) };
    let _ = snapshot.field("UserName");
    let twice = unsafe { p21_token_field(snapshot.0, name.as_ptr()) };
    assert_eq!(once, twice, "made once, and never moved");

    let mut json = ptr::null_mut();
    assert_eq!(
        unsafe { p21_token_json(snapshot.0, &raw mut json, ptr::null_mut()) },
        P21_OK
    );
    let json: Value = serde_json::from_str(&take(json)).expect("JSON");
    assert_eq!(
        Some(json["AccessToken"].as_str().expect("text")),
        header.strip_prefix("Bearer ")
    );
    assert_eq!(json["Claims"]["sub"], "demo");
    let seconds = json["ExpiresInSeconds"].as_i64().expect("a number");
    assert!((86_000..=86_400).contains(&seconds));
    assert_eq!(json["ExpiresIn"], json["ExpiresInSeconds"]);

    assert!((1..=60_000).contains(&p21_token_reuse_ms(snapshot.0)));
    assert!((86_000..=86_400).contains(&p21_token_expires_in(snapshot.0)));
    let expires_at = p21_token_expires_at(snapshot.0);
    client.report(&header, 401, "<TokenError/>");
    assert_ne!(client.get(P21_WITH_SCHEME).expect("a new one"), header);
    assert_eq!(snapshot.value(), header);
    assert_eq!(p21_token_expires_at(snapshot.0), expires_at);
    let newer = client.snapshot(0, 0);
    assert!(p21_token_generation(newer.0) > p21_token_generation(snapshot.0));
}

#[test]
fn a_token_that_lives_short_of_min_valid_is_not_to_be_reused() {
    let emulator = emulator();
    let mut settings = emulator.control().settings();
    settings.lifetime_s = 600;
    emulator.control().set_settings(settings);
    let client = Client::demo(&emulator);
    assert!(p21_token_reuse_ms(client.snapshot(0, 0).0) > 0);
    assert_eq!(p21_token_reuse_ms(client.snapshot(0, 3600).0), 0);
}

#[test]
fn a_token_that_never_expires_has_a_date_all_the_same() {
    let emulator = emulator();
    let mut settings = emulator.control().settings();
    settings.lifetime_s = NEVER_S;
    emulator.control().set_settings(settings);
    let snapshot = Client::demo(&emulator).snapshot(0, u32::MAX);
    assert!(p21_token_expires_in(snapshot.0) > 300_000_000);
    assert_eq!(p21_token_expires_at(snapshot.0), 2_147_483_647);
}

#[test]
fn the_generation_word_changes_with_the_token_and_outlives_the_client() {
    let emulator = emulator();
    let client = Client::demo(&emulator);
    let mut word = ptr::null();
    assert_eq!(
        unsafe { p21_client_generation(client.0, &raw mut word, ptr::null_mut()) },
        P21_OK
    );
    let now = || unsafe { word.read_volatile() };
    let mut seen = vec![now()];
    let mut changed = |what: &str| {
        assert!(!seen.contains(&now()), "{what}: a value of its own");
        seen.push(now());
    };
    let token = client.get(0).expect("a token");
    changed("first token");
    client.get(0).expect("a hit");
    assert_eq!(now(), client.word());
    client.report(&token, 401, "");
    changed("report");
    assert_eq!(
        unsafe { p21_token_invalidate(client.0, ptr::null(), ptr::null_mut()) },
        P21_OK
    );
    changed("invalidate");
    let other = Config::demo(&emulator);
    other.set("username", "readonly");
    other.set("password", "readonly-password");
    let status = unsafe { p21_client_update(client.0, other.0, ptr::null_mut()) };
    assert_eq!(status, P21_OK);
    changed("update");
    let subject = client.snapshot(0, 0).field("Claims.sub");
    assert_eq!(subject.as_deref(), Some("readonly"));
    changed("another identity's token");
    drop(client);
    changed("close");
}

#[test]
fn reports_are_sorted_and_a_late_one_drops_nothing() {
    let emulator = emulator();
    let client = Client::demo(&emulator);
    let dead = client.get(0).expect("a token");
    assert_eq!(client.report(&dead, 403, ""), P21_VERDICT_PERMISSION);
    let lost = r#"{"Error":"invalid_request","Description":"Authorization header was not present or 'Bearer' was missing.","Uri":""}"#;
    assert_eq!(client.report(&dead, 401, lost), P21_VERDICT_HEADER_LOST);
    assert_eq!(client.report(&dead, 500, ""), P21_VERDICT_GIVE_UP);
    assert_eq!(client.get(P21_CACHED_ONLY).expect("still there"), dead);
    let bearer = format!("Bearer {dead}");
    assert_eq!(
        client.report(&bearer, 401, "<TokenError/>"),
        P21_VERDICT_RETRY
    );
    let failure = client.get(P21_CACHED_ONLY).expect_err("dropped");
    assert_eq!(failure.code(), P21_E_NO_CACHED_TOKEN);
    let new = client.get(0).expect("a new one");
    assert_eq!(
        client.report(&dead, 401, "<TokenError/>"),
        P21_VERDICT_RETRY
    );
    assert_eq!(client.get(P21_CACHED_ONLY).expect("kept"), new);
}

#[test]
fn the_ui_url_is_asked_for_once_for_each_token() {
    let emulator = emulator();
    let client = Client::demo(&emulator);
    let ask = |flags: u32| {
        let mut url = ptr::null_mut();
        let status = unsafe { p21_ui_url(client.0, flags, 0, &raw mut url, ptr::null_mut()) };
        (status, (!url.is_null()).then(|| take(url)))
    };
    assert_eq!(ask(P21_CACHED_ONLY), (P21_E_NO_CACHED_TOKEN, None));
    let (status, url) = ask(0);
    assert_eq!(status, P21_OK);
    assert!(url.as_ref().is_some_and(|url| !url.ends_with('/')));
    assert_eq!(ask(P21_CACHED_ONLY), (P21_OK, url));
    assert_eq!(emulator.control().counter("router.requests"), 1);
    assert_eq!(ask(P21_WITH_SCHEME), (P21_E_INVALID_ARGUMENT, None));
}

#[test]
fn an_error_tells_everything_and_refused_credentials_are_not_sent_again() {
    let emulator = emulator();
    let config = Config::demo(&emulator);
    config.set("password", "not-the-password");
    let client = config.open();
    let failure = client.get(0).expect_err("refused");
    assert_eq!(failure.code(), P21_E_UNAUTHORIZED);
    assert_eq!(p21_error_http_status(failure.0), 401);
    assert_eq!(p21_error_is_retryable(failure.0), 0);
    assert!(failure.hint().contains("password"), "{}", failure.hint());
    assert!((1..=60_000).contains(&failure.retry_after_ms()));
    let again = client.get(0).expect_err("refused");
    assert_eq!(again.code(), P21_E_UNAUTHORIZED);
    assert!(!format!("{failure:?}{again:?}").contains("not-the-password"));
    assert_eq!(emulator.control().counter("token.requests"), 1);
}

/// Without a cache, as far as tokens go; not as far as a locked account goes.
#[test]
fn a_request_past_the_cache_honours_the_cool_down_and_leaves_the_cached_token() {
    let emulator = emulator();
    let config = Config::demo(&emulator);
    let client = config.open();
    let cached = client.get(0).expect("a token");
    let request = |config: &Config| {
        let (mut json, mut err) = (ptr::null_mut(), ptr::null_mut());
        let status = unsafe { p21_token_request(config.0, &raw mut json, &raw mut err) };
        assert_eq!(status, p21_error_code(Failure(err).0));
        let json = (!json.is_null()).then(|| take(json));
        (
            status,
            json.map_or(Value::Null, |json| {
                serde_json::from_str(&json).expect("JSON")
            }),
        )
    };
    let (status, json) = request(&config);
    assert_eq!(status, P21_OK);
    assert_ne!(json["AccessToken"], cached);
    assert!(json["ExpiresInSeconds"].as_i64() > Some(86_000));
    assert_eq!(client.get(P21_CACHED_ONLY).expect("the same"), cached);

    config.set("password", "not-the-password");
    assert_eq!(request(&config).0, P21_E_UNAUTHORIZED);
    assert_eq!(request(&config).0, P21_E_UNAUTHORIZED);
    assert_eq!(emulator.control().counter("token.requests"), 3);
    let failure = config.open().get(0).expect_err("the same identity");
    assert_eq!(failure.code(), P21_E_UNAUTHORIZED);
    assert_eq!(emulator.control().counter("token.requests"), 3);
}

#[test]
fn a_token_of_ones_own_is_never_requested() {
    let options = [
        ("base_url", "https://p21.example.com"),
        ("access_token", "Bearer abc"),
    ];
    let config = Config::new(&options);
    let mut json = ptr::null_mut();
    let status = unsafe { p21_token_request(config.0, &raw mut json, ptr::null_mut()) };
    assert_eq!(status, P21_OK);
    assert!(take(json).contains(r#""AccessToken":"abc""#));
    let client = config.open();
    assert_eq!(client.get(P21_WITH_SCHEME).expect("valid"), "Bearer abc");
    assert_eq!(client.report("abc", 401, ""), P21_VERDICT_GIVE_UP);
}

#[test]
fn a_reply_that_another_program_fetched_is_read() {
    let parse = |body: &str| {
        let mut json = ptr::null_mut();
        let status = unsafe {
            p21_parse_token_response(body.as_ptr(), body.len(), &raw mut json, ptr::null_mut())
        };
        (status, (!json.is_null()).then(|| take(json)))
    };
    let (status, json) = parse(r#"{"access_token":"abc","expires_in":"60"}"#);
    assert_eq!(status, P21_OK);
    let json: Value = serde_json::from_str(&json.expect("text")).expect("JSON");
    assert_eq!(
        (&json["AccessToken"], &json["ExpiresIn"]),
        (&"abc".into(), &60.into())
    );
    assert_eq!(parse("<html></html>"), (P21_E_PARSE, None));
    assert_eq!(parse(""), (P21_E_NO_ACCESS_TOKEN, None));
}

#[test]
fn the_log_is_read_in_lines_of_json_and_only_what_is_new() {
    let emulator = emulator();
    let read = |cursor: &mut u64, level: i32| {
        let mut lines = ptr::null_mut();
        let status = unsafe { p21_log_read(cursor, level, &raw mut lines, ptr::null_mut()) };
        assert_eq!(status, P21_OK);
        if lines.is_null() {
            String::new()
        } else {
            take(lines)
        }
    };
    let mut cursor = 0;
    let _ = read(&mut cursor, 5);
    Client::demo(&emulator).get(0).expect("a token");
    let lines = read(&mut cursor, 3);
    let mine: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .filter(|event: &Value| {
            event["message"]
                .as_str()
                .is_some_and(|m| m.contains(emulator.base_url()))
        })
        .collect();
    assert_eq!(mine.len(), 1, "{lines}");
    assert_eq!(
        (&mine[0]["event"], &mine[0]["level"]),
        (&"token.refreshed".into(), &"info".into())
    );
    assert!(!read(&mut cursor, 5).contains(emulator.base_url()));
}

#[test]
fn an_environment_and_a_file_configure_a_client() {
    let emulator = emulator();
    let file = tempfile::NamedTempFile::new().expect("a file");
    let lines = format!(
        "# play\nexport P21_BASE_URL={}\nP21_USERNAME=demo\nP21_PASSWORD='demo-password'\nUNKNOWN=1\n",
        emulator.base_url()
    );
    std::fs::write(file.path(), lines).expect("written");
    let config = Config::new(&[]);
    let path = c(file.path().to_str().expect("UTF-8"));
    assert_eq!(
        unsafe { p21_config_load_file(config.0, path.as_ptr(), ptr::null_mut()) },
        P21_OK
    );
    // No one sets variables of this prefix; nothing is what they change.
    let prefix = c("P21_TEST_NOTHING_");
    assert_eq!(
        unsafe { p21_config_load_env(config.0, prefix.as_ptr(), ptr::null_mut()) },
        P21_OK
    );
    config.open().get(0).expect("a token");
}
