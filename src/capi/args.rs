//! What comes in from C, checked, and where results go out.

use std::ffi::{CStr, c_char};
use std::time::Duration;

use super::flags::{P21_CACHED_ONLY, P21_FORCE_REFRESH, P21_NO_WAIT, P21_WITH_SCHEME};
use super::guard::inject_behind_a_result;
use crate::client::TokenOptions;
use crate::error::{Code, Error, Result};

/// Where a result goes. Holds something neutral from the start, so that a failed call leaves no rubbish behind.
pub(super) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// Refuses NULL, otherwise writes `neutral`.
    ///
    /// # Safety
    ///
    /// `pointer` is NULL or points to memory for a `T`, for as long as this lives.
    #[inline]
    pub(super) unsafe fn new(pointer: *mut T, neutral: T, name: &str) -> Result<Out<T>> {
        if pointer.is_null() {
            return Err(null(name));
        }
        // SAFETY: not NULL, so by the caller's promise it points to memory for a `T`; what was there is not dropped.
        unsafe { pointer.write(neutral) };
        inject_behind_a_result();
        Ok(Out(pointer))
    }

    #[inline]
    pub(super) fn set(&self, value: T) {
        // SAFETY: `new` refused NULL, and its caller promised memory for a `T` for as long as `self` lives.
        unsafe { self.0.write(value) };
    }
}

#[cold]
pub(super) fn null(name: &str) -> Error {
    Error::new(Code::NullArgument, format!("{name} is NULL"))
}

/// Required text.
///
/// # Safety
///
/// `pointer` is NULL or a C string that outlives `'a`.
pub(super) unsafe fn text<'a>(pointer: *const c_char, name: &str) -> Result<&'a str> {
    // SAFETY: the caller promises of `pointer` what `optional_text` asks.
    unsafe { optional_text(pointer, name) }?.ok_or_else(|| null(name))
}

/// Text that may be missing.
///
/// # Safety
///
/// As [`text`].
pub(super) unsafe fn optional_text<'a>(
    pointer: *const c_char,
    name: &str,
) -> Result<Option<&'a str>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, so by the caller's promise it is a C string that outlives the text made of it.
    let text = unsafe { CStr::from_ptr(pointer) };
    // The text itself is not shown: it may be a secret.
    text.to_str().map(Some).map_err(|_| {
        Error::new(Code::InvalidUtf8, format!("{name} is not valid UTF-8")).with_hint(
            "Convert the text to UTF-8 first; an ANSI code page of Windows is not UTF-8.",
        )
    })
}

/// Required bytes; NULL only when there are none.
///
/// # Safety
///
/// `pointer` is NULL or points to `len` bytes that outlive `'a`.
pub(super) unsafe fn bytes<'a>(pointer: *const u8, len: usize, name: &str) -> Result<&'a [u8]> {
    if len == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(null(name));
    }
    if isize::try_from(len).is_err() {
        return Err(Error::new(
            Code::InvalidArgument,
            format!("no memory is {len} bytes long"),
        ));
    }
    // SAFETY: not NULL, so by the caller's promise it points to `len` bytes that outlive `'a`, and `len` was checked not to
    // exceed `isize::MAX`.
    Ok(unsafe { std::slice::from_raw_parts(pointer, len) })
}

/// The flags and waiting time of one call.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) options: TokenOptions,
    pub(super) with_scheme: bool,
}

/// Flags of the calls that answer a token.
pub(super) const TOKEN_FLAGS: u32 =
    P21_FORCE_REFRESH | P21_CACHED_ONLY | P21_WITH_SCHEME | P21_NO_WAIT;

impl Ask {
    /// Reads flags that [`check_flags`] has passed. Two functions, since a result that holds all this would be moved about
    /// at the cost of half a clock read.
    #[inline]
    pub(super) fn new(flags: u32, wait_ms: u32) -> Ask {
        let is_set = |flag| flags & flag != 0;
        Ask {
            options: TokenOptions {
                force_refresh: is_set(P21_FORCE_REFRESH),
                cached_only: is_set(P21_CACHED_ONLY),
                no_wait: is_set(P21_NO_WAIT),
                wait: (wait_ms > 0).then(|| Duration::from_millis(wait_ms.into())),
                min_valid: Duration::ZERO,
            },
            with_scheme: is_set(P21_WITH_SCHEME),
        }
    }
}

/// Refuses a flag that is not in `known`, so that it may get a meaning later.
#[inline]
pub(super) fn check_flags(flags: u32, known: u32) -> Result<()> {
    if flags & !known == 0 {
        Ok(())
    } else {
        Err(unknown_flags(flags & !known))
    }
}

#[cold]
fn unknown_flags(bits: u32) -> Error {
    Error::new(
        Code::InvalidArgument,
        format!("this call has no flag {bits:#x}"),
    )
}
