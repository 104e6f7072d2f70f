//! Which mail goes first, over how many connections, and when a mail is tried again.

use super::world::{Plan, START, World, field, one_peer, two_peers};
use crate::peer::{Act, Setup, patiently};
use karamail::model::{Span, Stage};
use karamail::queue::{Class, State};
use std::sync::Arc;
use tokio::sync::Notify;

#[tokio::test]
async fn mails_for_one_domain_share_a_connection_up_to_its_number_of_mails() {
    let (peer, plan) = one_peer(Setup::default()).await;
    let mut plan = plan.in_order();
    plan.limits.mails = 3;
    let world = World::start(plan).await;
    let mut jobs = Vec::new();
    for number in 0..7 {
        jobs.push(world.order(Class::Alert, &format!("a{number}@carrier.example")).await);
    }
    for job in jobs {
        world.wait_for("accepted", job).await;
    }
    let mut by_connection: Vec<usize> = peer.seen().mails.iter().map(|mail| mail.connection).collect();
    assert_eq!(by_connection, [1, 1, 1, 2, 2, 2, 3]);
    by_connection.dedup();
    // Each full connection is left politely, the last one once it has been idle.
    peer.wait_for(|seen| seen.lines.contains(&"1 QUIT".to_owned()) && seen.lines.contains(&"2 QUIT".to_owned())).await;
    world.turn(10);
    peer.wait_for(|seen| seen.lines.contains(&"3 QUIT".to_owned())).await;
}

#[tokio::test]
async fn no_destination_has_more_connections_than_its_limit_nor_all_together() {
    let gate = Arc::new(Notify::new());
    let held = || (0..20).map(|_| Act::When(gate.clone(), "250 2.0.0 taken")).collect::<Vec<_>>();
    let (one, two, network, port) =
        two_peers(Setup::default().at("dot", held()), Setup::default().at("dot", held())).await;
    let zone = format!("one.example A {network}1\ntwo.example A {network}2");
    let mut plan = Plan::new(&zone, port);
    (plan.limits.per_destination, plan.limits.connections) = (3, 5);
    let world = World::start(plan).await;
    let mut jobs = Vec::new();
    for number in 0..8 {
        jobs.push(world.order(Class::Alert, &format!("a{number}@one.example")).await);
        jobs.push(world.order(Class::Alert, &format!("a{number}@two.example")).await);
    }
    let open = |seen: &crate::peer::Seen| seen.open;
    let (a, b) = tokio::join!(one.wait_for(|seen| seen.open >= 2), two.wait_for(|seen| seen.open >= 2));
    assert!(open(&a) + open(&b) <= 5);
    let letting_through = async {
        loop {
            gate.notify_waiters();
            tokio::task::yield_now().await;
        }
    };
    let all = async {
        for job in jobs {
            world.wait_for_state(job, State::Accepted).await;
        }
    };
    tokio::select! {
        () = all => {}
        () = letting_through => {}
    }
    assert!(one.seen().most <= 3 && two.seen().most <= 3, "{} {}", one.seen().most, two.seen().most);
    assert!(one.seen().most + two.seen().most >= 5);
}

#[tokio::test]
async fn a_code_goes_before_everything_that_waits_for_the_same_domain() {
    let gate = Arc::new(Notify::new());
    let (peer, plan) = one_peer(Setup::default().at("dot", [Act::When(gate.clone(), "250 2.0.0 taken")])).await;
    let world = World::start(plan.in_order()).await;
    world.order(Class::Alert, "first@carrier.example").await;
    peer.wait_for(|seen| seen.mails.len() == 1).await;
    let mut jobs = Vec::new();
    for number in 0..5 {
        jobs.push(world.enqueue(Class::Alert, &format!("a{number}@carrier.example"), START).await);
    }
    let report = world.enqueue(Class::Report, "report@carrier.example", START).await;
    let code = world.order(Class::Otp, "code@carrier.example").await;
    world.wait_for_state(code, State::Sending).await;
    gate.notify_one();
    world.wait_for("accepted", report).await;
    let to: Vec<String> = peer.seen().mails.iter().map(|mail| mail.rcpt.clone()).collect();
    assert_eq!(to[0], "RCPT TO:<first@carrier.example>");
    assert_eq!(to[1], "RCPT TO:<code@carrier.example>");
    assert_eq!(to[7], "RCPT TO:<report@carrier.example>");
    for job in jobs {
        assert_eq!(world.job(job).await.state, State::Accepted);
    }
}

