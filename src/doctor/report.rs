//! What is said of each step, and the whole as JSON.

use std::time::Duration;

use serde_json::{Value, json};

use crate::error::{Code, Error};

/// How a step came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// It works, or may; worth knowing all the same.
    Warn,
    /// It does not work.
    Fail,
    /// Not looked at, because of another step or because it is not allowed.
    Skipped,
}

impl Outcome {
    /// `ok`, `warn`, `fail` or `skipped`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Warn => "warn",
            Outcome::Fail => "fail",
            Outcome::Skipped => "skipped",
        }
    }
}

/// One thing that was looked at. No text of it holds a secret or a control character.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// Which one, such as `tls`; docs/doctor.md lists them.
    pub id: &'static str,
    /// How it came out.
    pub outcome: Outcome,
    /// What was seen, the most telling line first.
    pub saw: Vec<String>,
    /// What to do, where there is something.
    pub advice: Vec<String>,
    /// A line to copy into a shell or a `.env` file.
    pub copy: Option<String>,
    /// Of a failure.
    pub code: Option<Code>,
    /// How long it took, in milliseconds.
    pub ms: u64,
}

impl Step {
    pub(super) fn new(id: &'static str, outcome: Outcome, saw: impl Into<String>) -> Step {
        Step {
            id,
            outcome,
            saw: vec![clean(&saw.into())],
            advice: Vec::new(),
            copy: None,
            code: None,
            ms: 0,
        }
    }

    pub(super) fn ok(id: &'static str, saw: impl Into<String>) -> Step {
        Step::new(id, Outcome::Ok, saw)
    }

    pub(super) fn warn(id: &'static str, saw: impl Into<String>) -> Step {
        Step::new(id, Outcome::Warn, saw)
    }

    pub(super) fn skipped(id: &'static str, why: impl Into<String>) -> Step {
        Step::new(id, Outcome::Skipped, why)
    }

    /// The library's own words for what went wrong and what to do.
    pub(super) fn failed(id: &'static str, error: &Error) -> Step {
        let mut step = Step::new(id, Outcome::Fail, error.message()).advise(error.hint());
        step.code = Some(error.code());
        match error.retry_after().map(|wait| wait.as_secs()) {
            Some(wait) if wait > 0 => {
                let wait = span(i64::try_from(wait).unwrap_or(i64::MAX));
                step.advise(format!("Not sooner than in {wait}."))
            }
            _ => step,
        }
    }

    /// One more line of what was seen.
    pub(super) fn also(mut self, saw: impl Into<String>) -> Step {
        self.saw.push(clean(&saw.into()));
        self
    }

    /// One more thing to do; an empty one is none.
    pub(super) fn advise(mut self, advice: impl Into<String>) -> Step {
        let advice = clean(&advice.into());
        if !advice.is_empty() {
            self.advice.push(advice);
        }
        self
    }

    /// No longer ok, but no failure.
    pub(super) fn worth_a_warning(mut self) -> Step {
        if self.outcome == Outcome::Ok {
            self.outcome = Outcome::Warn;
        }
        self
    }

    pub(super) fn took(mut self, time: Duration) -> Step {
        self.ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// Nothing that needs it can go on.
    pub(super) fn blocks(&self) -> bool {
        matches!(self.outcome, Outcome::Fail | Outcome::Skipped)
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id,
            "outcome": self.outcome.name(),
            "saw": self.saw,
            "do": self.advice,
            "copy": self.copy,
            "code": self.code.map(Code::name),
            "ms": self.ms,
        })
    }
}

/// Every field of a report in JSON: its path and what it says. The documentation's table is made of this.
pub const FIELDS: [(&str, &str); 11] = rows! {
    "schema" => "Version of this layout; grows if a name changes its meaning, not if one is added.";
    "ok" => "Whether no step failed.";
    "token_requests" => "Token requests that the examination sent: one at most.";
    "steps" => "The steps, in the order of the examination.";
    "steps.id" => "Which step, such as `tls`.";
    "steps.outcome" => "`ok`, `warn`, `fail` or `skipped`.";
    "steps.saw" => "What was found, the most telling line first.";
    "steps.do" => "What to do next, if anything.";
    "steps.copy" => "A line to copy into a shell or a `.env` file; null if there is none.";
    "steps.code" => "The status of a failure, such as `P21_E_TLS`; null without one.";
    "steps.ms" => "How long the step took, in milliseconds.";
};

