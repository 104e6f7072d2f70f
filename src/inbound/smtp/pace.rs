//! How long a client may take for what it is doing.
//!
//! Does not wait, nor read the clock. What always holds: there is a deadline at every moment, and octets that trickle in do
//! not move it far: a line has a time in which it must be complete, a message a least speed.

use crate::model::{Span, Timestamp};
use crate::smtp::server::Phase;

/// The times allowed, in RFC 5321 4.5.3.2's terms where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// From a reply to the end of the next command line (4.5.3.2.7).
    pub command: Span,
    /// From one mail to the next, or from the greeting to the first: a client that only chats has no business here.
    pub mail: Span,
    /// From one piece of data to the next (4.5.3.2.5).
    pub block: Span,
    /// From DATA to its end (4.5.3.2.6), and a millisecond more for every octet that came.
    pub data: Span,
    /// From our reply to STARTTLS to the end of the handshake.
    pub handshake: Span,
    /// For the client to take our replies off the network.
    pub write: Span,
    /// For a mail to be stored; the client waits ten minutes (4.5.3.2.6).
    pub store: Span,
    /// For the client to read our last words and close its side.
    pub linger: Span,
    /// For what is under way when the server is stopped.
    pub grace: Span,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            command: Span::from_secs(5 * 60),
            mail: Span::from_secs(30 * 60),
            block: Span::from_secs(3 * 60),
            data: Span::from_secs(10 * 60),
            handshake: Span::from_secs(60),
            write: Span::from_secs(5 * 60),
            store: Span::from_secs(60),
            linger: Span::from_secs(10),
            grace: Span::from_secs(30),
        }
    }
}

/// What an octet of data may take on average, once [`Deadlines::data`] is used up: 1,000 octets a second.
const SLOWEST: Span = Span::from_millis(1);

/// Keeps the moments that the deadlines are counted from.
#[derive(Debug)]
pub(super) struct Pace {
    replied: Timestamp,
    mail: Timestamp,
    data: Option<Data>,
}

#[derive(Debug)]
struct Data {
    begun: Timestamp,
    last: Timestamp,
    octets: i64,
}

impl Pace {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self { replied: now, mail: now, data: None }
    }

    /// A command or the end of data was answered.
    pub(super) fn replied(&mut self, now: Timestamp) {
        self.replied = now;
        self.data = None;
    }

    /// A mail was taken.
    pub(super) const fn mail(&mut self, now: Timestamp) {
        self.mail = now;
    }

    /// Octets came, and left the session in this phase.
    pub(super) fn heard(&mut self, octets: usize, phase: Phase, now: Timestamp) {
        if phase != Phase::Data {
            return;
        }
        let data = self.data.get_or_insert(Data { begun: now, last: now, octets: 0 });
        data.last = now;
        data.octets = data.octets.saturating_add(i64::try_from(octets).unwrap_or(i64::MAX));
    }

    /// Gives the moment until which the next octets must be there.
    pub(super) fn deadline(&self, allowed: &Deadlines) -> Timestamp {
        match &self.data {
            None => self.replied.plus(allowed.command).min(self.mail.plus(allowed.mail)),
            Some(data) => {
                let earned = Span::from_millis(data.octets.saturating_mul(SLOWEST.millis()));
                data.last.plus(allowed.block).min(data.begun.plus(allowed.data).plus(earned))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn deadline(pace: &Pace) -> Timestamp {
        pace.deadline(&Deadlines::default())
    }

    #[test]
    fn octets_of_a_command_line_do_not_move_its_deadline() {
        let mut pace = Pace::new(at(0));
        for second in 0..299 {
            pace.heard(1, Phase::Idle, at(second));
            assert_eq!(deadline(&pace), at(300));
        }
        pace.replied(at(299));
        assert_eq!(deadline(&pace), at(599));
    }

    #[test]
    fn a_client_that_only_chats_is_sent_away_after_half_an_hour() {
        let mut pace = Pace::new(at(0));
        pace.replied(at(1_700));
        assert_eq!(deadline(&pace), at(1_800));
        pace.mail(at(1_790));
        assert_eq!(deadline(&pace), at(2_000));
    }

    #[test]
    fn data_must_go_on_within_three_minutes() {
        let mut pace = Pace::new(at(0));
        pace.heard(100, Phase::Data, at(10));
        assert_eq!(deadline(&pace), at(190));
        pace.heard(100, Phase::Data, at(100));
        assert_eq!(deadline(&pace), at(280));
    }

    #[test]
    fn data_that_trickles_ends_after_ten_minutes_and_data_that_flows_does_not() {
        let (mut trickle, mut flow) = (Pace::new(at(0)), Pace::new(at(0)));
        for second in 0..=600 {
            trickle.heard(1, Phase::Data, at(second));
            flow.heard(2_000, Phase::Data, at(second));
        }
        assert_eq!(deadline(&trickle), Timestamp::from_millis(600_601));
        assert_eq!(deadline(&flow), at(780));
    }

    #[test]
    fn behind_the_data_the_clock_of_commands_runs_again() {
        let mut pace = Pace::new(at(0));
        pace.heard(100, Phase::Data, at(10));
        pace.replied(at(20));
        pace.heard(100, Phase::Idle, at(20));
        assert_eq!(deadline(&pace), at(320));
    }

    #[test]
    fn each_message_has_its_own_ten_minutes_even_where_one_piece_ends_one_and_begins_the_next() {
        let mut pace = Pace::new(at(0));
        pace.heard(100, Phase::Data, at(10));
        pace.replied(at(100));
        pace.heard(100, Phase::Data, at(100));
        for second in (200..=600).step_by(100) {
            pace.heard(1, Phase::Data, at(second));
        }
        assert_eq!(deadline(&pace), Timestamp::from_millis(700_105));
    }
}
