//! Everything that goes wrong on request.

use std::io::{self, Read as _};
use std::time::Duration;

use p21_emulator::{Action, Emulator, Fault, Options};
use serde_json::json;

use crate::wire::{Answer, Client};
use crate::{DEMO, LONG, V2, start};

#[test]
fn too_many_requests_are_told_when_to_come_back() {
    let (emulator, mut client) = start();
    let control = emulator.control();
    let patch = json!({"throttle_max": 1, "throttle_window_s": 100});
    control.configure(patch.as_object().unwrap()).unwrap();
    assert_eq!(client.ask(DEMO).status, 200);
    let answer = client.ask(DEMO);
    let wait: u32 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!(answer.status == 429 && (1..=100).contains(&wait));
    control
        .configure(json!({"retry_after": "date"}).as_object().unwrap())
        .unwrap();
    let answer = client.ask(DEMO);
    assert!(answer.header("retry-after").unwrap().ends_with("GMT"));
    assert_eq!(control.counter("token.throttled"), 2);
}

#[test]
fn faults_hit_the_next_requests_in_order() {
    let (emulator, mut client) = start();
    let control = emulator.control();
    let down = Action::answer_with(503, ("Retry-After", "7"), "down");
    control.fault(Fault::on("/token", down).times(2));
    control.fault(Fault::on("/token", Action::Empty));
    control.fault(Fault::on("/token", Action::Html));
    let elsewhere = "https://elsewhere.invalid/".to_owned();
    control.fault(Fault::on(
        "/token",
        Action::Redirect {
            location: elsewhere,
            status: 302,
        },
    ));
    control.fault(Fault::on(
        "/token",
        Action::Drip {
            bytes_per_s: 100_000,
        },
    ));
    for _ in 0..2 {
        let answer = client.ask(DEMO);
        assert_eq!((answer.status, answer.text()), (503, "down"));
        assert_eq!(answer.header("retry-after"), Some("7"));
    }
    assert!(client.ask(DEMO).body.is_empty());
    assert!(client.ask(DEMO).text().starts_with("<!DOCTYPE html>"));
    let redirect = client.ask(DEMO);
    assert_eq!(redirect.status, 302);
    assert_eq!(
        redirect.header("location"),
        Some("https://elsewhere.invalid/")
    );
    assert_eq!(client.ask(DEMO).status, 200, "a drip ends");
    let counters = control.counters();
    assert_eq!(
        (counters["faults.fired"], counters["faults.pending"]),
        (6, 0)
    );
    assert_eq!(
        (counters["token.requests"], counters["token.issued"]),
        (6, 1)
    );
}

#[test]
fn connections_break_on_request() {
    let (emulator, _) = start();
    let control = emulator.control();
    let broken = |action: Action| {
        control.fault(Fault::on("/token", action));
        let mut client = Client::new(&emulator);
        client.send("POST", V2, &[("Accept", "application/json")], Some(DEMO));
        client
    };
    let kind = |result: io::Result<Answer>| result.err().map(|e| e.kind());
    let reset = Some(io::ErrorKind::ConnectionReset);
    let ended = Some(io::ErrorKind::UnexpectedEof);
    assert_eq!(kind(broken(Action::Close).answer()), ended);
    assert_eq!(kind(broken(Action::Reset).answer()), reset);
    let mut client = broken(Action::ResetAfterHeaders);
    assert_eq!(client.head().unwrap().status, 200);
    assert_eq!(
        client.0.read(&mut [0]).unwrap_err().kind(),
        io::ErrorKind::ConnectionReset
    );
    let mut client = broken(Action::Truncate { bytes: 10 });
    let head = client.head().unwrap();
    assert!(
        head.header("content-length")
            .unwrap()
            .parse::<usize>()
            .unwrap()
            > 10
    );
    let mut part = Vec::new();
    client.0.read_to_end(&mut part).unwrap();
    assert_eq!(part.len(), 10);

    let mut client = broken(Action::Flood);
    assert_eq!(client.head().unwrap().header("content-length"), None);
    client.0.read_exact(&mut vec![0; 4 << 20]).unwrap();
    drop(client);
    assert!(control.wait_until(LONG, |c| c["connections.open"] <= 1));
}

#[test]
fn a_hanging_request_waits_for_its_release() {
    let (emulator, mut client) = start();
    let control = emulator.control();
    control.fault(Fault {
        hang: true,
        ..Fault::on("/token", Action::Pass)
    });
    client.send("POST", V2, &[("Accept", "application/json")], Some(DEMO));
    assert!(control.wait_for("held", 1, LONG));
    assert_eq!(control.counter("token.issued"), 0);
    control.release();
    assert_eq!(client.answer().unwrap().status, 200);
}

#[test]
fn the_date_can_lie_alone() {
    let (emulator, mut client) = start();
    let date = |answer: &Answer| httpdate::parse_http_date(answer.header("date").unwrap()).unwrap();
    emulator
        .control()
        .fault(Fault::on("", Action::SkewDate { seconds: -86_400 }));
    let lying = date(&client.ask(DEMO));
    let true_one = date(&client.ask(DEMO));
    assert!(true_one.duration_since(lying).unwrap() >= Duration::from_hours(24));
}

#[test]
fn tls_connections_break_too() {
    let emulator = Emulator::start(Options::tls()).unwrap();
    let control = emulator.control();
    for (action, kind) in [
        (Action::Reset, io::ErrorKind::ConnectionReset),
        (Action::Truncate { bytes: 3 }, io::ErrorKind::UnexpectedEof),
    ] {
        control.fault(Fault::on("", action));
        let (mut client, _) = Client::tls(&emulator).unwrap();
        client.send("POST", V2, &[], Some(DEMO));
        assert_eq!(client.answer().err().map(|e| e.kind()), Some(kind));
    }
}
