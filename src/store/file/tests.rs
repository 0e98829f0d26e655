//! The file store by itself: replaced under readers, in the hands of others, on a full disk.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

const NAME: &str = "0123456789abcdef0123456789abcdef";

use crate::store::Keep;

fn ticket() -> Ticket {
    Ticket::new().expect("random bytes")
}

fn store(folder: &Path) -> FileStore {
    FileStore::new(Some(folder), Duration::from_millis(500))
}

fn lease(store: &FileStore) -> Box<dyn Lease> {
    match store.try_lease(NAME, &ticket()).expect("usable") {
        Attempt::Got(lease) => lease,
        Attempt::Busy { holder, .. } => panic!("held by {holder:?}"),
    }
}

fn token(bytes: &[u8]) -> Change<'_> {
    Change {
        token: Edit::Put(Keep { bytes, keep_ms: 1 }),
        ..Change::default()
    }
}

fn token_of(store: &FileStore) -> Vec<u8> {
    let loaded = store.load(NAME).expect("usable");
    loaded.token.expect("an entry").bytes
}

#[test]
fn a_thousand_replaces_under_four_readers_are_never_missed_or_torn() {
    let home = tempfile::tempdir().expect("a folder");
    let folder = home.path().join("store");
    let store = store(&folder);
    let entry =
        |number: usize| vec![u8::try_from(number % 251).expect("small"); 4_000 + number % 7];
    lease(&store).publish(&token(&entry(0))).expect("written");
    // Where a file that is read can only be moved aside, there is none for a moment.
    let may_miss = cfg!(windows);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut reads = 0;
                    while !over.load(Ordering::Relaxed) {
                        let Some(found) = store.load(NAME).expect("usable").token else {
                            assert!(may_miss, "missed");
                            continue;
                        };
                        let found = found.bytes;
                        assert!(found.len() >= 4_000, "{} bytes", found.len());
                        assert!(found.iter().all(|byte| *byte == found[0]), "torn");
                        reads += 1;
                    }
                    reads
                })
            })
            .collect();
        let written = (1..=1_000).try_for_each(|number| {
            lease(&store)
                .publish(&token(&entry(number)))
                .map(|published| assert_eq!(published, Published::Stored))
        });
        over.store(true, Ordering::Relaxed);
        written.expect("written");
        for reader in readers {
            assert!(reader.join().expect("no miss") > 0);
        }
    });
    assert_eq!(token_of(&store), entry(1_000));
}

#[test]
fn the_right_to_ask_is_one_persons_at_a_time_and_says_whose() {
    let home = tempfile::tempdir().expect("a folder");
    let (ours, theirs) = (store(home.path()), store(home.path()));
    let held = lease(&ours);
    let Attempt::Busy { holder, .. } = theirs.try_lease(NAME, &ticket()).expect("usable") else {
        panic!("two holders");
    };
    assert_eq!(holder, Some(format!("process {}", std::process::id())));
    assert!(matches!(
        theirs.try_lease("another", &ticket()).expect("usable"),
        Attempt::Got(_)
    ));
    drop(held);
    assert!(matches!(
        theirs.try_lease(NAME, &ticket()).expect("usable"),
        Attempt::Got(_)
    ));
}

#[test]
fn the_first_salt_stays() {
    let home = tempfile::tempdir().expect("a folder");
    let store = store(&home.path().join("a/b"));
    assert_eq!(
        store.load(NAME),
        Ok(Loaded::default()),
        "nothing is made by looking"
    );
    assert!(!home.path().join("a").exists());
    assert_eq!(store.salt(&[1; 16]), Ok([1; 16]));
    assert_eq!(store.salt(&[2; 16]), Ok([1; 16]));
    assert_eq!(store.load(NAME).expect("usable").salt, Some([1; 16]));
    for bad in [b"".as_slice(), b"short", &[0; 17]] {
        std::fs::write(home.path().join("a/b/salt"), bad).expect("written");
        assert_eq!(
            store.salt(&[3; 16]),
            Ok([3; 16]),
            "what is no salt is replaced"
        );
    }
}

#[test]
fn entries_are_listed_and_cleared_and_locks_and_salt_stay() {
    let home = tempfile::tempdir().expect("a folder");
    let store = store(home.path());
    assert_eq!(store.list(), Ok(Vec::new()));
    store.salt(&[1; 16]).expect("usable");
    let change = Change {
        denial: Edit::Put(Keep {
            bytes: b"denied",
            keep_ms: 1,
        }),
        ..token(b"token")
    };
    lease(&store).publish(&change).expect("written");
    let listed: Vec<_> = store
        .list()
        .expect("usable")
        .into_iter()
        .map(|(name, kind, entry)| (name, kind, entry.bytes))
        .collect();
    assert_eq!(
        listed,
        [
            (NAME.to_owned(), EntryKind::Token, b"token".to_vec()),
            (NAME.to_owned(), EntryKind::Denial, b"denied".to_vec())
        ]
    );
    assert_eq!(store.clear(None), Ok(2));
    assert_eq!(store.list(), Ok(Vec::new()));
    assert_eq!(store.load(NAME).expect("usable").salt, Some([1; 16]));
    assert!(home.path().join(format!("{NAME}.lock")).exists());
}

