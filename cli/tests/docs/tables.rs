//! The generated tables, each between two comments in its page.

use p21auth::internal::client::FIELDS;
use p21auth::internal::options::{Kind, OPTIONS, OptionRow};
use p21auth::log::EVENTS;
use p21auth::{Code, Verdict};

use crate::pages::{keep_current, read};

/// Replaces what stands between `<!-- name: begin -->` and `<!-- name: end -->`, which occur once.
fn with_part(text: &str, name: &str, part: &str) -> String {
    let (begin, end) = (
        format!("<!-- {name}: begin -->\n"),
        format!("<!-- {name}: end -->"),
    );
    let (before, rest) = text
        .split_once(&begin)
        .unwrap_or_else(|| panic!("no {begin}"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("no {end}"));
    format!("{before}{begin}{part}{end}{after}")
}

/// A text as a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn options() -> String {
    let rows: Vec<String> = OPTIONS.iter().map(option_line).collect();
    format!(
        "| Option | Type | Default | Belongs to | |\n|---|---|---|---|---|\n{}",
        rows.concat()
    )
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
        "| `{}` | {kind} | {default} | {} | {} |\n",
        row.name,
        row.scope.name(),
        cell(row.text)
    )
}

fn errors() -> String {
    let rows: Vec<String> = Code::ALL
        .iter()
        .map(|code| {
            let again = if code.is_retryable() { "yes" } else { "no" };
            format!(
                "| {} | `{}` | {} | {} | {again} |\n",
                code.number(),
                code.name().trim_start_matches("P21_E_"),
                cell(code.meaning()),
                cell(
                    &code
                        .advice()
                        .replace("docs/options.md", "[the table of options](options.md)")
                )
            )
        })
        .collect();
    format!(
        "| | Name | Meaning | What to do | May succeed later |\n|---|---|---|---|---|\n{}",
        rows.concat()
    )
}

fn exits() -> String {
    let numbers = |first: i32, last: i32| match first {
        0 => String::new(),
        _ => format!("{first}–{last}"),
    };
    let rows: Vec<String> = p21auth_cli::exit_statuses()
        .iter()
        .map(|(number, (first, last), meaning)| {
            format!("| {number} | {} | {meaning} |\n", numbers(*first, *last))
        })
        .collect();
    format!(
        "| Exit status | Codes | |\n|---|---|---|\n| 0 | | success |\n{}",
        rows.concat()
    )
}

fn verdicts() -> String {
    let rows: Vec<String> = Verdict::ALL
        .iter()
        .map(|verdict| {
            format!(
                "| {} | `{verdict:?}` | {} |\n",
                verdict.number(),
                cell(verdict.hint())
            )
        })
        .collect();
    format!("| | Verdict | Its hint |\n|---|---|---|\n{}", rows.concat())
}

fn events() -> String {
    let rows: Vec<String> = EVENTS
        .iter()
        .map(|(name, level, meaning)| {
            format!("| `{name}` | {} | {} |\n", level.name(), cell(meaning))
        })
        .collect();
    format!("| Event | Level | |\n|---|---|---|\n{}", rows.concat())
}

fn fields(table: &[(&str, &str)]) -> String {
    let rows: Vec<String> = table
        .iter()
        .map(|(path, meaning)| format!("| `{path}` | {} |\n", cell(meaning)))
        .collect();
    format!("| Field | |\n|---|---|\n{}", rows.concat())
}

#[test]
fn the_tables_are_those_of_the_code() {
    for (page, parts) in [
        ("docs/options.md", vec![("options", options())]),
        (
            "docs/diagnostics.md",
            vec![
                ("stats", fields(&FIELDS)),
                ("examination", fields(&p21auth::doctor::FIELDS)),
                ("events", events()),
            ],
        ),
        (
            "docs/errors.md",
            vec![
                ("errors", errors()),
                ("exits", exits()),
                ("verdicts", verdicts()),
            ],
        ),
    ] {
        let mut text = read(page);
        for (name, part) in parts {
            text = with_part(&text, name, &part);
        }
        keep_current(page, &text);
    }
}

#[test]
fn a_page_of_results_is_one_table_and_no_diary() {
    for (name, cells) in [("tests/RESULTS.md", 5), ("benches/RESULTS.md", 6)] {
        let page = read(name);
        let start = page.find("\n|").expect("a table") + 1;
        let (head, table) = page.split_at(start);
        assert!(head.lines().count() < 8, "{name}: {head}");
        for row in table.lines() {
            let found = row.replace("\\|", "").matches('|').count() - 1;
            assert!(
                row.ends_with('|') && (row.contains("---") || found == cells),
                "{name}, written by a script: {row}"
            );
        }
    }
}
