//! Who is logged in: sessions kept on our side, known by the hash of what the browser holds (R057, chapter 2).
//!
//! Knows nothing of cookies or pages: a hash and a moment come in, a [`Visitor`] or nothing comes out. What always holds: a
//! session ends after 30 minutes without use (60 while it waits for a code) and after 12 hours in any case; one that stands
//! before a code, the change of the first password or the set-up of a second factor says so, and opens nothing else (R017, R022,
//! R025), and moves on or back with what the organisation asks for; each step of a login gives the session another name; a
//! login is recorded when it is through.

use super::audit::{self, By, Entry};
use super::start_password;
use crate::model::{MemberId, OrgCode, Policy, Span, Timestamp};
use crate::store::{Member, Org, Session, Store, StoreError, Tx};

/// How long a session lives without being used (R057).
pub const IDLE: Span = Span::from_secs(30 * 60);
/// How long one lives without being used that stands before a code: as long as a code that was mailed for it (R040), however
/// late the carrier brings it. It opens nothing else.
pub const AWAITING: Span = Span::from_secs(60 * 60);
/// How long a session lives at most (ASVS 7.3.2).
pub const ABSOLUTE: Span = Span::from_secs(12 * 60 * 60);

/// How far a login got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The password was right; a code of the second factor is asked for.
    Code,
    /// The password was right, but so many had been wrong before that a code by mail is to confirm it.
    Doubt,
    /// The password is the administrator's and must be changed first.
    Password,
    /// The organisation asks for a second factor, and there is none yet.
    Enrol,
    /// Logged in.
    Full,
}

/// What a member has to show besides the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Factors {
    /// Nothing yet.
    None,
    /// Something that is to be replaced, and still holds.
    Ending,
    /// Something that stays.
    Lasting,
}

/// What decides how far a login has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// The password is the administrator's.
    pub change: bool,
    /// The organisation asks for a second factor (R023).
    pub two_factor: bool,
    /// What the member has.
    pub factors: Factors,
    /// A code passed, or the backup code.
    pub has_passed: bool,
}

impl Stage {
    /// Gives how long a session that has got so far lives without being used.
    #[must_use]
    pub const fn idle(self) -> Span {
        match self {
            Self::Code | Self::Doubt | Self::Enrol => AWAITING,
            Self::Password | Self::Full => IDLE,
        }
    }

    const ALL: [Self; 5] = [Self::Code, Self::Doubt, Self::Password, Self::Enrol, Self::Full];

    /// Says whose turn it is: the code before the password, so that whoever found a start password gets no further.
    #[must_use]
    pub const fn of(needs: Needs) -> Self {
        match needs {
            Needs { two_factor: true, factors: Factors::Lasting | Factors::Ending, has_passed: false, .. } => {
                Self::Code
            }
            Needs { change: true, .. } => Self::Password,
            Needs { two_factor: true, factors: Factors::None | Factors::Ending, .. } => Self::Enrol,
            Needs { .. } => Self::Full,
        }
    }

    /// Says where a session is that was here, where a login would by now get as far as `due`: what an organisation asks for, and
    /// what a member has, changes under a session, too.
    #[must_use]
    pub const fn moved(self, due: Self) -> Self {
        match (self, due) {
            // Only a code by mail ends a doubt; a password that is to be changed is asked for at the login.
            (Self::Doubt | Self::Password, _) | (Self::Enrol | Self::Full, Self::Password) => self,
            (Self::Code | Self::Enrol | Self::Full, _) => due,
        }
    }

    /// Gives the name the store keeps.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Doubt => "doubt",
            Self::Password => "password",
            Self::Enrol => "enrol",
            Self::Full => "full",
        }
    }

    /// Reads the name the store keeps; a stage this version does not know opens nothing.
    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == name)
    }
}

