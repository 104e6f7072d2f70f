//! Signed links: what a person presses in a mail of ours, and how we know it again.
//!
//! Knows nothing of pages, rows or mails: the numbers of a row go in, a token of 67 characters comes out, and back. Keys,
//! the time and the nonce are handed in. What always holds: a token that verifies was minted by us, for this purpose, with
//! a key that is not retired; it names its row and nothing about the person.
//!
//! The token is base64url (RFC 4648 5) of 50 bytes:
//!
//! ```text
//! version 1 | key id 2 | purpose 1 | row 8 | expiry 6 (seconds) | nonce 16 | HMAC-SHA-256 cut to 16
//! ```
//!
//! 400 bits leave four for the last character, so it is never `-` or `_`, which some phones leave out of a link.

// A test may index: it stops at the unexpected and shows it.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::string_slice, clippy::wildcard_enum_match_arm))]

use crate::model::{KeyRing, Timestamp, mac};
use data_encoding::BASE64URL_NOPAD;
use subtle::ConstantTimeEq;

/// How many characters a token has.
pub const TOKEN_LEN: usize = 67;

const VERSION: u8 = 1;
const SIGNED: usize = 34;
const TAG: usize = 16;
const BYTES: usize = SIGNED + TAG;
/// The largest moment that six bytes hold.
const EXPIRY_MAX: i64 = (1 << 48) - 1;
/// What `mac` is told, so that no other use of a key gives a valid tag.
const MAC_PURPOSE: &str = "karamail link v1";

/// What a link is for; a link for one purpose opens nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// `/r/`: registering the address an empty mail came from.
    Registration,
    /// `/c/`: showing that a test mail arrived.
    ContactTest,
    /// `/a/`: answering an alert.
    Answer,
}

impl Purpose {
    const ALL: [Self; 3] = [Self::Registration, Self::ContactTest, Self::Answer];

    /// Gives the name under which the store keeps used links.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::ContactTest => "contact_test",
            Self::Answer => "answer",
        }
    }

    /// Gives the first part of the path behind `public_url`.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Registration => "/r/",
            Self::ContactTest => "/c/",
            Self::Answer => "/a/",
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Registration => 1,
            Self::ContactTest => 2,
            Self::Answer => 3,
        }
    }
}

/// A link: which row it opens, for what, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// What it is for.
    pub purpose: Purpose,
    /// The row it opens.
    pub row: i64,
    /// When it ends, in whole seconds since the epoch; that second is already too late.
    pub expires: i64,
    /// Sixteen random bytes, so that two links to one row differ.
    pub nonce: [u8; 16],
}

/// Why a token opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Characters are missing, added or foreign: a mail program cut or wrapped the link.
    #[error("the link is incomplete")]
    Incomplete,
    /// Not made by us, for another purpose, or with a key that was retired.
    #[error("the link was not made by this service")]
    Forged,
    /// Ours, and too old.
    #[error("the link has expired")]
    Expired(Link),
}

/// Takes away what mail programs take for a part of the link behind or before it: blanks, brackets, full stops.
#[must_use]
pub fn tidied(token: &str) -> &str {
    token.trim_matches(|c: char| c.is_whitespace() || "<>()[]「」『』（）【】。、.,;\"'".contains(c))
}

impl Link {
    /// Makes the token with the key in use.
    #[must_use]
    pub fn mint(&self, keys: &KeyRing) -> String {
        let (id, key) = keys.active();
        self.token(id, key)
    }

    /// Makes the token with the key of that id, for a link that is to come out the same again; nothing where the key was
    /// retired meanwhile.
    #[must_use]
    pub fn mint_with(&self, keys: &KeyRing, id: u16) -> Option<String> {
        keys.find(id).map(|key| self.token(id, key))
    }

