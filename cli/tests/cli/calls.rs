//! The tool heals: rejected tokens, calls with the token, and commands that get it.

use p21_emulator::{Action, Emulator, Fault, Options};
use serde_json::{Value, json};

use crate::tool::Tool;

const TABLE: &str = "odataservice/odata/table/customer";

/// An emulator, and the tool with a file store of its own.
fn stored() -> (Emulator, Tool) {
    let emulator = Emulator::start(Options::default()).expect("started");
    let tool = Tool::for_server(emulator.base_url());
    let folder = tool.folder.path().join("store");
    let store = format!("file://{}", folder.display());
    let tool = tool
        .with("P21_STORE", &store)
        // A token that is rejected at once is otherwise replaced after five seconds.
        .with("P21_MIN_REFRESH_INTERVAL_S", "0");
    (emulator, tool)
}

fn requests(emulator: &Emulator) -> u64 {
    emulator.control().counter("token.requests")
}

fn list(text: &str) -> Vec<Value> {
    let list: Value = serde_json::from_str(text).expect("JSON");
    list.as_array().expect("a list").clone()
}

#[test]
fn a_revoked_token_in_the_store_is_replaced_by_the_next_call() {
    let (emulator, tool) = stored();
    let first = tool.run(&["token"]).value().to_owned();
    assert_eq!(tool.run(&["token"]).value(), first);
    assert_eq!(requests(&emulator), 1);
    emulator.control().revoke_all();
    let page: Value =
        serde_json::from_str(tool.run(&["api", TABLE, "-f", "$top=2"]).out.as_str()).expect("JSON");
    assert_eq!(page["value"].as_array().map(Vec::len), Some(2));
    assert_eq!(requests(&emulator), 2);
    assert_ne!(tool.run(&["token"]).value(), first);
    assert_eq!(requests(&emulator), 2);
}

#[test]
fn a_rejected_token_is_reported_by_a_script() {
    let (emulator, tool) = stored();
    let dead = tool.run(&["token"]).value().to_owned();
    emulator.control().revoke_all();
    let body = tool.file("answer", "<TokenError />");
    let body = body.to_str().expect("UTF-8");
    let told = tool.run_with_input(&["report", "--status", "401", "--body-file", body], &dead);
    assert_eq!(
        (told.status, told.out.as_str()),
        (0, "RETRY\n"),
        "{}",
        told.err
    );
    let fresh = tool.run(&["token"]).value().to_owned();
    assert_ne!(fresh, dead);
    // The late report of another script drops nothing.
    for args in [&["report", "--status", "401"][..], &["token", "--rejected"]] {
        let late = tool.run_with_input(args, &format!("Authorization: Bearer {dead}\n"));
        assert_eq!(late.status, 0, "{}", late.err);
    }
    assert_eq!(tool.run(&["token"]).value(), fresh);
    assert_eq!(requests(&emulator), 2);

    emulator.control().revoke_all();
    let next = tool
        .run_with_input(&["token", "--rejected"], &fresh)
        .value()
        .to_owned();
    assert_ne!(next, fresh);
    assert_eq!(requests(&emulator), 3);
}

#[test]
fn each_verdict_has_its_exit_status() {
    let (emulator, tool) = stored();
    let permission = tool.file("permission", "\"You are not authorized to access API\"");
    let lost = tool.file(
        "lost",
        r#"{"Description":"Authorization header was not present or 'Bearer' was missing."}"#,
    );
    for (status, body, exit, verdict) in [
        ("401", None, 0, "RETRY"),
        ("401", Some(&permission), 8, "PERMISSION"),
        ("403", None, 8, "PERMISSION"),
        ("401", Some(&lost), 9, "HEADER_LOST"),
        ("500", None, 10, "GIVE_UP"),
    ] {
        let mut args = vec!["report", "--json", "--status", status];
        if let Some(body) = body {
            args.extend(["--body-file", body.to_str().expect("UTF-8")]);
        }
        let told = tool.run_with_input(&args, "some-token");
        let json: Value = serde_json::from_str(&told.out).expect("JSON");
        assert_eq!((told.status, &json["Verdict"]), (exit, &json!(verdict)));
        assert!(json["Hint"].as_str().is_some_and(|hint| !hint.is_empty()));
    }
    tool.run_with_input(&["report", "--status", "401"], " \n")
        .failed(2, &["no token"]);
    tool.run_with_input(&["report", "--status", "7"], "x")
        .failed(2, &["7 is not an HTTP status"]);
    assert_eq!(requests(&emulator), 0);
}

