//! Counting the jobs that have not ended.

use super::jobs::{claim, claim_one, enqueue, settle};
use super::{Place, address, at, order, read, write};
use karamail::model::JobId;
use karamail::queue::{Class, NewJob, Selection, State};
use karamail::store::{AGES, Crowd, Settlement};

const MINUTE: i64 = 60_000;

pub async fn jobs_are_counted_by_domain_class_state_and_age(place: Place) {
    let store = place.open().await;
    assert_eq!(read(&store, |tx| tx.crowds(at(1))).await, []);
    let now = 2_000 * MINUTE;
    // On either side of each limit, and far beyond.
    let around = AGES.map(|minutes| [minutes * MINUTE - 1, minutes * MINUTE]).concat();
    for age in around.into_iter().chain([0, 1_999 * MINUTE]) {
        let job = NewJob { queued_at: at(now - age), give_up: at(i64::MAX), ..order(Class::Alert, 9) };
        enqueue(&store, job).await;
    }
    let other = |class, queued_at| NewJob {
        to: address("b@ezweb.ne.jp"),
        queued_at: at(now - queued_at),
        give_up: at(i64::MAX),
        ..order(class, 1)
    };
    for (class, age) in [(Class::Otp, 1), (Class::Otp, 3), (Class::Otp, 2), (Class::Notice, 7)] {
        enqueue(&store, other(class, age)).await;
    }
    let done = claim(&store, 1, 2).await.remove(0);
    let end = Settlement::End { state: State::Accepted, stage: None, reply: None, at: at(now) };
    assert!(settle(&store, &done, end).await.unwrap());
    let notices = Selection { class: Some(Class::Notice), ..Selection::default() };
    write(&store, move |tx| tx.hold(&notices, at(now), JobId::new(0), 100)).await;
    let docomo = || "docomo.ne.jp".parse().unwrap();
    let ezweb = || "ezweb.ne.jp".parse().unwrap();
    let few = |count| [count, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let crowds = [
        Crowd { domain: docomo(), class: Class::Alert, state: State::Queued, ages: [2; 10], oldest: at(MINUTE) },
        Crowd { domain: ezweb(), class: Class::Otp, state: State::Queued, ages: few(1), oldest: at(now - 2) },
        Crowd { domain: ezweb(), class: Class::Otp, state: State::Sending, ages: few(1), oldest: at(now - 3) },
        Crowd { domain: ezweb(), class: Class::Notice, state: State::Held, ages: few(1), oldest: at(now - 7) },
    ];
    assert_eq!(read(&store, move |tx| tx.crowds(at(now))).await, crowds);
    assert_eq!(crowds[0].count(), 20);
}

pub async fn every_job_is_counted_however_many_there_are(place: Place) {
    let store = place.open().await;
    enqueue(&store, order(Class::Otp, 1)).await;
    claim_one(&store, 1).await;
    // More than are counted at a time; past the store, as that is quicker.
    place.sql(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 45000) \
         INSERT INTO jobs (class_rank, recipient, folded, domain, content, queued_at, first_due, give_up, due, state) \
         SELECT 1, 'a@b.jp', 'a@b.jp', 'b.jp', '{}', 7, 7, 9, 7, 'queued' FROM n",
    );
    let counts = read(&store, |tx| tx.waiting_counts()).await;
    assert_eq!(counts, [(Class::Otp, State::Sending, 1, at(1)), (Class::Alert, State::Queued, 45_000, at(7))]);
}
