//! What C programs get wrong: NULL, freed and foreign handles, wrong kinds, unknown flags, broken text, extreme numbers.

use std::ffi::{c_char, c_void};
use std::ptr;

use p21auth::internal::capi::*;

use test_support::capi::*;
use test_support::emulator;

/// Something that is not NULL, to be overwritten.
fn stray<T>() -> *mut T {
    ptr::without_provenance_mut(0x5555)
}

#[test]
#[allow(clippy::too_many_lines, reason = "one line for each pointer")]
fn every_pointer_that_is_needed_is_refused_when_null() {
    let emulator = emulator();
    let (config, client) = (Config::demo(&emulator), Client::demo(&emulator));
    let snapshot = client.snapshot(0, 0);
    let (config, client, snapshot) = (config.0, client.0, snapshot.0);
    let none = ptr::null_mut();
    let name = c("x");
    let name = name.as_ptr();
    let (mut len, mut number) = (0_usize, 0_i32);
    let mut text: *mut c_char = ptr::null_mut();
    let (text, len, number) = (&raw mut text, &raw mut len, &raw mut number);
    let mut made: *mut p21_client = ptr::null_mut();
    let made = &raw mut made;
    let calls: &[(&str, p21_status)] = unsafe {
        &[
            (
                "config_new",
                p21_config_new(ptr::null_mut(), ptr::null_mut()),
            ),
            (
                "config_set config",
                p21_config_set(ptr::null_mut(), name, name, ptr::null_mut()),
            ),
            (
                "config_set name",
                p21_config_set(config, ptr::null(), name, ptr::null_mut()),
            ),
            (
                "config_load_env",
                p21_config_load_env(ptr::null_mut(), name, ptr::null_mut()),
            ),
            (
                "config_load_file config",
                p21_config_load_file(ptr::null_mut(), name, ptr::null_mut()),
            ),
            (
                "config_load_file path",
                p21_config_load_file(config, ptr::null(), ptr::null_mut()),
            ),
            (
                "config_load_profile config",
                p21_config_load_profile(ptr::null_mut(), name, ptr::null_mut()),
            ),
            (
                "config_load_profile name",
                p21_config_load_profile(config, ptr::null(), ptr::null_mut()),
            ),
            ("client_new config", p21_client_new(ptr::null(), made, none)),
            (
                "client_new out",
                p21_client_new(config, ptr::null_mut(), none),
            ),
            (
                "client_update client",
                p21_client_update(ptr::null_mut(), config, none),
            ),
            (
                "client_update config",
                p21_client_update(client, ptr::null(), none),
            ),
            (
                "token_get out",
                p21_token_get(client, 0, 0, ptr::null_mut(), none),
            ),
            (
                "token_copy buf",
                p21_token_copy(client, 0, 0, ptr::null_mut(), 8, len, none),
            ),
            (
                "token_copy out_len",
                p21_token_copy(client, 0, 0, ptr::null_mut(), 0, ptr::null_mut(), none),
            ),
            (
                "token_snapshot out",
                p21_token_snapshot(client, 0, 0, 0, ptr::null_mut(), none),
            ),
            (
                "token_report token",
                p21_token_report(client, ptr::null(), 401, ptr::null(), 0, number, none),
            ),
            (
                "token_report body",
                p21_token_report(client, name, 401, ptr::null(), 1, number, none),
            ),
            (
                "token_report out",
                p21_token_report(client, name, 401, ptr::null(), 0, ptr::null_mut(), none),
            ),
            (
                "ui_url out",
                p21_ui_url(client, 0, 0, ptr::null_mut(), none),
            ),
            (
                "client_stats out",
                p21_client_stats(client, ptr::null_mut(), ptr::null_mut()),
            ),
            (
                "client_generation out",
                p21_client_generation(client, ptr::null_mut(), ptr::null_mut()),
            ),
            (
                "token_json token",
                p21_token_json(ptr::null(), text, ptr::null_mut()),
            ),
            (
                "token_json out",
                p21_token_json(snapshot, ptr::null_mut(), ptr::null_mut()),
            ),
            (
                "token_request config",
                p21_token_request(ptr::null(), text, none),
            ),
            (
                "token_request out",
                p21_token_request(config, ptr::null_mut(), none),
            ),
            (
                "parse body",
                p21_parse_token_response(ptr::null(), 1, text, none),
            ),
            (
                "parse out",
                p21_parse_token_response(ptr::null(), 0, ptr::null_mut(), none),
            ),
            (
                "log_read cursor",
                p21_log_read(ptr::null_mut(), 5, text, ptr::null_mut()),
            ),
            (
                "log_read out",
                p21_log_read(&mut 0, 5, ptr::null_mut(), ptr::null_mut()),
            ),
        ]
    };
    for (call, status) in calls {
        assert_eq!(*status, P21_E_NULL_ARGUMENT, "{call}");
    }
    assert_eq!(
        emulator.control().counter("token.requests"),
        1,
        "for the snapshot"
    );
}

