//! Who is logged in, and how far they got.

use crate::model::{Language, MemberId, Timestamp};
use crate::store::sql::{Row, params};
use crate::store::{StoreError, Tx};

/// A session of a member; known by the hash of what the browser keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Whose it is.
    pub member: MemberId,
    /// When it began.
    pub created: Timestamp,
    /// When it was last used.
    pub seen: Timestamp,
    /// When the password was typed.
    pub password_at: Timestamp,
    /// When a second factor passed.
    pub code_at: Option<Timestamp>,
    /// The login before this one.
    pub last_login: Option<Timestamp>,
    /// How far the login got; the pages decide what that means.
    pub stage: String,
    /// The language of the pages.
    pub language: Language,
}

const COLUMNS: &str = "member, created_at, seen_at, stage, language, password_at, code_at, last_login FROM sessions";

fn read(row: &Row<'_>) -> Result<Session, StoreError> {
    Ok(Session {
        member: row.get(0)?,
        created: row.get(1)?,
        seen: row.get(2)?,
        stage: row.get(3)?,
        language: row.get(4)?,
        password_at: row.get(5)?,
        code_at: row.find(6)?,
        last_login: row.find(7)?,
    })
}

impl Tx<'_> {
    /// Begins a session.
    ///
    /// # Errors
    /// The database failed, there is no such member, or there is a session of that hash.
    pub fn open_session(&mut self, hash: &[u8; 32], session: &Session) -> Result<(), StoreError> {
        let sql = "INSERT INTO sessions (hash, member, created_at, seen_at, stage, language, password_at, code_at, last_login) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let values = params![
            hash,
            session.member,
            session.created,
            session.seen,
            &session.stage,
            session.language,
            session.password_at,
            session.code_at,
            session.last_login,
        ];
        self.execute(sql, values).map(drop)
    }

    /// Finds a session; whether it is still good is for the caller to judge.
    ///
    /// # Errors
    /// The database failed.
    pub fn session(&mut self, hash: &[u8; 32]) -> Result<Option<Session>, StoreError> {
        self.one(&format!("SELECT {COLUMNS} WHERE hash = ?1"), params![hash], read)
    }

    /// Finds a session, which nobody else changes or ends until this transaction does.
    ///
    /// # Errors
    /// The database failed.
    pub fn hold_session(&mut self, hash: &[u8; 32]) -> Result<Option<Session>, StoreError> {
        self.one(&format!("SELECT {COLUMNS} WHERE hash = ?1 /* held */"), params![hash], read)
    }

    /// Notes that a session was used.
    ///
    /// # Errors
    /// The database failed.
    pub fn touch_session(&mut self, hash: &[u8; 32], at: Timestamp) -> Result<(), StoreError> {
        self.execute("UPDATE sessions SET seen_at = ?2 WHERE hash = ?1", params![hash, at]).map(drop)
    }

    /// Notes the name that a session had until that moment.
    ///
    /// # Errors
    /// The database failed.
    pub fn note_name_before(&mut self, hash: &[u8; 32], before: &[u8; 32], at: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE sessions SET name_before = ?2, renamed_at = ?3 WHERE hash = ?1";
        self.execute(sql, params![hash, before, at]).map(drop)
    }

    /// Finds the session that had a name before its last step, and when that was: it was left at that moment. It is for the
    /// caller not to take the one for the other.
    ///
    /// # Errors
    /// The database failed.
    pub fn renamed_session(&mut self, before: &[u8; 32]) -> Result<Option<([u8; 32], Timestamp)>, StoreError> {
        let sql = "SELECT hash, renamed_at FROM sessions WHERE name_before = ?1";
        self.one(sql, params![before], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// Notes how far the login got.
    ///
    /// # Errors
    /// The database failed.
    pub fn set_stage(&mut self, hash: &[u8; 32], stage: &str) -> Result<(), StoreError> {
        self.execute("UPDATE sessions SET stage = ?2 WHERE hash = ?1", params![hash, stage]).map(drop)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// The database failed.
    pub fn end_session(&mut self, hash: &[u8; 32]) -> Result<(), StoreError> {
        self.execute("DELETE FROM sessions WHERE hash = ?1", params![hash]).map(drop)
    }

    /// Ends all sessions of a member, but for one.
    ///
    /// # Errors
    /// The database failed.
    pub fn end_sessions_of(&mut self, member: MemberId, except: Option<&[u8; 32]>) -> Result<(), StoreError> {
        // No hash is empty, so none is spared where none is given.
        let except = except.map_or(&[][..], |hash| hash.as_slice());
        self.execute("DELETE FROM sessions WHERE member = ?1 AND hash <> ?2", params![member, except]).map(drop)
    }

    /// Ends at most `limit` sessions that were last used or begun too long ago; gives how many.
    ///
    /// # Errors
    /// The database failed.
    pub fn trim_sessions(
        &mut self,
        seen_before: Timestamp,
        created_before: Timestamp,
        limit: usize,
    ) -> Result<u64, StoreError> {
        let sql = "DELETE FROM sessions WHERE hash IN \
                   (SELECT hash FROM sessions WHERE seen_at < ?1 OR created_at < ?2 LIMIT ?3)";
        self.execute(sql, params![seen_before, created_before, limit])
    }
}
