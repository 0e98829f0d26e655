//! What a hit costs at every moment of a token's life, next to the least that anything could cost, measured in the same run.
//!
//! The library is loaded as a C program loads it, from `target/release/libp21auth.so` (made by `make lib`) or from where
//! `P21_LIBRARY` says: thread-local storage and calls between modules cost more there than inside one executable. Each
//! round is timed by the wall clock and by the processor's; the rounds of all subjects take turns and the median counts.
//! The rows that are printed belong into `benches/RESULTS.md`; see the Makefile.
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

use p21_emulator::{Action, Emulator, Fault, Options};
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
                        // SAFETY: this is the function's type in the header.
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
    config_new(*mut *mut p21_config, *mut *mut p21_error) -> p21_status;
    config_set(*mut p21_config, *const c_char, *const c_char, *mut *mut p21_error) -> p21_status;
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
            assert_eq!((self.config_new)(&raw mut config, ptr::null_mut()), 0);
            for (name, value) in options {
                let (name, value) = (c(name), c(value));
                let (name, value) = (name.as_ptr(), value.as_ptr());
                assert_eq!((self.config_set)(config, name, value, ptr::null_mut()), 0);
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
#[derive(Clone, Copy)]
struct Cost {
    wall: f64,
    processor: f64,
}

impl Cost {
    fn of(calls: u32, mut work: impl FnMut()) -> Cost {
        let (start, before) = (Instant::now(), spent());
        for _ in 0..calls {
            work();
        }
        let (wall, processor) = (start.elapsed().as_secs_f64() * 1e9, spent() - before);
        Cost {
            wall: wall / f64::from(calls),
            processor: processor / f64::from(calls),
        }
    }

    /// The medians of rounds.
    fn median(rounds: &[Cost]) -> Cost {
        Cost {
            wall: median(rounds.iter().map(|cost| cost.wall).collect()),
            processor: median(rounds.iter().map(|cost| cost.processor).collect()),
        }
    }

    fn over(self, other: Cost) -> Cost {
        Cost {
            wall: self.wall / other.wall,
            processor: self.processor / other.processor,
        }
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// What a call costs while this many threads do the same, each of them on a processor of its own if there are this many.
fn together(threads: usize, work: impl Fn() + Sync) -> Cost {
    let barrier = Barrier::new(threads);
    let costs: Vec<Cost> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    work();
                    barrier.wait();
                    Cost::of(CALLS * 5, &work)
                })
            })
            .collect();
        let each = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        each.map(|cost| cost.expect("no panic")).collect()
    });
    let mean = |cost: fn(&Cost) -> f64| costs.iter().map(cost).sum::<f64>() / threads as f64;
    Cost {
        wall: mean(|cost| cost.wall),
        processor: mean(|cost| cost.processor),
    }
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

/// A row of the table: by the wall clock, by the processor's, and what it is beside or must reach.
fn row(what: &str, wall: &str, processor: &str, beside: &str) {
    println!("| C | {what} | {wall} | {processor} | {beside} |");
}

/// A cost and its ratio to another.
fn ratio_row(what: &str, cost: Cost, of: Cost, name: &str, limit: &str) {
    let ratio = cost.over(of);
    row(
        what,
        &format!("{:.0} ns: {:.2} of {name}", cost.wall, ratio.wall),
        &format!("{:.0} ns: {:.2}", cost.processor, ratio.processor),
        limit,
    );
}

/// An emulator whose tokens are as long as real ones and live so long.
fn emulator(lifetime_s: i64) -> Emulator {
    let mut options = Options::default();
    options.settings.lifetime_s = lifetime_s;
    let fields = &mut options.settings.extra_fields;
    fields.insert("AccessToken".to_owned(), "x".repeat(TOKEN_LEN).into());
    Emulator::start(options).expect("a free port")
}

/// In the window of a token of this many seconds a refresh has at least as long as the comparisons take.
const LIFETIME_S: i64 = 40;
/// A moment in that window, no matter what the jitter, and long before its last seconds.
const IN_THE_WINDOW: Duration = Duration::from_millis(36_600);

