//! Where claimed jobs and connections meet.
//!
//! The worker puts jobs in, connections take them out, and whoever has to wait is woken. Keeps book of every job that is
//! claimed and not yet settled, so that its claim can be kept.
//!
//! Knows nothing of servers or of the store. What always holds: the book lists a job from its claim to its settlement; no
//! lock is held while anybody waits.

mod keeping;

use super::Limits;
use super::leases::Claim;
use super::seat::Seat;
use super::unplaced::{Arrival, Unplaced};
use crate::clock::Clock;
use crate::model::{Domain, JobId, Span, Timestamp};
use crate::queue::destination::{self, Name};
use crate::queue::kept::Kept;
use crate::queue::lanes::{Bounds, Lanes, Learned, Moved, Take};
use crate::queue::pace::{Change, Signal};
use crate::queue::view::{DestinationView, JobView, Wait};
use crate::queue::{Class, Job};
use crate::random::Random;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};

/// Part of [`Limits::held`] that only one-time passwords may use, one in so many.
const RESERVED: usize = 10;
/// Part of it, theirs included, that only mail may use for which somebody waits.
const URGENT: usize = 4;
/// Part of it that destinations keep at which nothing moves, once half of it is in use.
const STALLED: usize = 4;

/// How long a mail that can wait does so for a one-time password whose order is being written down.
const COMING: Span = Span::from_millis(10);

/// What the pool knows of the settings; other ones can be put in its place while it works.
pub(super) type LimitsOf = Box<dyn Fn(&Name) -> Option<destination::Limits> + Send + Sync>;

pub(super) struct Pool {
    pub(super) limits: Limits,
    pub(super) clock: Clock,
    random: Random,
    state: Mutex<State>,
    /// The worker has something to do: there is room for more jobs, or some are to be given back.
    room: Notify,
    /// A connection that is idle is to make way.
    pub(super) crowded: Notify,
    /// Another connection may be opened, or the moment from which one may has changed.
    more: Notify,
    /// One-time passwords that were ordered by the time of the last claim of urgent mail.
    claimed: watch::Sender<u64>,
    /// When transactions are broken off, once that is known.
    end: watch::Sender<Option<Timestamp>>,
}

struct State {
    lanes: Lanes,
    limits_of: LimitsOf,
    /// The number of each job's claim, and its class.
    held: HashMap<JobId, (i64, Class)>,
    /// Those of them whose outcome is known and not in the store yet.
    told: HashSet<JobId>,
    /// Those of them that are being given to a server of a destination.
    sending: HashMap<JobId, (Class, Name)>,
    /// Those of them whose servers are being looked up.
    unplaced: Unplaced,
    /// Claims to be given back to the store.
    back: Vec<(JobId, i64)>,
    /// What waits for another try there need not wait any longer.
    resumed: BTreeSet<Resumed>,
    /// Domains whose mail is kept back though their destination is there.
    kept: Kept,
    bells: HashMap<Name, Arc<Notify>>,
    stopping: bool,
}

/// Who is there again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Resumed {
    /// A destination.
    Destination(Name),
    /// A domain whose mail was kept back.
    Domain(Domain),
}

/// What a connection that asked for work is to do.
pub(super) enum Work {
    /// Send this; the number goes with the answer.
    Job(Box<Job>, u64),
    /// Ask again then, or when the bell rings.
    Wait(Option<Timestamp>),
    /// Close.
    Leave,
}

impl Pool {
    pub(super) fn new(limits: Limits, limits_of: LimitsOf, clock: Clock, random: Random) -> Arc<Self> {
        let usual = destination::Limits {
            connections: limits.per_destination,
            messages_per_connection: limits.mails,
            rate: None,
        };
        let bounds = Bounds { connections: limits.connections, window: limits.window, usual };
        let state = State {
            lanes: Lanes::new(bounds),
            limits_of,
            held: HashMap::new(),
            told: HashSet::new(),
            sending: HashMap::new(),
            unplaced: Unplaced::new(limits.held),
            back: Vec::new(),
            resumed: BTreeSet::new(),
            kept: Kept::default(),
            bells: HashMap::new(),
            stopping: false,
        };
        Arc::new(Self {
            limits,
            clock,
            random,
            state: Mutex::new(state),
            room: Notify::new(),
            crowded: Notify::new(),
            more: Notify::new(),
            claimed: watch::Sender::new(0),
            end: watch::Sender::new(None),
        })
    }

