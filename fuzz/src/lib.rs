//! What each fuzz target does with its input, and what must hold no matter what that is.
//!
//! `tests/behavior/corpus.rs` takes in this very file and runs the same functions over `fuzz/seeds`, so an input that once broke
//! something is tried by every `cargo test`.

use std::sync::LazyLock;

use p21auth::Error;
use p21auth::Verdict;
use p21auth::internal::options::{AuthMode, BaseUrl, Dotenv, parse_dotenv};
use p21auth::internal::secret::{Scrubber, Secret};
use p21auth::internal::store::{self, seal};
use p21auth::internal::token::{is_header_token, is_jwt, jwt_claims};
use p21auth::internal::wire::{self, Method, Request, Response};
use url::Url;
use zeroize::Zeroizing;

/// What a fuzzer feeds, and an ordinary test with the seeds.
pub type Target = fn(&[u8]);

/// Every target: the name of its folder in `fuzz/seeds`, and its function.
pub const TARGETS: &[(&str, Target)] = &[
    ("reply", reply),
    ("verdict", verdict),
    ("base_url", base_url),
    ("dotenv", dotenv),
    ("redirect", redirect),
    ("router", router),
    ("claims", claims),
    ("unseal", unseal),
];

/// Stands for the caller's password; no error may show it.
const SECRET: &str = "hunter22-Hunter22";

/// The token endpoint's answer: two bytes of status, one of mode, then the body.
pub fn reply(data: &[u8]) {
    let Some((status, [mode, body @ ..])) = status(data) else {
        return;
    };
    let secret = Secret::new(SECRET);
    let scrub = Scrubber::new([&secret]);
    let modes = [
        AuthMode::V2Password,
        AuthMode::V2Consumer,
        AuthMode::V1Password,
        AuthMode::V1Consumer,
        AuthMode::V1Query,
    ];
    let mode = modes[usize::from(*mode) % modes.len()];
    let answer = response(status, "retry-after", "7", body);
    let request = request(Method::Post);
    for outcome in [
        wire::parse_token_body(body, &scrub),
        wire::token_reply(&request, &answer, mode, &scrub, 1_700_000_000),
    ] {
        match outcome {
            Ok(reply) => {
                assert!(is_header_token(reply.access_token.expose()));
                assert!(reply.stated_lifetime_s.is_none_or(|life| life > 0));
            }
            Err(error) => readable(&error),
        }
    }
    let _ = wire::is_transient(&answer);
    let parsed = wire::parse_token_body(body, &Scrubber::default());
    match wire::parse_response_json(body) {
        Ok(text) => {
            let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            let token = parsed.expect("both read it").access_token;
            assert_eq!(json["AccessToken"].as_str(), Some(token.expose()));
        }
        Err(error) => assert_eq!(error.code(), parsed.expect_err("neither reads it").code()),
    }
}

/// An API's rejection: two bytes of status, then the body.
pub fn verdict(data: &[u8]) {
    let Some((status, body)) = status(data) else {
        return;
    };
    let verdict = wire::classify_rejection(status, body).verdict();
    match status {
        401 => assert_ne!(verdict, Verdict::GiveUp),
        403 => assert_ne!(verdict, Verdict::Retry),
        _ => assert_eq!(verdict, Verdict::GiveUp),
    }
}

/// A base URL as it was pasted, after one byte for `allow_http`.
pub fn base_url(data: &[u8]) {
    let Some((text, allow_http)) = text_after_flag(data) else {
        return;
    };
    let base = match BaseUrl::parse(text, allow_http) {
        Ok(base) => base,
        Err(error) => return readable(&error),
    };
    let url = base.url();
    assert!(url.username().is_empty() && url.password().is_none());
    assert!(url.query().is_none() && url.fragment().is_none());
    assert!(url.scheme() == "https" || (allow_http || base.is_loopback()));
    let shown = base.as_str();
    assert!(!shown.ends_with('/') && !url.path().to_ascii_lowercase().ends_with("/api"));
    // A host of letters alone is the one that was pasted, and not part of a path or a scheme.
    let host = url.host_str().expect("a host").to_ascii_lowercase();
    let full = text.trim().to_ascii_lowercase();
    let authority = full
        .strip_prefix("https://")
        .or_else(|| full.strip_prefix("http://"))
        .unwrap_or(&full);
    if host.bytes().all(|byte| byte.is_ascii_alphabetic())
        && text.is_ascii()
        && !authority.contains('%')
    {
        assert!(authority.starts_with(&host), "{host} of {text}");
    }
    let again = BaseUrl::parse(shown, allow_http).expect("the normal form is valid");
    assert_eq!(again, base, "the normal form is its own normal form");
    let joined = base.join("/api/security/token/v2").expect("a URL below it");
    assert_eq!(joined.origin(), url.origin());
    assert!(joined.as_str().starts_with(shown), "{joined} under {shown}");
}

/// A `.env` file.
pub fn dotenv(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match parse_dotenv(data, ".env", &|name| name.len() % 2 == 0) {
        Ok(Dotenv { pairs, unread }) => {
            assert!(pairs.len() + unread.len() <= text.lines().count());
            for (name, value) in pairs {
                assert!(!name.is_empty() && !name.contains(char::is_whitespace));
                let quoted: String = value
                    .expose()
                    .chars()
                    .flat_map(|c| match c {
                        '\n' => vec!['\\', 'n'],
                        '\r' => vec!['\\', 'r'],
                        '"' | '\\' => vec!['\\', c],
                        c => vec![c],
                    })
                    .collect();
                let line = format!("NAME=\"{quoted}\"");
                let again = parse_dotenv(line.as_bytes(), ".env", &|_| true);
                let again = again.expect("a value can be written back").pairs;
                assert_eq!((again.len(), again[0].1.expose()), (1, value.expose()));
            }
        }
        Err(error) => readable(&error),
    }
}

