//! What the pool does for domains whose mail is kept back, though their destination is there.
//!
//! Knows nothing of why. What always holds: what is given back to the store has no attempt counted.

use super::{Pool, Resumed};
use crate::model::{Domain, Timestamp};
use crate::queue::destination::Name;
use crate::queue::lanes::Part;
use crate::queue::turn::is_urgent;
use crate::queue::view::KeptBack;
use crate::queue::{Cause, Class, Job};
use std::collections::BTreeMap;

impl Pool {
    /// Says how many more jobs of a class may be claimed for a domain; nothing: its mail is not kept back.
    pub(in crate::outbound) fn room_of(&self, domain: &Domain, class: Class) -> Option<usize> {
        let (state, now) = (self.lock(), self.clock.now());
        let room = state.kept.room(domain, class, now, |job| state.held.contains_key(&job))?;
        // What waits for a look-up may be the probe.
        Some(if state.unplaced.has_calm(domain) { 0 } else { room })
    }

    /// A job cannot be sent for its domain's own sake, though its destination may be there; gives the jobs that count as tried: the
    /// one, where it says something new, and what is urgent. The rest goes back to the store.
    pub(in crate::outbound) fn kept_back(&self, to: &Name, job: Job, part: Part, cause: Cause) -> Vec<Job> {
        let now = self.clock.now();
        let mut state = self.lock();
        if state.stopping {
            return Vec::new();
        }
        let domain = job.order.to.domain().clone();
        // Where another connection has taken it, that one says how it went.
        let Some(one) = state.lanes.withdraw(to, job, part, now) else {
            drop(state);
            self.more.notify_one();
            return Vec::new();
        };
        let until = state.kept.failed(&domain, cause, now, self.random.fraction());
        let kin = state.lanes.remove_at(to, |job| job.order.to.domain() == &domain, now);
        let jobs = std::iter::once((one, until.is_some())).chain(kin.into_iter().map(|job| (job, false)));
        let (tried, back): (Vec<_>, Vec<_>) = jobs.partition(|(job, probed)| *probed || is_urgent(job.order.class));
        let back: Vec<Job> = back.into_iter().map(|(job, _)| job).collect();
        for job in &back {
            state.sending.remove(&job.id);
        }
        state.give_back(&back);
        drop(state);
        if let Some(until) = until {
            tracing::warn!(%domain, why = cause.as_str(), %until, "the mail of a domain is kept back for a while");
        }
        self.room.notify_one();
        self.more.notify_one();
        tried.into_iter().map(|(job, _)| job).collect()
    }

    /// What kept the mail of a domain back is over, as was found out at `found`.
    pub(in crate::outbound) fn reached(&self, domain: &Domain, found: Timestamp) {
        let mut state = self.lock();
        if state.kept.reached(domain, found, self.clock.now()) {
            tracing::info!(%domain, "the mail of a domain is not kept back any more");
            state.resumed.insert(Resumed::Domain(domain.clone()));
            drop(state);
            self.room.notify_one();
        }
    }

    /// Lists the domains whose mail is kept back.
    pub(in crate::outbound) fn kept(&self) -> BTreeMap<Domain, KeptBack> {
        self.lock().kept.view()
    }
}
