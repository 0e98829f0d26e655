//! The latest tokens of an identity, the current one or not: a server may echo them long after, and then they are to be
//! recognized.

use std::collections::VecDeque;

use crate::fork::Guarded;
use crate::secret::{Scrubber, Secret};
use crate::token::Reply;

/// As many are kept, refresh tokens counted: what is likely to turn up in someone's error text.
const MAX_ISSUED: usize = 8;

/// Access and refresh tokens, newest last.
#[derive(Default)]
pub(crate) struct Issued(Guarded<VecDeque<Secret>>);

impl Issued {
    /// Notes what a reply brought.
    pub(crate) fn remember(&self, reply: &Reply) {
        let secrets = [Some(&reply.access_token), reply.refresh_token.as_ref()];
        self.0.with(|issued| {
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
    pub(crate) fn scrubber(&self) -> Scrubber {
        let known: Vec<Secret> = self.0.with(|issued| issued.iter().cloned().collect());
        Scrubber::new(&known)
    }
}
