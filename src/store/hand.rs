//! What an operator does to waiting jobs: keeps them back, lets them go, has them tried now, drops them.
//!
//! Goes through the jobs in the order of their numbers, a page at a time, so that no mail waits behind it for long. Asks
//! [`crate::queue::state`] what may happen to a job. What always holds: what is being sent is left alone and counted; a
//! selection in which nothing is given touches nothing; a page looks at no more jobs than it was told to, however few of
//! them are meant.

use crate::model::{JobId, Span, Timestamp};
use crate::queue::state::{Event, next};
use crate::queue::{Class, Job, Selection, State};
use crate::store::job::{OWN, SHARED, read_waiting};
use crate::store::sql::{Param, params};
use crate::store::{StoreError, Tx};
use std::collections::BTreeMap;

/// What one page of an operator's action came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Touched {
    /// How many jobs it was done to.
    pub count: u64,
    /// How many of those that are meant are being sent, and were left alone.
    pub under_way: u64,
    /// The last job looked at, behind which the next page begins; nothing, where there was none to look at.
    pub last: Option<JobId>,
}

/// How many jobs are counted at a time.
const STRETCH: usize = 20_000;

/// Jobs whose numbers lie behind the first and not behind the second.
type Stretch = (JobId, JobId);

/// The condition that a job stands where `event` may happen to it and nobody sends it.
fn open_to(event: Event) -> String {
    let open = State::ALL.into_iter().filter(|state| *state != State::Sending && next(*state, event).is_ok());
    let names: Vec<String> = open.map(|state| format!("'{state}'")).collect();
    format!("state IN ({})", names.join(", "))
}

