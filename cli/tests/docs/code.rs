//! Code blocks by their language. What is neither compiled nor run says so by its tag: `text`.

use std::process::Command;

use crate::pages::{blocks, keep_current, pages, parse, read};

/// What becomes of a block.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    /// A doc test of `src/lib.rs`.
    DocTest,
    /// By this file.
    Compiled,
    /// By `bindings/python/tests/test_readme.py`.
    Python,
    /// By `bindings/csharp/test.sh`.
    CSharp,
    /// By this file: its syntax, and the command lines of `p21auth`; with `run` in the tag it is run as well.
    Shell,
    /// By this file.
    Json,
    /// Its first line must say that no test runs it.
    Unproven,
    /// Settings of other programs, output, and so on.
    Shown,
}

const LANGUAGES: [(&str, Fate); 16] = [
    ("rust", Fate::DocTest),
    ("c", Fate::Compiled),
    ("cpp", Fate::Compiled),
    ("python", Fate::Python),
    ("csharp", Fate::CSharp),
    ("sh", Fate::Shell),
    ("console", Fate::Shell),
    ("json", Fate::Json),
    ("powershell", Fate::Unproven),
    ("bat", Fate::Unproven),
    ("js", Fate::Unproven),
    ("php", Fate::Unproven),
    ("ini", Fate::Shown),
    ("xml", Fate::Shown),
    ("cmake", Fate::Shown),
    ("text", Fate::Shown),
];

fn fate(language: &str) -> Option<Fate> {
    LANGUAGES
        .iter()
        .find(|(name, _)| *name == language)
        .map(|(_, fate)| *fate)
}

#[test]
fn every_block_has_a_language_that_something_checks() {
    let count = blocks().len();
    assert!(count > 50, "only {count} blocks were found");
    for block in blocks() {
        let what = fate(block.language());
        assert!(
            what.is_some(),
            "{}: nothing checks '{}'",
            block.place,
            block.info
        );
        if what == Some(Fate::Json) {
            let read = serde_json::from_str::<serde_json::Value>(&block.text);
            assert!(read.is_ok(), "{}: {read:?}", block.place);
        }
        if what == Some(Fate::Unproven) {
            let first = block.text.lines().next().unwrap_or_default();
            assert!(
                first.to_lowercase().contains("not run by the tests"),
                "{}: its first line must say: not run by the tests",
                block.place
            );
        }
    }
    assert!(fate("").is_none() && fate("bash").is_none() && fate("text").is_some());
}

/// Doc tests, and the scripts of the bindings, find a page only where it is named to them.
#[test]
fn every_checker_of_a_language_knows_the_pages() {
    let library = read("src/lib.rs");
    for page in pages() {
        let (blocks, _) = parse(&page);
        if blocks.iter().any(|block| block.language() == "rust") {
            assert!(
                library.contains(&format!("include_str!(\"../{page}\")")),
                "{page} has Rust blocks: add it at the end of src/lib.rs"
            );
        }
    }
    for script in [
        "bindings/python/tests/test_readme.py",
        "bindings/csharp/test.sh",
    ] {
        assert!(read(script).contains("docs"), "{script}");
    }
}

/// The quick starts of the README are examples, which other tests run too.
#[test]
fn the_quick_starts_are_the_examples() {
    let mut text = read("README.md");
    for (language, example) in [
        ("c", "examples/c/quick_start.c"),
        ("cpp", "examples/cpp/quick_start.cpp"),
    ] {
        let begin = format!("```{language}\n");
        let (before, rest) = text.split_once(&begin).expect("a block");
        let (_, after) = rest.split_once("```").expect("its end");
        text = format!("{before}{begin}{}```{after}", read(example));
    }
    keep_current("README.md", &text);
    let (blocks, _) = parse("README.md");
    for language in ["rust", "python", "csharp", "sh"] {
        assert!(
            blocks.iter().any(|block| block.language() == language),
            "{language}"
        );
    }
}

/// The command lines of `p21auth` in a script: what stands before each, and in which shell construct, does not matter.
fn command_lines(script: &str) -> Vec<String> {
    let joined = script.replace("\\\n", " ");
    let lines = joined.lines().map(|line| {
        let line = line.trim_start().trim_start_matches("$ ");
        line.split_once(" #").map_or(line, |(code, _)| code)
    });
    lines
        .filter(|line| !line.starts_with('#'))
        .flat_map(|line| {
            line.split(['|', ';', '&', '(', ')', '<', '>', '`'])
                .map(|part| part.trim().to_owned())
                .collect::<Vec<_>>()
        })
        .map(|part| {
            let words = part.split(' ').skip_while(|word| {
                let name = word.split('=').next().unwrap_or_default();
                word.contains('=') && !name.is_empty() && !name.starts_with('-')
            });
            words.collect::<Vec<_>>().join(" ")
        })
        .filter(|part| part == "p21auth" || part.starts_with("p21auth "))
        .collect()
}

