//! Servers that take fewer connections than are opened, or take them and say nothing.

use super::world::{Plan, START, World, one_peer, two_peers};
use crate::peer::{Act, Setup};
use karamail::model::{Span, Stage};
use karamail::queue::{Class, State};
use std::sync::Arc;
use tokio::sync::Notify;

#[tokio::test]
async fn a_connection_refused_beside_an_open_one_costs_no_mail_an_attempt() {
    let gate = Arc::new(Notify::new());
    let refusals = (0..40).map(|_| Act::Leave("421 4.7.0 too many connections"));
    let greetings = std::iter::once(Act::Say("220 peer.example ESMTP")).chain(refusals);
    let setup = Setup::default().at("greeting", greetings).at("dot", [Act::When(gate.clone(), "250 2.0.0 taken")]);
    let (peer, plan) = one_peer(setup).await;
    let world = World::start(plan).await;
    let mut jobs = vec![world.order(Class::Alert, "first@carrier.example").await];
    peer.wait_for(|seen| seen.mails.len() == 1).await;
    for number in 0..20 {
        jobs.push(world.order(Class::Alert, &format!("a{number}@carrier.example")).await);
    }
    let seen = peer.wait_for(|seen| seen.connections > 1 && seen.open == 1).await;
    assert!(seen.connections < 20, "{} connections", seen.connections);
    gate.notify_one();
    for job in jobs {
        assert_eq!(world.wait_for("accepted", job).await.attempts, 1);
    }
    assert!(peer.seen().mails.iter().all(|mail| mail.connection == 1));
}

#[tokio::test]
async fn a_server_that_never_greets_leaves_the_next_its_time_and_all_together_have_a_bound() {
    let hang = || Setup::default().at("greeting", (0..9).map(|_| Act::Hang));
    for (second, ends) in [(Setup::default(), State::Accepted), (hang(), State::Deferred)] {
        let (first, second, network, port) = two_peers(hang(), second).await;
        let zone = format!(
            "carrier.example MX 10 a.carrier.example\ncarrier.example MX 20 b.carrier.example\n\
             a.carrier.example A {network}1\nb.carrier.example A {network}2"
        );
        let world = World::start(Plan::new(&zone, port)).await;
        let job = world.order(Class::Alert, "a@carrier.example").await;
        first.wait_for(|seen| seen.open == 1).await;
        world.turn(150);
        second.wait_for(|seen| seen.connections == 1).await;
        if ends == State::Deferred {
            world.turn(75);
            let waits = world.wait_for("deferred", job).await;
            assert_eq!(waits.last.unwrap().0, Stage::Greeting);
        }
        world.wait_for_state(job, ends).await;
        assert!(world.clock.now() <= START.plus(Span::from_secs(300)));
    }
}

#[tokio::test]
async fn a_destination_that_does_not_greet_has_few_connections() {
    let (silent, plan) = one_peer(Setup::default().at("greeting", (0..9).map(|_| Act::Hang))).await;
    let world = World::start(plan).await;
    for number in 0..9 {
        let job = world.order(Class::Alert, &format!("a{number}@carrier.example")).await;
        world.wait_for_state(job, State::Sending).await;
    }
    let seen = silent.wait_for(|seen| seen.connections == 2).await;
    assert_eq!(seen.most, 2);
}

#[tokio::test]
async fn a_busy_destination_makes_way_for_one_that_has_no_connection() {
    let gate = Arc::new(Notify::new());
    let (one, two, network, port) =
        two_peers(Setup::default().at("dot", [Act::When(gate.clone(), "250 2.0.0 taken")]), Setup::default()).await;
    let zone = format!("one.example A {network}1\ntwo.example A {network}2");
    let mut plan = Plan::new(&zone, port).in_order();
    (plan.limits.connections, plan.limits.mails) = (1, 2);
    let world = World::start(plan).await;
    let mut jobs = vec![world.order(Class::Alert, "first@one.example").await];
    one.wait_for(|seen| seen.mails.len() == 1).await;
    for number in 0..9 {
        jobs.push(world.order(Class::Alert, &format!("a{number}@one.example")).await);
    }
    let other = world.order(Class::Alert, "b@two.example").await;
    for job in jobs.iter().chain([&other]) {
        world.wait_for_state(*job, State::Sending).await;
    }
    gate.notify_one();
    two.wait_for(|seen| seen.mails.len() == 1).await;
    world.wait_for("accepted", other).await;
    for job in jobs {
        world.wait_for("accepted", job).await;
    }
    // Two mails are one connection's share.
    let order = world.heard("accepted");
    assert_eq!(order.iter().position(|job| *job == other), Some(2), "{order:?}");
}
