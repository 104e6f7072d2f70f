//! What all couriers share, and how the outcomes they bring get into the store.
//!
//! Knows nothing of connections. What always holds: an outcome is handed in until the store has kept it.

use super::line::Servers;
use super::outbox::Outbox;
use super::pool::Pool;
use super::sign::Signer;
use crate::clock::Clock;
use crate::model::Span;
use crate::queue::{Attempt, Job};
use crate::service::compose::{Composer, Unwanted};
use crate::service::settle::Settler;
use crate::store::StoreError;
use std::sync::Arc;

/// The first and the longest wait before an outcome that could not be kept is handed in again.
const PATIENCE: (Span, Span) = (Span::from_millis(100), Span::from_secs(5));
/// The wait where the store says that trying again will not help: somebody has to mend it first.
const MENDING: Span = Span::from_secs(60);

/// Which way mails leave.
pub(super) enum Exit {
    /// By SMTP.
    Servers(Box<Servers>),
    /// Into a folder.
    Outbox(Outbox),
}

/// What all couriers share.
pub(super) struct Office {
    pub(super) clock: Clock,
    pub(super) pool: Arc<Pool>,
    pub(super) composer: Composer,
    pub(super) signer: Signer,
    pub(super) settler: Settler,
    pub(super) exit: Exit,
}

/// Writes down what came of an attempt.
pub(super) async fn keep(office: Arc<Office>, job: Job, attempt: Attempt) {
    let at = office.clock.now();
    insist(&office, &job, || office.settler.settle(&job, &attempt, at)).await;
}

/// Writes down that a job ends before anything was said to a server.
pub(super) async fn drop_unsent(office: Arc<Office>, job: Job, why: Unwanted) {
    let at = office.clock.now();
    insist(&office, &job, || office.settler.drop_unsent(&job, why, at)).await;
}

/// Hands an outcome in until the store has kept it: a mail that was given away and not recorded would be given away again,
/// and so would one whose claim were let go.
async fn insist<F>(office: &Office, job: &Job, mut hand_in: impl FnMut() -> F)
where
    F: Future<Output = Result<bool, StoreError>>,
{
    let (mut wait, longest) = PATIENCE;
    let mut said = false;
    loop {
        match hand_in().await {
            Ok(kept) => {
                if !kept {
                    tracing::warn!(job = %job.id, "the claim was lost before the outcome was recorded");
                }
                break;
            }
            Err(StoreError::Closed) => break,
            Err(error) if !error.is_temporary() => {
                if !said {
                    tracing::error!(job = %job.id, %error, "an outcome cannot be recorded until the store is mended");
                    said = true;
                }
                office.clock.sleep(MENDING).await;
            }
            Err(error) => {
                tracing::error!(job = %job.id, %error, "an outcome cannot be recorded yet");
                office.clock.sleep(wait).await;
                wait = wait.plus(wait).min(longest);
            }
        }
    }
    office.pool.settled(job);
}
