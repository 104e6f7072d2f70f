//! Whether an empty mail is answered.
//!
//! Knows nothing of sockets, rows or the time passing: what the mail says and what is remembered come in as [`Facts`], a
//! [`Decision`] comes out. Anything sent to the registration address counts as an empty mail; its content is no reason.
//! What always holds: nobody is answered who did not write to us himself, as far as a mail can show it; the first rule that
//! says no names the [`Reason`]; and a mail that is not answered is taken all the same (the peer hears 250), as RFC 3834 2
//! asks.
//!
//! The order of judgement:
//!
//! ```text
//! a machine, a list, many, ourselves?  ->  who?  ->  this mail before?  ->  too often?  ->  answer
//! ```
//!
//! Sender authentication (SPF, DKIM, DMARC) has its place in `who`: where envelope and From disagree, an aligned From will
//! be believed; where they agree, a policy of refusal will be obeyed.

use crate::mail::read::{FromField, Mark, Reading, is_automatic_sender};
use crate::model::{Domain, EmailAddress, ReversePath};
use std::fmt;

/// Why a mail is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The envelope sender is `<>`, or was on an earlier leg.
    NullSender,
    /// A report of a mail system.
    Report,
    /// Sent by a program, or not to be answered by one.
    AutoSubmitted,
    /// By way of a mailing list.
    List,
    /// To many.
    Bulk,
    /// Going round in circles.
    Loop,
    /// The sender's address is that of a program: mailer-daemon, noreply, …
    AutomaticSender,
    /// From an address or a program of ours.
    OwnMail,
    /// From names nobody that could be written to.
    NoAddress,
    /// From names somebody else than the envelope: forwarded, forged or on somebody's behalf.
    SenderMismatch,
    /// This very mail came before.
    Duplicate,
    /// The address had its answers for now.
    BudgetAddress,
    /// The address's domain had its answers for now.
    BudgetDomain,
    /// The network it came from had its answers for now.
    BudgetNetwork,
}

impl Reason {
    /// All, in the order in which they are looked at.
    pub const ALL: [Self; 14] = [
        Self::NullSender,
        Self::Report,
        Self::AutoSubmitted,
        Self::List,
        Self::Bulk,
        Self::Loop,
        Self::AutomaticSender,
        Self::OwnMail,
        Self::NoAddress,
        Self::SenderMismatch,
        Self::Duplicate,
        Self::BudgetAddress,
        Self::BudgetDomain,
        Self::BudgetNetwork,
    ];

    /// Gives the name used in the mail log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NullSender => "null-sender",
            Self::Report => "report",
            Self::AutoSubmitted => "auto-submitted",
            Self::List => "list",
            Self::Bulk => "bulk",
            Self::Loop => "loop",
            Self::AutomaticSender => "automatic-sender",
            Self::OwnMail => "own-mail",
            Self::NoAddress => "no-address",
            Self::SenderMismatch => "sender-mismatch",
            Self::Duplicate => "duplicate",
            Self::BudgetAddress => "budget-address",
            Self::BudgetDomain => "budget-domain",
            Self::BudgetNetwork => "budget-network",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl From<Mark> for Reason {
    fn from(mark: Mark) -> Self {
        match mark {
            Mark::NullReturnPath => Self::NullSender,
            Mark::Report => Self::Report,
            Mark::AutoSubmitted => Self::AutoSubmitted,
            Mark::List => Self::List,
            Mark::Bulk => Self::Bulk,
            Mark::Loop => Self::Loop,
        }
    }
}

/// The second of the five nouns: what becomes of an empty mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// A link goes to this address.
    Answer(EmailAddress),
    /// Nothing goes out.
    Stay(Reason),
}

/// What is ours: nobody at these domains is answered, so that no two programs of ours can talk to each other for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// The domains of the sender address, of the return paths and of the registration addresses.
    pub domains: Vec<Domain>,
}

/// What is remembered about a mail's sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// This very mail came before.
    pub seen: bool,
    /// The address may be answered once more.
    pub address_has_room: bool,
    /// Its domain may.
    pub domain_has_room: bool,
    /// The network the mail came from may.
    pub network_has_room: bool,
}

impl Memory {
    /// Nothing speaks against an answer.
    pub const NONE: Self = Self { seen: false, address_has_room: true, domain_has_room: true, network_has_room: true };
}

/// Everything that counts.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// MAIL FROM.
    pub sender: &'a ReversePath,
    /// What the header says.
    pub reading: &'a Reading,
    /// What is ours.
    pub own: &'a Own,
    /// What is remembered.
    pub memory: Memory,
}

/// Says whether the mail is answered, and to whom.
#[must_use]
pub fn decide(facts: &Facts<'_>) -> Decision {
    let answer = by_a_machine(facts).map_or(Ok(()), Err).and_then(|()| who(facts)).and_then(|address| {
        let reason = before(&facts.memory).or_else(|| too_often(&facts.memory));
        reason.map_or(Ok(address), Err)
    });
    answer.map_or_else(Decision::Stay, |address| Decision::Answer(address.clone()))
}

