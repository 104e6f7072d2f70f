//! The facts commands print: their JSON is what scripts rely on, so no key is ever renamed.

use super::why::Reason;
use crate::model::{EmailAddress, JobId, Language, LoginId, MailId, OrgCode, Policy, Timestamp};
use crate::queue::Job;
use crate::service::members::Report;
use crate::store::{AddressRow, AuditRow, Event, MailRow, Member, Org};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrgFacts {
    /// Its code.
    pub org: OrgCode,
    /// Its title.
    pub title: String,
    /// Its title in English.
    pub title_en: Option<String>,
    /// How many members it has.
    pub members: u64,
    /// When it was added.
    pub created_at: String,
    /// What its members have beside the password.
    pub second_factors: SecondFactors,
    /// What it asks for.
    #[serde(flatten)]
    pub policy: Policy,
    /// The keys whose values are not those of its profile.
    pub differs: Vec<String>,
}

/// What the members of an organisation have beside the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SecondFactors {
    /// How many members have anything.
    pub members: u64,
    /// How many of them have codes by mail, and no app.
    pub mail_only: u64,
}

impl OrgFacts {
    pub(super) fn new(org: Org, members: u64, second_factors: SecondFactors) -> Self {
        let created_at = org.created_at.to_string();
        let Org { code, title, title_en, policy, .. } = org;
        let differs = policy.differing().into_iter().map(str::to_owned).collect();
        Self { org: code, title, title_en, members, created_at, second_factors, policy, differs }
    }
}

/// What an import did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportFacts {
    /// The organisation.
    pub org: OrgCode,
    /// How the file was written.
    pub encoding: String,
    /// Members who were not there before.
    pub added: usize,
    /// Members about whom the file says something new.
    pub changed: usize,
    /// Members about whom everything was known.
    pub unchanged: usize,
    /// Nothing was written.
    pub dry_run: bool,
}

impl ImportFacts {
    pub(super) fn new(org: OrgCode, encoding: String, report: Report, dry_run: bool) -> Self {
        let Report { added, changed, unchanged } = report;
        Self { org, encoding, added, changed, unchanged, dry_run }
    }
}

/// A member, as a line of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRow {
    /// What the member types.
    pub id: LoginId,
    /// 氏名.
    pub name: String,
    /// カナ氏名.
    pub kana: Option<String>,
    /// 所属.
    pub department: Option<String>,
    /// The language of pages and mails.
    pub language: Language,
    /// Whether the password is still the administrator's.
    pub must_change_password: bool,
    /// When the member logged in last.
    pub last_login: Option<String>,
}

impl MemberRow {
    pub(super) fn new(member: Member) -> Self {
        Self {
            id: member.login,
            name: member.name,
            kana: member.kana,
            department: member.department,
            language: member.language,
            must_change_password: member.must_change_password,
            last_login: member.last_login.as_ref().map(Timestamp::to_string),
        }
    }
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberFacts {
    /// The organisation.
    pub org: OrgCode,
    /// All that a list says too.
    #[serde(flatten)]
    pub row: MemberRow,
    /// When the administrator's password lets nobody in any more, where it is still that.
    pub start_password_expires: Option<String>,
    /// The addresses, by priority.
    pub addresses: Vec<MemberAddress>,
    /// Which second factors are set up.
    pub two_factor: TwoFactor,
}

/// One of a member's addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberAddress {
    /// 1, 2 or 3.
    pub priority: u8,
    /// The address.
    pub address: EmailAddress,
    /// What is known of it.
    pub state: String,
}

/// Which second factors a member has set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TwoFactor {
    /// An authenticator app.
    pub app: bool,
    /// Codes by mail.
    pub mail: bool,
    /// A backup code.
    pub backup_code: bool,
}

/// A start password, which is said once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartPasswordFacts {
    /// The organisation.
    pub org: OrgCode,
    /// What the member types.
    pub id: LoginId,
    /// The password.
    pub password: String,
    /// When it lets nobody in any more.
    pub expires: String,
}

/// Without the password.
impl std::fmt::Debug for StartPasswordFacts {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("StartPasswordFacts").field("org", &self.org).field("id", &self.id).finish_non_exhaustive()
    }
}

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditFacts {
    /// When.
    pub at: String,
    /// What was done.
    pub event: String,
    /// By whom.
    pub by: String,
    /// What there is to say about it.
    pub fields: Map<String, Value>,
}

impl AuditFacts {
    /// An entry that somebody spoiled has no fields; the chain tells of it.
    pub(super) fn new(row: AuditRow) -> Self {
        let fields = serde_json::from_str(&row.fields).unwrap_or_default();
        Self { at: row.at.to_string(), event: row.name, by: row.by, fields }
    }
}

