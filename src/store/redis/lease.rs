//! The right to ask the server, in Redis: it ends by itself unless its holder renews it.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::server::Server;
use super::{FENCE_MS, LEASE_MS, key, scripts};
use crate::store::{Change, Fault, Keep, Lease, Published};

/// How often it is renewed while the server is asked.
const RENEW: Duration = Duration::from_secs(2);

pub(super) struct RedisLease {
    server: Arc<Server>,
    name: String,
    owner: String,
    fence: Vec<u8>,
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
        fence: Vec<u8>,
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

impl Lease for RedisLease {
    fn keep(&mut self) {
        crate::sys::pin_library();
        let (stop, stopped) = mpsc::channel();
        let server = Arc::clone(&self.server);
        let keys = ["lease", "fence", "token"].map(|kind| key(&self.name, kind));
        let (owner, fence) = (self.owner.clone(), self.fence.clone());
        let renew = move || {
            while let Err(mpsc::RecvTimeoutError::Timeout) = stopped.recv_timeout(RENEW) {
                let arguments = [owner.as_bytes(), LEASE_MS, &fence, FENCE_MS];
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
        let put = |entry: Option<Keep<'_>>| match entry {
            Some(keep) => (keep.bytes.to_vec(), keep.keep_ms.max(1).to_string()),
            None => (Vec::new(), "1".to_owned()),
        };
        let (token, token_ms) = put(change.token);
        let (denial, denial_ms) = match change.denial {
            Some(None) => (Vec::new(), "0".to_owned()),
            other => put(other.flatten()),
        };
        self.over.set(true);
        let stored = self.server.script::<bool>(
            scripts::PUBLISH,
            &["lease", "fence", "token", "denied"].map(|kind| key(&self.name, kind)),
            &[
                self.owner.as_bytes(),
                &self.fence,
                &token,
                token_ms.as_bytes(),
                &denial,
                denial_ms.as_bytes(),
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
            let lease = [key(&self.name, "lease")];
            // Should the server not hear it, the lease ends by itself.
            let _ = self
                .server
                .script::<bool>(scripts::RELEASE, &lease, &[self.owner.as_bytes()]);
        }
    }
}
