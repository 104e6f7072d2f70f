//! The operator's door: what a command asks, and what it is told.
//!
//! A command sends one [`Request`] as a line of JSON over `data_dir/control.sock` and reads [`Response`]s, a line each, up to
//! [`Response::End`]. While no daemon runs, the command takes the [`Lock`] on the data folder and asks a [`Desk`] of its own:
//! the same function answers both ways.
//!
//! Does not know how answers are printed, nor the settings. What always holds: the door is open to the owner of the data
//! folder only; one daemon or command at a time works on a data folder; a request is bounded in size and in time, and so is
//! the number of those that are answered at once.

mod action;
mod desk;
mod facts;
mod journey;
mod key_facts;
mod keys;
mod live;
mod lock;
mod members;
mod socket;
mod summary;
mod why;

pub use desk::Desk;
pub use facts::{
    AddressFacts, AgeFacts, AuditFacts, ChainFacts, ClassFacts, DestinationFacts, EventFacts, ImportFacts, JobFacts,
    KeptFacts, LastFacts, MailFacts, MemberAddress, MemberFacts, MemberRow, OrgFacts, PlaceFacts, SecondFactors,
    SelectedFacts, StartPasswordFacts, StateFacts, SummaryFacts, TlsLossFacts, TouchedFacts, TraceFacts, TwoFactor,
    WhyFacts,
};
pub use key_facts::{KeyDoneFacts, KeyFacts, RecordFacts};
pub use live::{Live, Recalled};
pub use lock::{Lock, LockError};
pub use socket::{Answers, AskError, Socket, ask};

use crate::keys::{DkimAlgorithm, KeyId, Kind};
use crate::model::{EmailAddress, JobId, LoginId, MailId, OrgCode};
use crate::service::members::Fault;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What a command asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Request {
    /// Whether the daemon is there and its database answers.
    Ping,
    /// Add an organisation.
    AddOrg {
        /// Its code.
        org: OrgCode,
        /// Its title.
        title: String,
        /// Its title in English.
        title_en: Option<String>,
    },
    /// Change what is given.
    SetOrg {
        /// Its code.
        org: OrgCode,
        /// Its title.
        title: Option<String>,
        /// Its title in English.
        title_en: Option<String>,
        /// What it asks for: keys and values as [`crate::model::Policy::set`] takes them.
        policy: Vec<(String, String)>,
    },
    /// All organisations.
    ListOrgs,
    /// One organisation.
    ShowOrg {
        /// Its code.
        org: OrgCode,
    },
    /// Write the members of a file.
    ImportMembers {
        /// Their organisation.
        org: OrgCode,
        /// The bytes of the file, in base64.
        file: String,
        /// Only say what would be done.
        dry_run: bool,
        /// Say also how far it has come: somebody watches.
        #[serde(default)]
        watched: bool,
    },
    /// All members of an organisation.
    ListMembers {
        /// Its code.
        org: OrgCode,
    },
    /// One member.
    ShowMember {
        /// The organisation.
        org: OrgCode,
        /// What the member types.
        id: LoginId,
    },
    /// Clear the second factors and the backup code of a member.
    ResetTwoFactor {
        /// The organisation.
        org: OrgCode,
        /// What the member types.
        id: LoginId,
    },
    /// Give a member another start password.
    ResetPassword {
        /// The organisation.
        org: OrgCode,
        /// What the member types.
        id: LoginId,
    },
    /// What the audit log says of a member, and whether the log is whole.
    MemberHistory {
        /// The organisation.
        org: OrgCode,
        /// What the member types.
        id: LoginId,
    },
    /// Jobs, the most urgent first; of those that have ended the last first.
    ListJobs {
        /// Of this class, by its name.
        class: Option<String>,
        /// To this domain.
        to: Option<String>,
        /// In this state, by its name.
        state: Option<String>,
        /// No more than this many.
        limit: usize,
    },
    /// One job.
    ShowJob {
        /// Its number.
        job: JobId,
    },
    /// Why a job is not moving now.
    Why {
        /// Its number.
        job: JobId,
    },
    /// The queue at a glance.
    Summary,
    /// What an action would be done to.
    Selected {
        /// Which.
        which: Choice,
    },
    /// Do something to waiting jobs.
    Act {
        /// What.
        action: Action,
        /// To which.
        which: Choice,
    },
    /// All keys.
    ListKeys,
    /// Make a key of 32 bytes.
    NewKey {
        /// What for.
        kind: Kind,
        /// It waits until it is to be used.
        wait: bool,
    },
    /// Make a DKIM key, which waits.
    NewDkimKey {
        /// How it signs.
        algorithm: DkimAlgorithm,
        /// Its name in the DNS.
        selector: String,
    },
    /// Have a key make new things.
    UseKey {
        /// Which.
        id: KeyId,
    },
    /// Have a key believed no more.
    RetireKey {
        /// Which.
        id: KeyId,
        /// Even where something stops to work by that.
        now: bool,
    },
    /// Addresses that are not written to.
    Suppressions,
    /// Write to an address again.
    ClearAddress {
        /// The address.
        address: EmailAddress,
    },
    /// One mail that came in.
    ShowMail {
        /// Its number.
        mail: MailId,
    },
    /// What is known of an address.
    ShowAddress {
        /// The address.
        address: EmailAddress,
    },
    /// The life of a mail, a job or an address.
    Trace {
        /// Which.
        of: Subject,
    },
    /// The mail log.
    Log {
        /// How many lines of what was, from 1 to 100,000; nothing: all.
        lines: Option<usize>,
        /// Whether to go on with what comes.
        follow: bool,
    },
}

