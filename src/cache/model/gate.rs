//! One request at a time, and everyone who waits for it is woken.

use super::*;

#[test]
fn callers_that_meet_share_one_request() {
    explore(|| {
        let (slot, server) = (slot(Threads, 5_000), Server::good());
        let (same, asked) = (Arc::clone(&slot), Arc::clone(&server));
        let tokens = together(3, move |_| token(&same, &asked, false));
        assert!(tokens.iter().all(|got| *got == Ok("token-1".to_owned())));
        assert_eq!(server.requests(), 1);
        assert!(!slot.status().refreshing);
    });
}

#[test]
fn forced_refreshes_that_meet_share_one_request() {
    explore(|| {
        let (slot, server) = (slot(Threads, 5_000), Server::good());
        let (same, asked) = (Arc::clone(&slot), Arc::clone(&server));
        let tokens = together(3, move |number| token(&same, &asked, number > 0));
        assert!(tokens.iter().all(|got| *got == Ok("token-1".to_owned())));
        assert_eq!(server.requests(), 1);
    });
}

/// What everyone gets from a flight that ends badly, and that the next one may start.
fn ends_badly(spawn: fn() -> Arc<Slot>, server: fn() -> Arc<Server>, code: Code, requests: u64) {
    explore(move || {
        let (slot, server) = (spawn(), server());
        let (same, asked) = (Arc::clone(&slot), Arc::clone(&server));
        let codes = together(3, move |_| {
            token(&same, &asked, false).map_err(|error| error.code())
        });
        assert_eq!(codes, vec![Err(code); 3]);
        assert_eq!(server.requests(), requests);
        assert!(!slot.status().refreshing, "the gate is open again");
        if requests > 0 {
            slot.invalidate();
            assert_eq!(token(&slot, &server, false), Ok("token-2".to_owned()));
        }
    });
}

#[test]
fn a_failure_is_shared_and_opens_the_gate() {
    let fails_once = || {
        Server::new(|number| match number {
            1 => Err(Error::new(Code::Connect, "refused")),
            _ => Ok(()),
        })
    };
    ends_badly(|| slot(Threads, 5_000), fails_once, Code::Connect, 1);
}

#[test]
fn a_panic_is_shared_and_opens_the_gate() {
    let panics_once = || {
        Server::new(|number| match number {
            // Without the hook: it would print thousands of times.
            1 => std::panic::resume_unwind(Box::new("planted")),
            _ => Ok(()),
        })
    };
    ends_badly(|| slot(Threads, 5_000), panics_once, Code::Panic, 1);
}

#[test]
fn a_flight_without_a_thread_opens_the_gate() {
    ends_badly(|| slot(NoThreads, 5_000), Server::good, Code::NoMemory, 0);
}

#[test]
fn a_thread_that_dies_before_it_begins_opens_the_gate() {
    ends_badly(|| slot(Stillborn, 5_000), Server::good, Code::NoMemory, 0);
}

type Waiters = Vec<thread::JoinHandle<Result<(), Code>>>;

/// Whether a client is open, and two threads that wait for a token of its.
fn two_who_wait(slot: &Arc<Slot>, server: &Arc<Server>) -> (Arc<Mutex<bool>>, Waiters) {
    let open = Arc::new(Mutex::new(true));
    let waiters = (0..2).map(|_| {
        let (slot, server, open) = (Arc::clone(slot), Arc::clone(server), Arc::clone(&open));
        thread::spawn(move || {
            let presence = || {
                if *open.lock().expect("unpoisoned") {
                    Presence::Here
                } else {
                    Presence::Closed
                }
            };
            call(&server, &presence, false, |caller| {
                slot.acquire(Wish::default(), caller)
            })
            .map(|_| ())
            .map_err(|error| error.code())
        })
    });
    let waiters = waiters.collect();
    (open, waiters)
}

