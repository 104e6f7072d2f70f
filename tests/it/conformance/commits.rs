//! Transactions: what is kept, what is undone, who hears of it.

use super::{Place, address, at, event, hand_in, mail, order, read, write};
use karamail::model::{Reply, Stage};
use karamail::queue::{Cause, Class};
use karamail::store::{EventFilter, Location, Options, Settlement, Store, StoreError, Tx};
use sha2::{Digest, Sha256};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use tokio::task::JoinSet;

/// What a closure may refuse with.
#[derive(Debug, PartialEq)]
pub enum Refusal {
    Own,
    Store(StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

const LONG: Duration = Duration::from_secs(30);

async fn names(store: &Store) -> Vec<String> {
    let events = read(store, |tx| tx.events(&EventFilter::default())).await;
    events.into_iter().map(|(_, event)| event.name.into_owned()).collect()
}

/// Work that says when it has begun and then waits to be let go.
fn held(
    name: &'static str,
) -> (impl FnMut(&mut Tx<'_>) -> Result<(), StoreError> + Send, Receiver<()>, SyncSender<()>) {
    let (begun, has_begun) = sync_channel(1);
    let (let_go, wait) = sync_channel(1);
    let work = move |tx: &mut Tx<'_>| {
        tx.record(event(name))?;
        begun.send(()).unwrap();
        wait.recv_timeout(LONG).unwrap();
        Ok(())
    };
    (work, has_begun, let_go)
}

pub async fn what_was_committed_is_there_after_a_restart(place: Place) {
    let store = place.open().await;
    let id = write(&store, |tx| tx.remember_mail(&mail())).await;
    store.close().await;
    let store = place.open().await;
    assert!(read(&store, move |tx| tx.mail(id)).await.is_some());
}

/// Several pieces of work that wait while another is under way: one connection commits them together.
async fn a_group(place: &Place, odd: fn(&mut Tx<'_>) -> Result<(), Refusal>) -> (Store, Vec<Result<(), Refusal>>) {
    let store = place.open().await;
    let (first, has_begun, let_go) = held("first");
    let first = hand_in(&store, first).await;
    has_begun.recv_timeout(LONG).unwrap();
    let mut waiting = Vec::new();
    for number in 0..9 {
        let work = move |tx: &mut Tx<'_>| {
            tx.record(event("before"))?;
            if number % 3 == 1 { odd(tx) } else { Ok(tx.enqueue(&order(Class::Otp, number)).map(drop)?) }
        };
        waiting.push(hand_in(&store, work).await);
    }
    let_go.send(()).unwrap();
    let mut results = JoinSet::from_iter(waiting).join_all().await;
    results.push(first.await.map_err(Refusal::Store));
    (store, results)
}

pub async fn work_that_refuses_is_undone_alone(place: Place) {
    let (store, results) = a_group(&place, |tx| {
        tx.record(event("never"))?;
        Err(Refusal::Own)
    })
    .await;
    assert_eq!(results.iter().filter(|result| **result == Err(Refusal::Own)).count(), 3);
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 7);
    let mut kept = names(&store).await;
    kept.sort();
    assert_eq!(kept, ["before", "before", "before", "before", "before", "before", "first"]);
    assert_eq!(read(&store, |tx| tx.waiting_counts()).await.len(), 1);
}

pub async fn work_that_panics_is_undone_alone(place: Place) {
    let (store, results) = a_group(&place, |tx| {
        tx.record(event("never"))?;
        panic!("a panic that the test wants")
    })
    .await;
    let panicked = Err(Refusal::Store(StoreError::Panicked));
    assert_eq!(results.iter().filter(|result| **result == panicked).count(), 3);
    assert_eq!(names(&store).await.len(), 7);
    write(&store, |tx| tx.record(event("after"))).await;
}

pub async fn an_error_that_is_shrugged_off_keeps_nothing(place: Place) {
    let store = place.open().await;
    let shrugged: Result<(), StoreError> = store
        .write(|tx| {
            tx.record(event("before"))?;
            let wrong = tx.remember_mail(&karamail::store::NewMail { decision: "burnt", ..mail() });
            assert!(matches!(wrong, Err(StoreError::Constraint(_))), "{wrong:?}");
            Ok(())
        })
        .await;
    assert!(matches!(shrugged, Err(StoreError::Constraint(_))), "{shrugged:?}");
    assert!(names(&store).await.is_empty());
}

pub async fn a_reader_does_not_see_what_is_not_committed(place: Place) {
    let store = place.open().await;
    let (work, has_begun, let_go) = held("slow");
    let handle = store.clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { handle.write(work).await });
    has_begun.recv_timeout(LONG).unwrap();
    assert!(names(&store).await.is_empty());
    let_go.send(()).unwrap();
    tasks.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(names(&store).await, ["slow"]);
}

