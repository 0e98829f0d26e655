//! The right to ask the server, in Redis: it ends by itself unless its holder renews it.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::server::Server;
use super::{FENCE_MS, LEASE_MS, key, scripts};
use crate::store::{Change, Edit, Fault, Lease, Published};

/// How often it is renewed while the server is asked.
const RENEW: Duration = Duration::from_secs(2);

pub(super) struct RedisLease {
    server: Arc<Server>,
    name: String,
    /// What the lease holds while it is ours.
    owner: String,
    fence: String,
    /// Given back, or nothing is left to give back to.
    over: std::cell::Cell<bool>,
    /// The renewing thread ends when this is dropped.
    renewing: Option<mpsc::Sender<()>>,
}

impl RedisLease {
    pub(super) fn new(
        server: &Arc<Server>,
        name: &str,
        owner: String,
        fence: String,
    ) -> RedisLease {
        RedisLease {
            server: Arc::clone(server),
            name: name.to_owned(),
            owner,
            fence,
            over: false.into(),
            renewing: None,
        }
    }
}

/// Text and milliseconds as the script takes them: an entry without text stays as it is, one with 0 ms goes.
fn part(edit: Edit<'_>) -> (&[u8], String) {
    match edit {
        Edit::Leave => (&[], "1".to_owned()),
        Edit::Remove => (&[], "0".to_owned()),
        Edit::Put(keep) => (keep.bytes, keep.keep_ms.max(1).to_string()),
    }
}

impl Lease for RedisLease {
    fn keep(&mut self) {
        crate::sys::pin_library();
        let (stop, stopped) = mpsc::channel();
        let server = Arc::clone(&self.server);
        let keys = ["lease", "fence", "token"].map(|kind| key(&self.name, kind));
        let (owner, fence) = (self.owner.clone(), self.fence.clone());
        let renew = move || {
            while let Err(mpsc::RecvTimeoutError::Timeout) = stopped.recv_timeout(RENEW) {
                let arguments = [owner.as_bytes(), LEASE_MS, fence.as_bytes(), FENCE_MS];
                if server.script::<bool>(scripts::RENEW, &keys, &arguments) == Ok(false) {
                    return;
                }
            }
        };
        // Without a thread the lease lasts 6 s, which is enough for most requests; the fence guards the rest.
        let started = crate::sys::start_thread(c"p21auth-lease", 256 * 1024, Box::new(renew));
        self.renewing = started.is_ok().then_some(stop);
    }

    fn publish(&self, change: &Change<'_>) -> Result<Published, Fault> {
        let (token, token_ms) = part(change.token);
        let (denial, denial_ms) = part(change.denial);
        let (failure, failure_ms) = part(change.failure);
        self.over.set(true);
        let stored = self.server.script::<bool>(
            scripts::PUBLISH,
            &[
                "lease", "fence", "wake", "next", "token", "denied", "failed",
            ]
            .map(|kind| key(&self.name, kind)),
            &[
                self.owner.as_bytes(),
                self.fence.as_bytes(),
                token,
                token_ms.as_bytes(),
                denial,
                denial_ms.as_bytes(),
                failure,
                failure_ms.as_bytes(),
            ],
        )?;
        Ok(if stored {
            Published::Stored
        } else {
            Published::Fenced
        })
    }
}

impl Drop for RedisLease {
    fn drop(&mut self) {
        self.renewing = None;
        if !self.over.get() {
            let keys = ["lease", "wake", "next"].map(|kind| key(&self.name, kind));
            let arguments = [self.owner.as_bytes(), self.fence.as_bytes()];
            // Should the server not hear it, the lease ends by itself.
            let _ = self
                .server
                .script::<bool>(scripts::RELEASE, &keys, &arguments);
        }
    }
}
