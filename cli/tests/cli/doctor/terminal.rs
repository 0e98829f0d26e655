//! On a terminal: a question before anything is asked for, progress, colors.

use super::{Setup, assert_no_secret};

/// Runs `doctor` on a terminal of its own and answers its question, if there is to be one. What the terminal showed, and the exit
/// status.
fn on_a_terminal(setup: &Setup, args: &[&str], answer: Option<&str>) -> (String, i32) {
    let mut all = vec!["doctor"];
    all.extend(args);
    let line = answer.map(|answer| format!("{answer}\n"));
    let answers: Vec<_> = line.iter().map(|line| ("[y/N]", line.as_str())).collect();
    let (shown, status) = setup.tool.on_a_terminal(&all, &answers);
    assert_no_secret(&shown);
    (shown, status)
}

#[test]
fn no_is_no() {
    let setup = Setup::new();
    for answer in ["n", "", "yesterday"] {
        let (shown, status) = on_a_terminal(&setup, &[], Some(answer));
        assert_eq!(status, 0, "{shown}");
        assert!(
            shown.contains("[y/N]") && shown.contains("middleware session"),
            "{shown}"
        );
        assert!(shown.contains("you chose not to request one"), "{shown}");
        assert!(shown.contains("No token request was made."), "{shown}");
    }
    assert_eq!(setup.token_requests(), 0);
}

#[test]
fn yes_is_one_request_in_colors() {
    let setup = Setup::new();
    let (shown, status) = on_a_terminal(&setup, &[], Some("y"));
    assert_eq!(status, 0, "{shown}");
    assert!(shown.contains("1 token request was made."), "{shown}");
    assert!(shown.contains("\u{1b}["), "no colors: {shown}");
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
        let (shown, status) = on_a_terminal(&setup, args, None);
        assert_eq!(status, 0, "{shown}");
        assert!(!shown.contains("[y/N]"), "{shown}");
        assert_eq!(setup.token_requests(), requests, "{args:?}");
    }
}
