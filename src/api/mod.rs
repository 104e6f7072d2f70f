//! What machines ask: whether the daemon is well, and how much of what it did.
//!
//! `/healthz` says that the process answers, `/readyz` that it can do its work and start again, `/metrics` counts in the text format of
//! OpenMetrics, which Prometheus reads. Knows nothing of how mail is delivered: it hears the events of each commit and is
//! handed a picture of the moment. What always holds: nothing here changes anything but one row that says when it was last
//! tried to write; no address of a person appears; the number of time series has a bound, whatever mail comes and goes.

mod gauges;
mod ledger;

pub use ledger::{Ledger, Naming};

use crate::clock::Clock;
use crate::model::{Span, Timestamp};
use crate::net::http::{self, Site};
use crate::net::tls::identity::Identity;
use crate::queue::view::View;
use crate::service::hasher::Hasher;
use crate::store::{Store, StoreError};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use prometheus_client::encoding::text;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The text format of OpenMetrics.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How long an answer about the store holds: nobody makes it write more often by asking.
const FRESH: Span = Span::from_secs(1);
/// How long the store may take to write a row, or to count.
const PATIENCE: Span = Span::from_secs(5);

/// Gives a picture of delivery at this moment.
pub type Look = Arc<dyn Fn() -> View + Send + Sync>;

/// What is gone when a part has ended, and what to say then.
pub type Vital = (Weak<()>, &'static str);

/// What the answers are made of.
pub struct Parts {
    /// The database.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// What has been counted.
    pub ledger: Arc<Ledger>,
    /// Hashes passwords, and counts that.
    pub hasher: Hasher,
    /// Delivery at this moment.
    pub look: Look,
    /// The certificates that are shown.
    pub identities: Vec<Identity>,
    /// Each is held by somebody for as long as a part works; with what is the matter where nobody holds it any more.
    pub vital: Vec<Vital>,
    /// Whether the keys can be read: without them there is no next start.
    pub keys: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Turns true when the daemon stops.
    pub stopping: watch::Receiver<bool>,
}

/// The answers; clones share them.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    parts: Parts,
    /// When it was last tried to write, and whether that went well.
    tried: Mutex<Option<(Timestamp, bool)>>,
}

/// Answers on `listeners` until `stop` is done.
pub async fn serve(api: Api, listeners: Vec<TcpListener>, stop: impl Future<Output = ()>) {
    let clock = api.0.parts.clock.clone();
    let site = Site { name: "api", router: api.router(), tls: None, clock, trusted: Vec::new() };
    http::serve(site, listeners, stop).await;
}

impl Api {
    /// Puts the answers together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner { parts, tried: Mutex::default() }))
    }

    fn router(&self) -> Router {
        Router::new()
            .route("/healthz", get(|| async { plain(StatusCode::OK, "ok") }))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .fallback(|| async { plain(StatusCode::NOT_FOUND, "there is nothing here") })
            .with_state(self.clone())
    }

    /// Says what keeps the daemon from its work.
    async fn trouble(&self) -> Option<&'static str> {
        let parts = &self.0.parts;
        if *parts.stopping.borrow() {
            return Some("the daemon is stopping");
        }
        if let Some((_, trouble)) = parts.vital.iter().find(|(part, _)| part.strong_count() == 0) {
            return Some(trouble);
        }
        let keys = Arc::clone(&parts.keys);
        if !tokio::task::spawn_blocking(move || keys()).await.unwrap_or(false) {
            return Some("the keys cannot be read");
        }
        (!self.can_write().await).then_some("the store cannot be written")
    }

    /// Writes a row, unless that was tried a moment ago.
    async fn can_write(&self) -> bool {
        let Parts { store, clock, .. } = &self.0.parts;
        let now = clock.now();
        let tried = *self.0.tried.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, well)) = tried.filter(|(at, _)| at.plus(FRESH) > now) {
            tracing::trace!(%at, well, "the store was asked a moment ago");
            return well;
        }
        let writing = store.write::<_, StoreError, _>(move |tx| tx.set_budget("readyz", "", now));
        let well = match clock.within(now.plus(PATIENCE), writing).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the store cannot be written");
                false
            }
            Err(late) => {
                tracing::warn!(?late, "the store takes too long to write");
                false
            }
        };
        *self.0.tried.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, well));
        well
    }

    /// Writes down all numbers.
    async fn numbers(&self) -> Result<String, &'static str> {
        let Parts { store, clock, ledger, hasher, look, identities, .. } = &self.0.parts;
        let now = clock.now();
        let counting = store.read::<_, StoreError, _>(move |tx| tx.crowds(now));
        let crowds = match clock.within(now.plus(PATIENCE), counting).await {
            Ok(Ok(crowds)) => crowds,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the metrics lack what the store knows");
                return Err("the store cannot be read");
            }
            Err(late) => {
                tracing::warn!(?late, "the metrics lack what the store knows");
                return Err("the store takes too long");
            }
        };
        let writable = self.can_write().await;
        let gauges = gauges::registry(&look(), &crowds, identities, hasher.computed(), writable, now, ledger);
        let mut out = String::new();
        let written = text::encode_registry(&mut out, ledger.registry())
            .and_then(|()| text::encode_registry(&mut out, &gauges))
            .and_then(|()| text::encode_eof(&mut out));
        written.map(|()| out).ok().ok_or("the numbers cannot be written")
    }
}

async fn ready(State(api): State<Api>) -> Response {
    match api.trouble().await {
        None => plain(StatusCode::OK, "ready"),
        Some(trouble) => plain(StatusCode::SERVICE_UNAVAILABLE, trouble),
    }
}

async fn metrics(State(api): State<Api>) -> Response {
    match api.numbers().await {
        Ok(numbers) => (head(OPEN_METRICS), numbers).into_response(),
        Err(trouble) => plain(StatusCode::SERVICE_UNAVAILABLE, trouble),
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    (status, head("text/plain; charset=utf-8"), format!("{text}\n")).into_response()
}

const fn head(kind: &'static str) -> [(HeaderName, &'static str); 3] {
    [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")]
}

#[cfg(test)]
mod tests;
