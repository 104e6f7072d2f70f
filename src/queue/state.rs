//! Where a job stands, and the one function that says what comes next.
//!
//! ```text
//!            +--------- Release ---------+
//!            v                           |
//!  queued -------- Hold ------------>  held
//!    |  ^  \______ Hold (deferred too) __/
//!    |  |
//!    |  +-- LeaseLost (a crash: counts as unsent)
//!  Claim
//!    v
//!  sending -- Accept --> accepted      sending -- Refuse --> refused
//!    |  |  \- Lose ----> unknown       any waiting, sending -- Expire --> expired
//!    |  +---- Defer ---> deferred -- Claim --> sending
//!    |                   unknown --- Claim --> sending (where the class tries once more)
//!    |                   held ------ Claim --> sending (once its time is over, to be ended)
//!    +-- any waiting state, sending -- Cancel --> cancelled, Suppress --> suppressed
//! ```
//!
//! The schema's CHECK constraints say the same: a lease exists exactly while `sending`.

use std::fmt;
use std::str::FromStr;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Waiting for its first try.
    Queued,
    /// Claimed by a worker.
    Sending,
    /// Tried, to be tried again.
    Deferred,
    /// Kept back by the operator.
    Held,
    /// The connection was lost after the final dot.
    Unknown,
    /// Ended: the receiving server took it.
    Accepted,
    /// Ended: refused for good.
    Refused,
    /// Ended: its time was over.
    Expired,
    /// Ended: the address is not written to.
    Suppressed,
    /// Ended: called back.
    Cancelled,
}

/// What may happen to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// A worker takes it.
    Claim,
    /// The worker was gone before it settled.
    LeaseLost,
    /// 250 after the final dot.
    Accept,
    /// Not now.
    Defer,
    /// Never.
    Refuse,
    /// The connection was lost after the final dot.
    Lose,
    /// The time to send it is over.
    Expire,
    /// The operator keeps it back.
    Hold,
    /// The operator lets it go.
    Release,
    /// The address is not written to any more.
    Suppress,
    /// Called back.
    Cancel,
}

/// The event cannot happen to a job that stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a job that is {state} cannot {event:?}")]
pub struct Impossible {
    /// Where the job stands.
    pub state: State,
    /// What was to happen.
    pub event: Event,
}

/// Says where a job stands after `event`.
///
/// # Errors
/// The event cannot happen in that state; an ended job stays ended.
pub const fn next(state: State, event: Event) -> Result<State, Impossible> {
    match (state, event) {
        // What is held is claimed only once its time is over, to be ended.
        (State::Queued | State::Deferred | State::Held | State::Unknown, Event::Claim) => Ok(State::Sending),
        (State::Sending, Event::LeaseLost) => Ok(State::Queued),
        (State::Sending, Event::Accept) => Ok(State::Accepted),
        (State::Sending, Event::Defer) => Ok(State::Deferred),
        (State::Sending, Event::Refuse) => Ok(State::Refused),
        (State::Sending, Event::Lose) => Ok(State::Unknown),
        (State::Queued | State::Deferred | State::Held | State::Unknown | State::Sending, Event::Expire) => {
            Ok(State::Expired)
        }
        (State::Queued | State::Deferred, Event::Hold) => Ok(State::Held),
        (State::Held, Event::Release) => Ok(State::Queued),
        // While sending: before anything was said to a server, by the worker that holds the claim.
        (State::Queued | State::Deferred | State::Held | State::Unknown | State::Sending, Event::Suppress) => {
            Ok(State::Suppressed)
        }
        (State::Queued | State::Deferred | State::Held | State::Unknown | State::Sending, Event::Cancel) => {
            Ok(State::Cancelled)
        }
        (
            State::Queued
            | State::Sending
            | State::Deferred
            | State::Held
            | State::Unknown
            | State::Accepted
            | State::Refused
            | State::Expired
            | State::Suppressed
            | State::Cancelled,
            _,
        ) => Err(Impossible { state, event }),
    }
}

impl State {
    /// All states, the waiting ones first.
    pub const ALL: [Self; 10] = [
        Self::Queued,
        Self::Sending,
        Self::Deferred,
        Self::Held,
        Self::Unknown,
        Self::Accepted,
        Self::Refused,
        Self::Expired,
        Self::Suppressed,
        Self::Cancelled,
    ];

    /// Gives the name used in commands and the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Deferred => "deferred",
            Self::Held => "held",
            Self::Unknown => "unknown",
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Suppressed => "suppressed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Says whether nothing more can happen.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        match self {
            Self::Queued | Self::Sending | Self::Deferred | Self::Held | Self::Unknown => false,
            Self::Accepted | Self::Refused | Self::Expired | Self::Suppressed | Self::Cancelled => true,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// The text names no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is no state of a job")]
pub struct StateError(String);

impl FromStr for State {
    type Err = StateError;

    fn from_str(text: &str) -> Result<Self, StateError> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| StateError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: [Event; 11] = [
        Event::Claim,
        Event::LeaseLost,
        Event::Accept,
        Event::Defer,
        Event::Refuse,
        Event::Lose,
        Event::Expire,
        Event::Hold,
        Event::Release,
        Event::Suppress,
        Event::Cancel,
    ];

    /// What each state allows, in the order of `EVENTS`; `-` is impossible.
    const TABLE: [(State, [&str; 11]); 5] = [
        (State::Queued, ["sending", "-", "-", "-", "-", "-", "expired", "held", "-", "suppressed", "cancelled"]),
        (
            State::Sending,
            [
                "-",
                "queued",
                "accepted",
                "deferred",
                "refused",
                "unknown",
                "expired",
                "-",
                "-",
                "suppressed",
                "cancelled",
            ],
        ),
        (State::Deferred, ["sending", "-", "-", "-", "-", "-", "expired", "held", "-", "suppressed", "cancelled"]),
        (State::Held, ["sending", "-", "-", "-", "-", "-", "expired", "-", "queued", "suppressed", "cancelled"]),
        (State::Unknown, ["sending", "-", "-", "-", "-", "-", "expired", "-", "-", "suppressed", "cancelled"]),
    ];

    #[test]
    fn each_event_leads_where_the_table_says() {
        for (state, row) in TABLE {
            for (event, expected) in EVENTS.into_iter().zip(row) {
                let got = next(state, event).map_or("-", State::as_str);
                assert_eq!(got, expected, "{state} {event:?}");
            }
        }
    }

    #[test]
    fn an_ended_job_stays_ended() {
        for state in State::ALL.into_iter().filter(|state| state.has_ended()) {
            for event in EVENTS {
                assert_eq!(next(state, event), Err(Impossible { state, event }));
            }
        }
    }

    #[test]
    fn states_are_read_back_from_their_names() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
    }
}
