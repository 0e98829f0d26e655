//! Where a secret is kept: the forms of the options `…_from`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::command::{self, Command};
use super::{CAP, Content, Jobs, Trouble, in_ms, read};
use crate::error::{Code, Error, Result};
use crate::secret::Secret;

/// The forms, as errors and the documentation show them.
const FORMS: &str =
    "file:PATH, env:NAME, systemd:NAME, command:LINE, keyring:SERVICE/ACCOUNT or wincred:TARGET";

/// Where a secret is kept, to be read anew each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A file; one final line break is not part of the secret.
    File(PathBuf),
    /// A command, whose first line it is.
    Command(Arc<Command>),
    /// An entry of the user's keyring, and the system's own program that prints it.
    Keyring(String, Arc<Command>),
    /// The target of a generic credential in the Windows Credential Manager.
    Wincred(String),
}

/// What an option names.
pub(crate) enum Named {
    Source(Source),
    /// The value of an environment variable: read once, on the caller's thread.
    Value(Secret),
}

static COMMANDS: Jobs<std::result::Result<Arc<Content>, Trouble>> = Jobs::new();

fn fault(option: &str, what: &str, hint: &str) -> Error {
    Error::new(Code::Config, format!("{option} {what}")).with_hint(hint)
}

impl Source {
    /// Whether an option's text can be a source at all. Nothing is read.
    ///
    /// # Errors
    ///
    /// `Config`. The text is not repeated: it may be the secret.
    pub(crate) fn check(option: &str, text: &str) -> Result<()> {
        let (form, rest) = text.trim_start().split_once(':').unwrap_or(("", ""));
        match form {
            "file" | "systemd" | "env" | "wincred" if rest.trim().is_empty() => Err(fault(
                option,
                &format!("names nothing after '{form}:'"),
                &format!("Write it as one of {FORMS}."),
            )),
            "systemd" if rest.contains(['/', '\\']) || matches!(rest, "." | "..") => Err(fault(
                option,
                "names a path, not a systemd credential",
                "Write the name from LoadCredential=, or file:PATH.",
            )),
            "command" => Command::parse(option, rest).map(drop),
            "file" | "systemd" | "env" | "wincred" => Ok(()),
            "keyring" => entry(option, rest).map(drop),
            _ => Err(fault(
                option,
                "does not say where the secret is",
                &format!(
                    "Write it as one of {FORMS}. If the value is the secret itself, use {}.",
                    option.trim_end_matches("_from")
                ),
            )),
        }
    }

    /// What an option's text names, by the environment as it is now.
    ///
    /// # Errors
    ///
    /// As [`Source::check`]; `Config` for a variable that is not set, and `wincred:` elsewhere than on Windows.
    pub(crate) fn resolve(option: &str, text: &str) -> Result<Named> {
        Source::check(option, text)?;
        let (form, rest) = text.trim_start().split_once(':').unwrap_or(("", ""));
        if matches!(form, "env" | "systemd") && crate::sys::is_set_uid() {
            return Err(fault(
                option,
                "names a variable, and the environment is ignored in a program that runs set-uid, set-gid or with file capabilities",
                "Name a file that only this program may read.",
            ));
        }
        Ok(Named::Source(match form {
            "env" => {
                let value = std::env::var_os(rest).filter(|value| !value.is_empty());
                let value = value.ok_or_else(|| {
                    fault(
                        option,
                        &format!("names the environment variable {rest}, which is not set"),
                        "Set it before the program starts; it is read when a client is opened or updated.",
                    )
                })?;
                let value = value.into_string().map_err(|_| {
                    Error::new(
                        Code::InvalidUtf8,
                        format!("{option} names the environment variable {rest}, which is not valid UTF-8"),
                    )
                })?;
                return Ok(Named::Value(Secret::new(value)));
            }
            "systemd" => {
                let folder = std::env::var_os("CREDENTIALS_DIRECTORY");
                let folder = folder.filter(|folder| !folder.is_empty()).ok_or_else(|| {
                    fault(
                        option,
                        &format!("names the systemd credential {rest}, but CREDENTIALS_DIRECTORY is not set"),
                        &format!("Run the program as a service with LoadCredential={rest}:PATH, or LoadCredentialEncrypted=."),
                    )
                })?;
                Source::File(PathBuf::from(folder).join(rest))
            }
            "command" => Source::Command(Arc::new(Command::parse(option, rest)?)),
            "keyring" if cfg!(windows) => {
                return Err(fault(
                    option,
                    "names a keyring, which Windows does not have",
                    "Write wincred:TARGET, which names a credential in the Credential Manager.",
                ));
            }
            "keyring" => {
                let (service, account) = entry(option, rest)?;
                let command = Command::of(option, &reader(service, account))?;
                Source::Keyring(rest.to_owned(), Arc::new(command))
            }
            "wincred" if !cfg!(windows) => {
                return Err(fault(
                    option,
                    "names the Windows Credential Manager, which this system does not have",
                    &format!("Write it as one of {FORMS}."),
                ));
            }
            "wincred" => Source::Wincred(rest.to_owned()),
            _ => Source::File(PathBuf::from(rest)),
        }))
    }

