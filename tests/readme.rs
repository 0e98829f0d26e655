//! The README says what the code says: its tables are generated, its C and C++ are the examples that other tests compile.
//!
//! `P21AUTH_REFRESH=1 cargo test --features cli --test readme` writes the generated parts anew.

use std::fs;
use std::path::Path;

use p21auth::Code;
use p21auth::options::{Kind, OPTIONS, OptionRow};

const REFRESH: &str = "P21AUTH_REFRESH";

fn path(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Replaces what stands between the lines `begin` and `end`, which occur once.
fn with_part(text: &str, begin: &str, end: &str, part: &str) -> String {
    let (before, rest) = text
        .split_once(begin)
        .unwrap_or_else(|| panic!("no {begin}"));
    let (_, after) = rest
        .split_once(end)
        .unwrap_or_else(|| panic!("no {end} after {begin}"));
    format!("{before}{begin}{part}{end}{after}")
}

fn options_table() -> String {
    let rows: String = OPTIONS.iter().map(option_line).collect();
    format!("\n| Option | Type | Default | |\n|---|---|---|---|\n{rows}")
}

fn option_line(row: &OptionRow) -> String {
    let kind = match row.kind {
        Kind::Choice(words) => words
            .iter()
            .map(|word| format!("`{word}`"))
            .collect::<Vec<_>>()
            .join(", "),
        Kind::Int { min, max } => format!("{min} … {max} {}", row.unit).trim_end().to_owned(),
        Kind::Text if row.secret => "secret".to_owned(),
        other => other.name().to_owned(),
    };
    let default = match row.default {
        "" => String::new(),
        default => format!("`{default}`"),
    };
    format!(
        "| `{}` | {kind} | {default} | {} |\n",
        row.name,
        row.text.replace('|', "\\|")
    )
}

fn errors_table() -> String {
    let families = [
        (2, 1..=49),
        (3, 50..=99),
        (4, 100..=149),
        (5, 150..=199),
        (6, 200..=249),
        (7, 250..=299),
    ];
    let rows: Vec<String> = p21auth::cli::exit_statuses()
        .iter()
        .map(|(number, meaning)| {
            let codes: Vec<String> = families
                .iter()
                .filter(|(status, _)| status == number)
                .flat_map(|(_, range)| {
                    Code::ALL
                        .iter()
                        .filter(|code| range.contains(&code.number()))
                })
                .map(|code| {
                    format!(
                        "`{}` {}",
                        code.name().trim_start_matches("P21_E_"),
                        code.number()
                    )
                })
                .collect();
            format!("| {number} | {meaning} | {} |\n", codes.join(", "))
        })
        .collect();
    format!(
        "\n| Exit status of `p21auth` | Family | Codes (`P21_E_` and the name) |\n|---|---|---|\n{}",
        rows.concat()
    )
}

/// The README as it should be.
fn expected() -> String {
    let mut text = read("README.md");
    for (name, part) in [("options", options_table()), ("errors", errors_table())] {
        text = with_part(
            &text,
            &format!("<!-- {name}: begin -->"),
            &format!("<!-- {name}: end -->"),
            &part,
        );
    }
    for (language, example) in [
        ("c", "examples/c/quick_start.c"),
        ("cpp", "examples/cpp/quick_start.cpp"),
    ] {
        text = with_part(&text, &format!("```{language}\n"), "```", &read(example));
    }
    text
}

#[test]
fn the_generated_parts_are_current() {
    let expected = expected();
    if std::env::var_os(REFRESH).is_some() {
        fs::write(path("README.md"), &expected).expect("written");
    }
    assert!(
        read("README.md") == expected,
        "README.md is out of date: {REFRESH}=1 cargo test --features cli --test readme"
    );
}

#[test]
fn every_path_that_it_names_is_there() {
    for text in [read("README.md"), read("SECURITY.md"), read("CHANGELOG.md")] {
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if !link.starts_with("http") && !link.starts_with('#') {
                assert!(path(link).exists(), "{link}");
            }
        }
    }
    let readme = read("README.md");
    let layout = readme
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
