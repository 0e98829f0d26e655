//! Long spans of time, on a hand-set clock: what a server that fails for hours, sends dead tokens or kills them costs.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p21_emulator::{Emulator, Options, Settings};
use p21auth::Verdict;
use p21auth::internal::client::Runtime;
use p21auth::internal::clock::{Clock, ManualClock};
use p21auth::internal::http::{Transport, transport_for};
use p21auth::{Client, Code, Error, TokenOptions};

use test_support::scripted::{Inline, Server, clock, even, most, open, response, runtime, token};

#[test]
fn ten_thousand_failures_in_a_row_back_off_within_bounds_and_recover() {
    const FAILURES: u64 = 10_000;
    fn least(_: u64) -> u64 {
        0
    }
    for random in [most as fn(u64) -> u64, least, even] {
        let (clock, server) = (
            clock(),
            Server::new(|number, _| {
                if number == FAILURES + 1 {
                    Ok(token("good", Some(3600)))
                } else {
                    Err(Error::new(Code::Connect, "connection refused"))
                }
            }),
        );
        let client = open(&runtime(&clock, Inline, random, &server), &[]);
        for number in 1..=FAILURES {
            let error = client.token().expect_err("the server is down");
            assert_eq!(error.code(), Code::Connect);
            let wait = error.retry_after().expect("a backoff");
            assert!(
                Duration::from_millis(1) <= wait && wait <= Duration::from_secs(30),
                "{number}: {wait:?}"
            );
            let again = client.token().expect_err("still down");
            assert_eq!(again.retry_after(), Some(wait), "time stands still");
            assert_eq!(server.requests(), number, "one request for each backoff");
            clock.sleep(wait);
        }
        assert_eq!(client.token().expect("recovered").value(), "good");
        let force = TokenOptions {
            force_refresh: true,
            ..TokenOptions::default()
        };
        clock.advance(5_000);
        let error = client.token_with(&force).expect_err("down again");
        assert!(
            error.retry_after() <= Some(Duration::from_secs(1)),
            "a success began the schedule again: {error:?}"
        );
    }
}

