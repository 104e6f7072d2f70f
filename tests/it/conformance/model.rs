//! Random operations on jobs, held against a model in memory.

use super::{Place, at, order};
use karamail::model::{JobId, Reply, Span, Stage};
use karamail::queue::{Cause, Class, Job, NewJob, State};
use karamail::store::{JobFilter, Reclaim, Settlement, Store, StoreError, Tx};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;
use tokio::runtime::Handle;

/// Something done to the queue; numbers that name a job or a claim are taken modulo what there is.
#[derive(Debug, Clone)]
enum Step {
    Enqueue { class: usize, due: i64 },
    Claim { limit: usize, lease: i64 },
    Settle { claim: usize, kind: usize, wait: i64 },
    Release { claim: usize },
    Reclaim { all: bool },
    Turn { by: i64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..6usize, 0..60i64).prop_map(|(class, due)| Step::Enqueue { class, due }),
        3 => (0..5usize, 1..40i64).prop_map(|(limit, lease)| Step::Claim { limit, lease }),
        4 => (0..50usize, 0..8usize, 0..60i64).prop_map(|(claim, kind, wait)| Step::Settle { claim, kind, wait }),
        1 => (0..50usize).prop_map(|claim| Step::Release { claim }),
        1 => proptest::bool::weighted(0.2).prop_map(|all| Step::Reclaim { all }),
        2 => (1..30i64).prop_map(|by| Step::Turn { by }),
        1 => Just(Step::Turn { by: 1_000 }),
    ];
    vec(step, 1..60)
}

/// What the queue should look like.
#[derive(Default)]
struct Model {
    now: i64,
    jobs: BTreeMap<JobId, Job>,
    fences: BTreeMap<JobId, i64>,
    /// Every claim ever made, lost ones too.
    claims: Vec<(JobId, i64)>,
}

impl Model {
    fn claim(&mut self, limit: usize, lease: i64) -> Vec<JobId> {
        let waits = |job: &&Job| matches!(job.state, State::Queued | State::Deferred | State::Unknown);
        let mut due: Vec<_> = self.jobs.values().filter(waits).filter(|job| job.due <= at(self.now)).collect();
        due.sort_by_key(|job| (job.order.class, job.due, job.id));
        let ids: Vec<JobId> = due.into_iter().take(limit).map(|job| job.id).collect();
        for id in &ids {
            let fence = self.fences.entry(*id).or_default();
            *fence += 1;
            let job = self.jobs.get_mut(id).unwrap();
            job.state = State::Sending;
            let until = at(self.now + lease);
            job.lease = Some(karamail::queue::Lease { owner: "w".into(), until, fence: *fence });
            self.claims.push((*id, *fence));
        }
        ids
    }

    /// Finds the job of a claim that still holds.
    fn holding(&mut self, (id, fence): (JobId, i64)) -> Option<&mut Job> {
        let job = self.jobs.get_mut(&id).unwrap();
        job.lease.as_ref().is_some_and(|lease| lease.fence == fence).then_some(job)
    }

    fn settle(&mut self, claim: (JobId, i64), settlement: &Settlement) -> bool {
        let Some(job) = self.holding(claim) else { return false };
        job.lease = None;
        match settlement {
            Settlement::End { state, stage, reply, .. } => {
                job.state = *state;
                job.attempts += u32::from(matches!(state, State::Accepted | State::Refused));
                job.last = stage.zip(reply.clone()).or(job.last.clone());
            }
            Settlement::Defer { due, stage, reply, cause, .. } => {
                (job.state, job.due, job.last) = (State::Deferred, *due, Some((*stage, reply.clone())));
                job.last_cause = Some(*cause);
                job.attempts += 1;
            }
            Settlement::Unknown { due, reply, .. } => {
                (job.state, job.last) = (State::Unknown, Some((Stage::Data, reply.clone())));
                job.due = due.unwrap_or(job.order.give_up);
                job.last_cause = Some(Cause::Lost);
                job.attempts += 1;
            }
        }
        true
    }

    fn reclaim(&mut self, all: bool) -> Vec<JobId> {
        let now = at(self.now);
        let lost = |job: &&mut Job| job.lease.as_ref().is_some_and(|lease| all || lease.until <= now);
        self.jobs
            .values_mut()
            .filter(lost)
            .map(|job| {
                (job.state, job.lease) = (State::Queued, None);
                job.id
            })
            .collect()
    }

