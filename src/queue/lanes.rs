//! The jobs that were claimed and wait for a connection, by destination and class, and who gets the next one.
//!
//! A lane is a destination and a class. A destination's [`Pace`] says how many connections and how many mails it gets, its
//! `Turns` whose turn it is; which destination may open a connection is kept in order, so that finding the next one costs no look
//! at the others.
//!
//! Knows nothing of sockets or databases; the time and chance are told. What always holds: no destination has more connections
//! than its pace allows, nor all of them together more than there may be; what waits in memory has a bound for each lane; while
//! anything urgent waits no mail is sent ahead, and one connection of a destination never does.

mod heirs;
mod place;
mod stall;

pub use heirs::Moved;
pub use place::Part;

use heirs::Heirs;
use place::{Need, Place, Urgency};

use crate::model::{JobId, Span, Timestamp};
use crate::queue::destination::{Limits, Name};
use crate::queue::pace::{Change, Pace, Signal};
use crate::queue::turn::{is_urgent, precedence};
use crate::queue::view::{DestinationView, Held, JobView, Standing, Wait};
use crate::queue::{Class, Job, retry};
use std::collections::{BTreeSet, HashMap};

/// Part of all connections that only urgent mail may open, one in so many.
const RESERVED: usize = 10;
/// How long a destination is remembered for which nothing waits, unless nothing would be lost.
const REMEMBERED: Span = Span::from_secs(600);
/// Domains of a destination that are shown.
const SHOWN: usize = 20;

/// How many of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Connections in all.
    pub connections: usize,
    /// Jobs that wait in one lane; the rest stays in the store.
    pub window: usize,
    /// What a destination gets that nobody named.
    pub usual: Limits,
}

/// What a connection that is free is to do.
#[derive(Debug, PartialEq)]
pub enum Take {
    /// Send this, whose token is taken; the number is the pace's epoch.
    Job(Box<Job>, u64),
    /// Wait until then: a mail waits and its token comes.
    At(Timestamp),
    /// Wait for work.
    Nothing,
    /// Close: the destination gets fewer connections than it has.
    Leave,
}

/// What a signal set off.
#[derive(Debug, PartialEq)]
pub struct Learned {
    /// What changed.
    pub change: Change,
    /// Jobs to be given back to the store, unsent: their destination is shut, and they can wait.
    pub back: Vec<Job>,
}

/// All lanes.
#[derive(Debug)]
pub struct Lanes {
    bounds: Bounds,
    places: HashMap<Name, Place>,
    hungry: BTreeSet<(Urgency, Name)>,
    later: BTreeSet<(Timestamp, Name)>,
    heirs: Heirs,
    connections: usize,
    turn: u64,
}

fn index(class: Class) -> usize {
    usize::from(precedence(class))
}

