//! Policies that domains publish for mail to them (MTA-STS, RFC 8461), kept across restarts.
//!
//! Knows nothing of fetching or obeying them. What always holds: what is given back is what was put in, its end included;
//! whether it still holds is for the reader to judge, who knows the time.

use crate::model::{Domain, Span, Timestamp};
use crate::store::sql::{from_text, params};
use crate::store::{StoreError, Tx};
use std::str::FromStr;

/// What a policy wants done with servers that do not fulfil it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StsMode {
    /// No mail goes there.
    Enforce,
    /// Mail goes there all the same, and it is told.
    Testing,
    /// Nothing: there is no policy any more.
    None,
}

impl StsMode {
    const ALL: [Self; 3] = [Self::Enforce, Self::Testing, Self::None];

    /// Gives the word used in policies and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Testing => "testing",
            Self::None => "none",
        }
    }
}

/// The text names no mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is no mode of a policy")]
pub struct StsModeError(String);

impl FromStr for StsMode {
    type Err = StsModeError;

    fn from_str(text: &str) -> Result<Self, StsModeError> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text).ok_or_else(|| StsModeError(text.to_owned()))
    }
}

from_text!(StsMode);

/// A policy as it was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StsPolicy {
    /// The id that the domain's record had then.
    pub id: String,
    /// What it wants.
    pub mode: StsMode,
    /// Patterns of the names of its servers.
    pub mx: Vec<String>,
    /// How long it holds.
    pub max_age: Span,
    /// When it was fetched.
    pub fetched_at: Timestamp,
    /// Until when it holds.
    pub expires_at: Timestamp,
}

impl Tx<'_> {
    /// Finds a domain's policy, one that holds no longer included.
    ///
    /// # Errors
    /// The database failed.
    pub fn sts_policy(&mut self, domain: &Domain) -> Result<Option<StsPolicy>, StoreError> {
        let sql = "SELECT id, mode, mx, max_age, fetched_at, expires_at FROM sts_policies WHERE domain = ?1";
        self.one(sql, params![domain], |row| {
            let mx: String = row.get(2)?;
            Ok(StsPolicy {
                id: row.get(0)?,
                mode: row.get(1)?,
                mx: serde_json::from_str(&mx).map_err(|error| StoreError::Corrupt(error.to_string()))?,
                max_age: row.get(3)?,
                fetched_at: row.get(4)?,
                expires_at: row.get(5)?,
            })
        })
    }

    /// Keeps a domain's policy in place of the one before.
    ///
    /// # Errors
    /// The database failed.
    pub fn put_sts_policy(&mut self, domain: &Domain, policy: &StsPolicy) -> Result<(), StoreError> {
        let sql = "INSERT INTO sts_policies (domain, id, mode, mx, max_age, fetched_at, expires_at) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (domain) DO UPDATE SET id = excluded.id, \
                   mode = excluded.mode, mx = excluded.mx, max_age = excluded.max_age, \
                   fetched_at = excluded.fetched_at, expires_at = excluded.expires_at";
        let mx = serde_json::to_string(&policy.mx).map_err(|error| StoreError::Other(error.to_string()))?;
        let values =
            params![domain, &policy.id, policy.mode.as_str(), mx, policy.max_age, policy.fetched_at, policy.expires_at];
        self.execute(sql, values).map(drop)
    }

    /// Forgets a domain's policy.
    ///
    /// # Errors
    /// The database failed.
    pub fn drop_sts_policy(&mut self, domain: &Domain) -> Result<(), StoreError> {
        self.execute("DELETE FROM sts_policies WHERE domain = ?1", params![domain]).map(drop)
    }

    /// Forgets at most `limit` policies that held until `now` or earlier; gives how many.
    ///
    /// # Errors
    /// The database failed.
    pub fn trim_sts_policies(&mut self, now: Timestamp, limit: usize) -> Result<u64, StoreError> {
        let sql = "DELETE FROM sts_policies WHERE domain IN \
                   (SELECT domain FROM sts_policies WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)";
        self.execute(sql, params![now, limit])
    }
}
