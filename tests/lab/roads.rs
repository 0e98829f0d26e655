//! What goes wrong on the way: a caller gets its token where there is a way to it, and otherwise the phase in which it ended.

use std::time::{Duration, Instant};

use p21_emulator::{Action, Fault};
use serde_json::{Value, json};

use crate::client::Process;
use crate::names::{Names, Says};
use crate::net::{Net, enter};
use crate::peers::{Proxy, balancer, mute, requests, server, tls_server};

const PATIENCE: Duration = Duration::from_mins(1);

/// What a dead address may cost on a busy machine: far less than the time of a phase, which is 10 s then.
const DETOUR_MS: u64 = 5_000;
/// With this a phase has 10 s.
const LONG: (&str, &str) = ("timeout_ms", "30000");
const TLS: (&str, &str) = ("base_url", "https://p21.test:3443");

/// A network, its name server, which knows the server by these addresses, and a process.
fn world(net: &Net, addresses: &[&str]) -> (Names, Process) {
    let names = Names::start();
    names.at("p21.test", addresses);
    (names, Process::start(net))
}

fn step<'a>(report: &'a Value, id: &str) -> &'a Value {
    let steps = report["steps"].as_array().expect("steps");
    let step = steps.iter().find(|step| step["id"] == id);
    step.unwrap_or_else(|| panic!("no step {id} in {report}"))
}

#[test]
fn dead_addresses_are_left_behind() {
    let Some(net) = enter("roads::dead_addresses_are_left_behind") else {
        return;
    };
    let (names, mut process) = world(&net, &["10.99.0.66", "10.99.0.67", "10.99.0.2"]);
    let server = server();
    process.open("two of three", &[LONG]);
    let said = process.token("two of three");
    said.ok();
    assert!(said.ms() < DETOUR_MS, "{said:?}");
    assert_eq!(requests(&server), 1);

    // A whole family is dead.
    names.at("p21.test", &["fd99::66", "10.99.0.2"]);
    let said = process.force("two of three");
    said.ok();
    assert!(said.ms() < DETOUR_MS, "{said:?}");
    let report = process.ask(&json!({"do": "doctor", "options": []}));
    let tcp = step(&report, "tcp");
    assert_eq!(tcp["outcome"], "warn", "{tcp}");
    assert!(tcp.to_string().contains("fd99::66"), "{tcp}");
    assert!(tcp.to_string().contains("IPv6"), "{tcp}");
}

#[test]
fn an_address_that_accepts_and_stays_mute_is_left_behind() {
    let Some(net) = enter("roads::an_address_that_accepts_and_stays_mute_is_left_behind") else {
        return;
    };
    let (_names, mut process) = world(&net, &["10.99.0.3", "10.99.0.2"]);
    let (server, mute) = (tls_server(), mute("10.99.0.3:3443"));
    process.open("p21", &[TLS, LONG]);
    let said = process.token("p21");
    said.ok();
    assert!(said.ms() < DETOUR_MS, "{said:?}");
    assert_eq!((requests(&server), mute.accepted()), (1, 1));
}

#[test]
fn a_name_that_hangs_holds_up_no_other() {
    let Some(net) = enter("roads::a_name_that_hangs_holds_up_no_other") else {
        return;
    };
    let (names, mut process) = world(&net, &["10.99.0.2"]);
    names.say("slow.test", Says::Nothing);
    let server = server();
    let slow = [("base_url", "http://slow.test:3443"), LONG];
    process.ask(&json!({"do": "crowd", "count": 600, "options": slow}));
    process.open("good", &[LONG]);
    let said = process.token("good");
    said.ok();
    assert!(said.ms() < DETOUR_MS, "{said:?}");
    let threads = process.ask(&json!({"do": "threads"}));
    assert!(threads["lookups"].as_u64() <= Some(2), "{threads}");
    assert_eq!(requests(&server), 1);
    // One look-up for all; each asks again after five seconds, and so does a second one.
    let asked = names.asked("slow.test");
    assert!((1..=6).contains(&asked), "asked {asked} times");
}

#[test]
fn a_connection_never_outlives_its_request() {
    let Some(mut net) = enter("roads::a_connection_never_outlives_its_request") else {
        return;
    };
    let (names, mut process) = world(&net, &["10.99.0.4"]);
    let server = server();
    balancer("10.99.0.4:3443");
    process.open("p21", &[LONG]);
    process.token("p21").ok();
    // A second request on a connection that is kept would meet a 503.
    for _ in 0..4 {
        process.force("p21").ok();
    }
    // A NAT forgets what is idle, and drops what still comes of it.
    names.at("p21.test", &["10.99.0.2"]);
    process.force("p21").ok();
    for _ in 0..3 {
        net.forget();
        let said = process.force("p21");
        said.ok();
        assert!(said.ms() < DETOUR_MS, "{said:?}");
    }
    assert_eq!(requests(&server), 9);
}

