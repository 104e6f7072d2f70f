//! What the keys' folder holds, read file by file.
//!
//! Does not know which of the keys are wanted. What always holds: every fault is given, not only the first.

use super::dkim::DkimKey;
use super::id::{DKIM, KeyId, Standing};
use super::{HEADER, KeyError, Keys, Kind, disk, dkim};
use crate::model::{DkimEntry, KeyRing, Secret};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The keys of 32 bytes of one kind.
#[derive(Default)]
struct Bunch {
    keys: BTreeMap<u16, Secret<[u8; 32]>>,
    /// The highest that does not wait.
    active: Option<u16>,
}

/// What the folder holds, before it is known to be complete.
#[derive(Default)]
pub(super) struct Found {
    link: Bunch,
    seal: Bunch,
    verp: Bunch,
    dkim: Vec<DkimKey>,
}

impl Found {
    /// Reads every key file, and says what is wrong with those that cannot be used.
    pub(super) fn read(folder: &Path) -> (Self, Vec<KeyError>) {
        let mut found = Self::default();
        let mut problems: Vec<KeyError> = disk::private(folder, 0o700).err().into_iter().collect();
        match disk::names(folder) {
            Err(problem) => problems.push(problem),
            Ok(names) => problems.extend(names.iter().filter_map(|name| found.take(folder, name).err())),
        }
        (found, problems)
    }

    /// Reads the keys; where several are wrong, the first is told.
    pub(super) fn keys(folder: &Path) -> Result<Keys, KeyError> {
        let (found, problems) = Self::read(folder);
        match problems.into_iter().next() {
            Some(first) => Err(first),
            None => found.believe(folder.to_owned()),
        }
    }

    /// Reads one file, if its name is one of ours. Keys that are not believed, and what an operator put beside, are passed over.
    fn take(&mut self, folder: &Path, name: &str) -> Result<(), KeyError> {
        let path = folder.join(name);
        match KeyId::of_file(name) {
            Some((_, Standing::Retired) | (KeyId::Dkim(_), Standing::Waiting | Standing::Replaced)) => Ok(()),
            Some((KeyId::Dkim(selector), Standing::InUse)) => {
                self.dkim.push(dkim::read(&path, &selector)?);
                Ok(())
            }
            Some((KeyId::Numbered(kind, number), standing)) => {
                // It is written under the name that it has once it is used.
                let key = read_key(&path, &KeyId::Numbered(kind, number).file(Standing::InUse))?;
                let bunch = self.of(kind);
                if standing == Standing::InUse {
                    bunch.active = bunch.active.max(Some(number));
                }
                // A copy that waits beside one in use comes behind it in the order of names.
                bunch.keys.entry(number).or_insert(key);
                Ok(())
            }
            None => misnamed(path, name),
        }
    }

    const fn of(&mut self, kind: Kind) -> &mut Bunch {
        match kind {
            Kind::Link => &mut self.link,
            Kind::Seal => &mut self.seal,
            Kind::Verp => &mut self.verp,
        }
    }

    pub(super) fn ring(&self, kind: Kind, folder: &Path) -> Result<KeyRing, KeyError> {
        let bunch = match kind {
            Kind::Link => &self.link,
            Kind::Seal => &self.seal,
            Kind::Verp => &self.verp,
        };
        bunch
            .active
            .and_then(|active| KeyRing::new(active, bunch.keys.clone()).ok())
            .ok_or_else(|| KeyError::Missing { folder: folder.to_owned(), kind })
    }

    pub(super) fn believe(self, folder: PathBuf) -> Result<Keys, KeyError> {
        Ok(Keys {
            link: self.ring(Kind::Link, &folder)?,
            seal: self.ring(Kind::Seal, &folder)?,
            verp: self.ring(Kind::Verp, &folder)?,
            dkim: self.dkim,
            folder,
        })
    }
}

/// Complains of a name that is nearly one of ours.
fn misnamed(path: PathBuf, name: &str) -> Result<(), KeyError> {
    let Some((kind, rest)) = name.split_once('-') else { return Ok(()) };
    if name.ends_with(disk::MAKING) || [".new", ".retired"].iter().any(|ending| rest.ends_with(ending)) {
        return Ok(());
    }
    if kind == DKIM && !DkimEntry::is_selector(rest) {
        let want =
            "dkim-SELECTOR, without a dot; a key of your own lies elsewhere and is named as key_file in [[dkim]]";
        return Err(KeyError::Name { path, want });
    }
    match Kind::named(kind) {
        Some(_) => Err(KeyError::Name { path, want: "the kind and a number from 1 to 65535, such as link-2" }),
        None => Ok(()),
    }
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
