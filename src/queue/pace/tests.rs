use super::*;
use crate::queue::destination::Rate;
use proptest::prelude::*;

fn limits(connections: usize, rate: Option<&str>) -> Limits {
    Limits { connections, messages_per_connection: 100, rate: rate.map(|rate| rate.parse().unwrap()) }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// A destination that has taken us in.
fn met(connections: usize, rate: Option<&str>) -> Pace {
    let mut pace = Pace::new(limits(connections, rate));
    pace.greeted();
    pace
}

fn learn(pace: &mut Pace, signal: Signal, now: i64) -> Change {
    let epoch = pace.take_token(at(now));
    pace.learn(signal, epoch, 0, at(now), 0.5)
}

fn accept(pace: &mut Pace, mails: u32, now: i64) {
    for _ in 0..mails {
        learn(pace, Signal::Accepted, now);
    }
}

#[test]
fn a_destination_that_never_took_us_in_gets_two_connections() {
    let mut pace = Pace::new(limits(8, None));
    assert_eq!(pace.connections(), 2);
    pace.greeted();
    assert_eq!(pace.connections(), 8);
    assert_eq!(Pace::new(limits(1, None)).connections(), 1);
}

#[test]
fn a_call_to_slow_down_halves_connections_and_rate_and_runs_of_accepted_mails_bring_them_back_one_by_one() {
    let mut pace = met(8, Some("80/s"));
    assert_eq!(learn(&mut pace, Signal::Throttled, 0), Change::Slowed(4));
    assert_eq!((pace.connections(), pace.rate(), pace.standing()), (4, Some(40.0), Standing::Slowed));
    accept(&mut pace, RUN - 1, 0);
    assert_eq!(pace.connections(), 4);
    accept(&mut pace, 1, 0);
    assert_eq!((pace.connections(), pace.rate()), (5, Some(50.0)));
    accept(&mut pace, 10 * RUN, 0);
    assert_eq!((pace.connections(), pace.rate(), pace.standing()), (8, Some(80.0), Standing::Open));
}

#[test]
fn answers_to_mails_begun_before_a_halving_are_one_call_to_slow_down() {
    let mut pace = met(8, None);
    let epoch = pace.take_token(at(0));
    for _ in 0..8 {
        pace.learn(Signal::Throttled, epoch, 0, at(1), 0.5);
    }
    assert_eq!(pace.connections(), 4);
    let later = pace.take_token(at(2));
    pace.learn(Signal::Broken, later, 0, at(2), 0.5);
    assert_eq!(pace.connections(), 2);
}

#[test]
fn a_refused_connection_leaves_no_more_than_those_that_are_open() {
    let mut pace = met(10, None);
    pace.learn(Signal::Crowded, 0, 2, at(0), 0.5);
    assert_eq!(pace.connections(), 2);
    let mut pace = met(10, None);
    pace.learn(Signal::Crowded, 0, 9, at(0), 0.5);
    assert_eq!(pace.connections(), 5);
}

#[test]
fn with_one_connection_left_a_call_to_slow_down_shuts_and_each_time_for_longer() {
    let mut pace = met(1, None);
    let (mut waits, mut now) = (Vec::new(), 0);
    for _ in 0..8 {
        let Change::Shut { why: Shut::Throttled, until } = learn(&mut pace, Signal::Throttled, now) else { panic!() };
        waits.push((until.millis() - now) / 1_000);
        now = until.millis();
    }
    assert_eq!(waits, [30, 60, 120, 240, 480, 900, 900, 900]);
    assert_eq!(pace.connections(), 1);
}

#[test]
fn one_conversation_that_breaks_off_is_an_accident_and_a_second_one_in_a_row_is_not() {
    let mut pace = met(1, None);
    assert_eq!(learn(&mut pace, Signal::Broken, 0), Change::None);
    accept(&mut pace, 1, 0);
    assert_eq!(learn(&mut pace, Signal::Broken, 0), Change::None);
    assert!(matches!(learn(&mut pace, Signal::Broken, 0), Change::Shut { why: Shut::Down, .. }));
}

#[test]
fn chance_spreads_the_probe_by_a_quarter_either_way() {
    for (chance, wait) in [(0.0, 11_250), (1.0, 18_750)] {
        let mut pace = met(4, None);
        let change = pace.learn(Signal::Unreached, 0, 0, at(0), chance);
        assert_eq!(change, Change::Shut { why: Shut::Down, until: at(wait) });
    }
}

#[test]
fn a_destination_that_is_back_begins_with_one_connection() {
    let mut pace = met(4, Some("40/s"));
    learn(&mut pace, Signal::Unreached, 0);
    assert_eq!(pace.shut_until(), Some(at(15_000)));
    pace.greeted();
    assert_eq!(learn(&mut pace, Signal::Accepted, 20_000), Change::Resumed);
    assert_eq!((pace.shut_until(), pace.connections(), pace.rate()), (None, 1, Some(10.0)));
    assert_eq!(learn(&mut pace, Signal::Accepted, 20_000), Change::None);
    accept(&mut pace, 3 * RUN, 20_000);
    assert_eq!(pace.connections(), 4);
}

#[test]
fn any_answer_about_a_mail_says_that_the_destination_is_back() {
    for signal in [Signal::Answered, Signal::UnknownUser] {
        let mut pace = met(4, None);
        learn(&mut pace, Signal::Unreached, 0);
        assert_eq!(learn(&mut pace, signal, 1), Change::Resumed);
    }
}

#[test]
fn a_run_of_accepted_mails_forgets_how_often_it_was_shut() {
    let mut pace = met(1, None);
    learn(&mut pace, Signal::Unreached, 0);
    learn(&mut pace, Signal::Unreached, 15_000);
    accept(&mut pace, RUN + 1, 50_000);
    assert_eq!(learn(&mut pace, Signal::Unreached, 50_000), Change::Shut { why: Shut::Down, until: at(65_000) });
}

#[test]
fn urgent_mails_that_are_tried_in_vain_before_the_probe_do_not_put_it_off() {
    for signal in [Signal::Unreached, Signal::Throttled] {
        let mut pace = met(1, None);
        learn(&mut pace, Signal::Unreached, 0);
        assert_eq!(learn(&mut pace, signal, 14_999), Change::None);
        assert_eq!(pace.shut_until(), Some(at(15_000)));
        assert!(matches!(learn(&mut pace, signal, 15_000), Change::Shut { until, .. } if until > at(30_000)));
    }
}

#[test]
fn mails_begun_before_a_destination_was_shut_are_no_probes() {
    for signal in [Signal::Accepted, Signal::Answered, Signal::UnknownUser] {
        let mut pace = met(8, None);
        let before = pace.take_token(at(0));
        while !matches!(learn(&mut pace, Signal::UnknownUser, 0), Change::Shut { .. }) {}
        assert_eq!(pace.learn(signal, before, 7, at(50), 0.5), Change::None, "{signal:?}");
        assert_eq!(pace.standing(), Standing::Shut { why: Shut::UnknownUsers, until: at(300_000) });
    }
}

#[test]
fn connections_begun_before_fewer_were_allowed_are_refused_without_meaning_anything_new() {
    let mut pace = met(10, None);
    let changes = [(); 3].map(|()| pace.learn(Signal::Crowded, 0, 6, at(0), 0.5));
    assert_eq!(changes, [Change::Slowed(5), Change::None, Change::None]);
    assert_eq!(pace.connections(), 5);
}

#[test]
fn the_breaker_opens_at_more_than_five_percent_of_the_last_two_hundred() {
    let mut pace = met(4, None);
    for round in 0..40 {
        accept(&mut pace, 19, 0);
        assert_eq!(learn(&mut pace, Signal::UnknownUser, 0), Change::None, "{round}");
    }
    assert_eq!(pace.unknown(), (10, 200));
    assert!(matches!(learn(&mut pace, Signal::UnknownUser, 0), Change::Shut { why: Shut::UnknownUsers, .. }));
    assert_eq!(pace.standing(), Standing::Shut { why: Shut::UnknownUsers, until: at(300_000) });
    assert_eq!(pace.unknown(), (0, 0));
    // A probe that hits another unknown recipient leaves it open, for longer.
    assert!(
        matches!(learn(&mut pace, Signal::UnknownUser, 300_000), Change::Shut { until, .. } if until == at(900_000))
    );
    assert_eq!(learn(&mut pace, Signal::Accepted, 900_000), Change::Resumed);
}

#[test]
fn a_rate_is_one_mail_after_the_other_and_nothing_is_saved_up() {
    let mut pace = met(4, Some("50/s"));
    assert_eq!(pace.next_token(at(1_000)), None);
    pace.take_token(at(1_000));
    assert_eq!(pace.next_token(at(1_000)), Some(at(1_020)));
    assert_eq!(pace.next_token(at(1_020)), None);
    // A timer that comes a little late costs nothing …
    pace.take_token(at(1_021));
    assert_eq!(pace.next_token(at(1_021)), Some(at(1_040)));
    // … and an hour of silence brings no burst.
    pace.take_token(at(3_600_000));
    assert_eq!(pace.next_token(at(3_600_000)), Some(at(3_600_020)));
}

#[test]
fn other_limits_hold_at_once_and_what_was_learned_stays() {
    let mut pace = met(8, None);
    pace.limit(limits(12, None));
    assert_eq!(pace.connections(), 12);
    learn(&mut pace, Signal::Throttled, 0);
    pace.limit(limits(8, None));
    assert_eq!(pace.connections(), 6);
    pace.limit(limits(2, Some("5/s")));
    assert_eq!((pace.connections(), pace.rate()), (2, Some(5.0)));
}

#[test]
fn another_rate_counts_from_the_last_mail_whether_it_is_faster_or_slower() {
    let mut pace = met(8, Some("1/h"));
    pace.take_token(at(500));
    for (rate, next) in [("10/s", 600), ("1/10s", 10_500), ("1/h", 3_600_500)] {
        pace.limit(limits(8, Some(rate)));
        assert_eq!(pace.next_token(at(500)), Some(at(next)), "{rate}");
    }
    pace.limit(limits(8, None));
    assert_eq!(pace.next_token(at(500)), None);
}

#[test]
fn waits_are_told_apart_by_what_held_the_mail_back() {
    let mut pace = met(2, Some("1/s"));
    pace.take_token(at(0));
    pace.wait_for_token(at(0), at(1_000));
    assert_eq!(pace.held(at(500), at(1_500)).throttled, Span::from_millis(500));
    learn(&mut pace, Signal::Unreached, 2_000);
    assert_eq!(pace.held(at(1_500), at(4_000)).suspended, Span::from_millis(2_000));
    learn(&mut pace, Signal::Accepted, 5_000);
    // It is back with one of two connections.
    let held = pace.held(at(0), at(6_000));
    assert_eq!((held.suspended.millis(), held.throttled.millis()), (3_000, 2_000));
    accept(&mut pace, RUN, 7_000);
    assert_eq!(pace.held(at(7_000), at(9_000)), Held::default());
}

#[test]
fn what_was_learned_is_not_forgotten() {
    let mut pace = met(2, Some("1/s"));
    assert!(pace.is_blank(at(0)));
    pace.take_token(at(0));
    assert!(!pace.is_blank(at(0)));
    assert!(pace.is_blank(at(1_000)));
    learn(&mut pace, Signal::UnknownUser, 2_000);
    assert!(!pace.is_blank(at(9_000)));
}

fn signals() -> impl Strategy<Value = Signal> {
    prop_oneof![
        8 => Just(Signal::Accepted),
        1 => Just(Signal::Answered),
        1 => Just(Signal::UnknownUser),
        1 => Just(Signal::Throttled),
        1 => Just(Signal::Broken),
        1 => Just(Signal::Crowded),
        1 => Just(Signal::Unreached),
    ]
}

proptest! {
    #[test]
    fn neither_connections_nor_rate_ever_exceed_the_limits(
        connections in 1_usize..12,
        per_second in 1_u32..200,
        steps in proptest::collection::vec((signals(), 0_i64..2_000, 0_usize..12, 0.0..1.0), 1..400),
    ) {
        let rate = Rate::new(per_second, Span::from_secs(1)).unwrap();
        let mut pace = Pace::new(Limits { connections, messages_per_connection: 9, rate: Some(rate) });
        let (mut now, mut taken) = (0, Vec::new());
        for (signal, passed, open, chance) in steps {
            now += passed;
            prop_assert!((1..=connections).contains(&pace.connections()));
            prop_assert!(pace.rate().unwrap() <= f64::from(per_second) + 0.01);
            if pace.next_token(at(now)).is_none() {
                let epoch = pace.take_token(at(now));
                taken.push(now);
                if signal == Signal::Accepted { pace.greeted() }
                pace.learn(signal, epoch, open, at(now), chance);
            }
        }
        // In any second no more than the limit, but for the one mail that a late timer pushes over the edge.
        for (first, from) in taken.iter().enumerate() {
            let within = taken[first..].iter().take_while(|moment| **moment < from + 1_000).count();
            prop_assert!(within <= per_second as usize + 1, "{within} in a second");
        }
    }

    #[test]
    fn whatever_happened_accepted_mails_bring_the_whole_limit_back(
        connections in 1_usize..12,
        before in proptest::collection::vec(signals(), 0..300),
    ) {
        let mut pace = met(connections, None);
        for (now, signal) in before.into_iter().enumerate() {
            learn(&mut pace, signal, i64::try_from(now).unwrap());
        }
        pace.greeted();
        accept(&mut pace, 200 + RUN * 12, 1_000_000);
        prop_assert_eq!(pace.connections(), connections);
        prop_assert_eq!(pace.standing(), Standing::Open);
    }
}
