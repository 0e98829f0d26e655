//! `p21auth logout`, `p21auth profiles` and `p21auth secret get`.

use serde_json::json;

use p21auth::Config;
use p21auth::internal::sources::shown;

use super::book::Book;
use super::{CREDENTIALS, keep, profile_name};
use crate::args::{LogoutArgs, ProfilesArgs, SecretArgs, SecretCommand};
use crate::failure::Failure;
use crate::output::{self, remark};

/// Removes a profile and its secret.
pub(crate) fn logout(args: &LogoutArgs) -> Result<(), Failure> {
    let name = profile_name(args.profile.as_deref())?;
    let book = Book::open()?;
    // A file that cannot be read keeps the secret as well: what is said here is all or nothing.
    book.names()?;
    let had_secret = keep::remove(&name, None)?;
    let had_profile = book.take_out(&name)?;
    match (had_profile, had_secret) {
        (true, true) => remark(&format!("The profile {name} and its secret are removed.")),
        (true, false) => remark(&format!(
            "The profile {name} is removed. Its secret was not saved by p21auth login."
        )),
        (false, true) => remark(&format!(
            "There was no profile {name}; a secret of this name is removed."
        )),
        (false, false) => {
            return Err(Failure::usage(
                format!("there is no profile '{name}'"),
                "p21auth profiles lists them.",
            ));
        }
    }
    Ok(())
}

/// What is said of a profile.
struct Line {
    name: String,
    is_chosen: bool,
    about: Result<About, String>,
}

struct About {
    base_url: String,
    username: String,
    /// The option that names the credential's place, and that place.
    secret: Option<(&'static str, String)>,
}

impl Line {
    fn of(name: String, chosen: Option<&str>) -> Line {
        let mut config = Config::new();
        let loaded = config.load_profile(&name);
        let text = |option: &str| config.get(option).unwrap_or_default().to_owned();
        let about = loaded
            .map_err(|error| error.message().to_owned())
            .map(|()| About {
                base_url: text("base_url"),
                username: text("username"),
                secret: CREDENTIALS
                    .into_iter()
                    .find_map(|option| Some((option, place(option, config.get(option)?)))),
            });
        Line {
            is_chosen: chosen == Some(&name),
            name,
            about,
        }
    }

    fn text(&self) -> String {
        let mark = if self.is_chosen { '*' } else { ' ' };
        let about = match &self.about {
            Err(error) => format!("cannot be used: {error}"),
            Ok(about) => {
                let user = match about.username.as_str() {
                    "" => String::new(),
                    user => format!("  user {user}"),
                };
                let secret = match &about.secret {
                    None => "  no credential".to_owned(),
                    Some((option, place)) => format!("  {} {place}", kind(option)),
                };
                format!("{}{user}{secret}", about.base_url)
            }
        };
        format!("{mark} {}  {about}", self.name)
    }

    fn json(&self) -> serde_json::Value {
        let about = self.about.as_ref().ok();
        json!({
            "name": self.name,
            "chosen": self.is_chosen,
            "base_url": about.map(|about| &about.base_url),
            "username": about.map(|about| &about.username).filter(|user| !user.is_empty()),
            "credential": about.and_then(|about| about.secret.as_ref()).map(|(option, _)| kind(option)),
            "kept_in": about.and_then(|about| about.secret.as_ref()).map(|(_, place)| place),
            "error": self.about.as_ref().err(),
        })
    }
}

fn kind(option: &str) -> &'static str {
    match option.split('_').next() {
        Some("password") => "password",
        Some("consumer") => "consumer key",
        _ => "access token",
    }
}

/// Where a credential is, as a source; of a command, the program alone.
fn place(option: &str, value: &str) -> String {
    if option.ends_with("_from") {
        shown(value)
    } else {
        format!("file:{value}")
    }
}

/// Lists the profiles.
pub(crate) fn profiles(args: &ProfilesArgs) -> Result<(), Failure> {
    let book = Book::open()?;
    let chosen = std::env::var("P21_PROFILE").ok();
    let names = book.names()?.into_iter();
    let lines: Vec<Line> = names
        .map(|name| Line::of(name, chosen.as_deref()))
        .collect();
    let file = book.path().display().to_string();
    if args.json {
        let profiles: Vec<_> = lines.iter().map(Line::json).collect();
        output::json(&json!({ "file": file, "profiles": profiles }).to_string())?;
        return Ok(());
    }
    if lines.is_empty() {
        remark(&format!(
            "There are no profiles in {file}. p21auth login creates one."
        ));
    }
    for line in &lines {
        output::line(&line.text())?;
    }
    Ok(())
}

/// Prints one secret.
pub(crate) fn secret(args: &SecretArgs) -> Result<(), Failure> {
    let SecretCommand::Get(args) = &args.command;
    if args.service == keep::SERVICE {
        profile_name(Some(&args.name))?;
    }
    output::value(&keep::find(&args.service, &args.name)?)?;
    Ok(())
}
