//! Claimed jobs whose servers are being looked up, by domain.
//!
//! Knows nothing of name servers. What always holds: a domain keeps a few jobs of each class, all of them together a part of what
//! is claimed, so that one whose name servers are silent costs the others nothing; a one-time password counts with none but its
//! own kind, and nothing that can wait is what its look-up waits behind.

use crate::model::{Domain, JobId};
use crate::queue::{Class, Job};
use std::collections::HashMap;

/// The most jobs of a class of one domain.
const EACH: usize = 20;
/// Part of what is claimed that may wait here, one in so many: of mail that somebody waits for, and of mail that can wait, which
/// is counted beside the other. One-time passwords are not counted.
const PARTS: (usize, usize) = (4, 8);

/// Who waits for a look-up: the more urgent ones do not queue up behind the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// A one-time password.
    Code,
    /// Somebody waits for the mail.
    Urgent,
    /// Nobody does.
    Calm,
}

impl Rank {
    pub(super) const fn of(class: Class) -> Self {
        match class {
            Class::Otp => Self::Code,
            Class::Registration | Class::ContactTest => Self::Urgent,
            Class::Alert | Class::Notice | Class::Report => Self::Calm,
        }
    }
}

/// What became of a job.
#[derive(Debug, PartialEq)]
pub(super) enum Arrival {
    /// It waits, and the domain is to be looked up for it.
    LooksUp,
    /// It waits for a look-up that is under way.
    Waits,
    /// There is no room for it.
    TurnedAway(Box<Job>),
}

/// Jobs that belong nowhere yet.
pub(super) struct Unplaced {
    /// How many jobs are claimed at most.
    held: usize,
    jobs: HashMap<Domain, Vec<Job>>,
}

impl Unplaced {
    pub(super) fn new(held: usize) -> Self {
        Self { held, jobs: HashMap::new() }
    }

    /// Takes a job in.
    pub(super) fn keep(&mut self, job: Job) -> Arrival {
        let (domain, class) = (job.order.to.domain(), job.order.class);
        if self.room_at(domain, class).min(self.room(class)) == 0 {
            return Arrival::TurnedAway(Box::new(job));
        }
        let jobs = self.jobs.entry(domain.clone()).or_default();
        let asked = jobs.iter().any(|other| Rank::of(other.order.class) <= Rank::of(class));
        jobs.push(job);
        if asked { Arrival::Waits } else { Arrival::LooksUp }
    }

    /// Takes out what waits for a domain.
    pub(super) fn take(&mut self, domain: &Domain) -> Vec<Job> {
        self.jobs.remove(domain).unwrap_or_default()
    }

    /// Takes out the jobs that fit.
    pub(super) fn remove(&mut self, fits: impl Fn(&Job) -> bool) -> Vec<Job> {
        self.jobs.values_mut().flat_map(|jobs| jobs.extract_if(.., |job| fits(job))).collect()
    }

    pub(super) fn find(&self, job: JobId) -> Option<&Job> {
        self.jobs.values().flatten().find(|other| other.id == job)
    }

    /// Says whether mail of a domain waits that can.
    pub(super) fn has_calm(&self, domain: &Domain) -> bool {
        let mut ranks = self.jobs.get(domain).into_iter().flatten().map(|job| Rank::of(job.order.class));
        ranks.any(|rank| rank == Rank::Calm)
    }

    /// Says how many more jobs of a class one domain has room for, where all together have it.
    pub(super) fn room_at(&self, domain: &Domain, class: Class) -> usize {
        EACH.saturating_sub(self.jobs.get(domain).map_or(0, |jobs| of_class(jobs, class)))
    }

    /// Says how many more jobs of a class there is room for, whatever their domains.
    pub(super) fn room(&self, class: Class) -> usize {
        let part = match Rank::of(class) {
            Rank::Code => return usize::MAX,
            Rank::Urgent => PARTS.0,
            Rank::Calm => PARTS.1,
        };
        let waiting = self.jobs.values().flatten().filter(|job| job.order.class != Class::Otp).count();
        (self.held / part).max(1).saturating_sub(waiting)
    }

