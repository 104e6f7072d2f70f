//! Writes the mail that a job orders, at the moment it is sent.
//!
//! Knows nothing of servers, signatures or states of the queue: a job comes in, an envelope and bytes come out. No row holds
//! a usable link, so it is minted here from its parts. What always holds: the same job gives the same mail at every attempt,
//! down to its Message-ID and Date, so that a copy can be told; and From, the return path and the links speak of the
//! configured addresses only.

use crate::keys::Keychain;
use crate::link::{Link, Purpose};
use crate::mail::MessageId;
use crate::mail::build::{AutoSubmitted, Draft};
use crate::mail::template::{TemplateFault, Templates, Wording, Words};
use crate::mail::verp;
use crate::model::{
    ChallengeId, ContactTestId, Domain, EmailAddress, JobId, Language, LocalForm, MailId, MemberId, RegistrationId,
    Secret, Timestamp,
};
use crate::queue::{Content, Job, Notice};
use crate::seal::SealError;
use crate::service::otp;
use crate::store::{
    Challenge, ContactTest, MailRow, OTP_CODE, Org, Registration, RegistrationState, Store, StoreError, Tx,
};
use data_encoding::HEXLOWER;
use std::sync::Arc;

/// Who our mails are from and where their links lead.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The published sender (requirement R006).
    pub address: EmailAddress,
    /// The service's title, for mails of no organisation.
    pub title: String,
    /// The same in English.
    pub title_en: String,
    /// The domain of the return paths.
    pub bounce_domain: Domain,
    /// What links begin with, such as `https://www.mc-anpi.com`.
    pub public_url: String,
}

/// Writes mails; clones share everything.
#[derive(Clone)]
pub struct Composer(Arc<Inner>);

struct Inner {
    store: Store,
    templates: Templates,
    keys: Keychain,
    settings: Settings,
}

/// A mail ready to be signed and sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// MAIL FROM: the job's own return path.
    pub sender: EmailAddress,
    /// RCPT TO.
    pub to: EmailAddress,
    /// How its local part is written, as its domain was found to take it.
    pub form: LocalForm,
    /// The message, unsigned, every line ending in CRLF.
    pub message: Vec<u8>,
}

/// What became of a job that was to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Composed {
    /// The mail.
    Mail(Outgoing),
    /// It is not to be sent.
    Unwanted(Unwanted),
}

/// Why a mail is not to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwanted {
    /// Nobody needs it any more, for this reason.
    Pointless(&'static str),
    /// Its address is not written to.
    Suppressed,
}

impl Composed {
    fn written(self, form: LocalForm) -> Self {
        match self {
            Self::Mail(mail) => Self::Mail(Outgoing { form, ..mail }),
            unwanted @ Self::Unwanted(_) => unwanted,
        }
    }
}

const fn pointless(why: &'static str) -> Composed {
    Composed::Unwanted(Unwanted::Pointless(why))
}

/// A mail could not be written; none of it is the recipient's fault.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// What the job refers to could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The wording failed.
    #[error(transparent)]
    Template(#[from] TemplateFault),
    /// The row of the job is damaged.
    #[error("the order of job {0} is damaged: its nonce is none")]
    Nonce(JobId),
    /// The code that the mail carries stays closed.
    #[error("the code of job {0} stays closed: {1}")]
    Sealed(JobId, SealError),
}

/// What a registration's answer needs to know, read from the store.
struct Answer {
    registration: Option<Registration>,
    org: Option<Org>,
    cause: Option<MailRow>,
}

impl Answer {
    fn load(tx: &mut Tx<'_>, id: RegistrationId, cause: Option<MailId>) -> Result<Self, StoreError> {
        let registration = tx.registration(id)?;
        let org = match registration.as_ref().and_then(|registration| registration.org.as_ref()) {
            Some(code) => tx.org(code)?,
            None => None,
        };
        let cause = match cause {
            Some(mail) => tx.mail(mail)?,
            None => None,
        };
        Ok(Self { registration, org, cause })
    }
}

/// What a test of an address needs to know.
struct Tested {
    test: ContactTest,
    org: Org,
}

