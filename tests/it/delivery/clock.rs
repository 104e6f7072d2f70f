//! A clock that jumps: forth by an hour, and back.

use super::world::{START, World, one_peer};
use crate::peer::Setup;
use karamail::model::Span;
use karamail::queue::destination::{Group, Groups, Limits};
use karamail::queue::{Class, State};

const HOUR: Span = Span::from_secs(3_600);

#[tokio::test]
async fn a_code_that_waits_while_the_clock_jumps_past_its_life_is_never_sent_not_even_when_it_jumps_back() {
    let (peer, plan) =
        one_peer(Setup::default().says("rcpt", ["450 4.2.0 later"]).says("data", ["503 5.5.1 no"])).await;
    let world = World::start(plan).await;
    let code = world.order(Class::Otp, "code@carrier.example").await;
    world.wait_for("deferred", code).await;
    world.clock.turn(HOUR);
    assert_eq!(world.wait_for("expired", code).await.state, State::Expired);
    world.clock.turn_back(HOUR);
    let alert = world.order(Class::Alert, "alert@carrier.example").await;
    world.wait_for("accepted", alert).await;
    for _ in 0..5 {
        world.turn_slowly(100).await;
    }
    assert_eq!(peer.seen().recipients(), ["alert@carrier.example"]);
    assert_eq!(world.job(code).await.state, State::Expired);
}

#[tokio::test]
async fn a_clock_that_is_put_right_by_an_hour_holds_up_nothing() {
    let (peer, mut plan) = one_peer(Setup::default()).await;
    plan.destinations.groups = Groups::new(vec![Group {
        name: "carrier".to_owned(),
        domains: vec!["carrier.example".parse().unwrap()],
        mx: Vec::new(),
        limits: Limits { connections: 2, messages_per_connection: 100, rate: "1/10s".parse().ok() },
    }]);
    let world = World::start(plan).await;
    world.clock.turn(HOUR);
    let early = world.order(Class::Alert, "early@carrier.example").await;
    world.wait_for("accepted", early).await;
    world.clock.turn_back(HOUR);
    assert_eq!(world.clock.now(), START);
    // The token that was taken an hour ahead, the look at the queue that was planned for then: neither is waited for.
    peer.says("rcpt", [crate::peer::Act::Say("450 4.2.2 full")]);
    let late = world.order(Class::Registration, "late@carrier.example").await;
    for _ in 0..12 {
        world.turn_slowly(1).await;
    }
    world.wait_for("deferred", late).await;
    for _ in 0..20 {
        world.turn_slowly(10).await;
    }
    world.wait_for("accepted", late).await;
}