    /// All urgent mail was claimed for whose order was begun by the time at which that many were counted.
    pub(super) fn claimed_up_to(&self, coming: u64) {
        self.claimed.send_if_modified(|claimed| {
            let grows = *claimed < coming;
            *claimed = coming.max(*claimed);
            grows
        });
    }

    /// Waits until all urgent mail was claimed for of which that many were counted; not for long, as their order may have
    /// come to nothing.
    pub(super) async fn claims_up_to(&self, coming: u64) {
        let mut claimed = self.claimed.subscribe();
        let claim = claimed.wait_for(|claimed| *claimed >= coming);
        if self.clock.within(self.clock.now().plus(COMING), claim).await.is_err() {
            // Nobody else waits for it.
            self.claimed_up_to(coming);
        }
    }

    /// Takes in a job that was claimed, for a destination that is known.
    pub(super) fn place(&self, to: &Name, job: Job) {
        let now = self.clock.now();
        let mut state = self.lock();
        state.held.insert(job.id, fence_of(&job));
        state.place(to, job, now);
        if state.lanes.is_crowded_out() {
            self.crowded.notify_one();
        }
    }

    /// Takes in a job that was claimed, for a domain whose servers are to be looked up; says whether that is to be done for it.
    /// It goes back to the store where too many wait for that already.
    pub(super) fn keep_unplaced(&self, job: Job) -> bool {
        let mut state = self.lock();
        state.held.insert(job.id, fence_of(&job));
        match state.unplaced.keep(job) {
            Arrival::LooksUp => true,
            Arrival::Waits => false,
            Arrival::TurnedAway(job) => {
                state.give_back(std::slice::from_ref(&job));
                false
            }
        }
    }

    /// The destination of a domain has become known: what waited for that goes into its lanes.
    pub(super) fn place_all(&self, domain: &Domain, to: &Name) {
        let now = self.clock.now();
        let mut state = self.lock();
        let was_full = Class::ALL.into_iter().any(|class| state.unplaced.is_any_full(class));
        for job in state.unplaced.take(domain) {
            state.place(to, job, now);
        }
        if state.lanes.is_crowded_out() {
            self.crowded.notify_one();
        }
        // More may wait in the store, or some of these go back there.
        let claims = was_full || !state.back.is_empty();
        drop(state);
        if claims {
            self.room.notify_one();
        }
        self.more.notify_one();
    }

    /// Says how many more jobs of a class may wait for look-ups, whatever their domains.
    pub(super) fn room_unplaced(&self, class: Class) -> usize {
        self.lock().unplaced.room(class)
    }

    /// Says how many more jobs of a class of one domain may.
    pub(super) fn room_unplaced_at(&self, domain: &Domain, class: Class) -> usize {
        self.lock().unplaced.room_at(domain, class)
    }

    /// Gives back most of what waits where nothing moves, when there is little room left for others.
    pub(super) fn make_room(&self) {
        let mut state = self.lock();
        if state.held.len() >= self.limits.held / 2 {
            let back = state.lanes.shrink(self.limits.held / STALLED, self.clock.now());
            state.give_back(&back);
        }
    }

    /// Gives a job for which another connection may be opened now.
    pub(super) fn another(self: &Arc<Self>) -> Option<(Seat, Job)> {
        let now = self.clock.now();
        let mut state = self.lock();
        if state.stopping {
            return None;
        }
        let (name, job) = state.lanes.open(now)?;
        let messages = state.lanes.messages(&name);
        Some((Seat::new(Arc::clone(self), name, messages), job))
    }

    /// Says when another connection may be opened that may not now.
    pub(super) fn next_moment(&self) -> Option<Timestamp> {
        self.lock().lanes.next_moment()
    }

    /// Says how many more jobs of a class there is room for.
    pub(super) fn room_for(&self, class: Class) -> usize {
        let most = match class {
            Class::Otp => self.limits.held,
            Class::Registration | Class::ContactTest => self.limits.held - self.limits.held / RESERVED,
            Class::Alert | Class::Notice | Class::Report => self.limits.held - self.limits.held / URGENT,
        };
        most.saturating_sub(self.lock().held.len())
    }

