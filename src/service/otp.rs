//! One-time passwords that come by mail (R036–R045): ordered, sent within the hour, typed once.
//!
//! Knows nothing of pages, servers or wording. What always holds: a code is drawn without bias and is nowhere readable: its
//! row holds an HMAC, and what the mail needs lies sealed beside the job and goes with it; a code belongs to one session and
//! one purpose: a login that gets a step further leaves its code behind, somebody logged in who shows once more who it is takes
//! it along; five wrong tries burn it, and tries are counted before they are judged; code and job end at the same instant, 60
//! minutes after the order (R040, R041), or sooner where the organisation says so.

use crate::keys::Keychain;
use crate::maillog;
use crate::model::{ChallengeId, EmailAddress, JobId, KeyRing, Language, MemberId, Secret, Span, Timestamp, mac};
use crate::queue::{Class, Content, NewJob};
use crate::random::{NoChance, Random};
use crate::seal::{self, SealError};
use crate::service::password::narrow;
use crate::service::session::Visitor;
use crate::store::{NewChallenge, OTP_CODE, Store, StoreError, Tx};
use subtle::{Choice, ConstantTimeEq};

mod limit;
#[cfg(test)]
mod tests;

/// The wrong try that burns a code.
const TRIES: u32 = 5;
/// So many wrong codes within [`DAY`] pause the step.
const WRONG_A_DAY: usize = 30;
const DAY: Span = Span::from_secs(24 * 60 * 60);

/// What a code allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Going on with a login.
    Login,
    /// Setting the address up that receives codes.
    Enrol,
    /// Changing something that matters.
    Confirm,
    /// Going on with a login that came after very many wrong passwords.
    Doubt,
}

impl Purpose {
    /// Gives the name the store keeps.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Enrol => "enrol",
            Self::Confirm => "confirm",
            Self::Doubt => "doubt",
        }
    }
}

/// Why no code could be ordered.
#[derive(Debug, thiserror::Error)]
pub enum OtpError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There are no random bytes.
    #[error(transparent)]
    Chance(#[from] NoChance),
}

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordered {
    /// The mail waits to be sent, and a code that was open before is over.
    Sent {
        /// From this instant on the code is not taken any more.
        expires: Timestamp,
        /// Another one may be ordered then.
        again_at: Timestamp,
    },
    /// The address is not written to; what was open before stays so.
    Suppressed,
    /// Too many were ordered; nothing has changed.
    Wait {
        /// One may be ordered then.
        until: Timestamp,
    },
}

/// What became of a typed code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// It was right, and is used up.
    Right {
        /// Where it had been sent.
        address: EmailAddress,
    },
    /// It was wrong.
    Wrong {
        /// How many tries are left; none: the code is burnt.
        left: u32,
    },
    /// There is no code to compare with: its time is over, it was burnt, used or replaced, or none was ordered.
    Over,
}

/// A code that is under way or has arrived, and can be typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Where it was sent.
    pub address: EmailAddress,
    /// When it was ordered.
    pub sent: Timestamp,
    /// From this instant on it is not taken any more.
    pub expires: Timestamp,
}

/// Orders codes.
#[derive(Clone)]
pub struct Otp {
    store: Store,
    keys: Keychain,
    random: Random,
}

/// A code that is to be sent.
struct Order {
    member: MemberId,
    session: [u8; 32],
    purpose: Purpose,
    to: EmailAddress,
    language: Language,
    /// How long the code lives, from the moment it is queued.
    lifetime: Span,
    code: Secret<String>,
    nonce: [u8; 24],
}

impl Otp {
    /// Makes the service.
    #[must_use]
    pub const fn new(store: Store, keys: Keychain, random: Random) -> Self {
        Self { store, keys, random }
    }

