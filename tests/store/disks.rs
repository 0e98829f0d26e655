//! The file store on disks that are full, read-only, without locks, or not there.

use std::path::{Path, PathBuf};

use super::processes::{Process, entry, home, left_behind, requests, token_in};
use test_support::emulator;

const FILE: (&str, &str) = ("store", "file");

/// What the stats say of the store once the token is there: which is active, and why not the one that was asked for.
fn health(process: &mut Process) -> (String, String) {
    process.token();
    let store = process.stats()["store"].clone();
    let text = |name: &str| store[name].as_str().unwrap_or_default().to_owned();
    (text("active"), text("reason"))
}

/// It gets its token without the store, and its stats tell why.
#[track_caller]
fn degrades(process: &mut Process, why: &str) {
    let (active, reason) = health(process);
    assert!(
        active == "memory" && reason.contains(why),
        "{active}: {reason}"
    );
}

#[test]
fn a_store_that_cannot_be_used_degrades_and_says_why() {
    use std::os::unix::fs::PermissionsExt as _;
    let emulator = emulator();
    let none = home();
    let mut homeless = Process::start_with(&emulator, &[], &[FILE]);
    degrades(&mut homeless, "HOME");

    // /proc accepts no folders, no matter who asks.
    let mut nowhere = Process::start(&emulator, none.path(), &[("store", "file:///proc/p21auth")]);
    degrades(&mut nowhere, "/proc/p21auth");

    let open = none.path().join("open");
    std::fs::create_dir(&open).expect("made");
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).expect("opened");
    let url = format!("file://{}", open.display());
    degrades(
        &mut Process::start(&emulator, none.path(), &[("store", &url)]),
        "written by others",
    );

    let (target, link) = (none.path().join("target"), none.path().join("link"));
    std::fs::create_dir(&target).expect("made");
    std::os::unix::fs::symlink(&target, &link).expect("linked");
    let url = format!("file://{}", link.display());
    degrades(
        &mut Process::start(&emulator, none.path(), &[("store", &url)]),
        "symbolic link",
    );

    // Nor is a link followed that was put in a lock's place: it makes room for a lock of ours.
    let (folder, victim) = (none.path().join("planted"), none.path().join("victim"));
    std::fs::create_dir(&folder).expect("made");
    std::fs::write(&victim, "precious").expect("written");
    std::os::unix::fs::symlink(&victim, folder.join("salt.lock")).expect("linked");
    let url = format!("file://{}", folder.display());
    let mut healed = Process::start(&emulator, none.path(), &[("store", &url)]);
    assert_eq!(health(&mut healed), ("file".to_owned(), String::new()));
    let lock = std::fs::symlink_metadata(folder.join("salt.lock"));
    assert!(lock.map_or(true, |found| found.is_file()));
    assert_eq!(std::fs::read(&victim).expect("there"), b"precious");
}

#[test]
fn a_required_store_that_cannot_be_used_is_an_error_before_any_request() {
    let (emulator, home) = (emulator(), home());
    let options = [("store", "file:///proc/p21auth"), ("store_required", "1")];
    let answer = Process::start(&emulator, home.path(), &options).ask("token");
    assert!(answer.starts_with("err P21_E_STORE"), "{answer}");
    assert_eq!(requests(&emulator), 0);
}

#[test]
fn a_full_disk_degrades_and_harms_no_entry() {
    let (emulator, home) = (emulator(), home());
    let options = [FILE, ("min_refresh_interval_s", "0")];
    let mut cold = Process::start_on_full_disk(&emulator, home.path(), 0, &options);
    degrades(&mut cold, "too large");

    // Here there is room for the lock, and none for the token.
    let mut settings = emulator.control().settings();
    settings
        .extra_fields
        .insert("Scope".to_owned(), "/api".repeat(500).into());
    emulator.control().set_settings(settings);
    let good = Process::start(&emulator, home.path(), &options).token();
    let mut full = Process::start_on_full_disk(&emulator, home.path(), 1, &options);
    assert_eq!(full.token(), good);
    let own = token_in(&full.ask("force"));
    assert_ne!(own, good);
    let store = full.stats()["store"].clone();
    assert!(
        store["reason"]
            .as_str()
            .is_some_and(|why| why.contains("too large")),
        "{store}"
    );
    assert_eq!(
        Process::start(&emulator, home.path(), &options).token(),
        good,
        "the old entry is whole"
    );
    assert_eq!(requests(&emulator), 3);
}

/// Runs `binary` as a user for whom permissions count: root may write everywhere.
fn as_another_user(binary: &Path) -> std::process::Command {
    use std::os::unix::process::CommandExt as _;
    let mut command = std::process::Command::new(binary);
    if rustix::process::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    command
}

