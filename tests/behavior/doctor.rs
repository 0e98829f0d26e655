//! The examination as a Rust program runs it; the command line tool's tests have every broken set-up.

use std::ops::ControlFlow;
use std::time::Duration;

use p21auth::doctor::{Api, Event, Examination, Outcome, Report};
use test_support::{PASSWORD, client, config, emulator};

fn outcome(report: &Report, id: &str) -> (Outcome, String) {
    let step = report.steps.iter().find(|step| step.id == id);
    let step = step.unwrap_or_else(|| panic!("no step {id}: {report:?}"));
    (step.outcome, step.saw.join("\n"))
}

#[test]
fn by_itself_it_requests_no_token_and_with_leave_one() {
    let emulator = emulator();
    let config = config(&emulator);
    let report = Examination::of(&config).run();
    assert_eq!(report.failure(), None);
    assert_eq!(outcome(&report, "token").0, Outcome::Skipped);
    assert_eq!(emulator.control().counter("token.requests"), 0);
    let report = Examination::of(&config).allow_token_request().run();
    assert_eq!(outcome(&report, "interactive").0, Outcome::Ok, "{report:?}");
    assert_eq!(report.token_requests, 1);
    assert_eq!(emulator.control().counter("token.requests"), 1);
    let json = report.to_json();
    assert_eq!((&json["schema"], &json["ok"]), (&1.into(), &true.into()));
    assert!(!json.to_string().contains(PASSWORD));
    for step in json["steps"].as_array().expect("steps") {
        assert!(step["id"].is_string() && step["ms"].is_u64(), "{step}");
        assert!(step["saw"].is_array() && step["do"].is_array(), "{step}");
    }
}

#[test]
fn the_token_of_a_client_of_this_process_is_used_and_kept() {
    let emulator = emulator();
    let (config, client) = (config(&emulator), client(&emulator));
    let examine = || {
        Examination::of(&config)
            .client(&client)
            .allow_token_request()
            .apis(&[Api::Odata])
            .run()
    };
    let first = examine();
    assert_eq!(first.failure(), None, "{first:?}");
    assert_eq!(first.token_requests, 1);
    let token = client.token().expect("the token that it requested");
    let second = examine();
    assert_eq!(second.token_requests, 0);
    let (token_step, saw) = outcome(&second, "token");
    assert_eq!(token_step, Outcome::Ok);
    assert!(saw.contains(&token.fingerprint()), "{saw}");
    assert_eq!(outcome(&second, "odata").0, Outcome::Ok);
    assert_eq!(emulator.control().counter("token.requests"), 1);
}

#[test]
fn steps_are_told_as_they_come_until_the_follower_has_enough() {
    let emulator = emulator();
    let mut told = Vec::new();
    let report = Examination::of(&config(&emulator)).follow(|event| {
        match event {
            Event::Begun(id) => told.push(format!("begun {id}")),
            Event::Ended(step) => told.push(format!("ended {}", step.id)),
            _ => {}
        }
        if told.iter().any(|line| line == "ended store") {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert_eq!(
        told,
        [
            "begun configuration",
            "ended configuration",
            "begun store",
            "ended store"
        ]
    );
    assert!(report.steps.len() <= 2);
    assert_eq!(emulator.control().counter("requests"), 0);
}

#[test]
fn nothing_begins_when_the_time_is_used_up() {
    let emulator = emulator();
    let report = Examination::of(&config(&emulator))
        .allow_token_request()
        .within(Duration::ZERO)
        .run();
    for id in ["dns", "tcp", "tls", "server", "token", "odata"] {
        assert_eq!(outcome(&report, id).0, Outcome::Skipped, "{report:?}");
    }
    assert!(outcome(&report, "dns").1.contains("time"), "{report:?}");
    assert_eq!(emulator.control().counter("requests"), 0);
}
