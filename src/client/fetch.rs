//! How one client's credentials reach the server: wire, retry and transport put together.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::runtime::{Runtime, public_identity};
use crate::cache::{Fetch, Fetched, Routed};
use crate::error::{Code, Result};
use crate::fork;
use crate::http::Transport;
use crate::options::{AuthMode, ProxyChoice, Settings};
use crate::retry::{self, Exchange, Policy};
use crate::secret::{Scrubber, Secret};
use crate::store::seal::{Keys, Salt};
use crate::token::{Reply, Token, effective_life, jwt_claims, skew_s};
use crate::wire::{self, Request};

/// One client's way to the server.
pub(super) struct ServerFetch {
    pub(super) runtime: Arc<Runtime>,
    pub(super) settings: Arc<Settings>,
    pub(super) secret: Secret,
    /// The last few tokens and refresh tokens that came this way: a server may echo them long after, and then they are to be
    /// recognised.
    pub(super) issued: Mutex<VecDeque<Secret>>,
}

/// As many as are likely to turn up in somebody's error text.
const MAX_ISSUED: usize = 8;

impl ServerFetch {
    pub(super) fn exchange(
        &self,
        request: &Request,
        limit: Duration,
        on_try: &dyn Fn(),
    ) -> Result<Exchange> {
        let policy = Policy {
            max_retries: self.settings.max_retries,
            max_body: self.settings.max_response_bytes,
        };
        let transport: Arc<dyn Transport> = (self.runtime.transports)(&self.settings.transport)?;
        retry::exchange(
            &*transport,
            &*self.runtime.clock,
            request,
            &policy,
            limit,
            &self.runtime.random,
            on_try,
        )
        // The host that a redirect names is the server's text.
        .map_err(|error| match error.code() {
            Code::Redirect => {
                let scrubber = self.scrubber(None);
                error.with_text(|text| scrubber.hide(text))
            }
            _ => error,
        })
    }

    fn with_issued<R>(&self, work: impl FnOnce(&mut VecDeque<Secret>) -> R) -> R {
        fork::section(|| work(&mut self.issued.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    fn remember(&self, reply: &Reply) {
        let secrets = [Some(&reply.access_token), reply.refresh_token.as_ref()];
        self.with_issued(|issued| {
            issued.extend(secrets.into_iter().flatten().cloned());
            let old = issued.len().saturating_sub(MAX_ISSUED);
            issued.drain(..old);
        });
    }

    pub(super) fn scrubber(&self, token: Option<&Token>) -> Scrubber {
        let mut scrubber =
            self.with_issued(|issued| Scrubber::new(issued.iter().chain([&self.secret])));
        if let Some(token) = token {
            scrubber.add(&Secret::new(token.value()));
            scrubber.add(&Secret::new(
                token.field("RefreshToken").unwrap_or_default(),
            ));
        }
        // A proxy's error page may tell who logged in to it, and with what.
        if let ProxyChoice::Url(url) = &self.settings.transport.proxy
            && let Ok(url) = url::Url::parse(url.expose())
        {
            let password = url.password().unwrap_or_default();
            scrubber.add(&Secret::new(password));
            scrubber.add(&Secret::new(crate::secret::percent_decoded(
                password.as_bytes(),
            )));
        }
        scrubber
    }
}

impl Fetch for ServerFetch {
    fn token(&self, limit: Duration, on_try: &dyn Fn()) -> Result<Fetched> {
        let request = wire::token_request(&self.settings, &self.secret)?;
        let exchange = self.exchange(&request, limit, on_try)?;
        let (sent, received) = (exchange.sent, exchange.received);
        let reply = wire::token_reply(
            &request,
            &exchange.response,
            self.settings.auth_mode,
            &self.scrubber(None),
            received.unix(),
        )?;
        self.remember(&reply);
        let claims = jwt_claims(reply.access_token.expose());
        let date = wire::server_date_unix(&exchange.response);
        let life = effective_life(
            &reply,
            claims.as_ref(),
            sent,
            received,
            date,
            self.settings.default_lifetime_ms,
        );
        Ok(Fetched {
            reply,
            life,
            skew_s: skew_s(sent, received, date),
        })
    }

    fn store_keys(&self, salt: &Salt) -> Result<Keys> {
        let store_key = match &self.settings.store.key {
            Some(key) => key.read()?,
            None => Secret::default(),
        };
        let identity = public_identity(&self.settings);
        Keys::derive(salt, &identity, &self.secret, &store_key)
    }

    fn ui_url(&self, token: &Token, limit: Duration, on_try: &dyn Fn()) -> Result<Routed> {
        let request = wire::ui_router_request(&self.settings, &Secret::new(token.value()))?;
        let exchange = self.exchange(&request, limit, on_try)?;
        let response = &exchange.response;
        let result = wire::ui_url_reply(
            &self.settings.base_url,
            response,
            &self.scrubber(Some(token)),
            exchange.received.unix(),
        );
        match result {
            Ok(url) => Ok(Routed::Url(url)),
            Err(error) => {
                let dead = wire::classify_rejection(response.status, &response.body).verdict()
                    == wire::Verdict::Retry;
                if dead && self.settings.auth_mode != AuthMode::Token {
                    Ok(Routed::Rejected(error))
                } else {
                    Err(error)
                }
            }
        }
    }
}
