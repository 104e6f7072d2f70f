//! Logging in: 団体コード, ID and password in, a session out; the password typed once more; and another one chosen (R015–R018).
//!
//! Knows nothing of pages and cookies. What always holds: a try is counted before it is judged, so guesses made side by
//! side do not outrun the count, and one that was never judged is not counted: it waits for its turn first, and from the count
//! on it is carried through even if the browser goes away; whoever is refused learns nothing of why; every try that is judged
//! costs one Argon2 computation, whether there is such a member or not; nothing is hashed inside a transaction; after very many
//! failures a stranger's right password is confirmed by mail, and nobody is locked out.

mod choose;
mod count;
mod doubt;
#[cfg(test)]
mod tests;

pub use choose::{Choice, Chosen, Looks};
pub(super) use count::account;
pub use count::tell_unknown;

use self::count::{Counted, admitted, count, failed};
use super::audit::{self, By, Entry};
use super::errand::{Asker, Errands};
use super::hasher::{HashError, Hasher, Turn, Whose};
use super::notice::Notices;
use super::password;
use super::session::{self, Stage, Visitor};
use super::start_password;
use crate::keys::Keychain;
use crate::model::{Language, Secret, Span, Timestamp};
use crate::random::{NoChance, Random};
use crate::store::{Member, Store, StoreError, Tx};

/// Tries to log in to accounts that there are none of are recorded together, for so long.
pub const UNKNOWN: Span = Span::from_secs(3_600);

/// So many failures one after another, from all devices together, and a right password alone does not let a stranger in.
pub const MANY: u32 = 100;
/// After so long without a try they are forgotten.
pub const QUIET: Span = Span::from_secs(86_400);

/// Why nobody could be let in or refused.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
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
    #[error("a login broke off")]
    Broken,
}

/// What was typed into the login form.
#[derive(Debug, Clone)]
pub struct Typed {
    /// 団体コード, as typed.
    pub org: String,
    /// ID, as typed.
    pub id: String,
    /// 家族コード, as typed; general users leave it empty.
    pub family: String,
    /// パスワード, as typed.
    pub password: Secret<String>,
}

/// What came of a login. There is one way to be refused without a right password, whatever the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The member is in, as far as the stage says.
    In(Box<Member>, Stage),
    /// The password is the administrator's and was right, but its time is over. Whoever has no right one never hears of it.
    Expired,
    /// Not now, or not with these.
    Refused,
}

/// What came of typing the password once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// It is the member's, and the login has got this far.
    In(Stage),
    /// Not now, or not with this one.
    Refused,
    /// The session is over.
    Gone,
}

/// The device a login comes from, by the fingerprint under which its failed tries are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// One that logged in to this account before, and counts for itself.
    Known([u8; 32]),
    /// Any other: all of a network count together.
    Network([u8; 32]),
}

impl Device {
    const fn fingerprint(&self) -> &[u8; 32] {
        match self {
            Self::Known(device) | Self::Network(device) => device,
        }
    }

    const fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }

    const fn whose(self) -> Whose {
        match self {
            Self::Known(_) => Whose::Known,
            Self::Network(network) => Whose::Network(network),
        }
    }
}

/// From where a login comes, and what it leads to.
#[derive(Debug, Clone, Copy)]
pub struct Entrance {
    /// The device.
    pub device: Device,
    /// The hash of the session the browser holds, which ends.
    pub old: Option<[u8; 32]>,
    /// The hash of the one that begins.
    pub session: [u8; 32],
    /// The language chosen on the pages, which is the member's from now on (R061).
    pub language: Option<Language>,
}

/// Lets members in.
#[derive(Clone)]
pub struct Login {
    store: Store,
    keys: Keychain,
    hasher: Hasher,
    random: Random,
    notices: Notices,
    errands: Errands,
}

/// What a try is judged by.
#[derive(Clone)]
struct Facts {
    member: Option<Member>,
    sealed: Option<Vec<u8>>,
    /// What the password is compared with where there is no such member: the hash of another one, always the same, so that it
    /// takes as long as it may take there. Imported hashes ask for more than ours.
    decoy: Option<String>,
}

