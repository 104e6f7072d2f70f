//! The jobs that were claimed and wait for a connection, by destination, and how many connections each destination has.
//!
//! A plain value: no waiting, no sockets, the time is told. Knows nothing of servers. What always holds: within a destination the
//! most urgent class goes first, then what has been due the longest; no destination has more connections than allowed, nor
//! all of them together; what waits in memory has a bound for each destination, and over it the least urgent is turned
//! away.

use crate::model::{Domain, JobId, Span, Timestamp};
use crate::queue::{Class, Job};
use std::collections::{BTreeMap, HashMap};

/// Connections to a destination that has not taken us in yet: one that never answers holds no more than these.
const FIRST: usize = 2;
/// For how long a destination that refused a connection beside open ones is left at those; then one more is tried.
const CONTENT: Span = Span::from_secs(60);

/// How many of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all.
    pub connections: usize,
    /// Connections to one destination.
    pub per_destination: usize,
    /// Mails on one connection; docomo takes 100 recipients a session and loses all of them at the 101st.
    pub mails: u32,
    /// How long a connection waits for the next mail.
    pub idle: Span,
    /// Jobs that wait for one destination; the rest stays in the store.
    pub window: usize,
    /// Jobs claimed in all.
    pub held: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 200, per_destination: 10, mails: 100, idle: Span::from_secs(5), window: 200, held: 4_000 }
    }
}

/// What shares connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Destination {
    /// The servers of one recipient domain.
    Domain(Domain),
    /// The one place where everything goes.
    Everything,
}

/// What becomes of a job that was claimed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Offered {
    /// A connection is to be opened for this job; it is counted already.
    Open(Job),
    /// It waits for a connection that is there.
    Waits,
    /// It waits; the connection that is idle is to be woken.
    Wake,
    /// This one is to be given back to the store: there is no room.
    TurnedAway(Job),
}

/// Most urgent first.
type Place = (i64, Timestamp, JobId);

fn place_of(job: &Job) -> Place {
    (job.order.class.rank(), job.due, job.id)
}

#[derive(Debug, Default)]
struct Lane {
    waiting: BTreeMap<Place, Job>,
    connections: usize,
    /// Those of the connections that wait for a job.
    idle: usize,
    /// The number of the connection that was opened last, of all destinations' ones.
    turn: u64,
    /// Those of the connections whose server took us in.
    open: usize,
    /// A server has taken us in, and since then there was always one that did.
    greeted: bool,
    /// How many connections it takes, as far as is known, and until when that is believed.
    takes: Option<(usize, Timestamp)>,
}

impl Lane {
    /// Says how many connections there may be now.
    fn allowed(&self, limits: &Limits, now: Timestamp) -> usize {
        let most = match self.takes {
            _ if !self.greeted => FIRST,
            Some((takes, until)) if now < until => takes,
            Some((takes, _)) => takes + 1,
            None => limits.per_destination,
        };
        most.min(limits.per_destination)
    }
}

/// All lanes.
#[derive(Debug)]
pub(super) struct Lanes {
    limits: Limits,
    lanes: HashMap<Destination, Lane>,
    connections: usize,
    /// How many connections were ever opened.
    turn: u64,
}