#[test]
fn value_functions_answer_something_neutral_for_null_and_for_stale_handles() {
    let emulator = emulator();
    let client = Client::demo(&emulator);
    let token = client.snapshot(0, 0).0;
    let failure = client.get(1 << 31).expect_err("no such flag").0;
    let name = c("AccessToken");
    for token in [ptr::null_mut(), token, stray(), client.0.cast()] {
        assert!(p21_token_value(token).is_null());
        assert!(unsafe { p21_token_field(token, name.as_ptr()) }.is_null());
        assert_eq!(p21_token_reuse_ms(token), 0);
        assert_eq!(p21_token_expires_in(token), -1);
        assert_eq!(p21_token_expires_at(token), -1);
        assert_eq!(p21_token_generation(token), 0);
        p21_token_free(token);
    }
    for failure in [ptr::null_mut(), failure, stray(), client.0.cast()] {
        let code = if failure.is_null() {
            P21_OK
        } else {
            P21_E_INVALID_HANDLE
        };
        assert_eq!(p21_error_code(failure), code);
        assert_eq!(p21_error_http_status(failure), 0);
        assert!(p21_error_message(failure).is_null());
        assert!(p21_error_hint(failure).is_null());
        assert_eq!(p21_error_retry_after_ms(failure), -1);
        assert_eq!(p21_error_is_retryable(failure), 0);
        p21_error_free(failure);
    }
    let live = client.snapshot(0, 0);
    assert!(unsafe { p21_token_field(live.0, ptr::null()) }.is_null());
    client.get(0).expect("none of that did any harm");
}

#[test]
fn a_handle_works_only_as_what_it_is() {
    let emulator = emulator();
    let config = Config::demo(&emulator);
    let client = config.open();
    let snapshot = client.snapshot(0, 0);
    let failure = client.get(1 << 31).expect_err("no such flag");
    let handles: [*mut c_void; 6] = [
        config.0.cast(),
        client.0.cast(),
        snapshot.0.cast(),
        failure.0.cast(),
        stray(),
        (&raw const config).cast_mut().cast(),
    ];
    let name = c("timeout_ms");
    for (at, handle) in handles.into_iter().enumerate() {
        let mut out: *mut c_char = stray();
        let mut err = stray();
        if at != 0 {
            let status = unsafe {
                p21_config_set(handle.cast(), name.as_ptr(), ptr::null(), ptr::null_mut())
            };
            assert_eq!(status, P21_E_INVALID_HANDLE);
            p21_config_free(handle.cast());
        }
        if at != 1 {
            let status = unsafe { p21_token_get(handle.cast(), 0, 0, &raw mut out, &raw mut err) };
            assert_eq!(status, P21_E_INVALID_HANDLE);
            assert!(out.is_null(), "overwritten");
            let err = Failure(err);
            assert_eq!(err.code(), P21_E_INVALID_HANDLE);
            assert!(err.message().contains("client") && !err.hint().is_empty());
            p21_client_free(handle.cast());
        }
        if at != 2 {
            let status = unsafe { p21_token_json(handle.cast(), &raw mut out, ptr::null_mut()) };
            assert_eq!(status, P21_E_INVALID_HANDLE);
            p21_token_free(handle.cast());
        }
        if at != 3 {
            p21_error_free(handle.cast());
        }
        p21_free(handle);
    }
    assert_eq!(config.set("timeout_ms", "1000"), P21_OK);
    client.get(0).expect("still a client");
    assert!(!snapshot.value().is_empty() && !failure.message().is_empty());
}

