//! How hard one destination is pressed: what it gets at most, and what was learned from how it answers.
//!
//! A congestion window as TCP has one: a call to slow down halves the connections, and the rate with them; a run of
//! accepted mails brings one connection back. A destination that is not to be reached at all, or asks to slow down while only
//! one connection is left, is shut and probed by one mail, ever less often. When too many of its last recipients were
//! unknown the breaker opens, since carriers block whoever sends to stale lists. After any of these it begins with one connection.
//!
//! Knows nothing of jobs or sockets; the time and chance are told. What always holds: neither the connections nor the rate
//! ever exceed the limits; several answers to mails begun before a halving count as one call to slow down; nothing but a mail begun
//! while it is shut opens it again, and nothing but the probe that is due keeps it shut for longer.

use crate::model::{Span, Timestamp};
use crate::queue::destination::Limits;
use crate::queue::view::{Held, Shut, Standing};
use crate::queue::{Cause, Outcome, Verdict};
use std::collections::VecDeque;

/// Connections to a destination that has not taken us in yet: one that never answers holds no more than these.
const FIRST: usize = 2;
/// Accepted mails in a row that bring one connection back.
const RUN: u32 = 20;
/// The breaker looks at so many of the last recipients …
const RECIPIENTS: u32 = 200;
/// … and opens when more of them than this were unknown: 5 %.
const UNKNOWN_MAX: u32 = 10;
/// How late a token may be taken without the next one being later too, in microseconds: timers come late.
const LATENESS: i64 = 2_000;
/// How many stretches of waiting are remembered.
const STRETCHES: usize = 128;

/// What a destination's answer to a mail, or to a connection, says about the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// It took a mail.
    Accepted,
    /// It answered, and whatever it said was about the one mail.
    Answered,
    /// It does not know the recipient.
    UnknownUser,
    /// It asks to slow down.
    Throttled,
    /// It broke off a conversation: au does so when it is congested.
    Broken,
    /// It refused a connection beside others that are open.
    Crowded,
    /// No server of it is to be reached, and none was before.
    Unreached,
}

impl Signal {
    /// Reads it off what came of a mail; nothing where the destination had no part in it.
    #[must_use]
    pub const fn of(outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::Accepted(_) => Some(Self::Accepted),
            Outcome::Refused { verdict, .. } => Some(match verdict {
                Verdict::UnknownUser => Self::UnknownUser,
                Verdict::Throttled => Self::Throttled,
                _ => Self::Answered,
            }),
            // Whoever closes on us asks for less, whatever the reason given.
            Outcome::Deferred { reply, .. } if reply.code == 421 => Some(Self::Throttled),
            Outcome::Deferred { cause, .. } => match cause {
                Cause::Throttled => Some(Self::Throttled),
                Cause::Lost | Cause::Unreachable => Some(Self::Broken),
                Cause::Greylisted | Cause::Full | Cause::Said => Some(Self::Answered),
                Cause::Dns | Cause::NoKey | Cause::Ours | Cause::Tls => None,
            },
            Outcome::Unknown(_) => Some(Self::Broken),
            Outcome::Expired => None,
        }
    }
}

/// What a signal changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing that anybody has to know.
    None,
    /// It gets so many connections now, fewer than before.
    Slowed(usize),
    /// It was shut, or stays so for longer.
    Shut {
        /// Why.
        why: Shut,
        /// Until when nothing but urgent mail probes it.
        until: Timestamp,
    },
    /// It is open again, with one connection at first.
    Resumed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Closure {
    why: Shut,
    until: Timestamp,
}

