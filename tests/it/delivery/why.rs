//! `queue why` beside delivery at work: each cause is brought about for real, and named.

use super::world::{Plan, World, keychain, one_peer};
use crate::peer::{Act, Setup};
use karamail::control::{Action, Choice, Desk, Request, Response, WhyFacts};
use karamail::model::{JobId, Span};
use karamail::queue::destination::{Group, Groups, Limits};
use karamail::queue::view::{Standing, Wait};
use karamail::queue::{Class, State};
use karamail::random::Random;
use karamail::service::notice::Notices;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

async fn ask(world: &World, request: Request) -> Response {
    let (_, commits) = watch::channel(0);
    let desk = Desk {
        doors: Vec::new(),
        store: world.store.clone(),
        keys: keychain(),
        link_lifetime: Span::from_secs(86_400),
        random: Random::repeating(1),
        notices: Notices { give_up: Span::from_secs(86_400) },
        clock: world.clock.clone(),
        commits,
        live: Some(Arc::new(world.board.clone().unwrap())),
        groups: Groups::default(),
    };
    let (to, mut answers) = mpsc::channel(4);
    desk.answer(request, to).await;
    answers.recv().await.unwrap()
}

pub async fn why(world: &World, job: JobId) -> WhyFacts {
    match ask(world, Request::Why { job }).await {
        Response::Why(facts) => facts,
        other => panic!("{other:?}"),
    }
}

async fn orders(world: &World, class: Class, count: usize) -> Vec<JobId> {
    let mut jobs = Vec::new();
    for number in 0..count {
        jobs.push(world.enqueue(class, &format!("a{number}@carrier.example"), world.clock.now()).await);
    }
    world.ring();
    jobs
}

#[tokio::test]
async fn a_mail_that_was_put_off_says_by_what() {
    let replies = ["450 4.2.0 Greylisted, see http://postgrey.example", "451 4.3.0 not now"];
    let (_peer, plan) = one_peer(Setup::default().at("rcpt", replies.map(Act::Say))).await;
    let zone = format!("{}\nbroken.example SERVFAIL", plan.zone);
    let world = World::start(Plan { zone, ..plan }.in_order()).await;
    for (to, cause, words) in [
        ("a@carrier.example", "greylisted", "the server wants to see us come back"),
        ("b@carrier.example", "retry", "the server said not now"),
        ("c@broken.example", "dns", "all mail to broken.example is kept back: the name servers do not say where to"),
    ] {
        let job = world.order(Class::Alert, to).await;
        let due = world.wait_for("deferred", job).await.due;
        let facts = why(&world, job).await;
        assert_eq!((facts.cause.as_str(), facts.until), (cause, Some(due.to_string())), "{to}: {}", facts.why);
        assert!(facts.why.starts_with(words), "{}", facts.why);
    }
}

#[tokio::test]
async fn a_mail_whose_key_is_missing_says_so() {
    let (peer, plan) = one_peer(Setup::default()).await;
    let world = World::start(Plan { keys: Vec::new(), ..plan }).await;
    let job = world.order(Class::Alert, "a@carrier.example").await;
    let due = world.wait_for("deferred", job).await.due;
    let facts = why(&world, job).await;
    assert_eq!((facts.cause.as_str(), facts.until), ("no-key", Some(due.to_string())), "{}", facts.why);
    assert!(facts.why.contains("there is no DKIM key"), "{}", facts.why);
    // Not a word of it was said to the server, which is well.
    assert!(!peer.seen().lines.iter().any(|line| line.contains("MAIL")), "{:?}", peer.seen().lines);
    assert_eq!(world.destination("mx.carrier.example").unwrap().standing, Standing::Open);
}

