//! `p21auth inspect`: who a token is for and how long it lives.

use std::io::{self, IsTerminal as _, Read as _};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use zeroize::Zeroizing;

use p21auth::internal::clock::{Clock as _, SystemClock};
use p21auth::internal::secret::{Scrubber, fingerprint};
use p21auth::internal::token::{Claims, jwt_claims};
use p21auth::internal::wire::parse_token_body;
use p21auth::{Code, Error, Result};

use super::args::InspectArgs;
use super::failure::Failure;
use super::heal::bare_token;
use super::output::{self, QUIET, STRONG, line, span, styled};

/// More is neither a token nor a reply.
const MAX_INPUT: u64 = 1 << 20;

/// Claims that P21 is known to put into its tokens, and what to call them.
const KNOWN: &[(&str, &str)] = &[
    ("sub", "P21 user"),
    ("aud", "scope"),
    ("iss", "issuer"),
    ("P21.ConsumerUid", "consumer uid"),
    ("P21.SessionId", "session id"),
];

/// Shows what standard input's token says of itself.
pub(super) fn inspect(args: &InspectArgs) -> std::result::Result<(), Failure> {
    if io::stdin().is_terminal() {
        output::remark(
            "Paste a token or a token response, then press Enter and Ctrl-D (on Windows Ctrl-Z, Enter):",
        );
    }
    let mut input = Zeroizing::new(Vec::new());
    io::stdin()
        .lock()
        .take(MAX_INPUT)
        .read_to_end(&mut input)
        .map_err(|error| Failure::other(format!("standard input cannot be read: {error}"), ""))?;
    let seen = Seen::of(&input)?;
    let now = SystemClock.now().unix();
    if args.json {
        output::value(&seen.json(now).to_string())?;
    } else {
        seen.show(now)?;
    }
    Ok(())
}

/// What can be told of a token without showing it.
struct Seen {
    fingerprint: String,
    claims: Option<Claims>,
    /// Seconds, as a whole reply states them.
    stated_lifetime_s: Option<i64>,
}

impl Seen {
    fn of(input: &[u8]) -> Result<Seen> {
        let text = String::from_utf8_lossy(input);
        let text = Zeroizing::new(text.into_owned());
        let bare = bare_token(&text);
        if let Some(claims) = jwt_claims(bare) {
            return Ok(Seen {
                fingerprint: fingerprint(bare.as_bytes()),
                claims: Some(claims),
                stated_lifetime_s: None,
            });
        }
        if bare.is_empty() {
            return Err(Error::new(Code::Parse, "standard input is empty")
                .with_hint("Pass the token on standard input: p21auth token | p21auth inspect"));
        }
        // The words of a reply that holds no token are the server's, but this input may be anything: show none.
        let reply = parse_token_body(input, &Scrubber::default()).map_err(|_| {
            Error::new(Code::Parse, "standard input contains neither a JWT nor a token response")
                .with_hint("A token that is not a JWT says nothing about itself; only its token response (p21auth token --json) says how long it is valid.")
        })?;
        let access = reply.access_token.expose();
        Ok(Seen {
            fingerprint: fingerprint(access.as_bytes()),
            claims: jwt_claims(access),
            stated_lifetime_s: reply.stated_lifetime_s,
        })
    }

    fn seconds(&self, claim: &str) -> Option<i64> {
        let claims = self.claims.as_ref()?;
        match claim {
            "exp" => claims.exp(),
            _ => claims.text(claim)?.parse().ok(),
        }
    }

    fn json(&self, now: i64) -> Value {
        let exp = self.seconds("exp");
        json!({
            "Fingerprint": self.fingerprint,
            "Jwt": self.claims.is_some(),
            "ExpiresAt": exp,
            "ExpiresInSeconds": exp.map(|exp| exp.saturating_sub(now).max(0)),
            "Expired": exp.map(|exp| exp <= now),
            "StatedLifetimeSeconds": self.stated_lifetime_s,
            "Claims": self.claims.as_ref().map(|claims| Value::Object(claims.0.clone())),
        })
    }