/// All steps of an examination, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The steps.
    pub steps: Vec<Step>,
    /// Token requests that were sent: one at most.
    pub token_requests: u32,
}

impl Report {
    pub(super) fn new(steps: Vec<Step>, token_requests: u32) -> Report {
        Report {
            steps,
            token_requests,
        }
    }

    /// The first step that failed.
    #[must_use]
    pub fn failure(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.outcome == Outcome::Fail)
    }

    /// `{schema, ok, token_requests, steps: [{id, outcome, saw, do, copy, code, ms}]}`; `ok` if no step failed.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "schema": 1,
            "ok": self.failure().is_none(),
            "token_requests": self.token_requests,
            "steps": self.steps.iter().map(Step::json).collect::<Vec<_>>(),
        })
    }
}

/// A step as an examination makes it, for tests.
#[doc(hidden)]
#[must_use]
pub fn step_of(id: &'static str, outcome: Outcome, saw: &str) -> Step {
    Step::new(id, outcome, saw)
}

/// A report as an examination makes it, for tests.
#[doc(hidden)]
#[must_use]
pub fn report_of(steps: Vec<Step>, token_requests: u32) -> Report {
    Report::new(steps, token_requests)
}

/// Names in certificates and the like come from the other side; none of them moves a terminal's cursor.
fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// `23 h 59 min`: the two largest units.
#[doc(hidden)]
#[must_use]
pub fn span(seconds: i64) -> String {
    const UNITS: [(i64, &str); 5] = [
        (31_557_600, "y"),
        (86_400, "d"),
        (3_600, "h"),
        (60, "min"),
        (1, "s"),
    ];
    let seconds = seconds.max(0);
    let first = UNITS
        .iter()
        .position(|(unit, _)| seconds >= *unit)
        .unwrap_or(UNITS.len() - 1);
    let (unit, name) = UNITS[first];
    let whole = format!("{} {name}", seconds / unit);
    match UNITS
        .get(first + 1)
        .map(|(next, name)| (seconds % unit / next, name))
    {
        Some((rest, name)) if rest > 0 => format!("{whole} {rest} {name}"),
        _ => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(id: &'static str, code: Code) -> Step {
        Step::failed(id, &Error::new(code, "broken").with_hint("fix it"))
    }

    #[test]
    fn every_field_is_described() {
        let report = Report::new(vec![failure("a", Code::Tls)], 0).to_json();
        let names = |value: &Value, before: &str| -> Vec<String> {
            let fields = value.as_object().expect("an object");
            fields
                .keys()
                .map(|name| format!("{before}{name}"))
                .collect()
        };
        let mut found = names(&report, "");
        found.extend(names(&report["steps"][0], "steps."));
        let mut described = FIELDS.map(|(path, _)| path.to_owned()).to_vec();
        found.sort();
        described.sort();
        assert_eq!(found, described);
    }

    #[test]
    fn the_first_failure_decides() {
        let ok = Step::ok("a", "x");
        let well = Report::new(
            vec![ok.clone(), Step::warn("b", "x"), Step::skipped("c", "x")],
            0,
        );
        assert_eq!(well.failure(), None);
        assert_eq!(well.to_json()["ok"], true);
        let report = Report::new(
            vec![
                ok,
                failure("b", Code::Tls).took(Duration::from_millis(7)),
                failure("c", Code::Unauthorized),
            ],
            1,
        );
        assert_eq!(report.failure().map(|step| step.id), Some("b"));
        let json = report.to_json();
        assert_eq!(json["ok"], false);
        assert_eq!(json["token_requests"], 1);
        assert_eq!(json["steps"][1]["code"], "P21_E_TLS");
        assert_eq!(json["steps"][1]["ms"], 7);
        assert_eq!(json["steps"][0]["code"], Value::Null);
        assert_eq!(json["steps"][2]["do"], json!(["fix it"]));
    }

    #[test]
    fn a_wait_is_part_of_the_advice_and_nothing_moves_the_cursor() {
        let error = Error::new(Code::Unauthorized, "no").with_retry_after(Duration::from_secs(90));
        let step = Step::failed("token", &error);
        assert_eq!(step.advice, ["Not sooner than in 1 min 30 s."]);
        assert_eq!(Step::ok("x", "a\u{1b}[2Jb\nc").saw, ["a [2Jb c"]);
    }
}
