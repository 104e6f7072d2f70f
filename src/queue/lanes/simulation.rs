//! Carriers, connections and an unbounded store on a clock that is turned by hand, driving the lanes as pool, seats, couriers
//! and worker do.
//!
//! Knows nothing of what its tests are after: it keeps count as the carriers see it, and of every urgent mail what went past
//! it. What always holds, since every step looks at it: a carrier's connections and rate stay within its limits, and all
//! connections within theirs; what waits in a lane stays within the window; no connection lies idle while a mail waits that
//! may be sent; nothing is sent ahead while anything urgent waits, nor anything urgent, nor on all connections; no mail is
//! begun twice.

mod carrier;
mod million;
mod promises;
mod site;
mod trouble;

use super::place::OPENING;
use super::{Bounds, Lanes, Learned, Part, RESERVED, Take, index, tests};
use crate::model::{JobId, Timestamp};
use crate::queue::destination::Limits;
use crate::queue::pace::Change;
use crate::queue::retry::{Failure, Schedule};
use crate::queue::turn::is_urgent;
use crate::queue::{Cause, Class, Job};
use carrier::{Answer, Carrier, Chance};
use site::Site;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// A quarter past an hour, so that every class may start.
const BEGIN: i64 = 15 * 60_000;
/// How long a connection waits for work.
const IDLE: i64 = 10_000;
/// How long a mail waits for the token with which it is begun once more.
const TOKEN: i64 = 30_000;
/// How soon the worker looks again while a lane has no room.
const LOOK: i64 = 1_000;

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrives {
        site: usize,
        class: Class,
        mails: u64,
        attempts: u32,
    },
    /// A connection is taken in, or not.
    Stands(usize),
    /// The body is written: the next mail's commands may follow.
    Dot(usize),
    Answers(usize),
    /// Another server of the same carrier is given the mail that one broke off on.
    Again(usize),
    /// A connection has waited long enough; the number tells its waits apart.
    Rings(usize, u64),
    Parted(usize),
    /// The worker looks for room.
    Look,
    /// Another connection may be opened.
    Moment,
}

struct Mail {
    job: Job,
    epoch: u64,
    /// A server has broken off on it.
    moved_on: bool,
}

enum State {
    Opening(Box<Job>),
    Waits { deadline: i64 },
    Sends { mail: Box<Mail>, behind: Option<Box<Mail>> },
    Ends,
}

struct Line {
    site: usize,
    state: State,
    sent: u32,
    ahead: bool,
    /// It was told to close.
    told: bool,
    /// Tells its waits apart.
    wait: u64,
}

struct World {
    lanes: Lanes,
    now: i64,
    events: BinaryHeap<Reverse<(i64, u64, Event)>>,
    told: u64,
    moment: Option<i64>,
    looks: bool,
    sites: Vec<Site>,
    lines: Vec<Line>,
    spare: Vec<usize>,
    chance: Chance,
    connections: usize,
    /// How much happened at this moment, and where.
    steps: u32,
    touched: BTreeSet<usize>,
    /// Whether a mail is under way or through, by its number.
    begun: Vec<bool>,
    /// The mail of which all others are copies.
    pattern: Job,
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

impl World {
    fn new(connections: usize, window: usize, carriers: Vec<Carrier>) -> Self {
        let usual = Limits::default();
        Self {
            lanes: Lanes::new(Bounds { connections, window, usual }),
            now: BEGIN,
            events: BinaryHeap::new(),
            told: 0,
            moment: None,
            looks: false,
            sites: carriers.into_iter().map(Site::new).collect(),
            lines: Vec::new(),
            spare: Vec::new(),
            chance: Chance::new(1),
            connections: 0,
            steps: 0,
            touched: BTreeSet::new(),
            begun: Vec::new(),
            pattern: tests::job(0, Class::Alert),
        }
    }

    fn tell(&mut self, moment: i64, event: Event) {
        self.told += 1;
        self.events.push(Reverse((moment, self.told, event)));
    }

    /// Has mails ordered, so long after the beginning.
    fn order(&mut self, after: i64, site: usize, class: Class, mails: u64) {
        self.tell(BEGIN + after, Event::Arrives { site, class, mails, attempts: 0 });
    }

