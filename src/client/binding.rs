//! What a client is bound to: under which identity, on which slot, and by which way to the server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fetch::ServerFetch;
use super::{Reuse, Runtime};
use crate::cache::decide::Windows;
use crate::cache::{Board, Fetch, Hold, SharedTokens, Slot, SlotInfo, SlotKey, SlotOptions};
use crate::error::Result;
use crate::fork::Once;
use crate::log::{self, Level};
use crate::options::{AuthMode, Credential, Settings, StoreChoice};
use crate::secret::Secret;
use crate::store::seal;
use crate::token::Token;
use crate::wire;

/// The secrets that settings name, as they were read.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secrets {
    pub(super) credential: Secret,
    /// Empty without one, and where nothing is shared.
    pub(super) store_key: Secret,
}

impl Secrets {
    /// Reads them by the deadline. `reading` is told option and path of a file before it is read.
    ///
    /// # Errors
    ///
    /// As [`Credential::read`](crate::options::Credential::read).
    pub(super) fn read(
        settings: &Settings,
        deadline: Instant,
        reading: &dyn Fn(Option<String>),
    ) -> Result<Secrets> {
        let read = |credential: &Credential| {
            reading(credential.source());
            credential.read(deadline)
        };
        let store_key = match &settings.store.key {
            Some(key) if shares(settings) => read(key)?,
            _ => Secret::default(),
        };
        Ok(Secrets {
            credential: read(&settings.credential)?,
            store_key,
        })
    }

    /// Whether any of them is kept elsewhere, and so may change.
    pub(super) fn may_change(settings: &Settings) -> bool {
        let key = settings.store.key.as_ref();
        settings.credential.may_change()
            || shares(settings) && key.is_some_and(Credential::may_change)
    }
}

/// Whether tokens leave the process.
fn shares(settings: &Settings) -> bool {
    settings.auth_mode != AuthMode::Token && settings.store.choice != StoreChoice::Memory
}

/// The settings, its secret as it was read, and its slot.
pub(crate) struct Binding {
    pub(super) settings: Arc<Settings>,
    pub(super) key: SlotKey,
    pub(super) slot: Arc<Slot>,
    /// What hits read, and the client's windows.
    pub(super) hold: Arc<Hold>,
    pub(super) secrets: Secrets,
    fetch: Once<Arc<ServerFetch>>,
}

impl Binding {
    /// A binding of settings and what was read for them; the rest of what they name is read by the deadline.
    pub(super) fn new(
        runtime: &Arc<Runtime>,
        mut settings: Settings,
        secrets: Secrets,
        board: &'static Board,
        deadline: Instant,
    ) -> Result<Binding> {
        let own = settings.auth_mode == AuthMode::Token;
        if own {
            // A token is valid until it expires: no windows.
            (settings.refresh_margin_ms, settings.max_token_age_ms) = (0, 0);
        } else {
            // What can never be sent is better said now than at the first call.
            wire::token_request(&settings, &secrets.credential)?;
        }
        let transport = (runtime.transports)(&settings.transport)?;
        transport.check(settings.base_url.url())?;
        transport.prepare(deadline)?;
        for exposure in settings.exposures() {
            log::record(Level::Warn, "file.exposed", &exposure);
        }
        if !settings.transport.tls.verify {
            let message = format!(
                "{}: tls_verify=0, any certificate is accepted: for development only",
                settings.base_url
            );
            log::record(Level::Warn, "tls.unverified", &message);
        }
        let token = if own {
            Some(Token::own(&secrets.credential, runtime.clock.now())?)
        } else {
            None
        };
        let stores = if own {
            Vec::new()
        } else {
            runtime.stores.open(&settings)?
        };
        let identity = runtime.identity(&settings, &secrets);
        let windows = Windows {
            refresh_margin_ms: settings.refresh_margin_ms,
            max_token_age_ms: settings.max_token_age_ms,
        };
        let hold = Hold::new(board, windows, Duration::from_millis(settings.timeout_ms));
        let slot = runtime.registry.open(identity.key, &hold, || {
            let info = SlotInfo {
                base_url: settings.base_url.to_string(),
                auth_mode: settings.auth_mode,
                fingerprint: identity.fingerprint,
            };
            Slot::new(
                slot_options(&settings),
                info,
                SharedTokens::new(stores, settings.store.required),
                Arc::clone(&runtime.clock),
                Arc::clone(&runtime.spawn),
                runtime.random,
            )
        });
        if let Some(token) = token {
            slot.install_own(token);
        }
        Ok(Binding {
            hold,
            settings: Arc::new(settings),
            key: identity.key,
            slot,
            secrets,
            fetch: Once::new(),
        })
    }

    /// One client less on the slot.
    pub(super) fn leave(&self, runtime: &Runtime) {
        runtime.registry.close(&self.key, &self.slot, &self.hold);
    }

    /// A token of one's own was reported: its file is read before the next call.
    pub(super) fn reload_before_next(&self) {
        if self.settings.credential.may_change() {
            self.slot.block(&self.hold);
        }
    }

    pub(super) fn is_own(&self) -> bool {
        self.settings.auth_mode == AuthMode::Token
    }

    /// What the entries of a shared store are sealed with; `None` without such a store.
    pub(super) fn sealed_with(&self) -> Option<&'static str> {
        self.slot.shared()?;
        Some(
            match (
                seal::is_random(&self.secrets.credential),
                self.secrets.store_key.is_empty(),
            ) {
                (true, _) => "consumer key",
                (false, false) => "password and store_key",
                (false, true) => "password",
            },
        )
    }

    pub(super) fn has_live_token(&self) -> bool {
        let now = self.slot.clock().now();
        self.slot
            .current()
            .is_some_and(|token| token.life.left_ms(now) > 0)
    }

    /// The way to the server, with what the slot's first opener chose.
    pub(super) fn fetch(&self, runtime: &Arc<Runtime>) -> Arc<dyn Fetch> {
        self.server(runtime)
    }

    pub(super) fn server(&self, runtime: &Arc<Runtime>) -> Arc<ServerFetch> {
        let fetch = self.fetch.get_or_init(|| {
            let mut settings = Arc::clone(&self.settings);
            if slot_options(&settings) != self.slot.options {
                let chosen = &self.slot.options;
                settings = Arc::new(Settings {
                    default_lifetime_ms: chosen.default_lifetime_ms,
                    max_retries: chosen.max_retries,
                    max_response_bytes: chosen.max_response_bytes,
                    user_agent: chosen.user_agent.clone(),
                    ..(*settings).clone()
                });
            }
            Arc::new(ServerFetch {
                runtime: Arc::clone(runtime),
                settings,
                secrets: self.secrets.clone(),
                issued: Arc::clone(self.slot.issued()),
            })
        });
        Arc::clone(fetch)
    }

    pub(super) fn reuse(&self) -> Reuse {
        let shared = self.settings.store.choice != StoreChoice::Memory;
        Reuse {
            slot: Arc::clone(&self.slot),
            windows: self.hold.windows,
            most_ms: if shared { 1_000 } else { 60_000 },
        }
    }
}

/// What the first opener of a slot decides for all.
pub(crate) fn slot_options(settings: &Settings) -> SlotOptions {
    SlotOptions {
        min_refresh_interval_ms: settings.min_refresh_interval_ms,
        cooldown_ms: settings.bad_credentials_cooldown_ms,
        default_lifetime_ms: settings.default_lifetime_ms,
        max_retries: settings.max_retries,
        max_response_bytes: settings.max_response_bytes,
        user_agent: settings.user_agent.clone(),
    }
}
