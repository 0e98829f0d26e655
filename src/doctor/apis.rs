//! What the token opens: one harmless question to each API, judged as the library judges rejections.

use std::sync::Arc;

use crate::client::Client;
use crate::error::{Code, Error, Result};
use crate::options::Settings;
use crate::token::Token;
use crate::wire;

use super::report::Step;
use super::token::Source;

/// Whether a P21 middleware answers at all: it refuses a question without a token, and that says enough.
pub(super) fn server(client: &Client, settings: &Settings) -> Step {
    let base = &settings.base_url;
    let ask = |url: Result<url::Url>| {
        let url = url?;
        let asked = client.ask_api("router", &url, None)?;
        Ok((url, asked))
    };
    match ask(wire::ui_router_url(base)) {
        Err(error) => Step::failed("server", &error),
        Ok((url, router)) => judge_server(
            &url[..url::Position::AfterPath],
            router.response.status,
            &router.verdict,
            || {
                // GET is no token request: this place answers POST alone.
                let token = ask(wire::token_url(base, settings.auth_mode));
                token.is_ok_and(|(_, token)| !is_absent(&token.verdict))
            },
        ),
    }
}

/// Something else answers there, or nothing of this name.
fn is_absent(verdict: &Result<()>) -> bool {
    verdict
        .as_ref()
        .is_err_and(|error| matches!(error.code(), Code::NotFound | Code::Parse))
}

fn judge_server(
    url: &str,
    status: u16,
    verdict: &Result<()>,
    has_token_endpoint: impl FnOnce() -> bool,
) -> Step {
    const NAME: &str = "server";
    match verdict {
        Err(_) if matches!(status, 401 | 403) => Step::ok(
            NAME,
            format!("P21 responds: {url} requires a token (HTTP {status})"),
        ),
        Err(error) if is_absent(verdict) => {
            if has_token_endpoint() {
                Step::warn(NAME, error.message())
                    .also("the token endpoint is there all the same")
                    .advise("The UI router is missing: Interactive and Transaction API will not be found.")
            } else {
                Step::failed(NAME, error)
            }
        }
        Err(error) => Step::failed(NAME, error),
        Ok(()) => Step::warn(NAME, format!("{url} responds without a token (HTTP {status})"))
            .advise("A P21 middleware would refuse that: check base_url, and what responds in front of the server."),
    }
}

/// The UI server's URL, for the APIs behind it.
pub(super) fn router(
    client: &Client,
    token: &Arc<Token>,
    settings: &Settings,
    source: Source,
) -> (Step, Option<String>) {
    match client.ask_router(token) {
        Err(error) => (
            rejected(Step::failed("router", &error), &error, source),
            None,
        ),
        Ok(url) => {
            let step = Step::ok("router", format!("the UI server is {url}"));
            let host = url::Url::parse(&url)
                .ok()
                .and_then(|url| url.host_str().map(str::to_owned));
            let step = if host.as_deref() == settings.base_url.url().host_str() {
                step
            } else {
                step.also("on a different host than base_url: proxies and firewalls must let that host through too")
            };
            (step, Some(url))
        }
    }
}

/// One row of `table`.
pub(super) fn odata(
    client: &Client,
    token: &Token,
    settings: &Settings,
    table: &str,
    source: Source,
) -> Step {
    let url = wire::odata_url(&settings.base_url, table);
    let step = ask("odata", "OData service", client, token, url, source);
    match step.code {
        None => Step::ok("odata", format!("table {table} can be read")),
        Some(Code::NotFound) => step.advise(format!("If the service exists, the table {table} may not: name another (p21auth doctor --odata-table).")),
        Some(_) => step,
    }
}

pub(super) fn entity(client: &Client, token: &Token, settings: &Settings, source: Source) -> Step {
    let url = wire::entity_url(&settings.base_url);
    ask("entity", "Entity API", client, token, url, source)
}

