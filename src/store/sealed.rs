//! Everything that lies sealed, wherever: which key it hangs on, and how it goes over to another one.
//!
//! Opens nothing. A sealed value begins with a byte for its version and two for the number of its key; a backup code's hash is
//! sealed too, and kept as base64. What always holds: a value is only replaced where it is still the one that was read, so a
//! change made meanwhile is never undone.

use crate::model::MemberId;
use crate::store::sql::{Column, Row, params};
use crate::store::{StoreError, Tx};
use data_encoding::BASE64;
use std::collections::BTreeMap;

/// The version of sealed values that there are.
const VERSION: u8 = 1;

/// Where a sealed value lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SealedPlace {
    /// Among the secrets.
    Secret {
        /// What for.
        purpose: String,
        /// Whose.
        owner: i64,
    },
    /// A half-filled form.
    Draft {
        /// Whose.
        member: MemberId,
        /// The hash of its page.
        page: Vec<u8>,
    },
    /// The hash of a backup code.
    BackupCode {
        /// Whose.
        member: MemberId,
        /// Its number.
        place: i64,
    },
}

/// A sealed value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Where it lies.
    pub place: SealedPlace,
    /// The value.
    pub bytes: Vec<u8>,
}

/// How each value that was sealed with that key begins.
const fn head(key: u16) -> [u8; 3] {
    let [high, low] = key.to_be_bytes();
    [VERSION, high, low]
}

fn key_of(head: &[u8]) -> Option<u16> {
    match *head {
        [VERSION, high, low] => Some(u16::from_be_bytes([high, low])),
        _ => None,
    }
}

