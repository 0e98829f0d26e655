//! An emulated server with the CA file that a client needs to trust it, and calls of its APIs.

use std::time::Duration;

use tempfile::TempPath;

use p21_emulator::{Control, Emulator, Options};
use p21auth::Client;
use p21auth::Config;
use p21auth::internal::http::{Limits, Transport as _, transport_for};
use p21auth::internal::secret::Secret;
use p21auth::internal::wire::{Method, Request, Response};

use super::super::failure::Failure;
use super::Setup;
use super::c_interface::CClient;

/// A call of an API in the demo never takes longer.
const LIMIT: Duration = Duration::from_secs(30);

/// A full-scope key of the emulator.
pub(super) const KEY: &str = "00000000-0000-4000-8000-000000000001";
/// A key of the emulator for the UI server alone.
pub(super) const UI_KEY: &str = "00000000-0000-4000-8000-000000000004";

/// Options of a client, by name.
pub(super) type Pairs<'a> = &'a [(&'a str, &'a str)];

type Own = [(&'static str, String); 3];

fn with_own<'a>(own: &'a Own, pairs: Pairs<'a>) -> impl Iterator<Item = (&'a str, &'a str)> {
    let own = own.iter().map(|(name, value)| (*name, value.as_str()));
    own.chain(pairs.iter().copied())
}

/// An emulator, its control, and its CA in a file that goes away with it.
pub(super) struct Server {
    emulator: Emulator,
    pub control: Control,
    ca_file: TempPath,
}

impl Server {
    /// Starts one. `options.tls` must be set.
    pub fn start(options: Options) -> Setup<Server> {
        let failed = |error: std::io::Error| {
            Failure::other(format!("the emulator cannot start: {error}"), "")
        };
        let emulator = Emulator::start(options).map_err(failed)?;
        let ca_file = tempfile::Builder::new()
            .prefix("p21auth-demo-")
            .suffix(".pem")
            .tempfile()
            .map_err(failed)?
            .into_temp_path();
        emulator.write_ca(&ca_file).map_err(failed)?;
        Ok(Server {
            control: emulator.control(),
            emulator,
            ca_file,
        })
    }

    pub fn base_url(&self) -> &str {
        self.emulator.base_url()
    }

    /// The SHA-256 of its certificate.
    pub fn pin(&self) -> &str {
        self.emulator.leaf_sha256().unwrap_or_default()
    }

    /// A configuration that trusts this server's CA, with `pairs` on top; an empty value means not set.
    pub fn config(&self, pairs: Pairs<'_>) -> Setup<Config> {
        let mut config = Config::new();
        let own = self.own();
        for (name, value) in with_own(&own, pairs) {
            config.set(name, Some(value).filter(|value| !value.is_empty()))?;
        }
        Ok(config)
    }

    /// What it takes to reach this server.
    fn own(&self) -> Own {
        [
            ("base_url", self.base_url().to_owned()),
            ("ca_file", self.ca_file.to_string_lossy().into_owned()),
            // No matter what proxy this machine uses, the emulator is not behind it.
            ("proxy", "direct".to_owned()),
        ]
    }

    /// A client of the C interface.
    pub fn c_client(&self, pairs: Pairs<'_>) -> Setup<CClient> {
        CClient::open(with_own(&self.own(), pairs)).map_err(Failure::from)
    }

    pub fn client(&self, pairs: Pairs<'_>) -> Setup<Client> {
        Ok(Client::open(&self.config(pairs)?)?)
    }

    /// A client of the emulator's user `demo`.
    pub fn demo_client(&self, extra: Pairs<'_>) -> Setup<Client> {
        let mut pairs = vec![("username", "demo"), ("password", "demo-password")];
        pairs.extend(extra);
        self.client(&pairs)
    }

    pub fn token_requests(&self) -> u64 {
        self.control.counter("token.requests")
    }

    /// Reads a row of the `OData` table, as an application would.
    pub fn odata(&self, authorization: Option<&str>) -> Setup<Response> {
        // Whose configuration does not matter: only the way to the server is used.
        let settings = self.config(&[("consumer_key", KEY)])?.settings()?;
        let mut headers = vec![("Accept", Secret::new("application/json"))];
        headers.extend(authorization.map(|value| ("Authorization", Secret::new(value))));
        let request = Request {
            method: Method::Get,
            url: settings
                .base_url
                .join("/odataservice/odata/table/customer?$top=1")?,
            headers,
            body: None,
        };
        Ok(transport_for(&settings.transport)?.send(&request, &Limits::new(LIMIT, 1 << 20))?)
    }
}
