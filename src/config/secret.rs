//! Secrets: written in the file, or better in a file of their own (`*_file`).

use super::reader::Section;
use crate::model::Secret;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The longest secret read from a file, in bytes.
const LONGEST: usize = 4096;

/// A complaint about the secret has been noted.
pub(super) struct Noted;

/// A secret, and the key that gave it.
pub(super) struct Found {
    pub(super) key: String,
    pub(super) secret: Secret<String>,
}

/// Reads `key`, or the file that `key_file` names (below `data_dir`); nothing where neither is there.
pub(super) fn read(section: &mut Section<'_>, key: &str, data_dir: &Path) -> Result<Option<Found>, Noted> {
    let file_key = format!("{key}_file");
    let (inline_given, file_given) = (section.has(key), section.has(&file_key));
    let inline = section.value::<String>(key).map(Secret::new);
    let file = section.value::<String>(&file_key);
    if inline_given && file_given {
        section.complain(&file_key, format!("says the same as {key}"), Some(format!("remove {key}")));
        return Err(Noted);
    }
    let found = match (inline, file) {
        (Some(secret), _) => Found { key: key.to_owned(), secret },
        (None, Some(file)) => {
            let path = data_dir.join(file);
            let secret = of_file(&path).map_err(|why| {
                section.complain(&file_key, format!("{}: {why}", path.display()), None);
                Noted
            })?;
            Found { key: file_key, secret }
        }
        (None, None) if inline_given || file_given => return Err(Noted),
        (None, None) => return Ok(None),
    };
    if found.secret.reveal().is_empty() {
        section.complain(&found.key, "is empty", None);
        return Err(Noted);
    }
    Ok(Some(found))
}

/// Why a file yields no secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("everybody on this machine can read it; run: chmod o= on it")]
    TooOpen,
    #[error("is longer than a secret is")]
    TooLong,
}

/// Reads the one line of a file. Its group may read it: that is how orchestrators hand secrets over.
pub(super) fn of_file(path: &Path) -> Result<Secret<String>, Unusable> {
    let file = File::open(path)?;
    if file.metadata()?.permissions().mode() & 0o007 != 0 {
        return Err(Unusable::TooOpen);
    }
    let mut text = zeroize::Zeroizing::new(String::new());
    if file.take(LONGEST as u64 + 1).read_to_string(&mut text)? > LONGEST {
        return Err(Unusable::TooLong);
    }
    Ok(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}
