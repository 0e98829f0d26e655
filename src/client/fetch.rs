//! How one client's credentials reach the server: wire, retry and transport put together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::binding::{Binding, Secrets};
use super::cell::ClientCell;
use super::runtime::{Runtime, public_identity};
use crate::cache::{Fetch, Fetched, Issued, Reloaded, Routed};
use crate::error::{Code, Error, Result};
use crate::http::Transport;
use crate::options::{AuthMode, Settings};
use crate::retry::{self, Exchange, Policy};
use crate::secret::{Scrubber, Secret, oddity};
use crate::store::seal::{Keys, Salt};
use crate::token::{Token, effective_life, jwt_claims, skew_s};
use crate::wire::{self, Request};

/// One client's way to the server.
pub(super) struct ServerFetch {
    pub(super) runtime: Arc<Runtime>,
    pub(super) settings: Arc<Settings>,
    pub(super) secrets: Secrets,
    /// What the server has sent to whichever client of the identity.
    pub(super) issued: Arc<Issued>,
}

impl ServerFetch {
    /// Sends the request, and knows the secrets that its answer must not show.
    pub(super) fn exchange(
        &self,
        request: &Request,
        limit: Duration,
        on_try: &dyn Fn(),
    ) -> Result<(Exchange, Scrubber)> {
        let policy = Policy {
            max_retries: self.settings.max_retries,
            max_body: self.settings.max_response_bytes,
        };
        self.exchange_with(&policy, request, limit, on_try)
    }

    /// As [`ServerFetch::exchange`], as often and as much as `policy` says.
    pub(super) fn exchange_with(
        &self,
        policy: &Policy,
        request: &Request,
        limit: Duration,
        on_try: &dyn Fn(),
    ) -> Result<(Exchange, Scrubber)> {
        let transport: Arc<dyn Transport> = (self.runtime.transports)(&self.settings.transport)?;
        let exchange = retry::exchange(
            &*transport,
            &*self.runtime.clock,
            request,
            policy,
            limit,
            &self.runtime.random,
            on_try,
        );
        let scrubber = self.scrubber(&*transport, request);
        match exchange {
            Ok(exchange) => Ok((exchange, scrubber)),
            // The host that a redirect names is the server's text.
            Err(error) if error.code() == Code::Redirect => {
                Err(error.with_text(|text| scrubber.hide(text)))
            }
            Err(error) => Err(error),
        }
    }

    /// A refusal says of credentials that look damaged what is odd about them.
    fn name_damage(&self, mut error: Error) -> Error {
        if error.code() != Code::Unauthorized {
            return error;
        }
        let user = self.settings.username.as_deref().unwrap_or_default();
        let secret = if self.settings.auth_mode.uses_consumer_key() {
            "consumer key"
        } else {
            "password"
        };
        for (what, text) in [
            ("username", user),
            (secret, self.secrets.credential.expose()),
        ] {
            if let Some((damage, advice)) = oddity(text) {
                let hint = format!("The {what} {damage}. {advice} {}", error.hint());
                error = error
                    .with_note(&format!("the {what} {damage}"))
                    .with_hint(hint);
            }
        }
        error
    }

    /// Knows every secret that the server or a proxy on the way might write into its answers.
    fn scrubber(&self, transport: &dyn Transport, request: &Request) -> Scrubber {
        let mut scrubber = self.issued.scrubber();
        let user = self.settings.username.as_deref().unwrap_or_default();
        scrubber.add_login(user, &self.secrets.credential);
        if let Some((user, password)) = transport.proxy_login(&request.url) {
            scrubber.add_login(&user, &password);
        }
        scrubber
    }
}

impl Fetch for ServerFetch {
    fn token(&self, limit: Duration, on_try: &dyn Fn()) -> Result<Fetched> {
        let request = wire::token_request(&self.settings, &self.secrets.credential)?;
        let (exchange, scrubber) = self.exchange(&request, limit, on_try)?;
        let (sent, received) = (exchange.sent, exchange.received);
        let reply = wire::token_reply(
            &request,
            &exchange.response,
            self.settings.auth_mode,
            &scrubber,
            received.unix(),
        )
        .map_err(|error| self.name_damage(error))?;
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
        let identity = public_identity(&self.settings);
        let Secrets {
            credential,
            store_key,
        } = &self.secrets;
        Keys::derive(salt, &identity, credential, store_key)
    }

    fn ui_url(&self, token: &Token, limit: Duration, on_try: &dyn Fn()) -> Result<Routed> {
        let request = wire::ui_router_request(&self.settings, &Secret::new(token.value()))?;
        let (exchange, scrubber) = self.exchange(&request, limit, on_try)?;
        let response = &exchange.response;
        let result = wire::ui_url_reply(
            &self.settings.base_url,
            response,
            &scrubber,
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

/// A client's way to the server, for a flight: its files are read first, and the client moves if a secret changed.
pub(super) struct BoundFetch {
    runtime: Arc<Runtime>,
    cell: &'static ClientCell,
    binding: Arc<Binding>,
    server: Arc<ServerFetch>,
}

impl BoundFetch {
    pub(super) fn new(
        runtime: &Arc<Runtime>,
        cell: &'static ClientCell,
        binding: &Arc<Binding>,
    ) -> BoundFetch {
        BoundFetch {
            runtime: Arc::clone(runtime),
            cell,
            binding: Arc::clone(binding),
            server: binding.server(runtime),
        }
    }
}

impl Fetch for BoundFetch {
    fn reload(&self, limit: Duration, reading: &dyn Fn(Option<String>)) -> Result<Reloaded> {
        if !Secrets::may_change(&self.binding.settings) {
            return Ok(Reloaded::Same);
        }
        let deadline = Instant::now() + limit;
        let reloaded = self
            .cell
            .reload(&self.runtime, &self.binding, deadline, reading);
        reading(None);
        match reloaded {
            Ok(true) => Ok(Reloaded::Moved),
            Ok(false) => Ok(Reloaded::Same),
            // It was freed meanwhile: a call that still waits asks by way of a client that is there.
            Err(error) if error.code() == Code::Closed => Ok(Reloaded::Moved),
            Err(error) => Err(error),
        }
    }

    fn token(&self, limit: Duration, on_try: &dyn Fn()) -> Result<Fetched> {
        self.server.token(limit, on_try)
    }

    fn ui_url(&self, token: &Token, limit: Duration, on_try: &dyn Fn()) -> Result<Routed> {
        self.server.ui_url(token, limit, on_try)
    }

    fn store_keys(&self, salt: &Salt) -> Result<Keys> {
        self.server.store_keys(salt)
    }
}