#[tokio::test]
async fn a_code_that_comes_while_a_backlog_is_claimed_goes_before_the_next_batch_of_it() {
    /// What can wait is claimed so many at a time, at the most.
    const BATCH: usize = 50;
    let (_peer, plan) = one_peer(Setup::default().at("greeting", (0..9).map(|_| Act::Hang))).await;
    let mut plan = plan.in_order();
    plan.limits.window = 20 * BATCH;
    let mut world = World::prepare(&plan.zone).await;
    for number in 0..6 * BATCH {
        world.enqueue(Class::Alert, &format!("a{number}@carrier.example"), START).await;
    }
    // The code comes in the middle of the first claim, and nobody rings for it. What is claimed is written down in order.
    world.sql(&format!(
        "CREATE TABLE claimed (number INTEGER PRIMARY KEY, class INTEGER NOT NULL);
         CREATE TRIGGER claim AFTER UPDATE OF state ON jobs WHEN NEW.state = 'sending' AND OLD.state <> 'sending' BEGIN
           INSERT INTO claimed (class) VALUES (NEW.class_rank);
           INSERT INTO jobs (class_rank, recipient, folded, domain, content, queued_at, first_due, give_up, due, state)
             SELECT {code}, 'code@carrier.example', 'code@carrier.example', NEW.domain, NEW.content,
                    NEW.queued_at, NEW.first_due, NEW.give_up, NEW.due, 'queued'
             WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE class_rank = {code});
         END",
        code = Class::Otp.rank()
    ));
    world.run(plan);
    let claimed = || {
        let file = rusqlite::Connection::open(world.folder.path().join("karamail.db")).unwrap();
        let mut rows = file.prepare("SELECT class FROM claimed ORDER BY number").unwrap();
        rows.query_map([], |row| row.get::<_, i64>(0)).unwrap().map(Result::unwrap).collect::<Vec<_>>()
    };
    let all = async {
        while claimed().len() <= 6 * BATCH {
            tokio::task::yield_now().await;
        }
    };
    assert!(patiently(all).await.is_some(), "only {} were claimed", claimed().len());
    let place = claimed().iter().position(|class| *class == Class::Otp.rank());
    assert!(place.is_some_and(|place| (1..=BATCH).contains(&place)), "{place:?}");
}

#[tokio::test]
async fn a_domain_that_is_stuck_keeps_no_other_waiting() {
    let hang = (0..9).map(|_| Act::Hang);
    let (stuck, free, network, port) = two_peers(Setup::default().at("greeting", hang), Setup::default()).await;
    let zone = format!("stuck.example A {network}1\nfree.example A {network}2");
    let mut plan = Plan::new(&zone, port);
    plan.limits.per_destination = 2;
    plan.limits.window = 5;
    let world = World::start(plan).await;
    for number in 0..30 {
        world.enqueue(Class::Alert, &format!("a{number}@stuck.example"), START).await;
    }
    world.ring();
    stuck.wait_for(|seen| seen.open == 2).await;
    let job = world.order(Class::Alert, "b@free.example").await;
    // What stands behind a full lane is looked for once a second.
    world.turn_until(job, State::Accepted, 1).await;
    assert_eq!((stuck.seen().most, free.seen().mails.len()), (2, 1));
    let sending = world.store.read(|tx| tx.waiting_counts()).await.unwrap();
    let sending = sending.iter().find(|(_, state, _, _)| *state == State::Sending).map(|(_, _, count, _)| *count);
    assert_eq!(sending, Some(5), "the window, and in it those for which connections are opened");
}

#[tokio::test]
async fn a_deferred_mail_is_tried_again_when_its_time_comes_and_is_the_same_mail() {
    let (peer, plan) = one_peer(Setup::default().says("dot", ["451 4.3.0 later", "452 later"])).await;
    let world = World::start(plan.in_order()).await;
    let job = world.order(Class::Alert, "a@carrier.example").await;
    for attempt in 1..=2 {
        let waiting = world.wait_for_nth(attempt, "deferred", job).await;
        assert_eq!((waiting.state, waiting.attempts as usize), (State::Deferred, attempt));
        let wait = waiting.due.since(world.clock.now());
        assert!((75..=125).contains(&(wait.millis() / 1_000)), "{wait}");
        world.clock.turn(wait);
    }
    let ended = world.wait_for("accepted", job).await;
    assert_eq!(ended.attempts, 3);
    let mails = peer.seen().mails;
    assert_eq!(mails.len(), 3);
    for name in ["Message-ID", "Date", "To", "Subject"] {
        assert!(mails.iter().all(|mail| field(&mail.message, name) == field(&mails[0].message, name)), "{name}");
    }
    assert!(mails.iter().all(|mail| mail.mail.split(' ').take(2).eq(mails[0].mail.split(' ').take(2))));
}

