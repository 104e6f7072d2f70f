//! How many jobs there are that have not ended: for whom, how urgent, where they stand, how old.
//!
//! Every job is looked at, which is for people and their instruments to wait for: it belongs on a reader. What always
//! holds: the jobs are gone through in stretches, so that memory grows with the number of domains and not of jobs.

use crate::model::{Domain, JobId, Timestamp};
use crate::queue::{Class, State};
use crate::store::sql::{Param, Row, params};
use crate::store::{StoreError, Tx};
use std::collections::HashMap;

/// The ages, in minutes, below which jobs are counted together, as Postfix's `qshape` does; the rest is older.
pub const AGES: [i64; 9] = [5, 10, 20, 40, 80, 160, 320, 640, 1_280];
/// How many jobs are counted at a time.
const STRETCH: usize = 20_000;

/// The jobs for one domain, of one class, in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crowd {
    /// Whose addresses they go to.
    pub domain: Domain,
    /// How urgent they are.
    pub class: Class,
    /// Where they stand.
    pub state: State,
    /// How many were ordered less than each of [`AGES`] ago, and not less than the one before; at the end, those that are
    /// older than all.
    pub ages: [u64; AGES.len() + 1],
    /// When the oldest of them was ordered.
    pub oldest: Timestamp,
}

impl Crowd {
    /// Gives how many they are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.ages.iter().sum()
    }
}

/// Counts a stretch of jobs behind `?1`. The moments of [`AGES`] follow from `?3`.
fn stretch_sql() -> String {
    let ages: Vec<String> =
        (0..AGES.len()).map(|index| format!("WHEN queued_at > ?{} THEN {index}", index + 3)).collect();
    format!(
        "SELECT domain, class_rank, state, age, COUNT(*), MIN(queued_at), MAX(id) FROM \
         (SELECT id, domain, class_rank, state, queued_at, CAST(CASE {} ELSE {} END AS BIGINT) AS age \
         FROM jobs WHERE id > ?1 ORDER BY id LIMIT ?2) AS stretch GROUP BY domain, class_rank, state, age",
        ages.join(" "),
        AGES.len()
    )
}

/// Jobs of one age among those of one stretch.
struct Part {
    crowd: (Domain, Class, State),
    age: usize,
    count: u64,
    oldest: Timestamp,
    last: JobId,
}

fn read(row: &Row<'_>) -> Result<Part, StoreError> {
    let age: u16 = row.get(3)?;
    Ok(Part {
        crowd: (row.get(0)?, row.get(1)?, row.get(2)?),
        age: usize::from(age),
        count: row.get(4)?,
        oldest: row.get(5)?,
        last: row.get(6)?,
    })
}

impl Tx<'_> {
    /// Counts all jobs that have not ended as they stand at `now`, by domain, class and state in the order of their names.
    ///
    /// # Errors
    /// The database failed.
    pub fn crowds(&mut self, now: Timestamp) -> Result<Vec<Crowd>, StoreError> {
        let sql = stretch_sql();
        let moments = AGES.map(|minutes| Param::from(now.millis().saturating_sub(minutes * 60_000)));
        let mut crowds: HashMap<(Domain, Class, State), Crowd> = HashMap::new();
        let mut after = Some(JobId::new(0));
        while let Some(behind) = after {
            let values: Vec<Param<'_>> = params![behind, STRETCH].iter().chain(&moments).cloned().collect();
            let parts = self.query(&sql, &values, read)?;
            after = parts.iter().map(|part| part.last).max();
            for part in parts {
                add(&mut crowds, part);
            }
        }
        let mut crowds: Vec<Crowd> = crowds.into_values().collect();
        crowds.sort_by(|one, other| order(one).cmp(&order(other)));
        Ok(crowds)
    }

    /// Counts the jobs that have not ended by class and state, each with the moment at which its oldest was ordered.
    ///
    /// # Errors
    /// The database failed.
    pub fn waiting_counts(&mut self) -> Result<Vec<(Class, State, u64, Timestamp)>, StoreError> {
        let mut counts: HashMap<(Class, State), (u64, Timestamp)> = HashMap::new();
        for crowd in self.crowds(Timestamp::default())? {
            let (count, oldest) = counts.entry((crowd.class, crowd.state)).or_insert((0, crowd.oldest));
            *count += crowd.count();
            *oldest = crowd.oldest.min(*oldest);
        }
        let mut counts: Vec<_> =
            counts.into_iter().map(|((class, state), (n, oldest))| (class, state, n, oldest)).collect();
        counts.sort_by_key(|(class, state, ..)| (*class, state.as_str()));
        Ok(counts)
    }
}

fn order(crowd: &Crowd) -> (&Domain, Class, &str) {
    (&crowd.domain, crowd.class, crowd.state.as_str())
}

fn add(crowds: &mut HashMap<(Domain, Class, State), Crowd>, part: Part) {
    let (domain, class, state) = part.crowd.clone();
    let empty = Crowd { domain, class, state, ages: [0; AGES.len() + 1], oldest: part.oldest };
    let crowd = crowds.entry(part.crowd).or_insert(empty);
    crowd.oldest = crowd.oldest.min(part.oldest);
    if let Some(count) = crowd.ages.get_mut(part.age) {
        *count += part.count;
    }
}
