//! Which redirects may be followed. V1 credentials travel in headers of their own, which HTTP clients forward to anyone,
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
    let base_hint = "Check base_url: it must be the address of the P21 middleware itself.";
    let Some(target) = response
        .header("location")
        .and_then(|location| request.url.join(location.trim()).ok())
    else {
        return fault("redirects without a usable Location".to_owned(), base_hint);
    };
    if target.origin() != request.url.origin() {
        let origin = shown_origin(&target);
        let hint = if request.url.scheme() == "https" && target.scheme() == "http" {
            "A redirect from https to http would send credentials unprotected; the server or a proxy in front of it is misconfigured.".to_owned()
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
                "redirects within {} in a way that would change the request",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    const FROM: &str = "https://p21.example.com/api/security/token?password=hunter22";

    fn request(method: Method) -> Request {
        Request {
            method,
            url: FROM.parse().expect("a URL"),
            headers: vec![("password", Secret::new("hunter22"))],
            body: (method == Method::Post).then(|| Secret::new("body")),
        }
    }

    fn follow(
        method: Method,
        status: u16,
        location: Option<&str>,
        hop: u32,
    ) -> Result<Option<Request>> {
        let response = Response {
            status,
            headers: location
                .map(|location| ("location".to_owned(), location.to_owned()))
                .into_iter()
                .collect(),
            ..Response::default()
        };
        redirect(&request(method), &response, hop)
    }

    #[test]
    fn what_is_no_redirect_goes_nowhere() {
        for status in [200, 201, 300, 304, 400, 401, 500] {
            let result = follow(Method::Post, status, Some("https://evil.example/"), 0);
            assert_eq!(result, Ok(None), "{status}");
        }
    }

    #[test]
    fn the_same_origin_keeps_everything() {
        for (location, url) in [
            (
                "/api/security/token/",
                "https://p21.example.com/api/security/token/",
            ),
            ("token/#x", "https://p21.example.com/api/security/token/"),
            (
                "https://P21.example.com:443/x?y=1",
                "https://p21.example.com/x?y=1",
            ),
            ("//p21.example.com/x", "https://p21.example.com/x"),
        ] {
            for (method, statuses) in [
                (Method::Post, &[307, 308][..]),
                (Method::Get, &[301, 302, 307, 308]),
            ] {
                for status in statuses {
                    let next = follow(method, *status, Some(location), 4)
                        .expect(location)
                        .expect("a request");
                    let asked = request(method);
                    assert_eq!(next.url.as_str(), url);
                    assert_eq!(next.method, method);
                    assert_eq!(next.headers, asked.headers);
                    assert_eq!(next.body, asked.body);
                }
            }
        }
    }

    #[test]
    fn elsewhere_is_refused_and_only_the_origin_is_named() {
        for (location, named) in [
            (
                Some("https://evil.example/steal?password=hunter22"),
                "https://evil.example",
            ),
            (
                Some("//evil.example:8443/steal"),
                "https://evil.example:8443",
            ),
            (Some("\\\\evil.example/steal"), "https://evil.example"),
            (
                Some("https://p21.example.com:8443/steal"),
                "https://p21.example.com:8443",
            ),
            (
                Some("http://p21.example.com/steal"),
                "http://p21.example.com",
            ),
            (
                Some("https://u:steal@evil.example/"),
                "https://evil.example",
            ),
            (Some("https://u:steal@p21.example.com/"), "user or password"),
            (Some("ftp://evil.example/steal"), "ftp://evil.example"),
            (Some("data:steal"), "a data: address"),
            (Some("https://"), "without a usable Location"),
            (None, "without a usable Location"),
        ] {
            for method in [Method::Get, Method::Post] {
                for status in [301, 302, 303, 307, 308] {
                    let error = follow(method, status, location, 0).expect_err("refused");
                    assert_eq!(error.code(), Code::Redirect);
                    assert_eq!(error.http_status(), status);
                    assert!(!error.is_retryable());
                    assert!(error.message().contains(named), "{location:?}: {error}");
                    let shown = error.to_string();
                    assert!(
                        !shown.contains("steal") && !shown.contains("hunter"),
                        "{shown}"
                    );
                    assert!(!error.hint().is_empty());
                }
            }
        }
    }

    #[test]
    fn a_post_never_becomes_a_get() {
        for (method, statuses) in [(Method::Post, &[301, 302, 303][..]), (Method::Get, &[303])] {
            for status in statuses {
                let error = follow(method, *status, Some("/login"), 0).expect_err("refused");
                assert_eq!(error.code(), Code::Redirect);
                assert!(
                    error.message().contains("https://p21.example.com"),
                    "{error}"
                );
                assert!(!error.message().contains("login"), "{error}");
            }
        }
    }

    #[test]
    fn five_hops_are_enough() {
        assert!(follow(Method::Post, 307, Some("/x"), 4).is_ok());
        let error = follow(Method::Post, 307, Some("/x"), 5).expect_err("a circle");
        assert!(error.message().contains("more than 5 times"), "{error}");
    }
}
