use super::*;
use crate::store::work::Job;
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot::Receiver;

struct Bench {
    writer: Writer,
    heard: Arc<Mutex<Vec<String>>>,
    _folder: tempfile::TempDir,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&heard);
    let writer = Writer {
        connection: open_writer(&folder.path().join("karamail.db")).unwrap(),
        observer: Arc::new(move |events| {
            into.lock().unwrap().extend(events.iter().map(|event| event.name.to_string()));
        }),
        coming: Arc::default(),
        copier: std::sync::mpsc::sync_channel(1).0,
        #[cfg(feature = "crash-test")]
        crash: crate::store::crash::Crash::new(None),
    };
    Bench { writer, heard, _folder: folder }
}

type Answer = Receiver<Result<(), StoreError>>;

/// Work that keeps a secret of so many bytes and tells of it.
fn keeps(owner: i64, bytes: usize) -> (Waiting, Answer) {
    let (job, answer) = Job::new(move |tx: &mut Tx<'_>| {
        tx.put_secret("test", owner, &vec![7; bytes])?;
        tx.record(Event {
            at: crate::model::Timestamp::from_millis(1),
            name: owner.to_string().into(),
            mail: None,
            job: None,
            address: None,
            fields: serde_json::Map::new(),
            ordered: None,
        })
    });
    (Box::new(job), answer)
}

fn owners(connection: &Connection) -> Vec<i64> {
    let mut statement = connection.prepare("SELECT owner FROM secrets ORDER BY owner").unwrap();
    statement.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn every_commit_is_flushed_and_references_hold() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("karamail.db");
    let writer = open_writer(&path).unwrap();
    let reader = open_reader(&path).unwrap();
    for connection in [&writer, &reader] {
        let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
        // 2 is FULL: the log is flushed at each commit.
        assert_eq!((pragma("synchronous"), pragma("foreign_keys")), (2, 1));
        let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
    }
}

#[test]
fn a_full_database_fails_the_whole_group_and_the_next_goes_through() {
    let Bench { mut writer, heard, _folder } = bench();
    let pages: i64 = writer.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    writer.connection.pragma_update(None, "max_page_count", pages + 20).unwrap();
    let (small, small_answer) = keeps(1, 10);
    let (large, large_answer) = keeps(2, 1_000_000);
    let (behind, behind_answer) = keeps(3, 10);
    writer.commit(vec![small, large, behind]);
    let answers = [small_answer, large_answer, behind_answer].map(|mut answer| answer.try_recv().unwrap());
    assert!(matches!(answers[1], Err(StoreError::Full(_))), "{answers:?}");
    // Whoever was told Ok is kept, whoever was not is not.
    let told: Vec<i64> = (1..).zip(&answers).filter(|(_, answer)| answer.is_ok()).map(|(owner, _)| owner).collect();
    assert_eq!(owners(&writer.connection), told);
    assert!(writer.connection.is_autocommit());

    writer.connection.pragma_update(None, "max_page_count", 1_000_000).unwrap();
    let (again, mut answer) = keeps(2, 1_000_000);
    writer.commit(vec![again]);
    assert_eq!(answer.try_recv().unwrap(), Ok(()));
    assert!(owners(&writer.connection).contains(&2));
    assert_eq!(heard.lock().unwrap().len(), told.len() + 1);
}

#[test]
fn a_transaction_that_was_lost_fails_its_whole_group() {
    let Bench { mut writer, heard, _folder } = bench();
    let (before, before_answer) = keeps(1, 10);
    // What SQLite does by itself after some I/O errors.
    let (loses, loses_answer) = Job::new(|tx: &mut Tx<'_>| tx.execute("ROLLBACK", &[]).map(drop));
    let (behind, behind_answer) = keeps(2, 10);
    writer.commit(vec![before, Box::new(loses), behind]);
    for mut answer in [before_answer, loses_answer, behind_answer] {
        assert!(matches!(answer.try_recv().unwrap(), Err(StoreError::Other(_))));
    }
    assert!(owners(&writer.connection).is_empty());
    assert!(heard.lock().unwrap().is_empty());
    let (after, mut answer) = keeps(3, 10);
    writer.commit(vec![after]);
    assert_eq!(answer.try_recv().unwrap(), Ok(()));
}

mod cost;

#[test]
fn the_log_is_copied_back_beside_the_writer() {
    let Bench { mut writer, _folder: folder, .. } = bench();
    let (copier, commits) = std::sync::mpsc::sync_channel(1);
    writer.copier = copier;
    let left = |connection: &Connection| {
        let pages = |row: &rusqlite::Row<'_>| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?);
        connection.query_row("PRAGMA wal_checkpoint(NOOP)", (), pages).unwrap()
    };
    let before = left(&writer.connection);
    let (small, _) = keeps(1, 50_000);
    writer.commit(vec![small]);
    let connection = open_writer(&folder.path().join("karamail.db")).unwrap();
    copy_some(&connection).unwrap();
    assert!(left(&writer.connection) > before, "a little is not worth a flush");
    let (large, _) = keeps(2, 2_000_000);
    writer.commit(vec![large]);
    drop(writer.copier);
    copy(&connection, &commits);
    assert_eq!(left(&writer.connection), 0);
    assert_eq!(owners(&writer.connection), [1, 2]);
}
