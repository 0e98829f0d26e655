//! What is said of each step, and how it is written: text for people, JSON for programs.

use serde_json::{Value, json};

use crate::failure::exit_status_of;
use crate::output::{BAD, GOOD, QUIET, STRONG, span, styled};
use p21auth::error::{Code, Error};

/// How a step came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Ok,
    /// It works, or may: somebody should know all the same.
    Warn,
    Fail,
    /// It could not be looked at, because of another step or of the user's wish.
    Skipped,
}

impl Outcome {
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Warn => "warn",
            Outcome::Fail => "fail",
            Outcome::Skipped => "skipped",
        }
    }

    fn mark(self) -> String {
        let style = match self {
            Outcome::Ok => GOOD,
            Outcome::Warn => STRONG,
            Outcome::Fail => BAD,
            Outcome::Skipped => QUIET,
        };
        let text = if self == Outcome::Fail {
            "FAIL"
        } else {
            self.name()
        };
        styled(style, &format!("{text:<MARK$}"))
    }
}

/// Width of the mark and of the name in text.
const MARK: usize = 7;
const NAME: usize = 13;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub name: &'static str,
    pub outcome: Outcome,
    /// What was seen, the most telling line first.
    pub seen: Vec<String>,
    /// What to do, where there is something.
    pub advice: Vec<String>,
    /// A line to copy into a shell or a `.env` file.
    pub copy: Option<String>,
    /// Of a failure.
    pub code: Option<Code>,
}

impl Step {
    fn new(name: &'static str, outcome: Outcome, seen: impl Into<String>) -> Step {
        Step {
            name,
            outcome,
            seen: vec![clean(&seen.into())],
            advice: Vec::new(),
            copy: None,
            code: None,
        }
    }

    pub fn ok(name: &'static str, seen: impl Into<String>) -> Step {
        Step::new(name, Outcome::Ok, seen)
    }

    pub fn warn(name: &'static str, seen: impl Into<String>) -> Step {
        Step::new(name, Outcome::Warn, seen)
    }

    pub fn skipped(name: &'static str, why: impl Into<String>) -> Step {
        Step::new(name, Outcome::Skipped, why)
    }

    /// The library's own words for what went wrong and what to do.
    pub fn failed(name: &'static str, error: &Error) -> Step {
        let mut step = Step::new(name, Outcome::Fail, error.message()).advise(error.hint());
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
    pub fn also(mut self, seen: impl Into<String>) -> Step {
        self.seen.push(clean(&seen.into()));
        self
    }

    /// One more thing to do; an empty one is none.
    pub fn advise(mut self, advice: impl Into<String>) -> Step {
        let advice = clean(&advice.into());
        if !advice.is_empty() {
            self.advice.push(advice);
        }
        self
    }

    /// No longer ok, but no failure.
    pub fn worth_a_warning(mut self) -> Step {
        if self.outcome == Outcome::Ok {
            self.outcome = Outcome::Warn;
        }
        self
    }

    /// Nothing that needs it can go on.
    pub fn blocks(&self) -> bool {
        matches!(self.outcome, Outcome::Fail | Outcome::Skipped)
    }

    /// As lines for people.
    pub fn text(&self) -> String {
        let indent = " ".repeat(MARK + 1 + NAME + 1);
        let titled = |title: &str, line: &str| format!("{} {line}", styled(STRONG, title));
        let mut lines = self.seen.clone();
        lines.extend(self.advice.iter().map(|line| titled("do:", line)));
        lines.extend(self.copy.iter().map(|line| titled("copy:", line)));
        format!(
            "{} {:<NAME$} {}",
            self.outcome.mark(),
            self.name,
            lines.join(&format!("\n{indent}"))
        )
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "outcome": self.outcome.name(),
            "seen": self.seen,
            "advice": self.advice,
            "copy": self.copy,
            "code": self.code.map(Code::name),
        })
    }
}

/// What stands on the line while a step is under way; the step's own first line covers it.
pub(super) fn progress(name: &str) -> String {
    styled(QUIET, &format!("{:<MARK$} {name}", "…"))
}

