//! Name servers that are away, or answer what was not asked.

use super::world::{Plan, World, two_peers};
use crate::peer::Setup;
use karamail::queue::{Class, State};

#[tokio::test]
async fn what_a_name_server_says_of_names_that_were_not_asked_about_is_not_believed() {
    let (honest, thief, network, port) = two_peers(Setup::default(), Setup::default()).await;
    // Whoever is asked about the liar tells where the victim's mail is to go, and its server; in every answer.
    let zone = format!(
        "liar.example MX 10 mx.liar.example\nmx.liar.example A {network}2\n\
         liar.example LIE victim.example MX 1 mx.liar.example\nliar.example LIE mx.victim.example A {network}2\n\
         mx.liar.example LIE mx.victim.example A {network}2\n\
         victim.example MX 10 mx.victim.example\nmx.victim.example A {network}1\n\
         false.example LIE other.example MX 10 mx.liar.example\nfalse.example LIE other.example A {network}2"
    );
    let world = World::start(Plan::new(&zone, port)).await;
    let liar = world.order(Class::Alert, "a@liar.example").await;
    world.wait_for("accepted", liar).await;
    let victim = world.order(Class::Alert, "a@victim.example").await;
    world.wait_for("accepted", victim).await;
    let other = world.order(Class::Alert, "a@false.example").await;
    while world.job(other).await.state == State::Queued || world.job(other).await.state == State::Sending {
        tokio::task::yield_now().await;
    }
    assert_eq!(honest.seen().recipients(), ["a@victim.example"]);
    assert_eq!(thief.seen().recipients(), ["a@liar.example"]);
}

#[tokio::test]
async fn an_answer_without_end_costs_nobody_else_and_is_no_refusal() {
    let (one, other, network, port) = two_peers(Setup::default(), Setup::default()).await;
    let many: Vec<String> = (0..1_000).map(|number| format!("huge.example MX 10 mx{number}.huge.example")).collect();
    let zone = format!("{}\nwell.example A {network}1\nspare.example A {network}2", many.join("\n"));
    let world = World::start(Plan::new(&zone, port)).await;
    let huge = world.order(Class::Alert, "a@huge.example").await;
    let well = world.order(Class::Alert, "a@well.example").await;
    world.wait_for("accepted", well).await;
    assert_eq!(one.seen().recipients(), ["a@well.example"]);
    let waits = world.wait_for("deferred", huge).await;
    assert_eq!((waits.state, other.seen().connections), (State::Deferred, 0));
}

#[tokio::test]
async fn a_code_whose_names_are_never_answered_ends_unsent_and_keeps_nobody_waiting() {
    let (peer, other, network, port) = two_peers(Setup::default(), Setup::default()).await;
    let world = World::start(Plan::new(&format!("mute.example SILENT\nwell.example A {network}1"), port)).await;
    let mut mute = Vec::new();
    for number in 0..30 {
        mute.push(world.order(Class::Otp, &format!("code{number}@mute.example")).await);
    }
    world.names.wait_for("MX mute.example").await;
    let well = world.order(Class::Alert, "a@well.example").await;
    world.wait_for("accepted", well).await;
    // Then the names are there, and too late.
    world.turn(3_600);
    world.names.set(&format!("mute.example A {network}2\nwell.example A {network}1"));
    for job in mute {
        world.turn_until(job, State::Expired, 30).await;
    }
    assert_eq!((peer.seen().mails.len(), other.seen().mails.len()), (1, 0));
}