    fn token(&self, id: u16, key: &[u8; 32]) -> String {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.push(VERSION);
        bytes.extend(id.to_be_bytes());
        bytes.push(self.purpose.code());
        bytes.extend(self.row.to_be_bytes());
        bytes.extend(&self.expires.clamp(0, EXPIRY_MAX).to_be_bytes()[2..]);
        bytes.extend(self.nonce);
        let tag = tag(key, &bytes);
        bytes.extend(tag);
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// Reads a token that is to serve `purpose`. Blanks, brackets and full stops that a mail program took for a part of
    /// the link are forgiven.
    ///
    /// # Errors
    /// The token is damaged, is not ours, or is over at `now`.
    pub fn verify(token: &str, purpose: Purpose, keys: &KeyRing, now: Timestamp) -> Result<Self, LinkError> {
        let token = tidied(token);
        if token.len() != TOKEN_LEN {
            return Err(LinkError::Incomplete);
        }
        let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).ok().ok_or(LinkError::Incomplete)?;
        let (signed, claimed) = bytes.split_at_checked(SIGNED).ok_or(LinkError::Incomplete)?;
        let (id, link) = read(signed).ok_or(LinkError::Forged)?;
        let key = keys.find(id).ok_or(LinkError::Forged)?;
        let genuine: bool = tag(key, signed).as_slice().ct_eq(claimed).into();
        if !genuine || link.purpose != purpose {
            return Err(LinkError::Forged);
        }
        if now.seconds() >= link.expires { Err(LinkError::Expired(link)) } else { Ok(link) }
    }
}

fn tag(key: &[u8; 32], signed: &[u8]) -> [u8; TAG] {
    let mut cut = [0; TAG];
    cut.copy_from_slice(&mac(key, MAC_PURPOSE, signed)[..TAG]);
    cut
}

