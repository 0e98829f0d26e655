//! Log
//!
//! The library never calls you back and never prints; it keeps its latest events in memory, to be read after a slow call
//! or from time to time.

use std::ffi::c_char;

use super::args::{Out, null};
use super::types::{p21_error, p21_status};
use super::{guard, string};
use crate::error::{Code, Error};
use crate::log;

/// Gives the events since *cursor as lines of JSON objects with time, level, event and message, and moves the cursor behind
/// them; NULL when nothing is new. The end of a token request has took_ms too: how long it took, in milliseconds. A cursor
/// of 0 begins with the oldest event kept; when events were overwritten before they were read, the first line says how
/// many. max_level: 1 errors only, 2 warnings, 3 information, 4 debug, 5 all. Give the lines to p21_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p21_log_read(
    cursor: *mut u64,
    max_level: i32,
    out_json_lines: *mut *mut c_char,
    err: *mut *mut p21_error,
) -> p21_status {
    // SAFETY: `out_json_lines` and `cursor` are checked for NULL before they are used; the caller lends both for this call
    // alone, and they are of different types, so reading one and writing the other cannot collide.
    unsafe {
        guard::status("p21_log_read", err, || {
            let out = Out::new(out_json_lines, std::ptr::null_mut(), "out_json_lines")?;
            if cursor.is_null() {
                return Err(null("cursor"));
            }
            if !(1..=5).contains(&max_level) {
                let message = format!("{max_level} is not a log level: 1 to 5 are");
                return Err(Error::new(Code::InvalidArgument, message));
            }
            let mut position = cursor.read();
            if let Some(lines) = log::read(&mut position, max_level) {
                out.set(string::from_text(&lines)?);
            }
            cursor.write(position);
            Ok(())
        })
    }
}
