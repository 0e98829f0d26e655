//! Waiting for the holder of a lock: a thread of the library waits for a *shared* lock, which all who wait get at once when
//! the holder lets go. Such a wait cannot be ended, so there is one thread for each file however often it is waited for, and
//! it stays behind when no call waits any more.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::lock::wait_until_free;
use crate::fork::PerProcess;
use crate::store::{Ticket, Wake};
use crate::sync::Pulse;

/// It only waits.
const STACK_BYTES: usize = 128 * 1024;
/// Where no thread can wait, the lock is tried again after this.
const POLL: Duration = Duration::from_millis(50);

#[derive(Clone, Default)]
pub(super) struct Waits(Arc<PerProcess<HashMap<PathBuf, Arc<Pulse>>>>);

impl Waits {
    /// Waits until the lock on `path` is free, at most so long. `limit`: for opening it.
    pub(super) fn wait(
        &self,
        path: &Path,
        ticket: &mut Ticket,
        most: Duration,
        limit: Duration,
    ) -> Wake {
        // All are woken at once, and while one of them looks whether the lock is free, another that does the same is in its
        // way: a little chance takes them apart.
        if ticket.vain > 0 {
            let mut chance = [0; 1];
            let _ = getrandom::fill(&mut chance);
            let pause = Duration::from_micros(u64::from(chance[0]) * 16);
            std::thread::sleep(pause.min(most));
        }
        ticket.vain = ticket.vain.saturating_add(1);
        let (pulse, seen, is_new) = self.0.with(|threads| {
            let known = threads.get(path).cloned();
            let is_new = known.is_none();
            let pulse = known.unwrap_or_default();
            threads.insert(path.to_owned(), Arc::clone(&pulse));
            let seen = pulse.seen();
            (pulse, seen, is_new)
        });
        if is_new && !self.start(path.to_owned(), limit) {
            self.0.with(|threads| threads.remove(path));
            pulse.beat();
            std::thread::sleep(POLL.min(most));
            return Wake::Nothing;
        }
        pulse.wait(seen, most, |_| false);
        if pulse.seen() == seen {
            Wake::Nothing
        } else {
            Wake::News
        }
    }

    fn start(&self, path: PathBuf, limit: Duration) -> bool {
        crate::sys::pin_library();
        let waits = self.clone();
        let job = move || {
            if wait_until_free(&path, limit).is_err() {
                std::thread::sleep(POLL);
            }
            if let Some(pulse) = waits.0.with(|threads| threads.remove(&path)) {
                pulse.beat();
            }
        };
        crate::sys::start_thread(c"p21auth-wait", STACK_BYTES, Box::new(job)).is_ok()
    }
}
