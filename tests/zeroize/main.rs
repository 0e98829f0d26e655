//! Buffers that the library owns are zeroed before they are freed: an allocator that looks into each block as it goes, while
//! everything that handles secrets runs through the C API. Growing a buffer counts as freeing its old block.
//!
//! Left out is what is freed by the HTTP stack (its own copies are beyond the library, as the documentation says), by the
//! emulator, which is the other end of the wire, and by this test, which is the caller. Whose a block is tells the stack at the
//! moment of freeing: its innermost function that is not the standard library's.
#![allow(unsafe_code, reason = "an allocator, and C's functions")]
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "what each call is given stands right above it"
)]
#![allow(clippy::format_collect, reason = "these texts are short")]

mod allocations;

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use p21_emulator::{Action, Emulator, Fault};
use p21auth::internal::capi::*;

use test_support::capi::{Client, Config, c, p21_free_text, take};
use test_support::emulator;

/// In each planted secret, and nowhere else; no writer of JSON, XML or URLs has to escape it. Only the whole of it counts: a
/// few bytes less may be what a vector register left behind in the unused part of some structure.
const MARK: &[u8; 40] = b"zQ9Jx7-forty-bytes-in-every-secret-7xJ9Q";

/// A secret: the mark, a name, and enough behind it that a buffer which grows holds the whole mark before it is full.
fn secret(name: &str) -> String {
    format!(
        "{}-{name}-{}",
        String::from_utf8_lossy(MARK),
        "x".repeat(120)
    )
}

struct Watching;

#[global_allocator]
static ALLOCATOR: Watching = Watching;

static ON: AtomicBool = AtomicBool::new(false);
/// Blocks with a secret in them that someone else freed: shows that the looking works.
static BEYOND: AtomicU64 = AtomicU64::new(0);
/// Stacks, and how often each was met.
static FOUND: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

thread_local! {
    /// This thread is inside the bookkeeping, whose own blocks are not looked at.
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

// SAFETY: every block comes from and goes back to the system's allocator, with the layout it was asked for.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        allocations::count();
        // Zeroed, or a block would show what another owner left in it.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if ON.load(Ordering::Relaxed) {
            look(unsafe { std::slice::from_raw_parts(block, layout.size()) });
        }
        unsafe { System.dealloc(block, layout) }
    }

    /// Always moves: what grows in place today may move tomorrow.
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                new.copy_from_nonoverlapping(block, layout.size().min(size));
                self.dealloc(block, layout);
            }
            new
        }
    }
}

fn look(block: &[u8]) {
    // As bytes, and as UTF-16 and UTF-32.
    let holds = |width: usize| {
        let length = (MARK.len() - 1) * width + 1;
        block
            .windows(length)
            .any(|part| part.iter().step_by(width).eq(MARK))
    };
    if block.contains(&MARK[0]) && [1, 2, 4].into_iter().any(holds) {
        let _ = BUSY.try_with(|busy| {
            if !busy.replace(true) {
                note();
                busy.set(false);
            }
        });
    }
}

/// The HTTP stack.
const STACK: [&str; 8] = [
    "/reqwest-",
    "/hyper-",
    "/http-",
    "/httparse-",
    "/rustls-",
    "/tokio-",
    "/tower",
    "/bytes-",
];

/// One frame of a stack: what and where.
fn frames(stack: &str) -> Vec<(&str, &str)> {
    let mut frames: Vec<(&str, &str)> = Vec::new();
    for line in stack.lines().map(str::trim_start) {
        match (line.strip_prefix("at "), frames.last_mut()) {
            (Some(place), Some(last)) => last.1 = place,
            _ => frames.push((line, "")),
        }
    }
    frames
}

fn note() {
    // Threads of the HTTP stack and of the emulator need no look at their stacks, which takes long.
    let thread = std::thread::current();
    let name = thread.name().unwrap_or_default();
    if name.starts_with("reqwest") || name.starts_with("p21-emulator") {
        BEYOND.fetch_add(1, Ordering::Relaxed);
        return;
    }
    let stack = Backtrace::force_capture().to_string();
    let all = frames(&stack);
    // Below it is this allocator.
    let entry = all.iter().position(|(name, _)| name.contains("__rust_"));
    let frames = &all[entry.map_or(0, |at| at + 1)..];
    let is_ours = |place: &str| place.starts_with("./src/");
    let is_theirs = |name: &str, place: &str| {
        name.contains("drop_in_place<reqwest")
            || place.starts_with("./emulator/src/")
            || place.starts_with("./tests/")
            || STACK.iter().any(|part| place.contains(part))
    };
    // The first that is either decides; std and small crates work for both.
    let whose = frames
        .iter()
        .find(|(name, place)| is_ours(place) || is_theirs(name, place));
    if whose.is_none_or(|(name, place)| is_theirs(name, place)) {
        BEYOND.fetch_add(1, Ordering::Relaxed);
        return;
    }
    let told: Vec<String> = frames
        .iter()
        .filter(|(name, place)| {
            place.starts_with("./src/")
                || place.contains("/registry/")
                || name.contains("drop_in_place")
        })
        .take(12)
        .map(|(name, place)| format!("    {name} {place}"))
        .collect();
    if let Ok(mut found) = FOUND.lock() {
        *found.entry(told.join("\n")).or_default() += 1;
    }
}