pub async fn a_reader_sees_one_snapshot(place: Place) {
    let store = place.open().await;
    let (begun, has_begun) = sync_channel(1);
    let (let_go, wait) = sync_channel::<()>(1);
    let handle = store.clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let work = move |tx: &mut Tx<'_>| {
            let before = tx.events(&EventFilter::default())?.len();
            begun.send(()).unwrap();
            wait.recv_timeout(LONG).unwrap();
            Ok::<_, StoreError>((before, tx.events(&EventFilter::default())?.len()))
        };
        handle.read(work).await
    });
    has_begun.recv_timeout(LONG).unwrap();
    write(&store, |tx| tx.record(event("meanwhile"))).await;
    let_go.send(()).unwrap();
    assert_eq!(tasks.join_next().await.unwrap().unwrap(), Ok((0, 0)));
    assert_eq!(names(&store).await.len(), 1);
}

pub async fn a_reader_cannot_write(place: Place) {
    let store = place.open().await;
    let tried = store.read(|tx| tx.enqueue(&order(Class::Otp, 1))).await;
    assert!(matches!(tried, Err(StoreError::ReadOnly(_))), "{tried:?}");
    assert!(read(&store, |tx| tx.list_jobs(&karamail::store::JobFilter::default())).await.is_empty());
}

pub async fn the_observer_hears_of_exactly_what_was_kept(place: Place) {
    let (store, heard) = place.open_heard().await;
    let mut tasks = JoinSet::new();
    for number in 0..50 {
        let handle = store.clone();
        tasks.spawn(async move {
            let work = move |tx: &mut Tx<'_>| {
                tx.record(event(&format!("{number}a")))?;
                tx.record(event(&format!("{number}b")))?;
                if number % 5 == 0 { Err(Refusal::Own) } else { Ok(()) }
            };
            handle.write(work).await
        });
    }
    let kept = tasks.join_all().await.iter().filter(|result| result.is_ok()).count();
    assert_eq!(kept, 40);
    let heard: Vec<Vec<String>> = heard.lock().unwrap().clone();
    // Those of one transaction stand beside each other, in order; those of one commit come together.
    for commit in &heard {
        for pair in commit.chunks(2) {
            assert_eq!(pair[0].trim_end_matches('a'), pair[1].trim_end_matches('b'));
        }
    }
    let mut all: Vec<String> = heard.into_iter().flatten().collect();
    let mut stored = names(&store).await;
    assert_eq!(all.len(), 80);
    all.sort();
    stored.sort();
    assert_eq!(all, stored);
}

pub async fn an_observer_that_panics_stops_nobody(place: Place) {
    let options = Options::new(place.location.clone());
    let store = Store::open(options.observed_by(std::sync::Arc::new(|_| panic!("the test wants it")))).await.unwrap();
    write(&store, |tx| tx.record(event("one"))).await;
    write(&store, |tx| tx.record(event("two"))).await;
    assert_eq!(names(&store).await, ["one", "two"]);
}

