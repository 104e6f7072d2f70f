//! Domains whose mail is kept back though their destination is there: the name servers do not say where it goes, or no server
//! is as secure as the domain demands.
//!
//! What can wait of such a domain stays in the store, untried, but for one mail now and then that probes; what somebody waits for
//! is tried by its own schedule. Other domains of the same destination are not touched.
//!
//! Knows nothing of name servers, connections or lanes; the time and chance are told, and which mails are under way. What always
//! holds: of one domain one mail that can wait is under way as a probe at most, and once that is not under way any more, whatever
//! became of it, another may be; nothing but trouble that comes when a probe is due makes the next one wait for longer; as
//! many mails are admitted as there is said to be room for; what is remembered has a bound and an age.

use crate::model::{Domain, JobId, Span, Timestamp};
use crate::queue::turn::is_urgent;
use crate::queue::view::{KeptBack, Shut};
use crate::queue::{Cause, Class, Job, pace, retry};
use std::collections::{BTreeMap, HashMap};

/// How many domains are remembered; beyond it all of them are tried anew.
const DOMAINS: usize = 20_000;
/// How long a domain is remembered that nothing probed: as long as a mail may wait for its next try, which then is the probe.
const REMEMBERED: Span = Span::from_secs(5 * 3_600);

#[derive(Debug, Clone)]
struct Entry {
    why: KeptBack,
    /// When a mail met the trouble last.
    met: Timestamp,
    /// How often a probe met it, the first one included.
    tries: u32,
    /// The last mail that was let through to probe.
    probe: Option<JobId>,
}

impl Entry {
    /// Says whether a mail of a class that can wait may be let through to probe; `is_held`: whether a mail is under way.
    fn may_probe(&self, class: Class, now: Timestamp, is_held: impl Fn(JobId) -> bool) -> bool {
        // One that has to keep off the full hour would keep the others from probing meanwhile.
        self.why.until <= now && retry::may_start(class, now) && !self.probe.is_some_and(is_held)
    }
}

/// The domains that are kept back.
#[derive(Debug, Default)]
pub struct Kept(HashMap<Domain, Entry>);

impl Kept {
    /// A mail could not be sent for the domain's own sake. Gives until when the rest is kept back, where that is news: it was the
    /// first such mail, or one when a probe was due.
    pub fn failed(&mut self, domain: &Domain, cause: Cause, now: Timestamp, chance: f64) -> Option<Timestamp> {
        if let Some(entry) = self.0.get_mut(domain).filter(|entry| entry.why.until > now) {
            entry.met = now;
            return None;
        }
        self.make_room(domain, now);
        let tries = self.0.get(domain).map_or(0, |entry| entry.tries);
        let until = now.plus(pace::wait(Shut::Down, tries, chance));
        let entry = Entry { why: KeptBack { cause, until }, met: now, tries: tries.saturating_add(1), probe: None };
        self.0.insert(domain.clone(), entry);
        Some(until)
    }

    fn make_room(&mut self, domain: &Domain, now: Timestamp) {
        if self.0.len() >= DOMAINS && !self.0.contains_key(domain) {
            self.0.retain(|_, entry| entry.why.until > now);
        }
        if self.0.len() >= DOMAINS && !self.0.contains_key(domain) {
            self.0.clear();
        }
    }

    /// A server takes the domain's mail, or is said to take none, by a way that was found at `found`; says whether the domain was
    /// kept back and is not any more. A way that was found before the trouble says nothing of it while no probe is due.
    pub fn reached(&mut self, domain: &Domain, found: Timestamp, now: Timestamp) -> bool {
        let is_over = |entry: &Entry| entry.met <= found || entry.why.until <= now;
        self.0.get(domain).is_some_and(is_over) && self.0.remove(domain).is_some()
    }

    /// Says whether a mail may go on its way; one that can wait and may is the probe.
    pub fn admits(&mut self, job: &Job, now: Timestamp, is_held: impl Fn(JobId) -> bool) -> bool {
        let class = job.order.class;
        let entry = self.0.get_mut(job.order.to.domain());
        let Some(entry) = entry.filter(|_| !is_urgent(class)) else { return true };
        let admits = entry.probe == Some(job.id) || entry.may_probe(class, now, is_held);
        if admits {
            entry.probe = Some(job.id);
        }
        admits
    }

    /// Says how many mails of a class may be claimed for a domain; nothing: nothing keeps them back.
    #[must_use]
    pub fn room(
        &self,
        domain: &Domain,
        class: Class,
        now: Timestamp,
        is_held: impl Fn(JobId) -> bool,
    ) -> Option<usize> {
        let entry = self.0.get(domain).filter(|_| !is_urgent(class))?;
        Some(usize::from(entry.may_probe(class, now, is_held)))
    }

    /// Says whether there is a domain of which no mail of a class may be claimed.
    #[must_use]
    pub fn keeps_any(&self, class: Class, now: Timestamp, is_held: impl Fn(JobId) -> bool) -> bool {
        !is_urgent(class) && self.0.values().any(|entry| !entry.may_probe(class, now, &is_held))
    }

    /// Lists the domains that are kept back.
    #[must_use]
    pub fn view(&self) -> BTreeMap<Domain, KeptBack> {
        self.0.iter().map(|(domain, entry)| (domain.clone(), entry.why)).collect()
    }

    /// The clock was put back: moments that were fixed by it before are not waited for.
    pub fn clock_was_put_back(&mut self, now: Timestamp) {
        for entry in self.0.values_mut() {
            entry.why.until = entry.why.until.min(now);
        }
    }

    /// Forgets domains that nothing was sent to for long.
    pub fn forget(&mut self, now: Timestamp) {
        self.0.retain(|_, entry| entry.why.until.plus(REMEMBERED) > now);
    }
}

#[cfg(test)]
mod tests;
