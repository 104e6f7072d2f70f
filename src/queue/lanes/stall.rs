//! Destinations at which nothing moves: what they may keep in memory while there is little room for others.
//!
//! Knows nothing of how much room there is. What always holds: a lane keeps something to send when its destination moves again,
//! and as mails are answered one soon after the other it has its whole window back; one answer now and then brings nothing back,
//! so that jobs do not go to and fro.

use super::{Lanes, Place};
use crate::model::{Span, Timestamp};
use crate::queue::Job;
use crate::queue::destination::Name;

/// How long no mail is answered at a destination at which nothing moves.
const STALLED: Span = Span::from_secs(2);
/// The most jobs that a lane of it keeps.
const FEW: usize = 20;

impl Lanes {
    /// Lets destinations at which nothing moves keep `most` jobs in all, a few in each lane; gives the others, the last ones of
    /// each lane, which are to be given back to the store, unsent.
    pub fn shrink(&mut self, most: usize, now: Timestamp) -> Vec<Job> {
        let stalled = self.places.iter().filter(|(_, place)| place.is_stalled(now));
        let stalled: Vec<(Name, usize)> = stalled.map(|(name, place)| (name.clone(), place.lanes_in_use())).collect();
        let lanes: usize = stalled.iter().map(|(_, lanes)| lanes).sum();
        let few = (most / lanes.max(1)).clamp(1, FEW);
        let mut back = Vec::new();
        for (name, _) in stalled {
            if let Some(place) = self.places.get_mut(&name) {
                place.shrink(few, &mut back);
            }
            self.refresh(&name, now);
        }
        back
    }

    /// Says whether the lanes of a destination may keep less than the others'.
    #[must_use]
    pub fn is_short(&self, to: &Name) -> bool {
        self.places.get(to).is_some_and(|place| place.few.is_some())
    }
}

impl Place {
    /// A mail was answered: what the lanes may keep doubles where another was not long before.
    pub(super) fn moves(&mut self, usual: usize, now: Timestamp) {
        if self.moved.plus(STALLED) > now {
            self.few = self.few.map(|few| few * 2).filter(|few| *few < usual);
        }
        self.moved = now;
    }

    fn is_stalled(&self, now: Timestamp) -> bool {
        !self.is_empty() && self.moved.plus(STALLED) <= now
    }

    fn lanes_in_use(&self) -> usize {
        self.lanes.iter().filter(|lane| !lane.is_empty()).count()
    }

    fn shrink(&mut self, few: usize, back: &mut Vec<Job>) {
        self.few = Some(few);
        for lane in &mut self.lanes {
            while lane.len() > few {
                back.extend(lane.pop_last().map(|(_, job)| job));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Class;
    use crate::queue::destination::Limits;
    use crate::queue::lanes::tests::job;
    use crate::queue::lanes::{Bounds, Take};
    use crate::queue::pace::Signal;

    const BEGIN: Timestamp = Timestamp::from_millis(15 * 60_000);

    /// Two destinations of which each is being sent a mail and has 49 more.
    fn two() -> (Lanes, Name, Name) {
        let (ill, well) = (Name::new("ill"), Name::new("well"));
        let usual = Limits { connections: 1, messages_per_connection: 100, rate: None };
        let mut lanes = Lanes::new(Bounds { connections: 9, window: 60, usual });
        for (to, first) in [(&ill, 1), (&well, 100)] {
            (first..first + 50).for_each(|id| drop(lanes.offer(to, None, job(id, Class::Alert), BEGIN)));
            let (name, reason) = lanes.open(BEGIN).unwrap();
            lanes.opened(&name, BEGIN);
            lanes.stands(&name, &reason, BEGIN);
            assert!(matches!(lanes.take(to, BEGIN), Take::Job(..)));
        }
        (lanes, ill, well)
    }

    #[test]
    fn where_nothing_moves_a_few_are_kept_and_fewer_where_that_is_so_at_many() {
        let (mut lanes, ill, well) = two();
        let now = BEGIN.plus(STALLED);
        assert!(lanes.shrink(100, now.minus(Span::from_millis(1))).is_empty());
        lanes.ended(&well, Some((Signal::Accepted, 0)), now, 0.5);
        assert_eq!(lanes.shrink(100, now).len(), 29);
        assert_eq!((lanes.waiting(&ill, Class::Alert), lanes.waiting(&well, Class::Alert)), (20, 49));
        assert_eq!((lanes.room(&ill, Class::Alert, now), lanes.room(&well, Class::Alert, now)), (0, 11));
        assert!(lanes.is_short(&ill) && !lanes.is_short(&well) && lanes.is_any_full(Class::Alert, now));
        let back: Vec<i64> = lanes.shrink(5, now).iter().map(|job| job.id.number()).collect();
        assert_eq!((back.len(), back[0], back[14]), (15, 21, 7));
        // The first one is sent, so there is always one to send.
        assert_eq!((lanes.shrink(0, now).len(), lanes.waiting(&ill, Class::Alert)), (4, 1));
    }

    #[test]
    fn what_moves_again_has_its_window_back_answer_by_answer() {
        let (mut lanes, ill, _) = two();
        let mut now = BEGIN.plus(STALLED);
        lanes.shrink(10, now);
        assert_eq!(lanes.waiting(&ill, Class::Alert), 5);
        let mut answered = |signal, later: Span| {
            now = now.plus(later);
            lanes.ended(&ill, Some((signal, 0)), now, 0.5);
            lanes.room(&ill, Class::Alert, now)
        };
        // One answer does not make it well, nor does a connection that breaks.
        assert_eq!(answered(Signal::Answered, STALLED), 0);
        assert_eq!(answered(Signal::Answered, STALLED), 0);
        assert_eq!(answered(Signal::Broken, Span::from_millis(1)), 0);
        for room in [5, 15, 35, 55, 55] {
            assert_eq!(answered(Signal::Accepted, Span::from_millis(1)), room);
        }
        assert!(!lanes.is_short(&ill));
    }
}
