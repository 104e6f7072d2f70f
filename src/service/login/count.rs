//! What a try to log in is counted under, what it is judged by, and what is recorded where it fails.
//!
//! Knows nothing of passwords. What always holds: a try is counted for its device and for the account in the transaction that
//! finds what it is judged by; an account that there is none of is counted like any other, and never told of one by one.

use super::{Facts, MANY, QUIET, UNKNOWN};
use crate::model::{KeyRing, LoginId, OrgCode, Timestamp, mac};
use crate::service::audit::{self, By, Entry};
use crate::service::start_password;
use crate::store::{Gate, Member, Org, StoreError, Tx};

/// Gives the fingerprint under which tries for an account are counted; `keys` are those that seal.
pub(in crate::service) fn account(keys: &KeyRing, org: &str, id: &str) -> [u8; 32] {
    let org = org.parse::<OrgCode>().map_or_else(|_| org.to_owned(), String::from);
    let id = id.parse::<LoginId>().map_or_else(|_| id.to_owned(), |id| id.folded());
    let typed = [&u64::try_from(org.len()).unwrap_or(0).to_be_bytes(), org.as_bytes(), id.as_bytes()].concat();
    // What was counted goes on counting, and devices stay known, while a new key takes the place of this one.
    let (_, key) = keys.oldest();
    mac(key, "karamail login account", &typed)
}

/// Records that somebody did not get in, after so many who did not. What was typed is not told: a password typed into the
/// wrong field is one, too.
pub(super) fn failed(
    tx: &mut Tx<'_>,
    member: Option<&Member>,
    right: bool,
    failures: u32,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(member) = member else {
        tell_unknown(tx, now)?;
        return tx.count_unknown_login(now);
    };
    let why = if right { "expired" } else { "password" };
    audit::record(tx, Entry::of(audit::LOGIN_FAIL, member, By::Member).field("why", why), now)?;
    if failures.saturating_add(1) != MANY {
        return Ok(());
    }
    audit::record(tx, Entry::of(audit::LOGIN_FAIL_MAX, member, By::Service).field("failures", MANY), now)
}

/// Tells of the tries to log in to accounts that there are none of, once their period is over; gives how many entries that
/// took. One for each try would let strangers fill the audit log.
///
/// # Errors
/// The database failed.
pub fn tell_unknown(tx: &mut Tx<'_>, now: Timestamp) -> Result<u64, StoreError> {
    let Some((since, tries)) = tx.take_unknown_logins(now.minus(UNKNOWN))? else { return Ok(0) };
    let entry = Entry::at_large(audit::LOGIN_FAIL, By::Member).field("why", "unknown");
    audit::record(tx, entry.field("tries", tries).field("since", since.millis()), now)?;
    Ok(1)
}

/// Counts the try and says how many failed before it, if it may be judged.
pub(super) fn admitted(
    tx: &mut Tx<'_>,
    account: &[u8; 32],
    device: &[u8; 32],
    now: Timestamp,
) -> Result<Option<u32>, StoreError> {
    match tx.try_login(account, device, now)? {
        Gate::Wait { .. } => Ok(None),
        Gate::Open { .. } => tx.count_try(account, now.minus(QUIET), now).map(Some),
    }
}

/// A try that may be judged.
pub(super) struct Counted {
    pub(super) facts: Facts,
    /// How many failed one after another before it, wherever they came from.
    pub(super) failures: u32,
}

/// Counts the try and, if it may be judged, loads what it is judged by.
pub(super) fn count(
    tx: &mut Tx<'_>,
    account: &[u8; 32],
    device: &[u8; 32],
    names: Option<&(OrgCode, LoginId)>,
    now: Timestamp,
) -> Result<Option<Counted>, StoreError> {
    let Some(failures) = admitted(tx, account, device, now)? else {
        return Ok(None);
    };
    Ok(Some(Counted { facts: facts(tx, names)?, failures }))
}

fn facts(tx: &mut Tx<'_>, names: Option<&(OrgCode, LoginId)>) -> Result<Facts, StoreError> {
    let Some((code, login)) = names else {
        return Ok(Facts { member: None, sealed: None, decoy: None });
    };
    let org = tx.org(code)?;
    let member = org.as_ref().map(|org| tx.member(org.id, login)).transpose()?.flatten();
    let Some(member) = member else {
        let decoy = decoy(tx, org.as_ref(), code, login)?;
        return Ok(Facts { member: None, sealed: None, decoy });
    };
    let sealed = tx.secret(start_password::PURPOSE, member.id.number())?;
    Ok(Facts { member: Some(member), sealed, decoy: None })
}

/// Finds the password of the member that comes next by ID, in the organisation or else in the one that comes next.
pub(super) fn decoy(
    tx: &mut Tx<'_>,
    org: Option<&Org>,
    code: &OrgCode,
    login: &LoginId,
) -> Result<Option<String>, StoreError> {
    let org = match org {
        Some(org) => Some(org.id),
        None => tx.org_after(code)?.map(|org| org.id),
    };
    let Some(org) = org else { return Ok(None) };
    let next = tx.members(org, 1, Some(login))?.pop();
    let member = if next.is_some() { next } else { tx.members(org, 1, None)?.pop() };
    Ok(member.and_then(|member| member.password_hash))
}
