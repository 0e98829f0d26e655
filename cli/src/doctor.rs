//! `p21auth doctor`: the library's examination, as text for people or JSON for programs.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::ops::ControlFlow;

use p21auth::doctor::{Event, Examination, Outcome, Refusal, Report, Step};
use p21auth::{Code, Error};

use super::args::{Api, DoctorArgs};
use super::connection::Gathered;
use super::failure::{Failure, exit_status_of};
use super::output::{self, BAD, GOOD, QUIET, STRONG, styled};

/// Width of the mark and of a step's id in text.
const MARK: usize = 7;
const ID: usize = 13;

/// Examines and reports.
pub(super) fn doctor(args: &DoctorArgs) -> Result<(), Failure> {
    let progress = !args.json && io::stdout().is_terminal();
    let mut written = Ok(());
    let mut asked = Ok(());
    let report = examination(args, &mut asked).follow(|event| {
        written = match event {
            Event::Begun(id) if progress => show_progress(id),
            Event::Ended(step) if !args.json => output::line(&text(step)),
            _ => Ok(()),
        };
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    });
    written.and(asked)?;
    let status = exit_status(&report);
    if args.json {
        let mut json = report.to_json();
        json["exit_status"] = status.into();
        output::value(&json.to_string())?;
    } else {
        output::line("")?;
        output::line(&summary(&report))?;
    }
    match status {
        0 => Ok(()),
        status => Err(Failure::Told(status)),
    }
}

fn examination<'a>(args: &'a DoctorArgs, asked: &'a mut io::Result<()>) -> Examination<'a> {
    let Gathered { options, complete } = args.connection.gather();
    let config = complete.map_err(|failure| match failure {
        Failure::P21(error) => error,
        _ => Error::new(Code::Config, "the options cannot be read"),
    });
    let origins = options
        .into_iter()
        .map(|(row, origin)| (row.name, origin))
        .collect();
    let variables = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let apis: Vec<_> = args.apis.iter().map(|api| Api::examined(*api)).collect();
    Examination::of_result(config)
        .origins(origins)
        .variables(args.connection.prefix(), variables)
        .apis(&apis)
        .odata_table(args.odata_table.clone())
        .ask_before_token_request(move || {
            may_ask(args).unwrap_or_else(|error| {
                *asked = Err(error);
                Err(refusal("the question could not be asked", ""))
            })
        })
}

/// Whether the user allows one token request.
fn may_ask(args: &DoctorArgs) -> io::Result<Result<(), Refusal>> {
    Ok(if args.yes {
        Ok(())
    } else if args.no_token_request {
        Err(refusal(
            "there is no stored token, and --no-token-request forbids requesting one",
            "",
        ))
    } else if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        Err(refusal(
            "there is no stored token, and no terminal to ask whether one may be requested",
            "Pass --yes to allow one token request.",
        ))
    } else if consent()? {
        Ok(())
    } else {
        Err(refusal("you chose not to request one", ""))
    })
}

fn refusal(why: &str, advice: &str) -> Refusal {
    Refusal {
        why: why.to_owned(),
        advice: advice.to_owned(),
    }
}

/// Asks on the terminal. Anything but a yes is a no.
fn consent() -> io::Result<bool> {
    let mut err = anstream::stderr().lock();
    write!(
        err,
        "Request a token from the server now? It opens a middleware session; a wrong password counts as a failed login. [y/N] "
    )?;
    err.flush()?;
    drop(err);
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(
        answer.trim().to_ascii_lowercase().as_str(),
        "y" | "yes"
    ))
}

/// Stands on the line while a step is under way; the step's own first line covers it.
fn show_progress(id: &str) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    write!(out, "{}\r", progress(id))?;
    out.flush()
}

fn progress(id: &str) -> String {
    styled(QUIET, &format!("{:<MARK$} {id}", "…"))
}

