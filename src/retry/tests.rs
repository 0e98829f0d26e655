use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Mutex;

use proptest::prelude::*;
use url::Url;

use super::*;
use crate::clock::ManualClock;
use crate::error::Error;
use crate::wire::Method;

const LIMIT: Duration = Duration::from_secs(30);

/// Answers from a list, each after this many milliseconds, and notes what it was asked.
struct Script<'a> {
    clock: &'a ManualClock,
    answers: Mutex<VecDeque<(i64, Result<Response>)>>,
    asked: Mutex<Vec<(i64, String, Limits)>>,
}

impl Transport for Script<'_> {
    fn send(&self, request: &Request, limits: &Limits) -> Result<Response> {
        assert_eq!(limits.max_body, 1_000);
        self.asked.lock().expect("asked").push((
            self.clock.now().mono,
            request.shown_url(),
            *limits,
        ));
        let (took, next) = self
            .answers
            .lock()
            .expect("answers")
            .pop_front()
            .expect("no further request is expected");
        self.clock.advance(took);
        next
    }
}

struct Ran {
    outcome: Result<Exchange>,
    /// When each request was sent, where to, and what it got.
    asked: Vec<(i64, String, Limits)>,
    tries: u32,
}

/// Runs it from time 0, with answers that take 100 ms; each pause is as long as the dice allow.
fn run(max_retries: u32, limit: Duration, answers: Vec<Result<Response>>) -> Ran {
    let answers = answers.into_iter().map(|answer| (100, answer)).collect();
    run_timed(max_retries, limit, answers)
}

fn run_timed(max_retries: u32, limit: Duration, answers: Vec<(i64, Result<Response>)>) -> Ran {
    let clock = ManualClock::new(Now::default());
    let script = Script {
        clock: &clock,
        answers: Mutex::new(answers.into()),
        asked: Mutex::new(Vec::new()),
    };
    let request = Request {
        method: Method::Post,
        url: Url::parse("https://p21.example/api/security/token/v2").expect("URL"),
        headers: Vec::new(),
        body: None,
    };
    let policy = Policy {
        max_retries,
        max_body: 1_000,
    };
    let tries = Cell::new(0);
    let outcome = exchange(
        &script,
        &clock,
        &request,
        &policy,
        limit,
        &|below| below - 1,
        &|| tries.set(tries.get() + 1),
    );
    assert!(
        script.answers.lock().expect("answers").is_empty(),
        "all answers were used"
    );
    Ran {
        outcome,
        asked: script.asked.into_inner().expect("asked"),
        tries: tries.get(),
    }
}

fn status(status: u16) -> Result<Response> {
    with_header(status, "x", "y")
}

#[allow(clippy::unnecessary_wraps, reason = "an answer of the script")]
fn with_header(status: u16, name: &str, value: &str) -> Result<Response> {
    Ok(Response {
        status,
        headers: vec![(name.to_owned(), value.to_owned())],
        ..Response::default()
    })
}

fn failed(code: Code) -> Result<Response> {
    Err(Error::new(code, "it failed"))
}

fn times(ran: &Ran) -> Vec<i64> {
    ran.asked.iter().map(|(at, ..)| *at).collect()
}

#[test]
fn success_and_refusal_are_final() {
    for answer in [200, 400, 401, 403, 404, 411] {
        let ran = run(2, LIMIT, vec![status(answer)]);
        let exchange = ran.outcome.expect("a response");
        assert_eq!((exchange.response.status, exchange.tries), (answer, 1));
        assert_eq!((exchange.sent.mono, exchange.received.mono), (0, 100));
        assert_eq!(ran.tries, 1);
    }
}

#[test]
fn transient_failures_are_tried_again_with_doubling_pauses() {
    let ran = run(
        2,
        LIMIT,
        vec![failed(Code::Connect), status(503), status(200)],
    );
    assert_eq!(times(&ran), [0, 350, 950]);
    assert_eq!(ran.asked[2].2.total, Duration::from_millis(29_050));
    assert_eq!(ran.asked[2].2.connect, LIMIT / 3);
    let exchange = ran.outcome.expect("a response");
    assert_eq!((exchange.response.status, exchange.tries), (200, 3));
    assert_eq!((exchange.sent.mono, exchange.received.mono), (950, 1050));
    assert_eq!(ran.tries, 3);
}

