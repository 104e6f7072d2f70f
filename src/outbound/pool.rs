//! Where claimed jobs and connections meet.
//!
//! The worker puts jobs in, connections take them out, and whoever has to wait is woken. Keeps book of every job that is
//! claimed and not yet settled, so that its claim can be kept.
//!
//! Knows nothing of servers or of the store. What always holds: the book lists a job from its claim to its settlement; no
//! lock is held while anybody waits.

mod book;
mod carrying;
mod coming;
mod keeping;
mod room;

pub(super) use carrying::Work;

use book::fence_of;

use super::Limits;
use super::seat::Seat;
use super::unplaced::{Arrival, Unplaced};
use crate::clock::Clock;
use crate::model::{Domain, JobId, Timestamp};
use crate::queue::destination::{self, Name};
use crate::queue::kept::Kept;
use crate::queue::lanes::{Bounds, Lanes, Moved};
use crate::queue::view::{DestinationView, JobView, Wait};
use crate::queue::{Class, Job};
use crate::random::Random;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};

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

    /// Waits until the worker has something to do.
    pub(super) async fn room(&self) {
        self.room.notified().await;
    }

    /// Waits until another connection may be opened.
    pub(super) async fn more(&self) {
        self.more.notified().await;
    }

    /// Names who is there again, and for whom something may wait that need not.
    pub(super) fn next_resumed(&self) -> Option<Resumed> {
        self.lock().resumed.first().cloned()
    }

    /// Nothing waits any more for that to be there again.
    pub(super) fn has_woken(&self, resumed: &Resumed) {
        self.lock().resumed.remove(resumed);
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

    pub(super) fn is_crowded_out(&self) -> bool {
        self.lock().lanes.is_crowded_out()
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
}
