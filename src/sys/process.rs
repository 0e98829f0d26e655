//! Starts a program in a process group of its own.
//!
//! std's `Command` leaves a child the signal mask of the thread that starts it, and the threads of this library block every
//! signal: a program that waits for one of them, a shell for example, would then wait indefinitely. So `posix_spawn` is
//! called here.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, PipeReader};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd as _;
use std::ptr::null_mut;

use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, waitpid};

/// How a child has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// With this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
    /// The program ignores SIGCHLD, or waits for every child itself: the system no longer knows.
    Unknown,
}

/// A child and its process group. It is killed, whole, and waited for unless it has ended.
pub(crate) struct Child {
    pid: Pid,
    exit: Option<Exit>,
}

impl Child {
    /// How it ended; `None` while it runs.
    pub(crate) fn exit(&mut self) -> Option<Exit> {
        if self.exit.is_none() {
            self.exit = self.wait(WaitOptions::NOHANG);
        }
        self.exit
    }

    fn wait(&self, options: WaitOptions) -> Option<Exit> {
        loop {
            match waitpid(Some(self.pid), options) {
                Ok(Some((_, status))) => {
                    let exit = status.exit_status().map(Exit::Status);
                    let signal = || status.terminating_signal().map(Exit::Signal);
                    return exit.or_else(signal);
                }
                Ok(None) => return None,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return Some(Exit::Unknown),
            }
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.exit().is_none() {
            // Its number is still its own: it has not been waited for.
            let _ = kill_process_group(self.pid, Signal::KILL);
            self.exit = self.wait(WaitOptions::empty());
        }
    }
}

fn checked(status: libc::c_int) -> io::Result<()> {
    match status {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

struct Actions(MaybeUninit<libc::posix_spawn_file_actions_t>);

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: `spawn` makes a value of this type only after `posix_spawn_file_actions_init` has filled it.
        unsafe { libc::posix_spawn_file_actions_destroy(self.0.as_mut_ptr()) };
    }
}

struct Attributes(MaybeUninit<libc::posix_spawnattr_t>);

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: `spawn` makes a value of this type only after `posix_spawnattr_init` has filled it.
        unsafe { libc::posix_spawnattr_destroy(self.0.as_mut_ptr()) };
    }
}

/// Starts the first of `paths` that can be run, with these words and this environment: standard input and standard error are
/// the null device, no signal is blocked, and SIGPIPE and SIGCHLD do what they do by default. Returns it and what it prints,
/// which is read without waiting.
///
/// # Errors
///
/// That of the last path; `NotFound` without any.
pub(crate) fn spawn(
    paths: &[CString],
    words: &[CString],
    environment: &[CString],
) -> io::Result<(Child, File)> {
    let (reader, writer) = io::pipe()?;
    let (mut actions, mut attributes) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: `actions` is room for what the call fills.
    checked(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
    let mut actions = Actions(actions);
    // SAFETY: `attributes` is room for what the call fills.
    checked(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
    let mut attributes = Attributes(attributes);
    let to = actions.0.as_mut_ptr();
    // Standard output first: the pipe may have the number of another standard stream that the program has closed.
    // SAFETY: `to` was initialized above; the descriptor is open; the paths are C strings that outlive the calls.
    unsafe {
        checked(libc::posix_spawn_file_actions_adddup2(
            to,
            writer.as_raw_fd(),
            libc::STDOUT_FILENO,
        ))?;
        for (descriptor, how) in [
            (libc::STDIN_FILENO, libc::O_RDONLY),
            (libc::STDERR_FILENO, libc::O_WRONLY),
        ] {
            checked(libc::posix_spawn_file_actions_addopen(
                to,
                descriptor,
                c"/dev/null".as_ptr(),
                how,
                0,
            ))?;
        }
    }
    let with = attributes.0.as_mut_ptr();
    let mut signals = MaybeUninit::<libc::sigset_t>::uninit();
    let flags =
        libc::POSIX_SPAWN_SETPGROUP | libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF;
    let flags = libc::c_short::try_from(flags).map_err(io::Error::other)?;
    // SAFETY: `with` was initialized above; `signals` is filled by `sigemptyset` before it is read, and copied by the calls.
    unsafe {
        libc::sigemptyset(signals.as_mut_ptr());
        checked(libc::posix_spawnattr_setsigmask(with, signals.as_ptr()))?;
        libc::sigaddset(signals.as_mut_ptr(), libc::SIGPIPE);
        libc::sigaddset(signals.as_mut_ptr(), libc::SIGCHLD);
        checked(libc::posix_spawnattr_setsigdefault(with, signals.as_ptr()))?;
        checked(libc::posix_spawnattr_setpgroup(with, 0))?;
        checked(libc::posix_spawnattr_setflags(with, flags))?;
    }
    let pointers = |texts: &[CString]| -> Vec<*mut libc::c_char> {
        let all = texts.iter().map(|text| text.as_ptr().cast_mut());
        all.chain([null_mut()]).collect()
    };
    let (words, environment) = (pointers(words), pointers(environment));
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for path in paths {
        let path: &CStr = path;
        let mut pid: libc::pid_t = 0;
        // SAFETY: all pointers are to initialized objects or NULL-terminated arrays of C strings, which outlive the call.
        let started = checked(unsafe {
            libc::posix_spawn(
                &raw mut pid,
                path.as_ptr(),
                to,
                with,
                words.as_ptr(),
                environment.as_ptr(),
            )
        });
        match (started, Pid::from_raw(pid)) {
            (Ok(()), Some(pid)) => {
                let child = Child { pid, exit: None };
                rustix::io::ioctl_fionbio(&reader, true)?;
                return Ok((child, file(reader)));
            }
            (Ok(()), None) => {}
            (Err(error), _) => last = error,
        }
    }
    Err(last)
}

fn file(reader: PipeReader) -> File {
    File::from(std::os::fd::OwnedFd::from(reader))
}
