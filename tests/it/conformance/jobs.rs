//! Jobs: from the order to the history.

use super::{Place, address, at, mail, order, read, write};
use karamail::model::{JobId, MailId, RegistrationId, Reply, Span, Stage};
use karamail::queue::{Cause, Class, Content, Job, NewJob, State};
use karamail::store::{JobFilter, Reclaim, Settlement, Store, StoreError};

const CLASSES: [Class; 6] =
    [Class::Otp, Class::Alert, Class::Registration, Class::ContactTest, Class::Notice, Class::Report];

pub async fn enqueue(store: &Store, job: NewJob) -> JobId {
    write(store, move |tx| tx.enqueue(&job)).await
}

pub async fn claim(store: &Store, now: i64, limit: usize) -> Vec<Job> {
    write(store, move |tx| tx.claim("worker", at(now), at(now + 100), limit)).await
}

/// Claims the one job that is due.
pub async fn claim_one(store: &Store, now: i64) -> Job {
    let mut claimed = claim(store, now, 10).await;
    assert_eq!(claimed.len(), 1);
    claimed.remove(0)
}

pub async fn settle(store: &Store, job: &Job, settlement: Settlement) -> Result<bool, StoreError> {
    let (id, lease) = (job.id, job.lease.clone().unwrap());
    store.write(move |tx| tx.settle(id, &lease.owner, lease.fence, &settlement)).await
}

pub async fn find(store: &Store, id: JobId) -> Job {
    read(store, move |tx| tx.job(id)).await.unwrap()
}

fn end(state: State) -> Settlement {
    Settlement::End { state, stage: Some(Stage::Data), reply: Some(Reply::new(250, "2.0.0 Ok: queued")), at: at(77) }
}

fn defer(due: i64) -> Settlement {
    Settlement::Defer {
        due: at(due),
        stage: Stage::Rcpt,
        reply: Reply::new(451, "4.7.1 later"),
        cause: Cause::Throttled,
        at: at(50),
    }
}

pub async fn a_job_is_found_as_it_was_ordered(place: Place) {
    let store = place.open().await;
    for (class, language) in CLASSES.into_iter().zip([None, Some("ja"), Some("en"), None, None, None]) {
        let cause = write(&store, |tx| tx.remember_mail(&mail())).await;
        let new = NewJob {
            language: language.map(|tag| tag.parse().unwrap()),
            cause: Some(cause),
            to: address("\"odd \\\" one\"@docomo.ne.jp"),
            content: Content::RegistrationReply {
                registration: RegistrationId::new(9),
                key: 2,
                expires: 1_795_298_400,
                nonce: "00ff".repeat(8),
            },
            queued_at: at(3),
            ..order(class, 7)
        };
        let id = enqueue(&store, new.clone()).await;
        let job = find(&store, id).await;
        assert_eq!((job.order, job.state, job.due), (new, State::Queued, at(7)));
        assert_eq!((job.attempts, job.lease, job.last, job.last_cause), (0, None, None, None));
        assert_eq!((job.held, job.held_since), (Span::default(), None));
    }
    assert_eq!(read(&store, |tx| tx.job(JobId::new(999))).await, None);
}

pub async fn a_cause_that_was_not_recorded_orders_nothing(place: Place) {
    let store = place.open().await;
    let orphan = NewJob { cause: Some(MailId::new(404)), ..order(Class::Notice, 1) };
    let refused = store.write(move |tx| tx.enqueue(&orphan)).await;
    assert!(matches!(refused, Err(StoreError::Constraint(_))), "{refused:?}");
}

pub async fn claims_go_by_class_and_then_by_due(place: Place) {
    let store = place.open().await;
    for (class, due) in [
        (Class::Report, 10),
        (Class::Registration, 30),
        (Class::Otp, 60),
        (Class::Registration, 20),
        (Class::Otp, 50),
        (Class::Alert, 101),
        (Class::Registration, 20),
    ] {
        enqueue(&store, order(class, due)).await;
    }
    let claimed = claim(&store, 100, 4).await;
    let got: Vec<_> = claimed.iter().map(|job| (job.order.class, job.due.millis())).collect();
    assert_eq!(got, [(Class::Otp, 50), (Class::Otp, 60), (Class::Registration, 20), (Class::Registration, 20)]);
    assert!(claimed[2].id < claimed[3].id);
    for job in &claimed {
        let lease = job.lease.clone().unwrap();
        assert_eq!((job.state, lease.owner.as_str(), lease.until, lease.fence), (State::Sending, "worker", at(200), 1));
        assert_eq!(find(&store, job.id).await, *job);
    }
    let rest: Vec<_> = claim(&store, 100, 10).await.iter().map(|job| job.order.class).collect();
    assert_eq!(rest, [Class::Registration, Class::Report]);
    assert!(claim(&store, 100, 10).await.is_empty());
}

