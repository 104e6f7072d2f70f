//! What an operator sees of the queue as it works at this moment, as values.
//!
//! Knows nothing of how it is shown. What always holds: a view is a picture of one moment; what waits in the database alone
//! is not in it.

use crate::model::{Domain, JobId, Span, Timestamp};
use crate::queue::destination::{Limits, Rate};
use crate::queue::{Cause, Class};
use std::collections::BTreeMap;

/// How a destination stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Mail flows, as fast as the limits let it.
    Open,
    /// Mail flows, with less than the limits, since the system asked to slow down or was away; it comes back step by step.
    Slowed,
    /// Nothing but a probe is sent before `until`.
    Shut {
        /// Why.
        why: Shut,
        /// When it is probed, at the latest; a one-time password or an answer somebody waits for probes before.
        until: Timestamp,
    },
}

impl Standing {
    /// Gives the name used in commands and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Slowed => "slowed",
            Self::Shut { why, .. } => why.as_str(),
        }
    }
}

/// Why a destination is shut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shut {
    /// No server of it is to be reached: it is suspended.
    Down,
    /// It asked to slow down while only one connection was left: it is suspended.
    Throttled,
    /// Too many of the last recipients were unknown there: the breaker is open.
    UnknownUsers,
}

impl Shut {
    /// Gives the name used in commands, metrics and the mail log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Down => "suspended",
            Self::Throttled => "throttled",
            Self::UnknownUsers => "breaker",
        }
    }
}

/// Why the mail of a domain waits though its destination is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptBack {
    /// What keeps it: [`Cause::Dns`] or [`Cause::Tls`].
    pub cause: Cause,
    /// When one mail tries again, at the latest.
    pub until: Timestamp,
}

/// A destination at this moment.
#[derive(Debug, Clone, PartialEq)]
pub struct DestinationView {
    /// Its name: of a group, of a server, or of a domain.
    pub name: String,
    /// The recipient domains that were met so far, in order; at most 20.
    pub domains: Vec<Domain>,
    /// How it stands.
    pub standing: Standing,
    /// What it gets at most.
    pub limits: Limits,
    /// How many connections it gets now, as was learned.
    pub allowed: usize,
    /// How fast it is sent to now at most, as was learned, in mails a second; nothing: as fast as the connections carry.
    pub rate: Option<f64>,
    /// Its connections, those being opened among them.
    pub connections: usize,
    /// Mails that are being given to it.
    pub sending: usize,
    /// Claimed mails that wait in memory, by class in the order of [`Class::ALL`].
    pub waiting: [usize; 6],
    /// Mails it was given within the last minute.
    pub last_minute: u32,
    /// Unknown recipients among the last ones, and how many those last ones were.
    pub unknown: (u32, u32),
}

/// Why a job that was claimed is not moving, most telling first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// It is being given to a server.
    Sending,
    /// Its destination is shut.
    Shut {
        /// Why.
        why: Shut,
        /// When it is probed at the latest.
        until: Timestamp,
    },
    /// The rate lets the next mail go then.
    Rate {
        /// When.
        next: Timestamp,
        /// The limit as set.
        limit: Rate,
    },
    /// As many connections as the destination gets are busy, or as there may be in all.
    Connections {
        /// How many there are.
        connections: usize,
        /// How many there may be now.
        allowed: usize,
    },
    /// Mails of this class keep away from the full hour, until then.
    FullHour {
        /// When.
        until: Timestamp,
    },
    /// The servers of its domain are being looked up.
    Resolving,
    /// Nothing keeps it: it goes next.
    Next,
}

/// The whole of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct View {
    /// All destinations that have been met lately, by name.
    pub destinations: Vec<DestinationView>,
    /// Connections in all.
    pub connections: usize,
    /// How many there may be.
    pub connections_max: usize,
    /// Domains whose mail is kept back though their destination is there.
    pub kept: BTreeMap<Domain, KeptBack>,
}

/// What is known at this moment of one job's way.
#[derive(Debug, Clone, PartialEq)]
pub struct JobView {
    /// The job.
    pub job: JobId,
    /// Its class.
    pub class: Class,
    /// The destination it goes to, where that is known.
    pub destination: Option<String>,
    /// Why it is not moving.
    pub wait: Wait,
    /// How many claimed mails go before it in its lane.
    pub ahead: usize,
}

/// How long a destination was shut or held back by its rate while something waited, for the waits of single mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// It was suspended, or its breaker open.
    pub suspended: Span,
    /// It asked to slow down, or its rate was used up.
    pub throttled: Span,
}