#[test]
fn freeing_twice_does_nothing() {
    let emulator = emulator();
    let config = Config::demo(&emulator);
    let client = config.open();
    let snapshot = client.snapshot(0, 0);
    let mut token = ptr::null_mut();
    let status = unsafe { p21_token_get(client.0, 0, 0, &raw mut token, ptr::null_mut()) };
    assert_eq!(status, P21_OK);
    let failure = client.get(1 << 31).expect_err("no such flag");
    for _ in 0..2 {
        p21_free(token.cast());
        p21_error_free(failure.0);
        p21_token_free(snapshot.0);
        p21_client_free(client.0);
        p21_config_free(config.0);
    }
    let mut made = stray();
    let status = unsafe { p21_client_new(config.0, &raw mut made, ptr::null_mut()) };
    assert_eq!((status, made), (P21_E_INVALID_HANDLE, ptr::null_mut()));
    let failure = client.get(0).expect_err("freed");
    assert_eq!(failure.code(), P21_E_INVALID_HANDLE);
}

#[test]
fn flags_that_are_unknown_or_contradict_each_other_are_errors() {
    let emulator = emulator();
    let client = Client::demo(&emulator);
    let contradictions = [
        P21_FORCE_REFRESH | P21_CACHED_ONLY,
        P21_FORCE_REFRESH | P21_NO_WAIT,
        P21_CACHED_ONLY | P21_NO_WAIT,
    ];
    for flags in (4..32).map(|bit| 1 << bit).chain(contradictions) {
        let failure = client.get(flags).expect_err("a wrong flag");
        assert_eq!(failure.code(), P21_E_INVALID_ARGUMENT, "{flags:#x}");
    }
    assert_eq!(emulator.control().counter("token.requests"), 0);
}

#[test]
fn text_that_is_not_utf_8_is_refused_and_not_shown() {
    let emulator = emulator();
    let (config, client) = (Config::demo(&emulator), Client::demo(&emulator));
    let good = c("password");
    let bad = c"secr\xff\xfet".as_ptr();
    let mut verdict = 7;
    let statuses = unsafe {
        [
            p21_config_set(config.0, bad, good.as_ptr(), ptr::null_mut()),
            p21_config_set(config.0, good.as_ptr(), bad, ptr::null_mut()),
            p21_config_load_env(config.0, bad, ptr::null_mut()),
            p21_config_load_file(config.0, bad, ptr::null_mut()),
            p21_config_load_profile(config.0, bad, ptr::null_mut()),
            p21_token_invalidate(client.0, bad, ptr::null_mut()),
            p21_token_report(
                client.0,
                bad,
                401,
                ptr::null(),
                0,
                &raw mut verdict,
                ptr::null_mut(),
            ),
        ]
    };
    assert_eq!(statuses, [P21_E_INVALID_UTF8; 7]);
    assert_eq!(verdict, 0);
    let snapshot = client.snapshot(0, 0);
    assert!(unsafe { p21_token_field(snapshot.0, bad) }.is_null());
    // A body may be anything.
    let body = [0xff, 0, 0xfe];
    let token = c(&snapshot.value());
    let status = unsafe {
        p21_token_report(
            client.0,
            token.as_ptr(),
            401,
            body.as_ptr(),
            3,
            &raw mut verdict,
            ptr::null_mut(),
        )
    };
    assert_eq!((status, verdict), (P21_OK, P21_VERDICT_RETRY));
}

