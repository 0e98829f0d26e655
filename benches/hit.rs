//! What a hit costs, next to the least that anything could cost, measured in the same run.
//!
//! The library is loaded as a C program loads it, from `target/release/libp21auth.so` (made by `make lib`) or from where
//! `P21_LIBRARY` says: thread-local storage and calls between modules cost more there than inside one executable. Time
//! is the processor's, since others may be at work on the machine; the rounds of all subjects take turns and the median counts.
#![allow(unsafe_code, reason = "C's functions are called through pointers")]
#![allow(
    clippy::cast_precision_loss,
    clippy::too_many_lines,
    reason = "a benchmark reads best in one piece, and its numbers are small"
)]
#![cfg(target_os = "linux")]

use std::ffi::{CString, c_char, c_void};
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::process::Command;
use std::ptr;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use p21_emulator::{Emulator, Options};
use p21auth::internal::capi::{p21_client, p21_config, p21_error, p21_status, p21_token};

const ROUNDS: usize = 61;
const CALLS: u32 = 20_000;
const TOKEN_LEN: usize = 900;
const CLIENTS: usize = 10_000;

/// The functions of the loaded library, by the names of the header without `p21_`.
macro_rules! functions {
    ($($name:ident($($argument:ty),*) $(-> $result:ty)?;)+) => {
        struct Library {
            $($name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)+
        }

        impl Library {
            fn load() -> Library {
                let library = open();
                Library {
                    $($name: {
                        let name = concat!("p21_", stringify!($name), "\0");
                        // SAFETY: a live library and a C string.
                        let found = unsafe { libc::dlsym(library, name.as_ptr().cast()) };
                        assert!(!found.is_null(), "{name}");
                        // SAFETY: this is the type that the header gives the function.
                        unsafe {
                            std::mem::transmute::<
                                *mut c_void,
                                unsafe extern "C" fn($($argument),*) $(-> $result)?,
                            >(found)
                        }
                    },)+
                }
            }
        }
    };
}

functions! {
    config_new(*mut *mut p21_config) -> p21_status;
    config_set(*mut p21_config, *const c_char, *const c_char) -> p21_status;
    config_free(*mut p21_config);
    client_new(*const p21_config, *mut *mut p21_client, *mut *mut p21_error) -> p21_status;
    client_free(*mut p21_client);
    token_get(*const p21_client, u32, u32, *mut *mut c_char, *mut *mut p21_error) -> p21_status;
    token_copy(*const p21_client, u32, u32, *mut c_char, usize, *mut usize, *mut *mut p21_error) -> p21_status;
    token_snapshot(*const p21_client, u32, u32, u32, *mut *mut p21_token, *mut *mut p21_error) -> p21_status;
    token_free(*mut p21_token);
    free(*mut c_void);
}

fn path() -> PathBuf {
    std::env::var_os("P21_LIBRARY").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/release/libp21auth.so"),
        PathBuf::from,
    )
}

fn open() -> *mut c_void {
    let path =
        CString::new(path().into_os_string().into_encoded_bytes()).expect("no NUL in a path");
    // SAFETY: a C string; the library runs no code of its own when it is loaded.
    let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    assert!(
        !library.is_null(),
        "{path:?} cannot be loaded: run make lib first"
    );
    library
}

impl Library {
    fn config(&self, options: &[(&str, &str)]) -> *mut p21_config {
        let mut config = ptr::null_mut();
        // SAFETY: an out pointer, and C strings.
        unsafe {
            assert_eq!((self.config_new)(&raw mut config), 0);
            for (name, value) in options {
                let (name, value) = (c(name), c(value));
                assert_eq!((self.config_set)(config, name.as_ptr(), value.as_ptr()), 0);
            }
        }
        config
    }

    fn client(&self, config: *const p21_config) -> *mut p21_client {
        let mut client = ptr::null_mut();
        // SAFETY: an out pointer.
        let status = unsafe { (self.client_new)(config, &raw mut client, ptr::null_mut()) };
        assert_eq!(status, 0);
        client
    }

