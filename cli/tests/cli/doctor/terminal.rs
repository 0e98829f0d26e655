//! On a terminal: a question before anything is asked for, progress, colours.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::{Setup, assert_no_secret};

/// Runs `doctor` on a terminal of its own and answers its question. What the terminal showed, and the exit status.
fn on_a_terminal(setup: &Setup, args: &[&str], answer: &str) -> (String, i32) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&master).expect("granted");
    unlockpt(&master).expect("unlocked");
    let name = ptsname(&master, Vec::new()).expect("a name");
    let open = || {
        File::options()
            .read(true)
            .write(true)
            .open(name.to_str().expect("UTF-8"))
            .expect("opened")
    };
    let mut all = vec!["doctor"];
    all.extend(args);
    let mut command = setup.tool.command(&all);
    command
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR")
        .env_remove("CI")
        .stdin(Stdio::from(open()))
        .stdout(Stdio::from(open()))
        .stderr(Stdio::from(open()));
    let mut child = command.spawn().expect("the binary runs");
    // It holds the terminal's other end.
    drop(command);
    let mut master = File::from(master);
    let mut shown = Vec::new();
    let mut answered = false;
    let mut piece = [0; 4096];
    // The end of a terminal is an error on Linux.
    while let Ok(got) = master.read(&mut piece) {
        if got == 0 {
            break;
        }
        shown.extend_from_slice(&piece[..got]);
        if !answered && String::from_utf8_lossy(&shown).contains("[y/N]") {
            answered = true;
            writeln!(master, "{answer}").expect("typed");
        }
    }
    let status = child.wait().expect("it ends").code().expect("a status");
    let shown = String::from_utf8_lossy(&shown).into_owned();
    assert_no_secret(&shown);
    (shown, status)
}

#[test]
fn no_is_no() {
    let setup = Setup::new();
    for answer in ["n", "", "yesterday"] {
        let (shown, status) = on_a_terminal(&setup, &[], answer);
        assert_eq!(status, 0, "{shown}");
        assert!(
            shown.contains("[y/N]") && shown.contains("middleware session"),
            "{shown}"
        );
        assert!(shown.contains("you did not want one"), "{shown}");
        assert!(shown.contains("No token request was made."), "{shown}");
    }
    assert_eq!(setup.token_requests(), 0);
}

#[test]
fn yes_is_one_request_in_colours() {
    let setup = Setup::new();
    let (shown, status) = on_a_terminal(&setup, &[], "y");
    assert_eq!(status, 0, "{shown}");
    assert!(shown.contains("1 token request was made."), "{shown}");
    assert!(shown.contains("\u{1b}["), "no colours: {shown}");
    // Each step says that it is under way.
    for name in ["configuration", "dns", "tls", "token", "interactive"] {
        assert!(
            shown.contains(&format!("…       {name}")),
            "{name}: {shown}"
        );
    }
    assert_eq!(setup.token_requests(), 1);
}

#[test]
fn who_decided_before_is_not_asked() {
    let setup = Setup::new();
    for (args, requests) in [
        (&["--yes"][..], 1),
        (&["--no-token-request"], 1),
        (&["--yes", "--json"], 2),
    ] {
        let (shown, status) = on_a_terminal(&setup, args, "y");
        assert_eq!(status, 0, "{shown}");
        assert!(!shown.contains("[y/N]"), "{shown}");
        assert_eq!(setup.token_requests(), requests, "{args:?}");
    }
}