/// The pace of one destination.
#[derive(Debug, Clone)]
pub struct Pace {
    limits: Limits,
    /// Connections, as learned; from 1 to the limit.
    allowed: usize,
    /// A server has taken us in since the destination was last away.
    met: bool,
    /// Grows with each halving: answers to mails begun before it are no news.
    epoch: u64,
    /// Mails accepted in a row since the last change.
    run: u32,
    /// Conversations broken off in a row.
    broken: u32,
    /// When the next token is there, in microseconds.
    token: i64,
    /// The moment the last one counts from, in microseconds.
    taken: i64,
    shut: Option<Closure>,
    /// How often it was shut without a run of accepted mails between.
    tries: u32,
    recipients: Recipients,
    suspended: Stretches,
    throttled: Stretches,
}

impl Pace {
    /// Begins with the whole of the limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            allowed: limits.connections.max(1),
            met: false,
            epoch: 0,
            run: 0,
            broken: 0,
            token: i64::MIN,
            taken: i64::MIN,
            shut: None,
            tries: 0,
            recipients: Recipients::default(),
            suspended: Stretches::default(),
            throttled: Stretches::default(),
        }
    }

    /// Gives the limits.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Takes other limits; what was learned stays, as far as they allow it. The next token comes as if they had held when
    /// the last one was taken.
    pub fn limit(&mut self, limits: Limits) {
        let whole = self.allowed == self.limits.connections;
        self.limits = limits;
        let most = limits.connections.max(1);
        self.allowed = if whole { most } else { self.allowed.min(most) };
        if let Some(spacing) = self.spacing() {
            self.token = self.taken.saturating_add(spacing);
        }
    }

    /// Takes the place of another one: the next token comes as if both had taken theirs here.
    pub fn follow(&mut self, other: &Self) {
        if let Some(spacing) = self.spacing()
            && other.taken > self.taken
        {
            (self.taken, self.token) = (other.taken, other.taken.saturating_add(spacing));
        }
    }

    /// Says how many connections there may be.
    #[must_use]
    pub fn connections(&self) -> usize {
        match self.shut {
            Some(_) => 1,
            None if !self.met => self.allowed.min(FIRST),
            None => self.allowed,
        }
    }

    /// Says until when nothing but a probe may be sent; nothing where it is open. Urgent mail may probe at any time, other
    /// mail once that moment has come.
    #[must_use]
    pub fn shut_until(&self) -> Option<Timestamp> {
        self.shut.map(|shut| shut.until)
    }

    /// Says when the next token is there; nothing: now.
    #[must_use]
    pub fn next_token(&self, now: Timestamp) -> Option<Timestamp> {
        self.limits.rate?;
        // Rounded up: a token is not taken before its time.
        let at = Timestamp::from_millis(self.token.saturating_add(999).div_euclid(1_000));
        (at > now).then_some(at)
    }

    /// The clock was put back: moments that were fixed by it before are not waited for.
    pub fn clock_was_put_back(&mut self, now: Timestamp) {
        self.token = i64::MIN;
        if let Some(shut) = &mut self.shut {
            shut.until = shut.until.min(now);
        }
    }

    /// Notes that a mail waits for a token.
    pub fn wait_for_token(&mut self, now: Timestamp, until: Timestamp) {
        self.throttled.mark(now, until);
    }

    /// Takes the token for one mail; gives the epoch in which that mail begins.
    pub fn take_token(&mut self, now: Timestamp) -> u64 {
        if let Some(spacing) = self.spacing() {
            let now = now.millis().saturating_mul(1_000);
            // A timer that rang a little late costs no mail; a token that lay unused is not saved up for a burst.
            let from = if now.saturating_sub(self.token) <= LATENESS { self.token } else { now };
            (self.taken, self.token) = (from, from.saturating_add(spacing));
        } else {
            self.taken = now.millis().saturating_mul(1_000);
        }
        self.epoch
    }

    /// Microseconds from one mail to the next; longer in the measure in which connections were taken away.
    fn spacing(&self) -> Option<i64> {
        let whole = self.limits.rate?.spacing_micros();
        let (most, allowed) = (self.limits.connections.max(1), self.allowed.max(1));
        let [most, allowed] = [most, allowed].map(|count| i64::try_from(count).unwrap_or(1));
        Some(whole.saturating_mul(most) / allowed)
    }

    /// Gives the rate at which it is sent to at most now, in mails a second; nothing: as fast as the connections carry.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "for people to read")]
    pub fn rate(&self) -> Option<f64> {
        self.spacing().map(|spacing| 1_000_000.0 / spacing as f64)
    }

    /// A server has taken a connection in.
    pub const fn greeted(&mut self) {
        self.met = true;
    }

    /// Learns from an answer. `epoch` is that of the mail it answers, `open` the number of connections that are open besides,
    /// `chance` (0 up to 1) spreads the moments at which destinations are probed.
    pub fn learn(&mut self, signal: Signal, epoch: u64, open: usize, now: Timestamp, chance: f64) -> Change {
        match signal {
            Signal::Accepted => self.answered(false, epoch, now, chance, 1),
            Signal::Answered => self.answered(false, epoch, now, chance, 0),
            Signal::UnknownUser => self.answered(true, epoch, now, chance, 0),
            Signal::Throttled | Signal::Broken => self.slow_down(signal, epoch, now, chance),
            // It was begun before fewer were allowed.
            Signal::Crowded if self.allowed <= open => Change::None,
            Signal::Crowded => {
                self.halve(now);
                self.allowed = self.allowed.min(open.max(1));
                Change::Slowed(self.allowed)
            }
            Signal::Unreached => {
                self.met = false;
                self.shut(Shut::Down, now, chance)
            }
        }
    }

    fn answered(&mut self, unknown: bool, epoch: u64, now: Timestamp, chance: f64, accepted: u32) -> Change {
        self.recipients.note(unknown);
        self.broken = 0;
        // A mail begun before it was shut is no probe.
        if self.shut.is_some() && epoch < self.epoch {
            return Change::None;
        }
        let probes_breaker = self.shut.is_some_and(|shut| shut.why == Shut::UnknownUsers);
        if unknown && (probes_breaker || self.recipients.unknown > UNKNOWN_MAX) {
            self.recipients = Recipients::default();
            return self.shut(Shut::UnknownUsers, now, chance);
        }
        let resumed = self.shut.take().is_some();
        if resumed {
            self.suspended.end(now);
            self.allowed = 1;
            self.run = 0;
            self.throttled.begin(now);
        }
        self.run = if accepted > 0 { self.run + accepted } else { self.run };
        if self.run >= RUN {
            self.run = 0;
            self.tries = 0;
            self.allowed = (self.allowed + 1).min(self.limits.connections.max(1));
        }
        if self.allowed >= self.limits.connections {
            self.throttled.end(now);
        }
        if resumed { Change::Resumed } else { Change::None }
    }

    fn slow_down(&mut self, signal: Signal, epoch: u64, now: Timestamp, chance: f64) -> Change {
        self.run = 0;
        self.broken += u32::from(signal == Signal::Broken);
        if epoch < self.epoch {
            return Change::None;
        }
        if self.allowed > 1 {
            self.halve(now);
            return Change::Slowed(self.allowed);
        }
        // One conversation that broke off is an accident, which happens; a second one in a row is not.
        match signal {
            Signal::Throttled => self.shut(Shut::Throttled, now, chance),
            _ if self.broken < 2 => Change::None,
            _ => self.shut(Shut::Down, now, chance),
        }
    }

    fn halve(&mut self, now: Timestamp) {
        self.allowed = (self.allowed / 2).max(1);
        self.run = 0;
        self.epoch += 1;
        self.throttled.begin(now);
    }

    fn shut(&mut self, why: Shut, now: Timestamp, chance: f64) -> Change {
        // An urgent mail tried before the time; many of them do not make the wait longer for all others.
        if self.shut.is_some_and(|shut| now < shut.until) {
            return Change::None;
        }
        let wait = wait(why, self.tries, chance);
        self.tries = self.tries.saturating_add(1);
        self.allowed = 1;
        self.run = 0;
        self.epoch += 1;
        let until = now.plus(wait);
        self.shut = Some(Closure { why, until });
        self.suspended.begin(now);
        Change::Shut { why, until }
    }

    /// Says how it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match self.shut {
            Some(Closure { why, until }) => Standing::Shut { why, until },
            None if self.allowed < self.limits.connections => Standing::Slowed,
            None => Standing::Open,
        }
    }

    /// Says how much of the time from `from` to `to` it was held back.
    #[must_use]
    pub fn held(&self, from: Timestamp, to: Timestamp) -> Held {
        let suspended = self.suspended.within(from, to);
        let throttled = self.throttled.within(from, to);
        // What was suspended is not throttled as well.
        let both = Span::from_millis(to.since(from).millis() - suspended.millis());
        Held { suspended, throttled: throttled.min(both) }
    }

    /// Gives how many of the last recipients were unknown, and how many those last ones are.
    #[must_use]
    pub fn unknown(&self) -> (u32, u32) {
        (self.recipients.unknown, u32::try_from(self.recipients.last.len()).unwrap_or(RECIPIENTS))
    }

    /// Says whether nothing is lost when it is forgotten: nothing was learned that still holds, and no token is owed.
    #[must_use]
    pub fn is_blank(&self, now: Timestamp) -> bool {
        self.standing() == Standing::Open
            && self.tries == 0
            && self.recipients.unknown == 0
            && self.next_token(now).is_none()
    }
}