/// A redirect: two bytes of status, one of method and hop, then the `Location`.
pub fn redirect(data: &[u8]) {
    let Some((status, [how, location @ ..])) = status(data) else {
        return;
    };
    let Ok(location) = std::str::from_utf8(location) else {
        return;
    };
    let method = if how & 1 == 0 {
        Method::Post
    } else {
        Method::Get
    };
    let (request, hop) = (request(method), u32::from(how >> 1));
    match wire::redirect(&request, &response(status, "location", location, b""), hop) {
        Ok(None) => assert!(!matches!(status, 301 | 302 | 303 | 307 | 308)),
        Ok(Some(next)) => {
            assert!(hop < 5 && (method == Method::Get || matches!(status, 307 | 308)));
            assert_eq!(next.url.origin(), request.url.origin());
            assert!(next.url.username().is_empty() && next.url.password().is_none());
            assert!(next.url.fragment().is_none());
            assert!(
                (next.method, &next.headers, &next.body)
                    == (request.method, &request.headers, &request.body)
            );
        }
        Err(error) => readable(&error),
    }
}

/// The UI router's answer: two bytes of status, then the body.
pub fn router(data: &[u8]) {
    let Some((status, body)) = status(data) else {
        return;
    };
    let secret = Secret::new(SECRET);
    let scrub = Scrubber::new([&secret]);
    let base = BaseUrl::parse("https://p21.example.com", false).expect("valid");
    match wire::ui_url_reply(&base, &response(status, "x", "y", body), &scrub, 0) {
        Ok(text) => {
            assert!((200..300).contains(&status));
            assert!(
                text.starts_with("https://") && !text.ends_with('/'),
                "{text}"
            );
            assert!(!text.contains(|c: char| c.is_whitespace() || c.is_control()));
            let url = Url::parse(&text).expect("a URL");
            assert!(url.username().is_empty() && url.password().is_none());
        }
        Err(error) => readable(&error),
    }
}

/// A token of any kind.
pub fn claims(data: &[u8]) {
    let Ok(token) = std::str::from_utf8(data) else {
        return;
    };
    let Some(claims) = jwt_claims(token) else {
        return;
    };
    assert!(is_jwt(token) && is_header_token(token));
    let _ = claims.exp();
    for name in claims.0.keys() {
        let null = claims.0[name].is_null();
        assert_eq!(claims.text(name).is_none(), null);
    }
    assert_eq!(
        format!("{claims:?}"),
        format!("Claims({} names)", claims.0.len())
    );
}

/// What holds for every error: it says something, in one line of bearable length, and shows no secret.
fn readable(error: &Error) {
    let shown = format!("{error} {error:?}");
    assert!(
        !error.message().is_empty() && error.message().chars().count() < 1_000,
        "{shown}"
    );
    assert!(!shown.contains(SECRET), "{shown}");
    assert!(!error.to_string().contains(char::is_control), "{shown:?}");
}

/// A status of 100 to 599, the usual ones by a single digit so that mutations find them, and the rest.
fn status(data: &[u8]) -> Option<(u16, &[u8])> {
    const USUAL: [u16; 20] = [
        200, 401, 403, 307, 308, 302, 301, 303, 400, 404, 407, 408, 411, 429, 500, 502, 503, 504,
        201, 409,
    ];
    let (head, rest) = data.split_first_chunk::<2>()?;
    let number = match head {
        [b'a'..=b't', _] => USUAL[usize::from(head[0] - b'a')],
        _ => 100 + u16::from_be_bytes(*head) % 500,
    };
    Some((number, rest))
}

fn text_after_flag(data: &[u8]) -> Option<(&str, bool)> {
    let (flag, rest) = data.split_first()?;
    Some((std::str::from_utf8(rest).ok()?, flag & 1 == 1))
}

fn request(method: Method) -> Request {
    Request {
        method,
        url: Url::parse("https://p21.example.com:3443/P21/api/security/token?x=y").expect("a URL"),
        headers: vec![("password", Secret::new(SECRET))],
        body: (method == Method::Post).then(|| Secret::new(SECRET)),
    }
}

fn response(status: u16, name: &str, value: &str, body: &[u8]) -> Response {
    Response {
        status,
        headers: vec![(name.to_owned(), value.to_owned())],
        body: Zeroizing::new(body.to_vec()),
    }
}

/// Bytes that lie where a store keeps its entries: no matter who put them there, they are understood or ignored.
pub fn unseal(data: &[u8]) {
    static KEYS: LazyLock<seal::Keys> = LazyLock::new(|| {
        let key = Secret::new("00000000-0000-4000-8000-00000000000A");
        let salt = std::array::from_fn(|at| u8::try_from(at).unwrap_or(0));
        let identity = "https://p21.example.com\nv2_password\nuser\nclient_secret";
        seal::Keys::derive(&salt, identity, &key, &Secret::default()).expect("keys")
    });
    for which in p21auth::internal::store::EntryKind::ALL {
        store::understand(&KEYS, which, data);
        let sealed = KEYS.seal(which, 0, data).expect("sealed");
        assert_eq!(&**KEYS.unseal(which, &sealed).expect("opens"), data);
        store::understand(&KEYS, which, &sealed);
    }
}