/// Somebody who is logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    /// The hash of the session's cookie.
    pub session: [u8; 32],
    /// Who it is.
    pub member: Member,
    /// The code of the member's organisation.
    pub org: OrgCode,
    /// The organisation's name, Japanese and English.
    pub titles: (String, Option<String>),
    /// What the organisation asks for.
    pub policy: Policy,
    /// How far the login got.
    pub stage: Stage,
    /// When the session began, under whatever name.
    pub begun: Timestamp,
    /// When the password was typed.
    pub password_at: Timestamp,
    /// When a second factor passed.
    pub code_at: Option<Timestamp>,
    /// The login before this one (R046).
    pub last_login: Option<Timestamp>,
}

impl Visitor {
    /// Says whether the password was typed so long ago that it is to be typed again for what matters (ASVS 7.5.1).
    #[must_use]
    pub fn is_stale(&self, now: Timestamp) -> bool {
        self.password_at.plus(self.policy.reauthenticate_after()) <= now
    }

    /// Says whether a second factor had passed so lately at that moment that no other code was needed for what matters.
    #[must_use]
    pub fn had_passed(&self, at: Timestamp) -> bool {
        self.code_at.is_some_and(|passed| at < passed.plus(self.policy.reauthenticate_after()))
    }
}

#[cfg(test)]
impl Visitor {
    /// A member of DEMO whose login has just got so far, in session `number`.
    pub(crate) fn just_in(member: Member, number: u8, stage: Stage, now: Timestamp) -> Self {
        Self {
            session: [number; 32],
            member,
            org: "DEMO".parse().unwrap(),
            titles: ("デモ".to_owned(), None),
            policy: Policy::default(),
            stage,
            begun: now,
            password_at: now,
            code_at: None,
            last_login: None,
        }
    }
}

/// How long it stays known whose a session was after its time ran out, for a form that was half filled by then.
pub const REMEMBERED: Span = Span::from_secs(12 * 60 * 60);

/// What became of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is good.
    In(Box<Visitor>),
    /// It is over: its time ran out, or it was ended elsewhere. Where its time ran out with somebody logged in, says who.
    Lapsed(Option<MemberId>),
    /// There is none.
    Out,
}

/// Says whether a session is still good.
#[must_use]
pub fn is_good(session: &Session, now: Timestamp) -> bool {
    let idle = Stage::named(&session.stage).map_or(IDLE, Stage::idle);
    now < session.seen.plus(idle) && now < session.created.plus(ABSOLUTE)
}

/// Finds out whose session it is, and notes that it was used.
///
/// # Errors
/// The database failed.
pub async fn standing(store: &Store, hash: [u8; 32], now: Timestamp) -> Result<Standing, StoreError> {
    let (found, behind) = store.read(move |tx| look(tx, &hash, now)).await?;
    match behind {
        Behind::Nothing => {}
        Behind::Use => store.write(move |tx| tx.touch_session(&hash, now)).await?,
        Behind::Stage => store.write(move |tx| move_on(tx, &hash, now)).await?,
    }
    Ok(found)
}

/// What is not in the row of a session yet.
enum Behind {
    Nothing,
    /// That it was used.
    Use,
    /// How far it has got by now, and that it was used.
    Stage,
}

fn look(tx: &mut Tx<'_>, hash: &[u8; 32], now: Timestamp) -> Result<(Standing, Behind), StoreError> {
    let Some(session) = tx.session(hash)? else {
        return Ok((Standing::Lapsed(None), Behind::Nothing));
    };
    let (seen, member) = (session.seen, session.member);
    let stage = Stage::named(&session.stage);
    let Some(stage) = stage.filter(|_| is_good(&session, now)) else {
        let member = (stage == Some(Stage::Full)).then_some(member);
        return Ok((Standing::Lapsed(member), Behind::Nothing));
    };
    let Some(visitor) = visitor(tx, session, *hash, stage, now)? else {
        return Ok((Standing::Lapsed(None), Behind::Nothing));
    };
    let behind = match visitor.stage == stage {
        true if now <= seen => Behind::Nothing,
        true => Behind::Use,
        false => Behind::Stage,
    };
    Ok((Standing::In(Box::new(visitor)), behind))
}

