//! A client's cell: memory that outlives it, so that the C boundary can look at a client without taking a share in it, and
//! how the client in it moves when its secret or settings change.

use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::binding::{Binding, Secrets};
use super::{Runtime, TokenOptions};
use crate::cache::{Board, Presence};
use crate::clock::{Clock, SystemClock, millis};
use crate::error::{Code, Error, Result};
use crate::fork::Guarded;
use crate::options::Settings;
use crate::sources::{Jobs, Trouble};
use crate::sync::Published;
use crate::token::Token;

/// A file with a token of the caller's own is read no more often than this. A command waits twice as long each time.
const RELOAD_MS: i64 = 1_000;
/// The longest that a command waits.
const MOST_MS: i64 = 30_000;

/// Readings that calls share, by cell and binding: whether the client has moved.
static RELOADS: Jobs<Result<bool>> = Jobs::new();

/// What of a client is never freed: another client takes the cell over when it is gone.
#[repr(align(64))]
pub(crate) struct ClientCell {
    /// What hits read.
    pub(super) board: Board,
    /// What the client is open on; `None` once it is closed.
    pub(super) state: Published<Binding>,
    /// Held while the client moves from slot to slot, so that two moves do not cross.
    moving: Guarded<()>,
    /// Monotonic milliseconds at which files were last read again by a call.
    reloaded: AtomicI64,
    /// How long after it calls may cause another reading, in milliseconds.
    pause: AtomicI64,
    /// Files are being read in the background: one more than the epoch of the process that does it.
    reloading: AtomicU64,
}

impl ClientCell {
    pub(super) fn new() -> ClientCell {
        ClientCell {
            board: Board::new(),
            state: Published::empty(),
            moving: Guarded::new(()),
            reloaded: AtomicI64::new(i64::MIN),
            pause: AtomicI64::new(RELOAD_MS),
            reloading: AtomicU64::new(0),
        }
    }

    /// A hit by the system's clocks: board → token → clocks. No lock, no allocation, no write to shared memory but once in
    /// each tick of the clock.
    ///
    /// A caller that has no share in the client checks through `is_taken`, once the hit is safe from being dropped, that
    /// the cell is still that client's. If it is, so is the hit.
    #[inline]
    pub(crate) fn hit_now<R>(
        &self,
        is_taken: impl FnOnce() -> bool,
        look: impl FnOnce(&Token) -> R,
    ) -> Option<R> {
        let hit = self.board.hit();
        let hit = hit.as_ref()?;
        let is_fresh = hit.is_fresh_by_ticks(SystemClock::mono(), SystemClock::wall);
        (is_fresh && is_taken()).then(|| look(&hit.token))
    }

    /// A hit by any clock, if there is one for these options.
    #[inline]
    pub(crate) fn hit<R>(
        &self,
        options: &TokenOptions,
        clock: &dyn Clock,
        look: impl FnOnce(&Arc<Token>) -> R,
    ) -> Option<R> {
        if options.force_refresh {
            return None;
        }
        let hit = self.board.hit();
        let hit = hit.as_ref()?;
        let now = clock.now();
        let lives_long =
            options.min_valid.is_zero() || hit.token.life.left_ms(now) >= millis(options.min_valid);
        (lives_long && hit.is_fresh(now)).then(|| look(&hit.token))
    }

    pub(super) fn presence(&self, binding: &Arc<Binding>) -> Presence {
        match self.state.load().as_ref() {
            None => Presence::Closed,
            Some(now) if Arc::ptr_eq(now, binding) => Presence::Here,
            Some(_) => Presence::Moved,
        }
    }

    /// Opens a client in the cell.
    pub(super) fn open(
        &'static self,
        runtime: &Arc<Runtime>,
        settings: Settings,
        deadline: Instant,
    ) -> Result<()> {
        let secrets = Secrets::read(&settings, deadline, &|_| ())?;
        let binding = Binding::new(runtime, settings, secrets, &self.board, deadline)?;
        let binding = Arc::new(binding);
        self.reloaded.store(i64::MIN, Ordering::Relaxed);
        self.pause.store(RELOAD_MS, Ordering::Relaxed);
        self.state.store(Some(Arc::clone(&binding)));
        binding.slot.activate(&binding.hold);
        Ok(())
    }