impl Lanes {
    /// Begins with nothing waiting.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            places: HashMap::new(),
            hungry: BTreeSet::new(),
            later: BTreeSet::new(),
            heirs: Heirs::default(),
            connections: 0,
            turn: 0,
        }
    }

    /// Takes in a job that was claimed; gives back the last one of its lane where there are too many. `limits` are the
    /// destination's, nothing: the usual ones.
    pub fn offer(&mut self, to: &Name, limits: Option<Limits>, job: Job, now: Timestamp) -> Option<Job> {
        self.comes(&job, to, limits, now);
        let usual = self.bounds.usual;
        let place =
            self.places.entry(to.clone()).or_insert_with(|| Place::new(Pace::new(limits.unwrap_or(usual)), now));
        place.used = now;
        if place.domains.len() < SHOWN {
            place.domains.insert(job.order.to.domain().clone());
        }
        let turned_away = place.insert_within(self.bounds.window, job, now);
        self.refresh(to, now);
        turned_away
    }

    /// Puts a job back that was taken, with its token, and not sent. Gives it, or the last one of its lane, where there is no
    /// room.
    pub fn put_back(&mut self, to: &Name, job: Job, now: Timestamp) -> Option<Job> {
        let Some(place) = self.places.get_mut(to) else { return Some(job) };
        place.sent();
        place.may_give_way.remove(&job.id);
        if self.heirs.has_left(job.order.to.domain(), to) {
            return Some(job);
        }
        // Beyond the window there may be as many as were taken.
        let turned_away = place.insert_within(self.bounds.window + self.bounds.connections, job, now);
        self.refresh(to, now);
        turned_away
    }

    /// Gives the urgent job that takes the place, and the token, of one that can wait and of which nothing has been said yet,
    /// unless it is that one's share to go though others are urgent; else that one again.
    pub fn exchange(&mut self, to: &Name, job: Job, now: Timestamp) -> Job {
        let Some(place) = self.places.get_mut(to) else { return job };
        let Some(passed) = place.may_give_way.remove(&job.id).flatten() else { return job };
        let urgent = place.first(now).filter(|first| is_urgent(*first));
        let Some((_, other)) = urgent.and_then(|class| place.lane(class).pop_first()) else { return job };
        let class = job.order.class;
        place.insert(job);
        place.took(other.order.class, now);
        place.turns.gave_way(class, passed);
        self.refresh(to, now);
        other
    }

    /// The connection stands that a job was the reason for; the job has waited in its lane all the while, unless another
    /// connection took it.
    pub fn stands(&mut self, to: &Name, reason: &Job, now: Timestamp) {
        if let Some(place) = self.places.get_mut(to) {
            place.reasons.remove(&(reason.due, reason.id));
        }
        self.refresh(to, now);
    }

    /// Finds the most urgent job for which another connection may be opened, and counts that connection. The job is only
    /// the reason and stays where it is: whichever connection is free first takes it.
    pub fn open(&mut self, now: Timestamp) -> Option<(Name, Job)> {
        self.wake(now);
        let ((precedence, ..), name) = self.hungriest(now)?;
        let reserve = if precedence <= index_of_last_urgent() { 0 } else { self.bounds.connections / RESERVED };
        if self.connections + reserve >= self.bounds.connections {
            return None;
        }
        self.turn += 1;
        let turn = self.turn;
        let place = self.places.get_mut(&name)?;
        let job = place.next_reason(now)?.1.clone();
        place.reasons.insert((job.due, job.id));
        place.connections += 1;
        place.turn = turn;
        self.connections += 1;
        self.refresh(&name, now);
        Some((name, job))
    }

    /// Finds who is to get the next connection; what waited for it may have come into the full hour since.
    fn hungriest(&mut self, now: Timestamp) -> Option<(Urgency, Name)> {
        loop {
            let first = self.hungry.first().cloned()?;
            self.refresh(&first.1, now);
            if self.hungry.first() == Some(&first) {
                return Some(first);
            }
        }
    }

    /// Gives the job for which a connection does not come about, to be settled: the reason for the connection, unless
    /// another connection has taken it, or a job that was taken.
    pub fn withdraw(&mut self, to: &Name, job: Job, part: Part, now: Timestamp) -> Option<Job> {
        let job = match self.places.get_mut(to) {
            Some(place) => place.withdraw(job, part),
            None => (part == Part::Taken).then_some(job),
        };
        self.refresh(to, now);
        job
    }

    /// Says when something may be begun that may not now.
    #[must_use]
    pub fn next_moment(&self) -> Option<Timestamp> {
        self.later.first().map(|(moment, _)| *moment)
    }

    /// Looks anew at those whose moment has come.
    fn wake(&mut self, now: Timestamp) {
        while let Some((moment, name)) = self.later.first().cloned()
            && moment <= now
        {
            self.refresh(&name, now);
            if self.later.first() == Some(&(moment, name)) {
                break;
            }
        }
    }

    /// Gives a free connection its next job. One that is told to leave asks no more, and says so when it has closed.
    pub fn take(&mut self, to: &Name, now: Timestamp) -> Take {
        let Some(place) = self.places.get_mut(to) else { return Take::Leave };
        let taken = Self::take_from(place, now);
        place.leaving += usize::from(taken == Take::Leave);
        self.refresh(to, now);
        taken
    }

    fn take_from(place: &mut Place, now: Timestamp) -> Take {
        if place.has_surplus() {
            return Take::Leave;
        }
        let Some(class) = place.first(now) else {
            // What waits for a probe that is not due waits without a connection.
            let shut = place.pace.shut_until().is_some();
            return if shut { Take::Leave } else { Take::Nothing };
        };
        if let Some(token) = place.pace.next_token(now) {
            place.pace.wait_for_token(now, token);
            return Take::At(token);
        }
        match place.pop(class, now) {
            Some((job, epoch)) => Take::Job(Box::new(job), epoch),
            None => Take::Nothing,
        }
    }

    /// Gives the job that may be sent ahead on a connection, right behind the one it is sending; `already`: it is one of
    /// those that do. Only what can wait is sent ahead, only while nothing urgent waits, and never on all connections.
    pub fn ahead(&mut self, to: &Name, already: bool, now: Timestamp) -> Option<(Job, u64)> {
        let place = self.places.get_mut(to)?;
        let others = place.ahead - usize::from(already && place.ahead > 0);
        if others + 1 >= place.open || place.has_surplus() || place.pace.shut_until().is_some() {
            return None;
        }
        let class = place.first(now).filter(|class| !is_urgent(*class))?;
        let urgent_waits = Class::ALL.into_iter().any(|class| is_urgent(class) && place.waits(class, now));
        if urgent_waits || place.pace.next_token(now).is_some() {
            return None;
        }
        let taken = place.pop(class, now)?;
        place.may_give_way.remove(&taken.0.id);
        place.ahead += usize::from(!already);
        self.refresh(to, now);
        Some(taken)
    }

    /// A connection does not send ahead any more.
    pub fn ahead_ended(&mut self, to: &Name) {
        if let Some(place) = self.places.get_mut(to) {
            place.ahead = place.ahead.saturating_sub(1);
        }
    }

    /// A mail has been tried; learns from the answer, where the destination had a part in it.
    pub fn ended(&mut self, to: &Name, answer: Option<(Signal, u64)>, now: Timestamp, chance: f64) -> Learned {
        let Some(place) = self.places.get_mut(to) else { return Learned { change: Change::None, back: Vec::new() } };
        place.sent();
        if matches!(answer, Some((Signal::Accepted | Signal::Answered | Signal::UnknownUser, _))) {
            place.moves(self.bounds.window, now);
        }
        let change = answer.map_or(Change::None, |(signal, epoch)| {
            place.pace.learn(signal, epoch, place.open.saturating_sub(1), now, chance)
        });
        let back = if matches!(change, Change::Shut { .. }) { place.drain() } else { Vec::new() };
        self.refresh(to, now);
        Learned { change, back }
    }

    /// A mail that has been tried is begun once more, elsewhere: takes the token for that. Gives the moment from which it may
    /// go, and the pace's epoch; nothing where that moment is behind `until`.
    pub fn again(&mut self, to: &Name, until: Timestamp, now: Timestamp) -> Option<(Timestamp, u64)> {
        let place = self.places.get_mut(to)?;
        let moment = place.pace.next_token(now).unwrap_or(now);
        let begun = (moment <= until).then(|| (moment, place.begin(now)));
        self.refresh(to, now);
        begun
    }

    /// No server of a destination takes the connection in that `job` was the reason for, or was taken for. Where others are
    /// open it waits for one of them, and fewer are opened; else gives it, unless another connection has it, and the urgent ones
    /// that wait, which share its fate, and the destination is shut.
    pub fn refused(&mut self, to: &Name, job: Job, part: Part, now: Timestamp, chance: f64) -> (Vec<Job>, Learned) {
        let Some(place) = self.places.get_mut(to) else {
            return (vec![job], Learned { change: Change::None, back: Vec::new() });
        };
        let job = place.withdraw(job, part);
        if place.open > 0 {
            let change = place.pace.learn(Signal::Crowded, 0, place.open, now, chance);
            job.into_iter().for_each(|job| place.insert(job));
            self.refresh(to, now);
            return (Vec::new(), Learned { change, back: Vec::new() });
        }
        let change = place.pace.learn(Signal::Unreached, 0, 0, now, chance);
        let back = place.drain();
        let rest = place.lanes.iter_mut().flat_map(|lane| std::mem::take(lane).into_values());
        let shared = job.into_iter().chain(rest).collect();
        self.refresh(to, now);
        (shared, Learned { change, back })
    }

    /// A server took a connection in.
    pub fn opened(&mut self, to: &Name, now: Timestamp) {
        if let Some(place) = self.places.get_mut(to) {
            place.open += 1;
            place.pace.greeted();
        }
        self.refresh(to, now);
    }

    /// A connection that was open is not any more.
    pub fn broke(&mut self, to: &Name) {
        if let Some(place) = self.places.get_mut(to) {
            place.open = place.open.saturating_sub(1);
        }
    }

    /// A connection waits for work (`true`), or no longer.
    pub fn idles(&mut self, to: &Name, waits: bool, now: Timestamp) {
        if let Some(place) = self.places.get_mut(to) {
            place.idle = if waits { place.idle + 1 } else { place.idle.saturating_sub(1) };
        }
        self.refresh(to, now);
    }

    /// A connection has ended, because it was told to leave or for a reason of its own; says whether nothing is left of its
    /// destination.
    pub fn closed(&mut self, to: &Name, told: bool, now: Timestamp) -> bool {
        self.connections = self.connections.saturating_sub(1);
        if let Some(place) = self.places.get_mut(to) {
            place.connections = place.connections.saturating_sub(1);
            place.leaving = place.leaving.saturating_sub(usize::from(told));
            place.dismissed = place.dismissed.saturating_sub(usize::from(told)).min(place.connections);
            if place.connections == 0 {
                place.reasons.clear();
            }
        }
        self.refresh(to, now);
        self.parted(to, now);
        !self.places.contains_key(to)
    }

    /// Says how many connections a job is to wake that was just offered: those that wait for work.
    #[must_use]
    pub fn idle(&self, to: &Name) -> usize {
        self.places.get(to).map_or(0, |place| place.idle)
    }

    /// Gives all that waits.
    pub fn empty(&mut self, now: Timestamp) -> Vec<Job> {
        self.remove(|_| true, now)
    }

    /// Lets go of jobs that fit.
    pub fn remove(&mut self, fits: impl Fn(&Job) -> bool, now: Timestamp) -> Vec<Job> {
        let names: Vec<Name> = self.places.keys().cloned().collect();
        names.iter().flat_map(|name| self.remove_at(name, &fits, now)).collect()
    }

    /// Lets go of jobs for one destination that fit. A connection that is being opened for one of them still comes.
    pub fn remove_at(&mut self, to: &Name, fits: impl Fn(&Job) -> bool, now: Timestamp) -> Vec<Job> {
        let Some(place) = self.places.get_mut(to) else { return Vec::new() };
        let mut removed = Vec::new();
        for lane in &mut place.lanes {
            removed.extend(lane.extract_if(.., |_, job| fits(job)).map(|(_, job)| job));
        }
        self.refresh(to, now);
        removed
    }

    /// Says how many more jobs of a class a destination has room for.
    #[must_use]
    pub fn room(&self, to: &Name, class: Class, now: Timestamp) -> usize {
        let Some(place) = self.places.get(to) else { return self.bounds.window };
        let window = place.window(self.bounds.window, class, now);
        // The one that is under way is the probe.
        let probed = place.pace.shut_until().is_some() && !is_urgent(class) && place.connections > 0;
        if probed { 0 } else { window.saturating_sub(place.lanes[index(class)].len()) }
    }

    /// Says whether a destination is shut.
    #[must_use]
    pub fn is_shut(&self, to: &Name) -> bool {
        self.places.get(to).is_some_and(|place| place.pace.shut_until().is_some())
    }

    /// Says whether any lane of a class has no room.
    #[must_use]
    pub fn is_any_full(&self, class: Class, now: Timestamp) -> bool {
        self.places.keys().any(|name| self.room(name, class, now) == 0)
    }

    /// Says how many jobs of a class wait for a destination.
    #[must_use]
    pub fn waiting(&self, to: &Name, class: Class) -> usize {
        self.places.get(to).map_or(0, |place| place.lanes[index(class)].len())
    }

    /// Says whether an urgent job, or one of a destination without any connection, waits because there are too many in all.
    #[must_use]
    pub fn is_crowded_out(&self) -> bool {
        let reserve = self.bounds.connections / RESERVED;
        self.hungry.first().is_some_and(|((precedence, has_some, _), _)| {
            let urgent = *precedence <= index_of_last_urgent();
            let reserve = if urgent { 0 } else { reserve };
            (urgent || !has_some) && self.connections + reserve >= self.bounds.connections
        })
    }

    /// Says how long a job that is begun now was held back by its destination since it fell due.
    #[must_use]
    pub fn held(&self, to: &Name, due: Timestamp, now: Timestamp) -> Held {
        self.places.get(to).map_or_else(Held::default, |place| place.pace.held(due, now))
    }

    /// Says how many mails one connection to a destination carries.
    #[must_use]
    pub fn messages(&self, to: &Name) -> u32 {
        let limits = self.places.get(to).map_or(self.bounds.usual, |place| *place.pace.limits());
        limits.messages_per_connection.max(1)
    }

    /// Gives each destination the limits that are right for it now.
    fn limit(&mut self, limits: impl Fn(&Name) -> Option<Limits>, now: Timestamp) {
        let names: Vec<Name> = self.places.keys().cloned().collect();
        for name in names {
            if let Some(place) = self.places.get_mut(&name) {
                place.pace.limit(limits(&name).unwrap_or(self.bounds.usual));
            }
            self.refresh(&name, now);
        }
    }

    /// The clock was put back: moments that were fixed by it before are not waited for.
    pub fn clock_was_put_back(&mut self, now: Timestamp) {
        let names: Vec<Name> = self.places.keys().cloned().collect();
        for name in names {
            if let Some(place) = self.places.get_mut(&name) {
                place.pace.clock_was_put_back(now);
                place.moved = place.moved.min(now);
            }
            self.refresh(&name, now);
        }
    }

    /// Forgets destinations that nothing was sent to for a while.
    pub fn forget(&mut self, now: Timestamp) {
        let unused = |place: &Place| place.is_empty() && place.connections == 0 && place.used.plus(REMEMBERED) <= now;
        self.places.retain(|_, place| {
            let is_shut = place.pace.shut_until().is_some_and(|until| until > now);
            !unused(place) || is_shut || place.pace.next_token(now).is_some()
        });
    }

    /// Brings the order up to date after anything changed at a destination.
    fn refresh(&mut self, name: &Name, now: Timestamp) {
        let inherited = self.inherited(name);
        let Some(place) = self.places.get_mut(name) else { return };
        place.inherited = inherited;
        let need = place.need(now);
        let before = std::mem::replace(&mut place.need, need.clone());
        let is_blank = place.is_empty() && place.connections == 0 && place.pace.is_blank(now);
        if before != need {
            match before {
                Need::Now(urgency) => drop(self.hungry.remove(&(urgency, name.clone()))),
                Need::Later(moment) => drop(self.later.remove(&(moment, name.clone()))),
                Need::Nothing => {}
            }
            match need {
                Need::Now(urgency) => drop(self.hungry.insert((urgency, name.clone()))),
                Need::Later(moment) => drop(self.later.insert((moment, name.clone()))),
                Need::Nothing => {}
            }
        }
        if is_blank {
            self.places.remove(name);
        }
    }

    /// Shows all destinations, by name.
    #[must_use]
    pub fn view(&self, now: Timestamp) -> Vec<DestinationView> {
        let mut views: Vec<DestinationView> = self.places.iter().map(|(name, place)| place.view(name, now)).collect();
        views.sort_by(|one, other| one.name.cmp(&other.name));
        views
    }

    /// Shows one job, where it waits here.
    #[must_use]
    pub fn job(&self, job: JobId, now: Timestamp) -> Option<JobView> {
        self.places.iter().find_map(|(name, place)| {
            let (lane, ahead, found) = place.lanes.iter().find_map(|lane| {
                let ahead = lane.keys().position(|(_, id)| *id == job)?;
                Some((lane, ahead, lane.values().nth(ahead)?))
            })?;
            let class = found.order.class;
            debug_assert!(!lane.is_empty());
            Some(JobView { job, class, destination: Some(name.to_string()), wait: self.wait(place, class, now), ahead })
        })
    }

    /// Says why the first job of a lane does not go.
    fn wait(&self, place: &Place, class: Class, now: Timestamp) -> Wait {
        if let Standing::Shut { why, until } = place.pace.standing() {
            return Wait::Shut { why, until };
        }
        if !retry::may_start(class, now) {
            return Wait::FullHour { until: retry::polite(class, now, 0.0) };
        }
        if let (Some(next), Some(limit)) = (place.pace.next_token(now), place.pace.limits().rate) {
            return Wait::Rate { next, limit };
        }
        let (connections, allowed) = (place.connections + place.inherited, place.pace.connections());
        if connections >= allowed || self.connections >= self.bounds.connections {
            return Wait::Connections { connections, allowed };
        }
        Wait::Next
    }
}

const fn index_of_last_urgent() -> u8 {
    precedence(Class::ContactTest)
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod simulation;
