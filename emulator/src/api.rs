//! What a token is for: the UI router, one OData table, the Entity API's health check, Interactive sessions; and the pages
//! of the web host.

use serde_json::{Value, json};

use super::message::{Reply, Request};
use super::settings::Permission;
use super::state::{Issued, Shared, State};
use super::text;
use super::text::xml_escape;

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
    /// A table of the OData service.
    Odata(&'a str),
    /// The health check of the Entity API.
    EntityPing,
    /// The Interactive API's sessions.
    Sessions,
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
        let path_on_ui_server = path.strip_prefix("/uiserver0").unwrap_or(path);
        match path {
            "/api/security/token" | "/api/security/token/" => Self::Token { v2: false },
            "/api/security/token/v2" | "/api/security/token/v2/" => Self::Token { v2: true },
            "/api/ui/router/v1" => Self::Router { slash: false },
            "/api/ui/router/v1/" => Self::Router { slash: true },
            "/api/entity/customers/ping"
            | "/api/entity/vendors/ping"
            | "/api/entity/contacts/ping"
            | "/api/entity/addresses/ping" => Self::EntityPing,
            _ if path_on_ui_server.trim_end_matches('/') == "/api/ui/interactive/sessions" => {
                Self::Sessions
            }
            _ => match path.strip_prefix("/odataservice/odata/table/") {
                Some(table) if !table.is_empty() => Self::Odata(table.trim_end_matches('/')),
                _ => Self::Nowhere,
            },
        }
    }

    /// The counter of requests to it.
    pub fn counter(self) -> Option<&'static str> {
        match self {
            Self::Router { .. } => Some("router.requests"),
            Self::Odata(_) => Some("odata.requests"),
            Self::EntityPing => Some("entity.requests"),
            Self::Sessions => Some("interactive.requests"),
            // Token requests have counters of their own.
            Self::Token { .. } | Self::Page | Self::Nowhere => None,
        }
    }

    /// The server's answer anywhere but at a token endpoint.
    pub fn answer(self, request: &Request, shared: &Shared) -> Reply {
        let known = |methods: &[&str]| methods.contains(&request.method.as_str());
        match self {
            Self::Page => page(),
            Self::Router { slash: false } => {
                shared.bump("router.redirected");
                let query = request
                    .query
                    .as_deref()
                    .map(|q| format!("?{q}"))
                    .unwrap_or_default();
                let to = format!("{}/api/ui/router/v1/{query}", shared.base_url);
                Reply::html(307, String::new()).with("Location", &to)
            }
            Self::Router { slash: true } if known(&["GET", "HEAD"]) => {
                with_token(request, shared, router)
            }
            Self::Odata(table) if known(&["GET", "HEAD"]) => {
                with_token(request, shared, |call| odata(call, table))
            }
            Self::EntityPing if known(&["GET", "HEAD"]) => with_token(request, shared, entity_ping),
            Self::Sessions if known(&["GET", "HEAD", "POST", "DELETE"]) => {
                with_token(request, shared, sessions)
            }
            Self::Nowhere => Reply::iis(404, "File or directory not found."),
            _ => Reply::iis(405, "HTTP verb used to access this page is not allowed."),
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

/// An API call with a good token.
struct Call<'a> {
    request: &'a Request,
    state: &'a mut State,
    base_url: &'a str,
    token: &'a str,
    issued: Issued,
}

impl Call<'_> {
    /// Is one of `needed` within the key's scope? A user's token has none and may do everything.
    fn in_scope(&self, needed: impl Fn(&str) -> bool) -> bool {
        let Some((_, scope)) = &self.issued.owner.key else {
            return true;
        };
        scope
            .to_ascii_lowercase()
            .split(';')
            .map(str::trim)
            .any(|part| part == "/api" || needed(part))
    }

    fn out_of_scope(&mut self) -> Reply {
        self.state.bump("api.scope");
        Reply::json(
            403,
            &json!({
                "ErrorMessage": "The consumer key's API scope does not include this resource.",
                "ErrorType": "Forbidden",
            }),
        )
    }
}

fn with_token(request: &Request, shared: &Shared, call: impl FnOnce(&mut Call) -> Reply) -> Reply {
    let bearer = request
        .header("authorization")
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    shared.change(|state| {
        let Some(token) = bearer else {
            state.bump("api.header_lost");
            return Reply::json(
                401,
                &json!({
                    "Error": "invalid_request",
                    "Description": "Authorization header was not present or 'Bearer' was missing.",
                    "Uri": "",
                }),
            );
        };
        let now = state.now();
        let Some(issued) = state.tokens.get(token).filter(|t| now < t.expires).cloned() else {
            state.bump("api.token_rejected");
            return Reply::xml_error(
                401,
                "TokenError",
                "invalid_token",
                "The access token is invalid or has expired.",
            );
        };
        let base_url = &shared.base_url;
        call(&mut Call {
            request,
            state,
            base_url,
            token,
            issued,
        })
    })
}

fn router(call: &mut Call) -> Reply {
    if !call.in_scope(|part| matches!(part, "/ui" | "/uiserver0")) {
        return call.out_of_scope();
    }
    let own = format!("{}/uiserver0/", call.base_url);
    let url = call.state.settings.ui_url.clone().unwrap_or(own);
    if call.request.accepts_json() {
        Reply::json(200, &json!({ "Url": url }))
    } else {
        Reply::xml(
            200,
            format!("<UiServer><Url>{}</Url></UiServer>", xml_escape(&url)),
        )
    }
}

