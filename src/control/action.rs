//! What an operator does to waiting jobs, a page at a time.
//!
//! Knows nothing of how jobs are kept. What always holds: nothing given means nothing done; between two pages others get
//! their turn, so that no one-time password waits for the whole; a job that was claimed and of which no server has heard is
//! given back and acted on in one transaction, so that no worker claims it again in between.

use super::desk::{Desk, Stop, named, refused};
use super::{Action, Choice, Recalled, Response, SelectedFacts, TouchedFacts};
use crate::maillog;
use crate::model::{JobId, Timestamp};
use crate::queue::Selection;
use crate::store::{StoreError, Touched, Tx};

/// How many jobs a page looks at.
const PAGE: usize = 1_000;

impl Desk {
    /// Counts what is meant, by class.
    pub(super) async fn selected(&self, which: Choice) -> Result<Response, Stop> {
        let selection = read(which)?;
        let found = self.store.read::<_, StoreError, _>(move |tx| tx.selected(&selection)).await?;
        let facts = found.into_iter().map(|(class, count, oldest)| SelectedFacts {
            class: class.to_string(),
            count,
            oldest: oldest.to_string(),
        });
        Ok(Response::Selected(facts.collect()))
    }

    /// Does something to all that is meant.
    pub(super) async fn act(&self, action: Action, which: Choice) -> Result<Response, Stop> {
        let (selection, at) = (read(which)?, self.clock.now());
        let mut done = TouchedFacts { touched: self.act_on_claimed(action, &selection, at).await?, under_way: 0 };
        let mut after = Some(JobId::new(0));
        while let Some(behind) = after {
            let meant = selection.clone();
            let work = move |tx: &mut Tx<'_>| act(tx, action, &meant, at, behind);
            let page = self.store.write::<_, StoreError, _>(work).await?;
            done.touched += page.count;
            done.under_way += page.under_way;
            after = page.last;
        }
        match (&self.live, action) {
            (Some(live), Action::Release | Action::Retry) if done.touched > 0 => live.wake(),
            _ => {}
        }
        Ok(Response::Touched(done))
    }

    /// Does it to jobs that delivery has claimed and not begun.
    async fn act_on_claimed(&self, action: Action, selection: &Selection, at: Timestamp) -> Result<u64, Stop> {
        let (Some(live), Action::Hold | Action::Drop) = (&self.live, action) else { return Ok(0) };
        let Recalled { owner, claims } = live.recall(selection);
        let mut touched = 0;
        for page in claims.chunks(PAGE) {
            let (owner, claims) = (owner.clone(), page.to_vec());
            let ids = Selection { ids: page.iter().map(|(job, _)| *job).collect(), ..Selection::default() };
            let work = move |tx: &mut Tx<'_>| {
                claims.iter().try_for_each(|(job, fence)| tx.release(*job, &owner, *fence).map(drop))?;
                act(tx, action, &ids, at, JobId::new(0))
            };
            touched += self.store.write::<_, StoreError, _>(work).await?.count;
        }
        Ok(touched)
    }
}

/// Acts on one page, and writes down what happened to each job.
fn act(
    tx: &mut Tx<'_>,
    action: Action,
    selection: &Selection,
    at: Timestamp,
    behind: JobId,
) -> Result<Touched, StoreError> {
    match action {
        Action::Hold => {
            let (touched, jobs) = tx.hold(selection, at, behind, PAGE)?;
            jobs.iter().try_for_each(|job| maillog::held(tx, job, at))?;
            Ok(touched)
        }
        Action::Release => {
            let (touched, jobs) = tx.release_held(selection, at, behind, PAGE)?;
            jobs.iter().try_for_each(|job| maillog::released(tx, job, at))?;
            Ok(touched)
        }
        Action::Retry => tx.retry_now(selection, at, behind, PAGE),
        Action::Drop => {
            let (touched, jobs) = tx.drop_jobs(selection, at, behind, PAGE)?;
            jobs.iter().try_for_each(|job| maillog::cancelled(tx, job, "operator", at))?;
            Ok(touched)
        }
    }
}

fn read(which: Choice) -> Result<Selection, Stop> {
    let selection = Selection { to: named(which.to)?, class: named(which.class)?, ids: which.ids };
    if selection.is_empty() {
        return Err(refused("say which: --to DOMAIN, --class CLASS or ids of jobs"));
    }
    Ok(selection)
}
