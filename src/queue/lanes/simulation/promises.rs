//! The promises of the scheduler, over arbitrary arrivals.

use super::super::{Place, index};
use super::carrier::{Carrier, Trouble};
use super::site::{Site, Wait};
use super::{BEGIN, World};
use crate::model::Span;
use crate::queue::Class;
use crate::queue::destination::Rate;
use crate::queue::turn::{OTP_RUN, patience};
use proptest::prelude::*;

/// The latest moments at which the first, second, … mail in line is begun, counted from the moment at which it is in line.
///
/// Let a connection be of use again `T` after it took a mail at most: the longest transaction, and, where it is its last one,
/// its parting and the opening of another. Let `C` be the connections and `t` the time from one token to the next (and the
/// opening of a connection for it). One connection at least has no more than one mail in flight, the others may have
/// two. So the first in line is begun after `max(T, t)`; and the `i`-th after the `i-1`-th by `t`, when the connection that began
/// the `i-C`-th is free by `T`, or after `2T`, whichever is latest.
fn latest(carrier: &Carrier, count: usize) -> Vec<i64> {
    let opening = carrier.connect.1;
    let turn = carrier.mail.1 + carrier.parting + opening;
    let token = carrier.limits.rate.map_or(0, |rate| (rate.spacing_micros() + 999) / 1_000 + opening);
    let first_free = if carrier.pipelines || opening > 0 { 2 * turn } else { turn };
    let mut moments: Vec<i64> = vec![turn.max(token)];
    while moments.len() < count {
        let before = moments.last().unwrap() + token;
        let free = moments.len().checked_sub(carrier.limits.connections).map_or(0, |index| moments[index] + turn);
        moments.push(before.max(free).max(first_free));
    }
    moments
}

/// Looks at every urgent mail that was begun.
pub(super) fn look_at_waits(site: &Site) {
    let begun = |wait: &Wait| usize::try_from(wait.begun.iter().sum::<u64>()).unwrap();
    let longest = site.waits.iter().map(begun).max().unwrap_or(0);
    let latest = latest(&site.carrier, longest + 1);
    for wait in &site.waits {
        let passed_by = begun(wait) as u64;
        assert!(wait.time <= latest[begun(wait)], "later than {}: {wait:?}", latest[begun(wait)]);
        let share = u64::from(OTP_RUN);
        for class in Class::ALL.into_iter().filter(|class| index(*class) > index(wait.class)) {
            let most = if wait.class == Class::Otp {
                continue;
            } else {
                passed_by.div_ceil(u64::from(patience(class)) + 1)
            };
            assert!(wait.begun[index(class)] <= most, "{class} too often: {wait:?}");
        }
        if wait.class == Class::Otp {
            let others = passed_by - wait.begun[0];
            assert!(wait.begun[0] <= wait.ahead, "not in order: {wait:?}");
            assert!(others <= (wait.run.min(share) + wait.ahead) / share, "passed by others: {wait:?}");
        }
    }
}

/// Looks at the share of every class.
pub(super) fn look_at_shares(site: &Site) {
    for class in Class::ALL.into_iter().filter(|class| *class != Class::Otp) {
        let (by_others, by_all) = site.passed[index(class)].most;
        let patience = u64::from(patience(class));
        assert!(by_others <= patience + 4, "{class} was passed by {by_others}");
        assert!(by_all <= patience + 4 + 5 * u64::from(OTP_RUN), "{class} was passed by {by_all}");
    }
}

#[derive(Debug, Clone)]
struct Arrival {
    after: i64,
    site: usize,
    class: Class,
    mails: u64,
}

