//! One-time passwords that are being ordered: what can wait does so until they are claimed.
//!
//! What always holds: it does not wait for long, as their order may come to nothing.

use super::Pool;
use crate::model::Span;

/// How long a mail that can wait does so for a one-time password whose order is being written down.
const COMING: Span = Span::from_millis(10);

impl Pool {
    /// All urgent mail was claimed for whose order was begun by the time at which that many were counted.
    pub(in crate::outbound) fn claimed_up_to(&self, coming: u64) {
        self.claimed.send_if_modified(|claimed| {
            let grows = *claimed < coming;
            *claimed = coming.max(*claimed);
            grows
        });
    }

    /// Waits until all urgent mail was claimed for of which that many were counted; not for long, as their order may have
    /// come to nothing.
    pub(in crate::outbound) async fn claims_up_to(&self, coming: u64) {
        let mut claimed = self.claimed.subscribe();
        let claim = claimed.wait_for(|claimed| *claimed >= coming);
        if self.clock.within(self.clock.now().plus(COMING), claim).await.is_err() {
            // Nobody else waits for it.
            self.claimed_up_to(coming);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::model::Timestamp;
    use crate::outbound::Limits;
    use crate::random::Random;
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    fn pool() -> (Arc<Pool>, Clock) {
        let clock = Clock::turned_by_hand(Timestamp::from_millis(0));
        (Pool::new(Limits::default(), Box::new(|_| None), clock.clone(), Random::repeating(5)), clock)
    }

    #[tokio::test]
    async fn a_mail_that_can_wait_does_so_until_the_code_that_was_ordered_is_claimed() {
        let (pool, _) = pool();
        pool.claims_up_to(0).await;
        let mut waits = pin!(pool.claims_up_to(2));
        let mut looks = || waits.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(looks(), Poll::Pending);
        pool.claimed_up_to(1);
        assert_eq!(looks(), Poll::Pending);
        pool.claimed_up_to(2);
        assert_eq!(looks(), Poll::Ready(()));
        // A claim that was begun before and ends after says nothing new.
        pool.claimed_up_to(1);
        pool.claims_up_to(2).await;
    }

    #[tokio::test]
    async fn a_code_whose_order_came_to_nothing_is_waited_for_once_and_not_for_long() {
        let (pool, clock) = pool();
        let turned = async {
            tokio::task::yield_now().await;
            clock.turn(COMING);
        };
        tokio::join!(pool.claims_up_to(3), turned);
        pool.claims_up_to(3).await;
    }
}