pub async fn a_job_that_failed_queues_up_behind_those_due_before_it(place: Place) {
    let store = place.open().await;
    let failed = enqueue(&store, order(Class::Alert, 1)).await;
    let job = claim_one(&store, 1).await;
    assert!(settle(&store, &job, defer(60)).await.unwrap());
    let early = enqueue(&store, order(Class::Alert, 59)).await;
    let late = enqueue(&store, order(Class::Alert, 61)).await;
    let ids: Vec<_> = claim(&store, 100, 10).await.iter().map(|job| job.id).collect();
    assert_eq!(ids, [early, failed, late]);
}

pub async fn what_is_not_due_is_not_claimed(place: Place) {
    let store = place.open().await;
    enqueue(&store, order(Class::Otp, 11)).await;
    assert!(claim(&store, 10, 10).await.is_empty());
    assert!(claim(&store, 11, 0).await.is_empty());
    assert_eq!(claim(&store, 11, 10).await.len(), 1);
}

pub async fn a_job_whose_time_is_over_is_claimed_as_any_other(place: Place) {
    let store = place.open().await;
    let id = enqueue(&store, NewJob { give_up: at(5), ..order(Class::Otp, 1) }).await;
    let job = claim_one(&store, 10).await;
    assert_eq!(job.id, id);
    assert!(settle(&store, &job, end(State::Expired)).await.unwrap());
    assert_eq!(find(&store, id).await.state, State::Expired);
}

pub async fn a_deferred_job_counts_its_attempt_and_keeps_the_reply(place: Place) {
    let store = place.open().await;
    let id = enqueue(&store, order(Class::Otp, 1)).await;
    for attempts in 1..=3 {
        let job = claim_one(&store, i64::from(attempts) * 100).await;
        assert_eq!(job.lease.as_ref().map(|lease| lease.fence), Some(i64::from(attempts)));
        assert!(settle(&store, &job, defer(i64::from(attempts) * 100 + 50)).await.unwrap());
        let job = find(&store, id).await;
        assert_eq!((job.state, job.attempts, job.lease), (State::Deferred, attempts, None));
        assert_eq!(job.due, at(i64::from(attempts) * 100 + 50));
        assert_eq!(job.last, Some((Stage::Rcpt, Reply::new(451, "4.7.1 later"))));
        assert_eq!((job.order.due, job.last_cause), (at(1), Some(Cause::Throttled)));
    }
}

pub async fn an_ended_job_is_in_history_and_nowhere_else(place: Place) {
    let store = place.open().await;
    let id = enqueue(&store, order(Class::Otp, 1)).await;
    let job = claim_one(&store, 2).await;
    assert!(settle(&store, &job, end(State::Accepted)).await.unwrap());
    let ended = find(&store, id).await;
    assert_eq!((ended.state, ended.attempts, &ended.lease), (State::Accepted, 1, &None));
    assert_eq!((&ended.order, ended.due), (&order(Class::Otp, 1), at(1)));
    assert_eq!(ended.last, Some((Stage::Data, Reply::new(250, "2.0.0 Ok: queued"))));
    assert!(read(&store, |tx| tx.waiting_counts()).await.is_empty());
    assert!(claim(&store, 1_000, 10).await.is_empty());
    assert!(!settle(&store, &job, end(State::Accepted)).await.unwrap());
    assert_eq!(read(&store, |tx| tx.list_jobs(&JobFilter::default())).await, []);
    let ended_jobs = JobFilter { ended: true, ..JobFilter::default() };
    assert_eq!(read(&store, move |tx| tx.list_jobs(&ended_jobs)).await, [ended]);
}

