//! Secrets that a command prints: right, wrong, slow, hanging, huge, failing, and changed while many threads need tokens.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use p21_emulator::{Emulator, User};
use p21auth::{Client, Code, Config, Error, TokenOptions};
use test_support::{KEY, PASSWORD, PATIENCE, USER, emulator, together};

const WAIT: TokenOptions = TokenOptions {
    force_refresh: false,
    cached_only: false,
    no_wait: false,
    wait: Some(PATIENCE),
    min_valid: std::time::Duration::ZERO,
};

const FORCE: TokenOptions = TokenOptions {
    force_refresh: true,
    ..WAIT
};

fn config(emulator: &Emulator, options: &[(&str, &str)]) -> Config {
    let mut config = Config::new();
    let base = [
        ("base_url", emulator.base_url()),
        ("proxy", "direct"),
        ("min_refresh_interval_s", "0"),
    ];
    for (name, value) in base.iter().chain(options) {
        config.set(name, Some(value)).expect("valid");
    }
    config
}

fn with_password_of(emulator: &Emulator, source: &str) -> Config {
    config(emulator, &[("username", USER), ("password_from", source)])
}

fn refused(emulator: &Emulator, source: &str) -> Error {
    Client::open(&with_password_of(emulator, source)).expect_err("no secret")
}

