//! Credentials, addresses, replies, clocks.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p21_emulator::{Action, Fault, Options};
use serde_json::json;

use super::{Report, Setup};
use crate::tool::{PLANTED, Tool};
use test_support::KEY;
use test_support::nginx::{self, Nginx};

pub(super) const AFTER: &[&str] = &[
    "reply",
    "lifetime",
    "scope",
    "router",
    "odata",
    "entity",
    "interactive",
];

#[test]
fn a_wrong_password() {
    let setup = Setup::new().set("P21_PASSWORD", PLANTED);
    let report = setup.report(&["--yes"]);
    report.fails(
        5,
        "token",
        &["rejects the username or password"],
        &["logging in to P21", "Not sooner than in 1 min"],
    );
    report.step("server").is("ok", &[], &[]);
    report.skips(AFTER);
    assert_eq!(report.token_requests(), 1);
}

#[test]
fn a_wrong_consumer_key() {
    let report = Setup::new().key(PLANTED).report(&["--yes"]);
    report.fails(5, "token", &["rejects the consumer key"], &["SOA Admin"]);
    report.skips(AFTER);
    assert_eq!(report.token_requests(), 1);
}

#[test]
fn what_a_server_echoes_does_not_show() {
    let setup = Setup::new().set("P21_PASSWORD", PLANTED);
    for status in [200, 400, 403, 500] {
        let body = json!({ "ErrorMessage": format!("no {PLANTED} here") }).to_string();
        let fault = Fault::on("/token", Action::answer(status, &body));
        setup.emulator.control().fault(Fault {
            method: "POST".into(),
            ..fault
        });
        let report = setup.report(&["--yes"]);
        report
            .step("token")
            .is("fail", &["no [redacted] here"], &[]);
    }
}

#[test]
fn a_base_url_under_which_there_is_nothing() {
    let mut options = Options::tls();
    options.prefix = "/P21APIService".to_owned();
    let setup = Setup::with(options);
    let base = setup.emulator.base_url().to_owned();
    let host = base.strip_suffix("/P21APIService").expect("the prefix");
    let setup = setup.set("P21_BASE_URL", host);
    let report = setup.report(&["--yes"]);
    report.fails(
        5,
        "server",
        &["there is no P21 API at", "/api/ui/router/v1/", "HTTP 404"],
        &["base_url", "-api host"],
    );
    report.skips(&["token"]);
    assert_eq!(report.token_requests(), 0, "no credentials go there");
    setup
        .set("P21_BASE_URL", &base)
        .report(&["--yes"])
        .is_well();
}

#[test]
fn the_web_clients_page() {
    let setup = Setup::new();
    setup
        .emulator
        .control()
        .fault(Fault::on("/api", Action::Html).times(0));
    let report = setup.report(&["--yes"]);
    report.fails(6, "server", &["web page", "Prophet 21"], &["base_url"]);
    report.skips(&["token"]);
    assert_eq!(report.token_requests(), 0);
}

#[test]
fn a_router_that_is_missing_does_not_hide_the_token_endpoint() {
    let setup = Setup::new();
    setup
        .emulator
        .control()
        .fault(Fault::on("/router", Action::answer(404, "")).times(0));
    let report = setup.report(&["--yes"]);
    report
        .step("server")
        .is("warn", &["token endpoint is there"], &["Interactive"]);
    report.step("token").is("ok", &[], &[]);
    report.step("odata").is("ok", &[], &[]);
    report.fails(5, "router", &["HTTP 404"], &["base_url"]);
    report.skips(&["interactive"]);
    assert_eq!(report.token_requests(), 1);
}

#[test]
fn a_failure_that_may_pass_is_not_tried_again() {
    let setup = Setup::new();
    let fault = Fault::on("/token", Action::answer(503, "")).times(0);
    setup.emulator.control().fault(Fault {
        method: "POST".into(),
        ..fault
    });
    let report = setup.report(&["--yes"]);
    report.fails(5, "token", &["HTTP 503"], &["down, starting or overloaded"]);
    assert_eq!(report.token_requests(), 1);
}

#[test]
fn a_redirect_to_another_host_takes_no_credentials_along() {
    let setup = Setup::new();
    let away = Action::Redirect {
        location: "https://elsewhere.example.com/".to_owned(),
        status: 302,
    };
    setup
        .emulator
        .control()
        .fault(Fault::on("/api", away).times(0));
    let report = setup.report(&["--yes"]);
    report.fails(
        5,
        "server",
        &["redirects to https://elsewhere.example.com"],
        &["set base_url to it"],
    );
    assert_eq!(report.token_requests(), 0);
}

