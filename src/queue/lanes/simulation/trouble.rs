//! Carriers that are in trouble for a while, each beside another one that is not.

use super::carrier::{Answer, Carrier, Chance, Trouble};
use super::{BEGIN, World};
use crate::queue::Class;
use crate::queue::pace::Change;
use crate::queue::view::Shut;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
/// Mails for the carrier in trouble: more than it can take for as long as it is.
const ALERTS: u64 = 30_000;

/// A carrier that is in trouble from the second minute on, for so many minutes; and one that never is.
fn world(rate: Option<&str>, lasts: i64, trouble: Trouble, alerts: u64) -> World {
    let troubles = vec![(BEGIN + MINUTE, BEGIN + (1 + lasts) * MINUTE, trouble)];
    let ill = Carrier::new("ill", 8, rate);
    let ill = Carrier { troubles, connect: (20, 20), parting: 5, mail: (400, 400), pipelines: true, ..ill };
    let well = Carrier { connect: (30, 30), mail: (30, 30), ..Carrier::new("well", 1, Some("20/s")) };
    let mut world = World::new(20, 100, vec![ill, well]);
    world.order(0, 0, Class::Alert, alerts);
    for minute in 0..100 {
        world.order(minute * MINUTE + 123, 1, Class::Alert, 300);
        world.order(minute * MINUTE + 7_777, 1, Class::Otp, 2);
    }
    world
}

/// Runs to the end: everything is sent, and of the other carrier's mails each one came when it comes where no carrier is in
/// trouble.
fn end(world: &mut World) {
    world.run();
    let mut alone = self::world(None, 0, Trouble::Down, 0);
    alone.run();
    let differs = |(one, other): &(&i64, &i64)| one != other;
    let came = [&world.sites[1], &alone.sites[1]].map(|site| &site.carrier.came);
    assert_eq!((came[0].len(), came[0].iter().zip(came[1]).find(differs)), (came[1].len(), None));
    assert!(world.sites[0].done[3] >= ALERTS);
}

fn allowed(world: &World) -> usize {
    world.lanes.places.get(&world.sites[0].name).map_or(0, |place| place.pace.connections())
}

fn said(world: &World, answer: Answer) -> u64 {
    world.sites[0].carrier.said[answer as usize]
}

/// Counts the mails that came from one second to another.
fn came(world: &World, from: i64, to: i64) -> usize {
    let came = &world.sites[0].carrier.came;
    let [from, to] = [from, to].map(|second| came.partition_point(|moment| *moment < BEGIN + second * SECOND));
    to - from
}

/// Goes on until all connections are allowed again, and gives the second.
fn whole_again(world: &mut World, from: i64) -> i64 {
    for second in from..from + 3_600 {
        world.run_until(second * SECOND);
        if allowed(world) == 8 {
            return second;
        }
    }
    panic!("it never gets all of them back");
}

/// When it was shut, and until when.
fn closures(world: &World, of: Shut) -> Vec<(i64, i64)> {
    let changes = world.sites[0].changes.iter();
    let closures = changes.filter_map(|(moment, change)| match change {
        Change::Shut { why, until } if *why == of => Some((*moment, until.millis())),
        _ => None,
    });
    closures.collect()
}

#[test]
fn a_carrier_that_takes_fewer_connections_gets_about_as_many_and_all_of_them_afterwards() {
    let mut world = world(None, 10, Trouble::Above(3), ALERTS);
    world.run_until(MINUTE);
    assert_eq!(world.sites[0].open, 8);
    let mut open = 0;
    for second in 70..660 {
        world.run_until(second * SECOND);
        open += world.sites[0].open;
        assert!(world.sites[0].open <= 3);
    }
    assert!(open >= 2 * 590, "{open} in 590 seconds");
    // Each run of accepted mails one attempt to have one more.
    assert!(said(&world, Answer::SlowDown) <= 8 && world.sites[0].carrier.turned_away.len() <= 100);
    assert!(whole_again(&mut world, 660) <= 660 + 30);
    end(&mut world);
}