#[test]
fn extreme_numbers_are_taken_or_refused_but_never_wrap() {
    let emulator = emulator();
    let client = Client::demo(&emulator);
    assert!(client.get_within(0, u32::MAX).is_ok());
    let _ = client.snapshot(0, u32::MAX);
    for status in [i32::MIN, -1, 0, 99, 600, i32::MAX] {
        let (token, mut verdict) = (c("x"), 7);
        let status = unsafe {
            p21_token_report(
                client.0,
                token.as_ptr(),
                status,
                ptr::null(),
                0,
                &raw mut verdict,
                ptr::null_mut(),
            )
        };
        assert_eq!((status, verdict), (P21_E_INVALID_ARGUMENT, 0));
    }
    let mut text = stray();
    let body = 1_u8;
    for len in [usize::MAX, usize::MAX / 2 + 1] {
        let status = unsafe {
            p21_parse_token_response(&raw const body, len, &raw mut text, ptr::null_mut())
        };
        assert_eq!((status, text), (P21_E_INVALID_ARGUMENT, ptr::null_mut()));
    }
    for level in [i32::MIN, 0, 6, i32::MAX] {
        let status = unsafe { p21_log_read(&mut 0, level, &raw mut text, ptr::null_mut()) };
        assert_eq!(status, P21_E_INVALID_ARGUMENT);
    }
    let mut cursor = u64::MAX;
    assert_eq!(
        unsafe { p21_log_read(&raw mut cursor, 5, &raw mut text, ptr::null_mut()) },
        P21_OK
    );
    p21_free(text.cast());
    assert!(cursor < u64::MAX, "back where events are");
    for number in [i32::MIN, -1, 12, i32::MAX] {
        assert_eq!(text_of(p21_status_name(number)), "P21_E_UNKNOWN");
        assert_eq!(text_of(p21_verdict_hint(number)), "");
    }
}

fn text_of(pointer: *const c_char) -> String {
    text(pointer)
}

#[test]
fn what_is_wrong_with_a_configuration_is_said_when_a_client_is_made() {
    let new = |options: &[(&str, &str)]| {
        let config = Config::new(&[]);
        for (name, value) in options {
            config.set(name, value);
        }
        let (mut client, mut err) = (stray(), stray());
        let status = unsafe { p21_client_new(config.0, &raw mut client, &raw mut err) };
        assert!(client.is_null());
        let failure = Failure(err);
        assert_eq!(failure.code(), status);
        failure
    };
    let base = ("base_url", "https://p21.example.com");
    let missing = new(&[]);
    assert_eq!(missing.code(), P21_E_CONFIG);
    assert!(missing.message().contains("base_url"), "{missing:?}");
    let both = new(&[
        base,
        ("username", "u"),
        ("password", "p"),
        ("consumer_key", "k"),
    ]);
    assert_eq!(both.code(), P21_E_CONFIG);
    assert!(format!("{both:?} {}", both.hint()).contains("auth_mode"));
    let typo = new(&[base, ("pasword", "hunter2hunter2")]);
    assert_eq!(typo.code(), P21_E_UNKNOWN_OPTION);
    assert!(typo.hint().contains("password"), "{}", typo.hint());
    assert!(!format!("{typo:?}").contains("hunter2"));
    let range = new(&[
        base,
        ("access_token", "x"),
        ("timeout_ms", "99999999999999999999"),
    ]);
    assert_eq!(range.code(), P21_E_CONFIG);
}

#[test]
fn a_client_that_cannot_be_updated_stays_as_it_was() {
    let emulator = emulator();
    let client = Client::demo(&emulator);
    let token = client.get(0).expect("a token");
    let (word, broken) = (client.word(), Config::new(&[]));
    let status = unsafe { p21_client_update(client.0, broken.0, ptr::null_mut()) };
    assert_eq!(status, P21_E_CONFIG);
    assert_eq!(client.word(), word);
    assert_eq!(client.get(P21_CACHED_ONLY).expect("kept"), token);
}
