//! `[[manual]]`: what the foot of each page leads to.

use super::reader::Section;
use super::value::PageUrl;
use crate::model::Manual;

/// The longest title, in characters: two lines of a phone.
const TITLE_MAX: usize = 40;

/// Reads the `[[manual]]` tables.
pub(super) fn read(sections: Vec<Section<'_>>) -> Vec<Manual> {
    sections.into_iter().filter_map(|mut section| one(&mut section)).collect()
}

fn one(section: &mut Section<'_>) -> Option<Manual> {
    let title = title(section, "title", "\"スマホアプリのインストール\"");
    let title_en = self::title(section, "title_en", "\"Install the phone app\"");
    let url: Option<PageUrl> = section.required("url", "\"https://www.example.jp/app\"");
    Some(Manual { title: title?, title_en: title_en?, url: url?.into() })
}

fn title(section: &mut Section<'_>, key: &str, example: &str) -> Option<String> {
    let title: String = section.required(key, example)?;
    let is_line = !title.trim().is_empty() && !title.chars().any(char::is_control);
    if !is_line || title.chars().count() > TITLE_MAX {
        section.complain(key, format!("must be one line of 1 to {TITLE_MAX} characters"), None);
        return None;
    }
    Some(title)
}
