//! The code that lets a member in who has lost the second factor (バックアップコード; R035, R044, R045, R147, R148).
//!
//! Knows nothing of pages. What always holds: a member has one, or ten where the organisation says so, and gets no new one
//! while any is left that a page has shown, unless its owner wants another and never said that it is kept; there are never
//! two at once; they are handed out to the session that made them, which can open them for half an hour; what is
//! kept is an Argon2id hash, sealed, so the database alone does not tell even a short one; a try needs a right password
//! before it, is counted before it is judged, and five an hour and twenty a day are judged; one that was never judged is not
//! counted; a code is used once.

use super::audit::{self, By, Entry};
use super::errand::{Asker, Errands};
use super::hasher::{HashError, Hasher, Turn, Whose};
use super::notice::Notices;
use super::otp;
use super::second_factor::REPLACED;
use super::session::{self, Stage, Visitor};
use crate::keys::Keychain;
use crate::model::{BackupKind, Budget, KeyRing, MemberId, Secret, Span, Timestamp};
use crate::queue::Notice;
use crate::random::{NoChance, Random};
use crate::seal::{self, SealError};
use crate::store::{BackupCodeRow, Handover, Store, StoreError, Tx};
use data_encoding::{BASE64, BASE64URL_NOPAD};

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
    /// It broke off.
    #[error("judging a backup code broke off")]
    Broken,
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

/// Backup codes on their way to the page that shows them.
#[derive(Debug, Clone)]
pub struct Handed {
    /// The codes: one, or ten.
    pub codes: Vec<Secret<String>>,
    /// The codes as the browser carries them to the page.
    pub sealed: String,
}

/// Makes and judges backup codes.
#[derive(Clone)]
pub struct BackupCode {
    store: Store,
    keys: Keychain,
    hasher: Hasher,
    random: Random,
    notices: Notices,
    errands: Errands,
}

impl BackupCode {
    /// Makes the service.
    #[must_use]
    pub fn new(store: Store, keys: Keychain, hasher: Hasher, random: Random, notices: Notices) -> Self {
        Self { store, keys, hasher, random, notices, errands: Errands::default() }
    }

    /// Makes a member's backup codes, readable only to what `session` carries along, for a while; where there are some that
    /// have come as far as `stay`, those stay.
    ///
    /// # Errors
    /// The database failed, there are no random bytes, or no turn to hash came in time.
    pub async fn make(
        &self,
        visitor: &Visitor,
        session: [u8; 32],
        stay: Handover,
        now: Timestamp,
    ) -> Result<Option<Handed>, BackupError> {
        let member = visitor.member.id;
        let before = self.store.read::<_, StoreError, _>(move |tx| tx.handover(member)).await?;
        if before.is_some_and(|(_, come)| come >= stay) {
            return Ok(None);
        }
        let (mut codes, mut kept) = (Vec::new(), Vec::new());
        for place in places(visitor.policy.backup_code) {
            let code = draw(visitor.policy.backup_code, place, self.random.bytes()?);
            kept.push(BackupCodeRow { place, hash: self.hashed(member, place, &code).await? });
            codes.push(code);
        }
        let plain = written(&codes, now);
        let sealed = seal::seal(self.keys.now().seal(), &owner(member, &session), self.random.bytes()?, plain.reveal());
        let visitor = visitor.clone();
        let replaced = before.map(|(made, _)| (made, stay));
        let is_new = self.store.write::<_, StoreError, _>(move |tx| keep(tx, &visitor, &kept, replaced, now)).await?;
        Ok(is_new.then(|| Handed { codes, sealed: BASE64URL_NOPAD.encode(&sealed) }))
    }

    /// Of eight digits a fast machine would try all, so the hash is sealed with a key that is not in the database (ASVS 6.5.2).
    async fn hashed(&self, member: MemberId, place: i64, code: &Secret<String>) -> Result<String, BackupError> {
        let hash = self.hasher.hash(code.clone(), self.random.bytes()?).await?;
        let nonce = self.random.bytes()?;
        let sealed = seal::seal(self.keys.now().seal(), &kept_for(member, place), nonce, hash.as_bytes());
        Ok(BASE64.encode(&sealed))
    }

