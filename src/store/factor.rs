//! Second factors of members (二要素認証), and their backup codes.
//!
//! What a secret is and whether a code is right is judged elsewhere; here it is only kept, and a step counts once.

use crate::model::{EmailAddress, MemberId, OrgId, Timestamp};
use crate::store::sql::{Row, params};
use crate::store::{StoreError, Tx};

/// The purpose under which the secret of an app is kept sealed; the owner is the member's number.
pub const APP_SECRET: &str = "app-secret";

/// The way a member shows that it is them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FactorKind {
    /// Codes of an authenticator app (TOTP, RFC 6238).
    App,
    /// Codes that come by mail.
    Mail,
}

impl FactorKind {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::App, Self::Mail];

    /// Gives the name used in the store, in pages and in commands.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Mail => "mail",
        }
    }

    /// Finds the one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A second factor that a member has set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Factor {
    /// Which.
    pub kind: FactorKind,
    /// Where its codes go; present exactly where they come by mail.
    pub address: Option<EmailAddress>,
    /// When it was set up.
    pub enrolled_at: Timestamp,
    /// When it goes, where a backup code has taken its place.
    pub ends: Option<Timestamp>,
}

/// How far a member's backup codes have come to their owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Handover {
    /// They are made.
    Made,
    /// A page showed them.
    Shown,
    /// Their owner said that they are kept.
    Kept,
}

/// A backup code, as far as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupCodeRow {
    /// 0 where it is the only one, else its number.
    pub place: i64,
    /// Its hash, sealed, in base64.
    pub hash: String,
}

fn read(row: &Row<'_>) -> Result<Factor, StoreError> {
    let name: String = row.get(0)?;
    Ok(Factor {
        kind: FactorKind::named(&name).ok_or_else(|| StoreError::Corrupt(format!("“{name}” is no second factor")))?,
        address: row.find(1)?,
        enrolled_at: row.get(2)?,
        ends: row.find(3)?,
    })
}

