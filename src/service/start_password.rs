//! The password an administrator gives out, kept sealed until the member's first login.
//!
//! Hashing a whole import would take minutes, so a plain start password is sealed instead, and hashed never: at the first
//! login the member must choose another one. Knows nothing of rows or imports. What always holds: what was sealed for one
//! member opens for no other; one that nobody used within its time opens no door any more (ASVS 6.4.1).

use crate::model::{KeyRing, MemberId, Secret, Span, Timestamp};
use crate::random::{NoChance, Random};
use crate::seal::{self, SealError};
use crate::store::Member;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The purpose under which the store keeps it; the owner is the member's number.
pub const PURPOSE: &str = "start-password";

/// The longest one, in characters (requirement R090).
pub const LONGEST: usize = 32;
/// How long it lets its member in, sealed or hashed.
pub const LIFE: Span = Span::from_secs(14 * 86_400);

/// Says whether a member's password is the administrator's, not one of the member's own. One that was never hashed is the
/// administrator's, whatever the row says.
#[must_use]
pub const fn is_given(member: &Member) -> bool {
    member.must_change_password || member.password_hash.is_none()
}

/// Says whether a member's password is the administrator's, and too old to let anybody in.
#[must_use]
pub fn is_over(member: &Member, now: Timestamp) -> bool {
    is_given(member) && member.start_at.is_some_and(|given| given.plus(LIFE) <= now)
}

/// Seals a member's start password; `nonce` must never have been used before.
#[must_use]
pub fn seal(keys: &KeyRing, member: MemberId, nonce: [u8; 24], password: &str) -> Vec<u8> {
    seal::seal(keys, &owner(member), nonce, password.as_bytes())
}

/// Opens a member's start password.
///
/// # Errors
/// It was changed, belongs to somebody else, or its key is gone.
pub fn open(keys: &KeyRing, member: MemberId, sealed: &[u8]) -> Result<Secret<String>, SealError> {
    let plain = seal::open(keys, &owner(member), sealed)?;
    let text = String::from_utf8(plain.reveal().clone());
    text.map(Secret::new).ok().ok_or(SealError::Form)
}

/// Says whether two passwords are the same; how long that takes tells nothing about either.
#[must_use]
pub fn same(one: &str, other: &str) -> bool {
    Sha256::digest(one).as_slice().ct_eq(Sha256::digest(other).as_slice()).into()
}

/// Letters and digits that are not mistaken for one another.
const ALPHABET: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";
/// How many of them a start password of ours has: 59 bits.
const LENGTH: usize = 12;

/// Draws a start password.
///
/// # Errors
/// There are no random bytes.
pub fn draw(random: &Random) -> Result<Secret<String>, NoChance> {
    let mut password = String::with_capacity(LENGTH);
    while password.len() < LENGTH {
        let [drawn] = random.bytes()?;
        // 248 is the last whole multiple of 31: above it some letters would come up more often than others.
        let letter = ALPHABET.get(usize::from(drawn) % ALPHABET.len()).filter(|_| drawn < 248);
        password.extend(letter.copied().map(char::from));
    }
    Ok(Secret::new(password))
}

fn owner(member: MemberId) -> Vec<u8> {
    seal::owner_of_secret(PURPOSE, member.number())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_start_password_opens_for_its_member_only() {
        let keys = KeyRing::new(1, BTreeMap::from([(1, Secret::new([7; 32]))])).unwrap();
        let sealed = seal(&keys, MemberId::new(5), [9; 24], "hajime-kite7");
        assert_eq!(open(&keys, MemberId::new(5), &sealed).unwrap().reveal(), "hajime-kite7");
        assert_eq!(open(&keys, MemberId::new(6), &sealed).unwrap_err(), SealError::Broken);
    }

    #[test]
    fn passwords_are_the_same_to_the_letter_only() {
        assert!(same("hajime-kite7", "hajime-kite7"));
        for other in ["hajime-kite", "Hajime-kite7", "hajime-kite7 ", ""] {
            assert!(!same("hajime-kite7", other), "{other:?}");
        }
    }

    #[test]
    fn a_start_password_is_drawn_from_all_letters_alike() {
        let random = Random::repeating(11);
        let drawn: Vec<String> = (0..1_000).map(|_| draw(&random).unwrap().reveal().clone()).collect();
        assert!(drawn.iter().all(|password| password.len() == LENGTH));
        for letter in ALPHABET {
            let count = drawn.iter().flat_map(|password| password.bytes()).filter(|drawn| drawn == letter).count();
            assert!((300..480).contains(&count), "{count} × {}", char::from(*letter));
        }
    }
}
