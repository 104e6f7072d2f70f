//! Choosing a password: the first one of one's own, and another one later (R017, R018, R073, R090).
//!
//! What always holds: only somebody who typed the password lately chooses another one; a new password ends every other session
//! of the member and is told to every address of the member; the session at hand goes on under another name.

use super::{Facts, Login, LoginError};
use crate::model::{Secret, Strength, Timestamp};
use crate::queue::Notice;
use crate::service::audit::{self, By, Entry};
use crate::service::notice::Notices;
use crate::service::password::{self, Known, Refusal};
use crate::service::session::{self, Stage, Visitor};
use crate::service::start_password;
use crate::store::Tx;

/// What was typed to choose a password.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The new one.
    pub new: Secret<String>,
    /// The new one once more.
    pub again: Secret<String>,
}

/// What came of choosing a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chosen {
    /// It is the member's password now, and the login has got this far.
    Changed(Stage),
    /// It may not be the password, and why.
    Refused(Refusal),
    /// The session is over, the password was typed too long ago, or it was changed in another tab.
    Gone,
}

/// What a password is replaced by, and where.
struct Change {
    visitor: Visitor,
    hash: String,
    session: [u8; 32],
}

/// What a new password looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looks {
    /// How strong.
    pub strength: Strength,
    /// It is among those that everybody tries first, and the organisation only warns of that.
    pub known_bad: bool,
}

impl Login {
    /// Says how strong a new password of a member looks, as far as that is known without looking anything up.
    ///
    /// # Errors
    /// It will be refused, and why.
    pub fn preview(visitor: &Visitor, new: &Secret<String>) -> Result<Looks, Refusal> {
        let known = known(visitor, None);
        password::judge(new.reveal(), new.reveal(), known, &visitor.policy)?;
        let strength = password::strength(new.reveal(), known);
        Ok(Looks { strength, known_bad: password::is_known_bad(new.reveal(), known) })
    }

    /// Sets a password of the member's own; the session goes on as `session`, and every other one of the member ends.
    ///
    /// # Errors
    /// The database failed, or no turn to hash came in time.
    pub async fn choose(
        &self,
        visitor: &Visitor,
        choice: Choice,
        session: [u8; 32],
        now: Timestamp,
    ) -> Result<Chosen, LoginError> {
        let may = match visitor.stage {
            Stage::Password => true,
            Stage::Full => !visitor.is_stale(now),
            Stage::Code | Stage::Doubt | Stage::Enrol => false,
        };
        if !may {
            return Ok(Chosen::Gone);
        }
        let Choice { new, again } = choice;
        let start = self.start_of(visitor).await?;
        let known = known(visitor, start.as_ref());
        if let Err(refusal) = password::judge(new.reveal(), again.reveal(), known, &visitor.policy) {
            return Ok(Chosen::Refused(refusal));
        }
        if self.is_start(visitor, &new).await? {
            return Ok(Chosen::Refused(Refusal::Start));
        }
        let change =
            Change { visitor: visitor.clone(), hash: self.hasher.hash(new, self.random.bytes()?).await?, session };
        let notices = self.notices;
        let stage = self.store.write::<_, LoginError, _>(move |tx| set(tx, notices, &change, now)).await?;
        Ok(stage.map_or(Chosen::Gone, Chosen::Changed))
    }

    /// Says whether it is the start password that is to be replaced, where that came hashed.
    async fn is_start(&self, visitor: &Visitor, new: &Secret<String>) -> Result<bool, LoginError> {
        let hash = visitor.member.password_hash.clone().filter(|_| start_password::is_given(&visitor.member));
        Ok(hash.is_some() && self.hasher.verify(new.clone(), hash).await?)
    }

    async fn start_of(&self, visitor: &Visitor) -> Result<Option<Secret<String>>, LoginError> {
        let member = visitor.member.clone();
        let id = member.id;
        let sealed = self.store.read(move |tx| tx.secret(start_password::PURPOSE, id.number())).await?;
        Ok(self.start_password(&Facts { member: Some(member), sealed, decoy: None }))
    }
}

fn known<'a>(visitor: &'a Visitor, start: Option<&'a Secret<String>>) -> Known<'a> {
    Known { org: &visitor.org, login: &visitor.member.login, start: start.map(|start| start.reveal().as_str()) }
}

/// Replaces the password, unless the session or the password is another one by now.
fn set(tx: &mut Tx<'_>, notices: Notices, change: &Change, now: Timestamp) -> Result<Option<Stage>, LoginError> {
    let Change { visitor, .. } = change;
    let id = visitor.member.id;
    if !session::holds(tx, visitor, now)? {
        return Ok(None);
    }
    let before = &visitor.member.password_hash;
    let Some(member) = tx.member_by_id(id)?.filter(|member| member.password_hash == *before) else {
        return Ok(None);
    };
    tx.set_password(id, &change.hash, now)?;
    // The first one is no surprise to anybody: the start password asks for it.
    let first = visitor.stage == Stage::Password;
    if !first {
        notices.tell(tx, id, Notice::PasswordChanged, now)?;
    }
    audit::record(tx, Entry::of(audit::PASSWORD_CHANGE, &member, By::Member).field("first", first), now)?;
    let stage = session::typed_again(tx, &visitor.session, &change.session, now)?;
    tx.end_sessions_of(id, Some(&change.session))?;
    Ok(stage)
}
