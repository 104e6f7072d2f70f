//! Second factors (二要素認証): setting one up, passing with one, taking one away (R022–R036, R043, R144–R148).
//!
//! Knows nothing of pages and cookies, nor of how a code comes by mail ([`super::otp`]). What always holds: a code that guards
//! something is counted before its verdict is told, and however many are typed side by side, one is judged at a time; a code
//! of an app passes once; what a code allows is done in the transaction that uses the code up; where a factor is there to stay,
//! none is set up beside it or in its place unless one passed lately; the factor that is replaced holds until the new one is
//! confirmed; each step gives the session another name and ends the member's other ones where
//! factors changed.

mod app;
mod judge;
mod offer;
#[cfg(test)]
pub(super) mod tests;

use self::app::SECRET_LEN;
use self::judge::{Asked, Judge, mailed};
pub use self::offer::OFFERED;
use self::offer::{Owner, Shown};
use super::audit::{self, By, Entry};
use super::notice::Notices;
use super::otp::{self, Purpose};
use super::session::{self, Stage, Visitor};
use crate::keys::Keychain;
use crate::model::{MemberId, Secret, Span, Timestamp};
use crate::queue::Notice;
use crate::random::{NoChance, Random};
use crate::seal;
use crate::store::{APP_SECRET, BackupCodeRow, Factor, FactorKind, Handover, Store, StoreError, Tx};

/// How long a factor that is to be replaced still holds.
pub const REPLACED: Span = Span::from_secs(30 * 60);

/// Why nothing could be set up or judged.
#[derive(Debug, thiserror::Error)]
pub enum FactorError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There are no random bytes.
    #[error(transparent)]
    Chance(#[from] NoChance),
    /// The account cannot be named to an app.
    #[error("an account cannot be named to an authenticator app")]
    Name,
}

/// A secret that is shown to be taken into an app (R027–R029).
#[derive(Debug, Clone)]
pub struct Offer {
    /// The address behind the QR code and the link.
    pub address: Secret<String>,
    /// The secret as it is typed by hand.
    pub key: Secret<String>,
    /// The secret as it travels with the form.
    pub sealed: String,
    /// When it was shown first.
    pub shown: Timestamp,
}

/// A code that was typed, and where it is said to come from.
#[derive(Debug, Clone)]
pub struct Proof {
    /// The way it came.
    pub kind: FactorKind,
    /// What was typed.
    pub typed: String,
}

/// What goes with every step.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The fingerprint of a device on which the member passed before, where it is one.
    pub device: Option<[u8; 32]>,
    /// The name under which the session goes on.
    pub session: [u8; 32],
    /// The moment.
    pub now: Timestamp,
}

/// What came of a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict<T> {
    /// It was right.
    Right(T),
    /// It was wrong, or was used before; where it is known how many tries are left, says so.
    Wrong {
        /// How many more tries the code that was sent has.
        left: Option<u32>,
    },
    /// The code that was sent, or the secret that was shown, does not count any more.
    Over,
    /// It was not judged: too many wrong ones came before.
    Wait {
        /// When the next one is judged.
        until: Timestamp,
    },
    /// It was not judged: a code of a factor that is there has to pass first.
    Unproven,
    /// The session is not where it was, or there is no such factor.
    Gone,
}

/// How a session goes on, from one name to another.
type GoOn = fn(&mut Tx<'_>, &[u8; 32], &[u8; 32], Timestamp) -> Result<Option<Stage>, StoreError>;

/// What a member has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// The factors, those that are to be replaced among them.
    pub factors: Vec<Factor>,
    /// Whether there is a backup code, or how many of ten.
    pub backup: Backup,
    /// How far that has come to the member.
    pub handover: Option<Handover>,
}

/// What a member has for when all factors are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backup {
    /// Nothing.
    None,
    /// One code.
    One,
    /// So many of ten codes.
    OfTen(usize),
}

impl Backup {
    fn of(codes: &[BackupCodeRow]) -> Self {
        match codes {
            [] => Self::None,
            [BackupCodeRow { place: 0, .. }, ..] => Self::One,
            some => Self::OfTen(some.len()),
        }
    }
}

