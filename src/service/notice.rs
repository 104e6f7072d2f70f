//! Tells members what was done to their account, so that whoever did not do it can act.
//!
//! Knows nothing of wording. What always holds: a notice goes to every address of the member, and to the one that receives
//! their codes, to each once; it is queued in the transaction of what it tells, and tried for as long as the settings say.

use crate::maillog;
use crate::model::{EmailAddress, MemberId, Span, Timestamp};
use crate::queue::{Class, Content, NewJob, Notice};
use crate::store::{Member, StoreError, Tx};

/// Tells members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notices {
    /// How long a notice is tried to be delivered.
    pub give_up: Span,
}

impl Notices {
    /// Tells a member. Where something is taken away, tell before it is: the address that received codes is to hear of it, too.
    ///
    /// # Errors
    /// The database failed.
    pub fn tell(self, tx: &mut Tx<'_>, member: MemberId, what: Notice, now: Timestamp) -> Result<(), StoreError> {
        let own = tx.addresses_of(member)?.into_iter().map(|(_, address)| address).collect();
        self.tell_at(tx, member, own, what, now)
    }

    /// Tells a member at these addresses, and at the one that receives their codes: for when the member's own have changed.
    ///
    /// # Errors
    /// The database failed.
    pub fn tell_at(
        self,
        tx: &mut Tx<'_>,
        member: MemberId,
        own: Vec<EmailAddress>,
        what: Notice,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(member) = tx.member_by_id(member)? else { return Ok(()) };
        let codes = tx.factors(member.id, now)?.into_iter().filter_map(|factor| factor.address);
        for to in distinct(own.into_iter().chain(codes)) {
            let order = self.order(&member, to, what, now);
            let job = tx.enqueue(&order)?;
            maillog::queued(tx, job, &order)?;
        }
        Ok(())
    }

    fn order(self, member: &Member, to: EmailAddress, what: Notice, now: Timestamp) -> NewJob {
        NewJob {
            class: Class::Notice,
            to,
            content: Content::Security { member: member.id, what },
            language: Some(member.language),
            cause: None,
            queued_at: now,
            due: now,
            give_up: now.plus(self.give_up),
        }
    }
}

fn distinct(addresses: impl Iterator<Item = EmailAddress>) -> Vec<EmailAddress> {
    let mut found: Vec<EmailAddress> = Vec::new();
    for address in addresses {
        if found.iter().all(|known| known.folded() != address.folded()) {
            found.push(address);
        }
    }
    found
}