/// Which of the jobs that wait are meant; what is given holds for all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Choice {
    /// To this domain.
    pub to: Option<String>,
    /// Of this class, by its name.
    pub class: Option<String>,
    /// These; none: whatever their numbers.
    pub ids: Vec<JobId>,
}

/// What an operator does to waiting jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Keep them back.
    Hold,
    /// Let go of those that are kept back.
    Release,
    /// Try now those that wait for another try.
    Retry,
    /// Call them back.
    Drop,
}

/// Whose life is traced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A mail that came in.
    Mail(MailId),
    /// A mail that went out, or is to.
    Job(JobId),
    /// A mail address.
    Address(EmailAddress),
}

/// The text is no mail address, mail or job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is neither a mail address nor the id of a mail (m…) or a job (j…)")]
pub struct SubjectError(String);

impl std::str::FromStr for Subject {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        if text.contains('@') {
            return text.parse().map(Self::Address).ok().ok_or_else(|| SubjectError(text.to_owned()));
        }
        let mail = text.parse().map(Self::Mail);
        mail.or_else(|_| text.parse().map(Self::Job)).ok().ok_or_else(|| SubjectError(text.to_owned()))
    }
}

/// What a command is told; long lists come in several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", content = "facts", rename_all = "snake_case")]
pub enum Response {
    /// It is there, and these doors are its own; none where no daemon runs.
    Up {
        /// Where it listens.
        doors: Vec<SocketAddr>,
    },
    /// Organisations.
    Orgs(Vec<OrgFacts>),
    /// An organisation.
    Org(OrgFacts),
    /// How far it has come; said only where it was asked for.
    Progress {
        /// So much is done,
        done: u64,
        /// of so much.
        all: u64,
    },
    /// What an import did, or would do.
    Import(ImportFacts),
    /// What is wrong with the file of an import; nothing was written.
    Faults {
        /// The first of them.
        faults: Vec<Fault>,
        /// How many more there are.
        more: usize,
    },
    /// Members.
    Members(Vec<MemberRow>),
    /// A member.
    Member(MemberFacts),
    /// A start password, which is said this once.
    StartPassword(StartPasswordFacts),
    /// Entries of the audit log, oldest first.
    Audit(Vec<AuditFacts>),
    /// Whether the audit log is whole.
    Chain(ChainFacts),
    /// Jobs.
    Jobs(Vec<JobFacts>),
    /// A job.
    Job(JobFacts),
    /// Why a job is not moving.
    Why(WhyFacts),
    /// The queue at a glance.
    Summary(SummaryFacts),
    /// What an action would be done to.
    Selected(Vec<SelectedFacts>),
    /// What an action was done to.
    Touched(TouchedFacts),
    /// Keys.
    Keys(Vec<KeyFacts>),
    /// What was done to a key.
    KeyDone(KeyDoneFacts),
    /// Addresses.
    Addresses(Vec<AddressFacts>),
    /// A mail that came in.
    Mail(MailFacts),
    /// An address.
    Address(AddressFacts),
    /// A life.
    Trace(TraceFacts),
    /// Lines of the mail log.
    Events(Vec<EventFacts>),
    /// It cannot be, and why.
    Refused {
        /// A sentence for the operator.
        why: String,
    },
    /// There is no more.
    End,
}

#[cfg(test)]
mod tests;
