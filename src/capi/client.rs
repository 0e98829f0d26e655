//! Client
//!
//! All clients of one identity (server, user, secret and network settings) in a process share one token. Creating a client
//! sends nothing; the first call that needs a token does. Where a function says so, a NULL client means the default client:
//! one per process, opened from the P21_ environment variables at first use.

use std::ffi::c_char;

use arc_swap::ArcSwap;

use super::args::{Out, null};
use super::types::{p21_client, p21_config, p21_error, p21_status};
use super::{guard, handle, string};
use crate::client::{Client, TokenOptions, update_default, with_default};
use crate::error::Result;
use crate::options::Config;
use crate::sys::uncancelled;
use crate::token::Token;

/// The client of a handle; NULL is the default client.
#[inline]
pub(super) fn with_client<R>(
    client: *const p21_client,
    work: impl FnOnce(&Client) -> Result<R>,
) -> Result<R> {
    ask_client(client, &TokenOptions::default(), |client, _| work(client))
}

/// As [`with_client`] for a call with these options: the default client may first have to be opened, and what is left of
/// the call's time is handed on.
#[inline]
pub(super) fn ask_client<R>(
    client: *const p21_client,
    options: &TokenOptions,
    work: impl FnOnce(&Client, &TokenOptions) -> Result<R>,
) -> Result<R> {
    if client.is_null() {
        with_default(options, work)
    } else {
        handle::with(client, |client| work(client, options))
    }
}

/// Hands a token of the client to `look`, as `options` say.
pub(super) fn with_token<R>(
    client: *const p21_client,
    options: &TokenOptions,
    look: impl FnOnce(&Token) -> R,
) -> Result<R> {
    options.check()?;
    ask_client(client, options, |client, options| {
        client.with_token(options, look)
    })
}

pub(super) fn with_config<R>(
    config: *const p21_config,
    work: impl FnOnce(&Config) -> Result<R>,
) -> Result<R> {
    // A share of the present state: a client may take its time to open.
    let config = handle::with(config, |config: &ArcSwap<Config>| Ok(config.load_full()))?;
    work(&config)
}

/// Creates a client from a copy of the configuration. Files that the configuration names are read within timeout_ms. Free
/// the client with p21_client_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p21_client_new(
    config: *const p21_config,
    out: *mut *mut p21_client,
    err: *mut *mut p21_error,
) -> p21_status {
    // SAFETY: `out` and `err` are checked for NULL and else point to memory for a pointer for as long as this call lasts;
    // `config` is a handle, which is looked up and never followed.
    unsafe {
        guard::status("p21_client_new", err, || {
            let out = Out::new(out, std::ptr::null_mut(), "out")?;
            out.set(handle::insert(with_config(config, Client::open)?)?);
            Ok(())
        })
    }
}

/// Frees a client, even while other threads use it: calls that wait return P21_E_CLOSED at once. Ignores NULL and handles
/// already freed. Waits at most store_timeout_ms until a shared store knows about reported and invalidated tokens, so a
/// program may report a token and exit.
#[unsafe(no_mangle)]
pub extern "C" fn p21_client_free(client: *mut p21_client) {
    guard::value("p21_client_free", (), || {
        uncancelled(|| handle::remove(client, Client::close));
        None
    });
}

/// Changes the credentials or settings of a client under the same handle. On failure the client does not change. With NULL
/// for both, reopens the default client from the environment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p21_client_update(
    client: *mut p21_client,
    config: *const p21_config,
    err: *mut *mut p21_error,
) -> p21_status {
    // SAFETY: `err` is checked for NULL and else points to memory for a pointer; both handles are looked up and never
    // followed.
    unsafe {
        guard::status("p21_client_update", err, || {
            match (client.is_null(), config.is_null()) {
                (true, true) => update_default(),
                // The default client knows the environment only.
                (true, false) => Err(null("client")),
                _ => handle::with(client.cast_const(), |client: &Client| {
                    with_config(config, |config| client.update(config))
                }),
            }
        })
    }
}

/// Sets *out_json to the client's state as a JSON object: token age, counters, last error, cool-down, proxy and so on, but
/// no secret. Free it with p21_free. A NULL client means the default client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p21_client_stats(
    client: *const p21_client,
    out_json: *mut *mut c_char,
    err: *mut *mut p21_error,
) -> p21_status {
    // SAFETY: `out_json` is checked for NULL and else points to memory for a pointer for as long as this call lasts.
    unsafe {
        guard::status("p21_client_stats", err, || {
            let out = Out::new(out_json, std::ptr::null_mut(), "out_json")?;
            out.set(string::from_text(&with_client(client, Client::stats)?)?);
            Ok(())
        })
    }
}

/// Sets *out_word to the address of a 64-bit number that changes whenever the client's token may have changed. A NULL
/// client means the default client.
///
/// The address stays valid for the life of the process. Read the number atomically. Its values never repeat, and it does
/// not change when time passes. To keep a token in your own cache, read the number before you call p21_token_snapshot, and
/// reuse the token while the number is the same and no more than p21_token_reuse_ms has passed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p21_client_generation(
    client: *const p21_client,
    out_word: *mut *const u64,
    err: *mut *mut p21_error,
) -> p21_status {
    // SAFETY: `out_word` is checked for NULL and else points to memory for a pointer; the word that it is set to is part of
    // the client's seat, which is never freed.
    unsafe {
        guard::status("p21_client_generation", err, || {
            let out = Out::new(out_word, std::ptr::null(), "out_word")?;
            out.set(with_client(client, |client| {
                Ok(client.generation().as_ptr().cast_const())
            })?);
            Ok(())
        })
    }
}