    /// Opens the new binding, then leaves the old one; not if something else moved the client away from `from` meanwhile.
    pub(super) fn move_if(
        &'static self,
        runtime: &Runtime,
        from: Option<&Arc<Binding>>,
        new: Binding,
    ) -> Result<()> {
        self.moving.with(|()| {
            let Some(old) = self.state.load_full() else {
                new.leave(runtime);
                return Err(closed());
            };
            if from.is_some_and(|from| !Arc::ptr_eq(from, &old)) {
                new.leave(runtime);
                return Ok(());
            }
            // In this order: what is on the board is of the binding that calls find, or there is nothing on it.
            let new = Arc::new(new);
            old.slot.deactivate(&old.hold);
            self.state.store(Some(Arc::clone(&new)));
            new.slot.activate(&new.hold);
            self.pause.store(RELOAD_MS, Ordering::Relaxed);
            old.leave(runtime);
            Ok(())
        })
    }

    /// Closes the client, and waits until a shared store has been told what the client reported, for at most the time of
    /// one command of the store.
    pub(super) fn close(&'static self, runtime: &Runtime) {
        let old = self.moving.with(|()| {
            let old = self.state.swap(None)?;
            old.slot.deactivate(&old.hold);
            old.leave(runtime);
            Some(old)
        });
        if let Some(old) = old {
            let most = Duration::from_millis(old.settings.store.timeout_ms);
            old.slot.finish_telling(most);
        }
    }

    /// Reads the files with secrets by the deadline; a changed secret is another identity. Answers whether the client has
    /// moved.
    pub(super) fn reload(
        &'static self,
        runtime: &Arc<Runtime>,
        binding: &Arc<Binding>,
        deadline: Instant,
        reading: &dyn Fn(Option<String>),
    ) -> Result<bool> {
        let secrets = Secrets::read(&binding.settings, deadline, reading)?;
        if secrets == binding.secrets {
            return Ok(false);
        }
        let settings = (*binding.settings).clone();
        let new = Binding::new(runtime, settings, secrets, &self.board, deadline)?;
        self.move_if(runtime, Some(binding), new)?;
        Ok(true)
    }

    /// As [`ClientCell::reload`], once for all calls that need it at the same time, and not again before it is due.
    fn reload_shared(
        &'static self,
        runtime: &Arc<Runtime>,
        binding: &Arc<Binding>,
        deadline: Instant,
    ) -> Result<bool> {
        let has_moved = |cell: &ClientCell, of: &Arc<Binding>| cell.presence(of) != Presence::Here;
        let name = format!("{:p} {:p}", self, Arc::as_ptr(binding));
        let name = OsStr::new(&name);
        // In this order: a reading that has ended has moved the client before.
        if !self.is_due(runtime) && !RELOADS.is_running(name) {
            return Ok(has_moved(self, binding));
        }
        let (to, of) = (Arc::clone(runtime), Arc::clone(binding));
        let limit = Duration::from_millis(binding.settings.timeout_ms);
        let reading = RELOADS.run(name, deadline, move |_| {
            if !self.take_turn(&to, &of) {
                return Some(Ok(has_moved(self, &of)));
            }
            Some(self.reload(&to, &of, Instant::now() + limit, &|_| ()))
        });
        reading.unwrap_or_else(|lost| {
            let left = deadline.saturating_duration_since(Instant::now());
            let subject = binding.settings.credential.source().unwrap_or_default();
            Err(Trouble::of_job(lost, left).error(&subject, ""))
        })
    }

