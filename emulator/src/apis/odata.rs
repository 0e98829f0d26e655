//! The OData service: tables and views, read-only.

use serde_json::{Value, json};

use super::Call;
use crate::message::Reply;
use crate::odata::{Dialect, Query, Table};
use crate::settings::Permission;

/// Answers `table/{name}` or `view/{name}`.
pub(super) fn answer(call: &Call, rest: &str) -> Reply {
    let (kind, name) = rest.split_once('/').unwrap_or((rest, ""));
    let granted = |part: &str| {
        part == "/odata"
            || part
                .strip_prefix("/odata:")
                .is_some_and(|tables| tables.split(',').any(|t| t.trim() == name))
    };
    if !call.in_scope(granted) {
        return call.out_of_scope();
    }
    // A key's username does not count here.
    let user = call
        .owner
        .user
        .as_deref()
        .filter(|_| call.owner.key.is_none());
    let denied = call.shared.change(|state| {
        let may = user.is_none_or(|name| state.user(name).is_some_and(|u| u.odata));
        (!may).then(|| {
            state.bump("api.permission");
            permission(state.settings.permission, state.settings.permission_status)
        })
    });
    if let Some(denied) = denied {
        return denied;
    }
    let (data, page) = {
        let state = call.shared.lock();
        (state.data.clone(), state.settings.odata_page)
    };
    let table = match kind {
        "table" => data.table(name),
        "view" => data.view(name),
        _ => None,
    };
    let Some(table) = table else {
        return failed(404, &format!("Resource not found: {kind}/{name}"));
    };
    rows(call, table, rest, page).unwrap_or_else(|message| failed(400, &message))
}

fn rows(call: &Call, table: &Table, path: &str, page: Option<usize>) -> Result<Reply, String> {
    let options = call.request.query_pairs();
    let query = Query::parse(&options, Dialect::Odata)?;
    let (rows, total) = query.run(table)?;
    let (value, next) = query.page(&rows, page);
    let service = format!("{}/odataservice/odata", call.shared.base_url);
    let mut body = json!({
        "@odata.context": format!("{service}/$metadata#{}", table.name),
        "value": value,
    });
    if query.counts() {
        body["@odata.count"] = json!(total);
    }
    if let Some((skip, top)) = next {
        let mut link = url::form_urlencoded::Serializer::new(String::new());
        let cut =
            |name: &str| name.eq_ignore_ascii_case("$skip") || name.eq_ignore_ascii_case("$top");
        for (name, value) in options.iter().filter(|(name, _)| !cut(name)) {
            link.append_pair(name, value);
        }
        if let Some(top) = top {
            link.append_pair("$top", &top.to_string());
        }
        link.append_pair("$skip", &skip.to_string());
        // A dollar sign needs no encoding, and servers write it plainly.
        let link = link.finish().replace("%24", "$");
        body["@odata.nextLink"] = json!(format!("{service}/{path}?{link}"));
    }
    Ok(Reply::json(200, &body))
}

fn failed(status: u16, message: &str) -> Reply {
    let error: Value = json!({"error": {"code": status.to_string(), "message": message}});
    Reply::json(status, &error)
}

fn permission(style: Permission, status: u16) -> Reply {
    const TEXT: &str = "You are not authorized to access API";
    match style {
        Permission::Text => Reply::text(status, TEXT),
        Permission::Json => Reply::json(status, &json!(TEXT)),
        Permission::Message => Reply::json(status, &json!({ "Message": TEXT })),
    }
}
