//! What is published for hits: never a dead, superseded or foreign token, and no refresh is missed.

use super::*;

/// As a client does: a hit, or else a call.
fn hit_or_call(slot: &Arc<Slot>, mine: &Arc<Hold>, server: &Arc<Server>) -> Result<String> {
    if let Some(hit) = mine.board().hit().as_ref()
        && hit.is_fresh(slot.clock().now())
    {
        return Ok(hit.token.value().to_owned());
    }
    thread::yield_now();
    let fetch = || Arc::clone(server) as Arc<dyn Fetch>;
    let caller = Caller {
        windows: WINDOWS,
        hold: Some(mine),
        wait: Duration::from_mins(1),
        no_wait: false,
        presence: &|| Presence::Here,
        fetch: &fetch,
    };
    match slot.acquire(Wish::default(), &caller)? {
        Waited::Got(token) => Ok(token.value().to_owned()),
        Waited::Moved => panic!("no one has moved"),
    }
}

/// A slot with `token-1` in it, of an hour's life, and a client.
fn with_token(server: &Arc<Server>) -> (Arc<Slot>, Arc<Hold>) {
    let slot = slot_at(Arc::clone(&server.clock), Threads, 0);
    let mine = hold();
    slot.attach(&mine);
    slot.activate(&mine);
    let first = hit_or_call(&slot, &mine, server);
    assert_eq!(first, Ok("token-1".to_owned()));
    (slot, mine)
}

/// In the advisory window of a token of an hour.
const WINDOW_MS: i64 = 3_400_000;

#[test]
fn a_token_that_was_dropped_is_no_hit_while_others_renew_theirs() {
    for invalidated in [false, true] {
        explore(move || {
            let server = Server::good();
            let (slot, mine) = with_token(&server);
            // The clock makes every call renew its hit.
            server.clock.pass(WINDOW_MS);
            let (same, asked) = (Arc::clone(&slot), Arc::clone(&server));
            together(3, move |number| {
                if number > 0 {
                    for _ in 0..2 {
                        hit_or_call(&same, &mine, &asked).expect("a token");
                    }
                    return;
                }
                if invalidated {
                    same.invalidate();
                } else {
                    same.reject("token-1");
                }
                let next = hit_or_call(&same, &mine, &asked).expect("another");
                assert_ne!(next, "token-1");
            });
        });
    }
}

#[test]
fn a_token_that_was_superseded_is_no_hit() {
    explore(|| {
        let server = Server::good();
        let (slot, mine) = with_token(&server);
        let (same, asked) = (Arc::clone(&slot), Arc::clone(&server));
        together(3, move |number| {
            if number > 0 {
                let mut last = String::new();
                for _ in 0..3 {
                    let next = hit_or_call(&same, &mine, &asked).expect("a token");
                    assert!(last <= next, "{next} after {last}");
                    last = next;
                }
                return;
            }
            assert_eq!(token(&same, &asked, true), Ok("token-2".to_owned()));
            let hit = hit_or_call(&same, &mine, &asked);
            assert_eq!(hit, Ok("token-2".to_owned()), "it is published");
        });
    });
}

#[test]
fn a_client_that_left_is_told_nothing_more() {
    explore(|| {
        let server = Server::good();
        let (slot, mine) = with_token(&server);
        let (same, asked) = (Arc::clone(&slot), Arc::clone(&server));
        let left = Arc::clone(&mine);
        together(2, move |number| {
            if number > 0 {
                token(&same, &asked, true).expect("a token");
            } else {
                same.deactivate(&left);
                same.detach(&left);
            }
        });
        assert!(mine.board().hit().is_none());
    });
}

#[test]
fn a_client_that_moved_has_no_hit_of_the_slot_that_it_left() {
    explore(|| {
        let server = Server::good();
        let (old, mine) = with_token(&server);
        let elsewhere = Server::good();
        elsewhere.requests.store(1_000, Ordering::Relaxed);
        let new = slot_at(Arc::clone(&elsewhere.clock), Threads, 0);
        together(3, move |number| match number {
            0 => {
                // As a client moves.
                let next = hold_on(mine.board());
                new.attach(&next);
                old.deactivate(&mine);
                new.activate(&next);
                old.detach(&mine);
                for _ in 0..3 {
                    let token = hit_or_call(&new, &next, &elsewhere);
                    assert_eq!(token, Ok("token-1001".to_owned()));
                }
            }
            1 => old.invalidate(),
            _ => {
                token(&old, &server, true).expect("a token");
            }
        });
    });
}

#[test]
fn a_client_that_must_look_first_has_no_hit_of_anything_published() {
    explore(|| {
        let server = Server::good();
        let (slot, mine) = with_token(&server);
        let (same, asked, blocked) = (Arc::clone(&slot), Arc::clone(&server), Arc::clone(&mine));
        together(2, move |number| {
            if number > 0 {
                token(&same, &asked, true).expect("a token");
            } else {
                same.block(&blocked);
                assert!(blocked.is_blocked());
            }
        });
        assert!(mine.board().hit().is_none());
    });
}