pub async fn an_end_without_a_server_counts_no_attempt(place: Place) {
    let store = place.open().await;
    for state in [State::Expired, State::Suppressed, State::Cancelled] {
        enqueue(&store, order(Class::Otp, 1)).await;
        let job = claim_one(&store, 10).await;
        assert!(settle(&store, &job, defer(20)).await.unwrap());
        let job = claim_one(&store, 30).await;
        let quiet = Settlement::End { state, stage: None, reply: None, at: at(40) };
        assert!(settle(&store, &job, quiet).await.unwrap());
        let ended = find(&store, job.id).await;
        assert_eq!((ended.state, ended.attempts), (state, 1));
        // What the server said before is still what was said last.
        assert_eq!(ended.last, Some((Stage::Rcpt, Reply::new(451, "4.7.1 later"))));
        assert_eq!(ended.last_cause, Some(Cause::Throttled));
    }
}

pub async fn a_job_ends_in_an_end(place: Place) {
    let store = place.open().await;
    enqueue(&store, order(Class::Otp, 1)).await;
    let job = claim_one(&store, 1).await;
    for state in State::ALL.into_iter().filter(|state| !state.has_ended()) {
        let settled = settle(&store, &job, end(state)).await;
        assert!(matches!(settled, Err(StoreError::Constraint(_))), "{state}: {settled:?}");
    }
    assert_eq!(find(&store, job.id).await, job);
}

pub async fn an_unknown_end_waits_for_its_second_try_or_its_time(place: Place) {
    let store = place.open().await;
    for (due, expected) in [(Some(at(500)), at(500)), (None, at(1_000_000))] {
        let id = enqueue(&store, order(Class::Alert, 1)).await;
        let job = claim_one(&store, 10).await;
        let lost = Settlement::Unknown { due, reply: Reply::none("connection lost"), at: at(20) };
        assert!(settle(&store, &job, lost).await.unwrap());
        let job = find(&store, id).await;
        assert_eq!((job.state, job.attempts, job.due), (State::Unknown, 1, expected));
        assert_eq!(job.last, Some((Stage::Data, Reply::none("connection lost"))));
        assert_eq!(job.last_cause, Some(Cause::Lost));
        assert!(claim(&store, expected.millis() - 1, 10).await.is_empty());
        let job = claim_one(&store, expected.millis()).await;
        assert_eq!(job.id, id);
        assert!(settle(&store, &job, end(State::Expired)).await.unwrap());
    }
}

pub async fn a_late_settlement_is_refused(place: Place) {
    let store = place.open().await;
    enqueue(&store, order(Class::Otp, 1)).await;
    let late = claim_one(&store, 1).await;
    assert_eq!(write(&store, |tx| tx.reclaim(at(101), Reclaim::Expired)).await, [late.id]);
    let unclaimed = find(&store, late.id).await;
    let lost = Settlement::Unknown { due: None, reply: Reply::none("x"), at: at(102) };
    for settlement in [end(State::Accepted), defer(200), lost] {
        assert!(!settle(&store, &late, settlement.clone()).await.unwrap());
        assert_eq!(find(&store, late.id).await, unclaimed);
    }
    // Nor where the same worker has claimed it again: the number of the claim tells.
    let again = claim_one(&store, 102).await;
    let lost = Settlement::Unknown { due: None, reply: Reply::none("x"), at: at(102) };
    for settlement in [end(State::Accepted), defer(200), lost] {
        assert!(!settle(&store, &late, settlement).await.unwrap());
        assert_eq!(find(&store, late.id).await, again);
    }
    let id = late.id;
    assert!(!write(&store, move |tx| tx.release(id, "worker", 1)).await);
    assert_eq!(write(&store, move |tx| tx.extend("worker", at(900), &[(id, 1)])).await, [id]);
    assert_eq!(find(&store, late.id).await, again);
    assert!(settle(&store, &again, end(State::Accepted)).await.unwrap());
}

pub async fn a_settlement_by_somebody_else_is_refused(place: Place) {
    let store = place.open().await;
    enqueue(&store, order(Class::Otp, 1)).await;
    let job = claim_one(&store, 1).await;
    let id = job.id;
    assert!(!write(&store, move |tx| tx.settle(id, "another", 1, &end(State::Accepted))).await);
    assert!(!write(&store, move |tx| tx.release(id, "another", 1)).await);
    assert_eq!(find(&store, id).await, job);
}

