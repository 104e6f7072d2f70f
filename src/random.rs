//! The only source of chance: nonces, keys, jitter.
//!
//! Draws from the operating system; a test may hand in a source that repeats itself. Clones share the same source.

use std::sync::{Arc, Mutex};

/// Gives random bytes.
#[derive(Debug, Clone)]
pub struct Random(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    Repeating(Arc<Mutex<u64>>),
}

/// The operating system gave no random bytes; nothing secret can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no random bytes: {0}")]
pub struct NoChance(String);

impl Random {
    /// Makes the source that draws from the operating system.
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// Makes a source that gives the same bytes in the same order each time; for tests alone.
    #[must_use]
    pub fn repeating(seed: u64) -> Self {
        Self(Source::Repeating(Arc::new(Mutex::new(seed))))
    }

    /// Draws `N` bytes.
    ///
    /// # Errors
    /// The operating system has none to give.
    pub fn bytes<const N: usize>(&self) -> Result<[u8; N], NoChance> {
        let mut bytes = [0u8; N];
        match &self.0 {
            Source::System => getrandom::fill(&mut bytes).map_err(|cause| NoChance(cause.to_string()))?,
            Source::Repeating(state) => {
                let mut state = state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                bytes.fill_with(|| next(&mut state));
            }
        }
        Ok(bytes)
    }

    /// Draws a fraction of at least 0 and below 1, for jitter; 0.5 where no chance is to be had.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        self.bytes::<4>().map_or(0.5, |bytes| f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0))
    }
}

/// One step of SplitMix64.
fn next(state: &mut u64) -> u8 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed.to_le_bytes()[7]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeating_source_repeats_and_the_systems_does_not() {
        assert_eq!(Random::repeating(1).bytes::<16>(), Random::repeating(1).bytes::<16>());
        assert_ne!(Random::system().bytes::<16>(), Random::system().bytes::<16>());
    }

    #[test]
    fn a_fraction_stays_below_one() {
        let random = Random::repeating(7);
        assert!((0..10_000).map(|_| random.fraction()).all(|fraction| (0.0..1.0).contains(&fraction)));
    }
}
