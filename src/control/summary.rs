//! The queue at a glance: who waits for which destination and since when, and when it will be through.
//!
//! Counts what the store has, by the destinations that delivery knows; while no daemon runs, by the named ones and else by
//! domain. Changes nothing. What always holds: a time is only estimated from what was really given to a destination within
//! the last minute, or from its limit where that was nothing.

use super::desk::{Desk, Stop};
use super::facts::{AgeFacts, ClassFacts, DestinationFacts, KeptFacts, StateFacts, SummaryFacts, TlsLossFacts};
use super::{Live, Response};
use crate::model::{Domain, Span, Timestamp};
use crate::queue::destination::Groups;
use crate::queue::turn::is_urgent;
use crate::queue::view::{DestinationView, Standing, View};
use crate::queue::{Class, State};
use crate::store::{AGES, Crowd, TlsLoss};
use std::collections::BTreeMap;

/// How long ago TLS may have been had for its end to be shown.
const LATELY: Span = Span::from_secs(30 * 86_400);
/// How many domains are shown whose mail is kept back.
const KEPT: usize = 100;
/// How many domains that lost it are shown.
const LOSSES: usize = 100;

impl Desk {
    /// Sums the queue up.
    pub(super) async fn summary(&self) -> Result<Response, Stop> {
        let now = self.clock.now();
        let crowds = self.store.read(move |tx| tx.crowds(now)).await?;
        let losses = self.store.read(move |tx| tx.tls_losses(now.minus(LATELY), LOSSES)).await?;
        let live = self.live.as_deref();
        let view = live.map(Live::view);
        let name_of = |domain: &Domain| match live {
            Some(live) => live.destination(domain),
            None => self.groups.of_domain(domain).map_or_else(|| domain.to_string(), |group| group.name.clone()),
        };
        let tls_lost = losses.iter().map(loss).collect();
        let summary = summarise(&crowds, view.as_ref(), &self.groups, name_of, now);
        Ok(Response::Summary(SummaryFacts { tls_lost, ..summary }))
    }
}

/// What waits for one destination.
#[derive(Default)]
struct Pile {
    ages: [u64; AGES.len() + 1],
    sending: u64,
    held: u64,
    waiting: u64,
    oldest: Option<Timestamp>,
}

impl Pile {
    fn add(&mut self, crowd: &Crowd) {
        let count = crowd.count();
        match crowd.state {
            State::Sending => self.sending += count,
            State::Held => (self.held, self.waiting) = (self.held + count, self.waiting + count),
            _ => self.waiting += count,
        }
        for (all, some) in self.ages.iter_mut().zip(crowd.ages) {
            *all += some;
        }
        self.oldest = Some(self.oldest.map_or(crowd.oldest, |oldest| oldest.min(crowd.oldest)));
    }
}

fn summarise(
    crowds: &[Crowd],
    view: Option<&View>,
    groups: &Groups,
    name_of: impl Fn(&Domain) -> String,
    now: Timestamp,
) -> SummaryFacts {
    let mut piles: BTreeMap<String, Pile> = BTreeMap::new();
    for crowd in crowds {
        piles.entry(name_of(&crowd.domain)).or_default().add(crowd);
    }
    let seen = view.map(|view| view.destinations.as_slice()).unwrap_or_default();
    for destination in seen {
        piles.entry(destination.name.clone()).or_default();
    }
    let facts = |(name, pile): (String, Pile)| {
        let view = seen.iter().find(|view| view.name == name);
        let limit = groups.named(&name).and_then(|group| group.limits.rate).map(|rate| rate.to_string());
        destination(name, &pile, view, limit, now)
    };
    let mut by_destination: Vec<DestinationFacts> = piles.into_iter().map(facts).collect();
    by_destination.sort_by_key(|facts| std::cmp::Reverse(facts.waiting + facts.sending));
    SummaryFacts {
        at: now.to_string(),
        running: view.is_some(),
        by_class: Class::ALL.into_iter().map(|class| class_of(crowds, class)).collect(),
        by_state: states(crowds),
        by_destination,
        connections: view.map(|view| view.connections),
        connections_max: view.map(|view| view.connections_max),
        kept_back: view.map(|view| kept_back(crowds, view, &name_of)).unwrap_or_default(),
        tls_lost: Vec::new(),
    }
}

