//! The mail log: one function for each thing that can happen to a mail.
//!
//! An event is recorded in the transaction of its cause, so a log line exists exactly when what it says was kept; it is
//! printed after the commit. Knows nothing of why something happened. What always holds: names and keys never change
//! meaning, ids stay the same from intake to registration, addresses of people are masked, and no code, key or link
//! appears.

use crate::model::{
    ContactTestId, EmailAddress, JobId, LoginId, MailId, OrgCode, Priority, Received, RegistrationId, Reply, Span,
    Stage, Timestamp,
};
use crate::queue::outcome::Delays;
use crate::queue::{Attempt, Cause, Job, NewJob, Verdict};
use crate::store::{Event, Ordered, StoreError, Tx};
use serde_json::{Map, Value};

/// The name of the event that a mail came in.
pub const RECEIVED: &str = "received";
/// The name of the event that a mail is not answered.
pub const IGNORED: &str = "ignored";
/// The name of the event that a mail is to go out.
pub const QUEUED: &str = "queued";
/// The name of the event that a server took a mail.
pub const ACCEPTED: &str = "accepted";
/// The name of the event that a mail waits for another try.
pub const DEFERRED: &str = "deferred";
/// The name of the event that a mail was refused for good.
pub const REFUSED: &str = "refused";
/// The name of the event that the time of a mail was over.
pub const EXPIRED: &str = "expired";
/// The name of the event that [`lost`] records.
pub const LOST: &str = "unknown";
/// The name of the event that the operator lets a mail go.
pub const RELEASED: &str = "released";
/// The name of the event that a mail was called back.
pub const CANCELLED: &str = "cancelled";
/// The name of the event that a mail is not sent, as its address is not written to.
pub const SUPPRESSED: &str = "suppressed";
/// The events that say what a delivery came to.
pub const OUTCOMES: [&str; 7] = [ACCEPTED, DEFERRED, REFUSED, EXPIRED, LOST, CANCELLED, SUPPRESSED];

/// How the mail log is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `event key=value …`, for eyes and `grep`.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Builds one event: the fields appear in the order they are added.
struct Line(Event);

impl Line {
    fn new(name: &'static str, at: Timestamp) -> Self {
        Self(Event { at, name: name.into(), mail: None, job: None, address: None, fields: Map::new(), ordered: None })
    }

    fn mail(mut self, mail: MailId) -> Self {
        self.0.mail = Some(mail);
        self
    }

    fn job(mut self, job: JobId) -> Self {
        self.0.job = Some(job);
        self.field("job", job.to_string())
    }

    /// Remembers whose story this belongs to, without showing it.
    fn about(mut self, address: &EmailAddress) -> Self {
        self.0.address = Some(address.clone());
        self
    }

    fn field(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.fields.insert(key.to_owned(), value.into());
        self
    }

    fn person(self, key: &str, address: &EmailAddress) -> Self {
        self.field(key, format!("<{}>", address.masked()))
    }

    fn reply(self, stage: Stage, reply: &Reply) -> Self {
        self.field("code", reply.code).field("stage", stage.as_str()).field("reply", reply.to_string())
    }

    fn record(self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        tx.record(self.0)
    }
}

/// A mail came in and was taken; `to` is the one of its recipients that counts.
///
/// # Errors
/// The store could not keep it; so for every function here.
pub fn received(tx: &mut Tx<'_>, mail: MailId, received: &Received, to: &EmailAddress) -> Result<(), StoreError> {
    let sender = received.envelope_sender.address();
    let line = Line::new(RECEIVED, received.at)
        .mail(mail)
        .field("id", mail.to_string())
        .field("via", received.via.as_str())
        .field("peer", received.peer.to_string())
        .field("tls", received.tls.as_deref().unwrap_or("none"))
        .field("from", sender.map_or_else(|| "<>".to_owned(), |address| format!("<{}>", address.masked())))
        .field("to", format!("<{to}>"))
        .field("size", received.message.len());
    match sender {
        Some(address) => line.about(address).record(tx),
        None => line.record(tx),
    }
}

