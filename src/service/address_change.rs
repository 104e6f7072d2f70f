//! What goes with a change of a member's addresses: entries in the audit log, and word to those that were there.
//!
//! Knows nothing of who may change them. What always holds: each place that differs has its entry, in the transaction that
//! changed it; where an address is the member's no more, or another one has become it, all those that were there hear of it:
//! whoever took an account over cannot keep that from its owner.

use super::audit::{self, By, Entry};
use super::notice::Notices;
use crate::model::{EmailAddress, Priority, Timestamp};
use crate::queue::Notice;
use crate::store::{Member, StoreError, Tx};
use std::collections::BTreeSet;

/// Addresses by place.
type Places = [(Priority, EmailAddress)];

/// Records how the member's addresses differ from what they were.
///
/// # Errors
/// The database failed.
pub(super) fn record(
    tx: &mut Tx<'_>,
    member: &Member,
    by: By,
    before: &Places,
    now: Timestamp,
) -> Result<(), StoreError> {
    let after = tx.addresses_of(member.id)?;
    for place in Priority::ALL {
        if let Some(entry) = entry(member, by, place, in_place(before, place), in_place(&after, place)) {
            audit::record(tx, entry, now)?;
        }
    }
    Ok(())
}

/// Tells those that were there, if one of them is the member's no more, or another one is: it could be a stranger's.
///
/// # Errors
/// The database failed.
pub(super) fn tell(
    tx: &mut Tx<'_>,
    notices: Notices,
    member: &Member,
    before: &Places,
    now: Timestamp,
) -> Result<(), StoreError> {
    let after = tx.addresses_of(member.id)?;
    let folded = |places: &Places| places.iter().map(|(_, address)| address.folded()).collect::<BTreeSet<_>>();
    if folded(before) == folded(&after) {
        return Ok(());
    }
    let own = before.iter().map(|(_, address)| address.clone()).collect();
    notices.tell_at(tx, member.id, own, Notice::AddressChanged, now)
}

fn in_place(addresses: &Places, place: Priority) -> Option<&EmailAddress> {
    addresses.iter().find(|(taken, _)| *taken == place).map(|(_, address)| address)
}

fn entry(
    member: &Member,
    by: By,
    place: Priority,
    before: Option<&EmailAddress>,
    after: Option<&EmailAddress>,
) -> Option<Entry> {
    let entry = |name| Entry::of(name, member, by).place(place);
    match (before, after) {
        (None, None) => None,
        (Some(old), Some(new)) if old == new => None,
        (None, Some(new)) => Some(entry(audit::ADDRESS_ADDED).address(new)),
        (Some(old), None) => Some(entry(audit::ADDRESS_REMOVED).address(old)),
        (Some(old), Some(new)) => Some(entry(audit::ADDRESS_CHANGED).address(new).field("before", old.masked())),
    }
}
