//! One token for all threads, through the C interface: how many requests the server sees.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use p21_emulator::Options;
use p21auth::Code;
use p21auth::internal::capi::{P21_VERDICT_PERMISSION, P21_VERDICT_RETRY};
use p21auth::internal::secret::Secret;

use super::super::failure::Failure;
use super::c_interface::CError;
use super::server::{Pairs, Server};
use super::{Setup, Stage, heading, quote};

const USER: Pairs<'static> = &[("username", "demo"), ("password", "demo-password")];

/// No step waits longer for what it expects.
const PATIENCE: Duration = Duration::from_secs(30);

/// What [`refresh_ahead`] saw.
pub(super) struct Refreshed {
    calls: u64,
    during: usize,
    requests: u64,
    right: bool,
}

pub(super) fn show(stage: &mut Stage, ageing: JoinHandle<Setup<Refreshed>>) -> Setup<()> {
    heading("Through the C interface, one token for all threads: what the server sees")?;
    cold(stage)?;
    rejected(stage)?;
    permission(stage)?;
    wrong_password(stage)?;
    let seen = ageing
        .join()
        .map_err(|_| Failure::other("the step that refreshes a token ended early", ""))??;
    stage.check(
        "refresh ahead",
        &format!(
            "after {} calls the token was about to expire and was renewed by request {} in the background; {} calls made meanwhile got the old one and did not wait",
            seen.calls, seen.requests, seen.during
        ),
        seen.right,
    )?;
    Ok(())
}

fn cold(stage: &mut Stage) -> Setup<()> {
    let server = Server::start(Options::tls())?;
    let client = server.c_client(USER)?;
    let tokens = at_once(64, || client.token());
    let distinct: BTreeSet<_> = tokens.iter().flatten().map(Secret::expose).collect();
    let requests = server.token_requests();
    stage.check(
        "64 threads need a token at once",
        &format!("{} token for all, {}", distinct.len(), counted(requests)),
        tokens.iter().all(Result::is_ok) && distinct.len() == 1 && requests == 1,
    )?;
    Ok(())
}

/// A token near its end is renewed in the background. The server holds its reply back, so anyone who waited would be seen.
pub(super) fn refresh_ahead() -> Setup<Refreshed> {
    let mut options = Options::tls();
    // Renewed in the last second; the last two tenths of a second are the mandatory window, in which callers wait.
    options.settings.lifetime_s = 10;
    let server = Server::start(options)?;
    let client = server.c_client(USER)?;
    let token = || client.token().map_err(Failure::from);
    let first = token()?;
    server.control.hold();
    let start = Instant::now();
    let mut calls = 0;
    while server.control.counter("held") == 0 && start.elapsed() < PATIENCE {
        calls += 1;
        token()?;
        thread::sleep(Duration::from_millis(5));
    }
    // The request is out and unanswered. These calls would hang if they waited for it.
    let during = at_once(16, || client.token());
    let still_held = server.control.counter("held") == 1;
    server.control.release();
    let mut second = token()?;
    while second == first && start.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(5));
        second = token()?;
    }
    let requests = server.token_requests();
    let old = during
        .iter()
        .flatten()
        .filter(|token| **token == first)
        .count();
    Ok(Refreshed {
        calls,
        during: old,
        requests,
        right: still_held && old == 16 && requests == 2 && second != first,
    })
}

fn rejected(stage: &mut Stage) -> Setup<()> {
    let server = Server::start(Options::tls())?;
    // The default, 5 s, would make the demo wait; the number of requests does not depend on it.
    let client = server.c_client(&[USER[0], USER[1], ("min_refresh_interval_s", "0")])?;
    let first = client.token().map_err(Failure::from)?;
    server.control.revoke_all();
    let answer = server.odata(Some(&bearer(&first)))?;
    let results = at_once(64, || {
        let verdict = client.report(&first, answer.status, &answer.body)?;
        Ok::<_, CError>((verdict, client.token()?))
    });
    let retries = results
        .iter()
        .flatten()
        .filter(|(verdict, _)| *verdict == P21_VERDICT_RETRY)
        .count();
    let tokens: BTreeSet<_> = results
        .iter()
        .flatten()
        .map(|(_, token)| token.expose())
        .collect();
    let more = server.token_requests() - 1;
    let token = client.token().map_err(Failure::from)?;
    let works = server.odata(Some(&bearer(&token)))?.status == 200;
    stage.check(
        "64 threads report a token that the server rejected",
        &format!(
            "{} new token, {} more, and OData works again",
            tokens.len(),
            counted(more)
        ),
        retries == 64 && tokens.len() == 1 && more == 1 && works,
    )?;
    Ok(())
}

fn permission(stage: &mut Stage) -> Setup<()> {
    let server = Server::start(Options::tls())?;
    let client = server.c_client(&[("username", "readonly"), ("password", "readonly-password")])?;
    let token = client.token().map_err(Failure::from)?;
    let answer = server.odata(Some(&bearer(&token)))?;
    let results = at_once(64, || {
        let verdict = client.report(&token, answer.status, &answer.body)?;
        client.token().map(|_| verdict)
    });
    let verdicts = results
        .iter()
        .flatten()
        .filter(|verdict| **verdict == P21_VERDICT_PERMISSION)
        .count();
    let more = server.token_requests() - 1;
    stage.check(
        "64 threads report a missing permission",
        &format!("{verdicts} times PERMISSION, {} more", counted(more)),
        answer.status == 401 && verdicts == 64 && more == 0,
    )?;
    Ok(())
}

fn wrong_password(stage: &mut Stage) -> Setup<()> {
    let server = Server::start(Options::tls())?;
    let client = server.c_client(&[USER[0], ("password", "a wrong one")])?;
    let results = at_once(50, || client.token());
    let unauthorized = Code::Unauthorized.name();
    let refused = results
        .iter()
        .filter(|result| {
            result
                .as_ref()
                .is_err_and(|error| error.name == unauthorized)
        })
        .count();
    // Long after the flight has ended; the cool-down answers.
    let later = client.token().err();
    let requests = server.token_requests();
    stage.check(
        "50 threads with a wrong password",
        &format!(
            "{refused} times UNAUTHORIZED, {}, and none before the cool-down ends",
            counted(requests)
        ),
        refused == 50
            && requests == 1
            && later.as_ref().is_some_and(|error| error.retry_after_ms > 0),
    )?;
    quote(
        "message:",
        later.as_ref().map_or("", |error| &error.message),
    )?;
    Ok(())
}

fn bearer(token: &Secret) -> Zeroizing<String> {
    Zeroizing::new(format!("Bearer {}", token.expose()))
}

/// Runs `work` on this many threads that start together.
fn at_once<T: Send>(threads: usize, work: impl Fn() -> T + Sync) -> Vec<T> {
    let start = Barrier::new(threads);
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    work()
                })
            })
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().expect("the work does not panic"))
            .collect()
    })
}

fn counted(requests: u64) -> String {
    match requests {
        1 => "1 token request".to_owned(),
        n => format!("{n} token requests"),
    }
}

impl From<CError> for Failure {
    fn from(error: CError) -> Failure {
        Failure::other(format!("{}: {}", error.name, error.message), "")
    }
}
