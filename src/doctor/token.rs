//! The token: how it came, in what form, how long it lives, and what it says of itself; and the server's clock.

use super::report::span;
use crate::error::{Code, Error};
use crate::options::{AuthMode, Settings};
use crate::token::{Claims, Token, skew_s};

use super::report::Step;
use super::watch::Answer;

/// A token that lives shorter is renewed all the time.
const SHORT_S: i64 = 300;

/// Longest text of a claim that is shown, in characters.
const MAX_CLAIM: usize = 200;

/// Where the token came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The user's own, `auth_mode=token`.
    Own,
    /// What the process has in use.
    Process,
    /// Out of the shared store.
    Stored,
    /// By the one token request of this run.
    Asked,
}

pub(super) fn got(token: &Token, source: Source, settings: &Settings) -> Step {
    let print = token.fingerprint();
    Step::ok(
        "token",
        match source {
            Source::Own => format!("your own, fingerprint {print}; no token is ever requested"),
            Source::Process => format!("the one that this process uses, fingerprint {print}"),
            Source::Stored => format!("taken from the store, fingerprint {print}"),
            Source::Asked => format!(
                "the server issued one by {}, fingerprint {print}",
                settings.auth_mode.name()
            ),
        },
    )
}

/// In what form the token reply came.
pub(super) fn reply(answers: &[Answer]) -> Step {
    let Some(answer) = answers.iter().rev().find(|answer| answer.to_token_request) else {
        return Step::skipped("reply", "no token was requested in this run");
    };
    let millis = answer.received.since(answer.sent).max(0);
    let step = Step::ok("reply", format!("{} within {millis} ms", answer.kind));
    if answer.kind == "XML" {
        step.also("although JSON was requested; both are understood")
    } else {
        step
    }
}

/// What decides how long a token lives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetime {
    pub stated_s: Option<i64>,
    /// Lifetime by the claims alone, `exp - iat`, and whether there is an `exp` at all.
    pub has_exp: bool,
    pub left_s: i64,
    pub default_s: i64,
    pub max_age_s: i64,
    pub source: Source,
}

impl Lifetime {
    pub(crate) fn of(token: &Token, settings: &Settings, source: Source, left_s: i64) -> Lifetime {
        Lifetime {
            stated_s: token.to_reply().stated_lifetime_s,
            has_exp: token.claims.as_ref().and_then(Claims::exp).is_some(),
            left_s,
            default_s: settings.default_lifetime_ms / 1000,
            max_age_s: settings.max_token_age_ms / 1000,
            source,
        }
    }

    pub(crate) fn judge(self) -> Step {
        const NAME: &str = "lifetime";
        if self.left_s <= 0 {
            let error =
                Error::new(Code::TokenExpired, "the token has expired").with_hint("Get a new one.");
            return Step::failed(NAME, &error);
        }
        let left = span(self.left_s);
        let own = self.source == Source::Own;
        let stated = match (self.stated_s, self.has_exp) {
            (Some(stated), true) => format!(
                "the response states {}, the JWT has an exp: the earlier counts",
                span(stated)
            ),
            (Some(stated), false) => format!("the response states {}", span(stated)),
            (None, true) => "by the JWT's exp".to_owned(),
            (None, false) if own => "nothing says when it expires".to_owned(),
            (None, false) => {
                return Step::warn(NAME, format!("{left} left: neither response nor token says how long it lives, so {} are assumed", span(self.default_s)))
                    .advise("Set default_lifetime_s to what SOA Admin shows as the token's lifetime.");
            }
        };
        if own && !self.has_exp {
            return Step::ok(NAME, stated);
        }
        let step = Step::ok(NAME, format!("{left} left; {stated}"));
        if self.left_s < SHORT_S && self.source == Source::Asked {
            step.worth_a_warning().advise("Tokens with such a short life are requested all the time: raise their lifetime in SOA Admin.")
        } else if self.left_s < SHORT_S && own {
            step.worth_a_warning().advise("Supply a new one soon.")
        } else if !own && self.max_age_s > 0 && self.left_s > self.max_age_s {
            step.also(format!(
                "renewed after {} all the same (max_token_age_s)",
                span(self.max_age_s)
            ))
        } else {
            step
        }
    }
}

