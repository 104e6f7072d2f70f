//! The only reader of the time.
//!
//! Everything that waits or stamps is handed a [`Clock`]. A test hands in one that it turns by hand, and every deadline,
//! retry and expiry follows. Clones share the same hands.

use crate::model::{Span, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::sync::watch;

/// Tells the time and waits for a moment to come.
#[derive(Debug, Clone)]
pub struct Clock(Hands);

#[derive(Debug, Clone)]
enum Hands {
    System,
    Turned(Arc<Turned>),
}

#[derive(Debug)]
struct Turned {
    now: AtomicI64,
    moved: watch::Sender<()>,
}

impl Clock {
    /// Makes the clock on the wall.
    #[must_use]
    pub const fn system() -> Self {
        Self(Hands::System)
    }

    /// Makes a clock that stands at `start` until [`Clock::turn`] or [`Clock::turn_back`] moves it.
    #[must_use]
    pub fn turned_by_hand(start: Timestamp) -> Self {
        let (moved, _) = watch::channel(());
        Self(Hands::Turned(Arc::new(Turned { now: AtomicI64::new(start.millis()), moved })))
    }

    /// Reads the time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Hands::System => Timestamp::from_millis(jiff_now()),
            Hands::Turned(turned) => Timestamp::from_millis(turned.now.load(Ordering::SeqCst)),
        }
    }

    /// Moves a clock that is turned by hand forward; the clock on the wall ignores it.
    pub fn turn(&self, span: Span) {
        if let Hands::Turned(turned) = &self.0 {
            turned.now.fetch_add(span.millis(), Ordering::SeqCst);
            turned.moved.send_replace(());
        }
    }

    /// Moves a clock that is turned by hand back, as a clock on the wall is that went wrong; the one on the wall ignores it.
    pub fn turn_back(&self, span: Span) {
        if let Hands::Turned(turned) = &self.0 {
            turned.now.fetch_sub(span.millis(), Ordering::SeqCst);
            turned.moved.send_replace(());
        }
    }

    /// Waits until `moment` has come.
    #[expect(clippy::disallowed_methods, reason = "the one place that may wait for the wall clock")]
    pub async fn sleep_until(&self, moment: Timestamp) {
        match &self.0 {
            Hands::System => tokio::time::sleep(moment.since(self.now()).to_std()).await,
            Hands::Turned(turned) => {
                let mut moved = turned.moved.subscribe();
                while turned.now.load(Ordering::SeqCst) < moment.millis() {
                    if moved.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
            }
        }
    }

    /// Waits for `span` to pass.
    pub async fn sleep(&self, span: Span) {
        self.sleep_until(self.now().plus(span)).await;
    }

    /// Waits for `work`, but no longer than until `deadline`.
    ///
    /// # Errors
    /// The deadline came first; `work` has been dropped.
    pub async fn within<F: Future>(&self, deadline: Timestamp, work: F) -> Result<F::Output, TooLate> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = self.sleep_until(deadline) => Err(TooLate),
        }
    }
}

/// The deadline came before the work was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the time allowed for it was over")]
pub struct TooLate;

#[expect(clippy::disallowed_methods, reason = "the one place that may read the time")]
fn jiff_now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_clock_turned_by_hand_wakes_who_waits_for_that_moment() {
        let clock = Clock::turned_by_hand(Timestamp::from_millis(0));
        let other = clock.clone();
        let mut tasks = tokio::task::JoinSet::new();
        let waiter = tasks.spawn(async move {
            other.sleep(Span::from_secs(60)).await;
            other.now()
        });
        tokio::task::yield_now().await;
        clock.turn(Span::from_secs(59));
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        clock.turn(Span::from_secs(1));
        assert_eq!(tasks.join_next().await.unwrap().unwrap(), Timestamp::from_millis(60_000));
    }

    #[tokio::test]
    async fn work_past_its_deadline_is_dropped() {
        let clock = Clock::turned_by_hand(Timestamp::from_millis(0));
        let deadline = Timestamp::from_millis(10);
        assert_eq!(clock.within(deadline, async { 7 }).await, Ok(7));
        clock.turn(Span::from_millis(10));
        assert_eq!(clock.within(deadline, std::future::pending::<()>()).await, Err(TooLate));
    }
}