    /// Reads the source of `access_token` again when it is due. Answers whether the client has moved.
    pub(super) fn reload_own_token(
        &'static self,
        runtime: &Arc<Runtime>,
        binding: &Arc<Binding>,
        patience: Patience,
    ) -> Result<bool> {
        let credential = &binding.settings.credential;
        if !credential.may_change() {
            return Ok(false);
        }
        let is_live = binding.has_live_token();
        match patience {
            Patience::Until(deadline) if !is_live => self.reload_shared(runtime, binding, deadline),
            _ if !self.take_turn(runtime, binding) => Ok(false),
            // A token that is still valid is not withheld for a file that does not come, and a file that cannot be read
            // matters only once that token is dead.
            Patience::Until(deadline) if !credential.is_command() => {
                let moved = self.reload(runtime, binding, deadline.min(soon()), &|_| ());
                Ok(moved.unwrap_or(false))
            }
            _ => {
                self.reload_apart(runtime, binding);
                Ok(false)
            }
        }
    }

    /// Reads the files with secrets again after a refusal. Answers whether the client has moved.
    pub(super) fn reload_refused(
        &'static self,
        runtime: &Arc<Runtime>,
        binding: &Arc<Binding>,
        patience: Patience,
    ) -> bool {
        let moved = match patience {
            Patience::Until(deadline) if binding.settings.credential.is_command() => {
                self.reload_shared(runtime, binding, deadline)
            }
            // The refusal itself comes at once where the file does not.
            Patience::Until(deadline) => {
                self.reload(runtime, binding, deadline.min(soon()), &|_| ())
            }
            Patience::None => {
                if self.take_turn(runtime, binding) {
                    self.reload_apart(runtime, binding);
                }
                Ok(false)
            }
        };
        moved.unwrap_or(false)
    }

    /// Whether the last reading is long enough ago.
    fn is_due(&self, runtime: &Runtime) -> bool {
        let now = runtime.clock.now().mono;
        let last = self.reloaded.load(Ordering::Relaxed);
        now.saturating_sub(last) >= self.pause.load(Ordering::Relaxed)
    }

    /// Whether a reading is due. A caller that is told so reads.
    fn take_turn(&self, runtime: &Runtime, binding: &Binding) -> bool {
        let last = self.reloaded.load(Ordering::Relaxed);
        let now = runtime.clock.now().mono;
        let is_mine = self.is_due(runtime)
            && self
                .reloaded
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if is_mine && binding.settings.credential.is_command() {
            let pause = self.pause.load(Ordering::Relaxed);
            self.pause
                .store((pause * 2).min(MOST_MS), Ordering::Relaxed);
        }
        is_mine
    }

    /// Reads the files with secrets on a thread of the library: a call that must not wait finds the client moved later.
    fn reload_apart(&'static self, runtime: &Arc<Runtime>, binding: &Arc<Binding>) {
        // A child has none of its parent's threads.
        let mark = crate::fork::epoch() + 1;
        if self.reloading.swap(mark, Ordering::AcqRel) == mark {
            return;
        }
        let (to, of) = (Arc::clone(runtime), Arc::clone(binding));
        let done = Reloading(self);
        let job = move || {
            let limit = Duration::from_millis(of.settings.timeout_ms);
            // No matter what becomes of it, the next call that may wait is told.
            let _ = self.reload(&to, &of, Instant::now() + limit, &|_| ());
            drop(done);
        };
        let _ = runtime.spawn.spawn(Box::new(job));
    }
}

/// Until then a call waits for a file that it can do without.
fn soon() -> Instant {
    Instant::now() + crate::clock::duration(RELOAD_MS)
}

/// How long a call may wait for a file.
#[derive(Clone, Copy)]
pub(super) enum Patience {
    Until(Instant),
    /// Not at all: the file is read in the background.
    None,
}

/// Ends a reading in the background, no matter what becomes of its thread.
struct Reloading(&'static ClientCell);

impl Drop for Reloading {
    fn drop(&mut self) {
        self.0.reloading.store(0, Ordering::Release);
    }
}

pub(super) fn closed() -> Error {
    Error::new(Code::Closed, "the client is closed")
}
