//! One-time passwords that were sent by mail (二要素認証ワンタイムパスワード), and the wrong codes of members.
//!
//! Knows a code only by its proof; whether a code fits is judged elsewhere. What always holds: a try is counted in the same
//! statement that finds the code, so tries made side by side do not outrun the count; of a session and purpose one code is
//! open at most; with its end the code that was kept for its mail goes too.

use crate::model::{ChallengeId, EmailAddress, JobId, MemberId, Span, Timestamp};
use crate::store::sql::{Row, params};
use crate::store::{StoreError, Tx};

/// The purpose under which the code of a mail is kept sealed while the mail waits; the owner is the job's number.
pub const OTP_CODE: &str = "otp";

/// A one-time password, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Its row.
    pub id: ChallengeId,
    /// Who is to type it.
    pub member: MemberId,
    /// What it is to allow, by its name.
    pub purpose: String,
    /// Where it was sent.
    pub address: EmailAddress,
    /// The job that sends it.
    pub job: JobId,
    /// Its HMAC.
    pub proof: [u8; 32],
    /// When it was ordered.
    pub sent: Timestamp,
    /// From this moment on it is not taken any more.
    pub expires: Timestamp,
    /// How often it was tried.
    pub tries: u32,
    /// It was used, burnt or replaced.
    pub ended: bool,
}

/// A one-time password that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChallenge {
    /// Who is to type it.
    pub member: MemberId,
    /// The session in which it is to be typed; no other one's code it is.
    pub session: [u8; 32],
    /// What it is to allow.
    pub purpose: &'static str,
    /// Where it is sent.
    pub address: EmailAddress,
    /// When it was ordered.
    pub at: Timestamp,
    /// From this moment on it is not taken any more.
    pub expires: Timestamp,
}

const COLUMNS: &str = "id, member, address, job, proof, sent_at, expires, tries, ended_at, purpose";

fn read(row: &Row<'_>) -> Result<Challenge, StoreError> {
    Ok(Challenge {
        id: row.get(0)?,
        member: row.get(1)?,
        address: row.get(2)?,
        job: row.get(3)?,
        proof: row.get(4)?,
        sent: row.get(5)?,
        expires: row.get(6)?,
        tries: row.get(7)?,
        ended: row.find::<Timestamp>(8)?.is_some(),
        purpose: row.get(9)?,
    })
}

