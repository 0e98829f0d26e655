//! A command that prints a secret: how its line is read, and how it runs. No shell has a part in it.

use std::ffi::OsString;
use std::fmt;

use zeroize::Zeroize as _;

use crate::error::{Code, Error, Result};

/// A command line, and the environment that it runs in: that of the moment at which the client was opened.
pub(crate) struct Command {
    line: String,
    /// At least the program.
    words: Vec<String>,
    environment: Environment,
}

/// Names and values, of which any may be a secret.
struct Environment(Vec<(OsString, OsString)>);

impl Environment {
    /// As it is now.
    fn now() -> Environment {
        Environment(std::env::vars_os().collect())
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        for (_, value) in &mut self.0 {
            std::mem::take(value).into_encoded_bytes().zeroize();
        }
    }
}

/// The environment is left out: it may hold secrets, and it tells two commands apart only by their result.
impl PartialEq for Command {
    fn eq(&self, other: &Command) -> bool {
        self.line == other.line
    }
}

impl Eq for Command {}

/// The program alone: what follows may be a secret.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "command:{} …", self.words[0])
    }
}

impl Command {
    /// The command of a line, in the environment as it is now. `option` is for errors.
    ///
    /// # Errors
    ///
    /// `Config`: an empty line, a quote that does not end, a program that is a batch file, or set-uid rights.
    pub(crate) fn parse(option: &str, line: &str) -> Result<Command> {
        let fault = |what: &str, hint: &str| {
            Err(Error::new(Code::Config, format!("{option} {what}")).with_hint(hint))
        };
        refuse_if_set_uid(option)?;
        let words = match split(line) {
            Ok(words) => words,
            Err(what) => {
                return fault(
                    what,
                    "Quote words that contain blanks with '…' or \"…\". No shell reads the line.",
                );
            }
        };
        if words.first().is_none_or(String::is_empty) {
            return fault(
                "names no program",
                "Write it as command:PROGRAM ARGUMENT…, such as command:pass show p21.",
            );
        }
        let lower = words[0].trim_end_matches(['.', ' ']).to_ascii_lowercase();
        let is_batch = |end| lower.ends_with(end);
        if cfg!(windows) && (is_batch(".bat") || is_batch(".cmd")) {
            return fault(
                "names a batch file, which cannot be passed arguments safely",
                "Name a program: an .exe, or powershell.exe with -File.",
            );
        }
        Ok(Command {
            line: line.to_owned(),
            words,
            environment: Environment::now(),
        })
    }

    /// The command of these words, the program first.
    ///
    /// # Errors
    ///
    /// `Config` with set-uid rights.
    pub(crate) fn of(option: &str, words: &[&str]) -> Result<Command> {
        refuse_if_set_uid(option)?;
        Ok(Command {
            line: words.join("\0"),
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            environment: Environment::now(),
        })
    }

    /// The program, as it is written.
    pub(crate) fn program(&self) -> &str {
        &self.words[0]
    }

    /// Two that run at the same time under this name are one.
    pub(super) fn name(&self) -> OsString {
        use sha2::{Digest as _, Sha256};
        let mut hash = Sha256::new();
        for (name, value) in &self.environment.0 {
            for part in [name, value] {
                hash.update(part.as_encoded_bytes());
                hash.update([0]);
            }
        }
        let hash = crate::secret::hex(&hash.finalize());
        OsString::from(format!("{hash} {}", self.line))
    }
}

fn refuse_if_set_uid(option: &str) -> Result<()> {
    if !crate::sys::is_set_uid() {
        return Ok(());
    }
    let what = "names a command, which is never run in a program that runs set-uid, set-gid or with file capabilities";
    Err(Error::new(Code::Config, format!("{option} {what}"))
        .with_hint("Name a file that only this program may read."))
}

/// Unix: the words of a line, by quotes and backslashes, as a shell would take them, and nothing is expanded.
#[cfg(not(windows))]
fn split(line: &str) -> std::result::Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        None => return Err("contains a quote that does not end"),
                        Some('\'') => break,
                        Some(c) => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        None => return Err("contains a quote that does not end"),
                        Some('"') => break,
                        Some('\\') if matches!(chars.peek(), Some('"' | '\\' | '$' | '`')) => {
                            word.extend(chars.next());
                        }
                        Some(c) => word.push(c),
                    }
                }
            }
            '\\' => match chars.next() {
                None => return Err("ends with a backslash"),
                Some(c) => word.get_or_insert_default().push(c),
            },
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Windows: the program, in quotes or up to the first blank, and the rest as it is: each program reads it in its own way.
#[cfg(windows)]
fn split(line: &str) -> std::result::Result<Vec<String>, &'static str> {
    let line = line.trim_start();
    let (program, rest) = match line.strip_prefix('"') {
        Some(quoted) => quoted
            .split_once('"')
            .ok_or("contains a quote that does not end")?,
        None => line.split_once([' ', '\t']).unwrap_or((line, "")),
    };
    let rest = rest.trim_start();
    let mut words = vec![program.to_owned()];
    if !rest.is_empty() {
        words.push(rest.to_owned());
    }
    Ok(words)
}

