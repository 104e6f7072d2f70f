//! Why a mail did not arrive: what servers said about a member's addresses, and what that means (R009, R108).
//!
//! Knows nothing of pages or wording. It decides on verdicts, causes and stages, never on the text of a reply, which is only
//! quoted. What always holds: a member is told of mails of their own alone, whoever else holds the same address; "taken"
//! is all that a server's 250 proves, and "read" comes from a person.

#[cfg(test)]
mod tests;

use crate::maillog;
use crate::model::{ContactTestId, EmailAddress, JobId, MemberId, Priority, Timestamp};
use crate::queue::{Cause, Content, Verdict};
use crate::store::{ContactTest, Event, EventFilter, Store, StoreError, Tx};
use std::collections::BTreeMap;

/// How many events of an address are looked through, the newest of them.
const LOOKED_AT: usize = 100;
/// How many replies are shown.
const SHOWN: usize = 3;

/// What came of a try at one mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// The server took it.
    Accepted,
    /// It waits for another try.
    Deferred(Cause),
    /// It was refused for good.
    Refused(Verdict),
    /// Its time was over.
    Expired,
    /// The connection was lost after the final dot.
    Lost,
    /// The address is not written to.
    Suppressed,
}

/// A try at one mail, and what the server said to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// When.
    pub at: Timestamp,
    /// What came of it.
    pub came: Came,
    /// The words of the server with its code; nothing where no server said anything.
    pub quote: Option<String>,
}

/// What it all comes to, for the person who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Nothing was sent yet, or too long ago.
    Nothing,
    /// Nothing was heard yet: the mail is on its way.
    Underway,
    /// Somebody showed that mail is read there.
    Read,
    /// A server took the last mail; nobody showed that it was read.
    Taken,
    /// There is no such mailbox.
    Unknown,
    /// The owner's filter refused us.
    Filtered,
    /// The mailbox is full.
    Full,
    /// The account is switched off.
    Closed,
    /// The other side cannot now; it is tried again.
    Waiting,
    /// The other side could not for so long that the mail was given up.
    Missed,
    /// Our side is to blame, and has to mend it.
    Ours,
    /// It was refused, and nobody knows why.
    Unclear,
    /// It may have been taken or not: the connection was lost at the end.
    Unsure,
    /// The address is not written to any more.
    Stopped,
}

/// How an address stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What it comes to.
    pub reading: Reading,
    /// When the member last showed that mail is read there.
    pub read_at: Option<Timestamp>,
    /// When a server last took a mail of the member's.
    pub taken_at: Option<Timestamp>,
    /// The last tries, the newest first.
    pub said: Vec<Said>,
}

/// Works out what the tries (the newest first) and the proof come to.
#[must_use]
pub fn judge(said: &[Said], read_at: Option<Timestamp>, suppressed: bool) -> Reading {
    if suppressed {
        return Reading::Stopped;
    }
    let Some(last) = said.first() else {
        return if read_at.is_some() { Reading::Read } else { Reading::Nothing };
    };
    if read_at.is_some_and(|at| at >= last.at) {
        return Reading::Read;
    }
    match last.came {
        // Whoever read the one before is likely to read this one, too.
        Came::Accepted if read_at.is_some() => Reading::Read,
        Came::Accepted => Reading::Taken,
        Came::Deferred(cause) => of_cause(cause),
        Came::Refused(verdict) => of_verdict(verdict),
        Came::Expired => Reading::Missed,
        Came::Lost => Reading::Unsure,
        Came::Suppressed => Reading::Stopped,
    }
}

const fn of_cause(cause: Cause) -> Reading {
    match cause {
        Cause::Full => Reading::Full,
        Cause::NoKey | Cause::Ours => Reading::Ours,
        Cause::Dns
        | Cause::Unreachable
        | Cause::Tls
        | Cause::Greylisted
        | Cause::Throttled
        | Cause::Said
        | Cause::Lost => Reading::Waiting,
    }
}

const fn of_verdict(verdict: Verdict) -> Reading {
    match verdict {
        Verdict::UnknownUser => Reading::Unknown,
        Verdict::Filtered => Reading::Filtered,
        Verdict::Full => Reading::Full,
        Verdict::SuspendedUser => Reading::Closed,
        Verdict::Throttled | Verdict::Outage => Reading::Missed,
        Verdict::TooLarge | Verdict::Policy | Verdict::OurFault => Reading::Ours,
        Verdict::Unclear => Reading::Unclear,
    }
}

/// Reads what is known of members' addresses.
#[derive(Clone)]
pub struct Reach {
    store: Store,
}

