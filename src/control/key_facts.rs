//! What commands print of keys; no key of the JSON is ever renamed, and none of ours is ever shown.

use crate::keys::{DkimKey, Entry, KeyId, Keychain, Kind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFacts {
    /// What commands call it.
    pub id: KeyId,
    /// `link`, `seal`, `verp` or `dkim`.
    pub kind: String,
    /// `in-use`, `verifies`, `waiting` or `retired`.
    pub state: String,
    /// When it was made.
    pub made_at: String,
    /// Its file.
    pub file: String,
    /// How many values are sealed with it; of those that seal only.
    pub values: Option<u64>,
    /// `rsa` or `ed25519`; of DKIM keys that are not retired.
    pub algorithm: Option<String>,
    /// The records that publish it; of DKIM keys only.
    pub records: Vec<RecordFacts>,
}

/// A TXT record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordFacts {
    /// Its name, without a dot at the end.
    pub name: String,
    /// Its text, in one; nothing for a retired key.
    pub text: Option<String>,
}

/// What was done to a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyDoneFacts {
    /// The key, as it stands now.
    #[serde(flatten)]
    pub key: KeyFacts,
    /// What the operator should know or do next.
    pub notes: Vec<String>,
}

impl KeyFacts {
    pub(super) fn new(entry: &Entry, keys: &Keychain, sealed: &BTreeMap<u16, u64>) -> Self {
        let values = match entry.id {
            KeyId::Numbered(Kind::Seal, number) => Some(sealed.get(&number).copied().unwrap_or(0)),
            KeyId::Numbered(Kind::Link | Kind::Verp, _) | KeyId::Dkim(_) => None,
        };
        let record = |selector: &str, domain| RecordFacts {
            name: DkimKey::name_of_record(selector, domain),
            text: entry.dkim.as_ref().map(DkimKey::record),
        };
        let records = match &entry.id {
            KeyId::Numbered(..) => Vec::new(),
            KeyId::Dkim(selector) => keys.domains(selector).iter().map(|domain| record(selector, domain)).collect(),
        };
        Self {
            id: entry.id.clone(),
            kind: entry.id.kind().to_owned(),
            state: keys.state(entry).as_str().to_owned(),
            made_at: entry.made.to_string(),
            file: entry.file.display().to_string(),
            values,
            algorithm: entry.dkim.as_ref().map(|key| key.algorithm.to_string()),
            records,
        }
    }
}
