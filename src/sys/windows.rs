//! What std has no safe form of on Windows: the coarse clocks, and pinning the library in memory.

use std::ptr::null_mut;

use windows_sys::Win32::Foundation::FILETIME;
use windows_sys::Win32::System::LibraryLoader::{
    GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_PIN, GetModuleHandleExW,
};
use windows_sys::Win32::System::SystemInformation::{GetSystemTimeAsFileTime, GetTickCount64};

/// Milliseconds since the system started, read from a page that the kernel shares: no system call. They move every 10 to
/// 16 ms, and go on while the machine sleeps.
pub(crate) fn coarse_mono() -> i64 {
    // SAFETY: the function takes nothing and cannot fail.
    let mono = unsafe { GetTickCount64() };
    i64::try_from(mono).unwrap_or(i64::MAX)
}

/// The wall clock in milliseconds, as [`coarse_mono`].
pub(crate) fn coarse_wall() -> i64 {
    /// Milliseconds from 1601, where Windows begins to count, to 1970.
    const TO_1970: u64 = 11_644_473_600_000;
    let mut time = FILETIME::default();
    // SAFETY: `time` is a valid out pointer; the function cannot fail.
    unsafe { GetSystemTimeAsFileTime(&raw mut time) };
    let wall = (u64::from(time.dwHighDateTime) << 32 | u64::from(time.dwLowDateTime)) / 10_000;
    i64::try_from(wall.saturating_sub(TO_1970)).unwrap_or(i64::MAX)
}

/// Keeps the code of this library in memory from now on: a thread of ours may still run when the last user frees it.
pub(crate) fn pin_library() {
    use std::sync::atomic::{AtomicBool, Ordering};
    static PINNED: AtomicBool = AtomicBool::new(false);
    if PINNED.swap(true, Ordering::Relaxed) {
        return;
    }
    let mut module = null_mut();
    // SAFETY: with FROM_ADDRESS the second argument is any address inside the module; `module` is a valid out pointer.
    unsafe {
        GetModuleHandleExW(
            GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN,
            pin_library as *const u16,
            &raw mut module,
        )
    };
}
