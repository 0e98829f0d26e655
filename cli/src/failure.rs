//! What ends a command early, and the exit status that says so.

use std::io;

use p21auth::{Code, Error};

use super::output;

/// One exit status and the codes that it stands for.
pub(super) struct ExitStatus {
    pub number: u8,
    pub meaning: &'static str,
    /// First and last number of the family in `include/p21auth.h`.
    pub codes: (i32, i32),
}

const fn status(number: u8, codes: (i32, i32), meaning: &'static str) -> ExitStatus {
    ExitStatus {
        number,
        meaning,
        codes,
    }
}

const OTHER: u8 = 1;
pub(super) const USAGE: u8 = 2;
const INTERNAL: u8 = 7;
pub(super) const PERMISSION: u8 = 8;
pub(super) const HEADER_LOST: u8 = 9;
pub(super) const GIVE_UP: u8 = 10;

/// Every exit status but 0. The families are those of the C header's numbers.
pub(super) const EXIT_STATUSES: &[ExitStatus] = &[
    status(
        OTHER,
        (0, 0),
        "something outside the library: output cannot be written, the emulator cannot start, a number in the demo is wrong",
    ),
    status(
        USAGE,
        (1, 49),
        "usage or configuration: an option is missing, malformed or contradicts another",
    ),
    status(3, (50, 99), "the shared token store cannot be used"),
    status(
        4,
        (100, 149),
        "network: name, connection, TLS, proxy, timeout; a retry may work",
    ),
    status(
        5,
        (150, 199),
        "the server's response: bad credentials, scope, wrong address, throttling, 5xx, redirect",
    ),
    status(
        6,
        (200, 249),
        "the response could not be parsed, or contains no token or URL",
    ),
    status(
        INTERNAL,
        (250, 299),
        "an error inside p21auth; please report it",
    ),
    status(
        PERMISSION,
        (0, 0),
        "report: a permission or scope is missing, and no token helps",
    ),
    status(
        HEADER_LOST,
        (0, 0),
        "report: the Authorization header did not arrive",
    ),
    status(
        GIVE_UP,
        (0, 0),
        "report: the token is not known to be the cause, or new tokens are rejected as fast as they are issued",
    ),
];

/// The exit status of a code's family.
pub(super) fn exit_status_of(code: Code) -> u8 {
    let number = code.number();
    EXIT_STATUSES
        .iter()
        .find(|status| (status.codes.0..=status.codes.1).contains(&number))
        .map_or(INTERNAL, |status| status.number)
}

/// Why a command ends early.
#[derive(Debug)]
pub(super) enum Failure {
    /// The library's error.
    P21(Error),
    /// What the library does not know about: sockets of the emulator, files, standard output.
    Other { message: String, hint: String },
    /// Anyone who read standard output has gone; no one is left to tell.
    ReaderGone,
    /// Said already.
    Told(u8),
}

impl Failure {
    /// A failure of the tool itself.
    pub fn other(message: impl Into<String>, hint: impl Into<String>) -> Failure {
        Failure::Other {
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// A usage error.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Failure {
        Failure::P21(Error::new(Code::Config, message).with_hint(hint))
    }

    /// The exit status.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::P21(error) => exit_status_of(error.code()),
            Failure::Other { .. } | Failure::ReaderGone => OTHER,
            Failure::Told(status) => *status,
        }
    }

    /// Message and hint on standard error.
    pub fn print(&self) {
        match self {
            Failure::P21(error) => {
                output::complain(
                    error.code().name(),
                    error.message(),
                    error.hint(),
                    error.retry_after(),
                );
            }
            Failure::Other { message, hint } => output::complain("error", message, hint, None),
            Failure::ReaderGone | Failure::Told(_) => {}
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::P21(error)
    }
}

/// Of writing to standard output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Failure::ReaderGone
        } else {
            Failure::other(format!("standard output cannot be written: {error}"), "")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_the_exit_status_of_its_family() {
        for code in Code::ALL {
            let expected = match code.number() {
                ..=11 => 2,
                50 => 3,
                100..=105 => 4,
                150..=157 => 5,
                200..=203 => 6,
                _ => 7,
            };
            let failure = Failure::from(Error::new(*code, "x"));
            assert_eq!(failure.exit_code(), expected, "{}", code.name());
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_told_nothing() {
        let gone = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(matches!(gone, Failure::ReaderGone));
        assert_eq!(gone.exit_code(), 1);
    }
}