/// A mail is not answered, for a reason that has a name.
pub fn ignored(
    tx: &mut Tx<'_>,
    mail: MailId,
    at: Timestamp,
    sender: Option<&EmailAddress>,
    reason: &'static str,
) -> Result<(), StoreError> {
    let line = Line::new(IGNORED, at).mail(mail).field("id", mail.to_string()).field("reason", reason);
    match sender {
        Some(address) => line.about(address).record(tx),
        None => line.record(tx),
    }
}

/// A mail is kept whole: for people, or because it came back to the return path of `job`.
pub fn kept(
    tx: &mut Tx<'_>,
    mail: MailId,
    job: Option<JobId>,
    reason: &'static str,
    at: Timestamp,
) -> Result<(), StoreError> {
    let line = Line::new("kept", at).mail(mail).field("id", mail.to_string());
    let line = match job {
        Some(job) => line.job(job),
        None => line,
    };
    line.field("reason", reason).record(tx)
}

/// A mail is to go out.
pub fn queued(tx: &mut Tx<'_>, job: JobId, order: &NewJob) -> Result<(), StoreError> {
    let line = Line::new(QUEUED, order.queued_at)
        .job(job)
        .about(&order.to)
        .field("class", order.class.as_str())
        .person("to", &order.to);
    match order.cause {
        Some(mail) => line.mail(mail).field("cause", mail.to_string()).record(tx),
        None => line.record(tx),
    }
}

fn of_job(name: &'static str, job: &Job, at: Timestamp) -> Line {
    let mut line = Line::new(name, at).job(job.id).about(&job.order.to);
    line.0.ordered = Some(Ordered { class: job.order.class, at: job.order.queued_at });
    match job.order.cause {
        Some(mail) => line.mail(mail),
        None => line,
    }
}

/// A delivery was tried; what came of it is the next event. Beside `delays`, what of the wait had a cause with a name.
pub fn attempted(tx: &mut Tx<'_>, job: &Job, attempt: &Attempt, at: Timestamp) -> Result<(), StoreError> {
    let mut line = of_job("attempted", job, at)
        .field("mx", attempt.mx.as_str())
        .field("tls", attempt.tls.as_deref().unwrap_or("none"))
        .field("delays", attempt.delays.to_string());
    for (cause, wait) in causes(attempt.delays) {
        line = line.field(cause, wait);
    }
    line.record(tx)
}

/// Gives the named causes of a wait, and how long each lasted.
fn causes(delays: Delays) -> Vec<(&'static str, String)> {
    let Delays { throttled, suspended, held, .. } = delays;
    let causes = [("throttled", throttled), ("suspended", suspended), ("held", held)];
    causes.into_iter().filter(|(_, span)| *span > Span::default()).map(|(name, span)| (name, seconds(span))).collect()
}

/// The receiving server took the mail. Nothing of ours calls it delivered.
pub fn accepted(tx: &mut Tx<'_>, job: &Job, reply: &Reply, at: Timestamp) -> Result<(), StoreError> {
    let delay = seconds(at.since(job.order.queued_at));
    of_job(ACCEPTED, job, at).reply(Stage::Data, reply).field("delay", delay).record(tx)
}

/// Seconds with two digits.
fn seconds(span: Span) -> String {
    format!("{}.{:02}s", span.millis() / 1_000, span.millis() % 1_000 / 10)
}

/// The mail waits for another try at `next`, for this cause.
pub fn deferred(
    tx: &mut Tx<'_>,
    job: &Job,
    stage: Stage,
    reply: &Reply,
    cause: Cause,
    next: Timestamp,
    at: Timestamp,
) -> Result<(), StoreError> {
    let line = of_job(DEFERRED, job, at).reply(stage, reply).field("cause", cause.as_str());
    line.field("next", next.to_string()).record(tx)
}

