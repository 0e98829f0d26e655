//! Every integer that C can hand in, at its extremes and at random: never a crash, always a listed status, and no handle or
//! text where there should be none.

use std::ffi::c_char;
use std::ptr;

use p21_emulator::Emulator;
use p21auth::Code;
use p21auth::internal::capi::*;
use proptest::prelude::*;
use proptest::test_runner::{Config as Runs, TestRunner};

use test_support::capi::*;
use test_support::emulator;

const U32: [u32; 14] = [
    0,
    1,
    2,
    3,
    4,
    5,
    8,
    15,
    16,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    u32::MAX - 1,
    u32::MAX,
];
const I32: [i32; 16] = [
    0,
    1,
    -1,
    4,
    5,
    6,
    99,
    100,
    401,
    403,
    599,
    600,
    65_536 + 401,
    i32::MIN,
    i32::MIN + 1,
    i32::MAX,
];
const U64: [u64; 7] = [0, 1, 2, u32::MAX as u64, i64::MAX as u64, 1 << 63, u64::MAX];
const ADDRESSES: [usize; 10] = [
    0,
    1,
    2,
    4,
    0xfff,
    usize::MAX,
    usize::MAX - 7,
    usize::MAX / 2,
    usize::MAX / 2 + 1,
    1 << 40,
];

/// Whether the header lists it.
fn listed(status: p21_status) -> bool {
    status == P21_OK || Code::from_number(status).is_some()
}

/// The text or handle is there exactly after a success; frees it.
fn check(status: p21_status, text: *mut c_char, what: &str) {
    assert!(listed(status), "{what}: {status}");
    assert_eq!(status == P21_OK, !text.is_null(), "{what}: {status}");
    p21_free_text(text);
}

/// A client with a token, whose server answers every refresh.
fn ready(emulator: &Emulator) -> Client {
    let config = Config::demo(emulator);
    config.set("min_refresh_interval_s", "0");
    let client = config.open();
    client.get(0).expect("a token");
    client
}

fn token_calls(client: &Client, flags: u32, wait_ms: u32, min_valid_s: u32) {
    let what = format!("flags {flags:#x}, wait {wait_ms}, valid {min_valid_s}");
    let mut text = ptr::null_mut();
    let mut err = ptr::null_mut();
    let status = unsafe { p21_token_get(client.0, flags, wait_ms, &raw mut text, &raw mut err) };
    assert_eq!(Failure(err).code(), status);
    check(status, text, &what);
    let known = flags < 16;
    assert_eq!(
        status == P21_E_INVALID_ARGUMENT,
        !known || contradicts(flags),
        "{what}"
    );

    let mut text = ptr::null_mut();
    let status = unsafe { p21_ui_url(client.0, flags, wait_ms, &raw mut text, ptr::null_mut()) };
    check(status, text, &what);

    let mut token = ptr::null_mut();
    let mut err = ptr::null_mut();
    let status = unsafe {
        p21_token_snapshot(
            client.0,
            flags,
            wait_ms,
            min_valid_s,
            &raw mut token,
            &raw mut err,
        )
    };
    assert_eq!(Failure(err).code(), status);
    assert!(
        listed(status) && (status == P21_OK) != token.is_null(),
        "{what}"
    );
    if status == P21_OK {
        assert!((0..=60_000).contains(&p21_token_reuse_ms(token)), "{what}");
        assert!(p21_token_expires_in(token) > 0);
    }
    p21_token_free(token);
}

fn contradicts(flags: u32) -> bool {
    [P21_FORCE_REFRESH, P21_CACHED_ONLY, P21_NO_WAIT]
        .iter()
        .filter(|flag| flags & **flag != 0)
        .count()
        > 1
}

/// A buffer of exactly `room` bytes, of which the library is told `cap`.
fn copy(client: &Client, flags: u32, room: usize, cap: usize) {
    let mut buffer = vec![0x55_u8; room];
    let mut len = usize::MAX;
    let pointer = if room == 0 {
        ptr::null_mut()
    } else {
        buffer.as_mut_ptr()
    };
    let status = unsafe {
        p21_token_copy(
            client.0,
            flags,
            0,
            pointer.cast(),
            cap,
            &raw mut len,
            ptr::null_mut(),
        )
    };
    let what = format!("flags {flags:#x}, room {room}, cap {cap}: {status}, {len}");
    assert!(listed(status), "{what}");
    match status {
        P21_OK => assert!(
            len < cap && buffer[len] == 0 && !buffer[..len].contains(&0),
            "{what}"
        ),
        P21_E_BUFFER_TOO_SMALL => assert!(len >= cap && cap <= room, "{what}"),
        _ => assert_eq!(len, 0, "{what}"),
    }
}

