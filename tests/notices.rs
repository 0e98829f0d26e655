//! The third-party notices name everything that is linked, and nothing else.

#[path = "../tools/notices.rs"]
mod notices;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// The shared library as these tests are built with it, beside them.
fn library() -> Vec<u8> {
    let mut folder = std::env::current_exe().expect("this test");
    folder.pop();
    let name = format!(
        "{}p21auth{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    );
    let path: PathBuf = folder.join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Names and versions of the crates whose source paths stand in a binary, in panic messages and debug information.
fn crates_in(binary: &[u8]) -> BTreeSet<String> {
    let text: String = binary.iter().map(|&byte| char::from(byte)).collect();
    text.match_indices("/registry/src/")
        .filter_map(|(at, mark)| {
            let mut parts = text[at + mark.len()..].splitn(3, '/');
            let (_, name) = (parts.next()?, parts.next()?);
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
            (name.len() < 80 && name.chars().all(plain)).then(|| name.to_owned())
        })
        .collect()
}

#[test]
fn every_crate_in_the_shared_library_has_its_notice() {
    let folder = tempfile::tempdir().expect("a folder");
    let dist = folder.path().join("dist");
    let count = notices::write_into(&dist, None).expect("written");
    let text = fs::read_to_string(dist.join("THIRD-PARTY-NOTICES.md")).expect("written");
    let found = crates_in(&library());
    assert!(found.len() > 30, "too few to be true: {found:?}");
    for name in ["ring-", "rustls-", "reqwest-", "tokio-", "hyper-", "libc-"] {
        assert!(found.iter().any(|one| one.starts_with(name)), "{name}");
    }
    let rows: BTreeSet<String> = text
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split(" | ");
            Some(format!("{}-{}", cells.next()?, cells.next()?))
        })
        .collect();
    assert_eq!(
        rows.len(),
        count + 1,
        "a row for each, and the table's head"
    );
    let missing: Vec<_> = found.difference(&rows).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(dist.join("RUST-STANDARD-LIBRARY.html").is_file());
    for section in text.split("\n## ").skip(1) {
        let (users, license) = section.split_once('\n').expect("a title");
        assert!(license.trim().len() > 200, "{users}");
    }
}

#[test]
fn every_row_has_a_text_and_build_tools_have_no_row() {
    let crates = notices::linked("x86_64-unknown-linux-gnu").expect("metadata");
    let text = notices::notices(&crates, "x86_64-unknown-linux-gnu").expect("texts");
    let titles: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    for one in &crates {
        let user = format!("{} {}", one.name, one.version);
        let has = titles
            .iter()
            .any(|title| title.split(", ").any(|name| name == user));
        assert!(has, "{user} ({}) has no text", one.license);
        assert!(
            !one.license.contains("GPL") || one.license.contains("OR"),
            "{user}"
        );
        assert!(!one.license.contains("MPL"), "{user}");
    }
    for tool in ["cbindgen", "clap_derive", "serde_derive", "proptest", "syn"] {
        assert!(crates.iter().all(|one| one.name != tool), "{tool}");
    }
}

#[test]
fn other_targets_have_other_crates() {
    let windows = notices::linked("x86_64-pc-windows-gnu").expect("metadata");
    assert!(windows.iter().any(|one| one.name == "windows-sys"));
    notices::notices(&windows, "x86_64-pc-windows-gnu").expect("every text is there");
    let linux = notices::linked("x86_64-unknown-linux-gnu").expect("metadata");
    assert!(linux.iter().all(|one| one.name != "windows-sys"));
}
