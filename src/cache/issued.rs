//! The latest tokens of an identity, the current one or not: a server may echo them long after, and then they are to be
//! recognised.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::fork;
use crate::secret::{Scrubber, Secret};
use crate::token::Reply;

/// As many are kept, refresh tokens counted: what is likely to turn up in somebody's error text.
const MAX_ISSUED: usize = 8;

/// Access and refresh tokens, newest last.
#[derive(Default)]
pub struct Issued(Mutex<VecDeque<Secret>>);

impl Issued {
    fn with<R>(&self, work: impl FnOnce(&mut VecDeque<Secret>) -> R) -> R {
        fork::section(|| work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Notes what a reply brought.
    pub fn remember(&self, reply: &Reply) {
        let secrets = [Some(&reply.access_token), reply.refresh_token.as_ref()];
        self.with(|issued| {
            for secret in secrets.into_iter().flatten() {
                issued.retain(|known| known != secret);
                issued.push_back(secret.clone());
            }
            let old = issued.len().saturating_sub(MAX_ISSUED);
            issued.drain(..old);
        });
    }

    /// A scrubber that knows them all.
    #[must_use]
    pub fn scrubber(&self) -> Scrubber {
        let known: Vec<Secret> = self.with(|issued| issued.iter().cloned().collect());
        Scrubber::new(&known)
    }
}