#[test]
fn every_transient_class_is_tried_again_and_no_other() {
    for answer in [408, 429, 500, 502, 503, 504] {
        let ran = run(1, LIMIT, vec![status(answer), status(200)]);
        assert_eq!(ran.outcome.expect("a response").tries, 2, "{answer}");
    }
    for code in [Code::Dns, Code::Connect, Code::Io] {
        let ran = run(1, LIMIT, vec![failed(code), status(200)]);
        assert_eq!(ran.outcome.expect("a response").tries, 2, "{code:?}");
    }
    for code in [
        Code::Tls,
        Code::TooLarge,
        Code::Proxy,
        Code::Config,
        Code::Timeout,
    ] {
        let ran = run(1, LIMIT, vec![failed(code)]);
        assert_eq!(ran.outcome.expect_err("an error").code(), code);
    }
}

#[test]
fn an_error_that_says_it_will_not_pass_is_believed() {
    let lasting = Error::new(Code::Io, "not HTTP").with_retryable(false);
    assert!(run(2, LIMIT, vec![Err(lasting)]).outcome.is_err());
    let passing = Error::new(Code::Proxy, "503").with_retryable(true);
    let ran = run(2, LIMIT, vec![Err(passing), status(200)]);
    assert_eq!(ran.outcome.expect("a response").tries, 2);
}

#[test]
fn the_last_answer_counts_when_tries_run_out() {
    let ran = run(2, LIMIT, vec![status(500), status(502), status(503)]);
    let exchange = ran.outcome.expect("a response");
    assert_eq!((exchange.response.status, exchange.tries), (503, 3));
    let ran = run(1, LIMIT, vec![status(500), failed(Code::Io)]);
    let error = ran.outcome.expect_err("an error");
    assert_eq!(error.message(), "it failed (after 2 tries)");
    let ran = run(0, LIMIT, vec![failed(Code::Io)]);
    assert_eq!(ran.outcome.expect_err("an error").message(), "it failed");
}

#[test]
fn a_request_whose_connection_broke_is_sent_again_once() {
    let cut = || failed(Code::Io);
    let ran = run(5, LIMIT, vec![cut(), cut()]);
    assert_eq!(ran.outcome.expect_err("an error").code(), Code::Io);
    // What failed before the request was written does not count.
    let ran = run(
        5,
        LIMIT,
        vec![
            failed(Code::Connect),
            cut(),
            status(503),
            failed(Code::Dns),
            cut(),
        ],
    );
    assert_eq!(ran.outcome.expect_err("an error").code(), Code::Io);
}

#[test]
fn an_unanswered_request_is_not_sent_again() {
    let timeout = || failed(Code::Timeout);
    let ran = run_timed(2, LIMIT, vec![(30_000, timeout())]);
    assert_eq!(ran.outcome.expect_err("an error").code(), Code::Timeout);
    // Not even when there is time for it.
    let ran = run(2, LIMIT, vec![timeout()]);
    assert_eq!(ran.outcome.expect_err("an error").code(), Code::Timeout);
}

#[test]
fn a_try_that_was_cut_short_does_not_hide_the_one_before_it() {
    let connect = || Err(Error::new(Code::Connect, "no response within 10000 ms"));
    let shorter = Err(Error::new(Code::Connect, "no response within 9250 ms"));
    let ran = run_timed(
        5,
        LIMIT,
        vec![(10_000, connect()), (10_000, connect()), (9_250, shorter)],
    );
    let error = ran.outcome.expect_err("an error");
    assert_eq!(
        error.message(),
        "no response within 10000 ms (after 3 tries)"
    );

    let late = failed(Code::Timeout);
    let ran = run_timed(5, LIMIT, vec![(25_000, status(503)), (4_750, late)]);
    assert_eq!(ran.outcome.expect("a response").response.status, 503);

    // With a whole share it is a try like any other.
    let late = failed(Code::Timeout);
    let ran = run_timed(5, LIMIT, vec![(100, status(503)), (29_650, late)]);
    assert_eq!(ran.outcome.expect_err("an error").code(), Code::Timeout);
}

