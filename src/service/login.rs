//! Logging in: 団体コード, ID and password in, a session out; the password typed once more; and another one chosen (R015–R018).
//!
//! Knows nothing of pages and cookies. What always holds: a try is counted before it is judged, so guesses made side by
//! side do not outrun the count; whoever is refused learns nothing of why; every try that is judged costs one Argon2
//! computation, whether there is such a member or not; nothing is hashed inside a transaction.

mod choose;

pub use choose::{Choice, Chosen, Looks};

use super::audit::{self, By, Entry};
use super::hasher::{HashError, Hasher};
use super::notice::Notices;
use super::password;
use super::session::{self, Stage, Visitor};
use super::start_password;
use crate::keys::Keys;
use crate::model::{Language, LoginId, OrgCode, Secret, Timestamp, mac};
use crate::random::{NoChance, Random};
use crate::store::{Gate, Member, Store, StoreError, Tx};
use std::sync::Arc;

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

/// What came of a login. There is one way to be refused, whatever the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The member is in, as far as the stage says.
    In(Box<Member>, Stage),
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

/// From where a login comes, and what it leads to.
#[derive(Debug, Clone, Copy)]
pub struct Entrance {
    /// The fingerprint under which failed tries of the device are counted.
    pub device: [u8; 32],
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
    keys: Arc<Keys>,
    hasher: Hasher,
    random: Random,
    notices: Notices,
}

/// What a try is judged by.
#[derive(Clone)]
struct Facts {
    member: Option<Member>,
    sealed: Option<Vec<u8>>,
}

impl Login {
    /// Makes the service.
    #[must_use]
    pub const fn new(store: Store, keys: Arc<Keys>, hasher: Hasher, random: Random, notices: Notices) -> Self {
        Self { store, keys, hasher, random, notices }
    }

    /// Gives the fingerprint under which tries for an account are counted, whether there is such an account or not.
    #[must_use]
    pub fn account(&self, org: &str, id: &str) -> [u8; 32] {
        let org = org.parse::<OrgCode>().map_or_else(|_| org.to_owned(), String::from);
        let id = id.parse::<LoginId>().map_or_else(|_| id.to_owned(), |id| id.folded());
        let typed = [&u64::try_from(org.len()).unwrap_or(0).to_be_bytes(), org.as_bytes(), id.as_bytes()].concat();
        let (_, key) = self.keys.seal().active();
        mac(key, "karamail login account", &typed)
    }

