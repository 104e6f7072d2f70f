//! Domains of one destination of which one's names are not answered, or one demands what its server does not show.

use super::why::why;
use super::world::{Plan, World, one_peer, two_peers};
use crate::peer::{Peer, Setup, patiently};
use karamail::config::TlsPolicy;
use karamail::model::{JobId, Span};
use karamail::queue::destination::{Group, Groups, Limits};
use karamail::queue::view::Standing;
use karamail::queue::{Cause, Class, State};
use karamail::store::{AddressRow, AddressState};
use std::io::Write;

/// More than are claimed at a time.
const COUNT: usize = 120;

/// The domains `well.example` and `ill.example` as one destination.
fn twins(mut plan: Plan) -> Plan {
    let domains = ["well.example", "ill.example"].map(|domain| domain.parse().unwrap()).to_vec();
    let limits = Limits { connections: 4, messages_per_connection: 100, rate: None };
    plan.destinations.groups = Groups::new(vec![Group { name: "twins".to_owned(), domains, mx: Vec::new(), limits }]);
    plan
}

/// A server of both whose names are not answered for `ill.example`; gives what mends that, and what says that there is no such
/// domain.
async fn nameless() -> (Peer, Plan, String, String) {
    let (peer, plan) = one_peer(Setup::default()).await;
    let gone = format!("{}\nwell.example MX 10 mx.carrier.example", plan.zone);
    let mended = format!("{gone}\nill.example MX 10 mx.carrier.example");
    (peer, twins(Plan { zone: format!("{gone}\nill.example SERVFAIL"), ..plan }), mended, gone)
}

async fn orders(world: &World, class: Class, count: usize, domain: &str) -> Vec<JobId> {
    let mut jobs = Vec::new();
    for number in 0..count {
        jobs.push(world.enqueue(class, &format!("{class}{number}@{domain}"), world.clock.now()).await);
    }
    jobs
}

/// Counts how often jobs were claimed.
fn claims(world: &World) -> usize {
    world.count("SELECT SUM(fence) FROM jobs").try_into().unwrap()
}

/// Looks that the trouble of the one domain is nobody else's and costs one of its own mails a try.
async fn see_it_kept(world: &World, ill: &[JobId], well: &[JobId], cause: Cause) {
    world.ring();
    let until = world.wait_for_kept("ill.example", cause).await;
    for job in well {
        assert_eq!(world.wait_for("accepted", *job).await.attempts, 1);
    }
    // Time passes, but not as much as it takes to the next probe.
    while world.clock.now().plus(Span::from_secs(2)) < until {
        world.turn_slowly(1).await;
    }
    assert_eq!(world.destination("twins").map_or(Standing::Open, |twins| twins.standing), Standing::Open);
    let tried = world.heard("deferred");
    assert_eq!(tried.len(), 1, "{tried:?}");
    for job in ill.iter().filter(|job| !tried.contains(job)) {
        assert_eq!(world.wait_for_state(*job, State::Queued).await.attempts, 0);
    }
    assert!(claims(world) <= 2 * (ill.len() + well.len()), "{} claims", claims(world));
    let untried = ill.iter().find(|job| !tried.contains(job)).unwrap();
    let facts = why(world, *untried).await;
    assert_eq!((facts.cause.as_str(), facts.until), (cause.as_str(), Some(until.to_string())), "{}", facts.why);
    // What was tried would be woken, so it waits for the same; its own next try is later.
    let facts = why(world, tried[0]).await;
    let due = world.job(tried[0]).await.due;
    assert_eq!((facts.cause.as_str(), facts.until), (cause.as_str(), Some(due.to_string())), "{}", facts.why);
}

/// Looks that one probe is enough to let everything go, what was put off included.
async fn see_it_go_on(world: &World, ill: &[JobId], cause: Cause) {
    let put_off = world.heard("deferred");
    let due = world.job(*put_off.last().unwrap()).await.due;
    let probed = async {
        while !world.heard("accepted").iter().any(|job| ill.contains(job)) {
            world.turn_slowly(1).await;
        }
    };
    assert!(patiently(probed).await.is_some(), "{:?}", world.wait_for_kept("ill.example", cause).await);
    // From here on nobody turns the clock, and the next try of the last that was put off would have been later.
    for job in ill {
        world.wait_for("accepted", *job).await;
    }
    assert!(world.clock.now() < due);
    assert_eq!(world.heard("deferred"), put_off);
    for job in ill {
        let tries = put_off.iter().filter(|other| *other == job).count();
        assert_eq!(world.job(*job).await.attempts as usize, tries + 1);
    }
    assert!(world.board.as_ref().unwrap().view().kept.is_empty());
}

#[tokio::test]
async fn names_that_are_not_answered_keep_back_one_domain_of_a_destination_and_no_mail_loses_a_try() {
    let (peer, plan, mended, _) = nameless().await;
    let world = World::start(plan).await;
    let ill = orders(&world, Class::Alert, COUNT, "ill.example").await;
    let well = orders(&world, Class::Alert, 30, "well.example").await;
    see_it_kept(&world, &ill, &well, Cause::Dns).await;
    // One mail probes when it is time.
    while world.heard("deferred").len() < 2 {
        world.turn_slowly(1).await;
    }
    for _ in 0..10 {
        world.turn_slowly(1).await;
    }
    assert_eq!((world.heard("deferred").len(), peer.seen().mails.len()), (2, 30));
    world.names.set(&mended);
    see_it_go_on(&world, &ill, Cause::Dns).await;
    assert_eq!(peer.seen().mails.len(), 30 + COUNT);
}