#[tokio::test]
async fn a_mail_whose_time_is_over_ends_without_a_connection() {
    let (peer, plan) = one_peer(Setup::default()).await;
    let mut world = World::prepare(&plan.zone).await;
    let job = world.enqueue(Class::Otp, "a@carrier.example", START).await;
    world.turn(3_600);
    world.run(plan);
    let ended = world.wait_for("expired", job).await;
    assert_eq!((ended.state, ended.attempts), (State::Expired, 0));
    assert_eq!(world.events(job).await.len(), 1);
    assert_eq!(peer.seen().connections, 0);
}

#[tokio::test]
async fn a_mail_whose_time_ends_while_it_is_on_its_way_is_never_given_away() {
    let gate = Arc::new(Notify::new());
    let (peer, plan) = one_peer(Setup::plain().at("data", [Act::When(gate.clone(), "354 go ahead")])).await;
    let mut world = World::prepare(&plan.zone).await;
    let job = world.enqueue(Class::Otp, "a@carrier.example", START).await;
    world.turn(3_550);
    world.run(plan);
    peer.wait_for_line(1, "DATA").await;
    world.turn(50);
    gate.notify_one();
    world.wait_for("expired", job).await;
    let seen = peer.wait_for(|seen| seen.open == 0).await;
    assert_eq!((seen.mails.len(), seen.lines.last().map(String::as_str)), (0, Some("1 closed")));
    assert_eq!(
        world.events(job).await.iter().map(|event| event.name.as_ref()).collect::<Vec<_>>(),
        ["attempted", "expired"]
    );
}

#[tokio::test]
async fn a_destination_that_is_down_is_dialled_once_for_all_that_waits_for_it() {
    let gate = Arc::new(Notify::new());
    let (peer, plan) = one_peer(Setup::default().at("greeting", [Act::When(gate.clone(), "421 4.3.2 busy")])).await;
    let world = World::start(plan.in_order()).await;
    let mut jobs = vec![world.order(Class::Registration, "first@carrier.example").await];
    peer.wait_for(|seen| seen.connections == 1).await;
    let mut alerts = Vec::new();
    for number in 0..20 {
        jobs.push(world.enqueue(Class::Registration, &format!("a{number}@carrier.example"), START).await);
        alerts.push(world.enqueue(Class::Alert, &format!("b{number}@carrier.example"), START).await);
    }
    world.ring();
    for job in jobs.iter().chain(&alerts) {
        world.wait_for_state(*job, State::Sending).await;
    }
    gate.notify_one();
    for job in jobs {
        let found = world.wait_for("deferred", job).await;
        let (stage, reply) = found.last.unwrap();
        assert_eq!((stage, reply.code), (Stage::Greeting, 421));
    }
    // What can wait was not tried, and goes once the destination is there again.
    for job in &alerts {
        assert_eq!(world.wait_for_state(*job, State::Queued).await.attempts, 0);
    }
    assert_eq!(peer.seen().connections, 1);
    world.turn_until(alerts[19], State::Accepted, 5).await;
    for job in alerts {
        assert_eq!(world.wait_for("accepted", job).await.attempts, 1);
    }
}

#[tokio::test]
async fn a_connection_that_the_server_closed_after_a_mail_costs_the_next_mail_nothing() {
    for act in [Act::Leave("250 2.0.0 taken"), Act::Leave("250 2.0.0 taken\r\n421 4.4.2 bye")] {
        let (peer, plan) = one_peer(Setup::default().at("dot", [act])).await;
        let world = World::start(plan.in_order()).await;
        for name in ["a", "b"] {
            let job = world.order(Class::Alert, &format!("{name}@carrier.example")).await;
            let ended = world.wait_for("accepted", job).await;
            assert_eq!(ended.attempts, 1);
        }
        assert_eq!(peer.seen().connections, 2);
    }
    // Closed just as the next mail begins: MAIL is answered by nothing.
    let (peer, plan) = one_peer(Setup::default().at("mail", [Act::Say("250 ok"), Act::Close])).await;
    let world = World::start(plan.in_order()).await;
    for name in ["a", "b"] {
        let job = world.order(Class::Alert, &format!("{name}@carrier.example")).await;
        let ended = world.wait_for("accepted", job).await;
        assert_eq!(ended.attempts, 1);
    }
    assert_eq!(peer.seen().mails.iter().map(|mail| mail.connection).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn the_waits_of_a_class_are_spread() {
    let (_peer, plan) = one_peer(Setup::default().says("rcpt", ["450 later"; 12])).await;
    let world = World::start(plan).await;
    let mut due = Vec::new();
    for number in 0..12 {
        let job = world.order(Class::Alert, &format!("a{number}@carrier.example")).await;
        due.push(world.wait_for("deferred", job).await.due);
    }
    due.sort();
    due.dedup();
    assert!(due.len() > 6, "{due:?}");
    assert!(due.iter().all(|due| *due >= START.plus(Span::from_secs(75)) && *due <= START.plus(Span::from_secs(125))));
}
