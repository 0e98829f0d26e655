//! Doctor
//!
//! Finds out why a token cannot be fetched, from inside your process: a Windows service or a web worker has different
//! variables, folders, proxies and trusted certificates than the user who runs the p21auth tool.

use std::ffi::c_char;
use std::time::Duration;

use super::args::{Out, check_flags};
use super::client::with_config;
use super::flags::P21_DOCTOR_TOKEN;
use super::types::{p21_config, p21_error, p21_status};
use super::{guard, string};
use crate::client::{Client, TokenOptions, with_default};
use crate::doctor;
use crate::options::Config;

/// Checks what a token needs, step by step: configuration, store, proxy, DNS, connection, TLS, server and, with
/// P21_DOCTOR_TOKEN, token and APIs. Sets *out_json to {schema, ok, token_requests, steps: [{id, outcome, saw, do, copy,
/// code, ms}]}. outcome is "ok", "warn", "fail" or "skipped", saw is what was found, do is what to do next. Free it with
/// p21_free. An invalid configuration is a failed step, not an error of this call.
///
/// A NULL config means that of the default client. flags is 0 or P21_DOCTOR_TOKEN. wait_ms is the longest time that the call
/// may take; 0 means the option timeout_ms. Steps that are not reached in time are "skipped".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p21_doctor(
    config: *const p21_config,
    flags: u32,
    wait_ms: u32,
    out_json: *mut *mut c_char,
    err: *mut *mut p21_error,
) -> p21_status {
    // SAFETY: `out_json` is checked for NULL and else points to memory for a pointer for as long as this call lasts.
    unsafe {
        guard::status("p21_doctor", err, || {
            let out = Out::new(out_json, std::ptr::null_mut(), "out_json")?;
            check_flags(flags, P21_DOCTOR_TOKEN)?;
            let with_token = flags & P21_DOCTOR_TOKEN != 0;
            let wait = (wait_ms > 0).then(|| Duration::from_millis(wait_ms.into()));
            let report = if config.is_null() {
                let mut environment = Config::new();
                let loaded = environment.load_env("P21_").map(|()| environment);
                let client =
                    || with_default(&TokenOptions::default(), |client, _| Ok(client.clone()));
                doctor::examine_apart(loaded, with_token.then_some(client), wait)?
            } else {
                let config = with_config(config, |config| Ok(config.clone()))?;
                let same = config.clone();
                let client = move || Client::open(&same);
                doctor::examine_apart(Ok(config), with_token.then_some(client), wait)?
            };
            out.set(string::from_text(&report.to_json().to_string())?);
            Ok(())
        })
    }
}
