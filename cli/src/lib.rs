//! The command line tool `p21auth`: tokens for scripts, a look into a token, a diagnosis, the emulator, and a demonstration.
//!
//! Standard output carries the value alone, so that `$(p21auth token)` works; messages and hints go to standard error.
//! Secrets are never taken from the command line, where every user of the machine can read them.

mod api;
mod args;
mod connection;
mod demo;
mod doctor;
mod exec;
mod failure;
mod heal;
mod inspect;
mod login;
mod mock;
mod output;
mod store;
mod token;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use args::{Cli, Command};

/// Runs the tool with these arguments, the program's name first, and answers its exit status: 0, or the error's family
/// as `p21auth --help` lists them.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let result = match Cli::try_parse_from(args) {
        Ok(cli) => match cli.command {
            Command::Token(args) => token::token(&args),
            Command::UiUrl(args) => token::ui_url(&args),
            Command::Report(args) => heal::report(&args),
            Command::Api(args) => api::api(&args),
            Command::Exec(args) => exec::exec(&args),
            Command::Inspect(args) => inspect::inspect(&args),
            Command::Doctor(args) => doctor::doctor(&args),
            Command::Store(args) => store::store(&args),
            Command::Login(args) => login::login(&args),
            Command::Logout(args) => login::logout(&args),
            Command::Profiles(args) => login::profiles(&args),
            Command::Secret(args) => login::secret(&args),
            Command::Mock(args) => mock::mock(&args),
            Command::Demo(args) => demo::demo(args.json),
        },
        Err(error) => args::explain(&error),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Whether the tool takes these arguments, the program's name first; nothing is run. For what is written about it.
///
/// # Errors
///
/// What the parser says against them.
pub fn accepts(args: impl IntoIterator<Item = OsString>) -> Result<(), String> {
    match Cli::try_parse_from(args) {
        Err(error) if error.use_stderr() => Err(error.to_string()),
        _ => Ok(()),
    }
}

/// The tool's arguments, for its man pages and completions.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// The table of exit statuses, as `--help` and docs/errors.md show it: number, first and last code, meaning.
#[must_use]
pub fn exit_statuses() -> Vec<(u8, (i32, i32), &'static str)> {
    failure::EXIT_STATUSES
        .iter()
        .map(|status| (status.number, status.codes, status.meaning))
        .collect()
}
