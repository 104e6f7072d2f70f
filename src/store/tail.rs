//! The mail log read on as it grows.
//!
//! A row gets its number when it is written and is seen once it is committed: where several write side by side, it may
//! appear behind later ones. So numbers that were left out are looked for again. What always holds: a row that is committed
//! within [`PATIENCE`] of a later one is read once, and none is read twice.

use crate::model::{Span, Timestamp};
use crate::store::{Event, EventFilter, StoreError, Tx};

/// How long a number that was left out is looked for: longer than the server lets a transaction live.
const PATIENCE: Span = Span::from_secs(300);
/// The most holes that are looked at again; where there are more, the oldest are given up.
const HOLES: usize = 500;

/// Where a reader of the mail log stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    last: i64,
    holes: Vec<Hole>,
}

/// Numbers that were left out, from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hole {
    first: i64,
    last: i64,
    since: Timestamp,
}

impl Tail {
    /// Begins behind a row; behind number 0 with the first there is.
    #[must_use]
    pub const fn behind(row: i64) -> Self {
        Self { last: row, holes: Vec::new() }
    }

    /// Begins behind rows that were read at `now`, oldest first.
    #[must_use]
    pub fn of(rows: &[i64], now: Timestamp) -> Self {
        rows.first().map_or(Self::behind(0), |first| Self::behind(first - 1).read(rows, now))
    }

    /// Says where the reader stands after these rows, oldest first.
    fn read(mut self, rows: &[i64], now: Timestamp) -> Self {
        let is_young = |hole: &Hole| now.since(hole.since) < PATIENCE;
        self.holes = self.holes.into_iter().filter(is_young).flat_map(|hole| hole.without(rows)).collect();
        let before = self.last;
        for row in rows.iter().copied().filter(|row| *row > before) {
            if row > self.last + 1 {
                self.holes.push(Hole { first: self.last + 1, last: row - 1, since: now });
            }
            self.last = row;
        }
        let too_many = self.holes.len().saturating_sub(HOLES);
        self.holes.drain(..too_many);
        self
    }
}

impl Hole {
    /// Gives what is left of it once these rows are there, oldest first.
    fn without(self, rows: &[i64]) -> Vec<Self> {
        let mut left = Vec::new();
        let mut first = self.first;
        for row in rows.iter().copied().filter(|row| (self.first..=self.last).contains(row)) {
            left.push(Self { first, last: row - 1, ..self });
            first = row + 1;
        }
        left.push(Self { first, ..self });
        left.retain(|hole| hole.first <= hole.last);
        left
    }
}

impl Tx<'_> {
    /// Reads on: at most `limit` events that were not read before, and where the reader stands behind them.
    ///
    /// # Errors
    /// The database failed.
    pub fn read_on(&mut self, tail: &Tail, now: Timestamp, limit: usize) -> Result<(Vec<Event>, Tail), StoreError> {
        let mut found: Vec<(i64, Event)> = Vec::new();
        let holes = tail.holes.iter().map(|hole| (hole.first - 1, Some(hole.last)));
        for (after, up_to) in holes.chain([(tail.last, None)]) {
            let limit = limit.saturating_sub(found.len());
            let filter = EventFilter { after: Some(after), up_to, limit, ..EventFilter::default() };
            found.append(&mut self.events(&filter)?);
        }
        found.sort_by_key(|(row, _)| *row);
        let rows: Vec<i64> = found.iter().map(|(row, _)| *row).collect();
        Ok((found.into_iter().map(|(_, event)| event).collect(), tail.clone().read(&rows, now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn holes(tail: &Tail) -> Vec<(i64, i64)> {
        tail.holes.iter().map(|hole| (hole.first, hole.last)).collect()
    }

    #[test]
    fn numbers_that_were_left_out_are_looked_for_until_they_come_or_never_will() {
        let tail = Tail::of(&[5, 6, 9], at(0));
        assert_eq!((tail.last, holes(&tail)), (9, vec![(7, 8)]));
        let tail = tail.read(&[14], at(100));
        assert_eq!((tail.last, holes(&tail)), (14, vec![(7, 8), (10, 13)]));
        let tail = tail.read(&[8, 11, 12, 15], at(200));
        assert_eq!((tail.last, holes(&tail)), (15, vec![(7, 7), (10, 10), (13, 13)]));
        let tail = tail.read(&[], at(299)).read(&[7], at(299));
        assert_eq!(holes(&tail), [(10, 10), (13, 13)]);
        assert_eq!(holes(&tail.clone().read(&[], at(399))), [(10, 10), (13, 13)]);
        assert_eq!(holes(&tail.read(&[], at(400))), []);
        assert_eq!(Tail::of(&[], at(0)), Tail::behind(0));
    }

    #[test]
    fn no_more_holes_are_kept_than_can_be_looked_at() {
        let rows: Vec<i64> = (0..2_000).map(|row| row * 2).collect();
        let tail = Tail::of(&rows, at(0));
        assert_eq!((tail.holes.len(), tail.holes.last().map(|hole| hole.first)), (HOLES, Some(3_997)));
    }
}
