//! Seals anew what lies sealed with an older key, so that the key can be retired.
//!
//! Knows where sealed values lie and whose they are, and nothing of what they say. What always holds: a value is opened and sealed
//! outside any transaction, and takes the place of the old one only where that is still there, so nothing that happens meanwhile
//! is undone; whoever stops between two steps has harmed nothing; a value that does not open stays as it is, and is named.

use super::{backup_code, draft};
use crate::keys::Keys;
use crate::model::KeyRing;
use crate::random::{NoChance, Random};
use crate::seal::{self, SealError, owner_of_secret};
use crate::store::{Sealed, SealedPlace, Store, StoreError, Tx};
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// How many values a step takes: none waits longer behind it than behind a few mails.
const STEP: usize = 200;

/// Why not everything was sealed anew.
#[derive(Debug, thiserror::Error)]
pub enum ResealError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There are no random bytes.
    #[error(transparent)]
    Chance(#[from] NoChance),
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resealed {
    /// So many hang on the newest key now.
    pub done: u64,
    /// So many did not open.
    pub closed: u64,
}

/// Goes once through all that is sealed with keys older than the one in use.
///
/// # Errors
/// The database failed, or there are no random bytes; what was sealed anew until then stays so.
pub async fn round(store: &Store, keys: &Keys, random: &Random) -> Result<Resealed, ResealError> {
    let ring = keys.seal();
    let (newest, _) = ring.active();
    let mut all = Resealed::default();
    for old in ring.ids().filter(|id| *id < newest) {
        let mut after: Option<SealedPlace> = None;
        loop {
            let behind = after.take();
            let find = move |tx: &mut Tx<'_>| tx.sealed_with(old, behind.as_ref(), STEP);
            let found = store.read::<_, StoreError, _>(find).await?;
            let Some(last) = found.last() else { break };
            after = Some(last.place.clone());
            let step = step(store, ring, random, found).await?;
            all = Resealed { done: all.done + step.done, closed: all.closed + step.closed };
        }
    }
    Ok(all)
}

async fn step(store: &Store, ring: &KeyRing, random: &Random, found: Vec<Sealed>) -> Result<Resealed, ResealError> {
    let mut anew = Vec::new();
    let mut closed = 0;
    for old in found {
        match sealed_anew(ring, random.bytes()?, &old) {
            Ok(new) => anew.push((old, new)),
            Err(cause) => {
                tracing::error!(place = ?old.place, %cause, "a sealed value does not open, and stays with its key");
                closed += 1;
            }
        }
    }
    let anew = Arc::new(anew);
    let put = move |tx: &mut Tx<'_>| {
        let changed = anew.iter().map(|(old, new)| tx.reseal(old, new).map(u64::from));
        changed.sum::<Result<u64, StoreError>>()
    };
    Ok(Resealed { done: store.write::<_, StoreError, _>(put).await?, closed })
}

fn sealed_anew(ring: &KeyRing, nonce: [u8; 24], old: &Sealed) -> Result<Vec<u8>, SealError> {
    let owner = match &old.place {
        SealedPlace::Secret { purpose, owner } => owner_of_secret(purpose, *owner),
        SealedPlace::Draft { member, page } => draft::owner(*member, page),
        SealedPlace::BackupCode { member, place } => backup_code::kept_for(*member, *place),
    };
    let plain = seal::open(ring, &owner, &old.bytes)?;
    Ok(seal::seal(ring, &owner, nonce, plain.reveal()))
}
