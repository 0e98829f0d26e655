//! The command line tool; everything is in [`p21auth_cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    p21auth_cli::run(std::env::args_os())
}
