//! Where claimed jobs and connections meet.
//!
//! The worker puts jobs in, connections take them out, and whoever has to wait is woken. Keeps book of every job that is
//! claimed and not yet settled, so that its claim can be kept.
//!
//! Knows nothing of servers or of the store. What always holds: the book lists a job from its claim to its settlement; no
//! lock is held while anybody waits.

use super::lane::{Destination, Lanes, Limits, Offered};
use crate::clock::Clock;
use crate::model::{JobId, Timestamp};
use crate::queue::{Class, Job};
use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};

/// Part of [`Limits::held`] that only one-time passwords may use.
const RESERVED: usize = 10;

pub(super) struct Pool {
    limits: Limits,
    clock: Clock,
    state: Mutex<State>,
    /// There is room for more jobs.
    room: Notify,
    /// A connection that is idle is to make way.
    crowded: Notify,
    /// Another connection may be opened.
    more: Notify,
    /// When transactions are broken off, once that is known.
    end: watch::Sender<Option<Timestamp>>,
}

struct State {
    lanes: Lanes,
    /// The number of each job's claim.
    held: HashMap<JobId, i64>,
    /// Those of them whose outcome is known and not in the store yet.
    told: HashSet<JobId>,
    bells: HashMap<Destination, Arc<Notify>>,
    stopping: bool,
}

/// A connection's place in the count; given back when dropped.
pub(super) struct Seat {
    pool: Arc<Pool>,
    destination: Destination,
    /// A server has taken the connection in.
    open: bool,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.is_open(false);
        let mut state = self.pool.lock();
        if state.lanes.closed(&self.destination) {
            state.bells.remove(&self.destination);
        }
    }
}

impl Seat {
    /// Waits for the next job; nothing when the connection is to be closed: it was idle for too long, others need its
    /// place, or the daemon stops.
    pub(super) async fn next(&self) -> Option<Job> {
        let deadline = self.pool.clock.now().plus(self.pool.limits.idle);
        let mut idle = Idle::begin(self);
        let bell = Arc::clone(&idle.bell);
        loop {
            let mut rung = pin!(bell.notified());
            // Listening before looking: who rings in between is heard.
            rung.as_mut().enable();
            if let Some(job) = idle.look().ok()? {
                return Some(job);
            }
            let leave = tokio::select! {
                biased;
                () = rung => false,
                () = self.pool.crowded.notified() => true,
                () = self.pool.clock.sleep_until(deadline) => true,
            };
            if leave {
                // Once more: a job that counted on this connection must not be left behind.
                return idle.look().ok()?;
            }
        }
    }

    /// Says whether another destination has no connection because there are too many in all.
    pub(super) fn is_crowded_out(&self) -> bool {
        self.pool.lock().lanes.is_crowded_out()
    }

    /// Notes whether a server has taken the connection in.
    pub(super) fn is_open(&mut self, open: bool) {
        if self.open == open {
            return;
        }
        self.open = open;
        let mut state = self.pool.lock();
        if !open {
            state.lanes.broke(&self.destination);
        } else if state.lanes.opened(&self.destination, self.pool.clock.now()) {
            self.pool.more.notify_one();
        }
    }

    /// Gives the jobs that no server is to be reached for: this one and all that waits for the destination; none where
    /// other connections are open, which then take them.
    pub(super) fn refused(&self, job: Job) -> Vec<Job> {
        let mut state = self.pool.lock();
        if state.stopping {
            // No connection takes another job: it is given back at the end.
            return Vec::new();
        }
        let shared = state.lanes.refused(&self.destination, job, self.pool.clock.now());
        if !shared.is_empty() {
            self.pool.room.notify_one();
        } else if let Some(bell) = state.bells.get(&self.destination) {
            bell.notify_one();
        }
        shared
    }
}

/// A connection counted as idle until it has a job or is dropped.
struct Idle<'a> {
    seat: &'a Seat,
    bell: Arc<Notify>,
    counted: bool,
}

/// No connection takes another job.
struct Stopping;

impl<'a> Idle<'a> {
    fn begin(seat: &'a Seat) -> Self {
        let mut state = seat.pool.lock();
        state.lanes.idles(&seat.destination, true);
        let bell = Arc::clone(state.bells.entry(seat.destination.clone()).or_default());
        Self { seat, bell, counted: true }
    }

