//! A process on the clients' side, which does what it is told, and what it says.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};

use crate::net::Net;

/// What begins a line that is meant for the parent; the test harness prints its own.
pub const MARK: &str = "\u{1}";

/// The process. It ends with its owner.
pub struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts one.
    pub fn start(net: &Net) -> Process {
        Process::start_at(net, None)
    }

    /// Starts one whose home is this folder.
    pub fn start_at(net: &Net, home: Option<&Path>) -> Process {
        let program = std::env::current_exe().expect("this test");
        let mut command = net.client(&program);
        command
            .args([
                "--exact",
                "caller::child",
                "--ignored",
                "--nocapture",
                "--test-threads=1",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        for name in ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"] {
            command.env_remove(name);
        }
        if let Some(home) = home {
            command.env("HOME", home).env_remove("XDG_CACHE_HOME");
        }
        let mut child = command.spawn().expect("a process");
        Process {
            input: child.stdin.take().expect("piped"),
            output: BufReader::new(child.stdout.take().expect("piped")),
            child,
        }
    }

    /// Sends a command.
    pub fn tell(&mut self, command: &Value) {
        writeln!(self.input, "{command}").expect("the process lives");
    }

    /// Waits for the answer to the oldest command without one.
    pub fn answer(&mut self) -> Value {
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).expect("readable");
            assert!(read > 0, "the process ended without an answer");
            if let Some((_, answer)) = line.split_once(MARK) {
                return serde_json::from_str(answer).expect("JSON");
            }
        }
    }

    /// Sends a command and waits for its answer.
    pub fn ask(&mut self, command: &Value) -> Value {
        self.tell(command);
        self.answer()
    }

    /// Opens a client of this name; `options` go over the usual ones.
    pub fn open(&mut self, name: &str, options: &[(&str, &str)]) {
        let answer = self.ask(&json!({"do": "open", "name": name, "options": options}));
        assert_eq!(answer, json!({}), "a client");
    }

    /// Asks that client for a token.
    pub fn token(&mut self, name: &str) -> Said {
        Said(self.ask(&json!({"do": "token", "name": name})))
    }

    /// Asks it for a new token.
    pub fn force(&mut self, name: &str) -> Said {
        Said(self.ask(&json!({"do": "force", "name": name})))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What came of a call.
#[derive(Debug)]
pub struct Said(pub Value);

impl Said {
    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_default()
    }

    /// The token; a failure fails the test.
    #[track_caller]
    pub fn ok(&self) -> &str {
        assert!(self.0["token"].is_string(), "no token: {}", self.0);
        self.text("token")
    }

    /// The name of the code, empty for a token.
    pub fn code(&self) -> &str {
        self.text("code")
    }

    pub fn message(&self) -> &str {
        self.text("message")
    }

    pub fn hint(&self) -> &str {
        self.text("hint")
    }

    /// How long the call took, in milliseconds.
    pub fn ms(&self) -> u64 {
        self.0["ms"].as_u64().expect("it is measured")
    }

    /// Expects this failure, its message and its hint with these words in them.
    #[track_caller]
    pub fn failed(&self, code: &str, message: &[&str], hint: &[&str]) {
        assert_eq!(self.code(), code, "{}", self.0);
        for part in message {
            assert!(self.message().contains(part), "no {part:?} in {}", self.0);
        }
        for part in hint {
            assert!(
                self.hint().contains(part),
                "no {part:?} in the hint: {}",
                self.0
            );
        }
    }
}
