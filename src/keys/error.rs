//! Why keys cannot be used or changed.

use super::{KeyId, Kind};
use crate::random::NoChance;
use std::io;
use std::path::{Path, PathBuf};

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
    pub(super) fn io(path: &Path, doing: &'static str, cause: io::Error) -> Self {
        Self::Io { path: path.to_owned(), doing, cause }
    }

    pub(super) fn content(path: &Path, why: &'static str) -> Self {
        Self::Content { path: path.to_owned(), why }
    }
}

/// Why a key is not made, used or retired; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// A file cannot be used or written.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// There is no such key.
    #[error("there is no key {0}; all there are: key list")]
    Unknown(KeyId),
    /// The selector has a key, or had one.
    #[error(
        "there is or was a DKIM key {0}: a selector is given once, as receivers may remember its record; choose another, such as {0}b"
    )]
    Taken(String),
    /// No DKIM key may be called that.
    #[error("“{0}” cannot be a selector: letters, digits and hyphens, and not like the name of another key")]
    Selector(String),
    /// There are no numbers left.
    #[error("there are 65535 {0} keys already")]
    Full(Kind),
    /// It was retired.
    #[error("{0} was retired; make another: key new")]
    Retired(KeyId),
    /// A newer one is in use.
    #[error("{0} is older than {1}, which is in use and stays it; to stop using that one, make another: key new {kind}", kind = .0.kind())]
    Older(KeyId, KeyId),
    /// It makes new things.
    #[error("{0} is in use; make another first: key new {kind}", kind = .0.kind())]
    InUse(KeyId),
    /// The settings name it.
    #[error("{0} is named by [[dkim]] in the settings; name another selector there, reload, then retire it")]
    Named(KeyId),
    /// A DKIM key that signs has no other one of its algorithm beside it.
    #[error("{0} signs the mail, and no other {1} key does; use another one first (key new dkim {1}, key use)")]
    Signs(KeyId, &'static str),
}
