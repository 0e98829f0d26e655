//! A panic inside any exported function stops at the boundary, is told as a status or a neutral value, prints nothing, and
//! leaves everything usable.
#![allow(unsafe_code, reason = "these are C's functions")]
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "what each call is given stands right above it"
)]

#[path = "common/mod.rs"]
mod common;
#[path = "capi/support.rs"]
mod support;

use std::process::Command;
use std::ptr;

use common::emulator;
use p21auth::capi::*;
use support::*;

/// Makes the next call of a function panic.
fn arm(name: &str) {
    let name = c(name);
    unsafe { p21_test_panic(name.as_ptr()) };
}

#[test]
#[allow(
    clippy::too_many_lines,
    clippy::cmp_null,
    reason = "a table of functions and what each answers"
)]
fn every_function_survives_a_panic_inside() {
    let emulator = emulator();
    let config = Config::demo(&emulator);
    let client = config.open();
    let snapshot = client.snapshot(0, 0);
    let failure = client.get(1 << 31).expect_err("no such flag");
    let (name, value) = (c("timeout_ms"), c("1000"));
    let (name, value) = (name.as_ptr(), value.as_ptr());
    let none = ptr::null_mut::<*mut p21_error>();
    let (mut text, mut len, mut number, mut word, mut cursor) =
        (ptr::null_mut(), 0, 0, ptr::null(), 0);
    let mut made = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    let body = b"x.y";
    let mut told = Vec::new();

    macro_rules! statuses {
        ($($name:ident($($argument:expr),*);)+) => { $(
            arm(stringify!($name));
            let status = unsafe { $name($($argument),*) };
            assert_eq!(status, P21_E_PANIC, stringify!($name));
            let status = unsafe { $name($($argument),*) };
            assert_ne!(status, P21_E_PANIC, "{}: the next call works", stringify!($name));
            told.push(stringify!($name));
        )+ };
    }
    statuses! {
        p21_config_new(&raw mut made.0, ptr::null_mut());
        p21_config_set(config.0, name, value, ptr::null_mut());
        p21_config_load_env(config.0, ptr::null(), ptr::null_mut());
        p21_config_load_file(config.0, name, ptr::null_mut());
        p21_client_new(config.0, &raw mut made.1, none);
        p21_client_update(client.0, ptr::null(), none);
        p21_token_get(client.0, P21_CACHED_ONLY, 0, &raw mut text, none);
        p21_token_copy(client.0, P21_CACHED_ONLY, 0, ptr::null_mut(), 0, &raw mut len, none);
        p21_token_snapshot(client.0, P21_CACHED_ONLY, 0, 0, &raw mut made.2, none);
        p21_token_report(client.0, name, 500, body.as_ptr(), 3, &raw mut number, none);
        p21_token_invalidate(client.0, name, ptr::null_mut());
        p21_ui_url(client.0, P21_CACHED_ONLY, 0, &raw mut text, none);
        p21_client_stats(client.0, &raw mut text, ptr::null_mut());
        p21_client_generation(client.0, &raw mut word, ptr::null_mut());
        p21_token_json(snapshot.0, &raw mut text, ptr::null_mut());
        p21_token_request(ptr::null(), &raw mut text, none);
        p21_parse_token_response(body.as_ptr(), 3, &raw mut text, none);
        p21_log_read(&raw mut cursor, 5, &raw mut text, ptr::null_mut());
    }

    macro_rules! values {
        ($($name:ident($($argument:expr),*) == $neutral:expr;)+) => { $(
            arm(stringify!($name));
            #[allow(unused_unsafe, reason = "some are safe to call")]
            let answer = unsafe { $name($($argument),*) };
            assert!(answer == $neutral, stringify!($name));
            told.push(stringify!($name));
        )+ };
    }
    values! {
        p21_options_json() == ptr::null();
        p21_live_objects() == 0;
        p21_token_value(snapshot.0) == ptr::null();
        p21_token_field(snapshot.0, name) == ptr::null();
        p21_token_reuse_ms(snapshot.0) == 0;
        p21_token_expires_in(snapshot.0) == -1;
        p21_token_expires_at(snapshot.0) == -1;
        p21_token_generation(snapshot.0) == 0;
        p21_error_code(failure.0) == P21_E_INVALID_HANDLE;
        p21_error_http_status(failure.0) == 0;
        p21_error_message(failure.0) == ptr::null();
        p21_error_hint(failure.0) == ptr::null();
        p21_error_retry_after_ms(failure.0) == -1;
        p21_error_is_retryable(failure.0) == 0;
        p21_free(text.cast()) == ();
        p21_config_free(config.0) == ();
        p21_client_free(client.0) == ();
        p21_token_free(snapshot.0) == ();
        p21_error_free(failure.0) == ();
    }
    arm("p21_status_name");
    assert_eq!(support::text(p21_status_name(P21_OK)), "P21_E_UNKNOWN");
    arm("p21_verdict_hint");
    assert_eq!(support::text(p21_verdict_hint(P21_VERDICT_RETRY)), "");
    told.extend([
        "p21_status_name",
        "p21_verdict_hint",
        "p21_version",
        "p21_abi_version",
    ]);

    // All still there: the panics came before anything was freed.
    assert!(!snapshot.value().is_empty() && failure.code() == P21_E_INVALID_ARGUMENT);
    client.get(P21_CACHED_ONLY).expect("the cached token");
    assert!(!p21_options_json().is_null() && p21_live_objects() > 0);

    // Told with its place, and without what was said.
    arm("p21_token_get");
    let panic = client.get(0).expect_err("a panic");
    assert_eq!(panic.code(), P21_E_PANIC);
    assert!(
        panic.message().contains("p21_token_get") && panic.message().contains("guard.rs:"),
        "{panic:?}"
    );
    assert!(!panic.message().contains("injected"));

    for function in include_str!("../include/p21auth.h").split(['\n', ' ', '*', '(']) {
        let is_function = function.starts_with("p21_") && !ends_as_type(function);
        assert!(
            !is_function || told.contains(&function),
            "{function} is not tested here"
        );
    }
    p21_config_free(made.0);
    p21_client_free(made.1);
    p21_token_free(made.2);
}