    /// Says whether some destination, or some domain whose servers are being looked up, has no room for another job of a class, or
    /// some domain's mail is kept back.
    pub(super) fn is_any_full(&self, class: Class) -> bool {
        let (state, now) = (self.lock(), self.clock.now());
        state.unplaced.is_any_full(class)
            || state.lanes.is_any_full(class, now)
            || state.kept.keeps_any(class, now, |job| state.held.contains_key(&job))
    }

    /// Says how many more jobs of a class a destination has room for.
    pub(super) fn room_at(&self, to: &Name, class: Class) -> usize {
        self.lock().lanes.room(to, class, self.clock.now())
    }

    /// Waits until the worker has something to do.
    pub(super) async fn room(&self) {
        self.room.notified().await;
    }

    /// Waits until another connection may be opened.
    pub(super) async fn more(&self) {
        self.more.notified().await;
    }

    /// Enters a job in the book that needs no connection.
    pub(super) fn hold(&self, job: &Job) {
        self.lock().held.insert(job.id, fence_of(job));
    }

    /// Notes that the outcome of a job is on its way into the store: it is not to be given back unsent.
    pub(super) fn told(&self, job: &Job) {
        let mut state = self.lock();
        state.sending.remove(&job.id);
        if state.held.get(&job.id) == Some(&fence_of(job)) {
            state.told.insert(job.id);
        }
    }

    /// Strikes a job that was settled, unless it has been claimed anew since.
    pub(super) fn settled(&self, job: &Job) {
        let mut state = self.lock();
        if state.held.get(&job.id) == Some(&fence_of(job)) {
            state.held.remove(&job.id);
            state.told.remove(&job.id);
            state.sending.remove(&job.id);
        }
        if state.held.len() == self.limits.held / 2 {
            self.room.notify_one();
        }
    }

    /// Lists the claims that are to be kept.
    pub(super) fn held(&self) -> Vec<Claim> {
        let state = self.lock();
        let under_way = |job: &JobId| state.sending.contains_key(job) || state.told.contains(job);
        let claim = |(job, (fence, class)): (&JobId, &(i64, Class))| Claim {
            job: *job,
            fence: *fence,
            class: *class,
            under_way: under_way(job),
        };
        state.held.iter().map(claim).collect()
    }

    /// Strikes a job whose claim was lost, unless it has been claimed anew since.
    pub(super) fn strike(&self, job: &Job) {
        let mut state = self.lock();
        if state.held.get(&job.id) == Some(&fence_of(job)) {
            state.held.remove(&job.id);
        }
    }

    /// Takes the claims that are to be given back to the store.
    pub(super) fn take_back(&self) -> Vec<(JobId, i64)> {
        std::mem::take(&mut self.lock().back)
    }

    /// Names who is there again, and for whom something may wait that need not.
    pub(super) fn next_resumed(&self) -> Option<Resumed> {
        self.lock().resumed.first().cloned()
    }

    /// Nothing waits any more for that to be there again.
    pub(super) fn has_woken(&self, resumed: &Resumed) {
        self.lock().resumed.remove(resumed);
    }

    /// Strikes jobs whose claim was lost; those on their way find out when they are settled.
    pub(super) fn lost(&self, jobs: &[JobId]) {
        let lost: HashSet<JobId> = jobs.iter().copied().collect();
        let mut state = self.lock();
        let now = self.clock.now();
        drop(state.lanes.remove(|job| lost.contains(&job.id), now));
        drop(state.unplaced.remove(|job| lost.contains(&job.id)));
        for job in jobs {
            state.held.remove(job);
            state.told.remove(job);
            state.sending.remove(job);
        }
    }

    /// Takes out the jobs that wait here for their turn and fit; gives their claims, which are the caller's from now on.
    pub(super) fn recall(&self, fits: impl Fn(&Job) -> bool) -> Vec<(JobId, i64)> {
        let mut state = self.lock();
        let mut waited = state.lanes.remove(&fits, self.clock.now());
        waited.extend(state.unplaced.remove(fits));
        let claims = waited.iter().filter_map(|job| state.strike(job.id)).collect();
        for job in &waited {
            state.sending.remove(&job.id);
        }
        drop(state);
        self.room.notify_one();
        claims
    }