    /// Goes on until so long after the beginning.
    fn run_until(&mut self, after: i64) {
        while let Some(Reverse((moment, ..))) = self.events.peek()
            && *moment <= BEGIN + after
        {
            self.step();
        }
        self.now = BEGIN + after;
    }

    /// Goes on until nothing is left to do.
    fn run(&mut self) {
        while !self.events.is_empty() {
            self.step();
        }
        for site in &self.sites {
            assert_eq!((site.left(), site.carrier.connections), (0, 0), "{}", site.name);
        }
        assert_eq!((self.connections, self.lanes.connections), (0, 0));
    }

    fn step(&mut self) {
        let Reverse((moment, _, event)) = self.events.pop().unwrap();
        self.steps = if moment == self.now { self.steps + 1 } else { 0 };
        assert!(self.steps < 100_000, "the time stands still at {event:?}");
        self.now = moment;
        let site = match event {
            Event::Arrives { site, class, mails, attempts } => self.arrives(site, class, mails, attempts),
            Event::Stands(line) => self.stands(line),
            Event::Dot(line) => self.dot(line),
            Event::Answers(line) => self.answers(line),
            Event::Again(line) => self.goes_again(line),
            Event::Rings(line, wait) => self.rings(line, wait),
            Event::Parted(line) => self.parted(line),
            Event::Look => self.look(),
            Event::Moment => {
                self.moment = None;
                None
            }
        };
        self.open_more();
        self.touched.extend(site);
        if self.events.peek().is_none_or(|Reverse((next, ..))| *next > self.now) {
            std::mem::take(&mut self.touched).into_iter().for_each(|site| self.check(site));
        }
    }

    fn arrives(&mut self, site: usize, class: Class, mails: u64, attempts: u32) -> Option<usize> {
        for _ in 0..mails {
            let id = i64::try_from(self.begun.len()).unwrap();
            self.begun.push(false);
            if is_urgent(class) {
                self.sites[site].watch(JobId::new(id), class, self.now);
            }
            self.sites[site].store[index(class)].push_back((self.now, id, attempts));
        }
        self.refill(site, class);
        Some(site)
    }

    /// Claims as much as there is room for.
    fn refill(&mut self, site: usize, class: Class) {
        let name = self.sites[site].name.clone();
        while self.lanes.room(&name, class, at(self.now)) > 0 {
            let Some((due, id, attempts)) = self.sites[site].store[index(class)].pop_front() else {
                return;
            };
            let mut job = self.pattern.clone();
            (job.id, job.due, job.order.class, job.attempts) = (JobId::new(id), at(due), class, attempts);
            self.sites[site].in_lane[index(class)] += 1;
            let limits = self.sites[site].carrier.limits;
            let turned_away = self.lanes.offer(&name, Some(limits), job, at(self.now));
            assert_eq!(turned_away, None);
            self.ring(site);
        }
        if !self.sites[site].store[index(class)].is_empty() {
            self.look_later();
        }
    }

    fn look_later(&mut self) {
        if !self.looks {
            self.looks = true;
            self.tell(self.now + LOOK, Event::Look);
        }
    }

    fn look(&mut self) -> Option<usize> {
        self.looks = false;
        for site in 0..self.sites.len() {
            Class::ALL.into_iter().for_each(|class| self.refill(site, class));
        }
        None
    }

    /// Has a connection look that waits for work.
    fn ring(&mut self, site: usize) {
        assert_eq!(self.lanes.idle(&self.sites[site].name), self.sites[site].idle.len());
        if let Some(line) = self.sites[site].idle.pop_front() {
            // Whoever has looked and found nothing goes to the end of the queue.
            self.sites[site].idle.push_back(line);
            self.ask(line);
        }
    }

