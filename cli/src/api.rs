//! `p21auth api`: one call to a P21 API with the token, or as many as a list has pages.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _, Read as _, Write as _};

use serde_json::value::RawValue;
use url::Url;

use p21auth::Client;
use p21auth::Verdict;
use p21auth::internal::client::ApiCall;
use p21auth::internal::secret::Secret;
use p21auth::internal::wire::{Method, Response};
use p21auth::{Code, Error};

use super::args::ApiArgs;
use super::failure::Failure;
use super::output;

/// Largest request that is read, and response that is printed.
const MAX_BODY: usize = 256 << 20;

/// Rows asked for at a time by `--all`.
const PAGE: usize = 1000;

/// Makes the call and prints what comes.
pub(super) fn api(args: &ApiArgs) -> Result<(), Failure> {
    let body = args.input.as_deref().map(read_input).transpose()?;
    let method = method(args, body.is_some())?;
    let client = args.connection.open()?;
    let mut url = target(&args.path, &client)?;
    let reads = matches!(method, Method::Get | Method::Head | Method::Delete);
    let fields = fields(&args.fields)?;
    let body = match body {
        Some(body) => Some(body),
        None if reads || fields.is_empty() => None,
        None => Some(Secret::new(object(&fields))),
    };
    if reads || args.input.is_some() {
        for (name, value) in &fields {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
    let mut headers = headers(&args.headers)?;
    let is_typed = headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if body.is_some() && !is_typed {
        headers.push(("Content-Type", Secret::new("application/json")));
    }
    let call = ApiCall {
        method,
        url,
        headers,
        body,
        max_body: MAX_BODY,
    };
    if args.all {
        if method != Method::Get {
            return Err(Failure::usage("--all works only for reads", ""));
        }
        return all(call, &client);
    }
    let (response, outcome) = send(&call, &client)?;
    print(&response)?;
    outcome
}

fn method(args: &ApiArgs, has_input: bool) -> Result<Method, Failure> {
    let Some(name) = &args.method else {
        return Ok(if has_input { Method::Post } else { Method::Get });
    };
    Ok(match name.to_ascii_uppercase().as_str() {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        "DELETE" => Method::Delete,
        "HEAD" => Method::Head,
        _ => {
            return Err(Failure::usage(
                format!("-X {name} is not a method of the P21 APIs"),
                "Use GET, POST, PUT, PATCH, DELETE or HEAD.",
            ));
        }
    })
}

/// Where a path leads: below the base URL, below the UI server for `uiserver…`, or a whole URL of one of the two.
fn target(path: &str, client: &Client) -> Result<Url, Failure> {
    let settings = client.settings()?;
    if path.contains("://") {
        let url = Url::parse(path)
            .map_err(|error| Failure::usage(format!("PATH is not a URL: {error}"), ""))?;
        let base = Url::parse(settings.base_url.as_str()).ok();
        let own = base.is_some_and(|base| base.origin() == url.origin());
        let plain = url.username().is_empty() && url.password().is_none();
        if plain && (own || is_ui_server(&url, client)?) {
            return Ok(url);
        }
        return Err(Failure::usage(
            format!(
                "the token is not sent to {}, which is neither base_url nor the UI server",
                url.origin().ascii_serialization()
            ),
            "Pass only the path, such as odataservice/odata/table/customer.",
        ));
    }
    let path = path.trim_start_matches('/');
    if path.to_ascii_lowercase().starts_with("uiserver") {
        let rest = path.find(['/', '?']).map_or("", |at| &path[at..]);
        let url = format!("{}{rest}", client.ui_url()?);
        return Url::parse(&url).map_err(|error| Failure::usage(format!("PATH: {error}"), ""));
    }
    Ok(settings.base_url.join(&format!("/{path}"))?)
}

fn is_ui_server(url: &Url, client: &Client) -> Result<bool, Failure> {
    let own = Url::parse(&client.ui_url()?);
    Ok(own.is_ok_and(|own| own.origin() == url.origin()))
}

/// `name=value` pairs.
fn fields(list: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let pair = |field: &String| {
        let (name, value) = field.split_once('=').ok_or_else(|| {
            Failure::usage(
                "-f needs NAME=VALUE",
                "Such as -f '$top=5'; quotes keep the shell from replacing $top.",
            )
        })?;
        Ok((name.to_owned(), value.to_owned()))
    };
    list.iter().map(pair).collect()
}

fn object(fields: &[(String, String)]) -> String {
    let members = fields
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().into()));
    serde_json::Value::Object(members.collect()).to_string()
}

fn headers(list: &[String]) -> Result<Vec<(&'static str, Secret)>, Failure> {
    let header = |text: &String| {
        let (name, value) = text
            .split_once(':')
            .ok_or_else(|| Failure::usage("-H needs 'Name: value'", ""))?;
        let name = name.trim();
        if name.eq_ignore_ascii_case("authorization") {
            return Err(Failure::usage(
                "-H Authorization is not accepted: the token is added automatically",
                "To use your own token, set the option access_token.",
            ));
        }
        // A handful, and this process makes one call.
        let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
        Ok((name, Secret::new(value.trim())))
    };
    list.iter().map(header).collect()
}

fn read_input(file: &str) -> Result<Secret, Failure> {
    let bad = |error: io::Error| {
        let hint = match error.kind() {
            io::ErrorKind::InvalidData => "The body must be text in UTF-8.",
            _ => "",
        };
        Failure::usage(format!("--input: {file} cannot be read: {error}"), hint)
    };
    let mut text = String::new();
    let most = u64::try_from(MAX_BODY).unwrap_or(u64::MAX);
    if file == "-" {
        io::stdin()
            .lock()
            .take(most)
            .read_to_string(&mut text)
            .map_err(bad)?;
    } else {
        let file = std::fs::File::open(file).map_err(bad)?;
        file.take(most).read_to_string(&mut text).map_err(bad)?;
    }
    Ok(Secret::new(text))
}

