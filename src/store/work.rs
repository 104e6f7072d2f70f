//! Work handed to the storage threads: a closure over [`Tx`], and somebody who waits for its result.
//!
//! Knows nothing of databases. What always holds: whoever handed work in is answered exactly once, also where the work
//! panicked or its batch failed; a panic stays inside.

use crate::store::{StoreError, Tx};
use std::panic::{AssertUnwindSafe, catch_unwind};
use tokio::sync::oneshot;

/// Work whose types have been forgotten.
pub(super) trait Work: Send {
    /// Runs the closure; says whether what it wrote is to be kept.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;
    /// Tells who waits what came of it.
    fn answer(self: Box<Self>);
    /// Tells who waits that the database could not do it.
    fn fail(self: Box<Self>, error: StoreError);
}

/// Work that waits for its turn.
pub(super) type Waiting = Box<dyn Work>;

/// A closure, its result, and who waits for it.
pub(super) struct Job<T, E, F> {
    work: F,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Job<T, E, F> {
    /// Takes the closure in; the result arrives at the other end.
    pub(super) fn new(work: F) -> (Self, oneshot::Receiver<Result<T, E>>) {
        let (reply, answer) = oneshot::channel();
        (Self { work, result: None, reply }, answer)
    }
}

impl<T, E, F> Work for Job<T, E, F>
where
    F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send,
    E: From<StoreError> + Send,
    T: Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        let result = catch_unwind(AssertUnwindSafe(|| (self.work)(tx))).unwrap_or_else(|_| {
            tracing::error!("a transaction panicked and was undone");
            Err(StoreError::Panicked.into())
        });
        let result = match (result, tx.trouble()) {
            (Ok(_), Some(error)) => Err(error.clone().into()),
            (result, _) => result,
        };
        let keep = result.is_ok();
        self.result = Some(result);
        keep
    }

    fn answer(self: Box<Self>) {
        let result = self.result.unwrap_or_else(|| Err(StoreError::Closed.into()));
        if self.reply.send(result).is_err() {
            tracing::debug!("nobody waited for a transaction any more");
        }
    }

    fn fail(self: Box<Self>, error: StoreError) {
        if self.reply.send(Err(error.into())).is_err() {
            tracing::debug!("nobody waited for a transaction that failed");
        }
    }
}

/// Takes what waits behind `first`, up to `most` in all, without waiting for more.
pub(super) fn batch(first: Waiting, queue: &mut tokio::sync::mpsc::Receiver<Waiting>, most: usize) -> Vec<Waiting> {
    let mut batch = vec![first];
    while batch.len() < most {
        let Ok(next) = queue.try_recv() else { break };
        batch.push(next);
    }
    batch
}
