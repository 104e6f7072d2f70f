//! Two workers on one store: whose a one-time password is while one of them is late, cut off or gone.

use super::world::{Plan, START, World, one_peer};
use crate::peer::{Act, Peer, Setup, patiently};
use karamail::model::{JobId, Span, Timestamp};
use karamail::queue::{Class, State};
use karamail::store::{Reclaim, StoreError};
use std::sync::Arc;
use tokio::sync::Notify;

/// Where other workers may be on the store.
fn shared(plan: Plan) -> Plan {
    Plan { alone: false, ..plan.in_order() }
}

/// A worker to whose first DATA the server says 354 when that is rung for; the code it is about to give away.
async fn about_to_give() -> (Peer, World, Arc<Notify>, JobId) {
    let gate = Arc::new(Notify::new());
    let (peer, plan) = one_peer(Setup::plain().at("data", [Act::When(gate.clone(), "354 go ahead")])).await;
    let world = World::start(shared(plan)).await;
    let code = world.order(Class::Otp, "code@carrier.example").await;
    peer.wait_for_line(1, "DATA").await;
    (peer, world, gate, code)
}

/// Waits until a job is claimed up to a moment at least; gives the number of its claim.
async fn claimed_until(world: &World, job: JobId, until: Timestamp) -> i64 {
    let claimed = async {
        loop {
            match world.job(job).await.lease {
                Some(lease) if lease.until >= until => return lease.fence,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    patiently(claimed).await.unwrap()
}

#[tokio::test]
async fn a_crashed_workers_codes_are_sent_by_another_within_seconds_and_the_rest_within_minutes() {
    let (peer, plan) = one_peer(Setup::default().at("mail", [Act::Hang])).await;
    let mut world = World::start(shared(plan.clone())).await;
    let alerts =
        [world.order(Class::Alert, "a@carrier.example").await, world.order(Class::Alert, "b@carrier.example").await];
    peer.wait_for_line(1, "MAIL").await;
    let code = world.order(Class::Otp, "code@carrier.example").await;
    for job in [alerts[1], code] {
        world.wait_for_state(job, State::Sending).await;
    }
    world.run(shared(plan));
    // The other one leaves alone what the first one keeps.
    for _ in 0..30 {
        world.turn_slowly(1).await;
    }
    for job in [code, alerts[0], alerts[1]] {
        assert_eq!(world.job(job).await.lease.unwrap().fence, 1);
    }
    let crashed = world.clock.now();
    world.crash(0).await;
    world.turn_until(code, State::Accepted, 1).await;
    let waited = world.clock.now().since(crashed);
    assert!(waited > Span::from_secs(5) && waited <= Span::from_secs(16), "{waited}");
    assert_eq!(world.job(alerts[1]).await.state, State::Sending);
    for job in alerts {
        world.turn_until(job, State::Accepted, 1).await;
    }
    let waited = world.clock.now().since(crashed);
    assert!(waited > Span::from_secs(40) && waited <= Span::from_secs(70), "{waited}");
    assert_eq!(peer.seen().mails.len(), 3);
}

#[tokio::test]
async fn a_code_that_another_worker_took_is_not_given_away_here() {
    let (peer, world, gate, code) = about_to_give().await;
    let now = world.clock.now();
    let steal = move |tx: &mut karamail::store::Tx<'_>| {
        tx.reclaim(now.plus(Span::from_secs(999)), Reclaim::Expired)?;
        tx.claim("another", now, now.plus(Span::from_secs(999)), 1)
    };
    assert_eq!(world.store.write::<_, StoreError, _>(steal).await.unwrap().len(), 1);
    world.turn_slowly(11).await;
    gate.notify_one();
    peer.wait_for(|seen| seen.open == 0).await;
    world.turn_slowly(1).await;
    let found = world.job(code).await;
    assert_eq!((found.lease.unwrap().owner.as_str(), found.attempts, world.wait_of(code)), ("another", 0, None));
    let seen = peer.seen();
    assert_eq!((seen.mails.len(), seen.connections), (0, 1));
    // The next one goes.
    let next = world.order(Class::Otp, "next@carrier.example").await;
    world.wait_for("accepted", next).await;
    assert_eq!((peer.seen().mails.len(), world.heard("attempted")), (1, vec![next]));
}

#[tokio::test]
async fn a_code_is_not_given_away_while_its_claim_cannot_be_kept_and_is_once_afterwards() {
    let (peer, world, gate, code) = about_to_give().await;
    world.sql(
        "CREATE TRIGGER refuse BEFORE UPDATE ON jobs WHEN OLD.state = 'sending' AND NEW.state = 'sending' \
         BEGIN SELECT RAISE(ABORT, 'no'); END",
    );
    world.turn_slowly(11).await;
    gate.notify_one();
    let over = async {
        while peer.seen().connections < 2 {
            world.turn_slowly(1).await;
        }
    };
    assert!(patiently(over).await.is_some(), "{:?}", peer.seen().lines);
    assert!(peer.seen().mails.is_empty());
    world.sql("DROP TRIGGER refuse");
    world.turn_until(code, State::Accepted, 1).await;
    assert_eq!((peer.seen().mails.len(), world.heard("attempted").len()), (1, 1));
}

#[tokio::test]
async fn a_code_on_its_way_has_a_long_claim_before_its_body_is_written() {
    let gate = Arc::new(Notify::new());
    let (peer, plan) = one_peer(Setup::default().at("dot", [Act::When(gate.clone(), "250 2.0.0 taken")])).await;
    let world = World::start(shared(plan)).await;
    let code = world.order(Class::Otp, "code@carrier.example").await;
    peer.wait_for(|seen| seen.mails.len() == 1).await;
    assert_eq!(world.job(code).await.lease.unwrap().until, START.plus(Span::from_secs(30)));
    world.turn(3);
    claimed_until(&world, code, START.plus(Span::from_secs(33))).await;
    gate.notify_one();
    assert_eq!(world.wait_for("accepted", code).await.attempts, 1);
}

#[tokio::test]
async fn after_the_store_was_away_nobody_takes_what_others_had_no_time_to_keep() {
    let gate = Arc::new(Notify::new());
    let (peer, plan) = one_peer(Setup::default().at("dot", [Act::When(gate.clone(), "250 2.0.0 taken")])).await;
    let mut world = World::start(shared(plan.clone())).await;
    let code = world.order(Class::Otp, "code@carrier.example").await;
    peer.wait_for(|seen| seen.mails.len() == 1).await;
    world.run(shared(plan));
    world.turn_slowly(0).await;
    world.sql("ALTER TABLE jobs RENAME TO away");
    for _ in 0..49 {
        world.turn_slowly(1).await;
    }
    // What it had made of its claim is over.
    let over = format!("lease_until < {} AND state = 'sending'", world.clock.now().millis());
    assert_eq!(world.count(&format!("SELECT COUNT(*) FROM away WHERE {over}")), 1);
    world.sql("ALTER TABLE away RENAME TO jobs");
    // The other one looks for what is over before this one comes to keep its own.
    for _ in 0..4 {
        world.turn_slowly(1).await;
    }
    assert_eq!(claimed_until(&world, code, world.clock.now().plus(Span::from_secs(20))).await, 1);
    gate.notify_one();
    assert_eq!(world.wait_for("accepted", code).await.attempts, 1);
    assert_eq!(peer.seen().mails.len(), 1);
}