fn main() {
    if std::env::args().any(|argument| argument == "--only-load") {
        let start = Instant::now();
        open();
        println!("{}", start.elapsed().as_micros());
        return;
    }
    let loads: Vec<f64> = (0..15).map(|_| load_once().as_secs_f64() * 1e3).collect();

    let server = emulator(86_400);
    let library = Library::load();
    let fresh = Subject::new(&library, &server, &[]);
    let folder = tempfile::tempdir().expect("a folder");
    let store = format!("file://{}", folder.path().display());
    let sharer = Subject::new(&library, &server, &[("store", &store)]);
    let moments = Moments::begin(&library);

    let mut buffer = [0; 4096];
    let from = [b'x'; TOKEN_LEN + 1];
    let mut to = [0; 4096];
    let mut costs: [Vec<Cost>; 6] = Default::default();
    for _ in 0..ROUNDS {
        costs[0].push(Cost::of(CALLS, || floor(&from, &mut to)));
        costs[1].push(Cost::of(CALLS, || fresh.copy_hit(&mut buffer)));
        costs[2].push(Cost::of(CALLS, || sharer.copy_hit(&mut buffer)));
        costs[3].push(Cost::of(CALLS, || fresh.get_and_free()));
        costs[4].push(Cost::of(CALLS, || fresh.snapshot_and_free()));
        costs[5].push(Cost::of(CALLS / 100, || {
            Subject::new(&library, &server, &[]).copy_hit(&mut buffer);
        }));
    }
    let [least, copy, sharing, get, snapshot, opened] = costs.map(|rounds| Cost::median(&rounds));

    row(
        "two full clock reads and a 900-byte copy: the measure",
        &format!("{:.0} ns", least.wall),
        &format!("{:.0} ns", least.processor),
        "",
    );
    let measure = "the measure";
    ratio_row(
        "hit: `p21_token_copy`, 900 bytes",
        copy,
        least,
        measure,
        "at most 0.8",
    );
    ratio_row(
        "the same with `store=file`",
        sharing,
        copy,
        "that without",
        "the same",
    );
    moments.compare(&fresh);
    two_threads(&fresh);
    ratio_row(
        "`p21_token_get` and `p21_free`",
        get,
        copy,
        "a hit",
        "at most 2",
    );
    let times = |cost: Cost, unit: f64, name: &str| {
        (
            format!("{:.1} {name}", cost.wall / unit),
            format!("{:.1} {name}", cost.processor / unit),
        )
    };
    let (wall, processor) = times(snapshot, 1.0, "ns");
    row("snapshot and free", &wall, &processor, "");
    let (wall, processor) = times(opened, 1000.0, "µs");
    row(
        "open, first hit, free (known identity)",
        &wall,
        &processor,
        "",
    );
    row(
        "`dlopen`",
        &format!("{:.1} ms", median(loads)),
        "",
        "at most 5 ms",
    );
    many_clients(&library, server.base_url());
}

/// A client of the loaded library.
struct Subject<'a> {
    library: &'a Library,
    client: Shared,
}

impl<'a> Subject<'a> {
    /// With its first token, unless the server does not answer.
    fn new(library: &'a Library, server: &Emulator, more: &[(&str, &str)]) -> Subject<'a> {
        let mut options = vec![
            ("base_url", server.base_url()),
            ("username", "demo"),
            ("password", "demo-password"),
        ];
        options.extend(more);
        let config = library.config(&options);
        let client = Shared(library.client(config));
        // SAFETY: freed once.
        unsafe { (library.config_free)(config) };
        let subject = Subject { library, client };
        subject.copy_hit(&mut [0; 4096]);
        subject
    }

    fn copy_hit(&self, buffer: &mut [u8; 4096]) {
        self.library
            .copy_hit(black_box(self.client.0), black_box(buffer));
    }

    /// As a caller with a buffer on its stack.
    fn copy_to_stack(&self) {
        let mut buffer = MaybeUninit::<[u8; 4096]>::uninit();
        let (mut len, client) = (0, black_box(self.client.0));
        let buf = buffer.as_mut_ptr().cast();
        // SAFETY: a buffer of that size and an out pointer.
        let status = unsafe {
            (self.library.token_copy)(client, 0, 0, buf, 4096, &raw mut len, ptr::null_mut())
        };
        assert!(status == 0 && len == TOKEN_LEN);
        black_box(&buffer);
    }

    fn get_and_free(&self) {
        let (mut token, client) = (ptr::null_mut(), black_box(self.client.0));
        // SAFETY: an out pointer; the string is freed once.
        unsafe {
            let status = (self.library.token_get)(client, 0, 0, &raw mut token, ptr::null_mut());
            assert_eq!(status, 0);
            (self.library.free)(token.cast());
        }
    }

    fn snapshot_and_free(&self) {
        let (mut token, client) = (ptr::null_mut(), black_box(self.client.0));
        // SAFETY: an out pointer; the snapshot is freed once.
        unsafe {
            let status =
                (self.library.token_snapshot)(client, 0, 0, 0, &raw mut token, ptr::null_mut());
            assert_eq!(status, 0);
            (self.library.token_free)(token);
        }
    }
}

impl Drop for Subject<'_> {
    fn drop(&mut self) {
        // SAFETY: freed once.
        unsafe { (self.library.client_free)(self.client.0) };
    }
}

