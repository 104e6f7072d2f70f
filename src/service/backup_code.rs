//! The code that lets a member in who has lost the second factor (バックアップコード; R035, R044, R045, R147, R148).
//!
//! Knows nothing of pages. What always holds: a member has one at most, and it is handed out once, to the session that made it,
//! which can open it for half an hour; what is
//! kept is an Argon2id hash of an HMAC, so the database alone does not tell even a short one; a try needs a right password
//! before it, is counted before it is judged, and five an hour and twenty a day are judged; a code is used once.

use super::audit::{self, By, Entry};
use super::hasher::{HashError, Hasher};
use super::notice::Notices;
use super::otp;
use super::second_factor::REPLACED;
use super::session::{self, Stage, Visitor};
use crate::keys::Keys;
use crate::model::{BackupKind, Budget, MemberId, Secret, Span, Timestamp, mac};
use crate::queue::Notice;
use crate::random::{NoChance, Random};
use crate::seal;
use crate::store::{Store, StoreError, Tx};
use data_encoding::BASE64URL_NOPAD;
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// How long a code that was handed out can be shown: as long as a session lives that nobody uses.
pub const HANDED: Span = Span::from_secs(30 * 60);
/// Letters and digits that are not mistaken for one another.
const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// How many tries are judged in how long. Each try takes a place of its own for that long.
const LIMITS: [(&str, u32, Span); 2] =
    [("backup-hour", 5, Span::from_secs(3_600)), ("backup-day", 20, Span::from_secs(86_400))];

/// Why no backup code could be made or judged.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Hashing failed, or no turn came.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// There are no random bytes.
    #[error(transparent)]
    Chance(#[from] NoChance),
}

/// What came of a backup code that was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// It was right, and is used up; the login has got this far.
    Right(Stage),
    /// It is not the member's.
    Wrong,
    /// It was not judged: too many were tried.
    Wait {
        /// When the next one is judged.
        until: Timestamp,
    },
    /// The session is not where it was.
    Gone,
}

/// A backup code on its way to the page that shows it.
#[derive(Debug, Clone)]
pub struct Handed {
    /// The code.
    pub code: Secret<String>,
    /// The code as the browser carries it to the page.
    pub sealed: String,
}

/// Makes and judges backup codes.
#[derive(Clone)]
pub struct BackupCode {
    store: Store,
    keys: Arc<Keys>,
    hasher: Hasher,
    random: Random,
    notices: Notices,
}

impl BackupCode {
    /// Makes the service.
    #[must_use]
    pub const fn new(store: Store, keys: Arc<Keys>, hasher: Hasher, random: Random, notices: Notices) -> Self {
        Self { store, keys, hasher, random, notices }
    }

    /// Makes a member's backup code, if there is none: readable only to what `session` carries along, for a while.
    ///
    /// # Errors
    /// The database failed, there are no random bytes, or no turn to hash came in time.
    pub async fn make(
        &self,
        visitor: &Visitor,
        session: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<Handed>, BackupError> {
        let member = visitor.member.id;
        if self.store.read::<_, StoreError, _>(move |tx| tx.backup_code(member)).await?.is_some() {
            return Ok(None);
        }
        let code = draw(visitor.policy.backup_code, self.random.bytes()?);
        let (id, key) = self.keys.seal().active();
        let hash = self.hasher.hash(peppered(key, member, code.reveal()), self.random.bytes()?).await?;
        let plain = Secret::new([&now.millis().to_be_bytes(), code.reveal().as_bytes()].concat());
        let sealed = seal::seal(self.keys.seal(), &owner(member, &session), self.random.bytes()?, plain.reveal());
        let (kept, visitor) = (format!("{id}:{hash}"), visitor.clone());
        let is_new = self.store.write::<_, StoreError, _>(move |tx| keep(tx, &visitor, &kept, now)).await?;
        Ok(is_new.then(|| Handed { code, sealed: BASE64URL_NOPAD.encode(&sealed) }))
    }

    /// Opens a code that was handed to this session not long ago.
    #[must_use]
    pub fn handed(&self, visitor: &Visitor, sealed: &str, now: Timestamp) -> Option<Handed> {
        let bytes = BASE64URL_NOPAD.decode(sealed.as_bytes()).ok()?;
        let plain = seal::open(self.keys.seal(), &owner(visitor.member.id, &visitor.session), &bytes).ok()?;
        let (made, code) = plain.reveal().split_first_chunk()?;
        let made = Timestamp::from_millis(i64::from_be_bytes(*made));
        let code = String::from_utf8(code.to_vec()).ok().map(Secret::new)?;
        (now < made.plus(HANDED)).then(|| Handed { code, sealed: sealed.to_owned() })
    }

    /// Judges a backup code typed after a right password. A right one ends the member's factors once another one is set up,
    /// and the session goes on as `session`, to setting one up and no further.
    ///
    /// # Errors
    /// The database failed, or no turn to hash came in time.
    pub async fn attempt(
        &self,
        visitor: &Visitor,
        typed: &str,
        session: [u8; 32],
        now: Timestamp,
    ) -> Result<Tried, BackupError> {
        let counted = visitor.clone();
        let kept = match self.store.write::<_, StoreError, _>(move |tx| count(tx, &counted, now)).await? {
            Counted::Open(kept) => kept,
            Counted::Wait(until) => return Ok(Tried::Wait { until }),
            Counted::Gone => return Ok(Tried::Gone),
        };
        let is_right = self.is_right(visitor.member.id, typed, kept.as_deref()).await?;
        let (visitor, notices) = (visitor.clone(), self.notices);
        let end = move |tx: &mut Tx<'_>| match kept.as_deref().filter(|_| is_right) {
            Some(kept) => use_up(tx, notices, &visitor, kept, session, now),
            None => {
                record(tx, &visitor, audit::BACKUP_CODE_FAIL, now)?;
                Ok(Tried::Wrong)
            }
        };
        Ok(self.store.write::<_, StoreError, _>(end).await?)
    }