#[test]
fn what_a_killed_process_left_half_written_is_overwritten() {
    let home = tempfile::tempdir().expect("a folder");
    let store = store(home.path());
    let half = home.path().join(format!("{NAME}.token.tmp"));
    std::fs::write(&half, b"hal").expect("written");
    lease(&store).publish(&token(b"whole")).expect("written");
    assert_eq!(token_of(&store), b"whole");
    assert!(!half.exists());
}

#[cfg(unix)]
#[test]
fn a_lock_file_that_was_removed_while_it_was_waited_for_is_not_a_lock() {
    let home = tempfile::tempdir().expect("a folder");
    let store = store(home.path());
    let path = home.path().join(format!("{NAME}.lock"));
    let first = lease(&store);
    std::fs::remove_file(&path).expect("removed");
    // The removed one is still locked; a new one is, to all who come now, the lock.
    let second = lease(&store);
    assert!(matches!(
        store.try_lease(NAME, &ticket()).expect("usable"),
        Attempt::Busy { .. }
    ));
    drop(first);
    assert!(matches!(
        store.try_lease(NAME, &ticket()).expect("usable"),
        Attempt::Busy { .. }
    ));
    drop(second);
    assert!(matches!(
        store.try_lease(NAME, &ticket()).expect("usable"),
        Attempt::Got(_)
    ));
}

#[cfg(unix)]
#[test]
fn what_others_can_write_is_not_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().expect("a folder");
    let store = store(home.path());
    lease(&store).publish(&token(b"entry")).expect("written");
    let path = home.path().join(format!("{NAME}.token"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).expect("opened");
    assert_eq!(store.load(NAME).expect("usable").token, None);
    lease(&store).publish(&token(b"again")).expect("written");
    assert_eq!(token_of(&store), b"again");
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o770)).expect("opened");
    let fault = store.load(NAME).expect_err("others can plant files");
    assert!(fault.0.contains("written by others"), "{fault:?}");
}

/// Needs root to give a folder away, which is what containers and CI run as; elsewhere there is no one to give it to.
#[cfg(unix)]
#[test]
fn another_users_folder_is_refused() {
    let home = tempfile::tempdir().expect("a folder");
    let folder = home.path().join("theirs");
    std::fs::create_dir(&folder).expect("made");
    let given = std::os::unix::fs::chown(&folder, Some(65_534), None).is_ok();
    let loaded = store(&folder).load(NAME);
    if given {
        assert!(
            loaded
                .expect_err("not ours")
                .0
                .contains("belongs to another user")
        );
    } else {
        assert_eq!(loaded, Ok(Loaded::default()), "still ours");
    }
}

/// An entry of this version whose time is over then, as far as anyone can tell without its key.
fn entry(expiry_ms: i64) -> Vec<u8> {
    let key = crate::secret::Secret::new("00000000-0000-4000-8000-000000000001");
    let keys = crate::store::seal::Keys::derive(&[0; 16], "identity", &key, &key).expect("keys");
    keys.seal(EntryKind::Token, expiry_ms, b"record")
        .expect("sealed")
}

fn files(folder: &Path) -> Vec<String> {
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .expect("the folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect();
    files.sort();
    files
}

#[test]
fn what_is_over_goes_with_its_lock_file_and_nothing_else_does() {
    const NOW: i64 = 1_900_000_000_000;
    let home = tempfile::tempdir().expect("a folder");
    let store = store(home.path());
    store.salt(&[1; 16]).expect("usable");
    let name = |number: u32| format!("{number:032x}");
    let publish = |number: u32, bytes: &[u8]| {
        let attempt = store.try_lease(&name(number), &ticket()).expect("usable");
        let Attempt::Got(lease) = attempt else {
            panic!("no one has it");
        };
        lease.publish(&token(bytes)).expect("written");
    };
    for number in 0..30 {
        publish(number, &entry(NOW - TIDY_AFTER_MS));
    }
    publish(30, &entry(NOW));
    publish(31, b"not an entry");
    // A lock that is held, of a name without entries.
    let held = store.try_lease(&name(32), &ticket()).expect("usable");
    store.tidy(NOW);
    let left = [
        format!("{}.lock", name(30)),
        format!("{}.token", name(30)),
        format!("{}.lock", name(31)),
        format!("{}.token", name(31)),
        format!("{}.lock", name(32)),
        "salt".to_owned(),
        "salt.lock".to_owned(),
    ];
    assert_eq!(files(home.path()), left);
    drop(held);
    assert_eq!(
        store.clear(Some(NOW)),
        Ok(1),
        "at once, when it is asked for"
    );
    assert_eq!(files(home.path()), [&left[2..4], &left[5..]].concat());
}

#[test]
fn a_lock_whose_file_is_removed_again_and_again_has_one_holder_at_a_time() {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join(format!("{NAME}.lock"));
    let (held, taken) = (AtomicBool::new(false), std::sync::atomic::AtomicU32::new(0));
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (path, held, taken) = (&path, &held, &taken);
            scope.spawn(move || {
                while taken.load(Ordering::SeqCst) < 400 {
                    let limit = Duration::from_secs(1);
                    let Ok(Taken::Ours(lock)) = Lock::take(path, limit) else {
                        std::thread::yield_now();
                        continue;
                    };
                    assert!(!held.swap(true, Ordering::SeqCst), "two have it");
                    std::thread::yield_now();
                    held.store(false, Ordering::SeqCst);
                    if (taken.fetch_add(1, Ordering::SeqCst) + number) % 2 == 0 {
                        lock.remove(path);
                    }
                }
            });
        }
    });
}