impl Lanes {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, lanes: HashMap::new(), connections: 0, turn: 0 }
    }

    /// Takes in a job that was claimed.
    pub(super) fn offer(&mut self, destination: &Destination, job: Job, now: Timestamp) -> Offered {
        let lane = self.lanes.entry(destination.clone()).or_default();
        let free = lane.connections < lane.allowed(&self.limits, now) && self.connections < self.limits.connections;
        lane.waiting.insert(place_of(&job), job);
        if lane.waiting.len() <= lane.idle {
            return Offered::Wake;
        }
        if free && let Some((_, first)) = lane.waiting.pop_first() {
            lane.connections += 1;
            self.connections += 1;
            self.turn += 1;
            lane.turn = self.turn;
            return Offered::Open(first);
        }
        if lane.waiting.len() > self.limits.window
            && let Some((_, last)) = lane.waiting.pop_last()
        {
            return Offered::TurnedAway(last);
        }
        Offered::Waits
    }

    /// Gives a connection its next job.
    pub(super) fn take(&mut self, destination: &Destination) -> Option<Job> {
        let (_, job) = self.lanes.get_mut(destination)?.waiting.pop_first()?;
        Some(job)
    }

    /// A server took a connection in; says whether more may be opened than before.
    pub(super) fn opened(&mut self, destination: &Destination, now: Timestamp) -> bool {
        let Some(lane) = self.lanes.get_mut(destination) else { return false };
        let before = lane.allowed(&self.limits, now);
        lane.open += 1;
        lane.greeted = true;
        if lane.takes.is_some_and(|(takes, _)| takes < lane.open) {
            lane.takes = Some((lane.open, now.plus(CONTENT)));
        }
        lane.allowed(&self.limits, now) > before
    }

    /// A connection that was open is not any more.
    pub(super) fn broke(&mut self, destination: &Destination) {
        if let Some(lane) = self.lanes.get_mut(destination) {
            lane.open = lane.open.saturating_sub(1);
        }
    }

    /// No server of a destination takes the connection in that `job` was for. Where others are open it waits for one of
    /// them, and no more are opened for a while; else gives it and all that waits.
    pub(super) fn refused(&mut self, destination: &Destination, job: Job, now: Timestamp) -> Vec<Job> {
        let Some(lane) = self.lanes.get_mut(destination) else { return vec![job] };
        if lane.open > 0 {
            lane.takes = Some((lane.open, now.plus(CONTENT)));
            lane.waiting.insert(place_of(&job), job);
            return Vec::new();
        }
        lane.greeted = false;
        let rest = std::mem::take(&mut lane.waiting).into_values();
        std::iter::once(job).chain(rest).collect()
    }

    /// Gives all that waits.
    pub(super) fn empty(&mut self) -> Vec<Job> {
        self.lanes.values_mut().flat_map(|lane| std::mem::take(&mut lane.waiting).into_values()).collect()
    }

    /// Lets go of jobs whose claim was lost.
    pub(super) fn forget(&mut self, lost: &[JobId]) {
        for lane in self.lanes.values_mut() {
            lane.waiting.retain(|_, job| !lost.contains(&job.id));
        }
    }

    /// A connection waits for a job (`true`), or no longer.
    pub(super) fn idles(&mut self, destination: &Destination, waits: bool) {
        if let Some(lane) = self.lanes.get_mut(destination) {
            lane.idle = if waits { lane.idle + 1 } else { lane.idle.saturating_sub(1) };
        }
    }

    /// A connection has ended; says whether nothing is left of its destination.
    pub(super) fn closed(&mut self, destination: &Destination) -> bool {
        let Some(lane) = self.lanes.get_mut(destination) else { return true };
        lane.connections = lane.connections.saturating_sub(1);
        self.connections = self.connections.saturating_sub(1);
        let gone = lane.connections == 0 && lane.waiting.is_empty();
        if gone {
            self.lanes.remove(destination);
        }
        gone
    }

    /// Finds the most urgent job for which another connection may be opened, and counts that connection; within a class
    /// destinations without any go first, then those that were given one the longest ago.
    pub(super) fn open_another(&mut self, now: Timestamp) -> Option<(Destination, Job)> {
        if self.connections >= self.limits.connections {
            return None;
        }
        let may = |lane: &Lane| lane.connections < lane.allowed(&self.limits, now) && lane.waiting.len() > lane.idle;
        let candidates = self.lanes.iter().filter(|(_, lane)| may(lane));
        let (_, destination) = candidates
            .filter_map(|(destination, lane)| {
                let (class, due, job) = *lane.waiting.first_key_value()?.0;
                Some(((class, lane.connections > 0, lane.turn, due, job), destination))
            })
            .min_by_key(|(place, _)| *place)?;
        let destination = destination.clone();
        let lane = self.lanes.get_mut(&destination)?;
        let (_, job) = lane.waiting.pop_first()?;
        lane.connections += 1;
        self.connections += 1;
        self.turn += 1;
        lane.turn = self.turn;
        Some((destination, job))
    }

    /// Says whether a job waits that only another destination's idle connection keeps from being sent.
    pub(super) fn is_crowded_out(&self) -> bool {
        self.connections >= self.limits.connections
            && self.lanes.values().any(|lane| lane.connections == 0 && !lane.waiting.is_empty())
    }

    /// Says how many jobs wait for a destination.
    pub(super) fn waiting(&self, destination: &Destination) -> usize {
        self.lanes.get(destination).map_or(0, |lane| lane.waiting.len())
    }

    /// Lists the destinations that have no room for another job of this class.
    pub(super) fn full_for(&self, class: Class) -> Vec<Destination> {
        let last = (class.rank() + 1, Timestamp::from_millis(i64::MIN), JobId::new(i64::MIN));
        let is_full = |lane: &Lane| {
            lane.waiting.len() >= self.limits.window
                && lane.waiting.range(..last).take(self.limits.window).count() >= self.limits.window
        };
        let full = self.lanes.iter().filter(|(_, lane)| is_full(lane));
        full.map(|(destination, _)| destination.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MailId;
    use crate::queue::{Content, NewJob, State};

    const LIMITS: Limits =
        Limits { connections: 3, per_destination: 2, mails: 100, idle: Span::from_secs(5), window: 3, held: 100 };

    const NOW: Timestamp = Timestamp::from_millis(0);

    fn to(domain: &str) -> Destination {
        Destination::Domain(domain.parse().unwrap())
    }

    fn job(id: i64, class: Class) -> Job {
        let order = NewJob {
            class,
            to: "a@docomo.ne.jp".parse().unwrap(),
            content: Content::Forward { mail: MailId::new(1) },
            language: None,
            cause: None,
            queued_at: Timestamp::from_millis(id),
            due: Timestamp::from_millis(id),
            give_up: Timestamp::from_millis(i64::MAX),
        };
        Job {
            id: JobId::new(id),
            due: order.due,
            order,
            state: State::Sending,
            attempts: 0,
            lease: None,
            last: None,
            last_cause: None,
            held_since: None,
            held: Span::default(),
        }
    }

    fn opened(offered: Offered) -> i64 {
        match offered {
            Offered::Open(job) => job.id.number(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn connections_are_opened_up_to_the_limit_of_the_destination_and_of_all() {
        let (mut lanes, docomo, au) = (Lanes::new(LIMITS), to("docomo.ne.jp"), to("ezweb.ne.jp"));
        assert_eq!(opened(lanes.offer(&docomo, job(1, Class::Alert), NOW)), 1);
        assert_eq!(opened(lanes.offer(&docomo, job(2, Class::Alert), NOW)), 2);
        assert_eq!(lanes.offer(&docomo, job(3, Class::Alert), NOW), Offered::Waits);
        assert_eq!(opened(lanes.offer(&au, job(4, Class::Alert), NOW)), 4);
        assert_eq!(lanes.offer(&au, job(5, Class::Alert), NOW), Offered::Waits);
        assert!(lanes.open_another(NOW).is_none());
        lanes.closed(&docomo);
        assert_eq!(lanes.open_another(NOW).map(|(destination, job)| (destination, job.id.number())), Some((docomo, 3)));
        lanes.closed(&au);
        assert_eq!(lanes.open_another(NOW).map(|(destination, job)| (destination, job.id.number())), Some((au, 5)));
        assert!(lanes.open_another(NOW).is_none());
    }

    #[test]
    fn an_idle_connection_is_woken_before_another_is_opened() {
        let (mut lanes, docomo) = (Lanes::new(LIMITS), to("docomo.ne.jp"));
        opened(lanes.offer(&docomo, job(1, Class::Alert), NOW));
        lanes.idles(&docomo, true);
        assert_eq!(lanes.offer(&docomo, job(2, Class::Alert), NOW), Offered::Wake);
        assert_eq!(opened(lanes.offer(&docomo, job(3, Class::Otp), NOW)), 3);
        lanes.idles(&docomo, false);
        assert_eq!(lanes.take(&docomo).map(|job| job.id.number()), Some(2));
    }

    #[test]
    fn the_most_urgent_class_goes_first_and_then_what_was_due_first() {
        let (mut lanes, docomo) = (Lanes::new(Limits { per_destination: 1, window: 9, ..LIMITS }), to("docomo.ne.jp"));
        opened(lanes.offer(&docomo, job(9, Class::Report), NOW));
        for (id, class) in [(5, Class::Alert), (3, Class::Registration), (4, Class::Alert), (7, Class::Otp)] {
            assert_eq!(lanes.offer(&docomo, job(id, class), NOW), Offered::Waits);
        }
        let order: Vec<i64> = std::iter::from_fn(|| lanes.take(&docomo)).map(|job| job.id.number()).collect();
        assert_eq!(order, [7, 4, 5, 3]);
    }

    #[test]
    fn a_full_lane_turns_away_the_least_urgent_and_says_for_whom_it_is_full() {
        let (mut lanes, docomo) = (Lanes::new(LIMITS), to("docomo.ne.jp"));
        for id in 1..=5 {
            drop(lanes.offer(&docomo, job(id, Class::Registration), NOW));
        }
        assert_eq!(
            lanes.offer(&docomo, job(6, Class::Registration), NOW),
            Offered::TurnedAway(job(6, Class::Registration))
        );
        assert_eq!(lanes.full_for(Class::Registration), std::slice::from_ref(&docomo));
        assert_eq!(lanes.full_for(Class::Report), std::slice::from_ref(&docomo));
        assert!(lanes.full_for(Class::Otp).is_empty());
        assert_eq!(lanes.offer(&docomo, job(7, Class::Otp), NOW), Offered::TurnedAway(job(5, Class::Registration)));
        assert!(lanes.full_for(Class::Otp).is_empty());
        assert_eq!(lanes.take(&docomo).map(|job| job.id.number()), Some(7));
        assert!(lanes.full_for(Class::Registration).is_empty());
    }

    #[test]
    fn a_destination_without_a_connection_is_crowded_out_only_by_the_limit_of_all() {
        let (mut lanes, au) = (Lanes::new(LIMITS), to("ezweb.ne.jp"));
        for (id, domain) in [(1, "a.example"), (2, "b.example")] {
            opened(lanes.offer(&to(domain), job(id, Class::Alert), NOW));
        }
        assert!(!lanes.is_crowded_out());
        opened(lanes.offer(&to("c.example"), job(3, Class::Alert), NOW));
        assert!(!lanes.is_crowded_out());
        assert_eq!(lanes.offer(&au, job(4, Class::Alert), NOW), Offered::Waits);
        assert!(lanes.is_crowded_out());
    }

    #[test]
    fn a_place_that_is_given_back_goes_to_a_destination_that_has_none_before_one_that_has() {
        let (mut lanes, docomo, au) =
            (Lanes::new(Limits { connections: 2, ..LIMITS }), to("docomo.ne.jp"), to("ezweb.ne.jp"));
        for id in 1..=3 {
            drop(lanes.offer(&docomo, job(id, Class::Alert), NOW));
        }
        drop(lanes.offer(&au, job(4, Class::Alert), NOW));
        lanes.closed(&docomo);
        assert_eq!(lanes.open_another(NOW).map(|(_, job)| job.id.number()), Some(4));
        // The more urgent class goes before it all the same.
        drop(lanes.offer(&to("c.example"), job(5, Class::Alert), NOW));
        drop(lanes.offer(&docomo, job(6, Class::Otp), NOW));
        lanes.closed(&au);
        assert_eq!(lanes.open_another(NOW).map(|(_, job)| job.id.number()), Some(6));
    }

    #[test]
    fn what_waits_can_be_taken_back_whole_and_a_lost_claim_is_forgotten() {
        let (mut lanes, docomo, au) = (Lanes::new(LIMITS), to("docomo.ne.jp"), to("ezweb.ne.jp"));
        for id in 1..=4 {
            drop(lanes.offer(&docomo, job(id, Class::Alert), NOW));
        }
        opened(lanes.offer(&au, job(5, Class::Alert), NOW));
        drop(lanes.offer(&au, job(6, Class::Alert), NOW));
        lanes.forget(&[JobId::new(3)]);
        assert_eq!(
            lanes.refused(&docomo, job(2, Class::Alert), NOW).iter().map(|job| job.id.number()).collect::<Vec<_>>(),
            [2, 4]
        );
        assert_eq!(lanes.waiting(&docomo), 0);
        assert_eq!(lanes.empty().iter().map(|job| job.id.number()).collect::<Vec<_>>(), [6]);
    }

    #[test]
    fn a_destination_has_few_connections_until_one_is_taken_in() {
        let (mut lanes, docomo) =
            (Lanes::new(Limits { connections: 9, per_destination: 4, ..LIMITS }), to("docomo.ne.jp"));
        for id in 1..=FIRST as i64 {
            opened(lanes.offer(&docomo, job(id, Class::Alert), NOW));
        }
        assert_eq!(lanes.offer(&docomo, job(8, Class::Alert), NOW), Offered::Waits);
        assert!(lanes.open_another(NOW).is_none());
        assert!(lanes.opened(&docomo, NOW));
        assert_eq!(lanes.open_another(NOW).map(|(_, job)| job.id.number()), Some(8));
        assert!(!lanes.opened(&docomo, NOW));
    }

    #[test]
    fn a_connection_refused_beside_open_ones_costs_no_job_an_attempt_and_is_not_tried_again_at_once() {
        let (mut lanes, docomo) =
            (Lanes::new(Limits { connections: 9, per_destination: 4, ..LIMITS }), to("docomo.ne.jp"));
        opened(lanes.offer(&docomo, job(1, Class::Alert), NOW));
        lanes.opened(&docomo, NOW);
        opened(lanes.offer(&docomo, job(2, Class::Alert), NOW));
        assert!(lanes.refused(&docomo, job(2, Class::Alert), NOW).is_empty());
        lanes.closed(&docomo);
        assert_eq!(lanes.waiting(&docomo), 1);
        let almost = NOW.plus(CONTENT).minus(Span::from_millis(1));
        assert!(lanes.open_another(almost).is_none());
        // Then one more is tried, and only one.
        drop(lanes.offer(&docomo, job(3, Class::Alert), almost));
        assert_eq!(lanes.open_another(NOW.plus(CONTENT)).map(|(_, job)| job.id.number()), Some(2));
        assert!(lanes.open_another(NOW.plus(CONTENT)).is_none());
        lanes.broke(&docomo);
        let shared = lanes.refused(&docomo, job(2, Class::Alert), NOW);
        assert_eq!(shared.iter().map(|job| job.id.number()).collect::<Vec<_>>(), [2, 3]);
    }
}
