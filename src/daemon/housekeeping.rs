//! Clears away, in small steps, what has outlived its use.
//!
//! Knows nothing of what the rows mean beyond how long they are kept. What always holds: a step is short, so that no mail
//! waits behind it, and trouble is told and tried again at the next round.

use crate::clock::Clock;
use crate::model::{Span, Timestamp};
use crate::service::session;
use crate::store::{Store, StoreError, Tx};
use tokio::sync::watch;

/// How often it is looked.
const ROUND: Span = Span::from_secs(600);
/// Rows of a step.
const STEP: usize = 500;
/// Ended jobs can be looked up for this long.
const HISTORY: Span = Span::from_secs(90 * 86_400);
/// A mail is recognised as seen before for this long: longer than any server tries (RFC 5321 4.5.4.1: four to five days).
const SEEN: Span = Span::from_secs(10 * 86_400);

/// Failed logins count for this long after the wait they brought was over.
const FAILURES: Span = Span::from_secs(86_400);

/// Removes up to a number of rows of one kind that are too old at a moment; gives how many it were.
type Sweep = fn(&mut Tx<'_>, Timestamp, usize) -> Result<u64, StoreError>;

const SWEEPS: [Sweep; 5] = [
    |tx, now, limit| tx.trim_history(now.minus(HISTORY), limit),
    |tx, now, limit| tx.trim_seen_mails(now.minus(SEEN), limit),
    |tx, now, limit| tx.trim_budgets(now, limit),
    |tx, now, limit| tx.trim_login_failures(now.minus(FAILURES), limit),
    |tx, now, limit| tx.trim_sessions(now.minus(session::IDLE), now.minus(session::ABSOLUTE), limit),
];

/// Clears away until `stop` turns true.
pub(super) async fn run(store: Store, clock: Clock, mut stop: watch::Receiver<bool>) {
    loop {
        for sweep in SWEEPS {
            if let Err(error) = whole(&store, sweep, clock.now()).await {
                tracing::warn!(%error, "what is too old could not be cleared away; next try in ten minutes");
            }
        }
        tokio::select! {
            _ = stop.wait_for(|stopping| *stopping) => return,
            () = clock.sleep(ROUND) => {}
        }
    }
}

/// Repeats a sweep until it finds less than a whole step.
async fn whole(store: &Store, sweep: Sweep, now: Timestamp) -> Result<(), StoreError> {
    while store.write::<_, StoreError, _>(move |tx| sweep(tx, now, STEP)).await? == STEP as u64 {}
    Ok(())
}