impl Overview {
    /// Gives when the last of them ends, where all are to be replaced: from then on others can be set up after the password.
    #[must_use]
    pub fn ending(&self) -> Option<Timestamp> {
        let ends: Option<Vec<_>> = self.factors.iter().map(|factor| factor.ends).collect();
        ends?.into_iter().max()
    }

    /// Finds the factor of that kind.
    #[must_use]
    pub fn factor(&self, kind: FactorKind) -> Option<&Factor> {
        self.factors.iter().find(|factor| factor.kind == kind)
    }

    /// Says whether there is one that stays.
    #[must_use]
    pub fn has_lasting(&self) -> bool {
        self.factors.iter().any(|factor| factor.ends.is_none())
    }
}

/// Sets up, judges and takes away second factors.
#[derive(Clone)]
pub struct SecondFactor {
    store: Store,
    keys: Keychain,
    random: Random,
    notices: Notices,
    issuer: String,
}

impl SecondFactor {
    /// Makes the service; apps show accounts under the name `issuer` (R033).
    #[must_use]
    pub const fn new(store: Store, keys: Keychain, random: Random, notices: Notices, issuer: String) -> Self {
        Self { store, keys, random, notices, issuer }
    }

    /// Says what a member has.
    ///
    /// # Errors
    /// The database failed.
    pub async fn overview(&self, member: MemberId, now: Timestamp) -> Result<Overview, StoreError> {
        let look = move |tx: &mut Tx<'_>| {
            let backup = Backup::of(&tx.backup_codes(member)?);
            let handover = tx.handover(member)?.map(|(_, come)| come);
            Ok(Overview { factors: tx.factors(member, now)?, backup, handover })
        };
        self.store.read(look).await
    }

    /// Draws a secret to be shown; nothing is kept of it (R031).
    ///
    /// # Errors
    /// There are no random bytes.
    pub fn offer(&self, visitor: &Visitor, now: Timestamp) -> Result<Offer, FactorError> {
        let secret = Secret::new(self.random.bytes::<SECRET_LEN>()?);
        let sealed = offer::seal(self.keys.now().seal(), owner(visitor), self.random.bytes()?, &secret, now);
        self.shown(visitor, &Shown { secret, at: now }, sealed)
    }

    /// Shows once more what was shown, as after a code that was mistyped; nothing where that is too long ago.
    ///
    /// # Errors
    /// The account cannot be named.
    pub fn offer_again(&self, visitor: &Visitor, sealed: &str, now: Timestamp) -> Result<Option<Offer>, FactorError> {
        let shown = offer::open(self.keys.now().seal(), owner(visitor), sealed, now);
        shown.map(|shown| self.shown(visitor, &shown, sealed.to_owned())).transpose()
    }

    fn shown(&self, visitor: &Visitor, shown: &Shown, sealed: String) -> Result<Offer, FactorError> {
        let secret = shown.secret.reveal();
        let account = format!("{}/{}", visitor.org, visitor.member.login.as_str());
        let address = app::address(secret, &self.issuer, &account).ok_or(FactorError::Name)?;
        Ok(Offer { address, key: app::key(secret), sealed, shown: shown.at })
    }

    /// Sets the app up of whose secret the code is, if that is one of those that were shown (R032); the code does not pass a
    /// second time. A phone may have shown the page anew while its app was adding an earlier one.
    ///
    /// # Errors
    /// The database failed, or there are no random bytes.
    pub async fn set_up_app(
        &self,
        visitor: &Visitor,
        offers: &[&str],
        typed: &str,
        step: Step,
    ) -> Result<Verdict<Stage>, FactorError> {
        let (keys, digits) = (self.keys.now(), otp::digits(typed));
        let open = |sealed: &&str| offer::open(keys.seal(), owner(visitor), sealed, step.now);
        let mut shown = offers.iter().filter_map(open).peekable();
        if shown.peek().is_none() {
            return Ok(Verdict::Over);
        }
        let fits = |shown: Shown| app::step(shown.secret.reveal(), &digits, step.now).map(|used| (shown, used));
        let Some((Shown { secret, at: begun }, used)) = shown.find_map(fits) else {
            return Ok(Verdict::Wrong { left: None });
        };
        let nonce = self.random.bytes()?;
        let kept = seal::seal(self.keys.now().seal(), &kept_for(visitor.member.id), nonce, secret.reveal());
        let (visitor, notices) = (visitor.clone(), self.notices);
        self.store
            .write(move |tx| {
                if let Some(hindrance) = hindrance(tx, &visitor, begun, step.now)? {
                    return Ok(hindrance);
                }
                notices.tell(tx, visitor.member.id, Notice::TwoFactorSet, step.now)?;
                tx.put_factor(visitor.member.id, FactorKind::App, None, Some(used), step.now)?;
                tx.put_secret(APP_SECRET, visitor.member.id.number(), &kept)?;
                settled(tx, &visitor, FactorKind::App, step)
            })
            .await
    }

    /// Sets the mail address up to which a code was sent, if the code is the one (R036, R043).
    ///
    /// # Errors
    /// The database failed.
    pub async fn set_up_mail(&self, visitor: &Visitor, typed: &str, step: Step) -> Result<Verdict<Stage>, FactorError> {
        let (visitor, typed, keys) = (visitor.clone(), typed.to_owned(), self.keys.now());
        let notices = self.notices;
        self.store
            .write(move |tx| {
                tx.guard()?;
                let ordered = tx.waiting_challenge(&visitor.session, Purpose::Enrol.as_str(), step.now)?;
                let begun = ordered.map_or(step.now, |challenge| challenge.sent);
                if let Some(hindrance) = hindrance(tx, &visitor, begun, step.now)? {
                    return Ok(hindrance);
                }
                let verdict = mailed(tx, &keys, &visitor, Purpose::Enrol, &typed, step.now)?;
                if let Verdict::Right(address) = &verdict {
                    // Before the new address takes its place: the old one is to hear of it.
                    notices.tell(tx, visitor.member.id, Notice::TwoFactorSet, step.now)?;
                    tx.put_factor(visitor.member.id, FactorKind::Mail, Some(address), None, step.now)?;
                    return settled(tx, &visitor, FactorKind::Mail, step);
                }
                Ok(verdict.map(|_| visitor.stage))
            })
            .await
    }

    /// Lets somebody pass whose password was right (R025).
    ///
    /// # Errors
    /// The database failed.
    pub async fn pass(&self, visitor: &Visitor, proof: Proof, step: Step) -> Result<Verdict<Stage>, FactorError> {
        self.passing(visitor, (Stage::Code, session::passed), Asked { proof, purpose: Purpose::Login, step }).await
    }

    /// Lets somebody who is logged in show a factor once more, as a change asks for one that passed lately (ASVS 7.5.1).
    ///
    /// # Errors
    /// The database failed.
    pub async fn confirm(&self, visitor: &Visitor, proof: Proof, step: Step) -> Result<Verdict<Stage>, FactorError> {
        let asked = Asked { proof, purpose: Purpose::Confirm, step };
        self.passing(visitor, (Stage::Full, session::passed_again), asked).await
    }

    /// Judges a code at that stage of the session, which then goes on.
    async fn passing(
        &self,
        visitor: &Visitor,
        (stage, go_on): (Stage, GoOn),
        asked: Asked,
    ) -> Result<Verdict<Stage>, FactorError> {
        let step = asked.step;
        let judge = Judge::load(&self.store, &self.keys, visitor, asked).await?;
        let visitor = visitor.clone();
        self.store
            .write(move |tx| {
                if visitor.stage != stage || !session::holds(tx, &visitor, step.now)? {
                    return Ok(Verdict::Gone);
                }
                let verdict = judge.verdict(tx)?;
                if verdict != Verdict::Right(()) {
                    return Ok(verdict.map(|()| visitor.stage));
                }
                let Some(stage) = go_on(tx, &visitor.session, &step.session, step.now)? else {
                    return Ok(Verdict::Gone);
                };
                record(tx, &visitor, audit::TWO_FACTOR_SUCCESS, judge.kind(), step.now)?;
                Ok(Verdict::Right(stage))
            })
            .await
    }

    /// Takes a factor away, against a code of any factor of the member. The last one is not taken away but replaced: it holds
    /// for a while longer, and the session goes on to setting another one up (R144, R146).
    ///
    /// # Errors
    /// The database failed.
    pub async fn remove(
        &self,
        visitor: &Visitor,
        kind: FactorKind,
        proof: Proof,
        step: Step,
    ) -> Result<Verdict<Stage>, FactorError> {
        let judge =
            Judge::load(&self.store, &self.keys, visitor, Asked { proof, purpose: Purpose::Confirm, step }).await?;
        let (visitor, notices) = (visitor.clone(), self.notices);
        self.store
            .write(move |tx| {
                let id = visitor.member.id;
                if visitor.stage != Stage::Full || !session::holds(tx, &visitor, step.now)? {
                    return Ok(Verdict::Gone);
                }
                let factors = tx.factors(id, step.now)?;
                if !factors.iter().any(|factor| factor.kind == kind) {
                    return Ok(Verdict::Gone);
                }
                let verdict = judge.verdict(tx)?;
                if verdict != Verdict::Right(()) {
                    return Ok(verdict.map(|()| visitor.stage));
                }
                notices.tell(tx, id, Notice::TwoFactorRemoved, step.now)?;
                record(tx, &visitor, audit::TWO_FACTOR_REMOVED, kind, step.now)?;
                if factors.iter().any(|factor| factor.kind != kind && factor.ends.is_none()) {
                    tx.drop_factor(id, kind)?;
                } else {
                    tx.end_factors(id, step.now.plus(REPLACED))?;
                }
                goes_on(tx, &visitor, step)
            })
            .await
    }
}

