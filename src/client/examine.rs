//! Single questions to the APIs, for a diagnosis: each is sent once, and none makes the client do anything about the answer.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::Client;
use crate::cache::{Fetch as _, Routed};
use crate::error::Result;
use crate::retry::{Exchange, Policy};
use crate::secret::{Scrubber, Secret};
use crate::token::Token;
use crate::wire::{self, Method, Request, Response};

/// What an API answered.
pub struct Asked {
    /// The response.
    pub response: Response,
    /// What it means.
    pub verdict: Result<()>,
}

/// A call of any kind. Whether its URL may get the token is for the caller to check.
pub struct ApiCall {
    /// How.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Headers, in the place of the library's of the same name.
    pub headers: Vec<(&'static str, Secret)>,
    /// What is sent.
    pub body: Option<Secret>,
    /// Largest body of a response, in bytes.
    pub max_body: usize,
}

fn judged(
    name: &str,
    url: &Url,
    exchange: Exchange,
    mut scrubber: Scrubber,
    token: Option<&Token>,
) -> Asked {
    if let Some(token) = token {
        scrubber.add(&Secret::new(token.value()));
    }
    let now = exchange.received.unix();
    let verdict = wire::api_reply(name, url, &exchange.response, &scrubber, now);
    Asked {
        response: exchange.response,
        verdict,
    }
}

impl Client {
    /// Reads `url` with `token`, or without one, and judges the answer. Unlike [`Client::report`] it drops nothing.
    ///
    /// # Errors
    ///
    /// The network's; `Closed`.
    pub(crate) fn ask_api(&self, name: &str, url: &Url, token: Option<&Token>) -> Result<Asked> {
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
        let (exchange, scrubber) = server.exchange(&request, limit, &|| ())?;
        Ok(judged(name, url, exchange, scrubber, token))
    }

    /// Sends any call with `token`, once, and judges the answer; drops nothing. Only reading is tried again after a transient
    /// failure.
    ///
    /// # Errors
    ///
    /// The network's; `TooLarge`; `Closed`.
    pub fn call_api(&self, call: &ApiCall, token: &Token) -> Result<Asked> {
        let binding = self.0.binding()?;
        let (server, settings) = (binding.server(&self.0.runtime), &binding.settings);
        let mut request =
            wire::api_request(settings, call.url.clone(), &Secret::new(token.value()))?;
        request.method = call.method;
        request.body.clone_from(&call.body);
        let named = |name: &str| {
            call.headers
                .iter()
                .any(|(n, _)| n.eq_ignore_ascii_case(name))
        };
        request.headers.retain(|(name, _)| !named(name));
        request.headers.extend(call.headers.iter().cloned());
        let reads = matches!(call.method, Method::Get | Method::Head);
        let policy = Policy {
            max_retries: if reads { settings.max_retries } else { 0 },
            max_body: call.max_body,
        };
        let limit = Duration::from_millis(settings.timeout_ms);
        let (exchange, scrubber) = server.exchange_with(&policy, &request, limit, &|| ())?;
        Ok(judged("API", &call.url, exchange, scrubber, Some(token)))
    }

    /// The UI server's URL by this very token. [`Client::ui_url`] would get another one if it were rejected.
    ///
    /// # Errors
    ///
    /// The router's, as [`Client::ui_url`] has them.
    pub(crate) fn ask_router(&self, token: &Arc<Token>) -> Result<String> {
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
