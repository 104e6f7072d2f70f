//! Jobs: put into the queue, settled, moved to history.
//!
//! Says in SQL what [`crate::queue::state`] says as a function, and asks that function before a job ends. What always holds: only
//! who holds the latest claim settles a job; an ended job is in `history` and nowhere else.

use crate::model::{Domain, EmailAddress, JobId, MailId, Reply, Stage, Timestamp};
use crate::queue::state::{Event as Happening, next};
use crate::queue::{Cause, Class, Content, Job, Lease, NewJob, State};
use crate::store::sql::{Column, Param, Row, params};
use crate::store::{OTP_CODE, StoreError, Tx};

/// What an attempt at a job came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// Nothing more will happen. Counts as an attempt where a server was asked: accepted or refused.
    End {
        /// The state it ends in.
        state: State,
        /// Where the last reply came; kept as it was where there is none.
        stage: Option<Stage>,
        /// The last reply; kept as it was where there is none.
        reply: Option<Reply>,
        /// When.
        at: Timestamp,
    },
    /// To be tried again.
    Defer {
        /// When.
        due: Timestamp,
        /// Where the reply came.
        stage: Stage,
        /// The reply.
        reply: Reply,
        /// Why it has to wait.
        cause: Cause,
        /// When it came.
        at: Timestamp,
    },
    /// The connection was lost after the final dot.
    Unknown {
        /// When to try once more; never, where nothing is given: then it is due when its time is over.
        due: Option<Timestamp>,
        /// What is known of the end.
        reply: Reply,
        /// When that was.
        at: Timestamp,
    },
}

/// Which jobs are asked for; what is given holds for all of them. Jobs are looked through one by one, which is for people
/// to wait for; what happened to a mail or an address is found faster in the events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFilter {
    /// Of this class.
    pub class: Option<Class>,
    /// To addresses of this domain.
    pub to_domain: Option<Domain>,
    /// That stand here.
    pub state: Option<State>,
    /// Caused by this mail.
    pub cause: Option<MailId>,
    /// To this address.
    pub to: Option<EmailAddress>,
    /// Those that have ended, the last one first; else those that have not, the most urgent first.
    pub ended: bool,
    /// No more than this many.
    pub limit: usize,
}

impl Default for JobFilter {
    fn default() -> Self {
        Self { class: None, to_domain: None, state: None, cause: None, to: None, ended: false, limit: 1_000 }
    }
}

impl From<Class> for Param<'_> {
    fn from(class: Class) -> Self {
        Self::Integer(class.rank())
    }
}

impl Column for Class {
    fn read(row: &Row<'_>, index: usize) -> Result<Option<Self>, StoreError> {
        let Some(rank) = row.find::<i64>(index)? else { return Ok(None) };
        let class = Self::ALL.into_iter().find(|class| class.rank() == rank);
        class.map_or_else(|| Err(StoreError::Corrupt(format!("{rank} is no class"))), |class| Ok(Some(class)))
    }
}

impl Column for Cause {
    fn read(row: &Row<'_>, index: usize) -> Result<Option<Self>, StoreError> {
        let Some(name) = row.find::<String>(index)? else { return Ok(None) };
        let wrong = || StoreError::Corrupt(format!("“{name}” is no cause of a wait"));
        Self::from_name(&name).ok_or_else(wrong).map(Some)
    }
}

/// What may be claimed; the partial indexes `jobs_waiting` and `jobs_lanes` have the same words.
pub(super) const WAITING: &str = "state IN ('queued', 'deferred', 'unknown')";

/// The columns that `jobs` and `history` share.
pub(super) const SHARED: &str = "id, class_rank, recipient, content, language, cause, queued_at, first_due, give_up, due, state, \
                      attempts, last_stage, last_code, last_reply, last_cause, held_ms";
/// The columns that only `jobs` has, of those that are read.
pub(super) const OWN: &str = "lease_owner, lease_until, fence, held_at";

/// Reads [`SHARED`] and, behind it, [`OWN`].
pub(super) fn read_waiting(row: &Row<'_>) -> Result<Job, StoreError> {
    let owner: Option<String> = row.find(17)?;
    let until: Option<Timestamp> = row.find(18)?;
    let fence = row.get(19)?;
    let lease = owner.zip(until).map(|(owner, until)| Lease { owner, until, fence });
    Ok(Job { lease, held_since: row.find(20)?, ..read_shared(row)? })
}

