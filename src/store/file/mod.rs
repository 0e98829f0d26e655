//! The file store: one token for the processes of a user on a machine.
//!
//! In the folder lie, for each name, `NAME.token`, `NAME.denied` and `NAME.failed` (sealed entries), `NAME.lock` (the right to
//! ask the server, an operating system lock that ends with its process; the pid of its holder is in it) and, for all, `salt`
//! and `salt.lock`. Entries are replaced by renaming, so a reader sees the old one or the new one and never half of each. A lock
//! file is removed by the holder of its lock alone, with the last entry of its name, and anyone who gets a lock makes sure that
//! its file is still the one at that path: otherwise it would hold a lock that no one else sees.

mod folder;
mod lock;
mod wait;

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::seal::{Salt, is_over};
use super::{
    Attempt, Change, Edit, EntryKind, Fault, Lease, Loaded, Mark, Published, Sealed, Store, Ticket,
    Wake,
};
use folder::{Folder, settled};
use lock::{Lock, Taken};
use wait::Waits;

/// Larger files are not entries.
const MAX_ENTRY: u64 = 1 << 20;

/// What was over so long ago is removed by anyone who publishes something, of this many names at once.
const TIDY_AFTER_MS: i64 = 60_000;
const TIDY_NAMES: usize = 64;

/// A folder with the sealed entries of a user.
pub(super) struct FileStore {
    folder: Folder,
    timeout: Duration,
    waits: Waits,
}

impl FileStore {
    /// The store in `folder`, or in the user's cache folder. Nothing is touched yet.
    pub(super) fn new(folder: Option<&Path>, timeout: Duration) -> FileStore {
        FileStore {
            folder: Folder::new(folder),
            timeout,
            waits: Waits::default(),
        }
    }

    fn path(&self, name: &str, kind: &str) -> Result<PathBuf, Fault> {
        Ok(self.folder.path()?.join(format!("{name}.{kind}")))
    }

    fn read(&self, name: &str, kind: EntryKind) -> Result<Option<Sealed>, Fault> {
        let path = self.path(name, kind.name())?;
        let bytes = read(&path, self.timeout).map_err(|error| fault(&path, &error))?;
        Ok(bytes.map(|bytes| Sealed {
            bytes,
            left_ms: None,
        }))
    }

    fn read_salt(&self) -> Result<Option<Salt>, Fault> {
        let path = self.folder.path()?.join("salt");
        let bytes = read(&path, self.timeout).map_err(|error| fault(&path, &error))?;
        Ok(bytes.and_then(|bytes| bytes.try_into().ok()))
    }
}

impl Store for FileStore {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn shown(&self) -> String {
        self.folder.shown()
    }

    fn salt(&self, proposed: &Salt) -> Result<Salt, Fault> {
        if self.folder.exists()?
            && let Some(salt) = self.read_salt()?
        {
            return Ok(salt);
        }
        self.folder.create()?;
        let path = self.folder.path()?.join("salt.lock");
        let end = Instant::now() + self.timeout;
        let lock = loop {
            match Lock::take(&path, self.timeout).map_err(|error| fault(&path, &error))? {
                Taken::Ours(lock) => break lock,
                Taken::Others(_) if Instant::now() < end => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Taken::Others(_) => {
                    return Err(Fault::new(format!(
                        "{}: locked for too long",
                        path.display()
                    )));
                }
            }
            // What its holder puts there is good enough: sixteen who start at once need not queue for a lock each.
            if let Some(salt) = self.read_salt()? {
                return Ok(salt);
            }
        };
        // Another may have been faster; what is there and is no salt is replaced.
        if let Some(salt) = self.read_salt()? {
            return Ok(salt);
        }
        replace(&self.folder.path()?.join("salt"), proposed, self.timeout)?;
        drop(lock);
        Ok(*proposed)
    }

    fn load(&self, name: &str) -> Result<Loaded, Fault> {
        if !self.folder.exists()? {
            return Ok(Loaded::default());
        }
        Ok(Loaded {
            salt: self.read_salt()?,
            token: self.read(name, EntryKind::Token)?,
            denial: self.read(name, EntryKind::Denial)?,
            failure: self.read(name, EntryKind::Failure)?,
            mark: Mark::default(),
        })
    }

    fn try_lease(&self, name: &str, _: &Ticket) -> Result<Attempt, Fault> {
        self.folder.create()?;
        let path = self.path(name, "lock")?;
        Ok(
            match Lock::take(&path, self.timeout).map_err(|error| fault(&path, &error))? {
                Taken::Others(pid) => Attempt::Busy {
                    holder: pid.map(|pid| format!("process {pid}")),
                    left_ms: None,
                    wakes: true,
                },
                Taken::Ours(lock) => Attempt::Got(Box::new(FileLease {
                    _lock: lock,
                    timeout: self.timeout,
                    paths: [
                        self.path(name, EntryKind::Token.name())?,
                        self.path(name, EntryKind::Denial.name())?,
                        self.path(name, EntryKind::Failure.name())?,
                    ],
                })),
            },
        )
    }

    fn wait(&self, name: &str, ticket: &mut Ticket, most: Duration) -> Wake {
        let Ok(path) = self.path(name, "lock") else {
            return Wake::Nothing;
        };
        self.waits.wait(&path, ticket, most, self.timeout)
    }

