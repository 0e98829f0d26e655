//! `p21auth exec`: a command with the token in its environment, and without the credentials that it came from.

use std::process::Command;

use super::args::ExecArgs;
use super::failure::Failure;

/// Options whose variables the command does not get: the token stands for them.
const CREDENTIALS: &[&str] = &[
    "PASSWORD",
    "PASSWORD_FILE",
    "PASSWORD_FROM",
    "CONSUMER_KEY",
    "CONSUMER_KEY_FILE",
    "CONSUMER_KEY_FROM",
    "CONSUMER_USERNAME",
    "ACCESS_TOKEN_FILE",
    "ACCESS_TOKEN_FROM",
];

/// Runs the command and ends with its exit status.
pub(super) fn exec(args: &ExecArgs) -> Result<(), Failure> {
    let client = args.connection.open()?;
    let token = client.token()?;
    let settings = client.settings()?;
    let prefix = args.connection.prefix();
    let (program, rest) = args
        .command
        .split_first()
        .ok_or_else(|| Failure::usage("exec needs a command", "p21auth exec -- COMMAND …"))?;
    let mut command = Command::new(program);
    command
        .args(rest)
        .env(format!("{prefix}BASE_URL"), settings.base_url.as_str())
        .env(format!("{prefix}AUTH_MODE"), "token")
        .env(format!("{prefix}ACCESS_TOKEN"), token.value());
    for name in CREDENTIALS {
        command.env_remove(format!("{prefix}{name}"));
    }
    if args.ui_url {
        command.env(format!("{prefix}UI_URL"), &*client.ui_url()?);
    }
    run(command)
}

/// The command takes this process's place, so that signals and the terminal are its own.
#[cfg(unix)]
fn run(mut command: Command) -> Result<(), Failure> {
    use std::os::unix::process::CommandExt as _;
    let error = command.exec();
    Err(cannot_start(&command, &error))
}

#[cfg(not(unix))]
fn run(mut command: Command) -> Result<(), Failure> {
    let status = command
        .status()
        .map_err(|error| cannot_start(&command, &error))?;
    match status.code() {
        Some(0) => Ok(()),
        // Statuses of Windows have 32 bits.
        code => std::process::exit(code.unwrap_or(1)),
    }
}

/// The statuses that shells end with.
fn cannot_start(command: &Command, error: &std::io::Error) -> Failure {
    let program = command.get_program().to_string_lossy().into_owned();
    Failure::other(format!("{program} cannot be started: {error}"), "").print();
    Failure::Told(match error.kind() {
        std::io::ErrorKind::NotFound => 127,
        _ => 126,
    })
}
