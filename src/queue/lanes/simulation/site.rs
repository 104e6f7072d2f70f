//! One destination: what waits for it, and what was seen of it.

use super::carrier::Carrier;
use crate::model::JobId;
use crate::queue::destination::Name;
use crate::queue::lanes::index;
use crate::queue::pace::Change;
use crate::queue::{Class, Job};
use std::collections::{HashMap, VecDeque};

/// What went past an urgent mail until it was begun.
#[derive(Debug)]
pub(super) struct Wait {
    pub(super) class: Class,
    /// When it came, and then how long it waited.
    pub(super) time: i64,
    /// Mails of its class that were there before it.
    pub(super) ahead: u64,
    /// How many one-time passwords had just gone in a row, past others that waited.
    pub(super) run: u64,
    /// Mails begun before it came, and then while it waited; by precedence.
    pub(super) begun: [u64; 6],
}

/// How often a class that waits has been passed in a row.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Passed {
    pub(super) by_otp: u64,
    pub(super) by_others: u64,
    /// The most there were, by others and in all.
    pub(super) most: (u64, u64),
}

/// One destination.
pub(super) struct Site {
    pub(super) name: Name,
    pub(super) carrier: Carrier,
    /// When each mail fell due, its number, and how often it was tried.
    pub(super) store: [VecDeque<(i64, i64, u32)>; 6],
    pub(super) in_lane: [usize; 6],
    pub(super) opening: usize,
    pub(super) idle: VecDeque<usize>,
    /// Connections that stand, and those of them that send ahead.
    pub(super) open: usize,
    pub(super) chains: usize,
    pub(super) begun: [u64; 6],
    pub(super) run: u64,
    pub(super) watched: HashMap<JobId, Wait>,
    pub(super) waits: Vec<Wait>,
    pub(super) passed: [Passed; 6],
    /// Mails that have come to an end, by precedence.
    pub(super) done: [u64; 6],
    pub(super) changes: Vec<(i64, Change)>,
}

impl Site {
    pub(super) fn new(carrier: Carrier) -> Self {
        Self {
            name: Name::new(carrier.name),
            carrier,
            store: Default::default(),
            in_lane: [0; 6],
            opening: 0,
            idle: VecDeque::new(),
            open: 0,
            chains: 0,
            begun: [0; 6],
            run: 0,
            watched: HashMap::new(),
            waits: Vec::new(),
            passed: Default::default(),
            done: [0; 6],
            changes: Vec::new(),
        }
    }

    pub(super) fn left(&self) -> usize {
        self.in_lane.iter().sum::<usize>() + self.store.iter().map(VecDeque::len).sum::<usize>()
    }

    pub(super) fn watch(&mut self, job: JobId, class: Class, now: i64) {
        let ahead = (self.in_lane[index(class)] + self.store[index(class)].len()) as u64;
        self.watched.insert(job, Wait { class, time: now, ahead, run: self.run, begun: self.begun });
    }

    /// Counts a mail that is begun, and what it went past.
    pub(super) fn count(&mut self, job: &Job, now: i64) {
        let class = job.order.class;
        self.carrier.begins(now);
        if let Some(mut wait) = self.watched.remove(&job.id) {
            wait.time = now - wait.time;
            wait.begun = std::array::from_fn(|class| self.begun[class] - wait.begun[class]);
            self.waits.push(wait);
        }
        self.begun[index(class)] += 1;
        self.in_lane[index(class)] -= 1;
        let others_wait = self.in_lane.iter().enumerate().any(|(other, count)| other != index(class) && *count > 0);
        self.run = if class == Class::Otp && others_wait { self.run + 1 } else { 0 };
        for (other, passed) in self.passed.iter_mut().enumerate() {
            if other == index(class) || self.in_lane[other] == 0 {
                (passed.by_otp, passed.by_others) = (0, 0);
            } else if class == Class::Otp {
                passed.by_otp += 1;
            } else {
                passed.by_others += 1;
            }
            passed.most.0 = passed.most.0.max(passed.by_others);
            passed.most.1 = passed.most.1.max(passed.by_others + passed.by_otp);
        }
    }
}
