//! Which DKIM key signs for which domain, as the settings name it.

use super::Domain;
use std::path::PathBuf;

/// One `[[dkim]]` of the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DkimEntry {
    /// The domain signed for (`d=`).
    pub domain: Domain,
    /// The selector below `_domainkey` (`s=`, RFC 6376 3.1).
    pub selector: String,
    /// A key of the operator's own; nothing: the key of that selector among ours.
    pub key_file: Option<PathBuf>,
}

impl DkimEntry {
    /// Says whether a text can be a selector of ours: one label of a domain name (RFC 6376 would allow several).
    #[must_use]
    pub fn is_selector(text: &str) -> bool {
        (1..=63).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_one_label() {
        for text in ["k1", "2026-11", "E1"] {
            assert!(DkimEntry::is_selector(text), "{text}");
        }
        for text in ["", "-k", "k-", "k1.pem", "k_1", "鍵", &"k".repeat(64)] {
            assert!(!DkimEntry::is_selector(text), "{text}");
        }
    }
}
