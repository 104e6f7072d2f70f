//! Destinations with limits of their own, and what becomes of the others while one is slow, full, shut or away.

use super::world::{Plan, START, World, one_peer, two_peers};
use crate::peer::{Act, Peer, Seen, Setup, patiently};
use karamail::model::{JobId, Span};
use karamail::queue::destination::{Group, Groups, Limits};
use karamail::queue::view::{Shut, Standing, Wait};
use karamail::queue::{Cause, Class, Selection, State};
use karamail::store::{StoreError, Tx};
use std::sync::Arc;
use tokio::sync::Notify;

fn group(name: &str, domains: &[&str], connections: usize, rate: Option<&str>) -> Group {
    Group {
        name: name.to_owned(),
        domains: domains.iter().map(|domain| domain.parse().unwrap()).collect(),
        mx: Vec::new(),
        limits: Limits { connections, messages_per_connection: 100, rate: rate.map(|rate| rate.parse().unwrap()) },
    }
}

fn grouped(mut plan: Plan, groups: Vec<Group>) -> Plan {
    plan.destinations.groups = Groups::new(groups);
    plan
}

async fn orders(world: &World, class: Class, count: usize, domain: &str) -> Vec<JobId> {
    let mut jobs = Vec::new();
    for number in 0..count {
        jobs.push(world.enqueue(class, &format!("{class}{number}@{domain}"), world.clock.now()).await);
    }
    world.ring();
    jobs
}

/// A healthy server of `well.example` beside one of `ill.example`.
async fn ill_and_well(ill: Setup) -> (Peer, Peer, Plan) {
    let (ill, well, network, port) = two_peers(ill, Setup::default()).await;
    let plan = Plan::new(&format!("ill.example A {network}1\nwell.example A {network}2"), port);
    (ill, well, plan)
}

#[tokio::test]
async fn a_group_has_its_connections_over_all_its_domains_and_classes() {
    let gate = Arc::new(Notify::new());
    let held = (0..3).map(|_| Act::When(gate.clone(), "250 2.0.0 taken"));
    let (peer, plan) = one_peer(Setup::default().at("dot", held)).await;
    let zone = format!("{}\na.example MX 10 mx.carrier.example\nb.example MX 10 mx.carrier.example", plan.zone);
    let plan = grouped(Plan { zone, ..plan }, vec![group("twins", &["a.example", "b.example"], 3, None)]);
    let world = World::start(plan).await;
    let mut jobs = orders(&world, Class::Alert, 30, "a.example").await;
    jobs.extend(orders(&world, Class::Registration, 30, "b.example").await);
    peer.wait_for(|seen| seen.mails.len() == 3).await;
    for _ in 0..3 {
        gate.notify_one();
    }
    for job in jobs {
        world.wait_for("accepted", job).await;
    }
    let seen = peer.seen();
    assert_eq!((seen.most, seen.mails.len()), (3, 60));
}

#[tokio::test]
async fn domains_that_prefer_the_same_server_share_what_it_gets() {
    let (peer, plan) = one_peer(Setup::default()).await;
    let zone = format!(
        "{}\na.example MX 10 mx.carrier.example\na.example MX 20 a.example\nb.example MX 5 mx.carrier.example",
        plan.zone
    );
    let mut plan = Plan { zone, ..plan };
    plan.limits.per_destination = 2;
    let world = World::start(plan).await;
    let mut jobs = Vec::new();
    for domain in ["a.example", "b.example", "carrier.example"] {
        jobs.extend(orders(&world, Class::Alert, 20, domain).await);
    }
    for job in jobs {
        world.wait_for("accepted", job).await;
    }
    assert_eq!(peer.seen().most, 2);
}

