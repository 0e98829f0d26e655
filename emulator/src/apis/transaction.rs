//! The Transaction API in its JSON shape: services, definitions, records created, changed and read by window.

use serde_json::{Value, json};

use super::Call;
use super::services::plain;
use super::windows::{Element, SERVICES, Service};
use crate::data::Data;
use crate::message::Reply;
use crate::odata::Row;
use crate::state::State;
use crate::text;

/// Results that are kept for those who ask again.
const MANY_RESULTS: usize = 1000;

/// Answers what lies below `/api/v2/`.
pub(super) fn answer(call: &Call, rest: &str) -> Reply {
    if !call.in_scope(|part| part == "/uiserver0") {
        return call.out_of_scope();
    }
    let rest = rest.trim_end_matches('/');
    let (first, name) = rest.split_once('/').unwrap_or((rest, ""));
    match (call.request.method.as_str(), first, name) {
        ("GET" | "HEAD", "services", "") => {
            let all: Vec<Value> = SERVICES
                .iter()
                .map(|s| json!({"Name": s.name, "Title": s.title}))
                .collect();
            Reply::json(200, &json!(all))
        }
        ("GET" | "HEAD", "definition", name) => with_service(name, |service| {
            Reply::json(
                200,
                &json!({
                    "Template": service.template(),
                    "TransactionDefinition": service.definition(),
                }),
            )
        }),
        ("GET" | "HEAD", "defaults", name) => with_service(name, |service| {
            let template = service.template();
            let elements = &template["Transactions"][0]["DataElements"];
            Reply::json(
                200,
                &json!({"Name": service.name, "DataElements": elements}),
            )
        }),
        ("POST", "transaction", "") => match body(call) {
            Ok(set) => call
                .shared
                .change(|state| Reply::json(200, &run(&set, &mut state.data))),
            Err(reply) => reply,
        },
        ("POST", "transaction", "get") => get(call),
        ("POST", "transaction", "async") => match body(call) {
            Ok(set) => call.shared.change(|state| submit(&set, state)),
            Err(reply) => reply,
        },
        ("GET" | "HEAD", "transaction", "async") => status(call),
        ("POST", "transaction", "async/callback") => failed(
            400,
            "Callbacks are not emulated: poll transaction/async?id=… instead.",
        ),
        _ => failed(
            404,
            "No HTTP resource was found that matches the request URI.",
        ),
    }
}

fn failed(status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({"ErrorMessage": message, "ErrorType": null}))
}

fn with_service(name: &str, then: impl FnOnce(&Service) -> Reply) -> Reply {
    match Service::find(name) {
        Some(service) => then(service),
        None => failed(404, &format!("Service '{name}' was not found.")),
    }
}

fn body(call: &Call) -> Result<Value, Reply> {
    let read = serde_json::from_slice::<Value>(&call.request.body)
        .ok()
        .filter(Value::is_object);
    read.ok_or_else(|| failed(400, "The body is not a JSON object."))
}

/// Runs the transactions of a set, each by itself, and writes the response.
fn run(set: &Value, data: &mut Data) -> Value {
    let name = set["Name"].as_str().unwrap_or_default();
    let no_transactions = Vec::new();
    let transactions = set["Transactions"].as_array().unwrap_or(&no_transactions);
    let mut messages = Vec::new();
    let mut results = Vec::new();
    for (number, transaction) in (1..).zip(transactions) {
        let written = Service::find(name)
            .ok_or_else(|| format!("Service '{name}' was not found."))
            .and_then(|service| write(service, transaction, data));
        let (message, result) = match written {
            Ok(elements) => (
                String::new(),
                json!({"DataElements": elements, "Status": "Passed"}),
            ),
            Err(message) => {
                let elements = &transaction["DataElements"];
                (
                    message,
                    json!({"DataElements": elements, "Status": "Failed"}),
                )
            }
        };
        messages.push(format!("Transaction {number}:: {message}"));
        results.push(result);
    }
    let failed = results
        .iter()
        .filter(|result| result["Status"] == "Failed")
        .count();
    let succeeded = results.len() - failed;
    let all = json!({"Name": name, "UseCodeValues": set["UseCodeValues"], "Transactions": results});
    json!({
        "Messages": messages,
        "Results": if succeeded > 0 { all } else { Value::Null },
        "Summary": {"Succeeded": succeeded, "Failed": failed, "Other": 0},
    })
}

