//! How much more may be claimed.
//!
//! Knows nothing of what there is to claim. What always holds: some room is left for who is more urgent.

use super::Pool;
use crate::model::Domain;
use crate::queue::Class;
use crate::queue::destination::Name;

/// Part of `held` of [`Limits`](crate::outbound::Limits) that only one-time passwords may use, one in so many.
const RESERVED: usize = 10;
/// Part of it, theirs included, that only mail may use for which somebody waits.
const URGENT: usize = 4;
/// Part of it that destinations keep at which nothing moves, once half of it is in use.
const STALLED: usize = 4;

impl Pool {
    /// Says how many more jobs of a class may wait for look-ups, whatever their domains.
    pub(in crate::outbound) fn room_unplaced(&self, class: Class) -> usize {
        self.lock().unplaced.room(class)
    }

    /// Says how many more jobs of a class of one domain may.
    pub(in crate::outbound) fn room_unplaced_at(&self, domain: &Domain, class: Class) -> usize {
        self.lock().unplaced.room_at(domain, class)
    }

    /// Gives back most of what waits where nothing moves, when there is little room left for others.
    pub(in crate::outbound) fn make_room(&self) {
        let mut state = self.lock();
        if state.held.len() >= self.limits.held / 2 {
            let back = state.lanes.shrink(self.limits.held / STALLED, self.clock.now());
            state.give_back(&back);
        }
    }

    /// Says how many more jobs of a class there is room for.
    pub(in crate::outbound) fn room_for(&self, class: Class) -> usize {
        let most = match class {
            Class::Otp => self.limits.held,
            Class::Registration | Class::ContactTest => self.limits.held - self.limits.held / RESERVED,
            Class::Alert | Class::Notice | Class::Report => self.limits.held - self.limits.held / URGENT,
        };
        most.saturating_sub(self.lock().held.len())
    }

    /// Says whether some destination, or some domain whose servers are being looked up, has no room for another job of a class, or
    /// some domain's mail is kept back.
    pub(in crate::outbound) fn is_any_full(&self, class: Class) -> bool {
        let (state, now) = (self.lock(), self.clock.now());
        state.unplaced.is_any_full(class)
            || state.lanes.is_any_full(class, now)
            || state.kept.keeps_any(class, now, |job| state.held.contains_key(&job))
    }

    /// Says how many more jobs of a class a destination has room for.
    pub(in crate::outbound) fn room_at(&self, to: &Name, class: Class) -> usize {
        self.lock().lanes.room(to, class, self.clock.now())
    }
}
