//! What a user reads when something is wrong.

use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

use p21_emulator::{Action, Certificate, Fault, Options, User};
use p21auth::Verdict;
use p21auth::{Code, Error};

use super::super::failure::Failure;
use super::super::output::span;
use super::server::{KEY, Pairs, Server, UI_KEY};
use super::{Setup, Stage, heading, quote};

pub(super) fn show(stage: &mut Stage) -> Setup<()> {
    let server = Server::start(Options::tls())?;
    heading("Failures at the token endpoint: the message, and what to do")?;
    credentials(stage, &server)?;
    address(stage, &server)?;
    certificates(stage, &server)?;
    bad_days(stage, &server)?;
    heading("Failures of API calls: whether another token would help")?;
    api_calls(stage, &server)
}

fn credentials(stage: &mut Stage, server: &Server) -> Setup<()> {
    let wrong = [("username", "demo"), ("password", "a wrong one")];
    failure(stage, "wrong password", Code::Unauthorized, server, &wrong)?;
    let wrong = [("consumer_key", "11111111-2222-4333-8444-555555555555")];
    failure(
        stage,
        "wrong consumer key",
        Code::Unauthorized,
        server,
        &wrong,
    )
}

fn address(stage: &mut Stage, server: &Server) -> Setup<()> {
    let fault = |action| server.control.fault(Fault::on("/token", action));
    fault(Action::Html);
    failure(
        stage,
        "wrong address: the web client's page is there",
        Code::Parse,
        server,
        &user(server, "page"),
    )?;
    let url = format!("{}/wrong/path", server.base_url());
    let pairs = [("base_url", url.as_str()), ("consumer_key", KEY)];
    failure(
        stage,
        "wrong address: IIS answers 404",
        Code::NotFound,
        server,
        &pairs,
    )?;
    fault(Action::Redirect {
        location: "https://elsewhere.example.com/api/security/token/v2".into(),
        status: 307,
    });
    failure(
        stage,
        "a redirect to another host",
        Code::Redirect,
        server,
        &user(server, "redirect"),
    )?;

    // Bound but not listening: no one else can take this port meanwhile.
    let io = |error: std::io::Error| Failure::other(format!("no port for the demo: {error}"), "");
    let closed = Socket::new(Domain::IPV4, Type::STREAM, None).map_err(io)?;
    closed
        .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
        .map_err(io)?;
    let port = closed
        .local_addr()
        .map_err(io)?
        .as_socket()
        .map_or(0, |address| address.port());
    let url = format!("https://127.0.0.1:{port}");
    let pairs = [
        ("base_url", url.as_str()),
        ("consumer_key", KEY),
        ("max_retries", "0"),
    ];
    failure(stage, "the server is down", Code::Connect, server, &pairs)
}

fn certificates(stage: &mut Stage, server: &Server) -> Setup<()> {
    let key = ("consumer_key", KEY);
    failure(
        stage,
        "a certificate from an unknown CA",
        Code::Tls,
        server,
        &[key, ("ca_file", "")],
    )?;
    let other = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    failure(
        stage,
        "a different certificate than the pinned one",
        Code::Tls,
        server,
        &[key, ("tls_pin_sha256", other)],
    )?;
    let pinned = server.client(&[key, ("ca_file", ""), ("tls_pin_sha256", server.pin())])?;
    let token = pinned.token();
    stage.check(
        "the right pin, and no CA file",
        if token.is_ok() { "a token" } else { "no token" },
        token.is_ok(),
    )?;
    let expired = Server::start(Options {
        tls: Some(Certificate::Expired),
        ..Options::default()
    })?;
    failure(stage, "an expired certificate", Code::Tls, &expired, &[key])
}

fn bad_days(stage: &mut Stage, server: &Server) -> Setup<()> {
    let fault = |action| server.control.fault(Fault::on("/token", action));
    let once = |name| {
        let mut pairs = user(server, name);
        pairs.push(("max_retries", "0"));
        pairs
    };
    fault(Action::answer(503, "Service Unavailable"));
    failure(
        stage,
        "the server answers 503",
        Code::Server,
        server,
        &once("restart"),
    )?;
    fault(Action::answer_with(429, ("Retry-After", "120"), ""));
    failure(
        stage,
        "the server throttles",
        Code::RateLimited,
        server,
        &once("throttled"),
    )
}

fn api_calls(stage: &mut Stage, server: &Server) -> Setup<()> {
    let readonly = [("username", "readonly"), ("password", "readonly-password")];
    rejection(
        stage,
        "401, the user may not use OData",
        Verdict::Permission,
        server,
        &readonly,
        true,
    )?;
    let scope = [("consumer_key", UI_KEY)];
    rejection(
        stage,
        "403, outside of the key's scope",
        Verdict::Permission,
        server,
        &scope,
        true,
    )?;
    let key = [("consumer_key", KEY), ("username", "lost")];
    rejection(
        stage,
        "401, the header got lost",
        Verdict::HeaderLost,
        server,
        &key,
        false,
    )
}

/// The emulator's user of this name: an identity that no other step of the demo has met.
fn user<'a>(server: &Server, name: &'a str) -> Vec<(&'a str, &'a str)> {
    server.control.set_user(User::new(name, "made-up"));
    vec![("username", name), ("password", "made-up")]
}

/// Asks for a token, expects this code, and shows what a user would read.
fn failure(
    stage: &mut Stage,
    what: &str,
    code: Code,
    server: &Server,
    pairs: Pairs<'_>,
) -> Setup<()> {
    let result = server.client(pairs)?.token();
    match result {
        Ok(_) => stage.check(what, "a token", false)?,
        Err(error) => {
            stage.check(
                what,
                error.code().name(),
                error.code() == code && !error.hint().is_empty(),
            )?;
            explain(&error)?;
        }
    }
    Ok(())
}

fn explain(error: &Error) -> Setup<()> {
    quote("message:", error.message())?;
    quote("hint:", error.hint())?;
    if let Some(wait) = error.retry_after().filter(|wait| wait.as_secs() > 0) {
        let wait = span(i64::try_from(wait.as_secs()).unwrap_or(i64::MAX));
        quote("next try:", &format!("not sooner than in {wait}"))?;
    }
    Ok(())
}

/// Calls an API, reports its answer, and expects this verdict and no token request because of it.
fn rejection(
    stage: &mut Stage,
    what: &str,
    verdict: Verdict,
    server: &Server,
    pairs: Pairs<'_>,
    with_header: bool,
) -> Setup<()> {
    let client = server.client(pairs)?;
    let token = client.token()?;
    let before = server.token_requests();
    let response = server.odata(with_header.then(|| token.with_scheme()))?;
    let seen = client.report(token.value(), response.status.into(), &response.body)?;
    let same = client.token()?.value() == token.value();
    let asked = server.token_requests() - before;
    stage.check(
        what,
        &format!("{seen:?}, {asked} token requests"),
        seen == verdict && same && asked == 0,
    )?;
    quote("hint:", seen.hint())?;
    Ok(())
}
