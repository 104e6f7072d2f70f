//! One destination: the jobs that wait for it, by class, and its connections.
//!
//! Knows nothing of other destinations. What always holds: a job that is the reason for a connection waits in its lane until a
//! connection takes it.

use super::index;
use crate::model::{Domain, JobId, Timestamp};
use crate::queue::destination::Name;
use crate::queue::pace::Pace;
use crate::queue::turn::{Turns, is_urgent, precedence};
use crate::queue::view::DestinationView;
use crate::queue::{Class, Job, retry};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Connections that are being opened at a time where there is a rate: those that stand may be enough for it.
pub(super) const OPENING: usize = 2;

/// Whether a destination could use another connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    Nothing,
    /// Now: who goes first, the least one first.
    Now(Urgency),
    /// From then on.
    Later(Timestamp),
}

/// The more urgent class first; then who has no connection at all; then who was given one the longest ago.
pub(super) type Urgency = (u8, bool, u64);

/// What a job is to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What it is opened for. The job waits in its lane, and whichever connection is free first takes it.
    Reason,
    /// What it took to send; no other connection has it, though another may be being opened for it.
    Taken,
}

#[derive(Debug)]
pub(super) struct Place {
    pub(super) pace: Pace,
    pub(super) turns: Turns,
    pub(super) lanes: [BTreeMap<(Timestamp, JobId), Job>; 6],
    /// Connections, those being opened among them.
    pub(super) connections: usize,
    /// Those of them that were told to close and have not yet.
    pub(super) leaving: usize,
    /// Those of them, told or not, that carry no mail but the one they have, since domains belong elsewhere.
    pub(super) dismissed: usize,
    /// Connections of other destinations that count against this one, which has their domains now.
    pub(super) inherited: usize,
    /// Those that a server has taken in.
    pub(super) open: usize,
    /// Those that wait for work.
    pub(super) idle: usize,
    /// Those that send ahead.
    pub(super) ahead: usize,
    /// Mails that are being given away.
    pub(super) sending: usize,
    /// Those of them that can wait and may still give way, and how often their class was passed over before they had their
    /// turn; nothing: it is their class's share to go now, which nobody takes from them.
    pub(super) may_give_way: BTreeMap<JobId, Option<u32>>,
    /// The mails for which connections are being opened. They stay in their lanes: whichever connection is free first takes them.
    pub(super) reasons: BTreeSet<(Timestamp, JobId)>,
    /// The number of the connection that was opened last, of all destinations' ones.
    pub(super) turn: u64,
    /// Mails begun in each of the last seconds.
    pub(super) begun: VecDeque<(i64, u32)>,
    pub(super) domains: BTreeSet<Domain>,
    pub(super) used: Timestamp,
    /// When something last moved: a mail was answered, or one came where there was none.
    pub(super) moved: Timestamp,
    /// Jobs that each lane may keep until something moves again.
    pub(super) few: Option<usize>,
    pub(super) need: Need,
}

impl Place {
    pub(super) fn new(pace: Pace, now: Timestamp) -> Self {
        Self {
            pace,
            turns: Turns::default(),
            lanes: Default::default(),
            connections: 0,
            leaving: 0,
            dismissed: 0,
            inherited: 0,
            open: 0,
            idle: 0,
            ahead: 0,
            sending: 0,
            may_give_way: BTreeMap::new(),
            reasons: BTreeSet::new(),
            turn: 0,
            begun: VecDeque::new(),
            domains: BTreeSet::new(),
            used: now,
            moved: now,
            few: None,
            need: Need::Nothing,
        }
    }

    pub(super) fn lane(&mut self, class: Class) -> &mut BTreeMap<(Timestamp, JobId), Job> {
        &mut self.lanes[index(class)]
    }

    pub(super) fn insert(&mut self, job: Job) {
        self.lane(job.order.class).insert((job.due, job.id), job);
    }

    /// Says how many jobs of a class may wait here: of those that can wait one to probe with, while the destination is shut.
    pub(super) fn window(&self, usual: usize, class: Class, now: Timestamp) -> usize {
        match self.pace.shut_until() {
            Some(until) if !is_urgent(class) => usize::from(until <= now),
            Some(_) | None => self.few.map_or(usual, |few| few.min(usual)),
        }
    }

    /// Takes a job in; gives the last one of its lane where there are too many.
    pub(super) fn insert_within(&mut self, usual: usize, job: Job, now: Timestamp) -> Option<Job> {
        let class = job.order.class;
        let window = self.window(usual, class, now);
        if self.is_empty() && self.sending == 0 {
            // Nothing could have moved.
            self.moved = now;
        }
        self.insert(job);
        let over = self.lane(class).len() > window;
        if over { self.lane(class).pop_last().map(|(_, job)| job) } else { None }
    }