pub async fn closing_finishes_what_waits_and_refuses_the_rest(place: Place) {
    let store = place.open().await;
    let (first, has_begun, let_go) = held("first");
    let mut tasks = JoinSet::new();
    tasks.spawn(hand_in(&store, first).await);
    has_begun.recv_timeout(LONG).unwrap();
    for _ in 0..20 {
        tasks.spawn(hand_in(&store, |tx| tx.record(event("waited"))).await);
    }
    let other = store.clone();
    let mut closing = JoinSet::new();
    closing.spawn(store.close());
    let_go.send(()).unwrap();
    closing.join_next().await.unwrap().unwrap();
    assert!(tasks.join_all().await.iter().all(Result::is_ok));
    assert_eq!(other.write(|tx| tx.first_time(&[0; 32], at(1))).await, Err(StoreError::Closed));
    assert_eq!(other.read(|tx| tx.address(&address("a@docomo.ne.jp"))).await, Err(StoreError::Closed));
    other.close().await;
    assert_eq!(names(&place.open().await).await.len(), 21);
}

pub async fn a_database_of_a_later_program_is_refused(place: Place) {
    place.open().await.close().await;
    place.sql("INSERT INTO migrations (number, checksum) VALUES (900, 'from the future')");
    let opened = Store::open(Options::new(place.location.clone())).await.err();
    assert!(matches!(opened, Some(StoreError::Newer { found: 900, .. })), "{opened:?}");
}

pub async fn a_schema_that_was_tampered_with_is_refused(place: Place) {
    place.open().await.close().await;
    place.sql("UPDATE migrations SET checksum = 'another' WHERE number = 1");
    assert_eq!(Store::open(Options::new(place.location.clone())).await.err(), Some(StoreError::Migration(1)));
}

/// What the program made first, with a job and an address of that time.
fn first_schema(place: &Place) -> String {
    let first = match place.location {
        Location::Sqlite(_) => include_str!("../../../src/store/migrations/sqlite/0001_first.sql"),
        Location::Postgres(_) => include_str!("../../../src/store/migrations/postgres/0001_first.sql"),
    };
    let checksum = data_encoding::HEXLOWER.encode(&Sha256::digest(first.as_bytes()));
    format!(
        "{first};
        CREATE TABLE migrations (number BIGINT NOT NULL PRIMARY KEY, checksum TEXT NOT NULL);
        INSERT INTO migrations (number, checksum) VALUES (1, '{checksum}');
        INSERT INTO jobs (class_rank, recipient, folded, domain, content, queued_at, first_due, give_up, due, state,
                          attempts, last_stage, last_code, last_reply)
        VALUES (1, 'a@docomo.ne.jp', 'a@docomo.ne.jp', 'docomo.ne.jp', '{{\"kind\":\"forward\",\"mail\":\"mb\"}}', 1, 1,
                9000, 50, 'deferred', 1, 'rcpt', 450, '4.2.0 later');
        INSERT INTO addresses (folded, address, state) VALUES ('a@docomo.ne.jp', 'a@docomo.ne.jp', 'suppressed');"
    )
}

pub async fn a_database_of_the_first_program_is_brought_up_to_date(place: Place) {
    place.sql(&first_schema(&place));
    let store = place.open().await;
    let address = address("a@docomo.ne.jp");
    assert!(read(&store, move |tx| tx.is_suppressed(&address)).await);
    let jobs = write(&store, |tx| tx.claim("w", at(60), at(99), 9)).await;
    let found: Vec<_> = jobs.iter().map(|job| (job.attempts, job.last_cause, job.held.millis())).collect();
    assert_eq!(found, [(1, None, 0)]);
    let later = Settlement::Defer {
        due: at(500),
        stage: Stage::Greeting,
        reply: Reply::new(421, "4.3.2 later"),
        cause: Cause::Unreachable,
        at: at(61),
    };
    let id = jobs[0].id;
    assert!(write(&store, move |tx| tx.settle(id, "w", 1, &later)).await);
    assert_eq!(write(&store, |tx| tx.wake(&["docomo.ne.jp".parse().unwrap()], at(70), 9)).await, 1);
}

pub async fn opening_again_applies_nothing_twice(place: Place) {
    let first = place.open().await;
    write(&first, |tx| tx.record(event("kept"))).await;
    // Two at once, as two nodes would.
    let (second, third) = tokio::join!(place.open(), place.open());
    assert_eq!(names(&second).await, ["kept"]);
    assert_eq!(names(&third).await, ["kept"]);
}
