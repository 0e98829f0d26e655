//! Names of functions, flags, codes and variables in the pages are real ones.

use std::collections::BTreeSet;

use p21auth::internal::options::OPTIONS;

use crate::pages::{pages, read};

/// Variables that are not an option's own.
const VARIABLES: [&str; 5] = [
    "P21_PROFILE",
    "P21_CONSUMER_USERNAME",
    "P21_VERIFY_SSL",
    // Prefixes, as one writes them in a text.
    "P21_",
    "P21_PLAY_",
];

/// What looks like a name and begins with `start`.
fn names<'a>(text: &'a str, start: &str) -> BTreeSet<&'a str> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(start)
        .filter(|(at, _)| !text[..*at].ends_with(part))
        .map(|(at, _)| {
            let rest = &text[at..];
            &rest[..rest.find(|c| !part(c)).unwrap_or(rest.len())]
        })
        .collect()
}

#[test]
fn every_name_in_a_page_is_a_real_one() {
    let header = format!(
        "{}{}",
        read("include/p21auth.h"),
        read("include/p21auth.hpp")
    );
    let mut known: BTreeSet<String> = ["P21_", "p21_"]
        .iter()
        .flat_map(|start| names(&header, start))
        .map(str::to_owned)
        .collect();
    for row in OPTIONS {
        for prefix in ["P21_", "P21_PLAY_"] {
            known.insert(format!("{prefix}{}", row.name.to_ascii_uppercase()));
        }
    }
    known.extend(VARIABLES.map(str::to_owned));
    // Views of the emulator.
    known.insert("p21_view_x".to_owned());
    // Python's names: fixtures and the module with the middleware.
    let python = [
        "p21_client",
        "p21_emulator",
        "p21_environment",
        "p21_middleware",
    ];
    known.extend(python.map(str::to_owned));
    let (mut count, mut unknown) = (0, Vec::new());
    for page in pages() {
        let text = read(&page);
        for start in ["P21_", "p21_"] {
            for name in names(&text, start) {
                count += 1;
                if !known.contains(name) {
                    unknown.push(format!("{page}: {name}"));
                }
            }
        }
    }
    assert!(count > 100, "only {count} names were found");
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
}

#[test]
fn every_target_of_make_is_there() {
    let makefile = read("Makefile");
    let mut count = 0;
    for page in pages() {
        let text = read(&page);
        for before in ["`make ", "\nmake ", "$ make "] {
            for (at, _) in text.match_indices(before) {
                let rest = &text[at + before.len()..];
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-');
                let target = &rest[..end.unwrap_or(rest.len())];
                count += 1;
                let rule = format!("\n{target}:");
                assert!(makefile.contains(&rule), "{page}: make {target}");
            }
        }
    }
    assert!(count > 8, "only {count} were found");
}
