//! What std has no safe form of on Windows: locks that leave a file readable, and access lists.

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::os::windows::ffi::OsStrExt as _;
use std::os::windows::io::AsRawHandle as _;
use std::path::Path;
use std::ptr::null_mut;

use windows_sys::Win32::Foundation::{
    CloseHandle, ERROR_IO_PENDING, ERROR_LOCK_VIOLATION, ERROR_SUCCESS, HANDLE, LocalFree,
};
use windows_sys::Win32::Security::Authorization::{
    ConvertSidToStringSidW, ConvertStringSecurityDescriptorToSecurityDescriptorW, GetSecurityInfo,
    SDDL_REVISION_1, SE_FILE_OBJECT,
};
use windows_sys::Win32::Security::{
    ACCESS_ALLOWED_ACE, ACE_HEADER, ACL, DACL_SECURITY_INFORMATION, EqualSid, GetAce,
    GetTokenInformation, IsWellKnownSid, OWNER_SECURITY_INFORMATION, PSID, SECURITY_ATTRIBUTES,
    TOKEN_QUERY, TOKEN_USER, TokenUser, WELL_KNOWN_SID_TYPE, WinBuiltinAdministratorsSid,
    WinCreatorOwnerRightsSid, WinCreatorOwnerSid, WinLocalSystemSid,
};
use windows_sys::Win32::Storage::FileSystem::{
    CreateDirectoryW, DELETE, FILE_APPEND_DATA, FILE_DELETE_CHILD, FILE_WRITE_DATA,
    LOCKFILE_EXCLUSIVE_LOCK, LOCKFILE_FAIL_IMMEDIATELY, LockFileEx, UnlockFileEx, WRITE_DAC,
    WRITE_OWNER,
};
use windows_sys::Win32::System::IO::OVERLAPPED;
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

/// A lock keeps others from reading what it covers, so it covers a byte far behind the end of every file: the holder's pid
/// stays readable.
fn locked_byte() -> OVERLAPPED {
    let mut place = OVERLAPPED::default();
    place.Anonymous.Anonymous.OffsetHigh = 0x4000_0000;
    place
}

/// Tries once to lock the file for this handle alone; false when another has it.
///
/// # Errors
///
/// The system's.
pub(crate) fn lock(file: &File) -> io::Result<bool> {
    let mut place = locked_byte();
    // SAFETY: the handle is open, and was opened for waiting calls, so `place` is not used after the call.
    let done = unsafe {
        LockFileEx(
            file.as_raw_handle(),
            LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY,
            0,
            1,
            0,
            &raw mut place,
        )
    };
    if done != 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    let code = error.raw_os_error().map(i32::cast_unsigned);
    if matches!(code, Some(ERROR_LOCK_VIOLATION | ERROR_IO_PENDING)) {
        Ok(false)
    } else {
        Err(error)
    }
}

/// Waits for a lock on the file that others may share, for as long as that takes.
///
/// # Errors
///
/// The system's.
pub(crate) fn lock_shared(file: &File) -> io::Result<()> {
    let mut place = locked_byte();
    // SAFETY: the handle is open, and was opened for waiting calls, so `place` is not used after the call, which returns
    // once the lock is there.
    let done = unsafe { LockFileEx(file.as_raw_handle(), 0, 0, 1, 0, &raw mut place) };
    if done != 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Releases the lock.
pub(crate) fn unlock(file: &File) {
    let mut place = locked_byte();
    // SAFETY: the handle is open and made for waiting calls, so `place`, a local, is not used after the call. What cannot
    // be unlocked is once the handle closes.
    unsafe { UnlockFileEx(file.as_raw_handle(), 0, 1, 0, &raw mut place) };
}

/// The user of this process. The structure points into itself, so it must stay where it was filled.
struct User(Box<[u64; Self::WORDS]>);

impl User {
    /// Room for the structure and the longest SID behind it (68 bytes), aligned as both need.
    const WORDS: usize = 16;

    fn current() -> io::Result<User> {
        let mut user = User(Box::new([0; Self::WORDS]));
        let mut token: HANDLE = null_mut();
        let mut length = 0;
        let room = u32::try_from(size_of_val(&*user.0)).expect("small");
        // SAFETY: both out pointers are valid, and `room` is what there is behind the third one; the token is closed once.
        unsafe {
            if OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token) == 0 {
                return Err(io::Error::last_os_error());
            }
            let buffer = user.0.as_mut_ptr().cast();
            let done = GetTokenInformation(token, TokenUser, buffer, room, &raw mut length);
            let error = io::Error::last_os_error();
            CloseHandle(token);
            if done == 0 { Err(error) } else { Ok(user) }
        }
    }

    fn sid(&self) -> PSID {
        // SAFETY: the buffer begins with this structure, which `current` had filled, is aligned for it and has not moved
        // since.
        unsafe { (*self.0.as_ptr().cast::<TOKEN_USER>()).User.Sid }
    }

    /// In the form `S-1-5-…`.
    fn text(&self) -> io::Result<String> {
        let mut text = null_mut();
        // SAFETY: the SID is valid, `text` a valid out pointer; what it then points to ends with a zero and is freed once.
        unsafe {
            if ConvertSidToStringSidW(self.sid(), &raw mut text) == 0 {
                return Err(io::Error::last_os_error());
            }
            // Never longer than 184 characters.
            let length = (0..200).take_while(|at| *text.add(*at) != 0).count();
            let owned = String::from_utf16_lossy(std::slice::from_raw_parts(text, length));
            LocalFree(text.cast());
            Ok(owned)
        }
    }

    /// Whether `sid` is this user, or one who may do anything on the machine.
    fn trusts(&self, sid: PSID) -> bool {
        const MIGHTY: [WELL_KNOWN_SID_TYPE; 2] = [WinLocalSystemSid, WinBuiltinAdministratorsSid];
        // SAFETY: `self.sid()` points into `self`; the caller's `sid` comes from an entry of an access list that is still
        // allocated.
        unsafe { EqualSid(self.sid(), sid) != 0 || MIGHTY.iter().any(|kind| is(sid, *kind)) }
    }
}

