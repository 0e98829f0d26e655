//! Single questions to the APIs, for a diagnosis: each is sent once, and none makes the client do anything about the answer.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::Client;
use crate::cache::{Fetch as _, Routed};
use crate::error::Result;
use crate::secret::Secret;
use crate::token::Token;
use crate::wire::{self, Method, Request, Response};

/// What an API answered.
pub struct Asked {
    /// The response.
    pub response: Response,
    /// What it means.
    pub verdict: Result<()>,
}

impl Client {
    /// Reads `url` with `token`, or without one, and judges the answer. Unlike [`Client::report`] it drops nothing.
    ///
    /// # Errors
    ///
    /// The network's; `Closed`.
    pub fn ask_api(&self, name: &str, url: &Url, token: Option<&Token>) -> Result<Asked> {
        let binding = self.0.binding()?;
        let (server, settings) = (binding.server(&self.0.runtime), &binding.settings);
        let request = match token {
            Some(token) => wire::api_request(settings, url.clone(), &Secret::new(token.value()))?,
            None => Request {
                method: Method::Get,
                url: url.clone(),
                headers: wire::common_headers(settings),
                body: None,
            },
        };
        let limit = Duration::from_millis(settings.timeout_ms);
        let (exchange, mut scrubber) = server.exchange(&request, limit, &|| ())?;
        if let Some(token) = token {
            scrubber.add(&Secret::new(token.value()));
        }
        let verdict = wire::api_reply(
            name,
            url,
            &exchange.response,
            &scrubber,
            exchange.received.unix(),
        );
        Ok(Asked {
            response: exchange.response,
            verdict,
        })
    }

    /// The UI server's URL by this very token. [`Client::ui_url`] would get another one if it were rejected.
    ///
    /// # Errors
    ///
    /// The router's, as [`Client::ui_url`] has them.
    pub fn ask_router(&self, token: &Arc<Token>) -> Result<String> {
        let binding = self.0.binding()?;
        let limit = Duration::from_millis(binding.settings.timeout_ms);
        match binding
            .server(&self.0.runtime)
            .ui_url(token, limit, &|| ())?
        {
            Routed::Url(url) => Ok(url),
            Routed::Rejected(error) => Err(error),
        }
    }
}
