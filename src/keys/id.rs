//! What keys are called, and how their files are named after that.
//!
//! Knows no file. What always holds: a name means one key in one standing, and each key has one name in each standing.

use crate::model::DkimEntry;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What the keys of 32 bytes are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Signs links.
    Link,
    /// Seals what must be readable again but never seen.
    Seal,
    /// Signs return addresses.
    Verp,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Link, Self::Seal, Self::Verp];

    /// Gives the word that its keys' names begin with.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Seal => "seal",
            Self::Verp => "verp",
        }
    }

    pub(super) fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// Which key: `link-2`, or a DKIM key by its selector.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum KeyId {
    /// One of 32 bytes.
    Numbered(Kind, u16),
    /// A DKIM key.
    Dkim(String),
}

/// The text names no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is no key: write link-2, seal-1, verp-1 or the selector of a DKIM key")]
pub struct KeyIdError(String);

impl KeyId {
    /// Gives what it is for: `link`, `seal`, `verp` or `dkim`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Numbered(kind, _) => kind.as_str(),
            Self::Dkim(_) => DKIM,
        }
    }

    /// Says whether a DKIM key of ours may have that selector: it must not look like the name of another key.
    #[must_use]
    pub fn is_free_selector(selector: &str) -> bool {
        DkimEntry::is_selector(selector) && selector.parse() == Ok(Self::Dkim(selector.to_owned()))
    }

    /// Gives the name of its file.
    pub(super) fn file(&self, standing: Standing) -> String {
        let stem = match self {
            Self::Numbered(kind, number) => format!("{kind}-{number}"),
            Self::Dkim(selector) => format!("{DKIM}-{selector}"),
        };
        stem + standing.ending()
    }

    /// Reads the name of a file; nothing where it is none of ours.
    pub(super) fn of_file(name: &str) -> Option<(Self, Standing)> {
        let (stem, standing) = Standing::of(name);
        let (kind, rest) = stem.split_once('-')?;
        let id = match Kind::named(kind) {
            Some(kind) => Self::Numbered(kind, key_number(rest)?),
            None if kind == DKIM && DkimEntry::is_selector(rest) => Self::Dkim(rest.to_owned()),
            None => return None,
        };
        Some((id, standing))
    }
}

/// The word that the files of DKIM keys begin with.
pub(super) const DKIM: &str = "dkim";

/// Reads the number behind the kind: no sign, no leading zero, so that no two names mean one key.
fn key_number(text: &str) -> Option<u16> {
    let number: u16 = text.parse().ok()?;
    (number > 0 && number.to_string() == text).then_some(number)
}

impl FromStr for KeyId {
    type Err = KeyIdError;

    /// Takes `dkim-SELECTOR` too, as the file is named.
    fn from_str(text: &str) -> Result<Self, KeyIdError> {
        if let Some((id, Standing::InUse)) = Self::of_file(text) {
            return Ok(id);
        }
        if DkimEntry::is_selector(text) { Ok(Self::Dkim(text.to_owned())) } else { Err(KeyIdError(text.to_owned())) }
    }
}

impl TryFrom<String> for KeyId {
    type Error = KeyIdError;

    fn try_from(text: String) -> Result<Self, KeyIdError> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numbered(kind, number) => write!(out, "{kind}-{number}"),
            Self::Dkim(selector) => out.write_str(selector),
        }
    }
}

/// What the ending of a file's name says of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It makes new things, or did so before a newer one came.
    InUse,
    /// It is not used before somebody says so; what others make with it is believed.
    Waiting,
    /// A DKIM key in whose place another signs.
    Replaced,
    /// It is not believed any more.
    Retired,
}

impl Standing {
    const MARKED: [Self; 3] = [Self::Waiting, Self::Replaced, Self::Retired];

    const fn ending(self) -> &'static str {
        match self {
            Self::InUse => "",
            Self::Waiting => ".new",
            Self::Replaced => ".old",
            Self::Retired => ".retired",
        }
    }

    fn of(name: &str) -> (&str, Self) {
        let marked =
            Self::MARKED.into_iter().find_map(|standing| Some((name.strip_suffix(standing.ending())?, standing)));
        marked.unwrap_or((name, Self::InUse))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_by_its_kind_and_number_or_by_its_selector() {
        for (text, id) in [
            ("link-2", KeyId::Numbered(Kind::Link, 2)),
            ("seal-65535", KeyId::Numbered(Kind::Seal, 65_535)),
            ("k1", KeyId::Dkim("k1".into())),
            ("dkim-k1", KeyId::Dkim("k1".into())),
            ("link-02", KeyId::Dkim("link-02".into())),
        ] {
            assert_eq!(text.parse(), Ok(id), "{text}");
        }
        for text in ["", "k1.new", "dkim-", "link-1.retired", "鍵"] {
            assert!(text.parse::<KeyId>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_file_name_is_read_back() {
        let ids = [KeyId::Numbered(Kind::Verp, 7), KeyId::Dkim("2026-11".into())];
        for id in ids {
            for standing in [Standing::InUse, Standing::Waiting, Standing::Replaced, Standing::Retired] {
                assert_eq!(KeyId::of_file(&id.file(standing)), Some((id.clone(), standing)));
            }
        }
        for name in ["notes", "link-0", "link-1.making", "dkim-k1.pem", "other-1"] {
            assert_eq!(KeyId::of_file(name), None, "{name}");
        }
    }

    #[test]
    fn a_selector_that_looks_like_another_key_is_not_free() {
        for (selector, free) in [("k2", true), ("link", true), ("link-2", false), ("dkim-k1", false), ("k_1", false)] {
            assert_eq!(KeyId::is_free_selector(selector), free, "{selector}");
        }
    }
}
