//! The one boundary at which panics stop. Every exported function runs inside [`status`] or [`value`].

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use super::handle;
use super::objects::Failure;
use super::status::P21_OK;
use super::types::{p21_error, p21_status};
use crate::error::{Code, Error, Result};
use crate::fork::section;
use crate::sys::uncancelled;

/// A library whose panics abort would take the host process with it. As someone's Rust dependency (not the primary
/// package) this crate may be built so: no one then relies on the C boundary.
#[cfg(panic = "abort")]
const _: () = assert!(
    option_env!("CARGO_PRIMARY_PACKAGE").is_none(),
    "build the C library with panic=unwind: its panics must stop at the C boundary"
);

thread_local! {
    /// How deep this thread is in exported functions; the panic hook asks whose panic it sees.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// Where the last panic of this thread happened.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The result of a hit, if `look` finds one. A hit reaches no cancellation point and marks nothing in the thread, which
/// would cost a shared library a call. Its code has nothing that panics; if it did, the call would go the other way.
#[inline]
pub(super) fn hit<R>(name: &str, look: impl FnOnce() -> Option<R>) -> Option<R> {
    if is_armed(name) {
        return None;
    }
    match catch_unwind(AssertUnwindSafe(look)) {
        Ok(found) => found,
        Err(payload) => {
            std::mem::forget(payload);
            None
        }
    }
}

/// Runs a function that returns a status; an error goes to the caller through `err`, which may be NULL. A cancellation of
/// the thread takes effect after the call.
///
/// # Safety
///
/// `err` is NULL or points to memory for a pointer.
pub(super) unsafe fn status(
    name: &'static str,
    err: *mut *mut p21_error,
    body: impl FnOnce() -> Result<()>,
) -> p21_status {
    if !err.is_null() {
        // SAFETY: not NULL, so it points to memory for a pointer.
        unsafe { err.write(std::ptr::null_mut()) };
    }
    // Boxed where it arises: a success would spend time on moving room for an error that it does not have.
    match run(name, || uncancelled(body).map_err(Box::new)) {
        Ok(Ok(())) => P21_OK,
        Ok(Err(error)) | Err(error) => {
            let code = error.code().number();
            if !err.is_null() {
                let made = catch_unwind(AssertUnwindSafe(|| handle::insert(Failure::new(&error))));
                if let Ok(Ok(made)) = made {
                    // SAFETY: not NULL, as above; the caller's memory for a pointer lasts to the end of this call.
                    unsafe { err.write(made) };
                }
            }
            code
        }
    }
}

/// Runs a function that answers a value, and `neutral` if it fails.
#[inline]
pub(super) fn value<R>(name: &'static str, neutral: R, body: impl FnOnce() -> Option<R>) -> R {
    run(name, body).ok().flatten().unwrap_or(neutral)
}

#[inline]
fn run<R>(name: &'static str, body: impl FnOnce() -> R) -> Result<R, Box<Error>> {
    if !INSTALLED.load(Ordering::Relaxed) {
        install_hook();
    }
    // One look at the thread's locals for both changes: in a shared library it is a call. A plain number has no destructor,
    // so it is there to the end of the thread.
    let result = DEPTH.with(|depth| {
        depth.set(depth.get() + 1);
        let result = catch_unwind(AssertUnwindSafe(|| {
            inject(name);
            body()
        }));
        depth.set(depth.get() - 1);
        result
    });
    result.map_err(|payload| {
        // Not dropped: what someone threw may throw again when it goes.
        std::mem::forget(payload);
        Box::new(panicked(name))
    })
}

#[cold]
fn panicked(name: &str) -> Error {
    let place = PLACE.try_with(RefCell::take).unwrap_or_default();
    Error::new(
        Code::Panic,
        format!("{name} failed inside the library ({place})"),
    )
    .with_hint("Please report it. The state is intact: the next call starts over.")
}

static INSTALLED: AtomicBool = AtomicBool::new(false);

/// Keeps the default message off stderr for panics that are ours and will be caught; hands all others on.
#[cold]
fn install_hook() {
    // The hook cannot be changed from a thread that is unwinding; the next call will do it.
    if std::thread::panicking() || INSTALLED.swap(true, Ordering::Relaxed) {
        return;
    }
    // std guards the hook with a lock that a forked child must not find taken.
    section(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if is_ours() {
                note(info);
            } else {
                previous(info);
            }
        }));
    });
}

fn is_ours() -> bool {
    DEPTH.try_with(Cell::get).unwrap_or(0) > 0
        || std::thread::current()
            .name()
            .is_some_and(|name| name.starts_with("p21auth"))
}

/// Remembers where it happened; not what was said, which might hold a secret.
fn note(info: &PanicHookInfo<'_>) {
    if let Some(location) = info.location() {
        let _ = PLACE.try_with(|place| {
            if let Ok(mut place) = place.try_borrow_mut() {
                *place = format!("{}:{}", location.file(), location.line());
            }
        });
    }
}

#[cfg(not(any(test, feature = "panic-injection")))]
#[inline]
fn inject(_name: &str) {}

#[cfg(not(any(test, feature = "panic-injection")))]
#[inline]
pub(super) fn inject_behind_a_result() {}

#[cfg(not(any(test, feature = "panic-injection")))]
#[inline]
fn is_armed(_name: &str) -> bool {
    false
}

#[cfg(test)]
pub(super) use injection::arm;
#[cfg(any(test, feature = "panic-injection"))]
pub(super) use injection::inject_behind_a_result;
#[cfg(feature = "panic-injection")]
pub use injection::p21_test_panic;
#[cfg(any(test, feature = "panic-injection"))]
use injection::{inject, is_armed};

/// For the tests of this library: an exported function that panics. No release has it.
#[cfg(any(test, feature = "panic-injection"))]
mod injection {
    use std::cell::{Cell, RefCell};

    thread_local! {
        /// The function whose next call on this thread panics, and how many of its results it makes neutral before.
        static ARMED: RefCell<(String, u32)> = const { RefCell::new((String::new(), 0)) };
        /// How many results the call under way has yet to make neutral until it panics; 0: it does not.
        static LEFT: Cell<u32> = const { Cell::new(0) };
    }

    pub(super) fn is_armed(name: &str) -> bool {
        ARMED.try_with(|armed| armed.borrow().0 == name) == Ok(true)
    }

    /// At the start of each call.
    pub(super) fn inject(name: &str) {
        if is_armed(name) {
            let (_, results) = ARMED.take();
            LEFT.set(results);
            assert!(results > 0, "injected into {name}");
        }
    }

    /// Each time that a result was made neutral.
    pub(in crate::capi) fn inject_behind_a_result() {
        let left = LEFT.get();
        LEFT.set(left.saturating_sub(1));
        assert!(left != 1, "injected behind a result");
    }

    /// Makes this thread's next call of the exported function `name` panic: at its start, or when it has made this many of
    /// its results neutral.
    pub(in crate::capi) fn arm(name: &str, results: u32) {
        ARMED.set((name.to_owned(), results));
    }

    /// [`arm`] for C.
    #[cfg(feature = "panic-injection")]
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn p21_test_panic(name: *const std::ffi::c_char, results: u32) {
        // SAFETY: this library's tests are the only callers, and they pass a C string literal.
        arm(
            &unsafe { std::ffi::CStr::from_ptr(name) }.to_string_lossy(),
            results,
        );
    }
}