fn mark(outcome: Outcome) -> String {
    let (style, text) = match outcome {
        Outcome::Ok => (GOOD, "ok"),
        Outcome::Warn => (STRONG, "warn"),
        Outcome::Fail => (BAD, "FAIL"),
        Outcome::Skipped => (QUIET, "skipped"),
    };
    styled(style, &format!("{text:<MARK$}"))
}

/// A step as lines for people.
pub(super) fn text(step: &Step) -> String {
    let indent = " ".repeat(MARK + 1 + ID + 1);
    let titled = |title: &str, line: &str| format!("{} {line}", styled(STRONG, title));
    let mut lines = step.saw.clone();
    lines.extend(step.advice.iter().map(|line| titled("do:", line)));
    lines.extend(step.copy.iter().map(|line| titled("copy:", line)));
    format!(
        "{} {:<ID$} {}",
        mark(step.outcome),
        step.id,
        lines.join(&format!("\n{indent}"))
    )
}

/// 0, or the exit status of the first failure's family.
fn exit_status(report: &Report) -> u8 {
    report.failure().map_or(0, |step| {
        exit_status_of(step.code.unwrap_or(Code::Internal))
    })
}

/// The last line for people.
fn summary(report: &Report) -> String {
    let ids = |outcome| {
        let ids: Vec<&str> = report
            .steps
            .iter()
            .filter(|step| step.outcome == outcome)
            .map(|step| step.id)
            .collect();
        ids.join(", ")
    };
    let mut sentences = vec![match ids(Outcome::Fail) {
        failed if failed.is_empty() => styled(GOOD, "Nothing failed."),
        failed => styled(BAD, &format!("Failed: {failed}.")),
    }];
    for (title, outcome) in [
        ("Worth a look", Outcome::Warn),
        ("Not checked", Outcome::Skipped),
    ] {
        let ids = ids(outcome);
        if !ids.is_empty() {
            sentences.push(format!("{title}: {ids}."));
        }
    }
    sentences.push(match report.token_requests {
        0 => "No token request was made.".to_owned(),
        1 => "1 token request was made.".to_owned(),
        count => format!("{count} token requests were made."),
    });
    sentences.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use p21auth::internal::{report_of, step_of};

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    fn failure(id: &'static str, code: Code) -> Step {
        let mut step = step_of(id, Outcome::Fail, "broken");
        step.code = Some(code);
        step
    }

    #[test]
    fn text_is_aligned_and_says_what_to_do() {
        let mut step = step_of("tls", Outcome::Warn, "seen");
        step.saw.push("more".to_owned());
        step.advice.push("do this".to_owned());
        step.copy = Some("A=b".to_owned());
        assert_eq!(
            plain(&text(&step)),
            "warn    tls           seen\n                      more\n                      do: do this\n                      copy: A=b"
        );
        assert!(
            plain(&text(&failure("tls", Code::Tls))).starts_with("FAIL    tls           broken")
        );
        // The progress line is covered by what follows it.
        assert!(plain(&progress("tls")).chars().count() <= MARK + 1 + ID);
    }

    #[test]
    fn the_first_failure_decides() {
        let ok = step_of("a", Outcome::Ok, "x");
        let well = report_of(
            vec![
                ok.clone(),
                step_of("b", Outcome::Warn, "x"),
                step_of("c", Outcome::Skipped, "x"),
            ],
            0,
        );
        assert_eq!(exit_status(&well), 0);
        let report = report_of(
            vec![
                ok,
                failure("b", Code::Tls),
                failure("c", Code::Unauthorized),
            ],
            1,
        );
        assert_eq!(exit_status(&report), 4);
        assert_eq!(
            plain(&summary(&report)),
            "Failed: b, c. 1 token request was made."
        );
    }

    #[test]
    fn what_is_not_checked_is_named() {
        let report = report_of(
            vec![
                step_of("a", Outcome::Warn, "x"),
                step_of("b", Outcome::Skipped, "x"),
            ],
            0,
        );
        assert_eq!(
            plain(&summary(&report)),
            "Nothing failed. Worth a look: a. Not checked: b. No token request was made."
        );
    }
}
