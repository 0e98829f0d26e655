//! Operating system locks on files, and what a forked child does about them.
//!
//! Such a lock belongs to the open file, which a forked child shares with its parent: unlocking in the child would unlock
//! the parent's, and a child that keeps the descriptor would keep a killed parent's lock alive. So the child closes what
//! it inherited, which takes nothing from the parent, and never unlocks it.

#[cfg(unix)]
use std::fs::TryLockError;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::time::Duration;

use super::{folder, make_room};
use crate::fork::{forks, section};

/// A lock that is ours until it is dropped.
pub(super) struct Lock(Open);

/// Whether the lock could be had.
pub(super) enum Taken {
    Ours(Lock),
    /// Another process has it; its pid, if that could be read.
    Others(Option<u32>),
}

impl Lock {
    /// Tries once to get the lock on the file at `path`, which is made if need be. `limit`: for opening it.
    ///
    /// # Errors
    ///
    /// That of opening or writing; `Unsupported` where the file system has no locks.
    pub(super) fn take(path: &Path, limit: Duration) -> io::Result<Taken> {
        loop {
            make_room(path)?;
            let open = Open::new(path, limit, true)?;
            let mut file = open.file();
            if !lock(file).map_err(without_locks)? {
                return Ok(Taken::Others(read_pid(file)));
            }
            // Someone may have removed it meanwhile, or the folder: then this is a lock that no one else would meet.
            if !same_file(file, path)? {
                continue;
            }
            file.rewind()?;
            file.set_len(0)?;
            writeln!(file, "{}", std::process::id())?;
            return Ok(Taken::Ours(Lock(open)));
        }
    }
}

impl Lock {
    /// Removes the file at `path`, which is the one that is locked; who waits for it notices.
    pub(super) fn remove(self, path: &Path) {
        if cfg!(unix) {
            let _ = std::fs::remove_file(path);
        } else {
            // Not while it is open; and not if another opens it in this moment, which then keeps it.
            drop(self);
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Before it is closed: a process that is being started this very moment may still have a copy of the descriptor.
        unlock(self.0.file());
    }
}

fn read_pid(mut file: &File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn without_locks(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::Unsupported || is_no_lock(&error) {
        let text = format!("this file system has no locks ({error}): name a local folder");
        io::Error::new(io::ErrorKind::Unsupported, text)
    } else {
        error
    }
}

#[cfg(windows)]
use crate::sys::{lock, lock_shared, unlock};

#[cfg(unix)]
fn lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(unix)]
fn lock_shared(file: &File) -> io::Result<()> {
    loop {
        match file.lock_shared() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

#[cfg(unix)]
fn unlock(file: &File) {
    let _ = file.unlock();
}

#[cfg(unix)]
fn is_no_lock(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOLCK | libc::ENOTSUP | libc::ENOSYS)
    )
}

#[cfg(windows)]
fn is_no_lock(error: &io::Error) -> bool {
    use windows_sys::Win32::Foundation::{ERROR_INVALID_FUNCTION, ERROR_NOT_SUPPORTED};
    matches!(
        error.raw_os_error().map(i32::cast_unsigned),
        Some(ERROR_INVALID_FUNCTION | ERROR_NOT_SUPPORTED)
    )
}

#[cfg(unix)]
fn same_file(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let ours = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Ok(there) => Ok((ours.dev(), ours.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// No one can remove or rename what [`keep_in_place`] opened.
#[cfg(windows)]
#[allow(clippy::unnecessary_wraps, reason = "as on Unix")]
fn same_file(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

/// So that a file opened with these options stays where it is while it is open.
#[cfg(windows)]
fn keep_in_place(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::windows::fs::OpenOptionsExt as _;
    use windows_sys::Win32::Storage::FileSystem::{FILE_SHARE_READ, FILE_SHARE_WRITE};
    options.share_mode(FILE_SHARE_READ | FILE_SHARE_WRITE)
}

/// [`same_file`] finds out instead.
#[cfg(unix)]
fn keep_in_place(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Waits until no one has the lock on the file at `path`, for as long as that takes. It keeps no one off but for a moment:
/// the lock that it takes for that is shared by all who wait, and given back at once.
///
/// # Errors
///
/// That of opening or locking.
pub(super) fn wait_until_free(path: &Path, limit: Duration) -> io::Result<()> {
    let open = match Open::new(path, limit, false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        open => open?,
    };
    lock_shared(open.file())?;
    unlock(open.file());
    Ok(())
}

/// An open lock file that a forked child knows of.
struct Open(Option<File>);

impl Open {
    /// Opened outside of any section: storage may take any time for that, and forks must not wait for it. A child that is
    /// born between the opening and the noting would not know what to close, so then the file is opened once more; what that
    /// child keeps was never locked.
    fn new(path: &Path, limit: Duration, create: bool) -> io::Result<Open> {
        loop {
            let before = section(forks);
            let mut options = OpenOptions::new();
            options
                .read(true)
                .write(true)
                .create(create)
                .truncate(false);
            let options = keep_in_place(&mut options);
            let file = folder::settled(limit, || folder::open(path, options))?;
            let is_noted = section(|| {
                let none_between = forks() == before;
                if none_between {
                    inherited::note(&file);
                }
                none_between
            });
            if is_noted {
                return Ok(Open(Some(file)));
            }
        }
    }

    fn file(&self) -> &File {
        self.0.as_ref().expect("open until it is dropped")
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(file) = self.0.take() {
            // First of all: from here on a child may keep a copy of the descriptor.
            unlock(&file);
            section(|| inherited::forget(&file));
        }
    }
}

#[cfg(unix)]
mod inherited {
    use std::fs::File;
    use std::os::fd::{AsRawFd as _, RawFd};

    use crate::fork::{Guarded, Once, on_child};

    /// Lock files that are open.
    static OPEN: Guarded<Vec<RawFd>> = Guarded::new_static(Vec::new());

    pub(super) fn note(file: &File) {
        static REGISTERED: Once<()> = Once::new();
        REGISTERED.get_or_init(|| on_child(close_all));
        OPEN.with(|open| open.push(file.as_raw_fd()));
    }

    pub(super) fn forget(file: &File) {
        OPEN.with(|open| open.retain(|fd| *fd != file.as_raw_fd()));
    }

    /// In a forked child: closes the lock files that threads of the parent hold; the parent keeps its locks.
    fn close_all() {
        OPEN.with(std::mem::take)
            .into_iter()
            .for_each(crate::sys::close_inherited);
    }
}

#[cfg(not(unix))]
mod inherited {
    use std::fs::File;

    pub(super) fn note(_: &File) {}

    pub(super) fn forget(_: &File) {}
}
