//! What operators see of the deliveries, and where they lend a hand.
//!
//! Knows nothing of how it is shown. What always holds: a board outlives no worker's work: after the worker's end it shows what was
//! last.

use super::atlas::Atlas;
use super::pool::Pool;
use crate::model::{Domain, JobId};
use crate::queue::destination::Groups;
use crate::queue::retry::Schedule;
use crate::queue::view::{JobView, View};
use crate::queue::{Class, Selection};
use crate::service::settle::Settler;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{Notify, watch};

/// The deliveries as they stand; clones show the same.
#[derive(Clone)]
pub struct Board {
    pub(super) pool: Arc<Pool>,
    pub(super) atlas: Arc<Atlas>,
    pub(super) wake: Arc<Notify>,
    /// Changes each time the worker has come round.
    pub(super) rounds: watch::Receiver<()>,
    pub(super) settler: Settler,
    /// The name in our claims.
    pub(super) owner: String,
}

impl Board {
    /// Shows all destinations, and the domains whose mail is kept back.
    #[must_use]
    pub fn view(&self) -> View {
        let destinations = self.pool.view();
        let connections = destinations.iter().map(|destination| destination.connections).sum();
        View { destinations, connections, connections_max: self.pool.limits.connections, kept: self.pool.kept() }
    }

    /// Shows one job, where it has been claimed here.
    #[must_use]
    pub fn job(&self, job: JobId) -> Option<JobView> {
        self.pool.job(job)
    }

    /// Names the destination of a domain; one that has not been looked up yet goes by its own name.
    #[must_use]
    pub fn destination(&self, domain: &Domain) -> String {
        self.atlas.find(domain).map_or_else(|| domain.to_string(), |name| name.to_string())
    }

    /// Takes out jobs that were claimed and wait here for their turn, so that an order of the operator's touches them as
    /// well; gives whose claims they are, and the claims, which nobody here keeps any more.
    #[must_use]
    pub fn recall(&self, selection: &Selection) -> (String, Vec<(JobId, i64)>) {
        (self.owner.clone(), self.pool.recall(|job| selection.fits(job)))
    }

    /// Says that something may be due that was not.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits until the worker has come round once more: for ever, where it is stuck or gone.
    pub async fn round(&self) {
        let mut rounds = self.rounds.clone();
        rounds.mark_unchanged();
        self.wake();
        if rounds.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// Takes other waits between two tries, from the next failure on.
    pub fn reschedule(&self, schedules: BTreeMap<Class, Schedule>) {
        self.settler.reschedule(schedules);
    }

    /// Takes other receiving systems, with other limits; what is under way goes on, and what waits goes where it belongs now.
    pub fn regroup(&self, groups: Groups) {
        let moved = self.atlas.regroup(groups);
        let atlas = Arc::clone(&self.atlas);
        self.pool.regroup(&moved, Box::new(move |name| atlas.limits(name)));
    }
}
