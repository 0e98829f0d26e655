//! A panic inside any exported function stops at the boundary, becomes a status or a neutral value, prints nothing, and
//! leaves everything usable.

use std::ffi::{CStr, CString, c_char};
use std::process::Command;
use std::ptr;

use super::guard::arm;
use super::*;

fn c(text: &str) -> CString {
    CString::new(text).expect("no NUL inside")
}

fn text(pointer: *const c_char) -> String {
    assert!(!pointer.is_null());
    // SAFETY: not NULL, and every string of the C interface ends with a NUL.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().expect("UTF-8").to_owned()
}

fn memory<T>(of: *mut T) -> (*mut u8, usize) {
    (of.cast(), size_of::<T>())
}

/// A configuration whose token needs no server.
fn configured() -> *mut p21_config {
    let mut config = ptr::null_mut();
    // SAFETY: the out pointer is that of a local; the strings live until the call returns.
    unsafe {
        assert_eq!(p21_config_new(&raw mut config, ptr::null_mut()), P21_OK);
        for (name, value) in [
            ("base_url", "https://p21.example.com"),
            ("auth_mode", "token"),
            ("access_token", "kept-by-the-caller"),
        ] {
            let (name, value) = (c(name), c(value));
            assert_eq!(
                p21_config_set(config, name.as_ptr(), value.as_ptr(), ptr::null_mut()),
                P21_OK
            );
        }
    }
    config
}

