//! Work that is carried through although whoever asked for it went away, as a browser does that reloads.
//!
//! Knows nothing of the work. What always holds: once begun, an errand is run to its end while the daemon runs; it can see
//! that nobody waits for its outcome any more, and is no later a burden than until the next one begins.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Where errands are run; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Errands(Arc<Mutex<JoinSet<()>>>);

/// Whoever asked.
#[derive(Debug, Clone)]
pub struct Asker(Weak<()>);

impl Asker {
    /// Says whether nobody waits any more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.0.strong_count() == 0
    }
}

impl Errands {
    /// Runs `errand` to its end and gives its outcome; nothing where it panicked or the daemon ends.
    pub async fn run<T, F>(&self, errand: impl FnOnce(Asker) -> F) -> Option<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let waits = Arc::new(());
        let errand = errand(Asker(Arc::downgrade(&waits)));
        let (done, outcome) = oneshot::channel();
        {
            let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            while let Some(ended) = running.try_join_next() {
                if let Err(cause) = ended {
                    tracing::error!(%cause, "an errand broke off");
                }
            }
            running.spawn(async move {
                if done.send(errand.await).is_err() {
                    tracing::debug!("nobody waited for the outcome of an errand");
                }
            });
        }
        let outcome = outcome.await.ok();
        drop(waits);
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_errand_is_run_to_its_end_and_sees_that_nobody_waits() {
        let errands = Errands::default();
        assert_eq!(errands.run(|asker| async move { (7, asker.is_gone()) }).await, Some((7, false)));
        let (begin, begun) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        let mut asking = Box::pin(errands.run(move |asker| async move {
            assert!(begun.await.is_ok());
            assert!(tell.send(asker.is_gone()).is_ok());
        }));
        assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(asking.as_mut().poll(cx).is_pending())).await);
        drop(asking);
        assert!(begin.send(()).is_ok());
        assert_eq!(told.await, Ok(true));
    }

    #[tokio::test]
    async fn an_errand_that_panics_has_no_outcome() {
        assert_eq!(Errands::default().run(|_| async { assert!(std::hint::black_box(false)) }).await, None);
    }
}
