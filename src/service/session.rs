//! Who is logged in: sessions kept on our side, known by the hash of what the browser holds (R057, chapter 2).
//!
//! Knows nothing of cookies or pages: a hash and a moment come in, a [`Visitor`] or nothing comes out. What always holds: a
//! session ends after 30 minutes without use and after 12 hours in any case; one that stands before the change of the first
//! password says so, and opens nothing else (R017).

use crate::model::{MemberId, OrgCode, Span, Timestamp};
use crate::store::{Member, Session, Store, StoreError, Tx};

/// How long a session lives without being used (R057).
pub const IDLE: Span = Span::from_secs(30 * 60);
/// How long a session lives at most (ASVS 7.3.2).
pub const ABSOLUTE: Span = Span::from_secs(12 * 60 * 60);

/// How far a login got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The password is the administrator's and must be changed first.
    Password,
    /// Logged in.
    Full,
}

impl Stage {
    /// Gives the name the store keeps.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Full => "full",
        }
    }

    /// Reads the name the store keeps; a stage this version does not know opens nothing.
    fn named(name: &str) -> Option<Self> {
        [Self::Password, Self::Full].into_iter().find(|stage| stage.as_str() == name)
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
    /// How far the login got.
    pub stage: Stage,
}

/// What became of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is good.
    In(Box<Visitor>),
    /// It is over: its time ran out, or it was ended elsewhere.
    Lapsed,
    /// There is none.
    Out,
}

/// Says whether a session is still good.
#[must_use]
pub fn is_good(session: &Session, now: Timestamp) -> bool {
    now < session.seen.plus(IDLE) && now < session.created.plus(ABSOLUTE)
}

/// Finds out whose session it is, and notes that it was used.
///
/// # Errors
/// The database failed.
pub async fn standing(store: &Store, hash: [u8; 32], now: Timestamp) -> Result<Standing, StoreError> {
    let found = store.read(move |tx| look(tx, &hash, now)).await?;
    if let (Standing::In(_), seen) = &found
        && *seen < now
    {
        store.write(move |tx| tx.touch_session(&hash, now)).await?;
    }
    Ok(found.0)
}

fn look(tx: &mut Tx<'_>, hash: &[u8; 32], now: Timestamp) -> Result<(Standing, Timestamp), StoreError> {
    let Some(session) = tx.session(hash)? else {
        return Ok((Standing::Lapsed, now));
    };
    let seen = session.seen;
    let Some(stage) = Stage::named(&session.stage).filter(|_| is_good(&session, now)) else {
        return Ok((Standing::Lapsed, seen));
    };
    let visitor = visitor(tx, session.member, *hash, stage)?;
    Ok((visitor.map_or(Standing::Lapsed, |visitor| Standing::In(Box::new(visitor))), seen))
}

fn visitor(tx: &mut Tx<'_>, member: MemberId, session: [u8; 32], stage: Stage) -> Result<Option<Visitor>, StoreError> {
    let Some(member) = tx.member_by_id(member)? else {
        return Ok(None);
    };
    let org = tx.org_by_id(member.org)?;
    Ok(org.map(|org| Visitor { session, member, org: org.code, titles: (org.title, org.title_en), stage }))
}

/// Begins a session; part of the transaction that let the member in.
///
/// # Errors
/// The database failed.
pub fn begin(
    tx: &mut Tx<'_>,
    hash: &[u8; 32],
    member: &Member,
    stage: Stage,
    now: Timestamp,
) -> Result<(), StoreError> {
    let session = Session {
        member: member.id,
        created: now,
        seen: now,
        stage: stage.as_str().to_owned(),
        language: member.language,
    };
    tx.open_session(hash, &session)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Language;

    #[test]
    fn r057_a_session_ends_after_30_idle_minutes_and_after_12_hours() {
        let minute = |minutes: i64| Timestamp::from_millis(minutes * 60_000);
        let session = |created: i64, seen: i64| Session {
            member: MemberId::new(1),
            created: minute(created),
            seen: minute(seen),
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
    fn an_unknown_stage_opens_nothing() {
        assert_eq!(Stage::named("password"), Some(Stage::Password));
        assert_eq!(Stage::named("full"), Some(Stage::Full));
        assert_eq!(Stage::named("two-factor"), None);
    }
}