#[test]
#[allow(
    clippy::too_many_lines,
    clippy::cmp_null,
    reason = "a table of functions and what each returns"
)]
fn every_function_survives_a_panic_inside() {
    let none = ptr::null_mut::<*mut p21_error>();
    let config = configured();
    let (mut client, mut snapshot, mut failure) =
        (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    let (mut text_out, mut len, mut number, mut word, mut cursor) =
        (ptr::null_mut(), 0, 0, ptr::null(), 0);
    let mut buffer = [0; 64];
    let mut made = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    let (name, value) = (c("timeout_ms"), c("1000"));
    let (name, value) = (name.as_ptr(), value.as_ptr());
    let body = b"x.y";
    let (mut told, mut cleared) = (Vec::new(), Vec::new());
    // SAFETY: the out pointers are those of locals.
    unsafe {
        assert_eq!(p21_client_new(config, &raw mut client, none), P21_OK);
        assert_eq!(
            p21_token_snapshot(client, 0, 0, 0, &raw mut snapshot, none),
            P21_OK
        );
        assert_eq!(
            p21_token_get(client, 1 << 31, 0, &raw mut text_out, &raw mut failure),
            P21_E_INVALID_ARGUMENT,
            "no such flag"
        );
    }

    // What is behind the arrow are the results: rubbish before, neutral after a panic inside.
    macro_rules! statuses {
        ($($name:ident($($argument:expr),*) $(=> $($result:expr),+)?;)+) => { $(
            let results: Vec<(*mut u8, usize)> = vec![$($(memory(&raw mut $result)),+)?];
            for (nth, (at, len)) in (1..).zip(results) {
                arm(stringify!($name), nth);
                // SAFETY: the result is a local, and so are the out pointers; strings and bodies live until the end of the
                // test.
                let (status, left) = unsafe {
                    at.write_bytes(0xA5, len);
                    let status = $name($($argument),*);
                    (status, std::slice::from_raw_parts(at, len).to_vec())
                };
                assert_eq!(status, P21_E_PANIC, stringify!($name));
                assert_eq!(left, vec![0; len], "{}: result {nth} is neutral", stringify!($name));
                cleared.push(stringify!($name));
            }
            arm(stringify!($name), 0);
            // SAFETY: out pointers are those of locals, strings and bodies live until the end of the test.
            let status = unsafe { $name($($argument),*) };
            assert_eq!(status, P21_E_PANIC, stringify!($name));
            // SAFETY: as above.
            let status = unsafe { $name($($argument),*) };
            assert_ne!(status, P21_E_PANIC, "{}: the next call works", stringify!($name));
            told.push(stringify!($name));
        )+ };
    }
    statuses! {
        p21_config_new(&raw mut made.0, none) => made.0;
        p21_config_set(config, name, value, none);
        p21_config_load_env(config, ptr::null(), none);
        p21_config_load_file(config, name, none);
        p21_config_load_profile(config, name, none);
        p21_client_new(config, &raw mut made.1, none) => made.1;
        p21_client_update(client, ptr::null(), none);
        p21_token_get(client, P21_CACHED_ONLY, 0, &raw mut text_out, none) => text_out;
        p21_token_copy(client, P21_CACHED_ONLY, 0, &raw mut buffer[0], 64, &raw mut len, none) => len, buffer[0];
        p21_token_snapshot(client, P21_CACHED_ONLY, 0, 0, &raw mut made.2, none) => made.2;
        p21_token_report(client, name, 500, body.as_ptr(), 3, &raw mut number, none) => number;
        p21_token_invalidate(client, name, none);
        p21_ui_url(client, P21_CACHED_ONLY, 0, &raw mut text_out, none) => text_out;
        p21_client_stats(client, &raw mut text_out, none) => text_out;
        p21_client_generation(client, &raw mut word, none) => word;
        p21_token_json(snapshot, &raw mut text_out, none) => text_out;
        p21_token_request(ptr::null(), &raw mut text_out, none) => text_out;
        p21_parse_token_response(body.as_ptr(), 3, &raw mut text_out, none) => text_out;
        p21_log_read(&raw mut cursor, 5, &raw mut text_out, none) => text_out;
        p21_doctor(config, 0, 1000, &raw mut text_out, none) => text_out;
    }

    macro_rules! values {
        ($($name:ident($($argument:expr),*) == $neutral:expr;)+) => { $(
            arm(stringify!($name), 0);
            #[allow(unused_unsafe, reason = "some are safe to call")]
            // SAFETY: handles are looked up, and the name lives until the end of the test.
            let answer = unsafe { $name($($argument),*) };
            assert!(answer == $neutral, stringify!($name));
            told.push(stringify!($name));
        )+ };
    }
    values! {
        p21_options_json() == ptr::null();
        p21_live_objects() == 0;
        p21_token_value(snapshot) == ptr::null();
        p21_token_field(snapshot, name) == ptr::null();
        p21_token_reuse_ms(snapshot) == 0;
        p21_token_expires_in(snapshot) == -1;
        p21_token_expires_at(snapshot) == -1;
        p21_token_generation(snapshot) == 0;
        p21_error_code(failure) == P21_E_INVALID_HANDLE;
        p21_error_http_status(failure) == 0;
        p21_error_message(failure) == ptr::null();
        p21_error_hint(failure) == ptr::null();
        p21_error_retry_after_ms(failure) == -1;
        p21_error_is_retryable(failure) == 0;
        p21_free(text_out.cast()) == ();
        p21_config_free(config) == ();
        p21_client_free(client) == ();
        p21_token_free(snapshot) == ();
        p21_error_free(failure) == ();
    }
    arm("p21_status_name", 0);
    assert_eq!(text(p21_status_name(P21_OK)), "P21_E_UNKNOWN");
    arm("p21_verdict_hint", 0);
    assert_eq!(text(p21_verdict_hint(P21_VERDICT_RETRY)), "");
    told.extend([
        "p21_status_name",
        "p21_verdict_hint",
        "p21_version",
        "p21_abi_version",
    ]);

    // All still there: the panics came before anything was freed.
    assert_eq!(text(p21_token_value(snapshot)), "kept-by-the-caller");
    assert_eq!(p21_error_code(failure), P21_E_INVALID_ARGUMENT);
    // SAFETY: the out pointers are those of locals.
    unsafe {
        let status = p21_token_get(client, P21_CACHED_ONLY, 0, &raw mut text_out, none);
        assert_eq!(status, P21_OK, "the cached token");
        p21_free(text_out.cast());
    }
    assert!(!p21_options_json().is_null() && p21_live_objects() > 0);

    // Told with its place, and without what was said.
    p21_error_free(failure);
    arm("p21_token_get", 1);
    // SAFETY: as above.
    let status = unsafe { p21_token_get(client, 0, 0, &raw mut text_out, &raw mut failure) };
    assert_eq!(
        (status, p21_error_code(failure)),
        (P21_E_PANIC, P21_E_PANIC)
    );
    let message = text(p21_error_message(failure));
    assert!(
        message.contains("p21_token_get") && message.contains("guard.rs:"),
        "{message}"
    );
    assert!(!message.contains("injected"));

    for function in include_str!("../../include/p21auth.h").split(['\n', ' ', '*', '(']) {
        let is_function = function.starts_with("p21_") && !ends_as_type(function);
        assert!(
            !is_function || told.contains(&function),
            "{function} is not tested here"
        );
    }
    for declaration in include_str!("../../include/p21auth.h").split(';') {
        if let Some((head, parameters)) = declaration.rsplit_once('(')
            && parameters.contains("*out")
        {
            let function = head.rsplit(' ').next().unwrap_or(head);
            assert!(
                cleared.contains(&function),
                "the results of {function} are not tested here"
            );
        }
    }
    for config in [config, made.0] {
        p21_config_free(config);
    }
    for client in [client, made.1] {
        p21_client_free(client);
    }
    for token in [snapshot, made.2] {
        p21_token_free(token);
    }
    p21_error_free(failure);
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

/// This program with one test, in a process of its own.
fn this_program(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a path"));
    let name = format!("capi::panics::{test}");
    command.args(["--exact", &name, "--nocapture"]);
    command
}

/// The hook keeps the message off stderr; with the test above as the program.
#[test]
fn panics_inside_print_nothing() {
    let result = this_program("every_function_survives_a_panic_inside")
        .env("RUST_BACKTRACE", "1")
        .output()
        .expect("it starts");
    let printed = String::from_utf8_lossy(&result.stderr);
    assert!(result.status.success(), "{printed}");
    assert_eq!(printed, "");
    let said = String::from_utf8_lossy(&result.stdout);
    assert!(said.contains("1 passed"), "{said}");
}

/// The hook is ours for our own functions only.
#[test]
fn panics_elsewhere_are_shown_as_ever() {
    if std::env::var_os("P21_TEST_PANIC_ELSEWHERE").is_some() {
        let _ = p21_live_objects();
        panic!("shown as ever");
    }
    let result = this_program("panics_elsewhere_are_shown_as_ever")
        .env("P21_TEST_PANIC_ELSEWHERE", "1")
        .output()
        .expect("it starts");
    assert!(String::from_utf8_lossy(&result.stderr).contains("shown as ever"));
}
