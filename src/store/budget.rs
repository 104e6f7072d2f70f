//! What has been used up of limits such as `3/1h`: one moment for each key.

use crate::model::Timestamp;
use crate::store::sql::params;
use crate::store::{StoreError, Tx};

impl Tx<'_> {
    /// Gives the moment remembered for a key, as [`crate::model::Budget::admit`] takes it. Until this transaction ends,
    /// nobody else decides about the same key.
    ///
    /// # Errors
    /// The database failed.
    pub fn budget(&mut self, scope: &str, key: &str) -> Result<Option<Timestamp>, StoreError> {
        self.guard()?;
        let sql = "SELECT full_until FROM budgets WHERE scope = ?1 AND key = ?2";
        self.one(sql, params![scope, key], |row| row.get(0))
    }

    /// Remembers the moment until which a key's limit is used up.
    ///
    /// # Errors
    /// The database failed.
    pub fn set_budget(&mut self, scope: &str, key: &str, until: Timestamp) -> Result<(), StoreError> {
        let sql = "INSERT INTO budgets (scope, key, full_until) VALUES (?1, ?2, ?3) \
                   ON CONFLICT (scope, key) DO UPDATE SET full_until = excluded.full_until";
        self.execute(sql, params![scope, key, until]).map(drop)
    }

    /// Forgets at most `limit` keys whose limit was all there again at `now`; gives how many.
    ///
    /// # Errors
    /// The database failed.
    pub fn trim_budgets(&mut self, now: Timestamp, limit: usize) -> Result<u64, StoreError> {
        let sql = "DELETE FROM budgets WHERE (scope, key) IN \
                   (SELECT scope, key FROM budgets WHERE full_until <= ?1 LIMIT ?2)";
        self.execute(sql, params![now, limit])
    }
}
