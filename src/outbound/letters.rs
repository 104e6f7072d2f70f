//! Mails that were written before their turn, since somebody waits for them and they wait for a connection.
//!
//! Knows nothing of how a mail is written. What always holds: each is written once, whoever asks first; a mail that was not asked
//! for soon after is forgotten, and their number has a bound.

use crate::model::{JobId, Span, Timestamp};
use crate::service::compose::Outgoing;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::OnceCell;

/// How many are kept at a time.
const KEPT: usize = 100;
/// For how long what was written holds: an address may be struck off meanwhile.
const FRESH: Span = Span::from_secs(5);

/// A mail that is being written, or was.
pub(super) type Letter = Arc<OnceCell<Outgoing>>;

/// The mails that were begun to be written.
#[derive(Default)]
pub(super) struct Letters(Mutex<HashMap<JobId, (Timestamp, Letter)>>);

impl Letters {
    /// Makes room for a mail; nothing where there are too many, or it is there already.
    pub(super) fn begin(&self, job: JobId, now: Timestamp) -> Option<Letter> {
        let mut letters = self.lock();
        letters.retain(|_, (at, _)| now < at.plus(FRESH));
        if letters.len() >= KEPT || letters.contains_key(&job) {
            return None;
        }
        let letter = Letter::default();
        letters.insert(job, (now, Arc::clone(&letter)));
        Some(letter)
    }

    /// Takes a mail that was begun not long ago.
    pub(super) fn take(&self, job: JobId, now: Timestamp) -> Option<Letter> {
        let (at, letter) = self.lock().remove(&job)?;
        (now < at.plus(FRESH)).then_some(letter)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, (Timestamp, Letter)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_letter_is_begun_once_and_taken_once_while_it_is_fresh() {
        let letters = Letters::default();
        let begun = letters.begin(JobId::new(1), at(0)).unwrap();
        assert!(letters.begin(JobId::new(1), at(1)).is_none());
        assert!(letters.take(JobId::new(1), at(4_999)).is_some_and(|taken| Arc::ptr_eq(&taken, &begun)));
        assert!(letters.take(JobId::new(1), at(4_999)).is_none());
        assert!(letters.begin(JobId::new(2), at(0)).is_some());
        assert!(letters.take(JobId::new(2), at(5_000)).is_none());
    }

    #[test]
    fn their_number_has_a_bound_and_old_ones_make_room() {
        let letters = Letters::default();
        let kept = (0..200).filter(|job| letters.begin(JobId::new(*job), at(0)).is_some()).count();
        assert_eq!(kept, KEPT);
        assert!(letters.begin(JobId::new(300), at(5_000)).is_some());
    }
}
