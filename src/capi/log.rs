//! Log
//!
//! The library never prints and never calls you back. It keeps its latest events in memory; read them after a slow call or
//! from time to time.

use std::ffi::c_char;

use super::args::{Out, null};
use super::types::{p21_error, p21_status};
use super::{guard, string};
use crate::error::{Code, Error};
use crate::log;

/// Sets *out_json_lines to the events since *cursor and advances the cursor. Each line is a JSON object with time, level,
/// event and message; the end of a token request also has took_ms, its duration in milliseconds. Sets NULL if there is
/// nothing new. A cursor of 0 starts at the oldest event kept. If events were overwritten before they were read, the first
/// line says how many. max_level: 1 errors only, 2 warnings, 3 information, 4 debug, 5 all. Free the lines with p21_free.
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
                let message = format!("{max_level} is not a log level: use 1 to 5");
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