#[test]
fn a_clock_that_is_hours_off() {
    for (skew, side) in [(7_230, "2 h ahead of"), (-7_170, "1 h 59 min behind")] {
        let setup = Setup::new();
        let mut settings = setup.emulator.control().settings();
        settings.date_skew_s = skew;
        setup.emulator.control().set_settings(settings);
        let report = setup.report(&["--yes"]);
        report.is_well();
        report.step("clock").is("warn", &[side], &["time server"]);
        // It shows without a token too.
        setup.report(&[]).step("clock").is("warn", &[side], &[]);
    }
}

#[test]
fn replies_of_every_shape() {
    for (reply, kind) in [
        ("xml", "XML"),
        ("token_response", "XML"),
        ("bare", "bare text"),
        ("bare_json", "bare text"),
    ] {
        let mut options = Options::tls();
        options.settings.set("reply", reply).expect("a setting");
        let report = Setup::with(options).report(&["--yes"]);
        report.is_well();
        report.step("reply").is("ok", &[kind], &[]);
    }
}

#[test]
fn lifetimes_worth_a_word() {
    let with = |settings: &[(&str, &str)]| {
        let mut options = Options::tls();
        for (name, value) in settings {
            options.settings.set(name, value).expect("a setting");
        }
        Setup::with(options)
    };
    let short = with(&[("lifetime_s", "120")]).report(&["--yes"]);
    short.step("lifetime").is("warn", &["min"], &["SOA Admin"]);
    let none = with(&[("lifetime_fields", "[]"), ("token_kind", "opaque")]).report(&["--yes"]);
    none.step("lifetime")
        .is("warn", &["50 min are assumed"], &["default_lifetime_s"]);
    none.step("scope").is("ok", &["not a JWT"], &[]);
    let never = Setup::new()
        .key("00000000-0000-4000-8000-000000000002")
        .report(&["--yes"]);
    never
        .step("lifetime")
        .is("ok", &["y", "max_token_age_s"], &[]);
}

#[test]
fn an_nginx_that_drops_headers_with_underscores() {
    let nginx = Nginx::start(nginx::Setup::default());
    let tool = Tool::new()
        .with("P21_BASE_URL", &nginx.base_url)
        .with("P21_CONSUMER_KEY", KEY)
        .with("P21_AUTH_MODE", "v1_consumer");
    let report = Report::of(&tool, &["--yes"]);
    report.fails(
        5,
        "token",
        &["rejects the consumer key"],
        &["underscores_in_headers on;", "auth_mode=v2_consumer"],
    );
    let control = nginx.emulator.control();
    assert_eq!(control.counter("token.requests"), 1);
    let fixed = tool
        .without("P21_AUTH_MODE")
        .with("P21_AUTH_MODE", "v2_consumer");
    assert_eq!(Report::of(&fixed, &["--yes"]).value["exit_status"], 0);
    assert_eq!(control.counter("token.requests"), 2);
}

fn own_token(exp: i64) -> String {
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({"sub": "demo", "exp": exp});
    format!("{}.{}.c2ln", part(json!({"alg": "HS256"})), part(claims))
}

#[test]
fn a_token_of_ones_own() {
    let own = |token: &str| {
        Setup::new()
            .set("P21_USERNAME", "")
            .set("P21_PASSWORD", "")
            .set("P21_ACCESS_TOKEN", token)
    };
    let expired = own(&own_token(1_000_000_000)).report(&["--yes"]);
    expired.fails(2, "token", &["has expired"], &["another access_token"]);
    expired.skips(AFTER);
    assert_eq!(expired.token_requests(), 0);

    // One that another server issued: alive by its own account, dead to this one.
    let foreign = own(&own_token(4_000_000_000)).report(&[]);
    foreign.step("token").is("ok", &["your own"], &[]);
    foreign.step("reply").is("skipped", &[], &[]);
    foreign.fails(
        5,
        "router",
        &["does not accept the token"],
        &["Supply a new token"],
    );

    let setup = Setup::new();
    let token = setup.tool.run(&["token"]).value().to_owned();
    let setup = setup
        .set("P21_USERNAME", "")
        .set("P21_PASSWORD", "")
        .set("P21_ACCESS_TOKEN", &token);
    let report = setup.report(&[]);
    assert_eq!(report.value["exit_status"], 0, "{:#}", report.value);
    report.step("interactive").is("ok", &[], &[]);
    assert!(!report.value.to_string().contains(&token));
    assert_eq!(setup.token_requests(), 1, "that of the token itself");
}
