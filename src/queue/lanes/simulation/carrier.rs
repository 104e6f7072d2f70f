//! A carrier as it looks from its own side: who is connected, how many mails come in a second, and what it answers.

use super::at;
use crate::queue::destination::Limits;
use crate::queue::pace::Signal;
use std::collections::VecDeque;

/// How much earlier than its second has passed a rate's next mail may come, since a token may be taken that late without the next
/// one being later too.
const LATENESS: i64 = 2;

/// Chance that is the same in every run (SplitMix64).
pub(super) struct Chance(u64);

impl Chance {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Draws a number from the first to the second, both included.
    pub(super) const fn between(&mut self, (least, most): (i64, i64)) -> i64 {
        least + (self.next() % (most - least + 1).unsigned_abs()).cast_signed()
    }

    /// Draws from 0 up to 1.
    pub(super) fn fraction(&mut self) -> f64 {
        f64::from(u32::try_from(self.next() >> 32).unwrap()) / f64::from(u32::MAX)
    }
}

/// What a carrier does for a while.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trouble {
    /// It answers 421 to mails and to connections while there are more than so many.
    Above(usize),
    /// It answers 421 to mails beyond so many in a second, and hangs up.
    Faster(usize),
    /// It is not to be reached.
    Down,
    /// It does not know every so-many-th recipient.
    Unknown(i64),
    /// One of its servers breaks off on every so-many-th mail.
    BreaksOff(i64),
}

/// What it says to a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Takes,
    Unknown,
    /// 421, and it hangs up.
    SlowDown,
    /// The server is gone, and another is there.
    BreaksOff,
    /// It is gone.
    Nothing,
}

impl Answer {
    pub(super) const fn signal(self) -> Signal {
        match self {
            Self::Takes => Signal::Accepted,
            Self::Unknown => Signal::UnknownUser,
            Self::SlowDown => Signal::Throttled,
            Self::BreaksOff | Self::Nothing => Signal::Broken,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Carrier {
    pub(super) name: &'static str,
    pub(super) limits: Limits,
    /// How long a mail takes, how long a connection, and how long it is until the last one is gone: from and to.
    pub(super) mail: (i64, i64),
    pub(super) connect: (i64, i64),
    pub(super) parting: i64,
    /// The commands of the next mail may follow a final dot.
    pub(super) pipelines: bool,
    pub(super) troubles: Vec<(i64, i64, Trouble)>,
    pub(super) connections: usize,
    /// When mails were begun within the last second.
    pub(super) recent: VecDeque<i64>,
    /// When connections were tried that it did not take in.
    pub(super) turned_away: Vec<i64>,
    /// When each mail came, and what was answered, in the order in which they were begun and answered.
    pub(super) came: Vec<i64>,
    pub(super) said: [u64; 5],
}

impl Carrier {
    pub(super) fn new(name: &'static str, connections: usize, rate: Option<&str>) -> Self {
        let rate = rate.map(|rate| rate.parse().unwrap());
        Self {
            name,
            limits: Limits { connections, messages_per_connection: 100, rate },
            mail: (50, 50),
            connect: (0, 0),
            parting: 0,
            pipelines: false,
            troubles: Vec::new(),
            connections: 0,
            recent: VecDeque::new(),
            turned_away: Vec::new(),
            came: Vec::new(),
            said: [0; 5],
        }
    }

    fn trouble(&self, now: i64) -> Option<Trouble> {
        let troubles = self.troubles.iter();
        troubles.copied().find_map(|(from, until, trouble)| (from <= now && now < until).then_some(trouble))
    }

    /// Says whether it takes another connection in.
    pub(super) fn takes_in(&mut self, now: i64) -> bool {
        let takes = match self.trouble(now) {
            Some(Trouble::Down) => false,
            Some(Trouble::Above(most)) => self.connections < most,
            Some(Trouble::Faster(_) | Trouble::Unknown(_) | Trouble::BreaksOff(_)) | None => true,
        };
        if takes {
            self.connections += 1
        } else {
            self.turned_away.push(now)
        }
        assert!(self.connections <= self.limits.connections, "{}: too many connections at {}", self.name, at(now));
        takes
    }

    /// Sees a mail begin.
    pub(super) fn begins(&mut self, now: i64) {
        while self.recent.front().is_some_and(|begun| *begun <= now - 1_000) {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        self.came.push(now);
        if let Some(rate) = self.limits.rate {
            let most = usize::try_from(1 + 999_999 / rate.spacing_micros()).unwrap();
            let within = self.recent.iter().filter(|begun| **begun > now - 1_000 + LATENESS).count();
            assert!(within <= most, "{}: {within} mails in a second at {}", self.name, at(now));
        }
    }

    pub(super) fn answers(&mut self, now: i64, chance: &mut Chance) -> Answer {
        let answer = match self.trouble(now) {
            Some(Trouble::Faster(most)) if self.recent.len() > most => Answer::SlowDown,
            Some(Trouble::Above(most)) if self.connections > most => Answer::SlowDown,
            Some(Trouble::Down) => Answer::Nothing,
            Some(Trouble::Unknown(every)) if chance.between((1, every)) == 1 => Answer::Unknown,
            Some(Trouble::BreaksOff(every)) if chance.between((1, every)) == 1 => Answer::BreaksOff,
            Some(Trouble::Faster(_) | Trouble::Unknown(_) | Trouble::Above(_) | Trouble::BreaksOff(_)) | None => {
                Answer::Takes
            }
        };
        self.said[answer as usize] += 1;
        answer
    }
}
