//! Registrations of addresses: opened by an empty mail, finished on a page.

use crate::model::{EmailAddress, MemberId, OrgCode, Priority, RegistrationId, Timestamp};
use crate::store::sql::{Row, from_text, params};
use crate::store::{StoreError, Tx};
use std::str::FromStr;

/// Where a registration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RegistrationState {
    /// Waiting for the person behind the link.
    Open,
    /// The address belongs to a member.
    Done,
    /// Its time was over, and another took its place.
    Expired,
}

impl RegistrationState {
    /// Gives the name the store keeps.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Done => "done",
            Self::Expired => "expired",
        }
    }
}

/// The text names no state of a registration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is no state of a registration")]
pub struct RegistrationStateError(String);

impl FromStr for RegistrationState {
    type Err = RegistrationStateError;

    fn from_str(text: &str) -> Result<Self, RegistrationStateError> {
        let all = [Self::Open, Self::Done, Self::Expired];
        all.into_iter().find(|state| state.as_str() == text).ok_or_else(|| RegistrationStateError(text.to_owned()))
    }
}

from_text!(RegistrationState);

/// A registration of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Its number.
    pub id: RegistrationId,
    /// The address that is to be registered.
    pub address: EmailAddress,
    /// The organisation the mail named, as its sender wrote it; there may be none of that code.
    pub org: Option<OrgCode>,
    /// Where it stands.
    pub state: RegistrationState,
    /// When the first mail opened it.
    pub opened_at: Timestamp,
    /// When its last link ends.
    pub expires: Timestamp,
    /// When it was done, or another took its place.
    pub finished_at: Option<Timestamp>,
    /// Whose address it became.
    pub member: Option<MemberId>,
    /// In which place.
    pub priority: Option<Priority>,
}

const COLUMNS: &str = "id, address, org, state, opened_at, expires, finished_at, member, priority FROM registrations";

fn read(row: &Row<'_>) -> Result<Registration, StoreError> {
    Ok(Registration {
        id: row.get(0)?,
        address: row.get(1)?,
        org: row.find(2)?,
        state: row.get(3)?,
        opened_at: row.get(4)?,
        expires: row.get(5)?,
        finished_at: row.find(6)?,
        member: row.find(7)?,
        priority: row.find(8)?,
    })
}

impl Tx<'_> {
    /// Finds the open registration of an address; its time may be over. Until this transaction ends, nobody else opens one
    /// for the same address.
    ///
    /// # Errors
    /// The database failed.
    pub fn open_registration(&mut self, address: &EmailAddress) -> Result<Option<Registration>, StoreError> {
        let folded = address.folded();
        self.guard()?;
        let sql = format!("SELECT {COLUMNS} WHERE folded = ?1 AND state = 'open'");
        self.one(&sql, params![folded], read)
    }

    /// Opens a registration; an open one of the same address whose time was over at `at` makes room.
    ///
    /// # Errors
    /// The database failed, or the address has an open registration whose time is not over.
    pub fn begin_registration(
        &mut self,
        address: &EmailAddress,
        org: Option<&OrgCode>,
        at: Timestamp,
        expires: Timestamp,
    ) -> Result<RegistrationId, StoreError> {
        let folded = address.folded();
        let close = "UPDATE registrations SET state = 'expired', finished_at = ?2 \
                     WHERE folded = ?1 AND state = 'open' AND expires <= ?2";
        self.execute(close, params![folded.as_str(), at])?;
        let sql = "INSERT INTO registrations (address, folded, org, state, opened_at, expires) \
                   VALUES (?1, ?2, ?3, 'open', ?4, ?5)";
        self.insert(sql, params![address, folded, org, at, expires]).map(RegistrationId::new)
    }

    /// Gives an open registration more time, and the organisation that the last mail named.
    ///
    /// # Errors
    /// The database failed.
    pub fn renew_registration(
        &mut self,
        id: RegistrationId,
        org: Option<&OrgCode>,
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE registrations SET org = ?2, expires = ?3 WHERE id = ?1 AND state = 'open'";
        self.execute(sql, params![id, org, expires]).map(drop)
    }

    /// Finds a registration by its number.
    ///
    /// # Errors
    /// The database failed.
    pub fn registration(&mut self, id: RegistrationId) -> Result<Option<Registration>, StoreError> {
        self.one(&format!("SELECT {COLUMNS} WHERE id = ?1"), params![id], read)
    }

    /// Says when an address became a member's by its registration, the last time.
    ///
    /// # Errors
    /// The database failed.
    pub fn registered_at(&mut self, member: MemberId, address: &EmailAddress) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT finished_at FROM registrations WHERE member = ?1 AND folded = ?2 AND state = 'done' \
                   ORDER BY finished_at DESC LIMIT 1";
        self.one(sql, params![member, address.folded()], |row| row.get(0))
    }

    /// Notes whose address it became; false where it is not open any more, and then nothing has changed.
    ///
    /// # Errors
    /// The database failed, or there is no such member.
    pub fn finish_registration(
        &mut self,
        id: RegistrationId,
        member: MemberId,
        priority: Priority,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE registrations SET state = 'done', finished_at = ?4, member = ?2, priority = ?3 \
                   WHERE id = ?1 AND state = 'open'";
        Ok(self.execute(sql, params![id, member, priority, at])? == 1)
    }
}
