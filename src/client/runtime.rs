//! What all clients of a process share: slots, clock, threads, transports and chance.

use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::binding::Secrets;
use super::cell::ClientCell;
use crate::cache::{Registry, SlotKey, Spawn, ThreadSpawner};
use crate::clock::{Clock, SystemClock};
use crate::error::Result;
use crate::fork::{Guarded, Once};
use crate::http::{self, Transport};
use crate::options::{Settings, TransportSettings};
use crate::secret::{Secret, fingerprint};
use crate::store::StoreRegistry;

static GLOBAL: Once<Arc<Runtime>> = Once::new();

pub(crate) type Transports = dyn Fn(&TransportSettings) -> Result<Arc<dyn Transport>> + Send + Sync;

/// The owner of everything that outlives a client. A process has one; tests make their own, with a hand-set clock and a
/// scripted transport.
pub struct Runtime {
    pub(super) registry: Registry,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) spawn: Arc<dyn Spawn>,
    pub(super) random: fn(u64) -> u64,
    pub(super) transports: Box<Transports>,
    pub(super) stores: StoreRegistry,
    /// Under which identities are hashed: a secret never leaves a trace that another process could compare.
    key: [u8; 32],
}

/// Cells of clients that are gone, ready to be taken again: they stay where they are for the life of the process, which may
/// see many runtimes.
static CELLS: Guarded<Vec<&'static ClientCell>> = Guarded::new_static(Vec::new());

impl Runtime {
    /// A runtime of its own.
    #[must_use]
    pub fn new(
        clock: Arc<dyn Clock>,
        spawn: Arc<dyn Spawn>,
        random: fn(u64) -> u64,
        transports: Box<Transports>,
    ) -> Arc<Runtime> {
        let mut key = [0; 32];
        // Without the system's generator the key is all zeros: identities are then told apart as well as ever.
        let _ = getrandom::fill(&mut key);
        Arc::new(Runtime {
            registry: Registry::default(),
            clock,
            spawn,
            random,
            transports,
            stores: StoreRegistry::default(),
            key,
        })
    }

    /// The process' own.
    #[must_use]
    pub fn global() -> &'static Arc<Runtime> {
        GLOBAL.get_or_init(|| {
            #[cfg(unix)]
            crate::fork::on_child(|| {
                if let Some(runtime) = GLOBAL.get() {
                    runtime.registry.after_fork();
                }
            });
            let transports =
                |settings: &TransportSettings| Ok(http::pooled(settings) as Arc<dyn Transport>);
            Runtime::over(Box::new(transports))
        })
    }

    /// A runtime on this system's clocks, threads and chance, no matter what its way to the server.
    pub fn over(transports: Box<Transports>) -> Arc<Runtime> {
        Runtime::new(
            Arc::new(SystemClock),
            Arc::new(ThreadSpawner),
            random,
            transports,
        )
    }

    pub(super) fn take_cell() -> &'static ClientCell {
        CELLS
            .with(Vec::pop)
            .unwrap_or_else(|| Box::leak(Box::new(ClientCell::new())))
    }

    pub(super) fn give_back_cell(cell: &'static ClientCell) {
        CELLS.with(|cells| cells.push(cell));
    }

    /// The identity of these settings with this secret: equal only when everything is that decides how a token is fetched.
    pub(super) fn identity(&self, settings: &Settings, secrets: &Secrets) -> Identity {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        let public = public_identity(settings);
        let proxy = match &settings.transport.proxy {
            crate::options::ProxyChoice::Url(url) => url.clone(),
            other => Secret::new(other.shown()),
        };
        let store = match &settings.store.choice {
            crate::options::StoreChoice::Redis(url) => url.clone(),
            other => Secret::new(other.shown()),
        };
        let transport = &settings.transport;
        let rest = format!(
            "{} {:?} {:?} {:?} {} {}",
            transport.connect_timeout_ms,
            transport.tls,
            transport.no_proxy,
            transport.resolve,
            settings.store.required,
            settings.store.timeout_ms
        );
        for part in [
            &public,
            secrets.credential.expose(),
            proxy.expose(),
            store.expose(),
            secrets.store_key.expose(),
            &rest,
        ] {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part.as_bytes());
        }
        Identity {
            key: mac.finalize().into_bytes().into(),
            fingerprint: fingerprint(public.as_bytes()),
        }
    }

    /// Number of identities known, those without an open client included.
    #[must_use]
    pub fn identities(&self) -> usize {
        self.registry.len()
    }
}

/// Who asks, as far as the cache is concerned.
pub(super) struct Identity {
    pub(super) key: SlotKey,
    /// Leaves the secret out.
    pub(super) fingerprint: String,
}

/// Base URL, mode, username and header profile: what distinguishes identities on every machine alike.
pub(super) fn public_identity(settings: &Settings) -> String {
    let headers = settings.v1_consumer_headers.name();
    let username = settings.username.as_deref().unwrap_or_default();
    format!(
        "{}\n{}\n{}\n{}",
        settings.base_url,
        settings.auth_mode.name(),
        username,
        headers
    )
}

/// Uniform in `0..below`, from the system's generator: one in user space would repeat itself after a fork.
fn random(below: u64) -> u64 {
    let mut bytes = [0; 8];
    let _ = getrandom::fill(&mut bytes);
    u64::from_le_bytes(bytes) % below.max(1)
}
