//! The Interactive API: a session per token, windows in it, fields on their tabs, and dialogs that block a window.
//!
//! Its two versions differ in the shapes of their bodies, and a body of the other shape is an error, as on servers.

mod window;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Call;
use super::services::plain;
use super::windows::{Element, Service};
use crate::data::Data;
use crate::message::Reply;
use crate::odata::{Row, same};
use crate::state::State;
use crate::text;
use window::{Dialog, Window};

/// Windows that one session may have open.
const MANY_WINDOWS: usize = 100;

/// An open session.
#[derive(Debug)]
pub(crate) struct Session {
    id: String,
    /// Dialogs are the caller's to answer; otherwise they are answered with their default.
    dialogs: bool,
    windows: BTreeMap<String, Window>,
}

type Outcome = Result<Value, (u16, String)>;

/// Answers what lies below `/api/ui/interactive/`.
pub(super) fn answer(call: &Call, rest: &str) -> Reply {
    if !call.in_scope(|part| part == "/uiserver0") {
        return call.out_of_scope();
    }
    let outcome = call.shared.change(|state| {
        if state.settings.interactive_needs_accept && call.request.header("accept").is_none() {
            return Err((
                500,
                "Object reference not set to an instance of an object.".into(),
            ));
        }
        // The token endpoint takes any username along with a key; here it must be a P21 user.
        let user = call.owner.user.as_deref();
        if user.is_none_or(|name| state.user(name).is_none()) {
            return Err((500, "Error retrieving/validating user".into()));
        }
        run(call, rest.trim_end_matches('/'), state)
    });
    match outcome {
        Ok(value) => Reply::json(200, &value),
        Err((status, message)) => Reply::json(
            status,
            &json!({"ErrorMessage": message, "ErrorType": "P21.UI.Common.UiServerUserErrorException"}),
        ),
    }
}

fn run(call: &Call, rest: &str, state: &mut State) -> Outcome {
    let method = call.request.method.as_str();
    if rest == "sessions" {
        return sessions(call, method, state);
    }
    let (version, what) = rest.split_once('/').unwrap_or((rest, ""));
    let second = match version {
        "v1" => false,
        "v2" => true,
        _ => return Err(nowhere()),
    };
    let body: Value = if call.request.body.is_empty() {
        Value::Null
    } else {
        let read = serde_json::from_slice(&call.request.body);
        read.map_err(|_| (400, "The body is not JSON.".to_owned()))?
    };
    let mut data = state.data.clone();
    let issued = state
        .tokens
        .get_mut(call.token)
        .ok_or((401, String::new()))?;
    let session = issued
        .session
        .as_mut()
        .ok_or((400, "Invalid session".to_owned()))?;
    let outcome = match (method, what) {
        ("POST", "window") => open(session, &body),
        ("GET", "tools") => tools(session, &id_of_query(call)?),
        ("POST", "tools") => press(session, &body, &mut data),
        ("GET", "window") => show(session, &id_of_query(call)?),
        ("DELETE", "window") => close(session, call),
        ("GET", "data") => Ok(window(session, &id_of_query(call)?)?.data()),
        ("DELETE", "data") => {
            let window = free(session, &id_of_query(call)?)?;
            *window = Window::new(window.service);
            Ok(done())
        }
        ("PUT", "change") => change(session, &body, second, &mut data),
        ("PUT", "tab") => tab(session, &body, second),
        ("PUT", "row") => select_row(session, &body, second),
        ("POST", "row") => add_row(session, &body, second),
        ("PUT", "data") => save(session, &body, second, &mut data),
        _ => Err(nowhere()),
    };
    if outcome.is_ok() {
        state.data = data;
    }
    outcome
}

fn nowhere() -> (u16, String) {
    (
        404,
        "No HTTP resource was found that matches the request URI.".into(),
    )
}

fn done() -> Value {
    json!({"Status": 1, "Events": [], "Messages": []})
}

fn sessions(call: &Call, method: &str, state: &mut State) -> Outcome {
    let one_per_user = state.settings.session_ends_others;
    if method == "POST" && one_per_user {
        let user = call.owner.user.as_deref().unwrap_or_default();
        for (token, other) in &mut state.tokens {
            let same = other
                .owner
                .user
                .as_deref()
                .is_some_and(|name| name.eq_ignore_ascii_case(user));
            if same && token != call.token {
                other.session = None;
            }
        }
    }
    let issued = state
        .tokens
        .get_mut(call.token)
        .ok_or((401, String::new()))?;
    match (method, &issued.session) {
        ("POST", Some(_)) => Err((409, "A session is already open".into())),
        ("POST", None) => {
            let body: Value = serde_json::from_slice(&call.request.body).unwrap_or_default();
            let session = Session {
                id: text::guid(),
                dialogs: body["ResponseWindowHandlingEnabled"] == true,
                windows: BTreeMap::new(),
            };
            let shown = session.shown();
            issued.session = Some(session);
            Ok(shown)
        }
        ("DELETE", Some(_)) => {
            issued.session = None;
            Ok(json!(true))
        }
        ("DELETE", None) => Err((400, "Invalid session".into())),
        ("GET" | "HEAD", open) => {
            let list: Vec<Value> = open.iter().map(Session::shown).collect();
            Ok(json!(list))
        }
        _ => Err((
            405,
            "The requested resource does not support this method.".into(),
        )),
    }
}

