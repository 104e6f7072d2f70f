//! Sealed secrets: bytes that only the keys outside this database can open.

use crate::store::sql::params;
use crate::store::{StoreError, Tx};

impl Tx<'_> {
    /// Keeps a sealed secret, in place of what was there.
    ///
    /// # Errors
    /// The database failed.
    pub fn put_secret(&mut self, purpose: &str, owner: i64, sealed: &[u8]) -> Result<(), StoreError> {
        let sql = "INSERT INTO secrets (purpose, owner, sealed) VALUES (?1, ?2, ?3) \
                   ON CONFLICT (purpose, owner) DO UPDATE SET sealed = excluded.sealed";
        self.execute(sql, params![purpose, owner, sealed]).map(drop)
    }

    /// Gives a sealed secret.
    ///
    /// # Errors
    /// The database failed.
    pub fn secret(&mut self, purpose: &str, owner: i64) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT sealed FROM secrets WHERE purpose = ?1 AND owner = ?2";
        self.one(sql, params![purpose, owner], |row| row.get(0))
    }

    /// Forgets a secret.
    ///
    /// # Errors
    /// The database failed.
    pub fn wipe_secret(&mut self, purpose: &str, owner: i64) -> Result<(), StoreError> {
        self.execute("DELETE FROM secrets WHERE purpose = ?1 AND owner = ?2", params![purpose, owner]).map(drop)
    }
}
