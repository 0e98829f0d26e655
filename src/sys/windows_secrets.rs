//! What secrets need on Windows: the Credential Manager, and the end of a program with all that it has started.

use std::ffi::c_void;
use std::io;
use std::os::windows::io::AsRawHandle as _;
use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::{CloseHandle, HANDLE};
use windows_sys::Win32::Security::Credentials::{
    CRED_PERSIST_LOCAL_MACHINE, CRED_TYPE_GENERIC, CREDENTIALW, CredDeleteW, CredFree, CredReadW,
    CredWriteW,
};
use windows_sys::Win32::System::Console::{
    CONSOLE_MODE, ENABLE_ECHO_INPUT, GetConsoleMode, GetStdHandle, STD_INPUT_HANDLE, SetConsoleMode,
};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation,
    SetInformationJobObject,
};
use zeroize::Zeroizing;

/// A job: when it is closed, every process in it ends.
pub(crate) struct Job(HANDLE);

impl Job {
    /// A job with this process and what it starts from now on; `None` where the system makes none.
    pub(crate) fn of(child: &std::process::Child) -> Option<Job> {
        // SAFETY: no security attributes and no name are allowed.
        let handle = unsafe { CreateJobObjectW(null(), null()) };
        if handle.is_null() {
            return None;
        }
        let job = Job(handle);
        let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
        let size = u32::try_from(size_of_val(&limits)).unwrap_or(0);
        // SAFETY: the handles are open; `limits` is what this class of information is, and `size` is its size.
        let is_set = unsafe {
            SetInformationJobObject(
                job.0,
                JobObjectExtendedLimitInformation,
                (&raw const limits).cast::<c_void>(),
                size,
            ) != 0
                && AssignProcessToJobObject(job.0, child.as_raw_handle()) != 0
        };
        is_set.then_some(job)
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // SAFETY: the handle is this value's own and is closed once.
        unsafe { CloseHandle(self.0) };
    }
}

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// The secret of a generic credential of this user, as it is stored.
///
/// # Errors
///
/// The system's: 1168 without such a credential, 1312 without a loaded profile.
pub(crate) fn read_credential(target: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    let target = wide(target);
    let mut found: *mut CREDENTIALW = null_mut();
    // SAFETY: the target is a NUL-terminated string and `found` a valid out pointer.
    if unsafe { CredReadW(target.as_ptr(), CRED_TYPE_GENERIC, 0, &raw mut found) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so `found` is a credential whose blob has the size that it says; it is freed once, after
    // its last use, and wiped before that.
    let bytes = unsafe {
        let size = (*found).CredentialBlobSize as usize;
        let mut bytes = Zeroizing::new(Vec::with_capacity(size));
        if size > 0 {
            let blob = std::slice::from_raw_parts_mut((*found).CredentialBlob, size);
            bytes.extend_from_slice(blob);
            zeroize::Zeroize::zeroize(blob);
        }
        CredFree(found.cast::<c_void>());
        bytes
    };
    Ok(bytes)
}

/// Stores a generic credential of this user, in the place of one with this target.
///
/// # Errors
///
/// The system's.
pub fn write_credential(target: &str, user: &str, secret: &str) -> io::Result<()> {
    let (mut target, mut user) = (wide(target), wide(user));
    // UTF-16, as Windows' own tools have it; what has no letter of ASCII could not be told from UTF-8 then.
    let mut blob = Zeroizing::new(Vec::with_capacity(secret.len() * 2));
    if secret.contains(|c: char| c.is_ascii()) {
        blob.extend(secret.encode_utf16().flat_map(u16::to_le_bytes));
    } else {
        blob.extend_from_slice(secret.as_bytes());
    }
    let credential = CREDENTIALW {
        Type: CRED_TYPE_GENERIC,
        TargetName: target.as_mut_ptr(),
        CredentialBlobSize: u32::try_from(blob.len()).unwrap_or(u32::MAX),
        CredentialBlob: blob.as_mut_ptr(),
        Persist: CRED_PERSIST_LOCAL_MACHINE,
        UserName: user.as_mut_ptr(),
        ..CREDENTIALW::default()
    };
    // SAFETY: the strings are NUL-terminated and the blob has its size; all of them outlive the call, which changes nothing.
    if unsafe { CredWriteW(&raw const credential, 0) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Removes a generic credential of this user.
///
/// # Errors
///
/// The system's: 1168 without such a credential.
pub fn delete_credential(target: &str) -> io::Result<()> {
    let target = wide(target);
    // SAFETY: the target is a NUL-terminated string.
    if unsafe { CredDeleteW(target.as_ptr(), CRED_TYPE_GENERIC, 0) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// As long as it lives, the console does not show what is typed.
pub struct Unseen(HANDLE, CONSOLE_MODE);

impl Unseen {
    /// From now on.
    ///
    /// # Errors
    ///
    /// The system's, where standard input is no console.
    pub fn begin() -> io::Result<Unseen> {
        let mut mode = 0;
        // SAFETY: the handle is the process's own and is not closed; `mode` is a valid out pointer.
        unsafe {
            let input = GetStdHandle(STD_INPUT_HANDLE);
            if GetConsoleMode(input, &raw mut mode) == 0
                || SetConsoleMode(input, mode & !ENABLE_ECHO_INPUT) == 0
            {
                return Err(io::Error::last_os_error());
            }
            Ok(Unseen(input, mode))
        }
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        // SAFETY: as in `begin`.
        unsafe { SetConsoleMode(self.0, self.1) };
    }
}
