//! The keys as they stand now, for everybody who uses them.
//!
//! Does not know who that is. What always holds: whoever asks gets whole [`Keys`] and keeps those for as long as one piece of work
//! takes; the next asking gives the newest; what cannot be read or believed takes no one's place; one change at a time is made.

use super::found::Found;
use super::{DkimAlgorithm, DkimSigner, Entry, KeyError, KeyId, Keys, Kind, RotateError, Standing, State, rotate};
use crate::model::{DkimEntry, Domain};
use crate::random::Random;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Whose mail is signed, and what the settings say of the keys that do.
#[derive(Debug, Clone)]
pub struct Signing {
    /// The `[[dkim]]` of the settings; none: all keys in use sign.
    pub entries: Vec<DkimEntry>,
    /// The sender's domain.
    pub from: Domain,
}

/// The keys as they stand now; clones share them.
#[derive(Clone)]
pub struct Keychain(Arc<Inner>);

struct Inner {
    keys: watch::Sender<Arc<Keys>>,
    signers: watch::Sender<Arc<[DkimSigner]>>,
    /// Held while a change is made.
    signing: Mutex<Option<Signing>>,
}

impl Keychain {
    /// Reads the keys below `data_dir`, making them first where there are none yet. They sign no mail before
    /// [`Keychain::sign_as`].
    ///
    /// # Errors
    /// As [`Keys::open`].
    pub fn open(data_dir: &Path, random: &Random) -> Result<Self, KeyError> {
        Keys::open(data_dir, random).map(Self::of)
    }

    /// Gives out keys that were read or made before.
    #[must_use]
    pub fn of(keys: Keys) -> Self {
        let (keys, signers) = (watch::Sender::new(Arc::new(keys)), watch::Sender::new(Arc::default()));
        Self(Arc::new(Inner { keys, signers, signing: Mutex::new(None) }))
    }

    /// Gives the keys as they stand now.
    #[must_use]
    pub fn now(&self) -> Arc<Keys> {
        Arc::clone(&self.0.keys.borrow())
    }

