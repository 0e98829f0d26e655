//! Standard output for the value, standard error for everything else; colors only where a terminal shows them.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use zeroize::Zeroizing;

use clap::builder::styling::{AnsiColor, Style};
pub(super) use p21auth::internal::span;

/// What went wrong.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What is as it should be.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// What to do next, and titles.
pub(super) const STRONG: Style = Style::new().bold();
/// What can be skipped.
pub(super) const QUIET: Style = Style::new().dimmed();

/// Text in a style.
pub(super) fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// One value and a line break on standard output.
pub(super) fn value(text: &str) -> io::Result<()> {
    // Not through anstream: a value goes out byte for byte.
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// A JSON text on standard output: with line breaks where a person reads it.
pub(super) fn json(text: &str) -> io::Result<()> {
    if !io::stdout().is_terminal() {
        return value(text);
    }
    let read = serde_json::from_str::<serde_json::Value>(text);
    let pretty = read
        .and_then(|read| serde_json::to_string_pretty(&read))
        .map(Zeroizing::new);
    value(pretty.as_deref().map_or(text, String::as_str))
}

/// A line for people on standard output.
pub(super) fn line(text: &str) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// A failure on standard error. If that cannot be written either, the exit status is all that is left.
pub(super) fn complain(name: &str, message: &str, hint: &str, retry_after: Option<Duration>) {
    let mut err = anstream::stderr().lock();
    let _ = writeln!(err, "p21auth: {}: {message}", styled(BAD, name));
    if !hint.is_empty() {
        let _ = writeln!(err, "{} {hint}", styled(STRONG, "hint:"));
    }
    if let Some(wait) = retry_after.filter(|wait| !wait.is_zero()) {
        let wait = span(i64::try_from(wait.as_secs().max(1)).unwrap_or(i64::MAX));
        let _ = writeln!(
            err,
            "{} not sooner than in {wait}",
            styled(STRONG, "next try:")
        );
    }
}

/// What to do next, on standard error.
pub(super) fn hint(text: &str) {
    remark(&format!("{} {text}", styled(STRONG, "hint:")));
}

/// A remark on standard error.
pub(super) fn remark(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}