pub async fn a_released_job_is_unsent(place: Place) {
    let store = place.open().await;
    let id = enqueue(&store, order(Class::Otp, 1)).await;
    let job = claim_one(&store, 5).await;
    assert!(write(&store, move |tx| tx.release(id, "worker", 1)).await);
    let released = find(&store, id).await;
    assert_eq!((released.state, released.attempts, released.due, released.lease), (State::Queued, 0, at(1), None));
    assert!(!settle(&store, &job, end(State::Accepted)).await.unwrap());
    assert!(!write(&store, move |tx| tx.release(id, "worker", 1)).await);
    assert_eq!(claim_one(&store, 5).await.lease.unwrap().fence, 2);
}

pub async fn claims_whose_time_is_over_are_given_back(place: Place) {
    let store = place.open().await;
    let first = enqueue(&store, order(Class::Otp, 1)).await;
    claim_one(&store, 10).await;
    let second = enqueue(&store, order(Class::Otp, 1)).await;
    claim_one(&store, 20).await;
    assert!(write(&store, |tx| tx.reclaim(at(109), Reclaim::Expired)).await.is_empty());
    assert_eq!(write(&store, |tx| tx.reclaim(at(110), Reclaim::Expired)).await, [first]);
    let back = find(&store, first).await;
    assert_eq!((back.state, back.attempts, back.due), (State::Queued, 0, at(1)));
    assert_eq!(find(&store, second).await.state, State::Sending);
}

pub async fn it_is_seen_that_a_claim_is_over(place: Place) {
    let store = place.open().await;
    let over = async |now| read(&store, move |tx| tx.is_any_claim_over(at(now))).await;
    enqueue(&store, order(Class::Alert, 1)).await;
    assert!(!over(999).await);
    let job = claim_one(&store, 10).await;
    assert!(!over(109).await);
    assert!(over(110).await);
    assert!(settle(&store, &job, end(State::Accepted)).await.unwrap());
    assert!(!over(999).await);
}

pub async fn at_the_start_of_the_only_node_all_claims_are_given_back(place: Place) {
    let store = place.open().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(enqueue(&store, order(Class::Alert, 1)).await);
    }
    claim(&store, 10, 2).await;
    assert_eq!(write(&store, |tx| tx.reclaim(at(0), Reclaim::All)).await, ids[..2]);
    assert_eq!(claim(&store, 10, 9).await.len(), 3);
}

