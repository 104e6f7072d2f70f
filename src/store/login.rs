//! Failed logins, and how long the next try has to wait.
//!
//! A try is counted as a failure before it is judged, in one statement: guesses made side by side are judged one for each
//! moment at which the gate is open. A right password takes the count away. There is no lock-out: the wait never grows
//! beyond a minute. Beside that, the tries for an account are counted wherever they come from, in one statement, too.

use crate::model::{Span, Timestamp};
use crate::store::sql::params;
use crate::store::{StoreError, Tx};

/// The longest wait, in milliseconds.
const LONGEST: i64 = 60_000;

/// Whoever's gate is shut for longer than this is not kept waiting: some clock was set back. Another node's clock may well be
/// some seconds away.
const FAR: i64 = 10 * LONGEST;

/// Whether a try may be judged now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// It may; it has been counted as a failure already.
    Open {
        /// How many tries failed one after another before this one.
        failures: u32,
    },
    /// It may not, and was not counted.
    Wait {
        /// When the gate opens.
        until: Timestamp,
    },
}

impl Tx<'_> {
    /// Asks for a try to log in. The first failure is free; after it the gate stays shut for 1, 2, 4 … 60 seconds.
    ///
    /// # Errors
    /// The database failed.
    pub fn try_login(&mut self, account: &[u8; 32], device: &[u8; 32], now: Timestamp) -> Result<Gate, StoreError> {
        // A moment much further ahead than the longest wait comes from a clock that was set back; nobody waits for that.
        // Each failure doubles the second that the next try waits; from the seventh on it is the longest wait.
        let sql = "INSERT INTO login_failures (account, device, failures, open_at) VALUES (?1, ?2, 1, ?3) \
                   ON CONFLICT (account, device) DO UPDATE SET failures = login_failures.failures + 1, \
                   open_at = excluded.open_at + CASE WHEN login_failures.failures >= 7 THEN 60000 \
                   ELSE 1000 * (1 << CAST(login_failures.failures - 1 AS INTEGER)) END \
                   WHERE login_failures.open_at <= excluded.open_at \
                   OR login_failures.open_at > excluded.open_at + ?4 \
                   RETURNING failures";
        let counted: Option<u32> = self.one(sql, params![account, device, now, FAR], |row| row.get(0))?;
        if let Some(failures) = counted {
            return Ok(Gate::Open { failures: failures.saturating_sub(1) });
        }
        let sql = "SELECT open_at FROM login_failures WHERE account = ?1 AND device = ?2";
        let until: Option<Timestamp> = self.one(sql, params![account, device], |row| row.get(0))?;
        Ok(Gate::Wait { until: until.unwrap_or(now) })
    }

    /// Counts a try for an account, wherever it comes from; gives how many failed one after another before it. Those before
    /// `quiet` are forgotten where none came since.
    ///
    /// # Errors
    /// The database failed.
    pub fn count_try(&mut self, account: &[u8; 32], quiet: Timestamp, now: Timestamp) -> Result<u32, StoreError> {
        let sql = "INSERT INTO login_streaks (account, failures, last_at) VALUES (?1, 1, ?3) \
                   ON CONFLICT (account) DO UPDATE SET last_at = excluded.last_at, \
                   failures = CASE WHEN login_streaks.last_at <= ?2 THEN 1 ELSE login_streaks.failures + 1 END \
                   RETURNING failures";
        let counted: Option<u32> = self.one(sql, params![account, quiet, now], |row| row.get(0))?;
        Ok(counted.unwrap_or(1).saturating_sub(1))
    }

    /// Forgets how many tries for an account failed one after another: somebody is in who may be.
    ///
    /// # Errors
    /// The database failed.
    pub fn end_streak(&mut self, account: &[u8; 32]) -> Result<(), StoreError> {
        self.execute("DELETE FROM login_streaks WHERE account = ?1", params![account]).map(drop)
    }

    /// Forgets at most `limit` such counts that none was added to since that moment; gives how many.
    ///
    /// # Errors
    /// The database failed.
    pub fn trim_streaks(&mut self, before: Timestamp, limit: usize) -> Result<u64, StoreError> {
        let sql = "DELETE FROM login_streaks WHERE account IN \
                   (SELECT account FROM login_streaks WHERE last_at < ?1 ORDER BY last_at LIMIT ?2)";
        self.execute(sql, params![before, limit])
    }

    /// Says whether a try would be judged now, and counts nothing.
    ///
    /// # Errors
    /// The database failed.
    pub fn login_open(&mut self, account: &[u8; 32], device: &[u8; 32], now: Timestamp) -> Result<bool, StoreError> {
        let sql =
            "SELECT open_at FROM login_failures WHERE account = ?1 AND device = ?2 AND open_at > ?3 AND open_at <= ?4";
        let furthest = now.plus(Span::from_millis(FAR));
        let shut: Option<Timestamp> = self.one(sql, params![account, device, now, furthest], |row| row.get(0))?;
        Ok(shut.is_none())
    }

    /// Counts a try to log in to an account that there is none of, together with those before it.
    ///
    /// # Errors
    /// The database failed.
    pub fn count_unknown_login(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let sql = "INSERT INTO unknown_logins (id, since, tries) VALUES (1, ?1, 1) \
                   ON CONFLICT (id) DO UPDATE SET tries = unknown_logins.tries + 1";
        self.execute(sql, params![now]).map(drop)
    }

    /// Takes the count of such tries, if it began by then; gives when it did, and how many they are.
    ///
    /// # Errors
    /// The database failed.
    pub fn take_unknown_logins(&mut self, begun: Timestamp) -> Result<Option<(Timestamp, i64)>, StoreError> {
        let sql = "DELETE FROM unknown_logins WHERE id = 1 AND since <= ?1 RETURNING since, tries";
        self.one(sql, params![begun], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// Takes away what was counted: the password was right.
    ///
    /// # Errors
    /// The database failed.
    pub fn login_succeeded(&mut self, account: &[u8; 32], device: &[u8; 32]) -> Result<(), StoreError> {
        let sql = "DELETE FROM login_failures WHERE account = ?1 AND device = ?2";
        self.execute(sql, params![account, device]).map(drop)
    }

    /// Forgets at most `limit` counts whose gate opened before that moment; gives how many.
    ///
    /// # Errors
    /// The database failed.
    pub fn trim_login_failures(&mut self, before: Timestamp, limit: usize) -> Result<u64, StoreError> {
        let sql = "DELETE FROM login_failures WHERE (account, device) IN \
                   (SELECT account, device FROM login_failures WHERE open_at < ?1 ORDER BY open_at LIMIT ?2)";
        self.execute(sql, params![before, limit])
    }
}