#[tokio::test]
async fn a_rate_lets_one_mail_go_after_the_other_and_a_code_first() {
    let (peer, plan) = one_peer(Setup::default()).await;
    let world = World::start(grouped(plan, vec![group("slow", &["carrier.example"], 4, Some("1/10s"))])).await;
    // Which of several connections stands first is chance, so the first token is spent before there are others.
    let first = world.order(Class::Alert, "first@carrier.example").await;
    world.wait_for("accepted", first).await;
    let alerts = orders(&world, Class::Alert, 2, "carrier.example").await;
    let code = world.order(Class::Otp, "code@carrier.example").await;
    world.wait_for_reason(code, |wait| matches!(wait, Wait::Rate { .. })).await;
    for (before, next) in [(1, code), (2, alerts[0]), (3, alerts[1])] {
        assert_eq!(peer.seen().mails.len(), before);
        assert!(matches!(world.wait_of(next), Some(Wait::Rate { .. })), "{:?}", world.wait_of(next));
        world.turn(9);
        world.turn_slowly(0).await;
        assert_eq!(peer.seen().mails.len(), before);
        world.turn(1);
        world.wait_for("accepted", next).await;
    }
}

#[tokio::test]
async fn the_time_a_mail_waited_for_the_rate_is_told() {
    let (_peer, plan) = one_peer(Setup::default()).await;
    let world = World::start(grouped(plan, vec![group("slow", &["carrier.example"], 1, Some("1/10s"))])).await;
    let alerts = orders(&world, Class::Alert, 2, "carrier.example").await;
    world.wait_for("accepted", alerts[0]).await;
    world.turn_until(alerts[1], State::Accepted, 5).await;
    let attempted =
        |events: Vec<karamail::store::Event>| events.into_iter().find(|event| event.name == "attempted").unwrap();
    let first = attempted(world.events(alerts[0]).await);
    let second = attempted(world.events(alerts[1]).await);
    assert_eq!(first.fields.get("throttled"), None);
    assert_eq!(second.fields["throttled"], "10.00s");
}

#[tokio::test]
async fn a_destination_that_is_down_costs_the_others_nothing() {
    let (ill, well, plan) =
        ill_and_well(Setup::default().at("greeting", (0..99).map(|_| Act::Leave("421 4.3.2 busy")))).await;
    let world = World::start(plan).await;
    // More than a window of them, and all of them due before the others.
    let dead = orders(&world, Class::Alert, 450, "ill.example").await;
    assert_eq!(world.wait_for_shut("ill.example").await, Shut::Down);
    let living = orders(&world, Class::Alert, 50, "well.example").await;
    world.turn_until(living[49], State::Accepted, 1).await;
    for job in &living {
        assert_eq!(world.wait_for("accepted", *job).await.attempts, 1);
    }
    assert_eq!(well.seen().mails.len(), 50);
    // It was tried by one connection, or two before it was known.
    assert!(ill.seen().connections <= 2 && ill.seen().most <= 2, "{}", ill.seen().connections);
    assert_eq!(world.wait_for_state(dead[449], State::Queued).await.attempts, 0);
}

#[tokio::test]
async fn a_destination_that_hangs_and_has_more_waiting_than_fits_keeps_no_other_waiting() {
    let (ill, well, mut plan) = ill_and_well(Setup::default().at("mail", (0..99).map(|_| Act::Hang))).await;
    plan.limits.window = 20;
    let world = World::start(plan).await;
    let stuck = orders(&world, Class::Alert, 100, "ill.example").await;
    ill.wait_for(|seen| seen.open >= 2).await;
    let living = orders(&world, Class::Alert, 30, "well.example").await;
    world.turn_until(living[29], State::Accepted, 1).await;
    assert_eq!(well.seen().mails.len(), 30);
    let code = world.order(Class::Otp, "code@ill.example").await;
    world.wait_for_reason(code, |wait| matches!(wait, Wait::Connections { connections: 10, allowed: 10 })).await;
    assert_eq!(world.job(stuck[99]).await.state, State::Queued);
    assert_eq!(world.destination("ill.example").unwrap().waiting[1], 20);
}

