//! What breaks: connections behind the final dot, the store, the daemon itself.

use super::world::Plan;
use super::world::{START, World, field, one_peer, two_peers};
use crate::peer::{Act, Setup, patiently};
use karamail::model::{RegistrationId, Span};
use karamail::queue::{Class, State};
use karamail::store::RegistrationState;
use std::sync::Arc;
use tokio::sync::Notify;

#[tokio::test]
async fn a_mail_lost_behind_the_final_dot_is_sent_once_more_as_the_same_mail_and_a_code_is_not() {
    let (peer, plan) = one_peer(Setup::default().at("dot", [Act::Close, Act::Close, Act::Close])).await;
    let world = World::start(plan.in_order()).await;
    let code = world.order(Class::Otp, "code@carrier.example").await;
    world.wait_for("unknown", code).await;
    let alert = world.order(Class::Alert, "alert@carrier.example").await;
    let lost = world.wait_for("unknown", alert).await;
    assert_eq!(lost.state, State::Unknown);
    world.clock.turn(lost.due.since(START));
    let lost = world.wait_for_nth(2, "unknown", alert).await;
    assert_eq!(lost.due, START.plus(Span::from_secs(3_600)));
    let mails = peer.seen().mails;
    let to: Vec<&str> = mails.iter().map(|mail| mail.rcpt.as_str()).collect();
    assert_eq!(
        to,
        ["RCPT TO:<code@carrier.example>", "RCPT TO:<alert@carrier.example>", "RCPT TO:<alert@carrier.example>"]
    );
    assert_eq!(field(&mails[1].message, "Message-ID"), field(&mails[2].message, "Message-ID"));
    // When their time is over both end, unsent from then on.
    world.turn(3_600);
    for job in [code, alert] {
        assert_eq!(world.wait_for("expired", job).await.state, State::Expired);
    }
    assert_eq!(peer.seen().mails.len(), 3);
}

#[tokio::test]
async fn nothing_is_given_away_while_an_outcome_cannot_be_recorded() {
    let (one, two, network, port) = two_peers(Setup::default(), Setup::default()).await;
    let zone = format!("one.example A {network}1\ntwo.example A {network}2");
    let world = World::start(Plan::new(&zone, port).in_order()).await;
    world.sql("CREATE TRIGGER refuse BEFORE INSERT ON history BEGIN SELECT RAISE(ABORT, 'no'); END");
    let mut jobs = Vec::new();
    for number in 0..3 {
        jobs.push(world.enqueue(Class::Alert, &format!("a{number}@one.example"), START).await);
    }
    world.ring();
    one.wait_for(|seen| seen.mails.len() == 1).await;
    jobs.push(world.order(Class::Alert, "b@two.example").await);
    two.wait_for(|seen| seen.mails.len() == 1).await;
    for _ in 0..10 {
        world.turn(1);
        tokio::task::yield_now().await;
    }
    assert_eq!((one.seen().mails.len(), two.seen().mails.len()), (1, 1));
    world.sql("DROP TRIGGER refuse");
    for job in jobs {
        world.turn_until(job, State::Accepted, 5).await;
    }
    assert_eq!((one.seen().mails.len(), two.seen().mails.len()), (3, 1));
}

#[tokio::test]
async fn nothing_is_claimed_while_the_store_refuses_and_all_of_it_afterwards() {
    let (peer, plan) = one_peer(Setup::default()).await;
    let mut world = World::prepare(&plan.zone).await;
    world.sql("CREATE TRIGGER refuse BEFORE UPDATE ON jobs BEGIN SELECT RAISE(ABORT, 'no'); END");
    let job = world.enqueue(Class::Alert, "a@carrier.example", START).await;
    world.run(plan);
    for _ in 0..20 {
        world.turn(1);
        world.ring();
        tokio::task::yield_now().await;
    }
    assert_eq!(peer.seen().connections, 0);
    world.sql("DROP TRIGGER refuse");
    world.ring();
    world.wait_for("accepted", job).await;
    assert_eq!(peer.seen().mails.len(), 1);
}

