//! Claims on jobs: taken, kept, given back, lost.
//!
//! What always holds: a job has one claim at a time, each with a number of its own; claiming costs as much as is claimed,
//! however much waits or is due for others; a claim that was lost changes nothing any more.

use crate::model::{Domain, JobId, Timestamp};
use crate::queue::{Class, Job};
use crate::store::job::{OWN, SHARED, WAITING, read_waiting};
use crate::store::sql::{Param, params};
use crate::store::{StoreError, Tx};

/// What is wanted of one class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The class.
    pub class: Class,
    /// No more than this many.
    pub limit: usize,
    /// Only for recipients in these domains, where any are given.
    pub only: Option<Vec<Domain>>,
}

/// Which claims are given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reclaim {
    /// Those whose time is over.
    Expired,
    /// All: at the start of the only node nobody can be working.
    All,
}

/// Claims what is `chosen`: once, as PostgreSQL might run a subquery again for each row it compares.
const CLAIM: &str = "UPDATE jobs SET state = 'sending', lease_owner = ?1, lease_until = ?2, fence = fence + 1";

/// Claims of one class.
pub(super) fn claim_sql() -> String {
    format!(
        "WITH chosen AS MATERIALIZED (SELECT id FROM jobs WHERE {WAITING} AND class_rank = ?3 AND due <= ?4 \
         ORDER BY due, id LIMIT ?5 /* skip locked */) \
         {CLAIM} WHERE id IN (SELECT id FROM chosen) RETURNING {SHARED}, {OWN}"
    )
}

/// How many domains one claim names: more are claimed for one group after another.
pub(super) const DOMAINS: usize = 32;

/// Claims of one class for so many domains: the front of each is merged with the others, so that what stands behind it is
/// not even looked at. Rows cannot be locked where they are merged, so that is done behind it.
pub(super) fn claim_lanes_sql(domains: usize) -> String {
    let lane = |number: usize| {
        format!(
            "SELECT due, id FROM (SELECT due, id FROM jobs WHERE {WAITING} AND class_rank = ?3 AND domain = ?{number} \
             AND due <= ?4 /* in order */) AS lane{number}"
        )
    };
    let lanes: Vec<String> = (6..6 + domains).map(lane).collect();
    format!(
        "WITH front AS MATERIALIZED ({} ORDER BY due, id LIMIT ?5), \
         chosen AS MATERIALIZED (SELECT id FROM jobs WHERE id IN (SELECT id FROM front) AND {WAITING} /* skip locked */) \
         {CLAIM} WHERE id IN (SELECT id FROM chosen) RETURNING {SHARED}, {OWN}",
        lanes.join(" UNION ALL ")
    )
}

/// Claims of what nothing but its end can happen to.
pub(super) fn claim_expired_sql() -> String {
    format!(
        "WITH chosen AS MATERIALIZED (SELECT id FROM jobs WHERE give_up <= ?3 AND state <> 'sending' \
         ORDER BY give_up, id LIMIT ?4 /* skip locked */) \
         {CLAIM}, held_at = NULL, held_ms = held_ms + CASE WHEN held_at < ?3 THEN ?3 - held_at ELSE 0 END \
         WHERE id IN (SELECT id FROM chosen) RETURNING {SHARED}, {OWN}"
    )
}

/// Goes from domain to domain, and at each looks at the front alone.
pub(super) fn backlog_sql() -> String {
    let first = |column: &str| {
        format!(
            "(SELECT {column} FROM jobs WHERE {WAITING} AND class_rank = ?1 AND domain > lanes.domain \
             ORDER BY domain, due LIMIT 1)"
        )
    };
    format!(
        "WITH RECURSIVE lanes (domain, due) AS (\
         SELECT '', CAST(NULL AS BIGINT) \
         UNION ALL SELECT {}, {} FROM lanes WHERE lanes.domain IS NOT NULL) \
         SELECT domain, due FROM lanes WHERE due <= ?2 ORDER BY due, domain LIMIT ?3",
        first("domain"),
        first("due")
    )
}

/// How many jobs are looked at for those that are to be woken: others may be put off in the same lane.
const LOOK: usize = 5_000;

