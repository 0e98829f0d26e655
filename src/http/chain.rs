//! An error of the HTTP stack and its causes. Its own texts never get through, only that of the innermost cause: the outer ones
//! quote the URL, whose query may be a password.

use std::error::Error as StdError;
use std::io;

/// How setting up a tunnel failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tunnel {
    UserNeeded,
    Refused,
    /// The connection to the proxy failed, or broke.
    NoProxy,
    Broken,
}

/// An error and its causes, outermost first.
pub(super) struct Chain<'a>(Vec<&'a (dyn StdError + 'static)>);

impl<'a> Chain<'a> {
    pub(super) fn of(error: &'a (dyn StdError + 'static)) -> Chain<'a> {
        Chain(std::iter::successors(Some(error), |error| inner(*error)).collect())
    }

    pub(super) fn find<T: StdError + 'static>(&self) -> Option<&'a T> {
        self.0.iter().rev().find_map(|error| error.downcast_ref())
    }

    /// Why the system refused, if this process is at a limit.
    pub(super) fn exhausted(&self) -> Option<String> {
        let refused = |error: &&io::Error| crate::sys::is_exhausted(error);
        let io = self.0.iter().filter_map(|error| error.downcast_ref());
        Some(io.into_iter().find(refused)?.to_string())
    }

    pub(super) fn reqwest(&self) -> Option<&'a reqwest::Error> {
        self.0.iter().find_map(|error| error.downcast_ref())
    }

    /// The type of this error is private, so its text is all there is; the tests in `tests/http` notice a change.
    pub(super) fn tunnel(&self) -> Option<Tunnel> {
        self.0.iter().find_map(|error| {
            let text = error.to_string();
            Some(match text.strip_prefix("tunnel error: ")? {
                "proxy authorization required" => Tunnel::UserNeeded,
                "unsuccessful" | "proxy response headers too long" => Tunnel::Refused,
                "failed to create underlying connection" => Tunnel::NoProxy,
                _ => Tunnel::Broken,
            })
        })
    }

    pub(super) fn innermost(&self) -> String {
        match self.0.last() {
            Some(error) if !error.is::<reqwest::Error>() => in_short(&error.to_string()),
            _ => "unknown cause".to_owned(),
        }
    }
}

/// Without the link into its own documentation that rustls adds.
pub(super) fn in_short(text: &str) -> String {
    text.split(": https://").next().unwrap_or(text).to_owned()
}

/// The next cause. An `io::Error` answers for its content's cause but not for its content.
fn inner<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>() {
        Some(io) => io.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
        None => error.source(),
    }
}