    fn open_more(&mut self) {
        while let Some((name, job)) = self.lanes.open(at(self.now)) {
            let site = self.sites.iter().position(|site| site.name == name).unwrap();
            let line = Line { site, state: State::Opening(Box::new(job)), sent: 0, ahead: false, told: false, wait: 0 };
            let number = self.spare.pop().unwrap_or(self.lines.len());
            if number < self.lines.len() {
                self.lines[number] = line
            } else {
                self.lines.push(line)
            }
            self.sites[site].opening += 1;
            self.connections += 1;
            assert!(self.connections <= self.lanes.bounds.connections);
            let place = &self.lanes.places[&name];
            assert!(place.connections <= place.pace.connections(), "{name}: opened beyond what is allowed");
            let connect = self.sites[site].carrier.connect;
            let stands = self.now + self.chance.between(connect);
            self.tell(stands, Event::Stands(number));
        }
        let moment = self.lanes.next_moment().map(Timestamp::millis);
        if let Some(moment) = moment.filter(|moment| self.moment.is_none_or(|told| told > *moment)) {
            self.moment = Some(moment);
            self.tell(moment, Event::Moment);
        }
    }

    fn stands(&mut self, line: usize) -> Option<usize> {
        let site = self.lines[line].site;
        let State::Opening(reason) = std::mem::replace(&mut self.lines[line].state, State::Ends) else { panic!() };
        let (now, name) = (at(self.now), self.sites[site].name.clone());
        self.sites[site].opening -= 1;
        if self.sites[site].carrier.takes_in(self.now) {
            self.sites[site].open += 1;
            self.lanes.opened(&name, now);
            self.lanes.stands(&name, &reason, now);
            self.ask(line);
            return Some(site);
        }
        let chance = self.chance.fraction();
        let (shared, learned) = self.lanes.refused(&name, *reason, Part::Reason, now, chance);
        for job in shared {
            self.sites[site].in_lane[index(job.order.class)] -= 1;
            self.sites[site].watched.remove(&job.id);
            self.put_off(site, &job, Cause::Unreachable);
        }
        self.learn(site, learned);
        self.gone(line)
    }

    fn learn(&mut self, site: usize, learned: Learned) {
        self.give_back(site, learned.back.into_iter().rev());
        if learned.change != Change::None {
            self.sites[site].changes.push((self.now, learned.change));
        }
    }

    /// Gives mails back to the store, the last one first.
    fn give_back(&mut self, site: usize, jobs: impl IntoIterator<Item = Job>) {
        for job in jobs {
            let class = index(job.order.class);
            self.sites[site].in_lane[class] -= 1;
            self.sites[site].store[class].push_front((job.due.millis(), job.id.number(), job.attempts));
            self.look_later();
        }
    }

    fn put_off(&mut self, site: usize, job: &Job, cause: Cause) {
        let (class, attempts) = (job.order.class, job.attempts + 1);
        let failure = Failure { class, cause, count: attempts };
        let due = Schedule::shipped(class).next_due(failure, at(self.now), self.chance.fraction());
        self.tell(due.millis(), Event::Arrives { site, class, mails: 1, attempts });
    }

    /// Has a connection ask for work.
    fn ask(&mut self, line: usize) {
        let site = self.lines[line].site;
        let name = self.sites[site].name.clone();
        match self.lanes.take(&name, at(self.now)) {
            Take::Job(job, epoch) => {
                self.works(line);
                // Written, and looked once more whether somebody is waiting, as couriers do.
                let job = self.lanes.exchange(&name, *job, at(self.now));
                let mail = self.begin(site, job, epoch);
                self.send(line, mail);
            }
            Take::At(token) => self.waits(line, Some(token.millis())),
            Take::Nothing if self.has_waited(line) => self.leave(line),
            Take::Nothing => self.waits(line, None),
            Take::Leave => {
                self.lines[line].told = true;
                self.leave(line);
                // It may have been called for a mail that the next one takes.
                self.ring(site);
            }
        }
    }

    fn has_waited(&self, line: usize) -> bool {
        matches!(self.lines[line].state, State::Waits { deadline } if deadline <= self.now)
    }

    fn waits(&mut self, line: usize, token: Option<i64>) {
        let site = self.lines[line].site;
        let deadline = if let State::Waits { deadline } = self.lines[line].state {
            deadline
        } else {
            let name = self.sites[site].name.clone();
            self.sites[site].idle.push_back(line);
            self.lanes.idles(&name, true, at(self.now));
            self.now + IDLE
        };
        self.lines[line].state = State::Waits { deadline };
        self.told += 1;
        self.lines[line].wait = self.told;
        self.tell(token.unwrap_or(deadline), Event::Rings(line, self.told));
    }