    /// Costs one Argon2 computation, whether there is a code or not.
    async fn is_right(&self, member: MemberId, typed: &str, kept: Option<&str>) -> Result<bool, HashError> {
        let parts = kept.and_then(|kept| kept.split_once(':'));
        let key = parts.and_then(|(id, _)| self.keys.seal().find(id.parse().ok()?));
        let phc = key.and(parts).map(|(_, phc)| phc.to_owned());
        let (_, active) = self.keys.seal().active();
        let meant = Secret::new(otp::digits(typed).to_ascii_uppercase());
        self.hasher.verify(peppered(key.unwrap_or(active), member, meant.reveal()), phc).await
    }
}

/// Who may see a code that was handed out.
fn owner(member: MemberId, session: &[u8; 32]) -> Vec<u8> {
    [b"backup-code\0".as_slice(), &member.number().to_be_bytes(), session].concat()
}

/// What came of counting a try.
enum Counted {
    Open(Option<String>),
    Wait(Timestamp),
    Gone,
}

/// Counts a try before it is judged, and loads what it is judged by.
fn count(tx: &mut Tx<'_>, visitor: &Visitor, now: Timestamp) -> Result<Counted, StoreError> {
    if !stands(tx, visitor)? {
        return Ok(Counted::Gone);
    }
    for (scope, places, period) in LIMITS {
        if let Some(until) = take_place(tx, scope, places, period, visitor.member.id, now)? {
            return Ok(Counted::Wait(until));
        }
    }
    tx.backup_code(visitor.member.id).map(Counted::Open)
}

/// Takes one of the member's places for `period`; where all are taken, says when the first one is free again. Unlike a budget,
/// of which more comes back within the period, this lets no more than so many through in any period.
fn take_place(
    tx: &mut Tx<'_>,
    scope: &str,
    places: u32,
    period: Span,
    member: MemberId,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let one = Budget::new(1, period);
    let mut soonest = None;
    for place in 0..places {
        let key = format!("{member}/{place}");
        let taken = tx.budget(scope, &key)?;
        if let Some(until) = one.admit(taken, now) {
            tx.set_budget(scope, &key, until)?;
            return Ok(None);
        }
        soonest = soonest.into_iter().chain(taken).min();
    }
    Ok(Some(soonest.unwrap_or(now)))
}

/// Only somebody whose password was right, and who is asked for a code, tries one.
fn stands(tx: &mut Tx<'_>, visitor: &Visitor) -> Result<bool, StoreError> {
    let session = tx.session(&visitor.session)?;
    Ok(session.is_some_and(|now| now.member == visitor.member.id && now.stage == Stage::Code.as_str()))
}

fn keep(tx: &mut Tx<'_>, visitor: &Visitor, kept: &str, now: Timestamp) -> Result<bool, StoreError> {
    let is_new = tx.put_backup_code(visitor.member.id, kept, now)?;
    if is_new {
        record(tx, visitor, audit::BACKUP_CODE_MADE, now)?;
    }
    Ok(is_new)
}

fn record(tx: &mut Tx<'_>, visitor: &Visitor, name: &'static str, now: Timestamp) -> Result<(), StoreError> {
    audit::record(tx, Entry::of(name, &visitor.member, By::Member), now)
}

/// Uses the code up, has the factors end, and lets the session go on to setting another one up (R148).
fn use_up(
    tx: &mut Tx<'_>,
    notices: Notices,
    visitor: &Visitor,
    kept: &str,
    session: [u8; 32],
    now: Timestamp,
) -> Result<Tried, StoreError> {
    let id = visitor.member.id;
    if !stands(tx, visitor)? || !tx.use_backup_code(id, kept)? {
        return Ok(Tried::Gone);
    }
    notices.tell(tx, id, Notice::BackupCodeUsed, now)?;
    record(tx, visitor, audit::BACKUP_CODE_USED, now)?;
    tx.end_factors(id, now.plus(REPLACED))?;
    let stage = session::go_on(tx, &visitor.session, &session, Some(now), now)?;
    tx.end_sessions_of(id, Some(&session))?;
    Ok(stage.map_or(Tried::Gone, Tried::Right))
}

/// Mixes in a key that is not in the database: of eight digits a fast machine would try all (ASVS 6.5.2).
fn peppered(key: &[u8; 32], member: MemberId, code: &str) -> Secret<String> {
    let said = Secret::new([&member.number().to_be_bytes(), code.as_bytes()].concat());
    Secret::new(BASE64URL_NOPAD.encode(&mac(key, "karamail backup code", said.reveal())))
}

/// Makes a code of chance.
fn draw(kind: BackupKind, chance: [u8; 16]) -> Secret<String> {
    Secret::new(match kind {
        // Of 2^128 values, no rest of a hundred million is noticeably likelier than another.
        BackupKind::Digits8 => format!("{:08}", u128::from_be_bytes(chance) % 100_000_000),
        BackupKind::Alnum16 => {
            chance.iter().filter_map(|byte| LETTERS.get(usize::from(byte % 32)).copied().map(char::from)).collect()
        }
    })
}

/// Gives a code as it is shown: in groups of four.
#[must_use]
pub fn grouped(code: &str) -> String {
    code.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ")
}
