//! What the shared library shows to linkers and loaders.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

fn library() -> PathBuf {
    let test = std::env::current_exe().expect("the test has a path");
    test.with_file_name("libp21auth.so")
}

fn tool(name: &str, arguments: &[&str]) -> String {
    let result = Command::new(name).args(arguments).arg(library()).output();
    let result = result.unwrap_or_else(|error| panic!("{name} (binutils) is needed: {error}"));
    assert!(
        result.status.success(),
        "{name} reads {}",
        library().display()
    );
    String::from_utf8_lossy(&result.stdout).into_owned()
}

#[test]
fn the_exported_symbols_are_the_prototypes_of_the_header() {
    let header = include_str!("../../include/p21auth.h");
    let wanted: BTreeSet<&str> = header
        .lines()
        .filter(|line| !line.starts_with(" *") && line.contains('('))
        .filter_map(|line| {
            let name = line.split('(').next()?;
            name.rsplit([' ', '*']).next()
        })
        .filter(|name| name.starts_with("p21_"))
        .collect();
    let symbols = tool("nm", &["--dynamic", "--defined-only", "--format=posix"]);
    let found: BTreeSet<&str> = symbols
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(found, wanted);
    assert_eq!(found.len(), 43);
}

#[test]
fn the_library_has_a_name_with_a_version_and_stays_loaded() {
    let dynamic = tool("readelf", &["--dynamic", "--wide"]);
    assert!(dynamic.contains("[libp21auth.so.1]"), "{dynamic}");
    let flags = dynamic.lines().find(|line| line.contains("FLAGS_1"));
    assert!(
        flags.is_some_and(|flags| flags.contains("NODELETE")),
        "{dynamic}"
    );
}

/// Functions that change what belongs to the whole program, or that stay behind in it.
#[test]
fn nothing_that_changes_the_program_is_called() {
    let symbols = tool("nm", &["--dynamic", "--undefined-only", "--format=posix"]);
    let called: BTreeSet<&str> = symbols
        .lines()
        .filter_map(|line| line.split([' ', '@']).next())
        .collect();
    assert!(
        called.contains("pthread_atfork") || called.contains("__register_atfork"),
        "{called:?}"
    );
    for name in [
        "atexit",
        "on_exit",
        "setlocale",
        "chdir",
        "fchdir",
        "umask",
        "setenv",
        "putenv",
        "clearenv",
        "unsetenv",
        "signal",
        "setrlimit",
        "printf",
        "puts",
        "fwrite",
        "exit",
        "_exit",
    ] {
        assert!(!called.contains(name), "{name}");
    }
}
