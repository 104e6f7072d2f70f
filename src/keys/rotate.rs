//! Which keys there are, and what may be done to each: the files behind `key list`, `new`, `use` and `retire`.
//!
//! Knows nothing of how long an old key is still needed. What always holds: each step is one file that appears or one name that
//! changes, so a crash leaves the keys usable; a key in use always has another one in use before it goes.

use super::id::{DKIM, KeyId, Kind, Standing};
use super::{DkimAlgorithm, DkimKey, Keys, RotateError, disk, dkim, key_text};
use crate::model::Timestamp;
use crate::random::Random;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What a key is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It makes new things.
    InUse,
    /// What was made with it is believed; it makes nothing new.
    Verifies,
    /// It waits to be used.
    Waiting,
    /// It is not believed any more.
    Retired,
}

impl State {
    /// Gives the word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InUse => "in-use",
            Self::Verifies => "verifies",
            Self::Waiting => "waiting",
            Self::Retired => "retired",
        }
    }
}

/// One key of the folder.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Which.
    pub id: KeyId,
    /// What its file says of it.
    pub standing: Standing,
    /// Its file.
    pub file: PathBuf,
    /// When it was made.
    pub made: Timestamp,
    /// Since when it has stood like this, at the earliest.
    pub since: Timestamp,
    /// The key itself where it is a DKIM key that can be read and is not retired.
    pub dkim: Option<DkimKey>,
}

/// Lists the keys, the retired ones too: by kind, then by number or selector.
pub(super) fn list(folder: &Path) -> Result<Vec<Entry>, RotateError> {
    let mut found = Vec::new();
    for name in disk::names(folder)? {
        let Some((id, standing)) = KeyId::of_file(&name) else { continue };
        let file = folder.join(&name);
        let (made, since) = disk::times(&file)?;
        let dkim = match (&id, standing) {
            (KeyId::Dkim(selector), Standing::InUse | Standing::Waiting | Standing::Replaced) => {
                dkim::read(&file, selector).ok()
            }
            _ => None,
        };
        found.push(Entry { id, standing, file, made, since, dkim });
    }
    found.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(found)
}

fn find<'a>(entries: &'a [Entry], id: &KeyId) -> Result<&'a Entry, RotateError> {
    entries.iter().find(|entry| entry.id == *id).ok_or_else(|| RotateError::Unknown(id.clone()))
}

/// Makes a key of 32 bytes; it is in use at once, or waits.
pub(super) fn add(folder: &Path, kind: Kind, standing: Standing, random: &Random) -> Result<KeyId, RotateError> {
    let number = |entry: &Entry| match &entry.id {
        KeyId::Numbered(of, number) if *of == kind => Some(*number),
        KeyId::Numbered(..) | KeyId::Dkim(_) => None,
    };
    let highest = list(folder)?.iter().filter_map(number).max().unwrap_or(0);
    let id = KeyId::Numbered(kind, highest.checked_add(1).ok_or(RotateError::Full(kind))?);
    let key = Zeroizing::new(random.bytes::<32>().map_err(super::KeyError::from)?);
    disk::add(folder, &id.file(standing), &key_text(&id.to_string(), &key))?;
    Ok(id)
}

/// Makes a DKIM key, which waits.
pub(super) fn add_dkim(
    folder: &Path,
    algorithm: DkimAlgorithm,
    selector: &str,
    random: &Random,
) -> Result<KeyId, RotateError> {
    if !KeyId::is_free_selector(selector) {
        return Err(RotateError::Selector(selector.to_owned()));
    }
    let id = KeyId::Dkim(selector.to_owned());
    // DNS names have no case.
    let same = |entry: &Entry| entry.id.kind() == DKIM && entry.id.to_string().eq_ignore_ascii_case(selector);
    if list(folder)?.iter().any(same) {
        return Err(RotateError::Taken(selector.to_owned()));
    }
    let pem = match algorithm {
        DkimAlgorithm::Rsa => dkim::make_rsa()?,
        DkimAlgorithm::Ed25519 => dkim::make_ed25519(random)?,
    };
    disk::add(folder, &id.file(Standing::Waiting), &pem)?;
    Ok(id)
}

/// Has a key make new things; says in place of which DKIM keys, where it is one. `named` are the selectors in `[[dkim]]`; where
/// there are none, the DKIM keys sign as they stand in the folder.
pub(super) fn bring_into_use(
    folder: &Path,
    id: &KeyId,
    keys: &Keys,
    named: &[String],
) -> Result<Vec<KeyId>, RotateError> {
    let entries = list(folder)?;
    let entry = find(&entries, id)?;
    if entry.standing == Standing::Retired {
        return Err(RotateError::Retired(id.clone()));
    }
    if let KeyId::Numbered(kind, number) = *id {
        let (active, _) = keys.ring(kind).active();
        if number < active {
            return Err(RotateError::Older(id.clone(), KeyId::Numbered(kind, active)));
        }
    }
    if let (KeyId::Dkim(selector), None) = (id, &entry.dkim) {
        // Its fault is told before anything changes.
        dkim::read(&entry.file, selector)?;
    }
    if entry.standing != Standing::InUse {
        disk::rename(folder, &id.file(entry.standing), &id.file(Standing::InUse))?;
    }
    // Until the others have gone both sign, which does no harm.
    let replaced = if named.is_empty() { peers(&entries, entry) } else { Vec::new() };
    for other in &replaced {
        disk::rename(folder, &other.file(Standing::InUse), &other.file(Standing::Replaced))?;
    }
    Ok(replaced)
}

/// Finds the DKIM keys in use that sign as this one does.
fn peers(entries: &[Entry], of: &Entry) -> Vec<KeyId> {
    let Some(algorithm) = of.dkim.as_ref().map(|key| key.algorithm) else { return Vec::new() };
    let same = |entry: &&Entry| {
        entry.id != of.id
            && entry.standing == Standing::InUse
            && entry.dkim.as_ref().is_some_and(|key| key.algorithm == algorithm)
    };
    entries.iter().filter(same).map(|entry| entry.id.clone()).collect()
}

/// Has a key believed no more; `named` as for [`bring_into_use`].
pub(super) fn retire(folder: &Path, id: &KeyId, keys: &Keys, named: &[String]) -> Result<(), RotateError> {
    let entries = list(folder)?;
    let entry = find(&entries, id)?;
    match (id, entry.standing) {
        (_, Standing::Retired) => return Ok(()),
        (KeyId::Numbered(kind, number), Standing::InUse) if keys.ring(*kind).active().0 == *number => {
            return Err(RotateError::InUse(id.clone()));
        }
        (KeyId::Dkim(selector), _) if named.contains(selector) => {
            return Err(RotateError::Named(id.clone()));
        }
        (KeyId::Dkim(_), Standing::InUse) if named.is_empty() && peers(&entries, entry).is_empty() => {
            let algorithm = entry.dkim.as_ref().map_or(DKIM, |key| key.algorithm.as_str());
            return Err(RotateError::Signs(id.clone(), algorithm));
        }
        (KeyId::Numbered(..) | KeyId::Dkim(_), _) => {}
    }
    Ok(disk::rename(folder, &id.file(entry.standing), &id.file(Standing::Retired))?)
}