/// Token replies in every form, with this number in each.
fn replies(number: usize) -> Vec<String> {
    let access = secret(&format!("access-{number}"));
    let refresh = secret(&format!("refresh-{number}"));
    let escaped: String = access
        .chars()
        .map(|c| format!("\\u{:04x}", u32::from(c)))
        .collect();
    vec![
        format!(
            r#"{{"AccessToken":"{access}","RefreshToken":"{refresh}","ExpiresInSeconds":3600,"UserName":"u","Padding":"{}"}}"#,
            "x".repeat(3_000)
        ),
        format!(r#"{{"AccessToken":"{escaped}","RefreshToken":"{refresh}\/\"\u0041"}}"#),
        format!(
            "<Token><AccessToken>{access}</AccessToken><RefreshToken>{refresh}&amp;&#65;<![CDATA[{refresh}]]></RefreshToken></Token>"
        ),
        format!(r#"<Token AccessToken="{access}" RefreshToken="{refresh}&amp;"/>"#),
        format!("\"{access}\""),
        format!(r#"{{"token":{{"AccessToken":"{access}"}},"list":["{refresh}"]}}"#),
        access,
        format!(r#"{{"AccessToken":"{refresh} \n"}}"#),
        format!(r#"{{"AccessToken":"{refresh}"#),
    ]
}

/// What is no token, with a secret that the client knows.
fn echoes(secret: &str) -> [String; 3] {
    [
        format!(r#"{{"ErrorMessage":"\u0022{secret}\u0022 and {secret}"}}"#),
        format!("{secret} is wrong, is {secret}"),
        format!("<html><title>{secret}</title>{secret}</html>"),
    ]
}

fn answer(emulator: &Emulator, path: &str, status: u16, body: &str) {
    emulator.control().clear_faults();
    emulator
        .control()
        .fault(Fault::on(path, Action::answer(status, body)).times(0));
}

/// Everything that a client can be asked for.
fn use_client(client: &Client, emulator: &Emulator, known: &str) {
    for flags in [0, P21_FORCE_REFRESH, P21_WITH_SCHEME, P21_CACHED_ONLY] {
        let _ = client.get(flags);
    }
    let mut buffer = [0_u8; 1024];
    let mut length = 0;
    unsafe {
        p21_token_copy(
            client.0,
            0,
            0,
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            &raw mut length,
            ptr::null_mut(),
        )
    };
    let mut snapshot = ptr::null_mut();
    unsafe { p21_token_snapshot(client.0, 0, 0, 60, &raw mut snapshot, ptr::null_mut()) };
    for name in ["AccessToken", "RefreshToken", "UserName", "Claims.sub"] {
        let name = c(name);
        unsafe { p21_token_field(snapshot, name.as_ptr()) };
    }
    let mut json = ptr::null_mut();
    if unsafe { p21_token_json(snapshot, &raw mut json, ptr::null_mut()) } == P21_OK {
        p21_free_text(json);
    }
    let _ = client.stats();
    let mut url = ptr::null_mut();
    let token = client.get(P21_CACHED_ONLY).unwrap_or_default();
    let page = format!("{token} and {known} are no good");
    for (status, body) in [
        (500, page.as_str()),
        (200, r#"{"Url":"https://ui.example.com/"}"#),
    ] {
        emulator
            .control()
            .fault(Fault::on("/api/ui/router", Action::answer(status, body)));
        if unsafe { p21_ui_url(client.0, 1, 0, &raw mut url, ptr::null_mut()) } == P21_OK {
            p21_free_text(url);
        }
    }
    assert!((1..=4).contains(&client.report(&token, 401, &page)));
    let _ = client.get(0);
    unsafe { p21_token_invalidate(client.0, ptr::null(), ptr::null_mut()) };
    p21_token_free(snapshot);
}

/// A client with these options, through every answer and then other credentials.
fn one_way(
    emulator: &Emulator,
    number: usize,
    way: &[(&str, &str)],
    known: &str,
    other_password: &str,
) {
    let config = Config::new(&[
        ("base_url", emulator.base_url()),
        ("max_retries", "0"),
        ("min_refresh_interval_s", "0"),
        ("bad_credentials_cooldown_s", "0"),
        ("proxy", "direct"),
    ]);
    for (name, value) in way {
        assert_eq!(config.set(name, value), P21_OK);
    }
    let client = config.open();
    let failures = echoes(known);
    let failures = [200, 401, 403, 500]
        .into_iter()
        .flat_map(|status| failures.iter().map(move |body| (status, body.as_str())));
    let replies = replies(number);
    let replies = replies.iter().map(|body| (200, body.as_str()));
    // What an answer looks like has nothing to do with how it was asked for: all of them once, then a few.
    let few = if number == 0 { 1 } else { 5 };
    for (status, body) in replies.step_by(few).chain(failures.step_by(few)) {
        answer(emulator, "/api/security/token", status, body);
        use_client(&client, emulator, known);
    }
    let mut json = ptr::null_mut();
    answer(
        emulator,
        "/api/security/token",
        200,
        &self::replies(number)[0],
    );
    if unsafe { p21_token_request(config.0, &raw mut json, ptr::null_mut()) } == P21_OK {
        p21_free_text(json);
    }
    if config.set("password", other_password) == P21_OK {
        unsafe { p21_client_update(client.0, config.0, ptr::null_mut()) };
        let _ = client.get(0);
    }
}

fn everything(emulator: &Emulator, folder: &std::path::Path) {
    let [password, other_password, key, store_key, own_token] =
        ["password", "other", "key", "store-key", "own-token"].map(secret);
    let password_file = folder.join("password");
    std::fs::write(&password_file, format!("{password}\n")).expect("written");
    let token_file = folder.join("token");
    std::fs::write(&token_file, format!("Bearer {own_token}\n")).expect("written");
    let env_file = folder.join("env");
    std::fs::write(
        &env_file,
        format!("P21_PASSWORD='{password}'\nP21_USERNAME=\"u\"\n"),
    )
    .expect("written");
    // A command gets a copy of the environment.
    unsafe { std::env::set_var("P21_TEST_SECRET", &password) };
    let store = format!("file://{}", folder.join("store").display());
    let (password_file, token_file) = (
        password_file.display().to_string(),
        token_file.display().to_string(),
    );
    let ways: &[&[(&str, &str)]] = &[
        &[("username", "u"), ("password", &password)],
        &[
            ("username", "u"),
            ("password", &password),
            ("auth_mode", "v1_password"),
        ],
        &[
            ("username", "u"),
            ("password", &password),
            ("auth_mode", "v1_query"),
        ],
        &[("consumer_key", &key)],
        &[
            ("consumer_key", &key),
            ("auth_mode", "v1_consumer"),
            ("username", "u"),
        ],
        &[("username", "u"), ("password_file", &password_file)],
        &[
            ("username", "u"),
            ("password_from", "command:printenv P21_TEST_SECRET"),
        ],
        &[("username", "u"), ("password_from", "env:P21_TEST_SECRET")],
        &[("access_token", &own_token)],
        &[("access_token_file", &token_file)],
        &[
            ("username", "s"),
            ("password", &password),
            ("store", &store),
            ("store_key", &store_key),
        ],
    ];
    for (number, way) in ways.iter().enumerate() {
        let known = match way {
            [("consumer_key", _), ..] => &key,
            [("access_token" | "access_token_file", _), ..] => &own_token,
            _ => &password,
        };
        one_way(emulator, number, way, known, &other_password);
    }
    let config = Config::new(&[]);
    let path = c(&env_file.display().to_string());
    assert_eq!(
        unsafe { p21_config_load_file(config.0, path.as_ptr(), ptr::null_mut()) },
        P21_OK
    );
    let name = c("password");
    unsafe { p21_config_set(config.0, name.as_ptr(), ptr::null(), ptr::null_mut()) };
    for body in replies(99) {
        let mut json = ptr::null_mut();
        let status = unsafe {
            p21_parse_token_response(body.as_ptr(), body.len(), &raw mut json, ptr::null_mut())
        };
        if status == P21_OK {
            take(json);
        }
    }
    let mut cursor = 0;
    let mut lines = ptr::null_mut();
    if unsafe { p21_log_read(&raw mut cursor, 5, &raw mut lines, ptr::null_mut()) } == P21_OK {
        p21_free_text(lines);
    }
}

#[test]
fn nothing_is_freed_with_a_secret_in_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let emulator = emulator();
    ON.store(true, Ordering::Relaxed);
    everything(&emulator, folder.path());
    // The allocator sees what is freed: this text, for one.
    let (text, before) = (secret("dropped"), BEYOND.load(Ordering::Relaxed));
    drop(text);
    ON.store(false, Ordering::Relaxed);
    assert!(BEYOND.load(Ordering::Relaxed) > before);
    assert!(before > 100, "the HTTP stack frees its copies: {before}");
    let found = std::mem::take(&mut *FOUND.lock().expect("unpoisoned"));
    let told = found
        .iter()
        .map(|(stack, times)| format!("{times} times:\n{stack}\n"));
    assert!(
        found.is_empty(),
        "blocks freed with a secret in them\n{}",
        told.collect::<String>()
    );
}
