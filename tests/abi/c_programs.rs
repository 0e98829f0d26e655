//! C and C++ programs: the tests in `tests/c` and the examples, compiled without a warning, linked to the shared and to the
//! static library, run against the emulator, and once more under valgrind.
//!
//! The libraries are those that cargo built for this very test run: this test depends on the crate, so cargo has made
//! every crate type of it, side by side with the test itself. A build of its own would be one more configuration to keep
//! in step and minutes of waiting. `make lib` builds the same sources for release.

use std::process::{Command, Stdio};
use std::time::Duration;

use p21_emulator::{Certificate, Emulator, Options};
use test_support::programs::{Bench, Link, SYSTEM, built, output, run};

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
    let library = bench.folder.path().join("libp21auth.so.1");
    let said = run(bench.command(&program).arg(&library));
    assert_eq!(output(&said), "unload: ok\n");
    // Which thread of a process that ends is where is chance, so a few times.
    for _ in 0..10 {
        let said = run(bench.command(&program).arg(&library).arg("busy"));
        assert_eq!(output(&said), "unload: leaving\n");
    }
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
fn two_hundred_children_of_a_busy_process_have_their_token_and_never_hang() {
    let bench = Bench::new();
    let program = bench.compile("tests/c/fork.c", Link::Shared, &["-std=c11"]);
    let said = run(bench.command(&program).args(["children", "200"]));
    assert_eq!(output(&said), "fork: ok\n");
    // Each asked for a token of its own.
    assert!(bench.emulator.control().counter("token.requests") >= 200);
}

#[test]
fn the_workers_of_a_prefork_pool_each_use_the_inherited_client() {
    let bench = Bench::new();
    let program = bench.compile("tests/c/fork.c", Link::Shared, &["-std=c11"]);
    let said = run(bench.command(&program).args(["pool", "16"]));
    assert_eq!(output(&said), "fork: ok\n");
    // One of the parent's; each worker refreshes once, and so does its child.
    assert_eq!(
        bench.emulator.control().counter("token.requests"),
        1 + 2 * 16
    );
}