#[tokio::test]
async fn tls_that_is_demanded_and_not_offered_keeps_back_one_domain_of_a_destination_and_no_mail_loses_a_try() {
    let (good, good_pem) = Setup::default().secured("one.example");
    let (bad, bad_pem) = Setup::default().secured("two.example");
    let offers = bad.offers.clone();
    let (_one, two, network, port) = two_peers(good, bad).await;
    two.offers(&["PIPELINING"]);
    let zone = format!(
        "well.example MX 10 one.example\nill.example MX 10 two.example\n\
         one.example A {network}1\ntwo.example A {network}2"
    );
    let mut plan = twins(Plan::new(&zone, port));
    plan.destinations.tls.insert("twins".to_owned(), TlsPolicy::Require);
    let mut authorities = tempfile::NamedTempFile::new().unwrap();
    write!(authorities, "{good_pem}{bad_pem}").unwrap();
    plan.delivery.tls_ca_file = Some(authorities.path().to_owned());
    let world = World::start(plan).await;
    let ill = orders(&world, Class::Alert, COUNT, "ill.example").await;
    let well = orders(&world, Class::Alert, 30, "well.example").await;
    see_it_kept(&world, &ill, &well, Cause::Tls).await;
    let connections = two.seen().connections;
    assert!(connections <= 4, "{connections} connections");
    two.offers(&offers);
    see_it_go_on(&world, &ill, Cause::Tls).await;
    assert!(two.seen().mails.iter().all(|mail| mail.tls) && two.seen().mails.len() == COUNT);
}

#[tokio::test]
async fn what_somebody_waits_for_is_tried_by_its_own_schedule_and_lets_the_rest_go() {
    let (_peer, plan, mended, _) = nameless().await;
    let world = World::start(plan).await;
    let alerts = orders(&world, Class::Alert, 20, "ill.example").await;
    world.ring();
    let until = world.wait_for_kept("ill.example", Cause::Dns).await;
    for class in [Class::Otp, Class::Registration, Class::ContactTest] {
        let urgent = world.order(class, &format!("{class}@ill.example")).await;
        let waits = world.wait_for("deferred", urgent).await;
        assert_eq!((waits.attempts, waits.last_cause), (1, Some(Cause::Dns)));
        let facts = why(&world, urgent).await;
        assert_eq!((facts.cause.as_str(), facts.until), ("dns", Some(waits.due.to_string())), "{}", facts.why);
        // The probe is not put off by it.
        assert_eq!(world.wait_for_kept("ill.example", Cause::Dns).await, until);
    }
    world.names.set(&mended);
    let code = world.order(Class::Otp, "again@ill.example").await;
    world.wait_for("accepted", code).await;
    // Nobody turned the clock.
    for job in alerts.into_iter().chain(world.heard("deferred")) {
        world.wait_for("accepted", job).await;
    }
}

#[tokio::test]
async fn a_probe_that_is_never_sent_makes_room_for_another() {
    let (peer, plan, mended, _) = nameless().await;
    let world = World::start(plan).await;
    let alerts = orders(&world, Class::Alert, 4, "ill.example").await;
    world.ring();
    let tried = world.wait_for_first("deferred").await;
    let left: Vec<JobId> = alerts.into_iter().filter(|job| *job != tried).collect();
    world.names.set(&mended);
    // The time of the one that was tried, and of the first of the others, is over; the next one's address is struck off.
    for job in [tried, left[0]] {
        world.sql(&format!("UPDATE jobs SET give_up = 0 WHERE id = {}", job.number()));
    }
    let row = AddressRow {
        address: world.job(left[1]).await.order.to,
        state: AddressState::Suppressed,
        verdict: None,
        stage: None,
        reply: None,
        at: Some(world.clock.now()),
        verified_at: None,
        unknown_day: Some(1),
    };
    world.store.write(move |tx| tx.note_address(&row)).await.unwrap();
    world.turn_until(left[2], State::Accepted, 1).await;
    for (job, state) in [(left[0], State::Expired), (left[1], State::Suppressed)] {
        world.wait_for_state(job, state).await;
    }
    assert_eq!(peer.seen().mails.len(), 1);
}

#[tokio::test]
async fn a_domain_that_is_found_not_to_exist_is_not_kept_back_any_more() {
    let (_peer, plan, _, gone) = nameless().await;
    let world = World::start(plan).await;
    let alerts = orders(&world, Class::Alert, 20, "ill.example").await;
    world.ring();
    world.wait_for_kept("ill.example", Cause::Dns).await;
    world.names.set(&gone);
    let start = world.clock.now();
    for job in alerts {
        world.turn_until(job, State::Refused, 1).await;
    }
    assert!(world.clock.now().since(start).millis() < 20_000);
}

#[tokio::test]
async fn a_start_anew_costs_one_more_mail_a_try_and_keeps_the_rest_back_again() {
    let (_peer, plan, mended, _) = nameless().await;
    let mut world = World::start(plan.clone()).await;
    let alerts = orders(&world, Class::Alert, COUNT, "ill.example").await;
    world.ring();
    for tries in [1, 2] {
        world.wait_for_kept("ill.example", Cause::Dns).await;
        world.stop();
        world.stopped().await;
        assert_eq!(world.heard("deferred").len(), tries);
        if tries == 2 {
            world.names.set(&mended);
        }
        world.run(plan.clone());
    }
    for job in alerts {
        world.turn_until(job, State::Accepted, 10).await;
    }
}
