//! The man pages and completions of a release know every command and every option of the tool.

#[path = "../../examples/pages.rs"]
mod pages;

use std::fs;
use std::path::Path;

/// Every command below this one with the words that call it, itself first.
fn commands(command: &clap::Command, name: &str) -> Vec<(String, clap::Command)> {
    let mut all = vec![(name.to_owned(), command.clone())];
    for below in command.get_subcommands() {
        all.extend(commands(below, &format!("{name}-{}", below.get_name())));
    }
    all
}

fn options(command: &clap::Command) -> Vec<String> {
    let arguments = command.get_arguments().filter(|one| !one.is_hide_set());
    arguments
        .filter_map(|one| Some(format!("--{}", one.get_long()?)))
        .collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn pages_and_completions_know_every_command_and_option() {
    let share = tempfile::tempdir().expect("a folder");
    pages::write_into(share.path()).expect("written");
    let all = commands(&p21auth_cli::command(), "p21auth");
    assert!(all.len() > 10, "{}", all.len());
    let completions = pages::COMPLETIONS.map(|(shell, folder, name)| {
        let text = read(&share.path().join(folder).join(name));
        (shell.to_string(), text)
    });
    for (name, command) in &all {
        let page = read(&share.path().join(format!("man/man1/{name}.1"))).replace("\\-", "-");
        assert!(page.contains(&format!("\n{name} - ")), "{page}");
        for option in options(command) {
            assert!(page.contains(&option), "{name}.1 lacks {option}");
            for (shell, text) in &completions {
                let found = text.contains(option.trim_start_matches('-'));
                assert!(found, "{shell} lacks {option}");
            }
        }
        for (shell, text) in &completions {
            assert!(text.contains(command.get_name()), "{shell} lacks {name}");
        }
    }
}

/// In the shells that are here: bash is on every machine that tests.
#[cfg(target_os = "linux")]
#[test]
fn a_shell_completes_commands_options_and_their_words() {
    let share = tempfile::tempdir().expect("a folder");
    pages::write_into(share.path()).expect("written");
    let script = r#". "$0/bash-completion/completions/p21auth"
complete_words() {
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    _p21auth p21auth "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    echo "${COMPREPLY[@]}"
}
complete_words p21auth st
complete_words p21auth store c
complete_words p21auth token --hea"#;
    let output = std::process::Command::new("bash")
        .args(["-c", script])
        .arg(share.path())
        .output()
        .expect("bash");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        said,
        "store\nclear\n--header\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