    /// Opens the codes that were handed to this session not long ago, for a page that shows them; nothing, where they are the
    /// member's no more.
    ///
    /// # Errors
    /// The database failed.
    pub async fn handed(&self, visitor: &Visitor, sealed: &str, now: Timestamp) -> Result<Option<Handed>, StoreError> {
        let Some((codes, made)) = self.opened(visitor, sealed).filter(|(_, made)| now < made.plus(HANDED)) else {
            return Ok(None);
        };
        let member = visitor.member.id;
        let are_current = self.store.write(move |tx| tx.show_backup_codes(member, made, now)).await?;
        Ok(are_current.then(|| Handed { codes, sealed: sealed.to_owned() }))
    }

    fn opened(&self, visitor: &Visitor, sealed: &str) -> Option<(Vec<Secret<String>>, Timestamp)> {
        let bytes = BASE64URL_NOPAD.decode(sealed.as_bytes()).ok()?;
        let plain = seal::open(self.keys.now().seal(), &owner(visitor.member.id, &visitor.session), &bytes).ok()?;
        read(plain.reveal())
    }

    /// Takes the word of a member that the codes are kept which a page has shown.
    ///
    /// # Errors
    /// The database failed.
    pub async fn kept(&self, visitor: &Visitor, now: Timestamp) -> Result<(), StoreError> {
        let member = visitor.member.id;
        self.store.write(move |tx| tx.keep_backup_codes(member, now)).await
    }

    /// Says whether a member has codes that no page has shown.
    ///
    /// # Errors
    /// The database failed.
    pub async fn is_unseen(&self, visitor: &Visitor) -> Result<bool, StoreError> {
        let member = visitor.member.id;
        let found = self.store.read(move |tx| tx.handover(member)).await?;
        Ok(found.is_some_and(|(_, come)| come == Handover::Made))
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
        let asked = visitor.clone();
        match self.store.read::<_, StoreError, _>(move |tx| look(tx, &asked, now)).await? {
            Counted::Open(_) => {}
            Counted::Wait(until) => return Ok(Tried::Wait { until }),
            Counted::Gone => return Ok(Tried::Gone),
        }
        let turn = self.hasher.turn(Whose::Known).await?;
        let (this, visitor, typed) = (self.clone(), visitor.clone(), Secret::new(typed.to_owned()));
        let judged =
            self.errands.run(|asker| async move { this.judge(visitor, &typed, session, turn, &asker, now).await });
        judged.await.ok_or(BackupError::Broken)?
    }

    /// Counts the code, judges it and uses it up where it is right, unless nobody waits for that any more.
    async fn judge(
        &self,
        visitor: Visitor,
        typed: &Secret<String>,
        session: [u8; 32],
        turn: Turn,
        asker: &Asker,
        now: Timestamp,
    ) -> Result<Tried, BackupError> {
        let counted = visitor.clone();
        let kept = match self.store.write::<_, StoreError, _>(move |tx| count(tx, &counted, now)).await? {
            Counted::Open(kept) => kept,
            Counted::Wait(until) => return Ok(Tried::Wait { until }),
            Counted::Gone => return Ok(Tried::Gone),
        };
        let meant = Secret::new(otp::digits(typed.reveal()).to_ascii_uppercase());
        let keys = self.keys.now();
        let kept = meant_one(kept, meant.reveal());
        let kept = kept.and_then(|row| Kept::open(keys.seal(), visitor.member.id, row));
        // One Argon2 computation, whether there is a code or not.
        let is_right = turn.verify(meant, kept.as_ref().map(|kept| kept.phc.clone())).await?;
        let (gone, notices) = (asker.is_gone(), self.notices);
        let end = move |tx: &mut Tx<'_>| match kept.as_ref().filter(|_| is_right) {
            // It stays good: whoever typed it would not see what it led to.
            Some(_) if gone => Ok(Tried::Gone),
            Some(kept) => use_up(tx, notices, &visitor, (keys.seal(), kept), session, now),
            None => {
                audit::record(tx, Entry::of(audit::BACKUP_CODE_FAIL, &visitor.member, By::Member), now)?;
                Ok(Tried::Wrong)
            }
        };
        Ok(self.store.write::<_, StoreError, _>(end).await?)
    }
}

/// The places of a member's codes: the only one, or ten.
fn places(kind: BackupKind) -> std::ops::RangeInclusive<i64> {
    match kind {
        BackupKind::Digits8 | BackupKind::Alnum16 => 0..=0,
        BackupKind::TenCodes => 1..=10,
    }
}

