//! A thread that uses clients in every way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use p21auth::{Client, Code, Error, TokenOptions};

use crate::dice::Dice;
use crate::tally::Tally;
use crate::world::{Identity, Weather};

const DEAD: &[u8] = b"<TokenError>expired</TokenError>";
const FORBIDDEN: &[u8] = b"\"You are not authorized to access API\"";

/// Calls until `done`.
pub fn calls(
    identities: &[Identity],
    weather: &RwLock<Weather>,
    done: &AtomicBool,
    dice: &mut Dice,
    tally: &Tally,
) {
    while !done.load(Ordering::SeqCst) {
        let identity = &identities[dice.index(identities.len())];
        {
            // Held over the call, so that the weather does not change during it.
            let weather = weather.read().unwrap_or_else(PoisonError::into_inner);
            let replaced = identity.replaced.load(Ordering::SeqCst);
            let client = identity.client();
            let call = Call {
                identity,
                client,
                replaced,
                weather: &weather,
                tally,
            };
            call.make(dice);
        }
        // A fair lock needs no pause, a machine of two cores does.
        std::thread::sleep(Duration::from_micros(dice.below(3_000)));
    }
}

struct Call<'a> {
    identity: &'a Identity,
    client: Client,
    replaced: u64,
    weather: &'a Weather,
    tally: &'a Tally,
}

impl Call<'_> {
    fn make(&self, dice: &mut Dice) {
        let options = TokenOptions::default();
        // The last quarter of the ways are for storms only: they cause failures themselves.
        let ways = if self.weather.calm { 80 } else { 100 };
        match dice.below(ways) {
            0..45 => self.token(&self.client, "token", options),
            45..50 => {
                let force_refresh = true;
                self.token(
                    &self.client,
                    "forced token",
                    TokenOptions {
                        force_refresh,
                        ..options
                    },
                );
            }
            50..54 => {
                let cached_only = true;
                self.token(
                    &self.client,
                    "cached token",
                    TokenOptions {
                        cached_only,
                        ..options
                    },
                );
            }
            54..58 => {
                let no_wait = true;
                self.token(
                    &self.client,
                    "token without waiting",
                    TokenOptions { no_wait, ..options },
                );
            }
            58..60 => {
                let wait = Some(Duration::from_millis(dice.below(50)));
                self.token(
                    &self.client,
                    "token in a hurry",
                    TokenOptions { wait, ..options },
                );
            }
            60..62 => {
                let min_valid = Duration::from_secs(dice.below(20));
                self.token(
                    &self.client,
                    "token that lasts",
                    TokenOptions {
                        min_valid,
                        ..options
                    },
                );
            }
            62..69 => {
                self.tally.count("UI URL calls");
                if let Err(error) = self.client.ui_url() {
                    self.failed("UI URL", &error);
                }
            }
            69..72 => {
                if let Err(error) = self.client.stats() {
                    self.failed("stats", &error);
                }
            }
            72..77 => {
                self.tally.count("clients opened and closed");
                self.token(&self.identity.open(), "token of a new client", options);
            }
            77..79 => {
                self.tally.count("clients replaced");
                self.identity.replace();
            }
            79..80 => {
                self.tally.count("updates");
                if let Err(error) = self.identity.update() {
                    self.failed("update", &error);
                }
            }
            80..88 => self.report(DEAD),
            88..92 => self.report(FORBIDDEN),
            92..96 => {
                if let Ok(token) = self.client.token() {
                    let _ = self.client.invalidate(Some(token.value()));
                }
            }
            _ => {
                let _ = self.client.invalidate(None);
            }
        }
    }

    fn token(&self, client: &Client, what: &str, options: TokenOptions) {
        self.tally.count("token calls");
        match client.token_with(&options) {
            Ok(token) if self.identity.owns(&token) => self.tally.count("tokens"),
            Ok(_) => self.tally.wrong(&format!("{what}: someone else's token")),
            Err(error) => {
                let asked_for = match error.code() {
                    Code::NoCachedToken => options.cached_only,
                    Code::Pending => options.no_wait,
                    Code::Timeout => options.wait.is_some(),
                    _ => false,
                };
                if asked_for {
                    self.tally.count("not now, as asked");
                } else {
                    self.failed(what, &error);
                }
            }
        }
    }

    fn report(&self, body: &[u8]) {
        let options = TokenOptions {
            cached_only: true,
            ..TokenOptions::default()
        };
        if let Ok(token) = self.client.token_with(&options) {
            self.tally.count("reports");
            if let Err(error) = self.client.report(token.with_scheme(), 401, body) {
                self.failed("report", &error);
            }
        }
    }

    fn failed(&self, what: &str, error: &Error) {
        let shown = format!("{error:?}");
        if shown.contains("password-") || shown.contains("eyJ") {
            self.tally.wrong(&format!("{what}: a secret in an error"));
        }
        let closed = error.code() == Code::Closed;
        if closed && self.identity.replaced.load(Ordering::SeqCst) != self.replaced {
            self.tally.count("closed meanwhile");
            return;
        }
        self.weather
            .judge(self.identity, what, error.code(), &shown, self.tally);
    }
}