#[tokio::test]
async fn the_claim_of_a_mail_on_its_way_is_kept_and_nobody_else_gets_it() {
    let gate = Arc::new(Notify::new());
    let (peer, plan) = one_peer(Setup::default().at("dot", [Act::When(gate.clone(), "250 2.0.0 taken")])).await;
    let world = World::start(plan).await;
    let job = world.order(Class::Alert, "a@carrier.example").await;
    peer.wait_for(|seen| seen.mails.len() == 1).await;
    for _ in 0..10 {
        world.turn(20);
        let until = world.clock.now().plus(Span::from_secs(60));
        let kept = async {
            while world.job(job).await.lease.unwrap().until < until {
                tokio::task::yield_now().await;
            }
        };
        patiently(kept).await.unwrap();
    }
    gate.notify_one();
    let ended = world.wait_for("accepted", job).await;
    assert_eq!((ended.attempts, peer.seen().mails.len()), (1, 1));
}

#[tokio::test]
async fn claims_that_ran_out_while_the_store_was_away_are_kept_and_not_taken_back() {
    let gate = Arc::new(Notify::new());
    let (peer, plan) = one_peer(Setup::default().at("dot", [Act::When(gate.clone(), "250 2.0.0 taken")])).await;
    let world = World::start(plan).await;
    let job = world.order(Class::Alert, "a@carrier.example").await;
    peer.wait_for(|seen| seen.mails.len() == 1).await;
    let lease_until = async |until: i64| {
        let kept = async {
            loop {
                let lease = world.job(job).await.lease;
                if let Some(lease) = lease.filter(|lease| lease.until >= START.plus(Span::from_secs(until))) {
                    return lease.fence;
                }
                tokio::task::yield_now().await;
            }
        };
        patiently(kept).await.unwrap()
    };
    world.turn(59);
    let fence = lease_until(119).await;
    // Over by the time that claims of others are taken back, and before ours are to be kept again.
    world.sql("UPDATE jobs SET lease_until = 0");
    world.turn(1);
    assert_eq!(lease_until(120).await, fence);
    gate.notify_one();
    let ended = world.wait_for("accepted", job).await;
    assert_eq!((ended.attempts, peer.seen().mails.len()), (1, 1));
}

#[tokio::test]
async fn claims_that_the_store_refuses_to_keep_are_not_taken_back_either() {
    let gate = Arc::new(Notify::new());
    let (peer, plan) = one_peer(Setup::default().at("dot", [Act::When(gate.clone(), "250 2.0.0 taken")])).await;
    let world = World::start(plan).await;
    let job = world.order(Class::Alert, "a@carrier.example").await;
    peer.wait_for(|seen| seen.mails.len() == 1).await;
    world.sql(
        "CREATE TRIGGER refuse BEFORE UPDATE ON jobs WHEN OLD.state = 'sending' AND NEW.state = 'sending' \
               BEGIN SELECT RAISE(ABORT, 'no'); END",
    );
    for _ in 0..30 {
        world.turn_slowly(5).await;
    }
    let found = world.job(job).await;
    assert!(found.lease.is_some_and(|lease| lease.until < world.clock.now()));
    assert_eq!((found.state, peer.seen().connections), (State::Sending, 1));
    world.sql("DROP TRIGGER refuse");
    world.turn_slowly(1).await;
    gate.notify_one();
    let ended = world.wait_for("accepted", job).await;
    assert_eq!((ended.attempts, peer.seen().mails.len()), (1, 1));
}

#[tokio::test]
async fn what_a_crashed_daemon_had_claimed_is_sent_after_the_start() {
    for (alone, wait) in [(true, 0), (false, 61)] {
        let (peer, mut plan) = one_peer(Setup::default()).await;
        plan.alone = alone;
        let mut world = World::prepare(&plan.zone).await;
        let job = world.enqueue(Class::Alert, "a@carrier.example", START).await;
        let until = START.plus(Span::from_secs(30));
        world.store.write(move |tx| tx.claim("gone", START, until, 1)).await.unwrap();
        world.run(plan);
        if wait > 0 {
            // Another node may still be at it until the claim's time is over.
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            assert_eq!(world.job(job).await.state, State::Sending);
            world.turn(wait);
        }
        world.turn_until(job, State::Accepted, 20).await;
        assert_eq!(peer.seen().mails.len(), 1);
    }
}

