//! Files that options name, on storage that answers late, never, without end, or only once.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use p21_emulator::Emulator;
use p21auth::{Client, Code, Config, Error, TokenOptions};
use test_support::child::in_child;
use test_support::{KEY, PASSWORD, PATIENCE, USER, emulator};

/// Long enough for a file that is there, short enough to wait for one that is not.
const SHORT: Duration = Duration::from_millis(300);

const FORCE: TokenOptions = TokenOptions {
    force_refresh: true,
    cached_only: false,
    no_wait: false,
    wait: Some(SHORT),
    min_valid: Duration::ZERO,
};

/// A file that does not answer: no one writes to it.
fn make_fifo(path: &Path) {
    let _ = fs::remove_file(path);
    let made = Command::new("mkfifo").arg(path).status();
    assert!(made.expect("mkfifo").success());
}

/// Writes to a FIFO once someone reads it, and ends it.
fn feed(path: &Path, text: &str) {
    let mut pipe = OpenOptions::new().write(true).open(path).expect("a reader");
    pipe.write_all(text.as_bytes()).expect("written");
}

/// A configuration in which one option names a file in `folder`, the path of that, and what belongs into it.
struct Case {
    option: &'static str,
    config: Config,
    path: PathBuf,
    content: String,
}

fn set(config: &mut Config, pairs: &[(&str, &str)]) {
    for (name, value) in pairs {
        config.set(name, Some(value)).expect("valid");
    }
}

/// Every option that names a file with a secret of a client that asks the server.
fn cases(emulator: &Emulator, folder: &Path) -> Vec<Case> {
    let path = |option: &str| folder.join(option);
    let shown = |option: &str| path(option).display().to_string();
    let case = |option, content: &str, pairs: &[(&str, &str)]| {
        let mut config = Config::new();
        set(
            &mut config,
            &[
                ("base_url", emulator.base_url()),
                ("proxy", "direct"),
                ("min_refresh_interval_s", "0"),
            ],
        );
        set(&mut config, pairs);
        set(&mut config, &[(option, &shown(option))]);
        fs::write(path(option), content).expect("written");
        Case {
            option,
            config,
            path: path(option),
            content: content.to_owned(),
        }
    };
    let store = format!("file://{}", folder.join("store").display());
    vec![
        case("password_file", PASSWORD, &[("username", USER)]),
        case("consumer_key_file", KEY, &[]),
        case(
            "store_key_file",
            "a key for the store",
            &[
                ("username", USER),
                ("password", PASSWORD),
                ("store", &store),
            ],
        ),
    ]
}

#[track_caller]
fn is_late(error: &Error, option: &str, path: &Path) {
    assert_eq!(error.code(), Code::Timeout, "{error}");
    let named = format!("{option}: {}", path.display());
    assert!(error.message().contains(&named), "{error}");
    assert!(error.is_retryable(), "{error}");
}

fn readers() -> usize {
    let tasks = fs::read_dir("/proc/self/task").expect("tasks");
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name == "p21auth-reader\n").count()
}

#[test]
fn a_file_that_stops_answering_delays_no_call_beyond_its_time_and_a_valid_token_is_served() {
    let (emulator, folder) = (emulator(), tempfile::tempdir().expect("a folder"));
    for case in cases(&emulator, folder.path()) {
        let client = Client::open(&case.config).expect("a client");
        let token = client.token().expect("a token");
        let before = emulator.control().counter("token.requests");
        make_fifo(&case.path);
        for _ in 0..3 {
            let error = client.token_with(&FORCE).expect_err("no file");
            is_late(&error, case.option, &case.path);
        }
        assert_eq!(client.token().expect("served").value(), token.value());
        assert_eq!(emulator.control().counter("token.requests"), before);
        // It answers again.
        feed(&case.path, &case.content);
        let long = TokenOptions {
            wait: Some(PATIENCE),
            ..FORCE
        };
        let new = client.token_with(&long).expect("a token");
        assert_ne!(new.value(), token.value(), "{}", case.option);
    }
}