/// The server's clock against this machine's, by the last answer that has a `Date`.
pub(super) fn clock(answers: &[Answer]) -> Step {
    if answers.is_empty() {
        return Step::skipped("clock", "the server has not answered");
    }
    let dated = answers
        .iter()
        .rev()
        .find(|answer| answer.date_unix.is_some());
    let Some(answer) = dated else {
        return Step::ok(
            "clock",
            "cannot be compared: the server's responses have no Date",
        );
    };
    let skew = skew_s(answer.sent, answer.received, answer.date_unix);
    if skew == 0 {
        return Step::ok("clock", "agrees with the server's within 30 s");
    }
    let side = if skew > 0 { "ahead of" } else { "behind" };
    Step::warn(
        "clock",
        format!("the server's clock is {} {side} this machine's", span(skew.abs())),
    )
    .also("this library corrects for it; certificates and other programs do not")
    .advise("Find out which of the two is wrong, and synchronize it with a time server (Windows: w32tm /resync; Linux: timedatectl).")
}

/// Who the token is for and what it may do, as far as it says so.
pub(super) fn scope(claims: Option<&Claims>, settings: &Settings) -> Step {
    let text = |name: &str| -> Option<String> {
        let text = claims?.text(name)?;
        Some(text.chars().take(MAX_CLAIM).collect())
    };
    let or = |name: &str, none: &str, some: &str| match text(name) {
        Some(text) if !text.is_empty() => format!("{some} {text}"),
        _ => none.to_owned(),
    };
    let mut step = if claims.is_some() {
        let user = or("sub", "no P21 user", "user");
        let scope = or("aud", "no scope named", "scope");
        Step::ok("scope", format!("{user}, {scope}"))
    } else {
        Step::ok(
            "scope",
            "the token is not a JWT: only the server knows what it allows",
        )
    };
    if let Some(uid) = text("P21.ConsumerUid").filter(|uid| !uid.is_empty()) {
        step = step.also(format!("consumer {uid}"));
    }
    if settings.auth_mode.uses_consumer_key() && settings.username.is_none() {
        step = step
            .also("a consumer key without a username: the Transaction API works as the P21 install user, the Interactive API does not work at all")
            .worth_a_warning()
            .advise("If you need either, set username (or the variable CONSUMER_USERNAME under your prefix) to a P21 user.");
    }
    step
}

/// The table to ask the `OData` service for: one that the scope names, else `customer`.
pub(super) fn odata_table(claims: Option<&Claims>) -> String {
    let scope = claims
        .and_then(|claims| claims.text("aud"))
        .unwrap_or_default();
    scope
        .split(';')
        .filter_map(|part| part.trim().strip_prefix("/odata:"))
        .flat_map(|tables| tables.split(','))
        .map(str::trim)
        .find(|table| !table.is_empty())
        .unwrap_or("customer")
        .to_owned()
}

/// Whether a token is the user's own, so that none is ever asked for.
pub(super) fn is_own(settings: &Settings) -> bool {
    settings.auth_mode == AuthMode::Token
}

