//! The transport under watch: what was asked and when, what kind of answer came, and no token request without leave.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use crate::clock::{Clock as _, Now, SystemClock};
use crate::error::{Code, Error, Result};
use crate::fork::Guarded;
use crate::http::{Limits, Transport};
use crate::wire::{self, Method, Request, Response};

/// An answer that came.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// It answers a token request: nothing else is a POST.
    pub to_token_request: bool,
    pub sent: Now,
    pub received: Now,
    /// The server's `Date` in Unix seconds.
    pub date_unix: Option<i64>,
    /// What the body is.
    pub kind: &'static str,
}

/// What happens on the way to the server during one run.
#[derive(Default)]
pub(super) struct Watch {
    answers: Guarded<Vec<Answer>>,
    may_ask: AtomicBool,
    token_requests: AtomicU32,
}

impl Watch {
    /// One token request may be sent from now on.
    pub(crate) fn allow_one(&self) {
        self.may_ask.store(true, Ordering::SeqCst);
    }

    /// Token requests that were sent.
    pub(crate) fn token_requests(&self) -> u32 {
        self.token_requests.load(Ordering::SeqCst)
    }

    /// The answers so far, oldest first.
    pub(crate) fn answers(&self) -> Vec<Answer> {
        self.answers.with(|answers| answers.clone())
    }
}

/// A transport that reports to a [`Watch`] and obeys it.
pub(super) struct Watched {
    pub inner: Arc<dyn Transport>,
    pub watch: Arc<Watch>,
}

impl Transport for Watched {
    fn prepare(&self, deadline: Instant) -> Result<()> {
        self.inner.prepare(deadline)
    }

    fn send(&self, request: &Request, limits: &Limits) -> Result<Response> {
        let to_token_request = request.method == Method::Post;
        if to_token_request {
            // The library may also ask in the background, to renew a stored token.
            if !self.watch.may_ask.swap(false, Ordering::SeqCst) {
                return Err(Error::new(
                    Code::NoCachedToken,
                    "no further token request is made in this run",
                ));
            }
            self.watch.token_requests.fetch_add(1, Ordering::SeqCst);
        }
        let sent = SystemClock.now();
        let response = self.inner.send(request, limits)?;
        if to_token_request && matches!(response.status, 307 | 308) {
            // The same request, moved on: the server has not taken it yet.
            self.watch.token_requests.fetch_sub(1, Ordering::SeqCst);
            self.watch.allow_one();
        }
        let answer = Answer {
            to_token_request,
            sent,
            received: SystemClock.now(),
            date_unix: wire::server_date_unix(&response),
            kind: wire::body_kind(&response.body),
        };
        self.watch.answers.with(|answers| answers.push(answer));
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Answers everything with this status.
    struct Always(u16);

    impl Transport for Always {
        fn send(&self, _: &Request, _: &Limits) -> Result<Response> {
            Ok(Response {
                status: self.0,
                ..Response::default()
            })
        }
    }

    fn send(watched: &Watched, method: Method) -> Result<Response> {
        let request = Request {
            method,
            url: url::Url::parse("https://p21.example.com/").expect("a URL"),
            headers: Vec::new(),
            body: None,
        };
        watched.send(&request, &Limits::new(Duration::from_secs(1), 10))
    }

    fn watched(status: u16) -> Watched {
        Watched {
            inner: Arc::new(Always(status)),
            watch: Arc::default(),
        }
    }

    #[test]
    fn one_leave_is_for_one_token_request() {
        let watched = watched(200);
        assert!(send(&watched, Method::Post).is_err());
        assert!(send(&watched, Method::Get).is_ok());
        watched.watch.allow_one();
        assert!(send(&watched, Method::Post).is_ok());
        assert!(send(&watched, Method::Post).is_err());
        assert_eq!(watched.watch.token_requests(), 1);
        let kinds: Vec<bool> = watched
            .watch
            .answers()
            .iter()
            .map(|answer| answer.to_token_request)
            .collect();
        assert_eq!(kinds, [false, true]);
    }

    #[test]
    fn a_request_that_is_sent_on_is_still_the_same() {
        let watched = watched(307);
        watched.watch.allow_one();
        for _ in 0..3 {
            assert!(send(&watched, Method::Post).is_ok());
        }
        assert_eq!(watched.watch.token_requests(), 0);
    }
}
