//! What only a file can do: fill the disk, be read by others, be one writer's.

use super::{Place, at, event, mail, order, read, write};
use karamail::queue::Class;
use karamail::store::{EventFilter, Location, NewMail, Options, Store, StoreError};
use std::path::{Path, PathBuf};
use std::process::Command;
use tokio::task::JoinSet;

/// A small disk of the test's own.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts it; nothing where this machine does not let us.
    fn mount(folder: &Path, size: &str) -> Option<Self> {
        let options = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(folder).output().unwrap();
        mounted.status.success().then(|| Self(folder.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let gone = Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(gone.is_ok_and(|status| status.success()));
    }
}

fn big() -> NewMail {
    NewMail { decision: "kept", raw: Some(vec![b'x'; 20_000]), ..mail() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_a_full_disk_refuses_loses_nothing_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mount(folder.path(), "3m") else {
        // The unit tests of the writer fill a database of limited size instead.
        eprintln!("not run: only root may mount a small disk");
        return;
    };
    let filler = folder.path().join("filler");
    let store = Store::open(Options::new(Location::Sqlite(folder.path().join("karamail.db")))).await.unwrap();
    let mut kept = Vec::new();
    for round in 0..2 {
        std::fs::write(&filler, vec![0; 1_000_000]).unwrap();
        let mut refused = 0;
        while refused < 3 {
            let mut tasks = JoinSet::new();
            for _ in 0..10 {
                let store = store.clone();
                tasks.spawn(async move { store.write(|tx| tx.remember_mail(&big())).await });
            }
            for done in tasks.join_all().await {
                match done {
                    Ok(id) => kept.push(id),
                    Err(StoreError::Full(_)) => refused += 1,
                    Err(other) => panic!("{other:?}"),
                }
            }
        }
        assert!(StoreError::Full(String::new()).is_temporary());
        let read_meanwhile = read(&store, |tx| tx.mails_from(&mail().sender.unwrap(), 1_000)).await;
        assert_eq!(read_meanwhile.len(), kept.len(), "round {round}");
        std::fs::remove_file(&filler).unwrap();
        kept.push(write(&store, |tx| tx.remember_mail(&big())).await);
    }
    store.close().await;
    let store = Store::open(Options::new(Location::Sqlite(folder.path().join("karamail.db")))).await.unwrap();
    let mut found: Vec<_> =
        read(&store, |tx| tx.mails_from(&mail().sender.unwrap(), 1_000)).await.into_iter().map(|row| row.id).collect();
    found.sort();
    kept.sort();
    assert_eq!(found, kept);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_what_waits_during_a_commit_is_committed_together() {
    let place = Place::sqlite();
    let (store, heard) = place.open_heard().await;
    let (begun, has_begun) = std::sync::mpsc::sync_channel(1);
    let (let_go, wait) = std::sync::mpsc::sync_channel::<()>(1);
    let mut tasks = JoinSet::new();
    let handle = store.clone();
    tasks.spawn(async move {
        let work = move |tx: &mut karamail::store::Tx<'_>| {
            begun.send(()).unwrap();
            wait.recv().unwrap();
            tx.record(event("alone"))
        };
        handle.write::<_, StoreError, _>(work).await
    });
    has_begun.recv().unwrap();
    let mut waiting = Vec::new();
    for number in 0..40 {
        let handle = store.clone();
        let mut write = Box::pin(async move { handle.write(move |tx| tx.record(event(&number.to_string()))).await });
        // Polled once: the work has been handed in, in this order.
        let polled = std::future::poll_fn(|context| std::task::Poll::Ready(write.as_mut().poll(context))).await;
        assert!(polled.is_pending());
        waiting.push(write);
    }
    let_go.send(()).unwrap();
    for write in waiting {
        write.await.unwrap();
    }
    tasks.join_next().await.unwrap().unwrap().unwrap();
    let together: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    assert_eq!(*heard.lock().unwrap(), [vec!["alone".to_owned()], together]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_nobody_else_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::sqlite();
    let store = place.open().await;
    write(&store, |tx| tx.enqueue(&order(Class::Otp, 1))).await;
    let Location::Sqlite(path) = &place.location else { panic!("{:?}", place.location) };
    for ending in ["", "-wal", "-shm"] {
        let file = PathBuf::from(format!("{}{ending}", path.display()));
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn sqlite_a_folder_that_is_not_there_or_no_database_is_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Options::new(Location::Sqlite(folder.path().join("none/karamail.db")));
    assert!(matches!(Store::open(missing).await.err(), Some(StoreError::Io(_))));
    let file = folder.path().join("letter.txt");
    std::fs::write(&file, "Dear database,\n".repeat(400)).unwrap();
    assert!(matches!(Store::open(Options::new(Location::Sqlite(file))).await.err(), Some(StoreError::Corrupt(_))));
}

/// Runs as a process of its own, started by the test below in a folder of its own; dies after its fifth commit.
#[cfg(feature = "crash-test")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by the test below"]
async fn sqlite_victim() {
    let mut options = Options::new(Location::Sqlite("karamail.db".into()));
    options.crash_after = Some(5);
    let store = Store::open(options).await.unwrap();
    for number in 0..10 {
        write(&store, move |tx| tx.record(event(&number.to_string()))).await;
        std::fs::write("answered", number.to_string()).unwrap();
    }
}

#[cfg(feature = "crash-test")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_a_crash_after_a_commit_keeps_it_though_nobody_was_answered() {
    use std::os::unix::process::ExitStatusExt;
    let folder = tempfile::tempdir().unwrap();
    let victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "conformance::sqlite_only::sqlite_victim"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(victim.status.signal(), Some(9), "{}", String::from_utf8_lossy(&victim.stdout));
    assert_eq!(std::fs::read_to_string(folder.path().join("answered")).unwrap(), "3");
    let store = Store::open(Options::new(Location::Sqlite(folder.path().join("karamail.db")))).await.unwrap();
    let events = read(&store, |tx| tx.events(&EventFilter::default())).await;
    assert_eq!(events.iter().map(|(_, event)| event.name.as_ref()).collect::<Vec<_>>(), ["0", "1", "2", "3", "4"]);
    assert_eq!(events[0].1.at, at(1));
}
