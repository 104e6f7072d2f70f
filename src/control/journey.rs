//! Finds the events that belong to the life of a mail, a job or an address.

use super::Subject;
use crate::model::{EmailAddress, JobId, MailId, Timestamp};
use crate::store::{Event, EventFilter, StoreError, Tx};
use std::collections::BTreeMap;

/// The most events of one life; the newest of them.
const LONGEST: usize = 2_000;

/// Gives the events of a life in order of time; nothing where there is no such mail, job or address.
pub(super) fn events(tx: &mut Tx<'_>, of: &Subject) -> Result<Option<Vec<Event>>, StoreError> {
    let found = match of {
        Subject::Address(address) => of_address(tx, address)?,
        Subject::Mail(mail) => match tx.mail(*mail)? {
            Some(row) => of_mail(tx, *mail, row.sender.as_ref(), row.at)?,
            None => return Ok(None),
        },
        Subject::Job(job) => match tx.job(*job)? {
            Some(row) => {
                let from_mail = match row.order.cause {
                    Some(mail) => of_mail(tx, mail, Some(&row.order.to), row.order.queued_at)?,
                    None => BTreeMap::new(),
                };
                of_job(tx, *job, from_mail)?
            }
            None => return Ok(None),
        },
    };
    // Rows are numbered as they were written; a clock set back must not tear what was one transaction.
    let mut events: Vec<Event> = found.into_values().collect();
    events.sort_by_key(|event| event.at);
    Ok((!events.is_empty()).then_some(events))
}

type Found = BTreeMap<i64, Event>;

fn find(tx: &mut Tx<'_>, filter: EventFilter) -> Result<Found, StoreError> {
    Ok(tx.events(&EventFilter { limit: LONGEST, newest: true, ..filter })?.into_iter().collect())
}

fn of_address(tx: &mut Tx<'_>, address: &EmailAddress) -> Result<Found, StoreError> {
    find(tx, EventFilter { address: Some(address.clone()), ..EventFilter::default() })
}

/// What happened to a mail and its answers, and since then on the pages and to the address it came from.
fn of_mail(
    tx: &mut Tx<'_>,
    mail: MailId,
    sender: Option<&EmailAddress>,
    since: Timestamp,
) -> Result<Found, StoreError> {
    let mut found = find(tx, EventFilter { mail: Some(mail), ..EventFilter::default() })?;
    if let Some(sender) = sender {
        let later = of_address(tx, sender)?;
        found.extend(later.into_iter().filter(|(_, e)| e.mail.is_none() && e.job.is_none() && e.at >= since));
    }
    Ok(found)
}

/// What happened to a job, and of its mail's life what did not happen to another job.
fn of_job(tx: &mut Tx<'_>, job: JobId, from_mail: Found) -> Result<Found, StoreError> {
    let mut found = find(tx, EventFilter { job: Some(job), ..EventFilter::default() })?;
    found.extend(from_mail.into_iter().filter(|(_, event)| event.job.is_none_or(|other| other == job)));
    Ok(found)
}