    /// Says whether something of a class waits that may be begun at this moment.
    pub(super) fn waits(&self, class: Class, now: Timestamp) -> bool {
        !self.lanes[index(class)].is_empty() && retry::may_start(class, now) && self.may_probe(class, now)
    }

    /// Says whether the destination is open to a class: shut ones are for probes.
    pub(super) fn may_probe(&self, class: Class, now: Timestamp) -> bool {
        self.pace.shut_until().is_none_or(|until| is_urgent(class) || until <= now)
    }

    pub(super) fn waiting(&self, now: Timestamp) -> usize {
        let lanes = Class::ALL.into_iter().filter(|class| self.waits(*class, now));
        lanes.map(|class| self.lanes[index(class)].len()).sum()
    }

    pub(super) fn first(&self, now: Timestamp) -> Option<Class> {
        self.turns.pick(|class| self.waits(class, now))
    }

    /// Finds the most urgent job for which no connection is being opened yet.
    pub(super) fn next_reason(&self, now: Timestamp) -> Option<(Class, &Job)> {
        let unasked = |class| self.lanes[index(class)].iter().find(|(place, _)| !self.reasons.contains(place));
        let class = self.turns.pick(|class| self.waits(class, now) && unasked(class).is_some())?;
        unasked(class).map(|(_, job)| (class, job))
    }

    /// Takes a job out of its lane that was the reason for a connection, unless another connection took it, which has it then.
    pub(super) fn withdraw(&mut self, job: Job, part: Part) -> Option<Job> {
        let key = (job.due, job.id);
        match part {
            Part::Taken => Some(job),
            Part::Reason => {
                self.reasons.remove(&key);
                self.lane(job.order.class).remove(&key)
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lanes.iter().all(BTreeMap::is_empty)
    }

    pub(super) fn need(&self, now: Timestamp) -> Need {
        if self.connections + self.inherited >= self.pace.connections() {
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
    pub(super) fn opens_later(&self, now: Timestamp) -> Need {
        let waiting = Class::ALL.into_iter().filter(|class| !self.lanes[index(*class)].is_empty());
        let moments = waiting.map(|class| {
            let shut = self.pace.shut_until().filter(|_| !is_urgent(class)).unwrap_or(now);
            shut.max(retry::polite(class, now, 0.0))
        });
        moments.min().map_or(Need::Nothing, Need::Later)
    }

    /// Counts the connections that were not told to close.
    pub(super) const fn staying(&self) -> usize {
        self.connections.saturating_sub(self.leaving)
    }

    /// Says whether a connection is to leave.
    pub(super) fn has_surplus(&self) -> bool {
        self.staying() > self.pace.connections() || self.dismissed > self.leaving
    }

    pub(super) fn begin(&mut self, now: Timestamp) -> u64 {
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

    pub(super) fn last_minute(&self, now: Timestamp) -> u32 {
        self.begun.iter().filter(|(second, _)| *second > now.seconds() - 60).map(|(_, count)| count).sum()
    }

    /// Takes the next job of a class, and its token.
    pub(super) fn pop(&mut self, class: Class, now: Timestamp) -> Option<(Job, u64)> {
        let (_, job) = self.lane(class).pop_first()?;
        if !is_urgent(class) {
            let passed = self.turns.passed(class);
            let urgent_waits = Class::ALL.into_iter().any(|other| is_urgent(other) && self.waits(other, now));
            let share = urgent_waits || Turns::is_overdue(class, passed);
            self.may_give_way.insert(job.id, (!share).then_some(passed));
            // Each connection writes one mail at a time: the others are on their way.
            while self.may_give_way.len() > self.connections {
                self.may_give_way.pop_first();
            }
        }
        self.took(class, now);
        Some((job, self.begin(now)))
    }

    /// One mail less is being given away.
    pub(super) fn sent(&mut self) {
        self.sending = self.sending.saturating_sub(1);
        if self.sending == 0 {
            // Those that ended before they came to be sent.
            self.may_give_way.clear();
        }
    }

    /// Notes that a class had its turn.
    pub(super) fn took(&mut self, class: Class, now: Timestamp) {
        let waiting = Class::ALL.map(|class| (class, self.waits(class, now)));
        self.turns.took(class, |other| waiting.contains(&(other, true)));
    }

    /// Takes out what can wait while the destination is shut; that for which a connection is being opened shares its fate.
    pub(super) fn drain(&mut self) -> Vec<Job> {
        let Self { lanes, reasons, .. } = self;
        let calm = Class::ALL.into_iter().filter(|class| !is_urgent(*class)).map(index);
        let mut back = Vec::new();
        for class in calm {
            back.extend(lanes[class].extract_if(.., |place, _| !reasons.contains(place)).map(|(_, job)| job));
        }
        back
    }

    pub(super) fn view(&self, name: &Name, now: Timestamp) -> DestinationView {
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
