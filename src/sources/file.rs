//! Reads a file to its end, no matter what it is, within a size and without waiting in the opening. Runs on a reader's thread.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Instant;

use zeroize::Zeroizing;

use super::Trouble;

/// Bytes read at a time.
const PIECE: usize = 16 * 1024;

/// What a file holds.
#[derive(Debug)]
pub(crate) struct Content {
    /// Every byte of it.
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    /// Every user of the machine may change it.
    pub(crate) is_exposed: bool,
}

/// The content of the file at `path`; `None` when no one waits for it any more.
pub(super) fn read(
    path: &Path,
    cap: usize,
    until: &dyn Fn() -> Instant,
) -> Option<Result<Content, Trouble>> {
    let about = match fs::metadata(path) {
        Ok(about) => about,
        Err(error) => return Some(Err(Trouble::of(&error))),
    };
    if let Some(bytes) = pipes::known(&about) {
        return Some(Ok(private(bytes)));
    }
    let (mut bytes, begun) = pipes::begun(&about);
    let opened = match begun {
        Some(file) => Ok(file),
        None => open(path, until)?,
    };
    let file = match opened {
        Ok(file) => file,
        Err(error) => return Some(Err(Trouble::of(&error))),
    };
    // Not what was there a moment ago, perhaps.
    let about = match file.metadata() {
        Ok(about) => about,
        Err(error) => return Some(Err(Trouble::of(&error))),
    };
    match fill(&mut bytes, &file, &about, cap, until) {
        Ok(true) => {
            pipes::keep(&about, &bytes, None);
            Some(Ok(Content {
                bytes,
                is_exposed: imp::is_exposed(&about),
            }))
        }
        Ok(false) => {
            pipes::keep(&about, &bytes, Some(file));
            None
        }
        Err(trouble) => Some(Err(trouble)),
    }
}

/// `None` when no call waits any more.
fn open(path: &Path, until: &dyn Fn() -> Instant) -> Option<io::Result<File>> {
    loop {
        match imp::open(path) {
            // Another program has a lease on it, and is being asked to give it back.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if Instant::now() >= until() {
                    return None;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            opened => return Some(opened),
        }
    }
}

fn private(bytes: Zeroizing<Vec<u8>>) -> Content {
    Content {
        bytes,
        is_exposed: false,
    }
}

/// Reads on to the end. Returns whether it was reached while someone waited.
fn fill(
    bytes: &mut Zeroizing<Vec<u8>>,
    mut file: &File,
    about: &Metadata,
    cap: usize,
    until: &dyn Fn() -> Instant,
) -> Result<bool, Trouble> {
    let mut piece = Zeroizing::new([0; PIECE]);
    // A device may state any length, and a file may grow.
    let stated = usize::try_from(about.len()).unwrap_or(usize::MAX);
    if about.is_file() && stated <= cap {
        reserve(bytes, stated)?;
    }
    loop {
        if !about.is_file()
            && !imp::wait_until_readable(file, until).map_err(|e| Trouble::of(&e))?
        {
            return Ok(false);
        }
        let got = match file.read(&mut piece[..]) {
            Ok(0) => return Ok(true),
            Ok(got) => got,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
                ) =>
            {
                continue;
            }
            Err(error) => return Err(Trouble::of(&error)),
        };
        if bytes.len() + got > cap {
            return Err(Trouble::TooLarge(cap));
        }
        reserve(bytes, got)?;
        bytes.extend_from_slice(&piece[..got]);
    }
}

pub(super) fn reserve(bytes: &mut Zeroizing<Vec<u8>>, more: usize) -> Result<(), Trouble> {
    super::reserve(bytes, more).map_err(|why| Trouble::Exhausted(why.to_owned()))
}

