//! The jobs that were claimed and wait for a connection, by destination and class, and who gets the next one.
//!
//! A lane is a destination and a class. A destination's [`Pace`] says how many connections and how many mails it gets, its
//! [`Turns`] whose turn it is; which destination may open a connection is kept in order, so that finding the next one costs no look
//! at the others.
//!
//! Knows nothing of sockets or databases; the time and chance are told. What always holds: no destination has more connections
//! than its pace allows, nor all of them together more than there may be; what waits in memory has a bound for each lane; while
//! anything urgent waits no mail is sent ahead, and one connection of a destination never does.

use crate::model::{Domain, JobId, Span, Timestamp};
use crate::queue::destination::{Limits, Name};
use crate::queue::pace::{Change, Pace, Signal};
use crate::queue::turn::{Turns, is_urgent, precedence};
use crate::queue::view::{DestinationView, Held, JobView, Standing, Wait};
use crate::queue::{Class, Job, retry};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// Part of all connections that only urgent mail may open, one in so many.
const RESERVED: usize = 10;
/// How long a destination is remembered for which nothing waits, unless nothing would be lost.
const REMEMBERED: Span = Span::from_secs(600);
/// Domains of a destination that are shown.
const SHOWN: usize = 20;
/// Connections that are being opened at a time where there is a rate: those that stand may be enough for it.
const OPENING: usize = 2;

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

/// Whether a destination could use another connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    Nothing,
    /// Now: who goes first, the least one first.
    Now(Urgency),
    /// From then on.
    Later(Timestamp),
}

/// The more urgent class first; then who has no connection at all; then who was given one the longest ago.
type Urgency = (u8, bool, u64);

#[derive(Debug)]
struct Place {
    pace: Pace,
    turns: Turns,
    lanes: [BTreeMap<(Timestamp, JobId), Job>; 6],
    /// Connections, those being opened among them.
    connections: usize,
    /// Those of them that were told to close and have not yet.
    leaving: usize,
    /// Those that a server has taken in.
    open: usize,
    /// Those that wait for work.
    idle: usize,
    /// Those that send ahead.
    ahead: usize,
    /// Mails that are being given away.
    sending: usize,
    /// The mails for which connections are being opened. They stay in their lanes: whichever connection is free first takes them.
    reasons: BTreeSet<(Timestamp, JobId)>,
    /// The number of the connection that was opened last, of all destinations' ones.
    turn: u64,
    /// Mails begun in each of the last seconds.
    begun: VecDeque<(i64, u32)>,
    domains: BTreeSet<Domain>,
    used: Timestamp,
    need: Need,
}

/// All lanes.
#[derive(Debug)]
pub struct Lanes {
    bounds: Bounds,
    places: HashMap<Name, Place>,
    hungry: BTreeSet<(Urgency, Name)>,
    later: BTreeSet<(Timestamp, Name)>,
    connections: usize,
    turn: u64,
}

fn index(class: Class) -> usize {
    usize::from(precedence(class))
}

impl Place {
    fn new(pace: Pace, now: Timestamp) -> Self {
        Self {
            pace,
            turns: Turns::default(),
            lanes: Default::default(),
            connections: 0,
            leaving: 0,
            open: 0,
            idle: 0,
            ahead: 0,
            sending: 0,
            reasons: BTreeSet::new(),
            turn: 0,
            begun: VecDeque::new(),
            domains: BTreeSet::new(),
            used: now,
            need: Need::Nothing,
        }
    }

    fn lane(&mut self, class: Class) -> &mut BTreeMap<(Timestamp, JobId), Job> {
        &mut self.lanes[index(class)]
    }

    fn insert(&mut self, job: Job) {
        self.lane(job.order.class).insert((job.due, job.id), job);
    }

    /// Says how many jobs of a class may wait here: of those that can wait one to probe with, while the destination is shut.
    fn window(&self, usual: usize, class: Class, now: Timestamp) -> usize {
        match self.pace.shut_until() {
            Some(until) if !is_urgent(class) => usize::from(until <= now),
            Some(_) | None => usual,
        }
    }

    /// Takes a job in; gives the last one of its lane where there are too many.
    fn insert_within(&mut self, usual: usize, job: Job, now: Timestamp) -> Option<Job> {
        let class = job.order.class;
        let window = self.window(usual, class, now);
        self.insert(job);
        let over = self.lane(class).len() > window;
        if over { self.lane(class).pop_last().map(|(_, job)| job) } else { None }
    }

