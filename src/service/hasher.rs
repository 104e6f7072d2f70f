//! Argon2id, computed beside the daemon's own work and never more at once than there are cores.
//!
//! Knows nothing of members or pages: a password and a PHC string come in, yes or no comes out; who waits for whom is said in
//! `line`. What always holds: one call costs one computation, whether there is a hash to compare with or not, so time does not
//! tell who exists; a call that does not get its turn in time says so instead of waiting on.

mod line;

pub use line::Turn;

use self::line::Line;
use crate::clock::Clock;
use crate::model::{Secret, Span};
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// OWASP, Password Storage: Argon2id with 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// The most an imported hash may ask for: beyond it, a login would cost the daemon its memory.
const IMPORTED_MEMORY_KIB: u32 = 128 * 1024;
const IMPORTED_PASSES: u32 = 10;
const IMPORTED_LANES: u32 = 8;

/// How long a login waits for its turn.
const TURN: Span = Span::from_secs(10);

/// Why a password could not be hashed or compared; says nothing about the password.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Too many logins were waiting for their turn.
    #[error("no turn to hash a password came within {TURN}")]
    Busy,
    /// Argon2 or the thread it ran on failed.
    #[error("a password could not be hashed: {0}")]
    Failed(String),
}

/// For whom something is to be hashed: decides who waits for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Somebody who is logged in, or whose device logged in to this very account before.
    Known,
    /// A device that never did, of the network with that fingerprint.
    Network([u8; 32]),
}

/// Hashes and compares passwords, a bounded number at once. Clones share the bound and the count.
#[derive(Debug, Clone)]
pub struct Hasher {
    line: Line,
    clock: Clock,
}

impl Hasher {
    /// Makes a hasher that computes at most `at_once` (at least one) at the same time; each takes 19 MiB.
    #[must_use]
    pub fn new(at_once: usize, clock: Clock) -> Self {
        let at_once = at_once.max(1);
        // While one is computed the next one is got ready, which may take a transaction.
        Self { line: Line::new(2 * at_once, Arc::new(Semaphore::new(at_once))), clock }
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// None came in time, or the network has too many in the line already.
    pub async fn turn(&self, whose: Whose) -> Result<Turn, HashError> {
        let deadline = self.clock.now().plus(TURN);
        let place = self.line.queue(whose).ok_or(HashError::Busy)?;
        let turn = self.clock.within(deadline, place).await;
        turn.ok().and_then(Result::ok).ok_or(HashError::Busy)
    }

    /// Hashes a password with `salt`; gives a PHC string.
    ///
    /// # Errors
    /// No turn came in time, or Argon2 failed.
    pub async fn hash(&self, password: Secret<String>, salt: [u8; 16]) -> Result<String, HashError> {
        let turn = self.turn(Whose::Known).await?;
        turn.run(move || hash(password.reveal(), &salt)).await?
    }

    /// Says whether `password` belongs to `phc`. Without one, or with one that is no Argon2id hash, it computes all the same
    /// and says no.
    ///
    /// # Errors
    /// No turn came in time, or Argon2 failed.
    pub async fn verify(&self, password: Secret<String>, phc: Option<String>) -> Result<bool, HashError> {
        self.turn(Whose::Known).await?.verify(password, phc).await
    }

    /// Gives how many computations were begun so far.
    #[must_use]
    pub fn computed(&self) -> u64 {
        self.line.computed()
    }
}

impl Turn {
    /// Does what [`Hasher::verify`] does, with a turn that came before.
    ///
    /// # Errors
    /// Argon2 failed.
    pub async fn verify(self, password: Secret<String>, phc: Option<String>) -> Result<bool, HashError> {
        self.run(move || verify(password.reveal(), phc.as_deref())).await?
    }
}

fn ours() -> Result<Argon2<'static>, HashError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|cause| HashError::Failed(cause.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &str, salt: &[u8; 16]) -> Result<String, HashError> {
    let failed = |cause: argon2::password_hash::Error| HashError::Failed(cause.to_string());
    let salt = SaltString::encode_b64(salt).map_err(failed)?;
    Ok(ours()?.hash_password(password.as_bytes(), &salt).map_err(failed)?.to_string())
}

fn verify(password: &str, phc: Option<&str>) -> Result<bool, HashError> {
    match phc.and_then(acceptable) {
        Some(known) => Ok(ours()?.verify_password(password.as_bytes(), &known).is_ok()),
        None => {
            hash(password, &[0; 16])?;
            Ok(false)
        }
    }
}

/// Reads a PHC string, if it is one that a member may log in with.
#[must_use]
pub fn acceptable(phc: &str) -> Option<PasswordHash<'_>> {
    let known = PasswordHash::new(phc).ok()?;
    let params = Params::try_from(&known).ok()?;
    let fits = known.algorithm == argon2::ARGON2ID_IDENT
        && known.hash.is_some()
        && known.salt.is_some()
        && params.m_cost() <= IMPORTED_MEMORY_KIB
        && params.t_cost() <= IMPORTED_PASSES
        && params.p_cost() <= IMPORTED_LANES;
    fits.then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hasher(at_once: usize) -> Hasher {
        Hasher::new(at_once, Clock::system())
    }

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn a_password_belongs_to_its_own_hash_only() {
        let hasher = hasher(2);
        let phc = hasher.hash(secret("umi-to-yama"), [7; 16]).await.unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert!(hasher.verify(secret("umi-to-yama"), Some(phc.clone())).await.unwrap());
        assert!(!hasher.verify(secret("umi-to-yamA"), Some(phc)).await.unwrap());
        assert!(!hasher.verify(secret("umi-to-yama"), None).await.unwrap());
    }

    #[test]
    fn a_hash_that_is_not_argon2id_or_asks_too_much_is_not_acceptable() {
        let tail = "$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        assert!(acceptable(&format!("$argon2id$v=19$m=65536,t=3,p=4{tail}")).is_some());
        for refused in [
            format!("$argon2i$v=19$m=65536,t=3,p=4{tail}"),
            format!("$argon2id$v=19$m=4194304,t=3,p=4{tail}"),
            format!("$argon2id$v=19$m=65536,t=1000,p=4{tail}"),
            format!("$argon2id$v=19$m=65536,t=3,p=200{tail}"),
            "$argon2id$v=19$m=65536,t=3,p=4".to_owned(),
            "$2b$12$abcdefghijklmnopqrstuv".to_owned(),
            "umi-to-yama".to_owned(),
            String::new(),
        ] {
            assert!(acceptable(&refused).is_none(), "{refused}");
        }
    }

    #[tokio::test]
    async fn a_login_that_gets_no_turn_in_time_is_told_so() {
        let clock = Clock::turned_by_hand(crate::model::Timestamp::from_millis(0));
        let hasher = Hasher::new(1, clock.clone());
        let taken = [hasher.turn(Whose::Known).await.unwrap(), hasher.turn(Whose::Known).await.unwrap()];
        let waiting = hasher.verify(secret("x"), None);
        let turned = async {
            tokio::task::yield_now().await;
            clock.turn(TURN);
        };
        let (verdict, ()) = tokio::join!(waiting, turned);
        assert!(matches!(verdict, Err(HashError::Busy)));
        drop(taken);
        assert!(!hasher.verify(secret("x"), None).await.unwrap());
    }
}