    fn copy_hit(&self, client: *const p21_client, buffer: &mut [u8; 4096]) {
        let mut len = 0;
        let buf = buffer.as_mut_ptr().cast();
        // SAFETY: a buffer of that size and an out pointer.
        let status =
            unsafe { (self.token_copy)(client, 0, 0, buf, 4096, &raw mut len, ptr::null_mut()) };
        assert!(status == 0 && len == TOKEN_LEN);
    }
}

fn c(text: &str) -> CString {
    CString::new(text).expect("no NUL")
}

/// A handle that threads share.
#[derive(Clone, Copy)]
struct Shared(*mut p21_client);
// SAFETY: a handle is a number.
unsafe impl Sync for Shared {}

/// The least that a hit could cost: both clocks in full, and the copy.
fn floor(from: &[u8; TOKEN_LEN + 1], to: &mut [u8; 4096]) {
    for clock in [libc::CLOCK_MONOTONIC, libc::CLOCK_REALTIME] {
        let mut time = MaybeUninit::<libc::timespec>::uninit();
        // SAFETY: an out pointer.
        unsafe { libc::clock_gettime(clock, time.as_mut_ptr()) };
        black_box(&time);
    }
    black_box(&mut *to)[..=TOKEN_LEN].copy_from_slice(black_box(from));
}

/// The processor time that this thread has used, in nanoseconds.
fn spent() -> f64 {
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: an out pointer; zeros are a time.
    let time = unsafe {
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, time.as_mut_ptr());
        time.assume_init()
    };
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Nanoseconds a call.
fn time(calls: u32, mut work: impl FnMut()) -> f64 {
    let start = spent();
    for _ in 0..calls {
        work();
    }
    (spent() - start) / f64::from(calls)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Calls in a nanosecond of as many processors as there are threads. Threads that get into each other's way need more time
/// for a call.
fn throughput(threads: usize, work: impl Fn() + Sync) -> f64 {
    let barrier = Barrier::new(threads);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    1.0 / time(CALLS * 10, &work)
                })
            })
            .collect();
        let each = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        each.map(|calls| calls.expect("no panic")).sum()
    })
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("a line");
    line.split_whitespace()
        .nth(1)
        .expect("a number")
        .parse()
        .expect("a number")
}

fn row(what: &str, figure: &str, aim: &str) {
    println!("| {what} | {figure} | {aim} |");
}

