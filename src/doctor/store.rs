//! Where tokens are shared, whether that works, and what is there for this identity.

use super::report::span;
use crate::client::{OwnEntry, StoreEntry};
use crate::error::Result;
use crate::options::StoreChoice;

use super::report::Step;

/// What a store holds for this identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// A token with life in it.
    Token,
    /// A refusal that still holds: the library will not ask.
    Denied,
    Nothing,
}

/// `checked` is what [`crate::client::Client::check_store`] says; not asked for with `memory`.
pub(super) fn judge(
    choice: &StoreChoice,
    required: bool,
    checked: Option<Result<(String, Vec<StoreEntry>)>>,
) -> (Step, Stored) {
    let Some(checked) = checked else {
        let step = Step::ok("store", "memory: each process requests its own token");
        return (step, Stored::Nothing);
    };
    let (place, entries) = match checked {
        Ok(checked) => checked,
        Err(error) => return (unusable(choice, required, &error), Stored::Nothing),
    };
    let own: Vec<&OwnEntry> = entries
        .iter()
        .filter_map(|entry| entry.own.as_ref())
        .collect();
    let mut step = Step::ok(
        "store",
        format!("{place}: usable, {} entries", entries.len()),
    );
    let weak = entries.iter().filter(|entry| entry.by_password).count();
    if weak > 0 {
        step = step.also(format!("{weak} of them sealed by a password"));
    }
    let mut stored = Stored::Nothing;
    for entry in &own {
        step = match entry {
            OwnEntry::Token(print, left) if *left > 0 => {
                stored = Stored::Token;
                step.also(format!("yours: token {print}, {} to live", span(*left)))
            }
            OwnEntry::Token(print, _) => step.also(format!("yours: token {print}, expired")),
            OwnEntry::Rejected => step.also("yours: the last token was rejected"),
            OwnEntry::Denied(times, left) if *left > 0 => {
                stored = Stored::Denied;
                step.also(format!(
                    "yours: the server refused these credentials {times} times in a row; next try in {}",
                    span(*left)
                ))
                .worth_a_warning()
                .advise("Once the account or key is fixed, p21auth store clear ends the wait; it removes the entries of all users.")
            }
            OwnEntry::Denied(times, _) => step.also(format!(
                "yours: credentials refused {times} times in a row; may be tried again"
            )),
            OwnEntry::Failed(times, left) => step.also(format!(
                "yours: requests failed {times} times in a row; next try in {}",
                span(*left)
            )),
            OwnEntry::Unreadable => step
                .also("yours, but unreadable: it will be replaced")
                .worth_a_warning(),
        };
    }
    (step, stored)
}

fn unusable(choice: &StoreChoice, required: bool, error: &crate::error::Error) -> Step {
    let step = Step::failed("store", error);
    let step = match choice {
        StoreChoice::Redis(_) => step.advise(
            "Check host, port, user and password in the option store, that the Redis server runs, and that a firewall lets this machine through.",
        ),
        _ => step.advise(
            "The folder must belong to this user, and no other user may be able to write to it; name another folder with store=file:///folder.",
        ),
    };
    if required {
        step.advise("No token can be fetched until it works, because of store_required=1.")
    } else {
        step.advise("Until then programs continue, but request more tokens than they need.")
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Outcome;
    use super::*;
    use crate::error::{Code, Error};

    fn file(own: OwnEntry) -> (Step, Stored) {
        let entry = StoreEntry {
            name: "01234567".to_owned(),
            kind: "token",
            left_s: Some(5),
            by_password: false,
            own: Some(own),
        };
        let other = StoreEntry {
            own: None,
            ..entry.clone()
        };
        judge(
            &StoreChoice::File(None),
            false,
            Some(Ok(("file:///x".to_owned(), vec![other, entry]))),
        )
    }

    #[test]
    fn what_is_there_decides_whether_a_token_is_asked_for() {
        for (own, stored, outcome) in [
            (
                OwnEntry::Token("ab".to_owned(), 60),
                Stored::Token,
                Outcome::Ok,
            ),
            (
                OwnEntry::Token("ab".to_owned(), 0),
                Stored::Nothing,
                Outcome::Ok,
            ),
            (OwnEntry::Rejected, Stored::Nothing, Outcome::Ok),
            (OwnEntry::Denied(2, 60), Stored::Denied, Outcome::Warn),
            (OwnEntry::Denied(2, 0), Stored::Nothing, Outcome::Ok),
            (OwnEntry::Unreadable, Stored::Nothing, Outcome::Warn),
        ] {
            let (step, seen) = file(own.clone());
            assert_eq!((seen, step.outcome), (stored, outcome), "{own:?}");
            assert_eq!(step.saw[0], "file:///x: usable, 2 entries");
            assert_eq!(step.saw.len(), 2);
        }
    }

    #[test]
    fn a_store_that_fails_says_what_that_means() {
        let error = Error::new(Code::Store, "cannot be used");
        for (required, says) in [(true, "store_required=1"), (false, "more tokens")] {
            let (step, _) = judge(&StoreChoice::File(None), required, Some(Err(error.clone())));
            assert_eq!(
                (step.outcome, step.code),
                (Outcome::Fail, Some(Code::Store))
            );
            assert!(step.advice.concat().contains(says), "{step:?}");
        }
        let (step, _) = judge(&StoreChoice::Memory, false, None);
        assert_eq!(step.outcome, Outcome::Ok);
    }
}
