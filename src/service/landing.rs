//! The page behind a registration link: what it shows, and the one transaction that registers the address (R117–R121).
//!
//! Knows nothing of pages or cookies. What always holds: looking changes nothing but the log; a link registers once,
//! whichever of two tabs is faster; an address that stood in the chosen place is replaced only if the member was shown it.

use super::address_change;
use super::audit::{self, By, Entry};
use super::notice::Notices;
use super::session::Visitor;
use crate::keys::Keychain;
use crate::link::{Link, LinkError, Purpose};
use crate::maillog;
use crate::model::{
    Budget, EmailAddress, Language, LoginId, MemberId, OrgCode, Priority, RegistrationId, Span, Timestamp,
};
use crate::store::{AddressRow, AddressState, Registration, RegistrationState, Store, StoreError, Tx};

/// A visit is noted once in this time for each registration, so that a scanner cannot fill the log.
const NOTED_EVERY: Span = Span::from_secs(60 * 60);

/// What stands behind a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// A registration that waits for the person.
    Open(Box<Registration>, Link),
    /// A registration that is done.
    Done(Box<Registration>),
    /// One whose time is over; nothing where we remember it no more.
    Expired {
        /// When the link ended.
        until: Timestamp,
        /// What it was to register.
        registration: Option<Box<Registration>>,
    },
    /// The link was cut on its way.
    Cut,
    /// The link is not ours.
    Forged,
}

/// Judges what a link leads to. `registration` is the row it names.
#[must_use]
pub fn judge(link: Result<Link, LinkError>, registration: Option<Registration>) -> Sight {
    let (link, over) = match link {
        Ok(link) => (link, false),
        Err(LinkError::Expired(link)) => (link, true),
        Err(LinkError::Incomplete) => return Sight::Cut,
        Err(LinkError::Forged) => return Sight::Forged,
    };
    let until = Timestamp::from_millis(link.expires.saturating_mul(1_000));
    let Some(registration) = registration.map(Box::new) else {
        return Sight::Expired { until, registration: None };
    };
    match registration.state {
        RegistrationState::Done => Sight::Done(registration),
        RegistrationState::Open if !over => Sight::Open(registration, link),
        RegistrationState::Open | RegistrationState::Expired => {
            Sight::Expired { until, registration: Some(registration) }
        }
    }
}

/// What putting an address into a place does to the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// The place is free, or holds this very address.
    Put,
    /// The place is free, and the address leaves another one.
    Move {
        /// The place it leaves.
        from: Priority,
    },
    /// The address that stood there goes.
    Replace {
        /// That address.
        old: EmailAddress,
    },
    /// The address comes from another place, and the one that stood here goes there.
    Swap {
        /// The address that stood here.
        old: EmailAddress,
        /// Where it goes.
        to: Priority,
    },
}

impl Plan {
    /// Works out what choosing `place` for `address` means for a member who has `present`.
    #[must_use]
    pub fn of(present: &[(Priority, EmailAddress)], address: &EmailAddress, place: Priority) -> Self {
        let same = |other: &EmailAddress| other.folded() == address.folded();
        let here = present.iter().find(|(priority, _)| *priority == place).map(|(_, address)| address);
        let elsewhere = present.iter().find(|(priority, other)| *priority != place && same(other));
        match (here, elsewhere) {
            (Some(here), _) if same(here) => Self::Put,
            (None, None) => Self::Put,
            (None, Some((from, _))) => Self::Move { from: *from },
            (Some(here), None) => Self::Replace { old: here.clone() },
            (Some(here), Some((to, _))) => Self::Swap { old: here.clone(), to: *to },
        }
    }

    /// Gives the address that gives way, which the member must have been shown.
    #[must_use]
    pub const fn old(&self) -> Option<&EmailAddress> {
        match self {
            Self::Put | Self::Move { .. } => None,
            Self::Replace { old } | Self::Swap { old, .. } => Some(old),
        }
    }
}

/// How the member wants the address registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The place it is to take.
    pub place: Priority,
    /// The address that the member was told stands there.
    pub shown: Option<String>,
    /// The language the member switched the pages to, which is that of mails from now on (R061).
    pub language: Option<Language>,
}

/// What came of the wish to register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The address is registered.
    Registered,
    /// The place holds an address that the member was not shown.
    Taken,
    /// The registration is not open any more; looking again says why.
    Closed,
}

/// Looks behind links and registers.
#[derive(Clone)]
pub struct Landing {
    store: Store,
    keys: Keychain,
    notices: Notices,
}

impl Landing {
    /// Makes the service.
    #[must_use]
    pub const fn new(store: Store, keys: Keychain, notices: Notices) -> Self {
        Self { store, keys, notices }
    }

    /// Looks behind a link.
    ///
    /// # Errors
    /// The database failed.
    pub async fn look(&self, token: &str, now: Timestamp) -> Result<Sight, StoreError> {
        let link = Link::verify(token, Purpose::Registration, self.keys.now().link(), now);
        let row = match &link {
            Ok(link) | Err(LinkError::Expired(link)) => Some(RegistrationId::new(link.row)),
            Err(LinkError::Incomplete | LinkError::Forged) => None,
        };
        let registration = match row {
            Some(row) => self.store.read(move |tx| tx.registration(row)).await?,
            None => None,
        };
        Ok(judge(link, registration))
    }