/// Why the mail counts as one that no person sent to us, if it does.
fn by_a_machine(facts: &Facts<'_>) -> Option<Reason> {
    if facts.sender.address().is_none() {
        return Some(Reason::NullSender);
    }
    let mark = facts.reading.marks.first().copied().map(Reason::from);
    mark.or_else(|| senders(facts).any(is_automatic_sender).then_some(Reason::AutomaticSender))
        .or_else(|| is_own_mail(facts).then_some(Reason::OwnMail))
}

/// Says whether the mail is from an address or a program of ours.
pub(super) fn is_own_mail(facts: &Facts<'_>) -> bool {
    // A mail of ours that somebody sends back whole keeps its name, whatever became of its sender.
    let named_by_us = facts.reading.message_id.as_ref().and_then(|id| id.domain());
    senders(facts).map(EmailAddress::domain).chain(&named_by_us).any(|domain| facts.own.domains.contains(domain))
}

/// Who sent the mail, by the envelope and by the From field.
fn senders<'a>(facts: &Facts<'a>) -> impl Iterator<Item = &'a EmailAddress> {
    let from = match &facts.reading.from {
        FromField::One(from) => Some(from),
        FromField::Missing | FromField::Several | FromField::Unusable => None,
    };
    facts.sender.address().into_iter().chain(from)
}

/// Says whom an answer would go to: the envelope sender, if the From field does not speak of somebody else. Case does not
/// count, and neither do quotes around the local part.
fn who<'a>(facts: &Facts<'a>) -> Result<&'a EmailAddress, Reason> {
    let sender = facts.sender.address().ok_or(Reason::NullSender)?;
    match &facts.reading.from {
        FromField::Missing => Ok(sender),
        FromField::One(from) if from.folded() == sender.folded() => Ok(sender),
        FromField::One(_) | FromField::Several => Err(Reason::SenderMismatch),
        FromField::Unusable => Err(Reason::NoAddress),
    }
}

fn before(memory: &Memory) -> Option<Reason> {
    memory.seen.then_some(Reason::Duplicate)
}