/// A server whose second answer waits until it may come.
fn held_back(answer: fn() -> Result<()>) -> (Arc<Server>, impl Fn()) {
    let held = Arc::new((Mutex::new(true), Condvar::new()));
    let holding = Arc::clone(&held);
    let server = Server::new(move |number| {
        let mut shut = holding.0.lock().expect("unpoisoned");
        while number == 2 && *shut {
            shut = holding.1.wait(shut).expect("unpoisoned");
        }
        if number == 2 { answer() } else { Ok(()) }
    });
    let release = move || {
        *held.0.lock().expect("unpoisoned") = false;
        held.1.notify_all();
    };
    (server, release)
}

fn wait_for(server: &Server, requests: u64) {
    while server.requests() < requests {
        thread::yield_now();
    }
}

fn wait_until_landed(slot: &Slot) {
    while slot.status().refreshing {
        thread::yield_now();
    }
}

#[test]
fn in_the_window_one_call_starts_the_flight_and_all_are_hits_until_it_lands() {
    explore(|| {
        let (server, release) = held_back(|| Ok(()));
        let (slot, mine) = with_token(&server);
        server.clock.pass(WINDOW_MS);
        let now = server.clock.now();
        assert!(
            !mine
                .board()
                .hit()
                .as_ref()
                .expect("published")
                .is_fresh(now)
        );
        let hit = hit_or_call(&slot, &mine, &server);
        assert_eq!(hit, Ok("token-1".to_owned()));
        wait_for(&server, 2);
        assert!(
            mine.board()
                .hit()
                .as_ref()
                .expect("published")
                .is_fresh(now)
        );
        release();
        wait_until_landed(&slot);
        let hit = mine
            .board()
            .hit()
            .as_ref()
            .map(|hit| hit.token.value().to_owned());
        assert_eq!(hit.as_deref(), Some("token-2"));
        assert_eq!(server.requests(), 2);
    });
}

#[test]
fn after_a_failure_all_are_hits_until_the_backoff_ends_and_then_one_asks() {
    explore(|| {
        let (server, release) = held_back(|| Err(Error::new(Code::Connect, "refused")));
        let (slot, mine) = with_token(&server);
        server.clock.pass(WINDOW_MS);
        hit_or_call(&slot, &mine, &server).expect("a token");
        release();
        wait_for(&server, 2);
        wait_until_landed(&slot);
        let fresh = |ms| {
            let now = server.clock.now().plus(ms);
            mine.board()
                .hit()
                .as_ref()
                .is_some_and(|hit| hit.is_fresh(now))
        };
        // Chance is at its most: a backoff of a whole second.
        assert!(fresh(0) || hit_or_call(&slot, &mine, &server).is_ok());
        assert!(fresh(0) && fresh(999) && !fresh(1_000));
        server.clock.pass(1_000);
        hit_or_call(&slot, &mine, &server).expect("a token");
        wait_for(&server, 3);
        wait_until_landed(&slot);
    });
}

/// What a fork leaves behind: the flight is the parent's, the token both have.
#[test]
#[cfg(unix)]
fn a_forked_child_asks_itself_for_what_its_parent_was_asking() {
    explore(|| {
        let (server, release) = held_back(|| Ok(()));
        let (slot, mine) = with_token(&server);
        server.clock.pass(WINDOW_MS);
        hit_or_call(&slot, &mine, &server).expect("a token");
        wait_for(&server, 2);
        slot.after_fork();
        let hit = hit_or_call(&slot, &mine, &server);
        assert_eq!(hit, Ok("token-1".to_owned()));
        wait_for(&server, 3);
        wait_until_landed(&slot);
        // In the child it never lands; here it does, and late.
        release();
    });
}

/// A backoff holds in the child as in its parent, and no longer.
#[test]
#[cfg(unix)]
fn a_forked_child_keeps_the_backoff_that_its_parent_was_in() {
    explore(|| {
        let (server, release) = held_back(|| Err(Error::new(Code::Connect, "refused")));
        let (slot, mine) = with_token(&server);
        server.clock.pass(WINDOW_MS);
        hit_or_call(&slot, &mine, &server).expect("a token");
        release();
        wait_for(&server, 2);
        wait_until_landed(&slot);
        server.clock.pass(500);
        // Forked while another thread calls: that one is the parent's.
        let (same, asked, also_mine) = (Arc::clone(&slot), Arc::clone(&server), Arc::clone(&mine));
        together(2, move |number| {
            if number > 0 {
                hit_or_call(&same, &also_mine, &asked).expect("a token");
            } else {
                same.after_fork();
            }
        });
        let ask = || hit_or_call(&slot, &mine, &server).expect("a token");
        ask();
        assert_eq!(server.requests(), 2, "the backoff is not over");
        let is_hit = |ms| {
            let now = server.clock.now().plus(ms);
            let hit = mine.board().hit();
            hit.as_ref().is_some_and(|hit| hit.is_fresh(now))
        };
        assert!(is_hit(0) && is_hit(499) && !is_hit(500));
        server.clock.pass(500);
        ask();
        wait_for(&server, 3);
        wait_until_landed(&slot);
    });
}
