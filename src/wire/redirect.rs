//! Which redirects may be followed. V1 credentials travel in headers of their own, which HTTP clients forward to anybody,
//! so the transport follows nothing and this decides.

use url::Url;

use super::{Method, Request, Response};
use crate::error::{Code, Error, Result};

/// Redirects followed in a row before it counts as a circle.
const MAX_HOPS: u32 = 5;

/// What a response says about going elsewhere: `None` when it is no redirect, or the request to send next. `hop` is the
/// number of redirects already followed for this call.
///
/// 307 and 308 within the same origin keep method, body and headers; for a GET so do 301 and 302.
///
/// # Errors
///
/// `Redirect` for everything else: another origin, https to http, 301, 302 or 303 on a POST, no usable `Location`, a
/// sixth hop. The error names the target's origin and nothing else of it.
pub fn redirect(request: &Request, response: &Response, hop: u32) -> Result<Option<Request>> {
    let status = response.status;
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let fault = |what: String, hint: &str| {
        Err(Error::new(
            Code::Redirect,
            format!("{} {what} (HTTP {status})", request.shown_url()),
        )
        .with_http_status(status)
        .with_hint(hint))
    };
    let base_hint =
        "Check base_url: it must be the address at which the P21 middleware itself answers.";
    let Some(target) = response
        .header("location")
        .and_then(|location| request.url.join(location.trim()).ok())
    else {
        return fault("redirects without a usable Location".to_owned(), base_hint);
    };
    if target.origin() != request.url.origin() {
        let origin = shown_origin(&target);
        let hint = if request.url.scheme() == "https" && target.scheme() == "http" {
            "A redirect from https to http would send credentials unprotected; the server or a proxy before it is set up wrongly.".to_owned()
        } else if target.scheme() == "http" || target.scheme() == "https" {
            format!("If {origin} is your P21 server, set base_url to it.")
        } else {
            base_hint.to_owned()
        };
        return fault(
            format!("redirects to {origin}, where credentials must not go"),
            &hint,
        );
    }
    if !target.username().is_empty() || target.password().is_some() {
        return fault(
            "redirects to a URL with a user or password in it".to_owned(),
            base_hint,
        );
    }
    let keeps_method = matches!(status, 307 | 308)
        || (request.method == Method::Get && matches!(status, 301 | 302));
    if !keeps_method {
        return fault(
            format!(
                "redirects within {} in a way that would turn the request into another one",
                shown_origin(&target)
            ),
            base_hint,
        );
    }
    if hop >= MAX_HOPS {
        return fault(
            format!(
                "redirects more than {MAX_HOPS} times in a row within {}",
                shown_origin(&target)
            ),
            base_hint,
        );
    }
    let mut target = target;
    target.set_fragment(None);
    let mut next = request.clone();
    next.replace_url(target);
    Ok(Some(next))
}

/// Scheme, host and port; the scheme alone where there is no host.
fn shown_origin(url: &Url) -> String {
    let origin = url.origin();
    if origin.is_tuple() {
        origin.ascii_serialization()
    } else {
        format!("a {}: address", url.scheme())
    }
}
