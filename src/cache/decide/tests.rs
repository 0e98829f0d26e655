use super::*;
use crate::error::Code;
use crate::token::Reply;
use proptest::prelude::*;

const WINDOWS: Windows = Windows {
    refresh_margin_ms: 300_000,
    max_token_age_ms: 86_400_000,
};
const RULES: Rules = Rules {
    min_refresh_interval_ms: 5_000,
    own: false,
};
const FORCE: Wish = Wish {
    force: true,
    cached_only: false,
    min_valid_ms: 0,
};

fn at(ms: i64) -> Now {
    Now { mono: ms, wall: ms }
}

fn token(sent: i64, lifetime_ms: i64, jitter_permille: u16) -> Arc<Token> {
    let life = Life {
        sent: at(sent),
        lifetime_ms,
    };
    Arc::new(Token::new(Reply::default(), life, 1, jitter_permille))
}

fn entry(lifetime_ms: i64) -> Entry {
    Entry {
        token: Some(token(0, lifetime_ms, 0)),
        last_success: Some(at(0)),
        ..Entry::default()
    }
}

fn failure(wait: Wait, wait_ms: i64) -> LastFailure {
    LastFailure {
        error: Error::new(Code::Server, "x"),
        wait,
        at: at(0),
        wait_ms,
    }
}

fn flight(ending: Option<Ending>) -> Arc<Flight> {
    let flight = Flight::new(at(i64::MAX));
    if let Some(ending) = ending {
        flight.end(ending);
    }
    flight
}

fn call(wish: Wish) -> Call<'static> {
    Call {
        wish,
        windows: WINDOWS,
        no_wait: false,
        presence: Presence::Here,
        left_ms: 30_000,
        awaited: None,
    }
}

/// A decision in one word, and a number where one matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Serve,
    ServeAndStart,
    Join,
    Start,
    Wait(i64),
    Moved,
    HeldBack(i64),
    Fail(Code),
}

fn word(decision: Decision) -> Word {
    match decision {
        Decision::Serve(_) => Word::Serve,
        Decision::ServeAndStart(_) => Word::ServeAndStart,
        Decision::Join(_) => Word::Join,
        Decision::Start => Word::Start,
        Decision::Wait(ms) => Word::Wait(ms),
        Decision::Moved => Word::Moved,
        Decision::HeldBack(error) => Word::HeldBack(
            i64::try_from(error.retry_after().expect("a wait").as_millis()).expect("small"),
        ),
        Decision::Fail(error) => Word::Fail(error.code()),
    }
}

fn decided(entry: &Entry, wish: Wish, ms: i64) -> Word {
    word(decide(entry, None, &call(wish), RULES, at(ms)))
}

#[test]
fn windows_begin_where_they_should() {
    let entry = entry(3_600_000);
    for (ms, alone, under_way) in [
        (0, Word::Serve, Word::Serve),
        (3_299_999, Word::Serve, Word::Serve),
        (3_300_000, Word::ServeAndStart, Word::Serve),
        (3_569_999, Word::ServeAndStart, Word::Serve),
        (3_570_000, Word::Start, Word::Join),
        (3_599_999, Word::Start, Word::Join),
        (3_600_000, Word::Start, Word::Join),
    ] {
        assert_eq!(decided(&entry, Wish::default(), ms), alone, "{ms}");
        let flight = flight(None);
        let call = call(Wish::default());
        let joined = decide(&entry, Some(&flight), &call, RULES, at(ms));
        assert_eq!(word(joined), under_way, "{ms}, with a flight under way");
    }
}

#[test]
fn jitter_shrinks_the_margin_by_up_to_a_tenth() {
    let mut entry = entry(3_600_000);
    entry.token = Some(token(0, 3_600_000, 100));
    assert_eq!(decided(&entry, Wish::default(), 3_329_999), Word::Serve);
    assert_eq!(
        decided(&entry, Wish::default(), 3_330_000),
        Word::ServeAndStart
    );
}

#[test]
fn precedence_is_cool_down_then_backoff_then_floor_then_wish() {
    let mut entry = entry(3_600_000);
    assert_eq!(decided(&entry, FORCE, 4_999), Word::Serve, "floor");
    assert_eq!(decided(&entry, FORCE, 5_000), Word::Start);
    for wait in [Wait::CoolDown, Wait::Backoff] {
        entry.failure = Some(failure(wait, 7_000));
        assert_eq!(decided(&entry, FORCE, 6_000), Word::HeldBack(1_000));
        assert_eq!(
            decided(&entry, Wish::default(), 6_000),
            Word::Serve,
            "a live token hides it"
        );
        assert_eq!(decided(&entry, FORCE, 7_000), Word::Start, "it has passed");
    }
}

