//! The code is held against the picture of the house: a module uses only those of the rows below its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::pages::{path, read};
use crate::pictures::{Cell, Picture};

/// All source files of a module.
fn sources(at: &Path) -> Vec<PathBuf> {
    if at.is_file() {
        return vec![at.to_owned()];
    }
    let entries = fs::read_dir(at).into_iter().flatten();
    entries
        .flat_map(|entry| sources(&entry.expect("an entry").path()))
        .collect()
}

/// The modules of this crate that a line of code names.
fn used(line: &str) -> Vec<&str> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let code = line.split("//").next().unwrap_or_default();
    code.match_indices("crate::")
        .filter(|(at, _)| !code[..*at].ends_with('$'))
        .flat_map(|(at, mark)| {
            let rest = &code[at + mark.len()..];
            let group = rest
                .strip_prefix('{')
                .and_then(|list| list.split('}').next());
            group.map_or_else(
                || vec![rest],
                |list| list.split(',').map(str::trim).collect(),
            )
        })
        .map(|rest| rest.split(|c| !part(c)).next().unwrap_or_default())
        .collect()
}

#[test]
fn uses_are_found_in_code_and_not_in_comments() {
    assert_eq!(used("use crate::{fork, options};"), ["fork", "options"]);
    assert_eq!(used("crate::sys::now(crate::clock::x)"), ["sys", "clock"]);
    assert!(used("/// See [`crate::cache`].").is_empty());
}

#[test]
fn the_arrows_of_the_house_are_those_of_the_code() {
    let house = Picture::read("docs/pictures/house.txt");
    let mut rows = BTreeMap::new();
    for (number, (_, cells)) in house.rows.iter().enumerate() {
        for module in cells.iter().flat_map(Cell::modules) {
            rows.insert(module.to_owned(), number);
        }
    }
    let library = read("src/lib.rs");
    let in_library: Vec<&str> = library
        .lines()
        .filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod "))
        .filter_map(|rest| rest.strip_suffix(';'))
        .collect();
    let mut drawn: Vec<&str> = rows.keys().map(String::as_str).collect();
    drawn.sort_unstable();
    let mut there = in_library.clone();
    there.sort_unstable();
    assert_eq!(drawn, there, "every module is in the picture");

    let (mut count, mut faults) = (0, Vec::new());
    for module in in_library {
        let mut files = sources(&path(&format!("src/{module}")));
        files.extend(sources(&path(&format!("src/{module}.rs"))));
        assert!(!files.is_empty(), "{module}");
        for file in files {
            let text = fs::read_to_string(&file).expect("readable");
            for name in text.lines().flat_map(used).filter(|name| *name != module) {
                count += 1;
                let (own, other) = (rows[module], rows.get(name));
                let neighbours = house.rows[own].1.iter().any(|cell| {
                    cell.modules().any(|one| one == module) && cell.modules().any(|one| one == name)
                });
                if !neighbours && other.is_none_or(|other| *other <= own) {
                    faults.push(format!("{}: {module} uses {name}", file.display()));
                }
            }
        }
    }
    assert!(count > 200, "only {count} uses were found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
