//! Records what came of a delivery: the state of the job, the lines of the mail log, and what it says about the address.
//!
//! [`plan`] is pure: outcome and class in, settlement out. [`Settler`] writes it down in one transaction.
//!
//! Knows nothing of servers or connections. What always holds: one rule for every outcome, however it came about; all of
//! it is kept or none; a job whose claim was lost meanwhile is left to its new owner; after the final dot of an unknown
//! outcome a one-time password is never sent again, and anything else at most once.

use crate::maillog;
use crate::model::{Reply, Stage, Timestamp};
use crate::queue::retry::{Failure, Schedule};
use crate::queue::{Attempt, Cause, Class, Job, Outcome, State, Verdict};
use crate::random::Random;
use crate::store::{AddressRow, AddressState, EventFilter, Settlement, Store, StoreError, Tx};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Writes down what came of deliveries; clones share the store.
#[derive(Clone)]
pub struct Settler {
    store: Store,
    schedules: Arc<BTreeMap<Class, Schedule>>,
    random: Random,
}

impl Settler {
    /// Takes the store and the waits of each class; a class without an entry has the shipped ones.
    #[must_use]
    pub fn new(store: Store, schedules: BTreeMap<Class, Schedule>, random: Random) -> Self {
        Self { store, schedules: Arc::new(schedules), random }
    }

    /// Records an attempt that ended at `at`; false where the claim was lost meanwhile, and then nothing has changed.
    ///
    /// # Errors
    /// The store could not keep it: the same call may be made again.
    pub async fn settle(&self, job: &Job, attempt: &Attempt, at: Timestamp) -> Result<bool, StoreError> {
        let class = job.order.class;
        let failure = Failure { class, cause: cause_of(&attempt.outcome), count: job.attempts.saturating_add(1) };
        let schedule = self.schedules.get(&class).cloned().unwrap_or_else(|| Schedule::shipped(class));
        let next = schedule.next_due(failure, at, self.random.fraction());
        // Where the next try would come too late the job ends at its time, not after it.
        let next = next.min(job.order.give_up);
        let (job, attempt) = (job.clone(), attempt.clone());
        self.store.write(move |tx| record(tx, &job, &attempt, next, at)).await
    }

    /// Calls a job back before anything was said to a server; false where the claim was lost meanwhile.
    ///
    /// # Errors
    /// The store could not keep it: the same call may be made again.
    pub async fn call_back(&self, job: &Job, why: &'static str, at: Timestamp) -> Result<bool, StoreError> {
        let job = job.clone();
        let settlement = Settlement::End { state: State::Cancelled, stage: None, reply: None, at };
        self.store
            .write(move |tx| {
                let Some(lease) = &job.lease else { return Ok(false) };
                let kept = tx.settle(job.id, &lease.owner, lease.fence, &settlement)?;
                if kept {
                    maillog::cancelled(tx, &job, why, at)?;
                }
                Ok(kept)
            })
            .await
    }
}

/// Says why another try is needed, where one is.
const fn cause_of(outcome: &Outcome) -> Cause {
    match outcome {
        Outcome::Deferred { cause, .. } => *cause,
        Outcome::Accepted(_) | Outcome::Refused { .. } | Outcome::Unknown(_) | Outcome::Expired => Cause::Lost,
    }
}

/// Says what an outcome does to a job. `next` is when another try would be due; `lost_before` says that an earlier attempt
/// was lost after the final dot.
#[must_use]
pub fn plan(class: Class, outcome: &Outcome, next: Timestamp, lost_before: bool, at: Timestamp) -> Settlement {
    let end = |state, last: Option<(Stage, &Reply)>| Settlement::End {
        state,
        stage: last.map(|(stage, _)| stage),
        reply: last.map(|(_, reply)| reply.clone()),
        at,
    };
    match outcome {
        Outcome::Accepted(reply) => end(State::Accepted, Some((Stage::Data, reply))),
        Outcome::Refused { stage, reply, .. } => end(State::Refused, Some((*stage, reply))),
        Outcome::Expired => end(State::Expired, None),
        Outcome::Deferred { stage, reply, cause, .. } => {
            Settlement::Defer { due: next, stage: *stage, reply: reply.clone(), cause: *cause, at }
        }
        Outcome::Unknown(reply) => {
            // A second code would only confuse; anything else is worth a copy, but not one after every lost connection.
            let again = class != Class::Otp && !lost_before;
            Settlement::Unknown { due: again.then_some(next), reply: reply.clone(), at }
        }
    }
}