fn read_shared(row: &Row<'_>) -> Result<Job, StoreError> {
    let content: String = row.get(3)?;
    let last = match (row.find::<Stage>(12)?, row.find::<u16>(13)?, row.find::<String>(14)?) {
        (Some(stage), Some(code), Some(text)) => Some((stage, Reply::new(code, &text))),
        _ => None,
    };
    Ok(Job {
        id: row.get(0)?,
        order: NewJob {
            class: row.get(1)?,
            to: row.get(2)?,
            content: serde_json::from_str(&content).map_err(|error| StoreError::Corrupt(error.to_string()))?,
            language: row.find(4)?,
            cause: row.find(5)?,
            queued_at: row.get(6)?,
            due: row.get(7)?,
            give_up: row.get(8)?,
        },
        due: row.get(9)?,
        state: row.get(10)?,
        attempts: row.get(11)?,
        lease: None,
        last,
        last_cause: row.find(15)?,
        held_since: None,
        held: row.get(16)?,
    })
}

/// Looks at the front of each class: a condition on `due` alone would walk over all that is not due.
pub(super) fn first_due_sql() -> String {
    let each = Class::ALL.map(|class| {
        let rank = class.rank();
        format!("(SELECT due FROM jobs WHERE {WAITING} AND class_rank = {rank} ORDER BY due LIMIT 1)")
    });
    format!("SELECT {}", each.join(", "))
}

fn content_text(content: &Content) -> Result<String, StoreError> {
    serde_json::to_string(content).map_err(|error| StoreError::Other(error.to_string()))
}

/// Says what happens to a job that ends in `state`; nothing where that is no end.
const fn ending(state: State) -> Option<Happening> {
    match state {
        State::Accepted => Some(Happening::Accept),
        State::Refused => Some(Happening::Refuse),
        State::Expired => Some(Happening::Expire),
        State::Suppressed => Some(Happening::Suppress),
        State::Cancelled => Some(Happening::Cancel),
        State::Queued | State::Sending | State::Deferred | State::Held | State::Unknown => None,
    }
}

/// Says whether a job that is being sent may end in `state`, and whether a server was asked.
fn check_ending(state: State) -> Result<bool, StoreError> {
    let happening = ending(state).ok_or_else(|| StoreError::Constraint(format!("{state} is no end of a job")))?;
    next(State::Sending, happening).map_err(|error| StoreError::Constraint(error.to_string()))?;
    Ok(matches!(state, State::Accepted | State::Refused))
}

/// What is written of a job that waits on.
struct PutOff<'a> {
    state: State,
    due: Option<Timestamp>,
    stage: Stage,
    reply: &'a Reply,
    cause: Cause,
}

