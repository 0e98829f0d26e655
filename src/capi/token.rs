//! Token
//!
//! flags is 0 or a combination of P21_FORCE_REFRESH, P21_CACHED_ONLY, P21_WITH_SCHEME and P21_NO_WAIT; an unknown flag is an
//! error. wait_ms is the longest time that the call may wait; 0 means the client's timeout_ms. When that time is up, a request
//! in progress continues. A NULL client means the default client.

use std::ffi::c_char;
use std::time::Duration;

use super::args::{Ask, Out, TOKEN_FLAGS, bytes, check_flags, optional_text, text};
use super::client::{ask_client, with_client, with_config, with_token};
use super::flags::{P21_CACHED_ONLY, P21_NO_WAIT, P21_WITH_SCHEME};
use super::objects::Snapshot;
use super::status::P21_OK;
use super::types::{p21_client, p21_config, p21_error, p21_status, p21_token};
use super::{guard, handle, string};
use crate::client::Client;
use crate::error::{Code, Error};
use crate::wire;

/// Sets *out_token to a valid access token. Free it with p21_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p21_token_get(
    client: *const p21_client,
    flags: u32,
    wait_ms: u32,
    out_token: *mut *mut c_char,
    err: *mut *mut p21_error,
) -> p21_status {
    // SAFETY: `out_token` and `err` are checked for NULL and else point to memory for a pointer for as long as this call
    // lasts.
    unsafe {
        let hit = guard::hit("p21_token_get", || {
            if out_token.is_null() || !hits_serve(flags) {
                return None;
            }
            let with_scheme = flags & P21_WITH_SCHEME != 0;
            handle::hit(client, |token| {
                string::from_bytes_with_nul(token.value_with_nul(with_scheme)).ok()
            })?
        });
        if let Some(token) = hit {
            out_token.write(token);
            no_error(err);
            return P21_OK;
        }
        guard::status("p21_token_get", err, || {
            let out = Out::new(out_token, std::ptr::null_mut(), "out_token")?;
            check_flags(flags, TOKEN_FLAGS)?;
            let ask = Ask::new(flags, wait_ms);
            let token = with_token(client, &ask.options, |token| {
                string::from_bytes_with_nul(token.value_with_nul(ask.with_scheme))
            })??;
            out.set(token);
            Ok(())
        })
    }
}

/// Copies a valid access token into a buffer, without allocation: the fastest way to get one. cap includes the NUL. *out_len
/// is the length without the NUL, also after P21_E_BUFFER_TOO_SMALL. buf may be NULL if cap is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p21_token_copy(
    client: *const p21_client,
    flags: u32,
    wait_ms: u32,
    buf: *mut c_char,
    cap: usize,
    out_len: *mut usize,
    err: *mut *mut p21_error,
) -> p21_status {
    // SAFETY: `out_len` and, with a `cap`, `buf` are checked for NULL and else point to a number and to `cap` bytes; the
    // text is only copied if it fits into `cap` with its NUL, and from memory of our own, so source and target do not
    // overlap.
    unsafe {
        let hit = guard::hit("p21_token_copy", || {
            if out_len.is_null() || buf.is_null() || !hits_serve(flags) {
                return None;
            }
            let with_scheme = flags & P21_WITH_SCHEME != 0;
            handle::hit(client, |token| {
                let text = token.value_with_nul(with_scheme);
                (text.len() <= cap).then(|| {
                    buf.copy_from_nonoverlapping(text.as_ptr().cast(), text.len());
                    text.len() - 1
                })
            })?
        });
        if let Some(len) = hit {
            out_len.write(len);
            no_error(err);
            return P21_OK;
        }
        guard::status("p21_token_copy", err, || {
            let len = Out::new(out_len, 0, "out_len")?;
            if cap > 0 {
                Out::new(buf, 0, "buf")?;
            }
            check_flags(flags, TOKEN_FLAGS)?;
            let ask = Ask::new(flags, wait_ms);
            let needed = with_token(client, &ask.options, |token| {
                let text = token.value_with_nul(ask.with_scheme);
                if text.len() <= cap {
                    buf.copy_from_nonoverlapping(text.as_ptr().cast(), text.len());
                }
                text.len()
            })?;
            len.set(needed - 1);
            if needed > cap {
                Err(too_small(needed))
            } else {
                Ok(())
            }
        })
    }
}

/// Whether a hit is all that a call with these flags may want. Others, wrong ones included, are sorted out beyond a hit.
#[inline]
fn hits_serve(flags: u32) -> bool {
    matches!(flags & !P21_WITH_SCHEME, 0 | P21_CACHED_ONLY | P21_NO_WAIT)
}

/// # Safety
///
/// `err` is NULL or points to memory for a pointer.
#[inline]
unsafe fn no_error(err: *mut *mut p21_error) {
    if !err.is_null() {
        // SAFETY: not NULL, so it points to memory for a pointer.
        unsafe { err.write(std::ptr::null_mut()) };
    }
}

#[cold]
fn too_small(needed: usize) -> Error {
    let message = format!("the token needs a buffer of {needed} bytes");
    Error::new(Code::BufferTooSmall, message)
}

