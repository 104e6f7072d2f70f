//! Prints the mail log to standard error, which under systemd is the journal, and tells who waits for news that there are
//! some.
//!
//! Knows nothing of what the events mean. What always holds: the storage thread never waits for a slow reader of standard
//! error; lines that find no room are left out and counted, and stay in the store, where `karamail log` reads them.

use crate::maillog::{self, Format};
use crate::store::{Event, Observer};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use tokio::sync::{Notify, watch};

/// How many commits' lines may wait for standard error.
const WAITING: usize = 10_000;

/// What the commits of the store set going.
pub(super) struct News {
    /// Hears of each commit; to be given to the store.
    pub(super) observer: Observer,
    /// Is woken when a mail was put into the queue.
    pub(super) queued: Arc<Notify>,
    /// Changes with each commit that has events.
    pub(super) commits: watch::Receiver<u64>,
    /// Ends when everything has been printed and the observer is gone.
    pub(super) printer: JoinHandle<()>,
}

/// Starts the thread that prints.
///
/// # Errors
/// The system gives no thread.
pub(super) fn start(format: Format) -> std::io::Result<News> {
    let (sender, receiver) = sync_channel::<String>(WAITING);
    let lost = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&lost);
    let printer = std::thread::Builder::new().name("maillog".to_owned()).spawn(move || print(&receiver, &counted))?;
    let (changed, commits) = watch::channel(0);
    let queued = Arc::new(Notify::new());
    let wake = Arc::clone(&queued);
    let observer: Observer = Arc::new(move |events: &[Event]| {
        if events.is_empty() {
            return;
        }
        if events.iter().any(|event| event.name == maillog::QUEUED) {
            wake.notify_one();
        }
        changed.send_modify(|number| *number += 1);
        hand_over(&sender, &lost, events, format);
    });
    Ok(News { observer, queued, commits, printer })
}

fn hand_over(sender: &SyncSender<String>, lost: &AtomicU64, events: &[Event], format: Format) {
    let mut lines = String::new();
    for event in events {
        lines.push_str(&maillog::line(event, format));
        lines.push('\n');
    }
    if sender.try_send(lines).is_err() {
        lost.fetch_add(events.len() as u64, Ordering::Relaxed);
    }
}

fn print(lines: &Receiver<String>, lost: &AtomicU64) {
    while let Ok(mut text) = lines.recv() {
        // Whatever waits goes out in one piece.
        text.extend(lines.try_iter());
        // Where standard error is closed there is nobody left to tell.
        drop(std::io::stderr().lock().write_all(text.as_bytes()));
        match lost.swap(0, Ordering::Relaxed) {
            0 => {}
            lines => tracing::warn!(lines, "standard error was too slow for the mail log; `karamail log` has it whole"),
        }
    }
}
