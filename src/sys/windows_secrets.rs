//! What secrets need on Windows: the Credential Manager, and the end of a program with all that it has started.

use std::ffi::c_void;
use std::io;
use std::os::windows::io::AsRawHandle as _;
use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::{CloseHandle, HANDLE};
use windows_sys::Win32::Security::Credentials::{
    CRED_TYPE_GENERIC, CREDENTIALW, CredFree, CredReadW,
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