/// Sends the call; once more with a new token if the first was to blame. A failed call has its response, too.
fn send(call: &ApiCall, client: &Client) -> Result<(Response, Result<(), Failure>), Failure> {
    let mut is_second = false;
    loop {
        let token = client.token()?;
        let asked = client.call_api(call, &token)?;
        let status = asked.response.status;
        if matches!(status, 401 | 403) && !is_second {
            let verdict = client.report(token.value(), i32::from(status), &asked.response.body)?;
            if verdict == Verdict::Retry {
                is_second = true;
                continue;
            }
        }
        return Ok((asked.response, asked.verdict.map_err(Failure::from)));
    }
}

fn print(response: &Response) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(&response.body)?;
    if out.is_terminal() && !response.body.is_empty() && !response.body.ends_with(b"\n") {
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// A page of a list.
struct Page {
    rows: Vec<Box<RawValue>>,
    next: Option<String>,
}

impl Page {
    /// An `OData` page, or a list as it stands. Rows are kept as they are written.
    fn read(body: &[u8]) -> Option<Page> {
        if let Ok(rows) = serde_json::from_slice(body) {
            return Some(Page { rows, next: None });
        }
        let fields: HashMap<String, Box<RawValue>> = serde_json::from_slice(body).ok()?;
        let rows = serde_json::from_str(fields.get("value")?.get()).ok()?;
        let next = fields
            .get("@odata.nextLink")
            .and_then(|next| serde_json::from_str(next.get()).ok());
        Some(Page { rows, next })
    }
}

/// All rows as one list: by the server's links, and by `$top` and `$skip` until a page is short.
fn all(mut call: ApiCall, client: &Client) -> Result<(), Failure> {
    let own = |url: &Url, name: &str| {
        let found = url.query_pairs().find(|(n, _)| n == name);
        found.and_then(|(_, value)| value.parse::<usize>().ok())
    };
    let top = own(&call.url, "$top")
        .filter(|top| *top > 0)
        .unwrap_or(PAGE);
    let mut skip = own(&call.url, "$skip").unwrap_or(0);
    let first = call.url.clone();
    let mut rows: Vec<Box<RawValue>> = Vec::new();
    loop {
        call.url = window(&first, top, skip);
        let begin = rows.len();
        loop {
            let (response, outcome) = send(&call, client)?;
            if outcome.is_err() {
                print(&response)?;
                return outcome;
            }
            let page = Page::read(&response.body).ok_or_else(|| {
                Error::new(Code::Parse, "the response is not a list")
                    .with_hint("--all is for lists: OData tables and views, and entities.")
            })?;
            rows.extend(page.rows);
            let Some(next) = page.next else { break };
            let next = call
                .url
                .join(&next)
                .ok()
                .filter(|next| next.origin() == first.origin());
            call.url = next
                .ok_or_else(|| Error::new(Code::Redirect, "the next page is on another server"))?;
        }
        let came = rows.len() - begin;
        let repeats =
            begin > 0 && came > 0 && rows[begin].get() == rows[begin - came.min(begin)].get();
        if repeats && came == top {
            return Err(Error::new(
                Code::Parse,
                "the server repeats its first page: it ignores $skip",
            )
            .with_hint("Omit --all, and request all rows at once with a large $top.")
            .into());
        }
        if came < top {
            break;
        }
        skip += came;
    }
    let list: Vec<&str> = rows.iter().map(|row| row.get()).collect();
    output::value(&format!("[{}]", list.join(",\n ")))?;
    Ok(())
}

/// The URL with these rows asked for.
fn window(url: &Url, top: usize, skip: usize) -> Url {
    let mut window = url.clone();
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| name != "$top" && name != "$skip")
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    window
        .query_pairs_mut()
        .clear()
        .extend_pairs(kept)
        .append_pair("$top", &top.to_string())
        .append_pair("$skip", &skip.to_string());
    window
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read_in_both_shapes() {
        let page = Page::read(br#"{"@odata.nextLink": "x", "value": [{"b": 1.50, "a": 2}]}"#);
        let page = page.expect("a page");
        assert_eq!(
            page.rows[0].get(),
            r#"{"b": 1.50, "a": 2}"#,
            "as it is written"
        );
        assert_eq!(page.next.as_deref(), Some("x"));
        assert_eq!(Page::read(b"[1,2]").map(|page| page.rows.len()), Some(2));
        for body in ["{}", r#"{"value": 1}"#, "7", ""] {
            assert!(Page::read(body.as_bytes()).is_none(), "{body}");
        }
    }

    #[test]
    fn a_window_takes_the_place_of_the_one_before() {
        let url =
            Url::parse("https://p21.example.com/x?$filter=a+eq+1&$top=5&$skip=2").expect("a URL");
        let pairs: Vec<_> = window(&url, 9, 18).query_pairs().into_owned().collect();
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        assert_eq!(
            pairs,
            [("$filter", "a eq 1"), ("$top", "9"), ("$skip", "18")]
        );
    }

    #[test]
    fn fields_become_an_object() {
        let fields = fields(&["a=1".into(), "b=x=\"y\"".into()]).expect("pairs");
        assert_eq!(object(&fields), r#"{"a":"1","b":"x=\"y\""}"#);
        assert!(super::fields(&["a".into()]).is_err());
        assert!(headers(&["Authorization: Bearer x".into()]).is_err());
    }
}
