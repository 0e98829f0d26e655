//! One error type for everything that can go wrong, in P21's own terms.
//!
//! An [`Error`] carries what a caller needs to act: a stable [`Code`], the HTTP status where there was a reply, a
//! one-line message, a *hint* that names the next thing to do, how long to wait, and whether trying again can help. It
//! never carries a secret: text that came from a server passes through [`crate::secret::Scrubber`] before it gets here.

use std::fmt;
use std::time::Duration;

/// Names, numbers and short meanings of every status, in the order of `include/p21auth.h`.
macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $number:literal, $name:literal;)+) => {
        /// Why a call failed. Numbers are stable and only ever added to, in families with gaps.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i32)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $doc])+ $variant = $number,)+
        }

        impl Code {
            /// Every code, in ascending order.
            pub const ALL: &'static [Code] = &[$(Code::$variant),+];

            /// The name that the C header gives it, such as `P21_E_UNAUTHORIZED`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Code::$variant => concat!("P21_E_", $name)),+ }
            }

            /// What it means, in one line.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Code::$variant => concat!($($doc, " "),+).trim_ascii()),+ }
            }
        }
    };
}

codes! {
    /// A required pointer is NULL.
    NullArgument = 1, "NULL_ARGUMENT";
    /// A string is not valid UTF-8.
    InvalidUtf8 = 2, "INVALID_UTF8";
    /// An argument has no meaning: an unknown flag, flags that contradict each other, a value out of range.
    InvalidArgument = 3, "INVALID_ARGUMENT";
    /// The handle was freed, is of another kind, or never came from this library.
    InvalidHandle = 4, "INVALID_HANDLE";
    /// No option has this name.
    UnknownOption = 5, "UNKNOWN_OPTION";
    /// The caller's buffer cannot hold the value; the length needed is reported.
    BufferTooSmall = 6, "BUFFER_TOO_SMALL";
    /// An option is missing, malformed or contradicts another.
    Config = 7, "CONFIG";
    /// The client was freed while the call was waiting.
    Closed = 8, "CLOSED";
    /// `P21_CACHED_ONLY` was asked for and no unexpired token is cached.
    NoCachedToken = 9, "NO_CACHED_TOKEN";
    /// `P21_NO_WAIT` was asked for and the token is still being fetched.
    Pending = 10, "PENDING";
    /// The access token that the caller supplied (`auth_mode=token`) has expired.
    TokenExpired = 11, "TOKEN_EXPIRED";
    /// The shared token store cannot be used.
    Store = 50, "STORE";
    /// The host name of the P21 server or proxy cannot be resolved.
    Dns = 100, "DNS";
    /// No connection to the P21 server could be made.
    Connect = 101, "CONNECT";
    /// The TLS handshake failed, most often because the certificate is not trusted.
    Tls = 102, "TLS";
    /// The time for the call ran out.
    Timeout = 103, "TIMEOUT";
    /// The connection broke while a request or reply was under way, or a file could not be read.
    Io = 104, "IO";
    /// The forward proxy refused or failed.
    Proxy = 105, "PROXY";
    /// The server answered with an HTTP status that has no code of its own.
    Http = 150, "HTTP";
    /// The token endpoint refused the user, password or consumer key.
    Unauthorized = 151, "UNAUTHORIZED";
    /// The server understood the request and forbids it.
    Forbidden = 152, "FORBIDDEN";
    /// No P21 API answers at this address.
    NotFound = 153, "NOT_FOUND";
    /// The server throttles requests.
    RateLimited = 154, "RATE_LIMITED";
    /// The server failed (HTTP 5xx).
    Server = 155, "SERVER";
    /// The server redirects to a place where credentials must not go.
    Redirect = 156, "REDIRECT";
    /// New tokens are rejected as fast as they come.
    Rejected = 157, "REJECTED";
    /// The reply could not be understood.
    Parse = 200, "PARSE";
    /// The reply was understood but holds no usable access token.
    NoAccessToken = 201, "NO_ACCESS_TOKEN";
    /// The router's reply holds no usable UI server URL.
    NoUrl = 202, "NO_URL";
    /// The reply is larger than `max_response_bytes`.
    TooLarge = 203, "TOO_LARGE";
    /// The library failed inside; the state is intact and the next call works.
    Panic = 250, "PANIC";
    /// Memory ran out.
    NoMemory = 251, "NO_MEMORY";
    /// An inner rule was broken; please report it.
    Internal = 252, "INTERNAL";
}

