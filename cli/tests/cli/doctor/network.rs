//! Names, ports, proxies.

use p21_emulator::Options;

use super::{Report, Setup};
use crate::tool::Tool;
use test_support::server::closed_port;
use test_support::squid::{Access, PASSWORD, Squid, USER};

const REST: &[&str] = &["tls", "server", "token", "reply", "clock", "odata"];

#[test]
fn a_name_that_no_one_knows() {
    let tool = Tool::for_server("https://p21.invalid");
    let report = Report::of(&tool, &["--yes"]);
    report.fails(
        4,
        "dns",
        &["p21.invalid", "cannot be resolved"],
        &["base_url", "resolve=p21.invalid:443:ADDRESS"],
    );
    report.skips(&["tcp"]);
    report.skips(REST);
    assert_eq!(report.token_requests(), 0);
}

#[test]
fn a_port_on_which_nothing_listens() {
    let (_socket, address) = closed_port();
    let report = Report::of(&Tool::for_server(&format!("https://{address}")), &["--yes"]);
    let place = address.to_string();
    report.fails(
        4,
        "tcp",
        &[&place, "Connection refused"],
        &["host and port in base_url", "IIS"],
    );
    report.skips(REST);
    assert_eq!(report.token_requests(), 0);
}

#[test]
fn a_name_is_overridden_and_its_addresses_are_named() {
    let setup = Setup::new();
    let port = setup.emulator.address().port();
    let base = format!("https://localhost:{port}");
    let resolve = format!("localhost:{port}:127.0.0.1");
    let setup = setup
        .set("P21_BASE_URL", &base)
        .set("P21_RESOLVE", &resolve);
    let report = setup.report(&["--yes"]);
    report.is_well();
    report.step("dns").is(
        "ok",
        &["localhost is 127.0.0.1 (this machine), by option resolve"],
        &[],
    );
}

#[test]
fn a_proxy_that_wants_a_ticket_of_the_windows_domain() {
    let squid = Squid::start(Access::Negotiate);
    let setup = Setup::new().set("P21_PROXY", &squid.url());
    let report = setup.report(&["--yes"]);
    report
        .step("proxy")
        .is("ok", &[&squid.url(), "option proxy"], &[]);
    report
        .step("tcp")
        .is("ok", &["connected to the proxy at"], &[]);
    report.fails(
        4,
        "tunnel",
        &["Negotiate", "HTTP 407", "not supported"],
        &["allow list", "px, cntlm"],
    );
    report.skips(REST);
    assert_eq!(report.token_requests(), 0);
}

#[test]
fn a_proxy_that_wants_a_password_and_gets_it() {
    let squid = Squid::start(Access::Basic);
    let setup = Setup::new().set("P21_PROXY", &squid.url());
    let report = setup.report(&["--yes"]);
    report.fails(
        4,
        "tunnel",
        &["asks for a user and password"],
        &["Set proxy=http://user:password@"],
    );
    let setup = setup.set("P21_PROXY", &squid.url_with(USER, PASSWORD));
    let report = setup.report(&["--yes"]);
    report.is_well();
    report.step("tunnel").is("ok", &[], &[]);
    let seen = format!("{:#}", report.value);
    assert!(
        !seen.contains("ss:w") && !seen.contains("p%40ss") && !seen.contains("corp"),
        "{seen}"
    );
}

#[test]
fn plain_http_through_a_proxy_that_wants_a_password() {
    let squid = Squid::start(Access::Basic);
    let emulator = p21_emulator::Emulator::start(Options::default()).expect("started");
    let tool = Tool::for_server(emulator.base_url())
        .with("P21_PROXY", &squid.url())
        .with("P21_ALLOW_HTTP", "1");
    let report = Report::of(&tool, &["--yes"]);
    report.fails(
        4,
        "server",
        &["asks for a user and password"],
        &["Set proxy="],
    );
    assert_eq!(emulator.control().counter("requests"), 0);
}

#[test]
fn a_dead_proxy_out_of_the_environment() {
    let (_socket, address) = closed_port();
    let setup = Setup::new().set("HTTPS_PROXY", &format!("http://{address}"));
    let report = setup.report(&["--yes"]);
    report
        .step("proxy")
        .is("ok", &["from environment HTTPS_PROXY"], &[]);
    report.fails(
        4,
        "tcp",
        &[
            &address.to_string(),
            "environment HTTPS_PROXY",
            "Connection refused",
        ],
        &["proxy=direct", "no_proxy=127.0.0.1"],
    );
    report.skips(&["tunnel"]);
    report.skips(REST);
    // What it advises helps.
    setup
        .set("P21_PROXY", "direct")
        .report(&["--yes"])
        .is_well();
}

#[test]
fn a_kind_of_proxy_that_is_not_supported() {
    let setup = Setup::new().set("ALL_PROXY", "socks5://127.0.0.1:1080");
    let report = setup.report(&["--yes"]);
    report.fails(
        4,
        "proxy",
        &["SOCKS", "environment ALL_PROXY"],
        &["http proxy"],
    );
    report.skips(&["dns", "tcp", "tunnel"]);
    report.skips(REST);
}

#[test]
fn a_proxy_that_cannot_be_understood() {
    for (name, value, says) in [
        ("HTTPS_PROXY", "http://CORP\\john:planted@proxy:8080", "%5C"),
        ("https_proxy", "http://john:planted@ss@proxy:8080", "%40"),
        ("ALL_PROXY", "http://proxy/planted.pac", "PAC"),
    ] {
        let report = Setup::new().set(name, value).report(&["--yes"]);
        let steps = report.value["steps"].as_array().expect("steps");
        let failed = steps.iter().find(|step| step["outcome"] == "fail");
        let failed = failed.expect("a step fails").to_string();
        assert!(
            failed.contains(&format!("environment variable {name}")),
            "{failed}"
        );
        assert!(
            failed.contains(says) && failed.contains("P21_E_CONFIG"),
            "{failed}"
        );
        assert!(
            !report.value.to_string().contains("planted"),
            "{}",
            report.value
        );
    }
}

#[test]
fn credentials_that_look_damaged_are_worth_a_warning() {
    for (value, says) in [
        ("\"demo-password\"", "password is in quotation marks"),
        ("demo-password ", "password begins or ends with a blank"),
        ("${DEMO}", "password looks like a placeholder"),
    ] {
        let report = Setup::new().set("P21_PASSWORD", value).report(&["--yes"]);
        report.step("configuration").is("warn", &[says], &[]);
        assert!(!report.value.to_string().contains("demo-password"));
    }
}
