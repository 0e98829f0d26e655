//! How far the HTTP stack got with a connection before it failed or its time was over: it says only *that* it failed.
//!
//! Each connection is made inside a task-local [`Progress`]. Hooks that the stack calls on its way leave marks there: the
//! store of TLS sessions (which stores none) is asked just before a handshake begins, the verifier when a certificate came.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use tower_layer::Layer;
use tower_service::Service;

tokio::task_local! {
    static PROGRESS: Arc<Progress>;
}

/// What has happened on one connection.
#[derive(Debug, Default)]
pub(super) struct Progress {
    handshakes: AtomicU8,
    certificates: AtomicU8,
}

/// A copy of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reached {
    /// TLS handshakes that began: with an `https` proxy, with the server.
    pub(super) handshakes: u8,
    /// Certificates that came in them.
    pub(super) certificates: u8,
}

/// A certificate came on the connection that is being made here, if one is.
pub(super) fn certificate_came() {
    mark(|progress| &progress.certificates);
}

fn mark(what: impl Fn(&Progress) -> &AtomicU8) {
    let _ = PROGRESS.try_with(|progress| what(progress).fetch_add(1, Ordering::Relaxed));
}

impl Progress {
    fn reached(&self) -> Reached {
        Reached {
            handshakes: self.handshakes.load(Ordering::Relaxed),
            certificates: self.certificates.load(Ordering::Relaxed),
        }
    }
}

/// Why there is no connection, somewhere in the HTTP stack's error.
#[derive(Debug)]
pub(super) struct NotConnected {
    pub(super) reached: Reached,
    /// `None`: its time was over.
    cause: Option<BoxError>,
}

type BoxError = Box<dyn StdError + Send + Sync>;

impl NotConnected {
    pub(super) fn timed_out(&self) -> bool {
        self.cause.is_none()
    }
}

impl fmt::Display for NotConnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not connected")
    }
}

impl StdError for NotConnected {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.cause {
            Some(cause) => Some(&**cause),
            None => None,
        }
    }
}

/// Bounds the stack's own connector, and reports how far it got.
#[derive(Clone, Copy)]
pub(super) struct Watched {
    pub(super) limit: Duration,
}

#[derive(Clone)]
pub(super) struct WatchedConnector<S> {
    inner: S,
    limit: Duration,
}

impl<S> Layer<S> for Watched {
    type Service = WatchedConnector<S>;

    fn layer(&self, inner: S) -> WatchedConnector<S> {
        WatchedConnector {
            inner,
            limit: self.limit,
        }
    }
}

impl<S, R> Service<R> for WatchedConnector<S>
where
    S: Service<R, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, to: R) -> Self::Future {
        let progress = Arc::new(Progress::default());
        let connecting = PROGRESS.sync_scope(Arc::clone(&progress), || self.inner.call(to));
        let connecting = PROGRESS.scope(Arc::clone(&progress), connecting);
        let limited = tokio::time::timeout(self.limit, connecting);
        Box::pin(async move {
            let cause = match limited.await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(cause)) => Some(cause),
                Err(_) => None,
            };
            Err(Box::new(NotConnected {
                reached: progress.reached(),
                cause,
            }) as BoxError)
        })
    }
}

/// Stores nothing: a token is asked for too seldom for a session to be worth resuming, and what was verified once would
/// not be verified again.
#[derive(Debug)]
pub(super) struct NoSessions;

impl ClientSessionStore for NoSessions {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, _: Tls13ClientSessionValue) {}

    /// Asked once at the start of each handshake.
    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        mark(|progress| &progress.handshakes);
        None
    }
}
