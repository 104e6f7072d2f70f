//! The confirmation by mail: what a stranger's right password takes after very many wrong ones (requirements, chapter 2).
//!
//! Knows nothing of pages, nor of how a code gets into a mail ([`otp`]). What always holds: the code goes to an address of the
//! member's that is written to, and to no other; it is good for the session that ordered it and for nothing but going on with
//! the login; where there is no such address nobody is asked for it; with a right one the failures are forgotten.

use super::Login;
use crate::model::{EmailAddress, MemberId, Priority, Timestamp};
use crate::service::audit::{self, By, Entry};
use crate::service::otp::{self, Purpose, Tried};
use crate::service::second_factor::Verdict;
use crate::service::session::{self, Stage, Visitor};
use crate::store::{StoreError, Tx};

/// Gives the addresses of a member's that a code can go to, the first one first.
pub(super) fn places(tx: &mut Tx<'_>, member: MemberId) -> Result<Vec<(Priority, EmailAddress)>, StoreError> {
    let mut open = Vec::new();
    for (place, address) in tx.addresses_of(member)? {
        if !tx.is_suppressed(&address)? {
            open.push((place, address));
        }
    }
    Ok(open)
}

impl Login {
    /// Gives the addresses that a code to confirm the login can go to, the first one first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn confirmed_at(&self, visitor: &Visitor) -> Result<Vec<(Priority, EmailAddress)>, StoreError> {
        let member = visitor.member.id;
        self.store.read(move |tx| places(tx, member)).await
    }

    /// Judges the code that confirms a login; with a right one the session goes on as `session`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn confirm(
        &self,
        visitor: &Visitor,
        typed: &str,
        session: [u8; 32],
        now: Timestamp,
    ) -> Result<Verdict<Stage>, StoreError> {
        let account = self.account(visitor.org.as_str(), visitor.member.login.as_str());
        let (visitor, typed, keys) = (visitor.clone(), typed.to_owned(), self.keys.now());
        self.store
            .write(move |tx| {
                let id = visitor.member.id;
                if visitor.stage != Stage::Doubt || !session::holds(tx, &visitor, now)? {
                    return Ok(Verdict::Gone);
                }
                if let Some(until) = otp::paused(tx, id, now)? {
                    return Ok(Verdict::Wait { until });
                }
                match otp::try_code(tx, keys.seal(), &visitor.session, id, Purpose::Doubt, &typed, now)? {
                    Tried::Right { address } => {
                        let entry = Entry::of(audit::LOGIN_CONFIRMED, &visitor.member, By::Member);
                        audit::record(tx, entry.address(&address), now)?;
                        tx.end_streak(&account)?;
                        let stage = session::go_on(tx, &visitor.session, &session, None, now)?;
                        Ok(stage.map_or(Verdict::Gone, Verdict::Right))
                    }
                    Tried::Wrong { left } => {
                        audit::record(tx, Entry::of(audit::LOGIN_CONFIRM_FAIL, &visitor.member, By::Member), now)?;
                        Ok(Verdict::Wrong { left: Some(left) })
                    }
                    Tried::Over => Ok(Verdict::Over),
                }
            })
            .await
    }
}
