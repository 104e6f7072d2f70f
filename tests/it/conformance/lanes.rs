//! Claims by domain, what is due for whom, and what is done for a whole lane.

use super::jobs::{claim, claim_one, enqueue, find, settle};
use super::{Place, address, at, order, read, write};
use karamail::model::{Domain, JobId, Reply, Span, Stage};
use karamail::queue::{Cause, Class, Job, NewJob, State};
use karamail::store::{Reclaim, Settlement, Store, Wish};

fn domains(names: &[&str]) -> Vec<Domain> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

async fn to(store: &Store, recipient: &str, class: Class, due: i64) -> JobId {
    enqueue(store, NewJob { to: address(recipient), ..order(class, due) }).await
}

async fn claim_for(store: &Store, class: Class, only: Vec<Domain>, limit: usize) -> Vec<Job> {
    let wish = Wish { class, limit, only: Some(only) };
    write(store, move |tx| tx.claim_some("worker", at(100), at(200), 1_000, std::slice::from_ref(&wish))).await
}

fn names(jobs: &[Job]) -> Vec<&str> {
    jobs.iter().map(|job| job.order.to.local()).collect()
}

pub async fn a_claim_for_some_domains_takes_what_was_due_first_among_them(place: Place) {
    let store = place.open().await;
    for (recipient, class, due) in [
        ("a@docomo.ne.jp", Class::Alert, 9),
        ("b@ezweb.ne.jp", Class::Alert, 2),
        ("c@softbank.ne.jp", Class::Alert, 1),
        ("d@docomo.ne.jp", Class::Alert, 3),
        ("e@ezweb.ne.jp", Class::Alert, 101),
        ("f@ezweb.ne.jp", Class::Notice, 1),
        ("g@docomo.ne.jp", Class::Alert, 3),
        ("h@ezweb.ne.jp", Class::Alert, 4),
    ] {
        to(&store, recipient, class, due).await;
    }
    let wanted = || domains(&["docomo.ne.jp", "nobody.example", "ezweb.ne.jp"]);
    let claimed = claim_for(&store, Class::Alert, wanted(), 4).await;
    assert_eq!(names(&claimed), ["b", "d", "g", "h"]);
    for job in &claimed {
        let lease = job.lease.as_ref().unwrap();
        assert_eq!((job.state, lease.owner.as_str(), lease.until, lease.fence), (State::Sending, "worker", at(200), 1));
    }
    assert_eq!(names(&claim_for(&store, Class::Alert, wanted(), 4).await), ["a"]);
    assert!(claim_for(&store, Class::Alert, wanted(), 4).await.is_empty());
    assert!(claim_for(&store, Class::Alert, Vec::new(), 4).await.is_empty());
    assert_eq!(names(&claim(&store, 100, 9).await), ["c", "f"]);
}

pub async fn a_claim_for_many_domains_takes_from_all_of_them(place: Place) {
    let store = place.open().await;
    let many: Vec<String> = (0..70).map(|number| format!("d{number:02}.example")).collect();
    for name in many.iter().rev() {
        to(&store, &format!("a@{name}"), Class::Alert, 50).await;
    }
    let many = || many.iter().map(|name| name.parse().unwrap()).collect::<Vec<Domain>>();
    assert_eq!(claim_for(&store, Class::Alert, many(), 65).await.len(), 65);
    assert_eq!(claim_for(&store, Class::Alert, many(), 65).await.len(), 5);
}

pub async fn a_claim_for_some_domains_leaves_alone_what_others_hold(place: Place) {
    let nodes = [place.open().await, place.open().await];
    write(&nodes[0], |tx| (0..200).try_for_each(|n| tx.enqueue(&order(Class::Alert, n % 7)).map(drop))).await;
    let mut tasks = tokio::task::JoinSet::new();
    for turn in 0..60 {
        let node = nodes[turn % 2].clone();
        tasks.spawn(async move { claim_for(&node, Class::Alert, domains(&["docomo.ne.jp"]), 5).await });
    }
    let mut ids: Vec<_> = tasks.join_all().await.into_iter().flatten().map(|job| job.id).collect();
    ids.extend(claim_for(&nodes[0], Class::Alert, domains(&["docomo.ne.jp"]), 300).await.into_iter().map(|job| job.id));
    assert_eq!(ids.len(), 200);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 200);
}

pub async fn the_backlog_names_each_domain_and_its_first_due_moment(place: Place) {
    let store = place.open().await;
    assert!(read(&store, |tx| tx.backlog(Class::Alert, at(100), 9)).await.is_empty());
    for (recipient, class, due) in [
        ("a@docomo.ne.jp", Class::Alert, 9),
        ("b@docomo.ne.jp", Class::Alert, 8),
        ("c@ezweb.ne.jp", Class::Alert, 3),
        ("d@softbank.ne.jp", Class::Alert, 101),
        ("e@softbank.ne.jp", Class::Notice, 1),
        ("f@au.com", Class::Alert, 100),
        ("g@ymobile.ne.jp", Class::Alert, 1),
    ] {
        to(&store, recipient, class, due).await;
    }
    assert_eq!(names(&claim(&store, 1, 1).await), ["g"]);
    let backlog = async |class, limit| {
        let found = read(&store, move |tx| tx.backlog(class, at(100), limit)).await;
        found.into_iter().map(|(domain, due)| format!("{domain} {}", due.millis())).collect::<Vec<_>>()
    };
    assert_eq!(backlog(Class::Alert, 9).await, ["ezweb.ne.jp 3", "docomo.ne.jp 8", "au.com 100"]);
    assert_eq!(backlog(Class::Alert, 2).await, ["ezweb.ne.jp 3", "docomo.ne.jp 8"]);
    assert_eq!(backlog(Class::Notice, 9).await, ["softbank.ne.jp 1"]);
    assert!(backlog(Class::Report, 9).await.is_empty());
}