    /// Says whether something of a class waits that may be begun at this moment.
    fn waits(&self, class: Class, now: Timestamp) -> bool {
        !self.lanes[index(class)].is_empty() && retry::may_start(class, now) && self.may_probe(class, now)
    }

    /// Says whether the destination is open to a class: shut ones are for probes.
    fn may_probe(&self, class: Class, now: Timestamp) -> bool {
        self.pace.shut_until().is_none_or(|until| is_urgent(class) || until <= now)
    }

    fn waiting(&self, now: Timestamp) -> usize {
        let lanes = Class::ALL.into_iter().filter(|class| self.waits(*class, now));
        lanes.map(|class| self.lanes[index(class)].len()).sum()
    }

    fn first(&self, now: Timestamp) -> Option<Class> {
        self.turns.pick(|class| self.waits(class, now))
    }

    /// Finds the most urgent job for which no connection is being opened yet.
    fn next_reason(&self, now: Timestamp) -> Option<(Class, &Job)> {
        let unasked = |class| self.lanes[index(class)].iter().find(|(place, _)| !self.reasons.contains(place));
        let class = self.turns.pick(|class| self.waits(class, now) && unasked(class).is_some())?;
        unasked(class).map(|(_, job)| (class, job))
    }

    /// Takes a job out of its lane if it is there as the reason for a connection.
    fn withdraw(&mut self, job: Job) -> Option<Job> {
        let key = (job.due, job.id);
        if self.reasons.remove(&key) { self.lane(job.order.class).remove(&key) } else { Some(job) }
    }

    fn is_empty(&self) -> bool {
        self.lanes.iter().all(BTreeMap::is_empty)
    }

    fn need(&self, now: Timestamp) -> Need {
        if self.connections >= self.pace.connections() {
            return Need::Nothing;
        }
        if self.first(now).is_none() {
            return self.opens_later(now);
        }
        let Some((class, _)) = self.next_reason(now).filter(|_| self.waiting(now) > self.idle + self.reasons.len())
        else {
            return Need::Nothing;
        };
        let has_rate = self.pace.limits().rate.is_some();
        match self.pace.next_token(now) {
            // Those that are there take the tokens as they come.
            _ if has_rate && (self.idle > 0 || self.reasons.len() >= OPENING) => Need::Nothing,
            Some(token) => Need::Later(token),
            None => Need::Now((precedence(class), self.connections > 0, self.turn)),
        }
    }

    /// Says when something that waits may be begun, none of which may now.
    fn opens_later(&self, now: Timestamp) -> Need {
        let waiting = Class::ALL.into_iter().filter(|class| !self.lanes[index(*class)].is_empty());
        let moments = waiting.map(|class| {
            let shut = self.pace.shut_until().filter(|_| !is_urgent(class)).unwrap_or(now);
            shut.max(retry::polite(class, now, 0.0))
        });
        moments.min().map_or(Need::Nothing, Need::Later)
    }

    /// Counts the connections that were not told to close.
    const fn staying(&self) -> usize {
        self.connections.saturating_sub(self.leaving)
    }

    fn begin(&mut self, now: Timestamp) -> u64 {
        self.sending += 1;
        self.used = now;
        match self.begun.back_mut() {
            Some((second, count)) if *second == now.seconds() => *count += 1,
            _ => self.begun.push_back((now.seconds(), 1)),
        }
        while self.begun.front().is_some_and(|(second, _)| *second <= now.seconds() - 60) {
            self.begun.pop_front();
        }
        self.pace.take_token(now)
    }

    fn last_minute(&self, now: Timestamp) -> u32 {
        self.begun.iter().filter(|(second, _)| *second > now.seconds() - 60).map(|(_, count)| count).sum()
    }

    /// Takes the next job of a class, and its token.
    fn pop(&mut self, class: Class, now: Timestamp) -> Option<(Job, u64)> {
        let (_, job) = self.lane(class).pop_first()?;
        let waiting = Class::ALL.map(|class| (class, self.waits(class, now)));
        self.turns.took(class, |other| waiting.contains(&(other, true)));
        Some((job, self.begin(now)))
    }

