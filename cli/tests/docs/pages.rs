//! The pages and their code blocks.

use std::fs;
use std::path::{Path, PathBuf};

pub const REFRESH: &str = "P21AUTH_REFRESH";

pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

pub fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Compares a file with what it should be, after writing it if it is to be refreshed.
pub fn keep_current(name: &str, expected: &str) {
    if std::env::var_os(REFRESH).is_some() {
        fs::write(path(name), expected).expect("written");
    }
    assert!(
        read(name) == expected,
        "{name} is out of date: {REFRESH}=1 cargo test -p p21auth-cli --test docs"
    );
}

/// Pages for users: their code is checked.
pub fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    pages.extend(markdown_in("docs"));
    pages
}

/// Every page whose links are checked.
pub fn linked_pages() -> Vec<String> {
    let mut all = pages();
    all.extend(["CHANGELOG.md".to_owned(), "SECURITY.md".to_owned()]);
    for folder in ["bindings", "examples"] {
        for entry in fs::read_dir(path(folder)).expect("a folder") {
            let name = entry.expect("an entry").file_name();
            all.extend(markdown_in(&format!("{folder}/{}", name.to_string_lossy())));
        }
    }
    all.extend(markdown_in("benches"));
    all.extend(markdown_in("tests/scenarios"));
    all
}

fn markdown_in(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(path(folder)).into_iter().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| format!("{folder}/{}", name.to_string_lossy()))
        .filter(|name| Path::new(name).extension().is_some_and(|end| end == "md"))
        .collect();
    names.sort();
    names
}

/// A fenced code block.
pub struct Block {
    /// Page and line, for messages.
    pub place: String,
    /// What follows the fence's ticks, such as `rust,no_run`.
    pub info: String,
    pub text: String,
}

impl Block {
    /// The first word of the info string.
    pub fn language(&self) -> &str {
        self.info
            .split([',', ' '])
            .next()
            .expect("split has a first part")
    }

    pub fn has(&self, word: &str) -> bool {
        self.info.split([',', ' ']).skip(1).any(|one| one == word)
    }
}

/// The fenced blocks of a page, and its other lines with blank ones in the place of the blocks.
pub fn parse(page: &str) -> (Vec<Block>, Vec<String>) {
    let (mut blocks, mut prose) = (Vec::<Block>::new(), Vec::new());
    let mut fence: Option<String> = None;
    for (number, line) in read(page).lines().enumerate() {
        let trimmed = line.trim_start();
        let ticks: String = trimmed.chars().take_while(|c| *c == '`').collect();
        match &fence {
            Some(open) if trimmed.trim_end() == open => fence = None,
            Some(_) => {
                let text = &mut blocks.last_mut().expect("a block is open").text;
                text.push_str(line);
                text.push('\n');
            }
            None if ticks.len() >= 3 => {
                blocks.push(Block {
                    place: format!("{page}:{}", number + 1),
                    info: trimmed[ticks.len()..].trim().to_owned(),
                    text: String::new(),
                });
                fence = Some(ticks);
            }
            None => {
                assert!(
                    !trimmed.starts_with("~~~"),
                    "{page}: fences are made of ticks"
                );
                prose.push(line.to_owned());
                continue;
            }
        }
        prose.push(String::new());
    }
    assert!(fence.is_none(), "{page}: a code block does not end");
    (blocks, prose)
}

pub fn blocks() -> Vec<Block> {
    pages().iter().flat_map(|page| parse(page).0).collect()
}
