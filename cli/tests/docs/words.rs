//! Plain American English in all that a user reads. A word on these lists reads translated, or is spelled the British way.

use std::path::Path;

use crate::pages::{linked_pages, path, read};

/// Nowhere: in header, pages, help, messages, comments. Lower case; a blank fits a line break.
const NOWHERE: &str = "
    whoever whosever whatever nobody somebody anybody everybody mend mends mended mending licence licences
    for ever|forever|so many|good now|done without|hence|whence|thus|heed
    behaviour colour colours favour honour honoured recognise recognised normalise normalised normalises zeroise
    zeroised zeroises optimise optimised authorise authorisation";

/// Not where a function or a server returns something: in the header, the options, hints, the help and the README.
const NOT_FOR_RETURNS: &str = "gives|answers";

fn words(list: &str) -> Vec<String> {
    list.lines()
        .flat_map(|line| {
            let by = if line.contains('|') { '|' } else { ' ' };
            line.trim().split(by).map(str::trim)
        })
        .filter(|word| !word.is_empty())
        .map(|word| format!(" {word} "))
        .collect()
}

/// The text in lower case with one blank between words, and the marks of comments and punctuation left out. A name of several
/// parts, such as `left_over`, is one word.
fn plain(text: &str) -> String {
    let letters = text.chars().map(|c| {
        if c.is_alphanumeric() || c == '_' {
            c
        } else {
            ' '
        }
    });
    let letters: String = letters.collect();
    let words: Vec<_> = letters.split_whitespace().collect();
    format!(" {} ", words.join(" ").to_lowercase())
}

fn found(text: &str, list: &str) -> Vec<String> {
    let text = plain(text);
    words(list)
        .into_iter()
        .filter(|word| text.contains(word.as_str()))
        .collect()
}

/// The files below a folder that a test can read as text.
fn files(folder: &Path, all: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry").path();
        let name = entry.file_name().unwrap_or_default().to_string_lossy();
        if entry.is_dir() {
            if !["obj", "bin", "target", "__pycache__"].contains(&&*name) {
                files(&entry, all);
            }
        } else if [".rs", ".h", ".hpp", ".py", ".cs", ".html"]
            .iter()
            .any(|end| name.ends_with(end))
        {
            all.push(entry.to_string_lossy().into_owned());
        }
    }
}

/// The help of a command and of all below it.
fn help(command: &mut clap::Command) -> String {
    let own = command.render_long_help().to_string();
    command
        .get_subcommands_mut()
        .fold(own, |text, command| text + &help(command))
}

#[test]
fn what_people_read_is_plain_american_english() {
    let mut all = Vec::new();
    for folder in [
        "src",
        "include",
        "cli/src",
        "emulator/src",
        "examples",
        "bindings/python/src",
        "bindings/csharp/src",
    ] {
        files(&path(folder), &mut all);
    }
    assert!(all.len() > 200, "only {} files were found", all.len());
    let texts = all
        .iter()
        .map(|name| (name.clone(), std::fs::read_to_string(name).expect("UTF-8")));
    let pages = linked_pages()
        .into_iter()
        .map(|page| (page.clone(), read(&page)));
    let mut wrong = Vec::new();
    for (name, text) in texts.chain(pages) {
        wrong.extend(
            found(&text, NOWHERE)
                .iter()
                .map(|word| format!("{name}:{word}")),
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn functions_return_and_servers_respond() {
    let options = p21auth::internal::options::OPTIONS.iter();
    let options = options.map(|row| (row.name.to_owned(), row.text.to_owned()));
    let codes = p21auth::Code::ALL.iter();
    let codes = codes.map(|code| {
        let text = format!("{} {}", code.meaning(), code.advice());
        (code.name().to_owned(), text)
    });
    let files = ["README.md", "include/p21auth.h", "include/p21auth.hpp"];
    let files = files.map(|name| (name.to_owned(), read(name)));
    let help = [("help".to_owned(), help(&mut p21auth_cli::command()))];
    let mut wrong = Vec::new();
    for (name, text) in options.chain(codes).chain(files).chain(help) {
        let words = found(&text, &format!("{NOWHERE}\n{NOT_FOR_RETURNS}"));
        wrong.extend(words.iter().map(|word| format!("{name}:{word}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_word_is_found_across_lines_and_marks() {
    assert_eq!(
        found("/// for\n/// ever, whoever_x", NOWHERE),
        [" for ever "]
    );
    assert_eq!(found("It gives \"2\".", NOT_FOR_RETURNS), [" gives "]);
    assert!(found("given: a left_forever", NOWHERE).is_empty());
}
