//! The secret of an app that is shown and not yet confirmed: it travels with the form, sealed (R031).
//!
//! Knows nothing of the database. What always holds: nothing is kept of a secret that nobody confirms; a sealed one opens for
//! the member and the session it was shown to, whatever name that goes on under, for half an hour, and for nobody else.

use super::app::SECRET_LEN;
use crate::model::{KeyRing, MemberId, Secret, Span, Timestamp};
use crate::seal;
use data_encoding::BASE64URL_NOPAD;

/// How long a secret that was shown can be confirmed.
pub const OFFERED: Span = Span::from_secs(30 * 60);

/// Whose offer it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner {
    pub(super) member: MemberId,
    /// When the session began.
    pub(super) begun: Timestamp,
}

impl Owner {
    fn bytes(self) -> Vec<u8> {
        [b"app-offer\0".as_slice(), &self.member.number().to_be_bytes(), &self.begun.millis().to_be_bytes()].concat()
    }
}

/// Seals a secret that is shown at `now`.
pub(super) fn seal(
    keys: &KeyRing,
    owner: Owner,
    nonce: [u8; 24],
    secret: &Secret<[u8; SECRET_LEN]>,
    now: Timestamp,
) -> String {
    let plain = Secret::new([secret.reveal().as_slice(), &now.millis().to_be_bytes()].concat());
    BASE64URL_NOPAD.encode(&seal::seal(keys, &owner.bytes(), nonce, plain.reveal()))
}

/// A secret that was shown.
pub(super) struct Shown {
    pub(super) secret: Secret<[u8; SECRET_LEN]>,
    /// When it was shown first.
    pub(super) at: Timestamp,
}

/// Opens what [`seal()`] made for the same owner, if it is not too old.
pub(super) fn open(keys: &KeyRing, owner: Owner, sealed: &str, now: Timestamp) -> Option<Shown> {
    let sealed = BASE64URL_NOPAD.decode(sealed.as_bytes()).ok()?;
    let plain = seal::open(keys, &owner.bytes(), &sealed).ok()?;
    let (secret, shown) = plain.reveal().split_first_chunk::<SECRET_LEN>()?;
    let at = Timestamp::from_millis(i64::from_be_bytes(shown.try_into().ok()?));
    (now < at.plus(OFFERED)).then(|| Shown { secret: Secret::new(*secret), at })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn r031_a_secret_that_was_shown_opens_for_its_member_and_session_and_for_half_an_hour() {
        let keys = KeyRing::new(1, BTreeMap::from([(1, Secret::new([7; 32]))])).unwrap();
        let at = |minutes: i64| Timestamp::from_millis(minutes * 60_000);
        let owner = Owner { member: MemberId::new(5), begun: at(90) };
        let sealed = seal(&keys, owner, [9; 24], &Secret::new([3; SECRET_LEN]), at(100));
        let opened =
            |owner, sealed: &str, now| open(&keys, owner, sealed, now).map(|shown| (*shown.secret.reveal(), shown.at));
        assert_eq!(opened(owner, &sealed, at(129)), Some(([3; SECRET_LEN], at(100))));
        assert_eq!(opened(owner, &sealed, at(130)), None);
        assert_eq!(opened(Owner { member: MemberId::new(6), ..owner }, &sealed, at(100)), None);
        assert_eq!(opened(Owner { begun: at(91), ..owner }, &sealed, at(100)), None);
        for other in ["", "!", &sealed[1..], &sealed[..sealed.len() - 2]] {
            assert_eq!(opened(owner, other, at(100)), None);
        }
    }
}
