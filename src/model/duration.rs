//! Lengths of time as people write them: `90s`, `24h`, `3d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A length of time in whole milliseconds, never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Span(i64);

/// Why a text is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "“{0}” is no length of time: write a whole number and a unit, such as \"90s\", \"15m\", \"24h\", \"3d\" or \"250ms\""
)]
pub struct SpanError(String);

const UNITS: [(&str, i64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl Span {
    /// Takes milliseconds; a negative number counts as none.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(if millis < 0 { 0 } else { millis })
    }

    /// Takes seconds.
    #[must_use]
    pub const fn from_secs(seconds: i64) -> Self {
        Self::from_millis(seconds.saturating_mul(1_000))
    }

    /// Gives milliseconds.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Gives both lengths one after the other; stays at the longest there is rather than overflow.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Gives the standard library's type, for timers.
    #[must_use]
    pub const fn to_std(self) -> Duration {
        Duration::from_millis(self.0.unsigned_abs())
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let wrong = || SpanError(text.to_owned());
        let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at(split);
        let number: i64 = number.parse().ok().ok_or_else(wrong)?;
        let (_, factor) = UNITS.into_iter().find(|(name, _)| *name == unit.trim()).ok_or_else(wrong)?;
        number.checked_mul(factor).map(Self).ok_or_else(wrong)
    }
}

/// The largest unit that leaves no remainder: `90s`, `24h`.
impl fmt::Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return out.write_str("0s");
        }
        let (unit, factor) = UNITS.into_iter().rev().find(|(_, factor)| self.0 % factor == 0).unwrap_or(("ms", 1));
        write!(out, "{}{unit}", self.0 / factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_read_with_its_unit_and_shown_the_same() {
        for text in ["90s", "15m", "3d", "250ms", "0s"] {
            assert_eq!(text.parse::<Span>().map(|span| span.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("24h".parse::<Span>().map(Span::millis), Ok(86_400_000));
    }

    #[test]
    fn a_span_without_a_unit_or_with_a_wrong_one_is_refused() {
        for text in ["90", "", "h", "-5s", "1.5h", "10 parsecs", "99999999999999999999s", "9223372036854775807d"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
