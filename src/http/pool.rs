//! One transport for each set of settings, for the life of the process.

use std::sync::Arc;

use super::HttpTransport;
use crate::error::Result;
use crate::fork::Guarded;
use crate::options::TransportSettings;

/// Few processes know more than a handful of networks, so a list does.
static TRANSPORTS: Guarded<Vec<Arc<HttpTransport>>> = Guarded::new_static(Vec::new());

/// The transport for these settings, the same one each time. Threadless until it is first used.
///
/// # Errors
///
/// `Config` when `ca_file` cannot be used.
pub fn transport_for(settings: &TransportSettings) -> Result<Arc<HttpTransport>> {
    let find = |transports: &[Arc<HttpTransport>]| {
        transports
            .iter()
            .find(|transport| transport.settings == *settings)
            .cloned()
    };
    if let Some(transport) = TRANSPORTS.with(|transports| find(transports)) {
        return Ok(transport);
    }
    // Made outside of the lock, for it reads a file and the environment; whoever comes second takes the first one's.
    let made = Arc::new(HttpTransport::new(settings)?);
    Ok(TRANSPORTS.with(|transports| {
        find(transports).unwrap_or_else(|| {
            transports.push(Arc::clone(&made));
            made
        })
    }))
}
