//! The languages of pages and mails.

use std::str::FromStr;

/// A language the service speaks (requirement R058).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// 日本語.
    #[default]
    Ja,
    /// English.
    En,
}

impl Language {
    /// Both, in the order they are offered.
    pub const ALL: [Self; 2] = [Self::Ja, Self::En];

    /// The tag of BCP 47, also the name of the template folder.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ja => "ja",
            Self::En => "en",
        }
    }
}

/// The text names no language the service speaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a language is “ja” or “en”, not “{0}”")]
pub struct LanguageError(String);

impl FromStr for Language {
    type Err = LanguageError;

    fn from_str(text: &str) -> Result<Self, LanguageError> {
        match text {
            "ja" => Ok(Self::Ja),
            "en" => Ok(Self::En),
            other => Err(LanguageError(other.to_owned())),
        }
    }
}