#[test]
fn a_carrier_that_takes_fewer_mails_a_second_gets_about_as_many_and_the_whole_rate_afterwards_without_a_burst() {
    let mut world = world(Some("16/s"), 10, Trouble::Faster(6), ALERTS);
    world.run_until(11 * MINUTE);
    let mails = came(&world, 60, 660);
    assert!((4 * 600..6 * 600).contains(&mails), "{mails} in ten minutes");
    assert!(said(&world, Answer::SlowDown) <= 220, "{}", said(&world, Answer::SlowDown));
    let whole = whole_again(&mut world, 660);
    assert!(whole <= 660 + 30, "{whole}");
    // That no second had more than the limit, the carrier itself has seen to.
    world.run_until((whole + 60) * SECOND);
    assert!(came(&world, whole, whole + 60) >= 15 * 60);
    end(&mut world);
}

#[test]
fn a_carrier_that_is_down_is_probed_by_one_connection_ever_less_often_and_comes_back_step_by_step() {
    let mut world = world(None, 60, Trouble::Down, ALERTS);
    world.run_until(61 * MINUTE);
    assert_eq!(allowed(&world), 1);
    let knocks = &world.sites[0].carrier.turned_away;
    let gaps: Vec<i64> = knocks.windows(2).map(|pair| (pair[1] - pair[0]) / SECOND).collect();
    // Those that were to follow the broken ones, then probes.
    let probes = gaps.iter().position(|gap| *gap > 1).unwrap();
    assert!(probes <= 4 && gaps.len() - probes <= 12, "{gaps:?}");
    for (gap, wait) in gaps[probes..].iter().zip([15, 30, 60, 120, 240, 480, 600, 600]) {
        assert!(gap * 4 >= wait * 3 && *gap <= wait + wait / 4 + 6, "{gaps:?}");
    }
    let back = (3_660..4_500).find(|second| {
        world.run_until(second * SECOND);
        allowed(&world) == 1 && came(&world, 3_660, *second) > 1
    });
    let back = back.unwrap();
    // One connection, 400 ms a mail.
    assert!(came(&world, 3_660, back + 1) <= 5);
    let whole = whole_again(&mut world, back);
    assert!((back + 10..back + 60).contains(&whole), "{back} {whole}");
    end(&mut world);
}

#[test]
fn probes_of_carriers_that_went_down_together_do_not_stay_together() {
    let knocks = [1, 2].map(|seed| {
        let mut world = world(None, 60, Trouble::Down, ALERTS);
        world.chance = Chance::new(seed);
        world.run_until(30 * MINUTE);
        world.sites[0].carrier.turned_away.split_off(6)
    });
    assert!(knocks[0].iter().all(|knock| knocks[1].iter().all(|other| (knock - other).abs() >= SECOND)));
}

#[test]
fn codes_ordered_while_a_carrier_is_down_do_not_put_its_probes_off() {
    let mut world = world(None, 20, Trouble::Down, ALERTS);
    for second in 60..1_200 {
        world.order(second * SECOND, 0, Class::Otp, 1);
    }
    world.run_until(21 * MINUTE);
    let closures = closures(&world, Shut::Down);
    assert!(closures.len() >= 6);
    assert!(
        closures.windows(2).all(|pair| pair[1].0 >= pair[0].1 && pair[1].0 <= pair[0].1 + 2 * SECOND),
        "{closures:?}"
    );
    end(&mut world);
}

#[test]
fn a_stale_list_opens_the_breaker_while_codes_go_on_and_try_it() {
    let mut world = world(None, 30, Trouble::Unknown(10), ALERTS);
    for code in 1..90 {
        world.order(code * 2 * MINUTE, 0, Class::Otp, 1);
    }
    world.run_until(31 * MINUTE);
    assert!(closures(&world, Shut::UnknownUsers).len() >= 5);
    // Without the breaker there were 36,000 mails, and 3,600 of them to nobody.
    let (mails, unknown) = (came(&world, 60, 31 * 60), said(&world, Answer::Unknown));
    assert!(mails <= 3_000 && unknown <= 250, "{mails} {unknown}");
    let codes: Vec<i64> = world.sites[0].waits.iter().map(|wait| wait.time).collect();
    // One mail's time, and a connection's where all had been closed.
    assert!(codes.len() == 15 && codes.iter().all(|wait| *wait <= 400 + 20), "{codes:?}");
    let whole = whole_again(&mut world, 31 * 60);
    assert!(whole <= 31 * 60 + 400, "{whole}");
    end(&mut world);
}
