//! Random faults for some minutes, and a table of what came of them: `cargo run --example soak -- 2`.
//!
//! Two emulators serve twelve identities; eight threads call their clients in every way there is, open and close others
//! beside them, and report tokens; the process forks. Storms, in which each server fails in a few kinds of ways or in none,
//! alternate with calms. A failure counts as explained if it came in a storm and its code is one that the faults chosen for
//! that server lead to; every other failure, a token of someone else, a child that hangs and a leak make the run fail.
//! The seed is printed; `SEED=n` chooses the same storms again (threads interleave as they like).
#![cfg_attr(
    unix,
    allow(unsafe_code, reason = "fork and waitpid have no safe form")
)]

#[cfg(unix)]
mod caller;
#[cfg(unix)]
mod dice;
#[cfg(unix)]
mod fork;
#[cfg(unix)]
mod process;
#[cfg(unix)]
mod storm;
#[cfg(unix)]
mod tally;
#[cfg(unix)]
mod world;

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    let minutes: f64 = match std::env::args().nth(1).map(|text| text.parse()) {
        None => 2.0,
        Some(Ok(minutes)) if minutes > 0.0 => minutes,
        Some(_) => {
            eprintln!("usage: soak [MINUTES]");
            return std::process::ExitCode::from(2);
        }
    };
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(dice::fresh_seed);
    println!("== soak for {minutes} minutes, SEED={seed}");
    let mut dice = dice::Dice::new(seed);

    // No matter what a process makes once (HTTP clients, their threads) is there before it is counted.
    world::run(
        std::time::Duration::from_secs(8),
        &mut dice,
        &tally::Tally::default(),
    );
    let start = process::Sample::take();
    let tally = tally::Tally::default();
    let time = std::time::Duration::from_secs_f64(minutes * 60.0);
    world::run(time, &mut dice, &tally);
    let end = process::Sample::take();

    tally.print();
    let leaks = process::compare(&start, &end);
    let failed = tally.unexplained() > 0 || leaks;
    println!("== {}", if failed { "FAILED" } else { "passed" });
    std::process::ExitCode::from(u8::from(failed))
}

#[cfg(not(unix))]
fn main() {
    eprintln!("soak: forks and reads /proc; not for this system");
}
