//! The book of claims: every job from its claim to its settlement.
//!
//! Knows nothing of connections. What always holds: what ends one claim of a job ends no later claim of the same job.

use super::{Pool, State};
use crate::model::JobId;
use crate::outbound::leases::Claim;
use crate::queue::{Class, Job};
use std::collections::HashSet;

impl Pool {
    /// Enters a job in the book that needs no connection.
    pub(in crate::outbound) fn hold(&self, job: &Job) {
        self.lock().held.insert(job.id, fence_of(job));
    }

    /// Notes that the outcome of a job is on its way into the store: it is not to be given back unsent.
    pub(in crate::outbound) fn told(&self, job: &Job) {
        let mut state = self.lock();
        state.sending.remove(&job.id);
        if state.held.get(&job.id) == Some(&fence_of(job)) {
            state.told.insert(job.id);
        }
    }

    /// Strikes a job that was settled, unless it has been claimed anew since.
    pub(in crate::outbound) fn settled(&self, job: &Job) {
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
    pub(in crate::outbound) fn held(&self) -> Vec<Claim> {
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
    pub(in crate::outbound) fn strike(&self, job: &Job) {
        let mut state = self.lock();
        if state.held.get(&job.id) == Some(&fence_of(job)) {
            state.held.remove(&job.id);
        }
    }

    /// Takes the claims that are to be given back to the store.
    pub(in crate::outbound) fn take_back(&self) -> Vec<(JobId, i64)> {
        std::mem::take(&mut self.lock().back)
    }

    /// Strikes jobs whose claim was lost; those on their way find out when they are settled.
    pub(in crate::outbound) fn lost(&self, jobs: &[JobId]) {
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
    pub(in crate::outbound) fn recall(&self, fits: impl Fn(&Job) -> bool) -> Vec<(JobId, i64)> {
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

    /// Lists the claims of jobs that came to no outcome.
    pub(in crate::outbound) fn unsent(&self) -> Vec<(JobId, i64)> {
        let state = self.lock();
        let held = state.held.iter().filter(|(job, _)| !state.told.contains(job));
        held.map(|(job, (fence, _))| (*job, *fence)).collect()
    }
}

impl State {
    pub(super) fn give_back(&mut self, jobs: &[Job]) {
        let claims: Vec<(JobId, i64)> = jobs.iter().filter_map(|job| self.strike(job.id)).collect();
        self.back.extend(claims);
    }

    pub(super) fn strike(&mut self, job: JobId) -> Option<(JobId, i64)> {
        self.held.remove(&job).map(|(fence, _)| (job, fence))
    }
}

pub(super) fn fence_of(job: &Job) -> (i64, Class) {
    (job.lease.as_ref().map_or(0, |lease| lease.fence), job.order.class)
}
