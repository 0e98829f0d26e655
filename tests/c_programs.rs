//! C and C++ programs: the tests in `tests/c` and the examples, compiled without a warning, linked to the shared and to the
//! static library, run against the emulator, and once more under valgrind.
//!
//! The libraries are those that cargo built for this very test run: this test depends on the crate, so cargo has made
//! every crate type of it, side by side with the test itself. A build of its own would be one more configuration to keep
//! in step and minutes of waiting. `make lib` builds the same sources for release.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use p21auth::mock::{Emulator, Options};
use tempfile::TempDir;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Every warning is an error: the header must be clean in other people's builds too.
const WARNINGS: [&str; 5] = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror"];
/// What the static library needs; `rustc --print native-static-libs` tells.
const SYSTEM: [&str; 6] = ["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl"];

/// The folder in which cargo put this test and the libraries.
fn built() -> PathBuf {
    let test = std::env::current_exe().expect("the test has a path");
    test.parent().expect("it lies in a folder").to_owned()
}

#[derive(Clone, Copy)]
enum Link {
    Shared,
    Static,
}

/// A folder with the shared library under the name that programs look for, and room for programs.
struct Bench {
    folder: TempDir,
    emulator: Emulator,
}

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let library = built().join("libp21auth.so");
        assert!(library.exists(), "cargo builds {}", library.display());
        for name in ["libp21auth.so", "libp21auth.so.0"] {
            std::os::unix::fs::symlink(&library, folder.path().join(name)).expect("a link");
        }
        let emulator = Emulator::start(Options::default()).expect("a free port on loopback");
        Bench { folder, emulator }
    }

    fn compile(&self, source: &str, link: Link, extra: &[&str]) -> PathBuf {
        let source = Path::new(ROOT).join(source);
        let is_cpp = source.extension().is_some_and(|ending| ending == "cpp");
        let program = self.folder.path().join(source.file_stem().expect("a name"));
        let mut command = Command::new(if is_cpp { "c++" } else { "cc" });
        command
            .arg(if is_cpp { "-std=c++17" } else { "-std=c99" })
            .args(WARNINGS)
            .args(["-g", "-pthread", "-I"])
            .arg(Path::new(ROOT).join("include"))
            .arg("-o")
            .args([&program, &source])
            .args(extra);
        match link {
            Link::Shared => command.arg("-L").arg(self.folder.path()).arg("-lp21auth"),
            Link::Static => command.arg(built().join("libp21auth.a")).args(SYSTEM),
        };
        run(&mut command);
        program
    }

    /// The environment of somebody who has read the quick start, and nothing else of ours.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("P21_") {
                command.env_remove(name);
            }
        }
        command
            .env("P21_BASE_URL", self.emulator.base_url())
            .env("P21_USERNAME", "demo")
            .env("P21_PASSWORD", "demo-password")
            .env("LD_LIBRARY_PATH", self.folder.path());
        command
    }

    fn compile_and_run(&self, source: &str, link: Link) -> String {
        let program = self.compile(source, link, &[]);
        output(&run(&mut self.command(program)))
    }
}

/// Runs a command that must succeed.
fn run(command: &mut Command) -> Output {
    let result = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    assert!(
        result.status.success(),
        "{command:?}: {}\n{}{}",
        result.status,
        String::from_utf8_lossy(&result.stdout),
        String::from_utf8_lossy(&result.stderr)
    );
    result
}

fn output(result: &Output) -> String {
    assert_eq!(
        String::from_utf8_lossy(&result.stderr),
        "",
        "nothing is printed by the library"
    );
    String::from_utf8_lossy(&result.stdout).into_owned()
}

#[test]
fn the_test_programs_pass_with_the_shared_library() {
    let bench = Bench::new();
    for source in ["tests/c/api.c", "tests/c/threads.c", "tests/c/wrapper.cpp"] {
        assert!(
            bench
                .compile_and_run(source, Link::Shared)
                .ends_with(": ok\n")
        );
    }
}

#[test]
fn the_test_programs_pass_with_the_static_library() {
    let bench = Bench::new();
    for source in ["tests/c/api.c", "tests/c/threads.c", "tests/c/wrapper.cpp"] {
        assert!(
            bench
                .compile_and_run(source, Link::Static)
                .ends_with(": ok\n")
        );
    }
}

