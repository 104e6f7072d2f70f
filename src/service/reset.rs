//! What an administrator does for a member who is locked out: clears the second factors, gives out another start password
//! (R149).
//!
//! Knows nothing of commands. What always holds: with what is cleared go the sessions and the open codes, so that whoever
//! came in by it is out; the member is told at every address, and the audit log says who did it; the administrator never
//! learns a password the member uses, as a start password must be changed at the first login.

use crate::model::{KeyRing, Secret, Timestamp};
use crate::queue::Notice;
use crate::service::audit::{self, By, Entry};
use crate::service::login;
use crate::service::notice::Notices;
use crate::service::start_password;
use crate::store::{Member, StoreError, Tx};

/// Clears the second factors and the backup code of a member; says whether there were any.
///
/// # Errors
/// The database failed.
pub fn two_factor(tx: &mut Tx<'_>, notices: Notices, member: &Member, now: Timestamp) -> Result<bool, StoreError> {
    tx.guard()?;
    // Before: the address that received the codes is told, too.
    notices.tell(tx, member.id, Notice::TwoFactorReset, now)?;
    let any = tx.reset_factors(member.id)?;
    tx.end_challenges_of(member.id, now)?;
    tx.forget_wrong_codes(member.id)?;
    tx.end_sessions_of(member.id, None)?;
    audit::record(tx, Entry::of(audit::TWO_FACTOR_RESET, member, By::Operator).field("any", any), now)?;
    Ok(any)
}

/// Gives a member another start password; `nonce` must never have been used before.
///
/// # Errors
/// The database failed.
pub fn password(
    tx: &mut Tx<'_>,
    notices: Notices,
    keys: &KeyRing,
    member: &Member,
    password: &Secret<String>,
    nonce: [u8; 24],
    now: Timestamp,
) -> Result<(), StoreError> {
    let sealed = start_password::seal(keys, member.id, nonce, password.reveal());
    tx.guard()?;
    tx.take_password(member.id, now)?;
    // Whatever was guessed was another password: the new one opens at once.
    if let Some(org) = tx.org_by_id(member.org)? {
        tx.end_streak(&login::account(keys, org.code.as_str(), member.login.as_str()))?;
    }
    tx.put_secret(start_password::PURPOSE, member.id.number(), &sealed)?;
    tx.end_challenges_of(member.id, now)?;
    tx.end_sessions_of(member.id, None)?;
    audit::record(tx, Entry::of(audit::PASSWORD_RESET, member, By::Operator), now)?;
    notices.tell(tx, member.id, Notice::PasswordReset, now)
}