fn entity_ping(call: &mut Call) -> Reply {
    if !call.in_scope(|_| false) {
        return call.out_of_scope();
    }
    if call.request.accepts_json() {
        Reply::json(200, &json!({ "ResponseMessage": "success" }))
    } else {
        Reply::xml(
            200,
            "<PingResponse><ResponseMessage>success</ResponseMessage></PingResponse>".to_owned(),
        )
    }
}

fn odata(call: &mut Call, table: &str) -> Reply {
    let granted = |part: &str| {
        part == "/odata"
            || part
                .strip_prefix("/odata:")
                .is_some_and(|tables| tables.split(',').any(|t| t.trim() == table))
    };
    if !call.in_scope(granted) {
        return call.out_of_scope();
    }
    let owner = &call.issued.owner;
    let user = owner.user.as_deref().filter(|_| owner.key.is_none());
    if user.is_some_and(|name| !call.state.user(name).is_some_and(|u| u.odata)) {
        call.state.bump("api.permission");
        return permission(
            call.state.settings.permission,
            call.state.settings.permission_status,
        );
    }
    let settings = &call.state.settings;
    if table != settings.odata_table.to_ascii_lowercase() {
        return Reply::json(
            404,
            &json!({"error": {"code": "", "message": "Resource not found for the segment."}}),
        );
    }
    let number = |name: &str| match call.request.query_value(name) {
        Some(text) => text.parse::<usize>().map(Some).map_err(|_| name.to_owned()),
        None => Ok(None),
    };
    let (top, skip) = match (number("$top"), number("$skip")) {
        (Ok(top), Ok(skip)) => (top, skip.unwrap_or(0)),
        (Err(name), _) | (_, Err(name)) => {
            let message = format!("Invalid value for query option '{name}'.");
            return Reply::json(400, &json!({"error": {"code": "", "message": message}}));
        }
    };
    let end = settings
        .odata_rows
        .min(skip.saturating_add(top.unwrap_or(usize::MAX)));
    let page_end = end.min(skip.saturating_add(settings.odata_page));
    let rows: Vec<Value> = (skip..page_end).map(row).collect();
    let service = format!("{}/odataservice/odata", call.base_url);
    let mut body = json!({
        "@odata.context": format!("{service}/$metadata#{}", settings.odata_table),
        "value": rows,
    });
    if call.request.query_value("$count").as_deref() == Some("true") {
        body["@odata.count"] = json!(settings.odata_rows);
    }
    if page_end < end {
        let rest = top.map_or(String::new(), |_| format!("$top={}&", end - page_end));
        let next = format!(
            "{service}/table/{}?{rest}$skip={page_end}",
            settings.odata_table
        );
        body["@odata.nextLink"] = json!(next);
    }
    Reply::json(200, &body)
}

fn row(n: usize) -> Value {
    json!({
        "customer_id": 100_001 + n,
        "customer_name": format!("Customer {}", n + 1),
        "delete_flag": "N",
    })
}

fn permission(style: Permission, status: u16) -> Reply {
    const TEXT: &str = "You are not authorized to access API";
    match style {
        Permission::Text => Reply::text(status, TEXT),
        Permission::Json => Reply::json(status, &json!(TEXT)),
        Permission::Message => Reply::json(status, &json!({ "Message": TEXT })),
    }
}

fn sessions(call: &mut Call) -> Reply {
    if !call.in_scope(|part| part == "/uiserver0") {
        return call.out_of_scope();
    }
    let failed = |status, message: &str| {
        Reply::json(status, &json!({"ErrorMessage": message, "ErrorType": null}))
    };
    // The token endpoint takes any username along with a key; here it must be a P21 user.
    let user = call.issued.owner.user.as_deref();
    if user.is_none_or(|name| call.state.user(name).is_none()) {
        return failed(500, "Error retrieving/validating user");
    }
    let open = call.issued.session.take();
    match (call.request.method.as_str(), open) {
        ("POST", Some(_)) => failed(409, "A session is already open"),
        ("POST", None) => {
            let id = text::guid();
            set_session(call, Some(id.clone()));
            Reply::json(200, &json!({"SessionId": id, "Status": "Active"}))
        }
        ("DELETE", Some(_)) => {
            set_session(call, None);
            Reply::json(200, &json!(true))
        }
        ("DELETE", None) => failed(400, "Invalid session"),
        (_, open) => {
            let list: Vec<Value> = open.iter().map(|id| json!({ "SessionId": id })).collect();
            Reply::json(200, &json!(list))
        }
    }
}

fn set_session(call: &mut Call, session: Option<String>) {
    if let Some(issued) = call.state.tokens.get_mut(call.token) {
        issued.session = session;
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
            Place::Odata("customer")
        );
        assert_eq!(Place::of("/odataservice/odata/table/", ""), Place::Nowhere);
        assert_eq!(
            Place::of("/api/entity/customers/ping", ""),
            Place::EntityPing
        );
        assert_eq!(
            Place::of("/uiserver0/api/ui/interactive/sessions/", ""),
            Place::Sessions
        );
        assert_eq!(
            Place::of("/api/ui/interactive/sessions", ""),
            Place::Sessions
        );
        assert_eq!(Place::of("/api/security/token", "/p21"), Place::Nowhere);
        assert_eq!(
            Place::of("/p21/api/security/token", "/p21"),
            Place::Token { v2: false }
        );
        assert_eq!(Place::of("/prophet21/", "/p21"), Place::Page);
    }
}
