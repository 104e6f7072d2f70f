//! Row numbers that people read: a letter for the kind, then lower-case base32.

use std::fmt;
use std::str::FromStr;

/// The alphabet: RFC 4648 base32 in lower case, most significant digit first, no padding.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text does not begin with the letter of the kind asked for.
    #[error("an id of this kind begins with “{0}”, for example {0}7q")]
    Kind(char),
    /// A character outside base32, nothing behind the letter, or more than 63 bits.
    #[error("“{0}” is not an id: after the letter come one to thirteen of a-z and 2-7")]
    Digits(String),
}

fn encode(letter: char, number: i64) -> String {
    let mut digits = Vec::with_capacity(14);
    let mut rest = number.unsigned_abs();
    loop {
        let digit = usize::try_from(rest & 31).unwrap_or(0);
        digits.push(char::from(ALPHABET[digit]));
        rest >>= 5;
        if rest == 0 {
            break;
        }
    }
    digits.push(letter);
    digits.iter().rev().collect()
}

fn decode(letter: char, text: &str) -> Result<i64, IdError> {
    let digits = text.strip_prefix(letter).ok_or(IdError::Kind(letter))?;
    let wrong = || IdError::Digits(text.to_owned());
    if digits.is_empty() || digits.len() > 13 {
        return Err(wrong());
    }
    digits.bytes().try_fold(0i64, |number, byte| {
        let digit = ALPHABET.iter().position(|known| *known == byte.to_ascii_lowercase()).ok_or_else(wrong)?;
        number.checked_mul(32).and_then(|shifted| shifted.checked_add(i64::try_from(digit).ok()?)).ok_or_else(wrong)
    })
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $letter:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(i64);

        impl $name {
            /// Takes the number the database gave.
            #[must_use]
            pub const fn new(number: i64) -> Self {
                Self(number)
            }

            /// Gives the number the database knows.
            #[must_use]
            pub const fn number(self) -> i64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&encode($letter, self.0))
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                decode($letter, text).map(Self)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }
    };
}

id!(
    /// A mail that came in, shown as `m…`.
    MailId, 'm');
id!(
    /// A mail that is to go out, shown as `j…`.
    JobId, 'j');
id!(
    /// A mass alert, shown as `a…`.
    AlertId, 'a');
id!(
    /// An open or finished registration of an address, shown as `r…`.
    RegistrationId, 'r');
id!(
    /// A test of an address that a member typed, shown as `t…`.
    ContactTestId, 't');
id!(
    /// A contracting organisation's row, shown as `o…`; people use [`super::OrgCode`].
    OrgId, 'o');
id!(
    /// A member's row, shown as `u…`; people use [`super::LoginId`].
    MemberId, 'u');
id!(
    /// A one-time password sent by mail, shown as `k…`.
    ChallengeId, 'k');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_as_it_was_shown() {
        for number in [0, 1, 31, 32, 1_000_000, i64::MAX] {
            let shown = JobId::new(number).to_string();
            assert!(shown.starts_with('j'));
            assert_eq!(shown.parse::<JobId>(), Ok(JobId::new(number)));
            assert_eq!(shown.to_uppercase().replacen('J', "j", 1).parse::<JobId>(), Ok(JobId::new(number)));
        }
    }

    #[test]
    fn the_letter_keeps_kinds_apart() {
        assert_eq!(MailId::new(7).to_string().parse::<JobId>(), Err(IdError::Kind('j')));
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["j", "j1", "j-a", "jあ", "jaaaaaaaaaaaaaa", "j7777777777777"] {
            assert!(matches!(text.parse::<JobId>(), Err(IdError::Digits(_))), "{text}");
        }
    }
}
