//! One transport for each set of settings, for the life of the process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{HttpTransport, Transport as _};
use crate::error::Result;
use crate::fork::Guarded;
use crate::options::TransportSettings;

/// Few processes know more than a handful of networks, so a list does.
static TRANSPORTS: Guarded<Vec<Arc<HttpTransport>>> = Guarded::new_static(Vec::new());

/// The transport for these settings, the same one each time, ready for use. Threadless until it is first used.
///
/// # Errors
///
/// `Config` when `ca_file` cannot be used.
pub fn transport_for(settings: &TransportSettings) -> Result<Arc<HttpTransport>> {
    let transport = pooled(settings);
    let limit = Duration::from_millis(settings.connect_timeout_ms);
    transport.prepare(Instant::now() + limit)?;
    Ok(transport)
}

/// As [`transport_for`], before any file is read: see [`Transport::prepare`].
pub(crate) fn pooled(settings: &TransportSettings) -> Arc<HttpTransport> {
    let find = |transports: &[Arc<HttpTransport>]| {
        transports
            .iter()
            .find(|transport| transport.settings == *settings)
            .cloned()
    };
    if let Some(transport) = TRANSPORTS.with(|transports| find(transports)) {
        return transport;
    }
    // Made outside of the lock, for it reads the environment; the second one takes the first one's.
    let made = Arc::new(HttpTransport::unread(settings));
    TRANSPORTS.with(|transports| {
        find(transports).unwrap_or_else(|| {
            transports.push(Arc::clone(&made));
            made
        })
    })
}
