//! Sources of secrets that need an environment or a process of their own.

use std::process::Command;

use p21_emulator::{Emulator, Options};

use crate::tool::{PLANTED, Seen, Tool};

fn tool(emulator: &Emulator) -> Tool {
    Tool::for_server(emulator.base_url()).without("P21_PASSWORD")
}

#[test]
fn a_credential_of_systemd_is_a_file_in_its_folder() {
    let emulator = Emulator::start(Options::default()).expect("started");
    let tool = tool(&emulator).with("P21_PASSWORD_FROM", "systemd:p21");
    tool.run(&["token"]).failed(
        2,
        &[
            "credential p21",
            "CREDENTIALS_DIRECTORY is not set",
            "LoadCredential=p21:",
        ],
    );
    tool.file("p21", "demo-password\n");
    let folder = tool.folder.path().display().to_string();
    let tool = tool.with("CREDENTIALS_DIRECTORY", &folder);
    tool.run(&["token"]).value();
    tool.file("p21", "");
    let says = format!("password_from: {folder}/p21 is empty");
    tool.run(&["token"]).failed(2, &[&says]);
}

#[test]
fn a_variable_is_named_by_a_variable() {
    let emulator = Emulator::start(Options::default()).expect("started");
    let tool = tool(&emulator).with("MY_SECRET", "demo-password");
    tool.run(&["token", "--password-from", "env:MY_SECRET"])
        .value();
    tool.run(&["token", "--password-from", "env:OTHER"])
        .failed(2, &["OTHER, which is not set"]);
    let says = "does not say where the secret is";
    tool.run(&["token", "--password-from", PLANTED])
        .failed(2, &[says]);
}

#[test]
fn a_program_that_ignores_the_end_of_its_children_takes_a_whole_line() {
    let emulator = Emulator::start(Options::default()).expect("started");
    let run = |line: &str| {
        let tool = tool(&emulator).with("P21_PASSWORD_FROM", line);
        // dash does not ignore it.
        let mut command = Command::new("bash");
        let binary = env!("CARGO_BIN_EXE_p21auth");
        command.args(["-c", &format!("trap '' CHLD; exec {binary} token")]);
        // As the tool's own command has it.
        for (name, value) in tool.command(&[]).get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Seen::of(&command.output().expect("bash runs"))
    };
    run("command:echo demo-password").value();
    // The children of the command are its own.
    run("command:sh -c 'sleep 0.05; (exit 0) && echo demo-password'").value();
    run("command:printf demo-password").failed(2, &["ignores SIGCHLD"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_with_rights_of_another_user_runs_no_command() {
    let tool = Tool::for_server("https://localhost:1").without("P21_PASSWORD");
    let copy = tool.folder.path().join("p21auth");
    std::fs::copy(env!("CARGO_BIN_EXE_p21auth"), &copy).expect("copied");
    let made = Command::new("chown").arg("nobody").arg(&copy).status();
    if !made.expect("chown").success() {
        return println!("NOT TESTED: only root can make a set-uid program");
    }
    let made = Command::new("chmod").arg("4755").arg(&copy).status();
    assert!(made.expect("chmod").success());
    let ran = tool.folder.path().join("ran");
    let line = format!("command:touch {}", ran.display());
    let mut command = Command::new(&copy);
    command.args(["token", "--password-from", &line]);
    for (name, value) in tool.command(&[]).get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let seen = Seen::of(&command.output().expect("it runs"));
    seen.failed(2, &["names a command", "runs set-uid"]);
    assert!(!ran.exists());
}
