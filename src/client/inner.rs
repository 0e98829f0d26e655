//! What all clones of a client share, and how a call finds the slot that its client is on.

use std::sync::Arc;
use std::time::Instant;

use super::binding::{Binding, Secrets};
use super::cell::{ClientCell, Patience, closed};
use super::fetch::BoundFetch;
use super::{Runtime, TokenOptions};
use crate::cache::{Caller, Fetch, Slot, Waited};
use crate::error::{Code, Error, Result};
use crate::options::Settings;
use crate::token::Token;

/// One client. It is closed when the last clone goes.
pub(crate) struct ClientInner {
    pub(super) runtime: Arc<Runtime>,
    pub(super) cell: &'static ClientCell,
}

impl ClientInner {
    pub(super) fn open(
        runtime: &Arc<Runtime>,
        settings: Settings,
        deadline: Instant,
    ) -> Result<ClientInner> {
        let inner = ClientInner {
            runtime: Arc::clone(runtime),
            cell: Runtime::take_cell(),
        };
        inner.cell.open(runtime, settings, deadline)?;
        Ok(inner)
    }

    pub(super) fn binding(&self) -> Result<Arc<Binding>> {
        self.cell.state.load_full().ok_or_else(closed)
    }

    /// A hit, if there is one.
    #[inline]
    pub(super) fn hit<R>(
        &self,
        options: &TokenOptions,
        look: impl FnOnce(&Arc<Token>) -> R,
    ) -> Option<R> {
        self.cell.hit(options, &*self.runtime.clock, look)
    }

    #[cold]
    pub(super) fn acquire(&self, options: &TokenOptions) -> Result<Arc<Token>> {
        self.ask(options, |slot, caller| slot.acquire(options.wish(), caller))
    }

    /// Asks the slot on which the client is, and the next one if it moves meanwhile.
    pub(super) fn ask<T>(
        &self,
        options: &TokenOptions,
        work: impl Fn(&Arc<Slot>, &Caller<'_>) -> Result<Waited<T>>,
    ) -> Result<T> {
        let (runtime, cell) = (&self.runtime, self.cell);
        let start = runtime.clock.now().mono;
        let mut reloaded = false;
        loop {
            let binding = self.binding()?;
            let whole = options.wait_or(binding.settings.timeout_ms);
            let spent = || crate::clock::duration(runtime.clock.now().mono.saturating_sub(start));
            let patience = || {
                if options.no_wait || options.cached_only {
                    Patience::None
                } else {
                    Patience::Until(Instant::now() + whole.saturating_sub(spent()))
                }
            };
            if binding.hold.is_blocked() && cell.reload_own_token(runtime, &binding, patience())? {
                continue;
            }
            let fetch = || Arc::new(BoundFetch::new(runtime, cell, &binding)) as Arc<dyn Fetch>;
            let caller = Caller {
                windows: binding.hold.windows,
                hold: Some(&binding.hold),
                wait: whole.saturating_sub(spent()),
                no_wait: options.no_wait,
                presence: &|| cell.presence(&binding),
                fetch: &fetch,
            };
            let error = match work(&binding.slot, &caller) {
                Ok(Waited::Got(value)) => return Ok(value),
                Ok(Waited::Moved) => continue,
                Err(error) => error,
            };
            if binding.is_own() && error.code() == Code::TokenExpired {
                // Only its file can bring another.
                if !cell.reload_own_token(runtime, &binding, patience())? {
                    return Err(own_expired(&binding));
                }
            } else if error.code() == Code::Unauthorized
                && !reloaded
                && binding.settings.credential.may_change()
            {
                // Refused, but perhaps its source holds another secret by now.
                reloaded = true;
                if !cell.reload_refused(runtime, &binding, patience()) {
                    return Err(error);
                }
            } else {
                return Err(error);
            }
        }
    }

    pub(super) fn move_to(&self, settings: Settings, deadline: Instant) -> Result<()> {
        let secrets = Secrets::read(&settings, deadline, &|_| ())?;
        let board = &self.cell.board;
        let new = Binding::new(&self.runtime, settings, secrets, board, deadline)?;
        self.cell.move_if(&self.runtime, None, new)
    }

    pub(super) fn close(&self) {
        self.cell.close(&self.runtime);
    }
}

impl Drop for ClientInner {
    fn drop(&mut self) {
        self.close();
        // Not sooner: a clone of a closed client must not find another client in it.
        Runtime::give_back_cell(self.cell);
    }
}

/// Only the caller can bring another token.
pub(super) fn own_expired(binding: &Binding) -> Error {
    let hint = if binding.settings.credential.may_change() {
        "Put a new token where access_token_file or access_token_from points; it is read again automatically."
    } else {
        "Supply a new token: update the client (p21_client_update) with another access_token."
    };
    crate::cache::own_expired().with_hint(hint)
}
