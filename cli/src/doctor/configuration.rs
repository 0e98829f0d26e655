//! Which options are set and where they come from, or what keeps them from making a configuration.

use crate::connection::{Connection, Gathered};
use crate::failure::Failure;
use p21auth::client::Client;
use p21auth::error::{Code, Error, Result};
use p21auth::options::{OPTIONS, OptionRow, Settings, near_misses};

use super::report::Step;

const NAME: &str = "configuration";

/// Names that are no option's own but are read all the same.
const OTHER_NAMES: [&str; 2] = ["CONSUMER_USERNAME", "VERIFY_SSL"];

/// What the options come to: a client that `open` makes of them, or what is wrong with them.
pub(super) fn check(
    connection: &Connection,
    environment: impl Iterator<Item = String>,
    open: impl FnOnce(&p21auth::options::Config) -> Result<Client>,
) -> (Step, Option<Client>) {
    let Gathered { options, complete } = connection.gather();
    let config = match complete {
        Ok(config) => config,
        Err(failure) => {
            let mut step = Step::failed(NAME, &error_of(failure));
            for (row, origin) in &options {
                step = step.also(format!("{} is set, from {origin}", row.name));
            }
            return (misspelt(step, connection.prefix(), environment), None);
        }
    };
    let opened = open(&config).and_then(|client| Ok((client.settings()?, client)));
    let (settings, client) = match opened {
        Ok(opened) => opened,
        Err(error) => return (Step::failed(NAME, &connection.in_our_words(&error)), None),
    };
    let who = settings.username.as_deref().map_or_else(
        || "no P21 user".to_owned(),
        |username| format!("user {username}"),
    );
    let mut step = Step::ok(
        NAME,
        format!(
            "{}, {}, {who}",
            settings.base_url,
            settings.auth_mode.name()
        ),
    );
    for (row, origin) in &options {
        let value = shown(row, config.get(row.name).unwrap_or_default(), &settings);
        step = step.also(format!("{} {value}, from {origin}", row.name));
    }
    (
        misspelt(step, connection.prefix(), environment),
        Some(client),
    )
}

fn error_of(failure: Failure) -> Error {
    match failure {
        Failure::P21(error) => error,
        _ => Error::new(Code::Config, "the options cannot be read"),
    }
}

/// An option's value as far as it may be seen.
fn shown(row: &OptionRow, value: &str, settings: &Settings) -> String {
    match row.name {
        _ if row.secret => "is set".to_owned(),
        // Both may hold a password.
        "proxy" => format!("= {}", settings.transport.proxy.shown()),
        "store" => format!("= {}", settings.store.choice.shown()),
        "username" => format!("= {}", settings.username.as_deref().unwrap_or_default()),
        _ => format!("= {}", value.trim()),
    }
}

/// Variables under the prefix that no option reads and that look as if one should.
fn misspelt(mut step: Step, prefix: &str, environment: impl Iterator<Item = String>) -> Step {
    let known = |name: &str| {
        OTHER_NAMES.contains(&name)
            || OPTIONS
                .iter()
                .any(|row| row.name.eq_ignore_ascii_case(name))
    };
    let mut names: Vec<String> = environment.collect();
    names.sort_unstable();
    for variable in names {
        let Some(name) = variable.strip_prefix(prefix).filter(|name| !known(name)) else {
            continue;
        };
        if let Some(near) = near_misses(name).first() {
            step = step
                .also(format!("{variable} is set, but no option has this name"))
                .advise(format!(
                    "If {prefix}{} is meant, rename {variable}.",
                    near.to_ascii_uppercase()
                ))
                .worth_a_warning();
        }
    }
    step
}

#[cfg(test)]
mod tests {
    use super::super::report::Outcome;
    use super::*;

    #[test]
    fn misspelt_variables_are_noticed_and_others_left_alone() {
        let names = [
            "P21_PASWORD",
            "P21_PASSWORD",
            "P21_VERIFY_SSL",
            "P21_CONSUMER_USERNAME",
            "P21_ZZZZ",
            "P22_PASWORD",
            "PATH",
        ];
        let step = misspelt(
            Step::ok(NAME, "x"),
            "P21_",
            names.iter().map(|name| (*name).to_owned()),
        );
        assert_eq!(step.outcome, Outcome::Warn);
        assert_eq!(
            step.seen[1..],
            ["P21_PASWORD is set, but no option has this name"]
        );
        assert_eq!(
            step.advice,
            ["If P21_PASSWORD is meant, rename P21_PASWORD."]
        );
    }
}
