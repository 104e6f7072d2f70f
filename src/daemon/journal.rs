//! Prints the mail log to standard error, which under systemd is the journal, and tells who waits for news that there are
//! some; every event is counted on the way.
//!
//! Knows nothing of what the events mean. What always holds: the storage thread never waits for a slow reader of standard
//! error; lines that find no room are left out and counted, and stay in the store, where `karamail log` reads them.

use crate::api::Ledger;
use crate::maillog::{self, Format};
use crate::store::{Event, Observer};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use tokio::sync::{Notify, watch};

/// How many commits' lines may wait for standard error, and how many octets they may have together.
const WAITING: usize = 10_000;
const OCTETS: usize = 4 << 20;
/// After these events somebody has to look when the next mail is due.
const DUE: [&str; 3] = [maillog::QUEUED, maillog::DEFERRED, maillog::LOST];

/// What the commits of the store set going.
pub(super) struct News {
    /// Hears of each commit; to be given to the store.
    pub(super) observer: Observer,
    /// Is woken when a mail was put into the queue, or back into it.
    pub(super) queued: Arc<Notify>,
    /// Changes with each commit that has events.
    pub(super) commits: watch::Receiver<u64>,
    /// Ends when everything has been printed and the observer is gone.
    pub(super) printer: JoinHandle<()>,
}

/// Starts the thread that prints; as JSON for as long as `json` says so.
///
/// # Errors
/// The system gives no thread.
pub(super) fn start(json: Arc<AtomicBool>, ledger: Arc<Ledger>) -> std::io::Result<News> {
    let (sender, receiver) = sync_channel::<String>(WAITING);
    let tally = Arc::new(Tally::default());
    let counted = Arc::clone(&tally);
    let printer = std::thread::Builder::new().name("maillog".to_owned()).spawn(move || print(&receiver, &counted))?;
    let (changed, commits) = watch::channel(0);
    let queued = Arc::new(Notify::new());
    let wake = Arc::clone(&queued);
    let observer: Observer = Arc::new(move |events: &[Event]| {
        if events.is_empty() {
            return;
        }
        if events.iter().any(|event| DUE.contains(&event.name.as_ref())) {
            wake.notify_one();
        }
        changed.send_modify(|number| *number += 1);
        ledger.note(events);
        let format = if json.load(Ordering::Relaxed) { Format::Json } else { Format::Text };
        hand_over(&sender, &tally, events, format);
    });
    Ok(News { observer, queued, commits, printer })
}

/// What waits for standard error, and what found no room.
#[derive(Default)]
struct Tally {
    octets: AtomicUsize,
    lost: AtomicU64,
}

fn hand_over(sender: &SyncSender<String>, tally: &Tally, events: &[Event], format: Format) {
    let mut lines = String::new();
    for event in events {
        lines.push_str(&maillog::line(event, format));
        lines.push('\n');
    }
    let octets = lines.len();
    let waiting = tally.octets.fetch_add(octets, Ordering::Relaxed);
    if waiting > OCTETS || sender.try_send(lines).is_err() {
        tally.octets.fetch_sub(octets, Ordering::Relaxed);
        tally.lost.fetch_add(events.len() as u64, Ordering::Relaxed);
    }
}

fn print(lines: &Receiver<String>, tally: &Tally) {
    while let Ok(mut text) = lines.recv() {
        // Whatever waits goes out in one piece; it is bounded.
        text.extend(lines.try_iter());
        // Where standard error is closed there is nobody left to tell.
        drop(std::io::stderr().lock().write_all(text.as_bytes()));
        tally.octets.fetch_sub(text.len(), Ordering::Relaxed);
        match tally.lost.swap(0, Ordering::Relaxed) {
            0 => {}
            lines => tracing::warn!(lines, "standard error was too slow for the mail log; `karamail log` has it whole"),
        }
    }
}