/// 0, or the exit status of the first failure's family.
pub(super) fn exit_status(steps: &[Step]) -> u8 {
    let failed = steps.iter().find(|step| step.outcome == Outcome::Fail);
    failed.map_or(0, |step| {
        exit_status_of(step.code.unwrap_or(Code::Internal))
    })
}

/// The last line for people.
pub(super) fn summary(steps: &[Step], token_requests: u32) -> String {
    let names = |outcome| {
        let names: Vec<&str> = steps
            .iter()
            .filter(|step| step.outcome == outcome)
            .map(|step| step.name)
            .collect();
        names.join(", ")
    };
    let mut sentences = vec![match names(Outcome::Fail) {
        failed if failed.is_empty() => styled(GOOD, "Nothing failed."),
        failed => styled(BAD, &format!("Failed: {failed}.")),
    }];
    for (title, outcome) in [
        ("Worth a look", Outcome::Warn),
        ("Not checked", Outcome::Skipped),
    ] {
        let names = names(outcome);
        if !names.is_empty() {
            sentences.push(format!("{title}: {names}."));
        }
    }
    sentences.push(match token_requests {
        0 => "No token request was made.".to_owned(),
        1 => "1 token request was made.".to_owned(),
        count => format!("{count} token requests were made."),
    });
    sentences.join(" ")
}

/// The whole report for programs.
pub(super) fn as_json(steps: &[Step], token_requests: u32) -> Value {
    let status = exit_status(steps);
    json!({
        "schema": 1,
        "ok": status == 0,
        "exit_status": status,
        "token_requests": token_requests,
        "steps": steps.iter().map(Step::json).collect::<Vec<_>>(),
    })
}

/// Names in certificates and the like come from whoever answered; none of them moves a terminal's cursor.
fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    fn failure(name: &'static str, code: Code) -> Step {
        Step::failed(name, &Error::new(code, "broken").with_hint("mend it"))
    }

    #[test]
    fn text_is_aligned_and_says_what_to_do() {
        let mut step = Step::warn("tls", "seen").also("more").advise("do this");
        step.copy = Some("A=b".to_owned());
        assert_eq!(
            plain(&step.text()),
            "warn    tls           seen\n                      more\n                      do: do this\n                      copy: A=b"
        );
        assert!(
            plain(&failure("tls", Code::Tls).text()).starts_with("FAIL    tls           broken\n")
        );
        // The progress line is covered by what follows it.
        assert!(plain(&progress("tls")).chars().count() <= MARK + 1 + NAME);
    }

    #[test]
    fn the_first_failure_decides() {
        let ok = Step::ok("a", "x");
        assert_eq!(
            exit_status(&[ok.clone(), Step::warn("b", "x"), Step::skipped("c", "x")]),
            0
        );
        let steps = [
            ok,
            failure("b", Code::Tls),
            failure("c", Code::Unauthorized),
        ];
        assert_eq!(exit_status(&steps), 4);
        assert_eq!(
            plain(&summary(&steps, 1)),
            "Failed: b, c. 1 token request was made."
        );
        let json = as_json(&steps, 1);
        assert_eq!(
            (&json["ok"], &json["exit_status"]),
            (&json!(false), &json!(4))
        );
        assert_eq!(json["steps"][1]["code"], "P21_E_TLS");
        assert_eq!(json["steps"][0]["code"], Value::Null);
        assert_eq!(json["steps"][2]["advice"], json!(["mend it"]));
    }

    #[test]
    fn what_is_not_checked_is_named() {
        let steps = [Step::warn("a", "x"), Step::skipped("b", "x")];
        assert_eq!(
            plain(&summary(&steps, 0)),
            "Nothing failed. Worth a look: a. Not checked: b. No token request was made."
        );
    }

    #[test]
    fn a_wait_is_part_of_the_advice_and_nothing_moves_the_cursor() {
        let error = Error::new(Code::Unauthorized, "no").with_retry_after(Duration::from_secs(90));
        let step = Step::failed("token", &error);
        assert_eq!(step.advice, ["Not sooner than in 1 min 30 s."]);
        assert_eq!(Step::ok("x", "a\u{1b}[2Jb\nc").seen, ["a [2Jb c"]);
    }
}
