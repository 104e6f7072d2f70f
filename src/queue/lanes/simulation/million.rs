//! A mass alert to one carrier, with people ordering one-time passwords and registering all the while.

use super::World;
use super::carrier::{Carrier, Chance};
use super::promises::{look_at_shares, look_at_waits};
use crate::queue::Class;

/// Sends alerts over eight connections, 50 ms each, while codes are ordered; gives how long in milliseconds the unluckiest one
/// waited that had no other code before it, and the unluckiest one of all.
fn send(alerts: u64, rate: Option<&str>) -> (i64, i64) {
    let carrier = Carrier { pipelines: true, ..Carrier::new("docomo", 8, rate) };
    let mut world = World::new(64, 500, vec![carrier]);
    world.order(0, 0, Class::Alert, alerts);
    let a_second = if rate.is_some() { 50 } else { 160 };
    let takes = i64::try_from(alerts / a_second).unwrap() * 1_000;
    let (mut chance, mut after, mut ordered) = (Chance::new(7), 0, alerts);
    while after < takes {
        let class = if chance.fraction() < 0.5 { Class::Otp } else { Class::Registration };
        world.order(after, 0, class, 1);
        ordered += 1;
        after += chance.between((0, 1_000));
    }
    world.run();
    let site = &world.sites[0];
    assert_eq!(site.done.iter().sum::<u64>(), ordered);
    look_at_waits(site);
    look_at_shares(site);
    let codes = || site.waits.iter().filter(|wait| wait.class == Class::Otp);
    let worst_alone = codes().filter(|wait| wait.ahead == 0).map(|wait| wait.time).max();
    (worst_alone.unwrap(), codes().map(|wait| wait.time).max().unwrap())
}

fn alerts() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "how thorough the tests are is asked of whoever runs them")]
    let long = std::env::var_os("KARAMAIL_LONG");
    if long.is_some() { 1_000_000 } else { 100_000 }
}

#[test]
fn a_mass_alert_keeps_no_code_waiting_for_more_than_one_mail() {
    let (alone, worst) = send(alerts(), None);
    assert!(alone <= 50 && worst <= 100, "{alone} ms, {worst} ms");
}

#[test]
fn a_mass_alert_at_a_fixed_rate_keeps_no_code_waiting_for_more_than_one_token_and_one_mail() {
    let (alone, worst) = send(alerts(), Some("50/s"));
    assert!(alone <= 50 && worst <= 100, "{alone} ms, {worst} ms");
}