#[test]
fn a_read_only_folder_is_read_and_beyond_that_degrades() {
    use std::os::unix::fs::PermissionsExt as _;
    let (emulator, home) = (emulator(), home());
    // The project may lie where no one else may look.
    let binary = home.path().join("tests");
    std::fs::copy(std::env::current_exe().expect("the test binary"), &binary).expect("copied");
    let folder = home.path().join("store");
    std::fs::create_dir(&folder).expect("made");
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&folder, Some(65_534), Some(65_534)).expect("given");
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o755))
            .expect("opened");
    }
    let mode = |mode| {
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).expect("set");
    };
    mode(0o700);
    let url = format!("file://{}", folder.display());
    let process = |password| {
        Process::start_as(
            as_another_user(&binary),
            &emulator,
            &[],
            &[("store", &url), ("password", password)],
        )
    };
    let token = process("demo-password").token();
    mode(0o500);
    assert_eq!(
        process("demo-password").token(),
        token,
        "what is there can be had"
    );
    assert_eq!(requests(&emulator), 1);
    let user = p21_emulator::User::new("demo", "another-password");
    emulator.control().set_user(user);
    degrades(&mut process("another-password"), "denied");
    mode(0o700);
}

/// Processes whose locks are all refused: what a network file system without its lock service does. The rest is the
/// system's own. A file system of that kind cannot be had on every machine, so a preloaded function stands in for it.
#[cfg(target_os = "linux")]
mod without_locks {
    use super::*;
    use p21_emulator::Emulator;

    /// `flock` as such a file system answers it.
    fn shim(folder: &Path) -> PathBuf {
        let (source, library) = (folder.join("no_locks.c"), folder.join("no_locks.so"));
        let code = "#include <errno.h>\n#include <stdlib.h>\n\
            int flock(int fd, int how) { (void)fd; (void)how; errno = atoi(getenv(\"LOCKS_FAIL_WITH\")); return -1; }\n";
        std::fs::write(&source, code).expect("written");
        let built = std::process::Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .status()
            .expect("a C compiler: install gcc (make test does)");
        assert!(built.success());
        library
    }

    fn process(
        emulator: &Emulator,
        home: &Path,
        shim: &Path,
        errno: i32,
        options: &[(&str, &str)],
    ) -> Process {
        let mut command = std::process::Command::new(std::env::current_exe().expect("a path"));
        command
            .env("LD_PRELOAD", shim)
            .env("LOCKS_FAIL_WITH", errno.to_string());
        Process::start_as(command, emulator, &[("HOME", Some(home))], options)
    }

    #[test]
    fn a_file_system_without_locks_degrades_and_says_so() {
        let (emulator, home) = (emulator(), home());
        let shim = shim(home.path());
        for errno in [libc::ENOLCK, libc::EOPNOTSUPP, libc::ENOSYS] {
            let mut lockless = process(&emulator, home.path(), &shim, errno, &[FILE]);
            degrades(&mut lockless, "this file system has no locks");
            let entry = home.path().join(".cache/p21auth/salt");
            assert!(!entry.exists(), "nothing is written without a lock");
        }
        // What was written where locks worked can still be had; a new token stays in the process.
        let good = Process::start(&emulator, home.path(), &[FILE]).token();
        let options = [FILE, ("min_refresh_interval_s", "0")];
        let mut lockless = process(&emulator, home.path(), &shim, libc::ENOLCK, &options);
        assert_eq!(lockless.token(), good);
        assert_ne!(token_in(&lockless.ask("force")), good);
        assert_eq!(lockless.stats()["store"]["active"], "memory");
        assert_eq!(
            Process::start(&emulator, home.path(), &[FILE]).token(),
            good
        );
        assert_eq!(requests(&emulator), 5);
    }

    #[test]
    fn a_required_store_without_locks_is_an_error_before_any_request() {
        let (emulator, home) = (emulator(), home());
        let shim = shim(home.path());
        let options = [FILE, ("store_required", "1")];
        let answer = process(&emulator, home.path(), &shim, libc::ENOLCK, &options).ask("token");
        assert!(
            answer.starts_with("err P21_E_STORE") && answer.contains("has no locks"),
            "{answer}"
        );
        assert_eq!(requests(&emulator), 0);
    }
}

/// Real file systems, mounted where only the process sees them. Needs the right to mount (root, or user namespaces);
/// `tools/test-rust.sh` leaves them out, and says so, where there is none.
#[cfg(target_os = "linux")]
mod mounted {
    use super::*;
    use std::fs;

    /// A command that runs this binary after `mount`, a line for the shell.
    fn behind(mount: &str) -> std::process::Command {
        let mut command = std::process::Command::new("unshare");
        command
            .arg(if rustix::process::geteuid().is_root() {
                "-m"
            } else {
                "-rm"
            })
            .args(["sh", "-ec", &format!("{mount}; exec \"$@\""), "sh"])
            .arg(std::env::current_exe().expect("the test binary"));
        command
    }

