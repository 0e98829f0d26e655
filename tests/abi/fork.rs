//! Handles and strings in a forked child.

use p21auth::internal::capi::*;

use test_support::capi::*;
use test_support::emulator;
use test_support::fork::in_child;

#[test]
fn a_child_has_the_token_at_once_and_can_fetch_another() {
    let emulator = emulator();
    let config = Config::demo(&emulator);
    config.set("min_refresh_interval_s", "0");
    let client = config.open();
    let token = client.get(0).expect("a token");
    let word = client.word();
    assert!(in_child(|| {
        let same = client
            .get(P21_CACHED_ONLY)
            .is_ok_and(|cached| cached == token);
        let other = client.get(P21_FORCE_REFRESH).is_ok_and(|new| new != token);
        same && other && client.word() != word
    }));
    assert_eq!(client.get(P21_CACHED_ONLY).expect("kept"), token);
    assert_eq!(client.word(), word, "a child changes nothing here");
}

#[test]
fn a_child_frees_what_it_inherited_and_makes_its_own() {
    let emulator = emulator();
    let config = Config::demo(&emulator);
    let client = config.open();
    let snapshot = client.snapshot(0, 0);
    let failure = client.get(1 << 31).expect_err("no such flag");
    let mut token = std::ptr::null_mut();
    let status = unsafe { p21_token_get(client.0, 0, 0, &raw mut token, std::ptr::null_mut()) };
    assert_eq!(status, P21_OK);
    let value = snapshot.value();
    assert!(in_child(|| {
        p21_free_text(token);
        p21_token_free(snapshot.0);
        p21_error_free(failure.0);
        p21_client_free(client.0);
        let other = config.open();
        let good = other.get(0).is_ok_and(|token| token == value);
        drop(other);
        p21_config_free(config.0);
        good && p21_error_code(failure.0) == P21_E_INVALID_HANDLE
    }));
    assert_eq!(take(token), value);
    assert_eq!(snapshot.value(), value);
    assert_eq!(failure.code(), P21_E_INVALID_ARGUMENT);
    assert_eq!(client.get(0).expect("still open"), value);
}

/// Every lock of the boundary is taken by someone at the moment of some of these forks.
#[test]
fn children_of_a_busy_process_never_hang() {
    let emulator = emulator();
    let config = Config::demo(&emulator);
    let client = config.open();
    client.get(0).expect("a token");
    let (handle, address) = (client.0.addr(), config.0.addr());
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let client =
                    std::mem::ManuallyDrop::new(Client(std::ptr::without_provenance_mut(handle)));
                let config =
                    std::mem::ManuallyDrop::new(Config(std::ptr::without_provenance_mut(address)));
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let _ = client.snapshot(0, 0).field("Claims.sub");
                    let _ = client.get(1 << 31).expect_err("no such flag");
                    let _ = config.open().get(0);
                }
            });
        }
        let all = (0..50).all(|_| {
            in_child(|| {
                let fresh = config.open();
                fresh.get(P21_CACHED_ONLY).is_ok()
                    && fresh.snapshot(0, 0).field("Claims.sub").is_some()
                    && client.get(1 << 31).is_err()
            })
        });
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(all);
    });
}