/// The letter that the code of a place begins with, where there are ten: one computation finds out whether it is right.
fn first_letter(place: i64) -> Option<char> {
    let index = usize::try_from(place.checked_sub(1)?).ok()?;
    LETTERS.get(index).copied().map(char::from)
}

/// Finds the one that what was typed can only be.
fn meant_one(kept: Vec<BackupCodeRow>, meant: &str) -> Option<BackupCodeRow> {
    let first = meant.chars().next();
    kept.into_iter().find(|code| code.place == 0 || first_letter(code.place) == first)
}

/// A code as it is kept, opened.
struct Kept {
    row: BackupCodeRow,
    /// Its Argon2id hash.
    phc: String,
}

impl Kept {
    fn open(keys: &KeyRing, member: MemberId, row: BackupCodeRow) -> Option<Self> {
        let sealed = BASE64.decode(row.hash.as_bytes()).ok().ok_or(SealError::Form);
        let opened = sealed.and_then(|sealed| seal::open(keys, &kept_for(member, row.place), &sealed));
        let phc = opened.and_then(|phc| String::from_utf8(phc.reveal().clone()).ok().ok_or(SealError::Form));
        let phc = phc.inspect_err(|cause| tracing::error!(%member, %cause, "a backup code stays closed")).ok()?;
        Some(Self { row, phc })
    }

    /// Finds the code again; it may have been sealed anew since.
    fn again(&self, tx: &mut Tx<'_>, keys: &KeyRing, member: MemberId) -> Result<Option<BackupCodeRow>, StoreError> {
        let found = tx.backup_codes(member)?.into_iter().find(|row| row.place == self.row.place);
        Ok(found.filter(|row| {
            *row == self.row || Self::open(keys, member, row.clone()).is_some_and(|other| other.phc == self.phc)
        }))
    }
}

/// Gives what the hash of a code is bound to where it is kept.
pub(super) fn kept_for(member: MemberId, place: i64) -> Vec<u8> {
    [b"backup-hash\0".as_slice(), &member.number().to_be_bytes(), &place.to_be_bytes()].concat()
}

/// Writes codes down to be sealed, and when that was.
fn written(codes: &[Secret<String>], now: Timestamp) -> Secret<Vec<u8>> {
    let mut plain = now.millis().to_be_bytes().to_vec();
    for code in codes {
        plain.extend_from_slice(code.reveal().as_bytes());
        plain.push(b' ');
    }
    Secret::new(plain)
}

fn read(plain: &[u8]) -> Option<(Vec<Secret<String>>, Timestamp)> {
    let (made, codes) = plain.split_first_chunk()?;
    let codes = std::str::from_utf8(codes).ok()?.split_ascii_whitespace();
    let codes = codes.map(|code| Secret::new(code.to_owned())).collect();
    Some((codes, Timestamp::from_millis(i64::from_be_bytes(*made))))
}

/// Who may see a code that was handed out.
fn owner(member: MemberId, session: &[u8; 32]) -> Vec<u8> {
    [b"backup-code\0".as_slice(), &member.number().to_be_bytes(), session].concat()
}

/// What came of counting a try.
enum Counted {
    Open(Vec<BackupCodeRow>),
    Wait(Timestamp),
    Gone,
}

/// Says what would come of counting a try, and counts nothing.
fn look(tx: &mut Tx<'_>, visitor: &Visitor, now: Timestamp) -> Result<Counted, StoreError> {
    let session = tx.session(&visitor.session)?;
    if visitor.stage != Stage::Code || session.is_none_or(|found| found.stage != Stage::Code.as_str()) {
        return Ok(Counted::Gone);
    }
    for limit in LIMITS {
        if let Place::Taken(until) = place(tx, limit, visitor.member.id, now)? {
            return Ok(Counted::Wait(until));
        }
    }
    Ok(Counted::Open(Vec::new()))
}

/// Counts a try before it is judged, and loads what it is judged by.
fn count(tx: &mut Tx<'_>, visitor: &Visitor, now: Timestamp) -> Result<Counted, StoreError> {
    if !stands(tx, visitor, now)? {
        return Ok(Counted::Gone);
    }
    for (scope, places, period) in LIMITS {
        match place(tx, (scope, places, period), visitor.member.id, now)? {
            Place::Free(key, until) => tx.set_budget(scope, &key, until)?,
            Place::Taken(until) => return Ok(Counted::Wait(until)),
        }
    }
    tx.backup_codes(visitor.member.id).map(Counted::Open)
}