/// Makes jobs of one class due that wait for the servers of a domain.
pub(super) fn wake_sql() -> String {
    format!(
        "WITH front AS MATERIALIZED (SELECT id FROM jobs WHERE {WAITING} AND class_rank = ?1 AND domain = ?2 \
         AND due > ?3 ORDER BY due, id LIMIT {LOOK}), \
         chosen AS MATERIALIZED (SELECT id FROM jobs WHERE id IN (SELECT id FROM front) AND state = 'deferred' \
         AND last_cause IN ({WAKES}) ORDER BY due, id LIMIT ?4 /* skip locked */) \
         UPDATE jobs SET due = ?3 WHERE id IN (SELECT id FROM chosen)"
    )
}

/// What says something about the servers of a domain, so that it may be over for all once it is over for one.
const WAKES: &str = "'unreachable', 'dns', 'throttled', 'tls', 'lost'";

/// Finds a claim that is over.
pub(super) const OVER: &str = "SELECT id FROM jobs WHERE state = 'sending' AND lease_until <= ?1 LIMIT 1";

/// The order of RETURNING is nobody's promise.
fn in_order(mut jobs: Vec<Job>) -> Vec<Job> {
    jobs.sort_by_key(|job| (job.due, job.id));
    jobs
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
        let wishes = Class::ALL.map(|class| Wish { class, limit, only: None });
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
                    claimed.append(&mut match &wish.only {
                        Some(domains) => self.claim_lanes(wish.class, domains, owner, now, until, left)?,
                        None => self.claim_class(wish.class, owner, now, until, left)?,
                    });
                }
            }
        }
        Ok(claimed)
    }

    fn claim_class(
        &mut self,
        class: Class,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Job>, StoreError> {
        self.query(&claim_sql(), params![owner, until, class, now, limit], read_waiting).map(in_order)
    }

    /// Claims for these domains; of more than one statement takes, those named first go first.
    fn claim_lanes(
        &mut self,
        class: Class,
        domains: &[Domain],
        owner: &str,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Job>, StoreError> {
        let mut claimed = Vec::new();
        for group in domains.chunks(DOMAINS) {
            let left = limit.saturating_sub(claimed.len());
            if left == 0 {
                break;
            }
            // Few numbers of domains, so that few statements are kept prepared; no domain is without a name.
            let places = group.len().next_power_of_two();
            let mut values: Vec<Param<'_>> = params![owner, until, class, now, left].to_vec();
            values.extend(group.iter().map(Param::from));
            values.resize(5 + places, Param::from(""));
            claimed.append(&mut in_order(self.query(&claim_lanes_sql(places), &values, read_waiting)?));
        }
        Ok(claimed)
    }

    /// Claims at most `limit` jobs whose time is over, whichever came first, so that they are ended; also what the operator
    /// keeps back, which comes out of that state for this alone.
    ///
    /// # Errors
    /// The database failed.
    pub fn claim_expired(
        &mut self,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Job>, StoreError> {
        let mut jobs = self.query(&claim_expired_sql(), params![owner, until, now, limit], read_waiting)?;
        jobs.sort_by_key(|job| (job.order.give_up, job.id));
        Ok(jobs)
    }

    /// Lists at most `limit` domains for which jobs of a class are due, and when the first of them was; the longest first.
    /// Costs a look at each domain for which any wait, however many those are.
    ///
    /// # Errors
    /// The database failed.
    pub fn backlog(
        &mut self,
        class: Class,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<(Domain, Timestamp)>, StoreError> {
        self.query(&backlog_sql(), params![class, now, limit], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// Makes at most `limit` jobs for these domains due that were put off because of the servers, the most urgent class
    /// first; gives how many.
    ///
    /// # Errors
    /// The database failed.
    pub fn wake(&mut self, domains: &[Domain], now: Timestamp, limit: usize) -> Result<u64, StoreError> {
        let mut left = u64::try_from(limit).unwrap_or(u64::MAX);
        let sql = wake_sql();
        for class in Class::ALL {
            for domain in domains {
                if left > 0 {
                    left = left.saturating_sub(self.execute(&sql, params![class, domain, now, left])?);
                }
            }
        }
        Ok(u64::try_from(limit).unwrap_or(u64::MAX).saturating_sub(left))
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

    /// Says whether some claim is over: a worker may be gone.
    ///
    /// # Errors
    /// The database failed.
    pub fn is_any_claim_over(&mut self, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.one(OVER, params![now], |row| row.get::<JobId>(0))?.is_some())
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