#[test]
fn every_command_line_is_one_that_the_tool_takes() {
    let mut found = Vec::new();
    for block in blocks() {
        if fate(block.language()) == Some(Fate::Shell) {
            for line in command_lines(&block.text) {
                found.push((block.place.clone(), line));
            }
        }
    }
    for page in pages() {
        let (_, prose) = parse(&page);
        // Every second piece between ticks is code.
        let prose = prose.join("\n");
        for code in prose.split('`').skip(1).step_by(2) {
            for line in command_lines(&code.replace('\n', " ")) {
                found.push((page.clone(), line));
            }
        }
    }
    assert!(found.len() > 15, "only {} were found", found.len());
    for (place, line) in found {
        let words: Vec<String> = line
            .split_whitespace()
            .map(|word| word.trim_matches(['\'', '"']).to_owned())
            // For what the reader fills in.
            .filter(|word| word != "…")
            .collect();
        if words.len() > 1 {
            let taken = p21auth_cli::accepts(words.iter().map(Into::into));
            assert!(taken.is_ok(), "{place}: {line}: {}", taken.unwrap_err());
        }
    }
    let bad = p21auth_cli::accepts(["p21auth", "token", "--nothing"].map(Into::into));
    assert!(bad.is_err_and(|said| said.contains("--nothing")));
}

#[test]
fn command_lines_are_found_wherever_they_stand() {
    assert_eq!(
        command_lines(
            "$ A=b p21auth token --json | p21auth inspect # x\nx=\"$(p21auth ui-url)\"\n# p21auth no\np21auth \\\n  demo\n"
        ),
        [
            "p21auth token --json",
            "p21auth inspect",
            "p21auth ui-url",
            "p21auth    demo"
        ]
    );
}

#[test]
fn shell_blocks_are_well_formed() {
    for block in blocks().iter().filter(|block| block.language() == "sh") {
        let lines = block.text.lines();
        let plain: Vec<_> = lines.map(|line| line.trim_start_matches("$ ")).collect();
        let read = Command::new("sh")
            .args(["-n", "-c", &plain.join("\n")])
            .output()
            .expect("sh starts");
        assert!(
            read.status.success(),
            "{}: {}",
            block.place,
            String::from_utf8_lossy(&read.stderr)
        );
    }
}

#[cfg(target_os = "linux")]
mod compiled {
    use crate::pages::{Block, blocks};
    use test_support::programs::{Bench, Link, output, run};

    /// What a page's fragment may use without making it; a whole file has an `#include`.
    fn source(block: &Block) -> String {
        let (page, line) = block.place.split_once(':').expect("page and line");
        let line = format!(
            "#line {} \"{page}\"\n",
            line.parse::<u32>().expect("a number") + 1
        );
        if block.text.contains("#include") {
            return format!("{line}{}", block.text);
        }
        let head = if block.language() == "cpp" {
            "#include <iostream>\n#include \"p21auth.hpp\"\nvoid fragment(p21::client &client);\nvoid fragment(p21::client &client)\n{\n(void)client;\n"
        } else {
            "#include <stdio.h>\n#include <string.h>\n#include \"p21auth.h\"\n\
             void fragment(p21_client *client, const char *sent, int status, const char *body);\n\
             void fragment(p21_client *client, const char *sent, int status, const char *body)\n{\n\
             (void)client; (void)sent; (void)status; (void)body;\n{\n"
        };
        let tail = if block.language() == "cpp" {
            "}"
        } else {
            "}\n}"
        };
        format!("{head}{line}{}{tail}\n", block.text)
    }

    #[test]
    fn c_and_cpp_blocks_compile_and_programs_run() {
        let bench = Bench::new();
        let (mut compiled, mut ran) = (0, 0);
        for (number, block) in blocks().iter().enumerate() {
            if !["c", "cpp"].contains(&block.language()) {
                continue;
            }
            let name = format!("block{number}.{}", block.language());
            let file = bench.folder.path().join(name);
            std::fs::write(&file, source(block)).expect("written");
            let file = file.to_str().expect("a path");
            compiled += 1;
            if block.text.contains("int main(") {
                ran += 1;
                let said = bench.compile_and_run(file, Link::Shared);
                assert!(!said.is_empty(), "{} says nothing", block.place);
            } else {
                bench.compile(file, Link::Shared, &["-c"]);
            }
        }
        assert!(compiled > 10 && ran > 3, "{compiled} compiled, {ran} ran");
    }

    #[test]
    fn shell_blocks_that_are_marked_run() {
        let bench = Bench::new();
        let tool = std::path::Path::new(env!("CARGO_BIN_EXE_p21auth"));
        let folder = tool.parent().expect("a folder").display();
        let home = tempfile::tempdir().expect("a folder");
        let mut ran = 0;
        for block in blocks().iter().filter(|block| block.has("run")) {
            assert_eq!(block.language(), "sh", "{}", block.place);
            let path = std::env::var("PATH").unwrap_or_default();
            let mut shell = bench.command("sh");
            shell
                .args(["-eu", "-c", &block.text])
                .current_dir(home.path())
                .env("PATH", format!("{folder}:{path}"))
                .env("HOME", home.path())
                .env_remove("XDG_CACHE_HOME");
            assert!(!output(&run(&mut shell)).is_empty(), "{}", block.place);
            ran += 1;
        }
        assert!(ran > 2, "only {ran} blocks are run");
    }
}