/// Takes the signed part of a token apart; nothing where it is no version or purpose of ours.
fn read(signed: &[u8]) -> Option<(u16, Link)> {
    let (version, rest) = signed.split_first_chunk::<1>()?;
    let (id, rest) = rest.split_first_chunk::<2>()?;
    let (purpose, rest) = rest.split_first_chunk::<1>()?;
    let (row, rest) = rest.split_first_chunk::<8>()?;
    let (expires, rest) = rest.split_first_chunk::<6>()?;
    let nonce = rest.first_chunk::<16>()?;
    let purpose = Purpose::ALL.into_iter().find(|known| [known.code()] == *purpose)?;
    let expires = expires.iter().fold(0, |seconds, byte| (seconds << 8) | i64::from(*byte));
    let link = Link { purpose, row: i64::from_be_bytes(*row), expires, nonce: *nonce };
    (*version == [VERSION]).then_some((u16::from_be_bytes(*id), link))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Secret;
    use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
    use std::collections::BTreeMap;

    fn ring(active: u16, ids: &[u16]) -> KeyRing {
        let key = |id: &u16| (*id, Secret::new([u8::try_from(*id).unwrap(); 32]));
        KeyRing::new(active, ids.iter().map(key).collect::<BTreeMap<_, _>>()).unwrap()
    }

    fn link() -> Link {
        Link { purpose: Purpose::Registration, row: 4711, expires: 1_800_000_000, nonce: [9; 16] }
    }

    const BEFORE: Timestamp = Timestamp::from_millis(1_799_999_999_999);

    fn check(token: &str, keys: &KeyRing) -> Result<Link, LinkError> {
        Link::verify(token, Purpose::Registration, keys, BEFORE)
    }

    fn any_link() -> impl Strategy<Value = Link> {
        (0..3usize, any::<i64>(), 1_800_000_000..=EXPIRY_MAX, any::<[u8; 16]>())
            .prop_map(|(at, row, expires, nonce)| Link { purpose: Purpose::ALL[at], row, expires, nonce })
    }

    #[test]
    fn a_token_stays_the_same_over_the_years() {
        // Links in mails already sent must open after an update: a change here is a new version. Computed with Python.
        let token = link().mint(&ring(1, &[1]));
        assert_eq!(token, "AQABAQAAAAAAABJnAABrSdIACQkJCQkJCQkJCQkJCQkJCUDtANnaLFBWYX3ZUDDf628");
    }

    proptest! {
        #[test]
        fn r121_what_was_minted_is_read_back(link in any_link()) {
            let token = link.mint(&ring(3, &[1, 3]));
            prop_assert_eq!(token.len(), TOKEN_LEN);
            prop_assert_eq!(Link::verify(&token, link.purpose, &ring(1, &[1, 3]), BEFORE), Ok(link));
        }

        #[test]
        fn r121_any_flipped_bit_opens_nothing(link in any_link(), at in 0..TOKEN_LEN, bit in 0..7u8) {
            let keys = ring(1, &[1]);
            let mut token = link.mint(&keys).into_bytes();
            token[at] ^= 1 << bit;
            let token = String::from_utf8(token).unwrap();
            let answer = Link::verify(&token, link.purpose, &keys, BEFORE);
            prop_assert!(matches!(answer, Err(LinkError::Forged | LinkError::Incomplete)), "{:?}", answer);
        }

        #[test]
        fn a_flipped_bit_below_the_base64_is_a_forgery(at in 0..BYTES, bit in 0..8u8) {
            let keys = ring(1, &[1, 2, 4, 8, 16, 32, 64, 128, 0]);
            let mut bytes = BASE64URL_NOPAD.decode(link().mint(&keys).as_bytes()).unwrap();
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(check(&BASE64URL_NOPAD.encode(&bytes), &keys), Err(LinkError::Forged));
        }

        #[test]
        fn the_last_character_is_never_one_that_phones_leave_out(link in any_link()) {
            let token = link.mint(&ring(1, &[1]));
            prop_assert!(!token.ends_with(['-', '_']));
        }

        #[test]
        fn strangers_text_is_never_a_link(text in any::<String>()) {
            prop_assert!(check(&text, &ring(1, &[1])).is_err());
        }
    }

    #[test]
    fn every_cut_link_is_incomplete() {
        let keys = ring(1, &[1]);
        let token = link().mint(&keys);
        for end in 0..TOKEN_LEN {
            assert_eq!(check(&token[..end], &keys), Err(LinkError::Incomplete), "{end}");
        }
        assert_eq!(check(&format!("{token}A"), &keys), Err(LinkError::Incomplete));
        assert_eq!(check(&format!("{} {}", &token[..30], &token[30..]), &keys), Err(LinkError::Incomplete));
        assert_eq!(check(&format!("{}あ", &token[..64]), &keys), Err(LinkError::Incomplete));
    }

    #[test]
    fn what_a_mail_program_took_for_a_part_of_the_link_is_forgiven() {
        let keys = ring(1, &[1]);
        let token = link().mint(&keys);
        for around in ["{} ", "{}>", "{}。", "{})", "<{}>", "「{}」", "{}.\r\n", "{}\u{3000}"] {
            assert_eq!(check(&around.replace("{}", &token), &keys), Ok(link()), "{around}");
        }
    }

    #[test]
    fn a_link_serves_one_purpose_only() {
        let keys = ring(1, &[1]);
        let token = link().mint(&keys);
        for other in [Purpose::ContactTest, Purpose::Answer] {
            assert_eq!(Link::verify(&token, other, &keys, BEFORE), Err(LinkError::Forged));
        }
    }

    #[test]
    fn an_older_key_is_believed_until_it_is_retired() {
        let token = link().mint(&ring(1, &[1]));
        assert_eq!(check(&token, &ring(2, &[1, 2])), Ok(link()));
        assert_eq!(check(&token, &ring(2, &[2])), Err(LinkError::Forged));
        assert_eq!(link().mint_with(&ring(2, &[1, 2]), 1), Some(token));
        assert_eq!(link().mint_with(&ring(2, &[2]), 1), None);
    }

    #[test]
    fn a_link_ends_with_its_second() {
        let keys = ring(1, &[1]);
        let token = link().mint(&keys);
        let at = |millis| Link::verify(&token, Purpose::Registration, &keys, Timestamp::from_millis(millis));
        assert_eq!(at(1_799_999_999_999), Ok(link()));
        assert_eq!(at(1_800_000_000_000), Err(LinkError::Expired(link())));
    }

    #[test]
    fn an_expired_forgery_is_a_forgery() {
        let keys = ring(1, &[1]);
        let mut bytes = BASE64URL_NOPAD.decode(link().mint(&keys).as_bytes()).unwrap();
        bytes[BYTES - 1] ^= 1;
        let late = Timestamp::from_millis(1_900_000_000_000);
        let token = BASE64URL_NOPAD.encode(&bytes);
        assert_eq!(Link::verify(&token, Purpose::Registration, &keys, late), Err(LinkError::Forged));
    }
}