#[test]
fn a_request_without_a_reply_is_not_sent_again() {
    let Some(net) = enter("roads::a_request_without_a_reply_is_not_sent_again") else {
        return;
    };
    let (_names, mut process) = world(&net, &["10.99.0.2"]);
    let server = server();
    process.open("p21", &[("max_retries", "2")]);
    // Half open: the request arrives, and nothing comes back.
    server.control().hold();
    process.tell(&json!({"do": "token", "name": "p21"}));
    assert!(server.control().wait_for("held", 1, PATIENCE));
    net.filter_out("tcp sport 3443", "drop");
    net.filter_in("tcp dport 3443", "drop");
    server.control().release();
    let said = crate::client::Said(process.answer());
    said.failed(
        "P21_E_TIMEOUT",
        &["no response to the request"],
        &["The request was sent"],
    );
    assert_eq!(requests(&server), 1);
    net.clear();

    // A slow server that answers in time is asked once.
    server.control().fault(Fault {
        latency_ms: 2_000,
        ..Fault::on("/token", Action::Pass)
    });
    process.open(
        "slow",
        &[
            ("username", "readonly"),
            ("password", "readonly-password"),
            ("max_retries", "2"),
        ],
    );
    process.token("slow").ok();
    assert_eq!(requests(&server), 2);
}

#[test]
fn a_request_that_was_cut_off_is_sent_once_more() {
    let Some(net) = enter("roads::a_request_that_was_cut_off_is_sent_once_more") else {
        return;
    };
    let (_names, mut process) = world(&net, &["10.99.0.2"]);
    let server = server();
    server
        .control()
        .fault(Fault::on("/token", Action::Reset).times(0));
    process.open("p21", &[("max_retries", "3"), LONG]);
    process.token("p21").failed("P21_E_IO", &["broke"], &[]);
    assert_eq!(requests(&server), 2);
    // Before it was sent it may be tried as often as that is allowed.
    server.control().clear_faults();
    net.filter_in("tcp dport 3443", "reject with tcp reset");
    process.open(
        "other",
        &[("username", "readonly"), ("max_retries", "1"), LONG],
    );
    process
        .token("other")
        .failed("P21_E_CONNECT", &["refused", "2 tries"], &[]);
    assert_eq!(requests(&server), 2);
}

#[test]
fn what_the_doctor_says_names_the_phase() {
    let Some(net) = enter("roads::what_the_doctor_says_names_the_phase") else {
        return;
    };
    let (names, mut process) = world(&net, &["10.99.0.2"]);
    let _server = tls_server();
    let _mute = mute("10.99.0.3:3443");
    let _proxy = {
        let proxy = Proxy::start("10.99.0.5:3128");
        proxy.is_mute(true);
        proxy
    };
    let mut examine = |more: &[(&str, &str)]| {
        let usual = [TLS, ("connect_timeout_ms", "1500")];
        let options: Vec<_> = usual.iter().chain(more).copied().collect();
        process.ask(&json!({"do": "doctor", "options": options}))
    };
    let fails = |report: &Value, id: &str, words: &[&str]| {
        let step = step(report, id);
        assert_eq!(step["outcome"], "fail", "{report}");
        for word in words {
            assert!(step.to_string().contains(word), "no {word:?} in {step}");
        }
    };

    // The network loses large packets, as a VPN does whose MTU is smaller than it says.
    net.filter_out("tcp sport 3443 ip length > 576", "drop");
    fails(&examine(&[]), "tls", &["10.99.0.2", "large packets", "MTU"]);
    net.clear();

    names.at("p21.test", &["10.99.0.66"]);
    fails(&examine(&[]), "tcp", &["10.99.0.66", "VPN"]);
    names.at("p21.test", &["10.99.0.66", "fd99::66"]);
    fails(&examine(&[]), "tcp", &["10.99.0.66", "fd99::66"]);
    // Of two addresses one accepts and is silent: a program gets its token by way of the other.
    names.at("p21.test", &["10.99.0.3", "10.99.0.2"]);
    let report = examine(&[]);
    let tls = step(&report, "tls");
    assert_eq!(tls["outcome"], "warn", "{report}");
    assert!(
        tls.to_string()
            .contains("no TLS handshake with 10.99.0.3:3443")
    );
    names.at("p21.test", &["10.99.0.3"]);
    fails(
        &examine(&[]),
        "tls",
        &["10.99.0.3", "does not complete a TLS handshake"],
    );
    fails(
        &examine(&[("proxy", "http://10.99.0.5:3128")]),
        "tunnel",
        &["does not open a tunnel"],
    );
    names.say("p21.test", Says::Nothing);
    let begun = Instant::now();
    fails(
        &examine(&[]),
        "dns",
        &["name server does not respond", "VPN"],
    );
    assert!(begun.elapsed() < PATIENCE);
}
