//! Writes the man pages of `p21auth` and what shells complete of it into a `share` folder, from the tool's own arguments:
//! `cargo run --package p21auth-cli --example pages -- SHARE`.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap_complete::aot::{Shell, generate_to};

/// Where each shell looks for completions, below `share`; PowerShell looks nowhere by itself.
pub const COMPLETIONS: [(Shell, &str, &str); 4] = [
    (Shell::Bash, "bash-completion/completions", "p21auth"),
    (Shell::Zsh, "zsh/site-functions", "_p21auth"),
    (Shell::Fish, "fish/vendor_completions.d", "p21auth.fish"),
    (Shell::PowerShell, "powershell/completions", "p21auth.ps1"),
];

/// Writes all files.
///
/// # Errors
///
/// What could not be written.
pub fn write_into(share: &Path) -> io::Result<()> {
    let man = share.join("man/man1");
    std::fs::create_dir_all(&man)?;
    clap_mangen::generate_to(p21auth_cli::command(), man)?;
    for (shell, folder, name) in COMPLETIONS {
        let folder = share.join(folder);
        std::fs::create_dir_all(&folder)?;
        let written = generate_to(shell, &mut p21auth_cli::command(), "p21auth", &folder)?;
        std::fs::rename(written, folder.join(name))?;
    }
    Ok(())
}

#[allow(dead_code, reason = "a test takes in this file for its functions")]
fn main() -> ExitCode {
    let Some(share) = std::env::args_os().nth(1) else {
        eprintln!("usage: pages SHARE");
        return ExitCode::from(2);
    };
    match write_into(Path::new(&share)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pages: {error}");
            ExitCode::FAILURE
        }
    }
}
