//! Sealing what must be readable again and never seen: start passwords, code secrets.
//!
//! Knows nothing of rows or files: keys, a nonce and the owner's name come in, bytes go out. What always holds: what opens
//! was sealed by us for exactly this owner and purpose, and was not changed since; a sealed value of one row is no use in
//! another.
//!
//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha); its nonce of 24 bytes is long enough to be drawn by chance. Laid out as:
//!
//! ```text
//! version 1 | key id 2 | nonce 24 | ciphertext and tag
//! ```

use crate::model::{KeyRing, Secret};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

const VERSION: u8 = 1;

/// Why a sealed value stays closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Shorter than any sealed value, or of a version we do not know.
    #[error("this is no sealed value")]
    Form,
    /// The key was retired or never was ours.
    #[error("the value was sealed with key {0}, which is not there any more")]
    Key(u16),
    /// Changed, or sealed for another owner.
    #[error("the sealed value was changed or belongs to something else")]
    Broken,
}

/// Names an owner: what the value is for, and the number of whose it is.
#[must_use]
pub fn owner_of_secret(purpose: &str, owner: i64) -> Vec<u8> {
    [purpose.as_bytes(), &[0], &owner.to_be_bytes()].concat()
}

/// Seals `plain` for the owner that `associated` names, with the key in use. `nonce` must never have been used before.
#[must_use]
#[expect(clippy::expect_used, reason = "the cipher refuses only what is longer than 256 GiB")]
pub fn seal(keys: &KeyRing, associated: &[u8], nonce: [u8; 24], plain: &[u8]) -> Vec<u8> {
    let (id, key) = keys.active();
    let head = head(id);
    let bound = bound(&head, associated);
    let payload = Payload { msg: plain, aad: &bound };
    let text = XChaCha20Poly1305::new(key.into())
        .encrypt(XNonce::from_slice(&nonce), payload)
        .expect("a secret is shorter than 256 GiB");
    [head.as_slice(), &nonce, &text].concat()
}

/// Opens what [`seal`] made for the same `associated`.
///
/// # Errors
/// The value is damaged, belongs to another owner, or its key is gone.
pub fn open(keys: &KeyRing, associated: &[u8], sealed: &[u8]) -> Result<Secret<Vec<u8>>, SealError> {
    let (head, rest) = sealed.split_first_chunk::<3>().ok_or(SealError::Form)?;
    let (nonce, text) = rest.split_first_chunk::<24>().ok_or(SealError::Form)?;
    let [version, id @ ..] = *head;
    if version != VERSION {
        return Err(SealError::Form);
    }
    let id = u16::from_be_bytes(id);
    let key = keys.find(id).ok_or(SealError::Key(id))?;
    let payload = Payload { msg: text, aad: &bound(head, associated) };
    // The cipher says no more than that the tag is wrong.
    let plain =
        XChaCha20Poly1305::new(key.into()).decrypt(XNonce::from_slice(nonce), payload).ok().ok_or(SealError::Broken)?;
    Ok(Secret::new(plain))
}

const fn head(id: u16) -> [u8; 3] {
    let [high, low] = id.to_be_bytes();
    [VERSION, high, low]
}

/// What the tag covers besides the text: our own head, then the owner.
fn bound(head: &[u8; 3], associated: &[u8]) -> Vec<u8> {
    [b"karamail seal".as_slice(), head, associated].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
    use std::collections::BTreeMap;

    fn ring(active: u16, ids: &[u16]) -> KeyRing {
        let key = |id: &u16| (*id, Secret::new([u8::try_from(*id).unwrap(); 32]));
        KeyRing::new(active, ids.iter().map(key).collect::<BTreeMap<_, _>>()).unwrap()
    }

    fn opened(keys: &KeyRing, associated: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        open(keys, associated, sealed).map(|plain| plain.reveal().clone())
    }

    proptest! {
        #[test]
        fn what_was_sealed_is_read_back(plain in any::<Vec<u8>>(), owner in any::<Vec<u8>>(), nonce in any::<[u8; 24]>()) {
            let sealed = seal(&ring(1, &[1]), &owner, nonce, &plain);
            prop_assert_eq!(opened(&ring(2, &[1, 2]), &owner, &sealed), Ok(plain));
        }

        #[test]
        fn any_changed_byte_keeps_it_closed(at in 0..48usize, change in 1..=255u8) {
            let keys = ring(1, &[1]);
            let mut sealed = seal(&keys, b"u1", [3; 24], b"secret");
            prop_assert!(sealed.len() == 49);
            sealed[at] ^= change;
            prop_assert!(open(&keys, b"u1", &sealed).is_err());
        }
    }

    #[test]
    fn a_sealed_value_is_no_use_to_another_owner() {
        let keys = ring(1, &[1]);
        let sealed = seal(&keys, b"start-password:1", [3; 24], b"secret");
        assert_eq!(opened(&keys, b"start-password:2", &sealed), Err(SealError::Broken));
        assert_eq!(opened(&keys, b"start-password:1", &sealed), Ok(b"secret".to_vec()));
    }

    #[test]
    fn what_is_cut_or_of_a_retired_key_stays_closed() {
        let sealed = seal(&ring(1, &[1]), b"", [3; 24], b"");
        assert_eq!(opened(&ring(2, &[2]), b"", &sealed), Err(SealError::Key(1)));
        for end in 0..sealed.len() {
            assert!(open(&ring(1, &[1]), b"", &sealed[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn a_sealed_value_does_not_show_what_is_in_it() {
        let sealed = seal(&ring(1, &[1]), b"", [3; 24], b"start-password");
        assert!(!sealed.windows(5).any(|part| part == b"start"));
    }
}