    /// Takes other limits for all destinations, some domains having gone from one to another.
    pub(super) fn regroup(&self, moved: &[Moved], limits_of: LimitsOf) {
        let now = self.clock.now();
        let mut state = self.lock();
        let back = state.lanes.regroup(moved, &limits_of, now);
        state.give_back(&back);
        state.limits_of = limits_of;
        for bell in state.bells.values() {
            bell.notify_waiters();
        }
        drop(state);
        self.more.notify_one();
        self.room.notify_one();
    }

    /// The clock was put back: moments that were fixed by it before are not waited for.
    pub(super) fn clock_was_put_back(&self) {
        let mut state = self.lock();
        state.lanes.clock_was_put_back(self.clock.now());
        state.kept.clock_was_put_back(self.clock.now());
        for bell in state.bells.values() {
            bell.notify_waiters();
        }
        drop(state);
        self.more.notify_one();
    }

    /// Forgets destinations and domains that nothing was sent to for a while.
    pub(super) fn forget(&self) {
        let (mut state, now) = (self.lock(), self.clock.now());
        state.lanes.forget(now);
        state.kept.forget(now);
    }

    /// Lets no connection take another job, and transactions go on until `end`; gives the claims of what waited.
    pub(super) fn stop(&self, end: Timestamp) -> Vec<(JobId, i64)> {
        self.end.send_replace(Some(end));
        let mut state = self.lock();
        state.stopping = true;
        for bell in state.bells.values() {
            bell.notify_waiters();
        }
        let mut waited = state.lanes.empty(self.clock.now());
        waited.extend(state.unplaced.remove(|_| true));
        state.give_back(&waited);
        std::mem::take(&mut state.back)
    }

    /// Tells when transactions are broken off, once that is known.
    pub(super) fn end(&self) -> watch::Receiver<Option<Timestamp>> {
        self.end.subscribe()
    }

    /// Says whether transactions have been broken off.
    pub(super) fn has_ended(&self) -> bool {
        self.end.borrow().is_some_and(|end| end <= self.clock.now())
    }

    /// Lists the claims of jobs that came to no outcome.
    pub(super) fn unsent(&self) -> Vec<(JobId, i64)> {
        let state = self.lock();
        let held = state.held.iter().filter(|(job, _)| !state.told.contains(job));
        held.map(|(job, (fence, _))| (*job, *fence)).collect()
    }

    /// Shows all destinations.
    pub(super) fn view(&self) -> Vec<DestinationView> {
        self.lock().lanes.view(self.clock.now())
    }

    /// Shows one job, where it is here.
    pub(super) fn job(&self, job: JobId) -> Option<JobView> {
        let state = self.lock();
        if let Some((class, to)) = state.sending.get(&job) {
            let destination = Some(to.to_string());
            return Some(JobView { job, class: *class, destination, wait: Wait::Sending, ahead: 0 });
        }
        let unplaced = || {
            let found = state.unplaced.find(job)?;
            Some(JobView { job, class: found.order.class, destination: None, wait: Wait::Resolving, ahead: 0 })
        };
        state.lanes.job(job, self.clock.now()).or_else(unplaced)
    }

    /// Gives a connection the next job for a destination.
    pub(super) fn work(&self, to: &Name) -> Work {
        let now = self.clock.now();
        let mut state = self.lock();
        if state.stopping {
            return Work::Leave;
        }
        match state.lanes.take(to, now) {
            Take::Job(job, epoch) => {
                state.sending.insert(job.id, (job.order.class, to.clone()));
                if state.lanes.waiting(to, job.order.class) == self.limits.window / 2 {
                    self.room.notify_one();
                }
                Work::Job(job, epoch)
            }
            Take::At(moment) => Work::Wait(Some(moment)),
            Take::Nothing => Work::Wait(None),
            Take::Leave => {
                // It may have been called for a job that the next one takes.
                state.ring(to);
                Work::Leave
            }
        }
    }