    /// `path` as that process sees it.
    fn seen_by(process: &Process, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", process.pid()));
        root.join(path.strip_prefix("/").expect("absolute"))
    }

    #[test]
    fn a_disk_that_fills_up_harms_no_entry_and_is_used_again_when_it_has_room() {
        let (emulator, home) = (emulator(), home());
        let folder = home.path().join("store");
        fs::create_dir(&folder).expect("made");
        let url = format!("file://{}", folder.display());
        let mount = format!(
            "mount -t tmpfs -o size=256k,mode=700 tmpfs {}",
            folder.display()
        );
        let options = [("store", url.as_str()), ("min_refresh_interval_s", "0")];
        let mut process = Process::start_as(behind(&mount), &emulator, &[], &options);
        let first = process.token();
        let store = process.stats()["store"].clone();
        assert_eq!(store["active"], "file", "{store}");

        let inside = seen_by(&process, &folder);
        let entry = entry(&inside, "token");
        let before = fs::read(&entry).expect("readable");
        let filler = inside.join("filler");
        let full = fs::write(&filler, vec![0; 1 << 20]).expect_err("more than there is room for");
        assert_eq!(full.raw_os_error(), Some(libc::ENOSPC));

        let second = token_in(&process.ask("force"));
        assert_ne!(second, first);
        degrades(&mut process, "No space left");
        assert_eq!(fs::read(&entry).expect("readable"), before, "whole");
        assert_eq!(left_behind(&inside), 0);

        fs::remove_file(&filler).expect("removed");
        // A store that failed rests for a second.
        process.ask("advance 1001");
        let third = token_in(&process.ask("force"));
        assert!(third != first && third != second);
        let store = process.stats()["store"].clone();
        assert_eq!(store["active"], "file", "{store}");
        assert_ne!(fs::read(&entry).expect("readable"), before);
    }

    #[test]
    fn a_disk_that_is_full_from_the_start_gives_everyone_a_token() {
        let (emulator, home) = (emulator(), home());
        let folder = home.path().join("store");
        fs::create_dir(&folder).expect("made");
        let url = format!("file://{}", folder.display());
        // Each file takes a page: the room ends at another place each time, until there is enough.
        let mut ends = Vec::new();
        for pages in 1..=8 {
            let mount = format!(
                "mount -t tmpfs -o size={},mode=700 tmpfs {}",
                pages * 4096,
                folder.display()
            );
            let options = [("store", url.as_str())];
            let mut process = Process::start_as(behind(&mount), &emulator, &[], &options);
            let (active, reason) = health(&mut process);
            assert!(
                (active == "file") == reason.is_empty()
                    && (active == "memory") != reason.is_empty(),
                "{pages}: {active}: {reason}"
            );
            if active == "memory" {
                assert!(reason.contains("No space left"), "{pages}: {reason}");
                let file = reason.split(':').next().unwrap_or_default();
                ends.push(
                    Path::new(file)
                        .extension()
                        .map(|kind| kind.to_string_lossy().into_owned()),
                );
            } else {
                assert!(pages > 2, "{pages} pages are enough for everything");
                ends.push(Some("enough".to_owned()));
            }
        }
        ends.dedup();
        assert!(ends.len() > 2, "{ends:?}");
        assert_eq!(ends.last(), Some(&Some("enough".to_owned())), "{ends:?}");
    }

    #[test]
    fn a_read_only_mount_is_read_and_beyond_that_degrades() {
        let (emulator, home) = (emulator(), home());
        let folder = home.path().join(".cache/p21auth");
        let shared = Process::start(&emulator, home.path(), &[FILE]).token();
        let mount = format!(
            "mount --bind {0} {0}; mount -o remount,bind,ro {0}",
            folder.display()
        );
        let behind = |options: &[(&str, &str)]| {
            let environment = [("HOME", Some(home.path()))];
            Process::start_as(behind(&mount), &emulator, &environment, options)
        };
        let mut reader = behind(&[FILE, ("min_refresh_interval_s", "0")]);
        assert_eq!(reader.token(), shared, "what is there can be had");
        assert_eq!(requests(&emulator), 1);
        assert_ne!(token_in(&reader.ask("force")), shared);
        degrades(&mut reader, "Read-only");
        let required = [
            FILE,
            ("store_required", "1"),
            ("min_refresh_interval_s", "0"),
        ];
        let answer = behind(&required).ask("force");
        assert!(
            answer.starts_with("err P21_E_STORE") && answer.contains("Read-only"),
            "{answer}"
        );
        assert_eq!(requests(&emulator), 2);
    }
}