#[test]
fn calls_of_every_kind() {
    let (emulator, tool) = stored();
    let services = list(&tool.run(&["api", "/uiserver0/api/v2/services"]).out);
    assert!(services.iter().any(|service| service["Name"] == "Order"));
    let added = tool.run(&[
        "api",
        "api/sales/customers",
        "-X",
        "POST",
        "-f",
        "CustomerName=New \"Co\"",
    ]);
    let added: Value = serde_json::from_str(&added.out).expect("JSON");
    assert_eq!(added["CustomerName"], "New \"Co\"");
    let one = format!(
        "{}/api/sales/customers/{}",
        emulator.base_url(),
        added["CustomerCode"]
    );
    let change = json!({"CustomerCode": added["CustomerCode"], "CreditLimit": 5}).to_string();
    let changed = tool.run_with_input(&["api", "api/sales/customers", "--input", "-"], &change);
    assert!(changed.out.contains("\"CreditLimit\":5"), "{}", changed.err);
    assert!(tool.run(&["api", &one]).out.contains("\"CreditLimit\":5"));
    assert_eq!(tool.run(&["api", "-X", "delete", &one]).out, "true");
    assert_eq!(requests(&emulator), 1);

    let gone = tool.run(&["api", &one]);
    assert_eq!(gone.status, 5);
    assert!(
        gone.out.contains("No record") && gone.err.contains("P21_E_NOT_FOUND"),
        "{}",
        gone.err
    );
    let denied = Tool::for_server(emulator.base_url())
        .without("P21_USERNAME")
        .with("P21_USERNAME", "readonly")
        .without("P21_PASSWORD")
        .with("P21_PASSWORD", "readonly-password")
        .run(&["api", TABLE]);
    assert!(
        denied.status == 5 && denied.err.contains("Allow OData API Service"),
        "{}",
        denied.err
    );
    emulator
        .control()
        .fault(Fault::on("/odataservice", Action::answer(503, "down")));
    let own = [
        "api",
        TABLE,
        "-H",
        "accept: text/plain",
        "--max-retries",
        "0",
    ];
    assert_eq!(tool.run(&own).status, 5);
    let sent = emulator.control().last_requests();
    assert_eq!(
        sent[format!("GET /{TABLE}")]["headers"]["accept"],
        "text/plain"
    );

    let other = Emulator::start(Options::default()).expect("started");
    let elsewhere = format!("{}/{TABLE}", other.base_url());
    tool.run(&["api", &elsewhere])
        .failed(2, &["the token is not sent to"]);
    assert_eq!(other.control().counter("requests"), 0);
    tool.run(&["api", TABLE, "-X", "BREW"]).failed(2, &["BREW"]);
    tool.run(&["api", TABLE, "-f", "x"])
        .failed(2, &["NAME=VALUE"]);
    tool.run(&["api", TABLE, "-H", "Authorization: Bearer x"])
        .failed(2, &["added automatically"]);
    tool.run(&["api", TABLE, "--input", "missing"])
        .failed(2, &["missing cannot be read"]);
}

#[test]
fn all_rows_come_no_matter_what_the_pages() {
    let (emulator, tool) = stored();
    for page in [json!(null), json!(7), json!(25)] {
        let settings = json!({"odata_page": page});
        emulator
            .control()
            .configure(settings.as_object().expect("an object"))
            .expect("set");
        for (path, count) in [
            (format!("{TABLE}?$orderby=customer_id"), 25),
            (format!("{TABLE}?$top=5&$orderby=customer_id"), 25),
            (format!("{TABLE}?$top=10&$skip=20"), 5),
            (format!("{TABLE}?$filter=customer_id lt 100011&$top=10"), 10),
            ("api/sales/customers?$top=4".to_owned(), 25),
        ] {
            let rows = list(&tool.run(&["api", "--all", &path]).out);
            assert_eq!(rows.len(), count, "{page} {path}");
        }
    }
    tool.run(&["api", "--all", "uiserver0/api/v2/definition/Order"])
        .failed(6, &["not a list"]);
    tool.run(&["api", "--all", "-X", "POST", TABLE])
        .failed(2, &["--all"]);
}

/// The recipe of docs/migrating.md.
#[cfg(unix)]
#[test]
fn a_script_heals_with_one_token_request() {
    let (emulator, tool) = stored();
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/migrating.md");
    let page = std::fs::read_to_string(page).expect("readable");
    let blocks = page
        .split("```sh run\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let recipe = blocks
        .filter(|block| block.contains("p21auth report"))
        .last()
        .expect("a recipe");
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_p21auth"))
        .parent()
        .expect("a folder");
    let path = format!(
        "{}:{}",
        folder.display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let run = || {
        let tool_command = tool.command(&[]);
        let mut shell = std::process::Command::new("sh");
        shell
            .args(["-eu", "-c", recipe])
            .env("PATH", &path)
            .current_dir(tool.folder.path());
        for (name, value) in tool_command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        String::from_utf8(shell.output().expect("sh runs").stdout).expect("UTF-8")
    };
    assert_eq!((run().as_str(), requests(&emulator)), ("200\n", 1));
    emulator.control().revoke_all();
    assert_eq!((run().as_str(), requests(&emulator)), ("200\n", 2));
    assert_eq!((run().as_str(), requests(&emulator)), ("200\n", 2));
}

#[cfg(unix)]
#[test]
fn a_command_gets_the_token_and_not_the_password() {
    let (emulator, tool) = stored();
    let token = tool.run(&["token"]).value().to_owned();
    let script = "printf '%s|%s|%s|%s|%s' \"$P21_ACCESS_TOKEN\" \"$P21_AUTH_MODE\" \"$P21_BASE_URL\" \"$P21_PASSWORD\" \"$P21_UI_URL\"; exit 42";
    let seen = tool.run(&["exec", "--ui-url", "--", "sh", "-c", script]);
    let base = emulator.base_url();
    assert_eq!(
        seen.out,
        format!("{token}|token|{base}||{base}/uiserver0"),
        "{}",
        seen.err
    );
    assert_eq!(seen.status, 42);
    // Programs that use the library work inside as they are.
    let tool_path = env!("CARGO_BIN_EXE_p21auth");
    let inside = tool.run(&["exec", "--", tool_path, "token"]);
    assert_eq!(inside.value(), token);
    assert_eq!(
        tool.run(&["exec", "--", "no-such-program-here"]).status,
        127
    );
    tool.run(&["exec"]).failed(2, &["COMMAND"]);
    assert_eq!(requests(&emulator), 1);
}