#[test]
fn closing_wakes_those_who_wait_although_the_flight_goes_on() {
    explore(|| {
        let held = Arc::new((Mutex::new(true), Condvar::new()));
        let server = {
            let held = Arc::clone(&held);
            Server::new(move |_| {
                let mut shut = held.0.lock().expect("unpoisoned");
                while *shut {
                    shut = held.1.wait(shut).expect("unpoisoned");
                }
                Ok(())
            })
        };
        let slot = slot(Threads, 5_000);
        let mine = hold();
        slot.attach(&mine);
        let (open, waiters) = two_who_wait(&slot, &server);
        *open.lock().expect("unpoisoned") = false;
        assert_eq!(slot.detach(&mine), 0);
        for waiter in waiters {
            assert_eq!(waiter.join().expect("no panic"), Err(Code::Closed));
        }
        *held.0.lock().expect("unpoisoned") = false;
        held.1.notify_all();
    });
}

#[test]
fn a_late_report_never_takes_the_new_token() {
    explore(|| {
        let (slot, server) = (slot(Threads, 0), Server::good());
        assert_eq!(token(&slot, &server, false), Ok("token-1".to_owned()));
        let (same, asked) = (Arc::clone(&slot), Arc::clone(&server));
        let tokens = together(3, move |number| {
            if number == 0 {
                token(&same, &asked, true)
            } else {
                same.reject("token-1");
                Ok("token-2".to_owned())
            }
        });
        assert!(tokens.iter().all(|got| *got == Ok("token-2".to_owned())));
        assert_eq!(token(&slot, &server, false), Ok("token-2".to_owned()));
        assert_eq!(server.requests(), 2);
        assert!(slot.counters.rejections.load(Ordering::Relaxed) <= 1);
    });
}

#[test]
fn reports_of_one_dead_token_cost_one_request() {
    explore(|| {
        let (slot, server) = (slot(Threads, 0), Server::good());
        assert_eq!(token(&slot, &server, false), Ok("token-1".to_owned()));
        let (same, asked) = (Arc::clone(&slot), Arc::clone(&server));
        let tokens = together(3, move |_| {
            same.reject("token-1");
            token(&same, &asked, false)
        });
        assert!(tokens.iter().all(|got| *got == Ok("token-2".to_owned())));
        assert_eq!(server.requests(), 2);
        assert_eq!(slot.counters.rejections.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn lifting_a_hold_wakes_those_who_wait_it_out() {
    explore(|| {
        let (slot, server) = (slot(Threads, 5_000), Server::good());
        assert_eq!(token(&slot, &server, false), Ok("token-1".to_owned()));
        slot.reject("token-1");
        // Time stands still, so the interval of five seconds never ends by itself.
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let (slot, server) = (Arc::clone(&slot), Arc::clone(&server));
                thread::spawn(move || token(&slot, &server, false))
            })
            .collect();
        slot.invalidate();
        for waiter in waiters {
            assert_eq!(waiter.join().expect("no panic"), Ok("token-2".to_owned()));
        }
        assert_eq!(server.requests(), 2);
    });
}

#[test]
fn who_does_not_wait_starts_the_flight_that_others_ride() {
    explore(|| {
        let (slot, server) = (slot(Threads, 5_000), Server::good());
        let (same, asked) = (Arc::clone(&slot), Arc::clone(&server));
        let results = together(3, move |number| {
            call(&asked, &|| Presence::Here, number == 0, |caller| {
                same.acquire(Wish::default(), caller)
            })
            .map(|token| token.value().to_owned())
            .map_err(|error| error.code())
        });
        assert!(
            matches!(&results[0], Ok(token) if token == "token-1")
                || results[0] == Err(Code::Pending)
        );
        assert!(
            results[1..]
                .iter()
                .all(|got| *got == Ok("token-1".to_owned()))
        );
        assert_eq!(server.requests(), 1);
    });
}

#[test]
fn closing_wakes_those_who_wait_until_a_flight_may_start() {
    explore(|| {
        let (slot, server) = (slot(Threads, 5_000), Server::good());
        let mine = hold();
        slot.attach(&mine);
        assert_eq!(token(&slot, &server, false), Ok("token-1".to_owned()));
        slot.reject("token-1");
        let (open, waiters) = two_who_wait(&slot, &server);
        *open.lock().expect("unpoisoned") = false;
        slot.detach(&mine);
        for waiter in waiters {
            assert_eq!(waiter.join().expect("no panic"), Err(Code::Closed));
        }
    });
}
