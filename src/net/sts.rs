//! MTA-STS: what a domain publishes by HTTPS about the servers that take its mail (RFC 8461).
//!
//! A TXT record says that there is a policy, and by its id that there is a new one; the policy is fetched, kept in the store
//! over restarts, and fetched again before it ends. A domain whose policy cannot be fetched keeps the one it had, and has
//! none where it had none.
//!
//! Knows nothing of connections to mail servers. What always holds: a policy comes only from a server that is known by its
//! certificate; nobody waits longer for one than the fetch may take; a domain is asked once at a time, and after a failure
//! not again for a while; a record that is gone ends no policy (RFC 8461 3.1).

mod fetch;
mod policy;

use super::resolver::{Reach, Resolver};
use crate::clock::Clock;
use crate::model::{Domain, Span, Timestamp};
use crate::store::{Store, StoreError, StsMode, StsPolicy};
use fetch::Fetcher;
pub use policy::allows;
pub(super) use policy::id_of;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

/// How long a domain is left alone after a failure (RFC 8461 3.3).
const AGAIN: Span = Span::from_secs(300);
/// The oldest a policy becomes before it is fetched again, long as it may hold (RFC 8461 10.2).
const REFRESH: Span = Span::from_secs(86_400);
/// How many domains' attempts are remembered.
const ATTEMPTS_MAX: usize = 4_096;

/// Where policies are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The port; 443 but in a world of its own.
    pub port: u16,
    /// Which addresses may be asked.
    pub reach: Reach,
}

/// Knows domains' policies. Clones share what is known.
#[derive(Clone)]
pub struct Sts(Arc<Desk>);

struct Desk {
    resolver: Resolver,
    fetcher: Fetcher,
    store: Store,
    clock: Clock,
    attempts: Mutex<HashMap<Domain, Arc<Attempt>>>,
}

/// One fetch, begun by the first who asks and awaited by all.
struct Attempt {
    begun: Timestamp,
    id: String,
    found: OnceCell<Option<StsPolicy>>,
}

impl Sts {
    /// Takes who answers about names, how servers of policies are known, and where policies are kept.
    #[must_use]
    pub fn new(resolver: Resolver, verified: TlsConnector, place: Place, store: Store, clock: Clock) -> Self {
        let fetcher = Fetcher::new(resolver.clone(), verified, place, clock.clone());
        Self(Arc::new(Desk { resolver, fetcher, store, clock, attempts: Mutex::default() }))
    }

    /// Gives the policy that a domain has now.
    pub async fn policy(&self, domain: &Domain) -> Option<StsPolicy> {
        let desk = &self.0;
        let now = desk.clock.now();
        let known = desk.known(domain).await.filter(|policy| now < policy.expires_at);
        let found = match desk.published(domain).await {
            Some(id) if known.as_ref().is_none_or(|known| known.id != id || refresh_at(known) <= now) => {
                desk.renewed(domain, id).await.or(known)
            }
            Some(_) | None => known,
        };
        found.filter(|policy| policy.mode != StsMode::None)
    }
}

impl Desk {
    async fn known(&self, domain: &Domain) -> Option<StsPolicy> {
        let of = domain.clone();
        match self.store.read::<_, StoreError, _>(move |tx| tx.sts_policy(&of)).await {
            Ok(known) => known,
            Err(error) => {
                tracing::warn!(%domain, %error, "whether the domain has an MTA-STS policy cannot be read");
                None
            }
        }
    }

    /// Asks for the id of the policy that the domain says it has.
    async fn published(&self, domain: &Domain) -> Option<String> {
        let name: Domain = format!("_mta-sts.{domain}").parse().ok()?;
        id_of(&self.resolver.texts(&name).await.ok()?)
    }

    /// Fetches the policy, or waits for who does so already.
    async fn renewed(&self, domain: &Domain, id: String) -> Option<StsPolicy> {
        let attempt = self.attempt(domain, id);
        attempt.found.get_or_init(|| Box::pin(self.fetched(domain, &attempt.id))).await.clone()
    }

    fn attempt(&self, domain: &Domain, id: String) -> Arc<Attempt> {
        let now = self.clock.now();
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = attempts.get(domain)
            && last.goes_for(&id, now)
        {
            return Arc::clone(last);
        }
        if attempts.len() >= ATTEMPTS_MAX {
            attempts.retain(|_, attempt| now < attempt.begun.plus(AGAIN));
        }
        if attempts.len() >= ATTEMPTS_MAX {
            attempts.clear();
        }
        let attempt = Arc::new(Attempt { begun: now, id, found: OnceCell::new() });
        attempts.insert(domain.clone(), Arc::clone(&attempt));
        attempt
    }

    async fn fetched(&self, domain: &Domain, id: &str) -> Option<StsPolicy> {
        let policy = match self.fetcher.fetch(domain).await {
            Ok(text) => policy::read(&text, id, self.clock.now()).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match policy {
            Ok(policy) => {
                self.keep(domain, &policy).await;
                Some(policy)
            }
            Err(why) => {
                tracing::warn!(%domain, why, "the domain's MTA-STS policy cannot be fetched");
                None
            }
        }
    }

    async fn keep(&self, domain: &Domain, policy: &StsPolicy) {
        let (of, kept) = (domain.clone(), policy.clone());
        if let Err(error) = self.store.write::<_, StoreError, _>(move |tx| tx.put_sts_policy(&of, &kept)).await {
            tracing::warn!(%domain, %error, "the domain's MTA-STS policy cannot be kept");
        }
    }
}

impl Attempt {
    /// Says whether its end is the answer for a policy with this id: it goes on, or ended not long ago and failed, or
    /// fetched that one.
    fn goes_for(&self, id: &str, now: Timestamp) -> bool {
        let failed = self.found.get().is_none_or(Option::is_none);
        now < self.begun.plus(AGAIN) && (failed || self.id == id)
    }
}

fn refresh_at(policy: &StsPolicy) -> Timestamp {
    let half = Span::from_millis(policy.max_age.millis() / 2);
    policy.fetched_at.plus(half.min(REFRESH))
}