/// # Safety
///
/// `sid` is a valid SID.
unsafe fn is(sid: PSID, kind: WELL_KNOWN_SID_TYPE) -> bool {
    // SAFETY: the caller promises a valid SID; the function only reads it.
    unsafe { IsWellKnownSid(sid, kind) != 0 }
}

/// Makes a folder that this user owns and that the user, SYSTEM and Administrators can use and no one else; its files
/// inherit that.
///
/// # Errors
///
/// The system's, `AlreadyExists` among them.
pub(crate) fn create_private_folder(path: &Path) -> io::Result<()> {
    // The user by name: an elevated process's files would belong to Administrators, and then the same user could not open
    // them without being elevated. P: nothing is taken over from the folder above.
    let user = User::current()?.text()?;
    let rule = format!("O:{user}D:P(A;OICI;FA;;;{user})(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)\0");
    let rule: Vec<u16> = rule.encode_utf16().collect();
    let path: Vec<u16> = path.as_os_str().encode_wide().chain([0]).collect();
    let mut descriptor = null_mut();
    // SAFETY: both strings end with a zero; `descriptor` is a valid out pointer, freed once below; the structure outlives
    // the call that reads it.
    unsafe {
        if ConvertStringSecurityDescriptorToSecurityDescriptorW(
            rule.as_ptr(),
            SDDL_REVISION_1,
            &raw mut descriptor,
            null_mut(),
        ) == 0
        {
            return Err(io::Error::last_os_error());
        }
        let attributes = SECURITY_ATTRIBUTES {
            nLength: u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).expect("small"),
            lpSecurityDescriptor: descriptor,
            bInheritHandle: 0,
        };
        let made = CreateDirectoryW(path.as_ptr(), &raw const attributes);
        let error = io::Error::last_os_error();
        LocalFree(descriptor);
        if made == 0 { Err(error) } else { Ok(()) }
    }
}

/// What lays a file or folder open to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exposure {
    /// Someone else owns it.
    Owner,
    /// Someone else can write it, or no access list keeps anyone from it.
    Writers,
}

/// What lays an open file or folder open to others than this user, SYSTEM and Administrators; `None`: nothing.
///
/// # Errors
///
/// The system's.
pub(crate) fn exposure(file: &File) -> io::Result<Option<Exposure>> {
    let user = User::current()?;
    let (mut owner, mut list, mut descriptor) = (null_mut(), null_mut(), null_mut());
    // SAFETY: the handle is open and all out pointers are valid; `owner` and `list` point into `descriptor`, which is freed
    // after their last use.
    unsafe {
        let status = GetSecurityInfo(
            file.as_raw_handle(),
            SE_FILE_OBJECT,
            OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION,
            &raw mut owner,
            null_mut(),
            &raw mut list,
            null_mut(),
            &raw mut descriptor,
        );
        if status != ERROR_SUCCESS {
            return Err(io::Error::from_raw_os_error(status.cast_signed()));
        }
        let found = if owner.is_null() || !user.trusts(owner) {
            Some(Exposure::Owner)
        } else if list.is_null() || others_write(list, &user) {
            Some(Exposure::Writers)
        } else {
            None
        };
        LocalFree(descriptor);
        Ok(found)
    }
}

/// Whether an entry of the list lets anyone write whom `user` does not trust. What cannot be understood counts as such.
///
/// # Safety
///
/// `list` is a valid access list.
unsafe fn others_write(list: *const ACL, user: &User) -> bool {
    // Types of entries, of the same form but for the last two bits of meaning: plain and conditional.
    const ALLOWED: [u8; 2] = [0, 9];
    const DENIED: [u8; 2] = [1, 10];
    const GENERIC: u32 = 0x5000_0000; // GENERIC_WRITE | GENERIC_ALL
    const WRITES: u32 = FILE_WRITE_DATA
        | FILE_APPEND_DATA
        | FILE_DELETE_CHILD
        | DELETE
        | WRITE_DAC
        | WRITE_OWNER
        | GENERIC;
    // SAFETY: entries are read within the count that the list states, each in the form that its type has.
    unsafe {
        for index in 0..u32::from((*list).AceCount) {
            let mut entry: *mut c_void = null_mut();
            if GetAce(list, index, &raw mut entry) == 0 {
                return true;
            }
            let kind = (*entry.cast::<ACE_HEADER>()).AceType;
            if DENIED.contains(&kind) {
                continue;
            }
            if !ALLOWED.contains(&kind) {
                return true;
            }
            let allowed = entry.cast::<ACCESS_ALLOWED_ACE>();
            let sid: PSID = (&raw mut (*allowed).SidStart).cast();
            // Anyone who makes or owns a file in it: both have passed the same test.
            let owner = is(sid, WinCreatorOwnerSid) || is(sid, WinCreatorOwnerRightsSid);
            if (*allowed).Mask & WRITES != 0 && !owner && !user.trusts(sid) {
                return true;
            }
        }
    }
    false
}
