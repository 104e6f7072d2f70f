//! What all couriers share: how mails are written, maybe before their turn, and how outcomes get into the store.
//!
//! Knows nothing of connections. What always holds: an outcome is handed in until the store has kept it.

use super::errand::ours;
use super::leases::Leases;
use super::letters::Letters;
use super::line::Servers;
use super::outbox::Outbox;
use super::pool::Pool;
use super::sign::{SignError, Signer};
use crate::clock::Clock;
use crate::model::Span;
use crate::queue::{Attempt, Cause, Job, Outcome};
use crate::service::compose::{ComposeError, Composed, Composer, Outgoing, Unwanted};
use crate::service::settle::Settler;
use crate::store::{Store, StoreError};
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
    pub(super) store: Store,
    pub(super) pool: Arc<Pool>,
    pub(super) leases: Leases,
    pub(super) composer: Composer,
    pub(super) signer: Signer,
    pub(super) letters: Letters,
    pub(super) settler: Settler,
    pub(super) exit: Exit,
}

/// Why a mail is not written.
pub(super) enum NotWritten {
    /// It is not to be sent.
    Unwanted(Unwanted),
    /// We could not; it waits.
    Ours(Outcome),
}

#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Compose(#[from] ComposeError),
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl WriteError {
    const fn cause(&self) -> Cause {
        match self {
            Self::Sign(SignError::Key { .. } | SignError::Missing | SignError::Signing(_)) => Cause::NoKey,
            Self::Sign(SignError::Stopped) | Self::Compose(_) => Cause::Ours,
        }
    }
}

impl Office {
    /// Writes the mail before its turn.
    pub(super) async fn prepare(&self, job: &Job) {
        if let Some(letter) = self.letters.begin(job.id, self.clock.now()) {
            // What goes wrong is told when it is its turn.
            drop(letter.get_or_try_init(|| self.compose(job)).await);
        }
    }

    /// Composes and signs the mail, unless that was done before its turn.
    pub(super) async fn write(&self, job: &Job) -> Result<Outgoing, NotWritten> {
        match self.letters.take(job.id, self.clock.now()) {
            Some(letter) => letter.get_or_try_init(|| self.compose(job)).await.cloned(),
            None => self.compose(job).await,
        }
    }

    async fn compose(&self, job: &Job) -> Result<Outgoing, NotWritten> {
        match self.written(job).await {
            Ok(Composed::Mail(mail)) => Ok(mail),
            Ok(Composed::Unwanted(why)) => Err(NotWritten::Unwanted(why)),
            Err(error) => {
                tracing::error!(job = %job.id, %error, "a mail cannot be written; it waits");
                Err(NotWritten::Ours(ours(error.cause(), &format!("the mail cannot be written: {error}"))))
            }
        }
    }

    async fn written(&self, job: &Job) -> Result<Composed, WriteError> {
        Ok(match self.composer.compose(job).await? {
            Composed::Mail(mail) => {
                let message = self.signer.sign(mail.message).await?;
                Composed::Mail(Outgoing { message, ..mail })
            }
            unwanted @ Composed::Unwanted(_) => unwanted,
        })
    }
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