impl Login {
    /// Makes the service.
    #[must_use]
    pub fn new(store: Store, keys: Keychain, hasher: Hasher, random: Random, notices: Notices) -> Self {
        Self { store, keys, hasher, random, notices, errands: Errands::default() }
    }

    /// Gives the fingerprint under which tries for an account are counted, whether there is such an account or not.
    #[must_use]
    pub fn account(&self, org: &str, id: &str) -> [u8; 32] {
        account(self.keys.now().seal(), org, id)
    }

    /// Judges a login.
    ///
    /// # Errors
    /// The database failed, or no turn to hash came in time.
    pub async fn attempt(&self, typed: Typed, entrance: Entrance, now: Timestamp) -> Result<Verdict, LoginError> {
        let account = self.account(&typed.org, &typed.id);
        let Some(turn) = self.turn(account, entrance.device, now).await? else {
            return Ok(Verdict::Refused);
        };
        let this = self.clone();
        let judged =
            self.errands.run(|asker| async move { this.judge(account, typed, entrance, turn, &asker, now).await });
        judged.await.ok_or(LoginError::Broken)?
    }

    /// Waits for a turn to hash where the gate is open: whoever is kept out takes nobody's, and whoever gets none in time was
    /// not counted.
    async fn turn(&self, account: [u8; 32], device: Device, now: Timestamp) -> Result<Option<Turn>, LoginError> {
        let look = move |tx: &mut Tx<'_>| tx.login_open(&account, device.fingerprint(), now);
        if !self.store.read::<_, StoreError, _>(look).await? {
            return Ok(None);
        }
        Ok(Some(self.hasher.turn(device.whose()).await?))
    }

    /// Counts the try, judges it and lets in who is right, unless nobody waits for that any more.
    async fn judge(
        &self,
        account: [u8; 32],
        typed: Typed,
        entrance: Entrance,
        turn: Turn,
        asker: &Asker,
        now: Timestamp,
    ) -> Result<Verdict, LoginError> {
        let device = *entrance.device.fingerprint();
        // There are no family users yet, so nobody has a family code (R015).
        let names = typed.org.parse().ok().zip(typed.id.parse().ok()).filter(|_| typed.family.trim().is_empty());
        let counted = self.store.write(move |tx| count(tx, &account, &device, names.as_ref(), now)).await?;
        let Some(Counted { facts, failures }) = counted else {
            return Ok(Verdict::Refused);
        };
        let right = self.is_right(&facts, &typed.password, turn).await?;
        let known = facts.member.clone();
        let Some(member) = facts.member.filter(|member| right && !start_password::is_over(member, now)) else {
            self.store.write(move |tx| failed(tx, known.as_ref(), right, failures, now)).await?;
            return Ok(if right { Verdict::Expired } else { Verdict::Refused });
        };
        let gone = asker.is_gone();
        self.store
            .write(move |tx| {
                tx.login_succeeded(&account, &device)?;
                if gone {
                    return Ok(Verdict::Refused);
                }
                if let Some(old) = &entrance.old {
                    tx.end_session(old)?;
                }
                let verdict = let_in(tx, &member, &entrance, failures, now)?;
                if matches!(verdict, Verdict::In(_, Stage::Code | Stage::Password | Stage::Enrol | Stage::Full)) {
                    tx.end_streak(&account)?;
                }
                Ok(verdict)
            })
            .await
    }

