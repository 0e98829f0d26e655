//! What a token is for: the UI router, OData, entities, transactions and Interactive sessions; and the pages of the web host.

mod canned;
mod entity;
mod interactive;
mod odata;
mod services;
mod transaction;
mod windows;

use serde_json::json;

use super::message::{Reply, Request};
use super::state::{Owner, Shared};
use super::text::xml_escape;

pub use canned::Answer;
pub(super) use interactive::Session;

/// A place on the server, told from the path alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// A token endpoint.
    Token {
        /// `…/token/v2` instead of `…/token`.
        v2: bool,
    },
    /// The UI router.
    Router {
        /// The path ends with the slash that it needs.
        slash: bool,
    },
    /// The OData service: `table/{name}` or `view/{name}`.
    Odata(&'a str),
    /// The Entity API and Inventory REST: what lies below `/api/`.
    Entity(&'a str),
    /// The Transaction API: what lies below `/api/v2/`.
    Transaction(&'a str),
    /// The Interactive API: what lies below `/api/ui/interactive/`.
    Interactive(&'a str),
    /// The web client's page.
    Page,
    /// Nothing that exists.
    Nowhere,
}

impl<'a> Place<'a> {
    /// `path` in lower case: IIS doesn't mind the case.
    pub fn of(path: &'a str, prefix: &str) -> Self {
        if matches!(path, "/" | "/prophet21" | "/prophet21/") {
            return Self::Page;
        }
        let Some(path) = path.strip_prefix(prefix) else {
            return Self::Nowhere;
        };
        let on_ui_server = path.strip_prefix("/uiserver0").unwrap_or(path);
        match path {
            "/api/security/token" | "/api/security/token/" => return Self::Token { v2: false },
            "/api/security/token/v2" | "/api/security/token/v2/" => {
                return Self::Token { v2: true };
            }
            "/api/ui/router/v1" => return Self::Router { slash: false },
            "/api/ui/router/v1/" => return Self::Router { slash: true },
            _ => {}
        }
        if let Some(rest) = path.strip_prefix("/odataservice/odata/") {
            Self::Odata(rest.trim_end_matches('/'))
        } else if let Some(rest) = on_ui_server.strip_prefix("/api/v2/") {
            Self::Transaction(rest)
        } else if let Some(rest) = on_ui_server.strip_prefix("/api/ui/interactive/") {
            Self::Interactive(rest)
        } else {
            entity::below(path).map_or(Self::Nowhere, Self::Entity)
        }
    }

    /// The counter of requests to it.
    pub fn counter(self) -> Option<&'static str> {
        match self {
            Self::Router { .. } => Some("router.requests"),
            Self::Odata(_) => Some("odata.requests"),
            Self::Entity(_) => Some("entity.requests"),
            Self::Transaction(_) => Some("transaction.requests"),
            Self::Interactive(_) => Some("interactive.requests"),
            // Token requests have counters of their own.
            Self::Token { .. } | Self::Page | Self::Nowhere => None,
        }
    }

    /// The server's answer anywhere but at a token endpoint.
    pub fn answer(self, request: &Request, shared: &Shared) -> Reply {
        if self == Self::Page {
            return page();
        }
        let reads = matches!(request.method.as_str(), "GET" | "HEAD");
        match self {
            Self::Router { slash: false } if shared.lock().settings.router_redirect => {
                shared.bump("router.redirected");
                let query = request
                    .query
                    .as_deref()
                    .map(|q| format!("?{q}"))
                    .unwrap_or_default();
                let to = format!("{}/api/ui/router/v1/{query}", shared.base_url);
                Reply::html(307, String::new()).with("Location", &to)
            }
            Self::Nowhere => Reply::iis(404, "File or directory not found."),
            Self::Token { .. } => {
                Reply::iis(405, "HTTP verb used to access this page is not allowed.")
            }
            Self::Router { .. } | Self::Odata(_) if !reads => {
                Reply::iis(405, "HTTP verb used to access this page is not allowed.")
            }
            _ => match Call::admit(request, shared) {
                Err(refused) => refused,
                Ok(call) => match self {
                    Self::Odata(rest) => odata::answer(&call, rest),
                    Self::Entity(rest) => entity::answer(&call, rest),
                    Self::Transaction(rest) => transaction::answer(&call, rest),
                    Self::Interactive(rest) => interactive::answer(&call, rest),
                    _ => router(&call),
                },
            },
        }
    }
}

/// The page of the web client, which answers 200 at a wrong base URL.
pub(super) fn page() -> Reply {
    Reply::html(
        200,
        "<!DOCTYPE html>\n<html>\n<head><title>Prophet 21</title></head>\n\
         <body><div id=\"app\">Loading Prophet 21&hellip;</div></body>\n</html>\n"
            .into(),
    )
}

/// An API call with a valid token.
struct Call<'a> {
    request: &'a Request,
    shared: &'a Shared,
    token: &'a str,
    owner: Owner,
}

impl<'a> Call<'a> {
    /// Checks the token of a request, or returns the refusal.
    fn admit(request: &'a Request, shared: &'a Shared) -> Result<Self, Reply> {
        let Some(token) = request.bearer() else {
            shared.bump("api.header_lost");
            return Err(Reply::json(
                401,
                &json!({
                    "Error": "invalid_request",
                    "Description": "Authorization header was not present or 'Bearer' was missing.",
                    "Uri": "",
                }),
            ));
        };
        let owner = shared.change(|state| {
            let now = state.now();
            let issued = state.tokens.get(token).filter(|t| now < t.expires);
            let owner = issued.map(|issued| issued.owner.clone());
            if owner.is_none() {
                state.bump("api.token_rejected");
            }
            owner
        });
        let invalid = || {
            Reply::xml_error(
                401,
                "TokenError",
                "invalid_token",
                "The access token is invalid or has expired.",
            )
        };
        Ok(Self {
            request,
            shared,
            token,
            owner: owner.ok_or_else(invalid)?,
        })
    }

    /// Is one of `needed` within the key's scope? A user's token has none and may do everything.
    fn in_scope(&self, needed: impl Fn(&str) -> bool) -> bool {
        let Some((_, scope)) = &self.owner.key else {
            return true;
        };
        scope
            .to_ascii_lowercase()
            .split(';')
            .map(str::trim)
            .any(|part| part == "/api" || needed(part))
    }

    fn out_of_scope(&self) -> Reply {
        self.shared.bump("api.scope");
        Reply::json(
            403,
            &json!({
                "ErrorMessage": "The consumer key's API scope does not include this resource.",
                "ErrorType": "Forbidden",
            }),
        )
    }
}

fn router(call: &Call) -> Reply {
    if !call.in_scope(|part| matches!(part, "/ui" | "/uiserver0")) {
        return call.out_of_scope();
    }
    let own = || format!("{}/uiserver0/", call.shared.base_url);
    let url = call
        .shared
        .lock()
        .settings
        .ui_url
        .clone()
        .unwrap_or_else(own);
    if call.request.accepts_json() {
        Reply::json(200, &json!({ "Url": url }))
    } else {
        Reply::xml(
            200,
            format!("<UiServer><Url>{}</Url></UiServer>", xml_escape(&url)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_by_path_and_prefix() {
        assert_eq!(
            Place::of("/api/security/token/v2", ""),
            Place::Token { v2: true }
        );
        assert_eq!(
            Place::of("/api/security/token/", ""),
            Place::Token { v2: false }
        );
        assert_eq!(
            Place::of("/api/ui/router/v1", ""),
            Place::Router { slash: false }
        );
        assert_eq!(
            Place::of("/api/ui/router/v1/", ""),
            Place::Router { slash: true }
        );
        assert_eq!(
            Place::of("/odataservice/odata/table/customer", ""),
            Place::Odata("table/customer")
        );
        assert_eq!(
            Place::of("/api/v2/services", ""),
            Place::Transaction("services")
        );
        assert_eq!(
            Place::of("/api/entity/customers/ping", ""),
            Place::Entity("entity/customers/ping")
        );
        assert_eq!(
            Place::of("/uiserver0/api/ui/interactive/v2/window", ""),
            Place::Interactive("v2/window")
        );
        assert_eq!(
            Place::of("/api/ui/interactive/sessions", ""),
            Place::Interactive("sessions")
        );
        assert_eq!(Place::of("/api/security/token", "/p21"), Place::Nowhere);
        assert_eq!(
            Place::of("/p21/api/security/token", "/p21"),
            Place::Token { v2: false }
        );
        assert_eq!(Place::of("/prophet21/", "/p21"), Place::Page);
    }
}
