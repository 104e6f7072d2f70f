//! Mails whose commands go right behind the body of the one before: which do, on how many connections, and what becomes of
//! them when the one before meets with something.

use super::world::{Plan, START, World, one_peer};
use crate::peer::{Act, Peer, Seen, Setup};
use karamail::model::JobId;
use karamail::queue::{Class, State};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::Notify;

/// The pieces in which a body came with commands behind it.
fn ahead(seen: &Seen) -> Vec<&String> {
    seen.pieces.iter().filter(|piece| piece.contains("\r\n.\r\nMAIL FROM")).collect()
}

/// How often a mail was begun on each connection from the first on; one that hangs hears it all the same.
fn begun(seen: &Seen) -> Vec<usize> {
    let begun = |number| {
        let mine = format!("{number} ");
        seen.pieces
            .iter()
            .filter(|piece| piece.starts_with(&mine))
            .map(|piece| piece.matches("MAIL FROM:<").count())
            .sum()
    };
    (1..=seen.connections).map(begun).collect()
}

async fn enqueue(world: &World, class: Class, count: usize) -> Vec<JobId> {
    let mut jobs = Vec::new();
    for number in 0..count {
        jobs.push(world.enqueue(class, &format!("{class}{number}@carrier.example"), START).await);
    }
    jobs
}

async fn all_accepted(world: &World, jobs: &[JobId]) {
    for job in jobs {
        assert_eq!(world.wait_for("accepted", *job).await.attempts, 1);
    }
}

/// No mail came in twice, and so many came in that were not empty.
fn came_once(seen: &Seen, count: usize) {
    let mails: Vec<&str> =
        seen.mails.iter().filter(|mail| !mail.message.is_empty()).map(|mail| mail.rcpt.as_str()).collect();
    let different: BTreeSet<&&str> = mails.iter().collect();
    assert_eq!((mails.len(), different.len()), (count, count), "{mails:?}");
}

/// A world in which one connection holds a mail to `first@` at its final dot, until told; so that another, which is
/// opened next, may send ahead. `then` is done at the final dots that follow.
async fn held(mails: u32, setup: Setup, then: Vec<Act>) -> (Peer, World, Arc<Notify>, JobId) {
    let gate = Arc::new(Notify::new());
    let setup = setup.at("dot", [Act::When(gate.clone(), "250 2.0.0 taken")]).at("dot", then);
    let (peer, mut plan) = one_peer(setup).await;
    (plan.limits.per_destination, plan.limits.mails) = (2, mails);
    let (world, first) = begin(plan).await;
    peer.wait_for(|seen| seen.mails.len() == 1).await;
    (peer, world, gate, first)
}

async fn begin(plan: Plan) -> (World, JobId) {
    let world = World::start(plan).await;
    let first = world.order(Class::Alert, "first@carrier.example").await;
    (world, first)
}

#[tokio::test]
async fn mails_that_can_wait_go_ahead_on_every_connection_but_one() {
    let gates = [Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(Notify::new())];
    let (peer, mut plan) =
        one_peer(Setup::default().at("dot", gates.clone().map(|gate| Act::When(gate, "250 ok")))).await;
    plan.limits.per_destination = 3;
    let world = World::start(plan).await;
    let jobs = enqueue(&world, Class::Alert, 20).await;
    world.ring();
    peer.wait_for(|seen| seen.mails.len() == 3).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    // How many stood when each was asked is chance; that one of them is left alone is not.
    let seen = peer.seen();
    let chained = begun(&seen).into_iter().filter(|count| *count == 2).count();
    assert!((1..=2).contains(&chained) && chained == ahead(&seen).len(), "{:?}", begun(&seen));
    for gate in gates {
        gate.notify_one();
    }
    all_accepted(&world, &jobs).await;
    came_once(&peer.seen(), 20);
    assert_eq!(peer.seen().most, 3);
}

#[tokio::test]
async fn nothing_goes_ahead_on_the_only_connection() {
    let (peer, plan) = one_peer(Setup::default()).await;
    let world = World::start(plan.in_order()).await;
    let jobs = enqueue(&world, Class::Alert, 10).await;
    world.ring();
    all_accepted(&world, &jobs).await;
    let seen = peer.seen();
    assert_eq!((ahead(&seen).len(), seen.connections), (0, 1));
    let expected: Vec<String> = (0..10).map(|number| format!("alert{number}@carrier.example")).collect();
    assert_eq!(seen.recipients(), expected);
}