fn main() {
    if std::env::args().any(|argument| argument == "--only-load") {
        let start = Instant::now();
        open();
        println!("{}", start.elapsed().as_micros());
        return;
    }
    let loads: Vec<f64> = (0..15).map(|_| load_once().as_secs_f64() * 1e3).collect();

    let mut options = Options::default();
    let token = "x".repeat(TOKEN_LEN);
    let fields = &mut options.settings.extra_fields;
    fields.insert("AccessToken".to_owned(), token.into());
    let emulator = Emulator::start(options).expect("a free port");
    let library = Library::load();
    let user = [
        ("base_url", emulator.base_url()),
        ("username", "demo"),
        ("password", "demo-password"),
    ];
    let config = library.config(&user);
    let client = library.client(config);
    let folder = tempfile::tempdir().expect("a folder");
    let store = format!("file://{}", folder.path().display());
    let sharing = library.config(&[user[0], user[1], user[2], ("store", &store)]);
    let sharer = library.client(sharing);
    let mut buffer = [0; 4096];
    library.copy_hit(client, &mut buffer);
    library.copy_hit(sharer, &mut buffer);

    let from = [b'x'; TOKEN_LEN + 1];
    let mut to = [0; 4096];
    let mut times: [Vec<f64>; 6] = Default::default();
    for _ in 0..ROUNDS {
        times[0].push(time(CALLS, || floor(&from, &mut to)));
        times[1].push(time(CALLS, || {
            library.copy_hit(black_box(client), black_box(&mut buffer));
        }));
        times[5].push(time(CALLS, || {
            library.copy_hit(black_box(sharer), black_box(&mut buffer));
        }));
        times[2].push(time(CALLS, || {
            let mut token = ptr::null_mut();
            // SAFETY: an out pointer; the string is freed once.
            unsafe {
                assert_eq!(
                    (library.token_get)(black_box(client), 0, 0, &raw mut token, ptr::null_mut()),
                    0
                );
                (library.free)(token.cast());
            }
        }));
        times[3].push(time(CALLS, || {
            let mut token = ptr::null_mut();
            // SAFETY: an out pointer; the snapshot is freed once.
            unsafe {
                assert_eq!(
                    (library.token_snapshot)(
                        black_box(client),
                        0,
                        0,
                        0,
                        &raw mut token,
                        ptr::null_mut()
                    ),
                    0
                );
                (library.token_free)(token);
            }
        }));
        times[4].push(time(CALLS / 100, || {
            let other = library.client(config);
            library.copy_hit(other, &mut buffer);
            // SAFETY: freed once.
            unsafe { (library.client_free)(other) };
        }));
    }
    let [floor_ns, copy, get, snapshot, open_hit, sharing_copy] = times.map(median);

    let for_all = Shared(client);
    let hit = || {
        let for_all = &for_all;
        let mut buffer = MaybeUninit::<[u8; 4096]>::uninit();
        let mut len = 0;
        // SAFETY: a buffer of that size and an out pointer.
        let status = unsafe {
            (library.token_copy)(
                for_all.0,
                0,
                0,
                buffer.as_mut_ptr().cast(),
                4096,
                &raw mut len,
                ptr::null_mut(),
            )
        };
        assert!(status == 0 && len == TOKEN_LEN);
        black_box(&buffer);
    };
    let one = median((0..15).map(|_| throughput(1, hit)).collect());
    let two = median((0..15).map(|_| throughput(2, hit)).collect());

    println!("| Work | Figure | To reach |\n|---|---|---|");
    row(
        "two full clock reads and a 900-byte copy",
        &format!("{floor_ns:.0} ns"),
        "the measure",
    );
    row(
        "`p21_token_copy` hit",
        &format!("{copy:.0} ns, {:.2} of the measure", copy / floor_ns),
        "≤ 1",
    );
    row(
        "the same with `store=file`",
        &format!(
            "{sharing_copy:.0} ns, {:.2} of that without",
            sharing_copy / copy
        ),
        "the same, within noise",
    );
    row(
        "the same on two threads",
        &format!("{:.2} × one thread's throughput", two / one),
        "≥ 1.9",
    );
    row(
        "`p21_token_get` hit and `p21_free`",
        &format!("{get:.0} ns"),
        "≤ 150 ns",
    );
    row(
        "`p21_token_snapshot` and `p21_token_free`",
        &format!("{snapshot:.0} ns"),
        "",
    );
    row(
        "client of a known identity: open, hit, free",
        &format!("{:.1} µs", open_hit / 1000.0),
        "",
    );
    row("`dlopen`", &format!("{:.1} ms", median(loads)), "≤ 5 ms");
    many_clients(&library, emulator.base_url());
    // SAFETY: freed once.
    unsafe {
        (library.client_free)(client);
        (library.client_free)(sharer);
        (library.config_free)(config);
        (library.config_free)(sharing);
    }
}

/// A process of its own, since a library stays loaded.
fn load_once() -> Duration {
    let program = std::env::current_exe().expect("a path");
    let said = Command::new(program)
        .arg("--only-load")
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&said.stdout);
    Duration::from_micros(said.trim().parse().expect("a number"))
}

fn many_clients(library: &Library, base_url: &str) {
    let before = resident_kib();
    let start = Instant::now();
    let clients: Vec<*mut p21_client> = (0..CLIENTS)
        .map(|number| {
            let (user, secret) = (format!("user{number}"), format!("secret-{number}"));
            let config = library.config(&[
                ("base_url", base_url),
                ("username", &user),
                ("password", &secret),
            ]);
            let client = library.client(config);
            // SAFETY: freed once.
            unsafe { (library.config_free)(config) };
            client
        })
        .collect();
    let each_us = start.elapsed().as_secs_f64() * 1e6 / CLIENTS as f64;
    let each_kib = (resident_kib() - before) as f64 / CLIENTS as f64;
    let threads = std::fs::read_dir("/proc/self/task").expect("Linux").count();
    row(
        "10,000 clients of different users",
        &format!("{each_kib:.2} KB and {each_us:.0} µs a client"),
        "≤ 4 KB",
    );
    println!("\nThreads in the process with 10,000 clients: {threads}, the emulator's included.");
    for client in clients {
        // SAFETY: freed once.
        unsafe { (library.client_free)(client) };
    }
}
