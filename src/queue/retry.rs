//! When a deferred job is tried again, and when a mail that can wait had better not start.
//!
//! Knows nothing of destinations or what is under way. What always holds: a wait is spread by chance, so that mails that
//! failed together do not come back together; nobody who looks at a screen is kept waiting for politeness.

use crate::model::{Span, Timestamp};
use crate::queue::{Cause, Class};

/// How soon a greylisting server takes a mail at the earliest: Postgrey and milter-greylist ask for five minutes.
const GREYLISTING: Span = Span::from_secs(300);
/// How many milliseconds an hour has.
const HOUR: i64 = 3_600_000;
/// From when before the full hour until when after it mails that can wait keep off: docomo and KDDI ask for it, as
/// everybody's timers strike then. An hour begins with the same minute in Japan.
const RUSH: (i64, i64) = (2 * 60_000, 5 * 60_000);
/// Over how long they are spread after it.
const AFTER_RUSH: i64 = 10 * 60_000;

/// One more failure of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// The job's class.
    pub class: Class,
    /// Why it has to wait.
    pub cause: Cause,
    /// Its how many-th failure this is, from 1.
    pub count: u32,
}

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

    /// Says when a job that failed is due again. `chance` (0 up to 1) spreads jobs that failed together over three quarters
    /// to five quarters of the wait, so that they do not come back together.
    #[must_use]
    pub fn next_due(&self, failure: Failure, now: Timestamp, chance: f64) -> Timestamp {
        let last = self.waits.len().saturating_sub(1);
        let index = usize::try_from(failure.count.saturating_sub(1)).unwrap_or(last).min(last);
        let wait = spread(self.waits.get(index).copied().unwrap_or(Span::from_secs(60)), chance);
        let wait = wait.max(least(failure, chance));
        polite(failure.class, now.plus(wait), chance)
    }
}

/// Coming back to a greylisting server too soon is one more refusal; only who is waited for tries its luck.
fn least(failure: Failure, chance: f64) -> Span {
    match (failure.cause, failure.class) {
        (Cause::Greylisted, Class::Alert | Class::Notice | Class::Report) => {
            GREYLISTING.plus(share(GREYLISTING.millis() / 4, chance))
        }
        (_, Class::Otp | Class::Registration | Class::ContactTest | Class::Alert | Class::Notice | Class::Report) => {
            Span::default()
        }
    }
}

/// Moves the moment at which a mail is to be sent out of the rush at the full hour, where its class can wait. `chance`
/// (0 up to 1) spreads those that are moved over the minutes behind it.
#[must_use]
pub fn polite(class: Class, at: Timestamp, chance: f64) -> Timestamp {
    if may_start(class, at) {
        return at;
    }
    let (before, after) = RUSH;
    let hour = at.millis().saturating_add(before).div_euclid(HOUR) * HOUR;
    Timestamp::from_millis(hour.saturating_add(after)).plus(share(AFTER_RUSH, chance))
}

/// Says whether a mail of this class may start now; those that can wait keep off the full hour.
#[must_use]
pub const fn may_start(class: Class, now: Timestamp) -> bool {
    let (before, after) = RUSH;
    match class {
        Class::Otp | Class::Alert | Class::Registration | Class::ContactTest => true,
        Class::Notice | Class::Report => now.millis().saturating_add(before).rem_euclid(HOUR) >= before + after,
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "waits are far below 2^52 ms")]
fn share(millis: i64, chance: f64) -> Span {
    Span::from_millis((millis as f64 * chance.clamp(0.0, 1.0)) as i64)
}

