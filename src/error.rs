//! One error type for everything that can go wrong, in P21's own terms.
//!
//! An [`Error`] carries what a caller needs to act: a stable [`Code`], the HTTP status where there was a reply, a one-line
//! message, a *hint* that says what to do next, how long to wait, and whether a retry can help. It never carries a secret:
//! text that came from a server passes through [`crate::secret::Scrubber`] before it gets here.

use std::fmt;
use std::time::Duration;

/// Names, numbers, meanings of every status and what to do about it, in the order of `include/p21auth.h`; docs/errors.md shows
/// this table.
macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $number:literal, $name:literal, $advice:literal;)+) => {
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

            /// Its name in the C header, such as `P21_E_UNAUTHORIZED`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Code::$variant => concat!("P21_E_", $name)),+ }
            }

            /// What it means, in one line.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Code::$variant => concat!($($doc, " "),+).trim_ascii()),+ }
            }

            /// What to do about it, in general. An error's own hint knows more.
            #[must_use]
            pub const fn advice(self) -> &'static str {
                match self { $(Code::$variant => $advice),+ }
            }
        }
    };
}

codes! {
    /// A required pointer is NULL.
    NullArgument = 1, "NULL_ARGUMENT",
        "Pass a pointer: the message names the argument.";
    /// A string is not valid UTF-8.
    InvalidUtf8 = 2, "INVALID_UTF8",
        "Pass UTF-8, which is not the ANSI code page of Windows. Environment variables must be UTF-8 too.";
    /// An argument is not valid: an unknown flag, flags that contradict each other, or a value out of range.
    InvalidArgument = 3, "INVALID_ARGUMENT",
        "Fix the call: the message names the argument or the flags.";
    /// The handle was freed, has the wrong type, or did not come from this library.
    InvalidHandle = 4, "INVALID_HANDLE",
        "Do not use a handle after you have freed it, and pass it only where its type is expected.";
    /// There is no option of this name. The hint lists similar names.
    UnknownOption = 5, "UNKNOWN_OPTION",
        "Fix the name: the hint lists similar names; `p21_options_json` and docs/options.md list every option.";
    /// The buffer is too small for the value. The required length is reported.
    BufferTooSmall = 6, "BUFFER_TOO_SMALL",
        "Call again with room for one byte more than the reported length, or use `p21_token_get`.";
    /// An option is missing, malformed, or contradicts another option.
    Config = 7, "CONFIG",
        "Set, fix or remove the option that the message names. Nothing was sent.";
    /// The client was freed while this call was waiting.
    Closed = 8, "CLOSED",
        "Nothing, if your program is ending; otherwise keep the client open as long as threads use it.";
    /// `P21_CACHED_ONLY` was set, and no unexpired token is cached.
    NoCachedToken = 9, "NO_CACHED_TOKEN",
        "Call without `P21_CACHED_ONLY`.";
    /// `P21_NO_WAIT` was set, and the token is still being fetched.
    Pending = 10, "PENDING",
        "Call again in a moment, or after the error's retry time if it has one.";
    /// The access token that you supplied (`auth_mode=token`) has expired.
    TokenExpired = 11, "TOKEN_EXPIRED",
        "Supply a new token with `p21_client_update`, or write it into `access_token_file`.";
    /// The shared token store cannot be used.
    Store = 50, "STORE",
        "Follow the hint. A lock held by a process that is requesting a token goes away by itself; a folder or Redis server that cannot be used is reported here only with `store_required=1`.";
    /// The host name of the P21 server or proxy cannot be resolved.
    Dns = 100, "DNS",
        "Check the host in `base_url` or `proxy`, the VPN, and this machine's DNS; `resolve` overrides DNS for one host.";
    /// The connection to the P21 server failed.
    Connect = 101, "CONNECT",
        "Check host and port in `base_url`, that the P21 middleware (IIS) runs there, and firewalls on the way.";
    /// The TLS handshake failed, usually because the certificate is not trusted.
    Tls = 102, "TLS",
        "Copy `ca_file` or `tls_pin_sha256` from the hint, which names the certificate that was seen. Do not turn verification off.";
    /// The call timed out.
    Timeout = 103, "TIMEOUT",
        "If the retry time is 0, the request continues: call again. If the message names an option and a path, the storage of that file does not respond. Otherwise the server is slow, or a firewall drops packets: raise `timeout_ms` or `connect_timeout_ms`.";
    /// The connection was lost while a request or response was being sent.
    Io = 104, "IO",
        "Try again; if it persists, look for a proxy or firewall that cuts connections.";
    /// The forward proxy refused the request or failed.
    Proxy = 105, "PROXY",
        "Check `proxy`, with user and password if it needs them, or set `proxy=direct`. NTLM and Negotiate are not supported.";
    /// The server returned an HTTP status that has no code of its own.
    Http = 150, "HTTP",
        "The message contains the status and the server's own text; the hint says where to look.";
    /// The token endpoint rejected the username, password or consumer key.
    Unauthorized = 151, "UNAUTHORIZED",
        "Check username and password (User Maintenance), or the key in SOA Admin. During the cool-down nothing is sent; `p21_token_invalidate(NULL)` allows an attempt at once, and different credentials have no cool-down.";
    /// The server understood the request and refused it.
    Forbidden = 152, "FORBIDDEN",
        "Check the consumer key's API scope in SOA Admin, or the user's rights in User Maintenance.";
    /// There is no P21 API at this address.
    NotFound = 153, "NOT_FOUND",
        "Check `base_url`: the middleware (SOA) address, often another host or port than the web client's.";
    /// The server is throttling requests.
    RateLimited = 154, "RATE_LIMITED",
        "Wait as long as the error says; share tokens between programs (option `store`) so that fewer are requested.";
    /// The server failed (HTTP 5xx).
    Server = 155, "SERVER",
        "Wait and try again; if it persists, the middleware's log says why. After a NullReferenceException check `auth_mode`.";
    /// The server redirects to an address to which credentials must not be sent.
    Redirect = 156, "REDIRECT",
        "If the message names your own server, set `base_url` to it; otherwise another server is at its address.";
    /// The server rejects new tokens as fast as it issues them.
    Rejected = 157, "REJECTED",
        "Another program requests tokens with the same credentials, which ends yours: use separate credentials for each, or share tokens (option `store`). Behind a load balancer, nodes without a shared machine key reject each other's tokens: configure one, or turn on sticky sessions.";
    /// The response could not be parsed.
    Parse = 200, "PARSE",
        "Check `base_url`: a web page instead of a response comes from the web client or a proxy.";
    /// The response was parsed but contains no usable access token.
    NoAccessToken = 201, "NO_ACCESS_TOKEN",
        "The middleware failed internally: its text in the message, and its log, say why.";
    /// The UI router's response contains no usable UI server URL.
    NoUrl = 202, "NO_URL",
        "Check the external UI server URL in SOA Admin, and that the key's scope allows the UI server.";
    /// The response is larger than `max_response_bytes`.
    TooLarge = 203, "TOO_LARGE",
        "Check `base_url`: a token response has a few kilobytes.";
    /// The library failed internally. Its state is intact, and the next call works.
    Panic = 250, "PANIC",
        "Please report it. The next call works.";
    /// The process ran out of memory, threads, open files or handles.
    NoMemory = 251, "NO_MEMORY",
        "Free handles and strings (`p21_live_objects` counts them), or allow the process more memory, threads or open files (`ulimit -a`). A later call can work.";
    /// An internal invariant was violated. Please report it.
    Internal = 252, "INTERNAL",
        "Please report it, with the message.";
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

    /// Whether the same call can succeed later with no changes, unless the error itself says otherwise: see
    /// [`Error::is_retryable`].
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
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
        )
    }
}

