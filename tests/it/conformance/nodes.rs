//! Several stores on one database: two nodes, lost connections, deadlocks.

use super::{Place, at, event, hand_in, order, read, server, write};
use karamail::queue::Class;
use karamail::store::{EventFilter, Location, Options, Store, StoreError, Tail, Tx, Wish};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use tokio::task::JoinSet;

const LONG: Duration = Duration::from_secs(30);

pub async fn two_nodes_never_claim_the_same_job(place: Place) {
    let nodes = [place.open().await, place.open().await];
    write(&nodes[0], |tx| (0..200).try_for_each(|n| tx.enqueue(&order(Class::Alert, n % 7)).map(drop))).await;
    let mut tasks = JoinSet::new();
    for turn in 0..60 {
        let node = nodes[turn % 2].clone();
        tasks.spawn(async move { write(&node, |tx| tx.claim("w", at(100), at(200), 5)).await });
    }
    let mut ids: Vec<_> = tasks.join_all().await.into_iter().flatten().map(|job| job.id).collect();
    // A claim leaves jobs out that another is claiming just then; they are there for the next.
    ids.extend(write(&nodes[0], |tx| tx.claim("w", at(100), at(200), 300)).await.into_iter().map(|job| job.id));
    assert_eq!(ids.len(), 200);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 200);
}

/// Tests of what only a server can do to us.
mod postgres {
    use super::*;

    fn url(place: &Place) -> String {
        match &place.location {
            Location::Postgres(url) => url.clone(),
            Location::Sqlite(path) => panic!("{}", path.display()),
        }
    }

    /// Cuts all connections of a store, as a server that is started again does.
    fn cut(place: &Place) {
        let schema = server::schema_of(&url(place)).to_owned();
        // Each connection says its schema in its own name, see `named`.
        let cut = server::sql(&format!(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE application_name = '{schema}'"
        ));
        assert_ne!(cut.trim(), "0");
    }

    /// A place whose connections can be told from those of other tests.
    fn named() -> Place {
        let place = Place::postgres();
        let url = url(&place);
        let schema = server::schema_of(&url).to_owned();
        Place {
            location: Location::Postgres(format!("{url}&application_name={schema}").replace(
                &format!("?options=-csearch_path%3D{schema}&application_name={schema}"),
                &format!("?application_name={schema}&options=-csearch_path%3D{schema}"),
            )),
            _folder: None,
        }
    }

    /// Takes the first row, says so, and wants the second once the other has said so, too; only the first time round.
    async fn crossing(
        store: Store,
        rows: [&'static str; 2],
        took: SyncSender<()>,
        other_took: Receiver<()>,
    ) -> Result<u32, StoreError> {
        let mut runs = 0;
        let work = move |tx: &mut Tx<'_>| {
            tx.set_budget("x", rows[0], at(1))?;
            runs += 1;
            if runs == 1 {
                took.send(()).unwrap();
                other_took.recv_timeout(LONG).unwrap();
            }
            tx.set_budget("x", rows[1], at(1))?;
            tx.record(event(rows[0])).map(|()| runs)
        };
        store.write(work).await
    }

