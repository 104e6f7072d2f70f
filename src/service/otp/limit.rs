//! How many codes in how long (requirements, chapter 2).
//!
//! What always holds: no member orders more than the windows allow, whatever for and wherever to; no address gets more from
//! those whose second factor it is, and what strangers have sent to it, as if it were to become theirs, takes nothing of that;
//! strangers have what is left of all that goes there.

use super::Purpose;
use crate::model::{EmailAddress, MemberId, Timestamp};
use crate::service::window::{self, DAY, HOUR, MINUTE, Window};
use crate::store::{StoreError, Tx};

/// For a member and for an address alike, over windows that slide.
const WINDOWS: [Window; 3] =
    [Window { most: 1, length: MINUTE }, Window { most: 5, length: HOUR }, Window { most: 10, length: DAY }];

/// Says when another code may be ordered; nothing, where it may now.
pub(super) fn next(
    tx: &mut Tx<'_>,
    member: MemberId,
    purpose: Purpose,
    to: &EmailAddress,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let earliest = now.minus(DAY);
    let but = match purpose {
        Purpose::Login | Purpose::Confirm | Purpose::Doubt => Some(Purpose::Enrol.as_str()),
        Purpose::Enrol => None,
    };
    let by = window::next(&WINDOWS, &tx.challenges_by(member, earliest)?, now);
    let to = window::next(&WINDOWS, &tx.challenges_to(to, but, earliest)?, now);
    Ok(by.max(to))
}
