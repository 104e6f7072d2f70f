//! How many tests in how long.
//!
//! Knows nothing of whose tests they are; the windows slide.

use crate::model::Span;
use crate::service::window::{DAY, HOUR, Window};

/// What one member may order.
pub(super) const OF_A_MEMBER: [Window; 2] = [Window { most: 10, length: HOUR }, Window { most: 30, length: DAY }];
/// What one address may get, whoever orders it.
pub(super) const OF_AN_ADDRESS: [Window; 1] = [Window { most: 3, length: HOUR }];
/// How far back tests count.
pub(super) const LONGEST: Span = DAY;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;
    use crate::service::window::next;

    fn minute(minutes: i64) -> Timestamp {
        Timestamp::from_millis(minutes * 60_000)
    }

    #[test]
    fn r104_the_fourth_test_of_an_hour_waits_until_the_first_is_an_hour_old() {
        let times = [minute(40), minute(20), minute(0)];
        assert_eq!(next(&OF_AN_ADDRESS, &times[1..], minute(40)), None);
        assert_eq!(next(&OF_AN_ADDRESS, &times, minute(41)), Some(minute(60)));
        assert_eq!(next(&OF_AN_ADDRESS, &times, minute(60).minus(Span::from_millis(1))), Some(minute(60)));
        assert_eq!(next(&OF_AN_ADDRESS, &times, minute(60)), None);
        assert_eq!(next(&OF_AN_ADDRESS, &[], minute(0)), None);
    }

    #[test]
    fn r104_a_member_has_ten_an_hour_and_thirty_a_day() {
        let ten: Vec<Timestamp> = (0..10).rev().map(minute).collect();
        assert_eq!(next(&OF_A_MEMBER, &ten[1..], minute(10)), None);
        assert_eq!(next(&OF_A_MEMBER, &ten, minute(10)), Some(minute(60)));
        let thirty: Vec<Timestamp> = (0..30).rev().map(|at| minute(at * 10)).collect();
        assert_eq!(next(&OF_A_MEMBER, &thirty[1..], minute(300)), None);
        assert_eq!(next(&OF_A_MEMBER, &thirty, minute(300)), Some(minute(24 * 60)));
    }

    #[test]
    fn what_lies_further_back_than_the_longest_window_does_not_count() {
        assert_eq!(OF_A_MEMBER.iter().chain(&OF_AN_ADDRESS).map(|window| window.length).max(), Some(LONGEST));
    }
}