impl Session {
    fn shown(&self) -> Value {
        json!({"SessionId": self.id, "Status": "Active"})
    }

    pub(crate) fn windows(&self) -> usize {
        self.windows.len()
    }
}

/// The window's id from `windowId` or `id`; servers know both.
fn id_of_query(call: &Call) -> Result<String, (u16, String)> {
    let id = call
        .request
        .query_value("windowId")
        .or_else(|| call.request.query_value("id"));
    id.ok_or((422, "Window ID was not provided".into()))
}

fn id_of_body(body: &Value) -> Result<&str, (u16, String)> {
    body["WindowId"]
        .as_str()
        .ok_or((422, "Window ID was not provided".into()))
}

fn window<'a>(session: &'a mut Session, id: &str) -> Result<&'a mut Window, (u16, String)> {
    session
        .windows
        .get_mut(id)
        .ok_or((404, "Window not found".into()))
}

/// A window that no dialog blocks.
fn free<'a>(session: &'a mut Session, id: &str) -> Result<&'a mut Window, (u16, String)> {
    let window = window(session, id)?;
    match &window.dialog {
        None => Ok(window),
        Some(dialog) => Err((
            500,
            format!(
                "Unable to process request on window {id} since response window {} blocks it: w_message - {}",
                dialog.id, dialog.text
            ),
        )),
    }
}

fn open(session: &mut Session, body: &Value) -> Outcome {
    let name = body["ServiceName"].as_str().or(body["Title"].as_str());
    let name = name.ok_or((400, "ServiceName or Title is needed".to_owned()))?;
    let service = Service::find(name).ok_or((404, format!("Window '{name}' was not found.")))?;
    if session.windows.len() >= MANY_WINDOWS {
        return Err((400, "Too many windows are open".into()));
    }
    let id = text::guid();
    let window = Window::new(service);
    let shown = window.shown(&id);
    session.windows.insert(id, window);
    Ok(shown)
}

fn show(session: &mut Session, id: &str) -> Outcome {
    let asks = |window: &Window| window.dialog.as_ref().is_some_and(|dialog| dialog.id == id);
    if session.windows.values().any(asks) {
        // What the question is, servers do not tell here either.
        return Ok(json!({
            "WindowId": id,
            "Definition": {
                "Title": "Epicor Prophet 21 - Startup", "Name": "w_message", "Datawindows": {}, "Id": id, "TabPageList": [],
            },
            "Data": [],
        }));
    }
    Ok(window(session, id)?.shown(id))
}

fn close(session: &mut Session, call: &Call) -> Outcome {
    if call.request.query_value("button").is_some() {
        return Err((400, "The parameter 'button' is not known".into()));
    }
    let id = id_of_query(call)?;
    free(session, &id)?;
    session.windows.remove(&id);
    Ok(done())
}

/// The buttons of a window or of the dialog with this id.
fn tools(session: &mut Session, id: &str) -> Outcome {
    let asks = |window: &Window| window.dialog.as_ref().is_some_and(|dialog| dialog.id == id);
    let buttons: &[(&str, &str)] = if session.windows.values().any(asks) {
        &[("cb_1", "&Yes"), ("cb_2", "&No")]
    } else {
        window(session, id)?;
        &[("cb_save", "&Save"), ("Quick.Clear", "Clear")]
    };
    let tool =
        |(name, text): &(&str, &str)| json!({"WindowId": id, "ToolName": name, "Text": text});
    Ok(buttons.iter().map(tool).collect())
}

fn press(session: &mut Session, body: &Value, data: &mut Data) -> Outcome {
    let id = id_of_body(body)?;
    let tool = body["ToolName"].as_str().unwrap_or_default();
    let unknown = Err((400, format!("Tool '{tool}' was not found")));
    let asks = |window: &&mut Window| window.dialog.as_ref().is_some_and(|dialog| dialog.id == id);
    if let Some(window) = session.windows.values_mut().find(asks) {
        if !matches!(tool, "cb_1" | "cb_2") {
            return unknown;
        }
        window.dialog = None;
        return Ok(done());
    }
    let window = free(session, id)?;
    match tool {
        "cb_save" => Ok(window.save(data)),
        "Quick.Clear" => {
            *window = Window::new(window.service);
            Ok(done())
        }
        _ => unknown,
    }
}