    /// The content as it is now, by the deadline.
    fn content(&self, deadline: Instant) -> std::result::Result<Arc<Content>, Trouble> {
        match self {
            Source::File(path) => read(path, CAP, deadline),
            Source::Command(line) | Source::Keyring(_, line) => {
                let of = Arc::clone(line);
                run(&line.name(), deadline, move |until| {
                    command::run(&of, until)
                })
            }
            Source::Wincred(target) => {
                let name = OsString::from(format!("wincred {target}"));
                let target = target.clone();
                run(&name, deadline, move |_| Some(wincred(&target)))
            }
        }
    }

    /// The secret as it is now, by the deadline. `option` is for errors.
    ///
    /// # Errors
    ///
    /// `Config` when it cannot be read, is too large, is empty or is not UTF-8; `Timeout` when it does not come in time;
    /// `NoMemory`. The error names option and source, never the content.
    pub(crate) fn read(&self, option: &str, deadline: Instant) -> Result<Secret> {
        let subject = self.named(option);
        let content = self
            .content(deadline)
            .map_err(|trouble| match (self, &trouble) {
                (Source::Command(_), Trouble::Late(limit)) => Error::new(
                    Code::Timeout,
                    format!(
                        "{subject} did not end within {}, and was ended",
                        in_ms(*limit)
                    ),
                )
                .with_hint(LATE_COMMAND_HINT),
                (Source::Command(_), Trouble::TooLarge(cap)) => Error::new(
                    Code::Config,
                    format!(
                        "{subject} printed more than {} KiB, and was ended",
                        cap >> 10
                    ),
                )
                .with_hint("Let it print only the secret, on the first line."),
                (Source::Keyring(_, command), _) => {
                    in_the_keyring(&subject, command.program(), &trouble)
                }
                _ => trouble.error(&subject, HINT),
            })?;
        let fault =
            |what: &str| Error::new(Code::Config, format!("{subject} {what}")).with_hint(HINT);
        let text = std::str::from_utf8(&content.bytes).map_err(|_| fault("is not UTF-8"))?;
        let text = match self {
            // A byte order mark at the start of a file and one final line break are dropped, nothing else.
            Source::File(_) => {
                let text = text.strip_prefix('\u{feff}').unwrap_or(text);
                let line = text.strip_suffix('\n');
                line.map_or(text, |line| line.strip_suffix('\r').unwrap_or(line))
            }
            _ => text,
        };
        if text.is_empty() {
            return Err(fault("is empty"));
        }
        Ok(Secret::new(text))
    }

    /// Option and source, without what may be secret in it.
    pub(crate) fn named(&self, option: &str) -> String {
        match self {
            Source::File(path) => format!("{option}: {}", path.display()),
            Source::Command(line) => format!("{option}: the command '{}'", line.program()),
            Source::Keyring(entry, _) => format!("{option}: keyring:{entry}"),
            Source::Wincred(target) => format!("{option}: wincred:{target}"),
        }
    }

    /// Whether a look at it is dear, so that no call may cause one.
    pub(crate) fn is_command(&self) -> bool {
        matches!(self, Source::Command(_) | Source::Keyring(..))
    }
}

/// Time for a secret that is wanted by itself; a keyring may have to be unlocked.
const NAMED_LIMIT: Duration = Duration::from_secs(30);

/// The secret that a text such as `keyring:SERVICE/ACCOUNT` names, as it is now. `option` is for errors.
///
/// # Errors
///
/// As for an option with this text.
pub fn read_named(option: &str, text: &str) -> Result<Secret> {
    match Source::resolve(option, text)? {
        Named::Value(secret) => Ok(secret),
        Named::Source(source) => source.read(option, Instant::now() + NAMED_LIMIT),
    }
}

/// What an option's text looks like where it is shown: of a command, the program alone.
#[must_use]
pub fn shown(text: &str) -> String {
    match text.trim_start().split_once(':') {
        Some(("command", line)) => match Command::parse("", line) {
            Ok(command) => format!("command:{} …", command.program()),
            Err(_) => "command:…".to_owned(),
        },
        _ => text.trim().to_owned(),
    }
}