#[cfg(unix)]
pub(super) use unix::run;
#[cfg(windows)]
pub(super) use windows::run;

#[cfg(unix)]
mod unix {
    use std::ffi::{CString, OsStr, OsString};
    use std::fs::File;
    use std::io::{self, Read as _};
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::Path;
    use std::time::{Duration, Instant};

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use zeroize::{Zeroize as _, Zeroizing};

    use super::super::{COMMAND_CAP, Content, Trouble, file};
    use super::Command;
    use crate::sys;

    /// How often a program that has closed its output, or left it to another, is asked whether it has ended.
    const PAUSE: Duration = Duration::from_millis(10);

    /// The first line that the command prints. `None` when no call waits any more; its process group is then dead.
    pub(in super::super) fn run(
        command: &Command,
        until: &dyn Fn() -> Instant,
    ) -> Option<Result<Content, Trouble>> {
        let words = command.words.iter().map(|word| text(word.as_bytes()));
        let environment = command.environment.0.iter().filter_map(|(name, value)| {
            // With room for the last NUL, so that nothing is moved.
            let mut both = Vec::with_capacity(name.len() + value.len() + 2);
            both.extend_from_slice(name.as_bytes());
            both.push(b'=');
            both.extend_from_slice(value.as_bytes());
            CString::new(both).ok()
        });
        let environment: Vec<CString> = environment.collect();
        let started = sys::spawn(&paths(command), &words.collect::<Vec<_>>(), &environment);
        for text in environment {
            text.into_bytes_with_nul().zeroize();
        }
        let (mut child, output) = match started {
            Ok(started) => started,
            Err(error) if sys::is_exhausted(&error) => return Some(Err(Trouble::of(&error))),
            Err(error) => return Some(Err(Trouble::NotStarted(error.to_string()))),
        };
        let mut bytes = Zeroizing::new(Vec::new());
        let mut is_open = true;
        loop {
            // Asked first: what it printed before it ended is there by then.
            let exit = child.exit();
            if is_open {
                match fill(&mut bytes, &output) {
                    Ok(open) => is_open = open,
                    Err(trouble) => return Some(Err(trouble)),
                }
            }
            if let Some(exit) = exit {
                return Some(result(exit, &bytes));
            }
            let left = until().saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            pause(is_open.then_some(&output), left.min(PAUSE));
        }
    }

    fn text(bytes: &[u8]) -> CString {
        // No option holds a NUL.
        CString::new(bytes).unwrap_or_default()
    }

    /// Where the program may be: by its path, or in the folders of `PATH`.
    fn paths(command: &Command) -> Vec<CString> {
        let program = command.program();
        if program.contains('/') {
            return vec![text(program.as_bytes())];
        }
        let path = command
            .environment
            .0
            .iter()
            .find(|(name, _)| name == "PATH");
        let path = path.map_or(OsString::from("/usr/bin:/bin"), |(_, path)| path.clone());
        std::env::split_paths(&path)
            // An empty entry means the current folder: not for secrets.
            .filter(|folder| folder.is_absolute())
            .map(|folder| {
                text(
                    Path::new(&folder)
                        .join(OsStr::new(program))
                        .as_os_str()
                        .as_bytes(),
                )
            })
            .collect()
    }