#[tokio::test]
async fn what_waits_for_another_try_goes_as_soon_as_its_destination_is_there_again() {
    let (peer, plan) = one_peer(Setup::default().at("greeting", [Act::Leave("421 4.3.2 busy")])).await;
    let world = World::start(plan.in_order()).await;
    let reply = world.order(Class::Registration, "reply@carrier.example").await;
    let waits = world.wait_for("deferred", reply).await;
    assert!(waits.due > world.clock.now().plus(Span::from_secs(60)));
    // A code comes, and is the probe.
    let code = world.order(Class::Otp, "code@carrier.example").await;
    world.wait_for("accepted", code).await;
    // Nobody turned the clock.
    assert_eq!(world.wait_for("accepted", reply).await.attempts, 2);
    assert_eq!(peer.seen().connections, 2);
}

#[tokio::test]
async fn too_many_unknown_users_open_the_breaker_and_a_code_is_the_probe() {
    let unknown = (0..11).map(|_| Act::Say("550 5.1.1 unknown user"));
    let (peer, plan) = one_peer(Setup::default().at("rcpt", unknown)).await;
    let world = World::start(plan.in_order()).await;
    let mut jobs = Vec::new();
    for number in 0..40 {
        jobs.push(world.enqueue(Class::Alert, &format!("a{number}@carrier.example"), world.clock.now()).await);
    }
    world.ring();
    world.wait_for("refused", jobs[10]).await;
    for job in &jobs[11..] {
        assert_eq!(world.wait_for_state(*job, State::Queued).await.attempts, 0);
    }
    let name = "mx.carrier.example";
    let standing = world.destination(name).unwrap().standing;
    assert!(matches!(standing, Standing::Shut { why: Shut::UnknownUsers, .. }), "{standing:?}");
    let code = world.order(Class::Otp, "code@carrier.example").await;
    world.wait_for("accepted", code).await;
    world.turn_until(jobs[39], State::Accepted, 1).await;
    // Where it offers to take the commands together, DATA behind a refused recipient is ended by a lone dot.
    let seen = peer.seen();
    assert_eq!(seen.mails.iter().filter(|mail| !mail.message.is_empty()).count(), 30);
}

#[tokio::test]
async fn other_limits_hold_at_once_for_what_is_under_way() {
    let gate = Arc::new(Notify::new());
    let held = (0..4).map(|_| Act::When(gate.clone(), "250 2.0.0 taken"));
    let (peer, plan) = one_peer(Setup::default().at("dot", held)).await;
    let world = World::start(grouped(plan, vec![group("carrier", &["carrier.example"], 4, None)])).await;
    // Of a class of which no mail goes ahead of another, so that none is begun on all four already.
    let jobs = orders(&world, Class::Registration, 40, "carrier.example").await;
    peer.wait_for(|seen| seen.open == 4 && seen.mails.len() == 4).await;
    world.board.as_ref().unwrap().regroup(Groups::new(vec![group("carrier", &["carrier.example"], 1, None)]));
    for _ in 0..4 {
        gate.notify_one();
    }
    for job in &jobs {
        world.wait_for("accepted", *job).await;
    }
    // Those that were open ended with the mail they had; one went on.
    let seen = peer.seen();
    let rest: std::collections::BTreeSet<usize> = seen.mails[4..].iter().map(|mail| mail.connection).collect();
    assert_eq!((seen.connections, rest.len()), (4, 1), "{rest:?}");
}

/// Gives the most connections that were open when one of those that came behind the first `first` said hello.
fn crowd_behind(first: usize, seen: &Seen) -> usize {
    let (mut open, mut most) = (0, 0);
    for line in &seen.lines {
        let (number, what) = line.split_once(' ').unwrap();
        match what.split(' ').next().unwrap() {
            "EHLO" => {
                open += 1;
                most = if number.parse::<usize>().unwrap() > first { open.max(most) } else { most };
            }
            "closed" => open -= 1,
            _ => {}
        }
    }
    most
}

/// Lets those of `open` connections that are held end their mail, one after the other, until `left` are there.
async fn let_go(peer: &Peer, gate: &Notify, open: usize, left: usize) {
    for number in (left..open).rev() {
        gate.notify_one();
        peer.wait_for(|seen| seen.open == number).await;
    }
}