/// Lists the domains that are kept back and have mail that can wait.
fn kept_back(crowds: &[Crowd], view: &View, name_of: impl Fn(&Domain) -> String) -> Vec<KeptFacts> {
    let mut waiting: BTreeMap<&Domain, u64> = BTreeMap::new();
    let waits = |crowd: &&Crowd| !matches!(crowd.state, State::Sending | State::Held) && !is_urgent(crowd.class);
    for crowd in crowds.iter().filter(waits) {
        *waiting.entry(&crowd.domain).or_default() += crowd.count();
    }
    let facts = waiting.into_iter().filter_map(|(domain, waiting)| {
        let kept = view.kept.get(domain)?;
        let (cause, until) = (kept.cause.as_str().to_owned(), kept.until.to_string());
        Some(KeptFacts { domain: domain.to_string(), destination: name_of(domain), waiting, cause, until })
    });
    let mut facts: Vec<KeptFacts> = facts.collect();
    facts.sort_by_key(|facts| std::cmp::Reverse(facts.waiting));
    facts.truncate(KEPT);
    facts
}

fn loss(loss: &TlsLoss) -> TlsLossFacts {
    TlsLossFacts { domain: loss.domain.to_string(), seen: loss.seen_at.to_string(), missed: loss.missed_at.to_string() }
}

fn class_of(crowds: &[Crowd], class: Class) -> ClassFacts {
    let mut pile = Pile::default();
    crowds.iter().filter(|crowd| crowd.class == class).for_each(|crowd| pile.add(crowd));
    let oldest = pile.oldest.as_ref().map(Timestamp::to_string);
    ClassFacts { class: class.to_string(), waiting: pile.waiting, sending: pile.sending, oldest }
}

fn states(crowds: &[Crowd]) -> Vec<StateFacts> {
    let of = |state: State| StateFacts {
        state: state.to_string(),
        count: crowds.iter().filter(|crowd| crowd.state == state).map(Crowd::count).sum(),
    };
    State::ALL.into_iter().filter(|state| !state.has_ended()).map(of).collect()
}

fn destination(
    name: String,
    pile: &Pile,
    view: Option<&DestinationView>,
    limit: Option<String>,
    now: Timestamp,
) -> DestinationFacts {
    let bounds = AGES.into_iter().map(Some).chain([None]);
    let until = view.and_then(|view| match view.standing {
        Standing::Shut { until, .. } => Some(until),
        Standing::Open | Standing::Slowed => None,
    });
    DestinationFacts {
        name,
        waiting: pile.waiting,
        sending: pile.sending,
        held: pile.held,
        oldest: pile.oldest.as_ref().map(Timestamp::to_string),
        ages: bounds.zip(pile.ages).map(|(below_minutes, count)| AgeFacts { below_minutes, count }).collect(),
        rate: view.map(|view| f64::from(view.last_minute) / 60.0),
        rate_allowed: view.and_then(|view| view.rate),
        limit: view.map_or(limit, |view| view.limits.rate.map(|rate| rate.to_string())),
        connections: view.map(|view| view.connections),
        connections_allowed: view.map(|view| view.allowed),
        connections_limit: view.map(|view| view.limits.connections),
        unknown_users: view.map(|view| view.unknown.0),
        state: view.map(|view| view.standing.as_str().to_owned()),
        until: until.as_ref().map(Timestamp::to_string),
        drained_at: view.and_then(|view| drained_at(pile, view, until, now)).as_ref().map(Timestamp::to_string),
    }
}

/// Estimates when everything is through that is not held.
fn drained_at(pile: &Pile, view: &DestinationView, until: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    let left = (pile.waiting - pile.held) + pile.sending;
    let measured = (view.last_minute > 0).then(|| f64::from(view.last_minute) / 60.0);
    let pace = measured.or(view.rate).filter(|pace| *pace > 0.0)?;
    (left > 0).then(|| until.map_or(now, |until| until.max(now)).plus(at_pace(left, pace)))
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "an estimate; `as` saturates")]
fn at_pace(mails: u64, pace: f64) -> Span {
    Span::from_millis((mails as f64 / pace * 1_000.0).ceil() as i64)
}

#[cfg(test)]
mod tests;