/// Sets *out to a snapshot of a token that stays valid for at least min_valid_s seconds, if the server's tokens live that
/// long. Free it with p21_token_free. An Interactive API session belongs to the token that opened it: keep the snapshot until
/// the session ends.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p21_token_snapshot(
    client: *const p21_client,
    flags: u32,
    wait_ms: u32,
    min_valid_s: u32,
    out: *mut *mut p21_token,
    err: *mut *mut p21_error,
) -> p21_status {
    // SAFETY: `out` and `err` are checked for NULL and else point to memory for a pointer for as long as this call lasts.
    unsafe {
        guard::status("p21_token_snapshot", err, || {
            let out = Out::new(out, std::ptr::null_mut(), "out")?;
            check_flags(flags, TOKEN_FLAGS)?;
            let mut ask = Ask::new(flags, wait_ms);
            ask.options.min_valid = Duration::from_secs(min_valid_s.into());
            let snapshot = ask_client(client, &ask.options, |client, options| {
                // First the windows: if the client moves in between, its generation word tells.
                let reuse = client.reuse()?;
                let token = client.token_with(options)?;
                Ok(Snapshot::new(token, reuse, &ask))
            })?;
            out.set(handle::insert(snapshot)?);
            Ok(())
        })
    }
}

/// Reports an API response that rejected a token. Sets *out_verdict to one of the P21_VERDICT_ values, and drops the token if
/// it is the cause. Call it for every 401 and 403; after P21_VERDICT_RETRY get a token and send the call once more. body is
/// the response body, len bytes in any encoding, or NULL. Never waits: a shared store is updated in the background, and
/// p21_client_free waits for that. A process that exits without that call, as with the default client, may exit before the
/// store is updated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p21_token_report(
    client: *const p21_client,
    token: *const c_char,
    http_status: i32,
    body: *const u8,
    len: usize,
    out_verdict: *mut i32,
    err: *mut *mut p21_error,
) -> p21_status {
    // SAFETY: `token` is a C string and `body` has `len` bytes, unless they are NULL, which is checked; both are only read,
    // and only during the call. `out_verdict` is checked and points to a number.
    unsafe {
        guard::status("p21_token_report", err, || {
            let out = Out::new(out_verdict, 0, "out_verdict")?;
            let token = text(token, "token")?;
            let body = bytes(body, len, "body")?;
            let verdict = with_client(client, |client| client.report(token, http_status, body))?;
            out.set(verdict.number());
            Ok(())
        })
    }
}

/// Drops a token if it is still the current one, so that the next call fetches another. NULL drops any cached token and ends a
/// cool-down, for example after an account was unlocked. Never waits: a shared store is updated in the background.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p21_token_invalidate(
    client: *const p21_client,
    token_or_null: *const c_char,
    err: *mut *mut p21_error,
) -> p21_status {
    // SAFETY: `token_or_null` is NULL or a C string that lasts for the call, and is only read during it.
    unsafe {
        guard::status("p21_token_invalidate", err, || {
            let token = optional_text(token_or_null, "token_or_null")?;
            with_client(client, |client| client.invalidate(token))
        })
    }
}

/// Sets *out_url to the UI server's URL for the Interactive and Transaction APIs, without a trailing slash. The URL is
/// requested once per token. P21_FORCE_REFRESH requests it again; P21_WITH_SCHEME has no effect. Free the URL with p21_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p21_ui_url(
    client: *const p21_client,
    flags: u32,
    wait_ms: u32,
    out_url: *mut *mut c_char,
    err: *mut *mut p21_error,
) -> p21_status {
    // SAFETY: `out_url` and `err` are checked for NULL and else point to memory for a pointer for as long as this call
    // lasts.
    unsafe {
        guard::status("p21_ui_url", err, || {
            let out = Out::new(out_url, std::ptr::null_mut(), "out_url")?;
            check_flags(flags, TOKEN_FLAGS & !P21_WITH_SCHEME)?;
            let ask = Ask::new(flags, wait_ms);
            let url = ask_client(client, &ask.options, Client::ui_url_with)?;
            out.set(string::from_text(&url)?);
            Ok(())
        })
    }
}

/// Requests a separate token from the server, bypassing the cache. Sets *out_json to the response as JSON with the P21 API's
/// names: AccessToken, ExpiresInSeconds and so on. Sends nothing during a cool-down after rejected credentials. Free the JSON
/// with p21_free. Most programs should call p21_token_get instead: each request opens a middleware session.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p21_token_request(
    config: *const p21_config,
    out_json: *mut *mut c_char,
    err: *mut *mut p21_error,
) -> p21_status {
    // SAFETY: `out_json` and `err` are checked for NULL and else point to memory for a pointer for as long as this call
    // lasts.
    unsafe {
        guard::status("p21_token_request", err, || {
            let out = Out::new(out_json, std::ptr::null_mut(), "out_json")?;
            let json = with_config(config, Client::request_once)?;
            out.set(string::from_text(&json)?);
            Ok(())
        })
    }
}

/// Parses a token response that another program fetched: JSON, XML or a bare JWT. Sets *out_json to the response as JSON with
/// the P21 API's names. ExpiresIn comes from the response or, if it states none, from its JWT. Free the JSON with p21_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p21_parse_token_response(
    body: *const u8,
    len: usize,
    out_json: *mut *mut c_char,
    err: *mut *mut p21_error,
) -> p21_status {
    // SAFETY: `body` has `len` bytes unless it is NULL, which is checked, and is only read during the call; `out_json` and
    // `err` are checked for NULL and else point to memory for a pointer.
    unsafe {
        guard::status("p21_parse_token_response", err, || {
            let out = Out::new(out_json, std::ptr::null_mut(), "out_json")?;
            let json = wire::parse_response_json(bytes(body, len, "body")?)?;
            out.set(string::from_text(&json)?);
            Ok(())
        })
    }
}
