//! One connection's place in the count, and its way to work.
//!
//! Knows nothing of servers. What always holds: the place is given back when the seat is dropped, whatever happened; a job comes
//! with the token that lets it be sent.

use super::pool::{Pool, Work};
use crate::model::{Domain, Timestamp};
use crate::queue::destination::Name;
use crate::queue::lanes::Part;
use crate::queue::pace::Signal;
use crate::queue::view::Held;
use crate::queue::{Cause, Job};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Notify;

/// A connection's place.
pub(super) struct Seat {
    pool: Arc<Pool>,
    to: Name,
    messages: u32,
    /// A server has taken the connection in.
    open: bool,
    /// It sends ahead.
    ahead: AtomicBool,
    /// It was told to close.
    told: AtomicBool,
    /// The pace's epoch when the last mail was begun, and when the one behind it was.
    epochs: (AtomicU64, AtomicU64),
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.closed();
        self.ahead_ended();
        self.pool.closed(&self.to, self.told.load(Ordering::Relaxed));
    }
}

impl Seat {
    pub(super) const fn new(pool: Arc<Pool>, to: Name, messages: u32) -> Self {
        let epochs = (AtomicU64::new(0), AtomicU64::new(0));
        Self { pool, to, messages, open: false, ahead: AtomicBool::new(false), told: AtomicBool::new(false), epochs }
    }

    /// Says how many mails one connection carries.
    pub(super) const fn messages(&self) -> u32 {
        self.messages
    }

    /// Says how long a job was held back by the destination since it fell due.
    pub(super) fn waited(&self, due: Timestamp) -> Held {
        self.pool.waited(&self.to, due)
    }

    /// The connection stands. The job that was only the reason to open it has waited in its lane all the while, unless another
    /// connection took it.
    pub(super) fn put_back(&self, reason: Job) {
        self.pool.stands(&self.to, &reason);
    }

    /// Gives the job for which no connection comes about, to be settled, unless another connection has taken it.
    pub(super) fn withdraw(&self, job: Job, part: Part) -> Option<Job> {
        self.pool.withdraw(&self.to, job, part)
    }

    /// Puts a job back that was taken by [`Self::next`] or [`Self::ahead`] and of which no server has heard anything that
    /// counts; its token is spent.
    pub(super) fn unsent(&self, job: Job) {
        self.pool.put_back(&self.to, job);
    }

    /// Waits for the next job, which comes with its token; nothing when the connection is to be closed: it was idle for too
    /// long, others need its place, the destination gets fewer connections, or the daemon stops.
    pub(super) async fn next(&self) -> Option<Job> {
        match self.work() {
            Work::Job(job, epoch) => return Some(self.begun(*job, epoch)),
            Work::Leave => return None,
            // Whoever would only wait makes way for who has no connection at all.
            Work::Wait(None) if self.pool.is_crowded_out() => return None,
            Work::Wait(_) => {}
        }
        let deadline = self.pool.clock.now().plus(self.pool.limits.idle);
        let idle = Idle { seat: self, bell: self.pool.idles(&self.to) };
        loop {
            let mut rung = pin!(idle.bell.notified());
            // Listening before looking: who rings in between is heard.
            rung.as_mut().enable();
            let token = match self.work() {
                Work::Job(job, epoch) => return Some(self.begun(*job, epoch)),
                Work::Leave => return None,
                Work::Wait(token) => token,
            };
            // A connection that waits for a token has work: it is not idle.
            let until = token.unwrap_or(deadline);
            let leave = tokio::select! {
                biased;
                () = rung => false,
                () = self.pool.crowded.notified(), if token.is_none() => true,
                () = self.pool.clock.sleep_until(until) => token.is_none(),
            };
            if leave {
                // Once more: a job that counted on this connection must not be left behind.
                return match self.work() {
                    Work::Job(job, epoch) => Some(self.begun(*job, epoch)),
                    Work::Wait(_) | Work::Leave => None,
                };
            }
        }
    }

    fn work(&self) -> Work {
        let work = self.pool.work(&self.to);
        if matches!(work, Work::Leave) {
            self.told.store(true, Ordering::Relaxed);
        }
        work
    }

    fn begun(&self, job: Job, epoch: u64) -> Job {
        self.epochs.0.store(epoch, Ordering::Relaxed);
        job
    }

    /// Gives the urgent job that goes in the place of one of which no server has heard yet, with its token; else that one again.
    pub(super) fn exchange(&self, job: Job) -> Job {
        self.pool.exchange(&self.to, job)
    }

    /// Gives the job, with its token, whose commands may go right behind the body of the one that is being sent; now or
    /// never.
    pub(super) fn ahead(&self) -> Option<Job> {
        let (job, epoch) = self.pool.ahead(&self.to, self.ahead.load(Ordering::Relaxed))?;
        self.ahead.store(true, Ordering::Relaxed);
        self.epochs.1.store(epoch, Ordering::Relaxed);
        Some(job)
    }

    /// The job that was sent ahead is now the one that is being sent.
    pub(super) fn moved_up(&self) {
        self.epochs.0.store(self.epochs.1.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Nothing more is sent ahead.
    pub(super) fn ahead_ended(&self) {
        if self.ahead.swap(false, Ordering::Relaxed) {
            self.pool.ahead_ended(&self.to);
        }
    }

    /// A server took the connection in.
    pub(super) fn opened(&mut self) {
        if !self.open {
            self.open = true;
            self.pool.opened(&self.to);
        }
    }

    /// The connection is gone.
    pub(super) fn closed(&mut self) {
        if self.open {
            self.open = false;
            self.pool.broke(&self.to);
        }
    }

    /// The mail that was being sent has been tried; `signal` is what the answer says about the destination, if anything.
    pub(super) fn report(&self, signal: Option<Signal>) {
        let epoch = self.epochs.0.load(Ordering::Relaxed);
        self.pool.answered(&self.to, signal.map(|signal| (signal, epoch)));
    }

    /// Takes the token for the mail that is begun once more after it has been tried, and waits for its moment; false where that
    /// is behind `until`.
    pub(super) async fn again(&self, until: Timestamp) -> bool {
        let Some((moment, epoch)) = self.pool.again(&self.to, until) else { return false };
        self.epochs.0.store(epoch, Ordering::Relaxed);
        self.pool.clock.sleep_until(moment).await;
        true
    }

    /// No server takes the connection in that a job was for; gives the jobs that share this fate.
    pub(super) fn unreached(&self, job: Job, part: Part) -> Vec<Job> {
        self.pool.unreached(&self.to, job, part)
    }

    /// A job cannot be sent for its domain's own sake; gives the jobs that count as tried by it.
    pub(super) fn kept_back(&self, job: Job, part: Part, cause: Cause) -> Vec<Job> {
        self.pool.kept_back(&self.to, job, part, cause)
    }

    /// The mail of a domain can be sent, or has nowhere to go for good, as was found out at `found`.
    pub(super) fn reached(&self, domain: &Domain, found: Timestamp) {
        self.pool.reached(domain, found);
    }

    /// Gives what else waits for a domain that its mail cannot be sent to, though its destination is there.
    pub(super) fn kin(&self, domain: &Domain) -> Vec<Job> {
        self.pool.kin(&self.to, domain)
    }

    /// Says whether another destination has no connection because there are too many in all.
    pub(super) fn is_crowded_out(&self) -> bool {
        self.pool.is_crowded_out()
    }
}

/// A connection counted as idle until it has a job or is dropped.
struct Idle<'a> {
    seat: &'a Seat,
    bell: Arc<Notify>,
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        self.seat.pool.works(&self.seat.to);
    }
}
