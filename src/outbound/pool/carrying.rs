//! What connections ask the pool for, and what they tell it.
//!
//! Knows nothing of what goes over them. What always holds: whoever waits for something that has come is woken; once the daemon
//! stops no connection is given another job.

use super::book::fence_of;
use super::{Pool, Resumed, State};
use crate::model::{Domain, Timestamp};
use crate::queue::Job;
use crate::queue::destination::Name;
use crate::queue::lanes::{Learned, Part, Take};
use crate::queue::pace::{Change, Signal};
use std::sync::Arc;
use tokio::sync::Notify;

/// What a connection that asked for work is to do.
pub(in crate::outbound) enum Work {
    /// Send this; the number goes with the answer.
    Job(Box<Job>, u64),
    /// Ask again then, or when the bell rings.
    Wait(Option<Timestamp>),
    /// Close.
    Leave,
}

impl Pool {
    /// Gives a connection the next job for a destination.
    pub(in crate::outbound) fn work(&self, to: &Name) -> Work {
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
    pub(in crate::outbound) fn exchange(&self, to: &Name, job: Job) -> Job {
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

    pub(in crate::outbound) fn ahead(&self, to: &Name, already: bool) -> Option<(Job, u64)> {
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
    pub(in crate::outbound) fn put_back(&self, to: &Name, job: Job) {
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
    pub(in crate::outbound) fn stands(&self, to: &Name, reason: &Job) {
        self.lock().lanes.stands(to, reason, self.clock.now());
        self.more.notify_one();
    }

    /// Gives the job for which a connection does not come about, unless another connection has taken it.
    pub(in crate::outbound) fn withdraw(&self, to: &Name, job: Job, part: Part) -> Option<Job> {
        self.lock().lanes.withdraw(to, job, part, self.clock.now())
    }

    /// Learns how a destination answered a mail.
    pub(in crate::outbound) fn answered(&self, to: &Name, answer: Option<(Signal, u64)>) {
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
    pub(in crate::outbound) fn again(&self, to: &Name, until: Timestamp) -> Option<(Timestamp, u64)> {
        self.lock().lanes.again(to, until, self.clock.now())
    }

    /// No server of a destination takes the connection in that a job was for; gives the jobs that share this fate: none where
    /// other connections are open, which then take them.
    pub(in crate::outbound) fn unreached(&self, to: &Name, job: Job, part: Part) -> Vec<Job> {
        let now = self.clock.now();
        let mut state = self.lock();
        if state.stopping {
            return Vec::new();
        }
        if part == Part::Taken {
            state.sending.remove(&job.id);
        }
        let (shared, learned) = state.lanes.refused(to, job, part, now, self.random.fraction());
        state.ring(to);
        self.tell(&mut state, to, &learned);
        shared
    }

    /// Takes out what waits for a destination on behalf of one domain.
    pub(in crate::outbound) fn kin(&self, to: &Name, domain: &Domain) -> Vec<Job> {
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

    pub(in crate::outbound) fn opened(&self, to: &Name) {
        self.lock().lanes.opened(to, self.clock.now());
        self.more.notify_one();
    }

    pub(in crate::outbound) fn broke(&self, to: &Name) {
        self.lock().lanes.broke(to);
    }

    pub(in crate::outbound) fn closed(&self, to: &Name, told: bool) {
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

    pub(in crate::outbound) fn ahead_ended(&self, to: &Name) {
        self.lock().lanes.ahead_ended(to);
    }

    /// Counts a connection as idle, and gives the bell that rings for it.
    pub(in crate::outbound) fn idles(&self, to: &Name) -> Arc<Notify> {
        let mut state = self.lock();
        state.lanes.idles(to, true, self.clock.now());
        Arc::clone(state.bells.entry(to.clone()).or_default())
    }

    pub(in crate::outbound) fn works(&self, to: &Name) {
        self.lock().lanes.idles(to, false, self.clock.now());
    }

    /// Says how long a job that is begun now was held back by its destination since it fell due.
    pub(in crate::outbound) fn waited(&self, to: &Name, due: Timestamp) -> crate::queue::view::Held {
        self.lock().lanes.held(to, due, self.clock.now())
    }
}
