//! Records what came of a delivery: the state of the job, the lines of the mail log, and what it says about the address.
//!
//! [`plan`] is pure: outcome and class in, settlement out. [`Settler`] writes it down in one transaction.
//!
//! Knows nothing of servers or connections. What always holds: one rule for every outcome, however it came about; all of
//! it is kept or none; a job whose claim was lost meanwhile is left to its new owner; after the final dot of an unknown
//! outcome a one-time password is never sent again, and anything else at most once; an address is struck off only after the
//! verdict `unknown-user` on two days, with nothing between them that shows its mailbox.

use crate::maillog;
use crate::model::{EmailAddress, LocalForm, Reply, Stage, Timestamp};
use crate::queue::retry::{Failure, Schedule};
use crate::queue::{Attempt, Cause, Class, Job, Outcome, State, Verdict};
use crate::random::Random;
use crate::service::audit::{self, By, Entry};
use crate::service::compose::Unwanted;
use crate::store::{AddressRow, AddressState, EventFilter, Settlement, Store, StoreError, Tx};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Writes down what came of deliveries; clones share the store.
#[derive(Clone)]
pub struct Settler {
    store: Store,
    schedules: Arc<RwLock<BTreeMap<Class, Schedule>>>,
    random: Random,
}

impl Settler {
    /// Takes the store and the waits of each class; a class without an entry has the shipped ones.
    #[must_use]
    pub fn new(store: Store, schedules: BTreeMap<Class, Schedule>, random: Random) -> Self {
        Self { store, schedules: Arc::new(RwLock::new(schedules)), random }
    }

    /// Takes other waits for all classes, from the next failure on.
    pub fn reschedule(&self, schedules: BTreeMap<Class, Schedule>) {
        *self.schedules.write().unwrap_or_else(PoisonError::into_inner) = schedules;
    }

    fn schedule(&self, class: Class) -> Schedule {
        let schedules = self.schedules.read().unwrap_or_else(PoisonError::into_inner);
        schedules.get(&class).cloned().unwrap_or_else(|| Schedule::shipped(class))
    }

    /// Records an attempt that ended at `at`; false where the claim was lost meanwhile, and then nothing has changed.
    ///
    /// # Errors
    /// The store could not keep it: the same call may be made again.
    pub async fn settle(&self, job: &Job, attempt: &Attempt, at: Timestamp) -> Result<bool, StoreError> {
        let class = job.order.class;
        let failure = Failure { class, cause: cause_of(&attempt.outcome), count: job.attempts.saturating_add(1) };
        let next = self.schedule(class).next_due(failure, at, self.random.fraction());
        // Where the next try would come too late the job ends at its time, not after it.
        let next = next.min(job.order.give_up);
        let (job, attempt) = (job.clone(), attempt.clone());
        self.store.write(move |tx| record(tx, &job, &attempt, next, at)).await
    }

    /// Ends a job before anything was said to a server; false where the claim was lost meanwhile.
    ///
    /// # Errors
    /// The store could not keep it: the same call may be made again.
    pub async fn drop_unsent(&self, job: &Job, why: Unwanted, at: Timestamp) -> Result<bool, StoreError> {
        let job = job.clone();
        let state = match why {
            Unwanted::Pointless(_) => State::Cancelled,
            Unwanted::Suppressed => State::Suppressed,
        };
        let settlement = Settlement::End { state, stage: None, reply: None, at };
        self.store
            .write(move |tx| {
                let Some(lease) = &job.lease else { return Ok(false) };
                let kept = tx.settle(job.id, &lease.owner, lease.fence, &settlement)?;
                match why {
                    _ if !kept => {}
                    Unwanted::Pointless(reason) => maillog::cancelled(tx, &job, reason, at)?,
                    Unwanted::Suppressed => maillog::suppressed(tx, &job, at)?,
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
    if let Some(form) = attempt.form {
        tx.note_raw_local(job.order.to.domain(), form == LocalForm::Raw)?;
    }
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
    let unknown_day = known.as_ref().and_then(|row| row.unknown_day);
    let (state, unknown_day) = said.leaves(before, unknown_day, at.day_jst());
    tx.note_address(&AddressRow {
        address: job.order.to.clone(),
        state,
        verdict: said.verdict,
        stage: Some(said.stage),
        reply: Some(format!("{} {}", said.reply.code, said.reply)),
        at: Some(at),
        verified_at: known.and_then(|row| row.verified_at),
        unknown_day,
    })?;
    if state != before && (is_bad(state) || is_bad(before)) {
        maillog::marked(tx, &job.order.to, state.as_str(), at)?;
    }
    if state != before && is_bad(state) { audit_bounce(tx, &job.order.to, state, at) } else { Ok(()) }
}

/// Records what is held against an address from now on, for each member whose it is.
fn audit_bounce(tx: &mut Tx<'_>, address: &EmailAddress, state: AddressState, at: Timestamp) -> Result<(), StoreError> {
    for (member, place) in tx.members_at(address)? {
        let entry = Entry::of(audit::ADDRESS_BOUNCED, &member, By::Anybody).place(place).address(address);
        audit::record(tx, entry.field("state", state.as_str()), at)?;
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

    /// Says what is known of the address afterwards: its state, and the day on which it was unknown first. Days are those
    /// of Japan's calendar: two refusals of one evening may be one trouble of the carrier's, and whoever is struck off for
    /// it hears no alert.
    const fn leaves(&self, before: AddressState, unknown: Option<i64>, today: i64) -> (AddressState, Option<i64>) {
        let Some(verdict) = self.verdict else {
            return match before {
                // Only its owner or an operator lifts this one.
                AddressState::Suppressed => (before, unknown),
                // That somebody reads it says more than that a server takes it.
                AddressState::Verified => (before, None),
                AddressState::New
                | AddressState::Accepted
                | AddressState::Filtered
                | AddressState::Full
                | AddressState::Unreachable => (AddressState::Accepted, None),
            };
        };
        match (before, verdict) {
            (AddressState::Suppressed, _) => (before, unknown),
            (_, Verdict::UnknownUser) => match unknown {
                Some(first) if first < today => (AddressState::Suppressed, unknown),
                Some(_) => (AddressState::Unreachable, unknown),
                None => (AddressState::Unreachable, Some(today)),
            },
            // A filter and a full mailbox have an owner.
            (_, Verdict::Filtered) => (AddressState::Filtered, None),
            (_, Verdict::Full) => (AddressState::Full, None),
            (
                _,
                Verdict::SuspendedUser
                | Verdict::Throttled
                | Verdict::TooLarge
                | Verdict::Policy
                | Verdict::OurFault
                | Verdict::Outage
                | Verdict::Unclear,
            ) => (before, unknown),
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