#[tokio::test]
async fn a_group_that_comes_opens_only_as_the_connections_leave_that_its_server_had_before() {
    let gate = Arc::new(Notify::new());
    let held = (0..10).map(|_| Act::When(gate.clone(), "250 2.0.0 taken"));
    let (peer, plan) = one_peer(Setup::default().at("dot", held)).await;
    let world = World::start(plan).await;
    let mut jobs = orders(&world, Class::Registration, 40, "carrier.example").await;
    peer.wait_for(|seen| seen.open == 10 && seen.mails.len() == 10).await;
    let mut big = group("big", &[], 2, None);
    big.mx = vec!["mx.carrier.example".parse().unwrap()];
    world.board.as_ref().unwrap().regroup(Groups::new(vec![big]));
    jobs.extend(orders(&world, Class::ContactTest, 9, "carrier.example").await);
    let crowded = |wait| matches!(wait, Wait::Connections { connections: 10, allowed: 2 });
    world.wait_for_reason(jobs[48], crowded).await;
    world.wait_for_reason(jobs[39], crowded).await;
    let_go(&peer, &gate, 10, 2).await;
    assert_eq!(peer.seen().connections, 10);
    gate.notify_one();
    peer.wait_for(|seen| seen.connections > 10).await;
    gate.notify_one();
    for job in jobs {
        assert_eq!(world.wait_for("accepted", job).await.attempts, 1);
    }
    let seen = peer.seen();
    assert!(crowd_behind(10, &seen) <= 2, "{:?}", seen.lines);
    assert!(seen.mails[10..].iter().all(|mail| mail.connection > 10));
}

#[tokio::test]
async fn a_group_that_is_renamed_keeps_its_limits_and_one_that_goes_leaves_its_server_no_more_than_the_usual() {
    let carrier = |name: &str| vec![group(name, &["carrier.example"], 2, None)];
    for (groups, most) in [(carrier("after"), 2), (Vec::new(), 3)] {
        let gate = Arc::new(Notify::new());
        let held = (0..3).map(|_| Act::When(gate.clone(), "250 2.0.0 taken"));
        let (peer, mut plan) = one_peer(Setup::default().at("dot", held)).await;
        plan.limits.per_destination = 3;
        let world = World::start(grouped(plan, carrier("before"))).await;
        let jobs = orders(&world, Class::Registration, 30, "carrier.example").await;
        peer.wait_for(|seen| seen.mails.len() == 2).await;
        world.board.as_ref().unwrap().regroup(Groups::new(groups));
        let crowded =
            |wait| matches!(wait, Wait::Connections { connections, allowed } if connections == most && allowed == most);
        world.wait_for_reason(jobs[29], crowded).await;
        peer.wait_for(|seen| seen.mails.len() == most).await;
        for left in (0..most).rev() {
            gate.notify_one();
            peer.wait_for(|seen| seen.mails.len() + left > most || seen.open <= left).await;
        }
        gate.notify_one();
        for job in jobs {
            assert_eq!(world.wait_for("accepted", job).await.attempts, 1);
        }
        let seen = peer.seen();
        assert!(seen.most <= most, "{:?}", seen.lines);
        assert!(seen.mails[2..].iter().all(|mail| mail.connection > 2));
    }
}