fn write(
    service: &'static Service,
    transaction: &Value,
    data: &mut Data,
) -> Result<Vec<Value>, String> {
    if transaction["Status"] != "New" {
        return Err("Status must be New".into());
    }
    let mut values: Vec<(&'static Element, Vec<Row>)> = Vec::new();
    for element in transaction["DataElements"].as_array().into_iter().flatten() {
        let name = element["Name"].as_str().unwrap_or_default();
        let known = service
            .element(name)
            .ok_or_else(|| format!("DataElement '{name}' is not part of {}", service.name))?;
        let mut rows = Vec::new();
        for row in element["Rows"].as_array().into_iter().flatten() {
            rows.push(edits(row)?);
        }
        values.push((known, rows));
    }
    let key = service.write(&values, data)?;
    service
        .read(&key, data)
        .ok_or_else(|| "The record cannot be read back".into())
}

fn edits(row: &Value) -> Result<Row, String> {
    let edits = row["Edits"].as_array().into_iter().flatten();
    edits
        .map(|edit| {
            let name = edit["Name"].as_str().ok_or("An edit has no Name")?;
            Ok((name.to_owned(), edit["Value"].clone()))
        })
        .collect()
}

/// Records by the keys of `TransactionStates`.
fn get(call: &Call) -> Reply {
    let wanted = match body(call) {
        Ok(wanted) => wanted,
        Err(reply) => return reply,
    };
    with_service(
        wanted["ServiceName"].as_str().unwrap_or_default(),
        |service| {
            let data = call.shared.lock().data.clone();
            let mut found = Vec::new();
            for state in wanted["TransactionStates"].as_array().into_iter().flatten() {
                let keys = state["Keys"].as_array().into_iter().flatten();
                let key = keys
                    .filter(|key| key["Name"] == service.key)
                    .map(|key| plain(&key["Value"]))
                    .next();
                let Some(key) = key else {
                    return failed(
                        400,
                        &format!("TransactionStates need the key {}.", service.key),
                    );
                };
                match service.read(&key, &data) {
                    Some(elements) => {
                        found.push(json!({"DataElements": elements, "Status": "Existing"}));
                    }
                    None => return failed(404, &format!("{} {key} was not found.", service.key)),
                }
            }
            let set = json!({"Name": service.name, "UseCodeValues": false, "Transactions": found});
            Reply::json(200, &set)
        },
    )
}

/// What an asynchronous request came to. It is done by the time anyone can ask.
fn submit(set: &Value, state: &mut State) -> Reply {
    let result = run(set, &mut state.data);
    let status = if result["Summary"]["Failed"] == 0 {
        "Complete"
    } else {
        "Failed"
    };
    let id = text::guid();
    let completed = httpdate::HttpDate::from(state.clock()).to_string();
    if state.results.len() >= MANY_RESULTS {
        state.results.clear();
    }
    let submitted = json!({"RequestId": id, "Status": "Active", "Messages": ""});
    let done = json!({
        "RequestId": id,
        "Status": status,
        "Messages": result.to_string(),
        "CompletedDate": completed,
    });
    state.results.insert(id, done);
    Reply::json(200, &submitted)
}

fn status(call: &Call) -> Reply {
    let id = call.request.query_value("id").unwrap_or_default();
    match call.shared.lock().results.get(&id) {
        Some(result) => Reply::json(200, result),
        None => failed(404, &format!("Request '{id}' was not found.")),
    }
}