fn carriers() -> impl Strategy<Value = Carrier> {
    let rate =
        proptest::option::of((1_u32..300).prop_map(|per_second| Rate::new(per_second, Span::from_secs(1)).unwrap()));
    let times = ((1_i64..120, 0_i64..120), (0_i64..40, 0_i64..40), 0_i64..30);
    (1_usize..=8, rate, times, any::<(bool, bool)>(), 3_u32..100).prop_map(
        |(connections, rate, ((mail, more), (connect, longer), parting), (pipelines, at_once), messages)| {
            let mut carrier = Carrier::new("a", connections, None);
            carrier.limits.rate = rate;
            carrier.limits.messages_per_connection = messages;
            carrier.mail = (mail, mail + more);
            carrier.pipelines = pipelines;
            if !at_once {
                (carrier.connect, carrier.parting) = ((connect, connect + longer), parting);
            }
            carrier
        },
    )
}

fn troubles() -> impl Strategy<Value = Vec<(i64, i64, Trouble)>> {
    let trouble = prop_oneof![
        (1_usize..5).prop_map(Trouble::Above),
        (1_usize..40).prop_map(Trouble::Faster),
        (2_i64..30).prop_map(Trouble::Unknown),
        (1_i64..30).prop_map(Trouble::BreaksOff),
        Just(Trouble::Down),
    ];
    let trouble = (0_i64..20_000, 0_i64..60_000, trouble);
    let trouble = trouble.prop_map(|(from, lasts, trouble)| (BEGIN + from, BEGIN + from + lasts, trouble));
    proptest::collection::vec(trouble, 0..4)
}

fn arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    let class =
        prop_oneof![2 => Just(Class::Otp), 3 => Just(Class::Alert), 4 => proptest::sample::select(&Class::ALL[..])];
    let mails = prop_oneof![4 => Just(1_u64), 2 => 1_u64..20, 1 => 1_u64..200];
    let after = prop_oneof![1 => Just(0_i64), 4 => 0_i64..4_000, 1 => 0_i64..40_000];
    let arrival = (after, 0_usize..3, class, mails);
    let arrival = arrival.prop_map(|(after, site, class, mails)| Arrival { after, site, class, mails });
    proptest::collection::vec(arrival, 1..60)
}

fn world(carriers: Vec<Carrier>, connections: usize, window: usize, arrivals: &[Arrival]) -> World {
    let names = ["docomo", "au", "softbank"];
    let carriers: Vec<Carrier> =
        carriers.into_iter().zip(names).map(|(carrier, name)| Carrier { name, ..carrier }).collect();
    let sites = carriers.len();
    let mut world = World::new(connections, window, carriers);
    for arrival in arrivals {
        world.order(arrival.after, arrival.site % sites, arrival.class, arrival.mails);
    }
    world
}

proptest! {
    #[test]
    fn nobody_waits_for_longer_than_was_promised(
        carriers in proptest::collection::vec(carriers(), 1..4),
        window in 1_usize..60,
        arrivals in arrivals(),
    ) {
        let mut world = world(carriers, 99, window, &arrivals);
        world.run();
        for site in &world.sites {
            look_at_waits(site);
            look_at_shares(site);
        }
        let ordered: u64 = arrivals.iter().map(|arrival| arrival.mails).sum();
        let done: u64 = world.sites.iter().flat_map(|site| site.done).sum();
        prop_assert_eq!(done, ordered);
    }

    #[test]
    fn whatever_carriers_answer_no_limit_is_exceeded_and_no_mail_is_lost(
        carriers in proptest::collection::vec((carriers(), troubles()), 1..4),
        connections in 1_usize..12,
        window in 1_usize..60,
        arrivals in arrivals(),
    ) {
        let carriers = carriers.into_iter().map(|(carrier, troubles)| Carrier { troubles, ..carrier }).collect();
        let mut world = world(carriers, connections, window, &arrivals);
        world.run();
        let ordered: u64 = arrivals.iter().map(|arrival| arrival.mails).sum();
        let done: u64 = world.sites.iter().flat_map(|site| site.done).sum();
        prop_assert_eq!(done, ordered);
        prop_assert!(world.lanes.places.values().all(Place::is_empty));
    }
}
