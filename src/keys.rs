//! The key files on disk: made on the first start, read at every start.
//!
//! `keys/` below the data folder holds one file a key: `link-1`, `seal-1`, `verp-1` (32 random bytes in one line of text) and
//! `dkim-SELECTOR` (PKCS#8 in PEM). A retired key is renamed to end in `.retired`, a DKIM key that waits for its DNS record ends
//! in `.new`; neither is loaded. Among several of a kind the highest number makes new things.
//!
//! Does not know what the keys are used for, nor the settings: own DKIM keys come in as [`DkimEntry`]. What always holds: a
//! key file that others than its owner can reach is refused; the files of the first start appear together or not at all; a
//! kind that has vanished is reported and never silently made anew, as what it sealed could not be read again.

mod disk;
mod dkim;

pub use dkim::{DkimAlgorithm, DkimKey, DkimSigner};

use crate::model::{DkimEntry, Domain, KeyRing, Secret};
use crate::random::{NoChance, Random};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The name of the folder below the data folder.
const FOLDER: &str = "keys";
/// The selectors of the first start's DKIM keys, Ed25519 and RSA.
const FIRST_SELECTORS: [&str; 2] = ["e1", "k1"];
/// How the name of a DKIM key ends that waits for its record.
const WAITING: &str = ".new";
/// How the name of a key ends that is not believed any more.
const RETIRED: &str = ".retired";
/// The words a file of 32 bytes begins with.
const HEADER: &str = "karamail-key v1";

/// What the keys of 32 bytes are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Signs links.
    Link,
    /// Seals what must be readable again but never seen.
    Seal,
    /// Signs return addresses.
    Verp,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Link, Self::Seal, Self::Verp];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Seal => "seal",
            Self::Verp => "verp",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// Why the keys cannot be used; each variant names the file.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The system refused to read, make or write it.
    #[error("{}: cannot be {doing}: {cause}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried: `read`, `written`, …
        doing: &'static str,
        /// What the system said.
        cause: io::Error,
    },
    /// Its group or everybody may reach it.
    #[error("{}: others than its owner can reach it (mode {mode:04o}); run: chmod {wanted:o} {}", path.display(), path.display())]
    TooOpen {
        /// The file or folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode it should have.
        wanted: u32,
    },
    /// A name like those of our keys that is none.
    #[error("{}: is not the name of a key: {want}", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// What a name looks like.
        want: &'static str,
    },
    /// The content is no key.
    #[error("{}: {why}; put the file back from your copy of the keys", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There are keys, but none of this kind.
    #[error("{}: has no {kind} key in use; put {kind}-1 (or what it was) back from your copy of the keys", folder.display())]
    Missing {
        /// The keys' folder.
        folder: PathBuf,
        /// The kind that is not there.
        kind: Kind,
    },
    /// The settings name a selector that has no key, or no key is left to sign with.
    #[error("{}: no DKIM key “{selector}” is in use (there are: {known}); name another selector, or give the key as key_file", folder.display())]
    NoSelector {
        /// The keys' folder.
        folder: PathBuf,
        /// The selector asked for.
        selector: String,
        /// Those in use.
        known: String,
    },
    /// No random bytes to make keys of.
    #[error(transparent)]
    Chance(#[from] NoChance),
    /// The key pair could not be made.
    #[error("a DKIM key pair cannot be made: the cryptographic library refused")]
    Making,
}

impl KeyError {
    fn io(path: &Path, doing: &'static str, cause: io::Error) -> Self {
        Self::Io { path: path.to_owned(), doing, cause }
    }