    /// Reads what there is. Returns whether more may come.
    fn fill(bytes: &mut Zeroizing<Vec<u8>>, mut output: &File) -> Result<bool, Trouble> {
        let mut piece = Zeroizing::new([0; 4096]);
        loop {
            match output.read(&mut piece[..]) {
                Ok(0) => return Ok(false),
                Ok(got) if bytes.len() + got > COMMAND_CAP => {
                    return Err(Trouble::TooLarge(COMMAND_CAP));
                }
                Ok(got) => {
                    file::reserve(bytes, got)?;
                    bytes.extend_from_slice(&piece[..got]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(Trouble::of(&error)),
            }
        }
    }

    fn pause(output: Option<&File>, time: Duration) {
        let Some(output) = output else {
            return std::thread::sleep(time);
        };
        // It fails for a signal alone; the caller's loop looks again.
        let _ = Timespec::try_from(time)
            .map(|time| poll(&mut [PollFd::new(output, PollFlags::IN)], Some(&time)));
    }

    fn result(exit: sys::Exit, bytes: &[u8]) -> Result<Content, Trouble> {
        let has_line = bytes.contains(&b'\n');
        match exit {
            sys::Exit::Status(0) => {}
            sys::Exit::Status(status) => return Err(Trouble::Exited(status)),
            sys::Exit::Signal(signal) => return Err(Trouble::Killed(signal)),
            sys::Exit::Unknown if has_line => {}
            sys::Exit::Unknown => return Err(Trouble::Unknown),
        }
        super::super::first_line(bytes)
    }
}

#[cfg(windows)]
mod windows {
    use std::io::Read as _;
    use std::os::windows::process::CommandExt as _;
    use std::process::Stdio;
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    use zeroize::Zeroizing;

    use super::super::{COMMAND_CAP, Content, Trouble, file};
    use super::Command;
    use crate::sys;

    /// No window appears.
    const CREATE_NO_WINDOW: u32 = 0x0800_0000;
    const PAUSE: Duration = Duration::from_millis(10);

    /// The first line that the command prints. `None` when no call waits any more; all its processes are then dead.
    pub(in super::super) fn run(
        command: &Command,
        until: &dyn Fn() -> Instant,
    ) -> Option<Result<Content, Trouble>> {
        let mut started = std::process::Command::new(command.program());
        if let Some(rest) = command.words.get(1) {
            started.raw_arg(rest);
        }
        started
            .env_clear()
            .envs(
                command
                    .environment
                    .0
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .stdout(Stdio::piped())
            .creation_flags(CREATE_NO_WINDOW);
        let mut child = match started.spawn() {
            Ok(child) => child,
            Err(error) => return Some(Err(Trouble::NotStarted(error.to_string()))),
        };
        // Closed, it ends all that is in it.
        let job = sys::Job::of(&child);
        let (sender, output) = mpsc::channel();
        let pipe = child.stdout.take();
        let read = move || {
            let mut bytes = Zeroizing::new(Vec::new());
            let mut piece = Zeroizing::new([0; 4096]);
            let mut pipe = pipe;
            let result = loop {
                match pipe
                    .as_mut()
                    .map_or(Ok(0), |pipe| pipe.read(&mut piece[..]))
                {
                    Ok(0) => break Ok(bytes),
                    Ok(got) if bytes.len() + got > COMMAND_CAP => {
                        break Err(Trouble::TooLarge(COMMAND_CAP));
                    }
                    Ok(got) => {
                        if let Err(trouble) = file::reserve(&mut bytes, got) {
                            break Err(trouble);
                        }
                        bytes.extend_from_slice(&piece[..got]);
                    }
                    Err(error) => break Err(Trouble::of(&error)),
                }
            };
            let _ = sender.send(result);
        };
        let kill = |child: &mut std::process::Child| {
            drop(job);
            let _ = child.kill();
            let _ = child.wait();
        };
        if let Err(error) = sys::start_thread(c"p21auth-output", 64 * 1024, Box::new(read)) {
            kill(&mut child);
            return Some(Err(Trouble::Exhausted(error.to_string())));
        }
        let mut bytes = None;
        loop {
            let left = until().saturating_duration_since(Instant::now());
            if left.is_zero() {
                kill(&mut child);
                return None;
            }
            if bytes.is_none() {
                match output.recv_timeout(left.min(PAUSE)) {
                    Ok(Ok(read)) => bytes = Some(read),
                    Ok(Err(trouble)) => {
                        kill(&mut child);
                        return Some(Err(trouble));
                    }
                    Err(_) => {}
                }
            } else {
                std::thread::sleep(left.min(PAUSE));
            }
            let exit = child.try_wait().ok().flatten();
            if let (Some(exit), Some(bytes)) = (exit, &bytes) {
                return Some(match exit.code() {
                    Some(0) => super::super::first_line(bytes),
                    code => Err(Trouble::Exited(code.unwrap_or(-1))),
                });
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_would_and_nothing_is_expanded() {
        for (line, words) in [
            ("pass show p21", &["pass", "show", "p21"][..]),
            ("  a\t'b  c'  ", &["a", "b  c"]),
            (r#"a "b \"c\" \\ \n" ''"#, &["a", r#"b "c" \ \n"#, ""]),
            (r"a b\ c \'d", &["a", "b c", "'d"]),
            (r#"a'b'"c"d"#, &["abcd"]),
            (
                "a $HOME `id` *; > x",
                &["a", "$HOME", "`id`", "*;", ">", "x"],
            ),
        ] {
            assert_eq!(split(line).expect(line), words, "{line}");
        }
        for line in ["a 'b", "a \"b", "a \\"] {
            assert!(split(line).is_err(), "{line}");
        }
    }

    #[test]
    fn debug_shows_the_program_alone() {
        let command = Command::parse("password_from", "curl -H hunter2").expect("a command");
        assert!(!format!("{command:?}").contains("hunter2"));
        for line in ["", "  ", "''", "a 'b"] {
            let error = Command::parse("password_from", line).expect_err(line);
            assert!(error.message().starts_with("password_from "), "{error}");
            assert!(!error.hint().is_empty(), "{error}");
        }
    }
}