impl Tx<'_> {
    /// Gives the second factors that a member has at `now`.
    ///
    /// # Errors
    /// The database failed.
    pub fn factors(&mut self, member: MemberId, now: Timestamp) -> Result<Vec<Factor>, StoreError> {
        let sql = "SELECT kind, address, enrolled_at, ends FROM factors \
                   WHERE member = ?1 AND (ends IS NULL OR ends > ?2) ORDER BY kind";
        self.query(sql, params![member, now], read)
    }

    /// Counts the members of an organisation who have a second factor, and those of them who have none but codes by mail.
    ///
    /// # Errors
    /// The database failed.
    pub fn second_factors_of(&mut self, org: OrgId) -> Result<(u64, u64), StoreError> {
        let sql = "SELECT COUNT(*), COALESCE(SUM(CASE WHEN apps = 0 THEN 1 ELSE 0 END), 0) FROM \
                   (SELECT SUM(CASE WHEN factors.kind = 'app' THEN 1 ELSE 0 END) AS apps FROM factors \
                   JOIN members ON members.id = factors.member \
                   WHERE members.org = ?1 AND factors.ends IS NULL GROUP BY factors.member) AS of_members";
        Ok(self.one(sql, params![org], |row| Ok((row.get(0)?, row.get(1)?)))?.unwrap_or_default())
    }

    /// Sets a second factor up, in place of one of its kind. A secret that belongs to it is put by the caller.
    ///
    /// # Errors
    /// The database failed, or there is no such member.
    pub fn put_factor(
        &mut self,
        member: MemberId,
        kind: FactorKind,
        address: Option<&EmailAddress>,
        last_step: Option<i64>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO factors (member, kind, address, last_step, enrolled_at) VALUES (?1, ?2, ?3, ?4, ?5) \
                   ON CONFLICT (member, kind) DO UPDATE SET address = excluded.address, \
                   last_step = excluded.last_step, enrolled_at = excluded.enrolled_at, ends = NULL";
        self.execute(sql, params![member, kind.as_str(), address, last_step, at]).map(drop)
    }

    /// Takes a second factor away, with its secret; false where there was none.
    ///
    /// # Errors
    /// The database failed.
    pub fn drop_factor(&mut self, member: MemberId, kind: FactorKind) -> Result<bool, StoreError> {
        if kind == FactorKind::App {
            self.wipe_secret(APP_SECRET, member.number())?;
        }
        let sql = "DELETE FROM factors WHERE member = ?1 AND kind = ?2";
        Ok(self.execute(sql, params![member, kind.as_str()])? == 1)
    }

    /// Has all second factors of a member end at that moment, unless they end before.
    ///
    /// # Errors
    /// The database failed.
    pub fn end_factors(&mut self, member: MemberId, at: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE factors SET ends = ?2 WHERE member = ?1 AND (ends IS NULL OR ends > ?2)";
        self.execute(sql, params![member, at]).map(drop)
    }

    /// Uses up a step of the app (RFC 6238 5.2); false where this one or a later one was used before.
    ///
    /// # Errors
    /// The database failed.
    pub fn use_step(&mut self, member: MemberId, step: i64) -> Result<bool, StoreError> {
        let sql = "UPDATE factors SET last_step = ?2 WHERE member = ?1 AND kind = 'app' \
                   AND (last_step IS NULL OR last_step < ?2)";
        Ok(self.execute(sql, params![member, step])? == 1)
    }

    /// Keeps the hashes of new backup codes, each in its place; false where the member has any, which stay.
    ///
    /// # Errors
    /// The database failed, or there is no such member.
    pub fn put_backup_codes(
        &mut self,
        member: MemberId,
        codes: &[BackupCodeRow],
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        if !self.backup_codes(member)?.is_empty() {
            return Ok(false);
        }
        let sql = "INSERT INTO backup_codes (member, place, hash, made_at) VALUES (?1, ?2, ?3, ?4) \
                   ON CONFLICT (member, place) DO NOTHING";
        for code in codes {
            // Whoever comes second meets the first one's code in the first place.
            if self.execute(sql, params![member, code.place, &code.hash, at])? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Gives the hashes of a member's backup codes, by their places.
    ///
    /// # Errors
    /// The database failed.
    pub fn backup_codes(&mut self, member: MemberId) -> Result<Vec<BackupCodeRow>, StoreError> {
        let sql = "SELECT place, hash FROM backup_codes WHERE member = ?1 ORDER BY place";
        self.query(sql, params![member], |row| Ok(BackupCodeRow { place: row.get(0)?, hash: row.get(1)? }))
    }

    /// Says when a member's backup codes were made, and how far they have come; nothing, where there are none.
    ///
    /// # Errors
    /// The database failed.
    pub fn handover(&mut self, member: MemberId) -> Result<Option<(Timestamp, Handover)>, StoreError> {
        let sql = "SELECT made_at, shown_at, kept_at FROM backup_codes WHERE member = ?1 ORDER BY place LIMIT 1";
        self.one(sql, params![member], |row| {
            let come = match (row.find::<Timestamp>(1)?, row.find::<Timestamp>(2)?) {
                (_, Some(_)) => Handover::Kept,
                (Some(_), None) => Handover::Shown,
                (None, None) => Handover::Made,
            };
            Ok((row.get(0)?, come))
        })
    }

    /// Takes the backup codes away that were made at that moment, unless they have come so far as `stay`; says whether it did.
    ///
    /// # Errors
    /// The database failed.
    pub fn drop_backup_codes(&mut self, member: MemberId, made: Timestamp, stay: Handover) -> Result<bool, StoreError> {
        self.guard()?;
        match self.handover(member)? {
            Some((at, come)) if at == made && come < stay => {
                self.execute("DELETE FROM backup_codes WHERE member = ?1", params![member]).map(|dropped| dropped > 0)
            }
            Some(_) | None => Ok(false),
        }
    }

    /// Notes that a page shows the backup codes that were made at that moment; false where they are not the member's any more.
    ///
    /// # Errors
    /// The database failed.
    pub fn show_backup_codes(&mut self, member: MemberId, made: Timestamp, at: Timestamp) -> Result<bool, StoreError> {
        self.guard()?;
        let sql = "UPDATE backup_codes SET shown_at = COALESCE(shown_at, ?3) WHERE member = ?1 AND made_at = ?2";
        Ok(self.execute(sql, params![member, made, at])? > 0)
    }

    /// Notes that a member keeps the backup codes that a page showed.
    ///
    /// # Errors
    /// The database failed.
    pub fn keep_backup_codes(&mut self, member: MemberId, at: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE backup_codes SET kept_at = ?2 WHERE member = ?1 AND shown_at IS NOT NULL AND kept_at IS NULL";
        self.execute(sql, params![member, at]).map(drop)
    }

    /// Uses a backup code up: the one of that hash; false where it is not the member's any more.
    ///
    /// # Errors
    /// The database failed.
    pub fn use_backup_code(&mut self, member: MemberId, hash: &str) -> Result<bool, StoreError> {
        Ok(self.execute("DELETE FROM backup_codes WHERE member = ?1 AND hash = ?2", params![member, hash])? == 1)
    }

    /// Takes all second factors and the backup codes of a member away; says whether there was anything.
    ///
    /// # Errors
    /// The database failed.
    pub fn reset_factors(&mut self, member: MemberId) -> Result<bool, StoreError> {
        self.wipe_secret(APP_SECRET, member.number())?;
        let factors = self.execute("DELETE FROM factors WHERE member = ?1", params![member])?;
        let codes = self.execute("DELETE FROM backup_codes WHERE member = ?1", params![member])?;
        Ok(factors + codes > 0)
    }
}
