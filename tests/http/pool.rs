//! One transport per settings, one HTTP client per transport, nothing before it is needed.

use std::sync::Arc;

use p21auth::internal::http::transport_for;

use crate::settings;

#[test]
fn equal_settings_share_a_transport() {
    let mut other = settings();
    other.connect_timeout_ms += 1;
    let first = transport_for(&settings()).expect("transport");
    assert!(Arc::ptr_eq(
        &first,
        &transport_for(&settings()).expect("transport")
    ));
    assert!(!Arc::ptr_eq(
        &first,
        &transport_for(&other).expect("transport")
    ));
}

#[test]
fn a_transport_that_cannot_be_made_is_not_kept() {
    let folder = tempfile::tempdir().expect("folder");
    let mut settings = settings();
    let path = folder.path().join("ca.pem");
    settings.tls.ca_file = Some(path.clone());
    assert!(transport_for(&settings).is_err());
    let certified = rcgen::generate_simple_self_signed(["ca".to_owned()]).expect("certificate");
    std::fs::write(&path, certified.cert.pem()).expect("written");
    assert!(transport_for(&settings).is_ok());
}

#[cfg(target_os = "linux")]
#[test]
fn threads_come_with_the_first_request_and_once() {
    use crate::{LONG, MAX_BODY, in_child, request};
    use p21auth::internal::http::{Limits, Transport as _};
    use test_support::server::{OK, Server};

    /// The kernel may leave out entries while threads are ending, so it is asked until it says the same twice.
    fn http_threads() -> Vec<String> {
        let all = || -> Vec<String> {
            std::fs::read_dir("/proc/self/task")
                .expect("tasks")
                .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
                .collect()
        };
        let mut before = all();
        loop {
            std::thread::yield_now();
            let now = all();
            if now == before {
                break;
            }
            before = now;
        }
        before.retain(|name| name.starts_with("reqwest-"));
        before
    }
    if !in_child("pool::threads_come_with_the_first_request_and_once", &[]) {
        return;
    }
    let server = Server::answering(OK);
    let transport = transport_for(&settings()).expect("transport");
    assert_eq!(http_threads(), [""; 0]);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            let (transport, server) = (&transport, &server);
            scope.spawn(move || {
                let sent =
                    transport.send(&request(&server.url("http")), &Limits::new(LONG, MAX_BODY));
                assert_eq!(sent.expect("a response").status, 200);
            });
        }
    });
    drop(server);
    assert_eq!(http_threads(), ["reqwest-interna\n"]);
}
