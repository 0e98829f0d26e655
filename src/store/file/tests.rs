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
    assert_eq!(
        store
            .load(NAME)
            .expect("usable")
            .token
            .expect("an entry")
            .bytes,
        entry(1_000)
    );
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
    assert_eq!(store.clear(), Ok(2));
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
    assert_eq!(
        store
            .load(NAME)
            .expect("usable")
            .token
            .expect("an entry")
            .bytes,
        b"whole"
    );
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
    assert_eq!(
        store
            .load(NAME)
            .expect("usable")
            .token
            .expect("an entry")
            .bytes,
        b"again"
    );
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o770)).expect("opened");
    let fault = store.load(NAME).expect_err("others can plant files");
    assert!(fault.0.contains("written by others"), "{fault:?}");
}

/// Needs root to give a folder away, which is what containers and CI run as; elsewhere there is nobody to give it to.
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