/// The mail was refused for good.
pub fn refused(
    tx: &mut Tx<'_>,
    job: &Job,
    stage: Stage,
    reply: &Reply,
    verdict: Verdict,
    at: Timestamp,
) -> Result<(), StoreError> {
    of_job(REFUSED, job, at).reply(stage, reply).field("verdict", verdict.as_str()).record(tx)
}

/// The time to send the mail was over before it was sent.
pub fn expired(tx: &mut Tx<'_>, job: &Job, at: Timestamp) -> Result<(), StoreError> {
    of_job(EXPIRED, job, at)
        .field("class", job.order.class.as_str())
        .field("age", format!("{}m", at.since(job.order.queued_at).millis() / 60_000))
        .record(tx)
}

/// The connection was lost after the final dot: perhaps accepted, perhaps not. `next`: when it is tried once more, if at
/// all.
pub fn lost(
    tx: &mut Tx<'_>,
    job: &Job,
    reply: &Reply,
    next: Option<Timestamp>,
    at: Timestamp,
) -> Result<(), StoreError> {
    let line = of_job(LOST, job, at).reply(Stage::Data, reply);
    match next {
        Some(next) => line.field("next", next.to_string()).record(tx),
        None => line.record(tx),
    }
}

/// The mail was called back before anything was said to a server.
pub fn cancelled(tx: &mut Tx<'_>, job: &Job, reason: &'static str, at: Timestamp) -> Result<(), StoreError> {
    of_job(CANCELLED, job, at).field("reason", reason).record(tx)
}

/// The mail is not sent, as its address is not written to.
pub fn suppressed(tx: &mut Tx<'_>, job: &Job, at: Timestamp) -> Result<(), StoreError> {
    of_job(SUPPRESSED, job, at).person("to", &job.order.to).record(tx)
}

/// The operator keeps the mail back.
pub fn held(tx: &mut Tx<'_>, job: &Job, at: Timestamp) -> Result<(), StoreError> {
    of_job("held", job, at).field("class", job.order.class.as_str()).person("to", &job.order.to).record(tx)
}

/// The operator lets the mail go that was kept back.
pub fn released(tx: &mut Tx<'_>, job: &Job, at: Timestamp) -> Result<(), StoreError> {
    of_job(RELEASED, job, at).field("held", seconds(job.held)).record(tx)
}

/// What is known of an address changed.
pub fn marked(tx: &mut Tx<'_>, address: &EmailAddress, state: &str, at: Timestamp) -> Result<(), StoreError> {
    Line::new("marked", at).about(address).person("to", address).field("state", state).record(tx)
}

/// A page behind a link was opened or used.
pub fn visited(
    tx: &mut Tx<'_>,
    registration: RegistrationId,
    address: &EmailAddress,
    what: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    Line::new("visited", at)
        .about(address)
        .field("registration", registration.to_string())
        .person("address", address)
        .field("what", what)
        .record(tx)
}

/// The page behind the link of a test mail was opened: by a person, or by a scanner on the way.
pub fn opened(
    tx: &mut Tx<'_>,
    test: ContactTestId,
    job: Option<JobId>,
    address: &EmailAddress,
    at: Timestamp,
) -> Result<(), StoreError> {
    of_test("opened", test, job, address, at).record(tx)
}

/// Somebody pressed the button on that page: mail to the address is read.
pub fn arrived(
    tx: &mut Tx<'_>,
    test: ContactTestId,
    job: Option<JobId>,
    address: &EmailAddress,
    at: Timestamp,
) -> Result<(), StoreError> {
    of_test("arrived", test, job, address, at).record(tx)
}

fn of_test(name: &'static str, test: ContactTestId, job: Option<JobId>, address: &EmailAddress, at: Timestamp) -> Line {
    let line = Line::new(name, at).about(address);
    let line = match job {
        Some(job) => line.job(job),
        None => line,
    };
    line.field("test", test.to_string()).person("address", address)
}

