//! Tells members what was done to their account, so that whoever did not do it can act.
//!
//! Knows nothing of wording. What always holds: a notice goes to every address of the member, and to the one that receives
//! their codes, to each once; it is queued in the transaction of what it tells.

use crate::maillog;
use crate::model::{EmailAddress, MemberId, Timestamp};
use crate::queue::retry::Schedule;
use crate::queue::{Class, Content, NewJob, Notice};
use crate::store::{Member, StoreError, Tx};

/// Tells a member. Where something is taken away, tell before it is: the address that received codes is to hear of it, too.
///
/// # Errors
/// The database failed.
pub fn tell(tx: &mut Tx<'_>, member: MemberId, what: Notice, now: Timestamp) -> Result<(), StoreError> {
    let Some(member) = tx.member_by_id(member)? else { return Ok(()) };
    for to in addresses(tx, &member, now)? {
        let order = NewJob {
            class: Class::Notice,
            to,
            content: Content::Security { member: member.id, what },
            language: Some(member.language),
            cause: None,
            queued_at: now,
            due: now,
            give_up: now.plus(Schedule::shipped(Class::Notice).give_up),
        };
        let job = tx.enqueue(&order)?;
        maillog::queued(tx, job, &order)?;
    }
    Ok(())
}

fn addresses(tx: &mut Tx<'_>, member: &Member, now: Timestamp) -> Result<Vec<EmailAddress>, StoreError> {
    let own = tx.addresses_of(member.id)?.into_iter().map(|(_, address)| address);
    let codes = tx.factors(member.id, now)?.into_iter().filter_map(|factor| factor.address);
    let mut found: Vec<EmailAddress> = Vec::new();
    for address in own.chain(codes) {
        if found.iter().all(|known| known.folded() != address.folded()) {
            found.push(address);
        }
    }
    Ok(found)
}
