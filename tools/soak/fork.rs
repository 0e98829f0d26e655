//! Children of a process in full swing.

use std::time::{Duration, Instant};

use p21auth::Code;

use crate::world::Identity;

/// Longer than any call of a client may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// The child got a token of someone else.
const STRANGER: i32 = 254;

/// What a child says of its one call.
pub enum Said {
    Token,
    Stranger,
    Failed(Code),
    /// It had to be killed, or died.
    Lost,
}

/// Forks a child that takes a token of this identity.
pub fn child(identity: &Identity) -> Said {
    let client = identity.client();
    // SAFETY: the child makes one call and leaves by _exit, so no destructor of the parent's runs twice.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Said::Lost;
    }
    if pid == 0 {
        let status = match client.token() {
            Ok(token) if identity.owns(&token) => 0,
            Ok(_) => STRANGER,
            Err(error) => {
                let at = Code::ALL.iter().position(|code| *code == error.code());
                at.and_then(|at| i32::try_from(at + 1).ok()).unwrap_or(253)
            }
        };
        // SAFETY: leaves the child without running anything else.
        unsafe { libc::_exit(status) };
    }
    wait_for(pid)
}

fn wait_for(pid: libc::pid_t) -> Said {
    let end = Instant::now() + PATIENCE;
    loop {
        let mut status = 0;
        // SAFETY: `pid` is a child of this process and `status` a valid out pointer.
        let done = unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) };
        if done == pid {
            return match (libc::WIFEXITED(status), libc::WEXITSTATUS(status)) {
                (true, 0) => Said::Token,
                (true, STRANGER) => Said::Stranger,
                (true, at) => {
                    let at = usize::try_from(at - 1).unwrap_or(usize::MAX);
                    Code::ALL
                        .get(at)
                        .map_or(Said::Lost, |code| Said::Failed(*code))
                }
                _ => Said::Lost,
            };
        }
        if Instant::now() > end {
            // SAFETY: as above.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            // SAFETY: as above.
            unsafe { libc::waitpid(pid, &raw mut status, 0) };
            return Said::Lost;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