    fn list(&self) -> Result<Vec<(String, EntryKind, Sealed)>, Fault> {
        if !self.folder.exists()? {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for (name, kind) in self.names()? {
            if let Some(entry) = self.read(&name, kind)? {
                found.push((name, kind, entry));
            }
        }
        Ok(found)
    }

    fn clear(&self, before: Option<i64>) -> Result<usize, Fault> {
        if !self.folder.exists()? {
            return Ok(0);
        }
        if let Some(before) = before {
            return self.sweep(before, usize::MAX);
        }
        let names = self.names()?;
        for (name, kind) in &names {
            let path = self.path(name, kind.name())?;
            remove(&path, self.timeout)?;
        }
        Ok(names.len())
    }

    fn tidy(&self, now: i64) {
        // A clock that is corrected by a little takes no one's token.
        let _ = self.sweep(now.saturating_sub(TIDY_AFTER_MS), TIDY_NAMES);
    }
}

impl FileStore {
    /// Removes what was over at `before`, of this many names, and the lock files of names that nothing is left of.
    fn sweep(&self, before: i64, names: usize) -> Result<usize, Fault> {
        let mut removed = 0;
        let mut swept = 0;
        for name in self.all_names()? {
            let over = |kind: EntryKind| {
                let entry = self.read(&name, kind)?;
                Ok(entry.map(|entry| is_over(&entry.bytes, before)))
            };
            let all = || {
                EntryKind::ALL
                    .map(over)
                    .into_iter()
                    .collect::<Result<Vec<_>, Fault>>()
            };
            let is_rest = |found: &[Option<bool>]| found.iter().all(|over| *over != Some(false));
            if !is_rest(&all()?) || swept >= names {
                continue;
            }
            swept += 1;
            let path = self.path(&name, "lock")?;
            let taken = Lock::take(&path, self.timeout).map_err(|error| fault(&path, &error))?;
            let Taken::Ours(lock) = taken else {
                // In use.
                continue;
            };
            let found = all()?;
            for (kind, over) in EntryKind::ALL.into_iter().zip(&found) {
                if *over == Some(true) {
                    remove(&self.path(&name, kind.name())?, self.timeout)?;
                    removed += 1;
                }
            }
            if is_rest(&found) {
                lock.remove(&path);
            }
        }
        Ok(removed)
    }

    /// The names of which there is anything, a lock file at least.
    fn all_names(&self) -> Result<Vec<String>, Fault> {
        let folder = self.folder.path()?;
        let entries = fs::read_dir(folder).map_err(|error| fault(folder, &error))?;
        let mut names: Vec<String> = entries
            .flatten()
            .filter(|entry| is_ours(&entry.path()))
            .filter_map(|entry| {
                let file = entry.file_name().into_string().ok()?;
                Some(file.split_once('.')?.0.to_owned())
            })
            .collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn names(&self) -> Result<Vec<(String, EntryKind)>, Fault> {
        let folder = self.folder.path()?;
        let entries = fs::read_dir(folder).map_err(|error| fault(folder, &error))?;
        let mut names: Vec<_> = entries
            .flatten()
            .filter_map(|entry| {
                let file = entry.file_name().into_string().ok()?;
                let (name, kind) = file.split_once('.')?;
                let kind = EntryKind::ALL
                    .into_iter()
                    .find(|known| known.name() == kind)?;
                Some((name.to_owned(), kind))
            })
            .collect();
        names.sort();
        Ok(names)
    }
}

/// The lock of one name.
struct FileLease {
    _lock: Lock,
    timeout: Duration,
    /// Of the token, the refusal and another failure.
    paths: [PathBuf; 3],
}

impl Lease for FileLease {
    /// The lock is ours until we let go of it.
    fn keep(&mut self) {}

    fn publish(&self, change: &Change<'_>) -> Result<Published, Fault> {
        let edits = [change.token, change.denial, change.failure];
        for (path, edit) in self.paths.iter().zip(edits) {
            match edit {
                Edit::Leave => {}
                Edit::Remove => remove(path, self.timeout)?,
                Edit::Put(keep) => replace(path, keep.bytes, self.timeout)?,
            }
        }
        Ok(Published::Stored)
    }
}

/// A file's content; `None` when there is no such file, or one that someone else may have put there or can change.
fn read(path: &Path, limit: Duration) -> io::Result<Option<Vec<u8>>> {
    let file = match settled(limit, || {
        folder::open(path, fs::OpenOptions::new().read(true))
    }) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound || folder::is_link(&error) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let about = file.metadata()?;
    if !about.is_file() || !folder::is_private(&file, &about)? || about.len() > MAX_ENTRY {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(MAX_ENTRY).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Puts `bytes` in place of anything that is at `path`. Only the holder of the name's lock may, so one temporary file is
/// enough; one that a killed process left behind is overwritten.
fn replace(path: &Path, bytes: &[u8], limit: Duration) -> Result<(), Fault> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let write = || {
        make_room(&temporary)?;
        make_room(path)?;
        // Never into a file that is there: it might be someone else's.
        match settled(limit, || fs::remove_file(&temporary)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        let mut file = settled(limit, || folder::open(&temporary, &mut options))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        folder::put(&temporary, path, limit)
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&temporary);
        fault(path, &error)
    })
}

/// Removes what is no file from where one of ours is to be. What lies in a folder goes with it only below a name of ours, which
/// no other program thinks of.
fn make_room(path: &Path) -> io::Result<()> {
    let Ok(about) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if about.is_file() {
        Ok(())
    } else if !about.is_dir() {
        fs::remove_file(path)
    } else if is_ours(path) {
        fs::remove_dir_all(path)
    } else {
        fs::remove_dir(path)
    }
}

/// Whether the name begins as that of an entry does: 32 hex digits and a dot.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.len() > 32 && name[..32].iter().all(u8::is_ascii_hexdigit) && name[32] == b'.'
}

fn remove(path: &Path, limit: Duration) -> Result<(), Fault> {
    match make_room(path).and_then(|()| settled(limit, || fs::remove_file(path))) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fault(path, &error)),
        _ => Ok(()),
    }
}

fn fault(path: &Path, error: &io::Error) -> Fault {
    Fault::new(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
