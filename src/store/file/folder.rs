//! The folder of the file store, and who may look into it.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::options::file_url;
use crate::store::Fault;

/// A folder that belongs to this user alone, or the reason why there is none.
pub(super) struct Folder(Result<PathBuf, String>);

impl Folder {
    /// `folder`, or `p21auth` in the user's cache folder.
    pub(super) fn new(folder: Option<&Path>) -> Folder {
        Folder(folder.map_or_else(
            || cache_folder(&|name| std::env::var_os(name)),
            |folder| Ok(folder.to_owned()),
        ))
    }

    pub(super) fn path(&self) -> Result<&Path, Fault> {
        match &self.0 {
            Ok(path) => Ok(path),
            Err(reason) => Err(Fault::new(reason.clone())),
        }
    }

    pub(super) fn shown(&self) -> String {
        match &self.0 {
            Ok(path) => file_url(path),
            Err(_) => "file".to_owned(),
        }
    }

    /// Whether it is there; a folder in which others could plant files is refused.
    pub(super) fn exists(&self) -> Result<bool, Fault> {
        let path = self.path()?;
        match fs::symlink_metadata(path) {
            Ok(about) => check(path, &about).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(super::fault(path, &error)),
        }
    }

    /// Makes it if it is not there.
    pub(super) fn create(&self) -> Result<(), Fault> {
        if self.exists()? {
            return Ok(());
        }
        let path = self.path()?;
        make(path).map_err(|error| super::fault(path, &error))?;
        self.exists().map(|_| ())
    }
}

/// Where this user's cached files live. `variable` reads the environment.
fn cache_folder(variable: &dyn Fn(&str) -> Option<std::ffi::OsString>) -> Result<PathBuf, String> {
    let folder = |name| {
        variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let (own, home, names) = if cfg!(windows) {
        ("LOCALAPPDATA", None, "LOCALAPPDATA")
    } else {
        ("XDG_CACHE_HOME", Some("HOME"), "XDG_CACHE_HOME or HOME")
    };
    folder(own)
        .or_else(|| Some(folder(home?)?.join(".cache")))
        .map(|cache| cache.join("p21auth"))
        .ok_or_else(|| {
            format!("this user has no cache folder: set {names}, or name a folder (store=file:///folder)")
        })
}

#[cfg(unix)]
mod imp {
    use super::{Duration, Fault, File, Metadata, OpenOptions, Path, io};
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};

    /// Bits that let others write.
    const OTHERS_WRITE: u32 = 0o022;

    pub(in super::super) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
        // std adds O_CLOEXEC by itself.
        options
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path)
    }

    pub(in super::super) fn is_link(error: &io::Error) -> bool {
        error.raw_os_error() == Some(libc::ELOOP)
    }

    /// Whether no one but this user can have written it.
    #[allow(clippy::unnecessary_wraps, reason = "as on Windows")]
    pub(in super::super) fn is_private(_: &File, about: &Metadata) -> io::Result<bool> {
        Ok(about.uid() == rustix::process::geteuid().as_raw() && about.mode() & OTHERS_WRITE == 0)
    }

    /// What is open can be replaced here.
    pub(in super::super) fn settled<T>(
        _: Duration,
        mut work: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        work()
    }

    /// Puts a file in the place of another.
    pub(in super::super) fn put(from: &Path, to: &Path, _: Duration) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    pub(super) fn check(path: &Path, about: &Metadata) -> Result<(), Fault> {
        let what = if about.file_type().is_symlink() {
            "is a symbolic link"
        } else if !about.is_dir() {
            "is not a folder"
        } else if about.uid() != rustix::process::geteuid().as_raw() {
            "belongs to another user"
        } else if about.mode() & OTHERS_WRITE != 0 {
            "can be written by others (chmod 700 it)"
        } else {
            return Ok(());
        };
        Err(Fault::new(format!("{} {what}", path.display())))
    }

    pub(super) fn make(path: &Path) -> io::Result<()> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
    }
}

#[cfg(windows)]
mod imp {
    use super::{Duration, Fault, File, Metadata, OpenOptions, Path, io};
    use std::os::windows::fs::OpenOptionsExt as _;
    use std::time::Instant;

    use windows_sys::Win32::Foundation::{
        ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION, ERROR_STOPPED_ON_SYMLINK,
    };
    use windows_sys::Win32::Storage::FileSystem::{
        FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT, READ_CONTROL,
    };

    use crate::sys::{Exposure, exposure};

