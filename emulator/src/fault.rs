//! Faults: what goes wrong with the next requests, on request.

use std::collections::{BTreeMap, VecDeque};

use serde::Deserialize;
use serde_json::{Value, json};

/// A fault that hits the next requests that match it; faults wait in a queue, and a request takes
/// the first one that matches.
///
/// A token request that is hit still counts as a request. It gets a real token only where the action
/// lets the server response (`pass`, `reset_after_headers`, `truncate`, `drip`, `skew_date`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fault {
    /// Hits requests whose path contains this text, without regard to case; empty: all.
    pub path: String,
    /// Hits this method only; empty: all.
    pub method: String,
    /// How many requests it hits; 0: all until faults are cleared.
    pub times: u32,
    /// Wait so long before going on, in milliseconds.
    pub latency_ms: u64,
    /// Wait for a release before going on.
    pub hang: bool,
    /// What goes wrong then.
    pub action: Action,
}

impl Default for Fault {
    fn default() -> Self {
        Self {
            path: String::new(),
            method: String::new(),
            times: 1,
            latency_ms: 0,
            hang: false,
            action: Action::Pass,
        }
    }
}

impl Fault {
    /// A fault for the next request whose path contains `path`.
    #[must_use]
    pub fn on(path: &str, action: Action) -> Self {
        Self {
            path: path.to_owned(),
            action,
            ..Self::default()
        }
    }

    /// The same fault for `n` requests (0: until cleared).
    #[must_use]
    pub fn times(mut self, n: u32) -> Self {
        self.times = n;
        self
    }

    fn matches(&self, method: &str, path: &str) -> bool {
        (self.method.is_empty() || self.method.eq_ignore_ascii_case(method))
            && path
                .to_ascii_lowercase()
                .contains(&self.path.to_ascii_lowercase())
    }
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Nothing: the ordinary answer (after latency or hanging), or a request let through in a queue.
    Pass,
    /// Close the connection in good order, without an answer.
    Close,
    /// Reset the connection without an answer.
    Reset,
    /// Send status and headers, then reset.
    ResetAfterHeaders,
    /// Send the whole head but only this many bytes of the body, then close.
    Truncate {
        /// Bytes of the body that are sent.
        bytes: usize,
    },
    /// Send the body this slowly.
    Drip {
        /// Bytes per second, at least 1.
        bytes_per_s: u32,
    },
    /// Answer 200 with a JSON body that begins like a token reply and never ends.
    Flood,
    /// Answer with exactly this.
    Answer {
        /// HTTP status, 100 to 599.
        status: u16,
        /// Headers; `Content-Length` and `Date` are added.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// Body.
        #[serde(default)]
        body: String,
    },
    /// Redirect.
    Redirect {
        /// The `Location` header.
        location: String,
        /// HTTP status, 307 unless given.
        #[serde(default = "temporary")]
        status: u16,
    },
    /// Answer 200 with an empty body.
    Empty,
    /// Answer 200 with the web client's HTML page.
    Html,
    /// The ordinary answer with a `Date` header off by this.
    SkewDate {
        /// Seconds, negative for the past.
        seconds: i64,
    },
}

impl Action {
    /// A canned answer without headers of its own.
    #[must_use]
    pub fn answer(status: u16, body: &str) -> Self {
        Self::Answer {
            status,
            headers: BTreeMap::new(),
            body: body.to_owned(),
        }
    }

    /// A canned answer with one header.
    #[must_use]
    pub fn answer_with(status: u16, header: (&str, &str), body: &str) -> Self {
        Self::Answer {
            status,
            headers: BTreeMap::from([(header.0.to_owned(), header.1.to_owned())]),
            body: body.to_owned(),
        }
    }
}

impl Action {
    /// Its name, as JSON has it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Close => "close",
            Self::Reset => "reset",
            Self::ResetAfterHeaders => "reset_after_headers",
            Self::Truncate { .. } => "truncate",
            Self::Drip { .. } => "drip",
            Self::Flood => "flood",
            Self::Answer { .. } => "answer",
            Self::Redirect { .. } => "redirect",
            Self::Empty => "empty",
            Self::Html => "html",
            Self::SkewDate { .. } => "skew_date",
        }
    }
}

fn temporary() -> u16 {
    307
}

/// The faults that wait for their requests.
#[derive(Default)]
pub(super) struct Queue(VecDeque<Fault>);

impl Queue {
    pub fn push(&mut self, fault: Fault) {
        self.0.push_back(fault);
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// What waits, without the details of an action.
    pub fn shown(&self) -> Vec<Value> {
        let fault = |f: &Fault| {
            json!({"path": f.path, "method": f.method, "times": f.times, "latency_ms": f.latency_ms,
                   "hang": f.hang, "action": f.action.name()})
        };
        self.0.iter().map(fault).collect()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The fault that hits this request.
    pub fn take(&mut self, method: &str, path: &str) -> Option<Fault> {
        let at = self.0.iter().position(|f| f.matches(method, path))?;
        match self.0[at].times {
            0 => self.0.get(at).cloned(),
            1 => self.0.remove(at),
            _ => {
                self.0[at].times -= 1;
                self.0.get(at).cloned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_is_taken_in_order_and_by_match() {
        let mut queue = Queue::default();
        queue.push(Fault::on("/token", Action::Empty).times(2));
        queue.push(Fault::on("/token", Action::Html));
        queue.push(Fault::on("", Action::Close).times(0));
        let mut hit = |path: &str| queue.take("POST", path).map(|f| f.action);
        assert_eq!(hit("/API/Security/TOKEN"), Some(Action::Empty));
        assert_eq!(hit("/odata"), Some(Action::Close));
        assert_eq!(hit("/token"), Some(Action::Empty));
        assert_eq!(hit("/token"), Some(Action::Html));
        assert_eq!(hit("/token"), Some(Action::Close));
        assert_eq!(hit("/token"), Some(Action::Close));
    }

    #[test]
    fn faults_read_from_json() {
        let read = |text: &str| serde_json::from_str::<Fault>(text);
        let fault = read(r#"{"path":"/t","times":3,"action":{"answer":{"status":503}}}"#).unwrap();
        assert_eq!(fault, Fault::on("/t", Action::answer(503, "")).times(3));
        assert_eq!(read(r#"{"action":"reset"}"#).unwrap().action, Action::Reset);
        assert!(read(r#"{"hang":true}"#).unwrap().hang);
        let to = read(r#"{"action":{"redirect":{"location":"/x"}}}"#).unwrap();
        assert_eq!(
            to.action,
            Action::Redirect {
                location: "/x".into(),
                status: 307
            }
        );
        assert!(read(r#"{"pth":"/t"}"#).is_err());
        assert!(read(r#"{"action":"explode"}"#).is_err());
    }

    #[test]
    fn a_method_narrows_a_fault() {
        let mut queue = Queue::default();
        queue.push(Fault {
            method: "GET".into(),
            ..Fault::default()
        });
        assert!(queue.take("POST", "/x").is_none());
        assert!(queue.take("GET", "/x").is_some());
        assert_eq!(queue.len(), 0);
    }
}
