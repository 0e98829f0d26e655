//! From the bytes of a token reply to a [`Reply`], or to an error that says why it is none.

use zeroize::Zeroizing;

use super::body::{Body, Fields};
use crate::error::{Code, Error, Result};
use crate::secret::{Scrubber, Secret};
use crate::token::{
    Reply, is_header_token, is_jwt, jwt_claims, reply_json, stated_lifetime_s, without_scheme,
};

/// What a wrong base URL needs.
pub(super) const BASE_URL_HINT: &str = "Check base_url: it must be the P21 middleware (SOA) address. Cloud tenants often have a separate -api host next to the web client's; servers on premises often use a port such as 3443 or 8443.";

/// Reads the body of a successful token reply: JSON, XML, or a bare JWT, told apart by the body alone.
///
/// # Errors
///
/// `Unauthorized` when the body says that the credentials are wrong; `NoAccessToken` when it was understood and holds no
/// usable token; `Parse` when it could not be understood (a web page, broken JSON or XML, plain text). None shows a token.
pub fn parse_token_body(body: &[u8], scrub: &Scrubber) -> Result<Reply> {
    reply_of(&Body::read(body), scrub)
}

/// A token reply as JSON in the guide's names, every name always present. `ExpiresIn` and `ExpiresInSeconds` are what the
/// reply states, or else its JWT, and null when neither does.
///
/// # Errors
///
/// As [`parse_token_body`].
pub fn parse_response_json(body: &[u8]) -> Result<Zeroizing<String>> {
    let reply = parse_token_body(body, &Scrubber::default())?;
    let access = reply.access_token.expose();
    let claims = jwt_claims(access);
    let lifetime_s = reply
        .stated_lifetime_s
        .or_else(|| claims.as_ref()?.lifetime_s());
    Ok(reply_json(access, &reply, lifetime_s, claims.as_ref()))
}

pub(super) fn reply_of(body: &Body, scrub: &Scrubber) -> Result<Reply> {
    match body {
        Body::Json(fields) | Body::Xml(fields) => match reply_of_fields(fields, matches!(body, Body::Json(_)))? {
            Some(reply) => Ok(reply),
            None if body.is_bad_credentials() => Err(bad_credentials(body, scrub)),
            None => Err(no_token(body, fields, scrub)),
        },
        Body::Text(text) if is_jwt(without_scheme(text.expose())) => Ok(Reply {
            access_token: Secret::new(without_scheme(text.expose())),
            ..Reply::default()
        }),
        Body::Text(_) if body.is_bad_credentials() => Err(bad_credentials(body, scrub)),
        Body::Text(text) => {
            let what = "the response is plain text, not a token";
            // One word may be a token of a kind that no one has seen; a sentence is not.
            let what = if text.expose().contains(char::is_whitespace) {
                with_plain_words(what, body, scrub)
            } else {
                what.to_owned()
            };
            Err(Error::new(Code::Parse, what).with_hint(BASE_URL_HINT))
        }
        Body::Empty => Err(Error::new(Code::NoAccessToken, "the response is empty")
            .with_hint("A proxy may have dropped the body, or another program responds at base_url.")),
        Body::Scalar => Err(Error::new(
            Code::NoAccessToken,
            "the response is JSON, but neither an object nor a token",
        )
        .with_hint(BASE_URL_HINT)),
        Body::Html(_) => Err(Error::new(
            Code::Parse,
            with_plain_words("the response is a web page, not a token", body, scrub),
        )
        .with_hint(BASE_URL_HINT)),
        Body::Broken(what) => Err(Error::new(
            Code::Parse,
            format!("the response cannot be read: {what}"),
        )
        .with_hint("If it happens again, a proxy may cut responses off; otherwise another program responds at base_url.")),
        Body::Binary(compression) => Err(unreadable("the response", *compression)),
    }
}

/// `what` is not text; how it is compressed, where that is known.
pub(super) fn unreadable(what: &str, compression: Option<&str>) -> Error {
    match compression {
        Some(name) => Error::new(
            Code::Parse,
            format!("{what} is compressed ({name}), although no compression was requested"),
        )
        .with_hint("Turn compression off for the P21 APIs: dynamic compression in IIS, or in a proxy in front of the server."),
        None => Error::new(Code::Parse, format!("{what} is binary data, not text"))
            .with_hint(BASE_URL_HINT),
    }
}