impl Reach {
    /// Makes the service.
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self { store }
    }

    /// Says how each address of a member stands, by priority.
    ///
    /// # Errors
    /// The database failed.
    pub async fn of_member(&self, member: MemberId) -> Result<Vec<(Priority, EmailAddress, Standing)>, StoreError> {
        let look = move |tx: &mut Tx<'_>| {
            let own = tx.addresses_of(member)?;
            let each = own.into_iter().map(|(place, address)| {
                let standing = of_address(tx, member, &address)?;
                Ok((place, address, standing))
            });
            each.collect()
        };
        self.store.read(look).await
    }

    /// Says how a test stands.
    ///
    /// # Errors
    /// The database failed.
    pub async fn of_test(&self, test: ContactTest) -> Result<Standing, StoreError> {
        self.store.read(move |tx| of_test(tx, &test)).await
    }
}

fn of_address(tx: &mut Tx<'_>, member: MemberId, address: &EmailAddress) -> Result<Standing, StoreError> {
    let registered = tx.registered_at(member, address)?;
    let tests = tx.contact_tests_of(member, address, LOOKED_AT)?;
    let read_at = tests.iter().filter_map(|test| test.arrived_at).chain(registered).max();
    let asked =
        EventFilter { address: Some(address.clone()), limit: LOOKED_AT, newest: true, ..EventFilter::default() };
    let mut own = BTreeMap::new();
    let mut said = Vec::new();
    for (_, event) in tx.events(&asked)?.into_iter().rev() {
        let (Some(job), Some(words)) = (event.job, read(&event)) else { continue };
        let is_own = match own.get(&job) {
            Some(known) => *known,
            None => is_of(tx, job, member)?,
        };
        own.insert(job, is_own);
        if is_own {
            said.push(words);
        }
    }
    Ok(standing(said, read_at, tx.is_suppressed(address)?))
}

fn of_test(tx: &mut Tx<'_>, test: &ContactTest) -> Result<Standing, StoreError> {
    let Some(job) = test.job else {
        return Ok(standing(Vec::new(), None, true));
    };
    let asked = EventFilter { job: Some(job), limit: LOOKED_AT, newest: true, ..EventFilter::default() };
    let said: Vec<Said> = tx.events(&asked)?.iter().rev().filter_map(|(_, event)| read(event)).collect();
    let standing = standing(said, test.arrived_at, false);
    Ok(match standing.reading {
        Reading::Nothing => Standing { reading: Reading::Underway, ..standing },
        _ => standing,
    })
}

fn standing(mut said: Vec<Said>, read_at: Option<Timestamp>, suppressed: bool) -> Standing {
    let reading = judge(&said, read_at, suppressed);
    let taken_at = said.iter().find(|said| said.came == Came::Accepted).map(|said| said.at);
    said.truncate(SHOWN);
    Standing { reading, read_at, taken_at, said }
}

/// Says whether a mail was for that member.
fn is_of(tx: &mut Tx<'_>, job: JobId, member: MemberId) -> Result<bool, StoreError> {
    let Some(job) = tx.job(job)? else { return Ok(false) };
    Ok(match job.order.content {
        Content::RegistrationReply { registration, .. } => {
            tx.registration(registration)?.is_some_and(|registration| registration.member == Some(member))
        }
        Content::ContactTest { test, .. } => is_test_of(tx, test, member)?,
        Content::Otp { challenge } => tx.challenge(challenge)?.is_some_and(|challenge| challenge.member == member),
        Content::Security { member: told, .. } => told == member,
        Content::Forward { .. } => false,
    })
}

fn is_test_of(tx: &mut Tx<'_>, test: ContactTestId, member: MemberId) -> Result<bool, StoreError> {
    Ok(tx.contact_test(test)?.is_some_and(|test| test.member == member))
}

/// Reads an event of the mail log, if it tells of a try.
fn read(event: &Event) -> Option<Said> {
    let name = |key: &str| event.fields.get(key)?.as_str();
    let came = match &*event.name {
        maillog::ACCEPTED => Came::Accepted,
        maillog::DEFERRED => Came::Deferred(Cause::from_name(name("cause")?)?),
        maillog::REFUSED => Came::Refused(Verdict::from_name(name("verdict")?)?),
        maillog::EXPIRED => Came::Expired,
        maillog::LOST => Came::Lost,
        maillog::SUPPRESSED => Came::Suppressed,
        _ => return None,
    };
    // A code of 0 stands before words of our own.
    let code = event.fields.get("code").and_then(serde_json::Value::as_u64).filter(|code| *code > 0);
    let quote = code.zip(name("reply")).map(|(code, reply)| format!("{code} {reply}"));
    Some(Said { at: event.at, came, quote })
}
