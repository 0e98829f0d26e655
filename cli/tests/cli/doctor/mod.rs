//! `p21auth doctor`, the real binary, on set-ups that are broken in one way each: it must name the cause and what to do,
//! show no secret, and ask for one token at most.
//!
//! A test that misses a program fails and says which Debian package brings it.

mod apis;
mod network;
mod page;
mod store;
mod terminal;
mod tls;
mod token;

use p21_emulator::{Certificate, Emulator, Options};
use serde_json::Value;
use tempfile::TempDir;

use crate::tool::{PLANTED, Tool};
use test_support::{KEY, PASSWORD, USER};

/// What `doctor --json` found.
struct Report {
    value: Value,
}

/// One step of it.
struct Found<'a>(&'a Value);

impl Report {
    /// Examines as `tool` is set up.
    #[track_caller]
    fn of(tool: &Tool, args: &[&str]) -> Report {
        let mut all = vec!["doctor", "--json"];
        all.extend(args);
        let seen = tool.run(&all);
        assert_no_secret(&seen.out);
        assert_eq!(seen.err, "", "all of it is the report");
        let value: Value = serde_json::from_str(&seen.out).expect("JSON");
        assert_eq!(value["exit_status"], seen.status, "{value:#}");
        assert_eq!(value["ok"], seen.status == 0);
        Report { value }
    }

    fn steps(&self) -> Vec<Found<'_>> {
        let steps = self.value["steps"].as_array().expect("steps");
        steps.iter().map(Found).collect()
    }

    #[track_caller]
    fn step(&self, name: &str) -> Found<'_> {
        let mut found = self.steps().into_iter().filter(|step| step.0["id"] == name);
        let step = found
            .next()
            .unwrap_or_else(|| panic!("no step {name}: {:#}", self.value));
        assert!(found.next().is_none(), "{name} twice: {:#}", self.value);
        step
    }

    /// The exit status, and the first step that failed with these words in what was seen and in the advice.
    #[track_caller]
    fn fails(&self, status: i32, name: &str, seen: &[&str], advice: &[&str]) {
        assert_eq!(self.value["exit_status"], status, "{:#}", self.value);
        let first = self
            .steps()
            .into_iter()
            .find(|step| step.0["outcome"] == "fail");
        assert_eq!(first.expect("a failure").0["id"], name, "{:#}", self.value);
        self.step(name).is("fail", seen, advice);
        assert!(!self.step(name).0["code"].is_null());
    }

    #[track_caller]
    fn is_well(&self) {
        for step in self.steps() {
            assert!(
                matches!(step.0["outcome"].as_str(), Some("ok" | "warn")),
                "{:#}",
                step.0
            );
        }
        assert_eq!(self.value["exit_status"], 0);
    }

    #[track_caller]
    fn skips(&self, names: &[&str]) {
        for name in names {
            assert_eq!(self.step(name).0["outcome"], "skipped", "{:#}", self.value);
        }
    }

    fn token_requests(&self) -> u64 {
        self.value["token_requests"].as_u64().expect("a number")
    }
}

impl Found<'_> {
    #[track_caller]
    fn is(&self, outcome: &str, seen: &[&str], advice: &[&str]) {
        assert_eq!(self.0["outcome"], outcome, "{:#}", self.0);
        let lines = |name: &str| {
            let lines = self.0[name].as_array().expect("lines").iter();
            let lines: Vec<&str> = lines.map(|line| line.as_str().expect("text")).collect();
            lines.join("\n")
        };
        for (words, text) in [(seen, lines("saw")), (advice, lines("do"))] {
            for word in words {
                assert!(text.contains(word), "'{word}' is missing: {:#}", self.0);
            }
        }
    }

    fn copy(&self) -> Option<&str> {
        self.0["copy"].as_str()
    }
}

/// Nothing that was planted, that the emulator knows, or that looks like a token.
#[track_caller]
fn assert_no_secret(text: &str) {
    for secret in [PLANTED, PASSWORD, KEY, "readonly-password", "eyJ"] {
        assert!(!text.contains(secret), "a secret shows: {text}");
    }
}

/// An emulator over TLS and a tool that trusts its authority.
struct Setup {
    emulator: Emulator,
    tool: Tool,
    _ca: TempDir,
}

