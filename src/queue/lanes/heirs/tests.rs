use super::*;
use crate::model::Span;
use crate::queue::Class;
use crate::queue::lanes::tests::job;
use crate::queue::lanes::{Bounds, Part, Take};
use crate::queue::pace::Signal;

const NOW: Timestamp = Timestamp::from_millis(15 * 60_000);

fn usual(connections: usize) -> Limits {
    Limits { connections, messages_per_connection: 100, rate: None }
}

fn moved(from: &str, to: Option<&str>) -> Moved {
    let domain = "docomo.ne.jp".parse().unwrap();
    Moved { domain, from: Name::new(from), to: to.map(Name::new) }
}

/// Lanes whose destination `old` has some connections, each of which has taken a mail.
fn lanes(limits: Limits, connections: usize) -> Lanes {
    let mut lanes = Lanes::new(Bounds { connections: 50, window: 9, usual: usual(4) });
    let old = Name::new("old");
    for number in 1..=connections {
        lanes.offer(&old, Some(limits), job(i64::try_from(number).unwrap(), Class::Otp), NOW);
        let (_, reason) = lanes.open(NOW).unwrap();
        lanes.opened(&old, NOW);
        lanes.stands(&old, &reason, NOW);
        assert!(matches!(lanes.take(&old, NOW), Take::Job(..)));
    }
    lanes
}

#[test]
fn what_is_open_counts_against_who_follows_until_it_is_closed_and_carries_nothing_more() {
    let (old, new) = (Name::new("old"), Name::new("new"));
    // Known at once, or only when it was looked up.
    for to in [Some("new"), None] {
        let mut lanes = lanes(usual(4), 3);
        lanes.offer(&old, None, job(10, Class::Alert), NOW);
        let back = lanes.regroup(&[moved("old", to)], |_| Some(usual(2)), NOW);
        assert_eq!(back.iter().map(|job| job.id.number()).collect::<Vec<_>>(), [10]);
        assert_eq!(lanes.offer(&new, Some(usual(2)), job(10, Class::Alert), NOW), None);
        for _ in 0..2 {
            assert_eq!(lanes.take(&old, NOW), Take::Leave);
            assert_eq!(lanes.open(NOW), None);
            lanes.closed(&old, true, NOW);
        }
        // One of two: the other one may come now.
        assert_eq!(lanes.open(NOW).unwrap().0, new);
        lanes.offer(&new, Some(usual(2)), job(11, Class::Alert), NOW);
        lanes.offer(&new, Some(usual(2)), job(12, Class::Alert), NOW);
        assert_eq!(lanes.open(NOW), None);
        // It broke and was not told; what it had goes back to the store.
        assert_eq!(lanes.put_back(&old, job(3, Class::Otp), NOW).unwrap().id.number(), 3);
        lanes.closed(&old, false, NOW);
        assert_eq!(lanes.open(NOW).unwrap().0, new);
    }
}

#[test]
fn whoever_follows_waits_for_the_token_and_keeps_what_was_learned() {
    let (old, new) = (Name::new("old"), Name::new("new"));
    let slow = Limits { rate: Some("1/10s".parse().unwrap()), ..usual(4) };
    let mut lanes = lanes(usual(4), 3);
    lanes.ended(&old, Some((Signal::Throttled, 0)), NOW, 0.5);
    lanes.regroup(&[moved("old", Some("new"))], |name| (*name == new).then_some(slow), NOW);
    lanes.offer(&new, Some(slow), job(10, Class::Alert), NOW);
    let view = lanes.view(NOW).into_iter().find(|view| view.name == "new").unwrap();
    assert_eq!(view.allowed, 2);
    // Half the connections, half the rate: the last mail went just now.
    for _ in 0..3 {
        lanes.closed(&old, false, NOW);
    }
    assert_eq!((lanes.open(NOW), lanes.next_moment()), (None, Some(NOW.plus(Span::from_secs(20)))));
}

#[test]
fn a_domain_that_comes_back_is_at_home_again() {
    let (old, new) = (Name::new("old"), Name::new("new"));
    let mut lanes = lanes(usual(4), 2);
    lanes.regroup(&[moved("old", Some("new"))], |_| None, NOW);
    lanes.regroup(&[moved("new", Some("old"))], |_| None, NOW);
    lanes.offer(&old, None, job(10, Class::Alert), NOW);
    assert_eq!(lanes.open(NOW).unwrap().0, old);
    assert_eq!(lanes.put_back(&old, job(1, Class::Otp), NOW), None);
    assert_eq!(lanes.view(NOW).iter().map(|view| view.connections).sum::<usize>(), 3);
    assert_eq!(lanes.inherited(&new), 2);
}

#[test]
fn a_mail_that_was_taken_away_is_not_put_back_by_the_connection_that_was_opened_for_it() {
    let old = Name::new("old");
    let mut lanes = lanes(usual(4), 1);
    lanes.offer(&old, None, job(10, Class::Alert), NOW);
    let (_, reason) = lanes.open(NOW).unwrap();
    assert_eq!(lanes.remove_at(&old, |_| true, NOW).len(), 1);
    lanes.refused(&old, reason, Part::Reason, NOW, 0.5);
    assert_eq!(lanes.waiting(&old, Class::Alert), 0);
}
