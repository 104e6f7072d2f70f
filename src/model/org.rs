//! What a member types to say who they are (団体コード, ID), and which of their addresses is meant (優先順位).

use std::fmt;
use std::str::FromStr;

/// Why a text is no organisation code, member id or priority.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrgError {
    /// Not 1 to 32 half-width letters, digits, `-` or `_`.
    #[error("an organisation code has 1 to 32 half-width letters, digits, - or _, not “{0}”")]
    Code(String),
    /// Not 1 to 64 visible half-width characters.
    #[error("an ID has 1 to 64 visible half-width characters, not “{0}”")]
    Login(String),
    /// Not 1, 2 or 3.
    #[error("a priority is 1, 2 or 3, not “{0}”")]
    Priority(String),
}

/// Turns full-width letters, digits and marks (as a Japanese keyboard gives them) into half-width ones, and drops blanks
/// around them.
pub(super) fn half_width(text: &str) -> String {
    text.trim()
        .chars()
        .map(|c| match c {
            '！'..='～' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
            'ー' | '−' | '‐' => '-',
            other => other,
        })
        .collect()
}

/// The code of a contracting organisation (団体コード), compared without case and kept in capitals.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct OrgCode(String);

impl OrgCode {
    /// Gives the code in capitals.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OrgCode {
    type Err = OrgError;

    fn from_str(text: &str) -> Result<Self, OrgError> {
        let code = half_width(text).to_ascii_uppercase();
        let fits = (1..=32).contains(&code.len())
            && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if fits { Ok(Self(code)) } else { Err(OrgError::Code(text.to_owned())) }
    }
}

/// The ID a member logs in with, as the administrator issued it (requirement R016); compared without case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct LoginId(String);

impl LoginId {
    /// Gives the ID as issued.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Gives the form by which two spellings are recognised as one.
    #[must_use]
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl FromStr for LoginId {
    type Err = OrgError;

    fn from_str(text: &str) -> Result<Self, OrgError> {
        let id = half_width(text);
        let fits = (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(id)) } else { Err(OrgError::Login(text.to_owned())) }
    }
}

macro_rules! text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = OrgError;
            fn try_from(text: String) -> Result<Self, OrgError> {
                text.parse()
            }
        }
    };
}

text!(OrgCode);
text!(LoginId);

/// Which of a member's three mail addresses is written to first (優先順位, requirement R082).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(into = "u8")]
pub enum Priority {
    /// 優先順位1: the address noticed soonest (requirement R069).
    First,
    /// 優先順位2.
    Second,
    /// 優先順位3.
    Third,
}

impl Priority {
    /// All three, first first.
    pub const ALL: [Self; 3] = [Self::First, Self::Second, Self::Third];

    /// Gives 1, 2 or 3.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::First => 1,
            Self::Second => 2,
            Self::Third => 3,
        }
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> Self {
        priority.number()
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.number())
    }
}

impl FromStr for Priority {
    type Err = OrgError;

    fn from_str(text: &str) -> Result<Self, OrgError> {
        let digit = half_width(text);
        Self::ALL
            .into_iter()
            .find(|priority| priority.to_string() == digit)
            .ok_or_else(|| OrgError::Priority(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_japanese_keyboard_types_is_taken() {
        assert_eq!("ｄｅｍｏ".parse::<OrgCode>().unwrap().as_str(), "DEMO");
        assert_eq!(" demo-1 ".parse::<OrgCode>().unwrap().as_str(), "DEMO-1");
        assert_eq!("００１２".parse::<LoginId>().unwrap().as_str(), "0012");
        assert_eq!("２".parse::<Priority>(), Ok(Priority::Second));
    }

    #[test]
    fn codes_and_ids_outside_their_alphabet_are_refused() {
        for text in ["", "団体", "a b", "a+b", "a@b", &"x".repeat(33)] {
            assert!(text.parse::<OrgCode>().is_err(), "{text}");
        }
        for text in ["", "花子", "a b", "a\u{7}", &"x".repeat(65)] {
            assert!(text.parse::<LoginId>().is_err(), "{text}");
        }
        for text in ["", "0", "4", "11", "one"] {
            assert!(text.parse::<Priority>().is_err(), "{text}");
        }
    }

    #[test]
    fn ids_that_differ_in_case_are_one() {
        assert_eq!("Taro01".parse::<LoginId>().unwrap().folded(), "taro01".parse::<LoginId>().unwrap().folded());
    }
}