#[test]
fn flags_and_times_at_their_extremes() {
    let emulator = emulator();
    let client = ready(&emulator);
    for flags in U32
        .into_iter()
        .chain((0..32).map(|bit| 1 << bit))
        .chain(0..16)
    {
        for wait_ms in [0, 1_000, u32::MAX] {
            token_calls(&client, flags, wait_ms, 0);
        }
    }
    for min_valid_s in U32 {
        token_calls(&client, P21_CACHED_ONLY, 0, min_valid_s);
        token_calls(&client, 0, u32::MAX, min_valid_s);
    }
}

#[test]
fn buffers_of_every_size() {
    let emulator = emulator();
    let client = ready(&emulator);
    let needed = client.get(0).expect("a token").len() + 1;
    for cap in (0..needed + 10).step_by(if needed > 200 { 7 } else { 1 }) {
        copy(&client, P21_CACHED_ONLY, cap, cap);
        copy(&client, P21_CACHED_ONLY | P21_WITH_SCHEME, cap, cap);
    }
    for cap in [needed - 1, needed, needed + 6, needed + 7] {
        copy(&client, P21_CACHED_ONLY, cap, cap);
        copy(&client, P21_CACHED_ONLY | P21_WITH_SCHEME, cap, cap);
    }
    // A caller that says more than it has, but has enough; and one that has nothing.
    for cap in [needed, usize::MAX / 2, usize::MAX - 1, usize::MAX] {
        copy(&client, P21_CACHED_ONLY, needed, cap);
        copy(&client, P21_CACHED_ONLY, 0, cap);
    }
    for flags in U32 {
        copy(&client, flags, 4_096, 4_096);
    }
}

fn report(client: &Client, http_status: i32, body: *const u8, len: usize) {
    let (token, mut verdict) = (c("none of ours"), 77);
    let mut err = ptr::null_mut();
    let status = unsafe {
        p21_token_report(
            client.0,
            token.as_ptr(),
            http_status,
            body,
            len,
            &raw mut verdict,
            &raw mut err,
        )
    };
    assert_eq!(Failure(err).code(), status);
    let what = format!("HTTP {http_status}, {len} bytes: {status}, {verdict}");
    assert!(listed(status), "{what}");
    let range = if status == P21_OK { 1..=4 } else { 0..=0 };
    assert!(range.contains(&verdict), "{what}");
    if status == P21_OK {
        assert!((100..600).contains(&http_status), "{what}");
    }
}

#[test]
fn http_statuses_and_lengths_at_their_extremes() {
    let emulator = emulator();
    let client = ready(&emulator);
    let body = b"<TokenError/>";
    for status in I32 {
        report(&client, status, ptr::null(), 0);
        report(&client, status, body.as_ptr(), body.len());
        for len in [1, usize::MAX / 2, usize::MAX / 2 + 1, usize::MAX] {
            report(&client, status, ptr::null(), len);
        }
        // More than any memory: refused before it is read.
        for len in [usize::MAX / 2 + 1, usize::MAX] {
            report(&client, status, body.as_ptr(), len);
        }
    }
    for (pointer, len) in [
        (ptr::null(), 0),
        (ptr::null(), 1),
        (ptr::null(), usize::MAX),
        (body.as_ptr(), 0),
        (body.as_ptr(), usize::MAX),
        (body.as_ptr(), usize::MAX / 2 + 1),
        (body.as_ptr(), body.len()),
    ] {
        let mut text = ptr::null_mut();
        let status =
            unsafe { p21_parse_token_response(pointer, len, &raw mut text, ptr::null_mut()) };
        check(status, text, &format!("{len} bytes"));
        assert_ne!(status, P21_OK);
    }
}

#[test]
fn cursors_and_levels_at_their_extremes() {
    let emulator = emulator();
    let _client = ready(&emulator);
    for start in U64 {
        for level in I32 {
            let (mut cursor, mut text) = (start, ptr::null_mut());
            let status =
                unsafe { p21_log_read(&raw mut cursor, level, &raw mut text, ptr::null_mut()) };
            assert!(listed(status));
            assert_eq!(status == P21_OK, (1..=5).contains(&level));
            assert!(status == P21_OK || (text.is_null() && cursor == start));
            p21_free_text(text);
        }
    }
}

#[test]
fn every_number_has_a_name_and_a_hint() {
    for number in (-70_000..70_000).chain(I32) {
        let name = text(p21_status_name(number));
        assert_eq!(name == "P21_E_UNKNOWN", !listed(number), "{number}");
        let hint = text(p21_verdict_hint(number));
        assert_eq!(hint.is_empty(), !(1..=4).contains(&number), "{number}");
    }
}

