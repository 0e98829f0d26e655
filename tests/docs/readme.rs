//! The table of the layout and the changelog name what is there; `tests/docs` checks all else of the documentation.

use std::fs;
use std::path::Path;

fn path(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn every_path_of_the_layout_is_there() {
    let page = read("CONTRIBUTING.md");
    let layout = page
        .split("| Where | What |")
        .nth(1)
        .expect("the layout")
        .split("\n\n")
        .next()
        .expect("a table");
    for line in layout.lines().filter(|line| line.starts_with("| `")) {
        for name in line.split('|').nth(1).expect("a cell").split(',') {
            let name = name.trim().trim_matches('`');
            assert!(path(name).exists(), "{name}");
        }
    }
}

#[test]
fn the_changelog_knows_this_version() {
    let heading = format!("## [{}]", env!("CARGO_PKG_VERSION"));
    assert!(read("CHANGELOG.md").contains(&heading), "no {heading}");
}

/// One line for each exported symbol, so that a reader of the changelog sees what a version brought.
#[test]
fn the_changelog_names_every_function_of_the_header() {
    let changelog = read("CHANGELOG.md");
    let header = read("include/p21auth.h");
    let code: String = header
        .lines()
        .filter(|line| !line.trim_start().starts_with(['*', '/']))
        .collect::<Vec<_>>()
        .join("\n");
    let functions: Vec<&str> = code
        .match_indices('(')
        .filter_map(|(at, _)| {
            code[..at]
                .rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .next()
        })
        .filter(|name| name.starts_with("p21_"))
        .collect();
    assert!(functions.len() > 30, "{functions:?}");
    for name in functions {
        assert!(
            changelog.contains(&format!("- `{name}`")),
            "{name} is not in CHANGELOG.md"
        );
    }
}