/// Of what goes wrong on the programs' side of the border: a buffer written past its end, an integer that overflows.
#[test]
fn the_sanitizers_find_nothing() {
    let bench = Bench::new();
    let sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
    for source in ["tests/c/api.c", "tests/c/threads.c", "tests/c/wrapper.cpp"] {
        let program = bench.compile(source, Link::Shared, &sanitizers);
        let said = output(&run(&mut bench.command(program)));
        assert!(said.ends_with(": ok\n"), "{said}");
    }
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

/// Users compile the C++ header with their own standard and warnings.
#[test]
fn the_cpp_header_is_clean_under_every_standard_and_strict_warnings() {
    let bench = Bench::new();
    let strict = [
        "-Wconversion",
        "-Wsign-conversion",
        "-Wshadow",
        "-Wold-style-cast",
        "-Wnon-virtual-dtor",
        "-Woverloaded-virtual",
        "-fsyntax-only",
    ];
    for standard in ["-std=c++17", "-std=c++20", "-std=c++2b"] {
        bench.compile(
            "tests/c/header.cpp",
            Link::Shared,
            &[&strict[..], &[standard]].concat(),
        );
    }
    // It says what it needs.
    let mut command = std::process::Command::new("c++");
    command
        .args(["-std=c++17", "-fno-exceptions", "-fsyntax-only", "-I"])
        .args([concat!(env!("CARGO_MANIFEST_DIR"), "/include"), "-x", "c++"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/include/p21auth.hpp"));
    let refused = command.output().expect("a compiler");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("p21auth.hpp reports failures"),
        "{said}"
    );
}

#[test]
fn a_program_examines_itself_with_the_token_that_it_has() {
    let bench = Bench::new();
    let said = bench.compile_and_run("tests/c/doctor.cpp", Link::Shared);
    assert_eq!(said, "doctor: ok\n");
    assert_eq!(bench.emulator.control().counter("token.requests"), 1);
}

#[test]
fn what_belongs_to_the_program_stays_as_it_was() {
    let bench = Bench::new();
    // A function pointer travels as a thread's argument, which ISO C does not promise.
    let program = bench.compile(
        "tests/c/process.c",
        Link::Shared,
        &["-std=c11", "-Wno-pedantic"],
    );
    for arguments in [
        &["signals"][..],
        &["cancel"],
        &["stack", "64"],
        &["alone"],
        &["quiet"],
    ] {
        let said = run(bench
            .command(&program)
            .env("P21_MIN_REFRESH_INTERVAL_S", "0")
            .args(arguments));
        assert_eq!(output(&said), format!("process: {} ok\n", arguments[0]));
    }
}

/// A program that sees which thread opens what, and can let storage hang.
#[test]
fn no_callers_thread_touches_a_file_and_storage_that_hangs_stops_no_one() {
    let bench = Bench::new();
    let flags = ["-std=c11", "-Wno-pedantic", "-ldl"];
    let program = bench.compile("tests/c/files.c", Link::Shared, &flags);
    for mode in ["threads", "fork", "hang", "pending", "profile"] {
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options {
            tls: Some(Certificate::Good),
            ..Options::default()
        };
        let emulator = Emulator::start(options).expect("a free port on loopback");
        let ca = folder.path().join("ca.pem");
        emulator.write_ca(&ca).expect("written");
        let said = run(bench
            .command(&program)
            .env("SSL_CERT_FILE", ca)
            .args([mode, folder.path().to_str().expect("UTF-8")])
            .arg(emulator.base_url()));
        assert_eq!(output(&said), format!("files: {mode} ok\n"));
    }
}

/// A shared object of the program that has the static library in it: `dlclose` would take the code away from under the
/// library's threads, so the library pins the object.
#[test]
fn a_plugin_with_the_static_library_in_it_stays_loaded() {
    let bench = Bench::new();
    let plugin = bench.folder.path().join("plugin.so");
    run(Command::new("cc")
        .args(["-shared", "-pthread", "-o"])
        .arg(&plugin)
        .args([
            "-Wl,--whole-archive".as_ref(),
            built().join("libp21auth.a").as_os_str(),
            "-Wl,--no-whole-archive".as_ref(),
        ])
        .args(SYSTEM));
    let program = bench.compile("tests/c/unload.c", Link::Shared, &["-ldl"]);
    let said = run(bench.command(&program).arg(&plugin));
    assert_eq!(output(&said), "unload: ok\n");
}

/// The variables that the documentation names, and no others, are asked for.
#[test]
fn only_the_documented_variables_are_read() {
    let bench = Bench::new();
    let shim = bench.folder.path().join("getenv.so");
    run(Command::new("cc")
        .args(["-shared", "-fPIC", "-D_GNU_SOURCE", "-o"])
        .arg(&shim)
        .args([
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/c/getenv.c"),
            "-ldl",
        ]));
    let program = bench.compile("examples/c/quick_start.c", Link::Shared, &[]);
    let seen = bench.folder.path().join("variables");
    let mut command = bench.command(&program);
    command
        .env("LD_PRELOAD", &shim)
        .env("SEEN_VARIABLES", &seen);
    command
        .env("P21_STORE", "file")
        .env("HOME", bench.folder.path());
    run(&mut command);
    let seen = std::fs::read_to_string(seen).expect("the shim wrote it");
    let page = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/docs/fork-threads-unload.md"
    ))
    .expect("a page");
    let documented = page
        .lines()
        .find(|line| line.starts_with("| environment variables |"))
        .expect("a row");
    let names: std::collections::BTreeSet<&str> = seen.lines().collect();
    assert!(
        names.contains("P21_BASE_URL") && names.contains("HTTPS_PROXY"),
        "{names:?}"
    );
    let unknown: Vec<_> = names
        .into_iter()
        .filter(|name| {
            let is_told = documented.contains(&format!("`{}`", name.to_ascii_uppercase()));
            !is_told && !name.starts_with("P21_")
        })
        .collect();
    assert!(
        unknown.is_empty(),
        "{unknown:?} are read, but {documented} does not say so"
    );
}
