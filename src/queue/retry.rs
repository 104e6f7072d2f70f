//! When a deferred job is tried again.

use crate::model::{Span, Timestamp};
use crate::queue::Class;

/// How long a class is tried, and after which waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// How long after it was ordered a job is given up.
    pub give_up: Span,
    /// The waits after the first, second, … failure; the last one repeats. Never empty.
    pub waits: Vec<Span>,
}

impl Schedule {
    /// Gives the waits that a class has unless the settings say otherwise.
    #[must_use]
    pub fn shipped(class: Class) -> Self {
        let seconds: (i64, &[i64]) = match class {
            // Requirement R040: a one-time password lives 60 minutes.
            Class::Otp => (3_600, &[5, 15, 30, 60, 120, 300]),
            Class::Alert => (86_400, &[15, 60, 120, 300, 600, 1_200, 1_800]),
            // As long as the link in it lives.
            Class::Registration => (86_400, &[10, 30, 60, 300, 900, 1_800, 3_600]),
            Class::ContactTest => (3_600, &[10, 30, 60, 300, 600]),
            Class::Notice | Class::Report => (5 * 86_400, &[60, 300, 900, 1_800, 3_600, 7_200, 14_400]),
        };
        Self { give_up: Span::from_secs(seconds.0), waits: seconds.1.iter().copied().map(Span::from_secs).collect() }
    }

    /// Says when a job that failed for the `failures`-th time is due again. `chance` (0 up to 1) spreads jobs that failed
    /// together over three quarters to five quarters of the wait, so that they do not come back together.
    #[must_use]
    pub fn next_due(&self, now: Timestamp, failures: u32, chance: f64) -> Timestamp {
        let last = self.waits.len().saturating_sub(1);
        let index = usize::try_from(failures.saturating_sub(1)).unwrap_or(last).min(last);
        let wait = self.waits.get(index).copied().unwrap_or(Span::from_secs(60));
        now.plus(spread(wait, chance))
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "waits are far below 2^52 ms")]
fn spread(wait: Span, chance: f64) -> Span {
    Span::from_millis((wait.millis() as f64 * (0.75 + chance.clamp(0.0, 1.0) / 2.0)) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_the_last_one_repeats() {
        let schedule = Schedule { give_up: Span::from_secs(100), waits: vec![Span::from_secs(4), Span::from_secs(8)] };
        let now = Timestamp::from_millis(0);
        let due: Vec<i64> = [1, 2, 3, 400].map(|failures| schedule.next_due(now, failures, 0.5).millis()).to_vec();
        assert_eq!(due, [4_000, 8_000, 8_000, 8_000]);
    }

    #[test]
    fn chance_spreads_a_wait_by_a_quarter_either_way() {
        let schedule = Schedule { give_up: Span::from_secs(100), waits: vec![Span::from_secs(100)] };
        let now = Timestamp::from_millis(0);
        assert_eq!(schedule.next_due(now, 1, 0.0).millis(), 75_000);
        assert_eq!(schedule.next_due(now, 1, 1.0).millis(), 125_000);
    }

    #[test]
    fn no_class_is_without_a_wait() {
        for class in Class::ALL {
            assert!(!Schedule::shipped(class).waits.is_empty());
        }
    }
}
