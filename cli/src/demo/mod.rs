//! `p21auth demo`: what the library does, shown against an emulated P21 server inside this process.
//!
//! Every line is an observation that the demo checks; the emulator counts the requests, not the library.

mod c_interface;
mod failures;
mod server;
mod sharing;
mod tokens;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::failure::Failure;
use super::output::{self, BAD, GOOD, QUIET, STRONG, styled};

/// Only the observations are wanted, as JSON at the end.
static AS_JSON: AtomicBool = AtomicBool::new(false);

/// A line for a person.
fn line(text: &str) -> io::Result<()> {
    if AS_JSON.load(Ordering::Relaxed) {
        return Ok(());
    }
    output::line(text)
}

/// What goes wrong with the demo itself, as opposed to what it shows.
type Setup<T> = Result<T, Failure>;

/// Runs the demo.
pub(super) fn demo(as_json: bool) -> Result<(), Failure> {
    AS_JSON.store(as_json, Ordering::Relaxed);
    let mut stage = Stage::default();
    line(
        "p21auth demo: an emulated P21 server in this process, over TLS. Nothing leaves this machine; takes about 10 seconds.",
    )?;
    // This one has to wait for a token to age, so it runs beside the rest.
    let ageing = std::thread::spawn(sharing::refresh_ahead);
    tokens::show(&mut stage)?;
    failures::show(&mut stage)?;
    sharing::show(&mut stage, ageing)?;
    stage.end()
}

/// Where the lines go, and how many were right.
#[derive(Default)]
struct Stage {
    right: usize,
    wrong: usize,
    observations: Vec<Value>,
}

impl Stage {
    /// One observation: what was done, what came of it, and whether that is what it should be.
    fn check(&mut self, what: &str, seen: &str, right: bool) -> io::Result<()> {
        self.observations
            .push(json!({ "what": what, "seen": seen, "ok": right }));
        let mark = if right {
            self.right += 1;
            styled(GOOD, "ok")
        } else {
            self.wrong += 1;
            styled(BAD, "WRONG")
        };
        line(&format!("  {mark}  {what}: {seen}"))
    }

    fn end(&self) -> Result<(), Failure> {
        if AS_JSON.load(Ordering::Relaxed) {
            let report = json!({ "ok": self.wrong == 0, "observations": self.observations });
            output::json(&report.to_string())?;
        }
        line("")?;
        if self.wrong == 0 {
            line(&styled(
                GOOD,
                &format!("All {} observations are as expected.", self.right),
            ))?;
            return Ok(());
        }
        line(&styled(
            BAD,
            &format!(
                "{} of {} observations are WRONG.",
                self.wrong,
                self.wrong + self.right
            ),
        ))?;
        Err(Failure::Told(1))
    }
}

fn heading(text: &str) -> io::Result<()> {
    line("")?;
    line(&styled(STRONG, text))
}

/// What a user reads, below an observation.
fn quote(label: &str, text: &str) -> io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    line(&format!("        {} {text}", styled(QUIET, label)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_observation_is_enough_to_fail() {
        let mut stage = Stage::default();
        stage.check("this", "seen", true).expect("written");
        assert!(stage.end().is_ok());
        stage.check("that", "seen", false).expect("written");
        stage.check("this", "seen", true).expect("written");
        assert_eq!(stage.end().expect_err("one is wrong").exit_code(), 1);
    }
}
