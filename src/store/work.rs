//! Work handed to the storage threads: a closure over [`Tx`], and somebody who waits for its result.
//!
//! Knows nothing of databases. What always holds: whoever handed work in is answered exactly once, also where the work
//! panicked or its batch failed; a panic stays inside.

use crate::store::{Event, Observer, StoreError, Tx};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot};

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

/// Where work waits; the threads of one kind share it.
pub(super) struct Queue(Mutex<mpsc::Receiver<Waiting>>);

impl Queue {
    pub(super) const fn new(waiting: mpsc::Receiver<Waiting>) -> Self {
        Self(Mutex::new(waiting))
    }

    /// Waits for the next piece of work; nothing, once nobody can hand in more and nothing waits.
    pub(super) fn next(&self) -> Option<Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv()
    }

    /// Waits for work and takes what waits behind it, up to `most` in all, without waiting for more.
    pub(super) fn group(&self, most: usize) -> Option<Vec<Waiting>> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut group = vec![waiting.blocking_recv()?];
        while group.len() < most {
            let Ok(next) = waiting.try_recv() else { break };
            group.push(next);
        }
        Some(group)
    }
}

/// Tells the observer what was committed; whatever it does, the thread goes on.
pub(super) fn observe(observer: &Observer, events: &[Event]) {
    if !events.is_empty() && catch_unwind(AssertUnwindSafe(|| observer(events))).is_err() {
        tracing::error!("the observer of the mail log panicked");
    }
}