/// Whether the audit log is as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainFacts {
    /// The moment of the first entry that does not follow the one before it.
    pub broken_at: Option<String>,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFacts {
    /// Its number.
    pub job: JobId,
    /// Its class.
    pub class: String,
    /// Who is to receive it.
    pub to: EmailAddress,
    /// Where it stands.
    pub state: String,
    /// When it is looked at next; nothing once it has ended.
    pub due: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
    /// What was said last.
    pub last: Option<LastFacts>,
    /// The one reason it is not moving now.
    pub why: String,
    /// When it was ordered.
    pub queued_at: String,
    /// After this moment it is not sent any more.
    pub give_up: String,
    /// The mail that caused it.
    pub cause: Option<MailId>,
}

/// What a server said last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastFacts {
    /// The three digits; 0 where no reply came.
    pub code: u16,
    /// Where it was said.
    pub stage: String,
    /// What was said.
    pub reply: String,
}

impl JobFacts {
    pub(super) fn new(job: &Job, reason: Reason) -> Self {
        let last = job.last.as_ref().map(|(stage, reply)| LastFacts {
            code: reply.code,
            stage: stage.to_string(),
            reply: reply.to_string(),
        });
        Self {
            job: job.id,
            class: job.order.class.to_string(),
            to: job.order.to.clone(),
            state: job.state.to_string(),
            due: (!job.state.has_ended()).then(|| job.due.to_string()),
            attempts: job.attempts,
            why: reason.text,
            last,
            queued_at: job.order.queued_at.to_string(),
            give_up: job.order.give_up.to_string(),
            cause: job.order.cause,
        }
    }
}

/// Why a job is not moving now, and when it will.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyFacts {
    /// Its number.
    pub job: JobId,
    /// Its class.
    pub class: String,
    /// Who is to receive it.
    pub to: EmailAddress,
    /// Where it stands.
    pub state: String,
    /// The name of the reason: rate, connections, suspended, throttled, breaker, held, retry, greylisted, no-key, dns,
    /// full-hour, queue, next, resolving, sending, not-due, lost, over, worker-lost, daemon-down, ended.
    pub cause: String,
    /// The same as a sentence.
    pub why: String,
    /// When it moves, or is looked at again; nothing where no moment can be named.
    pub until: Option<String>,
    /// The destination, where that plays a part.
    pub destination: Option<String>,
}

impl WhyFacts {
    pub(super) fn new(job: &Job, reason: Reason) -> Self {
        Self {
            job: job.id,
            class: job.order.class.to_string(),
            to: job.order.to.clone(),
            state: job.state.to_string(),
            cause: reason.cause.to_owned(),
            why: reason.text,
            until: reason.until.as_ref().map(Timestamp::to_string),
            destination: reason.destination,
        }
    }
}

/// The queue at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SummaryFacts {
    /// When it was looked.
    pub at: String,
    /// Whether a daemon runs.
    pub running: bool,
    /// All classes, the most urgent first.
    pub by_class: Vec<ClassFacts>,
    /// All states that are no end.
    pub by_state: Vec<StateFacts>,
    /// Destinations that something waits for or was sent to lately, the fullest first.
    pub by_destination: Vec<DestinationFacts>,
    /// Connections in all; nothing while no daemon runs.
    pub connections: Option<usize>,
    /// How many there may be.
    pub connections_max: Option<usize>,
    /// Domains that something waits for and that is kept back though their destination is there, the fullest first.
    pub kept_back: Vec<KeptFacts>,
    /// Domains whose servers spoke TLS within a month and do not any more, the first ones to lose it first.
    pub tls_lost: Vec<TlsLossFacts>,
}

/// A domain whose mail is kept back though its destination is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptFacts {
    /// The domain.
    pub domain: String,
    /// The destination that takes its mail.
    pub destination: String,
    /// How many mails that can wait do.
    pub waiting: u64,
    /// Why: `dns` or `tls`.
    pub cause: String,
    /// When one mail tries again, at the latest.
    pub until: String,
}

/// A domain whose mail goes in plain text, though it did not lately.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsLossFacts {
    /// The domain.
    pub domain: String,
    /// When TLS was had last, exact to a day.
    pub seen: String,
    /// Since when it is missing.
    pub missed: String,
}

/// Jobs of a class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassFacts {
    /// The class.
    pub class: String,
    /// Those that are not being sent.
    pub waiting: u64,
    /// Those that delivery has claimed.
    pub sending: u64,
    /// When the oldest was ordered.
    pub oldest: Option<String>,
}

/// Jobs in a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateFacts {
    /// The state.
    pub state: String,
    /// How many.
    pub count: u64,
}

/// Jobs of an age.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgeFacts {
    /// They are younger than this, and not younger than the bound before; nothing: older than all bounds.
    pub below_minutes: Option<i64>,
    /// How many.
    pub count: u64,
}

