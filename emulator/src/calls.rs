//! The calls that came in, for those who look: the last ones, without secrets.

use std::collections::VecDeque;

use serde::Serialize;

use super::message::Request;
use super::redact;

/// Calls that are kept.
const KEPT: usize = 1000;

/// Seconds whose token requests are kept.
const SECONDS: usize = 600;

/// One call.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Call {
    /// Counts up from 1.
    pub n: u64,
    /// Unix time in milliseconds by the machine's clock, when it came in.
    pub at_ms: u64,
    pub method: String,
    pub path: String,
    /// As sent; secrets are replaced when it is shown.
    #[serde(serialize_with = "redact::shown_query")]
    pub query: String,
    /// A known user's name, a known key's uid.
    pub who: String,
    /// The dialect of a token request.
    pub dialect: Option<&'static str>,
    /// Of the token that was sent along.
    pub token: Option<String>,
    /// None while it is held, or where a fault gave no answer.
    pub status: Option<u16>,
    /// How long the answer took; none while it is held.
    pub ms: Option<u64>,
    /// What went wrong on request.
    pub fault: Option<&'static str>,
}

impl Call {
    /// A call that has no answer yet.
    pub fn begin(
        request: &Request,
        who: String,
        dialect: Option<&'static str>,
        token: Option<String>,
        at_ms: u64,
    ) -> Self {
        Self {
            n: 0,
            at_ms,
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone().unwrap_or_default(),
            who,
            dialect,
            token,
            status: None,
            ms: None,
            fault: None,
        }
    }
}

/// The last calls.
#[derive(Default)]
pub(super) struct Calls {
    list: VecDeque<Call>,
    last: u64,
    /// Token requests by Unix second, for the seconds that had any.
    token_requests: VecDeque<(u64, u32)>,
}

impl Calls {
    /// Adds a call and returns its number.
    pub fn push(&mut self, mut call: Call) -> u64 {
        self.last += 1;
        call.n = self.last;
        if call.dialect.is_some() {
            self.count(call.at_ms / 1000);
        }
        if self.list.len() == KEPT {
            self.list.pop_front();
        }
        self.list.push_back(call);
        self.last
    }

    fn count(&mut self, second: u64) {
        match self.token_requests.back_mut() {
            Some((last, count)) if *last >= second => *count += 1,
            _ => self.token_requests.push_back((second, 1)),
        }
        if self.token_requests.len() > SECONDS {
            self.token_requests.pop_front();
        }
    }

    /// Token requests by Unix second.
    pub fn token_requests(&self) -> &VecDeque<(u64, u32)> {
        &self.token_requests
    }

    /// The number of the last one.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Completes a call, if it is still here.
    pub fn end(&mut self, n: u64, status: Option<u16>, ms: u64, fault: Option<&'static str>) {
        if let Some(call) = self.list.iter_mut().rev().find(|call| call.n == n) {
            (call.status, call.ms, call.fault) = (status, Some(ms), fault);
        }
    }

    /// Those after number `n`, oldest first.
    pub fn after(&self, n: u64) -> impl DoubleEndedIterator<Item = &Call> {
        self.list.iter().filter(move |call| call.n > n)
    }

    /// None is left, and numbers go on, so that an observer misses nothing.
    pub fn clear(&mut self) {
        self.list.clear();
        self.token_requests.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_give_way_and_numbers_go_on() {
        let mut calls = Calls::default();
        let request = Request::default();
        for _ in 0..=KEPT {
            calls.push(Call::begin(&request, String::new(), None, None, 0));
        }
        calls.end(1, Some(200), 5, None);
        calls.end(2, Some(201), 5, Some("reset"));
        assert_eq!(calls.after(0).count(), KEPT);
        assert_eq!(
            calls.after(0).next().map(|c| (c.n, c.status)),
            Some((2, Some(201)))
        );
        let last = u64::try_from(KEPT).unwrap() + 1;
        assert_eq!(calls.after(last - 1).count(), 1);
        calls.clear();
        assert_eq!(
            calls.push(Call::begin(&request, String::new(), None, None, 0)),
            last + 1
        );
    }
}
