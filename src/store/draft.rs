//! Forms that were half filled when a session ended; what is in them is sealed before it comes here.

use crate::model::{MemberId, Timestamp};
use crate::store::sql::params;
use crate::store::{StoreError, Tx};

impl Tx<'_> {
    /// Keeps what a member had typed into the page of that hash, in place of what was kept before.
    ///
    /// # Errors
    /// The database failed, or there is no such member.
    pub fn keep_draft(
        &mut self,
        member: MemberId,
        page: &[u8; 32],
        sealed: &[u8],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO drafts (member, page, sealed, kept_at) VALUES (?1, ?2, ?3, ?4) \
                   ON CONFLICT (member) DO UPDATE SET page = excluded.page, sealed = excluded.sealed, \
                   kept_at = excluded.kept_at";
        self.execute(sql, params![member, page, sealed, at]).map(drop)
    }

    /// Gives what was kept for a member and the page of that hash, and when.
    ///
    /// # Errors
    /// The database failed.
    pub fn draft(&mut self, member: MemberId, page: &[u8; 32]) -> Result<Option<(Vec<u8>, Timestamp)>, StoreError> {
        let sql = "SELECT sealed, kept_at FROM drafts WHERE member = ?1 AND page = ?2";
        self.one(sql, params![member, page], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// Forgets what was kept for a member and the page of that hash.
    ///
    /// # Errors
    /// The database failed.
    pub fn drop_draft(&mut self, member: MemberId, page: &[u8; 32]) -> Result<(), StoreError> {
        self.execute("DELETE FROM drafts WHERE member = ?1 AND page = ?2", params![member, page]).map(drop)
    }

    /// Forgets at most `limit` drafts kept before that moment; gives how many.
    ///
    /// # Errors
    /// The database failed.
    pub fn trim_drafts(&mut self, before: Timestamp, limit: usize) -> Result<u64, StoreError> {
        let sql = "DELETE FROM drafts WHERE member IN \
                   (SELECT member FROM drafts WHERE kept_at < ?1 ORDER BY kept_at LIMIT ?2)";
        self.execute(sql, params![before, limit])
    }
}
