//! Tokens in each dialect and from each kind of reply, and the UI server's URL.

use p21_emulator::{Options, ReplyFormat};
use p21auth::internal::clock::{Clock as _, SystemClock};

use super::super::output::span;
use super::server::{KEY, Pairs, Server};
use super::{Setup, Stage, heading};

const USER: (&str, &str) = ("username", "demo");
const PASSWORD: (&str, &str) = ("password", "demo-password");
const CONSUMER: (&str, &str) = ("consumer_key", KEY);

/// What is asked, the options that ask for it, and the counter of the emulator that must have seen it.
const DIALECTS: &[(&str, Pairs<'static>, &str)] = &[
    (
        "V2, user and password",
        &[USER, PASSWORD],
        "token.dialect.v2_password",
    ),
    ("V2, consumer key", &[CONSUMER], "token.dialect.v2_consumer"),
    (
        "V2, consumer key with a P21 user",
        &[CONSUMER, USER],
        "token.dialect.v2_consumer",
    ),
    (
        "V1, user and password in headers",
        &[USER, PASSWORD, ("auth_mode", "v1_password")],
        "token.dialect.v1_password",
    ),
    (
        "V1, consumer key in client_secret",
        &[CONSUMER, ("auth_mode", "v1_consumer")],
        "token.profile.client_secret",
    ),
    (
        "V1, consumer key in consumer_key",
        &[
            CONSUMER,
            ("auth_mode", "v1_consumer"),
            ("v1_consumer_headers", "consumer_key"),
        ],
        "token.profile.consumer_key",
    ),
    (
        "V1, consumer key in appkey",
        &[
            CONSUMER,
            ("auth_mode", "v1_consumer"),
            ("v1_consumer_headers", "appkey"),
        ],
        "token.profile.appkey",
    ),
    (
        "V1, in the URL",
        &[USER, PASSWORD, ("auth_mode", "v1_query")],
        "token.dialect.v1_query",
    ),
];

const REPLIES: &[(&str, ReplyFormat)] = &[
    ("JSON", ReplyFormat::Json),
    ("XML, root act:Token", ReplyFormat::Xml),
    ("XML, root TokenResponse", ReplyFormat::TokenResponse),
    ("the bare token as text", ReplyFormat::Bare),
    ("the bare token as a JSON string", ReplyFormat::BareJson),
];

pub(super) fn show(stage: &mut Stage) -> Setup<()> {
    let server = Server::start(Options::tls())?;
    heading("A token in each dialect")?;
    for (name, pairs, counter) in DIALECTS {
        let before = server.control.counter(counter);
        let token = server.client(pairs)?.token()?;
        let lives = token.expires_in_s(SystemClock.now());
        let asked = server.control.counter(counter) - before;
        let seen = format!(
            "token {}… ({} characters), valid for {}",
            &token.value()[..8],
            token.value().len(),
            span(lives)
        );
        stage.check(
            name,
            &seen,
            asked == 1 && (86_000..=86_400).contains(&lives),
        )?;
    }

    heading("The same token request, with each format that servers return")?;
    let client = server.demo_client(&[])?;
    for (name, reply) in REPLIES {
        let mut settings = server.control.settings();
        settings.reply = *reply;
        server.control.set_settings(settings);
        let before = client.token()?;
        client.invalidate(None)?;
        let token = client.token()?;
        let user = token.field("Claims.sub").unwrap_or_default().into_owned();
        let seen = format!("token {} for the P21 user {user}", token.fingerprint());
        stage.check(
            name,
            &seen,
            user == "demo" && token.value() != before.value(),
        )?;
    }

    heading("The UI server, for the Interactive and Transaction APIs")?;
    let url = client.ui_url()?;
    let again = client.ui_url()?;
    let asked = server.control.counter("router.requests");
    let expected = format!("{}/uiserver0", server.base_url());
    stage.check(
        "the UI URL, needed twice",
        &format!("{url}, {asked} request to the router"),
        *url == *expected && again == url && asked == 1,
    )?;
    Ok(())
}