#[tokio::test]
async fn jobs_that_wait_in_memory_can_be_had_back() {
    let (peer, plan) = one_peer(Setup::default().at("mail", [Act::Hang])).await;
    let world = World::start(plan.in_order()).await;
    let jobs = orders(&world, Class::Alert, 9, "carrier.example").await;
    peer.wait_for_line(1, "MAIL").await;
    world.wait_for_reason(jobs[0], |wait| wait == Wait::Sending).await;
    world.wait_for_reason(jobs[8], |wait| wait == Wait::Connections { connections: 1, allowed: 1 }).await;
    let selection = Selection { to: None, class: None, ids: vec![jobs[8]] };
    // They would be claimed anew at once, so whoever recalls them gives them back and holds them in the same breath.
    let (owner, claims) = world.board.as_ref().unwrap().recall(&selection);
    let (now, behind) = (world.clock.now(), JobId::new(jobs[8].number() - 1));
    let work = move |tx: &mut Tx<'_>| {
        let given =
            claims.iter().map(|(job, fence)| tx.release(*job, &owner, *fence)).collect::<Result<Vec<_>, _>>()?;
        tx.hold(&selection, now, behind, 1).map(|(touched, _)| (given, touched.count))
    };
    assert_eq!(world.store.write::<_, StoreError, _>(work).await.unwrap(), (vec![true], 1));
    let back = world.wait_for_state(jobs[8], State::Held).await;
    assert_eq!((back.attempts, world.wait_of(jobs[8])), (0, None));
    assert_eq!(world.job(jobs[7]).await.state, State::Sending);
}

#[tokio::test]
async fn notices_keep_away_from_the_full_hour() {
    let (peer, plan) = one_peer(Setup::default()).await;
    let world = World::start(plan).await;
    // Three minutes before the hour nothing is odd; at the hour it is.
    world.turn(42 * 60);
    let early = world.order(Class::Notice, "early@carrier.example").await;
    world.wait_for("accepted", early).await;
    world.turn(3 * 60);
    let notice = world.order(Class::Notice, "notice@carrier.example").await;
    let alert = world.order(Class::Alert, "alert@carrier.example").await;
    world.wait_for("accepted", alert).await;
    world.wait_for_reason(notice, |wait| matches!(wait, Wait::FullHour { .. })).await;
    assert_eq!(peer.seen().mails.len(), 2);
    world.turn_until(notice, State::Accepted, 30).await;
    assert!(world.clock.now().millis() % 3_600_000 >= 5 * 60_000);
}

#[tokio::test]
async fn a_domain_whose_names_are_not_answered_is_asked_about_once_for_all_that_waits_for_it() {
    let (_peer, plan) = one_peer(Setup::default()).await;
    let zone = format!("{}\nill.example SERVFAIL", plan.zone);
    let world = World::start(Plan { zone, ..plan }).await;
    let mut jobs = orders(&world, Class::Alert, 30, "ill.example").await;
    jobs.extend(orders(&world, Class::Registration, 1, "ill.example").await);
    let waits = world.wait_for("deferred", jobs[30]).await;
    assert_eq!(waits.last_cause, Some(Cause::Dns));
    // Of the alerts one at most has lost a try by it.
    world.wait_for_kept("ill.example", Cause::Dns).await;
    for job in jobs[..30].iter().filter(|job| !world.heard("deferred").contains(job)) {
        assert_eq!(world.wait_for_state(*job, State::Queued).await.attempts, 0);
    }
    assert!(world.heard("deferred").len() <= 2, "{:?}", world.heard("deferred"));
}

/// Jobs that somebody waits for and jobs that can wait, to a domain that is well.
async fn living(world: &World) -> Vec<JobId> {
    let mut jobs = orders(world, Class::Registration, 10, "well.example").await;
    jobs.extend(orders(world, Class::ContactTest, 2, "well.example").await);
    jobs.extend(orders(world, Class::Alert, 10, "well.example").await);
    jobs
}

/// Says how many claimed jobs wait for connections.
fn waiting(world: &World) -> usize {
    let view = world.board.as_ref().unwrap().view();
    view.destinations.iter().flat_map(|destination| destination.waiting).sum()
}

#[tokio::test]
async fn a_domain_whose_name_server_is_silent_costs_others_nothing_however_much_waits_for_it() {
    let (_, well, mut plan) = ill_and_well(Setup::default()).await;
    plan.zone = plan.zone.replace("ill.example A", "mute.example SILENT\nill.example A");
    plan.limits.held = 200;
    let world = World::start(plan).await;
    let mute = orders(&world, Class::Alert, 300, "mute.example").await;
    world.names.wait_for("MX mute.example").await;
    world.wait_for_reason(mute[19], |wait| wait == Wait::Resolving).await;
    for job in living(&world).await {
        world.wait_for("accepted", job).await;
    }
    // Nobody turned the clock: the look-up is still going on.
    assert_eq!((well.seen().mails.len(), world.wait_of(mute[0])), (22, Some(Wait::Resolving)));
    assert_eq!(world.wait_for_state(mute[20], State::Queued).await.attempts, 0);
}