/// A member took an address back.
pub fn withdrawn(
    tx: &mut Tx<'_>,
    address: &EmailAddress,
    org: &OrgCode,
    id: &LoginId,
    priority: Priority,
    at: Timestamp,
) -> Result<(), StoreError> {
    of_member("withdrawn", address, org, id, priority, at).record(tx)
}

/// A member's address is registered.
pub fn registered(
    tx: &mut Tx<'_>,
    address: &EmailAddress,
    org: &OrgCode,
    id: &LoginId,
    priority: Priority,
    at: Timestamp,
) -> Result<(), StoreError> {
    of_member("registered", address, org, id, priority, at).record(tx)
}

fn of_member(
    name: &'static str,
    address: &EmailAddress,
    org: &OrgCode,
    id: &LoginId,
    priority: Priority,
    at: Timestamp,
) -> Line {
    Line::new(name, at)
        .about(address)
        .field("org", org.as_str())
        .field("id", id.as_str())
        .field("priority", priority.number())
        .person("address", address)
}

/// Writes one event as one line, without a line end.
#[must_use]
pub fn line(event: &Event, format: Format) -> String {
    match format {
        Format::Json => {
            let mut object = Map::new();
            object.insert("at".to_owned(), event.at.to_string().into());
            object.insert("event".to_owned(), event.name.to_string().into());
            object.extend(event.fields.clone());
            Value::Object(object).to_string()
        }
        Format::Text => {
            let mut out = format!("{:<9}", event.name);
            for (key, value) in &event.fields {
                out.push(' ');
                out.push_str(key);
                out.push('=');
                push_value(&mut out, value);
            }
            out
        }
    }
}

/// Texts that a script could not split again are put in quotes, escaped as in JSON.
fn push_value(out: &mut String, value: &Value) {
    match value {
        Value::String(text) if is_plain(text) => out.push_str(text),
        other => out.push_str(&other.to_string()),
    }
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '"' || c == '=')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> EmailAddress {
        "hanako@docomo.ne.jp".parse().unwrap()
    }

    #[test]
    fn a_line_reads_as_the_interface_says() {
        let event = Line::new(ACCEPTED, Timestamp::from_millis(0))
            .job(JobId::new(33))
            .about(&address())
            .reply(Stage::Data, &Reply::new(250, "2.0.0 Ok"))
            .field("delay", "0.42s")
            .0;
        assert_eq!(line(&event, Format::Text), r#"accepted  job=jbb code=250 stage=data reply="2.0.0 Ok" delay=0.42s"#);
        assert_eq!(
            line(&event, Format::Json),
            concat!(
                r#"{"at":"1970-01-01T09:00:00+09:00","event":"accepted","job":"jbb","code":250,"stage":"data","#,
                r#""reply":"2.0.0 Ok","delay":"0.42s"}"#
            )
        );
    }

    #[test]
    fn of_a_wait_only_the_causes_there_were_are_told() {
        let delays =
            Delays { queue: Span::from_millis(9_000), throttled: Span::from_millis(4_010), ..Delays::default() };
        assert_eq!(causes(delays), [("throttled", "4.01s".to_owned())]);
        let [suspended, held] = [1_000, 2_500].map(Span::from_millis);
        let both = Delays { suspended, held, ..Delays::default() };
        assert_eq!(causes(both), [("suspended", "1.00s".to_owned()), ("held", "2.50s".to_owned())]);
    }

    #[test]
    fn a_persons_address_is_masked_and_a_strangers_text_stays_on_its_line() {
        let event = Line::new("marked", Timestamp::from_millis(0))
            .about(&address())
            .person("to", &address())
            .field("reply", "a\r\nforged event=1 \"x\"")
            .0;
        assert_eq!(line(&event, Format::Text), r#"marked    to=<h***@docomo.ne.jp> reply="a\r\nforged event=1 \"x\"""#);
    }
}