/// Writes down how far a session has got by now.
fn move_on(tx: &mut Tx<'_>, hash: &[u8; 32], now: Timestamp) -> Result<(), StoreError> {
    tx.guard()?;
    let Some(session) = tx.hold_session(hash)? else { return Ok(()) };
    let (Some(stage), Some(member)) = (Stage::named(&session.stage), tx.member_by_id(session.member)?) else {
        return Ok(());
    };
    let next = stage.moved(stage_of(tx, &member, session.code_at.is_some(), now)?);
    tx.set_stage(hash, next.as_str())?;
    through(tx, &member, Some(stage), next, now)?;
    tx.touch_session(hash, now)
}

fn visitor(
    tx: &mut Tx<'_>,
    found: Session,
    session: [u8; 32],
    stage: Stage,
    now: Timestamp,
) -> Result<Option<Visitor>, StoreError> {
    let Some(member) = tx.member_by_id(found.member)? else {
        return Ok(None);
    };
    let Some(org) = tx.org_by_id(member.org)? else {
        return Ok(None);
    };
    let stage = stage.moved(due(tx, &org, &member, found.code_at.is_some(), now)?);
    Ok(Some(Visitor {
        session,
        member,
        org: org.code,
        titles: (org.title, org.title_en),
        policy: org.policy,
        stage,
        begun: found.created,
        password_at: found.password_at,
        code_at: found.code_at,
        last_login: found.last_login,
    }))
}

/// Begins a session of somebody whose password was right; part of the transaction that lets the member in. Gives how far
/// the login has got.
///
/// # Errors
/// The database failed.
pub fn begin(tx: &mut Tx<'_>, hash: &[u8; 32], member: &Member, now: Timestamp) -> Result<Stage, StoreError> {
    let stage = stage_of(tx, member, false, now)?;
    open(tx, hash, member, stage, now)?;
    Ok(stage)
}

/// Begins a session of somebody whose password was right after so many wrong ones that it is to be confirmed: by a code of the
/// second factor where one is asked for, else by one that comes by mail. Gives how far the login has got.
///
/// # Errors
/// The database failed.
pub fn begin_in_doubt(tx: &mut Tx<'_>, hash: &[u8; 32], member: &Member, now: Timestamp) -> Result<Stage, StoreError> {
    let stage = match stage_of(tx, member, false, now)? {
        Stage::Code => Stage::Code,
        Stage::Doubt | Stage::Password | Stage::Enrol | Stage::Full => Stage::Doubt,
    };
    open(tx, hash, member, stage, now)?;
    Ok(stage)
}

fn open(tx: &mut Tx<'_>, hash: &[u8; 32], member: &Member, stage: Stage, now: Timestamp) -> Result<(), StoreError> {
    let session = Session {
        member: member.id,
        created: now,
        seen: now,
        password_at: now,
        code_at: None,
        last_login: member.last_login,
        stage: stage.as_str().to_owned(),
        language: member.language,
    };
    tx.open_session(hash, &session)?;
    through(tx, member, None, stage, now)
}

/// How long it is remembered under which name a session went on before: as long as somebody may press a button twice.
pub const TWICE: Span = Span::from_secs(30);

/// Says how far the login has got whose session had that name until a moment ago. It tells where to go on, and opens nothing.
///
/// # Errors
/// The database failed.
pub async fn went_on(store: &Store, before: [u8; 32], now: Timestamp) -> Result<Option<Stage>, StoreError> {
    store
        .read(move |tx| {
            let found = tx.renamed_session(&before)?.filter(|(_, at)| now < at.plus(TWICE));
            let Some((name, _)) = found else { return Ok(None) };
            Ok(tx.session(&name)?.filter(|session| is_good(session, now)).and_then(|found| Stage::named(&found.stage)))
        })
        .await
}

/// Records a login that is through with this step.
fn through(
    tx: &mut Tx<'_>,
    member: &Member,
    before: Option<Stage>,
    stage: Stage,
    now: Timestamp,
) -> Result<(), StoreError> {
    if stage != Stage::Full || before == Some(Stage::Full) {
        return Ok(());
    }
    tx.note_login(member.id, now)?;
    audit::record(tx, Entry::of(audit::LOGIN_SUCCESS, member, By::Member), now)
}