    /// Judges a login.
    ///
    /// # Errors
    /// The database failed, or no turn to hash came in time.
    pub async fn attempt(&self, typed: Typed, entrance: Entrance, now: Timestamp) -> Result<Verdict, LoginError> {
        let account = self.account(&typed.org, &typed.id);
        let device = entrance.device;
        // There are no family users yet, so nobody has a family code (R015).
        let names = typed.org.parse().ok().zip(typed.id.parse().ok()).filter(|_| typed.family.trim().is_empty());
        let facts = self.store.write(move |tx| facts(tx, &account, &device, names.as_ref(), now)).await?;
        let Some(facts) = facts else {
            return Ok(Verdict::Refused);
        };
        let right = self.is_right(&facts, &typed.password).await?;
        let known = facts.member.clone();
        let Some(member) = facts.member.filter(|member| right && !start_password::is_over(member, now)) else {
            self.store.write(move |tx| failed(tx, known.as_ref(), right, now)).await?;
            return Ok(Verdict::Refused);
        };
        self.store
            .write(move |tx| {
                tx.login_succeeded(&account, &device)?;
                if let Some(old) = &entrance.old {
                    tx.end_session(old)?;
                }
                let_in(tx, &member, &entrance, now)
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
        device: [u8; 32],
        session: [u8; 32],
        now: Timestamp,
    ) -> Result<Again, LoginError> {
        if !self.is_confirmed(visitor, typed, device, now).await? {
            return Ok(Again::Refused);
        }
        let old = visitor.session;
        let stage =
            self.store.write::<_, StoreError, _>(move |tx| session::typed_again(tx, &old, &session, now)).await?;
        Ok(stage.map_or(Again::Gone, Again::In))
    }

    /// Says whether the password is that of somebody who is logged in; counts like any other try.
    async fn is_confirmed(
        &self,
        visitor: &Visitor,
        typed: &Secret<String>,
        device: [u8; 32],
        now: Timestamp,
    ) -> Result<bool, LoginError> {
        let account = self.account(visitor.org.as_str(), visitor.member.login.as_str());
        let gate = self.store.write::<_, StoreError, _>(move |tx| tx.try_login(&account, &device, now)).await?;
        if let Gate::Wait { .. } = gate {
            return Ok(false);
        }
        let right = self.is_right(&Facts { member: Some(visitor.member.clone()), sealed: None }, typed).await?;
        let member = visitor.member.clone();
        self.store
            .write::<_, StoreError, _>(move |tx| match right {
                true => tx.login_succeeded(&account, &device),
                false => failed(tx, Some(&member), false, now),
            })
            .await?;
        Ok(right)
    }

    /// Says whether the password is the member's; costs one Argon2 computation in every case.
    async fn is_right(&self, facts: &Facts, typed: &Secret<String>) -> Result<bool, LoginError> {
        let hash = facts.member.as_ref().and_then(|member| member.password_hash.clone());
        let typed = as_meant(typed);
        let matches_hash = self.hasher.verify(typed.clone(), hash.clone()).await?;
        if hash.is_some() {
            return Ok(matches_hash);
        }
        let start = self.start_password(facts);
        Ok(start.is_some_and(|start| start_password::same(&password::narrow(start.reveal()), typed.reveal())))
    }

    fn start_password(&self, facts: &Facts) -> Option<Secret<String>> {
        let (member, sealed) = facts.member.as_ref().zip(facts.sealed.as_ref())?;
        let opened = start_password::open(self.keys.seal(), member.id, sealed);
        opened.inspect_err(|cause| tracing::error!(member = %member.id, %cause, "a start password stays closed")).ok()
    }
}

/// Records that somebody did not get in. What was typed is not told: a password typed into the wrong field is one, too.
fn failed(tx: &mut Tx<'_>, member: Option<&Member>, right: bool, now: Timestamp) -> Result<(), StoreError> {
    let (name, by) = (audit::LOGIN_FAIL, By::Member);
    let entry = match member {
        Some(member) => Entry::of(name, member, by).field("why", if right { "expired" } else { "password" }),
        None => Entry::at_large(name, by).field("why", "unknown"),
    };
    audit::record(tx, entry, now)
}

/// Counts the try and, if it may be judged, loads what it is judged by.
fn facts(
    tx: &mut Tx<'_>,
    account: &[u8; 32],
    device: &[u8; 32],
    names: Option<&(OrgCode, LoginId)>,
    now: Timestamp,
) -> Result<Option<Facts>, StoreError> {
    if let Gate::Wait { .. } = tx.try_login(account, device, now)? {
        return Ok(None);
    }
    let Some((code, login)) = names else {
        return Ok(Some(Facts { member: None, sealed: None }));
    };
    let org = tx.org(code)?;
    let member = org.map(|org| tx.member(org.id, login)).transpose()?.flatten();
    let sealed = member.as_ref().map(|member| tx.secret(start_password::PURPOSE, member.id.number())).transpose()?;
    Ok(Some(Facts { member, sealed: sealed.flatten() }))
}

/// Opens the session, unless the password was changed while the old one was being judged.
fn let_in(tx: &mut Tx<'_>, judged: &Member, entrance: &Entrance, now: Timestamp) -> Result<Verdict, LoginError> {
    let member = tx.member_by_id(judged.id)?;
    let Some(mut member) = member.filter(|member| member.password_hash == judged.password_hash) else {
        return Ok(Verdict::Refused);
    };
    if let Some(language) = entrance.language.filter(|language| *language != member.language) {
        tx.set_language(member.id, language)?;
        member.language = language;
    }
    let stage = session::begin(tx, &entrance.session, &member, now)?;
    tx.note_login(member.id, now)?;
    audit::record(tx, Entry::of(audit::LOGIN_SUCCESS, &member, By::Member), now)?;
    Ok(Verdict::In(Box::new(member), stage))
}

/// What the member meant to type: a phone's keyboard adds a blank behind a word and may stand on full width; no password
/// has either.
fn as_meant(typed: &Secret<String>) -> Secret<String> {
    Secret::new(password::narrow(typed.reveal().trim()))
}