fn too_often(memory: &Memory) -> Option<Reason> {
    [
        (memory.address_has_room, Reason::BudgetAddress),
        (memory.domain_has_room, Reason::BudgetDomain),
        (memory.network_has_room, Reason::BudgetNetwork),
    ]
    .into_iter()
    .find_map(|(has_room, reason)| (!has_room).then_some(reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::read::read;

    const FRESH: Memory = Memory::NONE;

    fn own() -> Own {
        Own { domains: ["mob-connect.example", "mc-anpi.example"].map(|domain| domain.parse().unwrap()).to_vec() }
    }

    /// Decides about a mail; a sender of nothing is `<>`. Gives `answer` or the reason.
    fn outcome(sender: &str, header: &str, memory: Memory) -> &'static str {
        let sender = sender.parse().map_or(ReversePath::Null, ReversePath::Address);
        let reading = read(header.as_bytes());
        match decide(&Facts { sender: &sender, reading: &reading, own: &own(), memory }) {
            Decision::Answer(address) => {
                assert_eq!(Some(&address), sender.address());
                "answer"
            }
            Decision::Stay(reason) => reason.as_str(),
        }
    }

    #[test]
    fn the_envelope_and_from_have_to_mean_one_person() {
        for (sender, header, expected) in [
            ("a@docomo.ne.jp", "From: a@docomo.ne.jp", "answer"),
            ("a@docomo.ne.jp", "", "answer"),
            ("a@docomo.ne.jp", "Subject:", "answer"),
            ("A@docomo.ne.jp", "From: Hanako <a@DOCOMO.ne.jp>", "answer"),
            ("\"a..b.\"@docomo.ne.jp", "From: a..b.@docomo.ne.jp", "answer"),
            ("a..b.@docomo.ne.jp", "From: \"a..b.\"@docomo.ne.jp", "answer"),
            ("a@docomo.ne.jp", "From: a@docomo.ne.jp\r\nFrom: A@docomo.ne.jp", "answer"),
            ("a@docomo.ne.jp", "From: b@docomo.ne.jp", "sender-mismatch"),
            ("a@docomo.ne.jp", "From: a@ezweb.ne.jp", "sender-mismatch"),
            ("a.b@docomo.ne.jp", "From: a..b@docomo.ne.jp", "sender-mismatch"),
            ("a@docomo.ne.jp", "From: a@docomo.ne.jp, b@docomo.ne.jp", "sender-mismatch"),
            ("a@docomo.ne.jp", "From: a@docomo.ne.jp\r\nFrom: b@docomo.ne.jp", "sender-mismatch"),
            ("a@docomo.ne.jp", "From:", "no-address"),
            ("a@docomo.ne.jp", "From: Hanako", "no-address"),
        ] {
            assert_eq!(outcome(sender, header, FRESH), expected, "{sender} {header}");
        }
    }

    #[test]
    fn no_machine_list_or_program_of_ours_is_answered() {
        for (sender, header, expected) in [
            ("", "", "null-sender"),
            ("", "From: a@docomo.ne.jp", "null-sender"),
            ("a@docomo.ne.jp", "Return-Path: <>\r\nFrom: a@docomo.ne.jp", "null-sender"),
            ("a@docomo.ne.jp", "Auto-Submitted: auto-replied", "auto-submitted"),
            ("a@docomo.ne.jp", "Auto-Submitted: no", "answer"),
            ("a@docomo.ne.jp", "List-Id: <x.example.jp>", "list"),
            ("a@docomo.ne.jp", "Precedence: bulk", "bulk"),
            ("a@docomo.ne.jp", "Content-Type: multipart/report", "report"),
            ("a@docomo.ne.jp", "X-Loop: x", "loop"),
            ("mailer-daemon@docomo.ne.jp", "", "automatic-sender"),
            ("a@docomo.ne.jp", "From: MAILER-DAEMON@docomo.ne.jp", "automatic-sender"),
            ("noreply@example.jp", "From: noreply@example.jp", "automatic-sender"),
            ("anpi@mob-connect.example", "", "own-mail"),
            ("a@docomo.ne.jp", "From: anpi@MOB-connect.example", "own-mail"),
            ("bizanpi@mc-anpi.example", "From: a@docomo.ne.jp", "own-mail"),
            ("a@docomo.ne.jp", "Message-ID: <jq.1795298400123@mob-connect.example>", "own-mail"),
            ("a@docomo.ne.jp", "Message-ID: <x@badmob-connect.example>", "answer"),
            ("a@sub.mob-connect.example", "", "answer"),
        ] {
            assert_eq!(outcome(sender, header, FRESH), expected, "{sender} {header}");
        }
    }

    #[test]
    fn what_is_remembered_stays_an_answer() {
        for (memory, expected) in [
            (FRESH, "answer"),
            (Memory { seen: true, ..FRESH }, "duplicate"),
            (Memory { address_has_room: false, ..FRESH }, "budget-address"),
            (Memory { domain_has_room: false, ..FRESH }, "budget-domain"),
            (Memory { network_has_room: false, ..FRESH }, "budget-network"),
        ] {
            assert_eq!(outcome("a@docomo.ne.jp", "From: a@docomo.ne.jp", memory), expected);
        }
    }

    #[test]
    fn the_first_rule_names_the_reason() {
        let nothing_left =
            Memory { seen: true, address_has_room: false, domain_has_room: false, network_has_room: false };
        let marks = [
            "Return-Path: <>",
            "Content-Type: multipart/report",
            "Auto-Submitted: auto-generated",
            "List-Id: x",
            "Precedence: bulk",
            "X-Loop: x",
        ];
        let [null, report, auto, list, bulk, looped] = [0, 1, 2, 3, 4, 5].map(|from| marks[from..].join("\r\n"));
        // Each line takes the first reason of the one before away.
        for (sender, header, memory, expected) in [
            ("", report.as_str(), nothing_left, "null-sender"),
            ("noreply@mc-anpi.example", &null, nothing_left, "null-sender"),
            ("noreply@mc-anpi.example", &report, nothing_left, "report"),
            ("noreply@mc-anpi.example", &auto, nothing_left, "auto-submitted"),
            ("noreply@mc-anpi.example", &list, nothing_left, "list"),
            ("noreply@mc-anpi.example", &bulk, nothing_left, "bulk"),
            ("noreply@mc-anpi.example", &looped, nothing_left, "loop"),
            ("noreply@mc-anpi.example", "From: x", nothing_left, "automatic-sender"),
            ("a@mc-anpi.example", "From: x", nothing_left, "own-mail"),
            ("a@docomo.ne.jp", "From: x", nothing_left, "no-address"),
            ("a@docomo.ne.jp", "From: x@y.jp", nothing_left, "sender-mismatch"),
            ("a@docomo.ne.jp", "", nothing_left, "duplicate"),
            ("a@docomo.ne.jp", "", Memory { seen: false, ..nothing_left }, "budget-address"),
            ("a@docomo.ne.jp", "", Memory { seen: false, address_has_room: true, ..nothing_left }, "budget-domain"),
            ("a@docomo.ne.jp", "", Memory { network_has_room: false, ..FRESH }, "budget-network"),
            ("a@docomo.ne.jp", "", FRESH, "answer"),
        ] {
            assert_eq!(outcome(sender, header, memory), expected, "{sender} {header}");
        }
    }

    #[test]
    fn reasons_have_names_of_their_own() {
        let names: std::collections::BTreeSet<&str> = Reason::ALL.map(Reason::as_str).into();
        assert_eq!(names.len(), Reason::ALL.len());
    }
}