    /// Takes a job, if one is there.
    fn look(&mut self) -> Result<Option<Job>, Stopping> {
        let pool = &self.seat.pool;
        let mut state = pool.lock();
        if state.stopping {
            return Err(Stopping);
        }
        let Some(job) = state.lanes.take(&self.seat.destination) else { return Ok(None) };
        state.lanes.idles(&self.seat.destination, false);
        self.counted = false;
        if state.lanes.waiting(&self.seat.destination) == pool.limits.window / 2 {
            pool.room.notify_one();
        }
        Ok(Some(job))
    }
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        if self.counted {
            self.seat.pool.lock().lanes.idles(&self.seat.destination, false);
        }
    }
}

/// What the worker is to do with a job it claimed.
pub(super) enum Placed {
    /// Open a connection and begin with this job.
    Open(Seat, Job),
    /// Nothing.
    Kept,
    /// Give it back to the store.
    TurnedAway(Job),
}

impl Pool {
    pub(super) fn new(limits: Limits, clock: Clock) -> Arc<Self> {
        let state = State {
            lanes: Lanes::new(limits),
            held: HashMap::new(),
            told: HashSet::new(),
            bells: HashMap::new(),
            stopping: false,
        };
        Arc::new(Self {
            limits,
            clock,
            state: Mutex::new(state),
            room: Notify::new(),
            crowded: Notify::new(),
            more: Notify::new(),
            end: watch::Sender::new(None),
        })
    }

    /// Takes in a job that was claimed.
    pub(super) fn place(self: &Arc<Self>, destination: Destination, job: Job) -> Placed {
        let mut state = self.lock();
        state.held.insert(job.id, fence_of(&job));
        match state.lanes.offer(&destination, job, self.clock.now()) {
            Offered::Open(job) => Placed::Open(self.seat(destination), job),
            Offered::Waits => {
                if state.lanes.is_crowded_out() {
                    self.crowded.notify_one();
                }
                Placed::Kept
            }
            Offered::Wake => {
                if let Some(bell) = state.bells.get(&destination) {
                    bell.notify_one();
                }
                Placed::Kept
            }
            Offered::TurnedAway(job) => {
                state.held.remove(&job.id);
                Placed::TurnedAway(job)
            }
        }
    }

    /// Gives a job for which another connection may be opened now.
    pub(super) fn another(self: &Arc<Self>) -> Option<(Seat, Job)> {
        let mut state = self.lock();
        if state.stopping {
            return None;
        }
        let (destination, job) = state.lanes.open_another(self.clock.now())?;
        Some((self.seat(destination), job))
    }

    /// Says how many more jobs of a class there is room for.
    pub(super) fn room_for(&self, class: Class) -> usize {
        let most = match class {
            Class::Otp => self.limits.held,
            Class::Alert | Class::Registration | Class::ContactTest | Class::Notice | Class::Report => {
                self.limits.held - self.limits.held / RESERVED
            }
        };
        most.saturating_sub(self.lock().held.len())
    }

    /// Lists the destinations that have no room for another job of a class.
    pub(super) fn full_for(&self, class: Class) -> Vec<Destination> {
        self.lock().lanes.full_for(class)
    }

    /// Waits until there is room again.
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
        }
        if state.held.len() == self.limits.held / 2 {
            self.room.notify_one();
        }
    }

    /// Lists the claims that are to be kept.
    pub(super) fn held(&self) -> Vec<(JobId, i64)> {
        self.lock().held.iter().map(|(job, fence)| (*job, *fence)).collect()
    }

    /// Strikes jobs whose claim was lost; those on their way find out when they are settled.
    pub(super) fn lost(&self, jobs: &[JobId]) {
        let mut state = self.lock();
        state.lanes.forget(jobs);
        for job in jobs {
            state.held.remove(job);
            state.told.remove(job);
        }
    }

    /// Lets no connection take another job, and transactions go on until `end`; gives the claims of what waited.
    pub(super) fn stop(&self, end: Timestamp) -> Vec<(JobId, i64)> {
        self.end.send_replace(Some(end));
        let mut state = self.lock();
        state.stopping = true;
        for bell in state.bells.values() {
            bell.notify_waiters();
        }
        let waited = state.lanes.empty();
        waited.iter().filter_map(|job| state.held.remove_entry(&job.id)).collect()
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
        state.held.iter().filter(|(job, _)| !state.told.contains(job)).map(|(job, fence)| (*job, *fence)).collect()
    }

    fn seat(self: &Arc<Self>, destination: Destination) -> Seat {
        Seat { pool: Arc::clone(self), destination, open: false }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fence_of(job: &Job) -> i64 {
    job.lease.as_ref().map_or(0, |lease| lease.fence)
}