/// Why a call failed and what to do about it: a code, a one-line message, a hint, and when a retry may help. It never contains
/// a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    code: Code,
    http_status: u16,
    message: String,
    hint: String,
    retry_after: Option<Duration>,
    retryable: bool,
    two_causes: bool,
}

/// What to do about a limit of the process.
const EXHAUSTED_HINT: &str = "The process has reached its limit of open files, threads or memory (ulimit -a): close or free some, or raise the limit. The next call tries again.";

impl Error {
    /// An error with a message. Line breaks become spaces; the message must not hold a secret.
    #[must_use]
    #[doc(hidden)]
    pub fn new(code: Code, message: impl Into<String>) -> Error {
        Error {
            code,
            http_status: 0,
            message: one_line(message.into()),
            hint: String::new(),
            retry_after: None,
            retryable: code.is_retryable(),
            two_causes: false,
        }
    }

    /// The process is at a limit of its own: `what` cannot be done, and `why` in the system's words.
    pub(crate) fn exhausted(what: &str, why: &str) -> Error {
        Error::new(Code::NoMemory, format!("{what}: {why}")).with_hint(EXHAUSTED_HINT)
    }

    /// What became of work that was given to a thread of the library and has no result; `what` is the work.
    pub(crate) fn of_thread(what: &str, error: &std::io::Error) -> Error {
        match error.kind() {
            std::io::ErrorKind::TimedOut => Error::new(
                Code::Timeout,
                format!("{what} did not end in time"),
            )
            .with_hint(
                "It may continue in the background: call again, or allow more time (timeout_ms).",
            ),
            std::io::ErrorKind::Other => {
                Error::new(Code::Panic, format!("{what} failed inside the library"))
                    .with_hint("Please report it. The state is intact: the next call starts over.")
            }
            _ => Error::exhausted(&format!("no thread for {what}"), &error.to_string()),
        }
    }