impl<T> Verdict<T> {
    /// Turns what was right into something else.
    fn map<U>(self, into: impl FnOnce(T) -> U) -> Verdict<U> {
        match self {
            Self::Right(value) => Verdict::Right(into(value)),
            Self::Wrong { left } => Verdict::Wrong { left },
            Self::Over => Verdict::Over,
            Self::Wait { until } => Verdict::Wait { until },
            Self::Unproven => Verdict::Unproven,
            Self::Gone => Verdict::Gone,
        }
    }
}

/// Whose offer an app's secret is.
const fn owner(visitor: &Visitor) -> Owner {
    Owner { member: visitor.member.id, begun: visitor.begun }
}

/// What the secret of a member's app is bound to where it is kept.
fn kept_for(member: MemberId) -> Vec<u8> {
    seal::owner_of_secret(APP_SECRET, member.number())
}

/// Says what keeps somebody from setting up what was begun at that moment: whoever finds a session open must not put a factor
/// of their own in place of the member's, or beside it.
fn hindrance(
    tx: &mut Tx<'_>,
    visitor: &Visitor,
    begun: Timestamp,
    now: Timestamp,
) -> Result<Option<Verdict<Stage>>, StoreError> {
    if !matches!(visitor.stage, Stage::Enrol | Stage::Full) || !session::holds(tx, visitor, now)? {
        return Ok(Some(Verdict::Gone));
    }
    let has_one = tx.factors(visitor.member.id, now)?.iter().any(|factor| factor.ends.is_none());
    Ok((has_one && !visitor.had_passed(begun)).then_some(Verdict::Unproven))
}