pub async fn what_can_only_end_is_claimed_even_where_it_is_held(place: Place) {
    let store = place.open().await;
    let mut ids = Vec::new();
    for (give_up, due) in [(40, 1), (30, 35), (20, 1), (41, 1), (10, 1), (40, 5)] {
        ids.push(enqueue(&store, NewJob { give_up: at(give_up), ..order(Class::Otp, due) }).await);
    }
    let sent = claim_one_of(&store, ids[4]).await;
    place.sql(&format!("UPDATE jobs SET state = 'held', held_at = 15, held_ms = 7 WHERE id = {}", ids[2].number()));
    let expired = async |limit| {
        let jobs = write(&store, move |tx| tx.claim_expired("worker", at(40), at(140), limit)).await;
        jobs.into_iter().map(|job| (job.id, job.state, job.held.millis())).collect::<Vec<_>>()
    };
    // Those whose time was over first; what is being sent is left to who sends it, and what has time left to wait.
    let sending = State::Sending;
    assert_eq!(expired(2).await, [(ids[2], sending, 32), (ids[1], sending, 0)]);
    assert_eq!(expired(9).await, [(ids[0], sending, 0), (ids[5], sending, 0)]);
    assert!(expired(9).await.is_empty());
    let held = find(&store, ids[2]).await;
    assert_eq!((held.held_since, held.held), (None, Span::from_millis(32)));
    let quiet = Settlement::End { state: State::Expired, stage: None, reply: None, at: at(41) };
    for job in [held, sent] {
        assert!(settle(&store, &job, quiet.clone()).await.unwrap());
        let ended = find(&store, job.id).await;
        assert_eq!((ended.state, ended.held), (State::Expired, job.held));
    }
}

/// Claims all, gives back the others.
async fn claim_one_of(store: &Store, wanted: JobId) -> Job {
    let jobs = claim(store, 10, 9).await;
    for job in jobs.iter().filter(|job| job.id != wanted) {
        let (id, fence) = (job.id, job.lease.as_ref().unwrap().fence);
        assert!(write(store, move |tx| tx.release(id, "worker", fence)).await);
    }
    jobs.into_iter().find(|job| job.id == wanted).unwrap()
}

/// Puts a job off until `due` for a cause; without one its end is unknown.
async fn put_off(store: &Store, recipient: &str, class: Class, cause: Option<Cause>, due: i64) -> JobId {
    let id = to(store, recipient, class, 1).await;
    let job = claim_one(store, 1).await;
    let (reply, due, now) = (Reply::new(421, "4.3.2 later"), at(due), at(2));
    let settlement = match cause {
        Some(cause) => Settlement::Defer { due, stage: Stage::Greeting, reply, cause, at: now },
        None => Settlement::Unknown { due: Some(due), reply, at: now },
    };
    assert!(settle(store, &job, settlement).await.unwrap());
    id
}

pub async fn a_domain_that_answers_again_has_its_jobs_woken(place: Place) {
    let store = place.open().await;
    for (cause, wakes) in [
        (Some(Cause::Unreachable), true),
        (Some(Cause::Dns), true),
        (Some(Cause::Throttled), true),
        (Some(Cause::Tls), true),
        (Some(Cause::Lost), true),
        (Some(Cause::Greylisted), false),
        (Some(Cause::Full), false),
        (Some(Cause::Said), false),
        (Some(Cause::NoKey), false),
        (Some(Cause::Ours), false),
        (None, false),
    ] {
        let id = put_off(&store, "a@docomo.ne.jp", Class::Alert, cause, 500).await;
        let woken = write(&store, |tx| tx.wake(&domains(&["ezweb.ne.jp", "docomo.ne.jp"]), at(100), 9)).await;
        let due = if wakes { at(100) } else { at(500) };
        assert_eq!((woken, find(&store, id).await.due), (u64::from(wakes), due), "{cause:?}");
        assert_eq!(claim(&store, 500, 9).await.len(), 1);
    }
    // Neither what another domain has, nor what was never tried, nor what is due already.
    put_off(&store, "b@ezweb.ne.jp", Class::Alert, Some(Cause::Dns), 500).await;
    put_off(&store, "b@docomo.ne.jp", Class::Alert, Some(Cause::Dns), 100).await;
    to(&store, "c@docomo.ne.jp", Class::Alert, 500).await;
    assert_eq!(write(&store, |tx| tx.wake(&domains(&["docomo.ne.jp"]), at(100), 9)).await, 0);
    assert!(write(&store, |tx| tx.reclaim(at(0), Reclaim::Expired)).await.is_empty());
}

pub async fn no_more_is_woken_than_was_asked_for(place: Place) {
    let store = place.open().await;
    let wait = Some(Cause::Unreachable);
    for (recipient, class, due) in [
        ("a@docomo.ne.jp", Class::Alert, 600),
        ("b@docomo.ne.jp", Class::Alert, 500),
        ("c@ezweb.ne.jp", Class::Notice, 400),
        ("d@docomo.ne.jp", Class::Otp, 700),
    ] {
        put_off(&store, recipient, class, wait, due).await;
    }
    let both = || domains(&["ezweb.ne.jp", "docomo.ne.jp"]);
    // The most urgent class first, then what would have been due first.
    for expected in [vec!["d", "b"], vec!["a", "c"], vec![]] {
        assert_eq!(write(&store, move |tx| tx.wake(&both(), at(100), 2)).await, expected.len() as u64);
        assert_eq!(names(&claim(&store, 100, 9).await), expected);
    }
}
