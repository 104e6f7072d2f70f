//! Several keys of one kind: one in use, the others believed too.
//!
//! Knows nothing of files: `keys` reads them and hands the ring in. What always holds: the key in use is one of the ring, so
//! that what was made with it can be checked; a retired key is not in the ring, and what it made is refused.

use super::Secret;
use std::collections::BTreeMap;
use std::fmt;

/// The keys of one kind (link, seal or VERP), by their ids.
#[derive(Clone)]
pub struct KeyRing {
    active: u16,
    in_use: Secret<[u8; 32]>,
    keys: BTreeMap<u16, Secret<[u8; 32]>>,
}

/// The key named as the one in use is not among the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("key {0} is to be in use, but there is no such key")]
pub struct NoActiveKey(pub u16);

impl KeyRing {
    /// Puts a ring together; `active` is the id of the key that makes new things from now on.
    ///
    /// # Errors
    /// `keys` has no key of that id.
    pub fn new(active: u16, keys: BTreeMap<u16, Secret<[u8; 32]>>) -> Result<Self, NoActiveKey> {
        let in_use = keys.get(&active).cloned().ok_or(NoActiveKey(active))?;
        Ok(Self { active, in_use, keys })
    }

    /// Gives the key in use, with its id.
    #[must_use]
    pub const fn active(&self) -> (u16, &[u8; 32]) {
        (self.active, self.in_use.reveal())
    }

    /// Gives the key of that id, unless it was retired or never was.
    #[must_use]
    pub fn find(&self, id: u16) -> Option<&[u8; 32]> {
        self.keys.get(&id).map(Secret::reveal)
    }

    /// Gives the oldest key that is believed, with its id: for what must come out the same again for as long as can be, while
    /// keys come and go.
    #[must_use]
    pub fn oldest(&self) -> (u16, &[u8; 32]) {
        self.keys.first_key_value().map_or((self.active, self.in_use.reveal()), |(id, key)| (*id, key.reveal()))
    }

    /// Lists the ids, lowest first.
    pub fn ids(&self) -> impl Iterator<Item = u16> {
        self.keys.keys().copied()
    }
}

/// Ids only: a key is never shown.
impl fmt::Debug for KeyRing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("KeyRing").field("active", &self.active).field("ids", &self.keys.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(ids: &[u16]) -> BTreeMap<u16, Secret<[u8; 32]>> {
        ids.iter().map(|id| (*id, Secret::new([u8::try_from(*id).unwrap(); 32]))).collect()
    }

    #[test]
    fn the_key_in_use_and_the_older_ones_are_found_and_others_are_not() {
        let ring = KeyRing::new(2, keys(&[1, 2])).unwrap();
        assert_eq!(ring.active(), (2, &[2; 32]));
        assert_eq!(ring.find(1), Some(&[1; 32]));
        assert_eq!(ring.find(3), None);
        assert_eq!(ring.ids().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn the_oldest_key_stays_the_oldest_when_a_new_one_comes() {
        assert_eq!(KeyRing::new(1, keys(&[1])).unwrap().oldest(), (1, &[1; 32]));
        assert_eq!(KeyRing::new(2, keys(&[1, 2])).unwrap().oldest(), (1, &[1; 32]));
        assert_eq!(KeyRing::new(2, keys(&[2, 3])).unwrap().oldest(), (2, &[2; 32]));
    }

    #[test]
    fn a_ring_without_its_key_in_use_cannot_be_made() {
        assert_eq!(KeyRing::new(3, keys(&[1, 2])).unwrap_err(), NoActiveKey(3));
    }

    #[test]
    fn a_ring_shows_ids_and_no_key() {
        let shown = format!("{:?}", KeyRing::new(200, keys(&[200])).unwrap());
        assert_eq!(shown, "KeyRing { active: 200, ids: [200] }");
    }
}
