//! What only a file can do: fill the disk, be read by others, be one writer's.

use super::{Place, event, hand_in, mail, order, read, write};
use karamail::model::MailId;
use karamail::queue::Class;
use karamail::store::{Location, NewMail, Options, Store, StoreError};
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
    // What the first round freed, its last mail and the log have partly taken by the second.
    for (round, size) in [1_000_000, 700_000].into_iter().enumerate() {
        let filled = std::fs::write(&filler, vec![0; size]).map_err(|error| error.kind());
        // How far the log has been copied back by now leaves more or less room.
        assert!(matches!(filled, Ok(()) | Err(std::io::ErrorKind::StorageFull)), "{filled:?}");
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
        let probe = kept.clone();
        let there =
            read(&store, move |tx| probe.iter().map(|id| Ok(tx.mail(*id)?.is_some())).collect::<Result<Vec<_>, _>>());
        assert!(there.await.into_iter().all(|there| there), "round {round}");
        std::fs::remove_file(&filler).unwrap();
        kept.push(write(&store, |tx| tx.remember_mail(&big())).await);
    }
    store.close().await;
    let store = Store::open(Options::new(Location::Sqlite(folder.path().join("karamail.db")))).await.unwrap();
    kept.sort();
    let last = kept.last().unwrap().number();
    let found = read(&store, move |tx| {
        let all = (1..=last + 100).map(MailId::new);
        all.filter_map(|id| tx.mail_raw(id).transpose().map(|raw| raw.map(|_| id))).collect::<Result<Vec<_>, _>>()
    });
    // Every mail that was taken is whole, and none that was refused is there.
    assert_eq!(found.await, kept);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_what_waits_during_a_commit_is_committed_together() {
    let place = Place::sqlite();
    let (store, heard) = place.open_heard().await;
    let (begun, has_begun) = std::sync::mpsc::sync_channel(1);
    let (let_go, wait) = std::sync::mpsc::sync_channel::<()>(1);
    let alone = hand_in(&store, move |tx| {
        begun.send(()).unwrap();
        wait.recv().unwrap();
        tx.record(event("alone"))
    });
    let mut tasks = JoinSet::from_iter([alone.await]);
    has_begun.recv().unwrap();
    for number in 0..40 {
        tasks.spawn(hand_in(&store, move |tx| tx.record(event(&number.to_string()))).await);
    }
    let_go.send(()).unwrap();
    assert!(tasks.join_all().await.iter().all(Result::is_ok));
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
