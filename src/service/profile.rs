//! The addresses that members type on their page (連絡先(MAIL), R082): what is typed, what changes, and the one transaction
//! that saves it.
//!
//! Knows nothing of pages or forms. What always holds: no address stands in two places of one member; what a member saves
//! is what they were shown, or nothing is saved; what was there before is told of the change.

use super::address_change;
use super::audit::By;
use super::notice::Notices;
use super::session::Visitor;
use crate::maillog;
use crate::model::{EmailAddress, MemberId, Priority, Timestamp};
use crate::store::{Store, StoreError, Tx};

#[cfg(test)]
mod tests;

/// An address for each place, first first.
pub type Addresses = [Option<EmailAddress>; 3];

/// What is wrong with what was typed into a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is no mail address.
    Form,
    /// The same address stands in a place before it.
    Twice,
}

/// Reads what was typed into the places; a blank one is empty.
///
/// # Errors
/// What is wrong, by place.
pub fn read(typed: [&str; 3]) -> Result<Addresses, Vec<(Priority, Fault)>> {
    let mut read = Addresses::default();
    let mut faults = Vec::new();
    for ((place, text), into) in Priority::ALL.into_iter().zip(typed).zip(0..) {
        if text.trim().is_empty() {
            continue;
        }
        match EmailAddress::typed(text) {
            Err(_) => faults.push((place, Fault::Form)),
            Ok(address) if read.iter().flatten().any(|other| other.folded() == address.folded()) => {
                faults.push((place, Fault::Twice));
            }
            Ok(address) => {
                if let Some(empty) = read.get_mut(into) {
                    *empty = Some(address);
                }
            }
        }
    }
    if faults.is_empty() { Ok(read) } else { Err(faults) }
}

/// Reads what a page showed in the places: an address that stands there twice is one that can be saved away. Nothing, where it
/// is none.
#[must_use]
pub fn shown(texts: [&str; 3]) -> Option<Addresses> {
    let mut read = Addresses::default();
    for (text, into) in texts.into_iter().zip(&mut read).filter(|(text, _)| !text.is_empty()) {
        *into = Some(EmailAddress::typed(text).ok()?);
    }
    Some(read)
}

/// What happens to a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is empty, and an address comes.
    Add(EmailAddress),
    /// Its address goes, and another one comes.
    Replace(EmailAddress, EmailAddress),
    /// Its address goes.
    Remove(EmailAddress),
}

/// Works out what saving `wanted` in place of `present` changes, by place.
#[must_use]
pub fn changes(present: &Addresses, wanted: &Addresses) -> Vec<(Priority, Change)> {
    let places = Priority::ALL.into_iter().zip(present).zip(wanted);
    let change = |((place, present), wanted): ((Priority, &Option<EmailAddress>), &Option<EmailAddress>)| {
        let change = match (present.clone(), wanted.clone()) {
            (present, wanted) if present == wanted => return None,
            (None, None) => return None,
            (None, Some(new)) => Change::Add(new),
            (Some(old), Some(new)) => Change::Replace(old, new),
            (Some(old), None) => Change::Remove(old),
        };
        Some((place, change))
    };
    places.filter_map(change).collect()
}

/// What came of saving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// It is saved.
    Saved,
    /// The addresses are not those that the member was shown any more.
    Moved,
}

/// Reads and saves members' addresses.
#[derive(Clone)]
pub struct Profile {
    store: Store,
    notices: Notices,
}

impl Profile {
    /// Makes the service.
    #[must_use]
    pub const fn new(store: Store, notices: Notices) -> Self {
        Self { store, notices }
    }

    /// Gives a member's addresses.
    ///
    /// # Errors
    /// The database failed.
    pub async fn addresses(&self, member: MemberId) -> Result<Addresses, StoreError> {
        self.store.read(move |tx| tx.addresses_of(member).map(|rows| by_place(&rows))).await
    }

    /// Saves `wanted` if the member's addresses still are `shown`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn save(
        &self,
        visitor: &Visitor,
        shown: Addresses,
        wanted: Addresses,
        now: Timestamp,
    ) -> Result<Saved, StoreError> {
        let (visitor, notices) = (visitor.clone(), self.notices);
        self.store.write(move |tx| save(tx, notices, &visitor, &shown, &wanted, now)).await
    }
}

fn by_place(rows: &[(Priority, EmailAddress)]) -> Addresses {
    Priority::ALL.map(|place| rows.iter().find(|(taken, _)| *taken == place).map(|(_, address)| address.clone()))
}

fn save(
    tx: &mut Tx<'_>,
    notices: Notices,
    visitor: &Visitor,
    shown: &Addresses,
    wanted: &Addresses,
    now: Timestamp,
) -> Result<Saved, StoreError> {
    let member = visitor.member.id;
    let before = tx.addresses_of(member)?;
    if by_place(&before) != *shown {
        return Ok(Saved::Moved);
    }
    for (place, change) in changes(shown, wanted) {
        match &change {
            Change::Add(new) | Change::Replace(_, new) => tx.put_address(member, place, new, "profile", now)?,
            Change::Remove(_) => tx.drop_address(member, place)?,
        }
        if let Change::Replace(old, _) | Change::Remove(old) = &change {
            maillog::withdrawn(tx, old, &visitor.org, &visitor.member.login, place, now)?;
        }
        if let Change::Add(new) | Change::Replace(_, new) = &change {
            maillog::registered(tx, new, &visitor.org, &visitor.member.login, place, now)?;
        }
    }
    address_change::record(tx, &visitor.member, By::Member, &before, now)?;
    address_change::tell(tx, notices, &visitor.member, &before, now)?;
    Ok(Saved::Saved)
}