fn change(session: &mut Session, body: &Value, second: bool, data: &mut Data) -> Outcome {
    let dialogs = session.dialogs;
    let window = free(session, id_of_body(body)?)?;
    let (list, other) = if second {
        ("List", "ChangeRequests")
    } else {
        ("ChangeRequests", "List")
    };
    let changes = body[list].as_array().ok_or_else(|| {
        let version = if second { "v2" } else { "v1" };
        (422, format!("{version} takes '{list}', not '{other}'"))
    })?;
    for one in changes {
        let field = one["FieldName"].as_str().unwrap_or_default();
        let element = window.element(one, second)?;
        if element.field(field).is_none() {
            let datawindow = element.datawindow();
            return Err((
                400,
                format!("Field '{field}' not found in datawindow '{datawindow}'"),
            ));
        }
        let key = field.eq_ignore_ascii_case(window.service.key);
        if key && !window.load(&plain(&one["Value"]), data) && window.service.table == "inv_mast" {
            return Ok(
                json!({"Status": 2, "Events": [], "Messages": [format!("{field} was not found")]}),
            );
        }
        let row = window.row(element);
        let old = row.insert(field.to_ascii_lowercase(), one["Value"].clone());
        let differs = old.is_some_and(|old| !same(&old, &plain(&one["Value"])));
        if dialogs
            && differs
            && element.datawindow() == "inv_loc_detail"
            && field == "product_group_id"
        {
            let group = plain(&one["Value"]);
            let dialog = Dialog {
                id: text::guid(),
                text: format!("Do you want the GL accounts for product group '{group}' to be set?"),
            };
            let opened = json!([{"Key": "windowid", "Value": dialog.id}]);
            window.dialog = Some(dialog);
            let events = json!([{"Name": "windowopened", "Data": opened}]);
            return Ok(json!({"Status": 3, "Events": events, "Messages": []}));
        }
    }
    Ok(done())
}

fn tab(session: &mut Session, body: &Value, second: bool) -> Outcome {
    let window = free(session, id_of_body(body)?)?;
    let name = if second {
        &body["PageName"]
    } else {
        &body["PagePath"]["PageName"]
    };
    let Some(name) = name.as_str() else {
        let shape = if second {
            "PageName"
        } else {
            "PagePath.PageName"
        };
        return Err((500, format!("{shape} was not provided")));
    };
    let tab = window
        .service
        .elements
        .iter()
        .map(Element::tab)
        .find(|tab| tab.eq_ignore_ascii_case(name));
    window.tab = tab.ok_or((400, format!("Page '{name}' was not found")))?;
    Ok(done())
}

/// The list that a body names.
fn list_of(window: &Window, body: &Value, second: bool) -> Result<&'static Element, (u16, String)> {
    let field = if second {
        "DatawindowName"
    } else {
        "DataWindowName"
    };
    let name = body[field]
        .as_str()
        .ok_or((422, format!("{field} was not provided")))?;
    let element = window
        .service
        .elements
        .iter()
        .find(|e| e.datawindow().eq_ignore_ascii_case(name));
    element.ok_or((400, format!("Datawindow '{name}' was not found")))
}

fn select_row(session: &mut Session, body: &Value, second: bool) -> Outcome {
    let window = free(session, id_of_body(body)?)?;
    let list = list_of(window, body, second)?;
    let field = if second { "Row" } else { "RowNumber" };
    let row = body[field]
        .as_u64()
        .ok_or((422, format!("{field} was not provided")))?;
    let row = usize::try_from(row).unwrap_or(usize::MAX);
    // A list of the same table follows, as the detail tab of a list does; a row beyond the last selects none.
    for element in window
        .service
        .elements
        .iter()
        .filter(|e| e.list == list.list)
    {
        window.selected.insert(element.name, row);
    }
    Ok(done())
}

fn add_row(session: &mut Session, body: &Value, second: bool) -> Outcome {
    let window = free(session, id_of_body(body)?)?;
    let list = list_of(window, body, second)?;
    if list.list.is_none() {
        return Err((400, format!("'{}' is not a list", list.datawindow())));
    }
    let rows = window.rows.entry(list.name).or_default();
    rows.push(Row::new());
    let added = rows.len() - 1;
    window.selected.insert(list.name, added);
    Ok(done())
}

fn save(session: &mut Session, body: &Value, second: bool, data: &mut Data) -> Outcome {
    let id = if second {
        body.as_str()
    } else {
        body["WindowId"].as_str()
    };
    let id = id.ok_or((422, "Window ID was not provided".to_owned()))?;
    Ok(free(session, id)?.save(data))
}