#[test]
fn retry_after_is_honoured_where_it_fits() {
    let ran = run(
        2,
        LIMIT,
        vec![with_header(429, "retry-after", "7"), status(200)],
    );
    assert_eq!(times(&ran), [0, 7_100]);
    let date = "Thu, 01 Jan 1970 00:00:12 GMT";
    let ran = run(
        2,
        LIMIT,
        vec![with_header(503, "retry-after", date), status(200)],
    );
    assert_eq!(times(&ran), [0, 12_100]);
}

#[test]
fn retry_after_that_does_not_fit_ends_at_once() {
    let ran = run(2, LIMIT, vec![with_header(503, "retry-after", "30")]);
    assert_eq!(times(&ran), [0]);
    let exchange = ran.outcome.expect("a response");
    assert_eq!(exchange.response.header("retry-after"), Some("30"));
}

#[test]
fn no_try_begins_without_time_for_it() {
    // 100 ms spent, a pause of 250 ms and 500 ms for the try would end after 850 ms.
    let ran = run(2, Duration::from_millis(849), vec![status(503)]);
    assert_eq!(ran.outcome.expect("a response").tries, 1);
    let ran = run(
        1,
        Duration::from_millis(850),
        vec![status(503), status(200)],
    );
    assert_eq!(ran.outcome.expect("a response").tries, 2);
}

#[test]
fn redirects_belong_to_their_try_and_share_its_limit() {
    let ran = run(
        1,
        LIMIT,
        vec![
            with_header(307, "location", "/a"),
            with_header(308, "location", "/b"),
            status(503),
            with_header(307, "location", "/a"),
            status(200),
        ],
    );
    let places: Vec<_> = ran.asked.iter().map(|(_, url, _)| url.as_str()).collect();
    assert_eq!(
        places,
        [
            "https://p21.example/api/security/token/v2",
            "https://p21.example/a",
            "https://p21.example/b",
            "https://p21.example/api/security/token/v2",
            "https://p21.example/a",
        ]
    );
    assert_eq!(ran.asked[2].2.total, Duration::from_millis(29_800));
    assert_eq!(ran.tries, 2);
    let exchange = ran.outcome.expect("a response");
    assert_eq!((exchange.tries, exchange.sent.mono), (2, 650));
}

#[test]
fn a_circle_and_a_foreign_redirect_end_at_once() {
    let circle = (0..6).map(|_| with_header(307, "location", "/a")).collect();
    let ran = run(2, LIMIT, circle);
    assert_eq!(
        ran.outcome.expect_err("an error").code(),
        Code::Redirect,
        "five hops, then no more"
    );
    let foreign = with_header(307, "location", "https://other.example/");
    let ran = run(2, LIMIT, vec![foreign]);
    assert_eq!(ran.outcome.expect_err("an error").code(), Code::Redirect);
}

#[test]
fn a_wall_clock_that_is_set_does_not_cut_a_request_short() {
    struct Jumping<'a>(&'a ManualClock);
    impl Transport for Jumping<'_> {
        fn send(&self, _: &Request, limits: &Limits) -> Result<Response> {
            self.0.advance_wall(3_600_000);
            if limits.total == LIMIT {
                status(503)
            } else {
                status(200)
            }
        }
    }
    let clock = ManualClock::new(Now::default());
    let request = Request {
        method: Method::Get,
        url: Url::parse("https://p21.example/").expect("URL"),
        headers: Vec::new(),
        body: None,
    };
    let policy = Policy {
        max_retries: 1,
        max_body: 1_000,
    };
    let outcome = exchange(
        &Jumping(&clock),
        &clock,
        &request,
        &policy,
        LIMIT,
        &|below| below - 1,
        &|| (),
    );
    assert_eq!(outcome.expect("a response").response.status, 200);
}

proptest! {
    #[test]
    fn a_pause_keeps_its_bounds(
        tries in 1_u32..200,
        asked in proptest::option::of(0_u64..100_000),
        remaining in 0_u64..100_000,
        dice in any::<u64>(),
    ) {
        let asked = asked.map(Duration::from_millis);
        let remaining = Duration::from_millis(remaining);
        let pause = pause_after(tries, asked, remaining, &|below| dice % below);
        if let Some(pause) = pause {
            prop_assert!(pause + LEAST_TRY <= remaining);
            prop_assert!(pause >= asked.unwrap_or_default());
            prop_assert!(pause <= CAP.max(asked.unwrap_or_default()));
        } else {
            prop_assert!(remaining < LEAST_TRY + CAP.max(asked.unwrap_or_default()));
        }
    }
}