    /// Judges the password typed once more by somebody who is logged in; the session goes on as `session`.
    ///
    /// # Errors
    /// The database failed, or no turn to hash came in time.
    pub async fn again(
        &self,
        visitor: &Visitor,
        typed: &Secret<String>,
        device: Device,
        session: [u8; 32],
        now: Timestamp,
    ) -> Result<Again, LoginError> {
        let account = self.account(visitor.org.as_str(), visitor.member.login.as_str());
        let device = Device::Known(*device.fingerprint());
        let Some(turn) = self.turn(account, device, now).await? else {
            return Ok(Again::Refused);
        };
        let (this, member, typed) = (self.clone(), visitor.member.clone(), typed.clone());
        let confirmed =
            self.errands.run(|_| async move { this.is_confirmed(account, device, member, typed, turn, now).await });
        if !confirmed.await.ok_or(LoginError::Broken)?? {
            return Ok(Again::Refused);
        }
        let visitor = visitor.clone();
        let go_on = move |tx: &mut Tx<'_>| match session::holds(tx, &visitor, now)? {
            true => session::typed_again(tx, &visitor.session, &session, now),
            // The password was changed meanwhile, or reset: that ended this session.
            false => Ok(None),
        };
        let stage = self.store.write::<_, StoreError, _>(go_on).await?;
        Ok(stage.map_or(Again::Gone, Again::In))
    }

    /// Says whether the password is that of somebody who is logged in; counts like any other try.
    async fn is_confirmed(
        &self,
        account: [u8; 32],
        device: Device,
        member: Member,
        typed: Secret<String>,
        turn: Turn,
        now: Timestamp,
    ) -> Result<bool, LoginError> {
        let device = *device.fingerprint();
        let counted = self.store.write::<_, StoreError, _>(move |tx| admitted(tx, &account, &device, now)).await?;
        let Some(failures) = counted else {
            return Ok(false);
        };
        let facts = Facts { member: Some(member.clone()), sealed: None, decoy: None };
        let right = self.is_right(&facts, &typed, turn).await?;
        self.store
            .write::<_, StoreError, _>(move |tx| match right {
                true => {
                    tx.login_succeeded(&account, &device)?;
                    tx.end_streak(&account)
                }
                false => failed(tx, Some(&member), false, failures, now),
            })
            .await?;
        Ok(right)
    }

    /// Says whether the password is the member's; costs one Argon2 computation in every case.
    async fn is_right(&self, facts: &Facts, typed: &Secret<String>, turn: Turn) -> Result<bool, LoginError> {
        let Some(member) = &facts.member else {
            turn.verify(as_meant(typed), facts.decoy.clone()).await?;
            return Ok(false);
        };
        let typed = as_meant(typed);
        let matches_hash = turn.verify(typed.clone(), member.password_hash.clone()).await?;
        if member.password_hash.is_some() {
            return Ok(matches_hash);
        }
        let start = self.start_password(facts);
        Ok(start.is_some_and(|start| start_password::same(&password::narrow(start.reveal()), typed.reveal())))
    }

    fn start_password(&self, facts: &Facts) -> Option<Secret<String>> {
        let (member, sealed) = facts.member.as_ref().zip(facts.sealed.as_ref())?;
        let opened = start_password::open(self.keys.now().seal(), member.id, sealed);
        opened.inspect_err(|cause| tracing::error!(member = %member.id, %cause, "a start password stays closed")).ok()
    }
}

/// Opens the session, unless the password was changed while the old one was being judged.
fn let_in(
    tx: &mut Tx<'_>,
    judged: &Member,
    entrance: &Entrance,
    failures: u32,
    now: Timestamp,
) -> Result<Verdict, LoginError> {
    // Whoever changes the password meanwhile ends this session, or is seen here.
    tx.guard()?;
    let member = tx.member_by_id(judged.id)?;
    let Some(mut member) = member.filter(|member| member.password_hash == judged.password_hash) else {
        return Ok(Verdict::Refused);
    };
    if let Some(language) = entrance.language.filter(|language| *language != member.language) {
        tx.set_language(member.id, language)?;
        member.language = language;
    }
    let is_doubted = failures >= MANY && !entrance.device.is_known() && !doubt::places(tx, member.id)?.is_empty();
    let stage = match is_doubted {
        true => session::begin_in_doubt(tx, &entrance.session, &member, now)?,
        false => session::begin(tx, &entrance.session, &member, now)?,
    };
    if stage == Stage::Doubt {
        audit::record(tx, Entry::of(audit::LOGIN_DOUBTED, &member, By::Member).field("failures", failures), now)?;
    }
    if stage != Stage::Full {
        audit::record(tx, Entry::of(audit::LOGIN_PASSWORD, &member, By::Member), now)?;
    }
    Ok(Verdict::In(Box::new(member), stage))
}

/// What the member meant to type: a phone's keyboard adds a blank behind a word and may stand on full width; no password
/// has either.
fn as_meant(typed: &Secret<String>) -> Secret<String> {
    Secret::new(password::narrow(typed.reveal().trim()))
}
