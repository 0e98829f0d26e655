//! The P21 wire protocol as pure functions: from settings to a request, from bytes to a token, from a rejection to a
//! verdict. Nothing here opens a socket, reads a clock or takes a lock.

mod api;
mod body;
mod fields;
mod json;
mod redirect;
mod rejection;
mod request;
mod response;
mod router;
mod status;
mod xml;

use std::fmt;

use url::{Position, Url};
use zeroize::{Zeroize as _, Zeroizing};

use crate::secret::Secret;

pub(crate) use api::{
    api_reply, body_kind, entity_url, interactive_url, odata_url, refuses_user, token_url,
    ui_router_url,
};
pub use redirect::redirect;
pub use rejection::{Rejection, Verdict, classify_rejection};
pub use request::token_request;
pub(crate) use request::{api_request, common_headers, ui_router_request};
pub use response::{parse_response_json, parse_token_body};
pub use router::ui_url_reply;
pub use status::{is_transient, token_reply};
pub(crate) use status::{retry_after, server_date_unix};

/// HTTP method. The library itself sends GET and POST; the others are for the tool's `api`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
    /// HEAD.
    Head,
}

/// One HTTP request. Its `Debug` shows neither header values, body nor query, which may all be credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// How.
    pub method: Method,
    /// Where to; with `v1_query` its query holds the password.
    pub url: Url,
    /// Names in the spelling that goes over the wire, and values: Latin-1, each character one byte on the wire.
    pub headers: Vec<(&'static str, Secret)>,
    /// `Some` for a POST, empty included: it then goes out with a `Content-Length`.
    pub body: Option<Secret>,
}

impl Request {
    /// The URL without its query, fit for messages.
    #[must_use]
    pub fn shown_url(&self) -> String {
        self.url[..Position::AfterPath].to_owned()
    }
}

impl Request {
    /// Puts `url` in the place of the request's own, which is zeroized: with `v1_query` it held the password.
    fn replace_url(&mut self, url: Url) {
        String::from(std::mem::replace(&mut self.url, url)).zeroize();
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if self.url.query().is_some()
            && let Ok(blank) = Url::parse("data:,")
        {
            self.replace_url(blank);
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} {} ({} headers)",
            self.method,
            self.shown_url(),
            self.headers.len()
        )
    }
}

/// One HTTP response, its body complete and within the size limit. `Debug` shows the status alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Header names in lower case, and values as far as they are text.
    pub headers: Vec<(String, String)>,
    /// The body; zeroized when dropped.
    pub body: Zeroizing<Vec<u8>>,
}

impl Response {
    /// The first header of this name (lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({}, {} bytes)", self.status, self.body.len())
    }
}

#[cfg(test)]
mod tests;
