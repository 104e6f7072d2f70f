//! Whether a domain's servers have spoken TLS, and what it means that they do not any more.
//!
//! Knows nothing of connections. What always holds: a day's connections to a domain cost one look into the store at the
//! most; a domain whose TLS is gone gets its mail all the same, and it is told once a day.

use crate::clock::Clock;
use crate::model::{Domain, Span, Timestamp};
use crate::store::{Store, StoreError};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How long ago TLS may have been had for its end to be worth a word.
const LATELY: Span = Span::from_secs(30 * 86_400);
/// How often a domain is noted.
const OFTEN: Span = Span::from_secs(86_400);
/// How many domains are known to have been noted.
const DOMAINS_MAX: usize = 10_000;

/// Remembers.
pub(super) struct Memory {
    store: Store,
    clock: Clock,
    noted: Mutex<HashMap<Domain, (bool, Timestamp)>>,
}

impl Memory {
    pub(super) fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock, noted: Mutex::default() }
    }

    /// Notes that a connection to one of a domain's servers is secured, or is not though that was wanted.
    pub(super) async fn note(&self, domain: &Domain, secured: bool) {
        let now = self.clock.now();
        if !self.is_news(domain, secured, now) {
            return;
        }
        let of = domain.clone();
        let noting = self.store.write::<_, StoreError, _>(move |tx| {
            let before = tx.domain_memory(&of)?;
            tx.note_tls(&of, secured, now)?;
            Ok(before.tls_seen_at)
        });
        match noting.await {
            Ok(Some(seen)) if !secured && now < seen.plus(LATELY) => {
                tracing::warn!(%domain, last = %seen, "TLS is gone from the domain's servers; its mail goes in plain text");
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%domain, %error, "whether the domain's servers speak TLS cannot be noted"),
        }
    }

    fn is_news(&self, domain: &Domain, secured: bool, now: Timestamp) -> bool {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.get(domain).is_some_and(|(last, at)| *last == secured && now < at.plus(OFTEN)) {
            return false;
        }
        if noted.len() >= DOMAINS_MAX {
            noted.clear();
        }
        noted.insert(domain.clone(), (secured, now));
        true
    }
}
