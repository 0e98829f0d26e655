//! The real binary in a clean environment, and what a run of it left.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// Planted wherever a secret can be given; no output may hold it.
pub const PLANTED: &str = "hunter2-planted-secret";

/// The binary in a clean environment, in a folder of its own.
pub struct Tool {
    pub folder: tempfile::TempDir,
    vars: Vec<(String, String)>,
}

impl Tool {
    pub fn new() -> Tool {
        Tool {
            folder: tempfile::tempdir().expect("a folder"),
            vars: Vec::new(),
        }
    }

    /// Ready to ask `base_url` for a token as the emulator's user.
    pub fn for_server(base_url: &str) -> Tool {
        Tool::new()
            .with("P21_BASE_URL", base_url)
            .with("P21_USERNAME", "demo")
            .with("P21_PASSWORD", "demo-password")
    }

    pub fn with(mut self, name: &str, value: &str) -> Tool {
        self.vars.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn without(mut self, name: &str) -> Tool {
        self.vars.retain(|(n, _)| n != name);
        self
    }

    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_p21auth"));
        command.args(args).current_dir(self.folder.path());
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            let trust = ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"];
            if name.starts_with("P21_")
                || name.to_ascii_lowercase().ends_with("_proxy")
                || trust.contains(&name.as_str())
            {
                command.env_remove(name);
            }
        }
        command
            .envs(self.vars.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Seen {
        Seen::of(&self.command(args).output().expect("the binary runs"))
    }

    pub fn run_with_input(&self, args: &[&str], input: &str) -> Seen {
        let mut command = self.command(args);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let mut stdin = child.stdin.take().expect("a pipe");
        match stdin.write_all(input.as_bytes()) {
            // It needed none of it.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            written => written.expect("read by the binary"),
        }
        drop(stdin);
        Seen::of(&child.wait_with_output().expect("it ends"))
    }

    /// Runs it on a terminal of its own and types each answer when its question, the last one so far, is shown. What the terminal
    /// showed, and the exit status.
    #[cfg(unix)]
    pub fn on_a_terminal(&self, args: &[&str], answers: &[(&str, &str)]) -> (String, i32) {
        use std::io::Read as _;

        let (mut master, open) = terminal();
        let mut command = self.command(args);
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
        let mut shown = Vec::new();
        let mut answers = answers.iter();
        let mut next = answers.next();
        let mut begin = 0;
        let mut piece = [0; 4096];
        // The end of a terminal is an error on Linux.
        while let Ok(got) = master.read(&mut piece) {
            if got == 0 {
                break;
            }
            shown.extend_from_slice(&piece[..got]);
            while let Some((question, answer)) = next {
                let since = String::from_utf8_lossy(&shown[begin..]).into_owned();
                if !since.contains(question) {
                    break;
                }
                begin = shown.len();
                master.write_all(answer.as_bytes()).expect("typed");
                next = answers.next();
            }
        }
        let status = child.wait().expect("it ends").code().expect("a status");
        let shown = String::from_utf8_lossy(&shown).into_owned();
        assert!(next.is_none(), "{next:?} was not asked: {shown}");
        let modes = rustix::termios::tcgetattr(&master).expect("a terminal");
        let echo = rustix::termios::LocalModes::ECHO;
        assert!(
            modes.local_modes.contains(echo),
            "the terminal shows nothing: {shown}"
        );
        (shown, status)
    }
}

/// A terminal's own end, and what opens the other one.
#[cfg(unix)]
pub fn terminal() -> (std::fs::File, impl Fn() -> std::fs::File) {
    use std::fs::File;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&master).expect("granted");
    unlockpt(&master).expect("unlocked");
    let name = ptsname(&master, Vec::new()).expect("a name");
    let name = name.into_string().expect("UTF-8");
    let open = move || {
        let mut options = File::options();
        options.read(true).write(true).open(&name).expect("opened")
    };
    (File::from(master), open)
}

/// What a run left: nothing planted in it, no matter what it was.
pub struct Seen {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Seen {
    pub fn of(output: &Output) -> Seen {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let seen = Seen {
            status: output.status.code().expect("an exit status"),
            out: text(&output.stdout),
            err: text(&output.stderr),
        };
        for text in [&seen.out, &seen.err] {
            assert!(!text.contains(PLANTED), "a secret shows: {text}");
            assert!(!text.contains('\u{1b}'), "colors in a pipe: {text}");
        }
        seen
    }

    pub fn value(&self) -> &str {
        assert_eq!((self.status, self.err.as_str()), (0, ""), "{}", self.out);
        self.out.strip_suffix('\n').expect("a line")
    }

    pub fn failed(&self, status: i32, says: &[&str]) {
        assert_eq!(self.status, status, "{}", self.err);
        assert_eq!(self.out, "", "standard output is for the value alone");
        for words in says {
            assert!(
                self.err.contains(words),
                "'{words}' is missing: {}",
                self.err
            );
        }
    }
}