#[tokio::test]
async fn a_mail_that_waits_for_its_turn_says_for_what() {
    let (peer, plan) = one_peer(Setup::default().at("mail", [Act::Hang])).await;
    let world = World::start(plan.in_order()).await;
    let jobs = orders(&world, Class::Alert, 9).await;
    peer.wait_for_line(1, "MAIL").await;
    world.wait_for_reason(jobs[0], |wait| wait == Wait::Sending).await;
    world.wait_for_reason(jobs[8], |wait| matches!(wait, Wait::Connections { .. })).await;
    assert_eq!(why(&world, jobs[0]).await.cause, "sending");
    let facts = why(&world, jobs[8]).await;
    assert_eq!((facts.cause.as_str(), facts.destination.as_deref()), ("connections", Some("mx.carrier.example")));
    assert!(facts.why.contains("all 1 connections") && facts.why.contains("7 mails of its class"), "{}", facts.why);
    // Claimed and not begun: it is held all the same, and the one that is being sent is not.
    let which = Choice { to: Some("carrier.example".to_owned()), ..Choice::default() };
    let held = ask(&world, Request::Act { action: Action::Hold, which }).await;
    assert!(matches!(held, Response::Touched(facts) if (facts.touched, facts.under_way) == (8, 1)), "{held:?}");
    assert_eq!(why(&world, jobs[8]).await.cause, "held");
    let which = Choice { ids: vec![jobs[8]], ..Choice::default() };
    let dropped = ask(&world, Request::Act { action: Action::Drop, which }).await;
    assert!(matches!(dropped, Response::Touched(facts) if facts.touched == 1), "{dropped:?}");
    assert_eq!((world.job(jobs[8]).await.state, world.wait_of(jobs[8])), (State::Cancelled, None));
}

#[tokio::test]
async fn a_mail_that_waits_for_the_rate_says_when_its_turn_comes() {
    let (_peer, mut plan) = one_peer(Setup::default()).await;
    let limits = Limits { connections: 1, messages_per_connection: 100, rate: "1/10s".parse().ok() };
    let domains = vec!["carrier.example".parse().unwrap()];
    plan.destinations.groups = Groups::new(vec![Group { name: "slow".to_owned(), domains, mx: Vec::new(), limits }]);
    let world = World::start(plan).await;
    let jobs = orders(&world, Class::Alert, 4).await;
    world.wait_for("accepted", jobs[0]).await;
    world.wait_for_reason(jobs[3], |wait| matches!(wait, Wait::Rate { .. })).await;
    let facts = why(&world, jobs[3]).await;
    let turn = world.clock.now().plus(Span::from_secs(30));
    assert_eq!((facts.cause.as_str(), facts.until), ("rate", Some(turn.to_string())), "{}", facts.why);
}

#[tokio::test]
async fn a_mail_for_a_destination_that_is_away_says_that_it_is_suspended() {
    let away = (0..99).map(|_| Act::Leave("421 4.3.2 busy"));
    let (_peer, plan) = one_peer(Setup::default().at("greeting", away)).await;
    let world = World::start(plan.in_order()).await;
    let jobs = orders(&world, Class::Alert, 30).await;
    world.wait_for("deferred", jobs[0]).await;
    for job in [jobs[0], jobs[29]] {
        let facts = why(&world, job).await;
        assert_eq!(facts.cause, "suspended", "{}", facts.why);
        assert!(facts.until.is_some());
    }
}

#[tokio::test]
async fn a_mail_behind_too_many_unknown_users_says_that_the_breaker_is_open() {
    let unknown = (0..11).map(|_| Act::Say("550 5.1.1 unknown user"));
    let (_peer, plan) = one_peer(Setup::default().at("rcpt", unknown)).await;
    let world = World::start(plan.in_order()).await;
    let jobs = orders(&world, Class::Alert, 40).await;
    world.wait_for("refused", jobs[10]).await;
    world.wait_for_state(jobs[39], State::Queued).await;
    let facts = why(&world, jobs[39]).await;
    assert_eq!(facts.cause, "breaker", "{}", facts.why);
}
