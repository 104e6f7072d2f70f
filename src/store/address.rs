//! What is known of mail addresses, and whose they are.

use crate::model::{EmailAddress, LoginId, OrgCode, Priority, Stage, Timestamp};
use crate::queue::Verdict;
use crate::store::sql::{Column, Row, from_text, params};
use crate::store::{Member, StoreError, Tx};
use std::fmt;
use std::str::FromStr;

/// What is known of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressState {
    /// Nothing yet.
    New,
    /// Somebody reads it: they sent from it, or opened a link that was sent to it.
    Verified,
    /// A server took a mail for it.
    Accepted,
    /// Its owner's filter refused us; the address is alive.
    Filtered,
    /// The mailbox was full.
    Full,
    /// There seems to be no such mailbox.
    Unreachable,
    /// It is not written to any more.
    Suppressed,
}

impl AddressState {
    const ALL: [Self; 7] =
        [Self::New, Self::Verified, Self::Accepted, Self::Filtered, Self::Full, Self::Unreachable, Self::Suppressed];

    /// Gives the name used in commands, the mail log and the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Verified => "verified",
            Self::Accepted => "accepted",
            Self::Filtered => "filtered",
            Self::Full => "full",
            Self::Unreachable => "unreachable",
            Self::Suppressed => "suppressed",
        }
    }
}

impl fmt::Display for AddressState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// The text names no state of an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is no state of an address")]
pub struct AddressStateError(String);

impl FromStr for AddressState {
    type Err = AddressStateError;

    fn from_str(text: &str) -> Result<Self, AddressStateError> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| AddressStateError(text.to_owned()))
    }
}

from_text!(AddressState);

impl Column for Verdict {
    fn read(row: &Row<'_>, index: usize) -> Result<Option<Self>, StoreError> {
        let Some(name) = row.find::<String>(index)? else { return Ok(None) };
        let wrong = || StoreError::Corrupt(format!("“{name}” is no verdict"));
        Self::from_name(&name).ok_or_else(wrong).map(Some)
    }
}

/// An address and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressRow {
    /// The address, in the spelling noted last.
    pub address: EmailAddress,
    /// What is known.
    pub state: AddressState,
    /// What the last refusal meant.
    pub verdict: Option<Verdict>,
    /// Where the last reply came.
    pub stage: Option<Stage>,
    /// The last reply: its codes and text, on one line.
    pub reply: Option<String>,
    /// When that was.
    pub at: Option<Timestamp>,
    /// When somebody last proved to read it.
    pub verified_at: Option<Timestamp>,
    /// The day, counted from 1970, on which it was unknown first, where no mail was taken for it since.
    pub unknown_day: Option<i64>,
}

/// The columns of [`AddressRow`], in the order in which [`read`] takes them.
const COLUMNS: &str = "address, state, verdict, stage, reply, changed_at, verified_at, unknown_day FROM addresses";

fn read(row: &Row<'_>) -> Result<AddressRow, StoreError> {
    Ok(AddressRow {
        address: row.get(0)?,
        state: row.get(1)?,
        verdict: row.find(2)?,
        stage: row.find(3)?,
        reply: row.find(4)?,
        at: row.find(5)?,
        verified_at: row.find(6)?,
        unknown_day: row.find(7)?,
    })
}

impl Tx<'_> {
    /// Says what is known of an address; nothing, where it was never noted.
    ///
    /// # Errors
    /// The database failed.
    pub fn address(&mut self, address: &EmailAddress) -> Result<Option<AddressRow>, StoreError> {
        self.one(&format!("SELECT {COLUMNS} WHERE folded = ?1"), params![address.folded()], read)
    }

    /// Says whether an address is not written to.
    ///
    /// # Errors
    /// The database failed.
    pub fn is_suppressed(&mut self, address: &EmailAddress) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM addresses WHERE folded = ?1 AND state = 'suppressed'";
        Ok(self.one(sql, params![address.folded()], |_| Ok(()))?.is_some())
    }

    /// Lists at most `limit` addresses that are not written to, in the order of their lower case, behind `after`.
    ///
    /// # Errors
    /// The database failed.
    pub fn suppressions(&mut self, after: Option<&EmailAddress>, limit: usize) -> Result<Vec<AddressRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} WHERE state = 'suppressed' AND folded > ?1 ORDER BY folded LIMIT ?2");
        let after = after.map_or_else(String::new, EmailAddress::folded);
        self.query(&sql, params![after, limit], read)
    }

    /// Forgets what refusals said of an address, so that it is written to again; false where they said nothing.
    ///
    /// # Errors
    /// The database failed.
    pub fn clear_address(&mut self, address: &EmailAddress, at: Timestamp) -> Result<bool, StoreError> {
        let sql = "UPDATE addresses SET verdict = NULL, stage = NULL, reply = NULL, unknown_day = NULL, changed_at = ?2, \
                   state = CASE WHEN state IN ('verified', 'accepted') THEN state ELSE 'new' END \
                   WHERE folded = ?1 AND (unknown_day IS NOT NULL OR verdict IS NOT NULL \
                   OR state IN ('filtered', 'full', 'unreachable', 'suppressed'))";
        Ok(self.execute(sql, params![address.folded(), at])? == 1)
    }

    /// Notes what is known of an address, in place of what was.
    ///
    /// # Errors
    /// The database failed.
    pub fn note_address(&mut self, row: &AddressRow) -> Result<(), StoreError> {
        let sql = "INSERT INTO addresses (folded, address, state, verdict, stage, reply, changed_at, verified_at, \
                   unknown_day) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
                   ON CONFLICT (folded) DO UPDATE SET address = excluded.address, state = excluded.state, \
                   verdict = excluded.verdict, stage = excluded.stage, reply = excluded.reply, \
                   changed_at = excluded.changed_at, verified_at = excluded.verified_at, \
                   unknown_day = excluded.unknown_day";
        let values = params![
            row.address.folded(),
            &row.address,
            row.state.as_str(),
            row.verdict.map(Verdict::as_str),
            row.stage.map(Stage::as_str),
            row.reply.as_ref(),
            row.at,
            row.verified_at,
            row.unknown_day,
        ];
        self.execute(sql, values).map(drop)
    }

    /// Says whose address it is, and in which place.
    ///
    /// # Errors
    /// The database failed.
    pub fn holders(&mut self, address: &EmailAddress) -> Result<Vec<(OrgCode, LoginId, Priority)>, StoreError> {
        let sql = "SELECT orgs.code, members.login, member_addresses.priority FROM member_addresses \
                   JOIN members ON members.id = member_addresses.member JOIN orgs ON orgs.id = members.org \
                   WHERE member_addresses.folded = ?1 \
                   ORDER BY orgs.code, members.login_folded, member_addresses.priority";
        self.query(sql, params![address.folded()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
    }

    /// Gives the members whose address it is, and in which place.
    ///
    /// # Errors
    /// The database failed.
    pub fn members_at(&mut self, address: &EmailAddress) -> Result<Vec<(Member, Priority)>, StoreError> {
        let sql = "SELECT member, priority FROM member_addresses WHERE folded = ?1 ORDER BY member, priority";
        let places = self.query(sql, params![address.folded()], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut members = Vec::new();
        for (id, place) in places {
            members.extend(self.member_by_id(id)?.map(|member| (member, place)));
        }
        Ok(members)
    }
}
