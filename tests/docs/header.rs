//! The committed header is the generated one, and its prototypes are exactly the exported functions.

use std::fs;
use std::path::Path;

const GENERATED: &str = include_str!(concat!(env!("OUT_DIR"), "/p21auth.h"));

#[test]
fn the_committed_header_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/p21auth.h");
    if std::env::var_os("P21AUTH_REFRESH").is_some() {
        fs::write(&path, GENERATED).expect("the header is writable");
    }
    let committed = fs::read_to_string(&path).expect("the header is there");
    assert!(
        committed.replace("\r\n", "\n") == GENERATED,
        "include/p21auth.h is out of date: run P21AUTH_REFRESH=1 cargo test --test docs"
    );
}

/// What a program was compiled against stays: every prototype and number, word for word. A release that only adds may add
/// lines; one that must change a line is another interface, with a number and a file of its own.
#[test]
fn the_declarations_are_those_of_the_baseline() {
    let baseline = include_str!("../abi/1.txt");
    assert_eq!(
        p21auth::internal::capi::p21_abi_version(),
        1,
        "abi/1.txt is its baseline"
    );
    let mut text = String::new();
    let mut rest = GENERATED;
    while let Some(start) = rest.find("/*") {
        text.push_str(&rest[..start]);
        let end = rest[start..].find("*/").expect("comments end") + start + 2;
        rest = &rest[end..];
    }
    text.push_str(rest);
    let (macros, code): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.starts_with('#'));
    let numbers = macros
        .into_iter()
        .filter(|line| line.starts_with("#define P21_") && line.split(' ').count() > 2)
        // The package's version; `tests/docs/versions.rs` compares it.
        .filter(|line| !line.starts_with("#define P21_VERSION"))
        .map(str::to_owned);
    let code = code.join(" ");
    let mut found: Vec<String> = code
        .split(';')
        .map(|statement| statement.split_whitespace().collect::<Vec<_>>().join(" "))
        .map(|statement| statement.replace("extern \"C\" { ", ""))
        .filter(|statement| statement.contains("p21_"))
        .chain(numbers)
        .collect();
    let mut wanted: Vec<&str> = baseline.lines().collect();
    found.sort();
    wanted.sort_unstable();
    assert_eq!(found, wanted);
}
