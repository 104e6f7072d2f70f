//! Claims on jobs: taken, kept, given back, lost.
//!
//! What always holds: a job has one claim at a time, each with a number of its own; claiming costs as much as is due,
//! however much waits; a claim that was lost changes nothing any more.

use crate::model::{Domain, JobId, Timestamp};
use crate::queue::{Class, Job};
use crate::store::job::{SHARED, WAITING, read_waiting};
use crate::store::sql::{Param, params};
use crate::store::{StoreError, Tx};

/// How far a claim looks past jobs of domains that are not wanted: what stands behind more of them waits for those ahead.
const LOOK_AHEAD: usize = 20_000;

/// What is wanted of one class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The class.
    pub class: Class,
    /// No more than this many.
    pub limit: usize,
    /// None for recipients in these domains.
    pub except: Vec<Domain>,
}

/// Which claims are given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reclaim {
    /// Those whose time is over.
    Expired,
    /// All: at the start of the only node nobody can be working.
    All,
}

/// Claims of one class. What is chosen is chosen once: PostgreSQL might run a subquery again for each row it compares.
pub(super) fn claim_sql(condition: &str) -> String {
    format!(
        "WITH chosen AS MATERIALIZED (SELECT id FROM jobs WHERE {WAITING} AND class_rank = ?3 AND due <= ?4{condition} \
         ORDER BY due, id LIMIT ?5 /* skip locked */) \
         UPDATE jobs SET state = 'sending', lease_owner = ?1, lease_until = ?2, fence = fence + 1 \
         WHERE id IN (SELECT id FROM chosen) RETURNING {SHARED}, lease_owner, lease_until, fence"
    )
}

impl Tx<'_> {
    /// Claims at most `limit` jobs that are due, until `until`: the most urgent class first, within a class those that have
    /// been due the longest. Jobs whose time is over are among them; whoever claims one ends it.
    ///
    /// # Errors
    /// The database failed.
    pub fn claim(
        &mut self,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Job>, StoreError> {
        let wishes = Class::ALL.map(|class| Wish { class, limit, except: Vec::new() });
        self.claim_some(owner, now, until, limit, &wishes)
    }

    /// Claims as [`Tx::claim`] does, but of each class only what is wished.
    ///
    /// # Errors
    /// The database failed.
    pub fn claim_some(
        &mut self,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
        wishes: &[Wish],
    ) -> Result<Vec<Job>, StoreError> {
        let mut claimed = Vec::new();
        for (class, due) in Class::ALL.into_iter().zip(self.first_due()?) {
            for wish in wishes.iter().filter(|wish| wish.class == class && due.is_some_and(|due| due <= now)) {
                let left = limit.saturating_sub(claimed.len()).min(wish.limit);
                if left > 0 {
                    claimed.append(&mut self.claim_class(wish, owner, now, until, left)?);
                }
            }
        }
        Ok(claimed)
    }

    fn claim_class(
        &mut self,
        wish: &Wish,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Job>, StoreError> {
        let mut values: Vec<Param<'_>> = params![owner, until, wish.class, now, limit].to_vec();
        let mut condition = String::new();
        if !wish.except.is_empty() {
            let numbers = 6..6 + wish.except.len();
            let places: Vec<String> = numbers.map(|number| format!("?{number}")).collect();
            condition.push_str(&format!(" AND domain NOT IN ({})", places.join(", ")));
            values.extend(wish.except.iter().map(Param::from));
            if let Some((due, id)) = self.horizon(wish.class, now)? {
                condition.push_str(&format!(" AND (due, id) < (?{}, ?{})", values.len() + 1, values.len() + 2));
                values.extend([due.into(), id.into()]);
            }
        }
        let mut jobs = self.query(&claim_sql(&condition), &values, read_waiting)?;
        // The order of RETURNING is nobody's promise.
        jobs.sort_by_key(|job| (job.due, job.id));
        Ok(jobs)
    }

    /// Finds the first job of a class that is too far behind to be looked at.
    fn horizon(&mut self, class: Class, now: Timestamp) -> Result<Option<(Timestamp, JobId)>, StoreError> {
        let sql = format!(
            "SELECT due, id FROM jobs WHERE {WAITING} AND class_rank = ?1 AND due <= ?2 \
             ORDER BY due, id LIMIT 1 OFFSET {LOOK_AHEAD}"
        );
        self.one(&sql, params![class, now], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// Keeps claims until `until`; gives the jobs whose claim was lost meanwhile.
    ///
    /// # Errors
    /// The database failed.
    pub fn extend(&mut self, owner: &str, until: Timestamp, claims: &[(JobId, i64)]) -> Result<Vec<JobId>, StoreError> {
        let sql = "UPDATE jobs SET lease_until = ?4 WHERE id = ?1 AND lease_owner = ?2 AND fence = ?3";
        let mut lost = Vec::new();
        for (job, fence) in claims {
            if self.execute(sql, params![*job, owner, *fence, until])? == 0 {
                lost.push(*job);
            }
        }
        Ok(lost)
    }

    /// Gives a job back unsent: it waits again, and no attempt is counted. False where the claim was lost meanwhile.
    ///
    /// # Errors
    /// The database failed.
    pub fn release(&mut self, job: JobId, owner: &str, fence: i64) -> Result<bool, StoreError> {
        let sql = "UPDATE jobs SET state = 'queued', lease_owner = NULL, lease_until = NULL \
                   WHERE id = ?1 AND lease_owner = ?2 AND fence = ?3";
        Ok(self.execute(sql, params![job, owner, fence])? == 1)
    }

    /// Gives back jobs whose workers are gone: a claim lost counts as unsent. Gives their numbers.
    ///
    /// # Errors
    /// The database failed.
    pub fn reclaim(&mut self, now: Timestamp, which: Reclaim) -> Result<Vec<JobId>, StoreError> {
        let before = match which {
            Reclaim::Expired => now,
            Reclaim::All => Timestamp::from_millis(i64::MAX),
        };
        let sql = "UPDATE jobs SET state = 'queued', lease_owner = NULL, lease_until = NULL \
                   WHERE state = 'sending' AND lease_until <= ?1 RETURNING id";
        let mut lost = self.query(sql, params![before], |row| row.get(0))?;
        lost.sort_unstable();
        Ok(lost)
    }
}
