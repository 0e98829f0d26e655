//! Which options are set and where they come from, or what keeps them from making a configuration.

use crate::error::Result;
use crate::options::{OPTIONS, OptionRow, Settings, near_misses};
use crate::secret::oddity;
use crate::sources;

use super::patient::{Opened, Patient};
use super::report::Step;

const NAME: &str = "configuration";

/// Names that are no option's own but are read all the same.
const OTHER_NAMES: [&str; 3] = ["CONSUMER_USERNAME", "PROFILE", "VERIFY_SSL"];

/// What the options come to, or what is wrong with them. `origins` says of options where they come from, `variables` are the
/// names in the environment.
pub(super) fn judge(
    opened: Result<Opened>,
    origins: &[(&'static str, String)],
    prefix: &str,
    variables: &[String],
) -> (Step, Option<Patient>) {
    let Opened { config, patient } = match opened {
        Ok(opened) => opened,
        Err(error) => {
            let mut step = Step::failed(NAME, &error);
            for (name, origin) in origins {
                step = step.also(format!("{name} is set, from {origin}"));
            }
            return (misspelt(step, prefix, variables), None);
        }
    };
    let settings = &patient.settings;
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
    for row in OPTIONS {
        let origin = origins.iter().find(|(name, _)| *name == row.name);
        let value = config.get(row.name);
        // A username may stand in a variable with another name.
        if value.is_none() && origin.is_none() {
            continue;
        }
        let damage = (row.secret || row.name == "username")
            .then(|| oddity(value.unwrap_or_default()))
            .flatten();
        let value = shown(row, value.unwrap_or_default(), settings);
        let from = origin.map_or_else(String::new, |(_, origin)| format!(", from {origin}"));
        step = step.also(format!("{} {value}{from}", row.name));
        if let Some((what, advice)) = damage {
            step = step
                .also(format!("{} {what}", row.name))
                .advise(advice)
                .worth_a_warning();
        }
    }
    for exposure in settings.exposures() {
        step = step
            .also(exposure)
            .advise("Let only its owner write to it (chmod 600).")
            .worth_a_warning();
    }
    (misspelt(step, prefix, variables), Some(patient))
}

/// An option's value as far as it may be seen.
fn shown(row: &OptionRow, value: &str, settings: &Settings) -> String {
    match row.name {
        _ if row.secret => "is set".to_owned(),
        // Both may hold a password.
        name if name.ends_with("_from") => format!("= {}", sources::shown(value)),
        "proxy" => format!("= {}", settings.transport.proxy.shown()),
        "store" => format!("= {}", settings.store.choice.shown()),
        "username" => format!("= {}", settings.username.as_deref().unwrap_or_default()),
        _ => format!("= {}", value.trim()),
    }
}

/// Variables under the prefix that no option reads and that look as if one should.
fn misspelt(mut step: Step, prefix: &str, variables: &[String]) -> Step {
    let known = |name: &str| {
        OTHER_NAMES.contains(&name)
            || OPTIONS
                .iter()
                .any(|row| row.name.eq_ignore_ascii_case(name))
    };
    let mut names: Vec<&String> = variables.iter().collect();
    names.sort_unstable();
    for variable in names {
        let Some(name) = variable.strip_prefix(prefix).filter(|name| !known(name)) else {
            continue;
        };
        if let Some(near) = near_misses(name).first() {
            step = step
                .also(format!("{variable} is set, but no option has this name"))
                .advise(format!(
                    "If you mean {prefix}{}, rename {variable}.",
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
        let step = misspelt(Step::ok(NAME, "x"), "P21_", &names.map(str::to_owned));
        assert_eq!(step.outcome, Outcome::Warn);
        assert_eq!(
            step.saw[1..],
            ["P21_PASWORD is set, but no option has this name"]
        );
        assert_eq!(
            step.advice,
            ["If you mean P21_PASSWORD, rename P21_PASWORD."]
        );
    }
}
