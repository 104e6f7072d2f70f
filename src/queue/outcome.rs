//! The last two of the five nouns: one try at a delivery, and what came of it.

use crate::model::{JobId, LocalForm, Reply, Span, Stage};
use std::fmt;

/// One try at delivering a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The job.
    pub job: JobId,
    /// The claim under which it was tried.
    pub fence: i64,
    /// The server tried, as `name[address]`; empty where none was reached.
    pub mx: String,
    /// The TLS version, or nothing for plain text.
    pub tls: Option<String>,
    /// Where the time went.
    pub delays: Delays,
    /// How the recipient's local part is to be written from now on, where that was found out.
    pub form: Option<LocalForm>,
    /// What came of it.
    pub outcome: Outcome,
}

/// Where the time of a delivery went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delays {
    /// From due to claimed.
    pub queue: Span,
    /// Looking up the destination.
    pub resolve: Span,
    /// Opening and securing the connection; nothing where one was reused.
    pub connect: Span,
    /// The mail transaction.
    pub send: Span,
    /// The part of `queue` for which the destination had asked to slow down, or its rate was used up.
    pub throttled: Span,
    /// The part of `queue` for which the destination was suspended, or its breaker open.
    pub suspended: Span,
    /// For how long the operator had kept the mail back, in all.
    pub held: Span,
}

/// `queue/resolve/connect/send` in seconds.
impl fmt::Display for Delays {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |span: Span| format!("{}.{:02}", span.millis() / 1_000, span.millis() % 1_000 / 10);
        let [queue, resolve, connect, send] = [self.queue, self.resolve, self.connect, self.send].map(seconds);
        write!(out, "{queue}/{resolve}/{connect}/{send}")
    }
}

/// What came of an attempt. Not an error: a refused mail is a result like any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server took responsibility (250 after the final dot).
    Accepted(Reply),
    /// Not now; to be tried again.
    Deferred {
        /// Where it ended.
        stage: Stage,
        /// What was said, or a description with code 0.
        reply: Reply,
        /// What the trouble says something about.
        blame: Blame,
        /// Why it has to wait.
        cause: Cause,
    },
    /// Never.
    Refused {
        /// Where it ended.
        stage: Stage,
        /// What was said, or a description with code 0.
        reply: Reply,
        /// What the refusal means.
        verdict: Verdict,
    },
    /// The connection was lost after the final dot: perhaps accepted, perhaps not.
    Unknown(Reply),
    /// The time to send it was over before a body was sent.
    Expired,
}

/// What a trouble says something about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The one recipient.
    Recipient,
    /// The message.
    Message,
    /// The receiving system as a whole.
    Site,
    /// The one connection.
    Session,
}

/// Why a job has to wait for another try, in the names of the mail log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The name servers gave no answer that says where to.
    Dns,
    /// What is to sign or seal is missing.
    NoKey,
    /// We ourselves could not: a file, the store, the settings.
    Ours,
    /// No connection was to be had, or none that lasted until the mail.
    Unreachable,
    /// The connection was not as secure as it has to be.
    Tls,
    /// The server wants to see us come back.
    Greylisted,
    /// We are to slow down.
    Throttled,
    /// The mailbox is full.
    Full,
    /// The server said so, for a reason of its own.
    Said,
    /// The connection was lost in the middle of the mail.
    Lost,
}

impl Cause {
    const ALL: [Self; 10] = [
        Self::Dns,
        Self::NoKey,
        Self::Ours,
        Self::Unreachable,
        Self::Tls,
        Self::Greylisted,
        Self::Throttled,
        Self::Full,
        Self::Said,
        Self::Lost,
    ];

    /// Gives the name used in the mail log and the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::NoKey => "no-key",
            Self::Ours => "ours",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Greylisted => "greylisted",
            Self::Throttled => "throttled",
            Self::Full => "full",
            Self::Said => "said",
            Self::Lost => "lost",
        }
    }

    /// Reads a name back.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == name)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// What a refusal means, in the names of the mail log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// There is no such mailbox.
    UnknownUser,
    /// The owner's filter refused us; the address is alive.
    Filtered,
    /// The mailbox is full.
    Full,
    /// The account is switched off.
    SuspendedUser,
    /// We are to slow down.
    Throttled,
    /// The message is too large.
    TooLarge,
    /// Our authentication or reputation was refused.
    Policy,
    /// We broke the protocol or are set up wrongly.
    OurFault,
    /// The other side was not to be reached.
    Outage,
    /// Nobody could say.
    Unclear,
}

impl Verdict {
    const ALL: [Self; 10] = [
        Self::UnknownUser,
        Self::Filtered,
        Self::Full,
        Self::SuspendedUser,
        Self::Throttled,
        Self::TooLarge,
        Self::Policy,
        Self::OurFault,
        Self::Outage,
        Self::Unclear,
    ];

    /// Gives the name used in the mail log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownUser => "unknown-user",
            Self::Filtered => "filtered",
            Self::Full => "full",
            Self::SuspendedUser => "suspended-user",
            Self::Throttled => "throttled",
            Self::TooLarge => "too-large",
            Self::Policy => "policy",
            Self::OurFault => "our-fault",
            Self::Outage => "outage",
            Self::Unclear => "unclear",
        }
    }

    /// Reads a name back.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.as_str() == name)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_seconds_with_two_digits() {
        let delays = Delays { queue: Span::from_millis(1_234), send: Span::from_millis(50), ..Delays::default() };
        assert_eq!(delays.to_string(), "1.23/0.00/0.00/0.05");
    }

    #[test]
    fn causes_are_read_back_from_their_names() {
        for cause in Cause::ALL {
            assert_eq!(Cause::from_name(cause.as_str()), Some(cause));
        }
        assert_eq!(Cause::from_name("weather"), None);
    }

    #[test]
    fn verdicts_are_read_back_from_their_names() {
        for verdict in Verdict::ALL {
            assert_eq!(Verdict::from_name(verdict.as_str()), Some(verdict));
        }
        assert_eq!(Verdict::from_name("fine"), None);
    }
}