/// Completes what was set up: what it replaces goes, it is recorded and told, and the session goes on.
fn settled(tx: &mut Tx<'_>, visitor: &Visitor, kind: FactorKind, step: Step) -> Result<Verdict<Stage>, FactorError> {
    let id = visitor.member.id;
    let factors = tx.factors(id, step.now)?;
    for other in FactorKind::ALL.into_iter().filter(|other| *other != kind) {
        if !factors.iter().any(|factor| factor.kind == other && factor.ends.is_none()) {
            tx.drop_factor(id, other)?;
        }
    }
    record(tx, visitor, audit::TWO_FACTOR_SET, kind, step.now)?;
    goes_on(tx, visitor, step)
}

/// Records what was done to a factor, or with one.
fn record(
    tx: &mut Tx<'_>,
    visitor: &Visitor,
    name: &'static str,
    kind: FactorKind,
    now: Timestamp,
) -> Result<(), StoreError> {
    audit::record(tx, Entry::of(name, &visitor.member, By::Member).field("kind", kind.as_str()), now)
}

/// Goes on under another name after factors have changed; the member's other sessions end (ASVS 7.4.3).
fn goes_on(tx: &mut Tx<'_>, visitor: &Visitor, step: Step) -> Result<Verdict<Stage>, FactorError> {
    let stage = session::go_on(tx, &visitor.session, &step.session, Some(step.now), step.now)?;
    tx.end_sessions_of(visitor.member.id, Some(&step.session))?;
    Ok(stage.map_or(Verdict::Gone, Verdict::Right))
}