pub async fn lists_are_narrowed_by_each_condition(place: Place) {
    let store = place.open().await;
    let cause = write(&store, |tx| tx.remember_mail(&mail())).await;
    let plain = enqueue(&store, order(Class::Report, 1)).await;
    let other = NewJob { to: address("b@ezweb.ne.jp"), cause: Some(cause), ..order(Class::Otp, 5) };
    let other = enqueue(&store, other).await;
    let done = enqueue(&store, order(Class::Alert, 0)).await;
    let job = claim(&store, 3, 1).await.remove(0);
    assert_eq!(job.id, done);
    assert!(settle(&store, &job, end(State::Refused)).await.unwrap());
    let any = JobFilter::default;
    for (filter, expected) in [
        (any(), vec![other, plain]),
        (JobFilter { limit: 1, ..any() }, vec![other]),
        (JobFilter { class: Some(Class::Report), ..any() }, vec![plain]),
        (JobFilter { to_domain: Some("docomo.ne.jp".parse().unwrap()), ..any() }, vec![plain]),
        (JobFilter { to: Some(address("B@ezweb.ne.jp")), ..any() }, vec![other]),
        (JobFilter { cause: Some(cause), ..any() }, vec![other]),
        (JobFilter { state: Some(State::Queued), ..any() }, vec![other, plain]),
        (JobFilter { state: Some(State::Held), ..any() }, vec![]),
        (JobFilter { cause: Some(cause), class: Some(Class::Report), ..any() }, vec![]),
        (JobFilter { ended: true, ..any() }, vec![done]),
        (
            JobFilter { ended: true, state: Some(State::Refused), to: Some(address("a@docomo.ne.jp")), ..any() },
            vec![done],
        ),
        (JobFilter { ended: true, state: Some(State::Accepted), ..any() }, vec![]),
    ] {
        let asked = filter.clone();
        let found: Vec<_> = read(&store, move |tx| tx.list_jobs(&asked)).await.iter().map(|job| job.id).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
}

pub async fn waiting_jobs_are_counted_by_class_and_state(place: Place) {
    let store = place.open().await;
    assert!(read(&store, |tx| tx.waiting_counts()).await.is_empty());
    for (class, queued_at, due) in [(Class::Otp, 5, 9), (Class::Otp, 3, 9), (Class::Otp, 4, 1), (Class::Notice, 2, 9)] {
        enqueue(&store, NewJob { queued_at: at(queued_at), ..order(class, due) }).await;
    }
    claim_one(&store, 1).await;
    let counts = read(&store, |tx| tx.waiting_counts()).await;
    assert_eq!(
        counts,
        [
            (Class::Otp, State::Queued, 2, at(3)),
            (Class::Otp, State::Sending, 1, at(4)),
            (Class::Notice, State::Queued, 1, at(2)),
        ]
    );
}

pub async fn history_is_trimmed_oldest_first_in_steps(place: Place) {
    let store = place.open().await;
    let mut ids = Vec::new();
    for ended in [30, 10, 20, 40] {
        ids.push(enqueue(&store, order(Class::Otp, 1)).await);
        let job = claim_one(&store, 1).await;
        let end = Settlement::End { state: State::Accepted, stage: None, reply: None, at: at(ended) };
        assert!(settle(&store, &job, end).await.unwrap());
    }
    assert_eq!(write(&store, |tx| tx.trim_history(at(40), 2)).await, 2);
    let left = |store: Store| async move {
        let filter = JobFilter { ended: true, ..JobFilter::default() };
        read(&store, move |tx| tx.list_jobs(&filter)).await.iter().map(|job| job.id).collect::<Vec<_>>()
    };
    assert_eq!(left(store.clone()).await, [ids[3], ids[0]]);
    assert_eq!(write(&store, |tx| tx.trim_history(at(40), 2)).await, 1);
    assert_eq!(write(&store, |tx| tx.trim_history(at(40), 2)).await, 0);
    assert_eq!(left(store).await, [ids[3]]);
}

pub async fn the_next_due_moment_is_that_of_what_waits(place: Place) {
    let store = place.open().await;
    assert_eq!(read(&store, |tx| tx.next_dues()).await.into_iter().map(|(_, due)| due).min(), None);
    for (class, due) in [(Class::Otp, 500), (Class::Report, 70), (Class::Alert, 400)] {
        enqueue(&store, order(class, due)).await;
    }
    assert_eq!(read(&store, |tx| tx.next_dues()).await.into_iter().map(|(_, due)| due).min(), Some(at(70)));
    let job = claim_one(&store, 70).await;
    assert_eq!(read(&store, |tx| tx.next_dues()).await.into_iter().map(|(_, due)| due).min(), Some(at(400)));
    assert!(settle(&store, &job, defer(90)).await.unwrap());
    assert_eq!(read(&store, |tx| tx.next_dues()).await.into_iter().map(|(_, due)| due).min(), Some(at(90)));
}

pub async fn a_claim_is_kept_for_longer_by_who_holds_it(place: Place) {
    let store = place.open().await;
    for due in [1, 2] {
        enqueue(&store, order(Class::Alert, due)).await;
    }
    let claimed = claim(&store, 5, 2).await;
    let claims: Vec<(JobId, i64)> = claimed.iter().map(|job| (job.id, job.lease.as_ref().unwrap().fence)).collect();
    let (first, second) = (claims[0], claims[1]);
    let lost = write(&store, move |tx| tx.extend("worker", at(500), &[first, (second.0, second.1 + 1)])).await;
    assert_eq!(lost, [second.0]);
    assert_eq!(write(&store, move |tx| tx.extend("another", at(900), &[first])).await, [first.0]);
    assert_eq!(write(&store, |tx| tx.reclaim(at(499), Reclaim::Expired)).await, [second.0]);
    assert_eq!(write(&store, |tx| tx.reclaim(at(500), Reclaim::Expired)).await, [first.0]);
    assert_eq!(write(&store, move |tx| tx.extend("worker", at(900), &[first])).await, [first.0]);
}
