//! What becomes of a destination when domains that belonged to it belong to another one from now on.
//!
//! Knows nothing of groups: it is told which domain went where. What always holds: a connection that carried the mail of a domain
//! counts against whoever has that domain's mail now, until it is closed; after the mail it carries it takes no other.

use super::{Lanes, Place};
use crate::model::{Domain, Timestamp};
use crate::queue::Job;
use crate::queue::destination::{Limits, Name};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// A domain that belongs to another destination than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The domain.
    pub domain: Domain,
    /// Where it belonged.
    pub from: Name,
    /// Where it belongs; nothing: that is to be looked up.
    pub to: Option<Name>,
}

/// Whose connections count against whom.
#[derive(Debug, Default)]
pub(super) struct Heirs {
    /// Destinations with connections that are to leave, and those that have their domains now.
    of: BTreeMap<Name, BTreeSet<Name>>,
    /// The domains they had.
    left: HashMap<Domain, Name>,
}

impl Heirs {
    /// Says whether a domain's mail does not belong to a destination any more that still has connections from when it did.
    pub(super) fn has_left(&self, domain: &Domain, from: &Name) -> bool {
        self.left.get(domain) == Some(from)
    }

    /// Lists whose connections count against a destination.
    pub(super) fn before<'a>(&'a self, to: &'a Name) -> impl Iterator<Item = &'a Name> {
        self.of.iter().filter(move |(_, heirs)| heirs.contains(to)).map(|(from, _)| from)
    }

    /// The mail of a domain goes to a destination; gives the one it went to before, where that is news.
    fn goes(&mut self, domain: &Domain, to: &Name) -> Option<Name> {
        let from = self.left.get(domain).filter(|from| *from != to)?;
        self.of.entry(from.clone()).or_default().insert(to.clone()).then(|| from.clone())
    }
}

impl Lanes {
    /// Gives each destination the limits that are right for it now, some domains having gone from one to another; gives the jobs
    /// that waited for them where they do not belong any more, which are to be given back to the store, unsent.
    pub fn regroup(&mut self, moved: &[Moved], limits: impl Fn(&Name) -> Option<Limits>, now: Timestamp) -> Vec<Job> {
        self.limit(&limits, now);
        let mut gone: BTreeMap<&Name, HashSet<&Domain>> = BTreeMap::new();
        for Moved { domain, from, .. } in moved {
            gone.entry(from).or_default().insert(domain);
            self.heirs.left.remove(domain);
        }
        for from in gone.keys() {
            self.dismiss(from);
        }
        // Where several become one, what was learned of one that is shut is not to shut the others.
        let mut moved: Vec<&Moved> = moved.iter().collect();
        moved.sort_by_key(|moved| self.is_shut(&moved.from));
        for Moved { domain, from, to } in &moved {
            if self.heirs.of.contains_key(from) {
                self.heirs.left.insert(domain.clone(), from.clone());
            }
            if let Some(to) = to {
                self.follow(domain, from, to, limits(to), now);
            }
        }
        let mut back = Vec::new();
        for (from, domains) in gone {
            back.extend(self.remove_at(from, |job| domains.contains(job.order.to.domain()), now));
        }
        let known = moved.iter().filter_map(|moved| moved.to.as_ref());
        let heirs: BTreeSet<Name> = self.heirs.of.values().flatten().chain(known).cloned().collect();
        heirs.iter().for_each(|heir| self.refresh(heir, now));
        back
    }

    /// Lets the connections of a destination end with the mail they carry.
    fn dismiss(&mut self, from: &Name) {
        if let Some(place) = self.places.get_mut(from).filter(|place| place.connections > 0) {
            place.dismissed = place.connections;
            self.heirs.of.entry(from.clone()).or_default();
        }
    }

    /// A job is on its way to a destination: its domain may have had another one before.
    pub(super) fn comes(&mut self, job: &Job, to: &Name, limits: Option<Limits>, now: Timestamp) {
        if let Some(from) = self.heirs.goes(job.order.to.domain(), to) {
            self.inherit(&from, to, limits, now);
        }
    }

    fn follow(&mut self, domain: &Domain, from: &Name, to: &Name, limits: Option<Limits>, now: Timestamp) {
        let is_known = self.heirs.left.contains_key(domain) && self.heirs.goes(domain, to).is_none();
        if !is_known {
            self.inherit(from, to, limits, now);
        }
    }

    /// What was learned of a destination holds for the one that takes its place; where that was there before, only when the
    /// last mail went.
    fn inherit(&mut self, from: &Name, to: &Name, limits: Option<Limits>, now: Timestamp) {
        let Some(mut pace) = self.places.get(from).map(|place| place.pace.clone()) else { return };
        match self.places.get_mut(to) {
            Some(place) => place.pace.follow(&pace),
            None => {
                pace.limit(limits.unwrap_or(self.bounds.usual));
                self.places.insert(to.clone(), Place::new(pace, now));
            }
        }
    }

    /// Counts the connections of others that count against a destination.
    pub(super) fn inherited(&self, to: &Name) -> usize {
        self.heirs.before(to).filter_map(|from| self.places.get(from)).map(|place| place.dismissed).sum()
    }

    /// A connection of a destination has closed: who follows it may open one more.
    pub(super) fn parted(&mut self, from: &Name, now: Timestamp) {
        let Some(heirs) = self.heirs.of.get(from).cloned() else { return };
        if self.places.get(from).is_none_or(|place| place.dismissed == 0) {
            self.heirs.of.remove(from);
            self.heirs.left.retain(|_, before| before != from);
        }
        heirs.iter().for_each(|heir| self.refresh(heir, now));
    }
}

#[cfg(test)]
mod tests;
