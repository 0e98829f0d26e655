//! What is read from outside at the word of an option or of the environment.
//!
//! Storage may stop answering at any moment, and no system call on it takes a deadline. So nothing is read on a caller's
//! thread, nor on that of a flight: [`Jobs`] reads on a thread of its own, at most one for each name, and a caller that wants the
//! content waits for it within the time that it has. A reader that is stuck stays behind until the storage answers.

mod command;
mod file;
mod jobs;
mod secret;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use file::Content;
pub(crate) use jobs::{Jobs, Lost};
pub(crate) use secret::{Named, Source};
pub use secret::{read_named, shown};

use zeroize::Zeroizing;

use crate::error::{Code, Error};
use crate::fork::Guarded;

/// Largest secret, `.env` file and the like.
pub(crate) const CAP: usize = 1 << 20;

/// Largest output of a command.
const COMMAND_CAP: usize = 64 * 1024;

/// Time for a file whose reading no option bounds.
pub(crate) const LOAD_LIMIT: Duration = Duration::from_secs(5);

/// Why there is no content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It did not come in the time that there was.
    Late(Duration),
    /// Threads, descriptors or memory ran out, in the system's words.
    Exhausted(String),
    /// It cannot be opened or read, in the system's words.
    Unreadable(String),
    /// It has more bytes than this.
    TooLarge(usize),
    /// The reader panicked.
    Panicked,
    /// The command cannot be started, in the system's words.
    NotStarted(String),
    /// The command ended with this status.
    Exited(i32),
    /// The command ended by this signal.
    #[cfg_attr(windows, allow(dead_code, reason = "Windows has none"))]
    Killed(i32),
    /// The system does not say how the command ended, and what it printed has no line break, so it may be a part.
    #[cfg_attr(windows, allow(dead_code, reason = "Windows says it"))]
    Unknown,
    /// The command printed nothing, or an empty first line.
    Silent,
    /// There is nothing under that name: what to do.
    Missing(&'static str),
}

impl Trouble {
    pub(crate) fn of(error: &io::Error) -> Trouble {
        let text = error.to_string();
        if crate::sys::is_exhausted(error) {
            Trouble::Exhausted(text)
        } else {
            Trouble::Unreadable(text)
        }
    }

    pub(crate) fn of_job(lost: Lost, limit: Duration) -> Trouble {
        match lost {
            Lost::Late => Trouble::Late(limit),
            Lost::NoThread(why) => Trouble::Exhausted(why),
            Lost::Panicked => Trouble::Panicked,
        }
    }

    /// The error for `subject`: an option and a path. `hint` is for what cannot be read.
    pub(crate) fn error(&self, subject: &str, hint: &str) -> Error {
        let error = |code, what: &str| Error::new(code, format!("{subject} {what}"));
        match self {
            Trouble::Late(limit) => {
                let what = format!("could not be read within {}", in_ms(*limit));
                error(Code::Timeout, &what).with_hint(LATE_HINT)
            }
            Trouble::Exhausted(why) => Error::exhausted(&format!("{subject} cannot be read"), why),
            Trouble::Unreadable(why) => {
                error(Code::Config, &format!("cannot be read: {why}")).with_hint(hint)
            }
            Trouble::TooLarge(cap) => error(
                Code::Config,
                &format!("has more than {} MiB and is not read", cap >> 20),
            )
            .with_hint("Check the path: this seems to be the wrong file."),
            Trouble::NotStarted(why) => error(Code::Config, &format!("cannot be started: {why}"))
                .with_hint("Check the program's path. It is searched for in the folders of PATH unless you write its full path."),
            Trouble::Exited(status) => {
                error(Code::Config, &format!("ended with status {status}")).with_hint(COMMAND_HINT)
            }
            Trouble::Killed(signal) => {
                error(Code::Config, &format!("was ended by signal {signal}")).with_hint(COMMAND_HINT)
            }
            Trouble::Unknown => error(Code::Config, "printed no whole line, and this program ignores SIGCHLD, so it is not known how it ended")
                .with_hint("Let the command end its output with a line break, or do not ignore SIGCHLD."),
            Trouble::Silent => {
                error(Code::Config, "printed no secret: its first line is empty").with_hint(COMMAND_HINT)
            }
            Trouble::Missing(hint) => error(Code::Config, "is not there").with_hint(*hint),
            Trouble::Panicked => error(Code::Panic, "could not be read: the library failed inside")
                .with_hint("Please report it. The state is intact: the next call starts over."),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.error("it", "").message())
    }
}