/// The condition that a job is meant; `values` begin with the stretch and get what is compared with.
fn meant<'a>(selection: &'a Selection, values: &mut Vec<Param<'a>>) -> String {
    let mut condition = String::from("id > ?1 AND id <= ?2");
    let asked: [(&str, Option<Param<'_>>); 2] =
        [("domain", selection.to.as_ref().map(Into::into)), ("class_rank", selection.class.map(Into::into))];
    for (column, value) in asked {
        if let Some(value) = value {
            values.push(value);
            condition.push_str(&format!(" AND {column} = ?{}", values.len()));
        }
    }
    condition
}

impl Tx<'_> {
    /// Counts the jobs that are meant and have not ended, by class, each class with the moment at which its oldest was
    /// ordered.
    ///
    /// # Errors
    /// The database failed.
    pub fn selected(&mut self, selection: &Selection) -> Result<Vec<(Class, u64, Timestamp)>, StoreError> {
        let mut found: BTreeMap<i64, (Class, u64, Timestamp)> = BTreeMap::new();
        let mut after = JobId::new(0);
        loop {
            let stretches = self.stretches(selection, after, STRETCH)?;
            let Some((_, last)) = stretches.last() else { return Ok(found.into_values().collect()) };
            after = *last;
            for stretch in stretches {
                for (class, count, oldest) in self.selected_of(selection, stretch)? {
                    let (_, all, first) = found.entry(class.rank()).or_insert((class, 0, oldest));
                    *all += count;
                    *first = oldest.min(*first);
                }
            }
        }
    }

    fn selected_of(
        &mut self,
        selection: &Selection,
        stretch: Stretch,
    ) -> Result<Vec<(Class, u64, Timestamp)>, StoreError> {
        let mut values = params![stretch.0, stretch.1].to_vec();
        let meant = meant(selection, &mut values);
        let sql = format!("SELECT class_rank, COUNT(*), MIN(queued_at) FROM jobs WHERE {meant} GROUP BY class_rank");
        self.query(&sql, &values, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
    }

    /// Keeps back the jobs that are meant, of the next `limit` behind `after`; gives them as they are now, for the mail log.
    ///
    /// # Errors
    /// The database failed.
    pub fn hold(
        &mut self,
        selection: &Selection,
        at: Timestamp,
        after: JobId,
        limit: usize,
    ) -> Result<(Touched, Vec<Job>), StoreError> {
        self.change(selection, "state = 'held', held_at = ?3", &open_to(Event::Hold), at, after, limit)
    }

    /// Lets go of the jobs that are meant and were kept back, of the next `limit` behind `after`: they wait for their time
    /// as before, and how long they were kept back is added up. Gives them as they are now, for the mail log.
    ///
    /// # Errors
    /// The database failed.
    pub fn release_held(
        &mut self,
        selection: &Selection,
        at: Timestamp,
        after: JobId,
        limit: usize,
    ) -> Result<(Touched, Vec<Job>), StoreError> {
        let change = "state = 'queued', held_at = NULL, \
                      held_ms = held_ms + CASE WHEN held_at < ?3 THEN ?3 - held_at ELSE 0 END";
        self.change(selection, change, &open_to(Event::Release), at, after, limit)
    }

    /// Makes the jobs due that are meant and wait for a later moment, of the next `limit` behind `after`. One whose end is
    /// unknown and that is not to be sent again stays so.
    ///
    /// # Errors
    /// The database failed.
    pub fn retry_now(
        &mut self,
        selection: &Selection,
        at: Timestamp,
        after: JobId,
        limit: usize,
    ) -> Result<Touched, StoreError> {
        let waits = "due > ?3 AND (state IN ('queued', 'deferred') OR (state = 'unknown' AND due < give_up))";
        self.change(selection, "due = ?3", waits, at, after, limit).map(|(touched, _)| touched)
    }

    /// Drops the jobs that are meant, of the next `limit` behind `after`; gives them as they ended, for the mail log.
    ///
    /// # Errors
    /// The database failed.
    pub fn drop_jobs(
        &mut self,
        selection: &Selection,
        at: Timestamp,
        after: JobId,
        limit: usize,
    ) -> Result<(Touched, Vec<Job>), StoreError> {
        let open = open_to(Event::Cancel);
        let (touched, dropped) = self.touch(selection, None, after, limit, |meant| {
            format!("DELETE FROM jobs WHERE {meant} AND {open} RETURNING {SHARED}, {OWN}")
        })?;
        let ended = dropped.into_iter().map(|job| self.cancel(job, at)).collect::<Result<_, _>>()?;
        Ok((touched, ended))
    }

    fn cancel(&mut self, job: Job, at: Timestamp) -> Result<Job, StoreError> {
        let held = job.held.plus(job.held_since.map_or_else(Span::default, |since| at.since(since)));
        let ended = Job { state: State::Cancelled, held_since: None, held, ..job };
        self.remember_ended(&ended, at)?;
        Ok(ended)
    }

    /// Makes a change to the jobs that are meant and fulfil a condition; `?3` is the moment in both.
    fn change(
        &mut self,
        selection: &Selection,
        change: &str,
        condition: &str,
        at: Timestamp,
        after: JobId,
        limit: usize,
    ) -> Result<(Touched, Vec<Job>), StoreError> {
        self.touch(selection, Some(at), after, limit, |meant| {
            format!("UPDATE jobs SET {change} WHERE {meant} AND {condition} RETURNING {SHARED}, {OWN}")
        })
    }

    /// Does something to each stretch of a page, and counts; gives the jobs it was done to, in the order of their numbers. `sql`
    /// makes the statement of the condition that a job is meant; `?3` is the moment, where there is one.
    fn touch(
        &mut self,
        selection: &Selection,
        at: Option<Timestamp>,
        after: JobId,
        limit: usize,
        sql: impl Fn(&str) -> String,
    ) -> Result<(Touched, Vec<Job>), StoreError> {
        let (mut touched, mut jobs) = (Touched::default(), Vec::new());
        for stretch in self.stretches(selection, after, limit)? {
            let mut values = params![stretch.0, stretch.1].to_vec();
            let sending =
                format!("SELECT COUNT(*) FROM jobs WHERE {} AND state = 'sending'", meant(selection, &mut values));
            touched.under_way += self.one(&sending, &values, |row| row.get::<u64>(0))?.unwrap_or(0);
            let mut values = params![stretch.0, stretch.1].to_vec();
            values.extend(at.map(Param::from));
            let sql = sql(&meant(selection, &mut values));
            jobs.append(&mut self.query(&sql, &values, read_waiting)?);
            touched.last = Some(stretch.1);
        }
        touched.count = jobs.len() as u64;
        jobs.sort_by_key(|job| job.id);
        Ok((touched, jobs))
    }

    /// Finds what a page looks at.
    fn stretches(&mut self, selection: &Selection, after: JobId, limit: usize) -> Result<Vec<Stretch>, StoreError> {
        if selection.is_empty() {
            return Ok(Vec::new());
        }
        if !selection.ids.is_empty() {
            let mut ids: Vec<JobId> = selection.ids.iter().copied().filter(|id| *id > after).collect();
            ids.sort_unstable();
            ids.dedup();
            return Ok(ids.into_iter().take(limit).map(|id| (JobId::new(id.number() - 1), id)).collect());
        }
        let sql = "SELECT MAX(id) FROM (SELECT id FROM jobs WHERE id > ?1 ORDER BY id LIMIT ?2) AS page";
        let last = self.one(sql, params![after, limit], |row| row.find(0))?.flatten();
        Ok(last.map(|last| (after, last)).into_iter().collect())
    }
}
