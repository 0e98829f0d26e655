//! `p21auth login`, `logout`, `profiles` and `secret`: credentials that are said once, examined, and kept as a profile.
//!
//! The options of a profile are in the user's `profiles.toml`, its secret in the system's store.

mod ask;
mod book;
mod keep;
mod manage;

use std::ops::ControlFlow;

use p21auth::doctor::{Event, Examination, Outcome, Report, Step};
use p21auth::internal::options::{Kind, OPTIONS};
use p21auth::{Code, Config};

use self::ask::Asker;
use self::book::Book;
use self::keep::Place;
use super::args::LoginArgs;
use super::connection::Connection;
use super::doctor::text;
use super::failure::{Failure, exit_status_of};
use super::output::{self, GOOD, remark, styled};
pub(super) use manage::{logout, profiles, secret};

/// Used where no name is said.
const DEFAULT_PROFILE: &str = "default";

/// How the examination names the option whose value it suggests.
const PIN_VARIABLE: &str = "P21_TLS_PIN_SHA256=";

/// The options of a credential.
const CREDENTIALS: [&str; 9] = [
    "password",
    "password_file",
    "password_from",
    "consumer_key",
    "consumer_key_file",
    "consumer_key_from",
    "access_token",
    "access_token_file",
    "access_token_from",
];

/// The profile that a command is about: by its flag, by `P21_PROFILE`, or `default`.
///
/// # Errors
///
/// A name that would need quotes in a file, a command or a path.
fn profile_name(flag: Option<&str>) -> Result<String, Failure> {
    let variable = std::env::var("P21_PROFILE").ok();
    let variable = variable.filter(|name| !name.is_empty());
    let name = flag.map(str::to_owned).or(variable);
    let name = name.unwrap_or_else(|| DEFAULT_PROFILE.to_owned());
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.is_empty() || name.len() > 64 || name.starts_with('-') || !name.chars().all(is_part) {
        return Err(Failure::usage(
            "the name of a profile has 1 to 64 ASCII letters, digits, _ and -, and does not begin with -",
            "Such as --profile play.",
        ));
    }
    Ok(name)
}

/// Asks, examines, and keeps what works.
pub(super) fn login(args: &LoginArgs) -> Result<(), Failure> {
    let connection = &args.connection.0;
    let name = profile_name(connection.profile())?;
    let book = Book::open()?;
    let asker = Asker::new();
    let exists = book.names()?.contains(&name);
    if exists && !args.yes {
        if !asker.is_possible() {
            return Err(Failure::usage(
                format!("the profile '{name}' already exists"),
                "Pass --yes to change it, or name another one with --profile.",
            ));
        }
        if !ask::yes(&format!(
            "The profile '{name}' already exists. Change it? [y/N] "
        ))? {
            return Err(unchanged());
        }
    }
    let mut config = options(connection, exists.then_some(name.as_str()), &asker)?;
    examine(&mut config, &asker)?;
    let kept = keep(&mut config, &name, args.in_file, &asker)?;
    let written = write(&book, &name, &config, kept.as_ref());
    if let (Err(_), Some((_, place))) = (&written, &kept) {
        // No one would find it.
        let _ = keep::remove(&name, Some(place));
    }
    written?;
    tell(&name, &book, &config, kept.as_ref());
    Ok(())
}

fn unchanged() -> Failure {
    Failure::other("you chose not to save it", "")
}

/// The options that are to be kept, and the secret with them: flags, what was in the profile, and answers.
fn options(
    connection: &Connection,
    existing: Option<&str>,
    asker: &Asker,
) -> Result<Config, Failure> {
    let said = connection.said(None)?;
    let mut config = match existing {
        Some(_) => connection.said(existing)?,
        None => said.clone(),
    };
    if said.get("base_url").is_none() {
        let known = config.get("base_url").map(str::to_owned);
        let url = asker.line(
            "Address of the P21 server, such as https://p21.example.com",
            known.as_deref(),
            "--base-url",
        )?;
        config.set("base_url", Some(&url))?;
    }
    if said.get("auth_mode") == Some("token")
        || CREDENTIALS[6..].iter().any(|name| said.get(name).is_some())
    {
        return Err(Failure::usage(
            "a token of your own is not saved: it expires in a day",
            "Log in with a password or a consumer key, which can request new tokens.",
        ));
    }
    if CREDENTIALS.iter().any(|name| said.get(name).is_some()) {
        return Ok(config);
    }
    let by_key = match (said.get("auth_mode"), said.get("username")) {
        (Some(mode), _) => mode.ends_with("_consumer"),
        (None, Some(_)) => false,
        (None, None) if asker.is_possible() => {
            let known = config.get("username").unwrap_or_default().to_owned();
            let user = ask::optional_line("P21 user; empty for a consumer key", &known)?;
            if !user.is_empty() {
                config.set("username", Some(&user))?;
            }
            user.is_empty()
        }
        (None, None) if existing.is_some() => CREDENTIALS[3..6]
            .iter()
            .any(|name| config.get(name).is_some()),
        (None, None) => {
            return Err(Failure::usage(
                "it is not clear whether standard input has a password or a consumer key",
                "Pass the P21 user with --username, or --auth-mode v2_consumer for a consumer key.",
            ));
        }
    };
    let option = if by_key { "consumer_key" } else { "password" };
    if !by_key && config.get("username").is_none() {
        let user = asker.line("P21 user", None, "--username")?;
        config.set("username", Some(&user))?;
    }
    let whose = match (by_key, config.get("username")) {
        (true, _) => "Consumer key".to_owned(),
        (false, user) => format!("Password of {}", user.unwrap_or_default()),
    };
    let secret = asker.secret(&whose)?;
    config.set(option, Some(&secret))?;
    Ok(config)
}

