//! Servers that take fewer connections than are opened, or take them and say nothing.

use super::world::{World, one_peer};
use crate::peer::{Act, Setup};
use karamail::queue::Class;
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