#[tokio::test]
async fn many_destinations_that_hang_keep_no_other_waiting() {
    let (ill, well, mut plan) = ill_and_well(Setup::default().at("mail", (0..99).map(|_| Act::Hang))).await;
    let address = ill.address.ip();
    (0..6).for_each(|number| plan.zone.push_str(&format!("\nill{number}.example A {address}")));
    (plan.limits.held, plan.limits.window, plan.limits.per_destination) = (200, 50, 2);
    let world = World::start(plan).await;
    for number in 0..6 {
        orders(&world, Class::Notice, 1, &format!("ill{number}.example")).await;
    }
    ill.wait_for(|seen| seen.open >= 6).await;
    for number in 0..6 {
        orders(&world, Class::Alert, 60, &format!("ill{number}.example")).await;
    }
    let filled = async {
        while waiting(&world) < 120 {
            tokio::task::yield_now().await;
        }
    };
    assert!(patiently(filled).await.is_some(), "{}", waiting(&world));
    let jobs = living(&world).await;
    // What somebody waits for has room at once, the rest when it is seen that nothing moves.
    for job in &jobs[..12] {
        world.wait_for("accepted", *job).await;
    }
    for job in &jobs[12..] {
        world.turn_until(*job, State::Accepted, 1).await;
    }
    assert_eq!(well.seen().mails.len(), 22);
    assert!(world.clock.now() < START.plus(Span::from_secs(60)), "{}", world.clock.now());
}

#[tokio::test]
async fn many_domains_with_a_mail_each_do_not_wait_for_one_that_hangs() {
    let (ill, well, mut plan) = ill_and_well(Setup::default().at("mail", (0..99).map(|_| Act::Hang))).await;
    let address = well.address.ip();
    (0..120).for_each(|number| plan.zone.push_str(&format!("\nw{number}.example A {address}")));
    plan.limits.window = 20;
    let world = World::start(plan).await;
    let stuck = orders(&world, Class::Alert, 100, "ill.example").await;
    ill.wait_for(|seen| seen.open >= 2).await;
    let mut living = Vec::new();
    for number in 0..120 {
        living.push(world.enqueue(Class::Alert, &format!("a@w{number}.example"), world.clock.now()).await);
    }
    world.ring();
    for job in living {
        world.wait_for("accepted", job).await;
    }
    // Nobody turned the clock.
    assert_eq!((well.seen().mails.len(), world.job(stuck[99]).await.state), (120, State::Queued));
}

#[tokio::test]
async fn a_code_is_not_looked_up_behind_what_name_servers_do_not_answer() {
    let (_, well, mut plan) = ill_and_well(Setup::default()).await;
    (0..110).for_each(|number| plan.zone.push_str(&format!("\nmute{number}.example SILENT")));
    let world = World::start(plan).await;
    let mut mute = Vec::new();
    for number in 0..110 {
        mute.push(world.enqueue(Class::Alert, &format!("a@mute{number}.example"), world.clock.now()).await);
    }
    mute.push(world.enqueue(Class::Alert, "slow@well.example", world.clock.now()).await);
    world.ring();
    for job in &mute {
        world.wait_for_reason(*job, |wait| wait == Wait::Resolving).await;
    }
    let code = world.order(Class::Otp, "code@well.example").await;
    world.wait_for("accepted", code).await;
    // What waited for the same domain, at the end of the others, has had its answer with it.
    world.wait_for("accepted", mute[110]).await;
    assert_eq!((well.seen().mails.len(), world.wait_of(mute[0])), (2, Some(Wait::Resolving)));
}