impl Code {
    /// The code with this number, or `None`. 0 is success and has no code.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Code> {
        Code::ALL
            .iter()
            .copied()
            .find(|code| code.number() == number)
    }

    /// The stable number, as in `include/p21auth.h`.
    #[must_use]
    pub const fn number(self) -> i32 {
        self as i32
    }
}

/// What went wrong and what to do about it. See the [module](self) for what it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    code: Code,
    http_status: u16,
    message: String,
    hint: String,
    retry_after: Option<Duration>,
    retryable: bool,
}

impl Error {
    /// An error with a message. Line breaks become spaces; the message must not hold a secret.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Error {
        let retryable = matches!(
            code,
            Code::Pending
                | Code::Store
                | Code::Dns
                | Code::Connect
                | Code::Timeout
                | Code::Io
                | Code::RateLimited
                | Code::Server
                | Code::Rejected
                | Code::Panic
                | Code::NoMemory
        );
        Error {
            code,
            http_status: 0,
            message: one_line(message.into()),
            hint: String::new(),
            retry_after: None,
            retryable,
        }
    }

    /// Adds the next thing to do, in P21's terms.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = one_line(hint.into());
        self
    }

    /// Adds the HTTP status of the reply.
    #[must_use]
    pub fn with_http_status(mut self, status: u16) -> Error {
        self.http_status = status;
        self
    }

    /// Says when another try may be made.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Error {
        self.retry_after = Some(wait);
        self
    }

    /// Overrides whether a later try of the same call can succeed without anybody changing anything.
    #[must_use]
    pub fn with_retryable(mut self, retryable: bool) -> Error {
        self.retryable = retryable;
        self
    }

    /// Passes message and hint through `change`.
    #[must_use]
    pub fn with_text(mut self, change: impl Fn(&str) -> String) -> Error {
        self.message = one_line(change(&self.message));
        self.hint = one_line(change(&self.hint));
        self
    }

    /// Puts `text` in front of the message: what was being done when it failed.
    #[must_use]
    pub fn while_doing(mut self, text: &str) -> Error {
        self.message = one_line(format!("{text}: {}", self.message));
        self
    }

    /// Appends a sentence to the message, such as the time of the next try.
    #[must_use]
    pub fn with_note(mut self, note: &str) -> Error {
        self.message = one_line(format!("{} ({note})", self.message));
        self
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// HTTP status of the reply, or 0 when there was none.
    #[must_use]
    pub fn http_status(&self) -> u16 {
        self.http_status
    }

    /// One line that says what happened.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// One line that says what to do next; empty when there is nothing better to say than the message.
    #[must_use]
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// How long to wait before another try, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Whether a later try of the same call can succeed without anybody changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.message)?;
        if !self.hint.is_empty() {
            write!(f, " Hint: {}", self.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

fn one_line(text: String) -> String {
    if text.chars().any(char::is_control) {
        let spaced: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        spaced.split_whitespace().collect::<Vec<_>>().join(" ")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_ascending_and_found_again() {
        for pair in Code::ALL.windows(2) {
            assert!(pair[0].number() < pair[1].number());
        }
        for code in Code::ALL {
            assert_eq!(Code::from_number(code.number()), Some(*code));
            assert!(code.name().starts_with("P21_E_"));
        }
        assert_eq!(Code::from_number(0), None);
        assert_eq!(Code::Unauthorized.number(), 151);
        assert_eq!(Code::Unauthorized.name(), "P21_E_UNAUTHORIZED");
    }

    #[test]
    fn messages_are_one_line() {
        let error = Error::new(Code::Http, "a\r\nb\tc").with_hint("do\nthis");
        assert_eq!(error.message(), "a b c");
        assert_eq!(error.to_string(), "P21_E_HTTP: a b c Hint: do this");
    }
}