impl Setup {
    fn new() -> Setup {
        Setup::with(Options::tls())
    }

    fn certificate(kind: Certificate) -> Setup {
        Setup::with(Options {
            tls: Some(kind),
            ..Options::default()
        })
    }

    /// `options.tls` is set.
    fn with(options: Options) -> Setup {
        let emulator = Emulator::start(options).expect("the emulator starts");
        let ca = TempDir::new().expect("a folder");
        let file = ca.path().join("ca.pem");
        emulator.write_ca(&file).expect("written");
        let tool = Tool::for_server(emulator.base_url())
            .with("P21_CA_FILE", file.to_str().expect("UTF-8"));
        Setup {
            emulator,
            tool,
            _ca: ca,
        }
    }

    /// With another value of a variable; the empty one takes it away.
    #[must_use]
    fn set(mut self, name: &str, value: &str) -> Setup {
        self.tool = self.tool.without(name);
        if !value.is_empty() {
            self.tool = self.tool.with(name, value);
        }
        self
    }

    /// As this consumer key instead of a user.
    #[must_use]
    fn key(self, key: &str) -> Setup {
        self.set("P21_USERNAME", "")
            .set("P21_PASSWORD", "")
            .set("P21_CONSUMER_KEY", key)
    }

    #[track_caller]
    fn report(&self, args: &[&str]) -> Report {
        let before = self.token_requests();
        let report = Report::of(&self.tool, args);
        let sent = self.token_requests() - before;
        assert_eq!(sent, report.token_requests(), "it knows what it sent");
        assert!(sent <= 1, "{sent} token requests");
        report
    }

    fn token_requests(&self) -> u64 {
        self.emulator.control().counter("token.requests")
    }
}

#[test]
fn a_healthy_set_up_is_found_healthy_with_one_request() {
    let setup = Setup::new();
    let report = setup.report(&["--yes"]);
    report.is_well();
    assert_eq!(report.token_requests(), 1);
    for (name, seen) in [
        ("configuration", "from environment P21_BASE_URL"),
        ("store", "memory"),
        ("proxy", "none"),
        ("dns", "127.0.0.1 (this machine)"),
        ("tcp", "connected to 127.0.0.1:"),
        ("tls", "TLS 1.3 with TLS13_"),
        ("server", "P21 responds"),
        ("token", "issued one by v2_password"),
        ("reply", "a JSON object"),
        ("clock", "agrees"),
        ("lifetime", "the response states 1 d"),
        ("scope", "user demo"),
        ("router", "/uiserver0"),
        ("odata", "table customer can be read"),
        ("entity", "answers"),
        ("interactive", "answers"),
    ] {
        report.step(name).is("ok", &[seen], &[]);
    }
    let control = setup.emulator.control();
    // No session is opened, and each API is asked once.
    for (name, count) in [
        ("sessions.open", 0),
        ("odata.requests", 1),
        ("entity.requests", 1),
        ("interactive.requests", 1),
        ("router.requests", 2),
        ("api.header_lost", 1),
    ] {
        assert_eq!(control.counter(name), count, "{name}");
    }
    let log = setup.tool.run(&["doctor", "--yes"]);
    assert!(
        log.out
            .ends_with("Nothing failed. 1 token request was made.\n"),
        "{}",
        log.out
    );
    assert_no_secret(&log.out);
}

#[test]
fn without_leave_no_token_is_asked_for() {
    let setup = Setup::new();
    for (args, why) in [
        (&[][..], "no terminal to ask"),
        (&["--no-token-request"], "--no-token-request"),
    ] {
        let report = setup.report(args);
        assert_eq!(report.token_requests(), 0);
        report
            .step("token")
            .is("skipped", &["no stored token", why], &[]);
        report.step("server").is("ok", &[], &[]);
        report.step("clock").is("ok", &["agrees"], &[]);
        report.skips(token::AFTER);
    }
    let said = setup.tool.run(&["doctor"]);
    assert_eq!(said.status, 0);
    assert!(said.out.contains("--yes"), "{}", said.out);
    setup
        .tool
        .run(&["doctor", "--yes", "--no-token-request"])
        .failed(2, &["--no-token-request"]);
}

