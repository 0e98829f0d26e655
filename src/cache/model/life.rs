//! What a call returns is valid at the moment of its return, no matter what happened while it waited.

use super::*;
use crate::cache::decide::TokenTimes;

/// A slot with `token-1`, which lives 6 s, and the clock at 5.9 s: a call waits for a flight.
fn about_to_expire(server: Server) -> (Arc<Slot>, Arc<Server>) {
    let server = Arc::new(Server {
        lifetime_ms: 6_000,
        ..server
    });
    let slot = slot_at(Arc::clone(&server.clock), Threads, 5_000);
    assert_eq!(token(&slot, &server, false), Ok("token-1".to_owned()));
    server.clock.pass(5_900);
    (slot, server)
}

fn unshared(server: Arc<Server>) -> Server {
    Arc::into_inner(server).expect("not shared yet")
}

#[test]
fn a_token_that_expires_during_a_failing_flight_is_no_fallback() {
    explore(|| {
        let clock = Arc::<Still>::default();
        let failing = {
            let clock = Arc::clone(&clock);
            Server::new(move |number| {
                if number == 1 {
                    return Ok(());
                }
                clock.pass(3_000);
                Err(Error::new(Code::Connect, "refused"))
            })
        };
        let (slot, server) = about_to_expire(Server {
            clock,
            ..unshared(failing)
        });
        let (same, asked) = (Arc::clone(&slot), Arc::clone(&server));
        let results = together(3, move |_| {
            // A caller that comes late finds an expired token; one that is early waits while it expires.
            token(&same, &asked, false).map_err(|error| error.code())
        });
        assert_eq!(results, vec![Err(Code::Connect); 3]);
        assert_eq!(server.requests(), 2);
    });
}

#[test]
fn a_token_that_outlives_a_failing_flight_is_the_fallback() {
    explore(|| {
        let failing = Server::new(|number| match number {
            1 => Ok(()),
            _ => Err(Error::new(Code::Connect, "refused")),
        });
        let (slot, server) = about_to_expire(unshared(failing));
        let (same, asked) = (Arc::clone(&slot), Arc::clone(&server));
        let results = together(3, move |_| token(&same, &asked, false));
        assert_eq!(results, vec![Ok("token-1".to_owned()); 3]);
        assert_eq!(server.requests(), 2);
    });
}

#[test]
fn a_token_that_expires_before_the_callers_time_is_over_is_no_fallback() {
    explore(|| {
        let held = Arc::new((Mutex::new(true), Condvar::new()));
        let hanging = {
            let held = Arc::clone(&held);
            Server::new(move |number| {
                let mut shut = held.0.lock().expect("unpoisoned");
                while number > 1 && *shut {
                    shut = held.1.wait(shut).expect("unpoisoned");
                }
                Ok(())
            })
        };
        let (slot, server) = about_to_expire(unshared(hanging));
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let (slot, server) = (Arc::clone(&slot), Arc::clone(&server));
                thread::spawn(move || token(&slot, &server, false).map_err(|error| error.code()))
            })
            .collect();
        // Both have decided to wait once they count.
        while slot.counters.shared_waits.load(Ordering::Relaxed) < 1 {
            thread::yield_now();
        }
        server.clock.pass(61_000);
        // Something else wakes them.
        let other = hold();
        slot.attach(&other);
        slot.detach(&other);
        for waiter in waiters {
            assert_eq!(waiter.join().expect("no panic"), Err(Code::Timeout));
        }
        *held.0.lock().expect("unpoisoned") = false;
        held.1.notify_all();
    });
}

type Job = Box<dyn FnOnce() + Send>;

/// A flight lands, and this happens before the caller that started it looks again.
struct Late(Arc<Mutex<Option<Job>>>);

impl Spawn for Late {
    fn spawn(&self, job: Job) -> Result<()> {
        job();
        let after = self.0.lock().expect("unpoisoned").take();
        if let Some(after) = after {
            after();
        }
        Ok(())
    }
}

/// Runs `work` while another thread takes the gate now and then: shuttle insists on two.
fn beside(slot: &Arc<Slot>, work: impl FnOnce()) {
    let other = Arc::clone(slot);
    let other = thread::spawn(move || {
        for _ in 0..3 {
            let _ = other.status();
        }
    });
    work();
    other.join().expect("no panic");
}

