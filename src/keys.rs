//! The key files on disk: made on the first start, read at every start, and exchanged while others use them.
//!
//! `keys/` below the data folder holds one file a key: `link-1`, `seal-1`, `verp-1` (32 random bytes in one line of text) and
//! `dkim-SELECTOR` (PKCS#8 in PEM). What a key is good for stands in the ending of its name:
//!
//! | ending | link, seal, VERP | DKIM |
//! | --- | --- | --- |
//! | none | the highest number makes new things, the others are believed | signs, where no `[[dkim]]` says otherwise |
//! | `.new` | is believed already and makes nothing: other nodes may have begun with it | waits until its record is published |
//! | `.old` | | another one signs in its place; it can be taken back |
//! | `.retired` | is believed no more | signs no more |
//!
//! [`Keys`] are what was read at one time; a [`Keychain`] gives the newest ones to everybody who holds a clone.
//!
//! Does not know what the keys are used for, nor the settings: own DKIM keys come in as [`DkimEntry`]. What always holds: a
//! key file that others than its owner can reach is refused; files appear as a whole or not at all; a number or a selector is
//! never given twice, not even after its key was retired; a kind that has vanished is reported and never silently made anew, as
//! what it sealed could not be read again.

mod disk;
mod dkim;
mod error;
mod found;
mod id;
mod keychain;
mod rotate;

pub use dkim::{AlgorithmError, DkimAlgorithm, DkimKey, DkimSigner};
pub use error::{KeyError, RotateError};
pub use id::{KeyId, KeyIdError, Kind, Standing};
pub use keychain::{Keychain, Signing};
pub use rotate::{Entry, State};

use crate::model::{DkimEntry, Domain, KeyRing};
use crate::random::Random;
use found::Found;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The name of the folder below the data folder.
const FOLDER: &str = "keys";
/// The selectors of the first start's DKIM keys, Ed25519 and RSA.
const FIRST_SELECTORS: [&str; 2] = ["e1", "k1"];
/// The words a file of 32 bytes begins with.
const HEADER: &str = "karamail-key v1";

/// The keys in use, and the older ones still believed.
#[derive(Debug, Clone)]
pub struct Keys {
    folder: PathBuf,
    link: KeyRing,
    seal: KeyRing,
    verp: KeyRing,
    dkim: Vec<DkimKey>,
}

impl Keys {
    /// Reads the keys below `data_dir`, making them first where there are none yet.
    ///
    /// RSA keys draw on the cryptographic library's own chance, all others on `random`.
    ///
    /// # Errors
    /// A key cannot be read, made or believed; where several are wrong the first is given ([`Keys::load`] gives all).
    pub fn open(data_dir: &Path, random: &Random) -> Result<Self, KeyError> {
        let folder = data_dir.join(FOLDER);
        if disk::is_unused(&folder)? {
            make(data_dir, &folder, random)?;
        }
        Found::keys(&folder)
    }

    /// Reads the keys below `data_dir` and makes none; nothing where there are none yet, as before the first start.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(data_dir: &Path) -> Result<Option<Self>, Vec<KeyError>> {
        let folder = data_dir.join(FOLDER);
        if disk::is_unused(&folder).map_err(|problem| vec![problem])? {
            return Ok(None);
        }
        let (found, mut problems) = Found::read(&folder);
        if problems.is_empty() {
            problems.extend(Kind::ALL.into_iter().filter_map(|kind| found.ring(kind, &folder).err()));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        found.believe(folder).map(Some).map_err(|problem| vec![problem])
    }

    /// Puts keys together that lie in no folder: rings made elsewhere, and no DKIM key.
    #[must_use]
    pub const fn apart(link: KeyRing, seal: KeyRing, verp: KeyRing) -> Self {
        Self { folder: PathBuf::new(), link, seal, verp, dkim: Vec::new() }
    }

    /// Gives the keys that sign links.
    #[must_use]
    pub const fn link(&self) -> &KeyRing {
        &self.link
    }

    /// Gives the keys that seal.
    #[must_use]
    pub const fn seal(&self) -> &KeyRing {
        &self.seal
    }

    /// Gives the keys that sign return addresses.
    #[must_use]
    pub const fn verp(&self) -> &KeyRing {
        &self.verp
    }

    /// Gives the keys of one kind.
    #[must_use]
    pub const fn ring(&self, kind: Kind) -> &KeyRing {
        match kind {
            Kind::Link => &self.link,
            Kind::Seal => &self.seal,
            Kind::Verp => &self.verp,
        }
    }

    /// Gives the DKIM keys in use, by selector.
    #[must_use]
    pub fn dkim(&self) -> &[DkimKey] {
        &self.dkim
    }

    /// Reads the DKIM keys that wait to be used, by selector: their records are to be published first.
    ///
    /// # Errors
    /// The folder or one of them cannot be read or believed. None of them is needed to run, so this is asked for itself.
    pub fn waiting(&self) -> Result<Vec<DkimKey>, KeyError> {
        let waits = |name: &String| match KeyId::of_file(name) {
            Some((KeyId::Dkim(selector), Standing::Waiting)) => Some(dkim::read(&self.folder.join(name), &selector)),
            _ => None,
        };
        disk::names(&self.folder)?.iter().filter_map(waits).collect()
    }

