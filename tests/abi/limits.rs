//! Programs in C that have less than they need, or more rights than their caller.

use p21_emulator::{Certificate, Emulator, Options};
use test_support::programs::{Bench, Link, output, run};

/// Needs root, to make the program, and another user, to start it.
#[test]
fn a_set_uid_program_does_not_obey_its_caller() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;
    const NOBODY: u32 = 65_534;
    let bench = Bench::new();
    let program = bench.compile("tests/c/setuid.c", Link::Static, &["-std=c11"]);
    let allow = |path: &std::path::Path, mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, mode).expect("root may");
    };
    allow(bench.folder.path(), 0o755);
    allow(&program, 0o4755);
    let options = Options {
        tls: Some(Certificate::Good),
        ..Options::default()
    };
    let emulator = Emulator::start(options).expect("a free port on loopback");
    let ca = bench.folder.path().join("ca.pem");
    emulator.write_ca(&ca).expect("written");
    let mut command = bench.command(&program);
    command
        .arg(emulator.base_url())
        .arg(&ca)
        .env("SSL_CERT_FILE", &ca)
        .env("SSL_CERT_DIR", bench.folder.path());
    // Where nothing listens: a request that went there would fail in another way.
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "https_proxy"] {
        command.env(name, "http://127.0.0.1:1");
    }
    command.uid(NOBODY).gid(NOBODY);
    let started = command.output();
    let Ok(said) = started else {
        println!("NOT TESTED: a set-uid program: {}", started.unwrap_err());
        return;
    };
    assert!(said.status.success(), "{said:?}");
    assert_eq!(output(&said), "setuid: ok\n");
    assert_eq!(emulator.control().counter("token.requests"), 1);
}

/// What is not there is told as such, and the next call works; the deep tests do the same with memory.
#[test]
fn a_process_that_has_no_descriptors_or_threads_left_is_told_so() {
    use std::os::unix::fs::PermissionsExt as _;
    let bench = Bench::new();
    let program = bench.compile("tests/c/limits.c", Link::Shared, &["-std=c11"]);
    let options = Options {
        tls: Some(Certificate::Good),
        ..Options::default()
    };
    let emulator = Emulator::start(options).expect("a free port on loopback");
    let folder = tempfile::tempdir().expect("a folder");
    let readable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), readable).expect("its owner may");
    let ca = folder.path().join("ca.pem");
    emulator.write_ca(&ca).expect("written");
    for (name, content) in [("password", "demo-password"), (".env", "P21_USERNAME=demo")] {
        std::fs::write(folder.path().join(name), content).expect("written");
    }
    for mode in ["descriptors", "threads"] {
        let mut command = bench.command(&program);
        command
            .args([mode, folder.path().to_str().expect("UTF-8")])
            .arg(emulator.base_url())
            .env("SSL_CERT_FILE", &ca);
        let said = output(&run(&mut command));
        assert!(said.starts_with(&format!("limits: {mode} ok: ")), "{said}");
    }
}
