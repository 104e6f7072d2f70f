//! How long claims last, and whether that of a one-time password still is ours.
//!
//! Where several workers share a store, a one-time password that waits is claimed for a short time and kept often, so that after a
//! crash another worker has it within seconds. Whoever is late with keeping it may have lost it, so before the body of such a mail
//! is written its claim is made to last, in the store; where that cannot be done, the body is not written.
//!
//! Knows nothing of servers. What always holds: what is on its way, or has come to an outcome that is not in the store yet, keeps
//! a long claim, so that a store that is slow or away for a while makes nobody send it twice.

use crate::clock::Clock;
use crate::model::{JobId, Span, Timestamp};
use crate::queue::{Class, Job};
use crate::store::{Store, StoreError};

/// How long a claim lasts; short, so that after a crash nothing waits long, and kept while the work goes on.
const LEASE: Span = Span::from_secs(60);
/// How often claims are kept.
const RENEWAL: Span = Span::from_secs(20);
/// How long that of a one-time password lasts that waits, and how often it is kept.
const CODE: (Span, Span) = (Span::from_secs(10), Span::from_secs(3));
/// How long that of one lasts that is on its way.
const ON_ITS_WAY: Span = Span::from_secs(30);
/// The least that is left of that when its body is begun.
const LEFT: Span = Span::from_secs(20);
/// How often it is looked for claims of workers that are gone: where others work on the store, and where nobody does.
const RECLAIM: (Span, Span) = (Span::from_secs(5), Span::from_secs(60));
/// How long a one-time password that a server is ready for waits for the store to keep its claim.
const PATIENCE: Span = Span::from_secs(10);
/// The first wait before the store is asked again.
const AGAIN: Span = Span::from_millis(100);

/// A claim of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) job: JobId,
    pub(super) fence: i64,
    pub(super) class: Class,
    /// A server is being given the mail, or its outcome is on its way into the store.
    pub(super) under_way: bool,
}

/// What is known of the claim of a mail that is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// It is ours until then.
    Until(Timestamp),
    /// Somebody else may send it.
    Lost,
    /// The store does not say.
    Unknown,
}

/// How long claims of one worker last.
#[derive(Clone)]
pub(super) struct Leases {
    store: Store,
    clock: Clock,
    /// No other worker is on this store.
    alone: bool,
}

impl Leases {
    pub(super) const fn new(store: Store, clock: Clock, alone: bool) -> Self {
        Self { store, clock, alone }
    }

    /// Says how long a claim lasts that is made or kept now.
    pub(super) const fn span(&self, class: Class, under_way: bool) -> Span {
        match class {
            Class::Otp if self.alone => LEASE,
            Class::Otp if under_way => ON_ITS_WAY,
            Class::Otp => CODE.0,
            Class::Alert | Class::Registration | Class::ContactTest | Class::Notice | Class::Report => LEASE,
        }
    }

    /// Says how often all claims are kept, and how often those of one-time passwords are.
    pub(super) const fn renewals(&self) -> (Span, Span) {
        if self.alone { (RENEWAL, RENEWAL) } else { (RENEWAL, CODE.1) }
    }

    /// Says how often it is looked for claims of workers that are gone.
    pub(super) const fn reclaim(&self) -> Span {
        if self.alone { RECLAIM.1 } else { RECLAIM.0 }
    }

    /// Makes the claim of a one-time password last while it is on its way.
    pub(super) async fn secure(&self, job: &Job) -> Hold {
        let Some(lease) = job.lease.as_ref().filter(|_| job.order.class == Class::Otp && !self.alone) else {
            return Hold::Until(Timestamp::from_millis(i64::MAX));
        };
        let securing = async {
            let mut wait = AGAIN;
            loop {
                let until = self.clock.now().plus(ON_ITS_WAY);
                let (owner, claim) = (lease.owner.clone(), [(job.id, lease.fence)]);
                match self.store.write::<_, StoreError, _>(move |tx| tx.extend(&owner, until, &claim)).await {
                    Ok(lost) if lost.is_empty() => return Hold::Until(until),
                    Ok(_) => return Hold::Lost,
                    Err(StoreError::Closed) => return Hold::Unknown,
                    Err(error) => tracing::warn!(job = %job.id, %error, "the claim of a code cannot be kept yet"),
                }
                self.clock.sleep(wait).await;
                wait = wait.plus(wait);
            }
        };
        self.clock.within(self.clock.now().plus(PATIENCE), securing).await.unwrap_or(Hold::Unknown)
    }

    /// Says what is known of a claim that was made to last a while ago, now that the body is to be written.
    pub(super) async fn still(&self, job: &Job, hold: Hold) -> Hold {
        match hold {
            Hold::Until(until) if self.clock.now().plus(LEFT) > until => match self.secure(job).await {
                Hold::Until(until) if self.clock.now().plus(LEFT) > until => Hold::Unknown,
                hold => hold,
            },
            hold => hold,
        }
    }
}
