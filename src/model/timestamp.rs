//! Instants: integer milliseconds UTC, given in by whoever may read the clock.

use super::Span;
use std::fmt;

/// A moment, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Takes milliseconds since the epoch, as the store keeps them.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Gives milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Gives whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Gives the moment `span` later; stays at the end of time rather than overflow.
    #[must_use]
    pub const fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.millis()))
    }

    /// Gives the moment `span` earlier.
    #[must_use]
    pub const fn minus(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.millis()))
    }

    /// Gives how long ago `earlier` was, or nothing where it lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        let millis = self.0.saturating_sub(earlier.0);
        Span::from_millis(if millis < 0 { 0 } else { millis })
    }

    fn zoned(self) -> jiff::Zoned {
        let moment = jiff::Timestamp::from_millisecond(self.0).unwrap_or_default();
        moment.to_zoned(JST.clone())
    }

    /// Gives the day on Japan's calendar, counted from 1970-01-01.
    #[must_use]
    pub const fn day_jst(self) -> i64 {
        self.0.saturating_add(9 * 3_600_000).div_euclid(86_400_000)
    }

    /// Shows the moment as people in Japan read it, to the minute: `2026/11/22 07:00`.
    #[must_use]
    pub fn minute_jst(self) -> String {
        self.zoned().strftime("%Y/%m/%d %H:%M").to_string()
    }
}

/// Japan has one time zone and no summer time.
static JST: std::sync::LazyLock<jiff::tz::TimeZone> =
    std::sync::LazyLock::new(|| jiff::tz::TimeZone::fixed(jiff::tz::offset(9)));

/// RFC 3339 with Japan's offset: `2026-11-22T07:00:00+09:00`.
impl fmt::Display for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.zoned().strftime("%Y-%m-%dT%H:%M:%S%:z"))
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_in_japans_time() {
        let moment = Timestamp::from_millis(1_795_298_400_123);
        assert_eq!(moment.to_string(), "2026-11-22T07:00:00+09:00");
        assert_eq!(moment.minute_jst(), "2026/11/22 07:00");
    }

    #[test]
    fn a_day_begins_at_midnight_in_japan() {
        // 2026-11-22 is the 20,779th day.
        for (text, day) in [("2026-11-21T23:59:59+09:00", 20_778), ("2026-11-22T00:00:00+09:00", 20_779)] {
            let moment: jiff::Timestamp = text.parse().unwrap();
            assert_eq!(Timestamp::from_millis(moment.as_millisecond()).day_jst(), day, "{text}");
        }
        assert_eq!(Timestamp::from_millis(-9 * 3_600_000 - 1).day_jst(), -1);
    }

    #[test]
    fn time_never_runs_backwards_in_a_span() {
        let (early, late) = (Timestamp::from_millis(5), Timestamp::from_millis(9));
        assert_eq!(late.since(early), Span::from_millis(4));
        assert_eq!(early.since(late), Span::from_millis(0));
    }
}