#[test]
fn a_client_is_opened_or_updated_within_its_time() {
    let (emulator, folder) = (emulator(), tempfile::tempdir().expect("a folder"));
    let mut good = Config::new();
    set(
        &mut good,
        &[
            ("base_url", emulator.base_url()),
            ("username", USER),
            ("password", PASSWORD),
            ("proxy", "direct"),
        ],
    );
    let client = Client::open(&good).expect("a client");
    let token = client.token().expect("a token");
    let mut all = cases(&emulator, folder.path());
    for (option, pairs) in [
        ("access_token_file", &[][..]),
        ("ca_file", &[("username", USER), ("password", PASSWORD)]),
    ] {
        let path = folder.path().join(option);
        let mut config = Config::new();
        set(&mut config, &[("base_url", "https://localhost:1")]);
        set(&mut config, pairs);
        set(&mut config, &[(option, &path.display().to_string())]);
        all.push(Case {
            option,
            config,
            path,
            content: String::new(),
        });
    }
    for mut case in all {
        set(&mut case.config, &[("timeout_ms", "200")]);
        make_fifo(&case.path);
        for _ in 0..2 {
            let error = Client::open(&case.config).expect_err("no file");
            is_late(&error, case.option, &case.path);
        }
        let error = client.update(&case.config).expect_err("no file");
        is_late(&error, case.option, &case.path);
        let same = client.token().expect("it is as it was");
        assert_eq!(same.value(), token.value());
    }
}

#[test]
fn a_stuck_reader_is_shared_and_never_doubled() {
    // The threads of this test alone are counted.
    if !in_child("sources::a_stuck_reader_is_shared_and_never_doubled", &[]) {
        return;
    }
    let (emulator, folder) = (emulator(), tempfile::tempdir().expect("a folder"));
    let case = cases(&emulator, folder.path()).remove(0);
    make_fifo(&case.path);
    let most = std::thread::scope(|scope| {
        let mut config = case.config.clone();
        set(&mut config, &[("timeout_ms", "2000")]);
        let all: Vec<_> = (0..20)
            .map(|_| {
                let config = config.clone();
                scope.spawn(move || Client::open(&config).expect_err("no file").code())
            })
            .collect();
        let end = Instant::now() + PATIENCE;
        while readers() == 0 && Instant::now() < end {
            std::thread::yield_now();
        }
        let most = readers();
        let codes = all.into_iter().map(|one| one.join().expect("no panic"));
        assert!(codes.into_iter().all(|code| code == Code::Timeout));
        most
    });
    assert_eq!(most, 1);
}

#[test]
fn a_pipe_is_read_once_and_kept() {
    let emulator = emulator();
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let path = format!("/dev/fd/{}", reader.as_raw_fd());
    let mut config = Config::new();
    set(
        &mut config,
        &[
            ("base_url", emulator.base_url()),
            ("username", USER),
            ("password_file", &path),
            ("proxy", "direct"),
            ("min_refresh_interval_s", "0"),
            ("timeout_ms", "200"),
        ],
    );
    // Half of it is there, and is not lost by those who cannot wait for the rest.
    writer.write_all(b"demo-").expect("written");
    for _ in 0..2 {
        let error = Client::open(&config).expect_err("not yet");
        is_late(&error, "password_file", Path::new(&path));
    }
    set(&mut config, &[("timeout_ms", "30000")]);
    writer.write_all(b"password\n").expect("written");
    drop(writer);
    let client = Client::open(&config).expect("a client");
    let token = client.token().expect("a token");
    let force = TokenOptions {
        wait: None,
        ..FORCE
    };
    let new = client.token_with(&force).expect("read again by the flight");
    assert_ne!(new.value(), token.value());
    client.update(&config).expect("and by an update");
    let other = Client::open(&config).expect("another client");
    assert_eq!(
        other.token().expect("the same identity").value(),
        new.value()
    );
}

#[test]
fn a_named_pipe_that_takes_the_place_of_another_is_another() {
    let (emulator, folder) = (emulator(), tempfile::tempdir().expect("a folder"));
    let case = cases(&emulator, folder.path()).remove(0);
    for (content, is_right) in [("wrong", false), (PASSWORD, true)] {
        make_fifo(&case.path);
        let client = std::thread::scope(|scope| {
            scope.spawn(|| feed(&case.path, content));
            Client::open(&case.config).expect("a client")
        });
        assert_eq!(client.token().is_ok(), is_right, "{content}");
    }
}

#[test]
fn files_without_end_end_at_the_cap() {
    let (emulator, folder) = (emulator(), tempfile::tempdir().expect("a folder"));
    let too_large = folder.path().join("large");
    let file = fs::File::create(&too_large).expect("a file");
    file.set_len((1 << 20) + 1).expect("sparse");
    for mut case in cases(&emulator, folder.path()) {
        for path in ["/dev/zero", too_large.to_str().expect("UTF-8")] {
            set(&mut case.config, &[(case.option, path)]);
            let error = Client::open(&case.config).expect_err("too large");
            assert_eq!(error.code(), Code::Config, "{error}");
            assert!(
                error
                    .message()
                    .contains(&format!("{}: {path} has more than 1 MiB", case.option)),
                "{error}"
            );
        }
    }
    let mut config = Config::new();
    let error = config
        .load_file(Path::new("/dev/zero"))
        .expect_err("endless");
    assert!(error.message().contains("more than 1 MiB"), "{error}");
}

