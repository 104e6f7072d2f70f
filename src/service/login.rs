//! Logging in: 団体コード, ID and password in, a session out; and the password chosen at the first login (R015–R018).
//!
//! Knows nothing of pages and cookies. What always holds: a try is counted before it is judged, so guesses made side by
//! side do not outrun the count; whoever is refused learns nothing of why; every try that is judged costs one Argon2
//! computation, whether there is such a member or not; nothing is hashed inside a transaction.

use super::hasher::{HashError, Hasher};
use super::password::{self, Known, Refusal};
use super::session::{self, Stage, Visitor};
use super::start_password;
use crate::keys::Keys;
use crate::model::{LoginId, MemberId, OrgCode, Secret, Timestamp, mac};
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

/// What came of choosing the first password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstPassword {
    /// It is the member's password now, and the login has got this far.
    Changed(Stage),
    /// It may not be the password, and why.
    Refused(Refusal),
    /// The session is over, or the password was changed in another tab.
    Gone,
}

/// Lets members in.
#[derive(Clone)]
pub struct Login {
    store: Store,
    keys: Arc<Keys>,
    hasher: Hasher,
    random: Random,
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
    pub const fn new(store: Store, keys: Arc<Keys>, hasher: Hasher, random: Random) -> Self {
        Self { store, keys, hasher, random }
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

    /// Judges a login from `device`; a member who is let in gets the session of hash `session`, in place of `old`.
    ///
    /// # Errors
    /// The database failed, or no turn to hash came in time.
    pub async fn attempt(
        &self,
        typed: Typed,
        device: [u8; 32],
        session: [u8; 32],
        old: Option<[u8; 32]>,
        now: Timestamp,
    ) -> Result<Verdict, LoginError> {
        let account = self.account(&typed.org, &typed.id);
        let names = typed.org.parse().ok().zip(typed.id.parse().ok());
        let facts = self.store.write(move |tx| facts(tx, &account, &device, names.as_ref(), now)).await?;
        let Some(facts) = facts else {
            return Ok(Verdict::Refused);
        };
        if !self.is_right(&facts, &typed.password).await? {
            return Ok(Verdict::Refused);
        }
        let Some(member) = facts.member else {
            return Ok(Verdict::Refused);
        };
        self.store
            .write(move |tx| {
                tx.login_succeeded(&account, &device)?;
                if let Some(old) = &old {
                    tx.end_session(old)?;
                }
                let_in(tx, &member, &session, now)
            })
            .await
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

    /// Sets the first password of one's own; the session goes on as `session`, and every other one of the member ends.
    ///
    /// # Errors
    /// The database failed, or no turn to hash came in time.
    pub async fn first_password(
        &self,
        visitor: &Visitor,
        new: Secret<String>,
        again: &Secret<String>,
        session: [u8; 32],
        now: Timestamp,
    ) -> Result<FirstPassword, LoginError> {
        let member = visitor.member.clone();
        let id = member.id;
        let sealed = self.store.read(move |tx| tx.secret(start_password::PURPOSE, id.number())).await?;
        let facts = Facts { member: Some(member.clone()), sealed };
        let start = self.start_password(&facts);
        let known = Known {
            org: &visitor.org,
            login: &member.login,
            start: start.as_ref().map(|start| start.reveal().as_str()),
        };
        if let Err(refusal) = password::judge(new.reveal(), again.reveal(), known) {
            return Ok(FirstPassword::Refused(refusal));
        }
        if member.password_hash.is_some() && self.hasher.verify(new.clone(), member.password_hash.clone()).await? {
            return Ok(FirstPassword::Refused(Refusal::Start));
        }
        let hash = self.hasher.hash(new, self.random.bytes()?).await?;
        let old = visitor.session;
        self.store.write(move |tx| change(tx, id, &hash, &old, &session, now)).await
    }
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
fn let_in(tx: &mut Tx<'_>, judged: &Member, session: &[u8; 32], now: Timestamp) -> Result<Verdict, LoginError> {
    let member = tx.member_by_id(judged.id)?;
    let Some(member) = member.filter(|member| member.password_hash == judged.password_hash) else {
        return Ok(Verdict::Refused);
    };
    let stage = session::begin(tx, session, &member, now)?;
    tx.note_login(member.id, now)?;
    Ok(Verdict::In(Box::new(member), stage))
}

fn change(
    tx: &mut Tx<'_>,
    id: MemberId,
    hash: &str,
    old: &[u8; 32],
    session: &[u8; 32],
    now: Timestamp,
) -> Result<FirstPassword, LoginError> {
    let stands = tx.session(old)?.is_some_and(|old| old.member == id && old.stage == Stage::Password.as_str());
    if !stands {
        return Ok(FirstPassword::Gone);
    }
    tx.set_password(id, hash, now)?;
    let Some(stage) = session::go_on(tx, old, session, None, now)? else { return Ok(FirstPassword::Gone) };
    tx.end_sessions_of(id, Some(session))?;
    Ok(FirstPassword::Changed(stage))
}

/// What the member meant to type: a phone's keyboard adds a blank behind a word and may stand on full width; no password
/// has either.
fn as_meant(typed: &Secret<String>) -> Secret<String> {
    Secret::new(password::narrow(typed.reveal().trim()))
}