/// As [`with_words`], for a reply that should have held a token and is not understood: it may hold one that is not known yet, so
/// only words that are none are shown.
pub(super) fn with_plain_words(what: &str, body: &Body, scrub: &Scrubber) -> String {
    let is_plain = |word: &&str| {
        let core = word.trim_matches(|c: char| !c.is_alphanumeric());
        let is_word = core.chars().all(|c| c.is_alphabetic() || c == '\'') && core.len() <= 24;
        is_word || core.len() <= 4
    };
    let shown = body.words(scrub);
    let shown: Vec<&str> = shown
        .split(' ')
        .map(|word| if is_plain(&word) { word } else { "…" })
        .collect();
    match shown.join(" ") {
        words if words.is_empty() => what.to_owned(),
        words => format!("{what}; the server says: {words}"),
    }
}

/// `what`, and what the server has to say about it.
pub(super) fn with_words(what: &str, body: &Body, scrub: &Scrubber) -> String {
    if let Body::Binary(Some(compression)) = body {
        return format!("{what}; the response is compressed ({compression}) and was not read");
    }
    match body.words(scrub) {
        words if words.is_empty() => what.to_owned(),
        words => format!("{what}; the server says: {words}"),
    }
}

fn bad_credentials(body: &Body, scrub: &Scrubber) -> Error {
    Error::new(
        Code::Unauthorized,
        with_words("the server rejects the credentials", body, scrub),
    )
    .with_hint("Check username and password, or verify the consumer key in SOA Admin.")
}

fn no_token(body: &Body, fields: &Fields, scrub: &Scrubber) -> Error {
    let words = body.words(scrub);
    if !words.is_empty() {
        return Error::new(
            Code::NoAccessToken,
            format!("the response contains no access token; the server says: {words}"),
        )
        .with_hint("The middleware failed internally: its message above, and its log, say why.");
    }
    let mut given = fields.direct("accesstoken").chain(fields.direct("token"));
    let what = if given.any(|field| !field.is_text) {
        "the response's access token is a JSON number or boolean, not a string"
    } else if fields.direct("accesstoken").next().is_some() {
        "the response's access token is empty"
    } else {
        "the response contains no access token"
    };
    Error::new(Code::NoAccessToken, what).with_hint(BASE_URL_HINT)
}

/// `keep_empty`: a text that is there and empty stays an empty text, as code written after the guide sees it in JSON. An
/// empty XML element says no more than a missing one.
fn reply_of_fields(fields: &Fields, keep_empty: bool) -> Result<Option<Reply>> {
    let Some(access_token) = fields.text(&["accesstoken", "token"]) else {
        return Ok(None);
    };
    // Some servers write it as it goes into the header.
    let bare = without_scheme(access_token.expose());
    let has_scheme = !bare.is_empty() && bare.len() < access_token.expose().trim().len();
    let unwrapped = has_scheme.then(|| Secret::new(bare));
    let access_token = unwrapped.as_ref().unwrap_or(access_token);
    if bare.is_empty() || !is_header_token(access_token.expose()) {
        let what = if bare.is_empty() && is_header_token(access_token.expose().trim()) {
            "is the word Bearer with nothing after it"
        } else if access_token.expose().trim().is_empty() {
            "is blank"
        } else {
            "contains blanks, control characters or letters beyond ASCII, which a header cannot carry"
        };
        return Err(Error::new(
            Code::NoAccessToken,
            format!("the response's access token {what}"),
        )
        .with_hint("Something between here and the P21 server changes its responses."));
    }
    // Numbers too: an id is an id whether it is in quotation marks or not.
    let text = |name: &str| {
        let mut texts = fields.direct(name).map(|field| field.text.expose());
        let first = texts.next()?;
        let full = std::iter::once(first)
            .chain(texts)
            .find(|text| !text.is_empty());
        full.or(keep_empty.then_some("")).map(str::to_owned)
    };
    let lifetimes = ["expiresinseconds", "expiresin"];
    Ok(Some(Reply {
        access_token: access_token.clone(),
        refresh_token: text("refreshtoken").map(Secret::new),
        token_type: text("tokentype").filter(|kind| !kind.is_empty()),
        stated_lifetime_s: lifetimes
            .iter()
            .flat_map(|name| fields.direct(name))
            .filter_map(|field| stated_lifetime_s(field.text.expose()))
            .min(),
        user_name: text("username"),
        scope: text("scope"),
        session_id: text("sessionid"),
        consumer_uid: text("consumeruid"),
        app_key: text("appkey"),
    }))
}