    fn content(path: &Path, why: &'static str) -> Self {
        Self::Content { path: path.to_owned(), why }
    }
}

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
        let (found, problems) = Found::read(&folder);
        match problems.into_iter().next() {
            Some(first) => Err(first),
            None => found.believe(folder),
        }
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
        let waits = |name: &String| {
            let selector = name.strip_prefix("dkim-")?.strip_suffix(WAITING)?;
            DkimEntry::is_selector(selector).then(|| dkim::read(&self.folder.join(name), selector))
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

fn no_selector(folder: &Path, selector: &str, known: &[&str]) -> KeyError {
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    KeyError::NoSelector { folder: folder.to_owned(), selector: selector.to_owned(), known }
}

/// What the folder holds, before it is known to be complete.
#[derive(Default)]
struct Found {
    link: BTreeMap<u16, Secret<[u8; 32]>>,
    seal: BTreeMap<u16, Secret<[u8; 32]>>,
    verp: BTreeMap<u16, Secret<[u8; 32]>>,
    dkim: Vec<DkimKey>,
}

impl Found {
    /// Reads every key file, and says what is wrong with those that cannot be used.
    fn read(folder: &Path) -> (Self, Vec<KeyError>) {
        let mut found = Self::default();
        let mut problems: Vec<KeyError> = disk::private(folder, 0o700).err().into_iter().collect();
        match disk::names(folder) {
            Err(problem) => problems.push(problem),
            Ok(names) => problems.extend(names.iter().filter_map(|name| found.take(folder, name).err())),
        }
        (found, problems)
    }

    /// Reads one file, if its name is one of ours. Retired and waiting keys, and what an operator put beside, are passed over.
    fn take(&mut self, folder: &Path, name: &str) -> Result<(), KeyError> {
        let path = folder.join(name);
        let Some((kind, id)) = name.split_once('-') else { return Ok(()) };
        if id.ends_with(RETIRED) || id.ends_with(WAITING) {
            return Ok(());
        }
        if kind == "dkim" {
            if !DkimEntry::is_selector(id) {
                let want = "dkim-SELECTOR, without a dot; a key of your own lies elsewhere and is named as key_file in [[dkim]]";
                return Err(KeyError::Name { path, want });
            }
            self.dkim.push(dkim::read(&path, id)?);
        } else if let Some(kind) = Kind::ALL.into_iter().find(|known| known.as_str() == kind) {
            let number = key_number(id).ok_or(KeyError::Name {
                path: path.clone(),
                want: "the kind and a number from 1 to 65535, such as link-2",
            })?;
            let key = read_key(&path, name)?;
            self.of(kind).insert(number, key);
        }
        Ok(())
    }

    const fn of(&mut self, kind: Kind) -> &mut BTreeMap<u16, Secret<[u8; 32]>> {
        match kind {
            Kind::Link => &mut self.link,
            Kind::Seal => &mut self.seal,
            Kind::Verp => &mut self.verp,
        }
    }

    fn ring(&self, kind: Kind, folder: &Path) -> Result<KeyRing, KeyError> {
        let keys = match kind {
            Kind::Link => &self.link,
            Kind::Seal => &self.seal,
            Kind::Verp => &self.verp,
        };
        keys.keys()
            .next_back()
            .and_then(|newest| KeyRing::new(*newest, keys.clone()).ok())
            .ok_or_else(|| KeyError::Missing { folder: folder.to_owned(), kind })
    }

    fn believe(self, folder: PathBuf) -> Result<Keys, KeyError> {
        Ok(Keys {
            link: self.ring(Kind::Link, &folder)?,
            seal: self.ring(Kind::Seal, &folder)?,
            verp: self.ring(Kind::Verp, &folder)?,
            dkim: self.dkim,
            folder,
        })
    }
}

/// Reads the number behind the kind: no sign, no leading zero, so that no two names mean one key.
fn key_number(text: &str) -> Option<u16> {
    let number: u16 = text.parse().ok()?;
    (number > 0 && number.to_string() == text).then_some(number)
}

/// Reads one line of the form `karamail-key v1 link-1 BASE64`.
fn read_key(path: &Path, name: &str) -> Result<Secret<[u8; 32]>, KeyError> {
    let text = disk::read_private(path)?;
    let rest = text.trim_end().strip_prefix(HEADER).and_then(|rest| rest.strip_prefix(' '));
    let (written, key) = rest
        .and_then(|rest| rest.split_once(' '))
        .ok_or_else(|| KeyError::content(path, "is not one line that begins with “karamail-key v1”"))?;
    if written != name {
        return Err(KeyError::content(path, "holds a key that was written under another name"));
    }
    let wrong = || KeyError::content(path, "holds no 32 bytes in base64: it was cut or changed");
    let bytes = Zeroizing::new(data_encoding::BASE64.decode(key.as_bytes()).ok().ok_or_else(wrong)?);
    let key: [u8; 32] = bytes.as_slice().try_into().ok().ok_or_else(wrong)?;
    Ok(Secret::new(key))
}

fn key_text(name: &str, key: &[u8; 32]) -> Zeroizing<String> {
    Zeroizing::new(format!("{HEADER} {name} {}\n", data_encoding::BASE64.encode(key)))
}

/// Makes the keys of the first start: all are in use at once, the DKIM keys too.
fn make(data_dir: &Path, folder: &Path, random: &Random) -> Result<(), KeyError> {
    let mut files = Vec::new();
    for kind in Kind::ALL {
        let name = format!("{kind}-1");
        let key = Zeroizing::new(random.bytes::<32>()?);
        files.push((name.clone(), key_text(&name, &key)));
    }
    let [ed25519, rsa] = FIRST_SELECTORS.map(|selector| format!("dkim-{selector}"));
    files.push((ed25519, dkim::make_ed25519(random)?));
    files.push((rsa, dkim::make_rsa()?));
    disk::publish(data_dir, folder, &files)
}

#[cfg(test)]
mod tests;
