//! The UI server's URL.

use super::*;

#[test]
fn the_ui_url_is_one_request_and_one_repair_however_many_ask() {
    for dead in [0, 1] {
        explore(move || {
            let mut server = Server::good();
            Arc::get_mut(&mut server).expect("not shared yet").dead = dead;
            let slot = slot(Threads, 0);
            let (same, asked) = (Arc::clone(&slot), Arc::clone(&server));
            let urls = together(2, move |_| {
                call(&asked, &|| Presence::Here, false, |caller| {
                    same.ui_url(Wish::default(), caller)
                })
            });
            let wanted = format!("https://p21.example.com/token-{}", dead + 1);
            assert!(
                urls.iter().all(|url| url.as_deref() == Ok(&*wanted)),
                "{urls:?}"
            );
            assert_eq!(server.requests(), dead + 1);
            assert_eq!(server.routed.load(Ordering::Relaxed), dead + 1);
        });
    }
}

#[test]
fn a_ui_url_is_never_older_than_the_token_that_is_there() {
    explore(|| {
        let (slot, server) = (slot(Threads, 0), Server::good());
        assert_eq!(token(&slot, &server, false), Ok("token-1".to_owned()));
        let (same, asked) = (Arc::clone(&slot), Arc::clone(&server));
        let urls = together(2, move |number| {
            // Between the other caller's token and its question, or while the router is asked.
            if number == 1 {
                same.reject("token-1");
            }
            call(&asked, &|| Presence::Here, false, |caller| {
                same.ui_url(Wish::default(), caller)
            })
            .expect("a URL")
        });
        assert!(urls[1].ends_with("/token-2"), "{urls:?}");
        assert!(server.routed.load(Ordering::Relaxed) <= 2);
    });
}