    /// Gives the urgent job that goes in the place of one that can wait; else that one again.
    pub(super) fn exchange(&self, to: &Name, job: Job) -> Job {
        let mut state = self.lock();
        if state.stopping {
            return job;
        }
        let id = job.id;
        let next = state.lanes.exchange(to, job, self.clock.now());
        if next.id != id {
            state.sending.remove(&id);
            state.sending.insert(next.id, (next.order.class, to.clone()));
        }
        next
    }

    pub(super) fn ahead(&self, to: &Name, already: bool) -> Option<(Job, u64)> {
        let mut state = self.lock();
        if state.stopping {
            return None;
        }
        let (job, epoch) = state.lanes.ahead(to, already, self.clock.now())?;
        state.sending.insert(job.id, (job.order.class, to.clone()));
        if state.lanes.waiting(to, job.order.class) == self.limits.window / 2 {
            self.room.notify_one();
        }
        Some((job, epoch))
    }

    /// Puts a job back that was taken and not sent.
    pub(super) fn put_back(&self, to: &Name, job: Job) {
        let now = self.clock.now();
        let mut state = self.lock();
        state.sending.remove(&job.id);
        if state.stopping {
            // No connection takes another job: it is given back at the end.
            return;
        }
        if state.held.get(&job.id) == Some(&fence_of(&job)) {
            let turned_away = state.lanes.put_back(to, job, now);
            state.ring(to);
            if let Some(job) = turned_away {
                state.give_back(std::slice::from_ref(&job));
                self.room.notify_one();
            }
        } else {
            // It was lost meanwhile.
            drop(state.lanes.ended(to, None, now, self.random.fraction()));
        }
        drop(state);
        self.more.notify_one();
    }

    /// The connection stands that a job was the reason for.
    pub(super) fn stands(&self, to: &Name, reason: &Job) {
        self.lock().lanes.stands(to, reason, self.clock.now());
        self.more.notify_one();
    }

    /// Gives the job for which a connection does not come about, unless another connection has taken it.
    pub(super) fn withdraw(&self, to: &Name, job: Job) -> Option<Job> {
        self.lock().lanes.withdraw(to, job, self.clock.now())
    }

    /// Learns how a destination answered a mail.
    pub(super) fn answered(&self, to: &Name, answer: Option<(Signal, u64)>) {
        let now = self.clock.now();
        let mut state = self.lock();
        let learned = state.lanes.ended(to, answer, now, self.random.fraction());
        self.tell(&mut state, to, &learned);
        // What moves again has little at hand, and more of it may wait in the store.
        if state.lanes.is_short(to) {
            self.room.notify_one();
        }
    }

    /// Takes the token for a mail that is begun once more; gives when it may go, and the epoch, unless that is behind `until`.
    pub(super) fn again(&self, to: &Name, until: Timestamp) -> Option<(Timestamp, u64)> {
        self.lock().lanes.again(to, until, self.clock.now())
    }

    /// No server of a destination takes the connection in that a job was for; gives the jobs that share this fate: none where
    /// other connections are open, which then take them.
    pub(super) fn unreached(&self, to: &Name, job: Job) -> Vec<Job> {
        let now = self.clock.now();
        let mut state = self.lock();
        if state.stopping {
            return Vec::new();
        }
        state.sending.remove(&job.id);
        let (shared, learned) = state.lanes.refused(to, job, now, self.random.fraction());
        state.ring(to);
        self.tell(&mut state, to, &learned);
        shared
    }

    /// Takes out what waits for a destination on behalf of one domain.
    pub(super) fn kin(&self, to: &Name, domain: &Domain) -> Vec<Job> {
        let mut state = self.lock();
        if state.stopping {
            return Vec::new();
        }
        let kin = state.lanes.remove_at(to, |job| job.order.to.domain() == domain, self.clock.now());
        self.room.notify_one();
        kin
    }

    fn tell(&self, state: &mut State, to: &Name, learned: &Learned) {
        state.give_back(&learned.back);
        match learned.change {
            Change::None => {}
            Change::Slowed(connections) => {
                tracing::info!(destination = %to, connections, "the destination is pressed less");
            }
            Change::Shut { why, until } => {
                tracing::warn!(destination = %to, why = why.as_str(), %until, "the destination is left alone for a while");
                self.room.notify_one();
            }
            Change::Resumed => {
                tracing::info!(destination = %to, "the destination takes mail again");
                state.resumed.insert(Resumed::Destination(to.clone()));
                self.room.notify_one();
            }
        }
        self.more.notify_one();
    }