fn spread(wait: Span, chance: f64) -> Span {
    Span::from_millis(wait.millis() / 4 * 3).plus(share(wait.millis() / 2, chance))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(waits: &[i64]) -> Schedule {
        let waits = waits.iter().copied().map(Span::from_secs).collect();
        Schedule { give_up: Span::from_secs(100), waits }
    }

    const fn failure(class: Class, cause: Cause, count: u32) -> Failure {
        Failure { class, cause, count }
    }

    /// 2026-11-22, in the hour from 16:00 to 17:00 in Japan.
    const fn clock(minute: i64, second: i64) -> Timestamp {
        Timestamp::from_millis(1_795_330_800_000 + minute * 60_000 + second * 1_000)
    }

    #[test]
    fn waits_grow_and_the_last_one_repeats() {
        let (schedule, now) = (schedule(&[4, 8]), Timestamp::default());
        let due = [1, 2, 3, 400].map(|count| schedule.next_due(failure(Class::Alert, Cause::Said, count), now, 0.5));
        assert_eq!(due.map(Timestamp::millis), [4_000, 8_000, 8_000, 8_000]);
    }

    #[test]
    fn chance_spreads_a_wait_by_a_quarter_either_way() {
        let (schedule, now) = (schedule(&[100]), Timestamp::default());
        let due = [0.0, 1.0].map(|chance| schedule.next_due(failure(Class::Otp, Cause::Said, 1), now, chance));
        assert_eq!(due.map(Timestamp::millis), [75_000, 125_000]);
    }

    #[test]
    fn no_class_is_without_a_wait() {
        for class in Class::ALL {
            assert!(!Schedule::shipped(class).waits.is_empty());
        }
    }

    #[test]
    fn only_who_is_waited_for_comes_back_to_a_greylisting_server_before_its_time() {
        for (class, cause, least, most) in [
            (Class::Otp, Cause::Greylisted, 3, 5),
            (Class::Registration, Cause::Greylisted, 3, 5),
            (Class::ContactTest, Cause::Greylisted, 3, 5),
            (Class::Alert, Cause::Greylisted, 300, 375),
            (Class::Notice, Cause::Greylisted, 300, 375),
            (Class::Report, Cause::Greylisted, 300, 375),
            (Class::Alert, Cause::Throttled, 3, 5),
            (Class::Notice, Cause::Said, 3, 5),
        ] {
            let now = clock(10, 0);
            let due = [0.0, 1.0].map(|chance| schedule(&[4]).next_due(failure(class, cause, 1), now, chance));
            assert_eq!(due.map(|due| due.since(now)), [least, most].map(Span::from_secs), "{class} {cause}");
        }
        let long = schedule(&[900]).next_due(failure(Class::Alert, Cause::Greylisted, 1), clock(10, 0), 0.0);
        assert_eq!(long, clock(10, 675));
    }

    #[test]
    fn who_can_wait_keeps_off_the_full_hour() {
        for (minute, second, may) in [
            (57, 59, true),
            (58, 0, false),
            (59, 59, false),
            (60, 0, false),
            (64, 59, false),
            (65, 0, true),
            (4, 59, false),
            (5, 0, true),
            (30, 0, true),
        ] {
            for class in [Class::Notice, Class::Report] {
                assert_eq!(may_start(class, clock(minute, second)), may, "{class} {minute}:{second}");
            }
            for class in [Class::Otp, Class::Alert, Class::Registration, Class::ContactTest] {
                assert!(may_start(class, clock(minute, second)), "{class} {minute}:{second}");
                assert_eq!(polite(class, clock(minute, second), 0.5), clock(minute, second));
            }
        }
        // The epoch began with a full hour, and what lies before it is no harm.
        assert!(!may_start(Class::Notice, Timestamp::from_millis(-1)));
    }

    #[test]
    fn what_is_moved_behind_the_full_hour_is_spread_there() {
        for (minute, second) in [(58, 0), (59, 59), (60, 0), (64, 59)] {
            let moved = [0.0, 0.5, 1.0].map(|chance| polite(Class::Report, clock(minute, second), chance));
            assert_eq!(moved, [clock(65, 0), clock(70, 0), clock(75, 0)], "{minute}:{second}");
        }
        assert_eq!(polite(Class::Report, clock(57, 59), 1.0), clock(57, 59));
        assert_eq!(polite(Class::Report, clock(65, 0), 1.0), clock(65, 0));
        let retried = schedule(&[120]).next_due(failure(Class::Notice, Cause::Said, 1), clock(57, 0), 0.5);
        assert_eq!(retried, clock(70, 0));
    }
}