#[test]
fn the_examples_do_what_they_say() {
    let bench = Bench::new();
    for (source, says) in [
        ("examples/c/quick_start.c", "UI server: http"),
        ("examples/c/errors.c", "P21_E_UNAUTHORIZED, HTTP 401"),
        ("examples/c/report_loop.c", "HTTP 200"),
        ("examples/c/interactive_session.c", "close: HTTP 20"),
        ("examples/c/event_loop.c", "a token after "),
        ("examples/cpp/quick_start.cpp", "user demo"),
    ] {
        let said = bench.compile_and_run(source, Link::Shared);
        assert!(said.contains(says), "{source}: {said}");
    }
    let program = bench.compile("examples/c/configured.c", Link::Shared, &[]);
    let mut command = bench.command(program);
    command.args([bench.emulator.base_url(), "demo", "demo-password"]);
    assert!(output(&run(&mut command)).starts_with("a token of "));
}

#[test]
fn processes_that_share_a_store_send_one_request() {
    let bench = Bench::new();
    let control = bench.emulator.control();
    let program = bench.compile("examples/c/quick_start.c", Link::Shared, &[]);
    let start = || {
        let mut command = bench.command(&program);
        command
            .env("P21_STORE", "file")
            .env("XDG_CACHE_HOME", bench.folder.path().join("cache"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().expect("it starts")
    };
    control.hold();
    let pair = [start(), start()];
    assert!(control.wait_for("held", 1, Duration::from_mins(1)));
    control.release();
    for process in pair {
        let result = process.wait_with_output().expect("it ends");
        assert!(result.status.success(), "{result:?}");
        assert!(output(&result).contains("UI server: http"));
    }
    assert_eq!(control.counter("token.requests"), 1);
}

#[test]
fn the_quick_start_names_what_is_missing() {
    let bench = Bench::new();
    let program = bench.compile("examples/c/quick_start.c", Link::Shared, &[]);
    let mut command = bench.command(program);
    for name in ["P21_BASE_URL", "P21_USERNAME", "P21_PASSWORD"] {
        command.env_remove(name);
    }
    let result = command.output().expect("it starts");
    assert_eq!(result.status.code(), Some(1));
    let said = String::from_utf8_lossy(&result.stderr);
    assert!(said.contains("P21_BASE_URL"), "{said}");
}

#[test]
fn the_library_survives_unloading_and_an_exit_with_a_request_under_way() {
    let bench = Bench::new();
    let program = bench.compile("tests/c/unload.c", Link::Shared, &["-ldl"]);
    let library = bench.folder.path().join("libp21auth.so.0");
    let said = run(bench.command(&program).arg(&library));
    assert_eq!(output(&said), "unload: ok\n");
    bench.emulator.control().hold();
    let mut command = bench.command(&program);
    command
        .arg(&library)
        .arg("hang")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut leaving = command.spawn().expect("it starts");
    let control = bench.emulator.control();
    assert!(control.wait_for("held", 1, Duration::from_mins(1)));
    drop(leaving.stdin.take());
    let said = leaving.wait_with_output().expect("it ends");
    assert!(said.status.success(), "{said:?}");
    assert_eq!(output(&said), "unload: leaving\n");
}

#[test]
fn valgrind_finds_nothing() {
    let has_valgrind = Command::new("valgrind").arg("--version").output().is_ok();
    assert!(
        has_valgrind,
        "valgrind is needed for this test: apt-get install valgrind, or run make test"
    );
    let bench = Bench::new();
    for source in ["tests/c/api.c", "tests/c/threads.c", "tests/c/wrapper.cpp"] {
        let program = bench.compile(source, Link::Shared, &[]);
        let mut command = bench.command("valgrind");
        command
            .args([
                "--quiet",
                "--error-exitcode=9",
                "--leak-check=full",
                "--errors-for-leak-kinds=definite",
            ])
            .args(["--num-callers=30", "--fair-sched=yes"])
            .arg(&program)
            // Valgrind runs everything some fifty times slower, handshakes and hashes included.
            .env("P21_TIMEOUT_MS", "300000");
        let said = run(&mut command);
        assert!(String::from_utf8_lossy(&said.stdout).ends_with(": ok\n"));
    }
}
