//! The command line tool; everything is in [`p21auth::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    p21auth::cli::run(std::env::args_os())
}