    /// Tells when there are other keys.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Arc<Keys>> {
        self.0.keys.subscribe()
    }

    /// Gives the keys that sign mail, now and whenever there are others.
    #[must_use]
    pub fn signers(&self) -> watch::Receiver<Arc<[DkimSigner]>> {
        self.0.signers.subscribe()
    }

    /// Learns whose mail is signed, and how. It is known from then on even where no key can sign it yet.
    ///
    /// # Errors
    /// No key can sign it.
    pub fn sign_as(&self, signing: Signing) -> Result<(), KeyError> {
        let mut known = self.lock();
        let signers = self.now().signers(&signing.entries, &signing.from);
        *known = Some(signing);
        self.0.signers.send_replace(signers?.into());
        Ok(())
    }

    /// Reads the folder again, and takes other `[[dkim]]`; where anything is wrong with either, all stays as it was.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn reread(&self, entries: &[DkimEntry]) -> Result<(), Vec<KeyError>> {
        let mut known = self.lock();
        let folder = self.now().folder.clone();
        let (found, problems) = Found::read(&folder);
        if !problems.is_empty() {
            return Err(problems);
        }
        let keys = found.believe(folder).map_err(|problem| vec![problem])?;
        if let Some(signing) = known.as_mut() {
            let signers = keys.signers(entries, &signing.from).map_err(|problem| vec![problem])?;
            signing.entries = entries.to_vec();
            self.0.signers.send_replace(signers.into());
        }
        self.0.keys.send_replace(Arc::new(keys));
        Ok(())
    }

    /// Lists the keys of the folder, the retired ones too.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn list(&self) -> Result<Vec<Entry>, RotateError> {
        rotate::list(&self.now().folder)
    }

    /// Says what a key is good for now.
    #[must_use]
    pub fn state(&self, entry: &Entry) -> State {
        let in_use = match &entry.id {
            KeyId::Numbered(kind, number) => self.now().ring(*kind).active().0 == *number,
            KeyId::Dkim(selector) => self.signing_selectors().contains(selector),
        };
        match entry.standing {
            Standing::Waiting => State::Waiting,
            Standing::Retired => State::Retired,
            Standing::InUse if in_use => State::InUse,
            Standing::InUse | Standing::Replaced => State::Verifies,
        }
    }

    /// Gives the domains that a selector's record is to be published in.
    #[must_use]
    pub fn domains(&self, selector: &str) -> Vec<Domain> {
        let known = self.lock();
        let Some(signing) = known.as_ref() else { return Vec::new() };
        let named = signing.entries.iter().filter(|entry| entry.selector == selector);
        let named: Vec<Domain> = named.map(|entry| entry.domain.clone()).collect();
        if named.is_empty() { vec![signing.from.clone()] } else { named }
    }

    /// Says whether the settings name the keys that sign.
    #[must_use]
    pub fn are_named(&self) -> bool {
        self.lock().as_ref().is_some_and(|signing| !signing.entries.is_empty())
    }

    /// Makes a key of 32 bytes. It makes new things at once, or waits until it is wanted.
    ///
    /// # Errors
    /// It cannot be made, or the folder has a fault.
    pub fn add(&self, kind: Kind, standing: Standing, random: &Random) -> Result<KeyId, RotateError> {
        self.change(|keys, _| rotate::add(&keys.folder, kind, standing, random))
    }

    /// Makes a DKIM key, which waits for its record to be published.
    ///
    /// # Errors
    /// It cannot be made, its selector is taken, or the folder has a fault.
    pub fn add_dkim(&self, algorithm: DkimAlgorithm, selector: &str, random: &Random) -> Result<KeyId, RotateError> {
        self.change(|keys, _| rotate::add_dkim(&keys.folder, algorithm, selector, random))
    }

    /// Has a key make new things; says in place of which DKIM keys, where it is one.
    ///
    /// # Errors
    /// It is no such key, or the folder has a fault.
    pub fn bring_into_use(&self, id: &KeyId) -> Result<Vec<KeyId>, RotateError> {
        self.change(|keys, named| rotate::bring_into_use(&keys.folder, id, keys, named))
    }

    /// Has a key believed no more.
    ///
    /// # Errors
    /// It is in use or there is none, or the folder has a fault.
    pub fn retire(&self, id: &KeyId) -> Result<(), RotateError> {
        self.change(|keys, named| rotate::retire(&keys.folder, id, keys, named))
    }

    /// Makes one change in the folder and takes what comes of it. `change` is told the selectors that the settings name.
    fn change<T>(&self, change: impl FnOnce(&Keys, &[String]) -> Result<T, RotateError>) -> Result<T, RotateError> {
        let known = self.lock();
        let named = known.iter().flat_map(|signing| &signing.entries).filter(|entry| entry.key_file.is_none());
        let named: Vec<String> = named.map(|entry| entry.selector.clone()).collect();
        let folder = self.now().folder.clone();
        // A fault that is there already is told before anything is changed.
        let done = change(&Found::keys(&folder)?, &named)?;
        let keys = Found::keys(&folder)?;
        match known.as_ref().map(|signing| keys.signers(&signing.entries, &signing.from)) {
            Some(Ok(signers)) => drop(self.0.signers.send_replace(signers.into())),
            // Those that sign were not what was changed.
            Some(Err(problem)) => tracing::warn!(%problem, "the DKIM keys stay as they were"),
            None => {}
        }
        self.0.keys.send_replace(Arc::new(keys));
        Ok(done)
    }

    fn signing_selectors(&self) -> Vec<String> {
        self.0.signers.borrow().iter().map(|signer| signer.key.selector.clone()).collect()
    }

    /// Whoever held it before made a change as a whole or none.
    fn lock(&self) -> MutexGuard<'_, Option<Signing>> {
        self.0.signing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ids only, as [`Keys`] show them.
impl std::fmt::Debug for Keychain {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_tuple("Keychain").field(&self.now()).finish()
    }
}
