//! `p21auth login`, `logout`, `profiles` and `secret get`, the real binary against the emulator over TLS. A script stands in for
//! `secret-tool`; tests/tools/secrets.sh has the real one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use p21_emulator::{Emulator, Options};
use tempfile::TempDir;

use crate::tool::{PLANTED, Seen, Tool, terminal};
use test_support::{KEY, PASSWORD, USER};

/// Keeps secrets in files beside it, and notes its arguments.
const SECRET_TOOL: &str = r#"#!/bin/sh
echo "$*" >> "$0.args"
if [ -e "$0.broken" ]; then
    echo 'secret-tool: Cannot autolaunch D-Bus without X11 $DISPLAY' >&2
    exit 1
fi
case $1 in
store) [ "$3 $4 $5" = "service p21auth username" ] && exec cat > "$0.of.$6" ;;
lookup) [ "$2 $3 $4" = "service p21auth username" ] && [ -e "$0.of.$5" ] && exec cat "$0.of.$5" ;;
clear) [ "$2 $3 $4" = "service p21auth username" ] && exec rm -f "$0.of.$5" ;;
esac
exit 1
"#;

struct Setup {
    emulator: Emulator,
    tool: Tool,
    ca: TempDir,
}

impl Setup {
    fn new() -> Setup {
        let setup = Setup::without_store();
        fs::create_dir(setup.folder().join("bin")).expect("made");
        let program = setup.tool.file("bin/secret-tool", SECRET_TOOL);
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).expect("set");
        setup
    }

    fn without_store() -> Setup {
        let emulator = Emulator::start(Options::tls()).expect("the emulator starts");
        let ca = TempDir::new().expect("a folder");
        emulator
            .write_ca(ca.path().join("ca.pem"))
            .expect("written");
        let tool = Tool::new();
        let folder = tool.folder.path().to_str().expect("UTF-8").to_owned();
        let tool = tool
            .with("HOME", &folder)
            .with("XDG_CONFIG_HOME", &format!("{folder}/config"))
            // Nothing but what the stand-in needs.
            .with("PATH", &format!("{folder}/bin:{folder}/needed"));
        fs::create_dir(tool.folder.path().join("needed")).expect("made");
        for program in ["cat", "rm", "sh"] {
            let link = tool.folder.path().join("needed").join(program);
            std::os::unix::fs::symlink(format!("/bin/{program}"), link).expect("linked");
        }
        Setup { emulator, tool, ca }
    }

    fn folder(&self) -> &Path {
        self.tool.folder.path()
    }

    fn profiles(&self) -> PathBuf {
        self.folder().join("config/p21auth/profiles.toml")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.profiles()).unwrap_or_default()
    }

    fn ca_file(&self) -> String {
        self.ca.path().join("ca.pem").display().to_string()
    }

    /// Address, user and profile `play`, which is trusted, and more.
    fn args<'a>(&'a self, ca_file: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let mut args = vec![
            "login",
            "--profile",
            "play",
            "--base-url",
            self.emulator.base_url(),
        ];
        args.extend(["--username", USER, "--ca-file", ca_file]);
        args.extend(more);
        args
    }

    fn login(&self, more: &[&str]) {
        let ca_file = self.ca_file();
        let seen = self
            .tool
            .run_with_input(&self.args(&ca_file, more), PASSWORD);
        assert_eq!(seen.status, 0, "{}", seen.err);
    }

    fn requests(&self) -> u64 {
        self.emulator.control().counter("token.requests")
    }

    fn in_store(&self) -> Option<String> {
        fs::read_to_string(self.folder().join("bin/secret-tool.of.play")).ok()
    }

    fn assert_nothing_kept(&self) {
        assert_eq!(self.text(), "");
        assert_eq!(self.in_store(), None);
        assert!(!self.folder().join("config/p21auth/secrets/play").exists());
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

/// Wherever text is left behind, but in the stores themselves.
fn assert_no_secret(texts: &[&str]) {
    for text in texts {
        for secret in [PASSWORD, KEY, PLANTED, "eyJ"] {
            assert!(!text.contains(secret), "a secret shows: {text}");
        }
    }
}

#[test]
fn what_is_said_once_is_examined_and_kept() {
    let setup = Setup::new();
    let ca_file = setup.ca_file();
    let args = setup.args(&ca_file, &["--timeout-ms", "9000", "--tls-verify=1"]);
    let seen = setup.tool.run_with_input(&args, &format!("{PASSWORD}\n"));
    assert_eq!((seen.status, seen.out.as_str()), (0, ""), "{}", seen.err);
    for words in [
        "ok      tls",
        "ok      token",
        "Logged in.",
        "your keyring, as p21auth/play",
        "--profile play",
    ] {
        assert!(
            seen.err.contains(words),
            "'{words}' is missing: {}",
            seen.err
        );
    }
    assert_eq!(setup.requests(), 1);
    assert_eq!(setup.in_store().as_deref(), Some(PASSWORD));
    let url = setup.emulator.base_url();
    assert_eq!(
        setup.text(),
        format!(
            "[play]\nbase_url = \"{url}\"\nusername = \"{USER}\"\ntimeout_ms = 9000\ntls_verify = 1\nca_file = \"{ca_file}\"\npassword_from = \"keyring:p21auth/play\"\n"
        )
    );
    let folder = setup.profiles().parent().expect("a folder").to_owned();
    assert_eq!(mode(&folder), 0o700);
    for file in fs::read_dir(&folder).expect("there") {
        assert_eq!(mode(&file.expect("listed").path()), 0o600);
    }
    setup.tool.run(&["token", "--profile", "play"]).value();
    assert_eq!(setup.tool.run(&["secret", "get", "play"]).value(), PASSWORD);
    let listed = setup.tool.run(&["profiles"]);
    assert_eq!(
        listed.value(),
        format!("  play  {url}  user {USER}  password keyring:p21auth/play")
    );
    let args = fs::read_to_string(setup.folder().join("bin/secret-tool.args")).expect("noted");
    assert!(
        args.starts_with("store --label=p21auth play service p21auth username play\n"),
        "{args}"
    );
    assert_no_secret(&[&seen.err, &setup.text(), &listed.out, &args]);

    let seen = setup.tool.run(&["logout", "--profile", "play"]);
    assert_eq!(seen.status, 0, "{}", seen.err);
    assert!(
        seen.err.contains("play and its secret are removed"),
        "{}",
        seen.err
    );
    setup.assert_nothing_kept();
    setup
        .tool
        .run(&["logout", "--profile", "play"])
        .failed(2, &["there is no profile 'play'"]);
    setup
        .tool
        .run(&["token", "--profile", "play"])
        .failed(2, &["there is no profile 'play'"]);
    setup
        .tool
        .run(&["secret", "get", "play"])
        .failed(2, &["keyring:p21auth/play is not there"]);
}

#[test]
fn a_name_that_is_not_said_comes_from_the_environment() {
    let mut setup = Setup::new();
    let ca_file = setup.ca_file();
    let url = setup.emulator.base_url().to_owned();
    let args = [
        "login",
        "--base-url",
        &url,
        "--username",
        USER,
        "--ca-file",
        &ca_file,
    ];
    let run = |setup: &Setup| {
        let seen = setup.tool.run_with_input(&args, PASSWORD);
        assert_eq!(seen.status, 0, "{}", seen.err);
    };
    run(&setup);
    setup.tool = setup.tool.with("P21_PROFILE", "other");
    run(&setup);
    let names: Vec<_> = setup
        .text()
        .lines()
        .filter(|line| line.starts_with('['))
        .map(str::to_owned)
        .collect();
    assert_eq!(names, ["[default]", "[other]"]);
    setup.tool.run(&["token"]).value();
    let listed = setup.tool.run(&["profiles", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(listed.value()).expect("JSON");
    assert_eq!(listed["profiles"][1]["name"], "other");
    assert_eq!(listed["profiles"][1]["chosen"], true);
    assert_eq!(listed["profiles"][0]["chosen"], false);
    assert_eq!(listed["profiles"][0]["kept_in"], "keyring:p21auth/default");
    assert_eq!(listed["profiles"][0]["credential"], "password");
    for name in ["a b", "../x", "-x", "", "ä", &"x".repeat(65)] {
        let flag = format!("--profile={name}");
        let args = ["login", &flag, "--base-url", &url, "--username", USER];
        setup
            .tool
            .run_with_input(&args, PASSWORD)
            .failed(2, &["name of a profile"]);
        setup
            .tool
            .run(&["logout", &flag])
            .failed(2, &["name of a profile"]);
    }
    setup
        .tool
        .run(&["secret", "get", "../x"])
        .failed(2, &["name of a profile"]);
}

#[test]
fn a_wrong_password_is_not_kept() {
    let setup = Setup::new();
    let ca_file = setup.ca_file();
    let seen = setup
        .tool
        .run_with_input(&setup.args(&ca_file, &[]), PLANTED);
    seen.failed(5, &["FAIL    token", "Nothing was saved."]);
    assert_eq!(setup.requests(), 1);
    setup.assert_nothing_kept();
}

#[test]
fn a_certificate_that_is_not_trusted_gets_no_password() {
    let setup = Setup::new();
    let url = setup.emulator.base_url();
    let args = [
        "login",
        "--profile",
        "play",
        "--base-url",
        url,
        "--username",
        USER,
    ];
    let seen = setup.tool.run_with_input(&args, PASSWORD);
    seen.failed(
        4,
        &["FAIL    tls", "--tls-pin-sha256 ", "Nothing was saved."],
    );
    assert_eq!(setup.requests(), 0);
    setup.assert_nothing_kept();
    let pin = seen.err.split("--tls-pin-sha256 ").nth(1).expect("a pin");
    let pin = pin.split([';', ' ']).next().expect("a pin");
    let pinned = [&args[..], &["--tls-pin-sha256", pin]].concat();
    let seen = setup.tool.run_with_input(&pinned, PASSWORD);
    assert_eq!(seen.status, 0, "{}", seen.err);
    assert!(
        setup
            .text()
            .contains(&format!("tls_pin_sha256 = \"{pin}\"")),
        "{}",
        setup.text()
    );
}

#[test]
fn on_a_terminal_everything_is_asked() {
    let setup = Setup::new();
    let url = setup.emulator.base_url();
    let ca_file = format!("{}\n", setup.ca_file());
    let (server, user, password) = (
        format!("{url}\n"),
        format!("{USER}\n"),
        format!("{PASSWORD}\n"),
    );
    let trust = "trust this authority; N] ";
    let mut answers = vec![
        ("Address of the P21 server", server.as_str()),
        ("P21 user", &user),
        ("Password of demo (not shown): ", &password),
        (trust, "n\n"),
    ];
    let args = ["login", "--profile", "play"];
    let (shown, status) = setup.tool.on_a_terminal(&args, &answers);
    assert_eq!(status, 4, "{shown}");
    assert_no_secret(&[&shown]);
    assert_eq!(setup.requests(), 0);
    setup.assert_nothing_kept();

    answers[3] = (trust, "y\n");
    let (shown, status) = setup.tool.on_a_terminal(&args, &answers);
    assert_eq!(status, 0, "{shown}");
    assert_no_secret(&[&shown, &setup.text()]);
    assert!(
        setup.text().contains("tls_pin_sha256 = \""),
        "{}",
        setup.text()
    );
    assert_eq!(setup.requests(), 1);
    setup.tool.run(&["token", "--profile", "play"]).value();

    // The same again: what is known need not be typed.
    let mut again = vec![
        ("Change it? [y/N] ", "y\n"),
        ("https://127", "\n"),
        ("[demo]", "\n"),
    ];
    again.push(("Password of demo", &password));
    let (shown, status) = setup.tool.on_a_terminal(&args, &again);
    assert_eq!(status, 0, "{shown}");
    assert!(
        setup.text().contains("tls_pin_sha256 = \""),
        "{}",
        setup.text()
    );

    answers[3] = (trust, &ca_file);
    let (shown, status) = setup
        .tool
        .on_a_terminal(&["login", "--profile", "ca"], &answers);
    assert_eq!(status, 0, "{shown}");
    let (_, profile) = setup
        .text()
        .split_once("[ca]")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .expect("there");
    assert!(
        profile.contains(&format!("ca_file = \"{}\"", ca_file.trim())),
        "{profile}"
    );
    assert!(!profile.contains("tls_pin"), "{profile}");
}

#[test]
fn a_key_is_what_has_no_user() {
    let setup = Setup::new();
    let (url, ca_file) = (setup.emulator.base_url(), setup.ca_file());
    let key = format!("{KEY}\n");
    let common = ["--base-url", url, "--ca-file", &ca_file];
    let (shown, status) = setup.tool.on_a_terminal(
        &[&["login", "--profile", "play"], &common[..]].concat(),
        &[
            ("empty for a consumer key: ", "\n"),
            ("Consumer key (not shown): ", &key),
        ],
    );
    assert_eq!(status, 0, "{shown}");
    assert_no_secret(&[&shown, &setup.text()]);
    assert!(
        setup
            .text()
            .contains("consumer_key_from = \"keyring:p21auth/play\""),
        "{}",
        setup.text()
    );
    assert_eq!(setup.in_store().as_deref(), Some(KEY));
    let named = ["login", "--profile", "named", "--auth-mode", "v2_consumer"];
    let seen = setup
        .tool
        .run_with_input(&[&named, &common[..]].concat(), KEY);
    assert_eq!(seen.status, 0, "{}", seen.err);
    setup.tool.run(&["token", "--profile", "named"]).value();
    // A user in its place.
    setup.login(&["--yes"]);
    assert!(
        !setup
            .text()
            .split("[named]")
            .next()
            .expect("text")
            .contains("consumer"),
        "{}",
        setup.text()
    );
    setup.tool.run(&["token", "--profile", "play"]).value();
    let seen = setup
        .tool
        .run_with_input(&[&["login", "--profile", "x"], &common[..]].concat(), KEY);
    seen.failed(2, &["a password or a consumer key", "--username"]);
}

#[test]
fn without_a_store_the_secret_is_in_a_file_and_that_is_said() {
    for is_broken in [false, true] {
        let setup = if is_broken {
            Setup::new()
        } else {
            Setup::without_store()
        };
        let why = if is_broken {
            setup.tool.file("bin/secret-tool.broken", "");
            "Cannot autolaunch D-Bus"
        } else {
            "install the package libsecret-tools"
        };
        let ca_file = setup.ca_file();
        let seen = setup
            .tool
            .run_with_input(&setup.args(&ca_file, &[]), PASSWORD);
        assert_eq!(seen.status, 0, "{}", seen.err);
        for words in [
            why,
            "The system's store of secrets cannot be used",
            "unencrypted",
        ] {
            assert!(
                seen.err.contains(words),
                "'{words}' is missing: {}",
                seen.err
            );
        }
        let file = setup.folder().join("config/p21auth/secrets/play");
        assert_eq!(fs::read_to_string(&file).expect("kept"), PASSWORD);
        assert_eq!(mode(&file), 0o600);
        assert_eq!(mode(file.parent().expect("a folder")), 0o700);
        let from = format!("password_from = \"file:{}\"", file.display());
        assert!(setup.text().contains(&from), "{}", setup.text());
        assert_no_secret(&[&seen.err, &setup.text()]);
        setup.tool.run(&["token", "--profile", "play"]).value();
        assert_eq!(setup.tool.run(&["secret", "get", "play"]).value(), PASSWORD);
        assert_eq!(setup.tool.run(&["logout", "--profile", "play"]).status, 0);
        setup.assert_nothing_kept();
        // On a terminal it is a question.
        let password = format!("{PASSWORD}\n");
        let (shown, status) = setup.tool.on_a_terminal(
            &setup.args(&ca_file, &[]),
            &[("Password", &password), ("instead? [y/N] ", "\n")],
        );
        assert_eq!(status, 1, "{shown}");
        setup.assert_nothing_kept();
        let (shown, status) = setup.tool.on_a_terminal(
            &setup.args(&ca_file, &[]),
            &[("Password", &password), ("instead? [y/N] ", "y\n")],
        );
        assert_eq!(status, 0, "{shown}");
        setup.tool.run(&["token", "--profile", "play"]).value();
    }
    // Wished for.
    let setup = Setup::new();
    setup.login(&["--in-file"]);
    assert_eq!(setup.in_store(), None);
    assert!(setup.text().contains("/secrets/play"), "{}", setup.text());
    // In the store from now on, and no longer in the file.
    setup.login(&["--yes"]);
    assert_eq!(setup.in_store().as_deref(), Some(PASSWORD));
    assert!(!setup.folder().join("config/p21auth/secrets/play").exists());
}

#[test]
fn a_profile_that_is_there_is_changed_after_a_question_only() {
    let setup = Setup::new();
    let ca_file = setup.ca_file();
    setup.login(&["--timeout-ms", "9000"]);
    let mut text = format!(
        "# mine\n\n{}\n# theirs\n[other]\nbase_url = \"https://h\"\n",
        setup.text()
    );
    text = text.replace("timeout_ms = 9000", "timeout_ms = 9000\n# a remark");
    fs::write(setup.profiles(), &text).expect("written");
    let requests = setup.requests();
    let seen = setup
        .tool
        .run_with_input(&setup.args(&ca_file, &[]), PASSWORD);
    seen.failed(2, &["the profile 'play' already exists", "--yes"]);
    let (shown, status) = setup
        .tool
        .on_a_terminal(&setup.args(&ca_file, &[]), &[("[y/N] ", "no\n")]);
    assert_eq!(status, 1, "{shown}");
    assert_eq!(
        (setup.text().as_str(), setup.requests()),
        (text.as_str(), requests)
    );
    // Without address and user: those of the profile.
    let seen = setup.tool.run_with_input(
        &["login", "--profile", "play", "--yes", "--max-retries", "1"],
        PASSWORD,
    );
    assert_eq!(seen.status, 0, "{}", seen.err);
    let after = setup.text();
    for kept in [
        "# mine\n\n[play]\n",
        "# a remark\n",
        "timeout_ms = 9000\n",
        "max_retries = 1\n",
        "\n# theirs\n[other]\nbase_url = \"https://h\"\n",
    ] {
        assert!(after.contains(kept), "'{kept}' is missing: {after}");
    }
    // A wrong password changes nothing.
    let seen = setup
        .tool
        .run_with_input(&["login", "--profile", "play", "--yes"], PLANTED);
    seen.failed(5, &["Nothing was saved."]);
    assert_eq!(
        (setup.text(), setup.in_store().as_deref()),
        (after.clone(), Some(PASSWORD))
    );
    // Nor does a file that cannot be understood.
    fs::write(setup.profiles(), format!("{after}password = {PLANTED}\n")).expect("written");
    let before = setup.text();
    for args in [
        &[
            "login",
            "--profile",
            "new",
            "--base-url",
            "h",
            "--username",
            USER,
        ][..],
        &["logout", "--profile", "play"],
        &["profiles"],
    ] {
        setup
            .tool
            .run_with_input(args, "")
            .failed(2, &["profiles.toml, line"]);
    }
    assert_eq!(
        (setup.text(), setup.in_store().as_deref()),
        (before, Some(PASSWORD))
    );
}

#[test]
fn no_secret_is_an_argument_and_none_comes_from_the_environment() {
    let mut setup = Setup::new();
    let ca_file = setup.ca_file();
    for args in [
        &["--password", PLANTED][..],
        &["--consumer-key", PLANTED],
        &["--access-token", PLANTED],
    ] {
        let seen = setup.tool.run_with_input(&setup.args(&ca_file, args), "");
        seen.failed(2, &["not accepted on the command line", "standard input"]);
    }
    for (args, says) in [
        (
            &["--auth-mode", "token"][..],
            "a token of your own is not saved",
        ),
        (
            &["--access-token-file", "x"],
            "a token of your own is not saved",
        ),
    ] {
        setup
            .tool
            .run_with_input(&setup.args(&ca_file, args), "")
            .failed(2, &[says]);
    }
    for (input, says) in [
        ("", "there is none"),
        ("\n", "there is none"),
        ("hunter2\nhunter2\n", "more than one line"),
    ] {
        let seen = setup.tool.run_with_input(&setup.args(&ca_file, &[]), input);
        seen.failed(2, &["Password of demo", says]);
        assert!(!seen.err.contains("hunter2"), "{}", seen.err);
    }
    setup.tool = setup
        .tool
        .with("P21_BASE_URL", "https://production.example.com")
        .with("P21_PASSWORD", PLANTED);
    setup
        .tool
        .run_with_input(&["login", "--username", USER], PASSWORD)
        .failed(2, &["--base-url is missing"]);
    setup.assert_nothing_kept();
    assert_eq!(setup.requests(), 0);
}

#[test]
fn a_secret_that_is_kept_elsewhere_stays_there() {
    let setup = Setup::new();
    let ca_file = setup.ca_file();
    let file = setup.tool.file("password", PASSWORD);
    let source = format!("command:cat {}", file.display());
    let seen = setup
        .tool
        .run(&setup.args(&ca_file, &["--password-from", &source]));
    assert_eq!(seen.status, 0, "{}", seen.err);
    assert!(
        setup
            .text()
            .contains(&format!("password_from = \"{source}\"")),
        "{}",
        setup.text()
    );
    assert_eq!(setup.in_store(), None);
    let listed = setup.tool.run(&["profiles"]);
    assert!(
        listed.value().ends_with("password command:cat …"),
        "{}",
        listed.out
    );
    // A path that is said in one folder serves in all.
    let seen = setup
        .tool
        .run(&setup.args(&ca_file, &["--yes", "--password-file", "password"]));
    assert_eq!(seen.status, 0, "{}", seen.err);
    let line = format!(
        "password_file = \"{}/password\"",
        fs::canonicalize(setup.folder()).expect("there").display()
    );
    assert!(
        setup.text().contains(&line) && !setup.text().contains("password_from"),
        "{}",
        setup.text()
    );
    let seen = setup.tool.run(&["logout", "--profile", "play"]);
    assert_eq!(seen.status, 0, "{}", seen.err);
    assert!(
        file.exists() && seen.err.contains("not saved by p21auth login"),
        "{}",
        seen.err
    );
}

#[test]
fn a_file_of_variables_becomes_a_profile() {
    let setup = Setup::new();
    let url = setup.emulator.base_url();
    let text = format!(
        "P21_BASE_URL={url}\nP21_USERNAME={USER}\nP21_PASSWORD={PASSWORD}\nP21_CA_FILE={}\n",
        setup.ca_file()
    );
    setup.tool.file("old.env", &text);
    let seen = setup
        .tool
        .run(&["login", "--profile", "play", "--env-file", "old.env"]);
    assert_eq!(seen.status, 0, "{}", seen.err);
    assert_no_secret(&[&seen.err, &setup.text()]);
    assert_eq!(setup.in_store().as_deref(), Some(PASSWORD));
    setup.tool.run(&["token", "--profile", "play"]).value();
    setup.tool.file(
        "proxy.env",
        &format!("{text}P21_PROXY=http://u:{PLANTED}@127.0.0.1:9\n"),
    );
    let seen = setup
        .tool
        .run(&["login", "--profile", "x", "--env-file", "proxy.env"]);
    seen.failed(2, &["proxy contains a user or password"]);
}

#[test]
fn ctrl_c_at_a_secret_keeps_nothing() {
    let setup = Setup::new();
    let ca_file = setup.ca_file();
    let (shown, status) = setup
        .tool
        .on_a_terminal(&setup.args(&ca_file, &[]), &[("(not shown): ", "abc\u{3}")]);
    assert_eq!(status, 130, "{shown}");
    assert!(!shown.contains("abc"), "{shown}");
    setup.assert_nothing_kept();
    assert_eq!(setup.requests(), 0);
}

#[test]
fn nothing_is_typed_where_all_would_be_shown() {
    let setup = Setup::new();
    let ca_file = setup.ca_file();
    let (_master, open) = terminal();
    let mut command = setup.tool.command(&setup.args(&ca_file, &[]));
    let seen = Seen::of(&command.stdin(open()).output().expect("the binary runs"));
    seen.failed(2, &["Password of demo", "standard error is not a terminal"]);
}

#[test]
fn an_entry_of_a_keyring_is_a_source() {
    let setup = Setup::new();
    let (url, ca_file) = (setup.emulator.base_url(), setup.ca_file());
    let args = |source| {
        [
            "token",
            "--base-url",
            url,
            "--username",
            USER,
            "--ca-file",
            &ca_file,
            "--password-from",
            source,
        ]
    };
    setup.tool.file("bin/secret-tool.of.mine", PASSWORD);
    setup.tool.run(&args("keyring:p21auth/mine")).value();
    let says = "password_from: keyring:p21auth/none is not there";
    setup
        .tool
        .run(&args("keyring:p21auth/none"))
        .failed(2, &[says, "p21auth login"]);
    // A command that gets the token has no use for the place of the password.
    let tool = Tool::new()
        .with(
            "PATH",
            &format!("{}/bin:/bin:/usr/bin", setup.folder().display()),
        )
        .with("P21_BASE_URL", url)
        .with("P21_USERNAME", USER)
        .with("P21_CA_FILE", &ca_file)
        .with("P21_PASSWORD_FROM", "keyring:p21auth/mine");
    let inside = tool.run(&["exec", "--", env!("CARGO_BIN_EXE_p21auth"), "token"]);
    assert!(inside.value().len() > 20);
    let script = "printf '<%s>\\n' \"$P21_PASSWORD_FROM\"";
    let inside = tool.run(&["exec", "--", "sh", "-c", script]);
    assert_eq!(inside.value(), "<>");
    fs::remove_file(setup.folder().join("bin/secret-tool")).expect("removed");
    setup
        .tool
        .run(&args("keyring:p21auth/mine"))
        .failed(2, &["secret-tool cannot be started", "libsecret-tools"]);
}
