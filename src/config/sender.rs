//! `[sender]` and `[[dkim]]`: in whose name we write, and whose signature stands below.

use super::reader::Section;
use super::value::Name;
use crate::model::{DkimEntry, Domain, EmailAddress};
use std::path::Path;

/// `[sender]`.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The address in From (`address`).
    pub address: EmailAddress,
    /// The name before it in Japanese and bilingual mails (`title`).
    pub title: String,
    /// The name before it in English mails (`title_en`).
    pub title_en: String,
    /// The domain that return addresses lie in (`bounce_domain`).
    pub bounce_domain: Domain,
    /// The receiving domains where our mail carries the mark of an official account (`official_at`).
    pub official_at: Vec<Domain>,
}

/// The longest title, in characters: phones show about as much, and docomo limits the header.
const TITLE_MAX: usize = 64;

impl Sender {
    /// The Japanese name unless the file says otherwise.
    pub const TITLE: &str = "安否確認/一斉通報サービス";
    /// The English name unless the file says otherwise.
    pub const TITLE_EN: &str = "Emergency Service";

    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let address: Option<EmailAddress> = section.required("address", "\"anpi@example.jp\"");
        if let Some(address) =
            address.as_ref().filter(|address| address.to_wire().starts_with('"') || !address.to_wire().is_ascii())
        {
            // docomo: the sender's address has no 2-byte characters; a quoted one is refused here and there.
            let what = format!("“{address}” is refused by carriers");
            let hint = "use half-width letters, digits, - and _, with dots between them only";
            section.complain("address", what, Some(hint.to_owned()));
        }
        let [title, title_en] =
            [("title", Self::TITLE), ("title_en", Self::TITLE_EN)].map(|(key, usual)| title(&mut section, key, usual));
        let bounce_domain = section.required("bounce_domain", "\"bounce.example.jp\"").map(|Name(name)| name);
        let official_at = section.list("official_at").unwrap_or_default();
        Some(Self { address: address?, title, title_en, bounce_domain: bounce_domain?, official_at })
    }
}

fn title(section: &mut Section<'_>, key: &str, usual: &str) -> String {
    let title: String = section.value(key).unwrap_or_else(|| usual.to_owned());
    let is_line = !title.trim().is_empty() && !title.chars().any(char::is_control);
    // A code's mail has no URL, and others have theirs alone (R010).
    if !is_line || title.chars().count() > TITLE_MAX || title.contains("://") {
        section.complain(key, format!("must be one line of 1 to {TITLE_MAX} characters without a URL"), None);
    }
    title
}

/// Reads the `[[dkim]]` tables.
pub(super) fn read_dkim(sections: Vec<Section<'_>>, data_dir: &Path) -> Vec<DkimEntry> {
    let mut entries = Vec::new();
    for mut section in sections {
        let Some(entry) = read_entry(&mut section, data_dir) else { continue };
        if entries.iter().any(|other: &DkimEntry| other.domain == entry.domain && other.selector == entry.selector) {
            let what = format!("{}._domainkey.{} is named twice", entry.selector, entry.domain);
            section.complain("selector", what, Some("remove one".to_owned()));
        }
        entries.push(entry);
    }
    entries
}

fn read_entry(section: &mut Section<'_>, data_dir: &Path) -> Option<DkimEntry> {
    let domain = section.required("domain", "\"example.jp\"").map(|Name(name)| name);
    let selector: Option<String> = section.required("selector", "\"k1\"");
    let key_file = section.value::<String>("key_file").map(|file| data_dir.join(file));
    let selector = selector?;
    if !DkimEntry::is_selector(&selector) {
        let what = format!("“{selector}” is no selector: it has 1 to 63 letters, digits and - (not at its ends)");
        section.complain("selector", what, None);
        return None;
    }
    Some(DkimEntry { domain: domain?, selector, key_file })
}