    /// Adds the next thing to do, in P21's terms.
    #[must_use]
    #[doc(hidden)]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = one_line(hint.into());
        self
    }

    /// Adds the HTTP status of the reply.
    #[must_use]
    pub(crate) fn with_http_status(mut self, status: u16) -> Error {
        self.http_status = status;
        self
    }

    /// Says when another try may be made.
    #[must_use]
    pub(crate) fn with_retry_after(mut self, wait: Duration) -> Error {
        self.retry_after = Some(wait);
        self
    }

    /// Overrides whether the same call can succeed later with no changes.
    #[must_use]
    pub(crate) fn with_retryable(mut self, retryable: bool) -> Error {
        self.retryable = retryable;
        self
    }

    /// Says that the credentials may be right: something before the server may have refused them.
    #[must_use]
    pub(crate) fn with_two_causes(mut self) -> Error {
        self.two_causes = true;
        self
    }

    /// See [`Error::with_two_causes`]. Such a refusal does not make the cool-down longer.
    #[must_use]
    pub(crate) fn has_two_causes(&self) -> bool {
        self.two_causes
    }

    /// Passes message and hint through `change`.
    #[must_use]
    pub(crate) fn with_text(mut self, change: impl Fn(&str) -> String) -> Error {
        self.message = one_line(change(&self.message));
        self.hint = one_line(change(&self.hint));
        self
    }

    /// Puts `text` in front of the message: what was being done when it failed.
    #[must_use]
    #[doc(hidden)]
    pub fn while_doing(mut self, text: &str) -> Error {
        self.message = one_line(format!("{text}: {}", self.message));
        self
    }

    /// Appends a sentence to the message, such as the time of the next try.
    #[must_use]
    pub(crate) fn with_note(mut self, note: &str) -> Error {
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

    /// Returns one line that says what happened.
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

    /// Whether the same call can succeed later with no changes.
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
            assert!(code.meaning().ends_with('.') && code.advice().ends_with('.'));
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