#[test]
fn what_cannot_be_read_fails_a_flight_and_nothing_else() {
    let (emulator, folder) = (emulator(), tempfile::tempdir().expect("a folder"));
    for case in cases(&emulator, folder.path()) {
        let client = Client::open(&case.config).expect("a client");
        let token = client.token().expect("a token");
        for (spoil, says) in [
            (None, "cannot be read"),
            (Some(&b""[..]), "is empty"),
            (Some(b"\xff\xfe"), "is not UTF-8"),
        ] {
            match spoil {
                None => fs::remove_file(&case.path).expect("removed"),
                Some(bytes) => fs::write(&case.path, bytes).expect("written"),
            }
            let error = client
                .token_with(&TokenOptions {
                    wait: None,
                    ..FORCE
                })
                .expect_err("no secret");
            assert_eq!(error.code(), Code::Config, "{error}");
            assert!(error.message().contains(says), "{error}");
            assert_eq!(client.token().expect("served").value(), token.value());
        }
        let stats = client.stats().expect("stats");
        assert!(stats.contains("is not UTF-8"), "{stats}");
        fs::write(&case.path, &case.content).expect("written");
        let new = client.token_with(&TokenOptions {
            wait: None,
            ..FORCE
        });
        assert_ne!(new.expect("a token").value(), token.value());
    }
}

#[test]
fn a_changed_secret_moves_the_client_and_all_who_wait_and_sends_nothing_for_the_old_one() {
    let (emulator, folder) = (emulator(), tempfile::tempdir().expect("a folder"));
    let path = folder.path().join("password");
    let mut config = Config::new();
    set(
        &mut config,
        &[
            ("base_url", emulator.base_url()),
            ("username", "readonly"),
            ("password_file", path.to_str().expect("UTF-8")),
            ("proxy", "direct"),
        ],
    );
    make_fifo(&path);
    let client = std::thread::scope(|scope| {
        scope.spawn(|| feed(&path, "the-old-one"));
        Client::open(&config).expect("a client")
    });
    make_fifo(&path);
    let values = std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..8).map(|_| scope.spawn(|| client.token())).collect();
        feed(&path, "readonly-password");
        let got = waiting.into_iter().map(|one| one.join().expect("no panic"));
        got.map(|token| token.expect("a token").value().to_owned())
            .collect::<std::collections::BTreeSet<_>>()
    });
    assert_eq!(values.len(), 1);
    assert_eq!(emulator.control().counter("token.requests"), 1);
}

#[test]
fn a_refusal_is_told_at_once_although_the_file_hangs() {
    let (emulator, folder) = (emulator(), tempfile::tempdir().expect("a folder"));
    let case = cases(&emulator, folder.path()).remove(0);
    fs::write(&case.path, "wrong").expect("written");
    let client = Client::open(&case.config).expect("a client");
    assert_eq!(
        client.token().expect_err("refused").code(),
        Code::Unauthorized
    );
    make_fifo(&case.path);
    let began = Instant::now();
    let error = client.token().expect_err("during the cool-down");
    assert_eq!(error.code(), Code::Unauthorized, "{error}");
    // A second for the file, not the half minute of timeout_ms.
    assert!(began.elapsed() < Duration::from_secs(15));
    let no_wait = TokenOptions {
        no_wait: true,
        ..TokenOptions::default()
    };
    let error = client.token_with(&no_wait).expect_err("as well");
    assert_eq!(error.code(), Code::Unauthorized, "{error}");
    // Another secret is another identity, free of the cool-down, and a call that must not wait finds it too.
    feed(&case.path, PASSWORD);
    let end = Instant::now() + PATIENCE;
    while let Err(error) = client.token_with(&no_wait) {
        assert!(Instant::now() < end, "{error}");
        std::thread::yield_now();
    }
}

