//! Questions on a terminal, and a secret that is typed unseen or comes on standard input.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use zeroize::Zeroizing;

use super::Failure;

/// Longest secret, in bytes.
const MAX_SECRET: usize = 64 * 1024;

/// Asks if someone is there to answer.
pub(super) struct Asker {
    is_possible: bool,
}

fn unreadable(error: &io::Error) -> Failure {
    Failure::usage(format!("standard input cannot be read: {error}"), "")
}

fn prompt(text: &str) {
    let mut err = anstream::stderr().lock();
    let _ = write!(err, "{text}");
    let _ = err.flush();
}

/// What is typed after a question, without blanks at its ends.
pub(super) fn answer(question: &str) -> Result<String, Failure> {
    prompt(question);
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| unreadable(&error))?;
    Ok(answer.trim().to_owned())
}

/// Anything but a yes is a no.
pub(super) fn yes(question: &str) -> Result<bool, Failure> {
    let answer = answer(question)?.to_ascii_lowercase();
    Ok(matches!(answer.as_str(), "y" | "yes"))
}

/// A line that may be empty; Enter alone takes what is known.
pub(super) fn optional_line(what: &str, known: &str) -> Result<String, Failure> {
    let shown = if known.is_empty() {
        String::new()
    } else {
        format!(" [{known}]")
    };
    let answer = answer(&format!("{what}{shown}: "))?;
    Ok(if answer.is_empty() {
        known.to_owned()
    } else {
        answer
    })
}

impl Asker {
    pub(super) fn new() -> Asker {
        Asker {
            is_possible: io::stdin().is_terminal() && io::stderr().is_terminal(),
        }
    }

    /// Whether there is a terminal to ask on. If not, standard input is the secret.
    pub(super) fn is_possible(&self) -> bool {
        self.is_possible
    }

    /// A line that is needed. `flag` says it where no one can be asked.
    pub(super) fn line(
        &self,
        what: &str,
        known: Option<&str>,
        flag: &str,
    ) -> Result<String, Failure> {
        let known = known.unwrap_or_default();
        let answer = if self.is_possible {
            optional_line(what, known)?
        } else {
            known.to_owned()
        };
        if answer.is_empty() {
            return Err(Failure::usage(
                format!("{flag} is missing"),
                format!("Add {flag}, or run p21auth login on a terminal, where it asks."),
            ));
        }
        Ok(answer)
    }

    /// A secret: typed without being shown, or all of standard input but one final line break.
    pub(super) fn secret(&self, what: &str) -> Result<Zeroizing<String>, Failure> {
        let secret = if self.is_possible {
            hidden(&format!("{what} (not shown): "))?
        } else if io::stdin().is_terminal() {
            return Err(Failure::usage(
                format!("{what}: cannot ask for it, because standard error is not a terminal"),
                "Leave standard error on the terminal, or pass the secret on standard input.",
            ));
        } else {
            let mut text = Zeroizing::new(String::with_capacity(MAX_SECRET + 1));
            io::stdin()
                .lock()
                .take(MAX_SECRET as u64 + 1)
                .read_to_string(&mut text)
                .map_err(|error| unreadable(&error))?;
            text
        };
        checked(&secret, what)
    }
}

/// The secret without its line break, if it can be one.
fn checked(text: &str, what: &str) -> Result<Zeroizing<String>, Failure> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    let fault = |why: &str| {
        Err(Failure::usage(
            format!("{what}: {why}"),
            "Type it on a terminal, or pass only the secret on standard input, such as: pass show p21 | p21auth login --username api.user …",
        ))
    };
    if line.is_empty() {
        return fault("there is none on standard input");
    }
    if line.len() > MAX_SECRET || line.contains(['\n', '\r', '\0']) {
        return fault("what is on standard input is more than one line");
    }
    Ok(Zeroizing::new(line.to_owned()))
}