/// A destination. What delivery alone knows is nothing while no daemon runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DestinationFacts {
    /// Its name: of a group, of a server, or of a domain.
    pub name: String,
    /// Jobs that are not being sent.
    pub waiting: u64,
    /// Jobs that delivery has claimed.
    pub sending: u64,
    /// Those of the waiting ones that the operator keeps back.
    pub held: u64,
    /// When the oldest was ordered.
    pub oldest: Option<String>,
    /// All of them by age.
    pub ages: Vec<AgeFacts>,
    /// Mails a second that it was given within the last minute.
    pub rate: Option<f64>,
    /// Mails a second that it gets at most now, as was learned.
    pub rate_allowed: Option<f64>,
    /// What it gets at most, as was set: `50/s`.
    pub limit: Option<String>,
    /// Connections to it.
    pub connections: Option<usize>,
    /// How many it gets now, as was learned.
    pub connections_allowed: Option<usize>,
    /// How many it gets at most, as was set.
    pub connections_limit: Option<usize>,
    /// Unknown recipients among the last ones.
    pub unknown_users: Option<u32>,
    /// How it stands: open, slowed, suspended, throttled, breaker.
    pub state: Option<String>,
    /// When one mail tries again, where it is shut.
    pub until: Option<String>,
    /// When everything that is not held will be through, at the pace of the last minute.
    pub drained_at: Option<String>,
}

/// Jobs of one class that an action would be done to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelectedFacts {
    /// The class.
    pub class: String,
    /// How many.
    pub count: u64,
    /// When the oldest of them was ordered.
    pub oldest: String,
}

/// What an action was done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TouchedFacts {
    /// How many jobs it was done to.
    pub touched: u64,
    /// How many of those that are meant were being given to a server, and were left alone.
    pub under_way: u64,
}

/// A mail that came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailFacts {
    /// Its number.
    pub mail: MailId,
    /// The way it came.
    pub via: String,
    /// Who handed it over.
    pub peer: String,
    /// The name that one gave.
    pub helo: String,
    /// The envelope sender; nothing for `<>`.
    pub from: Option<EmailAddress>,
    /// The recipient.
    pub to: EmailAddress,
    /// Its Message-ID.
    pub message_id: Option<String>,
    /// Its size in bytes.
    pub size: u64,
    /// When it came.
    pub at: String,
    /// What was decided.
    pub decision: String,
    /// Why.
    pub reason: Option<String>,
    /// The message, where it was kept; bytes that are no UTF-8 are replaced.
    pub message: Option<String>,
}

impl MailFacts {
    pub(super) fn new(mail: MailRow, raw: Option<Vec<u8>>) -> Self {
        Self {
            mail: mail.id,
            via: mail.via.as_str().to_owned(),
            peer: mail.peer.to_string(),
            helo: mail.helo,
            from: mail.sender,
            to: mail.to,
            message_id: mail.message_id,
            size: mail.size,
            at: mail.at.to_string(),
            decision: mail.decision,
            reason: mail.reason,
            message: raw.map(|raw| String::from_utf8_lossy(&raw).into_owned()),
        }
    }
}

/// What is known of an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressFacts {
    /// The address.
    pub address: EmailAddress,
    /// What is known.
    pub state: String,
    /// What the last refusal meant.
    pub verdict: Option<String>,
    /// Where the last reply came.
    pub stage: Option<String>,
    /// The last reply.
    pub reply: Option<String>,
    /// When that was.
    pub at: Option<String>,
    /// When somebody last proved to read it.
    pub verified_at: Option<String>,
    /// Whose it is.
    pub members: Vec<PlaceFacts>,
}

/// Where an address stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceFacts {
    /// The organisation.
    pub org: OrgCode,
    /// The member.
    pub id: LoginId,
    /// 1, 2 or 3.
    pub priority: u8,
}

impl AddressFacts {
    pub(super) fn new(row: AddressRow, members: Vec<PlaceFacts>) -> Self {
        Self {
            address: row.address,
            state: row.state.to_string(),
            verdict: row.verdict.map(|verdict| verdict.to_string()),
            stage: row.stage.map(|stage| stage.to_string()),
            reply: row.reply,
            at: row.at.as_ref().map(Timestamp::to_string),
            verified_at: row.verified_at.as_ref().map(Timestamp::to_string),
            members,
        }
    }
}

/// The life of a mail, a job or an address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceFacts {
    /// What happened, in order of time.
    pub events: Vec<EventFacts>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventFacts {
    /// When.
    pub at: String,
    /// Its name in the mail log.
    pub event: String,
    /// The fields of the mail log.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

impl EventFacts {
    pub(super) fn new(event: Event) -> Self {
        Self { at: event.at.to_string(), event: event.name.into_owned(), fields: event.fields }
    }
}