    /// Orders a code for the visitor's session; it goes to `to`, before anything else that waits.
    ///
    /// # Errors
    /// The database failed, or there are no random bytes.
    pub async fn order(
        &self,
        visitor: &Visitor,
        purpose: Purpose,
        to: &EmailAddress,
        language: Language,
        now: Timestamp,
    ) -> Result<Ordered, OtpError> {
        let order = Order {
            member: visitor.member.id,
            session: visitor.session,
            purpose,
            to: to.clone(),
            language,
            lifetime: visitor.policy.otp_lifetime(),
            code: draw(&self.random, visitor.policy.otp_digits)?,
            nonce: self.random.bytes()?,
        };
        let keys = self.keys.now();
        Ok(self.store.write::<_, StoreError, _>(move |tx| take(tx, keys.seal(), &order, now)).await?)
    }
}

impl Otp {
    /// Says when the visitor may order another code for `to`; nothing, where that is now.
    ///
    /// # Errors
    /// The database failed.
    pub async fn again_at(
        &self,
        visitor: &Visitor,
        purpose: Purpose,
        to: &EmailAddress,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let (member, to) = (visitor.member.id, to.clone());
        self.store.read(move |tx| limit::next(tx, member, purpose, &to, now)).await
    }

    /// Says which code the visitor's session can type for a purpose.
    ///
    /// # Errors
    /// The database failed.
    pub async fn waiting(
        &self,
        visitor: &Visitor,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<Option<Waiting>, StoreError> {
        let session = visitor.session;
        let find = move |tx: &mut Tx<'_>| tx.waiting_challenge(&session, purpose.as_str(), now);
        let found = self.store.read::<_, StoreError, _>(find).await?;
        Ok(found.map(|found| Waiting { address: found.address, sent: found.sent, expires: found.expires }))
    }
}

/// Takes the order, if there is room for it. What is not sent as its address is not written to counts all the same, so that
/// nobody can ask for the state of many addresses.
fn take(tx: &mut Tx<'_>, keys: &KeyRing, order: &Order, now: Timestamp) -> Result<Ordered, StoreError> {
    let next = |tx: &mut Tx<'_>| limit::next(tx, order.member, order.purpose, &order.to, now);
    if let Some(until) = next(tx)? {
        return Ok(Ordered::Wait { until });
    }
    let expires = now.plus(order.lifetime);
    let new = NewChallenge {
        member: order.member,
        session: order.session,
        purpose: order.purpose.as_str(),
        address: order.to.clone(),
        at: now,
        expires,
    };
    if tx.is_suppressed(&order.to)? {
        tx.count_challenge(&new)?;
        return Ok(Ordered::Suppressed);
    }
    let challenge = tx.open_challenge(&new)?;
    let job = enqueue(tx, keys, order, challenge, now)?;
    tx.arm_challenge(challenge, &proof(keys.active().1, challenge, order.purpose, order.code.reveal()), job)?;
    Ok(Ordered::Sent { expires, again_at: next(tx)?.unwrap_or(now) })
}

fn enqueue(
    tx: &mut Tx<'_>,
    keys: &KeyRing,
    order: &Order,
    challenge: ChallengeId,
    now: Timestamp,
) -> Result<JobId, StoreError> {
    let mail = NewJob {
        class: Class::Otp,
        to: order.to.clone(),
        content: Content::Otp { challenge },
        language: Some(order.language),
        cause: None,
        queued_at: now,
        due: now,
        give_up: now.plus(order.lifetime),
    };
    let job = tx.enqueue(&mail)?;
    let sealed = seal::seal(keys, &owner(job), order.nonce, order.code.reveal().as_bytes());
    tx.put_secret(OTP_CODE, job.number(), &sealed)?;
    maillog::queued(tx, job, &mail)?;
    Ok(job)
}

/// Judges a code typed in a session; `keys` are those that seal. Belongs into the transaction of what the code allows, so that
/// it is used up together with it.
///
/// # Errors
/// The database failed.
pub fn try_code(
    tx: &mut Tx<'_>,
    keys: &KeyRing,
    session: &[u8; 32],
    member: MemberId,
    purpose: Purpose,
    typed: &str,
    now: Timestamp,
) -> Result<Tried, StoreError> {
    let found = tx.try_challenge(session, purpose.as_str(), TRIES, now)?;
    let Some(challenge) = found.filter(|challenge| challenge.member == member) else { return Ok(Tried::Over) };
    let typed = Secret::new(digits(typed));
    if is_right(keys, challenge.id, purpose, typed.reveal(), &challenge.proof) {
        tx.end_challenge(challenge.id, now)?;
        return Ok(Tried::Right { address: challenge.address });
    }
    tx.note_wrong_code(member, now)?;
    let left = TRIES.saturating_sub(challenge.tries);
    if left == 0 {
        tx.end_challenge(challenge.id, now)?;
    }
    Ok(Tried::Wrong { left })
}

/// Compares with what each key would have made of it: one may have come since the code was sent.
fn is_right(keys: &KeyRing, challenge: ChallengeId, purpose: Purpose, typed: &str, expected: &[u8; 32]) -> bool {
    let found = keys.ids().filter_map(|id| keys.find(id)).fold(Choice::from(0), |right, key| {
        right | proof(key, challenge, purpose, typed).as_slice().ct_eq(expected.as_slice())
    });
    found.into()
}

fn proof(key: &[u8; 32], challenge: ChallengeId, purpose: Purpose, code: &str) -> [u8; 32] {
    let said = [&challenge.number().to_be_bytes(), purpose.as_str().as_bytes(), &[0], code.as_bytes()].concat();
    let proof = mac(key, "karamail otp", &said);
    drop(Secret::new(said));
    proof
}

/// Notes a wrong code of another kind, so that all kinds are counted together.
///
/// # Errors
/// The database failed.
pub fn note_wrong(tx: &mut Tx<'_>, member: MemberId, now: Timestamp) -> Result<(), StoreError> {
    tx.note_wrong_code(member, now)
}

/// Says until when no code of a member is to be judged, whatever its kind: 30 were wrong within a day. Devices that are
/// known are let try all the same.
///
/// # Errors
/// The database failed.
pub fn paused(tx: &mut Tx<'_>, member: MemberId, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let last = tx.last_of_wrong_codes(member, WRONG_A_DAY, DAY)?;
    Ok(last.map(|last| last.plus(DAY)).filter(|until| now < *until))
}

/// Gives a code as it was meant: a phone's keyboard may stand on full width, and people type the gaps they see.
#[must_use]
pub fn digits(typed: &str) -> String {
    narrow(typed).chars().filter(|c| !c.is_whitespace() && !is_hyphen(*c)).collect()
}

/// Says whether it is one of the strokes that keyboards give for a hyphen.
const fn is_hyphen(c: char) -> bool {
    matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | 'ー' | 'ｰ')
}

/// Opens the code of a job, for its mail.
///
/// # Errors
/// It was changed, belongs to another job, or its key is gone.
pub fn open(keys: &KeyRing, job: JobId, sealed: &[u8]) -> Result<Secret<String>, SealError> {
    let plain = seal::open(keys, &owner(job), sealed)?;
    String::from_utf8(plain.reveal().clone()).map(Secret::new).ok().ok_or(SealError::Form)
}

fn owner(job: JobId) -> Vec<u8> {
    seal::owner_of_secret(OTP_CODE, job.number())
}

/// Draws a code of so many digits, each as likely as any other.
fn draw(random: &Random, digits: u8) -> Result<Secret<String>, NoChance> {
    let bound = 10u32.pow(u32::from(digits.clamp(6, 8)));
    // Above the last whole multiple of the bound some codes would come up more often than others.
    let fair = u32::MAX - u32::MAX % bound;
    loop {
        let drawn = u32::from_be_bytes(random.bytes()?);
        if drawn < fair {
            let width = usize::from(digits.clamp(6, 8));
            return Ok(Secret::new(format!("{:0width$}", drawn % bound)));
        }
    }
}