/// Hits on one thread and on two.
fn two_threads(subject: &Subject<'_>) {
    let mut costs: [Vec<Cost>; 3] = Default::default();
    for _ in 0..15 {
        costs[0].push(together(1, || subject.copy_to_stack()));
        costs[1].push(together(2, || subject.copy_to_stack()));
        costs[2].push(together(2, || subject.get_and_free()));
    }
    let [one, two, get] = costs.map(|rounds| Cost::median(&rounds));
    let gain = one.over(two);
    row(
        "`p21_token_copy` on two threads",
        &format!("{:.2} × one thread", 2.0 * gain.wall),
        &format!("{:.2} × one thread", 2.0 * gain.processor),
        "at least 1.9 ×",
    );
    ratio_row(
        "`p21_token_get` and `p21_free` on two threads",
        get,
        two,
        "a hit on two threads",
        "at most 2",
    );
}

/// Clients at other moments of a token's life than its best years.
struct Moments<'a> {
    begun: Instant,
    window: (Emulator, Subject<'a>),
    backoff: (Emulator, Subject<'a>),
    flight: (Emulator, Subject<'a>),
}

impl<'a> Moments<'a> {
    /// The first tokens of all, after which each server goes wrong in its own way.
    fn begin(library: &'a Library) -> Moments<'a> {
        let make = |lifetime_s, fault: Fault| {
            let server = emulator(lifetime_s);
            let subject = Subject::new(library, &server, &[]);
            server.control().fault(fault);
            (server, subject)
        };
        let hangs = || Fault {
            path: "/token".to_owned(),
            hang: true,
            times: 0,
            ..Fault::default()
        };
        let down = Action::Answer {
            status: 503,
            headers: [("Retry-After".to_owned(), "3600".to_owned())].into(),
            body: String::new(),
        };
        Moments {
            window: make(LIFETIME_S, hangs()),
            backoff: make(
                LIFETIME_S,
                Fault {
                    path: "/token".to_owned(),
                    times: 0,
                    action: down,
                    ..Fault::default()
                },
            ),
            flight: make(86_400, hangs()),
            begun: Instant::now(),
        }
    }

    /// All by turns, once two of the tokens are in their window.
    fn compare(self, fresh: &Subject<'_>) {
        std::thread::sleep(IN_THE_WINDOW.saturating_sub(self.begun.elapsed()));
        let mut buffer = [0; 4096];
        std::thread::scope(|scope| {
            let (server, subject) = &self.flight;
            scope.spawn(|| {
                let (mut token, client) = (ptr::null_mut(), subject.client.0);
                // SAFETY: an out pointer; a string that comes is not missed at the end of the process.
                unsafe {
                    (subject.library.token_get)(client, 1, 0, &raw mut token, ptr::null_mut())
                };
            });
            // The first calls in the window start what goes wrong.
            self.window.1.copy_hit(&mut buffer);
            self.backoff.1.copy_hit(&mut buffer);
            for server in [server, &self.window.0, &self.backoff.0] {
                let long = Duration::from_secs(10);
                assert!(server.control().wait_for("faults.fired", 1, long));
            }
            std::thread::sleep(Duration::from_millis(50));
            let subjects = [fresh, &self.window.1, &self.flight.1, &self.backoff.1];
            let mut costs: [Vec<Cost>; 4] = Default::default();
            for _ in 0..ROUNDS {
                for (subject, costs) in subjects.iter().zip(&mut costs) {
                    costs.push(Cost::of(CALLS / 4, || subject.copy_hit(&mut buffer)));
                }
            }
            server.control().release();
            let [fresh, window, flight, backoff] = costs.map(|rounds| Cost::median(&rounds));
            for (name, cost) in [
                (
                    "`p21_token_copy` in the refresh window, the refresh under way",
                    window,
                ),
                (
                    "`p21_token_copy` while a forced refresh is under way",
                    flight,
                ),
                (
                    "`p21_token_copy` in the refresh window, the server down",
                    backoff,
                ),
            ] {
                ratio_row(name, cost, fresh, "a fresh hit", "at most 1.1");
            }
        });
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
        "a client of its own user, 10,000 of them",
        &format!("{each_kib:.2} KB, {each_us:.0} µs; {threads} threads, the emulators' included"),
        "",
        "at most 4 KB",
    );
    for client in clients {
        // SAFETY: freed once.
        unsafe { (library.client_free)(client) };
    }
}