#[tokio::test]
async fn an_orderly_end_finishes_what_is_under_way_and_gives_back_the_rest() {
    let gate = Arc::new(Notify::new());
    let (peer, plan) = one_peer(Setup::default().at("dot", [Act::When(gate.clone(), "250 2.0.0 taken")])).await;
    let mut world = World::start(plan.in_order()).await;
    let first = world.order(Class::Alert, "first@carrier.example").await;
    peer.wait_for(|seen| seen.mails.len() == 1).await;
    let rest = world.order(Class::Alert, "rest@carrier.example").await;
    world.wait_for_state(rest, State::Sending).await;
    world.stop();
    let waiting = world.wait_for_state(rest, State::Queued).await;
    assert_eq!((waiting.attempts, waiting.lease), (0, None));
    gate.notify_one();
    world.stopped().await;
    assert_eq!(world.job(first).await.state, State::Accepted);
    let seen = peer.wait_for(|seen| seen.open == 0).await;
    assert_eq!((seen.mails.len(), seen.lines.contains(&"1 QUIT".to_owned())), (1, true));
}

#[tokio::test]
async fn a_connection_that_is_idle_is_left_at_once_at_the_end() {
    let (peer, plan) = one_peer(Setup::default()).await;
    let mut world = World::start(plan).await;
    let job = world.order(Class::Alert, "a@carrier.example").await;
    world.wait_for("accepted", job).await;
    world.stop();
    patiently(world.stopped()).await.unwrap();
    assert!(peer.seen().lines.contains(&"1 QUIT".to_owned()));
}

#[tokio::test]
async fn at_the_end_a_mail_without_a_verdict_is_lost_and_one_that_was_not_given_away_is_given_back() {
    let (one, two, network, port) =
        two_peers(Setup::default().at("dot", [Act::Hang]), Setup::default().at("greeting", [Act::Hang])).await;
    let zone = format!("one.example A {network}1\ntwo.example A {network}2\nthree.example A {network}2");
    let mut world = World::start(Plan::new(&zone, port).in_order()).await;
    let code = world.order(Class::Otp, "code@one.example").await;
    one.wait_for(|seen| seen.mails.len() == 1).await;
    let ungreeted = world.order(Class::Alert, "a@two.example").await;
    two.wait_for(|seen| seen.connections == 1).await;
    two.says("mail", [Act::Hang]);
    let unanswered = world.order(Class::Alert, "a@three.example").await;
    two.wait_for(|seen| seen.lines.iter().any(|line| line.contains("MAIL FROM"))).await;
    let waiting = world.order(Class::Alert, "rest@one.example").await;
    world.wait_for_state(waiting, State::Sending).await;
    world.stop();
    world.wait_for_state(waiting, State::Queued).await;
    world.turn(30);
    let lost = world.wait_for("unknown", code).await;
    assert_eq!((lost.state, lost.attempts, lost.lease), (State::Unknown, 1, None));
    world.turn(5);
    patiently(world.stopped()).await.unwrap();
    for job in [ungreeted, unanswered, waiting] {
        let found = world.job(job).await;
        assert_eq!((found.state, found.attempts, found.lease), (State::Queued, 0, None));
    }
}

#[tokio::test]
async fn a_mail_that_nobody_needs_any_more_is_called_back_before_a_word_of_it_is_said() {
    let (peer, plan) = one_peer(Setup::default()).await;
    let mut world = World::prepare(&plan.zone).await;
    let job = world.enqueue(Class::Registration, "a@carrier.example", START).await;
    world.sql("UPDATE registrations SET state = 'expired', finished_at = 1");
    let id = RegistrationId::new(1);
    let row = world.store.read(move |tx| tx.registration(id)).await.unwrap().unwrap();
    assert_eq!(row.state, RegistrationState::Expired);
    world.run(plan);
    let ended = world.wait_for("cancelled", job).await;
    assert_eq!((ended.state, ended.attempts), (State::Cancelled, 0));
    assert!(!peer.seen().lines.iter().any(|line| line.contains("MAIL")));
    let forgotten = async {
        while world.wait_of(job).is_some() {
            tokio::task::yield_now().await;
        }
    };
    assert!(patiently(forgotten).await.is_some(), "{:?}", world.wait_of(job));
}