    /// Takes out what can wait while the destination is shut; that for which a connection is being opened shares its fate.
    fn drain(&mut self) -> Vec<Job> {
        let Self { lanes, reasons, .. } = self;
        let calm = Class::ALL.into_iter().filter(|class| !is_urgent(*class)).map(index);
        let mut back = Vec::new();
        for class in calm {
            back.extend(lanes[class].extract_if(.., |place, _| !reasons.contains(place)).map(|(_, job)| job));
        }
        back
    }
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
            connections: 0,
            turn: 0,
        }
    }

    /// Takes in a job that was claimed; gives back the last one of its lane where there are too many. `limits` are the
    /// destination's, nothing: the usual ones.
    pub fn offer(&mut self, to: &Name, limits: Option<Limits>, job: Job, now: Timestamp) -> Option<Job> {
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
        place.sending = place.sending.saturating_sub(1);
        // Beyond the window there may be as many as were taken.
        let turned_away = place.insert_within(self.bounds.window + self.bounds.connections, job, now);
        self.refresh(to, now);
        turned_away
    }

    /// Gives the urgent job that takes the place, and the token, of one that can wait and of which nothing has been said yet;
    /// else that one again.
    pub fn exchange(&mut self, to: &Name, job: Job, now: Timestamp) -> Job {
        let Some(place) = self.places.get_mut(to) else { return job };
        let urgent = place.first(now).filter(|first| is_urgent(*first) && !is_urgent(job.order.class));
        let Some((_, other)) = urgent.and_then(|class| place.lane(class).pop_first()) else { return job };
        place.insert(job);
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
    pub fn withdraw(&mut self, to: &Name, job: Job, now: Timestamp) -> Option<Job> {
        let job = self.places.get_mut(to).and_then(|place| place.withdraw(job));
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
        if place.staying() > place.pace.connections() {
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
        let surplus = place.staying() > place.pace.connections();
        if others + 1 >= place.open || surplus || place.pace.shut_until().is_some() {
            return None;
        }
        let class = place.first(now).filter(|class| !is_urgent(*class))?;
        let urgent_waits = Class::ALL.into_iter().any(|class| is_urgent(class) && place.waits(class, now));
        if urgent_waits || place.pace.next_token(now).is_some() {
            return None;
        }
        let taken = place.pop(class, now)?;
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
        place.sending = place.sending.saturating_sub(1);
        let change = answer.map_or(Change::None, |(signal, epoch)| {
            place.pace.learn(signal, epoch, place.open.saturating_sub(1), now, chance)
        });
        let back = if matches!(change, Change::Shut { .. }) { place.drain() } else { Vec::new() };
        self.refresh(to, now);
        Learned { change, back }
    }

    /// No server of a destination takes the connection in that `job` was the reason for, or was taken for. Where others are
    /// open it waits for one of them, and fewer are opened; else gives it, unless another connection has it, and the urgent ones
    /// that wait, which share its fate, and the destination is shut.
    pub fn refused(&mut self, to: &Name, job: Job, now: Timestamp, chance: f64) -> (Vec<Job>, Learned) {
        let Some(place) = self.places.get_mut(to) else {
            return (vec![job], Learned { change: Change::None, back: Vec::new() });
        };
        let job = place.withdraw(job);
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
            if place.connections == 0 {
                place.reasons.clear();
            }
        }
        self.refresh(to, now);
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

    /// Lets go of jobs for one destination that fit.
    pub fn remove_at(&mut self, to: &Name, fits: impl Fn(&Job) -> bool, now: Timestamp) -> Vec<Job> {
        let Some(place) = self.places.get_mut(to) else { return Vec::new() };
        let mut removed = Vec::new();
        for lane in &mut place.lanes {
            removed.extend(lane.extract_if(.., |_, job| fits(job)).map(|(_, job)| job));
        }
        for job in &removed {
            place.reasons.remove(&(job.due, job.id));
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
    pub fn limit(&mut self, limits: impl Fn(&Name) -> Option<Limits>, now: Timestamp) {
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
        let Some(place) = self.places.get_mut(name) else { return };
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
        let (connections, allowed) = (place.connections, place.pace.connections());
        if connections >= allowed || self.connections >= self.bounds.connections {
            return Wait::Connections { connections, allowed };
        }
        Wait::Next
    }
}

impl Place {
    fn view(&self, name: &Name, now: Timestamp) -> DestinationView {
        DestinationView {
            name: name.to_string(),
            domains: self.domains.iter().cloned().collect(),
            standing: self.pace.standing(),
            limits: *self.pace.limits(),
            allowed: self.pace.connections(),
            rate: self.pace.rate(),
            connections: self.connections,
            sending: self.sending,
            waiting: Class::ALL.map(|class| self.lanes[index(class)].len()),
            last_minute: self.last_minute(now),
            unknown: self.pace.unknown(),
        }
    }
}

const fn index_of_last_urgent() -> u8 {
    precedence(Class::ContactTest)
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod simulation;