/// What to do about a file that does not come.
const LATE_HINT: &str = "Its storage does not respond, or no program writes to the pipe. Check the mount, or name a file on a local disk; the next call tries again.";

/// What to do about a command that fails. What it prints is never shown: it may be the secret.
const COMMAND_HINT: &str = "Run the command by hand, as the user of this program, to see its messages; they are not shown here.";

fn in_ms(limit: Duration) -> String {
    format!("{} ms", limit.as_micros().div_ceil(1000))
}

/// The first line of what a command printed.
fn first_line(bytes: &[u8]) -> Result<Content, Trouble> {
    let line = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return Err(Trouble::Silent);
    }
    Ok(Content {
        bytes: zeroize::Zeroizing::new(line.to_vec()),
        is_exposed: false,
    })
}

/// What to do about a source that did not come in the time that a call had.
pub(crate) fn late_hint(named: &str) -> &'static str {
    if named.contains(": the command '") {
        secret::LATE_COMMAND_HINT
    } else if named.contains(": keyring:") {
        secret::LATE_KEYRING_HINT
    } else {
        LATE_HINT
    }
}

static FILES: Jobs<Result<Arc<Content>, Trouble>> = Jobs::new();

/// Files that every user may change, as they were read last.
static EXPOSED: Guarded<BTreeSet<PathBuf>> = Guarded::new_static(BTreeSet::new());

/// The content of the file at `path` by the deadline, at most `cap` bytes.
///
/// # Errors
///
/// [`Trouble`].
pub(crate) fn read(path: &Path, cap: usize, deadline: Instant) -> Result<Arc<Content>, Trouble> {
    let limit = deadline.saturating_duration_since(Instant::now());
    let mut name = OsString::from(format!("{cap} "));
    name.push(path);
    let at = path.to_owned();
    FILES
        .run(&name, deadline, move |until| {
            Some(read_here(&at, cap, until)?.map(Arc::new))
        })
        .unwrap_or_else(|lost| Err(Trouble::of_job(lost, limit)))
}

/// As [`read`] on the thread of a job, which tells until when someone waits for it; `None` once no one does.
pub(crate) fn read_here(
    path: &Path,
    cap: usize,
    until: &dyn Fn() -> Instant,
) -> Option<Result<Content, Trouble>> {
    let content = file::read(path, cap, until)?;
    if let Ok(content) = &content {
        EXPOSED.with(|exposed| {
            if content.is_exposed {
                exposed.insert(path.to_owned());
            } else {
                exposed.remove(path);
            }
        });
    }
    Some(content)
}

/// Whether every user of the machine could change the file when it was read last.
pub(crate) fn is_exposed(path: &Path) -> bool {
    EXPOSED.with(|exposed| exposed.contains(path))
}

/// Makes room for this many more bytes without leaving a copy of a secret behind. What comes from outside has any size, so that
/// there may be no room is no reason to abort.
///
/// # Errors
///
/// Why there is none.
pub(crate) fn reserve(bytes: &mut Zeroizing<Vec<u8>>, more: usize) -> Result<(), &'static str> {
    let needed = bytes.len().saturating_add(more);
    if needed <= bytes.capacity() {
        return Ok(());
    }
    let mut larger = Zeroizing::new(Vec::new());
    larger
        .try_reserve_exact(needed.max(bytes.capacity().saturating_mul(2)))
        .map_err(|_| "out of memory")?;
    larger.extend_from_slice(bytes);
    *bytes = larger;
    Ok(())
}
