//! The mail log: what happened to a mail, a job or an address, written in the transaction in which it happened.

use crate::model::{EmailAddress, JobId, MailId, Timestamp};
use crate::queue::Class;
use crate::store::sql::{Param, Row, params};
use crate::store::{StoreError, Tx};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// Its name in the mail log.
    pub name: Cow<'static, str>,
    /// The mail it happened to.
    pub mail: Option<MailId>,
    /// The job it happened to.
    pub job: Option<JobId>,
    /// The address it happened to.
    pub address: Option<EmailAddress>,
    /// What there is to say about it, in this order.
    pub fields: Map<String, Value>,
    /// The order of the job, for those who count; not written down, so nothing where the event was read back.
    pub ordered: Option<Ordered>,
}

/// What was ordered, as far as it is counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ordered {
    /// How urgent it is.
    pub class: Class,
    /// When.
    pub at: Timestamp,
}

/// Which events are asked for; what is given holds for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFilter {
    /// Of this mail.
    pub mail: Option<MailId>,
    /// Of this job.
    pub job: Option<JobId>,
    /// Of this address.
    pub address: Option<EmailAddress>,
    /// Behind this row; those of transactions that run side by side may appear behind later ones ([`crate::store::Tail`]).
    pub after: Option<i64>,
    /// Up to this row.
    pub up_to: Option<i64>,
    /// No more than this many, oldest first.
    pub limit: usize,
    /// Where there are more, the newest of them instead of the oldest.
    pub newest: bool,
}

impl Default for EventFilter {
    fn default() -> Self {
        Self { mail: None, job: None, address: None, after: None, up_to: None, limit: 1_000, newest: false }
    }
}

fn read(row: &Row<'_>) -> Result<(i64, Event), StoreError> {
    let fields: String = row.get(6)?;
    let fields = serde_json::from_str(&fields).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    let name: String = row.get(2)?;
    let event = Event {
        at: row.get(1)?,
        name: name.into(),
        mail: row.find(3)?,
        job: row.find(4)?,
        address: row.find(5)?,
        fields,
        ordered: None,
    };
    Ok((row.get(0)?, event))
}

impl Tx<'_> {
    /// Writes an event; the observer hears of it once it has been committed.
    ///
    /// # Errors
    /// The database failed.
    pub fn record(&mut self, event: Event) -> Result<(), StoreError> {
        let sql =
            "INSERT INTO events (at, name, mail, job, address, folded, fields) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let fields = serde_json::to_string(&event.fields).map_err(|error| StoreError::Other(error.to_string()))?;
        let values = params![
            event.at,
            &*event.name,
            event.mail,
            event.job,
            event.address.as_ref(),
            event.address.as_ref().map(EmailAddress::folded),
            fields,
        ];
        self.execute(sql, values)?;
        self.events.push(event);
        Ok(())
    }

    /// Gives events with their row numbers, oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub fn events(&mut self, filter: &EventFilter) -> Result<Vec<(i64, Event)>, StoreError> {
        let mut sql = String::from("SELECT id, at, name, mail, job, address, fields FROM events WHERE id > ?1");
        let mut values: Vec<Param<'_>> = vec![filter.after.unwrap_or(0).into()];
        let asked: [(&str, Option<Param<'_>>); 4] = [
            ("mail =", filter.mail.map(Into::into)),
            ("job =", filter.job.map(Into::into)),
            ("folded =", filter.address.as_ref().map(|address| address.folded().into())),
            ("id <=", filter.up_to.map(Into::into)),
        ];
        for (condition, value) in asked {
            if let Some(value) = value {
                values.push(value);
                sql.push_str(&format!(" AND {condition} ?{}", values.len()));
            }
        }
        values.push(filter.limit.into());
        let order = if filter.newest { "DESC" } else { "ASC" };
        sql.push_str(&format!(" ORDER BY id {order} LIMIT ?{}", values.len()));
        let mut events = self.query(&sql, &values, read)?;
        if filter.newest {
            events.reverse();
        }
        Ok(events)
    }

    /// Forgets events of before `before`, oldest first, at most `limit`; gives how many.
    ///
    /// # Errors
    /// The database failed.
    pub fn trim_events(&mut self, before: Timestamp, limit: usize) -> Result<u64, StoreError> {
        let sql = "DELETE FROM events WHERE at < ?1 AND id IN (SELECT id FROM events ORDER BY id LIMIT ?2)";
        self.execute(sql, params![before, limit])
    }
}