#[cfg(test)]
mod tests {
    use super::super::report::Outcome;
    use super::*;
    use crate::clock::Now;
    use crate::options::Config;
    use serde_json::json;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let mut config = Config::new();
        config
            .set("base_url", Some("p21.example.com"))
            .expect("valid");
        for (name, value) in pairs {
            config.set(name, Some(value)).expect("valid");
        }
        config.settings().expect("complete")
    }

    fn claims(value: serde_json::Value) -> Claims {
        match value {
            serde_json::Value::Object(map) => Claims(map),
            other => panic!("{other}"),
        }
    }

    fn answer(date_unix: Option<i64>, kind: &'static str) -> Answer {
        let sent = Now {
            mono: 0,
            wall: 1_000_000_000,
        };
        Answer {
            to_token_request: true,
            sent,
            received: sent.plus(20),
            date_unix,
            kind,
        }
    }

    #[test]
    fn clocks_that_differ_are_worth_a_warning() {
        for (date, outcome, says) in [
            (Some(1_000_010), Outcome::Ok, "agrees"),
            (Some(1_007_200), Outcome::Warn, "1 h 59 min ahead of"),
            (Some(992_799), Outcome::Warn, "2 h behind"),
            (None, Outcome::Ok, "no Date"),
        ] {
            let step = clock(&[answer(date, "XML")]);
            assert_eq!(step.outcome, outcome, "{step:?}");
            assert!(step.saw[0].contains(says), "{step:?}");
        }
        assert_eq!(clock(&[]).outcome, Outcome::Skipped);
    }

    #[test]
    fn the_form_of_a_reply_is_told() {
        assert_eq!(reply(&[answer(None, "XML")]).saw[0], "XML within 20 ms");
        assert_eq!(reply(&[]).outcome, Outcome::Skipped);
        let other = Answer {
            to_token_request: false,
            ..answer(None, "XML")
        };
        assert_eq!(reply(&[other]).outcome, Outcome::Skipped);
    }

    #[test]
    fn lifetimes() {
        let all = Lifetime {
            stated_s: Some(86_400),
            has_exp: true,
            left_s: 86_399,
            default_s: 3_000,
            max_age_s: 86_400,
            source: Source::Asked,
        };
        for (life, outcome, says) in [
            (all, Outcome::Ok, "the response states 1 d"),
            (Lifetime { left_s: 0, ..all }, Outcome::Fail, "has expired"),
            (Lifetime { left_s: 60, ..all }, Outcome::Warn, "1 min left"),
            (
                Lifetime {
                    left_s: 60,
                    source: Source::Stored,
                    ..all
                },
                Outcome::Ok,
                "1 min left",
            ),
            (
                Lifetime {
                    stated_s: None,
                    has_exp: false,
                    ..all
                },
                Outcome::Warn,
                "50 min are assumed",
            ),
            (
                Lifetime {
                    stated_s: None,
                    has_exp: false,
                    source: Source::Own,
                    ..all
                },
                Outcome::Ok,
                "nothing says when",
            ),
            (
                Lifetime {
                    left_s: 630_720_000,
                    ..all
                },
                Outcome::Ok,
                "19 y 360 d left",
            ),
        ] {
            let step = life.judge();
            assert_eq!(step.outcome, outcome, "{life:?} {step:?}");
            assert!(step.saw[0].contains(says), "{step:?}");
        }
        let never = Lifetime {
            left_s: 630_720_000,
            ..all
        }
        .judge();
        assert!(never.saw[1].contains("max_token_age_s"), "{never:?}");
    }

    #[test]
    fn a_key_without_a_user_is_worth_a_warning() {
        let key = settings(&[("consumer_key", "k")]);
        let claims =
            claims(json!({"sub": "", "aud": "/odata:customer, vendor", "P21.ConsumerUid": "3"}));
        let step = scope(Some(&claims), &key);
        assert_eq!(step.outcome, Outcome::Warn);
        assert_eq!(step.saw[0], "no P21 user, scope /odata:customer, vendor");
        assert_eq!(step.saw[1], "consumer 3");
        assert!(step.saw[2].contains("Interactive"), "{step:?}");
        let with_user = settings(&[("consumer_key", "k"), ("username", "u")]);
        assert_eq!(scope(Some(&claims), &with_user).outcome, Outcome::Ok);
        assert_eq!(scope(None, &with_user).outcome, Outcome::Ok);
    }

    #[test]
    fn the_scope_names_a_table() {
        for (aud, table) in [
            ("/odata:vendor,customer", "vendor"),
            ("/api; /odata: inv_mast ,x", "inv_mast"),
            ("/odata", "customer"),
            ("/odata:", "customer"),
            ("", "customer"),
        ] {
            assert_eq!(odata_table(Some(&claims(json!({ "aud": aud })))), table);
        }
        assert_eq!(odata_table(None), "customer");
    }
}