fn record(tx: &mut Tx<'_>, job: &Job, attempt: &Attempt, next: Timestamp, at: Timestamp) -> Result<bool, StoreError> {
    let Some(lease) = &job.lease else { return Ok(false) };
    let lost_before = matches!(attempt.outcome, Outcome::Unknown(_)) && was_lost(tx, job)?;
    let settlement = plan(job.order.class, &attempt.outcome, next, lost_before, at);
    if !tx.settle(job.id, &lease.owner, lease.fence, &settlement)? {
        return Ok(false);
    }
    log(tx, job, attempt, &settlement, at)?;
    note(tx, job, &attempt.outcome, at)?;
    Ok(true)
}

fn was_lost(tx: &mut Tx<'_>, job: &Job) -> Result<bool, StoreError> {
    let events = tx.events(&EventFilter { job: Some(job.id), ..EventFilter::default() })?;
    Ok(events.iter().any(|(_, event)| event.name == maillog::LOST))
}

fn log(
    tx: &mut Tx<'_>,
    job: &Job,
    attempt: &Attempt,
    settlement: &Settlement,
    at: Timestamp,
) -> Result<(), StoreError> {
    // A job whose time was over before a server was asked was not tried.
    if attempt.outcome != Outcome::Expired || !attempt.mx.is_empty() {
        maillog::attempted(tx, job, attempt, at)?;
    }
    match (&attempt.outcome, settlement) {
        (Outcome::Accepted(reply), _) => maillog::accepted(tx, job, reply, at),
        (Outcome::Refused { stage, reply, verdict }, _) => maillog::refused(tx, job, *stage, reply, *verdict, at),
        (Outcome::Expired, _) => maillog::expired(tx, job, at),
        (Outcome::Deferred { stage, reply, cause, .. }, Settlement::Defer { due, .. }) => {
            maillog::deferred(tx, job, *stage, reply, *cause, *due, at)
        }
        (_, Settlement::Unknown { due, reply, .. }) => maillog::lost(tx, job, reply, *due, at),
        (Outcome::Deferred { .. } | Outcome::Unknown(_), _) => Ok(()),
    }
}

/// Notes what the outcome says about the address.
fn note(tx: &mut Tx<'_>, job: &Job, outcome: &Outcome, at: Timestamp) -> Result<(), StoreError> {
    let Some(said) = Said::of(outcome) else { return Ok(()) };
    let known = tx.address(&job.order.to)?;
    let before = known.as_ref().map_or(AddressState::New, |row| row.state);
    let state = said.state(before);
    tx.note_address(&AddressRow {
        address: job.order.to.clone(),
        state,
        verdict: said.verdict,
        stage: Some(said.stage),
        reply: Some(format!("{} {}", said.reply.code, said.reply)),
        at: Some(at),
        verified_at: known.as_ref().and_then(|row| row.verified_at),
        unknown_day: known.and_then(|row| row.unknown_day),
    })?;
    if state != before && (is_bad(state) || is_bad(before)) {
        maillog::marked(tx, &job.order.to, state.as_str(), at)?;
    }
    Ok(())
}

/// The part of an outcome that is about the address.
struct Said<'a> {
    stage: Stage,
    reply: &'a Reply,
    verdict: Option<Verdict>,
}

impl<'a> Said<'a> {
    fn of(outcome: &'a Outcome) -> Option<Self> {
        match outcome {
            Outcome::Accepted(reply) => Some(Self { stage: Stage::Data, reply, verdict: None }),
            Outcome::Refused { stage, reply, verdict } => Some(Self { stage: *stage, reply, verdict: Some(*verdict) }),
            Outcome::Deferred { stage, reply, cause: Cause::Full, .. } => {
                Some(Self { stage: *stage, reply, verdict: Some(Verdict::Full) })
            }
            Outcome::Deferred { .. } | Outcome::Unknown(_) | Outcome::Expired => None,
        }
    }

    fn state(&self, before: AddressState) -> AddressState {
        match (before, self.verdict) {
            // Only an operator lifts this one.
            (AddressState::Suppressed, _) => before,
            // That somebody reads it says more than that a server takes it.
            (AddressState::Verified, None) => before,
            (_, None) => AddressState::Accepted,
            (_, Some(Verdict::UnknownUser)) => AddressState::Unreachable,
            (_, Some(Verdict::Filtered)) => AddressState::Filtered,
            (_, Some(Verdict::Full)) => AddressState::Full,
            (
                _,
                Some(
                    Verdict::SuspendedUser
                    | Verdict::Throttled
                    | Verdict::TooLarge
                    | Verdict::Policy
                    | Verdict::OurFault
                    | Verdict::Outage
                    | Verdict::Unclear,
                ),
            ) => before,
        }
    }
}

const fn is_bad(state: AddressState) -> bool {
    match state {
        AddressState::New | AddressState::Verified | AddressState::Accepted => false,
        AddressState::Filtered | AddressState::Full | AddressState::Unreachable | AddressState::Suppressed => true,
    }
}

#[cfg(test)]
mod tests;