#[test]
fn refused_credentials_cost_two_requests_an_hour_endlessly() {
    let (clock, server) = (
        clock(),
        Server::new(|_, _| Ok(response(401, r#"{"error":"invalid_grant"}"#))),
    );
    let client = open(&runtime(&clock, Inline, most, &server), &[]);
    // A program that asks six times a minute for a month.
    for _ in 0..30 * 8_640 {
        assert_eq!(
            client.token().expect_err("refused").code(),
            Code::Unauthorized
        );
        clock.advance(10_000);
    }
    let most = 2 + 30 * 24 * 2;
    assert!(
        (most - 4..=most).contains(&server.requests()),
        "{}",
        server.requests()
    );
}

/// A JWT that expired ten minutes before now.
fn expired_jwt(clock: &ManualClock) -> String {
    let part = |text: String| URL_SAFE_NO_PAD.encode(text);
    let exp = clock.now().unix() - 600;
    format!(
        "{}.{}.c2ln",
        part(r#"{"alg":"none"}"#.to_owned()),
        part(format!(r#"{{"exp":{exp}}}"#))
    )
}

#[test]
fn a_server_that_only_sends_expired_tokens_is_not_asked_in_a_spin() {
    for (random, at_most) in [(most as fn(u64) -> u64, 127), (even, 300)] {
        let clock = clock();
        let sends = Arc::clone(&clock);
        let server = Server::new(move |_, _| Ok(token(&expired_jwt(&sends), None)));
        let client = open(&runtime(&clock, Inline, random, &server), &[]);
        // Twenty calls a second for an hour.
        for _ in 0..72_000 {
            let error = client.token().expect_err("dead on arrival");
            assert_eq!(error.code(), Code::NoAccessToken, "{error}");
            assert!(error.hint().contains("clocks"), "{}", error.hint());
            clock.advance(50);
        }
        assert!(
            (100..=at_most).contains(&server.requests()),
            "{} requests in an hour",
            server.requests()
        );
    }
}

#[test]
fn tokens_that_outlive_their_transport_by_nothing_are_not_asked_for_in_a_spin() {
    let clock = clock();
    let slow = Arc::clone(&clock);
    // It lives a second, and takes that long to arrive.
    let server = Server::new(move |_, _| {
        slow.advance(1_000);
        Ok(token("brief", Some(1)))
    });
    let client = open(&runtime(&clock, Inline, most, &server), &[]);
    let start = clock.now();
    while clock.now().since(start) < 3_600_000 {
        let error = client.token().expect_err("dead on arrival");
        assert_eq!(error.code(), Code::NoAccessToken);
        let why = "it lives 1 s, and the server took 1 s to respond";
        assert!(error.message().contains(why), "{error}");
        clock.advance(10);
    }
    assert!(
        (90..=127).contains(&server.requests()),
        "{}",
        server.requests()
    );
}

#[test]
fn tokens_of_one_second_cost_at_most_two_requests_a_second_and_no_call_fails() {
    let (clock, server) = (
        clock(),
        Server::new(|number, _| Ok(token(&format!("token-{number}"), Some(1)))),
    );
    let client = open(&runtime(&clock, Inline, even, &server), &[]);
    for _ in 0..60_000 {
        client.token().expect("a token");
        clock.advance(1);
    }
    assert!(
        (60..=120).contains(&server.requests()),
        "{} requests in a minute",
        server.requests()
    );
}

/// Twenty years are stated; `max_token_age_s` (a day) decides, so it is one request a day.
#[test]
fn a_key_that_never_expires_costs_one_request_a_day() {
    let (clock, server) = (
        clock(),
        Server::new(|number, _| Ok(token(&format!("token-{number}"), Some(630_720_000)))),
    );
    let client = open(&runtime(&clock, Inline, even, &server), &[]);
    for _ in 0..100 * 24 * 60 {
        let token = client.token().expect("a token");
        let age = token.life.age_ms(clock.now());
        assert!(age <= 86_400_000, "{age}");
        clock.advance(60_000);
    }
    assert!(
        (100..=101).contains(&server.requests()),
        "{} requests in a hundred days",
        server.requests()
    );
}

/// The wall clock goes back and forth by an hour, as one that someone sets by local time does, every day for a year.
#[test]
fn a_wall_clock_that_is_set_twice_a_day_costs_little_and_revives_nothing() {
    let (clock, server) = (
        clock(),
        Server::new(|number, _| Ok(token(&format!("token-{number}"), Some(86_400)))),
    );
    let client = open(&runtime(&clock, Inline, even, &server), &[]);
    let mut newest = 0;
    for hour in 0..365 * 24 {
        match hour % 24 {
            2 => clock.advance_wall(3_600_000),
            14 => clock.advance_wall(-3_600_000),
            _ => {}
        }
        let token = client.token().expect("a token");
        let number: u64 = token.value()["token-".len()..].parse().expect("a number");
        assert!(number >= newest, "a dead token came back");
        newest = number;
        clock.advance(3_600_000);
    }
    // Each token loses at most an hour of its day.
    assert!(
        (365..=365 * 24 / 22 + 1).contains(&server.requests()),
        "{} requests in a year",
        server.requests()
    );
}

/// A host: a process of its own, as far as this library is concerned.
struct Host {
    client: Client,
    failures: u64,
}

impl Host {
    fn new(clock: &Arc<ManualClock>, emulator: &Emulator) -> Host {
        let runtime = Runtime::new(
            Arc::clone(clock) as Arc<dyn Clock>,
            Arc::new(Inline),
            even,
            Box::new(|settings| Ok(transport_for(settings)? as Arc<dyn Transport>)),
        );
        Host {
            client: Client::open_in(&runtime, &test_support::config(emulator)).expect("a client"),
            failures: 0,
        }
    }

    /// One job of this host: an API call, repeated once with another token if the library says so.
    fn work(&mut self, emulator: &Emulator) {
        let Ok(token) = self.client.token() else {
            self.failures += 1;
            return;
        };
        let (status, body) = call_api(emulator, token.value());
        if status == 200 {
            return;
        }
        let verdict = self
            .client
            .report(token.value(), i32::from(status), &body)
            .expect("a verdict");
        let again = (verdict == Verdict::Retry).then(|| self.client.token());
        let good = matches!(&again, Some(Ok(token)) if call_api(emulator, token.value()).0 == 200);
        self.failures += u64::from(!good);
    }
}

/// A call to `OData`, as a program makes it.
fn call_api(emulator: &Emulator, token: &str) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(emulator.address()).expect("it listens");
    write!(
        stream,
        "GET /odataservice/odata/table/customer HTTP/1.1\r\nHost: p21\r\nAccept: application/json\r\n\
         Authorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    )
    .expect("sent");
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).expect("an answer");
    let text = String::from_utf8_lossy(&reply);
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .expect("a status");
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, body.as_bytes().to_vec())
}

#[test]
fn two_hosts_that_end_each_others_sessions_do_not_play_ping_pong() {
    let emulator = Emulator::start(Options {
        settings: Settings {
            single_session: true,
            ..Settings::default()
        },
        ..Options::default()
    })
    .expect("the emulator starts");
    let clock = clock();
    emulator
        .control()
        .set_clock_offset(clock.now().unix() - now_unix());
    let mut hosts = [Host::new(&clock, &emulator), Host::new(&clock, &emulator)];
    let mut worst = 0;
    let mut jobs = 0;
    for _ in 0..10 {
        let before = emulator.control().counter("token.requests");
        let start = clock.now();
        while clock.now().since(start) < 60_000 {
            for host in &mut hosts {
                host.work(&emulator);
                jobs += 1;
            }
            clock.advance(250);
        }
        worst = worst.max(emulator.control().counter("token.requests") - before);
    }
    let all = emulator.control().counter("token.requests");
    // Without the rule each of these jobs would have opened a session.
    assert!(jobs > 400, "{jobs} jobs");
    assert!(worst <= 24, "{worst} requests in a minute by two hosts");
    assert!(all <= 120, "{all} requests in ten minutes by two hosts");
    assert!(hosts.iter().all(|host| host.failures > 0));
    println!("{jobs} jobs, {all} token requests in ten minutes, at most {worst} in one");
}

fn now_unix() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(now.expect("after 1970").as_secs()).expect("small")
}