impl Tx<'_> {
    /// Puts a mail into the queue.
    ///
    /// # Errors
    /// The database failed, or the cause is no mail that is remembered.
    pub fn enqueue(&mut self, job: &NewJob) -> Result<JobId, StoreError> {
        let sql = "INSERT INTO jobs (class_rank, recipient, folded, domain, content, language, cause, queued_at, \
                   first_due, give_up, due, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?9, 'queued')";
        let values = params![
            job.class,
            &job.to,
            job.to.folded(),
            job.to.domain(),
            content_text(&job.content)?,
            job.language,
            job.cause,
            job.queued_at,
            job.due,
            job.give_up,
        ];
        if job.class == Class::Otp {
            self.announce();
        }
        self.insert(sql, values).map(JobId::new)
    }

    /// Says when the first waiting job of each class is due, most urgent class first.
    pub(super) fn first_due(&mut self) -> Result<Vec<Option<Timestamp>>, StoreError> {
        let read = |row: &Row<'_>| (0..Class::ALL.len()).map(|index| row.find(index)).collect();
        let due = self.one(&first_due_sql(), &[], read)?;
        Ok(due.unwrap_or_default())
    }

    /// Says when the next waiting job of each class is due of which any waits.
    ///
    /// # Errors
    /// The database failed.
    pub fn next_dues(&mut self) -> Result<Vec<(Class, Timestamp)>, StoreError> {
        let dues = Class::ALL.into_iter().zip(self.first_due()?);
        Ok(dues.filter_map(|(class, due)| Some((class, due?))).collect())
    }

    /// Records what an attempt came to; false where the claim was lost meanwhile, and then nothing has changed.
    ///
    /// # Errors
    /// The database failed, or the job cannot end so.
    pub fn settle(&mut self, job: JobId, owner: &str, fence: i64, settlement: &Settlement) -> Result<bool, StoreError> {
        match settlement {
            Settlement::End { state, stage, reply, at } => {
                let last = stage.zip(reply.as_ref());
                self.end(job, owner, fence, *state, last, *at)
            }
            Settlement::Defer { due, stage, reply, cause, .. } => {
                let wait = PutOff { state: State::Deferred, due: Some(*due), stage: *stage, reply, cause: *cause };
                self.put_off(job, owner, fence, &wait)
            }
            Settlement::Unknown { due, reply, .. } => {
                let lost = Cause::Lost;
                let wait = PutOff { state: State::Unknown, due: *due, stage: Stage::Data, reply, cause: lost };
                self.put_off(job, owner, fence, &wait)
            }
        }
    }

    fn put_off(&mut self, job: JobId, owner: &str, fence: i64, wait: &PutOff<'_>) -> Result<bool, StoreError> {
        let sql = "UPDATE jobs SET state = ?4, due = COALESCE(?5, give_up), attempts = attempts + 1, last_stage = ?6, \
                   last_code = ?7, last_reply = ?8, last_cause = ?9, lease_owner = NULL, lease_until = NULL \
                   WHERE id = ?1 AND lease_owner = ?2 AND fence = ?3";
        let values = params![
            job,
            owner,
            fence,
            wait.state.as_str(),
            wait.due,
            wait.stage.as_str(),
            wait.reply.code,
            wait.reply.to_string(),
            wait.cause.as_str(),
        ];
        Ok(self.execute(sql, values)? == 1)
    }

    fn end(
        &mut self,
        job: JobId,
        owner: &str,
        fence: i64,
        state: State,
        last: Option<(Stage, &Reply)>,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let asked = check_ending(state)?;
        let sql = format!("DELETE FROM jobs WHERE id = ?1 AND lease_owner = ?2 AND fence = ?3 RETURNING {SHARED}");
        let Some(mut ended) = self.one(&sql, params![job, owner, fence], read_shared)? else { return Ok(false) };
        ended.state = state;
        ended.attempts = ended.attempts.saturating_add(u32::from(asked));
        if let Some((stage, reply)) = last {
            ended.last = Some((stage, reply.clone()));
        }
        self.remember_ended(&ended, at).map(|()| true)
    }

    pub(super) fn remember_ended(&mut self, job: &Job, at: Timestamp) -> Result<(), StoreError> {
        if let Content::Otp { .. } = job.order.content {
            self.wipe_secret(OTP_CODE, job.id.number())?;
        }
        let sql = format!(
            "INSERT INTO history ({SHARED}, folded, domain, ended_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)"
        );
        let values = params![
            job.id,
            job.order.class,
            &job.order.to,
            content_text(&job.order.content)?,
            job.order.language,
            job.order.cause,
            job.order.queued_at,
            job.order.due,
            job.order.give_up,
            job.due,
            job.state.as_str(),
            job.attempts,
            job.last.as_ref().map(|(stage, _)| stage.as_str()),
            job.last.as_ref().map(|(_, reply)| reply.code),
            job.last.as_ref().map(|(_, reply)| reply.to_string()),
            job.last_cause.map(Cause::as_str),
            job.held,
            job.order.to.folded(),
            job.order.to.domain(),
            at,
        ];
        self.execute(&sql, values).map(drop)
    }

    /// Finds a job, waiting or ended.
    ///
    /// # Errors
    /// The database failed.
    pub fn job(&mut self, id: JobId) -> Result<Option<Job>, StoreError> {
        let sql = format!("SELECT {SHARED}, {OWN} FROM jobs WHERE id = ?1");
        if let Some(job) = self.one(&sql, params![id], read_waiting)? {
            return Ok(Some(job));
        }
        self.one(&format!("SELECT {SHARED} FROM history WHERE id = ?1"), params![id], read_shared)
    }

    /// Lists jobs.
    ///
    /// # Errors
    /// The database failed.
    pub fn list_jobs(&mut self, filter: &JobFilter) -> Result<Vec<Job>, StoreError> {
        let asked: [(&str, Option<Param<'_>>); 5] = [
            ("class_rank", filter.class.map(Into::into)),
            ("domain", filter.to_domain.as_ref().map(Into::into)),
            ("state", filter.state.map(|state| state.as_str().into())),
            ("cause", filter.cause.map(Into::into)),
            ("folded", filter.to.as_ref().map(|to| to.folded().into())),
        ];
        let mut values = vec![Param::from(filter.limit)];
        let mut conditions = String::new();
        for (column, value) in asked {
            if let Some(value) = value {
                values.push(value);
                let word = if conditions.is_empty() { "WHERE" } else { "AND" };
                conditions.push_str(&format!(" {word} {column} = ?{}", values.len()));
            }
        }
        if filter.ended {
            let sql = format!("SELECT {SHARED} FROM history{conditions} ORDER BY ended_at DESC, id DESC LIMIT ?1");
            self.query(&sql, &values, read_shared)
        } else {
            let sql = format!("SELECT {SHARED}, {OWN} FROM jobs{conditions} ORDER BY class_rank, due, id LIMIT ?1");
            self.query(&sql, &values, read_waiting)
        }
    }

    /// Forgets at most `limit` jobs that ended before `before`, the oldest first; gives how many.
    ///
    /// # Errors
    /// The database failed.
    pub fn trim_history(&mut self, before: Timestamp, limit: usize) -> Result<u64, StoreError> {
        let sql = "DELETE FROM history WHERE id IN \
                   (SELECT id FROM history WHERE ended_at < ?1 ORDER BY ended_at LIMIT ?2)";
        self.execute(sql, params![before, limit])
    }
}
