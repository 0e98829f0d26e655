//! Model checks of a client that moves, as those of `cache/model`.

use std::sync::Arc;

use super::{Client, Runtime};
use crate::cache::model::order::{explore, thread};
use crate::cache::model::{Still, Threads, together};
use crate::error::{Code, Result};
use crate::http::{Limits, Transport};
use crate::options::Config;
use crate::wire::{Request, Response};

/// Issues a token that is called after the server.
struct ByHost;

impl Transport for ByHost {
    fn send(&self, request: &Request, _: &Limits) -> Result<Response> {
        thread::yield_now();
        let host = request.url.host_str().expect("a host");
        let body = format!(r#"{{"AccessToken":"{host}","ExpiresInSeconds":3600}}"#);
        Ok(Response {
            status: 200,
            headers: Vec::new(),
            body: body.into_bytes().into(),
        })
    }
}

fn config(host: &str) -> Config {
    let url = format!("https://{host}");
    let mut config = Config::new();
    for (name, value) in [
        ("base_url", &*url),
        ("username", "user"),
        ("password", "secret"),
        ("min_refresh_interval_s", "0"),
    ] {
        config.set(name, Some(value)).expect("valid");
    }
    config
}

fn runtime() -> Arc<Runtime> {
    Runtime::new(
        Arc::<Still>::default(),
        Arc::new(Threads),
        |below| below - 1,
        Box::new(|_| Ok(Arc::new(ByHost) as Arc<dyn Transport>)),
    )
}

#[test]
fn a_client_that_was_closed_has_no_hit_of_its_slot() {
    explore(move || {
        let runtime = runtime();
        let client = Client::open_in(&runtime, &config("a.example.com")).expect("valid");
        let stays = Client::open_in(&runtime, &config("a.example.com")).expect("valid");
        assert_eq!(client.token().expect("a token").value(), "a.example.com");
        let client = Arc::new(client);
        together(2, move |number| {
            if number > 0 {
                stays.invalidate(None).expect("open");
                assert_eq!(stays.token().expect("a token").value(), "a.example.com");
            } else {
                client.close();
                for _ in 0..2 {
                    let closed = client.token().expect_err("closed");
                    assert_eq!(closed.code(), Code::Closed);
                }
            }
        });
    });
}

#[test]
fn a_client_that_was_updated_never_gets_a_token_of_the_identity_that_it_left() {
    explore(move || {
        let runtime = runtime();
        let client = Client::open_in(&runtime, &config("a.example.com")).expect("valid");
        // Keeps the old slot busy: it publishes while the client moves.
        let stays = Client::open_in(&runtime, &config("a.example.com")).expect("valid");
        assert_eq!(client.token().expect("a token").value(), "a.example.com");
        let client = Arc::new(client);
        together(3, move |number| match number {
            0 => {
                client.update(&config("b.example.com")).expect("valid");
                for _ in 0..2 {
                    assert_eq!(client.token().expect("a token").value(), "b.example.com");
                }
                // And those that follow are hits.
                let hit = client.0.cell.board.hit();
                let hit = hit.as_ref().map(|hit| hit.token.value().to_owned());
                assert_eq!(hit.as_deref(), Some("b.example.com"));
            }
            1 => {
                stays.invalidate(None).expect("open");
                assert_eq!(stays.token().expect("a token").value(), "a.example.com");
            }
            _ => {
                client.token().expect("a token");
            }
        });
    });
}
