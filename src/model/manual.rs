//! A document elsewhere that the pages lead to.

use super::Language;

/// One `[[manual]]` of the settings: terms of use, a manual, the way to the phone app (R005, R143).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manual {
    /// What it is called on Japanese pages.
    pub title: String,
    /// What it is called on English pages.
    pub title_en: String,
    /// Where it is, from `http://` or `https://` on.
    pub url: String,
}

impl Manual {
    /// Gives what it is called on pages of a language.
    #[must_use]
    pub fn title(&self, language: Language) -> &str {
        match language {
            Language::Ja => &self.title,
            Language::En => &self.title_en,
        }
    }
}