    /// Says which keys sign the mail: those of `entries`, or where the settings name none all in use, for `from`.
    ///
    /// # Errors
    /// An own key cannot be read, a selector has no key in use, or none is left at all.
    pub fn signers(&self, entries: &[DkimEntry], from: &Domain) -> Result<Vec<DkimSigner>, KeyError> {
        if entries.is_empty() {
            let all =
                self.dkim.iter().map(|key| DkimSigner { domain: from.clone(), key: key.clone() }).collect::<Vec<_>>();
            return if all.is_empty() { Err(self.no_selector("*")) } else { Ok(all) };
        }
        entries.iter().map(|entry| self.signer(entry)).collect()
    }

    /// Reads or finds the key of one `[[dkim]]`.
    ///
    /// # Errors
    /// As [`Keys::signers`].
    pub fn signer(&self, entry: &DkimEntry) -> Result<DkimSigner, KeyError> {
        let key = match &entry.key_file {
            Some(file) => dkim::read(file, &entry.selector)?,
            None => self
                .dkim
                .iter()
                .find(|key| key.selector == entry.selector)
                .cloned()
                .ok_or_else(|| self.no_selector(&entry.selector))?,
        };
        Ok(DkimSigner { domain: entry.domain.clone(), key })
    }

    /// Lists the keys that will sign after the first start, with the domains they sign for: those that the settings bring along
    /// are there already, of those that it makes only the names and algorithms are known.
    ///
    /// # Errors
    /// A key that is brought along cannot be read or believed.
    pub fn to_come(entries: &[DkimEntry], from: &Domain) -> Result<Vec<ToCome>, KeyError> {
        let [ed25519, rsa] = FIRST_SELECTORS;
        let made = |selector: &str, domain: &Domain| {
            let algorithm = if selector == ed25519 { DkimAlgorithm::Ed25519 } else { DkimAlgorithm::Rsa };
            ToCome { domain: domain.clone(), selector: selector.to_owned(), algorithm, key: None }
        };
        if entries.is_empty() {
            return Ok([rsa, ed25519].map(|selector| made(selector, from)).into());
        }
        let one = |entry: &DkimEntry| {
            let Some(file) = &entry.key_file else { return Ok(made(&entry.selector, &entry.domain)) };
            let key = dkim::read(file, &entry.selector)?;
            Ok(ToCome { algorithm: key.algorithm, key: Some(key), ..made(&entry.selector, &entry.domain) })
        };
        entries.iter().map(one).collect()
    }

    /// Lists what will be wrong with `entries` after the first start has made its keys below `data_dir`.
    #[must_use]
    pub fn before_the_first_start(data_dir: &Path, entries: &[DkimEntry]) -> Vec<KeyError> {
        let problem = |entry: &DkimEntry| match &entry.key_file {
            Some(file) => dkim::read(file, &entry.selector).err(),
            None if FIRST_SELECTORS.contains(&entry.selector.as_str()) => None,
            None => Some(no_selector(&data_dir.join(FOLDER), &entry.selector, &FIRST_SELECTORS)),
        };
        entries.iter().filter_map(problem).collect()
    }

    fn no_selector(&self, selector: &str) -> KeyError {
        let known: Vec<&str> = self.dkim.iter().map(|key| key.selector.as_str()).collect();
        no_selector(&self.folder, selector, &known)
    }
}

/// A key that will sign after the first start.
#[derive(Debug, Clone)]
pub struct ToCome {
    /// The domain it will sign for.
    pub domain: Domain,
    /// The selector its public half is published under.
    pub selector: String,
    /// How it signs.
    pub algorithm: DkimAlgorithm,
    /// The key itself, where the settings bring it along.
    pub key: Option<DkimKey>,
}

fn no_selector(folder: &Path, selector: &str, known: &[&str]) -> KeyError {
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    KeyError::NoSelector { folder: folder.to_owned(), selector: selector.to_owned(), known }
}

fn key_text(name: &str, key: &[u8; 32]) -> Zeroizing<String> {
    Zeroizing::new(format!("{HEADER} {name} {}\n", data_encoding::BASE64.encode(key)))
}

/// Makes the keys of the first start: all are in use at once, the DKIM keys too.
fn make(data_dir: &Path, folder: &Path, random: &Random) -> Result<(), KeyError> {
    let mut files = Vec::new();
    for kind in Kind::ALL {
        let name = KeyId::Numbered(kind, 1).file(Standing::InUse);
        let key = Zeroizing::new(random.bytes::<32>()?);
        files.push((name.clone(), key_text(&name, &key)));
    }
    let [ed25519, rsa] = FIRST_SELECTORS.map(|selector| KeyId::Dkim(selector.to_owned()).file(Standing::InUse));
    files.push((ed25519, dkim::make_ed25519(random)?));
    files.push((rsa, dkim::make_rsa()?));
    disk::publish(data_dir, folder, &files)
}

#[cfg(test)]
mod tests;