/// Reads key by key, so that Ctrl-C leaves no terminal behind that shows nothing.
#[cfg(unix)]
fn hidden(question: &str) -> Result<Zeroizing<String>, Failure> {
    use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};

    let failed = |error: rustix::io::Errno| unreadable(&error.into());
    let terminal = io::stdin();
    let before = tcgetattr(&terminal).map_err(failed)?;
    let mut modes = before.clone();
    modes.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
    modes.special_codes[SpecialCodeIndex::VMIN] = 1;
    modes.special_codes[SpecialCodeIndex::VTIME] = 0;
    tcsetattr(&terminal, OptionalActions::Now, &modes).map_err(failed)?;
    prompt(question);
    let read = typed(|key| match rustix::io::read(&terminal, key) {
        Err(rustix::io::Errno::INTR) => Ok(None),
        Err(error) => Err(failed(error)),
        Ok(0) => Ok(Some(0)),
        Ok(_) => Ok(Some(1)),
    });
    let restored = tcsetattr(&terminal, OptionalActions::Now, &before).map_err(failed);
    prompt("\n");
    restored.and(read)
}

/// The line that keys make. `next` fills in a key and says how many came: none at the end, `None` to be asked again.
#[cfg(unix)]
fn typed(
    mut next: impl FnMut(&mut [u8; 1]) -> Result<Option<usize>, Failure>,
) -> Result<Zeroizing<String>, Failure> {
    /// The status of what Ctrl-C ends, as shells have it.
    const INTERRUPTED: u8 = 130;
    const CTRL_C: u8 = 3;
    const CTRL_D: u8 = 4;
    const CTRL_U: u8 = 21;
    const BACKSPACE: [u8; 2] = [8, 127];
    // It never grows, so no copy stays behind.
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_SECRET));
    let mut key = Zeroizing::new([0]);
    loop {
        match next(&mut key)? {
            None => continue,
            Some(0) => break,
            Some(_) => {}
        }
        match key[0] {
            b'\r' | b'\n' => break,
            CTRL_D if line.is_empty() => break,
            CTRL_C => return Err(Failure::Told(INTERRUPTED)),
            CTRL_U => line.clear(),
            c if BACKSPACE.contains(&c) => {
                // The bytes that continue a character, and the one that begins it.
                while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            byte if line.len() < MAX_SECRET => line.push(byte),
            _ => {}
        }
    }
    let text = std::str::from_utf8(&line)
        .map_err(|_| Failure::usage("what was typed is not UTF-8", "Set the terminal to UTF-8."))?;
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(windows)]
fn hidden(question: &str) -> Result<Zeroizing<String>, Failure> {
    let guard = p21auth::internal::windows::Unseen::begin().map_err(|error| unreadable(&error))?;
    prompt(question);
    let mut line = Zeroizing::new(String::with_capacity(MAX_SECRET));
    let read = io::stdin().lock().read_line(&mut line);
    drop(guard);
    prompt("\n");
    read.map_err(|error| unreadable(&error))?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn keys_make_a_line() {
        for (keys, line) in [
            ("abc\n", Some("abc")),
            ("abc\rd", Some("abc")),
            ("abc", Some("abc")),
            ("ab\u{7f}c\u{8}d\n", Some("ad")),
            ("\u{7f}a\n", Some("a")),
            ("aäö\u{7f}\n", Some("aä")),
            ("abc\u{15}d\n", Some("d")),
            ("a\u{4}\n", Some("a\u{4}")),
            ("\u{4}abc\n", Some("")),
            ("abc\u{3}\n", None),
        ] {
            let mut bytes = keys.bytes();
            let read = typed(|key| {
                let byte = bytes.next();
                key[0] = byte.unwrap_or_default();
                Ok(Some(usize::from(byte.is_some())))
            });
            match (read, line) {
                (Ok(read), Some(line)) => assert_eq!(read.as_str(), line, "{keys:?}"),
                (Err(Failure::Told(130)), None) => {}
                (other, _) => panic!("{keys:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_secret_is_one_line() {
        for (text, secret) in [
            ("a b", Some("a b")),
            (" a \n", Some(" a ")),
            ("a\r\n", Some("a")),
            ("", None),
            ("\n", None),
            ("a\n\n", None),
            ("a\nb", None),
            ("a\0b", None),
        ] {
            let found = checked(text, "Password").ok();
            assert_eq!(
                found.as_ref().map(|found| found.as_str()),
                secret,
                "{text:?}"
            );
        }
        assert!(checked(&"x".repeat(MAX_SECRET + 1), "Password").is_err());
    }
}