fn until(met: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !met() {
        assert!(Instant::now() < end, "it did not happen");
        std::thread::yield_now();
    }
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

#[test]
fn the_first_line_is_the_secret_of_any_kind() {
    let emulator = emulator();
    for line in [
        format!("printf {PASSWORD}"),
        format!("echo {PASSWORD}"),
        format!(r"printf '%s\r\n%s\n' {PASSWORD} 'user: demo'"),
        format!("sh -c 'sleep 0.1; exec 2>&1; echo {PASSWORD}'"),
    ] {
        let client = Client::open(&with_password_of(&emulator, &format!("command:{line}")));
        client.expect(&line).token_with(&WAIT).expect(&line);
    }
    let by_key = config(
        &emulator,
        &[("consumer_key_from", &format!("command:echo {KEY}"))],
    );
    let token = Client::open(&by_key)
        .expect("a client")
        .token_with(&WAIT)
        .expect("a token");
    let own = format!("command:echo {}", token.value());
    let own = config(&emulator, &[("access_token_from", &own)]);
    let same = Client::open(&own)
        .expect("a client")
        .token_with(&WAIT)
        .expect("a token");
    assert_eq!(same.value(), token.value());
    let folder = tempfile::tempdir().expect("a folder");
    let store = format!("file://{}", folder.path().join("store").display());
    let mut shared = with_password_of(&emulator, &format!("command:echo {PASSWORD}"));
    shared.set("store", Some(&store)).expect("valid");
    shared
        .set("store_key_from", Some("command:echo 'a key'"))
        .expect("valid");
    Client::open(&shared)
        .expect("a client")
        .token_with(&WAIT)
        .expect("a token");
}

#[test]
fn files_and_variables_are_sources_too() {
    let (emulator, folder) = (emulator(), tempfile::tempdir().expect("a folder"));
    let path = folder.path().join("password");
    fs::write(&path, format!("{PASSWORD}\n")).expect("written");
    let source = format!("file:{}", path.display());
    let client = Client::open(&with_password_of(&emulator, &source)).expect("a client");
    client.token().expect("a token");
    fs::remove_file(&path).expect("removed");
    let error = client.token_with(&FORCE).expect_err("no file");
    let named = format!("password_from: {}", path.display());
    assert!(error.message().contains(&named), "{error}");
    // Set by cargo, for tests.
    let value = std::env::var("CARGO_PKG_NAME").expect("set");
    emulator.control().set_user(User::new(USER, &value));
    let client = Client::open(&with_password_of(&emulator, "env:CARGO_PKG_NAME"));
    client.expect("a client").token().expect("a token");
    let error = refused(&emulator, "env:P21_NO_SUCH_VARIABLE");
    assert!(
        error
            .message()
            .contains("P21_NO_SUCH_VARIABLE, which is not set"),
        "{error}"
    );
}

#[test]
fn what_is_no_source_is_refused_and_not_repeated() {
    for (text, says) in [
        ("hunter2", "does not say where"),
        ("hunter2:hunter2", "does not say where"),
        ("file:", "names nothing"),
        ("systemd:../hunter2", "names a path"),
        ("command:", "names no program"),
        ("command:'hunter2", "quote that does not end"),
        ("keyring:hunter2", "names no entry of a keyring"),
        ("keyring:/hunter2", "names no entry of a keyring"),
        ("keyring:-x/hunter2", "names no entry of a keyring"),
    ] {
        let error = Config::new()
            .set("password_from", Some(text))
            .expect_err(text);
        assert_eq!(error.code(), Code::Config);
        assert!(error.message().contains(says), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(!error.hint().is_empty(), "{error}");
    }
    let mut both = Config::new();
    both.set("base_url", Some("h")).expect("valid");
    both.set("username", Some("u")).expect("valid");
    both.set("password_from", Some("file:/x")).expect("valid");
    both.set("password_file", Some("/x")).expect("valid");
    let error = both.settings().expect_err("two");
    assert!(
        error
            .message()
            .contains("password_file and password_from are both set"),
        "{error}"
    );
}

#[test]
fn a_command_that_fails_is_named_and_what_it_prints_is_not() {
    let emulator = emulator();
    for (line, says) in [
        (
            "sh -c 'echo hunter2; echo hunter2 >&2; exit 3' hunter2",
            "the command 'sh' ended with status 3",
        ),
        (
            "sh -c 'echo hunter2; kill -KILL $$'",
            "was ended by signal 9",
        ),
        (
            "p21-no-such-program hunter2",
            "the command 'p21-no-such-program' cannot be started",
        ),
        ("/etc/passwd hunter2", "cannot be started"),
        ("true", "printed no secret"),
        ("sh -c 'echo; echo hunter2'", "printed no secret"),
        ("yes hunter2", "the command 'yes' printed more than 64 KiB"),
        (r"printf '\377hunter2'", "is not UTF-8"),
    ] {
        let error = refused(&emulator, &format!("command:{line}"));
        assert_eq!(error.code(), Code::Config, "{line}: {error}");
        assert!(error.message().contains(says), "{line}: {error}");
        assert!(error.message().starts_with("password_from: "), "{error}");
        let mut cursor = 0;
        let log = p21auth::log::read(&mut cursor, 5).unwrap_or_default();
        assert!(
            !format!("{error} {log}").contains("hunter2"),
            "{line}: {error} {log}"
        );
    }
}

#[test]
fn a_command_that_hangs_is_ended_with_all_that_it_started() {
    let (emulator, folder) = (emulator(), tempfile::tempdir().expect("a folder"));
    let pids = folder.path().join("pids");
    let line = format!(
        "command:sh -c 'sleep 9999 & echo $$ $! > {0}.new; mv {0}.new {0}; wait'",
        pids.display()
    );
    let mut config = with_password_of(&emulator, &line);
    config.set("timeout_ms", Some("700")).expect("valid");
    let error = Client::open(&config).expect_err("it hangs");
    assert_eq!(error.code(), Code::Timeout, "{error}");
    // What is left of the call's time when the command starts.
    let within = error
        .message()
        .strip_prefix("password_from: the command 'sh' did not end within ")
        .and_then(|rest| rest.split(' ').next()?.parse().ok());
    assert!(
        within.is_some_and(|ms: u64| (1..=700).contains(&ms)),
        "{error}"
    );
    let pids = fs::read_to_string(&pids).expect("it ran");
    for pid in pids.split_whitespace() {
        // A zombie whose new parent has not looked yet has no command line.
        let line = format!("/proc/{pid}/cmdline");
        until(|| fs::read(&line).map_or(true, |line| line.is_empty()));
    }
}

#[test]
fn a_command_finds_no_signal_blocked_no_input_and_none_of_our_files() {
    let (emulator, folder) = (emulator(), tempfile::tempdir().expect("a folder"));
    let seen = folder.path().join("seen");
    let line = format!(
        "command:sh -c 'grep Sig /proc/self/status > {0}; readlink /proc/self/fd/0 >> {0}; readlink /proc/self/fd/2 >> {0}; echo group $(ps -o pgid= -p $$) $$ >> {0}; echo sockets $(readlink /proc/$$/fd/* | grep -c socket) >> {0}; echo {PASSWORD}'",
        seen.display()
    );
    let first = Client::open(&with_password_of(
        &emulator,
        &format!("command:echo {PASSWORD}"),
    ));
    first.expect("a client").token().expect("a connection");
    let client = Client::open(&with_password_of(&emulator, &line)).expect("a client");
    client.token().expect("a token");
    let seen = fs::read_to_string(&seen).expect("it ran");
    assert!(seen.contains("SigBlk:\t0000000000000000"), "{seen}");
    let ends: Vec<&str> = seen.lines().filter(|line| line.starts_with('/')).collect();
    assert_eq!(ends, ["/dev/null", "/dev/null"], "{seen}");
    assert!(seen.contains("sockets 0"), "{seen}");
    let group: Vec<&str> = seen
        .lines()
        .find(|line| line.starts_with("group"))
        .expect("a line")
        .split_whitespace()
        .collect();
    assert_eq!(group[1], group[2], "{seen}");
}

#[test]
fn refused_credentials_do_not_run_a_command_for_each_call() {
    let (emulator, folder) = (emulator(), tempfile::tempdir().expect("a folder"));
    let runs = folder.path().join("runs");
    let line = format!(
        "command:sh -c 'echo run >> {}; echo wrong-password'",
        runs.display()
    );
    let client = Client::open(&with_password_of(&emulator, &line)).expect("a client");
    for _ in 0..200 {
        let error = client.token_with(&WAIT).expect_err("refused");
        assert_eq!(error.code(), Code::Unauthorized, "{error}");
    }
    assert_eq!(emulator.control().counter("token.requests"), 1);
    // At the opening, before the flight, after the refusal, and perhaps once when a second is over.
    assert!((3..=4).contains(&lines(&runs)), "{}", lines(&runs));
}

/// Threads that take tokens until they are told to stop. Each tells of its failures.
#[test]
fn a_secret_changes_while_64_threads_take_tokens_and_no_call_fails() {
    let (emulator, folder) = (emulator(), tempfile::tempdir().expect("a folder"));
    let secret = folder.path().join("secret");
    let write = |text: &str| {
        let new = folder.path().join("new");
        fs::write(&new, text).expect("written");
        fs::rename(&new, &secret).expect("renamed");
    };
    write(PASSWORD);
    let line = format!("command:cat {}", secret.display());
    let client = Client::open(&with_password_of(&emulator, &line)).expect("a client");
    let mut last = client.token().expect("a token").value().to_owned();
    let stop = Arc::new(AtomicBool::new(false));
    let threads = {
        let (client, stop) = (client.clone(), Arc::clone(&stop));
        std::thread::spawn(move || {
            together(64, move |_| {
                let mut failed = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    failed.extend(client.token_with(&WAIT).err());
                    std::thread::yield_now();
                }
                failed
            })
        })
    };
    let requests = || emulator.control().counter("token.requests");
    let mut changed = |before: u64, cost: u64| {
        let now = client
            .token_with(&WAIT)
            .expect("a token")
            .value()
            .to_owned();
        assert_ne!(now, last);
        assert_eq!(requests() - before, cost);
        last = now;
    };
    for number in 0..10 {
        let before = requests();
        let password = format!("rotated-{number}");
        write(&password);
        emulator.control().set_user(User::new(USER, &password));
        client.invalidate(None).expect("open");
        changed(before, 1);
    }
    // The server is first: the old secret is refused while the new one is already written.
    let before = requests();
    emulator.control().set_user(User::new(USER, "last"));
    emulator.control().hold();
    client.invalidate(None).expect("open");
    until(|| requests() > before);
    write("last");
    emulator.control().release();
    changed(before, 2);
    stop.store(true, Ordering::SeqCst);
    let failed: Vec<Error> = threads
        .join()
        .expect("no panic")
        .into_iter()
        .flatten()
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn an_own_token_of_a_command_is_renewed_by_many_callers_with_one_run() {
    let (emulator, folder) = (emulator(), tempfile::tempdir().expect("a folder"));
    let (runs, token) = (folder.path().join("runs"), folder.path().join("token"));
    let jwt = |id: &str, left_s: u64| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let end = now.expect("a time").as_secs() + left_s;
        let part =
            |text: String| base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, text);
        format!(
            "{}.{}.c2ln",
            part(r#"{"alg":"HS256"}"#.into()),
            part(format!(r#"{{"jti":"{id}","exp":{end}}}"#))
        )
    };
    fs::write(&token, jwt("first", 2)).expect("written");
    let line = format!(
        "command:sh -c 'echo run >> {}; sleep 0.2; cat {}'",
        runs.display(),
        token.display()
    );
    let client =
        Client::open(&config(&emulator, &[("access_token_from", &line)])).expect("a client");
    client.token_with(&WAIT).expect("the first");
    assert_eq!(lines(&runs), 1);
    let second = jwt("second", 3600);
    fs::write(&token, &second).expect("written");
    let many = together(64, move |_| {
        loop {
            let token = client.token_with(&WAIT).expect("a token");
            if token.value() == second {
                return;
            }
            std::thread::yield_now();
        }
    });
    assert_eq!(many.len(), 64);
    assert_eq!(lines(&runs), 2);
}
