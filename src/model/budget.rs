//! How many of something in how long: `3/1h`.

use super::{Span, SpanError, Timestamp};
use std::fmt;
use std::str::FromStr;

/// A limit of so many in a period. Up to the whole number may come at once; used ones come back evenly over the period
/// (the generic cell rate algorithm, ITU-T I.371), so what has to be remembered of a key is one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    limit: u32,
    period: Span,
}

/// Why a text is no budget.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// Not of the form number, slash, period.
    #[error("“{0}” is no limit: write how many in how long, such as \"3/1h\"")]
    Form(String),
    /// The period is wrong.
    #[error(transparent)]
    Period(#[from] SpanError),
}

impl Budget {
    /// Makes a limit of `limit` in `period`; each counts at least one (millisecond).
    #[must_use]
    pub fn new(limit: u32, period: Span) -> Self {
        Self { limit: limit.max(1), period: Span::from_millis(period.millis().max(1)) }
    }

    /// Judges one more at `now`. `full_until` is what was remembered (nothing: never used). Gives the moment to remember
    /// if there is room, else `None`.
    #[must_use]
    pub fn admit(self, full_until: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        let base = full_until.unwrap_or(now).max(now);
        let after = base.plus(self.each());
        (after.millis() - now.millis() <= self.period.millis()).then_some(after)
    }
}

impl Budget {
    /// Says when there is room for one more again, with `full_until` remembered.
    #[must_use]
    pub fn room_at(self, full_until: Timestamp) -> Timestamp {
        full_until.plus(self.each()).minus(self.period)
    }

    /// The time in which one comes back.
    fn each(self) -> Span {
        Span::from_millis((self.period.millis() / i64::from(self.limit)).max(1))
    }
}

impl FromStr for Budget {
    type Err = BudgetError;

    fn from_str(text: &str) -> Result<Self, BudgetError> {
        let form = || BudgetError::Form(text.to_owned());
        let (limit, period) = text.split_once('/').ok_or_else(form)?;
        let limit: u32 = limit.trim().parse().ok().ok_or_else(form)?;
        let period: Span = period.trim().parse()?;
        if limit == 0 || period.millis() == 0 {
            return Err(form());
        }
        Ok(Self { limit, period })
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.limit, self.period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_an_hour_lets_three_through_at_once_and_one_more_every_twenty_minutes() {
        let budget: Budget = "3/1h".parse().unwrap();
        let start = Timestamp::from_millis(1_000_000);
        let mut remembered = None;
        for _ in 0..3 {
            remembered = budget.admit(remembered, start);
            assert!(remembered.is_some());
        }
        assert_eq!(budget.admit(remembered, start), None);
        assert_eq!(budget.admit(remembered, start.plus(Span::from_millis(20 * 60_000 - 1))), None);
        let again = start.plus(Span::from_millis(20 * 60_000));
        assert!(budget.admit(remembered, again).is_some());
        assert_eq!(remembered.map(|full_until| budget.room_at(full_until)), Some(again));
    }

    #[test]
    fn a_limit_of_nothing_or_without_a_period_is_refused() {
        for text in ["0/1h", "3", "3/", "three/1h", "3/0s", "-1/1h"] {
            assert!(text.parse::<Budget>().is_err(), "{text}");
        }
    }
}