    fn settlement(&self, kind: usize, wait: i64) -> Settlement {
        let (due, reply, now) = (at(self.now + wait), Reply::new(450, "4.2.0 no"), at(self.now));
        let end = |state, reply: Option<Reply>| Settlement::End {
            state,
            stage: reply.as_ref().map(|_| Stage::Mail),
            reply,
            at: now,
        };
        match kind {
            0 => end(State::Accepted, Some(Reply::new(250, "2.0.0 Ok"))),
            1 => end(State::Refused, Some(Reply::new(550, "no such user"))),
            2 => end(State::Expired, None),
            3 => end(State::Suppressed, None),
            4 => end(State::Cancelled, None),
            5 => Settlement::Unknown { due: Some(due), reply, at: now },
            6 => Settlement::Unknown { due: None, reply, at: now },
            _ => Settlement::Defer { due, stage: Stage::Rcpt, reply, cause: Cause::Greylisted, at: now },
        }
    }
}

/// Does one step to both, and compares what they answer.
fn step(tx: &mut Tx<'_>, model: &mut Model, step: &Step) -> Result<(), StoreError> {
    match *step {
        Step::Enqueue { class, due } => {
            let new = NewJob { give_up: at(model.now + 200), ..order(Class::ALL[class], model.now + due) };
            let id = tx.enqueue(&new)?;
            let job = Job {
                id,
                due: new.due,
                order: new,
                state: State::Queued,
                attempts: 0,
                lease: None,
                last: None,
                last_cause: None,
                held_since: None,
                held: Span::default(),
            };
            model.jobs.insert(id, job);
        }
        Step::Claim { limit, lease } => {
            let now = model.now;
            let claimed = tx.claim("w", at(now), at(now + lease), limit)?;
            assert_eq!(claimed.iter().map(|job| job.id).collect::<Vec<_>>(), model.claim(limit, lease));
        }
        Step::Settle { claim, kind, wait } if !model.claims.is_empty() => {
            let claim = model.claims[claim % model.claims.len()];
            let settlement = model.settlement(kind, wait);
            assert_eq!(tx.settle(claim.0, "w", claim.1, &settlement)?, model.settle(claim, &settlement));
        }
        Step::Release { claim } if !model.claims.is_empty() => {
            let claim = model.claims[claim % model.claims.len()];
            let held = model.holding(claim).map(|job| (job.state, job.lease) = (State::Queued, None));
            assert_eq!(tx.release(claim.0, "w", claim.1)?, held.is_some());
        }
        Step::Reclaim { all } => {
            let which = if all { Reclaim::All } else { Reclaim::Expired };
            assert_eq!(tx.reclaim(at(model.now), which)?, model.reclaim(all));
        }
        Step::Turn { by } => model.now += by,
        Step::Settle { .. } | Step::Release { .. } => {}
    }
    Ok(())
}

/// Compares everything that can be seen of the queue.
fn compare(tx: &mut Tx<'_>, model: &Model) -> Result<(), StoreError> {
    for (id, job) in &model.jobs {
        assert_eq!(tx.job(*id)?.as_ref(), Some(job));
    }
    let mut listed = tx.list_jobs(&JobFilter::default())?;
    listed.extend(tx.list_jobs(&JobFilter { ended: true, ..JobFilter::default() })?);
    assert_eq!(listed.len(), model.jobs.len());
    let waits = |job: &&Job| matches!(job.state, State::Queued | State::Deferred | State::Unknown);
    assert_eq!(tx.next_due()?, model.jobs.values().filter(waits).map(|job| job.due).min());
    Ok(())
}

async fn run(store: Store, steps: Vec<Step>) -> Result<(), StoreError> {
    let work = move |tx: &mut Tx<'_>| {
        let mut model = Model::default();
        for one in &steps {
            step(tx, &mut model, one)?;
        }
        compare(tx, &model)
    };
    let done = store.write(work).await;
    store.close().await;
    done
}

pub async fn any_sequence_of_operations_on_jobs_goes_as_the_model_says(place: Place) {
    let config = Config { cases: 40, failure_persistence: None, ..Config::default() };
    let done = tokio::task::block_in_place(|| {
        TestRunner::new(config).run(&steps(), |steps| {
            let fresh = place.another();
            let done = Handle::current().block_on(async { run(fresh.open().await, steps).await });
            // Where the model and the store disagree, the work has panicked; the message is above.
            done.map_err(|error| proptest::test_runner::TestCaseError::fail(error.to_string()))
        })
    });
    done.unwrap();
}