impl Tx<'_> {
    /// Opens a challenge, in place of the one that the session has open for this purpose. It fits no code before
    /// [`Tx::arm_challenge`].
    ///
    /// # Errors
    /// The database failed, or there is no such member.
    pub fn open_challenge(&mut self, new: &NewChallenge) -> Result<ChallengeId, StoreError> {
        let sql = "SELECT id FROM challenges WHERE session = ?1 AND purpose = ?2 AND ended_at IS NULL";
        let before: Vec<ChallengeId> = self.query(sql, params![&new.session, new.purpose], |row| row.get(0))?;
        before.into_iter().try_for_each(|id| self.end_challenge(id, new.at))?;
        self.insert_challenge(new, None)
    }

    /// Notes an order that is not sent, as its address is not written to: it counts all the same, and what the session has
    /// open stays so.
    ///
    /// # Errors
    /// The database failed, or there is no such member.
    pub fn count_challenge(&mut self, new: &NewChallenge) -> Result<(), StoreError> {
        self.insert_challenge(new, Some(new.at)).map(drop)
    }

    fn insert_challenge(&mut self, new: &NewChallenge, ended: Option<Timestamp>) -> Result<ChallengeId, StoreError> {
        let sql = "INSERT INTO challenges \
                   (member, session, purpose, address, folded, proof, job, sent_at, expires, ended_at) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?8, ?9)";
        let (address, folded) = (&new.address, new.address.folded());
        let no_proof = [0; 32];
        let values =
            params![new.member, &new.session, new.purpose, address, folded, &no_proof, new.at, new.expires, ended,];
        self.insert(sql, values).map(ChallengeId::new)
    }

    /// Says when a member ordered codes after `after`, the last one first. Until this transaction ends, nobody else decides
    /// about another one.
    ///
    /// # Errors
    /// The database failed.
    pub fn challenges_by(&mut self, member: MemberId, after: Timestamp) -> Result<Vec<Timestamp>, StoreError> {
        self.guard()?;
        let sql = "SELECT sent_at FROM challenges WHERE member = ?1 AND sent_at > ?2 ORDER BY sent_at DESC";
        self.query(sql, params![member, after], |row| row.get(0))
    }

    /// Says when anybody ordered codes for an address after `after`, the last one first, leaving out those of one purpose.
    /// Until this transaction ends, nobody else decides about another one.
    ///
    /// # Errors
    /// The database failed.
    pub fn challenges_to(
        &mut self,
        address: &EmailAddress,
        but: Option<&str>,
        after: Timestamp,
    ) -> Result<Vec<Timestamp>, StoreError> {
        self.guard()?;
        let sql = "SELECT sent_at FROM challenges WHERE folded = ?1 AND sent_at > ?2 AND purpose <> ?3 \
                   ORDER BY sent_at DESC";
        // No purpose has no name.
        self.query(sql, params![address.folded(), after, but.unwrap_or_default()], |row| row.get(0))
    }

    /// Sets what a code is compared with, and the job whose mail carries it.
    ///
    /// # Errors
    /// The database failed.
    pub fn arm_challenge(&mut self, id: ChallengeId, proof: &[u8; 32], job: JobId) -> Result<(), StoreError> {
        self.execute("UPDATE challenges SET proof = ?2, job = ?3 WHERE id = ?1", params![id, proof, job]).map(drop)
    }

    /// Counts a try and gives the challenge it is judged by; nothing where none is open, its time is over, or it was tried
    /// `most` times.
    ///
    /// # Errors
    /// The database failed.
    pub fn try_challenge(
        &mut self,
        session: &[u8; 32],
        purpose: &str,
        most: u32,
        now: Timestamp,
    ) -> Result<Option<Challenge>, StoreError> {
        let sql = format!(
            "UPDATE challenges SET tries = tries + 1 WHERE session = ?1 AND purpose = ?2 AND ended_at IS NULL \
             AND expires > ?3 AND job > 0 AND tries < ?4 RETURNING {COLUMNS}"
        );
        self.one(&sql, params![session, purpose, now, most], read)
    }

    /// Finds the challenge that a session has open for a purpose; that it was tried too often is for whoever tries it to say.
    ///
    /// # Errors
    /// The database failed.
    pub fn waiting_challenge(
        &mut self,
        session: &[u8; 32],
        purpose: &str,
        now: Timestamp,
    ) -> Result<Option<Challenge>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM challenges WHERE session = ?1 AND purpose = ?2 AND ended_at IS NULL \
             AND expires > ?3 AND job > 0"
        );
        self.one(&sql, params![session, purpose, now], read)
    }

    /// Finds a challenge, open or not.
    ///
    /// # Errors
    /// The database failed.
    pub fn challenge(&mut self, id: ChallengeId) -> Result<Option<Challenge>, StoreError> {
        self.one(&format!("SELECT {COLUMNS} FROM challenges WHERE id = ?1"), params![id], read)
    }

    /// Ends a challenge: its code is not taken any more, and not sent either.
    ///
    /// # Errors
    /// The database failed.
    pub fn end_challenge(&mut self, id: ChallengeId, at: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE challenges SET ended_at = ?2 WHERE id = ?1 AND ended_at IS NULL RETURNING job";
        match self.one(sql, params![id, at], |row| row.get::<i64>(0))? {
            Some(job) => self.wipe_secret(OTP_CODE, job),
            None => Ok(()),
        }
    }

    /// Has the codes that a session has open go on with it under another name.
    ///
    /// # Errors
    /// The database failed.
    pub fn move_challenges(&mut self, old: &[u8; 32], new: &[u8; 32]) -> Result<(), StoreError> {
        let sql = "UPDATE challenges SET session = ?2 WHERE session = ?1 AND ended_at IS NULL";
        self.execute(sql, params![old, new]).map(drop)
    }

    /// Ends all challenges of a member.
    ///
    /// # Errors
    /// The database failed.
    pub fn end_challenges_of(&mut self, member: MemberId, at: Timestamp) -> Result<(), StoreError> {
        let sql = "SELECT id FROM challenges WHERE member = ?1 AND ended_at IS NULL";
        let open: Vec<ChallengeId> = self.query(sql, params![member], |row| row.get(0))?;
        open.into_iter().try_for_each(|id| self.end_challenge(id, at))
    }

    /// Forgets at most `limit` challenges that were over before that moment; gives how many.
    ///
    /// # Errors
    /// The database failed.
    pub fn trim_challenges(&mut self, before: Timestamp, limit: usize) -> Result<u64, StoreError> {
        let sql = "DELETE FROM challenges WHERE id IN \
                   (SELECT id FROM challenges WHERE expires < ?1 ORDER BY expires LIMIT ?2)";
        self.execute(sql, params![before, limit])
    }

    /// Notes that a member typed a wrong code, of whatever kind.
    ///
    /// # Errors
    /// The database failed, or there is no such member.
    pub fn note_wrong_code(&mut self, member: MemberId, at: Timestamp) -> Result<(), StoreError> {
        self.execute("INSERT INTO wrong_codes (member, at) VALUES (?1, ?2)", params![member, at]).map(drop)
    }

    /// Gives the moment of the member's last wrong code, where that and as many before it as make `most` lie within `span`.
    ///
    /// # Errors
    /// The database failed.
    pub fn last_of_wrong_codes(
        &mut self,
        member: MemberId,
        most: usize,
        span: Span,
    ) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT at FROM wrong_codes WHERE member = ?1 ORDER BY at DESC LIMIT ?2";
        let moments: Vec<Timestamp> = self.query(sql, params![member, most], |row| row.get(0))?;
        let ends = moments.first().zip(moments.last()).filter(|_| moments.len() == most);
        Ok(ends.filter(|(last, first)| last.since(**first) < span).map(|(last, _)| *last))
    }

    /// Forgets the wrong codes of a member.
    ///
    /// # Errors
    /// The database failed.
    pub fn forget_wrong_codes(&mut self, member: MemberId) -> Result<(), StoreError> {
        self.execute("DELETE FROM wrong_codes WHERE member = ?1", params![member]).map(drop)
    }

    /// Forgets at most `limit` wrong codes of before that moment; gives how many.
    ///
    /// # Errors
    /// The database failed.
    pub fn trim_wrong_codes(&mut self, before: Timestamp, limit: usize) -> Result<u64, StoreError> {
        let sql = "DELETE FROM wrong_codes WHERE id IN (SELECT id FROM wrong_codes WHERE at < ?1 ORDER BY at LIMIT ?2)";
        self.execute(sql, params![before, limit])
    }
}
