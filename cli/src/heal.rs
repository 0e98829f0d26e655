//! `p21auth report` and `p21auth token --rejected`: a token that an API rejected is dropped, in a shared store too.

use std::io::{self, IsTerminal as _, Read as _};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use zeroize::Zeroizing;

use p21auth::Client;
use p21auth::Verdict;
use p21auth::internal::client::OwnEntry;
use p21auth::internal::secret::fingerprint;
use p21auth::internal::token::without_scheme;

use super::args::ReportArgs;
use super::failure::{Failure, GIVE_UP, HEADER_LOST, PERMISSION};
use super::output;

/// Longest token, and largest body of a response, that is read.
const MAX_INPUT: u64 = 1 << 20;

/// How long a store gets to be told.
const TELL: Duration = Duration::from_secs(3);

/// Sorts an API's rejection of the token on standard input, and drops that token if it is to blame.
pub(super) fn report(args: &ReportArgs) -> Result<(), Failure> {
    let token = token_from_stdin()?;
    let body = args.body_file.as_deref().map(read_body).transpose()?;
    let client = args.connection.open()?;
    let verdict = reject(&client, &token, |token| {
        client.report(
            token,
            args.status,
            body.as_deref().map_or(&[][..], Vec::as_slice),
        )
    })?;
    let (name, status) = match verdict {
        Verdict::Retry => ("RETRY", 0),
        Verdict::Permission => ("PERMISSION", PERMISSION),
        Verdict::HeaderLost => ("HEADER_LOST", HEADER_LOST),
        Verdict::GiveUp => ("GIVE_UP", GIVE_UP),
    };
    if args.json {
        output::value(&json!({"Verdict": name, "Hint": verdict.hint()}).to_string())?;
    } else {
        output::value(name)?;
        output::hint(verdict.hint());
    }
    if status == 0 {
        Ok(())
    } else {
        Err(Failure::Told(status))
    }
}

/// Drops the token on standard input, if it is still the current one.
pub(super) fn drop_rejected(client: &Client) -> Result<(), Failure> {
    let token = token_from_stdin()?;
    reject(client, &token, |token| client.invalidate(Some(token)))
}

/// Runs `tell` on a client that knows the store's token, and waits until the store knows what became of it.
///
/// A process that just started knows no token. If the rejected one is in the store, it is taken from there, which asks no
/// server; if it is not, it is no longer current, and nothing is dropped.
fn reject<T>(
    client: &Client,
    token: &str,
    tell: impl FnOnce(&str) -> p21auth::Result<T>,
) -> Result<T, Failure> {
    let print = fingerprint(token.as_bytes());
    let is_stored = || {
        let entries = client.store_entries().map(|(_, entries)| entries);
        entries.unwrap_or_default().iter().any(|entry| {
            matches!(&entry.own, Some(OwnEntry::Token(own, left_s)) if *own == print && *left_s > 0)
        })
    };
    let stored = is_stored();
    if stored {
        client.token()?;
    }
    let told = tell(token)?;
    let until = Instant::now() + TELL;
    while stored && Instant::now() < until && is_stored() {
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(told)
}

fn read_body(file: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut body = Zeroizing::new(Vec::new());
    std::fs::File::open(file)
        .and_then(|file| file.take(MAX_INPUT).read_to_end(&mut body))
        .map_err(|error| {
            let file = file.display();
            Failure::usage(format!("--body-file: {file} cannot be read: {error}"), "")
        })?;
    Ok(body)
}

/// The token on standard input, with or without `Authorization: Bearer` before it.
fn token_from_stdin() -> Result<Zeroizing<String>, Failure> {
    if io::stdin().is_terminal() {
        output::remark("Paste the token, then press Enter and Ctrl-D (on Windows Ctrl-Z, Enter):");
    }
    let mut input = Zeroizing::new(String::new());
    io::stdin()
        .lock()
        .take(MAX_INPUT)
        .read_to_string(&mut input)
        .map_err(|error| Failure::usage(format!("standard input cannot be read: {error}"), ""))?;
    let bare = bare_token(&input);
    if bare.is_empty() || bare.contains(char::is_whitespace) {
        return Err(Failure::usage(
            "standard input contains no token",
            "Pass the rejected token on standard input, such as: printf %s \"$token\" | p21auth report --status 401",
        ));
    }
    Ok(Zeroizing::new(bare.to_owned()))
}

/// A token without what may stand before it.
pub(super) fn bare_token(text: &str) -> &str {
    const HEADER: &str = "authorization:";
    let text = text.trim();
    let rest = text
        .get(..HEADER.len())
        .filter(|start| start.eq_ignore_ascii_case(HEADER))
        .map_or(text, |_| &text[HEADER.len()..]);
    without_scheme(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_however_it_stands() {
        for text in [
            "abc",
            " abc\n",
            "Bearer abc",
            "Authorization: Bearer abc\r\n",
            "AUTHORIZATION:bearer abc",
        ] {
            assert_eq!(bare_token(text), "abc", "{text}");
        }
    }
}
