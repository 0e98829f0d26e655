//! Library
//!
//! The smallest integration needs no configuration code. Set P21_BASE_URL and either P21_USERNAME and P21_PASSWORD, or
//! P21_CONSUMER_KEY, in the environment, then:
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
//! Results. A function that can fail returns a p21_status and takes err as its last argument. err may be NULL; otherwise it
//! is set to NULL, or to an error that you free with p21_error_free. Out pointers are required and are set to NULL or 0 on
//! failure. Other functions return NULL, 0 or -1 for NULL and for invalid handles.
//!
//! Ownership. Text is UTF-8 and ends with a NUL. The library copies the text that you pass. You own a char * that it returns:
//! free it with p21_free. A returned const char * is borrowed: it is valid as long as the object that it came from, or as
//! long as the process if there is none. Free a handle with the function for its type, which ignores NULL and handles already
//! freed.
//!
//! NULL. An input is required unless the function says what NULL means.
//!
//! Threads. You may call every function from any thread, and use one client, snapshot or error from any number of threads at
//! once. Use a p21_config from one thread at a time. A call needs 64 KiB of stack. pthread_cancel takes effect after the call
//! returns. Do not call the library from a signal handler.
//!
//! Processes. A forked child may use and free all handles and strings of its parent. It keeps the cached tokens; requests in
//! progress belong to the parent. No function prints, exits, or calls you back.

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

/// Returns the library's version, such as "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn p21_version() -> *const c_char {
    VERSION.as_ptr().cast()
}

/// Returns the version of the binary interface. Compare it with P21_ABI_VERSION from the header that you compiled with.
#[unsafe(no_mangle)]
pub extern "C" fn p21_abi_version() -> i32 {
    P21_ABI_VERSION
}

/// Returns the name of a status, such as "P21_E_UNAUTHORIZED", or "P21_E_UNKNOWN" for an unknown number.
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

/// Returns what to do after a verdict of p21_token_report, in P21's terms, or "" for an unknown number.
#[unsafe(no_mangle)]
pub extern "C" fn p21_verdict_hint(verdict: i32) -> *const c_char {
    static HINTS: [Once<CString>; Verdict::ALL.len()] = [const { Once::new() }; Verdict::ALL.len()];
    guard::value("p21_verdict_hint", c"".as_ptr(), || {
        let all = Verdict::ALL;
        let at = all.iter().position(|known| known.number() == verdict)?;
        Some(once(&HINTS[at], || all[at].hint().to_owned()).as_ptr())
    })
}

/// Returns every option as a JSON array of objects with name, type, default, unit, secret, scope and text. The text stays
/// valid for the life of the process.
#[unsafe(no_mangle)]
pub extern "C" fn p21_options_json() -> *const c_char {
    static JSON: Once<CString> = Once::new();
    guard::value("p21_options_json", std::ptr::null(), || {
        Some(once(&JSON, options::options_json).as_ptr())
    })
}

/// Returns the number of handles and strings in this process that were not freed yet. For leak tests.
#[unsafe(no_mangle)]
pub extern "C" fn p21_live_objects() -> u64 {
    guard::value("p21_live_objects", 0, || {
        Some(handle::live() + string::live())
    })
}

/// Wipes and frees a char * that this library returned. Ignores NULL and other pointers. Free each string once: the library
/// keeps the last 64 freed blocks of each size up to 16 KiB out of use, and until a block is used again a second call for its
/// address is ignored. After that, the address may belong to another string.
#[unsafe(no_mangle)]
pub extern "C" fn p21_free(pointer: *mut c_void) {
    guard::value("p21_free", (), || {
        string::free(pointer);
        None
    });
}
