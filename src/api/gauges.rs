//! How everything stands at the moment it is asked: made anew each time, so that nothing that is gone stays behind.

use super::ledger::{Labels, Ledger};
use crate::model::{Domain, Timestamp};
use crate::net::tls::identity::Identity;
use crate::queue::view::{DestinationView, View};
use crate::queue::{Cause, Class};
use crate::store::Crowd;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;

type Gauges = Family<Labels, Gauge<f64, AtomicU64>>;

/// Adds gauges under a name.
struct Board(Registry);

impl Board {
    fn add(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, f64)>) {
        let gauges = Gauges::default();
        for (labels, value) in values {
            // What shares a label is added up.
            gauges.get_or_create(&labels).inc_by(value);
        }
        self.0.register(name, help, gauges);
    }

    fn add_one(&mut self, name: &str, help: &str, count: usize) {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(number(count));
        self.0.register(name, help, gauge);
    }
}

/// Makes the gauges of this moment.
pub(super) fn registry(
    view: &View,
    crowds: &[Crowd],
    identities: &[Identity],
    hashes: u64,
    writable: bool,
    now: Timestamp,
    ledger: &Ledger,
) -> Registry {
    let mut board = Board(Registry::with_prefix("karamail"));
    jobs(&mut board, crowds, now, ledger);
    board.add_one("connections", "Connections to receiving servers", view.connections);
    board.add_one("connections_max", "How many there may be", view.connections_max);
    destinations(&mut board, view, ledger);
    kept_back(&mut board, view, crowds);
    certificates(&mut board, identities);
    let hashed = Counter::<u64>::default();
    hashed.inc_by(hashes);
    board.0.register("passwords_hashed", "Passwords hashed by Argon2: logins and changes", hashed);
    board.add_one("store_writable", "1 where the store could be written a moment ago", usize::from(writable));
    board.0
}

fn jobs(board: &mut Board, crowds: &[Crowd], now: Timestamp, ledger: &Ledger) {
    let labels =
        |crowd: &Crowd| vec![("class", crowd.class.to_string()), ("destination", ledger.destination(&crowd.domain))];
    let each = crowds.iter().map(|crowd| {
        let state = ("state", crowd.state.to_string());
        let count = usize::try_from(crowd.count()).unwrap_or(usize::MAX);
        ([labels(crowd), vec![state]].concat(), number(count))
    });
    board.add("jobs", "Mails that have not ended", each);
    let mut oldest: BTreeMap<Labels, Timestamp> = BTreeMap::new();
    for crowd in crowds {
        let first = oldest.entry(labels(crowd)).or_insert(crowd.oldest);
        *first = crowd.oldest.min(*first);
    }
    let ages = oldest.into_iter().map(|(labels, ordered)| (labels, now.since(ordered).to_std().as_secs_f64()));
    board.add("oldest_seconds", "The age of the oldest mail that has not ended", ages);
}

fn destinations(board: &mut Board, view: &View, ledger: &Ledger) {
    let each = |value: fn(&DestinationView) -> f64| {
        view.destinations.iter().map(move |seen| (vec![("destination", ledger.label(&seen.name))], value(seen)))
    };
    board.add("destination_connections", "Connections to it", each(|seen| number(seen.connections)));
    board.add("destination_connections_allowed", "What it gets, as was learned", each(|seen| number(seen.allowed)));
    board.add(
        "destination_connections_limit",
        "What it gets at most, as was set",
        each(|seen| number(seen.limits.connections)),
    );
    board.add("destination_sending", "Mails being given to it", each(|seen| number(seen.sending)));
    board.add("destination_last_minute", "Mails given to it within a minute", each(|seen| f64::from(seen.last_minute)));
    board.add("destination_unknown_users", "Unknown among its last recipients", each(|seen| f64::from(seen.unknown.0)));
    let rates =
        view.destinations.iter().filter_map(|seen| Some((vec![("destination", ledger.label(&seen.name))], seen.rate?)));
    board.add("destination_rate", "Mails a second it gets at most, where there is a limit", rates);
    let states = view.destinations.iter().map(|seen| {
        (vec![("destination", ledger.label(&seen.name)), ("state", seen.standing.as_str().to_owned())], 1.0)
    });
    board.add("destination_state", "How it stands: open, slowed, suspended, throttled or breaker", states);
    let windows = view.destinations.iter().flat_map(|seen| {
        Class::ALL.into_iter().zip(seen.waiting).map(|(class, waiting)| {
            (vec![("destination", ledger.label(&seen.name)), ("class", class.to_string())], number(waiting))
        })
    });
    board.add("destination_claimed", "Mails claimed for it that wait for a connection", windows);
}

fn kept_back(board: &mut Board, view: &View, crowds: &[Crowd]) {
    let waiting: BTreeSet<&Domain> = crowds.iter().map(|crowd| &crowd.domain).collect();
    let count =
        |cause| view.kept.iter().filter(|(domain, kept)| kept.cause == cause && waiting.contains(domain)).count();
    let each = [Cause::Dns, Cause::Tls].map(|cause| (vec![("cause", cause.as_str().to_owned())], number(count(cause))));
    board.add("domains_kept_back", "Domains with mail that is kept back though their destination is there", each);
}

fn certificates(board: &mut Board, identities: &[Identity]) {
    let ends = identities.iter().filter_map(|identity| {
        let ends = identity.ends()?.since(Timestamp::default());
        Some((vec![("service", identity.service().to_owned())], ends.to_std().as_secs_f64()))
    });
    board.add("certificate_not_after_timestamp_seconds", "When the certificate that is shown ends", ends);
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
const fn number(count: usize) -> f64 {
    count as f64
}