#[tokio::test]
async fn what_somebody_waits_for_goes_behind_no_other_mail_and_none_behind_it() {
    for class in [Class::Otp, Class::Registration] {
        let (peer, world, gate, first) = held(100, Setup::default(), Vec::new()).await;
        let urgent = enqueue(&world, class, 5).await;
        let alerts = enqueue(&world, Class::Alert, 5).await;
        world.ring();
        all_accepted(&world, &urgent).await;
        gate.notify_one();
        all_accepted(&world, &alerts).await;
        all_accepted(&world, &[first]).await;
        let seen = peer.seen();
        let name = format!("RCPT TO:<{class}");
        let pieces: Vec<&String> = seen.pieces.iter().filter(|piece| piece.starts_with("2 ")).collect();
        assert!(pieces.iter().all(|piece| !(piece.contains("\r\n.\r\nMAIL") && piece.contains(&name))));
        let bodies: Vec<_> = pieces.windows(2).filter(|two| two[0].contains(&name)).map(|two| two[1]).collect();
        assert_eq!(bodies.len(), 5);
        assert!(bodies.iter().all(|body| body.ends_with("\r\n.\r\n")));
        // Once nobody waits any more, alerts do go behind alerts.
        assert!(!ahead(&seen).is_empty());
    }
}

#[tokio::test]
async fn a_chain_keeps_the_order_and_stops_in_time_for_goodbye() {
    let (peer, world, gate, first) = held(4, Setup::default(), Vec::new()).await;
    let jobs = enqueue(&world, Class::Alert, 12).await;
    world.ring();
    all_accepted(&world, &jobs).await;
    let seen = peer.wait_for(|seen| seen.open == 1).await;
    let expected: Vec<String> = (0..12).map(|number| format!("alert{number}@carrier.example")).collect();
    assert_eq!(seen.recipients()[1..], expected);
    // Three full connections beside the one that is held, one after the other is gone.
    assert_eq!((begun(&seen), seen.most), (vec![1, 4, 4, 4], 2));
    assert_eq!(ahead(&seen).len(), 3 * 3);
    for number in 2..=4 {
        assert!(seen.lines.contains(&format!("{number} QUIT")));
    }
    gate.notify_one();
    all_accepted(&world, &[first]).await;
}

#[tokio::test]
async fn of_a_chain_that_breaks_behind_a_final_dot_one_mail_is_lost_and_the_next_is_sent_elsewhere_once() {
    let (peer, world, gate, first) = held(100, Setup::default(), vec![Act::Close]).await;
    let jobs = enqueue(&world, Class::Alert, 6).await;
    world.ring();
    let lost = world.wait_for("unknown", jobs[0]).await;
    assert_eq!((lost.state, lost.attempts), (State::Unknown, 1));
    gate.notify_one();
    all_accepted(&world, &jobs[1..]).await;
    all_accepted(&world, &[first]).await;
    came_once(&peer.seen(), 7);
    assert_eq!(begun(&peer.seen())[1], 2, "the second was begun behind the first");
    assert_eq!(world.events(jobs[1]).await.iter().filter(|event| event.name == "attempted").count(), 1);
}

#[tokio::test]
async fn a_421_to_a_mail_that_went_ahead_costs_it_no_attempt_and_nobody_a_copy() {
    let setup = Setup::default().at("mail", [Act::Say("250 ok"), Act::Say("250 ok"), Act::Leave("421 4.7.0 enough")]);
    let (peer, world, gate, first) = held(100, setup, Vec::new()).await;
    let jobs = enqueue(&world, Class::Alert, 6).await;
    world.ring();
    peer.wait_for_line(2, "closed").await;
    // It was a call to slow down: from two connections one is left.
    gate.notify_one();
    all_accepted(&world, &jobs).await;
    all_accepted(&world, &[first]).await;
    came_once(&peer.seen(), 7);
}

#[tokio::test]
async fn a_refused_recipient_in_a_chain_is_given_no_body_and_the_others_go_through() {
    let refusal = [Act::Say("250 ok"), Act::Say("250 ok"), Act::Say("550 5.1.1 Unknown user")];
    let (peer, world, gate, first) = held(100, Setup::default().at("rcpt", refusal), Vec::new()).await;
    let jobs = enqueue(&world, Class::Alert, 6).await;
    world.ring();
    assert_eq!(world.wait_for("refused", jobs[1]).await.state, State::Refused);
    all_accepted(&world, &[jobs[0], jobs[2], jobs[3], jobs[4], jobs[5]]).await;
    gate.notify_one();
    all_accepted(&world, &[first]).await;
    came_once(&peer.seen(), 6);
}

