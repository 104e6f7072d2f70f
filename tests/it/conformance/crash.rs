//! Dying between two commits: what the `crash-test` feature does.

use super::{at, event, read, write};
use karamail::store::{EventFilter, Location, Options, Store};
use std::process::Command;

/// Runs as a process of its own, started by the test below in a folder of its own; dies after its fifth commit.
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_a_crash_after_a_commit_keeps_it_though_nobody_was_answered() {
    use std::os::unix::process::ExitStatusExt;
    let folder = tempfile::tempdir().unwrap();
    let victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "conformance::crash::sqlite_victim"])
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