#[test]
fn numbers_instead_of_handles_and_pointers() {
    let emulator = emulator();
    let client = ready(&emulator);
    let (config, name) = (Config::demo(&emulator), c("AccessToken"));
    let near = [client.0.addr(), config.0.addr()];
    // Bits next to those of real handles: another slot, kind, generation.
    let near = near.into_iter().flat_map(|handle| {
        let bits = (0..usize::BITS).map(move |bit| handle ^ (1 << bit));
        bits.chain([handle.wrapping_add(1), !handle])
    });
    for address in ADDRESSES
        .into_iter()
        .chain(near)
        .filter(|address| *address != 0)
    {
        let handle: *mut c_char = ptr::without_provenance_mut(address);
        let mut text = ptr::null_mut();
        let mut word = ptr::null();
        unsafe {
            for status in [
                p21_token_get(handle.cast(), 0, 0, &raw mut text, ptr::null_mut()),
                p21_ui_url(handle.cast(), 0, 0, &raw mut text, ptr::null_mut()),
                p21_client_stats(handle.cast(), &raw mut text, ptr::null_mut()),
                p21_client_generation(handle.cast(), &raw mut word, ptr::null_mut()),
                p21_client_update(handle.cast(), config.0, ptr::null_mut()),
                p21_token_invalidate(handle.cast(), ptr::null(), ptr::null_mut()),
                p21_token_json(handle.cast(), &raw mut text, ptr::null_mut()),
                p21_token_request(handle.cast(), &raw mut text, ptr::null_mut()),
                p21_config_set(handle.cast(), name.as_ptr(), ptr::null(), ptr::null_mut()),
                p21_config_load_env(handle.cast(), ptr::null(), ptr::null_mut()),
            ] {
                assert_eq!(status, P21_E_INVALID_HANDLE, "{address:#x}");
            }
            assert!(p21_token_field(handle.cast(), name.as_ptr()).is_null());
        }
        assert!(text.is_null() && word.is_null());
        assert!(p21_token_value(handle.cast()).is_null());
        assert_eq!(p21_token_expires_at(handle.cast()), -1);
        let code = if handle.is_null() {
            P21_OK
        } else {
            P21_E_INVALID_HANDLE
        };
        assert_eq!(p21_error_code(handle.cast()), code);
        p21_free(handle.cast());
        p21_client_free(handle.cast());
        p21_config_free(handle.cast());
        p21_token_free(handle.cast());
        p21_error_free(handle.cast());
    }
    client
        .get(P21_CACHED_ONLY)
        .expect("none of that did any harm");
    assert_eq!(config.set("timeout_ms", "1"), P21_OK);
}

#[test]
fn options_with_extreme_numbers_are_taken_or_refused() {
    let options: serde_json::Value = serde_json::from_str(&text(p21_options_json())).expect("JSON");
    let names = options.as_array().expect("an array").iter();
    let names: Vec<&str> = names.filter_map(|option| option["name"].as_str()).collect();
    assert!(names.len() > 20, "{names:?}");
    let texts = I32.map(|number| number.to_string());
    let large = U64.map(|number| number.to_string());
    let odd = [
        "-0",
        "00",
        "1e3",
        "0x10",
        " 1",
        "1 ",
        "+1",
        "18446744073709551616",
        "-9223372036854775809",
        "NaN",
        "٣",
    ];
    let numbers = texts.iter().chain(&large).map(String::as_str).chain(odd);
    for number in numbers {
        for name in &names {
            let config = Config::new(&[]);
            let status = config.set(name, number);
            assert!(listed(status), "{name}={number}: {status}");
            for (name, value) in [
                ("base_url", "https://p21.example.com"),
                ("username", "u"),
                ("password", "p"),
            ] {
                config.set(name, value);
            }
            let (mut client, mut err) = (ptr::null_mut(), ptr::null_mut());
            let status = unsafe { p21_client_new(config.0, &raw mut client, &raw mut err) };
            assert_eq!(Failure(err).code(), status, "{name}={number}");
            assert!(listed(status) && (status == P21_OK) != client.is_null());
            if status == P21_OK {
                let cached = Client(client).get(P21_CACHED_ONLY);
                assert!(cached.is_err_and(|failure| listed(failure.code())));
            }
        }
    }
}

#[test]
fn random_integers_in_every_call() {
    let emulator = emulator();
    let client = ready(&emulator);
    let mut runner = TestRunner::new(Runs {
        cases: 300,
        failure_persistence: None,
        ..Runs::default()
    });
    let numbers = (
        any::<u32>(),
        0_u32..32,
        any::<u32>(),
        any::<i32>(),
        0_usize..2_000,
        any::<u64>(),
    );
    runner
        .run(&numbers, |(flags, few, number, signed, size, cursor)| {
            for flags in [flags, few] {
                token_calls(&client, flags, number, number);
                copy(&client, flags, size, size);
            }
            report(&client, signed, b"x".as_ptr(), 1);
            report(&client, signed % 700, ptr::null(), size);
            let (mut cursor, mut text) = (cursor, ptr::null_mut());
            let status = unsafe {
                p21_log_read(&raw mut cursor, signed % 8, &raw mut text, ptr::null_mut())
            };
            prop_assert!(listed(status));
            p21_free_text(text);
            let name = support_text(p21_status_name(signed));
            prop_assert_eq!(name == "P21_E_UNKNOWN", !listed(signed));
            Ok(())
        })
        .expect("every case");
}

fn support_text(pointer: *const c_char) -> String {
    text(pointer)
}
