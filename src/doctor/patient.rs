//! What is examined: a client of its own, whose way to the server is watched.

use std::sync::Arc;
use std::time::Duration;

use super::watch::{Watch, Watched};
use crate::client::{Client, Runtime};
use crate::error::Result;
use crate::http::{Transport, pooled};
use crate::options::{Config, Settings, TransportSettings};

/// What the options came to.
pub(super) struct Opened {
    pub(super) config: Config,
    pub(super) patient: Patient,
}

/// What has been found to work, for the steps that need it.
pub(super) struct Patient {
    pub(super) client: Client,
    pub(super) settings: Arc<Settings>,
}

/// A client whose way to the server is watched. It tries nothing twice, and waits no longer than `limit`.
pub(super) fn open(
    mut config: Config,
    limit: Option<Duration>,
    watch: &Arc<Watch>,
) -> Result<Opened> {
    config.set("max_retries", Some("0"))?;
    let settings = config.settings()?;
    if let Some(limit) = limit {
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).max(1);
        for (name, own) in [
            ("timeout_ms", settings.timeout_ms),
            ("connect_timeout_ms", settings.transport.connect_timeout_ms),
        ] {
            config.set(name, Some(&own.min(limit).to_string()))?;
        }
    }
    let watch = Arc::clone(watch);
    let runtime = Runtime::over(Box::new(move |settings: &TransportSettings| {
        Ok(Arc::new(Watched {
            inner: pooled(settings),
            watch: Arc::clone(&watch),
        }) as Arc<dyn Transport>)
    }));
    let client = Client::open_in(&runtime, &config)?;
    let settings = client.settings()?;
    Ok(Opened {
        config,
        patient: Patient { client, settings },
    })
}