/// What to do about a command that does not end.
pub(super) const LATE_COMMAND_HINT: &str = "Run the command by hand: it may wait for a passphrase or for a server. It has no terminal, and must finish within timeout_ms.";

/// What to do about a keyring that does not come.
pub(super) const LATE_KEYRING_HINT: &str = "It may wait to be unlocked: log in to the desktop, or unlock it there. A service has no keyring: use systemd: or file: for it.";

/// Service and account of `SERVICE/ACCOUNT`.
fn entry<'a>(option: &str, text: &'a str) -> Result<(&'a str, &'a str)> {
    let is_name = |name: &str| !name.is_empty() && !name.starts_with('-');
    text.split_once('/')
        .filter(|(service, account)| is_name(service) && is_name(account))
        .ok_or_else(|| {
            fault(
                option,
                "names no entry of a keyring",
                "Write it as keyring:SERVICE/ACCOUNT.",
            )
        })
}

/// The command that prints an entry: of the Keychain, or of the Secret Service, where attributes are named as Python's package
/// keyring names them.
fn reader<'a>(service: &'a str, account: &'a str) -> Vec<&'a str> {
    if cfg!(target_vendor = "apple") {
        let program = "/usr/bin/security";
        vec![
            program,
            "find-generic-password",
            "-s",
            service,
            "-a",
            account,
            "-w",
        ]
    } else {
        vec![
            "secret-tool",
            "lookup",
            "service",
            service,
            "username",
            account,
        ]
    }
}

/// Why an entry of the keyring cannot be had.
fn in_the_keyring(subject: &str, program: &str, trouble: &Trouble) -> Error {
    match trouble {
        Trouble::Late(limit) => Error::new(
            Code::Timeout,
            format!("{subject} could not be read within {}", in_ms(*limit)),
        )
        .with_hint(LATE_KEYRING_HINT),
        Trouble::NotStarted(why) => Error::new(
            Code::Config,
            format!("{subject} cannot be read, since {program} cannot be started: {why}"),
        )
        .with_hint("Install it: it is in the package libsecret-tools of Debian and Ubuntu, and in libsecret of Fedora."),
        Trouble::Exited(_) | Trouble::Killed(_) | Trouble::Silent => Error::new(
            Code::Config,
            format!("{subject} is not there, or the keyring is locked or out of reach"),
        )
        .with_hint("Add it with p21auth login, and unlock the keyring. A service or a cron job has none: use systemd: or file: for it."),
        _ => trouble.error(subject, HINT),
    }
}

/// For a secret that cannot be used.
const HINT: &str =
    "Check the path, that this user may read the file, and that the secret is its only content.";

fn run(
    name: &OsStr,
    deadline: Instant,
    work: impl Fn(&dyn Fn() -> Instant) -> Option<std::result::Result<Content, Trouble>>
    + Send
    + 'static,
) -> std::result::Result<Arc<Content>, Trouble> {
    let limit: Duration = deadline.saturating_duration_since(Instant::now());
    COMMANDS
        .run(name, deadline, move |until| {
            Some(work(until)?.map(Arc::new))
        })
        .unwrap_or_else(|lost| Err(Trouble::of_job(lost, limit)))
}

#[cfg(not(windows))]
fn wincred(_: &str) -> std::result::Result<Content, Trouble> {
    Err(Trouble::Missing(""))
}

/// A secret is stored as UTF-16 by Windows' own tools, as UTF-8 by others.
#[cfg(windows)]
fn wincred(target: &str) -> std::result::Result<Content, Trouble> {
    const NOT_FOUND: i32 = 1168;
    const NO_SUCH_LOGON_SESSION: i32 = 1312;
    let bytes = crate::sys::read_credential(target).map_err(|error| match error.raw_os_error() {
        Some(NOT_FOUND) => Trouble::Missing(
            "Add it as a generic credential of the user that runs this program, in the Credential Manager.",
        ),
        Some(NO_SUCH_LOGON_SESSION) => Trouble::Missing(
            "This process runs without a loaded profile. In IIS, set \"Load User Profile\" of the application pool to true.",
        ),
        _ => Trouble::of(&error),
    })?;
    let is_wide = bytes.len() % 2 == 0 && bytes.iter().skip(1).step_by(2).any(|byte| *byte == 0);
    let bytes = if is_wide {
        let units = bytes
            .chunks_exact(2)
            .map(|two| u16::from_le_bytes([two[0], two[1]]));
        let text: String = char::decode_utf16(units)
            .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect();
        zeroize::Zeroizing::new(text.into_bytes())
    } else {
        bytes
    };
    Ok(Content {
        bytes,
        is_exposed: false,
    })
}