#[test]
fn a_flights_token_that_is_gone_when_a_late_waiter_comes_is_not_handed_out() {
    for (dropped, force) in [(false, false), (false, true), (true, false), (true, true)] {
        explore(move || {
            let after = Arc::new(Mutex::new(None));
            let server = Arc::new(Server {
                lifetime_ms: 10_000,
                ..unshared(Server::good())
            });
            let slot = slot_at(Arc::clone(&server.clock), Late(Arc::clone(&after)), 0);
            let what: Job = if dropped {
                let slot = Arc::clone(&slot);
                Box::new(move || assert!(slot.reject("token-1").dropped))
            } else {
                let clock = Arc::clone(&server.clock);
                Box::new(move || clock.pass(10_000))
            };
            *after.lock().expect("unpoisoned") = Some(what);
            beside(&slot, || {
                assert_eq!(token(&slot, &server, force), Ok("token-2".to_owned()));
            });
            assert_eq!(server.requests(), 2);
        });
    }
}

#[test]
fn a_url_whose_token_is_gone_when_a_late_waiter_comes_is_asked_for_again() {
    explore(|| {
        let after = Arc::new(Mutex::new(None));
        let server = Server::good();
        let slot = slot_at(Arc::clone(&server.clock), Late(Arc::clone(&after)), 0);
        assert_eq!(token(&slot, &server, false), Ok("token-1".to_owned()));
        let gone = Arc::clone(&slot);
        *after.lock().expect("unpoisoned") = Some(Box::new(move || {
            gone.reject("token-1");
        }));
        beside(&slot, || {
            let url = call(&server, &|| Presence::Here, false, |caller| {
                slot.ui_url(Wish::default(), caller)
            });
            assert_eq!(url.as_deref(), Ok("https://p21.example.com/token-2"));
        });
    });
}

#[test]
fn a_caller_gets_a_token_that_was_valid_when_it_looked_last() {
    explore(|| {
        let server = Arc::new(Server {
            lifetime_ms: 1_000,
            ..unshared(Server::good())
        });
        let slot = slot_at(Arc::clone(&server.clock), Threads, 0);
        let (same, asked) = (Arc::clone(&slot), Arc::clone(&server));
        together(3, move |number| {
            if number == 0 {
                for _ in 0..3 {
                    asked.clock.pass(600);
                    thread::yield_now();
                    same.reject("token-1");
                }
                return;
            }
            // The slot looks at the client whenever it decides, so this is the earliest moment of the last decision.
            let last = AtomicI64::new(i64::MIN);
            let presence = || {
                last.store(asked.clock.now().mono, Ordering::Relaxed);
                thread::yield_now();
                Presence::Here
            };
            let got = call(&asked, &presence, false, |caller| {
                same.acquire(Wish::default(), caller)
            });
            if let Ok(token) = got {
                let sent = TokenTimes::of(&token).life.sent.mono;
                let decided = last.into_inner();
                assert!(sent <= decided, "decided before the token was asked for");
                assert!(decided - sent < 1_000, "expired when it was decided");
            }
        });
    });
}

#[test]
fn a_flight_that_finds_another_secret_sends_nothing_and_fails_no_caller() {
    explore(|| {
        let left = AtomicU64::new(2);
        let server = Arc::new(Server {
            reloaded: Box::new(move || {
                let moved =
                    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
                Ok(if moved.is_ok() {
                    Reloaded::Moved
                } else {
                    Reloaded::Same
                })
            }),
            ..unshared(Server::good())
        });
        let slot = slot(Threads, 5_000);
        let (same, asked) = (Arc::clone(&slot), Arc::clone(&server));
        let tokens = together(3, move |_| token(&same, &asked, false));
        assert_eq!(tokens, vec![Ok("token-1".to_owned()); 3]);
        assert_eq!(server.requests(), 1);
    });
}

#[test]
fn a_secret_that_cannot_be_read_fails_its_waiters_and_holds_nothing_back() {
    explore(|| {
        let left = AtomicU64::new(1);
        let server = Arc::new(Server {
            reloaded: Box::new(move || {
                match left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                {
                    Ok(_) => Err(Error::new(Code::Config, "no such file")),
                    Err(_) => Ok(Reloaded::Same),
                }
            }),
            ..unshared(Server::good())
        });
        let slot = slot(Threads, 5_000);
        let first = token(&slot, &server, false).map_err(|error| error.code());
        assert_eq!(first, Err(Code::Config));
        assert_eq!(token(&slot, &server, false), Ok("token-1".to_owned()));
    });
}
