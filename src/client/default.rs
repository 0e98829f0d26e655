//! The process-wide default client, binding from the `P21_*` environment variables at first use.

use arc_swap::ArcSwapOption;

use super::Client;
use crate::error::Result;

static DEFAULT: ArcSwapOption<Client> = ArcSwapOption::const_empty();

/// The process-wide client of the `P21_*` environment variables, opened at the first call, and again after a failure to open.
/// It is the client that the C functions use when they are given NULL.
///
/// # Errors
///
/// As [`Client::from_env`], the missing variables named.
pub fn default_client() -> Result<Client> {
    with_default(|client| Ok(client.clone()))
}

/// Hands the default client to `work`, opening it first if need be, and again after a failure to open.
///
/// # Errors
///
/// As [`Client::from_env`], the missing variables named; whatever `work` answers.
pub(crate) fn with_default<R>(work: impl FnOnce(&Client) -> Result<R>) -> Result<R> {
    if let Some(client) = &*DEFAULT.load() {
        return work(client);
    }
    let binding = std::sync::Arc::new(Client::from_env("P21_")?);
    // Whoever comes first wins; another that binding meanwhile shares its slot anyway.
    let before = DEFAULT.compare_and_swap(
        &None::<std::sync::Arc<Client>>,
        Some(std::sync::Arc::clone(&binding)),
    );
    match &*before {
        Some(first) => work(first),
        None => work(&binding),
    }
}

/// Opens the default client anew from the environment; one that is in use moves and wakes its waiters.
///
/// # Errors
///
/// As [`Client::from_env`]; the client then stays as it was.
pub(crate) fn update_default() -> Result<()> {
    let mut config = crate::options::Config::new();
    config.load_env("P21_")?;
    with_default(|client| client.update(&config))
}
