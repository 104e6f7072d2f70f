//! A destination that asks to slow down and then takes everything again, counted at the destination.

use super::world::{World, one_peer};
use crate::peer::Setup;
use karamail::model::Span;
use karamail::queue::Class;
use karamail::queue::destination::{Group, Groups, Limits};
use karamail::queue::view::Standing;

/// One mail in this time.
const SPACING: Span = Span::from_millis(100);
const CONNECTIONS: usize = 4;

fn stands(world: &World) -> (Standing, usize, Option<f64>) {
    let view = world.board.as_ref().unwrap().view();
    let carrier = view.destinations.iter().find(|destination| destination.name == "carrier").unwrap();
    (carrier.standing, carrier.allowed, carrier.rate)
}

/// Lets the time of one mail pass, and what that sets off.
async fn tick(world: &World) {
    world.clock.turn(SPACING);
    world.turn_slowly(0).await;
}

#[tokio::test]
async fn a_destination_that_throttled_and_recovered_gets_its_full_rate_back_without_a_burst() {
    let before = ["250 2.1.0 ok"; 4];
    let setup = Setup::plain().says("mail", before).says("mail", ["450 4.7.1 too much mail from you"]);
    let (peer, mut plan) = one_peer(setup).await;
    plan.destinations.groups = Groups::new(vec![Group {
        name: "carrier".to_owned(),
        domains: vec!["carrier.example".parse().unwrap()],
        mx: Vec::new(),
        limits: Limits { connections: CONNECTIONS, messages_per_connection: 100, rate: "10/s".parse().ok() },
    }]);
    let world = World::start(plan).await;
    for number in 0..150 {
        world.enqueue(Class::Alert, &format!("a{number}@carrier.example"), world.clock.now()).await;
    }
    world.ring();
    while world.heard("deferred").is_empty() {
        tick(&world).await;
    }
    assert_eq!(stands(&world), (Standing::Slowed, CONNECTIONS / 2, Some(5.0)));
    let (taken, mut ticks) = (peer.seen().mails.len(), 0);
    while stands(&world).0 == Standing::Slowed {
        tick(&world).await;
        ticks += 1;
        // Half the rate at first, two thirds of it after twenty mails: never more than the whole.
        let since = peer.seen().mails.len() - taken;
        assert!(since <= ticks * 3 / 4 + 2, "{since} mails in the time of {ticks}");
        assert!(ticks < 300, "only {since} mails came");
    }
    assert_eq!(stands(&world), (Standing::Open, CONNECTIONS, Some(10.0)));
    let taken = peer.seen().mails.len();
    for ticks in 1..=40 {
        tick(&world).await;
        // Each token brings its mail before the next one is there.
        let seen = peer.wait_for(|seen| seen.mails.len() + 2 >= taken + ticks).await;
        let since = seen.mails.len() - taken;
        assert!(since <= ticks + 1, "{since} mails in the time of {ticks}");
    }
    assert!(peer.seen().most <= CONNECTIONS);
}