    /// A connection that may have waited does so no longer.
    fn works(&mut self, line: usize) {
        if let State::Waits { .. } = self.lines[line].state {
            let site = &mut self.sites[self.lines[line].site];
            site.idle.retain(|other| *other != line);
            self.lanes.idles(&site.name, false, at(self.now));
            self.lines[line].state = State::Ends;
        }
    }

    fn rings(&mut self, line: usize, wait: u64) -> Option<usize> {
        if self.lines[line].wait != wait || !matches!(self.lines[line].state, State::Waits { .. }) {
            return None;
        }
        self.ask(line);
        Some(self.lines[line].site)
    }

    fn begin(&mut self, site: usize, job: Job, epoch: u64) -> Box<Mail> {
        let begun = &mut self.begun[usize::try_from(job.id.number()).unwrap()];
        assert!(!std::mem::replace(begun, true), "{} is begun twice", job.id);
        self.sites[site].count(&job, self.now);
        let class = job.order.class;
        if self.sites[site].in_lane[index(class)] <= self.lanes.bounds.window / 2 {
            self.refill(site, class);
        }
        Box::new(Mail { job, epoch, moved_on: false })
    }

    fn send(&mut self, line: usize, mail: Box<Mail>) {
        let times = self.sites[self.lines[line].site].carrier.mail;
        let takes = self.chance.between(times);
        self.lines[line].state = State::Sends { mail, behind: None };
        self.tell(self.now + takes / 2, Event::Dot(line));
        self.tell(self.now + takes, Event::Answers(line));
    }

    fn dot(&mut self, line: usize) -> Option<usize> {
        let site = self.lines[line].site;
        let name = self.sites[site].name.clone();
        let room = self.lines[line].sent + 2 <= self.lanes.messages(&name);
        if !room || !self.sites[site].carrier.pipelines {
            self.ends_ahead(line);
            return None;
        }
        let Some((job, epoch)) = self.lanes.ahead(&name, self.lines[line].ahead, at(self.now)) else {
            self.ends_ahead(line);
            return None;
        };
        let urgent = Class::ALL.into_iter().filter(|class| is_urgent(*class));
        let urgent_wait = urgent.map(|class| self.sites[site].in_lane[index(class)]).sum::<usize>();
        assert!(!is_urgent(job.order.class) && urgent_wait == 0, "{} is sent ahead", job.order.class);
        self.sites[site].chains += usize::from(!self.lines[line].ahead);
        self.lines[line].ahead = true;
        assert!(self.sites[site].chains < self.sites[site].open, "all connections send ahead");
        let next = self.begin(site, job, epoch);
        let State::Sends { behind, .. } = &mut self.lines[line].state else { panic!() };
        *behind = Some(next);
        Some(site)
    }

    fn ends_ahead(&mut self, line: usize) {
        let site = &mut self.sites[self.lines[line].site];
        if std::mem::replace(&mut self.lines[line].ahead, false) {
            site.chains -= 1;
            self.lanes.ahead_ended(&site.name);
        }
    }

    fn answers(&mut self, line: usize) -> Option<usize> {
        let site = self.lines[line].site;
        let State::Sends { mail, behind } = std::mem::replace(&mut self.lines[line].state, State::Ends) else {
            panic!()
        };
        let answer = self.sites[site].carrier.answers(self.now, &mut self.chance);
        let signal = Some((answer.signal(), mail.epoch));
        let (name, chance) = (self.sites[site].name.clone(), self.chance.fraction());
        let learned = self.lanes.ended(&name, signal, at(self.now), chance);
        self.learn(site, learned);
        self.lines[line].sent += 1;
        match (answer, behind) {
            (Answer::BreaksOff, behind) if !mail.moved_on => {
                behind.into_iter().for_each(|mail| self.unsent(site, mail.job));
                self.moves_on(line, mail);
            }
            (Answer::SlowDown | Answer::Nothing | Answer::BreaksOff, behind) => {
                self.put_off(site, &mail.job, if answer == Answer::SlowDown { Cause::Throttled } else { Cause::Lost });
                behind.into_iter().for_each(|mail| self.unsent(site, mail.job));
                self.leave(line);
            }
            (Answer::Takes | Answer::Unknown, behind) => {
                self.sites[site].done[index(mail.job.order.class)] += 1;
                match behind {
                    Some(next) => self.send(line, next),
                    None if self.lines[line].sent >= self.lanes.messages(&name) => self.leave(line),
                    None => self.ask(line),
                }
            }
        }
        Some(site)
    }

