//! What a server says or does that asks us to slow down, while the domain has other servers.

use super::world::{Plan, World, one_peer, two_peers};
use crate::peer::{Act, Peer, Setup};
use karamail::queue::destination::{Group, Groups, Limits};
use karamail::queue::view::{Shut, Standing};
use karamail::queue::{Cause, Class};

/// A carrier with two servers and limits of its own.
async fn carrier(first: Setup, second: Setup, connections: usize, rate: Option<&str>) -> (Peer, Peer, Plan) {
    let (first, second, network, port) = two_peers(first, second).await;
    let zone = format!(
        "carrier.example MX 10 one.example\ncarrier.example MX 20 two.example\n\
         one.example A {network}1\ntwo.example A {network}2"
    );
    let mut plan = Plan::new(&zone, port);
    let rate = rate.map(|rate| rate.parse().unwrap());
    plan.destinations.groups = Groups::new(vec![Group {
        name: "carrier".to_owned(),
        domains: vec!["carrier.example".parse().unwrap()],
        mx: Vec::new(),
        limits: Limits { connections, messages_per_connection: 100, rate },
    }]);
    (first, second, plan)
}

/// One more server, of the lowest preference.
async fn and_a_third(first: &Peer, plan: Plan, setup: Setup) -> (Peer, Plan) {
    let address = first.address.to_string().replacen(".1:", ".3:", 1);
    let third = Peer::listen(address.parse().unwrap(), setup).await;
    let more = format!("carrier.example MX 30 three.example\nthree.example A {}", third.address.ip());
    let zone = format!("{}\n{more}", plan.zone);
    (third, Plan { zone, ..plan })
}

fn allowed(world: &World) -> usize {
    world.destination("carrier").unwrap().allowed
}

fn begun(peer: &Peer) -> usize {
    peer.seen().lines.iter().filter(|line| line.contains(" MAIL FROM")).count()
}

#[tokio::test]
async fn a_call_to_slow_down_by_one_server_is_not_carried_to_the_next() {
    for (stage, said, cause) in [
        ("mail", "421 [TSS04] Messages from 192.0.2.1 temporarily deferred", Cause::Throttled),
        ("mail", "421 4.7.0 try again later", Cause::Throttled),
        ("rcpt", "421 too much mail", Cause::Throttled),
        ("data", "421 4.4.5 congested", Cause::Said),
        ("dot", "421 4.7.28 an unusual rate of mail", Cause::Throttled),
    ] {
        let (_first, second, plan) = carrier(Setup::plain().says(stage, [said]), Setup::default(), 8, None).await;
        let world = World::start(plan).await;
        let job = world.order(Class::Alert, "a@carrier.example").await;
        let waits = world.wait_for("deferred", job).await;
        assert_eq!((waits.attempts, waits.last_cause), (1, Some(cause)), "{said}");
        assert_eq!((allowed(&world), second.seen().connections), (4, 0), "{said}");
    }
}

#[tokio::test]
async fn a_server_that_breaks_off_counts_though_the_next_takes_the_mail() {
    for (stage, act) in [
        ("mail", Act::Close),
        ("data", Act::Close),
        ("mail", Act::Leave("421 4.3.2 closing")),
        ("rcpt", Act::Leave("421 4.4.2 timeout")),
    ] {
        let (_first, second, plan) = carrier(Setup::plain().at(stage, [act.clone()]), Setup::default(), 8, None).await;
        let world = World::start(plan).await;
        let job = world.order(Class::Alert, "a@carrier.example").await;
        assert_eq!(world.wait_for("accepted", job).await.attempts, 1);
        assert_eq!((allowed(&world), second.seen().mails.len()), (4, 1), "{stage} {act:?}");
    }
}

#[tokio::test]
async fn no_more_than_two_servers_break_off_on_one_mail() {
    let closes = || Setup::default().at("mail", (0..9).map(|_| Act::Close));
    let (first, second, plan) = carrier(closes(), closes(), 8, None).await;
    let (third, plan) = and_a_third(&first, plan, Setup::default()).await;
    let world = World::start(plan).await;
    let job = world.order(Class::Alert, "a@carrier.example").await;
    world.wait_for("deferred", job).await;
    assert_eq!((begun(&first), begun(&second), third.seen().connections), (1, 1, 0));
    // Each of them was heard.
    assert_eq!(allowed(&world), 2);
}

#[tokio::test]
async fn of_servers_that_turn_us_away_as_they_close_two_are_asked() {
    let leaves = || Setup::default().at("greeting", (0..9).map(|_| Act::Leave("421 4.3.2 busy")));
    let (first, second, plan) = carrier(leaves(), leaves(), 1, None).await;
    let (third, plan) = and_a_third(&first, plan, Setup::default()).await;
    let world = World::start(plan).await;
    let job = world.order(Class::Alert, "a@carrier.example").await;
    world.wait_for("deferred", job).await;
    assert_eq!([&first, &second, &third].map(|peer| peer.seen().connections), [1, 1, 0]);
    assert_eq!(world.wait_for_shut("carrier").await, Shut::Down);
}

#[tokio::test]
async fn a_mail_that_is_begun_once_more_waits_for_a_token_of_its_own() {
    let (first, second, plan) =
        carrier(Setup::plain().at("data", [Act::Close]), Setup::default(), 2, Some("1/10s")).await;
    let world = World::start(plan).await;
    let job = world.order(Class::Alert, "a@carrier.example").await;
    second.wait_for(|seen| seen.connections == 1).await;
    world.turn(9);
    world.turn_slowly(0).await;
    assert_eq!((begun(&first), begun(&second)), (1, 0));
    world.turn(1);
    world.wait_for("accepted", job).await;
}

#[tokio::test]
async fn a_mail_whose_next_token_is_far_off_waits_in_the_store() {
    let (_first, second, plan) =
        carrier(Setup::plain().at("data", [Act::Close]), Setup::default(), 2, Some("1/1m")).await;
    let world = World::start(plan).await;
    let job = world.order(Class::Alert, "a@carrier.example").await;
    assert_eq!(world.wait_for("deferred", job).await.last_cause, Some(Cause::Lost));
    assert_eq!(begun(&second), 0);
}

#[tokio::test]
async fn a_connection_closed_without_a_word_since_its_last_mail_says_nothing_and_one_closed_with_421_does() {
    for (act, event, allowed_then) in
        [(Act::Close, "accepted", 8), (Act::Leave("421 #4.x.2 Too many messages for this session"), "deferred", 4)]
    {
        let setup = Setup::default().says("mail", ["250 2.1.0 ok"]).at("mail", [act]);
        let (peer, mut plan) = one_peer(setup).await;
        plan.limits.per_destination = 8;
        let world = World::start(plan).await;
        let before = world.order(Class::Alert, "before@carrier.example").await;
        world.wait_for("accepted", before).await;
        let job = world.order(Class::Alert, "a@carrier.example").await;
        assert_eq!(world.wait_for(event, job).await.attempts, 1);
        assert_eq!(world.destination("mx.carrier.example").unwrap().allowed, allowed_then);
        assert_eq!(peer.seen().connections, if event == "accepted" { 2 } else { 1 });
        let standing = world.destination("mx.carrier.example").unwrap().standing;
        assert_eq!(standing == Standing::Open, event == "accepted");
    }
}
