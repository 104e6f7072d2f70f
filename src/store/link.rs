//! Links that have done what they are for.

use crate::model::Timestamp;
use crate::store::sql::params;
use crate::store::{StoreError, Tx};

/// When and by whom a link was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkUse {
    /// When.
    pub at: Timestamp,
    /// A hash of the session that used it, so that the same person is told "already done" rather than refused.
    pub by: [u8; 32],
}

impl Tx<'_> {
    /// Uses up the link to a row; false where one to the same row was used before, whatever its nonce.
    ///
    /// # Errors
    /// The database failed.
    pub fn use_link(
        &mut self,
        purpose: &str,
        row: i64,
        nonce: &[u8],
        at: Timestamp,
        by: &[u8; 32],
    ) -> Result<bool, StoreError> {
        let sql = "INSERT INTO used_links (purpose, target, nonce, used_at, used_by) VALUES (?1, ?2, ?3, ?4, ?5) \
                   ON CONFLICT (purpose, target) DO NOTHING";
        Ok(self.execute(sql, params![purpose, row, nonce, at, by])? == 1)
    }

    /// Says when and by whom the link to a row was used.
    ///
    /// # Errors
    /// The database failed.
    pub fn link_use(&mut self, purpose: &str, row: i64) -> Result<Option<LinkUse>, StoreError> {
        let sql = "SELECT used_at, used_by FROM used_links WHERE purpose = ?1 AND target = ?2";
        self.one(sql, params![purpose, row], |row| Ok(LinkUse { at: row.get(0)?, by: row.get(1)? }))
    }

    /// Forgets at most `limit` uses of before `before`, the oldest first; gives how many. What the links were for is done,
    /// and they have to have ended by then.
    ///
    /// # Errors
    /// The database failed.
    pub fn trim_used_links(&mut self, before: Timestamp, limit: usize) -> Result<u64, StoreError> {
        let sql = "DELETE FROM used_links WHERE (purpose, target) IN \
                   (SELECT purpose, target FROM used_links WHERE used_at < ?1 ORDER BY used_at LIMIT ?2)";
        self.execute(sql, params![before, limit])
    }
}