    /// Takes a mail to the carrier's next server, with a token of its own.
    fn moves_on(&mut self, line: usize, mut mail: Box<Mail>) {
        let site = self.lines[line].site;
        self.ends_ahead(line);
        let name = self.sites[site].name.clone();
        match self.lanes.again(&name, at(self.now + TOKEN), at(self.now)) {
            Some((moment, epoch)) => {
                (mail.epoch, mail.moved_on) = (epoch, true);
                self.lines[line].state = State::Sends { mail, behind: None };
                self.tell(moment.millis(), Event::Again(line));
            }
            None => {
                self.put_off(site, &mail.job, Cause::Lost);
                self.leave(line);
            }
        }
    }

    fn goes_again(&mut self, line: usize) -> Option<usize> {
        let site = self.lines[line].site;
        self.sites[site].carrier.begins(self.now);
        let State::Sends { mail, .. } = std::mem::replace(&mut self.lines[line].state, State::Ends) else { panic!() };
        self.send(line, mail);
        Some(site)
    }

    /// The mail whose commands went ahead was not sent.
    fn unsent(&mut self, site: usize, job: Job) {
        self.begun[usize::try_from(job.id.number()).unwrap()] = false;
        self.sites[site].in_lane[index(job.order.class)] += 1;
        let name = self.sites[site].name.clone();
        let turned_away = self.lanes.put_back(&name, job, at(self.now));
        self.give_back(site, turned_away);
        self.ring(site);
    }

    fn leave(&mut self, line: usize) {
        self.works(line);
        self.ends_ahead(line);
        let site = &mut self.sites[self.lines[line].site];
        site.open -= 1;
        self.lanes.broke(&site.name);
        self.lines[line].state = State::Ends;
        let parted = self.now + site.carrier.parting;
        self.tell(parted, Event::Parted(line));
    }

    fn parted(&mut self, line: usize) -> Option<usize> {
        let site = self.lines[line].site;
        self.sites[site].carrier.connections -= 1;
        let site = self.gone(line);
        site.into_iter().for_each(|site| self.ring(site));
        site
    }

    fn gone(&mut self, line: usize) -> Option<usize> {
        let site = self.lines[line].site;
        self.lanes.closed(&self.sites[site].name, self.lines[line].told, at(self.now));
        self.connections -= 1;
        self.spare.push(line);
        Some(site)
    }

    /// Says whether anything lies idle that could be of use, and whether the lanes keep count as the world does.
    fn check(&self, number: usize) {
        let (site, now) = (&self.sites[number], at(self.now));
        let Some(place) = self.lanes.places.get(&site.name) else {
            assert_eq!((site.in_lane, site.open, site.opening), ([0; 6], 0, 0));
            return;
        };
        for class in Class::ALL {
            assert_eq!(self.lanes.waiting(&site.name, class), site.in_lane[index(class)], "{class}");
            assert!(site.in_lane[index(class)] <= self.lanes.bounds.window + site.carrier.limits.connections);
        }
        assert_eq!((place.open, place.ahead, place.reasons.len()), (site.open, site.chains, site.opening));
        let waiting = place.waiting(now);
        if waiting == 0 || place.pace.next_token(now).is_some() {
            return;
        }
        assert!(site.idle.is_empty(), "a connection lies idle while {waiting} mails wait");
        let has_room = self.connections + self.lanes.bounds.connections / RESERVED < self.lanes.bounds.connections;
        let opens_enough = site.opening >= waiting || site.carrier.limits.rate.is_some() && site.opening >= OPENING;
        let allowed = place.pace.connections();
        assert!(
            !has_room || opens_enough || place.connections >= allowed,
            "{waiting} mails wait while {} of {allowed} connections are used",
            place.connections
        );
    }
}
