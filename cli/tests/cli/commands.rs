//! The real binary: two processes that talk over TLS, exit statuses, and what it never says.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use p21_emulator::{Action, Emulator, Fault, Options};
use serde_json::Value;

use crate::tool::{PLANTED, Tool};
use test_support::planted::{self, Needles, echoes};

/// `p21auth mock --json` in a process of its own, which ends with this.
struct Mock {
    child: Child,
    stdin: Option<ChildStdin>,
    about: Value,
}

impl Mock {
    fn start(tool: &Tool, args: &[&str]) -> Mock {
        let mut args = args.to_vec();
        args.splice(0..0, ["mock", "--json", "--until-stdin-ends"]);
        let mut command = tool.command(&args);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe"))
            .read_line(&mut line)
            .expect("a line");
        Mock {
            stdin: child.stdin.take(),
            child,
            about: serde_json::from_str(&line).expect("JSON"),
        }
    }

    fn text(&self, name: &str) -> &str {
        self.about[name].as_str().expect(name)
    }

    /// Ends it and answers what it said on standard error.
    fn end(mut self) -> String {
        drop(self.stdin.take());
        let mut said = String::new();
        self.child
            .stderr
            .take()
            .expect("a pipe")
            .read_to_string(&mut said)
            .expect("UTF-8");
        assert!(self.child.wait().expect("it ends").success());
        said
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

fn is_jwt(text: &str) -> bool {
    text.starts_with("eyJ") && text.split('.').count() == 3 && !text.contains(char::is_whitespace)
}

#[test]
fn an_emulator_in_one_process_and_a_token_in_another() {
    let here = Tool::new();
    let mock = Mock::start(&here, &["--tls", "--verbose"]);
    let base_url = mock.text("base_url");
    let ca_file = Path::new(mock.text("ca_file"));
    assert!(
        ca_file.is_absolute()
            && ca_file.starts_with(here.folder.path().canonicalize().expect("a folder"))
    );

    let untrusted = Tool::for_server(base_url).run(&["token"]);
    let pin = mock.text("tls_pin_sha256");
    untrusted.failed(4, &["P21_E_TLS", pin, "tls_pin_sha256", "ca_file"]);

    let by_ca = Tool::for_server(base_url).with("P21_CA_FILE", mock.text("ca_file"));
    let token = by_ca.run(&["token"]);
    assert!(is_jwt(token.value()), "{}", token.out);
    let url = by_ca.run(&["ui-url"]);
    assert_eq!(url.value(), format!("{base_url}/uiserver0"));

    let by_pin = Tool::for_server(base_url).with("P21_TLS_PIN_SHA256", pin);
    assert!(is_jwt(by_pin.run(&["token"]).value()));
    let by_flag = Tool::for_server(base_url).run(&["token", "--tls-pin-sha256", pin]);
    assert!(is_jwt(by_flag.value()));

    let log = mock.end();
    assert_eq!(
        log.matches("POST /api/security/token/v2 200 v2_password user=demo")
            .count(),
        4,
        "{log}"
    );
    assert!(!log.contains("demo-password"), "{log}");
}

#[test]
fn the_forms_of_a_token() {
    let emulator = Emulator::start(Options::default()).expect("started");
    let tool = Tool::for_server(emulator.base_url());
    let header = tool.run(&["token", "--header"]);
    let token = header
        .value()
        .strip_prefix("Authorization: Bearer ")
        .expect("a header");
    assert!(is_jwt(token));
    let json: Value = serde_json::from_str(tool.run(&["token", "--json"]).value()).expect("JSON");
    assert_eq!(json["UserName"], "demo");
    assert!(is_jwt(json["AccessToken"].as_str().expect("text")));
    assert!((86_000..=86_400).contains(&json["ExpiresInSeconds"].as_i64().expect("a number")));
    tool.run(&["token", "--json", "--header"])
        .failed(2, &["--header"]);
}

#[test]
fn the_options_of_the_emulator() {
    let here = Tool::new();
    let config = here.file(
        "emulator.json",
        r#"{"users": [{"name": "api.user", "password": "made-up"}], "prefix": "/P21APIService"}"#,
    );
    let config = config.to_str().expect("UTF-8");
    let mock = Mock::start(
        &here,
        &[
            "--config",
            config,
            "--lifetime",
            "120",
            "--reply",
            "xml",
            "--set",
            "throttle_max=1",
            "--no-control",
        ],
    );
    let base_url = mock.text("base_url");
    assert!(
        base_url.ends_with("/P21APIService") && mock.about["ca_file"].is_null(),
        "{base_url}"
    );
    let tool = Tool::new()
        .with("P21_BASE_URL", base_url)
        .with("P21_USERNAME", "api.user")
        .with("P21_PASSWORD", "made-up");
    let json: Value = serde_json::from_str(tool.run(&["token", "--json"]).value()).expect("JSON");
    assert!(json["ExpiresInSeconds"].as_i64().expect("a number") <= 120);
    tool.run(&["token", "--max-retries", "0"])
        .failed(5, &["P21_E_RATE_LIMITED", "next try"]);

    let bad = |args: &[&str], says: &[&str]| {
        let mut args = args.to_vec();
        args.insert(0, "mock");
        here.run(&args).failed(2, says);
    };
    bad(&["--reply", "yaml"], &["reply", "token_response"]);
    bad(&["--set", "lifetme_s=1"], &["lifetme_s"]);
    bad(&["--set", "lifetime_s"], &["NAME=VALUE"]);
    bad(&["--tls", "perfect"], &["self-signed"]);
    bad(&["--config", "missing.json"], &["missing.json"]);
    let taken = base_url
        .rsplit(':')
        .next()
        .and_then(|rest| rest.split('/').next())
        .expect("a port");
    here.run(&["mock", "--port", taken])
        .failed(1, &["cannot start", taken]);
}

#[test]
fn what_the_emulator_prints_can_be_copied() {
    let tool = Tool::new();
    let mut command = tool.command(&["mock", "--tls", "--until-stdin-ends"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe"))
        .lines()
        .map(|line| line.expect("UTF-8"));
    let exports: Vec<String> = lines
        .by_ref()
        .take_while(|line| line.trim() != "p21auth token")
        .filter_map(|line| line.trim().strip_prefix("export ").map(str::to_owned))
        .collect();
    let other = exports.iter().fold(Tool::new(), |tool, export| {
        let (name, value) = export.split_once('=').expect("NAME=value");
        tool.with(name, value.trim_matches('\''))
    });
    assert!(is_jwt(other.run(&["token"]).value()), "{exports:?}");
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn exit_statuses_by_family() {
    let emulator = Emulator::start(Options::default()).expect("started");
    let base_url = emulator.base_url();
    let fault = |action| emulator.control().fault(Fault::on("/token", action));
    let tool = || {
        Tool::for_server(base_url)
            .with("P21_MAX_RETRIES", "0")
            .without("P21_PASSWORD")
            .with("P21_PASSWORD", PLANTED)
    };

    Tool::new().run(&["token"]).failed(
        2,
        &[
            "P21_BASE_URL",
            "P21_PASSWORD",
            "P21_CONSUMER_KEY",
            "--env-file",
        ],
    );
    tool()
        .with("P21_TIMEOUT_MS", "soon")
        .run(&["token"])
        .failed(2, &["P21_TIMEOUT_MS"]);
    tool()
        .run(&["token", "--no-such-option"])
        .failed(2, &["--no-such-option"]);
    tool().run(&["no-such-command"]).failed(
        2,
        &["token, ui-url, report, api, exec, inspect, doctor, store, login, logout, profiles, secret, mock"],
    );
    tool().run(&["tokne"]).failed(2, &["Did you mean 'token'?"]);
    tool()
        .run(&[
            "token",
            "--base-url",
            "https://127.0.0.1:1",
            "--proxy",
            "direct",
        ])
        .failed(4, &["P21_E_CONNECT"]);
    fault(Action::Reset);
    tool().run(&["token"]).failed(4, &["P21_E_IO"]);
    tool()
        .run(&["token"])
        .failed(5, &["P21_E_UNAUTHORIZED", "hint:"]);
    tool().run(&["ui-url"]).failed(5, &["P21_E_UNAUTHORIZED"]);
    fault(Action::answer(404, "no"));
    tool()
        .run(&["token"])
        .failed(5, &["P21_E_NOT_FOUND", "base_url"]);
    fault(Action::Html);
    tool()
        .run(&["token"])
        .failed(6, &["P21_E_PARSE", "base_url"]);
    fault(Action::Empty);
    tool().run(&["token"]).failed(6, &["P21_E_NO_ACCESS_TOKEN"]);
}

#[test]
fn no_failure_shows_what_the_server_echoes() {
    let emulator = Emulator::start(Options::default()).expect("started");
    for status in [200, 400, 401, 403, 418, 500] {
        let body = format!(r#"{{"ErrorMessage":"wrong password {PLANTED} for demo"}}"#);
        emulator
            .control()
            .fault(Fault::on("/token", Action::answer(status, &body)));
        let seen = Tool::for_server(emulator.base_url())
            .without("P21_PASSWORD")
            .with("P21_PASSWORD", PLANTED)
            .with("P21_MAX_RETRIES", "0")
            .run(&["token"]);
        assert!((5..=6).contains(&seen.status), "{status}: {}", seen.err);
    }
}

#[test]
fn secrets_are_refused_on_the_command_line_and_nothing_is_sent() {
    let emulator = Emulator::start(Options::default()).expect("started");
    let tool = Tool::for_server(emulator.base_url());
    for (args, says) in [
        (
            vec!["--password", PLANTED],
            &["--password", "P21_PASSWORD", "--password-file", ".env"][..],
        ),
        (
            vec!["--consumer-key", PLANTED],
            &["P21_CONSUMER_KEY", "--consumer-key-file"],
        ),
        (
            vec!["--access-token", PLANTED],
            &["P21_ACCESS_TOKEN", "--access-token-file"],
        ),
        (
            vec!["--store-key", PLANTED],
            &["P21_STORE_KEY", "--store-key-file"],
        ),
        (vec!["--pasword", PLANTED], &["--pasword"]),
        (vec![PLANTED], &["not expected"]),
    ] {
        for command in ["token", "ui-url"] {
            let mut all = vec![command];
            all.extend(&args);
            tool.run(&all).failed(2, says);
        }
    }
    let joined = format!("--password={PLANTED}");
    tool.run(&["token", &joined]).failed(2, &["P21_PASSWORD"]);
    let misspelt = format!("--pasword={PLANTED}");
    tool.run(&["token", &misspelt]).failed(2, &["--pasword"]);
    let url = format!("http://user:{PLANTED}@127.0.0.1:3128");
    tool.run(&["token", "--proxy", &url])
        .failed(2, &["--proxy", "P21_PROXY"]);
    let url = format!("redis://:{PLANTED}@127.0.0.1:6379/0");
    tool.run(&["token", "--store", &url])
        .failed(2, &["--store", "P21_STORE"]);
    let url = format!("https://user:{PLANTED}@127.0.0.1");
    tool.run(&["token", "--base-url", &url])
        .failed(2, &["base_url"]);
    tool.run(&["inspect", PLANTED])
        .failed(2, &["standard input"]);
    tool.run(&[PLANTED]).failed(2, &["no such command"]);
    assert_eq!(emulator.control().counter("requests"), 0);
}

#[test]
fn env_files_are_read_when_named_and_never_by_themselves() {
    let emulator = Emulator::start(Options::default()).expect("started");
    let tool = Tool::new();
    let text = format!(
        "# play\nexport P21_PLAY_BASE_URL={}\nP21_PLAY_USERNAME='demo'\nP21_PLAY_PASSWORD=\"demo-password\"\n",
        emulator.base_url()
    );
    tool.file(".env", &text);
    let prefix = ["token", "--env-prefix", "P21_PLAY_"];
    tool.run(&prefix)
        .failed(2, &["P21_PLAY_BASE_URL", "--env-file"]);
    let mut named = prefix.to_vec();
    named.extend(["--env-file", ".env"]);
    assert!(is_jwt(tool.run(&named).value()));
    // A variable comes before the file, a flag before both.
    let tool = tool.with("P21_PLAY_USERNAME", "nobody");
    tool.run(&named).failed(5, &["P21_E_UNAUTHORIZED"]);
    named.extend(["--username", "readonly", "--password-file", "password"]);
    tool.file("password", "readonly-password\n");
    assert!(is_jwt(tool.run(&named).value()));
    tool.run(&["token", "--env-file", "missing.env"])
        .failed(2, &["missing.env"]);
}

#[test]
fn inspect_shows_claims_and_life_and_no_token() {
    let emulator = Emulator::start(Options::default()).expect("started");
    let tool = Tool::for_server(emulator.base_url());
    let header = tool.run(&["token", "--header"]);
    let token = header.value().rsplit(' ').next().expect("a token");
    let signature = token.rsplit('.').next().expect("a signature");
    for input in [header.out.as_str(), token] {
        let seen = tool.run_with_input(&["inspect"], input);
        for words in ["demo", "P21.Soa", "expires"] {
            assert!(seen.value().contains(words), "{words}: {}", seen.out);
        }
        assert!(
            ["in 1 d", "in 23 h 59 min"]
                .iter()
                .any(|life| seen.out.contains(life)),
            "{}",
            seen.out
        );
        assert!(!seen.out.contains(signature) && !seen.out.contains(token));
    }
    let json = tool.run_with_input(&["inspect", "--json"], token);
    let json: Value = serde_json::from_str(json.value()).expect("JSON");
    assert_eq!(
        (&json["Claims"]["sub"], &json["Expired"]),
        (&Value::from("demo"), &Value::from(false))
    );
    for input in [
        "",
        PLANTED,
        &format!("Bearer {PLANTED}"),
        &format!("{{\"a\":\"{PLANTED}\"}}"),
    ] {
        tool.run_with_input(&["inspect"], input)
            .failed(6, &["P21_E_PARSE", "hint:"]);
    }
}

#[test]
fn help_and_version_go_to_standard_output() {
    let tool = Tool::new();
    for args in [&["--help"][..], &["token", "-h"], &["mock", "--help"]] {
        assert!(
            tool.run(args).value().contains("Usage: p21auth"),
            "{args:?}"
        );
    }
    assert_eq!(
        tool.run(&["--version"]).value(),
        concat!("p21auth ", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_reader_that_goes_away_is_no_crash() {
    let tool = Tool::new();
    let mut command = tool.command(&["demo"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn the_demo_ends_by_itself_and_all_of_it_is_right() {
    let tool = Tool::new();
    let seen = tool.run(&["demo"]);
    assert!(
        seen.value().ends_with("observations are as expected."),
        "{}",
        seen.out
    );
    for line in [
        "64 threads need a token at once: 1 token for all, 1 token request",
        "64 threads report a token that the server rejected: 1 new token, 1 token request more",
        "64 threads report a missing permission: 64 times PERMISSION, 0 token requests more",
        "50 threads with a wrong password: 50 times UNAUTHORIZED, 1 token request",
        "renewed by request 2 in the background",
    ] {
        assert!(seen.out.contains(line), "'{line}' is missing: {}", seen.out);
    }
}

#[test]
fn the_demo_prints_its_observations_as_json() {
    let seen = Tool::new().run(&["demo", "--json"]);
    let report: Value = serde_json::from_str(seen.value()).expect("one JSON object");
    assert_eq!(report["ok"], true);
    let observations = report["observations"].as_array().expect("a list");
    assert!(observations.len() > 30, "{report}");
    for one in observations {
        assert!(
            one["ok"] == true && one["what"].is_string() && one["seen"].is_string(),
            "{one}"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_emulators_page_is_opened_in_the_users_browser() {
    use std::os::unix::fs::PermissionsExt as _;
    let tool = Tool::new();
    // The desktop's opener, which tells the test what it was given.
    let (script, told) = (
        tool.file("xdg-open", "#!/bin/sh\necho \"$1\" > opened\n"),
        tool.folder.path().join("opened"),
    );
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("executable");
    assert!(
        Command::new("mkfifo")
            .arg(&told)
            .status()
            .expect("it runs")
            .success()
    );
    let path = format!("{}:/usr/bin:/bin", tool.folder.path().display());
    let tool = tool.with("PATH", &path);
    let mock = Mock::start(&tool, &["--port", "0", "--open"]);
    // Waits until the opener writes.
    let opened = std::fs::read_to_string(&told).expect("a line");
    assert_eq!(opened.trim(), mock.text("control_url"));
    assert_eq!(mock.end(), "");
}

#[cfg(unix)]
#[test]
fn runs_share_a_token_and_the_store_can_be_looked_into_and_cleared() {
    let emulator = Emulator::start(Options::default()).expect("the emulator starts");
    let tool = Tool::for_server(emulator.base_url());
    let home = tool.folder.path().to_str().expect("UTF-8").to_owned();
    let tool = tool.with("XDG_CACHE_HOME", &home).with("P21_STORE", "file");
    assert!(tool.run(&["store", "status"]).value().ends_with("  empty"));
    let token = tool.run(&["token"]).value().to_owned();
    assert_eq!(tool.run(&["token"]).value(), token);
    assert_eq!(emulator.control().counter("token.requests"), 1);
    let wrong = Tool::for_server(emulator.base_url())
        .with("P21_PASSWORD", "wrong-password")
        .with("XDG_CACHE_HOME", &home)
        .with("P21_STORE", "file");
    assert_ne!(wrong.run(&["token"]).status, 0);
    let status = tool.run(&["store", "status"]).value().to_owned();
    assert!(
        status.contains("yours: token ") && status.contains("another identity's"),
        "{status}"
    );
    let status = wrong.run(&["store", "status", "--json"]).value().to_owned();
    assert!(status.contains("\"denials\":1"), "{status}");
    for secret in [&token, "demo-password", "wrong-password"] {
        assert!(!status.contains(secret));
    }
    assert!(
        tool.run(&["store", "clear"])
            .value()
            .ends_with("2 entries removed")
    );
    assert_ne!(tool.run(&["token"]).value(), token);
    assert_eq!(emulator.control().counter("token.requests"), 3);
    let memory = tool.without("P21_STORE");
    assert_ne!(memory.run(&["store", "status"]).status, 0);
}

/// The command line tool, no matter what it is told: nothing of it on standard output or standard error.
#[test]
fn the_command_line_tool_prints_no_credential() {
    let emulator = Emulator::start(Options::default()).expect("the emulator starts");
    let needles = Needles::of(&[planted::PASSWORD]);
    let run = |arguments: &[&str], place: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_p21auth"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("P21_") {
                command.env_remove(name);
            }
        }
        let output = command
            .args(arguments)
            .env("P21_BASE_URL", emulator.base_url())
            .env("P21_USERNAME", "u")
            .env("P21_PASSWORD", planted::PASSWORD)
            .env("P21_PROXY", "direct")
            .env("P21_MAX_RETRIES", "0")
            .output()
            .expect("it starts");
        assert!(!output.status.success(), "{place}");
        let place = format!("{place} {arguments:?}");
        needles.check(&place, &String::from_utf8_lossy(&output.stdout));
        needles.check(&place, &String::from_utf8_lossy(&output.stderr));
    };
    // A process for each: some of each kind.
    for action in echoes(planted::PASSWORD).into_iter().step_by(9) {
        let place = format!("{action:?}");
        emulator.control().fault(Fault::on("", action).times(2));
        run(&["token"], &place);
        run(&["ui-url"], &place);
        emulator.control().clear_faults();
    }
    for arguments in [
        &["token", "--password", planted::PASSWORD][..],
        &["token", planted::PASSWORD],
        &["token", "--json", "--auth-mode", planted::PASSWORD],
        &["token", "--store", planted::PASSWORD],
        &["token", "--timeout-ms", planted::PASSWORD],
        &["store", planted::PASSWORD],
    ] {
        run(arguments, "a mistake");
    }
}

/// Builds for tests alone have a function that makes others panic. Neither the tool nor the library beside it is one.
#[test]
fn no_panic_can_be_injected_into_what_is_shipped() {
    let has = |file: &Path, text: &str| {
        let bytes =
            std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    let tool = Path::new(env!("CARGO_BIN_EXE_p21auth"));
    let library = format!(
        "{}p21auth{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    );
    let test = std::env::current_exe().expect("this test");
    let library = test.with_file_name(library);
    assert!(
        has(&library, "p21_token_copy"),
        "it exports functions by name"
    );
    assert!(has(tool, "P21_E_UNAUTHORIZED"), "the library is in it");
    for file in [tool, &library] {
        for text in ["p21_test_panic", "injected into"] {
            assert!(!has(file, text), "{text} is in {}", file.display());
        }
    }
}
