//! Random operations on jobs, held against a model in memory.

use super::{Place, address, at, order};
use karamail::model::{Domain, JobId, Reply, Span, Stage, Timestamp};
use karamail::queue::{Cause, Class, Job, NewJob, Selection, State};
use karamail::store::{JobFilter, Reclaim, Settlement, Store, StoreError, Tx, Wish};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use std::collections::{BTreeMap, BTreeSet};
use tokio::runtime::Handle;

/// Something done to the queue; numbers that name a job or a claim are taken modulo what there is.
#[derive(Debug, Clone)]
enum Step {
    Enqueue { class: usize, to: usize, due: i64 },
    Claim { limit: usize, lease: i64 },
    Settle { claim: usize, kind: usize, wait: i64 },
    Release { claim: usize },
    Reclaim { all: bool },
    ClaimFor { class: usize, domain: usize, limit: usize },
    ClaimExpired { limit: usize },
    Wake { domain: usize, limit: usize },
    Hand { act: Act, selection: Selection, limit: usize },
    Turn { by: i64 },
}

/// What an operator does.
#[derive(Debug, Clone, Copy)]
enum Act {
    Hold,
    Release,
    Retry,
    Drop,
}

const TO: [&str; 2] = ["a@docomo.ne.jp", "b@ezweb.ne.jp"];

fn domain(index: usize) -> Domain {
    address(TO[index]).domain().clone()
}

fn selection() -> impl Strategy<Value = Selection> {
    let (to, class, ids) = (option::of(0..2usize), option::weighted(0.3, 0..6usize), vec(1..20i64, 0..3));
    (to, class, ids).prop_map(|(to, class, ids)| Selection {
        to: to.map(domain),
        class: class.map(|class| Class::ALL[class]),
        ids: ids.into_iter().map(JobId::new).collect(),
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (0..6usize, 0..2usize, 0..60i64).prop_map(|(class, to, due)| Step::Enqueue { class, to, due }),
        3 => (0..5usize, 1..40i64).prop_map(|(limit, lease)| Step::Claim { limit, lease }),
        4 => (0..50usize, 0..9usize, 0..60i64).prop_map(|(claim, kind, wait)| Step::Settle { claim, kind, wait }),
        1 => (0..50usize).prop_map(|claim| Step::Release { claim }),
        1 => proptest::bool::weighted(0.2).prop_map(|all| Step::Reclaim { all }),
        2 => (0..6usize, 0..2usize, 0..4usize)
            .prop_map(|(class, domain, limit)| Step::ClaimFor { class, domain, limit }),
        1 => (0..4usize).prop_map(|limit| Step::ClaimExpired { limit }),
        1 => (0..2usize, 0..4usize).prop_map(|(domain, limit)| Step::Wake { domain, limit }),
        4 => (prop_oneof![3 => Just(Act::Hold), 2 => Just(Act::Release), 1 => Just(Act::Retry), 1 => Just(Act::Drop)],
            selection(), 0..12usize)
            .prop_map(|(act, selection, limit)| Step::Hand { act, selection, limit }),
        2 => (1..30i64).prop_map(|by| Step::Turn { by }),
        1 => Just(Step::Turn { by: 1_000 }),
    ];
    vec(step, 1..80)
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
    fn claim(&mut self, limit: usize, lease: i64, wanted: impl Fn(&Job) -> bool) -> Vec<JobId> {
        let waits = |job: &&Job| matches!(job.state, State::Queued | State::Deferred | State::Unknown);
        let mut due: Vec<_> = self.jobs.values().filter(waits).filter(|job| job.due <= at(self.now)).collect();
        due.retain(|job| wanted(job));
        due.sort_by_key(|job| (job.order.class, job.due, job.id));
        let ids: Vec<JobId> = due.into_iter().take(limit).map(|job| job.id).collect();
        self.lend(&ids, lease);
        ids
    }

    fn claim_expired(&mut self, limit: usize) -> Vec<JobId> {
        let over = |job: &&Job| !job.state.has_ended() && job.state != State::Sending;
        let mut jobs: Vec<_> = self.jobs.values().filter(over).collect();
        jobs.retain(|job| job.order.give_up <= at(self.now));
        jobs.sort_by_key(|job| (job.order.give_up, job.id));
        let ids: Vec<JobId> = jobs.into_iter().take(limit).map(|job| job.id).collect();
        self.lend(&ids, 20);
        ids
    }

    fn wake(&mut self, domain: &Domain, limit: usize) -> u64 {
        let now = at(self.now);
        let puts_off = |job: &&mut Job| job.state == State::Deferred && job.last_cause == Some(Cause::Throttled);
        let mut jobs: Vec<_> = self.jobs.values_mut().filter(puts_off).collect();
        jobs.retain(|job| job.order.to.domain() == domain && job.due > now);
        jobs.sort_by_key(|job| (job.order.class, job.due, job.id));
        jobs.into_iter().take(limit).map(|job| job.due = now).count() as u64
    }

    /// Does what an operator does; gives how many jobs it was done to, how many were left alone, and the last looked at.
    fn hand(&mut self, act: Act, selection: &Selection, limit: usize) -> (u64, u64, Option<JobId>) {
        let now = at(self.now);
        let open = |job: &&mut Job| !job.state.has_ended() && !selection.is_empty();
        let asked: BTreeSet<JobId> = selection.ids.iter().copied().collect();
        let last = asked.iter().take(limit).max().copied();
        let (mut count, mut under_way, mut looked_at) = (0, 0, last);
        let jobs = self.jobs.values_mut().filter(open).filter(|job| asked.is_empty() || Some(job.id) <= last);
        for job in jobs.take(if asked.is_empty() { limit } else { usize::MAX }) {
            if asked.is_empty() {
                looked_at = Some(job.id);
            }
            if selection.fits(job) {
                under_way += u64::from(job.state == State::Sending);
                count += u64::from(handle(job, act, now));
            }
        }
        (count, under_way, looked_at)
    }

    fn lend(&mut self, ids: &[JobId], lease: i64) {
        let now = at(self.now);
        for id in ids {
            let fence = self.fences.entry(*id).or_default();
            *fence += 1;
            let job = self.jobs.get_mut(id).unwrap();
            job.state = State::Sending;
            add_held(job, now);
            let until = at(self.now + lease);
            job.lease = Some(karamail::queue::Lease { owner: "w".into(), until, fence: *fence });
            self.claims.push((*id, *fence));
        }
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
            7 => Settlement::Defer { due, stage: Stage::Rcpt, reply, cause: Cause::Throttled, at: now },
            _ => Settlement::Defer { due, stage: Stage::Rcpt, reply, cause: Cause::Greylisted, at: now },
        }
    }
}