    /// Says whether some domain, or all of them together, has no room for another job of a class.
    pub(super) fn is_any_full(&self, class: Class) -> bool {
        self.room(class) == 0 || self.jobs.values().any(|jobs| of_class(jobs, class) >= EACH)
    }
}

fn of_class(jobs: &[Job], class: Class) -> usize {
    jobs.iter().filter(|job| job.order.class == class).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MailId, Timestamp};
    use crate::queue::{Content, NewJob};

    fn job(id: i64, class: Class, domain: &str) -> Job {
        let now = Timestamp::from_millis(id);
        let (to, content) = (format!("a@{domain}").parse().unwrap(), Content::Forward { mail: MailId::new(1) });
        let order = NewJob { class, to, content, language: None, cause: None, queued_at: now, due: now, give_up: now };
        Job::just_claimed(id, order)
    }

    fn domain(name: &str) -> Domain {
        name.parse().unwrap()
    }

    #[test]
    fn a_domain_keeps_a_few_of_each_class() {
        let mut unplaced = Unplaced::new(4_000);
        for id in 0..20 {
            assert!(!unplaced.is_any_full(Class::Alert));
            assert_ne!(
                unplaced.keep(job(id, Class::Alert, "a.example")),
                Arrival::TurnedAway(Box::new(job(id, Class::Alert, "a.example")))
            );
        }
        let late = job(20, Class::Alert, "a.example");
        assert_eq!(unplaced.keep(late.clone()), Arrival::TurnedAway(Box::new(late)));
        assert!(unplaced.is_any_full(Class::Alert) && !unplaced.is_any_full(Class::Notice));
        assert_eq!(unplaced.room_at(&domain("a.example"), Class::Alert), 0);
        assert_eq!(unplaced.room_at(&domain("b.example"), Class::Alert), 20);
        assert_eq!(unplaced.keep(job(21, Class::Alert, "b.example")), Arrival::LooksUp);
        assert_eq!(unplaced.take(&domain("a.example")).len(), 20);
        assert!(!unplaced.is_any_full(Class::Alert) && unplaced.find(JobId::new(3)).is_none());
        assert_eq!(unplaced.remove(|job| job.id == JobId::new(21)).len(), 1);
    }

    #[test]
    fn what_is_looked_up_for_leaves_most_of_the_room_to_others_and_all_of_theirs_to_codes() {
        let mut unplaced = Unplaced::new(80);
        for (class, most) in [(Class::Alert, 10), (Class::Notice, 10), (Class::Registration, 20)] {
            for id in 0.. {
                if unplaced.room(class) == 0 {
                    break;
                }
                assert_eq!(unplaced.keep(job(id, class, &format!("{class}{id}.example"))), Arrival::LooksUp);
            }
            let late = job(99, class, "late.example");
            assert_eq!(unplaced.keep(late.clone()), Arrival::TurnedAway(Box::new(late)));
            assert!(unplaced.is_any_full(class));
            assert_eq!(unplaced.jobs.values().flatten().count(), most);
        }
        for id in 100..200 {
            assert_eq!(unplaced.keep(job(id, Class::Otp, &format!("d{id}.example"))), Arrival::LooksUp);
        }
        assert!(!unplaced.is_any_full(Class::Otp) && unplaced.room(Class::Otp) > 80);
    }

    #[test]
    fn a_look_up_is_begun_for_whoever_is_more_urgent_than_those_it_is_under_way_for() {
        let mut unplaced = Unplaced::new(4_000);
        let mut keep = |class| unplaced.keep(job(1, class, "a.example"));
        for (class, kept) in [
            (Class::Notice, Arrival::LooksUp),
            (Class::Alert, Arrival::Waits),
            (Class::ContactTest, Arrival::LooksUp),
            (Class::Registration, Arrival::Waits),
            (Class::Otp, Arrival::LooksUp),
            (Class::Otp, Arrival::Waits),
            (Class::Alert, Arrival::Waits),
        ] {
            assert_eq!(keep(class), kept, "{class}");
        }
    }
}