impl Tx<'_> {
    /// Gives at most `limit` values sealed with that key, behind `after` in an order that never changes.
    ///
    /// # Errors
    /// The database failed.
    pub fn sealed_with(
        &mut self,
        key: u16,
        after: Option<&SealedPlace>,
        limit: usize,
    ) -> Result<Vec<Sealed>, StoreError> {
        let nobody = MemberId::new(i64::MIN);
        let mut found = match after {
            None => self.sealed_secrets(key, ("", i64::MIN), limit)?,
            Some(SealedPlace::Secret { purpose, owner }) => self.sealed_secrets(key, (purpose, *owner), limit)?,
            Some(SealedPlace::Draft { .. } | SealedPlace::BackupCode { .. }) => Vec::new(),
        };
        if found.is_empty() {
            found = match after {
                None | Some(SealedPlace::Secret { .. }) => self.sealed_drafts(key, nobody, limit)?,
                Some(SealedPlace::Draft { member, .. }) => self.sealed_drafts(key, *member, limit)?,
                Some(SealedPlace::BackupCode { .. }) => found,
            };
        }
        if found.is_empty() {
            let behind = match after {
                Some(SealedPlace::BackupCode { member, place }) => (*member, *place),
                None | Some(SealedPlace::Secret { .. } | SealedPlace::Draft { .. }) => (nobody, i64::MIN),
            };
            found = self.sealed_codes(key, behind, limit)?;
        }
        Ok(found)
    }

    fn sealed_secrets(
        &mut self,
        key: u16,
        (purpose, owner): (&str, i64),
        limit: usize,
    ) -> Result<Vec<Sealed>, StoreError> {
        let sql = "SELECT purpose, owner, sealed FROM secrets \
                   WHERE (purpose, owner) > (?1, ?2) AND substr(sealed, 1, 3) = ?3 ORDER BY purpose, owner LIMIT ?4";
        self.query(sql, params![purpose, owner, &head(key)[..], limit], |row| {
            let place = SealedPlace::Secret { purpose: row.get(0)?, owner: row.get(1)? };
            Ok(Sealed { place, bytes: row.get(2)? })
        })
    }

    fn sealed_drafts(&mut self, key: u16, behind: MemberId, limit: usize) -> Result<Vec<Sealed>, StoreError> {
        let sql = "SELECT member, page, sealed FROM drafts \
                   WHERE member > ?1 AND substr(sealed, 1, 3) = ?2 ORDER BY member LIMIT ?3";
        self.query(sql, params![behind, &head(key)[..], limit], |row| {
            Ok(Sealed { place: SealedPlace::Draft { member: row.get(0)?, page: row.get(1)? }, bytes: row.get(2)? })
        })
    }

    fn sealed_codes(
        &mut self,
        key: u16,
        (member, place): (MemberId, i64),
        limit: usize,
    ) -> Result<Vec<Sealed>, StoreError> {
        let sql = "SELECT member, place, hash FROM backup_codes \
                   WHERE (member, place) > (?1, ?2) AND substr(hash, 1, 4) = ?3 ORDER BY member, place LIMIT ?4";
        self.query(sql, params![member, place, BASE64.encode(&head(key)), limit], |row| {
            let place = SealedPlace::BackupCode { member: row.get(0)?, place: row.get(1)? };
            let text: String = row.get(2)?;
            let bytes = BASE64.decode(text.as_bytes());
            Ok(Sealed { place, bytes: bytes.map_err(|cause| StoreError::Corrupt(cause.to_string()))? })
        })
    }

    /// Puts a value that was sealed anew in the place of the old one; false where that one is gone or was changed meanwhile.
    ///
    /// # Errors
    /// The database failed.
    pub fn reseal(&mut self, old: &Sealed, new: &[u8]) -> Result<bool, StoreError> {
        let was = old.bytes.as_slice();
        let changed = match &old.place {
            SealedPlace::Secret { purpose, owner } => {
                let sql = "UPDATE secrets SET sealed = ?1 WHERE purpose = ?2 AND owner = ?3 AND sealed = ?4";
                self.execute(sql, params![new, purpose, *owner, was])?
            }
            SealedPlace::Draft { member, page } => {
                let sql = "UPDATE drafts SET sealed = ?1 WHERE member = ?2 AND page = ?3 AND sealed = ?4";
                self.execute(sql, params![new, *member, page.as_slice(), was])?
            }
            SealedPlace::BackupCode { member, place } => {
                let sql = "UPDATE backup_codes SET hash = ?1 WHERE member = ?2 AND place = ?3 AND hash = ?4";
                self.execute(sql, params![BASE64.encode(new), *member, *place, BASE64.encode(was)])?
            }
        };
        Ok(changed == 1)
    }

    /// Counts what hangs on each key.
    ///
    /// # Errors
    /// The database failed.
    pub fn count_sealed(&mut self) -> Result<BTreeMap<u16, u64>, StoreError> {
        let mut counts = BTreeMap::new();
        for table in ["secrets", "drafts"] {
            let sql = format!("SELECT substr(sealed, 1, 3) AS head, count(*) FROM {table} GROUP BY head");
            let found = self.query(&sql, params![], |row| counted(row, |head: Vec<u8>| key_of(&head)))?;
            add(&mut counts, found);
        }
        let sql = "SELECT substr(hash, 1, 4) AS head, count(*) FROM backup_codes GROUP BY head";
        let of_text = |head: String| key_of(&BASE64.decode(head.as_bytes()).ok()?);
        let found = self.query(sql, params![], |row| counted(row, of_text))?;
        add(&mut counts, found);
        Ok(counts)
    }
}

/// Reads how values begin, and how many they are.
fn counted<T: Column>(row: &Row<'_>, key: impl Fn(T) -> Option<u16>) -> Result<(Option<u16>, u64), StoreError> {
    let count: i64 = row.get(1)?;
    Ok((key(row.get(0)?), u64::try_from(count).unwrap_or(0)))
}

fn add(counts: &mut BTreeMap<u16, u64>, found: Vec<(Option<u16>, u64)>) {
    for (key, count) in found {
        // What does not begin like a sealed value hangs on no key.
        if let Some(key) = key {
            *counts.entry(key).or_default() += count;
        }
    }
}
