//! What happened to the doors of members: logins, second factors, passwords. Written once, in a chain of hashes.
//!
//! How an entry is hashed is said elsewhere; here it is only kept. There is no way to change one, or to take one away that has
//! older ones before it.

use crate::model::{MemberId, OrgId, Timestamp};
use crate::store::sql::{Row, params};
use crate::store::{StoreError, Tx};

/// The name of an entry about older ones that were taken away.
pub const AUDIT_TRIMMED: &str = "audit_trimmed";

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its place in the order of all.
    pub id: i64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub name: String,
    /// In which organisation.
    pub org: Option<OrgId>,
    /// To whom.
    pub member: Option<MemberId>,
    /// Who did it.
    pub by: String,
    /// What there is to say about it, as JSON.
    pub fields: String,
    /// The hash of the entry before it and of itself.
    pub chain: [u8; 32],
}

const COLUMNS: &str = "id, at, name, org, member, by, fields, chain FROM audit";

fn read(row: &Row<'_>) -> Result<AuditRow, StoreError> {
    Ok(AuditRow {
        id: row.get(0)?,
        at: row.get(1)?,
        name: row.get(2)?,
        org: row.find(3)?,
        member: row.find(4)?,
        by: row.get(5)?,
        fields: row.get(6)?,
        chain: row.get(7)?,
    })
}

impl Tx<'_> {
    /// Gives the hash of the last entry. Until this transaction ends, nobody else appends one.
    ///
    /// # Errors
    /// The database failed.
    pub fn end_of_audit(&mut self) -> Result<Option<[u8; 32]>, StoreError> {
        self.guard()?;
        self.one("SELECT chain FROM audit ORDER BY id DESC LIMIT 1", &[], |row| row.get(0))
    }

    /// Appends an entry; its place is given by the database.
    ///
    /// # Errors
    /// The database failed.
    pub fn append_audit(&mut self, entry: &AuditRow) -> Result<(), StoreError> {
        let sql = "INSERT INTO audit (at, name, org, member, by, fields, chain) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let values = params![entry.at, &entry.name, entry.org, entry.member, &entry.by, &entry.fields, &entry.chain];
        self.execute(sql, values).map(drop)
    }

    /// Gives the last entry about older ones that were taken away.
    ///
    /// # Errors
    /// The database failed.
    pub fn last_cut_of_audit(&mut self) -> Result<Option<AuditRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} WHERE name = '{AUDIT_TRIMMED}' ORDER BY id DESC LIMIT 1");
        self.one(&sql, &[], read)
    }

    /// Takes all entries up to a place away; gives how many.
    ///
    /// # Errors
    /// The database failed.
    pub fn cut_audit(&mut self, until: i64) -> Result<u64, StoreError> {
        self.execute("DELETE FROM audit WHERE id <= ?1", params![until])
    }

    /// Gives at most `limit` entries behind a place, oldest first; those of one member, where one is given.
    ///
    /// # Errors
    /// The database failed.
    pub fn audit(&mut self, member: Option<MemberId>, after: i64, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        let of = if member.is_some() { "AND member = ?3" } else { "" };
        let sql = format!("SELECT {COLUMNS} WHERE id > ?1 {of} ORDER BY id LIMIT ?2");
        let mut values = params![after, limit].to_vec();
        values.extend(member.map(Into::into));
        self.query(&sql, &values, read)
    }
}