/// One of the places that tries take for a while.
enum Place {
    /// The one that is free, and until when it would be taken.
    Free(String, Timestamp),
    /// None is free before that moment.
    Taken(Timestamp),
}

/// Finds one of the member's places for `period`; where all are taken, says when the first one is free again. Unlike a budget,
/// of which more comes back within the period, this lets no more than so many through in any period.
fn place(
    tx: &mut Tx<'_>,
    (scope, places, period): (&str, u32, Span),
    member: MemberId,
    now: Timestamp,
) -> Result<Place, StoreError> {
    let one = Budget::new(1, period);
    let mut soonest = None;
    for place in 0..places {
        let key = format!("{member}/{place}");
        let taken = tx.budget(scope, &key)?;
        if let Some(until) = one.admit(taken, now) {
            return Ok(Place::Free(key, until));
        }
        soonest = soonest.into_iter().chain(taken).min();
    }
    Ok(Place::Taken(soonest.unwrap_or(now)))
}

/// Only somebody whose password was right, and who is asked for a code, tries one.
fn stands(tx: &mut Tx<'_>, visitor: &Visitor, now: Timestamp) -> Result<bool, StoreError> {
    Ok(visitor.stage == Stage::Code && session::holds(tx, visitor, now)?)
}

/// Keeps new codes, in place of those of that moment that had not come so far, where there were some.
fn keep(
    tx: &mut Tx<'_>,
    visitor: &Visitor,
    kept: &[BackupCodeRow],
    replaced: Option<(Timestamp, Handover)>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if let Some((made, stay)) = replaced
        && !tx.drop_backup_codes(visitor.member.id, made, stay)?
    {
        return Ok(false);
    }
    let is_new = tx.put_backup_codes(visitor.member.id, kept, now)?;
    if is_new {
        let entry = Entry::of(audit::BACKUP_CODE_MADE, &visitor.member, By::Member);
        audit::record(tx, entry.field("codes", kept.len()), now)?;
    }
    Ok(is_new)
}

/// Uses the code up, has the factors end, and lets the session go on to setting another one up (R148).
fn use_up(
    tx: &mut Tx<'_>,
    notices: Notices,
    visitor: &Visitor,
    (keys, kept): (&KeyRing, &Kept),
    session: [u8; 32],
    now: Timestamp,
) -> Result<Tried, StoreError> {
    let id = visitor.member.id;
    if !stands(tx, visitor, now)? {
        return Ok(Tried::Gone);
    }
    let Some(row) = kept.again(tx, keys, id)? else { return Ok(Tried::Gone) };
    if !tx.use_backup_code(id, &row.hash)? {
        return Ok(Tried::Gone);
    }
    notices.tell(tx, id, Notice::BackupCodeUsed, now)?;
    let left = tx.backup_codes(id)?.len();
    audit::record(tx, Entry::of(audit::BACKUP_CODE_USED, &visitor.member, By::Member).field("left", left), now)?;
    tx.end_factors(id, now.plus(REPLACED))?;
    let stage = session::go_on(tx, &visitor.session, &session, Some(now), now)?;
    tx.end_sessions_of(id, Some(&session))?;
    Ok(stage.map_or(Tried::Gone, Tried::Right))
}

/// How many letters a code has where there are ten, the one that tells it from the others included.
const OF_TEN: usize = 12;

/// Makes the code of a place from chance.
fn draw(kind: BackupKind, place: i64, chance: [u8; 16]) -> Secret<String> {
    let letters = chance.iter().filter_map(|byte| LETTERS.get(usize::from(byte % 32)).copied().map(char::from));
    Secret::new(match kind {
        // Of 2^128 values, no rest of a hundred million is noticeably likelier than another.
        BackupKind::Digits8 => format!("{:08}", u128::from_be_bytes(chance) % 100_000_000),
        BackupKind::Alnum16 => letters.collect(),
        BackupKind::TenCodes => first_letter(place).into_iter().chain(letters).take(OF_TEN).collect(),
    })
}

/// Gives a code as it is shown: in groups of four.
#[must_use]
pub fn grouped(code: &str) -> String {
    code.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ")
}
