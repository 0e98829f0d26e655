//! Permissions and scopes.

use p21_emulator::{Action, Fault, Options};

use super::Setup;
use test_support::KEY;

/// Scope `/odata:customer`.
const ODATA_KEY: &str = "00000000-0000-4000-8000-000000000003";
/// Scope `/uiserver0`.
const UI_KEY: &str = "00000000-0000-4000-8000-000000000004";

#[test]
fn a_user_without_the_permission_for_odata() {
    for (style, status) in [("json", 401), ("text", 403), ("message", 401)] {
        let mut options = Options::tls();
        options
            .settings
            .set("permission", style)
            .expect("a setting");
        options
            .settings
            .set("permission_status", &status.to_string())
            .expect("a setting");
        let setup = Setup::with(options)
            .set("P21_USERNAME", "readonly")
            .set("P21_PASSWORD", "readonly-password");
        let report = setup.report(&["--yes"]);
        report.fails(
            5,
            "odata",
            &[
                "the OData service forbids it",
                "You are not authorized to access API",
            ],
            &[
                "User Maintenance",
                "Allow OData API Service",
                "Dataservice Permission",
            ],
        );
        for name in ["router", "entity", "interactive"] {
            report.step(name).is("ok", &[], &[]);
        }
        assert_eq!(report.token_requests(), 1);
    }
}

#[test]
fn a_key_whose_scope_lacks_an_api() {
    let report = Setup::new()
        .key(UI_KEY)
        .set("P21_USERNAME", "demo")
        .report(&["--yes"]);
    report
        .step("scope")
        .is("ok", &["scope /uiserver0", "consumer 4"], &[]);
    report.fails(5, "odata", &["forbids it"], &["API scope in SOA Admin"]);
    report
        .step("entity")
        .is("fail", &["forbids it"], &["API scope"]);
    report.step("router").is("ok", &[], &[]);
    report.step("interactive").is("ok", &[], &[]);

    let report = Setup::new().key(ODATA_KEY).report(&["--yes"]);
    report.step("odata").is("ok", &["table customer"], &[]);
    report.fails(5, "router", &["forbids it"], &["API scope"]);
    report.skips(&["interactive"]);

    // Anyone who needs one API alone says so.
    let only = Setup::new()
        .key(ODATA_KEY)
        .report(&["--yes", "--apis", "odata"]);
    only.is_well();
    assert!(only.steps().iter().all(|step| step.0["id"] != "router"));
}

#[test]
fn the_interactive_api_wants_a_real_user() {
    let setup = Setup::new().key(KEY);
    let report = setup.report(&["--yes"]);
    report.is_well();
    report.step("scope").is(
        "warn",
        &["a consumer key without a username"],
        &["set username"],
    );
    report
        .step("interactive")
        .is("warn", &["needs a P21 user"], &["Set username"]);
    assert_eq!(setup.emulator.control().counter("interactive.requests"), 0);

    let setup = setup.set("P21_CONSUMER_USERNAME", "nobody");
    let report = setup.report(&["--yes"]);
    report.step("configuration").is(
        "ok",
        &[
            "user nobody",
            "username = nobody, from environment P21_CONSUMER_USERNAME",
        ],
        &[],
    );
    report.fails(
        5,
        "interactive",
        &["Error retrieving/validating user"],
        &["real P21 users"],
    );
    let setup = setup.set("P21_CONSUMER_USERNAME", "demo");
    setup.report(&["--yes"]).is_well();
    assert_eq!(setup.emulator.control().counter("sessions.open"), 0);
}

#[test]
fn a_header_that_gets_lost_and_a_table_that_is_not_there() {
    let setup = Setup::new();
    let lost = r#"{"Error":"invalid_request","Description":"Authorization header was not present or 'Bearer' was missing.","Uri":""}"#;
    setup
        .emulator
        .control()
        .fault(Fault::on("/odataservice", Action::answer(401, lost)));
    let report = setup.report(&["--yes"]);
    report.fails(
        5,
        "odata",
        &["header was not present"],
        &["did not reach P21", "proxies"],
    );

    let report = setup.report(&["--yes", "--odata-table", "nope"]);
    report.fails(5, "odata", &["HTTP 404"], &["--odata-table"]);
    let report = setup.report(&["--yes", "--odata-table", "a/../b"]);
    report.fails(2, "odata", &["letters, digits"], &[]);
}

#[test]
fn a_ui_server_elsewhere_is_pointed_out() {
    let setup = Setup::new();
    let mut settings = setup.emulator.control().settings();
    settings.ui_url = Some(format!(
        "https://localhost:{}/uiserver0/",
        setup.emulator.address().port()
    ));
    setup.emulator.control().set_settings(settings);
    let report = setup.report(&["--yes"]);
    report.is_well();
    report
        .step("router")
        .is("ok", &["localhost", "a different host than base_url"], &[]);
    report.step("interactive").is("ok", &[], &[]);
}
