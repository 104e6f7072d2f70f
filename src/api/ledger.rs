//! Counts what happened, event by event.
//!
//! Hears of each commit on the thread of the store, so it is quick. Knows nothing of why something happened. What always
//! holds: what was counted was committed; a counter never goes back; no more than [`DESTINATIONS`] destinations have a
//! series of their own, and all others share one.

use crate::maillog;
use crate::model::Domain;
use crate::store::{Event, Ordered};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// How many destinations have series of their own.
pub(super) const DESTINATIONS: usize = 200;
/// The name that all others share.
const OTHER: &str = "other";
/// The bounds of the times from order to acceptance, in seconds: what a waiting person notices, then what a day has.
const SECONDS: [f64; 17] =
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0];

/// Finds the destination that a recipient's domain belongs to.
pub type Naming = Arc<dyn Fn(&Domain) -> String + Send + Sync>;

/// Names and values.
pub(super) type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter>;

/// All counters.
pub struct Ledger {
    registry: Registry,
    naming: OnceLock<Naming>,
    known: Mutex<BTreeSet<String>>,
    commits: Counter,
    received: Counters,
    ignored: Counters,
    queued: Counters,
    outcomes: Counters,
    verdicts: Counters,
    deferrals: Counters,
    accepted_after: Family<Labels, Histogram>,
}

impl Default for Ledger {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("karamail");
        let commits = Counter::default();
        registry.register("store_commits", "Commits of the store in which something happened", commits.clone());
        let mut counters = |name: &str, help: &str| {
            let family = Counters::default();
            registry.register(name, help, family.clone());
            family
        };
        let received = counters("received", "Mails taken in");
        let ignored = counters("ignored", "Mails that are not answered, by reason");
        let queued = counters("queued", "Mails ordered");
        let outcomes = counters("outcomes", "What deliveries came to");
        let verdicts = counters("verdicts", "Mails refused for good, by what the refusal means");
        let deferrals = counters("deferrals", "Deliveries put off, by cause");
        let accepted_after = Family::<Labels, Histogram>::new_with_constructor(|| Histogram::new(SECONDS));
        registry.register("accepted_after_seconds", "From the order to the server's 250", accepted_after.clone());
        Self {
            registry,
            naming: OnceLock::new(),
            known: Mutex::default(),
            commits,
            received,
            ignored,
            queued,
            outcomes,
            verdicts,
            deferrals,
            accepted_after,
        }
    }
}

impl Ledger {
    /// Learns once how destinations are found; before that they have the names of the domains.
    pub fn learn(&self, naming: Naming) {
        if self.naming.set(naming).is_err() {
            tracing::debug!("the ledger knew already how destinations are found");
        }
    }

    /// Counts the events of one commit.
    pub fn note(&self, events: &[Event]) {
        self.commits.inc();
        events.iter().for_each(|event| self.count(event));
    }

    fn count(&self, event: &Event) {
        let field = |key: &str| event.fields.get(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
        match event.name.as_ref() {
            maillog::RECEIVED => drop(self.received.get_or_create(&vec![("via", field("via"))]).inc()),
            maillog::IGNORED => drop(self.ignored.get_or_create(&vec![("reason", field("reason"))]).inc()),
            maillog::QUEUED => drop(self.queued.get_or_create(&vec![("class", field("class"))]).inc()),
            name => {
                if let (Some(ordered), true) = (event.ordered, maillog::OUTCOMES.contains(&name)) {
                    self.count_outcome(event, ordered, &field);
                }
            }
        }
    }

    fn count_outcome(&self, event: &Event, ordered: Ordered, field: &dyn Fn(&str) -> String) {
        let class = ordered.class.to_string();
        let destination = event.address.as_ref().map(|to| self.destination(to.domain())).unwrap_or_default();
        let labels = |key, value| vec![("class", class.clone()), ("destination", destination.clone()), (key, value)];
        self.outcomes.get_or_create(&labels("outcome", event.name.to_string())).inc();
        match event.name.as_ref() {
            maillog::REFUSED => drop(self.verdicts.get_or_create(&labels("verdict", field("verdict"))).inc()),
            maillog::DEFERRED => drop(self.deferrals.get_or_create(&labels("cause", field("cause"))).inc()),
            maillog::ACCEPTED => {
                let seconds = event.at.since(ordered.at).to_std().as_secs_f64();
                self.accepted_after.get_or_create(&vec![("class", class)]).observe(seconds);
            }
            _ => {}
        }
    }

    /// Gives the label of the destination that takes the mail of a domain.
    pub(super) fn destination(&self, domain: &Domain) -> String {
        let name = self.naming.get().map_or_else(|| domain.to_string(), |naming| naming(domain));
        self.label(&name)
    }

    /// Gives the label of a destination: its name, or the one that all have who came late.
    pub(super) fn label(&self, name: &str) -> String {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(name) {
            return name.to_owned();
        }
        if known.len() >= DESTINATIONS {
            return OTHER.to_owned();
        }
        known.insert(name.to_owned());
        name.to_owned()
    }

    pub(super) const fn registry(&self) -> &Registry {
        &self.registry
    }
}