#[test]
fn an_emptied_slot_waits_for_the_interval_and_an_expired_one_does_not() {
    let mut emptied = entry(3_600_000);
    (emptied.token, emptied.emptied) = (None, true);
    assert_eq!(decided(&emptied, Wish::default(), 2_000), Word::Wait(3_000));
    assert_eq!(decided(&entry(1_000), Wish::default(), 1_000), Word::Start);
}

/// A call that waited: what its flight came to, whether the slot's token is valid by then, and what the call gets.
#[test]
fn what_a_call_gets_after_its_wait_is_decided_then() {
    let failed = || Some(Ending::Failed(Error::new(Code::Connect, "x")));
    let landed = || Some(Ending::Landed);
    let moved = || Some(Ending::Moved);
    let (live, dead) = (9_900, 10_000);
    for (what, ending, ms, wish, left_ms, expected) in [
        ("landed", landed(), live, FORCE, 1, Word::Serve),
        (
            "landed, expired since",
            landed(),
            dead,
            FORCE,
            1,
            Word::Start,
        ),
        (
            "the same, no time",
            landed(),
            dead,
            FORCE,
            0,
            Word::Fail(Code::Timeout),
        ),
        ("failed", failed(), live, Wish::default(), 1, Word::Serve),
        (
            "failed, insisting",
            failed(),
            live,
            FORCE,
            1,
            Word::Fail(Code::Connect),
        ),
        (
            "failed, expired since",
            failed(),
            dead,
            Wish::default(),
            1,
            Word::Fail(Code::Connect),
        ),
        ("moved", moved(), live, Wish::default(), 1, Word::Moved),
        ("under way", None, live, Wish::default(), 1, Word::Join),
        ("no time left", None, live, Wish::default(), 0, Word::Serve),
        (
            "no time left, insisting",
            None,
            live,
            FORCE,
            0,
            Word::Fail(Code::Timeout),
        ),
        (
            "no time left, expired",
            None,
            dead,
            Wish::default(),
            0,
            Word::Fail(Code::Timeout),
        ),
    ] {
        let awaited = flight(ending);
        let call = Call {
            left_ms,
            awaited: Some(&awaited),
            ..call(wish)
        };
        let decision = decide(&entry(10_000), None, &call, RULES, at(ms));
        assert_eq!(word(decision), expected, "{what}");
    }
}

#[test]
fn a_token_of_ones_own_is_served_until_it_expires_and_none_is_asked_for() {
    let rules = Rules { own: true, ..RULES };
    for (ms, expected) in [
        (9_999, Word::Serve),
        (10_000, Word::Fail(Code::TokenExpired)),
    ] {
        let call = call(FORCE);
        let decision = decide(&entry(10_000), None, &call, rules, at(ms));
        assert_eq!(word(decision), expected);
    }
}

#[test]
fn a_client_that_is_elsewhere_gets_nothing_here() {
    for (presence, expected) in [
        (Presence::Moved, Word::Moved),
        (Presence::Closed, Word::Fail(Code::Closed)),
    ] {
        let call = Call {
            presence,
            ..call(Wish::default())
        };
        let decision = decide(&entry(10_000), None, &call, RULES, at(1));
        assert_eq!(word(decision), expected);
    }
}

fn wishes() -> impl Strategy<Value = Wish> {
    (any::<bool>(), any::<bool>(), 0_i64..5_000_000).prop_map(|(force, cached_only, min_valid)| {
        Wish {
            force,
            cached_only,
            min_valid_ms: min_valid,
        }
    })
}

/// No flight, one under way, and one that has ended in each way.
fn flights() -> impl Strategy<Value = Option<Arc<Flight>>> {
    (0..5).prop_map(|number| match number {
        0 => None,
        1 => Some(flight(None)),
        2 => Some(flight(Some(Ending::Landed))),
        3 => Some(flight(Some(Ending::Moved))),
        _ => Some(flight(Some(Ending::Failed(Error::new(Code::Server, "x"))))),
    })
}