#[cfg(unix)]
mod imp {
    use std::fs::{File, Metadata, OpenOptions};
    use std::io;
    use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
    use std::path::Path;
    use std::time::Instant;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    /// Neither waits for the writer of a pipe nor takes a terminal over. std adds `O_CLOEXEC`.
    pub(super) fn open(path: &Path) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)
    }

    /// Waits until there are bytes or an end. A pipe without a writer has neither.
    pub(super) fn wait_until_readable(
        file: &File,
        until: &dyn Fn() -> Instant,
    ) -> io::Result<bool> {
        loop {
            let left = until().saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            let left = Timespec::try_from(left).map_err(io::Error::other)?;
            let mut watched = [PollFd::new(file, PollFlags::IN)];
            match poll(&mut watched, Some(&left)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub(super) fn is_exposed(about: &Metadata) -> bool {
        about.is_file() && about.mode() & 0o002 != 0
    }
}

#[cfg(not(unix))]
mod imp {
    use std::fs::{File, Metadata};
    use std::io;
    use std::path::Path;
    use std::time::Instant;

    pub(super) fn open(path: &Path) -> io::Result<File> {
        File::open(path)
    }

    #[allow(clippy::unnecessary_wraps, reason = "as on Unix")]
    pub(super) fn wait_until_readable(_: &File, until: &dyn Fn() -> Instant) -> io::Result<bool> {
        Ok(Instant::now() < until())
    }

    pub(super) fn is_exposed(_: &Metadata) -> bool {
        false
    }
}

/// A pipe can be read once. What came out of one is kept for the life of the process, under device, inode and birth. One that
/// has not ended stays open: what is written to it while no one reads would be lost with its last reader.
#[cfg(unix)]
mod pipes {
    use std::collections::BTreeMap;
    use std::fs::{File, Metadata};
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
    use std::time::SystemTime;

    use zeroize::Zeroizing;

    use crate::fork::Guarded;

    type Key = (u64, u64, Option<SystemTime>);

    struct Kept {
        bytes: Zeroizing<Vec<u8>>,
        /// Until its end was reached.
        file: Option<File>,
    }

    static KEPT: Guarded<BTreeMap<Key, Kept>> = Guarded::new_static(BTreeMap::new());

    /// A named pipe may be removed and its inode used again at once.
    fn key(about: &Metadata) -> Option<Key> {
        let is_pipe = about.file_type().is_fifo();
        is_pipe.then(|| (about.dev(), about.ino(), about.created().ok()))
    }

    /// All that a pipe held.
    pub(super) fn known(about: &Metadata) -> Option<Zeroizing<Vec<u8>>> {
        let key = key(about)?;
        KEPT.with(|kept| {
            let kept = kept.get(&key).filter(|kept| kept.file.is_none())?;
            Some(kept.bytes.clone())
        })
    }

    /// What has come out of a pipe so far, and the pipe.
    pub(super) fn begun(about: &Metadata) -> (Zeroizing<Vec<u8>>, Option<File>) {
        let kept = key(about).and_then(|key| KEPT.with(|kept| kept.remove(&key)));
        kept.map(|kept| (kept.bytes, kept.file)).unwrap_or_default()
    }

    /// `file`: it has not ended. A pipe that ended empty may be filled by the next writer.
    pub(super) fn keep(about: &Metadata, bytes: &Zeroizing<Vec<u8>>, file: Option<File>) {
        let is_over = file.is_none();
        if let Some(key) = key(about).filter(|_| !is_over || !bytes.is_empty()) {
            let bytes = bytes.clone();
            KEPT.with(|kept| kept.insert(key, Kept { bytes, file }));
        }
    }
}

#[cfg(not(unix))]
mod pipes {
    use std::fs::{File, Metadata};

    use zeroize::Zeroizing;

    pub(super) fn known(_: &Metadata) -> Option<Zeroizing<Vec<u8>>> {
        None
    }

    pub(super) fn begun(_: &Metadata) -> (Zeroizing<Vec<u8>>, Option<File>) {
        (Zeroizing::default(), None)
    }

    pub(super) fn keep(_: &Metadata, _: &Zeroizing<Vec<u8>>, _: Option<File>) {}
}