impl Tested {
    fn load(tx: &mut Tx<'_>, id: ContactTestId) -> Result<Option<Self>, StoreError> {
        let Some(test) = tx.contact_test(id)? else { return Ok(None) };
        let Some(member) = tx.member_by_id(test.member)? else { return Ok(None) };
        Ok(tx.org_by_id(member.org)?.map(|org| Self { test, org }))
    }
}

fn read_nonce(job: &Job, nonce: &str) -> Result<[u8; 16], ComposeError> {
    let bytes = HEXLOWER.decode(nonce.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or(ComposeError::Nonce(job.id))
}

/// Finds the organisation of a member.
fn org_of(tx: &mut Tx<'_>, member: MemberId) -> Result<Option<Org>, StoreError> {
    let member = tx.member_by_id(member)?;
    Ok(member.map(|member| tx.org_by_id(member.org)).transpose()?.flatten())
}

/// What the mail of a one-time password needs to know.
struct Ticket {
    challenge: Option<Challenge>,
    org: Option<Org>,
    sealed: Option<Vec<u8>>,
}

impl Ticket {
    fn load(tx: &mut Tx<'_>, id: ChallengeId, job: JobId) -> Result<Self, StoreError> {
        let challenge = tx.challenge(id)?;
        let org = challenge.as_ref().map(|challenge| org_of(tx, challenge.member)).transpose()?.flatten();
        Ok(Self { challenge, org, sealed: tx.secret(OTP_CODE, job.number())? })
    }
}

impl Composer {
    /// Puts a composer together.
    #[must_use]
    pub fn new(store: Store, templates: Templates, keys: Keychain, settings: Settings) -> Self {
        Self(Arc::new(Inner { store, templates, keys, settings }))
    }

    /// Writes the mail of a job.
    ///
    /// # Errors
    /// See [`ComposeError`]; the job is to be tried again, as the operator can mend what was wrong.
    pub async fn compose(&self, job: &Job) -> Result<Composed, ComposeError> {
        let inner = &self.0;
        match &job.order.content {
            Content::RegistrationReply { registration, key, expires, nonce } => {
                let (id, cause) = (*registration, job.order.cause);
                let answer = inner.facts(&job.order.to, move |tx| Answer::load(tx, id, cause)).await?;
                let Some((answer, form)) = answer else { return Ok(Composed::Unwanted(Unwanted::Suppressed)) };
                let nonce = read_nonce(job, nonce)?;
                let link = Link { purpose: Purpose::Registration, row: id.number(), expires: *expires, nonce };
                Ok(inner.answer(job, &answer, &link, *key)?.written(form))
            }
            Content::ContactTest { test, key, expires, nonce } => {
                let id = *test;
                let test = inner.facts(&job.order.to, move |tx| Tested::load(tx, id)).await?;
                let Some((test, form)) = test else { return Ok(Composed::Unwanted(Unwanted::Suppressed)) };
                let nonce = read_nonce(job, nonce)?;
                let link = Link { purpose: Purpose::ContactTest, row: id.number(), expires: *expires, nonce };
                Ok(inner.contact_test(job, test.as_ref(), &link, *key)?.written(form))
            }
            Content::Otp { challenge } => {
                let (challenge, id) = (*challenge, job.id);
                let ticket = inner.facts(&job.order.to, move |tx| Ticket::load(tx, challenge, id)).await?;
                let Some((ticket, form)) = ticket else { return Ok(Composed::Unwanted(Unwanted::Suppressed)) };
                Ok(inner.otp(job, &ticket)?.written(form))
            }
            Content::Security { member, what } => {
                let member = *member;
                let org = inner.facts(&job.order.to, move |tx| org_of(tx, member)).await?;
                let Some((org, form)) = org else { return Ok(Composed::Unwanted(Unwanted::Suppressed)) };
                Ok(inner.security(job, org.as_ref(), *what)?.written(form))
            }
            Content::Forward { mail } => {
                let mail = *mail;
                let kept = inner.facts(&job.order.to, move |tx| Ok(tx.mail(mail)?.zip(tx.mail_raw(mail)?))).await?;
                let Some((kept, form)) = kept else { return Ok(Composed::Unwanted(Unwanted::Suppressed)) };
                Ok(inner.forward(job, kept.as_ref())?.written(form))
            }
        }
    }
}

impl Inner {
    /// Reads what a mail needs to know, and how its address is written; nothing where that is not written to.
    async fn facts<T: Send + 'static>(
        &self,
        to: &EmailAddress,
        mut load: impl FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<Option<(T, LocalForm)>, StoreError> {
        let to = to.clone();
        let read = self.store.read(move |tx| {
            if tx.is_suppressed(&to)? {
                return Ok(None);
            }
            let is_raw = to.to_wire_raw().is_some() && tx.domain_memory(to.domain())?.raw_local;
            let form = if is_raw { LocalForm::Raw } else { LocalForm::Quoted };
            Ok(Some((load(tx)?, form)))
        });
        read.await
    }

    /// The link, with the key that the order names. Where that key was retired meanwhile, the one in use makes a link that
    /// opens; the other would not.
    fn url(&self, link: &Link, key: u16) -> String {
        let keys = self.keys.now();
        let token = link.mint_with(keys.link(), key).unwrap_or_else(|| link.mint(keys.link()));
        format!("{}{}{token}", self.settings.public_url.trim_end_matches('/'), link.purpose.path())
    }

    /// The answer to an empty mail (requirements R113 to R116).
    fn answer(&self, job: &Job, answer: &Answer, link: &Link, key: u16) -> Result<Composed, ComposeError> {
        match answer.registration.as_ref().map(|registration| registration.state) {
            Some(RegistrationState::Open) => {}
            Some(RegistrationState::Done) => return Ok(pointless("the address is registered")),
            Some(RegistrationState::Expired) => return Ok(pointless("the registration is over")),
            None => return Ok(pointless("the registration is forgotten")),
        }
        let (title, title_en) = self.titles(answer.org.as_ref());
        let words = Words::Registration {
            title,
            title_en,
            url: &self.url(link, key),
            // The minute, rounded down: a person who reads it is never late.
            expires: &Timestamp::from_millis(link.expires.saturating_mul(1_000)).minute_jst(),
        };
        let answered = answer.cause.as_ref().and_then(|cause| MessageId::read(cause.message_id.as_deref()?));
        let wording = self.templates.render(job.order.language, &words)?;
        let message_id = self.message_id(job);
        let draft = Draft {
            auto_submitted: AutoSubmitted::Replied,
            in_reply_to: answered.as_ref(),
            ..self.draft(job, title, &wording, &message_id)
        };
        Ok(self.envelope(job, &draft))
    }

    /// The test of an address that a member typed (requirements R105 to R107).
    fn contact_test(
        &self,
        job: &Job,
        tested: Option<&Tested>,
        link: &Link,
        key: u16,
    ) -> Result<Composed, ComposeError> {
        let Some(Tested { test, org }) = tested else { return Ok(pointless("the test is forgotten")) };
        if test.arrived_at.is_some() {
            return Ok(pointless("the test has arrived"));
        }
        let title = &org.title;
        let words = Words::ContactTest {
            title,
            url: &self.url(link, key),
            expires: &Timestamp::from_millis(link.expires.saturating_mul(1_000)).minute_jst(),
        };
        let wording = self.templates.render(job.order.language, &words)?;
        let message_id = self.message_id(job);
        Ok(self.envelope(job, &self.draft(job, title, &wording, &message_id)))
    }

    /// A one-time password (requirements R037 to R039).
    fn otp(&self, job: &Job, ticket: &Ticket) -> Result<Composed, ComposeError> {
        let Some(challenge) = ticket.challenge.as_ref().filter(|challenge| !challenge.ended) else {
            return Ok(pointless("the code is over"));
        };
        let Some(sealed) = &ticket.sealed else { return Ok(pointless("the code is over")) };
        let code = otp::open(self.keys.now().seal(), job.id, sealed);
        let code = code.map_err(|cause| ComposeError::Sealed(job.id, cause))?;
        let code = Secret::new(in_two(code.reveal()));
        let title = self.title(ticket.org.as_ref(), job.order.language);
        let words = Words::Otp {
            title,
            what: if challenge.purpose == otp::Purpose::Doubt.as_str() { "login" } else { "second_factor" },
            code: code.reveal(),
            // The minute, rounded down: a person who reads it is never late.
            expires: &challenge.expires.minute_jst(),
        };
        let wording = self.templates.render(job.order.language, &words)?;
        let message_id = self.message_id(job);
        Ok(self.envelope(job, &self.draft(job, title, &wording, &message_id)))
    }

    /// A notice of what was done to an account.
    fn security(&self, job: &Job, org: Option<&Org>, what: Notice) -> Result<Composed, ComposeError> {
        let title = self.title(org, job.order.language);
        let words = Words::Security { title, what: what.as_str(), at: &job.order.queued_at.minute_jst() };
        let wording = self.templates.render(job.order.language, &words)?;
        let message_id = self.message_id(job);
        Ok(self.envelope(job, &self.draft(job, title, &wording, &message_id)))
    }

    /// A mail to `postmaster@` or `abuse@`, as an attachment.
    fn forward(&self, job: &Job, kept: Option<&(MailRow, Vec<u8>)>) -> Result<Composed, ComposeError> {
        let Some((mail, raw)) = kept else { return Ok(pointless("the mail is forgotten")) };
        let words = Words::Forward {
            to: &mail.to.to_string(),
            from: &mail.sender.as_ref().map_or_else(|| "<>".to_owned(), ToString::to_string),
            peer: &mail.peer.to_string(),
            mail: &mail.id.to_string(),
        };
        let wording = self.templates.render(job.order.language, &words)?;
        let message_id = self.message_id(job);
        let draft = Draft { attached: Some(raw), ..self.draft(job, &self.settings.title, &wording, &message_id) };
        Ok(self.envelope(job, &draft))
    }

    /// The titles of an organisation, or the service's own. An organisation without an English title has one for both.
    fn titles<'a>(&'a self, org: Option<&'a Org>) -> (&'a str, &'a str) {
        match org {
            Some(org) => (&org.title, org.title_en.as_deref().unwrap_or(&org.title)),
            None => (&self.settings.title, &self.settings.title_en),
        }
    }

    /// The title in the language of a mail.
    fn title<'a>(&'a self, org: Option<&'a Org>, language: Option<Language>) -> &'a str {
        let (title, title_en) = self.titles(org);
        if language == Some(Language::En) { title_en } else { title }
    }

    fn message_id(&self, job: &Job) -> MessageId {
        MessageId::of_job(job.id, job.order.queued_at, self.settings.address.domain())
    }

    /// What all mails have in common.
    fn draft<'a>(&'a self, job: &'a Job, title: &'a str, wording: &'a Wording, message_id: &'a MessageId) -> Draft<'a> {
        Draft {
            from_name: title,
            from: &self.settings.address,
            to: &job.order.to,
            subject: &wording.subject,
            body: &wording.body,
            date: job.order.queued_at,
            message_id,
            auto_submitted: AutoSubmitted::Generated,
            in_reply_to: None,
            attached: None,
        }
    }

    fn envelope(&self, job: &Job, draft: &Draft<'_>) -> Composed {
        // The day it was ordered, not the day of this attempt: a copy has the same envelope too.
        let day = job.order.queued_at.seconds() / 86_400;
        Composed::Mail(Outgoing {
            sender: verp::address(self.keys.now().verp(), job.id, day, &self.settings.bounce_domain),
            to: job.order.to.clone(),
            form: LocalForm::default(),
            message: draft.build(),
        })
    }
}

/// A code with a gap in its middle, for eyes: `123 456`.
fn in_two(code: &str) -> String {
    let (front, back) = code.split_at_checked(code.len() / 2).unwrap_or((code, ""));
    format!("{front} {back}")
}

#[cfg(test)]
mod tests;