/// Adds up how long a job was kept back.
fn add_held(job: &mut Job, now: Timestamp) {
    if let Some(since) = job.held_since.take() {
        job.held = job.held.plus(now.since(since));
    }
}

/// Does one thing to one job; says whether it could be done.
fn handle(job: &mut Job, act: Act, now: Timestamp) -> bool {
    let again = job.state != State::Unknown || job.due < job.order.give_up;
    match (act, job.state) {
        (Act::Hold, State::Queued | State::Deferred) => (job.state, job.held_since) = (State::Held, Some(now)),
        (Act::Release, State::Held) => {
            job.state = State::Queued;
            add_held(job, now);
        }
        (Act::Retry, State::Queued | State::Deferred | State::Unknown) if job.due > now && again => job.due = now,
        (Act::Drop, State::Queued | State::Deferred | State::Held | State::Unknown) => {
            job.state = State::Cancelled;
            add_held(job, now);
        }
        _ => return false,
    }
    true
}

/// Does one step to both, and compares what they answer.
fn step(tx: &mut Tx<'_>, model: &mut Model, step: &Step) -> Result<(), StoreError> {
    match *step {
        Step::Enqueue { class, to, due } => {
            let give_up = at(model.now + 200);
            let new = NewJob { give_up, to: address(TO[to]), ..order(Class::ALL[class], model.now + due) };
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
            assert_eq!(claimed.iter().map(|job| job.id).collect::<Vec<_>>(), model.claim(limit, lease, |_| true));
        }
        Step::ClaimFor { class, domain: index, limit } => {
            let (now, class, wanted) = (model.now, Class::ALL[class], domain(index));
            let wish = Wish { class, limit, only: Some(vec![wanted.clone()]) };
            let claimed = tx.claim_some("w", at(now), at(now + 20), 100, &[wish])?;
            let fits = |job: &Job| job.order.class == class && *job.order.to.domain() == wanted;
            let expected = model.claim(limit, 20, fits);
            assert_eq!(claimed.iter().map(|job| job.id).collect::<Vec<_>>(), expected);
        }
        Step::ClaimExpired { limit } => {
            let claimed = tx.claim_expired("w", at(model.now), at(model.now + 20), limit)?;
            assert_eq!(claimed.iter().map(|job| job.id).collect::<Vec<_>>(), model.claim_expired(limit));
        }
        Step::Wake { domain: index, limit } => {
            assert_eq!(tx.wake(&[domain(index)], at(model.now), limit)?, model.wake(&domain(index), limit));
        }
        Step::Hand { act, ref selection, limit } => {
            let (now, all) = (at(model.now), JobId::new(0));
            let touched = match act {
                Act::Hold => tx.hold(selection, now, all, limit)?.0,
                Act::Release => tx.release_held(selection, now, all, limit)?.0,
                Act::Retry => tx.retry_now(selection, now, all, limit)?,
                Act::Drop => tx.drop_jobs(selection, now, all, limit)?.0,
            };
            let expected = model.hand(act, selection, limit);
            assert_eq!((touched.count, touched.under_way, touched.last), expected, "{act:?} {selection:?}");
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
    assert_eq!(
        tx.next_dues()?.into_iter().map(|(_, due)| due).min(),
        model.jobs.values().filter(waits).map(|job| job.due).min()
    );
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
