//! Snapshot
//!
//! Text from a snapshot is borrowed: it is valid until p21_token_free. Any number of threads may read a snapshot.

use std::ffi::c_char;

use super::args::{Out, text};
use super::objects::Snapshot;
use super::types::{p21_error, p21_status, p21_token};
use super::{guard, handle, string};

/// Returns the token, with "Bearer " before it if the snapshot was taken with P21_WITH_SCHEME, or NULL for an invalid handle.
#[unsafe(no_mangle)]
pub extern "C" fn p21_token_value(token: *const p21_token) -> *const c_char {
    guard::value("p21_token_value", std::ptr::null(), || {
        handle::get(token, |snapshot: &Snapshot| {
            let text = snapshot.token.value_with_nul(snapshot.with_scheme);
            Some(text.as_ptr().cast())
        })
    })
}

/// Returns a field of the token response by its P21 name ("AccessToken", "TokenType", "RefreshToken", "UserName", "Scope",
/// "SessionId", "ConsumerUid", "AppKey"), or a claim of the JWT ("Claims.sub"). A claim that is not a string is returned as
/// JSON. Returns NULL if there is no such field.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p21_token_field(
    token: *const p21_token,
    name: *const c_char,
) -> *const c_char {
    guard::value("p21_token_field", std::ptr::null(), || {
        // SAFETY: `name` is checked for NULL and else a C string that lasts for the call; the field returned is a copy in
        // the snapshot.
        let name = unsafe { text(name, "name") }.ok()?;
        handle::get(token, |snapshot: &Snapshot| snapshot.field(name))
    })
}

/// Sets *out_json to the token as a JSON object with the P21 API's names, with the remaining seconds in ExpiresInSeconds and
/// ExpiresIn, and with Claims if the token is a JWT. Free it with p21_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p21_token_json(
    token: *const p21_token,
    out_json: *mut *mut c_char,
    err: *mut *mut p21_error,
) -> p21_status {
    // SAFETY: `out_json` is checked for NULL and else points to memory for a pointer for as long as this call lasts.
    unsafe {
        guard::status("p21_token_json", err, || {
            let out = Out::new(out_json, std::ptr::null_mut(), "out_json")?;
            handle::with(token, |snapshot: &Snapshot| {
                let json = snapshot.token.to_json(snapshot.reuse.now());
                out.set(string::from_text(&json)?);
                Ok(())
            })
        })
    }
}

/// Returns for how many milliseconds the token may be reused without another call, as long as the number from
/// p21_client_generation does not change: at most 60000, or 1000 with a shared store. Returns 0 if the token will be
/// refreshed soon.
#[unsafe(no_mangle)]
pub extern "C" fn p21_token_reuse_ms(token: *const p21_token) -> i64 {
    guard::value("p21_token_reuse_ms", 0, || {
        handle::get(token, |snapshot: &Snapshot| {
            let left = snapshot.reuse.left(&snapshot.token, snapshot.min_valid);
            i64::try_from(left.as_millis()).ok()
        })
    })
}

/// Returns the seconds until the token expires: 0 if it has expired, -1 for an invalid handle.
#[unsafe(no_mangle)]
pub extern "C" fn p21_token_expires_in(token: *const p21_token) -> i64 {
    guard::value("p21_token_expires_in", -1, || {
        handle::get(token, |snapshot: &Snapshot| {
            Some(snapshot.token.expires_in_s(snapshot.reuse.now()))
        })
    })
}

/// Returns when the token expires, in Unix seconds, or -1 for an invalid handle.
#[unsafe(no_mangle)]
pub extern "C" fn p21_token_expires_at(token: *const p21_token) -> i64 {
    guard::value("p21_token_expires_at", -1, || {
        handle::get(token, |snapshot: &Snapshot| {
            Some(snapshot.token.life.expires_at())
        })
    })
}

/// Returns the token's number: later tokens have larger numbers. Returns 0 for an invalid handle.
#[unsafe(no_mangle)]
pub extern "C" fn p21_token_generation(token: *const p21_token) -> u64 {
    guard::value("p21_token_generation", 0, || {
        handle::get(token, |snapshot: &Snapshot| Some(snapshot.token.generation))
    })
}

/// Frees a snapshot. Ignores NULL and handles already freed.
#[unsafe(no_mangle)]
pub extern "C" fn p21_token_free(token: *mut p21_token) {
    guard::value("p21_token_free", (), || {
        handle::remove::<Snapshot>(token, |_| {});
        None
    });
}
