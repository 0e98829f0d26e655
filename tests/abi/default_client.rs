//! The default client, and that nothing is left behind. In a process of its own: the test sets environment variables and
//! counts the objects of the whole process.

use std::ptr;

use p21auth::internal::capi::*;
use test_support::capi::*;
use test_support::child::in_child;
use test_support::emulator;

/// NULL, which is the default client; never freed.
fn default_client() -> std::mem::ManuallyDrop<Client> {
    std::mem::ManuallyDrop::new(Client(ptr::null_mut()))
}

fn set(name: &str, value: &str) {
    // SAFETY: the only test of this process.
    unsafe { std::env::set_var(name, value) };
}

/// The environment without what is this library's.
fn forget_variables() {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("P21_") {
            // SAFETY: the only test of this process.
            unsafe { std::env::remove_var(name) };
        }
    }
}

#[test]
fn the_default_client_is_opened_from_the_environment_and_counts_for_nothing() {
    const TEST: &str =
        "default_client::the_default_client_is_opened_from_the_environment_and_counts_for_nothing";
    if !in_child(TEST, &[]) {
        return;
    }
    forget_variables();
    let client = default_client();
    let before = p21_live_objects();
    assert_eq!(before, 0);

    let missing = client.get(0).expect_err("nothing is set");
    assert_eq!(missing.code(), P21_E_CONFIG);
    let said = format!("{missing:?} {}", missing.hint());
    assert!(said.contains("P21_BASE_URL"), "{said}");
    assert_eq!(p21_live_objects(), 1, "the error");
    drop(missing);
    let status = unsafe { p21_client_update(ptr::null_mut(), ptr::null(), ptr::null_mut()) };
    assert_eq!(status, P21_E_CONFIG);

    // After a failure to open it is opened again.
    let emulator = emulator();
    set("P21_BASE_URL", emulator.base_url());
    set("P21_USERNAME", "demo");
    set("P21_PASSWORD", "demo-password");
    let token = client.get(0).expect("a token");
    let explicit = Client::demo(&emulator);
    assert_eq!(explicit.get(P21_CACHED_ONLY).expect("shared"), token);

    // Every function that takes a client takes NULL for it.
    let mut buffer = vec![0; token.len() + 1];
    let mut len = 0;
    let status = unsafe {
        let buf = buffer.as_mut_ptr();
        p21_token_copy(
            ptr::null(),
            0,
            0,
            buf,
            buffer.len(),
            &raw mut len,
            ptr::null_mut(),
        )
    };
    assert_eq!((status, len), (P21_OK, token.len()));
    let snapshot = client.snapshot(0, 0);
    assert_eq!(snapshot.value(), token);
    let mut url = ptr::null_mut();
    let status = unsafe { p21_ui_url(ptr::null(), 0, 0, &raw mut url, ptr::null_mut()) };
    assert_eq!(status, P21_OK);
    p21_free_text(url);
    assert_eq!(client.stats()["base_url"], emulator.base_url());
    let word = client.word();
    assert_eq!(client.report(&token, 401, ""), P21_VERDICT_RETRY);
    assert_ne!(client.word(), word);
    assert_eq!(
        unsafe { p21_token_invalidate(ptr::null(), ptr::null(), ptr::null_mut()) },
        P21_OK
    );
    assert_ne!(client.get(0).expect("a new one"), token);
    assert_eq!(emulator.control().counter("token.requests"), 2);

    // Opened again: another user.
    set("P21_USERNAME", "readonly");
    set("P21_PASSWORD", "readonly-password");
    client.get(P21_CACHED_ONLY).expect("still the old one");
    let status = unsafe { p21_client_update(ptr::null_mut(), ptr::null(), ptr::null_mut()) };
    assert_eq!(status, P21_OK);
    let subject = client.snapshot(0, 0).field("Claims.sub");
    assert_eq!(subject.as_deref(), Some("readonly"));

    p21_client_free(ptr::null_mut());
    client
        .get(P21_CACHED_ONLY)
        .expect("freeing NULL does nothing");
    drop((explicit, snapshot));
    assert_eq!(p21_live_objects(), before);
}

#[cfg(unix)]
#[test]
fn a_command_that_fails_is_not_run_at_every_call() {
    const TEST: &str = "default_client::a_command_that_fails_is_not_run_at_every_call";
    if !in_child(TEST, &[]) {
        return;
    }
    forget_variables();
    let (emulator, folder) = (emulator(), tempfile::tempdir().expect("a folder"));
    let runs = folder.path().join("runs");
    let count = || std::fs::read_to_string(&runs).unwrap_or_default().len();
    let command = |last: &str| format!("command:sh -c 'printf x >> {}; {last}'", runs.display());
    set("P21_BASE_URL", emulator.base_url());
    set("P21_USERNAME", "demo");
    set("P21_PASSWORD_FROM", &command("exit 3"));
    let client = default_client();
    for flags in [0, 0, P21_NO_WAIT, P21_NO_WAIT, P21_CACHED_ONLY, 0] {
        let error = client.get(flags).expect_err("it fails");
        if flags == 0 {
            assert_eq!(error.code(), P21_E_CONFIG);
            assert!(
                format!("{error:?}").contains("ended with status 3"),
                "{error:?}"
            );
        }
    }
    assert_eq!(count(), 1);
    // The program asks for it.
    let update = || unsafe { p21_client_update(ptr::null_mut(), ptr::null(), ptr::null_mut()) };
    assert_eq!((update(), count()), (P21_E_CONFIG, 2));
    client.get(0).expect_err("not run");
    assert_eq!(count(), 2);
    // Another command.
    set("P21_PASSWORD_FROM", &command("echo demo-password"));
    client.get(0).expect("a token");
}