    /// Gives the open registration behind a link that was mailed to an address which is that member's already, whoever that is.
    ///
    /// # Errors
    /// The database failed.
    pub async fn mailed_to(
        &self,
        token: &str,
        org: &str,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<RegistrationId>, StoreError> {
        let Sight::Open(registration, _) = self.look(token, now).await? else { return Ok(None) };
        let Some((org, login)) = org.parse::<OrgCode>().ok().zip(id.parse::<LoginId>().ok()) else { return Ok(None) };
        let address = registration.address.folded();
        let found = self.store.read::<_, StoreError, _>(move |tx| {
            let Some(org) = tx.org(&org)? else { return Ok(false) };
            let Some(member) = tx.member(org.id, &login)? else { return Ok(false) };
            Ok(tx.addresses_of(member.id)?.iter().any(|(_, own)| own.folded() == address))
        });
        Ok(found.await?.then_some(registration.id))
    }

    /// Notes that somebody, or something, opened the page.
    ///
    /// # Errors
    /// The database failed.
    pub async fn note_visit(&self, registration: &Registration, now: Timestamp) -> Result<(), StoreError> {
        let (id, address) = (registration.id, registration.address.clone());
        let fits = move |remembered| Budget::new(1, NOTED_EVERY).admit(remembered, now);
        let key = id.to_string();
        let asked = key.clone();
        if fits(self.store.read(move |tx| tx.budget("visit", &asked)).await?).is_none() {
            return Ok(());
        }
        self.store
            .write(move |tx| {
                let Some(until) = fits(tx.budget("visit", &key)?) else {
                    return Ok(());
                };
                tx.set_budget("visit", &key, until)?;
                maillog::visited(tx, id, &address, "landing", now)?;
                audit::record(tx, link(audit::LINK_OPENED, id, &address), now)
            })
            .await
    }

    /// Notes that somebody logged in behind a link that is open.
    ///
    /// # Errors
    /// The database failed.
    pub async fn note_login(&self, token: &str, now: Timestamp) -> Result<(), StoreError> {
        let Sight::Open(registration, _) = self.look(token, now).await? else { return Ok(()) };
        let Registration { id, address, .. } = *registration;
        self.store.write(move |tx| maillog::visited(tx, id, &address, "login", now)).await
    }

    /// Gives the member's addresses by priority.
    ///
    /// # Errors
    /// The database failed.
    pub async fn addresses(&self, member: MemberId) -> Result<Vec<(Priority, EmailAddress)>, StoreError> {
        self.store.read(move |tx| tx.addresses_of(member)).await
    }

    /// Registers the address, in one transaction.
    ///
    /// # Errors
    /// The database failed.
    pub async fn register(
        &self,
        link: Link,
        visitor: &Visitor,
        wish: Wish,
        now: Timestamp,
    ) -> Result<Outcome, StoreError> {
        let (visitor, notices) = (visitor.clone(), self.notices);
        self.store.write(move |tx| register(tx, notices, &link, &visitor, &wish, now)).await
    }
}

/// What happened to a registration's link while it is nobody's.
pub(super) fn link(name: &'static str, registration: RegistrationId, address: &EmailAddress) -> Entry {
    Entry::at_large(name, By::Anybody).field("registration", registration.to_string()).address(address)
}

fn register(
    tx: &mut Tx<'_>,
    notices: Notices,
    link: &Link,
    visitor: &Visitor,
    wish: &Wish,
    now: Timestamp,
) -> Result<Outcome, StoreError> {
    let id = RegistrationId::new(link.row);
    let open = tx.registration(id)?.filter(|registration| registration.state == RegistrationState::Open);
    let Some(registration) = open else {
        return Ok(Outcome::Closed);
    };
    let (member, address, place) = (visitor.member.id, &registration.address, wish.place);
    let before = tx.addresses_of(member)?;
    let plan = Plan::of(&before, address, place);
    if plan.old().is_some_and(|old| wish.shown.as_ref() != Some(&old.to_string())) {
        return Ok(Outcome::Taken);
    }
    let fresh = tx.use_link(link.purpose.as_str(), link.row, &link.nonce, now, &visitor.session)?;
    if !fresh || !tx.finish_registration(id, member, place, now)? {
        return Ok(Outcome::Closed);
    }
    match plan {
        Plan::Put | Plan::Replace { .. } => {}
        Plan::Move { from } => tx.drop_address(member, from)?,
        Plan::Swap { old, to } => tx.put_address(member, to, &old, "registration", now)?,
    }
    tx.put_address(member, place, address, "registration", now)?;
    note_verified(tx, address, now)?;
    if let Some(language) = wish.language.filter(|language| *language != visitor.member.language) {
        tx.set_language(member, language)?;
    }
    maillog::registered(tx, address, &visitor.org, &visitor.member.login, place, now)?;
    let done = |name| Entry::of(name, &visitor.member, By::Member).field("registration", id.to_string());
    audit::record(tx, done(audit::LINK_FINISHED), now)?;
    audit::record(tx, done(audit::ADDRESS_VERIFIED).address(address), now)?;
    address_change::record(tx, &visitor.member, By::Member, &before, now)?;
    address_change::tell(tx, notices, &visitor.member, &before, now)?;
    Ok(Outcome::Registered)
}

/// Whoever pressed a link that came by mail reads mail at that address.
pub(super) fn note_verified(tx: &mut Tx<'_>, address: &EmailAddress, now: Timestamp) -> Result<(), StoreError> {
    let before = tx.address(address)?.map(|row| row.state);
    tx.note_address(&AddressRow {
        address: address.clone(),
        state: AddressState::Verified,
        verdict: None,
        stage: None,
        reply: None,
        at: Some(now),
        verified_at: Some(now),
        unknown_day: None,
    })?;
    if before == Some(AddressState::Verified) {
        return Ok(());
    }
    maillog::marked(tx, address, AddressState::Verified.as_str(), now)
}

#[cfg(test)]
mod tests;