proptest! {
    #[test]
    fn a_hit_serves_what_a_decision_would_serve_and_no_longer(
        lifetime in prop_oneof![1_i64..5_000_000, Just(i64::MAX), any::<i64>()], mono in 0_i64..5_000_000, ahead in -5_000_i64..5_000,
        margin in 0_i64..10_000_000, age in 0_i64..1_000_000_000, jitter in 0_u16..=100,
        failure in any::<Option<(bool, u16)>>(), last in any::<Option<u16>>(), limit in any::<Option<i16>>(), own in any::<bool>(),
    ) {
        let mut now = Now { mono, wall: mono + ahead };
        let held = failure.map(|(cool, wait)| (if cool { Wait::CoolDown } else { Wait::Backoff }, i64::from(wait)));
        let entry = Entry {
            token: Some(token(0, lifetime, jitter)),
            failure: held.map(|(wait, wait_ms)| LastFailure { at: now.plus(-wait_ms / 3), ..super::tests::failure(wait, wait_ms) }),
            last_success: last.map(|ago| now.plus(-i64::from(ago))),
            ..Entry::default()
        };
        let windows = Windows { refresh_margin_ms: margin, max_token_age_ms: age };
        let flight = limit.map(|left| Flight::new(now.plus(left.into())));
        let call = Call { windows, ..call(Wish::default()) };
        let rules = Rules { own, ..RULES };
        let decided = |now| word(decide(&entry, flight.as_ref(), &call, rules, now));
        // Each hit that is published for as long as that is served all the while, and when none is, a call is decided.
        for _ in 0..8 {
            let for_ms = serve_for_ms(&entry, flight.as_deref(), &windows, rules, now);
            if for_ms <= 0 {
                prop_assert_ne!(decided(now), Word::Serve);
                return Ok(());
            }
            prop_assert_eq!(decided(now), Word::Serve);
            prop_assert_eq!(decided(now.plus(for_ms / 2)), Word::Serve);
            prop_assert_eq!(decided(now.plus(for_ms - 1)), Word::Serve);
            // One clock may stand still, or be set back.
            prop_assert_eq!(decided(Now { wall: now.wall.saturating_sub(for_ms / 2), ..now.plus(for_ms - 1) }), Word::Serve);
            now = now.plus(for_ms);
        }
        // A flight that is overdue is asked after again and again.
        prop_assert!(flight.is_some() || now.mono == i64::MAX || now.wall == i64::MAX);
    }

    #[test]
    fn two_refreshes_are_never_closer_than_the_floor(
        lifetime in 1_i64..100_000_000, since in 0_i64..100_000_000, margin in 0_i64..100_000_000, min_valid in 0_i64..100_000_000,
    ) {
        prop_assume!(since < lifetime);
        let windows = Windows { refresh_margin_ms: margin, max_token_age_ms: 0 };
        let call = Call { windows, ..call(Wish { min_valid_ms: min_valid, ..Wish::default() }) };
        let decision = word(decide(&entry(lifetime), None, &call, RULES, at(since)));
        if since < FLOOR_MS.min(lifetime / 2) {
            prop_assert_eq!(decision, Word::Serve);
        }
    }

    #[test]
    fn every_state_has_a_decision_and_none_serves_a_dead_token(
        held in any::<Option<(i64, i64)>>(), failure in any::<Option<(i64, i64, bool)>>(), last in any::<Option<i64>>(),
        emptied in any::<bool>(), wish in wishes(), no_wait in any::<bool>(), left_ms in -1_i64..1_000,
        under_way in flights(), awaited in flights(), mono in any::<i64>(), wall in any::<i64>(),
    ) {
        let entry = Entry {
            token: held.map(|(sent, lifetime_ms)| token(sent, lifetime_ms, 50)),
            failure: failure.map(|(when, wait_ms, cool)| LastFailure {
                error: Error::new(Code::Server, "x"), wait: if cool { Wait::CoolDown } else { Wait::Backoff }, at: at(when), wait_ms,
            }),
            last_success: last.map(at),
            emptied,
            ..Entry::default()
        };
        let now = Now { mono, wall };
        let live = entry.token.as_ref().is_some_and(|token| token.life.left_ms(now) > 0);
        let call = Call { no_wait, left_ms, awaited: awaited.as_ref(), ..call(wish) };
        let free = under_way.is_none();
        match decide(&entry, under_way.as_ref(), &call, RULES, now) {
            Decision::Serve(token) | Decision::ServeAndStart(token) => prop_assert!(token.life.left_ms(now) > 0),
            Decision::Join(_) => prop_assert!(left_ms > 0 && !no_wait && !wish.cached_only),
            Decision::Start => prop_assert!(free && !wish.cached_only),
            Decision::Wait(ms) => prop_assert!(free && !live && left_ms > 0 && (1..=5_000).contains(&ms)),
            Decision::HeldBack(_) => prop_assert!(free && (wish.force || !live)),
            Decision::Moved => prop_assert!(awaited.is_some()),
            Decision::Fail(_) => prop_assert!(wish.force || !live),
        }
    }
}
