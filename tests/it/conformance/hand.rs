//! What an operator does to waiting jobs.

use super::jobs::{claim, claim_one, enqueue, find, settle};
use super::{Place, address, at, order, read, write};
use karamail::model::{JobId, Reply, Span, Stage};
use karamail::queue::{Cause, Class, NewJob, Selection, State};
use karamail::store::{JobFilter, Settlement, Store, StoreError, Touched, Tx};

/// From the first job on.
const ALL: JobId = JobId::new(0);

fn of(class: Class) -> Selection {
    Selection { class: Some(class), ..Selection::default() }
}

fn ids(ids: &[JobId]) -> Selection {
    Selection { ids: ids.to_vec(), ..Selection::default() }
}

type Action = fn(&mut Tx<'_>, &Selection, i64, JobId, usize) -> Result<Touched, StoreError>;

const HOLD: Action = |tx, selection, now, after, limit| Ok(tx.hold(selection, at(now), after, limit)?.0);
const RELEASE: Action = |tx, selection, now, after, limit| Ok(tx.release_held(selection, at(now), after, limit)?.0);
const RETRY: Action = |tx, selection, now, after, limit| tx.retry_now(selection, at(now), after, limit);
const DROP: Action = |tx, selection, now, after, limit| Ok(tx.drop_jobs(selection, at(now), after, limit)?.0);

/// Does it to all at once; gives how many it was done to, and how many were being sent.
async fn all(store: &Store, action: Action, selection: Selection, now: i64) -> (u64, u64) {
    let touched = write(store, move |tx| action(tx, &selection, now, ALL, 100)).await;
    (touched.count, touched.under_way)
}

/// Orders four jobs of different classes and recipients.
async fn four(store: &Store) -> [JobId; 4] {
    let mut ids = [ALL; 4];
    for (id, (recipient, class)) in ids.iter_mut().zip([
        ("a@docomo.ne.jp", Class::Alert),
        ("b@docomo.ne.jp", Class::Notice),
        ("c@ezweb.ne.jp", Class::Alert),
        ("d@docomo.ne.jp", Class::Alert),
    ]) {
        *id = enqueue(store, NewJob { to: address(recipient), ..order(class, 1) }).await;
    }
    ids
}

async fn standing(store: &Store, state: State) -> Vec<JobId> {
    let filter = JobFilter { state: Some(state), ended: state.has_ended(), ..JobFilter::default() };
    let mut ids: Vec<JobId> = read(store, move |tx| tx.list_jobs(&filter)).await.iter().map(|job| job.id).collect();
    ids.sort();
    ids
}

pub async fn everything_given_has_to_fit_and_nothing_given_fits_nothing(place: Place) {
    let store = place.open().await;
    let [a, b, c, d] = four(&store).await;
    let docomo = || Some("docomo.ne.jp".parse().unwrap());
    for (selection, expected) in [
        (Selection::default(), vec![]),
        (Selection { to: docomo(), ..Selection::default() }, vec![a, b, d]),
        (of(Class::Alert), vec![a, c, d]),
        (Selection { to: docomo(), ..of(Class::Alert) }, vec![a, d]),
        (ids(&[d, c, JobId::new(999), c]), vec![c, d]),
        (Selection { ids: vec![b, c, d], to: docomo(), class: Some(Class::Alert) }, vec![d]),
        (of(Class::Report), vec![]),
    ] {
        let count = expected.len() as u64;
        assert_eq!(all(&store, HOLD, selection.clone(), 5).await, (count, 0), "{selection:?}");
        assert_eq!(standing(&store, State::Held).await, expected);
        let meant = selection.clone();
        let counted: u64 = read(&store, move |tx| tx.selected(&meant)).await.iter().map(|(_, count, _)| count).sum();
        assert_eq!(counted, count, "{selection:?}");
        // Held already: not again.
        assert_eq!(all(&store, HOLD, selection.clone(), 5).await, (0, 0));
        assert_eq!(all(&store, RELEASE, selection.clone(), 5).await, (count, 0));
        assert_eq!(standing(&store, State::Held).await, []);
    }
    assert_eq!(all(&store, DROP, Selection::default(), 5).await, (0, 0));
}

pub async fn what_is_held_is_not_sent_until_it_is_let_go_and_its_wait_is_added_up(place: Place) {
    let store = place.open().await;
    let [a, ..] = four(&store).await;
    all(&store, HOLD, of(Class::Alert), 10).await;
    let held = find(&store, a).await;
    assert_eq!((held.state, held.held_since, held.held, held.due), (State::Held, Some(at(10)), Span::default(), at(1)));
    assert_eq!(claim(&store, 20, 9).await.len(), 1);
    all(&store, RELEASE, of(Class::Alert), 25).await;
    let free = find(&store, a).await;
    assert_eq!((free.state, free.held_since, free.held), (State::Queued, None, Span::from_millis(15)));
    all(&store, HOLD, ids(&[a]), 30).await;
    // A clock that was set back makes the wait no shorter.
    all(&store, RELEASE, ids(&[a]), 20).await;
    assert_eq!(find(&store, a).await.held, Span::from_millis(15));
    all(&store, HOLD, ids(&[a]), 30).await;
    all(&store, RELEASE, ids(&[a]), 37).await;
    assert_eq!(find(&store, a).await.held, Span::from_millis(22));
    assert_eq!(claim(&store, 40, 9).await.len(), 3);
}

pub async fn what_is_being_sent_is_left_alone_and_counted(place: Place) {
    let store = place.open().await;
    let [a, _, c, d] = four(&store).await;
    let sending = claim(&store, 5, 1).await.remove(0);
    assert_eq!(sending.id, a);
    for (action, count) in [(HOLD, 2), (RETRY, 0), (RELEASE, 2), (DROP, 2)] {
        assert_eq!(all(&store, action, of(Class::Alert), 6).await, (count, 1));
        assert_eq!(find(&store, a).await, sending);
    }
    assert_eq!(standing(&store, State::Cancelled).await, [c, d]);
    let end = Settlement::End { state: State::Accepted, stage: None, reply: None, at: at(9) };
    assert!(settle(&store, &sending, end).await.unwrap());
}

pub async fn a_retry_makes_due_what_waits_but_never_what_is_not_to_be_sent_again(place: Place) {
    let store = place.open().await;
    let (reply, now) = (|| Reply::new(451, "4.7.1 later"), at(2));
    for (settlement, again) in [
        (
            Settlement::Defer { due: at(500), stage: Stage::Rcpt, reply: reply(), cause: Cause::Greylisted, at: now },
            true,
        ),
        (Settlement::Unknown { due: Some(at(500)), reply: reply(), at: now }, true),
        (Settlement::Unknown { due: None, reply: reply(), at: now }, false),
    ] {
        let id = enqueue(&store, order(Class::Notice, 1)).await;
        let job = claim_one(&store, 1).await;
        assert!(settle(&store, &job, settlement).await.unwrap());
        assert_eq!(all(&store, RETRY, ids(&[id]), 100).await, (u64::from(again), 0));
        assert_eq!(claim(&store, 100, 9).await.len(), usize::from(again));
    }
    // Due already; and held: that is let go, not tried.
    let due = enqueue(&store, order(Class::Alert, 1)).await;
    let held = enqueue(&store, order(Class::Alert, 500)).await;
    let later = enqueue(&store, order(Class::Alert, 500)).await;
    all(&store, HOLD, ids(&[held]), 50).await;
    assert_eq!(all(&store, RETRY, of(Class::Alert), 100).await, (1, 0));
    assert_eq!(claim(&store, 100, 9).await.iter().map(|job| job.id).collect::<Vec<_>>(), [due, later]);
    assert_eq!(find(&store, held).await.due, at(500));
}

pub async fn what_is_dropped_is_in_history_with_the_time_it_was_held(place: Place) {
    let store = place.open().await;
    let [a, b, c, d] = four(&store).await;
    all(&store, HOLD, ids(&[c, d]), 10).await;
    let (touched, ended) = write(&store, |tx| tx.drop_jobs(&of(Class::Alert), at(30), ALL, 100)).await;
    assert_eq!((touched.count, touched.under_way), (3, 0));
    assert_eq!(ended.iter().map(|job| job.id).collect::<Vec<_>>(), [a, c, d]);
    for job in ended {
        let held = if job.id == a { Span::default() } else { Span::from_millis(20) };
        assert_eq!((job.state, job.held_since, job.held), (State::Cancelled, None, held));
        assert_eq!(find(&store, job.id).await, job);
    }
    assert_eq!(claim(&store, 40, 9).await.iter().map(|job| job.id).collect::<Vec<_>>(), [b]);
}

pub async fn an_action_goes_page_by_page_and_no_page_looks_at_more_than_it_was_told(place: Place) {
    let store = place.open().await;
    let [a, b, c, d] = four(&store).await;
    for (action, class, counts) in
        [(HOLD, Class::Notice, [1, 0, 0]), (RELEASE, Class::Notice, [1, 0, 0]), (DROP, Class::Alert, [1, 2, 0])]
    {
        let mut after = ALL;
        for (count, last) in counts.into_iter().zip([Some(b), Some(d), None]) {
            let from = after;
            let touched = write(&store, move |tx| action(tx, &of(class), 9, from, 2)).await;
            assert_eq!(touched, Touched { count, under_way: 0, last });
            after = last.unwrap_or(after);
        }
    }
    // Numbers are gone through in their order, too.
    let some = ids(&[d, b, a]);
    let behind_a = write(&store, move |tx| tx.hold(&some, at(9), a, 1)).await;
    assert_eq!(behind_a.0, Touched { count: 1, under_way: 0, last: Some(b) });
    assert_eq!(standing(&store, State::Cancelled).await, [a, c, d]);
}