#[test]
fn a_configuration_that_is_none_is_explained_and_nothing_is_sent() {
    let setup = Setup::new().set("P21_CONSUMER_KEY", PLANTED);
    let report = setup.report(&["--yes"]);
    report.fails(
        2,
        "configuration",
        &[
            "password and consumer_key are both set",
            "password is set, from environment P21_PASSWORD",
            "consumer_key is set, from environment P21_CONSUMER_KEY",
        ],
        &["P21_AUTH_MODE=v2_password"],
    );
    assert!(report.steps().len() > 10);
    for step in &report.steps()[1..] {
        step.is("skipped", &["configuration failed"], &[]);
    }
    let misspelt = Setup::new()
        .set("P21_PASSWORD", "")
        .set("P21_PASWORD", PLANTED)
        .report(&["--yes"]);
    misspelt.fails(
        2,
        "configuration",
        &[
            "not configured: password",
            "P21_PASWORD is set, but no option",
        ],
        &["If you mean P21_PASSWORD, rename P21_PASWORD"],
    );
    assert_eq!(setup.emulator.control().counter("requests"), 0);
}

#[test]
fn options_show_where_they_come_from_and_never_a_password() {
    let setup = Setup::new();
    let text = format!(
        "P21_PROXY=http://user:{PLANTED}@127.0.0.1:9\nP21_STORE_KEY={PLANTED}\nP21_TIMEOUT_MS=1000\nP21_NO_PROXY=127.0.0.1\n"
    );
    setup.tool.file("play.env", &text);
    let report = setup.report(&["--env-file", "play.env", "--timeout-ms", "20000"]);
    report.step("configuration").is(
        "ok",
        &[
            "proxy = http://127.0.0.1:9/, from file play.env",
            "store_key is set, from file play.env",
            "timeout_ms = 20000, from flag --timeout-ms",
            "username = demo, from environment P21_USERNAME",
        ],
        &[],
    );
    report
        .step("proxy")
        .is("ok", &["none, by option no_proxy"], &[]);
}

#[test]
fn options_of_a_profile_are_told_from_the_rest() {
    let setup = Setup::new();
    let folder = setup.tool.folder.path().display().to_string();
    let file = format!("{folder}/p21auth/profiles.toml");
    std::fs::create_dir(setup.tool.folder.path().join("p21auth")).expect("made");
    setup.tool.file("secret", PASSWORD);
    let text = format!(
        "[play]\nbase_url = \"{}\"\nusername = \"{USER}\"\npassword_from = \"command:cat {folder}/secret\"\ntimeout_ms = 9000\n",
        setup.emulator.base_url()
    );
    setup.tool.file("p21auth/profiles.toml", &text);
    let setup = setup
        .set("XDG_CONFIG_HOME", &folder)
        .set("P21_BASE_URL", "https://production.example.com")
        .set("P21_USERNAME", "")
        .set("P21_PASSWORD", PLANTED);
    // Named: before the environment, whose credential is left out.
    let report = setup.report(&["--profile", "play", "--yes"]);
    report.is_well();
    let from = format!(", from profile play in {file}");
    let base_url = format!("base_url = {}{from}", setup.emulator.base_url());
    let seen = [
        &base_url,
        &format!("username = {USER}{from}"),
        &format!("password_from = command:cat …{from}"),
        &format!("timeout_ms = 9000{from}"),
    ];
    report
        .step("configuration")
        .is("ok", &seen.map(String::as_str), &[]);
    assert!(
        !report.value.to_string().contains("P21_PASSWORD"),
        "{:#}",
        report.value
    );
    // By the variable: after the environment.
    let setup = setup
        .set("P21_PROFILE", "play")
        .set("P21_BASE_URL", "")
        .set("P21_PASSWORD", "")
        .set("P21_TIMEOUT_MS", "8000");
    let report = setup.report(&["--yes"]);
    report.is_well();
    let password = format!("password_from = command:cat …{from}");
    let seen = [
        base_url.as_str(),
        &password,
        "timeout_ms = 8000, from environment P21_TIMEOUT_MS",
    ];
    report.step("configuration").is("ok", &seen, &[]);
    let report = setup.set("P21_PROFILE", "none").report(&["--yes"]);
    report.fails(
        2,
        "configuration",
        &["there is no profile 'none'"],
        &["has play"],
    );
}