/// Runs the examination with one token request as the proof. A certificate that is not trusted may be pinned after a question,
/// before any secret is sent.
fn examine(config: &mut Config, asker: &Asker) -> Result<(), Failure> {
    let mut has_asked = false;
    loop {
        let report = Examination::of(config)
            .apis(&[])
            .allow_token_request()
            .follow(|event| {
                if let Event::Ended(step) = event {
                    show(step);
                }
                ControlFlow::Continue(())
            });
        let Some(failed) = report.failure() else {
            return proof(&report);
        };
        let status = exit_status_of(failed.code.unwrap_or(Code::Internal));
        let pins = failed
            .copy
            .as_deref()
            .and_then(|line| line.strip_prefix(PIN_VARIABLE));
        match pins.filter(|_| failed.id == "tls" && !has_asked) {
            Some(pins) if asker.is_possible() => {
                has_asked = true;
                let question = "Trust this certificate from now on? Compare its SHA-256 with the server's own. [y: yes; path of a PEM file: trust this authority; N] ";
                match ask::answer(question)?.as_str() {
                    "y" | "Y" | "yes" => config.set("tls_pin_sha256", Some(pins))?,
                    "" | "n" | "N" | "no" => return Err(refused(status)),
                    path => config.set("ca_file", Some(path))?,
                }
            }
            Some(pins) => {
                output::hint(&format!(
                    "If it is the right certificate, add --tls-pin-sha256 {pins}; --ca-file FILE trusts an authority."
                ));
                return Err(refused(status));
            }
            None => return Err(refused(status)),
        }
    }
}

fn refused(status: u8) -> Failure {
    remark("Nothing was saved.");
    Failure::Told(status)
}

/// One line of what is well, everything of what is not.
fn show(step: &Step) {
    match step.outcome {
        Outcome::Skipped => {}
        Outcome::Ok => {
            let mut short = step.clone();
            short.saw.truncate(1);
            short.advice.clear();
            short.copy = None;
            remark(&text(&short));
        }
        Outcome::Warn | Outcome::Fail => {
            let mut whole = step.clone();
            whole.copy = None;
            remark(&text(&whole));
        }
    }
}

/// Whether there was a token.
fn proof(report: &Report) -> Result<(), Failure> {
    let token = report.steps.iter().find(|step| step.id == "token");
    match token {
        Some(step) if matches!(step.outcome, Outcome::Ok | Outcome::Warn) => Ok(()),
        _ => Err(refused(exit_status_of(Code::Internal))),
    }
}

/// Puts the secret where it is kept, and its place into the options; `None` if the options name a place already.
fn keep(
    config: &mut Config,
    name: &str,
    in_file: bool,
    asker: &Asker,
) -> Result<Option<(&'static str, Place)>, Failure> {
    let Some(option) = ["password", "consumer_key"]
        .into_iter()
        .find(|option| config.get(option).is_some())
    else {
        return Ok(None);
    };
    let secret = config.get(option).unwrap_or_default();
    let place = keep::keep(name, secret, in_file, asker)?;
    Ok(Some((option, place)))
}

/// Writes the profile.
fn write(
    book: &Book,
    name: &str,
    config: &Config,
    kept: Option<&(&'static str, Place)>,
) -> Result<(), Failure> {
    let mut lines = Vec::new();
    for row in OPTIONS {
        let Some(value) = config.get(row.name).filter(|_| !row.secret) else {
            continue;
        };
        let value = match row.kind {
            // A profile is used in any folder.
            Kind::Path => std::path::absolute(value)
                .ok()
                .and_then(|path| path.into_os_string().into_string().ok())
                .unwrap_or_else(|| value.to_owned()),
            _ => value.to_owned(),
        };
        lines.push((row.name.to_owned(), value));
    }
    if let Some((option, place)) = kept {
        lines.push((format!("{option}_from"), place.source()));
    }
    book.put(name, &lines)
}

fn tell(name: &str, book: &Book, config: &Config, kept: Option<&(&'static str, Place)>) {
    let what = |option: &str| {
        if option == "password" {
            "password"
        } else {
            "consumer key"
        }
    };
    remark(&styled(GOOD, "Logged in."));
    let url = config.get("base_url").unwrap_or_default();
    remark(&format!(
        "Profile {name} for {url} is in {}.",
        book.path().display()
    ));
    if let Some((option, place)) = kept {
        remark(&format!("The {} is in {}.", what(option), place.in_words()));
    }
    remark(&format!(
        "To use it: p21auth token --profile {name}, or P21_PROFILE={name} in the environment."
    ));
}