/// The list of the token's own sessions. Nothing is opened, so nothing has to be closed.
pub(super) fn interactive(
    client: &Client,
    token: &Token,
    settings: &Settings,
    ui_server: &str,
    source: Source,
) -> Step {
    const NAME: &str = "interactive";
    if settings.auth_mode.uses_consumer_key() && settings.username.is_none() {
        return Step::warn(
            NAME,
            "not tried: it needs a P21 user, and a consumer key alone has none",
        )
        .advise("Set username to a P21 user if you need this API.");
    }
    let result = wire::interactive_url(ui_server)
        .and_then(|url| client.ask_api("Interactive API", &url, Some(token)));
    match result {
        Ok(asked) if wire::refuses_user(&asked.response) => {
            let error = asked
                .verdict
                .err()
                .unwrap_or_else(|| Error::new(Code::Forbidden, "refused"));
            Step::failed(NAME, &error.with_hint("This API takes real P21 users only: set username to one, as User Maintenance shows it."))
        }
        Ok(asked) => outcome(NAME, "Interactive API", &asked.verdict, source),
        Err(error) => Step::failed(NAME, &error),
    }
}

fn ask(
    name: &'static str,
    words: &str,
    client: &Client,
    token: &Token,
    url: Result<url::Url>,
    source: Source,
) -> Step {
    match url.and_then(|url| client.ask_api(words, &url, Some(token))) {
        Ok(asked) => outcome(name, words, &asked.verdict, source),
        Err(error) => Step::failed(name, &error),
    }
}

fn outcome(name: &'static str, words: &str, verdict: &Result<()>, source: Source) -> Step {
    match verdict {
        Ok(()) => Step::ok(name, format!("the {words} answers")),
        Err(error) => rejected(Step::failed(name, error), error, source),
    }
}

/// What a rejected token means depends on where it came from.
fn rejected(step: Step, error: &Error, source: Source) -> Step {
    if error.code() != Code::Unauthorized {
        return step;
    }
    match source {
        Source::Stored => step.advise("The stored token is no longer accepted: programs replace it when they report this response; p21auth store clear removes it now, together with the entries of all other users."),
        Source::Own => step.advise("Supply a new token: access_token, or the file that access_token_file names."),
        Source::Asked => step,
        Source::Process => step.advise("The token in use is no longer accepted: the program gets a new one when it reports this response, or calls p21_token_invalidate."),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Outcome;
    use super::*;

    fn fault(code: Code) -> Result<()> {
        Err(Error::new(code, "what").with_hint("hint"))
    }

    #[test]
    fn a_refusal_is_what_a_middleware_answers_without_a_token() {
        for (status, verdict, token_endpoint, outcome, says) in [
            (
                401,
                fault(Code::Unauthorized),
                false,
                Outcome::Ok,
                "P21 responds",
            ),
            (
                403,
                fault(Code::Forbidden),
                false,
                Outcome::Ok,
                "P21 responds",
            ),
            (404, fault(Code::NotFound), false, Outcome::Fail, "what"),
            (404, fault(Code::NotFound), true, Outcome::Warn, "what"),
            (200, fault(Code::Parse), false, Outcome::Fail, "what"),
            (503, fault(Code::Server), true, Outcome::Fail, "what"),
            (200, Ok(()), false, Outcome::Warn, "without a token"),
        ] {
            let step = judge_server("https://p21/x", status, &verdict, || token_endpoint);
            assert_eq!(step.outcome, outcome, "{status} {step:?}");
            assert!(step.saw[0].contains(says), "{step:?}");
        }
    }

    #[test]
    fn a_dead_token_is_explained_by_where_it_came_from() {
        for (source, says) in [
            (Source::Stored, "store clear"),
            (Source::Own, "access_token_file"),
            (Source::Asked, "hint"),
        ] {
            let step = outcome("odata", "OData service", &fault(Code::Unauthorized), source);
            let last = step.advice.last().expect("advice");
            assert!(last.contains(says), "{step:?}");
        }
        let step = outcome(
            "odata",
            "OData service",
            &fault(Code::Forbidden),
            Source::Stored,
        );
        assert_eq!(step.advice, ["hint"]);
    }
}