    pub(super) fn opened(&self, to: &Name) {
        self.lock().lanes.opened(to, self.clock.now());
        self.more.notify_one();
    }

    pub(super) fn broke(&self, to: &Name) {
        self.lock().lanes.broke(to);
    }

    pub(super) fn closed(&self, to: &Name, told: bool) {
        let mut state = self.lock();
        if state.lanes.closed(to, told, self.clock.now()) {
            state.bells.remove(to);
        }
        // It may have been called for a job that is for another one now.
        state.ring(to);
        // The next probe may have waited for this one's connection to be gone.
        let probes = state.lanes.is_shut(to);
        drop(state);
        if probes {
            self.room.notify_one();
        }
        self.more.notify_one();
    }

    pub(super) fn ahead_ended(&self, to: &Name) {
        self.lock().lanes.ahead_ended(to);
    }

    /// Counts a connection as idle, and gives the bell that rings for it.
    pub(super) fn idles(&self, to: &Name) -> Arc<Notify> {
        let mut state = self.lock();
        state.lanes.idles(to, true, self.clock.now());
        Arc::clone(state.bells.entry(to.clone()).or_default())
    }

    pub(super) fn works(&self, to: &Name) {
        self.lock().lanes.idles(to, false, self.clock.now());
    }

    pub(super) fn is_crowded_out(&self) -> bool {
        self.lock().lanes.is_crowded_out()
    }

    /// Says how long a job that is begun now was held back by its destination since it fell due.
    pub(super) fn waited(&self, to: &Name, due: Timestamp) -> crate::queue::view::Held {
        self.lock().lanes.held(to, due, self.clock.now())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn place(&mut self, to: &Name, job: Job, now: Timestamp) {
        let Self { kept, held, .. } = self;
        if !kept.admits(&job, now, |other| held.contains_key(&other)) {
            return self.give_back(std::slice::from_ref(&job));
        }
        let limits = (self.limits_of)(to);
        if let Some(turned_away) = self.lanes.offer(to, limits, job, now) {
            self.give_back(std::slice::from_ref(&turned_away));
        }
        self.ring(to);
    }

    /// Has a connection look that waits for work.
    fn ring(&self, to: &Name) {
        if self.lanes.idle(to) > 0
            && let Some(bell) = self.bells.get(to)
        {
            bell.notify_one();
        }
    }

    fn give_back(&mut self, jobs: &[Job]) {
        let claims: Vec<(JobId, i64)> = jobs.iter().filter_map(|job| self.strike(job.id)).collect();
        self.back.extend(claims);
    }

    fn strike(&mut self, job: JobId) -> Option<(JobId, i64)> {
        self.held.remove(&job).map(|(fence, _)| (job, fence))
    }
}

fn fence_of(job: &Job) -> (i64, Class) {
    (job.lease.as_ref().map_or(0, |lease| lease.fence), job.order.class)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn pool() -> (Arc<Pool>, Clock) {
        let clock = Clock::turned_by_hand(Timestamp::from_millis(0));
        (Pool::new(Limits::default(), Box::new(|_| None), clock.clone(), Random::repeating(5)), clock)
    }

    #[tokio::test]
    async fn a_mail_that_can_wait_does_so_until_the_code_that_was_ordered_is_claimed() {
        let (pool, _) = pool();
        pool.claims_up_to(0).await;
        let mut waits = pin!(pool.claims_up_to(2));
        let mut looks = || waits.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(looks(), Poll::Pending);
        pool.claimed_up_to(1);
        assert_eq!(looks(), Poll::Pending);
        pool.claimed_up_to(2);
        assert_eq!(looks(), Poll::Ready(()));
        // A claim that was begun before and ends after says nothing new.
        pool.claimed_up_to(1);
        pool.claims_up_to(2).await;
    }

    #[tokio::test]
    async fn a_code_whose_order_came_to_nothing_is_waited_for_once_and_not_for_long() {
        let (pool, clock) = pool();
        let turned = async {
            tokio::task::yield_now().await;
            clock.turn(COMING);
        };
        tokio::join!(pool.claims_up_to(3), turned);
        pool.claims_up_to(3).await;
    }
}