/// Says whether a session still is where it was when the page was asked for. Nobody else moves or ends it, and nobody else
/// decides about its member, until this transaction ends: [`go_on`] and [`typed_again`] find it.
///
/// # Errors
/// The database failed.
pub fn holds(tx: &mut Tx<'_>, visitor: &Visitor, now: Timestamp) -> Result<bool, StoreError> {
    tx.guard()?;
    let session = tx.hold_session(&visitor.session)?;
    Ok(session.is_some_and(|found| {
        found.member == visitor.member.id && found.stage == visitor.stage.as_str() && is_good(&found, now)
    }))
}

/// Ends sessions whose time ran out so long ago that nothing is waiting for them; gives how many.
///
/// # Errors
/// The database failed.
pub fn trim(tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Result<u64, StoreError> {
    let (idle, absolute) = (AWAITING.plus(REMEMBERED), ABSOLUTE.plus(REMEMBERED));
    tx.trim_sessions(now.minus(idle), now.minus(absolute), limit)
}

/// Goes on with a session under another name after a step of the login; `code_at`: a second factor passed just now. Gives how
/// far the login has got, or nothing where the session is over.
///
/// # Errors
/// The database failed.
pub fn go_on(
    tx: &mut Tx<'_>,
    old: &[u8; 32],
    new: &[u8; 32],
    code_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<Option<Stage>, StoreError> {
    let Some(before) = tx.session(old)?.filter(|session| is_good(session, now)) else { return Ok(None) };
    let code_at = code_at.or(before.code_at);
    renamed(tx, old, new, Session { code_at, ..before }, now)
}

/// Goes on with a session under another name after a second factor passed at the login.
///
/// # Errors
/// The database failed.
pub fn passed(tx: &mut Tx<'_>, old: &[u8; 32], new: &[u8; 32], now: Timestamp) -> Result<Option<Stage>, StoreError> {
    go_on(tx, old, new, Some(now), now)
}

/// Goes on with a session under another name after its member typed the password once more, the one there is or a new one;
/// codes under way go along. Gives how far the login has got, or nothing where the session is over.
///
/// # Errors
/// The database failed.
pub fn typed_again(
    tx: &mut Tx<'_>,
    old: &[u8; 32],
    new: &[u8; 32],
    now: Timestamp,
) -> Result<Option<Stage>, StoreError> {
    let Some(before) = tx.session(old)?.filter(|session| is_good(session, now)) else { return Ok(None) };
    let stage = renamed(tx, old, new, Session { password_at: now, ..before }, now)?;
    if stage.is_some() {
        tx.move_challenges(old, new)?;
    }
    Ok(stage)
}

/// Goes on with a session under another name after its member, logged in already, showed a second factor once more; codes
/// under way go along. Gives how far the login has got, or nothing where the session is over.
///
/// # Errors
/// The database failed.
pub fn passed_again(
    tx: &mut Tx<'_>,
    old: &[u8; 32],
    new: &[u8; 32],
    now: Timestamp,
) -> Result<Option<Stage>, StoreError> {
    let stage = go_on(tx, old, new, Some(now), now)?;
    if stage.is_some() {
        tx.move_challenges(old, new)?;
    }
    Ok(stage)
}

fn renamed(
    tx: &mut Tx<'_>,
    old: &[u8; 32],
    new: &[u8; 32],
    session: Session,
    now: Timestamp,
) -> Result<Option<Stage>, StoreError> {
    let Some(member) = tx.member_by_id(session.member)? else { return Ok(None) };
    let stage = stage_of(tx, &member, session.code_at.is_some(), now)?;
    let before = Stage::named(&session.stage);
    tx.end_session(old)?;
    tx.open_session(new, &Session { seen: now, stage: stage.as_str().to_owned(), ..session })?;
    tx.note_name_before(new, old, now)?;
    through(tx, &member, before, stage, now)?;
    Ok(Some(stage))
}

/// Works out how far somebody has got whose password was right.
fn stage_of(tx: &mut Tx<'_>, member: &Member, has_passed: bool, now: Timestamp) -> Result<Stage, StoreError> {
    match tx.org_by_id(member.org)? {
        Some(org) => due(tx, &org, member, has_passed, now),
        None => Ok(Stage::Code),
    }
}

fn due(tx: &mut Tx<'_>, org: &Org, member: &Member, has_passed: bool, now: Timestamp) -> Result<Stage, StoreError> {
    let two_factor = org.policy.two_factor;
    let known = tx.factors(member.id, now)?;
    let factors = match known.iter().any(|factor| factor.ends.is_none()) {
        true => Factors::Lasting,
        false if known.is_empty() => Factors::None,
        false => Factors::Ending,
    };
    let change = start_password::is_given(member);
    Ok(Stage::of(Needs { change, two_factor, factors, has_passed }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Language, MemberId};

    #[test]
    fn r057_a_session_ends_after_30_idle_minutes_and_after_12_hours() {
        let minute = |minutes: i64| Timestamp::from_millis(minutes * 60_000);
        let session = |created: i64, seen: i64| Session {
            member: MemberId::new(1),
            created: minute(created),
            seen: minute(seen),
            password_at: minute(created),
            code_at: None,
            last_login: None,
            stage: Stage::Full.as_str().to_owned(),
            language: Language::Ja,
        };
        let just = Span::from_millis(1);
        assert!(is_good(&session(0, 0), minute(30).minus(just)));
        assert!(!is_good(&session(0, 0), minute(30)));
        assert!(is_good(&session(0, 719), minute(720).minus(just)));
        assert!(!is_good(&session(0, 719), minute(720)));
    }

    #[test]
    fn r022_r023_r025_a_session_moves_with_what_is_asked_for_but_not_to_another_password() {
        use Stage::{Code, Doubt, Enrol, Full, Password};
        for (stage, due, next) in [
            (Full, Enrol, Enrol),
            (Full, Code, Code),
            (Enrol, Full, Full),
            (Code, Enrol, Enrol),
            (Code, Full, Full),
            (Code, Password, Password),
            (Full, Password, Full),
            (Enrol, Password, Enrol),
            (Password, Full, Password),
            (Doubt, Full, Doubt),
            (Doubt, Code, Doubt),
        ] {
            assert_eq!(stage.moved(due), next, "{stage:?} {due:?}");
        }
        assert!(Stage::ALL.into_iter().all(|stage| stage.moved(stage) == stage));
    }

    #[test]
    fn an_unknown_stage_opens_nothing() {
        for stage in Stage::ALL {
            assert_eq!(Stage::named(stage.as_str()), Some(stage));
        }
        assert_eq!(Stage::named("two-factor"), None);
    }

    #[test]
    fn r017_r022_r025_each_step_of_a_login_has_its_turn() {
        use Factors::{Ending, Lasting, None};
        let needs = |change, two_factor, factors, has_passed| Needs { change, two_factor, factors, has_passed };
        for (needs, stage) in [
            (needs(false, false, None, false), Stage::Full),
            (needs(true, false, None, false), Stage::Password),
            // R023: where the organisation does not ask for it, what was set up is not asked for either.
            (needs(false, false, Lasting, false), Stage::Full),
            (needs(true, false, Ending, false), Stage::Password),
            (needs(true, true, None, false), Stage::Password),
            (needs(false, true, None, false), Stage::Enrol),
            // A backup code has passed, and what there was holds until another one is set up, or is gone.
            (needs(false, true, Ending, true), Stage::Enrol),
            (needs(false, true, None, true), Stage::Enrol),
            (needs(true, true, Lasting, false), Stage::Code),
            (needs(false, true, Lasting, false), Stage::Code),
            (needs(false, true, Ending, false), Stage::Code),
            (needs(true, true, Lasting, true), Stage::Password),
            (needs(false, true, Lasting, true), Stage::Full),
        ] {
            assert_eq!(Stage::of(needs), stage, "{needs:?}");
        }
    }
}