    /// Opens a link itself and not what it leads to, and then refuses it. Opens a folder too, as on Unix: the caller asks what
    /// it is, while a refusal would look like that of a file in use.
    pub(in super::super) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
        let file = options
            .custom_flags(FILE_FLAG_OPEN_REPARSE_POINT | FILE_FLAG_BACKUP_SEMANTICS)
            .open(path)?;
        if file.metadata()?.is_symlink() {
            return Err(io::Error::from_raw_os_error(STOPPED));
        }
        Ok(file)
    }

    const STOPPED: i32 = ERROR_STOPPED_ON_SYMLINK.cast_signed();

    pub(in super::super) fn is_link(error: &io::Error) -> bool {
        error.raw_os_error() == Some(STOPPED)
    }

    /// Whether no one but this user, SYSTEM and Administrators can have written it.
    pub(in super::super) fn is_private(file: &File, _: &Metadata) -> io::Result<bool> {
        Ok(exposure(file)?.is_none())
    }

    /// A file that a reader, a virus scanner or the indexer has open can resist being replaced, and be out of reach while it
    /// is. That passes; it is waited for no longer than `limit`.
    pub(in super::super) fn settled<T>(
        limit: Duration,
        mut work: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        let end = Instant::now() + limit;
        loop {
            match work() {
                Err(error) if may_pass(&error) && Instant::now() < end => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                done => return done,
            }
        }
    }

    /// Puts a file in the place of another, as [`settled`]. One that someone reads cannot be replaced on every version and
    /// file system, but moved aside on all; anyone who looks in that moment sees none, which says nothing.
    pub(in super::super) fn put(from: &Path, to: &Path, limit: Duration) -> io::Result<()> {
        let mut aside = to.as_os_str().to_owned();
        aside.push(".old");
        settled(limit, || match std::fs::rename(from, to) {
            Err(error) if may_pass(&error) => {
                std::fs::rename(to, &aside)?;
                let done = std::fs::rename(from, to);
                let _ = std::fs::remove_file(&aside);
                done
            }
            done => done,
        })
    }

    fn may_pass(error: &io::Error) -> bool {
        matches!(
            error.raw_os_error().map(i32::cast_unsigned),
            Some(ERROR_ACCESS_DENIED | ERROR_SHARING_VIOLATION)
        )
    }

    pub(super) fn check(path: &Path, about: &Metadata) -> Result<(), Fault> {
        let exposed = || {
            // What a folder must be opened with to be asked about.
            let folder = OpenOptions::new()
                .access_mode(READ_CONTROL)
                .custom_flags(FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT)
                .open(path)?;
            exposure(&folder)
        };
        let what = if about.is_symlink() {
            "is a symbolic link or a junction"
        } else if !about.is_dir() {
            "is not a folder"
        } else {
            match exposed().map_err(|error| super::super::fault(path, &error))? {
                None => return Ok(()),
                Some(Exposure::Owner) => "belongs to another user",
                Some(Exposure::Writers) => {
                    "can be written by others (let only yourself, SYSTEM and Administrators write there)"
                }
            }
        };
        Err(Fault::new(format!("{} {what}", path.display())))
    }

    pub(super) fn make(path: &Path) -> io::Result<()> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        match crate::sys::create_private_folder(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        }
    }
}

use imp::{check, make};
pub(super) use imp::{is_link, is_private, open, put, settled};

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn the_cache_folder_is_the_users_own() {
        let with = |pairs: &'static [(&'static str, &'static str)]| {
            cache_folder(&|name| {
                let found = pairs.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).into())
            })
        };
        assert_eq!(
            with(&[("XDG_CACHE_HOME", "/c"), ("HOME", "/h")]),
            Ok("/c/p21auth".into())
        );
        assert_eq!(with(&[("HOME", "/h")]), Ok("/h/.cache/p21auth".into()));
        assert_eq!(
            with(&[("XDG_CACHE_HOME", "relative"), ("HOME", "/h")]),
            Ok("/h/.cache/p21auth".into())
        );
        for none in [with(&[]), with(&[("HOME", "")])] {
            assert!(none.is_err_and(|reason| reason.contains("HOME")));
        }
    }

    #[cfg(windows)]
    #[test]
    fn the_cache_folder_is_the_users_own() {
        let with = |value: Option<&str>| {
            cache_folder(&|name| value.filter(|_| name == "LOCALAPPDATA").map(Into::into))
        };
        assert_eq!(
            with(Some(r"C:\Users\me\AppData\Local")),
            Ok(r"C:\Users\me\AppData\Local\p21auth".into())
        );
        for none in [with(None), with(Some("")), with(Some(r"relative\folder"))] {
            assert!(none.is_err_and(|reason| reason.contains("LOCALAPPDATA")));
        }
    }
}
