//! What std and rustix have nothing for: the coarse clocks off Linux, and pinning the library in memory.
#![allow(
    unsafe_code,
    reason = "this module and fork.rs are where the system is asked directly"
)]

use crate::clock::Now;

/// Both clocks, the coarse ones where the system has them: no system call, about 5 ns.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline]
pub(crate) fn coarse_now() -> Now {
    use rustix::time::{ClockId, clock_gettime};
    Now {
        mono: ms(clock_gettime(ClockId::MonotonicCoarse)),
        wall: ms(clock_gettime(ClockId::RealtimeCoarse)),
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline]
fn ms(time: rustix::time::Timespec) -> i64 {
    time.tv_sec
        .saturating_mul(1000)
        .saturating_add(time.tv_nsec / 1_000_000)
}

/// Both clocks by way of std, where there are no coarse ones to ask.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn coarse_now() -> Now {
    use std::sync::OnceLock;
    use std::time::{Instant, SystemTime, UNIX_EPOCH};
    static START: OnceLock<Instant> = OnceLock::new();
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, crate::clock::millis);
    Now {
        mono: crate::clock::millis(START.get_or_init(Instant::now).elapsed()),
        wall,
    }
}

/// Keeps the code of this library in memory from now on: a thread of ours may still run when the last user unloads it. The
/// shared library is linked with `-z nodelete` as well; this serves the static one inside somebody's plugin.
#[cfg(unix)]
pub(crate) fn pin_library() {
    use std::sync::atomic::{AtomicBool, Ordering};
    static PINNED: AtomicBool = AtomicBool::new(false);
    if PINNED.swap(true, Ordering::Relaxed) {
        return;
    }
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: dladdr only reads the address and fills `info`; the name it gives stays valid while the object is loaded,
    // which it is, since this code runs. RTLD_NOLOAD loads nothing, RTLD_NODELETE only marks. In a plain executable the
    // call fails or changes nothing.
    unsafe {
        if libc::dladdr(pin_library as *const libc::c_void, info.as_mut_ptr()) != 0 {
            let name = info.assume_init().dli_fname;
            if !name.is_null() {
                libc::dlopen(
                    name,
                    libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE,
                );
            }
        }
    }
}

/// As above: the loader is told to keep the module that this address is in.
#[cfg(windows)]
pub(crate) fn pin_library() {
    use std::sync::atomic::{AtomicBool, Ordering};
    const FROM_ADDRESS: u32 = 4;
    const PIN: u32 = 1;
    #[link(name = "kernel32")]
    unsafe extern "system" {
        fn GetModuleHandleExW(
            flags: u32,
            address: *const core::ffi::c_void,
            module: *mut *mut core::ffi::c_void,
        ) -> i32;
    }
    static PINNED: AtomicBool = AtomicBool::new(false);
    if PINNED.swap(true, Ordering::Relaxed) {
        return;
    }
    let mut module = std::ptr::null_mut();
    // SAFETY: with FROM_ADDRESS the second argument is any address inside the module; `module` is a valid out pointer.
    unsafe {
        GetModuleHandleExW(
            FROM_ADDRESS | PIN,
            pin_library as *const core::ffi::c_void,
            &raw mut module,
        )
    };
}

/// In a forked child: closes a descriptor whose owner was a thread of the parent and does not exist here.
#[cfg(all(unix, feature = "store-file"))]
pub(crate) fn close_inherited(descriptor: std::os::fd::RawFd) {
    // SAFETY: the descriptor was open in the parent at the fork, and what owned it lies on the stack of a thread that this
    // process does not have, so nothing here will use or close it again.
    unsafe { libc::close(descriptor) };
}

/// Makes a folder that its owner, SYSTEM and Administrators can use and nobody else; its files inherit that.
///
/// # Errors
///
/// The system's, `AlreadyExists` among them.
#[cfg(all(windows, feature = "store-file"))]
pub(crate) fn create_private_folder(path: &std::path::Path) -> std::io::Result<()> {
    use core::ffi::c_void;
    use std::os::windows::ffi::OsStrExt as _;
    #[repr(C)]
    struct SecurityAttributes {
        length: u32,
        descriptor: *mut c_void,
        inherit_handle: i32,
    }
    #[link(name = "advapi32")]
    unsafe extern "system" {
        fn ConvertStringSecurityDescriptorToSecurityDescriptorW(
            text: *const u16,
            revision: u32,
            descriptor: *mut *mut c_void,
            size: *mut u32,
        ) -> i32;
    }
    #[link(name = "kernel32")]
    unsafe extern "system" {
        fn CreateDirectoryW(path: *const u16, attributes: *const SecurityAttributes) -> i32;
        fn LocalFree(memory: *mut c_void) -> *mut c_void;
    }
    // Protected from what the parent would hand down; full access for owner, SYSTEM and Administrators, inherited.
    let rule: Vec<u16> = "D:P(A;OICI;FA;;;OW)(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)\0"
        .encode_utf16()
        .collect();
    let path: Vec<u16> = path.as_os_str().encode_wide().chain([0]).collect();
    let mut descriptor = std::ptr::null_mut();
    // SAFETY: both strings end with a zero; `descriptor` is a valid out pointer, freed once below; the structure outlives
    // the call that reads it.
    unsafe {
        if ConvertStringSecurityDescriptorToSecurityDescriptorW(
            rule.as_ptr(),
            1,
            &raw mut descriptor,
            std::ptr::null_mut(),
        ) == 0
        {
            return Err(std::io::Error::last_os_error());
        }
        let attributes = SecurityAttributes {
            length: u32::try_from(size_of::<SecurityAttributes>()).unwrap_or(0),
            descriptor,
            inherit_handle: 0,
        };
        let made = CreateDirectoryW(path.as_ptr(), &raw const attributes);
        let error = std::io::Error::last_os_error();
        LocalFree(descriptor);
        if made == 0 { Err(error) } else { Ok(()) }
    }
}