    fn show(&self, now: i64) -> io::Result<()> {
        let row = |name: &str, text: &str| line(&format!("{name:<14}{text}"));
        row(
            "token",
            &format!("{} {}", self.fingerprint, styled(QUIET, "(fingerprint)")),
        )?;
        if let Some(stated) = self.stated_lifetime_s {
            row(
                "lifetime",
                &format!("{} as the response states", span(stated)),
            )?;
        }
        let Some(claims) = &self.claims else {
            return row(
                "claims",
                "none: it is not a JWT, so only the server knows what it allows",
            );
        };
        for (claim, name) in KNOWN {
            let Some(value) = claims.0.get(*claim) else {
                continue;
            };
            let text = match plain(value) {
                empty if empty.is_empty() => styled(QUIET, "(empty)"),
                text => text,
            };
            row(name, &text)?;
        }
        if let Some(issued) = self.seconds("iat").or_else(|| self.seconds("nbf")) {
            row(
                "issued",
                &format!("{}, {} ago", date(issued), span(now.saturating_sub(issued))),
            )?;
        }
        match self.seconds("exp") {
            Some(exp) if exp > now => row(
                "expires",
                &format!(
                    "{}, {}",
                    date(exp),
                    styled(STRONG, &format!("in {}", span(exp.saturating_sub(now))))
                ),
            )?,
            Some(exp) => row(
                "expired",
                &format!(
                    "{}, {}",
                    date(exp),
                    styled(
                        output::BAD,
                        &format!("{} ago", span(now.saturating_sub(exp)))
                    )
                ),
            )?,
            None => row("expires", "the token does not say")?,
        }
        let times = ["exp", "iat", "nbf"];
        for (name, value) in &claims.0 {
            if !times.contains(&name.as_str()) && !KNOWN.iter().any(|(known, _)| known == name) {
                row(&plain(&json!(name)), &value.to_string())?;
            }
        }
        line(&styled(
            QUIET,
            "The signature was not checked; times are by this machine's clock.",
        ))
    }
}

/// A string without its quotation marks, anything else as JSON; either way nothing in it can command the terminal.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.escape_debug().to_string(),
        other => other.to_string(),
    }
}

fn date(unix: i64) -> String {
    /// The last second of the year 9999, the last that HTTP dates know.
    const END: u64 = 253_402_300_799;
    match u64::try_from(unix) {
        Ok(seconds) if seconds <= END => {
            httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
        }
        _ => format!("{unix} (Unix seconds)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    fn jwt(payload: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.SIGNATURE", part(r#"{"alg":"HS256"}"#), part(payload))
    }

    #[test]
    fn a_token_is_read_however_it_is_pasted() {
        let token = jwt(r#"{"sub":"api.user","exp":2000}"#);
        let json = format!(r#"{{"AccessToken":"{token}","ExpiresIn":"60"}}"#);
        let xml = format!("<TokenResponse><AccessToken>{token}</AccessToken></TokenResponse>");
        for input in [
            token.clone(),
            format!("  {token}\r\n"),
            format!("Bearer {token}\n"),
            format!("authorization: bearer {token}\n"),
            format!("\"{token}\""),
            json.clone(),
            xml,
        ] {
            let seen = Seen::of(input.as_bytes()).expect(&input);
            assert_eq!(seen.fingerprint, fingerprint(token.as_bytes()), "{input}");
            assert_eq!(seen.json(1000)["Claims"]["sub"], "api.user");
            assert_eq!(seen.json(1000)["ExpiresInSeconds"], 1000);
            assert_eq!(seen.json(2000)["Expired"], true);
            assert!(!seen.json(0).to_string().contains("SIGNATURE"));
        }
        let seen = Seen::of(json.as_bytes()).expect("a response");
        assert_eq!(seen.json(0)["StatedLifetimeSeconds"], 60);
    }

    #[test]
    fn what_is_no_token_is_never_repeated() {
        for input in [
            "",
            " \n",
            "hunter2",
            "{\"x\":\"hunter2\"}",
            "<a>hunter2</a>",
            "a.hunter2.c",
        ] {
            let error = Seen::of(input.as_bytes()).err().expect("no token");
            assert_eq!(error.code(), Code::Parse);
            assert!(!error.to_string().contains("hunter2"), "{error}");
            assert!(!error.hint().is_empty());
        }
    }

    #[test]
    fn an_opaque_token_in_a_reply_has_a_life_and_no_claims() {
        let seen = Seen::of(br#"{"access_token":"opaque","expires_in":3600}"#).expect("a response");
        let json = seen.json(0);
        assert_eq!(
            (&json["Jwt"], &json["Claims"]),
            (&json!(false), &Value::Null)
        );
        assert_eq!(json["StatedLifetimeSeconds"], 3600);
        assert!(!json.to_string().contains("opaque"));
    }

    #[test]
    fn spans_and_dates_are_for_people() {
        for (seconds, text) in [
            (-5, "0 s"),
            (59, "59 s"),
            (3_600, "1 h"),
            (86_399, "23 h 59 min"),
            (90_000, "1 d 1 h"),
            (630_720_000, "19 y 360 d"),
        ] {
            assert_eq!(span(seconds), text);
        }
        assert_eq!(date(2_147_483_647), "Tue, 19 Jan 2038 03:14:07 GMT");
        assert_eq!(date(i64::MAX), "9223372036854775807 (Unix seconds)");
        assert_eq!(date(-1), "-1 (Unix seconds)");
    }
}