/// Says how long something is left alone after it was shut `tries` times before; `chance` (0 up to 1) spreads the moments.
pub(super) fn wait(why: Shut, tries: u32, chance: f64) -> Span {
    spread(backoff(why, tries), chance)
}

/// How long a destination is left alone after it was shut `tries` times before.
const fn backoff(why: Shut, tries: u32) -> Span {
    let (first, longest) = match why {
        // Alerts are not to wait long for a carrier that is back; one connection now and then presses nobody.
        Shut::Down => (15, 600),
        Shut::Throttled => (30, 900),
        Shut::UnknownUsers => (300, 3_600),
    };
    let doubled = if tries >= 16 { longest } else { first << tries };
    Span::from_secs(if doubled < longest { doubled } else { longest })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "waits are far below 2^52 ms")]
fn spread(wait: Span, chance: f64) -> Span {
    Span::from_millis((wait.millis() as f64 * (0.75 + chance.clamp(0.0, 1.0) / 2.0)) as i64)
}

/// Which of the last recipients were unknown.
#[derive(Debug, Clone, Default)]
struct Recipients {
    last: VecDeque<bool>,
    unknown: u32,
}

impl Recipients {
    fn note(&mut self, unknown: bool) {
        self.last.push_back(unknown);
        self.unknown += u32::from(unknown);
        if self.last.len() > RECIPIENTS as usize && self.last.pop_front() == Some(true) {
            self.unknown -= 1;
        }
    }
}

/// Stretches of time, one after the other.
#[derive(Debug, Clone, Default)]
struct Stretches {
    past: VecDeque<(Timestamp, Timestamp)>,
    open: Option<Timestamp>,
}

impl Stretches {
    fn begin(&mut self, now: Timestamp) {
        self.open.get_or_insert(now);
    }

    fn end(&mut self, now: Timestamp) {
        if let Some(from) = self.open.take() {
            self.mark(from, now);
        }
    }

    fn mark(&mut self, from: Timestamp, to: Timestamp) {
        if self.open.is_some() {
            return;
        }
        match self.past.back_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => self.past.push_back((from, to)),
        }
        if self.past.len() > STRETCHES {
            self.past.pop_front();
        }
    }

    fn within(&self, from: Timestamp, to: Timestamp) -> Span {
        let open = self.open.map(|since| (since, to));
        let parts = self.past.iter().copied().chain(open);
        parts.fold(Span::default(), |sum, (begin, end)| sum.plus(end.min(to).since(begin.max(from))))
    }
}

#[cfg(test)]
mod tests;