#[test]
fn an_own_token_is_served_while_its_file_hangs() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    fs::write(&path, "an-opaque-token\n").expect("written");
    let mut config = Config::new();
    set(
        &mut config,
        &[
            ("base_url", "https://localhost:1"),
            ("access_token_file", path.to_str().expect("UTF-8")),
        ],
    );
    let client = Client::open(&config).expect("a client");
    make_fifo(&path);
    client.report("an-opaque-token", 401, b"").expect("told");
    let no_wait = TokenOptions {
        no_wait: true,
        ..TokenOptions::default()
    };
    for options in [no_wait, TokenOptions::default(), no_wait] {
        let token = client.token_with(&options).expect("the one there is");
        assert_eq!(token.value(), "an-opaque-token");
    }
    feed(&path, "a-new-token\n");
    let end = Instant::now() + PATIENCE;
    while client.token_with(&no_wait).expect("a token").value() != "a-new-token" {
        assert!(Instant::now() < end);
        std::thread::yield_now();
    }
}

#[test]
fn a_call_that_must_not_wait_starts_a_flight_that_reads() {
    let (emulator, folder) = (emulator(), tempfile::tempdir().expect("a folder"));
    let case = cases(&emulator, folder.path()).remove(0);
    let client = Client::open(&case.config).expect("a client");
    make_fifo(&case.path);
    let no_wait = TokenOptions {
        no_wait: true,
        ..TokenOptions::default()
    };
    for _ in 0..3 {
        let error = client.token_with(&no_wait).expect_err("nothing is cached");
        assert_eq!(error.code(), Code::Pending, "{error}");
    }
    feed(&case.path, &case.content);
    client.token().expect("a token");
    assert_eq!(emulator.control().counter("token.requests"), 1);
}

#[test]
fn files_that_are_loaded_have_five_seconds() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(".env");
    make_fifo(&path);
    let began = Instant::now();
    let error = Config::new().load_file(&path).expect_err("no file");
    assert_eq!(error.code(), Code::Timeout, "{error}");
    assert!(error.message().contains("5000 ms"), "{error}");
    assert!(began.elapsed() >= Duration::from_secs(5));
    std::thread::scope(|scope| {
        scope.spawn(|| feed(&path, "P21_USERNAME=demo\n"));
        let mut config = Config::new();
        config.load_file(&path).expect("loaded");
        assert_eq!(config.get("username"), Some("demo"));
    });
}

#[test]
fn files_that_everyone_can_change_are_named_by_log_and_doctor() {
    use p21auth::doctor::{Examination, Outcome};
    use std::os::unix::fs::PermissionsExt as _;
    let (emulator, folder) = (emulator(), tempfile::tempdir().expect("a folder"));
    let log = || {
        let (mut cursor, mut lines) = (0, String::new());
        while let Some(more) = p21auth::log::read(&mut cursor, 2) {
            lines += &more;
        }
        lines
    };
    for case in cases(&emulator, folder.path()) {
        let says = format!("{}: {} can be changed", case.option, case.path.display());
        for (mode, warns) in [
            (0o600, false),
            (0o644, false),
            (0o666, true),
            (0o640, false),
        ] {
            let mode = fs::Permissions::from_mode(mode);
            fs::set_permissions(&case.path, mode).expect("its owner may");
            let before = log().matches(&says).count();
            Client::open(&case.config).expect("a client all the same");
            assert_eq!(log().matches(&says).count() > before, warns);
            let report = Examination::of(&case.config).apis(&[]).run();
            let step = &report.steps[0];
            assert_eq!(step.outcome == Outcome::Warn, warns, "{step:?}");
            assert_eq!(step.saw.iter().any(|saw| saw.contains(&says)), warns);
        }
    }
    let path = folder.path().join(".env");
    fs::write(&path, "P21_PASSWORD=x\n").expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o606)).expect("its owner may");
    Config::new().load_file(&path).expect("loaded");
    assert!(log().contains(&format!("options: {} can be changed", path.display())));
}

#[test]
fn what_is_written_to_a_pipe_while_no_one_reads_is_not_lost() {
    let (emulator, folder) = (emulator(), tempfile::tempdir().expect("a folder"));
    let mut case = cases(&emulator, folder.path()).remove(0);
    make_fifo(&case.path);
    set(&mut case.config, &[("timeout_ms", "100")]);
    let error = Client::open(&case.config).expect_err("no one writes");
    is_late(&error, case.option, &case.path);
    let end = Instant::now() + PATIENCE;
    while readers() > 0 {
        assert!(Instant::now() < end);
        std::thread::yield_now();
    }
    feed(&case.path, &case.content);
    set(&mut case.config, &[("timeout_ms", "20000")]);
    let client = Client::open(&case.config).expect("a client");
    client.token().expect("a token");
}