/// Words of the header that begin like functions: types, and names in the prose that are followed by punctuation.
fn ends_as_type(word: &str) -> bool {
    let types = [
        "p21_status",
        "p21_config",
        "p21_client",
        "p21_token",
        "p21_error",
    ];
    types.contains(&word)
        || word.contains([',', ';', '.', ')', ':'])
        || word.ends_with(char::is_uppercase)
}

/// The hook keeps the message off stderr; with the test above as the program.
#[test]
fn panics_inside_print_nothing() {
    let program = std::env::current_exe().expect("a path");
    let result = Command::new(program)
        .args([
            "--exact",
            "every_function_survives_a_panic_inside",
            "--nocapture",
        ])
        .env("RUST_BACKTRACE", "1")
        .output()
        .expect("it starts");
    let printed = String::from_utf8_lossy(&result.stderr);
    assert!(result.status.success(), "{printed}");
    assert_eq!(printed, "");
}

/// The hook is ours for our own functions only.
#[test]
fn panics_elsewhere_are_shown_as_ever() {
    if std::env::var_os("P21_TEST_PANIC_ELSEWHERE").is_some() {
        let _ = p21_live_objects();
        panic!("shown as ever");
    }
    let program = std::env::current_exe().expect("a path");
    let result = Command::new(program)
        .args([
            "--exact",
            "panics_elsewhere_are_shown_as_ever",
            "--nocapture",
        ])
        .env("P21_TEST_PANIC_ELSEWHERE", "1")
        .output()
        .expect("it starts");
    assert!(String::from_utf8_lossy(&result.stderr).contains("shown as ever"));
}