    async fn count(store: &Store) -> usize {
        read(store, |tx| tx.events(&EventFilter::default())).await.len()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_store_goes_on_after_its_connections_were_cut() {
        let place = named();
        let store = place.open().await;
        for round in 0..3 {
            write(&store, |tx| tx.record(event("one"))).await;
            assert_eq!(count(&store).await, round + 1);
            cut(&place);
        }
        assert_eq!(count(&store).await, 3);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn work_whose_connection_is_cut_runs_again_and_is_kept_once() {
        let place = named();
        let store = place.open().await;
        let (begun, has_begun) = sync_channel(10);
        let (let_go, wait) = sync_channel(10);
        let handle = store.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let work = move |tx: &mut Tx<'_>| {
                tx.record(event("cut"))?;
                begun.send(()).unwrap();
                wait.recv_timeout(LONG).unwrap();
                tx.record(event("through"))
            };
            handle.write::<_, StoreError, _>(work).await
        });
        has_begun.recv_timeout(LONG).unwrap();
        cut(&place);
        let_go.send(()).unwrap();
        has_begun.recv_timeout(LONG).unwrap();
        let_go.send(()).unwrap();
        assert_eq!(tasks.join_next().await.unwrap().unwrap(), Ok(()));
        assert_eq!(count(&store).await, 2);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_that_wait_for_each_other_both_succeed_in_the_end() {
        let place = named();
        let store = place.open().await;
        // Each takes a row the other wants next; the first time round they meet.
        write(&store, |tx| {
            tx.set_budget("x", "a", at(0))?;
            tx.set_budget("x", "b", at(0))
        })
        .await;
        let (left_a, left_b) = (sync_channel(1), sync_channel(1));
        let mut tasks = JoinSet::new();
        tasks.spawn(crossing(store.clone(), ["a", "b"], left_a.0, left_b.1));
        // Handed in only now, it is taken by another connection than the first.
        let (begun, has_begun) = sync_channel(1);
        left_a.1.recv_timeout(LONG).unwrap();
        begun.send(()).unwrap();
        tasks.spawn(crossing(store.clone(), ["b", "a"], left_b.0, has_begun));
        let runs: Vec<_> = tasks.join_all().await.into_iter().map(Result::unwrap).collect();
        // One of them was in the other's way, and was run again.
        assert!(runs.iter().sum::<u32>() > 2, "{runs:?}");
        assert_eq!(count(&store).await, 2);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_one_is_deciding_about_the_other_does_not_even_read() {
        let place = named();
        let nodes = [place.open().await, place.open().await];
        let (read, has_read) = sync_channel(1);
        let (let_go, wait) = sync_channel::<()>(1);
        let first = hand_in(&nodes[0], move |tx: &mut Tx<'_>| {
            assert_eq!(tx.budget("x", "a")?, None);
            read.send(()).unwrap();
            wait.recv_timeout(LONG).unwrap();
            tx.set_budget("x", "a", at(7))
        })
        .await;
        has_read.recv_timeout(LONG).unwrap();
        let second = hand_in(&nodes[1], |tx: &mut Tx<'_>| tx.budget("x", "a")).await;
        // Until the server says that it waits; asking takes a while, so this is no race.
        let schema = server::schema_of(&url(&place)).to_owned();
        let waiting = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = '{schema}' AND wait_event = 'advisory'"
        );
        assert!((0..1_000).any(|_| server::sql(&waiting).trim() != "0"), "nobody waited");
        let_go.send(()).unwrap();
        assert_eq!(first.await, Ok(()));
        assert_eq!(second.await, Ok(Some(at(7))));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_connection_that_is_to_be_secret_is_so_or_is_not_made() {
        let place = Place::postgres();
        let plain = server::url_by_tcp(&url(&place));
        Store::open(Options::new(Location::Postgres(plain.clone()))).await.unwrap();
        // The server's certificate is nobody's whom we trust.
        let secret = format!("{plain}&sslmode=require");
        let refused = Store::open(Options::new(Location::Postgres(secret))).await.err().unwrap();
        assert!(matches!(&refused, StoreError::Unavailable(why) if why.contains("certificate")), "{refused}");
    }

    /// How many rows of `jobs` were read by all that has been finished so far: past any index, and through one.
    fn rows_read(schema: &str) -> (i64, i64) {
        let said = server::sql(&format!(
            "SELECT t.seq_tup_read, sum(i.idx_tup_read) FROM pg_stat_user_tables t JOIN pg_stat_user_indexes i \
             USING (relid) WHERE t.schemaname = '{schema}' AND t.relname = 'jobs' GROUP BY 1"
        ));
        let (past, through) = said.trim().split_once('|').unwrap();
        (past.parse().unwrap(), through.parse().unwrap())
    }

    /// One domain has much that is due, put off and hopeless; the other little. The server's statistics know of neither.
    const BACKLOG: &str = "
        ANALYZE jobs;
        INSERT INTO jobs (class_rank, recipient, folded, domain, content, queued_at, first_due, give_up, due, state,
                          attempts, last_cause)
        SELECT 1, 'a@b.jp', 'a@b.jp', CASE WHEN n % 400 = 0 THEN 'ezweb.ne.jp' ELSE 'docomo.ne.jp' END,
               '{\"kind\":\"forward\",\"mail\":\"mb\"}', 1, 1, 50 + n, 1 + n % 2 * 1000, 'deferred', 1, 'dns'
        FROM generate_series(1, 40000) AS n";

    fn claim_both_ways(tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let only = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<_>>();
        let both = ["ezweb.ne.jp", "docomo.ne.jp"];
        for only in [Some(only(&both[..1])), Some(only(&both)), None] {
            let wish = Wish { class: Class::Alert, limit: 10, only };
            assert_eq!(tx.claim_some("w", at(100), at(200), 10, &[wish])?.len(), 10);
        }
        assert_eq!(tx.backlog(Class::Alert, at(100), 9)?.len(), 2);
        assert!(!tx.is_any_claim_over(at(100))?);
        assert!(tx.claim_expired("w", at(100), at(200), 5)?.len() <= 5);
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_claim_reads_the_backlog() {
        let place = named();
        let schema = server::schema_of(&url(&place)).to_owned();
        place.open().await.close().await;
        let fill = format!("SET search_path = {schema}; {BACKLOG}");
        drop(server::sql(&fill));
        let before = rows_read(&schema);
        let store = place.open().await;
        // More often than the server plans a statement anew.
        for _ in 0..8 {
            write(&store, claim_both_ways).await;
        }
        store.close().await;
        // The server counts what a connection read once that has ended.
        let of_ours = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = '{schema}'");
        assert!((0..1_000).any(|_| server::sql(&of_ours).trim() == "0"), "connections stay");
        let after = rows_read(&schema);
        assert_eq!(after.0, before.0);
        // Not even once all that is due; what was claimed before may still be in the way of what is.
        let read = after.1 - before.1;
        assert!((1..20_000).contains(&read), "{read} rows");
    }

    async fn news(store: &Store, tail: &mut Tail) -> Vec<String> {
        let from = tail.clone();
        let (events, on) = read(store, move |tx| tx.read_on(&from, at(1), 9)).await;
        *tail = on;
        events.into_iter().map(|event| event.name.into_owned()).collect()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_event_that_is_committed_behind_later_ones_is_read_all_the_same() {
        let place = Place::postgres();
        let (slow, quick) = (place.open().await, place.open().await);
        write(&quick, |tx| tx.record(event("first"))).await;
        let (wrote, has_written) = sync_channel(1);
        let (let_go, wait) = sync_channel::<()>(1);
        let early = hand_in(&slow, move |tx: &mut Tx<'_>| {
            tx.record(event("early"))?;
            wrote.send(()).unwrap();
            wait.recv_timeout(LONG).unwrap();
            Ok::<_, StoreError>(())
        })
        .await;
        has_written.recv_timeout(LONG).unwrap();
        write(&quick, |tx| tx.record(event("late"))).await;
        let mut tail = Tail::behind(0);
        assert_eq!(news(&quick, &mut tail).await, ["first", "late"]);
        assert!(news(&quick, &mut tail).await.is_empty());
        let_go.send(()).unwrap();
        assert_eq!(early.await, Ok(()));
        write(&quick, |tx| tx.record(event("last"))).await;
        assert_eq!(news(&quick, &mut tail).await, ["early", "last"]);
        assert!(news(&quick, &mut tail).await.is_empty());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_server_that_is_not_there_is_said_to_be() {
        for (url, temporary) in [
            ("postgres://postgres@%2Fnowhere/postgres", true),
            ("postgres://postgres@127.0.0.1:x/y", false),
            ("?", false),
        ] {
            let error = Store::open(Options::new(Location::Postgres(url.into()))).await.err().unwrap();
            assert_eq!(error.is_temporary(), temporary, "{error}");
        }
    }
}
