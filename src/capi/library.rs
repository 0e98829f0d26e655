//! Library
//!
//! The smallest integration needs no configuration code: set P21_BASE_URL and either P21_USERNAME and P21_PASSWORD or
//! P21_CONSUMER_KEY in the environment, then
//!
//! ```c
//!     char *token;
//!     if (p21_token_get(NULL, 0, 0, &token, NULL) == P21_OK) {
//!         use_it(token);
//!         p21_free(token);
//!     }
//! ```
//!
//! Conventions.
//!
//! Results. A function that can fail returns a p21_status, and its last argument is err. err may be NULL; otherwise it is set
//! to NULL, or to an error that you free with p21_error_free. Out pointers are required and hold NULL or 0 after a failure.
//! Other functions return NULL, 0 or -1 for NULL and for handles that are not valid.
//!
//! Ownership. Text is UTF-8 and ends with a NUL; text that goes in is copied. A char * that comes out is yours: free it with
//! p21_free. A const char * that comes out is borrowed: it lasts as long as the object it was asked of, or as long as the
//! process if there is none. Handles are freed by the function of their kind; that ignores NULL and handles already freed.
//!
//! NULL. Inputs are required unless the text of a function says what NULL means.
//!
//! Threads. Every function may be called from any thread, and from any number of threads at once with the same client,
//! snapshot or error. A p21_config is for one thread at a time. A call needs 64 KiB of stack. pthread_cancel takes effect
//! after a call has returned. Not for signal handlers.
//!
//! Processes. A forked child may use and free all handles and strings of its parent; it keeps the tokens that are cached, and
//! requests that are under way belong to the parent. No function prints, exits, or calls you back.

use std::ffi::{CStr, CString, c_char, c_void};

use super::status::P21_OK;
use super::types::{P21_ABI_VERSION, p21_status};
use super::{guard, handle, string};
use crate::error::Code;
use crate::fork::Once;
use crate::options;
use crate::wire::Verdict;

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");

fn once(cell: &'static Once<CString>, make: impl FnOnce() -> String) -> &'static CStr {
    cell.get_or_init(|| CString::new(make()).unwrap_or_default())
}

/// The library's version, such as "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn p21_version() -> *const c_char {
    VERSION.as_ptr().cast()
}

/// The version of the binary interface; compare it with P21_ABI_VERSION of the header that you compiled with.
#[unsafe(no_mangle)]
pub extern "C" fn p21_abi_version() -> i32 {
    P21_ABI_VERSION
}

/// A status as it is written in this header, such as "P21_E_UNAUTHORIZED"; "P21_E_UNKNOWN" for a number without meaning.
#[unsafe(no_mangle)]
pub extern "C" fn p21_status_name(status: p21_status) -> *const c_char {
    static NAMES: [Once<CString>; Code::ALL.len()] = [const { Once::new() }; Code::ALL.len()];
    guard::value("p21_status_name", c"P21_E_UNKNOWN".as_ptr(), || {
        if status == P21_OK {
            return Some(c"P21_OK".as_ptr());
        }
        let at = Code::ALL.iter().position(|code| code.number() == status)?;
        Some(once(&NAMES[at], || Code::ALL[at].name().to_owned()).as_ptr())
    })
}

/// The next thing to do after a verdict of p21_token_report, in P21's own terms; "" for a number without meaning.
#[unsafe(no_mangle)]
pub extern "C" fn p21_verdict_hint(verdict: i32) -> *const c_char {
    static HINTS: [Once<CString>; Verdict::ALL.len()] = [const { Once::new() }; Verdict::ALL.len()];
    guard::value("p21_verdict_hint", c"".as_ptr(), || {
        let all = Verdict::ALL;
        let at = all.iter().position(|known| known.number() == verdict)?;
        Some(once(&HINTS[at], || all[at].hint().to_owned()).as_ptr())
    })
}

/// Every option as a JSON array of objects with name, type, default, unit, secret, scope and text; lasts for ever.
#[unsafe(no_mangle)]
pub extern "C" fn p21_options_json() -> *const c_char {
    static JSON: Once<CString> = Once::new();
    guard::value("p21_options_json", std::ptr::null(), || {
        Some(once(&JSON, options::options_json).as_ptr())
    })
}

/// Handles and strings that were handed out and not freed yet, in the whole process; for leak tests.
#[unsafe(no_mangle)]
pub extern "C" fn p21_live_objects() -> u64 {
    guard::value("p21_live_objects", 0, || {
        Some(handle::live() + string::live())
    })
}

/// Zeroises and frees a char * that came from this library. NULL and foreign pointers are ignored. Free each string once: a
/// second call for the same address is ignored while the freed block rests, which the last 64 of each size up to 16 KiB
/// do; later the address may be another string's.
#[unsafe(no_mangle)]
pub extern "C" fn p21_free(pointer: *mut c_void) {
    guard::value("p21_free", (), || {
        string::free(pointer);
        None
    });
}