#[tokio::test]
async fn a_mail_that_went_ahead_and_whose_time_ends_meanwhile_is_never_given_away() {
    let (gate, chain) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let acts = [Act::When(gate.clone(), "250 2.0.0 taken"), Act::When(chain.clone(), "250 2.0.0 taken")];
    let (peer, mut plan) = one_peer(Setup::default().at("dot", acts)).await;
    plan.limits.per_destination = 2;
    let mut world = World::prepare(&plan.zone).await;
    let jobs = enqueue(&world, Class::Alert, 2).await;
    world.turn(60);
    let first = world.enqueue(Class::Alert, "first@carrier.example", START).await;
    world.turn(3_440);
    world.sql(&format!("UPDATE jobs SET due = {} WHERE id <> {}", START.millis() + 3_550_000, first.number()));
    world.run(plan);
    peer.wait_for(|seen| seen.mails.len() == 1).await;
    world.turn(50);
    // Both at once: one is sent, the commands of the other go behind it.
    peer.wait_for(|seen| seen.mails.len() == 2 && begun(seen) == [1, 2]).await;
    world.turn(50);
    chain.notify_one();
    all_accepted(&world, &jobs[..1]).await;
    assert_eq!(world.wait_for("expired", jobs[1]).await.state, State::Expired);
    gate.notify_one();
    all_accepted(&world, &[first]).await;
    came_once(&peer.seen(), 2);
    peer.wait_for(|seen| seen.lines.contains(&"2 closed".to_owned())).await;
    assert!(!peer.seen().lines.contains(&"2 QUIT".to_owned()), "the only way to take a DATA back is to leave");
}

#[tokio::test]
async fn no_body_follows_while_the_outcome_before_it_cannot_be_recorded() {
    let (peer, world, gate, first) = held(100, Setup::default(), Vec::new()).await;
    world.sql("CREATE TRIGGER refuse BEFORE INSERT ON history BEGIN SELECT RAISE(ABORT, 'no'); END");
    let jobs = enqueue(&world, Class::Alert, 5).await;
    world.ring();
    peer.wait_for(|seen| seen.mails.len() == 2 && begun(seen) == [1, 2]).await;
    for _ in 0..10 {
        world.turn_slowly(1).await;
    }
    assert_eq!((peer.seen().mails.len(), begun(&peer.seen())), (2, vec![1, 2]));
    world.sql("DROP TRIGGER refuse");
    gate.notify_one();
    for job in &jobs {
        world.turn_until(*job, State::Accepted, 1).await;
    }
    all_accepted(&world, &[first]).await;
    came_once(&peer.seen(), 6);
}

#[tokio::test]
async fn at_the_end_a_mail_that_went_ahead_is_given_back_untried() {
    let (peer, mut world, gate, first) = held(100, Setup::default(), vec![Act::Hang]).await;
    let jobs = enqueue(&world, Class::Alert, 5).await;
    world.ring();
    peer.wait_for(|seen| begun(seen) == [1, 2]).await;
    world.stop();
    world.wait_for_state(jobs[4], State::Queued).await;
    gate.notify_one();
    all_accepted(&world, &[first]).await;
    world.turn(30);
    assert_eq!(world.wait_for("unknown", jobs[0]).await.attempts, 1);
    world.turn(5);
    world.stopped().await;
    for job in &jobs[1..] {
        let found = world.job(*job).await;
        assert_eq!((found.state, found.attempts, found.lease), (State::Queued, 0, None));
    }
    came_once(&peer.seen(), 2);
}

#[tokio::test]
async fn no_connection_is_opened_before_the_server_has_closed_the_last_one() {
    let gate = Arc::new(Notify::new());
    let (peer, plan) = one_peer(Setup::default().at("quit", [Act::LeaveWhen(gate.clone(), "221 2.0.0 bye")])).await;
    let mut plan = plan.in_order();
    plan.limits.mails = 1;
    let world = World::start(plan).await;
    let jobs = enqueue(&world, Class::Alert, 2).await;
    world.ring();
    all_accepted(&world, &jobs[..1]).await;
    peer.wait_for_line(1, "QUIT").await;
    for _ in 0..10 {
        world.turn_slowly(0).await;
    }
    assert_eq!(peer.seen().connections, 1);
    gate.notify_one();
    all_accepted(&world, &jobs[1..]).await;
    assert_eq!((peer.seen().connections, peer.seen().most), (2, 1));
}
